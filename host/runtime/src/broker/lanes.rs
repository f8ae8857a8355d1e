//! What the commands of one process share: the backends with their doors, the budget, the retries and the policy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::adapt::Meter;
use super::leader::Leaders;
use super::recent::Recent;
use super::record::Books;
use crate::admission::{Admission, AdmissionConfig, Standing};
use crate::backend::Backend;
use crate::backend::offline::Offline;
use crate::budget::Budget;
use crate::event::Fact;
use crate::levels::{Level, Part};
use crate::policy::{Decided, Facts, Slot};
use crate::question::Failure;
use crate::quota::scoped::ScopedQuotas;
use crate::retry::Retry;
use crate::shared::Shared;

/// The backends of a process, for the brokers of all its runs: what one command has in flight, another one has not. Each
/// backend has its own limit, quota, breaker and instances; budget, retry budget and policy are common to all.
pub struct Lanes {
    /// At least one.
    pub(super) lanes: Vec<Lane>,
    budget: Arc<Budget>,
    retry: Mutex<Retry>,
    /// How many there were.
    answers: AtomicU64,
    /// Whether all is done as in safe mode.
    safe: AtomicBool,
    policy: Arc<Slot>,
    shared: Arc<Shared>,
    quotas: ScopedQuotas,
    /// Why dispatch has stopped. All lanes stop together.
    stopped: watch::Sender<Option<Failure>>,
    /// Where the runs tell.
    audience: Mutex<Vec<Arc<Books>>>,
    /// When questions were admitted.
    recent: Mutex<Recent>,
    /// What measures the machine, if anything does.
    pub(super) meter: Mutex<Option<Meter>>,
}

/// The numbers of [`Lanes`].
#[derive(Clone)]
pub struct LanesConfig {
    /// How many at once, and how fast; for each backend.
    pub admission: AdmissionConfig,
    /// What may be spent. All backends share it.
    pub budget: Arc<Budget>,
    /// What makes the jitter of retries.
    pub seed: u64,
    /// What decides.
    pub policy: Arc<Slot>,
    /// What all processes of the user have in common.
    pub shared: Arc<Shared>,
    /// The user's quotas, beside those of accounts.
    pub quotas: ScopedQuotas,
}

/// A backend, and the door to it.
pub(super) struct Lane {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) admission: Arc<Admission>,
    pub(super) leaders: Leaders,
}

impl Lanes {
    /// For these backends, at least one; a [`Route`](crate::route::Route) names them by their places. Must be used
    /// inside of one tokio runtime.
    pub fn new(backends: Vec<Arc<dyn Backend>>, config: LanesConfig) -> Arc<Self> {
        let lane = |backend: Arc<dyn Backend>| {
            let account = format!("{} {}", backend.name(), backend.account());
            let (budget, shared) = (config.budget.clone(), config.shared.clone());
            let admission = Admission::sharing(config.admission, budget, shared, &account);
            admission.keep(backend.clone());
            Lane { backend, admission, leaders: Leaders::default() }
        };
        let mut lanes: Vec<Lane> = backends.into_iter().map(lane).collect();
        if lanes.is_empty() {
            lanes.push(lane(Arc::new(Offline)));
        }
        Arc::new(Self {
            lanes,
            budget: config.budget,
            retry: Mutex::new(Retry::new(&config.policy.in_force().profile.recover, config.seed)),
            answers: AtomicU64::new(0),
            safe: AtomicBool::new(false),
            policy: config.policy,
            shared: config.shared,
            quotas: config.quotas,
            stopped: watch::Sender::new(None),
            audience: Mutex::default(),
            recent: Mutex::default(),
            meter: Mutex::default(),
        })
    }

    /// What happens to all is told there too from now on.
    pub(super) fn listen(&self, books: &Arc<Books>) {
        books.events.begins(Part::Backends, self.level(), "so it stands when the run begins");
        self.audience.lock().unwrap_or_else(PoisonError::into_inner).push(books.clone());
    }

    /// Tells all runs what happens to all.
    pub(super) async fn tell(&self, fact: Fact) {
        let audience = self.audience.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for books in audience {
            books.tell(fact.clone()).await;
        }
    }

    /// Tells all runs what was decided for all, and writes it down with each.
    pub async fn note(&self, facts: &Facts, decided: &Decided) {
        let audience = self.audience.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for books in audience {
            books.note(None, facts.clone(), decided).await;
        }
    }

    /// When questions were admitted. Whoever holds it decides: nobody else is admitted meanwhile.
    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a policy has a say: where somebody can be asked, and nothing is replayed.
    pub(super) fn is_by_policy(&self) -> bool {
        let mut backends = self.lanes.iter().map(|lane| &lane.backend);
        !backends.clone().any(|backend| backend.replays()) && backends.any(|backend| backend.has_model())
    }

