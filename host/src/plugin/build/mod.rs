//! `convoke build`: from a plugin's folder to its component.
//!
//! The same sources give the same bytes, wherever they lie and whoever builds them, with the same toolchain and the same
//! `Cargo.lock`: no path of the machine gets into the component. A component of Python is another one with each build,
//! because componentize-py keeps what was random while it ran.

mod cargo;
mod embed;
mod policy;
mod python;
mod watch;

use std::io::Write as _;
use std::path::{Path, PathBuf};

pub use embed::{EmbedError, embed};
pub use policy::{BuiltPolicy, build_policy, is_policy};
pub use watch::Sources;

use super::inspect::{InspectError, Inspected, inspect};
use super::manifest::{self, Manifest, ManifestError};
use crate::policy::PolicyError;

/// The target that plugins are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// How to build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Where the component goes: a file, or a folder that is there. None: the plugin's folder. Without a file name it is
    /// the command's name and `.wasm`.
    pub out: Option<PathBuf>,
    /// Whether `Cargo.lock` must be there and up to date.
    pub locked: bool,
    /// Whether cargo keeps quiet, but for errors. Its words go to stderr.
    pub quiet: bool,
    /// Whether nothing may be fetched.
    pub offline: bool,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The component.
    pub path: PathBuf,
    /// What it is and asks for.
    pub inspected: Inspected,
    /// Whether an equal file was already there.
    pub unchanged: bool,
}

/// Why no component came out.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder is no plugin's.
    #[error("{} has no {missing}", folder.display())]
    NotAPlugin {
        /// The folder.
        folder: PathBuf,
        /// `plugin.toml`, `Cargo.toml` or a choice.
        missing: &'static str,
    },
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A program could not be started.
    #[error("`{program}` can't be started: {why}")]
    Start {
        /// The program.
        program: String,
        /// The operating system's words.
        why: std::io::Error,
    },
    /// A program said something that is not understood.
    #[error("`{program}` says what is not understood: {why}")]
    Output {
        /// The program.
        program: String,
        /// What is wrong with it.
        why: String,
    },
    /// A program failed. Cargo's words are already on stderr.
    #[error("`{program}` failed{}", if stderr.is_empty() { String::new() } else { format!(": {stderr}") })]
    Failed {
        /// The program.
        program: String,
        /// Its last words, where they were not shown.
        stderr: String,
    },
    /// The folder is a workspace without a package of its own.
    #[error("{} is not a package", folder.display())]
    NotAPackage {
        /// The folder.
        folder: PathBuf,
    },
    /// The package doesn't make a component.
    #[error("the package `{package}` makes no library of the kind `cdylib`")]
    NotACdylib {
        /// The package.
        package: String,
    },
    /// Two files disagree.
    #[error("{file} says version {version}, plugin.toml says {manifest}")]
    VersionsDiffer {
        /// `Cargo.toml` or `pyproject.toml`.
        file: &'static str,
        /// The version that it says.
        version: String,
        /// The manifest's version.
        manifest: String,
    },
    /// A `pyproject.toml` is wrong.
    #[error("{}: {why}", path.display())]
    Pyproject {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The module that the component is made of is not there.
    #[error("{} has no module {module}", folder.display())]
    NoModule {
        /// The folder.
        folder: PathBuf,
        /// The module.
        module: String,
    },
    /// There is nothing that makes components of Python.
    #[error("{} makes components of Python, and {}", python::REQUIREMENT, match found {
        Some(version) => format!("version {version} does not fit"),
        None => "is not installed".to_owned(),
    })]
    NoComponentizer {
        /// Another version that is there.
        found: Option<String>,
        /// What installs it.
        commands: String,
    },
    /// The compiler can't compile for WASM.
    #[error("the target {0} is not installed")]
    NoTarget(&'static str),
    /// Cargo succeeded without a component.
    #[error("cargo built no .wasm file")]
    NoArtifact,
    /// The compiled component could not be read.
    #[error("the component can't be rewritten: {0}")]
    Embed(#[from] EmbedError),
    /// What came out is not a command of this host.
    #[error("what was built is not a command: {0}")]
    Inspect(#[from] InspectError),
    /// What was compiled is not a policy's module.
    #[error("what was built is no policy: {0}")]
    Encode(String),
    /// What came out is not a policy of this host.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file could not be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        why: std::io::Error,
    },
}

impl BuildError {
    /// Whether the folder is none that can be built, so that no change of a source mends it.
    pub fn is_of_the_folder(&self) -> bool {
        matches!(self, Self::NotAPlugin { .. } | Self::NotAPackage { .. })
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::NotAPlugin { .. } => {
                "give the folder of a plugin: it has a plugin.toml, and a Cargo.toml or an app.py"
            }
            Self::Manifest(error) => return error.hint(),
            Self::Start { program, .. } if program.starts_with("python") => "install Python 3.10 or newer",
            Self::Start { .. } => "install Rust: https://rustup.rs",
            Self::Pyproject { .. } => "correct it there",
            Self::NoModule { .. } => {
                "write app.py, or name the module in pyproject.toml: [tool.convoke] module = \"…\""
            }
            Self::NoComponentizer { commands, .. } => commands.as_str(),
            Self::NotAPackage { .. } => "give the folder of one plugin",
            Self::NotACdylib { .. } => "write `[lib]` and `crate-type = [\"cdylib\"]` in Cargo.toml",
            Self::VersionsDiffer { .. } => "write the same version in both",
            Self::NoTarget(policy::TARGET) => "rustup target add wasm32-unknown-unknown",
            Self::NoTarget(_) => "rustup target add wasm32-wasip2",
            Self::Inspect(error) => return error.hint(),
            Self::Policy(error) => return error.hint(),
            Self::Encode(_)
            | Self::Output { .. }
            | Self::Failed { .. }
            | Self::NoArtifact
            | Self::Embed(_)
            | Self::Io { .. } => return None,
        })
    }
}

