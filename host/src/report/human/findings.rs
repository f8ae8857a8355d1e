//! What was found, by group and file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use console::Style as Paint;
use convoke_runtime::work::{Severity, Source};
use textwrap::core::display_width;

use super::{Out, Verbosity, paint_of, place};
use crate::report::{Counts, Finding, Report, clean, words};

/// Of each rule so many findings are shown; the others are counted. Critical ones are always shown.
const SHOWN_PER_RULE: usize = 10;

/// So many other places of a finding are named.
const PLACES: usize = 3;

/// The findings that are not suppressed, by the group of their item, the worst first.
pub(in crate::report) fn by_group(report: &Report) -> HashMap<Option<&str>, Vec<&Finding>> {
    let mut groups: HashMap<Option<&str>, Vec<&Finding>> = HashMap::new();
    for finding in report.open_findings() {
        groups.entry(report.group_of(&finding.item)).or_default().push(finding);
    }
    groups
}

/// Shows them all.
pub(super) fn show(out: &mut Out, report: &Report) {
    let mut groups: Vec<(Option<&str>, Vec<&Finding>)> = Vec::new();
    let mut found = by_group(report);
    let named = report.groups.iter().map(|group| group.name.as_deref()).chain([None]);
    for name in named {
        groups.extend(found.remove(&name).map(|findings| (name, findings)));
    }
    groups.sort_by_key(|(_, findings)| {
        let counts = Counts::of(findings.iter().copied());
        Reverse(Severity::ALL.into_iter().rev().map(|severity| counts.get(severity)).collect::<Vec<_>>())
    });
    let mut shown = Shown::default();
    for (name, findings) in groups {
        group(out, report, name, &findings, &mut shown);
    }
    if shown.hidden > 0 {
        by_rule(out, report);
    }
}

/// What was shown so far.
#[derive(Default)]
struct Shown<'a> {
    of_rule: HashMap<&'a str, usize>,
    /// The rules whose help was shown.
    helped: BTreeSet<(&'a str, &'a str)>,
    hidden: usize,
}

impl<'a> Shown<'a> {
    fn takes(&mut self, finding: &'a Finding, verbosity: Verbosity) -> bool {
        let of_rule = self.of_rule.entry(&finding.rule).or_default();
        *of_rule += 1;
        let takes =
            *of_rule <= SHOWN_PER_RULE || finding.severity == Severity::Critical || verbosity == Verbosity::Verbose;
        self.hidden += usize::from(!takes);
        takes
    }
}

fn group<'a>(out: &mut Out, report: &Report, name: Option<&str>, findings: &[&'a Finding], shown: &mut Shown<'a>) {
    if !report.groups.is_empty() {
        out.gap();
        let title =
            out.paint(&Paint::new().bold().underlined(), &name.map_or_else(|| "no group".to_owned(), clean::line));
        let items = report.groups.iter().find(|group| group.name.as_deref() == name).map_or(0, |group| group.items);
        let counts = words::findings(Counts::of(findings.iter().copied()));
        let sums = out.dim(&format!("{}: {counts}", words::counted(items, "item", "items")));
        out.line(&format!("{title}  {sums}"));
    }
    let mut hidden: BTreeMap<&str, usize> = BTreeMap::new();
    let mut taken: Vec<&Finding> = Vec::new();
    for &finding in findings {
        if shown.takes(finding, out.style.verbosity) {
            taken.push(finding);
        } else {
            *hidden.entry(&finding.rule).or_default() += 1;
        }
    }
    for (path, findings) in by_file(taken) {
        file(out, path, &findings, shown);
    }
    if !hidden.is_empty() {
        let sum: usize = hidden.values().sum();
        let rules: Vec<String> = hidden.iter().map(|(rule, count)| format!("{count} {}", clean::line(rule))).collect();
        let ellipsis = out.drawn("…", "...");
        out.gap();
        let text = format!("{ellipsis} and {sum} more: {}; -v shows them", rules.join(", "));
        out.wrapped("  ", 2, &text, &Paint::new().dim());
    }
}

/// The file with the worst finding first. Findings without a file stand under their item.
fn by_file(findings: Vec<&Finding>) -> Vec<(&str, Vec<&Finding>)> {
    let mut order = Vec::new();
    let mut files: HashMap<&str, Vec<&Finding>> = HashMap::new();
    // They come sorted, the worst first; so do then the files.
    for finding in findings {
        let path = finding.path.as_deref().unwrap_or(&finding.item);
        let of_file = files.entry(path).or_default();
        if of_file.is_empty() {
            order.push(path);
        }
        of_file.push(finding);
    }
    order.into_iter().map(|path| (path, files.remove(path).unwrap_or_default())).collect()
}

fn file<'a>(out: &mut Out, path: &str, findings: &[&'a Finding], shown: &mut Shown<'a>) {
    out.gap();
    out.wrapped("  ", 2, path, &Paint::new().bold());
    let places = findings.iter().map(|finding| place(finding).len()).max().unwrap_or(0);
    let severities = findings.iter().map(|finding| finding.severity.name().len()).max().unwrap_or(0);
    for finding in findings {
        row(out, finding, places, severities, shown);
    }
}

