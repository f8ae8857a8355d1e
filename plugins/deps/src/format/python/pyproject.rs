//! `pyproject.toml`: the project's own table (PEP 621), dependency groups (PEP 735), what builds it (PEP 518), and what
//! poetry, uv, pdm, hatch, rye and setuptools add in tables of their own.

use convoke_sdk::small::Map;

use super::{normal_name, pep508, poetry};
use crate::format::reading::without_credentials;
use crate::format::registry::is_default;
use crate::format::toml;
use crate::format::tree::{Node, Value, bounded, list_of, table_of, unfit};
use crate::model::{Ecosystem, Fault, File, Include, Manager, Manifest, Origin, Requirement, Scope, Texts, beside};

/// Reads a `pyproject.toml`. One that only holds settings of tools is no manifest.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "pyproject.toml");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let mut reader = Reader { path, requirements: Vec::new(), includes: Vec::new(), faults: Vec::new() };
    reader.read(&root);
    let project = root.get("project").or_else(|| root.at(&["tool", "poetry"]));
    let own = |key: &str| project.and_then(|project| project.text_of(key)).map(str::to_owned);
    let manifest = Manifest {
        name: own("name").map(|name| normal_name(&name)),
        version: own("version"),
        // A table names a file or holds the text; only text is an expression (PEP 639).
        license: own("license").or_else(|| root.at(&["project", "license", "text"])?.text().map(str::to_owned)),
        members: members(&root, &mut reader.faults),
        requirements: reader.requirements,
        includes: reader.includes,
        scripts: Vec::new(),
    };
    bounded(&mut reader.faults);
    file.faults = reader.faults;
    let is_manifest = ["project", "build-system", "dependency-groups"].iter().any(|key| root.get(key).is_some())
        || root.at(&["tool", "poetry"]).is_some()
        || !manifest.requirements.is_empty()
        || !manifest.members.is_empty();
    file.manifest = is_manifest.then_some(manifest);
    file
}

/// The members of uv's workspace; what it leaves out begins with `!`.
fn members(root: &Node<'_>, faults: &mut Vec<Fault>) -> Vec<String> {
    let Some(workspace) = root.at(&["tool", "uv", "workspace"]) else { return Vec::new() };
    let mut members = Vec::new();
    for (key, sign) in [("members", ""), ("exclude", "!")] {
        let globs = list_of(workspace, key, faults);
        members.extend(globs.iter().filter_map(Node::text).map(|glob| format!("{sign}{glob}")));
    }
    members
}

