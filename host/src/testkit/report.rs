//! How cases ended, for people and for programs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::checks::Check;
use crate::report::clean;

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// The longest reason that is shown, in characters.
const LONGEST: usize = 4_000;

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Why it failed; none: it passed.
    pub reasons: Vec<Reason>,
    /// The last that the plugin has written to its log and to stderr.
    pub log: Vec<String>,
    /// The snapshot that was written.
    pub blessed: Option<PathBuf>,
    /// The checks that were left out, and why.
    pub left_out: Vec<(Check, String)>,
}

impl Tested {
    /// One of which nothing is known yet.
    pub fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            about: None,
            took: Duration::ZERO,
            reasons: Vec::new(),
            log: Vec::new(),
            blessed: None,
            left_out: Vec::new(),
        }
    }

    /// Whether nothing is wrong with it.
    pub fn has_passed(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The line that is told when it has ended.
    pub fn line(&self, color: bool) -> String {
        let (word, style) = match (self.has_passed(), &self.blessed) {
            (true, Some(_)) => ("BLESS", "33;1"),
            (true, None) => ("PASS", "32;1"),
            (false, _) => ("FAIL", "31;1"),
        };
        let word = paint(&format!("{word:>5}"), style, color);
        let mut line = format!("{word} [{:>7.3}s] {}", self.took.as_secs_f64(), clean::line(&self.name));
        if !self.left_out.is_empty() {
            let names: Vec<&str> = self.left_out.iter().map(|(check, _)| check.name()).collect();
            // Writing to a string can't fail.
            let _ = write!(line, " (unchecked: {})", names.join(", "));
        }
        line
    }

    /// Why it failed, in lines.
    pub fn reasons(&self, color: bool) -> String {
        let title = match &self.about {
            Some(about) => format!("{}: {}", self.name, clean::bounded(about, 300)),
            None => self.name.clone(),
        };
        let title = clean::line(&title);
        let mut text = format!("\n{}\n", paint(&format!("── {title} ──"), "1", color));
        for reason in &self.reasons {
            let what = clean::block(&clean::bounded(&reason.text, LONGEST));
            let _ = writeln!(text, "{}", indented(&what));
            if let Some(detail) = &reason.detail {
                let _ = writeln!(text, "{}", indented(detail.trim_end()));
            }
            if let Some(hint) = &reason.hint {
                let _ = writeln!(text, "  {} {}", paint("hint:", "36;1", color), clean::line(hint));
            }
        }
        if !self.log.is_empty() {
            let _ = writeln!(text, "  the plugin wrote:");
            for line in &self.log {
                let _ = writeln!(text, "  | {line}");
            }
        }
        text
    }

    fn value(&self) -> Value {
        let reasons: Vec<Value> = self
            .reasons
            .iter()
            .map(|reason| {
                json!({
                    "kind": reason.kind,
                    "check": reason.check,
                    "message": reason.text,
                    "detail": reason.detail,
                    "hint": reason.hint,
                })
            })
            .collect();
        let unchecked: serde_json::Map<String, Value> =
            self.left_out.iter().map(|(check, why)| (check.name().to_owned(), json!(why))).collect();
        json!({
            "name": self.name,
            "about": self.about,
            "passed": self.has_passed(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "reasons": reasons,
            "log": if self.has_passed() { &[] } else { self.log.as_slice() },
            "blessed": self.blessed,
            "unchecked": unchecked,
        })
    }
}

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `failed`, `question`, `call`, `died`, `expect`, `check`, `snapshot` or `fault`.
    pub kind: &'static str,
    /// The check that does not hold.
    pub check: Option<&'static str>,
    /// What is wrong.
    pub text: String,
    /// More of it, in lines that are fit to be shown.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Reason {
    /// A reason.
    pub fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, check: None, text: text.into(), detail: None, hint: None }
    }
}

