//! What is proposed: edits as diffs, actions in words.

use console::Style as Paint;

use super::{Out, Verbosity};
use crate::actions::program::Program;
use crate::report::{Action, ActionState, Edit, Report, clean, words};

/// So many lines are shown of each stream of an action that did not end well.
const OUTPUT_LINES: usize = 10;

/// So many lines of all diffs together are shown.
const DIFF_LINES: usize = 200;

/// Shows them all.
pub(super) fn show(out: &mut Out, report: &Report) {
    edits(out, report);
    actions(out, report);
}

fn edits(out: &mut Out, report: &Report) {
    if report.edits.is_empty() {
        return;
    }
    out.title(&format!("Proposed edits: {}", words::counted(report.edits.len() as u64, "file", "files")));
    let mut left = if out.style.verbosity == Verbosity::Verbose { usize::MAX } else { DIFF_LINES };
    let mut hidden = 0;
    for edit in &report.edits {
        hidden += one(out, edit, &mut left);
    }
    if hidden > 0 {
        let text = format!("{} {hidden} more lines of diffs; -v shows them", out.drawn("…", "..."));
        out.wrapped("  ", 2, &text, &Paint::new().dim());
    }
}

/// Returns how many lines were not shown.
fn one(out: &mut Out, edit: &Edit, left: &mut usize) -> usize {
    out.gap();
    let mut title = edit.path.clone();
    if !edit.reasons.is_empty() {
        title = format!("{title}: {}", edit.reasons.join("; "));
    }
    out.wrapped("  ", 2, &title, &Paint::new().bold());
    if let Some(conflict) = &edit.conflict {
        let before = format!("  {} ", out.paint(&Paint::new().red().bold(), "conflict:"));
        out.wrapped(&before, 12, conflict, &Paint::new());
    }
    let Some(diff) = &edit.diff else { return 0 };
    let diff = clean::block(diff);
    let mut hidden = 0;
    // The two lines of the header name the file again.
    for line in diff.lines().skip_while(|line| line.starts_with("--- ") || line.starts_with("+++ ")) {
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
