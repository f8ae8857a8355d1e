//! The picture that the events of a run make: who did what when, what each question waited for, and what it came to.
//!
//! A [`Timeline`] is a fold of events and of nothing else: no clock, no files. Pages, the terminal and a dashboard draw
//! it, so that they can't disagree. It hears an event in constant time, and is bounded however long a run is: beyond the
//! bounds things are counted, and no longer kept one by one ([`LeftOut`]).
//!
//! Written as JSON all times are microseconds since the first stream of the run began. The page's scripts
//! (`host/src/page/assets/timeline.js`) know the same fold; a test compares the two.

mod asking;
pub mod bottleneck;
mod hear;
mod question;
mod state;
#[cfg(test)]
mod tests;
pub mod timesheet;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;

use crate::event::{RunFacts, Sample, micros, micros_or_none};
use crate::levels::Level;
use crate::money::Usd;
use crate::question::Usage;
use crate::work::{Census, Outcome, Status};

use timesheet::Timesheet;

pub use question::{End, Question, Retry, STALLED, Stall};
pub use state::{Since, State};

/// So many questions are kept one by one.
pub const MOST_QUESTIONS: usize = 100_000;

/// So many items are kept one by one.
pub const MOST_ITEMS: usize = 100_000;

/// So many workers are kept one by one.
pub const MOST_WORKERS: usize = 10_000;

/// So many marks are kept, and so many changes of limits.
pub const MOST_MARKS: usize = 10_000;

/// So many samples are kept. A run that has more keeps every second one, then every fourth, and so on.
pub const MOST_SAMPLES: usize = 4_000;

/// So many states of one question are kept, so many of its retries, and so many returns of an item.
pub const MOST_STATES: usize = 200;

/// So many items that one worker held are kept.
pub const MOST_HOLDS: usize = 100_000;

/// So many models are told apart; the others are counted together.
pub const MOST_MODELS: usize = 64;

/// The longest text that is kept, in characters.
pub const LONGEST_TEXT: usize = 500;

/// The picture of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// The time of the latest event.
    #[serde(with = "micros")]
    pub now: Duration,
    /// Which run it is; none: nothing was told yet.
    pub run: Option<RunFacts>,
    /// The times that it was continued.
    pub continued: Vec<Continued>,
    /// The plan.
    pub plan: Option<Plan>,
    /// The parts of the run, in their order.
    pub phases: Vec<Phase>,
    /// The workers, in the order in which they began.
    pub workers: Vec<Worker>,
    /// The items, in the order in which they were first told of.
    pub items: Vec<Item>,
    /// The questions, in the order in which they were asked.
    pub questions: Vec<Question>,
    /// How many questions might be in flight.
    pub limits: Vec<Limit>,
    /// How things stood, from time to time.
    pub samples: Vec<Sampled>,
    /// What else happened.
    pub marks: Vec<Mark>,
    /// How the items stand, as far as it was told.
    pub census: Census,
    /// What was asked, and what it took.
    pub totals: Totals,
    /// How the run goes now.
    pub level: Level,
    /// Whether it is paused, and by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// The alerts that are raised now, and what they say.
    pub alerts: BTreeMap<String, String>,
    /// How it has ended.
    pub ended: Option<Ended>,
    /// What is not kept one by one.
    pub left_out: LeftOut,
    /// Where to find what is spoken of.
    #[serde(skip)]
    index: Index,
    /// Where the time went, of the last part of the run.
    #[serde(skip)]
    sheet: Timesheet,
}

/// A run was continued in another process, in which numbers begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Continued {
    /// When.
    #[serde(with = "micros")]
    pub at: Duration,
    /// The first worker of what follows, by its place in [`Timeline::workers`].
    pub workers: usize,
    /// The first item, by its place in [`Timeline::items`].
    pub items: usize,
    /// The first question, by its place in [`Timeline::questions`].
    pub questions: usize,
}

