//! Breaker, quota, permit, lease and budget: all of them or none.
//!
//! Breaker, permit and lease stand under one lock, with the queue of those who wait; quota, instances and budget are
//! taken under it from what all processes of the user [share](crate::shared), all of them at once. Whoever changes something serves the queue: it lets
//! in its head as long as everything is open for it. Who waits holds nothing but its place, and is woken once, when it
//! has everything. Where only time is missing, one timer serves the queue when it has come, however many wait.
//!
//! Who is overtaken by whom:
//!
//! - Where breaker, quota, permit or instance is closed, all wait: the head is not overtaken by a smaller question behind
//!   it, else a large one would wait for ever.
//! - Where only the budget has not enough for the head as long as others hold their reservations, the heads of other runs
//!   may go before it, [so often](crate::queue::PASSES) at most: what they need may be there. Then all wait for it.
//! - Inside a run nobody goes before its head.
//!
//! The budget is shared with other backends, and has a lock of its own, which is taken last. What it gives back is told to
//! the others when no lock is held any more.

mod adapt;
mod admitted;
mod keeper;
mod state;
mod why;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::backend::Profile;
use crate::breaker::{Breaker, BreakerConfig, Change};
use crate::budget::{Amount, Budget};
use crate::gate::{Wait, later};
use crate::limiter::{self, Limiter, LimiterConfig, Seen};
use crate::pool::Pool;
use crate::question::Failure;
use crate::queue::{Claimant, Queue};
use crate::quota::scoped::ScopedQuota;
use crate::quota::{Cost, QuotaConfig};
use crate::shared::{Ended, Refused, Shared, SharedLimits, Taken, Wanted};

use admitted::Held;
pub use admitted::{Admitted, End, Spent};
use keeper::Keeper;
use state::{Afterwards, State, Verdict, Waiter, Waiting};
use why::Closed;
pub use why::Why;

/// The numbers of admission.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionConfig {
    /// How many questions may be in flight, and so how many instances there are: the ceiling of the limit.
    pub instances: usize,
    /// How the limit moves below that.
    pub limiter: LimiterConfig,
    /// How many may wait in the queue; the others wait for a place in it. 0 counts as 1.
    pub queue: usize,
    /// The breaker's.
    pub breaker: BreakerConfig,
    /// The quota's.
    pub quota: QuotaConfig,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            instances: 8,
            limiter: LimiterConfig::default(),
            queue: 10_000,
            breaker: BreakerConfig::default(),
            quota: QuotaConfig::default(),
        }
    }
}

/// Nothing starts so long after a 429 that does not say for how long. Decisions take milliseconds.
const MOMENT: Duration = Duration::from_millis(500);

/// Who wants in.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// The command in whose turn it comes.
    pub command: Arc<str>,
    /// Its run, which takes turns with the other runs of the process.
    pub run: Arc<str>,
    /// What it counts as among them: the tokens that it may take, without those that the provider has cached.
    pub share: u64,
    /// 0 to 9; higher goes first.
    pub priority: u8,
    /// What it takes at most.
    pub cost: Cost,
    /// What it takes of the budget at most.
    pub most: Amount,
    /// Whether there is no cheaper way to ask the question: it then waits for what others may give back, and when they
    /// can't, admission stops.
    pub last: bool,
    /// The user's quotas that it takes from, beside the account's.
    pub quotas: Arc<[Arc<ScopedQuota>]>,
    /// The instance it needs.
    pub profile: Arc<Profile>,
}

impl Applicant {
    fn claimant(&self) -> Claimant {
        Claimant { command: self.command.clone(), run: self.run.clone() }
    }
}

/// What may be seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many wait in the queue.
    pub waiting: usize,
    /// How many are in flight.
    pub in_flight: usize,
    /// How many may be now.
    pub limit: usize,
    /// Whether it is treated as in safe mode: too much failed.
    pub safe: bool,
    /// The most that ever were.
    pub most_in_flight: usize,
    /// How many instances are idle.
    pub idle: usize,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// How long an open breaker still lets nobody through.
    pub opens_in: Option<Duration>,
    /// What the quota has free: requests, input tokens, output tokens.
    pub free: [Option<i64>; 3],
}

