//! A rate: so much in so long, as a token bucket over the time since the machine booted.
//!
//! The same arithmetic as the buckets of an [account](super), for any period, and without a provider that corrects it:
//! whole numbers, so that nothing is lost or won by rounding. It is not GCRA, which keeps one time instead of a level:
//! that can't tell what is held from what is spent, and so gives nothing back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest period, in nanoseconds: a hundred years. With the largest amount, a level has room for it.
const LONGEST: u64 = 100 * 365 * 86_400 * 1_000_000_000;

/// So much in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// What the bucket holds, and what comes back in a period. 0 counts as 1.
    pub amount: u64,
    /// How long it takes an empty bucket to fill. Less than a millisecond counts as one, more than a hundred
    /// years as those.
    pub per: Duration,
}

impl Size {
    fn nanos(self) -> u64 {
        u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX).clamp(1_000_000, LONGEST)
    }
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// So long has to pass.
    Time(Duration),
    /// Something that is held has to be given back.
    Change,
}

/// A bucket. Times are nanoseconds since the machine booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    amount: u64,
    per: u64,
    /// What is left, in parts: an amount of 1 has as many as the period has nanoseconds.
    level: i128,
    at: u64,
    held: u64,
}

impl Rate {
    /// A full one.
    pub fn full(size: Size, at: u64) -> Self {
        let (amount, per) = (size.amount.max(1), size.nanos());
        Self { amount, per, level: i128::from(amount) * i128::from(per), at, held: 0 }
    }

    /// Gives it another size. What is left stays, as far as there is room.
    pub fn resize(&mut self, size: Size) {
        let (amount, per) = (size.amount.max(1), size.nanos());
        if (amount, per) == (self.amount, self.per) {
            return;
        }
        if per != self.per {
            let (whole, rest) = (self.level / i128::from(self.per), self.level % i128::from(self.per));
            let rest = rest.saturating_mul(i128::from(per)) / i128::from(self.per);
            self.level = whole.saturating_mul(i128::from(per)).saturating_add(rest);
        }
        (self.amount, self.per) = (amount, per);
        self.level = self.level.min(self.brim());
    }

    /// Lets time pass. A time before the last one changes nothing.
    pub fn tick(&mut self, at: u64) {
        let passed = at.saturating_sub(self.at);
        let refill = i128::from(passed).saturating_mul(i128::from(self.amount));
        self.level = self.level.saturating_add(refill).min(self.brim());
        self.at = self.at.max(at);
    }

    /// Whether it has room for so much. More than it can hold needs a full one.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, amount: u64) -> Result<(), Missing> {
        let needed = i128::from(amount.min(self.amount)) * i128::from(self.per);
        let held = i128::from(self.held).saturating_mul(i128::from(self.per));
        let missing = needed.saturating_add(held).saturating_sub(self.level);
        if missing <= 0 {
            Ok(())
        } else if needed.saturating_add(held) > self.brim() {
            Err(Missing::Change)
        } else {
            Err(Missing::Time(self.time_for(missing)))
        }
    }

    /// Holds so much, at most what there can be, and says how much that is.
    pub fn hold(&mut self, amount: u64) -> u64 {
        let amount = amount.min(self.amount);
        self.held = self.held.saturating_add(amount);
        amount
    }

    /// Gives back what was held, and takes what was used.
    pub fn release(&mut self, held: u64, used: u64) {
        self.held = self.held.saturating_sub(held);
        self.level = self.level.saturating_sub(i128::from(used).saturating_mul(i128::from(self.per)));
    }

    /// Takes one now, also from what comes later, and says how long that takes to come.
    pub fn take_ahead(&mut self) -> Duration {
        self.release(0, 1);
        self.time_for((-self.level).max(0))
    }

    /// What is free, rounded down. Below zero: more was used than had been held.
    pub fn free(&self) -> i128 {
        self.level.div_euclid(i128::from(self.per)) - i128::from(self.held)
    }

    /// What is held.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// What it is.
    pub fn size(&self) -> Size {
        Size { amount: self.amount, per: Duration::from_nanos(self.per) }
    }

    /// How long until it is full, if nobody takes anything and what is held is spent.
    pub fn full_in(&self) -> Duration {
        let held = i128::from(self.held).saturating_mul(i128::from(self.per));
        self.time_for(self.brim().saturating_sub(self.level).saturating_add(held))
    }

    /// When it was last looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.at
    }

    fn brim(&self) -> i128 {
        i128::from(self.amount) * i128::from(self.per)
    }

    fn time_for(&self, parts: i128) -> Duration {
        let nanos = parts.max(0).unsigned_abs().div_ceil(u128::from(self.amount));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn fifty_in_ten_minutes() -> Rate {
        Rate::full(Size { amount: 50, per: Duration::from_secs(600) }, 0)
    }

    #[test]
    fn fifty_in_600_seconds_come_back_one_in_twelve_seconds() {
        let mut rate = fifty_in_ten_minutes();
        for _ in 0..50 {
            assert_eq!(rate.check(1), Ok(()));
            rate.release(0, 1);
        }
        assert_eq!(rate.check(1), Err(Missing::Time(Duration::from_secs(12))));
        assert_eq!(rate.full_in(), Duration::from_secs(600));
        rate.tick(24 * SECOND);
        assert_eq!(rate.free(), 2);
        rate.tick(10 * SECOND);
        assert_eq!(rate.free(), 2, "a time before the last one changes nothing");
        rate.tick(100_000 * SECOND);
        assert_eq!(rate.free(), 50);
    }

    #[test]
    fn what_is_held_is_not_free_and_time_alone_does_not_bring_it_back() {
        let mut rate = fifty_in_ten_minutes();
        assert_eq!(rate.hold(80), 50, "no more than there can be");
        assert_eq!(rate.check(1), Err(Missing::Change));
        rate.release(50, 10);
        assert_eq!((rate.free(), rate.held()), (40, 0));
        assert_eq!(rate.check(80), Err(Missing::Time(Duration::from_secs(120))), "more than it holds needs a full one");
    }

    #[test]
    fn another_size_keeps_what_is_left() {
        let mut rate = fifty_in_ten_minutes();
        rate.release(0, 20);
        rate.resize(Size { amount: 40, per: Duration::from_secs(60) });
        assert_eq!(rate.free(), 30);
        rate.resize(Size { amount: 10, per: Duration::from_secs(60) });
        assert_eq!(rate.free(), 10);
    }

    #[test]
    fn one_that_is_taken_ahead_says_when_it_comes() {
        let mut rate = Rate::full(Size { amount: 10, per: Duration::from_secs(1) }, 0);
        let waits: Vec<u128> = (0..12).map(|_| rate.take_ahead().as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
    }

    #[test]
    fn the_largest_numbers_overflow_nothing() {
        let mut rate = Rate::full(Size { amount: u64::MAX, per: Duration::MAX }, 0);
        rate.release(0, u64::MAX);
        rate.release(0, u64::MAX);
        rate.tick(SECOND);
        assert!(rate.check(u64::MAX).is_err());
        rate.tick(u64::MAX);
        assert_eq!(rate.check(u64::MAX), Ok(()));
        rate.resize(Size { amount: 0, per: Duration::ZERO });
        assert!(rate.free() <= 1);
    }
}
