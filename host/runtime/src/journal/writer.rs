//! The thread that owns the writing connection, commits for many at once, and copies the log into the file between.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::JournalError;
use super::write::{Fault, Write, perform};

/// How many writes may wait before whoever has one more waits for room.
const QUEUE: usize = 1_024;

/// The most writes of one transaction.
const GROUP: usize = 512;

/// How long a write that nobody waits for stays for company.
const COMPANY: Duration = Duration::from_millis(100);

/// Where nobody has written for so long, it is the moment for what nobody waits for.
const QUIET: Duration = Duration::from_millis(2);

/// So many decisions that nobody waits for are written in such a moment; fewer stay for company.
const SOME_DECISIONS: usize = 16;

/// From so many on, a quarter of them goes with the others' commits. What a kill takes of them is no result: so they need
/// not be in every commit.
const MANY_DECISIONS: usize = 128;

/// So many pages of the log (2 MB) are copied into the file in a quiet moment. Later would not save anything: what the log
/// has at the end is copied when the last process closes the journal.
const SOME_PAGES: usize = 500;

/// So many (4 MB) are copied as soon as nobody waits.
const MANY_PAGES: usize = 1_000;

/// So many are copied though somebody waits.
const MOST_PAGES: usize = 4_000;

/// What a caller is told.
type Verdict = Result<(), JournalError>;

/// A write, and who waits for it.
#[derive(Debug)]
struct Entry {
    write: Write,
    reply: Option<oneshot::Sender<Verdict>>,
    /// Whether it goes with a later commit if the storage fails now, whoever was told so: what is written after it must
    /// not be there without it.
    stays: bool,
}

/// The way to the thread. Dropping it writes what is queued, and waits for that.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    queue: Option<mpsc::Sender<Entry>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Why the last commit failed, if it did.
    trouble: Arc<Mutex<Option<JournalError>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Arc<Mutex<Connection>>, path: PathBuf) -> Result<Self, JournalError> {
        let failed = |error: std::io::Error| JournalError::Storage { path: path.clone(), detail: error.to_string() };
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (trouble, pages) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&pages);
        let count = move |_: &mut Wal, pages| {
            counted.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        // Instead of SQLite's own, which copies the log before anybody hears that the commit is done.
        lock(&connection).wal_hook(Some(count)).map_err(|error| JournalError::sqlite(&path, &error))?;
        let service = Service { connection, path: path.clone(), trouble: Arc::clone(&trouble), pages };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || clock.block_on(service.serve(receiver)))
            .map_err(failed)?;
        Ok(Self { path, queue: Some(sender), thread: Some(thread), trouble })
    }

    /// Returns when it is committed. Dropping the future doesn't take back a write that is queued.
    pub(super) async fn write(&self, write: Write) -> Verdict {
        self.send_and_hear(write, false).await
    }

    async fn send_and_hear(&self, write: Write, stays: bool) -> Verdict {
        let (reply, verdict) = oneshot::channel();
        self.send(Entry { write, reply: Some(reply), stays }).await?;
        verdict.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Returns when it is queued: it is committed before, or together with, whatever is written later. While the
    /// storage fails it returns when it is committed, or could not be, so that its loss does not stay unknown; it is
    /// still written as soon as anything later can be.
    pub(super) async fn write_soon(&self, write: Write) -> Verdict {
        if lock(&self.trouble).is_some() {
            return self.send_and_hear(write, true).await;
        }
        self.send(Entry { write, reply: None, stays: true }).await
    }

    /// Why the last commit failed, if it did.
    pub(super) fn trouble(&self) -> Option<JournalError> {
        lock(&self.trouble).clone()
    }

    async fn send(&self, entry: Entry) -> Verdict {
        let Some(queue) = &self.queue else { return Err(self.closed()) };
        queue.send(entry).await.map_err(|_| self.closed())
    }

    fn closed(&self) -> JournalError {
        JournalError::Closed { path: self.path.clone() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It can't have panicked: the lints allow it no way to.
            let _ = thread.join();
        }
    }
}

/// What runs in the thread.
struct Service {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
    trouble: Arc<Mutex<Option<JournalError>>>,
    /// How many pages the log had after the last commit.
    pages: Arc<AtomicUsize>,
}

