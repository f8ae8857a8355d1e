//! What a crash must not lose: runs, items, what became of them, and what it cost.
//!
//! An SQLite file. A thread of its own writes, and commits once for all that wait; readers use a second connection and
//! wait for nobody. What survives a killed process and a power loss is said at `configure` in `schema.rs`: all that
//! was committed. Several processes may use one journal.
//!
//! The journal is written first, then the fact is told: see [`event`](crate::event).

mod actions;
mod applies;
mod attempts;
mod decisions;
mod earlier;
mod error;
pub mod health;
mod history;
mod key;
mod living;
mod outcomes;
mod past;
mod read;
mod record;
mod reopen;
mod retention;
mod schema;
mod stats;
#[cfg(test)]
mod tests;
mod told;
mod write;
mod writer;
mod written;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::money::Usd;
use crate::question::Usage;
use crate::work::{Census, Outcome, Status};

pub use actions::{ActionEnd, ActionRecord, ActionRow, ActionState, OUTPUT_LIMIT};
pub use applies::{ApplyFile, ApplyRecord, ApplyRow, ApplyState, FileContent, Rights};
pub use error::JournalError;
pub(crate) use schema::write_ahead;
pub use told::Told;
pub use written::Written;

pub use history::{Page, RunSummary};
pub use key::{Digest, ItemKey, KeyParts, NotADigest, item_key};
pub use living::Standing;
pub use record::{
    AttemptRow, Became, DecisionRow, ItemEnd, ItemRecord, ItemRow, LOG_LIMIT, NotARunId, QuestionRow, Read, ReadSet,
    Reusable, RunDetail, RunEnd, RunId, RunRecord, RunRow, Typed,
};
pub use retention::{Because, Keep, Leaver, Retained, Room};

pub use earlier::Earlier;
pub use past::{ItemTime, PastRun};
pub use reopen::{ModelRow, Reopening};
pub use stats::{StatsFilter, StatsQuestions, StatsRow, StatsRun};

use living::Living;
use read::Reader;
use write::{EndTexts, Write};
use writer::Writer;

/// How long a write waits while another process writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The journal. Clones use the same file, thread and connections.
///
/// Its methods need a tokio runtime. When the last clone is dropped, what is queued is written, and the drop waits for
/// that.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    // Before the connections: it writes what is queued when it is dropped.
    writer: Writer,
    reader: Arc<Mutex<Connection>>,
    living: Living,
}

