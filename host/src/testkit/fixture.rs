//! The project of a case: a copy of a fixture, which nobody else sees.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The most files and folders that a fixture has.
const MOST_ENTRIES: usize = 20_000;

/// The most bytes that its files have together.
const MOST_BYTES: u64 = 256 << 20;

/// A fixture can't be copied.
#[derive(Debug, thiserror::Error)]
#[error("the fixture {} can't be copied: {why}", path.display())]
pub struct FixtureError {
    path: PathBuf,
    why: io::Error,
}

/// A project that is gone when this is dropped.
#[derive(Debug)]
pub struct Fixture(TempDir);

impl Fixture {
    /// A copy of a folder; none: an empty project.
    ///
    /// # Errors
    /// The folder can't be read, is too large, or there is no room for it.
    pub fn copy_of(folder: Option<&Path>) -> Result<Self, FixtureError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |why| FixtureError { path, why }
        };
        let project = TempDir::with_prefix("convoke-test-").map_err(at(&std::env::temp_dir()))?;
        if let Some(folder) = folder {
            let mut left = Left { entries: MOST_ENTRIES, bytes: MOST_BYTES };
            left.copy(folder, project.path()).map_err(at(folder))?;
        }
        Ok(Self(project))
    }

    /// Its folder, with no link in it.
    ///
    /// # Errors
    /// It is gone.
    pub fn root(&self) -> io::Result<PathBuf> {
        fs::canonicalize(self.0.path())
    }
}

struct Left {
    entries: usize,
    bytes: u64,
}

impl Left {
    fn copy(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
            let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than a fixture may be");
            self.entries = self.entries.checked_sub(1).ok_or_else(too_large)?;
            if kind.is_dir() {
                fs::create_dir(&target)?;
                self.copy(&entry.path(), &target)?;
            } else if kind.is_symlink() {
                // As it is: what leads out of the project is refused where it is followed.
                link(&fs::read_link(entry.path())?, &target)?;
            } else if kind.is_file() {
                self.bytes = self.bytes.checked_sub(entry.metadata()?.len()).ok_or_else(too_large)?;
                fs::copy(entry.path(), &target)?;
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn link(target: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn link(_: &Path, place: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("{} is a link", place.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_all_of_it_and_goes_with_its_owner() {
        let from = tempfile::tempdir().unwrap();
        fs::create_dir_all(from.path().join("a/.b")).unwrap();
        fs::write(from.path().join("a/.b/c.txt"), "c").unwrap();
        let fixture = Fixture::copy_of(Some(from.path())).unwrap();
        let root = fixture.root().unwrap();
        assert_eq!(fs::read_to_string(root.join("a/.b/c.txt")).unwrap(), "c");
        drop(fixture);
        assert!(!root.exists());
    }

    #[test]
    fn a_folder_that_is_too_large_is_refused() {
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("a"), "four").unwrap();
        fs::write(from.path().join("b"), "four").unwrap();
        let to = tempfile::tempdir().unwrap();
        assert!(Left { entries: 1, bytes: 8 }.copy(from.path(), to.path()).is_err());
        let to = tempfile::tempdir().unwrap();
        assert!(Left { entries: 2, bytes: 7 }.copy(from.path(), to.path()).is_err());
        let to = tempfile::tempdir().unwrap();
        Left { entries: 2, bytes: 8 }.copy(from.path(), to.path()).unwrap();
    }
}
