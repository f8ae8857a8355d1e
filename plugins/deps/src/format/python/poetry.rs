//! Poetry: its tables in `pyproject.toml`, and `poetry.lock` of the versions 1 and 2.

use convoke_sdk::small::Map;

use super::{line_of, normal_name, pep508};
use crate::format::reading::{MOST_ENTRIES, Named, too_many, without_credentials};
use crate::format::registry::is_default;
use crate::format::toml;
use crate::format::tree::{Entry, Node, Value, bounded, list_of, table_of, unfit};
use crate::model::{Bound, Ecosystem, Fault, File, Manager, Origin, Package, Requirement, Scope, Texts};

/// What `[tool.poetry]` asks for.
pub(super) fn requirements(poetry: &Node<'_>, faults: &mut Vec<Fault>) -> Vec<Requirement> {
    let mut reader = Reader { sources: Map::new(), found: Vec::new(), faults };
    for source in list_of(poetry, "source", reader.faults) {
        if let (Some(name), Some(address)) = (source.text_of("name"), source.text_of("url")) {
            reader.sources.insert(name.to_owned(), without_credentials(address));
        }
    }
    reader.table(poetry, "dependencies", Scope::Normal);
    reader.table(poetry, "dev-dependencies", Scope::Dev);
    for group in table_of(poetry, "group", reader.faults) {
        reader.table(&group.value, "dependencies", Scope::Dev);
    }
    reader.found
}

struct Reader<'r> {
    sources: Map<String, String>,
    found: Vec<Requirement>,
    faults: &'r mut Vec<Fault>,
}

impl Reader<'_> {
    fn table(&mut self, node: &Node<'_>, key: &str, scope: Scope) {
        for entry in table_of(node, key, self.faults) {
            // The version of Python itself.
            if entry.key == "python" {
                continue;
            }
            match &entry.value.value {
                Value::List(several) => several.iter().for_each(|one| self.entry(entry, one, scope)),
                _ => self.entry(entry, &entry.value, scope),
            }
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, value: &Node<'_>, scope: Scope) {
        let range = match &value.value {
            Value::Text(range) => Some(range.to_string()),
            Value::Table(_) => value.text_of("version").map(str::to_owned),
            _ => {
                self.faults.push(unfit(&format!("`{}`", entry.key), "a range or a table", value));
                return;
            }
        };
        let origin = self.origin(value);
        let bound = match (&range, &origin) {
            (Some(range), Origin::Registry(_)) => bound(range),
            (None, Origin::Registry(_)) => {
                let message = format!("{} says neither a version nor where it comes from", entry.key);
                self.faults.push(Fault::new(Some(value.line), &message, false));
                Bound::Unknown
            }
            (_, origin) => pep508::bound_with(None, origin),
        };
        let python = value.text_of("python").map(|python| format!("python {python}"));
        self.found.push(Requirement {
            name: normal_name(&entry.key),
            range,
            bound,
            origin,
            scope: if value.flag("optional") && scope == Scope::Normal { Scope::Optional } else { scope },
            line: if value.line >= entry.line { value.line } else { entry.line },
            condition: value.text_of("markers").map(str::to_owned).or(python),
            hashed: false,
        });
    }

    fn origin(&self, value: &Node<'_>) -> Origin {
        let text = |key: &str| value.text_of(key);
        if let Some(url) = text("git") {
            return pep508::git(url, text("rev"));
        }
        if let Some(path) = text("path").or_else(|| text("file")) {
            return pep508::path_of(path);
        }
        if let Some(url) = text("url") {
            return Origin::Url(without_credentials(url));
        }
        let source = text("source").map(|name| self.sources.get(name).cloned().unwrap_or_else(|| name.to_owned()));
        Origin::Registry(source.filter(|address| !is_default(Ecosystem::PyPI, address)))
    }
}

/// What a range of poetry allows: as PEP 440, and `^1.2`, `~1.2`, `1.*`, alternatives after `|`, and a version alone, which
/// means that one.
fn bound(range: &str) -> Bound {
    let mut all: Option<Bound> = None;
    for alternative in range.split('|').map(str::trim).filter(|alternative| !alternative.is_empty()) {
        let bound = one_of(alternative);
        all = Some(match all {
            None => bound,
            Some(Bound::Unknown) => Bound::Unknown,
            _ if bound == Bound::Unknown || bound == Bound::Open => bound,
            Some(Bound::Open) => Bound::Open,
            Some(_) => Bound::Bounded,
        });
    }
    all.unwrap_or(Bound::Unknown)
}

