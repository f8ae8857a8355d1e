//! What a run does for one worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use convoke_runtime::board::{BoardError, Passing, Take};
use convoke_runtime::broker::Asker;
use convoke_runtime::event::Fact;
use convoke_runtime::journal::{Became, Digest, ItemRecord, Read, Reusable};
use convoke_runtime::levels::Part;
use convoke_runtime::outcome::Ending as ItemEnding;
use convoke_runtime::question::{AnsweredBy, Failure, Question, Reply, StreamEvent};
use convoke_runtime::work::{Item, Outcome, Partial};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::beside::Begin;
use super::shared::{By, End, Ended, Shared};
use super::tried::Nothing;
use crate::plugin::imports::{Services, Task};
use crate::plugin::{Ending, Log, Refused};

/// A worker's place at the board.
#[derive(Clone)]
pub(super) struct Seat(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// The worker's number; none for the conclusion, which has no place at the board.
    worker: Option<usize>,
    log: Log,
    hands: Mutex<Hands>,
    /// How many ends are being written. The worker's own end waits for them.
    writing: watch::Sender<usize>,
    /// When its worker was started.
    started: Instant,
    /// Whether its plugin has asked for an item.
    is_ready: AtomicBool,
}

/// An end that is being written.
struct Writing(Seat);

impl Writing {
    fn begin(seat: &Seat) -> Self {
        seat.0.writing.send_modify(|count| *count += 1);
        Self(seat.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.0.writing.send_modify(|count| *count -= 1);
    }
}

#[derive(Default)]
struct Hands {
    since: Option<Instant>,
    items: u64,
    work: Duration,
}

/// The item was set aside, and has not ended.
struct SetAside;

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Items that it took.
    pub items: u64,
    /// How long it had an item in its hands.
    pub work: Duration,
}

impl Seat {
    /// For a worker that has joined the board.
    pub(super) fn new(shared: Arc<Shared>, worker: Option<usize>, log: Log) -> Self {
        Self(Arc::new(Inner {
            shared,
            worker,
            log,
            hands: Mutex::default(),
            writing: watch::Sender::new(0),
            started: Instant::now(),
            is_ready: AtomicBool::new(false),
        }))
    }

    /// What it has done so far.
    pub(super) fn done(&self) -> Done {
        let hands = self.hands();
        Done { items: hands.items, work: hands.work + hands.since.map_or(Duration::ZERO, |since| since.elapsed()) }
    }

