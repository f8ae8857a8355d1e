//! For logs and pipes: a line when something ends.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Duration;

use console::Style;
use convoke_runtime::event::Fact;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Detail;
use super::eta::{Eta, Left};
use super::frame::{View, parts};
use super::state::{State, clock};
use super::streams::Streams;
use crate::report::clean::line as clean;
use crate::report::words;

/// How often it is heard what was told meanwhile.
const TICK: Duration = Duration::from_millis(100);

/// After so long without a line one is said of the whole: silence could mean anything.
const SILENCE: Duration = Duration::from_secs(30);

/// Says it until they have ended, or until it is over. `items`: how items end too, and that it goes on.
pub(super) async fn show(mut streams: Streams, detail: Detail, items: bool, over: CancellationToken) {
    let mut states = streams.states();
    let (names, mut labels, mut eta) = (streams.names(), HashMap::new(), Eta::default());
    let (began, mut spoken) = (Instant::now(), Duration::ZERO);
    let mut goes_on = true;
    while goes_on {
        let mut heard = Vec::new();
        goes_on = streams.look(TICK, &over, &mut heard).await;
        let now = began.elapsed();
        // All at once: a write for each line would take longer than what is told.
        let mut lines = String::new();
        for (run, event) in heard {
            let stops = match &event.fact {
                Fact::Stopping { at_most } => Some(stopping(&states, *at_most)),
                _ => None,
            };
            let text = match run {
                Some(run) => {
                    states[run].hear(&event.fact, now);
                    line(&event.fact, &states[run], run, &mut labels, detail, items)
                }
                None => {
                    states.iter_mut().for_each(|state| state.hear(&event.fact, now));
                    said(&event.fact, detail)
                }
            };
            let front = front(run.map_or("", |run| &names[run]));
            if let Some(text) = stops.or_else(|| text.map(|text| format!("{front}{text}"))) {
                lines.push_str(&text);
                lines.push('\n');
                spoken = now;
            }
        }
        say(&lines);
        if items && goes_on && now.saturating_sub(spoken) >= SILENCE {
            say(&format!("{}\n", goes_on_with(&names, &states, now, &mut eta)));
            spoken = now;
        }
    }
}

/// How the whole stands, in a line.
fn goes_on_with(names: &[String], states: &[State], now: Duration, eta: &mut Eta) -> String {
    let view = View { names, states, now, stops_in: None, eta: eta.next(Left::of_all(states, now), now) };
    let parts: Vec<String> = parts(&view).into_iter().map(|(text, _)| text).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for doing in states.iter().flat_map(|state| state.workers.values().map(|line| state.doing(line, now))) {
        *counts.entry(doing.word()).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let workers = if counts.is_empty() { String::new() } else { format!("; workers: {}", counts.join(", ")) };
    format!("{}{workers}", parts.join(", "))
}

fn say(lines: &str) {
    // Nobody may be reading any more; the run goes on.
    let _ = std::io::stderr().write_all(lines.as_bytes());
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
    labels: &mut HashMap<(usize, usize), String>,
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
        Fact::QuestionRetried { item, reason, wait, .. } if items => {
            let label = labels.get(&(run, *item)).map_or_else(String::new, |label| format!("{}: ", clean(label)));
            Some(format!("{label}retrying in {} ({})", clock(*wait), clean(reason)))
        }
        fact => said(fact, detail),
    }
}

