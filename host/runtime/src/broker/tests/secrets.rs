//! Secrets of many kinds, in all that is sent, by mode: what leaves, and what is told.

use super::*;

/// Random characters that no one has used as a secret.
const NOISE: &str =
    "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5oW0iQjGzBvCkDyMnFrShUpAeLtOlIq2w3e4r5t6y7u8i9oP0aSdFgHjKlZxCvBnM1q2W";

/// What they are, and what must not be seen of them. Put together here, so that no scanner takes this file for a leak.
fn secrets() -> Vec<(&'static str, String, String)> {
    let noise = |length: usize| NOISE[..length].to_owned();
    let whole = |kind, token: String| (kind, token.clone(), token);
    let key = format!("-----BEGIN RSA {0}-----\n{1}\n-----END RSA {0}-----", "PRIVATE KEY", noise(64));
    vec![
        whole("anthropic-api-key", format!("sk-ant-api03-{}-{}AA", noise(80), noise(8))),
        whole("openai-api-key", format!("sk-proj-{}", noise(100))),
        whole("aws-access-key-id", ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat()),
        whole("github-token", format!("ghp_{}", noise(36))),
        whole("gitlab-token", format!("glpat-{}", noise(20))),
        whole("google-api-key", format!("AIza{}", noise(35))),
        whole("npm-token", format!("npm_{}", noise(36))),
        whole("json-web-token", format!("eyJ{}.eyJ{}.{}", noise(20), noise(40), noise(43))),
        ("private-key", key, noise(64)),
        ("url-password", format!("postgres://app:{}@db.internal/app", "k3J9-vQ2m"), "k3J9-vQ2m".to_owned()),
        ("assigned-secret", format!("api_key = \"{}\"", noise(32)), noise(32)),
    ]
}

/// The question with it in each place, and what that is called.
fn places(text: &str) -> Vec<(&'static str, Question)> {
    let schema = json!({"type": "object", "properties": {"kind": {"enum": ["x", text]}}});
    vec![
        ("instructions", Question { system: Some(text.to_owned()), ..with_fallback("?") }),
        ("context", Question { context: Some(text.to_owned()), ..with_fallback("?") }),
        ("prompt", with_fallback(&format!("what is this?\n{text}\n"))),
        ("schema", Question { schema: Some(schema), fallback: None, ..question("?") }),
    ]
}

/// All that anybody sees, beside what is sent.
fn seen(bench: &mut Bench, result: &Result<Reply, Failure>) -> String {
    let mut seen = format!("{result:?}{:?}", bench.ledger.records());
    while let Some(event) = bench.events.try_recv() {
        seen += &serde_json::to_string(&*event).unwrap();
    }
    seen
}

async fn asked(mode: ScanMode, question: Question) -> (Bench, Result<Reply, Failure>) {
    let bench = Bench::with(BrokerConfig { scan: mode, ..BrokerConfig::default() }, |_, _| Act::answer("{}"));
    let result = bench.ask(question).await;
    (bench, result)
}

#[tokio::test(start_paused = true)]
async fn in_safe_mode_any_secret_anywhere_stops_the_run_and_nothing_is_sent() {
    for (kind, text, secret) in secrets() {
        for (place, question) in places(&text) {
            let (mut bench, result) = asked(ScanMode::Strict, question).await;
            let failure = result.clone().unwrap_err();
            assert_eq!(failure.kind, FailureKind::Secret, "{kind} {place}");
            assert!(failure.message.contains(kind) && failure.message.contains(place), "{failure}");
            assert!(failure.message.starts_with("agents/a.md: not sent"), "{failure}");
            assert_eq!(bench.backend.sent().len(), 0);
            assert!(bench.broker.stopped().borrow().is_some());
            assert!(!seen(&mut bench, &result).contains(&secret), "{kind} {place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_balanced_mode_any_secret_anywhere_is_redacted_and_that_is_told() {
    for (kind, text, secret) in secrets() {
        for (place, question) in places(&text) {
            let (mut bench, result) = asked(ScanMode::Standard, question).await;
            let sent = bench.backend.sent();
            assert_eq!(sent.len(), 1, "{kind} {place}: {result:?}");
            assert!(!format!("{:?}", sent[0].1).contains(&secret), "{kind} {place}");
            let seen = seen(&mut bench, &result);
            assert!(seen.contains(&format!("a secret ({kind}) in the {place} was redacted")), "{kind} {place}: {seen}");
            assert!(!seen.contains(&secret), "{kind} {place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_performance_mode_a_secret_is_sent_and_told_but_not_shown() {
    for (kind, text, secret) in secrets() {
        for (place, question) in places(&text) {
            let (mut bench, result) = asked(ScanMode::Basic, question).await;
            assert_eq!(bench.backend.sent().len(), 1);
            let seen = seen(&mut bench, &result);
            assert!(seen.contains(&format!("a secret ({kind}) in the {place} was sent as it is")), "{kind} {place}");
            assert!(!seen.contains(&secret), "{kind} {place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_brings_into_the_corrected_prompt_is_scanned_too() {
    let secret = ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat();
    let wrong = json!({"good": secret}).to_string();
    let bench = Bench::new(move |number, _| match number {
        0 => Act::answer(&wrong),
        _ => Act::answer("{\"good\":true}"),
    });
    bench.ask(with_schema("?")).await.unwrap();
    assert_eq!(bench.backend.sent().len(), 2);
    assert!(!bench.backend.prompts()[1].contains(&secret), "{}", bench.backend.prompts()[1]);
}
