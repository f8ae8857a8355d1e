//! What is decided on. Every number says its unit; a share is 0.0 to 1.0; what is not known is none.

use serde::{Deserialize, Serialize};

use crate::decision::{Adapt, Admit, Kind, Recover, RouteTo, Size, Watch};
use crate::time::Now;

/// The user's mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Few at once, and careful.
    Safe,
    /// The default.
    #[default]
    Balanced,
    /// Many at once.
    Performance,
}

/// Which model, context and tools a question gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Not named.
    #[default]
    Auto,
    /// The fast and cheap one.
    Speed,
    /// The thorough and dear one.
    Comprehensive,
}

/// How a backend is judged by its last answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Well.
    #[default]
    Closed,
    /// Out of order: nothing is sent.
    Open,
    /// Being tried.
    HalfOpen,
}

/// How an account stands, and the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Questions in flight at this account, of this process.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Questions that wait for this account.
    pub waiting: u64,
    /// How its breaker stands.
    pub breaker: BreakerState,
    /// The share of attempts of the last minute that failed, those that were rate limited not counted.
    pub error_rate: f64,
    /// Attempts of the last minute that ended.
    pub ended: u64,
    /// Of those, how many had no answer in time.
    pub timeouts: u64,
    /// Of those, how many were rate limited.
    pub rate_limited: u64,
    /// The middle time from sending to the first sign of an answer, in milliseconds, over the last minute.
    pub first_token_ms: Option<u64>,
    /// The middle time from sending to the end, in milliseconds, over the last minute.
    pub latency_ms: Option<u64>,
    /// Answers a second, over the last minute.
    pub throughput: f64,
    /// The share of the processors that is free.
    pub cpu_free: Option<f64>,
    /// The share of the memory that is free: of the machine's, or of the cgroup's where that is tighter.
    pub memory_free: Option<f64>,
}

/// What a run has spent, and what it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spending {
    /// Dollars at list price that this run has spent.
    pub usd: f64,
    /// Dollars that are left of its tightest budget; none: there is no budget.
    pub usd_left: Option<f64>,
    /// Requests that were sent.
    pub requests: u64,
}

/// On which a command's workers are counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SizeFacts {
    /// When.
    pub now: Now,
    /// The user's mode.
    pub mode: Mode,
    /// What the user runs: `agent-audit`.
    pub command: String,
    /// Work items that are not cached.
    pub items: u64,
    /// Their groups; 0 where they are not dealt by group.
    pub groups: u64,
    /// The items that an instance is meant for.
    pub items_per_instance: u32,
    /// The most instances that the user's limits allow.
    pub most: u32,
    /// How the machine stands.
    pub load: Load,
    /// What the built-in policy would decide.
    pub built_in: Size,
}

/// On which a question's tier is chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteFacts {
    /// When.
    pub now: Now,
    /// The user's mode.
    pub mode: Mode,
    /// What the user runs.
    pub command: String,
    /// In which role it is asked: `code-reviewer`.
    pub role: String,
    /// The tier that its plugin named.
    pub asked: Tier,
    /// 0 to 9; higher goes first.
    pub priority: u8,
    /// Its input in tokens, estimated.
    pub input_tokens: u64,
    /// The longest answer that it asks for, in tokens; none: the tier's own.
    pub max_output_tokens: Option<u32>,
    /// How many of Claude's tools it wants.
    pub tools: u32,
    /// Whether its answer has a schema.
    pub schema: bool,
    /// Where it would go without any policy.
    pub otherwise: RouteTo,
    /// What was spent.
    pub spending: Spending,
    /// What the built-in policy would decide.
    pub built_in: RouteTo,
}

/// On which it is decided when a question may line up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdmitFacts {
    /// When.
    pub now: Now,
    /// The user's mode.
    pub mode: Mode,
    /// What the user runs.
    pub command: String,
    /// In which role it is asked.
    pub role: String,
    /// The tier that it goes to.
    pub tier: Tier,
    /// The model that it goes to.
    pub model: String,
    /// 0 to 9; higher goes first.
    pub priority: u8,
    /// The how manieth attempt it is, counted from 1.
    pub attempt: u32,
    /// For how long it has been told to wait so far, in milliseconds.
    pub waited_ms: u64,
    /// Its input in tokens, estimated.
    pub input_tokens: u64,
    /// The longest answer that it is allowed, in tokens.
    pub max_output_tokens: u32,
    /// What it takes at most, in dollars at list price; none: the price is not known.
    pub usd_most: Option<f64>,
    /// Since this run last admitted a question, in milliseconds; none: it is the first.
    pub since_last_ms: Option<u64>,
    /// How many this run admitted within the last minute.
    pub last_minute: u64,
    /// How the account stands.
    pub load: Load,
    /// What was spent.
    pub spending: Spending,
    /// What the built-in policy would decide.
    pub built_in: Admit,
}

