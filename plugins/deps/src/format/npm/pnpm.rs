//! `pnpm-lock.yaml`, versions 5, 6 and 9.
//!
//! Packages have keys: `/a/1.0.0_peer@1` in version 5, `/a@1.0.0(peer@1)` in 6, `a@1.0.0` in 9, where what is needed by which
//! choice of peers stands in `snapshots`. From pnpm 11 on a document before the lockfile's own may hold what pnpm itself
//! needs (`configDependencies`, `packageManagerDependencies`): that is installed too, so it is read too.

use convoke_sdk::small::Map;

use super::super::cargo::is_commit;
use super::super::tree::{Entry, Node, Value, bounded, note, push, table_of, unfit};
use super::super::yaml;
use super::direct::{mark, places};
use super::{lock, spec};
use crate::digest::Digest;
use crate::model::{Fault, File, Lock, Manager, Origin, Package, Scope, Texts};

/// Where an importer lists what it asks for.
const TABLES: [(&str, Scope); 5] = [
    ("dependencies", Scope::Normal),
    ("optionalDependencies", Scope::Optional),
    ("devDependencies", Scope::Dev),
    ("configDependencies", Scope::Build),
    ("packageManagerDependencies", Scope::Build),
];

/// Reads a `pnpm-lock.yaml`.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Npm, "pnpm-lock.yaml");
    let (roots, mut faults) = match yaml::read_all(text) {
        Ok(read) => read,
        Err(broken) => return broken.of(file),
    };
    let mut format = None;
    let mut whole = Lock { graph: true, ..Lock::default() };
    for root in &roots {
        let (version, said) = match version_of(root) {
            Ok(version) => version,
            Err((line, message)) => return file.broken(Some(line), &message),
        };
        format = Some(format!("pnpm-lock.yaml v{said}"));
        let mut starts = Vec::new();
        Reader::new(version, whole.packages.len()).read(root, &mut whole.packages, &mut starts, &mut faults);
        mark(&mut whole.packages, &starts);
        whole.direct.extend(places(&starts));
    }
    let Some(format) = format else { return file.broken(Some(1), "it is empty") };
    bounded(&mut faults);
    File { lock: Some(whole), faults, ..File::new(path, Manager::Npm, format) }
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Version {
    Five,
    Six,
    Nine,
}

fn version_of<'n>(root: &'n Node<'_>) -> Result<(Version, &'n str), (u32, String)> {
    let known = "versions 5, 6 and 9 are known";
    let Some(node) = root.get("lockfileVersion") else {
        return Err((root.line, format!("pnpm-lock.yaml has no `lockfileVersion`: {known}")));
    };
    let said = node.scalar().unwrap_or("");
    // `6.1-inlineSpecifiers` is 6 by another name.
    let version = match said.split(['.', '-']).next().unwrap_or("") {
        "5" if said.ends_with("-inlineSpecifiers") => Version::Six,
        "5" => Version::Five,
        "6" => Version::Six,
        "9" => Version::Nine,
        _ => return Err((node.line, format!("pnpm-lock.yaml has the version `{said}`: {known}"))),
    };
    Ok((version, said))
}

struct Reader<'r> {
    version: Version,
    /// Where the packages of this document begin.
    from: usize,
    /// The packages by their keys, with their peers and without.
    by_key: Map<&'r str, usize>,
}

impl<'r> Reader<'r> {
    fn new(version: Version, from: usize) -> Self {
        Self { version, from, by_key: Map::new() }
    }

    fn read(
        &mut self,
        root: &'r Node<'r>,
        packages: &mut Vec<Package>,
        starts: &mut Vec<(usize, Scope)>,
        faults: &mut Vec<Fault>,
    ) {
        let entries = table_of(root, "packages", faults);
        for entry in entries {
            if !matches!(entry.value.value, Value::Table(_)) {
                push(faults, unfit(&format!("the package `{}`", entry.key), "a table", &entry.value));
                continue;
            }
            self.by_key.insert(&entry.key, packages.len());
            packages.push(self.package(entry, faults));
        }
        // In version 9 a package may have several snapshots, one for each choice of peers.
        let snapshots = if self.version == Version::Nine { table_of(root, "snapshots", faults) } else { entries };
        for snapshot in snapshots {
            let Some(at) = self.at(&snapshot.key) else {
                let message = format!("the snapshot `{}` is of no package in the file", snapshot.key);
                note(faults, snapshot.line, &message);
                continue;
            };
            let mut needs = Vec::new();
            for (table, _) in &TABLES[..2] {
                for entry in table_of(&snapshot.value, table, faults) {
                    self.needed(&entry.key, &entry.value, faults, |at| needs.push(at));
                }
            }
            if let Some(package) = packages.get_mut(at) {
                package.needs.append(&mut needs);
                if package.scope == Scope::Normal {
                    package.scope = lock::scope(&snapshot.value);
                }
            }
        }
        for package in packages.iter_mut().skip(self.from) {
            convoke_sdk::small::sort(&mut package.needs);
            package.needs.dedup();
        }
        // A project without a workspace has its importer at the top.
        let importers = table_of(root, "importers", faults).iter().map(|entry| &entry.value);
        let alone = root.get("importers").is_none().then_some(root);
        for importer in importers.chain(alone) {
            for (table, scope) in TABLES {
                for entry in table_of(importer, table, faults) {
                    // Version 5 has the range in `specifiers`, the others beside the version.
                    let version = if matches!(entry.value.value, Value::Table(_)) {
                        entry.value.get("version").unwrap_or(&entry.value)
                    } else {
                        &entry.value
                    };
                    self.needed(&entry.key, version, faults, |at| starts.push((at, scope)));
                }
            }
        }
    }

