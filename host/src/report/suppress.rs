//! What is not to be shown again: severities overridden, findings suppressed by the project, by a comment, by the
//! baseline.
//!
//! Nothing vanishes: a suppressed finding stays in the report with what suppressed it and why, and is counted. What no
//! longer applies is said: an expired suppression, one that suppresses nothing, one that can't be understood.

use std::collections::{BTreeMap, BTreeSet};

use convoke_runtime::work::{Severity, Source};
use globset::GlobMatcher;
use jiff::civil::Date;

use super::baseline::Baseline;
use super::comment::{self, Allow};
use super::{Finding, RuleInfo, Suppressed, SuppressedBy, clean};
use crate::plugin::embedded::EMBEDDED;
use crate::plugin::inspect::read_manifest;

/// The rule of a comment that can't be understood. It is convoke's own, so that any command may report it.
pub const MALFORMED: &str = "suppression-malformed";

/// A `[[suppress]]` of `convoke.toml`.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// The id of the rule, or `*` for all.
    pub rule: String,
    /// The files; none: all.
    pub path: Option<GlobMatcher>,
    /// Why.
    pub reason: String,
    /// The last day on which it counts.
    pub until: Option<Date>,
    /// Where it stands: `convoke.toml:12`.
    pub place: String,
}

/// What a project makes of a rule's severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// Its findings have this one.
    To(Severity),
    /// Its findings are suppressed.
    Off,
}

/// All that filters findings.
#[derive(Clone, Debug)]
pub struct Filters {
    /// By rule.
    pub severity: BTreeMap<String, Override>,
    /// From `convoke.toml`, in its order; the first that fits counts.
    pub suppressions: Vec<Suppression>,
    /// Whether comments in files count.
    pub comments: bool,
    /// What was found before.
    pub baseline: Option<Baseline>,
    /// The day of the run.
    pub today: Date,
}

impl Filters {
    /// Only comments count.
    pub fn new(today: Date) -> Self {
        Self { severity: BTreeMap::new(), suppressions: Vec::new(), comments: true, baseline: None, today }
    }
}

/// What was looked at, so that it is known which suppression had its chance.
#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    /// The rules of the command. A suppression of a rule that is not among them may be another command's.
    pub rules: &'a [RuleInfo],
    /// The files that were read by items that ended well, and one of these items.
    pub files: BTreeMap<&'a str, &'a str>,
    /// Whether the whole project was looked at, and every item ended well.
    pub whole: bool,
}

/// What filtering leaves to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// What no longer applies.
    pub warnings: Vec<String>,
    /// Findings of the baseline that were not found any more, where the whole was looked at.
    pub baseline_gone: u64,
}

