//! Between the contract's types and the runtime's, with the checks that a stranger's values need.

mod documents;

use std::borrow::Cow;

use convoke_runtime::question::{AnsweredBy, Failure, FailureKind, Question, Reply, StreamEvent, Tier};
use convoke_runtime::work::{
    Action, Aggregation, Census, Change, Distribution, Edit, Estimate, Finding, Item, Metric, Partial, Reduction,
    Replacement, Severity, Source, Work,
};

use super::bindings::convoke::plugin::{log, project as wit_project, types as wit};
use super::imports::Task;
use super::project::{Entry, Found, Kind, ProjectError, Query, SearchQuery, editable};
use super::{printable, sha256_hex};
use crate::report::clean;

/// The longest id of an item, in bytes: a path can be as long.
const LONGEST_ID: usize = 4_096;
/// The longest label or name of a group, in characters; the rest is cut off.
const LONGEST_NAME: usize = 200;
/// The longest message or advice of a finding, in characters; the rest is cut off.
const LONGEST_MESSAGE: usize = 10_000;
/// The longest notes of an item, in characters; the rest is cut off.
const LONGEST_NOTES: usize = 200_000;

/// A text of a stranger, cut to so many characters.
fn bounded(text: String, most: usize) -> String {
    match clean::bounded(&text, most) {
        Cow::Owned(short) => short,
        Cow::Borrowed(_) => text,
    }
}

/// The host will not do what a plugin asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What, and why.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
}

impl Refused {
    /// Without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }
}

impl From<Refused> for wit::Error {
    fn from(refused: Refused) -> Self {
        Self { message: refused.message, hint: refused.hint }
    }
}

/// How a plugin ends an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With a result.
    Done(Partial),
    /// Because it could not be done. What was found until then is kept.
    Failed(String, Partial),
    /// Because there was nothing to do.
    Skipped(String, Partial),
}

// Plan -----------------------------------------------------------------------------------------------------------------

pub(super) fn item_to_wit(item: &Item) -> wit::Item {
    wit::Item {
        id: item.id.clone(),
        label: item.label.clone(),
        group: item.group.clone(),
        weight: item.weight,
        input: item.input.clone(),
        writes: item.writes.clone(),
        after: item.after.clone(),
        repeatable: item.repeatable,
        estimate: item.estimate.map(|estimate| wit::Estimate {
            questions: estimate.questions,
            input_tokens: estimate.input_tokens,
            output_tokens: estimate.output_tokens,
        }),
        extra: item.extra.clone(),
    }
}

pub(super) fn item_from_wit(item: wit::Item) -> Result<Item, Refused> {
    if item.id.is_empty() {
        return Err(Refused::new("an item has no id"));
    }
    if item.id.len() > LONGEST_ID {
        let start = printable(&item.id, 80);
        return Err(Refused::new(format!("the id {start} has {} bytes, more than {LONGEST_ID}", item.id.len())));
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&item.input) {
        return Err(Refused::new(format!("the input of item {:?} is not JSON: {error}", item.id)));
    }
    Ok(Item {
        label: bounded(if item.label.is_empty() { item.id.clone() } else { item.label }, LONGEST_NAME),
        id: item.id,
        group: item.group.filter(|group| !group.is_empty()).map(|group| bounded(group, LONGEST_NAME)),
        weight: item.weight.max(1),
        input: item.input,
        writes: item.writes,
        after: item.after,
        repeatable: item.repeatable,
        estimate: item.estimate.map(|estimate| Estimate {
            questions: estimate.questions,
            input_tokens: estimate.input_tokens,
            output_tokens: estimate.output_tokens,
        }),
        extra: item.extra,
    })
}

pub(super) fn work_from_wit(work: wit::Work) -> Result<Work, Refused> {
    Ok(Work {
        items: work.items.into_iter().map(item_from_wit).collect::<Result<_, _>>()?,
        distribute: match work.distribute {
            wit::Distribution::ByGroup => Distribution::ByGroup,
            wit::Distribution::Evenly => Distribution::Evenly,
            wit::Distribution::ByWeight => Distribution::ByWeight,
            wit::Distribution::Other(name) => return Err(unknown("distribution", &name)),
        },
        aggregate: match work.aggregate {
            wit::Aggregation::Merge => Aggregation::Merge,
            wit::Aggregation::Reduce => Aggregation::Reduce,
            wit::Aggregation::Collect => Aggregation::Collect,
            wit::Aggregation::Stream => Aggregation::Stream,
            wit::Aggregation::Other(name) => return Err(unknown("aggregation", &name)),
        },
        conclusion: work.conclusion.map(item_from_wit).transpose()?,
        notes: work.notes,
    })
}

fn unknown(what: &str, name: &str) -> Refused {
    Refused { message: format!("this host knows no {what} {name:?}"), hint: Some("a newer convoke may".to_owned()) }
}

