//! How the items of a run stand, and who gets which next.
//!
//! A state machine without clock, files or threads: whoever runs the workers keeps it behind a lock, asks it, and wakes
//! those that wait whenever something has changed. Its rules:
//!
//! - Workers pull. A worker takes what a dead one gave back, else what others wait for, else the next ready item of its
//!   own segment, else of the segment with the most weight left. What is waited for goes first because who waits keeps its
//!   sandbox: so there are never many more of them than workers.
//! - An item is ready when all items that it comes `after` have ended, however they ended: it sees their results, and a
//!   result may be none.
//! - Items with a common path in `writes` are never in two workers' hands at the same time. A path is common too with one
//!   that it is inside of. Each may ask for the result of the other, if that has ended.
//! - An item ends once, by the worker that holds it, and only with the journal's word for it: [`outcome`](crate::outcome)
//!   has the states and the ways between them. One whose worker died goes to another, [`ATTEMPTS`] times in all
//!   and only if it is repeatable.
//! - One that failed in a way that passes by itself is set aside, and done again when the others are done.
//! - No item waits for ever: what would wait in a circle is refused when it begins to.
//! - Who watches may pause it, have more or fewer workers, and take items back.

mod again;
mod elsewhere;
mod error;
mod graph;
mod lines;
mod live;
mod paths;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::allocate::Segment;
use crate::outcome::{Ending, Misstep, Standing};
use crate::policy::builtin::PartialProfile;
use crate::work::{Census, Item, Outcome};

pub use again::Passing;
pub use error::BoardError;
pub use paths::{normalised, overlap};

use lines::Line;
use paths::Paths;

/// How many workers may have an item before it fails.
pub const ATTEMPTS: u32 = 2;
/// How deep items may add items, and how many each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nesting {
    /// Those of the plan are 0 deep; one that is so deep adds none.
    pub depth: usize,
    /// How many items an item may add.
    pub width: usize,
}

impl Default for Nesting {
    fn default() -> Self {
        Self { depth: 3, width: 32 }
    }
}

/// What a worker gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The item of this number.
    Item(usize),
    /// Nothing now: ask again when something has changed.
    Wait,
    /// Nothing any more.
    Nothing,
}

/// How the item stands that a worker asks the result of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The item of this number has ended.
    Ended(usize),
    /// It has not: ask again when something has changed. Until then the worker counts as blocked.
    Waiting,
}

/// What becomes of the item of a worker that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The item of this number can be taken again.
    Again(usize),
    /// The item of this number has ended so.
    Ended(usize, Outcome),
}

/// What came of adding items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The numbers of all of them, in the order of the request.
    pub numbers: Vec<usize>,
    /// Of those, the ones that were not there yet: an item that is done again adds the same items again. Nobody gets
    /// them before [`Board::publish`].
    pub new: Vec<usize>,
}

/// The items of a run, and the workers.
#[derive(Debug)]
pub struct Board {
    entries: Vec<Entry>,
    numbers: HashMap<String, usize>,
    /// What is being written at this moment, and by which item.
    paths: Paths,
    /// One a segment, and last the one of the items that were dealt to nobody.
    lines: Vec<Line>,
    /// What dead workers held and others may take.
    returned: BTreeSet<usize>,
    /// What failed in passing, and may be done again when the others are done.
    aside: BTreeSet<usize>,
    /// Of that, what may be taken now.
    again: BTreeSet<usize>,
    /// What other hosts are at.
    elsewhere: BTreeSet<usize>,
    /// What nobody may take until it is decided what becomes of it.
    withheld: BTreeSet<usize>,
    /// What is queued again, and waits for what was reopened before it.
    reopened: BTreeSet<usize>,
    /// Whether nothing is given out for now.
    paused: bool,
    /// How many workers there may be, where somebody has said so; else as many as segments.
    most: Option<usize>,
    /// The workers that were told to go because there are too many.
    leaving: BTreeSet<usize>,
    /// Whether all the rest is done one by one.
    sequential: bool,
    partial: PartialProfile,
    /// The workers that ever joined, and those that died.
    joined: usize,
    died: usize,
    workers: BTreeMap<usize, Worker>,
    draining: Option<String>,
    nesting: Nesting,
}