/// What is said above the lines of the workers, whatever the form.
pub(super) fn said(fact: &Fact, detail: Detail) -> Option<String> {
    let (warn, bad, good) = (Style::new().yellow().bold(), Style::new().red().bold(), Style::new().green().bold());
    let told = |style: &Style, word: &str, text: &str| {
        Some(format!("{}: {}", style.clone().force_styling(detail.color).apply_to(word), clean(text)))
    };
    match fact {
        Fact::Warned { message } => told(&warn, "warning", message),
        Fact::DispatchStopped { reason } => told(&bad, "stopped", reason),
        Fact::PolicyChanged { policy, reason, .. } => told(&Style::new(), &format!("policy {}", clean(policy)), reason),
        Fact::BreakerChanged { state, reason, lasts } => {
            let lasts = lasts.map_or_else(String::new, |lasts| format!(" for {}", clock(lasts)));
            let style = if state == "closed" { good } else { warn };
            told(&style, &format!("breaker {state}{lasts}"), reason)
        }
        // What these are about is said by itself.
        Fact::AlertRaised { alert, .. } | Fact::AlertCleared { alert, .. }
            if matches!(alert.as_ref(), "breaker" | "stopped") =>
        {
            None
        }
        Fact::Degraded { to, reason, .. } => told(&warn, to.name(), reason),
        Fact::DoneAgain { reason, .. } => Some(clean(reason)),
        Fact::Quarantined { reason, .. } => Some(format!("an item fails again in the same words: {}", clean(reason))),
        Fact::ItemReturned { reason, .. } => Some(format!("an item is given back: {}", clean(reason))),
        Fact::AlertRaised { alert, reason } => told(&bad, &format!("alert {}", clean(alert)), reason),
        Fact::AlertCleared { alert, reason } => told(&good, &format!("well again, {}", clean(alert)), reason),
        Fact::Paused { by, at_once } => {
            let under_way = if *at_once { "what was under way is asked again later" } else { "what is under way ends" };
            told(&warn, "paused", &format!("by {by}; {under_way}"))
        }
        Fact::Resumed { by } => told(&good, "resumed", &format!("by {by}")),
        Fact::Controlled { by, what, became } => {
            told(&Style::new().cyan(), &clean(what), &format!("{became} (by {by})"))
        }
        Fact::Logged { level, message, .. } if detail.logs => Some(format!("{level}: {}", clean(message))),
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
        let (state, detail) = (State::default(), Detail { logs: false, color: false, unicode: true });
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

    #[test]
    fn an_alert_is_said_with_what_is_seen_and_when_it_is_well_again() {
        let detail = Detail { logs: false, color: false, unicode: true };
        let raised = Fact::AlertRaised { alert: "errors".into(), reason: "12 % failed, over 5 %".to_owned() };
        assert_eq!(said(&raised, detail).as_deref(), Some("alert errors: 12 % failed, over 5 %"));
        let cleared = Fact::AlertCleared { alert: "errors".into(), reason: "2 %\u{1b}[2J".to_owned() };
        assert_eq!(said(&cleared, detail).as_deref(), Some("well again, errors: 2 %"));
        let painted = said(&raised, Detail { color: true, ..detail });
        assert!(painted.is_some_and(|text| text.contains("\u{1b}[31m")));
    }

    #[test]
    fn a_retry_says_of_which_item_it_is() {
        let (state, detail) = (State::default(), Detail { logs: false, color: false, unicode: true });
        let mut labels = HashMap::from([((0, 7), "core/api.md".to_owned())]);
        let retried = Fact::QuestionRetried {
            question: 1,
            item: 7,
            kind: "rate-limited".into(),
            reason: "rate limited".to_owned(),
            wait: Duration::from_secs(45),
        };
        let said = line(&retried, &state, 0, &mut labels, detail, true);
        assert_eq!(said.as_deref(), Some("core/api.md: retrying in 0:45 (rate limited)"));
    }

    #[test]
    fn after_a_long_silence_it_is_said_how_it_goes_on() {
        let mut state = State::default();
        let (assessed_in, allocated_in) = (Duration::ZERO, Duration::ZERO);
        let planned = Fact::Planned { items: 20, cached: 3, workers: 2, assessed_in, allocated_in, expected: None };
        state.hear(&planned, Duration::ZERO);
        for worker in 0..2 {
            state.hear(&Fact::WorkerStarted { worker, segment: String::new() }, Duration::ZERO);
            let started = Fact::ItemStarted {
                worker,
                item: worker,
                id: String::new(),
                label: String::new(),
                group: None,
                attempt: 1,
            };
            state.hear(&started, Duration::ZERO);
        }
        let said = goes_on_with(&[String::new()], &[state], Duration::from_secs(30), &mut Eta::default());
        assert_eq!(said, "0/20, 0 %, 0:30, 3 cached; workers: 2 working");
    }
}
