//! The project capability on real files: what it gives ([`listing`], [`reading`], [`searching`]), what it remembers
//! ([`recording`]) and what it refuses ([`attacks`]).

mod attacks;
mod listing;
mod reading;
mod recording;
mod searching;
mod taping;

use std::path::{Path, PathBuf};

use super::*;

/// A project in a folder of its own, with room beside it.
struct Ground {
    _all: tempfile::TempDir,
    top: PathBuf,
}

impl Ground {
    fn new(files: &[(&str, &str)]) -> Self {
        let all = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(all.path()).unwrap();
        std::fs::create_dir(top.join("project")).unwrap();
        let ground = Self { _all: all, top };
        for (path, text) in files {
            ground.write(path, text);
        }
        ground
    }

    fn root(&self) -> PathBuf {
        self.top.join("project")
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[cfg(unix)]
    fn link(&self, path: &str, target: impl AsRef<Path>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    fn open(&self) -> Project {
        self.open_with(Limits::default())
    }

    fn open_with(&self, limits: Limits) -> Project {
        Project::open(&self.root(), Vec::new(), limits).unwrap()
    }

    fn open_with_mounts(&self, mounts: &[(&str, &str)]) -> Project {
        let mounts =
            mounts.iter().map(|(name, host)| Mount { name: (*name).to_owned(), host: self.top.join(host) }).collect();
        Project::open(&self.root(), mounts, Limits::default()).unwrap()
    }
}

fn under(folder: &str) -> Query {
    Query { under: folder.to_owned(), ..Query::default() }
}

fn globs(include: &[&str], exclude: &[&str]) -> Query {
    let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
    Query { include: owned(include), exclude: owned(exclude), ..Query::default() }
}

async fn paths(project: &Project, query: &Query) -> Vec<String> {
    let listing = project.list(None, query).await.unwrap();
    listing.entries.iter().map(|entry| entry.path.clone()).collect()
}

async fn text(project: &Project, path: &str) -> String {
    String::from_utf8(project.read(None, path).await.unwrap().to_vec()).unwrap()
}

/// Whether permissions mean something here: root reads everything. A test that can't test says so.
#[cfg(unix)]
fn permissions_count(ground: &Ground, test: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    ground.write(".probe", "x");
    let probe = ground.root().join(".probe");
    std::fs::set_permissions(&probe, std::fs::Permissions::from_mode(0o000)).unwrap();
    let counts = std::fs::read(&probe).is_err();
    std::fs::remove_file(&probe).unwrap();
    if !counts {
        println!("NOT TESTED: {test}: this user may read everything");
    }
    counts
}
