//! What policies decided, as SQL.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{Reader, Trouble, number};
use super::write::{Fault, count};
use super::{DecisionRow, JournalError, Page, RunId};
use crate::policy::{Decision, Facts};

/// So many decisions are kept, of all runs together: the newest. Some 80 MB.
const KEPT: i64 = 100_000;

/// The others are removed as often.
const SWEEP: i64 = 1_000;

/// The longest text among facts and in a decision, in bytes.
const LONGEST_TEXT: usize = 500;

/// Writes one down. Its JSON is made here, on the writer's thread: who decides does not wait for it.
pub(super) fn add(connection: &Connection, row: &DecisionRow) -> Result<(), Fault> {
    let unwritable = |error: serde_json::Error| {
        let what = format!("a decision of run {}", row.run);
        Fault::Record(JournalError::Unwritable { what, detail: error.to_string() })
    };
    let kind = row.facts.kind().name();
    let made_small = |facts: serde_json::Result<Value>| facts.map(|facts| small(facts).to_string());
    let facts = match &row.facts {
        // Two a question: making them small takes longer than writing them down. Their texts are short.
        Facts::Route(facts) => serde_json::to_string(facts),
        Facts::Admit(facts) => serde_json::to_string(facts),
        Facts::Size(facts) => made_small(serde_json::to_value(facts)),
        Facts::Recover(facts) => made_small(serde_json::to_value(facts)),
        Facts::Adapt(facts) => made_small(serde_json::to_value(facts)),
        Facts::Watch(facts) => made_small(serde_json::to_value(facts)),
    };
    let facts = facts.map_err(unwritable)?;
    let decision = match &row.decision {
        Decision::Size(decision) => serde_json::to_string(decision),
        Decision::Route(decision) => serde_json::to_string(decision),
        Decision::Admit(decision) => serde_json::to_string(decision),
        Decision::Recover(decision) => serde_json::to_string(decision),
        Decision::Adapt(decision) => serde_json::to_string(decision),
        Decision::Watch(decision) => serde_json::to_string(decision),
    };
    let decision = decision.map_err(unwritable)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO decisions (run, question, at, kind, policy, generation, facts_json, decision_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![
        row.run.to_string(),
        row.question.map(count),
        row.at.as_microsecond(),
        kind,
        bounded(&row.policy),
        count(row.generation),
        facts,
        decision,
    ])?;
    let newest = connection.last_insert_rowid();
    if newest % SWEEP == 0 {
        connection.prepare_cached("DELETE FROM decisions WHERE seq <= ?1")?.execute([newest - KEPT])?;
    }
    Ok(())
}

