//! When the limit of an account is looked at again, on what it is decided, and how a decision is carried out.

use std::time::Duration;

use convoke_policy::{Adapt, AdaptCause, AdaptFacts, Load, Mode};
use tokio::time::Instant;

use super::window::{Seen, Window};
use crate::gate::later;

/// Time between two looks at an account at which nothing else happens.
const TICK: Duration = Duration::from_secs(5);

/// The numbers of an adaptive limit.
#[derive(Clone, Copy, Debug)]
pub struct LimiterConfig {
    /// The user's mode, for the facts.
    pub mode: Mode,
    /// The lowest limit there can be; 0 counts as 1.
    pub least: usize,
    /// The limit to begin with, where the ceiling is not lower.
    pub start: usize,
    /// Whether the user named the ceiling, and the mode did not.
    pub explicit: bool,
}

/// It begins at its ceiling: who knows a mode sets its start.
impl Default for LimiterConfig {
    fn default() -> Self {
        Self { mode: Mode::default(), least: 1, start: usize::MAX, explicit: false }
    }
}

/// What a decision changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The limit before and now, if it is another.
    pub limit: Option<(usize, usize)>,
    /// Whether it is treated as in safe mode now, if that is new.
    pub safe: Option<bool>,
}

impl Changed {
    /// Whether anything is other than before.
    pub fn is_any(&self) -> bool {
        self.limit.is_some() || self.safe.is_some()
    }
}

/// The state of one account's limit, but for the permits.
#[derive(Debug)]
pub(super) struct Adapting {
    config: LimiterConfig,
    window: Window,
    slow_start: bool,
    safe: bool,
    /// The most in flight since the last change.
    peak: usize,
    /// Answers since the last change, or since the last one that was rate limited.
    clean: usize,
    changed: Option<Instant>,
    cut: Option<Instant>,
    cut_wait: Duration,
    rate_limited: Option<Instant>,
    /// The one before, for the facts about the last.
    rate_limited_before: Option<Instant>,
    server_error: Option<Instant>,
    asked: Instant,
    /// What happened and was not decided on yet.
    cause: Option<AdaptCause>,
    retry_after: Option<Duration>,
}

