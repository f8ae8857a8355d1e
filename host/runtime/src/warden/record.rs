//! What a warden writes down, so that nothing stays when even it was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, getppid};
use serde::{Deserialize, Serialize};

use super::tree;

/// How a slot's folder is named: only such a one is removed.
pub const SLOT_PREFIX: &str = "convoke-";

/// A process: an id that was given to another since is not it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    /// In the kernel's ticks since it booted.
    started: Option<u64>,
}

impl Process {
    fn now(pid: u32) -> Self {
        Self { pid, started: tree::started(pid) }
    }

    fn lives(&self) -> bool {
        self.started.is_some() && tree::started(self.pid) == self.started
    }
}

/// Who belongs together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    boot: Option<String>,
    host: Process,
    warden: Process,
    program: Process,
    slot: PathBuf,
}

/// What was found and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Records whose host is gone.
    pub records: usize,
    /// Processes that were ended.
    pub processes: usize,
}

impl Record {
    /// Of this process, the warden, and its program.
    pub fn of(program: u32, slot: &Path) -> Self {
        let host = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
        Self {
            boot: tree::boot(),
            host: Process::now(host),
            warden: Process::now(std::process::id()),
            program: Process::now(program),
            slot: slot.to_owned(),
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the folder can't be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, path)
    }

    /// The program's process id, of a record that was written.
    pub fn program(path: &Path) -> Option<u32> {
        Some(serde_json::from_slice::<Self>(&fs::read(path).ok()?).ok()?.program.pid)
    }

    /// How many of its own processes live, if its host is gone. None: the host lives.
    fn left(&self) -> Option<usize> {
        if self.boot != tree::boot() {
            return Some(0);
        }
        let alive = || [self.warden, self.program].iter().filter(|process| process.lives()).count();
        (!self.host.lives()).then(alive)
    }

    /// Ends what is left of it, if its host is gone. None: the host lives.
    fn end(&self) -> Option<usize> {
        if self.boot != tree::boot() {
            return Some(0);
        }
        if self.host.lives() {
            return None;
        }
        // The warden may be about to end them: it is stopped first, or it would be done twice.
        let mut doomed = Vec::new();
        for process in [self.warden, self.program] {
            if process.lives() {
                doomed.push(process.pid);
                doomed.extend(tree::descendants(process.pid));
            }
        }
        doomed.sort_unstable();
        doomed.dedup();
        for pid in &doomed {
            tree::send(*pid, Signal::KILL);
        }
        Some(doomed.len())
    }
}

/// What the records in a folder tell, for who only looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Records of hosts that live: each is a program that is kept, or at work.
    pub kept: usize,
    /// Records of hosts that are gone.
    pub gone: usize,
    /// Processes of those that live all the same.
    pub processes: usize,
}

/// Looks at what hosts have left. Nothing is ended; the next run does that.
pub fn look(records: &Path) -> Left {
    let mut left = Left::default();
    let Ok(entries) = fs::read_dir(records) else { return left };
    let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    for path in entries.flatten().map(|entry| entry.path()).filter(is_record) {
        let record = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        // One that can't be read tells nothing about any process.
        match record.map_or(Some(0), |record| record.left()) {
            Some(processes) => {
                left.gone += 1;
                left.processes += processes;
            }
            None => left.kept += 1,
        }
    }
    left
}

/// Ends what hosts have left that are gone, by the records in a folder, and removes their slots.
pub fn reap(records: &Path) -> Reaped {
    let mut reaped = Reaped::default();
    let Ok(entries) = fs::read_dir(records) else { return reaped };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let record = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        // One that can't be read tells nothing about any process.
        let Some(record) = record else {
            let _ = fs::remove_file(&path);
            continue;
        };
        if let Some(processes) = record.end() {
            reaped.records += 1;
            reaped.processes += processes;
            remove_slot(&record.slot);
            let _ = fs::remove_file(&path);
        }
    }
    reaped
}

/// Removes a slot's folder, if it is one by its name and its place.
fn remove_slot(slot: &Path) {
    let ours = slot.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(SLOT_PREFIX));
    if ours && slot.parent() == Some(std::env::temp_dir().as_path()) {
        let _ = fs::remove_dir_all(slot);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn cat() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat is everywhere")
    }

    fn record(host: Process, program: u32) -> Record {
        let gone = Process { pid: 1, started: Some(u64::MAX) };
        Record { boot: tree::boot(), host, warden: gone, program: Process::now(program), slot: PathBuf::from("/") }
    }

    #[test]
    fn what_a_host_that_is_gone_has_left_is_ended_and_what_a_living_one_has_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut left, mut kept) = (cat(), cat());
        let gone = Process { pid: std::process::id(), started: Some(1) };
        record(gone, left.id()).write(&folder.path().join("left.json")).unwrap();
        record(Process::now(std::process::id()), kept.id()).write(&folder.path().join("kept.json")).unwrap();
        assert_eq!(look(folder.path()), Left { kept: 1, gone: 1, processes: 1 });
        assert_eq!(reap(folder.path()), Reaped { records: 1, processes: 1 });
        assert!(!left.wait().unwrap().success());
        assert!(kept.try_wait().unwrap().is_none());
        assert!(folder.path().join("kept.json").exists() && !folder.path().join("left.json").exists());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }

    #[test]
    fn an_id_that_was_given_to_another_is_not_it_and_nor_is_one_of_an_earlier_boot() {
        let folder = tempfile::tempdir().unwrap();
        let mut innocent = cat();
        let gone = Process { pid: 1, started: Some(u64::MAX) };
        let other = Record { program: Process { pid: innocent.id(), started: Some(1) }, ..record(gone, innocent.id()) };
        other.write(&folder.path().join("a.json")).unwrap();
        let booted = Record { boot: Some("before".to_owned()), ..record(gone, innocent.id()) };
        booted.write(&folder.path().join("b.json")).unwrap();
        fs::write(folder.path().join("c.json"), "garbage").unwrap();
        assert_eq!(reap(folder.path()), Reaped { records: 2, processes: 0 });
        assert!(innocent.try_wait().unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        innocent.kill().unwrap();
        innocent.wait().unwrap();
    }

    #[test]
    fn only_a_slot_in_the_folder_for_temporary_files_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("convoke-x");
        fs::create_dir(&elsewhere).unwrap();
        remove_slot(&elsewhere);
        assert!(elsewhere.exists());
        let slot = tempfile::Builder::new().prefix(SLOT_PREFIX).tempdir().unwrap();
        remove_slot(slot.path());
        assert!(!slot.path().exists());
    }
}
