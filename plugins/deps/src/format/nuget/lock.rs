//! `packages.lock.json`, versions 1 and 2: what was chosen, by framework.
//!
//! <https://learn.microsoft.com/nuget/consume-packages/package-references-in-project-files#locking-dependencies>

use convoke_sdk::small::{Map, Set};

use crate::format::json;
use crate::format::tree::{Entry, bounded, table_of};
use crate::model::{Fault, File, Lock, Manager, Origin, Package, Texts};

/// Reads a lockfile. A package that several frameworks use in one version stands there once.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::NuGet, "packages.lock.json");
    let document = match json::read(text) {
        Ok(document) => document,
        Err(broken) => return broken.of(file),
    };
    file.faults = document.faults;
    let root = document.root;
    let version = root.get("version");
    match version.and_then(|version| version.scalar()) {
        Some(known @ ("1" | "2")) => file.format = format!("packages.lock.json v{known}"),
        Some(other) => {
            let message = format!("its version is {other}; known are 1 and 2");
            return file.broken(version.map(|version| version.line), &message);
        }
        None => return file.broken(Some(1), "it has no `version`; known are 1 and 2"),
    }
    let frameworks = table_of(&root, "dependencies", &mut file.faults);
    let mut reader = Reader { lock: Lock { graph: true, ..Lock::default() }, places: Map::new(), faults: Vec::new() };
    let places: Map<&str, Map<String, usize>> =
        frameworks.iter().map(|framework| (&*framework.key, reader.packages(framework))).collect();
    for framework in frameworks {
        let own = places.get(&*framework.key);
        // What a platform adds to a framework rests on that: `net8.0/linux-x64`.
        let base = framework.key.split_once('/').and_then(|(base, _)| places.get(base));
        reader.needs(framework, own.into_iter().chain(base).collect());
    }
    file.faults.append(&mut reader.faults);
    bounded(&mut file.faults);
    for package in &mut reader.lock.packages {
        convoke_sdk::small::sort(&mut package.needs);
        package.needs.dedup();
    }
    convoke_sdk::small::sort(&mut reader.lock.direct);
    reader.lock.direct.dedup();
    file.lock = Some(reader.lock);
    file
}

struct Reader {
    lock: Lock,
    /// By name in lower case and version.
    places: Map<(String, String), usize>,
    faults: Vec<Fault>,
}

impl Reader {
    /// Adds a framework's packages; where each of them stands, by its name in lower case.
    fn packages(&mut self, framework: &Entry<'_>) -> Map<String, usize> {
        let mut places = Map::new();
        for entry in framework.value.entries() {
            let kind = entry.value.text_of("type").unwrap_or_default();
            let is_project = kind.eq_ignore_ascii_case("Project");
            let Some(version) = entry.value.text_of("resolved").or(is_project.then_some("")) else {
                let message = format!("{} has no `resolved`, so it is left out", entry.key);
                self.faults.push(Fault::new(Some(entry.line), &message, false));
                continue;
            };
            let key = entry.key.to_ascii_lowercase();
            let packages = &mut self.lock.packages;
            let place = *self.places.entry((key.clone(), version.to_owned())).or_insert_with(|| {
                packages.push(Package {
                    origin: if is_project { Origin::Workspace } else { Origin::Registry(None) },
                    hashed: entry.value.text_of("contentHash").is_some_and(|hash| !hash.is_empty()),
                    ..Package::new(&*entry.key, version, entry.line)
                });
                packages.len() - 1
            });
            if is_project || kind.eq_ignore_ascii_case("Direct") {
                self.lock.direct.push(place);
            }
            places.insert(key, place);
        }
        places
    }

    /// Adds what a framework's packages need.
    fn needs(&mut self, framework: &Entry<'_>, places: Vec<&Map<String, usize>>) {
        let mut missing = Set::new();
        let place = |name: &str| places.iter().find_map(|places| places.get(&name.to_ascii_lowercase()).copied());
        for entry in framework.value.entries() {
            let Some(from) = place(&entry.key) else { continue };
            for needed in entry.value.get("dependencies").map_or(&[][..], |needed| needed.entries()) {
                match (place(&needed.key), self.lock.packages.get_mut(from)) {
                    (Some(to), Some(package)) => package.needs.push(to),
                    _ if missing.insert(needed.key.to_string()) => {
                        let message = format!(
                            "{} is needed by {} and does not stand in {}",
                            needed.key, entry.key, framework.key
                        );
                        self.faults.push(Fault::new(Some(needed.line), &message, false));
                    }
                    _ => {}
                }
            }
        }
    }
}
