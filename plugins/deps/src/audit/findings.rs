//! What was judged, as findings.

use convoke_sdk::small::Map;

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;

use super::Known;
use super::advice::Advice;
use super::subjects::{Subject, Subjects};
use crate::model::Package;
use crate::osv::Hole;
use crate::unit::{Paths, Unit};

/// The most names that one finding lists, and packages of a path that it shows.
const MOST_NAMED: usize = 5;
const MOST_IDS: usize = 6;
const MOST_STEPS: usize = 8;

/// The rules of this subcommand whose findings are about a package: an analyst has something to say about them.
pub const RULES: [&str; 4] = ["vulnerable", "vulnerable-dev", "unsound", "unmaintained"];

/// What was looked up, and what is known of each.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What was looked up.
    pub subjects: Subjects,
    /// What is known, in their order.
    pub judged: Vec<Known>,
}

/// What nobody could be asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// How many packages, as far as they are known at all.
    pub packages: usize,
    /// Why, and of each reason the packages and where the first one stands.
    pub reasons: Map<String, Reason>,
}

/// The packages of one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// As `name version`.
    pub packages: Vec<String>,
    /// The first one's place.
    pub at: Option<(String, u32)>,
}

impl Judgement {
    fn each(&self) -> impl Iterator<Item = (&Subject, &Known)> {
        self.subjects.asked.iter().zip(&self.judged)
    }

    /// How many packages somebody was asked about.
    pub fn asked(&self) -> usize {
        self.judged.iter().filter(|known| matches!(known, Known::Asked(found) if found.doubts.is_empty())).count()
    }

    /// How many of them have holes.
    pub fn affected(&self) -> usize {
        self.judged.iter().filter(|known| matches!(known, Known::Asked(found) if !found.holes.is_empty())).count()
    }

    /// What is unknown.
    pub fn unknown(&self, unit: &Unit) -> Unknown {
        let mut unknown = Unknown::default();
        for (subject, known) in self.each() {
            let whys: Vec<String> = match known {
                Known::Unknown(why) => vec![why.clone()],
                Known::Asked(found) => {
                    found.doubts.iter().map(|doubt| format!("{}: {}", doubt.id, doubt.why)).collect()
                }
            };
            unknown.packages += usize::from(!whys.is_empty());
            for why in whys {
                unknown.add(why, format!("{} {}", subject.name, subject.version), &subject.at);
            }
        }
        for (name, at) in &self.subjects.unlocked {
            unknown.packages += 1;
            unknown.add("no lockfile tells in which version".to_owned(), name.clone(), at);
        }
        if self.subjects.bring_more {
            let at = unit.files.first().map(|file| (file.path.clone(), 1));
            let reason = Reason { packages: Vec::new(), at };
            unknown.reasons.insert("no lockfile tells what else they bring along".to_owned(), reason);
        }
        for file in &unit.files {
            let Some(fault) = file.faults.iter().find(|fault| !fault.harmless) else { continue };
            let what = if fault.whole { "can't be read" } else { "is not understood in all its parts" };
            let at = fault.line.map(|line| (file.path.clone(), line));
            let reason = Reason { packages: Vec::new(), at };
            unknown.reasons.insert(format!("{} {what}", shown(&file.path, 200)), reason);
        }
        unknown
    }
}

impl Unknown {
    fn add(&mut self, why: String, package: String, at: &(String, u32)) {
        let reason = self.reasons.entry(why).or_default();
        reason.at.get_or_insert_with(|| at.clone());
        reason.packages.push(package);
    }

    /// In one sentence; none: all is known.
    pub fn said(&self) -> Option<String> {
        let (why, _) = self.reasons.iter().max_by_key(|(_, reason)| reason.packages.len())?;
        let more = self.reasons.len() - 1;
        let more = match more {
            0 => String::new(),
            1 => ", and 1 more reason".to_owned(),
            more => format!(", and {more} more reasons"),
        };
        let what = match self.packages {
            0 => "not all packages are known".to_owned(),
            1 => "1 package is unknown".to_owned(),
            count => format!("{count} packages are unknown"),
        };
        Some(format!("{what}: {}{more}", shown(why, 500)))
    }
}

/// A finding for each hole in each package.
pub fn of(unit: &Unit, judgement: &Judgement) -> Vec<Finding> {
    let paths = unit.paths();
    let packages: Vec<&Package> = unit.packages().collect();
    let mut findings = Vec::new();
    for (subject, known) in judgement.each() {
        if let Known::Asked(found) = known {
            findings.extend(found.holes.iter().map(|hole| finding(unit, &paths, &packages, subject, hole)));
        }
    }
    findings
}

