//! Contents of files, and what stands at a path.

use std::io::Read as _;
use std::path::Path;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::error::ProjectError;
use super::list::{Entry, Kind};
use super::mounts::{Spot, follow};
use crate::plugin::printable;

/// How often a file that changes while it is read is read anew.
const ATTEMPTS: u32 = 3;

/// A whole file, links followed as long as they stay inside. Blocks, but never on a pipe.
pub(super) fn load(dir: &Dir, rest: &Path, name: &str, limit: u64) -> Result<Vec<u8>, ProjectError> {
    for _ in 0..ATTEMPTS {
        match attempt(dir, rest, name, limit) {
            Err(ProjectError::Changed { .. }) => {}
            result => return result,
        }
    }
    Err(ProjectError::Changed { path: printable(name, 300) })
}

fn attempt(dir: &Dir, rest: &Path, name: &str, limit: u64) -> Result<Vec<u8>, ProjectError> {
    let failed = |error: std::io::Error| ProjectError::from_io(name, &error);
    let changed = || ProjectError::Changed { path: printable(name, 300) };
    // What is no file is not even opened: opening can do things, to a device.
    let (real, metadata) = follow(dir, rest, name)?;
    check(&metadata, name, limit)?;
    let mut options = OpenOptions::new();
    options.read(true).nonblock(true).follow(FollowSymlinks::No);
    let file = dir.open_with(&real, &options).map_err(failed)?;
    // Since then something else may have come in its place.
    let before = file.metadata().map_err(failed)?;
    check(&before, name, limit)?;
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0) + 1);
    (&file).take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    let after = file.metadata().map_err(failed)?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(ProjectError::TooLarge { path: printable(name, 300), size, limit });
    }
    if before.len() != size || after.len() != size || before.modified().ok() != after.modified().ok() {
        return Err(changed());
    }
    Ok(bytes)
}

fn check(metadata: &Metadata, name: &str, limit: u64) -> Result<(), ProjectError> {
    let path = || printable(name, 300);
    if metadata.is_dir() {
        return Err(ProjectError::NotAFile { path: path(), what: "a folder" });
    }
    if !metadata.is_file() {
        return Err(ProjectError::NotAFile { path: path(), what: "neither a file nor a folder" });
    }
    if metadata.len() > limit {
        return Err(ProjectError::TooLarge { path: path(), size: metadata.len(), limit });
    }
    Ok(())
}

/// What stands at a path. Looks through links that stay inside; one that leads nowhere or outside is a [`Kind::Link`].
/// Blocks.
pub(super) fn look(spot: &Spot<'_>) -> Result<Option<Entry>, ProjectError> {
    let entry = |kind, size| Some(Entry { path: spot.name.clone(), kind, size });
    let error = match spot.follow() {
        Ok((_, metadata)) => {
            return Ok(match (metadata.is_file(), metadata.is_dir()) {
                (true, _) => entry(Kind::File, metadata.len()),
                (_, true) => entry(Kind::Folder, 0),
                _ => entry(Kind::Other, 0),
            });
        }
        Err(error @ ProjectError::Git { .. }) => return Err(error),
        Err(error) => error,
    };
    match spot.dir().symlink_metadata(spot.rest()) {
        Ok(metadata) if metadata.is_symlink() => Ok(entry(Kind::Link, 0)),
        Ok(_) => Err(error),
        Err(error) => match ProjectError::from_io(&spot.name, &error) {
            ProjectError::Missing { .. } => Ok(None),
            error => Err(error),
        },
    }
}
