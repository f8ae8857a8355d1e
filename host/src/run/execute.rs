//! The third phase: workers pull items until there are none, or until the run is stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::allocate::Segment;
use convoke_runtime::board::Lost;
use convoke_runtime::event::Fact;
use convoke_runtime::journal::Became;
use convoke_runtime::ladder::{Recovery, Tally};
use convoke_runtime::levels::Part;
use convoke_runtime::question::{Failure, FailureKind};
use convoke_runtime::work::Outcome;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::orders::{Order, Wish};
use super::seat::Seat;
use super::shared::{Ended, Shared};
use super::tried::Nothing;
use crate::plugin::Log;
use crate::plugin::sandbox::{Died, Sandbox};
use crate::report::WorkerFacts;

/// After so many workers in a row that died or returned without having taken an item, no more are started.
const FUTILE: u32 = 3;

/// How the user stops a run.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// No more is begun; what is under way ends.
    pub soft: CancellationToken,
    /// What is under way is given up.
    pub hard: CancellationToken,
}

/// What the third phase came to, beside the items.
#[derive(Debug, Default)]
pub struct Executed {
    /// Every worker, by its number.
    pub workers: Vec<WorkerFacts>,
    /// The failure that stopped dispatch.
    pub parked: Option<Failure>,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

/// A worker that is at work.
struct AtWork {
    seat: Seat,
    log: Log,
    segment: String,
    /// By which a panic of its task is told from those of others, and it is ended.
    task: Option<AbortHandle>,
    /// Who wants its item back; then its end is no death.
    wanted: Option<Order>,
}

pub(super) struct Supervisor<'a> {
    pub(super) shared: &'a Arc<Shared>,
    sandbox: &'a Sandbox,
    running: JoinSet<(usize, Result<(), Died>)>,
    at_work: HashMap<usize, AtWork>,
    ended: HashMap<usize, WorkerFacts>,
    futile: u32,
    last_death: Option<String>,
}

/// Runs the workers, one a segment, and others in place of those that die.
pub async fn execute(shared: &Arc<Shared>, sandbox: &Sandbox, segments: &[Segment], stop: &Stop) -> Executed {
    let mut supervisor = Supervisor {
        shared,
        sandbox,
        running: JoinSet::new(),
        at_work: HashMap::new(),
        ended: HashMap::new(),
        futile: 0,
        last_death: None,
    };
    // Of runs side by side, one may have spent what there was before the next begins.
    let over = shared.answers.broker().stopped().borrow().as_ref().map(|failure| failure.message.clone());
    match over.or_else(|| stop.soft.is_cancelled().then(|| "interrupted".to_owned())) {
        Some(why) => shared.board().drain(&why),
        None => {
            for segment in segments {
                supervisor.start(&segment.label).await;
            }
        }
    }
    let executed = supervisor.supervise(stop).await;
    shared.orders.close();
    shared.settle_aside().await;
    supervisor.settle_rest().await;
    Executed { workers: supervisor.workers(), ..executed }
}

