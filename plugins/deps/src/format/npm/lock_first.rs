//! `package-lock.json` of version 1 (npm 5 and 6), and the shrinkwraps before it: packages stand inside of packages.

use convoke_sdk::small::Map;

use super::super::tree::{Entry, Node, Value, note, push, table_of, unfit};
use super::direct::{each_asked, places};
use super::{lock, spec};
use crate::digest::Digest;
use crate::model::{Fault, Lock, Origin, Package, Texts};

/// Reads what stands in `dependencies`. The file doesn't say what the project asks for: the `package.json` beside it does.
pub(super) fn lock<'r>(path: &str, root: &'r Node<'r>, texts: &Texts, faults: &mut Vec<Fault>) -> Lock {
    let mut reader = Reader::default();
    reader.inside(root, PROJECT, faults);
    for at in 0..reader.entries.len() {
        reader.needs(at, faults);
    }
    let mut starts = Vec::new();
    each_asked(path, texts, |asked| {
        starts.extend(reader.found.get(&(PROJECT, asked.name)).map(|at| (*at, asked.scope)));
    });
    // Shrinkwraps of npm 4 and older have no `requires`.
    let graph = reader.packages.is_empty() || root.get("requires").is_some() || reader.requires;
    Lock { direct: places(&starts), packages: reader.packages, graph }
}

/// The owner of the outermost packages; that of others is their place and one.
const PROJECT: usize = 0;

#[derive(Default)]
struct Reader<'r> {
    packages: Vec<Package>,
    entries: Vec<&'r Entry<'r>>,
    /// In which package each stands.
    owners: Vec<usize>,
    found: Map<(usize, &'r str), usize>,
    requires: bool,
}

impl<'r> Reader<'r> {
    /// As deep as JSON may be.
    fn inside(&mut self, node: &'r Node<'r>, owner: usize, faults: &mut Vec<Fault>) {
        for entry in table_of(node, "dependencies", faults) {
            if !matches!(entry.value.value, Value::Table(_)) {
                push(faults, unfit(&format!("the package `{}`", entry.key), "a table", &entry.value));
                continue;
            }
            let at = self.packages.len();
            let mut package = package(entry, faults);
            // What came in another package's archive is covered by the digest of that.
            let around = owner.checked_sub(1).and_then(|around| self.packages.get(around));
            package.hashed |= entry.value.flag("bundled") && around.is_some_and(|around| around.hashed);
            self.packages.push(package);
            self.entries.push(entry);
            self.owners.push(owner);
            self.found.insert((owner, &entry.key), at);
            self.requires |= entry.value.get("requires").is_some();
            self.inside(&entry.value, at + 1, faults);
        }
    }

    fn needs(&mut self, at: usize, faults: &mut Vec<Fault>) {
        let Some(entry) = self.entries.get(at) else { return };
        let requires = match entry.value.get("requires") {
            // The very first ones say only that there are some.
            Some(Node { value: Value::Bool(_), .. }) => &[],
            _ => table_of(&entry.value, "requires", faults),
        };
        let mut needs = Vec::with_capacity(requires.len());
        for wanted in requires {
            match self.find(at + 1, &wanted.key) {
                Some(at) => needs.push(at),
                // What is optional on another system may be missing.
                None if entry.value.flag("optional") => {}
                None => {
                    let message = format!("`{}` is needed by `{}` and is not in the file", wanted.key, entry.key);
                    note(faults, wanted.line, &message);
                }
            }
        }
        convoke_sdk::small::sort(&mut needs);
        needs.dedup();
        if let Some(package) = self.packages.get_mut(at) {
            package.needs = needs;
        }
    }

    /// What node finds from inside an owner: in itself, or in one around it.
    fn find(&self, mut owner: usize, name: &str) -> Option<usize> {
        loop {
            if let Some(at) = self.found.get(&(owner, name)) {
                return Some(*at);
            }
            owner = *self.owners.get(owner.checked_sub(1)?)?;
        }
    }
}

