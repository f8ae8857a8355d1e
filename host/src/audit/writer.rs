//! The thread that writes: what may wait a moment is gathered, what must be there first is not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::AuditError;
use super::log::{Head, Log};
use super::record::{Record, kind};

/// So long is gathered what may wait. A kill of the process loses no more than this of it.
pub(super) const MOMENT: Duration = Duration::from_millis(100);

/// So many records make a batch, however young.
const BATCH: usize = 1_000;

/// Who would add more than so many waits: the disk is slower than the plugins.
const MOST_WAITING: usize = 50_000;

/// Hears whether a record was written.
pub(super) type Reply = Box<dyn FnOnce(Result<Head, AuditError>) + Send>;

/// How soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Haste {
    /// Within a moment.
    Soon,
    /// At once: a kill of the process leaves it.
    Now,
    /// At once, and to the disk: a power failure leaves it.
    Synced,
}

/// How many records of somebody were written, and how many could not be.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// Records on their way.
pub(super) struct Job {
    pub(super) records: Vec<Record>,
    pub(super) haste: Haste,
    pub(super) tally: Option<Arc<Tally>>,
    pub(super) reply: Option<Reply>,
}

impl Job {
    /// Whether what it tells of is not done where it can't be written: then nothing is lost.
    fn is_given_up(&self) -> bool {
        self.haste == Haste::Synced && self.reply.is_some()
    }

    fn counted(&self, which: impl FnOnce(&Tally) -> &AtomicU64, count: u64) {
        if let Some(tally) = &self.tally {
            which(tally).fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Nobody writes it.
    fn fail(self) {
        if !self.is_given_up() {
            self.counted(|tally| &tally.lost, self.records.len() as u64);
        }
        if let Some(reply) = self.reply {
            reply(Err(AuditError::Ended));
        }
    }
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    records: usize,
    is_urgent: bool,
    is_closing: bool,
    /// Nobody writes any more.
    is_dead: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// For the thread: there is something to do.
    stirred: Condvar,
    /// For those who wait: there is room.
    room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a log from a thread of its own, which begins with the first record. Dropped, it has written all.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    log: Mutex<Option<Log>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(log: Log) -> Self {
        Self { shared: Arc::default(), thread: Mutex::default(), log: Mutex::new(Some(log)) }
    }

    /// Gives it something to do. Waits only where more waits already than may.
    pub(super) fn add(&self, job: Job) {
        self.begin();
        let mut queue = self.shared.lock();
        while queue.records >= MOST_WAITING && !queue.is_dead {
            queue = self.shared.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.is_dead {
            drop(queue);
            return job.fail();
        }
        let was_idle = queue.jobs.is_empty();
        queue.records += job.records.len();
        let is_urgent = job.haste > Haste::Soon || queue.records >= BATCH;
        let wakes = was_idle || (is_urgent && !queue.is_urgent);
        queue.is_urgent |= is_urgent;
        queue.jobs.push(job);
        drop(queue);
        if wakes {
            self.shared.stirred.notify_one();
        }
    }

    fn begin(&self) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = log.take() else { return };
        let shared = self.shared.clone();
        let begun = std::thread::Builder::new().name("convoke-audit".to_owned()).spawn(move || write(&shared, log));
        match begun {
            Ok(thread) => *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
            Err(_) => self.shared.lock().is_dead = true,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.stirred.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It panics nowhere; and if it did, that is no reason for another one.
            let _ = thread.join();
        }
    }
}

/// The thread's end, however it comes: nobody waits for it any more.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let jobs = {
            let mut queue = self.0.lock();
            queue.is_dead = true;
            std::mem::take(&mut queue.jobs)
        };
        self.0.room.notify_all();
        jobs.into_iter().for_each(Job::fail);
    }
}

fn write(shared: &Shared, mut log: Log) {
    let _ends = Ends(shared);
    let mut lost = 0;
    loop {
        let mut queue = shared.lock();
        while queue.jobs.is_empty() && !queue.is_closing {
            queue = shared.stirred.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if !queue.is_urgent && !queue.is_closing {
            let gathers = |queue: &mut Queue| !queue.is_urgent && !queue.is_closing;
            let waited = shared.stirred.wait_timeout_while(queue, MOMENT, gathers);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let jobs = std::mem::take(&mut queue.jobs);
        (queue.records, queue.is_urgent) = (0, false);
        let is_over = queue.is_closing && jobs.is_empty();
        drop(queue);
        if is_over {
            return;
        }
        shared.room.notify_all();
        done(&mut log, jobs, &mut lost);
    }
}

/// Writes a batch, and tells those who wait for it.
fn done(log: &mut Log, jobs: Vec<Job>, lost: &mut u64) {
    let is_synced = jobs.iter().any(|job| job.haste == Haste::Synced);
    let mut records = Vec::with_capacity(jobs.len() + 1);
    if *lost > 0 {
        records.push(Record::new(kind::LOG_LOST, "records", json!({"at_most": *lost})));
    }
    let mut waiting = Vec::with_capacity(jobs.len());
    for mut job in jobs {
        let count = job.records.len() as u64;
        records.append(&mut job.records);
        waiting.push((count, job));
    }
    let became = log.append(&records, is_synced);
    if became.is_ok() {
        *lost = 0;
    }
    for (count, job) in waiting {
        match &became {
            Ok(_) => job.counted(|tally| &tally.written, count),
            Err(_) if job.is_given_up() => {}
            Err(_) => {
                *lost += count;
                job.counted(|tally| &tally.lost, count);
            }
        }
        if let Some(reply) = job.reply {
            reply(became.clone());
        }
    }
}
