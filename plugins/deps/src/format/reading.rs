//! What readers of plain text share: bounds on what a hostile file may cost, names and their places, addresses.

use convoke_sdk::small::{self, Map};

use super::tree::MOST_FAULTS;
use crate::model::{Fault, File, Lock, Package};

/// The most entries that are read of a file. The largest lockfiles in use have some ten thousand; with this bound what is
/// read stays a small multiple of the text.
pub const MOST_ENTRIES: usize = 100_000;

/// The most edges that a graph is kept with; a lockfile in use has some ten thousand. With more it counts as one that says
/// nothing of what its packages need.
pub const MOST_EDGES: usize = 2_000_000;

/// The most packages of one name that an edge leads to.
const MOST_OF_A_NAME: usize = 64;

/// What was not understood, as it comes.
#[derive(Debug, Default)]
pub struct Faults {
    kept: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// An entry, or a line, that was not understood.
    pub fn add(&mut self, line: u32, message: &str) {
        self.keep(|| Fault::new(Some(line), message, false));
    }

    /// Something of the whole file, that is no line's.
    pub fn note(&mut self, message: &str) {
        self.keep(|| Fault::new(None, message, false));
    }

    fn keep(&mut self, fault: impl FnOnce() -> Fault) {
        if self.kept.len() < MOST_FAULTS {
            self.kept.push(fault());
        } else {
            self.more += 1;
        }
    }

    /// The file with what was not understood of it.
    pub fn into(mut self, mut file: File) -> File {
        if self.more > 0 {
            let message = format!("{} more places were not understood", self.more);
            self.kept.push(Fault::new(None, &message, false));
        }
        file.faults.append(&mut self.kept);
        file
    }
}

/// The text without a byte order mark.
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The lines with their numbers, counted from 1, without their ends.
pub fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(unmarked(text).lines())
}

/// What a file says that has more entries than are read.
pub fn too_many(file: File) -> File {
    let message = format!("it has more than {MOST_ENTRIES} entries, which no real one has; split it, or leave it out");
    File { manifest: None, lock: None, ..file }.broken(None, &message)
}

/// Where packages stand by their names.
pub struct Places<'a>(Map<&'a str, Vec<usize>>);

impl<'a> Places<'a> {
    /// Of these packages.
    pub fn of(packages: &'a [Package]) -> Self {
        let mut places: Map<&str, Vec<usize>> = Map::new();
        for (place, package) in packages.iter().enumerate() {
            let named = places.entry(&package.name).or_default();
            // An edge to thousands of versions of a name is an attack on the reader, not a graph.
            if named.len() < MOST_OF_A_NAME {
                named.push(place);
            }
        }
        Self(places)
    }

    /// All packages of a name.
    pub fn named(&self, name: &str) -> &[usize] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those of a name that have the version, where one is meant.
    pub fn meant(&self, packages: &[Package], name: &str, version: Option<&str>) -> impl Iterator<Item = usize> {
        let is_meant = move |place: &&usize| {
            version.is_none_or(|version| packages.get(**place).is_some_and(|one| one.version == version))
        };
        self.named(name).iter().filter(is_meant).copied()
    }
}

/// The packages of a lockfile that says by name what each needs.
#[derive(Debug, Default)]
pub struct Named {
    /// The packages, still without what they need.
    pub packages: Vec<Package>,
    /// The place of a package, the name of what it needs, and its version where only one of several is meant.
    pub needs: Vec<(usize, String, Option<String>)>,
    /// As [`Lock::direct`].
    pub direct: Vec<usize>,
}

impl Named {
    /// The lockfile; `graph` says whether it tells what each package needs. A need that is not in it is left out: it is not for
    /// this platform, or the manager's own.
    pub fn lock(mut self, graph: bool) -> Lock {
        let mut needs: Vec<Vec<usize>> = vec![Vec::new(); self.packages.len()];
        let places = Places::of(&self.packages);
        let mut edges = 0usize;
        for (by, name, version) in &self.needs {
            if let Some(needs) = needs.get_mut(*by) {
                let before = needs.len();
                needs.extend(places.meant(&self.packages, name, version.as_deref()));
                edges += needs.len() - before;
            }
            if edges > MOST_EDGES {
                return Lock { packages: self.packages, direct: self.direct, graph: false };
            }
        }
        for (package, mut needs) in self.packages.iter_mut().zip(needs) {
            small::sort(&mut needs);
            needs.dedup();
            package.needs = needs;
        }
        Lock { packages: self.packages, direct: self.direct, graph }
    }
}

/// An address without the user and password that may stand in it: it goes into reports.
pub fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return address.to_owned() };
    // `git@host` is how everybody writes it, and no secret.
    let user = if user == "git" { "git@" } else { "" };
    format!("{scheme}://{user}{host}{path}")
}

/// A full commit of git: 40 or 64 hexadecimal digits.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// That so many packages have versions that can't be known.
pub(super) fn unknown_versions(count: usize) -> String {
    match count {
        1 => "the version of 1 package is unknown".to_owned(),
        count => format!("the versions of {count} packages are unknown"),
    }
}

/// That so many packages have no version.
pub(super) fn name_none(count: usize) -> String {
    match count {
        1 => "1 package names no version".to_owned(),
        count => format!("{count} packages name no version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Manager;

    #[test]
    fn of_a_thousand_faults_some_are_kept_and_the_rest_is_counted() {
        let mut faults = Faults::default();
        for line in 0..1000 {
            faults.add(line, "it is no requirement");
        }
        let file = faults.into(File::new("x", Manager::Go, "x"));
        assert_eq!(file.faults.len(), MOST_FAULTS + 1);
        assert_eq!(file.faults[MOST_FAULTS].message, "950 more places were not understood");
    }

    #[test]
    fn a_graph_with_millions_of_edges_is_none() {
        let lock = |needs: usize| {
            let packages = (0..100).map(|version| Package::new("a", version.to_string(), 1)).collect();
            let needs = vec![(0, "a".to_owned(), None); needs];
            Named { packages, needs, direct: vec![0] }.lock(true)
        };
        let (small, large) = (lock(10), lock(MOST_EDGES / 32));
        assert_eq!((small.graph, small.packages[0].needs.len()), (true, MOST_OF_A_NAME));
        assert_eq!((large.graph, large.packages[0].needs.len(), large.packages.len()), (false, 0, 100));
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_credentials("https://me:pass@registry.example/x"), "https://registry.example/x");
        assert_eq!(without_credentials("https://registry.example/x@1"), "https://registry.example/x@1");
        assert_eq!(without_credentials("ssh://git@git.example/x"), "ssh://git@git.example/x");
        assert_eq!(without_credentials("../x"), "../x");
    }

    #[test]
    fn a_host_is_the_whole_name_and_not_its_end() {}

    #[test]
    fn a_tag_is_no_commit() {
        assert!(is_commit(&"0a".repeat(20)) && is_commit(&"0a".repeat(32)));
        assert!(!is_commit("v1.0") && !is_commit("0a0a0a0") && !is_commit(&"zz".repeat(20)));
    }
}
