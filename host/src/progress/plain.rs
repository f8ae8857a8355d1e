//! For logs and pipes: a line when something ends.

use std::io::Write;
use std::time::Duration;

use super::Detail;
use super::state::{State, clock};
use super::streams::Streams;
use crate::report::clean::line as clean;
use crate::report::words;
use convoke_runtime::event::Fact;
use convoke_runtime::work::Outcome;

pub(super) async fn show(mut streams: Streams, detail: Detail, items: bool) {
    let mut states: Vec<State> = (0..streams.count()).map(|_| State::default()).collect();
    let mut labels = std::collections::HashMap::new();
    while let Some((run, event)) = streams.next().await {
        if let Fact::Stopping { at_most } = &event.fact {
            say(&stopping(&states, *at_most));
            continue;
        }
        let text = match run {
            Some(run) => {
                states[run].hear(&event);
                line(&event.fact, &states[run], run, &mut labels, detail, items)
            }
            None => said(&event.fact, detail),
        };
        if let Some(text) = text {
            say(&format!("{}{text}", front(streams.name(run.unwrap_or(usize::MAX)))));
        }
    }
}

fn say(line: &str) {
    // Nobody may be reading any more; the run goes on.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// That the user stops it, and for how long it goes on.
pub(super) fn stopping(states: &[State], at_most: Duration) -> String {
    let text = State::finishing(states, at_most);
    if at_most.is_zero() { text } else { format!("Stopping: {text}; what is done is kept") }
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
        // The last line; the same word as in the report and the exit code.
        Fact::Ended { census, status } if items => Some(format!("{}: {}", status.name(), words::census(census))),
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
        Fact::AlertRaised { alert, reason } => Some(format!("alert: {}: {}", clean(alert), clean(reason))),
        Fact::AlertCleared { alert, reason } => Some(format!("alert over: {}: {}", clean(alert), clean(reason))),
        Fact::Degraded { to, reason, .. } => Some(format!("{}: {}", to.name(), clean(reason))),
        Fact::DoneAgain { reason, .. } => Some(clean(reason)),
        Fact::Quarantined { reason, .. } => Some(format!("an item fails again in the same words: {}", clean(reason))),
        Fact::ItemReturned { reason, .. } => Some(format!("an item is given back: {}", clean(reason))),
        Fact::Logged { level, message, .. } if detail.logs => Some(format!("{level}: {}", clean(message))),
        Fact::ItemEnded { outcome: Outcome::Failed(_), .. } => None,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::{Census, Status};

    use super::*;

    #[test]
    fn the_last_line_has_the_status_of_the_run() {
        let fact = Fact::Ended {
            census: Census { items: 3, done: 2, failed: 1, ..Census::default() },
            status: Status::Degraded,
        };
        let (state, detail) = (State::default(), Detail { logs: false, color: false });
        let said = line(&fact, &state, 0, &mut Default::default(), detail, true);
        assert_eq!(said.as_deref(), Some("degraded: 3 items: 2 done, 1 failed"));
        assert_eq!(line(&fact, &state, 0, &mut Default::default(), detail, false), None, "quiet");
    }

    #[test]
    fn who_stops_it_reads_what_is_finished_and_that_nothing_is_lost() {
        let said = stopping(&[State::default()], Duration::from_secs(30));
        assert_eq!(
            said,
            "Stopping: finishing what is under way, at most 30 s; Ctrl-C again gives up; what is done is kept"
        );
    }
}
