//! Ranges that fix nothing.

use convoke_sdk::Finding;

use super::{ByFile, counted, is_of_registry, locked_names, manifests, word};
use crate::model::{Bound, Manager, Requirement};
use crate::unit::Unit;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    let locked = locked_names(unit);
    let (mut open, mut open_locked, mut unpinned) = (ByFile::default(), ByFile::default(), ByFile::default());
    let missing = super::lockfile::missing(unit).is_some();
    for (file, manifest) in manifests(unit) {
        for requirement in manifest.requirements.iter().filter(|requirement| is_of_registry(requirement)) {
            if !floats(unit.manager, requirement) {
                continue;
            }
            let of = match (requirement.bound, locked.contains(requirement.name.as_str())) {
                (Bound::Open, false) => &mut open,
                (Bound::Open, true) => &mut open_locked,
                // That there is no lockfile is one cause, and is said once.
                (Bound::Bounded, false) if !missing && locked.is_empty() => &mut unpinned,
                _ => continue,
            };
            of.add(&file.path, requirement.line, asked(requirement));
        }
    }
    found.extend(open.into_findings(
        "range-open",
        "Give each an upper bound, or commit a lockfile.",
        |count, names| match count {
            1 => format!("{names} is asked for without an upper bound, and no lockfile fixes its version"),
            _ => format!("{count} requirements have no upper bound, and no lockfile fixes their versions: {names}"),
        },
    ));
    found.extend(open_locked.into_findings(
        "range-open-locked",
        "Give each an upper bound: the next update of the lockfile may take any later version.",
        |count, names| match count {
            1 => format!("{names} is asked for without an upper bound: only the lockfile fixes its version"),
            _ => format!("{count} requirements have no upper bound: only the lockfile fixes their versions: {names}"),
        },
    ));
    found.extend(unpinned.into_findings(
        "range-unpinned",
        "Pin what is installed, with its own dependencies: pip-compile and uv write such a file, other managers a lockfile.",
        |count, names| {
            let requirements = counted(count, "requirement is a range", "requirements are ranges");
            format!("{requirements}, and no lockfile fixes what is installed: {names}")
        },
    ));
}

/// Whether another version may be installed tomorrow while the manifest stays the same and nothing is locked.
pub(super) fn floats(manager: Manager, requirement: &Requirement) -> bool {
    match manager {
        // The lowest version that all requirements allow is taken (Go: minimal version selection).
        Manager::Go => false,
        // Likewise, unless the version floats or there is none.
        Manager::NuGet => requirement.range.as_deref().is_none_or(|range| range.contains('*')),
        _ => matches!(requirement.bound, Bound::Open | Bound::Bounded),
    }
}

fn asked(requirement: &Requirement) -> String {
    match requirement.range.as_deref().map(str::trim).filter(|range| !range.is_empty()) {
        Some(range) => format!("{} {}", word(&requirement.name), word(range)),
        None => word(&requirement.name),
    }
}
