//! What the journal holds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::key::Digest;
use super::{ItemKey, ModelRow};
use crate::broker::{DecisionRecord, QuestionRecord};
use crate::money::Usd;
use crate::policy::{Decision, Facts};
use crate::question::Usage;
use crate::work::{Census, Outcome, Partial, Status};

/// A run's id, a UUID of version 7: later runs sort after earlier ones.
///
/// Shown whole, `0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4`, where a program reads it; where a person does, as its
/// [short](Self::short) form, the last twelve digits, which are random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Uuid);

impl RunId {
    /// A new one, of this moment.
    #[expect(clippy::new_without_default, reason = "two are never equal")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The form for people: `8f3a9c01d2e4`. [`Journal::find_run`](super::Journal::find_run) finds the run by it.
    pub fn short(&self) -> String {
        let whole = self.to_string();
        whole.rsplit('-').next().unwrap_or(&whole).to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a run's whole id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a run")]
pub struct NotARunId(pub String);

impl FromStr for RunId {
    type Err = NotARunId;

    /// Reads the whole form only.
    fn from_str(text: &str) -> Result<Self, NotARunId> {
        let id = Uuid::try_parse(text).map_err(|_| NotARunId(text.to_owned()))?;
        if id.get_version_num() == 7 && id.hyphenated().to_string() == text {
            Ok(Self(id))
        } else {
            Err(NotARunId(text.to_owned()))
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = NotARunId;
    fn try_from(text: String) -> Result<Self, NotARunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

/// A run, as it begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// What the user ran: `deps`.
    pub command: String,
    /// And of that: `audit`.
    pub subcommand: Option<String>,
    /// The plugin that implements it.
    pub plugin_name: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The digest of its component, in hex.
    pub plugin_digest: String,
    /// As the plugin got them: a JSON object.
    pub arguments: Value,
    /// The absolute path of the project's folder. Results are reused within a project only.
    pub project: String,
    /// `safe`, `balanced`, `performance`.
    pub mode: String,
    /// `anthropic`, `offline`.
    pub backend: String,
    /// When it began.
    pub started: Timestamp,
    /// What was typed; none: it can't be continued, only run again.
    pub typed: Option<Typed>,
}

/// What a user typed, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// The words behind the program's name, as the shell gave them.
    pub words: Vec<String>,
    /// The absolute path of the folder in which it was typed.
    pub folder: String,
}

/// A work item, as it is planned or added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRecord {
    /// Unique in the run.
    pub id: String,
    /// What the terminal shows.
    pub label: String,
    /// By which a later run finds its result.
    pub key: ItemKey,
    /// Its number in the run.
    pub ordinal: usize,
    /// The id of the item that added it; none for a planned one.
    pub parent: Option<String>,
}

/// How an item ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemEnd {
    /// The item's id.
    pub item: String,
    /// Never `pending`: an item without an end is.
    pub outcome: Outcome,
    /// What it came to. `done` and `fallback` have one.
    pub partial: Option<Partial>,
    /// What the item read, and so depends on.
    pub reads: ReadSet,
    /// The run whose result was reused, for `cached`.
    pub reused: Option<RunId>,
    /// How long it was in a worker's hands.
    pub took: Duration,
    /// How many workers had it; 0 for one that nobody had to take.
    pub attempts: u32,
    /// What the plugin logged for it. Of more than [`LOG_LIMIT`] bytes the last are kept.
    pub log: String,
    /// When it ended.
    pub ended: Timestamp,
}

/// An attempt at an item that came to nothing: the item was done again, or failed with a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// The item's id.
    pub item: String,
    /// Which one of the item's it was, counted from 1.
    pub number: u32,
    /// Whose hands it was in; none: the run was continued, and what its earlier part came to does not count.
    pub worker: Option<usize>,
    /// What became of it.
    pub became: Became,
    /// Why.
    pub reason: String,
    /// What the plugin logged for it. Of more than [`LOG_LIMIT`] bytes the last are kept.
    pub log: String,
    /// How long it was in hands.
    pub took: Duration,
    /// When it ended.
    pub ended: Timestamp,
}

/// What became of an attempt that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// Its worker died, or was ended.
    Died,
    /// It failed in a way that passes, and was set aside.
    Aside,
    /// It had ended, and was done again: its run was continued, or somebody wanted it.
    Again,
}

impl Became {
    /// The name in the journal and in exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Died => "died",
            Self::Aside => "aside",
            Self::Again => "again",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Died, Self::Aside, Self::Again].into_iter().find(|became| became.name() == name)
    }
}

/// How much of an item's log is kept, in bytes.
pub const LOG_LIMIT: usize = 256 * 1024;

/// The last [`LOG_LIMIT`] bytes, for what happened at the end explains a failure.
pub(super) fn bounded_log(log: &str) -> &str {
    &log[log.ceil_char_boundary(log.len().saturating_sub(LOG_LIMIT))..]
}

