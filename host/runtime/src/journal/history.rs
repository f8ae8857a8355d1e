//! What is asked of the journal about runs of the past: lists, questions, and everything in pages.

use std::time::Duration;

use rusqlite::{Row, params};

use super::read::{Reader, Trouble, number};
use super::{DecisionRow, ItemRow, Journal, JournalError, ModelRow, QuestionRow, RunId, RunRow, Standing};
use crate::money::Usd;
use crate::question::Usage;
use crate::work::Census;

/// A run in a list, as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The run.
    pub row: RunRow,
    /// How it stands.
    pub standing: Standing,
    /// The count of its items: as it ended, or, without an end, as they are written.
    pub census: Census,
    /// All its questions together.
    pub usage: Usage,
    /// What they may have cost beyond that, at most.
    pub uncertain: Usd,
}

/// A part of a longer list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What is in it, in the order in which it was written.
    pub rows: Vec<T>,
    /// Where the next one begins; none: this was the last.
    pub next: Option<i64>,
}

impl Journal {
    /// The newest runs, of one project or of all, newest first.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn summaries(&self, project: Option<&str>, limit: usize) -> Result<Vec<RunSummary>, JournalError> {
        let project = project.map(str::to_owned);
        let rows = self.read(move |reader| reader.newest(project.as_deref(), limit)).await?;
        let mut summaries = Vec::with_capacity(rows.len());
        for row in rows {
            summaries.push(self.summary(row).await?);
        }
        Ok(summaries)
    }

    /// A run, as it stands now.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn summary(&self, mut row: RunRow) -> Result<RunSummary, JournalError> {
        let standing = self.standing(&mut row).await?;
        let id = row.run.id;
        let counted = row.end.as_ref().map(|end| end.census);
        let (census, usage, uncertain) = self
            .read(move |reader| {
                let census = counted.map_or_else(|| reader.census(id), Ok)?;
                Ok((census, reader.usage_of(id)?, reader.uncertain_of(id)?))
            })
            .await?;
        Ok(RunSummary { row, standing, census, usage, uncertain })
    }

    /// A run without its items.
    ///
    /// # Errors
    /// The run is unknown; the storage fails; a record doesn't make sense.
    pub async fn run_row(&self, run: &RunId) -> Result<RunRow, JournalError> {
        let run = *run;
        self.read(move |reader| reader.run_row_of(run)).await
    }

    /// The questions of a run behind this place, in the order in which they ended, at most so many.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn questions(&self, run: &RunId, after: i64, most: usize) -> Result<Page<QuestionRow>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.questions(run, after, most)).await
    }

    /// The items of a run behind this place, with their ends and attempts, at most so many. One that is not known has
    /// none.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn items(&self, run: &RunId, after: i64, most: usize) -> Result<Page<ItemRow>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.items_behind(run, after, most)).await
    }

    /// What policies decided in a run behind this place, as far as it is kept, at most so many.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn decisions_page(
        &self,
        run: &RunId,
        after: i64,
        most: usize,
    ) -> Result<Page<DecisionRow>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.decisions_behind(run, after, most)).await
    }

    /// How many decisions are kept of a run.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn count_decisions(&self, run: &RunId) -> Result<u64, JournalError> {
        let run = *run;
        self.read(move |reader| {
            let counted = reader.connection.query_row(
                "SELECT count(*) FROM decisions WHERE run = ?1",
                [run.to_string()],
                |row| row.get(0),
            );
            counted.map(number).map_err(|error| reader.sqlite(&error))
        })
        .await
    }
}