/// Builds the plugin in a folder. Blocks, for minutes where nothing is compiled yet.
///
/// # Errors
/// See [`BuildError`]. The file at the destination is whole: the old one or the new one.
pub fn build(folder: &Path, options: &BuildOptions) -> Result<Built, BuildError> {
    let manifest = read_manifest(folder)?;
    let compiled = match python::is_python(folder) {
        true => python::compile(folder, &manifest, options)?,
        false => of_rust(folder, &manifest, options)?,
    };
    let component = embed(&compiled, &manifest)?;
    let inspected = inspect(&component)?;
    let path = destination(folder, options, &manifest.name);
    let unchanged = put(&path, &component)?;
    Ok(Built { path, inspected, unchanged })
}

fn of_rust(folder: &Path, manifest: &Manifest, options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let package = cargo::Package::find(folder, TARGET, options)?;
    if package.version != manifest.version {
        let (file, version) = ("Cargo.toml", package.version);
        return Err(BuildError::VersionsDiffer { file, version, manifest: manifest.version.clone() });
    }
    let toolchain = cargo::Toolchain::find(folder, TARGET)?;
    let artifact = cargo::compile(&package, &toolchain, options)?;
    std::fs::read(&artifact).map_err(|why| BuildError::Io { path: artifact, why })
}

/// Writes what was built; whether an equal file was already there.
fn put(path: &Path, component: &[u8]) -> Result<bool, BuildError> {
    let unchanged = std::fs::read(path).is_ok_and(|before| before == component);
    if !unchanged {
        write(path, component).map_err(|why| BuildError::Io { path: path.to_owned(), why })?;
    }
    Ok(unchanged)
}