impl Supervisor<'_> {
    async fn supervise(&mut self, stop: &Stop) -> Executed {
        let mut executed = Executed::default();
        let mut stopped = self.shared.answers.broker().stopped();
        loop {
            self.recover().await;
            for _ in 0..self.wanted() {
                self.start("replacement").await;
            }
            let may_come_back = {
                let board = self.shared.board();
                board.has_elsewhere() && board.draining().is_none()
            };
            let is_paused = self.shared.board().is_paused();
            if self.running.is_empty() && !may_come_back && !is_paused {
                // The last worker may have ended of the failure before it was heard here.
                let failure = stopped.borrow().clone();
                let not_begun = self.ended.is_empty() && stop.soft.is_cancelled();
                executed.interrupted |= not_begun || failure.as_ref().is_some_and(is_interruption);
                if !executed.interrupted {
                    executed.parked = executed.parked.or(failure);
                }
                return executed;
            }
            tokio::select! {
                Some(joined) = self.running.join_next() => self.joined(joined).await,
                () = self.shared.stirred.notified() => {}
                order = self.shared.orders.next() => self.obey(order).await,
                failure = terminal(&mut stopped), if executed.parked.is_none() && !executed.interrupted => {
                    self.shared.board().drain(&failure.message);
                    if is_interruption(&failure) {
                        executed.interrupted = true;
                        self.shared.changed.notify_waiters();
                        continue;
                    }
                    self.shared.changed.notify_waiters();
                    let may_end = matches!(failure.kind, FailureKind::BudgetSpent | FailureKind::Secret);
                    executed.parked = Some(failure);
                    // What is under way is paid for already: it ends.
                    if !may_end {
                        self.give_up("dispatch has stopped").await;
                    }
                }
                () = stop.soft.cancelled(), if !executed.interrupted => {
                    executed.interrupted = true;
                    self.shared.board().drain("interrupted");
                    self.shared.changed.notify_waiters();
                    let cancelled = Failure::new(FailureKind::Cancelled, "interrupted");
                    self.shared.answers.broker().halt(cancelled).await;
                }
                () = stop.hard.cancelled() => {
                    executed.interrupted = true;
                    self.shared.board().drain("interrupted");
                    self.give_up("interrupted").await;
                }
            }
        }
    }

    /// Where a part has failed the run goes on more carefully: `partial_failure_recovery` says how.
    async fn recover(&mut self) {
        let (recovery, tally) = self.shared.board().recover();
        if recovery == Recovery::GoOn {
            return;
        }
        if tally.failed > 0 && !self.shared.answers.broker().lanes().may_answer() {
            // Nobody answers any more: to ask on would only take time.
            self.shared.settle_aside().await;
            self.shared.changed.notify_waiters();
            return;
        }
        let Tally { tried, failed, workers, died } = tally;
        let reason = match failed {
            0 => format!("{died} of {workers} workers died; all the rest is done one by one"),
            _ if recovery == Recovery::AgainOneByOne => {
                format!("{failed} of {tried} items failed in a way that passes, and are done again, one by one")
            }
            _ => format!("{failed} of {tried} items failed in a way that passes; all the rest is done one by one"),
        };
        let level = self.shared.board().level();
        // Where the run stands so already, it is said all the same that they are done again.
        if !self.shared.events.stands(Part::Items, level, &reason).await {
            self.shared.events.tell(Fact::DoneAgain { items: failed, reason }).await;
        }
        self.shared.changed.notify_waiters();
    }

    fn wanted(&self) -> usize {
        if self.futile >= FUTILE { 0 } else { self.shared.board().wants_more_workers() }
    }

    async fn start(&mut self, segment: &str) {
        let worker = self.at_work.len() + self.ended.len();
        if self.shared.board().join(worker).is_err() {
            return;
        }
        let log = self.sandbox.log();
        let seat = Seat::new(self.shared.clone(), Some(worker), log.clone());
        let segment = segment.to_owned();
        let at_work =
            AtWork { seat: seat.clone(), log: log.clone(), segment: segment.clone(), task: None, wanted: None };
        self.at_work.insert(worker, at_work);
        self.shared.events.tell(Fact::WorkerStarted { worker, segment }).await;
        let sandbox = self.sandbox.clone();
        let task = self.running.spawn(async move { (worker, sandbox.run(Arc::new(seat), log).await) });
        if let Some(at_work) = self.at_work.get_mut(&worker) {
            at_work.task = Some(task);
        }
    }

    async fn joined(&mut self, joined: Result<(usize, Result<(), Died>), tokio::task::JoinError>) {
        match joined {
            Ok((worker, result)) => self.ended(worker, result).await,
            // A fault of the host's own in the worker's task costs what any other death does.
            Err(error) => {
                let is_it = |at_work: &AtWork| at_work.task.as_ref().is_some_and(|task| task.id() == error.id());
                let found = self.at_work.iter().find(|(_, at_work)| is_it(at_work));
                let Some((worker, is_wanted)) = found.map(|(worker, at_work)| (*worker, at_work.wanted.is_some()))
                else {
                    return;
                };
                if error.is_panic() {
                    self.ended(worker, Err(Died::Trapped(format!("the host failed: {error}")))).await;
                } else if is_wanted {
                    self.ended(worker, Err(Died::Stopped("its item was taken back".to_owned()))).await;
                }
            }
        }
    }

    /// A worker is gone: what it held goes elsewhere, or has failed.
    async fn ended(&mut self, worker: usize, result: Result<(), Died>) {
        let Some(AtWork { seat, log, segment, wanted, .. }) = self.at_work.remove(&worker) else { return };
        seat.settled().await;
        let was_surplus = self.shared.board().is_leaving(worker);
        // A worker may come to its end because dispatch has stopped, before that is heard here: its item stays pending.
        if let Some(failure) = self.shared.answers.broker().stopped().borrow().as_ref() {
            self.shared.board().drain(&failure.message);
        }
        let done = seat.done();
        let said = result.as_ref().err().map(ToString::to_string);
        let why = said.as_deref().unwrap_or("the run is being stopped");
        // One that the host has ended has not died.
        let died = said.clone().filter(|_| !matches!(result, Err(Died::Stopped(_))));
        // What it holds is taken from it before anybody else can have it.
        let taken = match &wanted {
            Some(_) if self.shared.board().draining().is_none() => self.shared.board().take_away(worker).ok().flatten(),
            _ => None,
        };
        let (lost, attempt) = {
            let mut board = self.shared.board();
            let lost = match &result {
                // It came to its own end, and says so or not: what it still holds it will never finish.
                Ok(()) | Err(Died::Refused { .. }) if board.draining().is_none() => {
                    board.leave(worker, died.as_deref())
                }
                _ => board.give_back(worker, why),
            };
            // Before another worker has it.
            let attempt = match &lost {
                Ok(Some(Lost::Again(item) | Lost::Ended(item, _))) => board.attempts(*item),
                _ => 0,
            };
            (lost, attempt)
        };
        match lost {
            Ok(Some(Lost::Again(item))) => {
                let (reason, log, became) = (why.to_owned(), log.tail(), Became::Died);
                let nothing = Nothing { item, attempt, worker, became, reason, log, took: seat.in_hands() };
                self.shared.came_to_nothing(nothing, why.to_owned()).await;
            }
            Ok(Some(Lost::Ended(number, outcome))) => {
                self.write_lost(worker, number, outcome, log.tail(), seat.in_hands()).await;
            }
            Ok(None) | Err(_) => {}
        }
        self.futile = match done.items {
            0 if was_surplus => self.futile,
            0 => self.futile + 1,
            _ => 0,
        };
        self.last_death = died.clone().or(self.last_death.take());
        self.shared.changed.notify_waiters();
        self.shared.events.tell(Fact::WorkerEnded { worker, died: died.clone() }).await;
        self.ended.insert(worker, WorkerFacts { segment, items: done.items, work: done.work, died });
        if let Some(order) = wanted {
            self.came_back(order, worker, taken, log.tail(), seat.in_hands()).await;
        }
    }

    /// The worker that has an item is ended, because somebody wants it back. What came of it is said then.
    pub(super) fn let_go(&mut self, worker: usize, order: Order) {
        let Some(at_work) = self.at_work.get_mut(&worker) else {
            return order.refuse("its worker is just ending: try again");
        };
        let Some(task) = at_work.task.as_ref().filter(|_| at_work.wanted.is_none()) else {
            return order.refuse("it is being taken back already");
        };
        task.abort();
        at_work.wanted = Some(order);
    }

    /// A worker that was ended for its item is gone; none: the item had ended before.
    async fn came_back(&self, order: Order, worker: usize, taken: Option<usize>, log: String, took: Duration) {
        let Some(number) = taken else {
            let outcome = self.shared.board().outcome(order.item).map(Outcome::name).unwrap_or_default();
            return order.refuse(&match outcome {
                "pending" => "the run is being stopped, and it stays pending".to_owned(),
                ended => format!("it has just ended: {ended}"),
            });
        };
        let attempt = self.shared.board().attempts(number);
        let reason = order.reason();
        let nothing =
            Nothing { item: number, attempt, worker, became: Became::Died, reason: reason.clone(), log, took };
        self.shared.came_to_nothing(nothing, reason).await;
        match order.wish {
            Wish::Cancel => self.skip(number, order).await,
            Wish::Requeue => {
                self.shared.board().hand_out(number);
                self.shared.changed.notify_waiters();
                order.done("taken back from its worker; it is done again");
            }
        }
    }

    /// The board has ended an item with its worker: the journal and all others must hear of it.
    async fn write_lost(&self, worker: usize, number: usize, outcome: Outcome, log: String, took: Duration) {
        let (item, attempts) = {
            let board = self.shared.board();
            let Some(item) = board.item(number).cloned() else { return };
            (item, board.attempts(number))
        };
        let ended = Ended { log, ..Ended::default() };
        let end = super::shared::End { number, item, outcome, ended, took, attempts, reused: None };
        let (end, _) = self.shared.write_end(end).await;
        self.shared.make_known(Some(worker), end).await;
    }

    /// Ends all workers at once. What they hold stays pending.
    async fn give_up(&mut self, why: &str) {
        self.running.abort_all();
        while self.running.join_next().await.is_some() {}
        let workers: Vec<usize> = self.at_work.keys().copied().collect();
        for worker in workers {
            self.ended(worker, Err(Died::Stopped(format!("it was ended: {why}")))).await;
        }
    }

    /// Items that nobody will take: the plugin dies or returns before it takes one.
    async fn settle_rest(&self) {
        if self.shared.board().draining().is_some() {
            return;
        }
        let rest: Vec<usize> = {
            let board = self.shared.board();
            board.outcomes().enumerate().filter(|(_, outcome)| !outcome.has_ended()).map(|(number, _)| number).collect()
        };
        let reason = match &self.last_death {
            Some(death) => format!("nobody took it: {death}"),
            None => "nobody took it: the plugin returned and left it".to_owned(),
        };
        for number in rest {
            self.shared.settle(number, Outcome::Failed(reason.clone()), Ended::default(), None).await;
        }
    }

    fn workers(self) -> Vec<WorkerFacts> {
        let mut workers: Vec<(usize, WorkerFacts)> = self.ended.into_iter().collect();
        workers.sort_by_key(|(number, _)| *number);
        workers.into_iter().map(|(_, facts)| facts).collect()
    }
}

/// Whether dispatch has stopped because the user wanted it: of runs side by side, each hears of it by the others too.
pub(super) fn is_interruption(failure: &Failure) -> bool {
    failure.kind == FailureKind::Cancelled
}

/// Waits for the failure that stops dispatch.
async fn terminal(stopped: &mut tokio::sync::watch::Receiver<Option<Failure>>) -> Failure {
    match stopped.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
        Ok(Some(failure)) => failure,
        // The broker is gone, and the run with it.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
