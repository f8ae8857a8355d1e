//! The life of one question: `route → cache → scan → queue → admit → send → watch → settle`.
//!
//! [`Broker::ask`] is the one way to a model. It owns failures: a backend reports one, and here is decided whether the
//! question is asked again, gets its own fallback, or fails. Nothing is held while it waits, in the queue or between
//! attempts; dropping the future at any point gives everything back.

mod adapt;
mod attempt;
mod config;
mod decide;
mod hedge;
mod lanes;
mod leader;
mod live;
mod pace;
mod pay;
mod recent;
mod record;
mod recover;
mod remember;
mod reply;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::admission::{AdmissionConfig, Admitted, Applicant, Standing, Why};
use crate::backend::{Answer, Backend, Listener, Profile, Request};
use crate::budget::{Amount, Budget};
use crate::cache::{Cache, Cached, Found, Key};
use crate::cassette::{Asked, Tape};
use crate::event::{Events, Fact};
use crate::money::Usd;
use crate::policy::Slot;
use crate::policy::builtin::Profile as Numbers;
use crate::prices::Prices;
use crate::question::{AnsweredBy, Failure, FailureKind, Question, Reply, StreamEvent, Tier, Usage};
use crate::quota::Cost;
use crate::quota::scoped::{self, ScopedQuotas};
use crate::responses::Responses;
use crate::retry::RetryConfig;
use crate::route::{Candidate, Route, estimated_input_tokens};
use crate::scan::{ScanMode, find};
use crate::schema::{Checker, Schemas};
use crate::shared::{Shared, SharedLimits};
use crate::watch::WatchConfig;

pub use adapt::Meter;
use attempt::{Attempt, Tries};
pub use config::{BrokerConfig, Estimate};
pub use decide::DecisionRecord;
use decide::Routed;
use hedge::Hedges;
use lanes::Lane;
pub use lanes::{Lanes, LanesConfig};
pub use leader::{KEPT_FOR, LEAST_CONTEXT_TOKENS};
use leader::{Turn, context_tokens};
use live::Live;
pub use record::{Asker, InMemory, Ledger, ModelSpending, QuestionRecord, Spending};
use record::{Books, Draft};
use reply::{corrected_prompt, fallback, from_cache};

/// Asks the backends, for all commands of a run.
pub struct Broker {
    lanes: Arc<Lanes>,
    books: Arc<Books>,
    config: BrokerConfig,
    cache: Cache,
    schemas: Schemas,
    next_id: AtomicU64,
    hedges: Hedges,
    /// Whether it was said that a cheaper model is asked than was wished.
    is_thrifty: AtomicBool,
    /// Whether a policy has a say: not where nobody can be asked, nor in a replay, which repeats what was.
    is_by_policy: bool,
    /// What can be changed while it asks.
    live: Live,
    /// Answers that are being kept for later runs.
    keeping: TaskTracker,
}

/// A question under way.
struct Life<'a> {
    id: u64,
    asker: &'a Asker,
    question: &'a Question,
    draft: Draft,
    /// The tier that it goes to first.
    tier: Tier,
    /// What was decided on its way, and is told when that holds nothing up.
    noted: Vec<decide::Noted>,
    /// Its turn among those that share its context, while it is sent.
    turn: Option<Turn>,
    /// Whether its answer is what anybody who asks the same later should get.
    memorable: bool,
}

/// A model that gave no answer.
struct Lost {
    failure: Failure,
    /// Whether the next one is asked, if that was decided.
    next: Option<bool>,
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Self { failure, next: None }
    }
}

impl Broker {
    /// For these backends, at least one, which nobody else asks; the [`Route`] names them by their places. Must be used
    /// inside of one tokio runtime.
    pub fn new(backends: Vec<Arc<dyn Backend>>, ledger: Arc<dyn Ledger>, events: Events, config: BrokerConfig) -> Self {
        let own = || Arc::new(Slot::new(Numbers { recover: config.retry, ..Numbers::default() }, events.clone()));
        let policy = config.policy.clone().unwrap_or_else(own);
        let shared = LanesConfig {
            admission: config.admission,
            budget: config.budget.clone(),
            seed: config.seed,
            policy,
            shared: config.shared.clone().unwrap_or_else(|| Shared::local(SharedLimits::default())),
            quotas: config.quotas.clone(),
        };
        Self::sharing(Lanes::new(backends, shared), ledger, events, config)
    }

