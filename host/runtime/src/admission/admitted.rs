//! What who was let in holds, and how it comes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Admission;
use crate::breaker::{Pass, Signal};
use crate::budget::Amount;
use crate::limiter::{Ended, Permit, Seen};
use crate::pool::Lease;
use crate::queue::Claimant;
use crate::quota::{Cost, Told};
use crate::shared::Taken;

/// Everything that is needed to send one question. [`settle`](Self::settle) it; dropped, it gives everything back, and
/// what it reserved counts as spent if it was [`sent`](Self::sending).
#[must_use = "dropped, it gives everything back"]
pub struct Admitted {
    admission: Arc<Admission>,
    held: Option<Held>,
}

/// What was taken for it.
pub(super) struct Held {
    pub(super) pass: Pass,
    pub(super) taken: Taken,
    pub(super) permit: Permit,
    pub(super) lease: Lease,
    /// When it was sent, if it was.
    pub(super) sent: Option<Instant>,
    /// Whose turn it was, and what it was charged.
    pub(super) claim: (Claimant, u64),
}

/// What was spent of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// So much.
    Known(Cost),
    /// Not known: the reservation counts.
    Unknown,
    /// Nothing was sent.
    Nothing,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What it says of the backend.
    pub signal: Signal,
    /// The same in words.
    pub words: String,
    /// What it says of how much may be in flight.
    pub seen: Seen,
    /// When the first sign of an answer came.
    pub first_event: Option<Instant>,
    /// What was spent of the quota.
    pub spent: Spent,
    /// What counts as spent of the budget; none: all that was reserved, because nobody knows what was used.
    pub bill: Option<Amount>,
    /// The provider's limits.
    pub told: Option<Told>,
    /// For how long nothing may be sent, as the server said.
    pub pause: Option<Duration>,
    /// Whether the instance may answer another question.
    pub reusable: bool,
}

impl Ended {
    pub(super) fn new(end: &End, sent: Instant, now: Instant) -> Self {
        Self {
            seen: end.seen,
            took: now.saturating_duration_since(sent),
            first_token: end.first_event.map(|first| first.saturating_duration_since(sent)),
            retry_after: end.pause,
        }
    }
}

impl Admitted {
    pub(super) fn new(admission: Arc<Admission>, held: Held) -> Self {
        Self { admission, held: Some(held) }
    }

    /// The lease, to start its instance or to use it.
    pub fn lease(&mut self) -> Option<&mut Lease> {
        self.held.as_mut().map(|held| &mut held.lease)
    }

    /// What is reserved of the budget.
    pub fn reserved(&self) -> Amount {
        self.held.as_ref().map_or_else(Amount::default, |held| held.taken.reserved())
    }

    /// From now on its reservation may be spent.
    pub fn sending(&mut self) {
        if let Some(held) = &mut self.held {
            held.sent = Some(Instant::now());
        }
    }

    /// Whether it was sent.
    pub fn was_sent(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.sent.is_some())
    }

    /// Gives everything back, with what came of it.
    pub fn settle(mut self, end: End) {
        if let Some(held) = self.held.take() {
            self.admission.give_back(held, end);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        let sent = held.sent.is_some();
        let end = End {
            signal: Signal::Neutral,
            words: String::new(),
            seen: Seen::Neutral,
            first_event: None,
            spent: if sent { Spent::Unknown } else { Spent::Nothing },
            bill: (!sent).then(Amount::default),
            told: None,
            pause: None,
            reusable: !sent,
        };
        self.admission.give_back(held, end);
    }
}