/// What the plan says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// When it stood.
    #[serde(with = "micros")]
    pub at: Duration,
    /// The items, cached ones included, without those that were added later.
    pub items: usize,
    /// Of those, the ones that an earlier run has done.
    pub cached: usize,
    /// The workers.
    pub workers: usize,
    /// How long it took to make.
    #[serde(with = "micros")]
    pub assessed_in: Duration,
    /// How long it took to deal the items.
    #[serde(with = "micros")]
    pub allocated_in: Duration,
    /// How long the run was expected to take from then on, by what the same took before.
    #[serde(with = "micros_or_none", default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Duration>,
}

/// A part of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// `execute` or `aggregate`.
    pub phase: String,
    /// When it began.
    #[serde(with = "micros")]
    pub from: Duration,
    /// When it ended, if it has.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub to: Option<Duration>,
}

/// A worker, and what it held.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Worker {
    /// Its number, which begins anew where a run is continued.
    pub worker: usize,
    /// The group or groups it was dealt.
    pub segment: String,
    /// When it began.
    #[serde(with = "micros")]
    pub from: Duration,
    /// How long it took until it could take an item, if it could.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub ready_after: Option<Duration>,
    /// When it ended, if it has.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub to: Option<Duration>,
    /// Why it died, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died: Option<String>,
    /// The items that it held, one after the other.
    pub holds: Vec<Hold>,
}

/// An item in the hands of a worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hold {
    /// Its place in [`Timeline::items`].
    pub item: Option<usize>,
    /// Counted from 1.
    pub attempt: u32,
    /// When it was taken.
    #[serde(with = "micros")]
    pub from: Duration,
    /// When it was let go, if it was.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub to: Option<Duration>,
    /// What became of it: the name of its outcome, or `returned`; none while it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<&'static str>,
}

/// An item.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Item {
    /// Its number, which begins anew where a run is continued.
    pub item: usize,
    /// By which reports name it; empty where it was not told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What people call it; empty where it was not told: of one that nobody took.
    pub label: String,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The place in [`Timeline::workers`] of who had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// How often it was taken.
    pub attempts: u32,
    /// When it was first taken.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub from: Option<Duration>,
    /// When it ended, if it has.
    #[serde(with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub to: Option<Duration>,
    /// How it ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What its plugin said last of its progress: how much is done, and a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<(f32, String)>,
    /// The times that it was given back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<Returned>,
}

/// An item was given back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Returned {
    /// When.
    #[serde(with = "micros")]
    pub at: Duration,
    /// By whom: its number.
    pub worker: usize,
    /// Why.
    pub reason: String,
}

/// How many questions may be in flight at an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// Since when.
    #[serde(with = "micros")]
    pub at: Duration,
    /// At which account.
    pub account: String,
    /// So many.
    pub limit: usize,
    /// Before.
    pub before: usize,
    /// Why.
    pub reason: String,
}

/// How things stood at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sampled {
    /// When.
    #[serde(with = "micros")]
    pub at: Duration,
    /// How.
    #[serde(flatten)]
    pub sample: Sample,
}

/// What a [`Mark`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// The run goes otherwise than before.
    Level,
    /// The breaker changed its state.
    Breaker,
    /// Safe mode began or ended at an account.
    SafeMode,
    /// Another policy is in force.
    Policy,
    /// Nothing more is begun.
    Paused,
    /// It goes on.
    Resumed,
    /// Somebody has changed the run from outside.
    Controlled,
    /// An alert was raised.
    Alert,
    /// An alert is over.
    AlertCleared,
    /// No more questions are sent.
    DispatchStopped,
    /// Items are done again.
    DoneAgain,
    /// An item is not tried again.
    Quarantined,
    /// Items were added.
    ItemsAdded,
    /// The user stops it.
    Stopping,
    /// Something the user should know.
    Warning,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// When.
    #[serde(with = "micros")]
    pub at: Duration,
    /// What it is about.
    pub kind: MarkKind,
    /// What it is now: the level, the breaker's state, the account, the policy, the alert, who did it; may be empty.
    pub what: String,
    /// What happened, or why.
    pub text: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ended {
    /// When.
    #[serde(with = "micros")]
    pub at: Duration,
    /// How its items stand.
    pub census: Census,
    /// How it stands itself.
    pub status: Status,
}

