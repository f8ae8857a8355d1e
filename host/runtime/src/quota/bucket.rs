//! One bucket: what is left, and what a provider's headers teach of it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::gate::{Wait, later};
use crate::question::ProviderLimit;

/// Parts of a token: the nanoseconds of the minute in which a minute's worth comes back.
pub(super) const PARTS: i128 = 60_000_000_000;

/// How many charges are remembered at most: all processes write them down. A header of an answer that saw more others
/// begin changes the limit only.
pub(super) const CHARGES: usize = 256;

/// When a provider counts what a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// All of it when the question comes: requests and input. So it leaves the bucket when it is reserved.
    AtOnce,
    /// As it is sent: output. So it leaves the bucket when it is known, and is held until then.
    AsSent,
}

/// What was taken from a bucket for one question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) amount: u64,
    /// The number of its charge; where it is held: of the hold. None: it is written down no more.
    pub(super) number: Option<u64>,
    /// When.
    pub(super) at: Instant,
}

/// What is held for a question under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) number: u64,
    pub(super) at: Instant,
    /// What it probably takes.
    pub(super) expected: u64,
    /// What it may take.
    pub(super) allowed: u64,
}

impl Hold {
    /// What it may have taken so far, at so many tokens a second, and not less than what it probably takes.
    pub(super) fn amount(&self, now: Instant, speed: f64) -> u64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.expected.max(((elapsed * speed).ceil() as u64).min(self.allowed))
    }
}

/// Something that left the bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) at: Instant,
    pub(super) amount: u64,
}

#[derive(Debug)]
pub(super) struct Bucket {
    counted: Counted,
    configured: Option<u64>,
    pub(super) told: Option<u64>,
    pub(super) told_at: Option<Instant>,
    /// The most that the provider's bucket was seen to hold, under the limit that it tells now.
    pub(super) seen: u64,
    /// What is left, in parts; without meaning where there is no limit.
    pub(super) level: i128,
    pub(super) at: Instant,
    /// Questions under way, where it is counted as it is sent.
    pub(super) holds: Vec<Hold>,
    pub(super) next_hold: u64,
    /// What they hold at the time of the level.
    pub(super) held: u64,
    /// How fast answers come at most, in tokens a second.
    speed: f64,
    pub(super) charges: VecDeque<Charge>,
    /// The number of the first charge that is remembered.
    pub(super) first: u64,
    /// When the last charge was made that is remembered no more.
    pub(super) forgotten: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(counted: Counted, configured: Option<u64>, now: Instant) -> Self {
        let configured = configured.map(|limit| limit.max(1));
        Self {
            counted,
            configured,
            told: None,
            told_at: None,
            seen: 1,
            level: configured.map_or(0, parts),
            at: now,
            holds: Vec::new(),
            next_hold: 0,
            held: 0,
            speed: 0.0,
            charges: VecDeque::new(),
            first: 0,
            forgotten: None,
        }
    }

    pub(super) fn is_configured(&self) -> bool {
        self.configured.is_some()
    }

    /// What comes back in a minute.
    pub(super) fn limit(&self) -> Option<u64> {
        match (self.configured, self.told) {
            (Some(configured), Some(told)) => Some(configured.min(told)),
            (one, other) => one.or(other),
        }
    }

    /// What it holds at most: a minute's worth of the user's own limit; of the provider's, what it was seen to hold.
    pub(super) fn size(&self) -> u64 {
        let told = self.told.map(|_| self.seen.max(1));
        self.configured.into_iter().chain(told).min().unwrap_or(u64::MAX)
    }

    pub(super) fn refill(&mut self, now: Instant) {
        if let Some(limit) = self.limit() {
            self.level = raised(self.level, limit, self.size(), now.saturating_duration_since(self.at));
        }
        self.at = self.at.max(now);
        self.hold();
    }

    /// From now on answers are known to come so fast, in tokens a second.
    pub(super) fn set_speed(&mut self, speed: f64) {
        self.speed = speed;
    }

    /// Counts what is held now.
    fn hold(&mut self) {
        let amounts = self.holds.iter().map(|hold| hold.amount(self.at, self.speed));
        self.held = amounts.fold(0, u64::saturating_add);
    }

