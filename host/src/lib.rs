//! The host of convoke: terminal, files and sandbox around [`convoke_runtime`].

pub mod plugin;