#[derive(Debug)]
struct Entry {
    item: Item,
    standing: Standing,
    holder: Option<usize>,
    attempts: u32,
    /// How many workers died of it.
    deaths: u32,
    /// How many of the attempts do not count any more: somebody wants it done again.
    forgiven: u32,
    /// In which words it failed in passing.
    failures: Vec<String>,
    parent: Option<usize>,
    depth: usize,
    added: usize,
    line: usize,
    /// Its place in the line.
    place: usize,
    /// How many of those before it have not ended.
    missing: usize,
    /// Whether workers may take it.
    published: bool,
    before: Vec<usize>,
    next: Vec<usize>,
    paths: Vec<usize>,
}

impl Entry {
    fn weight(&self) -> u128 {
        u128::from(self.item.weight.max(1))
    }
}

#[derive(Debug, Default)]
struct Worker {
    holds: Option<usize>,
    awaits: Option<usize>,
}

impl Board {
    /// A board of these items, dealt to workers: worker 0 has the first segment, and so on. An item that is in no
    /// segment is for everybody.
    ///
    /// # Errors
    /// Two items with one id; an item after one that isn't there, or after itself by way of others; an item dealt twice
    /// or a number that isn't an item's.
    pub fn of(items: Vec<Item>, segments: &[Segment]) -> Result<Self, BoardError> {
        Self::undealt(items, segments.len())?.dealt(segments)
    }

    /// The same for tests, where some have ended before as `cached`.
    #[cfg(test)]
    pub(crate) fn new(items: Vec<Item>, segments: &[Segment], cached: &[usize]) -> Result<Self, BoardError> {
        let mut board = Self::undealt(items, segments.len())?;
        for &number in cached {
            board.entries.get(number).ok_or(BoardError::UnknownNumber { number })?;
            board.step(number, |standing| standing.end(Outcome::Cached.into()))?;
        }
        board.dealt(segments)
    }

    fn undealt(items: Vec<Item>, segments: usize) -> Result<Self, BoardError> {
        let mut board = Self {
            entries: Vec::new(),
            numbers: HashMap::new(),
            paths: Paths::default(),
            lines: (0..=segments).map(|_| Line::default()).collect(),
            returned: BTreeSet::new(),
            aside: BTreeSet::new(),
            again: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            withheld: BTreeSet::new(),
            reopened: BTreeSet::new(),
            paused: false,
            most: None,
            leaving: BTreeSet::new(),
            sequential: false,
            partial: PartialProfile::default(),
            joined: 0,
            died: 0,
            workers: BTreeMap::new(),
            draining: None,
            nesting: Nesting::default(),
        };
        board.append(items, None)?;
        Ok(board)
    }

    fn dealt(mut self, segments: &[Segment]) -> Result<Self, BoardError> {
        let mut dealt = BTreeSet::new();
        for (line, segment) in segments.iter().enumerate() {
            for (place, &number) in segment.items.iter().enumerate() {
                let entry = self.entries.get_mut(number).ok_or(BoardError::UnknownNumber { number })?;
                if entry.standing.has_ended() || !dealt.insert(number) {
                    return Err(BoardError::DealtTwice { id: entry.item.id.clone() });
                }
                (entry.line, entry.place) = (line, place);
            }
        }
        for number in 0..self.entries.len() {
            self.line_up(number);
        }
        Ok(self)
    }

    /// With other limits of what items may add.
    #[must_use]
    pub fn nesting(self, nesting: Nesting) -> Self {
        Self { nesting, ..self }
    }

    // Items ----------------------------------------------------------------------------------------------------------

    /// The next item for this worker.
    ///
    /// # Errors
    /// It is not at work; it holds an item that it hasn't finished.
    pub fn take(&mut self, worker: usize) -> Result<Take, BoardError> {
        if let Some(number) = self.worker(worker)?.holds {
            return Err(BoardError::StillHolds { worker, item: self.entries[number].item.id.clone() });
        }
        if self.draining.is_some() {
            return Ok(Take::Nothing);
        }
        if self.is_surplus(worker) {
            self.leaving.insert(worker);
            return Ok(Take::Nothing);
        }
        if self.paused {
            return Ok(Take::Wait);
        }
        let Some(number) = self.next(worker) else {
            return Ok(if self.is_over() { Take::Nothing } else { Take::Wait });
        };
        self.step(number, Standing::take)?;
        self.unline(number);
        let entry = &mut self.entries[number];
        (entry.holder, entry.attempts) = (Some(worker), entry.attempts + 1);
        for &path in &entry.paths {
            self.paths.take(path, number);
        }
        self.workers.insert(worker, Worker { holds: Some(number), awaits: None });
        Ok(Take::Item(number))
    }

