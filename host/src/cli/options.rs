//! The options that every command has, whatever its plugin declares.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use convoke_runtime::money::Usd;

use super::error::CliError;
use crate::config::metrics::listen_address;
use crate::config::{Ab, Backend, By, Choices, FailOn, Mode, TierName, limits};
use crate::logs::{self, To};

/// How a command is run.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Running")]
pub(super) struct Options {
    /// Show the plan, and what it would cost; ask nothing
    #[arg(long)]
    pub dry_run: bool,

    /// With --dry-run: print every question as it would be sent
    #[arg(long, requires = "dry_run")]
    pub show_prompts: bool,

    /// Say of each item why it is done, or need not be
    #[arg(long)]
    pub explain: bool,

    /// Only what has changed since this git revision
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// At most this many workers and instances at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub instances: Option<u32>,

    /// How careful and how fast: safe, balanced or performance
    #[arg(long, value_name = "MODE")]
    pub mode: Option<Mode>,

    /// Who answers: anthropic (with ANTHROPIC_API_KEY), claude-cli (your own `claude` program, logged in), offline
    /// (nobody), or auto, the first of these that is there
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<Backend>,

    /// The model, whatever the question's tier
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// The tier of every question: speed or comprehensive
    #[arg(long, value_name = "TIER")]
    pub tier: Option<TierName>,

    /// Compare two tiers: each question goes to one of them, this share to the second. Like speed,comprehensive=20%
    #[arg(long, value_name = "TIERS", conflicts_with_all = ["tier", "model"])]
    pub ab: Option<Ab>,

    /// Spend at most this many dollars at list price; what is left to do then is kept for the next run
    #[arg(long, value_name = "USD", value_parser = limits::dollars)]
    pub budget_usd: Option<Usd>,

    /// What decides: a name in your policies folder, a path, or built-in. `convoke policy list` shows what there is
    #[arg(long, value_name = "NAME|PATH")]
    pub policy: Option<String>,

    /// Do everything again, also what an earlier run has done, and ask everything again
    #[arg(long)]
    pub fresh: bool,

    /// Neither use nor keep answers beyond this run
    #[arg(long, conflicts_with = "refresh")]
    pub no_cache: bool,

    /// Ask again what earlier runs were answered, and keep the new answers; what is done stays done, see --fresh
    #[arg(long)]
    pub refresh: bool,

    /// Carry out what the command proposes: its edits, all or none. They are shown first, and you are asked
    #[arg(long, conflicts_with_all = ["dry_run", "replay"])]
    pub apply: bool,

    /// With --apply: don't ask. Needed where nobody can be asked
    #[arg(long, short = 'y', requires = "apply")]
    pub yes: bool,

    /// Record the run in this folder, to be replayed; implies --fresh
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub record: Option<PathBuf>,

    /// Do a recorded run again, in any folder: without a model, a key or the project
    #[arg(long, value_name = "DIR", conflicts_with_all = ["record", "backend", "model", "since", "project", "policy"])]
    pub replay: Option<PathBuf>,

    /// The form of the report
    #[arg(long, value_name = "FORMAT", default_value = "human", help_heading = "Report")]
    pub format: Format,

    /// Also write a page with the timeline of the run, for a browser: to this file, or to the cache folder, and say where
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with = "dry_run",
        help_heading = "Report"
    )]
    pub timings: Option<Option<PathBuf>>,

    /// Write the report to this file instead of standard output
    #[arg(long, short, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,

    /// Exit with 1 when there is a finding at least this severe: info, low, medium, high, critical or never
    #[arg(long, value_name = "SEVERITY", help_heading = "Report")]
    pub fail_on: Option<FailOn>,

    /// Leave out the findings that this file holds
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub baseline: Option<PathBuf>,

    /// Write the findings of this run to a baseline
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub write_baseline: Option<PathBuf>,

    /// Serve the numbers of the run for Prometheus at this address while it runs: 127.0.0.1:9464, a port alone, or 0 for a
    /// free one
    #[arg(long, value_name = "ADDR", value_parser = listen_address, help_heading = "Watching")]
    pub metrics_addr: Option<SocketAddr>,

    /// Write the numbers of the run to this file at its end, as the text-file collector of Prometheus' node exporter reads
    /// them
    #[arg(long, value_name = "FILE", help_heading = "Watching")]
    pub metrics_file: Option<PathBuf>,

    /// Tell more: all findings, and what plugins log
    #[arg(long, short, action = clap::ArgAction::Count, help_heading = "Terminal")]
    pub verbose: u8,

    /// Tell less: no progress, and of the report for people only the sums
    #[arg(long, short, conflicts_with = "verbose", help_heading = "Terminal")]
    pub quiet: bool,

    #[command(flatten)]
    pub logs: LogOptions,

    /// Colours
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Terminal")]
    pub color: Color,

    /// The project's folder. Default: the nearest one above with convoke.toml or .git
    #[arg(long, short = 'C', value_name = "FOLDER", help_heading = "Terminal")]
    pub project: Option<PathBuf>,
}

impl Options {
    /// What of them stands above the configuration.
    pub(super) fn choices(&self) -> Choices {
        Choices {
            mode: self.mode,
            backend: self.backend,
            model: self.model.clone(),
            tier: self.tier,
            ab: self.ab,
            instances: self.instances,
            fail_on: self.fail_on,
            budget_usd: self.budget_usd,
            policy: self.policy.clone().map(|policy| (policy, By::Option)),
        }
    }
}

/// What is wanted of logs.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct LogOptions {
    /// Write logs, a line each, to the end of this file
    #[arg(long, value_name = "FILE", help_heading = "Terminal")]
    pub log_file: Option<PathBuf>,

    /// The form of logs; without --log-file they go to standard error, and the progress is not drawn
    #[arg(long, value_name = "FORMAT", help_heading = "Terminal")]
    pub log_format: Option<logs::Format>,

    /// Which logs: off, error, warn, info, debug or trace. Default: what CONVOKE_LOG has, else info where logs are wanted
    #[arg(long, value_name = "LEVEL", help_heading = "Terminal")]
    pub log_level: Option<String>,
}

impl LogOptions {
    /// Begins to log as it is wanted.
    pub(super) fn begin(&self) -> Result<To, CliError> {
        let wish = logs::Wish { format: self.log_format, file: self.log_file.clone(), level: self.log_level.clone() };
        let begun = wish.begin(|name| std::env::var(name).ok());
        begun.map_err(|error| CliError::usage(error.to_string()).hint(Some(error.hint())))
    }

    /// The same, but for what was typed later.
    pub(super) fn under(&self, later: Self) -> Self {
        Self {
            log_file: later.log_file.or_else(|| self.log_file.clone()),
            log_format: later.log_format.or(self.log_format),
            log_level: later.log_level.or_else(|| self.log_level.clone()),
        }
    }
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Human,
    /// For programs; `convoke schema report` describes it
    Json,
    /// For comments on pull requests
    Markdown,
    /// For code scanning, version 2.1.0
    Sarif,
    /// A page for a browser, with the timeline of the run, all in one file
    Html,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
