//! The buckets of an account as they are written down, so that all processes of a user have the same ones.
//!
//! What is configured is not part of it: it is each process's own, and the buckets' size is the smaller one of it and
//! what the provider has told any of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::bucket::{Bucket, Charge, Hold, PARTS};
use super::lengths::Lengths;
use super::{Cost, Quota, QuotaConfig, Reservation};
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

/// One of them. Times are nanoseconds since the boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeptBucket {
    /// What came back in a minute when it was kept; none: there was no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) limit: Option<u64>,
    /// What it held at most when it was kept.
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "is_default")]
    told: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    told_at: Option<u64>,
    seen: u64,
    level: i128,
    pub(crate) at: u64,
    pub(crate) held: u64,
    #[serde(skip_serializing_if = "is_default")]
    holds: Vec<KeptHold>,
    next_hold: u64,
    /// For each: how long before `at` it left, in microseconds, and how much.
    #[serde(skip_serializing_if = "is_default")]
    charges: Vec<(u64, u64)>,
    first: u64,
    #[serde(skip_serializing_if = "is_default")]
    forgotten: Option<u64>,
}

/// Whether it need not be written to be read as what it is.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is held for a question under way: its number, when it began, what it probably takes, and what it may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KeptHold(u64, u64, u64, u64);

/// What a process holds of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Held {
    /// Of each bucket.
    amounts: [u64; 3],
    /// The numbers of its holds in the last one.
    holds: Vec<u64>,
}

/// What the buckets of an account are called.
pub(crate) const NAMES: [&str; 3] = ["requests", "input tokens", "output tokens"];

/// The bucket that is counted as it is sent.
const OUTPUT: usize = 2;

impl Kept {
    /// The buckets as they are now.
    pub(crate) fn restore(&self, config: QuotaConfig, lengths: Lengths, moment: Moment) -> Quota {
        let mut quota = Quota::new(config, moment.now);
        for (bucket, kept) in quota.buckets.iter_mut().zip(&self.buckets) {
            kept.restore(bucket, moment);
        }
        quota.buckets[OUTPUT].set_speed(lengths.speed());
        quota.lengths = lengths;
        quota.tick(moment.now);
        quota
    }

    /// What there is of them now, and what this process knows of its answers.
    pub(crate) fn of(quota: Quota, moment: Moment) -> (Self, Lengths) {
        let Quota { buckets, lengths } = quota;
        (Self { buckets: buckets.map(|bucket| KeptBucket::of(&bucket, moment)) }, lengths)
    }

    /// Gives back what a process held that is gone: it counts as spent. Requests and input are gone from the buckets
    /// already.
    pub(crate) fn forfeit(&mut self, held: &Held, nanos: u64) {
        let bucket = &mut self.buckets[OUTPUT];
        let (gone, left) = bucket.holds.iter().partition(|hold| held.holds.contains(&hold.0));
        bucket.holds = left;
        let gone: Vec<KeptHold> = gone;
        let amount = gone.iter().fold(0u64, |sum, hold| sum.saturating_add(hold.2));
        if amount == 0 {
            return;
        }
        // It is spent now: what would have come back until then had no room.
        bucket.level = bucket.level_at(nanos).saturating_sub(i128::from(amount).saturating_mul(PARTS));
        bucket.held = bucket.held.saturating_sub(amount);
        // Those before it are as long ago as they were.
        let later = nanos.saturating_sub(bucket.at) / 1_000;
        bucket.charges.iter_mut().for_each(|charge| charge.0 = charge.0.saturating_add(later));
        bucket.at = bucket.at.max(nanos);
        bucket.charges.push((0, amount));
    }
}

