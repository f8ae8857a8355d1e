//! What was received, and what became of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::fault::Fault;

/// Tokens as the stand-in counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenCount {
    /// Input that was neither read from nor written to the prompt cache.
    pub input: u64,
    /// Input read from the prompt cache.
    pub cache_read: u64,
    /// Input written to the prompt cache.
    pub cache_write: u64,
    /// Output that was sent.
    pub output: u64,
}

impl AddAssign for TokenCount {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.output += other.output;
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is being answered.
    Open,
    /// It was answered to the end.
    Answered,
    /// It was turned away with this status, by the stand-in's own rules.
    Rejected {
        /// The status.
        status: u16,
        /// The error type: `rate_limit_error`.
        kind: String,
    },
    /// A fault was ordered for it.
    Faulted(Fault),
    /// The client went away, or the stand-in was shut down, before the answer was complete.
    Abandoned,
}

/// A request to `POST /v1/messages`.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// When it came, from the start of the stand-in.
    pub since_start: Duration,
    /// Path and query.
    pub target: String,
    /// Its headers in lower case, without the credential.
    pub headers: Vec<(String, String)>,
    /// The header that a credential came in: `x-api-key` or `authorization`.
    pub credential: Option<&'static str>,
    /// The body; null when it was not JSON.
    pub body: Arc<Value>,
    /// From when it came until the last of its answer was handed on; zero where that never was.
    pub took: Duration,
    /// What became of it.
    pub outcome: Outcome,
    /// What it took.
    pub tokens: TokenCount,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Sums over all requests to `POST /v1/messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests received.
    pub requests: u64,
    /// Answered to the end.
    pub answered: u64,
    /// Turned away by the stand-in's own rules (quota, credential, shape), by status.
    pub rejected: BTreeMap<u16, u64>,
    /// Met by a fault on order.
    pub faulted: u64,
    /// Given up by the client.
    pub abandoned: u64,
    /// In flight now.
    pub in_flight: u64,
    /// The most that were in flight at once.
    pub max_in_flight: u64,
    /// Tokens of all of them.
    pub tokens: TokenCount,
}

#[derive(Debug)]
pub(crate) struct Log {
    stats: Stats,
    kept: VecDeque<Received>,
    keep: usize,
}

impl Log {
    pub(crate) fn new(keep: usize) -> Self {
        Self { stats: Stats::default(), kept: VecDeque::new(), keep }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats.clone()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.kept.iter().cloned().collect()
    }

    /// Counts a request in, and gives its number.
    pub(crate) fn enter(&mut self) -> u64 {
        self.stats.requests += 1;
        self.stats.in_flight += 1;
        self.stats.max_in_flight = self.stats.max_in_flight.max(self.stats.in_flight);
        self.stats.requests
    }

    pub(crate) fn keeps(&self) -> bool {
        self.keep > 0
    }

    pub(crate) fn keep(&mut self, received: Received) {
        if self.kept.len() >= self.keep {
            self.kept.pop_front();
        }
        // Numbers are dealt before a body is read, so requests can come here in another order.
        let place = self.kept.partition_point(|other| other.number < received.number);
        self.kept.insert(place, received);
    }

    /// The last of its answer was handed on so long after the start of the stand-in.
    pub(crate) fn answered(&mut self, number: u64, since_start: Duration) {
        if let Some(received) = self.find(number) {
            received.took = since_start.saturating_sub(received.since_start);
        }
    }

    pub(crate) fn add_tokens(&mut self, number: u64, tokens: TokenCount) {
        self.stats.tokens += tokens;
        if let Some(received) = self.find(number) {
            received.tokens += tokens;
        }
    }

    pub(crate) fn leave(&mut self, number: u64, outcome: Outcome) {
        self.stats.in_flight -= 1;
        match &outcome {
            Outcome::Answered => self.stats.answered += 1,
            Outcome::Rejected { status, .. } => *self.stats.rejected.entry(*status).or_default() += 1,
            Outcome::Faulted(_) => self.stats.faulted += 1,
            Outcome::Abandoned | Outcome::Open => self.stats.abandoned += 1,
        }
        if let Some(received) = self.find(number) {
            received.outcome = outcome;
        }
    }

    fn find(&mut self, number: u64) -> Option<&mut Received> {
        let place = self.kept.binary_search_by_key(&number, |received| received.number).ok()?;
        self.kept.get_mut(place)
    }
}
