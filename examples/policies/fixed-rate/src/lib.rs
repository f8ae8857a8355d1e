//! Fixed rate: thirty questions a minute, one every two seconds, however many may be in flight.

use convoke_policy::{Admit, AdmitFacts, Policy};

/// From one question to the next, in milliseconds.
const EVERY_MS: u64 = 2_000;

/// One question every [`EVERY_MS`].
struct FixedRate;

impl Policy for FixedRate {
    fn admit(&self, facts: &AdmitFacts) -> Admit {
        // What the built-in policy holds back is held back.
        if facts.built_in != Admit::Now {
            return facts.built_in.clone();
        }
        match facts.since_last_ms {
            Some(since) if since < EVERY_MS => {
                Admit::Later { wait_ms: EVERY_MS - since, reason: "30 a minute".to_owned() }
            }
            _ => Admit::Now,
        }
    }
}

convoke_policy::export!(FixedRate);

#[cfg(test)]
mod tests {
    use super::*;

    fn after(since_last_ms: Option<u64>, built_in: Admit) -> Admit {
        FixedRate.admit(&AdmitFacts { since_last_ms, built_in, ..AdmitFacts::default() })
    }

    #[test]
    fn the_first_goes_at_once_and_the_next_two_seconds_later() {
        assert_eq!(after(None, Admit::Now), Admit::Now);
        assert_eq!(after(Some(2_000), Admit::Now), Admit::Now);
        assert!(matches!(after(Some(500), Admit::Now), Admit::Later { wait_ms: 1_500, .. }));
        assert!(matches!(after(Some(0), Admit::Now), Admit::Later { wait_ms: 2_000, .. }));
    }

    #[test]
    fn what_is_held_back_anyway_stays_so() {
        let never = Admit::Never { reason: "no".to_owned() };
        assert_eq!(after(None, never.clone()), never);
    }
}
