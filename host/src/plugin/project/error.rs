//! What can go wrong with the project's files.

use std::io;

use crate::plugin::printable;

/// Why an operation on the project's files did not give a result. Paths are as the plugin sees them, control
/// characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectError {
    /// Nothing stands at that path.
    #[error("{path} is not there")]
    Missing {
        /// The path.
        path: String,
    },
    /// The path, or a link on it, leads out of the project and of what the user named.
    #[error("{path} is outside the project")]
    Outside {
        /// The path.
        path: String,
    },
    /// Git's own folder.
    #[error("{path} belongs to git")]
    Git {
        /// The path.
        path: String,
    },
    /// A file was wanted.
    #[error("{path} is {what}, not a file")]
    NotAFile {
        /// The path.
        path: String,
        /// What it is: `a folder`, `neither a file nor a folder`.
        what: &'static str,
    },
    /// A folder was wanted.
    #[error("{path} is not a folder")]
    NotAFolder {
        /// The path.
        path: String,
    },
    /// A file larger than the limit for one read.
    #[error("{path} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The path.
        path: String,
        /// Bytes. At least so many: the file may be growing.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// The operating system refuses.
    #[error("{path} may not be read")]
    Denied {
        /// The path.
        path: String,
    },
    /// A path that no file can have, or that is too long.
    #[error("`{path}` is no path: {why}")]
    BadPath {
        /// The path, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The content is not what this run has already seen at that path, or it changes faster than it can be read.
    #[error("{path} has changed since the run began")]
    Changed {
        /// The path.
        path: String,
    },
    /// A glob that doesn't parse.
    #[error("the glob `{glob}` doesn't parse: {why}")]
    BadGlob {
        /// The glob, shortened.
        glob: String,
        /// What is wrong with it.
        why: String,
    },
    /// A regular expression that doesn't parse, or is too large.
    #[error("the regular expression doesn't parse: {why}")]
    BadRegex {
        /// What is wrong with it.
        why: String,
    },
    /// A limit on numbers was reached.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// Folders in folders beyond the limit.
    #[error("{path} lies more than {limit} folders deep")]
    TooDeep {
        /// The folder.
        path: String,
        /// How many are allowed.
        limit: u32,
    },
    /// The operating system reports something else.
    #[error("{path} can't be read: {why}")]
    Io {
        /// The path.
        path: String,
        /// The operating system's words.
        why: String,
    },
    /// What the project said when it was recorded.
    #[error("{message}")]
    Recorded {
        /// The words.
        message: String,
        /// What was advised.
        hint: Option<String>,
    },
    /// A replay is asked what the recorded run did not ask.
    #[error("{what} was not recorded")]
    NotRecorded {
        /// What: `the file src/lib.rs`.
        what: String,
    },
    /// The operation was stopped, because the run is.
    #[error("the operation was stopped")]
    Stopped,
}

impl ProjectError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::Outside { .. } => "a command sees the project's folder and the paths that were typed, nothing else",
            Self::Git { .. } => "a command never sees what is below .git",
            Self::TooLarge { .. } => "leave it out, or ask for less of it",
            Self::Denied { .. } => "look at the permissions of the file and of the folders above it",
            Self::Changed { .. } => "let nothing else write to the project while the command runs, then run it again",
            Self::BadGlob { .. } => "globs are written as in .gitignore",
            Self::BadRegex { .. } => {
                "the syntax is that of Rust's regex crate, without look-around and back references"
            }
            Self::Recorded { hint, .. } => return hint.as_deref(),
            Self::NotRecorded { .. } => "record the run again",
            Self::TooMany { .. } | Self::TooDeep { .. } => "narrow it by a folder, or leave folders out",
            Self::Missing { .. }
            | Self::NotAFile { .. }
            | Self::NotAFolder { .. }
            | Self::BadPath { .. }
            | Self::Io { .. }
            | Self::Stopped => return None,
        })
    }

    /// A stable name for the kind of failure. A later run compares it: a result that rests on a failure is reused
    /// only while the same failure stands.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Outside { .. } => "outside",
            Self::Git { .. } => "git",
            Self::NotAFile { .. } => "not-a-file",
            Self::NotAFolder { .. } => "not-a-folder",
            Self::TooLarge { .. } => "too-large",
            Self::Denied { .. } => "denied",
            Self::BadPath { .. } => "bad-path",
            Self::Changed { .. } => "changed",
            Self::BadGlob { .. } => "bad-glob",
            Self::BadRegex { .. } => "bad-regex",
            Self::TooMany { .. } => "too-many",
            Self::TooDeep { .. } => "too-deep",
            Self::Io { .. } => "io",
            Self::Recorded { .. } => "recorded",
            Self::NotRecorded { .. } => "not-recorded",
            Self::Stopped => "stopped",
        }
    }

    /// What the operating system or the sandbox said about a path.
    pub(super) fn from_io(path: &str, error: &io::Error) -> Self {
        let path = printable(path, 300);
        match error.kind() {
            // A file where a folder is needed: there is nothing below it.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing { path },
            // An error without a number is not the system's: the sandbox stopped at its border.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Self::Outside { path },
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            io::ErrorKind::IsADirectory => Self::NotAFile { path, what: "a folder" },
            _ => Self::Io { path, why: printable(&error.to_string(), 200) },
        }
    }
}