    /// For backends that other runs ask too. What [`Lanes`] hold is theirs, whatever `config` says of it.
    pub fn sharing(lanes: Arc<Lanes>, ledger: Arc<dyn Ledger>, events: Events, config: BrokerConfig) -> Self {
        let books = Arc::new(Books::new(ledger, events));
        lanes.listen(&books);
        let keeping = TaskTracker::new();
        // What is spawned is tracked all the same; now one can wait until there is nothing.
        keeping.close();
        Self {
            keeping,
            is_by_policy: lanes.is_by_policy(),
            lanes,
            books,
            cache: Cache::new(config.cache_bytes),
            schemas: Schemas::default(),
            next_id: AtomicU64::new(1),
            hedges: Hedges::default(),
            is_thrifty: AtomicBool::new(false),
            live: Live::of(&config),
            config,
        }
    }

    /// Asks a question, and returns when its answer is checked and what it took is in the ledger.
    ///
    /// Where no model gives an answer, the reply is the question's own fallback and says why. The listener hears the
    /// answer while it comes, and [`StreamEvent::Restarted`] before it begins anew.
    ///
    /// # Errors
    /// No model gave an answer and the question has no fallback; a secret or a missing grant stopped it; or dispatch
    /// has stopped: then all who wait and all who come get the failure that stopped it, whatever fallback they have.
    pub async fn ask(&self, asker: &Asker, question: Question, listener: Listener<'_>) -> Result<Reply, Failure> {
        let Routed { tier, noted, .. } = self.route(&asker.command, &question);
        let mut life = self.begin(asker, &question, tier);
        if let Some((facts, decided)) = noted {
            self.note(Some(life.id), facts, &decided).await;
        }
        let result = self.answer(&mut life, listener).await;
        self.end(life, result).await
    }

    async fn answer(&self, life: &mut Life<'_>, listener: Listener<'_>) -> Result<Reply, Failure> {
        let question = life.question;
        let checker = self.checker(question)?;
        let mut candidates = self.config.route.candidates_from(life.tier, question);
        candidates.retain(|candidate| self.lane(candidate).backend.has_model());
        let Some(first) = candidates.first() else {
            let failure = Failure::new(FailureKind::NoModel, "offline: no model was asked");
            return fallback(question, checker.as_ref(), failure, false, Usage::default(), listener);
        };
        if let Some(stopped) = self.failure() {
            return Err(stopped);
        }
        let answered = if question.repeatable {
            match self.cache.look_up(Key::of(&first.request)).await {
                Found::Landed(Ok(cached)) => return Ok(from_cache(&cached, listener)),
                Found::Landed(Err(failure)) => Err(failure),
                Found::Send(flight) => {
                    let key = self.lasting_key(first);
                    if let Some(cached) = self.recall(key, checker.as_ref()).await.map(Arc::new) {
                        flight.land(Ok(cached.clone()));
                        return Ok(from_cache(&cached, listener));
                    }
                    let answered = self.ask_models(life, candidates, checker.as_ref(), listener).await.map(Arc::new);
                    if let Ok(answer) = &answered {
                        self.remember(life, key, answer);
                    }
                    flight.land(answered.clone());
                    answered
                }
            }
        } else {
            self.ask_models(life, candidates, checker.as_ref(), listener).await.map(Arc::new)
        };
        match answered {
            Ok(answer) => {
                let Cached { text, model, edits } = Arc::unwrap_or_clone(answer);
                Ok(Reply {
                    text,
                    by: AnsweredBy::Model(model),
                    usage: life.draft.usage(),
                    unasked_fallback: false,
                    passing: false,
                    edits,
                })
            }
            // Where dispatch has stopped, no fallback hides it.
            Err(failure) if self.failure().is_some_and(|stopped| stopped.kind == failure.kind) => Err(failure),
            Err(failure) => fallback(question, checker.as_ref(), failure, true, life.draft.usage(), listener),
        }
    }

