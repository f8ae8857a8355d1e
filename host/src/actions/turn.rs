//! One host at a time is at the actions of a project.

use std::path::{Path, PathBuf};

use super::Tell;
use crate::plugin::operations::{Exclusive, LockError};
use crate::plugin::sha256_hex;

/// What the lock is for, as those who wait are told.
const WHAT: &str = "the actions of this project";

fn file(locks: &Path, project: &Path) -> PathBuf {
    let digest = sha256_hex(project.as_os_str().as_encoded_bytes());
    locks.join(format!("actions-{}.lock", &digest[..32]))
}

/// Waits for the turn; dropped, it is another host's. What is waited for is told after a moment.
///
/// # Errors
/// The lock can't be had, because of the file system.
pub async fn take(locks: &Path, project: &Path, tell: &Tell) -> Result<Exclusive, LockError> {
    let (path, tell) = (file(locks, project), tell.clone());
    let taken = tokio::task::spawn_blocking(move || Exclusive::hold_file(&path, WHAT, |what| tell(what)));
    taken.await.unwrap_or_else(|error| Err(LockError::gave_up(WHAT, &error)))
}

/// The turn, if nobody has it now.
///
/// # Errors
/// The lock can't be had, because of the file system.
pub fn try_take(locks: &Path, project: &Path) -> Result<Option<Exclusive>, LockError> {
    Exclusive::try_file(&file(locks, project), WHAT)
}
