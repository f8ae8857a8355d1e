//! How long answers are: what of the output is reserved where only the provider limits it.

use std::collections::VecDeque;
use std::time::Duration;

/// How many answers are remembered.
const REMEMBERED: usize = 64;

/// Before so many were seen, part of the longest that is allowed is reserved: those that come first are short.
const ENOUGH: u64 = 8;

/// Shorter answers say little of how fast they come.
const TELLING: u64 = 20;

/// The lengths of the last answers in tokens, and how fast they came in tokens a second, where that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lengths(VecDeque<(u64, Option<f64>)>);

impl Lengths {
    /// `took`: from its first sign to its end.
    pub(super) fn saw(&mut self, tokens: u64, took: Option<Duration>) {
        let took = took.filter(|took| tokens >= TELLING && !took.is_zero());
        self.0.push_back((tokens, took.map(|took| tokens as f64 / took.as_secs_f64())));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// The fastest of them; 0: it is not known.
    pub(super) fn speed(&self) -> f64 {
        self.0.iter().filter_map(|(_, speed)| *speed).fold(0.0, f64::max)
    }

    /// What an answer probably takes: the mean; never more than it is allowed.
    pub(super) fn expected(&self, allowed: u64) -> u64 {
        let count = self.0.len() as u64;
        if count == 0 {
            return allowed;
        }
        let mean = self.0.iter().map(|(tokens, _)| tokens).sum::<u64>().div_ceil(count);
        let seen = mean.clamp(1, allowed.max(1));
        let unsure = ENOUGH.saturating_sub(count);
        ((u128::from(seen) * u128::from(ENOUGH - unsure) + u128::from(allowed) * u128::from(unsure))
            / u128::from(ENOUGH)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_is_as_long_as_allowed_and_what_was_seen_is_its_mean() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.expected(4_096), 4_096);
        for _ in 0..4 {
            lengths.saw(100, None);
        }
        assert_eq!(lengths.expected(4_096), (100 + 4_096) / 2);
        for _ in 0..2_000 {
            lengths.saw(100, Some(Duration::from_secs(4)));
            lengths.saw(300, Some(Duration::from_secs(4)));
        }
        assert_eq!((lengths.expected(4_096), lengths.expected(50), lengths.0.len()), (200, 50, REMEMBERED));
        assert_eq!(lengths.speed(), 75.0);
    }
}