// Questions ------------------------------------------------------------------------------------------------------------

pub(super) fn question_from_wit(question: wit::Question) -> Result<Question, Failure> {
    let invalid = |message: String| Failure::new(FailureKind::Invalid, message);
    let schema = question
        .schema
        .map(|schema| {
            serde_json::from_str(&schema)
                .map_err(|error| invalid(format!("the question's schema is not JSON: {error}")))
        })
        .transpose()?;
    Ok(Question {
        role: question.role,
        system: question.system,
        prompt: question.prompt,
        context: question.context,
        schema,
        tier: match question.tier {
            wit::Tier::Speed => Tier::Speed,
            wit::Tier::Comprehensive => Tier::Comprehensive,
            // An unknown tier is a wish that this host can't know: it decides.
            wit::Tier::Auto | wit::Tier::Other(_) => Tier::Auto,
        },
        tools: question.tools,
        max_output_tokens: question.max_output_tokens,
        priority: question.priority.min(9),
        repeatable: question.repeatable,
        fallback: question.fallback,
    })
}

pub(super) fn reply_to_wit(reply: Reply) -> wit::Reply {
    wit::Reply {
        text: reply.text,
        by: match reply.by {
            AnsweredBy::Model(model) => wit::AnsweredBy::Model(model),
            AnsweredBy::Cache(model) => wit::AnsweredBy::Cache(model),
            AnsweredBy::Fallback(reason) => wit::AnsweredBy::Fallback(reason),
        },
        usage: wit::Usage {
            requests: reply.usage.requests,
            input_tokens: reply.usage.input_tokens,
            cache_read_tokens: reply.usage.cache_read_tokens,
            cache_write_tokens: reply.usage.cache_write_tokens,
            output_tokens: reply.usage.output_tokens,
            usd: reply.usage.usd.dollars(),
        },
        extra: Vec::new(),
    }
}

pub(super) fn failure_to_wit(failure: &Failure) -> wit::Failure {
    let kind = match failure.kind {
        FailureKind::Invalid | FailureKind::TooLarge => wit::FailureKind::Invalid,
        FailureKind::Refused | FailureKind::OffSchema => wit::FailureKind::Refused,
        FailureKind::LimitReached { .. } | FailureKind::BudgetSpent | FailureKind::Auth => wit::FailureKind::Exhausted,
        FailureKind::Denied | FailureKind::Secret | FailureKind::NotRecorded => wit::FailureKind::Denied,
        FailureKind::Cancelled | FailureKind::Journal => wit::FailureKind::Cancelled,
        FailureKind::RateLimited
        | FailureKind::Overloaded
        | FailureKind::Server
        | FailureKind::Network
        | FailureKind::TimedOut
        | FailureKind::Stalled
        | FailureKind::Cut
        | FailureKind::Malformed
        | FailureKind::RanAway
        | FailureKind::NotAdmitted
        | FailureKind::Died
        | FailureKind::NoModel => wit::FailureKind::Unavailable,
    };
    wit::Failure { kind, message: failure.message.clone(), extra: Vec::new() }
}

pub(super) fn event_to_wit(event: StreamEvent) -> Option<wit::Event> {
    match event {
        StreamEvent::Started | StreamEvent::Thinking => None,
        StreamEvent::Text(text) => Some(wit::Event::Text(text)),
        StreamEvent::Restarted(reason) => Some(wit::Event::Restarted(reason)),
        StreamEvent::Tool { name, .. } => Some(wit::Event::Tool(name)),
    }
}

// Results --------------------------------------------------------------------------------------------------------------

pub(super) fn ending_from_wit(partial: wit::Partial, task: &Task) -> Result<Ending, Refused> {
    let result = Partial {
        findings: partial.findings.into_iter().map(finding_from_wit).collect::<Result<_, _>>()?,
        metrics: partial.metrics.into_iter().map(metric_from_wit).collect::<Result<_, _>>()?,
        edits: partial.edits.into_iter().map(|edit| edit_from_wit(edit, task)).collect::<Result<_, _>>()?,
        actions: partial.actions.into_iter().map(action_from_wit).collect::<Result<_, _>>()?,
        notes: partial.notes.filter(|notes| !notes.trim().is_empty()).map(|notes| bounded(notes, LONGEST_NOTES)),
        lifetime_s: partial.lifetime_s,
        documents: documents::from_extra(partial.extra)?,
    };
    match partial.outcome {
        wit::Outcome::Done => Ok(Ending::Done(result)),
        wit::Outcome::Failed(reason) => Ok(Ending::Failed(reason, result)),
        wit::Outcome::Skipped(reason) => Ok(Ending::Skipped(reason, result)),
        wit::Outcome::Other(name) => Err(unknown("outcome", &name)),
    }
}

