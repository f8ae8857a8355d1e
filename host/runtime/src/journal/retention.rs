//! What of runs is kept, and how the rest goes: bit by bit, so that nobody who writes waits for it.
//!
//! A run that goes is first hidden, then its items are removed a few at a time, then it. What is killed in between is
//! done by the next. The money ledger refers to runs by name and stays: what was spent was spent.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::Instant;

use super::read::{Reader, Trouble, number};
use super::write::{Fault, Write};
use super::{Journal, JournalError, RunId};

/// So many items are removed at once: some milliseconds.
const ITEMS: i64 = 32;

/// So many decisions, and lines of the ledger.
const LINES: i64 = 500;

/// So many pages, of 4 KiB, are given back to the disk at once.
const PAGES: i64 = 128;

/// What an item takes beside its texts, with its indexes, in bytes.
const AROUND: u64 = 400;

/// What is kept. A run goes where one of the first three says so; one that is under way never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// What ended before goes; what did not end counts from its beginning.
    pub since: Option<Timestamp>,
    /// Of each project so many runs stay, the newest.
    pub newest: Option<usize>,
    /// The oldest go while the journal takes more bytes.
    pub most_bytes: Option<u64>,
    /// A run stays all the same of whose results one was used again since then, or is the newest of its item and was
    /// made since then: it would be paid for twice.
    pub used_since: Option<Timestamp>,
    /// Lines of the money ledger that were written before go.
    pub ledger_since: Option<Timestamp>,
}

/// Why a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It is too old.
    Age,
    /// Its project has enough newer ones.
    Count,
    /// The journal is too large.
    Size,
}

impl Because {
    /// The name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Count => "count",
            Self::Size => "size",
        }
    }
}

/// A run that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// Which.
    pub run: RunId,
    /// What the user ran.
    pub command: String,
    /// The project's folder.
    pub project: String,
    /// When it ended, or, without an end, began.
    pub when: Timestamp,
    /// What it takes, about.
    pub bytes: u64,
    /// Why.
    pub because: Because,
    /// Its results are still of use: it stays.
    pub stays: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// So many runs are gone.
    pub runs: usize,
    /// Time was up before all was done: the next one goes on.
    pub unfinished: bool,
}

/// How large a journal is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// What is in use.
    pub used: u64,
    /// What is free in its file.
    pub free: u64,
}

impl Journal {
    /// Removes what need not be kept, for as long as this, or until all of it is gone.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn retain(&self, keep: &Keep, time: Option<Duration>) -> Result<Retained, JournalError> {
        let end = time.map(|time| Instant::now() + time);
        let mut retained = Retained::default();
        let is_over = || end.is_some_and(|end| Instant::now() >= end);
        // What an earlier one has begun.
        retained.unfinished = !self.shrink(end).await?;
        for leaver in self.leavers(keep).await? {
            if retained.unfinished || is_over() {
                retained.unfinished = true;
                return Ok(retained);
            }
            if leaver.stays {
                continue;
            }
            // What a run takes is only about known: it is looked at again before each.
            if let (Because::Size, Some(most)) = (leaver.because, keep.most_bytes)
                && self.room().await?.used <= most
            {
                continue;
            }
            match self.leave(&leaver.run).await {
                Ok(()) => retained.runs += 1,
                // It was continued, or removed, since it was looked at.
                Err(JournalError::UnderWay { .. } | JournalError::UnknownRun { .. }) => continue,
                Err(error) => return Err(error),
            }
            retained.unfinished = !self.shrink(end).await?;
        }
        while let Some(before) = keep.ledger_since {
            if !self.read(move |reader| reader.has_ledger_before(before)).await? {
                break;
            }
            if is_over() {
                retained.unfinished = true;
                return Ok(retained);
            }
            self.inner.writer.write(Write::Ledger(before)).await?;
        }
        retained.unfinished |= !self.give_back(end).await?;
        Ok(retained)
    }

    /// The runs that may go by this, oldest first, and of those that stay all the same too.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn leavers(&self, keep: &Keep) -> Result<Vec<Leaver>, JournalError> {
        let keep = *keep;
        let mut leavers = self.read(move |reader| reader.leavers(&keep)).await?;
        leavers.retain(|leaver| !self.is_under_way(&leaver.run));
        Ok(leavers)
    }

    /// Removes a run, whatever its results are good for. Its lines of the money ledger stay.
    ///
    /// # Errors
    /// The run is unknown, or under way; the storage fails.
    pub async fn remove_run(&self, run: &RunId) -> Result<(), JournalError> {
        self.leave(run).await?;
        self.shrink(None).await?;
        self.give_back(None).await?;
        Ok(())
    }

    /// How many items have their newest result in this run: without it they are done again.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn newest_results(&self, run: &RunId) -> Result<u64, JournalError> {
        let run = *run;
        self.read(move |reader| reader.newest_results(run)).await
    }

    /// How large it is.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn room(&self) -> Result<Room, JournalError> {
        self.read(|reader| reader.room()).await
    }

    /// From now on nobody sees the run any more.
    async fn leave(&self, run: &RunId) -> Result<(), JournalError> {
        // Nobody goes on with it at the same moment.
        self.hold(run)?;
        let left = self.inner.writer.write(Write::Leave(*run)).await;
        self.release(run);
        left
    }

    /// Removes what is left of hidden runs. Returns whether that is all.
    async fn shrink(&self, end: Option<Instant>) -> Result<bool, JournalError> {
        while self.read(|reader| reader.has_leaving()).await? {
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
            self.inner.writer.write(Write::Shrink).await?;
        }
        Ok(true)
    }

    /// Gives free room back to the disk where it is much. Returns whether that is all.
    async fn give_back(&self, end: Option<Instant>) -> Result<bool, JournalError> {
        loop {
            let Room { used, free } = self.room().await?;
            if free <= used / 8 {
                return Ok(true);
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
            self.inner.writer.write(Write::GiveBack).await?;
            if self.room().await?.free >= free {
                // A file that was made without this can't.
                return Ok(true);
            }
        }
    }
}

