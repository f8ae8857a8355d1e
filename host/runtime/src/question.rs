//! What is asked, what comes back, and how it can fail.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::AddAssign;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::money::Usd;
use crate::work::Edit;

/// Which kind of instance answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The route decides.
    #[default]
    Auto,
    /// A small, fast model.
    Speed,
    /// A large model, with more context and tools.
    Comprehensive,
}

impl Tier {
    /// The name in files, options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Speed => "speed",
            Self::Comprehensive => "comprehensive",
        }
    }
}

/// What a plugin asks Claude, for an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Who answers, in kebab case: `code-reviewer`.
    pub role: String,
    /// The instructions; none: those of the role.
    pub system: Option<String>,
    /// What is asked.
    pub prompt: String,
    /// A text that many questions of the run have in common. It goes before the prompt.
    pub context: Option<String>,
    /// The JSON Schema that the answer must fit; none: free text.
    pub schema: Option<Value>,
    /// Which kind of instance should answer.
    pub tier: Tier,
    /// Claude's tools that it needs.
    pub tools: Vec<String>,
    /// The longest answer, in tokens; none: the route's.
    pub max_output_tokens: Option<u32>,
    /// 0 to 9; higher goes first.
    pub priority: u8,
    /// Whether it may be sent again after a failure that may have reached the model, and be answered from the cache.
    pub repeatable: bool,
    /// The answer to use when no model can be had.
    pub fallback: Option<String>,
}

/// What was used, as the provider counted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Requests sent, retries included.
    pub requests: u32,
    /// Input tokens that were neither read from nor written to the provider's prompt cache.
    pub input_tokens: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's prompt cache.
    pub cache_write_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// The price of it all.
    pub usd: Usd,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.usd += other.usd;
    }
}

/// Who gave a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnsweredBy {
    /// The model of that name.
    Model(String),
    /// An earlier answer of that model to the same question.
    Cache(String),
    /// The question's own fallback, because no model was asked for or could be had; why.
    Fallback(String),
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// With a schema: JSON that fits it.
    pub text: String,
    /// Who gave it.
    pub by: AnsweredBy,
    /// What it took, failed attempts included.
    pub usage: Usage,
    /// Whether a fallback was used although a model should have answered. It makes the item's outcome `fallback`.
    pub unasked_fallback: bool,
    /// Whether that was a failure which passes by itself: asked later, a model may answer.
    pub passing: bool,
    /// What Claude's tools would change in the project: proposals of the item that asked.
    pub edits: Vec<Edit>,
}

/// A piece of an answer that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The first sign of the answer: the time to it is the instance's latency.
    Started,
    /// The next characters.
    Text(String),
    /// The model thinks: a sign of life that is no part of the answer.
    Thinking,
    /// What came so far is void: the question is asked again, and why.
    Restarted(String),
    /// A tool is used.
    Tool {
        /// The tool: `Read`.
        name: String,
        /// A digest of its input: equal for equal calls. See [`StreamEvent::tool`].
        input: u64,
    },
}

impl StreamEvent {
    /// That a tool is used. `input` is what it is given, as it stands in the answer.
    pub fn tool(name: impl Into<String>, input: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        Self::Tool { name: name.into(), input: hasher.finish() }
    }
}

/// How a question can fail. Each kind has one consequence, and [`retry`](crate::retry) and
/// [`breaker`](crate::breaker) know which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// 429: wait, at least so long as the server said.
    RateLimited,
    /// 529: the provider has too much to do.
    Overloaded,
    /// A session, weekly or spend limit is reached: nothing helps before it is reset, if that time is known.
    LimitReached {
        /// When it is reset.
        until: Option<Timestamp>,
    },
    /// A budget of the user's own can't pay the question: it is raised, or its day or month ends, before anything is sent.
    BudgetSpent,
    /// The key or login was rejected.
    Auth,
    /// The request is wrong: the same again fails the same.
    Invalid,
    /// The request is larger than the model takes.
    TooLarge,
    /// 500 and its like.
    Server,
    /// No connection, or it broke before an answer began.
    Network,
    /// No answer within the question's time.
    TimedOut,
    /// An answer began, then nothing came for too long.
    Stalled,
    /// The stream ended before the message did.
    Cut,
    /// The answer can't be read: not the protocol.
    Malformed,
    /// The answer doesn't fit its schema, also when asked again.
    OffSchema,
    /// The model would not answer.
    Refused,
    /// The answer repeats itself, or has no end.
    RanAway,
    /// The instance died.
    Died,
    /// There is no backend that could answer, and no fallback.
    NoModel,
    /// It is none of the questions that were recorded.
    NotRecorded,
    /// The secret scan stopped it, and the run with it.
    Secret,
    /// Something is needed that was not granted.
    Denied,
    /// A policy decided that it is not asked.
    NotAdmitted,
    /// What is done can't be written down any more: nothing more is paid for.
    Journal,
    /// The run is being stopped.
    Cancelled,
}

impl FailureKind {
    /// Nothing will succeed before somebody has done something: dispatch stops, the run parks or ends.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::LimitReached { .. } | Self::BudgetSpent | Self::Auth | Self::Secret | Self::Journal)
    }

    /// The same question may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Overloaded
                | Self::Server
                | Self::Network
                | Self::TimedOut
                | Self::Stalled
                | Self::Cut
                | Self::Malformed
                | Self::Died
        )
    }

    /// It says that the backend is unwell. A 429 does not: it is the limiter's to answer.
    pub fn trips_breaker(&self) -> bool {
        self.is_transient() && *self != Self::RateLimited
    }

    /// The name in reports and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RateLimited => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::LimitReached { .. } => "limit-reached",
            Self::BudgetSpent => "budget-spent",
            Self::Auth => "auth",
            Self::Invalid => "invalid",
            Self::TooLarge => "too-large",
            Self::Server => "server",
            Self::Network => "network",
            Self::TimedOut => "timed-out",
            Self::Stalled => "stalled",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::OffSchema => "off-schema",
            Self::Refused => "refused",
            Self::RanAway => "ran-away",
            Self::Died => "died",
            Self::NoModel => "no-model",
            Self::NotRecorded => "not-recorded",
            Self::Secret => "secret",
            Self::Denied => "denied",
            Self::NotAdmitted => "not-admitted",
            Self::Journal => "journal",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind decides what happens next.
    pub kind: FailureKind,
    /// What happened, for the user. Never holds a credential.
    pub message: String,
    /// How long the server wants to be left alone, at least.
    pub retry_after: Option<Duration>,
    /// What was used all the same, as far as it is known.
    pub usage: Option<Usage>,
    /// Whether the request may have reached the model, so that asking again may cost twice.
    pub reached_model: bool,
    /// The provider's limits, where the failing response told them.
    pub limits: Option<ProviderLimits>,
}

impl Failure {
    /// A failure of which no more is known than kind and message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, usage: None, reached_model: false, limits: None }
    }
}

/// One of the provider's limits, from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderLimit {
    /// The size of the bucket.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// When it will be full again.
    pub reset: Option<Timestamp>,
}

/// The provider's limits as a response told them: `anthropic-ratelimit-{requests,input-tokens,output-tokens}-*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Requests a minute.
    pub requests: Option<ProviderLimit>,
    /// Input tokens a minute.
    pub input_tokens: Option<ProviderLimit>,
    /// Output tokens a minute.
    pub output_tokens: Option<ProviderLimit>,
}
