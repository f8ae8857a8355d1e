//! What the run believes of its items against what the journal has of them. Where they differ the journal is right: it is
//! what the next run goes by.

use std::collections::HashMap;

use convoke_runtime::work::Outcome;

use super::shared::Shared;
use crate::report::{ItemFacts, clean};

/// So many items are named.
const NAMED: usize = 5;

/// The longest id that is shown, in characters.
const LONGEST_ID: usize = 200;

/// Gives the items the outcomes that the journal has. Returns what the user must know where that changed any, or where
/// the journal could not be asked: then the run is degraded.
pub(super) async fn by_the_journal(shared: &Shared, items: &mut Vec<ItemFacts>) -> Option<String> {
    match shared.journal.outcomes(&shared.run).await {
        Ok(written) => corrected(items, written, shared.is_unwritten()),
        Err(error) => Some(format!("what became of the items could not be compared with the journal: {error}")),
    }
}

/// `unwritten`: the storage has failed, and the run says so already.
fn corrected(items: &mut Vec<ItemFacts>, written: Vec<(String, Outcome)>, unwritten: bool) -> Option<String> {
    let order: Vec<String> = written.iter().map(|(id, _)| id.clone()).collect();
    let mut written: HashMap<String, Outcome> = written.into_iter().collect();
    let mut differing = Vec::new();
    for item in items.iter_mut() {
        // What is not there is not done: a conclusion that was never begun, or an item that was never written.
        let true_outcome = written.remove(&item.id).unwrap_or(Outcome::Pending);
        if agree(&item.outcome, &true_outcome) {
            continue;
        }
        // An end that could not be written has not happened: the next run does the item.
        if !(unwritten && matches!((&item.outcome, &true_outcome), (Outcome::Failed(_), Outcome::Pending))) {
            differing.push(format!("{} is {}, not {}", shown(&item.id), true_outcome.name(), item.outcome.name()));
        }
        if !true_outcome.has_ended() {
            item.partial = None;
        }
        item.outcome = true_outcome;
    }
    for id in order {
        let Some(outcome) = written.remove(&id) else { continue };
        differing.push(format!("{} is {}, and the run knew nothing of it", shown(&id), outcome.name()));
        items.push(ItemFacts {
            id,
            group: None,
            outcome,
            partial: None,
            attempts: 0,
            tried: Vec::new(),
            questions: None,
            log: String::new(),
            reads: Vec::new(),
        });
    }
    if differing.is_empty() {
        return None;
    }
    let count = differing.len();
    let more = if count > NAMED { format!("; and {} more", count - NAMED) } else { String::new() };
    differing.truncate(NAMED);
    Some(format!("the journal is right where the run believed otherwise: {}{more}", differing.join("; ")))
}

/// Whether both say the same. A reason is no outcome: the journal may have shortened it.
fn agree(believed: &Outcome, written: &Outcome) -> bool {
    believed.name() == written.name() || matches!((believed, written), (Outcome::Cached, Outcome::Done))
}

fn shown(id: &str) -> String {
    clean::line(&clean::bounded(id, LONGEST_ID))
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::{Census, Partial};

    use super::*;

    fn item(id: &str, outcome: Outcome) -> ItemFacts {
        ItemFacts {
            id: id.to_owned(),
            group: None,
            outcome,
            partial: Some(Partial::default()),
            attempts: 1,
            tried: Vec::new(),
            questions: None,
            log: String::new(),
            reads: Vec::new(),
        }
    }

    fn written(ends: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
        ends.iter().map(|(id, outcome)| ((*id).to_owned(), outcome.clone())).collect()
    }

    #[test]
    fn where_both_say_the_same_nothing_changes() {
        let failed = || Outcome::Failed("no".to_owned());
        let mut items = vec![item("a", Outcome::Done), item("b", failed()), item("never begun", Outcome::Pending)];
        assert_eq!(corrected(&mut items, written(&[("a", Outcome::Done), ("b", failed())]), false), None);
    }

    #[test]
    fn an_end_that_could_not_be_written_is_pending_and_said_once() {
        for unwritten in [true, false] {
            let mut items = vec![item("a", Outcome::Failed("the disk is full".to_owned()))];
            let said = corrected(&mut items, written(&[("a", Outcome::Pending)]), unwritten);
            assert_eq!((said.is_none(), &items[0].outcome), (unwritten, &Outcome::Pending));
        }
    }

    #[test]
    fn what_is_not_in_the_journal_is_not_done() {
        let mut items = vec![item("a", Outcome::Done), item("b", Outcome::Done)];
        let said = corrected(&mut items, written(&[("a", Outcome::Pending), ("b", Outcome::Done)]), false).unwrap();
        assert!(said.contains("a is pending, not done") && !said.contains("b is"), "{said}");
        assert_eq!(Census::of(items.iter().map(|item| &item.outcome)).pending, 1);
        assert_eq!((items[0].partial.is_none(), items[1].partial.is_some()), (true, true));
    }

    #[test]
    fn an_item_that_only_the_journal_knows_counts() {
        let mut items = vec![item("a", Outcome::Done)];
        let ends = [("a", Outcome::Done), ("b\u{1b}[2J", Outcome::Pending)];
        let said = corrected(&mut items, written(&ends), false).unwrap();
        assert!(said.contains("knew nothing of it") && !said.contains('\u{1b}'), "{said:?}");
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn five_are_named_and_the_others_counted() {
        let ids: Vec<String> = (0..9).map(|number| format!("item-{number}")).collect();
        let mut items: Vec<ItemFacts> = ids.iter().map(|id| item(id, Outcome::Done)).collect();
        let said = corrected(&mut items, Vec::new(), false).unwrap();
        assert!(said.contains("item-4") && !said.contains("item-5") && said.ends_with("and 4 more"), "{said}");
    }
}
