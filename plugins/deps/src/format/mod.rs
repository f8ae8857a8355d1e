//! The formats of manifests and lockfiles, one module a manager.
//!
//! Each has the same two functions: `format_of` knows a file by its name, `parse` reads its text. A parser never fails:
//! what it can't read is a [`Fault`](crate::model::Fault) with its line.

pub mod bundler;
pub mod cargo;
#[cfg(test)]
mod corpus_lists_tests;
#[cfg(test)]
mod corpus_tests;
pub mod go;
pub mod gradle;
pub mod json;
pub mod maven;
pub mod npm;
pub mod nuget;
pub mod python;
pub mod reading;
pub mod registry;
#[cfg(test)]
pub(crate) mod testing;
pub mod toml;
pub mod tree;
#[cfg(test)]
mod windows_tests;
pub(crate) mod xml;
pub mod yaml;

use crate::model::{File, Manager, Texts, name_of};

/// Reads one file. `texts` are the manifests of the same manager around it, for what it takes from them.
pub type Parse = fn(path: &str, text: &str, texts: &Texts) -> File;

/// A format that is understood.
#[derive(Clone, Copy)]
pub struct Format {
    /// Whose it is.
    pub manager: Manager,
    /// Whether it is a lockfile; a file that is both counts as a manifest.
    pub lock: bool,
    /// Reads it.
    pub parse: Parse,
}

/// The format of a file, by its name.
pub fn format_of(path: &str) -> Option<Format> {
    let name = name_of(path);
    let known: &[fn(&str) -> Option<Format>] = &[
        bundler::format_of,
        cargo::format_of,
        go::format_of,
        gradle::format_of,
        maven::format_of,
        npm::format_of,
        nuget::format_of,
    ];
    // Python's files are known by their folder too.
    known.iter().find_map(|format_of| format_of(name)).or_else(|| python::format_of(path))
}
