//! Carrying edits out: all or none, whatever ends the process in between, and with a way back.
//!
//! [`carry_out`] reads as its steps: look at the files and check that each is what its edit was made against ([`check`]);
//! write down all that is needed to go on and to go back; write the new files beside the old ones, to the disk; write down
//! that it begins; put each into its place; write down that it is done. A crash before the second note is undone by the
//! next start of convoke, one after it is finished ([`recover`]). [`back`] makes the edits that take others back: they
//! are carried out by the same steps.
//!
//! One process of a user carries out at a time: it holds a lock that the kernel takes from it when it ends.

mod audited;
pub mod back;
mod check;
mod lock;
pub mod recover;
mod steps;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

use convoke_runtime::journal::{ApplyFile, ApplyRecord, ApplyState, FileContent, Journal, JournalError, RunId};
use convoke_runtime::work;
use jiff::Timestamp;

use crate::audit::{Audit, AuditError};
use crate::config::Paths;
pub use crate::steps::{Steps, Undisturbed};
pub use check::MOST;
use lock::Lock;
pub use steps::Step;
use tree::Tree;

/// Where it is written down, and what else must be known of the user.
#[derive(Clone, Debug)]
pub struct Place {
    /// The journal.
    pub journal: Journal,
    /// The file that whoever carries out has locked.
    pub lock: PathBuf,
    /// Folders in which nothing is ever touched: convoke's own.
    pub own: Vec<PathBuf>,
    /// Where it is written which files are changed, before they are.
    pub audit: Audit,
}

impl Place {
    /// That of a user.
    pub fn of(paths: &Paths, journal: &Journal, audit: &Audit) -> Self {
        let own = vec![paths.config.clone(), paths.data.clone(), paths.cache.clone()];
        Self { journal: journal.clone(), lock: paths.locks().join("apply.lock"), own, audit: audit.clone() }
    }

    fn open(&self, project: &Path) -> Result<Tree, ApplyError> {
        self.tree(project).map_err(|source| ApplyError::Project { project: project.to_owned(), source })
    }

    fn tree(&self, project: &Path) -> io::Result<Tree> {
        let own: Vec<&Path> = self.own.iter().map(PathBuf::as_path).collect();
        Tree::open(project, &own)
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose edits they are.
    pub run: RunId,
    /// What they take back: what that has made and left is removed.
    pub undoes: Option<ApplyRecord>,
    /// The project's folder, absolute and without links.
    pub project: PathBuf,
    /// What is to be done to which file.
    pub wishes: Vec<Wish>,
    /// Whether what was written down is read again and compared, before any file is touched: so in safe mode.
    pub verify: bool,
}

/// What is to be done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Relative to the project's folder.
    pub path: String,
    /// What it does.
    pub what: What,
}

/// What is done to a file, and against what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An edit, made against the content with this sha-256 in hex; none: against no file.
    Edit {
        /// The sha-256.
        base: Option<String>,
        /// The edit.
        change: work::Change,
    },
    /// It becomes `to`, if it still is `from`.
    Restore {
        /// What must be there.
        from: Option<FileContent>,
        /// What comes there.
        to: Option<FileContent>,
        /// Whether it may be `to` already.
        maybe: bool,
    },
}

/// Why a file is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What is never done.
    Refused(String),
    /// The file is not what the edit was made against, or two edits are about the same file.
    Conflict(String),
    /// It is not what was written there; with what has changed since, as a diff.
    Changed(String, Option<String>),
    /// The system says no.
    Failed(String),
}

impl Problem {
    /// Why, in words.
    pub fn text(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Conflict(why) | Self::Changed(why, _) | Self::Failed(why) => why,
        }
    }
}

/// Edits that are carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The id by which they are taken back.
    pub id: RunId,
    /// How many files were changed.
    pub files: usize,
    /// What the user should know: what was mended before, what could not be written down.
    pub notes: Vec<String>,
}

