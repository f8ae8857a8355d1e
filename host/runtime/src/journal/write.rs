//! What is written, as SQL.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::record::bounded_log;
use super::{
    AttemptRow, DecisionRow, ItemEnd, ItemRecord, JournalError, ModelRow, QuestionRow, Reopening, RunEnd, RunId,
    RunRecord, actions, applies, attempts, decisions, earlier, outcomes, reopen, retention, told,
};
use crate::work::{Outcome, Status};

/// A write.
#[derive(Debug)]
pub(super) enum Write {
    Begin(Box<RunRecord>),
    Items(RunId, Vec<ItemRecord>),
    Finish(RunId, Box<EndTexts>),
    Attempt(RunId, Box<AttemptRow>),
    Question(Box<QuestionRow>),
    Decision(Box<DecisionRow>),
    Events(RunId, Box<told::Lines>),
    Report(RunId, Box<told::Kept>),
    Action(Box<actions::Change>),
    Apply(Box<applies::ApplyWrite>),
    End(RunId, Box<RunEnd>),
    Route(RunId, String),
    Reopen(Box<Reopening>),
    Again(RunId, Box<(ItemRecord, String)>),
    Leave(RunId),
    Shrink,
    Ledger(Timestamp),
    GiveBack,
    Amend(RunId, Status),
    /// Nothing: waits for what was written before.
    Flush,
    /// The same, and then the log is copied into the file.
    Rest,
}

/// An item's end with its JSON made, which the writer's thread need not do for all.
#[derive(Debug)]
pub(super) struct EndTexts {
    end: ItemEnd,
    partial_json: Option<String>,
    reads_json: String,
}

impl EndTexts {
    /// Refuses what would not be true or could not be read again.
    pub(super) fn of(mut end: ItemEnd) -> Result<Self, JournalError> {
        let refuse =
            |detail: String| JournalError::Unwritable { what: format!("the end of item {:?}", end.item), detail };
        match (&end.outcome, &end.partial) {
            (Outcome::Pending, _) => return Err(refuse("it has not ended".to_owned())),
            (Outcome::Done | Outcome::Fallback(_), None) => {
                return Err(refuse(format!("it is {} without a result", end.outcome.name())));
            }
            (_, Some(partial)) => {
                if let Some(metric) = partial.metrics.iter().find(|metric| !metric.value.is_finite()) {
                    return Err(refuse(format!("its metric {:?} is not a number", metric.name)));
                }
            }
            _ => {}
        }
        let json = |error: serde_json::Error| refuse(error.to_string());
        let partial_json = end.partial.as_ref().map(serde_json::to_string).transpose().map_err(json)?;
        let reads_json = serde_json::to_string(&end.reads).map_err(json)?;
        // They are in the texts now.
        end.partial = None;
        end.reads = super::ReadSet::default();
        Ok(Self { end, partial_json, reads_json })
    }
}

/// A failure of one write: of the database, or of the record.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Record(JournalError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Write {
    /// Whether it is one statement, which SQLite does whole or not at all; others need a savepoint for that.
    pub(super) fn is_one_statement(&self) -> bool {
        match self {
            Self::Begin(_)
            | Self::Finish(..)
            | Self::Attempt(..)
            | Self::Question(_)
            | Self::Decision(_)
            | Self::Events(..)
            | Self::Route(..)
            | Self::End(..)
            | Self::Leave(_)
            | Self::Ledger(_)
            | Self::GiveBack
            | Self::Amend(..)
            | Self::Flush
            | Self::Rest => true,
            Self::Items(..) | Self::Report(..) | Self::Reopen(_) | Self::Again(..) => false,
            Self::Action(_) | Self::Apply(_) | Self::Shrink => false,
        }
    }
}

impl Write {
    /// Whether it is what a policy decided.
    pub(super) fn is_decision(&self) -> bool {
        matches!(self, Self::Decision(_))
    }

