//! Go: `go.mod`, which since Go 1.17 lists all that is built and so is manifest and lockfile in one, `go.sum` and `go.work`.

mod module;
mod sum;
mod syntax;
mod work;

use super::Format;
use crate::model::Manager;

/// The format of a file, by its name.
pub fn format_of(name: &str) -> Option<Format> {
    let (lock, parse): (bool, super::Parse) = match name {
        "go.mod" => (false, module::parse),
        "go.work" => (false, work::parse),
        "go.sum" | "go.work.sum" => (true, sum::parse),
        _ => return None,
    };
    Some(Format { manager: Manager::Go, lock, parse })
}
