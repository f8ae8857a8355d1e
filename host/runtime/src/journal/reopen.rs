//! A run that goes on: what of it stays, and what is done again.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::read::{Reader, TAKEN, added, sum_of, usage_from};
use super::write::{Fault, Write, count, item_seq};
use super::{ItemRecord, Journal, JournalError, RunId, Written};
use crate::broker::ModelSpending;
use crate::money::Usd;
use crate::question::Usage;

/// How a run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopening {
    /// Which.
    pub run: RunId,
    /// How often it had been continued when it was read: a run that has gone on since is left alone.
    pub continued: u32,
    /// The items whose ends stay, by their ids.
    pub kept: Vec<String>,
    /// The items that are to be done, and why those that have ended do not stay. An end becomes an attempt.
    pub again: Vec<(ItemRecord, String)>,
    /// The item that concludes, whose end stays until the whole is known.
    pub conclusion: Option<String>,
}

/// What a model took of a run, or of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRow {
    /// The model.
    pub model: String,
    /// The backend that asked it.
    pub backend: String,
    /// Whether a subscription pays: the dollars are then list price, and not billed. None: it was not written.
    pub notional: Option<bool>,
    /// As far as it is known.
    pub usage: Usage,
    /// What may have been spent beyond that, at most.
    pub uncertain: Usd,
}

impl ModelRow {
    pub(super) fn of(one: ModelSpending) -> Self {
        let ModelSpending { model, backend, is_notional, usage, uncertain } = one;
        Self { model, backend: backend.to_owned(), notional: Some(is_notional), usage, uncertain }
    }
}

impl Journal {
    /// A run goes on, and is under way from then on. All other items of it are forgotten: those that items added, which
    /// they will add again, and those that its plan does not have any more.
    ///
    /// # Errors
    /// The run is unknown, is under way, or has gone on since it was read; the storage fails. Then nothing is changed.
    pub async fn reopen(&self, reopening: Reopening) -> Result<(), JournalError> {
        let run = reopening.run;
        self.hold(&run)?;
        let written = self.inner.writer.write(Write::Reopen(Box::new(reopening))).await;
        if written.is_err() {
            self.release(&run);
        }
        written
    }

    /// An item of a run that goes on is done again, or for the first time. An end that it has becomes an attempt.
    ///
    /// # Errors
    /// The run is unknown; the storage fails.
    pub async fn plan_again(&self, run: &RunId, item: ItemRecord, why: String) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Again(*run, Box::new((item, why)))).await
    }

    /// The ends of a run's items that are committed, by the items' ids: for one that goes on.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn written(&self, run: &RunId) -> Result<HashMap<String, Written>, JournalError> {
        let run = *run;
        let outcomes = self.read(move |reader| reader.outcomes(run)).await?;
        let ended = outcomes.into_iter().filter(|(_, outcome)| outcome.has_ended());
        Ok(ended.map(|(item, outcome)| (item.clone(), Written::new(run, item, outcome))).collect())
    }

    /// What each model took in a run, by its name.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn by_model(&self, run: &RunId) -> Result<Vec<ModelRow>, JournalError> {
        let run = *run;
        self.read(move |reader| reader.by_model(run)).await
    }
}