    fn needed(&self, name: &str, version: &Node<'_>, faults: &mut Vec<Fault>, mut found: impl FnMut(usize)) {
        let Some(reference) = version.scalar() else {
            push(faults, unfit(&format!("the version of `{name}`"), "text", version));
            return;
        };
        // A folder of the workspace.
        if reference.starts_with("link:") || reference.starts_with("workspace:") {
            return;
        }
        match self.find(name, reference) {
            Some(at) => found(at),
            None => {
                let message = format!("`{name}` is needed as `{reference}`, which is not in the file");
                note(faults, version.line, &message);
            }
        }
    }

    /// A reference is a version with its peers, or the whole key where the name is another one.
    fn find(&self, name: &str, reference: &str) -> Option<usize> {
        let key = match self.version {
            Version::Five => format!("/{name}/{reference}"),
            Version::Six => format!("/{name}@{reference}"),
            Version::Nine => format!("{name}@{reference}"),
        };
        self.at(&key).or_else(|| self.at(reference))
    }

    fn at(&self, key: &str) -> Option<usize> {
        let exact = self.by_key.get(key);
        exact.or_else(|| self.by_key.get(self.without_peers(key))).copied()
    }

    fn without_peers<'k>(&self, key: &'k str) -> &'k str {
        match self.version {
            // In version 5 keys of `packages` have their peers.
            Version::Five | Version::Six => key,
            Version::Nine => without_peers(key),
        }
    }

    fn package(&self, entry: &Entry<'_>, faults: &mut Vec<Fault>) -> Package {
        let node = &entry.value;
        let resolution = node.get("resolution");
        let (name, version) = self.split(&entry.key);
        let name = node.text_of("name").unwrap_or(name);
        let version = node.get("version").and_then(Node::scalar).unwrap_or(version);
        if name.is_empty() {
            note(faults, entry.line, &format!("the key `{}` names no package", entry.key));
        }
        let mut package = Package::new(name, version, entry.line);
        let of = |key: &str| resolution.and_then(|node| node.text_of(key));
        package.origin = match (of("type"), of("repo"), of("commit"), of("directory"), of("tarball")) {
            (_, Some(url), commit, ..) => {
                let commit = commit.filter(|commit| is_commit(commit)).map(str::to_owned);
                Origin::Git { url: url.to_owned(), commit }
            }
            (_, _, _, Some(folder), _) => Origin::Path(folder.to_owned()),
            (.., Some(address)) => spec::resolved(name, address),
            _ => Origin::Registry(self.registry(&entry.key)),
        };
        package.hashed = of("integrity").is_some();
        package.digest = of("integrity").and_then(Digest::of_integrity);
        package.scope = lock::scope(node);
        package.install_script = node.flag("requiresBuild");
        package
    }

    /// Before version 9 the key of a package of another registry begins with its host.
    fn registry(&self, key: &str) -> Option<String> {
        if self.version == Version::Nine || key.starts_with('/') {
            return None;
        }
        key.split('/').next().filter(|host| !host.contains(['@', ':'])).map(str::to_owned)
    }

    /// The name and version in a key.
    fn split<'k>(&self, key: &'k str) -> (&'k str, &'k str) {
        let bare = without_peers(key);
        let bare = match (bare.strip_prefix('/'), self.version) {
            (Some(bare), _) => bare,
            (None, Version::Nine) => bare,
            (None, _) => bare.split_once('/').map_or(bare, |(_, bare)| bare),
        };
        if self.version != Version::Five {
            let (name, version) = spec::split(bare);
            return (name, version.unwrap_or(""));
        }
        let (name, version) = bare.rsplit_once('/').unwrap_or((bare, ""));
        // `/a/1.0.0/peer@1`, as it was before 5.2, has more parts than a name has.
        let parts = if name.starts_with('@') { 2 } else { 1 };
        let (name, version) = match name.match_indices('/').nth(parts - 1) {
            Some((at, _)) => (name.get(..at).unwrap_or(name), name.get(at + 1..).unwrap_or(version)),
            None => (name, version),
        };
        (name, version.split('_').next().unwrap_or(version))
    }
}

