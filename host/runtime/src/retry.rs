//! What happens after a failure. The one owner of retries: backends don't try again.
//!
//! A question is asked again when its failure may pass, when that can't cost twice what may only be done once, when it
//! has attempts left, and when the process's retry budget has. The wait grows exponentially with full jitter and is
//! added to what the server said, which is never cut.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::question::{Failure, FailureKind};

/// The numbers of retrying.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    /// How often a question is sent in all, the first time included.
    pub attempts: u32,
    /// The upper end of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// The highest upper end.
    pub cap: Duration,
    /// What the server may demand at most. Beyond it the account is treated as having reached a limit: the run parks
    /// instead of sitting there.
    pub longest_wait: Duration,
    /// The retry budget of the process.
    pub budget: u32,
    /// What a retry takes from it.
    pub retry_cost: u32,
    /// What a retry after no answer in time takes from it.
    pub timeout_cost: u32,
    /// What a success gives back.
    pub success_gain: u32,
}

/// The budget's numbers are those of smithy-rs.
impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 4,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(32),
            longest_wait: Duration::from_secs(3_600),
            budget: 500,
            retry_cost: 5,
            timeout_cost: 10,
            success_gain: 1,
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ask again after this time.
    Retry(Duration),
    /// This question is lost; why it is not asked again, where that says more than the failure itself.
    GiveUp(Option<String>),
    /// Nothing will succeed: stop dispatch.
    Terminal,
}

/// The retry budget and the jitter.
#[derive(Debug)]
pub struct Retry {
    config: RetryConfig,
    left: u32,
    random: SmallRng,
}

impl Retry {
    /// A full budget. The seed makes the jitter.
    pub fn new(config: RetryConfig, seed: u64) -> Self {
        Self { config, left: config.budget, random: SmallRng::seed_from_u64(seed) }
    }

    /// Decides after the `attempt`-th failure of a question, counted from 1.
    pub fn decide(&mut self, failure: &Failure, attempt: u32, repeatable: bool) -> Decision {
        if failure.kind.is_terminal() || failure.retry_after.is_some_and(|wait| wait > self.config.longest_wait) {
            return Decision::Terminal;
        }
        if !failure.kind.is_transient() {
            return Decision::GiveUp(None);
        }
        if failure.reached_model && !repeatable {
            return Decision::GiveUp(Some("it may have been answered, and may not be asked twice".to_owned()));
        }
        if attempt >= self.config.attempts {
            return Decision::GiveUp((attempt > 1).then(|| format!("asked {attempt} times")));
        }
        let cost = match failure.kind {
            FailureKind::TimedOut | FailureKind::Stalled => self.config.timeout_cost,
            _ => self.config.retry_cost,
        };
        let Some(left) = self.left.checked_sub(cost) else {
            return Decision::GiveUp(Some("the retry budget is spent".to_owned()));
        };
        self.left = left;
        Decision::Retry(failure.retry_after.unwrap_or_default().saturating_add(self.back_off(attempt)))
    }

    /// An answer came.
    pub fn succeeded(&mut self) {
        self.left = self.left.saturating_add(self.config.success_gain).min(self.config.budget);
    }

    /// What is left of the budget.
    pub fn left(&self) -> u32 {
        self.left
    }

    fn back_off(&mut self, attempt: u32) -> Duration {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        let upper = self.config.base.saturating_mul(doubled).min(self.config.cap);
        upper.mul_f64(self.random.random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> Retry {
        Retry::new(RetryConfig::default(), 7)
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "no")
    }

    fn wait(decision: Decision) -> Duration {
        let Decision::Retry(wait) = decision else { panic!("{decision:?}") };
        wait
    }

    #[test]
    fn three_retries_after_the_first_attempt_and_no_more() {
        let mut retry = retry();
        for attempt in 1..=3 {
            wait(retry.decide(&failure(FailureKind::Server), attempt, true));
        }
        assert_eq!(
            retry.decide(&failure(FailureKind::Server), 4, true),
            Decision::GiveUp(Some("asked 4 times".to_owned()))
        );
    }

    #[test]
    fn the_wait_doubles_its_upper_end_up_to_the_cap_with_full_jitter() {
        let mut retry = Retry::new(RetryConfig { budget: u32::MAX, attempts: 100, ..RetryConfig::default() }, 7);
        for (attempt, upper) in [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 32.0), (90, 32.0)] {
            let waits: Vec<f64> = (0..1_000)
                .map(|_| wait(retry.decide(&failure(FailureKind::Overloaded), attempt, true)).as_secs_f64())
                .collect();
            let most = waits.iter().copied().fold(0.0, f64::max);
            let mean = waits.iter().sum::<f64>() / 1_000.0;
            assert!(most <= upper && most > 0.95 * upper, "{attempt}: {most}");
            assert!((mean / upper - 0.5).abs() < 0.05, "{attempt}: {mean}");
        }
    }

    #[test]
    fn a_server_that_says_171_seconds_gets_at_least_171_seconds() {
        let said = Duration::from_secs(171);
        let failure = Failure { retry_after: Some(said), ..failure(FailureKind::RateLimited) };
        let wait = wait(retry().decide(&failure, 1, true));
        assert!(wait >= said && wait <= said + Duration::from_millis(500), "{wait:?}");
    }

    #[test]
    fn a_server_that_wants_more_than_an_hour_stops_dispatch() {
        let failure = Failure { retry_after: Some(Duration::from_secs(5_400)), ..failure(FailureKind::RateLimited) };
        assert_eq!(retry().decide(&failure, 1, true), Decision::Terminal);
    }

    #[test]
    fn limits_and_rejected_keys_are_terminal_and_bad_requests_are_not_asked_again() {
        for kind in [FailureKind::Auth, FailureKind::LimitReached { until: None }] {
            assert_eq!(retry().decide(&failure(kind), 1, true), Decision::Terminal);
        }
        for kind in [FailureKind::Invalid, FailureKind::TooLarge, FailureKind::Refused, FailureKind::OffSchema] {
            assert_eq!(retry().decide(&failure(kind), 1, true), Decision::GiveUp(None));
        }
    }

    #[test]
    fn what_may_be_asked_once_is_asked_again_only_if_it_never_reached_the_model() {
        let reached = Failure { reached_model: true, ..failure(FailureKind::Cut) };
        assert!(matches!(retry().decide(&reached, 1, false), Decision::GiveUp(Some(_))));
        assert!(matches!(retry().decide(&reached, 1, true), Decision::Retry(_)));
        assert!(matches!(retry().decide(&failure(FailureKind::Network), 1, false), Decision::Retry(_)));
    }

    #[test]
    fn a_spent_budget_ends_all_retries_until_successes_refill_it() {
        let mut retry = retry();
        for _ in 0..100 {
            wait(retry.decide(&failure(FailureKind::Server), 1, true));
        }
        assert_eq!(retry.left(), 0);
        assert!(matches!(retry.decide(&failure(FailureKind::Server), 1, true), Decision::GiveUp(Some(_))));
        for _ in 0..5 {
            retry.succeeded();
        }
        wait(retry.decide(&failure(FailureKind::Server), 1, true));
        for _ in 0..1_000 {
            retry.succeeded();
        }
        assert_eq!(retry.left(), 500);
        wait(retry.decide(&failure(FailureKind::TimedOut), 1, true));
        assert_eq!(retry.left(), 490, "a timeout costs more");
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        let waits = |seed| {
            let mut retry = Retry::new(RetryConfig::default(), seed);
            (0..10).map(|_| wait(retry.decide(&failure(FailureKind::Server), 2, true))).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