/// Opens it again.
pub(super) fn reopen(connection: &Connection, how: &Reopening) -> Result<(), Fault> {
    let id = how.run.to_string();
    let opened = connection.execute(
        "UPDATE runs SET continued = continued + 1, ended = NULL, status = NULL, census_json = NULL
         WHERE id = ?1 AND continued = ?2 AND leaving = 0",
        params![id, how.continued],
    )?;
    let run: i64 = connection
        .query_row("SELECT seq FROM runs WHERE id = ?1", [&id], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Fault::Record(JournalError::UnknownRun { run: id.clone() }))?;
    if opened == 0 {
        return Err(Fault::Record(JournalError::WentOn { run: how.run }));
    }
    let again = how.again.iter().map(|(item, _)| item.id.as_str());
    let stay: HashSet<&str> =
        how.kept.iter().map(String::as_str).chain(again).chain(how.conclusion.as_deref()).collect();
    let known = {
        let mut select = connection.prepare("SELECT seq, id FROM items WHERE run = ?1")?;
        let rows = select.query_map([run], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for (seq, item) in known {
        if !stay.contains(item.as_str()) {
            connection.execute("DELETE FROM items WHERE seq = ?1", [seq])?;
        }
    }
    how.again.iter().try_for_each(|(item, why)| plan_again(connection, how.run, item, why))
}

/// Plans one again.
pub(super) fn plan_again(connection: &Connection, run: RunId, item: &ItemRecord, why: &str) -> Result<(), Fault> {
    if let Some(seq) = item_seq(connection, run, &item.id)? {
        connection
            .prepare_cached(
                "INSERT INTO attempts (item, number, worker, became, reason, log, took, ended)
                 SELECT item, max(attempts, 1), NULL, 'again',
                        CASE WHEN reason IS NULL THEN outcome ELSE outcome || ': ' || reason END || '; ' || ?2,
                        log, took, ended
                 FROM ends WHERE item = ?1",
            )?
            .execute(params![seq, why])?;
        connection.prepare_cached("DELETE FROM ends WHERE item = ?1")?.execute([seq])?;
    }
    let key = item.key.0.as_bytes().as_slice();
    let planned = connection
        .prepare_cached(
            "INSERT INTO items (run, id, label, key, ordinal, parent)
             SELECT seq, ?2, ?3, ?4, ?5, ?6 FROM runs WHERE id = ?1
             ON CONFLICT (run, id) DO UPDATE
             SET label = excluded.label, key = excluded.key, ordinal = excluded.ordinal, parent = excluded.parent",
        )?
        .execute(params![run.to_string(), item.id, item.label, key, count(item.ordinal as u64), item.parent])?;
    if planned == 0 { Err(Fault::Record(JournalError::UnknownRun { run: run.to_string() })) } else { Ok(()) }
}

impl Reader<'_> {
    fn by_model(&self, run: RunId) -> Result<Vec<ModelRow>, JournalError> {
        let sums: Vec<String> = TAKEN.iter().map(|column| sum_of(column)).collect();
        let [whole, part] = ["questions", "shares"].map(|table| {
            let columns: Vec<String> =
                ["model", "backend", "notional"].iter().chain(&TAKEN).map(|one| format!("{table}.{one}")).collect();
            columns.join(", ")
        });
        let question = format!(
            "SELECT model, backend, notional, {} FROM
                 (SELECT {whole} FROM questions WHERE run = ?1 AND split = 0 AND requests > 0
                  UNION ALL
                  SELECT {part} FROM questions JOIN shares ON shares.question = questions.seq
                  WHERE questions.run = ?1 AND questions.split = 1)
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            sums.join(", ")
        );
        let read = || {
            let mut select = self.connection.prepare(&question)?;
            let rows = select.query_map([run.to_string()], |row| {
                Ok(ModelRow {
                    model: row.get(0)?,
                    backend: row.get(1)?,
                    notional: row.get(2)?,
                    usage: usage_from(row, 3)?,
                    uncertain: Usd::from_pico(added(row, 15)?),
                })
            })?;
            rows.collect::<Result<Vec<_>, rusqlite::Error>>()
        };
        read().map_err(|error| self.sqlite(&error))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::journal::{Became, Digest, ItemEnd, ItemKey, ReadSet, RunRecord};
    use crate::work::{Census, Outcome, Partial, Status};

    fn item(id: &str, ordinal: usize, parent: Option<&str>) -> ItemRecord {
        let key = ItemKey(Digest::of(id.as_bytes()));
        ItemRecord { id: id.to_owned(), label: id.to_owned(), key, ordinal, parent: parent.map(str::to_owned) }
    }

    fn end(id: &str, outcome: Outcome) -> ItemEnd {
        ItemEnd {
            item: id.to_owned(),
            outcome,
            partial: Some(Partial::default()),
            reads: ReadSet::default(),
            reused: None,
            took: std::time::Duration::from_secs(3),
            attempts: 2,
            log: "the log".to_owned(),
            ended: Timestamp::UNIX_EPOCH,
        }
    }

    /// A run that has ended: `a` done, `b` failed, `c` added by `b`, `d` never begun, `e` gone from the plan since.
    async fn stopped(journal: &Journal) -> RunId {
        let run = RunId::new();
        let record = RunRecord {
            id: run,
            command: "audit".to_owned(),
            subcommand: None,
            plugin_name: "audit".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            plugin_digest: String::new(),
            arguments: json!({}),
            project: "/project".to_owned(),
            mode: "safe".to_owned(),
            backend: "offline".to_owned(),
            started: Timestamp::UNIX_EPOCH,
            typed: None,
        };
        journal.begin_run(record).await.unwrap();
        let items = ["a", "b", "d", "e"].into_iter().enumerate().map(|(place, id)| item(id, place, None)).collect();
        journal.record_items(&run, items).await.unwrap();
        journal.record_items(&run, vec![item("c", 4, Some("b"))]).await.unwrap();
        journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
        journal.finish_item(&run, end("b", Outcome::Failed("no".to_owned()))).await.unwrap();
        journal.finish_item(&run, end("c", Outcome::Done)).await.unwrap();
        let census = Census::default();
        journal.end_run(&run, Status::Interrupted, census, Timestamp::UNIX_EPOCH).await.unwrap();
        run
    }

    fn reopening(run: RunId, continued: u32) -> Reopening {
        let again = vec![(item("b", 1, None), "asked for".to_owned()), (item("d", 2, None), String::new())];
        Reopening { run, continued, kept: vec!["a".to_owned()], again, conclusion: None }
    }

    #[tokio::test]
    async fn what_stands_stays_what_does_not_becomes_an_attempt_and_the_rest_is_forgotten() {
        let journal = Journal::in_memory().unwrap();
        let run = stopped(&journal).await;
        journal.reopen(reopening(run, 0)).await.unwrap();
        let detail = journal.run(&run).await.unwrap();
        assert_eq!((detail.row.continued, detail.row.end.is_none()), (1, true));
        assert_eq!(detail.items.iter().map(|row| row.item.id.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert_eq!(detail.items[0].end.as_ref().map(|end| &end.outcome), Some(&Outcome::Done));
        let [tried] = detail.items[1].tried.as_slice() else { panic!("{:?}", detail.items[1]) };
        assert_eq!((tried.became, tried.number, tried.worker), (Became::Again, 2, None));
        assert_eq!((tried.reason.as_str(), tried.log.as_str()), ("failed: no; asked for", "the log"));
        assert!(detail.items[1].end.is_none() && detail.items[2].tried.is_empty());
        // It goes on as any run.
        journal.finish_item(&run, end("b", Outcome::Done)).await.unwrap();
        journal.record_items(&run, vec![item("c", 4, Some("b"))]).await.unwrap();
        journal.end_run(&run, Status::Degraded, Census::default(), Timestamp::UNIX_EPOCH).await.unwrap();
    }

    #[tokio::test]
    async fn a_run_that_is_under_way_or_has_gone_on_is_left_alone() {
        let journal = Journal::in_memory().unwrap();
        let run = stopped(&journal).await;
        journal.reopen(reopening(run, 0)).await.unwrap();
        assert_eq!(journal.reopen(reopening(run, 1)).await, Err(JournalError::UnderWay { run }));
        journal.end_run(&run, Status::Degraded, Census::default(), Timestamp::UNIX_EPOCH).await.unwrap();
        let before = journal.run(&run).await.unwrap();
        assert_eq!(journal.reopen(reopening(run, 0)).await, Err(JournalError::WentOn { run }));
        assert_eq!(journal.run(&run).await.unwrap(), before);
        assert!(!journal.is_under_way(&run), "it can be continued later");
        let unknown = RunId::new();
        let error = journal.reopen(reopening(unknown, 0)).await.unwrap_err();
        assert_eq!(error, JournalError::UnknownRun { run: unknown.to_string() });
    }

    #[tokio::test]
    async fn a_conclusion_is_planned_again_where_there_was_one_and_where_there_was_none() {
        let journal = Journal::in_memory().unwrap();
        let run = stopped(&journal).await;
        for id in ["a", "new"] {
            journal.plan_again(&run, item(id, 9, None), "the whole has changed".to_owned()).await.unwrap();
            journal.finish_item(&run, end(id, Outcome::Done)).await.unwrap();
        }
        let detail = journal.run(&run).await.unwrap();
        let concluded = detail.items.iter().find(|row| row.item.id == "a").unwrap();
        assert_eq!((concluded.item.ordinal, concluded.tried.len()), (9, 1));
        assert_eq!(concluded.tried[0].reason, "done; the whole has changed");
    }
}
