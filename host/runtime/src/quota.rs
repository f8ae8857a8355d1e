//! Quotas: how many requests, input tokens and output tokens a minute may be spent.
//!
//! Each is a token bucket that refills continuously and holds one minute's worth, as the provider's own do. A question
//! reserves from all of them at once or from none; its reservation is *settled* with what it really took, *kept* where
//! that is not known, or *refunded* where nothing was sent. The provider's headers correct the buckets.
//!
//! This is our own code, not the `governor` crate: that one takes from one bucket at a time, and what it took can be
//! neither given back nor corrected. Levels are whole numbers (a token is 60·10⁹ parts, so that a nanosecond's refill
//! of any rate is whole): nothing is lost or won by rounding.
//!
//! A bucket has what is left (`level`) and what is reserved by questions under way (`held`); free is the difference.
//! A header tells what was left when the answer began: later than what we sent, earlier than now. So it lowers the
//! level to what it said plus the refill since, and raises it only to what it said less everything that we hold or
//! spent since. The header's `reset` is not used: it follows from limit and remaining, but is rounded to seconds.

pub(crate) mod kept;
pub mod named;
pub mod rate;
pub mod scoped;

use std::time::Duration;

use tokio::time::Instant;

use crate::gate::{Wait, all_open, later};
use crate::question::{ProviderLimit, ProviderLimits, Usage};

/// Parts of a token: the nanoseconds of the minute in which a bucket fills.
const PARTS: i128 = 60_000_000_000;

/// What may be spent a minute. None: unlimited, until the provider's headers tell a limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaConfig {
    /// Requests a minute. 0 counts as 1, here and below.
    pub requests: Option<u64>,
    /// Input tokens a minute, those read from the provider's cache not counted.
    pub input_tokens: Option<u64>,
    /// Output tokens a minute.
    pub output_tokens: Option<u64>,
}

/// What a question takes from the buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests.
    pub requests: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

impl Cost {
    /// What the provider counts of a usage: cached reads are free.
    pub fn of(usage: &Usage) -> Self {
        Self {
            requests: u64::from(usage.requests),
            input_tokens: usage.input_tokens.saturating_add(usage.cache_write_tokens),
            output_tokens: usage.output_tokens,
        }
    }

    fn parts(self) -> [u64; 3] {
        [self.requests, self.input_tokens, self.output_tokens]
    }
}

/// What a question under way holds. It must be settled, kept or refunded.
#[must_use = "a reservation that is neither settled, kept nor refunded is held for ever"]
#[derive(Debug)]
pub struct Reservation {
    held: [u64; 3],
    spent_before: [u64; 3],
}

/// The provider's limits, and when they were told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The limits.
    pub limits: ProviderLimits,
    /// When the answer's head came.
    pub at: Instant,
}

/// The buckets of one account: requests, input tokens, output tokens.
#[derive(Debug)]
pub struct Quota {
    buckets: [Bucket; 3],
}

