//! What came to nothing on the way of a run: kept for its report, beside the journal.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::broker::QuestionRecord;
use convoke_runtime::event::Fact;
use convoke_runtime::journal::{AttemptRow, Became};
use convoke_runtime::work::Outcome;
use jiff::Timestamp;

use super::shared::{End, Shared};
use crate::report::{AttemptEnd, AttemptInfo, FailureCount, QuestionsInfo};

/// So many attempts of an item are kept. No policy has an item tried more often.
const MOST_ATTEMPTS: usize = 64;

/// The attempts that came to nothing, and the questions that were asked for them.
#[derive(Debug, Default)]
pub struct Tried(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By the number of the item.
    attempts: HashMap<usize, Vec<AttemptInfo>>,
    /// By the id of the item.
    questions: HashMap<Arc<str>, Questions>,
}

#[derive(Debug, Default)]
struct Questions {
    asked: u32,
    sent: u32,
    waited_ms: u64,
    failures: BTreeMap<&'static str, u32>,
}

/// An attempt that came to nothing, and the item is tried again or stays pending.
pub struct Nothing {
    /// The item's number.
    pub item: usize,
    /// Which attempt at it this was, counted from 1.
    pub attempt: u32,
    /// Who had it.
    pub worker: usize,
    /// What became of it.
    pub became: Became,
    /// Why.
    pub reason: String,
    /// What its plugin wrote.
    pub log: String,
    /// How long it was in hands.
    pub took: Duration,
}

impl Tried {
    /// Counts a question that has ended.
    pub fn asked(&self, record: &QuestionRecord) {
        let mut inner = self.inner();
        let of_item = inner.questions.entry(record.item.clone()).or_default();
        of_item.asked += 1;
        of_item.sent += record.attempts;
        of_item.waited_ms += record.backed_off_ms;
        for (kind, count) in &record.failures {
            *of_item.failures.entry(kind).or_default() += count;
        }
    }

    /// The attempts at an item that came to nothing so far.
    pub fn of(&self, item: usize) -> Vec<AttemptInfo> {
        self.inner().attempts.get(&item).cloned().unwrap_or_default()
    }

    /// What the questions of the item with that id came to; none where it asked none.
    pub fn questions(&self, id: &str) -> Option<QuestionsInfo> {
        let inner = self.inner();
        let of_item = inner.questions.get(id)?;
        let mut failures: Vec<FailureCount> = of_item
            .failures
            .iter()
            .map(|(kind, count)| FailureCount { kind: (*kind).to_owned(), count: *count })
            .collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        let Questions { asked, sent, waited_ms, .. } = *of_item;
        Some(QuestionsInfo { asked, sent, waited_ms, failures })
    }

    fn add(&self, item: usize, attempt: AttemptInfo) {
        let mut inner = self.inner();
        let of_item = inner.attempts.entry(item).or_default();
        if of_item.len() < MOST_ATTEMPTS {
            of_item.push(attempt);
        }
    }

    fn reopened(&self, item: usize, attempt: AttemptInfo) {
        let mut inner = self.inner();
        let of_item = inner.attempts.entry(item).or_default();
        if of_item.last().is_some_and(|last| last.became == AttemptEnd::Failed && last.number == attempt.number) {
            of_item.pop();
        }
        drop(inner);
        self.add(item, attempt);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// An attempt has come to nothing: it is written down, and the item is told to be given back. Whoever waits for an
    /// item is to be woken after that.
    pub async fn came_to_nothing(&self, nothing: Nothing, told: String) {
        let Nothing { item, attempt, worker, became, reason, log, took } = nothing;
        let id = self.board().item(item).map(|item| item.id.clone()).unwrap_or_default();
        self.tried.add(item, info(attempt, worker, became.into(), reason.clone(), took));
        let row = AttemptRow {
            item: id,
            number: attempt,
            worker: Some(worker),
            became,
            reason,
            log,
            took,
            ended: Timestamp::now(),
        };
        if let Err(error) = self.journal.record_attempt(&self.run, row).await {
            let message = format!("an attempt that came to nothing could not be written down: {error}");
            self.events.tell(Fact::Warned { message }).await;
        }
        self.events.tell(Fact::ItemReturned { worker, item, reason: told }).await;
    }

    /// An item had ended, and is done again: its end becomes an attempt, unless it is one of those already.
    pub(super) fn note_reopened(&self, item: usize, attempts: u32, was: &Outcome, why: &str) {
        let reason = match was.reason() {
            Some(reason) => format!("{}: {reason}; {why}", was.name()),
            None => format!("{}; {why}", was.name()),
        };
        let attempt =
            AttemptInfo { number: attempts.max(1), worker: None, became: AttemptEnd::Again, reason, took_ms: 0 };
        self.tried.reopened(item, attempt);
    }

    /// An item has ended in a worker's hands: where it failed, the report names this attempt too.
    pub(super) fn note_last_attempt(&self, worker: Option<usize>, end: &End) {
        if let (Some(worker), Outcome::Failed(reason)) = (worker, &end.outcome) {
            self.tried.add(end.number, info(end.attempts, worker, AttemptEnd::Failed, reason.clone(), end.took));
        }
    }
}

fn info(number: u32, worker: usize, became: AttemptEnd, reason: String, took: Duration) -> AttemptInfo {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    AttemptInfo { number, worker: u64::try_from(worker).ok(), became, reason, took_ms }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::money::Usd;
    use convoke_runtime::question::{Tier, Usage};

    use super::*;

    fn record(item: &str, attempts: u32, backed_off_ms: u64, failures: Vec<(&'static str, u32)>) -> QuestionRecord {
        QuestionRecord {
            id: 1,
            run: "run".into(),
            item: item.into(),
            role: String::new(),
            tier: Tier::Speed,
            answered_tier: None,
            model: String::new(),
            backend: "anthropic",
            attempts,
            retries: 0,
            outcome: "server".to_owned(),
            usage: Usage::default(),
            is_notional: false,
            unmetered: 0,
            uncertain: Usd::ZERO,
            shares: Vec::new(),
            failures,
            backed_off_ms,
            queued_ms: 0,
            first_token_ms: None,
            took_ms: 0,
        }
    }

    #[test]
    fn what_the_questions_of_an_item_came_to_adds_up_and_the_most_frequent_failure_is_first() {
        let tried = Tried::default();
        tried.asked(&record("a", 4, 1_500, vec![("died", 1), ("server", 3)]));
        tried.asked(&record("a", 2, 500, vec![("server", 2)]));
        tried.asked(&record("b", 1, 0, vec![]));
        let count = |kind: &str, count| FailureCount { kind: kind.to_owned(), count };
        let failures = vec![count("server", 5), count("died", 1)];
        assert_eq!(tried.questions("a"), Some(QuestionsInfo { asked: 2, sent: 6, waited_ms: 2_000, failures }));
        assert_eq!(tried.questions("c"), None);
    }
}
