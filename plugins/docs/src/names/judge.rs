//! Whether a name is wrong: looked for where it may be, and wrong only where it is nowhere.

use std::collections::BTreeMap;

use convoke_sdk::text::shown;

use super::mention::{self, Name, What};
use super::paths::{self, cleaned, folder_of, is_kept, is_made, joined, name_of};
use super::scripts::Names;
use super::{Facts, MOST_FILES, Repository, Wrong, versions};
use crate::markdown::Document;

/// What became of a name.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It is there; the file, where it is one.
    There(Option<String>),
    /// It can't be told.
    Open,
    /// It is wrong: what there is instead, and the one that is meant.
    Wrong(String, Option<String>),
}

/// Names that stand for many files: that there is one elsewhere says nothing.
const COMMON: &[&str] = &[
    "__init__.py",
    "config",
    "config.json",
    "config.toml",
    "config.yaml",
    "config.yml",
    "Cargo.toml",
    "Dockerfile",
    "Gemfile",
    "go.mod",
    "index",
    "index.html",
    "index.js",
    "index.ts",
    "index.tsx",
    "lib.rs",
    "LICENSE",
    "main.go",
    "main.py",
    "main.rs",
    "main.tf",
    "Makefile",
    "mod.rs",
    "package.json",
    "pom.xml",
    "pyproject.toml",
    "README.md",
    "settings.json",
    "settings.py",
    "setup.py",
    "SKILL.md",
    "types.ts",
    "utils.py",
    "values.yaml",
];

/// Ports that programs of others take by themselves.
const COMMON_PORTS: &[&str] = &[
    "80", "443", "1313", "1337", "2379", "3000", "3001", "3100", "3306", "4000", "4173", "4200", "4317", "4318",
    "4321", "5000", "5173", "5432", "5601", "5672", "6006", "6379", "7860", "8000", "8080", "8081", "8086", "8088",
    "8090", "8443", "8501", "8545", "8787", "8888", "8983", "9000", "9001", "9090", "9091", "9092", "9093", "9100",
    "9200", "9411", "11434", "15672", "16686", "27017",
];

/// What a document needs to know of the repository.
pub(super) fn about(repository: &Repository, document: &Document, path: &str) -> Facts {
    let mentions = mention::of(document, path);
    let mut facts = Facts { unjudged: mentions.unjudged, ..Facts::default() };
    let mut seen: BTreeMap<Name, ()> = BTreeMap::new();
    for mention in mentions.all {
        if seen.insert(mention.name.clone(), ()).is_some() {
            continue;
        }
        match repository.judge(&mention.name, path) {
            Verdict::There(file) => {
                facts.judged += 1;
                if let Some(file) = file.filter(|file| facts.files.len() < MOST_FILES && !facts.files.contains(file)) {
                    facts.files.push(file);
                }
            }
            Verdict::Open => facts.unjudged += 1,
            Verdict::Wrong(why, instead) => {
                facts.judged += 1;
                facts.wrong.push(Wrong { name: mention.name, why, instead });
            }
        }
    }
    facts
}

/// Among more names the one that is meant is not looked for.
const MOST_NEAR: usize = 2_000;

/// The one of these that differs by a letter or two.
fn near<'a>(name: &str, all: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let most = if name.len() < 5 { 1 } else { 2 };
    let mut close = all
        .into_iter()
        .take(MOST_NEAR)
        .filter(|other| other.len().abs_diff(name.len()) <= most && strsim::osa_distance(name, other) <= most);
    let first = close.next()?;
    close.next().is_none().then(|| first.clone())
}

/// A few of the names there are.
fn some<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    let all: Vec<&String> = all.into_iter().collect();
    let mut text = all.iter().take(6).map(|name| format!("`{}`", shown(name, 60))).collect::<Vec<_>>().join(", ");
    if all.len() > 6 {
        text.push_str(&format!(" and {} more", all.len() - 6));
    }
    text
}

