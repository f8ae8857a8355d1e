//! Other hosts at work on the same project: what they are at is left alone, and what they have done is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use convoke_runtime::board::BoardError;
use convoke_runtime::journal::{ItemKey, Journal, JournalError, Reusable, RunId};
use convoke_runtime::shared::Clock;
use convoke_runtime::shared::claims::{Claimed, Claims, NOTICES, RENEWED, folder_of, warning};
use convoke_runtime::shared::clock::boot;
use convoke_runtime::work::{Item, Outcome};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Session;
use super::explain::why_not;
use super::shared::{Ended, Shared};
use crate::config::Paths;
use crate::plugin::project::{Project, ProjectError};

/// How a run stands with other hosts.
pub struct Beside {
    /// Who does what.
    pub claims: Arc<Claims>,
    /// To see whether a result of theirs holds.
    pub project: Project,
    /// Whether such a result is used.
    pub uses: bool,
    /// Told when something is left to another host.
    pub left: Notify,
    /// Whether the workers are done: from then on no item is ended here any more. Held while one is.
    pub closed: tokio::sync::Mutex<bool>,
    /// Which run has done an item since this one was planned, by the item's number.
    pub done: Mutex<HashMap<usize, RunId>>,
}

/// Whether an item can be begun.
pub(super) enum Begin {
    /// It is to be done here.
    Here,
    /// Another host is at it.
    Elsewhere,
    /// Another host has done it since this run was planned.
    Done(Box<Reusable>),
}

/// Joins the hosts that are at work on a project. Where that can't be, the run goes on without claims, and what was wrong
/// is said. To be called before the plan is made.
pub fn join(paths: &Paths, session: &mut Session) {
    let folder = paths.claims().join(folder_of(&session.identity.project));
    match Claims::open(&folder, Clock::system(), boot()) {
        Ok(claims) => session.claims = Some(Arc::new(claims)),
        Err(error) => session.settings.warnings.push(warning(&error)),
    }
}

/// The newest result under this key that still holds, whoever did it.
///
/// # Errors
/// The journal can't be read, or the files can't be looked at.
pub(super) async fn standing(
    key: &ItemKey,
    journal: &Journal,
    project_name: &str,
    project: &Project,
) -> Result<Option<Reusable>, Unknown> {
    for result in journal.reusable(key, project_name).await? {
        if holds(&result, project).await? {
            return Ok(Some(result));
        }
    }
    Ok(None)
}

/// Why it is not known whether a result holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Project(#[from] ProjectError),
}

/// Whether an earlier result can stand for an item.
async fn holds(result: &Reusable, project: &Project) -> Result<bool, ProjectError> {
    Ok(why_not(result, project).await?.is_none())
}

impl Shared {
    /// Whether an item that a worker has just taken can be begun here.
    pub(super) async fn begin(&self, item: &Item) -> Begin {
        match &self.beside {
            Some(beside) => self.begin_key(beside, &self.identity.key(item)).await,
            None => Begin::Here,
        }
    }

    async fn begin_key(&self, beside: &Beside, key: &ItemKey) -> Begin {
        match beside.claims.claim(key) {
            Claimed::Elsewhere => Begin::Elsewhere,
            Claimed::Mine { company: true } if beside.uses => {
                // Without an answer it is done here: at worst twice.
                let found = standing(key, &self.journal, &self.identity.project, &beside.project).await;
                found.ok().flatten().map_or(Begin::Here, |result| Begin::Done(Box::new(result)))
            }
            Claimed::Mine { .. } => Begin::Here,
        }
    }

