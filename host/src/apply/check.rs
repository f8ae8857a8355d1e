//! Whether all of it can be done, and what exactly it is. Nothing is changed by it.

use std::collections::{BTreeMap, BTreeSet};

use convoke_runtime::journal::{ApplyFile, FileContent};
use icu_normalizer::ComposingNormalizerBorrowed;

use super::tree::{Tree, parts};
use super::{ApplyError, Problem, What, Wish, same};
use crate::report::edits::{changed, unified};

/// So many bytes are kept of a run's edits, old and new content together.
pub const MOST: u64 = 64 << 20;

/// What is to be done, all of which can be.
#[derive(Debug)]
pub(super) struct Checked {
    /// Without those that are so already.
    pub(super) files: Vec<ApplyFile>,
    /// Folders to be made, the outer ones first.
    pub(super) folders: Vec<String>,
}

/// Looks at all files, and finds everything that hinders.
pub(super) fn check(tree: &Tree, wishes: &[Wish]) -> Result<Checked, ApplyError> {
    let mut problems = clashes(wishes);
    let (mut files, mut folders) = (Vec::new(), BTreeSet::new());
    let mut bytes = 0;
    for wish in wishes {
        match one(tree, wish) {
            Ok(None) => {}
            Ok(Some((file, missing))) => {
                let length = |content: &Option<FileContent>| content.as_ref().map_or(0, |content| content.bytes.len());
                bytes += (length(&file.old) + length(&file.new)) as u64;
                if bytes <= MOST {
                    files.push(file);
                }
                folders.extend(missing);
            }
            Err(problem) => problems.push((wish.path.clone(), problem)),
        }
    }
    if !problems.is_empty() {
        problems.sort_by(|(one, _), (other, _)| one.cmp(other));
        return Err(ApplyError::Hindered(problems));
    }
    if bytes > MOST {
        return Err(ApplyError::TooMuch(bytes));
    }
    Ok(Checked { files, folders: folders.into_iter().collect() })
}

/// What is done to a file, and the folders that it needs; none: it is so already.
fn one(tree: &Tree, wish: &Wish) -> Result<Option<(ApplyFile, Vec<String>)>, Problem> {
    parts(&wish.path)?;
    let old = tree.look(&wish.path)?;
    let new = match &wish.what {
        What::Edit { base, change } => {
            let now = old.as_ref().map(|content| content.bytes.as_slice());
            let bytes = changed(change, base.as_deref(), now).map_err(Problem::Conflict)?;
            bytes.map(|bytes| FileContent { bytes, rights: old.as_ref().and_then(|old| old.rights) })
        }
        What::Restore { from, to, maybe } if same(&old, from) || (*maybe && same(&old, to)) => to.clone(),
        What::Restore { from, .. } => return Err(since(&wish.path, from, &old)),
    };
    if same(&old, &new) {
        return Ok(None);
    }
    let missing = if new.is_some() { tree.missing_folders(&wish.path)? } else { Vec::new() };
    Ok(Some((ApplyFile { path: wish.path.clone(), old, new, spared: None }, missing)))
}

/// What somebody did to a file since it was written.
fn since(path: &str, written: &Option<FileContent>, now: &Option<FileContent>) -> Problem {
    let (why, diff) = match (written, now) {
        (Some(_), None) => ("it was removed since", None),
        (None, Some(_)) => ("it was made anew since", None),
        (Some(written), Some(now)) if written.bytes == now.bytes => {
            ("its owner or permissions were changed since", None)
        }
        (Some(written), Some(now)) => ("it was changed since", unified(path, Some(&written.bytes), Some(&now.bytes))),
        (None, None) => ("it is not there", None),
    };
    Problem::Changed(why.to_owned(), diff)
}

/// Edits of which one would hinder the other: of one file, also where only some file systems take its two names for the
/// same, and of a file and something inside of it.
fn clashes(wishes: &[Wish]) -> Vec<(String, Problem)> {
    let mut names: BTreeMap<String, &Wish> = BTreeMap::new();
    let mut problems = Vec::new();
    for wish in wishes {
        if let Some(other) = names.insert(folded(&wish.path), wish) {
            let why = if other.path == wish.path {
                "two edits are about it".to_owned()
            } else {
                format!("some file systems take {} for the same name", other.path)
            };
            problems.push((wish.path.clone(), Problem::Conflict(why)));
        }
    }
    for wish in wishes {
        let folded = folded(&wish.path);
        let above = folded.match_indices('/').find_map(|(at, _)| names.get(&folded[..at]));
        if let Some(above) = above {
            let why = format!("another edit takes {} for a file", above.path);
            problems.push((wish.path.clone(), Problem::Conflict(why)));
        }
    }
    problems
}

/// The same for all names that some file system takes for one: without case, and composed.
fn folded(path: &str) -> String {
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    // By way of upper case, which has one form for more letters.
    let caseless = nfc.normalize(path).to_uppercase().to_lowercase();
    nfc.normalize(&caseless).into_owned()
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Change;

    use super::*;

    fn clashing(paths: &[&str]) -> Vec<String> {
        let what = What::Edit { base: None, change: Change::Create(String::new()) };
        let wishes: Vec<Wish> =
            paths.iter().map(|path| Wish { path: (*path).to_owned(), what: what.clone() }).collect();
        clashes(&wishes).into_iter().map(|(path, problem)| format!("{path}: {}", problem.text())).collect()
    }

    #[test]
    fn names_that_some_file_system_takes_for_the_same_clash() {
        for pair in [["a.md", "A.MD"], ["é", "e\u{301}"], ["STRASSE", "straße"], ["dir/a", "DIR/A"], ["K", "\u{212a}"]]
        {
            assert_eq!(clashing(&pair).len(), 1, "{pair:?}");
        }
        assert_eq!(clashing(&["a.md", "a.md"]), ["a.md: two edits are about it"]);
        assert_eq!(clashing(&["a.md", "b.md", "dir/a.md"]), [""; 0]);
    }

    #[test]
    fn a_file_and_what_is_inside_of_it_clash() {
        assert_eq!(clashing(&["a/b/c", "A"]), ["a/b/c: another edit takes A for a file"]);
        assert_eq!(clashing(&["a/b", "ab"]), [""; 0]);
    }
}
