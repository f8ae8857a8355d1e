//! What is proposed: edits as diffs, actions in words.

use console::Style as Paint;

use super::{Out, Verbosity};
use crate::actions::program::Program;
use crate::report::{Action, ActionState, ApplyInfo, ApplyOutcome, Edit, EditState, Report, clean, words};

/// So many lines are shown of each stream of an action that did not end well.
const OUTPUT_LINES: usize = 10;

/// So many lines of all diffs together are shown.
const DIFF_LINES: usize = 200;

/// Shows them all.
pub(super) fn show(out: &mut Out, report: &Report) {
    edits(out, report);
    actions(out, report);
}

/// Shows the edits, and what has become of them.
pub(super) fn edits(out: &mut Out, report: &Report) {
    let Some(first) = report.edits.first() else { return };
    let files = report.edits.chunk_by(|one, other| one.path == other.path);
    let counted = words::counted(files.clone().count() as u64, "file", "files");
    let is_applied = first.state == EditState::Applied;
    out.title(&format!("{} edits: {counted}", if is_applied { "Applied" } else { "Proposed" }));
    let mut left = if out.style.verbosity == Verbosity::Verbose { usize::MAX } else { DIFF_LINES };
    let mut hidden = 0;
    for file in files {
        hidden += one(out, file, &mut left, report.previewed);
    }
    if hidden > 0 {
        let text = format!("{} {hidden} more lines of diffs; -v shows them", out.drawn("…", "..."));
        out.wrapped("  ", 2, &text, &Paint::new().dim());
    }
    if let Some(apply) = &report.apply {
        outcome(out, apply);
    }
}

/// What came of `--apply`.
fn outcome(out: &mut Out, apply: &ApplyInfo) {
    out.gap();
    if let Some(id) = &apply.rollback {
        out.wrapped("  ", 2, &format!("`convoke rollback {id}` takes them back"), &Paint::new());
    }
    if let Some(message) = &apply.message {
        let paint = if apply.outcome == ApplyOutcome::Declined { Paint::new() } else { Paint::new().red().bold() };
        let before = format!("  {} ", out.paint(&paint, "Nothing was changed:"));
        out.wrapped(&before, 4, message, &Paint::new());
    }
}

/// The proposals for one file. Returns how many lines were not shown.
fn one(out: &mut Out, file: &[Edit], left: &mut usize, previewed: bool) -> usize {
    let Some(first) = file.first() else { return 0 };
    if !previewed {
        out.gap();
    }
    let mut reasons: Vec<&str> = Vec::new();
    for reason in file.iter().flat_map(|edit| &edit.reasons) {
        if !reasons.contains(&reason.as_str()) {
            reasons.push(reason);
        }
    }
    let title = if reasons.is_empty() { first.path.clone() } else { format!("{}: {}", first.path, reasons.join("; ")) };
    out.wrapped("  ", 2, &title, &Paint::new().bold());
    for (word, text) in [("conflict:", &first.conflict), ("not done:", &first.problem)] {
        if let Some(text) = text {
            let before = format!("  {} ", out.paint(&Paint::new().red().bold(), word));
            out.wrapped(&before, 12, text, &Paint::new());
        }
    }
    if previewed {
        return 0;
    }
    let mut hidden = 0;
    for edit in file {
        if file.len() > 1 {
            // Of a conflict each side is shown with those who want it.
            out.wrapped("  ", 2, &format!("what {} would do:", edit.items.join(", ")), &Paint::new().dim());
        }
        hidden += diff(out, edit.diff.as_deref(), left);
    }
    hidden
}

/// A file that changes, with its diff.
pub(super) fn changed(out: &mut Out, path: &str, text: Option<&str>) {
    out.gap();
    out.wrapped("  ", 2, path, &Paint::new().bold());
    if text.is_none() {
        out.wrapped("  ", 2, "(no text, or too long to be shown)", &Paint::new().dim());
    }
    diff(out, text, &mut usize::MAX.clone());
}

/// Returns how many lines were not shown.
fn diff(out: &mut Out, diff: Option<&str>, left: &mut usize) -> usize {
    let Some(diff) = diff else { return 0 };
    let diff = clean::block(diff);
    let mut hidden = 0;
    // The two lines of the header name the file again.
    for (number, line) in diff.lines().enumerate() {
        if number < 2 && (line.starts_with("--- ") || line.starts_with("+++ ")) {
            continue;
        }
        if *left == 0 {
            hidden += 1;
            continue;
        }
        *left -= 1;
        let paint = match line.as_bytes().first() {
            Some(b'+') => Paint::new().green(),
            Some(b'-') => Paint::new().red(),
            Some(b'@') => Paint::new().cyan(),
            _ => Paint::new(),
        };
        let line = out.paint(&paint, line);
        out.line(&format!("  {line}"));
    }
    hidden
}

fn actions(out: &mut Out, report: &Report) {
    if report.actions.is_empty() {
        return;
    }
    let wanted = |action: &Action| !matches!(action.state, ActionState::Proposed | ActionState::Refused);
    out.title(if report.actions.iter().any(wanted) { "Actions" } else { "Proposed actions" });
    for action in &report.actions {
        one_action(out, action);
    }
}

fn one_action(out: &mut Out, action: &Action) {
    let paint = match action.state {
        ActionState::Done | ActionState::DoneBefore => Paint::new().green(),
        ActionState::Failed | ActionState::Unknown | ActionState::Refused => Paint::new().red().bold(),
        ActionState::Proposed | ActionState::Declined => Paint::new(),
    };
    let kind = clean::line(&action.kind);
    let state = match action.state {
        ActionState::Proposed => String::new(),
        state => format!("{}  ", out.paint(&paint, state.name())),
    };
    let used = 2 + console::measure_text_width(&state);
    out.wrapped(&format!("  {state}"), used, &format!("{kind}: {}", action.title), &Paint::new());
    // What would be run is read before anybody asks for it.
    if let Ok(program) = Program::of(&action.body) {
        out.wrapped("    ", 4, &program.quoted(), &Paint::new().dim());
    }
    if let Some(problem) = &action.problem {
        out.wrapped("    ", 4, problem, &Paint::new());
    }
    if !matches!(action.state, ActionState::Failed | ActionState::Unknown) {
        return;
    }
    for text in [&action.output, &action.errors].into_iter().flatten() {
        let text = clean::block(text);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(OUTPUT_LINES)..] {
            let line = out.paint(&Paint::new().dim(), line);
            out.line(&format!("    | {line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Style, render};
    use super::*;
    use crate::report::samples;

    #[test]
    fn long_diffs_are_cut_and_counted() {
        let mut report = samples::full();
        report.edits[0].diff = Some(format!("--- a\n+++ a\n@@ -1 +1 @@\n{}", "+more\n".repeat(500)));
        let text = render(&report, &Style::default());
        assert_eq!(text.matches("+more").count(), DIFF_LINES - 1);
        assert!(text.contains("301 more lines of diffs"), "{text}");
    }

    #[test]
    fn a_conflict_is_said() {
        let mut report = samples::full();
        report.edits[0].conflict = Some("a and b change the same part of it".to_owned());
        assert!(render(&report, &Style::default()).contains("conflict: a and b change the same part"));
    }
}