impl Service {
    async fn serve(self, mut queue: mpsc::Receiver<Entry>) {
        let (mut group, mut decisions) = (Vec::new(), Vec::new());
        loop {
            let came = gather(&mut queue, &mut group, decisions.len(), self.pages()).await;
            let all = came != Came::More || group.iter().any(|entry| entry.write.is_last());
            // One that somebody waits for does not stay: while the storage fails, all wait.
            decisions.extend(group.extract_if(.., |entry| entry.write.is_decision() && entry.reply.is_none()));
            let some = match decisions.len() {
                every if all || group.is_empty() => every,
                many @ MANY_DECISIONS.. => many / 4,
                _ => 0,
            };
            group.extend(decisions.drain(..some));
            let rests = group.iter().any(|entry| matches!(entry.write, Write::Rest));
            if !group.is_empty() {
                self.commit(&mut group);
            }
            let enough = match came {
                Came::Nothing => SOME_PAGES,
                _ if queue.is_empty() => MANY_PAGES,
                _ => MOST_PAGES,
            };
            if rests || self.pages() >= enough {
                self.copy_log();
            }
            if came == Came::Last {
                return;
            }
        }
    }

    fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    /// Copies the log into the file, so that it is written from its beginning again. Whoever writes meanwhile waits.
    fn copy_log(&self) {
        // What can't be copied now, because somebody reads, is the next time or when the file is closed.
        let _ = lock(&self.connection).execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        self.pages.store(0, Ordering::Relaxed);
    }

    /// Commits the group and answers those who wait. What stays is in the group if it couldn't be written, and goes with
    /// the next.
    fn commit(&self, group: &mut Vec<Entry>) {
        let verdicts = self.transact(group).unwrap_or_else(|error| vec![Err(error); group.len()]);
        // Before anybody is answered: whoever hears of a failure finds it here.
        *lock(&self.trouble) = group.iter().zip(&verdicts).find_map(|(entry, verdict)| {
            let error = verdict.as_ref().err()?;
            (error.is_storage() || entry.reply.is_none()).then(|| error.clone())
        });
        let mut kept = Vec::new();
        for (mut entry, verdict) in group.drain(..).zip(verdicts) {
            let stays = entry.stays && verdict.as_ref().is_err_and(JournalError::is_storage);
            if let Some(reply) = entry.reply.take() {
                // Whoever went away doesn't want to know.
                let _ = reply.send(verdict);
            }
            if stays {
                kept.push(entry);
            }
        }
        *group = kept;
    }

    /// One transaction. A wrong record fails alone; when the storage fails, nothing is written.
    fn transact(&self, group: &[Entry]) -> Result<Vec<Verdict>, JournalError> {
        // A wrong one is rare, and a savepoint keeps a copy of all that is changed after it.
        let mut savepoints = false;
        loop {
            match self.transact_with(group, savepoints)? {
                Some(verdicts) => return Ok(verdicts),
                None => savepoints = true,
            }
        }
    }

    /// None: nothing is written, because without savepoints part of a wrong record would be.
    fn transact_with(&self, group: &[Entry], savepoints: bool) -> Result<Option<Vec<Verdict>>, JournalError> {
        let sqlite = |error| JournalError::sqlite(&self.path, &error);
        let mut connection = lock(&self.connection);
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let mut verdicts = Vec::with_capacity(group.len());
        for entry in group {
            let is_whole = entry.write.is_one_statement();
            let performed = if is_whole || !savepoints {
                perform(&transaction, &entry.write)
            } else {
                let part = transaction.savepoint().map_err(sqlite)?;
                perform(&part, &entry.write).and_then(|()| Ok(part.commit()?))
            };
            let verdict = performed.map_err(|fault| match fault {
                Fault::Record(error) => error,
                Fault::Sqlite(error) => sqlite(error),
            });
            match verdict {
                Err(error) if error.is_storage() => return Err(error),
                Err(_) if !is_whole && !savepoints => return Ok(None),
                verdict => verdicts.push(verdict),
            }
        }
        transaction.commit().map_err(sqlite)?;
        Ok(Some(verdicts))
    }
}

/// What came to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// Something, and there may be more.
    More,
    /// Nothing for a while, but decisions: it is a quiet moment.
    Nothing,
    /// All that there will be.
    Last,
}

