//! The report for people, in a terminal or a log.
//!
//! First what was found, by group and file, the worst first; then what is proposed, what failed, what to know; at the
//! end, where the eye is when the run is over, the sums and what to do next.

mod changes;
mod findings;
mod proposals;
mod summary;

use console::Style as Paint;
use convoke_runtime::work::{Severity, Source};

use super::{Finding, Report, clean};

pub(super) use findings::by_group;

/// Narrower than this, a text is not wrapped to fit but breaks out.
const NARROWEST: usize = 20;

/// How a report is shown. The caller knows the terminal and `NO_COLOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours and bold are used.
    pub color: bool,
    /// In columns.
    pub width: usize,
    /// Whether more than ASCII may be drawn. It does not concern the texts.
    pub unicode: bool,
    /// How much is shown.
    pub verbosity: Verbosity,
}

impl Default for Style {
    /// For a log file: 100 columns, no colours.
    fn default() -> Self {
        Self { color: false, width: 100, unicode: true, verbosity: Verbosity::Normal }
    }
}

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: the sums, and what failed.
    Quiet,
    /// Everything that matters; many findings of one rule are shortened.
    #[default]
    Normal,
    /// `-v`: everything.
    Verbose,
}

/// Renders it, with a final newline.
pub fn render(report: &Report, style: &Style) -> String {
    let mut out = Out { text: String::new(), style: *style };
    if style.verbosity > Verbosity::Quiet {
        findings::show(&mut out, report);
        proposals::show(&mut out, report);
        summary::metrics(&mut out, report);
        summary::notes(&mut out, report);
    }
    summary::explained(&mut out, report);
    summary::comparison(&mut out, report);
    summary::failures(&mut out, report);
    summary::attempts(&mut out, report);
    changes::show(&mut out, report);
    summary::warnings(&mut out, report);
    summary::sums(&mut out, report);
    out.text
}

/// Only the edits.
pub fn edits(report: &Report, style: &Style) -> String {
    let mut out = Out { text: String::new(), style: *style };
    proposals::edits(&mut out, report);
    out.text
}

/// Diffs of files, each after its name; none where it can't be shown.
pub fn diffs<'a>(diffs: impl Iterator<Item = (&'a str, Option<String>)>, style: &Style) -> String {
    let mut out = Out { text: String::new(), style: *style };
    for (path, diff) in diffs {
        proposals::changed(&mut out, path, diff.as_deref());
    }
    out.gap();
    out.text
}

/// That nobody was asked, in words that stay true where earlier answers were used.
pub(super) fn offline_words(report: &Report) -> &'static str {
    if report.findings.iter().any(|finding| finding.source == Source::Model) {
        "offline: no model was asked, what models say comes from earlier runs"
    } else {
        "offline: rules only, no model was asked"
    }
}

/// The text so far, and how it is painted.
struct Out {
    text: String,
    style: Style,
}

impl Out {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn title(&mut self, text: &str) {
        self.gap();
        let title = self.bold(text);
        self.line(&title);
    }

    /// Cleans and wraps a text after `first`, which is `used` columns wide; further lines are indented as far.
    fn wrapped(&mut self, first: &str, used: usize, text: &str, paint: &Paint) {
        let lines = self.lines(text, used);
        let indent = " ".repeat(used);
        for (number, line) in lines.iter().enumerate() {
            let before = if number == 0 { first } else { &indent };
            let painted = self.paint(paint, line);
            self.line(&format!("{before}{painted}"));
        }
    }

    /// A text, cleaned and wrapped into what is left of the width.
    fn lines(&self, text: &str, used: usize) -> Vec<String> {
        let text = clean::line(text);
        let width = self.style.width.saturating_sub(used).max(NARROWEST);
        let lines =
            textwrap::wrap(&text, textwrap::Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation));
        match lines.len() {
            0 => vec![String::new()],
            _ => lines.into_iter().map(std::borrow::Cow::into_owned).collect(),
        }
    }

    fn paint(&self, paint: &Paint, text: &str) -> String {
        if text.is_empty() || !self.style.color {
            return text.to_owned();
        }
        paint.clone().force_styling(true).apply_to(text).to_string()
    }

    fn bold(&self, text: &str) -> String {
        self.paint(&Paint::new().bold(), text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint(&Paint::new().dim(), text)
    }

    /// The first where more than ASCII may be drawn.
    fn drawn(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.style.unicode { unicode } else { ascii }
    }
}

