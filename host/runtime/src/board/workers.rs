//! Workers come, go and die.

use super::{ATTEMPTS, Board, BoardError, Lost, Worker};
use crate::outcome::{Ending, Standing};

impl Board {
    /// A worker begins. Its number is new, and says which segment is its own.
    ///
    /// # Errors
    /// It is at work already.
    pub fn join(&mut self, worker: usize) -> Result<(), BoardError> {
        if self.workers.contains_key(&worker) {
            return Err(BoardError::WorkerExists { worker });
        }
        self.workers.insert(worker, Worker::default());
        self.joined += 1;
        Ok(())
    }

    /// A worker has returned, and what it said. An item that it still holds has failed: it was not finished.
    ///
    /// # Errors
    /// It is not at work.
    pub fn leave(&mut self, worker: usize, said: Option<&str>) -> Result<Option<Lost>, BoardError> {
        let Some(number) = self.dismiss(worker)? else { return Ok(None) };
        let reason = "its plugin returned without finishing it";
        let ending = Ending::failed(said.map_or_else(|| reason.to_owned(), |said| format!("{reason}: {said}")));
        self.lose(number, ending)
    }

    /// A worker has died, and why. The item it held can be taken again at once; it fails if it has been tried
    /// [`ATTEMPTS`] times or isn't repeatable. While the run is being stopped it stays pending.
    ///
    /// # Errors
    /// It is not at work.
    pub fn give_back(&mut self, worker: usize, why: &str) -> Result<Option<Lost>, BoardError> {
        let held = self.dismiss(worker)?;
        self.died += usize::from(self.draining.is_none());
        let Some(number) = held else { return Ok(None) };
        let entry = &mut self.entries[number];
        entry.deaths += 1;
        let failed = if self.draining.is_some() {
            None
        } else if !entry.item.repeatable {
            Some(format!("its worker died, and it must not be done twice: {why}"))
        } else if entry.deaths >= ATTEMPTS {
            Some(format!("{ATTEMPTS} workers died of it, the last because: {why}"))
        } else {
            None
        };
        let Some(reason) = failed else {
            self.step(number, Standing::give_back)?;
            self.queue_again(number);
            return Ok(Some(Lost::Again(number)));
        };
        self.lose(number, Ending::failed(reason))
    }

    fn lose(&mut self, number: usize, ending: Ending) -> Result<Option<Lost>, BoardError> {
        let outcome = ending.outcome().clone();
        self.end(number, ending)?;
        Ok(Some(Lost::Ended(number, outcome)))
    }

    /// How many more workers would find something to do now. A worker that is blocked or gone leaves room for another:
    /// as many should be able to work as there were segments.
    pub fn wants_more_workers(&self) -> usize {
        if self.draining.is_some() || self.paused {
            return 0;
        }
        let working = self.working();
        let most = if self.sequential { 1 } else { self.most.unwrap_or((self.lines.len() - 1).max(1)) };
        let room = most.saturating_sub(working);
        if room == 0 {
            return 0;
        }
        let stays = |number: &usize| !self.leaving.contains(number);
        let idle = self.workers.iter().filter(|(number, worker)| worker.holds.is_none() && stays(number)).count();
        self.takeable().take(room + idle).count().saturating_sub(idle).min(room)
    }

    pub(super) fn is_blocked(&self, worker: &Worker) -> bool {
        worker.awaits.is_some_and(|number| !self.entries[number].standing.has_ended())
    }

    /// Takes the worker off the board and the item out of its hands.
    pub(super) fn dismiss(&mut self, worker: usize) -> Result<Option<usize>, BoardError> {
        let holds = self.workers.remove(&worker).ok_or(BoardError::UnknownWorker { worker })?.holds;
        self.leaving.remove(&worker);
        if let Some(number) = holds {
            self.release(number);
        }
        Ok(holds)
    }
}
