//! What happens after a failure, as far as no policy can change it. The one owner of retries: backends don't try again.
//!
//! A policy decides ([`recover`](crate::policy::builtin::recover)), and this carries it out within its bounds: a server is
//! never asked earlier than it said, what may be done once is not done twice, a terminal failure stops dispatch, and
//! retries come from a budget that the whole process shares. Answers fill it, so that a backend that fails gets few of
//! them: retries can't multiply the load.

use std::time::Duration;

use convoke_policy::Recover;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::policy::builtin::RecoverProfile;
use crate::question::{Failure, FailureKind};

/// The numbers of retrying.
pub type RetryConfig = RecoverProfile;

/// No policy can have one question sent more often to one model.
pub const MOST_ATTEMPTS: u32 = 20;

/// A failure that is to be recovered from.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// What went wrong.
    pub failure: &'a Failure,
    /// How often this model has failed for this question, counted from 1.
    pub failures: u32,
    /// Whether the question may be asked twice.
    pub repeatable: bool,
    /// Whether another model is left to be asked.
    pub has_next: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Ask again after this time.
    Retry(Duration),
    /// Ask the next model. In words, why no longer this one, where that says more than the failure itself; may be empty.
    Next(String),
    /// This question is lost; why it is not asked again, where that says more than the failure itself; may be empty.
    GiveUp(String),
    /// Nothing will succeed, or nothing should: stop dispatch; why, where the failure does not say it.
    Stop(String),
}

/// The retry budget and the jitter.
#[derive(Debug)]
pub struct Retry {
    left: u32,
    random: SmallRng,
}

impl Retry {
    /// With what the budget holds at first. The seed makes the jitter.
    pub fn new(profile: &RecoverProfile, seed: u64) -> Self {
        Self { left: profile.reserve.min(profile.budget), random: SmallRng::seed_from_u64(seed) }
    }

    /// A number for the jitter of one decision, 0.0 to 1.0.
    pub fn random(&mut self) -> f64 {
        self.random.random::<f64>()
    }

    /// How many retries the budget has left.
    pub fn retries_left(&self, profile: &RecoverProfile) -> u32 {
        self.left / profile.retry_cost.max(1)
    }

    /// Carries out what was decided, as far as that may be.
    pub fn carry_out(&mut self, profile: &RecoverProfile, decided: &Recover, failed: &Failed<'_>) -> Then {
        let Failed { failure, failures, repeatable, has_next } = *failed;
        if failure.kind.is_terminal() {
            return Then::Stop(String::new());
        }
        let may_be_asked = repeatable || !failure.reached_model;
        match decided {
            Recover::Stop { reason } => Then::Stop(reason.clone()),
            Recover::GiveUp { reason } => Then::GiveUp(reason.clone()),
            Recover::NextModel { reason } if has_next && may_be_asked => {
                self.charge(profile);
                Then::Next(reason.clone())
            }
            Recover::NextModel { reason } => Then::GiveUp(reason.clone()),
            Recover::Retry { .. } if !may_be_asked => {
                Then::GiveUp("it may have been answered, and may not be asked twice".to_owned())
            }
            Recover::Retry { .. } if failures >= MOST_ATTEMPTS => Then::GiveUp(format!("asked {failures} times")),
            Recover::Retry { wait_ms } => {
                if self.withdraw(profile, &failure.kind) {
                    return Then::Retry(Duration::from_millis(*wait_ms).max(failure.retry_after.unwrap_or_default()));
                }
                let why = "the retry budget is spent".to_owned();
                if has_next { Then::Next(why) } else { Then::GiveUp(why) }
            }
        }
    }

    /// An answer came.
    pub fn succeeded(&mut self, profile: &RecoverProfile) {
        self.left = self.left.saturating_add(profile.gain).min(profile.budget);
    }

    /// A question is sent more often than it was asked, though not by a retry: to another model, or in a second round. It
    /// leaves less for retries, and is not refused where there is none.
    pub fn charge(&mut self, profile: &RecoverProfile) {
        self.left = self.left.saturating_sub(profile.retry_cost);
    }

    fn withdraw(&mut self, profile: &RecoverProfile, kind: &FailureKind) -> bool {
        let cost = match kind {
            FailureKind::TimedOut | FailureKind::Stalled => profile.timeout_cost,
            _ => profile.retry_cost,
        };
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: fn() -> RecoverProfile = RecoverProfile::default;

    fn retry() -> Retry {
        Retry::new(&PROFILE(), 7)
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "no")
    }