/// Why nothing is changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// These files hinder.
    #[error("{}", hindered(.0))]
    Hindered(Vec<(String, Problem)>),
    /// They are too much to keep the way back.
    #[error("the edits and the way back have {} MB, and at most {} MB are kept for one run", .0 >> 20, MOST >> 20)]
    TooMuch(u64),
    /// It failed in the middle, at this file, and was undone.
    #[error("{path}: {}; what was done was undone", .problem.text())]
    Undone {
        /// At which file.
        path: String,
        /// Why.
        problem: Problem,
    },
    /// It failed in the middle, and undoing it failed too.
    #[error("{path}: {why}; undoing it failed too: {undoing}. The next start of convoke finishes it")]
    Stuck {
        /// At which file.
        path: String,
        /// Why it failed.
        why: String,
        /// Why undoing it did.
        undoing: String,
    },
    /// It can't be written down, or not be read again. No file was touched.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It can't be written to the audit log. No file was touched.
    #[error("no file was changed: {0}")]
    Audit(#[from] AuditError),
    /// What was written down reads otherwise. No file was touched.
    #[error("what was written to the journal for the way back reads otherwise: the disk may be failing")]
    Unsafe,
    /// The project's folder can't be opened.
    #[error("the project's folder {}: {source}", .project.display())]
    Project {
        /// Which.
        project: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The lock can't be had.
    #[error("edits are carried out by one process at a time, and the lock {} can't be had: {source}", .path.display())]
    Lock {
        /// Its file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn hindered(problems: &[(String, Problem)]) -> String {
    let lines = problems.iter().map(|(path, problem)| format!("{path}: {}", problem.text()));
    lines.collect::<Vec<_>>().join("; ")
}

/// Looks whether all of it can be done, and changes nothing.
///
/// # Errors
/// What is in the way.
pub fn look(place: &Place, request: &Request) -> Result<(), ApplyError> {
    let tree = place.open(&request.project)?;
    check::check(&tree, &request.wishes).map(drop)
}

/// Carries them out, all or none.
///
/// # Errors
/// Nothing was changed, but for [`ApplyError::Stuck`].
pub async fn carry_out(
    place: &Place,
    request: Request,
    steps: &(dyn Steps<Step> + Sync),
) -> Result<Applied, ApplyError> {
    let lock = Lock::wait(&place.lock)?;
    let mut notes = recover::under_lock(place, &lock).await;
    let tree = place.open(&request.project)?;
    let checked = check::check(&tree, &request.wishes)?;
    let (id, files) = (RunId::new(), checked.files.len());
    if files == 0 {
        // All of it is so already.
        return Ok(Applied { id, files, notes });
    }
    steps.passed(Step::Checked).map_err(|error| undone("", error))?;
    let record = ApplyRecord {
        id,
        run: request.run,
        undoes: request.undoes.as_ref().map(|undone| undone.id),
        project: request.project.to_string_lossy().into_owned(),
        began: Timestamp::now(),
        files: checked.files,
        folders: checked.folders,
    };
    place.audit.before(audited::begins(&record)).await?;
    place.journal.prepare_apply(record.clone()).await?;
    let work = Work { tree: &tree, record: &record, undone: request.undoes.as_ref(), steps };
    let ended = |how: &str, why: &str| place.audit.before(vec![audited::ended(&record, how, why)]);
    let prepared = match work.is_kept(place, request.verify).await {
        Ok(()) => work.prepare().map_err(|(path, problem)| ApplyError::Undone { path, problem }),
        Err(error) => Err(error),
    };
    let prepared = match prepared {
        // From here on a crash is finished, not undone.
        Ok(()) => set(place, id, ApplyState::Committing).await.map_err(ApplyError::Journal),
        Err(error) => Err(error),
    };
    if let Err(error) = prepared {
        if work.discard().is_ok() {
            // Where it can't be noted, the next start finds nothing to undo and notes it.
            let _ = set(place, id, ApplyState::Undone).await;
        }
        // No file was touched: there is nothing to be missed.
        let _ = ended("undone", &error.to_string()).await;
        return Err(error);
    }
    if let Err((path, problem)) = work.commit() {
        let reverted = work.revert();
        let how = if reverted.is_ok() { "undone" } else { "stuck" };
        // The journal has it, and the next start tells of it.
        let _ = ended(how, &format!("{path}: {}", problem.text())).await;
        return Err(match reverted {
            Ok(()) => {
                let _ = set(place, id, ApplyState::Undone).await;
                ApplyError::Undone { path, problem }
            }
            Err((_, undoing)) => {
                ApplyError::Stuck { path, why: problem.text().to_owned(), undoing: undoing.text().to_owned() }
            }
        });
    }
    if let Err(error) = set(place, id, ApplyState::Done).await {
        notes.push(format!("the files are changed; that all is done could not be written down: {error}"));
    }
    if let Err(error) = ended("done", "").await {
        notes.push(format!("the files are changed; that all is done is not in the audit log: {error}"));
    }
    // Nothing is left to lose.
    let _ = steps.passed(Step::Done);
    Ok(Applied { id, files, notes })
}

fn undone(path: &str, error: io::Error) -> ApplyError {
    ApplyError::Undone { path: path.to_owned(), problem: Problem::Failed(error.to_string()) }
}

async fn set(place: &Place, id: RunId, state: ApplyState) -> Result<(), JournalError> {
    place.journal.set_apply_state(&id, state, Vec::new(), Timestamp::now()).await
}

/// A failure, and at which file.
type At<T> = Result<T, (String, Problem)>;

/// Edits on their way.
struct Work<'a> {
    tree: &'a Tree,
    record: &'a ApplyRecord,
    /// What is taken back.
    undone: Option<&'a ApplyRecord>,
    steps: &'a (dyn Steps<Step> + Sync),
}

impl Work<'_> {
    /// Whether the way back can be read as it was written.
    async fn is_kept(&self, place: &Place, verify: bool) -> Result<(), ApplyError> {
        self.steps.passed(Step::Prepared).map_err(|error| undone("", error))?;
        if !verify {
            return Ok(());
        }
        let kept = place.journal.apply(&self.record.id).await?;
        let is_kept = kept.files == self.record.files && kept.folders == self.record.folders;
        if is_kept { Ok(()) } else { Err(ApplyError::Unsafe) }
    }

    /// Makes folders, and writes the new files beside the old ones. No file is touched.
    fn prepare(&self) -> At<()> {
        for folder in &self.record.folders {
            self.tree.make_folder(folder).map_err(|problem| (folder.clone(), problem))?;
            self.passed(folder, Step::FolderMade)?;
        }
        for (number, file) in self.record.files.iter().enumerate() {
            if let Some(new) = &file.new {
                let written = self.tree.write_beside(&file.path, &self.name(number), new);
                written.map_err(|problem| (file.path.clone(), problem))?;
            }
            self.passed(&file.path, Step::Written(number))?;
        }
        self.sync()
    }

    /// Puts each file into its place, if what is there still is what it was.
    fn commit(&self) -> At<()> {
        self.passed("", Step::Committing)?;
        for (number, file) in self.record.files.iter().enumerate() {
            let at = |problem| (file.path.clone(), problem);
            if !same(&self.tree.look(&file.path).map_err(at)?, &file.old) {
                return Err(at(Problem::Conflict("it was changed at this moment".to_owned())));
            }
            self.one(number, file).map_err(at)?;
            self.passed(&file.path, Step::Placed(number))?;
        }
        self.end()
    }

    /// One file, which is known to be what it was.
    fn one(&self, number: usize, file: &ApplyFile) -> Result<(), Problem> {
        match &file.new {
            Some(_) => self.tree.place(&self.name(number), &file.path, file.old.is_none()),
            None => self.tree.delete(&file.path),
        }
    }

    /// What comes after the last file.
    fn end(&self) -> At<()> {
        if let Some(undone) = self.undone {
            // Of one that was never mended there may be files left beside the others. Its folders may be in use by now.
            remove_made(self.tree, undone)?;
        }
        self.sync()?;
        self.passed("", Step::Synced)
    }

    /// Takes back what [`prepare`](Self::prepare) has done.
    fn discard(&self) -> At<()> {
        remove_made(self.tree, self.record)
    }

    /// Takes back what [`commit`](Self::commit) has done. A file that is neither the old nor the new one is left.
    fn revert(&self) -> At<()> {
        for (number, file) in self.record.files.iter().enumerate().rev() {
            let at = |problem| (file.path.clone(), problem);
            let now = self.tree.look(&file.path).map_err(at)?;
            if same(&now, &file.old) || !same(&now, &file.new) {
                continue;
            }
            match &file.old {
                Some(old) => {
                    let name = self.name(number);
                    self.tree.write_beside(&file.path, &name, old).map_err(at)?;
                    self.tree.place(&name, &file.path, now.is_none()).map_err(at)?;
                }
                None => self.tree.delete(&file.path).map_err(at)?,
            }
        }
        self.discard()?;
        self.sync()
    }

    /// Brings all folders to the disk: names are in them.
    fn sync(&self) -> At<()> {
        let mut folders: Vec<&str> = self
            .record
            .files
            .iter()
            .map(|file| file.path.as_str())
            .chain(self.record.folders.iter().map(String::as_str))
            .collect();
        folders.sort_unstable_by_key(|path| path.rfind('/').map_or("", |at| &path[..at]));
        folders.dedup_by_key(|path| path.rfind('/').map_or("", |at| &path[..at]));
        for path in folders {
            reached(self.tree.sync_folder_of(path)).map_err(|problem| (path.to_owned(), problem))?;
        }
        Ok(())
    }

    /// The name of a file's new content, until it has its place.
    fn name(&self, number: usize) -> String {
        name(self.record, number)
    }

    fn passed(&self, path: &str, step: Step) -> At<()> {
        self.steps.passed(step).map_err(|error| (path.to_owned(), Problem::Failed(error.to_string())))
    }
}