/// Waits until there is something to commit, or a quiet moment for what is left to do: `decisions` that stay, and `pages`
/// of the log.
async fn gather(queue: &mut mpsc::Receiver<Entry>, group: &mut Vec<Entry>, decisions: usize, pages: usize) -> Came {
    // What could not be written is tried again after that time, however much it is.
    let again = !group.is_empty();
    let mut company = again.then(|| Instant::now() + COMPANY);
    loop {
        let is_full = !again && group.len() >= GROUP;
        if is_full || group.iter().any(|entry| entry.reply.is_some()) {
            return Came::More;
        }
        let is_left = decisions + group.len() >= SOME_DECISIONS || pages >= SOME_PAGES;
        let is_quiet = is_left && !again && group.iter().all(|entry| entry.write.is_decision());
        let until = if is_quiet { Some(Instant::now() + QUIET) } else { company };
        let coming = queue.recv_many(group, GROUP);
        let came = match until {
            Some(until) => tokio::time::timeout_at(until, coming).await,
            None => Ok(coming.await),
        };
        match came {
            Ok(0) => return Came::Last,
            Ok(_) => company = company.or_else(|| Some(Instant::now() + COMPANY)),
            Err(_) if is_quiet => return Came::Nothing,
            Err(_) => return Came::More,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use convoke_policy::{Decision, Facts, WatchFacts};
    use jiff::Timestamp;

    use super::super::tests::{item, run_record};
    use super::super::{DecisionRow, RunId, schema};
    use super::*;

    fn entry(write: Write) -> Entry {
        Entry { write, reply: None, stays: true }
    }

    fn decision() -> Entry {
        let (facts, decision) = (Facts::Watch(WatchFacts::default()), Decision::Watch(Default::default()));
        let (run, at) = (RunId::new(), Timestamp::UNIX_EPOCH);
        let row = DecisionRow { run, question: None, at, policy: "".into(), generation: 1, facts, decision };
        entry(Write::Decision(Box::new(row)))
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_stays_for_company_and_many_decisions_for_a_quiet_moment() {
        let (sender, mut queue) = mpsc::channel(QUEUE);
        let (mut group, mut began) = (Vec::new(), Instant::now());
        let mut took = || std::mem::replace(&mut began, Instant::now()).elapsed();
        let sends = |entries: Vec<Entry>| entries.into_iter().for_each(|entry| sender.try_send(entry).unwrap());
        // Few decisions, and others than decisions.
        sends(vec![decision()]);
        assert_eq!(gather(&mut queue, &mut group, 0, 0).await, Came::More);
        assert_eq!((took(), group.drain(..).count()), (COMPANY, 1));
        sends((0..SOME_DECISIONS).map(|_| decision()).chain([entry(Write::GiveBack)]).collect());
        assert_eq!(gather(&mut queue, &mut group, 0, SOME_PAGES).await, Came::More);
        assert_eq!((took(), group.drain(..).count()), (COMPANY, SOME_DECISIONS + 1));
        // Many, with those that were there before, or a long log.
        sends(vec![decision()]);
        assert_eq!(gather(&mut queue, &mut group, SOME_DECISIONS - 1, 0).await, Came::Nothing);
        assert_eq!((took(), group.drain(..).count()), (QUIET, 1));
        assert_eq!(gather(&mut queue, &mut group, 0, SOME_PAGES).await, Came::Nothing);
        assert_eq!(took(), QUIET);
        // One that somebody waits for stays for nobody.
        let (reply, _verdict) = oneshot::channel();
        sends(vec![decision(), Entry { reply: Some(reply), ..entry(Write::Flush) }]);
        assert_eq!(gather(&mut queue, &mut group, SOME_DECISIONS, SOME_PAGES).await, Came::More);
        assert_eq!((took(), group.drain(..).count()), (Duration::ZERO, 2));
        // What is there is given before the end is said.
        sends(vec![entry(Write::GiveBack)]);
        drop(sender);
        assert_eq!(gather(&mut queue, &mut group, 0, 0).await, Came::Last);
        assert_eq!(group.len(), 1);
    }

    #[test]
    fn a_wrong_record_of_several_statements_fails_alone_and_whole() {
        let connection = Arc::new(Mutex::new(schema::in_memory().unwrap()));
        let (trouble, pages) = (Arc::default(), Arc::default());
        let service = Service { connection, path: schema::IN_MEMORY.into(), trouble, pages };
        let run = run_record();
        let id = run.id;
        let items = |ids: &[&str]| Write::Items(id, ids.iter().map(|id| item(id, 0)).collect());
        let writes = [Write::Begin(Box::new(run)), items(&["a"]), items(&["b", "a"]), items(&["c"])];
        let group = writes.map(|write| Entry { write, reply: None, stays: false });
        let verdicts = service.transact(&group).unwrap();
        let twice = JournalError::ItemExists { run: id, item: "a".to_owned() };
        assert_eq!(verdicts, [Ok(()), Ok(()), Err(twice), Ok(())]);
        let connection = lock(&service.connection);
        let mut select = connection.prepare("SELECT id FROM items ORDER BY id").unwrap();
        let written = select.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
        assert_eq!(written.collect::<Vec<_>>(), ["a", "c"]);
    }
}
