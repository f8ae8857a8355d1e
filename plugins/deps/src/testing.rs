//! Units for tests.

use convoke_sdk::testing::{Disk, now};

use crate::model::{Bound, File, Lock, Manager, Manifest, Origin, Package, Requirement, Scope, folder};
use crate::plan::plan;
use crate::unit::Unit;
use crate::{Arguments, Input, Job};

/// A unit of these files, in the folder of the first.
pub(crate) fn unit(files: Vec<File>) -> Unit {
    let (manager, place) = (files[0].manager, folder(&files[0].path).to_owned());
    Unit::new(manager, &place, files)
}

/// A lockfile of packages with what they need; each on its own line, with a digest.
pub(crate) fn locked(path: &str, manager: Manager, packages: &[(&str, &str, &[usize])], direct: &[usize]) -> File {
    let package = |(line, (name, version, needs)): (u32, &(&str, &str, &[usize]))| Package {
        needs: needs.to_vec(),
        hashed: true,
        ..Package::new(*name, *version, line)
    };
    let packages = (1..).zip(packages).map(package).collect();
    let lock = Lock { packages, direct: direct.to_vec(), graph: true };
    File { lock: Some(lock), ..File::new(path, manager, path) }
}

/// A manifest that asks for this.
pub(crate) fn manifest(path: &str, manager: Manager, requirements: Vec<Requirement>) -> File {
    let manifest = Manifest { requirements, ..Manifest::default() };
    File { manifest: Some(manifest), ..File::new(path, manager, path) }
}

/// Something asked for of the registry; `*` and nothing are open, what begins with `=` is exact.
pub(crate) fn asked(name: &str, range: &str, line: u32) -> Requirement {
    let bound = match range {
        "" | "*" => Bound::Open,
        range if range.starts_with(">=") && !range.contains('<') => Bound::Open,
        range if range.starts_with('=') => Bound::Exact,
        _ => Bound::Bounded,
    };
    Requirement {
        name: name.to_owned(),
        range: Some(range.to_owned()).filter(|range| !range.is_empty()),
        bound,
        origin: Origin::Registry(None),
        scope: Scope::Normal,
        line,
        condition: None,
        hashed: false,
    }
}

/// The units of a folder of real projects; none where there is none, which is said.
pub(crate) fn corpus(name: &str) -> Option<Vec<Unit>> {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        eprintln!("skipped: CONVOKE_CORPUS names no folder of real projects");
        return None;
    };
    let project = Disk::at(std::path::Path::new(&corpus).join(name));
    let work = now(plan(&project, Job::List, &Arguments::default(), &[])).unwrap();
    let planned = work.items.iter().find_map(|item| match serde_json::from_str(&item.input) {
        Ok(Input::Whole { units, .. }) => Some(units),
        _ => None,
    });
    Some(planned.unwrap().iter().map(|planned| now(planned.load(&project))).collect())
}
