//! Where a run stands, as told by its events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convoke_runtime::event::{Event, Fact};
use convoke_runtime::levels::Level;
use convoke_runtime::question::Usage;

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doing {
    /// Nothing: it waits for an item.
    Idle,
    /// Computing, reading.
    Working,
    /// Its question waits to be admitted.
    Queued,
    /// Its question was sent, and there is no answer yet.
    Asked,
    /// The answer is coming.
    Answering,
    /// Its question will be asked again at that time, and why.
    Retrying(Duration, String),
}

/// A worker's line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What the worker was dealt.
    pub(super) segment: String,
    /// Of the item in its hands.
    pub(super) group: Option<String>,
    pub(super) item: Option<(usize, String)>,
    pub(super) doing: Doing,
    pub(super) note: String,
    pub(super) since: Duration,
    /// Of the answer that is coming.
    pub(super) pace: Pace,
}

/// How an answer comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) tokens_per_second: Option<u32>,
    pub(super) tool: Option<String>,
}

/// The whole picture.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now: Duration,
    pub(super) items: usize,
    pub(super) ended: usize,
    pub(super) failed: usize,
    pub(super) cached: usize,
    pub(super) workers: BTreeMap<usize, Line>,
    pub(super) usage: Usage,
    /// The questions that were sent and have not ended, by their number.
    pub(super) asked: BTreeSet<u64>,
    /// How the run goes.
    pub(super) level: Level,
    /// When a backend that is left alone is asked again.
    pub(super) tried_again: Option<Duration>,
    holders: BTreeMap<usize, usize>,
    first_start: Option<Duration>,
}

impl State {
    /// Takes an event in.
    pub(super) fn hear(&mut self, event: &Event) {
        self.now = event.at;
        match &event.fact {
            Fact::QuestionSent { question, .. } => drop(self.asked.insert(*question)),
            Fact::QuestionRetried { question, .. } => drop(self.asked.remove(question)),
            Fact::QuestionSettled(settled) => drop(self.asked.remove(&settled.question)),
            _ => {}
        }
        match &event.fact {
            Fact::Planned { items, cached, .. } => {
                self.items = *items;
                self.cached = *cached;
            }
            Fact::WorkerStarted { worker, segment } => {
                self.first_start.get_or_insert(event.at);
                let line = Line {
                    segment: segment.clone(),
                    group: None,
                    item: None,
                    doing: Doing::Idle,
                    note: String::new(),
                    since: event.at,
                    pace: Pace::default(),
                };
                self.workers.insert(*worker, line);
            }
            Fact::WorkerEnded { worker, .. } => {
                self.workers.remove(worker);
            }
            Fact::ItemStarted { worker, item, label, group, .. } => {
                self.holders.insert(*item, *worker);
                if let Some(line) = self.workers.get_mut(worker) {
                    line.item = Some((*item, label.clone()));
                    line.group.clone_from(group);
                    line.note.clear();
                    line.doing = Doing::Working;
                    line.since = event.at;
                }
            }
            Fact::ItemsAdded { items, .. } => self.items += items,
            Fact::ItemProgress { item, note, .. } => {
                if let Some(line) = self.line(*item) {
                    line.note.clone_from(note);
                }
            }
            Fact::ItemEnded { item, outcome, .. } => {
                self.ended += 1;
                self.failed += usize::from(outcome.name() == "failed");
                self.let_go(*item, event.at);
            }
            // Another worker may have it already.
            Fact::ItemReturned { item, worker, .. } => {
                if self.holders.get(item) == Some(worker) {
                    self.let_go(*item, event.at);
                }
            }
            Fact::QuestionQueued { item, .. } => self.does(*item, Doing::Queued, event.at),
            Fact::QuestionSent { item, .. } => self.does(*item, Doing::Asked, event.at),
            Fact::QuestionStarted { item, .. } => self.does(*item, Doing::Answering, event.at),
            Fact::QuestionProgress { item, tokens_per_second, tool, .. } => {
                if let Some(line) = self.line(*item).filter(|line| line.doing == Doing::Answering) {
                    line.pace = Pace { tokens_per_second: *tokens_per_second, tool: tool.clone() };
                }
            }
            Fact::QuestionRetried { item, wait, reason, .. } => {
                self.does(*item, Doing::Retrying(event.at + *wait, reason.clone()), event.at);
            }
            Fact::QuestionSettled(settled) => {
                self.usage += settled.usage;
                self.does(settled.item, Doing::Working, event.at);
            }
            Fact::Degraded { to, .. } => self.level = *to,
            Fact::BreakerChanged { state, lasts, .. } => {
                self.tried_again = lasts.filter(|_| *state == "open").map(|lasts| event.at + lasts);
            }
            Fact::RunStarted(_)
            | Fact::PhaseStarted { .. }
            | Fact::WorkerReady { .. }
            | Fact::QuestionWaits { .. }
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::Controlled { .. }
            | Fact::Sampled(_)
            | Fact::SecretFound { .. }
            | Fact::AlertRaised { .. }
            | Fact::AlertCleared { .. }
            | Fact::PolicyChanged { .. }
            | Fact::DoneAgain { .. }
            | Fact::Quarantined { .. }
            | Fact::QuestionHedged { .. }
            | Fact::Decided { .. }
            | Fact::LimitChanged { .. }
            | Fact::SafeModeChanged { .. }
            | Fact::DispatchStopped { .. }
            | Fact::Warned { .. }
            | Fact::Logged { .. }
            | Fact::Stopping { .. }
            | Fact::Ended { .. } => {}
        }
    }

