//! What a lockfile doesn't say: what the project itself asks for, and what a package is needed for.

use super::super::json;
use super::manifest::{Asked, asked, in_folder, members};
use crate::glob::fits;
use crate::model::{Package, Scope, Texts, folder, name_of};

/// Goes through what the `package.json` beside a lockfile asks for, and those of the members of its workspace.
pub(super) fn each_asked(path: &str, texts: &Texts, mut each: impl FnMut(&Asked<'_>)) {
    let base = folder(path);
    let Some(text) = texts.get(&in_folder(base)) else { return };
    let Ok(document) = json::read(text) else { return };
    asked(&document.root, &mut Vec::new()).iter().for_each(&mut each);
    let globs = members(&document.root);
    if globs.is_empty() {
        return;
    }
    for (path, text) in texts.iter().filter(|(path, _)| name_of(path) == "package.json") {
        let inside = if base.is_empty() { Some(folder(path)) } else { folder(path).strip_prefix(base) };
        let Some(inside) = inside.map(|inside| inside.trim_start_matches('/')) else { continue };
        if !inside.is_empty()
            && covers(&globs, inside)
            && let Ok(document) = json::read(text)
        {
            asked(&document.root, &mut Vec::new()).iter().for_each(&mut each);
        }
    }
}

/// Whether one of a workspace's globs names a folder, and none that begins with `!` leaves it out.
fn covers(globs: &[String], folder: &str) -> bool {
    let named = globs.iter().any(|glob| !glob.starts_with('!') && fits(glob, folder));
    named && !globs.iter().filter_map(|glob| glob.strip_prefix('!')).any(|glob| fits(glob, folder))
}

/// Says of every package what it is needed for: to run, if anything that is needed to run leads to it; only to develop, if
/// nothing else does. What nothing leads to stays as it is.
pub(super) fn mark(packages: &mut [Package], starts: &[(usize, Scope)]) {
    let mut marked = vec![false; packages.len()];
    for scope in [Scope::Normal, Scope::Build, Scope::Peer, Scope::Optional, Scope::Dev] {
        let mut open: Vec<usize> = starts.iter().filter(|(_, of)| *of == scope).map(|(at, _)| *at).collect();
        while let Some(at) = open.pop() {
            let (Some(package), Some(done)) = (packages.get_mut(at), marked.get_mut(at)) else { continue };
            if !std::mem::replace(done, true) {
                package.scope = scope;
                open.extend(&package.needs);
            }
        }
    }
}

/// The places in `starts`, each once, in their order.
pub(super) fn places(starts: &[(usize, Scope)]) -> Vec<usize> {
    let mut places: Vec<usize> = starts.iter().map(|(at, _)| *at).collect();
    convoke_sdk::small::sort(&mut places);
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_wins_over_what_only_tests() {
        // 0 -> 1 -> 0, 2 -> 1, 2 -> 3, 4 alone
        let mut packages: Vec<Package> = (0..5).map(|at| Package::new(format!("p{at}"), "1", at)).collect();
        packages[0].needs = vec![1];
        packages[1].needs = vec![0];
        packages[2].needs = vec![1, 3];
        mark(&mut packages, &[(0, Scope::Normal), (2, Scope::Dev), (2, Scope::Dev), (9, Scope::Dev)]);
        let scopes: Vec<Scope> = packages.iter().map(|package| package.scope).collect();
        assert_eq!(scopes, [Scope::Normal, Scope::Normal, Scope::Dev, Scope::Dev, Scope::Normal]);
    }

    #[test]
    fn members_of_the_workspace_are_asked_too_and_other_projects_are_not() {
        let texts: Texts = [
            ("x/package.json", r#"{"workspaces": ["packages/*", "!packages/old"], "dependencies": {"a": "1"}}"#),
            ("x/packages/p/package.json", r#"{"devDependencies": {"b": "2"}}"#),
            ("x/packages/old/package.json", r#"{"dependencies": {"e": "5"}}"#),
            ("x/other/package.json", r#"{"dependencies": {"c": "3"}}"#),
            ("xy/packages/p/package.json", r#"{"dependencies": {"d": "4"}}"#),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into();
        let mut found = Vec::new();
        each_asked("x/yarn.lock", &texts, |asked| found.push((asked.name.to_owned(), asked.scope)));
        assert_eq!(found, [("a".to_owned(), Scope::Normal), ("b".to_owned(), Scope::Dev)]);
    }
}
