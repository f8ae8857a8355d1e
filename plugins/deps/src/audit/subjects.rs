//! What of a unit is looked up: packages in versions.

use convoke_sdk::small::{Map, Set};

use crate::model::{Bound, Ecosystem, Origin, Scope};
use crate::osv::name::key;
use crate::unit::Unit;

/// A package in a version that somebody is asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// As its registry writes it.
    pub name: String,
    /// As written.
    pub version: String,
    /// Where it stands: a path and a line; the first one, where there are several.
    pub at: (String, u32),
    /// Its place among the unit's packages; none: a manifest names just this version.
    pub place: Option<usize>,
    /// In how many other places it stands.
    pub more: usize,
    /// Whether it is needed only to develop and test.
    pub dev: bool,
}

/// All that is looked up, and what can't be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subjects {
    /// What is looked up.
    pub asked: Vec<Subject>,
    /// What is asked for in a version that no file tells: names, and where they stand.
    pub unlocked: Vec<(String, (String, u32))>,
    /// No lockfile tells what else they bring along.
    pub bring_more: bool,
}

/// What of a unit is looked up: each package in each version once. The project's own parts are not.
pub fn subjects(unit: &Unit) -> Subjects {
    let ecosystem = unit.manager.ecosystem();
    let mut found = Subjects::default();
    let mut known: Map<(String, String), usize> = Map::new();
    let mut names = Set::new();
    for locked in unit.locked() {
        let package = locked.package;
        let name = key(ecosystem, &package.name);
        names.insert(name.clone());
        if is_own(&package.origin) {
            continue;
        }
        let dev = package.scope == Scope::Dev;
        match known.get(&(name.clone(), package.version.clone())).and_then(|at| found.asked.get_mut(*at)) {
            Some(before) => {
                before.more += 1;
                before.dev &= dev;
            }
            None => {
                known.insert((name, package.version.clone()), found.asked.len());
                found.asked.push(Subject {
                    name: package.name.clone(),
                    version: package.version.clone(),
                    at: (locked.file.path.clone(), package.line),
                    place: Some(locked.place),
                    more: 0,
                    dev,
                });
            }
        }
    }
    let mut loose = Set::new();
    for (file, asked) in unit.requirements() {
        found.bring_more |= !unit.has_lock() && !is_own(&asked.origin);
        let name = key(ecosystem, &asked.name);
        // A peer is brought by whoever uses the project: with a lockfile it is there, or it isn't the project's to have.
        let is_elsewhere = asked.bound == Bound::Inherited || asked.scope == Scope::Peer;
        if is_own(&asked.origin) || is_elsewhere || names.contains(&name) {
            continue;
        }
        let at = (file.path.clone(), asked.line);
        let exact =
            asked.range.as_deref().filter(|_| asked.bound == Bound::Exact).and_then(|range| exact(ecosystem, range));
        match exact {
            Some(version) => {
                match known.get(&(name.clone(), version.clone())).and_then(|at| found.asked.get_mut(*at)) {
                    Some(before) => {
                        before.more += 1;
                        before.dev &= asked.scope == Scope::Dev;
                    }
                    None => {
                        known.insert((name, version.clone()), found.asked.len());
                        let dev = asked.scope == Scope::Dev;
                        found.asked.push(Subject { name: asked.name.clone(), version, at, place: None, more: 0, dev });
                    }
                }
            }
            None if loose.insert(name) => found.unlocked.push((asked.name.clone(), at)),
            None => {}
        }
    }
    found
}

/// The project's own: nobody else knows it.
fn is_own(origin: &Origin) -> bool {
    matches!(origin, Origin::Path(_) | Origin::Workspace)
}

/// The version of a range that allows one: `==1.2`, `=1.2`, `[1.2]`, `1.2`. None: it is written in another way.
fn exact(ecosystem: Ecosystem, range: &str) -> Option<String> {
    let range = range.trim();
    let version = match ecosystem {
        Ecosystem::NuGet | Ecosystem::Maven => {
            range.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(range)
        }
        _ => range.trim_start_matches('='),
    };
    let version = version.trim();
    let is_plain = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_' | '+' | '!' | '~');
    (!version.is_empty() && version.chars().all(is_plain)).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Lock, Manager, Manifest, Package, Requirement};

    fn asked(name: &str, range: &str, bound: Bound, origin: Origin) -> Requirement {
        Requirement {
            name: name.to_owned(),
            range: Some(range.to_owned()),
            bound,
            origin,
            scope: Scope::Normal,
            line: 3,
            condition: None,
            hashed: false,
        }
    }

    fn unit(packages: Vec<Package>, requirements: Vec<Requirement>) -> Unit {
        let lock = Lock { packages, ..Lock::default() };
        let manifest = Manifest { requirements, ..Manifest::default() };
        let locked = File { lock: Some(lock), ..File::new("lock", Manager::Python, "lock") };
        let asking = File { manifest: Some(manifest), ..File::new("manifest", Manager::Python, "manifest") };
        Unit::new(Manager::Python, "", vec![asking, locked])
    }

    #[test]
    fn each_package_in_each_version_is_looked_up_once() {
        let dev = |package: Package| Package { scope: Scope::Dev, ..package };
        let own = Package { origin: Origin::Workspace, ..Package::new("own", "1", 9) };
        let packages =
            vec![dev(Package::new("a", "1", 1)), Package::new("a", "1", 2), dev(Package::new("a", "2", 3)), own];
        let found = subjects(&unit(packages, Vec::new()));
        let seen: Vec<(&str, u32, usize, bool)> =
            found.asked.iter().map(|one| (one.version.as_str(), one.at.1, one.more, one.dev)).collect();
        assert_eq!(seen, [("1", 1, 1, false), ("2", 3, 0, true)]);
    }

    #[test]
    fn what_no_lockfile_tells_is_looked_up_only_in_an_exact_version() {
        let registry = || Origin::Registry(None);
        let found = subjects(&unit(
            vec![Package::new("locked-one", "1", 1)],
            vec![
                asked("Locked_One", ">=1", Bound::Open, registry()),
                asked("pinned", "==1.2.post1", Bound::Exact, registry()),
                asked("loose", ">=1", Bound::Open, registry()),
                asked("loose", ">=2", Bound::Open, registry()),
                asked("odd", "==1 or so", Bound::Exact, registry()),
                asked("own", "", Bound::Open, Origin::Path("../own".to_owned())),
            ],
        ));
        let seen: Vec<(&str, &str)> = found.asked.iter().map(|one| (one.name.as_str(), one.version.as_str())).collect();
        assert_eq!(seen, [("locked-one", "1"), ("pinned", "1.2.post1")]);
        let unlocked: Vec<&str> = found.unlocked.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((unlocked, found.bring_more), (vec!["loose", "odd"], false));
    }

    #[test]
    fn without_a_lockfile_more_is_brought_along_than_is_known() {
        let mut unit = unit(Vec::new(), vec![asked("a", "==1", Bound::Exact, Origin::Registry(None))]);
        unit.files.pop();
        let found = subjects(&unit);
        assert!(found.bring_more && found.asked.len() == 1 && found.unlocked.is_empty());
    }

    #[test]
    fn a_version_is_taken_out_of_its_range() {
        assert_eq!(exact(Ecosystem::NuGet, "[1.2.3]").as_deref(), Some("1.2.3"));
        assert_eq!(exact(Ecosystem::CratesIo, "= 1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(exact(Ecosystem::Npm, "1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(exact(Ecosystem::Maven, "[1,2]"), None);
        assert_eq!(exact(Ecosystem::PyPI, "===1.0+local").as_deref(), Some("1.0+local"));
    }
}
