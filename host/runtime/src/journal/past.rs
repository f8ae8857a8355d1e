//! What earlier runs took: what a forecast is made of, and what a run is compared with.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde_json::Value;

use super::read::{Reader, Trouble, number};
use super::{Journal, JournalError, RunId};
use crate::money::Usd;
use crate::work::{Census, Outcome};

/// A run that has ended with its work done, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRun {
    /// Which.
    pub id: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The absolute path of the project's folder.
    pub project: String,
    /// The digest of the plugin's component, in hex.
    pub plugin_digest: String,
    /// As the plugin got them.
    pub arguments: Value,
    /// `safe`, `balanced`, `performance`.
    pub mode: String,
    /// Where its questions went, in the host's words; none: it was not written down.
    pub route: Option<String>,
    /// How its items ended.
    pub census: Census,
    /// From start to end.
    pub wall: Duration,
    /// How long its items were in the hands of workers, all together.
    pub work: Duration,
    /// How many workers it had.
    pub workers: u64,
    /// Its questions, those included that were answered without a model.
    pub questions: u64,
    /// All input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What it cost at most.
    pub usd: Usd,
}

/// How an item of a run ended, and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemTime {
    /// Its id.
    pub id: String,
    /// How.
    pub outcome: Outcome,
    /// How long it was in a worker's hands.
    pub took: Duration,
}

impl Journal {
    /// The newest runs of a command that went to their end in one go, whether or not all of their items were done; the
    /// newest first. Those that were written before it was kept what runs took are not among them.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn past(
        &self,
        command: &str,
        subcommand: Option<&str>,
        most: usize,
    ) -> Result<Vec<PastRun>, JournalError> {
        let (command, subcommand) = (command.to_owned(), subcommand.map(str::to_owned));
        self.read(move |reader| reader.past(&command, subcommand.as_deref(), most)).await
    }

    /// How the items of a run ended, in their order. One that has not ended is pending, and took no time.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn item_times(&self, run: &RunId) -> Result<Vec<ItemTime>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.item_times(run)).await
    }
}

