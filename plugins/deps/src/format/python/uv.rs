//! `uv.lock`.

use convoke_sdk::small::Set;

use super::{line_of, normal_name, pep508};
use crate::format::reading::{MOST_ENTRIES, Named, Places, too_many, without_credentials};
use crate::format::registry::is_default;
use crate::format::toml;
use crate::format::tree::{Node, bounded, list_of, table_of};
use crate::model::{Ecosystem, Fault, File, Manager, Origin, Package, Scope, Texts};

/// Reads a `uv.lock`. What the project asks for is what the members of its workspace need; they stand in it too.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Python, "uv.lock");
    let root = match toml::read(text) {
        Ok(document) => document.root,
        Err(broken) => return broken.of(file),
    };
    let version = root.get("version");
    match version.and_then(Node::scalar) {
        Some("1") => "uv.lock v1".clone_into(&mut file.format),
        Some(other) => {
            let line = version.map(|node| node.line);
            return file.broken(line, &format!("the lock version {other} is not known; 1 is"));
        }
        None => return file.broken(None, "it has no version, which every uv.lock has"),
    }
    let mut faults = Vec::new();
    let packages = list_of(&root, "package", &mut faults);
    if packages.len() > MOST_ENTRIES {
        return too_many(file);
    }
    let members = root.at(&["manifest", "members"]).map(Node::list).unwrap_or_default();
    let mut reader = Reader {
        members: members.iter().filter_map(Node::text).map(normal_name).collect(),
        named: Named::default(),
        own: Vec::new(),
        asked: asked(&root),
        run: Vec::new(),
        optional: Vec::new(),
        faults,
    };
    for package in packages {
        reader.package(package);
    }
    let Reader { named, own, asked, run, optional, mut faults, .. } = reader;
    bounded(&mut faults);
    file.faults = faults;
    let mut lock = named.lock(true);
    let own: Set<usize> = own.into_iter().collect();
    let of_members = own.iter().filter_map(|place| lock.packages.get(*place)).flat_map(|member| &member.needs);
    let direct: Set<usize> = of_members.copied().filter(|place| !own.contains(place)).collect();
    // Without members the file says itself what was asked for.
    let places = Places::of(&lock.packages);
    let direct =
        if own.is_empty() { asked.iter().flat_map(|name| places.named(name)).copied().collect() } else { direct };
    let meant = |needs: Vec<Need>| {
        let found = needs.iter().flat_map(|(name, version)| places.meant(&lock.packages, name, version.as_deref()));
        found.collect::<Vec<usize>>()
    };
    let (run, optional) = (meant(run), meant(optional));
    if !own.is_empty() {
        scopes(&mut lock.packages, &own, run, optional);
    }
    lock.direct = direct.into_iter().collect();
    file.lock = Some(lock);
    file
}

/// A package by its name, and its version where only one of several is meant.
type Need = (String, Option<String>);

struct Reader {
    members: Set<String>,
    named: Named,
    /// The members.
    own: Vec<usize>,
    /// What a script asks for.
    asked: Set<String>,
    /// What members need to run, and what they need if somebody wants it.
    run: Vec<Need>,
    optional: Vec<Need>,
    faults: Vec<Fault>,
}

/// What the lockfile of a script, which has no members, says that it asks for.
fn asked(root: &Node<'_>) -> Set<String> {
    let asked = root.at(&["manifest", "requirements"]).map(Node::list).unwrap_or_default();
    asked.iter().filter_map(|asked| asked.text_of("name")).map(normal_name).collect()
}

impl Reader {
    fn package(&mut self, package: &Node<'_>) {
        let line = line_of(package);
        let Some(name) = package.text_of("name").map(normal_name) else {
            self.faults.push(Fault::new(Some(line), "a package without a name", false));
            return;
        };
        let place = self.named.packages.len();
        let source = package.get("source").map_or(Origin::Registry(None), origin_of);
        let is_own = matches!(&source, Origin::Path(path) if path == "." || self.members.contains(&name));
        self.needs(package, place, is_own);
        if is_own {
            self.own.push(place);
        }
        // The version of a member may be made when it is built, and then stands nowhere.
        let version = package.text_of("version").unwrap_or_default();
        if version.is_empty() && !matches!(source, Origin::Path(_)) {
            self.faults.push(Fault::new(Some(line), &format!("{name} has no version"), false));
        }
        self.named.packages.push(Package {
            origin: if is_own { Origin::Workspace } else { source },
            hashed: is_hashed(package),
            ..Package::new(name, version, line)
        });
    }

    fn needs(&mut self, package: &Node<'_>, place: usize, is_own: bool) {
        let mut need = |nodes: &[Node<'_>], wanted: Option<&mut Vec<Need>>| {
            let found = nodes.iter().filter_map(|need| {
                Some((normal_name(need.text_of("name")?), need.text_of("version").map(str::to_owned)))
            });
            let found: Vec<Need> = found.collect();
            if let Some(wanted) = wanted.filter(|_| is_own) {
                wanted.extend(found.iter().cloned());
            }
            self.named.needs.extend(found.into_iter().map(|(name, version)| (place, name, version)));
        };
        need(list_of(package, "dependencies", &mut self.faults), Some(&mut self.run));
        for extra in table_of(package, "optional-dependencies", &mut self.faults) {
            need(extra.value.list(), Some(&mut self.optional));
        }
        for group in table_of(package, "dev-dependencies", &mut self.faults) {
            need(group.value.list(), None);
        }
    }
}

