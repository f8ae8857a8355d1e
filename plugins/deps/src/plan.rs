//! From files to work items.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use convoke_sdk::{Entry, Kind, Project};

use crate::audit::folder::Index;
use crate::audit::subjects::subjects;
use crate::audit::{self, Whom};
use crate::find::{self, Found};
use crate::format::python::CONSTRAINTS;
use crate::format::{Format, format_of};
use crate::group::{Seen, group};
use crate::model::{File, Manager, Texts, folder, name_of};
use crate::unit::{LARGEST, Named, Planned};
use crate::{Arguments, Input, Job};

/// The most names that a note lists.
const MOST_NAMED: usize = 8;
/// So many files that manifests name are followed, from one to the next.
const MOST_INCLUDES: usize = 1_000;
/// So many broken advisories are told one by one.
const MOST_BROKEN: usize = 50;
/// Where the API of OSV answers, where the manifest's default was not filled in.
const OSV: &str = "https://api.osv.dev";

/// Plans the command.
///
/// # Errors
/// When a typed path is not there, or nothing is found.
pub async fn plan(project: &impl Project, job: Job, arguments: &Arguments, paths: &[String]) -> Result<Work> {
    let found = find::find(project, paths).await?;
    let units = units(project, &found).await;
    if units.is_empty() && found.foreign.is_empty() {
        return Err(nothing_found(paths, &found));
    }
    let sizes: Map<&str, u64> = found.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
    let mut items: Vec<Item> = match job {
        Job::Audit => audit(project, arguments, &units, &sizes).await?,
        Job::Check => units.iter().map(|unit| item(unit, &sizes).input(&Input::Unit(unit.clone()))).collect(),
        Job::List | Job::Why | Job::Licenses | Job::Sbom => {
            let all = Item::new("dependencies").label("all dependencies").weight(sizes.values().sum());
            let foreign = found.foreign.values().flatten().cloned().collect();
            vec![all.input(&Input::Whole { units: units.clone(), foreign }).estimate(0, 0, 0)]
        }
    };
    items.extend(found.foreign.iter().map(|(manager, files)| {
        let input = Input::Foreign { manager: manager.clone(), files: files.clone() };
        Item::new(format!("not understood: {manager}")).group("not understood").input(&input).estimate(0, 0, 0)
    }));
    let mut work = Work::new(items).aggregate(Aggregation::Merge);
    if job == Job::Audit {
        work = work.conclusion(Item::new("upgrade plan").estimate(1, 1_500, 700));
    }
    if let Some(note) = ignored(project, &units).await {
        work = work.note(note);
    }
    Ok(notes(&found, &units).into_iter().fold(work, Work::note))
}

/// An item for each unit, with whom it asks; then one for the analyst of each manager, who sees their findings.
async fn audit(
    project: &impl Project,
    arguments: &Arguments,
    units: &[Planned],
    sizes: &Map<&str, u64>,
) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let index = match &arguments.advisories {
        Some(folder) => Some(Index::of(project, folder).await?),
        None => None,
    };
    let mut of_manager: Map<Manager, Vec<String>> = Map::new();
    for unit in units {
        let whom = match &index {
            Some(index) => {
                let parsed = unit.load(project).await;
                let asked = subjects(&parsed).asked;
                let names = asked.iter().map(|subject| subject.name.as_str());
                Whom::Folder(index.of_packages(unit.manager.ecosystem(), names))
            }
            None => Whom::Api(arguments.osv_url.clone().unwrap_or_else(|| OSV.to_owned())),
        };
        of_manager.entry(unit.manager).or_default().push(unit.id());
        items.push(item(unit, sizes).input(&Input::Audit(audit::Input { unit: unit.clone(), whom })));
    }
    if let Some(index) = index.filter(|index| !index.broken.is_empty()) {
        let broken = index.broken.into_iter().map(|(path, broken)| (path, broken.line, broken.message)).collect();
        items.push(Item::new("advisories").group("advisories").input(&Input::Advisories(broken)).estimate(0, 0, 0));
    }
    items.extend(of_manager.into_iter().map(|(manager, units)| {
        Item::new(format!("analyst:{}", manager.name()))
            .label(format!("{} analyst", manager.name()))
            .group(manager.name())
            .after(units.clone())
            .input(&Input::Analyst { manager, units })
            .estimate(1, 2_000, 500)
    }));
    Ok(items)
}

