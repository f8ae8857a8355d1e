//! What comes from elsewhere than a registry.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::{Finding, Severity};

use super::{counted, finding, locks, manifests, same, some, word};
use crate::model::{Origin, Requirement, beside};
use crate::unit::Unit;

/// The longest address that is shown, in characters.
const LONGEST: usize = 160;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    let locked = commits(unit);
    let mut asked: Set<&str> = Set::new();
    for (file, manifest) in manifests(unit) {
        for requirement in &manifest.requirements {
            asked.insert(&requirement.name);
            let path = &file.path;
            found.extend(of_requirement(path, requirement, locked.get(requirement.name.as_str()).copied()));
        }
    }
    transitive(unit, &asked, found);
}

/// The commits that the lockfiles hold, by name.
fn commits(unit: &Unit) -> Map<&str, &str> {
    let packages = locks(unit).flat_map(|(_, lock)| &lock.packages);
    let commits = packages.filter_map(|package| match &package.origin {
        Origin::Git { commit: Some(commit), .. } => Some((package.name.as_str(), commit.as_str())),
        _ => None,
    });
    commits.collect()
}

fn of_requirement(path: &str, requirement: &Requirement, locked: Option<&str>) -> Option<Finding> {
    let name = word(&requirement.name);
    let of = |id: &'static str, message: String| {
        finding(id, path, requirement.line, message).fingerprint(same(id, path, &requirement.name))
    };
    match &requirement.origin {
        Origin::Registry(None) | Origin::Workspace => None,
        Origin::Registry(Some(url)) => insecure(url).then(|| {
            of("url-insecure", format!("{name} comes from the registry {}, without encryption", address(url)))
                .help("Use its https address: what comes without encryption can be changed on its way.")
        }),
        Origin::Git { url, .. } | Origin::Url(url) if insecure(url) => Some(
            of("url-insecure", format!("{name} comes from {}, without encryption", address(url)))
                .help("Use its https address: what comes without encryption can be changed on its way."),
        ),
        Origin::Git { url, commit: Some(commit) } => Some(
            of("git-dependency", format!("{name} comes from {}, at the commit {}", address(url), word(commit)))
                .help("No advisory names it by a version: look after its repository yourself, or use a release."),
        ),
        Origin::Git { url, commit: None } => Some(match locked {
            Some(commit) => {
                let message =
                    format!("{name} comes from {} without a commit; the lockfile holds {}", address(url), word(commit));
                let mut finding = of("git-unpinned", message).help("Name the commit, or use a release.");
                finding.severity = Severity::Low;
                finding
            }
            None => {
                let message = format!("{name} comes from {}, and no commit is fixed", address(url));
                of("git-unpinned", message).help("Name the commit: a branch or a tag can be moved.")
            }
        }),
        Origin::Path(folder) => leads_out(path, folder).then(|| {
            let message = format!("{name} lies outside of the project: {}", convoke_sdk::text::shown(folder, LONGEST));
            of("path-outside", message)
                .help("Others who check the project out don't have it: publish it, or take it in.")
        }),
        Origin::Url(url) => {
            let mut finding = of("url-dependency", format!("{name} is an archive: {}", address(url)))
                .help("Use a release of a registry, or fix the archive by its hash.");
            if requirement.hashed {
                finding.severity = Severity::Low;
                finding.message.push_str(" (fixed by its hash)");
            }
            Some(finding)
        }
    }
}

/// What a dependency brings from elsewhere: one finding a lockfile.
fn transitive(unit: &Unit, asked: &Set<&str>, found: &mut Vec<Finding>) {
    for (file, lock) in locks(unit) {
        let (mut git, mut archives, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for package in lock.packages.iter().filter(|package| !asked.contains(package.name.as_str())) {
            let one = (package.line, word(&package.name));
            match &package.origin {
                Origin::Git { url, .. } | Origin::Url(url) | Origin::Registry(Some(url)) if insecure(url) => {
                    plain.push(one);
                }
                Origin::Git { .. } => git.push(one),
                Origin::Url(_) => archives.push(one),
                _ => {}
            }
        }
        let mut add = |id, mut places: Vec<(u32, String)>, severity, what: &str| {
            convoke_sdk::small::sort(&mut places);
            let Some((line, _)) = places.first() else { return };
            let count = counted(places.len(), "package", "packages");
            let names = some(places.iter().map(|(_, name)| name.clone()));
            let message = format!("{count} that dependencies need, {what}: {names}");
            let mut finding = finding(id, &file.path, *line, message).fingerprint(same(id, &file.path, ""));
            finding.severity = severity;
            found.push(finding.help("`convoke deps why NAME` says which dependency brings it."));
        };
        add("git-dependency", git, Severity::Low, "from git repositories");
        add("url-dependency", archives, Severity::Low, "as archives outside of every registry");
        add("url-insecure", plain, Severity::High, "without encryption");
    }
}

/// Whether what comes from there can be changed on its way. What stays on the machine can't.
fn insecure(url: &str) -> bool {
    let plain = url.trim_start_matches("git+");
    let rest = ["http://", "git://", "ftp://"].into_iter().find_map(|scheme| plain.strip_prefix(scheme));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = host.map(|host| host.rsplit_once('@').map_or(host, |(_, host)| host));
    host.is_some_and(|host| {
        let is_local = host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]");
        !is_local
    })
}

/// An address as it is shown: without what may be a credential.
fn address(url: &str) -> String {
    let url = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    };
    convoke_sdk::text::shown(&url, LONGEST)
}

/// Whether a path leads out of the project; without the word by which npm and Python mark one.
fn leads_out(file: &str, folder: &str) -> bool {
    let folder = ["file://", "file:", "link:", "portal:"]
        .into_iter()
        .find_map(|prefix| folder.strip_prefix(prefix))
        .unwrap_or(folder)
        .replace('\\', "/");
    let is_drive = folder.as_bytes().get(1) == Some(&b':');
    is_drive || folder.starts_with('~') || beside(file, &folder).is_none()
}
