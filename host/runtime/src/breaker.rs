//! The breaker: after repeated failures a backend is left alone for a while, then probed.
//!
//! A state machine without a clock of its own:
//!
//! | state | on | becomes |
//! |---|---|---|
//! | closed | the 5th trip in a row, the first of them at most 30 s ago | open |
//! | closed | success | closed, the row begins anew |
//! | closed | the policy of the limit says so: too many timeouts | open |
//! | open | 60 s have passed | half open |
//! | half open | up to 3 questions pass; a success of one | closed |
//! | half open | a trip of one | open |
//!
//! Answers of questions that were let through in an earlier state change nothing: they tell of the past.
//!
//! While it is open, questions wait. After it has opened again three times without an answer between, the backend is
//! given up: whoever waits or comes while it is open is turned away, instead of sitting there for hours. It is still
//! probed when its time is over.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::gate::{Wait, later};
use crate::question::FailureKind;

/// The breaker's numbers. The defaults are the design's.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// So many trips in a row open it. 0 counts as 1.
    pub trips: usize,
    /// They must lie within this time.
    pub window: Duration,
    /// It stays open for so long.
    pub reset: Duration,
    /// So many are let through at a time when it is half open. 0 counts as 1.
    pub probes: usize,
    /// After it has opened again so often without an answer between, nobody waits for it any more. 0 counts as 1.
    pub reopenings: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { trips: 5, window: Duration::from_secs(30), reset: Duration::from_secs(60), probes: 3, reopenings: 3 }
    }
}

/// The breaker of one backend.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    /// Counts the states, so that an answer is known to belong to an earlier one.
    generation: u64,
    /// How often it has opened again without an answer between.
    reopened: u32,
    /// The words of the last trip that opened it.
    words: String,
}

#[derive(Debug)]
enum State {
    /// The times of the last trips in a row.
    Closed(VecDeque<Instant>),
    Open {
        until: Instant,
    },
    HalfOpen {
        out: usize,
    },
}

/// The right to send one question. It must be handed back with what came of it.
#[must_use = "a pass that is not handed back blocks a probe for ever"]
#[derive(Debug)]
pub struct Pass {
    generation: u64,
}

/// What an answer says about the backend's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It is well.
    Success,
    /// It is unwell.
    Trip,
    /// Nothing.
    Neutral,
}

impl Signal {
    /// What a failure says. A 429 says nothing: it is the limiter's to answer. A refusal is an answer.
    pub fn of(kind: &FailureKind) -> Self {
        match kind {
            kind if kind.trips_breaker() => Self::Trip,
            FailureKind::Invalid | FailureKind::TooLarge | FailureKind::OffSchema | FailureKind::Refused => {
                Self::Success
            }
            _ => Self::Neutral,
        }
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `closed`, `open` or `half-open`.
    pub state: &'static str,
    /// Why.
    pub reason: String,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        let (trips, probes, reopenings) = (config.trips.max(1), config.probes.max(1), config.reopenings.max(1));
        let config = BreakerConfig { trips, probes, reopenings, ..config };
        Self { config, state: State::Closed(VecDeque::new()), generation: 0, reopened: 0, words: String::new() }
    }

