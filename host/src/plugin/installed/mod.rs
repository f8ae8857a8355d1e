//! The plugins that a user has installed: components in files that are named by their digest, and one index that says
//! which of them each name means.
//!
//! An install is a [transaction](transaction): a component is captured once, looked at, agreed to, compiled, and only then
//! written down, under a lock of the kernel, by one atomic write of the index. Whoever reads finds the old or the new. A
//! project's `convoke.toml` can [pin](pins) versions, and its [`lockfile`] names the very bytes.

pub mod asks;
mod change;
mod error;
mod index;
pub mod lockfile;
pub mod pins;
pub mod spec;
mod steps;
mod store;
pub mod supply;
pub mod transaction;

pub use crate::steps::{Steps, Undisturbed};
pub use change::Change;
pub use error::InstallError;
pub use index::{Held, Index, Installed};
pub use steps::Step;
pub use store::Plugins;

#[cfg(test)]
mod tests;
