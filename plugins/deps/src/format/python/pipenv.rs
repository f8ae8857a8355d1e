//! Pipenv: `Pipfile` and `Pipfile.lock`.

use convoke_sdk::small::{self, Map, Set};

use super::{normal_name, pep508};
use crate::format::reading::{MOST_ENTRIES, too_many, without_credentials};
use crate::format::registry::is_default;
use crate::format::tree::{Entry, Node, Value, bounded, list_of, table_of, unfit};
use crate::format::{json, toml};
use crate::model::{
    Bound, Ecosystem, Fault, File, Lock, Manager, Manifest, Origin, Package, Requirement, Scope, Texts,
};

/// Reads a `Pipfile`.
pub(super) fn pipfile(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "Pipfile");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let mut faults = Vec::new();
    let sources = list_of(&root, "source", &mut faults);
    let indexes = indexes(sources);
    // The first source is where everything comes from that names none.
    let usual = sources.first().and_then(|source| registry(source.text_of("url")?));
    let mut requirements = Vec::new();
    for table in root.entries() {
        let scope = match &*table.key {
            "source" | "requires" | "scripts" | "pipenv" => continue,
            "dev-packages" => Scope::Dev,
            _ => Scope::Normal,
        };
        for entry in table_of(&root, &table.key, &mut faults) {
            let value = &entry.value;
            let range = match &value.value {
                Value::Text(range) => Some(&**range),
                Value::Table(_) => value.text_of("version"),
                _ => {
                    faults.push(unfit(&format!("`{}`", entry.key), "a range or a table", value));
                    continue;
                }
            };
            let origin = match origin_of(value, &indexes) {
                Origin::Registry(None) => Origin::Registry(usual.clone()),
                origin => origin,
            };
            requirements.push(requirement(entry, range, origin, scope));
        }
    }
    bounded(&mut faults);
    file.faults = faults;
    file.manifest = Some(Manifest { requirements, ..Manifest::default() });
    file
}

fn requirement(entry: &Entry<'_>, range: Option<&str>, origin: Origin, scope: Scope) -> Requirement {
    let limited = range.filter(|range| range.trim() != "*");
    let bound = match (limited.map(pep508::bound), &origin) {
        (Some(None), Origin::Registry(_)) => Bound::Unknown,
        (_, origin) => pep508::bound_with(limited, origin),
    };
    // Conditions stand under the names of markers, too.
    let markers = ["markers", "sys_platform", "os_name", "platform_system", "python_version"];
    let condition = markers.iter().find_map(|key| {
        let text = entry.value.text_of(key)?;
        Some(if *key == "markers" { text.to_owned() } else { format!("{key} {text}") })
    });
    Requirement {
        name: normal_name(&entry.key),
        range: range.map(str::to_owned),
        bound,
        origin,
        scope,
        line: entry.line,
        condition,
        hashed: false,
    }
}

fn indexes<'n>(sources: &'n [Node<'_>]) -> Map<&'n str, &'n str> {
    sources.iter().filter_map(|source| Some((source.text_of("name")?, source.text_of("url")?))).collect()
}

fn registry(address: &str) -> Option<String> {
    (!is_default(Ecosystem::PyPI, address)).then(|| without_credentials(address))
}

fn origin_of(value: &Node<'_>, indexes: &Map<&str, &str>) -> Origin {
    let text = |key: &str| value.text_of(key);
    if let Some(url) = text("git") {
        return pep508::git(url, text("ref"));
    }
    if let Some(path) = text("path") {
        return pep508::path_of(path);
    }
    match text("file").or_else(|| text("url")) {
        Some(url) if url.contains("://") => Origin::Url(without_credentials(url)),
        Some(path) => pep508::path_of(path),
        None => Origin::Registry(text("index").and_then(|name| registry(indexes.get(name).copied().unwrap_or(name)))),
    }
}

