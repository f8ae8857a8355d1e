//! What a policy decides, and that it is done.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::policy::builtin::{AdmitProfile, WatchProfile};
use crate::policy::{self, Admit, Clock, Decision, Facts, Fault, Foreign, RouteTo, Slot, Watch};
use crate::question::Tier;

/// A policy that is a function.
struct Function<F>(F);

impl<F: Fn(&Facts) -> Decision + Send + Sync> Foreign for Function<F> {
    fn decide(&self, facts: &Facts) -> Result<Decision, Fault> {
        Ok((self.0)(facts))
    }
}

fn as_built_in(facts: &Facts) -> Decision {
    policy::Policy::decide(&policy::AsBuiltIn, facts)
}

fn by(profile: policy::Profile) -> BrokerConfig {
    BrokerConfig { policy: Some(Arc::new(Slot::new(profile, Events::new()))), ..instances(8) }
}

async fn by_function(decide: impl Fn(&Facts) -> Option<Decision> + Send + Sync + 'static) -> BrokerConfig {
    let config = by(policy::Profile::default());
    let function = Function(move |facts: &Facts| decide(facts).unwrap_or_else(|| as_built_in(facts)));
    config.policy.as_ref().unwrap().swap("function", None, Some(Box::new(function)), "chosen").await;
    config
}

fn profile(text: &str) -> policy::Profile {
    serde_json::from_str(text).unwrap()
}

fn at(time: &str) -> Clock {
    let time: Timestamp = time.parse().unwrap();
    Clock::new(move || time, TimeZone::UTC)
}

fn models(bench: &Bench) -> Vec<String> {
    bench.backend.sent().into_iter().map(|(_, request)| request.model).collect()
}

fn dear(prompt: &str) -> Question {
    Question { tier: Tier::Comprehensive, ..question(prompt) }
}

const NIGHT: &str = r#"{"route": {"rules": [{"tier": "speed", "hours": "22:00-06:00", "reason": "it is night"}]}}"#;

