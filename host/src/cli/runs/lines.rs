//! The shapes in which runs are written for programs. `convoke schema export` publishes them; a member is added, never
//! removed or given another meaning.

use convoke_runtime::journal::{ActionRow, AttemptRow, DecisionRow, ItemRow, ModelRow, QuestionRow, RunSummary};
use convoke_runtime::policy::Decision;
use convoke_runtime::work::Census;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::report::UsageInfo;
use crate::report::schema::CensusCounts;

/// The version of these shapes.
pub(super) const VERSION: u32 = 1;

/// A line of an export.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "A line of `convoke runs export`")]
pub(super) struct Line {
    /// The version of this shape: 1.
    pub schema_version: u32,
    /// What the line tells of.
    #[serde(flatten)]
    pub what: What,
}

impl From<What> for Line {
    fn from(what: What) -> Self {
        Self { schema_version: VERSION, what }
    }
}

/// What a line tells of. Those of a run follow its own: its items, its questions, its actions, its decisions.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum What {
    /// A run.
    Run(Box<RunLine>),
    /// A work item.
    Item(Box<ItemLine>),
    /// A question, as the money ledger has it.
    Question(Box<QuestionLine>),
    /// What the user had carried out outside the files, or would have.
    Action(Box<ActionLine>),
    /// What a policy decided.
    Decision(Box<DecisionLine>),
    /// The last line: without it an export is not whole.
    End(EndLine),
}

/// A run.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunLine {
    /// Its id.
    pub id: String,
    /// What the user ran.
    pub command: String,
    /// And of that.
    pub subcommand: Option<String>,
    /// The words behind the program's name as they were typed, where that is known.
    pub words: Option<Vec<String>>,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The sha-256 of its component, in hex.
    pub plugin_digest: String,
    /// The arguments as the plugin got them.
    pub arguments: Value,
    /// The absolute path of the project's folder.
    pub project: String,
    /// `safe`, `balanced` or `performance`.
    pub mode: String,
    /// Who answered.
    pub backend: String,
    /// `completed`, `degraded`, `parked`, `failed` or `interrupted`; without an end `running` while its process lives,
    /// else `interrupted`.
    pub status: &'static str,
    /// When it began.
    pub started: String,
    /// When it ended; null: it did not.
    pub ended: Option<String>,
    /// From its beginning to its end.
    pub took_ms: Option<u64>,
    /// How often it was continued after it had stopped.
    pub continued: u32,
    /// The count of its items: without an end, of those that are written.
    #[schemars(with = "CensusCounts")]
    pub census: Census,
    /// All its questions together.
    pub usage: UsageInfo,
    /// What they may have cost beyond that, at most, in dollars.
    pub uncertain_usd: f64,
}

impl From<&RunSummary> for RunLine {
    fn from(summary: &RunSummary) -> Self {
        let (run, end) = (&summary.row.run, &summary.row.end);
        Self {
            id: run.id.to_string(),
            command: run.command.clone(),
            subcommand: run.subcommand.clone(),
            words: run.typed.as_ref().map(|typed| typed.words.clone()),
            plugin: run.plugin_name.clone(),
            plugin_version: run.plugin_version.clone(),
            plugin_digest: run.plugin_digest.clone(),
            arguments: run.arguments.clone(),
            project: run.project.clone(),
            mode: run.mode.clone(),
            backend: run.backend.clone(),
            status: summary.standing.name(),
            started: run.started.to_string(),
            ended: end.as_ref().map(|end| end.ended.to_string()),
            took_ms: super::took_ms(summary),
            continued: summary.row.continued,
            census: summary.census,
            usage: summary.usage.into(),
            uncertain_usd: summary.uncertain.dollars(),
        }
    }
}

/// A work item.
#[derive(Serialize, JsonSchema)]
pub(super) struct ItemLine {
    /// The id of its run.
    pub run: String,
    /// Its id, unique in the run.
    pub id: String,
    /// What the terminal shows.
    pub label: String,
    /// By which a later run finds its result: a sha-256, in hex.
    pub key: String,
    /// Its number in the run.
    pub number: usize,
    /// The id of the item that added it; null for a planned one.
    pub parent: Option<String>,
    /// `done`, `cached`, `fallback`, `failed`, `skipped` or `pending`.
    pub outcome: &'static str,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// What it came to, as the journal has it: findings, metrics, edits, actions, notes.
    pub partial: Option<Value>,
    /// What it read, and so depends on: files, listings, searches and what was missing, each with its digest.
    pub reads: Vec<Value>,
    /// The id of the run whose result was used again.
    pub reused: Option<String>,
    /// How long it was in a worker's hands.
    pub took_ms: Option<u64>,
    /// How many workers had it.
    pub attempts: Option<u32>,
    /// What its plugin wrote for it.
    pub log: String,
    /// When it ended.
    pub ended: Option<String>,
    /// The attempts at it that came to nothing.
    pub tried: Vec<AttemptLine>,
}

