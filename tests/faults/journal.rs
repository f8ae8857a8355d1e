//! The journal as it stands on disk, read with plain SQL: what is checked must not check itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::world::mark_in;

/// What is read of it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// The runs, in their order.
    pub(crate) runs: Vec<Run>,
    /// The marks of all items that are `done` in any run.
    pub(crate) done: BTreeSet<String>,
    /// The last line of the money ledger.
    pub(crate) last_question: i64,
    /// What is wrong with it by itself.
    pub(crate) wrong: Vec<String>,
}

/// A run in it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) status: Option<String>,
    pub(crate) census: Option<Value>,
    /// Its items, counted by outcome.
    pub(crate) counted: BTreeMap<String, u64>,
}

/// What the money ledger has beyond a line.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) requests: u64,
    pub(crate) pico: u64,
    pub(crate) uncertain_pico: u64,
    /// The marks of its items.
    pub(crate) marks: BTreeSet<String>,
}

fn open(path: &Path) -> rusqlite::Result<Option<Connection>> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(None);
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'questions'", [], |row| row.get(0))?;
    Ok((tables > 0).then_some(connection))
}

fn count_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

impl Journal {
    /// Reads it. One that a killed host had no time to make is empty.
    pub(crate) fn read(path: &Path) -> Self {
        match Self::try_read(path) {
            Ok(journal) => journal,
            Err(error) => Self { wrong: vec![format!("the journal can't be read: {error}")], ..Self::default() },
        }
    }

    fn try_read(path: &Path) -> rusqlite::Result<Self> {
        let Some(connection) = open(path)? else { return Ok(Self::default()) };
        let mut journal = Self::default();
        let texts = |question: &str| -> rusqlite::Result<Vec<String>> {
            connection.prepare(question)?.query_map([], |row| row.get(0))?.collect()
        };
        for line in texts("PRAGMA integrity_check")? {
            if line != "ok" {
                journal.wrong.push(format!("integrity_check: {line}"));
            }
        }
        for table in texts("SELECT \"table\" FROM pragma_foreign_key_check")? {
            journal.wrong.push(format!("foreign_key_check: a row of {table} belongs to nothing"));
        }
        for item in texts(
            "SELECT items.id FROM ends JOIN items ON items.seq = ends.item
             WHERE outcome IN ('done', 'fallback') AND partial_json IS NULL",
        )? {
            journal.wrong.push(format!("{item} is done without a partial"));
        }
        for item in
            texts("SELECT items.id FROM ends JOIN items ON items.seq = ends.item GROUP BY item HAVING count(*) > 1")?
        {
            journal.wrong.push(format!("{item} has ended twice in one run"));
        }
        let done = texts("SELECT items.id FROM ends JOIN items ON items.seq = ends.item WHERE outcome = 'done'")?;
        journal.done = done.iter().filter_map(|id| mark_in(id)).collect();
        journal.last_question =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM questions", [], |row| row.get(0))?;
        let mut runs = connection.prepare("SELECT seq, id, status, census_json FROM runs ORDER BY seq")?;
        let rows: Vec<(i64, String, Option<String>, Option<String>)> = runs
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut count = connection.prepare(
            "SELECT coalesce(outcome, 'pending'), count(*) FROM items LEFT JOIN ends ON ends.item = items.seq
             WHERE run = ?1 GROUP BY 1",
        )?;
        for (seq, id, status, census) in rows {
            let counted = count
                .query_map([seq], |row| Ok((row.get(0)?, count_of(row, 1)?)))?
                .collect::<rusqlite::Result<BTreeMap<String, u64>>>()?;
            let census = census.and_then(|text| serde_json::from_str(&text).ok());
            journal.runs.push(Run { id, status, census, counted });
        }
        Ok(journal)
    }
}

impl Ledger {
    /// What was written after a line.
    pub(crate) fn since(path: &Path, line: i64) -> Self {
        let read = || -> rusqlite::Result<Self> {
            let Some(connection) = open(path)? else { return Ok(Self::default()) };
            let sums = "SELECT coalesce(sum(requests), 0), coalesce(sum(usd_pico), 0), coalesce(sum(uncertain_pico), 0)
                        FROM questions WHERE seq > ?1";
            let (requests, pico, uncertain_pico) = connection
                .query_row(sums, [line], |row| Ok((count_of(row, 0)?, count_of(row, 1)?, count_of(row, 2)?)))?;
            let mut items = connection.prepare("SELECT item FROM questions WHERE seq > ?1")?;
            let items: Vec<String> = items.query_map([line], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(Self { requests, pico, uncertain_pico, marks: items.iter().filter_map(|id| mark_in(id)).collect() })
        };
        read().unwrap_or_default()
    }
}

/// Moves all times of the journal by so many seconds: as if the clock had stood elsewhere when it was written. Returns
/// how many rows were moved.
pub(crate) fn shift(path: &Path, seconds: i64) -> usize {
    const TIMES: [&str; 8] = ["started", "ended", "asked", "at", "expires", "until", "taken", "since"];
    let shifted = || -> rusqlite::Result<usize> {
        let Some(connection) = open(path)? else { return Ok(0) };
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables: Vec<String> =
            connection.prepare(tables)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut moved = 0;
        for table in tables {
            let columns = "SELECT name FROM pragma_table_info(?1) WHERE type = 'INTEGER'";
            let columns: Vec<String> =
                connection.prepare(columns)?.query_map([&table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for column in columns.iter().filter(|column| TIMES.contains(&column.as_str())) {
                let change = format!("UPDATE {table} SET {column} = {column} + ?1 WHERE {column} IS NOT NULL");
                moved += connection.execute(&change, [seconds * 1_000_000])?;
            }
        }
        Ok(moved)
    };
    shifted().unwrap_or_default()
}
