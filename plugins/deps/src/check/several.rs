//! One package in several versions.

use convoke_sdk::small::{Map, Set};
use std::cmp::Ordering;

use convoke_sdk::{Finding, Severity};

use super::{counted, finding, locks, same, some, word};
use crate::model::{Ecosystem, Manager};
use crate::unit::Unit;
use crate::versions::Version;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    let ecosystem = unit.manager.ecosystem();
    for (file, lock) in locks(unit) {
        let mut versions: Map<&str, (u32, Set<&str>)> = Map::new();
        for package in lock.packages.iter().filter(|package| super::is_of_registry_package(package)) {
            let (line, all) = versions.entry(&package.name).or_insert((package.line, Set::new()));
            *line = (*line).min(package.line);
            all.insert(&package.version);
        }
        versions.retain(|_, (_, all)| all.len() > 1);
        let Some(line) = versions.values().map(|(line, _)| *line).min() else { continue };
        // The most first: they cost the most.
        let mut many: Vec<_> = versions.iter().collect();
        convoke_sdk::small::sort_by_key(&mut many, |(name, (_, all))| (std::cmp::Reverse(all.len()), **name));
        let names = some(
            many.iter()
                .map(|(name, (_, all))| format!("{} ({})", word(name), word(&in_order(ecosystem, all).join(", ")))),
        );
        let count = counted(versions.len(), "package is", "packages are");
        let message = format!("{count} there in more than one version: {names}");
        let mut finding = finding("several-versions", &file.path, line, message)
            .help("`convoke deps why NAME` says who needs which.")
            .fingerprint(same("several-versions", &file.path, ""));
        // Where only one can be installed at a time, it is by condition, or a mistake.
        if matches!(unit.manager, Manager::Python | Manager::Bundler | Manager::Go | Manager::Maven) {
            finding.severity = Severity::Low;
        }
        found.push(finding);
    }
}

/// The oldest first; as texts, where one of them is no version.
fn in_order<'a>(ecosystem: Ecosystem, versions: &Set<&'a str>) -> Vec<&'a str> {
    let parsed = versions.iter().map(|text| Some((Version::parse(ecosystem, text)?, *text)));
    let Some(mut parsed) = parsed.collect::<Option<Vec<_>>>() else { return versions.iter().copied().collect() };
    convoke_sdk::small::sort_by(&mut parsed, |(one, _), (other, _)| one.order(other).unwrap_or(Ordering::Equal));
    parsed.into_iter().map(|(_, text)| text).collect()
}
