//! What is done after a failure.

use convoke_policy::{LONGEST_WAIT_MS, Recover, RecoverFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Wrong, not_above, within};

/// The most attempts that can be set.
const MOST_ATTEMPTS: u32 = 20;

/// The largest retry budget that can be set, and what can be taken from it or given to it at once.
const MOST_BUDGET: u32 = 1_000_000;

/// The numbers of what is done after failures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecoverProfile {
    /// How often a question is sent to one model in all, the first time included. Default: 4.
    pub attempts: u32,
    /// The same for a model that has too much to do, where another one is left to be asked. Default: 2.
    pub overloaded_attempts: u32,
    /// The same for an item that is done again at the end of the run: it has had its attempts. Default: 1.
    pub attempts_again: u32,
    /// The upper end of the first wait, in milliseconds; it doubles with each attempt. Default: 500.
    pub base_ms: u64,
    /// The highest upper end, in milliseconds. Default: 32,000.
    pub cap_ms: u64,
    /// What a server may demand at most, in milliseconds. Beyond it the account is treated as having reached a limit: the
    /// run parks instead of sitting there. Default: an hour.
    pub longest_wait_ms: u64,
    /// The most that the retry budget of the process can hold. Default: 500, those of smithy-rs.
    pub budget: u32,
    /// What it holds at first: enough for ten retries of a run that has only begun. Default: 50.
    pub reserve: u32,
    /// What a retry takes from it. With a gain of 1 an answer, a fifth more is sent than was asked, at most: Finagle's
    /// 20 %. Default: 5.
    pub retry_cost: u32,
    /// What a retry after no answer in time takes from it. Default: 10.
    pub timeout_cost: u32,
    /// What an answer gives to it. Default: 1.
    pub gain: u32,
    /// When a slow question is asked a second time.
    pub hedge: HedgeProfile,
    /// What becomes of items that have failed, when the others are done.
    pub partial: PartialProfile,
}

/// The numbers of asking a slow question a second time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HedgeProfile {
    /// The share of questions that may be asked a second time, 0 to 1. Only used in the mode `performance`. Default:
    /// 0.05.
    pub share: f64,
    /// It is slow when it takes longer than this share of the run's answers of its model took, 0 to 1. Default: 0.95.
    pub slower_than: f64,
    /// So many answers of a model must have come before. Default: 20.
    pub answers: u32,
}

/// The numbers of partial failure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PartialProfile {
    /// Where less than this share of the items that were tried has failed, only those are done again, one by one; else
    /// all the rest is done one by one. 0 to 1. Default: 0.30.
    pub items: f64,
    /// Where more than this share of the workers has died, the rest is done one by one. 0 to 1. Default: 0.50.
    pub workers: f64,
    /// How often an item is tried in all, where its failures pass by themselves. Default: 3.
    pub tries: u32,
}

impl Default for RecoverProfile {
    fn default() -> Self {
        Self {
            attempts: 4,
            overloaded_attempts: 2,
            attempts_again: 1,
            base_ms: 500,
            cap_ms: 32_000,
            longest_wait_ms: 3_600_000,
            budget: 500,
            reserve: 50,
            retry_cost: 5,
            timeout_cost: 10,
            gain: 1,
            hedge: HedgeProfile::default(),
            partial: PartialProfile::default(),
        }
    }
}

impl Default for HedgeProfile {
    fn default() -> Self {
        Self { share: 0.05, slower_than: 0.95, answers: 20 }
    }
}

impl Default for PartialProfile {
    fn default() -> Self {
        Self { items: 0.30, workers: 0.50, tries: 3 }
    }
}