/// The last lines: how many passed, and what was blessed or is stale.
pub fn summary(all: &[Tested], left_out: usize, stale: &[PathBuf], took: Duration, color: bool) -> String {
    let mut text = String::new();
    for path in all.iter().filter_map(|one| one.blessed.as_ref()) {
        let _ = writeln!(text, "blessed {}", shown(path));
    }
    for path in stale {
        let _ = writeln!(text, "{} belongs to no case: remove it", shown(path));
    }
    let failed = all.iter().filter(|one| !one.has_passed()).count();
    let cases = if all.len() == 1 { "case" } else { "cases" };
    let _ = write!(text, "{} {cases} in {:.2} s: ", all.len(), took.as_secs_f64());
    let passed = format!("{} passed", all.len() - failed);
    text += &paint(&passed, if failed == 0 { "32;1" } else { "1" }, color);
    if failed > 0 {
        let failed = format!("{failed} failed");
        let _ = write!(text, ", {}", paint(&failed, "31;1", color));
    }
    if left_out > 0 {
        let _ = write!(text, ", {left_out} left out");
    }
    text.push('\n');
    text
}

/// All of it as JSON.
pub fn json(all: &[Tested], left_out: usize, stale: &[PathBuf], took: Duration) -> String {
    let failed = all.iter().filter(|one| !one.has_passed()).count();
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "passed": all.len() - failed,
        "failed": failed,
        "left_out": left_out,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "cases": all.iter().map(Tested::value).collect::<Vec<_>>(),
        "stale": stale,
    });
    clean::json(format!("{value:#}\n"))
}

fn shown(path: &Path) -> String {
    clean::line(&path.display().to_string())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// A text in a style.
fn paint(text: &str, style: &str, color: bool) -> String {
    if color { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Tested {
        let detail = Some("-a\n+b\n".to_owned());
        let hint = Some("look at it".to_owned());
        let reason = Reason { detail, hint, ..Reason::new("snapshot", "it \u{1b}[2J differs") };
        let log = vec!["stderr: oh".to_owned()];
        let about = Some("what it shows".to_owned());
        Tested { about, reasons: vec![reason], log, took: Duration::from_millis(120), ..Tested::of("first") }
    }

    #[test]
    fn a_line_says_how_it_ended_and_how_long_it_took() {
        let passed = Tested { took: Duration::from_millis(1_500), ..Tested::of("second") };
        assert_eq!(passed.line(false), " PASS [  1.500s] second");
        assert_eq!(failed().line(false), " FAIL [  0.120s] first");
        assert!(failed().line(true).starts_with("\u{1b}[31;1m FAIL\u{1b}[0m"));
        let unchecked = Tested { left_out: vec![(Check::Order, "why".to_owned())], ..passed };
        assert!(unchecked.line(false).ends_with("second (unchecked: order)"));
    }

    #[test]
    fn a_failure_has_its_reason_what_to_do_and_what_the_plugin_wrote() {
        let text = failed().reasons(false);
        assert_eq!(
            text,
            "\n── first: what it shows ──\n  it  differs\n  -a\n  +b\n  hint: look at it\n  the plugin wrote:\n  | stderr: oh\n"
        );
    }

    #[test]
    fn the_summary_counts_and_names() {
        let blessed = Tested { blessed: Some("tests/b.snap.json".into()), ..Tested::of("b") };
        let all = [failed(), blessed];
        let stale = [PathBuf::from("tests/old.snap.json")];
        let text = summary(&all, 3, &stale, Duration::from_millis(250), false);
        assert_eq!(
            text,
            "blessed tests/b.snap.json\ntests/old.snap.json belongs to no case: remove it\n\
             2 cases in 0.25 s: 1 passed, 1 failed, 3 left out\n"
        );
        let value: Value = serde_json::from_str(&json(&all, 3, &stale, Duration::from_millis(250))).unwrap();
        assert_eq!((value["passed"].as_u64(), value["failed"].as_u64()), (Some(1), Some(1)));
        assert_eq!(value["cases"][0]["reasons"][0]["kind"], "snapshot");
    }
}
