//! Who lives: each process has a file that it holds locked. The kernel lets go of it when the process ends, however it
//! ends; an id that was given to another process since means nothing here.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::error::SharedError;

/// This process's own.
pub(super) struct Presence {
    path: PathBuf,
    locked: File,
}

impl Presence {
    /// Makes it. Only who holds the lock of the state may.
    pub(super) fn new(folder: &Path, id: &str) -> Result<Self, SharedError> {
        let path = path(folder, id);
        let io = |source| SharedError::Io { path: path.clone(), source };
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(io)?;
        file.try_lock().map_err(|error| io(error.into()))?;
        Ok(Self { path, locked: file })
    }

    /// Makes it again, where somebody has removed its file. Only who holds the lock of the state may.
    pub(super) fn renew(&mut self) -> Result<(), SharedError> {
        use std::os::unix::fs::MetadataExt as _;
        let io = |source| SharedError::Io { path: self.path.clone(), source };
        if self.locked.metadata().map_err(io)?.nlink() == 0 {
            let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&self.path);
            let file = made.map_err(io)?;
            file.try_lock().map_err(|error| io(error.into()))?;
            self.locked = file;
        }
        Ok(())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // One that stays is found unlocked, and removed by the next.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a process lives. One whose file can't be looked at is thought to.
pub(super) fn lives(folder: &Path, id: &str) -> bool {
    match File::open(path(folder, id)) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Removes the file of a process that is gone.
pub(super) fn remove(folder: &Path, id: &str) {
    let _ = fs::remove_file(path(folder, id));
}

fn path(folder: &Path, id: &str) -> PathBuf {
    // Ids are written down by processes of this user: one with another form names no file elsewhere.
    let safe: String = id.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    folder.join(format!("{safe}.alive"))
}
