//! What is written down of a question.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::decide::DecisionRecord;
use super::hedge::Beside;
use crate::backend::Backend;
use crate::event::{AttemptEnd, Events, Fact, Settled, Spent};
use crate::money::Usd;
use crate::question::{Tier, Usage};

/// How many models without a price are remembered: an instance names itself, and may name itself anything.
const MOST_UNPRICED: usize = 64;

/// How many models are told apart, for the same reason; the others are counted together.
const MOST_MODELS: usize = 64;

/// What the others are called.
const OTHERS: &str = "other models";

/// In whose name a question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The command: commands share instances fairly.
    pub command: Arc<str>,
    /// The item, by its number in the run.
    pub item: usize,
    /// The item's id.
    pub item_id: Arc<str>,
    /// Whether the item is done again because it failed before: its questions have had their attempts.
    pub again: bool,
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
    /// The tier it was meant for: never `auto`.
    pub tier: Tier,
    /// The tier whose model answered; none: no model did in this run.
    pub answered_tier: Option<Tier>,
    /// The model it was routed to, or that answered; empty where none was asked.
    pub model: String,
    /// The backend.
    pub backend: &'static str,
    /// How often it was sent.
    pub attempts: u32,
    /// How often it was asked again after a failure.
    pub retries: u32,
    /// `model`, `cache`, `fallback`, the failure's kind, or `dropped` where nobody waited for the answer any more.
    pub outcome: String,
    /// What it took, all attempts together, as far as it is known.
    pub usage: Usage,
    /// Whether a subscription pays for `model`: the dollars are then list price, and not billed.
    pub is_notional: bool,
    /// The attempts that may have reached a model, and of which nobody knows what they took.
    pub unmetered: u32,
    /// What those and others that broke off may have cost beyond the usage, at most. It counts as spent.
    pub uncertain: Usd,
    /// Who took what of it, where it was not all `model` at `backend`: attempts at another one failed before.
    pub shares: Vec<ModelSpending>,
    /// What went wrong with its attempts, by the failures' kinds, and how often.
    pub failures: Vec<(&'static str, u32)>,
    /// How long was waited between its attempts, without the waiting for admission.
    pub backed_off_ms: u64,
    /// How long it waited for admission, all attempts together.
    pub queued_ms: u64,
    /// From sending to the first sign of the answer, of the last attempt.
    pub first_token_ms: Option<u64>,
    /// From being asked to its end.
    pub took_ms: u64,
}

/// What questions have taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spending {
    /// As far as it is known.
    pub usage: Usage,
    /// What may have been spent beyond that, at most.
    pub uncertain: Usd,
    /// The same for each model that answered, or was asked where none did, and its backend; by their names.
    pub by_model: Vec<ModelSpending>,
}

/// What a model has taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSpending {
    /// The model.
    pub model: String,
    /// The backend that asked it.
    pub backend: &'static str,
    /// Whether a subscription pays: the dollars are then list price, and not billed.
    pub is_notional: bool,
    /// As far as it is known.
    pub usage: Usage,
    /// What may have been spent beyond that, at most.
    pub uncertain: Usd,
}

/// Where questions are written down.
pub trait Ledger: Send + Sync {
    /// Returns when it is written. Once polled, it is written also if the future is dropped.
    ///
    /// # Errors
    /// Why it could not be, in words for the user.
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>>;

    /// Writes down what a policy decided. Does nothing where decisions are not kept.
    ///
    /// # Errors
    /// Why it could not be, in words for the user.
    fn decided(&self, _decision: DecisionRecord) -> BoxFuture<'_, Result<(), String>> {
        std::future::ready(Ok(())).boxed()
    }
}

/// A ledger that forgets with the process: for tests, and for runs that keep no journal.
#[derive(Debug, Default)]
pub struct InMemory {
    records: Mutex<Vec<QuestionRecord>>,
    decisions: Mutex<Vec<DecisionRecord>>,
}

impl InMemory {
    /// What was written down so far.
    pub fn records(&self) -> Vec<QuestionRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was decided so far.
    pub fn decisions(&self) -> Vec<DecisionRecord> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ledger for InMemory {
    fn record(&self, record: QuestionRecord) -> BoxFuture<'_, Result<(), String>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        async { Ok(()) }.boxed()
    }

