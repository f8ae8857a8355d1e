//! The one stream of committed facts.
//!
//! The terminal, the report, metrics and traces are made of it, so that they can't disagree. What is lost by a crash is
//! never told: the journal is written first.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::alerts::{Alert, Alerts};
use crate::levels::{Level, LevelChange, Levels, Part};
use crate::money::Usd;
use crate::question::{Tier, Usage};
use crate::work::{Census, Outcome, Status};

/// How many events a consumer may be behind before the run waits for it.
pub const BUFFER: usize = 50_000;

/// How many warnings are kept for the report.
pub const WARNINGS: usize = 1_000;

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
        /// Its label.
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
    /// The failure's kind, or `superseded` where another attempt beside it was answered or given up first; none: it was
    /// answered.
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
    /// What it may cost at most, if that is bounded.
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

/// Durations as whole microseconds.
pub(crate) mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// The same for one that need not be there.
pub(crate) mod micros_or_none {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_micros))
    }
}

/// What hears a stream. All hear the same facts, which are not copied for each.
pub struct Subscription {
    heard: mpsc::Receiver<Arc<Event>>,
}

impl Subscription {
    /// The next event, as soon as it is told; none: the stream is over.
    pub async fn recv(&mut self) -> Option<Arc<Event>> {
        self.heard.recv().await
    }

    /// As [`recv`](Self::recv), for who polls several.
    pub fn poll_recv(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Arc<Event>>> {
        self.heard.poll_recv(context)
    }

    /// The next one, if it was told already.
    pub fn try_recv(&mut self) -> Option<Arc<Event>> {
        self.heard.try_recv().ok()
    }

    /// How many events were told that were not heard yet.
    pub fn behind(&self) -> usize {
        self.heard.len()
    }

    /// Adds all that was told meanwhile: for who looks from time to time, and is not woken by each event. False: the
    /// stream is over, and all of it was heard.
    pub fn drain(&mut self, into: &mut Vec<Arc<Event>>) -> bool {
        loop {
            match self.heard.try_recv() {
                Ok(event) => into.push(event),
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }
}

/// Where facts are told. Clones tell the same stream.
#[derive(Clone)]
pub struct Events {
    began: Instant,
    started: Timestamp,
    listeners: Arc<Mutex<Vec<mpsc::Sender<Arc<Event>>>>>,
    warned: Arc<Mutex<Vec<String>>>,
    levels: Arc<Mutex<Levels>>,
    alerts: Arc<Mutex<Alerts>>,
    judge: Arc<Mutex<Option<Judge>>>,
    lost: Arc<AtomicU64>,
}

/// Where somebody is asked to judge all that was told so far, and to say when that is done.
pub type Judge = mpsc::UnboundedSender<oneshot::Sender<()>>;

/// How long a run waits at its end for who judges it.
const JUDGED: Duration = Duration::from_secs(1);

impl Default for Events {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            started: Timestamp::now(),
            listeners: Arc::default(),
            warned: Arc::default(),
            levels: Arc::default(),
            alerts: Arc::default(),
            judge: Arc::default(),
            lost: Arc::default(),
        }
    }
}

impl Events {
    /// A stream that begins now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears everything from now on. A listener that falls [`BUFFER`] events behind makes the run wait.
    pub fn listen(&self) -> Subscription {
        let (sender, heard) = mpsc::channel(BUFFER);
        self.lock().push(sender);
        Subscription { heard }
    }

    /// When it began: the moment from which events are counted.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells a fact; waits for listeners that are too far behind.
    pub async fn tell(&self, fact: Fact) {
        let event = self.event(fact);
        for listener in self.hand_out(&event) {
            // A listener that went away meanwhile needs nothing.
            let _ = listener.send(event.clone()).await;
        }
    }

    /// Tells a fact that may be lost on listeners that are too far behind.
    pub fn mention(&self, fact: Fact) {
        let event = self.event(fact);
        let lost = self.hand_out(&event).len();
        if lost > 0 {
            self.lost.fetch_add(lost as u64, Ordering::Relaxed);
        }
    }

    /// How often a listener that was too far behind did not hear a fact that may be lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// An alert is raised, and told. False: it stands already, or the run has ended.
    pub async fn raise(&self, alert: &str, reason: &str) -> bool {
        self.alert(|alerts, at| alerts.raise(alert, reason, at)).await
    }

