//! Public items without documentation, in libraries of Rust, Python and TypeScript.
//!
//! [`packages`] finds the libraries for the plan; [`check`] reads one of them for its item, and gives one finding a file. Only
//! what a user of the library can reach is public: of Rust what its root makes public or exports again, of Python what has no
//! underscore before it and is in `__all__` where there is one, of TypeScript what the package's entry exports.

mod python;
mod rust;
mod rust_reach;
mod rust_scan;
mod typescript;
mod typescript_scan;

use std::collections::BTreeMap;

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use convoke_sdk::{Entry, Project};

/// The language of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", rename_all = "lowercase")]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// TypeScript.
    TypeScript,
}

/// A library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Package {
    /// What it is written in.
    pub language: Language,
    /// Its folder; empty for the project's own.
    pub folder: String,
    /// The file that makes its interface: `src/lib.rs`, `src/index.ts`. Of Python none: all its files do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// How many bytes there are to be read, about.
    #[serde(skip)]
    pub bytes: u64,
}

/// The libraries of a project, and what is not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packages {
    /// The libraries, by folder.
    pub packages: Vec<Package>,
    /// The files of languages that are not covered, by the language.
    pub not_covered: BTreeMap<&'static str, u32>,
}

impl Packages {
    /// What a reader of the report should know: the languages that are not covered.
    pub fn note(&self) -> Option<String> {
        let files: u32 = self.not_covered.values().sum();
        let languages: Vec<&str> = self.not_covered.keys().copied().collect();
        (files > 0).then(|| {
            format!(
                "documentation in code is looked for in libraries of Rust, Python and TypeScript; {files} files of {} are not covered",
                languages.join(", ")
            )
        })
    }
}

impl Language {
    /// As its users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::TypeScript => "TypeScript",
        }
    }
}

impl Package {
    /// What names it in each run: the folder, and the language.
    pub fn id(&self) -> String {
        let folder = if self.folder.is_empty() { "the project" } else { self.folder.as_str() };
        format!("public items of {folder} ({})", self.language.name())
    }
}

/// The languages that are not covered, by the endings of their files.
const OTHERS: &[(&str, &str)] = &[
    ("c", "C"),
    ("cc", "C++"),
    ("cpp", "C++"),
    ("cs", "C#"),
    ("dart", "Dart"),
    ("ex", "Elixir"),
    ("go", "Go"),
    ("h", "C"),
    ("hpp", "C++"),
    ("hs", "Haskell"),
    ("java", "Java"),
    ("js", "JavaScript"),
    ("jsx", "JavaScript"),
    ("kt", "Kotlin"),
    ("mjs", "JavaScript"),
    ("php", "PHP"),
    ("rb", "Ruby"),
    ("scala", "Scala"),
    ("swift", "Swift"),
];

/// The most files of a library that are said to be not understood.
const MOST_UNREAD: usize = 20;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Finds the libraries. `files` are all of the project.
pub async fn packages(project: &impl Project, files: &[Entry]) -> Packages {
    let mut found = Packages::default();
    for entry in files {
        let name = name_of(&entry.path);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if let Some((_, language)) = OTHERS.iter().find(|(other, _)| *other == ending) {
            *found.not_covered.entry(language).or_default() += 1;
        }
        let package = match name {
            "Cargo.toml" => rust::library(project, &entry.path, files).await,
            "pyproject.toml" | "setup.py" | "setup.cfg" => python::library(&entry.path, files),
            "package.json" => typescript::library(project, &entry.path, files).await,
            _ => None,
        };
        found.packages.extend(package);
    }
    found.packages.sort_by(|a, b| (&a.folder, a.language).cmp(&(&b.folder, b.language)));
    found.packages.dedup_by(|a, b| a.folder == b.folder && a.language == b.language);
    found
}

/// An item that can be documented.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Public {
    /// As a reader knows it: `Type::method`.
    pub(crate) name: String,
    /// Counted from 1.
    pub(crate) line: u32,
    pub(crate) documented: bool,
}

/// What was found in a library.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// One finding a file that has items without documentation.
    pub findings: Vec<Finding>,
    /// Public items.
    pub items: u32,
    /// Those without documentation.
    pub undocumented: u32,
    /// Files that could not be read or understood, and why.
    pub unread: Vec<(String, String)>,
}

impl Checked {
    /// What is reported for the library.
    pub fn partial(self, language: Language) -> Partial {
        let mut partial = Partial::done()
            .metric(Metric::sum("public items", f64::from(self.items), "items"))
            .metric(Metric::sum("public items without documentation", f64::from(self.undocumented), "items"));
        partial.findings = self.findings;
        let more = self.unread.len().saturating_sub(MOST_UNREAD);
        for (at, (path, why)) in self.unread.into_iter().enumerate().take(MOST_UNREAD) {
            let mut message = format!("its public items are unknown: {} ({})", shown(&why, 200), language.name());
            if more > 0 && at + 1 == MOST_UNREAD {
                message.push_str(&format!(" (and {more} more files like it)"));
            }
            partial.findings.push(Finding::new("code-not-understood", Severity::Info, message).in_file(path));
        }
        partial
    }

