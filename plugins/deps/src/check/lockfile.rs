//! Lockfiles: missing, stale, several.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::{Finding, Severity};

use super::ranges::floats;
use super::satisfies::satisfies;
use super::{counted, finding, is_of_registry, locks, manifests, same, some, word};
use crate::model::{Bound, File, Manager, Package, Requirement, Scope, name_of};
use crate::unit::Unit;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    found.extend(missing(unit).map(|missing| missing.finding()));
    several(unit, found);
    stale(unit, found);
}

/// That a lockfile is missing.
pub(super) struct Missing<'a> {
    file: &'a File,
    line: u32,
    severity: Severity,
    ranges: usize,
    all: usize,
    help: &'static str,
}

/// Whether a lockfile should be there and is not. What a manager has no lockfile for doesn't miss it.
pub(super) fn missing(unit: &Unit) -> Option<Missing<'_>> {
    if locks(unit).next().is_some() {
        return None;
    }
    let asking = manifests(unit).filter(|(file, _)| !is_requirements(file));
    let asking = asking.filter_map(|(file, manifest)| {
        let outside: Vec<&Requirement> =
            manifest.requirements.iter().filter(|requirement| is_of_registry(requirement)).collect();
        Some((file, outside.first()?.line, outside))
    });
    let asking: Vec<(&File, u32, Vec<&Requirement>)> = asking.collect();
    let (file, line, _) = asking.first()?;
    let (severity, help) = match unit.manager {
        Manager::Npm => {
            (Severity::Medium, "Commit the lockfile that npm, yarn or pnpm writes; a library may leave it out.")
        }
        Manager::Bundler => (Severity::Medium, "Commit Gemfile.lock; a gem may leave it out."),
        Manager::Go => (Severity::Medium, "Run `go mod tidy` and commit go.sum: go refuses to build without it."),
        Manager::Cargo => (Severity::Low, "Commit Cargo.lock; a library may leave it out."),
        Manager::Python => {
            (Severity::Low, "Commit the lockfile that poetry, uv or pipenv writes; a library may leave it out.")
        }
        Manager::NuGet => (
            Severity::Info,
            "`RestorePackagesWithLockFile` makes NuGet write packages.lock.json; `dotnet restore --locked-mode` holds to it.",
        ),
        Manager::Gradle => (Severity::Info, "`dependencyLocking` makes Gradle write gradle.lockfile."),
        // It has none.
        Manager::Maven => return None,
    };
    let all: Vec<&Requirement> = asking.iter().flat_map(|(.., requirements)| requirements.iter().copied()).collect();
    let ranges = all.iter().filter(|requirement| floats(unit.manager, requirement)).count();
    Some(Missing { file, line: *line, severity, ranges, all: all.len(), help })
}

impl Missing<'_> {
    fn finding(&self) -> Finding {
        let asked = counted(self.all, "requirement", "requirements");
        let ranges = match self.ranges {
            0 => String::new(),
            ranges => format!(" ({} of them ranges)", super::number(ranges)),
        };
        let message = format!("no lockfile fixes {asked}{ranges}, nor what they need themselves");
        let mut finding = finding("lockfile-missing", &self.file.path, self.line, message);
        finding.severity = self.severity;
        finding.help(self.help).fingerprint(same("lockfile-missing", &self.file.path, ""))
    }
}

/// A file of pip: what is installed stands there itself, and it has no lockfile beside it.
fn is_requirements(file: &File) -> bool {
    file.manager == Manager::Python && matches!(file.path.rsplit_once('.'), Some((_, "txt" | "in")))
}

/// One project, and the lockfiles of two tools.
fn several(unit: &Unit, found: &mut Vec<Finding>) {
    if unit.manager != Manager::Npm {
        return;
    }
    let mut folders: Map<&str, Vec<&str>> = Map::new();
    for (file, _) in locks(unit) {
        folders.entry(crate::model::folder(&file.path)).or_default().push(&file.path);
    }
    for paths in folders.into_values().filter(|paths| paths.len() > 1) {
        let names = some(paths.iter().map(|path| word(name_of(path))));
        let message = format!("{names} fix the versions of one project: which of them holds depends on who installs");
        let path = paths.first().copied().unwrap_or_default();
        found.push(finding("lockfile-several", path, 1, message).help("Keep the one of the tool that is used."));
    }
}

