//! Markdown, for a comment on a pull request.
//!
//! The first line is a comment that no reader sees: by it the next report of the same command finds this one and takes
//! its place.

use std::fmt::Write as _;

use convoke_runtime::work::{Severity, Status};

use super::{ActionState, Counts, Edit, EditState, Finding, Report, alerts, clean, cost, words};

/// GitHub takes 65,536 characters; what comes around the report needs some of them.
const LONGEST: usize = 60_000;

/// Renders it. What doesn't fit into a comment is left out from the end of its section, and counted.
pub fn render(report: &Report) -> String {
    let mut page = Page { text: head(report), left_out: 0 };
    page.findings(report);
    page.failures(report);
    page.edits(report);
    page.actions(report);
    page.metrics(report);
    page.comparison(report);
    page.documents(report);
    page.controls(report);
    page.alerts(report);
    page.warnings(report);
    page.end(report)
}

/// The comment by which a report is found again.
pub fn marker(command: &str) -> String {
    let name: String = command.chars().filter(|next| next.is_ascii_alphanumeric() || *next == '-').collect();
    format!("<!-- convoke-report {name} -->")
}

struct Page {
    text: String,
    left_out: u64,
}

impl Page {
    fn fits(&self, part: &str) -> bool {
        self.text.len() + part.len() <= LONGEST
    }

    fn push(&mut self, part: &str) {
        if self.fits(part) {
            self.text.push_str(part);
        } else {
            self.left_out += 1;
        }
    }

    fn findings(&mut self, report: &Report) {
        let mut groups: Vec<Option<&str>> = report.groups.iter().map(|group| group.name.as_deref()).collect();
        if groups.is_empty() {
            groups.push(None);
        }
        let by_group = super::human::by_group(report);
        for name in groups {
            let Some(findings) = by_group.get(&name).filter(|findings| !findings.is_empty()) else { continue };
            let counts = words::findings(Counts::of(findings.iter().copied()));
            let title = name.map_or_else(|| "Findings".to_owned(), clean::markdown);
            // Bad news is open, the rest folds.
            let open = if findings.iter().any(|finding| finding.severity >= Severity::High) { " open" } else { "" };
            let summary = format!("\n<details{open}><summary><b>{title}</b>: {counts}</summary>\n\n");
            if !self.fits(&summary) {
                self.left_out += findings.len() as u64;
                continue;
            }
            self.push(&summary);
            for finding in findings {
                self.push(&row(finding));
            }
            self.text.push_str("\n</details>\n");
        }
    }

    fn failures(&mut self, report: &Report) {
        if report.failures.is_empty() {
            return;
        }
        self.push("\n### Failed\n\n");
        for failure in &report.failures {
            let item = clean::markdown_code(&failure.item);
            let mut part = format!("- {item}: {}", clean::markdown(&failure.reason));
            let _ = writeln!(part, " ({})", words::counted(u64::from(failure.attempts), "attempt", "attempts"));
            self.push(&part);
        }
    }

    fn edits(&mut self, report: &Report) {
        if report.edits.is_empty() {
            return;
        }
        let is_applied = report.edits.iter().all(|edit| edit.state == EditState::Applied);
        self.push(if is_applied { "\n### Applied edits\n" } else { "\n### Proposed edits\n" });
        match report.apply.as_ref().map(|apply| (&apply.message, &apply.rollback)) {
            Some((Some(message), _)) => self.push(&format!("\nNothing was changed: {}\n", clean::markdown(message))),
            Some((_, Some(id))) => self.push(&format!("\n`convoke rollback {id}` takes them back.\n")),
            _ => {}
        }
        for edit in &report.edits {
            self.push(&proposal(edit));
        }
    }

    fn actions(&mut self, report: &Report) {
        if report.actions.is_empty() {
            return;
        }
        self.push("\n### Proposed actions\n\n");
        for action in &report.actions {
            let (kind, title) = (clean::markdown_code(&action.kind), clean::markdown(&action.title));
            let state = match (action.state, &action.problem) {
                (ActionState::Proposed, None) => String::new(),
                (state, None) => format!(" ({})", state.name()),
                (state, Some(problem)) => format!(" ({}: {})", state.name(), clean::markdown(problem)),
            };
            self.push(&format!("- {kind}: {title}{state}\n"));
        }
    }

