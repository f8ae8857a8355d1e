//! What can be said of dependencies without any data from outside: the rules of `deps check`.
//!
//! A finding stands for a cause, not for a package: where many packages have the same one, they are one finding that counts
//! them. What could not be judged is a finding too.

mod hashes;
mod lockfile;
mod names;
mod origins;
mod ranges;
pub mod satisfies;
mod scripts;
mod several;

use convoke_sdk::small::{Map, Set};

use convoke_sdk::text::shown;
use convoke_sdk::{Finding, Partial, Severity};

use crate::faults;
use crate::model::{File, Lock, Manifest, Origin, Package, Requirement, Scope};
use crate::unit::Unit;

/// A rule of `deps check`.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its id: stable, in kebab case.
    pub id: &'static str,
    /// How bad what it finds usually is.
    pub severity: Severity,
    /// What it finds, in one line.
    pub summary: &'static str,
}

const fn rule(id: &'static str, severity: Severity, summary: &'static str) -> Rule {
    Rule { id, severity, summary }
}

/// All rules, by their ids.
pub const RULES: &[Rule] = &[
    rule("git-dependency", Severity::Low, "A package comes from a git repository, at a fixed commit"),
    rule("git-unpinned", Severity::Medium, "A package comes from a git repository, and no commit is fixed"),
    rule("hash-missing", Severity::Low, "Locked packages have no digest, so a changed archive is not noticed"),
    rule("install-script", Severity::Info, "The project runs a program of its own when it is installed"),
    rule("install-scripts", Severity::Low, "Dependencies run programs when they are installed"),
    rule("lockfile-missing", Severity::Medium, "No lockfile fixes what is installed"),
    rule("lockfile-several", Severity::Medium, "Lockfiles of several tools fix the versions of one project"),
    rule("lockfile-stale", Severity::Medium, "The lockfile doesn't hold what the manifest asks for"),
    rule("name-near", Severity::Medium, "A name is one letter from a very popular one"),
    rule("not-judged", Severity::Info, "The versions of some requirements could not be judged"),
    rule("path-outside", Severity::Medium, "A package lies outside of the project"),
    rule("range-open", Severity::Medium, "A requirement has no upper bound, and no lockfile fixes the version"),
    rule("range-open-locked", Severity::Low, "Only the lockfile bounds the version of a requirement"),
    rule("range-unpinned", Severity::Low, "Requirements are ranges, and no lockfile fixes the versions"),
    rule("several-versions", Severity::Info, "Packages are there in more than one version"),
    rule("url-dependency", Severity::Medium, "A package is an archive at an address, outside of every registry"),
    rule("url-insecure", Severity::High, "A package is fetched without encryption"),
];

/// So many are named before the rest is only counted.
const NAMED: usize = 3;

/// The longest name or range that is shown, in characters.
const LONGEST: usize = 80;

/// All findings of a unit, by file and line.
pub fn check(unit: &Unit) -> Vec<Finding> {
    let mut found = Vec::new();
    ranges::check(unit, &mut found);
    lockfile::check(unit, &mut found);
    origins::check(unit, &mut found);
    several::check(unit, &mut found);
    names::check(unit, &mut found);
    scripts::check(unit, &mut found);
    hashes::check(unit, &mut found);
    convoke_sdk::small::sort_by(&mut found, |a, b| {
        (&a.path, a.line, &a.rule, &a.message).cmp(&(&b.path, b.line, &b.rule, &b.message))
    });
    found
}

/// What is reported for a unit.
pub fn partial(unit: &Unit) -> Partial {
    let mut partial = faults::counted(unit, Partial::done());
    partial.findings = faults::findings(unit);
    partial.findings.extend(check(unit));
    partial
}

/// A finding of a rule, with the rule's own severity.
fn finding(id: &'static str, path: &str, line: u32, message: impl Into<String>) -> Finding {
    let severity = RULES.iter().find(|rule| rule.id == id).map_or(Severity::Medium, |rule| rule.severity);
    Finding::new(id, severity, message).at(path, line.max(1))
}

/// The same finding in the next run, however many packages it then counts.
fn same(id: &str, path: &str, of: &str) -> String {
    format!("{id} {path} {of}")
}

/// The unit's manifests.
fn manifests(unit: &Unit) -> impl Iterator<Item = (&File, &Manifest)> {
    unit.files.iter().filter_map(|file| Some((file, file.manifest.as_ref()?)))
}

/// What the unit has locked.
fn locks(unit: &Unit) -> impl Iterator<Item = (&File, &Lock)> {
    unit.files.iter().filter_map(|file| Some((file, file.lock.as_ref()?)))
}

/// The names of all that is locked.
fn locked_names(unit: &Unit) -> Set<&str> {
    locks(unit).flat_map(|(_, lock)| &lock.packages).map(|package| package.name.as_str()).collect()
}

/// Whether a requirement is answered by a registry for the project itself: not by the project, a folder, or by whoever
/// uses the project.
fn is_of_registry(requirement: &Requirement) -> bool {
    matches!(requirement.origin, Origin::Registry(_)) && requirement.scope != Scope::Peer
}

fn is_of_registry_package(package: &Package) -> bool {
    matches!(package.origin, Origin::Registry(_))
}

/// A name or a range of a file, as it is shown.
fn word(text: &str) -> String {
    shown(text, LONGEST)
}

/// `a, b, c and 309 more`, each once, in the order given.
pub(crate) fn some(words: impl IntoIterator<Item = String>) -> String {
    let mut seen = Set::new();
    let mut named: Vec<String> = Vec::new();
    let mut more = 0;
    for word in words {
        if !seen.insert(word.clone()) {
            continue;
        }
        if named.len() < NAMED {
            named.push(word);
        } else {
            more += 1;
        }
    }
    match (more, named.as_slice()) {
        (0, []) => String::new(),
        (0, [one]) => one.clone(),
        (0, [before @ .., last]) => format!("{} and {last}", before.join(", ")),
        _ => format!("{} and {} more", named.join(", "), number(more)),
    }
}

/// `1,204`.
pub(crate) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 package`, `312 packages`; `one` and `many` are the words.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// Findings of one rule in one file that have one cause: by file, what they are of, and the line of the first.
#[derive(Default)]
struct ByFile<'a> {
    files: Map<&'a str, Vec<(u32, String)>>,
}

impl<'a> ByFile<'a> {
    fn add(&mut self, path: &'a str, line: u32, word: String) {
        self.files.entry(path).or_default().push((line, word));
    }

    /// One finding a file. `message` is given how many there are and their names; each has its line where there are several.
    fn into_findings(
        self,
        id: &'static str,
        help: &str,
        message: impl Fn(usize, &str) -> String,
    ) -> impl Iterator<Item = Finding> {
        self.files.into_iter().map(move |(path, mut places)| {
            convoke_sdk::small::sort(&mut places);
            places.dedup();
            let line = places.first().map_or(1, |(line, _)| *line);
            let names = match places.as_slice() {
                [(_, one)] => one.clone(),
                all => some(all.iter().map(|(line, word)| format!("{word} (line {line})"))),
            };
            finding(id, path, line, message(places.len(), &names)).help(help).fingerprint(same(id, path, ""))
        })
    }
}

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;
