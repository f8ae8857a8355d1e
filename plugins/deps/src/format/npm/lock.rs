//! `package-lock.json` and `npm-shrinkwrap.json`. Versions 2 and 3 list the folders of packages; of version 1 see
//! [`lock_first`](super::lock_first).

use convoke_sdk::small::Map;

use super::super::json;
use super::super::tree::{Entry, Node, Value, bounded, note, push, table_of, unfit};
use super::{lock_first, spec};
use crate::digest::Digest;
use crate::model::{Fault, File, Lock, Manager, Origin, Package, Scope, Texts, folder, name_of};

/// Folders are looked for upwards so many steps; a path of an operating system that runs npm has fewer.
const MOST_STEPS: usize = 256;

/// Reads a lockfile of npm.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let name = name_of(path);
    let file = File::new(path, Manager::Npm, name);
    let document = match json::read(text) {
        Ok(document) => document,
        Err(broken) => return broken.of(file),
    };
    let (root, mut faults) = (document.root, document.faults);
    let version = match version_of(&root) {
        Ok(version) => version,
        Err((line, message)) => return file.broken(Some(line), &format!("{name} {message}")),
    };
    let lock = match version {
        1 => lock_first::lock(path, &root, texts, &mut faults),
        _ => Folders::default().lock(&root, &mut faults),
    };
    bounded(&mut faults);
    File { lock: Some(lock), faults, ..File::new(path, Manager::Npm, format!("{name} v{version}")) }
}

/// A file without a number is of npm 4 or older where it lists `dependencies`.
fn version_of(root: &Node<'_>) -> Result<u32, (u32, String)> {
    let known = "versions 1 to 3 are known";
    let version = match root.get("lockfileVersion") {
        Some(node) => match node.scalar().map(str::parse) {
            Some(Ok(version @ 1..=3)) => version,
            _ => return Err((node.line, format!("has the version `{}`: {known}", node.scalar().unwrap_or("")))),
        },
        None if root.get("packages").is_some() => 3,
        None if root.get("dependencies").is_some() => 1,
        None => return Err((root.line, format!("has neither `lockfileVersion` nor `packages`: {known}"))),
    };
    match (version, root.get("packages"), root.get("dependencies")) {
        (3, None, Some(_)) => Err((root.line, "has the version 3 and no `packages`".to_owned())),
        (2, None, _) => Ok(1),
        _ => Ok(version),
    }
}

/// The folders that a lockfile lists, and what stands in their `node_modules`.
#[derive(Default)]
struct Folders<'r> {
    packages: Vec<Package>,
    /// The packages by their folders.
    by_path: Map<&'r str, usize>,
    /// A folder with `node_modules` below it.
    owners: Map<&'r str, usize>,
    /// What is found by a name in the `node_modules` of an owner; None: a link to what is not listed.
    found: Map<(usize, &'r str), Option<usize>>,
}

/// Where the last name of a folder stands in some `node_modules`: whose these are, and the name.
fn place(path: &str) -> Option<(&str, &str)> {
    const MODULES: &str = "node_modules/";
    let at = path.rfind(MODULES)?;
    let (owner, name) = (path.get(..at)?, path.get(at + MODULES.len()..)?);
    (owner.is_empty() || owner.ends_with('/')).then(|| (owner.trim_end_matches('/'), name))
}

