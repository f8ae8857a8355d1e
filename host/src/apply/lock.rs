//! One process of a user carries out edits at a time. The kernel holds the lock for the open file, and gives it back when
//! the process ends, however it ends: so who can have it knows that nobody is in the middle of anything.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use super::ApplyError;

/// The lock. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for it. Others hold it for as long as it takes to write files.
    pub(super) fn wait(path: &Path) -> Result<Self, ApplyError> {
        let file = open(path)?;
        file.lock().map_err(|source| ApplyError::Lock { path: path.to_owned(), source })?;
        Ok(Self { _file: file })
    }

    /// Takes it if nobody has it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, ApplyError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(ApplyError::Lock { path: path.to_owned(), source }),
        }
    }
}

fn open(path: &Path) -> Result<File, ApplyError> {
    let failed = |source| ApplyError::Lock { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)
}