/// An attempt that came to nothing.
#[derive(Serialize, JsonSchema)]
pub(super) struct AttemptLine {
    /// Which one of the item's it was, counted from 1.
    pub number: u32,
    /// The number of the worker in whose hands it was.
    pub worker: Option<usize>,
    /// `died`: its worker did. `aside`: it failed in a way that passes. `again`: it was done again by a run that was
    /// continued.
    pub became: &'static str,
    /// Why.
    pub reason: String,
    /// What its plugin wrote for it.
    pub log: String,
    /// How long it was in hands.
    pub took_ms: u64,
    /// When it ended.
    pub ended: String,
}

impl ItemLine {
    pub(super) fn of(run: &str, row: &ItemRow) -> Self {
        let (item, end) = (&row.item, row.end.as_ref());
        let json = |value: serde_json::Result<Value>| value.unwrap_or(Value::Null);
        Self {
            run: run.to_owned(),
            id: item.id.clone(),
            label: item.label.clone(),
            key: item.key.0.to_string(),
            number: item.ordinal,
            parent: item.parent.clone(),
            outcome: end.map_or("pending", |end| end.outcome.name()),
            reason: end.and_then(|end| end.outcome.reason()).map(str::to_owned),
            partial: end.and_then(|end| end.partial.as_ref()).map(|partial| json(serde_json::to_value(partial))),
            reads: end.iter().flat_map(|end| end.reads.iter()).map(|read| json(serde_json::to_value(read))).collect(),
            reused: end.and_then(|end| end.reused).map(|run| run.to_string()),
            took_ms: end.map(|end| millis(end.took)),
            attempts: end.map(|end| end.attempts),
            log: end.map(|end| end.log.clone()).unwrap_or_default(),
            ended: end.map(|end| end.ended.to_string()),
            tried: row.tried.iter().map(AttemptLine::from).collect(),
        }
    }
}

impl From<&AttemptRow> for AttemptLine {
    fn from(row: &AttemptRow) -> Self {
        Self {
            number: row.number,
            worker: row.worker,
            became: row.became.name(),
            reason: row.reason.clone(),
            log: row.log.clone(),
            took_ms: millis(row.took),
            ended: row.ended.to_string(),
        }
    }
}

/// A question, as the money ledger has it.
#[derive(Serialize, JsonSchema)]
pub(super) struct QuestionLine {
    /// The id of its run.
    pub run: String,
    /// The id of the item that asked it.
    pub item: String,
    /// Who was to answer.
    pub role: String,
    /// The tier it was meant for; empty where it was written before there were tiers.
    pub tier: String,
    /// The tier whose model answered.
    pub answered_tier: Option<String>,
    /// The model it was routed to; empty where there was none.
    pub model: String,
    /// Who was asked.
    pub backend: String,
    /// How often it was sent.
    pub attempts: u32,
    /// How often it was asked again after a failure.
    pub retries: u32,
    /// `model`, `cache`, `fallback`, or the kind of the failure.
    pub outcome: String,
    /// What it took, all attempts together.
    pub usage: UsageInfo,
    /// Whether a subscription pays for `model`: the dollars are then list price, and not billed. Null: it was not written.
    pub notional: Option<bool>,
    /// What it may have cost beyond that, at most, in dollars.
    pub uncertain_usd: f64,
    /// Who took what of it, where several models had a part in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<ShareLine>,
    /// When it was asked.
    pub asked: String,
    /// How long it waited for quota, permit and instance.
    pub waited_ms: u64,
    /// From sending to the first sign of the answer.
    pub first_ms: Option<u64>,
    /// From asking to the end.
    pub took_ms: u64,
}

/// What a model took of a question.
#[derive(Serialize, JsonSchema)]
pub(super) struct ShareLine {
    /// The model.
    pub model: String,
    /// Who was asked.
    pub backend: String,
    /// What it took.
    pub usage: UsageInfo,
    /// Whether a subscription pays: the dollars are then list price, and not billed.
    pub notional: Option<bool>,
    /// What it may have cost beyond that, at most, in dollars.
    pub uncertain_usd: f64,
}

