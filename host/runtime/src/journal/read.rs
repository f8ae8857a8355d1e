//! What is asked of the journal, as SQL.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

use super::key::Digest;
use super::{
    ItemEnd, ItemKey, ItemRecord, ItemRow, JournalError, ReadSet, Reusable, RunDetail, RunEnd, RunId, RunRecord, RunRow,
};
use crate::money::Usd;
use crate::question::Usage;
use crate::work::{Outcome, Partial, Status};

/// How many earlier results of an item are looked at: the newest may depend on what has changed since, and an older
/// one on what has changed back.
const RESULTS: usize = 4;

/// The fewest digits by which a run may be named.
const NAME: usize = 4;

/// The longest that a question may be under way and still be counted where it ended.
const LONGEST_QUESTION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A question to the journal, and where it stands.
pub(super) struct Reader<'a> {
    pub(super) connection: &'a Connection,
    pub(super) path: &'a Path,
}

type Answer<T> = Result<T, JournalError>;

/// At most ?3 results of the items with key ?1 in project ?2, newest first.
pub(super) const RESULTS_OF_KEY: &str = "SELECT runs.id, ends.partial_json, ends.reads_json, ends.ended,
        (SELECT count(*) FROM items AS added
         WHERE added.run = items.run AND added.parent = items.id AND added.parent IS NOT NULL)
    FROM items JOIN runs ON runs.seq = items.run JOIN ends ON ends.item = items.seq
    WHERE substr(items.key, 1, 8) = substr(?1, 1, 8) AND items.key = ?1 AND runs.project = ?2
        AND ends.outcome = 'done'
    ORDER BY ends.seq DESC LIMIT ?3";

