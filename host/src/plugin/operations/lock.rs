//! One at a time, over all processes of the user: a locked file.
//!
//! The kernel holds the lock for the open file, and gives it back when the process ends, however it ends. The file stays,
//! with the number of the process that locked it last: so those who wait can say for whom.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Kind;

/// So long is waited before it is said.
const MOMENT: Duration = Duration::from_millis(500);

/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Why an exclusive operation can't begin.
#[derive(Debug, thiserror::Error)]
#[error("{kind} is used by one process at a time, and the lock {} can't be had: {source}", path.display())]
pub struct LockError {
    kind: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl LockError {
    /// The thread that waited is gone.
    pub(crate) fn gave_up(kind: &'static str, error: &tokio::task::JoinError) -> Self {
        Self { kind, path: PathBuf::new(), source: io::Error::other(error.to_string()) }
    }
}

/// The lock of an exclusive kind of operations. Dropped, or at the end of the process, it is free.
#[derive(Debug)]
#[must_use = "dropped, it is free"]
pub struct Exclusive {
    file: File,
}

impl Exclusive {
    /// Waits for the lock of a kind in that folder, which is made if it is not there. Blocks the thread. After a moment it
    /// is told once what is waited for.
    ///
    /// # Errors
    /// The file can't be made or locked.
    pub fn hold(folder: &Path, kind: Kind, told: impl FnOnce(String)) -> Result<Self, LockError> {
        Self::hold_file(&folder.join(format!("{}.lock", kind.name())), kind.name(), told)
    }

    /// As [`hold`](Self::hold), of something that has this file for a lock and this name in messages.
    ///
    /// # Errors
    /// The file can't be made or locked.
    pub fn hold_file(path: &Path, kind: &'static str, told: impl FnOnce(String)) -> Result<Self, LockError> {
        let failed = |source| LockError { kind, path: path.to_owned(), source };
        let file = open(path).map_err(failed)?;
        if !try_for(&file, MOMENT).map_err(failed)? {
            let who = holder(&file).map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            told(format!("waiting for {who}, which uses {kind}: one at a time"));
            file.lock().map_err(failed)?;
        }
        Ok(Self::signed(file))
    }

    /// As [`hold_file`](Self::hold_file), without waiting. None: another process holds it.
    ///
    /// # Errors
    /// The file can't be made or locked.
    pub fn try_file(path: &Path, kind: &'static str) -> Result<Option<Self>, LockError> {
        let failed = |source| LockError { kind, path: path.to_owned(), source };
        let file = open(path).map_err(failed)?;
        Ok(try_for(&file, Duration::ZERO).map_err(failed)?.then(|| Self::signed(file)))
    }

    fn signed(file: File) -> Self {
        let mut lock = Self { file };
        // Only said to those who wait: without it they wait all the same.
        let _ = lock.sign();
        lock
    }

    fn sign(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        write!(self.file, "{}", std::process::id())
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether the lock was free within that time.
fn try_for(file: &File, time: Duration) -> io::Result<bool> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if began.elapsed() >= time => return Ok(false),
            Err(TryLockError::WouldBlock) => sleep(LOOK),
        }
    }
}

/// The process that locked it last.
fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
