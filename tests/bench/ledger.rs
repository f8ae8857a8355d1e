//! Where the questions of a benchmark are written: as in the host, in a journal on disk.

use std::time::Duration;

use convoke_runtime::broker::{Ledger, QuestionRecord};
use convoke_runtime::journal::{Journal, QuestionRow, RunId};
use futures::future::BoxFuture;
use jiff::Timestamp;

/// The broker's ledger is the journal, as in the host.
pub(crate) struct JournalLedger {
    pub(crate) journal: Journal,
    pub(crate) run: RunId,
}

impl Ledger for JournalLedger {
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>> {
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
            asked: Timestamp::now(),
            waited: Duration::from_millis(record.queued_ms),
            first: record.first_token_ms.map(Duration::from_millis),
            took: Duration::from_millis(record.took_ms),
        };
        Box::pin(async move { self.journal.record_question(row).await.map_err(|error| error.to_string()) })
    }
}
