//! The one stream of committed facts.
//!
//! The terminal, the report, metrics and traces are made of it, so that they can't disagree. What is lost by a crash is
//! never told: the journal is written first.

mod fact;
mod parts;
mod times;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::alerts::{Alert, Alerts};
use crate::levels::{Level, LevelChange, Levels, Part};

pub use fact::{Event, Fact};
pub use parts::{AccountSample, AttemptEnd, BudgetSample, RunFacts, Sample, Settled, Spent};
pub(crate) use times::{micros, micros_or_none};

/// How many events a consumer may be behind before the run waits for it.
pub const BUFFER: usize = 50_000;

/// How many warnings are kept for the report.
pub const WARNINGS: usize = 1_000;

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

    /// [`drain`](Self::drain) after so long, or when it is over. False: it is over too.
    pub async fn look(&mut self, after: Duration, over: &CancellationToken, into: &mut Vec<Arc<Event>>) -> bool {
        let is_over = over.run_until_cancelled(sleep(after)).await.is_none();
        self.drain(into) && !is_over
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
