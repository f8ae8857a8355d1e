//! The repository's paths, and what in a text looks like one.

use std::collections::{BTreeSet, HashMap};

/// All files and folders of the repository, found by their ends: documents name `run/mod.rs` for `host/src/run/mod.rs`.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    all: Vec<String>,
    known: BTreeSet<String>,
    by_name: HashMap<String, Vec<usize>>,
    by_lower_name: HashMap<String, Vec<usize>>,
    files: BTreeSet<String>,
}

impl Paths {
    /// From the paths of all files.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let mut paths = Self::default();
        for file in files {
            paths.files.insert(file.to_owned());
            paths.known.insert(file.to_owned());
            let mut rest = file;
            while let Some((folder, _)) = rest.rsplit_once('/') {
                if !paths.known.insert(folder.to_owned()) {
                    break;
                }
                rest = folder;
            }
        }
        paths.all = paths.known.iter().cloned().collect();
        for (at, path) in paths.all.iter().enumerate() {
            let name = name_of(path);
            paths.by_name.entry(name.to_owned()).or_default().push(at);
            paths.by_lower_name.entry(name.to_lowercase()).or_default().push(at);
        }
        paths
    }

    /// Whether exactly this path is there.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.known.contains(path)
    }

    /// Whether it is a file.
    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// Whether it is there and no file.
    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.has(path) && !self.is_file(path)
    }

    /// The files below a folder, by what stands behind it; all of them for none.
    pub(crate) fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a str> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = self.files.range(start.clone()..);
        from.map_while(move |file| file.strip_prefix(start.as_str()))
    }

    /// All paths that are this one or end in it.
    pub(crate) fn ending_in<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.by_name.get(name_of(path)).into_iter().flatten();
        of_name.filter_map(|at| self.all.get(*at)).map(String::as_str).filter(move |known| ends_in(known, path))
    }

    /// The files of that name, wherever they are.
    pub(crate) fn named<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let of_name = self.by_name.get(name).into_iter().flatten();
        let paths = of_name.filter_map(|at| self.all.get(*at)).map(String::as_str);
        paths.filter(|path| self.is_file(path)).collect()
    }

    /// The paths that differ from this one, or what they end in, by upper and lower case alone. None where very many have
    /// such a name.
    pub(crate) fn but_for_case<'a>(&'a self, path: &str) -> Vec<&'a str> {
        let lower = path.to_lowercase();
        let of_name =
            self.by_lower_name.get(name_of(&lower)).filter(|all| all.len() <= MOST_ALIKE).into_iter().flatten();
        let paths = of_name.filter_map(|at| self.all.get(*at)).map(String::as_str);
        paths.filter(|known| ends_in(&known.to_lowercase(), &lower)).collect()
    }
}

/// More paths of one name are not compared.
const MOST_ALIKE: usize = 200;

fn ends_in(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// The last part of a path.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folder of a path; empty for the root.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path from a folder, without `.` and `..`. None: it leads out of the repository.
pub(crate) fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Endings of files that people write and keep in a repository.
const KEPT: &[&str] = &[
    "adoc",
    "bash",
    "bat",
    "c",
    "cc",
    "cfg",
    "cjs",
    "clj",
    "cmake",
    "conf",
    "cpp",
    "cs",
    "csproj",
    "css",
    "cts",
    "cxx",
    "dart",
    "ex",
    "exs",
    "fs",
    "fsproj",
    "go",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "hcl",
    "hpp",
    "hs",
    "html",
    "ini",
    "ipynb",
    "java",
    "jl",
    "js",
    "json",
    "json5",
    "jsonc",
    "jsx",
    "kt",
    "kts",
    "less",
    "lua",
    "m",
    "md",
    "mdx",
    "mjs",
    "ml",
    "mod",
    "mts",
    "nix",
    "php",
    "pl",
    "properties",
    "proto",
    "ps1",
    "py",
    "pyi",
    "r",
    "rb",
    "rs",
    "rst",
    "sass",
    "scala",
    "scss",
    "sh",
    "sln",
    "sql",
    "svelte",
    "swift",
    "tf",
    "tfvars",
    "toml",
    "ts",
    "tsx",
    "vue",
    "wit",
    "xml",
    "yaml",
    "yml",
    "zig",
];

/// Files of these names have no ending.
const KEPT_NAMES: &[&str] = &[
    "BUILD",
    "Brewfile",
    "CODEOWNERS",
    "Caddyfile",
    "Containerfile",
    "Dockerfile",
    "Gemfile",
    "Jenkinsfile",
    "Justfile",
    "LICENSE",
    "Makefile",
    "Pipfile",
    "Procfile",
    "Rakefile",
    "Vagrantfile",
    "gradlew",
    "justfile",
    "mvnw",
];

/// Whether a name is that of a file which people write and keep.
pub(crate) fn is_kept(name: &str) -> bool {
    let ending = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending);
    KEPT_NAMES.contains(&name) || ending.is_some_and(|ending| KEPT.contains(&ending))
}

