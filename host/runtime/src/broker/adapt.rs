//! The limits of the accounts follow what comes back, and the machine.

use std::sync::{Arc, PoisonError};

use convoke_policy::{AdaptFacts, Decision, Facts, Load, Now};
use jiff::Zoned;

use super::lanes::{Lane, Lanes};
use crate::event::Fact;
use crate::policy::Decided;
use crate::policy::builtin::adapt;

/// Measures the shares of processors and memory that are free, each if it is known.
pub type Meter = Arc<dyn Fn() -> (Option<f64>, Option<f64>) + Send + Sync>;

impl Lanes {
    /// From now on the machine counts where limits are decided on. It is asked on each decision: it should be quick.
    pub fn watch_machine(&self, meter: Meter) {
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(meter);
    }

    /// Decides what is due, carries it out and tells it. A policy decides while no lock is held.
    pub(super) async fn adapt(&self) {
        for lane in &self.lanes {
            // Between taking the facts and carrying the decision out there is no await: nothing due is lost by being
            // dropped.
            let Some(facts) = lane.admission.due() else { continue };
            for fact in self.adapt_one(lane, facts) {
                self.tell(fact).await;
            }
            // Where the decision opened the breaker.
            for change in lane.admission.changes() {
                self.tell(Fact::BreakerChanged { state: change.state, reason: change.reason }).await;
            }
        }
    }

    fn adapt_one(&self, lane: &Lane, facts: AdaptFacts) -> Vec<Fact> {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (cpu_free, memory_free) = meter.map_or((None, None), |meter| meter());
        let account = lane.backend.name().to_owned();
        let in_force = self.policy().in_force();
        let load = Load { cpu_free, memory_free, ..facts.load };
        let mut facts = AdaptFacts { now: now(), account: account.clone(), load, ..facts };
        facts.built_in = adapt(&in_force.profile.adapt, &facts);
        let decided = self.policy().decide(&in_force, &Facts::Adapt(facts));
        let Decided { decision: Decision::Adapt(adapt), by, generation } = decided else { return Vec::new() };
        let changed = lane.admission.adapt(&adapt);
        let reason = adapt.reason;
        let mut told = Vec::new();
        if changed.is_any() || adapt.open_breaker {
            let question = None;
            let policy = by.to_string();
            let decision = match (changed.limit, adapt.open_breaker) {
                (Some((_, limit)), _) => format!("at most {limit} at {account}"),
                (None, true) => format!("the breaker of {account} opens"),
                (None, false) => format!("{account}: safe mode {}", if adapt.safe { "begins" } else { "ends" }),
            };
            told.push(Fact::Decided { question, kind: "adapt", policy, generation, decision, reason: reason.clone() });
        }
        if let Some((before, limit)) = changed.limit {
            told.push(Fact::LimitChanged { account: account.clone(), limit, before, reason: reason.clone() });
        }
        if let Some(safe) = changed.safe {
            if safe {
                let message = format!("{account} goes on as in safe mode for now: {reason}");
                told.push(Fact::Warned { message });
            }
            told.push(Fact::SafeModeChanged { account, safe, reason });
        }
        told
    }
}

/// The time of a decision.
fn now() -> Now {
    let now = Zoned::now();
    let unix_ms = u64::try_from(now.timestamp().as_millisecond()).unwrap_or(0);
    let small = |number: i8| u8::try_from(number).unwrap_or(0);
    Now::new(unix_ms, small(now.hour()), small(now.minute()), small(now.weekday().to_monday_one_offset()))
}
