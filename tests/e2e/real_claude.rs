//! The real `claude` program against the stand-in: what it does on the wire, not what is said of it.
//!
//! It has 378 MB, so these tests run where `CONVOKE_REAL_CLAUDE` names it, and say aloud when they are skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::backend::claude_cli::ClaudeConfig;
use convoke_runtime::broker::{Broker, BrokerConfig};
use convoke_runtime::question::{Failure, FailureKind, Question, Reply};
use convoke_runtime::retry::RetryConfig;
use convoke_runtime::route::{Route, TierRoute};
use convoke_standin::{Fault, RetryAfter, Standin, When};
use futures::future::join_all;
use serde_json::json;
use tempfile::TempDir;

use crate::claude_cli::{asker, broker};
use crate::support::{faulty, quick};

/// Where it is; none: skipped, and said.
pub(crate) fn program() -> Option<PathBuf> {
    let found = std::env::var_os("CONVOKE_REAL_CLAUDE").filter(|path| !path.is_empty()).map(PathBuf::from);
    if found.is_none() {
        say("SKIPPED: CONVOKE_REAL_CLAUDE does not name a `claude`, so the real program is not tested");
    }
    found
}

fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A broker with the real program, and the folder of its records.
struct Real {
    folder: TempDir,
    broker: Arc<Broker>,
}

impl Real {
    fn new(program: &Path, standin: &Standin, instances: usize, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let warden = PathBuf::from(env!("CARGO_BIN_EXE_convoke"));
        let mut config = ClaudeConfig::new(program.to_owned(), warden, folder.path().join("instances"));
        config.env = [
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("HOME", folder.path().to_string_lossy().into_owned()),
            ("ANTHROPIC_BASE_URL", standin.url()),
            ("ANTHROPIC_API_KEY", "sk-dummy".to_owned()),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        let mut settings = BrokerConfig {
            retry: RetryConfig { attempts: 1, ..RetryConfig::default() },
            admission: AdmissionConfig { instances, ..AdmissionConfig::default() },
            ..BrokerConfig::default()
        };
        change(&mut settings);
        Self { broker: Arc::new(broker(config, settings)), folder }
    }

    async fn ask(&self, prompt: &str) -> Result<Reply, Failure> {
        let question =
            Question { role: "tester".to_owned(), prompt: prompt.to_owned(), repeatable: true, ..Question::default() };
        self.broker.ask(&asker(), question, &mut |_| {}).await
    }

    /// How many processes there are, by their wardens' records.
    fn living(&self) -> usize {
        let records = std::fs::read_dir(self.folder.path().join("instances")).expect("a folder").flatten();
        records.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
    }

    async fn end(self) {
        self.broker.close().await;
        assert_eq!(self.living(), 0, "a process is left");
    }
}

#[tokio::test]
async fn four_warm_processes_answer_twenty_questions_and_none_hears_of_anothers() {
    let Some(program) = program() else { return };
    let standin = quick().await;
    let real = Arc::new(Real::new(&program, &standin, 4, |_| {}));
    let most = Arc::new(AtomicUsize::new(0));
    let watched = (real.clone(), most.clone());
    let watcher = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            watched.1.fetch_max(watched.0.living(), Ordering::Relaxed);
        }
    });
    let words: Vec<String> = (0..20).map(|number| format!("canary{number:03}x")).collect();
    let replies = join_all(words.iter().map(|word| real.ask(word))).await;
    watcher.abort();
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert!((1..=4).contains(&most.load(Ordering::Relaxed)), "{most:?}");
    let requests = standin.requests();
    assert_eq!(requests.len(), 20);
    for request in requests {
        let body = request.body.to_string();
        let heard: Vec<&String> = words.iter().filter(|word| body.contains(word.as_str())).collect();
        assert_eq!(heard.len(), 1, "what was asked before came with it: {heard:?}");
    }
    let _ = watcher.await;
    Arc::into_inner(real).expect("nobody else has it").end().await;
}

