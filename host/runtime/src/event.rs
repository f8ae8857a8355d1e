//! The one stream of committed facts.
//!
//! The terminal, the report, metrics and traces are made of it, so that they can't disagree. What is lost by a crash is
//! never told: the journal is written first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::levels::{Level, LevelChange, Levels, Part};
use crate::question::Usage;
use crate::work::{Census, Outcome, Status};

/// How many events a consumer may be behind before the run waits for it.
pub const BUFFER: usize = 50_000;

/// How many warnings are kept for the report.
pub const WARNINGS: usize = 1_000;

/// A fact, and when it became one.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Since the stream began.
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What can happen. Items and workers are named by their number in the run, questions by their number in the process.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Fact {
    /// The plan stands.
    Planned {
        /// The items, cached ones included.
        items: usize,
        /// Of those, the ones that an earlier run has done.
        cached: usize,
        /// The workers that will run.
        workers: usize,
    },
    /// A worker begins.
    WorkerStarted {
        /// Which.
        worker: usize,
        /// The group or groups it was dealt.
        segment: String,
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
    },
    /// A question is on its way.
    QuestionSent {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// The model it was routed to.
        model: String,
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
        after: Duration,
    },
    /// Its answer has begun. May be dropped when a consumer is slow: an answer doesn't wait for those who watch.
    QuestionStarted {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// Since it was sent.
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
    /// It will be asked again.
    QuestionRetried {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// Why.
        reason: String,
        /// After so long.
        wait: Duration,
    },
    /// It has ended.
    QuestionSettled {
        /// Which.
        question: u64,
        /// For which item.
        item: usize,
        /// `model`, `cache`, `fallback`, or the failure's kind.
        by: String,
        /// What it took.
        usage: Usage,
    },
    /// The breaker changed its state.
    BreakerChanged {
        /// `closed`, `open` or `half-open`.
        state: &'static str,
        /// Why.
        reason: String,
        /// How long it stays so, if that is known: an open one lets questions through again then, to try.
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
        kind: &'static str,
        /// The name of the policy.
        policy: String,
        /// Its generation.
        generation: u64,
        /// The decision, in a few words.
        decision: String,
        /// Why, in the policy's words; may be empty.
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
        level: &'static str,
        /// For which item.
        item: Option<usize>,
        /// The line.
        message: String,
    },
    /// The user stops it: nothing more is begun, and what is under way may end.
    Stopping {
        /// For at most so long. Zero: it is given up now.
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

/// Where facts are told. Clones tell the same stream.
#[derive(Clone)]
pub struct Events {
    began: Instant,
    listeners: Arc<Mutex<Vec<mpsc::Sender<Event>>>>,
    warned: Arc<Mutex<Vec<String>>>,
    levels: Arc<Mutex<Levels>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { began: Instant::now(), listeners: Arc::default(), warned: Arc::default(), levels: Arc::default() }
    }
}

impl Events {
    /// A stream that begins now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears everything from now on. A listener that falls [`BUFFER`] events behind makes the run wait.
    pub fn listen(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(BUFFER);
        self.lock().push(sender);
        receiver
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
        self.hand_out(&event);
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

    fn event(&self, fact: Fact) -> Event {
        if let Fact::Warned { message } = &fact {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < WARNINGS && !warned.contains(message) {
                warned.push(message.clone());
            }
        }
        Event { at: self.began.elapsed(), fact }
    }

    /// Gives it to all who have room; returns those who have none.
    fn hand_out(&self, event: &Event) -> Vec<mpsc::Sender<Event>> {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Event>>> {
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
                let Some(Event { fact: Fact::Warned { message }, .. }) = listener.recv().await else {
                    panic!("an event is missing")
                };
                assert_eq!(message, number.to_string());
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
