//! All runs together: how often, how long, how well, and for how much.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke_runtime::journal::{StatsQuestions, StatsRow, StatsRun};
use convoke_runtime::money::Usd;
use convoke_runtime::question::Usage;
use convoke_runtime::robust::{median, quantile};
use convoke_runtime::work::{Census, Status};
use schemars::JsonSchema;
use serde::Serialize;

use crate::report::UsageInfo;
use crate::report::schema::CensusCounts;

/// The version of this shape. A member is added, never removed or given another meaning.
pub const VERSION: u32 = 1;

/// What was run, and what it took.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "convoke stats")]
pub struct Stats {
    /// The version of this shape: 1.
    pub schema_version: u32,
    /// The absolute path of the project whose runs count; null: those of all projects.
    pub project: Option<String>,
    /// When the oldest of them began; null: there are none.
    pub since: Option<String>,
    /// The commands, each subcommand by itself, in the order of their names.
    pub commands: Vec<CommandStats>,
    /// What their questions took, by model.
    pub questions: Vec<QuestionStats>,
}

/// What was run of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CommandStats {
    /// What the user ran.
    pub command: String,
    /// And of that.
    pub subcommand: Option<String>,
    /// How many runs.
    pub runs: u64,
    /// How they stand.
    pub statuses: Statuses,
    /// The share of those not under way that are `completed`, 0.0 to 1.0; null: there are none.
    pub completed_share: Option<f64>,
    /// From start to end, in milliseconds: of runs that came to their end in one go, `completed` or `degraded`.
    pub wall_ms: Spread,
    /// By how much they were faster than one worker, where that was kept: the time of work by that from start to end.
    pub speedup: Spread,
    /// Their items.
    #[schemars(with = "CensusCounts")]
    pub items: Census,
    /// The share of them that an earlier run had done.
    pub cached_share: Option<f64>,
    /// How many attempts at items came to nothing.
    pub attempts_in_vain: u64,
    /// All questions.
    pub questions: u64,
    /// How often a question was sent again.
    pub retries: u64,
    /// What they took.
    pub usage: UsageInfo,
    /// What they may have cost beyond that, at most, in dollars.
    pub uncertain_usd: f64,
}

/// How runs stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Statuses {
    /// Everything is done.
    pub completed: u64,
    /// Something was lost.
    pub degraded: u64,
    /// A quota or budget was spent.
    pub parked: u64,
    /// Nothing was done.
    pub failed: u64,
    /// The user stopped it, or its process is gone.
    pub interrupted: u64,
    /// Under way.
    pub running: u64,
}

impl Statuses {
    fn count(&mut self, status: Option<Status>, is_running: bool) {
        *match status {
            Some(Status::Completed) => &mut self.completed,
            Some(Status::Degraded) => &mut self.degraded,
            Some(Status::Parked) => &mut self.parked,
            Some(Status::Failed) => &mut self.failed,
            None if is_running => &mut self.running,
            Some(Status::Interrupted) | None => &mut self.interrupted,
        } += 1;
    }

    /// Those that are not under way.
    pub fn ended(&self) -> u64 {
        self.completed + self.degraded + self.parked + self.failed + self.interrupted
    }
}

/// How values lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Spread {
    /// How many there are.
    pub runs: u64,
    /// The one in the middle; null: there are none.
    pub median: Option<f64>,
    /// Nine of ten are not above it.
    pub p90: Option<f64>,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        Self { runs: values.len() as u64, median: median(values).map(rounded), p90: quantile(values, 0.9).map(rounded) }
    }
}

/// What the questions of a command to a model took.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct QuestionStats {
    /// What the user ran; null: the ledger has what its runs cost, and they are not kept any more.
    pub command: Option<String>,
    /// And of that.
    pub subcommand: Option<String>,
    /// The model; empty where none was asked.
    pub model: String,
    /// Who was asked.
    pub backend: String,
    /// How many questions.
    pub questions: u64,
    /// Of these answered by a model.
    pub by_model: u64,
    /// By what was kept of an earlier answer.
    pub by_cache: u64,
    /// By their own fallback.
    pub by_fallback: u64,
    /// By nobody.
    pub failed: u64,
    /// The share that was answered by what was kept, 0.0 to 1.0.
    pub cache_share: f64,
    /// How often one was sent again.
    pub retries: u64,
    /// The share of the input that was read from the provider's prompt cache, 0.0 to 1.0; null: there was no input.
    pub prompt_cache_share: Option<f64>,
    /// What they took.
    pub usage: UsageInfo,
    /// What they may have cost beyond that, at most, in dollars.
    pub uncertain_usd: f64,
}