/// On which it is decided what is done after a failure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecoverFacts {
    /// When.
    pub now: Now,
    /// The user's mode.
    pub mode: Mode,
    /// What the user runs.
    pub command: String,
    /// In which role it was asked.
    pub role: String,
    /// The tier that it went to.
    pub tier: Tier,
    /// The model that was asked.
    pub model: String,
    /// The name of the failure: `rate-limited`, `overloaded`, `server`, `network`, `timed-out`, `stalled`, `cut`…
    pub failure: String,
    /// What went wrong, in words. They may be anybody's.
    pub message: String,
    /// The how manieth failure of this model for this question, counted from 1.
    pub failures: u32,
    /// Whether the failure passes by itself.
    pub transient: bool,
    /// Whether nothing at this account will succeed until its owner does something.
    pub terminal: bool,
    /// Whether the question may be asked twice.
    pub repeatable: bool,
    /// Whether the model may have seen it.
    pub reached_model: bool,
    /// How long the server said to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether another model is left to be asked.
    pub has_next: bool,
    /// What is left of the process's retry budget.
    pub retries_left: u32,
    /// A random number, 0.0 to 1.0, for jitter.
    pub random: f64,
    /// How the account stands.
    pub load: Load,
    /// What was spent.
    pub spending: Spending,
    /// What the built-in policy would decide.
    pub built_in: Recover,
}

/// Why it is asked how much may be in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdaptCause {
    /// Time has passed.
    #[default]
    Tick,
    /// As many questions as may be in flight have been answered since the last change, and none was rate limited.
    CleanRound,
    /// One was rate limited.
    RateLimited,
    /// One failed at the server.
    ServerError,
    /// One had no answer in time.
    Timeout,
}

/// On which it is decided how much may be in flight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaptFacts {
    /// When.
    pub now: Now,
    /// The user's mode.
    pub mode: Mode,
    /// The account, by the name of its backend.
    pub account: String,
    /// What happened.
    pub cause: AdaptCause,
    /// The lowest limit there can be.
    pub least: u32,
    /// The highest that the user's limits allow.
    pub most: u32,
    /// Whether the limit is still being searched for by doubling.
    pub slow_start: bool,
    /// The most that were in flight since the last change, as a share of the limit.
    pub used: f64,
    /// Since the limit was last changed, in milliseconds.
    pub since_change_ms: Option<u64>,
    /// Since the last time that one was rate limited, in milliseconds.
    pub since_rate_limited_ms: Option<u64>,
    /// Since the last failure at the server, in milliseconds.
    pub since_server_error_ms: Option<u64>,
    /// How long the server said to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether it is treated as in safe mode already.
    pub safe: bool,
    /// How the account and the machine stand.
    pub load: Load,
    /// What the built-in policy would decide.
    pub built_in: Adapt,
}

/// On which it is decided whether an answer goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchFacts {
    /// When.
    pub now: Now,
    /// The user's mode.
    pub mode: Mode,
    /// What the user runs.
    pub command: String,
    /// In which role it was asked.
    pub role: String,
    /// The model that answers.
    pub model: String,
    /// Since it was sent, in milliseconds.
    pub elapsed_ms: u64,
    /// How much of the answer has come, in tokens, estimated.
    pub output_tokens: u64,
    /// The longest answer that it is allowed, in tokens.
    pub max_output_tokens: u32,
    /// How often it has used a tool.
    pub tool_calls: u32,
    /// The tool that it used last.
    pub last_tool: Option<String>,
    /// What it has taken so far, in dollars at list price, estimated; none: the price is not known.
    pub usd: Option<f64>,
    /// What the built-in policy would decide.
    pub built_in: Watch,
}

/// Facts of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "facts", rename_all = "kebab-case")]
pub enum Facts {
    /// For [`Policy::size`](crate::Policy::size).
    Size(SizeFacts),
    /// For [`Policy::route`](crate::Policy::route).
    Route(RouteFacts),
    /// For [`Policy::admit`](crate::Policy::admit).
    Admit(AdmitFacts),
    /// For [`Policy::recover`](crate::Policy::recover).
    Recover(RecoverFacts),
    /// For [`Policy::adapt`](crate::Policy::adapt).
    Adapt(AdaptFacts),
    /// For [`Policy::watch`](crate::Policy::watch).
    Watch(WatchFacts),
}

impl Facts {
    /// Which of the six decisions they are for.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Size(_) => Kind::Size,
            Self::Route(_) => Kind::Route,
            Self::Admit(_) => Kind::Admit,
            Self::Recover(_) => Kind::Recover,
            Self::Adapt(_) => Kind::Adapt,
            Self::Watch(_) => Kind::Watch,
        }
    }
}
