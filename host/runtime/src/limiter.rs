//! How many questions may be in flight at once, and whether any may start now.
//!
//! The limit of an account moves between 1 and the user's ceiling. This is its one state: the permits, the last minute's
//! counts and times, and when it was changed. It knows *when* to decide anew: after a clean round, a 429, a
//! failure at the server, a timeout, or five seconds. *What* to decide is the policy's; the built-in one's table is
//! in [`adapt`](crate::policy::builtin::adapt).
//!
//! A 429 holds all dispatch of the account at once, until the server's time is over: the other questions would get the
//! same answer. A lowered limit ends nothing: what is in flight above it goes on.
//!
//! Nothing ticks by itself: whoever is let in or ends looks whether it is time. An account at which nothing begins or
//! ends has nothing to decide.

mod adapting;
mod window;

use convoke_policy::{Adapt, AdaptFacts, Load, Mode};
use tokio::time::Instant;

use crate::gate::Wait;

use adapting::Adapting;
pub use adapting::{Changed, Ended, LimiterConfig};
pub use window::Seen;

/// The permits of one account.
#[derive(Debug)]
pub struct Limiter {
    limit: usize,
    ceiling: usize,
    in_flight: usize,
    most: usize,
    paused_until: Option<Instant>,
    adapting: Adapting,
}

/// The right to have one question in flight. It must be given back.
#[must_use = "a permit that is not given back is lost for ever"]
#[derive(Debug)]
pub struct Permit(());

impl Limiter {
    /// With at most so many permits; 0 counts as 1.
    pub fn new(ceiling: usize, config: LimiterConfig, now: Instant) -> Self {
        let ceiling = ceiling.max(1);
        let limit = config.start.clamp(1, ceiling);
        let adapting = Adapting::new(config, limit == ceiling, now);
        Self { limit, ceiling, in_flight: 0, most: 0, paused_until: None, adapting }
    }

    /// How many may be in flight.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many are.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The most that ever were.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether the account is treated as in safe mode.
    pub fn is_safe(&self) -> bool {
        self.adapting.is_safe()
    }

    /// Changes the ceiling, and the limit with it: the user's word. What is in flight above it goes on.
    pub fn set_ceiling(&mut self, ceiling: usize) {
        self.ceiling = ceiling.max(1);
        self.limit = self.ceiling;
        self.adapting.ceiling_is_named();
    }

    /// A question came, and waits or is let in.
    pub fn came(&mut self, now: Instant) {
        self.adapting.came(now);
    }

    /// An attempt ended. Its permit is given back apart from that.
    pub fn ended(&mut self, ended: &Ended, now: Instant) {
        self.adapting.ended(ended, self.limit, self.limit < self.ceiling, now);
    }

    /// The facts of a decision that is due, without what others have to say: who waits, the breaker, the machine.
    pub fn due(&mut self, now: Instant) -> Option<AdaptFacts> {
        self.adapting.due(self.limit, self.ceiling, self.in_flight, now)
    }

    /// How the last minute was, without what others have to say.
    pub fn load(&mut self, now: Instant) -> Load {
        self.adapting.load(self.limit, self.in_flight, now)
    }

    /// Carries a decision out, within the user's ceiling.
    pub fn apply(&mut self, decided: &Adapt, now: Instant) -> Changed {
        let from = self.limit;
        self.limit = (decided.limit as usize).clamp(1, self.ceiling);
        if let Some(until) = adapting::pause_end(decided, now) {
            self.pause_until(until);
        }
        self.adapting.apply(decided, from, self.limit, self.in_flight, now)
    }

    /// Lets nothing start before that time, or a later one that was set before.
    pub fn pause_until(&mut self, until: Instant) {
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
    }

    /// Whether one more may start.
    ///
    /// # Errors
    /// What has to happen before.
    pub fn check(&self, now: Instant) -> Result<(), Wait> {
        if self.in_flight >= self.limit {
            return Err(Wait::Change);
        }
        match self.paused_until {
            Some(until) if now < until => Err(Wait::Until(until)),
            _ => Ok(()),
        }
    }

    /// Why no more may start, in the words of events, and how long that stays so at least.
    pub fn closed(&self, now: Instant) -> Option<(&'static str, Option<Instant>)> {
        match self.paused_until {
            Some(until) if now < until => Some(("quota", Some(until))),
            _ => (self.in_flight >= self.limit).then_some(("limit", None)),
        }
    }

    /// From now on it is this mode that decisions are made for.
    pub fn set_mode(&mut self, mode: Mode) {
        self.adapting.set_mode(mode);
    }

    /// Takes a permit. Only after [`check`](Self::check) said yes.
    pub fn take(&mut self) -> Permit {
        self.in_flight += 1;
        self.most = self.most.max(self.in_flight);
        self.adapting.took(self.in_flight);
        Permit(())
    }

