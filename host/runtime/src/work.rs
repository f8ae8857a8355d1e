//! Work items, what becomes of them, and their census.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names and values for what a later version of the contract may add.
pub type Extra = Vec<(String, String)>;

/// The smallest thing that can be done, retried, cached and counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Unique in the run, and the same in the next run for the same thing.
    pub id: String,
    /// What the terminal shows.
    pub label: String,
    /// Items of one group go to one worker.
    pub group: Option<String>,
    /// The effort, relative to the other items; at least 1.
    pub weight: u64,
    /// What the plugin needs to know, a JSON text.
    pub input: String,
    /// The project paths that it will propose edits for.
    pub writes: Vec<String>,
    /// The ids of the items whose partials it needs.
    pub after: Vec<String>,
    /// Whether it may be started again after a crash in its middle.
    pub repeatable: bool,
    /// What it will probably ask.
    pub estimate: Option<Estimate>,
    /// What a later contract adds.
    pub extra: Extra,
}

/// What an item will probably ask, all its questions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// How many questions.
    pub questions: u32,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// How items are dealt to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// A group to a worker.
    ByGroup,
    /// The same number to each.
    Evenly,
    /// The same weight to each, heaviest first.
    #[default]
    ByWeight,
}

/// How partials become the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// One report; same fingerprint, same finding.
    #[default]
    Merge,
    /// Only metrics, each reduced by its own method.
    Reduce,
    /// All partials, as they are.
    Collect,
    /// As [`Collect`](Self::Collect), shown as they come.
    Stream,
}

/// All that is to be done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The items, in the plugin's order.
    pub items: Vec<Item>,
    /// How they are dealt.
    pub distribute: Distribution,
    /// How their partials are put together.
    pub aggregate: Aggregation,
    /// The item in whose name the plugin concludes.
    pub conclusion: Option<Item>,
    /// For the user, before anything runs.
    pub notes: Vec<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A blemish.
    Low,
    /// Should be mended.
    Medium,
    /// Must be mended.
    High,
    /// Must be mended now.
    Critical,
}

impl Severity {
    /// From the least to the worst.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in reports and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A rule: the same input gives the same finding.
    Rule,
    /// A model.
    Model,
}

/// Something found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The stable id of the rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a sentence.
    pub message: String,
    /// The file, relative to the project's folder, or as the user typed it.
    pub path: Option<String>,
    /// Counted from 1.
    pub line: Option<u32>,
    /// In characters, counted from 1.
    pub column: Option<u32>,
    /// Who found it.
    pub source: Source,
    /// What makes it the same finding in the next run. Never empty once the host has it.
    pub fingerprint: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How the values of a metric become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Added up.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The arithmetic mean.
    Mean,
}

/// A number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value; finite.
    pub value: f64,
    /// `agents`, `bytes`; empty for a plain number.
    pub unit: String,
    /// How values of several items become one.
    pub reduce: Reduction,
}

/// Replaces the bytes from `start` up to `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// What comes there.
    pub text: String,
}

/// What is done to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is made, with this text.
    Create(String),
    /// Parts of it are replaced: ascending, not overlapping.
    Replace(Vec<Replacement>),
    /// It is removed.
    Delete,
}

/// A proposal to change a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The file, relative to the project's folder.
    pub path: String,
    /// The sha-256, in hex, of the content it is made against; none for a file that must not exist.
    pub base: Option<String>,
    /// What is done.
    pub change: Change,
    /// Why.
    pub reason: String,
}

/// A proposal to change the world outside the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// `git-commit`, `pull-request`, `comment`.
    pub kind: String,
    /// What it is, in a line.
    pub title: String,
    /// What it does, by its kind.
    pub body: Value,
    /// Two actions with the same key are the same action.
    pub key: String,
}

/// A whole text that a run hands out: a list, a bill of materials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What a file with it would be called: a name without a folder.
    pub name: String,
    /// What it is: `text/plain`, `application/json`.
    pub media_type: String,
    /// All of it.
    pub text: String,
}