impl Repository {
    fn judge(&self, name: &Name, document: &str) -> Verdict {
        // What is said after another repository was cloned is said of that one.
        if !name.cloned.is_empty() && !self.own.contains(&name.cloned) && !self.is_titled(&name.cloned) {
            return Verdict::Open;
        }
        let text = name.text.as_str();
        match name.what {
            What::Path => self.path(text, document, false),
            What::Argument => self.path(text, document, true),
            What::Import => self.import(text, document),
            What::Script => self.named(text, &self.packages.scripts, "script of a `package.json`", "scripts"),
            What::Target => self.target(text),
            What::Recipe => self.named(text, &self.recipes, "recipe of the justfile", "recipes"),
            What::Bin => self.cargo(text, &self.cargo.bins, "binaries"),
            What::Example => self.cargo(text, &self.cargo.examples, "examples"),
            What::Test => self.cargo(text, &self.cargo.tests, "tests"),
            What::Bench => self.cargo(text, &self.cargo.benches, "benchmarks"),
            What::Feature => self.cargo(text, &self.cargo.features, "features"),
            What::Package if self.cargo.dependencies.contains(text) => Verdict::There(None),
            What::Package => self.cargo(text, &self.cargo.packages, "packages"),
            What::Service => self.service(text),
            What::Module => self.module(text),
            What::Variable => self.variable(text),
            What::Flag => self.flag(text, &name.of),
            What::Port => self.port(text),
            What::Version => self.version(text, &name.of),
        }
    }

    /// Whether the repository goes by that name: a folder of it does not count, a program does.
    fn is_titled(&self, name: &str) -> bool {
        self.cargo.bins.contains(name) || self.packages.programs.contains(name)
    }

    fn named(&self, name: &str, names: &Names, kind: &str, plural: &str) -> Verdict {
        if names.names.contains(name) {
            return Verdict::There(None);
        }
        if !names.any || !names.lack(name) {
            return Verdict::Open;
        }
        let known = if names.names.is_empty() {
            format!("it is no {kind}: there are no {plural}")
        } else {
            format!("it is no {kind}: there are {}", some(names.names.iter().filter(|name| !name.starts_with('.'))))
        };
        Verdict::Wrong(known, near(name, &names.names))
    }

    fn target(&self, name: &str) -> Verdict {
        let is_file = self.paths.ending_in(name).next().is_some();
        let implied = ["c", "cc", "cpp", "cxx", "s", "sh"]
            .iter()
            .any(|ending| !self.paths.named(&format!("{name}.{ending}")).is_empty());
        if self.targets.names.contains(name) || is_file || implied {
            return Verdict::There(None);
        }
        if self.makes_makefiles {
            return Verdict::Open;
        }
        if !self.targets.any {
            // What every other repository has may be meant of another one.
            let common = ["all", "build", "check", "clean", "install", "test", "uninstall", "distclean", "menuconfig"];
            return if common.contains(&name) {
                Verdict::Open
            } else {
                Verdict::Wrong("the repository has no Makefile".to_owned(), None)
            };
        }
        self.named(name, &self.targets, "target of a Makefile", "targets")
    }

    fn cargo(&self, name: &str, names: &std::collections::BTreeSet<String>, kind: &str) -> Verdict {
        if names.contains(name) {
            return Verdict::There(None);
        }
        // An underscore for a hyphen is taken for packages' names only.
        if !self.cargo.any || self.cargo.open || name == "default" {
            return Verdict::Open;
        }
        let why = match names.is_empty() {
            true => format!("no package of the repository has {kind}"),
            false => format!("the repository has {}", some(names)),
        };
        Verdict::Wrong(why, near(name, names))
    }

    fn service(&self, name: &str) -> Verdict {
        if !self.services.any {
            return Verdict::Wrong("the repository has no file for Compose".to_owned(), None);
        }
        self.named(name, &self.services, "service of a Compose file", "services")
    }

