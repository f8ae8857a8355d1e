//! Quotas: how many requests, input tokens and output tokens a minute may be spent.
//!
//! Each is a token bucket that refills continuously. A question reserves from all of them at once or from none; its
//! reservation is *settled* with what it really took, *kept* where that is not known, or *refunded* where nothing was
//! sent. The provider's headers correct the buckets.
//!
//! This is our own code, not the `governor` crate: that one takes from one bucket at a time, and what it took can be
//! neither given back nor corrected. Levels are whole numbers (a token is 60·10⁹ parts, so that a nanosecond's refill
//! of any rate is whole): nothing is lost or won by rounding.
//!
//! # When something is taken
//!
//! As the provider does. Requests and input leave the bucket when they are reserved. Output leaves it when it is known,
//! and is held until then: a provider counts it as it is sent, and lets a question in as long as anything is left. So where
//! only the provider limits output, what is held is what answers took so far on the average, and what this one may have
//! taken by now at the speed of the fastest; not the longest that is allowed: a bucket that is full of reservations which
//! nobody will use is capacity lost. A limit of the user's own is kept whatever comes: there the longest is held.
//!
//! # What a header tells
//!
//! The limit is what comes back in a minute. What was left when the answer began is later than what we sent then, and earlier
//! than now; a head may also be read long after it was sent, where a process gets no processor. From it and from what was
//! sent since follows what is left now at least and at most (others may use the account too): the level is moved into
//! these bounds. The tokens that a provider tells may be rounded to thousands: so a multiple of a thousand may be 500 more
//! or less. How much a bucket *holds* is told nowhere, and need not be a minute's worth: it is the most that was seen in
//! it under this limit. The header's `reset` is not used: it follows from limit and remaining, but is rounded to seconds.

mod bucket;
pub(crate) mod kept;
pub(crate) mod lengths;
pub mod named;
pub mod rate;
pub mod scoped;

use tokio::time::Instant;

use crate::gate::{Wait, all_open};
use crate::question::{ProviderLimits, Usage};

use bucket::{Bucket, Counted, Taken};
use lengths::Lengths;

/// What a provider rounds the tokens that are left to.
const ROUNDED_TO: u64 = 1_000;

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
    taken: [Taken; 3],
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
    /// How long answers are here: no other process's questions need be like this one's.
    lengths: Lengths,
}

impl Quota {
    /// Full buckets.
    pub fn new(config: QuotaConfig, now: Instant) -> Self {
        Self {
            buckets: [
                Bucket::new(Counted::AtOnce, config.requests, now),
                Bucket::new(Counted::AtOnce, config.input_tokens, now),
                Bucket::new(Counted::AsSent, config.output_tokens, now),
            ],
            lengths: Lengths::default(),
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
        all_open(self.buckets.iter().zip(self.reserved(cost)).map(|(bucket, amount)| bucket.check(amount)))
    }

    /// Takes from all buckets. Only after [`check`](Self::check) said yes.
    pub fn take(&mut self, cost: Cost) -> Reservation {
        let (amounts, allowed) = (self.reserved(cost), cost.parts());
        Reservation { taken: std::array::from_fn(|index| self.buckets[index].take(amounts[index], allowed[index])) }
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
        if used.output_tokens > 0 {
            let took = told.map(|told| now.saturating_duration_since(told.at));
            self.lengths.saw(used.output_tokens, took);
            self.buckets[2].set_speed(self.lengths.speed());
        }
        self.end(reservation, used.parts(), told, now);
    }

    /// What was used is not known: the reservation counts.
    pub fn keep(&mut self, reservation: Reservation, told: Option<Told>, now: Instant) {
        let used = reservation.taken.map(|taken| taken.amount);
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

    /// What of a cost is reserved.
    fn reserved(&self, cost: Cost) -> [u64; 3] {
        let [requests, input, most] = cost.parts();
        let output = if self.buckets[2].is_configured() { most } else { self.lengths.expected(most) };
        [requests, input, output]
    }

    fn end(&mut self, reservation: Reservation, used: [u64; 3], told: Option<Told>, now: Instant) {
        let taken = reservation.taken;
        for (index, bucket) in self.buckets.iter_mut().enumerate() {
            bucket.refill(now);
            bucket.release(taken[index], used[index]);
        }
        if let Some(told) = told {
            self.learn(told, taken, used, now);
        }
        // What was sent before all that is under way now is in every header that is still to come.
        let since = self.buckets[2].under_way_since().unwrap_or(now);
        self.buckets.iter_mut().for_each(|bucket| bucket.forget_before(since));
    }

    /// What the headers of an answer tell.
    fn learn(&mut self, Told { limits, at }: Told, taken: [Taken; 3], used: [u64; 3], now: Instant) {
        for (index, limit) in [limits.requests, limits.input_tokens, limits.output_tokens].into_iter().enumerate() {
            let Some(limit) = limit else { continue };
            let is_rounded = index > 0 && limit.remaining % ROUNDED_TO == 0 && limit.limit >= 10 * ROUNDED_TO;
            let slack = if is_rounded { ROUNDED_TO / 2 } else { 0 };
            self.buckets[index].correct(limit, at.min(now), taken[index], used[index], slack);
        }
    }
}

#[cfg(test)]
mod tests;
