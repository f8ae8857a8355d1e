//! What a crash left in the middle: undone where no file was touched, finished where one may have been.

use std::io;
use std::path::Path;

use convoke_runtime::journal::{ApplyFile, ApplyRecord, ApplyRow, ApplyState, JournalError};
use jiff::Timestamp;

use super::lock::Lock;
use super::{At, Place, Problem, Work, files, reached, same};
use crate::steps::Undisturbed;

/// Mends what processes that are gone have left. Returns what the user is told, a line each. Where another process is
/// carrying out at this moment, nothing is done: it is that one's, or the next start's.
pub async fn recover(place: &Place) -> Vec<String> {
    match place.journal.applies_under_way().await {
        Ok(found) if found.is_empty() => return Vec::new(),
        Ok(_) => {}
        Err(error) => return vec![format!("edits that a crash cut off can't be looked for: {error}")],
    }
    match Lock::try_take(&place.lock) {
        Ok(Some(lock)) => under_lock(place, &lock).await,
        Ok(None) => Vec::new(),
        Err(error) => vec![error.to_string()],
    }
}

/// The same, by who has the lock already.
pub(super) async fn under_lock(place: &Place, _: &Lock) -> Vec<String> {
    let found = match place.journal.applies_under_way().await {
        Ok(found) => found,
        Err(error) => return vec![format!("edits that a crash cut off can't be looked for: {error}")],
    };
    let mut lines = Vec::new();
    for row in found {
        let named = format!("The edits of run {} in {}", row.run.short(), row.project);
        match mend(place, &row).await {
            Ok(how) => lines.push(format!("{named} were cut off by a crash: {how}")),
            Err(error) => lines.push(format!("{named} were cut off by a crash, and can't be mended yet: {error}")),
        }
    }
    lines
}

async fn mend(place: &Place, row: &ApplyRow) -> Result<String, String> {
    let record = place.journal.apply(&row.id).await.map_err(|error| error.to_string())?;
    let tree = match place.tree(Path::new(&record.project)) {
        Ok(tree) => tree,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let end = match row.state {
                ApplyState::Prepared => ApplyState::Undone,
                _ => ApplyState::Abandoned,
            };
            set(place, row, end, Vec::new()).await.map_err(|error| error.to_string())?;
            return Ok("the project's folder is not there any more".to_owned());
        }
        Err(error) => return Err(format!("the project's folder can't be opened: {error}")),
    };
    let undone = match &record.undoes {
        Some(undone) => Some(place.journal.apply(undone).await.map_err(|error| error.to_string())?),
        None => None,
    };
    let work = Work { tree: &tree, record: &record, undone: undone.as_ref(), steps: &Undisturbed };
    if row.state == ApplyState::Prepared {
        work.discard().map_err(told)?;
        set(place, row, ApplyState::Undone, Vec::new()).await.map_err(|error| error.to_string())?;
        audited(place, &record, "undone", "after a crash").await;
        return Ok("no file had been changed, none is".to_owned());
    }
    let spared = work.finish().map_err(told)?;
    let how = finished(&record, &spared);
    set(place, row, ApplyState::Done, spared).await.map_err(|error| error.to_string())?;
    audited(place, &record, "done", &how).await;
    Ok(how)
}

/// It was agreed to, and is in the log, since it began: what is finished here is not held up by a log that fails.
async fn audited(place: &Place, record: &ApplyRecord, how: &str, why: &str) {
    let _ = place.audit.before(vec![super::audited::ended(record, how, why)]).await;
}

fn finished(record: &ApplyRecord, spared: &[(String, String)]) -> String {
    let done = record.files.len() - spared.len();
    if spared.is_empty() {
        return format!("they are finished now, {}", files(done));
    }
    let why: Vec<String> = spared.iter().map(|(path, why)| format!("{path} ({why})")).collect();
    format!("{} finished now; left as found: {}", files(done), why.join(", "))
}

fn told((path, problem): (String, Problem)) -> String {
    format!("{path}: {}", problem.text())
}

async fn set(
    place: &Place,
    row: &ApplyRow,
    state: ApplyState,
    spared: Vec<(String, String)>,
) -> Result<(), JournalError> {
    place.journal.set_apply_state(&row.id, state, spared, Timestamp::now()).await
}

impl Work<'_> {
    /// Goes on to the end from wherever it was left. A file that is neither the old nor the new one was changed by
    /// somebody since: it is left, and named with the reason.
    fn finish(&self) -> At<Vec<(String, String)>> {
        let mut spared = Vec::new();
        for (number, file) in self.record.files.iter().enumerate() {
            let at = |problem| (file.path.clone(), problem);
            match self.tree.look(&file.path) {
                Ok(now) if same(&now, &file.new) => {}
                Ok(now) if same(&now, &file.old) => {
                    self.again(number, file).map_err(at)?;
                    continue;
                }
                Ok(_) => spared.push((file.path.clone(), "it was changed since".to_owned())),
                Err(Problem::Failed(why)) => return Err(at(Problem::Failed(why))),
                Err(problem) => spared.push((file.path.clone(), problem.text().to_owned())),
            }
            reached(self.tree.remove_beside(&file.path, &self.name(number))).map_err(at)?;
        }
        self.end()?;
        Ok(spared)
    }

    /// One file that still is the old one. Somebody may have tidied away what was written beside it.
    fn again(&self, number: usize, file: &ApplyFile) -> Result<(), Problem> {
        if let Some(new) = &file.new
            && !self.tree.has_beside(&file.path, &self.name(number), new)
        {
            for folder in self.tree.missing_folders(&file.path)? {
                self.tree.make_folder(&folder)?;
            }
            self.tree.write_beside(&file.path, &self.name(number), new)?;
        }
        self.one(number, file)
    }
}