    fn decided(&self, decision: DecisionRecord) -> BoxFuture<'_, Result<(), String>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
        async { Ok(()) }.boxed()
    }
}

/// What a broker writes down and tells.
pub(super) struct Books {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) events: Events,
    spent: Mutex<Spending>,
    /// The models without a known price, and whether that was said.
    unpriced: Mutex<BTreeMap<String, bool>>,
    /// Whether it was said that decisions can't be written down.
    pub(super) unwritten: AtomicBool,
}

impl Books {
    pub(super) fn new(ledger: Arc<dyn Ledger>, events: Events) -> Self {
        Self { ledger, events, spent: Mutex::default(), unpriced: Mutex::default(), unwritten: AtomicBool::new(false) }
    }

    pub(super) async fn tell(&self, fact: Fact) {
        self.events.tell(fact).await;
    }

    pub(super) async fn warn(&self, message: String) {
        self.tell(Fact::Warned { message }).await;
    }

    pub(super) fn spent(&self) -> Usage {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).usage
    }

    pub(super) fn spending(&self) -> Spending {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn spend(&self, attempts: Vec<ModelSpending>) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        for mut attempt in attempts {
            spent.usage += attempt.usage;
            spent.uncertain += attempt.uncertain;
            let place_of = |spent: &Spending, new: &ModelSpending| {
                spent.by_model.binary_search_by(|one| (&*one.model, one.backend).cmp(&(&*new.model, new.backend)))
            };
            if place_of(&spent, &attempt).is_err() && spent.by_model.len() >= MOST_MODELS {
                OTHERS.clone_into(&mut attempt.model);
            }
            match place_of(&spent, &attempt) {
                Ok(place) => {
                    spent.by_model[place].usage += attempt.usage;
                    spent.by_model[place].uncertain += attempt.uncertain;
                }
                Err(place) => spent.by_model.insert(place, attempt),
            }
        }
    }

    pub(super) fn has_no_price(&self, model: &str) {
        let mut unpriced = self.unpriced.lock().unwrap_or_else(PoisonError::into_inner);
        if !unpriced.contains_key(model) && unpriced.len() < MOST_UNPRICED {
            unpriced.insert(model.to_owned(), false);
        }
    }

    /// A model without a known price is said once.
    async fn warn_of_prices(&self) {
        let news: Vec<String> = {
            let mut unpriced = self.unpriced.lock().unwrap_or_else(PoisonError::into_inner);
            let unsaid = unpriced.iter_mut().filter(|(_, said)| !**said);
            unsaid
                .map(|(model, said)| {
                    *said = true;
                    model.clone()
                })
                .collect()
        };
        for model in news {
            self.warn(format!("the price of {model} is not known: what it takes is not in the dollars shown")).await;
        }
    }

    /// Tells how attempts ended.
    pub(super) async fn tell_ends(&self, ends: Vec<AttemptEnd>) {
        for end in ends {
            self.tell(Fact::AttemptEnded(Box::new(end))).await;
        }
    }

    /// Writes down a question that has ended, then tells it.
    async fn close(&self, mut record: QuestionRecord, attempts: Vec<ModelSpending>, item: usize) {
        record.is_notional = attempts.iter().any(|one| record.is_its(one) && one.is_notional);
        record.shares = shares(&record, &attempts);
        let settled = Settled {
            question: record.id,
            item,
            by: record.outcome.clone(),
            role: record.role.clone(),
            model: record.model.clone(),
            backend: record.backend.into(),
            attempts: record.attempts,
            usage: record.usage,
            notional: record.is_notional,
            by_model: record.shares.iter().map(Spent::of).collect(),
            uncertain: record.uncertain,
            queued: Duration::from_millis(record.queued_ms),
            took: Duration::from_millis(record.took_ms),
        };
        let usd = record.usage.usd;
        self.spend(attempts);
        let name = record.item.clone();
        if let Err(error) = self.ledger.record(record).await {
            // The answer is paid for: it is not thrown away because the ledger is full.
            self.warn(format!("{name}: the ledger lacks a question of {usd}: {error}")).await;
        }
        self.warn_of_prices().await;
        self.tell(Fact::QuestionSettled(Box::new(settled))).await;
    }
}

