//! A running convoke can be looked at and changed: by `convoke ctl`, and by the dashboard.
//!
//! Each process that runs something listens on a socket of its own, in a folder that only its user can enter. Who connects
//! must be the same user. [`protocol`] is what is said there, a line of JSON each way.

pub mod protocol;

#[cfg(unix)]
pub mod client;
#[cfg(unix)]
mod folder;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod requests;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod status;

#[cfg(unix)]
pub(crate) use server::Control;
