//! What was changed from outside while the run went on.

use super::{Out, Paint, Verbosity};
use crate::report::{ControlInfo, Report};

/// So many are shown.
const SHOWN: usize = 10;

pub(super) fn show(out: &mut Out, report: &Report) {
    if report.controls.is_empty() || out.style.verbosity == Verbosity::Quiet {
        return;
    }
    out.title("Changed while it ran");
    let all = out.style.verbosity == Verbosity::Verbose;
    for control in report.controls.iter().take(if all { usize::MAX } else { SHOWN }) {
        let ControlInfo { at_ms, by, what, became } = control;
        let at = crate::progress::clock(std::time::Duration::from_millis(*at_ms));
        out.wrapped("  ", 2, &format!("{at} {what} ({by}): {became}"), &Paint::new());
    }
    if !all && report.controls.len() > SHOWN {
        let text = format!("and {} more; -v shows them", report.controls.len() - SHOWN);
        out.wrapped("  ", 2, &text, &Paint::new().dim());
    }
}