    /// Whether there is room. Call [`refill`](Self::refill) before.
    pub(super) fn check(&self, amount: u64) -> Result<(), Wait> {
        let Some(limit) = self.limit() else { return Ok(()) };
        let needed = parts(amount.min(self.size())) + parts(self.held);
        let missing = needed - self.level;
        if missing <= 0 {
            Ok(())
        } else if needed > parts(self.size()) {
            Err(Wait::Change)
        } else {
            let nanos = missing.unsigned_abs().div_ceil(u128::from(limit));
            Err(Wait::Until(later(self.at, Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))))
        }
    }

    /// Takes it, or holds it for a question that may take up to `allowed`; not more than the bucket's size. Call
    /// [`refill`](Self::refill) before.
    pub(super) fn take(&mut self, amount: u64, allowed: u64) -> Taken {
        let amount = if self.limit().is_some() { amount.min(self.size()) } else { amount };
        let number = match self.counted {
            Counted::AtOnce => self.charge(amount),
            Counted::AsSent => {
                self.next_hold += 1;
                let allowed = allowed.max(amount);
                self.holds.push(Hold { number: self.next_hold, at: self.at, expected: amount, allowed });
                self.hold();
                self.next_hold
            }
        };
        Taken { amount, number: Some(number), at: self.at }
    }

    /// Puts what was used in place of what was taken.
    pub(super) fn release(&mut self, taken: Taken, used: u64) {
        match self.counted {
            Counted::AtOnce => {
                if let Some(charge) = self.place(taken).and_then(|place| self.charges.get_mut(place)) {
                    charge.amount = used;
                }
                self.level = (self.level + parts(taken.amount) - parts(used)).min(parts(self.size()));
            }
            Counted::AsSent => {
                self.holds.retain(|hold| Some(hold.number) != taken.number);
                self.hold();
                self.charge(used);
            }
        }
    }

    fn charge(&mut self, amount: u64) -> u64 {
        self.level = self.level.saturating_sub(parts(amount));
        self.charges.push_back(Charge { at: self.at, amount });
        if self.charges.len() > CHARGES
            && let Some(oldest) = self.charges.pop_front()
        {
            self.first += 1;
            self.forgotten = Some(oldest.at);
        }
        self.first + self.charges.len() as u64 - 1
    }

    /// Since when questions are under way, where it is counted as it is sent; none: none is.
    pub(super) fn under_way_since(&self) -> Option<Instant> {
        self.holds.iter().map(|hold| hold.at).min()
    }

    /// Forgets the charges that no header can tell of any more: those before that time.
    pub(super) fn forget_before(&mut self, time: Instant) {
        while self.charges.front().is_some_and(|charge| charge.at < time) {
            self.charges.pop_front();
            self.first += 1;
        }
    }

    /// The place of its charge, if that is remembered.
    fn place(&self, taken: Taken) -> Option<usize> {
        usize::try_from(taken.number?.checked_sub(self.first)?).ok()
    }

    /// Learns from the header of an answer, whose head came `at`, and which took and used so much.
    pub(super) fn correct(&mut self, header: ProviderLimit, at: Instant, taken: Taken, used: u64, slack: u64) {
        if self.told_at.is_some_and(|told| at < told && self.told != Some(header.limit.max(1))) {
            // It tells of a limit that is no more.
            return;
        }
        let known = self.limit().is_some();
        let told = header.limit.max(1);
        let surely = header.remaining.saturating_sub(slack);
        // What it took itself was there too, less what has come back since.
        let own = if self.counted == Counted::AtOnce { used } else { 0 };
        let back = raised(0, told, u64::MAX, at.saturating_duration_since(taken.at)).div_euclid(PARTS);
        let back = u64::try_from(back).unwrap_or(u64::MAX);
        let shows = surely.saturating_add(own.saturating_sub(back)).max(own).max(1);
        if self.told != Some(told) {
            self.told = Some(told);
            self.seen = 1;
        }
        self.told_at = self.told_at.max(Some(at));
        self.seen = self.seen.max(shows);
        if self.forgotten.is_some_and(|forgotten| forgotten > at) {
            return;
        }
        let (low, high) = self.bounds(parts(surely), parts(header.remaining.saturating_add(slack)), at, taken);
        // Not all is remembered that the header may lack: what is left at least is not known.
        let is_sure = self.forgotten.is_none_or(|forgotten| forgotten < taken.at);
        let is_theirs = self.limit() == Some(told);
        if !known {
            self.level = low;
        } else if self.level > high {
            self.level = high;
        } else if is_theirs && is_sure {
            self.level = self.level.max(low);
        }
        self.level = self.level.min(parts(self.size()));
    }

    /// What may be left now, at least and at most, by what was left when the head of an answer came.
    ///
    /// It was counted when the question had come, and nobody knows how long before its head was read: what left the
    /// bucket between may be counted already, or not yet.
    fn bounds(&self, least: i128, most: i128, at: Instant, taken: Taken) -> (i128, i128) {
        let since = self.charges.partition_point(|charge| charge.at <= at);
        let own = match self.counted {
            Counted::AtOnce => self.place(taken).map_or(0, |place| place + 1),
            Counted::AsSent => self.charges.partition_point(|charge| charge.at < taken.at),
        };
        let low = self.since(least - parts(self.sum(own.min(since)..since)), at, since);
        // Of what is under way, and of what ended since, nobody knows how much was sent before.
        let unknown = match self.counted {
            Counted::AtOnce => 0,
            Counted::AsSent => self.held.saturating_add(self.sum(since..self.charges.len())),
        };
        (low, self.since(most, at, since) + parts(unknown))
    }

    fn sum(&self, range: std::ops::Range<usize>) -> u64 {
        self.charges.range(range).fold(0, |sum, charge| sum.saturating_add(charge.amount))
    }

    /// A level from that time on, with the charges from that one on.
    fn since(&self, level: i128, at: Instant, first: usize) -> i128 {
        let (limit, size) = (self.limit().unwrap_or(1), self.size());
        let (mut level, mut at) = (level.min(parts(size)), at);
        for charge in self.charges.range(first..) {
            level = raised(level, limit, size, charge.at.saturating_duration_since(at)) - parts(charge.amount);
            at = charge.at;
        }
        raised(level, limit, size, self.at.saturating_duration_since(at))
    }

    pub(super) fn free(&self) -> Option<i64> {
        self.limit()?;
        let free = (self.level - parts(self.held)).div_euclid(PARTS);
        Some(i64::try_from(free).unwrap_or(if free < 0 { i64::MIN } else { i64::MAX }))
    }
}

fn parts(amount: u64) -> i128 {
    i128::from(amount) * PARTS
}

/// A level after so much refill, never above the bucket's size.
fn raised(level: i128, limit: u64, size: u64, passed: Duration) -> i128 {
    let refill = i128::try_from(passed.as_nanos()).unwrap_or(PARTS).saturating_mul(i128::from(limit));
    level.saturating_add(refill).min(parts(size))
}
