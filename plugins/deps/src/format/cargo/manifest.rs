//! `Cargo.toml`.

use convoke_sdk::small::Map;

use super::super::toml;
use super::super::tree::{Document, Entry, Node, Value, bounded, list_of, push, table_of, unfit};
use super::{bound, is_commit};
use crate::model::{Bound, Fault, File, Manager, Manifest, Origin, Requirement, Scope, Texts, beside, folder};

/// The condition of an entry of `[workspace.dependencies]`: a member needs it that says so.
pub const FOR_MEMBERS: &str = "workspace = true";

/// The tables of dependencies. Those with `_` are the older spelling, which cargo still reads.
const TABLES: [(&str, Scope); 5] = [
    ("dependencies", Scope::Normal),
    ("dev-dependencies", Scope::Dev),
    ("dev_dependencies", Scope::Dev),
    ("build-dependencies", Scope::Build),
    ("build_dependencies", Scope::Build),
];

/// Reads a `Cargo.toml`. What it inherits is looked up in the root of its workspace, where `texts` has that.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let mut file = File::new(path, Manager::Cargo, "Cargo.toml");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let outer = if root.get("workspace").is_none() && text.contains("workspace") {
        outer_root(path, &root, texts)
    } else {
        None
    };
    let workspace = root.get("workspace").or_else(|| outer.as_ref()?.root.get("workspace"));
    let shared = workspace.and_then(|workspace| workspace.get("dependencies")).map(Node::entries).unwrap_or_default();
    let shared = shared.iter().map(|entry| (&*entry.key, &entry.value)).collect();
    let mut reader = Reader { shared, requirements: Vec::new(), faults: Vec::new() };
    reader.tables(&root, None);
    let mut faults = Vec::new();
    for target in table_of(&root, "target", &mut faults) {
        reader.tables(&target.value, Some(&target.key));
    }
    reader.for_members(&root);
    reader.patches(&root);
    let Reader { mut requirements, faults: more, .. } = reader;
    faults.extend(more);
    convoke_sdk::small::sort_by_key(&mut requirements, |requirement| requirement.line);

    let empty = Node { line: 1, value: Value::Null };
    let package = root.get("package").or_else(|| root.get("project")).unwrap_or(&empty);
    let of_package = |key: &str| inherited(package, key, workspace);
    let manifest = Manifest {
        name: package.text_of("name").map(str::to_owned),
        version: of_package("version"),
        license: of_package("license"),
        requirements,
        members: root.get("workspace").map(|own| members(own, &mut faults)).unwrap_or_default(),
        ..Manifest::default()
    };
    if root.get("package").is_none() && root.get("project").is_none() && root.get("workspace").is_none() {
        push(&mut faults, Fault::new(Some(1), "it has neither `[package]` nor `[workspace]`", false));
    }
    bounded(&mut faults);
    file.manifest = Some(manifest);
    file.faults = faults;
    file
}

/// The nearest `Cargo.toml` above that is the root of a workspace, or the one that `package.workspace` names.
fn outer_root<'t>(path: &str, root: &Node<'_>, texts: &'t Texts) -> Option<Document<'t>> {
    let read = |path: &str| {
        let document = toml::read(texts.get(path)?).ok()?;
        document.root.get("workspace").is_some().then_some(document)
    };
    if let Some(named) = root.at(&["package", "workspace"]).and_then(Node::text) {
        return read(&beside(path, &format!("{named}/Cargo.toml"))?);
    }
    let mut at = folder(path);
    while !at.is_empty() {
        at = folder(at);
        let above = if at.is_empty() { "Cargo.toml".to_owned() } else { format!("{at}/Cargo.toml") };
        if let Some(document) = read(&above) {
            return Some(document);
        }
    }
    None
}

/// What a package says about itself, or takes from its workspace.
fn inherited(package: &Node<'_>, key: &str, workspace: Option<&Node<'_>>) -> Option<String> {
    let own = package.get(key)?;
    if own.flag("workspace") {
        return workspace?.at(&["package", key])?.text().map(str::to_owned);
    }
    own.text().map(str::to_owned)
}

