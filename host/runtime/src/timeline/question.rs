//! A question, and what became of it.

use std::time::Duration;

use serde::Serialize;

use super::{MOST_STATES, Since, State};
use crate::event::{micros, micros_or_none};
use crate::money::Usd;
use crate::question::{Tier, Usage};

/// An answer that had begun, and of which so long nothing came, has stalled.
pub const STALLED: Duration = Duration::from_secs(5);

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Question {
    /// Its number, which begins anew where a run is continued.
    pub question: u64,
    /// The place in [`Timeline::items`](super::Timeline::items) of the item it was asked for.
    pub item: Option<usize>,
    /// The role that was asked.
    pub role: String,
    /// The tier that it went to, where that was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The model it was sent to, or that answered; empty where there is none.
    pub model: String,
    /// The backend; empty where there is none.
    pub backend: String,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was first told of.
    #[serde(with = "micros")]
    pub from: Duration,
    /// When it ended, if it has. Of one that was never sent it need not be told: it ended with its item, without an `end`.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub to: Option<Duration>,
    /// What it was in, and since when: each until the next, the last until the end. See
    /// [`stretches`](Self::stretches).
    pub states: Vec<Since>,
    /// Why it was asked again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<Retry>,
    /// Whether it was asked a second time beside the first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hedged: bool,
    /// Output tokens a second, as last told, while its answer comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<u32>,
    /// When its answer was last heard, while it comes.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub heard: Option<Duration>,
    /// The last tool that was used, while its answer comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Until when it waits at least, while it does, where that is known.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub until: Option<Duration>,
    /// The times that nothing came of its answer for long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stalls: Vec<Stall>,
    /// What it came to, if it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl Question {
    /// What holds only for a while.
    pub(super) fn is_heard_no_more(&mut self) {
        (self.pace, self.heard, self.tool, self.until) = (None, None, None, None);
    }

    /// It is in this state from now on.
    pub(super) fn is_in(&mut self, state: State, at: Duration) {
        self.is_heard_no_more();
        if self.states.last().is_some_and(|Since(last, _)| *last == state) {
            return;
        }
        if self.states.len() < MOST_STATES {
            self.states.push(Since(state, at));
        }
    }
}

/// A question is asked again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retry {
    /// When that was decided.
    #[serde(with = "micros")]
    pub at: Duration,
    /// The kind of failure.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// After so long.
    #[serde(with = "micros")]
    pub wait: Duration,
}

/// An answer had begun, and nothing came of it for long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stall {
    /// When it was over.
    #[serde(with = "micros")]
    pub at: Duration,
    /// How long it lasted.
    #[serde(with = "micros")]
    pub lasted: Duration,
    /// The tool that was used before, which may have been at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

/// What a question came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct End {
    /// `model`, `cache`, `fallback`, the failure's kind, or `dropped`.
    pub by: String,
    /// What it took, all attempts together.
    pub usage: Usage,
    /// What it may have cost beyond that, at most.
    pub uncertain: Usd,
    /// How long it waited for admission.
    #[serde(with = "micros")]
    pub queued: Duration,
    /// From being asked to its end.
    #[serde(with = "micros")]
    pub took: Duration,
}
