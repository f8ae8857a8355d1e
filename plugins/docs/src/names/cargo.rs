//! What Cargo knows by name: packages, binaries, examples, tests, benchmarks and features.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::paths::{Paths, folder_of, joined};

/// The names of all packages of the repository together: which of them a command means can't always be told.
#[derive(Debug, Default)]
pub(crate) struct Cargo {
    /// There is a manifest.
    pub(crate) any: bool,
    /// A manifest can't be read: then none is missing.
    pub(crate) open: bool,
    /// Packages of the repository.
    pub(crate) packages: BTreeSet<String>,
    /// What the packages depend on, which `-p` may name too.
    pub(crate) dependencies: BTreeSet<String>,
    /// Binaries.
    pub(crate) bins: BTreeSet<String>,
    /// Examples.
    pub(crate) examples: BTreeSet<String>,
    /// Tests.
    pub(crate) tests: BTreeSet<String>,
    /// Benchmarks.
    pub(crate) benches: BTreeSet<String>,
    /// Features, with those that optional dependencies make.
    pub(crate) features: BTreeSet<String>,
    /// `rust-version`, by the manifest's path.
    pub(crate) rust: Vec<(String, String)>,
    /// Names of the repositories that the packages come from.
    pub(crate) own: BTreeSet<String>,
    /// Subcommands that a file of the repository defines: `cargo xtask`.
    pub(crate) aliases: BTreeSet<String>,
}

/// The targets that Cargo finds by itself: the folder, and the section that names others.
const TARGETS: [(&str, &str); 4] =
    [("src/bin", "bin"), ("examples", "example"), ("tests", "test"), ("benches", "bench")];

impl Cargo {
    fn of(&mut self, section: &str) -> &mut BTreeSet<String> {
        match section {
            "bin" => &mut self.bins,
            "example" => &mut self.examples,
            "test" => &mut self.tests,
            _ => &mut self.benches,
        }
    }

    /// Reads one manifest.
    pub(crate) fn read(&mut self, path: &str, text: &str, paths: &Paths) {
        self.any = true;
        let Ok(manifest) = text.parse::<Table>() else {
            self.open = true;
            return;
        };
        let folder = folder_of(path);
        for key in ["dependencies", "dev-dependencies", "build-dependencies"] {
            self.dependencies(manifest.get(key));
            let workspace = manifest.get("workspace").and_then(|workspace| workspace.get(key));
            self.dependencies(workspace);
            for target in manifest.get("target").and_then(Value::as_table).into_iter().flat_map(|all| all.values()) {
                self.dependencies(target.get(key));
            }
        }
        let shared = manifest.get("workspace").and_then(|workspace| workspace.get("package"));
        for package in [manifest.get("package"), shared].into_iter().flatten() {
            if let Some(version) = package.get("rust-version").and_then(Value::as_str) {
                self.rust.push((path.to_owned(), version.to_owned()));
            }
            if let Some(url) = package.get("repository").and_then(Value::as_str) {
                self.own.insert(super::scripts::repository_name(url));
            }
        }
        for feature in manifest.get("features").and_then(Value::as_table).into_iter().flat_map(|all| all.keys()) {
            self.features.insert(feature.clone());
        }
        let Some(name) = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str) else {
            return;
        };
        self.packages.insert(name.to_owned());
        self.own.insert(name.to_owned());
        if joined(folder, "src/main.rs").is_some_and(|main| paths.is_file(&main)) {
            self.bins.insert(name.to_owned());
        }
        for (place, section) in TARGETS {
            let inside = joined(folder, place).unwrap_or_default();
            let found: Vec<String> = paths.below(&inside).filter_map(target).collect();
            self.of(section).extend(found);
            let named = manifest.get(section).and_then(Value::as_array).into_iter().flatten();
            let named: Vec<String> =
                named.filter_map(|target| target.get("name")?.as_str()).map(str::to_owned).collect();
            self.of(section).extend(named);
        }
    }

    fn dependencies(&mut self, table: Option<&Value>) {
        for (name, value) in table.and_then(Value::as_table).into_iter().flatten() {
            self.dependencies.insert(name.clone());
            self.dependencies.extend(value.get("package").and_then(Value::as_str).map(str::to_owned));
            if value.get("optional").and_then(Value::as_bool) == Some(true) {
                self.features.insert(name.clone());
            }
        }
    }

    /// Reads `.cargo/config.toml`.
    pub(crate) fn read_config(&mut self, text: &str) {
        let Ok(config) = text.parse::<Table>() else { return };
        self.aliases
            .extend(config.get("alias").and_then(Value::as_table).into_iter().flat_map(|all| all.keys()).cloned());
    }
}

/// The target that a file in its folder makes: `x.rs` or `x/main.rs`.
fn target(inside: &str) -> Option<String> {
    match inside.split_once('/') {
        None => inside.strip_suffix(".rs").map(str::to_owned),
        Some((name, "main.rs")) => Some(name.to_owned()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_their_files_and_by_their_names() {
        let paths =
            Paths::of(["a/Cargo.toml", "a/src/main.rs", "a/src/bin/one.rs", "a/examples/two/main.rs", "a/tests/it.rs"]);
        let mut cargo = Cargo::default();
        let text = "[package]\nname = 'a'\n[[bin]]\nname = 'b'\npath = 'x.rs'\n[features]\nfast = []\n[dependencies]\nq = { version = '1', optional = true }\n";
        cargo.read("a/Cargo.toml", text, &paths);
        assert_eq!(cargo.bins.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "one"]);
        assert_eq!(cargo.features.iter().map(String::as_str).collect::<Vec<_>>(), ["fast", "q"]);
        assert!(cargo.examples.contains("two") && cargo.tests.contains("it") && cargo.dependencies.contains("q"));
        assert!(!cargo.open);
        cargo.read("b/Cargo.toml", "[", &paths);
        assert!(cargo.open);
    }
}
