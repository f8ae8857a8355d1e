//! What can be run by name: scripts of `package.json`, targets of Make, recipes of just.

use std::collections::BTreeSet;

use serde_json::Value;

/// Names of one kind, over the whole repository.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Names {
    /// There is a file that can define some.
    pub(crate) any: bool,
    /// Some names are made in a way that can't be read: then none is missing.
    pub(crate) open: bool,
    /// Those that are defined.
    pub(crate) names: BTreeSet<String>,
}

impl Names {
    /// Whether it can be told that a name is not defined.
    pub(crate) fn lack(&self, name: &str) -> bool {
        !self.open && !self.names.contains(name)
    }

    pub(crate) fn add(&mut self, name: &str) {
        let name = name.trim().trim_matches(['"', '\'']);
        if !name.is_empty() {
            self.names.insert(name.to_owned());
        }
    }
}

/// What `package.json` files say.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    /// Scripts that `npm run` knows.
    pub(crate) scripts: Names,
    /// Names of the packages, and of the repositories they come from.
    pub(crate) own: BTreeSet<String>,
    /// Programs that the packages bring.
    pub(crate) programs: BTreeSet<String>,
    /// `engines.node`.
    pub(crate) node: Vec<(String, String)>,
}

impl Packages {
    /// Reads one file.
    pub(crate) fn read(&mut self, path: &str, text: &str) {
        self.scripts.any = true;
        let Ok(Value::Object(package)) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
            self.scripts.open = true;
            return;
        };
        for name in package.get("scripts").and_then(Value::as_object).into_iter().flat_map(|scripts| scripts.keys()) {
            self.scripts.add(name);
        }
        let name = package.get("name").and_then(Value::as_str);
        let short = name.map(|name| name.rsplit('/').next().unwrap_or(name));
        self.own.extend(short.map(str::to_owned));
        let repository = package.get("repository");
        let url = repository.and_then(|repository| repository.get("url").or(Some(repository))).and_then(Value::as_str);
        self.own.extend(url.map(repository_name));
        match package.get("bin") {
            Some(Value::Object(programs)) => self.programs.extend(programs.keys().cloned()),
            Some(Value::String(_)) => self.programs.extend(short.map(str::to_owned)),
            _ => {}
        }
        if let Some(node) = package.get("engines").and_then(|engines| engines.get("node")).and_then(Value::as_str) {
            self.node.push((path.to_owned(), node.to_owned()));
        }
    }
}

/// The last part of a repository's address, without `.git`.
pub(crate) fn repository_name(url: &str) -> String {
    let name = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or("");
    name.trim_end_matches(".git").to_owned()
}

/// Whether a file holds rules of Make.
pub(crate) fn is_makefile(name: &str) -> bool {
    matches!(name, "Makefile" | "makefile" | "GNUmakefile") || name.ends_with(".mk") || name.starts_with("Makefile.")
}

/// Adds the targets of a file of Make. What Make computes (`$(x)` in a target, patterns, included files that are made) can't
/// be read.
pub(crate) fn make(targets: &mut Names, text: &str) {
    targets.any = true;
    let mut continued = false;
    for line in text.lines() {
        let was_continued = std::mem::replace(&mut continued, line.ends_with('\\'));
        if line.starts_with(['\t', '#']) || was_continued {
            // Names in a list that goes on over lines: `.PHONY: a \`.
            if was_continued && !line.starts_with('#') {
                line.trim_end_matches('\\').split_whitespace().for_each(|word| targets.add(word));
            }
            continue;
        }
        let line = line.trim_end_matches('\\');
        if let Some(included) = ["include ", "-include ", "sinclude "].iter().find_map(|start| line.strip_prefix(start))
        {
            targets.open |= included.contains('$') || !included.contains(".mk");
            continue;
        }
        let Some((before, after)) = line.split_once(':') else { continue };
        if after.starts_with('=') || after.starts_with(":=") || before.contains('=') {
            continue;
        }
        targets.open |= before.contains('$') || before.contains("define ") || before.trim() == "%";
        let phony = before.trim() == ".PHONY";
        before.split_whitespace().for_each(|word| targets.add(word));
        if phony {
            targets.open |= after.contains('$');
            after.split_whitespace().for_each(|word| targets.add(word));
        }
        // `build-%: …`
        targets.open |= before.contains('%') && !before.trim_start().starts_with("%.");
    }
    targets.open |= text.contains("$(eval");
}

/// Whether a file holds recipes of just.
pub(crate) fn is_justfile(name: &str) -> bool {
    matches!(name.to_lowercase().as_str(), "justfile" | ".justfile") || name.ends_with(".just")
}

/// Adds the recipes, aliases and modules of a file of just.
pub(crate) fn just(recipes: &mut Names, text: &str) {
    recipes.any = true;
    for line in text.lines() {
        if line.starts_with([' ', '\t', '#', '[']) {
            continue;
        }
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("alias" | "mod" | "mod?"), Some(name)) => recipes.add(name),
            (Some("set" | "export"), _) => {}
            _ => {
                let Some((before, after)) = line.split_once(':') else { continue };
                if !after.starts_with('=') && !before.contains(":=") {
                    let name = before.split_whitespace().next().unwrap_or("").trim_start_matches('@');
                    recipes.add(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> (Vec<String>, bool) {
        let mut names = Names::default();
        make(&mut names, text);
        (names.names.into_iter().collect(), names.open)
    }

    #[test]
    fn targets_of_make_are_what_stands_before_a_colon() {
        let text = ".PHONY: all \\\n  lint\nX := 1\nY:=2\nall: build\n\techo a: b\nbuild test: x.c\n\tcc\n%.o: %.c\n";
        let (names, open) = made(text);
        assert_eq!(names, ["%.o", ".PHONY", "all", "build", "lint", "test"]);
        assert!(!open);
    }

    #[test]
    fn targets_that_make_computes_can_not_be_told() {
        for text in ["$(TARGETS):\n", "%: Makefile\n", "build-%:\n", "include $(X).mk\n", "include made.d\n"] {
            assert!(made(text).1, "{text}");
        }
        assert!(!made("include rules.mk\n").1);
    }

    #[test]
    fn recipes_of_just_may_have_parameters() {
        let mut names = Names::default();
        let text =
            "set shell := [\"a\"]\nx := \"1\"\nalias b := build\n@build target='x' *rest: dep\n  echo c: d\nmod ci\n";
        just(&mut names, text);
        assert_eq!(names.names.into_iter().collect::<Vec<_>>(), ["b", "build", "ci"]);
    }

    #[test]
    fn a_package_says_its_scripts_programs_and_names() {
        let mut packages = Packages::default();
        packages.read(
            "package.json",
            r#"{"name":"@s/web","repository":"https://git.example/s/shop.git","scripts":{"dev":"x"},"bin":"./a.js","engines":{"node":">=18"}}"#,
        );
        assert!(packages.scripts.lack("build") && !packages.scripts.lack("dev"));
        assert_eq!(packages.own.iter().map(String::as_str).collect::<Vec<_>>(), ["shop", "web"]);
        assert!(packages.programs.contains("web"));
        packages.read("b/package.json", "{");
        assert!(!packages.scripts.lack("build"));
    }
}
