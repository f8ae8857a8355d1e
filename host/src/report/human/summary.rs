//! What failed, what to know, and the sums.

use console::Style as Paint;
use convoke_runtime::work::{Severity, Status};
use textwrap::core::display_width;

use super::{Out, Verbosity, offline_words, paint_of};
use crate::report::explain::{self, Explain};
use crate::report::go_on::how_to_go_on;
use crate::report::{
    ApplyOutcome, AttemptEnd, Counts, Report, alerts, attempts, clean, comparison, cost, timing, words,
};

/// So many warnings are shown.
const WARNINGS: usize = 20;

/// So many failures are shown, each with so many last lines of its log.
const FAILURES: usize = 20;
const LOG_LINES: usize = 8;

/// So many changes of the level are shown; the report in JSON has all.
const LEVELS: usize = 6;

/// So long may a metric's name be, in characters.
const NAME: usize = 40;

/// So wide are the labels of the sums, as cargo's are.
const LABEL: usize = 12;

pub(super) fn metrics(out: &mut Out, report: &Report) {
    if report.metrics.is_empty() {
        return;
    }
    out.title("Metrics");
    let names: Vec<String> =
        report.metrics.iter().map(|metric| clean::line(&clean::bounded(&metric.name, NAME))).collect();
    let width = names.iter().map(|name| display_width(name)).max().unwrap_or_default();
    for (metric, name) in report.metrics.iter().zip(names) {
        let mut text = words::metric(metric);
        if let Some(item) = &metric.item {
            text = format!("{text} {item}");
        }
        let gap = " ".repeat(width - display_width(&name) + 2);
        out.wrapped(&format!("  {name}{gap}"), width + 4, &text, &Paint::new());
    }
}

/// Two tiers side by side.
pub(super) fn comparison(out: &mut Out, report: &Report) {
    let Some(compared) = &report.comparison else { return };
    let rows = comparison::rows(compared);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| display_width(cell)).max().unwrap_or_default()
    };
    out.title("Comparison");
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = " ".repeat(width(column).saturating_sub(display_width(cell)));
            line += &if column == 0 { format!("  {cell}{gap}") } else { format!("  {gap}{cell}") };
        }
        out.line(&line);
    }
    if let Some(remark) = comparison::remark(compared) {
        out.wrapped("  ", 2, &remark, &Paint::new().dim());
    }
}

/// Those about the whole run, the conclusion's among them; with `-v` those of the items too.
pub(super) fn notes(out: &mut Out, report: &Report) {
    let verbose = out.style.verbosity == Verbosity::Verbose;
    let notes: Vec<_> = report.notes.iter().filter(|note| verbose || note.item.is_none() || note.concludes).collect();
    if notes.is_empty() {
        return;
    }
    out.title("Notes");
    for note in notes {
        if let Some(item) = &note.item {
            out.wrapped("  ", 2, item, &Paint::new().bold());
        }
        for line in clean::block(&note.text).trim().lines() {
            out.wrapped("  ", 2, line, &Paint::new());
        }
    }
}

pub(super) fn failures(out: &mut Out, report: &Report) {
    if report.failures.is_empty() {
        return;
    }
    let verbose = out.style.verbosity == Verbosity::Verbose;
    out.title("Failed");
    for failure in report.failures.iter().take(if verbose { usize::MAX } else { FAILURES }) {
        out.wrapped("  ", 2, &failure.item, &Paint::new().red().bold());
        let tries = if failure.attempts > 1 { format!(" ({} attempts)", failure.attempts) } else { String::new() };
        out.wrapped("    ", 4, &format!("{}{tries}", failure.reason), &Paint::new());
        // The last one is what was just said.
        for attempt in failure.tried.iter().filter(|attempt| attempt.became != AttemptEnd::Failed) {
            out.wrapped("    ", 4, &attempts::line(attempt), &Paint::new().dim());
        }
        if let Some(questions) = failure.questions.as_ref().and_then(attempts::questions) {
            out.wrapped("    ", 4, &questions, &Paint::new().dim());
        }
        let log = clean::block(&failure.log);
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let skipped = if verbose { 0 } else { lines.len().saturating_sub(LOG_LINES) };
        let bar = out.dim(out.drawn("│", "|"));
        for line in &lines[skipped..] {
            out.wrapped(&format!("    {bar} "), 6, line, &Paint::new().dim());
        }
    }
    more(out, report.failures.len(), FAILURES);
    out.wrapped("  ", 2, &format!("the whole is in `convoke runs show {}`", report.run.id), &Paint::new().dim());
}