    /// An alert is cleared, and told. False: it doesn't stand, or the run has ended.
    pub async fn clear(&self, alert: &str, reason: &str) -> bool {
        self.alert(|alerts, at| alerts.clear(alert, reason, at)).await
    }

    async fn alert(&self, change: impl FnOnce(&mut Alerts, Duration) -> Option<Fact>) -> bool {
        let fact = change(&mut self.alerts.lock().unwrap_or_else(PoisonError::into_inner), self.began.elapsed());
        match fact {
            Some(fact) => {
                self.tell(fact).await;
                true
            }
            None => false,
        }
    }

    /// Who raises and clears alerts, and is asked before the run ends.
    pub fn set_judge(&self, judge: Judge) {
        *self.judge.lock().unwrap_or_else(PoisonError::into_inner) = Some(judge);
    }

    /// Has all that was told judged, so that a trouble at the very end is an alert too. Waits for a second at most.
    pub async fn judged(&self) {
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (done, waiting) = oneshot::channel();
        if judge.is_some_and(|judge| judge.send(done).is_ok()) {
            let _ = timeout(JUDGED, waiting).await;
        }
    }

    /// The alerts of the run, for its report. None is raised or cleared from now on, so that nobody hears of one that
    /// the report lacks.
    pub fn end_alerts(&self) -> Vec<Alert> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).end()
    }

    /// A part of the run says how it stands; whether that changes how the run stands, which is then told.
    pub async fn stands(&self, part: Part, level: Level, reason: &str) -> bool {
        match self.change(part, level, reason) {
            Some(fact) => {
                self.tell(fact).await;
                true
            }
            None => false,
        }
    }

    /// The same for a run that only begins.
    pub fn begins(&self, part: Part, level: Level, reason: &str) {
        if let Some(fact) = self.change(part, level, reason) {
            self.mention(fact);
        }
    }

    /// How the level of the run has changed so far, for the report.
    pub fn levels(&self) -> Vec<LevelChange> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).changes().to_vec()
    }

    fn change(&self, part: Part, level: Level, reason: &str) -> Option<Fact> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let LevelChange { from, to, reason, .. } = levels.says(part, level, reason, self.began.elapsed())?;
        Some(Fact::Degraded { from, to, reason })
    }

    /// What the user was warned of so far, each once, for the report. At most [`WARNINGS`].
    pub fn warned(&self) -> Vec<String> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn event(&self, fact: Fact) -> Arc<Event> {
        if let Fact::Warned { message } = &fact {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < WARNINGS && !warned.contains(message) {
                warned.push(message.clone());
            }
        }
        Arc::new(Event { at: self.began.elapsed(), fact })
    }

    /// Gives it to all who have room; returns those who have none.
    fn hand_out(&self, event: &Arc<Event>) -> Vec<mpsc::Sender<Arc<Event>>> {
        let mut full = Vec::new();
        self.lock().retain(|listener| match listener.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                full.push(listener.clone());
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        full
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Arc<Event>>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(message: &str) -> Fact {
        Fact::Warned { message: message.to_owned() }
    }

    #[tokio::test]
    async fn every_listener_hears_every_fact_in_order() {
        let events = Events::new();
        let (mut one, mut two) = (events.listen(), events.listen());
        for number in 0..100 {
            events.tell(warned(&number.to_string())).await;
        }
        for listener in [&mut one, &mut two] {
            for number in 0..100 {
                let event = listener.recv().await.expect("an event");
                assert_eq!(event.fact, warned(&number.to_string()));
            }
        }
    }

    #[tokio::test]
    async fn what_was_warned_of_is_kept_once_for_the_report() {
        let events = Events::new();
        for message in ["one", "two", "one"] {
            events.tell(warned(message)).await;
        }
        assert_eq!(events.warned(), ["one", "two"]);
    }

    #[tokio::test]
    async fn a_slow_listener_makes_the_teller_wait_and_loses_nothing() {
        let events = Events::new();
        let mut slow = events.listen();
        for number in 0..BUFFER {
            events.tell(warned(&number.to_string())).await;
        }
        let one_more = tokio::spawn({
            let events = events.clone();
            async move { events.tell(warned("last")).await }
        });
        tokio::task::yield_now().await;
        assert!(!one_more.is_finished(), "the buffer is full");
        let mut heard = 0;
        while let Some(event) = slow.recv().await {
            heard += 1;
            if matches!(&event.fact, Fact::Warned { message } if message == "last") {
                break;
            }
        }
        assert_eq!(heard, BUFFER + 1);
    }
}
