//! Names and places: which file a path of a plugin means, and what a typed path is called.

use std::io;
use std::path::{Component, Path, PathBuf};

use cap_fs_ext::MetadataExt;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};

use super::error::ProjectError;
use crate::plugin::printable;

/// Longer paths are refused before they reach the operating system. Bytes; Linux' own limit.
const PATH_BYTES: usize = 4096;

/// Something outside the project that the user named on the command line, and that is therefore visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// How plugins call it: as it was typed, without `.` and doubled slashes. `../shared/data`.
    pub name: String,
    /// The folder or file itself, absolute and without links.
    pub host: PathBuf,
}

/// What a typed path is, seen from the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// How plugins call it: relative to the project's folder where it lies inside, `.` for that folder.
    pub name: String,
    /// What must be mounted so that the name works. None for what lies inside.
    pub mount: Option<Mount>,
}

/// Finds out what a path is that the user typed in the folder `cwd`.
///
/// # Errors
/// When nothing is there, it is neither a file nor a folder, its name is not UTF-8, or it is git's own.
pub fn resolve_typed_path(cwd: &Path, root: &Path, typed: &str) -> Result<Typed, ProjectError> {
    let shown = || printable(typed, 300);
    if typed.is_empty() {
        return Err(ProjectError::BadPath { path: String::new(), why: "it is empty" });
    }
    let tidy = normalise(typed)?;
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|error| ProjectError::from_io(typed, &error));
    let host = real(&cwd.join(typed))?;
    let root = real(root)?;
    let cwd = real(cwd)?;
    let not_utf8 = || ProjectError::BadPath { path: shown(), why: "its name is not UTF-8" };
    if let Ok(inside) = host.strip_prefix(&root) {
        refuse_git(inside, typed)?;
        return Ok(Typed { name: slashed(inside).ok_or_else(not_utf8)?, mount: None });
    }
    refuse_git(&host, typed)?;
    let kind = std::fs::metadata(&host).map_err(|error| ProjectError::from_io(typed, &error))?;
    if !kind.is_dir() && !kind.is_file() {
        return Err(ProjectError::NotAFile { path: shown(), what: "neither a file nor a folder" });
    }
    let is_outward = tidy == ".." || tidy.starts_with("../") || Path::new(&tidy).is_absolute();
    let name = if is_outward {
        tidy
    } else {
        // It is reached by a link: its name must not hide a file of the project that is called the same.
        match cwd.strip_prefix(&root).ok().and_then(slashed) {
            Some(folder) => join(&folder, &tidy),
            None => slashed(&host).ok_or_else(not_utf8)?,
        }
    };
    // `link/../x` is not always `x`.
    let start = if Path::new(&name).is_absolute() || is_outward { &cwd } else { &root };
    let is_same = std::fs::canonicalize(start.join(&name)).is_ok_and(|found| found == host);
    let name = if is_same { name } else { slashed(&host).ok_or_else(not_utf8)? };
    Ok(Typed { name: name.clone(), mount: Some(Mount { name, host }) })
}

/// The project's folder and what is mounted beside it.
#[derive(Debug)]
pub(super) struct Mounts {
    root: Place,
    /// Longest name first, so that the nearest one wins.
    beside: Vec<Place>,
}

/// A folder, or one file, behind an open handle: nothing outside can be reached through it.
#[derive(Debug)]
pub(super) struct Place {
    name: String,
    dir: Dir,
    /// The one file that is visible; then `dir` is the folder it lies in.
    only: Option<PathBuf>,
}

/// A path of a plugin, understood.
#[derive(Debug)]
pub(super) struct Spot<'a> {
    /// The full name, tidy: the same file has the same name, links apart.
    pub(super) name: String,
    place: &'a Place,
    /// Below the place.
    rest: PathBuf,
}