impl Reader<'_> {
    fn leavers(&self, keep: &Keep) -> Result<Vec<Leaver>, JournalError> {
        // Of those that only their size sends away so many as it takes; what the others weigh is not looked at.
        let mut excess = match keep.most_bytes {
            Some(most) => self.room()?.used.saturating_sub(most),
            None => 0,
        };
        let mut read = || {
            let snapshot = self.connection.unchecked_transaction()?;
            let mut select = snapshot.prepare(
                "SELECT seq, id, command, project, coalesce(ended, started),
                        row_number() OVER (PARTITION BY project ORDER BY seq DESC)
                 FROM runs WHERE leaving = 0 AND seq NOT IN (SELECT run FROM applies WHERE ended IS NULL) ORDER BY seq",
            )?;
            let mut rows = select.query([])?;
            let mut leavers = Vec::new();
            while let Some(row) = rows.next()? {
                let (seq, id, project): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
                let what = format!("run {id}");
                let when = self.time(row.get(4)?, &what)?;
                let newer = usize::try_from(number(row.get(5)?)).unwrap_or(usize::MAX);
                let because = if keep.since.is_some_and(|since| when < since) {
                    Because::Age
                } else if keep.newest.is_some_and(|newest| newer > newest) {
                    Because::Count
                } else if excess > 0 {
                    Because::Size
                } else {
                    continue;
                };
                let stays = match keep.used_since {
                    Some(since) => self.is_of_use(seq, &id, &project, when, since)?,
                    None => false,
                };
                let bytes = self.weight(seq)?;
                if !stays {
                    excess = excess.saturating_sub(bytes);
                }
                leavers.push(Leaver {
                    run: self.parsed(&id, &what)?,
                    command: row.get(2)?,
                    bytes,
                    project,
                    when,
                    because,
                    stays,
                });
            }
            Ok(leavers)
        };
        read().map_err(|trouble: Trouble| self.named(trouble))
    }

    /// Whether one of the run's results was used again since then, or is the newest of its item and was made since.
    fn is_of_use(
        &self,
        seq: i64,
        id: &str,
        project: &str,
        when: Timestamp,
        since: Timestamp,
    ) -> rusqlite::Result<bool> {
        let since_micros = since.as_microsecond();
        let used = self
            .connection
            .prepare_cached("SELECT 1 FROM ends WHERE reused = ?1 AND ended >= ?2 LIMIT 1")?
            .exists(params![id, since_micros])?;
        // Without an end a run may have gone on for long after its beginning: its items say.
        if used || (when < since && self.last_end(seq)?.is_none_or(|last| last < since_micros)) {
            return Ok(used);
        }
        let newest = format!("SELECT 1 {NEWEST_RESULTS} AND ends.ended >= ?3 LIMIT 1");
        self.connection.prepare_cached(&newest)?.exists(params![seq, project, since_micros])
    }

    fn last_end(&self, seq: i64) -> rusqlite::Result<Option<i64>> {
        let question = "SELECT max(ends.ended) FROM items JOIN ends ON ends.item = items.seq WHERE items.run = ?1";
        self.connection.prepare_cached(question)?.query_row([seq], |row| row.get(0))
    }

    fn newest_results(&self, run: RunId) -> Result<u64, JournalError> {
        let count = || {
            let of = "SELECT seq, project FROM runs WHERE id = ?1 AND leaving = 0";
            let of =
                self.connection.query_row(of, [run.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let Some((seq, project)) = of else { return Ok(0) };
            let (seq, project): (i64, String) = (seq, project);
            let question = format!("SELECT count(*) {NEWEST_RESULTS}");
            self.connection.query_row(&question, params![seq, project], |row| row.get(0))
        };
        count().map(number).map_err(|error| self.sqlite(&error))
    }

    /// About what a run takes.
    fn weight(&self, seq: i64) -> rusqlite::Result<u64> {
        let question = "SELECT count(*), coalesce(sum(
                            octet_length(items.id) + octet_length(items.label) + coalesce(octet_length(ends.partial_json), 0)
                            + coalesce(octet_length(ends.reads_json), 0) + coalesce(octet_length(ends.log), 0)), 0)
                        FROM items LEFT JOIN ends ON ends.item = items.seq WHERE items.run = ?1";
        let mut select = self.connection.prepare_cached(question)?;
        let items = select.query_row([seq], |row| Ok(number(row.get(0)?) * AROUND + number(row.get(1)?)))?;
        let question = "SELECT coalesce(sum(coalesce(octet_length(old), 0) + coalesce(octet_length(new), 0)), 0)
                        FROM applied_files JOIN applies ON applies.seq = applied_files.apply WHERE applies.run = ?1";
        let edits = self.connection.prepare_cached(question)?.query_row([seq], |row| row.get(0)).map(number)?;
        let question = "SELECT coalesce(sum(octet_length(lines)), 0)
                               + coalesce((SELECT octet_length(report_json) FROM reports WHERE run = ?1), 0)
                        FROM events WHERE run = ?1";
        let told = self.connection.prepare_cached(question)?.query_row([seq], |row| row.get(0)).map(number)?;
        Ok(items + edits + told)
    }

    fn room(&self) -> Result<Room, JournalError> {
        let ask = |name: &str| {
            let asked = self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
            asked.map(number).map_err(|error| self.sqlite(&error))
        };
        let (pages, free, size) = (ask("page_count")?, ask("freelist_count")?, ask("page_size")?);
        Ok(Room { used: pages.saturating_sub(free) * size, free: free * size })
    }

    fn has_leaving(&self) -> Result<bool, JournalError> {
        self.exists("SELECT 1 FROM runs WHERE leaving <> 0 LIMIT 1", params![])
    }

    fn has_ledger_before(&self, before: Timestamp) -> Result<bool, JournalError> {
        self.exists("SELECT 1 FROM questions WHERE asked < ?1 LIMIT 1", params![before.as_microsecond()])
    }

    fn exists(&self, question: &str, params: &[&dyn rusqlite::ToSql]) -> Result<bool, JournalError> {
        let found = self.connection.prepare_cached(question).and_then(|mut select| select.exists(params));
        found.map_err(|error| self.sqlite(&error))
    }
}