/// Without what stands in parentheses at the end: peers, and the digest of a patch.
fn without_peers(key: &str) -> &str {
    match key.find('(') {
        Some(at) if key.ends_with(')') => key.get(..at).unwrap_or(key),
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(text: &str) -> File {
        parse("pnpm-lock.yaml", text, &Texts::new())
    }

    /// `line name version hashed scope -> needs`, one a package.
    fn said(text: &str) -> (Vec<String>, Vec<usize>) {
        let file = read(text);
        assert_eq!(file.faults, []);
        let lock = file.lock.expect("a lock");
        let line = |one: &Package| {
            format!("{} {} {} {} {:?} -> {:?}", one.line, one.name, one.version, one.hashed, one.scope, one.needs)
        };
        (lock.packages.iter().map(line).collect(), lock.direct)
    }

    #[test]
    fn the_ninth_version_keeps_what_is_needed_in_snapshots() {
        let text = format!(
            "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      a:\n        specifier: ^1.0.0\n        \
             version: 1.0.0(react@18.0.0)\n      called:\n        specifier: npm:real@2\n        version: real@2.0.0\n  \
             packages/p:\n    devDependencies:\n      a:\n        specifier: ^1.0.0\n        version: 1.0.0(react@17.0.0)\n      \
             own:\n        specifier: workspace:*\n        version: link:../own\n      g:\n        specifier: owner/g\n        \
             version: https://code.example/owner/g/tar.gz/{COMMIT}\n\npackages:\n\n  '@s/b@2.0.0':\n    \
             resolution: {{integrity: sha512-abc}}\n\n  a@1.0.0:\n    resolution: {{integrity: sha512-abc}}\n    peerDependencies:\n      \
             react: '*'\n\n  g@https://code.example/owner/g/tar.gz/{COMMIT}:\n    resolution: {{tarball: https://code.example/owner/g/tar.gz/{COMMIT}}}\n    \
             version: 3.1.0\n\n  react@17.0.0:\n    resolution: {{integrity: sha512-abc}}\n\n  react@18.0.0:\n    \
             resolution: {{integrity: sha512-abc}}\n\n  real@2.0.0:\n    resolution: {{integrity: sha512-abc}}\n\nsnapshots:\n\n  \
             '@s/b@2.0.0': {{}}\n\n  a@1.0.0(react@17.0.0):\n    dependencies:\n      react: 17.0.0\n\n  a@1.0.0(react@18.0.0):\n    \
             dependencies:\n      react: 18.0.0\n    optionalDependencies:\n      '@s/b': 2.0.0\n\n  \
             g@https://code.example/owner/g/tar.gz/{COMMIT}: {{}}\n\n  react@17.0.0: {{}}\n\n  react@18.0.0: {{}}\n\n  \
             real@2.0.0:\n    optional: true\n"
        );
        let (packages, direct) = said(&text);
        assert_eq!(
            packages,
            [
                "27 @s/b 2.0.0 true Normal -> []",
                "30 a 1.0.0 true Normal -> [0, 3, 4]",
                "35 g 3.1.0 false Dev -> []",
                "39 react 17.0.0 true Normal -> []",
                "42 react 18.0.0 true Normal -> []",
                "45 real 2.0.0 true Normal -> []",
            ]
        );
        assert_eq!(direct, [1, 2, 5]);
        let lock = read(&text).lock.expect("a lock");
        assert!(matches!(&lock.packages[2].origin, Origin::Git { commit: Some(commit), .. } if commit == COMMIT));
    }

    #[test]
    fn the_sixth_version_has_peers_in_its_keys() {
        let (packages, direct) = said(
            "lockfileVersion: '6.0'\ndependencies:\n  '@s/a':\n    specifier: ^1\n    version: 1.0.0(react@18.0.0)\n  called:\n    \
             specifier: npm:real@2\n    version: /real@2.0.0\npackages:\n  /@s/a@1.0.0(react@18.0.0):\n    \
             resolution: {integrity: sha512-abc}\n    dependencies:\n      react: 18.0.0\n    dev: false\n  /react@18.0.0:\n    \
             resolution: {integrity: sha512-abc}\n    requiresBuild: true\n  /real@2.0.0:\n    resolution: {integrity: sha512-abc}\n  \
             file:../here:\n    resolution: {directory: ../here, type: directory}\n    name: here\n    version: 0.1.0\n",
        );
        assert_eq!(
            packages,
            [
                "10 @s/a 1.0.0 true Normal -> [1]",
                "15 react 18.0.0 true Normal -> []",
                "18 real 2.0.0 true Normal -> []",
                "20 here 0.1.0 false Normal -> []",
            ]
        );
        assert_eq!(direct, [0, 2]);
    }

    #[test]
    fn the_fifth_version_has_slashes_in_its_keys() {
        let (packages, direct) = said(
            "lockfileVersion: 5.4\nspecifiers:\n  '@s/a': ^1\ndependencies:\n  '@s/a': 1.0.0_react@18.0.0\ndevDependencies:\n  \
             r: registry.example/real/2.0.0\npackages:\n  /@s/a/1.0.0_react@18.0.0:\n    resolution: {integrity: sha512-abc}\n    \
             dependencies:\n      react: 18.0.0\n  /react/18.0.0:\n    resolution: {integrity: sha512-abc}\n    dev: false\n  \
             registry.example/real/2.0.0:\n    resolution: {integrity: sha512-abc}\n    dev: true\n  /old/1.0.0/peer@1.0.0:\n    \
             resolution: {integrity: sha512-abc}\n",
        );
        assert_eq!(
            packages,
            [
                "9 @s/a 1.0.0 true Normal -> [1]",
                "13 react 18.0.0 true Normal -> []",
                "16 real 2.0.0 true Dev -> []",
                "19 old 1.0.0 true Normal -> []",
            ]
        );
        assert_eq!(direct, [0, 2]);
    }

    #[test]
    fn what_pnpm_itself_needs_stands_in_a_document_of_its_own() {
        let text = "---\nlockfileVersion: '9.0'\nimporters:\n  .:\n    packageManagerDependencies:\n      pnpm:\n        specifier: 12.0.0\n        \
                    version: 12.0.0\npackages:\n  pnpm@12.0.0:\n    resolution: {integrity: sha512-abc}\nsnapshots:\n  pnpm@12.0.0: {}\n---\n\
                    lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: 1.0.0\n        version: 1.0.0\n\
                    packages:\n  a@1.0.0:\n    resolution: {integrity: sha512-abc}\nsnapshots:\n  a@1.0.0: {}\n";
        let (packages, direct) = said(text);
        assert_eq!(packages, ["10 pnpm 12.0.0 true Build -> []", "23 a 1.0.0 true Normal -> []"]);
        assert_eq!(direct, [0, 1]);
    }

    #[test]
    fn what_is_broken_or_unknown_says_its_line() {
        let says = |text: &str| {
            read(text).faults.iter().map(|one| (one.line, one.message.clone(), one.whole)).collect::<Vec<_>>()
        };
        let known = "versions 5, 6 and 9 are known";
        assert_eq!(
            says("a: 1\nlockfileVersion: '10.0'\n"),
            [(Some(2), format!("pnpm-lock.yaml has the version `10.0`: {known}"), true)]
        );
        assert_eq!(
            says("packages: {}\n"),
            [(Some(1), format!("pnpm-lock.yaml has no `lockfileVersion`: {known}"), true)]
        );
        assert_eq!(says(""), [(Some(1), "it is empty".to_owned(), true)]);
        assert_eq!(says("lockfileVersion: 5.4\npackages: [\n")[0].0, Some(3));
        assert_eq!(
            says(
                "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        version: 1.0.0\npackages:\n  b@1: x\nsnapshots:\n  c@1: {}\n"
            ),
            [
                (Some(8), "the package `b@1` should be a table and is text".to_owned(), false),
                (Some(10), "the snapshot `c@1` is of no package in the file".to_owned(), false),
                (Some(6), "`a` is needed as `1.0.0`, which is not in the file".to_owned(), false),
            ]
        );
    }

    #[test]
    fn nothing_that_stands_there_ends_the_reader() {
        for version in ["5.4", "'6.0'", "'9.0'"] {
            let text = format!(
                "lockfileVersion: {version}\nimporters:\n  .:\n    dependencies:\n      a: {{version: 1(b@2)}}\npackages:\n  /@s/a@1(b@2)_x: {{}}\n"
            );
            super::super::super::testing::mangled(&text, |text| {
                read(text);
            });
        }
    }
}
