//! Which files belong together: a folder's manifests with their lockfile, the members of a workspace with its root.

use convoke_sdk::small::{Map, Set};

use crate::glob;
use crate::model::{File, Manager, Origin, beside, folder};

/// A file, as far as grouping needs it.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Its path.
    pub path: &'a str,
    /// Whose it is.
    pub manager: Manager,
    /// Whether it is a lockfile.
    pub lock: bool,
    /// What it says, where it is a manifest that could be read.
    pub parsed: Option<&'a File>,
}

/// A folder of one manager.
type Place = (Manager, String);

/// The files by the folder that they belong to, those of that folder first.
pub fn group<'a>(files: &[Seen<'a>]) -> Map<Place, Vec<&'a str>> {
    let places: Set<Place> = files.iter().map(|file| place(file)).collect();
    let locked: Set<Place> = files.iter().filter(|file| file.lock).map(place).collect();
    let mut above: Map<Place, Place> = Map::new();
    for file in files {
        let root = place(file);
        for member in members(file, &places) {
            // A member that has its own lockfile stands for itself; the outermost root counts.
            if member != root && !locked.contains(&member) && is_below(&member.1, &root.1) {
                let known = above.entry(member).or_insert_with(|| root.clone());
                if root.1.len() < known.1.len() {
                    *known = root.clone();
                }
            }
        }
    }
    let mut groups: Map<Place, Vec<&str>> = Map::new();
    for file in files {
        let mut at = place(file);
        // Each step goes to a folder further out, so it ends.
        while let Some(root) = above.get(&at) {
            at = root.clone();
        }
        groups.entry(at).or_default().push(file.path);
    }
    for ((_, root), paths) in groups.iter_mut() {
        convoke_sdk::small::sort_by_key(paths, |path| (folder(path) != root, *path));
    }
    groups
}

fn place(file: &Seen) -> Place {
    (file.manager, folder(file.path).to_owned())
}

/// The folders that a manifest takes for its own: the members that it names, and what it depends on by a path.
fn members(file: &Seen, places: &Set<Place>) -> Set<Place> {
    let mut members = Set::new();
    let Some(manifest) = file.parsed.and_then(|parsed| parsed.manifest.as_ref()) else { return members };
    let root = folder(file.path);
    let of_manager = || places.iter().filter(|(manager, _)| *manager == file.manager);
    if !manifest.members.is_empty() {
        let (out, named): (Vec<&str>, Vec<&str>) =
            manifest.members.iter().map(String::as_str).partition(|glob| glob.starts_with('!'));
        for place in of_manager() {
            let Some(inside) = below(&place.1, root) else { continue };
            let is_out = out.iter().any(|glob| glob::fits(glob.trim_start_matches('!'), inside));
            if !is_out && named.iter().any(|glob| is_member(glob, inside)) {
                members.insert(place.clone());
            }
        }
    }
    for asked in &manifest.requirements {
        if let Origin::Path(path) = &asked.origin
            && let Some(path) = beside(file.path, path)
        {
            let place = (file.manager, path);
            if places.contains(&place) {
                members.insert(place);
            }
        }
    }
    members
}

/// A member is a folder, or in NuGet and Gradle at times a file in it.
fn is_member(glob: &str, inside: &str) -> bool {
    glob::fits(glob, inside)
        || glob.rsplit_once('/').is_some_and(|(folder, name)| name.contains('.') && glob::fits(folder, inside))
}

fn is_below(inner: &str, outer: &str) -> bool {
    below(inner, outer).is_some()
}

/// A folder below another one, without that.
fn below<'a>(inner: &'a str, outer: &str) -> Option<&'a str> {
    match inner.strip_prefix(outer)? {
        "" => None,
        inside if outer.is_empty() => Some(inside).filter(|inside| !inside.starts_with("../")),
        inside => inside.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bound, Manifest, Requirement, Scope};

    fn manifest(path: &str, manager: Manager, members: &[&str], paths: &[&str]) -> File {
        let requirements = paths.iter().map(|path| Requirement {
            name: "x".to_owned(),
            range: None,
            bound: Bound::Open,
            origin: Origin::Path((*path).to_owned()),
            scope: Scope::Normal,
            line: 1,
            condition: None,
            hashed: false,
        });
        let members = members.iter().map(|&member| member.to_owned()).collect();
        let manifest = Manifest { members, requirements: requirements.collect(), ..Manifest::default() };
        File { manifest: Some(manifest), ..File::new(path, manager, "test") }
    }

    fn grouped(manifests: &[File], locks: &[&str]) -> Vec<(String, Vec<String>)> {
        let seen = manifests.iter().map(|file| Seen {
            path: &file.path,
            manager: file.manager,
            lock: false,
            parsed: Some(file),
        });
        let locks = locks.iter().map(|path| Seen { path, manager: Manager::Cargo, lock: true, parsed: None });
        let files: Vec<Seen> = seen.chain(locks).collect();
        let owned = |paths: Vec<&str>| paths.into_iter().map(str::to_owned).collect();
        group(&files).into_iter().map(|((_, folder), paths)| (folder, owned(paths))).collect()
    }

    fn expect(folder: &str, paths: &[&str]) -> (String, Vec<String>) {
        (folder.to_owned(), paths.iter().map(|&path| path.to_owned()).collect())
    }

    #[test]
    fn members_of_a_workspace_belong_to_its_root() {
        let files = [
            manifest("Cargo.toml", Manager::Cargo, &["crates/*", "!crates/old"], &[]),
            manifest("crates/a/Cargo.toml", Manager::Cargo, &[], &[]),
            manifest("crates/old/Cargo.toml", Manager::Cargo, &[], &[]),
            manifest("tools/Cargo.toml", Manager::Cargo, &[], &[]),
        ];
        let found = grouped(&files, &["Cargo.lock", "tools/Cargo.lock"]);
        assert_eq!(
            found,
            [
                expect("", &["Cargo.lock", "Cargo.toml", "crates/a/Cargo.toml"]),
                expect("crates/old", &["crates/old/Cargo.toml"]),
                expect("tools", &["tools/Cargo.lock", "tools/Cargo.toml"]),
            ]
        );
    }

    #[test]
    fn what_is_depended_on_by_a_path_inside_belongs_to_the_root_unless_it_has_its_own_lockfile() {
        let files = [
            manifest("a/Cargo.toml", Manager::Cargo, &[], &["inner", "own", "../beside"]),
            manifest("a/inner/Cargo.toml", Manager::Cargo, &[], &["deep"]),
            manifest("a/inner/deep/Cargo.toml", Manager::Cargo, &[], &["../../../a"]),
            manifest("a/own/Cargo.toml", Manager::Cargo, &[], &[]),
            manifest("beside/Cargo.toml", Manager::Cargo, &[], &[]),
        ];
        let found = grouped(&files, &["a/own/Cargo.lock"]);
        assert_eq!(
            found,
            [
                expect("a", &["a/Cargo.toml", "a/inner/Cargo.toml", "a/inner/deep/Cargo.toml"]),
                expect("a/own", &["a/own/Cargo.lock", "a/own/Cargo.toml"]),
                expect("beside", &["beside/Cargo.toml"]),
            ]
        );
    }

    #[test]
    fn managers_in_one_folder_are_units_of_their_own() {
        let files =
            [manifest("Cargo.toml", Manager::Cargo, &["a"], &[]), manifest("a/package.json", Manager::Npm, &[], &[])];
        assert_eq!(grouped(&files, &[]), [expect("", &["Cargo.toml"]), expect("a", &["a/package.json"])]);
    }
}