impl RecoverProfile {
    /// Whether the numbers make sense, each and together.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        for (key, value) in [
            ("recover.attempts", self.attempts),
            ("recover.overloaded_attempts", self.overloaded_attempts),
            ("recover.attempts_again", self.attempts_again),
            ("recover.partial.tries", self.partial.tries),
        ] {
            within(key, Some(value), 1, MOST_ATTEMPTS)?;
        }
        let longest = LONGEST_WAIT_MS;
        for (key, value) in [
            ("recover.base_ms", self.base_ms),
            ("recover.cap_ms", self.cap_ms),
            ("recover.longest_wait_ms", self.longest_wait_ms),
        ] {
            within(key, Some(value), 1, longest)?;
        }
        not_above("recover.base_ms", self.base_ms, "cap_ms", self.cap_ms)?;
        within("recover.budget", Some(self.budget), 0, MOST_BUDGET)?;
        within("recover.retry_cost", Some(self.retry_cost), 1, MOST_BUDGET)?;
        within("recover.timeout_cost", Some(self.timeout_cost), 1, MOST_BUDGET)?;
        within("recover.gain", Some(self.gain), 0, MOST_BUDGET)?;
        not_above("recover.reserve", self.reserve, "budget", self.budget)?;
        for (key, value) in [
            ("recover.hedge.share", self.hedge.share),
            ("recover.hedge.slower_than", self.hedge.slower_than),
            ("recover.partial.items", self.partial.items),
            ("recover.partial.workers", self.partial.workers),
        ] {
            within(key, Some(value), 0.0, 1.0)?;
        }
        within("recover.hedge.answers", Some(self.hedge.answers), 1, 1_000_000)
    }
}

/// What is done after a failure.
///
/// A question is asked again when its failure passes, when that can't cost twice what may only be done once, when it has
/// attempts left, and when the process's retry budget has. The wait grows exponentially with full jitter and is added to
/// what the server said, which is never cut. Then the next model is asked, if one is left.
pub fn recover(profile: &RecoverProfile, facts: &RecoverFacts) -> Recover {
    if facts.terminal {
        return Recover::Stop { reason: String::new() };
    }
    if facts.retry_after_ms.is_some_and(|wait| wait > profile.longest_wait_ms) {
        return Recover::Stop { reason: "the server wants to be left alone for too long".to_owned() };
    }
    if !facts.transient {
        return Recover::default();
    }
    if facts.reached_model && !facts.repeatable {
        return Recover::GiveUp { reason: "it may have been answered, and may not be asked twice".to_owned() };
    }
    let is_overloaded = facts.failure == "overloaded" && facts.has_next;
    let attempts = match (facts.again, is_overloaded) {
        (true, _) => profile.attempts_again,
        (false, true) => profile.overloaded_attempts,
        (false, false) => profile.attempts,
    };
    let why = if facts.failures >= attempts {
        let is_told = facts.failures > 1 && !is_overloaded;
        if is_told { format!("asked {} times", facts.failures) } else { String::new() }
    } else if facts.retries_left == 0 {
        "the retry budget is spent".to_owned()
    } else {
        let wait_ms = facts.retry_after_ms.unwrap_or_default().saturating_add(back_off_ms(profile, facts));
        return Recover::Retry { wait_ms };
    };
    if facts.has_next { Recover::NextModel { reason: why } } else { Recover::GiveUp { reason: why } }
}

