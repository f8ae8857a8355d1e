//! Names that are nearly those of very popular packages.

use convoke_sdk::small::Map;

use convoke_sdk::Finding;

use super::{finding, is_of_registry, is_of_registry_package, locks, manifests, same, word};
use crate::popular::near;
use crate::unit::Unit;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    let mut places: Map<&str, (&str, u32)> = Map::new();
    // Where a name is asked for says more than where it is locked.
    for (file, manifest) in manifests(unit) {
        for requirement in manifest.requirements.iter().filter(|requirement| is_of_registry(requirement)) {
            places.entry(&requirement.name).or_insert((&file.path, requirement.line));
        }
    }
    for (file, lock) in locks(unit) {
        for package in lock.packages.iter().filter(|package| is_of_registry_package(package)) {
            places.entry(&package.name).or_insert((&file.path, package.line));
        }
    }
    for (name, (path, line)) in places {
        let Some(popular) = near(unit.manager.ecosystem(), name) else { continue };
        let message = format!("{} is nearly {popular}, which is far better known", word(name));
        found.push(
            finding("name-near", path, line, message)
                .help("Make sure that it is the package you mean: names like this are used to plant bad ones.")
                .fingerprint(same("name-near", path, name)),
        );
    }
}
