//! How long a run took, and what held it up.

use convoke_runtime::timeline::bottleneck::What;
use convoke_runtime::timeline::timesheet::Timesheet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::duration;
use super::{Worker, clean};

/// Shorter runs are over before anybody could ask why they took so long: it is in the report for machines only.
const WORTH_SAYING_MS: u64 = 1_000;

/// The longest name of a segment that is shown, in characters.
const SEGMENT: usize = 60;

/// How long a run took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// From start to end, in milliseconds.
    pub wall_ms: u64,
    /// The sum over all workers of the time they had an item in their hands, in milliseconds.
    pub work_ms: u64,
    /// `work_ms / wall_ms`, to two decimals; 0 where nothing was done.
    pub speedup: f64,
    /// The share of the wall in which at least two workers had an item in their hands, 0 to 1, to two decimals.
    #[serde(default)]
    pub parallel_share: f64,
    /// The worker that had items in its hands for longest; absent where nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<SlowestInfo>,
    /// What held the run up most; absent where nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<BottleneckInfo>,
}

/// The worker that had items in its hands for longest, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowestInfo {
    /// Its number.
    pub worker: u64,
    /// The group or groups that it was dealt.
    pub segment: String,
    /// For how many milliseconds it had an item in its hands.
    pub work_ms: u64,
    /// What most of that went to: `quota`, `limit`, `instance`, `breaker`, `pause`, `context`, `turn`, `retry`, `stall`,
    /// `answers` or `work`.
    pub what: String,
    /// Which share of it, 0 to 1, to two decimals.
    pub share: f64,
}

/// What held a run up most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BottleneckInfo {
    /// What: `plan`, `start`, `quota`, `limit`, `instance`, `breaker`, `pause`, `context`, `turn`, `retry`, `stall`,
    /// `item`, `one-by-one`, `idle`, `aggregate`; where nothing did, `answers` or `work`.
    pub what: String,
    /// The segment that it held up most; null where it concerns none more than others.
    pub segment: Option<String>,
    /// The share of the time from the beginning of the plan to the end of the run, 0 to 1, to two decimals.
    pub share: f64,
    /// What that means, in a sentence.
    pub reason: String,
}

impl Timing {
    /// Adds what was told of where the time went.
    pub(crate) fn tell(&mut self, workers: &[Worker], sheet: &Timesheet) {
        self.parallel_share = two_decimals(sheet.parallel_share());
        let slowest = workers.iter().max_by_key(|worker| worker.work_ms).filter(|worker| worker.work_ms > 0);
        self.slowest = slowest.and_then(|slowest| {
            let (what, share) = sheet.most_of(usize::try_from(slowest.id).ok()?)?;
            Some(SlowestInfo {
                worker: slowest.id,
                segment: slowest.segment.clone(),
                work_ms: slowest.work_ms,
                what: what.name().to_owned(),
                share: two_decimals(share),
            })
        });
        self.bottleneck = sheet.bottleneck().map(|found| BottleneckInfo {
            what: found.what.name().to_owned(),
            segment: found.segment,
            share: two_decimals(found.share),
            reason: found.reason,
        });
    }
}

/// `ops, 2.31 s: 61 % of it waiting for quota`; none where there was one worker.
pub(super) fn slowest(timing: &Timing, workers: usize) -> Option<String> {
    let slowest = timing.slowest.as_ref().filter(|_| workers > 1 && timing.wall_ms >= WORTH_SAYING_MS)?;
    let segment = clean::bounded(&slowest.segment, SEGMENT);
    let (time, share) = (duration(slowest.work_ms), percent(slowest.share));
    // One that this version does not know stands for itself.
    let doing = What::named(&slowest.what).map_or(slowest.what.as_str(), |what| what.doing());
    Some(format!("{segment}, {time}: {share} of it {}", clean::bounded(doing, SEGMENT)))
}

/// `quota, 61 % of the time: questions waited 1 min 12 s for it; most in ops`; none where the run was short.
pub(super) fn bottleneck(timing: &Timing) -> Option<String> {
    let found = timing.bottleneck.as_ref().filter(|_| timing.wall_ms >= WORTH_SAYING_MS)?;
    let reason = clean::bounded(&found.reason, 2 * SEGMENT + 100);
    let within = match &found.segment {
        Some(segment) if !matches!(found.what.as_str(), "answers" | "work") => {
            format!("; most in {}", clean::bounded(segment, SEGMENT))
        }
        _ => String::new(),
    };
    Some(format!("{}, {} of the time: {reason}{within}", found.what, percent(found.share)))
}

/// `64 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// For the report: more would only look exact.
pub(super) fn two_decimals(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn the_slowest_and_the_bottleneck_are_said_with_their_reason() {
        let report = samples::full();
        assert_eq!(slowest(&report.timing, 2).as_deref(), Some("ops, 2.31 s: 61 % of it waiting for quota"),);
        let said = "quota, 44 % of the time: questions waited 1.8 s in all for quota; most in ops";
        assert_eq!(bottleneck(&report.timing).as_deref(), Some(said));
    }

    #[test]
    fn of_one_worker_and_of_a_moment_nothing_is_said() {
        let mut timing = samples::full().timing;
        assert_eq!(slowest(&timing, 1), None);
        timing.wall_ms = 999;
        assert_eq!((slowest(&timing, 2), bottleneck(&timing)), (None, None));
    }
}