/// Who took what of a question, where it was not all its model.
fn shares(record: &QuestionRecord, attempts: &[ModelSpending]) -> Vec<ModelSpending> {
    let mut shares: Vec<ModelSpending> = Vec::new();
    if attempts.iter().all(|one| record.is_its(one)) {
        return shares;
    }
    for one in attempts {
        match shares.iter_mut().find(|share| share.model == one.model && share.backend == one.backend) {
            Some(share) => {
                share.usage += one.usage;
                share.uncertain += one.uncertain;
            }
            None => shares.push(one.clone()),
        }
    }
    shares
}

impl QuestionRecord {
    fn is_its(&self, one: &ModelSpending) -> bool {
        one.model == self.model && one.backend == self.backend
    }
}

impl Spent {
    fn of(one: &ModelSpending) -> Self {
        let ModelSpending { model, backend, is_notional, usage, uncertain } = one.clone();
        Self { model, backend: backend.into(), notional: is_notional, usage, uncertain }
    }
}

/// The record of a question that has not ended. What was sent is written down even if nobody waits for the answer any
/// more: it was paid for.
pub(super) struct Draft {
    record: Option<QuestionRecord>,
    item: usize,
    books: Arc<Books>,
    began: Instant,
    /// When the attempt that is under way was sent.
    sent: Option<Instant>,
    /// Its number.
    number: u32,
    /// What that attempt may cost at most.
    reserved: Usd,
    /// Whether a subscription pays for it.
    is_notional: bool,
    /// What each attempt took.
    ended: Vec<ModelSpending>,
    /// A second try beside the attempt.
    beside: Option<Arc<Mutex<Beside>>>,
    /// The attempts of which it is not told yet how they ended.
    untold: Vec<AttemptEnd>,
}

/// What became of an attempt when another one beside it was the first to come to an end.
const SUPERSEDED: &str = "superseded";

impl Draft {
    pub(super) fn new(record: QuestionRecord, item: usize, books: Arc<Books>) -> Self {
        Self {
            record: Some(record),
            item,
            books,
            began: Instant::now(),
            sent: None,
            number: 0,
            reserved: Usd::ZERO,
            is_notional: false,
            ended: Vec::new(),
            beside: None,
            untold: Vec::new(),
        }
    }

    fn with(&mut self, change: impl FnOnce(&mut QuestionRecord)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    pub(super) fn queued(&mut self, waited: Duration) {
        self.with(|record| record.queued_ms += millis(waited));
    }

    /// The attempt that has just ended has failed so.
    pub(super) fn failed(&mut self, kind: &'static str) {
        self.came_to(kind);
        self.with(|record| match record.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => record.failures.push((kind, 1)),
        });
    }

    /// The attempt that has just ended was overtaken by the one beside it.
    pub(super) fn superseded(&mut self) {
        self.came_to(SUPERSEDED);
    }

    /// The attempt that has just ended was broken off by a pause.
    pub(super) fn paused(&mut self) {
        self.came_to("paused");
    }

    fn came_to(&mut self, what: &'static str) {
        if let Some(end) = self.untold.last_mut() {
            end.failed = Some(what.into());
        }
    }

    /// The attempts that have ended since this was asked.
    pub(super) fn news(&mut self) -> Vec<AttemptEnd> {
        std::mem::take(&mut self.untold)
    }

    /// It is asked again after a failure.
    pub(super) fn retried(&mut self) {
        self.with(|record| record.retries += 1);
    }

    /// So long was waited before the next attempt.
    pub(super) fn backed_off(&mut self, wait: Duration) {
        self.with(|record| record.backed_off_ms = record.backed_off_ms.saturating_add(millis(wait)));
    }

    /// An attempt begins, that may cost so much; its number, counted from 1.
    pub(super) fn sending(&mut self, backend: &dyn Backend, model: &str, reserved: Usd) -> u32 {
        self.reserved = reserved;
        self.is_notional = backend.is_subscription();
        self.sent = Some(Instant::now());
        self.with(|record| {
            record.attempts += 1;
            record.backend = backend.name();
            model.clone_into(&mut record.model);
        });
        self.number = self.attempts();
        self.number
    }