#[tokio::test(start_paused = true)]
async fn at_night_questions_go_to_the_cheap_tier_and_the_record_says_so() {
    for (time, model) in [("2027-02-01T23:30:00Z", "claude-haiku-5-5"), ("2027-02-01T12:00:00Z", "claude-opus-5-5")] {
        let config = BrokerConfig { clock: at(time), ..by(profile(NIGHT)) };
        let bench = Bench::with(config, |_, _| Act::answer("yes"));
        bench.ask(dear("?")).await.unwrap();
        assert_eq!(models(&bench), [model]);
        let record = bench.ledger.records().remove(0);
        assert_eq!(record.tier, if time.contains("T23") { Tier::Speed } else { Tier::Comprehensive });
        let decisions = bench.ledger.decisions();
        let kinds: Vec<&str> = decisions.iter().map(|one| one.facts.kind().name()).collect();
        assert_eq!(kinds, ["route", "admit"]);
        let one = &decisions[0];
        assert_eq!((&*one.policy, one.generation, one.question), ("built-in", 1, Some(1)));
        assert_eq!(one.decision.reason() == "it is night", time.contains("T23"), "{one:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_user_goes_before_the_policy() {
    let night = BrokerConfig { clock: at("2027-02-01T23:30:00Z"), ..by(profile(NIGHT)) };
    let wishes = [
        Route { tier: Some(Tier::Comprehensive), ..Route::default() },
        Route { model: Some("claude-opus-5-5".to_owned()), ..Route::default() },
    ];
    for route in wishes {
        let bench = Bench::with(BrokerConfig { route, ..night.clone() }, |_, _| Act::answer("yes"));
        bench.ask(dear("?")).await.unwrap();
        assert_eq!(models(&bench), ["claude-opus-5-5"]);
        assert!(bench.ledger.decisions().iter().all(|one| one.facts.kind() != policy::Kind::Route));
    }
}

#[tokio::test(start_paused = true)]
async fn no_policy_sends_a_question_where_its_tools_are_not_granted() {
    let decide = |facts: &Facts| match facts {
        Facts::Route(_) => Some(Decision::Route(RouteTo::tier(policy::Tier::Speed, "cheap"))),
        _ => None,
    };
    let mut route = Route::default();
    route.comprehensive.tools = vec!["Read".to_owned()];
    let config = BrokerConfig { route, ..by_function(decide).await };
    let bench = Bench::with(config, |_, _| Act::answer("yes"));
    bench.ask(dear("without")).await.unwrap();
    bench.ask(Question { tools: vec!["Read".to_owned()], ..dear("with") }).await.unwrap();
    assert_eq!(models(&bench), ["claude-haiku-5-5", "claude-opus-5-5"]);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_rate_is_kept_exactly_with_many_at_once() {
    let admit = AdmitProfile { per_minute: Some(60), ..AdmitProfile::default() };
    let mut bench = Bench::with(by(policy::Profile { admit, ..policy::Profile::default() }), |_, _| Act::answer("yes"));
    let began = Instant::now();
    let asked = (0..90).map(|number| {
        let (broker, prompt) = (bench.broker.clone(), number.to_string());
        async move { broker.ask(&asker("audit"), question(&prompt), &mut |_| {}).await }
    });
    assert!(futures::future::join_all(asked).await.iter().all(Result::is_ok));
    let times: Vec<Duration> = bench.backend.sent().into_iter().map(|(at, _)| at - began).collect();
    assert_eq!(times.len(), 90);
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= seconds(1), "{pair:?}");
    }
    assert!(times[89] <= Duration::from_millis(89_500), "{:?}", times[89]);
    let decided = bench.ledger.decisions();
    let admits = |what: fn(&Admit) -> bool| {
        decided.iter().filter(|one| matches!(&one.decision, Decision::Admit(admit) if what(admit))).count()
    };
    assert_eq!(admits(|admit| *admit == Admit::Now), 90);
    assert_eq!(admits(|admit| matches!(admit, Admit::Later { .. })), 89, "waiting on is told once");
    bench.facts();
}

#[tokio::test(start_paused = true)]
async fn what_is_never_asked_gets_its_fallback_or_fails_and_nothing_is_sent() {
    let decide = |facts: &Facts| match facts {
        Facts::Admit(_) => Some(Decision::Admit(Admit::Never { reason: "not today".to_owned() })),
        _ => None,
    };
    let bench = Bench::with(by_function(decide).await, |_, _| Act::answer("yes"));
    let reply = bench.ask(with_fallback("?")).await.unwrap();
    assert!(reply.unasked_fallback, "the run is degraded by it");
    let failure = bench.ask(question("?")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotAdmitted);
    assert!(failure.message.contains("function") && failure.message.contains("not today"), "{failure:?}");
    assert!(bench.backend.sent().is_empty());
    assert_eq!(bench.broker.standing()[0].1.in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_policy_is_decided_again_by_the_next_one_and_when_dispatch_stops() {
    let outside = r#"{"admit": {"hours": "22:00-06:00"}}"#;
    let config = BrokerConfig { clock: at("2027-02-01T12:00:00Z"), ..by(profile(outside)) };
    let slot = config.policy.clone().unwrap();
    let bench = Bench::with(config, |_, _| Act::answer("yes"));
    let ask = |prompt: &'static str| {
        let broker = bench.broker.clone();
        tokio::spawn(async move { broker.ask(&asker("audit"), question(prompt), &mut |_| {}).await })
    };
    let waits = ask("one");
    tokio::time::sleep(seconds(3_600)).await;
    assert!(!waits.is_finished() && bench.backend.sent().is_empty());
    assert_eq!((bench.broker.standing()[0].1.waiting, bench.broker.standing()[0].1.in_flight), (0, 0));
    let before = Instant::now();
    slot.swap("day", Some(policy::Profile::default()), None, "chosen").await;
    waits.await.unwrap().unwrap();
    assert!(before.elapsed() < seconds(1));
    let last = bench.ledger.decisions().pop().unwrap();
    assert_eq!((&*last.policy, last.generation, last.decision), ("day", 2, Decision::Admit(Admit::Now)));

    slot.swap("night", Some(profile(outside)), None, "chosen").await;
    let waits = ask("two");
    tokio::time::sleep(seconds(60)).await;
    bench.broker.halt(Failure::new(FailureKind::Cancelled, "stopped")).await;
    assert_eq!(waits.await.unwrap().unwrap_err().kind, FailureKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_ended_also_where_nothing_comes() {
    let watch = WatchProfile { longest_s: Some(5), ..WatchProfile::default() };
    let config = by(policy::Profile { watch, ..policy::Profile::default() });
    let mut bench = Bench::with(config, |_, _| Act::answer("yes").after(seconds(20)));
    let began = Instant::now();
    let failure = bench.ask(question("?")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::RanAway);
    assert!(failure.message.contains("it takes longer than 5 s"), "{failure:?}");
    assert!((seconds(5)..=seconds(6)).contains(&began.elapsed()));
    assert_eq!(bench.broker.standing()[0].1.in_flight, 0);
    let decisions = bench.ledger.decisions();
    let kinds: Vec<&str> = decisions.iter().map(|one| one.facts.kind().name()).collect();
    assert_eq!(kinds, ["route", "admit", "watch"], "that it goes on is not told");
    assert_eq!(bench.facts().last().unwrap(), "question-settled ran-away");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_looked_at_five_times_a_second_at_most() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let decide = move |facts: &Facts| {
        let Facts::Watch(facts) = facts else { return None };
        let seen = count.fetch_add(1, Ordering::Relaxed);
        let kill = facts.elapsed_ms >= 3_000;
        assert!(seen <= facts.elapsed_ms / 200 + 1, "{seen} looks in {} ms", facts.elapsed_ms);
        kill.then(|| Decision::Watch(Watch::Kill { reason: "enough".to_owned() }))
    };
    let bench = Bench::with(by_function(decide).await, |_, _| Act::answer("yes").after(seconds(20)));
    let failure = bench.ask(question("?")).await.unwrap_err();
    assert!(failure.message.contains("function") && failure.message.contains("enough"), "{failure:?}");
    assert!((3..=16).contains(&asked.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_fails_in_the_middle_costs_no_question() {
    let decide = |facts: &Facts| match facts {
        Facts::Admit(facts) if facts.last_minute >= 3 => {
            Some(Decision::Admit(Admit::Later { wait_ms: 0, reason: String::new() }))
        }
        _ => None,
    };
    let bench = Bench::with(by_function(decide).await, |_, _| Act::answer("yes"));
    for number in 0..10 {
        bench.ask(question(&number.to_string())).await.unwrap();
    }
    let by: Vec<String> =
        bench.ledger.decisions().iter().map(|one| format!("{} {}", one.policy, one.generation)).collect();
    assert_eq!(by[..7], vec!["function 2"; 7]);
    assert_eq!(by[7..], vec!["built-in 3"; 13]);
}