fn read_manifest(folder: &Path) -> Result<Manifest, BuildError> {
    let missing = |missing| BuildError::NotAPlugin { folder: folder.to_owned(), missing };
    if !folder.join("Cargo.toml").is_file() && !python::is_python(folder) {
        return Err(missing("Cargo.toml or app.py"));
    }
    let path = folder.join("plugin.toml");
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing("plugin.toml")),
        Err(why) => return Err(BuildError::Io { path, why }),
    };
    let mut bytes = Vec::new();
    // One more than may be, so that too large is noticed.
    let mut limited = std::io::Read::take(file, manifest::MOST_BYTES as u64 + 1);
    std::io::Read::read_to_end(&mut limited, &mut bytes).map_err(|why| BuildError::Io { path: path.clone(), why })?;
    Ok(Manifest::from_toml(&path.display().to_string(), &bytes)?)
}

fn destination(folder: &Path, options: &BuildOptions, name: &str) -> PathBuf {
    let name = format!("{name}.wasm");
    match &options.out {
        None => folder.join(name),
        Some(out) if out.is_dir() => out.join(name),
        Some(out) => out.clone(),
    }
}

/// All or nothing: a reader sees the old file or the new one.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut options = tempfile::Builder::new();
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = options.prefix(".convoke-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str =
        "manifest_version = 1\nname = \"small\"\nversion = \"0.1.0\"\ndescription = \"d\"\nlicense = \"MIT\"\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn refused(files: &[(&str, &str)]) -> BuildError {
        build(folder(files).path(), &BuildOptions::default()).unwrap_err()
    }

    #[test]
    fn a_folder_that_is_no_plugin_says_what_is_missing() {
        assert!(matches!(refused(&[]), BuildError::NotAPlugin { missing: "Cargo.toml or app.py", .. }));
        assert!(matches!(refused(&[("Cargo.toml", "")]), BuildError::NotAPlugin { missing: "plugin.toml", .. }));
        assert!(matches!(refused(&[("Cargo.toml", ""), ("plugin.toml", "x")]), BuildError::Manifest(_)));
    }

    #[test]
    fn a_package_that_makes_no_component_is_refused_before_compiling() {
        let package = "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
        let error = refused(&[("Cargo.toml", package), ("plugin.toml", MANIFEST), ("src/lib.rs", "")]);
        assert!(matches!(error, BuildError::NotACdylib { .. }), "{error}");
        let cdylib = package.replace("[workspace]", "[lib]\ncrate-type = [\"cdylib\"]\n[workspace]");
        let other = cdylib.replace("0.1.0", "0.2.0");
        let error = refused(&[("Cargo.toml", &other), ("plugin.toml", MANIFEST), ("src/lib.rs", "")]);
        assert_eq!(error.to_string(), "Cargo.toml says version 0.2.0, plugin.toml says 0.1.0");
        let workspace = "[workspace]\nmembers = [\"member\"]\n";
        let member = cdylib.replace("[workspace]", "");
        let error = refused(&[
            ("Cargo.toml", workspace),
            ("plugin.toml", MANIFEST),
            ("member/Cargo.toml", &member),
            ("member/src/lib.rs", ""),
        ]);
        assert!(matches!(error, BuildError::NotAPackage { .. }), "{error}");
        let error = refused(&[("Cargo.toml", "nonsense"), ("plugin.toml", MANIFEST)]);
        assert!(matches!(error, BuildError::Failed { .. }), "{error}");
    }

    #[test]
    fn the_component_goes_where_it_is_wanted() {
        let folder = folder(&[("sub/x", "")]);
        let to = |out: Option<PathBuf>| {
            destination(folder.path(), &BuildOptions { out, ..BuildOptions::default() }, "small")
        };
        assert_eq!(to(None), folder.path().join("small.wasm"));
        assert_eq!(to(Some(folder.path().join("sub"))), folder.path().join("sub/small.wasm"));
        assert_eq!(to(Some(folder.path().join("other.wasm"))), folder.path().join("other.wasm"));
    }

    #[test]
    fn writing_replaces_the_whole_file_and_leaves_nothing_else() {
        let folder = folder(&[("a.wasm", "a longer old content")]);
        write(&folder.path().join("a.wasm"), b"new").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.wasm")).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("nothing/a.wasm"), b"new").is_err());
    }
}