fn finding_from_wit(finding: wit::Finding) -> Result<Finding, Refused> {
    if finding.rule.is_empty()
        || !finding.rule.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/'))
    {
        return Err(Refused {
            message: format!("a finding has the rule {:?}", finding.rule),
            hint: Some("a rule's id is in kebab case".to_owned()),
        });
    }
    let fingerprint = finding.fingerprint.filter(|fingerprint| !fingerprint.is_empty()).unwrap_or_default();
    Ok(Finding {
        rule: finding.rule,
        severity: match finding.severity {
            wit::Severity::Info => Severity::Info,
            wit::Severity::Low => Severity::Low,
            wit::Severity::Medium => Severity::Medium,
            wit::Severity::High => Severity::High,
            wit::Severity::Critical => Severity::Critical,
        },
        message: bounded(finding.message, LONGEST_MESSAGE),
        path: finding.path,
        line: finding.line.filter(|line| *line > 0),
        column: finding.column.filter(|column| *column > 0),
        source: match finding.source {
            wit::Source::Rule => Source::Rule,
            // Whoever it is, it is not a rule: somebody should look.
            wit::Source::Model | wit::Source::Other(_) => Source::Model,
        },
        fingerprint,
        help: finding.help.map(|help| bounded(help, LONGEST_MESSAGE)),
    })
}

fn metric_from_wit(metric: wit::Metric) -> Result<Metric, Refused> {
    if !metric.value.is_finite() {
        return Err(Refused::new(format!("the metric {:?} is {}", metric.name, metric.value)));
    }
    Ok(Metric {
        name: metric.name,
        value: metric.value,
        unit: metric.unit,
        reduce: match metric.reduce {
            wit::Reduction::Sum => Reduction::Sum,
            wit::Reduction::Min => Reduction::Min,
            wit::Reduction::Max => Reduction::Max,
            wit::Reduction::Mean => Reduction::Mean,
            wit::Reduction::Other(name) => return Err(unknown("reduction", &name)),
        },
    })
}

/// An edit's base is what its item read, unless the plugin says otherwise.
fn edit_from_wit(mut edit: wit::Edit, task: &Task) -> Result<Edit, Refused> {
    edit.path = editable(&edit.path).map_err(|error| Refused {
        message: format!("an edit can't be proposed: {error}"),
        hint: error.hint().map(str::to_owned),
    })?;
    let (change, base) = match edit.change {
        wit::Change::Create(text) => (Change::Create(text), edit.base),
        wit::Change::Replace(parts) => {
            let parts: Vec<Replacement> = parts
                .into_iter()
                .map(|part| Replacement { start: part.start, end: part.end, text: part.text })
                .collect();
            if parts.iter().any(|part| part.start > part.end)
                || parts.windows(2).any(|pair| pair[0].end > pair[1].start)
            {
                return Err(Refused::new(format!("the replacements in {} are not in order or overlap", edit.path)));
            }
            (Change::Replace(parts), Some(base_of(edit.base, &edit.path, task)?))
        }
        wit::Change::Delete => (Change::Delete, Some(base_of(edit.base, &edit.path, task)?)),
        wit::Change::Other(name) => return Err(unknown("change", &name)),
    };
    Ok(Edit { path: edit.path, base, change, reason: edit.reason })
}

fn base_of(given: Option<String>, path: &str, task: &Task) -> Result<String, Refused> {
    given.or_else(|| read_digest(task, path)).ok_or_else(|| Refused {
        message: format!("an edit of {path}, which the item has not read"),
        hint: Some("read the file in the name of the task, or give the edit its base".to_owned()),
    })
}

/// The digest of what an item read at a path.
fn read_digest(task: &Task, path: &str) -> Option<String> {
    task.recorder.read_set().digest_of(path).map(|digest| digest.to_string())
}

fn action_from_wit(action: wit::Action) -> Result<Action, Refused> {
    let body = serde_json::from_str(&action.body)
        .map_err(|error| Refused::new(format!("the body of the action {:?} is not JSON: {error}", action.title)))?;
    let key = if action.key.is_empty() {
        sha256_hex(format!("{}\0{}\0{}", action.kind, action.title, action.body).as_bytes())
    } else {
        action.key
    };
    Ok(Action { kind: action.kind, title: action.title, body, key })
}

pub(super) fn partial_to_wit(partial: &Partial) -> wit::Partial {
    wit::Partial {
        outcome: wit::Outcome::Done,
        findings: partial.findings.iter().map(finding_to_wit).collect(),
        metrics: partial.metrics.iter().map(metric_to_wit).collect(),
        edits: partial.edits.iter().map(edit_to_wit).collect(),
        actions: partial
            .actions
            .iter()
            .map(|action| wit::Action {
                kind: action.kind.clone(),
                title: action.title.clone(),
                body: action.body.to_string(),
                key: action.key.clone(),
                extra: Vec::new(),
            })
            .collect(),
        notes: partial.notes.clone(),
        lifetime_s: partial.lifetime_s,
        extra: documents::to_extra(&partial.documents),
    }
}