#[tokio::test]
async fn a_structured_answer_fits_its_schema_and_its_tokens_are_the_stand_ins() {
    let Some(program) = program() else { return };
    let standin = quick().await;
    let real = Real::new(&program, &standin, 1, |_| {});
    let schema = json!({"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"],
        "additionalProperties": false});
    let question = Question { prompt: "Is it good?".to_owned(), schema: Some(schema), ..Question::default() };
    let reply = real.broker.ask(&asker(), question, &mut |_| {}).await.expect("an answer");
    assert!(serde_json::from_str::<serde_json::Value>(&reply.text).expect("JSON")["good"].is_boolean());
    let tokens = standin.requests()[0].tokens;
    assert_eq!(
        (reply.usage.requests, reply.usage.input_tokens, reply.usage.output_tokens),
        (1, tokens.input, tokens.output)
    );
    real.end().await;
}

#[tokio::test]
async fn only_the_questions_own_words_are_sent_and_no_tool() {
    let Some(program) = program() else { return };
    let standin = quick().await;
    let real = Real::new(&program, &standin, 1, |_| {});
    real.ask("Just this?").await.expect("an answer");
    let body = &standin.requests()[0].body;
    assert_eq!(body["tools"].as_array().map_or(0, Vec::len), 0, "{}", body["tools"]);
    assert!(body["system"].to_string().contains("Your role: tester"), "{}", body["system"]);
    assert_eq!(body["max_tokens"], 4_096);
    real.end().await;
}

#[tokio::test]
async fn each_fault_has_its_kind_and_costs_this_many_requests() {
    let Some(program) = program() else { return };
    let limited = |seconds| Fault::RateLimited { retry_after: RetryAfter::Seconds(seconds) };
    let mut table: BTreeMap<&str, (FailureKind, u64)> = BTreeMap::new();
    for (name, fault) in [
        ("429 in 1 s", limited(1)),
        ("429 in 120 s", limited(120)),
        ("529", Fault::Overloaded),
        ("500", Fault::Server),
        ("401", Fault::Unauthorized),
        ("400", Fault::Status(400)),
        ("413", Fault::Status(413)),
        ("cut before", Fault::CutStream { after_events: 0 }),
        ("cut amid", Fault::CutStream { after_events: 3 }),
        ("refusal", Fault::Refusal),
        ("silence", Fault::Silence { mid_stream: false }),
        ("silence amid", Fault::Silence { mid_stream: true }),
        ("pings amid", Fault::SlowPing { every: Duration::from_millis(50) }),
    ] {
        let standin = faulty([(When::contains("doomed"), fault)]).await;
        let real = Real::new(&program, &standin, 1, |config| {
            let speed =
                TierRoute { timeout: Duration::from_secs(6), stall: Duration::from_secs(2), ..TierRoute::default() };
            config.route = Route { speed, ..Route::default() };
        });
        real.ask("fine").await.expect("an answer");
        let failure = real.ask("doomed").await.expect_err(name);
        table.insert(name, (failure.kind, standin.stats().requests - 1));
        real.end().await;
    }
    for (name, (kind, requests)) in &table {
        say(&format!("{name:14} {:14} {requests} requests", kind.name()));
    }
    let kind = |name: &str| table[name].0.name();
    assert_eq!([kind("429 in 1 s"), kind("429 in 120 s")], ["rate-limited"; 2]);
    assert_eq!([kind("529"), kind("500"), kind("401")], ["overloaded", "server", "auth"]);
    assert_eq!([kind("400"), kind("413")], ["invalid", "too-large"]);
    assert_eq!([kind("cut before"), kind("cut amid")], ["network", "cut"]);
    assert_eq!(kind("refusal"), "refused");
    assert_eq!(kind("silence"), "timed-out");
    assert_eq!([kind("silence amid"), kind("pings amid")], ["stalled"; 2]);
    // One each: the program is stopped at its first failure. A 400 it sends again with fewer beta features, and after a
    // refusal it asks again so soon that stopping it may come too late.
    for (name, (_, requests)) in &table {
        let most = match *name {
            "400" => 3,
            "refusal" => 2,
            _ => 1,
        };
        assert!(*requests <= most, "{name}: {requests}");
    }
}
