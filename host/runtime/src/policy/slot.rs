//! The one place that a policy is swapped at.

use std::sync::{Arc, PoisonError, RwLock};

use convoke_policy::{Decision, Facts};
use tokio::sync::watch;

use super::Profile;
use crate::event::{Events, Fact};

/// A policy that is not our own: a component, or a library.
pub trait Foreign: Send + Sync {
    /// Decides. It blocks, for milliseconds at most: who implements this bounds it.
    ///
    /// # Errors
    /// It trapped, ran out of fuel or time, or answered what can't be read.
    fn decide(&self, facts: &Facts) -> Result<Decision, Fault>;
}

/// Why a foreign policy gave no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// A policy, as it is in force.
pub struct InForce {
    /// How it is called: `built-in`, or the name of its file.
    pub name: Arc<str>,
    /// Counts the policies of this process, from 1: two of the same name are told apart by it.
    pub generation: u64,
    /// The numbers of the built-in policy, which decides where there is no other and is asked first where there is one.
    pub profile: Arc<Profile>,
    foreign: Option<Box<dyn Foreign>>,
}

impl InForce {
    /// Whether it is anybody else's than our own.
    pub fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }
}

/// A decision, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// What was decided.
    pub decision: Decision,
    /// The name of the policy that decided it.
    pub by: Arc<str>,
    /// Its generation.
    pub generation: u64,
}

/// Holds the policy in force.
pub struct Slot {
    current: RwLock<Arc<InForce>>,
    /// The numbers to go on with where a foreign policy fails.
    fallback: Arc<Profile>,
    /// The generation in force, for those who wait.
    changed: watch::Sender<u64>,
    events: Events,
}

/// What the built-in policy is called.
pub const BUILT_IN: &str = "built-in";

impl Slot {
    /// The built-in policy with its own numbers.
    pub fn built_in(events: Events) -> Self {
        Self::new(Profile::default(), events)
    }

    /// The built-in policy with these numbers. Swaps are told there.
    pub fn new(profile: Profile, events: Events) -> Self {
        let fallback = Arc::new(profile);
        let built_in = InForce { name: BUILT_IN.into(), generation: 1, profile: fallback.clone(), foreign: None };
        Self { current: RwLock::new(Arc::new(built_in)), fallback, changed: watch::Sender::new(1), events }
    }

    /// Returns when another policy than the one of that generation is in force: what it decided to wait for is decided
    /// again.
    pub async fn changed(&self, generation: u64) {
        // It can't be closed: the sender is here.
        let _ = self.changed.subscribe().wait_for(|now| *now != generation).await;
    }

    /// The policy in force now.
    pub fn in_force(&self) -> Arc<InForce> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another policy in force, from the next decision on. None for `profile`: the numbers that this process began
    /// with. Gives its generation.
    pub async fn swap(
        &self,
        name: &str,
        profile: Option<Profile>,
        foreign: Option<Box<dyn Foreign>>,
        why: &str,
    ) -> u64 {
        let profile = profile.map_or_else(|| self.fallback.clone(), Arc::new);
        let generation = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            let generation = current.generation + 1;
            *current = Arc::new(InForce { name: name.into(), generation, profile, foreign });
            generation
        };
        self.changed.send_replace(generation);
        let (policy, reason) = (name.to_owned(), why.to_owned());
        self.events.tell(Fact::PolicyChanged { policy, generation, reason }).await;
        generation
    }

    /// Decides. `policy` is the one that the facts were put together for: it decides also where another was put in force
    /// meanwhile, so that the numbers and the decision are of one and the same.
    pub fn decide(&self, policy: &Arc<InForce>, facts: &Facts) -> Decided {
        let decided = |decision| Decided { decision, by: policy.name.clone(), generation: policy.generation };
        let Some(foreign) = &policy.foreign else { return decided(built_in(facts)) };
        let fault = match foreign.decide(facts) {
            Ok(decision) if decision.kind() != facts.kind() => {
                let (asked, got) = (facts.kind().name(), decision.kind().name());
                format!("it was asked for `{asked}` and decided `{got}`")
            }
            Ok(decision) => match decision.check() {
                Ok(()) => return decided(decision),
                Err(nonsense) => nonsense.to_string(),
            },
            Err(Fault(why)) => why,
        };
        let generation = self.give_up(policy, &fault);
        Decided { decision: built_in(facts), by: BUILT_IN.into(), generation }
    }

    /// The built-in policy takes the place of one that failed, unless that is gone already.
    fn give_up(&self, failed: &Arc<InForce>, why: &str) -> u64 {
        let generation = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if current.generation != failed.generation {
                return current.generation;
            }
            let generation = current.generation + 1;
            let profile = self.fallback.clone();
            *current = Arc::new(InForce { name: BUILT_IN.into(), generation, profile, foreign: None });
            generation
        };
        self.changed.send_replace(generation);
        let name = &failed.name;
        let reason = format!("the policy {name} failed, and the built-in one goes on: {why}");
        self.events.mention(Fact::PolicyChanged { policy: BUILT_IN.to_owned(), generation, reason: reason.clone() });
        self.events.mention(Fact::Warned { message: reason });
        generation
    }
}