    /// Ends an item, as the journal has it.
    ///
    /// # Errors
    /// The item isn't in this worker's hands or has ended; what the journal wrote is the end of another item.
    pub fn finish(&mut self, worker: usize, number: usize, ending: impl Into<Ending>) -> Result<(), BoardError> {
        let ending = ending.into();
        self.check_end(number, &ending)?;
        self.check_holder(worker, number)?;
        if let Some(worker) = self.workers.get_mut(&worker) {
            *worker = Worker::default();
        }
        self.end(number, ending)
    }

    /// Ends an item that nobody holds: an added one that turned out to be cached, one that can't be begun.
    ///
    /// # Errors
    /// A worker holds it; it has ended; what the journal wrote is the end of another item.
    pub fn settle(&mut self, number: usize, ending: impl Into<Ending>) -> Result<(), BoardError> {
        let ending = ending.into();
        self.check_end(number, &ending)?;
        let entry = &self.entries[number];
        if let Some(worker) = entry.holder {
            return Err(BoardError::Held { item: entry.item.id.clone(), worker });
        }
        self.unline(number);
        self.end(number, ending)
    }

    /// Adds items in the name of one that this worker holds. They can be taken once they are
    /// [published](Self::publish), which gives time to journal them. An item that was done before and is done again
    /// may add the same items again.
    ///
    /// # Errors
    /// The item isn't in this worker's hands; it is too deep, or would have added too many, see [`Nesting`]; an id is
    /// taken by another item; an item comes after one that isn't there; the run is being stopped.
    pub fn add(&mut self, worker: usize, parent: usize, items: Vec<Item>) -> Result<Added, BoardError> {
        self.check_holder(worker, parent)?;
        if let Some(reason) = &self.draining {
            return Err(BoardError::Draining { reason: reason.clone() });
        }
        let known = |item: &Item| self.numbers.get(&item.id).copied();
        let same = |item: &Item, number: usize| {
            let entry = &self.entries[number];
            entry.parent == Some(parent) && entry.item == *item
        };
        let new: Vec<Item> =
            items.iter().filter(|item| !known(item).is_some_and(|number| same(item, number))).cloned().collect();
        let entry = &self.entries[parent];
        let (item, wanted) = (entry.item.id.clone(), entry.added + new.len());
        let Nesting { depth, width } = self.nesting;
        if entry.depth >= depth && !items.is_empty() {
            return Err(BoardError::TooDeep { item, depth: entry.depth });
        }
        if wanted > width {
            return Err(BoardError::TooMany { item, wanted, limit: width });
        }
        let first = self.entries.len();
        let ids: Vec<String> = items.into_iter().map(|item| item.id).collect();
        self.append(new, Some(parent))?;
        self.entries[parent].added = wanted;
        for number in first..self.entries.len() {
            self.entries[number].published = false;
            self.line_up(number);
        }
        let numbers = ids.iter().filter_map(|id| self.numbers.get(id).copied()).collect();
        Ok(Added { numbers, new: (first..self.entries.len()).collect() })
    }

    /// Lets workers take these added items. Each must be published, or [settled](Self::settle): the run isn't over
    /// before.
    pub fn publish(&mut self, added: &[usize]) {
        for &number in added {
            if let Some(entry) = self.entries.get_mut(number) {
                entry.published = true;
                self.make_ready(number);
            }
        }
    }

