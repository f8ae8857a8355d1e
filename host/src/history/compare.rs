//! Two runs side by side: which items ended otherwise or took longer, which findings came and went.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use convoke_runtime::journal::{ItemTime, RunDetail};
use convoke_runtime::work::{Aggregation, Outcome};
use serde::{Deserialize, Serialize};

use crate::report::merge::aggregate;

/// An item is slower or faster when it took so many times as long, and so much longer.
const TIMES: f64 = 1.5;
const APART: Duration = Duration::from_millis(500);

/// What differs between two runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// The items.
    pub items: Items,
    /// The findings, by their fingerprints.
    pub findings: Findings,
}

/// How the items of two runs differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Items {
    /// How many are in both, and ended the same way.
    pub same: u64,
    /// Those that ended otherwise, in the order of the second run.
    pub changed: Vec<Changed>,
    /// Those of the first run alone.
    pub only_a: Vec<String>,
    /// Those of the second run alone.
    pub only_b: Vec<String>,
    /// Those that took longer, the most first. One that was cached is not compared.
    pub slower: Vec<Timed>,
    /// Those that took less, the most first.
    pub faster: Vec<Timed>,
}

/// An item that ended otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// How it stood in the first run.
    pub a: &'static str,
    /// In the second.
    pub b: &'static str,
    /// Why, where there is something to say: of the second run, else of the first.
    pub reason: Option<String>,
}

/// An item that took another time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// Its id.
    pub id: String,
    /// In the first run, in milliseconds.
    pub a_ms: u64,
    /// In the second.
    pub b_ms: u64,
}

/// How the findings of two runs differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// How many are in both.
    pub same: u64,
    /// In the second run, and not in the first, which has looked at their items.
    pub new: Vec<Found>,
    /// In the first run, and not in the second, which has looked at their items.
    pub gone: Vec<Found>,
    /// In the second run; the first has not looked at their items, or did not come to an end with them.
    pub not_looked_at_in_a: Vec<Found>,
    /// In the first run; the second has not.
    pub not_looked_at_in_b: Vec<Found>,
}

/// A finding, as a report has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The rule.
    pub rule: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub severity: String,
    /// What it is.
    pub message: String,
    /// The file.
    pub path: Option<String>,
    /// Counted from 1.
    pub line: Option<u32>,
    /// The id of the item that found it.
    pub item: String,
    /// What makes it the same finding.
    pub fingerprint: String,
    /// Whether the report did not show it.
    #[serde(default, deserialize_with = "is_there")]
    pub suppressed: bool,
}

fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<serde::de::IgnoredAny>::deserialize(deserializer)?.is_some())
}

/// The findings of a report that was kept. None: it can't be read.
pub fn of_report(report: &str) -> Option<Vec<Found>> {
    #[derive(Deserialize)]
    struct Kept {
        findings: Vec<Found>,
    }
    Some(serde_json::from_str::<Kept>(report).ok()?.findings)
}

/// The findings of a run of which no report is kept, as its items have them: with the severity that the plugin gave, and
/// none suppressed.
pub fn of_partials(run: &RunDetail) -> Vec<Found> {
    let partials = run.items.iter().filter_map(|row| Some((row.item.id.as_str(), row.end.as_ref()?.partial.as_ref()?)));
    let found = aggregate(Aggregation::Merge, partials).findings.into_iter();
    found
        .map(|finding| Found {
            rule: finding.rule,
            severity: finding.severity.name().to_owned(),
            message: finding.message,
            path: finding.path,
            line: finding.line,
            item: finding.item,
            fingerprint: finding.fingerprint,
            suppressed: false,
        })
        .collect()
}

/// What is known of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// Its items, in their order.
    pub items: Vec<ItemTime>,
    /// Its findings.
    pub findings: Vec<Found>,
}

/// Compares the second run with the first.
pub fn compare(a: &Side, b: &Side) -> Difference {
    Difference { items: items(&a.items, &b.items), findings: findings(a, b) }
}

fn items(a: &[ItemTime], b: &[ItemTime]) -> Items {
    let before: HashMap<&str, &ItemTime> = a.iter().map(|item| (item.id.as_str(), item)).collect();
    let after: HashSet<&str> = b.iter().map(|item| item.id.as_str()).collect();
    let mut items = Items {
        only_a: a.iter().filter(|item| !after.contains(item.id.as_str())).map(|item| item.id.clone()).collect(),
        ..Items::default()
    };
    for now in b {
        let Some(then) = before.get(now.id.as_str()) else {
            items.only_b.push(now.id.clone());
            continue;
        };
        if then.outcome.name() == now.outcome.name() {
            items.same += 1;
        } else {
            let reason = now.outcome.reason().or_else(|| then.outcome.reason()).map(str::to_owned);
            let (a, b) = (then.outcome.name(), now.outcome.name());
            items.changed.push(Changed { id: now.id.clone(), a, b, reason });
        }
        if let Some(is_slower) = is_slower(then, now) {
            let timed = Timed { id: now.id.clone(), a_ms: millis(then.took), b_ms: millis(now.took) };
            if is_slower { &mut items.slower } else { &mut items.faster }.push(timed);
        }
    }
    for timed in [&mut items.slower, &mut items.faster] {
        timed.sort_by_key(|one| std::cmp::Reverse(one.a_ms.abs_diff(one.b_ms)));
    }
    items
}