/// With `-v`: the items that needed more than one attempt, and ended well.
pub(super) fn attempts(out: &mut Out, report: &Report) {
    let mended = || report.attempts.iter().filter(|item| item.outcome != "failed");
    if out.style.verbosity < Verbosity::Verbose || mended().next().is_none() {
        return;
    }
    out.title("Tried again");
    for item in mended() {
        out.wrapped("  ", 2, &format!("{} ({} in the end)", item.item, item.outcome), &Paint::new().bold());
        for attempt in &item.tried {
            out.wrapped("    ", 4, &attempts::line(attempt), &Paint::new().dim());
        }
    }
}

pub(super) fn warnings(out: &mut Out, report: &Report) {
    if report.warnings.is_empty() {
        return;
    }
    out.gap();
    let verbose = out.style.verbosity == Verbosity::Verbose;
    let label = out.paint(&Paint::new().yellow().bold(), "warning:");
    for warning in report.warnings.iter().take(if verbose { usize::MAX } else { WARNINGS }) {
        out.wrapped(&format!("{label} "), 9, warning, &Paint::new());
    }
    more(out, report.warnings.len(), WARNINGS);
}

fn more(out: &mut Out, all: usize, shown: usize) {
    if all > shown && out.style.verbosity < Verbosity::Verbose {
        let text = format!("{} and {} more; -v shows them", out.drawn("…", "..."), all - shown);
        out.wrapped("  ", 2, &text, &Paint::new().dim());
    }
}

/// Why each item was done or was not, where that was asked for.
pub(super) fn explained(out: &mut Out, report: &Report) {
    let lines = report.explain.as_ref().map(Explain::lines).unwrap_or_default();
    if lines.is_empty() {
        return;
    }
    out.title("Why");
    for line in lines {
        out.wrapped("  ", 2, &line, &Paint::new());
    }
}

/// The census, the findings, the time, the price, and what to do next.
pub(super) fn sums(out: &mut Out, report: &Report) {
    out.gap();
    let good = Paint::new().green().bold();
    let paint = match report.status {
        Status::Completed => good.clone(),
        Status::Degraded | Status::Parked | Status::Interrupted => Paint::new().yellow().bold(),
        Status::Failed => Paint::new().red().bold(),
    };
    labelled(out, capital(report.status.name()).as_str(), &paint, &words::census(&report.census));

    let counts = Counts::of(&report.findings);
    let worst = Severity::ALL.into_iter().rev().find(|severity| counts.get(*severity) > 0);
    let mut found = worst.map_or_else(|| "none".to_owned(), |_| words::findings(counts));
    if let Some(suppressed) = words::suppressed(&report.suppressed) {
        found = format!("{found}; {suppressed}");
    }
    labelled(out, "Findings", &worst.map_or_else(|| good.clone(), paint_of), &found);
    if report.suppressed.baseline_gone > 0 {
        let gone = words::counted(report.suppressed.baseline_gone, "finding", "findings");
        labelled(out, "Baseline", &good, &format!("{gone} of it are gone; write it again to keep it so"));
    }
    if let Some(sums) = explain::sums(report) {
        labelled(out, "Planned", &good, &sums);
    }
    if report.is_offline() {
        labelled(out, "Answers", &good, offline_words(report));
    }
    if !report.attempts.is_empty() {
        let items = words::counted(report.attempts.len() as u64, "item", "items");
        let which = if out.style.verbosity < Verbosity::Verbose { "; -v says which" } else { "" };
        labelled(out, "Attempts", &good, &format!("{items} needed more than one{which}"));
    }
    let most = if out.style.verbosity < Verbosity::Verbose { LEVELS } else { usize::MAX };
    for level in report.levels.iter().take(most) {
        labelled(out, "Level", &Paint::new().yellow().bold(), &attempts::level_line(level));
    }
    let shown = report.alerts.iter().take(alerts::SHOWN).map(alerts::line);
    for alert in shown.chain(alerts::more(&report.alerts)) {
        labelled(out, "Alert", &Paint::new().red().bold(), &alert);
    }
    let times = if out.style.unicode { '×' } else { 'x' };
    labelled(out, "Time", &good, &words::timing(&report.timing, report.workers.len(), times));
    if let Some(slowest) = timing::slowest(&report.timing, report.workers.len()) {
        labelled(out, "Slowest", &good, &slowest);
    }
    if let Some(bottleneck) = timing::bottleneck(&report.timing) {
        labelled(out, "Bottleneck", &good, &bottleneck);
    }
    if report.census.items > 0 {
        let run = &report.run;
        labelled(out, "Run", &good, &format!("{}, mode {}, backend {}", run.id, run.mode, run.backend));
    }
    if report.usage.requests > 0 {
        labelled(out, "Used", &good, &words::usage(&report.usage));
    }
    for model in cost::models(report) {
        labelled(out, "Model", &good, &clean::line(&model));
    }
    if let Some(cost) = cost::cost(report) {
        labelled(out, "Cost", &good, &cost);
    }
    for budget in cost::budgets(report) {
        labelled(out, "Budget", &good, &budget);
    }
    if let Some(audit) = report.audit.as_ref().filter(|_| out.style.verbosity == Verbosity::Verbose) {
        labelled(
            out,
            "Audit",
            &good,
            &format!("{} records; the last of the log has the hash {}", audit.records, audit.last_hash),
        );
    }
    if let Some(next) = next(report) {
        labelled(out, "Next", &Paint::new().cyan().bold(), &next);
    }
}

