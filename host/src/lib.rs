//! The host of convoke: terminal, files and sandbox around [`convoke_runtime`].

<<<<<<< HEAD
pub mod config;
pub mod report;
=======
pub mod plugin;
>>>>>>> f