fn finding(unit: &Unit, paths: &Paths, packages: &[&Package], subject: &Subject, hole: &Hole) -> Finding {
    let rule = match hole.informational.as_deref() {
        Some("unmaintained") => "unmaintained",
        Some("unsound") => "unsound",
        Some(_) => "notice",
        None if subject.dev => "vulnerable-dev",
        None => "vulnerable",
    };
    // Who says nothing of how bad it is doesn't say that it is harmless.
    let severity = hole.severity.unwrap_or(Severity::Medium);
    let way: Vec<(&str, &str)> = subject
        .place
        .and_then(|place| paths.places(place))
        .into_iter()
        .flatten()
        .filter_map(|place| packages.get(place))
        .map(|package| (package.name.as_str(), package.version.as_str()))
        .collect();
    let mut message = format!("{} {}: {}", shown(&subject.name, 200), shown(&subject.version, 100), said(hole));
    match hole.fixed.as_slice() {
        [] => message.push_str("; no version with a fix is named"),
        fixed => message.push_str(&format!("; fixed in {}", listed(fixed, MOST_NAMED))),
    }
    if way.len() > 1 {
        message.push_str(&format!("; by {}", steps(&way)));
    }
    if subject.more > 0 {
        let places = if subject.more == 1 { "place" } else { "places" };
        message.push_str(&format!("; it stands in {} more {places}", subject.more));
    }
    let root = way.first().copied().filter(|_| way.len() > 1);
    let advice = Advice::new(&subject.name, &subject.version, hole.fixed.first().map(String::as_str), root);
    // In the next version of the package it is the same hole.
    let fingerprint = format!("{rule}|{}|{}|{}", unit.id, shown(&subject.name, 200), hole.id());
    let (path, line) = &subject.at;
    Finding::new(rule, severity, message).at(path, (*line).max(1)).fingerprint(fingerprint).help(advice.to_string())
}

/// What it is, and its names.
fn said(hole: &Hole) -> String {
    let names: Vec<String> = hole.ids.iter().chain(&hole.aliases).cloned().collect();
    let mut said = if hole.summary.is_empty() { "a known hole".to_owned() } else { shown(&hole.summary, 200) };
    said.push_str(&format!(" ({}", listed(&names, MOST_IDS)));
    if let Some(score) = hole.score {
        said.push_str(&format!(", CVSS {score:.1}"));
    }
    said.push(')');
    let only: Vec<&str> = hole.os.iter().chain(&hole.arch).map(String::as_str).collect();
    if !only.is_empty() {
        said.push_str(&format!("; only on {}", shown(&only.join(", "), 200)));
    }
    if !hole.functions.is_empty() {
        said.push_str(&format!("; by calling {}", listed(&hole.functions, MOST_NAMED)));
    }
    said
}

fn steps(way: &[(&str, &str)]) -> String {
    let step = |(name, version): &(&str, &str)| format!("{} {}", shown(name, 100), shown(version, 60));
    let all: Vec<String> = way.iter().map(step).collect();
    if all.len() <= MOST_STEPS {
        return all.join(" > ");
    }
    let (first, rest) = all.split_at(MOST_STEPS / 2);
    let (_, last) = rest.split_at(rest.len() - MOST_STEPS / 2);
    format!("{} > … > {}", first.join(" > "), last.join(" > "))
}

fn listed(all: &[String], most: usize) -> String {
    let mut text = all.iter().take(most).map(|one| shown(one, 120)).collect::<Vec<_>>().join(", ");
    if all.len() > most {
        text.push_str(&format!(" and {} more", all.len() - most));
    }
    text
}

/// A finding for each reason for which packages are unknown.
pub fn not_asked(unit: &Unit, unknown: &Unknown) -> Vec<Finding> {
    let finding = |(why, reason): (&String, &Reason)| {
        let why = shown(why, 500);
        let message = match reason.packages.len() {
            0 => format!("Not all packages of {} are known: {why}", unit.id),
            1 => format!("Nothing is known about {}: {why}", listed(&reason.packages, MOST_NAMED)),
            count => {
                format!("Nothing is known about {count} packages: {why}: {}", listed(&reason.packages, MOST_NAMED))
            }
        };
        let finding = Finding::new("not-asked", Severity::Medium, message)
            .fingerprint(format!("not-asked|{}|{why}", unit.id))
            .help("what is unknown is not safe: name a folder of advisories, grant the API of OSV, or add a lockfile");
        match &reason.at {
            Some((path, line)) => finding.at(path, (*line).max(1)),
            None => match unit.files.first() {
                Some(file) => finding.in_file(&file.path),
                None => finding,
            },
        }
    };
    unknown.reasons.iter().map(finding).collect()
}
