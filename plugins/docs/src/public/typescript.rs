//! Libraries of TypeScript: what the entry of a package exports, from whichever of its files.

use std::collections::{BTreeMap, HashMap, HashSet};

use convoke_sdk::{Entry, Kind, Project};
use serde_json::Value;

use super::typescript_scan::{Module, scan};
use super::{Checked, Language, Package, Public, below, folder_of, inside, is_aside, read};
use crate::names::joined;

/// Where the entry of a package stands by custom, the first that is there.
const ENTRIES: &[&str] =
    &["src/index.ts", "src/index.tsx", "src/mod.ts", "src/lib.ts", "index.ts", "lib/index.ts", "mod.ts"];

/// The most files of one library.
const MOST_FILES: usize = 4_000;

/// The library that a `package.json` describes, if it is meant for others and its entry is found.
pub(super) async fn library(project: &impl Project, manifest: &str, files: &[Entry]) -> Option<Package> {
    if is_aside(manifest) {
        return None;
    }
    let folder = folder_of(manifest);
    let text = read(project, manifest).await.ok()?;
    let package: Value = serde_json::from_str(&text).ok()?;
    let is_private = package.get("private").and_then(Value::as_bool) == Some(true);
    let is_library = ["main", "module", "types", "typings", "exports"].iter().any(|key| package.get(key).is_some());
    if is_private || !is_library {
        return None;
    }
    let places = ENTRIES.iter().map(|entry| below(folder, entry));
    let root = places.into_iter().find(|path| files.iter().any(|entry| entry.path == *path))?;
    let source = folder_of(&root);
    let sources = files.iter().filter(|entry| inside(source, &entry.path).is_some() && entry.path.ends_with(".ts"));
    let bytes = sources.map(|entry| entry.size).sum();
    Some(Package { language: Language::TypeScript, folder: folder.to_owned(), root, bytes })
}

/// The names of a file that are wanted: all, or one.
type Wanted = (String, Option<String>);

pub(super) async fn check(project: &impl Project, package: &Package) -> Checked {
    let mut checked = Checked::default();
    let mut modules: HashMap<String, Option<Module>> = HashMap::new();
    let mut seen: HashSet<Wanted> = HashSet::new();
    let mut found: BTreeMap<String, BTreeMap<String, Public>> = BTreeMap::new();
    let mut open: Vec<Wanted> = vec![(package.root.clone(), None)];
    while let Some((path, name)) = open.pop() {
        if !seen.insert((path.clone(), name.clone())) {
            continue;
        }
        if !modules.contains_key(&path) {
            let module = if modules.len() >= MOST_FILES {
                Err("there are too many files".to_owned())
            } else {
                read(project, &path).await.and_then(|text| scan(&text))
            };
            if let Err(why) = &module {
                checked.unread(&path, why);
            }
            modules.insert(path.clone(), module.ok());
        }
        let Some(Some(module)) = modules.get(&path) else { continue };
        let next = match &name {
            None => everything(module, &path, &mut found),
            Some(name) => one(module, name, &path, &mut found),
        };
        for (from, name) in next {
            if let Some(file) = resolved(project, &path, &from).await {
                open.push((file, name));
            }
        }
    }
    for (path, items) in found {
        checked.add(&path, items.into_values().collect());
    }
    checked
}

type Found = BTreeMap<String, BTreeMap<String, Public>>;

fn add(
    module: &Module,
    path: &str,
    wanted: impl Fn(&super::typescript_scan::Declared) -> bool,
    found: &mut Found,
) -> bool {
    let mut is_there = false;
    for one in module.declared.iter().filter(|one| wanted(one)) {
        is_there = true;
        let items = found.entry(path.to_owned()).or_default();
        let item = Public { name: one.name.clone(), line: one.line, documented: one.documented };
        // Overloads, and a type and a value of one name, are one.
        items.entry(one.name.clone()).and_modify(|first| first.documented |= one.documented).or_insert(item);
    }
    is_there
}

