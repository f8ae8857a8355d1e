//! What a run has to say, and how it is shown.
//!
//! [`Report`] is the one value that every renderer and the exit code take, so that they can't disagree. It is made by
//! [`build`] from the items and their partials, and is itself the JSON report: its serialised form is the published,
//! versioned format (`convoke schema report`).
//!
//! - [`proposal`]: edits and actions, and what has become of them;
//! - [`merge`]: partials become one; [`edits`]: proposals for the same file; [`fingerprint`]: what makes a finding the
//!   same in the next run;
//! - [`documents`]: whole texts that are handed out as they are;
//! - [`suppress`], [`comment`], [`baseline`]: what is not to be shown again;
//! - [`attempts`]: what was tried before an item ended; [`alerts`]: what was not as it should be;
//! - [`explain`]: why each item is done, or need not be; [`go_on`]: how a run that has not done all is continued;
//! - [`cost`]: what it cost, and what is left of the budgets; [`timing`]: how long it took, and what held it up;
//! - [`human`], [`json`], [`markdown`], [`sarif`]: the renderers; [`clean`]: text from strangers made harmless;
//! - [`kept`]: a report in the journal, and back;
//! - [`together`]: several commands in one document; [`verdict`]: how a run stands; [`exit`]: the exit codes.

pub mod alerts;
pub mod attempts;
pub mod baseline;
pub mod build;
pub mod clean;
pub mod comment;
pub mod comparison;
pub mod cost;
pub mod documents;
pub mod edits;
pub mod exit;
pub mod explain;
pub mod fingerprint;
pub mod go_on;
pub mod human;
pub mod json;
pub mod kept;
pub mod markdown;
pub mod merge;
pub mod proposal;
pub mod sarif;
pub mod schema;
pub mod suppress;
pub mod timing;
pub mod together;
pub mod verdict;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod samples;

use std::collections::HashMap;

use convoke_runtime::question::Usage;
use convoke_runtime::work::{Census, Reduction, Severity, Source, Status};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::anomalies::Anomaly;
pub use alerts::AlertInfo;

pub use attempts::{AttemptEnd, FailureCount, ItemAttempts, LevelInfo, QuestionsInfo};
pub use build::{Facts, ItemFacts, WorkerFacts, build};
pub use comparison::{Arm, Comparison};
pub use cost::Cost;
pub use documents::Document;
pub use exit::{ExitCode, exit_code};
pub use proposal::{Action, ActionState, ApplyInfo, ApplyOutcome, Edit, EditState};
pub use timing::{BottleneckInfo, SlowestInfo, Timing};

/// The version of the JSON report. It grows by new members; what would break a reader makes the next one.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of one run of a convoke command.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "convoke report")]
pub struct Report {
    /// The version of this format. A reader refuses a newer one, and ignores members it doesn't know.
    pub schema_version: u32,
    /// What ran.
    pub run: RunInfo,
    /// How the run stands.
    #[schemars(with = "schema::StatusName")]
    pub status: Status,
    /// The exit code that this run ends with: 0, 1, 2, 3, 4, 5 or 130.
    #[schemars(with = "u8")]
    pub exit_code: ExitCode,
    /// How its items stand. The parts add up to `items`.
    #[schemars(with = "schema::CensusCounts")]
    pub census: Census,
    /// The items by their groups, in the order of the plan. Empty where the command has no groups.
    pub groups: Vec<Group>,
    /// Who did the work.
    pub workers: Vec<Worker>,
    /// What was found, the worst first. Suppressed findings are among them, and marked.
    pub findings: Vec<Finding>,
    /// How many findings were suppressed, and by what.
    pub suppressed: SuppressedCounts,
    /// Numbers.
    pub metrics: Vec<Metric>,
    /// Proposed changes of files, one a file unless they clash.
    pub edits: Vec<Edit>,
    /// Proposed changes of the world outside the files.
    pub actions: Vec<Action>,
    /// What the command has to say beside its findings.
    pub notes: Vec<Note>,
    /// Whole texts that the command hands out, in the order of its items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
    /// What was used, as the provider counted it.
    pub usage: UsageInfo,
    /// What of the plan was to be done, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<explain::Explain>,
    /// Two tiers side by side, if `--ab` compared them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What that cost, beside what was thought before, and the budgets.
    pub cost: Cost,
    /// How long it took.
    pub timing: Timing,
    /// The items that failed: as many as the census says.
    pub failures: Vec<FailureInfo>,
    /// The items that needed more than one attempt, however they ended.
    pub attempts: Vec<ItemAttempts>,
    /// How the run went otherwise than it should, and when. It begins as `full`.
    pub levels: Vec<LevelInfo>,
    /// What was not as it should be while it went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertInfo>,
    /// What the run took unusually much of, beside the last ones like it. Each stands among the warnings too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anomalies: Vec<Anomaly>,
    /// What was changed from outside while it ran, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<ControlInfo>,
    /// What the user should know about the run itself.
    pub warnings: Vec<String>,
    /// What came of carrying the edits out, where that was asked for and there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply: Option<ApplyInfo>,
    /// What the run has left in the audit log, and where that ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditInfo>,
    /// Only for those who render: whether the edits were shown before.
    #[serde(skip)]
    pub(crate) previewed: bool,
    /// From which severity on findings count for the exit code; none: they don't.
    #[serde(skip)]
    pub(crate) fail_on: Option<Severity>,
    /// Only for those who render: the groups of the items.
    #[serde(skip)]
    pub(crate) group_of_item: HashMap<String, String>,
    /// Only for those who render: whether the run is written down so that it can be continued.
    #[serde(skip)]
    pub(crate) continuable: bool,
}