    /// A module of the repository's own: others are nobody's to judge.
    fn module(&self, name: &str) -> Verdict {
        let Some((first, _)) = name.split_once('.') else { return Verdict::Open };
        let path = name.replace('.', "/");
        let there = [format!("{path}.py"), format!("{path}/__main__.py"), format!("{path}/__init__.py")];
        if let Some(found) = there.iter().find_map(|path| self.paths.ending_in(path).next()) {
            return Verdict::There(Some(found.to_owned()));
        }
        let inside = format!("{first}/__init__.py");
        if self.paths.ending_in(&inside).next().is_none() {
            return Verdict::Open;
        }
        Verdict::Wrong(format!("there is a package `{}`, and no such module in it", shown(first, 60)), None)
    }

    fn variable(&self, name: &str) -> Verdict {
        if self.tokens.has(name) {
            return Verdict::There(None);
        }
        if self.tokens.open || !self.tokens.owns(name) {
            return Verdict::Open;
        }
        let like = self.tokens.like(name);
        Verdict::Wrong(format!("no file of code has it: there are {}", some(&like)), near(name, &like))
    }

    /// A flag of a program of the repository, that no file of code has in any writing.
    fn flag(&self, flag: &str, program: &str) -> Verdict {
        let programs = [&self.cargo.bins, &self.packages.programs, &self.programs];
        let own = programs.iter().any(|programs| programs.contains(program));
        let bare = flag.strip_prefix("no-").unwrap_or(flag);
        if matches!(bare, "help" | "version" | "color" | "colour" | "verbose" | "quiet") {
            return Verdict::Open;
        }
        if !own || self.tokens.open || !self.tokens.flags || is_elsewhere(program) {
            return Verdict::Open;
        }
        if self.tokens.has(flag) || self.tokens.has(bare) {
            return Verdict::There(None);
        }
        Verdict::Wrong(format!("no file of code has a flag of that name for `{}`", shown(program, 60)), None)
    }

    fn port(&self, port: &str) -> Verdict {
        if self.tokens.has(port) {
            return Verdict::There(None);
        }
        if self.tokens.open || !self.ports || COMMON_PORTS.contains(&port) {
            return Verdict::Open;
        }
        Verdict::Wrong("no file of the repository has that port".to_owned(), None)
    }

    fn version(&self, claimed: &str, tool: &str) -> Verdict {
        let bounds = self.versions.iter().filter(|(of, ..)| *of == tool);
        let lowest = bounds.reduce(|a, b| if versions::is_less(&b.2, &a.2) { b } else { a });
        match lowest {
            None => Verdict::Open,
            Some((_, path, least)) if versions::is_less(claimed, least) => {
                Verdict::Wrong(format!("{} asks for {} at least", shown(path, 120), shown(least, 40)), None)
            }
            Some(_) => Verdict::There(None),
        }
    }

    /// What another document imports: from its own folder, and nowhere else.
    fn import(&self, text: &str, document: &str) -> Verdict {
        let Some(path) = joined(folder_of(document), text) else { return Verdict::Open };
        if self.paths.is_file(&path) {
            return Verdict::There(Some(path));
        }
        // In a text `@name.md` may be anybody; there it has to look like a path.
        if !text.contains('/') && !text.ends_with(".md") || self.ignored.has(&path) || self.is_unseen(&path) {
            return Verdict::Open;
        }
        Verdict::Wrong("what is imported is not there".to_owned(), None)
    }

    /// Whether a path would not be in the listing if it were there.
    fn is_unseen(&self, path: &str) -> bool {
        !self.hidden && path.split('/').any(|part| part.starts_with('.'))
    }

