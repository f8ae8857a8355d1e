//! What all convoke processes of a user have in common: quotas, instances, the rate of spawning, what the day has cost.
//!
//! There is no daemon. The state is one small file in a folder of the user's, guarded by a lock on it, read and written
//! whole ([`file`]). Each process holds a file of its own locked as long as it lives ([`presence`]): what one held that
//! is gone is given back by the next that looks, its permits at once, its reservations as spent. Times are those since
//! the machine booted ([`clock`]): jumps of the wall clock change nothing, and after a boot all begins anew, the day's
//! spending from the journal.
//!
//! [`Shared::take`] checks everything and takes it, or takes nothing. Who waits for what another process holds looks
//! again some ten times a second, all questions of a process together; who waits for time sleeps. One that has waited for
//! two seconds is not overtaken any more by those of other processes.
//!
//! Without a folder the same state is in memory, and one process's own. So it becomes where the file fails in the middle
//! of a run: with a warning, and with what was held.

pub mod claims;
pub mod clock;
pub mod error;
mod file;
pub mod look;
mod presence;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::budget::{self, Budget};
use crate::gate::{Wait, later};
use crate::quota::QuotaConfig;
use crate::quota::kept::Moment;
use crate::quota::rate::Size;

pub use clock::Clock;
pub use error::SharedError;
use file::{Content, PATIENCE, StateFile};
use presence::Presence;
use state::{Closed, Holder, State, Waiting};
pub(crate) use state::{Ended, Taken, Wanted};

/// The version of the file that is written, and the newest that is read.
pub const VERSION: u64 = 2;

/// The bucket of spawns.
const SPAWNS: &str = "spawns";

/// How long it takes at least until one looks again, and at most.
const LOOKS: (u64, u64) = (50, 100);

/// How long after one has looked who is gone one looks again, in nanoseconds.
const REAPED_FOR: u64 = 250_000_000;

/// How long a lock may be held by another before limits are not shared any more, in nanoseconds.
const BUSY_FOR: u64 = 10_000_000_000;

/// A state that is later than that, in nanoseconds, was written before the machine booted.
const AHEAD: u64 = 60_000_000_000;

/// How long one is waited for that waits for what its own process holds.
const OWN_CHANGE: Duration = Duration::from_secs(5);

/// How long what has ended waits for company before it is given back, while many of this process are under way: others
/// look more seldom, and who waits in this process sees it at once.
const COMPANY: Duration = Duration::from_millis(1);

/// So many under way are many.
const MANY: u64 = 8;

/// The largest number of questions that are noted as waiting, by their accounts.
const MOST_WAITING: usize = 16;

/// The numbers that hold for all processes of a user. Defaults: "instances in all, spawn rate".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    /// Instances in use at once.
    pub instances: u64,
    /// Instances that are started in a second, where each is a process.
    pub spawns_per_s: u64,
}

impl Default for SharedLimits {
    fn default() -> Self {
        Self { instances: 100, spawns_per_s: 10 }
    }
}

impl SharedLimits {
    /// The bucket of spawns.
    pub fn spawns(&self) -> Size {
        Size { amount: self.spawns_per_s, per: Duration::from_secs(1) }
    }
}

/// Why nothing is taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Something is closed.
    Wait {
        /// Until then, or until something of this process comes back.
        wait: Wait,
        /// Whether it is only the budget or a quota of the user's: others may need nothing of it.
        own: bool,
        /// Whether it is instances, and no quota.
        instances: bool,
        /// How long it stays closed at least, if time opens it.
        until: Option<Instant>,
    },
    /// A budget can't pay it.
    Spent(budget::Spent),
}

/// What all processes have in common, as one of them sees it.
pub struct Shared {
    inner: Mutex<Inner>,
    limits: SharedLimits,
    clock: Clock,
}

struct Inner {
    state: State,
    /// What of the state is this process's, whatever happens to the file.
    mine: Holder,
    id: String,
    seat: Option<Seat>,
    /// What is given back with the next turn.
    late: Vec<(Taken, Ended, Arc<Budget>)>,
    /// Whether a turn for it is coming.
    is_coming: bool,
    warnings: Vec<String>,
    /// When it is looked again.
    next_look: Option<Instant>,
}

/// A place among the processes that share.
struct Seat {
    file: StateFile,
    folder: PathBuf,
    /// The generation that the state is.
    known: Option<u64>,
    /// Whether the file must be written.
    changed: bool,
    reaped: u64,
    busy_since: Option<u64>,
    boot: String,
    _presence: Presence,
}

