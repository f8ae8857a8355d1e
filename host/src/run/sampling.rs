//! How things stand, told from time to time while a run goes on.

use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::{AccountSample, BudgetSample, Fact, Sample};
use convoke_runtime::machine::Meter;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::shared::Shared;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Tells it until it is ended.
pub(super) struct Sampling {
    shared: Arc<Shared>,
    meter: Arc<Meter>,
    ticking: JoinHandle<()>,
}

impl Sampling {
    pub(super) fn begin(shared: &Arc<Shared>, meter: Arc<Meter>) -> Self {
        let (told, measured) = (shared.clone(), meter.clone());
        let ticking = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                tell(&told, &measured);
            }
        });
        Self { shared: shared.clone(), meter, ticking }
    }

    /// Tells how things stand at the end, and nothing more.
    pub(super) fn end(self) {
        self.ticking.abort();
        tell(&self.shared, &self.meter);
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}

fn tell(shared: &Shared, meter: &Meter) {
    shared.events.mention(Fact::Sampled(Box::new(sample(shared, meter))));
}

fn sample(shared: &Shared, meter: &Meter) -> Sample {
    let (cpu, memory) = meter.in_a_run();
    let used = |free: f64| (1.0 - free).clamp(0.0, 1.0);
    let lanes = shared.answers.broker().lanes();
    let account = |(name, standing): (&'static str, convoke_runtime::admission::Standing)| AccountSample {
        account: name.into(),
        waiting: standing.waiting,
        in_flight: standing.in_flight,
        limit: standing.limit,
        idle: standing.idle,
        breaker: standing.breaker.into(),
        free: standing.free,
    };
    let budget = |standing: convoke_runtime::budget::Standing| BudgetSample {
        budget: standing.limit.name().into(),
        spent: if standing.size == 0 { 1.0 } else { standing.spent as f64 / standing.size as f64 },
    };
    Sample {
        cpu: cpu.map(used),
        memory: memory.map(used),
        accounts: lanes.standing().into_iter().map(account).collect(),
        retries_left: lanes.retries_left(),
        budgets: shared.answers.broker().budget().standing().into_iter().map(budget).collect(),
    }
}