impl Report {
    /// The findings that are not suppressed.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }

    /// The group of an item.
    pub fn group_of(&self, item: &str) -> Option<&str> {
        self.group_of_item.get(item).map(String::as_str)
    }

    /// Whether no model was asked, because the offline backend answered.
    pub fn is_offline(&self) -> bool {
        self.run.backend == "offline" && self.usage.requests == 0
    }
}

/// Something that was changed from outside while the run went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlInfo {
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// By whom, as the system knows them: `alice, process 4711, ctl`.
    pub by: String,
    /// What was wished: `pause`, `limit 4`, `cancel agents/a.md`.
    pub what: String,
    /// What came of it.
    pub became: String,
}

/// What ran.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunInfo {
    /// The run's id, as other subcommands take it.
    pub id: String,
    /// The command: `agent-audit`.
    pub command: String,
    /// What implements it.
    pub plugin: PluginInfo,
    /// `safe`, `balanced` or `performance`.
    pub mode: String,
    /// Who answered questions: `offline`, `anthropic`; several, where tiers have their own: `offline+anthropic`.
    pub backend: String,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started: Timestamp,
    /// How often it was continued after it had stopped. What it used and cost is that of all parts together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub continued: u32,
    /// What the user typed, as an object by the names in the command's manifest.
    pub arguments: Value,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A plugin.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The sha-256 of the component, in hex.
    pub digest: String,
}

/// The items of a group.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// Its name; null for items without a group in a run that has groups.
    pub name: Option<String>,
    /// How many items it has.
    pub items: u64,
    /// Its findings that are not suppressed.
    pub findings: Counts,
    /// How its items stand.
    #[schemars(with = "schema::CensusCounts")]
    pub census: Census,
}

/// Findings by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Must be mended now.
    pub critical: u64,
    /// Must be mended.
    pub high: u64,
    /// Should be mended.
    pub medium: u64,
    /// A blemish.
    pub low: u64,
    /// Worth knowing.
    pub info: u64,
}

impl Counts {
    /// Counts the findings that are not suppressed.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings.into_iter().filter(|finding| finding.suppressed.is_none()) {
            *counts.of_mut(finding.severity) += 1;
        }
        counts
    }

    /// Those of one severity.
    pub fn get(self, severity: Severity) -> u64 {
        let mut counts = self;
        *counts.of_mut(severity)
    }

    /// All of them.
    pub fn total(self) -> u64 {
        Severity::ALL.into_iter().map(|severity| self.get(severity)).sum()
    }

    fn of_mut(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Info => &mut self.info,
        }
    }
}

/// A worker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// Its number, from 0.
    pub id: u64,
    /// The group or groups that it was dealt.
    pub segment: String,
    /// How many items it finished.
    pub items: u64,
    /// For how many milliseconds it had an item in its hands.
    pub work_ms: u64,
    /// Why it died, if it did. Its unfinished items went to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died: Option<String>,
}

/// Something found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The stable id of the rule.
    pub rule: String,
    /// How bad it is, after the project's overrides.
    #[schemars(with = "schema::SeverityName")]
    pub severity: Severity,
    /// What it is, in a sentence.
    pub message: String,
    /// The file, relative to the project's folder, or as the user typed it.
    pub path: Option<String>,
    /// Counted from 1.
    pub line: Option<u32>,
    /// In characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The id of the item that found it.
    pub item: String,
    /// Who found it.
    #[schemars(with = "schema::SourceName")]
    pub source: Source,
    /// What makes it the same finding in the next run, wherever its line has moved to.
    pub fingerprint: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where else the same was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Place>,
    /// Why it is not shown, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file.
    pub path: Option<String>,
    /// Counted from 1.
    pub line: Option<u32>,
    /// The id of the item that found it there.
    pub item: String,
}

