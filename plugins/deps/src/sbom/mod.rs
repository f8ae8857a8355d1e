//! `sbom`: a bill of materials, CycloneDX 1.6 as JSON (ECMA-424; the schema is `bom-1.6.schema.json`).
//!
//! The same files give the same bytes on the same day: nothing in it is random, and its time is the beginning of the day.

mod bom;
mod purl;

use convoke_sdk::small::{Map, Set};

use crate::licence::canonical;
use crate::list::bare;
use crate::model::{Bound, File, Manifest, Origin, Scope, beside};
use crate::unit::Unit;

use bom::{
    Aggregate, Bom, Component, Composition, Dependency, Evidence, Hash, Kind, Licensed, Metadata, Needed, Occurrence,
    Property,
};
pub use purl::purl;

/// What a file with it is called.
pub const NAME: &str = "sbom.cdx.json";
/// Its media type, as CycloneDX registered it.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// The reference of the project itself.
const PROJECT: &str = "project";

/// A bill of the materials of all units. `today` is the day of the run, `2026-11-20`; `version` that of this command. `foreign` are
/// files that are not understood: what they stand for is missing, so the bill is not complete.
pub fn sbom(units: &[Unit], foreign: &[String], today: &str, version: &str) -> String {
    let mut materials = Materials::default();
    let is_one = units.len() == 1;
    let mut of_project = Set::new();
    for unit in units {
        let reference = if is_one { PROJECT.to_owned() } else { format!("unit:{}", unit.id) };
        if !is_one {
            materials.components.insert(reference.clone(), own(unit, &reference));
            of_project.insert(reference.clone());
        }
        materials.add(unit, &reference);
    }
    if !is_one {
        materials.needs.insert(PROJECT.to_owned(), of_project);
    }
    let is_complete = materials.incomplete.is_empty() && foreign.is_empty();
    let all = if is_complete { Aggregate::Complete } else { Aggregate::Incomplete };
    let mut compositions =
        vec![Composition { aggregate: all, assemblies: vec![PROJECT.to_owned()], dependencies: vec![] }];
    if !materials.incomplete.is_empty() {
        let dependencies = materials.incomplete.iter().cloned().collect();
        compositions.push(Composition { aggregate: Aggregate::Incomplete, assemblies: vec![], dependencies });
    }
    let not_understood = foreign.iter().map(|path| Property::new("not-understood", path)).collect();
    let mut bom = Bom {
        metadata: Metadata::new(format!("{today}T00:00:00Z"), version, project(units)).with(not_understood),
        components: materials.components.into_values().collect(),
        dependencies: materials
            .needs
            .into_iter()
            .map(|(reference, needs)| Dependency { reference, depends_on: needs.into_iter().collect() })
            .collect(),
        compositions,
        ..Bom::default()
    };
    // Texts and numbers: they always serialise.
    let content = serde_json::to_string_pretty(&bom).unwrap_or_default();
    bom.serial_number = Some(serial(content.as_bytes()));
    let mut text = serde_json::to_string_pretty(&bom).unwrap_or_default();
    text.push('\n');
    text
}

/// What is collected of the units.
#[derive(Default)]
struct Materials {
    /// By their references.
    components: Map<String, Component>,
    /// Who needs whom, where that is known.
    needs: Map<String, Set<String>>,
    /// Those whose needs are not known in full.
    incomplete: Set<String>,
}

impl Materials {
    fn add(&mut self, unit: &Unit, reference: &str) {
        let mut direct = Set::new();
        let mut is_whole = unit.files.iter().all(|file| file.faults.is_empty());
        let paths = unit.paths();
        let mut place = 0;
        let mut names = Set::new();
        for (file, lock) in unit.files.iter().filter_map(|file| Some((file, file.lock.as_ref()?))) {
            let references: Vec<Option<String>> = lock
                .packages
                .iter()
                .map(|package| {
                    names.insert(package.name.as_str());
                    let of = Of {
                        unit,
                        file,
                        name: &package.name,
                        version: Some(&package.version),
                        origin: &package.origin,
                    };
                    let mut component = of.component(package.scope, package.line, package.license.as_deref())?;
                    component.hashes.extend(package.digest.iter().map(Hash::of));
                    let reference = component.reference.clone();
                    self.merge(component);
                    Some(reference)
                })
                .collect();
            for (package, own) in lock.packages.iter().zip(&references) {
                let Some(own) = own else {
                    place += 1;
                    continue;
                };
                if paths.is_direct(place) {
                    direct.insert(own.clone());
                }
                place += 1;
                if !lock.graph {
                    self.incomplete.insert(own.clone());
                    continue;
                }
                let needs = package.needs.iter().filter_map(|need| references.get(*need).cloned().flatten());
                self.needs.entry(own.clone()).or_default().extend(needs.filter(|need| need != own));
            }
            is_whole &= lock.graph && crate::list::tells_what_is_direct(unit, lock);
        }
        for (file, asked) in unit.requirements().filter(|(_, asked)| !names.contains(asked.name.as_str())) {
            let range = asked.range.as_deref().map(str::trim);
            let exact =
                range.filter(|_| asked.bound == Bound::Exact).map(|range| range.trim_matches(['=', ' ', '[', ']']));
            let of = Of { unit, file, name: &asked.name, version: exact, origin: &asked.origin };
            if let Some(mut component) = of.component(asked.scope, asked.line, None) {
                component
                    .properties
                    .extend(range.filter(|range| !range.is_empty()).map(|range| Property::new("range", range)));
                direct.insert(component.reference.clone());
                // What it needs itself stands nowhere.
                self.incomplete.insert(component.reference.clone());
                self.merge(component);
                is_whole = false;
            }
        }
        if !is_whole {
            self.incomplete.insert(reference.to_owned());
        }
        self.needs.insert(reference.to_owned(), direct);
    }

