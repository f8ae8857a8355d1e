//! Digests of what is locked.

use convoke_sdk::{Finding, Severity};

use super::{counted, finding, is_of_registry_package, locks, number, same, some, word};
use crate::model::Manager;
use crate::unit::Unit;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    // Go keeps them in go.sum, which may be another file of the unit than the one that names the packages.
    let elsewhere = |name: &str, version: &str| {
        unit.manager == Manager::Go
            && locks(unit).any(|(_, lock)| {
                lock.packages.iter().any(|other| other.hashed && other.name == name && other.version == version)
            })
    };
    for (file, lock) in locks(unit) {
        let of_registry = || lock.packages.iter().filter(|package| is_of_registry_package(package));
        let all = of_registry().count();
        let bare: Vec<_> =
            of_registry().filter(|package| !package.hashed && !elsewhere(&package.name, &package.version)).collect();
        let Some(line) = bare.iter().map(|package| package.line).min() else { continue };
        let message = if bare.len() == all {
            format!("none of the {} here has a hash", counted(all, "package", "packages"))
        } else {
            let names = some(bare.iter().map(|package| word(&package.name)));
            let have = if bare.len() == 1 { "has" } else { "have" };
            format!("{} of {} packages {have} no hash: {names}", number(bare.len()), number(all))
        };
        let mut finding = finding("hash-missing", &file.path, line, message)
            .fingerprint(same("hash-missing", &file.path, ""))
            .help(help(unit.manager));
        // All of them: the format has none, or nobody asked for them. Some of them: those are odd.
        if bare.len() == all {
            finding.severity = Severity::Info;
        }
        found.push(finding);
    }
}

fn help(manager: Manager) -> &'static str {
    match manager {
        Manager::Bundler => "`bundle lock --add-checksums` adds them.",
        Manager::Python => "pip takes hashes with `--require-hashes`; pip-compile and uv write them.",
        Manager::Gradle => "Gradle keeps them apart: `gradle --write-verification-metadata sha256`.",
        Manager::Go => "`go mod tidy` adds them to go.sum.",
        Manager::Cargo | Manager::Npm | Manager::Maven | Manager::NuGet => {
            "Let the package manager write the lockfile anew from its registry."
        }
    }
}