impl Quota {
    /// Full buckets.
    pub fn new(config: QuotaConfig, now: Instant) -> Self {
        Self {
            buckets: [config.requests, config.input_tokens, config.output_tokens].map(|limit| Bucket::new(limit, now)),
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Instant) {
        for bucket in &mut self.buckets {
            bucket.refill(now);
        }
    }

    /// Whether all buckets have room. A cost above a bucket's size needs a full bucket. Call [`tick`](Self::tick)
    /// before.
    ///
    /// # Errors
    /// What has to happen before.
    pub fn check(&self, cost: Cost) -> Result<(), Wait> {
        all_open(self.buckets.iter().zip(cost.parts()).map(|(bucket, amount)| bucket.check(amount)))
    }

    /// Takes from all buckets. Only after [`check`](Self::check) said yes.
    pub fn take(&mut self, cost: Cost) -> Reservation {
        let spent_before = std::array::from_fn(|index| self.buckets[index].spent);
        let amounts = cost.parts();
        let held = std::array::from_fn(|index| self.buckets[index].hold(amounts[index]));
        Reservation { held, spent_before }
    }

    /// Reserves from all buckets or from none.
    ///
    /// # Errors
    /// What has to happen before.
    pub fn reserve(&mut self, cost: Cost, now: Instant) -> Result<Reservation, Wait> {
        self.tick(now);
        self.check(cost)?;
        Ok(self.take(cost))
    }

    /// Puts what was really used in place of the reservation.
    pub fn settle(&mut self, reservation: Reservation, used: Cost, told: Option<Told>, now: Instant) {
        self.end(reservation, used.parts(), told, now);
    }

    /// What was used is not known: the reservation counts.
    pub fn keep(&mut self, reservation: Reservation, told: Option<Told>, now: Instant) {
        let used = reservation.held;
        self.end(reservation, used, told, now);
    }

    /// Nothing was used.
    pub fn refund(&mut self, reservation: Reservation, told: Option<Told>, now: Instant) {
        self.end(reservation, [0; 3], told, now);
    }

    /// What is free now, in requests, input tokens and output tokens; none where there is no limit. Below zero: more
    /// was used than had been reserved.
    pub fn free(&mut self, now: Instant) -> [Option<i64>; 3] {
        self.tick(now);
        std::array::from_fn(|index| self.buckets[index].free())
    }

    fn end(&mut self, reservation: Reservation, used: [u64; 3], told: Option<Told>, now: Instant) {
        for (index, bucket) in self.buckets.iter_mut().enumerate() {
            bucket.refill(now);
            bucket.release(reservation.held[index], used[index]);
        }
        let Some(Told { limits, at }) = told else { return };
        let since = now.saturating_duration_since(at);
        for (index, limit) in [limits.requests, limits.input_tokens, limits.output_tokens].into_iter().enumerate() {
            let Some(limit) = limit else { continue };
            // The head of the answer counts its own request and input, but not its output, which came after it.
            let counted = if index < 2 { used[index] } else { 0 };
            let spent_since = self.buckets[index].spent.saturating_sub(reservation.spent_before[index]) - counted;
            self.buckets[index].correct(limit, since, spent_since);
        }
    }
}

#[derive(Debug)]
struct Bucket {
    configured: Option<u64>,
    told: Option<u64>,
    /// What is left, in parts; without meaning where there is no limit.
    level: i128,
    at: Instant,
    /// Reserved by questions under way.
    held: u64,
    /// All that was ever spent.
    spent: u64,
}

impl Bucket {
    fn new(configured: Option<u64>, now: Instant) -> Self {
        let configured = configured.map(|limit| limit.max(1));
        let level = configured.map_or(0, |limit| i128::from(limit) * PARTS);
        Self { configured, told: None, level, at: now, held: 0, spent: 0 }
    }

    fn limit(&self) -> Option<u64> {
        match (self.configured, self.told) {
            (Some(configured), Some(told)) => Some(configured.min(told)),
            (one, other) => one.or(other),
        }
    }

    fn refill(&mut self, now: Instant) {
        if let Some(limit) = self.limit() {
            self.level = raised(self.level, limit, now.saturating_duration_since(self.at));
        }
        self.at = self.at.max(now);
    }

    fn check(&self, amount: u64) -> Result<(), Wait> {
        let Some(limit) = self.limit() else { return Ok(()) };
        let needed = i128::from(amount.min(limit)) * PARTS;
        let held = i128::from(self.held) * PARTS;
        let missing = needed + held - self.level;
        if missing <= 0 {
            Ok(())
        } else if needed + held > i128::from(limit) * PARTS {
            Err(Wait::Change)
        } else {
            let nanos = missing.unsigned_abs().div_ceil(u128::from(limit));
            Err(Wait::Until(later(self.at, Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))))
        }
    }

    fn hold(&mut self, amount: u64) -> u64 {
        let amount = self.limit().map_or(amount, |limit| amount.min(limit));
        self.held = self.held.saturating_add(amount);
        amount
    }

    fn release(&mut self, held: u64, used: u64) {
        self.held = self.held.saturating_sub(held);
        self.spent = self.spent.saturating_add(used);
        self.level = self.level.saturating_sub(i128::from(used) * PARTS);
    }

    fn correct(&mut self, header: ProviderLimit, since: Duration, spent_since: u64) {
        let known = self.limit().is_some();
        let told = header.limit.max(1);
        self.told = Some(told);
        let limit = self.configured.map_or(told, |configured| configured.min(told));
        let remaining = i128::from(header.remaining.min(told)) * PARTS;
        let spent_since = i128::from(spent_since) * PARTS;
        let highest = raised(remaining, told, since);
        if known {
            if limit == told {
                self.level = self.level.max(remaining - spent_since - i128::from(self.held) * PARTS);
            }
            self.level = self.level.min(highest);
        } else {
            self.level = highest - spent_since;
        }
        self.level = self.level.min(i128::from(limit) * PARTS);
    }

    fn free(&self) -> Option<i64> {
        self.limit()?;
        let free = (self.level - i128::from(self.held) * PARTS).div_euclid(PARTS);
        Some(i64::try_from(free).unwrap_or(if free < 0 { i64::MIN } else { i64::MAX }))
    }
}

/// A level after so much refill, never above the bucket's size.
fn raised(level: i128, limit: u64, passed: Duration) -> i128 {
    let refill = i128::try_from(passed.as_nanos()).unwrap_or(PARTS).saturating_mul(i128::from(limit));
    level.saturating_add(refill).min(i128::from(limit) * PARTS)
}

#[cfg(test)]
mod tests;
