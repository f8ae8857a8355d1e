//! Who decides what is done after a failure, and how far.

use super::*;
use crate::policy::{AsBuiltIn, Decision, Facts, Fault, Foreign, Policy, Recover, RecoverFacts};

/// Decides after failures, and shows what it was told.
struct Says(fn(&RecoverFacts) -> Recover);

impl Foreign for Says {
    fn decide(&self, facts: &Facts) -> Result<Decision, Fault> {
        match facts {
            Facts::Recover(facts) => Ok(Decision::Recover((self.0)(facts))),
            facts => Ok(AsBuiltIn.decide(facts)),
        }
    }
}

async fn bench(says: fn(&RecoverFacts) -> Recover, script: fn(usize, &Request) -> Act) -> Bench {
    let bench = Bench::new(script);
    bench.broker.lanes().policy().swap("says", None, Some(Box::new(Says(says))), "chosen").await;
    bench
}

fn opus(prompt: &str) -> Question {
    Question { tier: Tier::Comprehensive, ..with_fallback(prompt) }
}

fn decided(bench: &mut Bench) -> Vec<String> {
    let mut decided = Vec::new();
    while let Some(event) = bench.events.try_recv() {
        if let Fact::Decided { kind, policy, decision, reason, .. } = &event.fact
            && kind == "recover"
        {
            decided.push(format!("{kind} {policy}: {decision} {reason}"));
        }
    }
    decided
}

#[tokio::test(start_paused = true)]
async fn another_policy_has_a_question_given_up_after_one_failure_and_that_is_told() {
    let give_up = |_: &RecoverFacts| Recover::GiveUp { reason: "once is enough".to_owned() };
    let mut bench = bench(give_up, |_, _| Act::fail(FailureKind::Server)).await;
    let reply = bench.ask(opus("?")).await.unwrap();
    let AnsweredBy::Fallback(why) = reply.by else { panic!("{reply:?}") };
    assert_eq!((why.as_str(), bench.backend.sent().len()), ("it failed (once is enough)", 1), "no other model either");
    assert_eq!(decided(&mut bench), ["recover says: give up once is enough"]);
}

#[tokio::test(start_paused = true)]
async fn another_policy_has_the_next_model_asked_at_once() {
    let next = |_: &RecoverFacts| Recover::NextModel { reason: String::new() };
    let bench = bench(next, |number, _| if number == 0 { Act::fail(FailureKind::Server) } else { Act::answer("yes") });
    let bench = bench.await;
    let reply = bench.ask(opus("?")).await.unwrap();
    assert_eq!(reply.by, AnsweredBy::Model("claude-haiku-5-5".to_owned()));
    assert_eq!(bench.backend.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_policy_stops_dispatch_and_what_was_not_asked_is_not_lost() {
    let stop = |_: &RecoverFacts| Recover::Stop { reason: "enough".to_owned() };
    let bench = bench(stop, |_, _| Act::fail(FailureKind::Server)).await;
    let failure = bench.ask(with_fallback("?")).await.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Cancelled, "it failed (enough)"));
    assert_eq!(bench.ask(with_fallback("!")).await.unwrap_err().kind, FailureKind::Cancelled);
    assert_eq!(bench.backend.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_policy_shortens_what_the_server_said_or_asks_after_a_terminal_failure() {
    let at_once = |_: &RecoverFacts| Recover::Retry { wait_ms: 0 };
    let hasty = bench(at_once, |number, _| match number {
        0 => Act::failure(Failure { retry_after: Some(seconds(171)), ..Failure::new(FailureKind::RateLimited, "429") }),
        _ => Act::answer("yes"),
    });
    let hasty = hasty.await;
    let began = Instant::now();
    hasty.ask(question("?")).await.unwrap();
    assert!(began.elapsed() >= seconds(171));
    let stubborn = bench(at_once, |_, _| Act::fail(FailureKind::Auth)).await;
    assert_eq!(stubborn.ask(with_fallback("?")).await.unwrap_err().kind, FailureKind::Auth);
    assert_eq!(stubborn.backend.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_told_all_that_is_known() {
    fn looks(facts: &RecoverFacts) -> Recover {
        let told = (facts.command.as_str(), facts.role.as_str(), facts.failure.as_str(), facts.model.as_str());
        assert_eq!(told, ("audit", "code-reviewer", "cut", "claude-opus-5-5"));
        assert_eq!((facts.failures, facts.retries_left, facts.load.in_flight), (1, 10, 1));
        assert!(facts.transient && facts.repeatable && facts.reached_model && facts.has_next && !facts.terminal);
        assert!(facts.now.unix_ms > 0 && (1..=7).contains(&facts.now.weekday) && (0.0..=1.0).contains(&facts.random));
        assert_eq!((facts.tier, facts.retry_after_ms), (crate::policy::Tier::Comprehensive, Some(7_000)));
        assert!(matches!(facts.built_in, Recover::Retry { wait_ms: 7_000..=7_500 }), "{:?}", facts.built_in);
        Recover::GiveUp { reason: "seen".to_owned() }
    }
    let script = |_: usize, _: &Request| {
        let failure = Failure::new(FailureKind::Cut, "cut");
        Act::failure(Failure { reached_model: true, retry_after: Some(seconds(7)), ..failure })
    };
    let mut bench = bench(looks, script).await;
    bench.ask(opus("?")).await.unwrap();
    assert_eq!(decided(&mut bench), ["recover says: give up seen"]);
}
