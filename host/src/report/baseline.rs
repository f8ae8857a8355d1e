//! What was found before, so that only new findings are shown.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use convoke_runtime::work::Status;
use serde::{Deserialize, Serialize};

use super::{Finding, Report, SuppressedBy};
use crate::config::files;

/// The version of the file.
const VERSION: u32 = 1;

/// The largest baseline that is read, in bytes: some 300,000 findings.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The findings that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    version: u32,
    /// The command whose findings these are.
    command: String,
    findings: BTreeSet<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    fingerprint: String,
    /// Only for those who read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Only for those who read the file.
    #[serde(default)]
    message: String,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file can't be read or written.
    #[error("the baseline {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no baseline.
    #[error("the baseline {} can't be read: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A later convoke wrote it.
    #[error("the baseline {} has version {version}, and this convoke reads up to {VERSION}: update convoke", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It is another command's.
    #[error("the baseline {} is of `{found}`, not of `{wanted}`: use another file for each command", path.display())]
    OtherCommand {
        /// The file.
        path: PathBuf,
        /// The command it is of.
        found: String,
        /// The command that runs.
        wanted: String,
    },
}

impl Baseline {
    /// Reads the baseline of a command.
    ///
    /// # Errors
    ///
    /// See [`BaselineError`]. A file that isn't there is an error too: who names one expects it to count.
    pub fn read(path: &Path, command: &str) -> Result<Self, BaselineError> {
        let malformed = |message: String| BaselineError::Malformed { path: path.to_owned(), message };
        let text =
            files::read_text(path, LARGEST).map_err(|source| BaselineError::Io { path: path.to_owned(), source })?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version > u64::from(VERSION) => {
                return Err(BaselineError::Newer { path: path.to_owned(), version });
            }
            Some(_) => {}
            None => return Err(malformed("it has no `version`".to_owned())),
        }
        let baseline: Self = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if baseline.command == command {
            Ok(baseline)
        } else {
            let found = super::clean::line(&super::clean::bounded(&baseline.command, 64));
            Err(BaselineError::OtherCommand { path: path.to_owned(), found, wanted: command.to_owned() })
        }
    }

    /// All findings of a report that no comment and no configuration suppresses. Where the run did not do all, what
    /// stood in the previous baseline stays: it was not looked for.
    pub fn of(report: &Report, previous: Option<&Self>) -> Self {
        let counts = |finding: &&Finding| {
            finding.suppressed.as_ref().is_none_or(|suppressed| suppressed.by == SuppressedBy::Baseline)
        };
        let mut findings: BTreeSet<Entry> = report.findings.iter().filter(counts).map(Entry::of).collect();
        if let Some(previous) = previous.filter(|_| report.status != Status::Completed) {
            let known: BTreeSet<(&str, &str)> =
                findings.iter().map(|entry| (entry.rule.as_str(), entry.fingerprint.as_str())).collect();
            let missing: Vec<Entry> = previous
                .findings
                .iter()
                .filter(|entry| !known.contains(&(entry.rule.as_str(), entry.fingerprint.as_str())))
                .cloned()
                .collect();
            findings.extend(missing);
        }
        Self { version: VERSION, command: report.run.command.clone(), findings }
    }

    /// Writes it, atomically, sorted, so that a version control shows what changed.
    ///
    /// # Errors
    ///
    /// [`BaselineError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        let io = |source: io::Error| BaselineError::Io { path: path.to_owned(), source };
        let mut text = serde_json::to_string_pretty(self).map_err(|error| io(error.into()))?;
        text.push('\n');
        files::write_atomic(path, text.as_bytes(), None).map_err(io)
    }

    /// Whether a finding stands in it.
    pub fn contains(&self, finding: &Finding) -> bool {
        let lowest = Entry {
            rule: finding.rule.clone(),
            fingerprint: finding.fingerprint.clone(),
            path: None,
            message: String::new(),
        };
        self.findings
            .range(lowest..)
            .next()
            .is_some_and(|entry| entry.rule == finding.rule && entry.fingerprint == finding.fingerprint)
    }

    /// How many of its findings are not among these.
    pub fn gone(&self, findings: &[Finding]) -> u64 {
        let found: BTreeSet<(&str, &str)> =
            findings.iter().map(|finding| (finding.rule.as_str(), finding.fingerprint.as_str())).collect();
        let gone = |entry: &&Entry| !found.contains(&(entry.rule.as_str(), entry.fingerprint.as_str()));
        self.findings.iter().filter(gone).count() as u64
    }

    /// How many findings it has.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Entry {
    fn of(finding: &Finding) -> Self {
        Self {
            rule: finding.rule.clone(),
            fingerprint: finding.fingerprint.clone(),
            path: finding.path.clone(),
            message: finding.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Severity;

    use super::*;
    use crate::report::{Suppressed, samples};

    fn report() -> Report {
        let mut report = samples::empty();
        report.findings = vec![
            samples::finding("a-rule", Severity::High, "a.md", 1),
            samples::finding("b-rule", Severity::Low, "b.md", 2),
        ];
        super::super::fingerprint::assign(&mut report.findings);
        report
    }

    #[test]
    fn what_was_written_is_known_when_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        let report = report();
        Baseline::of(&report, None).write(&path).unwrap();
        let baseline = Baseline::read(&path, "agent-audit").unwrap();
        assert_eq!(baseline.len(), 2);
        assert!(report.findings.iter().all(|finding| baseline.contains(finding)));
        let mut moved = report.findings.clone();
        moved[0].line = Some(77);
        assert!(baseline.contains(&moved[0]));
        assert!(!baseline.contains(&samples::finding("c-rule", Severity::High, "a.md", 1)));
        assert_eq!(baseline.gone(&report.findings[..1]), 1);
    }

    #[test]
    fn what_is_suppressed_elsewhere_does_not_go_into_it() {
        let mut report = report();
        report.findings[0].suppressed = Some(Suppressed { by: SuppressedBy::Comment, reason: String::new() });
        report.findings[1].suppressed = Some(Suppressed { by: SuppressedBy::Baseline, reason: String::new() });
        let baseline = Baseline::of(&report, None);
        assert!(!baseline.contains(&report.findings[0]));
        assert!(baseline.contains(&report.findings[1]), "it is still there");
    }

    #[test]
    fn a_run_that_did_not_do_all_forgets_nothing() {
        let mut report = report();
        let before = Baseline::of(&report, None);
        report.findings.pop();
        assert_eq!(Baseline::of(&report, Some(&before)).len(), 1);
        report.status = Status::Degraded;
        assert_eq!(Baseline::of(&report, Some(&before)).len(), 2);
    }

    #[test]
    fn a_newer_a_broken_a_foreign_and_a_missing_one_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Baseline::read(&path, "agent-audit").unwrap_err().to_string()
        };
        assert!(read(r#"{"version": 2, "shape": "unknown"}"#).contains("update convoke"));
        assert!(read(r#"{"version": 1, "command": "deps", "findings": []}"#).contains("is of `deps`"));
        assert!(read(r#"{"version": 1, "findings": []}"#).contains("command"));
        assert!(read("{").contains("line 1"));
        assert!(read("{}").contains("no `version`"));
        assert!(Baseline::read(&folder.path().join("none"), "x").unwrap_err().to_string().contains("none"));
    }
}
