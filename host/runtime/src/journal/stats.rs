//! All runs together: what was run, what came of it, and what it took.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::read::{Reader, TAKEN, Trouble, added, number, sum_of, usage_from};
use super::{Journal, JournalError, RunId, RunRow};
use crate::money::Usd;
use crate::question::Usage;
use crate::work::{Census, Status};

/// Which runs count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsFilter {
    /// Those of this project; none: of all.
    pub project: Option<String>,
    /// Those of this command; none: of all.
    pub command: Option<String>,
    /// And of that, those of this subcommand; none: of all.
    pub subcommand: Option<String>,
    /// Those that began since; none: all that are kept.
    pub since: Option<Timestamp>,
}

/// A run, in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsRun {
    /// Which.
    pub id: RunId,
    /// What the user ran.
    pub command: String,
    /// And of that.
    pub subcommand: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// How it ended; none: it did not.
    pub status: Option<Status>,
    /// How its items stand.
    pub census: Census,
    /// From start to end, if it went there in one go.
    pub wall: Option<Duration>,
    /// How long its items were in the hands of workers, where that was kept.
    pub work: Option<Duration>,
}

/// What the questions of a command to a model took.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsQuestions {
    /// What the user ran; none: the ledger has it, and its run is not kept any more.
    pub command: Option<String>,
    /// And of that.
    pub subcommand: Option<String>,
    /// The model; empty where none was asked.
    pub model: String,
    /// Who was asked.
    pub backend: String,
    /// All of them.
    pub questions: u64,
    /// Of these by a model.
    pub by_model: u64,
    /// Answered by what was kept of an earlier answer.
    pub by_cache: u64,
    /// Answered by their own fallback.
    pub by_fallback: u64,
    /// How often one was asked again after a failure.
    pub retries: u64,
    /// What they took, as far as it is known.
    pub usage: Usage,
    /// What they may have cost beyond that, at most.
    pub uncertain: Usd,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsRow {
    /// The runs, the oldest first.
    pub runs: Vec<StatsRun>,
    /// What their questions took.
    pub questions: Vec<StatsQuestions>,
    /// How many attempts at items came to nothing, by command and subcommand.
    pub attempts: Vec<(String, Option<String>, u64)>,
}

impl Journal {
    /// What was run, and what it took.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn stats(&self, filter: StatsFilter) -> Result<StatsRow, JournalError> {
        self.read(move |reader| reader.stats(&filter)).await
    }

    /// The runs that have no end, the oldest first: those under way, and those whose process is gone.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn without_end(&self) -> Result<Vec<RunRow>, JournalError> {
        self.read(|reader| reader.run_rows("WHERE ended IS NULL AND leaving = 0 ORDER BY seq", &[])).await
    }
}

/// Which runs the parameters `?1` to `?4` are for.
const WHICH: &str = "runs.leaving = 0 AND (?1 IS NULL OR runs.project = ?1) AND (?2 IS NULL OR runs.command = ?2)
                     AND (?3 IS NULL OR runs.subcommand = ?3) AND runs.started >= ?4";

impl StatsFilter {
    fn params(&self) -> [Box<dyn rusqlite::ToSql>; 4] {
        let since = self.since.map_or(i64::MIN, Timestamp::as_microsecond);
        [
            Box::new(self.project.clone()),
            Box::new(self.command.clone()),
            Box::new(self.subcommand.clone()),
            Box::new(since),
        ]
    }
}