    /// What becomes of a wish to ask again after so many milliseconds.
    fn again(retry: &mut Retry, failure: &Failure, wait_ms: u64) -> Then {
        let failed = Failed { failure, failures: 1, repeatable: true, has_next: false };
        retry.carry_out(&PROFILE(), &Recover::Retry { wait_ms }, &failed)
    }

    #[test]
    fn a_server_that_says_171_seconds_gets_at_least_171_seconds_whatever_was_decided() {
        let said = Failure { retry_after: Some(Duration::from_secs(171)), ..failure(FailureKind::RateLimited) };
        assert_eq!(again(&mut retry(), &said, 0), Then::Retry(Duration::from_secs(171)));
        assert_eq!(again(&mut retry(), &said, 171_400), Then::Retry(Duration::from_millis(171_400)));
    }

    #[test]
    fn a_terminal_failure_stops_whatever_was_decided() {
        for kind in [FailureKind::Auth, FailureKind::LimitReached { until: None }, FailureKind::BudgetSpent] {
            assert_eq!(again(&mut retry(), &failure(kind), 5), Then::Stop(String::new()));
        }
    }

    #[test]
    fn what_may_have_been_answered_is_not_asked_twice_whatever_was_decided() {
        let reached = Failure { reached_model: true, ..failure(FailureKind::Cut) };
        for decided in [Recover::Retry { wait_ms: 5 }, Recover::NextModel { reason: String::new() }] {
            let failed = Failed { failure: &reached, failures: 1, repeatable: false, has_next: true };
            let then = retry().carry_out(&PROFILE(), &decided, &failed);
            assert!(matches!(then, Then::GiveUp(_)), "{then:?}");
        }
    }

    #[test]
    fn no_policy_asks_one_question_for_ever() {
        let failure = failure(FailureKind::Server);
        let failed = Failed { failure: &failure, failures: MOST_ATTEMPTS, repeatable: true, has_next: false };
        let then = retry().carry_out(&PROFILE(), &Recover::Retry { wait_ms: 0 }, &failed);
        assert_eq!(then, Then::GiveUp("asked 20 times".to_owned()));
    }

    #[test]
    fn the_next_model_is_asked_where_one_is_left() {
        let failure = failure(FailureKind::Server);
        let next = |has_next| {
            let failed = Failed { failure: &failure, failures: 1, repeatable: true, has_next };
            retry().carry_out(&PROFILE(), &Recover::NextModel { reason: "busy".to_owned() }, &failed)
        };
        assert_eq!((next(true), next(false)), (Then::Next("busy".to_owned()), Then::GiveUp("busy".to_owned())));
        let mut retry = retry();
        (0..7).for_each(|_| retry.charge(&PROFILE()));
        assert_eq!(retry.retries_left(&PROFILE()), 3, "it leaves less for retries");
    }

    #[test]
    fn ten_retries_without_an_answer_then_one_for_five_answers_and_never_more_than_a_hundred() {
        let (mut retry, server) = (retry(), failure(FailureKind::Server));
        for _ in 0..10 {
            assert!(matches!(again(&mut retry, &server, 0), Then::Retry(_)));
        }
        assert_eq!(again(&mut retry, &server, 0), Then::GiveUp("the retry budget is spent".to_owned()));
        for _ in 0..5 {
            retry.succeeded(&PROFILE());
        }
        assert_eq!(retry.retries_left(&PROFILE()), 1);
        assert!(matches!(again(&mut retry, &server, 0), Then::Retry(_)));
        for _ in 0..10_000 {
            retry.succeeded(&PROFILE());
        }
        assert_eq!(retry.retries_left(&PROFILE()), 100);
        again(&mut retry, &failure(FailureKind::TimedOut), 0);
        assert_eq!(retry.retries_left(&PROFILE()), 98, "a timeout costs more");
    }

    #[test]
    fn the_same_seed_gives_the_same_jitter() {
        let jitter = |seed| {
            let mut retry = Retry::new(&PROFILE(), seed);
            (0..10).map(|_| retry.random().to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(jitter(1), jitter(1));
        assert_ne!(jitter(1), jitter(2));
    }
}
