//! The steps of carrying edits out.

/// What has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The files are what the edits were made against.
    Checked,
    /// All is written down.
    Prepared,
    /// A folder was made.
    FolderMade,
    /// The new content of this file is beside the old one.
    Written(usize),
    /// It is written down that files are changed from now on.
    Committing,
    /// This file has its new content.
    Placed(usize),
    /// All is on the disk.
    Synced,
    /// It is written down that all is done.
    Done,
}
