//! `pdm.lock`, and `pylock.toml`, in which any tool may write a lockfile (PEP 751).

use convoke_sdk::small::Map;

use super::{line_of, normal_name, pep508};
use crate::format::reading::{MOST_ENTRIES, Named, too_many, without_credentials};
use crate::format::registry::is_default;
use crate::format::toml;
use crate::format::tree::{Node, bounded, list_of};
use crate::model::{Ecosystem, Fault, File, Manager, Origin, Package, Scope, Texts};

/// Reads a `pdm.lock`. It does not say what the project itself asks for.
pub(super) fn pdm(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "pdm.lock");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let version = root.at(&["metadata", "lock_version"]);
    match version.and_then(Node::text) {
        Some(known) if known.starts_with("4.") => file.format = "pdm.lock v4".to_owned(),
        Some(other) => {
            return file.broken(version.map(|node| node.line), &format!("the lock version {other} is not known; 4 is"));
        }
        None => return file.broken(None, "it has no lock_version, which every pdm.lock has"),
    }
    let mut faults = Vec::new();
    let packages = list_of(&root, "package", &mut faults);
    if packages.len() > MOST_ENTRIES {
        return too_many(file);
    }
    let mut named = Named::default();
    let mut places: Map<(String, String), usize> = Map::new();
    for package in packages {
        let Some((name, version)) = name_and_version(package, &mut faults) else { continue };
        let next = named.packages.len();
        // A package stands there again with each of its extras.
        let place = *places.entry((name.clone(), version.clone())).or_insert(next);
        for need in list_of(package, "dependencies", &mut faults) {
            match need.text().map(pep508::parse) {
                Some(Ok(asked)) if asked.name != name => named.needs.push((place, asked.name, None)),
                Some(Ok(_)) => {}
                _ => {
                    faults.push(Fault::new(Some(need.line), &format!("a need of {name} that is no requirement"), false))
                }
            }
        }
        if place == next {
            let groups = package.get("groups").map(Node::list).unwrap_or_default();
            let dev = !groups.is_empty() && groups.iter().all(|group| group.text() != Some("default"));
            let files = package.get("files").map(Node::list).unwrap_or_default();
            let text = |key: &str| package.text_of(key);
            let origin = match (text("git"), text("path"), text("url")) {
                (Some(git), _, _) => pep508::git(git, text("revision")),
                (_, Some(path), _) => pep508::path_of(path),
                (_, _, Some(url)) => Origin::Url(without_credentials(url)),
                _ => Origin::Registry(None),
            };
            named.packages.push(Package {
                origin,
                scope: if dev { Scope::Dev } else { Scope::Normal },
                hashed: !files.is_empty() && files.iter().all(|file| file.text_of("hash").is_some()),
                ..Package::new(name, version, line_of(package))
            });
        }
    }
    bounded(&mut faults);
    file.faults = faults;
    file.lock = Some(named.lock(true));
    file
}

fn name_and_version(package: &Node<'_>, faults: &mut Vec<Fault>) -> Option<(String, String)> {
    let found = package.text_of("name").zip(package.text_of("version"));
    if found.is_none() {
        faults.push(Fault::new(Some(line_of(package)), "a package without name or version", false));
    }
    found.map(|(name, version)| (normal_name(name), version.to_owned()))
}

/// Reads a `pylock.toml`. It does not say what the project itself asks for.
pub(super) fn pylock(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "pylock.toml");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let version = root.get("lock-version");
    match version.and_then(Node::text) {
        Some(known) if known == "1" || known.starts_with("1.") => file.format = "pylock.toml v1".to_owned(),
        Some(other) => {
            return file.broken(version.map(|node| node.line), &format!("the lock version {other} is not known; 1 is"));
        }
        None => return file.broken(None, "it has no lock-version, which every pylock.toml has"),
    }
    let mut faults = Vec::new();
    let packages = list_of(&root, "packages", &mut faults);
    if packages.len() > MOST_ENTRIES {
        return too_many(file);
    }
    let mut named = Named::default();
    for package in packages {
        let line = line_of(package);
        let Some(name) = package.text_of("name").map(normal_name) else {
            faults.push(Fault::new(Some(line), "a package without a name", false));
            continue;
        };
        for need in list_of(package, "dependencies", &mut faults) {
            if let Some(need_name) = need.text_of("name") {
                let version = need.text_of("version").map(str::to_owned);
                named.needs.push((named.packages.len(), normal_name(need_name), version));
            }
        }
        let origin = source_of(package);
        // What is not of an index may have none.
        let version = match (package.text_of("version"), &origin) {
            (Some(version), _) => version,
            (None, Origin::Git { commit: Some(commit), .. }) => commit,
            (None, _) => "",
        };
        if version.is_empty() && matches!(origin, Origin::Registry(_)) {
            faults.push(Fault::new(Some(line), &format!("{name} has no version"), false));
        }
        let locked = Package { hashed: is_hashed(package), ..Package::new(name, version, line) };
        named.packages.push(Package { origin, ..locked });
    }
    bounded(&mut faults);
    file.faults = faults;
    let graph = packages.iter().any(|package| package.get("dependencies").is_some());
    file.lock = Some(named.lock(graph));
    file
}