/// What is reported of advisories that nobody knows the packages of.
pub fn broken_advisories(broken: &[(String, Option<u32>, String)]) -> Partial {
    let findings = broken.iter().take(MOST_BROKEN).map(|(path, line, message)| {
        let finding =
            Finding::new("advisory-broken", Severity::Medium, format!("It is no advisory that can be read: {message}"))
                .fingerprint(format!("advisory-broken|{path}"))
                .help("nobody knows which packages it is about: mend it, or take it out of the folder");
        match line {
            Some(line) => finding.at(path, *line),
            None => finding.in_file(path),
        }
    });
    let count = count(broken.len(), "advisory file");
    let failed = Outcome::Failed(format!("{count} can't be read, and any package may be meant by them"));
    Partial { findings: findings.collect(), outcome: failed, ..Partial::done() }
}

fn item(unit: &Planned, sizes: &Map<&str, u64>) -> Item {
    let bytes: u64 = unit.files.iter().filter_map(|file| sizes.get(file.path.as_str())).sum();
    Item::new(unit.id()).label(shown(&unit.id(), 80)).group(unit.manager.name()).weight(bytes.max(1)).estimate(0, 0, 0)
}

/// What is reported of files that are not understood: they are named, and their packages are said to be unknown.
pub fn not_understood(manager: &str, files: &[String]) -> Partial {
    let manager = shown(manager, 80);
    let mut partial = Partial::skipped(format!("{manager} is not understood: what its files ask for is not known"));
    partial.findings = files
        .iter()
        .map(|path| {
            let message =
                format!("{} ({manager}) is not understood, so its packages are not known", shown(name_of(path), 100));
            Finding::new("not-understood", Severity::Info, message)
                .in_file(path)
                .fingerprint(format!("not-understood|{path}"))
        })
        .collect();
    partial.metric(Metric::sum("files not understood", files.len() as f64, "files"))
}

/// A manifest that was looked at, and in which format.
struct Looked {
    file: File,
    like: Option<String>,
}

/// The units of all files that were found, by manager and folder.
async fn units(project: &impl Project, found: &Found) -> Vec<Planned> {
    let sizes: Map<&str, u64> = found.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
    let mut texts: Map<Manager, Texts> = Map::new();
    for Entry { path, size, .. } in &found.files {
        if let Some(format) = format_of(path).filter(|format| !format.lock)
            && *size <= LARGEST
            && let Ok(text) = project.read_text(path).await
        {
            texts.entry(format.manager).or_default().insert(path.clone(), text);
        }
    }
    let mut looked: Map<String, Looked> = Map::new();
    for texts in texts.values_mut() {
        follow(project, texts, &mut looked).await;
    }
    let included = looked.iter().filter(|(_, looked)| looked.like.is_some());
    let of_listing = found.files.iter().filter_map(|entry| {
        let Format { manager, lock, .. } = format_of(&entry.path)?;
        Some(Seen { path: &entry.path, manager, lock, parsed: looked.get(&entry.path).map(|looked| &looked.file) })
    });
    let of_includes = included.map(|(path, looked)| Seen {
        path: path.as_str(),
        manager: looked.file.manager,
        lock: false,
        parsed: Some(&looked.file),
    });
    let seen: Vec<Seen> = of_listing.chain(of_includes).collect();
    let mut units = Vec::new();
    for ((manager, folder), paths) in group(&seen) {
        let around = around(manager, &folder, &paths, &looked);
        let named = |path: &&str| Named {
            path: (*path).to_owned(),
            like: looked.get(*path).and_then(|looked| looked.like.clone()),
            too_large: sizes.get(path).copied().filter(|size| *size > LARGEST),
            circle: circle(path, &looked),
        };
        units.push(Planned { manager, folder, files: paths.iter().map(named).collect(), around });
    }
    units
}

/// Reads the manifests, and those that they name: each file once, so that a circle ends.
async fn follow(project: &impl Project, texts: &mut Texts, looked: &mut Map<String, Looked>) {
    let mut next: Vec<(String, Option<String>)> = texts.keys().map(|path| (path.clone(), None)).collect();
    let mut includes = 0;
    while let Some((path, like)) = next.pop() {
        if looked.contains_key(&path) {
            continue;
        }
        let Some(format) = format_of(like.as_deref().unwrap_or(&path)) else { continue };
        if !texts.contains_key(&path)
            && let Ok(text) = project.read_text(&path).await
        {
            texts.insert(path.clone(), text);
        }
        let Some(text) = texts.get(&path) else { continue };
        let file = (format.parse)(&path, text, texts);
        for include in file.manifest.iter().flat_map(|manifest| &manifest.includes) {
            if includes < MOST_INCLUDES && !looked.contains_key(&include.path) && !texts.contains_key(&include.path) {
                includes += 1;
                let known = format_of(&include.path).is_some_and(|known| known.manager == format.manager);
                // What only bounds others asks for nothing, whatever it is called.
                let named = || Some(if include.constraint { CONSTRAINTS.to_owned() } else { path.clone() });
                let like = if known { None } else { like.clone().or_else(named) };
                next.push((include.path.clone(), like));
            }
        }
        looked.insert(path, Looked { file, like });
    }
}

