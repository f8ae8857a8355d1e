//! How many questions may be in flight at an account.
//!
//! The first row that holds decides. Shares of failures are of the attempts of the last minute that ended and were not
//! rate limited, and count from ten of them on: one of three is chance. The numbers are those of balanced mode; the
//! tolerance is 1, 5 or 10 % by mode, and 1 % where an account is treated as in safe mode.
//!
//! | asked because | and | the limit | besides |
//! |---|---|---|---|
//! | rate limited | the last cut is 15 s ago, and as long as the server then said | × 0.8, at least one less | a pause as long as the server says, 60 s where it says nothing; doubling ends |
//! | rate limited | not yet: it is of the same burst | stays | the same pause |
//! | anything else | over 3 timeouts, and more of them than tolerated; the breaker is closed | stays | the breaker opens |
//! | anything else | failures over twice the tolerance (10 %), last cut 30 s ago | half | safe mode begins; doubling ends |
//! | anything else | failures over the tolerance (5 %), last cut 30 s ago | minus a quarter | doubling ends |
//! | time has passed | under 10 % of the memory is free | minus a quarter, at least one less | doubling ends |
//! | time has passed | balanced, the user named no number, and the machine has room for 8, 5 or 3 only | that | doubling ends |
//! | time has passed | safe mode, and a minute without failures, timeouts, 429s and cuts | stays | safe mode ends |
//! | clean round | it may grow, and is still searched for by doubling | × 2 | doubling ends at the ceiling and the throttle |
//! | clean round | it may grow | + 5 %, at least one more | |
//! | time has passed | it may grow, some wait, a quiet minute, last change 30 s ago; throughput under 50 % of the demand or answers take over 10 s | × 2 | doubling ends |
//! | time has passed | the same, and throughput under 70 % of the demand or over 100 wait | × 1.5 | doubling ends |
//! | anything else | | stays | |
//!
//! *It may grow* when at least 80 % of it was used, no failure at the server is younger than 15 s, no cut is cooling
//! down, the breaker is closed, it is not in safe mode, and the machine has room by five points more than what it would
//! be lowered at. The ceiling is the user's limit.
//!
//! What the design leaves open, and how it is read here:
//!
//! - *60 s after a 429 or what the server says, whichever is longer.* Where the server says a time, that time counts:
//!   a bucket that has room again in two seconds would stand idle for 58. The 60 s are for a server that says nothing.
//! - *Up when latency is over 10 s.* More load makes an overloaded server slower. So nothing goes up because of
//!   throughput or latency where the last minute saw a failure, a timeout or a 429, or where nobody waits.
//! - *Twelve at once or 85 % parallel share trip the throttle in balanced mode.* From 12, or from 85 % of the ceiling, it
//!   grows by clean rounds of 5 % only: no doubling, and no jumps up.
//! - *Over 3 timeouts.* With a hundred answers a minute four slow ones are no outage: they must be over the tolerance too.
//! - *Evaluated every 30 s.* It is looked at on every tick, and acts at most every 30 s: the cool-down.

use convoke_policy::{Adapt, AdaptCause, AdaptFacts, BreakerState, MOST, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::size::{SizeProfile, cap_by_machine, left};
use super::{Wrong, not_above, within};
use crate::machine::KEPT_FREE;

/// The longest time that can be set, in seconds: a day.
const LONGEST_S: u64 = 86_400;

/// The numbers of the table. Shares are 0 to 1, times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptProfile {
    /// The limit to begin with, where the user's is not lower: 3, 8 or 32 by mode.
    pub start: u32,
    /// The same where the user named the number: who asks for sixteen gets them at once.
    pub named_start: u32,
    /// What doubling multiplies by.
    pub doubling: f64,
    /// What a clean round adds.
    pub growth: f64,
    /// What a 429 multiplies by.
    pub cut: f64,
    /// Between two cuts of 429s, at least; the server may say more.
    pub cool_down_s: u64,
    /// The pause after a 429 of a server that says nothing.
    pub pause_s: u64,
    /// It grows only where so much of it was used.
    pub used: f64,
    /// It does not grow so long after a failure at the server.
    pub growth_pause_s: u64,
    /// The share of failures that is tolerated: 0.01, 0.05 or 0.10 by mode. Over it a quarter goes, over twice of it half.
    pub tolerance: f64,
    /// The same in safe mode.
    pub safe_tolerance: f64,
    /// Shares count from so many attempts on.
    pub judged_from: u64,
    /// Between two cuts because of failures, at least.
    pub failure_cool_down_s: u64,
    /// So many timeouts within a minute are allowed before the breaker opens.
    pub timeouts: u64,
    /// So long without trouble ends safe mode.
    pub safe_s: u64,
    /// From so many in flight on there is no doubling: balanced mode only.
    pub throttle: Option<u32>,
    /// The same as a share of the ceiling.
    pub throttle_share: f64,
    /// Throughput under this share of the demand: up.
    pub slow: f64,
    /// Throughput under this share of the demand: up twice.
    pub too_slow: f64,
    /// More than so many waiting: up.
    pub queue: u64,
    /// Answers that take longer: up twice. Seconds.
    pub latency_s: f64,
    /// What the limit is multiplied by to go up.
    pub up: f64,
    /// What the limit is multiplied by to go up twice.
    pub up_twice: f64,
    /// Between the last change and going up, at least.
    pub up_cool_down_s: u64,
    /// What the machine lowers it to.
    pub machine: SizeProfile,
    /// How much more than where it is lowered must be free before it grows: a share.
    pub hysteresis: f64,
}

