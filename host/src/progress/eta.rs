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

/// In so long two thirds of a change are shown, at most; and in such a part of what is left, so that what was thought at the
/// beginning of a short run is not shown until its end.
const SETTLES: f64 = 8.0;
const SETTLES_PART: f64 = 0.25;

/// What can be shown, in seconds: the first that is not finer than the estimate.
const STEPS: [u64; 11] = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600];

/// How long it takes from now on, and how far off that may be, as a share of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    pub(super) seconds: f64,
    pub(super) error: f64,
}

impl Left {
    /// How long it takes until all runs have ended: as long as the last one. None where that can't be said, as while one
    /// of them waits for its turn.
    pub(super) fn of_all(states: &[State], now: Duration) -> Option<Self> {
        if states.iter().any(State::waits_for_its_turn) {
            return None;
        }
        states.iter().filter_map(|state| state.left(now)).max_by(|a, b| a.seconds.total_cmp(&b.seconds))
    }
}

impl State {
    /// How long the rest will take from now on; none where that can't be said.
    pub(super) fn left(&self, now: Duration) -> Option<Left> {
        let left = self.items.saturating_sub(self.ended);
        if self.has_ended || self.is_stopping || self.paused.is_some() || left == 0 {
            return None;
        }
        let since = now.checked_sub(self.first_start? + self.rested)?.as_secs_f64();
        let worked = self.worked;
        let pace = self.pace(now, since, worked);
        let longest = pace.as_ref().and_then(|pace| pace.rests.iter().copied().max_by(f64::total_cmp));
        let own = pace.filter(|_| worked >= SAYS_SOMETHING).map(|pace| {
            let seconds = pace.seconds(left.saturating_sub(pace.rests.len()));
            Left { seconds, error: (worked as f64).sqrt().recip() }
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
        let longest = longest.filter(|longest| *longest >= known.seconds);
        Some(longest.map_or(known, |seconds| Left { seconds, error: 1.0 }))
    }

    /// How fast it goes; none before a worker has ended an item.
    fn pace(&self, now: Duration, since: f64, worked: usize) -> Option<Pace> {
        if worked == 0 {
            return None;
        }
        // Nothing takes no time at all, whatever the clock says.
        let took = self.took.as_secs_f64().max(worked as f64 * 1e-6);
        let ended = took / worked as f64;
        let lines = || self.workers.values().filter(|line| line.item.is_some());
        let held: f64 = lines().map(|line| line.held(now)).sum();
        // The first to end are the shortest: what the others have taken so far counts too, and as so much of an item as
        // they seem to be through with.
        let begun: f64 = lines().map(|line| line.held(now)).map(|held| held / (held + rest(held, ended))).sum();
        let average = (took + held) / (worked as f64 + begun);
        let rests = lines().map(|line| {
            let waits = match self.doing(line, now).kind {
                Kind::Retrying(at, _) | Kind::Waiting(_, Some(at)) => at.saturating_sub(now).as_secs_f64(),
                Kind::Waiting(_, None) => 0.0,
                _ => return rest(line.held(now), average),
            };
            // What it waits to ask is not answered yet.
            rest(line.held(now), average).max(waits + average / 2.0)
        });
        let at_once = (took + held) / since.max(0.001);
        Some(Pace { average, at_once, rests: rests.collect() })
    }
}

/// How long an item will take that was worked on for so long, as far as can be told: one that takes longer than others do
/// takes half as long again as it has taken, and nothing is better known.
fn rest(held: f64, average: f64) -> f64 {
    (average - held).max(held / 2.0)
}

/// How fast a run goes, in seconds.
struct Pace {
    /// What an item takes.
    average: f64,
    /// How many were worked on at once, all the time.
    at_once: f64,
    /// How long each of the items in hands will take.
    rests: Vec<f64>,
}

impl Pace {
    /// How long it takes until all is done, with so many items that nobody has begun.
    fn seconds(&self, waiting: usize) -> f64 {
        let longest = self.rests.iter().copied().fold(0.0, f64::max);
        if waiting == 0 {
            return longest;
        }
        let work = self.rests.iter().sum::<f64>() + waiting as f64 * self.average;
        // The workers don't end at the same moment: the last one half an item after the others' middle.
        let last = self.average / 2.0 * (1.0 - self.at_once.recip()).max(0.0);
        (work / self.at_once + last).max(longest)
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
                let settles = (seconds * SETTLES_PART).clamp(1.0, SETTLES);
                end + (new - end) * (1.0 - (-passed / settles).exp())
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
