//! The page of a run, in a real browser: it shows the run, obeys mouse and keyboard, asks nothing of anybody, runs nothing
//! that is in the text of others, and stays smooth.
//!
//! These tests run where `CONVOKE_CHROMIUM` names a Chromium and `CONVOKE_PUPPETEER` the folder of `puppeteer-core`, and say
//! aloud when they are skipped. `axe-core` lies beside it, which looks for what keeps people out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use convoke::page::{Data, SCRIPTS, render};
use convoke_runtime::event::{AccountSample, AttemptEnd, BudgetSample, Event, Fact, RunFacts, Sample, Settled, Spent};
use convoke_runtime::journal::Told;
use convoke_runtime::levels::Level;
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};
use convoke_runtime::timeline::Timeline;
use convoke_runtime::work::{Census, Outcome, Status};
use convoke_standin::{Fault, When};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{World, faulty, repository};

mod words;

/// Longer than a browser takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// A browser, and what drives it.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) puppeteer: PathBuf,
}

impl Browser {
    /// None: skipped, and said.
    pub(crate) fn find() -> Option<Self> {
        let named = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let found = named("CONVOKE_CHROMIUM").zip(named("CONVOKE_PUPPETEER"));
        if found.is_none() {
            use std::io::Write;
            let line = "SKIPPED: CONVOKE_CHROMIUM and CONVOKE_PUPPETEER do not name a Chromium and puppeteer-core, so no \
                        page is looked at in a browser";
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        found.map(|(chromium, puppeteer)| Self { chromium, puppeteer })
    }

    /// What the script saw.
    async fn sees(&self, what: &str, file: &Path, rest: &[&Path]) -> Value {
        let mut node = Command::new("node");
        node.arg(repository().join("tests/e2e/page/browser.mjs")).arg(what).arg(file).args(rest);
        node.env("CONVOKE_CHROMIUM", &self.chromium).env("CONVOKE_PUPPETEER", &self.puppeteer).kill_on_drop(true);
        let output = timeout(DEADLINE, node.output()).await.expect("in time").expect("node starts");
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{errors}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{errors}"))
    }
}

/// Nothing went wrong, nobody was asked, and nothing ran that is not the page's.
#[track_caller]
fn is_harmless(seen: &Value) {
    for what in ["said", "errors", "requests", "dialogs"] {
        assert_eq!(seen[what], json!([]), "{what}");
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Where pictures are kept that a person should look at.
fn pictures(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[tokio::test]
async fn a_page_shows_its_run_and_obeys_mouse_and_keyboard() {
    let Some(browser) = Browser::find() else { return };
    let world = World::with_example();
    // Names of files are text of strangers too.
    for name in ["<img src=x onerror=hostile=1>.md", "a</script><script>hostile=1<!--.md", "\u{202e}gpj.md"] {
        world.write(
            &format!(".claude/agents/{name}"),
            "---\nname: <svg onload=hostile=1>\ndescription: '\"><script>hostile=1</script>'\n---\nDo it.\n",
        );
    }
    let standin = faulty([(When::nth(3), Fault::Status(529))]).await;
    let page = world.path("page.html");
    let option = format!("--timings={}", page.display());
    let done = world.audit(["--fresh", &option]).asking(&standin).run().await.says("timings: ");
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");

    let seen = browser.sees("look", &page, &[&pictures("run")]).await;
    is_harmless(&seen);
    assert_eq!((&seen["title"], &seen["heading"]), (&json!("agent-audit · convoke"), &json!("agent-audit")));
    assert_eq!(seen["status"], report["status"]);
    assert!(seen["census"].as_str().expect("a census").starts_with(&format!("{} items:", report["census"]["items"])));
    for section in ["summary", "timeline", "findings", "cost", "workers", "happened"] {
        assert!(seen["sections"].as_array().expect("sections").contains(&json!(section)), "{}", seen["sections"]);
    }
    let elements = json!({
        "script": 2, "style": 1, "img": 0, "svg": 0, "iframe": 0, "object": 0, "form": 0, "base": 0
    });
    assert_eq!(seen["elements"], elements);
    assert!(seen["colours"].as_u64() > Some(6), "the timeline is drawn: {}", seen["colours"]);
    assert_eq!((&seen["questions_pressed"], &seen["theme"]), (&json!("true"), &json!("dark")));
    assert_eq!(seen["dark_back"], "rgb(19, 22, 25)");

    let findings = report["findings"].as_array().expect("findings").len();
    assert_eq!(seen["findings"], format!("{findings} of {findings} findings shown"));
    assert_eq!(seen["filter_has_focus"], "Filter findings by text");
    assert_eq!(seen["findings_of_text"], format!("0 of {findings} findings shown"));
    assert_eq!(seen["nothing"], "No finding fits the filter.");
    assert_ne!(seen["findings_of_severity"], seen["findings"]);
    assert_eq!(seen["active_row"], "3", "the second row, after that of the heads");
    assert!(seen["full"].as_str().is_some_and(|text| text.contains("fingerprint")), "{}", seen["full"]);

    assert_eq!(seen["timeline_has_focus"], "timeline");
    for what in ["zoomed", "card", "whole_again", "help", "wheeled", "dragged"] {
        assert_eq!(seen[what], true, "{what}");
    }
    assert!(seen["heard"].as_str().is_some_and(|said| said.starts_with("worker 1. ")), "{}", seen["heard"]);
    assert_eq!(seen["table_rows"], report["census"]["items"]);
    assert_eq!(seen["sorted"], "ascending");
    assert_eq!((&seen["mistakes"], &seen["barriers"]), (&json!([]), &json!([])));
    assert!(
        seen["told"].as_str().is_some_and(|text| text.contains("held for") || text.contains("took")),
        "{}",
        seen["told"]
    );
    assert_eq!(seen["too_wide"], 0, "nothing stands out at 400 pixels");
    assert_ne!(seen["injected"], "ran", "{}", seen["injected"]);
    assert_eq!(seen["scripts_of_others"], Value::Null);
    for picture in ["light", "dark", "narrow"] {
        assert!(seen[picture].as_u64() > Some(20_000), "{picture}: {} bytes", seen[picture]);
    }
}

/// Every text in it is this one, but for what is chosen from a list.
fn all_texts(value: &mut Value, text: &str) {
    match value {
        Value::String(old) => text.clone_into(old),
        Value::Array(values) => values.iter_mut().for_each(|value| all_texts(value, text)),
        Value::Object(members) => {
            members.iter_mut().filter(|(name, _)| *name != "severity").for_each(|(_, value)| all_texts(value, text));
        }
        _ => {}
    }
}

#[tokio::test]
async fn text_of_strangers_runs_nowhere_on_the_page() {
    let Some(browser) = Browser::find() else { return };
    let world = World::with_example();
    let done = world.audit(["--fresh", "--backend", "offline"]).run().await;
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    let place = folder();
    for (number, text) in [
        "</script><script>hostile=1;alert(1)</script>",
        "<img src=x onerror=alert(1)><svg onload=alert(2)>",
        "\"'><iframe srcdoc=\"<script>parent.hostile=1</script>\">",
        "javascript:alert(1)//\u{2028}alert(2)\u{202e}<!--<script>",
    ]
    .into_iter()
    .enumerate()
    {
        let mut report = report.clone();
        all_texts(&mut report, text);
        let mut timeline = Timeline::default();
        told(text).iter().for_each(|event| timeline.hear(event));
        let missing = [text.to_owned()];
        let page = render(&Data { timeline: &timeline, report: Some(&report), missing: &missing }).expect("a page");
        let file = place.path().join(format!("{number}.html"));
        fs::write(&file, page).expect("written");
        let seen = browser.sees("look", &file, &[&pictures("hostile")]).await;
        is_harmless(&seen);
        assert_eq!((&seen["elements"]["script"], &seen["elements"]["img"]), (&json!(2), &json!(0)), "{text}");
        assert_eq!((&seen["elements"]["svg"], &seen["elements"]["iframe"]), (&json!(0), &json!(0)), "{text}");
        assert_eq!(seen["scripts_of_others"], Value::Null, "{text}");
    }
}

#[tokio::test]
async fn what_a_run_took_before_it_was_continued_is_not_left_on_the_page() {
    let Some(browser) = Browser::find() else { return };
    let usage = Usage { requests: 1, usd: Usd::from_dollars(0.25), ..Usage::default() };
    // $1.50 is the budget, of which $1.20 had gone before.
    let budgets = vec![BudgetSample { budget: "usd".into(), spent: 1.45 / 1.5 }];
    let mut timeline = Timeline::default();
    for fact in [
        run_facts("audit"),
        Fact::QuestionSettled(Box::new(Settled { usage, ..Settled::default() })),
        Fact::Sampled(Box::new(Sample { budgets, ..Sample::default() })),
    ] {
        timeline.hear(&Event { at: Duration::ZERO, fact });
    }
    let place = folder();
    let file = place.path().join("page.html");
    let page = render(&Data { timeline: &timeline, report: None, missing: &[] }).expect("a page");
    fs::write(&file, page).expect("written");
    let seen = browser.sees("tiles", &file, &[]).await;
    is_harmless(&seen);
    let tiles: Vec<&str> = seen["tiles"].as_array().expect("tiles").iter().filter_map(Value::as_str).collect();
    assert!(tiles.iter().any(|tile| tile.contains("budget $1.50, $0.0500 left")), "{tiles:?}");
}

#[tokio::test]
async fn ten_thousand_questions_stay_smooth() {
    let Some(browser) = Browser::find() else { return };
    let mut timeline = Timeline::default();
    many(10_000).iter().for_each(|event| timeline.hear(event));
    let place = folder();
    let file = place.path().join("many.html");
    fs::write(&file, render(&Data { timeline: &timeline, report: None, missing: &[] }).expect("a page"))
        .expect("written");
    let seen = browser.sees("smooth", &file, &[&pictures("many")]).await;
    is_harmless(&seen);
    assert_eq!((&seen["asked"], &seen["table_rows"]), (&json!(10_000), &json!(10_000)));
    for view in ["workers", "questions"] {
        let (frame, draw) = (seen[view]["frame_ms"].as_f64(), seen[view]["draw_ms"].as_f64());
        eprintln!("{view}: a frame {frame:?} ms, drawing {draw:?} ms, loaded in {} ms", seen["loaded_ms"]);
        // A frame is 17 ms on a machine that has time; a busy one is given three of them.
        assert!(frame.is_some_and(|ms| ms < 50.0) && draw.is_some_and(|ms| ms < 50.0), "{}", seen[view]);
    }
    assert!(seen["elements"].as_u64() < Some(4_000), "only what is seen is in the page: {}", seen["elements"]);
}

#[tokio::test]
async fn the_page_makes_of_events_what_the_host_makes_of_them() {
    let Some(browser) = Browser::find() else { return };
    let began = |second| Timestamp::from_second(second).expect("a time");
    let first = told("text");
    let mut second = many(150);
    second.truncate(second.len() - 40);
    let streams =
        [Told { began: began(1_000), events: first.clone() }, Told { began: began(1_060), events: second.clone() }];
    let expected = serde_json::to_value(Timeline::of(&streams)).expect("JSON");

    let place = folder();
    let events = place.path().join("events.json");
    let written = json!([
        { "offset": 0, "events": first },
        { "offset": 60_000_000, "events": second },
    ]);
    fs::write(&events, written.to_string()).expect("written");
    let assets = repository().join("host/src/page/assets");
    let scripts: Vec<PathBuf> = SCRIPTS.iter().take(2).map(|asset| assets.join(asset.name)).collect();
    let scripts: Vec<&Path> = scripts.iter().map(PathBuf::as_path).collect();
    let mut seen = browser.sees("fold", &events, &scripts).await;
    let mut expected = expected;
    // Sums of dollars are exact in the host, and floating here.
    for value in [&mut seen, &mut expected] {
        round(value);
    }
    for (name, expected) in expected.as_object().expect("an object") {
        assert_eq!(&seen[name], expected, "{name}");
    }
    assert_eq!(seen.as_object().map(serde_json::Map::len), expected.as_object().map(serde_json::Map::len));
}

/// Numbers with a point, to nine places.
fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() || number.is_u64() => {
            *value = json!((number.as_f64().unwrap_or_default() * 1e9).round() / 1e9);
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(members) => members.values_mut().for_each(round),
        _ => {}
    }
}

fn run_facts(text: &str) -> Fact {
    Fact::RunStarted(Box::new(RunFacts {
        run: "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4".to_owned(),
        command: text.to_owned(),
        subcommand: Some(text.to_owned()),
        plugin: text.to_owned(),
        version: text.to_owned(),
        project: text.to_owned(),
        mode: text.to_owned(),
        backend: text.to_owned(),
        instances: 8,
        budget: Some(Usd::from_dollars(1.5)),
        started: Timestamp::UNIX_EPOCH,
        continued: false,
        pid: 7,
    }))
}

/// One of everything that can be told, with this text wherever there is text.
fn told(text: &str) -> Vec<Event> {
    let said = || text.to_owned();
    let ms = Duration::from_millis;
    let cow = || said().into();
    let usage =
        Usage { requests: 2, input_tokens: 900, output_tokens: 80, usd: Usd::from_dollars(0.0123), ..Usage::default() };
    let settled = |question, by: &str| {
        Fact::QuestionSettled(Box::new(Settled {
            question,
            item: 0,
            by: by.to_owned(),
            role: said(),
            model: said(),
            backend: cow(),
            attempts: 2,
            usage,
            uncertain: Usd::from_dollars(0.001),
            queued: ms(20),
            took: ms(300),
            ..Settled::default()
        }))
    };
    let shared = |question| {
        let Fact::QuestionSettled(mut settled) = settled(question, "model") else { unreachable!("it is one") };
        let share = |model: &str| Spent {
            model: model.to_owned(),
            backend: cow(),
            notional: false,
            usage,
            uncertain: Usd::from_dollars(0.001),
        };
        settled.by_model = vec![share("another"), share(text)];
        Fact::QuestionSettled(settled)
    };
    let account = AccountSample {
        account: cow(),
        waiting: 3,
        in_flight: 2,
        limit: 4,
        idle: 1,
        breaker: cow(),
        free: [Some(50), None, Some(-4)],
    };
    let sample =
        Sample { cpu: Some(0.25), memory: None, accounts: vec![account], retries_left: 9, budgets: Vec::new() };
    let item = |worker, item, attempt| Fact::ItemStarted {
        worker,
        item,
        id: said(),
        label: said(),
        group: Some(said()),
        attempt,
    };
    let facts = vec![
        run_facts(text),
        Fact::Planned {
            items: 4,
            cached: 1,
            workers: 2,
            assessed_in: ms(3),
            allocated_in: ms(1),
            expected: Some(ms(900)),
        },
        Fact::ItemEnded { worker: None, item: 3, outcome: Outcome::Cached, took: ms(0) },
        Fact::PhaseStarted { phase: "execute".into() },
        Fact::WorkerStarted { worker: 0, segment: said() },
        Fact::WorkerStarted { worker: 1, segment: said() },
        Fact::WorkerReady { worker: 0, after: ms(12) },
        item(0, 0, 1),
        Fact::ItemProgress { item: 0, done: 0.5, note: said() },
        Fact::QuestionQueued { question: 1, item: 0, role: said(), tier: Tier::Comprehensive },
        Fact::QuestionWaits { question: 1, item: 0, reason: "quota".into(), lasts: Some(ms(30)) },
        Fact::Sampled(Box::new(sample)),
        Fact::QuestionSent { question: 1, item: 0, model: said(), backend: cow(), attempt: 1 },
        Fact::QuestionWaits { question: 1, item: 0, reason: "limit".into(), lasts: None },
        Fact::QuestionRetried { question: 1, item: 0, kind: cow(), reason: said(), wait: ms(40) },
        Fact::QuestionQueued { question: 1, item: 0, role: said(), tier: Tier::Speed },
        Fact::QuestionWaits { question: 1, item: 0, reason: cow(), lasts: None },
        Fact::QuestionSent { question: 1, item: 0, model: said(), backend: cow(), attempt: 2 },
        Fact::QuestionHedged { question: 1, item: 0, model: said(), after: ms(9) },
        Fact::QuestionStarted { question: 1, item: 0, after: ms(9) },
        Fact::QuestionProgress { question: 1, item: 0, tokens_per_second: Some(70), tool: Some(said()) },
        Fact::QuestionStalled { question: 1, item: 0, lasted: ms(7_000), tool: Some(said()) },
        Fact::QuestionStalled { question: 1, item: 0, lasted: ms(5_000), tool: None },
        settled(1, "model"),
        settled(2, "cache"),
        settled(3, text),
        // They are never sent; of one it is told that it ended, and another one is sent after all.
        Fact::QuestionQueued { question: 4, item: 0, role: said(), tier: Tier::Speed },
        Fact::QuestionQueued { question: 5, item: 0, role: said(), tier: Tier::Speed },
        Fact::QuestionQueued { question: 6, item: 0, role: said(), tier: Tier::Speed },
        Fact::ItemReturned { worker: 0, item: 0, reason: said() },
        Fact::WorkerEnded { worker: 0, died: Some(said()) },
        item(1, 0, 2),
        Fact::QuestionWaits { question: 4, item: 0, reason: "quota".into(), lasts: None },
        settled(5, "cache"),
        Fact::QuestionSent { question: 6, item: 0, model: said(), backend: cow(), attempt: 1 },
        shared(6),
        Fact::QuestionQueued { question: 7, item: 0, role: said(), tier: Tier::Speed },
        // It comes late: another worker has it already.
        Fact::ItemProgress { item: 0, done: 0.7, note: said() },
        Fact::ItemReturned { worker: 0, item: 0, reason: said() },
        Fact::ItemsAdded { parent: 0, items: 1 },
        Fact::ItemEnded { worker: Some(1), item: 0, outcome: Outcome::Failed(said()), took: ms(5) },
        item(1, 1, 1),
        Fact::ItemEnded { worker: Some(1), item: 1, outcome: Outcome::Fallback(said()), took: ms(5) },
        item(1, 2, 1),
        Fact::ItemReopened { item: 1, was: Outcome::Fallback(said()), reason: said() },
        Fact::QuestionQueued { question: 8, item: 2, role: said(), tier: Tier::Auto },
        Fact::QuestionSent { question: 8, item: 2, model: said(), backend: cow(), attempt: 1 },
        Fact::QuestionWaits { question: 8, item: 2, reason: "instance".into(), lasts: None },
        Fact::QuestionWaits { question: 8, item: 2, reason: "pause".into(), lasts: None },
        Fact::AttemptEnded(Box::new(AttemptEnd { question: 8, item: 2, attempt: 1, ..AttemptEnd::default() })),
        Fact::SecretFound { question: 8, item: 2, kinds: vec![said()], places: vec![said()], became: cow() },
        Fact::Degraded { from: Level::Full, to: Level::Partial, reason: said() },
        Fact::DoneAgain { items: 1, reason: said() },
        Fact::Quarantined { item: 0, reason: said() },
        Fact::BreakerChanged { state: "open".into(), reason: said(), lasts: Some(ms(60)) },
        Fact::LimitChanged { account: said(), limit: 3, before: 4, reason: said() },
        Fact::SafeModeChanged { account: said(), safe: true, reason: said() },
        Fact::PolicyChanged { policy: said(), generation: 2, reason: said() },
        Fact::Paused { by: said(), at_once: true },
        Fact::Controlled { by: said(), what: said(), became: said() },
        Fact::Resumed { by: said() },
        Fact::AlertRaised { alert: cow(), reason: said() },
        Fact::AlertCleared { alert: cow(), reason: said() },
        Fact::AlertRaised { alert: "cpu".into(), reason: said() },
        Fact::DispatchStopped { reason: said() },
        Fact::Warned { message: said() },
        Fact::Warned { message: "ß".repeat(700) },
        Fact::Logged { level: "info".into(), item: Some(0), message: said() },
        Fact::Stopping { at_most: ms(30_500) },
        Fact::QuestionQueued { question: 9, item: 2, role: said(), tier: Tier::Auto },
        Fact::PhaseStarted { phase: "aggregate".into() },
        Fact::Ended {
            census: Census { items: 5, cached: 1, fallback: 1, failed: 1, pending: 2, ..Census::default() },
            status: Status::Interrupted,
        },
    ];
    facts.into_iter().enumerate().map(|(number, fact)| Event { at: ms(number as u64 * 11), fact }).collect()
}

/// So many questions of half as many items, in forty workers.
fn many(count: u64) -> Vec<Event> {
    let ms = Duration::from_millis;
    let mut events = vec![Event { at: ms(0), fact: run_facts("many") }];
    let mut tell = |at: u64, fact: Fact| events.push(Event { at: ms(at), fact });
    let items = usize::try_from(count / 2).expect("a number");
    tell(1, Fact::Planned { items, cached: 0, workers: 40, assessed_in: ms(1), allocated_in: ms(1), expected: None });
    for worker in 0..40 {
        tell(2, Fact::WorkerStarted { worker, segment: format!("group {worker}") });
    }
    for question in 0..count {
        let item = usize::try_from(question / 2).expect("a number");
        let worker = item % 40;
        let at = 10 + (question / 80) * 1_500 + (question % 2) * 700 + (worker as u64) * 7;
        if question % 2 == 0 {
            let label = format!("folder/file-{item}.md");
            tell(at, Fact::ItemStarted { worker, item, id: label.clone(), label, group: None, attempt: 1 });
        }
        tell(at + 1, Fact::QuestionQueued { question, item, role: "reviewer".to_owned(), tier: Tier::Speed });
        if question % 3 == 0 {
            tell(at + 2, Fact::QuestionWaits { question, item, reason: "quota".into(), lasts: None });
        }
        let (model, backend) = ("a-model".to_owned(), "anthropic".into());
        tell(at + 100 + question % 90, Fact::QuestionSent { question, item, model, backend, attempt: 1 });
        tell(at + 300 + question % 70, Fact::QuestionStarted { question, item, after: ms(200) });
        let usage = Usage {
            requests: 1,
            input_tokens: 900,
            output_tokens: 90,
            usd: Usd::from_dollars(0.002),
            ..Usage::default()
        };
        let by = if question % 50 == 7 { "timed-out" } else { "model" }.to_owned();
        let (model, role) = ("a-model".to_owned(), "reviewer".to_owned());
        let settled = Settled {
            question,
            item,
            by,
            role,
            model,
            backend: "anthropic".into(),
            attempts: 1,
            usage,
            queued: ms(100),
            took: ms(600),
            ..Settled::default()
        };
        tell(at + 650 + question % 40, Fact::QuestionSettled(Box::new(settled)));
        if question % 2 == 1 {
            tell(at + 695, Fact::ItemEnded { worker: Some(worker), item, outcome: Outcome::Done, took: ms(1_390) });
        }
        if question % 80 == 0 {
            tell(at, Fact::Sampled(Box::new(Sample { cpu: Some(0.5), ..Sample::default() })));
        }
    }
    events.sort_by_key(|event| event.at);
    events
}
