//! What is said on the socket of a running convoke: a request a line, and for each an answer a line.
//!
//! `{"do":"pause","now":true}` is answered by `{"ok":true,"runs":[…]}` or `{"ok":false,"error":"…","hint":"…"}`. Each
//! request may name a run by `"run"`: its id, the id's last digits, or its name among those of the process. Without it the
//! request is for all runs of the process; an item is looked for in all of them, by its id, by a label that it alone has, or
//! by its number, as events have it: `{"do":"cancel","item":7}`.
//!
//! `{"do":"events","from":0}` is answered by a line with the runs and the number of the first event that follows, and
//! then by a line an event, as the stream of events has it, with its `"run"` and its number `"seq"`, until the runs are over.
//! Of a run that tells very much not all is kept: where something is missing that would still say something, a line
//! `{"run":"…","missing":true}` says so, once.

use convoke_runtime::event::AccountSample;
use convoke_runtime::work::Census;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::orders::Called;

/// The longest request, in bytes, without its line's end.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is wanted.
    #[serde(flatten)]
    pub wish: Wish,
    /// Of which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Who asks, in a word: `ctl`, `dashboard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Wish {
    /// How the runs stand.
    Status,
    /// What happens from now on, and what has happened.
    Events {
        /// From this number on, as far as it is kept.
        #[serde(default)]
        from: u64,
    },
    /// Nothing more is begun.
    Pause {
        /// What is under way is broken off, and asked again later.
        #[serde(default)]
        now: bool,
    },
    /// It goes on.
    Resume,
    /// So many at once, at most.
    Limit {
        /// 1 to 100.
        set: u32,
    },
    /// Another mode.
    Mode {
        /// `safe`, `balanced` or `performance`.
        set: String,
    },
    /// An item is not done.
    Cancel {
        /// Which one.
        item: Called,
    },
    /// An item is done again.
    Requeue {
        /// Which one.
        item: Called,
    },
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What came of it, a run each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Changed>,
    /// How the runs stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunStatus>,
    /// The number of the first event that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl Answer {
    /// It could not be done.
    pub fn refused(error: impl Into<String>, hint: Option<String>) -> Self {
        Self { error: Some(error.into()), hint, ..Self::default() }
    }
}

/// What came of a change of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Its id; none: it has not begun.
    pub run: Option<String>,
    /// Its name among those of the process.
    pub name: String,
    /// What came of it, in words.
    pub became: String,
}

/// How a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its id; none: it has not begun.
    pub run: Option<String>,
    /// Its name among those of the process.
    pub name: String,
    /// The process.
    pub pid: u32,
    /// What the user ran.
    pub command: String,
    /// The subcommand, if the command has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcommand: Option<String>,
    /// The project's folder.
    pub project: String,
    /// The mode, as it is now.
    pub mode: String,
    /// Who answers.
    pub backend: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// For how long it has been under way in this process, or was, in milliseconds: since it was planned, whatever its phase.
    pub for_ms: u64,
    /// `waiting` for its turn, `execute`, `aggregate`, or `over`.
    pub phase: String,
    /// Who paused it; none: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// Whether what was under way was broken off.
    #[serde(default)]
    pub at_once: bool,
    /// Why nothing more is begun, where the run is being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<String>,
    /// How its items stand.
    pub census: Census,
    /// How many of its questions are in flight.
    pub in_flight: usize,
    /// How many of its questions wait.
    pub waiting: usize,
    /// What its questions have cost in this process, in dollars.
    pub usd: f64,
    /// What they may have cost beyond that, at most.
    pub uncertain_usd: f64,
    /// What it may cost at most, all runs of the process together; none: it is not bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// What is left of that: what it took before it was continued is taken off, and what the runs beside it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_left_usd: Option<f64>,
    /// How the accounts stand, those of all runs of the process together.
    pub accounts: Vec<AccountSample>,
    /// The workers that are there.
    pub workers: Vec<WorkerStatus>,
}

/// How a worker stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its number.
    pub worker: usize,
    /// The id of its item; none: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The item's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `idle`, `working`, or what its question is in: `queued`, `quota`, `limit`, `instance`, `breaker`, `pause`, `context`,
    /// `sent`, `streaming`, `retry`.
    pub doing: String,
    /// For how long, in milliseconds.
    pub for_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Request> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn these_are_the_requests_and_what_they_leave_out_has_a_default() {
        let wish = |text: &str| read(text).map(|request| request.wish);
        assert_eq!(wish(r#"{"do":"status"}"#), Some(Wish::Status));
        assert_eq!(wish(r#"{"do":"events"}"#), Some(Wish::Events { from: 0 }));
        assert_eq!(wish(r#"{"do":"pause"}"#), Some(Wish::Pause { now: false }));
        assert_eq!(wish(r#"{"do":"pause","now":true}"#), Some(Wish::Pause { now: true }));
        assert_eq!(wish(r#"{"do":"resume"}"#), Some(Wish::Resume));
        assert_eq!(wish(r#"{"do":"limit","set":4}"#), Some(Wish::Limit { set: 4 }));
        assert_eq!(wish(r#"{"do":"mode","set":"safe"}"#), Some(Wish::Mode { set: "safe".to_owned() }));
        assert_eq!(wish(r#"{"do":"cancel","item":"a"}"#), Some(Wish::Cancel { item: Called::Name("a".to_owned()) }));
        assert_eq!(wish(r#"{"do":"cancel","item":"7"}"#), Some(Wish::Cancel { item: Called::Name("7".to_owned()) }));
        assert_eq!(wish(r#"{"do":"requeue","item":7}"#), Some(Wish::Requeue { item: Called::Number(7) }));
        let request = read(r#"{"do":"requeue","item":"a","run":"r","client":"ctl"}"#).unwrap();
        assert_eq!((request.run.as_deref(), request.client.as_deref()), (Some("r"), Some("ctl")));
        for wrong in [
            r#"{"do":"explode"}"#,
            r#"{"do":"limit","set":-1}"#,
            r#"{"do":"cancel"}"#,
            r#"{"do":"cancel","item":-1}"#,
            "[]",
            "null",
            "1",
            "",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_says_no_more_than_there_is() {
        let text = serde_json::to_string(&Answer::refused("no", None)).unwrap();
        assert_eq!(text, r#"{"ok":false,"error":"no"}"#);
    }
}