impl Mounts {
    /// Opens all handles.
    pub(super) fn open(root: &Path, mounts: Vec<Mount>) -> Result<Self, ProjectError> {
        let mut beside: Vec<(Mount, Place)> = Vec::new();
        for mount in mounts {
            let name = normalise(&mount.name)?;
            if let Some((known, _)) = beside.iter().find(|(known, _)| known.name == name) {
                if known.host == mount.host {
                    continue;
                }
                return Err(ProjectError::BadPath { path: printable(&name, 300), why: "two places have this name" });
            }
            let place = Place::open(name.clone(), &mount.host)?;
            beside.push((Mount { name, host: mount.host }, place));
        }
        beside.sort_by_key(|(mount, _)| std::cmp::Reverse(mount.name.len()));
        let root = Place::open_folder(".".to_owned(), root)?;
        Ok(Self { root, beside: beside.into_iter().map(|(_, place)| place).collect() })
    }

    /// Understands a path.
    pub(super) fn locate(&self, path: &str) -> Result<Spot<'_>, ProjectError> {
        let name = normalise(path)?;
        let (place, rest) = self
            .beside
            .iter()
            .find_map(|place| below(&place.name, &name).map(|rest| (place, rest)))
            .unwrap_or((&self.root, &name));
        let rest = PathBuf::from(if rest.is_empty() { "." } else { rest });
        if rest.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(ProjectError::Outside { path: printable(&name, 300) });
        }
        refuse_git(&rest, &name)?;
        if place.only.is_some() && rest != Path::new(".") {
            return Err(ProjectError::Missing { path: printable(&name, 300) });
        }
        let rest = place.only.clone().unwrap_or(rest);
        Ok(Spot { name, place, rest })
    }
}

impl Place {
    fn open(name: String, host: &Path) -> Result<Self, ProjectError> {
        let metadata = std::fs::metadata(host).map_err(|error| ProjectError::from_io(&name, &error))?;
        match (metadata.is_file(), host.parent(), host.file_name()) {
            (true, Some(folder), Some(file)) => {
                Ok(Self { only: Some(PathBuf::from(file)), ..Self::open_folder(name, folder)? })
            }
            _ => Self::open_folder(name, host),
        }
    }

    fn open_folder(name: String, host: &Path) -> Result<Self, ProjectError> {
        match Dir::open_ambient_dir(host, ambient_authority()) {
            Ok(dir) => Ok(Self { name, dir, only: None }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(ProjectError::NotAFolder { path: printable(&name, 300) })
            }
            Err(error) => Err(ProjectError::from_io(&name, &error)),
        }
    }
}

impl Spot<'_> {
    /// The handle to go through.
    pub(super) fn dir(&self) -> &Dir {
        &self.place.dir
    }

    /// The path below the handle, links not followed.
    pub(super) fn rest(&self) -> &Path {
        &self.rest
    }

    /// Where the path leads, links followed, and what stands there.
    pub(super) fn follow(&self) -> Result<(PathBuf, Metadata), ProjectError> {
        follow(&self.place.dir, &self.rest, &self.name)
    }
}

/// Where a path below a handle leads, links followed, and what stands there. Refuses what leads out or to git's own.
pub(super) fn follow(dir: &Dir, rest: &Path, name: &str) -> Result<(PathBuf, Metadata), ProjectError> {
    let metadata = dir.metadata(rest).map_err(|error| ProjectError::from_io(name, &error))?;
    let real = dir.canonicalize(rest).map_err(|error| ProjectError::from_io(name, &error))?;
    let real = if real.as_os_str().is_empty() { PathBuf::from(".") } else { real };
    refuse_git(&real, name)?;
    // `canonicalize` may stop half-way; and a link may have been turned around between the two calls.
    match dir.symlink_metadata(&real) {
        Ok(found) if (found.dev(), found.ino()) == (metadata.dev(), metadata.ino()) => Ok((real, metadata)),
        Ok(_) => Err(ProjectError::Changed { path: printable(name, 300) }),
        Err(error) => Err(ProjectError::from_io(name, &error)),
    }
}

/// `below("a", "a/b")` is `b`; none where the second is not below the first. Empty for the folder itself.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() || folder.ends_with('/') { Some(rest) } else { rest.strip_prefix('/') }
}