    /// How long the item has been in its hands.
    pub(super) fn in_hands(&self) -> Duration {
        self.hands().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns when no end is being written any more.
    pub(super) async fn settled(&self) {
        // It can't fail: the sender lives as long as this seat.
        let _ = self.0.writing.subscribe().wait_for(|count| *count == 0).await;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task for an item that begins now.
    pub(super) fn begin(&self, number: usize, item: Item) -> Arc<Task> {
        let mut hands = self.hands();
        hands.since = Some(Instant::now());
        hands.items += 1;
        Arc::new(Task::new(number, item))
    }

    async fn take(&self) -> Result<Option<Arc<Task>>, Refused> {
        let shared = &self.0.shared;
        let Some(worker) = self.0.worker else { return Ok(None) };
        if !self.0.is_ready.swap(true, Ordering::Relaxed) {
            shared.events.tell(Fact::WorkerReady { worker, after: self.0.started.elapsed() }).await;
        }
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            // From here on nothing that changes is missed.
            changed.as_mut().enable();
            self.settled().await;
            let taken = shared.board().take(worker).map_err(refused)?;
            match taken {
                Take::Nothing => return Ok(None),
                Take::Wait => changed.await,
                Take::Item(number) => {
                    let (item, attempt) = {
                        let board = shared.board();
                        (board.item(number).cloned().unwrap_or_default(), board.attempts(number))
                    };
                    match shared.begin(&item).await {
                        Begin::Here => {}
                        Begin::Elsewhere => {
                            shared.leave_to_other(worker, number).map_err(refused)?;
                            continue;
                        }
                        Begin::Done(earlier) => {
                            // In a task of its own, as any end.
                            let (writing, earlier) = (Writing::begin(self), *earlier);
                            let ended = tokio::spawn(async move { writing.0.done_before(number, item, earlier).await });
                            ended.await.unwrap_or_else(|error| Err(Refused::new(error.to_string())))?;
                            continue;
                        }
                    }
                    let (id, label, group) = (item.id.clone(), item.label.clone(), item.group.clone());
                    let task = self.begin(number, item);
                    shared.events.tell(Fact::ItemStarted { worker, item: number, id, label, group, attempt }).await;
                    return Ok(Some(task));
                }
            }
        }
    }

    /// Ends the item in this worker's hands: written first, then known.
    ///
    /// In a task of its own: a worker that is ended in the middle must not leave an end that is written and unknown.
    fn end(&self, task: Arc<Task>, outcome: Outcome, partial: Option<Partial>) -> JoinHandle<Result<(), Refused>> {
        let writing = Writing::begin(self);
        tokio::spawn(async move { writing.0.write(&task, outcome, partial).await })
    }

    async fn write(&self, task: &Task, outcome: Outcome, partial: Option<Partial>) -> Result<(), Refused> {
        let shared = &self.0.shared;
        let took = self.hands().since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.hands().work += took;
        let attempts = self.0.worker.map_or(1, |_| shared.board().attempts(task.index));
        let ended = Ended { partial, reads: task.recorder.read_set(), log: self.0.log.tail() };
        let end = End { number: task.index, item: task.item.clone(), outcome, ended, took, attempts, reused: None };
        let by = self.0.worker.map_or(By::Conclusion, By::Worker);
        let (_, written) = shared.close(by, end).await.map_err(refused)?;
        let (was_again, level) = {
            let board = shared.board();
            (board.is_again(task.index), board.level())
        };
        if was_again {
            shared.events.stands(Part::Items, level, "what was set aside has been done again").await;
        }
        if shared.board().has_aside() {
            // It may have been the last before those.
            shared.stirred.notify_one();
        }
        written.map_err(|error| Refused::new(error.to_string()))
    }

    /// Another host has done the item in this worker's hands.
    async fn done_before(&self, number: usize, item: Item, earlier: Reusable) -> Result<(), Refused> {
        let (shared, Some(worker)) = (&self.0.shared, self.0.worker) else { return Ok(()) };
        let ended = Ended { partial: Some(earlier.partial), reads: earlier.reads, log: String::new() };
        let (outcome, reused) = (Outcome::Cached, Some(earlier.run));
        shared.note_beside(number, earlier.run);
        let end = End { number, item, outcome, ended, took: Duration::ZERO, attempts: 0, reused };
        let (_, written) = shared.close(By::Unbegun(worker), end).await.map_err(refused)?;
        written.map_err(|error| Refused::new(error.to_string()))
    }

    /// An item has failed in a way that passes by itself: it is done again when the others are done. Else how it ends.
    async fn set_aside(
        &self,
        task: &Task,
        outcome: Outcome,
        partial: &Partial,
        words: &str,
    ) -> Result<Outcome, SetAside> {
        let shared = &self.0.shared;
        let (Some(worker), number) = (self.0.worker, task.index) else { return Ok(outcome) };
        if !shared.answers.broker().lanes().may_answer() {
            return Ok(outcome);
        }
        let attempts = shared.board().attempts(number);
        let ended = Ended { partial: Some(partial.clone()), reads: task.recorder.read_set(), log: self.0.log.tail() };
        let (item, took) = (task.item.clone(), Duration::ZERO);
        let end = End { number, item, outcome: outcome.clone(), ended, took, attempts, reused: None };
        // Before the board knows: from then on it may be done again.
        let earlier = shared.aside().insert(number, end);
        let passing = shared.board().fail_in_passing(worker, number, words);
        if passing == Ok(Passing::Aside) {
            let took = self.hands().since.take().map_or(Duration::ZERO, |since| since.elapsed());
            self.hands().work += took;
            shared.let_go(&task.item);
            let nothing = Nothing {
                item: number,
                attempt: attempts,
                worker,
                became: Became::Aside,
                reason: words.to_owned(),
                log: self.0.log.tail(),
                took,
            };
            let told = format!("{words}; it is done again when the others are done");
            shared.came_to_nothing(nothing, told).await;
            let level = shared.board().level();
            let reason = format!("an item failed in a way that passes, and is set aside: {words}");
            shared.events.stands(Part::Items, level, &reason).await;
            shared.changed.notify_waiters();
            shared.stirred.notify_one();
            return Err(SetAside);
        }
        shared.aside().remove(&number);
        let is_quarantined = passing == Ok(Passing::Quarantined);
        if is_quarantined {
            shared.events.tell(Fact::Quarantined { item: number, reason: words.to_owned() }).await;
        }
        let tried = match (earlier, is_quarantined) {
            (None, _) => return Ok(outcome),
            (Some(_), true) => format!("tried {attempts} times, the last two failed in the same words"),
            (Some(_), false) => format!("tried {attempts} times"),
        };
        Ok(match outcome {
            Outcome::Fallback(reason) => Outcome::Fallback(format!("{reason} ({tried})")),
            Outcome::Failed(reason) => Outcome::Failed(format!("{reason} ({tried})")),
            other => other,
        })
    }

    async fn await_item(&self, task: &Task, id: &str) -> Result<Option<Partial>, Refused> {
        let shared = &self.0.shared;
        let Some(worker) = self.0.worker else {
            return Err(Refused::new("the conclusion is given the whole; it has no items of its own"));
        };
        let mut is_told = false;
        let partial = loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match shared.await_item(worker, id).map_err(refused)? {
                Poll::Ready(partial) => break partial,
                Poll::Pending => {
                    // The supervisor may have to start another worker for what this one waits for.
                    shared.stirred.notify_one();
                    // Where all is done one by one, another one may go on meanwhile.
                    if !std::mem::replace(&mut is_told, true) {
                        shared.changed.notify_waiters();
                    }
                    changed.await;
                }
            }
        };
        let sha256 = partial.as_ref().map(|partial| {
            // A partial is numbers, texts and lists: it always serialises.
            Digest::of(serde_json::to_string(partial).unwrap_or_default().as_bytes())
        });
        let noted = task.recorder.note(Read::Partial { item: id.to_owned(), sha256 });
        noted.map_err(|error| Refused::new(error.to_string()))?;
        Ok(partial)
    }

