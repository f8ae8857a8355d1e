//! A run that is paused asks nothing, and loses nothing.

use std::sync::Mutex;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use super::*;

type Reading = JoinHandle<(Result<Reply, Failure>, Vec<StreamEvent>)>;

impl Bench {
    /// A question that is asked beside the test.
    fn begin(&self, question: Question) -> Reading {
        let broker = self.broker.clone();
        tokio::spawn(async move {
            let heard = Mutex::new(Vec::new());
            let reply = broker.ask(&asker("audit"), question, &mut |event| heard.lock().unwrap().push(event)).await;
            (reply, heard.into_inner().unwrap())
        })
    }

    /// For what questions waited, in order.
    fn waits(&mut self) -> Vec<String> {
        let mut waits = Vec::new();
        while let Some(event) = self.events.try_recv() {
            if let Fact::QuestionWaits { reason, .. } = &event.fact {
                waits.push(reason.clone().into_owned());
            }
        }
        waits
    }
}

/// Ten seconds from being sent to the end.
fn slow() -> Act {
    Act { rest: seconds(9), ..Act::answer("yes").after(seconds(1)) }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_it_is_paused_and_all_of_it_when_it_goes_on() {
    let mut bench = Bench::with(instances(1), |_, _| slow());
    let all: Vec<Reading> = ["a", "b", "c"].map(|prompt| bench.begin(question(prompt))).into();
    sleep(seconds(2)).await;
    bench.broker.pause().pause(false);
    sleep(seconds(100)).await;
    assert_eq!(bench.backend.sent().len(), 1, "what is under way ends, and the next is not sent");
    let standing = bench.broker.standing();
    assert_eq!((standing[0].1.waiting, standing[0].1.in_flight), (0, 0), "nothing is held");
    assert!(all[0].is_finished() && !all[1].is_finished());
    bench.broker.pause().resume();
    for reading in all {
        assert!(reading.await.unwrap().0.is_ok());
    }
    assert_eq!(bench.backend.sent().len(), 3);
    assert_eq!(bench.waits(), ["limit", "limit", "pause", "pause", "limit"]);
    let queued: Vec<u64> = bench.ledger.records().iter().map(|record| record.queued_ms).collect();
    assert_eq!(queued, [0, 2_000, 12_000], "a pause is no waiting for admission");
}

#[tokio::test(start_paused = true)]
async fn at_once_breaks_off_what_is_under_way_and_asks_it_again_without_a_failure() {
    let mut bench = Bench::with(instances(2), |_, _| slow());
    let one = bench.begin(question("a"));
    sleep(seconds(2)).await;
    bench.broker.pause().pause(true);
    sleep(seconds(60)).await;
    assert_eq!((bench.backend.sent().len(), bench.broker.standing()[0].1.in_flight), (1, 0));
    bench.broker.pause().resume();
    let (reply, heard) = one.await.unwrap();
    assert!(matches!(reply.unwrap().by, AnsweredBy::Model(_)));
    assert!(heard.contains(&StreamEvent::Restarted("the run was paused".to_owned())), "{heard:?}");
    let [record] = bench.ledger.records().try_into().unwrap();
    assert_eq!((record.attempts, record.usage.requests, record.failures.len()), (2, 2, 0));
    assert!(record.uncertain > Usd::ZERO && record.unmetered == 1, "what was broken off counts");
    let facts = bench.facts();
    assert!(facts.contains(&"question-waits".to_owned()), "{facts:?}");
    assert!(!facts.contains(&"question-retried".to_owned()), "{facts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_pause_broke_off_was_not_answered() {
    let mut bench = Bench::with(instances(1), |_, _| slow());
    let one = bench.begin(question("a"));
    sleep(seconds(2)).await;
    bench.broker.pause().pause(true);
    sleep(seconds(1)).await;
    bench.broker.pause().resume();
    one.await.unwrap().0.unwrap();
    assert_eq!(bench.attempts(), [(1, "paused".to_owned()), (2, "answered".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_asked_twice_is_not_broken_off() {
    let bench = Bench::with(instances(2), |_, _| slow());
    let once = bench.begin(Question { repeatable: false, ..question("a") });
    sleep(seconds(2)).await;
    bench.broker.pause().pause(true);
    sleep(seconds(9)).await;
    assert!(once.is_finished());
    assert_eq!(bench.backend.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_deadline_runs_while_it_is_paused() {
    let bench = Bench::with(instances(1), |_, _| slow());
    bench.broker.pause().pause(false);
    let one = bench.begin(question("a"));
    sleep(seconds(10_000)).await;
    bench.broker.pause().resume();
    assert!(one.await.unwrap().0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_while_it_is_paused() {
    let bench = Bench::with(instances(1), |_, _| slow());
    bench.broker.pause().pause(false);
    let one = bench.begin(question("a"));
    sleep(seconds(1)).await;
    bench.broker.halt(Failure::new(FailureKind::Cancelled, "interrupted")).await;
    assert_eq!(one.await.unwrap().0.unwrap_err().kind, FailureKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn who_is_paused_leads_nobody() {
    let backend = Scripted::new(|_, _| slow()).caching_prompts();
    let asked: Arc<dyn Backend> = Arc::new(backend.clone());
    let broker = |lanes: Arc<Lanes>| Broker::sharing(lanes, Arc::new(InMemory::default()), Events::new(), instances(2));
    let first = Broker::new(vec![asked], Arc::new(InMemory::default()), Events::new(), instances(2));
    let second = broker(first.lanes().clone());
    let about = |prompt: &str| Question { context: Some("a".repeat(8_192)), ..question(prompt) };
    first.pause().pause(false);
    let (one, mut ignored) = (asker("audit"), |_| ());
    let mut paused = std::pin::pin!(first.ask(&one, about("a"), &mut ignored));
    assert!(paused.as_mut().now_or_never().is_none());
    advance(seconds(1)).await;
    assert!(second.ask(&asker("audit"), about("b"), &mut |_| {}).await.is_ok(), "another run goes on");
    first.pause().resume();
    assert!(paused.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_mode_changes_while_it_asks_and_secrets_are_only_handled_more_strictly() {
    let bench = Bench::new(|_, _| Act::answer("yes"));
    assert!(bench.broker.set_mode(crate::policy::Mode::Safe, ScanMode::Strict));
    assert_eq!((bench.broker.mode(), bench.broker.scan_mode()), (crate::policy::Mode::Safe, ScanMode::Strict));
    assert!(!bench.broker.set_mode(crate::policy::Mode::Performance, ScanMode::Basic));
    assert_eq!(bench.broker.scan_mode(), ScanMode::Strict);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_somebody_sets_is_told_and_holds() {
    let mut bench = Bench::with(instances(1), |_, _| slow());
    let all: Vec<Reading> = ["a", "b", "c"].map(|prompt| bench.begin(question(prompt))).into();
    sleep(seconds(1)).await;
    assert_eq!(bench.broker.standing()[0].1.in_flight, 1);
    bench.broker.lanes().set_limit(3, "somebody set it").await;
    sleep(seconds(1)).await;
    assert_eq!((bench.broker.standing()[0].1.in_flight, bench.broker.standing()[0].1.limit), (3, 3));
    for reading in all {
        assert!(reading.await.unwrap().0.is_ok());
    }
    assert!(bench.facts().contains(&"limit-changed".to_owned()));
}