impl Reader<'_> {
    fn past(&self, command: &str, subcommand: Option<&str>, most: usize) -> Result<Vec<PastRun>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT runs.id, runs.started, runs.project, runs.plugin_digest, runs.arguments_json, runs.mode,
                        runs.route, runs.census_json, took.wall, took.work, took.workers, took.questions,
                        took.input_tokens, took.output_tokens, took.usd_pico
                 FROM runs JOIN took ON took.run = runs.seq
                 WHERE runs.command = ?1 AND runs.subcommand IS ?2 AND runs.leaving = 0 AND runs.continued = 0
                   AND runs.status IN ('completed', 'degraded')
                 ORDER BY runs.seq DESC LIMIT ?3",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let mut rows = select.query(params![command, subcommand, most])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(self.past_run(row)?);
            }
            Ok::<_, Trouble>(found)
        };
        read().map_err(|trouble| self.named(trouble))
    }

    fn past_run(&self, row: &Row<'_>) -> Result<PastRun, Trouble> {
        let id: String = row.get(0)?;
        let what = format!("run {id}");
        let count = |column| Ok::<_, rusqlite::Error>(number(row.get(column)?));
        Ok(PastRun {
            id: self.parsed(&id, &what)?,
            started: self.time(row.get(1)?, &what)?,
            project: row.get(2)?,
            plugin_digest: row.get(3)?,
            arguments: self.json(&row.get::<_, String>(4)?, &what)?,
            mode: row.get(5)?,
            route: row.get(6)?,
            census: self.json(&row.get::<_, Option<String>>(7)?.unwrap_or_default(), &what)?,
            wall: Duration::from_micros(count(8)?),
            work: Duration::from_micros(count(9)?),
            workers: count(10)?,
            questions: count(11)?,
            input_tokens: count(12)?,
            output_tokens: count(13)?,
            usd: Usd::from_pico(count(14)?),
        })
    }

    fn item_times(&self, run: RunId) -> Result<Vec<ItemTime>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT items.id, ends.outcome, ends.reason, ends.took
                 FROM items LEFT JOIN ends ON ends.item = items.seq
                 WHERE items.run = (SELECT seq FROM runs WHERE id = ?1 AND leaving = 0)
                 ORDER BY items.ordinal, items.seq",
            )?;
            let mut rows = select.query([run.to_string()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let outcome = self.outcome(row, [1, 2], &format!("item {id:?} of run {run}"))?;
                let took = Duration::from_micros(row.get::<_, Option<i64>>(3)?.map_or(0, number));
                found.push(ItemTime { id, outcome, took });
            }
            Ok::<_, Trouble>(found)
        };
        read().map_err(|trouble| self.named(trouble))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::{PROJECT, begun, end, question, then};
    use crate::work::Status;

    /// A run with one item that ended so, and a report of this text.
    async fn ended(journal: &Journal, status: Status, report: &str) -> RunId {
        let run = begun(journal, &["a", "b"]).await;
        journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
        for usd in [0.25, 0.5] {
            journal.record_question(question(run, then(), Usd::from_dollars(usd))).await.unwrap();
        }
        let census = Census { items: 2, done: 1, failed: 1, ..Census::default() };
        journal.end_run(&run, status, census, then()).await.unwrap();
        journal.keep_report(&run, report.to_owned()).await.unwrap();
        run
    }

    const REPORT: &str =
        "{\"timing\":{\"wall_ms\":1500,\"work_ms\":4000,\"speedup\":2.67},\"workers\":[{\"id\":0},{\"id\":1}]}";

    #[tokio::test]
    async fn what_a_run_took_is_kept_with_its_report() {
        let journal = Journal::in_memory().unwrap();
        let run = ended(&journal, Status::Degraded, REPORT).await;
        journal.flush().await.unwrap();
        let past = journal.past("agent-audit", Some("deep"), 10).await.unwrap();
        let [one] = &past[..] else { panic!("one run: {past:?}") };
        assert_eq!((one.id, one.project.as_str(), one.workers), (run, PROJECT, 2));
        assert_eq!((one.wall, one.work), (Duration::from_millis(1_500), Duration::from_secs(4)));
        assert_eq!((one.questions, one.input_tokens, one.output_tokens), (2, 120, 80));
        assert_eq!((one.usd, one.census.failed), (Usd::from_dollars(0.75), 1));
        assert_eq!(journal.past("agent-audit", None, 10).await.unwrap(), [], "another subcommand is another command");
    }

    #[tokio::test]
    async fn what_did_not_go_to_its_end_says_nothing_and_the_newest_come_first() {
        let journal = Journal::in_memory().unwrap();
        let first = ended(&journal, Status::Completed, REPORT).await;
        ended(&journal, Status::Interrupted, REPORT).await;
        ended(&journal, Status::Completed, "{\"timing\":{\"wall_ms\":\"long\"}}").await;
        begun(&journal, &["a"]).await;
        let last = ended(&journal, Status::Completed, REPORT).await;
        journal.flush().await.unwrap();
        let ids = |past: Vec<PastRun>| past.into_iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(ids(journal.past("agent-audit", Some("deep"), 10).await.unwrap()), [last, first]);
        assert_eq!(ids(journal.past("agent-audit", Some("deep"), 1).await.unwrap()), [last]);
    }

    #[tokio::test]
    async fn the_items_of_a_run_have_their_times() {
        let journal = Journal::in_memory().unwrap();
        let run = ended(&journal, Status::Completed, REPORT).await;
        let items = journal.item_times(&run).await.unwrap();
        let expected = [("a", Outcome::Done, Duration::from_millis(12)), ("b", Outcome::Pending, Duration::ZERO)];
        let found: Vec<_> = items.iter().map(|item| (item.id.as_str(), item.outcome.clone(), item.took)).collect();
        assert_eq!(found, expected);
    }
}