    /// Asks those who may answer, and records what came of it. A replay asks the first: what all of them came to is
    /// recorded under it.
    async fn ask_models(
        &self,
        life: &mut Life<'_>,
        mut candidates: Vec<Candidate>,
        checker: Option<&Checker>,
        listener: Listener<'_>,
    ) -> Result<Cached, Failure> {
        if candidates.first().is_some_and(|first| self.lane(first).backend.replays()) {
            candidates.truncate(1);
        }
        let taped = self.config.tape.as_ref().zip(candidates.first().map(|first| first.request.clone()));
        let result = self.ask_each(life, candidates, checker, listener).await;
        if let Some((tape, request)) = taped {
            let (role, usage) = (life.question.role.as_str(), life.draft.usage());
            tape.note(&Asked { id: life.id, asker: life.asker, role, request: &request, usage }, result.as_ref());
        }
        result
    }

    /// Asks one candidate after the other, until one answers or fails in a way that the next would too.
    async fn ask_each(
        &self,
        life: &mut Life<'_>,
        candidates: Vec<Candidate>,
        checker: Option<&Checker>,
        listener: Listener<'_>,
    ) -> Result<Cached, Failure> {
        let mut left = candidates.into_iter();
        let mut lost = None;
        while let Some(candidate) = left.next() {
            let is_last = left.as_slice().is_empty();
            let cheaper = || left.as_slice().iter().find(|other| self.payable(other).is_ok());
            let other = cheaper();
            if let (Some(other), Err(why)) = (other, self.payable(&candidate)) {
                self.pass_over(&candidate, &why, other).await;
                life.memorable = false;
                continue;
            }
            if let Some(Failure { kind, message, .. }) = lost.take() {
                let reason = format!("{message}; {} is asked instead", candidate.request.model);
                self.restart(life, (kind.name(), reason), Duration::ZERO, listener).await;
            }
            let tier = candidate.tier;
            match self.ask_model(life, candidate, (is_last, other.is_none()), checker, listener).await {
                Err(Lost { failure, .. }) if failure.kind == FailureKind::BudgetSpent && self.failure().is_none() => {
                    if cheaper().is_none() {
                        return Err(self.stop(failure).await);
                    }
                    life.memorable = false;
                    lost = Some(failure);
                }
                Err(Lost { failure, next }) if !is_last && next.unwrap_or_else(|| self.moves_on(life, &failure)) => {
                    // Another model's answer is good for this question, not for the next one.
                    life.memorable = false;
                    lost = Some(failure);
                }
                Ok(cached) => {
                    life.draft.answered_at(tier);
                    return Ok(cached);
                }
                Err(Lost { failure, .. }) => return Err(failure),
            }
        }
        Err(lost.unwrap_or_else(|| Failure::new(FailureKind::NoModel, "there is nobody to ask")))
    }

    /// Whether another model may do better, where no policy was asked: nothing was sent.
    fn moves_on(&self, life: &Life<'_>, failure: &Failure) -> bool {
        let passing = failure.kind.is_transient() || failure.kind == FailureKind::NoModel;
        passing && (life.question.repeatable || !failure.reached_model) && self.failure().is_none()
    }

    /// Sends until there is an answer that fits, or a failure that stays. `is_last`: whether nobody else can be asked;
    /// `is_cheapest`: whether nobody else can be paid.
    async fn ask_model(
        &self,
        life: &mut Life<'_>,
        candidate: Candidate,
        (is_last, is_cheapest): (bool, bool),
        checker: Option<&Checker>,
        listener: Listener<'_>,
    ) -> Result<Cached, Lost> {
        let lane = self.lane(&candidate);
        let mut request = candidate.request;
        self.scan(life, &mut request).await?;
        if let Some(message) = self.config.route.denial(candidate.tier, &request.tools) {
            return Err(Failure::new(FailureKind::Denied, message).into());
        }
        let profile = Arc::new(lane.backend.profile(&request));
        let mut corrected = false;
        let mut tries = Tries { failures: 0, tier: candidate.tier, is_last, replays: lane.backend.replays() };
        loop {
            self.let_in(life, candidate.tier, &request).await?;
            let admitted = self.admit_in_turn(life, lane, &request, &profile, is_cheapest).await?;
            let attempt = self.send(life, lane, admitted, &request, &mut tries, listener).await;
            // Who has failed leads no more: the next goes ahead while this one waits.
            life.turn = None;
            match attempt {
                Attempt::Answered(answer) => match self.fits(life, answer, checker).await {
                    Ok(cached) => return Ok(cached),
                    Err(failure) if corrected || !life.question.repeatable || lane.backend.replays() => {
                        return Err(failure.into());
                    }
                    Err(failure) => {
                        corrected = true;
                        life.draft.failed(failure.kind.name());
                        self.restart(life, (failure.kind.name(), failure.message.clone()), Duration::ZERO, listener)
                            .await;
                        request.prompt = corrected_prompt(&request, &failure.message);
                        // What is wrong is said in the words of the answer.
                        self.scan(life, &mut request).await?;
                    }
                },
                Attempt::Again { wait, kind, reason } => {
                    self.restart(life, (kind, reason), wait, listener).await;
                    self.back_off(wait).await?;
                    life.draft.backed_off(wait);
                }
                Attempt::BrokenOff => listener(StreamEvent::Restarted("the run was paused".to_owned())),
                Attempt::Lost(failure, next) => return Err(Lost { failure, next }),
            }
        }
    }

