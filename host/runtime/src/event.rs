//! The one stream of committed facts.
//!
//! The terminal, the report, metrics and traces are made of it, so that they can't disagree. What is lost by a crash is
//! never told: the journal is written first.

mod fact;
mod parts;
mod stream;
mod times;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::alerts::{Alert, Alerts};
use crate::levels::{Level, LevelChange, Levels, Part};

pub use fact::{Event, Fact};
pub use parts::{AccountSample, AttemptEnd, BudgetSample, RunFacts, Sample, Settled, Spent};
pub use stream::Subscription;
pub(crate) use times::{micros, micros_or_none};

use stream::Stream;

/// How many events a consumer may be behind before the run waits for it.
pub const BUFFER: usize = 50_000;

/// How many warnings are kept for the report.
pub const WARNINGS: usize = 1_000;

/// Where facts are told. Clones tell the same stream.
#[derive(Clone)]
pub struct Events {
    began: Instant,
    started: Timestamp,
    stream: Arc<Stream>,
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
            stream: Arc::default(),
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
        self.stream.listen()
    }

    /// When it began: the moment from which events are counted.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells a fact, then waits for listeners that are too far behind.
    pub async fn tell(&self, fact: Fact) {
        self.stream.tell(self.event(fact)).await;
    }

    /// Tells a fact without waiting for anybody. Where a listener is much too far behind, nobody hears of it.
    pub fn mention(&self, fact: Fact) {
        if !self.stream.mention(self.event(fact)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many facts nobody heard of, because a listener was too far behind.
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

    fn event(&self, fact: Fact) -> Event {
        if let Fact::Warned { message } = &fact {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < WARNINGS && !warned.contains(message) {
                warned.push(message.clone());
            }
        }
        Event { at: self.began.elapsed(), fact }
    }
}

#[cfg(test)]
mod tests {
    use super::stream::MENTIONED;
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

    #[tokio::test]
    async fn a_fact_that_waits_for_nobody_is_told_to_all_or_lost_to_all() {
        let events = Events::new();
        let (slow, mut quick) = (events.listen(), events.listen());
        let mut heard = Vec::new();
        for number in 0..BUFFER + MENTIONED + 3 {
            events.mention(warned(&number.to_string()));
            quick.drain(&mut heard);
        }
        assert_eq!((events.lost(), heard.len(), slow.behind()), (3, BUFFER + MENTIONED, BUFFER + MENTIONED));
        drop(slow);
        events.mention(warned("again"));
        assert_eq!((events.lost(), quick.try_recv().unwrap().fact.clone()), (3, warned("again")));
    }

    #[tokio::test]
    async fn who_goes_away_keeps_nobody_waiting_and_holds_nothing() {
        let events = Events::new();
        let (slow, mut quick) = (events.listen(), events.listen());
        let (one_more, mut told) = (BUFFER + 1, Vec::new());
        let mut telling = tokio::spawn({
            let events = events.clone();
            async move {
                for number in 0..one_more {
                    events.tell(warned(&number.to_string())).await;
                }
            }
        });
        while told.len() < one_more {
            told.extend(quick.recv().await);
        }
        assert!(timeout(Duration::ZERO, &mut telling).await.is_err(), "the other one has read nothing");
        drop(slow);
        telling.await.unwrap();
        let held = told.iter().filter(|event| Arc::strong_count(event) > 1);
        assert_eq!(held.count(), 0, "all who listen have read it");
    }

    #[tokio::test]
    async fn what_was_told_is_heard_though_its_teller_no_longer_waits() {
        let events = Events::new();
        let mut slow = events.listen();
        for _ in 0..BUFFER {
            events.tell(warned("one of many")).await;
        }
        assert!(timeout(Duration::ZERO, events.tell(warned("last"))).await.is_err());
        let mut heard = Vec::new();
        assert!(slow.drain(&mut heard));
        assert_eq!((heard.len(), &heard[BUFFER].fact), (BUFFER + 1, &warned("last")));
    }

    #[tokio::test]
    async fn a_stream_is_over_when_nobody_can_tell_anything_and_all_of_it_was_heard() {
        let events = Events::new();
        let mut one = events.listen();
        let teller = events.clone();
        events.tell(warned("before")).await;
        let mut late = events.listen();
        drop(events);
        teller.tell(warned("after")).await;
        let waiting = tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Some(event) = late.recv().await {
                heard.push(event.fact.clone());
            }
            heard
        });
        tokio::task::yield_now().await;
        drop(teller);
        assert_eq!(waiting.await.unwrap(), [warned("after")]);
        let mut heard = Vec::new();
        assert!(!one.drain(&mut heard));
        assert_eq!((heard.len(), one.behind()), (2, 0));
    }
}