    /// An attempt has ended; `bill`: what it counts as, none for all that was reserved; `metered`: the usage is all that
    /// it took, as far as anybody can tell.
    pub(super) fn ended(
        &mut self,
        model: &str,
        usage: Usage,
        bill: Option<Usd>,
        metered: bool,
        first_event: Option<Instant>,
    ) {
        let uncertain = bill.unwrap_or(self.reserved) - usage.usd;
        if usage != Usage::default() || uncertain != Usd::ZERO {
            let backend = self.record.as_ref().map_or("", |record| record.backend);
            let (model, is_notional) = (model.to_owned(), self.is_notional);
            self.ended.push(ModelSpending { model, backend, is_notional, usage, uncertain });
        }
        let sent = self.sent.take();
        if sent.is_some()
            && let Some(record) = &self.record
        {
            let (model, attempt) = (model.to_owned(), self.number);
            let end =
                AttemptEnd { question: record.id, item: self.item, attempt, model, failed: None, usage, uncertain };
            self.untold.push(end);
        }
        self.with(|record| {
            record.usage += usage;
            record.unmetered += u32::from(!metered);
            record.uncertain += uncertain;
            record.first_token_ms =
                first_event.zip(sent).map(|(first, sent)| millis(first.saturating_duration_since(sent)));
        });
    }

    /// Where it is noted what becomes of a second try beside the attempt: it counts also if nobody waits for its end.
    pub(super) fn beside(&mut self) -> Arc<Mutex<Beside>> {
        self.beside.get_or_insert_default().clone()
    }

    /// A second try beside the attempt is over. What it took nobody knows, unless it has failed.
    pub(super) fn beside_is_over(&mut self) {
        let Some(beside) = self.beside.take() else { return };
        let mut beside = beside.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reserved) = beside.reserved.take() else { return };
        let ended = beside.ended.take();
        let is_told = ended.is_some();
        let (usage, bill) = ended.unwrap_or((Usage { requests: 1, ..Usage::default() }, None));
        let uncertain = bill.unwrap_or(reserved) - usage.usd;
        let (backend, model) = self.record.as_ref().map_or(("", ""), |record| (record.backend, record.model.as_str()));
        let (model, is_notional) = (model.to_owned(), self.is_notional);
        if !is_told && let Some(record) = &self.record {
            let (attempt, model, failed) = (record.attempts + 1, model.clone(), Some(SUPERSEDED.into()));
            let end = AttemptEnd { question: record.id, item: self.item, attempt, model, failed, usage, uncertain };
            self.untold.push(end);
        }
        self.ended.push(ModelSpending { model, backend, is_notional, usage, uncertain });
        self.with(|record| {
            record.attempts += 1;
            record.usage += usage;
            record.unmetered += u32::from(bill.is_none());
            record.uncertain += uncertain;
        });
    }

    pub(super) fn answered_by(&mut self, model: &str) {
        self.with(|record| model.clone_into(&mut record.model));
    }

    pub(super) fn answered_at(&mut self, tier: Tier) {
        self.with(|record| record.answered_tier = Some(tier));
    }

    pub(super) fn attempts(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.attempts)
    }

    pub(super) fn usage(&self) -> Usage {
        self.record.as_ref().map_or_else(Usage::default, |record| record.usage)
    }

    /// Writes it down, and tells it.
    pub(super) async fn write(mut self, outcome: &str) {
        let (books, item) = (self.books.clone(), self.item);
        let untold = self.news();
        if let Some(record) = self.finished(outcome) {
            books.tell_ends(untold).await;
            books.close(record, std::mem::take(&mut self.ended), item).await;
        }
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
        self.beside_is_over();
        if self.sent.is_some() {
            let model = self.record.as_ref().map(|record| record.model.clone()).unwrap_or_default();
            self.ended(&model, Usage { requests: 1, ..Usage::default() }, None, false, None);
            self.came_to("dropped");
        }
        let untold = self.news();
        if let (Some(record), Ok(runtime)) = (self.finished("dropped"), Handle::try_current()) {
            let (books, item, ended) = (self.books.clone(), self.item, std::mem::take(&mut self.ended));
            runtime.spawn(async move {
                books.tell_ends(untold).await;
                books.close(record, ended, item).await;
            });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