struct Reader<'r> {
    path: &'r str,
    requirements: Vec<Requirement>,
    includes: Vec<Include>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn read(&mut self, root: &Node<'_>) {
        if let Some(project) = root.get("project") {
            self.listed(project, "dependencies", Scope::Normal);
            self.groups(project, "optional-dependencies", Scope::Optional, None);
        }
        self.groups(root, "dependency-groups", Scope::Dev, root.get("dependency-groups"));
        if let Some(build) = root.get("build-system") {
            self.listed(build, "requires", Scope::Build);
        }
        let Some(tool) = root.get("tool") else {
            self.dynamic(root);
            return;
        };
        if let Some(poetry) = tool.get("poetry") {
            let asked = poetry::requirements(poetry, &mut self.faults);
            self.join(asked);
        }
        for (tool, key) in [("uv", "dev-dependencies"), ("rye", "dev-dependencies")] {
            if let Some(tool) = root.at(&["tool", tool]) {
                self.listed(tool, key, Scope::Dev);
            }
        }
        if let Some(pdm) = tool.get("pdm") {
            self.groups(pdm, "dev-dependencies", Scope::Dev, None);
        }
        if let Some(hatch) = tool.get("hatch") {
            for environment in table_of(hatch, "envs", &mut self.faults).iter().map(|entry| &entry.value) {
                self.listed(environment, "dependencies", Scope::Dev);
                self.listed(environment, "extra-dependencies", Scope::Dev);
            }
        }
        self.dynamic(root);
        if let Some(uv) = tool.get("uv") {
            self.sources(uv);
        }
    }

    /// A list of requirements.
    fn listed(&mut self, node: &Node<'_>, key: &str, scope: Scope) {
        for entry in list_of(node, key, &mut self.faults) {
            self.entry(entry, scope);
        }
    }

    fn entry(&mut self, entry: &Node<'_>, scope: Scope) {
        let Some(text) = entry.text() else {
            self.faults.push(unfit("a requirement", "text", entry));
            return;
        };
        match pep508::parse(text) {
            Ok(asked) => self.requirements.push(asked.requirement(scope, entry.line)),
            Err(message) => self.faults.push(Fault::new(Some(entry.line), &message, false)),
        }
    }

    /// Lists of requirements by name. Where they may include each other, `all` is the table of them.
    fn groups(&mut self, node: &Node<'_>, key: &str, scope: Scope, all: Option<&Node<'_>>) {
        let mut faults = Vec::new();
        for group in table_of(node, key, &mut faults) {
            let Value::List(entries) = &group.value.value else {
                faults.push(unfit(&format!("`{}`", group.key), "a list", &group.value));
                continue;
            };
            for entry in entries {
                match (all, entry.text_of("include-group")) {
                    // What is included is read where it stands.
                    (Some(all), Some(name)) => {
                        let name = normal_name(name);
                        if !all.entries().iter().any(|group| normal_name(&group.key) == name) {
                            faults.push(Fault::new(Some(entry.line), &format!("there is no group {name}"), false));
                        }
                    }
                    _ => self.entry(entry, scope),
                }
            }
        }
        self.faults.append(&mut faults);
    }

    /// What poetry asks for. Of what `[project]` asks for too it only says where that comes from.
    fn join(&mut self, asked: Vec<Requirement>) {
        let known: Map<String, usize> =
            self.requirements.iter().enumerate().map(|(place, known)| (known.name.clone(), place)).collect();
        for asked in asked {
            let known = known.get(&asked.name).and_then(|place| self.requirements.get_mut(*place));
            match known {
                Some(known) if matches!(asked.scope, Scope::Normal | Scope::Optional) => {
                    if asked.origin != Origin::Registry(None) {
                        known.origin = asked.origin;
                        known.bound = pep508::bound_with(known.range.as_deref(), &known.origin);
                    }
                }
                _ => self.requirements.push(asked),
            }
        }
    }

    /// What the project says is made when it is built: from files, which are named then, or by a program.
    fn dynamic(&mut self, root: &Node<'_>) {
        let Some(project) = root.get("project") else { return };
        for dynamic in list_of(project, "dynamic", &mut self.faults) {
            let Some(field @ ("dependencies" | "optional-dependencies")) = dynamic.text() else { continue };
            let before = self.includes.len();
            let setuptools = root.at(&["tool", "setuptools", "dynamic", field]);
            let hatch = root.at(&["tool", "hatch", "metadata", "hooks", "requirements_txt"]);
            let named: Vec<&Node<'_>> = match field {
                "dependencies" => setuptools
                    .and_then(|node| node.get("file"))
                    .into_iter()
                    .chain(hatch.and_then(|node| node.get("files")))
                    .collect(),
                _ => setuptools
                    .map(Node::entries)
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|entry| entry.value.get("file"))
                    .collect(),
            };
            for node in named {
                for file in std::iter::once(node).chain(node.list()) {
                    if let Some(name) = file.text() {
                        self.include(name, file.line);
                    }
                }
            }
            let poetry = root.at(&["tool", "poetry", "dependencies"]).is_some();
            if self.includes.len() == before && !poetry {
                let message =
                    format!("the project's {field} are made by a program when it is built, so they are not known");
                self.faults.push(Fault::new(Some(dynamic.line), &message, false));
            }
        }
    }

    fn include(&mut self, named: &str, line: u32) {
        match beside(self.path, named) {
            Some(path) => self.includes.push(Include { path, line, constraint: false }),
            None => {
                let message = format!("{named} lies outside of the project, so it was not read");
                self.faults.push(Fault::new(Some(line), &message, false));
            }
        }
    }

    /// Where uv takes packages from, whatever their requirement says.
    fn sources(&mut self, uv: &Node<'_>) {
        let mut indexes: Map<&str, &str> = Map::new();
        let mut usual = None;
        for index in list_of(uv, "index", &mut self.faults) {
            let Some(address) = index.text_of("url") else { continue };
            if let Some(name) = index.text_of("name") {
                indexes.insert(name, address);
            }
            if index.flag("default") && !is_default(Ecosystem::PyPI, address) {
                usual = Some(without_credentials(address));
            }
        }
        let mut sources: Map<String, Origin> = Map::new();
        for entry in table_of(uv, "sources", &mut self.faults) {
            // Of several, each with a marker, the first is told.
            let source = entry.value.list().first().unwrap_or(&entry.value);
            match origin_of(source, &indexes) {
                Some(origin) => {
                    sources.insert(normal_name(&entry.key), origin);
                }
                None => {
                    let message = format!("the source of {} is none that is known", entry.key);
                    self.faults.push(Fault::new(Some(entry.line), &message, false));
                }
            }
        }
        for requirement in &mut self.requirements {
            if let Some(origin) = sources.get(&requirement.name) {
                requirement.origin = origin.clone();
                requirement.bound = pep508::bound_with(requirement.range.as_deref(), origin);
            } else if requirement.origin == Origin::Registry(None) && requirement.scope != Scope::Build {
                requirement.origin = Origin::Registry(usual.clone());
            }
        }
    }
}

