//! What the workers of a run have in common: the board, the journal, and who answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use convoke_runtime::board::{Awaited, Board, BoardError};
use convoke_runtime::event::{Events, Fact};
use convoke_runtime::journal::{ItemEnd, Journal, JournalError, ReadSet, RunId, Written};
use convoke_runtime::outcome::{Ending, Standing};
use convoke_runtime::question::{Failure, FailureKind};
use convoke_runtime::work::{Item, Outcome, Partial};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::answers::Answers;
use super::assess::Identity;
use super::orders::Orders;
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
    /// How the conclusion stands, which has no place at the board.
    pub conclusion: Mutex<Standing>,
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
    /// What is wished of its items from outside.
    pub orders: Orders,
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

/// Who ends an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The worker that holds it.
    Worker(usize),
    /// The worker that holds it, and has not begun it.
    Unbegun(usize),
    /// Nobody holds it.
    Nobody,
    /// It is the conclusion.
    Conclusion,
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

    /// How the conclusion stands.
    pub fn conclusion(&self) -> MutexGuard<'_, Standing> {
        self.conclusion.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the items would have ended that are done again.
    pub fn aside(&self) -> MutexGuard<'_, HashMap<usize, End>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of the items that have ended.
    pub fn ended(&self) -> MutexGuard<'_, HashMap<usize, Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partial of an item that `worker` wants to know, if it has one; pending until it has ended, as
    /// [`Board::await_item`] says. Both are one look: a moment later it may be done again.
    ///
    /// # Errors
    /// The worker can't wait for it.
    pub fn await_item(&self, worker: usize, id: &str) -> Result<Poll<Option<Partial>>, BoardError> {
        let mut board = self.board();
        Ok(match board.await_item(worker, id)? {
            Awaited::Waiting => Poll::Pending,
            Awaited::Ended(number) => Poll::Ready(self.ended().get(&number).and_then(|ended| ended.partial.clone())),
        })
    }

    /// Ends an item: written first, then ended where it stands, then known. Every end that a run comes to by itself goes
    /// through here, the conclusion's too. Returns the outcome, and whether it could be written.
    ///
    /// # Errors
    /// The item can't end now: it has ended, or another one holds it. Then nothing is made known.
    pub async fn close(&self, by: By, end: End) -> Result<(Outcome, Result<(), JournalError>), BoardError> {
        let (mut end, ending, written) = self.write(end).await;
        let ended = std::mem::take(&mut end.ended);
        {
            // Both under the board's lock: who sees there that it has ended finds what became of it.
            let mut board = self.board();
            match by {
                By::Worker(worker) | By::Unbegun(worker) => board.finish(worker, end.number, ending)?,
                By::Nobody => board.settle(end.number, ending)?,
                By::Conclusion => {
                    let ended = self.conclusion().end(ending);
                    ended.map_err(|misstep| BoardError::Misstep { item: end.item.id.clone(), misstep })?;
                }
            }
            self.ended().insert(end.number, ended);
        }
        let worker = match by {
            By::Worker(worker) => Some(worker),
            By::Unbegun(_) | By::Nobody | By::Conclusion => None,
        };
        let outcome = end.outcome.clone();
        self.tell_end(worker, end).await;
        Ok((outcome, written))
    }

    /// Writes the end of an item that the board has ended as failed, with its worker.
    pub async fn write_end(&self, end: End) -> (End, Result<(), JournalError>) {
        let (end, _, written) = self.write(end).await;
        (end, written)
    }

    /// Writes an end to the journal. What could not be written has not happened. A record that can't be written for its
    /// own sake is a failure, and that is written; where the storage fails the item stays pending for the next run.
    async fn write(&self, mut end: End) -> (End, Ending, Result<(), JournalError>) {
        let error = match self.finish(&end).await {
            Ok(written) => return (end, written.into(), Ok(())),
            Err(error) => error,
        };
        self.stop_where_unwritten(&error).await;
        end.outcome = Outcome::Failed(format!("its result could not be written down: {error}"));
        end.ended.partial = None;
        let again = if error.is_storage() { None } else { self.finish(&end).await.ok() };
        let ending = again.map_or_else(|| Ending::failed(end.outcome.reason().unwrap_or_default()), Ending::from);
        (end, ending, Err(error))
    }

    async fn finish(&self, end: &End) -> Result<Written, JournalError> {
        let end = ItemEnd {
            item: end.item.id.clone(),
            outcome: end.outcome.clone(),
            partial: end.ended.partial.clone(),
            reads: end.ended.reads.clone(),
            reused: end.reused,
            took: end.took,
            attempts: end.attempts,
            log: end.ended.log.clone(),
            ended: Timestamp::now(),
        };
        self.journal.finish_item(&self.run, end).await
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

    /// Makes an end known that stands at the board already: to the workers, and to all who listen. It must be written
    /// first.
    pub async fn make_known(&self, worker: Option<usize>, mut end: End) {
        self.ended().insert(end.number, std::mem::take(&mut end.ended));
        self.tell_end(worker, end).await;
    }

    async fn tell_end(&self, worker: Option<usize>, end: End) {
        let Self { events, changed, .. } = self;
        self.note_last_attempt(worker, &end);
        let (item, outcome, took) = (end.number, end.outcome.clone(), end.took);
        self.let_go(&end.item);
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
        // It fails where the item has ended meanwhile; then there is nothing to make known.
        let _ = self.close(By::Nobody, end).await;
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use convoke_runtime::broker::BrokerConfig;
    use convoke_runtime::event::Events;

    use super::*;
    use crate::run::steer::fixture::{broker, shared};

    /// Holds what is known of the items that have ended, and gives those time who come from the board and want to know it:
    /// until `done` is true, or somebody keeps the board and waits for what is held here; then false.
    fn hold_ended(run: &Shared, mut done: impl FnMut(&mut Board, &mut HashMap<usize, Ended>) -> bool) -> bool {
        let mut known = run.ended();
        let mut kept_out = 0;
        while kept_out < 1_000 {
            kept_out += 1;
            if let Ok(mut board) = run.board.try_lock() {
                kept_out = 0;
                if done(&mut board, &mut known) {
                    return true;
                }
            }
            thread::yield_now();
        }
        false
    }

    #[tokio::test]
    async fn who_sees_that_an_item_has_ended_finds_what_became_of_it() {
        const ITEMS: usize = 20;
        let events = Events::new();
        let run = shared(ITEMS, &events, broker(&events, BrokerConfig::default()));
        let other = run.clone();
        let looking = thread::spawn(move || {
            let has_ended = |board: &Board, number| board.outcome(number).is_some_and(Outcome::has_ended);
            let found = |number: usize| {
                let mut is_known = false;
                let seen = hold_ended(&other, |board, known| {
                    is_known = known.contains_key(&number);
                    has_ended(board, number)
                });
                while !seen && !has_ended(&other.board(), number) {
                    thread::yield_now();
                }
                if seen { is_known } else { other.ended().contains_key(&number) }
            };
            // Not beyond the first: its end waits for what would be held again.
            (0..ITEMS).find(|number| !found(*number))
        });
        for number in 0..ITEMS {
            run.settle(number, Outcome::Skipped("not wanted".to_owned()), Ended::default(), None).await;
        }
        assert_eq!(looking.join().unwrap(), None, "has ended, and nobody knows how");
    }

    #[test]
    fn what_is_done_again_is_waited_for_or_seen_as_it_was() {
        let events = Events::new();
        let run = shared(1, &events, broker(&events, BrokerConfig::default()));
        {
            let mut board = run.board();
            board.join(0).unwrap();
            board.take(0).unwrap();
            let child = Item { id: "child".to_owned(), weight: 1, ..Item::default() };
            let added = board.add(0, 0, vec![child]).unwrap().new;
            board.publish(&added);
        }
        for round in 0..20 {
            {
                let mut board = run.board();
                board.settle(1, Ending::failed("so far")).unwrap();
                run.ended().insert(1, Ended { partial: Some(Partial::default()), ..Ended::default() });
            }
            let other = run.clone();
            let waiting = thread::spawn(move || other.await_item(0, "child").unwrap());
            let mut looks = 0;
            let is_reopened = hold_ended(&run, |board, known| {
                looks += 1;
                let is_time = looks == 1_000;
                if is_time {
                    board.reopen(1).unwrap();
                    known.remove(&1);
                }
                is_time
            });
            let seen = waiting.join().unwrap();
            assert_ne!(seen, Poll::Ready(None), "round {round}: it has ended with a partial, each time");
            if !is_reopened {
                run.board().reopen(1).unwrap();
            }
        }
    }
}