/// What was asked, and what it took. Of all questions, also of those that are not kept one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// The questions that have ended.
    pub questions: u64,
    /// How often one was sent; a second try beside the first counts.
    pub sent: u64,
    /// How often one was asked again.
    pub retries: u64,
    /// How often one was asked a second time beside the first.
    pub hedges: u64,
    /// How they ended: `model`, `cache`, `fallback`, the failures' kinds, `dropped`.
    pub by: BTreeMap<String, u64>,
    /// What they took.
    pub usage: Usage,
    /// What they may have cost beyond that, at most.
    pub uncertain: Usd,
    /// The same for each model: what it took itself, and the questions of which it was the last that was asked.
    pub models: Vec<ModelTotals>,
}

impl Totals {
    /// How many were answered by an earlier answer.
    pub fn cache_hits(&self) -> u64 {
        self.by.get("cache").copied().unwrap_or_default()
    }
}

/// What a model took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelTotals {
    /// The model; empty where none was asked.
    pub model: String,
    /// The backend.
    pub backend: String,
    /// How many have ended at it.
    pub questions: u64,
    /// What it took, also of those that ended at another one.
    pub usage: Usage,
    /// What they may have cost beyond that, at most.
    pub uncertain: Usd,
}

/// What was counted, and is not kept one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Questions.
    pub questions: u64,
    /// Items.
    pub items: u64,
    /// Workers, and items in the hands of one.
    pub workers: u64,
    /// Marks and changes of limits.
    pub marks: u64,
    /// Samples.
    pub samples: u64,
}

/// Where to find what is spoken of, by its number in the stream.
#[derive(Clone, Debug, Default, PartialEq)]
struct Index {
    /// What is added to the times of the stream.
    offset: Duration,
    workers: HashMap<usize, usize>,
    items: HashMap<usize, usize>,
    questions: HashMap<u64, usize>,
    /// The questions that nobody waits for any more, and of which it may never be told that they have ended.
    left: HashMap<u64, usize>,
    /// Of those that are known, the ones that were sent and have not ended.
    in_flight: HashSet<u64>,
    /// Of all that have not ended, the ones that wait to be sent.
    waiting: HashSet<u64>,
    /// The places of the questions that the last event has closed or opened again.
    turned: Vec<usize>,
    /// The items that were planned or added, in this stream.
    known: u64,
    /// Of so many samples one is kept.
    every: u64,
    sampled: u64,
}

impl Timeline {
    /// How many questions are in flight now.
    pub fn in_flight(&self) -> usize {
        self.index.in_flight.len()
    }

    /// How many questions wait to be sent now, also of those that are not kept one by one.
    pub fn waiting(&self) -> usize {
        self.index.waiting.len()
    }

    /// How many items are known: planned and added ones.
    pub fn items_known(&self) -> u64 {
        self.census.items
    }

    /// The label of an item by its place in [`items`](Self::items); its number where it has none.
    pub fn label(&self, item: Option<usize>) -> String {
        match item.and_then(|place| self.items.get(place)) {
            Some(item) if !item.label.is_empty() => item.label.clone(),
            Some(item) => format!("item {}", item.item),
            None => "an item".to_owned(),
        }
    }

    /// The place in [`items`](Self::items) of the item that events call so now.
    pub fn place_of_item(&self, item: usize) -> Option<usize> {
        self.index.items.get(&item).copied()
    }

    /// The place in [`questions`](Self::questions) of a question that has not ended.
    pub fn place_of_question(&self, question: u64) -> Option<usize> {
        self.index.questions.get(&question).copied()
    }

    /// The places of the questions that the last event has closed because they went with their item or with the run, and
    /// of those of them that it has opened again.
    pub fn turned(&self) -> &[usize] {
        &self.index.turned
    }
}