fn package(entry: &Entry<'_>, faults: &mut Vec<Fault>) -> Package {
    let node = &entry.value;
    let version = node.text_of("version").unwrap_or_else(|| {
        note(faults, entry.line, &format!("the package `{}` has no version", entry.key));
        ""
    });
    let alias = version.strip_prefix("npm:").map(spec::split);
    let (name, version) = match alias {
        Some((name, Some(version))) => (name, version),
        _ => (&*entry.key, version),
    };
    let mut package = Package::new(name, version, entry.line);
    // Of what is no registry's, the address stands in the place of the version.
    package.origin = match spec::spec(version).origin {
        Origin::Registry(_) => {
            node.text_of("resolved").map_or(Origin::Registry(None), |address| spec::resolved(name, address))
        }
        other => other,
    };
    package.scope = lock::scope(node);
    package.hashed = node.text_of("integrity").is_some();
    package.digest = node.text_of("integrity").and_then(Digest::of_integrity);
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Scope};

    fn read(text: &str, manifest: Option<&str>) -> File {
        let texts = manifest.map(|text| ("package.json".to_owned(), text.to_owned())).into_iter().collect();
        lock::parse("package-lock.json", text, &texts)
    }

    const SAMPLE: &str = r#"{
  "lockfileVersion": 1, "requires": true,
  "dependencies": {
    "a": {"version": "1.0.0", "resolved": "https://registry.example/a/-/a-1.0.0.tgz", "integrity": "sha512-x",
      "requires": {"b": "^1", "test": "*"},
      "dependencies": {
        "b": {"version": "1.9.0", "bundled": true, "requires": {"called": "2"}}
      }},
    "b": {"version": "2.0.0", "optional": true, "requires": {"gone": "1"}},
    "called": {"version": "npm:@s/real@2.0.0", "resolved": "https://registry.example/@s/real/-/real-2.0.0.tgz"},
    "git": {"version": "git+https://git.example/x.git#0123456789abcdef0123456789abcdef01234567", "from": "git+https://git.example/x.git"},
    "here": {"version": "file:../here"},
    "test": {"version": "1.0.0", "dev": true}
  }
}"#;

    #[test]
    fn packages_inside_of_packages_are_found_from_there() {
        let file = read(SAMPLE, Some(r#"{"dependencies": {"a": "^1", "called": "npm:@s/real@2", "missing": "1"}}"#));
        assert_eq!((file.faults.as_slice(), &*file.format), (&[][..], "package-lock.json v1"));
        let lock = file.lock.expect("a lock");
        let found: Vec<_> = lock
            .packages
            .iter()
            .map(|one| (one.line, &*one.name, &*one.version, one.hashed, one.scope, one.needs.clone()))
            .collect();
        let git = "git+https://git.example/x.git#0123456789abcdef0123456789abcdef01234567";
        assert_eq!(
            found,
            [
                (4, "a", "1.0.0", true, Scope::Normal, vec![1, 6]),
                (7, "b", "1.9.0", true, Scope::Normal, vec![3]),
                (9, "b", "2.0.0", false, Scope::Optional, vec![]),
                (10, "@s/real", "2.0.0", false, Scope::Normal, vec![]),
                (11, "git", git, false, Scope::Normal, vec![]),
                (12, "here", "file:../here", false, Scope::Normal, vec![]),
                (13, "test", "1.0.0", false, Scope::Dev, vec![]),
            ]
        );
        assert_eq!((lock.direct.as_slice(), lock.graph), (&[0, 3][..], true));
        assert!(matches!(&lock.packages[4].origin, Origin::Git { commit: Some(_), .. }));
        assert_eq!(lock.packages[5].origin, Origin::Path("../here".into()));
        assert!(read(SAMPLE, None).lock.expect("a lock").direct.is_empty());
    }

    #[test]
    fn a_shrinkwrap_of_old_says_nothing_of_what_is_needed() {
        let file = read(r#"{"name": "x", "dependencies": {"a": {"version": "1.0.0", "from": "a@1"}}}"#, None);
        assert_eq!((file.faults.as_slice(), &*file.format), (&[][..], "package-lock.json v1"));
        assert!(!file.lock.expect("a lock").graph);
    }

    #[test]
    fn what_is_missing_is_said_with_its_line() {
        let file = read(
            "{\"lockfileVersion\": 1, \"requires\": true, \"dependencies\": {\n\"a\": {\"version\": \"1\", \"requires\": {\n\"b\": \"1\"}},\n\"c\": 1,\n\"d\": {}}}",
            None,
        );
        let faults: Vec<_> = file.faults.iter().map(|one| (one.line, &*one.message)).collect();
        assert_eq!(
            faults,
            [
                (Some(4), "the package `c` should be a table and is a number"),
                (Some(5), "the package `d` has no version"),
                (Some(3), "`b` is needed by `a` and is not in the file"),
            ]
        );
    }
}
