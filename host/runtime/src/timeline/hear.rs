//! The fold: what each event changes in the picture.

use std::time::Duration;

use super::timesheet::Timesheet;
use super::{
    Continued, Ended, Hold, Item, LONGEST_TEXT, Limit, MOST_HOLDS, MOST_ITEMS, MOST_MARKS, MOST_SAMPLES, MOST_STATES,
    MOST_WORKERS, Mark, MarkKind, Phase, Plan, Retry, Returned, Sampled, Stall, State, Timeline, Worker,
};
use crate::event::{Event, Fact, Sample};
use crate::journal::Told;
use crate::levels::Level;
use crate::work::{Census, Outcome};

impl Timeline {
    /// The picture of what a run told, each time that it was begun or continued.
    pub fn of(streams: &[Told]) -> Self {
        let mut timeline = Self::default();
        let first = streams.first().map(|stream| stream.began);
        for stream in streams {
            let since = first.map(|first| stream.began.duration_since(first));
            let offset = since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default();
            if Some(stream.began) != first {
                timeline.continues(offset);
            }
            stream.events.iter().for_each(|event| timeline.hear(event));
        }
        timeline
    }

    /// The run goes on in another process: what comes now belongs to a stream that began so long after the first one. What
    /// was open then has ended there, without an end of its own; numbers of workers, items and questions begin anew.
    pub fn continues(&mut self, offset: Duration) {
        let broken_off = self.now;
        let offset = offset.max(broken_off);
        for worker in self.workers.iter_mut().filter(|worker| worker.to.is_none()) {
            worker.to = Some(broken_off);
            worker.holds.iter_mut().filter(|hold| hold.to.is_none()).for_each(|hold| hold.to = Some(broken_off));
        }
        for question in self.questions.iter_mut().filter(|question| question.to.is_none()) {
            question.to = Some(broken_off);
        }
        self.end_phase(broken_off);
        let (workers, items, questions) = (self.workers.len(), self.items.len(), self.questions.len());
        self.continued.push(Continued { at: offset, workers, items, questions });
        self.index = super::Index { offset, every: self.index.every, ..super::Index::default() };
        self.census = Census::default();
        (self.plan, self.ended, self.paused, self.level) = (None, None, None, Level::Full);
        self.alerts.clear();
        self.sheet = Timesheet::default();
        self.now = offset;
    }

