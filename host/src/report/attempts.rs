//! What was tried before an item ended as it did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::{ItemFacts, bounded_reason};
use super::{AttemptInfo, words};
use convoke_runtime::journal::Became;
use convoke_runtime::levels::LevelChange;
use convoke_runtime::work::Outcome;

/// An item that needed more than one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemAttempts {
    /// The item's id.
    pub item: String,
    /// How it stands in the end: `done`, `cached`, `fallback`, `failed`, `skipped` or `pending`.
    pub outcome: String,
    /// How many workers had it.
    pub attempts: u32,
    /// The attempts that came to nothing, in their order.
    pub tried: Vec<AttemptInfo>,
}

/// What became of an attempt that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptEnd {
    /// Its worker died, or was ended.
    Died,
    /// It failed in a way that passes, and was set aside to be done again.
    Aside,
    /// It had ended, and was done again: its run was continued, or somebody wanted it.
    Again,
    /// It failed, and with it the item.
    Failed,
}

impl From<Became> for AttemptEnd {
    fn from(became: Became) -> Self {
        match became {
            Became::Died => Self::Died,
            Became::Aside => Self::Aside,
            Became::Again => Self::Again,
        }
    }
}

/// What the questions of an item came to, as far as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuestionsInfo {
    /// How many it asked.
    pub asked: u32,
    /// How often they were sent, all together.
    pub sent: u32,
    /// How long was waited before they were sent again, in milliseconds.
    pub waited_ms: u64,
    /// What went wrong with them, and how often; the most frequent first.
    pub failures: Vec<FailureCount>,
}

/// How often something went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureCount {
    /// What: `overloaded`, `timed-out`, `died`.
    pub kind: String,
    /// How often.
    pub count: u32,
}

/// A change of how a run goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelInfo {
    /// Since the run began, in milliseconds.
    pub at_ms: u64,
    /// As it was: `full`, `partial`, `sequential` or `fallback`.
    pub from: String,
    /// As it was from then on.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// A change of the level, as it is reported.
pub(super) fn level(change: &LevelChange) -> LevelInfo {
    LevelInfo {
        at_ms: u64::try_from(change.at.as_millis()).unwrap_or(u64::MAX),
        from: change.from.name().to_owned(),
        to: change.to.name().to_owned(),
        reason: bounded_reason(&change.reason),
    }
}

/// `sequential after 1.30 s: ...`.
pub(super) fn level_line(level: &LevelInfo) -> String {
    format!("{} after {}: {}", level.to, words::duration(level.at_ms), level.reason)
}

/// The items that needed more than one attempt, in the order of the plan.
pub(super) fn items(items: &[ItemFacts]) -> Vec<ItemAttempts> {
    let again = items.iter().filter(|item| item.attempts > 1 && !item.tried.is_empty());
    again
        .map(|item| ItemAttempts {
            item: item.id.clone(),
            outcome: item.outcome.name().to_owned(),
            attempts: item.attempts,
            tried: tried(item),
        })
        .collect()
}

/// The attempts at an item that came to nothing; of one that failed, the last one too.
pub(super) fn tried(item: &ItemFacts) -> Vec<AttemptInfo> {
    let is_failed = matches!(item.outcome, Outcome::Failed(_));
    let tried = item.tried.iter().filter(|attempt| is_failed || attempt.became != AttemptEnd::Failed);
    tried.map(|attempt| AttemptInfo { reason: bounded_reason(&attempt.reason), ..attempt.clone() }).collect()
}

/// `attempt 1 on worker 3, 1.24 s: its worker died: ...`.
pub(super) fn line(attempt: &AttemptInfo) -> String {
    let AttemptInfo { number, worker, became, reason, took_ms } = attempt;
    let worker = worker.map_or_else(String::new, |worker| format!(" on worker {worker}"));
    let became = match became {
        AttemptEnd::Died => "its worker died",
        AttemptEnd::Aside => "set aside, to be done again",
        AttemptEnd::Again => "done again, when the run was continued",
        AttemptEnd::Failed => "failed",
    };
    format!("attempt {number}{worker}, {}: {became}: {reason}", words::duration(*took_ms))
}

/// `2 questions, sent 8 times, 6.30 s waited between: 5 overloaded, 1 server`; none where none went wrong.
pub(super) fn questions(questions: &QuestionsInfo) -> Option<String> {
    if questions.failures.is_empty() {
        return None;
    }
    let times = words::counted(u64::from(questions.sent), "time", "times");
    let waited = match questions.waited_ms {
        0 => String::new(),
        waited => format!(", {} waited between", words::duration(waited)),
    };
    let failures: Vec<String> =
        questions.failures.iter().map(|failure| format!("{} {}", failure.count, failure.kind)).collect();
    let asked = words::counted(u64::from(questions.asked), "question", "questions");
    Some(format!("{asked}, sent {times}{waited}: {}", failures.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn attempt(number: u32, became: AttemptEnd) -> AttemptInfo {
        AttemptInfo { number, worker: Some(3), became, reason: "it panicked".to_owned(), took_ms: 1_240 }
    }

    #[test]
    fn an_item_that_was_done_at_the_second_attempt_is_listed_and_one_that_took_one_is_not() {
        let mut facts = samples::facts().items;
        facts[0].attempts = 2;
        facts[0].tried = vec![attempt(1, AttemptEnd::Died)];
        let listed = items(&facts);
        let names: Vec<(&str, &str, u32)> =
            listed.iter().map(|item| (item.item.as_str(), item.outcome.as_str(), item.attempts)).collect();
        assert_eq!(names[0], ("core/api.md", "done", 2));
        assert!(names.iter().all(|(name, ..)| *name != "core/web.md"));
    }

    #[test]
    fn an_attempt_and_its_questions_are_a_line_each() {
        assert_eq!(line(&attempt(1, AttemptEnd::Died)), "attempt 1 on worker 3, 1.24 s: its worker died: it panicked");
        let count = |kind: &str, count| FailureCount { kind: kind.to_owned(), count };
        let asked = QuestionsInfo {
            asked: 2,
            sent: 8,
            waited_ms: 6_300,
            failures: vec![count("overloaded", 5), count("server", 1)],
        };
        assert_eq!(
            questions(&asked).as_deref(),
            Some("2 questions, sent 8 times, 6.30 s waited between: 5 overloaded, 1 server")
        );
        assert_eq!(questions(&QuestionsInfo { asked: 1, sent: 1, ..QuestionsInfo::default() }), None);
    }
}
