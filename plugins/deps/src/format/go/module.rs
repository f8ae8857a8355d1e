//! `go.mod`: what a module requires, what is replaced and what is excluded.

use std::borrow::Cow;
use std::cmp::Ordering;

use convoke_sdk::small::{Map, Set};

use super::sum::Sums;
use super::syntax::{Statement, statements};
use super::work;
use crate::format::reading::{Faults, too_many};
use crate::model::{
    Bound, Ecosystem, File, Lock, Manager, Manifest, Origin, Package, Requirement, Scope, Texts, beside,
};
use crate::versions::compare;

/// Reads a `go.mod`. Of the texts it takes the `go.sum` beside it and the `go.work` above it.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let file = File::new(path, Manager::Go, "go.mod");
    let mut faults = Faults::default();
    let Some(statements) = statements(text, &mut faults) else { return too_many(file) };
    let mut module = Module::default();
    for statement in &statements {
        module.take(statement, &mut faults);
    }
    module.say_what_is_not_listed(&mut faults);
    let (manifest, lock) = module.into(path, texts, &mut faults);
    faults.into(File { manifest: Some(manifest), lock: Some(lock), ..file })
}

/// What a `go.mod` says.
#[derive(Default)]
struct Module {
    name: Option<String>,
    /// The version of Go's language, and its line.
    go: Option<(String, u32)>,
    required: Vec<Required>,
    replaced: Vec<Replacement>,
    excluded: Set<(String, String)>,
}

struct Required {
    module: String,
    version: String,
    line: u32,
    indirect: bool,
}

/// What stands in for a module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    module: String,
    /// Only this version is replaced. None: every one.
    version: Option<String>,
    by: String,
    /// None: `by` is a folder.
    by_version: Option<String>,
}

impl Module {
    fn take(&mut self, statement: &Statement<'_>, faults: &mut Faults) {
        let line = statement.line;
        match (&*statement.verb, statement.words.as_slice()) {
            ("module", [name]) => self.name = Some(name.clone().into_owned()),
            ("go", [version]) => self.go = Some((version.clone().into_owned(), line)),
            ("require", [module, version]) => self.required.push(Required {
                module: module.clone().into_owned(),
                version: version.clone().into_owned(),
                line,
                indirect: statement.comment.is_some_and(is_indirect),
            }),
            ("exclude", [module, version]) => {
                self.excluded.insert((module.clone().into_owned(), version.clone().into_owned()));
            }
            ("replace", words) => match replacement(words) {
                Ok(replaced) => self.replaced.push(replaced),
                Err(message) => faults.add(line, message),
            },
            // Packages of required modules, the own versions that are withdrawn, and how Go works.
            ("tool" | "retract" | "toolchain" | "godebug" | "ignore", [_, ..]) => {}
            ("require" | "exclude", _) => faults.add(line, "here a module and one version are expected"),
            ("module" | "go" | "tool" | "retract" | "toolchain" | "godebug" | "ignore", _) => {
                faults.add(line, &format!("{} takes one word", statement.verb));
            }
            (verb, _) => faults.add(line, &format!("go.mod has no directive {verb}")),
        }
    }

    /// Before Go 1.17 a `go.mod` lists only what its own packages import, not all that is built.
    fn say_what_is_not_listed(&self, faults: &mut Faults) {
        if self.required.is_empty() {
            return;
        }
        let advice = "so what its modules need themselves is not known; run go mod tidy -go=1.17 or newer";
        match &self.go {
            None => faults.note(&format!("it has no go directive, which stands for go 1.16, {advice}")),
            Some((version, line)) if minor(version).is_some_and(|minor| minor < 17) => {
                faults.add(*line, &format!("before go 1.17 a go.mod does not list all that is built, {advice}"));
            }
            Some((version, line)) if minor(version).is_none() => {
                faults.add(*line, &format!("{version} is no version of Go's language"));
            }
            Some(_) => {}
        }
    }