    async fn add_items(&self, task: &Task, items: Vec<Item>) -> Result<(), Refused> {
        let shared = &self.0.shared;
        let Some(worker) = self.0.worker else { return Err(Refused::new("the conclusion adds no items")) };
        let added = shared.board().add(worker, task.index, items).map_err(refused)?;
        let records: Vec<ItemRecord> = {
            let board = shared.board();
            let new = added.new.iter().filter_map(|number| Some((*number, board.item(*number)?)));
            new.map(|(number, item)| ItemRecord {
                id: item.id.clone(),
                label: item.label.clone(),
                key: shared.identity.key(item),
                ordinal: number,
                parent: Some(task.item.id.clone()),
            })
            .collect()
        };
        let written = shared.journal.record_items(&shared.run, records).await;
        if let Err(error) = written {
            shared.stop_where_unwritten(&error).await;
            for number in added.new {
                let ending = ItemEnding::failed(format!("it could not be written down: {error}"));
                // It was added just now, and nobody can have taken it.
                let _ = shared.board().settle(number, ending);
            }
            return Err(Refused::new(error.to_string()));
        }
        shared.board().publish(&added.new);
        shared.changed.notify_waiters();
        shared.stirred.notify_one();
        shared.events.tell(Fact::ItemsAdded { parent: task.index, items: added.new.len() }).await;
        Ok(())
    }
}

fn refused(error: BoardError) -> Refused {
    Refused::new(error.to_string())
}

