//! A record, and the line that it becomes.
//!
//! A line is one JSON object, and ends with its hash:
//!
//! ```json
//! {"v":1,"seq":7,"at":"2027-01-31T12:00:00.5Z","pid":42,"run":"…","kind":"project.read","subject":"src/a.rs","details":{"item":"a"},"prev":"…","hash":"…"}
//! ```
//!
//! `hash` is the sha-256 of the line as it stands, without its `,"hash":"…"`; `prev` is the hash of the line before. So
//! whoever has the file can check it without convoke: `sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::plugin::sha256_hex;

/// The version of the lines that are written, and the newest that is read.
pub const VERSION: u32 = 1;

/// The hash before the first line.
pub const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The longest line that is read, in bytes.
pub const LONGEST_LINE: usize = 64 << 10;

/// What would make a longer line is written without its details, in bytes.
const LONGEST_WRITTEN: usize = 16 << 10;

/// The longest text in a record, in characters.
const LONGEST_TEXT: usize = 1_000;

/// So much of a text is looked at for credentials, in bytes. What is behind is not kept.
const LONGEST_LOOK: usize = 64 << 10;

/// So many values has a list in a record.
const LONGEST_LIST: usize = 16;

/// How deep details may be.
const DEEPEST: usize = 4;

/// The kinds of records, and what each tells of. What stands before the dot names all of a family.
pub const KINDS: [(&str, &str); 41] = [
    (kind::LOG_BEGUN, "the log begins"),
    (kind::LOG_ROTATED, "a new file begins, after the one that is named"),
    (kind::LOG_PRUNED, "an old file is removed"),
    (kind::LOG_TORN, "the line before was cut off by the end of its process"),
    (kind::LOG_TRUNCATED, "records that had been written were gone"),
    (kind::LOG_DAMAGED, "the end of the log could not be read"),
    (kind::LOG_HEAD_LOST, "what tells where the log ends was gone"),
    (kind::LOG_LOST, "records could not be written"),
    (kind::RUN_STARTED, "a run begins"),
    (kind::RUN_ENDED, "a run has ended"),
    (kind::PROJECT_LIST, "a plugin listed files"),
    (kind::PROJECT_READ, "a plugin read a file"),
    (kind::PROJECT_STAT, "a plugin looked at a path"),
    (kind::PROJECT_EXISTS, "a plugin asked whether a path is there"),
    (kind::PROJECT_SEARCH, "a plugin searched in files"),
    (kind::PROCESS_RUN, "a plugin wants to run a program"),
    (kind::PROCESS_ENDED, "what came of it"),
    (kind::HTTP_FETCH, "a plugin wants to send a request"),
    (kind::HTTP_SENT, "a request went to a host"),
    (kind::HTTP_ENDED, "what came of it"),
    (kind::STORE_GET, "a plugin looked into its store"),
    (kind::STORE_PUT, "a plugin kept something in its store"),
    (kind::CLAUDE_SENT, "a question was sent to a model"),
    (kind::SECRET_FOUND, "a credential was found in what was to be sent"),
    (kind::GRANT_GIVEN, "something is about to be granted to a plugin"),
    (kind::GRANT_LOWERED, "less than before is about to be granted"),
    (kind::GRANT_REVOKED, "a grant is about to be taken away"),
    (kind::GRANT_REFUSED, "a plugin did not get what it asks for, or it could not be written down"),
    (kind::POLICY_CHOSEN, "the user chooses a policy"),
    (kind::POLICY_SWAPPED, "another policy is in force"),
    (kind::POLICY_NATIVE, "a library is about to be loaded"),
    (kind::EDIT_BEGIN, "files are about to be changed"),
    (kind::EDIT_FILE, "one of them, with what it was and what it becomes"),
    (kind::EDIT_ENDED, "how that ended"),
    (kind::ROLLBACK_BEGIN, "edits are about to be taken back"),
    (kind::ROLLBACK_FILE, "one of the files"),
    (kind::ROLLBACK_ENDED, "how that ended"),
    (kind::ACTION_STARTED, "an action is about to be carried out"),
    (kind::ACTION_ENDED, "how that ended"),
    (kind::ACTION_SETTLED, "the user says how an action stands, or has it forgotten"),
    (kind::CONTROL, "somebody has changed a run from outside"),
];

