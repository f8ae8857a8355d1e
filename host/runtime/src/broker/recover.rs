//! What is done after a failed attempt: the facts, the decision, and what is told of it.

use jiff::Zoned;

use super::attempt::Tries;
use super::*;
use crate::policy::builtin::{RecoverProfile, recover};
use crate::policy::{BreakerState, Decision, Facts, Load, Now, Recover, RecoverFacts, Spending as Spent, Tier};
use crate::retry::{Failed, Then};

impl Broker {
    /// What is done after a failure. The decision is to be told when nothing is held any more.
    pub(super) fn recover(
        &self,
        life: &Life<'_>,
        lane: &Lane,
        model: &str,
        failure: &Failure,
        tries: &Tries,
    ) -> (Then, Fact) {
        let in_force = self.lanes.policy().in_force();
        let profile = in_force.profile.recover;
        let mut facts = self.recover_facts(life, lane, model, failure, tries, &profile);
        facts.built_in = recover(&profile, &facts);
        let decided = self.lanes.policy().decide(&in_force, &Facts::Recover(facts));
        let reason = decided.decision.reason().to_owned();
        let recover = match decided.decision {
            Decision::Recover(recover) => recover,
            // The slot answers in kind.
            _ => Recover::default(),
        };
        let failed = Failed {
            failure,
            failures: tries.failures,
            repeatable: life.question.repeatable,
            has_next: !tries.is_last,
        };
        let then = self.lanes.retry().carry_out(&profile, &recover, &failed);
        let fact = Fact::Decided {
            question: Some(life.id),
            kind: "recover",
            policy: decided.by.to_string(),
            generation: decided.generation,
            decision: in_words(&recover),
            reason,
        };
        (then, fact)
    }

    fn recover_facts(
        &self,
        life: &Life<'_>,
        lane: &Lane,
        model: &str,
        failure: &Failure,
        tries: &Tries,
        profile: &RecoverProfile,
    ) -> RecoverFacts {
        let (random, retries_left) = {
            let mut retry = self.lanes.retry();
            (retry.random(), retry.retries_left(profile))
        };
        RecoverFacts {
            now: now(),
            mode: self.config.mode,
            command: life.asker.command.to_string(),
            role: life.question.role.clone(),
            tier: match tries.tier {
                crate::question::Tier::Auto => Tier::Auto,
                crate::question::Tier::Speed => Tier::Speed,
                crate::question::Tier::Comprehensive => Tier::Comprehensive,
            },
            model: model.to_owned(),
            failure: failure.kind.name().to_owned(),
            message: failure.message.chars().take(LONGEST_MESSAGE).collect(),
            failures: tries.failures,
            transient: failure.kind.is_transient(),
            terminal: failure.kind.is_terminal(),
            repeatable: life.question.repeatable,
            reached_model: failure.reached_model,
            retry_after_ms: failure.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            has_next: !tries.is_last,
            again: life.asker.again,
            retries_left,
            random,
            load: load(lane),
            spending: self.spent_so_far(),
            built_in: Recover::default(),
        }
    }

    fn spent_so_far(&self) -> Spent {
        let spending = self.spending();
        let requests = u64::from(spending.usage.requests);
        Spent { usd: (spending.usage.usd + spending.uncertain).dollars(), usd_left: None, requests }
    }
}

/// The longest words of a failure that a policy is given, in characters.
const LONGEST_MESSAGE: usize = 1_000;

fn in_words(recover: &Recover) -> String {
    match recover {
        Recover::Retry { wait_ms } => format!("retry in {wait_ms} ms"),
        Recover::NextModel { .. } => "next model".to_owned(),
        Recover::GiveUp { .. } => "give up".to_owned(),
        Recover::Stop { .. } => "stop".to_owned(),
    }
}

fn load(lane: &Lane) -> Load {
    let standing = lane.admission.standing();
    Load {
        in_flight: u32::try_from(standing.in_flight).unwrap_or(u32::MAX),
        waiting: standing.waiting as u64,
        breaker: match standing.breaker {
            "open" => BreakerState::Open,
            "half-open" => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        },
        ..Load::default()
    }
}

fn now() -> Now {
    let now = Zoned::now();
    let number = |number: i8| u8::try_from(number).unwrap_or_default();
    let unix_ms = u64::try_from(now.timestamp().as_millisecond()).unwrap_or_default();
    Now::new(unix_ms, number(now.hour()), number(now.minute()), number(now.weekday().to_monday_one_offset()))
}
