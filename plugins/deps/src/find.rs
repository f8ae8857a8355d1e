//! Which files are manifests and lockfiles.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::text::shown;
use convoke_sdk::{Entry, Error, Kind, Project, Query, Result};

use crate::format::format_of;
use crate::model::name_of;

/// Under which names manifests and lockfiles are looked for: a superset of what the formats know. Managers that are not
/// understood stand in [`FOREIGN`].
const GLOBS: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "*requirements*.txt",
    "*requirements*.in",
    "**/requirements/*.txt",
    "**/requirements/*.in",
    "requirements*.lock",
    "*constraints*.txt",
    "*constraints*.in",
    "pyproject.toml",
    "poetry.lock",
    "uv.lock",
    "pylock*.toml",
    "Pipfile",
    "Pipfile.lock",
    "pdm.lock",
    "setup.cfg",
    "setup.py",
    "go.mod",
    "go.sum",
    "go.work",
    "go.work.sum",
    "pom.xml",
    "*.lockfile",
    "*.gradle",
    "*.gradle.kts",
    "*.versions.toml",
    "*.csproj",
    "*.fsproj",
    "*.vbproj",
    "packages.lock.json",
    "packages.config",
    "Directory.Packages.props",
    "Directory.Build.props",
    "Directory.Build.targets",
    "Gemfile",
    "Gemfile.lock",
    "gems.rb",
    "gems.locked",
    "*.gemspec",
];

/// Files of managers that are not understood, by name, and what people call the manager. A name that begins with `*` is an
/// ending.
const FOREIGN: &[(&str, &str)] = &[
    ("composer.json", "Composer"),
    ("composer.lock", "Composer"),
    ("mix.exs", "Mix"),
    ("mix.lock", "Mix"),
    ("rebar.config", "Rebar"),
    ("rebar.lock", "Rebar"),
    ("pubspec.yaml", "Pub"),
    ("pubspec.lock", "Pub"),
    ("Package.swift", "SwiftPM"),
    ("Package.resolved", "SwiftPM"),
    ("Podfile", "CocoaPods"),
    ("Podfile.lock", "CocoaPods"),
    ("Cartfile", "Carthage"),
    ("Cartfile.resolved", "Carthage"),
    ("cpanfile", "CPAN"),
    ("cpanfile.snapshot", "CPAN"),
    ("conanfile.txt", "Conan"),
    ("conanfile.py", "Conan"),
    ("conan.lock", "Conan"),
    ("vcpkg.json", "vcpkg"),
    ("stack.yaml", "Stack"),
    ("stack.yaml.lock", "Stack"),
    ("*.cabal", "Cabal"),
    ("cabal.project.freeze", "Cabal"),
    ("deno.json", "Deno"),
    ("deno.jsonc", "Deno"),
    ("deno.lock", "Deno"),
    ("bun.lockb", "Bun"),
    ("bun.lock", "Bun"),
    ("bower.json", "Bower"),
    ("flake.nix", "Nix"),
    ("flake.lock", "Nix"),
    ("environment.yml", "Conda"),
    ("environment.yaml", "Conda"),
    ("conda-lock.yml", "Conda"),
    ("pixi.toml", "Pixi"),
    ("pixi.lock", "Pixi"),
    ("ivy.xml", "Ivy"),
    ("build.sbt", "sbt"),
    ("deps.edn", "Clojure"),
    ("project.clj", "Leiningen"),
    ("paket.dependencies", "Paket"),
    ("paket.lock", "Paket"),
    ("project.assets.json", "NuGet's own notes of a build"),
    ("renv.lock", "renv"),
    ("Project.toml", "Julia"),
    ("Manifest.toml", "Julia"),
    ("MODULE.bazel", "Bazel"),
    ("WORKSPACE.bazel", "Bazel"),
    ("Chart.lock", "Helm"),
    (".terraform.lock.hcl", "Terraform"),
    ("*.rockspec", "LuaRocks"),
    ("shard.yml", "Shards"),
    ("shard.lock", "Shards"),
    ("elm.json", "Elm"),
    ("dub.json", "DUB"),
    ("*.nimble", "Nimble"),
    ("build.zig.zon", "Zig"),
    ("glide.lock", "Glide"),
    ("Gopkg.lock", "dep"),
    ("Gopkg.toml", "dep"),
];

