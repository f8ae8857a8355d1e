//! The project's files, as edits may touch them: from an open folder, step by step, through no link.
//!
//! Each call walks anew from the project's folder, one name at a time, each opened by the handle of the one before and
//! never as a link. So a folder that is swapped for a link between a look and a write is noticed and not followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path};

use convoke_runtime::journal::{FileContent, Rights};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, fsync, mkdirat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::Problem;

/// The largest file that an edit touches, in bytes.
pub(super) const LARGEST: u64 = 16 << 20;

/// The longest path, in bytes; Linux' own limit.
const PATH_BYTES: usize = 4096;

/// How folders are opened: as what they are.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The project's folder, open.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// Device and number of folders in which nothing is touched.
    never: Vec<(u64, u64)>,
}

/// A folder of the project, open, and the name of a file in it.
struct Spot<'a> {
    folder: OwnedFd,
    name: &'a OsStr,
}

impl Tree {
    /// Opens it. Nothing is ever touched in the folders `never`, which need not exist.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(root: &Path, never: &[&Path]) -> io::Result<Self> {
        let root = rustix::fs::open(root, FOLDER, Mode::empty())?;
        let never = never.iter().filter_map(|folder| rustix::fs::stat(*folder).ok());
        Ok(Self { root, never: never.map(|stat| identity(&stat)).collect() })
    }

    /// What is there: a file that may be edited, or none.
    ///
    /// # Errors
    /// What is never touched is refused; what the system says is a failure.
    pub(super) fn look(&self, path: &str) -> Result<Option<FileContent>, Problem> {
        let Some(spot) = self.walk(path)? else { return Ok(None) };
        let stat = match statat(&spot.folder, spot.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed("it can't be looked at", error)),
            Ok(stat) => stat,
        };
        // Before it is opened: to open a device or a pipe may already do something.
        editable(&stat)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            openat(&spot.folder, spot.name, flags, Mode::empty()).map_err(|error| failed("it can't be read", error))?;
        let stat = fstat(&file).map_err(|error| failed("it can't be looked at", error))?;
        editable(&stat)?;
        let mut bytes = Vec::new();
        File::from(file)
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed("it can't be read", error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Problem::Refused(format!("it is larger than {} MB", LARGEST >> 20)));
        }
        Ok(Some(FileContent { bytes, rights: Some(rights(&stat)) }))
    }

    /// The folders on the way to a file that are not there, the outer ones first.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub(super) fn missing_folders(&self, path: &str) -> Result<Vec<String>, Problem> {
        let parts = parts(path)?;
        let mut missing = Vec::new();
        for (depth, (at, _)) in path.match_indices('/').enumerate() {
            if self.enter(&parts[..=depth])?.is_none() {
                missing.push(path[..at].to_owned());
            }
        }
        Ok(missing)
    }

    /// Makes a folder; one that is there is left.
    pub(super) fn make_folder(&self, path: &str) -> Result<(), Problem> {
        let spot = self.walk(path)?.ok_or_else(gone)?;
        match mkdirat(&spot.folder, spot.name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(failed("its folder can't be made", error)),
        }
    }

    /// Removes a folder, if it is there and empty.
    pub(super) fn remove_folder(&self, path: &str) -> Result<(), Problem> {
        let Some(spot) = self.walk(path)? else { return Ok(()) };
        match unlinkat(&spot.folder, spot.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(failed("its folder can't be removed", error)),
        }
    }

    /// Writes a new file beside another one, to the disk; what has that name already is removed.
    pub(super) fn write_beside(&self, path: &str, name: &str, content: &FileContent) -> Result<(), Problem> {
        let cant = |error: io::Error| failed("it can't be written", error);
        let spot = self.walk(path)?.ok_or_else(gone)?;
        self.remove(&spot.folder, OsStr::new(name))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // A copy of a private file is as private from its first byte on.
        let mode = if content.rights.is_some() { 0o600 } else { 0o666 };
        let fd = openat(&spot.folder, name, flags, Mode::from_raw_mode(mode)).map_err(|error| cant(error.into()))?;
        let mut file = File::from(fd);
        file.write_all(&content.bytes).map_err(cant)?;
        if let Some(wanted) = content.rights {
            let has = rights(&fstat(&file).map_err(|error| cant(error.into()))?);
            if (has.owner, has.group) != (wanted.owner, wanted.group) {
                let (owner, group) = (Uid::from_raw(wanted.owner), Gid::from_raw(wanted.group));
                let kept = fchown(&file, Some(owner), Some(group));
                kept.map_err(|error| failed("it can't be given back to its owner and group", error))?;
            }
            fchmod(&file, Mode::from_raw_mode(wanted.mode)).map_err(|error| cant(error.into()))?;
        }
        file.sync_all().map_err(cant)
    }

    /// Whether a file that was written beside another one is there, whole.
    pub(super) fn has_beside(&self, path: &str, name: &str, content: &FileContent) -> bool {
        let beside = sibling(path, name);
        self.look(&beside).is_ok_and(|found| found.is_some_and(|found| found.bytes == content.bytes))
    }

    /// Removes a file that was written beside another one, if it is there.
    pub(super) fn remove_beside(&self, path: &str, name: &str) -> Result<(), Problem> {
        match self.walk(path)? {
            Some(spot) => self.remove(&spot.folder, OsStr::new(name)),
            None => Ok(()),
        }
    }

    /// Puts a file that was written beside another one into its place; `new`: where nothing may be yet.
    pub(super) fn place(&self, name: &str, path: &str, new: bool) -> Result<(), Problem> {
        let spot = self.walk(path)?.ok_or_else(gone)?;
        let placed = if new {
            match renameat_with(&spot.folder, name, &spot.folder, spot.name, RenameFlags::NOREPLACE) {
                // The file system can't do that: it has been looked a moment ago.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    renameat(&spot.folder, name, &spot.folder, spot.name)
                }
                placed => placed,
            }
        } else {
            renameat(&spot.folder, name, &spot.folder, spot.name)
        };
        placed.map_err(|error| failed("it can't be put in its place", error))
    }

    /// Removes a file.
    pub(super) fn delete(&self, path: &str) -> Result<(), Problem> {
        let spot = self.walk(path)?.ok_or_else(gone)?;
        unlinkat(&spot.folder, spot.name, AtFlags::empty()).map_err(|error| failed("it can't be removed", error))
    }

    /// Brings what has changed in the folder of a file to the disk.
    pub(super) fn sync_folder_of(&self, path: &str) -> Result<(), Problem> {
        match self.walk(path)? {
            Some(spot) => fsync(spot.folder.as_fd()).map_err(|error| failed("it can't be brought to the disk", error)),
            None => Ok(()),
        }
    }

    fn remove(&self, folder: &OwnedFd, name: &OsStr) -> Result<(), Problem> {
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("what was written beside it can't be removed", error)),
        }
    }

    /// Opens the folder of a file; none where it is not there.
    fn walk<'a>(&self, path: &'a str) -> Result<Option<Spot<'a>>, Problem> {
        let mut parts = parts(path)?;
        let name = parts.pop().ok_or_else(|| Problem::Refused("it has no name".to_owned()))?;
        Ok(self.enter(&parts)?.map(|folder| Spot { folder, name }))
    }

    /// Opens the folder at the end of these names; none where it is not there.
    fn enter(&self, parts: &[&OsStr]) -> Result<Option<OwnedFd>, Problem> {
        let mut folder = self.root.try_clone().map_err(|error| failed("the project can't be opened", error))?;
        self.not_ours(&folder)?;
        for part in parts {
            folder = match openat(&folder, *part, FOLDER, Mode::empty()) {
                Ok(inner) => inner,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(blocked(&folder, part, error)),
            };
            self.not_ours(&folder)?;
        }
        Ok(Some(folder))
    }

    fn not_ours(&self, folder: &OwnedFd) -> Result<(), Problem> {
        let stat = fstat(folder).map_err(|error| failed("its folder can't be looked at", error))?;
        if self.never.contains(&identity(&stat)) {
            return Err(Problem::Refused("it lies in a folder of convoke's own".to_owned()));
        }
        Ok(())
    }
}

