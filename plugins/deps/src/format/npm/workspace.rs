//! `pnpm-workspace.yaml`: the members of a workspace, and the catalogs that hold their ranges.

use super::super::tree::{Entry, Value, bounded, list_of, push, table_of, unfit};
use super::super::yaml;
use super::manifest::OVERRIDES;
use super::manifest::overridden;
use super::spec::spec;
use crate::model::{File, Manager, Manifest, Requirement, Scope, Texts};

/// Reads a `pnpm-workspace.yaml`. What stands in a catalog is needed where a member says `catalog:`.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Npm, "pnpm-workspace.yaml");
    let document = match yaml::read(text) {
        Ok(document) => document,
        Err(broken) => return broken.of(file),
    };
    let (root, mut faults) = (document.root, document.faults);
    if !matches!(root.value, Value::Table(_) | Value::Null) {
        return file.broken(Some(root.line), &format!("it should be a table and is {}", root.kind()));
    }
    let mut manifest = Manifest::default();
    for glob in list_of(&root, "packages", &mut faults) {
        match glob.text() {
            Some(glob) => manifest.members.push(glob.to_owned()),
            None => push(&mut faults, unfit("an entry of `packages`", "text", glob)),
        }
    }
    for (catalog, entry) in catalogs::of(&root, &mut faults) {
        catalogs::requirement(&catalog, entry, &mut manifest.requirements, &mut faults);
    }
    for entry in table_of(&root, "overrides", &mut faults) {
        replacement(entry, &mut manifest.requirements);
    }
    for entry in table_of(&root, "configDependencies", &mut faults) {
        if let Some(range) = entry.value.scalar() {
            // Its digest stands behind the version: `1.0.0+sha512-…`.
            let (version, digest) = range.split_once("+sha").map_or((range, false), |(version, _)| (version, true));
            let mut found = said(&entry.key, version, entry.line);
            (found.scope, found.hashed) = (Scope::Build, digest);
            manifest.requirements.push(found);
        }
    }
    convoke_sdk::small::sort_by_key(&mut manifest.requirements, |requirement| requirement.line);
    bounded(&mut faults);
    file.manifest = Some(manifest);
    file.faults = faults;
    file
}

/// A requirement in the words of npm.
fn said(name: &str, text: &str, line: u32) -> Requirement {
    let found = spec(text);
    Requirement {
        name: found.name.unwrap_or_else(|| name.to_owned()),
        range: Some(text.to_owned()),
        bound: found.bound,
        origin: found.origin,
        scope: Scope::Normal,
        line,
        condition: None,
        hashed: false,
    }
}

fn replacement(entry: &Entry<'_>, requirements: &mut Vec<Requirement>) {
    if let Some(text) = entry.value.scalar() {
        let found = said(overridden(&entry.key), text, entry.line);
        requirements.push(Requirement { condition: Some(OVERRIDES.to_owned()), ..found });
    }
}

/// Catalogs: ranges that members take by their name.
pub(super) mod catalogs {
    use convoke_sdk::small::Map;

    use super::super::super::json;
    use super::super::super::tree::{Entry, Node, push, table_of, unfit};
    use super::super::super::yaml;
    use super::super::manifest::{in_folder, upwards};
    use crate::model::{Fault, Requirement, Texts};

    /// The catalogs above a file.
    pub(in super::super) struct Catalogs(Map<(String, String), String>);

    impl Catalogs {
        /// Of the `pnpm-workspace.yaml` and `package.json` in the folders from a file's own to the project's; the nearest counts.
        pub(in super::super) fn above(path: &str, texts: &Texts) -> Self {
            let mut found = Map::new();
            let mut add = |root: &Node<'_>, nested: bool| {
                let all = if nested { of_package(root, &mut Vec::new()) } else { of(root, &mut Vec::new()) };
                for (catalog, entry) in all {
                    if let Some(range) = entry.value.scalar() {
                        found.entry((catalog, entry.key.to_string())).or_insert_with(|| range.to_owned());
                    }
                }
            };
            for folder in upwards(path) {
                let yaml = if folder.is_empty() { String::new() } else { format!("{folder}/") } + "pnpm-workspace.yaml";
                if let Some(document) = texts.get(&yaml).and_then(|text| yaml::read(text).ok()) {
                    add(&document.root, false);
                }
                let mentioned = texts.get(&in_folder(folder)).filter(|text| text.contains("\"catalog"));
                if let Some(document) = mentioned.and_then(|text| json::read(text).ok()) {
                    add(&document.root, true);
                }
            }
            Self(found)
        }