/// The names of the kinds.
pub mod kind {
    #![allow(missing_docs, reason = "`KINDS` says what each is")]
    pub const LOG_BEGUN: &str = "log.begun";
    pub const LOG_ROTATED: &str = "log.rotated";
    pub const LOG_PRUNED: &str = "log.pruned";
    pub const LOG_TORN: &str = "log.torn";
    pub const LOG_TRUNCATED: &str = "log.truncated";
    pub const LOG_DAMAGED: &str = "log.damaged";
    pub const LOG_HEAD_LOST: &str = "log.head-lost";
    pub const LOG_LOST: &str = "log.lost";
    pub const RUN_STARTED: &str = "run.started";
    pub const RUN_ENDED: &str = "run.ended";
    pub const PROJECT_LIST: &str = "project.list";
    pub const PROJECT_READ: &str = "project.read";
    pub const PROJECT_STAT: &str = "project.stat";
    pub const PROJECT_EXISTS: &str = "project.exists";
    pub const PROJECT_SEARCH: &str = "project.search";
    pub const PROCESS_RUN: &str = "process.run";
    pub const PROCESS_ENDED: &str = "process.ended";
    pub const HTTP_FETCH: &str = "http.fetch";
    pub const HTTP_SENT: &str = "http.sent";
    pub const HTTP_ENDED: &str = "http.ended";
    pub const STORE_GET: &str = "store.get";
    pub const STORE_PUT: &str = "store.put";
    pub const CLAUDE_SENT: &str = "claude.sent";
    pub const SECRET_FOUND: &str = "secret.found";
    pub const GRANT_GIVEN: &str = "grant.given";
    pub const GRANT_LOWERED: &str = "grant.lowered";
    pub const GRANT_REVOKED: &str = "grant.revoked";
    pub const GRANT_REFUSED: &str = "grant.refused";
    pub const POLICY_CHOSEN: &str = "policy.chosen";
    pub const POLICY_SWAPPED: &str = "policy.swapped";
    pub const POLICY_NATIVE: &str = "policy.native";
    pub const EDIT_BEGIN: &str = "edit.begin";
    pub const EDIT_FILE: &str = "edit.file";
    pub const EDIT_ENDED: &str = "edit.ended";
    pub const ROLLBACK_BEGIN: &str = "rollback.begin";
    pub const ROLLBACK_FILE: &str = "rollback.file";
    pub const ROLLBACK_ENDED: &str = "rollback.ended";
    pub const ACTION_STARTED: &str = "action.started";
    pub const ACTION_ENDED: &str = "action.ended";
    pub const ACTION_SETTLED: &str = "action.settled";
    pub const CONTROL: &str = "control.changed";
}

/// Something that is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it happened.
    pub at: Timestamp,
    /// The run; none: it belongs to none.
    pub run: Option<String>,
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// With what: a path, a host, a program, a plugin.
    pub subject: String,
    /// What else is known of it: an object. Never a content, never a credential.
    pub details: Value,
}

impl Record {
    /// One of now, that belongs to no run.
    pub fn new(kind: &'static str, subject: impl Into<String>, details: Value) -> Self {
        Self { at: Timestamp::now(), run: None, kind, subject: subject.into(), details }
    }

    /// The same, of a run.
    #[must_use]
    pub fn of_run(self, run: Option<String>) -> Self {
        Self { run, ..self }
    }

    /// Its line with the line break, and its hash.
    pub(super) fn line(&self, seq: u64, prev: &str) -> (String, String) {
        let details = match bounded(&self.details, DEEPEST) {
            details @ Value::Object(_) => details,
            _ => Value::Object(Map::new()),
        };
        let written = Written {
            v: VERSION,
            seq,
            // Finer than a microsecond no clock of ours is.
            at: Timestamp::from_microsecond(self.at.as_microsecond()).unwrap_or(self.at).to_string(),
            pid: std::process::id(),
            run: self.run.as_deref(),
            kind: self.kind,
            subject: &text(&self.subject),
            details: &details,
            prev,
        };
        // Strings, numbers and objects of them can always be written.
        let mut line = serde_json::to_string(&written).unwrap_or_default();
        if line.len() > LONGEST_WRITTEN {
            let details = &json!({"left_out_bytes": line.len()});
            line = serde_json::to_string(&Written { details, ..written }).unwrap_or_default();
        }
        let hash = sha256_hex(line.as_bytes());
        line.pop();
        line.push_str(",\"hash\":\"");
        line.push_str(&hash);
        line.push_str("\"}\n");
        (line, hash)
    }
}

#[derive(Clone, Serialize)]
struct Written<'a> {
    v: u32,
    seq: u64,
    at: String,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    kind: &'a str,
    subject: &'a str,
    details: &'a Value,
    prev: &'a str,
}

/// A text without the credentials in it, and not too long.
fn text(text: &str) -> String {
    let looked_at = &text[..text.floor_char_boundary(LONGEST_LOOK)];
    crate::report::clean::bounded(&convoke_runtime::credentials::redact(looked_at), LONGEST_TEXT).into_owned()
}