/// Anything from nothing to the upper end, which doubles with each failure. An instance that has died says nothing of the
/// provider: the first time the question goes to another one at once.
fn back_off_ms(profile: &RecoverProfile, facts: &RecoverFacts) -> u64 {
    if facts.failures <= 1 && facts.failure == "died" {
        return 0;
    }
    let doubled = 2u64.saturating_pow(facts.failures.saturating_sub(1));
    let upper = profile.base_ms.saturating_mul(doubled).min(profile.cap_ms);
    (upper as f64 * facts.random.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(failures: u32) -> RecoverFacts {
        RecoverFacts {
            failure: "server".to_owned(),
            failures,
            transient: true,
            repeatable: true,
            retries_left: 10,
            random: 0.5,
            ..RecoverFacts::default()
        }
    }

    fn decide(facts: &RecoverFacts) -> Recover {
        recover(&RecoverProfile::default(), facts)
    }

    fn give_up(reason: &str) -> Recover {
        Recover::GiveUp { reason: reason.to_owned() }
    }

    #[test]
    fn three_retries_after_the_first_attempt_and_no_more() {
        for failures in 1..=3 {
            assert!(matches!(decide(&facts(failures)), Recover::Retry { .. }));
        }
        assert_eq!(decide(&facts(4)), give_up("asked 4 times"));
    }

    #[test]
    fn the_wait_doubles_its_upper_end_up_to_the_cap_with_full_jitter() {
        let profile = RecoverProfile { attempts: 100, ..RecoverProfile::default() };
        for (failures, upper) in [(1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 32_000), (90, 32_000)] {
            for (random, wait_ms) in [(0.0, 0), (0.5, upper / 2), (1.0, upper)] {
                let decided = recover(&profile, &RecoverFacts { random, ..facts(failures) });
                assert_eq!(decided, Recover::Retry { wait_ms }, "{failures} {random}");
            }
        }
    }

    #[test]
    fn the_question_of_an_instance_that_died_goes_to_another_at_once_and_after_that_it_waits() {
        let died = |failures| RecoverFacts { failure: "died".to_owned(), random: 1.0, ..facts(failures) };
        assert_eq!(decide(&died(1)), Recover::Retry { wait_ms: 0 });
        assert_eq!(decide(&died(2)), Recover::Retry { wait_ms: 1_000 });
    }

    #[test]
    fn what_the_server_said_is_waited_for_and_the_jitter_comes_on_top() {
        for said in [0, 171_000, 3_600_000] {
            let decided = decide(&RecoverFacts { retry_after_ms: Some(said), ..facts(1) });
            assert_eq!(decided, Recover::Retry { wait_ms: said + 250 });
        }
        let decided = decide(&RecoverFacts { retry_after_ms: Some(3_600_001), ..facts(1) });
        assert!(matches!(decided, Recover::Stop { .. }), "more than an hour stops dispatch");
        let decided = decide(&RecoverFacts { retry_after_ms: Some(u64::MAX), ..facts(1) });
        assert!(matches!(decided, Recover::Stop { .. }));
    }

    #[test]
    fn terminal_ones_stop_and_those_that_stay_are_given_up() {
        let stopped = decide(&RecoverFacts { terminal: true, ..facts(1) });
        assert!(matches!(stopped, Recover::Stop { .. }));
        assert_eq!(decide(&RecoverFacts { transient: false, has_next: true, ..facts(1) }), give_up(""));
    }

    #[test]
    fn what_may_be_asked_once_is_asked_again_only_if_it_never_reached_the_model() {
        let once = RecoverFacts { repeatable: false, ..facts(1) };
        assert!(matches!(decide(&once), Recover::Retry { .. }));
        let reached = RecoverFacts { reached_model: true, has_next: true, ..once };
        assert_eq!(decide(&reached), give_up("it may have been answered, and may not be asked twice"));
    }

    #[test]
    fn an_overloaded_model_is_asked_twice_where_another_is_left_and_else_four_times() {
        let overloaded = |failures| RecoverFacts { failure: "overloaded".to_owned(), ..facts(failures) };
        assert!(matches!(decide(&overloaded(3)), Recover::Retry { .. }));
        let next = Recover::NextModel { reason: String::new() };
        assert!(matches!(decide(&RecoverFacts { has_next: true, ..overloaded(1) }), Recover::Retry { .. }));
        assert_eq!(decide(&RecoverFacts { has_next: true, ..overloaded(2) }), next);
    }

    #[test]
    fn without_retries_left_the_next_model_is_asked_or_it_is_given_up() {
        let spent = RecoverFacts { retries_left: 0, ..facts(1) };
        assert_eq!(decide(&spent), give_up("the retry budget is spent"));
        let decided = decide(&RecoverFacts { has_next: true, ..spent });
        assert_eq!(decided, Recover::NextModel { reason: "the retry budget is spent".to_owned() });
    }

    #[test]
    fn what_is_done_again_at_the_end_is_asked_once() {
        assert_eq!(decide(&RecoverFacts { again: true, ..facts(1) }), give_up(""));
    }
}
