//! `convoke new`: a project of a command that builds and tests at once.
//!
//! A project begins as one of the examples, under its own name. The SDK goes with it, because it is in no registry: so it
//! builds anywhere, with nothing but a toolchain.

mod rename;
mod workspace;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::manifest::{ManifestError, check_name};

include!(concat!(env!("OUT_DIR"), "/kept.rs"));

/// What commands are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rust, Self::Python];

    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
        }
    }
}

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// No command can be called so.
    #[error("`{}` can't be a command's name: {why}", super::printable(name, 80))]
    Name {
        /// What was typed.
        name: String,
        /// What is wrong with it.
        why: ManifestError,
    },
    /// No package of Rust can be called so.
    #[error("`{name}` can't be the name of a package: {why}")]
    Package {
        /// What was typed.
        name: String,
        /// Whose name it is.
        why: &'static str,
    },
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    There(PathBuf),
    /// The embedded SDK is not what it should be.
    #[error("the kept SDK can't be written: {0}")]
    Kept(String),
    /// A file or folder could not be written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's words.
        why: std::io::Error,
    },
}

impl NewError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Name { why, .. } => why.hint(),
            Self::Package { .. } => Some("choose another name"),
            Self::There(_) => Some("choose another name, or another folder with `--path`"),
            Self::Kept(_) | Self::Io { .. } => None,
        }
    }
}

/// The files of a new project, by their paths in it, with `/`.
///
/// # Errors
/// The name can't be that of a command, or of a package of the language.
pub fn files(name: &str, language: Language) -> Result<Vec<(String, String)>, NewError> {
    check_name(name).map_err(|why| NewError::Name { name: name.to_owned(), why })?;
    let (example, sdk) = match language {
        Language::Rust => (RUST_EXAMPLE, RUST_SDK),
        Language::Python => (PYTHON_EXAMPLE, PYTHON_SDK),
    };
    let own: &[(&str, &str)] = match language {
        Language::Rust => &[
            ("Cargo.toml", include_str!("rust.toml")),
            ("README.md", include_str!("rust.md")),
            (".gitignore", "/target\n*.wasm\n"),
        ],
        Language::Python => {
            &[("README.md", include_str!("python.md")), (".gitignore", "/.venv\n__pycache__/\n*.wasm\n")]
        }
    };
    let mut files = rename::renamed(example, name, language);
    let description = rename::description(&files);
    files.extend(
        own.iter().map(|(path, text)| {
            ((*path).to_owned(), text.replace("{name}", name).replace("{description}", &description))
        }),
    );
    files.extend(sdk.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    if language == Language::Rust {
        rename::check_package(name)?;
        files.push(("sdk/Cargo.toml".to_owned(), workspace::of_the_sdk().map_err(NewError::Kept)?));
    }
    files.sort();
    Ok(files)
}

/// Makes a project in a folder that is not there yet: all of it, or nothing.
///
/// # Errors
/// See [`NewError`].
pub fn create(folder: &Path, name: &str, language: Language) -> Result<(), NewError> {
    let files = files(name, language)?;
    // A link that leads nowhere is something too.
    match fs::symlink_metadata(folder) {
        Ok(_) => return Err(NewError::There(folder.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(why) => return Err(NewError::Io { path: folder.to_owned(), why }),
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let io = |path: &Path| {
        let path = path.to_owned();
        |why| NewError::Io { path, why }
    };
    fs::create_dir_all(parent).map_err(io(parent))?;
    // Beside it, so that it comes to its place in one step.
    let beside = tempfile::Builder::new().prefix(".convoke-new-").tempdir_in(parent).map_err(io(parent))?;
    let made = beside.path().join("project");
    for (path, text) in &files {
        write(&made.join(path), text).map_err(io(&folder.join(path)))?;
    }
    fs::rename(&made, folder).map_err(|why| match why.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => NewError::There(folder.to_owned()),
        _ => NewError::Io { path: folder.to_owned(), why },
    })
}

/// Writes the SDK of Python and the contract to a folder, for a build: `convoke_sdk/` and `wit/`.
///
/// # Errors
/// A file can't be written; which one.
pub(super) fn write_python_sdk(folder: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    for (path, text) in PYTHON_SDK.iter().chain(CONTRACT) {
        let path = folder.join(path);
        write(&path, text).map_err(|why| (path, why))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
mod tests;
