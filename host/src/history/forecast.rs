//! What a run will probably take, by what the same took before.

use std::time::Duration;

use convoke_runtime::forecast::{Expected, FEWEST, Seen, expect};
use convoke_runtime::journal::PastRun;
use convoke_runtime::money::Usd;
use serde_json::{Value, json};

use super::worked_on;
use crate::report::words::{counted, duration, thousands};
use crate::run::assess::Identity;

/// How much a run counts that differs in something; what differs in several counts so much of so much.
const OTHER_PROJECT: f64 = 0.4;
const OTHER_PLUGIN: f64 = 0.6;
const OTHER_ARGUMENTS: f64 = 0.6;
const OTHER_MODE: f64 = 0.8;

/// What is about to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The items that are to be done.
    pub items: usize,
    /// By how many workers.
    pub workers: usize,
    /// Whether a model can be asked.
    pub asks: bool,
}

/// What it will probably take. Without a model nothing is said of money.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// From start to end, in milliseconds.
    pub wall_ms: Expected,
    /// Questions.
    pub questions: Option<Expected>,
    /// Input tokens.
    pub input_tokens: Option<Expected>,
    /// Output tokens.
    pub output_tokens: Option<Expected>,
    /// US dollars.
    pub usd: Option<Expected>,
    /// Whether the runs were all of this project.
    pub same_project: bool,
}

impl Forecast {
    pub(super) fn of(past: &[PastRun], identity: &Identity, mode: &str, now: Now) -> Option<Self> {
        let like = Like::of(past, identity, mode);
        let wall_ms = like.wall_ms(now)?;
        let of_items = |took: &dyn Fn(&PastRun) -> f64| {
            let seen = like.seen(&|run| worked_on(run) as f64, took);
            now.asks.then(|| expect(&seen, now.items as f64)).flatten()
        };
        Some(Self {
            wall_ms,
            questions: of_items(&|run| run.questions as f64),
            input_tokens: of_items(&|run| run.input_tokens as f64),
            output_tokens: of_items(&|run| run.output_tokens as f64),
            usd: of_items(&|run| run.usd.dollars()),
            same_project: like.same_project,
        })
    }

    /// From start to end, and nothing else.
    pub(super) fn wall_of(past: &[PastRun], identity: &Identity, mode: &str, now: Now) -> Option<Duration> {
        Like::of(past, identity, mode).wall_ms(now).map(|expected| time(&expected))
    }

    /// From start to end.
    pub fn wall(&self) -> Duration {
        time(&self.wall_ms)
    }

    /// For people: a paragraph.
    pub fn text(&self) -> String {
        let whose = if self.same_project { "" } else { ", some of them of other projects" };
        let mut text = format!(
            "By its last {}{whose}: {}",
            counted(self.wall_ms.runs as u64, "run", "runs"),
            ranged(&self.wall_ms, "", &|ms| duration(ms.round() as u64)),
        );
        let count = |value: f64| thousands(value.round() as u64);
        let parts = [
            self.questions.map(|expected| ranged(&expected, " questions", &count)),
            self.input_tokens.map(|expected| ranged(&expected, " input tokens", &count)),
            self.output_tokens.map(|expected| ranged(&expected, " output tokens", &count)),
            self.usd.map(|expected| ranged(&expected, "", &|dollars| Usd::from_dollars(dollars).to_string())),
        ];
        for part in parts.into_iter().flatten() {
            text += &format!(", {part}");
        }
        let of_ten = (self.wall_ms.share * 10.0).round();
        text + &format!(". What is in brackets holds about {of_ten} times of 10.")
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let range =
            |expected: &Expected| json!({ "expected": expected.middle, "low": expected.low, "high": expected.high });
        json!({
            "runs": self.wall_ms.runs,
            "same_project": self.same_project,
            "share_within": self.wall_ms.share,
            "wall_ms": range(&self.wall_ms),
            "questions": self.questions.as_ref().map(range),
            "input_tokens": self.input_tokens.as_ref().map(range),
            "output_tokens": self.output_tokens.as_ref().map(range),
            "usd": self.usd.as_ref().map(range),
        })
    }
}

/// The runs that are like the one that is foretold, each with how much.
struct Like<'a> {
    runs: Vec<(&'a PastRun, f64)>,
    same_project: bool,
}

impl<'a> Like<'a> {
    /// Those of the same project; where they are too few, of all.
    fn of(past: &'a [PastRun], identity: &Identity, mode: &str) -> Self {
        let here = || past.iter().filter(|run| run.project == identity.project);
        let same_project = here().count() >= FEWEST;
        let taken: Vec<&PastRun> = if same_project { here().collect() } else { past.iter().collect() };
        let runs = taken.into_iter().map(|run| (run, likeness(run, identity, mode))).collect();
        Self { runs, same_project }
    }

    fn seen(&self, size: &dyn Fn(&PastRun) -> f64, took: &dyn Fn(&PastRun) -> f64) -> Vec<Seen> {
        let seen = |(run, likeness): &(&PastRun, f64)| Seen { size: size(run), took: took(run), likeness: *likeness };
        self.runs.iter().map(seen).collect()
    }

