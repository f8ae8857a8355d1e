//! Where the questions of a benchmark are written: as in the host, in a journal on disk.

use convoke_runtime::broker::{DecisionRecord, Ledger, QuestionRecord};
use convoke_runtime::journal::{DecisionRow, Journal, QuestionRow, RunId};
use futures::future::BoxFuture;

/// The broker's ledger is the journal, as in the host.
pub(crate) struct JournalLedger {
    pub(crate) journal: Journal,
    pub(crate) run: RunId,
}

impl Ledger for JournalLedger {
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>> {
        let row = QuestionRow::of(self.run, record);
        Box::pin(async move { self.journal.record_question(row).await.map_err(|error| error.to_string()) })
    }

    fn decided(&self, decision: DecisionRecord) -> BoxFuture<'_, Result<(), String>> {
        let row = DecisionRow::of(self.run, decision);
        Box::pin(async move { self.journal.record_decision(row).await.map_err(|error| error.to_string()) })
    }
}