impl Reader<'_> {
    fn stats(&self, filter: &StatsFilter) -> Result<StatsRow, JournalError> {
        // One snapshot for all.
        let snapshot = self.connection.unchecked_transaction().map_err(|error| self.sqlite(&error))?;
        let read = || {
            Ok::<_, Trouble>(StatsRow {
                runs: self.stats_runs(filter)?,
                questions: self.stats_questions(filter)?,
                attempts: self.stats_attempts(filter)?,
            })
        };
        let stats = read().map_err(|trouble| self.named(trouble));
        drop(snapshot);
        stats
    }

    fn stats_runs(&self, filter: &StatsFilter) -> Result<Vec<StatsRun>, Trouble> {
        let mut select = self.connection.prepare(&format!(
            "SELECT runs.id, runs.command, runs.subcommand, runs.started, runs.ended, runs.status, runs.census_json,
                    runs.continued, took.wall, took.work
             FROM runs LEFT JOIN took ON took.run = runs.seq WHERE {WHICH} ORDER BY runs.seq"
        ))?;
        let params = filter.params();
        let mut rows = select.query(rusqlite::params_from_iter(params.iter()))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(self.stats_run(row)?);
        }
        Ok(found)
    }

    fn stats_run(&self, row: &Row<'_>) -> Result<StatsRun, Trouble> {
        let id: String = row.get(0)?;
        let what = format!("run {id}");
        let run: RunId = self.parsed(&id, &what)?;
        let status = row.get::<_, Option<String>>(5)?;
        let status = status.map(|name| super::read::status_of(&name).ok_or_else(|| self.senseless(&what, &name)));
        let census = match row.get::<_, Option<String>>(6)? {
            Some(text) => self.json(&text, &what)?,
            None => self.census(run).map_err(Trouble::Record)?,
        };
        let micros = |column| {
            let value = row.get::<_, Option<i64>>(column)?;
            Ok::<_, rusqlite::Error>(value.map(|micros| Duration::from_micros(number(micros))))
        };
        let (began, ended): (i64, Option<i64>) = (row.get(3)?, row.get(4)?);
        let in_one_go = row.get::<_, i64>(7)? == 0;
        let between = ended.map(|ended| Duration::from_micros(number(ended.saturating_sub(began))));
        Ok(StatsRun {
            id: run,
            command: row.get(1)?,
            subcommand: row.get(2)?,
            started: self.time(began, &what)?,
            status: status.transpose()?,
            census,
            wall: micros(8)?.or(between).filter(|_| in_one_go),
            work: micros(9)?.filter(|_| in_one_go),
        })
    }

    fn stats_questions(&self, filter: &StatsFilter) -> Result<Vec<StatsQuestions>, Trouble> {
        let whole = TAKEN.map(|column| sum_of(&format!("iif(questions.split, 0, questions.{column})"))).join(", ");
        let whole = format!(
            "questions.model, questions.backend, count(*), sum(questions.outcome = 'model'),
             sum(questions.outcome = 'cache'), sum(questions.outcome = 'fallback'),
             sum(coalesce(questions.retries, max(questions.attempts - 1, 0))), {whole}"
        );
        let part = TAKEN.map(|column| sum_of(&format!("shares.{column}"))).join(", ");
        let part = format!("shares.model, shares.backend, 0, 0, 0, 0, 0, {part}");
        let shares = "JOIN shares ON shares.question = questions.seq";
        let mut found = Vec::new();
        for (sums, shares) in [(&whole, ""), (&part, shares)] {
            // The runs first: each has its questions behind one another in the index.
            let mut select = self.connection.prepare(&format!(
                "SELECT runs.command, runs.subcommand, {sums}
                 FROM runs CROSS JOIN questions ON questions.run = runs.id {shares}
                 WHERE {WHICH} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
            ))?;
            let params = filter.params();
            let mut rows = select.query(rusqlite::params_from_iter(params.iter()))?;
            while let Some(row) = rows.next()? {
                add(&mut found, stats_of(row)?);
            }
        }
        let is_all = filter.project.is_none() && filter.command.is_none();
        for (sums, shares) in [(&whole, ""), (&part, shares)].into_iter().filter(|_| is_all) {
            let mut select = self.connection.prepare(&format!(
                "SELECT NULL, NULL, {sums} FROM questions {shares}
                 WHERE questions.asked >= ?1
                   AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = questions.run AND runs.leaving = 0)
                 GROUP BY 3, 4 ORDER BY 3, 4"
            ))?;
            let since = filter.since.map_or(i64::MIN, Timestamp::as_microsecond);
            let mut rows = select.query(params![since])?;
            while let Some(row) = rows.next()? {
                add(&mut found, stats_of(row)?);
            }
        }
        // Those of runs first, and then the others; a model that only had a part is among the others of its command.
        found.sort_by_cached_key(|one| (one.command.is_none(), name_of(one)));
        Ok(found)
    }

    fn stats_attempts(&self, filter: &StatsFilter) -> Result<Vec<(String, Option<String>, u64)>, Trouble> {
        let mut select = self.connection.prepare(&format!(
            "SELECT runs.command, runs.subcommand, count(*)
             FROM attempts JOIN items ON items.seq = attempts.item JOIN runs ON runs.seq = items.run
             WHERE {WHICH} GROUP BY 1, 2"
        ))?;
        let params = filter.params();
        let mut rows = select.query(rusqlite::params_from_iter(params.iter()))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.get(0)?, row.get(1)?, number(row.get(2)?)));
        }
        Ok(found)
    }
}

/// What tells it apart.
fn name_of(one: &StatsQuestions) -> (Option<String>, Option<String>, String, String) {
    (one.command.clone(), one.subcommand.clone(), one.model.clone(), one.backend.clone())
}

