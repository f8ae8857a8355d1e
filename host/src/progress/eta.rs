//! How long the rest will take: from the pace of this run and, while that says little, from what earlier ones took. What is
//! shown is no more exact than it is known, and does not jump.

use std::time::Duration;

use super::doing::Kind;
use super::state::{Line, State};

/// Before so many items were worked on, this run's own pace says nothing.
const SAYS_SOMETHING: usize = 3;

/// So many items count as much as what earlier runs took.
const AS_MUCH_AS_HISTORY: f64 = 4.0;

/// How far off an estimate of earlier runs may well be, as a share of it.
const ERROR_OF_HISTORY: f64 = 0.4;

/// In so long two thirds of a change are shown.
const SETTLES: Duration = Duration::from_secs(8);

/// What can be shown, in seconds: the first that is not finer than the estimate.
const STEPS: [u64; 11] = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600];

/// How long it takes from now on, and how far off that may be, as a share of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    pub(super) seconds: f64,
    pub(super) error: f64,
}

impl State {
    /// How long the rest will take from now on; none where that can't be said.
    pub(super) fn left(&self, now: Duration) -> Option<Left> {
        let left = self.items.saturating_sub(self.ended);
        if self.is_stopping || self.paused.is_some() || left == 0 {
            return None;
        }
        let since = now.checked_sub(self.first_start? + self.rested)?.as_secs_f64();
        let worked = self.ended.saturating_sub(self.cached);
        let own = (worked >= SAYS_SOMETHING).then(|| {
            // What is in hands is partly done, so that it does not look longer and longer until an item ends.
            let average = (self.took.as_secs_f64() / worked as f64).max(0.001);
            let held = self.workers.values().filter(|line| line.item.is_some());
            let begun: f64 = held.map(|line| (line.held(now) / average).min(0.9)).sum();
            let begun = begun.min(left as f64 * 0.9);
            let done = worked as f64 + begun;
            Left { seconds: since * (left as f64 - begun) / done, error: (worked as f64).sqrt().recip() }
        });
        let history = self
            .expected
            .map(|expected| expected.as_secs_f64())
            .filter(|expected| since < expected * 1.2)
            .map(|expected| Left { seconds: (expected - since).max(expected * 0.05), error: ERROR_OF_HISTORY });
        let known = match (own, history) {
            (Some(own), Some(history)) => {
                let weight = worked as f64 / (worked as f64 + AS_MUCH_AS_HISTORY);
                let mixed = |own: f64, history: f64| own * weight + history * (1.0 - weight);
                Left { seconds: mixed(own.seconds, history.seconds), error: mixed(own.error, history.error) }
            }
            (own, history) => own.or(history)?,
        };
        // While nobody may be asked nothing ends.
        let alone = self.tried_again.map_or(0.0, |at| at.saturating_sub(now).as_secs_f64());
        let known = Left { seconds: known.seconds.max(alone), error: known.error.clamp(0.1, 1.0) };
        let longest = self.longest(now, worked).filter(|longest| *longest > known.seconds);
        Some(longest.map_or(known, |seconds| Left { seconds, error: 1.0 }))
    }

    /// How long the item in hands that will take longest will take, as far as can be told: one that takes longer than
    /// others do takes half as long again as it has taken, and nothing is better known.
    fn longest(&self, now: Duration, worked: usize) -> Option<f64> {
        let average = self.took.as_secs_f64() / (worked > 0).then_some(worked as f64)?;
        let left = |line: &Line| {
            let held = line.held(now);
            let rest = if held < average { average - held } else { held / 2.0 };
            match self.doing(line, now).kind {
                Kind::Retrying(at, _) => at.saturating_sub(now).as_secs_f64() + average / 2.0,
                _ => rest,
            }
        };
        let held = self.workers.values().filter(|line| line.item.is_some());
        held.map(left).max_by(f64::total_cmp)
    }
}

impl Line {
    /// For how many seconds it has worked on its item.
    fn held(&self, now: Duration) -> f64 {
        now.saturating_sub(self.taken + self.rested).as_secs_f64()
    }
}

/// What is shown of it.
#[derive(Debug, Default)]
pub(super) struct Eta {
    /// When it will probably end, in seconds of the clock, as it was last thought, and when.
    end: Option<(f64, Duration)>,
    /// What is shown, in seconds, and the step that it was rounded to.
    shown: Option<(u64, u64)>,
}

impl Eta {
    /// The next picture; none: it can't be said.
    pub(super) fn next(&mut self, left: Option<Left>, now: Duration) -> Option<String> {
        let Some(Left { seconds, error }) = left else {
            *self = Self::default();
            return None;
        };
        let clock = now.as_secs_f64();
        let new = clock + seconds;
        let end = match self.end {
            Some((end, at)) => {
                let passed = now.saturating_sub(at).as_secs_f64();
                end + (new - end) * (1.0 - (-passed / SETTLES.as_secs_f64()).exp())
            }
            None => new,
        };
        self.end = Some((end, now));
        let left = (end - clock).max(0.0);
        let fits = STEPS.into_iter().find(|step| *step as f64 >= left * error).unwrap_or(3_600);
        let holds = |(shown, _): &(u64, u64)| (*shown as f64 - left).abs() <= fits as f64 * 0.75;
        // What is shown stays until it is wrong.
        let shown = match self.shown.filter(holds) {
            Some(shown) => shown,
            None => ((left / fits as f64).round() as u64 * fits, fits),
        };
        self.shown = Some(shown);
        Some(match shown {
            (0, step) => format!("under {} left", words(step)),
            (shown, _) => format!("~{} left", words(shown)),
        })
    }
}

/// `40 s`, `2 min`, `1 h 10 min`.
fn words(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests;
