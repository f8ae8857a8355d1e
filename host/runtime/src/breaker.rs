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
        Fact::BreakerChanged { state: self.state, reason: self.reason, lasts: self.lasts }
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
    fn twenty_three_of_thirty_answered_open_it_and_twenty_four_do_not() {
        let now = Instant::now();
        let share = |trips: usize| {
            let mut breaker = breaker();
            // Every third is a trip, so that no five stand in a row, and the last one is.
            let trip = |number: usize| number % 3 == 1 && number < 3 * (trips - 1);
            (0..30).find_map(|number| {
                let is_trip = trip(number) || number == 29;
                answer(&mut breaker, now, if is_trip { Signal::Trip } else { Signal::Success })
            })
        };
        let change = share(7).unwrap();
        assert!(change.state == "open" && change.reason.contains("77 % answered within 30 s"), "{}", change.reason);
        assert_eq!(change.lasts, Some(60 * SECOND));
        assert_eq!(share(6), None);
    }

    #[test]
    fn what_was_answered_longer_ago_than_the_window_does_not_count() {
        let now = Instant::now();
        let mut breaker = breaker();
        for number in 0..29 {
            answer(&mut breaker, now, if number % 3 == 1 { Signal::Trip } else { Signal::Success });
        }
        assert_eq!(answer(&mut breaker, now + 31 * SECOND, Signal::Trip), None);
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
        /// The trips in a row, and all answers with whether they were trips.
        Closed(Vec<u64>, Vec<(u64, bool)>),
        Open(u64),
        HalfOpen,
    }

    proptest! {
        #[test]
        fn it_follows_its_table(
            steps in prop::collection::vec((prop_oneof![4 => Just(0u64), 4 => 0u64..3, 1 => 0u64..40], 0u8..6), 1..400),
        ) {
            let start = Instant::now();
            let mut breaker = breaker();
            let mut model = Model::Closed(Vec::new(), Vec::new());
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
                use Signal::{Neutral, Success, Trip};
                let signal = [Success, Trip, Neutral, Success, Success, Success][usize::from(signal)];
                let pass = breaker.pass();
                breaker.hand_back(pass, now, signal, "");
                model = match (model, signal) {
                    (Model::HalfOpen, Signal::Success) => Model::Closed(Vec::new(), Vec::new()),
                    (Model::Closed(_, mut all), Signal::Success) => {
                        all.push((at, false));
                        Model::Closed(Vec::new(), all)
                    }
                    (Model::HalfOpen, Signal::Trip) => Model::Open(at + 60),
                    (Model::Closed(mut row, mut all), Signal::Trip) => {
                        row.push(at);
                        row.retain(|trip| at - trip <= 30);
                        all.push((at, true));
                        all.retain(|(when, _)| at - when <= 30);
                        let well = all.iter().filter(|(_, is_trip)| !is_trip).count();
                        let is_unwell = all.len() >= 30 && 10 * well < 8 * all.len();
                        if row.len() >= 5 || is_unwell { Model::Open(at + 60) } else { Model::Closed(row, all) }
                    }
                    (model, _) => model,
                };
                let expected = match model { Model::Closed(..) => "closed", Model::Open(_) => "open", Model::HalfOpen => "half-open" };
                prop_assert_eq!(breaker.state(), expected);
            }
        }
    }
}
