//! For logs and pipes: a line when something ends.

use std::io::Write;

use super::Detail;
use super::state::{State, clock};
use super::streams::Streams;
use crate::report::clean::line as clean;
use convoke_runtime::event::Fact;
use convoke_runtime::work::Outcome;

pub(super) async fn show(mut streams: Streams, detail: Detail, items: bool) {
    let mut states: Vec<State> = (0..streams.count()).map(|_| State::default()).collect();
    let mut labels = std::collections::HashMap::new();
    while let Some((run, event)) = streams.next().await {
        let text = match run {
            Some(run) => {
                states[run].hear(&event);
                line(&event.fact, &states[run], run, &mut labels, detail, items)
            }
            None => said(&event.fact, detail),
        };
        if let Some(text) = text {
            // Nobody may be reading any more; the run goes on.
            let _ = writeln!(std::io::stderr(), "{}{text}", front(streams.name(run.unwrap_or(usize::MAX))));
        }
    }
}

/// What stands before each line of a run among others.
pub(super) fn front(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{}: ", clean(name)) }
}

fn line(
    fact: &Fact,
    state: &State,
    run: usize,
    labels: &mut std::collections::HashMap<(usize, usize), String>,
    detail: Detail,
    items: bool,
) -> Option<String> {
    match fact {
        Fact::ItemStarted { item, label, .. } => {
            labels.insert((run, *item), label.clone());
            None
        }
        Fact::ItemEnded { item, outcome, took, worker: Some(_) } if items => {
            let label = labels.remove(&(run, *item)).unwrap_or_default();
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
        Fact::Degraded { to, reason, .. } => Some(format!("{}: {}", to.name(), clean(reason))),
        Fact::DoneAgain { reason, .. } => Some(clean(reason)),
        Fact::Quarantined { reason, .. } => Some(format!("an item fails again in the same words: {}", clean(reason))),
        Fact::ItemReturned { reason, .. } => Some(format!("an item is given back: {}", clean(reason))),
        Fact::Logged { level, message, .. } if detail.logs => Some(format!("{level}: {}", clean(message))),
        Fact::ItemEnded { outcome: Outcome::Failed(_), .. } => None,
        _ => None,
    }
}
