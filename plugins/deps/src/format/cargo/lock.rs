//! `Cargo.lock`, versions 1 to 4.

use convoke_sdk::small::{Map, Set};

use super::super::registry::is_default;
use super::super::toml;
use super::super::tree::{Node, bounded, list_of, note, push, table_of, unfit};
use super::is_commit;
use crate::digest::Digest;
use crate::model::{Ecosystem, Fault, File, Lock, Manager, Origin, Package, Texts};

/// Reads a `Cargo.lock`.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Cargo, "Cargo.lock");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let version = match version_of(&root) {
        Ok(version) => version,
        Err((line, message)) => return file.broken(Some(line), &message),
    };
    let mut file = File::new(path, Manager::Cargo, format!("Cargo.lock v{version}"));
    file.lock = Some(Reader::default().lock(&root, &mut file.faults));
    bounded(&mut file.faults);
    file
}

/// 3 and 4 say what they are. 1 has its checksums in `[metadata]`, 2 has them beside the packages.
fn version_of(root: &Node<'_>) -> Result<u32, (u32, String)> {
    let known = "versions 1 to 4 are known";
    if let Some(node) = root.get("version") {
        let version = node.scalar().unwrap_or("");
        return match version.parse() {
            Ok(version @ 1..=4) => Ok(version),
            _ => Err((node.line, format!("Cargo.lock has the version `{version}`: {known}"))),
        };
    }
    if root.get("package").is_none() && root.get("root").is_none() {
        return Err((1, format!("it is no Cargo.lock: it has neither `version` nor `[[package]]`; {known}")));
    }
    let first = root.get("metadata").is_some_and(|node| node.entries().iter().any(|one| one.key.starts_with(CHECKSUM)));
    Ok(if first || root.get("root").is_some() { 1 } else { 2 })
}

/// The keys of `[metadata]` in version 1: `checksum NAME VERSION (SOURCE)`.
const CHECKSUM: &str = "checksum ";

/// The packages by the three forms that an edge can have.
#[derive(Default)]
struct Reader<'r> {
    by_name: Map<&'r str, Candidates>,
    by_version: Map<(&'r str, &'r str), Candidates>,
    by_source: Map<(&'r str, &'r str, &'r str), usize>,
}

/// Which packages a name may mean.
#[derive(Clone, Copy)]
struct Candidates {
    first: usize,
    count: usize,
    /// The one without a source, which an edge without a source means where there are several.
    own: Option<usize>,
}

impl<'r> Reader<'r> {
    fn lock(mut self, root: &'r Node<'r>, faults: &mut Vec<Fault>) -> Lock {
        let checksums: Set<&str> = table_of(root, "metadata", faults)
            .iter()
            .filter(|entry| entry.value.text() != Some("<none>"))
            .filter_map(|entry| entry.key.strip_prefix(CHECKSUM))
            .collect();
        let mut packages = Vec::new();
        let mut edges = Vec::new();
        // `[root]` is how the oldest ones wrote the project's own package. `[[patch.unused]]` was not chosen.
        for node in root.get("root").into_iter().chain(list_of(root, "package", faults)) {
            let (Some(name), Some(version)) = (node.text_of("name"), node.text_of("version")) else {
                note(faults, node.line, "a package in it has no name or no version");
                continue;
            };
            let source = node.text_of("source");
            let line = node.entry("name").map_or(node.line, |entry| entry.line);
            let mut package = Package::new(name, version, line);
            package.origin = origin(source);
            package.hashed = node.text_of("checksum").is_some()
                || source.is_some_and(|source| checksums.contains(&*format!("{name} {version} ({source})")));
            package.digest = node.text_of("checksum").and_then(Digest::of_hex);
            self.enter(packages.len(), name, version, source, line, faults);
            edges.push(list_of(node, "dependencies", faults));
            packages.push(package);
        }
        for (at, edges) in edges.into_iter().enumerate() {
            let needs = self.needs(edges, faults);
            if let Some(package) = packages.get_mut(at) {
                package.needs = needs;
            }
        }
        let own = |at: &usize| packages.get(*at).is_some_and(|package| package.origin == Origin::Workspace);
        let mut direct: Vec<usize> = packages
            .iter()
            .filter(|package| package.origin == Origin::Workspace)
            .flat_map(|package| package.needs.iter().copied())
            .filter(|at| !own(at))
            .collect();
        convoke_sdk::small::sort(&mut direct);
        direct.dedup();
        Lock { packages, direct, graph: true }
    }

