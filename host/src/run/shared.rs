//! What the workers of a run have in common: the board, the journal, and who answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::board::Board;
use convoke_runtime::event::{Events, Fact};
use convoke_runtime::journal::{ItemEnd, Journal, JournalError, ReadSet, RunId};
use convoke_runtime::question::{Failure, FailureKind};
use convoke_runtime::work::{Item, Outcome, Partial};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::answers::Answers;
use super::assess::Identity;
use super::tried::Tried;

/// What the workers of a run have in common.
pub struct Shared {
    /// How the items stand.
    pub board: Mutex<Board>,
    /// Told whenever the board has changed.
    pub changed: Notify,
    /// Told when another worker may be needed.
    pub stirred: Notify,
    /// What became of the items that have ended, by their number.
    pub ended: Mutex<HashMap<usize, Ended>>,
    /// How the items would have ended that failed in a way that passes, and are done again at the end; by their number.
    pub aside: Mutex<HashMap<usize, End>>,
    /// Where it is written.
    pub journal: Journal,
    /// The run.
    pub run: RunId,
    /// What the user ran.
    pub command: Arc<str>,
    /// What keys are made of.
    pub identity: Identity,
    /// Who answers.
    pub answers: Answers,
    /// Where it is told.
    pub events: Events,
    /// Other hosts at work on the project; none: it does not matter what they do.
    pub beside: Option<super::beside::Beside>,
    /// What came to nothing so far.
    pub tried: Arc<Tried>,
}

/// What became of an item, beside its outcome.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// What its plugin reported.
    pub partial: Option<Partial>,
    /// What it read.
    pub reads: ReadSet,
    /// What its plugin wrote.
    pub log: String,
}

/// An end that is to be written down.
pub struct End {
    /// The item's number.
    pub number: usize,
    /// The item.
    pub item: Item,
    /// How it ended.
    pub outcome: Outcome,
    /// What became of it.
    pub ended: Ended,
    /// How long it was in hands.
    pub took: Duration,
    /// How often it was tried.
    pub attempts: u32,
    /// The run whose result is used again.
    pub reused: Option<RunId>,
}

impl Shared {
    /// The board.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the items would have ended that are done again.
    pub fn aside(&self) -> MutexGuard<'_, HashMap<usize, End>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of the items that have ended.
    pub fn ended(&self) -> MutexGuard<'_, HashMap<usize, Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an end to the journal. What could not be written has not happened: the item has failed, and why.
    pub async fn write_end(&self, mut end: End) -> (End, Result<(), JournalError>) {
        let written = self
            .journal
            .finish_item(
                &self.run,
                ItemEnd {
                    item: end.item.id.clone(),
                    outcome: end.outcome.clone(),
                    partial: end.ended.partial.clone(),
                    reads: end.ended.reads.clone(),
                    reused: end.reused,
                    took: end.took,
                    attempts: end.attempts,
                    log: end.ended.log.clone(),
                    ended: Timestamp::now(),
                },
            )
            .await;
        if let Err(error) = &written {
            self.stop_where_unwritten(error).await;
            end.outcome = Outcome::Failed(format!("its result could not be written down: {error}"));
            end.ended.partial = None;
        }
        (end, written)
    }

    /// Where the journal's storage fails nothing more is asked: it would be paid for, and lost.
    pub async fn stop_where_unwritten(&self, error: &JournalError) {
        if error.is_storage() {
            let hint = error.hint().map(|hint| format!(". {hint}")).unwrap_or_default();
            self.answers.broker().halt(Failure::new(FailureKind::Journal, format!("{error}{hint}"))).await;
        }
    }

    /// Whether that has happened.
    pub fn is_unwritten(&self) -> bool {
        self.answers.broker().stopped().borrow().as_ref().is_some_and(|failure| failure.kind == FailureKind::Journal)
    }

    /// Makes an end known: to the workers, and to all who listen. It must be written first.
    pub async fn make_known(&self, worker: Option<usize>, end: End) {
        let Self { events, changed, .. } = self;
        self.note_last_attempt(worker, &end);
        let (item, outcome, took) = (end.number, end.outcome.clone(), end.took);
        self.let_go(&end.item);
        self.ended().insert(end.number, end.ended);
        changed.notify_waiters();
        events.tell(Fact::ItemEnded { worker, item, outcome, took }).await;
    }

    /// Ends the items that were to be done again, and were not, as they would have ended.
    pub async fn settle_aside(&self) {
        let aside = std::mem::take(&mut *self.aside());
        if self.is_unwritten() {
            // They stay pending: that is what the journal says of them.
            return;
        }
        for (number, End { outcome, ended, .. }) in aside {
            // One that has ended meanwhile is done, or has failed otherwise.
            let is_open = self.board().outcome(number).is_some_and(|outcome| !outcome.has_ended());
            if is_open {
                self.settle(number, outcome, ended, None).await;
            }
        }
    }

    /// Ends an item that nobody holds.
    pub async fn settle(&self, number: usize, outcome: Outcome, ended: Ended, reused: Option<RunId>) {
        let Some(item) = self.board().item(number).cloned() else { return };
        let attempts = self.board().attempts(number);
        let end = End { number, item, outcome, ended, took: Duration::ZERO, attempts, reused };
        let (end, _) = self.write_end(end).await;
        // It fails where the item has ended meanwhile; then there is nothing to make known.
        if self.board().settle(number, end.outcome.clone()).is_ok() {
            self.make_known(None, end).await;
        }
    }
}