/// The manifests that those of a unit may take something from: those of the folders above, and what they name.
fn around(manager: Manager, unit: &str, own: &[&str], looked: &Map<String, Looked>) -> Vec<String> {
    let mut around = Set::new();
    let mut next: Vec<&str> = own.to_vec();
    let is_above = |path: &str| {
        let above = folder(path);
        above.is_empty() || unit == above || unit.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
    };
    next.extend(
        looked
            .iter()
            .filter(|(path, one)| one.file.manager == manager && is_above(path))
            .map(|(path, _)| path.as_str()),
    );
    while let Some(path) = next.pop() {
        if !own.contains(&path) && !around.insert(path.to_owned()) {
            continue;
        }
        let includes =
            looked.get(path).and_then(|looked| looked.file.manifest.as_ref()).map(|manifest| &manifest.includes);
        let named = includes.into_iter().flatten().filter_map(|include| looked.get_key_value(&include.path));
        next.extend(named.map(|(path, _)| path.as_str()).filter(|path| !own.contains(path) && !around.contains(*path)));
    }
    around.into_iter().collect()
}

/// The first include of a file that leads back to it.
fn circle(path: &str, looked: &Map<String, Looked>) -> Option<(u32, String)> {
    let includes = |path: &str| {
        let manifest = looked.get(path).and_then(|looked| looked.file.manifest.as_ref());
        manifest.map(|manifest| manifest.includes.as_slice()).unwrap_or_default()
    };
    for first in includes(path) {
        let (mut seen, mut next) = (Set::new(), vec![first.path.as_str()]);
        while let Some(at) = next.pop() {
            if at == path {
                return Some((first.line, first.path.clone()));
            }
            if seen.insert(at) {
                next.extend(includes(at).iter().map(|include| include.path.as_str()));
            }
        }
    }
    None
}

fn nothing_found(paths: &[String], found: &Found) -> Error {
    let place = if paths.is_empty() { "the project".to_owned() } else { listed(paths.iter().map(String::as_str)) };
    let mut message = format!("no manifests or lockfiles found in {place}");
    if !found.left_out.is_empty() {
        message.push_str(&format!("; left out: {}", listed(found.left_out.keys().map(String::as_str))));
    }
    Error::new(message).hint("name a folder, a manifest or a lockfile; what .gitignore leaves out is not looked at")
}

fn listed<'a>(paths: impl Iterator<Item = &'a str>) -> String {
    let paths: Vec<&str> = paths.collect();
    let mut text = paths.iter().take(MOST_NAMED).map(|path| shown(path, 200)).collect::<Vec<_>>().join(", ");
    if paths.len() > MOST_NAMED {
        text.push_str(&format!(" and {} more", paths.len() - MOST_NAMED));
    }
    text
}

/// Lockfiles that stand beside their manifests and are left out by `.gitignore`.
async fn ignored(project: &impl Project, units: &[Planned]) -> Option<String> {
    let mut found = Vec::new();
    for unit in units {
        let is_there =
            |name: &str| unit.files.iter().any(|file| folder(&file.path) == unit.folder && name_of(&file.path) == name);
        for name in lockfiles(unit.manager).iter().filter(|name| !is_there(name)) {
            let path = if unit.folder.is_empty() { (*name).to_owned() } else { format!("{}/{name}", unit.folder) };
            if matches!(project.exists(&path).await, Ok(Some(Kind::File))) {
                found.push(path);
            }
        }
    }
    let named = listed(found.iter().map(String::as_str));
    (!found.is_empty())
        .then(|| format!("there, and not looked at, as .gitignore leaves it out or it was not named: {named}"))
}

/// The lockfiles of a manager that is often without one in a repository.
fn lockfiles(manager: Manager) -> &'static [&'static str] {
    match manager {
        Manager::Cargo => &["Cargo.lock"],
        Manager::Npm => &["package-lock.json", "yarn.lock", "pnpm-lock.yaml"],
        Manager::Python => &["poetry.lock", "uv.lock", "Pipfile.lock"],
        Manager::NuGet => &["packages.lock.json"],
        Manager::Bundler => &["Gemfile.lock"],
        Manager::Go | Manager::Maven | Manager::Gradle => &[],
    }
}