/// The globs of a workspace's members; what it leaves out begins with `!`.
fn members(workspace: &Node<'_>, faults: &mut Vec<Fault>) -> Vec<String> {
    let mut members = Vec::new();
    for (key, sign) in [("members", ""), ("exclude", "!")] {
        for glob in list_of(workspace, key, faults) {
            match glob.text() {
                Some(glob) => members.push(format!("{sign}{glob}")),
                None => push(faults, unfit(&format!("an entry of `{key}`"), "text", glob)),
            }
        }
    }
    members
}

struct Reader<'r> {
    /// The `[workspace.dependencies]` of the root.
    shared: Map<&'r str, &'r Node<'r>>,
    requirements: Vec<Requirement>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn tables(&mut self, node: &Node<'_>, condition: Option<&str>) {
        for (table, scope) in TABLES {
            for entry in table_of(node, table, &mut self.faults) {
                self.dependency(entry, scope, condition);
            }
        }
    }

    fn for_members(&mut self, root: &Node<'_>) {
        let Some(workspace) = root.get("workspace") else { return };
        for entry in table_of(workspace, "dependencies", &mut self.faults) {
            self.dependency(entry, Scope::Normal, Some(FOR_MEMBERS));
        }
    }

    /// `[patch.NAME]` and `[replace]` put something else in the place of packages, wherever these are needed.
    fn patches(&mut self, root: &Node<'_>) {
        for registry in table_of(root, "patch", &mut self.faults) {
            for entry in registry.value.entries() {
                self.dependency(entry, Scope::Normal, Some(&format!("patch.{}", registry.key)));
            }
        }
        for entry in table_of(root, "replace", &mut self.faults) {
            self.dependency(entry, Scope::Normal, Some("replace"));
        }
    }

    fn dependency(&mut self, entry: &Entry<'_>, scope: Scope, condition: Option<&str>) {
        let table = match &entry.value.value {
            Value::Text(_) | Value::Table(_) => &entry.value,
            _ => {
                let what = format!("the dependency `{}`", entry.key);
                push(&mut self.faults, unfit(&what, "a version or a table", &entry.value));
                return;
            }
        };
        let inherits = table.flag("workspace");
        // What it is stands in the workspace's root; what it is needed for stands here.
        let of_root = self.shared.get(&*entry.key).copied();
        let (said, known) = match (inherits, of_root) {
            (false, _) => (table, true),
            (true, Some(of_root)) => (of_root, true),
            (true, None) => (table, false),
        };
        let range = said.text().or_else(|| said.text_of("version")).map(str::to_owned);
        let origin = origin(said);
        // The keys of `[replace]` are `name:version`.
        let key =
            if condition == Some("replace") { entry.key.rsplit(':').nth(1).unwrap_or(&entry.key) } else { &entry.key };
        let bound = match (inherits, known) {
            (true, true) => Bound::Inherited,
            (true, false) => Bound::Unknown,
            (false, _) => allows(range.as_deref(), &origin),
        };
        self.requirements.push(Requirement {
            name: said.text_of("package").unwrap_or(key).to_owned(),
            range,
            bound,
            origin,
            scope: if table.flag("optional") { Scope::Optional } else { scope },
            line: entry.line,
            condition: condition.map(str::to_owned),
            hashed: false,
        });
    }
}

/// A folder is what it is; a git repository moves unless a commit is named; of a registry the newest that fits is taken.
fn allows(range: Option<&str>, origin: &Origin) -> Bound {
    match (origin, range) {
        (Origin::Git { commit: Some(_), .. }, _) => Bound::Exact,
        (_, Some(range)) => bound(range),
        (Origin::Path(_) | Origin::Workspace, None) => Bound::Exact,
        (_, None) => Bound::Open,
    }
}