impl Journal {
    /// Opens the journal at this path, for its owner only; makes file and folder where they are missing, and brings an
    /// older format to the newest.
    ///
    /// # Errors
    /// A newer format, another program's file, a damaged one, and what can't be opened or written. Then nothing was
    /// changed.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::open_with(path, PATIENCE)
    }

    fn open_with(path: &Path, patience: Duration) -> Result<Self, JournalError> {
        let (writing, reading) = schema::open(path, patience)?;
        let path = schema::shown(path);
        let living = Living::beside(&path);
        Self::start(path, Arc::new(Mutex::new(writing)), Arc::new(Mutex::new(reading)), living)
    }

    /// Opens the journal at this path to look at it: no file is made, and nothing can be written. None: there is
    /// nothing to look at. Only an older format is brought to the newest.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_to_read(path: &Path) -> Result<Option<Self>, JournalError> {
        match schema::open_to_read(path, PATIENCE)? {
            schema::Found::Nothing => Ok(None),
            schema::Found::Older => Self::open(path).map(Some),
            schema::Found::Journal(connection) => {
                let path = schema::shown(path);
                let (connection, living) = (Arc::new(Mutex::new(connection)), Living::beside(&path));
                Self::start(path, Arc::clone(&connection), connection, living).map(Some)
            }
        }
    }

    /// A journal that ends with its last clone.
    ///
    /// # Errors
    /// No memory, no thread.
    pub fn in_memory() -> Result<Self, JournalError> {
        let connection = Arc::new(Mutex::new(schema::in_memory()?));
        Self::start(PathBuf::from(schema::IN_MEMORY), Arc::clone(&connection), connection, Living::default())
    }

    fn start(
        path: PathBuf,
        writing: Arc<Mutex<Connection>>,
        reader: Arc<Mutex<Connection>>,
        living: Living,
    ) -> Result<Self, JournalError> {
        let writer = Writer::start(writing, path.clone())?;
        Ok(Self { inner: Arc::new(Inner { path, writer, reader, living }) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    // Writing. Each returns when it is committed; one whose future is dropped is written all the same. ---------------

    /// Begins a run, which is under way from then on: until it ends, or this process does.
    ///
    /// # Errors
    /// The run has begun already; the storage fails.
    pub async fn begin_run(&self, run: RunRecord) -> Result<(), JournalError> {
        let id = run.id;
        // Before it is seen: whoever reads of it finds that it lives.
        let is_new = match self.hold(&id) {
            Ok(()) => true,
            // Then it has begun before, and that is what is wrong.
            Err(JournalError::UnderWay { .. }) => false,
            Err(error) => return Err(error),
        };
        let begun = self.inner.writer.write(Write::Begin(Box::new(run))).await;
        if begun.is_err() && is_new {
            self.inner.living.release(id);
        }
        begun
    }

    /// From now on the run is under way by this process, until it ends, this journal is dropped, or the process ends.
    /// [`begin_run`](Self::begin_run) does it by itself; who goes on with a run that stopped does it first.
    ///
    /// # Errors
    /// It is under way already, here or elsewhere; the folder of such runs can't be written.
    pub fn hold(&self, run: &RunId) -> Result<(), JournalError> {
        self.inner.living.hold(*run)
    }

    /// The run is not under way any more, and has not ended: the opposite of [`hold`](Self::hold).
    pub fn release(&self, run: &RunId) {
        self.inner.living.release(*run);
    }

    /// Adds the items of a run, all or none: those of the plan, and later those that items add.
    ///
    /// # Errors
    /// The run is unknown or has an item of that id; the storage fails.
    pub async fn record_items(&self, run: &RunId, items: Vec<ItemRecord>) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Items(*run, items)).await
    }

    /// Ends an item. Once this has returned, the result is not lost: that is what the returned word says, without which
    /// nothing counts as done.
    ///
    /// # Errors
    /// The item is unknown or has ended; it is `pending`; it is `done` or `fallback` without a partial; a metric is not
    /// finite; the storage fails.
    pub async fn finish_item(&self, run: &RunId, end: ItemEnd) -> Result<Written, JournalError> {
        let written = Written::new(*run, end.item.clone(), end.outcome.clone());
        self.inner.writer.write(Write::Finish(*run, Box::new(EndTexts::of(end)?))).await?;
        Ok(written)
    }

    /// Writes down an attempt that came to nothing, as soon as the money ledger is.
    ///
    /// # Errors
    /// The storage fails. An item that is not known is not an error: then nothing is written.
    pub async fn record_attempt(&self, run: &RunId, row: AttemptRow) -> Result<(), JournalError> {
        self.inner.writer.write_soon(Write::Attempt(*run, Box::new(row))).await
    }

    /// Adds a line to the money ledger. Unlike the others this returns when the line is queued: it is committed within
    /// a tenth of a second, and never after what is written later. While the storage fails, it returns when committed.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn record_question(&self, row: QuestionRow) -> Result<(), JournalError> {
        self.inner.writer.write_soon(Write::Question(Box::new(row))).await
    }

    /// Writes down what a policy decided, as soon as the money ledger is. Of all runs together the newest 100,000 are
    /// kept, and texts of at most 500 bytes.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn record_decision(&self, row: DecisionRow) -> Result<(), JournalError> {
        self.inner.writer.write_soon(Write::Decision(Box::new(row))).await
    }

    /// Writes down actions that are to be carried out. One that was started before stays as it is.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn propose_actions(&self, actions: Vec<ActionRecord>) -> Result<(), JournalError> {
        self.change_actions(actions::Change::Propose(actions)).await
    }

    /// Starts an action, before its program is. Of all that try, over all processes, one does.
    ///
    /// # Errors
    /// It was started before and has not failed, or failed with another body: [`JournalError::ActionHeld`]. The storage
    /// fails.
    pub async fn start_action(&self, action: ActionRecord) -> Result<(), JournalError> {
        self.change_actions(actions::Change::Start(action)).await
    }

    /// Ends an action that was started.
    ///
    /// # Errors
    /// It is unknown or not under way; the storage fails.
    pub async fn end_action(&self, end: ActionEnd) -> Result<(), JournalError> {
        self.change_actions(actions::Change::End(end)).await
    }

    /// Makes all actions of a project unknown that were started and have not ended. Only for who knows that no host is
    /// at one.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn lose_actions(&self, project: &str, at: Timestamp) -> Result<(), JournalError> {
        self.change_actions(actions::Change::Lose { project: project.to_owned(), at }).await
    }

    /// Says how an action stands, as the user knows it: done, or failed.
    ///
    /// # Errors
    /// It is unknown or under way; the storage fails.
    pub async fn settle_action(
        &self,
        project: &str,
        key: &str,
        state: ActionState,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let (project, key) = (project.to_owned(), key.to_owned());
        self.change_actions(actions::Change::Settle { project, key, state, at }).await
    }

    /// Forgets an action that was only proposed, or has failed.
    ///
    /// # Errors
    /// It is unknown or stands otherwise; the storage fails.
    pub async fn forget_action(&self, project: &str, key: &str) -> Result<(), JournalError> {
        self.change_actions(actions::Change::Forget { project: project.to_owned(), key: key.to_owned() }).await
    }

    async fn change_actions(&self, change: actions::Change) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Action(Box::new(change))).await
    }

    /// Ends a run.
    ///
    /// # Errors
    /// The run is unknown or has ended; the storage fails.
    pub async fn end_run(
        &self,
        run: &RunId,
        status: Status,
        census: Census,
        ended: Timestamp,
    ) -> Result<(), JournalError> {
        let written = self.inner.writer.write(Write::End(*run, Box::new(RunEnd { status, census, ended }))).await;
        // After it: nobody finds it neither alive nor ended. What could not be written is over all the same.
        self.inner.living.release(*run);
        written
    }

    /// A run that has ended turns out to stand otherwise: what came after its items was not done.
    ///
    /// # Errors
    /// The run is unknown or has not ended; the storage fails.
    pub async fn amend_end(&self, run: &RunId, status: Status) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Amend(*run, status)).await
    }

    /// Returns when everything written before, by whomever in this process, is committed.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn flush(&self) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Flush).await
    }

    /// Returns as [`flush`](Self::flush) does; then what the log has is copied into the file while the process does other
    /// things, so that closing it takes less. For when little more will be written.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn rest(&self) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Rest).await
    }

    /// Why what was written last could not be, while the storage fails: what nobody waited for too.
    pub fn trouble(&self) -> Option<JournalError> {
        self.inner.writer.trouble().filter(JournalError::is_storage)
    }

    // Reading. Each sees all that was committed when it is called. ---------------------------------------------------

    /// The newest results of `done` items with this key in this project, newest first, at most four. Whoever uses one
    /// first checks what it read, and [`Reusable::is_fresh`].
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn reusable(&self, key: &ItemKey, project: &str) -> Result<Vec<Reusable>, JournalError> {
        Ok(self.reusable_all(vec![*key], project).await?.pop().unwrap_or_default())
    }

    /// As [`reusable`](Self::reusable), for each of many keys, in their order.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn reusable_all(&self, keys: Vec<ItemKey>, project: &str) -> Result<Vec<Vec<Reusable>>, JournalError> {
        let project = project.to_owned();
        self.read(move |reader| reader.reusable(&keys, &project)).await
    }

    /// What all questions since then have used, of all runs and projects.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn spent(&self, since: Timestamp) -> Result<Usage, JournalError> {
        self.read(move |reader| reader.spent(since)).await
    }

    /// What all questions that ended since then have cost, of all runs and projects, with what nobody knows. It is what
    /// counts for a budget.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn paid(&self, since: Timestamp) -> Result<Usd, JournalError> {
        self.read(move |reader| reader.paid(since)).await
    }

    /// The actions of a project, newest first.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn actions(&self, project: &str) -> Result<Vec<ActionRow>, JournalError> {
        let project = project.to_owned();
        self.read(move |reader| reader.actions(&project)).await
    }

    /// The actions that a run proposed last or had carried out, in that order.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn actions_of(&self, run: &RunId) -> Result<Vec<ActionRow>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.actions_of(run)).await
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunRow>, JournalError> {
        self.read(move |reader| reader.runs(limit)).await
    }

    /// Whether a process has this run under way. Where that can't be looked at, it is thought so.
    pub fn is_under_way(&self, run: &RunId) -> bool {
        self.inner.living.is_under_way(*run)
    }

    /// How a run stands now. It may have ended since it was read: then the row gets its end.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn standing(&self, row: &mut RunRow) -> Result<Standing, JournalError> {
        if row.end.is_none() {
            if self.is_under_way(&row.run.id) {
                return Ok(Standing::Running);
            }
            let id = row.run.id;
            row.end = self.read(move |reader| reader.run_row_of(id)).await?.end;
        }
        Ok(row.end.as_ref().map_or(Standing::Gone, |end| Standing::Ended(end.status)))
    }

    /// What policies decided in a run, as far as it is kept, in that order.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn decisions(&self, run: &RunId) -> Result<Vec<DecisionRow>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.decisions(run)).await
    }

    /// How the items of a run stand as they are written, by their number: their ids and outcomes, and nothing else.
    ///
    /// # Errors
    /// The run is unknown; the storage fails; a record doesn't make sense.
    pub async fn outcomes(&self, run: &RunId) -> Result<Vec<(String, Outcome)>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.outcomes(run)).await
    }

    /// Everything about a run.
    ///
    /// # Errors
    /// The run is unknown; the storage fails; a record doesn't make sense.
    pub async fn run(&self, run: &RunId) -> Result<RunDetail, JournalError> {
        let run = *run;
        self.read(move |reader| reader.run(run)).await
    }

    /// The run with this id, or the one whose id ends so: at least four digits, as [`RunId::short`] shows them.
    ///
    /// # Errors
    /// There is none, or there are several; the storage fails.
    pub async fn find_run(&self, name: &str) -> Result<RunId, JournalError> {
        let name = name.to_owned();
        self.read(move |reader| reader.find_run(&name)).await
    }

    /// Asks on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        // It must not keep the journal alive: the last clone's drop would then wait on a pool thread.
        let (reader, path) = (Arc::clone(&self.inner.reader), self.inner.path.clone());
        let closed = JournalError::Closed { path: path.clone() };
        let asked = tokio::task::spawn_blocking(move || {
            let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
            ask(&Reader { connection: &connection, path: &path })
        });
        asked.await.unwrap_or(Err(closed))
    }
}
