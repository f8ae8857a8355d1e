//! What manifests and lockfiles say, whoever reads them: the words that all formats share.

use convoke_sdk::small::Map;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A package manager, or the family of those that share manifests and a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// Rust's cargo.
    Cargo,
    /// npm, yarn and pnpm.
    Npm,
    /// pip, poetry, uv and pipenv.
    Python,
    /// Go modules.
    Go,
    /// Java's Maven.
    Maven,
    /// Gradle; its packages are those of Maven.
    Gradle,
    /// .NET's NuGet.
    #[serde(rename = "nuget")]
    NuGet,
    /// Ruby's Bundler.
    Bundler,
}

/// Where packages have their names, as OSV calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ecosystem {
    /// The registry of cargo.
    #[serde(rename = "crates.io")]
    CratesIo,
    /// The registry of npm.
    #[serde(rename = "npm")]
    Npm,
    /// The Python package index.
    PyPI,
    /// Go's modules.
    Go,
    /// Maven's repositories; names are `group:artifact`.
    Maven,
    /// NuGet's gallery.
    NuGet,
    /// Ruby's gems.
    RubyGems,
}

impl Manager {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Cargo, Self::Npm, Self::Python, Self::Go, Self::Maven, Self::Gradle, Self::NuGet, Self::Bundler];

    /// The one that is shown as this.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|manager| manager.name() == name)
    }

    /// Where its packages have their names.
    pub const fn ecosystem(self) -> Ecosystem {
        match self {
            Self::Cargo => Ecosystem::CratesIo,
            Self::Npm => Ecosystem::Npm,
            Self::Python => Ecosystem::PyPI,
            Self::Go => Ecosystem::Go,
            Self::Maven | Self::Gradle => Ecosystem::Maven,
            Self::NuGet => Ecosystem::NuGet,
            Self::Bundler => Ecosystem::RubyGems,
        }
    }

    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Python => "python",
            Self::Go => "go",
            Self::Maven => "maven",
            Self::Gradle => "gradle",
            Self::NuGet => "nuget",
            Self::Bundler => "bundler",
        }
    }
}

/// What one file says. A file may be a manifest, a lockfile, or both: a `requirements.txt` in which all is pinned, a `go.mod`.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// From the project's folder, with `/`.
    pub path: String,
    /// Whose file it is.
    pub manager: Manager,
    /// What format it is, with its version, for people: `package-lock.json v3`, `yarn.lock v1`.
    pub format: String,
    /// What it asks for.
    pub manifest: Option<Manifest>,
    /// What was chosen.
    pub lock: Option<Lock>,
    /// What in it was not understood. Nothing is left out in silence.
    pub faults: Vec<Fault>,
}

/// What a project says about itself and asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// The project's own name.
    pub name: Option<String>,
    /// The project's own version.
    pub version: Option<String>,
    /// The project's own licence, as written.
    pub license: Option<String>,
    /// What it asks for, in the order of the file.
    pub requirements: Vec<Requirement>,
    /// The globs or folders of its workspace's members, relative to its folder.
    pub members: Vec<String>,
    /// Other files of the project that it names: `-r`, `-c`, a parent; paths from the project's folder, and where it says so.
    pub includes: Vec<Include>,
    /// What runs when it is installed: `preinstall`, `build.rs` of its own are not meant, only hooks of an install.
    pub scripts: Vec<Script>,
}

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// The package's name as its registry writes it: Python's is normalised (PEP 503), Maven's is `group:artifact`, a renamed
    /// cargo or npm dependency has the name of the package that it stands for.
    pub name: String,
    /// The range as it is written, without quotes. None: there is none.
    pub range: Option<String>,
    /// What the range allows.
    pub bound: Bound,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is needed for.
    pub scope: Scope,
    /// Where it stands, counted from 1.
    pub line: u32,
    /// The condition under which it is needed, as written: an environment marker, a target.
    pub condition: Option<String>,
    /// Whether hashes stand beside it.
    pub hashed: bool,
}

/// What a range allows, by the rules of its manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// One version.
    Exact,
    /// It has an upper end: `^1.2`, `~> 1.2`, `>=1, <2`.
    Bounded,
    /// It has none: `>=1`, `*`, `latest`, nothing at all.
    Open,
    /// It is decided elsewhere: in a workspace's root, in a parent, in a catalog that was found.
    Inherited,
    /// It can't be read, or rests on what is not there.
    Unknown,
}

