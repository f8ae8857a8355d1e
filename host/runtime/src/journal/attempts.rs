//! The attempts at items that came to nothing.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::read::{Reader, Trouble, number};
use super::record::bounded_log;
use super::write::{Fault, count, micros};
use super::{AttemptRow, Became, RunId};

/// Adds one; of an item that is not known, none.
pub(super) fn add(connection: &Connection, run: RunId, row: &AttemptRow) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO attempts (item, number, worker, became, reason, log, took, ended)
         SELECT items.seq, ?3, ?4, ?5, ?6, ?7, ?8, ?9
         FROM items JOIN runs ON runs.seq = items.run WHERE runs.id = ?1 AND items.id = ?2",
    )?;
    insert.execute(params![
        run.to_string(),
        row.item,
        row.number,
        row.worker.map(|worker| count(worker as u64)),
        row.became.name(),
        row.reason,
        bounded_log(&row.log),
        micros(row.took),
        row.ended.as_microsecond(),
    ])?;
    Ok(())
}

impl Reader<'_> {
    /// Those of a run, by the id of their item, in their order.
    pub(super) fn tried(&self, run: &str) -> Result<HashMap<String, Vec<AttemptRow>>, Trouble> {
        let mut select = self.connection.prepare(
            "SELECT items.id, attempts.number, attempts.worker, attempts.became, attempts.reason, attempts.log,
                    attempts.took, attempts.ended
             FROM attempts JOIN items ON items.seq = attempts.item JOIN runs ON runs.seq = items.run
             WHERE runs.id = ?1 ORDER BY attempts.seq",
        )?;
        let mut rows = select.query([run])?;
        let mut tried: HashMap<String, Vec<AttemptRow>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let item: String = row.get(0)?;
            tried.entry(item.clone()).or_default().push(self.attempt(row, item)?);
        }
        Ok(tried)
    }

    /// Those at one item, in their order.
    pub(super) fn tried_at(&self, seq: i64, item: &str) -> Result<Vec<AttemptRow>, Trouble> {
        let mut select = self.connection.prepare_cached(
            "SELECT item, number, worker, became, reason, log, took, ended FROM attempts WHERE item = ?1 ORDER BY seq",
        )?;
        let mut rows = select.query([seq])?;
        let mut tried = Vec::new();
        while let Some(row) = rows.next()? {
            tried.push(self.attempt(row, item.to_owned())?);
        }
        Ok(tried)
    }

    fn attempt(&self, row: &Row<'_>, item: String) -> Result<AttemptRow, Trouble> {
        let what = format!("an attempt at item {item:?}");
        let became: String = row.get(3)?;
        Ok(AttemptRow {
            item,
            number: u32::try_from(number(row.get(1)?)).unwrap_or(u32::MAX),
            worker: row.get::<_, Option<i64>>(2)?.and_then(|worker| usize::try_from(worker).ok()),
            became: Became::named(&became).ok_or_else(|| self.senseless(&what, &became))?,
            reason: row.get(4)?,
            log: row.get(5)?,
            took: Duration::from_micros(number(row.get(6)?)),
            ended: self.time(row.get(7)?, &what)?,
        })
    }
}
