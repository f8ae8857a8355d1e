//! Maven: `pom.xml`.
//!
//! Of what Maven would put together, all is read that stands in the project: parents by their relative paths, properties, managed
//! versions, imports of projects of the same house. What comes from a repository is not there, so what rests on it is unknown.

mod effective;
mod pom;
#[cfg(test)]
mod tests;

use convoke_sdk::small::{Map, Set};

use effective::{House, Lack, Lineage, Managed, imports};
use pom::{Body, Entry, Pom};

use crate::format::Format;
use crate::model::{Bound, Fault, File, Include, Manager, Manifest, Origin, Requirement, Scope, Texts};

/// The most profiles of a project: for each is asked anew what is managed.
const MOST_PROFILES: usize = 200;

/// The format of a file, by its name.
pub fn format_of(name: &str) -> Option<Format> {
    (name == "pom.xml").then_some(Format { manager: Manager::Maven, lock: false, parse })
}

/// Reads a `pom.xml`.
///
/// A requirement's range is what Maven would use: the version written, managed, or filled in with properties; where that is
/// not known it is what is written. Plugins, extensions, the parent and imported projects that are not in the project are
/// requirements too: they are fetched like others.
pub fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let mut file = File::new(path, Manager::Maven, "pom.xml");
    let pom = match Pom::read(text) {
        Ok(pom) => pom,
        Err(fault) => {
            file.faults.push(fault);
            return file;
        }
    };
    let lineage = Lineage::of(path, pom, texts);
    let own = lineage.own();
    let bodies = || std::iter::once(&own.body).chain(own.profiles.iter().map(|profile| &profile.body));
    let entries = bodies().flat_map(|body| body.asked.iter().chain(&body.managed));
    let house = House::of(texts, &entries.filter_map(|entry| entry.artifact.as_deref()).collect::<Set<_>>());
    let imported = imports(path, &lineage, texts, &house);
    let mut reader = Reader { lineage: &lineage, house: &house, imported: &imported, found: Found::default() };
    reader.parent();
    reader.body(&own.body, None);
    for profile in own.profiles.iter().take(MOST_PROFILES) {
        reader.body(&profile.body, Some((profile.id.as_str(), &profile.body)));
    }
    let mut found = reader.found;
    if own.profiles.len() > MOST_PROFILES {
        let message = format!("of {} profiles the first {MOST_PROFILES} were read", own.profiles.len());
        found.faults.push(Fault::new(None, &message, false));
    }
    let line = own.parent.as_ref().map_or(1, |parent| parent.line);
    let filled = |text: &Option<String>| text.as_deref().and_then(|text| lineage.filled(text, None).ok());
    let group = own.group.clone().or_else(|| own.parent.as_ref().map(|parent| parent.group.clone()));
    let version = own.version.clone().or_else(|| own.parent.as_ref().map(|parent| parent.version.clone()));
    file.manifest = Some(Manifest {
        name: filled(&group).zip(filled(&own.artifact)).map(|(group, artifact)| format!("{group}:{artifact}")),
        version: filled(&version),
        // Whoever uses it chooses among several.
        license: (!own.licenses.is_empty()).then(|| own.licenses.join(" OR ")),
        members: bodies().flat_map(|body| &body.modules).cloned().collect(),
        includes: (lineage.paths.iter().take(1).chain(&lineage.named))
            .map(|path| Include { path: path.clone(), line, constraint: false })
            .collect(),
        scripts: Vec::new(),
        requirements: found.requirements,
    });
    file.faults.extend(lineage.faults.iter().cloned());
    file.faults.extend(found.lacks.into_iter().map(|(lack, (line, count))| lack.fault(line, count)));
    file.faults.extend(found.faults);
    if let Some(parent) = &lineage.missing {
        let rest = match found.by_parent {
            0 => String::new(),
            count => format!(", and with it the versions of {count} of those that are named here"),
        };
        let message =
            format!("the parent {} is not in the project: what it brings and decides is unknown{rest}", parent.shown());
        file.faults.push(Fault::new(Some(line), &message, false));
    }
    for (name, (line, count)) in found.by_import {
        let message = format!(
            "{name}, whose versions are imported, is not in the project: it may decide {count} of those that are named here"
        );
        file.faults.push(Fault::new(line, &message, false));
    }
    file
}

