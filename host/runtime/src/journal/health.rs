//! How the journal's file is: looked at without changing it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::living::Living;
use super::read::{Reader, number};
use super::{Journal, JournalError, RunId, schema};

/// So long one who looks waits for those who write.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many faults of the file are told.
const FAULTS: u32 = 5;

/// How a journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The size of its file, in bytes.
    pub bytes: u64,
    /// The size of what was written last and is not yet in it.
    pub log_bytes: u64,
    /// Its format.
    pub format: i64,
    /// The newest format that is known.
    pub newest: i64,
    /// What is wrong with the file: nothing, if it is well. None: it is too large to be looked at in that time.
    pub faults: Option<Vec<String>>,
    /// Its runs.
    pub runs: u64,
    /// When the oldest began.
    pub oldest: Option<Timestamp>,
    /// Runs under way.
    pub running: u64,
    /// Runs without an end whose process is gone, the newest first.
    pub gone: Vec<RunId>,
    /// Edits that were begun and have not come to their end.
    pub applies_under_way: u64,
}

/// Looks at the journal at this path for at most so long. None: there is none.
///
/// # Errors
/// A newer format, another program's file, a damaged one, and what can't be opened.
pub fn examine(path: &Path, most: Duration) -> Result<Option<Health>, JournalError> {
    let Some((connection, format)) = schema::look(path, PATIENCE)? else { return Ok(None) };
    let path = schema::shown(path);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    let faults = faults(&connection, &path, most)?;
    let reader = Reader { connection: &connection, path: &path };
    let count = |question: &str| {
        connection.query_row(question, [], |row| row.get(0)).map(number).map_err(|error| reader.sqlite(&error))
    };
    let oldest = connection.query_row("SELECT min(started) FROM runs", [], |row| row.get::<_, Option<i64>>(0));
    let oldest = oldest.map_err(|error| reader.sqlite(&error))?;
    let (mut running, mut gone) = (0, Vec::new());
    let living = Living::beside(&path);
    for id in open_runs(&connection, format).map_err(|error| reader.sqlite(&error))? {
        match id.parse::<RunId>() {
            Ok(id) if !living.is_under_way(id) => gone.push(id),
            _ => running += 1,
        }
    }
    Ok(Some(Health {
        bytes: size(&path),
        log_bytes: size(Path::new(&log)),
        format,
        newest: schema::NEWEST,
        faults,
        runs: count("SELECT count(*) FROM runs")?,
        oldest: oldest.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        running,
        gone,
        // They came with format 6.
        applies_under_way: if format < 6 { 0 } else { count("SELECT count(*) FROM applies WHERE ended IS NULL")? },
    }))
}

fn open_runs(connection: &Connection, format: i64) -> rusqlite::Result<Vec<String>> {
    // Those that are being removed are none any more; that came with format 9.
    let leaving = if format < 9 { "" } else { "AND leaving = 0" };
    let mut select =
        connection.prepare(&format!("SELECT id FROM runs WHERE ended IS NULL {leaving} ORDER BY seq DESC"))?;
    select.query_map([], |row| row.get(0))?.collect()
}

/// What SQLite finds wrong. None: it was not finished in that time.
fn faults(connection: &Connection, path: &Path, most: Duration) -> Result<Option<Vec<String>>, JournalError> {
    let (interrupt, (done, over)) = (connection.get_interrupt_handle(), std::sync::mpsc::channel::<()>());
    let watch = std::thread::spawn(move || {
        if over.recv_timeout(most) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let check = || {
        let mut select = connection.prepare(&format!("PRAGMA quick_check({FAULTS})"))?;
        let found = select.query_map([], |row| row.get::<_, String>(0))?;
        found.collect::<rusqlite::Result<Vec<String>>>()
    };
    let found = check();
    drop(done);
    // It can't fail, and must be over before something else is asked.
    let _ = watch.join();
    match found {
        Ok(said) => Ok(Some(said.into_iter().filter(|line| line != "ok").collect())),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(None),
        Err(error) => match JournalError::sqlite(path, &error) {
            JournalError::Corrupt { detail, .. } => Ok(Some(vec![detail])),
            other => Err(other),
        },
    }
}

/// How questions went lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lately {
    /// Requests that were sent to a model.
    pub requests: u64,
    /// Of these those that came to nothing.
    pub failed: u64,
    /// Questions that were answered by a model.
    pub answered: u64,
    /// From sending to the first sign of an answer, in milliseconds, of each that was answered.
    pub first_ms: Vec<f64>,
    /// From asking to the end, in milliseconds, of each that was answered.
    pub took_ms: Vec<f64>,
    /// Only so many questions were looked at, the newest. None: all of them.
    pub of_newest: Option<u64>,
}

/// So many questions are looked at, the newest.
const QUESTIONS: u32 = 20_000;

impl Journal {
    /// How the questions went that were asked since then, of all runs and projects: the newest 20,000.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn lately(&self, since: Timestamp) -> Result<Lately, JournalError> {
        self.read(move |reader| reader.lately(since, QUESTIONS)).await
    }
}