fn row<'a>(out: &mut Out, finding: &'a Finding, places: usize, severities: usize, shown: &mut Shown<'a>) {
    let place = out.dim(&format!("{:>places$}", place(finding)));
    let severity = out.paint(&paint_of(finding.severity), finding.severity.name());
    let padding = " ".repeat(severities - finding.severity.name().len());
    let first = format!("    {place}  {severity}{padding}  ");
    let used = 4 + places + 2 + severities + 2;
    let indent = " ".repeat(used);

    let mut rule = clean::line(&finding.rule);
    if finding.source == Source::Model {
        rule.push_str(" (model)");
    }
    let mut lines = out.lines(&finding.message, used);
    let last = lines.pop().unwrap_or_default();
    for (number, line) in lines.iter().enumerate() {
        let before = if number == 0 { &first } else { &indent };
        out.line(&format!("{before}{line}"));
    }
    let before = if lines.is_empty() { &first } else { &indent };
    if used + display_width(&last) + 2 + display_width(&rule) <= out.style.width {
        let rule = out.dim(&rule);
        out.line(&format!("{before}{last}  {rule}"));
    } else {
        out.line(&format!("{before}{last}"));
        out.wrapped(&indent, used, &rule, &Paint::new().dim());
    }

    let help = finding.help.as_deref().unwrap_or_default();
    let verbose = out.style.verbosity == Verbosity::Verbose;
    if !help.is_empty() && (shown.helped.insert((&finding.rule, help)) || verbose) {
        let before = format!("{indent}{} ", out.paint(&Paint::new().cyan(), "help:"));
        out.wrapped(&before, used + 6, help, &Paint::new());
    }
    if !finding.also.is_empty() {
        let most = if verbose { usize::MAX } else { PLACES };
        let mut also: Vec<String> = finding.also.iter().take(most).map(elsewhere).collect();
        if finding.also.len() > most {
            also.push(format!("{} more", finding.also.len() - most));
        }
        out.wrapped(&indent, used, &format!("also in {}", also.join(", ")), &Paint::new().dim());
    }
}

fn elsewhere(place: &crate::report::Place) -> String {
    match (&place.path, place.line) {
        (Some(path), Some(line)) => format!("{path}:{line}"),
        (Some(path), None) => path.clone(),
        (None, _) => place.item.clone(),
    }
}

/// Where findings were hidden: how many of each severity each rule has in all, the worst and most frequent first.
fn by_rule(out: &mut Out, report: &Report) {
    let mut counts: BTreeMap<(Severity, &str), u64> = BTreeMap::new();
    for finding in report.open_findings() {
        *counts.entry((finding.severity, &finding.rule)).or_default() += 1;
    }
    let mut counts: Vec<((Severity, &str), u64)> = counts.into_iter().collect();
    counts.sort_by_key(|((severity, _), count)| Reverse((*severity, *count)));
    out.title("By rule");
    for ((severity, rule), count) in counts {
        let name = out.paint(&paint_of(severity), &format!("{:<8}", severity.name()));
        out.line(&format!("  {:>7}  {name}  {}", words::thousands(count), clean::line(rule)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Style, render};
    use super::*;
    use crate::report::samples;

    fn many(severity: Severity, count: u32) -> Report {
        let mut report = samples::empty();
        report.findings = (1..=count).map(|line| samples::finding("a-rule", severity, "a.md", line)).collect();
        report
    }

    fn rows(text: &str) -> usize {
        text.matches("a-rule in a.md").count()
    }

    #[test]
    fn many_findings_of_one_rule_are_shortened_and_counted() {
        let report = many(Severity::High, 45);
        let text = render(&report, &Style::default());
        assert_eq!(rows(&text), SHOWN_PER_RULE);
        assert!(text.contains("… and 35 more: 35 a-rule; -v shows them"), "{text}");
        assert!(text.contains("45  high      a-rule"), "{text}");
        let verbose = render(&report, &Style { verbosity: Verbosity::Verbose, ..Style::default() });
        assert_eq!(rows(&verbose), 45);
        assert!(!verbose.contains("-v shows"));
    }

    #[test]
    fn one_high_and_twelve_low_of_a_rule_are_not_thirteen_high() {
        let mut report = many(Severity::Low, 12);
        report.findings.extend(many(Severity::High, 1).findings);
        let text = render(&report, &Style::default());
        assert!(text.contains(" 1  high      a-rule\n       12  low       a-rule\n"), "{text}");
        assert!(!text.contains("13  high"), "{text}");
    }

    #[test]
    fn critical_findings_are_never_hidden() {
        assert_eq!(rows(&render(&many(Severity::Critical, 45), &Style::default())), 45);
    }

    #[test]
    fn help_is_given_once_unless_asked_for_more() {
        let mut report = many(Severity::High, 3);
        report.findings.iter_mut().for_each(|finding| finding.help = Some("Do it.".to_owned()));
        let count =
            |verbosity| render(&report, &Style { verbosity, ..Style::default() }).matches("help: Do it.").count();
        assert_eq!((count(Verbosity::Normal), count(Verbosity::Verbose)), (1, 3));
    }

    #[test]
    fn other_places_of_a_finding_are_named() {
        let mut report = many(Severity::High, 1);
        let elsewhere = |number| crate::report::Place {
            path: Some(format!("{number}.md")),
            line: Some(number),
            item: "x".to_owned(),
        };
        report.findings[0].also = (1..=5).map(elsewhere).collect();
        assert!(render(&report, &Style::default()).contains("also in 1.md:1, 2.md:2, 3.md:3, 2 more"));
    }
}