fn finding_to_wit(finding: &Finding) -> wit::Finding {
    wit::Finding {
        rule: finding.rule.clone(),
        severity: match finding.severity {
            Severity::Info => wit::Severity::Info,
            Severity::Low => wit::Severity::Low,
            Severity::Medium => wit::Severity::Medium,
            Severity::High => wit::Severity::High,
            Severity::Critical => wit::Severity::Critical,
        },
        message: finding.message.clone(),
        path: finding.path.clone(),
        line: finding.line,
        column: finding.column,
        source: match finding.source {
            Source::Rule => wit::Source::Rule,
            Source::Model => wit::Source::Model,
        },
        fingerprint: Some(finding.fingerprint.clone()).filter(|fingerprint| !fingerprint.is_empty()),
        help: finding.help.clone(),
        extra: Vec::new(),
    }
}

fn metric_to_wit(metric: &Metric) -> wit::Metric {
    wit::Metric {
        name: metric.name.clone(),
        value: metric.value,
        unit: metric.unit.clone(),
        reduce: match metric.reduce {
            Reduction::Sum => wit::Reduction::Sum,
            Reduction::Min => wit::Reduction::Min,
            Reduction::Max => wit::Reduction::Max,
            Reduction::Mean => wit::Reduction::Mean,
        },
    }
}

fn edit_to_wit(edit: &Edit) -> wit::Edit {
    wit::Edit {
        path: edit.path.clone(),
        base: edit.base.clone(),
        change: match &edit.change {
            Change::Create(text) => wit::Change::Create(text.clone()),
            Change::Replace(parts) => wit::Change::Replace(
                parts
                    .iter()
                    .map(|part| wit::Replacement { start: part.start, end: part.end, text: part.text.clone() })
                    .collect(),
            ),
            Change::Delete => wit::Change::Delete,
        },
        reason: edit.reason.clone(),
        extra: Vec::new(),
    }
}

/// What the conclusion sees: the aggregate, the census, and each item's notes.
pub(super) fn aggregate_to_wit(census: &Census, whole: &Partial, notes: &[(String, String)]) -> wit::Aggregate {
    let counted = [
        ("items", census.items),
        ("done", census.done),
        ("cached", census.cached),
        ("fallback", census.fallback),
        ("failed", census.failed),
        ("skipped", census.skipped),
        ("pending", census.pending),
    ];
    wit::Aggregate {
        census: counted.map(|(name, count)| (name.to_owned(), u32::try_from(count).unwrap_or(u32::MAX))).to_vec(),
        findings: whole.findings.iter().map(finding_to_wit).collect(),
        metrics: whole.metrics.iter().map(metric_to_wit).collect(),
        edits: whole.edits.iter().map(edit_to_wit).collect(),
        notes: notes.to_vec(),
        extra: Vec::new(),
    }
}

// Project and log ------------------------------------------------------------------------------------------------------

pub(super) fn query_from_wit(query: wit_project::Query) -> Query {
    Query {
        under: query.under,
        include: query.include,
        exclude: query.exclude,
        hidden: query.hidden,
        ignored: query.ignored,
    }
}

pub(super) fn pattern_from_wit(pattern: wit_project::Pattern) -> SearchQuery {
    SearchQuery {
        regex: pattern.regex,
        ignore_case: pattern.ignore_case,
        files: query_from_wit(pattern.files),
        limit: pattern.limit,
    }
}

pub(super) fn entry_to_wit(entry: &Entry) -> wit_project::Entry {
    wit_project::Entry { path: entry.path.clone(), kind: kind_to_wit(entry.kind), size: entry.size }
}

pub(super) fn kind_to_wit(kind: Kind) -> wit_project::Kind {
    match kind {
        Kind::File => wit_project::Kind::File,
        Kind::Folder => wit_project::Kind::Folder,
        Kind::Link => wit_project::Kind::Link,
        Kind::Other => wit_project::Kind::Other,
    }
}

pub(super) fn match_to_wit(found: &Found) -> wit_project::Match {
    wit_project::Match { path: found.path.clone(), line: found.line, text: found.text.clone() }
}

pub(super) fn project_error(error: ProjectError) -> wit::Error {
    wit::Error { message: error.to_string(), hint: error.hint().map(str::to_owned) }
}

pub(super) fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Debug => "debug",
        log::Level::Info => "info",
        log::Level::Warn => "warn",
        log::Level::Error => "error",
    }
}
