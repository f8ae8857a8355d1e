//! What a run took unusually much of, beside the last ones of its kind.

use std::borrow::Cow;
use std::time::Duration;

use convoke_runtime::journal::PastRun;
use convoke_runtime::money::Usd;
use convoke_runtime::robust::{Unusual, unusual};
use convoke_runtime::work::Census;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worked_on;
use crate::report::words::{counted, duration};
use crate::run::assess::Identity;

/// It is compared with so many, the last ones.
const LAST: usize = 10;

/// What is less above the others is never said: milliseconds, dollars, a share of the items.
const FLOOR_MS: f64 = 2_000.0;
const FLOOR_USD: f64 = 0.02;
const FLOOR_FAILED: f64 = 0.1;

/// One item that failed is a failure, not a trend.
const FEWEST_FAILED: u64 = 2;

/// Something of which a run took unusually much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// What: `wall_ms`, `usd` or `failed_share`. Also the unit.
    pub what: Cow<'static, str>,
    /// What it was this time.
    pub value: f64,
    /// The median of the runs before.
    pub median: f64,
    /// How many times that it is; null where it was mostly nothing.
    pub times: Option<f64>,
    /// How many runs before it was compared with: of the same command, arguments, mode, project and route, and of similar
    /// size.
    pub runs: u64,
    /// The same in a sentence.
    pub message: String,
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Took {
    /// How its items stand.
    pub census: Census,
    /// From start to end.
    pub wall: Duration,
    /// What it cost at most.
    pub usd: Usd,
    /// How many workers it had.
    pub workers: u64,
}