    fn into(self, path: &str, texts: &Texts, faults: &mut Faults) -> (Manifest, Lock) {
        let around = Around::of(path, texts);
        let mut instead: Map<(&str, Option<&str>), &Replacement> = Map::new();
        // What the workspace replaces goes before what the module does.
        for replaced in self.replaced.iter().chain(&around.replaced) {
            instead.insert((&replaced.module, replaced.version.as_deref()), replaced);
        }
        let replaced = |required: &Required| {
            let (module, version) = (required.module.as_str(), required.version.as_str());
            instead.get(&(module, Some(version))).or_else(|| instead.get(&(module, None))).copied()
        };
        let origin = |required: &Required| match replaced(required) {
            _ if around.members.contains(&required.module) => Origin::Workspace,
            Some(Replacement { by, by_version: None, .. }) => Origin::Path(by.clone()),
            _ => Origin::Registry(None),
        };
        let mut requirements = Vec::new();
        let mut chosen: Vec<&Required> = Vec::new();
        let mut places: Map<&str, usize> = Map::new();
        for required in &self.required {
            let Required { module, version, line, .. } = required;
            let known = is_version(version);
            requirements.push(Requirement {
                name: module.clone(),
                range: Some(version.clone()),
                bound: if known { Bound::Exact } else { Bound::Unknown },
                origin: origin(required),
                scope: Scope::Normal,
                line: *line,
                condition: None,
                hashed: around.sums.has(module, version),
            });
            if !known {
                let message = format!("{version} is no version, so which one of {module} is built is not known");
                faults.add(*line, &message);
            } else if self.excluded.contains(&(module.clone(), version.clone())) {
                let message = format!(
                    "{module} {version} is required and excluded: Go takes a newer one, which is not named here"
                );
                faults.add(*line, &message);
            } else if let Some(before) = places.get(module.as_str()).and_then(|place| chosen.get_mut(*place)) {
                // Of several Go takes the newest.
                if compare(Ecosystem::Go, version, &before.version) == Some(Ordering::Greater) {
                    *before = required;
                }
            } else {
                places.insert(module, chosen.len());
                chosen.push(required);
            }
        }
        let mut lock = Lock::default();
        for required in chosen {
            if !required.indirect {
                lock.direct.push(lock.packages.len());
            }
            let origin = origin(required);
            let (name, version) = match replaced(required) {
                Some(Replacement { by, by_version: Some(version), .. }) if origin != Origin::Workspace => (by, version),
                _ => (&required.module, &required.version),
            };
            let hashed = around.sums.has(name, version);
            lock.packages.push(Package { origin, hashed, ..Package::new(name, version, required.line) });
        }
        (Manifest { name: self.name, requirements, ..Manifest::default() }, lock)
    }
}

/// What files around a `go.mod` say about it.
#[derive(Default)]
struct Around<'a> {
    sums: Sums<'a>,
    replaced: Vec<Replacement>,
    /// The modules of the same workspace: they are built from their folders, whatever version is required.
    members: Set<String>,
}

impl<'a> Around<'a> {
    fn of(path: &str, texts: &'a Texts) -> Self {
        let mut around = Self::default();
        let sums = |work: &str| work.to_owned() + ".sum";
        let workspace = work::of_module(path, texts);
        let of_workspace = workspace.as_ref().map(|(work, _)| sums(work));
        for beside in beside(path, "go.sum").into_iter().chain(of_workspace) {
            if let Some(text) = texts.get(&beside) {
                around.sums.add(text);
            }
        }
        let Some((work_path, work)) = workspace else { return around };
        let modules = work.uses.iter().filter_map(|used| texts.get(&beside(work_path, &format!("{used}/go.mod"))?));
        around.members = modules.filter_map(|text| name(text)).collect();
        around.replaced = work.replaced;
        around
    }
}

/// The name of the module of a `go.mod`.
fn name(text: &str) -> Option<String> {
    let statements = statements(text, &mut Faults::default())?;
    let module = statements.into_iter().find(|statement| statement.verb == "module")?;
    module.words.into_iter().next().map(Cow::into_owned)
}