    /// `used`: a command reads or runs it.
    fn path(&self, text: &str, document: &str, used: bool) -> Verdict {
        let Some(path) = cleaned(text) else { return Verdict::Open };
        let folder = folder_of(document);
        let dotted = text.starts_with("./") || text.starts_with("../");
        let path = match path.rfind("../") {
            None => path.trim_start_matches("./").to_owned(),
            Some(at) => {
                // From wherever a command is run then, from the document's folder: where it leads out, nobody knows.
                let Some(from) = joined(folder, &path) else { return Verdict::Open };
                if self.paths.has(&from) {
                    return Verdict::There(Some(from).filter(|path| self.paths.is_file(path)));
                }
                path.get(at + 3..).unwrap_or("").to_owned()
            }
        };
        if path.is_empty() || path == "." || path == ".." {
            return Verdict::Open;
        }
        // Where several end the same, that in the document's own folders comes first.
        let from_here = joined(folder, &path).filter(|path| self.paths.has(path));
        if let Some(found) = from_here.as_deref().or_else(|| self.paths.ending_in(&path).next()) {
            let only = self.paths.ending_in(&path).nth(1).is_none() || self.paths.has(&path) || from_here.is_some();
            return Verdict::There(Some(found.to_owned()).filter(|found| only && self.paths.is_file(found)));
        }
        let in_folder = joined(folder, &path).unwrap_or_default();
        if is_made(&path) || self.ignored.has(&path) || self.ignored.has(&in_folder) || self.is_unseen(&path) {
            return Verdict::Open;
        }
        let kept = is_kept(name_of(&path));
        let parts = path.split('/').count();
        if let [one] = self.paths.but_for_case(&path).as_slice()
            && kept
            && parts > 1
            && let Some(written) = one.get(one.len().saturating_sub(path.len())..)
        {
            return Verdict::Wrong(
                format!("it is there in other letters: {}", shown(one, 200)),
                Some(text.replacen(&path, written, 1)),
            );
        }
        if parts == 1 {
            // Alone, a file's name may be any file's: only what a command uses has to be there.
            return if used && kept && !COMMON.contains(&name_of(&path)) && self.is_worked_in(document) {
                Verdict::Wrong("no file of the repository has that name".to_owned(), None)
            } else {
                Verdict::Open
            };
        }
        if !(kept || used || text.trim_end().ends_with('/')) {
            return Verdict::Open;
        }
        let moved = match self.paths.named(name_of(&path)).as_slice() {
            [one] if kept && !COMMON.contains(&name_of(one)) => Some((*one).to_owned()),
            _ => None,
        };
        if !self.is_anchored(&path, folder) && !dotted && moved.is_none() {
            return Verdict::Open;
        }
        let why = match &moved {
            Some(one) => format!("the only file of that name is {}", shown(one, 200)),
            None => "it is not in the repository".to_owned(),
        };
        // What is written from elsewhere than the root stays for a person to mend.
        let instead = moved.filter(|_| !dotted && !used && folder.is_empty());
        Verdict::Wrong(why, instead.map(|path| mended(text, &path)))
    }

    /// Whether a path begins with a folder of the repository: at its root, or beside the document or above it.
    fn is_anchored(&self, path: &str, folder: &str) -> bool {
        let first = path.split('/').next().unwrap_or("");
        let mut folder = Some(folder);
        while let Some(from) = folder {
            if joined(from, first).is_some_and(|path| self.paths.is_folder(&path)) {
                return true;
            }
            folder = if from.is_empty() { None } else { Some(folder_of(from)) };
        }
        false
    }

    /// Whether the folder of a document has code: a document among documents may speak of its reader's files.
    fn is_worked_in(&self, document: &str) -> bool {
        let folder = folder_of(document);
        self.paths.below(folder).any(|path| super::is_manifest(path) || super::is_code(path) && !path.ends_with(".txt"))
    }
}

/// A name with a new path, and what stood behind the old one: `:12`.
fn mended(text: &str, path: &str) -> String {
    let end = text.find(['#', ':']).and_then(|at| text.get(at..)).unwrap_or("");
    // A line of a file that has moved may be another one now.
    if end.is_empty() { path.to_owned() } else { format!("{path}{end}") }
}

/// Names of programs that are those of others as well.
fn is_elsewhere(program: &str) -> bool {
    program.len() < 3
        || paths::is_any(program)
        || ["test", "server", "client", "main", "app", "cli", "serve"].contains(&program)
}

#[cfg(test)]
mod tests;
