//! What held a run up most.

use std::time::Duration;

use serde::Serialize;

use super::Timeline;
use super::timesheet::{OfWorker, Times, Timesheet};

/// From this share of the time on something is said to have held a run up. Below, it went as fast as the answers came, or
/// as the plugin worked.
const WORTH_NAMING: f64 = 0.2;

/// What the time of a run can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Making the plan, and dealing its items.
    Plan,
    /// Workers began, and could not take an item yet.
    Start,
    /// Questions waited for quota.
    Quota,
    /// As many were in flight as might be.
    Limit,
    /// Questions waited for an instance.
    Instance,
    /// The breaker was open.
    Breaker,
    /// It was paused.
    Pause,
    /// Questions waited for another one that shares their context.
    Context,
    /// Questions waited for their turn.
    Turn,
    /// Questions waited to be asked again after a failure.
    Retry,
    /// Answers had begun, and nothing more of them came for long.
    Stall,
    /// Workers had nothing to take while others had the last items, or those that others come after.
    Item,
    /// After failures all was done one by one.
    OneByOne,
    /// Nobody had an item in hands, though there were some: another host had them.
    Idle,
    /// Putting the results together, with what the plugin concluded.
    Aggregate,
    /// Models answered.
    Answers,
    /// The plugin worked: it read and computed.
    Work,
}

impl What {
    /// How many there are.
    pub(super) const COUNT: usize = Self::Work as usize + 1;

    /// What can hold a run up.
    const HINDRANCES: [Self; Self::COUNT - 2] = [
        Self::Plan,
        Self::Start,
        Self::Quota,
        Self::Limit,
        Self::Instance,
        Self::Breaker,
        Self::Pause,
        Self::Context,
        Self::Turn,
        Self::Retry,
        Self::Stall,
        Self::Item,
        Self::OneByOne,
        Self::Idle,
        Self::Aggregate,
    ];

    /// What a question waits for, by its name in events.
    pub(super) fn of_wait(reason: &str) -> Self {
        match reason {
            "quota" => Self::Quota,
            "limit" => Self::Limit,
            "instance" => Self::Instance,
            "breaker" => Self::Breaker,
            "pause" => Self::Pause,
            "context" => Self::Context,
            _ => Self::Turn,
        }
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Start => "start",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::Instance => "instance",
            Self::Breaker => "breaker",
            Self::Pause => "pause",
            Self::Context => "context",
            Self::Turn => "turn",
            Self::Retry => "retry",
            Self::Stall => "stall",
            Self::Item => "item",
            Self::OneByOne => "one-by-one",
            Self::Idle => "idle",
            Self::Aggregate => "aggregate",
            Self::Answers => "answers",
            Self::Work => "work",
        }
    }

    /// What has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::HINDRANCES.into_iter().chain([Self::Answers, Self::Work]).find(|what| what.name() == name)
    }

    /// What a worker was at, said of its time.
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Plan => "planning",
            Self::Start => "starting",
            Self::Quota => "waiting for quota",
            Self::Limit => "waiting for the limit",
            Self::Instance => "waiting for an instance",
            Self::Breaker => "waiting for the breaker",
            Self::Pause => "paused",
            Self::Context => "waiting for a shared context",
            Self::Turn => "waiting for its turn",
            Self::Retry => "waiting to ask again",
            Self::Stall => "waiting for answers that had stalled",
            Self::Item | Self::OneByOne | Self::Idle => "with nothing to take",
            Self::Aggregate => "putting together",
            Self::Answers => "for models to answer",
            Self::Work => "for the plugin's own work",
        }
    }
}

/// What held a run up most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bottleneck {
    /// What it is.
    pub what: What,
    /// The segment that it held up most, where it concerns one more than others.
    pub segment: Option<String>,
    /// The share of the time from the beginning of the plan to the end, 0.0 to 1.0.
    pub share: f64,
    /// What that means, in a sentence.
    pub reason: String,
}

impl Timeline {
    /// What held the run up most so far; of one that was continued, its last part. None: no worker had anything to do.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        self.sheet.bottleneck()
    }

    /// The share of the wall in which at least two workers had an item in their hands, 0.0 to 1.0.
    pub fn parallel_share(&self) -> f64 {
        self.sheet.parallel_share()
    }
}