/// All that a file exports. What is to be looked for elsewhere: the file as it is written, and the name.
fn everything(module: &Module, path: &str, found: &mut Found) -> Vec<(String, Option<String>)> {
    add(module, path, |one| one.exported, found);
    let mut next = Vec::new();
    for export in &module.exports {
        match (&export.from, export.name.as_str()) {
            (Some(from), "*") => next.push((from.clone(), None)),
            (Some(from), name) => next.push((from.clone(), Some(name.to_owned()))),
            (None, name) => next.extend(local(module, name, path, found)),
        }
    }
    next
}

/// What a file exports by one name.
fn one(module: &Module, name: &str, path: &str, found: &mut Found) -> Vec<(String, Option<String>)> {
    if let Some(export) = module.exports.iter().find(|export| export.alias == name) {
        return match &export.from {
            Some(from) => vec![(from.clone(), Some(export.name.clone()))],
            None => local(module, &export.name, path, found),
        };
    }
    if add(module, path, |one| one.exported && one.name == name, found) {
        return Vec::new();
    }
    let all = module.exports.iter().filter(|export| export.name == "*");
    all.filter_map(|export| Some((export.from.clone()?, Some(name.to_owned())))).collect()
}

/// What a name means within a file: a declaration, or an import.
fn local(module: &Module, name: &str, path: &str, found: &mut Found) -> Vec<(String, Option<String>)> {
    if add(module, path, |one| one.name == name, found) {
        return Vec::new();
    }
    let imported = module.imports.iter().filter(|import| import.alias == name);
    imported.filter_map(|import| Some((import.from.clone()?, Some(import.name.clone())))).collect()
}

/// The file of the package that another one means by `./x`. None: it is another package's.
async fn resolved(project: &impl Project, path: &str, from: &str) -> Option<String> {
    if !from.starts_with('.') {
        return None;
    }
    let place = joined(folder_of(path), from)?;
    let stem =
        [".js", ".mjs", ".jsx", ".ts", ".tsx"].iter().find_map(|ending| place.strip_suffix(ending)).unwrap_or(&place);
    let places = [
        format!("{stem}.ts"),
        format!("{stem}.tsx"),
        format!("{stem}.mts"),
        format!("{place}.ts"),
        format!("{place}/index.ts"),
        format!("{place}/index.tsx"),
    ];
    for file in places {
        if matches!(project.exists(&file).await, Ok(Some(Kind::File))) {
            return Some(file);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::public::testing::items;

    const PACKAGE: (&str, &str) = ("package.json", r#"{"name":"a","types":"dist/index.d.ts"}"#);

    #[test]
    fn what_the_entry_exports_is_public() {
        let files = [
            PACKAGE,
            (
                "src/index.ts",
                "export * from './one.js';\nexport { b as B, type C } from './two';\nimport { d } from './three';\nexport { d };\nexport const e = 1;\nconst f = 2;\nexport { f };\nexport * from 'other';\n",
            ),
            ("src/one.ts", "/** A */\nexport function a() {}\nexport function a2() {}\nfunction no() {}\n"),
            ("src/two/index.ts", "export const b = 1;\nexport const no = 1;\nexport * from './deep';\n"),
            ("src/two/deep.ts", "export interface C {}\nexport interface No {}\n"),
            ("src/three.tsx", "/** D */\nexport const d = 1;\n"),
            ("src/four.ts", "export const no = 1;\n"),
        ];
        assert_eq!(
            items(&files),
            ["src/index.ts:5 e, f", "src/one.ts:3 a2", "src/two/deep.ts:1 C", "src/two/index.ts:1 b", "5 of 7"]
        );
    }

    #[test]
    fn applications_are_no_libraries() {
        let index = ("src/index.ts", "export const a = 1;");
        assert_eq!(items(&[("package.json", r#"{"private":true,"main":"x"}"#), index]), [""; 0]);
        assert_eq!(items(&[("package.json", r#"{"name":"a"}"#), index]), [""; 0]);
        assert_eq!(items(&[("package.json", "{"), index]), [""; 0]);
    }

    #[test]
    fn circles_and_overloads_end() {
        let files = [
            PACKAGE,
            (
                "src/index.ts",
                "export * from './one';\nexport * from './index';\n/** A */\nexport function a(x: string): void;\nexport function a(x: number): void;\n",
            ),
            ("src/one.ts", "export * from './index';\nexport { x } from './index';\n"),
        ];
        assert_eq!(items(&files), ["0 of 1"]);
    }
}