        /// The range of a package in a catalog.
        pub(in super::super) fn get(&self, catalog: &str, name: &str) -> Option<&str> {
            self.0.get(&(catalog.to_owned(), name.to_owned())).map(String::as_str)
        }
    }

    /// The entries of `catalog` and `catalogs`, each with its catalog's name.
    pub(in super::super) fn of<'n, 'a>(root: &'n Node<'a>, faults: &mut Vec<Fault>) -> Vec<(String, &'n Entry<'a>)> {
        let mut all = Vec::new();
        all.extend(table_of(root, "catalog", faults).iter().map(|entry| ("default".to_owned(), entry)));
        for catalog in table_of(root, "catalogs", faults) {
            all.extend(catalog.value.entries().iter().map(|entry| (catalog.key.to_string(), entry)));
        }
        all
    }

    /// The same of a `package.json`, where they stand at its top or in its `workspaces` (bun).
    pub(in super::super) fn of_package<'n, 'a>(
        root: &'n Node<'a>,
        faults: &mut Vec<Fault>,
    ) -> Vec<(String, &'n Entry<'a>)> {
        let mut all = of(root, faults);
        if let Some(workspaces) = root.get("workspaces") {
            all.extend(of(workspaces, faults));
        }
        all
    }

    /// An entry of a catalog as something that is asked for, where a member wants it.
    pub(in super::super) fn requirement(
        catalog: &str,
        entry: &Entry<'_>,
        requirements: &mut Vec<Requirement>,
        faults: &mut Vec<Fault>,
    ) {
        match entry.value.scalar() {
            Some(range) => {
                let found = super::said(&entry.key, range, entry.line);
                requirements.push(Requirement { condition: Some(format!("catalog:{catalog}")), ..found });
            }
            None => push(faults, unfit(&format!("`{}` in a catalog", entry.key), "text", &entry.value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bound;

    #[test]
    fn members_and_catalogs_are_read() {
        let file = parse(
            "pnpm-workspace.yaml",
            "packages:\n  - 'packages/*'\n  - '!**/test'\ncatalog:\n  a: ^1.0.0\n  n: 2\ncatalogs:\n  old:\n    b: '*'\n\
             overrides:\n  'x>@s/c@1': 1.2.3\nconfigDependencies:\n  hooks: 1.0.0+sha512-abc\n",
            &Texts::new(),
        );
        assert_eq!(file.faults, []);
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(manifest.members, ["packages/*", "!**/test"]);
        let found: Vec<_> = manifest
            .requirements
            .iter()
            .map(|one| (one.line, &*one.name, one.range.as_deref(), one.bound, one.condition.as_deref(), one.hashed))
            .collect();
        assert_eq!(
            found,
            [
                (5, "a", Some("^1.0.0"), Bound::Bounded, Some("catalog:default"), false),
                (6, "n", Some("2"), Bound::Bounded, Some("catalog:default"), false),
                (9, "b", Some("*"), Bound::Open, Some("catalog:old"), false),
                (11, "@s/c", Some("1.2.3"), Bound::Exact, Some("overrides"), false),
                (13, "hooks", Some("1.0.0"), Bound::Exact, None, true),
            ]
        );
    }

    #[test]
    fn what_is_broken_says_its_line() {
        let read = |text: &str| parse("pnpm-workspace.yaml", text, &Texts::new());
        assert_eq!(read("packages:\n  - a\n b: [").faults[0].line, Some(3));
        assert_eq!(read("- a\n").manifest, None);
        assert_eq!(read("packages: a\n").faults[0].line, Some(1));
        assert_eq!(read("").faults, []);
    }
}