/// Reads what follows `replace`: `module [version] => module version`, or `=> folder`.
pub(super) fn replacement(words: &[Cow<'_, str>]) -> Result<Replacement, &'static str> {
    let words: Vec<&str> = words.iter().map(|word| &**word).collect();
    let (module, version, by, by_version) = match *words.as_slice() {
        [module, "=>", by] => (module, None, by, None),
        [module, version, "=>", by] => (module, Some(version), by, None),
        [module, "=>", by, by_version] => (module, None, by, Some(by_version)),
        [module, version, "=>", by, by_version] => (module, Some(version), by, Some(by_version)),
        _ => return Err("a replacement is written as: module [version] => module version, or => folder"),
    };
    match (is_folder(by), by_version) {
        (true, Some(_)) => Err("a folder that replaces a module has no version"),
        (false, None) => Err("a module that replaces another one needs a version; a folder begins with ./ or ../"),
        _ => Ok(Replacement {
            module: module.to_owned(),
            version: version.map(str::to_owned),
            by: by.to_owned(),
            by_version: by_version.map(str::to_owned),
        }),
    }
}

/// As `modfile.IsDirectoryPath`, whatever the system.
fn is_folder(path: &str) -> bool {
    let path = path.replace('\\', "/");
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    path == "." || path == ".." || drive || ["./", "../", "/"].iter().any(|start| path.starts_with(start))
}

/// `// indirect`, alone or before `;` and more, as Go reads it.
fn is_indirect(comment: &str) -> bool {
    let mut words = comment.split_whitespace();
    match (words.next(), words.next()) {
        (Some("indirect"), None) => true,
        (Some("indirect;"), more) => more.is_some(),
        _ => false,
    }
}

/// Whether it is a semantic version with `v`, as all versions of modules are, and not a branch.
fn is_version(version: &str) -> bool {
    let Some(rest) = version.strip_prefix('v') else { return false };
    let end = rest.find(['-', '+']).unwrap_or(rest.len());
    let (core, more) = rest.split_at(end);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(number)
        && more.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte))
}