    /// Whether all that was written before must be committed with it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::End(..) | Self::Amend(..) | Self::Action(_) | Self::Flush | Self::Rest)
    }
}

/// Does it, within the caller's transaction. After an error, part of it may be done, unless it
/// [is one statement](Write::is_one_statement).
pub(super) fn perform(connection: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::Begin(run) => begin(connection, run),
        Write::Items(run, items) => add_items(connection, *run, items),
        Write::Finish(run, end) => finish(connection, *run, end),
        Write::Attempt(run, row) => attempts::add(connection, *run, row),
        Write::Question(row) => question(connection, row),
        Write::Decision(row) => decisions::add(connection, row),
        Write::Events(run, lines) => told::add(connection, *run, lines),
        Write::Report(run, report) => told::report(connection, *run, report),
        Write::Action(change) => actions::change(connection, change),
        Write::Apply(write) => applies::write(connection, write),
        Write::End(run, end) => end_run(connection, *run, end),
        Write::Route(run, route) => earlier::route(connection, *run, route),
        Write::Reopen(how) => reopen::reopen(connection, how),
        Write::Again(run, item) => reopen::plan_again(connection, *run, &item.0, &item.1),
        Write::Leave(run) => retention::leave(connection, *run),
        Write::Shrink => retention::shrink(connection),
        Write::Ledger(before) => retention::forget(connection, *before),
        Write::GiveBack => retention::give_back(connection),
        Write::Amend(run, status) => outcomes::amend(connection, *run, *status),
        Write::Flush | Write::Rest => Ok(()),
    }
}

fn begin(connection: &Connection, run: &RunRecord) -> Result<(), Fault> {
    let typed = run.typed.as_ref().map(serde_json::to_string).transpose().map_err(|error| {
        Fault::Record(JournalError::Unwritable { what: format!("run {}", run.id), detail: error.to_string() })
    })?;
    let added = connection.execute(
        "INSERT INTO runs (id, command, subcommand, plugin_name, plugin_version, plugin_digest, arguments_json, project,
                           mode, backend, started, typed_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO NOTHING",
        params![
            run.id.to_string(),
            run.command,
            run.subcommand,
            run.plugin_name,
            run.plugin_version,
            run.plugin_digest,
            run.arguments.to_string(),
            run.project,
            run.mode,
            run.backend,
            run.started.as_microsecond(),
            typed,
        ],
    )?;
    if added == 0 { Err(Fault::Record(JournalError::RunExists { run: run.id })) } else { Ok(()) }
}

fn add_items(connection: &Connection, run: RunId, items: &[ItemRecord]) -> Result<(), Fault> {
    let seq = run_seq(connection, run)?;
    let mut insert = connection.prepare(
        "INSERT INTO items (run, id, label, key, ordinal, parent) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (run, id) DO NOTHING",
    )?;
    for item in items {
        let key = item.key.0.as_bytes().as_slice();
        let added = insert.execute(params![seq, item.id, item.label, key, count(item.ordinal as u64), item.parent])?;
        if added == 0 {
            return Err(Fault::Record(JournalError::ItemExists { run, item: item.id.clone() }));
        }
    }
    Ok(())
}

fn finish(connection: &Connection, run: RunId, texts: &EndTexts) -> Result<(), Fault> {
    let end = &texts.end;
    let mut insert = connection.prepare_cached(
        "INSERT INTO ends (item, outcome, reason, partial_json, reads_json, reused, took, attempts, log, ended)
         SELECT items.seq, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
         FROM items JOIN runs ON runs.seq = items.run WHERE runs.id = ?1 AND items.id = ?2
         ON CONFLICT (item) DO NOTHING",
    )?;
    let added = insert.execute(params![
        run.to_string(),
        end.item,
        end.outcome.name(),
        end.outcome.reason(),
        texts.partial_json,
        texts.reads_json,
        end.reused.map(|run| run.to_string()),
        micros(end.took),
        end.attempts,
        bounded_log(&end.log),
        end.ended.as_microsecond(),
    ])?;
    if added == 1 {
        return Ok(());
    }
    let item = end.item.clone();
    let known = connection
        .prepare("SELECT 1 FROM items WHERE run = ?1 AND id = ?2")?
        .exists(params![run_seq(connection, run)?, item])?;
    Err(Fault::Record(if known {
        JournalError::ItemEnded { run, item }
    } else {
        JournalError::UnknownItem { run, item }
    }))
}

