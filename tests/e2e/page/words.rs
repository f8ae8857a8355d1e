//! What the scripts of the page and the dashboard say of a picture: words, places and sums, without a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use convoke_runtime::event::{Event, Fact, Settled};
use convoke_runtime::journal::{RunId, Told};
use convoke_runtime::question::Tier;
use convoke_runtime::timeline::Timeline;
use convoke_runtime::work::Outcome;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Browser, folder};
use crate::support::repository;

/// What the scripts of the page and the dashboard say of a picture: what each piece of code comes to, in which `data` is
/// what a page is made of.
async fn says(browser: &Browser, timeline: &Timeline, asks: &[&str]) -> Value {
    let place = folder();
    let asked = place.path().join("asked.json");
    let data = json!({ "timeline": timeline });
    fs::write(&asked, json!({ "data": data, "asks": asks }).to_string()).expect("written");
    let host = repository().join("host/src");
    let scripts = ["base.js", "rows.js", "curves.js", "table.js", "summary.js", "story.js"];
    let scripts = scripts.iter().map(|script| host.join("page/assets").join(script));
    let scripts: Vec<PathBuf> = scripts.chain([host.join("dashboard/assets/doing.js")]).collect();
    let scripts: Vec<&Path> = scripts.iter().map(PathBuf::as_path).collect();
    browser.sees("says", &asked, &scripts).await
}

#[tokio::test]
async fn the_story_of_a_failure_is_that_of_its_item_whatever_its_label() {
    let Some(browser) = Browser::find() else { return };
    let ms = Duration::from_millis;
    let part = |ends: &[(&str, &str, Outcome)]| {
        let mut facts = vec![Fact::WorkerStarted { worker: 0, segment: String::new() }];
        for (item, (id, label, outcome)) in ends.iter().enumerate() {
            let (id, label, outcome) = ((*id).to_owned(), (*label).to_owned(), outcome.clone());
            facts.push(Fact::ItemStarted { worker: 0, item, id, label, group: None, attempt: 1 });
            facts.push(Fact::ItemEnded { worker: Some(0), item, outcome, took: ms(5) });
        }
        facts.into_iter().zip(0..).map(|(fact, at)| Event { at: ms(at), fact }).collect::<Vec<_>>()
    };
    let failed = || Outcome::Failed("it broke".to_owned());
    let fallback = || Outcome::Fallback("no answer".to_owned());
    let began = |second| Timestamp::from_second(second).expect("a time");
    let first = part(&[("a/one", "one", Outcome::Done), ("b/one", "one", failed()), ("c/two", "two", fallback())]);
    let second = part(&[("b/one", "one", failed()), ("c/two", "two", Outcome::Done), ("d/two", "two", fallback())]);
    let timeline =
        Timeline::of(&[Told { began: began(1_000), events: first }, Told { began: began(1_060), events: second }]);
    let asks = [
        "['a/one', 'b/one', 'c/two', 'e'].map((id) => Convoke.placeOf(data.timeline, id))",
        "Convoke.steps(data.timeline, Convoke.placeOf(data.timeline, 'b/one')).map(([at, said]) => [Convoke.time(at), said])",
        "Convoke.fallen(data.timeline, new Set(), true)",
        "Convoke.placeOf({ items: [{ label: 'one' }] }, 'one')",
    ];
    let seen = says(&browser, &timeline, &asks).await;
    assert_eq!(seen[0], json!([0, 3, 4, -1]), "of what came last");
    assert_eq!(seen[1], json!([["1:00", "attempt 1: taken by worker 1"], ["1:00", "failed"]]));
    assert_eq!(seen[2], json!([5]), "that which was done when the run was continued is not told again");
    assert_eq!(seen[3], 0, "what an earlier version told has no ids");
}

/// A run with one worker that holds one item with one question, which has been told of as far as this.
fn asking(about: Vec<(u64, Fact)>, now: u64) -> Timeline {
    let (ms, role) = (Duration::from_millis, "reviewer".to_owned());
    let (id, label) = ("agents/a".to_owned(), "a.md".to_owned());
    let mut timeline = Timeline::default();
    let before = [
        Fact::WorkerStarted { worker: 0, segment: String::new() },
        Fact::ItemStarted { worker: 0, item: 0, id, label, group: None, attempt: 1 },
        Fact::QuestionQueued { question: 1, item: 0, role, tier: Tier::Speed },
    ];
    let told = before.into_iter().map(|fact| (0, fact)).chain(about);
    told.for_each(|(at, fact)| timeline.hear(&Event { at: ms(at), fact }));
    timeline.now = ms(now);
    timeline
}

