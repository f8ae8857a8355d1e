//! Where the policy is asked: which tier a question goes to, when it may line up, whether its answer goes on.
//!
//! Each decision is told and written down, except that an answer goes on. What waits for a policy holds nothing, and is
//! decided again when another policy is put in force.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::*;
use crate::policy::{
    Admit, AdmitFacts, Decided, Decision, Facts, RouteFacts, RouteTo, Watch, WatchFacts, builtin, words,
};
use crate::policy::{Spending as SpendingFacts, Tier as TierFact};
use crate::question::Tier;
use crate::route::BYTES_PER_TOKEN;

/// The longest name that is among the facts, in bytes. Roles and commands are a plugin's words.
const LONGEST_NAME: usize = 128;

/// An answer is looked at no more often.
const WATCHED_EVERY: Duration = Duration::from_millis(200);

/// An answer is looked at as often where nothing comes of it; and as often it is told why a question waits.
pub(super) const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// A decision, for the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRecord {
    /// For which question, by its number in the process; none: for the run.
    pub question: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// The name of the policy.
    pub policy: Arc<str>,
    /// Its generation.
    pub generation: u64,
    /// What it was decided on.
    pub facts: Facts,
    /// What was decided.
    pub decision: Decision,
}

/// A decision that was made and not told yet.
pub(super) type Noted = (Facts, Decided);

/// Where a question goes first.
pub(super) struct Routed {
    /// Never `auto`.
    pub(super) tier: Tier,
    /// Why, in a few words.
    pub(super) why: String,
    /// Whose decision it was; none: the user's, or nobody can be asked.
    pub(super) noted: Option<Noted>,
}

impl Broker {
    /// The tier that a question of a command would go to first, and why, in a few words: `it needs tools`. For the plan.
    pub fn tier_of(&self, command: &str, question: &Question) -> (Tier, String) {
        let Routed { tier, why, .. } = self.route(command, question);
        (tier, why)
    }

    /// Routes a question: the user's word goes before any policy.
    pub(super) fn route(&self, command: &str, question: &Question) -> Routed {
        let route = &self.config.route;
        let (tier, why) = route.decide(question);
        if !self.is_by_policy || route.is_users() || self.config.tape.is_some() {
            return Routed { tier, why, noted: None };
        }
        let slot = self.lanes.policy();
        let policy = slot.in_force();
        let text = question.system.as_ref().map_or(0, String::len)
            + question.context.as_ref().map_or(0, String::len)
            + question.prompt.len();
        let mut facts = RouteFacts {
            now: self.config.clock.now(),
            mode: self.mode(),
            command: name(command),
            role: name(&question.role),
            asked: fact(question.tier),
            priority: question.priority,
            input_tokens: (text as u64).div_ceil(BYTES_PER_TOKEN),
            max_output_tokens: question.max_output_tokens,
            tools: u32::try_from(question.tools.len()).unwrap_or(u32::MAX),
            schema: question.schema.is_some(),
            spending: self.spending_facts(),
            otherwise: RouteTo::tier(fact(tier), why),
            built_in: RouteTo::default(),
        };
        facts.built_in = builtin::route(&policy.profile.route, &facts);
        let otherwise = tier;
        let facts = Facts::Route(facts);
        let decided = slot.decide(&policy, &facts);
        let (tier, why) = match (&decided.decision, &facts) {
            (Decision::Route(RouteTo { tier: TierFact::Auto, .. }), Facts::Route(RouteFacts { built_in, .. })) => {
                (meant(built_in.tier).unwrap_or(otherwise), built_in.reason.clone())
            }
            (Decision::Route(to), _) => (meant(to.tier).unwrap_or(otherwise), to.reason.clone()),
            // The slot sees to it that kinds are the same.
            _ => (otherwise, String::new()),
        };
        // A tier that lacks its tools could not answer it: no policy can lose a question so.
        let is_denied = |tier| route.denial(tier, &question.tools).is_some();
        let (tier, why) = match is_denied(tier) && !is_denied(otherwise) {
            true => (otherwise, format!("the tier {} does not grant its tools", tier.name())),
            false => (tier, why),
        };
        Routed { tier, why, noted: Some((facts, decided)) }
    }

