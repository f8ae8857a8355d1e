//! What a question is in, and for how long.

use std::time::Duration;

use serde::Serialize;

use super::Question;
use crate::event::micros;

/// What a question is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits, behind others or for what was not told.
    #[default]
    Queued,
    /// It waits for quota.
    Quota,
    /// As many are in flight as may be.
    Limit,
    /// It waits for an instance.
    Instance,
    /// Its account is left alone for a while.
    Breaker,
    /// The run is paused.
    Pause,
    /// Another one that shares its context goes first.
    Context,
    /// It was sent, and nothing has come back yet.
    Sent,
    /// Its answer is coming.
    Streaming,
    /// An attempt has failed, and the next one is not due yet.
    Retry,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Quota,
        Self::Limit,
        Self::Instance,
        Self::Breaker,
        Self::Pause,
        Self::Context,
        Self::Sent,
        Self::Streaming,
        Self::Retry,
    ];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::Instance => "instance",
            Self::Breaker => "breaker",
            Self::Pause => "pause",
            Self::Context => "context",
            Self::Sent => "sent",
            Self::Streaming => "streaming",
            Self::Retry => "retry",
        }
    }

    /// What a question waits for, by the reason that events give.
    pub fn waiting_for(reason: &str) -> Self {
        match reason {
            "quota" => Self::Quota,
            "limit" => Self::Limit,
            "instance" => Self::Instance,
            "breaker" => Self::Breaker,
            "pause" => Self::Pause,
            "context" => Self::Context,
            _ => Self::Queued,
        }
    }

    /// Whether it waits to be sent.
    pub const fn is_waiting(self) -> bool {
        !matches!(self, Self::Sent | Self::Streaming)
    }
}

/// A state, and since when. In JSON an array of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Since(pub State, #[serde(with = "micros")] pub Duration);

impl Question {
    /// What it was in, from when to when; `now`: what the last of one that has not ended goes up to.
    pub fn stretches(&self, now: Duration) -> impl Iterator<Item = (State, Duration, Duration)> + '_ {
        let ends = self.states.iter().skip(1).map(|Since(_, next)| *next).chain([self.to.unwrap_or(now)]);
        self.states.iter().zip(ends).map(|(Since(state, from), to)| (*state, *from, to.max(*from)))
    }

    /// For how long it was in a state.
    pub fn spent_in(&self, state: State, now: Duration) -> Duration {
        let stretches = self.stretches(now).filter(|(one, ..)| *one == state);
        stretches.map(|(_, from, to)| to.saturating_sub(from)).sum()
    }

    /// What it is in; none: it has ended, or nothing is known.
    pub fn state(&self) -> Option<State> {
        self.states.last().filter(|_| self.to.is_none()).map(|Since(state, _)| *state)
    }
}