/// Compares it with the last ones of the project that were started with the same arguments in the same mode, and had
/// between half and twice as many items to do. Its wall is compared with those of as many workers.
pub(super) fn find(past: &[PastRun], identity: &Identity, mode: &str, took: &Took) -> Vec<Anomaly> {
    let items = took.census.items.saturating_sub(took.census.cached);
    if items == 0 {
        return Vec::new();
    }
    let is_alike = |run: &&PastRun| {
        let then = worked_on(run);
        let is_same = run.project == identity.project && run.arguments == identity.arguments && run.mode == mode;
        is_same && then * 2 >= items && then <= items * 2
    };
    let like: Vec<&PastRun> = past.iter().filter(is_alike).collect();
    let before = |value: &dyn Fn(&PastRun) -> Option<f64>| -> Vec<f64> {
        like.iter().filter_map(|run| value(run)).take(LAST).collect()
    };
    let mut found = Vec::new();
    let mut add =
        |what: &'static str, value: f64, floor: f64, before: &[f64], message: &dyn Fn(Unusual, &str) -> String| {
            let last = match before.len() {
                LAST => "the last ten runs".to_owned(),
                fewer => format!("the last {}", counted(fewer as u64, "run", "runs")),
            };
            found.extend(unusual(before, value, floor).map(|unusual| Anomaly {
                what: what.into(),
                value,
                median: unusual.median,
                times: unusual.times.map(|times| (times * 100.0).round() / 100.0),
                runs: before.len() as u64,
                message: message(unusual, &last),
            }));
        };

    let wall = took.wall.as_secs_f64() * 1e3;
    let walls = before(&|run| (run.workers == took.workers).then_some(run.wall.as_secs_f64() * 1e3));
    add("wall_ms", wall, FLOOR_MS, &walls, &|found, last| {
        let times = found.times.map_or_else(String::new, |times| format!("{times:.1} times as long as "));
        let (now, median) = (duration(wall.round() as u64), duration(found.median.round() as u64));
        format!("this run took {now}, {times}{last} like it (median {median})")
    });
    let (usd, dollars) = (took.usd.dollars(), before(&|run| Some(run.usd.dollars())));
    add("usd", usd, FLOOR_USD, &dollars, &|found, last| {
        let times = found.times.map_or_else(|| "beside ".to_owned(), |times| format!("{times:.1} times as much as "));
        let median = Usd::from_dollars(found.median);
        format!("this run cost {}, {times}{last} like it (median {median})", took.usd)
    });
    let failed = took.census.failed as f64 / items as f64;
    if took.census.failed >= FEWEST_FAILED {
        let shares = before(&|run| Some(run.census.failed as f64 / worked_on(run).max(1) as f64));
        add("failed_share", failed, FLOOR_FAILED, &shares, &|found, last| {
            let percent = |share: f64| format!("{:.0} %", share * 100.0);
            let (now, median) = (percent(failed), percent(found.median));
            format!("{now} of the items failed, far more than in {last} like it (median {median})")
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::samples::{identity, past};
    use super::*;

    fn took(items: u64, seconds: f64) -> Took {
        let census = Census { items, done: items, ..Census::default() };
        Took { census, wall: Duration::from_secs_f64(seconds), usd: Usd::from_dollars(items as f64 * 0.01), workers: 4 }
    }

    fn find_in(past: &[PastRun], took: &Took) -> Vec<Anomaly> {
        find(past, &identity(), "balanced", took)
    }

    fn ten() -> Vec<PastRun> {
        (0..10).map(|number| past(20, 60.0 + number as f64 * 0.4)).collect()
    }

    #[test]
    fn three_times_as_long_as_the_last_ten_is_said_with_the_median() {
        let found = find_in(&ten(), &took(20, 191.6));
        let expected = "this run took 3 min 11 s, 3.1 times as long as the last ten runs like it (median 1 min 01 s)";
        assert_eq!(found.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), [expected]);
        assert_eq!((&*found[0].what, found[0].runs, found[0].median), ("wall_ms", 10, 61_800.0));
    }

    #[test]
    fn a_usual_run_says_nothing_and_nor_does_one_of_few() {
        assert_eq!(find_in(&ten(), &took(20, 70.0)), []);
        assert_eq!(find_in(&ten()[..4], &took(20, 900.0)), [], "four are too few");
        assert_eq!(find_in(&ten(), &took(60, 900.0)), [], "and nor are those of another size");
        assert_eq!(find_in(&ten(), &Took::default()), []);
    }

    #[test]
    fn what_it_cost_and_how_much_failed_are_looked_at_too() {
        let mut dear = took(20, 60.0);
        dear.usd = Usd::from_dollars(0.9);
        dear.census = Census { items: 20, done: 12, failed: 8, ..Census::default() };
        let found = find_in(&ten(), &dear);
        assert_eq!(found.iter().map(|one| &*one.what).collect::<Vec<_>>(), ["usd", "failed_share"]);
        assert!(found[0].message.contains("4.5 times as much"), "{}", found[0].message);
        assert!(found[1].message.starts_with("40 % of the items failed"), "{}", found[1].message);
        dear.census = Census { items: 20, done: 19, failed: 1, ..Census::default() };
        dear.usd = Usd::from_dollars(0.2);
        assert_eq!(find_in(&ten(), &dear), [], "one item is no trend");
    }

    #[test]
    fn only_runs_that_were_started_alike_are_compared() {
        let long = took(20, 900.0);
        assert_eq!(find_in(&ten(), &long).len(), 1);
        let elsewhere = Identity { project: "/other".to_owned(), ..identity() };
        let asked_otherwise = Identity { arguments: serde_json::json!({ "all": true }), ..identity() };
        for identity in [elsewhere, asked_otherwise] {
            assert_eq!(find(&ten(), &identity, "balanced", &long), [], "{identity:?}");
        }
        assert_eq!(find(&ten(), &identity(), "safe", &long), [], "of another mode");
        let mut alone = Took { workers: 1, ..long };
        assert_eq!(find_in(&ten(), &alone), [], "one worker takes longer than four");
        alone.usd = Usd::from_dollars(0.9);
        let found = find_in(&ten(), &alone);
        assert_eq!(found.iter().map(|one| &*one.what).collect::<Vec<_>>(), ["usd"], "and costs the same");
    }
}
