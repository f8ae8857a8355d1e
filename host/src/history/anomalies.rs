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
    /// How many runs before it was compared with: of the same command, project and route, and of similar size.
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
}

/// Compares it with the last ones of the project that had between half and twice as many items to do.
pub(super) fn find(past: &[PastRun], project: &str, took: &Took) -> Vec<Anomaly> {
    let items = took.census.items.saturating_sub(took.census.cached);
    let is_alike = |run: &&PastRun| {
        let then = worked_on(run);
        run.project == project && then * 2 >= items && then <= items * 2
    };
    let like: Vec<&PastRun> = past.iter().filter(is_alike).take(LAST).collect();
    if items == 0 {
        return Vec::new();
    }
    let runs = like.len() as u64;
    let last = if like.len() == LAST {
        "the last ten runs".to_owned()
    } else {
        format!("the last {}", counted(runs, "run", "runs"))
    };
    let before = |value: &dyn Fn(&PastRun) -> f64| like.iter().map(|run| value(run)).collect::<Vec<f64>>();
    let mut found = Vec::new();
    let mut add = |what: &'static str, value: f64, unusual: Option<Unusual>, message: &dyn Fn(Unusual) -> String| {
        found.extend(unusual.map(|unusual| Anomaly {
            what: what.into(),
            value,
            median: unusual.median,
            times: unusual.times.map(|times| (times * 100.0).round() / 100.0),
            runs,
            message: message(unusual),
        }));
    };

    let wall = took.wall.as_secs_f64() * 1e3;
    let walls = before(&|run| run.wall.as_secs_f64() * 1e3);
    add("wall_ms", wall, unusual(&walls, wall, FLOOR_MS), &|found| {
        let times = found.times.map_or_else(String::new, |times| format!("{times:.1} times as long as "));
        let (now, median) = (duration(wall.round() as u64), duration(found.median.round() as u64));
        format!("this run took {now}, {times}{last} like it (median {median})")
    });
    let (usd, dollars) = (took.usd.dollars(), before(&|run| run.usd.dollars()));
    add("usd", usd, unusual(&dollars, usd, FLOOR_USD), &|found| {
        let times = found.times.map_or_else(|| "beside ".to_owned(), |times| format!("{times:.1} times as much as "));
        let median = Usd::from_dollars(found.median);
        format!("this run cost {}, {times}{last} like it (median {median})", took.usd)
    });
    let failed = took.census.failed as f64 / items as f64;
    if took.census.failed >= FEWEST_FAILED {
        let shares = before(&|run| run.census.failed as f64 / worked_on(run).max(1) as f64);
        add("failed_share", failed, unusual(&shares, failed, FLOOR_FAILED), &|found| {
            let percent = |share: f64| format!("{:.0} %", share * 100.0);
            let (now, median) = (percent(failed), percent(found.median));
            format!("{now} of the items failed, far more than in {last} like it (median {median})")
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::samples::past;
    use super::*;

    fn took(items: u64, seconds: f64) -> Took {
        let census = Census { items, done: items, ..Census::default() };
        Took { census, wall: Duration::from_secs_f64(seconds), usd: Usd::from_dollars(items as f64 * 0.01) }
    }

    fn ten() -> Vec<PastRun> {
        (0..10).map(|number| past(20, 60.0 + number as f64 * 0.4)).collect()
    }

    #[test]
    fn three_times_as_long_as_the_last_ten_is_said_with_the_median() {
        let found = find(&ten(), "/project", &took(20, 191.6));
        let expected = "this run took 3 min 11 s, 3.1 times as long as the last ten runs like it (median 1 min 01 s)";
        assert_eq!(found.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), [expected]);
        assert_eq!((&*found[0].what, found[0].runs, found[0].median), ("wall_ms", 10, 61_800.0));
    }

    #[test]
    fn a_usual_run_says_nothing_and_nor_does_one_of_few() {
        assert_eq!(find(&ten(), "/project", &took(20, 70.0)), []);
        assert_eq!(find(&ten()[..4], "/project", &took(20, 900.0)), [], "four are too few");
        assert_eq!(find(&ten(), "/other", &took(20, 900.0)), [], "those of other projects are not compared");
        assert_eq!(find(&ten(), "/project", &took(60, 900.0)), [], "and nor are those of another size");
        assert_eq!(find(&ten(), "/project", &Took::default()), []);
    }

    #[test]
    fn what_it_cost_and_how_much_failed_are_looked_at_too() {
        let mut dear = took(20, 60.0);
        dear.usd = Usd::from_dollars(0.9);
        dear.census = Census { items: 20, done: 12, failed: 8, ..Census::default() };
        let found = find(&ten(), "/project", &dear);
        assert_eq!(found.iter().map(|one| &*one.what).collect::<Vec<_>>(), ["usd", "failed_share"]);
        assert!(found[0].message.contains("4.5 times as much"), "{}", found[0].message);
        assert!(found[1].message.starts_with("40 % of the items failed"), "{}", found[1].message);
        dear.census = Census { items: 20, done: 19, failed: 1, ..Census::default() };
        dear.usd = Usd::from_dollars(0.2);
        assert_eq!(find(&ten(), "/project", &dear), [], "one item is no trend");
    }
}
