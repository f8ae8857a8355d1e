//! Gradle's lockfiles: a package on a line, with the configurations that use it. They have no digests and no graph.
//!
//! <https://docs.gradle.org/current/userguide/dependency_locking.html>

use crate::format::gradle::scope_of;
use crate::format::tree::bounded;
use crate::model::{Fault, File, Lock, Manager, Package, Scope, Texts, name_of};

/// Reads a lockfile: lines of `group:artifact:version=configuration,configuration`; of an older one without configurations.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Gradle, name_of(path));
    let mut lock = Lock::default();
    let of_file = name_of(path).strip_suffix(".lockfile").filter(|name| !name.ends_with("gradle"));
    for (at, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("empty=") {
            continue;
        }
        let (package, configurations) = line.split_once('=').unwrap_or((line, of_file.unwrap_or_default()));
        let mut parts = package.split(':');
        let (Some(group), Some(artifact), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let message = format!("this is no `group:artifact:version=configurations`: {line}");
            file.faults.push(Fault::new(Some(at), &message, false));
            continue;
        };
        // It is needed to run if any of its configurations is.
        let scope = configurations.split(',').map(|name| scope_of(name.trim())).min().unwrap_or(Scope::Normal);
        lock.packages.push(Package { scope, ..Package::new(format!("{group}:{artifact}"), version, at) });
    }
    bounded(&mut file.faults);
    file.lock = Some(lock);
    file
}
