//! What is written down of a question.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::question::Usage;

/// In whose name a question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The command: commands share instances fairly.
    pub command: Arc<str>,
    /// The item, by its number in the run.
    pub item: usize,
    /// The item's id.
    pub item_id: Arc<str>,
}

/// A question that has ended, for the journal's ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionRecord {
    /// The question's number in the process; events call it the same.
    pub id: u64,
    /// The run.
    pub run: Arc<str>,
    /// The item's id.
    pub item: Arc<str>,
    /// The role that was asked.
    pub role: String,
    /// The model it was routed to, or that answered; empty where none was asked.
    pub model: String,
    /// The backend.
    pub backend: &'static str,
    /// How often it was sent.
    pub attempts: u32,
    /// `model`, `cache`, `fallback`, the failure's kind, or `dropped` where nobody waited for the answer any more.
    pub outcome: String,
    /// What it took, all attempts together, as far as it is known.
    pub usage: Usage,
    /// How long it waited for admission, all attempts together.
    pub queued_ms: u64,
    /// From sending to the first sign of the answer, of the last attempt.
    pub first_token_ms: Option<u64>,
    /// From being asked to its end.
    pub took_ms: u64,
}

/// Where questions are written down.
pub trait Ledger: Send + Sync {
    /// Returns when it is written.
    ///
    /// # Errors
    /// Why it could not be, in words for the user.
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>>;
}

/// A ledger that forgets with the process: for tests, and for runs that keep no journal.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<Vec<QuestionRecord>>);

impl InMemory {
    /// What was written down so far.
    pub fn records(&self) -> Vec<QuestionRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ledger for InMemory {
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        async { Ok(()) }.boxed()
    }
}

/// The record of a question that has not ended. What was sent is written down even if nobody waits for the answer any
/// more: it was paid for.
pub(super) struct Draft {
    record: Option<QuestionRecord>,
    ledger: Arc<dyn Ledger>,
    began: Instant,
    /// When the attempt that is under way was sent.
    sent: Option<Instant>,
}

impl Draft {
    pub(super) fn new(record: QuestionRecord, ledger: Arc<dyn Ledger>) -> Self {
        Self { record: Some(record), ledger, began: Instant::now(), sent: None }
    }

    fn with(&mut self, change: impl FnOnce(&mut QuestionRecord)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    pub(super) fn queued(&mut self, waited: Duration) {
        self.with(|record| record.queued_ms += millis(waited));
    }

    /// An attempt begins; its number, counted from 1.
    pub(super) fn sending(&mut self, model: &str) -> u32 {
        self.sent = Some(Instant::now());
        self.with(|record| {
            record.attempts += 1;
            model.clone_into(&mut record.model);
        });
        self.attempts()
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, usage: Usage, first_event: Option<Instant>) {
        let sent = self.sent.take();
        self.with(|record| {
            record.usage += usage;
            record.first_token_ms =
                first_event.zip(sent).map(|(first, sent)| millis(first.saturating_duration_since(sent)));
        });
    }

    pub(super) fn answered_by(&mut self, model: &str) {
        self.with(|record| model.clone_into(&mut record.model));
    }

    pub(super) fn attempts(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.attempts)
    }

    pub(super) fn usage(&self) -> Usage {
        self.record.as_ref().map_or_else(Usage::default, |record| record.usage)
    }

    /// Writes it down.
    pub(super) async fn write(mut self, outcome: &str) -> Result<(), String> {
        let Some(record) = self.finished(outcome) else { return Ok(()) };
        let ledger = self.ledger.clone();
        // From here on the ledger has it, also if nobody waits for this to return.
        ledger.record(record).await
    }

    fn finished(&mut self, outcome: &str) -> Option<QuestionRecord> {
        let mut record = self.record.take()?;
        outcome.clone_into(&mut record.outcome);
        record.took_ms = millis(self.began.elapsed());
        Some(record)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.attempts() == 0 {
            return;
        }
        let in_flight = u32::from(self.sent.is_some());
        self.with(|record| record.usage.requests += in_flight);
        if let (Some(record), Ok(runtime)) = (self.finished("dropped"), Handle::try_current()) {
            let ledger = self.ledger.clone();
            // There is nobody left to tell of a failure.
            runtime.spawn(async move { ledger.record(record).await });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
