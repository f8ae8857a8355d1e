//! Policies that are not our own: WASM components and native libraries.

#[cfg(test)]
mod agreement;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod native;
pub mod wasm;

pub use error::PolicyError;
