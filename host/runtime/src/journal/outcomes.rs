//! How the items of a run stand, and the run itself where it turns out otherwise.

use rusqlite::{Connection, params};

use super::read::{Reader, Trouble};
use super::write::{Fault, run_seq};
use super::{JournalError, RunId};
use crate::work::{Outcome, Status};

impl Reader<'_> {
    /// The ids and outcomes of a run's items.
    pub(super) fn outcomes(&self, run: RunId) -> Result<Vec<(String, Outcome)>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT items.id, ends.outcome, ends.reason
                 FROM items JOIN runs ON runs.seq = items.run LEFT JOIN ends ON ends.item = items.seq
                 WHERE runs.id = ?1 ORDER BY items.ordinal, items.seq",
            )?;
            let mut rows = select.query([run.to_string()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let outcome = self.outcome(row, [1, 2], &format!("item {id:?} of run {run}"))?;
                found.push((id, outcome));
            }
            Ok::<_, Trouble>(found)
        };
        read().map_err(|trouble| self.named(trouble))
    }
}

/// Writes another status for a run that has ended.
pub(super) fn amend(connection: &Connection, run: RunId, status: Status) -> Result<(), Fault> {
    let amended = connection.execute(
        "UPDATE runs SET status = ?2 WHERE id = ?1 AND ended IS NOT NULL",
        params![run.to_string(), status.name()],
    )?;
    if amended == 0 {
        run_seq(connection, run)?;
        let (what, detail) = (format!("the status of run {run}"), "it has not ended".to_owned());
        return Err(Fault::Record(JournalError::Unwritable { what, detail }));
    }
    Ok(())
}
