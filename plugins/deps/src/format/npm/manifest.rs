//! `package.json`.

use convoke_sdk::small::Set;

use super::super::json;
use super::super::tree::{Entry, Node, Value, bounded, push, table_of, unfit};
use super::spec::{Spec, spec, split};
use super::workspace::catalogs::{self, Catalogs};
use crate::model::{Bound, Fault, File, Manager, Manifest, Requirement, Scope, Script, Texts, folder};

/// The tables of dependencies. An entry of the later one counts where two have the same name: so npm does it.
const TABLES: [(&str, Scope); 4] = [
    ("peerDependencies", Scope::Peer),
    ("devDependencies", Scope::Dev),
    ("dependencies", Scope::Normal),
    ("optionalDependencies", Scope::Optional),
];

/// The scripts that an install runs: of a package those of the first line, in its own repository those of the second too.
const HOOKS: [&str; 7] = ["preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"];

/// The condition of a requirement that only replaces what others ask for.
pub const OVERRIDES: &str = "overrides";

/// Something that a `package.json` asks for, in its own words.
pub(super) struct Asked<'n> {
    /// What it is called there; the package may have another name.
    pub(super) name: &'n str,
    /// What stands beside the name.
    pub(super) spec: &'n str,
    pub(super) scope: Scope,
    pub(super) line: u32,
}

/// Reads a `package.json`. What it takes from a catalog is looked up in the `pnpm-workspace.yaml` or `package.json` above.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let mut file = File::new(path, Manager::Npm, "package.json");
    let document = match json::read(text) {
        Ok(document) => document,
        Err(broken) => return broken.of(file),
    };
    let (root, mut faults) = (document.root, document.faults);
    if !matches!(root.value, Value::Table(_)) {
        return file.broken(Some(root.line), &format!("it should be a table and is {}", root.kind()));
    }
    let catalogs = if text.contains("\"catalog:") { Some(Catalogs::above(path, texts)) } else { None };
    let meta = table_of(&root, "peerDependenciesMeta", &mut faults);
    let optional: Set<&str> =
        meta.iter().filter(|entry| entry.value.flag("optional")).map(|entry| &*entry.key).collect();
    let mut requirements = Vec::new();
    for asked in asked(&root, &mut faults) {
        let Spec { name, origin, bound, catalog } = spec(asked.spec);
        let mut requirement = Requirement {
            name: name.unwrap_or_else(|| asked.name.to_owned()),
            range: Some(asked.spec.to_owned()),
            bound,
            origin,
            scope: asked.scope,
            line: asked.line,
            condition: None,
            hashed: false,
        };
        if let Some(catalog) = catalog
            && let Some(found) = catalogs.as_ref().and_then(|catalogs| catalogs.get(&catalog, asked.name))
        {
            let Spec { name, origin, .. } = spec(found);
            requirement.name = name.unwrap_or_else(|| asked.name.to_owned());
            (requirement.bound, requirement.origin, requirement.range) =
                (Bound::Inherited, origin, Some(found.to_owned()));
        }
        if asked.scope == Scope::Peer && optional.contains(asked.name) {
            requirement.condition = Some("optional".to_owned());
        }
        requirements.push(requirement);
    }
    overrides(&root, &mut requirements, &mut faults);
    for (catalog, entry) in catalogs::of_package(&root, &mut faults) {
        catalogs::requirement(&catalog, entry, &mut requirements, &mut faults);
    }
    convoke_sdk::small::sort_by_key(&mut requirements, |requirement| requirement.line);

    file.manifest = Some(Manifest {
        name: root.text_of("name").map(str::to_owned),
        version: root.text_of("version").map(str::to_owned),
        license: license(&root),
        requirements,
        members: members(&root),
        includes: Vec::new(),
        scripts: scripts(&root, &mut faults),
    });
    bounded(&mut faults);
    file.faults = faults;
    file
}

/// What it asks for, each name once.
pub(super) fn asked<'n>(root: &'n Node<'_>, faults: &mut Vec<Fault>) -> Vec<Asked<'n>> {
    let mut asked: Vec<Asked<'n>> = Vec::new();
    let mut places = convoke_sdk::small::Map::new();
    for (table, scope) in TABLES {
        for entry in table_of(root, table, faults) {
            let Some(spec) = entry.value.text() else {
                push(faults, unfit(&format!("the dependency `{}`", entry.key), "text", &entry.value));
                continue;
            };
            let one = Asked { name: &entry.key, spec, scope, line: entry.line };
            // Who develops against what its users bring, asks for both.
            let kind = (&*entry.key, scope == Scope::Peer);
            match places.get(&kind).and_then(|at: &usize| asked.get_mut(*at)) {
                Some(before) => *before = one,
                None => {
                    places.insert(kind, asked.len());
                    asked.push(one);
                }
            }
        }
    }
    asked
}

