//! What holds in a project after its parents, as far as they are in the project, have been asked.
//!
//! The rules are those of Maven's model builder: what is inherited comes first, what is filled in (`${…}`) after that, so that a
//! version that a parent manages can rest on a property of its child.

use convoke_sdk::small::{Map, Set};

use crate::format::maven::pom::{Body, Coordinates, Entry, Parent, Pom, coordinates};
use crate::model::{Fault, Texts, beside, name_of};

/// The most generations.
const MOST_PARENTS: usize = 32;
/// The most values inside each other; a circle has no end.
const DEEPEST: usize = 32;
/// The most values that one text is filled with.
const MOST_FILLED: usize = 256;
/// The longest text that comes of it, in bytes.
const LONGEST: usize = 4096;
/// From how many projects on only those are known that lie in a folder of their name: the first lines of each are read once for
/// each file.
const MANY: usize = 300;

/// A project and its parents.
pub(super) struct Lineage {
    /// The project itself, then its parents.
    poms: Vec<Pom>,
    /// The parent of the last of them, which is not there.
    pub(super) missing: Option<Parent>,
    /// Where the missing one could be.
    pub(super) named: Option<String>,
    /// Where the parents are.
    pub(super) paths: Vec<String>,
    /// What was wrong with them.
    pub(super) faults: Vec<Fault>,
}

/// What a version rests on that is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// A property that nobody sets.
    Property(String),
    /// Properties that rest on each other, or on too many, or are too long.
    Endless,
}

impl Lineage {
    /// Looks for the parents of a project.
    pub(super) fn of(path: &str, pom: Pom, texts: &Texts) -> Self {
        let mut lineage = Self { poms: vec![pom], missing: None, named: None, paths: Vec::new(), faults: Vec::new() };
        let mut at = path.to_owned();
        let mut seen = Set::from([path.to_owned()]);
        let line = lineage.own().parent.as_ref().map(|parent| parent.line);
        while let Some(parent) = lineage.poms.last().and_then(|pom| pom.parent.clone()) {
            let found = parent.relative.as_deref().and_then(|relative| place(&at, relative, texts));
            if let (None, Some(relative)) = (&found, parent.relative.as_deref())
                && relative.ends_with(".xml")
                && relative != "../pom.xml"
            {
                // Named all the same, so that it is looked for: its name may be any.
                lineage.named = beside(&at, relative);
            }
            let Some((path, text)) = found.filter(|(_, text)| parent.is(&coordinates(text))) else {
                lineage.missing = Some(parent);
                break;
            };
            if !seen.insert(path.clone()) || lineage.poms.len() > MOST_PARENTS {
                let message =
                    format!("its parents go in a circle, or are over {MOST_PARENTS}: {path} stands among them");
                lineage.faults.push(Fault::new(line, &message, false));
                lineage.missing = Some(parent);
                break;
            }
            match Pom::read(text) {
                Ok(pom) => lineage.poms.push(pom),
                Err(fault) => {
                    let message = format!("its parent {path} can't be read: {}", fault.message);
                    lineage.faults.push(Fault::new(line, &message, false));
                    lineage.missing = Some(parent);
                    break;
                }
            }
            lineage.paths.push(path.clone());
            at = path;
        }
        lineage
    }

    /// The project itself.
    pub(super) fn own(&self) -> &Pom {
        // There is always one.
        &self.poms[0]
    }

    /// The project and its parents, nearest first.
    pub(super) fn poms(&self) -> impl Iterator<Item = &Pom> {
        self.poms.iter()
    }

    fn value<'v>(&'v self, name: &str, profile: Option<&'v Body>) -> Option<&'v str> {
        let own = self.own();
        let parent = own.parent.as_ref();
        let (or_parent, of_parent) =
            (|of: fn(&Parent) -> &String| parent.map(of), name.strip_prefix("project.parent."));
        if let Some(name) = of_parent {
            return match name {
                "groupId" => or_parent(|parent| &parent.group),
                "artifactId" => or_parent(|parent| &parent.artifact),
                "version" => or_parent(|parent| &parent.version),
                _ => None,
            }
            .map(String::as_str);
        }
        let of_project = match name.strip_prefix("project.").or_else(|| name.strip_prefix("pom.")).unwrap_or(name) {
            "groupId" => own.group.as_ref().or_else(|| or_parent(|parent| &parent.group)),
            "artifactId" => own.artifact.as_ref(),
            "version" => own.version.as_ref().or_else(|| or_parent(|parent| &parent.version)),
            _ => None,
        };
        let bodies = profile.into_iter().chain(self.poms().map(|pom| &pom.body));
        of_project.or_else(|| bodies.into_iter().find_map(|body| body.properties.get(name))).map(String::as_str)
    }

