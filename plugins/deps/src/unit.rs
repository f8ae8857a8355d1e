//! A unit: the manifests of a folder, and the lockfile that belongs to them.

use convoke_sdk::small::Map;
use std::collections::VecDeque;

use convoke_sdk::Project;
use convoke_sdk::prelude::*;

use crate::format::format_of;
use crate::model::{Fault, File, Lock, Manager, Package, Requirement, Texts};

/// The largest file that is read, in bytes: as much as the host gives in one piece.
pub const LARGEST: u64 = 16 << 20;
/// The most packages that a path names.
const LONGEST_PATH: usize = 64;

/// A folder's manifests with the lockfile that belongs to them, of one manager; with a workspace, the manifests of its members
/// too. Parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its manager and folder: `cargo:src/shipping`, `npm:.`.
    pub id: String,
    /// Whose it is.
    pub manager: Manager,
    /// From the project's folder; empty for that itself.
    pub folder: String,
    /// Its files: those of its own folder first.
    pub files: Vec<File>,
}

/// A package of a lockfile, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Locked<'a> {
    /// Its place among [`Unit::packages`].
    pub place: usize,
    /// The lockfile.
    pub file: &'a File,
    /// What it holds.
    pub lock: &'a Lock,
    /// Its place in [`Lock::packages`].
    pub index: usize,
    /// The package.
    pub package: &'a Package,
}

/// What is known of how packages came: for each the one that needs it, on a shortest path from what the project asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<Option<Step>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The project asks for it.
    Root,
    /// The one at this place needs it.
    By(usize),
}

impl Unit {
    /// A unit of these files.
    pub fn new(manager: Manager, folder: &str, files: Vec<File>) -> Self {
        Self { id: id_of(manager, folder), manager, folder: folder.to_owned(), files }
    }

    /// The packages of all its lockfiles, with the place of each.
    pub fn locked(&self) -> impl Iterator<Item = Locked<'_>> {
        let files = self.files.iter().filter_map(|file| Some((file, file.lock.as_ref()?)));
        let all = files.flat_map(|(file, lock)| {
            lock.packages.iter().enumerate().map(move |(index, package)| (file, lock, index, package))
        });
        all.enumerate().map(|(place, (file, lock, index, package))| Locked { place, file, lock, index, package })
    }

    /// The packages of all its lockfiles, in the order of the files.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.locked().map(|locked| locked.package)
    }

    /// What its manifests ask for, with the manifest that does.
    pub fn requirements(&self) -> impl Iterator<Item = (&File, &Requirement)> {
        let manifests = self.files.iter().filter_map(|file| Some((file, file.manifest.as_ref()?)));
        manifests.flat_map(|(file, manifest)| manifest.requirements.iter().map(move |asked| (file, asked)))
    }

    /// Whether one of its files says what was chosen.
    pub fn has_lock(&self) -> bool {
        self.files.iter().any(|file| file.lock.is_some())
    }

    /// Whether a file of it could not be read at all.
    pub fn is_broken(&self) -> bool {
        self.files.iter().any(|file| file.faults.iter().any(|fault| fault.whole))
    }

    /// How all its packages came: breadth first, in time linear in packages and needs.
    pub fn paths(&self) -> Paths {
        let asked: Map<&str, ()> = self.requirements().map(|(_, asked)| (asked.name.as_str(), ())).collect();
        let mut steps = Vec::new();
        for lock in self.files.iter().filter_map(|file| file.lock.as_ref()) {
            let base = steps.len();
            let count = lock.packages.len();
            steps.resize(base + count, None);
            let mut next = VecDeque::new();
            let mut roots: Vec<usize> = lock.direct.iter().copied().filter(|root| *root < count).collect();
            if roots.is_empty() {
                // The file doesn't tell what is asked for: the manifests do, by name.
                let named = lock.packages.iter().enumerate().filter(|(_, one)| asked.contains_key(one.name.as_str()));
                roots = named.map(|(index, _)| index).collect();
            }
            for root in roots {
                if steps[base + root].is_none() {
                    steps[base + root] = Some(Step::Root);
                    next.push_back(root);
                }
            }
            while let Some(index) = next.pop_front() {
                for &need in lock.packages.get(index).map_or(&[][..], |package| &package.needs) {
                    if need < count && steps[base + need].is_none() {
                        steps[base + need] = Some(Step::By(base + index));
                        next.push_back(need);
                    }
                }
            }
        }
        Paths(steps)
    }

    /// The shortest path by which a package came, from what the project asks for to itself, as `name version` each. None: it
    /// is not known. Whoever asks for many takes [`paths`](Self::paths) once.
    pub fn path_to(&self, package: usize) -> Option<Vec<String>> {
        self.paths().to(self, package)
    }
}

impl Paths {
    /// As [`Unit::path_to`], of the same unit.
    pub fn to(&self, unit: &Unit, package: usize) -> Option<Vec<String>> {
        let places = self.places(package)?;
        let all: Vec<&Package> = unit.packages().collect();
        places
            .into_iter()
            .map(|place| all.get(place).map(|package| format!("{} {}", package.name, package.version)))
            .collect()
    }

    /// The same as places among [`Unit::packages`].
    pub fn places(&self, package: usize) -> Option<Vec<usize>> {
        let mut way = vec![package];
        let mut at = package;
        // It ends at a root: each step leads to one that was found before.
        while let Step::By(by) = (*self.0.get(at)?)? {
            at = by;
            way.push(at);
        }
        way.reverse();
        if way.len() > LONGEST_PATH {
            let tail = way.split_off(way.len() - LONGEST_PATH / 2);
            way.truncate(LONGEST_PATH / 2);
            way.extend(tail);
        }
        Some(way)
    }

