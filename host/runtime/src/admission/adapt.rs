//! The limit of the account: what is to be decided on it, and what comes of that.

use std::sync::Arc;

use convoke_policy::{Adapt, AdaptFacts, BreakerState, Load};
use tokio::time::Instant;

use super::Admission;
use crate::limiter::Changed;

impl Admission {
    /// The facts of a decision about the limit that is due, without the machine. They are handed out once: who takes them
    /// decides, without holding a lock, and [`adapt`](Self::adapt)s.
    pub fn due(&self) -> Option<AdaptFacts> {
        let mut state = self.lock();
        let facts = state.limiter.due(Instant::now())?;
        let load = Load { waiting: state.queue.len() as u64, breaker: breaker(state.breaker.state()), ..facts.load };
        Some(AdaptFacts { load, ..facts })
    }

    /// Whether the breaker lets all through, and whether the account is treated as in safe mode.
    pub fn health(&self) -> (bool, bool) {
        let state = self.lock();
        (state.breaker.state() == "closed", state.limiter.is_safe())
    }

    /// How the account stands, for other decisions; without the machine.
    pub fn load(&self) -> Load {
        let mut state = self.lock();
        let load = state.limiter.load(Instant::now());
        Load { waiting: state.queue.len() as u64, breaker: breaker(state.breaker.state()), ..load }
    }

    /// Carries a decision about the limit out. What is in flight above it goes on; idle instances above it are ended.
    pub fn adapt(self: &Arc<Self>, decided: &Adapt) -> Changed {
        let now = Instant::now();
        let mut state = self.lock();
        let changed = state.limiter.apply(decided, now);
        if decided.open_breaker {
            let change = state.breaker.open(now, &decided.reason);
            state.changes.extend(change);
        }
        let limit = state.limiter.limit();
        let discarded = state.pool.set_bound(limit);
        let mut afterwards = self.serve(&mut state);
        drop(state);
        afterwards.discarded.extend(discarded);
        afterwards.carry_out();
        changed
    }
}

fn breaker(state: &str) -> BreakerState {
    match state {
        "open" => BreakerState::Open,
        "half-open" => BreakerState::HalfOpen,
        _ => BreakerState::Closed,
    }
}