    async fn scan(&self, life: &mut Life<'_>, request: &mut Request) -> Result<(), Failure> {
        if self.scan_mode() == ScanMode::Strict && !request.tools.is_empty() {
            let message = "tools are not used in the strict mode: choose another mode for this command";
            return Err(Failure::new(FailureKind::Denied, message));
        }
        let mode = self.scan_mode();
        let found = find(mode, request);
        let refusal = found.refusal(mode);
        if !found.is_empty() {
            let became = match (mode, &refusal) {
                (_, Some(_)) => "refused",
                (ScanMode::Standard, None) => "redacted",
                (_, None) => "sent",
            };
            let (kinds, places) = (found.kinds(), found.places());
            let fact =
                Fact::SecretFound { question: life.id, item: life.asker.item, kinds, places, became: became.into() };
            self.books.tell(fact).await;
        }
        if let Some(failure) = refusal {
            let message = format!("{}: {}", life.asker.item_id, failure.message);
            return Err(self.stop(Failure { message, ..failure }).await);
        }
        if let Some(warning) = found.warning() {
            life.memorable = false;
            self.books.warn(format!("{}: {warning}", life.asker.item_id)).await;
        }
        Ok(())
    }

    /// None: the run was paused meanwhile, and nothing is held.
    async fn admit(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        request: &Request,
        profile: &Arc<Profile>,
        last: bool,
    ) -> Result<Option<Admitted>, Failure> {
        let most = self.most(lane, request);
        let quotas = self.quotas_of(life, lane, request);
        let dollars = quotas.iter().any(|quota| quota.usd.is_some());
        self.can_be_bounded(most, request, dollars).map_err(|why| Failure::new(FailureKind::BudgetSpent, why))?;
        let (role, tier) = (life.question.role.clone(), life.tier);
        self.books.tell(Fact::QuestionQueued { question: life.id, item: life.asker.item, role, tier }).await;
        let applicant = self.applicant(life, lane, request, profile.clone(), last);
        let queued = Instant::now();
        let (question, item) = (life.id, life.asker.item);
        let say = |why: Why| self.waits(question, item, why.reason, why.lasts());
        let admitted = tokio::select! {
            biased;
            () = self.pause().begins() => None,
            admitted = lane.admission.admit_saying(applicant, say) => Some(admitted?),
        };
        life.draft.queued(queued.elapsed());
        if admitted.is_some() {
            self.lanes.tell_changes().await;
        }
        // What was let in at the same moment goes back.
        Ok(admitted.filter(|_| !self.pause().is_paused()))
    }

    /// Who lines up for a question, with all that it takes.
    fn applicant(
        &self,
        life: &Life<'_>,
        lane: &Lane,
        request: &Request,
        profile: Arc<Profile>,
        last: bool,
    ) -> Applicant {
        let cost = Cost {
            requests: 1,
            input_tokens: estimated_input_tokens(request),
            output_tokens: u64::from(request.max_output_tokens),
        };
        let cached = life.turn.as_ref().filter(|turn| !turn.leads()).map_or(0, |_| context_tokens(request));
        Applicant {
            command: life.asker.command.clone(),
            run: self.config.run.clone(),
            share: cost.input_tokens.saturating_sub(cached).saturating_add(cost.output_tokens),
            priority: life.question.priority,
            cost,
            most: self.most(lane, request).amount,
            last,
            quotas: self.quotas_of(life, lane, request),
            profile,
        }
    }

    /// The user's quotas that a question takes from.
    fn quotas_of(&self, life: &Life<'_>, lane: &Lane, request: &Request) -> ScopedQuotas {
        let command = &*life.asker.command;
        let asking = scoped::Asking {
            backend: lane.backend.name(),
            account: lane.backend.account(),
            model: &request.model,
            command,
            plugin: if self.config.plugin.is_empty() { command } else { &self.config.plugin },
        };
        scoped::matching(self.lanes.quotas(), &asking).into()
    }

