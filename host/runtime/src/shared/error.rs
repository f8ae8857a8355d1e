//! What can be wrong with what is shared.

use std::io;
use std::path::PathBuf;

/// Why limits are not shared.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A newer convoke wrote it.
    #[error("{} has version {version}, and this convoke reads up to {}", path.display(), super::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It is torn, or something else than it should be.
    #[error("{} can't be understood: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Another process has it, and does not let go.
    #[error("{} is locked by another process that does not go on", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

impl SharedError {
    /// What to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Newer { .. } => Some("update convoke; the file was not changed"),
            Self::Busy { .. } => Some("look for a convoke that is stopped, and end it or let it go on"),
            Self::Io { .. } | Self::Broken { .. } => None,
        }
    }

    /// What the user of a run is told.
    pub fn warning(&self) -> String {
        let hint = self.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("limits are not shared with other convoke processes: {self}{hint}")
    }
}
