//! What is changed from outside while the workers are at it: a pause, more or fewer workers, items that are taken back.
//!
//! What becomes of an item is written down before it is so. Until then it is withheld: nobody can take it.

use super::{Board, BoardError, Worker};
use crate::outcome::{Standing, State};
use crate::work::Outcome;

impl Board {
    /// From now on nothing is given out, or it is again. A paused run is not over before it goes on.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether nothing is given out for now.
    pub fn is_paused(&self) -> bool {
        self.paused && self.draining.is_none()
    }

    /// From now on there are at most so many workers; 0 counts as 1. Those that are too many go when they have ended what they hold.
    pub fn set_workers(&mut self, most: usize) {
        self.most = Some(most.max(1));
    }

    /// Whether this worker was told to go because there were too many.
    pub fn is_leaving(&self, worker: usize) -> bool {
        self.leaving.contains(&worker)
    }

    /// How many items have not ended.
    pub fn open(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.standing.has_ended()).count()
    }

    /// The worker that has the item of this number in its hands.
    pub fn holder(&self, number: usize) -> Option<usize> {
        self.entries.get(number).and_then(|entry| entry.holder)
    }

    /// In which state the item of this number is.
    pub fn state(&self, number: usize) -> Option<State> {
        self.entries.get(number).map(|entry| entry.standing.state())
    }

    /// The number of the item with this id, or with this label where only one has it.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, name: &str) -> Result<usize, BoardError> {
        if let Some(number) = self.number(name) {
            return Ok(number);
        }
        let mut labelled = (0..self.entries.len()).filter(|number| self.entries[*number].item.label == name);
        match (labelled.next(), labelled.next()) {
            (Some(number), None) => Ok(number),
            (None, _) => Err(BoardError::UnknownItem { id: name.to_owned() }),
            (Some(_), Some(_)) => Err(BoardError::Ambiguous { label: name.to_owned() }),
        }
    }

    /// Nobody can take an item any more that nobody has, until it is [settled](Self::settle) or [handed out](Self::hand_out).
    ///
    /// # Errors
    /// It has ended, or a worker has it.
    pub fn withhold(&mut self, number: usize) -> Result<(), BoardError> {
        let entry = self.entries.get(number).ok_or(BoardError::UnknownNumber { number })?;
        let item = || entry.item.id.clone();
        if entry.standing.has_ended() {
            return Err(BoardError::Ended { item: item() });
        }
        if let Some(worker) = entry.holder {
            return Err(BoardError::Held { item: item(), worker });
        }
        self.unline(number);
        self.withheld.insert(number);
        Ok(())
    }

    /// A worker is ended because somebody wants its item back: that is withheld, and nothing is held against either. None: it
    /// had none.
    ///
    /// # Errors
    /// It is not at work.
    pub fn take_away(&mut self, worker: usize) -> Result<Option<usize>, BoardError> {
        let Some(number) = self.dismiss(worker)? else { return Ok(None) };
        self.step(number, Standing::give_back)?;
        self.entries[number].forgiven = self.entries[number].attempts;
        self.withheld.insert(number);
        Ok(Some(number))
    }

    /// An item that has ended is to be done again. It is withheld; how it had ended. What comes after it and was not begun
    /// waits for it again; what was begun has seen its result.
    ///
    /// # Errors
    /// It has not ended; a worker would wait for it for ever.
    pub fn reopen(&mut self, number: usize) -> Result<Outcome, BoardError> {
        let entry = self.entries.get(number).ok_or(BoardError::UnknownNumber { number })?;
        let id = entry.item.id.clone();
        let waiting = self.workers.values().filter_map(|worker| match *worker {
            Worker { holds: Some(holds), awaits: Some(awaits) } => Some((holds, awaits)),
            _ => None,
        });
        for (holds, awaits) in waiting {
            if let Some(way) = self.way_with(awaits, holds, Some(number)) {
                let circle = std::iter::once(holds).chain(way).map(|number| self.entries[number].item.id.clone());
                let item = self.entries[holds].item.id.clone();
                return Err(BoardError::WouldNeverEnd { item, id, circle: circle.collect() });
            }
        }
        let entry = &mut self.entries[number];
        let was = entry.standing.reopen().map_err(|misstep| BoardError::Misstep { item: id, misstep })?;
        (entry.forgiven, entry.deaths) = (entry.attempts, 0);
        entry.failures.clear();
        for next in entry.next.clone() {
            let next_entry = &mut self.entries[next];
            next_entry.missing += 1;
            let place = (next_entry.place, next);
            self.lines[next_entry.line].ready.remove(&place);
            if self.returned.remove(&next) | self.again.remove(&next) {
                self.reopened.insert(next);
            }
        }
        self.withheld.insert(number);
        Ok(was)
    }

    /// What was withheld can be taken again.
    pub fn hand_out(&mut self, number: usize) {
        if self.withheld.remove(&number) {
            self.queue_again(number);
        }
    }

    /// How many of those that come after an item, or were given its result, have begun: they have seen what it was.
    pub fn begun_after(&self, number: usize) -> usize {
        let next = self.entries.get(number).map(|entry| entry.next.as_slice()).unwrap_or_default();
        next.iter().filter(|next| self.entries[**next].attempts > 0).count()
    }

    /// How many workers could work, those that were told to go not counted.
    pub(super) fn working(&self) -> usize {
        let works = |(number, worker): &(&usize, &Worker)| !self.leaving.contains(number) && !self.is_blocked(worker);
        self.workers.iter().filter(works).count()
    }

    /// Whether there are more workers than there may be, and this one goes.
    pub(super) fn is_surplus(&self, worker: usize) -> bool {
        self.leaving.contains(&worker) || self.most.is_some_and(|most| self.working() > most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocate::Segment;
    use crate::board::{Awaited, Passing, Take};
    use crate::work::Item;

    fn item(id: &str) -> Item {
        Item { id: id.to_owned(), label: format!("the {id}"), weight: 1, repeatable: true, ..Item::default() }
    }

    fn after(id: &str, before: &str) -> Item {
        Item { after: vec![before.to_owned()], ..item(id) }
    }

    fn board(items: Vec<Item>, workers: usize) -> Board {
        let segment = |worker: usize| Segment {
            label: "segment".to_owned(),
            items: (worker..items.len()).step_by(workers).collect(),
        };
        let segments: Vec<Segment> = (0..workers).map(segment).collect();
        let mut board = Board::new(items, &segments, &[]).unwrap();
        (0..workers).for_each(|worker| board.join(worker).unwrap());
        board
    }

    fn fails(board: &mut Board, worker: usize) -> usize {
        let Take::Item(number) = board.take(worker).unwrap() else { panic!("there is something") };
        board.finish(worker, number, Outcome::Failed("bad luck".to_owned())).unwrap();
        number
    }

    #[test]
    fn a_paused_run_gives_nothing_out_starts_nobody_and_is_not_over() {
        let mut board = board(vec![item("a"), item("b")], 1);
        assert_eq!(board.take(0), Ok(Take::Item(0)));
        board.set_paused(true);
        board.finish(0, 0, Outcome::Done).unwrap();
        assert_eq!((board.take(0), board.wants_more_workers()), (Ok(Take::Wait), 0));
        board.set_paused(false);
        assert_eq!(board.take(0), Ok(Take::Item(1)));
        board.set_paused(true);
        board.finish(0, 1, Outcome::Done).unwrap();
        assert_eq!(board.take(0), Ok(Take::Wait), "somebody may want one of them done again");
        board.drain("interrupted");
        assert_eq!((board.take(0), board.is_paused()), (Ok(Take::Nothing), false));
    }

    #[test]
    fn more_workers_are_wanted_and_too_many_go_when_they_are_free() {
        let mut board = board((0..9).map(|number| item(&number.to_string())).collect(), 2);
        assert_eq!(board.wants_more_workers(), 0);
        board.set_workers(4);
        assert_eq!(board.wants_more_workers(), 2);
        (2..4).for_each(|worker| board.join(worker).unwrap());
        let held: Vec<_> = (0..4).map(|worker| board.take(worker).unwrap()).collect();
        assert!(held.iter().all(|take| matches!(take, Take::Item(_))), "{held:?}");
        board.set_workers(1);
        let mut gone = 0;
        for worker in 0..4 {
            let number = board.workers[&worker].holds.unwrap();
            board.finish(worker, number, Outcome::Done).unwrap();
            gone += usize::from(board.take(worker) == Ok(Take::Nothing) && board.is_leaving(worker));
        }
        assert_eq!((gone, board.wants_more_workers()), (3, 0), "one goes on");
        (0..3).for_each(|worker| drop(board.leave(worker, None).unwrap()));
        assert_eq!(board.wants_more_workers(), 0);
    }

    #[test]
    fn what_is_withheld_nobody_takes_and_it_ends_as_is_decided() {
        let mut board = board(vec![item("a"), after("b", "a")], 1);
        board.withhold(0).unwrap();
        assert_eq!(board.take(0), Ok(Take::Wait));
        board.settle(0, Outcome::Skipped("not wanted".to_owned())).unwrap();
        assert_eq!(board.take(0), Ok(Take::Item(1)), "what comes after it sees that it is none");
        assert!(matches!(board.withhold(1), Err(BoardError::Held { .. })));
        assert!(matches!(board.withhold(0), Err(BoardError::Ended { .. })));
    }

    #[test]
    fn what_is_taken_from_a_worker_counts_for_no_death() {
        let mut board = board(vec![item("a")], 1);
        for worker in 0..4 {
            assert_eq!(board.take(worker), Ok(Take::Item(0)));
            assert_eq!(board.take_away(worker), Ok(Some(0)));
            board.join(worker + 1).unwrap();
            assert_eq!(board.take(worker + 1), Ok(Take::Wait), "it is withheld");
            board.hand_out(0);
        }
        assert_eq!(board.take(4), Ok(Take::Item(0)));
        assert_eq!(board.fail_in_passing(4, 0, "busy"), Ok(Passing::Aside), "it was not tried too often");
    }

    #[test]
    fn what_is_reopened_is_done_again_before_what_comes_after_it() {
        let mut board = board(vec![item("a"), after("b", "a"), after("c", "b")], 1);
        assert_eq!(fails(&mut board, 0), 0);
        assert_eq!(board.reopen(0), Ok(Outcome::Failed("bad luck".to_owned())));
        assert_eq!((board.census().pending, board.take(0)), (3, Ok(Take::Wait)));
        board.hand_out(0);
        assert_eq!(board.take(0), Ok(Take::Item(0)));
        board.finish(0, 0, Outcome::Done).unwrap();
        assert_eq!(fails(&mut board, 0), 1);
        assert_eq!((board.begun_after(0), board.begun_after(1)), (1, 0));
        // Both at once: the later one waits for the earlier.
        board.reopen(0).unwrap();
        board.reopen(1).unwrap();
        board.hand_out(1);
        assert_eq!(board.take(0), Ok(Take::Wait));
        board.hand_out(0);
        for number in 0..3 {
            assert_eq!(board.take(0), Ok(Take::Item(number)));
            board.finish(0, number, Outcome::Done).unwrap();
        }
        assert!(board.is_over() && board.reopen(2).is_ok());
        assert!(!board.is_over());
    }

    #[test]
    fn what_would_have_a_worker_wait_for_ever_is_not_reopened() {
        let writes = |id: &str| Item { writes: vec!["path".to_owned()], ..item(id) };
        let mut board = board(vec![writes("before"), writes("parent")], 1);
        assert_eq!(fails(&mut board, 0), 0);
        assert_eq!(board.take(0), Ok(Take::Item(1)));
        let added = board.add(0, 1, vec![after("child", "before")]).unwrap();
        board.publish(&added.new);
        assert_eq!(board.await_item(0, "child"), Ok(Awaited::Waiting));
        // The parent waits for its child, that for what is reopened, and that for the path that the parent writes.
        assert!(matches!(board.reopen(0), Err(BoardError::WouldNeverEnd { .. })));
        assert_eq!(board.outcome(0).map(Outcome::name), Some("failed"));
    }

    #[test]
    fn an_item_is_found_by_its_id_and_by_a_label_that_is_its_own() {
        let twin = Item { label: "the a".to_owned(), ..item("twin") };
        let board = board(vec![item("a"), item("b"), twin], 1);
        assert_eq!((board.find("a"), board.find("the b")), (Ok(0), Ok(1)));
        assert!(matches!(board.find("the a"), Err(BoardError::Ambiguous { .. })));
        assert!(matches!(board.find("x"), Err(BoardError::UnknownItem { .. })));
    }
}