    /// What is said when the user stops it.
    pub(super) fn finishing(states: &[Self], left: Duration) -> String {
        let asked: usize = states.iter().map(|state| state.asked.len()).sum();
        if left.is_zero() {
            return "Giving up what is under way; what is done is kept. Ctrl-C again ends at once.".to_owned();
        }
        let what = match asked {
            0 => "what is under way".to_owned(),
            1 => "1 question".to_owned(),
            asked => format!("{asked} questions"),
        };
        format!("finishing {what}, at most {} s; Ctrl-C again gives up", left.as_millis().div_ceil(1_000))
    }

    /// How long the rest will probably take: at the pace of this run so far, once that says something.
    pub(super) fn eta(&self, now: Duration) -> Option<Duration> {
        let worked = self.ended.checked_sub(self.cached).filter(|worked| *worked >= 3)?;
        let left = self.items.saturating_sub(self.ended);
        let since = now.checked_sub(self.first_start?)?;
        Some(since.mul_f64(left as f64 / worked as f64))
    }

    fn line(&mut self, item: usize) -> Option<&mut Line> {
        let worker = self.holders.get(&item)?;
        self.workers.get_mut(worker)
    }

    fn does(&mut self, item: usize, doing: Doing, at: Duration) {
        if let Some(line) = self.line(item) {
            line.doing = doing;
            line.since = at;
            line.pace = Pace::default();
        }
    }

    fn let_go(&mut self, item: usize, at: Duration) {
        if let Some(line) = self.line(item).filter(|line| line.item.as_ref().is_some_and(|(held, _)| *held == item)) {
            line.item = None;
            line.doing = Doing::Idle;
            line.since = at;
        }
        self.holders.remove(&item);
    }
}

/// `0:07`, `12:34`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::event::Settled;
    use convoke_runtime::work::Outcome;

    use super::*;

    fn settled(question: u64, item: usize) -> Fact {
        Fact::QuestionSettled(Box::new(Settled { question, item, ..Settled::default() }))
    }

    fn hear(state: &mut State, at: u64, fact: Fact) {
        state.hear(&Event { at: Duration::from_secs(at), fact });
    }

    #[test]
    fn a_worker_waiting_for_a_retry_is_told_from_one_without_work() {
        let mut state = State::default();
        hear(&mut state, 0, Fact::WorkerStarted { worker: 0, segment: "security".to_owned() });
        hear(&mut state, 0, Fact::WorkerStarted { worker: 1, segment: "quality".to_owned() });
        hear(&mut state, 1, Fact::ItemStarted { worker: 0, item: 7, label: "a".to_owned(), group: None, attempt: 1 });
        let wait = Duration::from_secs(45);
        let (kind, reason) = ("rate-limited".into(), "rate limited".to_owned());
        hear(&mut state, 2, Fact::QuestionRetried { question: 1, item: 7, kind, reason, wait });
        assert_eq!(state.workers[&0].doing, Doing::Retrying(Duration::from_secs(47), "rate limited".to_owned()));
        assert_eq!(state.workers[&1].doing, Doing::Idle);
    }

    #[test]
    fn how_fast_an_answer_comes_is_forgotten_with_the_answer() {
        let mut state = State::default();
        hear(&mut state, 0, Fact::WorkerStarted { worker: 0, segment: String::new() });
        hear(&mut state, 1, Fact::ItemStarted { worker: 0, item: 7, label: "a".to_owned(), group: None, attempt: 1 });
        let late = |tokens| Fact::QuestionProgress { question: 1, item: 7, tokens_per_second: tokens, tool: None };
        hear(&mut state, 2, Fact::QuestionStarted { question: 1, item: 7, after: Duration::ZERO });
        hear(&mut state, 3, late(Some(80)));
        assert_eq!(state.workers[&0].pace.tokens_per_second, Some(80));
        let settled = settled(1, 7);
        hear(&mut state, 4, settled);
        hear(&mut state, 4, late(Some(90)));
        assert_eq!(state.workers[&0].pace, Pace::default(), "what comes late belongs to no answer");
    }

    #[test]
    fn what_is_finished_is_counted_and_how_long_it_may_take() {
        let (mut one, mut other) = (State::default(), State::default());
        let said = |states: &[State], seconds| State::finishing(states, Duration::from_secs(seconds));
        let sent =
            |question| Fact::QuestionSent { question, item: 0, model: String::new(), backend: "".into(), attempt: 1 };
        for question in 0..2 {
            hear(&mut one, 1, sent(question));
        }
        hear(&mut other, 1, sent(9));
        let settled = settled(1, 0);
        let states = [one, other];
        assert_eq!(said(&states, 28), "finishing 3 questions, at most 28 s; Ctrl-C again gives up");
        let [mut one, other] = states;
        hear(&mut one, 2, settled);
        assert!(said(&[one, other], 10).starts_with("finishing 2 questions, at most 10 s"));
        assert!(said(&[State::default()], 1).starts_with("finishing what is under way, at most 1 s"));
        assert!(said(&[], 0).starts_with("Giving up"));
    }

    #[test]
    fn half_done_in_ten_seconds_leaves_ten_seconds() {
        let mut state = State::default();
        let (assessed_in, allocated_in) = (Duration::ZERO, Duration::ZERO);
        hear(&mut state, 0, Fact::Planned { items: 8, cached: 0, workers: 1, assessed_in, allocated_in });
        hear(&mut state, 0, Fact::WorkerStarted { worker: 0, segment: String::new() });
        for item in 0..4 {
            let ended = Fact::ItemEnded { worker: Some(0), item, outcome: Outcome::Done, took: Duration::from_secs(2) };
            hear(&mut state, 10, ended);
        }
        assert_eq!(state.eta(Duration::from_secs(10)), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_clock_reads_like_a_clock() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(754)), "12:34");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