fn one_of(alternative: &str) -> Bound {
    let mut bound = Bound::Open;
    // Clauses stand between commas or blanks, and a blank may follow the operator.
    let mut operator = "";
    for word in alternative.split([',', ' ']).filter(|word| !word.is_empty()) {
        let end = word.len() - word.trim_start_matches(['=', '<', '>', '!', '~', '^']).len();
        let (sign, version) = word.split_at(end);
        let sign = if sign.is_empty() { std::mem::take(&mut operator) } else { sign };
        if version.is_empty() {
            operator = sign;
            continue;
        }
        let wild = version == "*" || version.ends_with(".*");
        if !(version == "*" || version.trim_start_matches('v').starts_with(|char: char| char.is_ascii_digit())) {
            return Bound::Unknown;
        }
        match sign {
            "" | "=" | "==" | "===" if !wild => bound = Bound::Exact,
            "" | "=" | "==" if version == "*" => {}
            "" | "=" | "==" | "^" | "~" | "~=" | "<" | "<=" if bound == Bound::Open => bound = Bound::Bounded,
            "" | "=" | "==" | "^" | "~" | "~=" | "<" | "<=" | ">" | ">=" | "!=" => {}
            _ => return Bound::Unknown,
        }
    }
    if operator.is_empty() { bound } else { Bound::Unknown }
}

/// Reads a `poetry.lock`. It does not say what the project itself asks for.
pub(super) fn lock(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "poetry.lock");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let metadata = root.get("metadata");
    let version = metadata.and_then(|metadata| metadata.get("lock-version"));
    match version.and_then(Node::scalar) {
        Some(known) if known.starts_with("1.") || known.starts_with("2.") => {
            file.format = format!("poetry.lock v{}", known.split('.').next().unwrap_or_default())
        }
        Some(other) => {
            let line = version.map(|node| node.line);
            return file.broken(line, &format!("the lock version {other} is not known; 1 and 2 are"));
        }
        // Poetry before 1.1 wrote none.
        None if metadata.is_some() => {}
        None => return file.broken(None, "it has no [metadata], which every poetry.lock has"),
    }
    let mut faults = Vec::new();
    let packages = list_of(&root, "package", &mut faults);
    if packages.len() > MOST_ENTRIES {
        return too_many(file);
    }
    let mut named = Named::default();
    // Version 1 holds all digests together, at its end.
    let digests = metadata.and_then(|metadata| metadata.get("files").or_else(|| metadata.get("hashes")));
    let digests: Map<String, &Node<'_>> = digests
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|entry| (normal_name(&entry.key), &entry.value))
        .collect();
    for package in packages {
        let (Some(name), Some(version)) = (package.text_of("name"), package.text_of("version")) else {
            faults.push(Fault::new(Some(line_of(package)), "a package without name or version", false));
            continue;
        };
        let name = normal_name(name);
        let files = package.get("files").or_else(|| digests.get(&name).copied());
        let place = named.packages.len();
        for need in table_of(package, "dependencies", &mut faults) {
            named.needs.push((place, normal_name(&need.key), None));
        }
        named.packages.push(Package {
            origin: package.get("source").map_or(Origin::Registry(None), locked_origin),
            scope: locked_scope(package),
            hashed: files.is_some_and(|files| {
                !files.list().is_empty()
                    && files.list().iter().all(|file| file.text().is_some() || file.text_of("hash").is_some())
            }),
            ..Package::new(name, version, line_of(package))
        });
    }
    bounded(&mut faults);
    file.faults = faults;
    file.lock = Some(named.lock(true));
    file
}

fn locked_scope(package: &Node<'_>) -> Scope {
    let groups = package.get("groups").map(Node::list).unwrap_or_default();
    let dev = package.text_of("category") == Some("dev")
        || (!groups.is_empty() && groups.iter().all(|group| group.text() != Some("main")));
    match (dev, package.flag("optional")) {
        (true, _) => Scope::Dev,
        (false, true) => Scope::Optional,
        (false, false) => Scope::Normal,
    }
}