impl Lack {
    fn fault(&self, line: u32, count: usize) -> Fault {
        let rest = if count > 1 { format!(", and with it {count} versions") } else { String::new() };
        let message = match self {
            Self::Property(name) => format!("nothing in the project sets `{name}`, so it is unknown{rest}"),
            Self::Endless => format!("the values named here rest on each other without end, or are too long{rest}"),
        };
        Fault::new(Some(line), &message, false)
    }
}

#[derive(Default)]
struct Found {
    requirements: Vec<Requirement>,
    /// Where each is first missed, and how often.
    lacks: Map<Lack, (u32, usize)>,
    faults: Vec<Fault>,
    /// How many versions only a parent can decide that is not there.
    by_parent: usize,
    /// The same for imports.
    by_import: Map<String, (Option<u32>, usize)>,
}

struct Reader<'a> {
    lineage: &'a Lineage,
    house: &'a House<'a>,
    imported: &'a Map<String, Lineage>,
    found: Found,
}

impl<'a> Reader<'a> {
    /// The parent is a requirement where it is taken from a repository.
    fn parent(&mut self) {
        let own = self.lineage.own();
        let Some(parent) = own.parent.as_ref().filter(|_| self.lineage.paths.is_empty()) else { return };
        let version = self.lineage.filled(&parent.version, None);
        let bound = version.as_deref().map_or(Bound::Unknown, bound_of);
        self.found.requirements.push(Requirement {
            name: format!("{}:{}", parent.group, parent.artifact),
            range: Some(version.unwrap_or_else(|_| parent.version.clone())),
            bound,
            origin: Origin::Registry(None),
            scope: Scope::Build,
            line: parent.line,
            condition: None,
            hashed: false,
        });
    }

