//! What is wished of items from outside while the workers are at them: that one is not done, or done again.
//!
//! The supervisor carries wishes out, one after the other, so that none meets an end half way. What becomes of an item is
//! written down first, as any end.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use convoke_runtime::board::{Board, BoardError};
use convoke_runtime::event::Fact;
use convoke_runtime::journal::ItemRecord;
use convoke_runtime::work::Outcome;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::execute::Supervisor;
use super::shared::Ended;
use super::steer::Refused;

/// So many wishes may wait. They take milliseconds each.
const MOST: usize = 64;

/// What is wished of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is not to be done.
    Cancel,
    /// It is to be done again.
    Requeue,
}

/// What an item is called by who wishes something of it. In JSON a number or a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Called {
    /// Its number, as events have it: no other item has it, whatever it is called.
    Number(usize),
    /// Its id, or a label that it alone has.
    Name(String),
}

impl Called {
    /// The number of the item.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub(super) fn find(&self, board: &Board) -> Result<usize, BoardError> {
        match self {
            Self::Number(number) if board.item(*number).is_some() => Ok(*number),
            Self::Number(number) => Err(BoardError::UnknownNumber { number: *number }),
            Self::Name(name) => board.find(name),
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "number {number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A wish, and who waits for what becomes of it.
#[derive(Debug)]
pub struct Order {
    /// What is wished.
    pub wish: Wish,
    /// Of which item, by its number.
    pub item: usize,
    /// Who wishes it.
    pub by: String,
    answer: oneshot::Sender<Result<String, Refused>>,
}

impl Order {
    /// Why it is done, for the journal and the report.
    pub(super) fn reason(&self) -> String {
        match self.wish {
            Wish::Cancel => format!("cancelled by {}", self.by),
            Wish::Requeue => format!("taken back by {}", self.by),
        }
    }

    /// It is done.
    pub(super) fn done(self, became: &str) {
        // Who asked may have gone.
        let _ = self.answer.send(Ok(became.to_owned()));
    }

    /// It can't be done.
    pub(super) fn refuse(self, why: &str) {
        let _ = self.answer.send(Err(Refused::because(why)));
    }
}

/// The wishes that wait for the supervisor.
#[derive(Debug)]
pub struct Orders {
    sender: Mutex<Option<mpsc::Sender<Order>>>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Order>>,
}

impl Default for Orders {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MOST);
        Self { sender: Mutex::new(Some(sender)), receiver: tokio::sync::Mutex::new(receiver) }
    }
}

impl Orders {
    /// Gives a wish to the supervisor, and waits for what becomes of it.
    ///
    /// # Errors
    /// It can't be done, and why.
    pub(super) async fn give(&self, wish: Wish, item: usize, by: &str) -> Result<String, Refused> {
        let late = || Refused::because("all items of the run have ended: it puts the results together");
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(late)?;
        let (answer, answered) = oneshot::channel();
        let order = Order { wish, item, by: by.to_owned(), answer };
        sender.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::because("too much is wished at once: try again"),
            mpsc::error::TrySendError::Closed(_) => late(),
        })?;
        answered.await.unwrap_or_else(|_| Err(late()))
    }

    /// The next wish. It never ends: the sender is here until they are [closed](Self::close), and nobody waits after that.
    pub(super) async fn next(&self) -> Order {
        match self.receiver.lock().await.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// No wish is heard any more; those that wait are refused.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Ok(mut receiver) = self.receiver.try_lock() {
            receiver.close();
            while receiver.try_recv().is_ok() {}
        }
    }
}

