//! Items that failed in a way that passes: set aside, and done again when the others are done.

use super::{Board, BoardError, Worker};
use crate::ladder::{Recovery, Tally, partial_failure_recovery, same_words};
use crate::levels::Level;
use crate::outcome::Standing;
use crate::policy::builtin::PartialProfile;

/// What becomes of an item that failed in a way that passes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It is set aside, to be done again when the others are done.
    Aside,
    /// Its failure stays. It is still in its worker's hands, to be [finished](Board::finish).
    Stays,
    /// The same: it has failed twice in the same words, and is not tried a third time.
    Quarantined,
}

impl Board {
    /// Sets the numbers of partial failure.
    pub fn set_partial_failure(&mut self, profile: PartialProfile) {
        self.partial = profile;
    }

    /// An item has failed in this worker's hands, in a way that passes by itself, and in which words.
    ///
    /// # Errors
    /// The item isn't in this worker's hands.
    pub fn fail_in_passing(&mut self, worker: usize, number: usize, words: &str) -> Result<Passing, BoardError> {
        self.check_holder(worker, number)?;
        let (draining, tries) = (self.draining.is_some(), self.partial.tries);
        let entry = &mut self.entries[number];
        let words = same_words(words);
        if entry.failures.contains(&words) {
            return Ok(Passing::Quarantined);
        }
        if draining || !entry.item.repeatable || entry.attempts - entry.forgiven >= tries {
            return Ok(Passing::Stays);
        }
        self.step(number, Standing::set_aside)?;
        self.entries[number].failures.push(words);
        self.release(number);
        self.workers.insert(worker, Worker::default());
        self.aside.insert(number);
        Ok(Passing::Aside)
    }

    /// Whether an item has failed before, and is done again.
    pub fn is_again(&self, number: usize) -> bool {
        self.entries.get(number).is_some_and(|entry| !entry.failures.is_empty())
    }

    /// Whether items are set aside.
    pub fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// How the items stand.
    pub fn level(&self) -> Level {
        let is_at_it = |worker: &Worker| worker.holds.is_some_and(|number| self.is_again(number));
        if self.sequential {
            Level::Sequential
        } else if !self.aside.is_empty() || !self.again.is_empty() || self.workers.values().any(is_at_it) {
            Level::Partial
        } else {
            Level::Full
        }
    }

    /// How the run goes on: to be asked whenever something has changed. Once nothing else can be done, those that were set
    /// aside can be taken again. [`Recovery::GoOn`]: nothing changes.
    pub fn recover(&mut self) -> (Recovery, Tally) {
        let tally = Tally { failed: 0, ..self.tally() };
        if self.draining.is_some() || self.paused {
            return (Recovery::GoOn, tally);
        }
        // Where there is one worker anyway, nothing changes.
        let is_sequential = self.sequential || self.lines.len() <= 2;
        let have_died = !is_sequential && partial_failure_recovery(&self.partial, &tally) == Recovery::Sequential;
        self.sequential |= have_died;
        if self.aside.is_empty() || !self.is_stuck() {
            return (if have_died { Recovery::Sequential } else { Recovery::GoOn }, tally);
        }
        let tally = self.tally();
        let recovery = partial_failure_recovery(&self.partial, &tally);
        self.sequential |= recovery == Recovery::Sequential;
        for number in std::mem::take(&mut self.aside) {
            // What is set aside can always be done again: the table has that step.
            if self.step(number, Standing::again).is_ok() {
                self.queue_again(number);
            }
        }
        (recovery, tally)
    }

    fn tally(&self) -> Tally {
        Tally {
            tried: self.entries.iter().filter(|entry| entry.attempts > 0).count(),
            failed: self.aside.len(),
            workers: self.joined,
            died: self.died,
        }
    }

    /// Whether nobody does anything, and nothing can be begun.
    fn is_stuck(&self) -> bool {
        let works = self.workers.values().any(|worker| worker.holds.is_some() && !self.is_blocked(worker));
        !works && self.takeable().next().is_none()
    }

    /// The items that can be taken now, unless one has to wait for another.
    pub(super) fn takeable(&self) -> impl Iterator<Item = usize> {
        let ready = self.lines.iter().flat_map(|line| line.ready.iter().map(|&(_, number)| number));
        self.returned.iter().chain(&self.again).copied().chain(ready).filter(|&number| self.is_free(number))
    }

    /// Whether a worker must not take anything: everything is done one by one, and another one is at it.
    pub(super) fn must_wait(&self) -> bool {
        self.sequential && self.workers.values().any(|worker| worker.holds.is_some() && !self.is_blocked(worker))
    }

