//! NuGet: projects of .NET with what they share, `packages.config`, `packages.lock.json`.

mod around;
mod config;
mod lock;
mod project;
mod sheet;
#[cfg(test)]
mod tests;

use crate::format::{Format, Parse};
use crate::model::{Bound, Manager};

/// The format of a file, by its name.
pub fn format_of(name: &str) -> Option<Format> {
    let is_lock = name == "packages.lock.json";
    let shared = ["Directory.Build.props", "Directory.Packages.props", "Directory.Build.targets"];
    let projects = [".csproj", ".fsproj", ".vbproj"];
    let parse: Parse = match name {
        "packages.config" => config::parse,
        _ if is_lock => lock::parse,
        _ if shared.contains(&name) || projects.iter().any(|ending| name.ends_with(ending)) => project::parse,
        _ => return None,
    };
    Some(Format { manager: Manager::NuGet, lock: is_lock, parse })
}

/// What a version allows, by NuGet's rules (<https://learn.microsoft.com/nuget/concepts/package-versioning>).
///
/// `1.2` means `1.2 or higher`, but NuGet takes the lowest that fits, and one that a project names itself wins over what others
/// ask for: so it is that version, as long as its feed has it.
pub fn bound_of(range: &str) -> Bound {
    let range = range.trim();
    if range.is_empty() || range == "*" || range == "*-*" {
        return Bound::Open;
    }
    if range.contains("$(") || range.contains("@(") {
        return Bound::Unknown;
    }
    let Some(inside) = range.strip_prefix(['[', '(']) else {
        return match range.contains('*') {
            true => Bound::Bounded,
            false if range.contains([',', ']', ')', ' ']) => Bound::Unknown,
            false => Bound::Exact,
        };
    };
    let Some(inside) = inside.strip_suffix([']', ')']) else { return Bound::Unknown };
    match inside.split_once(',') {
        None if inside.trim().is_empty() => Bound::Unknown,
        None if inside.contains('*') => Bound::Bounded,
        None => Bound::Exact,
        Some((_, upper)) if upper.contains(',') => Bound::Unknown,
        Some((_, upper)) if upper.trim().is_empty() => Bound::Open,
        Some((lower, upper)) if lower.trim() == upper.trim() => Bound::Exact,
        Some(_) => Bound::Bounded,
    }
}