fn locked_origin(source: &Node<'_>) -> Origin {
    let url = source.text_of("url").unwrap_or_default();
    match source.text_of("type") {
        Some("git") => pep508::git(url, source.text_of("resolved_reference")),
        Some("directory" | "file") => pep508::path_of(url),
        Some("url") => Origin::Url(without_credentials(url)),
        _ if url.is_empty() || is_default(Ecosystem::PyPI, url) => Origin::Registry(None),
        _ => Origin::Registry(Some(without_credentials(url))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_poetry() {
        for (range, expected) in [
            ("^1.2", Bound::Bounded),
            ("~1.2", Bound::Bounded),
            ("1.2.3", Bound::Exact),
            ("==1.2.3", Bound::Exact),
            ("1.*", Bound::Bounded),
            (">=1,<2", Bound::Bounded),
            (">= 1 < 2", Bound::Bounded),
            (">= 1.0", Bound::Open),
            ("*", Bound::Open),
            ("^1 || ^2", Bound::Bounded),
            ("^1 || >=3", Bound::Open),
            ("1.0 | 2.0", Bound::Bounded),
            ("!=1.1", Bound::Open),
            ("", Bound::Unknown),
            ("latest", Bound::Unknown),
            (">=", Bound::Unknown),
        ] {
            assert_eq!(bound(range), expected, "{range}");
        }
    }

    #[test]
    fn its_tables_have_groups_extras_and_sources() {
        let commit = "b".repeat(40);
        let text = format!(
            "[dependencies]\npython = \"^3.9\"\nFlask = \"^2\"\nb = {{ version = \"*\", optional = true, markers = \"x\" }}\n\
             c = [{{ version = \"1.0\", python = \"<3.8\" }}, {{ version = \"2.0\" }}]\nd = {{ git = \"https://git.example/d\", rev = \"{commit}\" }}\n\
             e = {{ version = \"1\", source = \"own\" }}\nf = 1\ng = {{}}\n[dev-dependencies]\nh = {{ path = \"../h\", develop = true }}\n\
             [group.test.dependencies]\ni = {{ url = \"https://files.example/i.zip\" }}\n[[source]]\nname = \"own\"\nurl = \"https://registry.example\"\n"
        );
        let document = toml::read(&text).expect("TOML");
        let mut faults = Vec::new();
        let found = requirements(&document.root, &mut faults);
        assert_eq!(faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [8, 9]);
        let shown: Vec<_> =
            found.iter().map(|one| format!("{} {} {:?} {:?}", one.line, one.name, one.scope, one.bound)).collect();
        assert_eq!(
            shown,
            [
                "3 flask Normal Bounded",
                "4 b Optional Open",
                "5 c Normal Exact",
                "5 c Normal Exact",
                "6 d Normal Exact",
                "7 e Normal Exact",
                "9 g Normal Unknown",
                "11 h Dev Exact",
                "13 i Dev Exact",
            ]
        );
        assert_eq!(found[2].condition.as_deref(), Some("python <3.8"));
        assert_eq!(found[5].origin, Origin::Registry(Some("https://registry.example".to_owned())));
    }

    const LOCK: &str = "[[package]]\nname = \"Flask\"\nversion = \"2.0\"\noptional = false\ngroups = [\"main\"]\n\
        files = [{file = \"f.whl\", hash = \"sha256:00\"}]\n\n[package.dependencies]\njinja2 = {version = \">=3\", markers = \"x\"}\nwerkzeug = \"*\"\n\n\
        [[package]]\nname = \"jinja2\"\nversion = \"3.1\"\ngroups = [\"dev\"]\nfiles = []\n\n[package.source]\ntype = \"legacy\"\n\
        url = \"https://registry.example/simple\"\n\n[metadata]\nlock-version = \"2.1\"\n";

    #[test]
    fn a_lockfile_of_version_2() {
        let file = lock("poetry.lock", LOCK, &Texts::new());
        assert_eq!((file.faults.len(), file.format.as_str()), (0, "poetry.lock v2"));
        let lock = file.lock.expect("a lock");
        assert!(lock.graph && lock.direct.is_empty());
        let first = &lock.packages[0];
        assert_eq!(
            (first.name.as_str(), first.line, first.hashed, first.needs.as_slice()),
            ("flask", 2, true, [1].as_slice())
        );
        let second = &lock.packages[1];
        assert_eq!((second.scope, second.hashed, second.line), (Scope::Dev, false, 13));
        assert_eq!(second.origin, Origin::Registry(Some("https://registry.example/simple".to_owned())));
    }

    #[test]
    fn a_lockfile_of_version_1_holds_its_digests_at_the_end() {
        let text = "[[package]]\nname = \"a\"\nversion = \"1\"\ncategory = \"dev\"\noptional = true\n[metadata]\nlock-version = \"1.1\"\n\
                    [metadata.files]\nA = [{file = \"x\", hash = \"sha256:0\"}]\n";
        let lock = lock("poetry.lock", text, &Texts::new()).lock.expect("a lock");
        assert_eq!((lock.packages[0].hashed, lock.packages[0].scope), (true, Scope::Dev));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = lock("poetry.lock", &LOCK.replace("2.1", "3.0"), &Texts::new());
        assert_eq!((file.lock, file.faults[0].whole, file.faults[0].line), (None, true, Some(23)));
        assert!(lock("poetry.lock", "", &Texts::new()).faults[0].whole);
        let file = lock("poetry.lock", &LOCK.replace("name = \"Flask\"", "nome = \"Flask\""), &Texts::new());
        assert_eq!((file.faults[0].line, file.lock.map(|lock| lock.packages.len())), (Some(1), Some(1)));
        crate::format::testing::mangled(LOCK, |text| drop(lock("poetry.lock", text, &Texts::new())));
    }
}
