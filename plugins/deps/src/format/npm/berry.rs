//! `yarn.lock` of yarn 2 and later: YAML with `__metadata`.

use convoke_sdk::small::{Map, Set};

use super::super::json;
use super::super::tree::{Entry, Node, Value, bounded, note, push, table_of, unfit};
use super::super::yaml;
use super::direct::{mark, places};
use super::manifest::{asked, in_folder};
use super::spec;
use crate::model::{Fault, File, Lock, Manager, Origin, Package, Scope, Texts, beside};

/// The versions that are known: 4 is of yarn 2, 6 of yarn 3, 8 to 10 of yarn 4.
const KNOWN: std::ops::RangeInclusive<u32> = 4..=10;

/// Reads a `yarn.lock` that has `__metadata`.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let file = File::new(path, Manager::Npm, "yarn.lock");
    let document = match yaml::read(text) {
        Ok(document) => document,
        Err(broken) => return broken.of(file),
    };
    let (root, mut faults) = (document.root, document.faults);
    let (first, last) = (KNOWN.start(), KNOWN.end());
    let Some(node) = root.at(&["__metadata", "version"]) else {
        let line = root.entry("__metadata").map_or(1, |entry| entry.line);
        return file
            .broken(Some(line), &format!("yarn.lock has no version: versions 1 and {first} to {last} are known"));
    };
    let version = match node.scalar().map(str::parse) {
        Some(Ok(version)) if KNOWN.contains(&version) => version,
        _ => {
            let said = node.scalar().unwrap_or("");
            let message = format!("yarn.lock has the version `{said}`: versions 1 and {first} to {last} are known");
            return file.broken(Some(node.line), &message);
        }
    };
    let lock = Reader::default().lock(path, &root, texts, &mut faults);
    bounded(&mut faults);
    File { lock: Some(lock), faults, ..File::new(path, Manager::Npm, format!("yarn.lock v{version}")) }
}

#[derive(Default)]
struct Reader<'r> {
    packages: Vec<Package>,
    /// `NAME@PROTOCOL:RANGE`; None: the project's own root.
    by_descriptor: Map<&'r str, Option<usize>>,
    /// The only package of a name.
    by_name: Map<&'r str, Option<usize>>,
    /// What yarn itself patches, by the descriptor that others ask for.
    patched: Map<String, usize>,
}

impl<'r> Reader<'r> {
    fn lock(mut self, path: &str, root: &'r Node<'r>, texts: &Texts, faults: &mut Vec<Fault>) -> Lock {
        // Each entry with its package, and the folder of a member.
        let mut all: Vec<(&'r Entry<'r>, Option<usize>, Option<&'r str>)> = Vec::new();
        for entry in root.entries().iter().filter(|entry| entry.key != "__metadata") {
            let node = &entry.value;
            if !matches!(node.value, Value::Table(_)) {
                push(faults, unfit(&format!("the entry `{}`", entry.key), "a table", node));
                continue;
            }
            let Some((name, reference)) = resolution(node) else {
                push(
                    faults,
                    Fault::new(Some(entry.line), &format!("the entry `{}` has no `resolution`", entry.key), false),
                );
                continue;
            };
            let member = reference.strip_prefix("workspace:");
            let at = (member != Some(".")).then_some(self.packages.len());
            for descriptor in entry.key.split(", ") {
                self.by_descriptor.insert(descriptor, at);
                if let (Some(inner), Some(at)) = (inner(descriptor), at)
                    && descriptor.contains("builtin<")
                {
                    self.patched.insert(inner, at);
                }
            }
            if at.is_some() {
                let next = self.packages.len();
                self.by_name.entry(name).and_modify(|only| *only = None).or_insert(Some(next));
                self.packages.push(package(entry, name, reference, faults));
            }
            all.push((entry, at, member));
        }
        let mut starts = Vec::new();
        for (entry, at, member) in all {
            let needs = self.needs(&entry.value, faults);
            if let Some(member) = member {
                let scopes = scopes(path, member, texts);
                let own = |at: &usize| self.packages.get(*at).is_some_and(|one| one.origin == Origin::Workspace);
                let scope = |name: &str| scopes.get(name).copied().unwrap_or_default();
                starts.extend(needs.iter().filter(|(at, _)| !own(at)).map(|(at, name)| (*at, scope(name))));
            }
            let mut needs: Vec<usize> = needs.into_iter().map(|(at, _)| at).collect();
            // What is patched is made of what it was, and covered by the digest of that: the patch lies in the project or in yarn.
            let source = entry.key.split(", ").find_map(inner);
            let source = source.and_then(|source| self.by_descriptor.get(&*source).copied().flatten());
            let covered = source.and_then(|at| self.packages.get(at)).is_some_and(|source| source.hashed);
            needs.extend(source);
            convoke_sdk::small::sort(&mut needs);
            needs.dedup();
            if let Some(package) = at.and_then(|at| self.packages.get_mut(at)) {
                package.needs = needs;
                package.hashed |= covered;
            }
        }
        mark(&mut self.packages, &starts);
        Lock { direct: places(&starts), packages: self.packages, graph: true }
    }

    /// What an entry needs, by the names that it uses.
    fn needs<'n>(&self, node: &'n Node<'_>, faults: &mut Vec<Fault>) -> Vec<(usize, &'n str)> {
        let mut needs = Vec::new();
        let meta = node.get("dependenciesMeta").map(Node::entries).unwrap_or_default();
        let optional: Set<&str> =
            meta.iter().filter(|entry| entry.value.flag("optional")).map(|entry| &*entry.key).collect();
        for entry in table_of(node, "dependencies", faults) {
            let Some(range) = entry.value.scalar() else {
                push(faults, unfit(&format!("the dependency `{}`", entry.key), "text", &entry.value));
                continue;
            };
            match self.find(&entry.key, range) {
                Some(Some(at)) => {
                    needs.push((at, &*entry.key));
                    let patched = |text: String| self.patched.get(&text);
                    let patched = patched(format!("{}@{range}", entry.key))
                        .or_else(|| patched(format!("{}@npm:{range}", entry.key)));
                    needs.extend(patched.map(|at| (*at, &*entry.key)));
                }
                Some(None) => {}
                None if optional.contains(&*entry.key) => {}
                None => {
                    let message = format!("`{}@{range}` is needed and is not in the file", entry.key);
                    note(faults, entry.line, &message);
                }
            }
        }
        needs
    }