/// `overrides` (npm), `resolutions` (yarn) and `pnpm.overrides` replace what others ask for.
fn overrides(root: &Node<'_>, requirements: &mut Vec<Requirement>, faults: &mut Vec<Fault>) {
    let empty = Node { line: 1, value: Value::Null };
    let mut open: Vec<(&Entry<'_>, Option<&str>)> = Vec::new();
    open.extend(table_of(root, "overrides", faults).iter().map(|entry| (entry, None)));
    open.extend(table_of(root, "resolutions", faults).iter().map(|entry| (entry, None)));
    open.extend(table_of(root.get("pnpm").unwrap_or(&empty), "overrides", faults).iter().map(|entry| (entry, None)));
    while let Some((entry, inside)) = open.pop() {
        let name = overridden(&entry.key);
        match &entry.value.value {
            Value::Text(text) => {
                // `.` stands for the package around it, `$name` for what the project itself asks for.
                let name = if name == "." { inside.unwrap_or(name) } else { name };
                let found = spec(text);
                let bound = if text.starts_with('$') { Bound::Inherited } else { found.bound };
                requirements.push(Requirement {
                    name: found.name.unwrap_or_else(|| name.to_owned()),
                    range: Some(text.to_string()),
                    bound,
                    origin: found.origin,
                    scope: Scope::Normal,
                    line: entry.line,
                    condition: Some(OVERRIDES.to_owned()),
                    hashed: false,
                });
            }
            Value::Table(entries) => open.extend(entries.iter().map(|entry| (entry, Some(name)))),
            _ => push(faults, unfit(&format!("the override `{}`", entry.key), "text or a table", &entry.value)),
        }
    }
}

/// The package that is replaced: of `a@^1`, `**/a`, `x/@s/a` and `x@1>a` it is the last one.
pub(super) fn overridden(key: &str) -> &str {
    let last = key.rsplit('>').next().unwrap_or(key);
    let mut parts = last.rsplitn(3, '/');
    let (name, scope) = (parts.next().unwrap_or(last), parts.next());
    let from = match scope {
        Some(scope) if scope.starts_with('@') => last.len() - name.len() - scope.len() - 1,
        _ => last.len() - name.len(),
    };
    let last = last.get(from..).unwrap_or(last);
    split(last).0
}

fn license(root: &Node<'_>) -> Option<String> {
    // The older forms: a table with its `type`, and a list of such tables.
    let one = |node: &Node<'_>| node.text().or_else(|| node.text_of("type")).map(str::to_owned);
    if let Some(found) = root.get("license").and_then(one) {
        return Some(found);
    }
    let all: Vec<String> = root.get("licenses")?.list().iter().filter_map(one).collect();
    (!all.is_empty()).then(|| all.join(" OR "))
}

/// The globs of the workspace's members.
pub(super) fn members(root: &Node<'_>) -> Vec<String> {
    let Some(workspaces) = root.get("workspaces") else { return Vec::new() };
    let list = match &workspaces.value {
        Value::Table(_) => workspaces.get("packages").map(Node::list).unwrap_or_default(),
        _ => workspaces.list(),
    };
    list.iter().filter_map(Node::text).map(str::to_owned).collect()
}

fn scripts(root: &Node<'_>, faults: &mut Vec<Fault>) -> Vec<Script> {
    let mut scripts = Vec::new();
    for entry in table_of(root, "scripts", faults) {
        if let (true, Some(text)) = (HOOKS.contains(&&*entry.key), entry.value.text()) {
            scripts.push(Script { name: entry.key.to_string(), text: text.to_owned(), line: entry.line });
        }
    }
    scripts
}

/// The `package.json` in a folder.
pub(super) fn in_folder(folder: &str) -> String {
    if folder.is_empty() { "package.json".to_owned() } else { format!("{folder}/package.json") }
}

/// The folders above a file, from its own to the project's.
pub(super) fn upwards(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(folder(path));
    std::iter::from_fn(move || {
        let at = next?;
        next = (!at.is_empty()).then(|| folder(at));
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    fn read(text: &str) -> File {
        parse("package.json", text, &Texts::new())
    }

    /// `line name range bound scope condition`, one a requirement.
    fn said(file: &File) -> Vec<String> {
        let line = |requirement: &Requirement| {
            let Requirement { line, name, range, bound, scope, condition, .. } = requirement;
            let condition = condition.as_deref().map(|condition| format!(" if {condition}")).unwrap_or_default();
            format!("{line} {name} {} {bound:?} {scope:?}{condition}", range.as_deref().unwrap_or("-"))
        };
        file.manifest.as_ref().expect("a manifest").requirements.iter().map(line).collect()
    }

    #[test]
    fn every_table_is_read_in_the_order_of_the_file() {
        let file = read(
            r#"{
  "name": "demo", "version": "1.0.0", "license": "MIT",
  "workspaces": {"packages": ["packages/*"]},
  "scripts": {"test": "x", "postinstall": "node setup.js",
    "prepare": "husky"},
  "dependencies": {
    "a": "^1.0.0",
    "called": "npm:real@2.0.0",
    "both": "1.0.0",
    "ours": "workspace:^"
  },
  "optionalDependencies": {"both": "^2"},
  "devDependencies": {
    "jest": "*",
    "react": "18.0.0"
  },
  "peerDependencies": {"react": ">=17", "vue": "^3"},
  "peerDependenciesMeta": {"vue": {"optional": true}}
}"#,
        );
        assert_eq!(file.faults, []);
        assert_eq!(
            said(&file),
            [
                "7 a ^1.0.0 Bounded Normal",
                "8 real npm:real@2.0.0 Exact Normal",
                "10 ours workspace:^ Inherited Normal",
                "12 both ^2 Bounded Optional",
                "14 jest * Open Dev",
                "15 react 18.0.0 Exact Dev",
                "17 react >=17 Open Peer",
                "17 vue ^3 Bounded Peer if optional",
            ]
        );
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(manifest.members, ["packages/*"]);
        let scripts: Vec<_> = manifest.scripts.iter().map(|one| (&*one.name, &*one.text, one.line)).collect();
        assert_eq!(scripts, [("postinstall", "node setup.js", 4), ("prepare", "husky", 5)]);
        assert_eq!((manifest.name.as_deref(), manifest.license.as_deref()), (Some("demo"), Some("MIT")));
    }

    #[test]
    fn what_replaces_others_is_read_too() {
        let file = read(
            r#"{"overrides": {"a": "1.0.0",
"b@^2": {".": "2.0.1",
  "c": "$c"}},
"resolutions": {"**/d": "npm:e@1",
  "x/@s/f": "^1"},
"pnpm": {"overrides": {"g@1>h": "1.2.3"}}}"#,
        );
        assert_eq!(
            said(&file),
            [
                "1 a 1.0.0 Exact Normal if overrides",
                "2 b 2.0.1 Exact Normal if overrides",
                "3 c $c Inherited Normal if overrides",
                "4 e npm:e@1 Bounded Normal if overrides",
                "5 @s/f ^1 Bounded Normal if overrides",
                "6 h 1.2.3 Exact Normal if overrides",
            ]
        );
    }

    #[test]
    fn a_catalog_says_the_range_where_it_is_found() {
        let member = "{\"dependencies\": {\"a\": \"catalog:\",\n\"b\": \"catalog:old\",\n\"c\": \"catalog:\"}}";
        let yaml = "catalog:\n  a: ^1.0.0\ncatalogs:\n  old:\n    b: 0.9.0\n";
        let texts: Texts = [("pnpm-workspace.yaml".to_owned(), yaml.to_owned())].into();
        assert_eq!(
            said(&parse("packages/x/package.json", member, &texts)),
            ["1 a ^1.0.0 Inherited Normal", "2 b 0.9.0 Inherited Normal", "3 c catalog: Unknown Normal"]
        );
        let root = "{\"workspaces\": {\"packages\": [], \"catalog\": {\n\"a\": \"^2\"}, \"catalogs\": {\"old\": {\n\"b\": \"1.0.0\"}}}}";
        let texts: Texts = [("package.json".to_owned(), root.to_owned())].into();
        assert_eq!(said(&parse("x/package.json", member, &texts))[0], "1 a ^2 Inherited Normal");
        assert_eq!(
            said(&parse("package.json", root, &texts)),
            ["2 a ^2 Bounded Normal if catalog:default", "3 b 1.0.0 Exact Normal if catalog:old"]
        );
    }

    #[test]
    fn older_licences_are_read() {
        let license = |text: &str| read(text).manifest.expect("a manifest").license;
        assert_eq!(license(r#"{"license": {"type": "ISC", "url": "x"}}"#).as_deref(), Some("ISC"));
        assert_eq!(license(r#"{"licenses": [{"type": "MIT"}, {"type": "ISC"}]}"#).as_deref(), Some("MIT OR ISC"));
        assert_eq!(license("{}"), None);
    }

    #[test]
    fn what_is_no_dependency_is_said_with_its_line() {
        let file = read("{\"dependencies\": {\"a\": 1,\n\"b\": \"1\"},\n\"devDependencies\": [\"x\"]}");
        assert_eq!(said(&file), ["2 b 1 Bounded Normal"]);
        let faults: Vec<_> = file.faults.iter().map(|fault| (fault.line, &*fault.message)).collect();
        assert_eq!(
            faults,
            [
                (Some(3), "`devDependencies` should be a table and is a list"),
                (Some(1), "the dependency `a` should be text and is a number"),
            ]
        );
        for (text, line) in [("{\n\"a\": }", 2), ("[]", 1), ("", 1)] {
            let file = read(text);
            assert_eq!((file.manifest, file.faults[0].line, file.faults[0].whole), (None, Some(line), true), "{text}");
        }
    }

    #[test]
    fn a_repository_may_stand_beside_a_name() {
        let file = read(r#"{"dependencies": {"a": "owner/a"}}"#);
        let requirement = &file.manifest.expect("a manifest").requirements[0];
        assert_eq!(requirement.origin, Origin::Git { url: "owner/a".into(), commit: None });
    }

    #[test]
    fn nothing_that_stands_there_ends_the_reader() {
        let text = r#"{"overrides":{"a@1>@s/b":{".":"$x"}},"dependencies":{"a":"catalog:"},"workspaces":["x"]}"#;
        super::super::super::testing::mangled(text, |text| {
            read(text);
        });
    }
}
