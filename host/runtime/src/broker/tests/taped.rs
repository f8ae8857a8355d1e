//! What is recorded, and how it is answered again.

use super::*;
use crate::backend::replay::Replay;
use crate::cassette::Tape;

fn question(prompt: &str) -> Question {
    Question { prompt: prompt.to_owned(), repeatable: true, ..Question::default() }
}

/// A bench that records.
fn recording(script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> (Bench, Arc<Tape>) {
    let tape = Arc::new(Tape::default());
    let config = BrokerConfig { tape: Some(tape.clone()), ..BrokerConfig::default() };
    (Bench::with(config, script), tape)
}

/// One that answers from a tape; its scripted backend is never asked.
fn replaying(tape: &Tape) -> Bench {
    let replay = Arc::new(Replay::new(tape.cassettes().unwrap(), true));
    let nobody = Scripted::new(|_, _| panic!("a replay asks nobody"));
    Bench::over(BrokerConfig::default(), nobody, replay)
}

#[tokio::test(start_paused = true)]
async fn a_replay_gives_the_answers_without_sending_or_paying() {
    let (bench, tape) = recording(|_, request| Act::answer(&format!("to {}", request.prompt)));
    for prompt in ["a", "b", "a"] {
        bench.ask(question(prompt)).await.unwrap();
    }
    let again = replaying(&tape);
    for prompt in ["b", "a", "a"] {
        let reply = again.ask(question(prompt)).await.unwrap();
        assert_eq!((reply.text, reply.usage), (format!("to {prompt}"), Usage::default()));
    }
    assert_eq!(again.broker.spent(), Usage::default());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_again_until_it_went_well_is_one_answer() {
    let (bench, tape) = recording(|number, _| match number {
        0 | 1 => Act::fail(FailureKind::Overloaded),
        _ => Act::answer("at last"),
    });
    assert_eq!(bench.ask(question("a")).await.unwrap().text, "at last");
    let start = Instant::now();
    assert_eq!(replaying(&tape).ask(question("a")).await.unwrap().text, "at last");
    assert_eq!(start.elapsed(), Duration::ZERO, "a replay waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_replayed_in_the_same_words_and_nothing_is_asked_again() {
    let (bench, tape) = recording(|_, _| Act::fail(FailureKind::Overloaded));
    let dear = Question { tier: crate::question::Tier::Comprehensive, ..question("a") };
    let with_fallback = Question { fallback: Some("rules".to_owned()), ..question("b") };
    let failed = bench.ask(dear.clone()).await.unwrap_err();
    let fallen = bench.ask(with_fallback.clone()).await.unwrap();
    let mut again = replaying(&tape);
    let start = Instant::now();
    let replayed = again.ask(dear).await.unwrap_err();
    assert_eq!((replayed.kind, replayed.message), (failed.kind, failed.message));
    let replayed = again.ask(with_fallback).await.unwrap();
    assert_eq!((replayed.text, replayed.by, replayed.unasked_fallback), (fallen.text, fallen.by, true));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!again.facts().iter().any(|fact| fact.starts_with("question-retried") || fact.starts_with("breaker")));
}

#[tokio::test(start_paused = true)]
async fn many_recorded_failures_open_no_breaker() {
    let (bench, tape) = recording(|number, _| match number {
        0..20 => Act::fail(FailureKind::Invalid),
        _ => Act::answer("well"),
    });
    for number in 0..21 {
        let _ = bench.ask(question(&number.to_string())).await;
    }
    let again = replaying(&tape);
    for number in 0..20 {
        assert_eq!(again.ask(question(&number.to_string())).await.unwrap_err().kind, FailureKind::Invalid);
    }
    assert_eq!(again.ask(question("20")).await.unwrap().text, "well");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_failure_stops_a_replay_as_it_stopped_the_run() {
    let (bench, tape) = recording(|_, _| Act::fail(FailureKind::Auth));
    bench.ask(question("a")).await.unwrap_err();
    let again = replaying(&tape);
    assert_eq!(again.ask(question("a")).await.unwrap_err().kind, FailureKind::Auth);
    assert!(again.broker.stopped().borrow().is_some());
}

#[tokio::test(start_paused = true)]
async fn no_fallback_hides_that_a_question_was_not_recorded() {
    let (bench, tape) = recording(|_, _| Act::answer("yes"));
    bench.ask(question("a")).await.unwrap();
    let changed = Question { fallback: Some("rules".to_owned()), ..question("another") };
    let failure = replaying(&tape).ask(changed).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotRecorded);
    assert!(failure.message.contains("recorded `a`, asked `another`"), "{}", failure.message);
    assert!(!failure.kind.is_transient() && !failure.kind.is_terminal());
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_input_alone_is_too_dear_is_not_sent() {
    let mut config = BrokerConfig::default();
    config.watch.most_usd = Some(Usd::from_dollars(0.000_001));
    let bench = Bench::with(config, |_, _| Act::answer("yes"));
    let failure = bench.ask(question(&"word ".repeat(10_000))).await.unwrap_err();
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::RanAway, false));
    assert!(bench.backend.sent().is_empty());
}
