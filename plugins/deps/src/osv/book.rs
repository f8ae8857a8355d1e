//! All advisories that were read, by the packages that they are about.

use convoke_sdk::small::Map;

use convoke_sdk::Severity;

use super::{Advisory, Affected, Broken, Only, Verdict, json, kept, name};
use crate::cvss::{self, Rating};
use crate::model::{Ecosystem, name_of};
use crate::rustsec;
use crate::versions::Version;

/// Advisories, to be asked about packages.
#[derive(Debug, Default)]
pub struct Book {
    /// Files that could not be read. A hole may be in them: what a book with broken files calls safe, it doesn't know to be.
    pub broken: Vec<BrokenFile>,
    advisories: Vec<Advisory>,
    about: Map<(Ecosystem, String), About>,
    aliases: Aliases,
}

/// What there is about a package.
#[derive(Debug, Default)]
struct About {
    /// Places in `advisories`.
    places: Vec<usize>,
    /// Why something about it is not known.
    doubts: Vec<Doubt>,
}

/// A file of advisories that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenFile {
    /// As it was given.
    pub path: String,
    /// What is wrong with it.
    pub broken: Broken,
}

/// What the advisories say about a version of a package.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// None of those that were read affects it.
    Safe,
    /// It is affected; the worst first.
    Affected(Vec<Hole>),
    /// At least one that is about this package can't be judged, and none affects it.
    Unknown(String),
}

/// As [`Judged`], with all that there is: a package may be affected by one advisory while another can't be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The worst first.
    pub holes: Vec<Hole>,
    /// What can't be judged.
    pub doubts: Vec<Doubt>,
}

/// An advisory that can't be judged for a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Its name, or that of its file.
    pub id: String,
    /// Why.
    pub why: String,
}

/// A hole in a version of a package: all entries that are aliases of each other. Texts are fit to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Hole {
    /// The entries that say so, by the alphabet.
    pub ids: Vec<String>,
    /// Other names of the same, by the alphabet.
    pub aliases: Vec<String>,
    /// The worst that is said. For what is only informational, and has no vector: `unsound` is low, all else is info.
    pub severity: Option<Severity>,
    /// From 0 to 10: the score that goes with the severity.
    pub score: Option<f64>,
    /// Versions named as fixed, the next one first. `>1.2.3` is the one after it. Those that another entry of the same hole
    /// still calls affected are left out, unless none would be left.
    pub fixed: Vec<String>,
    /// What it is, in one line.
    pub summary: String,
    /// Where to read more.
    pub url: Option<String>,
    /// It is no hole but something to know: `unmaintained`, `unsound`, `notice`.
    pub informational: Option<String>,
    /// The functions that must be called to be affected; empty: that isn't known.
    pub functions: Vec<String>,
    /// The processors on which it holds; empty: on all.
    pub arch: Vec<String>,
    /// The operating systems on which it holds; empty: on all.
    pub os: Vec<String>,
}

impl Hole {
    /// Its first name.
    pub fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}

/// How many fixed versions, functions, processors and systems of one hole are told.
const MOST: usize = 20;

impl Book {
    /// How many advisories were read, with those that were withdrawn.
    pub fn len(&self) -> usize {
        self.advisories.len()
    }

    /// Whether none was read.
    pub fn is_empty(&self) -> bool {
        self.advisories.is_empty()
    }