fn bounded(value: &Value, deep: usize) -> Value {
    match value {
        Value::String(words) => Value::String(text(words)),
        Value::Array(_) | Value::Object(_) if deep == 0 => Value::Null,
        Value::Array(values) => {
            let mut kept: Vec<Value> = values.iter().take(LONGEST_LIST).map(|value| bounded(value, deep - 1)).collect();
            if values.len() > LONGEST_LIST {
                kept.push(Value::String(format!("and {} more", values.len() - LONGEST_LIST)));
            }
            Value::Array(kept)
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (text(name), bounded(value, deep - 1));
            Value::Object(members.iter().take(LONGEST_LIST).map(member).collect())
        }
        plain => plain.clone(),
    }
}

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    /// The version of its format.
    pub v: u32,
    /// Its number, from 1, over all files.
    pub seq: u64,
    /// When it happened, as it stands there.
    pub at: String,
    /// The process of the host.
    pub pid: u32,
    /// The run.
    #[serde(default)]
    pub run: Option<String>,
    /// What kind.
    pub kind: String,
    /// With what.
    pub subject: String,
    /// What else.
    #[serde(default)]
    pub details: Value,
    /// The hash of the line before.
    pub prev: String,
    /// Its own.
    pub hash: String,
}

/// Why some bytes are no line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoLine {
    /// They are none at all.
    Unreadable,
    /// They are of a newer convoke.
    Newer(u32),
}

impl Line {
    /// Reads a line, without its line break.
    ///
    /// # Errors
    /// It is none that this version reads.
    pub fn read(bytes: &[u8]) -> Result<Self, NoLine> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|_| NoLine::Unreadable)?;
        if version.v > VERSION {
            return Err(NoLine::Newer(version.v));
        }
        serde_json::from_slice(bytes).map_err(|_| NoLine::Unreadable)
    }

    /// Whether its hash is that of these bytes, which it was read from.
    pub fn is_whole(&self, bytes: &[u8]) -> bool {
        let end = format!(",\"hash\":\"{}\"}}", self.hash);
        let Some(body) = bytes.strip_suffix(end.as_bytes()) else { return false };
        let mut body = body.to_vec();
        body.push(b'}');
        sha256_hex(&body) == self.hash
    }

    /// A text of its details.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(Value::as_str)
    }
}

/// Whether a kind is the one that is wanted, or of its family.
pub fn is_of(kind: &str, wanted: &str) -> bool {
    kind == wanted || kind.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_its_hash_says() {
        let record = Record::new(kind::PROJECT_READ, "src/ä \n\u{1b}.rs", json!({"item": "a"}));
        let (line, hash) = record.line(3, NOTHING_BEFORE);
        let bytes = line.strip_suffix('\n').expect("a line break").as_bytes();
        let read = Line::read(bytes).expect("a line");
        assert!(!line.trim_end().contains(['\n', '\u{1b}']), "{line}");
        assert_eq!((read.seq, read.hash.as_str(), read.subject.as_str()), (3, hash.as_str(), "src/ä \n\u{1b}.rs"));
        assert!(read.is_whole(bytes));
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            assert!(!Line::read(&changed).is_ok_and(|line| line.is_whole(&changed)), "byte {place}");
        }
    }

    #[test]
    fn no_credential_gets_into_a_line() {
        let secret = ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat();
        let details = json!({"argument": [secret], secret.clone(): {"deep": format!("key={secret}")}});
        let (line, _) = Record::new(kind::PROCESS_RUN, format!("git clone {secret}"), details).line(1, NOTHING_BEFORE);
        assert!(!line.contains(&secret), "{line}");
        assert!(line.contains("redacted"), "{line}");
        let coloured = json!({"arguments": [format!("\u{1b}[1m{secret}"), format!("\u{1b}[1m{}\u{1b}[0m{}", &secret[..9], &secret[9..])]});
        let (line, _) = Record::new(kind::PROCESS_RUN, "git", coloured).line(1, NOTHING_BEFORE);
        assert!(!line.contains(&secret) && !line.contains(&secret[9..]), "{line}");
    }

    #[test]
    fn a_line_is_never_long() {
        let long = "\u{1}".repeat(1 << 20);
        let list: Vec<&str> = vec![long.as_str(); 20];
        let (line, _) = Record::new(kind::PROJECT_READ, long.clone(), json!({"list": list})).line(1, NOTHING_BEFORE);
        assert!(line.len() < LONGEST_WRITTEN, "{}", line.len());
        let deep = json!({"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}});
        assert!(Record::new(kind::PROJECT_READ, "", deep).line(1, NOTHING_BEFORE).0.len() < 600);
    }

    #[test]
    fn a_family_is_all_of_its_kinds() {
        assert!(is_of("project.read", "project") && is_of("project.read", "project.read"));
        assert!(!is_of("project.read", "proj") && !is_of("project", "project.read"));
    }

    #[test]
    fn every_kind_is_listed_once() {
        let mut names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }
}