fn built_in(facts: &Facts) -> Decision {
    match facts {
        Facts::Size(facts) => Decision::Size(facts.built_in.clone()),
        Facts::Route(facts) => Decision::Route(facts.built_in.clone()),
        Facts::Admit(facts) => Decision::Admit(facts.built_in.clone()),
        Facts::Recover(facts) => Decision::Recover(facts.built_in.clone()),
        Facts::Adapt(facts) => Decision::Adapt(facts.built_in.clone()),
        Facts::Watch(facts) => Decision::Watch(facts.built_in.clone()),
    }
}

#[cfg(test)]
mod tests {
    use convoke_policy::{Admit, AdmitFacts, Kind, Size};

    use super::*;

    struct Says(Result<Decision, Fault>);

    impl Foreign for Says {
        fn decide(&self, _: &Facts) -> Result<Decision, Fault> {
            self.0.clone()
        }
    }

    fn facts() -> Facts {
        Facts::Admit(AdmitFacts::default())
    }

    fn never() -> Decision {
        Decision::Admit(Admit::Never { reason: "it is late".to_owned() })
    }

    async fn slot(says: Result<Decision, Fault>) -> (Slot, Events) {
        let events = Events::new();
        let slot = Slot::built_in(events.clone());
        assert_eq!(slot.swap("foreign", None, Some(Box::new(Says(says))), "chosen").await, 2);
        (slot, events)
    }

    #[tokio::test]
    async fn a_foreign_policy_decides_until_it_is_swapped() {
        let (slot, events) = slot(Ok(never())).await;
        let old = slot.in_force();
        let decided = slot.decide(&old, &facts());
        assert_eq!((decided.decision, &*decided.by, decided.generation), (never(), "foreign", 2));
        slot.swap("built-in", None, None, "chosen").await;
        let decided = slot.decide(&slot.in_force(), &facts());
        assert_eq!((decided.decision, &*decided.by, decided.generation), (Decision::Admit(Admit::Now), "built-in", 3));
        assert_eq!(slot.decide(&old, &facts()).generation, 2, "who began with the old one ends with it");
        assert!(events.warned().is_empty());
    }

    #[tokio::test]
    async fn one_that_fails_or_decides_nonsense_is_replaced_and_it_is_said_once() {
        let bad = [
            Err(Fault("it trapped".to_owned())),
            Ok(Decision::Size(Size::of(3, ""))),
            Ok(Decision::Admit(Admit::Later { wait_ms: u64::MAX, reason: String::new() })),
        ];
        for says in bad {
            let (slot, events) = slot(says.clone()).await;
            let failing = slot.in_force();
            for _ in 0..2 {
                let decided = slot.decide(&failing, &facts());
                assert_eq!((decided.decision, &*decided.by), (Decision::Admit(Admit::Now), "built-in"), "{says:?}");
                assert_eq!(decided.generation, 3);
            }
            assert!(!slot.in_force().is_foreign());
            assert_eq!(events.warned().len(), 1, "{:?}", events.warned());
            assert!(events.warned()[0].contains("foreign"));
        }
        assert_eq!(facts().kind(), Kind::Admit);
    }
}
