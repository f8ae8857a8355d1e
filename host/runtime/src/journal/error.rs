//! What can go wrong with the journal.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::RunId;

/// Why something could not be written to the journal, or read from it. Nothing of a failed write is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A later version of convoke has migrated it. It was left as it is.
    #[error("the journal {path} has format {found}, and this convoke knows formats up to {known}")]
    Newer {
        /// The journal's file.
        path: PathBuf,
        /// The format that it has.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is something else. It was left as it is.
    #[error("{path} is not a journal of convoke")]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("the journal {path} is damaged: {detail}")]
    Corrupt {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// Another process has kept it locked for longer than a write may wait.
    #[error("the journal {path} is locked by another process")]
    Locked {
        /// The journal's file.
        path: PathBuf,
    },
    /// File, folder or file system can't be written.
    #[error("the journal {path} can't be written: it is read-only")]
    ReadOnly {
        /// The journal's file.
        path: PathBuf,
    },
    /// There is no room.
    #[error("the journal {path} can't grow: the disk is full")]
    Full {
        /// The journal's file.
        path: PathBuf,
    },
    /// The file or its folder can't be opened or made.
    #[error("the journal {path} can't be opened: {detail}")]
    Unreachable {
        /// The journal's file.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// Anything else that the storage says.
    #[error("the journal {path} failed: {detail}")]
    Storage {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// Its writer is gone: the journal is closed, or its process is ending.
    #[error("the journal {path} is closed")]
    Closed {
        /// The journal's file.
        path: PathBuf,
    },
    /// No run has this id, or an id that ends so.
    #[error("the journal knows no run {run}")]
    UnknownRun {
        /// As it was asked for.
        run: String,
    },
    /// Several runs have an id that ends so.
    #[error("several runs end in {run}")]
    Ambiguous {
        /// As it was asked for.
        run: String,
    },
    /// The run was begun before.
    #[error("run {run} has begun already")]
    RunExists {
        /// Which.
        run: RunId,
    },
    /// A living process has the run under way.
    #[error("run {run} is under way")]
    UnderWay {
        /// Which.
        run: RunId,
    },
    /// The run has gone on since it was looked at.
    #[error("run {run} was continued by another convoke at the same time")]
    WentOn {
        /// Which.
        run: RunId,
    },
    /// The run was ended before.
    #[error("run {run} has ended already")]
    RunEnded {
        /// Which.
        run: RunId,
    },
    /// The run has no such item.
    #[error("run {run} has no item {item:?}")]
    UnknownItem {
        /// In which run.
        run: RunId,
        /// The item's id.
        item: String,
    },
    /// The run has an item with this id already.
    #[error("run {run} has an item {item:?} already")]
    ItemExists {
        /// In which run.
        run: RunId,
        /// The item's id.
        item: String,
    },
    /// An item ends once a run.
    #[error("item {item:?} of run {run} has ended already")]
    ItemEnded {
        /// In which run.
        run: RunId,
        /// The item's id.
        item: String,
    },
    /// An action that was started before, or is under way, can't be changed so.
    #[error("action {key:?} stands otherwise in the journal")]
    ActionHeld {
        /// Its key.
        key: String,
    },
    /// The project has no action of this key.
    #[error("the journal knows no action {key:?} of this project")]
    UnknownAction {
        /// As it was asked for.
        key: String,
    },
    /// A record that would not be true, or could not be read again.
    #[error("{what} can't be written to the journal: {detail}")]
    Unwritable {
        /// Of which record.
        what: String,
        /// Why.
        detail: String,
    },
    /// A record that doesn't make sense.
    #[error("{what} can't be read from the journal {path}: {detail}")]
    Unreadable {
        /// The journal's file.
        path: PathBuf,
        /// Of which record.
        what: String,
        /// Why.
        detail: String,
    },
}

impl JournalError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Newer { .. } => "Use the convoke that wrote it, or a newer one.",
            Self::NotAJournal { .. } => "Move it away; convoke makes a new journal.",
            Self::Corrupt { .. } | Self::Unreadable { .. } => {
                "Move the file away, and with it those beside it that end in -wal and -shm, to begin a new journal; what \
                 earlier runs did is then done again."
            }
            Self::Locked { .. } => "See what other process has it open, wait for it or stop it, then run again.",
            Self::ReadOnly { .. } | Self::Unreachable { .. } => {
                "Check that the file and its folder belong to you and can be written."
            }
            Self::Full { .. } => "Make room, then run the same again: what is done is not repeated.",
            Self::WentOn { .. } => "Look at the run, and do it again if something is left to do.",
            Self::UnknownRun { .. } => "`convoke runs` shows this project's runs, with --all those of all projects.",
            Self::Ambiguous { .. } => "Give more digits; `convoke runs --format json` shows whole ids.",
            Self::UnderWay { .. } => "Wait for it, or stop it with Ctrl-C where it runs.",
            Self::ActionHeld { .. } | Self::UnknownAction { .. } => "See `convoke actions`.",
            _ => return None,
        })
    }

    /// Whether the storage failed, as against one wrong record: no other write would have fared better.
    pub fn is_storage(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. }
                | Self::Locked { .. }
                | Self::ReadOnly { .. }
                | Self::Full { .. }
                | Self::Unreachable { .. }
                | Self::Storage { .. }
                | Self::Closed { .. }
        )
    }

    /// Names what SQLite says of the file at `path`.
    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, detail) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAJournal { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, detail },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::Unreachable { path, detail },
            Some(ErrorCode::TooBig) => Self::Unwritable { what: "a record".to_owned(), detail },
            _ => Self::Storage { path, detail },
        }
    }

    /// Names what the system says of the file at `path`.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied if path.exists() => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Unreachable { path, detail: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_failure_of_the_storage_has_its_name_its_path_and_a_hint() {
        let named = |code| {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = JournalError::sqlite(Path::new("/data/journal.db"), &failure);
            assert!(error.to_string().contains("/data/journal.db"), "{error}");
            assert!(error.hint().is_some(), "{error}");
            error
        };
        assert!(matches!(named(ffi::SQLITE_NOTADB), JournalError::NotAJournal { .. }));
        assert!(matches!(named(ffi::SQLITE_CORRUPT), JournalError::Corrupt { .. }));
        assert!(matches!(named(ffi::SQLITE_BUSY), JournalError::Locked { .. }));
        assert!(matches!(named(ffi::SQLITE_READONLY), JournalError::ReadOnly { .. }));
        assert!(matches!(named(ffi::SQLITE_FULL), JournalError::Full { .. }));
        assert!(matches!(named(ffi::SQLITE_CANTOPEN), JournalError::Unreachable { .. }));
    }

    #[test]
    fn a_read_only_file_system_and_a_full_one_are_told_apart() {
        let named = |kind: io::ErrorKind| JournalError::io(Path::new("/nowhere/journal.db"), &kind.into());
        assert!(matches!(named(io::ErrorKind::ReadOnlyFilesystem), JournalError::ReadOnly { .. }));
        assert!(matches!(named(io::ErrorKind::StorageFull), JournalError::Full { .. }));
        assert!(matches!(named(io::ErrorKind::NotADirectory), JournalError::Unreachable { .. }));
    }
}
