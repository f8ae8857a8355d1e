//! Questions that share a long context: one goes ahead.

use futures::future::join_all;

use super::*;

/// Long enough to be worth a wait.
fn about(context: &str, prompt: &str) -> Question {
    Question { context: Some(context.repeat(4 * 1_024)), ..question(prompt) }
}

/// The answer begins after a second, and takes another nine.
fn slow() -> Act {
    Act { rest: seconds(9), ..Act::answer("yes").after(seconds(1)) }
}

fn over(config: BrokerConfig, script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Bench {
    let backend = Scripted::new(script).caching_prompts();
    Bench::over(config, backend.clone(), Arc::new(backend))
}

impl Bench {
    async fn ask_all(&self, questions: Vec<Question>) -> Vec<Result<Reply, Failure>> {
        join_all(questions.into_iter().map(|question| self.ask(question))).await
    }

    /// How many were sent at which second, from the first on.
    fn sent_at(&self) -> Vec<(u64, usize)> {
        let sent = self.backend.sent();
        let mut times: Vec<(u64, usize)> = Vec::new();
        for (at, _) in &sent {
            let second = at.duration_since(sent[0].0).as_secs();
            match times.last_mut() {
                Some((last, count)) if *last == second => *count += 1,
                _ => times.push((second, 1)),
            }
        }
        times
    }
}

fn eight(context: &str) -> Vec<Question> {
    (0..8).map(|number| about(context, &format!("{context}{number}"))).collect()
}

#[tokio::test(start_paused = true)]
async fn of_eight_that_share_a_context_one_is_sent_and_seven_when_its_answer_begins() {
    let bench = over(instances(8), |_, _| slow());
    let replies = bench.ask_all(eight("a")).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(bench.sent_at(), [(0, 1), (1, 7)]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_where_nothing_is_shared_or_prompts_are_not_cached() {
    let without = Bench::with(instances(8), |_, _| slow());
    without.ask_all(eight("a")).await;
    assert_eq!(without.sent_at(), [(0, 8)]);
    let short = over(instances(8), |_, _| slow());
    let questions = (0..8).map(|number| Question { context: Some("a".repeat(4_092)), ..question(&number.to_string()) });
    short.ask_all(questions.collect()).await;
    assert_eq!(short.sent_at(), [(0, 8)]);
}

#[tokio::test(start_paused = true)]
async fn two_contexts_do_not_wait_for_each_other() {
    let bench = over(instances(16), |_, _| slow());
    bench.ask_all(eight("a").into_iter().chain(eight("b")).collect()).await;
    assert_eq!(bench.sent_at(), [(0, 2), (1, 14)]);
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_fails_exactly_one_more_goes_alone() {
    let bench = over(instances(8), |number, _| match number {
        0 => Act::fail(FailureKind::Invalid).after(seconds(1)),
        _ => slow(),
    });
    let replies = bench.ask_all(eight("a")).await;
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 7);
    assert_eq!(bench.sent_at(), [(0, 1), (1, 1), (2, 6)]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_waits_to_try_again_holds_nobody_up() {
    let wait = |number| match number {
        0 => Act::failure(Failure { retry_after: Some(seconds(30)), ..Failure::new(FailureKind::Overloaded, "busy") }),
        _ => slow(),
    };
    let bench = over(instances(8), move |number, _| wait(number).after(seconds(1)));
    let replies = bench.ask_all(eight("a")).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    let sent = bench.sent_at();
    assert_eq!(sent[..3], [(0, 1), (1, 1), (2, 6)]);
    assert!(sent.len() == 4 && sent[3].0 >= 31 && sent[3].1 == 1, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_is_given_up_the_next_goes_ahead() {
    let bench = over(instances(8), |_, _| slow());
    let leader = async {
        tokio::time::timeout(Duration::from_millis(500), bench.ask(about("a", "leader"))).await.unwrap_err();
    };
    let (_, replies) = tokio::join!(leader, bench.ask_all(eight("a")));
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(bench.backend.sent().len(), 9);
    let first = bench.backend.sent()[0].0;
    let waited: Vec<u128> = bench.backend.sent().iter().map(|(at, _)| at.duration_since(first).as_millis()).collect();
    assert_eq!((waited[1], waited[2], waited[8]), (500, 1_500, 1_500));
}

#[tokio::test(start_paused = true)]
async fn who_is_answered_from_the_cache_leads_nobody() {
    let bench = over(instances(8), |_, _| slow());
    bench.ask(about("a", "known")).await.unwrap();
    tokio::time::advance(KEPT_FOR).await;
    let again = async { bench.ask(about("a", "known")).await.unwrap() };
    let (known, new) = tokio::join!(again, bench.ask(about("a", "new")));
    assert!(matches!(known.by, AnsweredBy::Cache(_)));
    assert!(new.is_ok());
    assert_eq!(bench.backend.prompts(), ["known", "new"]);
}

#[tokio::test(start_paused = true)]
async fn a_context_stays_warm_for_five_minutes_after_its_last_use() {
    let bench = over(instances(8), |_, _| slow());
    bench.ask(about("a", "first")).await.unwrap();
    // Sent at 0, now it is 10.
    tokio::time::advance(KEPT_FOR - seconds(11)).await;
    bench.ask_all(eight("a")).await;
    assert_eq!(bench.sent_at(), [(0, 1), (299, 8)]);
    // Sent at 299, now it is 309.
    tokio::time::advance(KEPT_FOR - seconds(10)).await;
    bench.ask_all((0..8).map(|number| about("a", &format!("late {number}"))).collect()).await;
    assert_eq!(bench.sent_at(), [(0, 1), (299, 8), (599, 1), (600, 7)]);
}

#[tokio::test(start_paused = true)]
async fn with_one_instance_all_are_answered_one_after_the_other() {
    let bench = over(instances(1), |_, _| slow());
    let replies = bench.ask_all(eight("a").into_iter().chain(eight("b")).collect()).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!((bench.backend.sent().len(), bench.backend.most()), (16, 1));
}

#[tokio::test(start_paused = true)]
async fn who_waited_too_long_for_admission_does_not_count_on_a_context_that_is_cold_again() {
    let bench = over(instances(2), |_, request| match request.context {
        Some(_) => slow(),
        None => Act::answer("yes").after(seconds(100)),
    });
    bench.ask(about("a", "first")).await.unwrap();
    // Both instances are busy for 400 s.
    let others = (0..8).map(|number| question(&format!("other {number}"))).collect();
    let late = async {
        tokio::time::sleep(seconds(1)).await;
        bench.ask_all(vec![about("a", "late 1"), about("a", "late 2")]).await
    };
    let (_, late) = tokio::join!(bench.ask_all(others), late);
    assert!(late.iter().all(Result::is_ok));
    let sent: Vec<Instant> = bench.backend.sent().iter().rev().take(2).map(|(at, _)| *at).collect();
    assert_eq!(sent[0].duration_since(sent[1]), seconds(1), "one of them leads, the other waits for its first sign");
}

#[tokio::test(start_paused = true)]
async fn when_dispatch_stops_all_who_wait_get_its_reason() {
    let bench = over(instances(8), |_, _| Act::fail(FailureKind::Auth).after(seconds(1)));
    let replies = bench.ask_all(eight("a")).await;
    assert!(replies.iter().all(|reply| reply.as_ref().is_err_and(|failure| failure.kind == FailureKind::Auth)));
    assert_eq!(bench.backend.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_follows_is_told_that_it_waits_for_the_context() {
    let mut bench = over(instances(8), |_, _| slow());
    bench.ask_all(eight("a")).await;
    let mut waits = 0;
    while let Some(event) = bench.events.try_recv() {
        waits += usize::from(matches!(&event.fact, Fact::QuestionWaits { reason, .. } if reason == "context"));
    }
    assert_eq!(waits, 7);
}
