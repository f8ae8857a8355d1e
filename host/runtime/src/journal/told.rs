//! What a run told while it went on, and the report that it ended with.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::read::{Reader, Trouble};
use super::write::{Fault, Write};
use super::{Journal, JournalError, RunId};
use crate::event::Event;

/// A stream of events that a run told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When it began: the moment from which its events are counted.
    pub began: Timestamp,
    /// The events, in the order in which they were told.
    pub events: Vec<Event>,
}

/// Events that are written together.
#[derive(Debug)]
pub(super) struct Lines {
    began: Timestamp,
    lines: String,
}

/// Adds them to their run; of a run that is not known, none.
pub(super) fn add(connection: &Connection, run: RunId, lines: &Lines) -> Result<(), Fault> {
    let mut insert = connection
        .prepare_cached("INSERT INTO events (run, began, lines) SELECT seq, ?2, ?3 FROM runs WHERE id = ?1")?;
    insert.execute(params![run.to_string(), lines.began.as_microsecond(), lines.lines])?;
    Ok(())
}

/// A report that is kept, and what is read of it once.
#[derive(Debug)]
pub(super) struct Kept {
    text: String,
    brief: Brief,
}

impl Kept {
    /// What can't be read of it is not known.
    fn of(text: String) -> Self {
        let brief = serde_json::from_str(&text).unwrap_or_default();
        Self { text, brief }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Brief {
    timing: Timing,
    workers: Vec<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timing {
    wall_ms: Option<u32>,
    work_ms: Option<u32>,
}

/// Keeps the report in place of an earlier one, and beside it what the run took: by it, and by the ledger as far as that is
/// written.
pub(super) fn report(connection: &Connection, run: RunId, kept: &Kept) -> Result<(), Fault> {
    let id = run.to_string();
    connection.execute(
        "INSERT INTO reports (run, report_json) SELECT seq, ?2 FROM runs WHERE id = ?1
         ON CONFLICT (run) DO UPDATE SET report_json = excluded.report_json",
        params![id, kept.text],
    )?;
    connection.execute("DELETE FROM took WHERE run = (SELECT seq FROM runs WHERE id = ?1)", params![id])?;
    let micros = |millis: u32| i64::from(millis) * 1_000;
    let Brief { timing: Timing { wall_ms: Some(wall), work_ms: Some(work) }, workers } = &kept.brief else {
        return Ok(());
    };
    let workers = i64::try_from(workers.len()).unwrap_or(i64::MAX);
    // Added up as floating point numbers: a sum of whole ones may overflow.
    connection.execute(
        "INSERT INTO took (run, wall, work, workers, questions, input_tokens, output_tokens, usd_pico)
         SELECT runs.seq, ?2, ?3, ?4, asked.questions, cast(asked.input AS INTEGER), cast(asked.output AS INTEGER),
                cast(asked.usd AS INTEGER)
         FROM runs,
              (SELECT count(*) AS questions,
                      total(input_tokens) + total(cache_read_tokens) + total(cache_write_tokens) AS input,
                      total(output_tokens) AS output,
                      total(usd_pico) + total(uncertain_pico) AS usd
               FROM questions WHERE run = ?1) AS asked
         WHERE runs.id = ?1",
        params![id, micros(*wall), micros(*work), workers],
    )?;
    Ok(())
}

impl Journal {
    /// Writes down events of a run, as soon as the money ledger is. They belong to the stream that began then.
    ///
    /// # Errors
    /// The storage fails. A run that is not known is not an error: then nothing is written.
    pub async fn record_events(
        &self,
        run: &RunId,
        began: Timestamp,
        events: &[Arc<Event>],
    ) -> Result<(), JournalError> {
        let mut lines = String::with_capacity(events.len() * 128);
        for event in events {
            let line = serde_json::to_string(&**event).map_err(|error| JournalError::Unwritable {
                what: format!("an event of run {run}"),
                detail: error.to_string(),
            })?;
            lines.push_str(&line);
            lines.push('\n');
        }
        self.inner.writer.write_soon(Write::Events(*run, Box::new(Lines { began, lines }))).await
    }

    /// Keeps the report of a run, as JSON, in place of an earlier one: as soon as the money ledger is.
    ///
    /// # Errors
    /// The storage fails. A run that is not known is not an error: then nothing is written.
    pub async fn keep_report(&self, run: &RunId, report: String) -> Result<(), JournalError> {
        self.inner.writer.write_soon(Write::Report(*run, Box::new(Kept::of(report)))).await
    }

    /// What a run told, a stream for each time that it was begun or continued. Lines that this version does not know are
    /// left out, and counted.
    ///
    /// # Errors
    /// The run is unknown; the storage fails.
    pub async fn told(&self, run: &RunId) -> Result<(Vec<Told>, usize), JournalError> {
        let run = *run;
        self.read(move |reader| reader.told(run)).await
    }

    /// The report that a run ended with, as JSON; none: it has not ended, or was written before reports were kept.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn report(&self, run: &RunId) -> Result<Option<String>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.report(run)).await
    }
}

impl Reader<'_> {
    fn told(&self, run: RunId) -> Result<(Vec<Told>, usize), JournalError> {
        let read = || -> Result<_, Trouble> {
            let mut select = self.connection.prepare(
                "SELECT events.began, events.lines FROM events JOIN runs ON runs.seq = events.run
                 WHERE runs.id = ?1 AND runs.leaving = 0 ORDER BY events.seq",
            )?;
            let mut rows = select.query([run.to_string()])?;
            let (mut told, mut unknown): (Vec<Told>, usize) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let began = self.time(row.get(0)?, "the events of a run")?;
                if told.last().is_none_or(|last| last.began != began) {
                    told.push(Told { began, events: Vec::new() });
                }
                let lines: String = row.get(1)?;
                for line in lines.lines() {
                    match (serde_json::from_str(line), told.last_mut()) {
                        (Ok(event), Some(last)) => last.events.push(event),
                        _ => unknown += 1,
                    }
                }
            }
            Ok((told, unknown))
        };
        read().map_err(|trouble| self.named(trouble))
    }