/// A path of a plugin below a folder of a plugin.
pub(super) fn join(folder: &str, name: &str) -> String {
    match folder {
        "." => name.to_owned(),
        folder if folder.ends_with('/') => format!("{folder}{name}"),
        folder => format!("{folder}/{name}"),
    }
}

/// A path without `.`, doubled slashes, and `..` where that takes back a name. `.` for the project's folder.
///
/// It does not look at the files: `link/../x` becomes `x`. Plugins make such paths from links in documents, where that
/// is what is meant.
pub(super) fn normalise(path: &str) -> Result<String, ProjectError> {
    let bad = |why| ProjectError::BadPath { path: printable(path, 80), why };
    if path.contains('\0') {
        return Err(bad("it contains a NUL character"));
    }
    if path.len() > PATH_BYTES {
        return Err(bad("it is longer than 4096 bytes"));
    }
    #[cfg(windows)]
    let path = &path.replace('\\', "/");
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    Ok(match (is_absolute, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    })
}

/// A path with `/`, `.` for an empty one; none where it is not UTF-8.
fn slashed(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let text = if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
    Some(if text.is_empty() { ".".to_owned() } else { text })
}

/// Whether a name is git's. Any case: some file systems don't tell them apart.
/// The path of a file that a plugin may propose to change: inside the project, and not git's own.
///
/// # Errors
/// When it is not.
pub fn editable(path: &str) -> Result<String, ProjectError> {
    let tidy = normalise(path)?;
    refuse_git(Path::new(&tidy), path)?;
    let inside = Path::new(&tidy).components().all(|part| matches!(part, Component::Normal(_)));
    if inside && tidy != "." { Ok(tidy) } else { Err(ProjectError::Outside { path: printable(path, 300) }) }
}

pub(super) fn is_git(name: &std::ffi::OsStr) -> bool {
    name.eq_ignore_ascii_case(".git")
}