/// What members need to run is that, and all that it needs; then what somebody may want; the rest is for development.
fn scopes(packages: &mut [Package], own: &Set<usize>, run: Vec<usize>, optional: Vec<usize>) {
    let mut scopes = vec![Scope::Dev; packages.len()];
    for place in own {
        if let Some(scope) = scopes.get_mut(*place) {
            *scope = Scope::Normal;
        }
    }
    for (scope, mut next) in [(Scope::Normal, run), (Scope::Optional, optional)] {
        while let Some(place) = next.pop() {
            if let Some(of_place) = scopes.get_mut(place).filter(|scope| **scope == Scope::Dev) {
                *of_place = scope;
                next.extend(packages.get(place).map(|package| package.needs.as_slice()).unwrap_or_default());
            }
        }
    }
    for (package, scope) in packages.iter_mut().zip(scopes) {
        package.scope = scope;
    }
}

fn origin_of(source: &Node<'_>) -> Origin {
    if let Some(address) = source.text_of("registry") {
        return Origin::Registry((!is_default(Ecosystem::PyPI, address)).then(|| without_credentials(address)));
    }
    if let Some(address) = source.text_of("git") {
        // The commit stands behind `#`, what was asked for behind `?`.
        let (url, commit) = address.split_once('#').unwrap_or((address, ""));
        let url = url.split('?').next().unwrap_or(url);
        return pep508::git(url, Some(commit));
    }
    if let Some(address) = source.text_of("url") {
        return Origin::Url(without_credentials(address));
    }
    let path = ["path", "directory", "editable", "virtual"].iter().find_map(|key| source.text_of(key));
    path.map_or(Origin::Registry(None), |path| Origin::Path(path.to_owned()))
}

/// Whether each of the package's archives has a digest.
fn is_hashed(package: &Node<'_>) -> bool {
    let wheels = package.get("wheels").map(Node::list).unwrap_or_default();
    let mut archives = package.get("sdist").into_iter().chain(wheels).peekable();
    archives.peek().is_some() && archives.all(|archive| archive.text_of("hash").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::registry::with_default;

    const TEXT: &str = "version = 1\nrevision = 3\n\n[manifest]\nmembers = [\"shop\", \"lib\"]\n\n\
        [[package]]\nname = \"shop\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"lib\" }, { name = \"a\" }]\n\
        [package.optional-dependencies]\nweb = [{ name = \"b\", version = \"2.0\" }]\n[package.dev-dependencies]\ndev = [{ name = \"c\" }]\n\n\
        [[package]]\nname = \"lib\"\nsource = { editable = \"lib\" }\n\n\
        [[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = { registry = \"https://registry.default/simple\" }\ndependencies = [{ name = \"d\" }]\n\
        sdist = { url = \"x\", hash = \"sha256:0\" }\nwheels = [{ url = \"y\", hash = \"sha256:1\" }]\n\n\
        [[package]]\nname = \"b\"\nversion = \"1.0\"\nsource = { registry = \"https://registry.example/simple\" }\n\n\
        [[package]]\nname = \"b\"\nversion = \"2.0\"\nsource = { registry = \"https://registry.example/simple\" }\nwheels = [{ url = \"z\" }]\n\n\
        [[package]]\nname = \"c\"\nversion = \"1.0\"\nsource = { git = \"https://git.example/c?rev=main#0123456789012345678901234567890123456789\" }\n\n\
        [[package]]\nname = \"D\"\nversion = \"1.0\"\nsource = { url = \"https://files.example/d.zip\" }\n";

    fn parsed(text: &str) -> File {
        parse("uv.lock", &with_default(Ecosystem::PyPI, text), &Texts::new())
    }

    #[test]
    fn what_members_need_is_what_the_project_asks_for() {
        let file = parsed(TEXT);
        assert_eq!((file.faults.len(), file.format.as_str()), (0, "uv.lock v1"));
        let lock = file.lock.expect("a lock");
        let shown: Vec<_> = lock
            .packages
            .iter()
            .map(|one| format!("{} {} {:?} {:?} {}", one.line, one.name, one.needs, one.scope, one.hashed))
            .collect();
        assert_eq!(
            shown,
            [
                "8 shop [1, 2, 4, 5] Normal false",
                "18 lib [] Normal false",
                "22 a [6] Normal true",
                "30 b [] Dev false",
                "35 b [] Optional false",
                "41 c [] Dev false",
                "46 d [] Normal false",
            ]
        );
        assert_eq!(lock.direct, [2, 4, 5]);
        assert_eq!((&lock.packages[0].origin, &lock.packages[1].origin), (&Origin::Workspace, &Origin::Workspace));
        assert_eq!(lock.packages[2].origin, Origin::Registry(None));
        let commit = Some("0123456789".repeat(4));
        assert_eq!(lock.packages[5].origin, Origin::Git { url: "https://git.example/c".to_owned(), commit });
    }

    #[test]
    fn the_lockfile_of_a_script_says_what_it_asks_for() {
        let text = "version = 1\n[manifest]\nrequirements = [{ name = \"A\" }]\n[[package]]\nname = \"a\"\nversion = \"1\"\n\
                    dependencies = [{ name = \"b\" }]\n[[package]]\nname = \"b\"\nversion = \"1\"\n";
        let lock = parsed(text).lock.expect("a lock");
        assert_eq!((lock.direct.as_slice(), lock.packages[1].scope), ([0].as_slice(), Scope::Normal));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = parsed(&TEXT.replace("version = 1\n", "version = 2\n"));
        assert_eq!((file.lock, file.faults[0].whole, file.faults[0].line), (None, true, Some(1)));
        assert!(parsed("").faults[0].whole);
        let file = parsed(
            "version = 1\n[[package]]\nversion = \"1\"\n[[package]]\nname = \"a\"\n[[package]]\nname = \"b\"\nversion = \"1\"\n",
        );
        assert_eq!(file.faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [2, 5]);
        crate::format::testing::mangled(TEXT, |text| drop(parsed(text)));
    }
}