    /// By the descriptor; before version 8 without its protocol. What `resolutions` replace has another one, and is found
    /// by its name where only one package has that.
    fn find(&self, name: &str, range: &str) -> Option<Option<usize>> {
        let by = |descriptor: String| self.by_descriptor.get(&*descriptor).copied();
        by(format!("{name}@{range}"))
            .or_else(|| by(format!("{name}@npm:{range}")))
            .or_else(|| by(format!("{name}@workspace:{range}")))
            .or_else(|| self.by_name.get(name).copied().flatten().map(Some))
    }
}

/// The descriptor of what a patch is made for: of `a@patch:a@npm%3A^1#FILE` it is `a@npm:^1`.
fn inner(descriptor: &str) -> Option<String> {
    let (_, reference) = spec::split(descriptor);
    let inner = reference?.strip_prefix("patch:")?;
    Some(spec::unescaped(inner.split_once('#').map_or(inner, |(inner, _)| inner)))
}

/// The name and the reference of what was chosen.
fn resolution<'n>(node: &'n Node<'_>) -> Option<(&'n str, &'n str)> {
    let (name, reference) = spec::split(node.text_of("resolution")?);
    Some((name, reference?))
}

fn package(entry: &Entry<'_>, name: &str, reference: &str, faults: &mut Vec<Fault>) -> Package {
    let version = entry.value.get("version").and_then(Node::scalar).unwrap_or_else(|| {
        note(faults, entry.line, &format!("the entry `{}` has no version", entry.key));
        ""
    });
    let mut package = Package::new(name, version, entry.line);
    package.origin = origin(name, reference);
    package.hashed = entry.value.get("checksum").is_some();
    package
}

fn origin(name: &str, reference: &str) -> Origin {
    // Another registry's archive: `npm:1.0.0::__archiveUrl=https%3A%2F%2F…`.
    if let Some((_, address)) = reference.split_once("__archiveUrl=") {
        let address = address.split('&').next().unwrap_or(address);
        return spec::resolved(name, &spec::unescaped(address));
    }
    spec::spec(reference.split_once("::").map_or(reference, |(reference, _)| reference)).origin
}