    /// By how many items each worker had one after the other.
    fn wall_ms(&self, now: Now) -> Option<Expected> {
        let rounds = |items: u64, workers: u64| items as f64 / workers.clamp(1, items.max(1)) as f64;
        let seen = self.seen(&|run| rounds(worked_on(run), run.workers), &|run| run.wall.as_secs_f64() * 1e3);
        expect(&seen, rounds(now.items as u64, now.workers as u64))
    }
}

fn time(wall_ms: &Expected) -> Duration {
    Duration::from_secs_f64((wall_ms.middle / 1e3).clamp(0.0, 1e9))
}

/// `158 questions (150 to 161)`.
fn ranged(expected: &Expected, unit: &str, words: &dyn Fn(f64) -> String) -> String {
    let [middle, low, high] = [expected.middle, expected.low, expected.high].map(words);
    if low == high { format!("{middle}{unit}") } else { format!("{middle}{unit} ({low} to {high})") }
}

/// How much a run is like the one that is foretold.
fn likeness(run: &PastRun, identity: &Identity, mode: &str) -> f64 {
    let factors = [
        (run.project == identity.project, OTHER_PROJECT),
        (run.plugin_digest == identity.plugin_digest, OTHER_PLUGIN),
        (run.arguments == identity.arguments, OTHER_ARGUMENTS),
        (run.mode == mode, OTHER_MODE),
    ];
    factors.iter().map(|(is_same, other)| if *is_same { 1.0 } else { *other }).product()
}

#[cfg(test)]
mod tests {
    use super::super::History;
    use super::super::samples::{identity, past};
    use super::*;

    const NOW: Now = Now { items: 20, workers: 4, asks: true };

    fn history(runs: Vec<PastRun>) -> History {
        History::new(runs, &identity(), "balanced")
    }

    #[test]
    fn the_next_run_takes_what_the_last_ones_took_for_so_many_items() {
        let runs = [10, 20, 40, 16, 24, 12].map(|items| past(items, items as f64 * 2.0)).to_vec();
        let history = history(runs);
        let forecast = history.forecast(NOW).unwrap();
        assert_eq!((forecast.wall(), history.expected(NOW)), (Duration::from_secs(40), Some(Duration::from_secs(40))));
        let text = forecast.text();
        for part in
            ["By its last 6 runs: 40.00 s", ", 20 questions, 20,000 input tokens, ", "$0.2000", "7 times of 10."]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(forecast.json()["usd"]["expected"].as_f64().map(|usd| (usd * 100.0).round()), Some(20.0));
    }

    #[test]
    fn more_workers_are_faster_and_no_cheaper() {
        let runs: Vec<_> = [8, 16, 24, 32, 40].map(|items| past(items, items as f64)).to_vec();
        let by = |workers| history(runs.clone()).forecast(Now { items: 32, workers, asks: true }).unwrap();
        assert!((by(8).wall().as_secs_f64() - 16.0).abs() < 0.1, "{:?}", by(8));
        assert_eq!(by(8).usd.map(|usd| usd.middle), by(4).usd.map(|usd| usd.middle));
    }

    #[test]
    fn what_went_elsewhere_or_did_nothing_says_nothing() {
        let offline = |run: PastRun| PastRun { route: Some("offline".to_owned()), ..run };
        let cached = |mut run: PastRun| {
            run.census.cached = run.census.items;
            run
        };
        let others: Vec<_> =
            (0..9).map(|_| offline(past(20, 1.0))).chain((0..9).map(|_| cached(past(20, 0.1)))).collect();
        assert_eq!(history(others.clone()).forecast(NOW), None);
        let runs = others.into_iter().chain((0..5).map(|_| past(20, 60.0))).collect();
        assert_eq!(history(runs).forecast(NOW).unwrap().wall(), Duration::from_secs(60));
    }

    #[test]
    fn other_projects_count_only_where_there_are_too_few_of_this_one() {
        let elsewhere = |run: PastRun| PastRun { project: "/other".to_owned(), ..run };
        let mut runs: Vec<_> = (0..9).map(|_| elsewhere(past(20, 600.0))).collect();
        let far = history(runs.clone()).forecast(NOW).unwrap();
        assert!(!far.same_project && far.text().contains("other projects"), "{}", far.text());
        runs.extend((0..4).map(|_| past(20, 60.0)));
        let near = history(runs).forecast(NOW).unwrap();
        assert!(near.same_project && near.wall() == Duration::from_secs(60) && near.wall_ms.runs == 4);
    }

    #[test]
    fn without_a_model_nothing_is_said_of_money() {
        let forecast = history((0..5).map(|_| past(20, 1.0)).collect()).forecast(Now { asks: false, ..NOW }).unwrap();
        assert_eq!((forecast.usd, forecast.questions), (None, None));
        assert_eq!(forecast.text(), "By its last 5 runs: 1.00 s. What is in brackets holds about 7 times of 10.");
    }
}