/// What a plugin reports for an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Numbers.
    pub metrics: Vec<Metric>,
    /// Proposed edits.
    pub edits: Vec<Edit>,
    /// Proposed actions.
    pub actions: Vec<Action>,
    /// Markdown.
    pub notes: Option<String>,
    /// For how many seconds a later run may reuse it; none: while all that was read is unchanged.
    pub lifetime_s: Option<u64>,
    /// Whole texts that are handed out as they are. Where there are none, nothing is written of them, so that what was
    /// written before there were any has the same digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
}

/// How a work item stands. Every item has exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum Outcome {
    /// Its plugin finished it, in this run.
    Done,
    /// An earlier run finished it, and nothing that it depends on has changed.
    Cached,
    /// Its plugin finished it, but a model should have answered and did not.
    Fallback(String),
    /// It could not be done.
    Failed(String),
    /// There was nothing to do for it.
    Skipped(String),
    /// It has not ended.
    Pending,
}

impl Outcome {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cached => "cached",
            Self::Fallback(_) => "fallback",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Pending => "pending",
        }
    }

    /// Why, where there is something to say.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Fallback(reason) | Self::Failed(reason) | Self::Skipped(reason) => Some(reason),
            Self::Done | Self::Cached | Self::Pending => None,
        }
    }

    /// Whether the item has ended.
    pub fn has_ended(&self) -> bool {
        *self != Self::Pending
    }
}

/// The count of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// All of them.
    pub items: u64,
    /// See [`Outcome::Done`].
    pub done: u64,
    /// See [`Outcome::Cached`].
    pub cached: u64,
    /// See [`Outcome::Fallback`].
    pub fallback: u64,
    /// See [`Outcome::Failed`].
    pub failed: u64,
    /// See [`Outcome::Skipped`].
    pub skipped: u64,
    /// See [`Outcome::Pending`].
    pub pending: u64,
}

impl Census {
    /// Counts. The sum of the parts is the number of items, by construction.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut census = Self::default();
        for outcome in outcomes {
            census.items += 1;
            *match outcome {
                Outcome::Done => &mut census.done,
                Outcome::Cached => &mut census.cached,
                Outcome::Fallback(_) => &mut census.fallback,
                Outcome::Failed(_) => &mut census.failed,
                Outcome::Skipped(_) => &mut census.skipped,
                Outcome::Pending => &mut census.pending,
            } += 1;
        }
        census
    }
}

/// How a run stands at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Every item is done, cached or skipped.
    Completed,
    /// Something failed, fell back unasked, or was left out.
    Degraded,
    /// A quota or budget is spent; the rest can be done later.
    Parked,
    /// Nothing could be done.
    Failed,
    /// The user stopped it.
    Interrupted,
}

impl Status {
    /// The status that a census has, where the run was neither interrupted nor parked.
    pub fn of(census: &Census) -> Self {
        let lost = census.failed + census.fallback + census.pending;
        if lost == 0 {
            Self::Completed
        } else if census.done + census.cached + census.skipped + census.fallback == 0 {
            Self::Failed
        } else {
            Self::Degraded
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Degraded => "degraded",
            Self::Parked => "parked",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_adds_up() {
        let outcomes = [
            Outcome::Done,
            Outcome::Done,
            Outcome::Cached,
            Outcome::Fallback("no model".to_owned()),
            Outcome::Failed("trapped".to_owned()),
            Outcome::Skipped("empty".to_owned()),
            Outcome::Pending,
        ];
        let census = Census::of(&outcomes);
        assert_eq!(census.items, 7);
        assert_eq!(
            census.done + census.cached + census.fallback + census.failed + census.skipped + census.pending,
            census.items
        );
    }

    #[test]
    fn any_loss_is_degraded_and_all_lost_is_failed() {
        let status = |outcomes: &[Outcome]| Status::of(&Census::of(outcomes));
        assert_eq!(status(&[]), Status::Completed);
        assert_eq!(status(&[Outcome::Done, Outcome::Cached, Outcome::Skipped(String::new())]), Status::Completed);
        assert_eq!(status(&[Outcome::Done, Outcome::Failed(String::new())]), Status::Degraded);
        assert_eq!(status(&[Outcome::Done, Outcome::Pending]), Status::Degraded);
        assert_eq!(status(&[Outcome::Fallback(String::new())]), Status::Degraded);
        assert_eq!(status(&[Outcome::Failed(String::new())]), Status::Failed);
    }
}