impl Timesheet {
    /// What held the run up most. None: no worker had anything to do.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        let all = self.shares.sum();
        if self.most() == 0 || all <= 0.0 {
            return None;
        }
        let of_all = most(&self.shares, &What::HINDRANCES).filter(|(_, seconds)| seconds / all >= WORTH_NAMING);
        let (what, seconds) = of_all.or_else(|| most(&self.shares, &[What::Answers, What::Work]))?;
        let (segment, reason) = self.explain(what, seconds);
        Some(Bottleneck { what, segment, share: (seconds / all).clamp(0.0, 1.0), reason })
    }

    /// What most of a worker's time went to while it had an item in its hands, and which share of that, 0.0 to 1.0.
    pub fn most_of(&self, worker: usize) -> Option<(What, f64)> {
        let times = self.of_worker(worker)?;
        let all = times.sum() - times.of(What::Start);
        let at: Vec<What> = What::HINDRANCES
            .into_iter()
            .filter(|what| *what != What::Start)
            .chain([What::Answers, What::Work])
            .collect();
        let (what, seconds) = most(&times, &at)?;
        (all > 0.0).then(|| (what, (seconds / all).clamp(0.0, 1.0)))
    }

    /// The segment that it concerns, and what it means.
    fn explain(&self, what: What, seconds: f64) -> (Option<String>, String) {
        let of_all = words(seconds);
        let worked = words(self.worked.of(what));
        let segment = || {
            let hit = |one: &&OfWorker| one.times.of(what) > 0.0;
            let all = self.of_workers();
            let worst = all.iter().filter(hit);
            worst.max_by(|a, b| a.times.of(what).total_cmp(&b.times.of(what))).map(|worst| worst.segment.clone())
        };
        let waited = |why: &str| (segment(), format!("questions waited {worked} in all {why}"));
        match what {
            What::Plan => (None, format!("the plan took {of_all}")),
            What::Start => (segment(), format!("workers took {worked} in all to begin")),
            What::Quota => waited("for quota"),
            What::Limit => waited("because as many were in flight as might be"),
            What::Instance => waited("for an instance"),
            What::Breaker => (None, format!("questions waited {worked} in all for the breaker")),
            What::Pause => (None, format!("it was paused for about {of_all}")),
            What::Context => waited("for another one that shares their context"),
            What::Turn => waited("for their turn"),
            What::Retry => {
                let why = self.retries.iter().max_by_key(|(_, count)| **count).map(|(kind, count)| {
                    let (all, kind) = (self.retries.values().sum::<u64>(), kind.replace('-', " "));
                    if all == *count {
                        format!(" ({count} × {kind})")
                    } else {
                        format!(" ({count} of {all} × {kind})")
                    }
                });
                waited(&format!("to be asked again{}", why.unwrap_or_default()))
            }
            What::Stall => (segment(), format!("nothing came for {worked} in all of answers that had begun")),
            What::Item => match self.waited_for.values().max_by(|a, b| a.seconds.total_cmp(&b.seconds)) {
                Some(longest) => {
                    let (label, lasted) = (&longest.label, words(longest.lasted));
                    let reason = format!("others had nothing to take for {lasted} while `{label}` was under way");
                    (Some(longest.segment.clone()), reason)
                }
                None => (None, format!("workers had nothing to take for {worked} in all")),
            },
            What::OneByOne => (None, format!("after failures {} workers took turns for {of_all}", self.most())),
            What::Idle => (None, format!("there was nothing to take for {of_all}: others had it")),
            What::Aggregate => (None, format!("putting the results together took {of_all}")),
            What::Answers => (segment(), "nothing held it up but the time models took to answer".to_owned()),
            What::Work => (segment(), "nothing held it up but the plugin's own work".to_owned()),
        }
    }
}

/// Of these the one that took longest, if any took time.
fn most(times: &Times, of: &[What]) -> Option<(What, f64)> {
    let took = of.iter().map(|what| (*what, times.of(*what))).filter(|(_, seconds)| *seconds > 0.0);
    took.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// `312 ms`, `1.2 s`, `2 min 05 s`, `3 h 07 min`.
fn words(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let whole = time.as_secs();
    match whole {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests;
