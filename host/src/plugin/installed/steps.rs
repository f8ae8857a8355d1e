//! The steps of an install.

/// What has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The component was captured and looked at.
    Looked,
    /// It was agreed to what it asks for.
    Agreed,
    /// It is compiled, and all that it imports is there.
    Compiled,
    /// No other process installs.
    Locked,
    /// The component is on the disk.
    Placed,
    /// The index names it.
    Written,
    /// The project's lockfile names it.
    Noted,
    /// What nobody needs any more is gone.
    Swept,
}