/// The names of a path, if it is one inside of the project that an edit may have.
pub(super) fn parts(path: &str) -> Result<Vec<&OsStr>, Problem> {
    let refused = |why: &str| Err(Problem::Refused(why.to_owned()));
    if path.len() > PATH_BYTES {
        return refused("its path is longer than 4096 bytes");
    }
    if path.chars().any(char::is_control) {
        return refused("its path has a line end or another control character in it");
    }
    if path.is_empty() || path.ends_with('/') || path.contains("//") {
        return refused("its path names no file");
    }
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) if is_git(name) => return refused("it belongs to git"),
            Component::Normal(name) => parts.push(name),
            _ => return refused("it is not inside of the project"),
        }
    }
    Ok(parts)
}

/// Whether a name is `.git`, or one that some file system takes for it: in another case, with invisible characters, as
/// the short name of Windows, with its stream.
fn is_git(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return true };
    let name: String = name.chars().filter(|character| !is_ignored(*character)).collect();
    let name = name.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']).to_lowercase();
    name == ".git" || name == "git~1"
}

/// Characters that HFS+ leaves out when it compares names.
fn is_ignored(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// The path of another name in the same folder.
fn sibling(path: &str, name: &str) -> String {
    match path.rfind('/') {
        Some(at) => format!("{}/{name}", &path[..at]),
        None => name.to_owned(),
    }
}

/// Whether what stands there is a file that an edit may touch.
fn editable(stat: &Stat) -> Result<(), Problem> {
    let refused = |why: String| Err(Problem::Refused(why));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return refused("it is a link, and edits go through none".to_owned()),
        FileType::Directory => return refused("it is a folder".to_owned()),
        _ => return refused("it is neither a file nor a folder".to_owned()),
    }
    if stat.st_nlink > 1 {
        let names = stat.st_nlink;
        return refused(format!("it has {names} names (hard links): the others would keep the old text"));
    }
    if stat.st_mode & 0o200 == 0 {
        return refused("it is read-only".to_owned());
    }
    let me = rustix::process::geteuid();
    if !me.is_root() && me.as_raw() != stat.st_uid {
        return refused("it belongs to another user".to_owned());
    }
    Ok(())
}

/// Why the way to a file goes no further.
fn blocked(folder: &OwnedFd, part: &OsStr, error: Errno) -> Problem {
    match statat(folder, part, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Symlink) => {
            Problem::Refused(format!("{} is a link, and edits go through none", part.to_string_lossy()))
        }
        Ok(FileType::Directory) | Err(_) => failed("its folder can't be opened", error),
        Ok(_) => Problem::Refused(format!("{} is not a folder", part.to_string_lossy())),
    }
}

fn gone() -> Problem {
    Problem::Failed("its folder is not there any more".to_owned())
}

fn failed(what: &str, error: impl Into<io::Error>) -> Problem {
    Problem::Failed(format!("{what}: {}", error.into()))
}

fn rights(stat: &Stat) -> Rights {
    Rights { mode: stat.st_mode & 0o7777, owner: stat.st_uid, group: stat.st_gid }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}