fn source_of(package: &Node<'_>) -> Origin {
    if let Some(vcs) = package.get("vcs") {
        let address = vcs.text_of("url").or_else(|| vcs.text_of("path")).unwrap_or_default();
        return match vcs.text_of("type") {
            Some("git") | None => pep508::git(address, vcs.text_of("commit-id")),
            Some(_) => Origin::Url(without_credentials(address)),
        };
    }
    if let Some(directory) = package.get("directory") {
        return pep508::path_of(directory.text_of("path").unwrap_or_default());
    }
    if let Some(archive) = package.get("archive") {
        return match archive.text_of("url") {
            Some(url) => Origin::Url(without_credentials(url)),
            None => Origin::Path(archive.text_of("path").unwrap_or_default().to_owned()),
        };
    }
    let index = package.text_of("index").filter(|address| !is_default(Ecosystem::PyPI, address));
    Origin::Registry(index.map(without_credentials))
}

/// Whether each of the package's archives has a digest.
fn is_hashed(package: &Node<'_>) -> bool {
    let wheels = package.get("wheels").map(Node::list).unwrap_or_default();
    let mut archives = package.get("archive").into_iter().chain(package.get("sdist")).chain(wheels).peekable();
    let has_digest = |archive: &Node<'_>| archive.get("hashes").is_some_and(|hashes| !hashes.entries().is_empty());
    archives.peek().is_some() && archives.all(has_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PDM: &str = "[metadata]\ngroups = [\"default\", \"dev\"]\nlock_version = \"4.5.0\"\n\n[[package]]\nname = \"Flask\"\nversion = \"2.0\"\n\
        groups = [\"default\", \"dev\"]\ndependencies = [\"click>=8; os_name == 'nt'\"]\nfiles = [{file = \"f.whl\", hash = \"sha256:0\"}]\n\n\
        [[package]]\nname = \"flask\"\nversion = \"2.0\"\nextras = [\"async\"]\ndependencies = [\"asgiref\", \"flask==2.0\"]\n\n\
        [[package]]\nname = \"click\"\nversion = \"8.0\"\ngroups = [\"dev\"]\n\n[[package]]\nname = \"asgiref\"\nversion = \"3.0\"\n\
        git = \"https://git.example/a\"\nrevision = \"0123456789012345678901234567890123456789\"\n";

    const PYLOCK: &str = "lock-version = \"1.0\"\ncreated-by = \"me\"\n[[packages]]\nname = \"Attrs\"\nversion = \"25.1.0\"\nindex = \"https://registry.example/simple\"\n\
        wheels = [{name = \"a.whl\", hashes = {sha256 = \"0\"}}]\n[[packages]]\nname = \"cattrs\"\nversion = \"24.1\"\ndependencies = [{name = \"attrs\"}]\n\
        sdist = {name = \"c.zip\"}\n[[packages]]\nname = \"own\"\n[packages.directory]\npath = \".\"\n";

    #[test]
    fn extras_of_a_package_are_the_package() {
        let file = pdm("pdm.lock", PDM, &Texts::new());
        assert_eq!((file.faults.len(), file.format.as_str()), (0, "pdm.lock v4"));
        let lock = file.lock.expect("a lock");
        let shown: Vec<_> = lock
            .packages
            .iter()
            .map(|one| format!("{} {} {:?} {:?} {}", one.line, one.name, one.needs, one.scope, one.hashed))
            .collect();
        assert_eq!(shown, ["6 flask [1, 2] Normal true", "19 click [] Dev false", "24 asgiref [] Normal false"]);
        assert!(matches!(&lock.packages[2].origin, Origin::Git { commit: Some(_), .. }));
    }

    #[test]
    fn a_lockfile_of_any_tool() {
        let file = pylock("pylock.toml", PYLOCK, &Texts::new());
        assert_eq!(file.faults, []);
        let lock = file.lock.expect("a lock");
        let shown: Vec<_> = lock
            .packages
            .iter()
            .map(|one| format!("{} {} {} {:?} {}", one.line, one.name, one.version, one.needs, one.hashed))
            .collect();
        assert_eq!(shown, ["4 attrs 25.1.0 [] true", "9 cattrs 24.1 [0] false", "14 own  [] false"]);
        assert_eq!(lock.packages[0].origin, Origin::Registry(Some("https://registry.example/simple".to_owned())));
        assert!(lock.graph);
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = pdm("pdm.lock", &PDM.replace("4.5.0", "5.0"), &Texts::new());
        assert_eq!((file.lock, file.faults[0].whole, file.faults[0].line), (None, true, Some(3)));
        let file = pylock("pylock.toml", &PYLOCK.replace("\"1.0\"", "\"2.0\""), &Texts::new());
        assert_eq!((file.lock, file.faults[0].whole, file.faults[0].line), (None, true, Some(1)));
        let file = pdm("pdm.lock", &PDM.replace("asgiref\", \"", "as giref\", \""), &Texts::new());
        assert_eq!(file.faults[0].line, Some(16));
        let file = pylock("pylock.toml", &PYLOCK.replace("version = \"24.1\"\n", ""), &Texts::new());
        assert_eq!(file.faults[0].line, Some(9));
        crate::format::testing::mangled(PDM, |text| drop(pdm("pdm.lock", text, &Texts::new())));
        crate::format::testing::mangled(PYLOCK, |text| drop(pylock("pylock.toml", text, &Texts::new())));
    }
}