impl Reader<'_> {
    /// For each key the results of items that are `done`, in this project, newest first.
    pub(super) fn reusable(&self, keys: &[ItemKey], project: &str) -> Answer<Vec<Vec<Reusable>>> {
        // One snapshot for all.
        let snapshot = self.connection.unchecked_transaction().map_err(|error| self.sqlite(&error))?;
        let mut select = snapshot.prepare(RESULTS_OF_KEY).map_err(|error| self.sqlite(&error))?;
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            let found = (|| {
                let mut rows = select.query(params![key.0.as_bytes().as_slice(), project, RESULTS as i64])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let what = "an item's result";
                    let run: String = row.get(0)?;
                    found.push(Reusable {
                        run: self.parsed(&run, what)?,
                        partial: self.json(&row.get::<_, String>(1)?, what)?,
                        reads: self.json(&row.get::<_, String>(2)?, what)?,
                        finished: self.time(row.get(3)?, what)?,
                        added: number(row.get(4)?),
                    });
                }
                Ok::<_, Trouble>(found)
            })();
            results.push(found.map_err(|trouble| self.named(trouble))?);
        }
        Ok(results)
    }

    /// What all questions since then have used.
    pub(super) fn spent(&self, since: Timestamp) -> Answer<Usage> {
        self.usage("asked >= ?1", params![since.as_microsecond()])
    }

    /// What the questions that ended since then have cost at most.
    pub(super) fn paid(&self, since: Timestamp) -> Answer<Usd> {
        // The first condition is for the index; no question takes so long.
        let which = "asked >= ?1 - ?2 AND asked + took >= ?1";
        let longest = i64::try_from(LONGEST_QUESTION.as_micros()).unwrap_or(i64::MAX);
        let [known, uncertain] = ["usd_pico", "uncertain_pico"].map(|column| {
            let sums = sum_of(column);
            let params = params![since.as_microsecond(), longest];
            let question = format!("SELECT {sums} FROM questions WHERE {which}");
            self.connection.query_row(&question, params, |row| added(row, 0)).map_err(|error| self.sqlite(&error))
        });
        Ok(Usd::from_pico(known?) + Usd::from_pico(uncertain?))
    }

    /// The newest runs, newest first.
    pub(super) fn runs(&self, limit: usize) -> Answer<Vec<RunRow>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run_rows("WHERE leaving = 0 ORDER BY seq DESC LIMIT ?1", params![limit])
    }

    /// Everything about a run.
    pub(super) fn run(&self, id: RunId) -> Answer<RunDetail> {
        let _snapshot = self.connection.unchecked_transaction().map_err(|error| self.sqlite(&error))?;
        let name = id.to_string();
        let row = self.run_row_of(id)?;
        let items = self.items(&name).map_err(|trouble| self.named(trouble))?;
        Ok(RunDetail { row, items, usage: self.usage("run = ?1", params![name])? })
    }

    /// A run without its items.
    pub(super) fn run_row_of(&self, id: RunId) -> Answer<RunRow> {
        let row = self.run_rows("WHERE id = ?1 AND leaving = 0", params![id.to_string()])?.pop();
        row.ok_or_else(|| JournalError::UnknownRun { run: id.to_string() })
    }

    /// The run with this id, or with an id that ends so.
    pub(super) fn find_run(&self, name: &str) -> Answer<RunId> {
        let unknown = || JournalError::UnknownRun { run: name.to_owned() };
        if name.len() < NAME || !name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(unknown());
        }
        let lower = name.to_ascii_lowercase();
        let found = (|| {
            let mut select = self
                .connection
                .prepare("SELECT id FROM runs WHERE substr(id, -length(?1)) = ?1 AND leaving = 0 LIMIT 2")?;
            select.query_map([lower], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        })();
        match found.map_err(|error| self.sqlite(&error))?.as_slice() {
            [] => Err(unknown()),
            [id] => self.parsed(id, "a run").map_err(|trouble| self.named(trouble)),
            _ => Err(JournalError::Ambiguous { run: name.to_owned() }),
        }
    }

    pub(super) fn run_rows(&self, which: &str, params: &[&dyn rusqlite::ToSql]) -> Answer<Vec<RunRow>> {
        let read = || {
            let mut select = self.connection.prepare(&format!(
                "SELECT id, command, subcommand, plugin_name, plugin_version, plugin_digest, arguments_json, project,
                        mode, backend, started, ended, status, census_json, typed_json, continued FROM runs {which}"
            ))?;
            let mut rows = select.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(self.run_row(row)?);
            }
            Ok::<_, Trouble>(found)
        };
        read().map_err(|trouble| self.named(trouble))
    }

    fn run_row(&self, row: &Row<'_>) -> Result<RunRow, Trouble> {
        let id: String = row.get(0)?;
        let what = format!("run {id}");
        let run = RunRecord {
            id: self.parsed(&id, &what)?,
            command: row.get(1)?,
            subcommand: row.get(2)?,
            plugin_name: row.get(3)?,
            plugin_version: row.get(4)?,
            plugin_digest: row.get(5)?,
            arguments: self.json(&row.get::<_, String>(6)?, &what)?,
            project: row.get(7)?,
            mode: row.get(8)?,
            backend: row.get(9)?,
            started: self.time(row.get(10)?, &what)?,
            typed: row.get::<_, Option<String>>(14)?.map(|text| self.json(&text, &what)).transpose()?,
        };
        let end = match (row.get(11)?, row.get::<_, Option<String>>(12)?, row.get::<_, Option<String>>(13)?) {
            (Some(ended), Some(status), Some(census)) => Some(RunEnd {
                status: status_of(&status).ok_or_else(|| self.senseless(&what, &status))?,
                census: self.json(&census, &what)?,
                ended: self.time(ended, &what)?,
            }),
            _ => None,
        };
        Ok(RunRow { run, end, continued: u32::try_from(row.get::<_, i64>(15)?).unwrap_or(u32::MAX) })
    }

    fn items(&self, run: &str) -> Result<Vec<ItemRow>, Trouble> {
        let mut select = self.connection.prepare(
            "SELECT items.id, items.label, items.key, items.ordinal, items.parent, ends.outcome, ends.reason,
                    ends.partial_json, ends.reads_json, ends.reused, ends.took, ends.attempts, ends.log, ends.ended
             FROM items JOIN runs ON runs.seq = items.run LEFT JOIN ends ON ends.item = items.seq
             WHERE runs.id = ?1 ORDER BY items.ordinal, items.seq",
        )?;
        let mut rows = select.query([run])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            items.push(self.item_row(row, run)?);
        }
        let mut tried = self.tried(run)?;
        for row in &mut items {
            row.tried = tried.remove(&row.item.id).unwrap_or_default();
        }
        Ok(items)
    }

    pub(super) fn item_row(&self, row: &Row<'_>, run: &str) -> Result<ItemRow, Trouble> {
        let id: String = row.get(0)?;
        let what = format!("item {id:?} of run {run}");
        let item = ItemRecord {
            id: id.clone(),
            label: row.get(1)?,
            key: ItemKey(Digest::from_bytes(row.get(2)?)),
            ordinal: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
            parent: row.get(4)?,
        };
        let Some(state) = row.get::<_, Option<String>>(5)? else {
            return Ok(ItemRow { item, end: None, tried: Vec::new() });
        };
        let reason = row.get::<_, Option<String>>(6)?.unwrap_or_default();
        let partial: Option<String> = row.get(7)?;
        let reused: Option<String> = row.get(9)?;
        let end = ItemEnd {
            item: id,
            outcome: outcome_of(&state, reason).ok_or_else(|| self.senseless(&what, &state))?,
            partial: partial.map(|text| self.json::<Partial>(&text, &what)).transpose()?,
            reads: self.json::<ReadSet>(&row.get::<_, String>(8)?, &what)?,
            reused: reused.map(|run| self.parsed(&run, &what)).transpose()?,
            took: Duration::from_micros(number(row.get(10)?)),
            attempts: u32::try_from(row.get::<_, i64>(11)?).unwrap_or(u32::MAX),
            log: row.get(12)?,
            ended: self.time(row.get(13)?, &what)?,
        };
        Ok(ItemRow { item, end: Some(end), tried: Vec::new() })
    }

    /// What the questions of a run have used.
    pub(super) fn usage_of(&self, run: RunId) -> Answer<Usage> {
        self.usage("run = ?1", params![run.to_string()])
    }

    /// What they may have cost beyond that.
    pub(super) fn uncertain_of(&self, run: RunId) -> Answer<Usd> {
        let question = format!("SELECT {} FROM questions WHERE run = ?1", sum_of("uncertain_pico"));
        let sum = self.connection.query_row(&question, [run.to_string()], |row| added(row, 0));
        sum.map(Usd::from_pico).map_err(|error| self.sqlite(&error))
    }

    fn usage(&self, which: &str, params: &[&dyn rusqlite::ToSql]) -> Answer<Usage> {
        let sums: Vec<String> =
            ["requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "usd_pico"]
                .iter()
                .map(|column| sum_of(column))
                .collect();
        let question = format!("SELECT {} FROM questions WHERE {which}", sums.join(", "));
        self.connection.query_row(&question, params, |row| usage_from(row, 0)).map_err(|error| self.sqlite(&error))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, text: &str, what: &str) -> Result<T, Trouble> {
        serde_json::from_str(text).map_err(|error| self.senseless(what, &error.to_string()))
    }

    pub(super) fn parsed(&self, id: &str, what: &str) -> Result<RunId, Trouble> {
        id.parse().map_err(|error: super::NotARunId| self.senseless(what, &error.to_string()))
    }

    pub(super) fn time(&self, microseconds: i64, what: &str) -> Result<Timestamp, Trouble> {
        Timestamp::from_microsecond(microseconds).map_err(|error| self.senseless(what, &error.to_string()))
    }

    /// How an item of a row stands, by the columns of its state and its reason; no state: it is pending.
    pub(super) fn outcome(&self, row: &Row<'_>, [state, reason]: [usize; 2], what: &str) -> Result<Outcome, Trouble> {
        let Some(state) = row.get::<_, Option<String>>(state)? else { return Ok(Outcome::Pending) };
        let reason = row.get::<_, Option<String>>(reason)?.unwrap_or_default();
        outcome_of(&state, reason).ok_or_else(|| self.senseless(what, &state))
    }

    pub(super) fn senseless(&self, what: &str, detail: &str) -> Trouble {
        let (path, what, detail) = (self.path.to_owned(), what.to_owned(), detail.to_owned());
        Trouble::Record(JournalError::Unreadable { path, what, detail })
    }

    pub(super) fn named(&self, trouble: Trouble) -> JournalError {
        match trouble {
            Trouble::Sqlite(error) => self.sqlite(&error),
            Trouble::Record(error) => error,
        }
    }

    pub(super) fn sqlite(&self, error: &rusqlite::Error) -> JournalError {
        JournalError::sqlite(self.path, error)
    }
}

