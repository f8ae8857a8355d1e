//! What is kept of a case, to be compared with: all that a user would see of it, and nothing that differs between runs.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};
use similar::{ChangeTag, TextDiff};

use super::session::Ran;
use crate::config::files::{read_text, write_atomic};
use crate::report::{Action, Edit, Report, clean};

/// The version of the file.
const VERSION: u32 = 1;

/// The largest snapshot that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// How many lines around a difference are shown.
const AROUND: usize = 3;

/// How many lines of differences are shown.
const MOST_LINES: usize = 200;

/// The text of a snapshot: pretty JSON, for people and for git.
pub fn text(ran: &Ran) -> String {
    // Maps of texts always serialise.
    let mut text = serde_json::to_string_pretty(&value(ran)).unwrap_or_default();
    text.push('\n');
    clean::json(text)
}

fn value(Ran { report, asked, called, .. }: &Ran) -> Value {
    json!({
        "version": VERSION,
        "status": report.status.name(),
        "exit_code": report.exit_code,
        "census": census(report),
        "findings": sorted(report.findings.iter().map(|finding| json!(finding))),
        "metrics": sorted(report.metrics.iter().map(|metric| json!(metric))),
        "edits": report.edits.iter().map(edit).collect::<Vec<_>>(),
        "actions": sorted(report.actions.iter().map(action)),
        "notes": sorted(report.notes.iter().map(|note| json!(note))),
        "failures": sorted(report.failures.iter().map(|failure| json!({
            "item": failure.item,
            "reason": failure.reason,
        }))),
        "questions": asked,
        "calls": called,
    })
}

/// What of the census is not 0.
fn census(report: &Report) -> Value {
    let Value::Object(counts) = json!(report.census) else { return Value::Null };
    let counts: Map<String, Value> = counts.into_iter().filter(|(_, count)| *count != json!(0)).collect();
    Value::Object(counts)
}

/// By their own text: who was first does not count.
fn sorted(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut values: Vec<(String, Value)> = values.map(|value| (key(&value), value)).collect();
    values.sort_by(|(one, _), (other, _)| one.cmp(other));
    values.into_iter().map(|(_, value)| value).collect()
}

/// What values are sorted by: where they are, then all of them.
fn key(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let line = value.get("line").and_then(Value::as_u64).unwrap_or_default();
    format!("{}\n{line:09}\n{}\n{value}", text("path"), text("item"))
}

fn edit(edit: &Edit) -> Value {
    let mut value = json!({ "path": edit.path, "items": edit.items, "reasons": edit.reasons });
    if let Value::Object(members) = &mut value {
        match &edit.diff {
            // Line by line, so that a difference of two snapshots shows which.
            Some(diff) => members.insert("diff".to_owned(), json!(diff.lines().collect::<Vec<_>>())),
            None => members.insert("change".to_owned(), json!(edit.change)),
        };
        members.extend(edit.conflict.iter().map(|conflict| ("conflict".to_owned(), json!(conflict))));
    }
    value
}

fn action(action: &Action) -> Value {
    json!({
        "item": action.item,
        "kind": action.kind,
        "title": action.title,
        "key": action.key,
        "body": action.body,
    })
}

/// The kept text; none: there is no such file.
///
/// # Errors
/// It can't be read.
pub fn kept(path: &Path) -> io::Result<Option<String>> {
    match read_text(path, LARGEST) {
        // Git may have changed the ends of lines.
        Ok(text) => Ok(Some(text.replace("\r\n", "\n"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps a text.
///
/// # Errors
/// It can't be written.
pub fn keep(path: &Path, text: &str) -> io::Result<()> {
    write_atomic(path, text.as_bytes(), None)
}

/// Where two texts differ, as a unified diff, with its lines cleaned for a terminal.
pub fn difference(before: &str, now: &str, color: bool) -> String {
    let diff = TextDiff::from_lines(before, now);
    let mut text = String::new();
    let mut left = MOST_LINES;
    for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
        line(&mut text, &mut left, "36", hunk.header().to_string().trim_end(), color);
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', "31"),
                ChangeTag::Insert => ('+', "32"),
                ChangeTag::Equal => (' ', ""),
            };
            let shown = clean::block(&clean::bounded(change.value().trim_end_matches(['\r', '\n']), 1_000));
            line(&mut text, &mut left, style, &format!("{sign}{}", shown.replace('\n', " ")), color);
        }
    }
    if left == 0 {
        text.push_str("… and more\n");
    }
    text
}

fn line(text: &mut String, left: &mut usize, style: &str, line: &str, color: bool) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    // Writing to a string can't fail.
    let _ = match color && !style.is_empty() {
        true => writeln!(text, "\u{1b}[{style}m{line}\u{1b}[0m"),
        false => writeln!(text, "{line}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{build, samples};

    fn ran(reversed: bool) -> Ran {
        let mut facts = samples::facts();
        if reversed {
            facts.items.reverse();
            facts.workers.reverse();
        }
        Ran {
            report: build(facts, &samples::filters(), samples::read),
            asked: Vec::new(),
            unexpected: Vec::new(),
            called: Vec::new(),
        }
    }

    #[test]
    fn a_snapshot_has_nothing_that_differs_between_runs() {
        let text = text(&ran(false));
        for word in ["duration", "wall_ms", "started", "worker", "\"id\"", "usage", "digest"] {
            assert!(!text.contains(word), "{word} is in:\n{text}");
        }
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["version"], 1);
        assert!(!value["findings"].as_array().unwrap().is_empty());
    }

    #[test]
    fn a_difference_shows_its_lines_and_does_nothing_to_the_terminal() {
        let shown = difference("a\nb\nc\n", "a\nB\u{1b}[2J\nc\n", false);
        assert_eq!(shown, "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert!(difference("a\n", "b\n", true).contains("\u{1b}[31m-a\u{1b}[0m"));
        assert_eq!(difference("a\n", "a\n", true), "");
        let many: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        assert!(difference("", &many, false).ends_with("… and more\n"));
    }

    #[test]
    fn values_stand_by_where_they_are_whoever_was_first() {
        let one = json!({"path": "a", "line": 9, "item": "x"});
        let other = json!({"path": "a", "line": 10, "item": "x"});
        assert_eq!(sorted([other.clone(), one.clone()].into_iter()), [one, other]);
    }
}
