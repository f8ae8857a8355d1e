//! The answers of earlier runs.

use super::*;
use crate::responses::{Responses, ResponsesConfig};

struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A run that uses it.
    fn run(&self, script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Bench {
        self.run_with(|_| {}, |_| {}, script)
    }

    fn run_with(
        &self,
        cache: impl Fn(&mut ResponsesConfig),
        change: impl Fn(&mut BrokerConfig),
        script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static,
    ) -> Bench {
        let mut responses = ResponsesConfig {
            file: self.0.path().join("cache/responses.db"),
            key_file: self.0.path().join("data/responses.key"),
            most_bytes: 1 << 20,
            max_age: Duration::from_secs(86_400),
            read: true,
        };
        cache(&mut responses);
        let mut config = BrokerConfig { responses: Some(Responses::open(responses).unwrap()), ..instances(4) };
        change(&mut config);
        Bench::with(config, script)
    }
}

fn yes(_: usize, _: &Request) -> Act {
    Act::answer("yes")
}

#[tokio::test]
async fn what_an_earlier_run_was_told_is_not_asked_again() {
    let disk = Disk::new();
    disk.run(yes).ask(question("is it good?")).await.unwrap();
    let mut later = disk.run(yes);
    let (reply, heard) = later.read(question("is it good?")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.by, reply.usage), (AnsweredBy::Cache("claude-haiku-5-5".to_owned()), Usage::default()));
    assert_eq!(heard, [StreamEvent::Started, StreamEvent::Text("yes".to_owned())]);
    assert_eq!((later.backend.sent().len(), later.outcomes()), (0, vec!["cache".to_owned()]));
    assert_eq!(later.facts(), ["question-settled cache"]);
    assert!(matches!(later.ask(question("and this?")).await.unwrap().by, AnsweredBy::Model(_)));
}

#[tokio::test]
async fn who_asked_does_not_wait_until_the_answer_is_kept() {
    let disk = Disk::new();
    let bench = disk.run(yes);
    let outsider = rusqlite::Connection::open(disk.0.path().join("cache/responses.db")).unwrap();
    outsider.execute_batch("BEGIN IMMEDIATE; DELETE FROM responses").unwrap();
    bench.broker.ask(&asker("audit"), question("?"), &mut |_| {}).await.unwrap();
    assert_eq!(bench.broker.keeping.len(), 1);
    outsider.execute_batch("ROLLBACK").unwrap();
    bench.broker.close().await;
    assert_eq!(disk.run(yes).ask(question("?")).await.unwrap().by, AnsweredBy::Cache("claude-haiku-5-5".to_owned()));
}

#[tokio::test]
async fn what_may_not_be_repeated_or_wants_tools_is_neither_kept_nor_found() {
    let disk = Disk::new();
    for _ in 0..2 {
        let grant = |config: &mut BrokerConfig| config.route.comprehensive.tools = vec!["Read".to_owned()];
        let bench = disk.run_with(|_| {}, grant, yes);
        bench.ask(Question { repeatable: false, ..question("once") }).await.unwrap();
        bench.ask(Question { tools: vec!["Read".to_owned()], ..question("look") }).await.unwrap();
        assert_eq!(bench.backend.sent().len(), 2);
    }
}

#[tokio::test]
async fn failures_fallbacks_and_half_answers_are_not_kept() {
    let disk = Disk::new();
    let failing = disk.run(|_, request| match request.prompt.as_str() {
        "half" => Act { truncated: true, ..Act::answer("it is") },
        _ => Act::fail(FailureKind::Refused),
    });
    assert!(failing.ask(with_fallback("no")).await.unwrap().unasked_fallback);
    failing.ask(question("half")).await.unwrap();
    let later = disk.run(yes);
    for prompt in ["no", "half"] {
        assert!(matches!(later.ask(question(prompt)).await.unwrap().by, AnsweredBy::Model(_)), "{prompt}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_fallback_model_is_not_the_answer() {
    let disk = Disk::new();
    let fall_back = |config: &mut BrokerConfig| config.route.speed.fallback_models = vec!["claude-other".to_owned()];
    let busy = disk.run_with(
        |_| {},
        fall_back,
        |_, request| match request.model.as_str() {
            "claude-other" => Act::answer("a guess"),
            _ => Act::fail(FailureKind::Overloaded),
        },
    );
    assert_eq!(busy.ask(question("?")).await.unwrap().text, "a guess");
    let later = disk.run_with(|_| {}, fall_back, yes);
    assert_eq!(later.ask(question("?")).await.unwrap().text, "yes");
}

#[tokio::test]
async fn nothing_is_kept_in_which_a_secret_was_found() {
    let secret = ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat();
    for mode in [ScanMode::Standard, ScanMode::Basic] {
        let disk = Disk::new();
        for _ in 0..2 {
            let bench = disk.run_with(|_| {}, |config| config.scan = mode, yes);
            bench.ask(question(&format!("is {secret} good?"))).await.unwrap();
            assert_eq!(bench.backend.sent().len(), 1, "{mode:?}");
        }
    }
}

#[tokio::test]
async fn a_refresh_asks_and_keeps_the_new_answer() {
    let disk = Disk::new();
    disk.run(yes).ask(question("?")).await.unwrap();
    let refreshing = disk.run_with(|cache| cache.read = false, |_| {}, |_, _| Act::answer("no"));
    assert_eq!(refreshing.ask(question("?")).await.unwrap().text, "no");
    let reply = disk.run(yes).ask(question("?")).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.by), ("no", AnsweredBy::Cache("claude-haiku-5-5".to_owned())));
}

#[tokio::test]
async fn an_answer_is_checked_against_its_schema_again() {
    let disk = Disk::new();
    let bench = disk.run(|_, _| Act::answer("{\"good\": true}"));
    bench.ask(with_schema("?")).await.unwrap();
    let later = disk.run(yes);
    assert_eq!(later.ask(with_schema("?")).await.unwrap().text, "{\"good\": true}");
    // As if rules for schemas had become stricter since.
    let responses = later.broker.config.responses.clone().unwrap();
    let request = Route::default().request(&with_schema("?"));
    let key = Key::of(&request).at("scripted", "scripted");
    let misfit = Cached { text: "{\"good\": 7}".to_owned(), model: "m".to_owned(), edits: Vec::new() };
    assert_eq!(responses.keep(key, &misfit).await, None);
    let mut strict = disk.run(|_, _| Act::answer("{\"good\": false}"));
    assert_eq!(strict.ask(with_schema("?")).await.unwrap().text, "{\"good\": false}");
    assert!(strict.facts()[0].contains("does not fit its question"));
}

#[tokio::test]
async fn a_cache_that_breaks_is_said_once_and_costs_no_answer() {
    let disk = Disk::new();
    let mut bench = disk.run(yes);
    let outsider = rusqlite::Connection::open(disk.0.path().join("cache/responses.db")).unwrap();
    outsider.execute_batch("DROP TABLE responses").unwrap();
    for prompt in ["one", "two", "three"] {
        assert!(matches!(bench.ask(question(prompt)).await.unwrap().by, AnsweredBy::Model(_)));
    }
    let facts = bench.facts();
    let warnings: Vec<&String> = facts.iter().filter(|fact| fact.starts_with("warned")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the response cache is not used"), "{warnings:?}");
}
