//! What stands under the lock: breaker, limit, pool, and the queue of those who wait.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::Instant;

use super::admitted::Admitted;
use super::why::Why;
use super::{Admission, Applicant};
use crate::backend::Instance;
use crate::breaker::{Breaker, Change};
use crate::gate::{Wait, all_open};
use crate::limiter::Limiter;
use crate::pool::Pool;
use crate::question::{Failure, FailureKind};
use crate::queue::{Queue, Ticket};

pub(super) struct State {
    pub(super) queue: Queue<Waiter>,
    pub(super) breaker: Breaker,
    pub(super) limiter: Limiter,
    pub(super) pool: Pool,
    pub(super) stopped: Option<Failure>,
    /// When the timer that is set will serve the queue.
    pub(super) timer: Option<Instant>,
    /// The runtime that timers run on: the one of who asked last.
    pub(super) runtime: Option<Handle>,
    /// Changes of the breaker that were not yet told.
    pub(super) changes: Vec<Change>,
    /// How many have lined up so far.
    pub(super) lined_up: u64,
}

/// What a waiter gets in the end.
pub(super) type Verdict = Result<Admitted, Failure>;

pub(super) struct Waiter {
    pub(super) applicant: Applicant,
    /// How many had lined up before.
    pub(super) number: u64,
    pub(super) answer: oneshot::Sender<Verdict>,
}

/// What has to be done once the lock is free: answers wake others, and dropping an instance may take its time.
#[derive(Default)]
#[must_use = "answers that are not sent are lost"]
pub(super) struct Afterwards {
    pub(super) answers: Vec<(oneshot::Sender<Verdict>, Verdict)>,
    pub(super) discarded: Vec<Box<dyn Instance>>,
}

impl Afterwards {
    pub(super) fn carry_out(self) {
        for (waiter, answer) in self.answers {
            // One that has gone meanwhile: what it was given goes back by being dropped.
            drop(waiter.send(answer));
        }
    }
}

impl State {
    /// What those get who would wait for a backend that is out of order.
    pub(super) fn given_up(&mut self, now: Instant) -> Option<Failure> {
        let change = self.breaker.tick(now);
        self.changes.extend(change);
        self.breaker.given_up().map(|why| Failure::new(FailureKind::NoModel, why))
    }

    /// What an applicant gets that no budget can pay. Where it has no cheaper way, all others get it too.
    pub(super) fn cannot_pay(&mut self, applicant: &Applicant, spent: &crate::budget::Spent) -> Failure {
        let failure = Failure::new(FailureKind::BudgetSpent, spent.to_string());
        if applicant.last {
            self.stopped = Some(failure.clone());
        }
        failure
    }

    /// For what all wait who are in the queue, where it is not [open](Self::open).
    pub(super) fn why(&self, now: Instant) -> Option<Why> {
        if let Err(wait) = self.breaker.check() {
            let until = self.breaker.until().filter(|_| matches!(wait, Wait::Until(_)));
            return Some(Why { reason: "breaker", until });
        }
        let of_limiter = self.limiter.closed(now).map(|(reason, until)| Why { reason, until });
        of_limiter.or_else(|| (!self.pool.has_room()).then_some(Why { reason: "instance", until: None }))
    }

    pub(super) fn open(&mut self, now: Instant) -> Result<(), Wait> {
        let change = self.breaker.tick(now);
        self.changes.extend(change);
        let room = if self.pool.has_room() { Ok(()) } else { Err(Wait::Change) };
        all_open([self.breaker.check(), self.limiter.check(now), room])
    }
}

/// A place in the queue, left by being dropped.
pub(super) struct Waiting<'a> {
    pub(super) admission: &'a Arc<Admission>,
    pub(super) ticket: Option<Ticket>,
    pub(super) number: u64,
    pub(super) answer: oneshot::Receiver<Verdict>,
    pub(super) _place: Option<SemaphorePermit<'a>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = &self.ticket else { return };
        let mut state = self.admission.lock();
        if state.queue.remove(ticket).is_none() {
            return;
        }
        // Its successor may be content with less.
        let afterwards = self.admission.serve(&mut state);
        if state.queue.is_empty() {
            self.admission.shared.leave(&self.admission.account);
        }
        drop(state);
        afterwards.carry_out();
    }
}
