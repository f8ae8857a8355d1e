//! How a run that has not done all is continued.

use convoke_runtime::work::Status;

use super::{Report, clean};

/// The command that goes on with a run, as it is typed; none where all is done, and where the run is not written down so
/// that it can be continued.
///
/// What is pending is done by `resume`; what failed or fell back only by `retry --failed`, which does both.
pub fn how_to_go_on(report: &Report) -> Option<String> {
    if !report.continuable {
        return None;
    }
    let id = short(&report.run.id);
    let lost = report.census.failed + report.census.fallback;
    match report.status {
        Status::Completed => None,
        Status::Interrupted | Status::Parked => Some(format!("convoke resume {id}")),
        // All items are done: what was lost is not theirs.
        Status::Degraded | Status::Failed if lost + report.census.pending == 0 => None,
        Status::Degraded | Status::Failed if lost == 0 => Some(format!("convoke resume {id}")),
        Status::Degraded | Status::Failed => Some(format!("convoke retry {id} --failed")),
    }
}

/// The last digits of a run's id, by which it is found.
fn short(id: &str) -> String {
    clean::line(id.rsplit('-').next().unwrap_or(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn what_is_pending_is_resumed_and_what_went_wrong_is_tried_again() {
        let mut report = samples::full();
        report.run.id = "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4".to_owned();
        let mut said = |status, failed| {
            (report.status, report.census.failed, report.census.fallback) = (status, failed, 0);
            how_to_go_on(&report)
        };
        assert_eq!(said(Status::Completed, 0), None);
        let resume = Some("convoke resume 8f3a9c01d2e4".to_owned());
        assert_eq!(said(Status::Interrupted, 2), resume);
        assert_eq!(said(Status::Parked, 0), resume);
        assert_eq!(said(Status::Degraded, 0), None, "an action, the report: no item");
        let retry = Some("convoke retry 8f3a9c01d2e4 --failed".to_owned());
        assert_eq!(said(Status::Degraded, 1), retry);
        assert_eq!(said(Status::Failed, 3), retry);
        (report.status, report.census.failed, report.census.pending) = (Status::Degraded, 0, 1);
        assert_eq!(how_to_go_on(&report), resume, "what is pending only");
    }

    #[test]
    fn a_run_that_can_not_be_continued_is_not_said_to_be() {
        let mut report = samples::full();
        (report.status, report.continuable) = (Status::Interrupted, false);
        assert_eq!(how_to_go_on(&report), None);
    }
}
