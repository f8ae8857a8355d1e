//! How a run stands: one status, of which everything that a user sees is made.
//!
//! The terminal, JSON, Markdown, SARIF, the journal, the last event and the exit code all take [`Report::status`] and
//! [`Report::exit_code`]. They are decided here when the report is built, and can be lowered afterwards by
//! [`Report::degrade`] alone. The table of consumers is tested in this file.

use convoke_runtime::event::Fact;
use convoke_runtime::work::{Census, Status};

use super::build::LONGEST_REASON;
use super::{ExitCode, Report, clean, exit_code};

/// What counts beside the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// The user stopped it.
    pub interrupted: bool,
    /// A quota or budget was spent, or a key rejected.
    pub parked: bool,
    /// Something was lost that is no item: the journal knew better, the host had a fault.
    pub lost: bool,
}

/// How a run stands. `completed` only where every item is done, cached or skipped, and nothing else was lost. What came
/// when all was done already, an interruption or a spent budget, changes nothing.
pub fn status(census: &Census, grounds: Grounds) -> Status {
    if census.pending > 0 && grounds.interrupted {
        Status::Interrupted
    } else if census.pending > 0 && grounds.parked {
        Status::Parked
    } else {
        let status = Status::of(census);
        if grounds.lost { lowered(status) } else { status }
    }
}

/// What is worse than degraded stays so.
fn lowered(status: Status) -> Status {
    match status {
        Status::Completed => Status::Degraded,
        worse => worse,
    }
}

impl Report {
    /// Something that was wanted has not come about, after the items or beside them: the run is degraded at least, and the
    /// report says why. What is not lowered: an interrupted, parked or failed run.
    pub fn degrade(&mut self, reason: impl AsRef<str>) {
        self.warnings.push(clean::bounded(reason.as_ref(), LONGEST_REASON).into_owned());
        self.status = lowered(self.status);
        self.judge();
    }

    /// Brings the exit code to what the status and the findings say.
    pub(crate) fn judge(&mut self) {
        self.exit_code = exit_code(self, self.fail_on);
    }

    /// The code that the process ends with, as far as this run decides it.
    pub fn exit_code(&self) -> ExitCode {
        self.exit_code
    }

