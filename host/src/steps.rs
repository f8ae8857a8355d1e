//! The places between two steps of what must be done wholly or not at all, for tests that end the process or let the disk fail
//! there. Whose steps they are says which there are.

use std::io;

/// Hears of each step.
pub trait Steps<Step> {
    /// A step was done.
    ///
    /// # Errors
    /// To have the next one fail.
    fn passed(&self, step: Step) -> io::Result<()>;
}

/// Lets all be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undisturbed;

impl<Step> Steps<Step> for Undisturbed {
    fn passed(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}