    fn metrics(&mut self, report: &Report) {
        if report.metrics.is_empty() {
            return;
        }
        self.push("\n| metric | value |\n|---|---|\n");
        for metric in &report.metrics {
            let name = clean::markdown(&metric.name);
            self.push(&format!("| {name} | {} |\n", clean::markdown(&words::metric(metric))));
        }
    }

    fn comparison(&mut self, report: &Report) {
        if let Some(comparison) = &report.comparison {
            self.push(&format!("\n### Comparison\n\n{}", super::comparison::markdown(comparison)));
        }
    }

    /// What is meant to be read; the rest only by its name.
    fn documents(&mut self, report: &Report) {
        if report.documents.is_empty() {
            return;
        }
        self.push("\n### Documents\n");
        for document in &report.documents {
            let name = clean::markdown_code(&document.name);
            let text = clean::markdown_fence(&document.text, "");
            if document.is_plain() && self.fits(&text) {
                self.push(&format!("\n<details><summary>{name}</summary>\n\n{text}\n</details>\n"));
            } else {
                let lines = words::counted(document.text.lines().count() as u64, "line", "lines");
                let kind = clean::markdown(&document.media_type);
                self.push(&format!("\n{name} ({kind}, {lines}): in the JSON form of this report\n"));
            }
        }
    }

    fn controls(&mut self, report: &Report) {
        if report.controls.is_empty() {
            return;
        }
        self.push("\n### Changed while it ran\n\n");
        for control in &report.controls {
            let text = format!("{} ({}): {}", control.what, control.by, control.became);
            self.push(&format!("- {}\n", clean::markdown(&text)));
        }
    }

    fn alerts(&mut self, report: &Report) {
        if report.alerts.is_empty() {
            return;
        }
        self.push("\n### Alerts\n\n");
        let shown = report.alerts.iter().take(alerts::SHOWN).map(alerts::line);
        for alert in shown.chain(alerts::more(&report.alerts)) {
            self.push(&format!("- {}\n", clean::markdown(&alert)));
        }
    }

    fn warnings(&mut self, report: &Report) {
        if report.warnings.is_empty() {
            return;
        }
        self.push("\n### Warnings\n\n");
        for warning in &report.warnings {
            self.push(&format!("- {}\n", clean::markdown(warning)));
        }
    }

    fn end(mut self, report: &Report) -> String {
        if self.left_out > 0 {
            let lines = words::counted(self.left_out, "line", "lines");
            let _ = writeln!(self.text, "\n**{lines} more did not fit: see the full report.**");
        }
        let money = cost::cost(report).into_iter().chain(cost::models(report)).chain(cost::budgets(report));
        let spent: String = money.map(|part| format!("{}. ", clean::markdown(&part))).collect();
        let _ = writeln!(
            self.text,
            "\n<sub>{}. {}. {spent}Run {}, mode {}, {} {}.</sub>",
            words::timing(&report.timing, report.workers.len(), '×'),
            words::usage(&report.usage),
            clean::markdown_code(&report.run.id),
            clean::markdown(&report.run.mode),
            clean::markdown(&report.run.plugin.name),
            clean::markdown(&report.run.plugin.version),
        );
        self.text
    }
}

fn head(report: &Report) -> String {
    let mut text = format!("{}\n## {}: ", marker(&report.run.command), clean::markdown(&report.run.command));
    let counts = words::findings(Counts::of(&report.findings));
    text.push_str(if counts.is_empty() { "no findings" } else { &counts });
    let mark = if report.status == Status::Completed { "" } else { "⚠ " };
    let _ = writeln!(text, "\n\n{mark}**{}**: {}", report.status.name(), words::census(&report.census));
    if report.is_offline() {
        let _ = writeln!(text, "\n{}", super::human::offline_words(report));
    }
    if let Some(suppressed) = words::suppressed(&report.suppressed) {
        let _ = writeln!(text, "\n{suppressed}");
    }
    text
}