    /// The next item that is done again, unless another one is being done again.
    pub(super) fn next_again(&self) -> Option<usize> {
        let is_at_it = |worker: &Worker| worker.holds.is_some_and(|number| self.is_again(number));
        if self.workers.values().any(|worker| is_at_it(worker) && !self.is_blocked(worker)) {
            return None;
        }
        self.again.iter().copied().find(|&number| self.is_free(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocate::Segment;
    use crate::board::{Awaited, Take};
    use crate::work::{Item, Outcome};

    fn item(id: &str) -> Item {
        Item { id: id.to_owned(), weight: 1, repeatable: true, ..Item::default() }
    }

    /// A board with so many items and workers, all of them at work.
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

    fn items(count: usize) -> Vec<Item> {
        (0..count).map(|number| item(&number.to_string())).collect()
    }

    fn take(board: &mut Board, worker: usize) -> usize {
        let Take::Item(number) = board.take(worker).unwrap() else { panic!("there is something") };
        number
    }

    fn fail(board: &mut Board, worker: usize, words: &str) -> (usize, Passing) {
        let number = take(board, worker);
        (number, board.fail_in_passing(worker, number, words).unwrap())
    }

    fn done(board: &mut Board, worker: usize) {
        let number = take(board, worker);
        board.finish(worker, number, Outcome::Done).unwrap();
    }

    #[test]
    fn one_of_four_is_done_again_when_the_others_are_done() {
        let mut board = board(items(4), 2);
        assert_eq!(board.level(), Level::Full);
        assert_eq!(fail(&mut board, 0, "busy"), (0, Passing::Aside));
        assert_eq!(board.level(), Level::Partial);
        done(&mut board, 0);
        assert_eq!(board.recover().0, Recovery::GoOn, "others are left");
        done(&mut board, 1);
        let last = take(&mut board, 1);
        assert_eq!((board.recover().0, board.take(0)), (Recovery::GoOn, Ok(Take::Wait)), "one is under way");
        board.finish(1, last, Outcome::Done).unwrap();
        assert_eq!(board.recover(), (Recovery::AgainOneByOne, Tally { tried: 4, failed: 1, workers: 2, died: 0 }));
        assert_eq!((take(&mut board, 1), board.attempts(0), board.level()), (0, 2, Level::Partial));
        board.finish(1, 0, Outcome::Done).unwrap();
        assert_eq!(board.level(), Level::Full, "it is done");
        assert!(board.is_over());
    }

    #[test]
    fn those_that_are_done_again_are_so_one_by_one() {
        let mut board = board(items(8), 2);
        for words in ["busy", "slow"] {
            fail(&mut board, 0, words);
        }
        (0..6).for_each(|_| done(&mut board, 1));
        assert_eq!(board.recover().0, Recovery::AgainOneByOne);
        assert_eq!((take(&mut board, 1), board.take(0)), (0, Ok(Take::Wait)));
        board.finish(1, 0, Outcome::Done).unwrap();
        assert_eq!(board.take(0), Ok(Take::Item(2)));
    }

    #[test]
    fn what_fails_twice_in_the_same_words_is_not_tried_a_third_time_and_in_others_it_is() {
        for (second, becomes) in [("529 busy", Passing::Quarantined), ("broken", Passing::Aside)] {
            let mut board = board(items(1), 1);
            fail(&mut board, 0, "530 busy");
            assert_eq!(board.recover().0, Recovery::Sequential);
            assert_eq!(fail(&mut board, 0, second), (0, becomes.clone()));
            if becomes == Passing::Aside {
                board.recover();
                assert_eq!(fail(&mut board, 0, "odd"), (0, Passing::Stays), "three times are enough");
            }
            board.finish(0, 0, Outcome::Failed("busy".to_owned())).unwrap();
            assert!(board.is_over());
        }
    }

    #[test]
    fn when_a_third_has_failed_all_the_rest_is_done_one_by_one() {
        let after = Item { after: vec!["0".to_owned()], ..item("x") };
        let another = Item { id: "y".to_owned(), ..after.clone() };
        let mut board = board([items(3), vec![after, another]].concat(), 2);
        fail(&mut board, 0, "busy");
        done(&mut board, 1);
        done(&mut board, 0);
        assert_eq!(board.recover().0, Recovery::Sequential);
        done(&mut board, 0);
        assert_eq!((take(&mut board, 0), board.take(1)), (4, Ok(Take::Wait)));
        assert_eq!(board.wants_more_workers(), 0);
    }

    #[test]
    fn when_more_than_half_of_the_workers_died_all_the_rest_is_done_one_by_one() {
        let mut board = board(items(9), 3);
        for worker in 0..2 {
            take(&mut board, worker);
            board.give_back(worker, "it trapped").unwrap();
        }
        assert_eq!(board.recover(), (Recovery::Sequential, Tally { tried: 1, failed: 0, workers: 3, died: 2 }));
        assert_eq!((board.recover().0, board.level()), (Recovery::GoOn, Level::Sequential), "it is said once");
        take(&mut board, 2);
        assert_eq!(board.wants_more_workers(), 0);
    }

    #[test]
    fn who_waits_for_one_that_was_set_aside_gets_it() {
        let mut board = board(items(1), 1);
        take(&mut board, 0);
        let added = board.add(0, 0, vec![item("child")]).unwrap();
        board.publish(&added.new);
        board.join(1).unwrap();
        assert_eq!(fail(&mut board, 1, "busy"), (1, Passing::Aside));
        assert_eq!(board.recover().0, Recovery::GoOn, "its parent is at work");
        assert_eq!(board.await_item(0, "child"), Ok(Awaited::Waiting));
        assert_ne!(board.recover().0, Recovery::GoOn);
        done(&mut board, 1);
        assert_eq!(board.await_item(0, "child"), Ok(Awaited::Ended(1)));
    }

    #[test]
    fn what_must_not_be_done_twice_is_not() {
        let mut board = board(vec![Item { repeatable: false, ..item("once") }], 1);
        assert_eq!(fail(&mut board, 0, "busy"), (0, Passing::Stays));
    }
}
