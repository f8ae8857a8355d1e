//! What the last minute of an account was like. Counts by the second, so that it takes the same room however much
//! happens, and the times of the last answers.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far back it looks, in seconds.
const SECONDS: usize = 60;

/// How many answers it remembers the times of: enough for a middle one.
const TIMES: usize = 256;

/// How an attempt ended, as far as the limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// With an answer.
    Answered,
    /// It failed at the server, or on the way.
    Failed,
    /// It had no answer in time.
    TimedOut,
    /// It was turned away because of too much.
    RateLimited,
    /// In a way that says nothing of the account: it was given up, refused, or wrong.
    Neutral,
}

/// What a window counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Attempts that ended, neutral ones not counted.
    pub(super) ended: u64,
    pub(super) answered: u64,
    /// Those that failed; timeouts are among them.
    pub(super) failed: u64,
    pub(super) timeouts: u64,
    pub(super) rate_limited: u64,
    /// Questions that came.
    pub(super) came: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.ended += other.ended;
        self.answered += other.answered;
        self.failed += other.failed;
        self.timeouts += other.timeouts;
        self.rate_limited += other.rate_limited;
        self.came += other.came;
    }

    /// The share that failed of those that were let in.
    pub(super) fn error_rate(&self) -> f64 {
        let judged = self.ended.saturating_sub(self.rate_limited);
        if judged == 0 { 0.0 } else { self.failed as f64 / judged as f64 }
    }
}

/// One answer's times.
#[derive(Clone, Copy, Debug)]
struct Times {
    at: Instant,
    took: Duration,
    first_token: Option<Duration>,
}

/// The last minute.
#[derive(Debug)]
pub(super) struct Window {
    began: Instant,
    /// The counts of the last sixty seconds that something happened in, by their number since the beginning.
    seconds: VecDeque<(u64, Counts)>,
    times: VecDeque<Times>,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, seconds: VecDeque::new(), times: VecDeque::new() }
    }

    pub(super) fn came(&mut self, now: Instant) {
        self.second(now).came += 1;
    }

    pub(super) fn ended(&mut self, now: Instant, seen: Seen, took: Duration, first_token: Option<Duration>) {
        let second = self.second(now);
        if seen == Seen::Neutral {
            return;
        }
        second.ended += 1;
        match seen {
            Seen::Answered => second.answered += 1,
            Seen::TimedOut => (second.failed, second.timeouts) = (second.failed + 1, second.timeouts + 1),
            Seen::Failed => second.failed += 1,
            Seen::RateLimited => second.rate_limited += 1,
            Seen::Neutral => {}
        }
        if seen == Seen::Answered {
            self.times.push_back(Times { at: now, took, first_token });
            if self.times.len() > TIMES {
                self.times.pop_front();
            }
        }
    }

    /// What happened within the last minute.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        self.forget(now);
        let mut counts = Counts::default();
        for (_, second) in &self.seconds {
            counts.add(second);
        }
        counts
    }

    /// How long it looks back: a minute, or since it began. At least a second, so that rates are not chance.
    pub(super) fn length(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).as_secs_f64().clamp(1.0, SECONDS as f64)
    }

    /// The middle times of the last answers, in milliseconds: the whole, and to the first sign.
    pub(super) fn middles(&mut self, now: Instant) -> (Option<u64>, Option<u64>) {
        self.forget(now);
        let took = self.times.iter().map(|times| times.took).collect();
        let first = self.times.iter().filter_map(|times| times.first_token).collect();
        (middle(took), middle(first))
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }

    fn second(&mut self, now: Instant) -> &mut Counts {
        self.forget(now);
        let number = self.number(now);
        if self.seconds.back().is_none_or(|(last, _)| *last < number) {
            self.seconds.push_back((number, Counts::default()));
        }
        // One was pushed if there was none.
        let last = self.seconds.len() - 1;
        &mut self.seconds[last].1
    }

    fn forget(&mut self, now: Instant) {
        let oldest = (self.number(now) + 1).saturating_sub(SECONDS as u64);
        while self.seconds.front().is_some_and(|(number, _)| *number < oldest) {
            self.seconds.pop_front();
        }
        let minute = Duration::from_secs(SECONDS as u64);
        while self.times.front().is_some_and(|times| now.saturating_duration_since(times.at) >= minute) {
            self.times.pop_front();
        }
    }
}

fn middle(mut times: Vec<Duration>) -> Option<u64> {
    let middle = times.len() / 2;
    if times.is_empty() {
        return None;
    }
    let (_, time, _) = times.select_nth_unstable(middle);
    Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_a_minute_old_is_forgotten() {
        let start = Instant::now();
        let mut window = Window::new(start);
        for second in 0..90 {
            window.came(start + second * SECOND);
            window.ended(start + second * SECOND, Seen::Answered, SECOND, None);
        }
        let counts = window.counts(start + 89 * SECOND);
        assert_eq!((counts.came, counts.answered, window.seconds.len()), (60, 60, 60));
        assert_eq!(window.counts(start + 300 * SECOND), Counts::default());
        assert_eq!(window.middles(start + 300 * SECOND), (None, None));
    }

    #[test]
    fn the_share_of_failures_is_of_those_that_were_let_in() {
        let now = Instant::now();
        let mut window = Window::new(now);
        let all = [Seen::Answered, Seen::Failed, Seen::TimedOut, Seen::Answered, Seen::RateLimited, Seen::Neutral];
        for seen in all {
            window.ended(now, seen, SECOND, None);
        }
        let counts = window.counts(now);
        assert_eq!((counts.ended, counts.failed, counts.timeouts, counts.rate_limited), (5, 2, 1, 1));
        assert_eq!(counts.error_rate(), 0.5);
        assert_eq!(Counts::default().error_rate(), 0.0);
    }

    #[test]
    fn times_are_those_in_the_middle_and_few_are_kept() {
        let now = Instant::now();
        let mut window = Window::new(now);
        for number in 0..1_000 {
            window.ended(now, Seen::Answered, number * SECOND, Some(SECOND / 2));
        }
        assert_eq!(window.times.len(), TIMES);
        assert_eq!(window.middles(now), (Some((1_000 - 128) * 1_000), Some(500)));
    }
}
