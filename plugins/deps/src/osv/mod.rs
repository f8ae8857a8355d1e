//! Advisories, and whether a version of a package is affected by them.
//!
//! An [`Advisory`] is read from OSV's JSON ([`read`]) or from RustSec's files ([`crate::rustsec::read`]); a [`Book`] holds
//! all of them and answers for one package. What can't be judged is [`Judged::Unknown`], and never safe.

mod book;
mod evaluate;
pub(crate) mod fields;
mod json;
pub mod name;
#[cfg(test)]
mod tests;

pub use book::{Book, BrokenFile, Doubt, Found, Hole, Judged};
pub use evaluate::Verdict;
pub use json::{read, read_all};

use convoke_sdk::Severity;

use crate::cvss::Rating;
use crate::model::Ecosystem;

/// What is wrong with some versions of some packages. Texts are fit to be shown.
#[derive(Clone, Debug, Default)]
pub struct Advisory {
    /// Its name in its own database.
    pub id: String,
    /// The same hole in other databases. What is only related is not among them.
    pub aliases: Vec<String>,
    /// What it is, in one line.
    pub summary: String,
    /// How bad it is, where the advisory says so.
    pub severity: Option<Severity>,
    /// From 0 to 10, where a vector of CVSS gives it.
    pub score: Option<f64>,
    /// It was taken back.
    pub withdrawn: bool,
    /// It is no hole but something to know: `unmaintained`, `unsound`, `notice`.
    pub informational: Option<String>,
    /// What it affects, of the ecosystems that are read here.
    pub affected: Vec<Affected>,
    /// Where to read more; `http` or `https`.
    pub url: Option<String>,
}

/// A package of which some versions are affected.
#[derive(Clone, Debug)]
pub struct Affected {
    /// Where the package has its name.
    pub ecosystem: Ecosystem,
    /// As written.
    pub name: String,
    /// How bad it is for this package, where that is said by itself.
    pub rating: Option<Rating>,
    /// As [`Advisory::informational`], where it is said for this package.
    pub informational: Option<String>,
    /// Affected versions, one by one.
    pub versions: Vec<String>,
    /// Affected versions, by where they begin and end.
    pub ranges: Vec<Range>,
    /// What narrows it down.
    pub only: Only,
}

/// In which cases a package is affected at all. Empty lists narrow nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Only {
    /// Functions that must be called, and in which versions; no versions: in all that are affected.
    pub functions: Vec<(String, Vec<Interval>)>,
    /// Processors.
    pub arch: Vec<String>,
    /// Operating systems.
    pub os: Vec<String>,
}

/// Which versions are affected.
#[derive(Clone, Debug)]
pub enum Range {
    /// OSV's events.
    Events {
        /// The order of the versions is that of semantic versions, and not the ecosystem's own.
        semantic: bool,
        /// In any order.
        events: Vec<Event>,
    },
    /// RustSec's: all versions but these.
    Unless {
        /// Versions with the fix.
        patched: Vec<Interval>,
        /// Versions from before the hole.
        unaffected: Vec<Interval>,
    },
    /// Commits, which no version tells.
    Git,
    /// It can't be read, and why.
    Unreadable(String),
}

/// Something that happened at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Versions from this one on are affected; `0` comes before all.
    Introduced(String),
    /// Versions from this one on are not.
    Fixed(String),
    /// Versions after this one are not.
    LastAffected(String),
    /// Nothing is said of versions from this one on; `*` is none.
    Limit(String),
}

/// Semantic versions between two ends. Pre-releases count as any other version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The lower end.
    pub low: End,
    /// The upper end.
    pub high: End,
}

/// An end of an [`Interval`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It has none.
    Open,
    /// The version belongs to it.
    At(semver::Version),
    /// The version doesn't.
    Beside(semver::Version),
}

/// A file that can't be read as an advisory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where, counted from 1, if that is known.
    pub line: Option<u32>,
    /// What is wrong, for people.
    pub message: String,
}

impl Broken {
    /// With a message fit to be shown.
    pub fn new(line: Option<u32>, message: &str) -> Self {
        Self { line, message: convoke_sdk::text::shown(message, 300) }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The longest text of a field that is kept, in characters.
const LONGEST: usize = 200;

/// A field's text, fit to be shown.
pub(crate) fn kept(text: &str) -> String {
    convoke_sdk::text::shown(text, LONGEST)
}

/// An address that a person may follow.
pub(crate) fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let safe = text.len() <= 500 && !text.chars().any(|char| char.is_whitespace() || char.is_control());
    (safe && (text.starts_with("https://") || text.starts_with("http://"))).then(|| convoke_sdk::text::shown(text, 500))
}
