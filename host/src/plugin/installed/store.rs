//! The folder in which installed plugins lie.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::index::{Index, is_digest};
use super::lockfile::Lockfile;
use super::{InstallError, Step, Steps};
use crate::config::Paths;
use crate::config::files::{read_text, write_atomic};
use crate::plugin::engine::private_folder;
use crate::plugin::operations::Exclusive;
use crate::plugin::sha256_hex;

/// The largest index that is read, in bytes: hundreds of the largest manifests.
const LARGEST_INDEX: u64 = 64 << 20;

/// What is waited for, in messages.
const WHAT: &str = "the list of installed plugins";

/// The beginning of the names of files that are being written.
const TEMPORARY: &str = ".convoke-";

/// The folder in which installed plugins lie, and its lock. Nothing need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    folder: PathBuf,
    lock: PathBuf,
}

/// The right to change what is installed. Dropped, others have it.
pub(super) struct Changing<'a> {
    plugins: &'a Plugins,
    _lock: Exclusive,
    /// As it is now: nobody else changes it.
    pub(super) index: Index,
}

impl Plugins {
    /// The user's own.
    pub fn of(paths: &Paths) -> Self {
        Self::at(paths.plugins(), paths.locks().join("plugins.lock"))
    }

    /// Those in a folder, with that file for a lock.
    pub(super) fn at(folder: PathBuf, lock: PathBuf) -> Self {
        Self { folder, lock }
    }

    /// The file of a component.
    pub fn file(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    fn index_file(&self) -> PathBuf {
        self.folder.join("index.json")
    }

    /// Which component each name means. Takes no lock: the file is whole at any time.
    ///
    /// # Errors
    /// It can't be read, is damaged, or a later convoke wrote it.
    pub fn read(&self) -> Result<Index, InstallError> {
        let path = self.index_file();
        match read_text(&path, LARGEST_INDEX) {
            Ok(text) => Index::parse(&path, &text),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Index::default())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(InstallError::Broken { path, why: error.to_string() })
            }
            Err(error) => Err(InstallError::io(&path, error)),
        }
    }

    /// A component's bytes, which are what the digest says. `name` is the command that messages are about.
    ///
    /// # Errors
    /// The file is gone, can't be read, or holds something else.
    pub fn component(&self, name: &str, digest: &str) -> Result<Vec<u8>, InstallError> {
        let path = self.file(digest);
        match fs::read(&path) {
            Ok(bytes) if sha256_hex(&bytes) == digest => Ok(bytes),
            Ok(_) => Err(InstallError::Damaged { name: name.to_owned(), path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(InstallError::Gone { name: name.to_owned(), path })
            }
            Err(error) => Err(InstallError::io(&path, error)),
        }
    }

    /// Takes the lock, waiting where another process has it. Whoever has it asks nobody, fetches nothing and compiles
    /// nothing.
    pub(super) fn change(&self, told: impl FnOnce(String)) -> Result<Changing<'_>, InstallError> {
        let lock = Exclusive::hold_file(&self.lock, WHAT, told)?;
        Ok(Changing { plugins: self, _lock: lock, index: self.read()? })
    }
}

impl Changing<'_> {
    /// Puts a component's file there, unless it is. It may be read and not written: its name says what is in it.
    pub(super) fn place(&self, digest: &str, bytes: &[u8]) -> Result<(), InstallError> {
        let folder = &self.plugins.folder;
        private_folder(folder).map_err(|error| InstallError::io(folder, error))?;
        let path = self.plugins.file(digest);
        // One that is damaged is mended by installing it again.
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        write_atomic(&path, bytes, Some(0o400)).map_err(|error| InstallError::io(&path, error))
    }

    /// Writes the index as it is to be, without what nobody uses any more, and then removes the files that it doesn't name.
    /// Before the write all is as it was, after it all is as it is to be; what a crash leaves lying goes the next time.
    /// `locked` is the project whose lockfile is written with it. Gives the index as it is now.
    pub(super) fn write(
        mut self,
        locked: Option<(&Path, &Lockfile)>,
        steps: &impl Steps<Step>,
    ) -> Result<Index, InstallError> {
        self.index.drop_unused(|project, digest| match locked {
            Some((of, lockfile)) if of == project => lockfile.names(digest),
            _ => uses(project, digest),
        });
        let path = self.plugins.index_file();
        let text = self.index.text().map_err(|error| InstallError::io(&path, error.into()))?;
        let folder = &self.plugins.folder;
        private_folder(folder).map_err(|error| InstallError::io(folder, error))?;
        write_atomic(&path, text.as_bytes(), Some(0o600)).map_err(|error| InstallError::io(&path, error))?;
        steps.passed(Step::Written).map_err(|error| InstallError::io(&path, error))?;
        // Last, so that what a lockfile names is there: in between there is more than the old one names.
        if let Some((project, lockfile)) = locked {
            lockfile.write(project)?;
            steps.passed(Step::Noted).map_err(|error| InstallError::io(&path, error))?;
        }
        self.sweep();
        steps.passed(Step::Swept).map_err(|error| InstallError::io(&path, error))?;
        Ok(self.index)
    }

    /// A file that can't be removed costs room and nothing else; the next install tries again.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.plugins.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let of_a_component = name.strip_suffix(".wasm").filter(|digest| is_digest(digest));
            let unused = of_a_component.is_some_and(|digest| self.index.component(digest).is_none());
            // Only who has the lock writes here, so a file that is being written is one of a process that ended in it.
            if unused || name.starts_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether a project still uses a component: its lockfile names it. One that can't be read may; one that is not there, or
/// whose project is gone, does not.
fn uses(project: &Path, digest: &str) -> bool {
    match Lockfile::read(project) {
        Ok(Some(lockfile)) => lockfile.names(digest),
        Ok(None) => false,
        Err(_) => true,
    }
}
