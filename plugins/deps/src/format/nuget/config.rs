//! `packages.config`, the older list of packages: all that a project uses, each in one version. It doesn't tell which of them the
//! project asks for itself.

use crate::format::nuget::bound_of;
use crate::format::nuget::sheet::attribute;
use crate::format::xml::{Tree, children};
use crate::model::{Fault, File, Lock, Manager, Manifest, Origin, Package, Requirement, Scope, Texts};

/// Reads a list.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::NuGet, "packages.config");
    let tree = match Tree::read(text) {
        Ok(tree) => tree,
        Err(fault) => {
            file.faults.push(fault);
            return file;
        }
    };
    let root = tree.root();
    if root.tag_name().name() != "packages" {
        let message = format!("its outermost element is `{}`, not `packages`", root.tag_name().name());
        return file.broken(Some(tree.line(root)), &message);
    }
    let (mut manifest, mut lock) = (Manifest::default(), Lock::default());
    for node in children(root, "package") {
        let line = tree.line(node);
        let (Some(name), Some(version)) = (attribute(node, "id"), attribute(node, "version")) else {
            file.faults.push(Fault::new(Some(line), "a package has no id or no version, so it is left out", false));
            continue;
        };
        let is_build = attribute(node, "developmentDependency").as_deref() == Some("true");
        let scope = if is_build { Scope::Build } else { Scope::Normal };
        lock.packages.push(Package { scope, ..Package::new(&name, &version, line) });
        manifest.requirements.push(Requirement {
            name,
            bound: bound_of(&version),
            range: Some(version),
            origin: Origin::Registry(None),
            scope,
            line,
            condition: attribute(node, "targetFramework").map(|framework| format!("framework {framework}")),
            hashed: false,
        });
    }
    (file.manifest, file.lock) = (Some(manifest), Some(lock));
    file
}
