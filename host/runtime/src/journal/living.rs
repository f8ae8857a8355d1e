//! Which runs are under way: each has a file that its process holds locked. The kernel lets go of it when the process
//! ends, however it ends; a process id that was given to another process since means nothing here.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{JournalError, RunId};
use crate::work::Status;

/// The folder beside the journal's file.
const FOLDER: &str = "running";

/// How often a file is tried to be locked that somebody just looks at, and how long it takes between.
const TRIES: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(1);

/// How many files of processes that are gone are removed when a run begins.
const SWEPT: usize = 100;

/// How a run stands at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has ended so, and says so itself.
    Ended(Status),
    /// It has not ended, and its process lives.
    Running,
    /// It has not ended, and its process is gone. What of it is done, its items say.
    Gone,
}

impl Standing {
    /// The name in lists: a run whose process is gone was `interrupted`, whatever by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ended(status) => status.name(),
            Self::Running => "running",
            Self::Gone => Status::Interrupted.name(),
        }
    }
}

/// The runs that this journal's process has under way, and how to look for those of others.
#[derive(Debug, Default)]
pub(super) struct Living {
    /// None: a journal in memory has no runs but its own.
    folder: Option<PathBuf>,
    held: Mutex<HashMap<RunId, Option<Held>>>,
}

/// The file of a run that is under way. Dropping it says that it is not any more.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    _locked: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // One that stays is found unlocked, and removed by a later run.
        let _ = fs::remove_file(&self.path);
    }
}

impl Living {
    /// For the journal with this file.
    pub(super) fn beside(journal: &Path) -> Self {
        Self { folder: Some(journal.with_file_name(FOLDER)), held: Mutex::default() }
    }

    /// From now on the run is under way, until [`release`](Self::release) or the end of this process.
    pub(super) fn hold(&self, run: RunId) -> Result<(), JournalError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(&run) {
            return Err(JournalError::UnderWay { run });
        }
        let file = self.folder.as_deref().map(|folder| take(folder, run)).transpose()?;
        held.insert(run, file);
        Ok(())
    }

    /// It is not under way any more.
    pub(super) fn release(&self, run: RunId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }

    /// Whether some process has the run under way. Where that can't be looked at, it is thought so: nobody then takes
    /// for his own what may be another's.
    pub(super) fn is_under_way(&self, run: RunId) -> bool {
        if self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&run) {
            return true;
        }
        let Some(folder) = &self.folder else { return false };
        match File::open(file_of(folder, run)) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }
}

fn file_of(folder: &Path, run: RunId) -> PathBuf {
    folder.join(format!("{run}.lock"))
}

/// Makes the run's file, and locks it.
fn take(folder: &Path, run: RunId) -> Result<Held, JournalError> {
    let path = file_of(folder, run);
    let io = |error: std::io::Error| JournalError::io(&path, &error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    sweep(folder);
    for _ in 0..TRIES {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        match file.try_lock() {
            // Else it was removed between opening and locking.
            Ok(()) if is_still_at(&file, &path) => return Ok(Held { path, _locked: file }),
            Ok(()) => {}
            // Who looks at it holds it for a moment.
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
    Err(JournalError::UnderWay { run })
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let same = |one: &fs::Metadata, other: &fs::Metadata| one.dev() == other.dev() && one.ino() == other.ino();
    matches!((file.metadata(), fs::metadata(path)), (Ok(one), Ok(other)) if same(&one, &other))
}

/// Removes files of processes that are gone.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().take(SWEPT) {
        let path = entry.path();
        let is_ours = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.parse::<RunId>().is_ok());
        if !is_ours {
            continue;
        }
        // Removed while it is locked: who opened it before finds that it is gone.
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
            && is_still_at(&file, &path)
        {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Living) {
        let folder = tempfile::tempdir().unwrap();
        let living = Living::beside(&folder.path().join("journal.db"));
        (folder, living)
    }

    fn other(folder: &tempfile::TempDir) -> Living {
        Living::beside(&folder.path().join("journal.db"))
    }

    #[test]
    fn a_run_is_under_way_for_all_while_its_process_lives() {
        let (folder, mine) = place();
        let (run, theirs) = (RunId::new(), other(&folder));
        assert!(!mine.is_under_way(run) && !theirs.is_under_way(run));
        mine.hold(run).unwrap();
        assert!(mine.is_under_way(run) && theirs.is_under_way(run));
        assert!(!theirs.is_under_way(RunId::new()), "and no other run is");
        // As the kernel does with the files of a process that was killed.
        drop(mine);
        assert!(!theirs.is_under_way(run));
    }

    #[test]
    fn a_run_is_held_once_and_can_be_held_again_after() {
        let (folder, mine) = place();
        let (run, theirs) = (RunId::new(), other(&folder));
        mine.hold(run).unwrap();
        assert_eq!(theirs.hold(run), Err(JournalError::UnderWay { run }));
        assert_eq!(mine.hold(run), Err(JournalError::UnderWay { run }));
        mine.release(run);
        assert_eq!(theirs.hold(run), Ok(()));
        assert!(mine.is_under_way(run));
    }

    #[test]
    fn of_many_who_want_it_at_once_one_gets_it() {
        let (folder, _) = place();
        let run = RunId::new();
        let all: Vec<Living> = (0..8).map(|_| other(&folder)).collect();
        let got = std::thread::scope(|scope| {
            let all: Vec<_> = all.iter().map(|one| scope.spawn(|| one.hold(run).is_ok())).collect();
            all.into_iter().filter_map(|one| one.join().ok()).filter(|got| *got).count()
        });
        assert_eq!(got, 1);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_not_ours_stays() {
        let (folder, mine) = place();
        let running = folder.path().join(FOLDER);
        fs::create_dir(&running).unwrap();
        let (gone, foreign) = (file_of(&running, RunId::new()), running.join("notes.txt"));
        fs::write(&gone, "").unwrap();
        fs::write(&foreign, "mine").unwrap();
        let (run, living) = (RunId::new(), RunId::new());
        let theirs = other(&folder);
        theirs.hold(living).unwrap();
        mine.hold(run).unwrap();
        assert!(!gone.exists() && foreign.exists());
        assert!(mine.is_under_way(living), "the file of one that lives stays");
        mine.release(run);
        assert!(!file_of(&running, run).exists());
    }
}