    fn report(&self, run: RunId) -> Result<Option<String>, JournalError> {
        let select = "SELECT report_json FROM reports JOIN runs ON runs.seq = reports.run
                      WHERE runs.id = ?1 AND runs.leaving = 0";
        let found = self.connection.query_row(select, [run.to_string()], |row| row.get(0)).optional();
        found.map_err(|error| self.sqlite(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Fact;
    use crate::journal::tests::begun;

    async fn begun_one() -> (Journal, RunId) {
        let journal = Journal::in_memory().unwrap();
        let run = begun(&journal, &[]).await;
        (journal, run)
    }

    fn told(at: u64, message: &str) -> Arc<Event> {
        Arc::new(Event { at: Duration::from_micros(at), fact: Fact::Warned { message: message.to_owned() } })
    }

    #[tokio::test]
    async fn what_was_told_is_there_as_it_was_told_stream_by_stream() {
        let (journal, run) = begun_one().await;
        let first = Timestamp::from_microsecond(1_000_000).unwrap();
        let second = Timestamp::from_microsecond(9_000_000).unwrap();
        journal.record_events(&run, first, &[told(1, "a"), told(2, "b")]).await.unwrap();
        journal.record_events(&run, first, &[told(3, "c")]).await.unwrap();
        journal.record_events(&run, second, &[told(1, "d\n\u{1b}")]).await.unwrap();
        journal.flush().await.unwrap();
        let (streams, unknown) = journal.told(&run).await.unwrap();
        assert_eq!((streams.len(), unknown), (2, 0));
        assert_eq!((streams[0].began, streams[0].events.len()), (first, 3));
        assert_eq!(streams[1].events, [(*told(1, "d\n\u{1b}")).clone()]);
    }

    #[tokio::test]
    async fn a_line_of_a_newer_version_is_counted_and_costs_no_other() {
        let (journal, run) = begun_one().await;
        journal.record_events(&run, Timestamp::UNIX_EPOCH, &[told(1, "a")]).await.unwrap();
        let lines =
            Lines { began: Timestamp::UNIX_EPOCH, lines: "{\"at\":2,\"event\":\"not-yet-known\"}\n".to_owned() };
        journal.inner.writer.write(Write::Events(run, Box::new(lines))).await.unwrap();
        let (streams, unknown) = journal.told(&run).await.unwrap();
        assert_eq!((streams[0].events.len(), unknown), (1, 1));
    }

    #[tokio::test]
    async fn a_report_takes_the_place_of_the_one_before() {
        let (journal, run) = begun_one().await;
        assert_eq!(journal.report(&run).await.unwrap(), None);
        for report in ["{}", "{\"status\":\"completed\"}"] {
            journal.keep_report(&run, report.to_owned()).await.unwrap();
        }
        journal.flush().await.unwrap();
        assert_eq!(journal.report(&run).await.unwrap().as_deref(), Some("{\"status\":\"completed\"}"));
    }
}
