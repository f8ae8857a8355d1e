//! The audit log: what plugins did, what the user granted, and what convoke changed, in files to which is only added and
//! of which each line holds the hash of the one before.
//!
//! A [`Trail`] is what a run has in its hands; [`Audit`] what a process has. What changes something (an edit, an action,
//! a rollback, a grant, a library that is loaded) is on the disk before it is done, and is not done where it can't be
//! written. What only looks (a file that is read) is gathered for [a moment](writer) and written in its order: a kill of
//! the process loses at most that moment, a power failure what was not synced since. At the end of a run all of it is
//! synced, and the report has the last hash. Where the log can't be written a run goes on, and is degraded: what it did
//! can't all be shown afterwards.
//!
//! - [`record`]: what a line holds; [`log`]: the files, their lock and their rotation; [`writer`]: the thread;
//! - [`verify`](mod@verify): what was changed since; [`read`]: what stands there;
//! - [`watch`]: what the one stream of events adds.
//!
//! A replay, a `--dry-run` and `convoke test` write nothing to it.

mod lines;
mod log;
pub mod read;
pub mod record;
#[cfg(test)]
mod tests;
mod verdict;
pub mod verify;
pub mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use convoke_runtime::journal::RunId;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::config::{AuditKeep, Paths};
pub use log::Head;
pub use record::{KINDS, Line, Record, kind};
use writer::{Haste, Job, Reply, Tally, Writer};

/// Why something is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The system says no.
    #[error("the audit log {}: {why}", path.display())]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What it says.
        why: String,
    },
    /// Another process holds it, and does nothing.
    #[error("the audit log is locked by another process: {}", path.display())]
    Busy {
        /// The locked file.
        path: PathBuf,
    },
    /// A newer convoke has written it.
    #[error("the audit log has version {version}, and this convoke writes version {}", record::VERSION)]
    Newer {
        /// The version.
        version: u32,
    },
    /// Its thread could not be started, or is gone.
    #[error("the audit log can't be written: its thread is not there")]
    Ended,
}

impl AuditError {
    fn io(path: PathBuf, source: &std::io::Error) -> Self {
        Self::Io { path, why: source.to_string() }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "what can't be audited is not done: make room there, or mend its permissions",
            Self::Busy { .. } => "a stopped convoke may hold it: let that go on, or end it",
            Self::Newer { .. } => "use that convoke, or another CONVOKE_DATA_DIR",
            Self::Ended => "the machine may have too many threads: try again",
        }
    }
}

/// The audit log of a process. Clones write to the same; dropped, the last of them has written all. The default one
/// writes nothing.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// None: nothing is written.
    writer: Option<Arc<Writer>>,
    /// Who counts what is written by this one.
    tally: Option<Arc<Tally>>,
}

impl Audit {
    /// One that writes nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// That of a user. Nothing is made or opened before there is something to write.
    pub fn of(paths: &Paths) -> Self {
        Self::at(&paths.audit(), AuditKeep::of_user(&paths.user_file()))
    }

    /// That of a folder.
    pub fn at(folder: &Path, keep: AuditKeep) -> Self {
        Self { writer: Some(Arc::new(Writer::new(log::Log::new(folder.to_owned(), keep)))), tally: None }
    }

    /// Whether anything is written.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Writes something down that is about to be done: it is on the disk when this returns.
    ///
    /// # Errors
    /// It is not: then it must not be done.
    pub async fn before(&self, records: Vec<Record>) -> Result<(), AuditError> {
        self.ask(records, Haste::Synced).await.map(drop)
    }

