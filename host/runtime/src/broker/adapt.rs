//! The limits of the accounts follow what comes back, and the machine.

use std::sync::{Arc, PoisonError};

use convoke_policy::{AdaptFacts, Decision, Facts, Load};

use super::decide::Noted;
use super::lanes::{Lane, Lanes};
use crate::event::Fact;
use crate::policy::Clock;
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
            let (noted, told) = self.adapt_one(lane, facts);
            let mut moved = told.iter().find_map(|fact| match fact {
                Fact::SafeModeChanged { reason, .. } => Some(reason.clone()),
                _ => None,
            });
            if let Some((facts, decided)) = noted {
                self.note(&facts, &decided).await;
            }
            for fact in told {
                self.tell(fact).await;
            }
            // Where the decision opened the breaker.
            for change in lane.admission.changes() {
                moved = Some(change.reason.clone());
                self.tell(change.fact()).await;
            }
            if let Some(reason) = moved {
                self.tell_level(&format!("{}: {reason}", lane.backend.name())).await;
            }
        }
    }

    fn adapt_one(&self, lane: &Lane, facts: AdaptFacts) -> (Option<Noted>, Vec<Fact>) {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (cpu_free, memory_free) = meter.map_or((None, None), |meter| meter());
        let account = lane.backend.name().to_owned();
        let in_force = self.policy().in_force();
        let load = Load { cpu_free, memory_free, ..facts.load };
        let mut facts = AdaptFacts { now: Clock::default().now(), account: account.clone(), load, ..facts };
        facts.built_in = adapt(&in_force.profile.adapt, &facts);
        let facts = Facts::Adapt(facts);
        let decided = self.policy().decide(&in_force, &facts);
        let Decision::Adapt(adapt) = &decided.decision else { return (None, Vec::new()) };
        let changed = lane.admission.adapt(adapt);
        let reason = adapt.reason.clone();
        let is_any = changed.is_any() || adapt.open_breaker;
        let mut told = Vec::new();
        if let Some((before, limit)) = changed.limit {
            told.push(Fact::LimitChanged { account: account.clone(), limit, before, reason: reason.clone() });
        }
        if let Some(safe) = changed.safe {
            self.set_safe(self.lanes.iter().any(|lane| lane.admission.standing().safe));
            if safe {
                let message = format!("{account} goes on as in safe mode for now: {reason}");
                told.push(Fact::Warned { message });
            }
            told.push(Fact::SafeModeChanged { account, safe, reason });
        }
        (is_any.then_some((facts, decided)), told)
    }
}
