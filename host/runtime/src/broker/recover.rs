//! What is done after a failed attempt: the facts, the decision, and what is told of it.

use super::attempt::Tries;
use super::decide::{Noted, fact, millis, name};
use super::*;
use crate::policy::builtin::{RecoverProfile, recover};
use crate::policy::{Decision, Facts, Recover, RecoverFacts};
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
    ) -> (Then, Noted) {
        let in_force = self.lanes.policy().in_force();
        let profile = in_force.profile.recover;
        let mut facts = self.recover_facts(life, lane, model, failure, tries, &profile);
        facts.built_in = recover(&profile, &facts);
        let facts = Facts::Recover(facts);
        let decided = self.lanes.policy().decide(&in_force, &facts);
        let recover = match &decided.decision {
            Decision::Recover(recover) => recover.clone(),
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
        (then, (facts, decided))
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
            now: self.config.clock.now(),
            mode: self.mode(),
            command: name(&life.asker.command),
            role: name(&life.question.role),
            tier: fact(tries.tier),
            model: name(model),
            failure: failure.kind.name().to_owned(),
            message: failure.message.chars().take(LONGEST_MESSAGE).collect(),
            failures: tries.failures,
            transient: failure.kind.is_transient(),
            terminal: failure.kind.is_terminal(),
            repeatable: life.question.repeatable,
            reached_model: failure.reached_model,
            retry_after_ms: failure.retry_after.map(millis),
            has_next: !tries.is_last,
            again: life.asker.again,
            retries_left,
            random,
            load: lane.admission.load(),
            spending: self.spending_facts(),
            built_in: Recover::default(),
        }
    }
}

/// The longest words of a failure that a policy is given, in characters.
const LONGEST_MESSAGE: usize = 1_000;