fn refuse_git(path: &Path, shown: &str) -> Result<(), ProjectError> {
    if path.iter().any(is_git) { Err(ProjectError::Git { path: printable(shown, 300) }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_project_can_be_edited() {
        for (path, tidy) in [("a.md", "a.md"), ("./a//b.md", "a/b.md"), ("a/../b.md", "b.md")] {
            assert_eq!(editable(path).as_deref(), Ok(tidy));
        }
        for path in ["", ".", "..", "../a", "a/../../b", "/etc/passwd", ".git/config", "sub/.GIT/hooks/x", "a\0b"] {
            assert!(editable(path).is_err(), "{path:?}");
        }
    }

    fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let all = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(all.path()).unwrap();
        for folder in ["project/sub", "project/.git", "shared/data"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::fs::write(top.join("project/sub/a.md"), "a").unwrap();
        std::fs::write(top.join("shared/data/b.md"), "b").unwrap();
        let root = top.join("project");
        (all, top, root)
    }

    #[test]
    fn paths_are_tidied() {
        for (typed, tidy) in [
            ("", "."),
            (".", "."),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("a/..", "."),
            ("a/../../b", "../b"),
            ("../../x/./y", "../../x/y"),
            ("/a/../../b", "/b"),
            ("/", "/"),
        ] {
            assert_eq!(normalise(typed).unwrap(), tidy, "{typed}");
        }
        assert!(matches!(normalise("a\0b"), Err(ProjectError::BadPath { .. })));
        assert!(matches!(normalise(&"x/".repeat(4000)), Err(ProjectError::BadPath { .. })));
    }

    #[test]
    fn a_typed_path_inside_is_called_from_the_projects_folder() {
        let (_all, _, root) = folder();
        let name = |cwd: &Path, typed: &str| {
            let typed = resolve_typed_path(cwd, &root, typed).unwrap();
            assert_eq!(typed.mount, None);
            typed.name
        };
        assert_eq!(name(&root, "sub/a.md"), "sub/a.md");
        assert_eq!(name(&root.join("sub"), "a.md"), "sub/a.md");
        assert_eq!(name(&root.join("sub"), "../sub/"), "sub");
        assert_eq!(name(&root.join("sub"), ".."), ".");
        assert_eq!(name(&root, root.join("sub").to_str().unwrap()), "sub");
    }

    #[test]
    fn a_typed_path_outside_keeps_the_name_it_was_typed_by() {
        let (_all, top, root) = folder();
        let typed = resolve_typed_path(&root, &root, ".././shared//data/").unwrap();
        assert_eq!(typed.name, "../shared/data");
        assert_eq!(typed.mount, Some(Mount { name: "../shared/data".to_owned(), host: top.join("shared/data") }));
        let absolute = top.join("shared/data/b.md");
        let typed = resolve_typed_path(&root, &root, absolute.to_str().unwrap()).unwrap();
        assert_eq!(typed.mount.unwrap().host, absolute);
    }

    #[test]
    fn a_typed_path_to_nothing_or_to_git_is_refused() {
        let (_all, _, root) = folder();
        let refused = |typed: &str| resolve_typed_path(&root, &root, typed).unwrap_err();
        assert!(matches!(refused("nothing"), ProjectError::Missing { .. }));
        assert!(matches!(refused(".git"), ProjectError::Git { .. }));
        assert!(matches!(refused(""), ProjectError::BadPath { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn a_typed_link_that_leads_out_is_mounted_without_hiding_a_file() {
        let (_all, top, root) = folder();
        std::os::unix::fs::symlink(top.join("shared/data"), root.join("sub/link")).unwrap();
        let typed = resolve_typed_path(&root.join("sub"), &root, "link").unwrap();
        assert_eq!(typed.name, "sub/link");
        assert_eq!(typed.mount.unwrap().host, top.join("shared/data"));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_means_another_folder_once_tidied_is_not_used() {
        let (_all, top, root) = folder();
        std::fs::create_dir_all(top.join("far/away")).unwrap();
        std::fs::create_dir_all(top.join("far/data")).unwrap();
        std::os::unix::fs::symlink(top.join("far/away"), top.join("away")).unwrap();
        let typed = resolve_typed_path(&root, &root, "../away/../data").unwrap();
        assert_eq!(typed.mount.unwrap().host, top.join("far/data"));
        assert_eq!(typed.name, top.join("far/data").to_str().unwrap());
    }

    #[test]
    fn the_nearest_mount_wins_and_its_siblings_stay_outside() {
        let (_all, top, root) = folder();
        let mounts = vec![
            Mount { name: "../shared".to_owned(), host: top.join("shared") },
            Mount { name: "../shared/data/b.md".to_owned(), host: top.join("shared/data/b.md") },
        ];
        let mounts = Mounts::open(&root, mounts).unwrap();
        assert_eq!(mounts.locate("../shared/data/b.md").unwrap().rest(), Path::new("b.md"));
        assert_eq!(mounts.locate("../shared/data/c.md").unwrap().rest(), Path::new("data/c.md"));
        for outside in ["../other", "../sharedx", "..", "/etc/passwd", "../shared/../../x"] {
            assert!(matches!(mounts.locate(outside), Err(ProjectError::Outside { .. })), "{outside}");
        }
        assert!(matches!(mounts.locate("../shared/data/b.md/x"), Err(ProjectError::Missing { .. })));
        assert!(matches!(mounts.locate("sub/.git/config"), Err(ProjectError::Git { .. })));
        assert!(matches!(mounts.locate(".GIT"), Err(ProjectError::Git { .. })));
    }

    #[test]
    fn two_places_of_one_name_are_refused() {
        let (_all, top, root) = folder();
        let mount = |host: &str| Mount { name: "../x".to_owned(), host: top.join(host) };
        assert!(Mounts::open(&root, vec![mount("shared"), mount("shared")]).is_ok());
        assert!(Mounts::open(&root, vec![mount("shared"), mount("shared/data")]).is_err());
    }
}
