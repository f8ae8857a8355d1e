//! What takes edits back.

use std::path::{Path, PathBuf};

use convoke_runtime::journal::{ApplyRecord, ApplyRow, ApplyState, Journal, JournalError, RunId};

use super::{Request, What, Wish};

/// Why there is nothing to take back.
#[derive(Debug, thiserror::Error)]
pub enum BackError {
    /// The journal has no such run, or can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No edits of this run were carried out.
    #[error("no edits of run {run} were carried out")]
    NothingApplied {
        /// As it was named.
        run: String,
    },
    /// Nothing in this project is carried out that is not taken back.
    #[error("in {} no edits are carried out that could be rolled back", .project.display())]
    NothingHere {
        /// Its folder.
        project: PathBuf,
    },
    /// They were taken back before.
    #[error("the edits of run {run} are rolled back already")]
    BackAlready {
        /// As it was named.
        run: String,
        /// What brings them again.
        by: RunId,
    },
    /// The project is not where it was.
    #[error("the project's folder {} is not there any more: it was moved or deleted", .project.display())]
    ProjectGone {
        /// Where it was.
        project: PathBuf,
    },
}

impl BackError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Journal(error) => error.hint().map(str::to_owned),
            Self::NothingApplied { .. } => Some("a run changes files only with --apply".to_owned()),
            Self::NothingHere { .. } => None,
            Self::BackAlready { by, .. } => Some(format!("`convoke rollback {}` brings them again", by.short())),
            Self::ProjectGone { .. } => Some("move it back to that place, then try again".to_owned()),
        }
    }
}

/// Which edits are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// Those of a run, or those with this id: the whole of it, or its end.
    Named(&'a str),
    /// The newest in this project that are carried out and not taken back.
    Last(&'a Path),
}

/// Finds them, and says what takes them back. They may be such as took others back: then those come again.
///
/// # Errors
/// There is nothing to take back; the journal can't be read.
pub async fn back(journal: &Journal, which: Which<'_>) -> Result<(ApplyRow, Request), BackError> {
    let row = match which {
        Which::Named(name) => named(journal, name).await?,
        Which::Last(project) => last(journal, project).await?,
    };
    let record = journal.apply(&row.id).await?;
    let project = PathBuf::from(&record.project);
    if !project.is_dir() {
        return Err(BackError::ProjectGone { project });
    }
    let request =
        Request { run: record.run, project, wishes: wishes(&record, row.state), undoes: Some(record), verify: true };
    Ok((row, request))
}

fn wishes(record: &ApplyRecord, state: ApplyState) -> Vec<Wish> {
    // A file that was left as it was found was not changed by them.
    let changed = record.files.iter().filter(|file| file.spared.is_none());
    let wish = |file: &convoke_runtime::journal::ApplyFile| Wish {
        path: file.path.clone(),
        // Where a crash was never mended, nobody knows which of the files were changed.
        what: What::Restore { from: file.new.clone(), to: file.old.clone(), maybe: state == ApplyState::Abandoned },
    };
    changed.map(wish).collect()
}

async fn named(journal: &Journal, name: &str) -> Result<ApplyRow, BackError> {
    let run = || name.to_owned();
    let (of_run, which) = match journal.find_apply(name).await? {
        Some(row) => (journal.applies_of(&row.run).await?, Some(row.id)),
        None => (journal.applies_of(&journal.find_run(name).await?).await?, None),
    };
    let mut candidates =
        of_run.iter().filter(|row| which.map_or(row.undoes.is_none(), |id| row.id == id) && is_done(row)).peekable();
    let Some(newest) = candidates.peek().copied() else { return Err(BackError::NothingApplied { run: run() }) };
    if let Some(row) = candidates.find(|row| undone_by(&of_run, row).is_none()) {
        return Ok(row.clone());
    }
    let by = undone_by(&of_run, newest).map_or(newest.id, |row| row.id);
    Err(BackError::BackAlready { run: run(), by })
}

async fn last(journal: &Journal, project: &Path) -> Result<ApplyRow, BackError> {
    let all = journal.applies_in(&project.to_string_lossy()).await?;
    let mut standing = all.iter().filter(|row| row.undoes.is_none() && is_done(row) && undone_by(&all, row).is_none());
    standing.next().cloned().ok_or_else(|| BackError::NothingHere { project: project.to_owned() })
}

/// Whether they may have changed files.
fn is_done(row: &ApplyRow) -> bool {
    matches!(row.state, ApplyState::Done | ApplyState::Abandoned)
}

/// Those by which they are taken back, and which were not taken back themselves.
fn undone_by<'a>(all: &'a [ApplyRow], row: &ApplyRow) -> Option<&'a ApplyRow> {
    all.iter().find(|other| other.undoes == Some(row.id) && is_done(other) && undone_by(all, other).is_none())
}