/// The second number of a version of Go: 17 in `1.17`, `1.17.3` and `1.17rc1`. A later first number counts as very new.
fn minor(version: &str) -> Option<u32> {
    let (major, rest) = version.split_once('.').unwrap_or((version, "0"));
    let major: u32 = major.parse().ok()?;
    let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let minor = rest.get(..digits)?.parse().ok()?;
    Some(if major > 1 { u32::MAX } else { minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, around: &[(&str, &str)]) -> File {
        let texts = around.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        parse("a/go.mod", text, &texts)
    }

    fn locked(file: &File) -> Vec<String> {
        let lock = file.lock.as_ref().expect("a lock");
        let shown = |(place, package): (usize, &Package)| {
            let direct = if lock.direct.contains(&place) { "direct" } else { "indirect" };
            format!("{} {} {direct}", package.name, package.version)
        };
        lock.packages.iter().enumerate().map(shown).collect()
    }

    const DIGEST: &str = "h1:X0krlUVAVmtr2cRoTqR8aDMrDqnB36ht8wpWTiQ3jsA=";

    #[test]
    fn what_is_required_is_what_is_built() {
        let text = "module m.example/shop\n\ngo 1.21\n\nrequire (\n\tx.example/a v1.2.3\n\tx.example/b v0.0.0-20250401214520-65e299d6c5c9 \
                    // indirect\n\tx.example/c v2.0.0+incompatible // indirect; for d\n)\nrequire x.example/d v1.0.0 // indirect it is not\n\
                    tool x.example/d/cmd\nretract [v0.1.0, v0.2.0]\ntoolchain go1.22.1\n";
        let sum =
            format!("x.example/a v1.2.3 {DIGEST}\nx.example/b v0.0.0-20250401214520-65e299d6c5c9/go.mod {DIGEST}\n");
        let file = parsed(text, &[("a/go.sum", &sum)]);
        assert_eq!(file.faults, []);
        assert_eq!(
            locked(&file),
            [
                "x.example/a v1.2.3 direct",
                "x.example/b v0.0.0-20250401214520-65e299d6c5c9 indirect",
                "x.example/c v2.0.0+incompatible indirect",
                "x.example/d v1.0.0 direct"
            ]
        );
        let lock = file.lock.expect("a lock");
        assert_eq!(lock.packages.iter().map(|package| package.hashed).collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!(lock.packages.iter().map(|package| package.line).collect::<Vec<_>>(), [6, 7, 8, 10]);
        assert!(!lock.graph);
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(manifest.name.as_deref(), Some("m.example/shop"));
        assert!(manifest.requirements.iter().all(|required| required.bound == Bound::Exact));
    }

    #[test]
    fn what_replaces_is_what_is_built() {
        let text = "go 1.21\nrequire (\n a v1.0.0\n b v1.0.0\n c v1.0.0\n d v1.0.0\n)\nreplace (\n a => ../a\n b v1.0.0 => b.example/fork v1.1.0\n \
                    b => ./b\n c v2.0.0 => ./c\n)\nreplace d => d v1.5.0\n";
        let sum = format!("b.example/fork v1.1.0 {DIGEST}\n");
        let file = parsed(text, &[("a/go.sum", &sum)]);
        assert_eq!(
            locked(&file),
            ["a v1.0.0 direct", "b.example/fork v1.1.0 direct", "c v1.0.0 direct", "d v1.5.0 direct"]
        );
        let packages = file.lock.expect("a lock").packages;
        assert_eq!(packages[0].origin, Origin::Path("../a".to_owned()));
        assert!(packages[1].hashed);
        let asked = file.manifest.expect("a manifest").requirements;
        assert_eq!((asked[1].name.as_str(), asked[1].range.as_deref()), ("b", Some("v1.0.0")));
    }

    #[test]
    fn an_excluded_version_is_left_out_and_said() {
        let file = parsed("go 1.21\nrequire a v1.0.0\nrequire a v1.1.0\nexclude a v1.0.0\n", &[]);
        assert_eq!(locked(&file), ["a v1.1.0 direct"]);
        assert_eq!(file.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(2)]);
    }

    #[test]
    fn of_a_module_that_is_required_twice_the_newest_is_built() {
        let file = parsed("go 1.21\nrequire (\n a v1.9.0\n a v1.10.0\n a v1.2.0 // indirect\n)\n", &[]);
        assert_eq!(locked(&file), ["a v1.10.0 direct"]);
        assert_eq!(file.manifest.expect("a manifest").requirements.len(), 3);
    }

    #[test]
    fn before_go_1_17_not_all_is_listed_and_that_is_said() {
        assert_eq!(parsed("go 1.16\nrequire a v1.0.0\n", &[]).faults[0].line, Some(1));
        assert_eq!(parsed("require a v1.0.0\n", &[]).faults[0].line, None);
        assert_eq!(parsed("go 1.17\nrequire a v1.0.0\n", &[]).faults, []);
        assert_eq!(parsed("go 1.22rc1\nrequire a v1.0.0\n", &[]).faults, []);
        assert_eq!(parsed("go 1.12\n", &[]).faults, []);
    }

    #[test]
    fn a_branch_is_no_version() {
        let file = parsed("go 1.21\nrequire a main\nrequire b v1.0.0\n", &[]);
        assert_eq!(locked(&file), ["b v1.0.0 direct"]);
        assert_eq!(file.faults[0].line, Some(2));
        assert_eq!(file.manifest.expect("a manifest").requirements[0].bound, Bound::Unknown);
    }

    #[test]
    fn a_workspace_replaces_and_brings_its_members() {
        let work = "go 1.22\nuse (\n ./a\n ./lib\n)\nreplace x => x.example/y v3.0.0\n";
        let around = [
            ("go.work", work),
            ("lib/go.mod", "module m.example/lib\n"),
            ("go.work.sum", &format!("x.example/y v3.0.0 {DIGEST}\n")),
        ];
        let file = parsed("go 1.22\nrequire (\n x v1.0.0\n m.example/lib v0.0.0\n)\nreplace x => ./own\n", &around);
        assert_eq!(locked(&file), ["x.example/y v3.0.0 direct", "m.example/lib v0.0.0 direct"]);
        let packages = file.lock.expect("a lock").packages;
        assert_eq!((packages[0].hashed, &packages[1].origin), (true, &Origin::Workspace));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let text = "module\ngo 1.21\nrequire a\nreplace a => b\nreplace a => ./b v1.0.0\nreplace a b\nrequires x v1.0.0\n<<<<<<< HEAD\n\
                    require b v1.0.0\nexclude c\n";
        let file = parsed(text, &[]);
        let lines: Vec<_> = file.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6, 7, 8, 10]);
        assert_eq!(locked(&file), ["b v1.0.0 direct"]);
    }

    #[test]
    fn hostile_sizes_are_read_in_time() {
        let many = format!("require (\n{})\n", "a v1.0.0\n".repeat(200_000));
        assert!(parsed(&many, &[]).faults[0].whole);
        assert!(!parsed(&"(".repeat(1_000_000), &[]).faults.is_empty());
    }
}
