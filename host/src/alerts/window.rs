//! The attempts and answers of the last while, counted in slices so that they stay few.

use std::collections::VecDeque;
use std::time::Duration;

/// Into so many slices the window is cut.
const SLICES: u32 = 60;

/// The most answer times that a slice keeps. The middle of so many says enough.
const TIMES: usize = 50;

/// What happened of late.
#[derive(Debug)]
pub(super) struct Window {
    slice: Duration,
    slices: VecDeque<Slice>,
}

#[derive(Debug, Default)]
struct Slice {
    number: u64,
    ended: u64,
    failed: u64,
    times: Vec<Duration>,
}

impl Window {
    /// One so long.
    pub(super) fn new(length: Duration) -> Self {
        Self { slice: (length / SLICES).max(Duration::from_millis(1)), slices: VecDeque::new() }
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, at: Duration, failed: bool) {
        let slice = self.slice_at(at);
        slice.ended += 1;
        slice.failed += u64::from(failed);
    }

    /// An answer has begun, so long after its question was sent.
    pub(super) fn began(&mut self, at: Duration, after: Duration) {
        let slice = self.slice_at(at);
        if slice.times.len() < TIMES {
            slice.times.push(after);
        }
    }

    /// How many attempts ended, and how many of them failed.
    pub(super) fn attempts(&mut self, now: Duration) -> (u64, u64) {
        self.forget(now);
        let sum = |count: fn(&Slice) -> u64| self.slices.iter().map(count).sum();
        (sum(|slice| slice.ended), sum(|slice| slice.failed))
    }

    /// How many answers began, and the middle one of their times.
    pub(super) fn response(&mut self, now: Duration) -> (usize, Option<Duration>) {
        self.forget(now);
        let mut times: Vec<Duration> = self.slices.iter().flat_map(|slice| &slice.times).copied().collect();
        let middle = times.len() / 2;
        let time = (!times.is_empty()).then(|| *times.select_nth_unstable(middle).1);
        (times.len(), time)
    }

    /// The slice of a time; one that comes late is counted with the last.
    fn slice_at(&mut self, at: Duration) -> &mut Slice {
        let number = self.number(at);
        if self.slices.back().is_none_or(|last| last.number < number) {
            self.forget(at);
            self.slices.push_back(Slice { number, ..Slice::default() });
        }
        let last = self.slices.len() - 1;
        &mut self.slices[last]
    }

    fn forget(&mut self, now: Duration) {
        let oldest = self.number(now).saturating_sub(u64::from(SLICES) - 1);
        while self.slices.front().is_some_and(|first| first.number < oldest) {
            self.slices.pop_front();
        }
    }

    fn number(&self, at: Duration) -> u64 {
        u64::try_from(at.as_micros() / self.slice.as_micros().max(1)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = Window::new(60 * SECOND);
        for second in 0..120 {
            window.ended(second * SECOND, second < 60);
        }
        assert_eq!(window.attempts(119 * SECOND), (60, 0));
        assert_eq!(window.attempts(149 * SECOND), (30, 0));
        assert_eq!(window.attempts(1_000 * SECOND), (0, 0));
        window.ended(1_000 * SECOND, true);
        assert_eq!(window.attempts(1_000 * SECOND), (1, 1));
    }

    #[test]
    fn the_middle_time_is_that_of_few_and_many() {
        let mut window = Window::new(60 * SECOND);
        assert_eq!(window.response(SECOND), (0, None));
        for time in [9, 1, 5] {
            window.began(SECOND, time * SECOND);
        }
        assert_eq!(window.response(SECOND), (3, Some(5 * SECOND)));
        for _ in 0..100_000 {
            window.began(2 * SECOND, SECOND);
        }
        assert_eq!(window.response(2 * SECOND), (3 + TIMES, Some(SECOND)));
        assert!(window.slices.len() <= SLICES as usize);
    }
}
