//! Policies of the user: where they are, which one is in force, and how a running convoke takes another one.
//!
//! The numbers of the built-in policy are set by a [`policy.toml`](toml); a policy that is a program comes as a
//! [component](wasm) or as a [library](native). All forms are read by one function, [`load`](load::load), and put in
//! force by one slot.

#[cfg(test)]
mod agreement;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod load;
pub mod named;
pub mod native;
pub mod samples;
pub mod schema;
pub mod toml;
pub mod wasm;
pub mod watch;

pub use error::PolicyError;
pub use load::{Form, LoadError, Loaded, Place, load};
pub use named::{Policies, Selected};
pub use watch::InUse;
