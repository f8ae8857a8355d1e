//! Policies that are not our own: WASM components and native libraries.

pub mod error;
pub mod native;
pub mod wasm;

pub use error::PolicyError;