/// Facts without what is read as its default anyway, and with bounded texts. What a policy is given back is the same.
fn small(mut facts: Value) -> Value {
    let Some(members) = facts.as_object_mut() else { return facts };
    members.retain(|name, value| {
        match value {
            Value::String(text) if text.len() > LONGEST_TEXT => *text = bounded(text).to_owned(),
            // All of these have defaults; decisions have not.
            Value::Object(inner) if !matches!(name.as_str(), "built_in" | "otherwise") => {
                inner.retain(|_, value| !is_default(value))
            }
            _ => {}
        }
        matches!(name.as_str(), "built_in" | "otherwise") || !is_default(value)
    });
    facts
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Reader<'_> {
    /// What was decided in a run, in that order.
    pub(super) fn decisions(&self, run: RunId) -> Result<Vec<DecisionRow>, JournalError> {
        Ok(self.decisions_behind(run, 0, usize::MAX)?.rows)
    }

    /// Of these those behind this place, at most so many.
    pub(super) fn decisions_behind(
        &self,
        run: RunId,
        after: i64,
        most: usize,
    ) -> Result<Page<DecisionRow>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT question, at, kind, policy, generation, facts_json, decision_json, seq FROM decisions
                 WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )?;
            let most_rows = i64::try_from(most).unwrap_or(i64::MAX);
            let mut rows = select.query(params![run.to_string(), after, most_rows])?;
            let mut page = Page { rows: Vec::new(), next: None };
            while let Some(row) = rows.next()? {
                page.next = Some(row.get(7)?);
                page.rows.push(self.decision(run, row)?);
            }
            Ok(page.of(most))
        };
        read().map_err(|trouble| self.named(trouble))
    }

    fn decision(&self, run: RunId, row: &Row<'_>) -> Result<DecisionRow, Trouble> {
        let what = format!("a decision of run {run}");
        let (kind, policy): (String, String) = (row.get(2)?, row.get(3)?);
        let inner = |column| self.json::<Value>(&row.get::<_, String>(column)?, &what);
        let facts = json!({"kind": kind, "facts": inner(5)?});
        let decision = json!({"kind": kind, "decision": inner(6)?});
        Ok(DecisionRow {
            run,
            question: row.get::<_, Option<i64>>(0)?.map(number),
            at: Timestamp::from_microsecond(row.get(1)?).map_err(|error| self.senseless(&what, &error.to_string()))?,
            policy: policy.into(),
            generation: number(row.get(4)?),
            facts: Facts::deserialize(facts).map_err(|error| self.senseless(&what, &error.to_string()))?,
            decision: Decision::deserialize(decision).map_err(|error| self.senseless(&what, &error.to_string()))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::journal::{AttemptRow, Became, Journal};
    use crate::policy::{
        Adapt, AdaptFacts, Admit, AdmitFacts, Load, Mode, Now, RecoverFacts, RouteFacts, RouteTo, Size, SizeFacts,
        Spending, Tier, WatchFacts,
    };

    fn row(run: RunId, facts: Facts, decision: Decision) -> DecisionRow {
        let at = Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        DecisionRow { run, question: Some(7), at, policy: "night".into(), generation: 3, facts, decision }
    }

    #[tokio::test]
    async fn what_was_decided_is_read_as_it_was_written() {
        let journal = Journal::in_memory().unwrap();
        let (run, other) = (RunId::new(), RunId::new());
        let load = Load { in_flight: 3, error_rate: 0.25, first_token_ms: Some(12), ..Load::default() };
        let spending = Spending { usd: 0.5, usd_left: None, requests: 9 };
        let now = Now::new(1, 0, 30, 7);
        let built_in = Adapt { limit: 3, ..Adapt::default() };
        let all = [
            row(run, Facts::Size(SizeFacts { items: 3, ..SizeFacts::default() }), Decision::Size(Size::of(2, "few"))),
            row(
                run,
                Facts::Route(RouteFacts {
                    now,
                    mode: Mode::Safe,
                    asked: Tier::Speed,
                    spending,
                    built_in: RouteTo::tier(Tier::Speed, "asked"),
                    ..RouteFacts::default()
                }),
                Decision::Route(RouteTo::tier(Tier::Comprehensive, "")),
            ),
            row(
                run,
                Facts::Admit(AdmitFacts { since_last_ms: Some(5), load: load.clone(), ..AdmitFacts::default() }),
                Decision::Admit(Admit::Later { wait_ms: 3, reason: "slowly".to_owned() }),
            ),
            row(run, Facts::Recover(RecoverFacts::default()), Decision::Recover(Default::default())),
            row(
                run,
                Facts::Adapt(AdaptFacts { load, built_in: built_in.clone(), ..AdaptFacts::default() }),
                Decision::Adapt(built_in),
            ),
            row(run, Facts::Watch(WatchFacts::default()), Decision::Watch(Default::default())),
        ];
        for row in &all {
            journal.record_decision(row.clone()).await.unwrap();
        }
        journal.record_decision(row(other, all[0].facts.clone(), all[0].decision.clone())).await.unwrap();
        journal.flush().await.unwrap();
        assert_eq!(journal.decisions(&run).await.unwrap(), all);
        assert_eq!(journal.decisions(&other).await.unwrap().len(), 1);
        assert_eq!(journal.decisions(&RunId::new()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn while_the_storage_fails_who_writes_a_decision_is_told_so_and_does_not_wait_for_it_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = Journal::open_with(&path, Duration::ZERO).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let one = row(RunId::new(), Facts::Watch(WatchFacts::default()), Decision::Watch(Default::default()));
        let attempt = AttemptRow {
            item: "a".to_owned(),
            number: 1,
            worker: None,
            became: Became::Died,
            reason: String::new(),
            log: String::new(),
            took: Duration::ZERO,
            ended: Timestamp::UNIX_EPOCH,
        };
        // It stays with the writer, which goes on trying.
        journal.record_attempt(&one.run, attempt).await.unwrap();
        assert!(journal.flush().await.is_err());
        let told = tokio::time::timeout(Duration::from_secs(30), journal.record_decision(one)).await;
        assert_eq!(told, Ok(Err(JournalError::Locked { path })));
        other.execute_batch("ROLLBACK").unwrap();
    }

    #[tokio::test]
    async fn texts_of_strangers_are_bounded_and_what_is_nothing_is_left_out() {
        let journal = Journal::in_memory().unwrap();
        let run = RunId::new();
        let facts = Facts::Recover(RecoverFacts { message: "é".repeat(1_000), ..RecoverFacts::default() });
        let made = small(serde_json::to_value(&facts).unwrap()["facts"].take());
        assert!(made.to_string().len() < 700, "{made}");
        journal.record_decision(row(run, facts, Decision::Recover(Default::default()))).await.unwrap();
        journal.flush().await.unwrap();
        let Facts::Recover(read) = &journal.decisions(&run).await.unwrap()[0].facts else { panic!() };
        assert_eq!(read.message, "é".repeat(250));
    }

    #[tokio::test]
    async fn only_the_newest_are_kept() {
        let connection = super::super::schema::in_memory().unwrap();
        connection
            .execute(
                "INSERT INTO decisions (seq, run, at, kind, policy, generation, facts_json, decision_json)
                 VALUES (1, 'old', 0, 'watch', '', 1, '{}', '{}'), (?1, 'new', 0, 'watch', '', 1, '{}', '{}')",
                [KEPT + SWEEP - 1],
            )
            .unwrap();
        let one = row(RunId::new(), Facts::Watch(WatchFacts::default()), Decision::Watch(Default::default()));
        assert!(add(&connection, &one).is_ok());
        let runs: i64 =
            connection.query_row("SELECT count(*) FROM decisions WHERE run = 'old'", [], |row| row.get(0)).unwrap();
        let all: i64 = connection.query_row("SELECT count(*) FROM decisions", [], |row| row.get(0)).unwrap();
        assert_eq!((runs, all), (0, 2));
    }
}