impl<'r> Folders<'r> {
    fn lock(mut self, root: &'r Node<'r>, faults: &mut Vec<Fault>) -> Lock {
        let mut nodes: Vec<(&'r str, &'r Node<'r>)> = Vec::new();
        let mut links: Vec<&'r Entry<'r>> = Vec::new();
        let mut project = None;
        for entry in table_of(root, "packages", faults) {
            if !matches!(entry.value.value, Value::Table(_)) {
                push(faults, unfit(&format!("the package `{}`", entry.key), "a table", &entry.value));
            } else if entry.key.is_empty() {
                project = Some(&entry.value);
            } else if entry.value.flag("link") {
                links.push(entry);
            } else {
                self.by_path.insert(&entry.key, self.packages.len());
                nodes.push((&entry.key, &entry.value));
                self.packages.push(package(entry, faults));
            }
        }
        for (at, (path, _)) in nodes.iter().enumerate() {
            if let Some((owner, name)) = place(path) {
                self.enter(owner, name, Some(at));
            }
        }
        for link in links {
            self.link(link, faults);
        }
        for (package, (path, _)) in self.packages.iter_mut().zip(&nodes) {
            if package.name.is_empty() {
                package.name = name_of(path).to_owned();
            }
        }
        self.digests_of_bundles(&nodes);

        let mut direct = match project {
            Some(node) => self.needs("", node, true, faults),
            None => Vec::new(),
        };
        for (at, (path, node)) in nodes.iter().enumerate() {
            let own = place(path).is_none();
            let needs = self.needs(path, node, own, faults);
            if own {
                direct.extend(&needs);
            }
            if let Some(package) = self.packages.get_mut(at) {
                package.needs = needs;
            }
        }
        direct.retain(|at| self.packages.get(*at).is_some_and(|package| package.origin != Origin::Workspace));
        convoke_sdk::small::sort(&mut direct);
        direct.dedup();
        Lock { packages: self.packages, direct, graph: true }
    }

    fn enter(&mut self, owner: &'r str, name: &'r str, at: Option<usize>) {
        let next = self.owners.len();
        let owner = *self.owners.entry(owner).or_insert(next);
        self.found.insert((owner, name), at);
    }

    fn link(&mut self, link: &'r Entry<'r>, faults: &mut Vec<Fault>) {
        let target = link.value.text_of("resolved").unwrap_or("");
        let at = self.by_path.get(target).copied();
        if at.is_none() && !target.is_empty() {
            let message = format!("`{}` is a link to `{target}`, which is not in the file", link.key);
            note(faults, link.line, &message);
        }
        let Some((owner, name)) = place(&link.key) else { return };
        self.enter(owner, name, at);
        // A member's entry has no name where its folder is called like it; an alias has one in any case.
        if let Some(package) = at.and_then(|at| self.packages.get_mut(at))
            && package.name.is_empty()
        {
            package.name = name.to_owned();
        }
    }

    /// What came in another package's archive is covered by the digest of that.
    fn digests_of_bundles(&mut self, nodes: &[(&'r str, &'r Node<'r>)]) {
        for (at, (path, node)) in nodes.iter().enumerate() {
            if !node.flag("inBundle") {
                continue;
            }
            let mut path = *path;
            let mut covered = false;
            for _ in 0..MOST_STEPS {
                let Some((owner, _)) = place(path) else { break };
                let Some(around) = self.by_path.get(owner) else { break };
                covered = self.packages.get(*around).is_some_and(|package| package.hashed);
                if covered {
                    break;
                }
                path = owner;
            }
            if let Some(package) = self.packages.get_mut(at) {
                package.hashed |= covered;
            }
        }
    }

    /// The owners in which node looks for what a folder needs: itself and all above.
    fn seen_from(&self, path: &str) -> Vec<usize> {
        let mut seen = Vec::new();
        let mut at = path;
        for _ in 0..MOST_STEPS {
            seen.extend(self.owners.get(at));
            if at.is_empty() || name_of(at) == ".." {
                break;
            }
            at = folder(at);
        }
        seen
    }

    fn needs(&self, path: &str, node: &Node<'_>, own: bool, faults: &mut Vec<Fault>) -> Vec<usize> {
        let seen = self.seen_from(path);
        let mut needs = Vec::new();
        for (table, required) in [
            ("dependencies", true),
            ("devDependencies", true),
            ("optionalDependencies", false),
            ("peerDependencies", false),
        ] {
            if table == "devDependencies" && !own {
                continue;
            }
            for entry in table_of(node, table, faults) {
                match seen.iter().find_map(|owner| self.found.get(&(*owner, &*entry.key))) {
                    Some(at) => needs.extend(at),
                    None if required => {
                        let who = if path.is_empty() { "the project" } else { path };
                        let message = format!("`{}` is needed by `{who}` and is not in the file", entry.key);
                        note(faults, entry.line, &message);
                    }
                    None => {}
                }
            }
        }
        convoke_sdk::small::sort(&mut needs);
        needs.dedup();
        needs
    }
}

/// A package as its own entry has it.
fn package(entry: &Entry<'_>, faults: &mut Vec<Fault>) -> Package {
    let (path, node) = (&*entry.key, &entry.value);
    let placed = place(path).map(|(_, name)| name);
    let name = node.text_of("name").or(placed).unwrap_or("");
    let origin = match (placed, node.text_of("resolved")) {
        (None, _) if path == ".." || path.starts_with("../") => Origin::Path(path.to_owned()),
        (None, _) => Origin::Workspace,
        (Some(_), Some(address)) => spec::resolved(name, address),
        (Some(_), None) => Origin::Registry(None),
    };
    let version = node.text_of("version");
    if version.is_none() && matches!(origin, Origin::Registry(_)) {
        note(faults, entry.line, &format!("the package `{path}` has no version"));
    }
    let mut package = Package::new(name, version.unwrap_or(""), entry.line);
    package.origin = origin;
    package.scope = scope(node);
    package.hashed = node.text_of("integrity").is_some();
    package.digest = node.text_of("integrity").and_then(Digest::of_integrity);
    package.license = node.get("license").and_then(license);
    package.install_script = node.flag("hasInstallScript");
    package
}

fn license(node: &Node<'_>) -> Option<String> {
    node.text().or_else(|| node.text_of("type")).map(str::to_owned)
}

/// `devOptional`: needed to develop, and optional to run.
pub(super) fn scope(node: &Node<'_>) -> Scope {
    if node.flag("dev") {
        Scope::Dev
    } else if node.flag("optional") || node.flag("devOptional") {
        Scope::Optional
    } else if node.flag("peer") {
        Scope::Peer
    } else {
        Scope::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> File {
        parse("package-lock.json", text, &Texts::new())
    }

    /// `line name version hashed scope -> needs`, one a package.
    fn said(lock: &Lock) -> Vec<String> {
        let line = |one: &Package| {
            format!("{} {} {} {} {:?} -> {:?}", one.line, one.name, one.version, one.hashed, one.scope, one.needs)
        };
        lock.packages.iter().map(line).collect()
    }

    const SAMPLE: &str = r#"{
  "name": "demo", "lockfileVersion": 3,
  "packages": {
    "": {"workspaces": ["packages/*"], "dependencies": {"a": "^1", "called": "npm:real@2", "own": "*"},
      "devDependencies": {"test": "1"}, "peerDependencies": {"nowhere": "1"}},
    "node_modules/a": {"version": "1.0.0", "resolved": "https://registry.example/a/-/a-1.0.0.tgz", "integrity": "sha512-x",
      "license": "MIT", "hasInstallScript": true, "dependencies": {"b": "^1", "inside": "1"}},
    "node_modules/a/node_modules/b": {"version": "1.9.0", "integrity": "sha512-x", "dependencies": {"test": "*"}},
    "node_modules/a/node_modules/inside": {"version": "1.0.0", "inBundle": true, "dependencies": {"b": "*"}},
    "node_modules/a/node_modules/inside/node_modules/@s/deep": {"version": "1.0.0", "inBundle": true},
    "node_modules/b": {"version": "2.0.0", "optional": true, "license": {"type": "ISC"}},
    "node_modules/called": {"name": "real", "version": "2.0.0", "devOptional": true},
    "node_modules/own": {"resolved": "packages/own", "link": true},
    "node_modules/test": {"version": "1.0.0", "dev": true, "optionalDependencies": {"gone": "1", "b": "2"}},
    "packages/own": {"version": "0.1.0", "dependencies": {"b": "2"}, "devDependencies": {"c": "1"}},
    "packages/own/node_modules/c": {"version": "1.0.0", "peer": true, "peerDependencies": {"a": "1"}}
  }
}"#;

    #[test]
    fn what_is_needed_is_found_as_node_finds_it() {
        let file = read(SAMPLE);
        assert_eq!((file.faults.as_slice(), &*file.format), (&[][..], "package-lock.json v3"));
        let lock = file.lock.expect("a lock");
        assert_eq!(
            said(&lock),
            [
                "6 a 1.0.0 true Normal -> [1, 2]",
                "8 b 1.9.0 true Normal -> [6]",
                "9 inside 1.0.0 true Normal -> [1]",
                "10 @s/deep 1.0.0 true Normal -> []",
                "11 b 2.0.0 false Optional -> []",
                "12 real 2.0.0 false Optional -> []",
                "14 test 1.0.0 false Dev -> [4]",
                "15 own 0.1.0 false Normal -> [4, 8]",
                "16 c 1.0.0 false Peer -> [0]",
            ]
        );
        assert_eq!(lock.direct, [0, 4, 5, 6, 8], "what the project and its members need, without the members");
        assert_eq!(lock.packages[0].origin, Origin::Registry(Some("https://registry.example".into())));
        assert_eq!(lock.packages[7].origin, Origin::Workspace);
        assert_eq!(
            (lock.packages[0].license.as_deref(), lock.packages[4].license.as_deref()),
            (Some("MIT"), Some("ISC"))
        );
        assert!(lock.packages[0].install_script && !lock.packages[1].install_script);
        let shrinkwrap = parse("x/npm-shrinkwrap.json", &SAMPLE.replace("Version\": 3", "Version\": 2"), &Texts::new());
        assert_eq!((shrinkwrap.lock, &*shrinkwrap.format), (Some(lock), "npm-shrinkwrap.json v2"));
    }

    #[test]
    fn a_folder_outside_of_the_project_does_not_look_into_the_project() {
        let file = read(
            r#"{"lockfileVersion": 3, "packages": {"": {"dependencies": {"x": "file:../x"}},
"node_modules/x": {"resolved": "../x", "link": true},
"node_modules/a": {"version": "1.0.0"},
"../x": {"name": "@s/x", "version": "1.0.0", "peerDependencies": {"a": "1"}}}}"#,
        );
        let lock = file.lock.expect("a lock");
        assert_eq!(said(&lock), ["3 a 1.0.0 false Normal -> []", "4 @s/x 1.0.0 false Normal -> []"]);
        assert_eq!(lock.packages[1].origin, Origin::Path("../x".into()));
        assert_eq!(lock.direct, [1]);
    }

    #[test]
    fn packages_that_need_each_other_are_fine() {
        let file = read(
            r#"{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0", "dependencies": {"b": "1"}},
"node_modules/b": {"version": "1.0.0", "dependencies": {"a": "1"}}}}"#,
        );
        assert_eq!(file.faults, []);
        assert_eq!(
            said(&file.lock.expect("a lock")),
            ["1 a 1.0.0 false Normal -> [1]", "2 b 1.0.0 false Normal -> [0]"]
        );
    }

    #[test]
    fn what_is_broken_or_unknown_says_its_line() {
        let says = |text: &str| {
            read(text)
                .faults
                .iter()
                .map(|one| (one.line.unwrap_or(0), one.message.clone(), one.whole))
                .collect::<Vec<_>>()
        };
        let known = "versions 1 to 3 are known";
        assert_eq!(
            says("{\n\"lockfileVersion\": 4}"),
            [(2, format!("package-lock.json has the version `4`: {known}"), true)]
        );
        assert_eq!(
            says("{}"),
            [(1, format!("package-lock.json has neither `lockfileVersion` nor `packages`: {known}"), true)]
        );
        assert!(says("{\"lockfileVersion\": 3, \"dependencies\": {}}")[0].2);
        assert_eq!(says("{\"lockfileVersion\": 3,\n\"packages\": {},\n}")[0].0, 3);
        assert_eq!(
            says(
                "{\"lockfileVersion\": 3, \"packages\": {\n\"\": {\"dependencies\": {\n\"gone\": \"1\"}},\n\"node_modules/a\": {},\n\
                 \"node_modules/b\": [],\n\"node_modules/l\": {\"link\": true, \"resolved\": \"l\"},\n\
                 \"node_modules/a\": {\"version\": \"1\", \"dependencies\": {\"l\": \"1\"}}}}"
            ),
            [
                (7, "the key `node_modules/a` stands twice, first in line 4; the last one counts".to_owned(), false),
                (5, "the package `node_modules/b` should be a table and is a list".to_owned(), false),
                (6, "`node_modules/l` is a link to `l`, which is not in the file".to_owned(), false),
                (3, "`gone` is needed by `the project` and is not in the file".to_owned(), false),
            ]
        );
        assert_eq!(
            says("{\"lockfileVersion\": 3, \"packages\": {\n\"node_modules/a\": {}}}"),
            [(2, "the package `node_modules/a` has no version".to_owned(), false)]
        );
        let deep =
            format!("{{\"lockfileVersion\": 1, \"dependencies\": {}", "{\"a\": {\"dependencies\": ".repeat(5_000));
        assert_eq!(says(&deep), [(1, "it is nested deeper than 128 levels".to_owned(), true)]);
    }

    #[test]
    fn a_path_longer_than_any_system_has_takes_no_time() {
        let path = "node_modules/a/".repeat(20_000);
        let text = format!(
            "{{\"lockfileVersion\": 3, \"packages\": {{\"{path}node_modules/b\": {{\"version\": \"1.0.0\", \"optionalDependencies\": {{{}}}}}}}}}",
            (0..5_000).map(|at| format!("\"d{at}\": \"1\"")).collect::<Vec<_>>().join(",")
        );
        assert_eq!(read(&text).lock.expect("a lock").packages.len(), 1);
    }

    #[test]
    fn nothing_that_stands_there_ends_the_reader() {
        let text = r#"{"lockfileVersion":2,"packages":{"":{"dependencies":{"a":"1"}},"../x/node_modules/@s/a":{"inBundle":true},"node_modules/l":{"link":true,"resolved":"x"}}}"#;
        super::super::super::testing::mangled(text, |text| {
            read(text);
        });
    }
}