/// The door of one account.
pub struct Admission {
    state: Mutex<State>,
    places: Semaphore,
    budget: Arc<Budget>,
    shared: Arc<Shared>,
    /// Whose quota it is, among all that are shared.
    account: Arc<str>,
    quota: QuotaConfig,
    /// What watches over its instances.
    keeper: Keeper,
    /// For what those wait who are in the queue.
    closed: watch::Sender<Closed>,
}

impl Admission {
    /// Nobody inside, nobody waiting, and no budget.
    pub fn new(config: AdmissionConfig) -> Arc<Self> {
        Self::with_budget(config, Arc::new(Budget::unlimited()))
    }

    /// Nobody inside, nobody waiting, and quotas of its own.
    pub fn with_budget(config: AdmissionConfig, budget: Arc<Budget>) -> Arc<Self> {
        Self::sharing(config, budget, Shared::local(SharedLimits::default()), "account")
    }

    /// Nobody inside, nobody waiting. All that take from the same [`Shared`] in a process pay from the same budget.
    pub fn sharing(config: AdmissionConfig, budget: Arc<Budget>, shared: Arc<Shared>, account: &str) -> Arc<Self> {
        let limiter = Limiter::new(config.instances, config.limiter, Instant::now());
        let admission = Arc::new(Self {
            state: Mutex::new(State {
                queue: Queue::default(),
                breaker: Breaker::new(config.breaker),
                pool: Pool::new(limiter.limit()),
                limiter,
                stopped: None,
                timer: None,
                runtime: None,
                changes: Vec::new(),
                lined_up: 0,
            }),
            places: Semaphore::new(config.queue.clamp(1, Semaphore::MAX_PERMITS)),
            budget,
            shared,
            account: Arc::from(account),
            quota: config.quota,
            keeper: Keeper::default(),
            closed: watch::Sender::default(),
        });
        let other = Arc::downgrade(&admission);
        admission.budget.when_freed(move || {
            if let Some(admission) = other.upgrade() {
                admission.look_again();
            }
        });
        admission
    }

    /// Takes it all if everything is open and nobody waits: who comes so pushes nobody out.
    pub fn admit_at_once(self: &Arc<Self>, applicant: &Applicant) -> Option<Admitted> {
        self.at_once(applicant)?.ok()
    }

    /// Waits until everything is open, and takes it all. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// Why dispatch has stopped, why the backend is given up, or which budget is spent.
    pub async fn admit(self: &Arc<Self>, applicant: Applicant) -> Result<Admitted, Failure> {
        self.admit_saying(applicant, |_| ()).await
    }