fn paint_of(severity: Severity) -> Paint {
    match severity {
        Severity::Critical => Paint::new().red().bold().reverse(),
        Severity::High => Paint::new().red().bold(),
        Severity::Medium => Paint::new().yellow().bold(),
        Severity::Low => Paint::new().cyan(),
        Severity::Info => Paint::new().dim(),
    }
}

/// `path:line:column`, as far as it is known.
fn place(finding: &Finding) -> String {
    match (finding.line, finding.column) {
        (Some(line), Some(column)) => format!("{line}:{column}"),
        (Some(line), None) => line.to_string(),
        (None, _) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use textwrap::core::display_width;

    use super::*;
    use crate::report::{ControlInfo, samples};

    fn plain(report: &Report) -> String {
        render(report, &Style::default())
    }

    #[test]
    fn the_whole_report_is_as_expected() {
        insta::assert_snapshot!(plain(&samples::full()));
    }

    #[test]
    fn a_quiet_one_has_the_sums_and_what_failed() {
        insta::assert_snapshot!(render(&samples::full(), &Style { verbosity: Verbosity::Quiet, ..Style::default() }));
    }

    #[test]
    fn without_a_model_it_says_so() {
        assert!(plain(&samples::offline()).contains("offline: rules only, no model was asked"));
        assert!(!plain(&samples::full()).contains("no model was asked"));
        let mut with_old_answers = samples::offline();
        with_old_answers.findings[0].source = Source::Model;
        assert!(!plain(&with_old_answers).contains("rules only"));
    }

    #[test]
    fn a_run_without_work_is_shown_too() {
        insta::assert_snapshot!(plain(&samples::empty()));
    }

    #[test]
    fn colours_only_where_they_are_asked_for() {
        let report = samples::full();
        assert!(!plain(&report).contains('\u{1b}'));
        let coloured = render(&report, &Style { color: true, ..Style::default() });
        assert!(coloured.contains("\u{1b}[1m"));
        let bare = clean::block(&coloured);
        assert_eq!(bare.replace(' ', ""), plain(&report).replace(' ', ""), "colour changes nothing else");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut report = samples::full();
        report.findings[0].message = "seven words in a row are here 表意文字 ".repeat(20);
        for width in [60, 80, 120] {
            let text = render(&report, &Style { width, ..Style::default() });
            for line in text.lines() {
                assert!(display_width(line) <= width, "{width}: {} {line}", display_width(line));
            }
        }
    }

    #[test]
    fn without_unicode_only_texts_have_it() {
        let text = render(&samples::full(), &Style { unicode: false, ..Style::default() });
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn texts_from_strangers_can_do_nothing() {
        let mut report = samples::full();
        let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}reversed\r\nforged line\u{9b}1A";
        report.findings[0].message = hostile.to_owned();
        report.findings[0].rule = hostile.to_owned();
        report.findings[0].path = Some(hostile.to_owned());
        report.findings[0].help = Some(hostile.to_owned());
        report.groups[0].name = Some(hostile.to_owned());
        report.failures[0].log = hostile.to_owned();
        report.failures[0].item = hostile.to_owned();
        report.failures[0].tried[0].reason = hostile.to_owned();
        report.attempts[0].item = hostile.to_owned();
        report.levels[0].reason = hostile.to_owned();
        report.warnings.push(hostile.to_owned());
        let control = || hostile.to_owned();
        report.controls.push(ControlInfo { at_ms: 1, by: control(), what: control(), became: control() });
        report.edits[0].diff = Some(hostile.to_owned());
        report.edits[0].path = hostile.to_owned();
        report.actions[0].title = hostile.to_owned();
        report.notes.iter_mut().for_each(|note| note.text = hostile.to_owned());
        report.workers[0].segment = hostile.to_owned();
        report.metrics[0].name = hostile.to_owned();
        report.run.id = hostile.to_owned();
        report.run.command = hostile.to_owned();
        let text = render(&report, &Style { verbosity: Verbosity::Verbose, ..Style::default() });
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\r']), "{text:?}");
    }
}
