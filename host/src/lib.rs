//! The host of convoke: terminal, files and sandbox around [`convoke_runtime`].

pub mod config;
pub mod report;