impl Adapting {
    pub(super) fn new(config: LimiterConfig, is_highest: bool, now: Instant) -> Self {
        Self {
            config: LimiterConfig { least: config.least.max(1), ..config },
            window: Window::new(now),
            slow_start: !is_highest,
            safe: false,
            peak: 0,
            clean: 0,
            changed: None,
            cut: None,
            cut_wait: Duration::ZERO,
            rate_limited: None,
            rate_limited_before: None,
            server_error: None,
            asked: now,
            cause: None,
            retry_after: None,
        }
    }

    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.config.mode = mode;
    }

    /// The user has named the ceiling.
    pub(super) fn ceiling_is_named(&mut self) {
        self.config.explicit = true;
    }

    pub(super) fn is_safe(&self) -> bool {
        self.safe
    }

    pub(super) fn came(&mut self, now: Instant) {
        self.window.came(now);
    }

    pub(super) fn took(&mut self, in_flight: usize) {
        self.peak = self.peak.max(in_flight);
    }

    /// An attempt ended. `can_grow`: whether the limit is below its ceiling.
    pub(super) fn ended(&mut self, ended: &Ended, limit: usize, can_grow: bool, now: Instant) {
        self.window.ended(now, ended.seen, ended.took, ended.first_token);
        let cause = match ended.seen {
            Seen::Answered => {
                self.clean += 1;
                let is_round = can_grow && self.clean >= limit;
                if is_round {
                    self.clean = 0;
                }
                is_round.then_some(AdaptCause::CleanRound)
            }
            Seen::RateLimited => {
                self.clean = 0;
                self.rate_limited_before = self.rate_limited.replace(now);
                self.retry_after = self.retry_after.max(ended.retry_after);
                self.cut_wait = self.cut_wait.max(ended.retry_after.unwrap_or_default());
                Some(AdaptCause::RateLimited)
            }
            Seen::Failed => {
                self.server_error = Some(now);
                Some(AdaptCause::ServerError)
            }
            Seen::TimedOut => Some(AdaptCause::Timeout),
            Seen::Neutral => None,
        };
        // What is worst is decided on first, and once.
        self.cause = self.cause.into_iter().chain(cause).max_by_key(|cause| weight(*cause));
    }

    /// What it is to be decided on, if it is time.
    pub(super) fn due(&mut self, limit: usize, most: usize, in_flight: usize, now: Instant) -> Option<AdaptFacts> {
        let tick = || (now.saturating_duration_since(self.asked) >= TICK).then_some(AdaptCause::Tick);
        let cause = self.cause.or_else(tick)?;
        self.cause = None;
        if cause == AdaptCause::Tick {
            self.asked = now;
        }
        let rate_limited = match cause {
            AdaptCause::RateLimited => self.rate_limited_before,
            _ => self.rate_limited,
        };
        let load = self.load(limit, in_flight, now);
        let demand = self.window.counts(now).came as f64 / self.window.length(now);
        Some(AdaptFacts {
            mode: self.config.mode,
            cause,
            least: small(self.config.least.min(most)),
            most: small(most),
            explicit: self.config.explicit,
            slow_start: self.slow_start,
            used: self.peak.max(in_flight) as f64 / limit.max(1) as f64,
            since_change_ms: since(self.changed, now),
            since_cut_ms: since(self.cut, now),
            cut_wait_ms: millis(self.cut_wait),
            since_rate_limited_ms: since(rate_limited, now),
            since_server_error_ms: since(self.server_error, now),
            retry_after_ms: self.retry_after.take().map(millis),
            demand,
            safe: self.safe,
            load,
            ..AdaptFacts::default()
        })
    }

    /// Carries out what concerns this part. `from` and `to`: the limit before and now.
    pub(super) fn apply(&mut self, decided: &Adapt, from: usize, to: usize, in_flight: usize, now: Instant) -> Changed {
        self.slow_start = decided.slow_start;
        let safe = (self.safe != decided.safe).then_some(decided.safe);
        self.safe = decided.safe;
        if from != to {
            self.changed = Some(now);
            (self.peak, self.clean) = (in_flight, 0);
        }
        if to < from {
            self.cut = Some(now);
            self.cut_wait = Duration::from_millis(decided.pause_ms);
        }
        Changed { limit: (from != to).then_some((from, to)), safe }
    }

    /// How the last minute was. What waits, the breaker and the machine are others' to say.
    pub(super) fn load(&mut self, limit: usize, in_flight: usize, now: Instant) -> Load {
        let counts = self.window.counts(now);
        let (latency_ms, first_token_ms) = self.window.middles(now);
        Load {
            in_flight: small(in_flight),
            limit: small(limit),
            error_rate: counts.error_rate(),
            ended: counts.ended,
            timeouts: counts.timeouts,
            rate_limited: counts.rate_limited,
            first_token_ms,
            latency_ms,
            throughput: counts.answered as f64 / self.window.length(now),
            ..Load::default()
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// With what.
    pub seen: Seen,
    /// From being sent to its end.
    pub took: Duration,
    /// From being sent to the first sign of an answer.
    pub first_token: Option<Duration>,
    /// How long the server said to wait.
    pub retry_after: Option<Duration>,
}

fn weight(cause: AdaptCause) -> u8 {
    match cause {
        AdaptCause::Tick => 0,
        AdaptCause::CleanRound => 1,
        AdaptCause::ServerError => 2,
        AdaptCause::Timeout => 3,
        AdaptCause::RateLimited => 4,
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn since(then: Option<Instant>, now: Instant) -> Option<u64> {
    then.map(|then| millis(now.saturating_duration_since(then)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// When a pause of a decision is over.
pub(super) fn pause_end(decided: &Adapt, now: Instant) -> Option<Instant> {
    (decided.pause_ms > 0).then(|| later(now, Duration::from_millis(decided.pause_ms)))
}