    fn enter(
        &mut self,
        at: usize,
        name: &'r str,
        version: &'r str,
        source: Option<&'r str>,
        line: u32,
        faults: &mut Vec<Fault>,
    ) {
        let own = source.is_none().then_some(at);
        let add = |candidates: &mut Candidates| {
            candidates.count += 1;
            candidates.own = candidates.own.or(own);
        };
        let new = Candidates { first: at, count: 1, own };
        self.by_name.entry(name).and_modify(add).or_insert(new);
        self.by_version.entry((name, version)).and_modify(add).or_insert(new);
        if self.by_source.insert((name, version, bare(source.unwrap_or(""))), at).is_some() {
            let name = convoke_sdk::text::shown(name, 80);
            push(
                faults,
                Fault::new(Some(line), &format!("the package `{name}` stands twice in the same version"), false),
            );
        }
    }

    fn needs(&self, edges: &[Node<'_>], faults: &mut Vec<Fault>) -> Vec<usize> {
        let mut needs = Vec::with_capacity(edges.len());
        for edge in edges {
            let Some(text) = edge.text() else {
                push(faults, unfit("an entry of `dependencies`", "text", edge));
                continue;
            };
            match self.find(text) {
                Some(at) => needs.push(at),
                None => {
                    let message = format!("it needs `{text}`, which names no package of this file, or more than one");
                    note(faults, edge.line, &message);
                }
            }
        }
        convoke_sdk::small::sort(&mut needs);
        needs.dedup();
        needs
    }

    /// `name`, `name version` or `name version (source)`: as much as tells them apart.
    fn find(&self, edge: &str) -> Option<usize> {
        let mut words = edge.splitn(3, ' ');
        let name = words.next()?;
        let one = |candidates: &Candidates| {
            if candidates.count == 1 { Some(candidates.first) } else { candidates.own }
        };
        match (words.next(), words.next()) {
            (None, _) => self.by_name.get(name).and_then(one),
            (Some(version), None) => self.by_version.get(&(name, version)).and_then(one),
            (Some(version), Some(source)) => {
                let source = source.strip_prefix('(')?.strip_suffix(')')?;
                self.by_source.get(&(name, version, bare(source))).copied()
            }
        }
    }
}

/// A source without its commit: newer lockfiles leave that out of edges.
fn bare(source: &str) -> &str {
    source.split_once('#').map_or(source, |(source, _)| source)
}

/// Without a source it is of the workspace, or in a folder beside it: the project's own either way.
fn origin(source: Option<&str>) -> Origin {
    let Some(source) = source else { return Origin::Workspace };
    let (kind, address) = source.split_once('+').unwrap_or(("", source));
    match kind {
        "git" => {
            let (url, commit) = address.split_once('#').unwrap_or((address, ""));
            Origin::Git { url: url.to_owned(), commit: is_commit(commit).then(|| commit.to_owned()) }
        }
        "path" => Origin::Path(address.to_owned()),
        "registry" | "sparse" => {
            Origin::Registry((!is_default(Ecosystem::CratesIo, address)).then(|| address.to_owned()))
        }
        _ => Origin::Registry(Some(source.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::registry::hosts;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(text: &str) -> File {
        parse("Cargo.lock", text, &Texts::new())
    }

    fn lock(text: &str) -> Lock {
        let file = read(text);
        assert_eq!(file.faults, []);
        file.lock.expect("a lock")
    }

    /// `line name version hashed -> needs`, one a package.
    fn said(lock: &Lock) -> Vec<String> {
        let line = |package: &Package| {
            let needs: Vec<String> = package
                .needs
                .iter()
                .map(|at| format!("{} {}", lock.packages[*at].name, lock.packages[*at].version))
                .collect();
            let Package { line, name, version, hashed, .. } = package;
            format!("{line} {name} {version} {hashed} -> {}", needs.join(", "))
        };
        lock.packages.iter().map(line).collect()
    }

    #[test]
    fn the_fourth_version_with_all_forms_of_edges() {
        let index = &hosts(Ecosystem::CratesIo)[0];
        let text = format!(
            "# generated\nversion = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
             source = \"registry+https://{index}\"\nchecksum = \"00\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n\
             source = \"sparse+https://registry.example/index/\"\nchecksum = \"00\"\ndependencies = [\n \"a 1.0.0\",\n]\n\n\
             [[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"a 2.0.0\",\n \"b 0.1.0 (git+https://git.example/b?branch=x)\",\n \"lib\",\n]\n\n\
             [[package]]\nname = \"b\"\nversion = \"0.1.0\"\nsource = \"git+https://git.example/b?branch=x#{COMMIT}\"\n\n\
             [[package]]\nname = \"b\"\nversion = \"0.1.0\"\nsource = \"registry+https://registry.example/git\"\n\n\
             [[package]]\nname = \"lib\"\nversion = \"0.1.0\"\ndependencies = [\"a 1.0.0\"]\n\n[[patch.unused]]\nname = \"z\"\nversion = \"1.0.0\"\n"
        );
        let lock = lock(&text);
        assert_eq!(
            said(&lock),
            [
                "5 a 1.0.0 true -> ",
                "11 a 2.0.0 true -> a 1.0.0",
                "20 app 0.1.0 false -> a 2.0.0, b 0.1.0, lib 0.1.0",
                "29 b 0.1.0 false -> ",
                "34 b 0.1.0 false -> ",
                "39 lib 0.1.0 false -> a 1.0.0",
            ]
        );
        assert_eq!(lock.packages[2].needs, [1, 3, 5]);
        assert_eq!(lock.direct, [0, 1, 3], "what members need, without the members");
        let origins: Vec<&Origin> = lock.packages.iter().map(|package| &package.origin).collect();
        assert_eq!(
            origins,
            [
                &Origin::Registry(None),
                &Origin::Registry(Some("https://registry.example/index/".into())),
                &Origin::Workspace,
                &Origin::Git { url: "https://git.example/b?branch=x".into(), commit: Some(COMMIT.into()) },
                &Origin::Registry(Some("https://registry.example/git".into())),
                &Origin::Workspace,
            ]
        );
        assert_eq!(read(&text).format, "Cargo.lock v4");
    }

    #[test]
    fn the_first_version_has_its_checksums_at_its_end() {
        let text = "[root]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"a 1.0.0 (registry+https://registry.example/i)\",\n]\n\n\
                    [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+https://registry.example/i\"\n\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nsource = \"registry+https://registry.example/i\"\n\n[metadata]\n\
                    \"checksum a 1.0.0 (registry+https://registry.example/i)\" = \"00\"\n\
                    \"checksum b 1.0.0 (registry+https://registry.example/i)\" = \"<none>\"\n";
        assert_eq!(read(text).format, "Cargo.lock v1");
        let lock = lock(text);
        assert_eq!(said(&lock), ["2 app 0.1.0 false -> a 1.0.0", "9 a 1.0.0 true -> ", "14 b 1.0.0 false -> "]);
        assert_eq!(lock.direct, [1]);
    }

    #[test]
    fn the_second_and_third_version_are_told_apart_by_a_number() {
        let package = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
        assert_eq!(read(package).format, "Cargo.lock v2");
        assert_eq!(read(&format!("version = 3\n{package}")).format, "Cargo.lock v3");
    }

    #[test]
    fn a_newer_version_is_refused_and_the_known_ones_are_named() {
        let file = read("# x\nversion = 5\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n");
        assert_eq!(file.lock, None);
        assert_eq!(
            file.faults,
            [Fault::new(Some(2), "Cargo.lock has the version `5`: versions 1 to 4 are known", true)]
        );
        assert!(read("").faults[0].whole);
        assert_eq!(read("version = 4\n").lock, Some(Lock { graph: true, ..Lock::default() }));
    }

    #[test]
    fn what_is_missing_or_doubled_is_said_with_its_line() {
        let file = read(
            "version = 3\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n 1,\n \"c 1.0\"]\n\
             [[package]]\nname = \"x\"\n[[package]]\nname = \"c\"\nversion = \"1.0.0\"\n[[package]]\nname = \"c\"\nversion = \"1.0.0\"\n",
        );
        let faults: Vec<_> = file.faults.iter().map(|fault| (fault.line.unwrap_or(0), &*fault.message)).collect();
        assert_eq!(
            faults,
            [
                (9, "a package in it has no name or no version"),
                (15, "the package `c` stands twice in the same version"),
                (6, "it needs `b`, which names no package of this file, or more than one"),
                (7, "an entry of `dependencies` should be text and is a number"),
                (8, "it needs `c 1.0`, which names no package of this file, or more than one"),
            ]
        );
        assert!(file.faults.iter().all(|fault| !fault.whole));
        assert_eq!(file.lock.expect("a lock").packages.len(), 3);
        assert_eq!(read("version = 3\n\n[[package]\n").faults[0].line, Some(3));
    }

    #[test]
    fn packages_that_need_each_other_are_fine() {
        let lock = lock(
            "version = 3\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\"b\"]\n\
             [[package]]\nname = \"b\"\nversion = \"1.0.0\"\ndependencies = [\"a\"]\n",
        );
        assert_eq!(said(&lock), ["3 a 1.0.0 false -> b 1.0.0", "7 b 1.0.0 false -> a 1.0.0"]);
    }

    #[test]
    fn nothing_that_stands_there_ends_the_reader() {
        let text = "version=3\n[[package]]\nname=\"a\"\nversion=\"1\"\nsource=\"git+x#y\"\ndependencies=[\"a 1 (git+x)\"]\n[metadata]\nx=\"y\"\n";
        super::super::super::testing::mangled(text, |text| {
            read(text);
        });
    }
}