/// Whether it took longer, or less. None: about the same, or it was not done in both.
fn is_slower(then: &ItemTime, now: &ItemTime) -> Option<bool> {
    let was_done = |item: &ItemTime| !matches!(item.outcome, Outcome::Cached | Outcome::Pending | Outcome::Skipped(_));
    let (least, most) = (then.took.min(now.took), then.took.max(now.took));
    let differs = most - least >= APART && most.as_secs_f64() >= least.as_secs_f64() * TIMES;
    (was_done(then) && was_done(now) && differs).then(|| now.took > then.took)
}

fn findings(a: &Side, b: &Side) -> Findings {
    let by_print = |side: &Side| -> BTreeMap<String, ()> {
        side.findings.iter().map(|found| (found.fingerprint.clone(), ())).collect()
    };
    let looked_at = |side: &Side| -> HashSet<String> {
        let well = side.items.iter().filter(|item| {
            matches!(item.outcome, Outcome::Done | Outcome::Cached | Outcome::Fallback(_) | Outcome::Skipped(_))
        });
        well.map(|item| item.id.clone()).collect()
    };
    let (in_a, in_b, looked_a, looked_b) = (by_print(a), by_print(b), looked_at(a), looked_at(b));
    let mut findings = Findings::default();
    for found in &b.findings {
        match (in_a.contains_key(&found.fingerprint), looked_a.contains(&found.item)) {
            (true, _) => findings.same += 1,
            (false, true) => findings.new.push(found.clone()),
            (false, false) => findings.not_looked_at_in_a.push(found.clone()),
        }
    }
    for found in a.findings.iter().filter(|found| !in_b.contains_key(&found.fingerprint)) {
        match looked_b.contains(&found.item) {
            true => findings.gone.push(found.clone()),
            false => findings.not_looked_at_in_b.push(found.clone()),
        }
    }
    findings
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, outcome: Outcome, millis: u64) -> ItemTime {
        ItemTime { id: id.to_owned(), outcome, took: Duration::from_millis(millis) }
    }

    fn found(fingerprint: &str, item: &str) -> Found {
        Found {
            rule: "rule".to_owned(),
            severity: "high".to_owned(),
            message: "a message".to_owned(),
            path: Some(item.to_owned()),
            line: Some(1),
            item: item.to_owned(),
            fingerprint: fingerprint.to_owned(),
            suppressed: false,
        }
    }

    fn prints(found: &[Found]) -> Vec<&str> {
        found.iter().map(|found| found.fingerprint.as_str()).collect()
    }

    #[test]
    fn items_that_ended_otherwise_and_those_that_took_longer_are_told_apart() {
        let failed = Outcome::Failed("it trapped".to_owned());
        let a = [
            item("same", Outcome::Done, 1_000),
            item("mended", failed, 100),
            item("gone", Outcome::Done, 1),
            item("slow", Outcome::Done, 1_000),
            item("fast", Outcome::Done, 9_000),
            item("cached", Outcome::Done, 9_000),
        ];
        let b = [
            item("same", Outcome::Done, 1_400),
            item("mended", Outcome::Done, 120),
            item("new", Outcome::Done, 1),
            item("slow", Outcome::Done, 3_000),
            item("fast", Outcome::Done, 2_000),
            item("cached", Outcome::Cached, 0),
        ];
        let found = items(&a, &b);
        assert_eq!(
            (found.same, &found.only_a[..], &found.only_b[..]),
            (3, &["gone".to_owned()][..], &["new".to_owned()][..])
        );
        let changed: Vec<_> =
            found.changed.iter().map(|one| (one.id.as_str(), one.a, one.b, one.reason.as_deref())).collect();
        assert_eq!(changed, [("mended", "failed", "done", Some("it trapped")), ("cached", "done", "cached", None)]);
        assert_eq!(found.slower, [Timed { id: "slow".to_owned(), a_ms: 1_000, b_ms: 3_000 }]);
        assert_eq!(found.faster.len(), 1, "what was cached was not faster");
    }

    #[test]
    fn a_finding_is_gone_only_where_somebody_has_looked() {
        let a = Side {
            items: vec![item("x", Outcome::Done, 1), item("y", Outcome::Done, 1)],
            findings: vec![found("kept", "x"), found("mended", "x"), found("unseen", "y")],
        };
        let failed = Outcome::Failed(String::new());
        let b = Side {
            items: vec![item("x", Outcome::Done, 1), item("y", failed, 1), item("z", Outcome::Done, 1)],
            findings: vec![found("kept", "x"), found("broken", "x"), found("added", "z")],
        };
        let found = findings(&a, &b);
        assert_eq!(found.same, 1);
        assert_eq!((prints(&found.new), prints(&found.gone)), (vec!["broken"], vec!["mended"]));
        assert_eq!(
            (prints(&found.not_looked_at_in_a), prints(&found.not_looked_at_in_b)),
            (vec!["added"], vec!["unseen"])
        );
    }

    #[test]
    fn findings_are_read_from_a_report_as_it_is_kept() {
        let report = crate::report::samples::full();
        let text = serde_json::to_string(&report).unwrap();
        let read = of_report(&text).unwrap();
        assert_eq!(read.len(), report.findings.len());
        let suppressed = |count: usize| count == report.findings.iter().filter(|one| one.suppressed.is_some()).count();
        assert!(suppressed(read.iter().filter(|one| one.suppressed).count()));
        assert_eq!(of_report("{\"findings\": 7}"), None);
    }
}