impl AdaptProfile {
    /// Those of a mode.
    pub fn of(mode: Mode) -> Self {
        let (start, tolerance) = match mode {
            Mode::Safe => (3, 0.01),
            Mode::Balanced => (8, 0.05),
            Mode::Performance => (32, 0.10),
        };
        Self {
            start,
            named_start: start.max(20),
            doubling: 2.0,
            growth: 0.05,
            cut: 0.8,
            cool_down_s: 15,
            pause_s: 60,
            used: 0.8,
            growth_pause_s: 15,
            tolerance,
            safe_tolerance: 0.01,
            judged_from: 10,
            failure_cool_down_s: 30,
            timeouts: 3,
            safe_s: 60,
            throttle: (mode == Mode::Balanced).then_some(12),
            throttle_share: 0.85,
            slow: 0.7,
            too_slow: 0.5,
            queue: 100,
            latency_s: 10.0,
            up: 1.5,
            up_twice: 2.0,
            up_cool_down_s: 30,
            machine: SizeProfile::of(mode),
            hysteresis: 0.05,
        }
    }
}

impl AdaptProfile {
    /// Whether the numbers make sense, each and together.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        for (key, value) in [("adapt.start", self.start), ("adapt.named_start", self.named_start)] {
            within(key, Some(value), 1, MOST)?;
        }
        within("adapt.throttle", self.throttle, 1, MOST)?;
        for (key, value) in [
            ("adapt.used", self.used),
            ("adapt.tolerance", self.tolerance),
            ("adapt.safe_tolerance", self.safe_tolerance),
            ("adapt.throttle_share", self.throttle_share),
            ("adapt.slow", self.slow),
            ("adapt.too_slow", self.too_slow),
            ("adapt.growth", self.growth),
            ("adapt.hysteresis", self.hysteresis),
        ] {
            within(key, Some(value), 0.0, 1.0)?;
        }
        // A cut that cuts nothing would leave an account that is rate limited as it is.
        within("adapt.cut", Some(self.cut), 0.1, 0.99)?;
        for (key, value) in
            [("adapt.doubling", self.doubling), ("adapt.up", self.up), ("adapt.up_twice", self.up_twice)]
        {
            within(key, Some(value), 1.0, 10.0)?;
        }
        not_above("adapt.up", self.up, "up_twice", self.up_twice)?;
        not_above("adapt.too_slow", self.too_slow, "slow", self.slow)?;
        within("adapt.latency_s", Some(self.latency_s), 0.1, LONGEST_S as f64)?;
        within("adapt.judged_from", Some(self.judged_from), 1, 1_000_000)?;
        within("adapt.queue", Some(self.queue), 1, 1_000_000)?;
        for (key, value) in [
            ("adapt.cool_down_s", self.cool_down_s),
            ("adapt.pause_s", self.pause_s),
            ("adapt.growth_pause_s", self.growth_pause_s),
            ("adapt.failure_cool_down_s", self.failure_cool_down_s),
            ("adapt.safe_s", self.safe_s),
            ("adapt.up_cool_down_s", self.up_cool_down_s),
        ] {
            within(key, Some(value), 1, LONGEST_S)?;
        }
        self.machine.check("adapt.machine")
    }

    /// The limit to begin with; `explicit`: whether the user named its ceiling.
    pub fn begins_with(&self, explicit: bool) -> u32 {
        if explicit { self.named_start } else { self.start }
    }
}