    /// Takes an event in.
    pub fn hear(&mut self, event: &Event) {
        self.sheet.hear(event);
        let at = self.index.offset.saturating_add(event.at);
        self.now = self.now.max(at);
        self.index.turned.clear();
        match &event.fact {
            Fact::RunStarted(facts) => self.run = Some((**facts).clone()),
            Fact::Planned { items, cached, workers, assessed_in, allocated_in, expected } => {
                let (items, cached, workers) = (*items, *cached, *workers);
                let (assessed_in, allocated_in, expected) = (*assessed_in, *allocated_in, *expected);
                self.plan = Some(Plan { at, items, cached, workers, assessed_in, allocated_in, expected });
                self.more_items(items as u64);
            }
            Fact::PhaseStarted { phase } => {
                self.end_phase(at);
                if self.phases.len() < MOST_STATES {
                    self.phases.push(Phase { phase: bounded(phase), from: at, to: None });
                }
            }
            Fact::WorkerStarted { worker, segment } => self.worker_started(at, *worker, segment),
            Fact::WorkerReady { worker, after } => {
                if let Some(worker) = self.worker(*worker) {
                    worker.ready_after = Some(*after);
                }
            }
            Fact::WorkerEnded { worker, died } => {
                if let Some(worker) = self.worker(*worker) {
                    worker.to = Some(at);
                    worker.died = died.as_deref().map(bounded);
                }
            }
            Fact::ItemStarted { worker, item, id, label, group, attempt } => {
                self.item_started(at, *worker, (*item, *attempt), (id, label), group.as_deref());
            }
            Fact::ItemProgress { item, done, note } => {
                if let Some(item) = self.item(*item) {
                    item.progress = Some((*done, bounded(note)));
                }
            }
            Fact::ItemEnded { worker, item, outcome, .. } => self.item_ended(at, *worker, *item, outcome),
            Fact::ItemsAdded { parent, items } => {
                self.more_items(*items as u64);
                let text = format!("{items} added by {}", self.label(self.place_of_item(*parent)));
                self.mark(at, MarkKind::ItemsAdded, "", &text);
            }
            Fact::ItemReopened { item, was, .. } => {
                self.count(Some(was), None);
                if let Some(item) = self.item(*item) {
                    (item.outcome, item.to) = (None, None);
                }
            }
            Fact::ItemReturned { worker, item, reason } => self.item_returned(at, *worker, *item, reason),
            Fact::Degraded { to, reason, .. } => {
                self.level = *to;
                self.mark(at, MarkKind::Level, to.name(), reason);
            }
            Fact::DoneAgain { items, reason } => {
                self.mark(at, MarkKind::DoneAgain, &items.to_string(), reason);
            }
            Fact::Quarantined { item, reason } => {
                let what = self.label(self.place_of_item(*item));
                self.mark(at, MarkKind::Quarantined, &what, reason);
            }
            Fact::QuestionQueued { question, item, role, tier } => {
                self.question_waits(at, *question, *item, State::Queued, Some((role, *tier)));
            }
            Fact::QuestionWaits { question, item, reason, lasts } => {
                // A second try beside one that is under way may wait too: only a pause breaks that off.
                if reason == "pause" {
                    self.index.in_flight.remove(question);
                }
                self.question_waits(at, *question, *item, State::waiting_for(reason), None);
                if let Some(question) = self.open(*question).filter(|one| one.state().is_some_and(State::is_waiting)) {
                    question.until = lasts.map(|lasts| at + lasts);
                }
            }
            Fact::QuestionSent { question, item, model, backend, attempt } => {
                self.totals.sent += 1;
                self.index.in_flight.insert(*question);
                self.index.waiting.remove(question);
                self.comes_back(*question);
                let Some(asked) = self.asked(at, *question, *item) else { return };
                asked.model = bounded(model);
                asked.backend = bounded(backend);
                asked.attempts = *attempt;
                asked.is_in(State::Sent, at);
            }
            Fact::QuestionHedged { question, .. } => {
                self.totals.sent += 1;
                self.totals.hedges += 1;
                if let Some(question) = self.open(*question) {
                    question.hedged = true;
                }
            }
            Fact::QuestionStarted { question, .. } => {
                if let Some(question) = self.open(*question).filter(|one| one.state() == Some(State::Sent)) {
                    question.is_in(State::Streaming, at);
                    question.heard = Some(at);
                }
            }
            Fact::QuestionProgress { question, tokens_per_second, tool, .. } => {
                if let Some(question) = self.open(*question).filter(|one| one.state() == Some(State::Streaming)) {
                    question.pace = *tokens_per_second;
                    (question.heard, question.tool) = (Some(at), tool.as_deref().map(bounded));
                }
            }
            Fact::QuestionStalled { question, lasted, tool, .. } => {
                if let Some(question) = self.open(*question).filter(|one| one.stalls.len() < MOST_STATES) {
                    question.stalls.push(Stall { at, lasted: *lasted, tool: tool.as_deref().map(bounded) });
                }
            }
            Fact::QuestionRetried { question, item, kind, reason, wait } => {
                self.totals.retries += 1;
                self.index.in_flight.remove(question);
                self.index.waiting.insert(*question);
                let Some(asked) = self.asked(at, *question, *item) else { return };
                if asked.retries.len() < MOST_STATES {
                    let (kind, reason) = (bounded(kind), bounded(reason));
                    asked.retries.push(Retry { at, kind, reason, wait: *wait });
                }
                asked.is_in(State::Retry, at);
            }
            Fact::QuestionSettled(settled) => self.question_settled(at, settled),
            Fact::BreakerChanged { state, reason, .. } => self.mark(at, MarkKind::Breaker, state, reason),
            Fact::LimitChanged { account, limit, before, reason } => {
                if self.limits.len() < MOST_MARKS {
                    let (account, reason) = (bounded(account), bounded(reason));
                    self.limits.push(Limit { at, account, limit: *limit, before: *before, reason });
                } else {
                    self.left_out.marks += 1;
                }
            }
            Fact::SafeModeChanged { account, safe, reason } => {
                let text = if *safe { format!("begins: {reason}") } else { format!("ends: {reason}") };
                self.mark(at, MarkKind::SafeMode, account, &text);
            }
            Fact::PolicyChanged { policy, reason, .. } => self.mark(at, MarkKind::Policy, policy, reason),
            Fact::Paused { by, at_once } => {
                self.paused = Some(bounded(by));
                let text = if *at_once { "what was under way is broken off" } else { "what is under way ends" };
                self.mark(at, MarkKind::Paused, by, text);
            }
            Fact::Resumed { by } => {
                self.paused = None;
                self.mark(at, MarkKind::Resumed, by, "");
            }
            Fact::Controlled { by, what, became } => {
                self.mark(at, MarkKind::Controlled, by, &format!("{what}: {became}"));
            }
            Fact::Sampled(sample) => self.sampled(at, sample),
            Fact::AlertRaised { alert, reason } => {
                if self.alerts.len() < MOST_STATES {
                    self.alerts.insert(bounded(alert), bounded(reason));
                }
                self.mark(at, MarkKind::Alert, alert, reason);
            }
            Fact::AlertCleared { alert, reason } => {
                self.alerts.remove(&bounded(alert));
                self.mark(at, MarkKind::AlertCleared, alert, reason);
            }
            Fact::DispatchStopped { reason } => self.mark(at, MarkKind::DispatchStopped, "", reason),
            Fact::Warned { message } => self.mark(at, MarkKind::Warning, "", message),
            Fact::Stopping { at_most } => {
                let text = format!("what is under way has {} s", at_most.as_secs());
                self.mark(at, MarkKind::Stopping, "", &text);
            }
            Fact::Ended { census, status } => {
                self.end_phase(at);
                self.close_questions(at, |_| true);
                self.index.in_flight.clear();
                (self.census, self.ended) = (*census, Some(Ended { at, census: *census, status: *status }));
            }
            // Of a secret the user is warned as well.
            Fact::AttemptEnded(_) | Fact::Decided { .. } | Fact::Logged { .. } | Fact::SecretFound { .. } => {}
        }
    }