    /// As [`before`](Self::before), from where nothing can be awaited. Blocks the thread.
    ///
    /// # Errors
    /// As [`before`](Self::before).
    pub fn before_blocking(&self, records: Vec<Record>) -> Result<(), AuditError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply: Reply = Box::new(move |became| {
            // Who asked waits.
            let _ = sender.send(became);
        });
        writer.add(Job { records, haste: Haste::Synced, tally: self.tally.clone(), reply: Some(reply) });
        receiver.recv().unwrap_or(Err(AuditError::Ended)).map(drop)
    }

    /// Writes something down soon.
    pub fn note(&self, record: Record) {
        if let Some(writer) = &self.writer {
            writer.add(Job { records: vec![record], haste: Haste::Soon, tally: self.tally.clone(), reply: None });
        }
    }

    async fn ask(&self, records: Vec<Record>, haste: Haste) -> Result<Option<Head>, AuditError> {
        let Some(writer) = &self.writer else { return Ok(None) };
        let (sender, receiver) = oneshot::channel();
        let reply: Reply = Box::new(move |became| {
            // Who asked may be gone: it is written all the same.
            let _ = sender.send(became);
        });
        writer.add(Job { records, haste, tally: self.tally.clone(), reply: Some(reply) });
        receiver.await.unwrap_or(Err(AuditError::Ended)).map(Some)
    }
}

/// What a run leaves in the audit log. Clones are of the same run. The default one leaves nothing.
#[derive(Clone, Debug, Default)]
pub struct Trail(Option<Arc<Run>>);

#[derive(Debug)]
struct Run {
    audit: Audit,
    plugin: String,
    id: Mutex<RunId>,
    tally: Arc<Tally>,
}

/// What a run has left there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// So many records.
    pub records: u64,
    /// So many could not be written.
    pub lost: u64,
    /// Where the log ends now; or why that is not known.
    pub head: Result<Head, AuditError>,
}

impl Trail {
    /// That of a run that begins, of a plugin.
    pub fn begin(audit: Audit, plugin: &str) -> Self {
        if !audit.is_on() {
            return Self(None);
        }
        let (id, tally) = (Mutex::new(RunId::new()), Arc::<Tally>::default());
        let audit = Audit { tally: Some(tally.clone()), ..audit };
        Self(Some(Arc::new(Run { audit, plugin: plugin.to_owned(), id, tally })))
    }

    /// It is that run, which goes on.
    pub fn goes_on(&self, id: RunId) {
        if let Some(run) = &self.0 {
            *run.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
        }
    }

    /// The id that its run has, or will have; none: nothing is left of it.
    pub fn run(&self) -> Option<RunId> {
        self.0.as_ref().map(|run| *run.id.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it is written. What is written there is counted as the run's.
    pub fn audit(&self) -> Audit {
        self.0.as_ref().map(|run| run.audit.clone()).unwrap_or_default()
    }

    /// The same for what belongs to no run.
    pub fn uncounted(&self) -> Audit {
        Audit { tally: None, ..self.audit() }
    }

    /// Leaves something soon. `details` are an object, and only made where something is written; the plugin is added.
    pub fn note(&self, kind: &'static str, subject: &str, details: impl FnOnce() -> Value) {
        if let Some(run) = &self.0 {
            run.audit.note(run.record(kind, subject, details()));
        }
    }

    /// Leaves something before it is done, so that a kill of the process does not take it. Where that can't be, it counts
    /// as lost, and may be done.
    pub async fn ahead(&self, kind: &'static str, subject: &str, details: impl FnOnce() -> Value) {
        let Some(run) = &self.0 else { return };
        let records = vec![run.record(kind, subject, details())];
        // One that is lost is counted where it is.
        let _ = run.audit.ask(records, Haste::Now).await;
    }

    /// Brings all to the disk, and says what it came to; none: nothing is left of this run.
    pub async fn end(&self) -> Option<Left> {
        let run = self.0.as_ref()?;
        let head = match run.audit.ask(Vec::new(), Haste::Synced).await {
            Ok(Some(head)) => Ok(head),
            Ok(None) => Err(AuditError::Ended),
            Err(error) => Err(error),
        };
        let (written, lost) = (run.tally.written.load(Ordering::Relaxed), run.tally.lost.load(Ordering::Relaxed));
        Some(Left { records: written, lost, head })
    }
}

impl Run {
    fn record(&self, kind: &'static str, subject: &str, mut details: Value) -> Record {
        if let Value::Object(members) = &mut details {
            members.insert("plugin".to_owned(), json!(self.plugin));
        }
        let id = *self.id.lock().unwrap_or_else(PoisonError::into_inner);
        Record::new(kind, subject, details).of_run(Some(id.to_string()))
    }
}
