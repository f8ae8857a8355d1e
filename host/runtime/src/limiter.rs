//! How many questions may be in flight at once, and whether any may start now.
//!
//! The limit is fixed here; who adapts it calls [`Limiter::set_limit`]. A 429 holds all dispatch of the account until
//! the server's time is over: the other questions would get the same answer.

use tokio::time::Instant;

use crate::gate::Wait;

/// The permits of one account.
#[derive(Debug)]
pub struct Limiter {
    limit: usize,
    in_flight: usize,
    most: usize,
    paused_until: Option<Instant>,
}

/// The right to have one question in flight. It must be given back.
#[must_use = "a permit that is not given back is lost for ever"]
#[derive(Debug)]
pub struct Permit(());

impl Limiter {
    /// With so many permits; 0 counts as 1.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), in_flight: 0, most: 0, paused_until: None }
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

    /// Changes the limit. What is in flight above it goes on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
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

    /// Takes a permit. Only after [`check`](Self::check) said yes.
    pub fn take(&mut self) -> Permit {
        self.in_flight += 1;
        self.most = self.most.max(self.in_flight);
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

    use super::*;

    #[test]
    fn no_more_than_the_limit_are_in_flight() {
        let now = Instant::now();
        let mut limiter = Limiter::new(2);
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
        let mut limiter = Limiter::new(2);
        limiter.pause_until(now + 171 * second);
        limiter.pause_until(now + second);
        assert_eq!(limiter.check(now + 170 * second), Err(Wait::Until(now + 171 * second)));
        assert_eq!(limiter.check(now + 171 * second), Ok(()));
    }

    #[test]
    fn a_lowered_limit_lets_those_in_flight_end() {
        let now = Instant::now();
        let mut limiter = Limiter::new(3);
        let permits = [limiter.take(), limiter.take(), limiter.take()];
        limiter.set_limit(1);
        let mut checks = Vec::new();
        for permit in permits {
            checks.push(limiter.check(now).is_ok());
            limiter.give_back(permit);
        }
        assert_eq!((checks, limiter.check(now)), (vec![false, false, false], Ok(())));
    }
}
