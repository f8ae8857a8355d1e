//! One log of what was told, and who has read how far in it.
//!
//! Telling a fact is one push, however many listen, and none is woken who only looks from time to time. What all have
//! read is let go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{BUFFER, Event};

/// How many facts that wait for nobody have room beyond [`BUFFER`]: a listener that hangs shall not keep all others
/// from them.
pub(super) const MENTIONED: usize = 10_000;

/// How many events a reader takes at once: who tells waits no longer than that takes.
const AT_ONCE: usize = 256;

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    /// Something was told, or the stream is over.
    told: Notify,
    /// Somebody has read on, or went away.
    read: Notify,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events are counted from the beginning of the stream.
#[derive(Default)]
struct Log {
    /// What somebody has not read yet. Empty where nobody listens.
    events: VecDeque<Arc<Event>>,
    /// The number of the first of them.
    first: u64,
    /// The number of the event each listener reads next.
    listeners: Vec<Option<u64>>,
    /// Nothing more is told.
    is_over: bool,
}

impl Log {
    /// The number of the event that is told next.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Lets go of what all have read.
    fn trim(&mut self) {
        let slowest = self.listeners.iter().flatten().min().copied().unwrap_or(self.end());
        self.events.drain(..(slowest - self.first) as usize);
        self.first = slowest;
    }

    /// How many events the slowest is behind.
    fn behind(&self) -> usize {
        self.events.len()
    }

    fn push(&mut self, event: Arc<Event>) {
        if self.listeners.iter().any(Option::is_some) {
            self.events.push_back(event);
        } else {
            self.first += 1;
        }
    }
}

/// Where events are told. It is over when this is dropped.
#[derive(Default)]
pub(super) struct Stream(Arc<Shared>);

impl Stream {
    pub(super) fn listen(&self) -> Subscription {
        let mut log = self.0.log();
        let next = Some(log.end());
        let listener = match log.listeners.iter().position(Option::is_none) {
            Some(free) => {
                log.listeners[free] = next;
                free
            }
            None => {
                log.listeners.push(next);
                log.listeners.len() - 1
            }
        };
        drop(log);
        Subscription { shared: self.0.clone(), listener }
    }

    /// Tells it, then waits while a listener is more than [`BUFFER`] events behind. Who no longer waits has told it all
    /// the same.
    pub(super) async fn tell(&self, event: Event) {
        let mut behind = {
            let mut log = self.0.log();
            log.push(Arc::new(event));
            log.behind()
        };
        self.0.told.notify_waiters();
        while behind > BUFFER {
            let read = self.0.read.notified();
            behind = self.0.log().behind();
            if behind > BUFFER {
                read.await;
            }
        }
    }

    /// Tells it without waiting. False: a listener is too far behind, and nobody hears it.
    pub(super) fn mention(&self, event: Event) -> bool {
        {
            let mut log = self.0.log();
            if log.behind() >= BUFFER + MENTIONED {
                return false;
            }
            log.push(Arc::new(event));
        }
        self.0.told.notify_waiters();
        true
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.log().is_over = true;
        self.0.told.notify_waiters();
    }
}

/// What hears a stream. All hear the same facts, which are not copied for each.
pub struct Subscription {
    shared: Arc<Shared>,
    listener: usize,
}

impl Subscription {
    /// The next event, as soon as it is told; none: the stream is over.
    pub async fn recv(&mut self) -> Option<Arc<Event>> {
        let mut next = Vec::with_capacity(1);
        loop {
            let told = self.shared.told.notified();
            let goes_on = self.take(1, &mut next);
            if !next.is_empty() || !goes_on {
                return next.pop();
            }
            told.await;
        }
    }

    /// The next one, if it was told already.
    pub fn try_recv(&mut self) -> Option<Arc<Event>> {
        let mut next = Vec::with_capacity(1);
        self.take(1, &mut next);
        next.pop()
    }

    /// How many events were told that were not heard yet.
    pub fn behind(&self) -> usize {
        let log = self.shared.log();
        log.listeners[self.listener].map_or(0, |next| (log.end() - next) as usize)
    }

    /// Adds all that was told meanwhile: for who looks from time to time, and is not woken by each event. False: the
    /// stream is over, and all of it was heard.
    pub fn drain(&mut self, into: &mut Vec<Arc<Event>>) -> bool {
        loop {
            let before = into.len();
            let goes_on = self.take(AT_ONCE, into);
            if into.len() < before + AT_ONCE {
                return goes_on;
            }
        }
    }

    /// [`drain`](Self::drain) after so long, or when it is over. False: it is over too.
    pub async fn look(&mut self, after: Duration, over: &CancellationToken, into: &mut Vec<Arc<Event>>) -> bool {
        let is_over = over.run_until_cancelled(sleep(after)).await.is_none();
        self.drain(into) && !is_over
    }

    /// Adds so many at most. False: the stream is over, and nothing of it is left.
    fn take(&self, at_most: usize, into: &mut Vec<Arc<Event>>) -> bool {
        let mut log = self.shared.log();
        let Some(next) = log.listeners[self.listener] else { return false };
        let (first, end) = (log.first, log.end());
        let upto = end.min(next + at_most as u64);
        if upto > next {
            into.extend(log.events.range((next - first) as usize..(upto - first) as usize).cloned());
            log.listeners[self.listener] = Some(upto);
            if next == first {
                // What goes is in the hands of who took it: nothing is freed here.
                log.trim();
            }
        }
        let goes_on = !log.is_over || upto < end;
        drop(log);
        self.shared.read.notify_waiters();
        goes_on
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut log = self.shared.log();
        log.listeners[self.listener] = None;
        log.trim();
        drop(log);
        self.shared.read.notify_waiters();
    }
}