    /// Returns when the policy lets a question line up.
    ///
    /// # Errors
    /// It does not, or dispatch stops.
    pub(super) async fn let_in(&self, life: &Life<'_>, tier: Tier, request: &Request) -> Result<(), Failure> {
        if !self.is_by_policy {
            return Ok(());
        }
        let began = Instant::now();
        // Waiting on for the same reason is told once, and for reasons that keep changing once a second.
        let mut told: Option<(u64, String, Instant)> = None;
        loop {
            let (facts, decided) = self.decide_admission(life, tier, request, began);
            let generation = decided.generation;
            match decided.decision.clone() {
                Decision::Admit(Admit::Later { wait_ms, reason }) => {
                    let is_news = |(by, why, at): &(u64, String, Instant)| {
                        *by != generation || (*why != reason && at.elapsed() >= LOOKED_AT_EVERY)
                    };
                    if told.as_ref().is_none_or(is_news) {
                        self.note(Some(life.id), facts, &decided).await;
                        told = Some((generation, reason, Instant::now()));
                    }
                    tokio::select! {
                        biased;
                        failure = self.stopping() => return Err(failure),
                        () = self.lanes.policy().changed(generation) => {}
                        () = sleep(Duration::from_millis(wait_ms)) => {}
                    }
                }
                Decision::Admit(Admit::Never { reason }) => {
                    let message = match decided.by.as_ref() {
                        crate::policy::BUILT_IN => format!("the policy lets it not be asked: {reason}"),
                        by => format!("the policy {by} lets it not be asked: {reason}"),
                    };
                    self.note(Some(life.id), facts, &decided).await;
                    return Err(Failure::new(FailureKind::NotAdmitted, message));
                }
                _ => {
                    self.note(Some(life.id), facts, &decided).await;
                    return Ok(());
                }
            }
        }
    }

    /// Decides and counts in one: of many at the same time each sees those before it.
    fn decide_admission(&self, life: &Life<'_>, tier: Tier, request: &Request, began: Instant) -> Noted {
        let slot = self.lanes.policy();
        let lane = self.lanes.lane(self.config.route.of(tier).backend);
        let (input_tokens, max_output_tokens) = (estimated_input_tokens(request), request.max_output_tokens);
        let usd_most = self.config.prices.at_most(&request.model, input_tokens, max_output_tokens.into(), false);
        let (load, spending) = (lane.admission.load(), self.spending_facts());
        let mut recent = self.lanes.recent();
        let policy = slot.in_force();
        let now = Instant::now();
        let mut facts = AdmitFacts {
            now: self.config.clock.now(),
            mode: self.mode(),
            command: name(&life.asker.command),
            role: name(&life.question.role),
            tier: fact(tier),
            model: name(&request.model),
            priority: life.question.priority,
            attempt: life.draft.attempts().saturating_add(1),
            waited_ms: millis(now.saturating_duration_since(began)),
            input_tokens,
            max_output_tokens,
            usd_most: usd_most.map(Usd::dollars),
            since_last_ms: recent.since_last(now).map(millis),
            last_minute: recent.last_minute(now),
            load,
            spending,
            built_in: Admit::Now,
        };
        facts.built_in = builtin::admit(&policy.profile.admit, &facts);
        let facts = Facts::Admit(facts);
        let decided = slot.decide(&policy, &facts);
        if decided.decision == Decision::Admit(Admit::Now) {
            recent.admitted(now);
        }
        (facts, decided)
    }

    /// Tells a decision and writes it down.
    pub(super) async fn note(&self, question: Option<u64>, facts: Facts, decided: &Decided) {
        self.books.note(question, facts, decided).await;
    }

    pub(super) fn spending_facts(&self) -> SpendingFacts {
        let spent = self.books.spent();
        let usd_left = self.lanes.budget().usd_left().map(Usd::dollars);
        SpendingFacts { usd: spent.usd.dollars(), usd_left, requests: spent.requests.into() }
    }
}

/// Looks at an answer while it comes.
pub(super) struct Overseer<'a> {
    broker: &'a Broker,
    life: (Arc<str>, String),
    model: String,
    max_output_tokens: u32,
    input_tokens: u64,
    sent: Instant,
    state: Mutex<Seen>,
}

/// What was seen of an answer.
#[derive(Default)]
struct Seen {
    bytes: u64,
    tool_calls: u32,
    last_tool: Option<String>,
    first: Option<Instant>,
    asked: Option<Instant>,
    killed: Option<(Noted, String)>,
}

impl<'a> Overseer<'a> {
    pub(super) fn new(broker: &'a Broker, asker: &Asker, role: &str, request: &Request, sent: Instant) -> Self {
        Self {
            broker,
            life: (asker.command.clone(), name(role)),
            model: name(&request.model),
            max_output_tokens: request.max_output_tokens,
            input_tokens: estimated_input_tokens(request),
            sent,
            state: Mutex::default(),
        }
    }