/// The items of run ?1, of project ?2, that are done there and not since.
pub(super) const NEWEST_RESULTS: &str = "FROM items JOIN ends ON ends.item = items.seq
    WHERE items.run = ?1 AND ends.outcome = 'done' AND NOT EXISTS (
        SELECT 1 FROM items AS later JOIN ends AS newer ON newer.item = later.seq JOIN runs ON runs.seq = later.run
        WHERE substr(later.key, 1, 8) = substr(items.key, 1, 8) AND later.key = items.key AND later.seq > items.seq AND newer.outcome = 'done' AND runs.project = ?2)";

/// Hides a run: of what is half removed nobody must think that it was all.
pub(super) fn leave(connection: &Connection, run: RunId) -> Result<(), Fault> {
    let id = run.to_string();
    // Without a project none of its results is used any more. What a crash cut off is mended first.
    let hidden = connection.execute(
        "UPDATE runs SET leaving = 1, project = '' WHERE id = ?1 AND leaving = 0
         AND seq NOT IN (SELECT run FROM applies WHERE ended IS NULL)",
        [&id],
    )?;
    if hidden == 0 { Err(Fault::Record(JournalError::UnknownRun { run: id })) } else { Ok(()) }
}

/// Removes a part of a hidden run, and with the last part the run.
pub(super) fn shrink(connection: &Connection) -> Result<(), Fault> {
    let which = "SELECT seq, id FROM runs WHERE leaving <> 0 LIMIT 1";
    let found =
        connection.query_row(which, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).optional()?;
    let Some((seq, id)) = found else { return Ok(()) };
    let items = "DELETE FROM items WHERE seq IN (SELECT seq FROM items WHERE run = ?1 LIMIT ?2)";
    if connection.prepare_cached(items)?.execute(params![seq, ITEMS])? > 0 {
        return Ok(());
    }
    let events = "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE run = ?1 LIMIT ?2)";
    if connection.prepare_cached(events)?.execute(params![seq, ITEMS])? > 0 {
        return Ok(());
    }
    let decisions = "DELETE FROM decisions WHERE seq IN (SELECT seq FROM decisions WHERE run = ?1 LIMIT ?2)";
    if connection.prepare_cached(decisions)?.execute(params![id, LINES])? == 0 {
        connection.execute("DELETE FROM runs WHERE seq = ?1", [seq])?;
    }
    Ok(())
}

/// Removes some of the ledger's lines that were written before.
pub(super) fn forget(connection: &Connection, before: Timestamp) -> Result<(), Fault> {
    let lines =
        "DELETE FROM questions WHERE seq IN (SELECT seq FROM questions WHERE asked < ?1 ORDER BY asked LIMIT ?2)";
    connection.prepare_cached(lines)?.execute(params![before.as_microsecond(), LINES])?;
    Ok(())
}

/// Gives some free pages back to the disk.
pub(super) fn give_back(connection: &Connection) -> Result<(), Fault> {
    let mut step = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = step.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests;