/// Something that an item read through the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "kebab-case")]
pub enum Read {
    /// A file's content.
    File {
        /// As the plugin named it.
        path: String,
        /// Of the content.
        sha256: Digest,
    },
    /// Which files there are.
    Listing {
        /// The query, as the host needs it to ask again.
        query: String,
        /// Of the listing, in the host's own encoding.
        sha256: Digest,
    },
    /// That there is nothing at a path.
    Missing {
        /// As the plugin named it.
        path: String,
    },
    /// What stands at a path, whatever its content.
    Kind {
        /// As the plugin named it.
        path: String,
        /// `file`, `folder`, `link` or `other`.
        kind: String,
    },
    /// Where a text is found.
    Search {
        /// The pattern and the files, as the host needs them to ask again.
        query: String,
        /// Of the matches, in the host's own encoding.
        sha256: Digest,
    },
    /// The partial of another item.
    Partial {
        /// That item's id.
        item: String,
        /// Of its partial, in the host's own encoding; none where it had none.
        sha256: Option<Digest>,
    },
    /// Something outside the project, which can't be looked at again: a process, a fetch.
    Outside {
        /// `process: git diff`, `http`: what it was.
        kind: String,
    },
}

/// What an item read, in order, each thing once.
///
/// A file that changed while the item ran is in it with both digests, so that its result is never reused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReadSet {
    reads: Vec<Read>,
}

impl ReadSet {
    /// Adds what was read, if it isn't there yet.
    pub fn add(&mut self, read: Read) {
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }

    /// In the order in which they were first read.
    pub fn iter(&self) -> std::slice::Iter<'_, Read> {
        self.reads.iter()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// Whether the item was given the partial of another one.
    pub fn depends_on_items(&self) -> bool {
        self.iter().any(|read| matches!(read, Read::Partial { .. }))
    }

    /// The digest of what was read at a path, where that was a file.
    pub fn digest_of(&self, file: &str) -> Option<Digest> {
        self.iter().find_map(|read| match read {
            Read::File { path, sha256 } if path == file => Some(*sha256),
            _ => None,
        })
    }

    /// Whether the item ran a process or fetched something.
    pub fn went_outside(&self) -> bool {
        self.iter().any(|read| matches!(read, Read::Outside { .. }))
    }
}

impl FromIterator<Read> for ReadSet {
    fn from_iter<I: IntoIterator<Item = Read>>(reads: I) -> Self {
        let mut seen = std::collections::HashSet::new();
        Self { reads: reads.into_iter().filter(|read| seen.insert(read.clone())).collect() }
    }
}

/// A line of the money ledger: a question and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionRow {
    /// In which run.
    pub run: RunId,
    /// For which item.
    pub item: String,
    /// Who was to answer: `code-reviewer`.
    pub role: String,
    /// The tier it was meant for: `speed`, `comprehensive`.
    pub tier: String,
    /// The tier whose model answered, if one did.
    pub answered_tier: Option<String>,
    /// The model it was routed to; empty where there was none.
    pub model: String,
    /// `anthropic`, `offline`.
    pub backend: String,
    /// How many times it was sent.
    pub attempts: u32,
    /// How often it was asked again after a failure.
    pub retries: u32,
    /// `model`, `cache`, `fallback`, or the failure's kind.
    pub outcome: String,
    /// All attempts together, as far as it is known.
    pub usage: Usage,
    /// Whether a subscription pays for `model`: the dollars are then list price, and not billed. None: it was not written.
    pub notional: Option<bool>,
    /// What they may have cost beyond that, at most: it counts as spent.
    pub uncertain: Usd,
    /// Who took what of it, where it was not all `model` at `backend`.
    pub shares: Vec<ModelRow>,
    /// When the plugin asked.
    pub asked: Timestamp,
    /// How long it waited for quota, permit and instance.
    pub waited: Duration,
    /// From sending to the first sign of the answer that counted.
    pub first: Option<Duration>,
    /// From asking to the end.
    pub took: Duration,
}

impl QuestionRow {
    /// What a broker tells of a question that has just ended.
    pub fn of(run: RunId, record: QuestionRecord) -> Self {
        let took = Duration::from_millis(record.took_ms);
        Self {
            run,
            item: record.item.to_string(),
            role: record.role,
            tier: record.tier.name().to_owned(),
            answered_tier: record.answered_tier.map(|tier| tier.name().to_owned()),
            model: record.model,
            backend: record.backend.to_owned(),
            attempts: record.attempts,
            retries: record.retries,
            outcome: record.outcome,
            usage: record.usage,
            notional: Some(record.is_notional),
            uncertain: record.uncertain,
            shares: record.shares.into_iter().map(ModelRow::of).collect(),
            asked: Timestamp::now() - SignedDuration::try_from(took).unwrap_or_default(),
            waited: Duration::from_millis(record.queued_ms),
            first: record.first_token_ms.map(Duration::from_millis),
            took,
        }
    }
}