fn waits(reason: &'static str, lasts: Option<u64>) -> Fact {
    let lasts = lasts.map(Duration::from_millis);
    Fact::QuestionWaits { question: 1, item: 0, reason: reason.into(), lasts }
}

fn sent() -> Fact {
    Fact::QuestionSent { question: 1, item: 0, model: "m".to_owned(), backend: "anthropic".into(), attempt: 1 }
}

fn begins() -> Fact {
    Fact::QuestionStarted { question: 1, item: 0, after: Duration::from_millis(1) }
}

fn goes_on(tool: Option<&str>) -> Fact {
    Fact::QuestionProgress { question: 1, item: 0, tokens_per_second: Some(80), tool: tool.map(str::to_owned) }
}

fn retried(kind: &'static str, reason: &str, wait: u64) -> Fact {
    let (reason, wait) = (reason.to_owned(), Duration::from_millis(wait));
    Fact::QuestionRetried { question: 1, item: 0, kind: kind.into(), reason, wait }
}

#[tokio::test]
async fn the_dashboard_says_of_a_worker_what_the_terminal_says() {
    let Some(browser) = Browser::find() else { return };
    let asks = ["((t) => doing(t, t.workers[0], t.workers[0].holds[0], asked(t).get(0)))(data.timeline)"];
    let paused = Fact::Paused { by: "ann".to_owned(), at_once: false };
    for (told, now, words, state) in [
        (vec![], 1_000, "queued", "queued"),
        (vec![(0, waits("quota", None))], 5_000, "waiting for quota 0:05", "quota"),
        (vec![(0, waits("quota", Some(50_000)))], 5_000, "waiting for quota, 0:45 or more", "quota"),
        (vec![(0, waits("limit", None)), (9, paused)], 5_000, "paused 0:05", "pause"),
        (vec![(0, sent())], 7_000, "asked 0:07", "sent"),
        (vec![(0, sent())], 40_000, "no token yet 0:40", "slow"),
        (vec![(0, sent()), (0, begins()), (29_000, goes_on(None))], 30_000, "answering 0:30  ~80 tok/s", "streaming"),
        (vec![(0, sent()), (0, begins()), (21_000, goes_on(None))], 30_000, "stalled 0:09", "stalled"),
        (vec![(0, sent()), (0, begins()), (22_000, goes_on(Some("Read")))], 30_000, "silent 0:08 after Read", "slow"),
        (
            vec![(0, sent()), (1_000, retried("rate-limited", "429", 8_000))],
            5_000,
            "retrying in 0:04 (rate limited)",
            "retry",
        ),
    ] {
        let timeline = asking(told, now);
        let seen = says(&browser, &timeline, &asks).await;
        assert_eq!(seen[0], json!({ "words": words, "state": state, "tier": "speed" }));
    }
}

#[tokio::test]
async fn what_went_wrong_with_questions_is_told_after_the_run() {
    let Some(browser) = Browser::find() else { return };
    let settled =
        Settled { question: 1, by: "timed-out".to_owned(), role: "reviewer".to_owned(), ..Settled::default() };
    let lasted = Duration::from_millis(9_200);
    let timeline = asking(
        vec![
            (0, sent()),
            (1_000, retried("overloaded", "529", 2_000)),
            (3_000, sent()),
            (3_100, begins()),
            (13_000, Fact::QuestionStalled { question: 1, item: 0, lasted, tool: None }),
            (20_000, Fact::QuestionSettled(Box::new(settled))),
        ],
        20_000,
    );
    let asks =
        ["Convoke.happened(data.timeline).map(({ at, kind, text }) => [Convoke.time(at), kind, text])", STRETCHES];
    let seen = says(&browser, &timeline, &asks).await;
    let expected = json!([
        ["1.00 s", "attempt-failed", "reviewer of a.md: overloaded, asked again after 2.00 s: 529"],
        ["13.0 s", "stalled", "reviewer of a.md: nothing came of its answer for 9.20 s"],
        ["20.0 s", "question-failed", "reviewer of a.md: timed out"],
    ]);
    assert_eq!(seen[0], expected);
    let streamed = json!([["streaming", 3.1, 3.8], ["stalled", 3.8, 13], ["streaming", 13, 20]]);
    assert_eq!(seen[1], streamed, "of an answer in which nothing came for long that is not said to have streamed");
}