    /// Adds an advisory. One that was withdrawn is counted and says nothing.
    pub fn add(&mut self, advisory: Advisory) {
        let place = self.advisories.len();
        if !advisory.withdrawn {
            self.aliases.join(&advisory.id, &advisory.aliases);
            for affected in &advisory.affected {
                let places = &mut self.of(affected.ecosystem, &affected.name).places;
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        self.advisories.push(advisory);
    }

    /// Reads a file of advisories: OSV's by its ending `.json`, RustSec's by `.md` and `.toml`. One that can't be read lands
    /// in [`broken`](Self::broken); if its place says which package it is about, that package is no longer safe.
    ///
    /// False: by its name it is no such file, and was passed over.
    pub fn read(&mut self, path: &str, text: &str) -> bool {
        let ending = name_of(path).rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        match ending.as_str() {
            "json" => match json::read_all(text) {
                Ok(all) => {
                    for one in all {
                        match one {
                            Ok(advisory) => self.add(advisory),
                            Err(broken) => self.broken.push(BrokenFile { path: path.to_owned(), broken }),
                        }
                    }
                }
                Err(broken) => self.broken.push(BrokenFile { path: path.to_owned(), broken }),
            },
            "md" | "toml" => match rustsec::place(path) {
                None => return false,
                // What comes with the compiler is no package of the registry, even where a crate has the same name.
                Some(rustsec::Place::Rust) => {}
                Some(rustsec::Place::Crate(package)) => match rustsec::read(text) {
                    Ok(advisory) => self.add(advisory),
                    Err(broken) => {
                        let doubt = Doubt { id: kept(path), why: format!("its file can't be read: {broken}") };
                        self.of(Ecosystem::CratesIo, package).doubts.push(doubt);
                        self.broken.push(BrokenFile { path: path.to_owned(), broken });
                    }
                },
            },
            _ => return false,
        }
        true
    }

    fn of(&mut self, ecosystem: Ecosystem, name: &str) -> &mut About {
        self.about.entry((ecosystem, name::key(ecosystem, name))).or_default()
    }

    /// What is known about a version of a package of the ecosystem's registry.
    pub fn judge(&self, ecosystem: Ecosystem, name: &str, version: &str) -> Judged {
        let found = self.find(ecosystem, name, version);
        if !found.holes.is_empty() {
            return Judged::Affected(found.holes);
        }
        match found.doubts.as_slice() {
            [] => Judged::Safe,
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
                Judged::Unknown(format!("{}: {}{more}", first.id, first.why))
            }
        }
    }

    /// As [`judge`](Self::judge), with what can't be judged beside what is found.
    pub fn find(&self, ecosystem: Ecosystem, name: &str, version: &str) -> Found {
        let key = (ecosystem, name::key(ecosystem, name));
        let Some(about) = self.about.get(&key) else { return Found::default() };
        let mut found = Found { doubts: about.doubts.clone(), ..Found::default() };
        let mut entries: Vec<(usize, Entry<'_>)> = Vec::new();
        for advisory in about.places.iter().filter_map(|place| self.advisories.get(*place)) {
            let mut entry = Entry { advisory, affected: Vec::new(), fixed: Vec::new() };
            let mut doubts = Vec::new();
            for affected in &advisory.affected {
                if affected.ecosystem != ecosystem || name::key(ecosystem, &affected.name) != key.1 {
                    continue;
                }
                match affected.judge(version) {
                    Verdict::Safe => {}
                    Verdict::Unknown(why) => doubts.push(Doubt { id: advisory.id.clone(), why }),
                    Verdict::Affected(fixed) => {
                        entry.affected.push(affected);
                        entry.fixed.extend(fixed);
                    }
                }
            }
            if entry.affected.is_empty() {
                found.doubts.extend(doubts.into_iter().take(1));
            } else {
                entries.push((self.aliases.group(&advisory.id), entry));
            }
        }
        entries.sort_unstable_by(|(a, first), (b, second)| {
            a.cmp(b).then_with(|| first.advisory.id.cmp(&second.advisory.id))
        });
        let same = entries.chunk_by(|(a, _), (b, _)| a == b);
        found.holes = same.map(|entries| hole(entries, ecosystem, version)).collect();
        found.holes.sort_unstable_by(|a, b| {
            let key = |hole: &Hole| (hole.severity, hole.informational.is_none());
            key(b)
                .cmp(&key(a))
                .then_with(|| b.score.unwrap_or(-1.0).total_cmp(&a.score.unwrap_or(-1.0)))
                .then_with(|| a.ids.cmp(&b.ids))
        });
        found
    }
}

/// An advisory that affects the version, and by which of its parts.
struct Entry<'a> {
    advisory: &'a Advisory,
    affected: Vec<&'a Affected>,
    fixed: Vec<String>,
}

impl Entry<'_> {
    fn informational(&self) -> Option<&String> {
        self.advisory
            .informational
            .as_ref()
            .or_else(|| self.affected.iter().find_map(|part| part.informational.as_ref()))
    }

    fn rating(&self) -> Option<Rating> {
        let own = self.affected.iter().fold(None, |worst, part| cvss::worse(worst, part.rating));
        let general = self.advisory.severity.map(|severity| Rating { severity, score: self.advisory.score });
        own.or(general).or_else(|| {
            let severity = if self.informational()? == "unsound" { Severity::Low } else { Severity::Info };
            Some(Rating { severity, score: None })
        })
    }
}

