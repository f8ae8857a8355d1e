//! What earlier runs say: all of them together, two side by side, what a run will probably take, and whether it took
//! unusually much.

pub mod anomalies;
pub mod compare;
pub mod forecast;
pub mod stats;

use std::time::Duration;

use convoke_runtime::journal::{Journal, PastRun};

use crate::run::assess::Identity;
use anomalies::Anomaly;
use forecast::{Forecast, Now};

/// So many runs are read: of those some are of other projects.
const READ: usize = 120;

/// The runs before this one that are comparable with it, the newest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    runs: Vec<PastRun>,
    identity: Option<Identity>,
    mode: String,
}

impl History {
    /// The runs of the same command whose questions went where those of this one go. Where the journal can't tell, there
    /// are none: nothing depends on them.
    pub async fn of(journal: &Journal, command: &str, identity: &Identity, mode: &str) -> Self {
        let past = journal.past(command, identity.subcommand.as_deref(), READ).await.unwrap_or_default();
        Self::new(past, identity, mode)
    }

    fn new(past: Vec<PastRun>, identity: &Identity, mode: &str) -> Self {
        let is_comparable = |run: &PastRun| {
            run.route.as_deref() == Some(identity.route.as_str()) && run.census.pending == 0 && worked_on(run) > 0
        };
        let runs = past.into_iter().filter(is_comparable).collect();
        Self { runs, identity: Some(identity.clone()), mode: mode.to_owned() }
    }

    /// What a run will probably take. None: too little is known.
    pub fn forecast(&self, now: Now) -> Option<Forecast> {
        let identity = self.identity.as_ref()?;
        Forecast::of(&self.runs, identity, &self.mode, now)
    }

    /// How long a run will probably take. None: too little is known.
    pub fn expected(&self, now: Now) -> Option<Duration> {
        Forecast::wall_of(&self.runs, self.identity.as_ref()?, &self.mode, now)
    }

    /// What a run took unusually much of.
    pub fn anomalies(&self, took: &anomalies::Took) -> Vec<Anomaly> {
        let Some(identity) = &self.identity else { return Vec::new() };
        anomalies::find(&self.runs, identity, &self.mode, took)
    }
}

/// The items of a run that no earlier one had done.
fn worked_on(run: &PastRun) -> u64 {
    run.census.items.saturating_sub(run.census.cached)
}

#[cfg(test)]
pub(crate) mod samples {
    use std::time::Duration;

    use convoke_runtime::journal::RunId;
    use convoke_runtime::money::Usd;
    use convoke_runtime::work::Census;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    pub(crate) fn identity() -> Identity {
        Identity {
            plugin_digest: "00".to_owned(),
            subcommand: None,
            arguments: json!({}),
            route: "anthropic".to_owned(),
            project: "/project".to_owned(),
        }
    }

    /// A run of so many items by four workers that took so many seconds.
    pub(crate) fn past(items: u64, seconds: f64) -> PastRun {
        PastRun {
            id: RunId::new(),
            started: Timestamp::from_second(1_800_000_000).unwrap(),
            project: "/project".to_owned(),
            plugin_digest: "00".to_owned(),
            arguments: json!({}),
            mode: "balanced".to_owned(),
            route: Some("anthropic".to_owned()),
            census: Census { items, done: items, ..Census::default() },
            wall: Duration::from_secs_f64(seconds),
            work: Duration::from_secs_f64(seconds * 3.0),
            workers: 4,
            questions: items,
            input_tokens: items * 1_000,
            output_tokens: items * 100,
            usd: Usd::from_dollars(items as f64 * 0.01),
        }
    }
}