/// What the answer of the first question was at, in seconds.
const STRETCHES: &str = "Convoke.stretches(data.timeline.questions[0], data.timeline.now)
    .filter(([state]) => ['streaming', 'stalled'].includes(state))
    .map(([state, from, to]) => [state, from / 1e6, to / 1e6])";

#[tokio::test]
async fn an_answer_of_which_nothing_comes_now_is_not_said_to_stream() {
    let Some(browser) = Browser::find() else { return };
    for (tool, now, expected) in [
        (None, 24_000, json!([["streaming", 0, 24]])),
        (None, 30_000, json!([["streaming", 0, 22], ["stalled", 22, 30]])),
        (Some("Read"), 30_000, json!([["streaming", 0, 30]])),
    ] {
        let timeline = asking(vec![(0, sent()), (0, begins()), (22_000, goes_on(tool))], now);
        assert_eq!(says(&browser, &timeline, &[STRETCHES]).await[0], expected, "{tool:?}");
    }
}

#[tokio::test]
async fn the_curve_of_a_run_that_goes_on_counts_what_is_under_way_now() {
    let Some(browser) = Browser::find() else { return };
    let asks = ["Convoke.panels(data.timeline)[0].lines.slice(0, 2).map(({ name, points }) => [name, points.at(-1)])"];
    let timeline = asking(vec![(1_000, sent())], 5_000);
    let seen = says(&browser, &timeline, &asks).await;
    assert_eq!(seen[0], json!([["in flight", [1_000_000, 1]], ["waiting", [1_000_000, 0]]]));
    let timeline = asking(vec![(1_000, sent()), (5_000, retried("overloaded", "529", 2_000)), (5_000, sent())], 5_000);
    let seen = says(&browser, &timeline, &asks).await;
    assert_eq!(seen[0][0], json!(["in flight", [5_000_000, 1]]), "sent at this very moment");
}

#[tokio::test]
async fn a_wait_that_goes_on_counts_among_those_that_are_over() {
    let Some(browser) = Browser::find() else { return };
    let settled = Settled { question: 2, queued: Duration::from_secs(1), ..Settled::default() };
    let settled = Fact::QuestionSettled(Box::new(settled));
    let timeline = asking(vec![(2_000, settled), (3_000, waits("quota", None))], 8_000);
    let seen = says(&browser, &timeline, &["Convoke.time(Convoke.waited(data.timeline))"]).await;
    assert_eq!(seen[0], "9.00 s", "one of them since it was asked, the other one for a second");
}

#[tokio::test]
async fn a_run_is_called_as_the_list_of_runs_calls_it() {
    let Some(browser) = Browser::find() else { return };
    let run = "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4";
    let asks = [format!("Convoke.shortId('{run}')"), "Convoke.shortId(undefined) ?? 'none'".to_owned()];
    let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
    let seen = says(&browser, &Timeline::default(), &asks).await;
    let id: RunId = run.parse().expect("an id");
    assert_eq!(seen, json!([id.short(), "none"]));
}

#[tokio::test]
async fn what_is_left_of_a_budget_is_never_rounded_up() {
    let Some(browser) = Browser::find() else { return };
    let asks = [
        "[Convoke.usd(0.0039), Convoke.usdLeft(1 - 0.0039, 0.0039)]",
        "[Convoke.usd(0.3), Convoke.usdLeft(20 - 0.3, 0.3)]",
        "[Convoke.usd(0.00001), Convoke.usdLeft(1 - 0.00001, 0.00001)]",
        "[Convoke.usd(3.456), Convoke.usdLeft(5 - 3.456, 3.456)]",
        "[Convoke.usd(0), Convoke.usdLeft(1, 0)]",
    ];
    let seen = says(&browser, &Timeline::default(), &asks).await;
    let expected = json!([
        ["$0.0039", "$0.9961"],
        ["$0.3000", "$19.7000"],
        ["<$0.0001", "$0.9999"],
        ["$3.46", "$1.54"],
        ["$0.00", "$1.00"],
    ]);
    assert_eq!(seen, expected);
}
