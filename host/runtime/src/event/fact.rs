//! What can happen.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parts::{AttemptEnd, RunFacts, Sample, Settled};
use super::times::{micros, micros_or_none};
use crate::levels::Level;
use crate::question::Tier;
use crate::work::{Census, Outcome, Status};

/// A fact, and when it became one. Written down, times are microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Since the stream began.
    #[serde(with = "micros")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What can happen. Items and workers are named by their number in the run, questions by their number in the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Fact {
    /// The run is written down, and begins.
    RunStarted(Box<RunFacts>),
    /// The plan stands.
    Planned {
        /// The items, cached ones included.
        items: usize,
        /// Of those, the ones that an earlier run has done.
        cached: usize,
        /// The workers that will run.
        workers: usize,
        /// How long it took to make the plan.
        #[serde(with = "micros")]
        assessed_in: Duration,
        /// How long it took to deal the items to workers.
        #[serde(with = "micros")]
        allocated_in: Duration,
        /// How long the run will take from here on, by what the same took before, if enough is known of that.
        #[serde(with = "micros_or_none", default, skip_serializing_if = "Option::is_none")]
        expected: Option<Duration>,
    },
    /// The next part of the run begins.
    PhaseStarted {
        /// `execute` or `aggregate`.
        phase: Cow<'static, str>,
    },
    /// A worker begins.
    WorkerStarted {
        /// Which.
        worker: usize,
        /// The group or groups it was dealt.
        segment: String,
    },
    /// A worker is there: its plugin asks for an item for the first time.
    WorkerReady {
        /// Which.
        worker: usize,
        /// Since it was started.
        #[serde(with = "micros")]
        after: Duration,
    },
    /// A worker is gone.
    WorkerEnded {
        /// Which.
        worker: usize,
        /// Why it died, if it did.
        died: Option<String>,
    },
    /// A worker took an item.
    ItemStarted {
        /// Who took it.
        worker: usize,
        /// Which.
        item: usize,
        /// Its id, by which reports name it; empty in what an earlier version told.
        #[serde(default)]
        id: String,
        /// Its label, which need not be its alone.
        label: String,
        /// Its group, which need not be one that its worker was dealt.
        group: Option<String>,
        /// Counted from 1.
        attempt: u32,
    },
    /// What the plugin says of its progress. May be dropped when a consumer is slow.
    ItemProgress {
        /// Which.
        item: usize,
        /// 0.0 to 1.0.
        done: f32,
        /// What is going on.
        note: String,
    },
    /// An item has ended, and its partial is in the journal.
    ItemEnded {
        /// Who had it; none for one that was cached.
        worker: Option<usize>,
        /// Which.
        item: usize,
        /// How.
        outcome: Outcome,
        /// How long it was in the worker's hands.
        #[serde(with = "micros")]
        took: Duration,
    },
    /// An item added others.
    ItemsAdded {
        /// Which.
        parent: usize,
        /// How many.
        items: usize,
    },
    /// An item was given back, and goes elsewhere, or stays pending where the run is being stopped.
    ItemReturned {
        /// Who had it.
        worker: usize,
        /// Which.
        item: usize,
        /// Why.
        reason: String,
    },
    /// An item that had ended is to be done again, because somebody wants it: it is pending until it ends once more.
    ItemReopened {
        /// Which.
        item: usize,
        /// How it had ended.
        was: Outcome,
        /// Who wants it.
        reason: String,
    },
    /// The run goes on otherwise than before: worse, or better again. See [`levels`](crate::levels).
    Degraded {
        /// As it was.
        from: Level,
        /// As it is.
        to: Level,
        /// Why.
        reason: String,
    },
    /// Items that were set aside are done again now.
    DoneAgain {
        /// How many.
        items: usize,
        /// Why, and how.
        reason: String,
    },
    /// An item has failed twice in the same words, and is not tried again.
    Quarantined {
        /// Which.
        item: usize,
        /// The words.
        reason: String,
    },
    /// A question waits for admission.
    QuestionQueued {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// The role that is asked.
        role: String,
        /// The tier that it goes to.
        tier: Tier,
    },
    /// It is not let in at once. May be dropped when a consumer is slow.
    QuestionWaits {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// For what: `quota`, `limit`, `instance`, `breaker`, `pause`, `context` (another one that shares its context goes
        /// first) or `turn` (others are before it).
        reason: Cow<'static, str>,
        /// How long at least, if that is known.
        #[serde(with = "micros_or_none", default, skip_serializing_if = "Option::is_none")]
        lasts: Option<Duration>,
    },
    /// A question is on its way.
    QuestionSent {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// The model it was routed to.
        model: String,
        /// The backend that is asked.
        backend: Cow<'static, str>,
        /// Counted from 1.
        attempt: u32,
    },
    /// It takes long, and is asked a second time beside the first. The first answer wins.
    QuestionHedged {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// The model.
        model: String,
        /// Since it was sent.
        #[serde(with = "micros")]
        after: Duration,
    },
    /// Its answer has begun. May be dropped when a consumer is slow: an answer doesn't wait for those who watch.
    QuestionStarted {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// Since it was sent.
        #[serde(with = "micros")]
        after: Duration,
    },
    /// How its answer comes on, at most five times a second. May be dropped when a consumer is slow.
    QuestionProgress {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// Output tokens a second, estimated from the bytes of the text; none before it says something.
        tokens_per_second: Option<u32>,
        /// The last tool that was used.
        tool: Option<String>,
    },
    /// Its answer had begun, nothing came of it for long, and now something has, or the attempt is over. May be dropped when
    /// a consumer is slow.
    QuestionStalled {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// So long nothing came.
        #[serde(with = "micros")]
        lasted: Duration,
        /// The last tool that was used before, which may have been at work.
        tool: Option<String>,
    },
    /// An attempt at it has ended, well or not.
    AttemptEnded(Box<AttemptEnd>),
    /// It will be asked again.
    QuestionRetried {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// The kind of failure that its attempt came to.
        kind: Cow<'static, str>,
        /// Why.
        reason: String,
        /// After so long.
        #[serde(with = "micros")]
        wait: Duration,
    },
    /// It has ended.
    QuestionSettled(Box<Settled>),
    /// The breaker changed its state.
    BreakerChanged {
        /// `closed`, `open` or `half-open`.
        state: Cow<'static, str>,
        /// Why.
        reason: String,
        /// How long it stays so, if that is known: an open one lets questions through again then, to try.
        #[serde(with = "micros_or_none", default, skip_serializing_if = "Option::is_none")]
        lasts: Option<Duration>,
    },
    /// How many questions may be in flight changed.
    LimitChanged {
        /// At which account, by the name of its backend.
        account: String,
        /// Now.
        limit: usize,
        /// Before.
        before: usize,
        /// Why.
        reason: String,
    },
    /// An account is treated as in safe mode from now on, or no longer.
    SafeModeChanged {
        /// Which, by the name of its backend.
        account: String,
        /// Whether it is.
        safe: bool,
        /// Why.
        reason: String,
    },
    /// Another policy is in force.
    PolicyChanged {
        /// Its name.
        policy: String,
        /// Its generation.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// A policy has decided.
    Decided {
        /// For which question; none: for the run.
        question: Option<u64>,
        /// What: `size`, `route`, `admit`, `recover`, `adapt` or `watch`.
        kind: Cow<'static, str>,
        /// The name of the policy.
        policy: String,
        /// Its generation.
        generation: u64,
        /// The decision, in a few words.
        decision: String,
        /// Why, in the policy's words; may be empty.
        reason: String,
    },
    /// A credential stands in what is to be sent to a model. Which one is never said.
    SecretFound {
        /// In which question.
        question: u64,
        /// For which item.
        item: usize,
        /// What kinds of credentials.
        kinds: Vec<String>,
        /// In which parts of the question.
        places: Vec<String>,
        /// `redacted`, `sent`, or `refused`: then the run stops.
        became: Cow<'static, str>,
    },
    /// Nothing more is begun until it is resumed.
    Paused {
        /// By whom, as they are known to the system.
        by: String,
        /// Whether what was under way is broken off and asked again later.
        at_once: bool,
    },
    /// It goes on.
    Resumed {
        /// By whom.
        by: String,
    },
    /// Somebody has changed the run from outside.
    Controlled {
        /// By whom.
        by: String,
        /// What was asked for.
        what: String,
        /// What came of it.
        became: String,
    },
    /// How things stand, from time to time. May be dropped when a consumer is slow.
    Sampled(Box<Sample>),
    /// Something is as it should not be.
    AlertRaised {
        /// Which alert: `errors`, `response`, `cpu`, `memory`…
        alert: Cow<'static, str>,
        /// What is seen, and what the threshold is.
        reason: String,
    },
    /// It is well again.
    AlertCleared {
        /// Which alert.
        alert: Cow<'static, str>,
        /// What is seen.
        reason: String,
    },
    /// No more questions are sent.
    DispatchStopped {
        /// Why.
        reason: String,
    },
    /// Something the user should know.
    Warned {
        /// What.
        message: String,
    },
    /// A line of a plugin's log.
    Logged {
        /// `debug`, `info`, `warn`, `error` or `stderr`.
        level: Cow<'static, str>,
        /// For which item.
        item: Option<usize>,
        /// The line.
        message: String,
    },
    /// The user stops it: nothing more is begun, and what is under way may end.
    Stopping {
        /// For at most so long. Zero: it is given up now.
        #[serde(with = "micros")]
        at_most: Duration,
    },
    /// The run has ended.
    Ended {
        /// How its items stand.
        census: Census,
        /// How it stands itself: the same that the report and the exit code say.
        status: Status,
    },
}
