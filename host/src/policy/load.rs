//! A policy's file becomes a policy, by its form.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use convoke_runtime::policy::{Foreign, Mode, Profile};

use super::PolicyError;
use super::toml::PolicyFile;
use super::wasm::WasmPolicy;
use crate::audit::Audit;
use crate::config::ConfigError;

/// The largest policy, in bytes.
const LARGEST: u64 = 64 << 20;

/// The largest `policy.toml`, in bytes.
const LARGEST_TEXT: u64 = 1 << 20;

/// How a policy comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The numbers of the built-in one.
    Toml,
    /// A component.
    Wasm,
    /// A library.
    Native,
}

impl Form {
    /// The endings of the names of files that are policies.
    pub const ENDINGS: [(&'static str, Self); 5] = [
        ("toml", Self::Toml),
        ("wasm", Self::Wasm),
        ("so", Self::Native),
        ("dylib", Self::Native),
        ("dll", Self::Native),
    ];

    /// The form of a file, by the ending of its name.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, form)| *form)
    }

    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Wasm => "wasm",
            Self::Native => "native",
        }
    }
}

/// From where policies may come.
#[derive(Clone, Debug)]
pub struct Place {
    /// The user's own policies.
    pub own: PathBuf,
    /// The project that convoke runs in: none of its libraries is loaded.
    pub project: Option<PathBuf>,
    /// Where compiled components and copies of libraries are kept. It is made readable for this user only.
    pub kept: PathBuf,
    /// Where it is written that a library is loaded, before it is.
    pub audit: Audit,
}

/// A policy that was loaded.
pub struct Loaded {
    /// How it is called: the name of its file, without the ending.
    pub name: String,
    /// Its numbers for the mode; none: those of the mode.
    pub profile: Option<Profile>,
    /// What decides; none: the built-in policy.
    pub foreign: Option<Box<dyn Foreign>>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.foreign.is_some() { "foreign" } else { "numbers" };
        out.debug_struct("Loaded").field("name", &self.name).field("kind", &kind).finish_non_exhaustive()
    }
}

/// Why there is no policy. What was in force before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its file can't be read.
    #[error("can't read the policy {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its numbers are wrong.
    #[error(transparent)]
    Numbers(#[from] ConfigError),
    /// Nobody knows how to read it.
    #[error("{} is no policy: its name ends in none of .toml, .wasm, .so, .dylib, .dll", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// No policy has this name.
    #[error("there is no policy {name} in {}", folder.display())]
    Unknown {
        /// The name.
        name: String,
        /// Where it would be.
        folder: PathBuf,
        /// One that is called nearly so.
        near: Option<String>,
    },
    /// Several files have this name.
    #[error("there are several policies {name}: {}", files.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Their files.
        files: Vec<String>,
    },
    /// A name that no policy can have.
    #[error("{name} can't be the name of a policy")]
    Name {
        /// The name.
        name: String,
    },
    /// A library of the project.
    #[error("the library {} is not loaded: it lies in the project, whose files may be anybody's", path.display())]
    OfProject {
        /// The file.
        path: PathBuf,
    },
    /// A component or a library that is none of ours.
    #[error(transparent)]
    Foreign(#[from] PolicyError),
}

impl LoadError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Numbers(error) => miette::Diagnostic::help(error).map(|hint| hint.to_string()),
            Self::Unknown { near: Some(near), .. } => Some(format!("did you mean {near}?")),
            Self::Unknown { .. } => Some("`convoke policy list` shows what there is; a path has a / in it".to_owned()),
            Self::Ambiguous { .. } => Some("name the file with its path, or remove the others".to_owned()),
            Self::Name { .. } => Some("a name has letters, digits, `-`, `_` and `.`; a path has a / in it".to_owned()),
            Self::OfProject { .. } => Some("if you trust it, copy it into your own policies folder".to_owned()),
            Self::Foreign(error) => error.hint().map(str::to_owned),
            Self::Io { .. } | Self::Form { .. } => None,
        }
    }
}