    /// How the item with this id stands, of which this worker wants the result. To be asked again whenever something
    /// has changed, until it has ended.
    ///
    /// # Errors
    /// The worker holds no item, or one that neither comes after that one, nor has added it, nor writes what it writes;
    /// that one can't end before
    /// this one does; the run is being stopped, and that one will not be begun.
    pub fn await_item(&mut self, worker: usize, id: &str) -> Result<Awaited, BoardError> {
        let holds = self.worker(worker)?.holds;
        let Some(number) = holds else { return Err(BoardError::NotHolder { worker, item: id.to_owned() }) };
        let awaited = self.numbers.get(id).copied().ok_or_else(|| BoardError::UnknownItem { id: id.to_owned() })?;
        let item = self.entries[number].item.id.clone();
        let is_related = self.entries[awaited].parent == Some(number)
            || self.entries[number].before.contains(&awaited)
            || self.write_the_same(number, awaited);
        if !is_related {
            return Err(BoardError::NotRelated { item, id: id.to_owned() });
        }
        let mut awaits = None;
        if !self.entries[awaited].standing.has_ended() {
            if let (Some(reason), None) = (&self.draining, self.entries[awaited].holder) {
                return Err(BoardError::Draining { reason: reason.clone() });
            }
            if let Some(way) = self.way(awaited, number) {
                let items = std::iter::once(number).chain(way).map(|number| self.entries[number].item.id.clone());
                return Err(BoardError::WouldNeverEnd { item, id: id.to_owned(), circle: items.collect() });
            }
            awaits = Some(awaited);
        }
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.awaits = awaits;
        }
        Ok(if awaits.is_some() { Awaited::Waiting } else { Awaited::Ended(awaited) })
    }

    // The run --------------------------------------------------------------------------------------------------------

    /// No item is given out any more, and none can be added; those in workers' hands may still end. The first reason
    /// stays.
    pub fn drain(&mut self, reason: &str) {
        self.draining.get_or_insert_with(|| reason.to_owned());
    }

    /// Why no item is given out any more.
    pub fn draining(&self) -> Option<&str> {
        self.draining.as_deref()
    }

    /// Whether nothing is left to happen: every item has ended, or the run is being stopped and no worker holds one.
    pub fn is_over(&self) -> bool {
        let held = self.workers.values().any(|worker| worker.holds.is_some());
        !held && (self.draining.is_some() || self.entries.iter().all(|entry| entry.standing.has_ended()))
    }

    /// The count of the items as they stand. It adds up.
    pub fn census(&self) -> Census {
        Census::of(self.outcomes())
    }

    /// How each item stands, by its number.
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = &Outcome> {
        self.entries.iter().map(|entry| entry.standing.outcome())
    }

    /// The item of this number.
    pub fn item(&self, number: usize) -> Option<&Item> {
        self.entries.get(number).map(|entry| &entry.item)
    }

    /// How the item of this number stands.
    pub fn outcome(&self, number: usize) -> Option<&Outcome> {
        self.entries.get(number).map(|entry| entry.standing.outcome())
    }

    /// How many workers have had the item of this number.
    pub fn attempts(&self, number: usize) -> u32 {
        self.entries.get(number).map_or(0, |entry| entry.attempts)
    }

    /// The number of the item that added the one of this number.
    pub fn parent(&self, number: usize) -> Option<usize> {
        self.entries.get(number).and_then(|entry| entry.parent)
    }

    /// The number of the item with this id.
    pub fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    // Inside ---------------------------------------------------------------------------------------------------------

    fn worker(&self, worker: usize) -> Result<&Worker, BoardError> {
        self.workers.get(&worker).ok_or(BoardError::UnknownWorker { worker })
    }

    fn check_end(&self, number: usize, ending: &Ending) -> Result<(), BoardError> {
        let entry = self.entries.get(number).ok_or(BoardError::UnknownNumber { number })?;
        let item = || entry.item.id.clone();
        if !ending.outcome().has_ended() {
            Err(BoardError::NotAnEnd { item: item() })
        } else if !ending.is_of(&entry.item.id) {
            Err(BoardError::EndOfAnother { item: item() })
        } else if entry.standing.has_ended() {
            Err(BoardError::Ended { item: item() })
        } else {
            Ok(())
        }
    }

    fn check_holder(&self, worker: usize, number: usize) -> Result<(), BoardError> {
        let entry = self.entries.get(number).ok_or(BoardError::UnknownNumber { number })?;
        if entry.holder == Some(worker) {
            Ok(())
        } else {
            Err(BoardError::NotHolder { worker, item: entry.item.id.clone() })
        }
    }

    fn release(&mut self, number: usize) {
        let entry = &mut self.entries[number];
        if entry.holder.take().is_some() {
            for &path in &entry.paths {
                self.paths.give_back(path);
            }
        }
    }

    /// Every end of an item of the board comes through here.
    fn end(&mut self, number: usize, ending: Ending) -> Result<(), BoardError> {
        self.step(number, |standing| standing.end(ending))?;
        self.release(number);
        for next in self.entries[number].next.clone() {
            self.entries[next].missing -= 1;
            self.make_ready(next);
        }
        Ok(())
    }

    fn step(
        &mut self,
        number: usize,
        step: impl FnOnce(&mut Standing) -> Result<(), Misstep>,
    ) -> Result<(), BoardError> {
        let entry = &mut self.entries[number];
        step(&mut entry.standing).map_err(|misstep| BoardError::Misstep { item: entry.item.id.clone(), misstep })
    }
}
