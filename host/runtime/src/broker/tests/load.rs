//! Many at once, and some that are given up.

use futures::FutureExt;
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::question::{ProviderLimit, ProviderLimits};
use crate::quota::QuotaConfig;

#[tokio::test(start_paused = true)]
async fn sixty_four_at_once_and_never_more() {
    let bench = Bench::with(instances(64), |_, _| Act::answer("yes"));
    let prompts: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let began = Instant::now();
    let replies = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!((bench.backend.most(), bench.backend.started(), bench.backend.sent().len()), (64, 64, 1_000));
    assert_eq!(began.elapsed(), 16 * Duration::from_millis(50), "no gap between them");
}

#[tokio::test(start_paused = true)]
async fn a_quota_makes_questions_wait_and_then_go_without_a_single_429() {
    let quota = QuotaConfig { requests: Some(60), ..QuotaConfig::default() };
    let admission = AdmissionConfig { instances: 64, quota, ..AdmissionConfig::default() };
    let bench = Bench::with(BrokerConfig { admission, ..BrokerConfig::default() }, |_, _| Act::answer("yes"));
    let prompts: Vec<String> = (0..180).map(|number| number.to_string()).collect();
    let began = Instant::now();
    futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    let took = began.elapsed().as_secs();
    assert!((119..=121).contains(&took), "60 at once, the other 120 at one a second: {took} s");
}

#[tokio::test(start_paused = true)]
async fn limits_that_the_provider_tells_are_kept_from_then_on() {
    let bench = Bench::with(instances(4), |number, _| {
        let remaining = 10u64.saturating_sub(number as u64 + 1);
        let requests = Some(ProviderLimit { limit: 60, remaining, reset: None });
        Act { limits: Some(ProviderLimits { requests, ..Default::default() }), ..Act::answer("yes") }
    });
    let prompts: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    let sent = bench.backend.sent();
    let within = |time| sent.iter().filter(|(when, _)| when.duration_since(sent[0].0) <= seconds(time)).count();
    assert!(within(2) <= 13, "{}", within(2));
    assert_eq!(sent.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_question_that_was_sent_is_in_the_ledger() {
    let bench = Bench::new(|_, _| Act::answer("yes").after(seconds(10)));
    tokio::select! {
        _ = bench.ask(question("?")) => panic!("it was to be dropped"),
        () = sleep(seconds(1)) => {}
    }
    tokio::task::yield_now().await;
    let records = bench.ledger.records();
    assert_eq!((records[0].outcome.as_str(), records[0].usage.requests), ("dropped", 1));
    assert_eq!((bench.broker.standing()[0].1.in_flight, bench.backend.living()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn when_the_first_of_identical_questions_is_dropped_the_second_is_sent() {
    let bench = Bench::new(|_, _| Act::answer("yes").after(seconds(10)));
    let first = async {
        tokio::select! {
            _ = bench.ask(question("?")) => panic!("it was to be dropped"),
            () = sleep(seconds(1)) => {}
        }
    };
    let ((), second) = tokio::join!(first, bench.ask(question("?")));
    assert_eq!(second.unwrap().text, "yes");
    assert_eq!(bench.backend.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_with_some_given_up_nothing_is_held_in_the_end() {
    let mut config = BrokerConfig { retry: RetryConfig { base_ms: 1, ..RetryConfig::default() }, ..instances(16) };
    // Nobody waits a minute here.
    config.admission.breaker.enough = usize::MAX;
    let bench = Bench::with(config, |number, _| {
        let act = match number % 7 {
            0 => Act::fail(FailureKind::Refused),
            1 => Act::fail(FailureKind::Server),
            _ => Act::answer("yes"),
        };
        act.after(Duration::ZERO)
    });
    let broker = &bench.broker;
    let tasks: Vec<_> = (0..2_000)
        .map(|number| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let asked = question(&(number % 1_500).to_string());
                broker.ask(&asker("audit"), asked, &mut |_| {}).await
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        if number % 3 == 0 {
            task.abort();
        }
        match task.await {
            Ok(Ok(reply)) => assert_eq!(reply.text, "yes"),
            Ok(Err(failure)) => assert!(matches!(failure.kind, FailureKind::Refused | FailureKind::Server)),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    let standing = broker.standing()[0].1;
    assert_eq!((standing.waiting, standing.in_flight), (0, 0), "{standing:?}");
    assert!(bench.backend.most() <= 16 && bench.backend.living() == standing.idle);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    /// Questions are given up after a random number of polls, which is at any of their awaits, while the backend
    /// answers, fails or is silent. In the end nothing is held, and the next question is answered.
    #[test]
    fn a_question_dropped_at_any_await_leaks_nothing(
        asked in prop::collection::vec((0u8..6, 0u8..5, 0usize..12), 1..40),
        instances in 1usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let quota = QuotaConfig { requests: Some(600), output_tokens: Some(100_000), ..QuotaConfig::default() };
            let admission = AdmissionConfig { instances, queue: 3, quota, ..AdmissionConfig::default() };
            let config = BrokerConfig { admission, ..BrokerConfig::default() };
            let bench = Bench::with(config, |_, request| match request.prompt.as_bytes()[0] {
                b'0' => Act::fail(FailureKind::Overloaded),
                b'1' => Act::failure(Failure {
                    retry_after: Some(seconds(3)),
                    ..Failure::new(FailureKind::RateLimited, "429")
                }),
                b'2' => Act::answer("never").after(seconds(100_000)),
                b'3' => Act::answer("off its schema"),
                _ => Act::answer("{\"good\":true}"),
            });
            let all = asked.into_iter().map(|(kind, prompt, polls)| {
                // Few different prompts, so that some are identical.
                let asked = with_schema(&format!("{kind}{prompt}"));
                let (bench, asked) = (&bench, asked);
                async move {
                    let mut one = Box::pin(bench.ask(asked));
                    let mut left = polls;
                    std::future::poll_fn(move |context| {
                        if left == 0 {
                            return std::task::Poll::Ready(());
                        }
                        left -= 1;
                        one.poll_unpin(context).map(drop)
                    })
                    .await;
                }
            });
            futures::future::join_all(all.map(|one| tokio::time::timeout(seconds(30), one))).await;
            let standing = bench.broker.standing()[0].1;
            assert_eq!((standing.waiting, standing.in_flight), (0, 0), "{standing:?}");
            assert!(standing.most_in_flight <= instances && bench.backend.most() <= instances);
            assert_eq!(bench.backend.living(), standing.idle);
            sleep(seconds(600)).await;
            assert_eq!(bench.broker.standing()[0].1.free, [Some(600), None, Some(100_000)]);
            assert_eq!(bench.ask(with_schema("next")).await.unwrap().text, "{\"good\":true}");
        });
    }
}
