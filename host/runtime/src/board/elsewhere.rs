//! Items that are done elsewhere: by another host, which is left alone until it has done them or has not, or by an
//! earlier part of the same run.

use super::{Board, BoardError, Worker};
use crate::outcome::{Ending, Standing};

impl Board {
    /// The item that this worker has just taken is in the hands of another host: it is left alone until it
    /// [comes back](Self::come_back) or is [settled](Self::settle), and was not tried.
    ///
    /// # Errors
    /// The item isn't in this worker's hands.
    pub fn leave_to_other(&mut self, worker: usize, number: usize) -> Result<(), BoardError> {
        self.check_holder(worker, number)?;
        self.step(number, Standing::leave_to_other)?;
        self.release(number);
        self.entries[number].attempts -= 1;
        self.workers.insert(worker, Worker::default());
        self.elsewhere.insert(number);
        Ok(())
    }

    /// Ends an item as an earlier part of the run has, with so many attempts.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn keep(&mut self, number: usize, ending: Ending, attempts: u32) -> Result<(), BoardError> {
        self.settle(number, ending)?;
        self.entries[number].attempts = attempts;
        Ok(())
    }

    /// The items that are left to other hosts, by their numbers.
    pub fn elsewhere(&self) -> Vec<usize> {
        self.elsewhere.iter().copied().collect()
    }

    /// Whether there are any.
    pub fn has_elsewhere(&self) -> bool {
        !self.elsewhere.is_empty()
    }

    /// The other host has not done the item: it can be taken again.
    pub fn come_back(&mut self, number: usize) {
        // What is elsewhere can always come back: the table has that step.
        if self.elsewhere.remove(&number) && self.step(number, Standing::come_back).is_ok() {
            self.queue_again(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocate::Segment;
    use crate::board::{Passing, Take};
    use crate::work::{Item, Outcome};

    fn board(ids: &[&str]) -> Board {
        let item = |id: &&str| Item { id: (*id).to_owned(), weight: 1, repeatable: true, ..Item::default() };
        let segment = Segment { label: "all".to_owned(), items: (0..ids.len()).collect() };
        let mut board = Board::new(ids.iter().map(item).collect(), &[segment], &[]).unwrap();
        board.join(0).unwrap();
        board
    }

    #[test]
    fn what_another_host_does_is_left_and_the_run_waits_for_it() {
        let mut board = board(&["a", "b"]);
        assert_eq!(board.take(0), Ok(Take::Item(0)));
        board.leave_to_other(0, 0).unwrap();
        assert_eq!((board.elsewhere(), board.attempts(0)), (vec![0], 0));
        assert_eq!(board.take(0), Ok(Take::Item(1)));
        board.finish(0, 1, Outcome::Done).unwrap();
        assert_eq!((board.take(0), board.is_over()), (Ok(Take::Wait), false));
        board.settle(0, Outcome::Cached).unwrap();
        assert_eq!((board.take(0), board.is_over(), board.has_elsewhere()), (Ok(Take::Nothing), true, false));
    }

    #[test]
    fn what_the_other_has_not_done_can_be_taken() {
        let mut board = board(&["a"]);
        assert!(board.leave_to_other(0, 0).is_err(), "it does not hold it");
        board.take(0).unwrap();
        board.leave_to_other(0, 0).unwrap();
        board.come_back(0);
        board.come_back(0);
        assert_eq!((board.take(0), board.attempts(0)), (Ok(Take::Item(0)), 1));
        assert_eq!(board.fail_in_passing(0, 0, "busy"), Ok(Passing::Aside));
        board.recover();
        assert_eq!(board.take(0), Ok(Take::Item(0)));
        board.leave_to_other(0, 0).unwrap();
        board.come_back(0);
        assert!(board.is_again(0));
        assert_eq!((board.take(0), board.attempts(0)), (Ok(Take::Item(0)), 2));
    }

    #[test]
    fn what_an_earlier_part_of_the_run_did_stays() {
        let mut board = board(&["a", "b"]);
        board.keep(0, Outcome::Failed("no".to_owned()).into(), 2).unwrap();
        assert_eq!((board.attempts(0), board.take(0)), (2, Ok(Take::Item(1))));
        assert!(board.keep(1, Outcome::Done.into(), 1).is_err(), "it is under way");
    }

    #[test]
    fn a_run_that_is_being_stopped_does_not_wait_for_others() {
        let mut board = board(&["a"]);
        board.take(0).unwrap();
        board.leave_to_other(0, 0).unwrap();
        board.drain("interrupted");
        assert_eq!((board.take(0), board.is_over()), (Ok(Take::Nothing), true));
    }
}