/// Where a package comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The manager's registry, or another one by its address.
    Registry(Option<String>),
    /// A git repository, and the revision where one is fixed.
    Git {
        /// Its address as written.
        url: String,
        /// A full commit. A branch or a tag fixes nothing.
        commit: Option<String>,
    },
    /// A folder or file.
    Path(String),
    /// An archive at an address.
    Url(String),
    /// The project itself: a member of its workspace.
    Workspace,
}

/// What a package is needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// To run.
    #[default]
    Normal,
    /// To build.
    Build,
    /// Only if somebody wants it.
    Optional,
    /// Brought by whoever uses the project.
    Peer,
    /// To develop and test.
    Dev,
}

/// Another file that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// From the project's folder.
    pub path: String,
    /// Where it is named, counted from 1.
    pub line: u32,
    /// It only bounds what is asked for elsewhere (`-c`).
    pub constraint: bool,
}

/// What runs at an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The hook's name.
    pub name: String,
    /// What it runs, as written.
    pub text: String,
    /// Where it stands, counted from 1.
    pub line: u32,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// All packages, in the order of the file. The same name may stand there in several versions, and in npm the same version
    /// in several folders.
    pub packages: Vec<Package>,
    /// Which of `packages` the project itself asks for; empty where the file doesn't tell.
    pub direct: Vec<usize>,
    /// Whether `needs` of the packages are known: a list without them says nothing about paths.
    pub graph: bool,
}

/// A package in one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// As [`Requirement::name`].
    pub name: String,
    /// As written, without the manager's decoration: Go's `v` stays, a local version label stays.
    pub version: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is needed for, where the file says so.
    pub scope: Scope,
    /// Where it stands, counted from 1.
    pub line: u32,
    /// Whether the file holds a digest of its content.
    pub hashed: bool,
    /// That digest, where the file holds one of the package's only archive.
    pub digest: Option<Digest>,
    /// Its licence, where the file says so.
    pub license: Option<String>,
    /// Whether the file says that it runs a script at its install.
    pub install_script: bool,
    /// What it needs itself: places in [`Lock::packages`].
    pub needs: Vec<usize>,
}

/// What was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, counted from 1.
    pub line: Option<u32>,
    /// What, for people. Bounded, and without what acts on a terminal.
    pub message: String,
    /// Nothing of the file could be read; else only this entry is missing.
    pub whole: bool,
    /// Nothing is missing by it: it is only odd.
    pub harmless: bool,
}

/// The texts of manifests, for what one of them says about another: a workspace's root, a parent, a catalog.
pub type Texts = Map<String, String>;

/// The folder of a path; empty for the project's own.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last part of a path.
pub fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// A path that a file names, from the project's folder: `..` and `.` are resolved. None: it leads out of the project.
pub fn beside(path: &str, named: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder(path).split('/').filter(|part| !part.is_empty()).collect();
    if named.starts_with('/') {
        return None;
    }
    for part in named.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl File {
    /// A file of which nothing is read yet.
    pub fn new(path: &str, manager: Manager, format: impl Into<String>) -> Self {
        Self { path: path.to_owned(), manager, format: format.into(), manifest: None, lock: None, faults: Vec::new() }
    }

    /// Nothing of it can be read, and why.
    pub fn broken(mut self, line: Option<u32>, message: &str) -> Self {
        self.faults.push(Fault::new(line, message, true));
        self
    }
}

impl Fault {
    /// A fault, with a message fit to be shown.
    pub fn new(line: Option<u32>, message: &str, whole: bool) -> Self {
        Self { line, message: convoke_sdk::text::shown(message, 300), whole, harmless: false }
    }

    /// Something odd by which nothing is missing.
    pub fn odd(line: u32, message: &str) -> Self {
        Self { harmless: true, ..Self::new(Some(line), message, false) }
    }
}

impl Package {
    /// A package of the manager's registry, of which nothing else is known.
    pub fn new(name: impl Into<String>, version: impl Into<String>, line: u32) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            origin: Origin::Registry(None),
            scope: Scope::Normal,
            line,
            hashed: false,
            digest: None,
            license: None,
            install_script: false,
            needs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_beside_a_file_stays_in_the_project() {
        assert_eq!(beside("a/b/pom.xml", "../pom.xml").as_deref(), Some("a/pom.xml"));
        assert_eq!(beside("pom.xml", "./x/pom.xml").as_deref(), Some("x/pom.xml"));
        assert_eq!(beside("pom.xml", "../pom.xml"), None);
        assert_eq!(beside("a/pom.xml", "/etc/passwd"), None);
    }
}