    /// Another host has done an item.
    pub(super) fn note_beside(&self, number: usize, run: RunId) {
        if let Some(beside) = &self.beside {
            beside.done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, run);
        }
    }

    /// The items that other hosts have done since the plan, by their numbers, and which runs.
    pub(super) fn done_beside(&self) -> HashMap<usize, RunId> {
        let done =
            self.beside.as_ref().map(|beside| beside.done.lock().unwrap_or_else(PoisonError::into_inner).clone());
        done.unwrap_or_default()
    }

    /// Waits while another host concludes over the same whole. What it came to, if it has.
    pub(super) async fn begin_conclusion(&self, key: &ItemKey) -> Option<Reusable> {
        let beside = self.beside.as_ref()?;
        loop {
            match self.begin_key(beside, key).await {
                Begin::Here => return None,
                Begin::Done(earlier) => return Some(*earlier),
                Begin::Elsewhere if self.answers.broker().stopped().borrow().is_some() => return None,
                Begin::Elsewhere => sleep(beside.claims.pause()).await,
            }
        }
    }

    /// Another host is at the item that this worker has just taken.
    pub(super) fn leave_to_other(&self, worker: usize, number: usize) -> Result<(), BoardError> {
        self.board().leave_to_other(worker, number)?;
        if let Some(beside) = &self.beside {
            beside.left.notify_one();
        }
        Ok(())
    }

    /// Lets other hosts have an item.
    pub(super) fn let_go(&self, item: &Item) {
        if let Some(beside) = &self.beside {
            beside.claims.release(&self.identity.key(item));
        }
    }

    /// Looks after what other hosts are at, and says that this one is alive, until it is over. Then it lets go of all.
    async fn look_beside(&self, over: &CancellationToken) {
        let Some(beside) = &self.beside else { return };
        let [mut renewals, mut looks] = [RENEWED, NOTICES].map(interval);
        for ticks in [&mut renewals, &mut looks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let left = beside.left.notified();
            let waits = self.board().has_elsewhere();
            tokio::select! {
                () = over.cancelled() => return beside.claims.release_all(),
                _ = renewals.tick() => beside.claims.renew(),
                _ = looks.tick() => beside.claims.notice(),
                () = left, if !waits => {}
                () = sleep(beside.claims.pause()), if waits => self.look_elsewhere(beside).await,
            }
        }
    }

    /// What other hosts are at is left as it stands from now on: the items are counted next.
    pub(super) async fn close_beside(&self) {
        if let Some(beside) = &self.beside {
            *beside.closed.lock().await = true;
        }
    }

    /// What others have done is used; what they are not at any more can be taken.
    async fn look_elsewhere(&self, beside: &Beside) {
        let closed = beside.closed.lock().await;
        if *closed {
            return;
        }
        let items: Vec<(usize, ItemKey)> = {
            let board = self.board();
            let numbers = board.elsewhere().into_iter();
            numbers.filter_map(|number| Some((number, self.identity.key(board.item(number)?)))).collect()
        };
        let keys: Vec<ItemKey> = items.iter().map(|(_, key)| *key).collect();
        // First who is at it, then what is done: what ends in between is found.
        let held = beside.claims.elsewhere(&keys);
        let found = match beside.uses {
            true => self.journal.reusable_all(keys, &self.identity.project).await.unwrap_or_default(),
            false => Vec::new(),
        };
        let mut found = found.into_iter();
        let mut any = false;
        for ((number, _), held) in items.into_iter().zip(held) {
            let mut result = None;
            for earlier in found.next().unwrap_or_default() {
                if holds(&earlier, &beside.project).await.unwrap_or_default() {
                    result = Some(earlier);
                    break;
                }
            }
            any |= result.is_some() || !held;
            match result {
                Some(earlier) => {
                    self.note_beside(number, earlier.run);
                    let ended = Ended { partial: Some(earlier.partial), reads: earlier.reads, log: String::new() };
                    self.settle(number, Outcome::Cached, ended, Some(earlier.run)).await;
                }
                None if !held => self.board().come_back(number),
                None => {}
            }
        }
        if any {
            self.changed.notify_waiters();
            self.stirred.notify_one();
        }
    }
}

/// Looks after other hosts until it is ended.
pub(super) struct Looking {
    over: CancellationToken,
    task: JoinHandle<()>,
}

impl Looking {
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        let (over, shared) = (CancellationToken::new(), shared.clone());
        let ended = over.clone();
        let task = tokio::spawn(async move { shared.look_beside(&ended).await });
        Self { over, task }
    }

    /// Ends it, not in the middle of an end that it writes.
    pub(super) async fn end(self) {
        self.over.cancel();
        // It can't have panicked: the lints allow it no way to.
        let _ = self.task.await;
    }
}