/// Adds it up. `is_running` says of a run without an end whether its process lives.
pub fn stats(rows: &StatsRow, project: Option<&str>, is_running: impl Fn(&StatsRun) -> bool) -> Stats {
    type Name<'a> = (&'a str, Option<&'a str>);
    let mut runs: BTreeMap<Name<'_>, Vec<&StatsRun>> = BTreeMap::new();
    for run in &rows.runs {
        runs.entry((&run.command, run.subcommand.as_deref())).or_default().push(run);
    }
    let mut attempts: BTreeMap<Name<'_>, u64> = BTreeMap::new();
    for (command, subcommand, count) in &rows.attempts {
        *attempts.entry((command, subcommand.as_deref())).or_default() += count;
    }
    let of_command = |(name, runs): (Name<'_>, Vec<&StatsRun>)| {
        let asked = || {
            let is_its_own =
                |row: &&StatsQuestions| (row.command.as_deref(), row.subcommand.as_deref()) == (Some(name.0), name.1);
            rows.questions.iter().filter(is_its_own)
        };
        let mut statuses = Statuses::default();
        runs.iter().for_each(|run| statuses.count(run.status, run.status.is_none() && is_running(run)));
        let whole = |run: &&&StatsRun| matches!(run.status, Some(Status::Completed | Status::Degraded));
        let walls = |run: &&StatsRun| run.wall.map(|wall| wall.as_secs_f64() * 1e3);
        let speedups = |run: &&StatsRun| {
            let (wall, work) =
                (run.wall.filter(|wall| !wall.is_zero())?, run.work.filter(|work| *work > Duration::ZERO)?);
            Some(work.as_secs_f64() / wall.as_secs_f64())
        };
        let of = |value: &dyn Fn(&&StatsRun) -> Option<f64>| {
            Spread::of(&runs.iter().filter(whole).filter_map(value).collect::<Vec<_>>())
        };
        let items = runs.iter().fold(Census::default(), |sum, run| added(sum, run.census));
        let mut usage = Usage::default();
        asked().for_each(|row| usage += row.usage);
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        CommandStats {
            command: name.0.to_owned(),
            subcommand: name.1.map(str::to_owned),
            runs: runs.len() as u64,
            statuses,
            completed_share: share(statuses.completed, statuses.ended()),
            wall_ms: of(&walls),
            speedup: of(&speedups),
            items,
            cached_share: share(items.cached, items.items),
            attempts_in_vain: attempts.get(&name).copied().unwrap_or_default(),
            questions: asked().map(|row| row.questions).sum(),
            retries: asked().map(|row| row.retries).sum(),
            usage: usage.into(),
            uncertain_usd: asked().map(|row| row.uncertain).sum::<Usd>().dollars(),
        }
    };
    Stats {
        schema_version: VERSION,
        project: project.map(str::to_owned),
        since: rows.runs.iter().map(|run| run.started).min().map(|since| since.to_string()),
        commands: runs.into_iter().map(of_command).collect(),
        questions: rows.questions.iter().map(QuestionStats::from).collect(),
    }
}

impl From<&StatsQuestions> for QuestionStats {
    fn from(row: &StatsQuestions) -> Self {
        let usage = &row.usage;
        let input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
        Self {
            command: row.command.clone(),
            subcommand: row.subcommand.clone(),
            model: row.model.clone(),
            backend: row.backend.clone(),
            questions: row.questions,
            by_model: row.by_model,
            by_cache: row.by_cache,
            by_fallback: row.by_fallback,
            failed: row.questions.saturating_sub(row.by_model + row.by_cache + row.by_fallback),
            cache_share: row.by_cache as f64 / row.questions.max(1) as f64,
            retries: row.retries,
            prompt_cache_share: (input > 0).then(|| usage.cache_read_tokens as f64 / input as f64),
            usage: row.usage.into(),
            uncertain_usd: row.uncertain.dollars(),
        }
    }
}

