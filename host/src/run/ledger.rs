//! The broker's ledger is the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoke_runtime::broker::{DecisionRecord, Ledger, QuestionRecord};
use convoke_runtime::journal::{DecisionRow, Journal, QuestionRow, RunId};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::arms::Arms;

/// Writes the questions of one run to the journal.
pub(crate) struct JournalLedger {
    /// The journal.
    pub journal: Journal,
    /// The run.
    pub run: RunId,
    /// Attempts that may have cost something, and nobody knows what.
    pub unmetered: Arc<AtomicU64>,
    /// Its tiers.
    pub arms: Arc<Arms>,
    /// Whether decisions are kept.
    pub keeps_decisions: bool,
}

impl Ledger for JournalLedger {
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>> {
        self.unmetered.fetch_add(record.unmetered.into(), Ordering::Relaxed);
        self.arms.add(&record);
        let took = Duration::from_millis(record.took_ms);
        let row = QuestionRow {
            run: self.run,
            item: record.item.to_string(),
            role: record.role,
            tier: record.tier.name().to_owned(),
            answered_tier: record.answered_tier.map(|tier| tier.name().to_owned()),
            model: record.model,
            backend: record.backend.to_owned(),
            attempts: record.attempts,
            outcome: record.outcome,
            usage: record.usage,
            uncertain: record.uncertain,
            asked: Timestamp::now() - SignedDuration::try_from(took).unwrap_or_default(),
            waited: Duration::from_millis(record.queued_ms),
            first: record.first_token_ms.map(Duration::from_millis),
            took,
        };
        Box::pin(async move { self.journal.record_question(row).await.map_err(|error| error.to_string()) })
    }
    fn decided(&self, decision: DecisionRecord) -> BoxFuture<'_, Result<(), String>> {
        if !self.keeps_decisions {
            return Box::pin(std::future::ready(Ok(())));
        }
        let DecisionRecord { question, at, policy, generation, facts, decision } = decision;
        let row = DecisionRow { run: self.run, question, at, policy, generation, facts, decision };
        Box::pin(async move { self.journal.record_decision(row).await.map_err(|error| error.to_string()) })
    }
}