/// What was found, by manager; and what was left out.
fn notes(found: &Found, units: &[Planned]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut counts: Map<Manager, (usize, usize)> = Map::new();
    for unit in units {
        let (units, files) = counts.entry(unit.manager).or_default();
        *units += 1;
        *files += unit.files.len();
    }
    let each = counts.iter().map(|(manager, (units, files))| {
        format!("{} {} in {}", manager.name(), count(*files, "file"), count(*units, "project"))
    });
    if !counts.is_empty() {
        notes.push(format!("manifests and lockfiles: {}", each.collect::<Vec<_>>().join(", ")));
    }
    if !found.left_out.is_empty() {
        let files = found.left_out.values().sum();
        notes.push(format!(
            "left out as somebody else's or made by a build: {} in {}",
            count(files, "manifest"),
            listed(found.left_out.keys().map(String::as_str))
        ));
    }
    notes
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bound;
    use convoke_sdk::testing::{Map, now};

    #[test]
    fn what_is_not_understood_is_an_item_that_is_skipped() {
        let work = now(plan(&Map::of(&["a/mix.exs", "b/mix.lock"]), Job::Audit, &Arguments::default(), &[])).unwrap();
        assert_eq!(work.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["not understood: Mix"]);
        assert!(work.conclusion.is_some());
        let Ok(Input::Foreign { manager, files }) = serde_json::from_str(&work.items[0].input) else {
            panic!("another input: {}", work.items[0].input)
        };
        let partial = not_understood(&manager, &files);
        assert!(matches!(partial.outcome, Outcome::Skipped(_)));
        assert_eq!(partial.findings.iter().filter_map(|found| found.path.as_deref()).collect::<Vec<_>>(), files);
    }

    #[test]
    fn files_that_include_each_other_are_read_once_and_the_circle_is_told() {
        let project = Map::with(&[
            ("requirements.txt", "-r more.txt\na==1\n"),
            ("more.txt", "b==1\n-r requirements.txt\n-r gone.txt\n"),
        ]);
        let work = now(plan(&project, Job::Check, &Arguments::default(), &[])).unwrap();
        let Ok(Input::Unit(planned)) = serde_json::from_str(&work.items[0].input) else { panic!("another input") };
        assert_eq!(
            planned.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
            ["more.txt", "requirements.txt"]
        );
        let unit = now(planned.load(&project));
        let faults: Vec<(Option<u32>, &str)> =
            unit.files.iter().flat_map(|file| &file.faults).map(|fault| (fault.line, fault.message.as_str())).collect();
        assert!(
            faults.contains(&(Some(2), "requirements.txt leads back to this file: each is read once")),
            "{faults:?}"
        );
        assert!(faults.contains(&(Some(1), "more.txt leads back to this file: each is read once")), "{faults:?}");
        let mut names: Vec<&str> = unit.packages().map(|package| package.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_lockfile_that_is_not_looked_at_is_said() {
        let project = Map::with(&[("Cargo.toml", "[package]\nname = \"a\"\n"), ("Cargo.lock", "version = 4\n")]);
        let work = now(plan(&project, Job::Check, &Arguments::default(), &["Cargo.toml".to_owned()])).unwrap();
        assert!(work.notes.iter().any(|note| note.ends_with(": Cargo.lock")), "{:?}", work.notes);
    }

    #[test]
    fn what_a_requirements_file_names_is_read_as_what_it_is_named_for() {
        let project = Map::with(&[
            ("requirements.txt", "-r base.pip\n-c pins.pip\n-r requirements.txt\nb\n"),
            ("base.pip", "a==1\n-r requirements.txt\n"),
            ("pins.pip", "b==2\nc==3\n"),
        ]);
        let found = now(find::find(&project, &[])).unwrap();
        let units = now(units(&project, &found));
        let loaded: Vec<_> = units.iter().map(|unit| now(unit.load(&project))).collect();
        let asked: Vec<_> = loaded.iter().flat_map(|unit| unit.requirements()).collect();
        let mut asked: Vec<_> = asked.iter().map(|(_, one)| (one.name.as_str(), one.bound)).collect();
        asked.sort_by_key(|(name, _)| *name);
        assert_eq!(asked, [("a", Bound::Exact), ("b", Bound::Inherited)], "c is only bounded, and asked for by nobody");
        assert_eq!(loaded.iter().flat_map(|unit| unit.packages()).count(), 1, "of the pinned file");
    }

    #[test]
    fn a_project_without_manifests_is_an_error_that_says_what_was_left_out() {
        let error =
            now(plan(&Map::of(&["README.md", "vendor/mix.lock"]), Job::Check, &Arguments::default(), &[])).unwrap_err();
        assert_eq!(error.message, "no manifests or lockfiles found in the project; left out: vendor");
    }
}