/// What the manifests ask for, and the lockfiles don't have.
fn stale(unit: &Unit, found: &mut Vec<Finding>) {
    let mut unjudged: Map<&str, Vec<(u32, String)>> = Map::new();
    for (file, manifest) in manifests(unit) {
        let mut versions: Map<&str, Vec<&Package>> = Map::new();
        let mut locked_in: Set<&str> = Set::new();
        let mut whole = true;
        let mut only_pip = true;
        // What stands in one file can't disagree with itself.
        for (lockfile, lock) in locks(unit).filter(|(lockfile, _)| is_made_from(lockfile, file)) {
            only_pip &= is_requirements(lockfile);
            locked_in.insert(name_of(&lockfile.path));
            whole &= lockfile.faults.is_empty();
            for package in &lock.packages {
                versions.entry(&package.name).or_default().push(package);
            }
        }
        let mut wrong: Vec<(u32, String)> = Vec::new();
        for requirement in &manifest.requirements {
            let verdict = match versions.get(requirement.name.as_str()) {
                _ if !is_of_registry(requirement) => continue,
                Some(locked) => satisfied(unit.manager, requirement, locked),
                // What is only wanted under a condition need not be locked everywhere; and what could not be read of a
                // lockfile may be what is missing.
                None if locked_in.is_empty() || !whole || is_conditional(requirement) => continue,
                None if is_never_locked(unit.manager, requirement, only_pip) => continue,
                None => Verdict::Wrong(format!("{} is not in it", word(&requirement.name))),
            };
            match verdict {
                Verdict::Fits => {}
                Verdict::Wrong(what) => wrong.push((requirement.line, what)),
                Verdict::Unknown(what) => unjudged.entry(&file.path).or_default().push((requirement.line, what)),
            }
        }
        let Some((line, _)) = wrong.iter().min() else { continue };
        let of = some(locked_in.iter().map(|name| word(name)));
        let count = counted(wrong.len(), "requirement", "requirements");
        let message = format!("{of} doesn't fit {count}: {}", some(wrong.iter().map(|(_, what)| what.clone())));
        found.push(
            finding("lockfile-stale", &file.path, *line, message)
                .help("Let the package manager write the lockfile anew, and commit it.")
                .fingerprint(same("lockfile-stale", &file.path, "")),
        );
    }
    for (path, mut places) in unjudged {
        convoke_sdk::small::sort(&mut places);
        let line = places.first().map_or(1, |(line, _)| *line);
        let count = counted(places.len(), "requirement", "requirements");
        let names = some(places.into_iter().map(|(_, name)| name));
        let message = format!("whether the lockfile fits {count} could not be judged: {names}");
        found.push(finding("not-judged", path, line, message).fingerprint(same("not-judged", path, "")));
    }
}

/// Whether a lockfile may be the one of a manifest. Files of pip belong together by their names: `dev.in` and `dev.txt`.
fn is_made_from(lockfile: &File, manifest: &File) -> bool {
    let stem = |file: &File| file.path.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    let fits = !is_requirements(manifest) || stem(lockfile) == stem(manifest);
    lockfile.path != manifest.path && fits
}

/// What builds a Python project, and a plugin of Bundler, is in no lockfile. A file of pip holds what is installed to run; what
/// is for development may stand in another one, or in none.
fn is_never_locked(manager: Manager, requirement: &Requirement, only_pip: bool) -> bool {
    match requirement.scope {
        Scope::Build => matches!(manager, Manager::Python | Manager::Bundler),
        Scope::Dev => manager == Manager::Python && only_pip,
        _ => false,
    }
}

fn is_conditional(requirement: &Requirement) -> bool {
    requirement.condition.is_some() || requirement.scope == Scope::Optional
}

enum Verdict {
    Fits,
    Wrong(String),
    Unknown(String),
}

fn satisfied(manager: Manager, requirement: &Requirement, locked: &[&Package]) -> Verdict {
    // A locked package of git, a folder or an address answers by what it is, not by a version.
    if locked.iter().any(|package| !super::is_of_registry_package(package)) {
        return Verdict::Fits;
    }
    let range = match (requirement.bound, requirement.range.as_deref()) {
        (Bound::Inherited, _) | (_, None) => return Verdict::Fits,
        (Bound::Unknown, Some(range)) => {
            return Verdict::Unknown(format!("{} {}", word(&requirement.name), word(range)));
        }
        (_, Some(range)) => range,
    };
    let judged: Vec<Option<bool>> = locked.iter().map(|package| satisfies(manager, range, &package.version)).collect();
    if judged.contains(&Some(true)) {
        return Verdict::Fits;
    }
    let name = word(&requirement.name);
    if judged.contains(&None) {
        return Verdict::Unknown(format!("{name} {}", word(range)));
    }
    let versions = some(locked.iter().map(|package| word(&package.version)));
    Verdict::Wrong(format!("{name} is asked for as {}, and {versions} is locked", word(range)))
}