    /// The same package of another place is the same component.
    fn merge(&mut self, new: Component) {
        match self.components.get_mut(&new.reference) {
            None => {
                self.components.insert(new.reference.clone(), new);
            }
            Some(known) => {
                known.scope = known.scope.max(new.scope);
                known.evidence.add(new.evidence);
                known.hashes.extend(new.hashes);
                if known.licenses.is_empty() {
                    known.licenses = new.licenses;
                }
                for property in new.properties {
                    if !known.properties.contains(&property) {
                        known.properties.push(property);
                    }
                }
            }
        }
    }
}

/// A package as a file names it.
struct Of<'a> {
    unit: &'a Unit,
    file: &'a File,
    name: &'a str,
    version: Option<&'a str>,
    origin: &'a Origin,
}

impl Of<'_> {
    /// None: it is the project itself.
    fn component(&self, scope: Scope, line: u32, licence: Option<&str>) -> Option<Component> {
        let ecosystem = self.unit.manager.ecosystem();
        let of = |qualifier: Option<(&str, String)>| Some(purl(ecosystem, self.name, self.version, qualifier));
        let named = |what: &str| {
            format!("{what}:{}:{}@{}", self.unit.manager.name(), self.name, self.version.unwrap_or_default())
        };
        let purl = match self.origin {
            Origin::Workspace => return None,
            Origin::Registry(None) => of(None),
            Origin::Registry(Some(url)) => of(Some(("repository_url", bare(url)))),
            Origin::Url(url) => of(Some(("download_url", bare(url)))),
            Origin::Git { url, commit } => {
                let url = bare(url);
                let url = if url.starts_with("git+") { url } else { format!("git+{url}") };
                let commit = commit.as_ref().map_or_else(String::new, |commit| format!("@{commit}"));
                of(Some(("vcs_url", format!("{url}{commit}"))))
            }
            Origin::Path(_) => None,
        };
        let reference = match (&purl, self.origin) {
            (Some(purl), _) => purl.clone(),
            (None, Origin::Path(path)) => {
                let path = beside(&self.file.path, path).unwrap_or_else(|| path.clone());
                format!("{}#{path}", named("path"))
            }
            (None, _) => named("package"),
        };
        let (group, name) = purl::group_and_name(ecosystem, self.name);
        Some(Component {
            kind: Kind::Library,
            reference,
            group,
            name,
            version: self.version.map(str::to_owned),
            scope: Some(match scope {
                Scope::Normal | Scope::Build => Needed::Required,
                Scope::Optional | Scope::Peer => Needed::Optional,
                Scope::Dev => Needed::Excluded,
            }),
            licenses: licence.and_then(licensed).into_iter().collect(),
            hashes: Set::new(),
            purl,
            evidence: Evidence { occurrences: [Occurrence { location: self.file.path.clone(), line }].into() },
            properties: vec![Property::new("manager", self.unit.manager.name())],
        })
    }
}

/// An expression of SPDX, or the name of another licence.
fn licensed(text: &str) -> Option<Licensed> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(canonical(text).map_or_else(|| Licensed::named(text), Licensed::Expression))
}

/// What says most about the unit as a whole: the first manifest of its own folder, else the first.
fn manifest(unit: &Unit) -> Option<&Manifest> {
    let named = |file: &&File| file.manifest.as_ref().is_some_and(|manifest| manifest.name.is_some());
    let own = unit.files.iter().filter(named).find(|file| crate::model::folder(&file.path) == unit.folder);
    own.or_else(|| unit.files.iter().find(named))?.manifest.as_ref()
}

/// The component that a unit is.
fn own(unit: &Unit, reference: &str) -> Component {
    let manifest = manifest(unit);
    Component {
        kind: Kind::Application,
        reference: reference.to_owned(),
        name: manifest.and_then(|manifest| manifest.name.clone()).unwrap_or_else(|| unit.id.clone()),
        version: manifest.and_then(|manifest| manifest.version.clone()),
        licenses: manifest.and_then(|manifest| licensed(manifest.license.as_deref()?)).into_iter().collect(),
        evidence: Evidence {
            occurrences: unit.files.iter().map(|file| Occurrence { location: file.path.clone(), line: 1 }).collect(),
        },
        properties: vec![Property::new("manager", unit.manager.name())],
        ..Component::default()
    }
}

/// The component that the bill is about.
fn project(units: &[Unit]) -> Component {
    let root = match units {
        [one] => Some(one),
        _ => units.iter().find(|unit| unit.folder.is_empty()),
    };
    let named = root.filter(|unit| manifest(unit).is_some()).map(|unit| own(unit, PROJECT));
    let unnamed = || Component {
        kind: Kind::Application,
        reference: PROJECT.to_owned(),
        name: PROJECT.to_owned(),
        ..Component::default()
    };
    named.unwrap_or_else(unnamed)
}

/// FNV-1a of 128 bits (Fowler, Noll, Vo): it tells contents apart, and protects against nobody who wants two to look the same. The
/// serial number of a document needs no more.
fn fnv(content: &[u8]) -> u128 {
    let (basis, prime) = (0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, 0x0100_0000_0000_0000_0000_013b_u128);
    content.iter().fold(basis, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(prime))
}

/// A UUID (RFC 9562, version 8) that the content makes.
fn serial(content: &[u8]) -> String {
    let mut bytes = fnv(content).to_be_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = "urn:uuid:".to_owned();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