/// Reads a `Pipfile.lock`. It says neither what each package needs nor what the project itself asks for.
pub(super) fn lock(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "Pipfile.lock");
    let document = match json::read(text) {
        Ok(document) => document,
        Err(broken) => return broken.of(file),
    };
    let root = document.root;
    let Some(meta) = root.get("_meta") else {
        return file.broken(None, "it has no _meta, which every Pipfile.lock has");
    };
    let spec = meta.get("pipfile-spec");
    if let Some(unknown) = spec.and_then(Node::scalar).filter(|spec| *spec != "6") {
        let line = spec.map(|node| node.line);
        return file.broken(line, &format!("the lock version {unknown} is not known; 6 is"));
    }
    let mut faults = document.faults;
    let indexes = indexes(meta.get("sources").map(Node::list).unwrap_or_default());
    let mut packages: Vec<Package> = Vec::new();
    let mut seen: Set<(String, String)> = Set::new();
    let (dev, run): (Vec<_>, Vec<_>) =
        root.entries().iter().filter(|table| table.key != "_meta").partition(|table| table.key == "develop");
    // What is needed to run and to develop is needed to run.
    for (table, scope) in
        run.into_iter().map(|table| (table, Scope::Normal)).chain(dev.into_iter().map(|table| (table, Scope::Dev)))
    {
        for entry in table_of(&root, &table.key, &mut faults) {
            if packages.len() > MOST_ENTRIES {
                return too_many(file);
            }
            let origin = origin_of(&entry.value, &indexes);
            let name = normal_name(&entry.key);
            let version = match (entry.value.text_of("version").and_then(pep508::pinned), &origin) {
                (Some(version), _) => version.to_owned(),
                (None, Origin::Git { commit: Some(commit), .. }) => commit.clone(),
                (None, Origin::Path(_) | Origin::Workspace) => String::new(),
                (None, Origin::Url(url)) => pep508::archive(url).map(|(_, version)| version).unwrap_or_default(),
                (None, _) => {
                    faults.push(Fault::new(Some(entry.line), &format!("{name} has no version"), false));
                    continue;
                }
            };
            if seen.insert((name.clone(), version.clone())) {
                let hashed = entry.value.get("hashes").is_some_and(|hashes| !hashes.list().is_empty());
                packages.push(Package { origin, scope, hashed, ..Package::new(name, version, entry.line) });
            }
        }
    }
    small::sort_by_key(&mut packages, |package| package.line);
    bounded(&mut faults);
    file.faults = faults;
    file.lock = Some(Lock { packages, ..Lock::default() });
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::registry::with_default;

    #[test]
    fn a_pipfile_has_packages_for_running_and_for_development() {
        let text = "[[source]]\nname = \"pypi\"\nurl = \"https://registry.default/simple\"\n[[source]]\nname = \"own\"\nurl = \"https://registry.example\"\n\
                    [packages]\nFlask = \"*\"\nb = \"==1.0\"\nc = { version = \">=1,<2\", index = \"own\", markers = \"x\" }\nd = { git = \"https://git.example/d\", ref = \"main\" }\n\
                    e = { path = \".\", editable = true }\nf = 1\ng = \"latest\"\n[dev-packages]\nh = { file = \"https://files.example/h.zip\" }\n[requires]\npython_version = \"3\"\n";
        let file = pipfile("Pipfile", &with_default(Ecosystem::PyPI, text), &Texts::new());
        assert_eq!(file.faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [13]);
        let found = file.manifest.expect("a manifest").requirements;
        let shown: Vec<_> =
            found.iter().map(|one| format!("{} {} {:?} {:?}", one.line, one.name, one.scope, one.bound)).collect();
        assert_eq!(
            shown,
            [
                "8 flask Normal Open",
                "9 b Normal Exact",
                "10 c Normal Bounded",
                "11 d Normal Open",
                "12 e Normal Exact",
                "14 g Normal Unknown",
                "16 h Dev Exact",
            ]
        );
        assert_eq!(found[2].origin, Origin::Registry(Some("https://registry.example".to_owned())));
        assert_eq!(found[2].condition.as_deref(), Some("x"));
    }

    const LOCK: &str = "{\n  \"_meta\": {\"pipfile-spec\": 6, \"sources\": [{\"name\": \"own\", \"url\": \"https://registry.example\"}]},\n\
        \"default\": {\n    \"Flask\": {\"hashes\": [\"sha256:0\"], \"index\": \"own\", \"version\": \"==2.0\"},\n    \"b\": {\"editable\": true, \"path\": \".\"}\n  },\n\
        \"develop\": {\n    \"flask\": {\"version\": \"==2.0\"},\n    \"c\": {\"version\": \"==1.0\"},\n    \"d\": {\"hashes\": []}\n  }\n}\n";

    #[test]
    fn a_lockfile_has_the_same_package_once() {
        let file = lock("Pipfile.lock", LOCK, &Texts::new());
        assert_eq!(file.faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [10]);
        let packages = file.lock.expect("a lock").packages;
        let shown: Vec<_> = packages
            .iter()
            .map(|one| format!("{} {} {} {:?} {}", one.line, one.name, one.version, one.scope, one.hashed))
            .collect();
        assert_eq!(shown, ["4 flask 2.0 Normal true", "5 b  Normal false", "9 c 1.0 Dev false"]);
        assert_eq!(packages[0].origin, Origin::Registry(Some("https://registry.example".to_owned())));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = lock("Pipfile.lock", &LOCK.replace(": 6", ": 7"), &Texts::new());
        assert_eq!((file.lock, file.faults[0].whole, file.faults[0].line), (None, true, Some(2)));
        assert!(lock("Pipfile.lock", "{}", &Texts::new()).faults[0].whole);
        assert_eq!(lock("Pipfile.lock", "{\n\"_meta\": }", &Texts::new()).faults[0].line, Some(2));
        crate::format::testing::mangled(LOCK, |text| drop(lock("Pipfile.lock", text, &Texts::new())));
    }
}
