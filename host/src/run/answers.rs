//! Who answers a run's questions: the broker, somebody in front of it, or nobody in a rehearsal.

use std::sync::{Arc, Mutex, PoisonError};

use convoke_runtime::backend::Request;
use convoke_runtime::broker::{Asker, Broker, Estimate};
use convoke_runtime::question::{AnsweredBy, Failure, FailureKind, Question, Reply, StreamEvent, Usage};
use convoke_runtime::route::Route;
use convoke_runtime::scan::{ScanMode, scan};
use futures::future::BoxFuture;

/// Who answers.
pub enum Answers {
    /// Somebody, for money.
    Broker(Box<Broker>),
    /// Somebody in front of the broker.
    Through(Box<Broker>, Arc<dyn Asks>),
    /// Nobody: what would be sent is kept, and each question gets its own fallback.
    Rehearsal(Box<Rehearsal>),
}

/// Who hears a run's questions before the broker does, and may ask it: a test of a plugin.
pub trait Asks: Send + Sync {
    /// Answers a question, as [`Broker::ask`] does.
    fn ask<'a>(
        &'a self,
        broker: &'a Broker,
        asker: &'a Asker,
        question: Question,
        listener: &'a mut (dyn FnMut(StreamEvent) + Send),
    ) -> BoxFuture<'a, Result<Reply, Failure>>;

    /// Whether an item that failed in a way that passes is done again when the others are done.
    fn does_again(&self) -> bool;
}

/// A run in which nothing is sent.
pub struct Rehearsal {
    broker: Broker,
    route: Route,
    scan: ScanMode,
    prompts: Mutex<Vec<Prompt>>,
}

/// A question as it would be sent.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// For which item.
    pub item: Arc<str>,
    /// Who would answer.
    pub role: String,
    /// The tier, and why it is that one.
    pub tier: (&'static str, String),
    /// Why it would not be sent: it needs a tool that is not granted.
    pub denied: Option<String>,
    /// After routing and scanning.
    pub request: Request,
    /// What it would take at most.
    pub estimate: Estimate,
}

impl Rehearsal {
    /// With a broker that knows the prices and is never asked.
    pub fn new(broker: Broker, route: Route, scan: ScanMode) -> Self {
        Self { broker, route, scan, prompts: Mutex::default() }
    }

    /// What would have been sent, in the order of the items' ids.
    pub fn prompts(&self) -> Vec<Prompt> {
        let mut prompts = self.prompts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        prompts.sort_by(|one, other| one.item.cmp(&other.item));
        prompts
    }

    fn ask(&self, asker: &Asker, question: Question) -> Result<Reply, Failure> {
        let estimate = self.broker.price_of(&asker.command, &question);
        let (tier, why) = self.broker.tier_of(&asker.command, &question);
        let mut request = self.route.request_at(tier, &question);
        // A rehearsal goes on: all that would stop the run is to be seen at once.
        scan(self.scan, &mut request).map_err(|failure| Failure { kind: FailureKind::Denied, ..failure })?;
        let denied = self.route.denial(tier, &question.tools);
        let tier = (tier.name(), why);
        let prompt = Prompt { item: asker.item_id.clone(), role: question.role, tier, denied, request, estimate };
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner).push(prompt);
        let reason = "a rehearsal asks nobody";
        match question.fallback {
            Some(text) => Ok(Reply {
                text,
                by: AnsweredBy::Fallback(reason.to_owned()),
                usage: Usage::default(),
                unasked_fallback: false,
                passing: false,
                edits: Vec::new(),
            }),
            None => Err(Failure::new(FailureKind::NoModel, format!("{reason}, and this question has no fallback"))),
        }
    }
}

impl Answers {
    /// Answers a question.
    ///
    /// # Errors
    /// As [`Broker::ask`].
    pub async fn ask(
        &self,
        asker: &Asker,
        question: Question,
        listener: &mut (dyn FnMut(StreamEvent) + Send),
    ) -> Result<Reply, Failure> {
        match self {
            Self::Broker(broker) => broker.ask(asker, question, listener).await,
            Self::Through(broker, asks) => asks.ask(broker, asker, question, listener).await,
            Self::Rehearsal(rehearsal) => rehearsal.ask(asker, question),
        }
    }

    /// The broker; in a rehearsal the one that is never asked.
    pub fn broker(&self) -> &Broker {
        match self {
            Self::Broker(broker) | Self::Through(broker, _) => broker,
            Self::Rehearsal(rehearsal) => &rehearsal.broker,
        }
    }

    /// Whether an item that failed in a way that passes is done again when the others are done.
    pub fn does_again(&self) -> bool {
        match self {
            Self::Through(_, asks) => asks.does_again(),
            Self::Broker(_) | Self::Rehearsal(_) => true,
        }
    }
}
