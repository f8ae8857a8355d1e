//! Gradle: lockfiles, version catalogs, and of build scripts what can be read without running them.

mod catalog;
mod lock;
mod notation;
mod script;
#[cfg(test)]
mod tests;
mod token;
mod values;

use crate::format::{Format, Parse};
use crate::model::{Bound, Manager, Scope};

/// The format of a file, by its name.
pub fn format_of(name: &str) -> Option<Format> {
    const LOCKS: [&str; 3] = ["gradle.lockfile", "buildscript-gradle.lockfile", "settings-gradle.lockfile"];
    // Before version 7 each configuration had a lockfile of its own.
    let older = ["Classpath.lockfile", "annotationProcessor.lockfile", "AnnotationProcessor.lockfile"];
    let is_lock = LOCKS.contains(&name) || older.iter().any(|ending| name.ends_with(ending));
    let parse: Parse = match name {
        _ if is_lock => lock::parse,
        _ if name.ends_with(".versions.toml") => catalog::parse,
        _ if name.ends_with(".gradle") || name.ends_with(".gradle.kts") => script::parse,
        _ => return None,
    };
    Some(Format { manager: Manager::Gradle, lock: is_lock, parse })
}

/// What a version allows, by Gradle's rules (<https://docs.gradle.org/current/userguide/dependency_versions.html>).
///
/// A plain version is a wish, over which a higher one of another package wins; the project itself asks for just that one.
pub fn bound_of(range: &str) -> Bound {
    let range = range.trim();
    let (range, preferred) = range.split_once("!!").map_or((range, false), |(strict, _)| (strict, true));
    match range {
        "" | "+" => return Bound::Open,
        _ if range.starts_with("latest.") => return Bound::Open,
        _ if range.contains('$') => return Bound::Unknown,
        _ => {}
    }
    if let Some(inside) = range.strip_prefix(['[', '(', ']']) {
        // `]1,2[` is another way to write `(1,2)`.
        let Some(inside) = inside.strip_suffix([']', ')', '[']) else { return Bound::Unknown };
        return match inside.split_once(',') {
            None if inside.trim().is_empty() => Bound::Unknown,
            None => Bound::Exact,
            Some((_, upper)) if upper.contains(',') => Bound::Unknown,
            Some((_, upper)) if upper.trim().is_empty() => Bound::Open,
            Some(_) => Bound::Bounded,
        };
    }
    match () {
        () if range.contains([',', '[', ']', '(', ')', ' ']) => Bound::Unknown,
        () if !preferred && (range.ends_with('+') || range.ends_with("-SNAPSHOT")) => Bound::Bounded,
        () => Bound::Exact,
    }
}

/// What a configuration's packages are needed for, by its name: there is no other mark.
fn scope_of(configuration: &str) -> Scope {
    const BUILDS: [&str; 13] = [
        "annotationprocessor",
        "kapt",
        "ksp",
        "detekt",
        "checkstyle",
        "pmd",
        "spotbugs",
        "spotless",
        "jacoco",
        "ktlint",
        "lintchecks",
        "protobuf",
        "kotlincompiler",
    ];
    let lower = configuration.to_ascii_lowercase();
    match () {
        () if lower.contains("test") || lower == "developmentonly" => Scope::Dev,
        () if lower == "classpath" || BUILDS.iter().any(|start| lower.starts_with(start)) => Scope::Build,
        () if lower.contains("annotationprocessor") => Scope::Build,
        () if lower.contains("compileonly") || lower.contains("providedcompile") => Scope::Peer,
        () => Scope::Normal,
    }
}
