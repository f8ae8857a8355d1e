//! What carrying out does to files.

mod back;
mod crash;
mod files;
mod never;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use convoke_runtime::journal::{Digest, Journal, RunId, RunRecord};
use convoke_runtime::work::{Change, Replacement};
use jiff::Timestamp;
use tempfile::TempDir;

use super::back::{BackError, Which, back};
use super::recover::recover;
use super::{Applied, ApplyError, Place, Problem, Request, Step, Steps, Undisturbed, What, Wish, carry_out};
use crate::audit::Audit;

/// A project, and a journal with a run.
pub(super) struct World {
    folder: TempDir,
    pub(super) place: Place,
    pub(super) run: RunId,
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (place, run) = begin(folder.path()).await;
        Self { folder, place, run }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(super) fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(super) fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    pub(super) fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// All that is in the project, with what tells one state from another. Folders end with a slash.
    pub(super) fn all(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        gather(&self.root(), "", &mut all);
        all
    }

    pub(super) fn request(&self, wishes: Vec<Wish>) -> Request {
        request(&self.root(), self.run, wishes)
    }

    pub(super) async fn apply(&self, wishes: Vec<Wish>) -> Result<Applied, ApplyError> {
        carry_out(&self.place, self.request(wishes), &Undisturbed).await
    }

    /// What is in the way, a line a file; nothing may have been touched.
    pub(super) async fn refused(&self, wishes: Vec<Wish>) -> String {
        let before = self.all();
        let refused = self.apply(wishes).await.unwrap_err();
        assert_eq!(self.all(), before, "nothing is touched");
        let ApplyError::Hindered(problems) = refused else { panic!("{refused}") };
        let line = |(path, problem): &(String, Problem)| format!("{path}: {}", problem.text());
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) async fn roll_back(&self, name: &str) -> Result<Applied, String> {
        let back = back(&self.place.journal, Which::Named(name)).await;
        let (_, request) = back.map_err(|error: BackError| error.to_string())?;
        carry_out(&self.place, request, &Undisturbed).await.map_err(|error| error.to_string())
    }
}

fn gather(folder: &Path, name: &str, all: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{name}{}", entry.file_name().to_string_lossy());
        let metadata = entry.path().symlink_metadata().unwrap();
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            gather(&entry.path(), &format!("{path}/"), all);
            all.insert(format!("{path}/"), (mode, Vec::new()));
        } else {
            let content = if metadata.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            all.insert(path, (mode, content));
        }
    }
}

/// A place below this folder, whose journal has a run.
pub(super) async fn begin(folder: &Path) -> (Place, RunId) {
    fs::create_dir_all(folder.join("project")).unwrap();
    let journal = Journal::open(&folder.join("data/journal.db")).unwrap();
    let run = RunId::new();
    let record = RunRecord {
        id: run,
        command: "editing".to_owned(),
        subcommand: None,
        plugin_name: "editing".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        plugin_digest: Digest::of(b"component").to_string(),
        arguments: serde_json::Value::Null,
        project: folder.join("project").to_string_lossy().into_owned(),
        mode: "balanced".to_owned(),
        backend: "offline".to_owned(),
        started: Timestamp::now(),
        typed: None,
    };
    journal.begin_run(record).await.unwrap();
    (place(folder, journal), run)
}

pub(super) fn place(folder: &Path, journal: Journal) -> Place {
    Place { journal, lock: folder.join("data/locks/apply.lock"), own: vec![folder.join("data")], audit: Audit::off() }
}

pub(super) fn request(root: &Path, run: RunId, wishes: Vec<Wish>) -> Request {
    Request { run, undoes: None, project: root.to_owned(), wishes, verify: true }
}

fn edit(path: &str, base: Option<String>, change: Change) -> Wish {
    Wish { path: path.to_owned(), what: What::Edit { base, change } }
}

pub(super) fn create(path: &str, text: &str) -> Wish {
    edit(path, None, Change::Create(text.to_owned()))
}

pub(super) fn delete(path: &str, old: impl AsRef<[u8]>) -> Wish {
    edit(path, Some(Digest::of(old.as_ref()).to_string()), Change::Delete)
}

/// The bytes of `range` become `text`.
pub(super) fn replace(path: &str, old: impl AsRef<[u8]>, range: std::ops::Range<u64>, text: &str) -> Wish {
    let part = Replacement { start: range.start, end: range.end, text: text.to_owned() };
    edit(path, Some(Digest::of(old.as_ref()).to_string()), Change::Replace(vec![part]))
}

/// Fails, or does something, at the step of this number; counts the steps.
pub(super) struct At<F> {
    passed: AtomicUsize,
    at: usize,
    act: F,
}

impl<F: Fn(Step) -> io::Result<()> + Sync> At<F> {
    pub(super) fn new(at: usize, act: F) -> Self {
        Self { passed: AtomicUsize::new(0), at, act }
    }

    pub(super) fn count(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

impl<F: Fn(Step) -> io::Result<()> + Sync> Steps<Step> for At<F> {
    fn passed(&self, step: Step) -> io::Result<()> {
        if self.passed.fetch_add(1, Ordering::Relaxed) == self.at { (self.act)(step) } else { Ok(()) }
    }
}
