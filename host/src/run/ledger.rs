//! The broker's ledger is the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convoke_runtime::broker::{DecisionRecord, Ledger, QuestionRecord};
use convoke_runtime::journal::{DecisionRow, Journal, QuestionRow, RunId};
use futures::future::BoxFuture;

use super::arms::Arms;
use super::tried::Tried;

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
    /// What its questions came to, by item.
    pub tried: Arc<Tried>,
    /// Whether decisions are kept.
    pub keeps_decisions: bool,
}

impl Ledger for JournalLedger {
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>> {
        self.unmetered.fetch_add(record.unmetered.into(), Ordering::Relaxed);
        self.arms.add(&record);
        self.tried.asked(&record);
        let row = QuestionRow::of(self.run, record);
        Box::pin(async move { self.journal.record_question(row).await.map_err(|error| error.to_string()) })
    }

    fn decided(&self, decision: DecisionRecord) -> BoxFuture<'_, Result<(), String>> {
        if !self.keeps_decisions {
            return Box::pin(std::future::ready(Ok(())));
        }
        let row = DecisionRow::of(self.run, decision);
        Box::pin(async move { self.journal.record_decision(row).await.map_err(|error| error.to_string()) })
    }
}