    /// The same, and who has to wait is told for what: once, and again when that has changed.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub async fn admit_saying(
        self: &Arc<Self>,
        applicant: Applicant,
        mut say: impl FnMut(Why),
    ) -> Result<Admitted, Failure> {
        if let Some(admitted) = self.at_once(&applicant) {
            return admitted;
        }
        let place = match self.places.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => {
                say(Why::turn());
                // The semaphore is never closed; were it, the queue would be unbounded, not stuck.
                self.places.acquire().await.ok()
            }
        };
        self.wait(self.line_up(applicant, place), say).await
    }

    /// Stops dispatch: all who wait, and all who come, get this failure. The first one stays.
    pub fn stop(&self, failure: Failure) -> bool {
        let mut state = self.lock();
        if state.stopped.is_some() {
            return false;
        }
        state.stopped = Some(failure.clone());
        let mut afterwards = Afterwards::default();
        for waiter in state.queue.drain() {
            afterwards.answers.push((waiter.answer, Err(failure.clone())));
        }
        self.shared.leave(&self.account);
        drop(state);
        afterwards.carry_out();
        true
    }

    /// Changes how many may be in flight at most.
    pub fn set_instances(self: &Arc<Self>, instances: usize) {
        let mut state = self.lock();
        state.limiter.set_ceiling(instances);
        let discarded = state.pool.set_bound(instances);
        let mut afterwards = self.serve(&mut state);
        drop(state);
        afterwards.discarded.extend(discarded);
        afterwards.carry_out();
    }

    /// From now on it is this mode that the limit is decided for.
    pub fn set_mode(&self, mode: convoke_policy::Mode) {
        self.lock().limiter.set_mode(mode);
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        let mut state = self.lock();
        let state = &mut *state;
        Standing {
            waiting: state.queue.len(),
            in_flight: state.limiter.in_flight(),
            limit: state.limiter.limit(),
            safe: state.limiter.is_safe(),
            most_in_flight: state.limiter.most(),
            idle: state.pool.idle(),
            breaker: state.breaker.state(),
            opens_in: state.breaker.until().map(|until| until.saturating_duration_since(Instant::now())),
            free: self.shared.free(&self.account, self.quota),
        }
    }

    /// Whether nobody should wait for the backend any more: it stayed out of order each time that it was tried again.
    pub fn is_given_up(&self) -> bool {
        self.lock().given_up(Instant::now()).is_some()
    }

    /// The breaker's changes since this was last called.
    pub fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.lock().changes)
    }

    /// Ends the instance that was idle longest, if any is.
    pub fn close_oldest(&self) {
        let oldest = self.lock().pool.remove_oldest();
        drop(oldest);
    }

    /// Ends all idle instances.
    pub fn close_idle(&self) {
        let idle = self.lock().pool.clear();
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where nobody waits and everything is open, nobody need line up.
    fn at_once(self: &Arc<Self>, applicant: &Applicant) -> Option<Result<Admitted, Failure>> {
        let mut state = self.lock();
        if let Some(failure) = &state.stopped {
            return Some(Err(failure.clone()));
        }
        if let Some(failure) = state.given_up(Instant::now()) {
            return Some(Err(failure));
        }
        if !state.queue.is_empty() {
            return None;
        }
        state.open(Instant::now()).ok()?;
        let taken = match self.shared.take(&self.wanted(applicant), &self.budget) {
            Ok(taken) => taken,
            Err(Refused::Wait { .. }) => return None,
            Err(Refused::Spent(spent)) => return Some(Err(state.cannot_pay(applicant, &spent))),
        };
        state.limiter.came(Instant::now());
        let mut afterwards = Afterwards::default();
        let admitted = self.take(&mut state, applicant, taken, &mut afterwards);
        drop(state);
        afterwards.carry_out();
        Some(Ok(admitted))
    }

    fn line_up<'a>(self: &'a Arc<Self>, applicant: Applicant, place: Option<SemaphorePermit<'a>>) -> Waiting<'a> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.runtime = Handle::try_current().ok();
        if let Some(failure) = state.stopped.clone() {
            drop(state);
            let _ = sender.send(Err(failure));
            return Waiting { admission: self, ticket: None, number: 0, answer: receiver, _place: place };
        }
        state.limiter.came(Instant::now());
        let (claimant, share) = (applicant.claimant(), applicant.share);
        let number = state.lined_up;
        state.lined_up += 1;
        let (priority, waiter) = (applicant.priority, Waiter { applicant, number, answer: sender });
        let ticket = state.queue.push(&claimant, priority, share, waiter);
        let afterwards = self.serve(&mut state);
        drop(state);
        afterwards.carry_out();
        Waiting { admission: self, ticket: Some(ticket), number, answer: receiver, _place: place }
    }

    /// Lets in the head of the queue as long as everything is open for it.
    fn serve(self: &Arc<Self>, state: &mut State) -> Afterwards {
        let mut afterwards = Afterwards::default();
        let now = Instant::now();
        if let Some(failure) = state.given_up(now) {
            let turned_away = state.queue.drain().into_iter();
            afterwards.answers.extend(turned_away.map(|waiter| (waiter.answer, Err(failure.clone()))));
        }
        let mut closed = Closed::default();
        while let Some(head) = state.queue.peek() {
            let (applicant, number) = (head.applicant.clone(), head.number);
            match state.open(now) {
                Ok(()) => {
                    let taken = match self.shared.take(&self.wanted(&applicant), &self.budget) {
                        Err(Refused::Wait { wait, own, instances, until }) => {
                            if let Wait::Until(when) = wait {
                                self.set_timer(state, when);
                            }
                            let why = Why { reason: if instances { "instance" } else { "quota" }, until };
                            closed.add(!own, number, why);
                            // What only it waits for, others need not.
                            if own && state.queue.set_aside() {
                                continue;
                            }
                            break;
                        }
                        Err(Refused::Spent(spent)) => Err(spent),
                        Ok(taken) => Ok(taken),
                    };
                    let Some(waiter) = state.queue.pop() else { break };
                    let verdict = match taken {
                        Ok(taken) => Ok(self.take(state, &waiter.applicant, taken, &mut afterwards)),
                        Err(spent) => Err(state.cannot_pay(&waiter.applicant, &spent)),
                    };
                    afterwards.answers.push((waiter.answer, verdict));
                    if let Some(failure) = state.stopped.clone() {
                        let turned_away = state.queue.drain().into_iter();
                        afterwards.answers.extend(turned_away.map(|waiter| (waiter.answer, Err(failure.clone()))));
                    }
                }
                Err(wait) => {
                    if let Wait::Until(when) = wait {
                        self.set_timer(state, when);
                    }
                    closed.all = state.why(now);
                    break;
                }
            }
        }
        state.queue.bring_back();
        closed.tell(&self.closed);
        afterwards
    }

    /// What was reserved elsewhere has been given back.
    fn look_again(self: &Arc<Self>) {
        let mut state = self.lock();
        let afterwards = self.serve(&mut state);
        drop(state);
        afterwards.carry_out();
    }

    fn take(
        self: &Arc<Self>,
        state: &mut State,
        applicant: &Applicant,
        taken: Taken,
        afterwards: &mut Afterwards,
    ) -> Admitted {
        let (lease, discarded) = state.pool.lease(&applicant.profile);
        afterwards.discarded.extend(discarded);
        let held = Held {
            pass: state.breaker.pass(),
            taken,
            permit: state.limiter.take(),
            lease,
            claim: (applicant.claimant(), applicant.share),
            sent: None,
        };
        Admitted::new(self.clone(), held)
    }

    fn wanted<'a>(&'a self, applicant: &'a Applicant) -> Wanted<'a> {
        Wanted {
            account: &self.account,
            config: self.quota,
            cost: applicant.cost,
            most: applicant.most,
            last: applicant.last,
            quotas: &applicant.quotas,
            command: &applicant.command,
        }
    }

    /// Waits for the turn to start an instance that is a process.
    pub async fn spawn(&self) {
        self.shared.spawn().await;
    }

    /// Serves the queue at that time, unless a timer is set that will do it earlier.
    fn set_timer(self: &Arc<Self>, state: &mut State, when: Instant) {
        if state.timer.is_some_and(|set| set <= when) {
            return;
        }
        let Some(runtime) = &state.runtime else { return };
        state.timer = Some(when);
        let admission = Arc::downgrade(self);
        runtime.spawn(async move {
            sleep_until(when).await;
            ring(&admission, when);
        });
    }

    fn give_back(self: &Arc<Self>, held: Held, end: End) {
        let now = Instant::now();
        let mut state = self.lock();
        let change = state.breaker.hand_back(held.pass, now, end.signal, &end.words);
        state.changes.extend(change);
        let (claimant, charged) = &held.claim;
        match end.spent {
            Spent::Known(used) => {
                state.queue.correct(claimant, *charged, used.input_tokens.saturating_add(used.output_tokens));
            }
            Spent::Nothing => state.queue.correct(claimant, *charged, 0),
            Spent::Unknown => {}
        }
        let ended = Ended { spent: end.spent, bill: end.bill, told: end.told };
        self.shared.end(held.taken, ended, &self.budget);
        state.limiter.give_back(held.permit);
        if let Some(sent) = held.sent {
            state.limiter.ended(&limiter::Ended::new(&end, sent, now), now);
        }
        // Where the server says nothing, the policy decides for how long, in a moment.
        let until_decided = (end.seen == Seen::RateLimited).then_some(MOMENT);
        if let Some(pause) = end.pause.or(until_decided) {
            state.limiter.pause_until(later(now, pause));
        }
        let profile = held.lease.profile().clone();
        let discarded = state.pool.give_back(held.lease, end.reusable);
        let mut afterwards = self.serve(&mut state);
        let has_died =
            discarded.as_ref().and_then(|instance| instance.ended()).is_some_and(|ended| ended.is_cancelled());
        // Where its question finds a spare one, that one's place is filled; else the question starts one itself.
        let is_replaced = has_died && state.pool.idle_of(&profile) > 0;
        drop(state);
        afterwards.discarded.extend(discarded);
        afterwards.carry_out();
        if is_replaced {
            self.replace(profile);
        }
        self.budget.freed();
    }
}

fn ring(admission: &Weak<Admission>, when: Instant) {
    let Some(admission) = admission.upgrade() else { return };
    let mut state = admission.lock();
    if state.timer == Some(when) {
        state.timer = None;
    }
    let afterwards = admission.serve(&mut state);
    drop(state);
    afterwards.carry_out();
}

#[cfg(test)]
mod tests;