    /// A text with the values that it names.
    ///
    /// # Errors
    /// One of them is not known.
    pub(super) fn filled(&self, text: &str, profile: Option<&Body>) -> Result<String, Lack> {
        let (mut filled, mut steps) = (String::new(), 0);
        self.fill(text, profile, 0, &mut steps, &mut filled)?;
        Ok(filled)
    }

    fn fill(
        &self,
        text: &str,
        profile: Option<&Body>,
        depth: usize,
        steps: &mut usize,
        filled: &mut String,
    ) -> Result<(), Lack> {
        let mut rest = text;
        *steps += 1;
        if depth > DEEPEST || *steps > MOST_FILLED {
            return Err(Lack::Endless);
        }
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            push(filled, before)?;
            let value = self.value(name, profile).ok_or_else(|| Lack::Property(name.to_owned()))?;
            self.fill(value, profile, depth + 1, steps, filled)?;
            rest = after;
        }
        push(filled, rest)
    }

    /// A package's name: `group:artifact`.
    ///
    /// # Errors
    /// It rests on a value that is not known.
    pub(super) fn name(&self, entry: &Entry, profile: Option<&Body>) -> Result<String, Lack> {
        let part = |part: &Option<String>| self.filled(part.as_deref().unwrap_or_default(), profile);
        Ok(format!("{}:{}", part(&entry.group)?, part(&entry.artifact)?))
    }

    /// What tells managed dependencies apart.
    fn key(&self, entry: &Entry, profile: Option<&Body>) -> Option<String> {
        let kind = entry.kind.as_deref().unwrap_or("jar");
        let classifier = self.filled(entry.classifier.as_deref().unwrap_or_default(), profile).ok()?;
        Some(format!("{}:{kind}:{classifier}", self.name(entry, profile).ok()?))
    }
}

fn push(filled: &mut String, part: &str) -> Result<(), Lack> {
    if filled.len() + part.len() > LONGEST {
        return Err(Lack::Endless);
    }
    filled.push_str(part);
    Ok(())
}

impl Parent {
    fn is(&self, found: &Coordinates<'_>) -> bool {
        found.group == Some(&self.group) && found.artifact == Some(&self.artifact)
    }

    pub(super) fn shown(&self) -> String {
        format!("{}:{}:{}", self.group, self.artifact, self.version)
    }
}

/// The file that a relative path names: a folder's is its `pom.xml`.
fn place<'t>(path: &str, relative: &str, texts: &'t Texts) -> Option<(String, &'t str)> {
    let named = beside(path, &relative.replace('\\', "/"))?;
    let inside = if named.is_empty() { "pom.xml".to_owned() } else { format!("{named}/pom.xml") };
    [named, inside].into_iter().find_map(|path| texts.get(&path).map(|text| (path, text.as_str())))
}

/// What is managed: in which version a package is used that names none itself.
pub(super) struct Managed<'a> {
    /// By key; the nearest counts.
    entries: Map<String, (&'a Lineage, &'a Entry)>,
    /// What is taken over from projects that are not there, with the line of the project's own import.
    pub(super) unknown: Vec<(String, Option<u32>)>,
}

impl<'a> Managed<'a> {
    /// What a project, a profile of it and its parents manage. `imported` are the projects whose management is taken over.
    pub(super) fn of(
        lineage: &'a Lineage,
        profile: Option<&'a Body>,
        pick: fn(&Body) -> &Vec<Entry>,
        imported: &'a Map<String, Lineage>,
    ) -> Self {
        let mut managed = Self { entries: Map::new(), unknown: Vec::new() };
        managed.add(lineage, profile, pick, imported, 0);
        managed
    }