fn hole(entries: &[(usize, Entry<'_>)], ecosystem: Ecosystem, version: &str) -> Hole {
    let entries: Vec<&Entry<'_>> = entries.iter().map(|(_, entry)| entry).collect();
    let ids = sorted(entries.iter().map(|entry| entry.advisory.id.clone()));
    let aliases = sorted(entries.iter().flat_map(|entry| entry.advisory.aliases.iter().cloned()));
    let aliases = aliases.into_iter().filter(|alias| !ids.contains(alias)).collect();
    let rating = entries.iter().fold(None, |worst, entry| cvss::worse(worst, entry.rating()));
    let real = entries.iter().any(|entry| entry.informational().is_none());
    let only: Vec<&Only> = entries.iter().flat_map(|entry| entry.affected.iter().map(|part| &part.only)).collect();
    let parsed = semver::Version::parse(version.trim()).ok();
    let functions = only.iter().flat_map(|only| &only.functions).filter(|(_, versions)| {
        let Some(parsed) = &parsed else { return true };
        versions.is_empty() || versions.iter().any(|interval| interval.contains(parsed))
    });
    Hole {
        ids,
        aliases,
        severity: rating.map(|rating| rating.severity),
        score: rating.and_then(|rating| rating.score),
        fixed: fixed(&entries, ecosystem),
        summary: entries
            .iter()
            .map(|entry| &entry.advisory.summary)
            .find(|text| !text.is_empty())
            .cloned()
            .unwrap_or_default(),
        url: entries.iter().find_map(|entry| entry.advisory.url.clone()),
        informational: if real { None } else { entries.iter().find_map(|entry| entry.informational()).cloned() },
        functions: first(functions.map(|(name, _)| name.clone())),
        arch: narrowed(&only, |only| &only.arch),
        os: narrowed(&only, |only| &only.os),
    }
}

/// Where it holds, if each entry says so: one that narrows nothing holds everywhere.
fn narrowed(only: &[&Only], field: fn(&Only) -> &Vec<String>) -> Vec<String> {
    if only.iter().any(|only| field(only).is_empty()) {
        return Vec::new();
    }
    first(only.iter().flat_map(|only| field(only).iter().cloned()))
}

fn fixed(entries: &[&Entry<'_>], ecosystem: Ecosystem) -> Vec<String> {
    let all = sorted(entries.iter().flat_map(|entry| entry.fixed.iter().map(|version| kept(version))));
    // Only what can be compared may be sorted: an order with gaps is none.
    let (mut known, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .map(|text| (Version::parse(ecosystem, text.trim_start_matches('>')), text))
        .partition(|(version, _)| version.is_some());
    known.sort_unstable_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => a.order(b).unwrap_or(std::cmp::Ordering::Equal),
        _ => std::cmp::Ordering::Equal,
    });
    known.dedup_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => a.order(b).is_some_and(std::cmp::Ordering::is_eq),
        _ => false,
    });
    let all: Vec<String> = known.into_iter().chain(others).map(|(_, text)| text).take(MOST).collect();
    let still = |version: &String| {
        let mut parts = entries.iter().flat_map(|entry| &entry.affected);
        parts.any(|part| matches!(part.judge(version), Verdict::Affected(_)))
    };
    let (bad, good): (Vec<_>, Vec<_>) = all.into_iter().partition(still);
    if good.is_empty() { bad } else { good }
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<convoke_sdk::small::Set<_>>().into_iter().collect()
}

fn first(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts = sorted(texts);
    texts.truncate(MOST);
    texts
}

/// Which names mean the same: "aliases are symmetric and transitive" (OSV schema, "aliases field").
#[derive(Debug, Default)]
struct Aliases {
    places: Map<String, usize>,
    /// The next one on the way to the name that stands for all; itself at the end.
    next: Vec<usize>,
}

impl Aliases {
    fn join(&mut self, id: &str, aliases: &[String]) {
        let mut root = self.place(id);
        for alias in aliases {
            let other = self.place(alias);
            let (low, high) = (root.min(other), root.max(other));
            if let Some(next) = self.next.get_mut(high) {
                *next = low;
            }
            root = low;
        }
    }

    /// The root of a name, which is added if it is new.
    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            let root = self.root(*place);
            // What was walked once is not walked again.
            let mut at = *place;
            while let Some(next) = self.next.get_mut(at) {
                let step = std::mem::replace(next, root);
                if step == at || step == root {
                    break;
                }
                at = step;
            }
            return root;
        }
        let place = self.next.len();
        self.places.insert(name.to_owned(), place);
        self.next.push(place);
        place
    }

    fn root(&self, mut place: usize) -> usize {
        while let Some(next) = self.next.get(place).filter(|next| **next != place) {
            place = *next;
        }
        place
    }

    fn group(&self, name: &str) -> usize {
        self.places.get(name).map_or(usize::MAX, |place| self.root(*place))
    }
}
