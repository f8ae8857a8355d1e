use convoke_runtime::event::{Event, Fact, RunFacts, Settled};
use convoke_runtime::journal::{Journal, RunId, RunRecord};
use convoke_runtime::question::Tier;
use convoke_runtime::work::Outcome;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

use super::*;
use crate::report::samples;

const RUN: &str = "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4";

pub(super) fn started() -> Fact {
    Fact::RunStarted(Box::new(RunFacts {
        run: RUN.to_owned(),
        command: "agent-audit".to_owned(),
        subcommand: None,
        plugin: "agent-audit".to_owned(),
        version: "0.1.0".to_owned(),
        project: "/p".to_owned(),
        mode: "balanced".to_owned(),
        backend: "anthropic".to_owned(),
        instances: 8,
        budget: None,
        started: Timestamp::UNIX_EPOCH,
        continued: false,
        pid: 7,
    }))
}

pub(super) async fn begun(journal: &Journal) -> RunId {
    let id: RunId = RUN.parse().unwrap();
    let run = RunRecord {
        id,
        command: "agent-audit".to_owned(),
        subcommand: None,
        plugin_name: String::new(),
        plugin_version: String::new(),
        plugin_digest: String::new(),
        arguments: Value::Null,
        project: String::new(),
        mode: String::new(),
        backend: String::new(),
        started: Timestamp::UNIX_EPOCH,
        typed: None,
    };
    journal.begin_run(run).await.unwrap();
    id
}

/// What hostile text would do if it were markup, a script, or part of one.
const HOSTILE: &[&str] = &[
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "'-alert(1)-'",
    "&lt;script&gt;",
    "\u{2028}alert(1)\u{2029}",
    "]]><script>",
    "</title></style></textarea>",
    "javascript:alert(1)",
    "\u{202e}gpj.exe",
];

/// A run in which every text that somebody else wrote is this one.
fn hostile(text: &str) -> (Timeline, Value) {
    let mut timeline = Timeline::default();
    let said = || text.to_owned();
    let Fact::RunStarted(mut facts) = started() else { unreachable!("it is one") };
    (facts.command, facts.plugin, facts.project, facts.backend) = (said(), said(), said(), said());
    let settled = Settled { role: said(), model: said(), backend: said().into(), by: said(), ..Settled::default() };
    let told = [
        Fact::RunStarted(facts),
        Fact::WorkerStarted { worker: 0, segment: said() },
        Fact::ItemStarted { worker: 0, item: 0, id: said(), label: said(), group: Some(said()), attempt: 1 },
        Fact::ItemProgress { item: 0, done: 0.5, note: said() },
        Fact::QuestionQueued { question: 0, item: 0, role: said(), tier: Tier::Speed },
        Fact::QuestionSent { question: 0, item: 0, model: said(), backend: said().into(), attempt: 1 },
        Fact::QuestionRetried { question: 0, item: 0, kind: said().into(), reason: said(), wait: Duration::ZERO },
        Fact::QuestionSettled(Box::new(settled)),
        Fact::ItemReturned { worker: 0, item: 0, reason: said() },
        Fact::ItemEnded { worker: Some(0), item: 0, outcome: Outcome::Failed(said()), took: Duration::ZERO },
        Fact::WorkerEnded { worker: 0, died: Some(said()) },
        Fact::Warned { message: said() },
    ];
    for fact in told {
        timeline.hear(&Event { at: Duration::ZERO, fact });
    }
    let mut report = samples::full();
    (report.run.command, report.run.plugin.name) = (said(), said());
    for finding in &mut report.findings {
        (finding.rule, finding.message, finding.path, finding.item) = (said(), said(), Some(said()), said());
        finding.help = Some(said());
    }
    for group in &mut report.groups {
        group.name = Some(said());
    }
    for note in &mut report.notes {
        note.text = said();
    }
    for failure in &mut report.failures {
        (failure.item, failure.reason, failure.log) = (said(), said(), said());
    }
    report.warnings = vec![said()];
    report.run.arguments = json!({ text: text });
    (timeline, serde_json::to_value(&report).unwrap())
}

fn page_of(timeline: &Timeline, report: Option<&Value>) -> String {
    render(&Data { timeline, report, missing: &[] }).unwrap()
}

/// What stands between two texts.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

#[test]
fn no_text_of_a_run_is_markup() {
    let plain = page_of(&Timeline::default(), None);
    let count = |page: &str, what: &str| page.matches(what).count();
    for text in HOSTILE {
        let (timeline, report) = hostile(text);
        let page = page_of(&timeline, Some(&report));
        for what in ["<", ">", "<script", "</script", "<!--", "<svg", "<img", "</style", "</title"] {
            assert_eq!(count(&page, what), count(&plain, what), "{what} in a page with {text:?}");
        }
        let json = between(&page, "id=\"data\">", "</script>");
        assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{text:?}");
        let back: Value = serde_json::from_str(json).unwrap();
        assert_eq!(back["timeline"]["items"][0]["label"], *text, "and it is the same text");
        assert_eq!(back["report"]["findings"][0]["message"], *text);
    }
}

#[test]
fn the_policy_of_the_page_names_exactly_its_scripts_and_its_style() {
    let page = page_of(&Timeline::default(), None);
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains(&format!("script-src {};", digest(between(&page, "<script>", "</script>")))));
    assert!(policy.contains(&format!("style-src {};", digest(between(&page, "<style>", "</style>")))));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn the_page_asks_nothing_of_anybody() {
    let page = page_of(&Timeline::default(), None);
    for what in ["http://", "https://", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "import(", "WebSocket"] {
        assert!(!page.contains(what), "{what}");
    }
    for handler in ["onclick=", "onload=", "onerror=", "javascript:"] {
        assert!(!page.contains(handler), "{handler}");
    }
}

#[test]
fn no_script_makes_markup_or_code_of_text() {
    for asset in SCRIPTS.iter().chain([&START]) {
        for what in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "</script"]
        {
            assert!(!asset.text.contains(what), "{what} in {}", asset.name);
        }
        assert!(asset.text.starts_with("// "), "{} says what it is for", asset.name);
    }
}

#[test]
fn json_in_a_script_is_the_same_value() {
    let value = json!({ "a</script>": "<!--&amp;\u{2028}\u{2029}]]>", "b": [1, null, "\\u003c"] });
    let safe = in_a_script(&value.to_string());
    assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
    assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value);
}

#[test]
fn a_small_page() {
    let mut timeline = Timeline::default();
    let told = [
        started(),
        Fact::WorkerStarted { worker: 0, segment: "core".to_owned() },
        Fact::ItemStarted {
            worker: 0,
            item: 0,
            id: "a.md".to_owned(),
            label: "a.md".to_owned(),
            group: None,
            attempt: 1,
        },
        Fact::ItemEnded { worker: Some(0), item: 0, outcome: Outcome::Done, took: Duration::from_millis(2) },
    ];
    for (number, fact) in told.into_iter().enumerate() {
        timeline.hear(&Event { at: Duration::from_millis(number as u64), fact });
    }
    let missing = ["there is no report".to_owned()];
    let mut page = render(&Data { timeline: &timeline, report: None, missing: &missing }).unwrap();
    for (from, to) in [("<style>", "</style>"), ("<script>", "</script>"), ("script-src ", ";"), ("style-src ", ";")] {
        let inside = between(&page, from, to).to_owned();
        page = page.replace(&inside, "…");
    }
    insta::assert_snapshot!(page);
}
