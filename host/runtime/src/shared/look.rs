//! What is shared, for who only looks: nothing is made and nothing is changed.

use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;

use super::error::SharedError;
use super::file::{Content, StateFile};
use super::state::State;
use super::{Clock, SPAWNS, presence};
use crate::money::Usd;
use crate::quota::kept::{Moment, NAMES};
use crate::quota::rate::{Rate, Size};

/// How long one who looks waits for those who write.
const PATIENCE: Duration = Duration::from_secs(2);

/// How everything stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// All buckets.
    pub buckets: Vec<BucketView>,
    /// Instances in use by all processes.
    pub instances: u64,
    /// The processes that live.
    pub processes: Vec<ProcessView>,
    /// What the day and the month have cost; none: no process of this boot has said.
    pub spent: Option<SpentView>,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketView {
    /// Whose: `account anthropic …`, `quota nightly`, `github_api`, `spawns`.
    pub of: String,
    /// What it counts: `requests`, `input tokens`, `output tokens`, `usd`.
    pub counts: &'static str,
    /// What it holds; where it counts dollars: picodollars, here and below.
    pub size: u64,
    /// In which time an empty one fills.
    pub per: Duration,
    /// What is free. Below zero: more was used than had been reserved.
    pub left: i128,
    /// What questions under way hold.
    pub held: u64,
    /// When it is full, if nobody takes anything.
    pub full_in: Duration,
    /// Who waits for it.
    pub waiting: Vec<WaitingView>,
}

impl BucketView {
    /// One that nobody has taken from.
    pub fn full(of: String, counts: &'static str, rate: &Rate) -> Self {
        let Size { amount: size, per } = rate.size();
        let (left, held, full_in) = (rate.free(), rate.held(), rate.full_in());
        Self { of, counts, size, per, left, held, full_in, waiting: Vec::new() }
    }
}

/// Who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingView {
    /// The command.
    pub command: String,
    /// Its process.
    pub pid: u32,
    /// For what: a bucket, `instances` or `budget`.
    pub what: String,
    /// How long.
    pub since: Duration,
}

/// A process that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// Its id.
    pub pid: u32,
    /// The instances that it has in use.
    pub instances: u64,
    /// What it has reserved of the budget.
    pub reserved: Usd,
    /// Which of its commands wait.
    pub waiting: Vec<WaitingView>,
}

/// What was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentView {
    /// The day (UTC).
    pub day: Date,
    /// In that day.
    pub of_day: Usd,
    /// In its month.
    pub of_month: Usd,
    /// What is reserved beside it.
    pub reserved: Usd,
    /// Whether it holds what was spent before the machine booted.
    pub whole: bool,
}

/// Looks. None: no process has shared anything since the machine booted.
///
/// # Errors
/// See [`SharedError`].
pub fn look(folder: &Path, clock: &Clock, boot: &str) -> Result<Option<Overview>, SharedError> {
    let Some(mut file) = StateFile::look(folder)? else { return Ok(None) };
    let moment = clock.moment();
    file.lock_shared(PATIENCE)?;
    let read = file.read::<State>(None);
    // Under the lock: one that is about to begin has its own file by then.
    let state = match read {
        Ok(Content::State(mut state, _)) if state.boot == boot => {
            let gone: Vec<String> = state.holders.keys().filter(|id| !presence::lives(folder, id)).cloned().collect();
            for id in gone {
                state.bury(&id, moment.nanos);
            }
            Ok(Some(state))
        }
        Ok(_) => Ok(None),
        Err(error) => Err(error),
    };
    file.unlock();
    Ok(state?.map(|state| overview(&state, moment)))
}

fn overview(state: &State, moment: Moment) -> Overview {
    let processes: Vec<ProcessView> = state
        .holders
        .values()
        .map(|holder| {
            let waiting = holder.waiting.values().map(|waiting| WaitingView {
                command: waiting.command.clone(),
                pid: holder.pid,
                what: waiting.what.clone(),
                since: Duration::from_nanos(moment.nanos.saturating_sub(waiting.since)),
            });
            ProcessView {
                pid: holder.pid,
                instances: holder.instances,
                reserved: Usd::from_pico(holder.usd),
                waiting: waiting.collect(),
            }
        })
        .collect();
    let waiting_for = |what: &str| -> Vec<WaitingView> {
        processes.iter().flat_map(|process| &process.waiting).filter(|waiting| waiting.what == what).cloned().collect()
    };
    let mut buckets = Vec::new();
    for (account, kept) in &state.accounts {
        for (bucket, counts) in kept.buckets.iter().zip(NAMES) {
            let (Some(limit), Some(left), Some(full_in)) =
                (bucket.limit, bucket.free(moment.nanos), bucket.full_in(moment.nanos))
            else {
                continue;
            };
            let size = bucket.size;
            let waiting = waiting_for(&format!("{account}: {counts}"));
            let per = Duration::from_secs_f64(60.0 * size as f64 / limit.max(1) as f64);
            let (of, held) = (format!("account {account}"), bucket.held);
            buckets.push(BucketView { of, counts, size, per, left, held, full_in, waiting });
        }
    }
    for (key, rate) in &state.rates {
        let mut rate = *rate;
        rate.tick(moment.nanos);
        buckets.push(of_rate(key, &rate, &waiting_for));
    }
    Overview {
        buckets,
        instances: state.instances(),
        spent: state.spend.as_ref().map(|spend| SpentView {
            day: spend.today,
            of_day: Usd::from_pico(spend.day),
            of_month: Usd::from_pico(spend.month),
            reserved: processes.iter().map(|process| process.reserved).sum(),
            whole: spend.whole,
        }),
        processes,
    }
}

fn of_rate(key: &str, rate: &Rate, waiting_for: &impl Fn(&str) -> Vec<WaitingView>) -> BucketView {
    let (of, counts, what) = match key.strip_prefix("quota/").and_then(|rest| rest.rsplit_once('/')) {
        Some((name, kind)) => {
            let counts = crate::quota::scoped::KIND_NAMES.into_iter().find(|name| *name == kind);
            (format!("quota {name}"), counts.unwrap_or("requests"), format!("{name}: {kind}"))
        }
        None => {
            let name = key.strip_prefix("named/").unwrap_or(key);
            (name.to_owned(), "requests", key.to_owned())
        }
    };
    let counts = if key == SPAWNS { "processes" } else { counts };
    BucketView { waiting: waiting_for(&what), ..BucketView::full(of, counts, rate) }
}