    /// Hears a part of it; the policy is asked if it is time.
    pub(super) fn hears(&self, event: &StreamEvent, now: Instant) {
        let mut seen = self.seen();
        seen.first.get_or_insert(now);
        match event {
            StreamEvent::Text(text) => seen.bytes += text.len() as u64,
            StreamEvent::Tool { name: tool, .. } => {
                seen.tool_calls = seen.tool_calls.saturating_add(1);
                seen.last_tool = Some(name(tool));
            }
            StreamEvent::Restarted(_) => {
                *seen = Seen { first: seen.first, asked: seen.asked, killed: seen.killed.take(), ..Seen::default() }
            }
            StreamEvent::Started | StreamEvent::Thinking => {}
        }
        self.asks(&mut seen, now);
    }

    /// Asks the policy where nothing comes.
    pub(super) fn looks(&self, now: Instant) {
        self.asks(&mut self.seen(), now);
    }

    /// Why it is ended, if it is.
    pub(super) fn killed(&self) -> Option<String> {
        self.seen().killed.as_ref().map(|(_, message)| message.clone())
    }

    /// When the first of it came.
    pub(super) fn first(&self) -> Option<Instant> {
        self.seen().first
    }

    /// The decision that ended it.
    pub(super) fn into_noted(self) -> Option<Noted> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).killed.map(|(noted, _)| noted)
    }

    fn asks(&self, seen: &mut Seen, now: Instant) {
        let early = seen.asked.is_some_and(|asked| now.saturating_duration_since(asked) < WATCHED_EVERY);
        if early || seen.killed.is_some() || !self.broker.is_by_policy {
            return;
        }
        seen.asked = Some(now);
        let slot = self.broker.lanes.policy();
        let policy = slot.in_force();
        if !policy.is_foreign() && !policy.profile.watch.is_set() {
            return;
        }
        let config = &self.broker.config;
        let output_tokens = seen.bytes.div_ceil(BYTES_PER_TOKEN);
        let usd = config.prices.at_most(&self.model, self.input_tokens, output_tokens, false);
        let mut facts = WatchFacts {
            now: config.clock.now(),
            mode: self.broker.mode(),
            command: name(&self.life.0),
            role: self.life.1.clone(),
            model: self.model.clone(),
            elapsed_ms: millis(now.saturating_duration_since(self.sent)),
            output_tokens,
            max_output_tokens: self.max_output_tokens,
            tool_calls: seen.tool_calls,
            last_tool: seen.last_tool.clone(),
            usd: usd.map(Usd::dollars),
            built_in: Watch::GoOn,
        };
        facts.built_in = builtin::watch(&policy.profile.watch, &facts);
        let facts = Facts::Watch(facts);
        let decided = slot.decide(&policy, &facts);
        if let Decision::Watch(Watch::Kill { reason }) = &decided.decision {
            let message = format!("the policy {} ended the answer of {}: {reason}", decided.by, self.model);
            seen.killed = Some(((facts, decided), message));
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Tells a decision and writes it down; that an answer goes on is neither.
    pub(super) async fn note(&self, question: Option<u64>, facts: Facts, decided: &Decided) {
        if decided.decision == Decision::Watch(Watch::GoOn) {
            return;
        }
        self.tell(Fact::Decided {
            question,
            kind: facts.kind().name().into(),
            policy: decided.by.to_string(),
            generation: decided.generation,
            decision: words(&decided.decision),
            reason: decided.decision.reason().to_owned(),
        })
        .await;
        let (policy, generation, decision) = (decided.by.clone(), decided.generation, decided.decision.clone());
        let record = DecisionRecord { question, at: Timestamp::now(), policy, generation, facts, decision };
        if let Err(error) = self.ledger.decided(record).await
            && !self.unwritten.swap(true, Ordering::Relaxed)
        {
            self.warn(format!("what the policy decides can't be written down: {error}")).await;
        }
    }
}

pub(super) fn fact(tier: Tier) -> TierFact {
    match tier {
        Tier::Auto => TierFact::Auto,
        Tier::Speed => TierFact::Speed,
        Tier::Comprehensive => TierFact::Comprehensive,
    }
}

/// None: `auto`.
fn meant(tier: TierFact) -> Option<Tier> {
    match tier {
        TierFact::Auto => None,
        TierFact::Speed => Some(Tier::Speed),
        TierFact::Comprehensive => Some(Tier::Comprehensive),
    }
}

/// A name of bounded length.
pub(super) fn name(text: &str) -> String {
    let mut end = text.len().min(LONGEST_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
