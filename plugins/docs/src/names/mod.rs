//! The names that documents mention and that the repository should have: paths, scripts, targets, services, variables,
//! flags, ports, versions.
//!
//! [`facts`] reads the repository once, for the plan. [`Repository::about`] tells of it what one document needs: the names in
//! it that are wrong. That is small and travels with the document's item, so that its result stays valid while what it
//! mentions stays. The findings are made of it by [`rules::names`](crate::rules::names).
//!
//! What can't be told is not judged, and counted: a finding must be true.

mod cargo;
mod command;
mod compose;
mod context;
mod ignore;
mod judge;
mod mention;
mod paths;
mod scripts;
mod shell;
mod tokens;
mod versions;

#[cfg(test)]
mod corpus_tests;

use std::collections::BTreeSet;

use convoke_sdk::{Entry, Project, Query};
use serde::{Deserialize, Serialize};

pub(crate) use mention::{Mention, of as mentions};
pub use mention::{Name, What};
pub(crate) use paths::joined;

use crate::markdown::Document;
use cargo::Cargo;
use ignore::Ignored;
use paths::Paths;
use scripts::{Names, Packages};
use tokens::Tokens;

/// The files that [`facts`] has to be given: all of the project, those with a dot too.
pub fn query() -> Query {
    Query::files(&["**"]).hidden()
}

/// What of the repository a document's names are judged by. It holds only what makes a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The names that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<Wrong>,
    /// How many names were looked up.
    #[serde(default)]
    pub judged: u32,
    /// How many look like names and could not be judged.
    #[serde(default)]
    pub unjudged: u32,
    /// The files of the repository that the document names, each once, in its order; at most [`MOST_FILES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// The most files that [`Facts`] hold.
pub const MOST_FILES: usize = 24;

/// A name that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wrong {
    /// The name.
    pub name: Name,
    /// What the repository has instead, in a few words.
    pub why: String,
    /// The one name that is meant, where there is exactly one candidate: what a repair writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// What the repository has, as far as documents name it.
