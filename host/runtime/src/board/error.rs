//! What can be wrong with items, and with what is asked of the board.

use crate::outcome::Misstep;

/// Why the board refused. It is then as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// Two items have the same id.
    #[error("two items have the id {id:?}")]
    DuplicateId {
        /// Theirs.
        id: String,
    },
    /// An item comes after one that there is not.
    #[error("item {item:?} comes after {after:?}, which is not an item of this run{}", suggestion(near.as_deref()))]
    UnknownAfter {
        /// The item.
        item: String,
        /// The id that it names.
        after: String,
        /// An id that is nearly the same.
        near: Option<String>,
    },
    /// Items come after each other in a circle.
    #[error("items come after each other in a circle: {}", .items.join(" after "))]
    Cycle {
        /// Their ids; the last is the first again.
        items: Vec<String>,
    },
    /// No item has this id.
    #[error("there is no item {id:?} in this run")]
    UnknownItem {
        /// As it was asked for.
        id: String,
    },
    /// No item has this number.
    #[error("there is no item number {number} in this run")]
    UnknownNumber {
        /// As it was asked for.
        number: usize,
    },
    /// An item stands in two segments, or in one although it is cached.
    #[error("item {id:?} is dealt twice, or dealt although it is cached")]
    DealtTwice {
        /// The item's id.
        id: String,
    },
    /// The worker has not joined, or has left.
    #[error("worker {worker} is not at work")]
    UnknownWorker {
        /// Its number.
        worker: usize,
    },
    /// The worker has joined before.
    #[error("worker {worker} is at work already")]
    WorkerExists {
        /// Its number.
        worker: usize,
    },
    /// A worker takes one item at a time.
    #[error("worker {worker} takes another item before it has finished {item:?}")]
    StillHolds {
        /// Its number.
        worker: usize,
        /// What it holds.
        item: String,
    },
    /// Only the worker that holds an item may finish it, add to it, or wait in its name.
    #[error("item {item:?} is not in the hands of worker {worker}")]
    NotHolder {
        /// The worker's number.
        worker: usize,
        /// The item's id.
        item: String,
    },
    /// An item ends once.
    #[error("item {item:?} has ended already")]
    Ended {
        /// The item's id.
        item: String,
    },
    /// A worker holds the item: only that one may end it.
    #[error("item {item:?} is in the hands of worker {worker}")]
    Held {
        /// The item's id.
        item: String,
        /// Who holds it.
        worker: usize,
    },
    /// `pending` is no end.
    #[error("item {item:?} can't end as pending")]
    NotAnEnd {
        /// The item's id.
        item: String,
    },
    /// What the journal has written is the end of another item.
    #[error("the end that is written is not that of item {item:?}")]
    EndOfAnother {
        /// The item's id.
        item: String,
    },
    /// An item goes from state to state only as the table says.
    #[error("item {item:?}: {misstep}")]
    Misstep {
        /// The item's id.
        item: String,
        /// What can't be.
        misstep: Misstep,
    },
    /// Items add items only so deep.
    #[error("item {item:?} can't add items: it is added {depth} deep, and that is the limit")]
    TooDeep {
        /// The item that would add some.
        item: String,
        /// How deep it is.
        depth: usize,
    },
    /// An item adds only so many.
    #[error("item {item:?} can't add {wanted} items: the limit is {limit}")]
    TooMany {
        /// The item that would add some.
        item: String,
        /// How many it would have added in all.
        wanted: usize,
        /// How many it may add.
        limit: usize,
    },
    /// An item may ask for the results of items that it comes after or has added, and of no others.
    #[error("item {item:?} neither comes after {id:?} nor has added it")]
    NotRelated {
        /// The item that asks.
        item: String,
        /// The one it asks for.
        id: String,
    },
    /// Each would wait for the other.
    #[error("item {item:?} can't wait for {id:?}: {}", .circle.join(" waits for "))]
    WouldNeverEnd {
        /// The item that asks.
        item: String,
        /// The one it asks for.
        id: String,
        /// Each waits for the next; the last is the first again.
        circle: Vec<String>,
    },
    /// Several items have the label.
    #[error("several items have the label {label:?}: name one by its id")]
    Ambiguous {
        /// The label.
        label: String,
    },
    /// The run is being stopped.
    #[error("the run is being stopped: {reason}")]
    Draining {
        /// Why.
        reason: String,
    },
}

fn suggestion(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}