    /// The lane at that place.
    pub(super) fn lane(&self, place: usize) -> &Lane {
        // A route that names a backend that is not there means the first.
        self.lanes.get(place).unwrap_or(&self.lanes[0])
    }

    pub(super) fn retry(&self) -> MutexGuard<'_, Retry> {
        self.retry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer came.
    pub(super) fn succeeded(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let policy = self.policy.in_force();
        self.retry().succeeded(&policy.profile.recover);
    }

    /// How many retries are left to all runs together.
    pub fn retries_left(&self) -> u32 {
        let policy = self.policy.in_force();
        self.retry().retries_left(&policy.profile.recover)
    }

    /// Whether asking once more may help: some backend has answered, and not all are given up.
    pub fn may_answer(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 0 && !self.lanes.iter().all(|lane| lane.admission.is_given_up())
    }

    /// Whether all is done as in safe mode for now: nothing is hedged.
    pub fn is_safe(&self) -> bool {
        self.safe.load(Ordering::Relaxed)
    }

    /// Has all done as in safe mode, or no longer.
    pub fn set_safe(&self, safe: bool) {
        self.safe.store(safe, Ordering::Relaxed);
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Slot> {
        &self.policy
    }

    /// The budget that all questions are paid from. What has ended in the last moment may not be settled in it yet: see
    /// [`settle`](Self::settle).
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Settles what has ended until now.
    pub(super) fn settle(&self) {
        self.shared.settle();
    }

    /// Why dispatch has stopped, if it has.
    pub fn failure(&self) -> Option<Failure> {
        self.stopped.borrow().clone()
    }

    /// Why dispatch has stopped, once it has: a limit is reached, or the key was rejected.
    pub fn stopped(&self) -> watch::Receiver<Option<Failure>> {
        self.stopped.subscribe()
    }

    /// Sends no more: all who wait and all who come get this failure; the first one stays.
    pub(super) async fn stop(&self, failure: &Failure) {
        let first = self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert_with(|| failure.clone());
            first
        });
        for lane in &self.lanes {
            lane.admission.stop(failure.clone());
        }
        if first {
            self.tell(Fact::DispatchStopped { reason: failure.message.clone() }).await;
        }
    }

    /// The user's quotas, beside those of accounts.
    pub(super) fn quotas(&self) -> &ScopedQuotas {
        &self.quotas
    }

    pub(super) async fn tell_changes(&self) {
        for message in self.shared.warnings() {
            self.tell(Fact::Warned { message }).await;
        }
        for lane in &self.lanes {
            for change in lane.admission.changes() {
                let reason = format!("{}: {}", lane.backend.name(), change.reason);
                self.tell(change.fact()).await;
                self.tell_level(&reason).await;
            }
        }
        self.adapt().await;
    }

    /// How those who answer stand.
    fn level(&self) -> Level {
        let asked: Vec<(bool, bool)> =
            self.lanes.iter().filter(|lane| lane.backend.has_model()).map(|lane| lane.admission.health()).collect();
        match asked.iter().filter(|(closed, _)| *closed).count() {
            0 if !asked.is_empty() => Level::Fallback,
            closed if closed < asked.len() || asked.iter().any(|(_, safe)| *safe) => Level::Partial,
            _ => Level::Full,
        }
    }

    /// Tells all runs how those who answer stand, where that has changed.
    pub(super) async fn tell_level(&self, reason: &str) {
        let audience = self.audience.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let level = self.level();
        for books in audience {
            books.events.stands(Part::Backends, level, reason).await;
        }
    }

    /// How the queue, the breaker, the quota and the instances of each backend stand.
    pub fn standing(&self) -> Vec<(&'static str, Standing)> {
        self.lanes.iter().map(|lane| (lane.backend.name(), lane.admission.standing())).collect()
    }

    /// Changes how many questions may be in flight at each backend.
    pub fn set_instances(&self, instances: usize) {
        for lane in &self.lanes {
            lane.admission.set_instances(instances);
        }
    }

    /// From now on it is this mode that limits are decided for, those of all runs.
    pub fn set_mode(&self, mode: crate::policy::Mode) {
        for lane in &self.lanes {
            lane.admission.set_mode(mode);
        }
    }

    /// Changes how many questions may be in flight at each backend, as somebody wants it, and tells it.
    pub async fn set_limit(&self, instances: usize, reason: &str) {
        for lane in self.lanes.iter().filter(|lane| lane.backend.has_model()) {
            let before = lane.admission.standing().limit;
            lane.admission.set_instances(instances);
            let limit = lane.admission.standing().limit;
            let (account, reason) = (lane.backend.name().to_owned(), reason.to_owned());
            self.tell(Fact::LimitChanged { account, limit, before, reason }).await;
        }
    }

    /// Ends the idle instances, and waits until they and those that were given up have ended: all runs are over.
    pub async fn close(&self) {
        for lane in &self.lanes {
            lane.admission.close().await;
        }
        for lane in &self.lanes {
            lane.backend.close().await;
        }
    }
}