/// Marks the findings that are suppressed, and adds one for each comment that can't be understood. `read` gives the
/// text of a file as the items saw it, or none.
pub fn apply(
    findings: &mut Vec<Finding>,
    filters: &Filters,
    scope: &Scope<'_>,
    read: impl Fn(&str) -> Option<String>,
) -> Filtered {
    let mut filtered = Filtered::default();
    let comments = if filters.comments { comments(findings, scope, &read) } else { BTreeMap::new() };
    findings.extend(comments.iter().flat_map(|(path, found)| malformed(path, found)));
    let mut used_comments: BTreeSet<(&str, u32)> = BTreeSet::new();
    let mut used_suppressions = vec![false; filters.suppressions.len()];
    let valid = |until: Option<Date>| until.is_none_or(|until| until >= filters.today);

    for finding in findings.iter_mut() {
        if let Some(Override::To(severity)) = filters.severity.get(&finding.rule) {
            finding.severity = *severity;
        }
        let mut by = Vec::new();
        let in_file = finding.path.as_deref().and_then(|path| comments.get_key_value(path));
        for allow in in_file.iter().flat_map(|(_, found)| &found.allows) {
            if allow.covers(&finding.rule, finding.line) {
                used_comments.extend(in_file.map(|(path, _)| (path.as_str(), allow.line)));
                if valid(allow.until) {
                    by.push((SuppressedBy::Comment, allow.reason.clone()));
                }
            }
        }
        for (suppression, used) in filters.suppressions.iter().zip(&mut used_suppressions) {
            if suppression.covers(finding) {
                *used = true;
                if valid(suppression.until) {
                    by.push((SuppressedBy::Config, suppression.reason.clone()));
                }
            }
        }
        if filters.severity.get(&finding.rule) == Some(&Override::Off) {
            by.push((SuppressedBy::Severity, "the rule is off in convoke.toml".to_owned()));
        }
        if filters.baseline.as_ref().is_some_and(|baseline| baseline.contains(finding)) {
            by.push((SuppressedBy::Baseline, "it stands in the baseline".to_owned()));
        }
        finding.suppressed = by.into_iter().next().map(|(by, reason)| Suppressed { by, reason });
    }

    for (path, found) in &comments {
        for allow in &found.allows {
            let place = format!("{}:{}", clean::line(path), allow.line);
            let used = used_comments.contains(&(path.as_str(), allow.line));
            let judged = scope.files.contains_key(path.as_str());
            filtered.warnings.extend(complaint(&place, &allow.rules, allow.until, filters.today, used, judged, scope));
        }
    }
    for (suppression, used) in filters.suppressions.iter().zip(used_suppressions) {
        let rules = std::slice::from_ref(&suppression.rule);
        let complaint =
            complaint(&suppression.place, rules, suppression.until, filters.today, used, scope.whole, scope);
        filtered.warnings.extend(complaint);
    }
    for rule in filters.severity.keys() {
        filtered.warnings.extend(misspelt(rule, scope).map(|warning| format!("convoke.toml, [severity]: {warning}")));
    }
    if let Some(baseline) = filters.baseline.as_ref().filter(|_| scope.whole) {
        filtered.baseline_gone = baseline.gone(findings);
    }
    filtered
}

impl Suppression {
    fn covers(&self, finding: &Finding) -> bool {
        let rule = self.rule == "*" || self.rule == finding.rule;
        let path = |glob: &GlobMatcher| finding.path.as_deref().is_some_and(|path| glob.is_match(path));
        rule && self.path.as_ref().is_none_or(path)
    }
}

/// The comments of a file.
#[derive(Default)]
struct InFile {
    allows: Vec<Allow>,
    malformed: Vec<comment::Malformed>,
    item: String,
}