impl From<&ModelRow> for ShareLine {
    fn from(row: &ModelRow) -> Self {
        Self {
            model: row.model.clone(),
            backend: row.backend.clone(),
            usage: row.usage.into(),
            notional: row.notional,
            uncertain_usd: row.uncertain.dollars(),
        }
    }
}

impl From<&QuestionRow> for QuestionLine {
    fn from(row: &QuestionRow) -> Self {
        Self {
            run: row.run.to_string(),
            item: row.item.clone(),
            role: row.role.clone(),
            tier: row.tier.clone(),
            answered_tier: row.answered_tier.clone(),
            model: row.model.clone(),
            backend: row.backend.clone(),
            attempts: row.attempts,
            retries: row.retries,
            outcome: row.outcome.clone(),
            usage: row.usage.into(),
            notional: row.notional,
            uncertain_usd: row.uncertain.dollars(),
            shares: row.shares.iter().map(ShareLine::from).collect(),
            asked: row.asked.to_string(),
            waited_ms: millis(row.waited),
            first_ms: row.first.map(millis),
            took_ms: millis(row.took),
        }
    }
}

/// What the user had carried out outside the files, or would have.
#[derive(Serialize, JsonSchema)]
pub(super) struct ActionLine {
    /// The id of the run that proposed it last, or had it carried out.
    pub run: String,
    /// The id of the item that proposed it.
    pub item: String,
    /// In the project, two actions with the same key are the same action.
    pub key: String,
    /// What kind of action.
    pub action: String,
    /// What it is, in a line.
    pub title: String,
    /// What it does: JSON as a text.
    pub body: String,
    /// `proposed`, `started`, `done`, `failed` or `unknown`.
    pub state: &'static str,
    /// When it was proposed.
    pub proposed: String,
    /// When its program was started last.
    pub started: Option<String>,
    /// When that ended.
    pub ended: Option<String>,
    /// When the user said how it stands.
    pub settled: Option<String>,
    /// What its program said.
    pub exit_code: Option<i32>,
    /// Why it stands so, where there is something to say.
    pub reason: String,
    /// The end of what it printed.
    pub output: String,
    /// The end of what it wrote to stderr.
    pub errors: String,
}

impl From<&ActionRow> for ActionLine {
    fn from(row: &ActionRow) -> Self {
        let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
        Self {
            run: row.action.run.to_string(),
            item: row.action.item.clone(),
            key: row.action.key.clone(),
            action: row.action.kind.clone(),
            title: row.action.title.clone(),
            body: row.action.body.clone(),
            state: row.state.name(),
            proposed: row.action.at.to_string(),
            started: time(row.started),
            ended: time(row.ended),
            settled: time(row.settled),
            exit_code: row.exit_code,
            reason: row.reason.clone(),
            output: row.output.clone(),
            errors: row.errors.clone(),
        }
    }
}

/// What a policy decided.
#[derive(Serialize, JsonSchema)]
pub(super) struct DecisionLine {
    /// The id of its run.
    pub run: String,
    /// The question's number in its process; null: it was decided for the run.
    pub question: Option<u64>,
    /// When.
    pub at: String,
    /// `size`, `route`, `admit`, `recover`, `adapt` or `watch`.
    pub decided: &'static str,
    /// The policy's name.
    pub policy: String,
    /// Which one of its process it was, counted from 1.
    pub generation: u64,
    /// What was decided, as the policy's contract has it.
    pub decision: Value,
}

impl From<&DecisionRow> for DecisionLine {
    fn from(row: &DecisionRow) -> Self {
        let decision = match &row.decision {
            Decision::Size(decision) => serde_json::to_value(decision),
            Decision::Route(decision) => serde_json::to_value(decision),
            Decision::Admit(decision) => serde_json::to_value(decision),
            Decision::Recover(decision) => serde_json::to_value(decision),
            Decision::Adapt(decision) => serde_json::to_value(decision),
            Decision::Watch(decision) => serde_json::to_value(decision),
        };
        Self {
            run: row.run.to_string(),
            question: row.question,
            at: row.at.to_string(),
            decided: row.facts.kind().name(),
            policy: row.policy.to_string(),
            generation: row.generation,
            decision: decision.unwrap_or(Value::Null),
        }
    }
}

/// The last line of an export.
#[derive(Serialize, JsonSchema)]
pub(super) struct EndLine {
    /// So many runs were written.
    pub runs: u64,
    /// So many lines, this one not counted.
    pub lines: u64,
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