/// The name of a file's new content, until it has its place.
fn name(record: &ApplyRecord, number: usize) -> String {
    format!(".convoke-{}-{number}.tmp", record.id.short())
}

/// Removes what was written beside the files, and the folders that were made, where they are empty.
fn remove_made(tree: &Tree, record: &ApplyRecord) -> At<()> {
    for (number, file) in record.files.iter().enumerate() {
        let removed = tree.remove_beside(&file.path, &name(record, number));
        reached(removed).map_err(|problem| (file.path.clone(), problem))?;
    }
    for folder in record.folders.iter().rev() {
        reached(tree.remove_folder(folder)).map_err(|problem| (folder.clone(), problem))?;
    }
    Ok(())
}

/// Where the way to a file has become one that is never gone, a link or a folder of convoke's, there is nothing of ours.
fn reached(done: Result<(), Problem>) -> Result<(), Problem> {
    match done {
        Err(Problem::Refused(_)) => Ok(()),
        done => done,
    }
}

/// Whether what is there is what is thought of: the same bytes, and the same rights where they are known.
fn same(there: &Option<FileContent>, thought: &Option<FileContent>) -> bool {
    match (there, thought) {
        (None, None) => true,
        (Some(there), Some(thought)) => {
            there.bytes == thought.bytes && (thought.rights.is_none() || there.rights == thought.rights)
        }
        _ => false,
    }
}

/// `3 files`.
pub fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