impl Supervisor<'_> {
    /// Carries a wish out.
    pub(super) async fn obey(&mut self, order: Order) {
        let number = order.item;
        let (draining, holder, outcome) = {
            let board = self.shared.board();
            let draining = board.draining().map(str::to_owned);
            (draining, board.holder(number), board.outcome(number).cloned().unwrap_or(Outcome::Pending))
        };
        if let Some(reason) = draining {
            return order.refuse(&format!("the run is being stopped: {reason}"));
        }
        match (order.wish, holder, &outcome) {
            (Wish::Requeue, Some(_), _) if !self.may_be_repeated(number) => {
                order.refuse("its plugin says that it must not be done twice, and it has begun");
            }
            (_, Some(worker), _) => self.let_go(worker, order),
            (Wish::Cancel, None, Outcome::Pending) => {
                // Not in the middle of an end of it that another host has brought.
                let _closed = match &self.shared.beside {
                    Some(beside) => Some(beside.closed.lock().await),
                    None => None,
                };
                let withheld = self.shared.board().withhold(number);
                match withheld {
                    Ok(()) => self.skip(number, order).await,
                    Err(error) => order.refuse(&error.to_string()),
                }
            }
            (Wish::Cancel, None, ended) => order.refuse(&format!("it has ended: {}", ended.name())),
            (Wish::Requeue, None, Outcome::Pending) => order.refuse("it is to be done anyway: nobody has begun it"),
            (Wish::Requeue, None, Outcome::Done | Outcome::Cached) => {
                order.refuse("it is done, and what is done stays so in this run: run it with --fresh to do all again");
            }
            (Wish::Requeue, None, _) if !self.may_be_repeated(number) => {
                order.refuse("its plugin says that it must not be done twice");
            }
            (Wish::Requeue, None, _) => self.reopen(number, order).await,
        }
    }

    fn may_be_repeated(&self, number: usize) -> bool {
        let board = self.shared.board();
        board.attempts(number) == 0 || board.item(number).is_some_and(|item| item.repeatable)
    }

    /// An item that is withheld is skipped.
    pub(super) async fn skip(&self, number: usize, order: Order) {
        self.shared.aside().remove(&number);
        self.shared.settle(number, Outcome::Skipped(order.reason()), Ended::default(), None).await;
        let outcome = self.shared.board().outcome(number).cloned().unwrap_or(Outcome::Pending);
        match outcome {
            Outcome::Skipped(_) => order.done("it is skipped"),
            other => order.refuse(&format!(
                "it is {}, and not skipped: {}",
                other.name(),
                other.reason().unwrap_or("its end could not be written down")
            )),
        }
    }

    /// An item that has ended is done again: its end becomes an attempt, in the journal first.
    async fn reopen(&self, number: usize, order: Order) {
        let shared = self.shared;
        let (record, attempts, seen) = {
            let board = shared.board();
            let Some(item) = board.item(number) else { return order.refuse("there is no such item") };
            let parent = board.parent(number).and_then(|parent| board.item(parent)).map(|parent| parent.id.clone());
            let record = ItemRecord {
                id: item.id.clone(),
                label: item.label.clone(),
                key: shared.identity.key(item),
                ordinal: number,
                parent,
            };
            (record, board.attempts(number), board.begun_after(number))
        };
        let (id, why) = (record.id.clone(), format!("requeued by {}", order.by));
        // Nobody can take it before it is written that it has not ended.
        let reopened = shared.board().reopen(number);
        let was = match reopened {
            Ok(was) => was,
            Err(error) => return order.refuse(&error.to_string()),
        };
        if let Err(error) = shared.journal.plan_again(&shared.run, record, why.clone()).await {
            // Its end still stands there, and so here.
            let stands = shared.journal.written(&shared.run).await.ok().and_then(|mut all| all.remove(&id));
            if let Some(written) = stands {
                // It is withheld, so it can end.
                let _ = shared.board().settle(number, written);
            }
            shared.stop_where_unwritten(&error).await;
            return order.refuse(&format!("it could not be written down: {error}"));
        }
        shared.ended().remove(&number);
        shared.note_reopened(number, attempts, &was, &why);
        shared.events.tell(Fact::ItemReopened { item: number, was: was.clone(), reason: why }).await;
        shared.board().hand_out(number);
        shared.changed.notify_waiters();
        let seen = match seen {
            0 => String::new(),
            1 => "; 1 item that comes after it has begun without the new result".to_owned(),
            seen => format!("; {seen} items that come after it have begun without the new result"),
        };
        order.done(&format!("it was {}, and is done again{seen}", was.name()));
    }
}

/// How long a wish may take until it is said that nothing came of it yet.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use convoke_runtime::allocate::Segment;
    use convoke_runtime::work::Item;

    use super::*;

    #[test]
    fn a_number_is_one_item_whatever_others_are_called() {
        let item = |id: &str, label: &str| Item { id: id.into(), label: label.into(), weight: 1, ..Item::default() };
        // One is called as another one's id, and two are called the same.
        let items = vec![item("one", "two"), item("two", "twin"), item("three", "twin")];
        let segment = Segment { label: "all".to_owned(), items: vec![0, 1, 2] };
        let board = Board::of(items, &[segment]).unwrap();
        let name = |name: &str| Called::Name(name.to_owned()).find(&board);
        assert_eq!((0..3).map(|number| Called::Number(number).find(&board)).collect::<Vec<_>>(), [Ok(0), Ok(1), Ok(2)]);
        assert_eq!((name("two"), name("three")), (Ok(1), Ok(2)));
        assert!(matches!(name("twin"), Err(BoardError::Ambiguous { .. })));
        assert_eq!(Called::Number(3).find(&board), Err(BoardError::UnknownNumber { number: 3 }));
    }
}