/// Folders that hold what somebody else made, or what a build or a test made: their manifests are not the project's.
const VENDORED: &[&str] = &[
    "node_modules",
    "bower_components",
    "jspm_packages",
    "vendor",
    ".venv",
    "venv",
    "virtualenv",
    "site-packages",
    "__pycache__",
    ".tox",
    ".nox",
    ".yarn",
    ".pnpm-store",
    ".npm",
    ".cargo",
    "target",
    "testdata",
    "Pods",
    ".gradle",
    ".bundle",
    "obj",
    ".next",
    ".nuxt",
    ".terraform",
    ".git",
];

/// What files are called that are looked for, and that no format reads.
const NO_PARSER: &str = "a file of this name";

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What a format knows by its name, sorted by path, each once.
    pub files: Vec<Entry>,
    /// What looks like a manifest and is not understood: by manager, its files.
    pub foreign: Map<String, Vec<String>>,
    /// The vendored folders whose manifests were left out, and how many there are.
    pub left_out: Map<String, usize>,
}

/// Looks through the project, or below the paths that the user typed.
///
/// # Errors
/// When a typed path is not there, or is a file that no format knows.
pub async fn find(project: &impl Project, paths: &[String]) -> Result<Found> {
    let mut found = Found::default();
    if paths.is_empty() {
        below(project, "", &mut found).await?;
    }
    for path in paths {
        let base = match path.trim_end_matches('/') {
            "." => "",
            base => base,
        };
        if base.is_empty() {
            below(project, "", &mut found).await?;
            continue;
        }
        match project.stat(base).await? {
            None => return Err(Error::new(format!("there is nothing at {}", shown(path, 300)))),
            Some(entry) if may_be_file(&entry) => {
                let entry = Entry { path: base.to_owned(), ..entry };
                if format_of(base).is_some() {
                    found.files.push(entry);
                } else if let Some(manager) = foreign(name_of(base)) {
                    found.foreign.entry(manager).or_default().push(base.to_owned());
                } else {
                    return Err(Error::new(format!("{} is no manifest or lockfile that is known", shown(path, 300)))
                        .hint("manifests and lockfiles are known by their names"));
                }
            }
            Some(_) => below(project, base, &mut found).await?,
        }
    }
    convoke_sdk::small::sort_by(&mut found.files, |a, b| a.path.cmp(&b.path));
    found.files.dedup_by(|a, b| a.path == b.path);
    for files in found.foreign.values_mut() {
        convoke_sdk::small::sort(files);
        files.dedup();
    }
    Ok(found)
}

async fn below(project: &impl Project, base: &str, found: &mut Found) -> Result<()> {
    let globs = globs();
    let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
    for entry in project.list(&Query::files(&globs).under(base).hidden()).await? {
        if !may_be_file(&entry) {
            continue;
        }
        let inside = entry.path.strip_prefix(base).unwrap_or(&entry.path);
        if let Some(folder) = vendored(inside) {
            let whole = &entry.path[..entry.path.len() - inside.len() + folder];
            *found.left_out.entry(whole.to_owned()).or_default() += 1;
        } else if format_of(&entry.path).is_some() {
            found.files.push(entry);
        } else {
            let manager = foreign(name_of(&entry.path)).unwrap_or_else(|| NO_PARSER.to_owned());
            found.foreign.entry(manager).or_default().push(entry.path);
        }
    }
    Ok(())
}

/// All names in which the first letter may be large or small, so that `package.json` beside `Package.json` is seen.
fn globs() -> Vec<String> {
    let names = GLOBS.iter().copied().chain(FOREIGN.iter().map(|(name, _)| *name));
    let all: Set<String> = names
        .map(|name| match name.chars().next() {
            Some(first) if first.is_ascii_alphabetic() && !name.contains('/') => {
                let rest = name.get(1..).unwrap_or_default();
                format!("[{}{}]{rest}", first.to_ascii_uppercase(), first.to_ascii_lowercase())
            }
            _ => name.to_owned(),
        })
        .collect();
    all.into_iter().collect()
}

