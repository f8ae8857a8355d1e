//! The buckets of an account as they are written down, so that all processes of a user have the same ones.
//!
//! What is configured is not part of it: it is each process's own, and the buckets' size is the smaller one of it and
//! what the provider has told any of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Bucket, Cost, PARTS, Quota, QuotaConfig, Reservation};
use crate::gate::later;

/// One time on both clocks: the runtime's, and the nanoseconds since the machine booted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) nanos: u64,
}

impl Moment {
    fn instant(&self, nanos: u64) -> Instant {
        match self.nanos.checked_sub(nanos) {
            Some(ago) => self.now.checked_sub(Duration::from_nanos(ago)).unwrap_or(self.now),
            None => later(self.now, Duration::from_nanos(nanos - self.nanos)),
        }
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let nanos = |passed: Duration| u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        match self.now.checked_duration_since(instant) {
            Some(ago) => self.nanos.saturating_sub(nanos(ago)),
            None => self.nanos.saturating_add(nanos(instant.saturating_duration_since(self.now))),
        }
    }
}

/// The buckets of an account: requests, input tokens, output tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) buckets: [KeptBucket; 3],
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptBucket {
    /// Its size when it was kept; none: there was no limit.
    pub(crate) size: Option<u64>,
    told: Option<u64>,
    level: i128,
    pub(crate) at: u64,
    pub(crate) held: u64,
    spent: u64,
}

/// What the buckets of an account are called.
pub(crate) const NAMES: [&str; 3] = ["requests", "input tokens", "output tokens"];

impl Kept {
    /// The buckets as they are now.
    pub(crate) fn restore(&self, config: QuotaConfig, moment: Moment) -> Quota {
        let mut quota = Quota::new(config, moment.now);
        for (bucket, kept) in quota.buckets.iter_mut().zip(&self.buckets) {
            kept.restore(bucket, moment);
        }
        quota.tick(moment.now);
        quota
    }

    /// What there is of them now.
    pub(crate) fn of(quota: &Quota, moment: Moment) -> Self {
        Self { buckets: std::array::from_fn(|at| KeptBucket::of(&quota.buckets[at], moment)) }
    }
}

impl Kept {
    /// Gives back what a process held that is gone: it counts as spent.
    pub(crate) fn forfeit(&mut self, held: [u64; 3], nanos: u64) {
        for (bucket, held) in self.buckets.iter_mut().zip(held) {
            // It is spent now: what would have come back until then had no room.
            bucket.level = bucket.level_at(nanos);
            bucket.at = bucket.at.max(nanos);
            bucket.held = bucket.held.saturating_sub(held);
            bucket.spent = bucket.spent.saturating_add(held);
            bucket.level = bucket.level.saturating_sub(i128::from(held).saturating_mul(PARTS));
        }
    }
}

impl KeptBucket {
    fn restore(&self, bucket: &mut Bucket, moment: Moment) {
        (bucket.told, bucket.held, bucket.spent) = (self.told, self.held, self.spent);
        bucket.at = moment.instant(self.at);
        let Some(limit) = bucket.limit() else { return };
        let full = i128::from(limit) * PARTS;
        bucket.level = if self.size.is_some() { self.level.min(full) } else { full };
    }

    fn of(bucket: &Bucket, moment: Moment) -> Self {
        Self {
            size: bucket.limit(),
            told: bucket.told,
            level: bucket.level,
            at: moment.nanos(bucket.at),
            held: bucket.held,
            spent: bucket.spent,
        }
    }

    /// What is free at that time; none: there is no limit.
    pub(crate) fn free(&self, nanos: u64) -> Option<i128> {
        self.size?;
        Some(self.level_at(nanos).div_euclid(PARTS) - i128::from(self.held))
    }

    fn level_at(&self, nanos: u64) -> i128 {
        let Some(size) = self.size else { return self.level };
        let refill = i128::from(nanos.saturating_sub(self.at)).saturating_mul(i128::from(size));
        self.level.saturating_add(refill).min(i128::from(size) * PARTS)
    }

    /// How long it takes to be full, if nobody takes anything and what is held is spent; none: there is no limit.
    pub(crate) fn full_in(&self, nanos: u64) -> Option<Duration> {
        let size = self.size?;
        let held = i128::from(self.held).saturating_mul(PARTS);
        let parts = (i128::from(size) * PARTS).saturating_sub(self.level).saturating_add(held).max(0);
        let nanos_needed = u64::try_from(parts.unsigned_abs().div_ceil(u128::from(size))).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(nanos_needed.saturating_sub(nanos.saturating_sub(self.at))))
    }
}

impl Quota {
    /// Which bucket has no room for so much.
    pub(crate) fn closed(&self, cost: Cost) -> Option<&'static str> {
        let mut each = self.buckets.iter().zip(cost.parts()).zip(NAMES);
        each.find(|((bucket, amount), _)| bucket.check(*amount).is_err()).map(|(_, name)| name)
    }
}

impl Reservation {
    /// What it holds.
    pub(crate) fn held(&self) -> [u64; 3] {
        self.held
    }

    /// What it still holds where not all of it is known any more.
    pub(crate) fn at_most(&mut self, held: [u64; 3]) {
        self.held = std::array::from_fn(|at| self.held[at].min(held[at]));
    }
}