    /// Whether the project itself asks for it.
    pub fn is_direct(&self, package: usize) -> bool {
        self.0.get(package) == Some(&Some(Step::Root))
    }
}

/// The id of a unit.
pub fn id_of(manager: Manager, folder: &str) -> String {
    format!("{}:{}", manager.name(), if folder.is_empty() { "." } else { folder })
}

/// What is planned for a unit: its files by their paths. An item's input, so that it reads them itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Planned {
    /// Whose it is.
    pub manager: Manager,
    /// Its folder.
    pub folder: String,
    /// Its files.
    pub files: Vec<Named>,
    /// Other manifests that its own take something from: parents, a workspace's root, includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<String>,
}

/// A file of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Named {
    /// Its path.
    pub path: String,
    /// It has the format of the file at this path, which names it: `-r base.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Its size, when it is too large to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_large: Option<u64>,
    /// The line and path of an include that leads back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circle: Option<(u32, String)>,
}

impl Planned {
    /// The unit's id.
    pub fn id(&self) -> String {
        id_of(self.manager, &self.folder)
    }

    /// Reads and parses the unit. What can't be read is a fault of its file.
    pub async fn load(&self, project: &impl Project) -> Unit {
        let mut texts = Texts::new();
        let mut hindered = Map::new();
        let own = self.files.iter().filter(|named| named.too_large.is_none()).map(|named| &named.path);
        for path in own.chain(&self.around) {
            match project.read_text(path).await {
                Ok(text) => drop(texts.insert(path.clone(), text)),
                Err(error) => drop(hindered.insert(path.clone(), error.message)),
            }
        }
        let files = self.files.iter().map(|named| {
            let mut file = self.parse(named, &texts, hindered.get(&named.path));
            if let Some((line, path)) = &named.circle {
                file.faults.push(Fault::odd(*line, &format!("{path} leads back to this file: each is read once")));
            }
            file
        });
        Unit::new(self.manager, &self.folder, files.collect())
    }

    fn parse(&self, named: &Named, texts: &Texts, hindered: Option<&String>) -> File {
        let path = named.path.as_str();
        let name = crate::model::name_of(path);
        let unread = || File::new(path, self.manager, convoke_sdk::text::shown(name, 100));
        if let Some(bytes) = named.too_large {
            let most = LARGEST >> 20;
            return unread().broken(None, &format!("it has {bytes} bytes, and at most {most} MiB are read"));
        }
        let format = format_of(named.like.as_deref().unwrap_or(path));
        match (texts.get(path), format) {
            (Some(text), Some(format)) => (format.parse)(path, text, texts),
            (Some(_), None) => unread().broken(None, "its format is not understood"),
            (None, _) => unread().broken(None, hindered.map_or("it can't be read", String::as_str)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock: each package with what it needs, by places.
    fn unit(packages: &[(&str, &[usize])], direct: &[usize]) -> Unit {
        let packages =
            packages.iter().map(|(name, needs)| Package { needs: needs.to_vec(), ..Package::new(*name, "1", 1) });
        let lock = Lock { packages: packages.collect(), direct: direct.to_vec(), graph: true };
        Unit::new(Manager::Npm, "", vec![File { lock: Some(lock), ..File::new("l", Manager::Npm, "l") }])
    }

    #[test]
    fn a_path_is_the_shortest_one_from_what_is_asked_for() {
        let unit = unit(&[("a", &[1]), ("b", &[2]), ("c", &[3]), ("d", &[0]), ("e", &[3]), ("f", &[])], &[0, 4]);
        assert_eq!(unit.path_to(3).unwrap(), ["e 1", "d 1"]);
        assert_eq!(unit.path_to(2).unwrap(), ["a 1", "b 1", "c 1"]);
        assert_eq!(unit.path_to(0).unwrap(), ["a 1"]);
        assert_eq!((unit.path_to(5), unit.path_to(99)), (None, None));
        assert!(unit.paths().is_direct(4) && !unit.paths().is_direct(3));
    }

    #[test]
    fn where_the_lock_does_not_say_what_is_asked_for_the_manifest_does() {
        let mut unit = unit(&[("a", &[]), ("b", &[0])], &[]);
        assert_eq!(unit.path_to(0), None);
        let asked = Requirement {
            name: "b".to_owned(),
            range: None,
            bound: crate::model::Bound::Open,
            origin: crate::model::Origin::Registry(None),
            scope: crate::model::Scope::Normal,
            line: 1,
            condition: None,
            hashed: false,
        };
        let manifest = crate::model::Manifest { requirements: vec![asked], ..Default::default() };
        unit.files.insert(0, File { manifest: Some(manifest), ..File::new("m", Manager::Npm, "m") });
        assert_eq!(unit.path_to(0).unwrap(), ["b 1", "a 1"]);
    }

    #[test]
    fn a_circle_and_a_need_that_is_not_there_end() {
        let unit = unit(&[("a", &[1, 77]), ("b", &[0])], &[0, 88]);
        assert_eq!(unit.path_to(1).unwrap(), ["a 1", "b 1"]);
    }

    #[test]
    fn a_long_path_keeps_both_its_ends() {
        let needs: Vec<Vec<usize>> = (1..=1_000).map(|next| vec![next]).collect();
        let packages: Vec<(&str, &[usize])> = needs.iter().map(|needs| ("a", needs.as_slice())).collect();
        let places = unit(&packages, &[0]).paths().places(999).unwrap();
        assert_eq!((places.len(), places.first(), places.last()), (64, Some(&0), Some(&999)));
    }
}