/// Folders whose content is made by tools.
const MADE: &[&str] = &[
    ".cache",
    ".git",
    ".gradle",
    ".next",
    ".nuxt",
    ".tox",
    ".turbo",
    ".venv",
    "__pycache__",
    "_build",
    "artifacts",
    "build",
    "cache",
    "coverage",
    "dist",
    "generated",
    "gen",
    "log",
    "logs",
    "node_modules",
    "obj",
    "out",
    "output",
    "site-packages",
    "target",
    "temp",
    "tmp",
    "vendor",
    "venv",
];

/// Whether a path is in a folder whose content is made by tools.
pub(crate) fn is_made(path: &str) -> bool {
    path.split('/').any(|part| MADE.contains(&part))
}

/// Names that stand for any name.
const ANY: &[&str] = &[
    "a",
    "acme",
    "b",
    "bar",
    "baz",
    "c",
    "dir",
    "directory",
    "example",
    "file",
    "file1",
    "file2",
    "filename",
    "folder",
    "foo",
    "foobar",
    "feature",
    "hello",
    "myapp",
    "myfile",
    "myproject",
    "mymodule",
    "n",
    "name",
    "new",
    "old",
    "other",
    "path",
    "placeholder",
    "project",
    "qux",
    "repo",
    "sample",
    "some",
    "something",
    "thing",
    "to",
    "username",
    "user",
    "whatever",
    "x",
    "xx",
    "xxx",
    "y",
    "yourapp",
    "z",
];

/// Whether a name stands for any name: `foo.rs`, `your-file`, `path`.
pub(crate) fn is_any(name: &str) -> bool {
    let lower = name.to_lowercase();
    let stem = lower.split('.').find(|part| !part.is_empty()).unwrap_or("");
    ANY.contains(&stem)
        || ["your-", "your_", "my-", "my_", "foo-", "foo_", "example-", "example_", "some-", "some_", "xxx"]
            .iter()
            .any(|start| lower.starts_with(start))
        || ["-name", "_name", "example", "xxx", "placeholder"].iter().any(|end| stem.ends_with(end))
        || stem.contains("yyyy")
}

/// What a text says of a path, without `:12`, `#L3` and `./`. None: it doesn't look like one of a repository, or stands for
/// any.
pub(crate) fn cleaned(text: &str) -> Option<String> {
    let text = text.split('#').next().unwrap_or("");
    let mut path = text;
    // `:12`, `:12:5`, `:12-20`
    while let Some((before, after)) = path.rsplit_once(':') {
        if after.is_empty() || !after.chars().all(|char| char.is_ascii_digit() || char == '-') {
            return None;
        }
        path = before;
    }
    let odd = |char: char| !(char.is_ascii_alphanumeric() || matches!(char, '/' | '.' | '_' | '-' | '+' | '@'));
    let outside = path.starts_with(['/', '~', '@', '-', '+']) || path.contains("...") || path.contains("//");
    if path.is_empty() || path.len() > 300 || outside || path.chars().any(odd) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..").collect();
    if parts.is_empty() || parts.iter().any(|part| is_any(part)) {
        return None;
    }
    // Hosts and modules: `github.com/x/y`.
    let first = parts.first().copied().unwrap_or("");
    let host = [".com", ".org", ".io", ".dev", ".net", ".in", ".sh", ".ai", ".co", ".rs"];
    if parts.len() > 1 && !first.starts_with('.') && host.iter().any(|end| first.ends_with(end)) {
        return None;
    }
    Some(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_its_end() {
        let paths = Paths::of(["host/src/run/mod.rs", "README.md", "sdk/src/run/mod.rs"]);
        assert!(paths.has("host/src") && paths.is_folder("host/src") && !paths.is_file("host/src"));
        assert_eq!(paths.ending_in("run/mod.rs").count(), 2);
        assert_eq!(paths.ending_in("n/mod.rs").count(), 0);
        assert_eq!(paths.ending_in("src/run").count(), 2);
        assert_eq!(paths.but_for_case("readme.md"), ["README.md"]);
        assert_eq!(paths.named("mod.rs").len(), 2);
        assert_eq!(paths.below("host").collect::<Vec<_>>(), ["src/run/mod.rs"]);
        assert_eq!(paths.below("").count(), 3);
    }

    #[test]
    fn lines_and_anchors_belong_to_no_path() {
        for (text, path) in [
            ("src/x1.rs", Some("src/x1.rs")),
            ("src/lib.rs:12", Some("src/lib.rs")),
            ("src/lib.rs:12:5", Some("src/lib.rs")),
            ("src/lib.rs:12-20", Some("src/lib.rs")),
            ("src/lib.rs#L3", Some("src/lib.rs")),
            ("./run/it/", Some("./run/it")),
            ("../lib/it.rs", Some("../lib/it.rs")),
            ("src/x.rs", None),
            ("path/to/lib.rs", None),
            ("your-app/lib.rs", None),
            ("/etc/hosts", None),
            ("~/lib.rs", None),
            ("@scope/pkg", None),
            ("src/*.rs", None),
            ("src/<lib>.rs", None),
            ("https://a.b/c", None),
            ("github.com/a1/b1.go", None),
            ("$HOME/lib.rs", None),
            ("image:latest", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(cleaned(text).as_deref(), path, "{text}");
        }
    }

    #[test]
    fn a_path_is_joined_to_a_folder() {
        assert_eq!(joined("a/b", "../c/./d").as_deref(), Some("a/c/d"));
        assert_eq!(joined("a", "../../c"), None);
    }
}