fn added(one: Census, other: Census) -> Census {
    Census {
        items: one.items + other.items,
        done: one.done + other.done,
        cached: one.cached + other.cached,
        fallback: one.fallback + other.fallback,
        failed: one.failed + other.failed,
        skipped: one.skipped + other.skipped,
        pending: one.pending + other.pending,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use convoke_runtime::journal::RunId;
    use jiff::Timestamp;

    use super::*;

    pub(crate) fn run(status: Option<Status>, wall_ms: u64, cached: u64) -> StatsRun {
        StatsRun {
            id: RunId::new(),
            command: "deps".to_owned(),
            subcommand: Some("audit".to_owned()),
            started: Timestamp::from_second(1_800_000_000).unwrap(),
            status,
            census: Census { items: 10, done: 9 - cached, cached, failed: 1, ..Census::default() },
            wall: Some(Duration::from_millis(wall_ms)),
            work: Some(Duration::from_millis(wall_ms * 3)),
        }
    }

    pub(crate) fn questions(command: Option<&str>, model: &str) -> StatsQuestions {
        StatsQuestions {
            command: command.map(str::to_owned),
            subcommand: command.map(|_| "audit".to_owned()),
            model: model.to_owned(),
            backend: "anthropic".to_owned(),
            questions: 100,
            by_model: 70,
            by_cache: 25,
            by_fallback: 3,
            retries: 7,
            usage: Usage {
                requests: 77,
                input_tokens: 1_000,
                cache_read_tokens: 3_000,
                output_tokens: 500,
                usd: Usd::from_dollars(1.5),
                ..Usage::default()
            },
            uncertain: Usd::ZERO,
        }
    }

    /// Ten that ended, one that runs, one that was killed, and a ledger line of one that is gone.
    pub(crate) fn rows() -> StatsRow {
        let mut runs: Vec<StatsRun> = (1..=8).map(|number| run(Some(Status::Completed), number * 1_000, 2)).collect();
        runs.push(run(Some(Status::Degraded), 60_000, 0));
        runs.push(run(Some(Status::Parked), 100, 0));
        runs.extend([run(None, 0, 0), run(None, 0, 0)]);
        let asked = vec![questions(Some("deps"), "a-model"), questions(None, "an-old-model")];
        StatsRow { runs, questions: asked, attempts: vec![("deps".to_owned(), Some("audit".to_owned()), 4)] }
    }

    #[test]
    fn what_was_run_is_added_up() {
        let rows = rows();
        let living = rows.runs[10].id;
        let stats = stats(&rows, None, |run| run.id == living);
        let [audit] = &stats.commands[..] else { panic!("one command: {stats:?}") };
        let expected = Statuses { completed: 8, degraded: 1, parked: 1, failed: 0, interrupted: 1, running: 1 };
        assert_eq!((audit.runs, audit.statuses), (12, expected));
        assert_eq!(audit.completed_share, Some(8.0 / 11.0), "what is under way says nothing yet");
        assert_eq!((audit.wall_ms.runs, audit.wall_ms.median, audit.wall_ms.p90), (9, Some(5_000.0), Some(60_000.0)));
        assert_eq!((audit.speedup.median, audit.items.items, audit.attempts_in_vain), (Some(3.0), 120, 4));
        assert_eq!((audit.questions, audit.retries, audit.usage.usd), (100, 7, 1.5), "what is gone is not its own");
        assert_eq!((stats.questions[0].failed, stats.questions[0].prompt_cache_share), (2, Some(0.75)));
    }

    #[test]
    fn without_runs_nothing_is_made_up() {
        let none = stats(&StatsRow::default(), Some("/p"), |_| false);
        assert_eq!((none.commands.len(), none.since), (0, None));
        let killed = StatsRow { runs: vec![run(None, 0, 0)], ..StatsRow::default() };
        let killed = stats(&killed, None, |_| false);
        assert_eq!((killed.commands[0].wall_ms.median, killed.commands[0].completed_share), (None, Some(0.0)));
    }
}