fn question(connection: &Connection, row: &QuestionRow) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO questions (run, item, role, model, backend, attempts, outcome, requests, input_tokens,
                                cache_read_tokens, cache_write_tokens, output_tokens, usd_pico, asked, waited,
                                first, took, tier, answered_tier, uncertain_pico, retries, notional, split)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23)",
    )?;
    insert.execute(params![
        row.run.to_string(),
        row.item,
        row.role,
        row.model,
        row.backend,
        row.attempts,
        row.outcome,
        row.usage.requests,
        count(row.usage.input_tokens),
        count(row.usage.cache_read_tokens),
        count(row.usage.cache_write_tokens),
        count(row.usage.output_tokens),
        count(row.usage.usd.pico()),
        row.asked.as_microsecond(),
        micros(row.waited),
        row.first.map(micros),
        micros(row.took),
        row.tier,
        row.answered_tier,
        count(row.uncertain.pico()),
        row.retries,
        row.notional,
        !row.shares.is_empty(),
    ])?;
    let question = connection.last_insert_rowid();
    row.shares.iter().try_for_each(|share| part(connection, question, share))
}

/// What a model took of a question.
fn part(connection: &Connection, question: i64, share: &ModelRow) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO shares (question, model, backend, notional, requests, input_tokens, cache_read_tokens,
                             cache_write_tokens, output_tokens, usd_pico, uncertain_pico)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    insert.execute(params![
        question,
        share.model,
        share.backend,
        share.notional.unwrap_or_default(),
        share.usage.requests,
        count(share.usage.input_tokens),
        count(share.usage.cache_read_tokens),
        count(share.usage.cache_write_tokens),
        count(share.usage.output_tokens),
        count(share.usage.usd.pico()),
        count(share.uncertain.pico()),
    ])?;
    Ok(())
}

fn end_run(connection: &Connection, run: RunId, end: &RunEnd) -> Result<(), Fault> {
    let census = serde_json::to_string(&end.census).map_err(|error| {
        Fault::Record(JournalError::Unwritable { what: format!("the end of run {run}"), detail: error.to_string() })
    })?;
    let ended = connection.execute(
        "UPDATE runs SET ended = ?2, status = ?3, census_json = ?4 WHERE id = ?1 AND ended IS NULL",
        params![run.to_string(), end.ended.as_microsecond(), end.status.name(), census],
    )?;
    if ended == 0 {
        run_seq(connection, run)?;
        return Err(Fault::Record(JournalError::RunEnded { run }));
    }
    Ok(())
}

/// The item's place in the file, if the run has it.
pub(super) fn item_seq(connection: &Connection, run: RunId, item: &str) -> Result<Option<i64>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT items.seq FROM items JOIN runs ON runs.seq = items.run WHERE runs.id = ?1 AND items.id = ?2",
    )?;
    Ok(select.query_row(params![run.to_string(), item], |row| row.get(0)).optional()?)
}

pub(super) fn run_seq(connection: &Connection, run: RunId) -> Result<i64, Fault> {
    let id = run.to_string();
    let seq = connection.query_row("SELECT seq FROM runs WHERE id = ?1", [&id], |row| row.get(0)).optional()?;
    seq.ok_or(Fault::Record(JournalError::UnknownRun { run: id }))
}

/// SQLite's integers are signed: the few counts above stay at the largest.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