impl Reader<'_> {
    fn lately(&self, since: Timestamp, most: u32) -> Result<Lately, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT outcome, requests, first, took FROM questions
                 WHERE asked >= ?1 AND requests > 0 AND outcome NOT IN ('dropped', 'cancelled', 'cache')
                 ORDER BY asked DESC LIMIT ?2",
            )?;
            // One more tells that there are more.
            let mut rows = select.query(rusqlite::params![since.as_microsecond(), i64::from(most) + 1])?;
            let mut lately = Lately::default();
            let millis = |micros: i64| number(micros) as f64 / 1e3;
            let mut left = most;
            while let Some(row) = rows.next()? {
                let Some(fewer) = left.checked_sub(1) else {
                    lately.of_newest = Some(u64::from(most));
                    break;
                };
                left = fewer;
                let requests = number(row.get(1)?);
                lately.requests += requests;
                if row.get::<_, String>(0)? == "model" {
                    lately.failed += requests.saturating_sub(1);
                    lately.answered += 1;
                    lately.first_ms.extend(row.get::<_, Option<i64>>(2)?.map(millis));
                    lately.took_ms.push(millis(row.get(3)?));
                } else {
                    lately.failed += requests;
                }
            }
            Ok(lately)
        };
        read().map_err(|error: rusqlite::Error| self.sqlite(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::{begun, question, then};
    use crate::money::Usd;
    use crate::work::{Census, Status};

    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_journal_is_looked_at_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        assert_eq!(examine(&path, SOON).unwrap(), None);
        let journal = Journal::open(&path).unwrap();
        let ended = begun(&journal, &["a"]).await;
        journal.end_run(&ended, Status::Completed, Census::default(), then()).await.unwrap();
        begun(&journal, &["a"]).await;
        let gone = begun(&journal, &["a"]).await;
        journal.release(&gone);
        let health = examine(&path, SOON).unwrap().unwrap();
        assert_eq!(
            (health.faults, health.runs, health.running, &health.gone[..]),
            (Some(Vec::new()), 3, 1, &[gone][..])
        );
        assert_eq!((health.format, health.oldest, health.applies_under_way), (schema::NEWEST, Some(then()), 0));
        drop(journal);
        let before = std::fs::read(&path).unwrap();
        examine(&path, SOON).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[tokio::test]
    async fn what_is_damaged_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = Journal::open(&path).unwrap();
        let names: Vec<String> = (0..2_000).map(|number| format!("item {number}")).collect();
        begun(&journal, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 20_000].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let told = match examine(&path, SOON) {
            Ok(health) => !health.unwrap().faults.unwrap().is_empty(),
            Err(error) => matches!(error, JournalError::Corrupt { .. }),
        };
        assert!(told);
    }

    #[tokio::test]
    async fn requests_that_came_to_nothing_are_counted_also_where_a_later_one_did_not() {
        let journal = Journal::in_memory().unwrap();
        let run = begun(&journal, &[]).await;
        let mut asked = question(run, then(), Usd::ZERO);
        asked.first = Some(Duration::from_millis(700));
        asked.usage.requests = 3;
        journal.record_question(asked.clone()).await.unwrap();
        asked.outcome = "overloaded".to_owned();
        asked.usage.requests = 2;
        journal.record_question(asked.clone()).await.unwrap();
        asked.outcome = "dropped".to_owned();
        journal.record_question(asked.clone()).await.unwrap();
        asked.outcome = "cache".to_owned();
        asked.usage.requests = 0;
        journal.record_question(asked).await.unwrap();
        journal.flush().await.unwrap();
        let lately = journal.lately(then()).await.unwrap();
        assert_eq!((lately.requests, lately.failed, lately.answered), (5, 4, 1));
        assert_eq!((lately.first_ms, lately.took_ms), (vec![700.0], vec![2.0]));
        assert_eq!(journal.lately(then() + jiff::SignedDuration::from_secs(1)).await.unwrap(), Lately::default());
    }

    #[tokio::test]
    async fn where_only_the_newest_were_looked_at_that_is_told() {
        let journal = Journal::in_memory().unwrap();
        let run = begun(&journal, &[]).await;
        for _ in 0..3 {
            journal.record_question(question(run, then(), Usd::ZERO)).await.unwrap();
        }
        journal.flush().await.unwrap();
        let of = async |most| journal.read(move |reader| reader.lately(then(), most)).await.unwrap();
        let (all, two) = (of(3).await, of(2).await);
        assert_eq!((all.answered, all.of_newest), (3, None));
        assert_eq!((two.answered, two.of_newest), (2, Some(2)));
    }
}