    fn end_phase(&mut self, at: Duration) {
        if let Some(last) = self.phases.last_mut() {
            last.to.get_or_insert(at);
        }
    }

    fn mark(&mut self, at: Duration, kind: MarkKind, what: &str, text: &str) {
        if self.marks.len() < MOST_MARKS {
            self.marks.push(Mark { at, kind, what: bounded(what), text: bounded(text) });
        } else {
            self.left_out.marks += 1;
        }
    }

    fn worker_started(&mut self, at: Duration, worker: usize, segment: &str) {
        if self.workers.len() >= MOST_WORKERS {
            self.left_out.workers += 1;
            return;
        }
        self.index.workers.insert(worker, self.workers.len());
        self.workers.push(Worker { worker, segment: bounded(segment), from: at, ..Worker::default() });
    }

    fn worker(&mut self, worker: usize) -> Option<&mut Worker> {
        self.workers.get_mut(*self.index.workers.get(&worker)?)
    }

    /// So many more items are known, and pending.
    fn more_items(&mut self, items: u64) {
        self.index.known += items;
        self.count(None, None);
    }

    /// An item stands otherwise than before.
    fn count(&mut self, before: Option<&Outcome>, after: Option<&Outcome>) {
        let census = &mut self.census;
        if let Some(before) = before.and_then(|outcome| part(census, outcome)) {
            *before = before.saturating_sub(1);
        }
        if let Some(after) = after.and_then(|outcome| part(census, outcome)) {
            *after += 1;
        }
        let ended = census.done + census.cached + census.fallback + census.failed + census.skipped;
        // The conclusion is an item that no plan counts.
        census.items = self.index.known.max(ended);
        census.pending = census.items - ended;
    }

    /// The place of an item, which is made where it was not told of yet; none: there are too many.
    pub(super) fn item_place(&mut self, item: usize) -> Option<usize> {
        if let Some(place) = self.index.items.get(&item) {
            return Some(*place);
        }
        if self.items.len() >= MOST_ITEMS {
            self.left_out.items += 1;
            return None;
        }
        let place = self.items.len();
        self.index.items.insert(item, place);
        self.items.push(Item { item, ..Item::default() });
        Some(place)
    }