    fn add(
        &mut self,
        lineage: &'a Lineage,
        profile: Option<&'a Body>,
        pick: fn(&Body) -> &Vec<Entry>,
        imported: &'a Map<String, Lineage>,
        depth: usize,
    ) {
        let bodies = profile.into_iter().map(|body| (body, true));
        let bodies = bodies.chain(lineage.poms().enumerate().map(|(at, pom)| (&pom.body, at == 0)));
        let mut imports = Vec::new();
        for (body, own) in bodies {
            for entry in pick(body) {
                if entry.imports() {
                    imports.push((entry, (own && depth == 0).then_some(entry.line)));
                } else if let Some(key) = lineage.key(entry, profile) {
                    self.entries.entry(key).or_insert((lineage, entry));
                }
            }
        }
        // What is written counts before what is imported.
        for (entry, line) in imports {
            match lineage.name(entry, profile) {
                Ok(name) if depth < MOST_IMPORTS && imported.contains_key(&name) => {
                    if let Some(lineage) = imported.get(&name) {
                        self.add(lineage, None, pick, imported, depth + 1);
                        if let Some(parent) = &lineage.missing {
                            self.unknown.push((parent.shown(), line));
                        }
                    }
                }
                Ok(name) => self.unknown.push((name, line)),
                Err(_) => self.unknown.push(("a project of unknown name".to_owned(), line)),
            }
        }
    }

    /// The managed entry for a dependency, and the project in whose words it is written.
    pub(super) fn get(
        &self,
        lineage: &Lineage,
        entry: &Entry,
        profile: Option<&Body>,
    ) -> Option<(&'a Lineage, &'a Entry)> {
        self.entries.get(&lineage.key(entry, profile)?).copied()
    }
}

/// The most projects that import from each other.
const MOST_IMPORTS: usize = 4;

/// The projects from which a project takes over management, if they are in the same house: by name.
pub(super) fn imports(path: &str, lineage: &Lineage, texts: &Texts, house: &House<'_>) -> Map<String, Lineage> {
    let mut found = Map::new();
    let mut open: Vec<String> = import_names(lineage);
    for _ in 0..MOST_IMPORTS {
        let mut next = Vec::new();
        for name in open {
            let Some(module) = house.module(&name).filter(|module| *module != path && !found.contains_key(&name))
            else {
                continue;
            };
            if let Some(pom) = texts.get(module).and_then(|text| Pom::read(text).ok()) {
                let imported = Lineage::of(module, pom, texts);
                next.extend(import_names(&imported));
                found.insert(name, imported);
            }
        }
        open = next;
    }
    found
}

fn import_names(lineage: &Lineage) -> Vec<String> {
    let bodies = lineage.poms().map(|pom| &pom.body);
    let own = lineage.own().profiles.iter().map(|profile| &profile.body);
    let entries = bodies.chain(own).flat_map(|body| &body.managed).filter(|entry| entry.imports());
    entries.filter_map(|entry| lineage.name(entry, None).ok()).collect()
}

/// The projects of the same house, by their names.
pub(super) struct House<'a> {
    modules: Map<String, (&'a str, Option<&'a str>)>,
}

impl<'a> House<'a> {
    /// The projects among the texts. `names` are those of interest.
    pub(super) fn of(texts: &'a Texts, names: &Set<&str>) -> Self {
        let mut modules = Map::new();
        let poms = texts.iter().filter(|(path, _)| name_of(path) == "pom.xml");
        let many = texts.len() > MANY;
        for (path, text) in poms {
            let folder = name_of(crate::model::folder(path));
            if many && !names.contains(folder) {
                continue;
            }
            if let Coordinates { group: Some(group), artifact: Some(artifact), version } = coordinates(text) {
                modules.insert(format!("{group}:{artifact}"), (path.as_str(), version));
            }
        }
        Self { modules }
    }

    /// Where a project stands.
    pub(super) fn module(&self, name: &str) -> Option<&'a str> {
        self.modules.get(name).map(|(path, _)| *path)
    }

    /// Whether it is a project of the house in that version. One that is not known could be it.
    pub(super) fn has(&self, name: &str, version: Option<&str>) -> bool {
        self.modules.get(name).is_some_and(|(_, own)| match (own, version) {
            (Some(own), Some(version)) => *own == version || own.contains("${"),
            _ => true,
        })
    }
}
