//! npm and those that share its registry: `package.json`, the lockfiles of npm, yarn and pnpm.
//!
//! The rules are those of npm's documentation ("package.json", "package-lock.json"), of node-semver's README for ranges,
//! of npm-package-arg for what else a dependency can be, and of yarn's and pnpm's own lockfile readers.

mod berry;
mod direct;
mod lock;
mod lock_first;
pub mod manifest;
mod pnpm;
pub mod range;
pub mod spec;
mod workspace;
mod yarn;

use super::Format;
use crate::model::Manager;

/// The format of a file of that name.
pub fn format_of(name: &str) -> Option<Format> {
    let manager = Manager::Npm;
    let (lock, parse): (bool, super::Parse) = match name {
        "package.json" => (false, manifest::parse),
        "pnpm-workspace.yaml" => (false, workspace::parse),
        "package-lock.json" | "npm-shrinkwrap.json" => (true, lock::parse),
        "yarn.lock" => (true, yarn::parse),
        "pnpm-lock.yaml" => (true, pnpm::parse),
        _ => return None,
    };
    Some(Format { manager, lock, parse })
}