    fn item(&mut self, item: usize) -> Option<&mut Item> {
        let place = self.item_place(item)?;
        self.items.get_mut(place)
    }

    fn item_started(
        &mut self,
        at: Duration,
        worker: usize,
        (item, attempt): (usize, u32),
        (id, label): (&str, &str),
        group: Option<&str>,
    ) {
        let holder = self.index.workers.get(&worker).copied();
        let place = self.item_place(item);
        // Those of who had it before, which may still be told to have given it back.
        self.close_unsent(at, item);
        if let Some(item) = place.and_then(|place| self.items.get_mut(place)) {
            item.id = bounded(id);
            item.label = bounded(label);
            item.group = group.map(bounded);
            item.worker = holder;
            item.attempts = attempt;
            item.from.get_or_insert(at);
            item.progress = None;
        }
        let Some(holder) = holder.and_then(|place| self.workers.get_mut(place)) else { return };
        if holder.holds.len() < MOST_HOLDS {
            holder.holds.push(Hold { item: place, attempt, from: at, to: None, end: None });
        } else {
            self.left_out.workers += 1;
        }
    }

    /// A worker lets an item go.
    fn let_go(&mut self, at: Duration, worker: usize, item: usize, end: &'static str) {
        let place = self.place_of_item(item);
        let Some(worker) = self.worker(worker) else { return };
        // It is among the last: a worker holds one at a time, but for what comes late.
        let hold = worker.holds.iter_mut().rev().take(4).find(|hold| hold.item == place && hold.to.is_none());
        if let Some(hold) = hold {
            (hold.to, hold.end) = (Some(at), Some(end));
        }
    }

    fn item_ended(&mut self, at: Duration, worker: Option<usize>, item: usize, outcome: &Outcome) {
        let kept = bounded_outcome(outcome);
        let before = self.item(item).and_then(|item| {
            item.to = Some(at);
            item.progress = None;
            item.outcome.replace(kept)
        });
        self.count(before.as_ref(), Some(outcome));
        self.close_unsent(at, item);
        if let Some(worker) = worker {
            self.let_go(at, worker, item, outcome.name());
        }
    }

    fn item_returned(&mut self, at: Duration, worker: usize, item: usize, reason: &str) {
        let holder = self.index.workers.get(&worker).copied();
        let place = self.item_place(item);
        let mut is_its = true;
        if let Some(item) = place.and_then(|place| self.items.get_mut(place)) {
            // Another worker may have it already.
            is_its = item.worker == holder;
            if is_its {
                item.progress = None;
            }
            if item.returned.len() < MOST_STATES {
                item.returned.push(Returned { at, worker, reason: bounded(reason) });
            }
        }
        if is_its {
            self.close_unsent(at, item);
        }
        self.let_go(at, worker, item, "returned");
    }

    fn sampled(&mut self, at: Duration, sample: &Sample) {
        self.index.every = self.index.every.max(1);
        let is_kept = self.index.sampled.is_multiple_of(self.index.every);
        self.index.sampled += 1;
        if !is_kept {
            self.left_out.samples += 1;
            return;
        }
        if self.samples.len() >= MOST_SAMPLES {
            let before = self.samples.len();
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.left_out.samples += (before - self.samples.len()) as u64;
            self.index.every *= 2;
        }
        self.samples.push(Sampled { at, sample: sample.clone() });
    }
}

/// The part of the census that counts it.
fn part<'a>(census: &'a mut Census, outcome: &Outcome) -> Option<&'a mut u64> {
    match outcome {
        Outcome::Done => Some(&mut census.done),
        Outcome::Cached => Some(&mut census.cached),
        Outcome::Fallback(_) => Some(&mut census.fallback),
        Outcome::Failed(_) => Some(&mut census.failed),
        Outcome::Skipped(_) => Some(&mut census.skipped),
        Outcome::Pending => None,
    }
}

fn bounded_outcome(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Fallback(reason) => Outcome::Fallback(bounded(reason)),
        Outcome::Failed(reason) => Outcome::Failed(bounded(reason)),
        Outcome::Skipped(reason) => Outcome::Skipped(bounded(reason)),
        Outcome::Done | Outcome::Cached | Outcome::Pending => outcome.clone(),
    }
}

/// A text, shortened where it is longer than is kept.
pub(super) fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