fn origin_of(source: &Node<'_>, indexes: &Map<&str, &str>) -> Option<Origin> {
    let text = |key: &str| source.text_of(key);
    if let Some(url) = text("git") {
        return Some(pep508::git(url, text("rev")));
    }
    if let Some(url) = text("url") {
        return Some(Origin::Url(without_credentials(url)));
    }
    if let Some(path) = text("path") {
        return Some(pep508::path_of(path));
    }
    if source.flag("workspace") {
        return Some(Origin::Workspace);
    }
    let index = text("index")?;
    let address = indexes.get(index).copied().unwrap_or(index);
    Some(Origin::Registry((!is_default(Ecosystem::PyPI, address)).then(|| without_credentials(address))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bound;

    fn parsed(text: &str) -> File {
        parse("a/pyproject.toml", text, &Texts::new())
    }

    fn shown(file: &File) -> Vec<String> {
        let one = |asked: &Requirement| {
            format!(
                "{} {} {} {:?} {:?}",
                asked.line,
                asked.name,
                asked.range.as_deref().unwrap_or("-"),
                asked.scope,
                asked.bound
            )
        };
        file.manifest.as_ref().expect("a manifest").requirements.iter().map(one).collect()
    }

    #[test]
    fn the_projects_own_table_groups_and_what_builds_it() {
        let file = parsed(
            "[build-system]\nrequires = [\"hatchling>=1.2\"]\n[project]\nname = \"My_Shop\"\nversion = \"1.0\"\nlicense = \"MIT\"\n\
             dependencies = [\n  \"requests>=2,<3\",\n  \"Rich ; os_name == 'nt'\",\n]\n[project.optional-dependencies]\nweb = [\"flask==3.0\"]\n\
             [dependency-groups]\ntest = [\"pytest\"]\ndev = [{include-group = \"Test\"}, \"ruff~=0.5\"]\n",
        );
        assert_eq!(file.faults, []);
        assert_eq!(
            shown(&file),
            [
                "8 requests >=2,<3 Normal Bounded",
                "9 rich - Normal Open",
                "12 flask ==3.0 Optional Exact",
                "14 pytest - Dev Open",
                "15 ruff ~=0.5 Dev Bounded",
                "2 hatchling >=1.2 Build Open",
            ]
        );
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(
            (manifest.name.as_deref(), manifest.version.as_deref(), manifest.license.as_deref()),
            (Some("my-shop"), Some("1.0"), Some("MIT"))
        );
        assert_eq!(manifest.requirements[1].condition.as_deref(), Some("os_name == 'nt'"));
    }

    #[test]
    fn sources_of_uv_go_before_what_the_requirement_says() {
        let commit = "a".repeat(40);
        let file = parsed(&format!(
            "[project]\nname = \"x\"\ndependencies = [\"a\", \"b>=1\", \"c\", \"d\", \"e\", \"f\"]\n[tool.uv]\ndev-dependencies = [\"g\"]\n\
             [tool.uv.sources]\na = {{ git = \"https://me:pass@git.example/a\", rev = \"{commit}\" }}\nB = {{ workspace = true }}\n\
             c = {{ path = \"../c\" }}\nd = [{{ index = \"own\", marker = \"x\" }}]\ne = {{ url = \"https://files.example/e.zip\" }}\nh = {{ nowhere = 1 }}\n\
             [[tool.uv.index]]\nname = \"own\"\nurl = \"https://registry.example/simple\"\n[[tool.uv.index]]\nurl = \"https://all.example\"\ndefault = true\n\
             [tool.uv.workspace]\nmembers = [\"packages/*\"]\nexclude = [\"packages/old\"]\n"
        ));
        assert_eq!(file.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(12)]);
        let manifest = file.manifest.expect("a manifest");
        let found: Vec<_> = manifest.requirements.iter().map(|asked| (asked.origin.clone(), asked.bound)).collect();
        let registry = |address: &str| Origin::Registry(Some(address.to_owned()));
        assert_eq!(
            found,
            [
                (Origin::Git { url: "https://git.example/a".to_owned(), commit: Some(commit) }, Bound::Exact),
                (Origin::Workspace, Bound::Open),
                (Origin::Path("../c".to_owned()), Bound::Exact),
                (registry("https://registry.example/simple"), Bound::Open),
                (Origin::Url("https://files.example/e.zip".to_owned()), Bound::Exact),
                (registry("https://all.example"), Bound::Open),
                (registry("https://all.example"), Bound::Open),
            ]
        );
        assert_eq!(manifest.members, ["packages/*", "!packages/old"]);
    }

    #[test]
    fn poetry_beside_a_project_table_only_says_where_packages_come_from() {
        let file = parsed(
            "[project]\nname = \"x\"\ndependencies = [\"a>=1\"]\n[tool.poetry.dependencies]\npython = \"^3.9\"\na = { path = \"../a\" }\nb = \"^2\"\n\
             [tool.poetry.group.dev.dependencies]\na = \"*\"\n",
        );
        assert_eq!(shown(&file), ["3 a >=1 Normal Open", "7 b ^2 Normal Bounded", "9 a * Dev Open"]);
        assert_eq!(file.manifest.expect("a manifest").requirements[0].origin, Origin::Path("../a".to_owned()));
    }

    #[test]
    fn what_is_made_when_it_is_built_is_named_or_said() {
        let head = "[project]\nname = \"x\"\ndynamic = [\"version\", \"dependencies\"]\n";
        assert_eq!(parsed(head).faults[0].line, Some(3));
        let file = parsed(&format!(
            "{head}[tool.setuptools.dynamic]\ndependencies = {{ file = [\"requirements.in\", \"/etc/x\"] }}\n"
        ));
        let includes = file.manifest.expect("a manifest").includes;
        assert_eq!(includes.iter().map(|include| include.path.as_str()).collect::<Vec<_>>(), ["a/requirements.in"]);
        assert_eq!(file.faults.len(), 1);
    }

    #[test]
    fn settings_of_tools_are_no_manifest() {
        let file = parsed("[tool.black]\nline-length = 100\n");
        assert_eq!((file.manifest, file.faults.len()), (None, 0));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = parsed(
            "[project]\ndependencies = [\n \"a b\",\n 1,\n \"c\"]\n[dependency-groups]\nx = \"y\"\nz = [{include-group = \"no\"}]\n",
        );
        assert_eq!(file.faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [3, 4, 7, 8]);
        assert_eq!(shown(&file), ["5 c - Normal Open"]);
        let broken = parsed("[project\n");
        assert_eq!((broken.manifest, broken.faults[0].whole, broken.faults[0].line), (None, true, Some(1)));
    }
}
