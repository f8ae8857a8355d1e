//! What is logged of made events.

use std::fs;
use std::sync::Arc;

use convoke_runtime::event::{Event, Fact, RunFacts};
use convoke_runtime::work::Outcome;
use serde_json::Value;

use super::file::{LogFile, Shared};
use super::lines::Scribe;
use super::*;

const RUN: &str = "0199a7a2-0f3c-7b1e-8a51-8f3a9c01d2e4";

fn wish(level: Option<&str>) -> Wish {
    Wish { level: level.map(str::to_owned), ..Wish::default() }
}

fn filter(level: Option<&str>, variable: Option<&str>) -> Result<Option<String>, LogError> {
    let env = |name: &str| variable.filter(|_| name == VARIABLE).map(str::to_owned);
    wish(level).filter(env).map(|targets| targets.map(|targets| targets.to_string()))
}

#[test]
fn without_a_wish_there_are_no_logs_and_an_option_goes_before_the_variable() {
    assert_eq!(filter(None, None).unwrap(), None);
    assert_eq!(filter(None, Some(" ")).unwrap(), None);
    assert_eq!(filter(None, Some("off")).unwrap(), None);
    assert_eq!(filter(None, Some("debug")).unwrap().as_deref(), Some("convoke=debug"));
    assert_eq!(filter(Some("warn"), Some("debug")).unwrap().as_deref(), Some("convoke=warn"));
    let file = Wish { file: Some("x.log".into()), ..Wish::default() };
    assert_eq!(file.filter(|_| None).unwrap().map(|targets| targets.to_string()).as_deref(), Some("convoke=info"));
}

#[test]
fn a_part_has_its_own_level_and_the_lines_of_others_are_never_logged() {
    let parts = filter(Some("info,convoke::question=debug"), None).unwrap().unwrap();
    assert!(parts.contains("convoke=info") && parts.contains("convoke::question=debug"), "{parts}");
    for wrong in ["loud", "hyper=trace", "h2", "convokes=info", "convoke=9", "info,convoke::run="] {
        let error = filter(None, Some(wrong)).unwrap_err();
        assert!(error.to_string().starts_with("CONVOKE_LOG: "), "{error}");
        assert!(error.hint().contains("debug"));
    }
}

fn began() -> Fact {
    Fact::RunStarted(Box::new(RunFacts {
        run: RUN.to_owned(),
        command: "deps".to_owned(),
        subcommand: None,
        plugin: "deps".to_owned(),
        version: "0.1.0".to_owned(),
        project: "/p".to_owned(),
        mode: "safe".to_owned(),
        backend: "offline".to_owned(),
        instances: 3,
        budget: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        continued: false,
        pid: 1,
    }))
}

/// What stands in the file when this was told.
fn logged(format: Format, level: &str, facts: impl IntoIterator<Item = Fact>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let filter = wish(Some(level)).filter(|_| None).unwrap().unwrap();
    let subscriber = subscriber(format, filter, Shared(Arc::new(LogFile::open(&path).unwrap())));
    tracing::subscriber::with_default(subscriber, || {
        let mut scribe = Scribe::default();
        for (second, fact) in facts.into_iter().enumerate() {
            let event = Event { at: std::time::Duration::from_secs(second as u64), fact };
            scribe.write(&event, "2026-01-02T03:04:05Z".parse().unwrap());
        }
        tracing::error!(target: "h2::client", "x-api-key: a secret");
    });
    fs::read_to_string(&path).unwrap()
}

fn item_fails(reason: &str) -> [Fact; 3] {
    let (label, outcome) = ("a.toml".to_owned(), Outcome::Failed(reason.to_owned()));
    [
        began(),
        Fact::ItemStarted { worker: 1, item: 4, id: String::new(), label, group: None, attempt: 1 },
        Fact::ItemEnded { worker: Some(1), item: 4, outcome, took: std::time::Duration::from_millis(1_500) },
    ]
}

#[test]
fn a_line_of_json_has_the_time_of_its_event_and_the_ids() {
    let text = logged(Format::Json, "info", item_fails("it is broken"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "that an item begins is for debug: {text}");
    let line = &lines[1];
    assert_eq!(line["timestamp"], "2026-01-02T03:04:07.000000Z");
    assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &"convoke::item".into()));
    assert_eq!((&line["run"], &line["item"], &line["label"]), (&RUN.into(), &4.into(), &"a.toml".into()));
    assert_eq!((&line["what"], &line["reason"]), (&"failed".into(), &"it is broken".into()));
    assert_eq!(line["seconds"], 1.5);
    assert!(line.get("question").is_none(), "{line}");
}

#[test]
fn a_line_for_people_is_one_line_whatever_a_plugin_says() {
    let text = logged(Format::Text, "debug", item_fails("two\nlines \u{1b}[31m\u{202e}"));
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("2026-01-02T03:04:07.000000Z  WARN convoke::item: an item has ended run="), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn no_credential_and_no_line_of_the_crates_beneath_is_logged() {
    let key = format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o");
    let mut facts = item_fails(&format!("the key {key} is wrong")).to_vec();
    let said = Fact::Logged { level: "info".into(), item: Some(4), message: format!("I use {key}") };
    facts.push(said);
    let text = logged(Format::Json, "trace", facts);
    assert!(text.contains("is wrong") && text.contains("a plugin says"), "{text}");
    assert!(!text.contains(&key) && !text.contains("x-api-key"), "{text}");
    let quiet = logged(
        Format::Json,
        "info",
        [began(), Fact::Logged { level: "error".into(), item: None, message: "p".into() }],
    );
    assert_eq!(quiet.lines().count(), 1, "what plugins say is for debug: {quiet}");
}

#[test]
fn a_log_file_is_its_users_alone_and_is_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    LogFile::open(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    fs::write(&path, "before\n").unwrap();
    use std::io::Write;
    use tracing_subscriber::fmt::MakeWriter;
    Shared(Arc::new(LogFile::open(&path).unwrap())).make_writer().write_all(b"after\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\n");
    let error = LogFile::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("can't write logs to"), "{error}");
}