impl Reader<'_> {
    fn newest(&self, project: Option<&str>, limit: usize) -> Result<Vec<RunRow>, JournalError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let which = "WHERE leaving = 0 AND (?1 IS NULL OR project = ?1) ORDER BY seq DESC LIMIT ?2";
        self.run_rows(which, params![project, limit])
    }

    /// The count of a run's items as they are written.
    pub(super) fn census(&self, run: RunId) -> Result<Census, JournalError> {
        let count = || {
            let mut select = self.connection.prepare(
                "SELECT ends.outcome, count(*) FROM items JOIN runs ON runs.seq = items.run
                        LEFT JOIN ends ON ends.item = items.seq
                 WHERE runs.id = ?1 GROUP BY ends.outcome",
            )?;
            let mut rows = select.query([run.to_string()])?;
            let mut census = Census::default();
            while let Some(row) = rows.next()? {
                let count = number(row.get(1)?);
                census.items += count;
                *match row.get::<_, Option<String>>(0)?.as_deref() {
                    None => &mut census.pending,
                    Some("done") => &mut census.done,
                    Some("cached") => &mut census.cached,
                    Some("fallback") => &mut census.fallback,
                    Some("failed") => &mut census.failed,
                    Some("skipped") => &mut census.skipped,
                    Some(other) => return Err(self.senseless(&format!("run {run}"), other)),
                } += count;
            }
            Ok(census)
        };
        count().map_err(|trouble: Trouble| self.named(trouble))
    }

    fn questions(&self, run: RunId, after: i64, most: usize) -> Result<Page<QuestionRow>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT seq, item, role, model, backend, attempts, outcome, requests, input_tokens, cache_read_tokens,
                        cache_write_tokens, output_tokens, usd_pico, uncertain_pico, asked, waited, first, took, tier,
                        answered_tier, coalesce(retries, max(attempts - 1, 0)), split, notional
                 FROM questions WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )?;
            let mut rows = select.query(params![run.to_string(), after, i64::try_from(most).unwrap_or(i64::MAX)])?;
            let mut page = Page { rows: Vec::new(), next: None };
            while let Some(row) = rows.next()? {
                page.next = Some(row.get(0)?);
                page.rows.push(self.question(run, row)?);
            }
            Ok(page.of(most))
        };
        read().map_err(|trouble: Trouble| self.named(trouble))
    }

    fn question(&self, run: RunId, row: &Row<'_>) -> Result<QuestionRow, Trouble> {
        let what = format!("a question of run {run}");
        let micros = |column| Ok::<_, rusqlite::Error>(Duration::from_micros(number(row.get(column)?)));
        let (usage, uncertain) = taken_from(row, 7)?;
        let shares = if row.get(21)? { self.shares(row.get(0)?)? } else { Vec::new() };
        Ok(QuestionRow {
            run,
            item: row.get(1)?,
            role: row.get(2)?,
            tier: row.get(18)?,
            answered_tier: row.get(19)?,
            model: row.get(3)?,
            backend: row.get(4)?,
            attempts: small(row, 5)?,
            retries: small(row, 20)?,
            outcome: row.get(6)?,
            usage,
            notional: row.get(22)?,
            uncertain,
            shares,
            asked: self.time(row.get(14)?, &what)?,
            waited: micros(15)?,
            first: row.get::<_, Option<i64>>(16)?.map(|first| Duration::from_micros(number(first))),
            took: micros(17)?,
        })
    }

    /// Who took what of a question.
    fn shares(&self, question: i64) -> Result<Vec<ModelRow>, Trouble> {
        let mut select = self.connection.prepare_cached(
            "SELECT model, backend, notional, requests, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens,
                    usd_pico, uncertain_pico
             FROM shares WHERE question = ?1 ORDER BY rowid",
        )?;
        let rows = select.query_map([question], |row| {
            let (usage, uncertain) = taken_from(row, 3)?;
            Ok(ModelRow { model: row.get(0)?, backend: row.get(1)?, notional: row.get(2)?, usage, uncertain })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn items_behind(&self, run: RunId, after: i64, most: usize) -> Result<Page<ItemRow>, JournalError> {
        let read = || {
            let name = run.to_string();
            // One snapshot for the items and their attempts.
            let snapshot = self.connection.unchecked_transaction()?;
            let mut select = snapshot.prepare(
                "SELECT items.id, items.label, items.key, items.ordinal, items.parent, ends.outcome, ends.reason,
                        ends.partial_json, ends.reads_json, ends.reused, ends.took, ends.attempts, ends.log, ends.ended,
                        items.seq
                 FROM items LEFT JOIN ends ON ends.item = items.seq
                 WHERE items.run = (SELECT seq FROM runs WHERE id = ?1) AND items.seq > ?2
                 ORDER BY items.seq LIMIT ?3",
            )?;
            let mut rows = select.query(params![name, after, i64::try_from(most).unwrap_or(i64::MAX)])?;
            let mut page = Page { rows: Vec::new(), next: None };
            while let Some(row) = rows.next()? {
                let seq: i64 = row.get(14)?;
                let mut item = self.item_row(row, &name)?;
                item.tried = self.tried_at(seq, &item.item.id)?;
                page.next = Some(seq);
                page.rows.push(item);
            }
            Ok(page.of(most))
        };
        read().map_err(|trouble: Trouble| self.named(trouble))
    }
}

impl<T> Page<T> {
    /// A page that is not full is the last.
    pub(super) fn of(mut self, most: usize) -> Self {
        if self.rows.len() < most {
            self.next = None;
        }
        self
    }
}

/// What was taken, by the columns that begin with this one: the usage, and what it may have cost beyond that.
fn taken_from(row: &Row<'_>, first: usize) -> rusqlite::Result<(Usage, Usd)> {
    let at = |column: usize| Ok::<_, rusqlite::Error>(number(row.get(first + column)?));
    let usage = Usage {
        requests: small(row, first)?,
        input_tokens: at(1)?,
        cache_read_tokens: at(2)?,
        cache_write_tokens: at(3)?,
        output_tokens: at(4)?,
        usd: Usd::from_pico(at(5)?),
    };
    Ok((usage, Usd::from_pico(at(6)?)))
}

fn small(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}