#[derive(Debug, Default)]
pub struct Repository {
    paths: Paths,
    /// The listing has names with a dot: what begins with one can be missing.
    hidden: bool,
    ignored: Ignored,
    packages: Packages,
    targets: Names,
    recipes: Names,
    /// Something in the repository makes files of Make.
    makes_makefiles: bool,
    cargo: Cargo,
    services: Names,
    /// A file tells a port: one of Compose, of Docker.
    ports: bool,
    tokens: Tokens,
    /// Programs of its own, beside those of Cargo and npm.
    programs: BTreeSet<String>,
    /// Names by which the repository is cloned.
    own: BTreeSet<String>,
    /// Bounds from below for versions of tools: the tool, the file, the bound.
    versions: Vec<(&'static str, String, String)>,
    /// What could not be read, or was not.
    notes: Vec<String>,
}

/// Reads what documents may name. `files` are those of [`query`]. What can't be read makes that nothing is judged by it, and
/// is in [`Repository::notes`].
pub async fn facts(project: &impl Project, files: &[Entry]) -> Repository {
    let mut repository = Repository {
        paths: Paths::of(files.iter().map(|entry| entry.path.as_str())),
        hidden: files.iter().any(|entry| entry.path.starts_with('.') || entry.path.contains("/.")),
        ..Repository::default()
    };
    // Outer folders first, as later patterns of what is ignored decide.
    let mut ordered: Vec<&Entry> = files.iter().collect();
    ordered.sort_by_key(|entry| (entry.path.matches('/').count(), entry.path.as_str()));
    let mut bytes = 0;
    let mut unread = 0u32;
    for entry in ordered {
        if !(is_manifest(&entry.path) || is_code(&entry.path)) {
            continue;
        }
        if entry.size > tokens::LARGEST || bytes > tokens::MOST_BYTES {
            repository.unread(&entry.path);
            unread += 1;
            continue;
        }
        match project.read(&entry.path).await {
            Ok(text) => {
                bytes += text.len() as u64;
                repository.read(&entry.path, &text);
            }
            Err(_) => {
                repository.unread(&entry.path);
                unread += 1;
            }
        }
    }
    if unread > 0 {
        repository.notes.push(format!(
            "{unread} files of code are too large or can't be read: variables, flags and ports in documents are not judged"
        ));
    }
    repository.own.extend(std::mem::take(&mut repository.packages.own));
    repository.own.extend(std::mem::take(&mut repository.cargo.own));
    repository
}

/// Whether a file says what can be run or named, and is read whole.
fn is_manifest(path: &str) -> bool {
    let name = paths::name_of(path);
    matches!(name, "package.json" | "Cargo.toml" | "go.mod" | "pyproject.toml" | ".gitignore" | ".ignore")
        || path.ends_with(".cargo/config.toml")
        || scripts::is_makefile(name)
        || scripts::is_justfile(name)
        || compose::is_compose(name)
}

/// Whether a file is text that is no document, and not made by a tool.
fn is_code(path: &str) -> bool {
    let name = paths::name_of(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let document = matches!(ending, "md" | "mdx" | "rst" | "adoc" | "html" | "ipynb");
    let made = name.contains(".min.") || name.ends_with("-lock.json") || name.ends_with("-lock.yaml");
    let dotted = name.starts_with(".env") || name.contains("Dockerfile");
    !document && !made && (paths::is_kept(name) || dotted || !name.contains('.'))
}

impl Repository {
    /// What a reader of the report should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What one document needs to know.
    pub fn about(&self, document: &Document, path: &str) -> Facts {
        judge::about(self, document, path)
    }

    /// A file that was not read: what it may define is open.
    fn unread(&mut self, path: &str) {
        let name = paths::name_of(path);
        self.tokens.open = true;
        self.packages.scripts.open |= name == "package.json";
        self.targets.open |= scripts::is_makefile(name);
        self.recipes.open |= scripts::is_justfile(name);
        self.cargo.open |= name == "Cargo.toml";
        self.services.open |= compose::is_compose(name);
    }

    fn read(&mut self, path: &str, bytes: &[u8]) {
        let name = paths::name_of(path);
        // Text of another encoding, or none: its names are found as far as they are ASCII.
        let text = String::from_utf8_lossy(bytes);
        match name {
            "package.json" => self.packages.read(path, &text),
            "Cargo.toml" => self.cargo.read(path, &text, &self.paths),
            "go.mod" => {
                let module = text.lines().find_map(|line| line.strip_prefix("module "));
                self.own.extend(module.map(|module| scripts::repository_name(module.trim())));
                self.bound("Go", path, versions::go(&text));
            }
            "pyproject.toml" => self.read_pyproject(path, &text),
            // `cmd/NAME/main.go`
            "main.go" if path.contains("cmd/") => {
                self.programs.insert(paths::name_of(paths::folder_of(path)).to_owned());
            }
            ".gitignore" | ".ignore" => self.ignored.add(path, &text),
            "CMakeLists.txt" | "configure" | "configure.ac" | "Makefile.am" | "Makefile.in" | "Makefile.PL" => {
                self.makes_makefiles = true;
            }
            _ => {}
        }
        if path.ends_with(".cargo/config.toml") {
            self.cargo.read_config(&text);
        }
        if scripts::is_makefile(name) {
            scripts::make(&mut self.targets, &text);
        }
        if scripts::is_justfile(name) {
            scripts::just(&mut self.recipes, &text);
        }
        if compose::is_compose(name) {
            compose::services(&mut self.services, &text);
            self.ports = true;
        }
        self.ports |= name.contains("Dockerfile") && text.contains("EXPOSE");
        self.tokens.read(path, bytes);
        for (path, bound) in std::mem::take(&mut self.packages.node) {
            self.bound("Node", &path, Some(&bound));
        }
        for (path, bound) in std::mem::take(&mut self.cargo.rust) {
            self.bound("Rust", &path, Some(&bound));
        }
    }

    fn read_pyproject(&mut self, path: &str, text: &str) {
        let Ok(table) = text.parse::<toml::Table>() else { return };
        let of = |key: &str| table.get("project").and_then(|project| project.get(key));
        self.bound("Python", path, of("requires-python").and_then(toml::Value::as_str));
        let scripts = of("scripts").and_then(toml::Value::as_table);
        self.programs.extend(scripts.into_iter().flat_map(|scripts| scripts.keys()).cloned());
        self.own.extend(of("name").and_then(toml::Value::as_str).map(str::to_owned));
    }

    fn bound(&mut self, tool: &'static str, path: &str, requirement: Option<&str>) {
        if let Some(least) = requirement.and_then(versions::least) {
            self.versions.push((tool, path.to_owned(), least));
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use convoke_sdk::testing::{Map, now};

    use super::*;
    use crate::markdown::parse;

    /// The repository of these files.
    pub(crate) fn repository(files: &[(&str, &str)]) -> Repository {
        let project = Map::with(files);
        now(async {
            let files = convoke_sdk::Project::list(&project, &query()).await.expect("a listing");
            facts(&project, &files).await
        })
    }

    /// What is wrong in a document of such a repository: the name, and the one that is meant.
    pub(crate) fn wrong(files: &[(&str, &str)], path: &str, text: &str) -> Vec<String> {
        let facts = repository(files).about(&parse(text), path);
        let shown = |wrong: &Wrong| match &wrong.instead {
            Some(instead) => format!("{} -> {instead}", wrong.name.text),
            None => wrong.name.text.clone(),
        };
        facts.wrong.iter().map(shown).collect()
    }
}
