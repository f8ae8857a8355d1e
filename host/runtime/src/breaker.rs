//! The breaker: after repeated failures a backend is left alone for a while, then probed.
//!
//! A state machine without a clock of its own:
//!
//! | state | on | becomes |
//! |---|---|---|
//! | closed | the 5th trip in a row, the first of them at most 30 s ago | open |
//! | closed | a trip, and of at least 30 answers of the last 30 s less than 80 % were successes | open |
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

use crate::event::Fact;
use crate::gate::{Wait, later};
use crate::question::FailureKind;

/// The breaker's numbers. The defaults are the design's.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// So many trips in a row open it. 0 counts as 1.
    pub trips: usize,
    /// They must lie within this time.
    pub window: Duration,
    /// So many answers within the window must have come before their share of successes counts.
    pub enough: usize,
    /// A lower share of successes within the window opens it, 0 to 1.
    pub successes: f64,
    /// It stays open for so long.
    pub reset: Duration,
    /// So many are let through at a time when it is half open. 0 counts as 1.
    pub probes: usize,
    /// After it has opened again so often without an answer between, nobody waits for it any more. 0 counts as 1.
    pub reopenings: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            trips: 5,
            window: Duration::from_secs(30),
            // failsafe's share; its five answers would let two failures of a run's first five stop it for a minute.
            enough: 30,
            successes: 0.8,
            reset: Duration::from_secs(60),
            probes: 3,
            reopenings: 3,
        }
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
    Closed(Closed),
    Open { until: Instant },
    HalfOpen { out: usize },
}

#[derive(Debug, Default)]
struct Closed {
    /// The times of the last trips in a row.
    row: VecDeque<Instant>,
    /// The answers of the window, those of one second together: when the first of them came, successes, trips.
    answers: VecDeque<(Instant, usize, usize)>,
}

impl Closed {
    fn count(&mut self, now: Instant, window: Duration, is_trip: bool) {
        while self.answers.front().is_some_and(|(first, ..)| now.saturating_duration_since(*first) > window) {
            self.answers.pop_front();
        }
        match self.answers.back_mut() {
            Some((first, successes, trips)) if now.saturating_duration_since(*first) < Duration::from_secs(1) => {
                *successes += usize::from(!is_trip);
                *trips += usize::from(is_trip);
            }
            _ => self.answers.push_back((now, usize::from(!is_trip), usize::from(is_trip))),
        }
    }

    /// The share of successes within the window, where there were enough answers.
    fn successes(&self, enough: usize) -> Option<f64> {
        let (successes, trips) = self.answers.iter().fold((0, 0), |sum, (_, ok, bad)| (sum.0 + ok, sum.1 + bad));
        let all = successes + trips;
        (all >= enough.max(1)).then(|| successes as f64 / all as f64)
    }
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
    /// How long it stays so, if that is known.
    pub lasts: Option<Duration>,
}

impl Change {
    /// As it is told.
    pub fn fact(self) -> Fact {
        Fact::BreakerChanged { state: self.state.into(), reason: self.reason, lasts: self.lasts }
    }
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        let (trips, probes, reopenings) = (config.trips.max(1), config.probes.max(1), config.reopenings.max(1));
        let config = BreakerConfig { trips, probes, reopenings, ..config };
        Self { config, state: State::Closed(Closed::default()), generation: 0, reopened: 0, words: String::new() }
    }

    /// `closed`, `open` or `half-open`.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Closed(_) => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half-open",
        }
    }

    /// When an open one will let questions through again, to try.
    pub fn until(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed(_) | State::HalfOpen { .. } => None,
        }
    }

    /// Lets time pass: an open one becomes half open when its time has come.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Open { until } if now >= until => {
                Some(self.become_(State::HalfOpen { out: 0 }, None, "its time is over".to_owned()))
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
        let (until, lasts) = (later(now, self.config.reset), Some(self.config.reset));
        Some(self.become_(State::Open { until }, lasts, why.to_owned()))
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
        let BreakerConfig { trips, window, enough, successes, reset, .. } = self.config;
        match (&mut self.state, signal) {
            (State::Closed(closed), Signal::Success) => {
                closed.row.clear();
                closed.count(now, window, false);
                None
            }
            (State::Closed(closed), Signal::Trip) => {
                closed.count(now, window, true);
                let row = &mut closed.row;
                row.push_back(now);
                while row.len() > trips
                    || row.front().is_some_and(|first| now.saturating_duration_since(*first) > window)
                {
                    row.pop_front();
                }
                let why = if row.len() == trips {
                    format!("{trips} failures in a row")
                } else {
                    let share = closed.successes(enough).filter(|share| *share < successes)?;
                    format!("{:.0} % answered within {} s", share * 100.0, window.as_secs())
                };
                words.clone_into(&mut self.words);
                let reason = format!("{why}, the last failure: {words}");
                Some(self.become_(State::Open { until: later(now, reset) }, Some(reset), reason))
            }
            (State::HalfOpen { .. }, Signal::Success) => {
                self.reopened = 0;
                Some(self.become_(State::Closed(Closed::default()), None, "it answers again".to_owned()))
            }
            (State::HalfOpen { .. }, Signal::Trip) => {
                self.reopened = self.reopened.saturating_add(1);
                words.clone_into(&mut self.words);
                let reason = format!("it still fails: {words}");
                Some(self.become_(State::Open { until: later(now, reset) }, Some(reset), reason))
            }
            (State::HalfOpen { out }, Signal::Neutral) => {
                *out = out.saturating_sub(1);
                None
            }
            (State::Closed(_), Signal::Neutral) | (State::Open { .. }, _) => None,
        }
    }

    fn become_(&mut self, state: State, lasts: Option<Duration>, reason: String) -> Change {
        self.state = state;
        self.generation += 1;
        Change { state: self.state(), reason, lasts }
    }
}

#[cfg(test)]
mod tests;