/// Why a finding is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suppressed {
    /// What suppressed it.
    pub by: SuppressedBy,
    /// The reason given there.
    pub reason: String,
}

/// What can suppress a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SuppressedBy {
    /// A comment in the file.
    Comment,
    /// A `[[suppress]]` of `convoke.toml`.
    Config,
    /// The rule is off in `convoke.toml`.
    Severity,
    /// It stands in the baseline.
    Baseline,
}

/// How many findings were suppressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressedCounts {
    /// All of them.
    pub total: u64,
    /// By a comment in the file.
    pub comment: u64,
    /// By a `[[suppress]]` of `convoke.toml`.
    pub config: u64,
    /// By switching their rule off.
    pub severity: u64,
    /// By the baseline.
    pub baseline: u64,
    /// Findings of the baseline that were not found any more. Counted only where the whole project was looked at and
    /// every item ended well.
    pub baseline_gone: u64,
}

impl SuppressedCounts {
    /// Counts.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for suppressed in findings.into_iter().filter_map(|finding| finding.suppressed.as_ref()) {
            counts.total += 1;
            *match suppressed.by {
                SuppressedBy::Comment => &mut counts.comment,
                SuppressedBy::Config => &mut counts.config,
                SuppressedBy::Severity => &mut counts.severity,
                SuppressedBy::Baseline => &mut counts.baseline,
            } += 1;
        }
        counts
    }
}

/// A number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// `agents`, `bytes`; empty for a plain number.
    pub unit: String,
    /// How values of several items become one.
    #[schemars(with = "schema::ReductionName")]
    pub reduce: Reduction,
    /// How many values it was made of.
    pub values: u64,
    /// The id of the item it belongs to, where the command collects metrics instead of reducing them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
}

/// Something said beside the findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// The id of the item; null where it is about the whole run.
    pub item: Option<String>,
    /// Markdown.
    pub text: String,
    /// The item is the conclusion, which speaks of the whole run: people are shown it always.
    #[serde(skip)]
    pub concludes: bool,
}

/// What a run has left in the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditInfo {
    /// How many records of it were written. Those that belong to no run, such as grants, are not among them.
    pub records: u64,
    /// How many could not be written.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lost: u64,
    /// The number of the last record of the log when the run had ended.
    pub last_sequence: u64,
    /// The hash of that record. Kept elsewhere, it shows later that nothing before it was changed:
    /// `convoke audit verify --from-hash`.
    pub last_hash: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageInfo {
    /// Requests sent, retries included.
    pub requests: u32,
    /// Input tokens that were neither read from nor written to the provider's prompt cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's prompt cache.
    pub cache_write_tokens: u64,
    /// US dollars at list price.
    pub usd: f64,
}

impl UsageInfo {
    /// Adds what an earlier part of the run used.
    pub fn add(&mut self, earlier: Self) {
        self.requests = self.requests.saturating_add(earlier.requests);
        self.input_tokens = self.input_tokens.saturating_add(earlier.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(earlier.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(earlier.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(earlier.cache_write_tokens);
        self.usd += earlier.usd;
    }
}

impl From<Usage> for UsageInfo {
    fn from(usage: Usage) -> Self {
        Self {
            requests: usage.requests,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_tokens: usage.cache_read_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            usd: usage.usd.dollars(),
        }
    }
}

/// An item that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureInfo {
    /// Its id.
    pub item: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The attempts, in their order, the last one included.
    pub tried: Vec<AttemptInfo>,
    /// What its questions came to; absent where it asked none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<QuestionsInfo>,
    /// The last that its plugin wrote to its log and to stderr.
    pub log: String,
}

/// An attempt at an item that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptInfo {
    /// Which one of the item's it was, counted from 1.
    pub number: u32,
    /// The worker that had the item; null for one of an earlier part of the run.
    pub worker: Option<u64>,
    /// What became of it.
    pub became: AttemptEnd,
    /// Why.
    pub reason: String,
    /// How long the item was in the worker's hands, in milliseconds.
    pub took_ms: u64,
}

/// What is known of a rule, from the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its stable id.
    pub id: String,
    /// How bad its findings usually are.
    pub severity: Severity,
    /// What it finds, in a line.
    pub summary: String,
}