impl KeptBucket {
    fn restore(&self, bucket: &mut Bucket, moment: Moment) {
        let instant = |nanos: u64| moment.instant(nanos);
        (bucket.told, bucket.told_at) = (self.told, self.told_at.map(instant));
        (bucket.seen, bucket.at) = (self.seen.max(1), instant(self.at));
        bucket.holds = self
            .holds
            .iter()
            .map(|&KeptHold(number, at, expected, allowed)| Hold { number, at: instant(at), expected, allowed })
            .collect();
        bucket.next_hold = self.next_hold;
        bucket.charges = self
            .charges
            .iter()
            .map(|&(ago, amount)| Charge { at: instant(self.at.saturating_sub(ago.saturating_mul(1_000))), amount })
            .collect();
        (bucket.first, bucket.forgotten) = (self.first, self.forgotten.map(instant));
        if bucket.limit().is_some() {
            let full = i128::from(bucket.size()) * PARTS;
            bucket.level = if self.limit.is_some() { self.level.min(full) } else { full };
        }
    }

    fn of(bucket: &Bucket, moment: Moment) -> Self {
        let nanos = |instant| moment.nanos(instant);
        let micros = |ago: Duration| u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
        Self {
            limit: bucket.limit(),
            size: bucket.size(),
            told: bucket.told,
            told_at: bucket.told_at.map(nanos),
            seen: bucket.seen,
            level: bucket.level,
            at: nanos(bucket.at),
            held: bucket.held,
            holds: bucket
                .holds
                .iter()
                .map(|hold| KeptHold(hold.number, nanos(hold.at), hold.expected, hold.allowed))
                .collect(),
            next_hold: bucket.next_hold,
            charges: bucket
                .charges
                .iter()
                .map(|charge| (micros(bucket.at.saturating_duration_since(charge.at)), charge.amount))
                .collect(),
            first: bucket.first,
            forgotten: bucket.forgotten.map(nanos),
        }
    }

    /// What is free at that time; none: there is no limit.
    pub(crate) fn free(&self, nanos: u64) -> Option<i128> {
        self.limit?;
        Some(self.level_at(nanos).div_euclid(PARTS) - i128::from(self.held))
    }

    fn level_at(&self, nanos: u64) -> i128 {
        let Some(limit) = self.limit else { return self.level };
        let refill = i128::from(nanos.saturating_sub(self.at)).saturating_mul(i128::from(limit));
        self.level.saturating_add(refill).min(i128::from(self.size).saturating_mul(PARTS))
    }

    /// How long it takes to be full, if nobody takes anything and what is held is spent; none: there is no limit.
    pub(crate) fn full_in(&self, nanos: u64) -> Option<Duration> {
        let limit = self.limit?;
        let held = i128::from(self.held).saturating_mul(PARTS);
        let full = i128::from(self.size).saturating_mul(PARTS);
        let parts = full.saturating_sub(self.level).saturating_add(held).max(0);
        let nanos_needed = u64::try_from(parts.unsigned_abs().div_ceil(u128::from(limit))).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(nanos_needed.saturating_sub(nanos.saturating_sub(self.at))))
    }
}

impl Held {
    /// It holds that too.
    pub(crate) fn add(&mut self, reservation: &Reservation) {
        for (all, taken) in self.amounts.iter_mut().zip(&reservation.taken) {
            *all = all.saturating_add(taken.amount);
        }
        self.holds.extend(reservation.taken[OUTPUT].number);
    }

    /// It holds that no more. What is not written down any more, because the file was begun anew, was not taken from its
    /// buckets either: the reservation becomes what is.
    pub(crate) fn remove(&mut self, reservation: &mut Reservation) {
        let number = reservation.taken[OUTPUT].number;
        let place = self.holds.iter().position(|hold| Some(*hold) == number);
        for (all, taken) in self.amounts.iter_mut().zip(&mut reservation.taken) {
            taken.amount = taken.amount.min(*all);
            taken.number = taken.number.filter(|_| place.is_some());
            *all -= taken.amount;
        }
        if let Some(place) = place {
            self.holds.swap_remove(place);
        }
    }

    /// Whether it holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.amounts == [0; 3]
    }
}

impl Quota {
    /// Which bucket has no room for so much.
    pub(crate) fn closed(&self, cost: Cost) -> Option<&'static str> {
        let mut each = self.buckets.iter().zip(self.reserved(cost)).zip(NAMES);
        each.find(|((bucket, amount), _)| bucket.check(*amount).is_err()).map(|(_, name)| name)
    }
}