    /// The run's last event.
    pub fn ended(&self) -> Fact {
        Fact::Ended { census: self.census, status: self.status }
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::journal::{Journal, RunId, RunRecord};
    use convoke_runtime::work::Severity;
    use serde_json::Value;

    use super::super::human::{Style, Verbosity};
    use super::super::{human, json, markdown, samples, sarif, together};
    use super::*;

    const ALL: [Status; 5] = [Status::Completed, Status::Degraded, Status::Parked, Status::Failed, Status::Interrupted];

    /// A report with this status, and with a finding that counts or none.
    fn report(status: Status, counts: bool) -> Report {
        let mut report = if counts { samples::offline() } else { samples::empty() };
        report.status = status;
        report.fail_on = Some(Severity::Info);
        report.judge();
        report
    }

    async fn in_journal(report: &Report) -> Status {
        let journal = Journal::in_memory().unwrap();
        let run = RunRecord {
            id: RunId::new(),
            command: report.run.command.clone(),
            subcommand: None,
            plugin_name: String::new(),
            plugin_version: String::new(),
            plugin_digest: String::new(),
            arguments: Value::Null,
            project: String::new(),
            mode: String::new(),
            backend: String::new(),
            started: report.run.started,
            typed: None,
        };
        let id = run.id;
        journal.begin_run(run).await.unwrap();
        journal.end_run(&id, report.status, report.census, report.run.started).await.unwrap();
        journal.run(&id).await.unwrap().row.end.unwrap().status
    }

    #[tokio::test]
    async fn every_consumer_says_the_same() {
        for (status, code, with_findings) in [
            (Status::Completed, 0, 1),
            (Status::Degraded, 3, 3),
            (Status::Parked, 5, 5),
            (Status::Failed, 4, 4),
            (Status::Interrupted, 130, 130),
        ] {
            for (counts, code) in [(false, code), (true, with_findings)] {
                let report = report(status, counts);
                let (name, is_well) = (status.name(), status == Status::Completed);
                assert_eq!(report.exit_code().code(), code, "{name}");
                assert_eq!(exit_code(&report, report.fail_on).code(), code, "{name}");

                let value: Value = serde_json::from_str(&json::render(&report).unwrap()).unwrap();
                assert_eq!((&value["status"], value["exit_code"].as_u64()), (&name.into(), Some(code.into())));

                let log: Value = serde_json::from_str(&sarif::render(&report, &[]).unwrap()).unwrap();
                let (run, invocation) = (&log["runs"][0], &log["runs"][0]["invocations"][0]);
                assert_eq!(invocation["executionSuccessful"], is_well, "{name}");
                assert_eq!(invocation["exitCode"], code, "{name}");
                assert_eq!(run["properties"]["convoke"]["status"], name);
                assert_eq!(run["properties"]["convoke"]["exit_code"], code);

                let page = markdown::render(&report);
                assert!(page.contains(&format!("**{name}**")), "{page}");
                assert_eq!(page.contains('⚠'), !is_well, "{page}");

                for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
                    let text = human::render(&report, &Style { verbosity, ..Style::default() });
                    let word = name[..1].to_uppercase() + &name[1..];
                    let labels = |status: &Status| {
                        let name = status.name();
                        text.contains(&format!("{} ", name[..1].to_uppercase() + &name[1..]))
                    };
                    assert!(text.contains(&word), "{text}");
                    assert_eq!(ALL.iter().filter(|status| labels(status)).count(), 1, "{text}");
                }

                let fact = serde_json::to_value(report.ended()).unwrap();
                assert_eq!(fact["status"], name);
                assert_eq!(in_journal(&report).await, status);

                let code_of_all = ExitCode::strongest([ExitCode::Success, report.exit_code()]);
                let runs = together::Runs::of(vec![report], code_of_all);
                let value: Value = serde_json::from_str(&together::render(&runs).unwrap()).unwrap();
                assert_eq!((&value["exit_code"], &value["runs"][0]["status"]), (&code.into(), &name.into()));
            }
        }
    }

    #[test]
    fn what_was_lost_beside_the_items_is_degraded_at_least() {
        let done = Census { items: 2, done: 2, ..Census::default() };
        let failed = Census { items: 1, failed: 1, ..Census::default() };
        let open = Census { items: 2, done: 1, pending: 1, ..Census::default() };
        let lost = Grounds { lost: true, ..Grounds::default() };
        assert_eq!(status(&done, Grounds::default()), Status::Completed);
        assert_eq!(status(&done, lost), Status::Degraded);
        assert_eq!(status(&Census::default(), lost), Status::Degraded);
        assert_eq!(status(&failed, lost), Status::Failed);
        assert_eq!(status(&open, Grounds { parked: true, ..lost }), Status::Parked);
        assert_eq!(status(&open, Grounds { parked: true, interrupted: true, lost: true }), Status::Interrupted);
        let all = Grounds { parked: true, interrupted: true, lost: false };
        assert_eq!(status(&done, all), Status::Completed, "it came when all was done");
    }

    #[test]
    fn a_report_can_be_lowered_afterwards_and_never_raised() {
        for before in ALL {
            let mut report = report(before, false);
            report.degrade("an edit was not written\u{1b}[2J");
            let after = if before == Status::Completed { Status::Degraded } else { before };
            assert_eq!(report.status, after);
            assert_eq!(report.exit_code(), exit_code(&report, report.fail_on));
            assert!(report.warnings.last().is_some_and(|said| said.starts_with("an edit was not written")));
            assert_ne!(report.exit_code().code(), 0);
        }
    }
}
