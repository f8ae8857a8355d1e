//! For logs and pipes: a line when something ends.

use std::io::Write;

use convoke_runtime::event::{Event, Fact};
use convoke_runtime::work::Outcome;
use tokio::sync::mpsc::Receiver;

use super::Detail;
use super::state::{State, clock};
use crate::report::clean::line as clean;

pub(super) async fn show(mut facts: Receiver<Event>, detail: Detail, items: bool) {
    let mut state = State::default();
    let mut labels = std::collections::HashMap::new();
    while let Some(event) = facts.recv().await {
        state.hear(&event);
        let text = match &event.fact {
            Fact::ItemStarted { item, label, .. } => {
                labels.insert(*item, label.clone());
                None
            }
            Fact::ItemEnded { item, outcome, took, worker: Some(_) } if items => {
                let label = labels.remove(item).unwrap_or_default();
                Some(format!(
                    "[{:>width$}/{}] {:<8} {} {}{}",
                    state.ended,
                    state.items,
                    outcome.name(),
                    clean(&label),
                    clock(*took),
                    outcome.reason().map_or_else(String::new, |reason| format!(": {}", clean(reason))),
                    width = state.items.to_string().len(),
                ))
            }
            Fact::QuestionRetried { reason, wait, .. } if items => {
                Some(format!("retrying in {} ({})", clock(*wait), clean(reason)))
            }
            fact => said(fact, detail),
        };
        if let Some(text) = text {
            // Nobody may be reading any more; the run goes on.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        if matches!(event.fact, Fact::Ended { .. }) {
            return;
        }
    }
}

/// What is said above the lines of the workers, whatever the form.
pub(super) fn said(fact: &Fact, detail: Detail) -> Option<String> {
    match fact {
        Fact::Warned { message } => Some(format!("warning: {}", clean(message))),
        Fact::DispatchStopped { reason } => Some(format!("stopped: {}", clean(reason))),
        Fact::PolicyChanged { policy, reason, .. } => Some(format!("policy {}: {}", clean(policy), clean(reason))),
        Fact::BreakerChanged { state, reason, lasts } => {
            let lasts = lasts.map_or_else(String::new, |lasts| format!(" for {}", clock(lasts)));
            Some(format!("breaker {state}{lasts}: {}", clean(reason)))
        }
        Fact::Degraded { to, reason, .. } => Some(format!("{to}: {}", clean(reason))),
        Fact::Quarantined { reason, .. } => Some(format!("an item fails again in the same words: {}", clean(reason))),
        Fact::ItemReturned { reason, .. } => Some(format!("an item is given back: {}", clean(reason))),
        Fact::Logged { level, message, .. } if detail.logs => Some(format!("{level}: {}", clean(message))),
        Fact::ItemEnded { outcome: Outcome::Failed(_), .. } => None,
        _ => None,
    }
}