    fn body(&mut self, body: &'a Body, profile: Option<(&str, &'a Body)>) {
        let within = profile.map(|(_, body)| body);
        let condition = profile.map(|(id, _)| format!("profile {id}"));
        let managed = Managed::of(self.lineage, within, |body| &body.managed, self.imported);
        for entry in &body.asked {
            self.entry(entry, &managed, within, condition.as_deref(), None);
        }
        for entry in body.managed.iter().filter(|entry| entry.imports()) {
            self.entry(entry, &managed, within, condition.as_deref(), Some(Scope::Build));
        }
        let plugins = Managed::of(self.lineage, within, |body| &body.managed_plugins, self.imported);
        for entry in &body.plugins {
            self.entry(entry, &plugins, within, condition.as_deref(), Some(Scope::Build));
        }
    }

    fn entry(
        &mut self,
        entry: &Entry,
        managed: &Managed<'a>,
        profile: Option<&'a Body>,
        condition: Option<&str>,
        scope: Option<Scope>,
    ) {
        let name = match self.lineage.name(entry, profile) {
            Ok(name) => name,
            Err(lack) => {
                self.lack(lack, entry.line);
                return;
            }
        };
        if entry.artifact.is_none() || name.starts_with(':') {
            let message = "an entry names no group or no artifact, so it is left out";
            self.found.faults.push(Fault::new(Some(entry.line), message, false));
            return;
        }
        let over = managed.get(self.lineage, entry, profile);
        let written = entry.version.as_deref().or_else(|| over.and_then(|(_, over)| over.version.as_deref()));
        // What an imported project manages is written in its own words.
        let words = match (&entry.version, over) {
            (None, Some((lineage, _))) => lineage,
            _ => self.lineage,
        };
        let within = if std::ptr::eq(words, self.lineage) { profile } else { None };
        let (range, bound) = match written.map(|text| words.filled(text, within)) {
            Some(Ok(range)) => {
                let bound = bound_of(&range);
                (Some(range), bound)
            }
            Some(Err(lack)) => {
                self.lack(lack, entry.line);
                (written.map(str::to_owned), Bound::Unknown)
            }
            None => (None, self.undecided(&name, entry.line, managed, scope)),
        };
        let text = |of: fn(&Entry) -> &Option<String>| of(entry).as_deref().or_else(|| of(over?.1).as_deref());
        let origin = match text(|entry| &entry.system_path) {
            Some(path) => Origin::Path(self.lineage.filled(path, profile).unwrap_or_else(|_| path.to_owned())),
            None if self.house.has(&name, range.as_deref()) => Origin::Workspace,
            None => Origin::Registry(None),
        };
        let scope = scope.unwrap_or_else(|| match (entry.optional, text(|entry| &entry.scope)) {
            (_, Some("test")) => Scope::Dev,
            (true, _) => Scope::Optional,
            // Whoever runs it brings it: a container, the JDK.
            (_, Some("provided")) => Scope::Peer,
            _ => Scope::Normal,
        });
        let condition = condition.map(str::to_owned);
        self.found.requirements.push(Requirement {
            name,
            range,
            bound,
            origin,
            scope,
            line: entry.line,
            condition,
            hashed: false,
        });
    }

    /// No version is written: who could decide it?
    fn undecided(&mut self, name: &str, line: u32, managed: &Managed<'_>, scope: Option<Scope>) -> Bound {
        if self.lineage.missing.is_some() {
            self.found.by_parent += 1;
        } else if let Some((project, line)) = managed.unknown.first() {
            self.found.by_import.entry(project.clone()).or_insert((*line, 0)).1 += 1;
        } else if scope.is_some() {
            // Maven takes the version that it comes with, or the newest.
            return Bound::Open;
        } else {
            let message = format!("{name} has no version, and nothing in the project decides one");
            self.found.faults.push(Fault::new(Some(line), &message, false));
        }
        Bound::Unknown
    }

    fn lack(&mut self, lack: Lack, line: u32) {
        self.found.lacks.entry(lack).or_insert((line, 0)).1 += 1;
    }
}

/// What a version allows, by Maven's rules (<https://maven.apache.org/pom.html#dependency-version-requirement-specification>).
/// A version without brackets is a wish only, but one that wins wherever a project names it itself.
pub fn bound_of(range: &str) -> Bound {
    let range = range.trim();
    match range {
        "" | "LATEST" | "RELEASE" => return Bound::Open,
        _ if range.contains("${") => return Bound::Unknown,
        _ => {}
    }
    if !range.starts_with(['[', '(']) {
        // A snapshot is replaced until its version is released.
        return match range.ends_with("-SNAPSHOT") {
            true => Bound::Bounded,
            false if range.contains(['[', ']', '(', ')', ',']) => Bound::Unknown,
            false => Bound::Exact,
        };
    }
    let (mut rest, mut parts, mut exact, mut open) = (range, 0, false, false);
    while let Some(inside) = rest.strip_prefix(['[', '(']) {
        let Some(end) = inside.find([']', ')']) else { return Bound::Unknown };
        let (part, after) = inside.split_at(end);
        parts += 1;
        match part.split_once(',') {
            None if part.trim().is_empty() => return Bound::Unknown,
            None => exact = true,
            Some((_, upper)) if upper.contains(',') => return Bound::Unknown,
            Some((_, upper)) => open |= upper.trim().is_empty(),
        }
        let after = after.get(1..).unwrap_or_default().trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    match (rest.is_empty(), open, exact && parts == 1) {
        (false, ..) => Bound::Unknown,
        (true, true, _) => Bound::Open,
        (true, false, true) => Bound::Exact,
        (true, false, false) => Bound::Bounded,
    }
}
