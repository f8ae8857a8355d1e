//! What an item's earlier results depended on: so that it can be told why it is done again.

use rusqlite::{Connection, params};
use serde_json::Value;

use super::key::Digest;
use super::read::{Reader, Trouble};
use super::write::{Fault, Write};
use super::{ItemKey, Journal, JournalError, RunId};

/// In so many of the newest runs of a command an item is looked for.
const RUNS: usize = 8;

/// The newest result of an item, or its newest place in a run that gave it none.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// In which run.
    pub run: RunId,
    /// Its key then.
    pub key: ItemKey,
    /// How it ended; none: it did not.
    pub outcome: Option<String>,
    /// The digest of the component, in hex.
    pub plugin_digest: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// Of the call.
    pub subcommand: Option<String>,
    /// Of the call.
    pub arguments: Value,
    /// Where questions went; none: it was not kept.
    pub route: Option<String>,
}

/// A run, as far as keys depend on it.
struct Run {
    seq: i64,
    earlier: Earlier,
}

impl Journal {
    /// Notes where the questions of a run go, as soon as the money ledger is.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn record_route(&self, run: &RunId, route: String) -> Result<(), JournalError> {
        self.inner.writer.write_soon(Write::Route(*run, route)).await
    }

    /// For each of these items, by its id, what the newest runs of that command in that project made of it: its newest
    /// `done`, else where it was last.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn earlier(
        &self,
        project: &str,
        command: &str,
        items: Vec<String>,
    ) -> Result<Vec<Option<Earlier>>, JournalError> {
        let (project, command) = (project.to_owned(), command.to_owned());
        self.read(move |reader| reader.earlier(&project, &command, &items).map_err(|trouble| reader.named(trouble)))
            .await
    }
}

/// Notes it.
pub(super) fn route(connection: &Connection, run: RunId, route: &str) -> Result<(), Fault> {
    connection.execute("UPDATE runs SET route = ?2 WHERE id = ?1", params![run.to_string(), route])?;
    Ok(())
}

impl Reader<'_> {
    fn earlier(&self, project: &str, command: &str, items: &[String]) -> Result<Vec<Option<Earlier>>, Trouble> {
        let runs = self.newest_of(project, command)?;
        if runs.is_empty() {
            return Ok(vec![None; items.len()]);
        }
        let mut select = self.connection.prepare(
            "SELECT items.key, ends.outcome FROM items LEFT JOIN ends ON ends.item = items.seq
             WHERE items.run = ?1 AND items.id = ?2",
        )?;
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let mut newest = None;
            for run in &runs {
                let mut rows = select.query(params![run.seq, item])?;
                let Some(row) = rows.next()? else { continue };
                let key = ItemKey(Digest::from_bytes(row.get(0)?));
                let outcome: Option<String> = row.get(1)?;
                let is_done = matches!(outcome.as_deref(), Some("done" | "cached"));
                if is_done || newest.is_none() {
                    newest = Some(Earlier { key, outcome, ..run.earlier.clone() });
                }
                if is_done {
                    break;
                }
            }
            found.push(newest);
        }
        Ok(found)
    }

    fn newest_of(&self, project: &str, command: &str) -> Result<Vec<Run>, Trouble> {
        let mut select = self.connection.prepare(
            "SELECT seq, id, plugin_digest, plugin_version, subcommand, arguments_json, route FROM runs
             WHERE project = ?1 AND command = ?2 ORDER BY seq DESC LIMIT ?3",
        )?;
        let mut rows = select.query(params![project, command, RUNS as i64])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            let id: String = row.get(1)?;
            let what = format!("run {id}");
            runs.push(Run {
                seq: row.get(0)?,
                earlier: Earlier {
                    run: self.parsed(&id, &what)?,
                    key: ItemKey(Digest::from_bytes([0; 32])),
                    outcome: None,
                    plugin_digest: row.get(2)?,
                    plugin_version: row.get(3)?,
                    subcommand: row.get(4)?,
                    arguments: self.json(&row.get::<_, String>(5)?, &what)?,
                    route: row.get(6)?,
                },
            });
        }
        Ok(runs)
    }
}
