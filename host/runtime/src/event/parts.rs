//! What facts of many members tell.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::times::micros;
use crate::budget::Limit;
use crate::money::Usd;
use crate::question::Usage;

/// How an attempt at a question ended. What all of its attempts took adds up to what the question took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// At which question.
    pub question: u64,
    /// For which item.
    pub item: usize,
    /// As it was sent: counted from 1. A second try beside another has the number after it.
    pub attempt: u32,
    /// The model that answered; where none did, the one that was asked.
    pub model: String,
    /// The failure's kind; `superseded` where another attempt beside it was answered or given up first, `paused` where a
    /// pause broke it off, `dropped` where nobody waited for it any more; none: it was answered.
    pub failed: Option<Cow<'static, str>>,
    /// What it took, as far as it is known.
    pub usage: Usage,
    /// What it may have cost beyond that, at most.
    pub uncertain: Usd,
}

/// How a question ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Which.
    pub question: u64,
    /// For which item.
    pub item: usize,
    /// `model`, `cache`, `fallback`, the failure's kind, or `dropped` where nobody waited for the answer any more.
    pub by: String,
    /// The role that was asked.
    pub role: String,
    /// The model it was routed to, or that answered; empty where none was asked.
    pub model: String,
    /// The backend; empty where none was asked.
    pub backend: Cow<'static, str>,
    /// How often it was sent.
    pub attempts: u32,
    /// What it took, all attempts together, as far as it is known.
    pub usage: Usage,
    /// Whether a subscription pays for `model`: the dollars are then list price, and not billed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notional: bool,
    /// Who took what, where it was not all `model` at `backend`: attempts at another one failed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_model: Vec<Spent>,
    /// What attempts of which nobody knows what they took may have cost beyond that, at most.
    pub uncertain: Usd,
    /// How long it waited for admission, all attempts together.
    #[serde(with = "micros")]
    pub queued: Duration,
    /// From being asked to its end.
    #[serde(with = "micros")]
    pub took: Duration,
}

/// What a model took of a question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// The model.
    pub model: String,
    /// The backend that asked it.
    pub backend: Cow<'static, str>,
    /// Whether a subscription pays.
    pub notional: bool,
    /// As far as it is known.
    pub usage: Usage,
    /// What it may have cost beyond that, at most.
    pub uncertain: Usd,
}

/// Which run it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Its id.
    pub run: String,
    /// What the user ran.
    pub command: String,
    /// The subcommand, if the command has some.
    pub subcommand: Option<String>,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The project's folder.
    pub project: String,
    /// The mode: `safe`, `balanced`, `performance`.
    pub mode: String,
    /// The backends, as reports show them.
    pub backend: String,
    /// How many instances it may have at most.
    pub instances: usize,
    /// What it may cost at most, if that is bounded: with what it took before, where it goes on, and all runs of the process
    /// together, where there are several. What is left of it is in each [`Sample`].
    pub budget: Option<Usd>,
    /// When it began; before the stream did, where it goes on.
    pub started: Timestamp,
    /// Whether it goes on after it had stopped.
    pub continued: bool,
    /// The process.
    pub pid: u32,
}

/// How things stand at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The share of the processors in use, 0.0 to 1.0, if it is known.
    pub cpu: Option<f64>,
    /// The share of the memory in use, 0.0 to 1.0, if it is known.
    pub memory: Option<f64>,
    /// The accounts, by the name of their backend.
    pub accounts: Vec<AccountSample>,
    /// How many retries are left to all runs of the process together.
    pub retries_left: u32,
    /// The budgets that are limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetSample>,
}

impl Sample {
    /// Dollars that are left of this budget of the run; none: it is not known.
    pub fn usd_left(&self, budget: Usd) -> Option<Usd> {
        let standing = self.budgets.iter().find(|standing| standing.budget == Limit::Run.name())?;
        Some(budget - Usd::from_dollars(budget.dollars() * standing.spent))
    }
}

/// How a budget stands at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetSample {
    /// Its key under `[budget]`: `usd`, `usd_per_day`, `requests`…
    pub budget: Cow<'static, str>,
    /// The share that is spent, 0.0 to 1.0 and, where more was used than was reserved, beyond.
    pub spent: f64,
}

/// How an account stands at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountSample {
    /// The name of its backend.
    pub account: Cow<'static, str>,
    /// How many questions wait in its queue.
    pub waiting: usize,
    /// How many are in flight.
    pub in_flight: usize,
    /// How many may be.
    pub limit: usize,
    /// How many instances are idle.
    pub idle: usize,
    /// `closed`, `open` or `half-open`.
    pub breaker: Cow<'static, str>,
    /// What its quota has free, where it has one: requests, input tokens, output tokens a minute. Below zero where more was
    /// used than was reserved.
    pub free: [Option<i64>; 3],
}