/// What a member's manifest needs its dependencies for. The lockfile has all of them in one table.
fn scopes(path: &str, member: &str, texts: &Texts) -> Map<String, Scope> {
    let manifest = beside(path, &in_folder(member)).and_then(|path| texts.get(&path));
    let Some(document) = manifest.and_then(|text| json::read(text).ok()) else { return Map::new() };
    let asked = asked(&document.root, &mut Vec::new());
    asked.iter().filter(|asked| asked.scope != Scope::Peer).map(|asked| (asked.name.to_owned(), asked.scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"# This file is generated by running "yarn install"

__metadata:
  version: 8
  cacheKey: 10c0

"@s/a@npm:^1.0.0, @s/a@npm:~1.2.0":
  version: 1.2.0
  resolution: "@s/a@npm:1.2.0"
  dependencies:
    b: "npm:^2"
    gone: "npm:1"
  dependenciesMeta:
    gone:
      optional: true
  checksum: 10c0/abc
  languageName: node
  linkType: hard

"b@npm:2.5.0":
  version: 2.5.0
  resolution: "b@npm:2.5.0::__archiveUrl=https%3A%2F%2Fregistry.example%2Fnpm%2Fb%2F-%2Fb-2.5.0.tgz"
  checksum: 10c0/abc
  dependencies:
    t: "npm:1"
  linkType: hard

"called@npm:real@1.0":
  version: 1.0.4
  resolution: "real@npm:1.0.4"
  linkType: hard

"demo@workspace:.":
  version: 0.0.0-use.local
  resolution: "demo@workspace:."
  dependencies:
    "@s/a": "npm:^1.0.0"
    member: "workspace:*"
  linkType: soft

"member@workspace:*, member@workspace:packages/member":
  version: 0.0.0-use.local
  resolution: "member@workspace:packages/member"
  dependencies:
    called: "npm:real@1.0"
    t: "patch:t@npm%3A^1#./t.patch"
  linkType: soft

"t@npm:^1, t@npm:1":
  version: 1.0.0
  resolution: "t@npm:1.0.0"
  checksum: 10c0/abc
  linkType: hard

"t@patch:t@npm%3A^1#./t.patch":
  version: 1.0.0
  resolution: "t@patch:t@npm%3A1.0.0#./t.patch::version=1.0.0&hash=abc"
  linkType: hard

"t@patch:t@npm%3A1#optional!builtin<compat/t>":
  version: 1.0.0
  resolution: "t@patch:t@npm%3A1.0.0#optional!builtin<compat/t>::version=1.0.0&hash=abc"
  linkType: hard
"#;

    fn read(text: &str) -> File {
        super::super::yarn::parse("yarn.lock", text, &Texts::new())
    }

    #[test]
    fn entries_know_what_asks_for_them_and_what_they_need() {
        let file = read(SAMPLE);
        assert_eq!((file.faults.as_slice(), &*file.format), (&[][..], "yarn.lock v8"));
        let lock = file.lock.expect("a lock");
        let found: Vec<_> = lock
            .packages
            .iter()
            .map(|one| (one.line, &*one.name, &*one.version, one.hashed, one.needs.clone()))
            .collect();
        assert_eq!(
            found,
            [
                (7, "@s/a", "1.2.0", true, vec![1]),
                (20, "b", "2.5.0", true, vec![4, 6]),
                (28, "real", "1.0.4", false, vec![]),
                (41, "member", "0.0.0-use.local", false, vec![2, 5]),
                (49, "t", "1.0.0", true, vec![]),
                (55, "t", "1.0.0", true, vec![4]),
                (60, "t", "1.0.0", true, vec![4]),
            ]
        );
        assert_eq!(lock.direct, [0, 2, 5], "what the project and its members need, without the members");
        assert_eq!(lock.packages[1].origin, Origin::Registry(Some("https://registry.example/npm".into())));
        assert_eq!(lock.packages[3].origin, Origin::Workspace);
    }

    #[test]
    fn the_manifests_say_what_it_is_needed_for() {
        let texts: Texts =
            [("x/package.json".to_owned(), r#"{"devDependencies": {"@s/a": "^1.0.0"}}"#.to_owned())].into();
        let lock = parse("x/yarn.lock", SAMPLE, &texts).lock.expect("a lock");
        let scopes: Vec<Scope> = lock.packages.iter().map(|package| package.scope).collect();
        assert_eq!(
            scopes,
            [Scope::Dev, Scope::Dev, Scope::Normal, Scope::Normal, Scope::Normal, Scope::Normal, Scope::Dev]
        );
    }

    #[test]
    fn older_ones_leave_out_the_protocol() {
        let old =
            SAMPLE.replace("version: 8", "version: 4").replace("\"npm:^1.0.0\"\n    member", "^1.0.0\n    member");
        let file = read(&old);
        assert_eq!((file.faults.as_slice(), &*file.format), (&[][..], "yarn.lock v4"));
        assert_eq!(file.lock.expect("a lock").direct, [0, 2, 5]);
    }

    #[test]
    fn what_is_broken_says_its_line() {
        let says = |text: &str| {
            read(text).faults.iter().map(|one| (one.line, one.message.clone(), one.whole)).collect::<Vec<_>>()
        };
        let known = "versions 1 and 4 to 10 are known";
        assert_eq!(
            says("__metadata:\n  version: 11\n"),
            [(Some(2), format!("yarn.lock has the version `11`: {known}"), true)]
        );
        assert_eq!(says("\n__metadata:\n  a: b\n")[0].0, Some(2));
        assert!(says("__metadata:\n  version: 8\na: [\n")[0].2);
        assert_eq!(
            says(
                "__metadata:\n  version: 8\na@npm:1:\n  version: 1\nb@npm:1: x\n\"c@npm:1\":\n  resolution: \"c@npm:1\"\n  version: 1\n  dependencies:\n    d: ^1\n"
            ),
            [
                (Some(3), "the entry `a@npm:1` has no `resolution`".to_owned(), false),
                (Some(5), "the entry `b@npm:1` should be a table and is text".to_owned(), false),
                (Some(10), "`d@^1` is needed and is not in the file".to_owned(), false),
            ]
        );
    }
}