    /// Takes a permit back.
    pub fn give_back(&mut self, permit: Permit) {
        let Permit(()) = permit;
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convoke_policy::AdaptCause;

    use super::*;

    #[test]
    fn no_more_than_the_limit_are_in_flight() {
        let now = Instant::now();
        let mut limiter = Limiter::new(2, LimiterConfig::default(), now);
        let permits = [limiter.take(), limiter.take()];
        assert_eq!(limiter.check(now), Err(Wait::Change));
        for permit in permits {
            limiter.give_back(permit);
        }
        assert_eq!((limiter.check(now), limiter.in_flight(), limiter.most()), (Ok(()), 0, 2));
    }

    #[test]
    fn a_pause_holds_all_and_a_shorter_one_does_not_end_it() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut limiter = Limiter::new(2, LimiterConfig::default(), now);
        limiter.pause_until(now + 171 * second);
        limiter.pause_until(now + second);
        assert_eq!(limiter.check(now + 170 * second), Err(Wait::Until(now + 171 * second)));
        assert_eq!(limiter.check(now + 171 * second), Ok(()));
    }

    #[test]
    fn a_lowered_limit_lets_those_in_flight_end() {
        let now = Instant::now();
        let mut limiter = Limiter::new(3, LimiterConfig::default(), now);
        let permits = [limiter.take(), limiter.take(), limiter.take()];
        limiter.set_ceiling(1);
        let mut checks = Vec::new();
        for permit in permits {
            checks.push(limiter.check(now).is_ok());
            limiter.give_back(permit);
        }
        assert_eq!((checks, limiter.check(now)), (vec![false, false, false], Ok(())));
    }

    fn ended(seen: Seen) -> Ended {
        Ended { seen, took: Duration::from_secs(1), first_token: None, retry_after: None }
    }

    fn starting_at(start: usize, now: Instant) -> Limiter {
        Limiter::new(100, LimiterConfig { start, ..LimiterConfig::default() }, now)
    }

    #[test]
    fn it_begins_at_its_start_or_at_a_lower_ceiling() {
        let now = Instant::now();
        let limits = [8, 200, 0].map(|start| starting_at(start, now).limit());
        assert_eq!((limits, starting_at(8, now).adapting.due(8, 100, 0, now)), ([8, 100, 1], None));
    }

    #[test]
    fn as_many_answers_as_the_limit_are_a_clean_round_and_a_429_begins_it_anew() {
        let now = Instant::now();
        let mut limiter = starting_at(3, now);
        let mut causes = Vec::new();
        for seen in [Seen::Answered, Seen::Answered, Seen::RateLimited, Seen::Answered, Seen::Answered, Seen::Answered]
        {
            limiter.ended(&ended(seen), now);
            causes.push(limiter.due(now).map(|facts| facts.cause));
        }
        let (limited, clean) = (Some(AdaptCause::RateLimited), Some(AdaptCause::CleanRound));
        assert_eq!(causes, [None, None, limited, None, None, clean]);
    }

    #[test]
    fn of_a_burst_of_429s_one_is_decided_on_with_the_longest_wait() {
        let now = Instant::now();
        let mut limiter = starting_at(3, now);
        for wait in [1, 7, 2] {
            let retry_after = Some(Duration::from_secs(wait));
            limiter.ended(&Ended { retry_after, ..ended(Seen::RateLimited) }, now);
        }
        limiter.ended(&ended(Seen::Failed), now);
        let facts = limiter.due(now).unwrap();
        assert_eq!(
            (facts.cause, facts.retry_after_ms, facts.load.rate_limited),
            (AdaptCause::RateLimited, Some(7_000), 3)
        );
        assert!(limiter.due(now).is_none());
    }

    #[test]
    fn a_tick_is_due_after_five_seconds() {
        let now = Instant::now();
        let mut limiter = starting_at(3, now);
        let at = |ms| now + Duration::from_millis(ms);
        let due = [4_999, 5_000, 5_001, 10_000].map(|ms| limiter.due(at(ms)).map(|facts| facts.cause));
        assert_eq!(due, [None, Some(AdaptCause::Tick), None, Some(AdaptCause::Tick)]);
    }

    #[test]
    fn a_decision_stays_within_the_ceiling_and_is_remembered() {
        let now = Instant::now();
        let mut limiter = starting_at(10, now);
        let decided = |limit| Adapt { limit, safe: true, pause_ms: 2_000, ..Adapt::default() };
        let changed = limiter.apply(&decided(1_000), now);
        assert_eq!(changed, Changed { limit: Some((10, 100)), safe: Some(true) });
        assert_eq!(limiter.check(now + Duration::from_secs(1)), Err(Wait::Until(now + Duration::from_secs(2))));
        assert_eq!(limiter.apply(&decided(0), now).limit, Some((100, 1)));
        assert!(!limiter.apply(&decided(1), now).is_any());
        let facts = limiter.due(now + Duration::from_secs(9)).unwrap();
        assert_eq!((facts.since_cut_ms, facts.cut_wait_ms, facts.safe), (Some(9_000), 2_000, true));
    }
}
