//! The places between two steps of an install, for tests that end the process or let the disk fail there.

use std::io;

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

/// Hears of each step.
pub trait Steps {
    /// A step was done.
    ///
    /// # Errors
    /// To have the next one fail.
    fn passed(&self, step: Step) -> io::Result<()>;
}

/// Lets all be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undisturbed;

impl Steps for Undisturbed {
    fn passed(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}
