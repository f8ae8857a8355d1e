//! Error budget: one attempt in fifty may fail. The more of that is used up, the less is in flight; when all of it is,
//! nothing is tried again until things go better.

use convoke_policy::{Adapt, AdaptFacts, Load, Policy, Recover, RecoverFacts};

/// The share of attempts that may fail.
const BUDGET: f64 = 0.02;

/// With fewer attempts in the last minute, one failure says nothing yet.
const ENOUGH: u64 = 20;

/// Careful while failures use up a budget.
struct ErrorBudget;

/// The share of the budget that is used up: 0.0 or more; over 1.0 it is overdrawn.
fn used(load: &Load) -> f64 {
    if load.ended < ENOUGH { 0.0 } else { load.error_rate / BUDGET }
}

impl Policy for ErrorBudget {
    fn adapt(&self, facts: &AdaptFacts) -> Adapt {
        let built_in = facts.built_in.clone();
        let used = used(&facts.load);
        let (share, reason) = match used {
            1.0.. => (4, "the error budget is used up"),
            0.5.. => (2, "half of the error budget is used up"),
            _ => return built_in,
        };
        let limit = (facts.most / share).max(facts.least).max(1).min(built_in.limit);
        Adapt { limit, safe: built_in.safe || used >= 1.0, slow_start: false, reason: reason.to_owned(), ..built_in }
    }

    fn recover(&self, facts: &RecoverFacts) -> Recover {
        match &facts.built_in {
            Recover::Retry { .. } if used(&facts.load) >= 1.0 => {
                Recover::GiveUp { reason: "the error budget is used up".to_owned() }
            }
            built_in => built_in.clone(),
        }
    }
}

convoke_policy::export!(ErrorBudget);

#[cfg(test)]
mod tests {
    use super::*;

    fn load(error_rate: f64, ended: u64) -> Load {
        Load { error_rate, ended, ..Load::default() }
    }

    fn limit(load: Load) -> (u32, bool) {
        let built_in = Adapt { limit: 8, slow_start: true, ..Adapt::default() };
        let adapt = ErrorBudget.adapt(&AdaptFacts { least: 1, most: 8, load, built_in, ..AdaptFacts::default() });
        (adapt.limit, adapt.safe)
    }

    #[test]
    fn the_limit_goes_down_as_the_budget_is_used_up() {
        assert_eq!(limit(load(0.009, 100)), (8, false));
        assert_eq!(limit(load(0.01, 100)), (4, false));
        assert_eq!(limit(load(0.02, 100)), (2, true));
        assert_eq!(limit(load(0.5, 19)), (8, false), "a few attempts say nothing");
    }

    #[test]
    fn it_never_raises_what_the_built_in_policy_gives() {
        let built_in = Adapt { limit: 1, ..Adapt::default() };
        let facts = AdaptFacts { least: 1, most: 100, load: load(0.01, 100), built_in, ..AdaptFacts::default() };
        assert_eq!(ErrorBudget.adapt(&facts).limit, 1);
    }

    #[test]
    fn an_overdrawn_budget_ends_retries_and_nothing_else() {
        let recover = |built_in: Recover, error_rate| {
            ErrorBudget.recover(&RecoverFacts { load: load(error_rate, 100), built_in, ..RecoverFacts::default() })
        };
        let retry = Recover::Retry { wait_ms: 500 };
        assert_eq!(recover(retry.clone(), 0.019), retry);
        assert!(matches!(recover(retry, 0.02), Recover::GiveUp { .. }));
        let next = Recover::NextModel { reason: String::new() };
        assert_eq!(recover(next.clone(), 1.0), next);
    }
}