impl Default for AdaptProfile {
    fn default() -> Self {
        Self::of(Mode::Balanced)
    }
}

/// The built-in decision: the table above.
pub fn adapt(profile: &AdaptProfile, facts: &AdaptFacts) -> Adapt {
    let table = Table { profile, facts };
    let decided = match facts.cause {
        AdaptCause::RateLimited => table.rate_limited(),
        AdaptCause::CleanRound => table.trouble().or_else(|| table.clean_round()),
        AdaptCause::Tick => table.trouble().or_else(|| table.machine()).or_else(|| table.calm()).or_else(|| table.up()),
        AdaptCause::ServerError | AdaptCause::Timeout => table.trouble(),
    };
    let decided = decided.unwrap_or_else(|| table.stays());
    let most = facts.most.clamp(1, MOST);
    Adapt { limit: decided.limit.clamp(facts.least.clamp(1, most), most), ..decided }
}

struct Table<'a> {
    profile: &'a AdaptProfile,
    facts: &'a AdaptFacts,
}

impl Table<'_> {
    fn stays(&self) -> Adapt {
        let AdaptFacts { safe, slow_start, ref load, .. } = *self.facts;
        Adapt { limit: load.limit, safe, slow_start, ..Adapt::default() }
    }

    /// To that limit, and doubling ends.
    fn to(&self, limit: u32, reason: String) -> Adapt {
        Adapt { limit, slow_start: false, reason, ..self.stays() }
    }

    fn rate_limited(&self) -> Option<Adapt> {
        let said = self.facts.retry_after_ms;
        let pause_ms = said.unwrap_or(self.profile.pause_s.saturating_mul(1_000)).min(convoke_policy::LONGEST_WAIT_MS);
        let wait = match said {
            Some(said) => format!("the provider wants {:.1} s of rest", said as f64 / 1_000.0),
            None => format!("the provider says nothing of when to go on, so it rests for {} s", self.profile.pause_s),
        };
        if self.is_cooling_down() {
            return Some(Adapt { pause_ms, ..self.stays() });
        }
        let limit = lowered(self.facts.load.limit, self.profile.cut);
        Some(Adapt { pause_ms, ..self.to(limit, format!("a question was rate limited; {wait}")) })
    }

    /// Whether a 429 is of the same burst as the one that lowered the limit.
    fn is_cooling_down(&self) -> bool {
        let wait = self.profile.cool_down_s.saturating_mul(1_000).max(self.facts.cut_wait_ms);
        self.facts.since_cut_ms.is_some_and(|since| since < wait)
    }

    fn tolerance(&self) -> f64 {
        let own = self.profile.tolerance;
        if self.facts.safe { own.min(self.profile.safe_tolerance) } else { own }
    }

    fn trouble(&self) -> Option<Adapt> {
        let (load, tolerance) = (&self.facts.load, self.tolerance());
        let judged = load.ended.saturating_sub(load.rate_limited);
        let timeouts = load.timeouts as f64 / judged.max(1) as f64;
        if load.timeouts > self.profile.timeouts && timeouts > tolerance && load.breaker == BreakerState::Closed {
            let reason = format!("{} of {judged} questions had no answer in time within a minute", load.timeouts);
            return Some(Adapt { open_breaker: true, reason, ..self.stays() });
        }
        let since = self.profile.failure_cool_down_s.saturating_mul(1_000);
        if judged < self.profile.judged_from || self.facts.since_cut_ms.is_some_and(|cut| cut < since) {
            return None;
        }
        let failing = format!("{:.0} % of {judged} questions failed within a minute", load.error_rate * 100.0);
        if load.error_rate > 2.0 * tolerance {
            return Some(Adapt { safe: true, ..self.to(load.limit / 2, failing) });
        }
        (load.error_rate > tolerance).then(|| self.to(lowered(load.limit, 0.75), failing))
    }

    fn machine(&self) -> Option<Adapt> {
        let load = &self.facts.load;
        if self.is_short_of_memory() {
            return Some(self.to(lowered(load.limit, 0.75), format!("memory is short: {}", left(load))));
        }
        let most = self.room(0.0)?;
        (most < load.limit).then(|| self.to(most, format!("the machine is busy: {}", left(load))))
    }

    fn is_short_of_memory(&self) -> bool {
        self.facts.load.memory_free.is_some_and(|free| free < KEPT_FREE)
    }

    /// What the machine has room for, where that counts.
    fn room(&self, margin: f64) -> Option<u32> {
        let counts = self.profile.machine.by_machine && !self.facts.explicit;
        counts.then(|| cap_by_machine(&self.profile.machine, &self.facts.load, margin)).flatten()
    }

    /// Whether the last minute saw no trouble.
    fn is_quiet(&self) -> bool {
        let load = &self.facts.load;
        load.error_rate <= 0.0 && load.timeouts == 0 && load.rate_limited == 0
    }

    fn calm(&self) -> Option<Adapt> {
        let since = self.profile.safe_s.saturating_mul(1_000);
        let over = self.facts.safe && self.is_quiet() && self.facts.since_cut_ms.is_none_or(|cut| cut >= since);
        let reason = || "a minute without trouble: safe mode ends".to_owned();
        over.then(|| Adapt { safe: false, reason: reason(), ..self.stays() })
    }

    /// The highest that it may grow to now; none: it may not.
    fn ceiling(&self) -> Option<u32> {
        let facts = self.facts;
        let growth_pause = self.profile.growth_pause_s.saturating_mul(1_000);
        let may = facts.used >= self.profile.used
            && facts.since_server_error_ms.is_none_or(|since| since >= growth_pause)
            && !self.is_cooling_down()
            && facts.load.breaker == BreakerState::Closed
            && !facts.safe
            && !self.is_short_of_memory();
        let ceiling = facts.most.min(self.room(self.profile.hysteresis).unwrap_or(u32::MAX));
        (may && facts.load.limit < ceiling).then_some(ceiling)
    }

    /// From where on it grows by clean rounds only.
    fn throttled_from(&self) -> u32 {
        let Some(throttle) = self.profile.throttle else { return u32::MAX };
        throttle.min((f64::from(self.facts.most) * self.profile.throttle_share).ceil() as u32)
    }

    fn clean_round(&self) -> Option<Adapt> {
        let (ceiling, limit, throttle) = (self.ceiling()?, self.facts.load.limit, self.throttled_from());
        if !self.facts.slow_start || limit >= throttle {
            let more = ((f64::from(limit) * self.profile.growth) as u32).max(1);
            return Some(self.to(limit.saturating_add(more).min(ceiling), "a clean round".to_owned()));
        }
        let limit = raised(limit, self.profile.doubling).min(ceiling).min(throttle);
        let slow_start = limit < ceiling.min(throttle);
        Some(Adapt { slow_start, ..self.to(limit, "a clean round while the limit is searched for".to_owned()) })
    }

    fn up(&self) -> Option<Adapt> {
        let (facts, load, profile) = (self.facts, &self.facts.load, self.profile);
        let cool_down = profile.up_cool_down_s.saturating_mul(1_000);
        let (ceiling, throttle) = (self.ceiling()?, self.throttled_from());
        let may = load.waiting > 0
            && self.is_quiet()
            && load.ended >= profile.judged_from
            && load.limit < throttle
            && facts.since_change_ms.is_none_or(|since| since >= cool_down);
        if !may {
            return None;
        }
        let latency = load.latency_ms.map_or(0.0, |latency| latency as f64 / 1_000.0);
        let under = |share: f64| load.throughput < share * facts.demand;
        let answered = || format!("{:.1} of {:.1} questions a second are answered", load.throughput, facts.demand);
        let (factor, reason) = if under(profile.too_slow) {
            (profile.up_twice, answered())
        } else if latency > profile.latency_s {
            (profile.up_twice, format!("answers take {latency:.0} s, and {} questions wait", load.waiting))
        } else if under(profile.slow) {
            (profile.up, answered())
        } else if load.waiting > profile.queue {
            (profile.up, format!("{} questions wait", load.waiting))
        } else {
            return None;
        };
        Some(self.to(raised(load.limit, factor).min(ceiling).min(throttle), reason))
    }
}

/// So much of it, and at least one less.
fn lowered(limit: u32, to: f64) -> u32 {
    ((f64::from(limit) * to) as u32).min(limit.saturating_sub(1))
}

/// So many times of it, and at least one more.
fn raised(limit: u32, by: f64) -> u32 {
    ((f64::from(limit) * by) as u32).max(limit.saturating_add(1))
}

#[cfg(test)]
mod tests;
