//! The limit of an account follows what comes back, and it is told.

use super::*;
use crate::limiter::LimiterConfig;
use crate::policy::{Adapt, AsBuiltIn, Decision, Facts, Fault, Foreign, Mode, Policy};

/// Begins with `start` of at most `most`, in performance mode.
fn starting_at(start: usize, most: usize) -> BrokerConfig {
    let limiter = LimiterConfig { mode: Mode::Performance, start, ..LimiterConfig::default() };
    let admission = AdmissionConfig { instances: most, limiter, ..AdmissionConfig::default() };
    let policy = Some(Arc::new(Slot::new(crate::policy::Profile::of(Mode::Performance), Events::new())));
    BrokerConfig { admission, policy, ..BrokerConfig::default() }
}

async fn ask_many(bench: &Bench, count: usize) {
    let prompts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    futures::future::join_all(prompts.iter().map(|prompt| bench.ask(with_fallback(prompt)))).await;
}

impl Bench {
    /// The changes of the limit that were told, and the decisions about it.
    fn changes(&mut self) -> (Vec<(usize, usize, String)>, usize) {
        let (mut changes, mut decided) = (Vec::new(), 0);
        while let Some(event) = self.events.try_recv() {
            match &event.fact {
                Fact::LimitChanged { account, limit, before, reason } => {
                    assert_eq!(account, "scripted");
                    changes.push((*before, *limit, reason.clone()));
                }
                Fact::Decided { kind, .. } if kind == "adapt" => decided += 1,
                _ => {}
            }
        }
        (changes, decided)
    }
}

#[tokio::test(start_paused = true)]
async fn it_doubles_until_its_ceiling_and_each_change_is_told_with_its_reason() {
    let mut bench = Bench::with(starting_at(4, 20), |_, _| Act::answer("yes"));
    ask_many(&bench, 200).await;
    let (changes, decided) = bench.changes();
    let limits: Vec<_> = changes.iter().map(|(before, limit, _)| (*before, *limit)).collect();
    assert_eq!((limits, decided), (vec![(4, 8), (8, 16), (16, 20)], 3));
    assert!(changes.iter().all(|(_, _, reason)| reason.contains("clean round")), "{changes:?}");
    assert_eq!((bench.backend.most(), bench.broker.standing()[0].1.limit), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_429s_lowers_it_once() {
    let failure = Failure { retry_after: Some(seconds(2)), ..Failure::new(FailureKind::RateLimited, "429") };
    let mut bench = Bench::with(starting_at(10, 10), move |number, _| match number {
        0..8 => Act::failure(failure.clone()),
        _ => Act::answer("yes"),
    });
    ask_many(&bench, 10).await;
    let (changes, _) = bench.changes();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!((changes[0].0, changes[0].1), (10, 8));
    assert!(changes[0].2.contains("2.0 s of rest"), "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_of_when_to_come_again_is_left_alone_for_a_minute() {
    let bench = Bench::with(starting_at(4, 4), |number, _| match number {
        0 => Act::fail(FailureKind::RateLimited),
        _ => Act::answer("yes"),
    });
    let began = Instant::now();
    bench.ask(question("?")).await.unwrap();
    assert!(began.elapsed() >= seconds(60), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_failures_begin_safe_mode_and_a_quiet_minute_ends_it() {
    let mut bench = Bench::with(starting_at(16, 16), |number, _| match number {
        // Not so many that the breaker opens.
        0..40 if number % 6 == 0 => Act::fail(FailureKind::Server),
        _ => Act::answer("yes"),
    });
    ask_many(&bench, 60).await;
    assert!(bench.broker.standing()[0].1.safe);
    assert_eq!(bench.broker.standing()[0].1.limit, 8);
    let facts = bench.facts();
    let warned = facts.iter().find(|fact| fact.starts_with("warned scripted goes on as in safe mode"));
    assert_eq!(warned.map(|fact| fact.matches("safe mode").count()), Some(1), "{warned:?}");
    for number in 0..30 {
        tokio::time::sleep(seconds(5)).await;
        bench.ask(question(&format!("later {number}"))).await.unwrap();
    }
    assert!(!bench.broker.standing()[0].1.safe);
    assert!(bench.facts().contains(&"safe-mode-changed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_come_in_time_open_the_breaker_also_where_others_come() {
    let mut bench = Bench::with(starting_at(8, 8), |number, _| match number % 2 {
        0 => Act::fail(FailureKind::TimedOut),
        _ => Act::answer("yes"),
    });
    ask_many(&bench, 12).await;
    assert!(bench.facts().contains(&"breaker-changed open".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_busy_machine_lowers_it() {
    let limiter = LimiterConfig::default();
    let admission = AdmissionConfig { instances: 8, limiter, ..AdmissionConfig::default() };
    let mut bench =
        Bench::with(BrokerConfig { admission, ..BrokerConfig::default() }, |_, _| Act::answer("yes").after(seconds(3)));
    bench.broker.lanes().watch_machine(Arc::new(|| (Some(0.3), Some(0.8))));
    ask_many(&bench, 40).await;
    let (changes, _) = bench.changes();
    assert_eq!((changes[0].0, changes[0].1), (8, 3));
    assert!(changes[0].2.contains("30 % of its processors"), "{changes:?}");
}

struct Greedy;

impl Foreign for Greedy {
    fn decide(&self, facts: &Facts) -> Result<Decision, Fault> {
        match facts {
            Facts::Adapt(_) => Ok(Decision::Adapt(Adapt { limit: 100, reason: "more".to_owned(), ..Adapt::default() })),
            facts => Ok(AsBuiltIn.decide(facts)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_policy_decides_within_the_users_ceiling() {
    let config = starting_at(2, 6);
    config.policy.as_ref().unwrap().swap("greedy", None, Some(Box::new(Greedy)), "it is tried").await;
    let mut bench = Bench::with(config, |_, _| Act::answer("yes"));
    ask_many(&bench, 30).await;
    assert_eq!(bench.changes().0, [(2, 6, "more".to_owned())]);
    assert_eq!(bench.backend.most(), 6);
}