fn comments(
    findings: &[Finding],
    scope: &Scope<'_>,
    read: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, InFile> {
    let mut items: BTreeMap<&str, &str> = scope.files.clone();
    for finding in findings {
        if let Some(path) = &finding.path {
            items.entry(path).or_insert(&finding.item);
        }
    }
    let in_file = |(path, item): (&str, &str)| {
        let found = comment::find(&read(path)?);
        let mut in_file = InFile { item: item.to_owned(), ..InFile::default() };
        for one in found {
            match one {
                Ok(allow) => in_file.allows.push(allow),
                Err(malformed) => in_file.malformed.push(malformed),
            }
        }
        (!in_file.allows.is_empty() || !in_file.malformed.is_empty()).then(|| (path.to_owned(), in_file))
    };
    items.into_iter().filter_map(in_file).collect()
}

fn malformed<'a>(path: &'a str, found: &'a InFile) -> impl Iterator<Item = Finding> + 'a {
    let mut findings: Vec<Finding> = found
        .malformed
        .iter()
        .map(|malformed| Finding {
            rule: MALFORMED.to_owned(),
            severity: Severity::High,
            message: malformed.message.clone(),
            path: Some(path.to_owned()),
            line: Some(malformed.line),
            column: None,
            item: found.item.clone(),
            source: Source::Rule,
            fingerprint: String::new(),
            help: None,
            also: Vec::new(),
            suppressed: None,
        })
        .collect();
    super::fingerprint::assign(&mut findings);
    findings.into_iter()
}

/// What is to be said of a suppression: that it has expired, names no rule, or suppresses nothing.
fn complaint(
    place: &str,
    rules: &[String],
    until: Option<Date>,
    today: Date,
    used: bool,
    judged: bool,
    scope: &Scope<'_>,
) -> Option<String> {
    let names = rules.join(", ");
    if let Some(until) = until.filter(|until| *until < today) {
        return Some(if used {
            format!("{place}: the suppression of {names} has expired on {until}: its findings are shown again")
        } else {
            format!("{place}: the suppression of {names} has expired on {until} and is not needed: remove it")
        });
    }
    if let Some(warning) = rules.iter().find_map(|rule| misspelt(rule, scope)) {
        return Some(format!("{place}: {warning}"));
    }
    let known = !rules.is_empty() && rules.iter().all(|rule| scope.rules.iter().any(|known| known.id == *rule));
    (!used && judged && known).then(|| format!("{place}: the suppression of {names} suppresses nothing: remove it"))
}

/// A rule that this command doesn't know, but that resembles one that it knows.
fn misspelt(rule: &str, scope: &Scope<'_>) -> Option<String> {
    if rule == "*" || rule == MALFORMED || scope.rules.iter().any(|known| known.id == rule) {
        return None;
    }
    let known = scope.rules.iter().map(|known| known.id.as_str());
    let near = crate::config::nearest(rule, known)?;
    // A project is looked at by several commands: what one of them suppresses is no mistake to the others.
    (!is_of_another(rule)).then(|| format!("there is no rule {rule}; did you mean {near}?"))
}

/// Whether one of the commands that come with convoke has this rule.
fn is_of_another(rule: &str) -> bool {
    EMBEDDED
        .iter()
        .filter_map(|plugin| read_manifest(plugin.bytes).ok())
        .any(|manifest| manifest.rules.iter().any(|known| known.id == rule))
}

#[cfg(test)]
mod tests {
    use globset::Glob;
    use jiff::civil::date;

    use super::*;
    use crate::report::samples::finding;

    const TODAY: Date = date(2026, 11, 20);

    fn rules() -> Vec<RuleInfo> {
        ["name-missing", "body-empty"]
            .map(|id| RuleInfo { id: id.to_owned(), severity: Severity::High, summary: String::new() })
            .into()
    }

    fn suppression(rule: &str, path: Option<&str>, until: Option<Date>) -> Suppression {
        Suppression {
            rule: rule.to_owned(),
            path: path.map(|glob| Glob::new(glob).unwrap().compile_matcher()),
            reason: "known".to_owned(),
            until,
            place: "convoke.toml:3".to_owned(),
        }
    }

    fn run(filters: &Filters, texts: &[(&str, &str)]) -> (Vec<Finding>, Filtered) {
        let mut findings = vec![
            finding("name-missing", Severity::High, "a.md", 3),
            finding("body-empty", Severity::Medium, "old/b.md", 1),
        ];
        let rules = rules();
        let files = texts.iter().map(|(path, _)| (*path, "an-item")).collect();
        let scope = Scope { rules: &rules, files, whole: true };
        let read = |wanted: &str| texts.iter().find(|(path, _)| *path == wanted).map(|(_, text)| (*text).to_owned());
        let filtered = apply(&mut findings, filters, &scope, read);
        (findings, filtered)
    }

    fn by(finding: &Finding) -> Option<SuppressedBy> {
        finding.suppressed.as_ref().map(|suppressed| suppressed.by)
    }

    #[test]
    fn a_comment_suppresses_with_its_reason() {
        let text = "one\n<!-- convoke: allow(name-missing) reason=\"a template\" -->\nthree";
        let (findings, filtered) = run(&Filters::new(TODAY), &[("a.md", text)]);
        let reason = Suppressed { by: SuppressedBy::Comment, reason: "a template".to_owned() };
        assert_eq!(findings[0].suppressed, Some(reason));
        assert_eq!(findings[1].suppressed, None);
        assert_eq!(filtered.warnings, [""; 0]);
    }

    #[test]
    fn comments_can_be_switched_off() {
        let text = "one\n<!-- convoke: allow(name-missing) reason=\"a template\" -->\nthree";
        let (findings, _) = run(&Filters { comments: false, ..Filters::new(TODAY) }, &[("a.md", text)]);
        assert_eq!(findings[0].suppressed, None);
    }

    #[test]
    fn the_configuration_suppresses_by_rule_and_path() {
        let filters = Filters { suppressions: vec![suppression("*", Some("old/**"), None)], ..Filters::new(TODAY) };
        let (findings, filtered) = run(&filters, &[]);
        assert_eq!((by(&findings[0]), by(&findings[1])), (None, Some(SuppressedBy::Config)));
        assert_eq!(filtered.warnings, [""; 0]);
    }

    #[test]
    fn the_last_day_counts_and_the_next_does_not() {
        for (until, suppressed) in [(TODAY, true), (date(2026, 11, 19), false)] {
            let suppressions = vec![suppression("name-missing", None, Some(until))];
            let (findings, filtered) = run(&Filters { suppressions, ..Filters::new(TODAY) }, &[]);
            assert_eq!(findings[0].suppressed.is_some(), suppressed);
            assert_eq!(filtered.warnings.len(), usize::from(!suppressed), "{:?}", filtered.warnings);
        }
    }

    #[test]
    fn what_suppresses_nothing_is_said_only_where_that_is_known() {
        let unused =
            Filters { suppressions: vec![suppression("name-missing", Some("x/**"), None)], ..Filters::new(TODAY) };
        assert!(run(&unused, &[]).1.warnings[0].contains("suppresses nothing"));
        let foreign = Filters { suppressions: vec![suppression("lockfile-old", None, None)], ..Filters::new(TODAY) };
        assert_eq!(run(&foreign, &[]).1.warnings, [""; 0], "it may be another command's");
        let text = "text\n# convoke: allow(body-empty) reason=\"x\"";
        let warnings = run(&Filters::new(TODAY), &[("c.md", text)]).1.warnings;
        assert!(warnings[0].starts_with("c.md:2: "), "{warnings:?}");
        let mut none = Vec::new();
        let scope = Scope { rules: &rules(), files: BTreeMap::new(), whole: false };
        assert_eq!(apply(&mut none, &unused, &scope, |_| None).warnings, [""; 0], "not all was looked at");
    }

    #[test]
    fn a_misspelt_rule_gets_a_suggestion() {
        let filters = Filters { suppressions: vec![suppression("name-mising", None, None)], ..Filters::new(TODAY) };
        assert!(run(&filters, &[]).1.warnings[0].contains("did you mean name-missing?"));
        // `docs` has this one.
        let filters = Filters { suppressions: vec![suppression("path-missing", None, None)], ..Filters::new(TODAY) };
        assert!(run(&filters, &[]).1.warnings.iter().all(|warning| !warning.contains("did you mean")));
        let severity = BTreeMap::from([("body-emty".to_owned(), Override::Off)]);
        assert!(run(&Filters { severity, ..Filters::new(TODAY) }, &[]).1.warnings[0].contains("body-empty"));
    }

    #[test]
    fn a_comment_that_cannot_be_understood_is_a_finding() {
        let (findings, _) = run(&Filters::new(TODAY), &[("c.md", "x\n# convoke: allow(name-missing)")]);
        let last = findings.last().unwrap();
        assert_eq!((last.rule.as_str(), last.path.as_deref(), last.line), (MALFORMED, Some("c.md"), Some(2)));
        assert_eq!(last.item, "an-item");
        assert!(!last.fingerprint.is_empty());
    }

    #[test]
    fn severities_are_overridden_and_rules_switched_off() {
        let severity = BTreeMap::from([
            ("name-missing".to_owned(), Override::To(Severity::Low)),
            ("body-empty".to_owned(), Override::Off),
        ]);
        let (findings, _) = run(&Filters { severity, ..Filters::new(TODAY) }, &[]);
        assert_eq!((findings[0].severity, by(&findings[0])), (Severity::Low, None));
        assert_eq!(by(&findings[1]), Some(SuppressedBy::Severity));
    }
}