fn origin(said: &Node<'_>) -> Origin {
    if let Some(url) = said.text_of("git") {
        let commit = said.text_of("rev").filter(|rev| is_commit(rev)).map(str::to_owned);
        return Origin::Git { url: url.to_owned(), commit };
    }
    if let Some(path) = said.text_of("path") {
        return Origin::Path(path.to_owned());
    }
    let registry = said.text_of("registry-index").or_else(|| said.text_of("registry"));
    Origin::Registry(registry.filter(|name| *name != "crates-io").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> File {
        parse("Cargo.toml", text, &Texts::new())
    }

    /// `line name range bound scope condition`, one a requirement.
    fn said(file: &File) -> Vec<String> {
        let manifest = file.manifest.as_ref().expect("a manifest");
        let line = |requirement: &Requirement| {
            let Requirement { line, name, range, bound, scope, condition, .. } = requirement;
            let range = range.as_deref().unwrap_or("-");
            let condition = condition.as_deref().map(|condition| format!(" if {condition}")).unwrap_or_default();
            format!("{line} {name} {range} {bound:?} {scope:?}{condition}")
        };
        manifest.requirements.iter().map(line).collect()
    }

    #[test]
    fn every_table_is_read_in_the_order_of_the_file() {
        let file = read(
            "[package]\nname = \"demo\"\nversion = \"0.3.0\"\nlicense = \"MIT\"\n\n[dev-dependencies]\ntest = \"*\"\n\
             [dependencies]\nserde = { version = \"1.0\", features = [\"derive\"] }\nold = { version = \">=1\", optional = true }\n\
             json = { package = \"serde_json\", version = \"=1.0.2\" }\n[dependencies.long]\nversion = \"2\"\n\
             [build-dependencies]\ncc = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
             [target.x86_64-pc-windows-gnu.dev_dependencies]\nwin = {}\n",
        );
        assert_eq!(file.faults, []);
        assert_eq!(
            said(&file),
            [
                "7 test * Open Dev",
                "9 serde 1.0 Bounded Normal",
                "10 old >=1 Open Optional",
                "11 serde_json =1.0.2 Exact Normal",
                "12 long 2 Bounded Normal",
                "15 cc 1 Bounded Build",
                "17 libc 0.2 Bounded Normal if cfg(unix)",
                "19 win - Open Dev if x86_64-pc-windows-gnu",
            ]
        );
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(manifest.name.as_deref(), Some("demo"));
        assert_eq!(manifest.version.as_deref(), Some("0.3.0"));
        assert_eq!(manifest.license.as_deref(), Some("MIT"));
    }

    #[test]
    fn a_commit_fixes_a_git_dependency_and_a_branch_does_not() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let file = read(&format!(
            "[package]\nname = \"x\"\n[dependencies]\na = {{ git = \"https://git.example/a\", rev = \"{commit}\" }}\n\
             b = {{ git = \"https://git.example/b\", branch = \"main\" }}\nc = {{ git = \"https://git.example/c\", rev = \"0123456\" }}\n\
             d = {{ path = \"../d\" }}\ne = {{ path = \"e\", version = \"1\" }}\nf = {{ version = \"1\", registry = \"ours\" }}\n"
        ));
        let requirements = file.manifest.expect("a manifest").requirements;
        let git =
            |url: &str, commit: Option<&str>| Origin::Git { url: url.to_owned(), commit: commit.map(str::to_owned) };
        let found: Vec<(Origin, Bound)> = requirements.into_iter().map(|one| (one.origin, one.bound)).collect();
        assert_eq!(
            found,
            [
                (git("https://git.example/a", Some(commit)), Bound::Exact),
                (git("https://git.example/b", None), Bound::Open),
                (git("https://git.example/c", None), Bound::Open),
                (Origin::Path("../d".into()), Bound::Exact),
                (Origin::Path("e".into()), Bound::Bounded),
                (Origin::Registry(Some("ours".into())), Bound::Bounded),
            ]
        );
    }

    #[test]
    fn a_member_takes_from_the_root_of_its_workspace() {
        let root = "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/old\"]\n[workspace.package]\nversion = \"2.0.0\"\n\
                    [workspace.dependencies]\njson = { package = \"serde_json\", version = \"1.0.9\" }\nown = { path = \"own\" }\n";
        let member = "[package]\nname = \"a\"\nversion.workspace = true\n[dependencies]\njson = { workspace = true, optional = true }\n\
                      own.workspace = true\n[dev-dependencies]\ngone.workspace = true\n";
        let between = "[package]\nname = \"between\"\n";
        let texts: Texts = [("Cargo.toml", root), ("crates/Cargo.toml", between), ("crates/a/Cargo.toml", member)]
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into();
        let file = parse("crates/a/Cargo.toml", member, &texts);
        assert_eq!(
            said(&file),
            ["5 serde_json 1.0.9 Inherited Optional", "6 own - Inherited Normal", "8 gone - Unknown Dev",]
        );
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(manifest.version.as_deref(), Some("2.0.0"));
        assert_eq!(manifest.requirements[1].origin, Origin::Path("own".into()));

        let file = parse("Cargo.toml", root, &texts);
        assert_eq!(
            said(&file),
            ["7 serde_json 1.0.9 Bounded Normal if workspace = true", "8 own - Exact Normal if workspace = true"]
        );
        assert_eq!(file.manifest.expect("a manifest").members, ["crates/*", "!crates/old"]);

        let alone = parse("crates/a/Cargo.toml", member, &Texts::new());
        assert_eq!(said(&alone)[0], "5 json - Unknown Optional");
    }

    #[test]
    fn the_root_may_be_named_and_may_inherit_from_itself() {
        let root = "[package]\nname = \"root\"\n[workspace]\n[workspace.dependencies]\na = \"1\"\n[dependencies]\na.workspace = true\n";
        let file = parse("x/Cargo.toml", root, &Texts::new());
        assert_eq!(said(&file), ["5 a 1 Bounded Normal if workspace = true", "7 a 1 Inherited Normal"]);

        let member = "[package]\nname = \"m\"\nworkspace = \"../x\"\n[dependencies]\na.workspace = true\n";
        let texts: Texts = [("x/Cargo.toml".to_owned(), root.to_owned())].into();
        assert_eq!(said(&parse("m/Cargo.toml", member, &texts)), ["5 a 1 Inherited Normal"]);
    }

    #[test]
    fn what_is_put_in_the_place_of_others_is_read_too() {
        let file = read(
            "[package]\nname = \"x\"\n[patch.crates-io]\nfoo = { git = \"https://git.example/foo\" }\n\
             [replace]\n\"bar:1.0.2\" = { path = \"bar\" }\n",
        );
        assert_eq!(said(&file), ["4 foo - Open Normal if patch.crates-io", "6 bar - Exact Normal if replace"]);
    }

    #[test]
    fn what_is_no_dependency_is_said_with_its_line() {
        let file =
            read("[package]\nname = \"x\"\n[dependencies]\na = 1\nb = \"1\"\n[target]\nx = { dependencies = [] }\n");
        assert_eq!(said(&file), ["5 b 1 Bounded Normal"]);
        let faults: Vec<_> = file.faults.iter().map(|fault| (fault.line, &*fault.message, fault.whole)).collect();
        assert_eq!(
            faults,
            [
                (Some(4), "the dependency `a` should be a version or a table and is a number", false),
                (Some(7), "`dependencies` should be a table and is a list", false),
            ]
        );
        let file = read("[package\nname = 1");
        assert_eq!((file.faults.len(), file.faults[0].line, file.faults[0].whole), (1, Some(1), true));
        assert_eq!(file.manifest, None);
    }

    #[test]
    fn nothing_that_stands_there_ends_the_reader() {
        let text = "[workspace]\nmembers=[\"a\"]\n[target.x.dependencies]\na={workspace=true}\n[patch.y]\nb=\"1\"\n";
        super::super::super::testing::mangled(text, |text| {
            read(text);
        });
    }
}
