//! Real lockfiles, counted a second way. They lie where `CONVOKE_CORPUS` says.

use std::path::PathBuf;

use super::format_of;
use crate::model::{Bound, File, Origin, Package, Texts};

/// The folder of a project in the corpus. None, said aloud: there is no corpus.
fn project(name: &str) -> Option<PathBuf> {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        use std::io::Write;
        let _ = std::io::stderr()
            .write_all(b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to count its packages\n");
        return None;
    };
    Some(PathBuf::from(corpus).join(name))
}

fn read(project: &std::path::Path, path: &str) -> (String, File) {
    let text = std::fs::read_to_string(project.join(path)).expect(path);
    let manifest = path.replace("package-lock.json", "package.json").replace("Cargo.lock", "Cargo.toml");
    let texts: Texts =
        [(manifest.clone(), std::fs::read_to_string(project.join(manifest)).expect("a manifest"))].into();
    let file = (format_of(path).expect("a known format").parse)(path, &text, &texts);
    (text, file)
}

#[test]
fn every_package_of_a_real_package_lock_is_there() {
    let Some(project) = project("polyglot-otel-demo") else { return };
    for folder in ["", "src/frontend/", "src/payment/", "src/react-native-app/"] {
        let (text, file) = read(&project, &format!("{folder}package-lock.json"));
        assert_eq!(file.faults, [], "{folder}");
        let lock = file.lock.expect("a lock");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let packages = json["packages"].as_object().expect("packages");
        let counted = packages.iter().filter(|(path, node)| !path.is_empty() && node["link"] != true).count();
        assert_eq!(lock.packages.len(), counted, "{folder}");
        assert!(lock.packages.len() > 10 && !lock.direct.is_empty(), "{folder}");
        // Each package is led to by something: npm leaves in no others.
        let mut reached = vec![false; lock.packages.len()];
        let mut open = lock.direct.clone();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                open.extend(&lock.packages[at].needs);
            }
        }
        let lost: Vec<&str> =
            lock.packages.iter().zip(&reached).filter(|(_, reached)| !**reached).map(|(one, _)| &*one.name).collect();
        assert_eq!(lost, [""; 0], "{folder}");
        for (package, line) in lock.packages.iter().map(|one| (one, text.lines().nth(one.line as usize - 1))) {
            assert!(line.is_some_and(|line| line.contains(&*package.name)), "{folder} {package:?}");
        }
    }
}

#[test]
fn a_real_cargo_lock_is_what_the_cargo_lock_crate_says() {
    let Some(project) = project("polyglot-otel-demo") else { return };
    let (text, file) = read(&project, "src/shipping/Cargo.lock");
    as_the_crate_says(&text, file);
}

#[test]
fn our_own_cargo_lock_is_what_the_cargo_lock_crate_says() {
    let (text, file) = read(&repository(), "Cargo.lock");
    as_the_crate_says(&text, file);
}

/// The same packages, digests and edges.
fn as_the_crate_says(text: &str, file: File) {
    assert_eq!(file.faults, []);
    let lock = file.lock.expect("a lock");
    let other: cargo_lock::Lockfile = text.parse().expect("a Cargo.lock");
    assert_eq!(lock.packages.len(), other.packages.len());
    assert!(lock.packages.len() > 100);
    let mut own: convoke_sdk::small::Map<(&str, &str), Vec<&Package>> = convoke_sdk::small::Map::new();
    for package in &lock.packages {
        own.entry((&package.name, &package.version)).or_default().push(package);
    }
    for package in &other.packages {
        let version = package.version.to_string();
        let own = own.get(&(package.name.as_str(), &*version)).map(Vec::as_slice).unwrap_or_default();
        let [own] = own else { panic!("{} {version}: {own:?}", package.name) };
        assert_eq!(own.hashed, package.checksum.is_some(), "{}", own.name);
        assert_eq!(own.origin == Origin::Workspace, package.source.is_none(), "{}", own.name);
        assert_eq!(own.origin == Origin::Registry(None), package.source.is_some(), "{}", own.name);
        let mut needs: Vec<(&str, &str)> =
            own.needs.iter().map(|at| (&*lock.packages[*at].name, &*lock.packages[*at].version)).collect();
        let expected: Vec<(String, String)> =
            package.dependencies.iter().map(|one| (one.name.to_string(), one.version.to_string())).collect();
        let mut expected: Vec<(&str, &str)> = expected.iter().map(|(name, version)| (&**name, &**version)).collect();
        needs.sort_unstable();
        expected.sort_unstable();
        assert_eq!(needs, expected, "{}", own.name);
    }
}

/// The folder of this repository.
fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn what_our_own_plugins_inherit_is_found_in_the_workspaces_root() {
    let texts: Texts = ["Cargo.toml", "plugins/deps/Cargo.toml"]
        .map(|path| (path.to_owned(), std::fs::read_to_string(repository().join(path)).expect(path)))
        .into();
    let path = "plugins/deps/Cargo.toml";
    let file = (format_of(path).expect("a known format").parse)(path, &texts[path], &texts);
    assert_eq!(file.faults, []);
    let manifest = file.manifest.expect("a manifest");
    assert!(manifest.version.is_some() && manifest.license.is_some());
    assert!(manifest.requirements.len() > 5);
    for one in manifest.requirements.iter().filter(|one| one.name != "convoke-sdk") {
        assert!(one.bound == Bound::Inherited && one.range.is_some(), "{one:?}");
    }
}

#[test]
fn real_manifests_are_read_without_a_fault() {
    let Some(project) = project("polyglot-otel-demo") else { return };
    for (path, requirements) in [("src/shipping/Cargo.toml", 5), ("package.json", 1), ("src/frontend/package.json", 20)]
    {
        let text = std::fs::read_to_string(project.join(path)).expect(path);
        let file = (format_of(path).expect("a known format").parse)(path, &text, &Texts::new());
        assert_eq!(file.faults, [], "{path}");
        let manifest = file.manifest.expect("a manifest");
        assert!(manifest.requirements.len() >= requirements, "{path}: {}", manifest.requirements.len());
        for one in &manifest.requirements {
            let line = text.lines().nth(one.line as usize - 1).unwrap_or("");
            assert!(line.contains(&*one.name), "{path}:{} {}", one.line, one.name);
        }
    }
}
