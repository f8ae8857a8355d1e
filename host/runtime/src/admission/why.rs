//! For what those wait who are not let in.
//!
//! It is worked out where the queue is served, which holds the lock anyway, and heard by the waiting ones themselves: who is
//! let in at once has nothing to do with it.

use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Admission, Verdict, Waiting};
use crate::question::{Failure, FailureKind};

/// What changes more often is told as it is then.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// An end of the waiting that moves by less is the same one.
const SAME: Duration = Duration::from_secs(1);

/// For what somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why {
    /// `breaker`, `quota`, `limit`, `instance` or `turn`.
    pub reason: &'static str,
    /// Until then at least, if that is known.
    pub until: Option<Instant>,
}

impl Why {
    /// Others are before it.
    pub(super) fn turn() -> Self {
        Self { reason: "turn", until: None }
    }

    /// How long at least, if that is known.
    pub fn lasts(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether there is nothing new in another one.
    fn is_as(&self, other: &Self) -> bool {
        let same_end = match (self.until, other.until) {
            (Some(one), Some(two)) => one.max(two) - one.min(two) < SAME,
            (one, two) => one.is_some() == two.is_some(),
        };
        self.reason == other.reason && same_end
    }
}

/// What is closed, and for whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Closed {
    /// For all.
    pub(super) all: Option<Why>,
    /// For those that were the heads, by their numbers: how long one waits depends on what it takes.
    own: Vec<(u64, Why)>,
}

impl Closed {
    /// Something is closed for the head with this number; `for_all`: for those behind it too, for longer.
    pub(super) fn add(&mut self, for_all: bool, number: u64, why: Why) {
        self.own.push((number, why));
        if for_all {
            self.all = Some(Why { until: None, ..why });
        }
    }

    /// For what the one with this number waits.
    fn of(&self, number: u64) -> Why {
        let own = self.own.iter().find(|(head, _)| *head == number).map(|(_, why)| *why);
        own.or(self.all).unwrap_or_else(Why::turn)
    }

    /// Wakes those who wait, if it is news to any of them.
    pub(super) fn tell(self, told: &watch::Sender<Self>) {
        let same = |one: Option<&Why>, other: Option<&Why>| match (one, other) {
            (Some(one), Some(other)) => one.is_as(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        told.send_if_modified(|before| {
            let same_heads = before.own.len() == self.own.len()
                && before.own.iter().zip(&self.own).all(|((one, why), (other, now))| one == other && why.is_as(now));
            let is_news = !same_heads || !same(before.all.as_ref(), self.all.as_ref());
            if is_news {
                *before = self;
            }
            is_news
        });
    }
}

impl Admission {
    /// Waits for the verdict, and says for what meanwhile.
    pub(super) async fn wait(&self, mut waiting: Waiting<'_>, mut say: impl FnMut(Why)) -> Verdict {
        let mut closed = self.closed.subscribe();
        let mut said: Option<Why> = None;
        loop {
            match waiting.answer.try_recv() {
                Ok(verdict) => return verdict,
                Err(TryRecvError::Closed) => return Err(given_up()),
                Err(TryRecvError::Empty) => {}
            }
            let why = closed.borrow_and_update().of(waiting.number);
            if said.is_none_or(|said| !said.is_as(&why)) {
                say(why);
                said = Some(why);
            }
            tokio::select! {
                biased;
                verdict = &mut waiting.answer => return verdict.unwrap_or_else(|_| Err(given_up())),
                // Looked at from time to time: to be woken by each change would have all of them run at each.
                () = sleep(TOLD_EVERY) => {}
            }
        }
    }
}

/// Every waiter is answered before it is dropped.
fn given_up() -> Failure {
    Failure::new(FailureKind::Cancelled, "the queue was given up")
}
