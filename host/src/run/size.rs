//! How many workers a command gets: the facts, the decision, and what of it is carried out.

use convoke_runtime::allocate::counted;
use convoke_runtime::event::Fact;
use convoke_runtime::policy::builtin::{self, Profile};
use convoke_runtime::policy::{Decided, Decision, Facts, Load, Size, SizeFacts};

use super::Session;
use super::assess::Assessed;
use crate::report::clean;

/// How many workers there will be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sized {
    /// So many.
    pub workers: usize,
    /// Why there are fewer than the items ask for, if that is so.
    pub note: Option<String>,
    /// Who decided it; none: there is nothing to do.
    pub decided: Option<Decided>,
}

/// Decides it. The machine is only looked at where a model is asked and more than a few workers would be started: it takes
/// up to a tenth of a second. It does not count for a run that is recorded: what is done again is done by as many workers.
pub(super) async fn size(session: &Session, assessed: &Assessed) -> Sized {
    let items = assessed.to_do().count();
    if items == 0 {
        return Sized::default();
    }
    let policy = session.broker.policy.as_ref().map(|slot| (slot, slot.in_force()));
    let built_in = Profile::of(session.settings.mode.for_policies()).size;
    let profile = policy.as_ref().map_or(&built_in, |(_, in_force)| &in_force.profile.size);
    let mut facts = facts(session, assessed, items);
    let by_items = builtin::size(profile, &facts);
    let is_taped = session.broker.tape.is_some();
    let asks = session.backends.iter().any(|backend| backend.has_model() && !backend.replays() && !is_taped);
    let is_foreign = policy.as_ref().is_some_and(|(_, in_force)| in_force.is_foreign());
    if asks && (by_items.instances > profile.busy || is_foreign) {
        // What the processors have free does not lower a number that the user named.
        if is_foreign || !facts.explicit {
            tokio::time::sleep(session.meter.ready_in()).await;
        }
        let (cpu_free, memory_free) = session.meter.before_a_run();
        facts.load = Load { cpu_free, memory_free, ..Load::default() };
    }
    facts.built_in = builtin::size(profile, &facts);
    let decided = match policy {
        Some((slot, in_force)) => slot.decide(&in_force, &Facts::Size(facts.clone())),
        None => Decided { decision: Decision::Size(facts.built_in.clone()), by: "built-in".into(), generation: 1 },
    };
    carried_out(decided, &facts, by_items.instances)
}

/// What a decision comes to within the user's limits and the number of items.
fn carried_out(decided: Decided, facts: &SizeFacts, by_items: u32) -> Sized {
    let Decision::Size(Size { instances, reason }) = &decided.decision else {
        // The slot gives no other kind.
        return Sized { workers: by_items as usize, ..Sized::default() };
    };
    let items = u32::try_from(facts.items).unwrap_or(u32::MAX);
    let workers = (*instances).min(facts.most).min(items).max(1);
    let lowers = workers < by_items && !reason.is_empty();
    let note = lowers.then(|| clean::line(&clean::bounded(reason, 500)));
    Sized { workers: workers as usize, note, decided: Some(decided) }
}

fn facts(session: &Session, assessed: &Assessed, items: usize) -> SizeFacts {
    let (limits, hints) = (&session.settings.limits, &session.plugin.manifest.sizing);
    let (groups, ungrouped) = counted(assessed.to_do().map(|(_, item)| item), assessed.work.distribute);
    let hinted = hints.items_per_instance.filter(|_| !limits.named.items_per_instance);
    SizeFacts {
        now: session.broker.clock.now(),
        mode: session.settings.mode.for_policies(),
        command: session.command.clone(),
        items: items as u64,
        groups: groups as u64,
        ungrouped: ungrouped as u64,
        items_per_instance: hinted.unwrap_or(limits.items_per_instance),
        most: hints.max_instances.map_or(limits.instances, |most| most.min(limits.instances)),
        explicit: limits.named.instances,
        ..SizeFacts::default()
    }
}

/// The decision as an event.
pub(super) fn told(decided: &Decided, workers: usize) -> Fact {
    Fact::Decided {
        question: None,
        kind: "size".into(),
        policy: decided.by.to_string(),
        generation: decided.generation,
        decision: format!("{workers} workers"),
        reason: decided.decision.reason().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(instances: u32, reason: &str) -> Decided {
        Decided { decision: Decision::Size(Size::of(instances, reason)), by: "theirs".into(), generation: 2 }
    }

    #[test]
    fn no_policy_exceeds_the_limits_of_the_user_or_the_items() {
        let facts = SizeFacts { items: 20, most: 6, ..SizeFacts::default() };
        let workers = |instances, facts: &SizeFacts| carried_out(decided(instances, ""), facts, 4).workers;
        assert_eq!([workers(100, &facts), workers(2, &facts)], [6, 2]);
        assert_eq!(workers(100, &SizeFacts { items: 3, ..facts }), 3);
    }

    #[test]
    fn the_reason_is_a_note_where_it_lowers() {
        let facts = SizeFacts { items: 20, most: 8, ..SizeFacts::default() };
        let note = |instances| carried_out(decided(instances, "it is \u{1b}[31mnight"), &facts, 4).note;
        assert_eq!(note(4), None);
        assert!(note(2).is_some_and(|note| note.contains("night") && !note.contains('\u{1b}')));
    }
}
