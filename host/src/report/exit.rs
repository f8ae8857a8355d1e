//! The exit codes, and which one holds.

use convoke_runtime::work::{Severity, Status};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Report;

/// What the process tells its caller. From the last to the first that wins: where several hold, the greatest is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitCode {
    /// 0: all done.
    Success,
    /// 1: findings at or above `--fail-on`.
    Findings,
    /// 3: something failed, or fell back unasked.
    Degraded,
    /// 4: nothing could be done.
    Nothing,
    /// 5: a quota or budget is spent; running the same again later continues.
    Parked,
    /// 2: wrong use or configuration.
    Usage,
    /// 130: interrupted; running the same again continues.
    Interrupted,
}

impl ExitCode {
    /// All of them, the winning one last.
    pub const ALL: [Self; 7] =
        [Self::Success, Self::Findings, Self::Degraded, Self::Nothing, Self::Parked, Self::Usage, Self::Interrupted];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Degraded => 3,
            Self::Nothing => 4,
            Self::Parked => 5,
            Self::Interrupted => 130,
        }
    }

    /// What it tells, in a few words, as the help has it; every cause stands in the README's table.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "all done",
            Self::Findings => "findings at or above --fail-on",
            Self::Usage => "wrong use",
            Self::Degraded => "degraded",
            Self::Nothing => "nothing could be done",
            Self::Parked => "parked (limit or budget spent)",
            Self::Interrupted => "interrupted",
        }
    }

    /// All of them in a line, for the help: `0 all done, 1 …`.
    pub fn listed() -> String {
        let mut codes = Self::ALL;
        codes.sort_unstable_by_key(|code| code.code());
        codes.map(|code| format!("{} {}", code.code(), code.meaning())).join(", ")
    }

    /// The one that is used where several hold.
    pub fn strongest(codes: impl IntoIterator<Item = Self>) -> Self {
        codes.into_iter().max().unwrap_or(Self::Success)
    }
}

impl Serialize for ExitCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl<'de> Deserialize<'de> for ExitCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u8::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|known| known.code() == code);
        known.ok_or_else(|| D::Error::custom(format!("{code} is no exit code of convoke")))
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

/// The exit code of a report; findings count from `fail_on` upwards, or not at all.
pub fn exit_code(report: &Report, fail_on: Option<Severity>) -> ExitCode {
    let status = match report.status {
        Status::Completed => ExitCode::Success,
        Status::Degraded => ExitCode::Degraded,
        Status::Parked => ExitCode::Parked,
        Status::Failed => ExitCode::Nothing,
        Status::Interrupted => ExitCode::Interrupted,
    };
    let failing = |fail_on| report.open_findings().any(|finding| finding.severity >= fail_on);
    let findings = if fail_on.is_some_and(failing) { ExitCode::Findings } else { ExitCode::Success };
    ExitCode::strongest([status, findings])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Suppressed, SuppressedBy, samples};

    fn with(status: Status, severity: Severity) -> Report {
        let mut report = samples::empty();
        report.status = status;
        report.findings = vec![samples::finding("a-rule", severity, "a.md", 1)];
        report
    }

    #[test]
    fn the_order_is_130_2_5_4_3_1_0() {
        let mut codes = ExitCode::ALL;
        codes.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!(codes.map(ExitCode::code), [130, 2, 5, 4, 3, 1, 0]);
        assert_eq!(ExitCode::strongest(ExitCode::ALL), ExitCode::Interrupted);
        assert_eq!(ExitCode::strongest([]), ExitCode::Success);
    }

    #[test]
    fn the_documented_codes_are_those_there_are() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let table = readme.split("| exit code | |\n|---|---|\n").nth(1).unwrap();
        let rows: Vec<(&str, &str)> =
            table.lines().map_while(|row| row.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")).collect();
        let mut codes = ExitCode::ALL;
        codes.sort_unstable_by_key(|code| code.code());
        assert_eq!(rows.len(), codes.len());
        for (code, (number, causes)) in codes.into_iter().zip(rows) {
            assert_eq!(number, code.code().to_string());
            let word = code.meaning().replace("--fail-on", "`--fail-on`");
            let word = word.split(" (").next().unwrap();
            assert!(causes.starts_with(word), "{number}: {causes:?} does not begin with {word:?}");
        }
        assert!(readme.contains("the first of 130, 2, 5, 4, 3, 1, 0 is used"));
        let all = "0 all done, 1 findings at or above --fail-on, 2 wrong use, 3 degraded, 4 nothing could be done, \
                   5 parked (limit or budget spent), 130 interrupted";
        assert_eq!(ExitCode::listed(), all);
    }

    #[test]
    fn each_status_has_its_code_and_findings_only_beat_success() {
        for (status, code) in [
            (Status::Completed, 1),
            (Status::Degraded, 3),
            (Status::Failed, 4),
            (Status::Parked, 5),
            (Status::Interrupted, 130),
        ] {
            assert_eq!(exit_code(&with(status, Severity::High), Some(Severity::High)).code(), code, "{status:?}");
        }
    }

    #[test]
    fn a_finding_counts_from_the_asked_severity_upwards() {
        let report = with(Status::Completed, Severity::Medium);
        assert_eq!(exit_code(&report, Some(Severity::Low)), ExitCode::Findings);
        assert_eq!(exit_code(&report, Some(Severity::Medium)), ExitCode::Findings);
        assert_eq!(exit_code(&report, Some(Severity::High)), ExitCode::Success);
        assert_eq!(exit_code(&report, None), ExitCode::Success);
    }

    #[test]
    fn a_suppressed_finding_does_not_count() {
        let mut report = with(Status::Completed, Severity::Critical);
        report.findings[0].suppressed = Some(Suppressed { by: SuppressedBy::Baseline, reason: String::new() });
        assert_eq!(exit_code(&report, Some(Severity::Info)), ExitCode::Success);
    }
}