impl Shared {
    /// One process's own, in memory.
    pub fn local(limits: SharedLimits) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner::new("self".to_owned(), None)), limits, clock: Clock::of_runtime() })
    }

    /// That of all processes that name this folder; it is made if it is not there. The budget tells what the day and the
    /// month have cost before.
    ///
    /// # Errors
    /// See [`SharedError`]. A file that is torn is none: it is set aside, begun anew, and a warning says so.
    pub fn open(
        folder: &Path,
        limits: SharedLimits,
        clock: Clock,
        boot: String,
        budget: &Budget,
    ) -> Result<Arc<Self>, SharedError> {
        file::make_folder(folder)?;
        let id = format!("{:016x}{:x}", rand::rng().random::<u64>(), std::process::id());
        let mut file = StateFile::open(folder, file::LIMITS)?;
        file.lock(Duration::from_nanos(BUSY_FOR))?;
        let presence = Presence::new(folder, &id);
        let presence = presence.inspect_err(|_| file.unlock())?;
        let seat = Seat {
            file,
            folder: folder.to_owned(),
            known: None,
            changed: true,
            reaped: 0,
            busy_since: None,
            boot,
            _presence: presence,
        };
        let mut inner = Inner::new(id, Some(seat));
        inner.mine.pid = std::process::id();
        inner.state.spend = Some(budget.known());
        let moment = clock.moment();
        let joined = inner.load(moment).and_then(|()| {
            let known = budget.known();
            match &mut inner.state.spend {
                Some(spend) => spend.joined_by(&known),
                spend => *spend = Some(known),
            }
            inner.reap(moment);
            inner.state.forget(moment.nanos);
            inner.store(moment)
        });
        if let Some(seat) = &inner.seat {
            seat.file.unlock();
        }
        joined?;
        Ok(Arc::new(Self { inner: Mutex::new(inner), limits, clock }))
    }

    /// The numbers that hold for all.
    pub fn limits(&self) -> SharedLimits {
        self.limits
    }

    /// Whether other processes see it.
    pub fn is_shared(&self) -> bool {
        self.lock().seat.is_some()
    }

    /// What the user should know, once each.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().warnings)
    }

    /// Takes everything that a question needs, or nothing.
    pub(crate) fn take(&self, wanted: &Wanted<'_>, budget: &Arc<Budget>) -> Result<Taken, Refused> {
        let mut inner = self.lock();
        let moment = self.clock.moment();
        let taken = inner.turn(moment, |inner| {
            let taken = inner.state.take(&inner.id, moment, wanted, &self.limits, budget);
            let taken = taken.map_err(|closed| match closed {
                Closed::Spent(spent) => Refused::Spent(spent),
                Closed::Wait { wait, foreign, what, own } => {
                    let (instances, until) = (what == "instances", opening(wait));
                    let wait = match (wait, foreign) {
                        (wait, false) => wait,
                        (Wait::Until(when), true) => Wait::Until(when.min(inner.look_again(moment))),
                        (Wait::Change, true) => Wait::Until(inner.look_again(moment)),
                    };
                    waits(&mut inner.mine, wanted, what, wait, moment);
                    Refused::Wait { wait, own, instances, until }
                }
            });
            if taken.is_ok() {
                inner.mine.waiting.remove(&**wanted.account);
            }
            inner.copy_mine();
            let changed = !matches!(taken, Err(Refused::Spent(_)));
            (taken, changed)
        });
        taken.unwrap_or_else(|Later| {
            let wait = Wait::Until(inner.look_again(moment));
            Err(Refused::Wait { wait, own: false, instances: false, until: None })
        })
    }

    /// Gives back what was taken: at once, or a moment later together with others. Whoever of this process takes
    /// something finds it given back.
    pub(crate) fn end(self: &Arc<Self>, taken: Taken, ended: Ended, budget: &Arc<Budget>) {
        let mut inner = self.lock();
        inner.late.push((taken, ended, budget.clone()));
        match Handle::try_current() {
            Ok(runtime) if inner.stays_busy() => {
                if !std::mem::replace(&mut inner.is_coming, true) {
                    let shared = Arc::downgrade(self);
                    runtime.spawn(async move {
                        sleep(COMPANY).await;
                        if let Some(shared) = shared.upgrade() {
                            shared.settle();
                        }
                    });
                }
            }
            _ => inner.catch_up(self.clock.moment()),
        }
    }

    /// Gives back now what waits for company: for who tells what was spent.
    pub(crate) fn settle(&self) {
        let mut inner = self.lock();
        inner.is_coming = false;
        if !inner.late.is_empty() {
            inner.catch_up(self.clock.moment());
        }
    }

    /// Nobody waits any more at this account.
    pub(crate) fn leave(&self, account: &str) {
        let mut inner = self.lock();
        if inner.mine.waiting.remove(account).is_none() || inner.seat.is_none() {
            return;
        }
        let _ = inner.turn(self.clock.moment(), |inner| {
            inner.copy_mine();
            ((), true)
        });
    }

    /// What an account has free, as far as this process knows: requests, input tokens and output tokens; none where
    /// there is no limit.
    pub(crate) fn free(&self, account: &str, config: QuotaConfig) -> [Option<i64>; 3] {
        let inner = self.lock();
        let moment = self.clock.moment();
        inner.state.quota(account, config, moment).free(moment.now)
    }

    /// Waits for the turn to start a process: so many a second, by all processes of the user. Who gives up waiting has
    /// used its turn.
    pub async fn spawn(&self) {
        let wait = {
            let mut inner = self.lock();
            let moment = self.clock.moment();
            let spawns = self.limits.spawns();
            // Where the lock can't be had, a second's pause is slower than any rate.
            let ahead = |inner: &mut Inner| (inner.state.rate(SPAWNS, spawns, moment.nanos).take_ahead(), true);
            inner.turn(moment, ahead).unwrap_or(Duration::from_secs(1))
        };
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Takes one from each of these buckets, or from none.
    ///
    /// # Errors
    /// How long to wait, and for which.
    pub(crate) fn take_each(&self, buckets: &[(String, Size)]) -> Result<(), (Duration, String)> {
        let mut inner = self.lock();
        let moment = self.clock.moment();
        let taken = inner.turn(moment, |inner| {
            let taken = inner.state.take_each(buckets, moment);
            let changed = taken.is_ok();
            (taken, changed)
        });
        taken.unwrap_or_else(|Later| Err((Duration::from_millis(LOOKS.0), String::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let moment = self.clock.moment();
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        let id = inner.id.clone();
        // What is still held counts as spent, as that of any process that ends.
        let _ = inner.turn(moment, |inner| {
            inner.state.bury(&id, moment.nanos);
            ((), true)
        });
    }
}

/// When time opens it, if time does.
fn opening(wait: Wait) -> Option<Instant> {
    match wait {
        Wait::Until(when) => Some(when),
        Wait::Change => None,
    }
}

/// The lock can't be had now.
struct Later;

impl Inner {
    fn new(id: String, seat: Option<Seat>) -> Self {
        Self {
            state: State::default(),
            mine: Holder::default(),
            id,
            seat,
            late: Vec::new(),
            is_coming: false,
            warnings: Vec::new(),
            next_look: None,
        }
    }

    /// Does something with the state as it is now, and writes down what has changed. Where the file fails it goes on
    /// without.
    fn turn<T>(&mut self, moment: Moment, act: impl FnOnce(&mut Self) -> (T, bool)) -> Result<T, Later> {
        let locked = match &mut self.seat {
            None => Ok(()),
            Some(seat) => seat.file.lock(PATIENCE),
        };
        match locked {
            Ok(()) => {}
            Err(error @ SharedError::Busy { .. }) => {
                let Some(seat) = &mut self.seat else { return Err(Later) };
                let since = *seat.busy_since.get_or_insert(moment.nanos);
                if moment.nanos.saturating_sub(since) < BUSY_FOR {
                    return Err(Later);
                }
                self.go_alone(&error, moment);
            }
            Err(error) => self.go_alone(&error, moment),
        }
        if let Err(error) = self.load(moment) {
            self.go_alone(&error, moment);
        }
        self.reap(moment);
        for (taken, ended, budget) in std::mem::take(&mut self.late) {
            let Self { state, id, .. } = self;
            state.end(id, moment, taken, &ended, &budget);
            self.copy_mine();
            self.note_change();
        }
        let (done, changed) = act(self);
        if changed {
            self.note_change();
        }
        if let Err(error) = self.store(moment) {
            self.go_alone(&error, moment);
        }
        if let Some(seat) = &mut self.seat {
            seat.busy_since = None;
            seat.file.unlock();
        }
        Ok(done)
    }

    /// Where the lock can't be had, the next who has it does it.
    fn catch_up(&mut self, moment: Moment) {
        let _ = self.turn(moment, |_| ((), false));
    }

    /// Whether others see what is given back, and many are under way that will be too.
    fn stays_busy(&self) -> bool {
        self.seat.is_some() && self.mine.instances.saturating_sub(self.late.len() as u64) >= MANY
    }

    fn note_change(&mut self) {
        if let Some(seat) = &mut self.seat {
            seat.changed = true;
        }
    }

    /// What this process holds is as the state says; who of it waits, it says itself.
    fn copy_mine(&mut self) {
        let holder = self.state.holders.entry(self.id.clone()).or_default();
        holder.pid = self.mine.pid;
        holder.waiting = self.mine.waiting.clone();
        self.mine = holder.clone();
    }

    /// The state as others have left it.
    fn load(&mut self, moment: Moment) -> Result<(), SharedError> {
        let Some(seat) = &mut self.seat else { return Ok(()) };
        let anew = match seat.file.read::<State>(seat.known) {
            Ok(Content::Unchanged) => return Ok(()),
            Ok(Content::State(state, generation)) => {
                seat.known = Some(generation);
                let anew = state.boot != seat.boot || state.at > moment.nanos.saturating_add(AHEAD);
                if !anew {
                    let lengths = std::mem::take(&mut self.state.lengths);
                    self.state = State { lengths, ..*state };
                }
                anew
            }
            Ok(Content::Empty) => true,
            Err(error @ SharedError::Broken { .. }) => {
                seat.file.set_aside();
                self.warnings
                    .push(format!("{error}; it was set aside and begun anew, and what it limited is full again"));
                true
            }
            Err(error) => return Err(error),
        };
        if anew {
            // The spending is this process's best knowledge: it is never begun from nothing.
            let spend = self.state.spend.take();
            let lengths = std::mem::take(&mut self.state.lengths);
            self.state = State { boot: seat.boot.clone(), spend, lengths, ..State::default() };
            seat.changed = true;
        }
        if !self.state.holders.contains_key(&self.id) {
            // Its reservations were in buckets that are gone.
            let mine = Holder { accounts: Default::default(), rates: Default::default(), ..self.mine.clone() };
            self.state.holders.insert(self.id.clone(), mine);
            seat.changed = true;
        }
        Ok(())
    }

    fn store(&mut self, moment: Moment) -> Result<(), SharedError> {
        let Some(seat) = &mut self.seat else { return Ok(()) };
        if !seat.changed {
            return Ok(());
        }
        self.state.at = moment.nanos;
        seat.file.write_next(&self.state, &mut seat.known)?;
        seat.changed = false;
        Ok(())
    }

    /// Gives back what those held that are gone.
    fn reap(&mut self, moment: Moment) {
        let Some(seat) = &mut self.seat else { return };
        if seat.reaped > 0 && moment.nanos.saturating_sub(seat.reaped) < REAPED_FOR {
            return;
        }
        seat.reaped = moment.nanos.max(1);
        let others = self.state.holders.keys().filter(|id| **id != self.id);
        let gone: Vec<String> = others.filter(|id| !presence::lives(&seat.folder, id)).cloned().collect();
        for id in gone {
            self.state.bury(&id, moment.nanos);
            presence::remove(&seat.folder, &id);
            seat.changed = true;
        }
    }

    /// The file fails: what this process holds and knows is its own from now on.
    fn go_alone(&mut self, error: &SharedError, moment: Moment) {
        if let Some(seat) = self.seat.take() {
            seat.file.unlock();
            self.warnings.push(error.warning());
            let Self { state, id, .. } = self;
            for other in state.holders.keys().filter(|other| *other != id).cloned().collect::<Vec<_>>() {
                state.bury(&other, moment.nanos);
            }
        }
    }

    /// When it is looked again, by all questions of this process.
    fn look_again(&mut self, moment: Moment) -> Instant {
        match self.next_look {
            Some(next) if next > moment.now => next,
            _ => {
                let wait = Duration::from_millis(rand::rng().random_range(LOOKS.0..=LOOKS.1));
                *self.next_look.insert(later(moment.now, wait))
            }
        }
    }
}

/// Notes that a question waits.
fn waits(mine: &mut Holder, wanted: &Wanted<'_>, what: String, wait: Wait, moment: Moment) {
    let noted = mine.waiting.get(&**wanted.account);
    if noted.is_none() && mine.waiting.len() >= MOST_WAITING {
        return;
    }
    // Who waits for one thing after the other has waited since the first.
    let since = noted.filter(|noted| noted.command == wanted.command).map_or(moment.nanos, |noted| noted.since);
    let looks = match wait {
        Wait::Until(when) => when.saturating_duration_since(moment.now),
        // When something of its own comes back, nobody knows.
        Wait::Change => OWN_CHANGE,
    };
    let looks = moment.nanos.saturating_add(u64::try_from(looks.as_nanos()).unwrap_or(u64::MAX));
    let waiting = Waiting { command: wanted.command.to_owned(), what, since, looks };
    mine.waiting.insert(wanted.account.to_string(), waiting);
}
