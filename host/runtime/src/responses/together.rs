//! Many questions are looked up and kept at once: one thread does what waits, all of it in one transaction.
//!
//! Else each would take a thread of its own, to wait there for the one connection.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::Inner;
use crate::cache::{Cached, Key};

/// What becomes of it. None: the cache is off. The error is a warning that was not said before.
pub(super) type Told<T> = Result<Option<T>, Option<String>>;

/// What waits.
#[derive(Debug)]
pub(super) enum Job {
    /// To look an answer up.
    Recall(Key, oneshot::Sender<Told<Option<Cached>>>),
    /// To keep one.
    Keep(Key, Cached, oneshot::Sender<Told<()>>),
}

/// What waits, and whether somebody is at it.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    served: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is at it. One that goes before its time leaves nobody waiting.
struct Server {
    inner: Arc<Inner>,
    at_it: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.at_it {
            *self.inner.line.lock() = Waiting::default();
        }
    }
}

/// Has it done, by who is at it or by somebody new. Needs a tokio runtime.
pub(super) fn enqueue(inner: &Arc<Inner>, job: Job) {
    let mut waiting = inner.line.lock();
    waiting.jobs.push(job);
    if std::mem::replace(&mut waiting.served, true) {
        return;
    }
    drop(waiting);
    let server = Server { inner: Arc::clone(inner), at_it: true };
    tokio::task::spawn_blocking(move || server.serve());
}

impl Server {
    fn serve(mut self) {
        while self.at_it {
            let jobs = {
                let mut waiting = self.inner.line.lock();
                // Under the lock: what comes after it finds nobody at it.
                waiting.served = !waiting.jobs.is_empty();
                self.at_it = waiting.served;
                std::mem::take(&mut waiting.jobs)
            };
            self.inner.together(jobs, Timestamp::now());
        }
    }
}

impl Inner {
    /// Does all of it: what is to be kept is in one transaction, and nobody is told of it before.
    pub(super) fn together(&self, jobs: Vec<Job>, now: Timestamp) {
        // Whoever waits hears that there is nothing.
        if jobs.is_empty() || self.off.load(Ordering::Relaxed) {
            return;
        }
        let mut store = self.store();
        // One alone is a transaction by itself.
        let several = jobs.iter().filter(|job| matches!(job, Job::Keep(..))).count() > 1;
        let mut trouble = if several { store.begin().err() } else { None };
        let (mut kept, mut bytes) = (Vec::new(), 0);
        for job in jobs {
            match job {
                // Where the file fails, no other question of the process waits for it.
                Job::Recall(_, reply) if trouble.is_some() => drop(reply),
                Job::Recall(key, reply) => {
                    let found = self.recall(&store, &key, now);
                    // Who asked may be gone.
                    let _ = reply.send(found.map(Some).map_err(|error| self.first_warning(&error)));
                }
                Job::Keep(key, cached, reply) => {
                    if trouble.is_none() {
                        match self.put(&store, &key, cached, now) {
                            Ok(more) => bytes += more,
                            Err(error) => trouble = Some(error),
                        }
                    }
                    kept.push(reply);
                }
            }
        }
        if several {
            match &trouble {
                None => trouble = store.commit().err(),
                Some(_) => store.roll_back(),
            }
        }
        if trouble.is_none() && bytes > 0 {
            trouble = self.make_room(&mut store, bytes, now).err();
        }
        drop(store);
        let mut warning = trouble.map(|error| self.first_warning(&error));
        for reply in kept {
            let told = match &mut warning {
                None => Ok(Some(())),
                Some(warning) => Err(warning.take()),
            };
            let _ = reply.send(told);
        }
    }
}