    /// Tells everybody that the question is asked again.
    async fn restart(
        &self,
        life: &mut Life<'_>,
        (kind, reason): (&'static str, String),
        wait: Duration,
        listener: Listener<'_>,
    ) {
        listener(StreamEvent::Restarted(reason.clone()));
        life.draft.retried();
        self.books
            .tell(Fact::QuestionRetried { question: life.id, item: life.asker.item, kind: kind.into(), reason, wait })
            .await;
    }

    /// Waits, unless dispatch stops.
    async fn back_off(&self, wait: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = sleep(wait) => Ok(()),
            failure = self.stopping() => Err(failure),
        }
    }

    /// Returns when dispatch stops, and why.
    async fn stopping(&self) -> Failure {
        let mut stopped = self.stopped();
        if let Ok(failure) = stopped.wait_for(Option::is_some).await
            && let Some(failure) = failure.clone()
        {
            return failure;
        }
        // The broker is gone, and nobody asks.
        std::future::pending().await
    }

    fn begin<'a>(&self, asker: &'a Asker, question: &'a Question, tier: Tier) -> Life<'a> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let record = QuestionRecord {
            id,
            run: self.config.run.clone(),
            item: asker.item_id.clone(),
            role: question.role.clone(),
            tier,
            answered_tier: None,
            model: String::new(),
            backend: "",
            attempts: 0,
            retries: 0,
            outcome: String::new(),
            usage: Usage::default(),
            is_notional: false,
            unmetered: 0,
            uncertain: Usd::ZERO,
            shares: Vec::new(),
            failures: Vec::new(),
            backed_off_ms: 0,
            queued_ms: 0,
            first_token_ms: None,
            took_ms: 0,
        };
        let draft = Draft::new(record, asker.item, self.books.clone());
        Life { id, asker, question, draft, tier, noted: Vec::new(), turn: None, memorable: true }
    }

    /// Writes down what became of a question, then tells it.
    async fn end(&self, life: Life<'_>, result: Result<Reply, Failure>) -> Result<Reply, Failure> {
        let by = match &result {
            Ok(Reply { by: AnsweredBy::Model(_), .. }) => "model",
            Ok(Reply { by: AnsweredBy::Cache(_), .. }) => "cache",
            Ok(Reply { by: AnsweredBy::Fallback(_), .. }) => "fallback",
            Err(failure) => failure.kind.name(),
        };
        let usage = life.draft.usage();
        life.draft.write(by).await;
        result.map_err(|failure| Failure { usage: Some(usage), ..failure })
    }

    fn lane(&self, candidate: &Candidate) -> &Lane {
        self.lanes.lane(candidate.backend)
    }

    /// Why dispatch has stopped, if it has.
    fn failure(&self) -> Option<Failure> {
        self.lanes.failure()
    }

    fn checker(&self, question: &Question) -> Result<Option<Checker>, Failure> {
        question.schema.as_ref().map(|schema| self.schemas.checker(schema)).transpose()
    }

    /// Why dispatch has stopped, once it has: a limit is reached, or the key was rejected.
    pub fn stopped(&self) -> watch::Receiver<Option<Failure>> {
        self.lanes.stopped()
    }

    /// Sends no more: those who wait, and those who come, get this failure; what is under way ends.
    pub async fn halt(&self, failure: Failure) {
        self.stop(failure).await;
    }

    /// What all questions that have ended took, as far as it is known.
    pub fn spent(&self) -> Usage {
        self.books.spent()
    }

    /// The same with what nobody knows, and by model.
    pub fn spending(&self) -> Spending {
        self.books.spending()
    }

    /// The budget that all questions are paid from. What has ended until now is settled.
    pub fn budget(&self) -> &Budget {
        self.lanes.settle();
        self.lanes.budget()
    }

    /// How the queue, the breaker, the quota and the instances of each backend stand.
    pub fn standing(&self) -> Vec<(&'static str, Standing)> {
        self.lanes.standing()
    }

    /// Ends the idle instances, and waits until they have ended: nobody asks any more.
    pub async fn close(&self) {
        self.remembered().await;
        self.lanes.close().await;
    }

    /// What this run shares with others.
    pub fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }
}