/// What to do where something was lost.
fn next(report: &Report) -> Option<String> {
    let (goes_on, tries) = match how_to_go_on(report) {
        Some(command) => (format!("`{command}` goes on"), format!("`{command}` tries")),
        None => ("run the same command again to go on".to_owned(), "run the same command again to try".to_owned()),
    };
    let again = "run the same command again";
    let open = report.census.failed + report.census.fallback + report.census.pending;
    let stopped = report.apply.as_ref().filter(|apply| apply.message.is_some() && open == 0);
    if let Some(apply) = stopped.filter(|apply| apply.outcome != ApplyOutcome::Declined) {
        let hindered = apply.outcome == ApplyOutcome::Hindered;
        let mend = if hindered { "mend what is in the way of the edits" } else { "see why the edits failed" };
        return Some(format!("{mend}, then {again}: nothing is asked twice"));
    }
    match report.status {
        Status::Interrupted => Some(format!("{goes_on}; what is done is kept")),
        Status::Parked => Some(format!("{goes_on} when the limit is reset or raised; what is done is kept")),
        Status::Degraded | Status::Failed => {
            let items = words::counted(open, "item", "items");
            Some(format!("{tries} the {items} that did not go well; the others are kept"))
        }
        Status::Completed if report.edits.iter().any(|edit| edit.conflict.is_some()) => {
            Some("look at the edits in conflict; none of them is carried out".to_owned())
        }
        Status::Completed => None,
    }
}

fn labelled(out: &mut Out, label: &str, paint: &Paint, text: &str) {
    let padding = " ".repeat(LABEL.saturating_sub(display_width(label)));
    let before = format!("{padding}{} ", out.paint(paint, label));
    out.wrapped(&before, LABEL + 1, text, &Paint::new());
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Style, render};
    use super::*;
    use crate::report::{AlertInfo, FailureInfo, samples};

    #[test]
    fn what_to_do_next_is_said_only_where_something_was_lost() {
        let mut report = samples::offline();
        assert_eq!(next(&report), None);
        report.status = Status::Interrupted;
        assert!(next(&report).is_some_and(|text| text.contains("` goes on")));
        report.status = Status::Parked;
        assert!(next(&report).is_some_and(|text| text.contains("reset")));
        let degraded = samples::full();
        assert_eq!((degraded.census.failed, degraded.census.fallback), (1, 1));
        assert!(next(&degraded).is_some_and(|text| text.contains("the 2 items")));
    }

    #[test]
    fn a_failure_shows_the_last_lines_of_its_log() {
        let mut report = samples::full();
        report.failures[0].log = (1..=20).map(|line| format!("line {line}\n")).collect();
        let text = render(&report, &Style::default());
        assert!(!text.contains("line 12\n") && text.contains("line 13\n") && text.contains("line 20\n"), "{text}");
    }

    #[test]
    fn alerts_are_listed_with_how_long_they_stood_and_many_are_counted() {
        let mut report = samples::full();
        let alert = AlertInfo {
            alert: "errors".to_owned(),
            reason: "12 % of 50 requests failed\u{1b}[2J".to_owned(),
            raised_ms: 125_000,
            cleared_ms: Some(165_000),
        };
        report.alerts = vec![alert.clone(), AlertInfo { alert: "cpu".to_owned(), cleared_ms: None, ..alert.clone() }];
        let text = render(&report, &Style::default());
        assert!(text.contains("Alert errors after 2 min 05 s, for 40.00 s: 12 % of 50 requests failed"), "{text}");
        assert!(text.contains("Alert cpu after 2 min 05 s, until the end: "), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("more; the report"), "{text}");
        report.alerts = vec![alert; 13];
        assert!(render(&report, &Style::default()).contains("Alert and 3 more; the report in JSON has all"));
    }

    #[test]
    fn many_failures_are_cut_and_counted() {
        let mut report = samples::full();
        let failure = report.failures[0].clone();
        report.failures =
            (0..50).map(|number| FailureInfo { item: format!("item-{number}"), ..failure.clone() }).collect();
        assert!(render(&report, &Style::default()).contains("and 30 more"));
    }
}