    fn add(&mut self, path: &str, mut items: Vec<Public>) {
        items.sort_by(|a, b| (a.line, &a.name).cmp(&(b.line, &b.name)));
        let missing: Vec<&Public> = items.iter().filter(|item| !item.documented).collect();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.items += count(items.len());
        self.undocumented += count(missing.len());
        let Some(first) = missing.first() else { return };
        let mut names: Vec<String> =
            missing.iter().take(6).map(|item| format!("`{}`", shown(&item.name, 80))).collect();
        if missing.len() > names.len() {
            names.push(format!("{} more", missing.len() - names.len()));
        }
        let message = match (missing.len(), items.len()) {
            (1, 1) => format!("its one public item has no documentation: {}", names.join(", ")),
            (missing, all) => format!("{missing} of {all} public items have no documentation: {}", names.join(", ")),
        };
        let finding = Finding::new("public-undocumented", Severity::Info, message).at(path, first.line);
        self.findings.push(finding.fingerprint(format!("public-undocumented {path}")));
    }

    fn unread(&mut self, path: &str, why: &str) {
        self.unread.push((path.to_owned(), why.to_owned()));
    }
}

/// Looks at one library. What it reads is read through `project`, so that the result holds while that is unchanged.
pub async fn check(project: &impl Project, package: &Package) -> Checked {
    match package.language {
        Language::Rust => rust::check(project, package).await,
        Language::Python => python::check(project, package).await,
        Language::TypeScript => typescript::check(project, package).await,
    }
}

/// The text of a file, or why it can't be had.
async fn read(project: &impl Project, path: &str) -> std::result::Result<String, String> {
    let bytes = project.read(path).await.map_err(|error| error.message)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path below a folder.
fn below(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// What stands below a folder in a path.
fn inside<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

/// Whether a path is that of a test, an example or the like.
fn is_aside(path: &str) -> bool {
    const ASIDE: &[&str] = &[
        "__tests__",
        "__mocks__",
        "benches",
        "benchmarks",
        "build",
        "dist",
        "docs",
        "e2e",
        "examples",
        "fixtures",
        "migrations",
        "node_modules",
        "scripts",
        "site-packages",
        "stories",
        "target",
        "test",
        "testdata",
        "testing",
        "tests",
        "vendor",
        "venv",
    ];
    folder_of(path).split('/').any(|part| ASIDE.contains(&part) || part.starts_with('.'))
}

#[cfg(test)]
pub(crate) mod testing {
    use convoke_sdk::testing::{Map, now};

    use super::*;

    /// The items of all libraries in these files: with `-` before those that have no documentation.
    pub(crate) fn items(files: &[(&str, &str)]) -> Vec<String> {
        let project = Map::with(files);
        let files = now(convoke_sdk::Project::list(&project, &Query::files(&["**"]))).expect("a listing");
        let packages = now(packages(&project, &files)).packages;
        let mut found = Vec::new();
        for package in &packages {
            let checked = now(check(&project, package));
            assert_eq!(checked.unread, []);
            let said = checked.findings.into_iter().map(|finding| {
                let names = finding.message.rsplit(": ").next().unwrap_or("").replace('`', "");
                format!("{}:{} {names}", finding.path.unwrap_or_default(), finding.line.unwrap_or(0))
            });
            found.extend(said);
            found.push(format!("{} of {}", checked.undocumented, checked.items));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_finding() {
        let mut checked = Checked::default();
        let item = |line: u32, documented| Public { name: format!("i{line}"), line, documented };
        checked.add("a.rs", (1..=9).map(|line| item(line, line == 1)).collect());
        checked.add("b.rs", vec![item(1, true)]);
        checked.add("c.rs", vec![item(3, false)]);
        let said: Vec<&str> = checked.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "8 of 9 public items have no documentation: `i2`, `i3`, `i4`, `i5`, `i6`, `i7`, 2 more",
                "its one public item has no documentation: `i3`"
            ]
        );
        assert_eq!((checked.items, checked.undocumented, checked.findings[0].line), (11, 9, Some(2)));
        assert_eq!(checked.findings[0].rule, "public-undocumented");
    }

    #[test]
    fn a_file_that_is_not_understood_is_said() {
        let files = [("Cargo.toml", "[package]\nname = 'a'"), ("src/lib.rs", "pub mod b;"), ("src/b.rs", "pub fn (")];
        let project = convoke_sdk::testing::Map::with(&files);
        let package =
            Package { language: Language::Rust, folder: String::new(), root: "src/lib.rs".to_owned(), bytes: 0 };
        let partial = convoke_sdk::testing::now(check(&project, &package)).partial(Language::Rust);
        let found: Vec<_> =
            partial.findings.iter().map(|finding| (finding.rule.as_str(), finding.path.as_deref())).collect();
        assert_eq!(found, [("public-undocumented", Some("src/lib.rs")), ("code-not-understood", Some("src/b.rs"))]);
        assert_eq!(package.id(), "public items of the project (Rust)");
    }

    #[test]
    fn languages_that_are_not_covered_are_said() {
        let files: Vec<Entry> = ["a.go", "b.go", "c/A.java", "d.rs"]
            .map(|path| Entry { path: path.to_owned(), kind: convoke_sdk::Kind::File, size: 0 })
            .into();
        let project = convoke_sdk::testing::Map::of(&[]);
        let found = convoke_sdk::testing::now(packages(&project, &files));
        assert!(found.note().is_some_and(|note| note.ends_with("3 files of Go, Java are not covered")));
        assert_eq!(Packages::default().note(), None);
    }
}