/// What hinders reading: the database, or a record in it.
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    Record(JournalError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The columns of what was taken, in the ledger and in its shares.
pub(super) const TAKEN: [&str; 7] = [
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "usd_pico",
    "uncertain_pico",
];

/// A sum in two halves of 32 bits each: SQLite gives up where a sum of whole numbers overflows.
pub(super) fn sum_of(column: &str) -> String {
    format!("coalesce(sum({column} >> 32), 0), coalesce(sum({column} & 4294967295), 0)")
}

/// The two halves from this column on, together.
pub(super) fn added(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let (high, low) = (number(row.get(column)?), number(row.get(column + 1)?));
    Ok(high.saturating_mul(1 << 32).saturating_add(low))
}

/// The usage whose six sums, each in two halves, begin with this column.
pub(super) fn usage_from(row: &Row<'_>, first: usize) -> rusqlite::Result<Usage> {
    let sum = |column: usize| added(row, first + 2 * column);
    Ok(Usage {
        requests: u32::try_from(sum(0)?).unwrap_or(u32::MAX),
        input_tokens: sum(1)?,
        cache_read_tokens: sum(2)?,
        cache_write_tokens: sum(3)?,
        output_tokens: sum(4)?,
        usd: Usd::from_pico(sum(5)?),
    })
}

/// No count is negative.
pub(super) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn outcome_of(state: &str, reason: String) -> Option<Outcome> {
    Some(match state {
        "done" => Outcome::Done,
        "cached" => Outcome::Cached,
        "fallback" => Outcome::Fallback(reason),
        "failed" => Outcome::Failed(reason),
        "skipped" => Outcome::Skipped(reason),
        _ => return None,
    })
}

pub(super) fn status_of(name: &str) -> Option<Status> {
    [Status::Completed, Status::Degraded, Status::Parked, Status::Failed, Status::Interrupted]
        .into_iter()
        .find(|status| status.name() == name)
}