/// Adds what a model took of questions that others had a part in to what is known of it.
fn add(found: &mut Vec<StatsQuestions>, new: StatsQuestions) {
    match found.iter_mut().find(|one| name_of(one) == name_of(&new)) {
        Some(one) => {
            one.usage += new.usage;
            one.uncertain += new.uncertain;
        }
        None => found.push(new),
    }
}

fn stats_of(row: &Row<'_>) -> rusqlite::Result<StatsQuestions> {
    let count = |column| Ok::<_, rusqlite::Error>(number(row.get(column)?));
    Ok(StatsQuestions {
        command: row.get(0)?,
        subcommand: row.get(1)?,
        model: row.get(2)?,
        backend: row.get(3)?,
        questions: count(4)?,
        by_model: count(5)?,
        by_cache: count(6)?,
        by_fallback: count(7)?,
        retries: count(8)?,
        usage: usage_from(row, 9)?,
        uncertain: Usd::from_pico(added(row, 21)?),
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::journal::tests::{PROJECT, begun, end, question, then};
    use crate::journal::{AttemptRow, Became};
    use crate::work::Outcome;

    async fn filled() -> (Journal, RunId) {
        let journal = Journal::in_memory().unwrap();
        let run = begun(&journal, &["a", "b", "c"]).await;
        journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
        let mut asked = question(run, then(), Usd::from_dollars(0.5));
        (asked.attempts, asked.retries) = (3, 2);
        journal.record_question(asked.clone()).await.unwrap();
        asked.outcome = "cache".to_owned();
        (asked.attempts, asked.retries) = (0, 0);
        journal.record_question(asked.clone()).await.unwrap();
        let gone = RunId::new();
        journal.record_question(question(gone, then(), Usd::from_dollars(2.0))).await.unwrap();
        let attempt = AttemptRow {
            item: "b".to_owned(),
            number: 1,
            worker: None,
            became: Became::Died,
            reason: String::new(),
            log: String::new(),
            took: Duration::ZERO,
            ended: then(),
        };
        journal.record_attempt(&run, attempt).await.unwrap();
        let ended = then() + SignedDuration::from_secs(9);
        let census = Census { items: 3, done: 1, failed: 2, ..Census::default() };
        journal.end_run(&run, Status::Degraded, census, ended).await.unwrap();
        journal.flush().await.unwrap();
        (journal, run)
    }

    #[tokio::test]
    async fn runs_and_what_their_questions_took_are_added_up() {
        let (journal, run) = filled().await;
        let open = begun(&journal, &["a", "b"]).await;
        let stats = journal.stats(StatsFilter::default()).await.unwrap();
        let [ended, running] = &stats.runs[..] else { panic!("two runs: {stats:?}") };
        assert_eq!((ended.id, ended.wall, ended.work), (run, Some(Duration::from_secs(9)), None));
        assert_eq!((running.id, running.status, running.census.pending), (open, None, 2));
        let [known, gone] = &stats.questions[..] else { panic!("two models: {stats:?}") };
        assert_eq!((known.questions, known.by_model, known.by_cache, known.retries), (2, 1, 1, 2));
        assert_eq!((known.usage.usd, known.usage.cache_read_tokens), (Usd::from_dollars(1.0), 40));
        assert_eq!((&gone.command, gone.usage.usd), (&None, Usd::from_dollars(2.0)), "the ledger outlives its runs");
        assert_eq!(stats.attempts, [("agent-audit".to_owned(), Some("deep".to_owned()), 1)]);
        assert_eq!(journal.without_end().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_asked_for_is_counted_and_nothing_else() {
        let (journal, _) = filled().await;
        let count = async |filter: StatsFilter| {
            let stats = journal.stats(filter).await.unwrap();
            (stats.runs.len(), stats.questions.len(), stats.attempts.len())
        };
        let all = StatsFilter::default();
        let project = |name: &str| StatsFilter { project: Some(name.to_owned()), ..StatsFilter::default() };
        let command = |name: &str, sub: &str| StatsFilter {
            command: Some(name.to_owned()),
            subcommand: Some(sub.to_owned()),
            ..StatsFilter::default()
        };
        let since = |seconds| StatsFilter { since: Some(then() + SignedDuration::from_secs(seconds)), ..all.clone() };
        assert_eq!(count(project(PROJECT)).await, (1, 1, 1));
        assert_eq!(count(project("/elsewhere")).await, (0, 0, 0));
        assert_eq!(count(command("agent-audit", "deep")).await, (1, 1, 1));
        assert_eq!(count(command("agent-audit", "shallow")).await, (0, 0, 0));
        assert_eq!(count(since(0)).await, (1, 2, 1));
        assert_eq!(count(since(1)).await, (0, 0, 0));
    }
}