/// What a policy decided.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// In which run.
    pub run: RunId,
    /// For which question, by its number in the process; none: for the run.
    pub question: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// The name of the policy.
    pub policy: Arc<str>,
    /// Its generation: which one of its process it was, counted from 1.
    pub generation: u64,
    /// What it was decided on.
    pub facts: Facts,
    /// What was decided.
    pub decision: Decision,
}

impl DecisionRow {
    /// What a broker tells of a decision.
    pub fn of(run: RunId, record: DecisionRecord) -> Self {
        let DecisionRecord { question, at, policy, generation, facts, decision } = record;
        Self { run, question, at, policy, generation, facts, decision }
    }
}

/// A result that a later run may use again, if what it read is unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Reusable {
    /// The run that did it.
    pub run: RunId,
    /// What it came to.
    pub partial: Partial,
    /// What must be unchanged.
    pub reads: ReadSet,
    /// When it ended.
    pub finished: Timestamp,
    /// How many items it added. Whoever reuses it needs their results too.
    pub added: u64,
}

impl Reusable {
    /// Whether its lifetime lets it be reused at this time. One that came from outside the project has only the
    /// lifetime that its plugin gave it; others stand while what they read is unchanged, unless given a shorter one.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        match self.partial.lifetime_s {
            // A clock that was set back makes results come from the future: nothing is known of their age.
            Some(seconds) => {
                let lifetime = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                let age = now.duration_since(self.finished);
                !age.is_negative() && age < lifetime
            }
            None => !self.reads.went_outside(),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// How it stands.
    pub status: Status,
    /// The count of its items.
    pub census: Census,
    /// When.
    pub ended: Timestamp,
}

/// A run in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// As it began.
    pub run: RunRecord,
    /// As it ended; none while it runs, and for one that was killed.
    pub end: Option<RunEnd>,
    /// How often it was continued.
    pub continued: u32,
}

/// An item in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemRow {
    /// As it was planned.
    pub item: ItemRecord,
    /// As it ended; none: it is pending.
    pub end: Option<ItemEnd>,
    /// The attempts at it that came to nothing, in their order.
    pub tried: Vec<AttemptRow>,
}

/// Everything about a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetail {
    /// The run.
    pub row: RunRow,
    /// Its items, by their number.
    pub items: Vec<ItemRow>,
    /// All its questions together.
    pub usage: Usage,
}

impl RunDetail {
    /// The count of the items as they are written. It is what is true where a run was killed.
    pub fn census(&self) -> Census {
        Census::of(self.items.iter().map(|row| row.end.as_ref().map_or(&Outcome::Pending, |end| &end.outcome)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_reads_what_it_shows_and_its_short_form_is_its_end() {
        let id = RunId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.short().len(), 12);
        assert!(id.to_string().ends_with(&id.short()));
        for wrong in ["", &id.short(), "00000000-0000-4000-8000-000000000000", &id.to_string().to_uppercase()] {
            assert_eq!(wrong.parse::<RunId>(), Err(NotARunId(wrong.to_owned())));
        }
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<RunId>(&json).unwrap(), id);
    }

    #[test]
    fn a_read_set_keeps_order_and_each_read_once() {
        let file = |content: &[u8]| Read::File { path: "a.md".to_owned(), sha256: Digest::of(content) };
        let missing = Read::Missing { path: "b.md".to_owned() };
        let set: ReadSet = [file(b"1"), missing.clone(), file(b"1"), file(b"2")].into_iter().collect();
        assert_eq!(set.iter().cloned().collect::<Vec<_>>(), [file(b"1"), missing, file(b"2")]);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<ReadSet>(&json).unwrap(), set);
        assert!(json.starts_with(r#"[{"read":"file","path":"a.md","sha256":""#), "{json}");
    }

    #[test]
    fn what_came_from_outside_lives_as_long_as_its_plugin_says() {
        let finished = Timestamp::from_second(1_000).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let reusable = |lifetime_s, reads| Reusable {
            run: RunId::new(),
            partial: Partial { lifetime_s, ..Partial::default() },
            reads,
            finished,
            added: 0,
        };
        let outside: ReadSet = [Read::Outside { kind: "http".to_owned() }].into_iter().collect();
        assert!(reusable(None, ReadSet::default()).is_fresh(at(1_000_000)));
        assert!(!reusable(None, outside.clone()).is_fresh(at(1_001)));
        let for_a_minute = reusable(Some(60), outside);
        assert!(for_a_minute.is_fresh(at(1_059)));
        assert!(!for_a_minute.is_fresh(at(1_060)));
        assert!(!for_a_minute.is_fresh(at(999)), "from the future");
        assert!(reusable(Some(u64::MAX), ReadSet::default()).is_fresh(at(1_000_000)));
    }

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let log = format!("{}end", "ä".repeat(LOG_LIMIT));
        assert!(bounded_log(&log).len() <= LOG_LIMIT);
        assert!(bounded_log(&log).ends_with("end"));
        assert_eq!(bounded_log("short"), "short");
    }
}