/// The length of a path up to the end of its outermost vendored folder.
fn vendored(path: &str) -> Option<usize> {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        if end < path.len() && VENDORED.contains(&part) {
            return Some(end);
        }
        end += 1;
    }
    None
}

/// What people call the manager of a file that was found by its name and is not understood.
fn foreign(name: &str) -> Option<String> {
    let is = |known: &str| known.strip_prefix('*').map_or(name == known, |ending| name.ends_with(ending));
    if let Some((_, manager)) = FOREIGN.iter().find(|(known, _)| is(known)) {
        return Some((*manager).to_owned());
    }
    if GLOBS.iter().any(|known| part_of(known) == name) {
        return Some(NO_PARSER.to_owned());
    }
    // On a disk that knows no case it would be the manager's; here the manager doesn't see it.
    let known = GLOBS.iter().chain(FOREIGN.iter().map(|(known, _)| known));
    let other = known.map(|known| part_of(known)).find(|known| known.eq_ignore_ascii_case(name));
    other.map(|other| format!("another spelling of {other}"))
}

/// A glob's last part.
fn part_of(glob: &str) -> &str {
    glob.rsplit_once('/').map_or(glob, |(_, name)| name)
}

/// A file, or a link to one.
fn may_be_file(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File | Kind::Link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoke_sdk::testing::{Map, now};

    fn foreign_of(files: &[&str], paths: &[&str]) -> Vec<(String, Vec<String>)> {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        now(find(&Map::of(files), &paths)).unwrap().foreign.into_iter().collect()
    }

    #[test]
    fn what_is_not_understood_is_listed_by_its_manager() {
        let files = ["a/composer.json", "a/composer.lock", "b/mix.lock", "x.cabal", "README.md"];
        let expected = [
            ("Cabal".to_owned(), vec!["x.cabal".to_owned()]),
            ("Composer".to_owned(), vec!["a/composer.json".to_owned(), "a/composer.lock".to_owned()]),
            ("Mix".to_owned(), vec!["b/mix.lock".to_owned()]),
        ];
        assert_eq!(foreign_of(&files, &[]), expected);
        assert_eq!(foreign_of(&files, &["b", "b/mix.lock", "b/"]), expected[2..]);
    }

    #[test]
    fn another_spelling_of_a_known_name_is_not_understood() {
        let files = ["cargo.toml", "Mix.lock"];
        assert_eq!(
            foreign_of(&files, &[]),
            [
                ("another spelling of Cargo.toml".to_owned(), vec!["cargo.toml".to_owned()]),
                ("another spelling of mix.lock".to_owned(), vec!["Mix.lock".to_owned()]),
            ]
        );
    }

    #[test]
    fn vendored_folders_are_left_out_and_said() {
        let files = ["a/node_modules/x/composer.json", "a/node_modules/y/node_modules/z/mix.lock", "vendor/mix.lock"];
        let found = now(find(&Map::of(&files), &[])).unwrap();
        assert!(found.foreign.is_empty());
        let left_out: Vec<(&str, usize)> = found.left_out.iter().map(|(path, count)| (path.as_str(), *count)).collect();
        assert_eq!(left_out, [("a/node_modules", 2), ("vendor", 1)]);
        // Who types a path below means it.
        assert_eq!(foreign_of(&files, &["vendor"]), [("Mix".to_owned(), vec!["vendor/mix.lock".to_owned()])]);
    }

    #[test]
    fn what_is_not_there_or_no_manifest_is_an_error() {
        let error = |path: &str| now(find(&Map::of(&["a.txt"]), &[path.to_owned()])).unwrap_err().message;
        assert_eq!(error("nowhere"), "there is nothing at nowhere");
        assert_eq!(error("a.txt"), "a.txt is no manifest or lockfile that is known");
    }
}
