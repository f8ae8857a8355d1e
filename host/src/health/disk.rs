//! The room on disks.

use std::io;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::bytes;
use crate::backends::doctor::{Check, State};
use crate::config::Paths;

/// With less room, in bytes, the journal can't be sure to grow by what a run writes.
const LEAST: u64 = 32 << 20;

/// Less than this is little.
const LITTLE: u64 = 512 << 20;

/// Fewer names left are few.
const FEW_NAMES: u64 = 1_000;

/// What a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    /// For this user, in bytes.
    free: u64,
    total: u64,
    /// How many more files it can hold; none: it does not count them.
    names: Option<u64>,
    read_only: bool,
}

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing goes without it.
    Needed,
    /// It is slower without.
    Helpful,
}

pub(super) fn look(paths: &Paths, project: &Path) -> Vec<Check> {
    let temporary = std::env::temp_dir();
    let folders = [
        ("data", paths.data.as_path(), Use::Needed),
        ("cache", paths.cache.as_path(), Use::Helpful),
        // It is only written to where edits are carried out.
        ("project", project, Use::Helpful),
        ("temporary", temporary.as_path(), Use::Helpful),
    ];
    folders.map(|(name, path, purpose)| judge(name, path, &room(path), purpose)).to_vec()
}

/// Of the folder, or of the one in which it would be made.
fn room(path: &Path) -> io::Result<Room> {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let found = statvfs(there)?;
    Ok(Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
        names: (found.f_files > 0).then_some(found.f_favail),
        read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

fn judge(name: &'static str, path: &Path, room: &io::Result<Room>, purpose: Use) -> Check {
    let worst = match purpose {
        Use::Needed => State::Broken,
        Use::Helpful => State::Warn,
    };
    let shown = path.display();
    let room = match room {
        Ok(room) => room,
        Err(error) => {
            return Check::new(name, worst, format!("{shown}: {error}")).hint(Some("make the folder, or name another"));
        }
    };
    let mut found = format!("{shown}: {} of {} free", bytes(room.free), bytes(room.total));
    if let Some(names) = room.names.filter(|names| *names < FEW_NAMES) {
        found += &format!(", and room for {names} files");
    }
    let check = |state| Check::new(name, state, found.clone());
    let (state, hint) = if room.read_only {
        (worst, "the file system is mounted read-only: mount it to be written, or name another folder")
    } else if room.free < LEAST || room.names.is_some_and(|names| names < 10) {
        (worst, "the disk is full: remove something; `convoke runs prune` and `convoke cache clear` do too")
    } else if room.free < LITTLE || room.names.is_some_and(|names| names < FEW_NAMES) {
        (State::Warn, "little is left: remove something; `convoke runs prune` and `convoke cache clear` do too")
    } else {
        return check(State::Ok);
    };
    check(state).hint(Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn state(room: Room, purpose: Use) -> State {
        judge("data", Path::new("/data"), &Ok(room), purpose).state
    }

    #[test]
    fn a_full_disk_is_the_end_for_what_is_needed_and_a_warning_for_what_only_helps() {
        let good = Room { free: 5 * GIB, total: 9 * GIB, names: Some(100_000), read_only: false };
        assert_eq!(state(good, Use::Needed), State::Ok);
        for bad in [Room { free: 1 << 20, ..good }, Room { read_only: true, ..good }, Room { names: Some(0), ..good }] {
            assert_eq!((state(bad, Use::Needed), state(bad, Use::Helpful)), (State::Broken, State::Warn), "{bad:?}");
        }
        for little in [Room { free: 100 << 20, ..good }, Room { names: Some(99), ..good }] {
            assert_eq!(state(little, Use::Needed), State::Warn, "{little:?}");
        }
        assert_eq!(state(Room { names: None, ..good }, Use::Needed), State::Ok, "it does not count them");
    }

    #[test]
    fn the_room_of_a_folder_that_is_not_there_is_that_of_the_one_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let (there, missing) = (room(folder.path()).unwrap(), room(&folder.path().join("a/b")).unwrap());
        assert_eq!(there.total, missing.total);
    }
}