    /// `closed`, `open` or `half-open`.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Closed(_) => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half-open",
        }
    }

    /// Lets time pass: an open one becomes half open when its time has come.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Open { until } if now >= until => {
                Some(self.become_(State::HalfOpen { out: 0 }, "its time is over".to_owned()))
            }
            _ => None,
        }
    }

    /// Opens a closed one, because of what its own row does not show: answers between failures.
    pub fn open(&mut self, now: Instant, why: &str) -> Option<Change> {
        if !matches!(self.state, State::Closed(_)) {
            return None;
        }
        why.clone_into(&mut self.words);
        let until = later(now, self.config.reset);
        Some(self.become_(State::Open { until }, why.to_owned()))
    }

    /// Whether a question may be sent. Call [`tick`](Self::tick) before.
    ///
    /// # Errors
    /// What has to happen before.
    pub fn check(&self) -> Result<(), Wait> {
        match self.state {
            State::Closed(_) => Ok(()),
            State::Open { until } => Err(Wait::Until(until)),
            State::HalfOpen { out } if out < self.config.probes => Ok(()),
            State::HalfOpen { .. } => Err(Wait::Change),
        }
    }

    /// Why nobody should wait for it, if that is so. Call [`tick`](Self::tick) before.
    pub fn given_up(&self) -> Option<String> {
        let open = matches!(self.state, State::Open { .. });
        (open && self.reopened >= self.config.reopenings)
            .then(|| format!("out of order, also when tried again {} times: {}", self.reopened, self.words))
    }

    /// Lets a question through. Only after [`check`](Self::check) said yes.
    pub fn pass(&mut self) -> Pass {
        if let State::HalfOpen { out } = &mut self.state {
            *out += 1;
        }
        Pass { generation: self.generation }
    }

    /// Takes a pass back, with what the answer says of the backend, and in words.
    pub fn hand_back(&mut self, pass: Pass, now: Instant, signal: Signal, words: &str) -> Option<Change> {
        if pass.generation != self.generation {
            return None;
        }
        let (trips, window, reset) = (self.config.trips, self.config.window, self.config.reset);
        match (&mut self.state, signal) {
            (State::Closed(row), Signal::Success) => {
                row.clear();
                None
            }
            (State::Closed(row), Signal::Trip) => {
                row.push_back(now);
                while row.len() > trips
                    || row.front().is_some_and(|first| now.saturating_duration_since(*first) > window)
                {
                    row.pop_front();
                }
                (row.len() == trips).then(|| {
                    words.clone_into(&mut self.words);
                    let reason = format!("{trips} failures in a row, the last: {words}");
                    self.become_(State::Open { until: later(now, reset) }, reason)
                })
            }
            (State::HalfOpen { .. }, Signal::Success) => {
                self.reopened = 0;
                Some(self.become_(State::Closed(VecDeque::new()), "it answers again".to_owned()))
            }
            (State::HalfOpen { .. }, Signal::Trip) => {
                self.reopened = self.reopened.saturating_add(1);
                words.clone_into(&mut self.words);
                Some(self.become_(State::Open { until: later(now, reset) }, format!("it still fails: {words}")))
            }
            (State::HalfOpen { out }, Signal::Neutral) => {
                *out = out.saturating_sub(1);
                None
            }
            (State::Closed(_), Signal::Neutral) | (State::Open { .. }, _) => None,
        }
    }

    fn become_(&mut self, state: State, reason: String) -> Change {
        self.state = state;
        self.generation += 1;
        Change { state: self.state(), reason }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerConfig::default())
    }

    /// Sends one that ends at once.
    fn answer(breaker: &mut Breaker, now: Instant, signal: Signal) -> Option<Change> {
        breaker.tick(now);
        assert_eq!(breaker.check(), Ok(()));
        let pass = breaker.pass();
        breaker.hand_back(pass, now, signal, "overloaded")
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = breaker();
        for _ in 0..5 {
            answer(&mut breaker, now, Signal::Trip);
        }
        assert_eq!(breaker.state(), "open");
        breaker
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn five_failures_in_a_row_open_it_for_sixty_seconds() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..4 {
            assert_eq!(answer(&mut breaker, now, Signal::Trip), None);
        }
        let change = answer(&mut breaker, now, Signal::Trip).unwrap();
        assert_eq!(change.state, "open");
        assert!(change.reason.contains("overloaded"), "{}", change.reason);
        assert_eq!(breaker.check(), Err(Wait::Until(now + 60 * SECOND)));
        assert_eq!(breaker.tick(now + 59 * SECOND), None);
        assert_eq!(breaker.tick(now + 60 * SECOND).unwrap().state, "half-open");
    }

    #[test]
    fn a_success_between_begins_the_row_anew() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..4 {
            answer(&mut breaker, now, Signal::Trip);
        }
        answer(&mut breaker, now, Signal::Success);
        for _ in 0..4 {
            answer(&mut breaker, now, Signal::Trip);
        }
        assert_eq!(breaker.state(), "closed");
    }

    #[test]
    fn five_failures_in_a_row_over_more_than_thirty_seconds_do_not_open_it() {
        let start = Instant::now();
        let mut breaker = breaker();
        for number in 0..20 {
            answer(&mut breaker, start + number * 8 * SECOND, Signal::Trip);
        }
        assert_eq!(breaker.state(), "closed");
    }

    #[test]
    fn half_open_lets_three_through_and_no_fourth() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.tick(now + 60 * SECOND);
        let passes: Vec<_> = (0..3)
            .map(|_| {
                assert_eq!(breaker.check(), Ok(()));
                breaker.pass()
            })
            .collect();
        assert_eq!(breaker.check(), Err(Wait::Change));
        for pass in passes {
            breaker.hand_back(pass, now, Signal::Neutral, "");
        }
        assert_eq!(breaker.check(), Ok(()), "what says nothing gives its place back");
    }

    #[test]
    fn half_open_closes_on_success_and_opens_on_failure() {
        let now = Instant::now();
        let later = now + 60 * SECOND;
        let mut breaker = opened(now);
        assert_eq!(answer(&mut breaker, later, Signal::Trip).unwrap().state, "open");
        assert_eq!(breaker.check(), Err(Wait::Until(later + 60 * SECOND)));
        assert_eq!(answer(&mut breaker, later + 60 * SECOND, Signal::Success).unwrap().state, "closed");
    }

    #[test]
    fn after_three_vain_probes_nobody_waits_until_one_succeeds() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for _ in 0..3 {
            assert_eq!(breaker.given_up(), None);
            now += 60 * SECOND;
            answer(&mut breaker, now, Signal::Trip);
        }
        assert!(breaker.given_up().unwrap().contains("overloaded"));
        now += 60 * SECOND;
        breaker.tick(now);
        assert_eq!(breaker.given_up(), None, "its time is over: it is probed");
        answer(&mut breaker, now, Signal::Success);
        for _ in 0..5 {
            answer(&mut breaker, now, Signal::Trip);
        }
        assert_eq!(breaker.given_up(), None, "it counts anew");
    }

    #[test]
    fn answers_from_before_it_opened_tell_nothing() {
        let now = Instant::now();
        let mut breaker = breaker();
        let (early, late) = (breaker.pass(), breaker.pass());
        for _ in 0..5 {
            answer(&mut breaker, now, Signal::Trip);
        }
        assert_eq!(breaker.hand_back(early, now, Signal::Success, ""), None);
        breaker.tick(now + 60 * SECOND);
        assert_eq!(breaker.hand_back(late, now, Signal::Success, ""), None);
        assert_eq!(breaker.state(), "half-open");
    }

    #[test]
    fn a_rate_limit_is_no_trip_and_a_refusal_is_a_sign_of_health() {
        assert_eq!(Signal::of(&FailureKind::RateLimited), Signal::Neutral);
        assert_eq!(Signal::of(&FailureKind::Auth), Signal::Neutral);
        assert_eq!(Signal::of(&FailureKind::Cancelled), Signal::Neutral);
        assert_eq!(Signal::of(&FailureKind::Refused), Signal::Success);
        assert_eq!(Signal::of(&FailureKind::Invalid), Signal::Success);
        for kind in [FailureKind::Overloaded, FailureKind::Server, FailureKind::TimedOut, FailureKind::Cut] {
            assert_eq!(Signal::of(&kind), Signal::Trip);
        }
    }

    /// The table at the head of this module, written a second time and as simply as can be.
    #[derive(Clone, Debug, PartialEq)]
    enum Model {
        Closed(Vec<u64>),
        Open(u64),
        HalfOpen,
    }

    proptest! {
        #[test]
        fn it_follows_its_table(steps in prop::collection::vec((0u64..40, 0u8..3), 1..200)) {
            let start = Instant::now();
            let mut breaker = breaker();
            let mut model = Model::Closed(Vec::new());
            let mut at = 0;
            for (passed, signal) in steps {
                at += passed;
                let now = start + Duration::from_secs(at);
                breaker.tick(now);
                if let Model::Open(until) = model && at >= until {
                    model = Model::HalfOpen;
                }
                if breaker.check().is_err() {
                    prop_assert!(matches!(model, Model::Open(_)));
                    continue;
                }
                let signal = [Signal::Success, Signal::Trip, Signal::Neutral][usize::from(signal)];
                let pass = breaker.pass();
                breaker.hand_back(pass, now, signal, "");
                model = match (model, signal) {
                    (Model::Closed(_) | Model::HalfOpen, Signal::Success) => Model::Closed(Vec::new()),
                    (Model::HalfOpen, Signal::Trip) => Model::Open(at + 60),
                    (Model::Closed(mut row), Signal::Trip) => {
                        row.push(at);
                        row.retain(|trip| at - trip <= 30);
                        if row.len() >= 5 { Model::Open(at + 60) } else { Model::Closed(row) }
                    }
                    (model, _) => model,
                };
                let expected = match model { Model::Closed(_) => "closed", Model::Open(_) => "open", Model::HalfOpen => "half-open" };
                prop_assert_eq!(breaker.state(), expected);
            }
        }
    }
}