fn row(finding: &Finding) -> String {
    let place = match (&finding.path, finding.line) {
        (Some(path), Some(line)) => clean::markdown_code(&format!("{path}:{line}")),
        (Some(path), None) => clean::markdown_code(path),
        (None, _) => clean::markdown_code(&finding.item),
    };
    let mut text = format!(
        "- **{}** {place} {} ({}",
        finding.severity,
        clean::markdown(&finding.message),
        clean::markdown_code(&finding.rule)
    );
    text.push_str(if finding.source == convoke_runtime::work::Source::Model { ", by a model)\n" } else { ")\n" });
    if let Some(help) = &finding.help {
        let _ = writeln!(text, "  {}", clean::markdown(help));
    }
    text
}

fn proposal(edit: &Edit) -> String {
    let mut text = format!("\n{}", clean::markdown_code(&edit.path));
    if !edit.reasons.is_empty() {
        let _ = write!(text, ": {}", clean::markdown(&edit.reasons.join("; ")));
    }
    if let Some(conflict) = &edit.conflict {
        let _ = write!(text, " **conflict: {}**", clean::markdown(conflict));
    }
    if let Some(problem) = &edit.problem {
        let _ = write!(text, " **not done: {}**", clean::markdown(problem));
    }
    text.push_str("\n\n");
    if let Some(diff) = &edit.diff {
        text.push_str(&clean::markdown_fence(diff, "diff"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{AlertInfo, ControlInfo, samples};

    #[test]
    fn the_whole_page_is_as_expected() {
        insta::assert_snapshot!(render(&samples::full()));
    }

    #[test]
    fn a_plain_document_is_code_and_another_one_is_named() {
        let mut report = samples::full();
        let document = |name: &str, media_type: &str, text: &str| super::super::Document {
            item: "all".to_owned(),
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            text: text.to_owned(),
        };
        report.documents = vec![
            document("list.txt", "text/plain", "a  1\n```\n</details>\u{1b}[2J"),
            document("sbom.json", "application/json", "{\n}\n"),
            document("huge.txt", "text/plain", &"x\n".repeat(100_000)),
        ];
        let page = render(&report);
        assert!(page.contains("````\na  1\n```\n</details>\n````\n"), "{page}");
        assert!(page.contains("`sbom.json` (application/json, 2 lines): in the JSON form"), "{page}");
        assert!(page.contains("`huge.txt` (text/plain, 100,000 lines)"), "{page}");
        assert!(page.len() < 65_536);
    }

    #[test]
    fn a_page_fits_into_a_comment_and_says_what_it_left_out() {
        let mut report = samples::full();
        let finding = report.findings[0].clone();
        report.findings = vec![finding; 5_000];
        let page = render(&report);
        assert!(page.len() < 65_536, "{}", page.len());
        assert!(page.contains("more did not fit"));
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
    }

    #[test]
    fn alerts_have_a_section_and_many_are_counted() {
        let mut report = samples::full();
        let reason = "90 % of the memory is in use".to_owned();
        report.alerts =
            vec![AlertInfo { alert: "memory".to_owned(), reason, raised_ms: 1_300, cleared_ms: Some(1_800) }; 12];
        let page = render(&report);
        assert!(page.contains("\n### Alerts\n\n- memory after 1.30 s, for 500 ms: 90 % of the memory"), "{page}");
        assert!(page.contains("\n- and 2 more; the report in JSON has all\n"), "{page}");
    }

    #[test]
    fn text_from_strangers_is_text() {
        let mut report = samples::full();
        let hostile = "</details><script>x</script> [a](http://evil) @team\n# heading ``` `";
        report.findings[0].message = hostile.to_owned();
        report.failures[0].reason = hostile.to_owned();
        report.groups[0].name = Some(hostile.to_owned());
        report.warnings.push(hostile.to_owned());
        let control = || hostile.to_owned();
        report.alerts.push(AlertInfo { alert: control(), reason: control(), raised_ms: 1, cleared_ms: None });
        report.controls.push(ControlInfo { at_ms: 1, by: control(), what: control(), became: control() });
        report.run.command = hostile.to_owned();
        let page = render(&report);
        for markup in ["<script", "[a]", "http://", "@team", "\n# "] {
            assert!(!page.contains(markup), "{markup} is in {page}");
        }
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
    }

    #[test]
    fn the_marker_holds_only_a_name() {
        assert_eq!(marker("agent-audit"), "<!-- convoke-report agent-audit -->");
        assert_eq!(marker("x --> <b>"), "<!-- convoke-report x--b -->");
    }
}