impl Services for Seat {
    fn next(&self) -> BoxFuture<'_, Result<Option<Arc<Task>>, Refused>> {
        Box::pin(self.take())
    }

    fn ask<'a>(
        &'a self,
        task: &'a Arc<Task>,
        question: Question,
        listener: &'a mut (dyn FnMut(StreamEvent) + Send),
    ) -> BoxFuture<'a, Result<Reply, Failure>> {
        Box::pin(async move {
            let shared = &self.0.shared;
            let asker = Asker {
                command: shared.command.clone(),
                item: task.index,
                item_id: Arc::from(task.item.id.as_str()),
                again: shared.board().is_again(task.index),
            };
            if let Some(error) = shared.journal.trouble() {
                shared.stop_where_unwritten(&error).await;
            }
            let answer = shared.answers.ask(&asker, question, listener).await;
            let passing = match &answer {
                _ if !shared.answers.does_again() => None,
                Ok(Reply { passing: true, by: AnsweredBy::Fallback(words), .. }) => Some(words),
                Err(failure) if failure.kind.is_transient() => Some(&failure.message),
                _ => None,
            };
            if let Some(words) = passing {
                task.record().passing = Some(words.clone());
            }
            answer
        })
    }

    fn result_of<'a>(&'a self, task: &'a Arc<Task>, id: &'a str) -> BoxFuture<'a, Result<Option<Partial>, Refused>> {
        Box::pin(self.await_item(task, id))
    }

    fn add<'a>(&'a self, task: &'a Arc<Task>, items: Vec<Item>) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(self.add_items(task, items))
    }

    fn progress(&self, task: &Task, done: f32, note: &str) {
        let note = note.chars().take(200).collect();
        self.0.shared.events.mention(Fact::ItemProgress { item: task.index, done: done.clamp(0.0, 1.0), note });
    }

    fn finish<'a>(&'a self, task: &'a Arc<Task>, ending: Ending) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            let (fallback, passing, edits) = {
                let mut record = task.record();
                if record.ended {
                    return Err(Refused::new(format!("item {:?} has ended already", task.item.id)));
                }
                if let Some(reason) = &record.stopped {
                    return Err(Refused::new(format!("the run is being stopped: {reason}")));
                }
                record.ended = true;
                (record.fallback.take(), record.passing.take(), std::mem::take(&mut record.edits))
            };
            let missed = task.recorder.missed();
            let (outcome, mut partial) = match (ending, fallback) {
                (Ending::Done(partial), None) => (Outcome::Done, partial),
                (Ending::Done(partial), Some(reason)) => (Outcome::Fallback(reason), partial),
                (Ending::Failed(reason, partial), _) => (Outcome::Failed(reason), partial),
                (Ending::Skipped(reason, partial), _) => (Outcome::Skipped(reason), partial),
            };
            // Whatever its plugin made of it: this is not what the recorded run would have done.
            let outcome = missed.map_or(outcome, Outcome::Failed);
            partial.edits.extend(edits);
            let outcome = match passing {
                Some(words) if matches!(outcome, Outcome::Fallback(_) | Outcome::Failed(_)) => {
                    match self.set_aside(task, outcome, &partial, &words).await {
                        Ok(outcome) => outcome,
                        Err(SetAside) => return Ok(()),
                    }
                }
                _ => outcome,
            };
            let ended = self.end(task.clone(), outcome, Some(partial)).await;
            ended.unwrap_or_else(|error| Err(Refused::new(format!("the end was not written: {error}"))))
        })
    }

    fn dropped(&self, task: &Arc<Task>) {
        let refused = {
            let mut record = task.record();
            // The conclusion's own error says more than that it was let go.
            if record.ended || record.stopped.is_some() || self.0.worker.is_none() {
                return;
            }
            record.ended = true;
            record.refused.take()
        };
        let why = refused.map_or_else(String::new, |why| format!(" after its result was refused: {why}"));
        let outcome = Outcome::Failed(format!("its plugin let it go without finishing it{why}"));
        // Nobody waits for it: what can't be written is told with the item itself.
        drop(self.end(task.clone(), outcome, None));
    }
}
