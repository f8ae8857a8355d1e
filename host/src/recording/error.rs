//! What can be wrong with a recording.

use std::path::PathBuf;

use convoke_runtime::cassette::TooMuch as TooManyQuestions;

use super::VERSION;
use crate::plugin::outside::taped::TooMuch as TooManyCalls;
use crate::plugin::project::tape::TooMuch as TooManyReads;

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The folder holds something else, which is not replaced.
    #[error("{} is not replaced: {what}", .folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        what: String,
    },
    /// There is none.
    #[error("{} is no recording: it has no run.json", .folder.display())]
    NoRecording {
        /// The folder.
        folder: PathBuf,
    },
    /// A file can't be read.
    #[error("{} can't be read: {why}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file doesn't say what it must.
    #[error("{}: {why}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        why: String,
    },
    /// Another convoke made it.
    #[error("{} has version {version}, and this convoke reads version {VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It can't be written.
    #[error("the recording {} can't be written: {why}", .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It would lack something.
    #[error("the recording was not written: {0}")]
    Questions(#[from] TooManyQuestions),
    /// It would lack something.
    #[error("the recording was not written: {0}")]
    Reads(#[from] TooManyReads),
    /// It would lack something.
    #[error("the recording was not written: {0}")]
    Calls(#[from] TooManyCalls),
    /// It is one of another command.
    #[error("{} is a recording of {recorded}, not of {typed}", .folder.display())]
    OtherCommand {
        /// The folder.
        folder: PathBuf,
        /// What was recorded.
        recorded: String,
        /// What is run.
        typed: String,
    },
    /// It is one of another call.
    #[error("{} was recorded with other arguments\nrecorded: {recorded}\n   typed: {typed}", .folder.display())]
    OtherArguments {
        /// The folder.
        folder: PathBuf,
        /// What was typed then.
        recorded: String,
        /// What was typed now.
        typed: String,
    },
}

impl RecordingError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotOurs { .. } => Some("name a folder that is empty, new, or a recording"),
            Self::NoRecording { .. } => Some("make one with --record"),
            Self::Broken { .. } => Some("undo the change of that file, or record again"),
            Self::Version { version, .. } if *version > u64::from(VERSION) => Some("a newer convoke reads it"),
            Self::Version { .. } => Some("record again"),
            Self::Questions(_) | Self::Reads(_) | Self::Calls(_) => {
                Some("record a smaller run; the report is complete")
            }
            Self::OtherArguments { .. } => Some("type what was recorded, or record again"),
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::OtherCommand { .. } => None,
        }
    }
}