/// Loads the policy of a file, for a mode.
///
/// # Errors
/// See [`LoadError`].
pub fn load(path: &Path, mode: Mode, place: &Place) -> Result<Loaded, LoadError> {
    let form = Form::of(path).ok_or_else(|| LoadError::Form { path: path.to_owned() })?;
    let name = name_of(path);
    let (profile, foreign) = match form {
        Form::Toml => {
            let text = crate::config::files::read_text(path, LARGEST_TEXT)
                .map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
            (Some(PolicyFile::parse(path, &text)?.profile(mode).clone()), None)
        }
        Form::Wasm => (None, Some(component(path, &name, place)?)),
        Form::Native => {
            // Looked at where it really is: a link out of the project would lead into it.
            if is_of_project(path, place) {
                return Err(LoadError::OfProject { path: path.to_owned() });
            }
            (None, Some(super::native::load(path, &place.kept, &place.audit)?))
        }
    };
    Ok(Loaded { name, profile, foreign })
}

/// A component.
fn component(path: &Path, name: &str, place: &Place) -> Result<Box<dyn Foreign>, LoadError> {
    Ok(Box::new(WasmPolicy::new(&read(path)?, name, Some(&place.kept), None)?))
}

/// How the policy of a file is called.
pub fn name_of(path: &Path) -> String {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    crate::report::clean::line(&crate::report::clean::bounded(&name, 64))
}

/// The bytes of a policy, if they may be one's.
///
/// # Errors
/// It can't be read, is no file, or too large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Io { path: path.to_owned(), source };
    let refused = |why: String| failed(io::Error::new(io::ErrorKind::InvalidData, why));
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(refused("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(refused(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(bytes)
}

/// Whether a file lies in the project and not among the user's own policies. What can't be found out counts as one.
fn is_of_project(path: &Path, place: &Place) -> bool {
    let Some(project) = &place.project else { return false };
    let (Ok(path), Ok(project)) = (fs::canonicalize(path), fs::canonicalize(project)) else { return true };
    let is_own = fs::canonicalize(&place.own).is_ok_and(|own| own != project && path.starts_with(own));
    path.starts_with(project) && !is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> Place {
        let (own, kept, audit) = (folder.join("policies"), folder.join("kept"), Audit::off());
        let place = Place { own, project: Some(folder.join("project")), kept, audit };
        fs::create_dir_all(&place.own).unwrap();
        fs::create_dir_all(folder.join("project")).unwrap();
        place
    }

    #[test]
    fn a_file_is_loaded_by_the_ending_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let path = place.own.join("slow.toml");
        fs::write(&path, "[admit]\nper_minute = 6\n").unwrap();
        let loaded = load(&path, Mode::Safe, &place).unwrap();
        assert_eq!((loaded.name.as_str(), loaded.profile.unwrap().admit.per_minute), ("slow", Some(6)));
        assert!(matches!(load(&place.own.join("slow.py"), Mode::Safe, &place), Err(LoadError::Form { .. })));
        assert!(matches!(load(&place.own.join("gone.toml"), Mode::Safe, &place), Err(LoadError::Io { .. })));
    }

    #[test]
    fn a_library_of_the_project_is_not_loaded_also_not_by_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = place(folder.path());
        let (inside, outside) = (folder.path().join("project/evil.so"), folder.path().join("fine.so"));
        fs::write(&inside, "").unwrap();
        fs::write(&outside, "").unwrap();
        let refused =
            |path: &Path, place: &Place| matches!(load(path, Mode::Safe, place), Err(LoadError::OfProject { .. }));
        assert!(refused(&inside, &place));
        assert!(!refused(&outside, &place));
        #[cfg(unix)]
        {
            let link = folder.path().join("link.so");
            std::os::unix::fs::symlink(&inside, &link).unwrap();
            assert!(refused(&link, &place));
        }
        // Who keeps all of the home folder in a repository has the own policies in the project.
        place.project = Some(folder.path().to_owned());
        let own = place.own.join("mine.so");
        fs::write(&own, "").unwrap();
        assert!(!refused(&own, &place) && refused(&outside, &place));
    }
}
