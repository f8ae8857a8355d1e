//! A copy of the project for tools that write, and what they changed in it.
//!
//! The project itself is never written: the differences become proposed edits. What git ignores is not copied, and nor
//! are links: a copy must not lead back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use sha2::{Digest, Sha256};

use crate::work::{Change, Edit, Replacement};

/// The largest project that is copied, in files and in bytes.
const MOST_FILES: usize = 20_000;
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// The largest change that becomes edits, in files and in bytes of text.
const MOST_CHANGED: usize = 200;
const MOST_TEXT: usize = 8 * 1024 * 1024;

/// Why there is no copy, or no edits.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScratchError {
    /// The project can't be read, or the copy not be written.
    #[error("the copy of the project: {0}")]
    Io(#[from] io::Error),
    /// It can't be walked.
    #[error("the copy of the project: {0}")]
    Walk(#[from] ignore::Error),
    /// It is too large.
    #[error("the project has more than {MOST_FILES} files or {} MiB, too much to copy for a tool that writes", MOST_BYTES >> 20)]
    TooLarge,
    /// What was changed is too much.
    #[error("the tools changed more than {MOST_CHANGED} files or {} MiB of text", MOST_TEXT >> 20)]
    TooMuch,
    /// What was changed is no text.
    #[error("the tools changed {0}, which is no text in UTF-8")]
    Binary(String),
}

/// The copy.
#[derive(Debug)]
pub(super) struct Scratch {
    copy: PathBuf,
    /// The digest of each file, by its path with `/`.
    files: BTreeMap<String, [u8; 32]>,
    project: PathBuf,
}

impl Scratch {
    /// Copies a project into an empty folder.
    pub(super) fn copy(project: &Path, copy: &Path) -> Result<Self, ScratchError> {
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        for (name, path) in walk(project, true)? {
            let content = fs::read(&path)?;
            bytes += content.len() as u64;
            if files.len() >= MOST_FILES || bytes > MOST_BYTES {
                return Err(ScratchError::TooLarge);
            }
            let target = copy.join(&name);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&target, &content)?;
            fs::set_permissions(&target, fs::metadata(&path)?.permissions())?;
            files.insert(name, digest(&content));
        }
        Ok(Self { copy: copy.to_owned(), files, project: project.to_owned() })
    }

    /// What was changed in it, as edits of the project, by path.
    pub(super) fn edits(&self, reason: &str) -> Result<Vec<Edit>, ScratchError> {
        let mut edits = Vec::new();
        let mut text = 0;
        let mut seen = BTreeMap::new();
        for (name, path) in walk(&self.copy, false)? {
            let content = fs::read(&path)?;
            let digest = digest(&content);
            let before = self.files.get(&name);
            if before != Some(&digest) {
                let utf8 = |bytes| String::from_utf8(bytes).map_err(|_| ScratchError::Binary(name.clone()));
                let now = utf8(content)?;
                text += now.len();
                let change = match before {
                    None => Change::Create(now),
                    Some(_) => Change::Replace(vec![difference(&utf8(fs::read(self.project.join(&name))?)?, &now)]),
                };
                let base = before.map(hex);
                edits.push(Edit { path: name.clone(), base, change, reason: reason.to_owned() });
            }
            if edits.len() > MOST_CHANGED || text > MOST_TEXT {
                return Err(ScratchError::TooMuch);
            }
            seen.insert(name, ());
        }
        let gone = self.files.iter().filter(|(name, _)| !seen.contains_key(*name));
        edits.extend(gone.map(|(name, digest)| Edit {
            path: name.clone(),
            base: Some(hex(digest)),
            change: Change::Delete,
            reason: reason.to_owned(),
        }));
        if edits.len() > MOST_CHANGED {
            return Err(ScratchError::TooMuch);
        }
        edits.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(edits)
    }
}

/// The files of a folder, with their paths in it; links are passed over.
fn walk(folder: &Path, by_git: bool) -> Result<Vec<(String, PathBuf)>, ScratchError> {
    let mut files = Vec::new();
    let mut walk = WalkBuilder::new(folder);
    walk.standard_filters(false).follow_links(false).require_git(false).sort_by_file_name(Ord::cmp);
    walk.git_ignore(by_git).git_exclude(by_git).git_global(false).filter_entry(|entry| entry.file_name() != ".git");
    for entry in walk.build() {
        let entry = entry?;
        let name = entry.path().strip_prefix(folder).ok().and_then(Path::to_str);
        // A name that is not UTF-8 can't stand in an edit.
        let Some(name) = name else { continue };
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.push((name.replace(std::path::MAIN_SEPARATOR, "/"), entry.path().to_owned()));
        }
    }
    Ok(files)
}

/// What lies between the beginning and the end that two texts have in common.
fn difference(before: &str, now: &str) -> Replacement {
    let same = |(one, other): &(char, char)| one == other;
    let head: usize = before.chars().zip(now.chars()).take_while(same).map(|(one, _)| one.len_utf8()).sum();
    let (rest_before, rest_now) = (&before[head..], &now[head..]);
    let tail: usize =
        rest_before.chars().rev().zip(rest_now.chars().rev()).take_while(same).map(|(one, _)| one.len_utf8()).sum();
    Replacement {
        start: head as u64,
        end: (before.len() - tail) as u64,
        text: rest_now[..rest_now.len() - tail].to_owned(),
    }
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_changed_made_and_removed_in_the_copy_becomes_edits_and_the_project_stays() {
        let project = project(&[("a.txt", "one two three"), ("dir/b.txt", "b"), ("same.txt", "s")]);
        let copy = tempfile::tempdir().unwrap();
        let scratch = Scratch::copy(project.path(), copy.path()).unwrap();
        assert_eq!(scratch.edits("r").unwrap(), []);
        fs::write(copy.path().join("a.txt"), "one 2 three").unwrap();
        fs::remove_file(copy.path().join("dir/b.txt")).unwrap();
        fs::write(copy.path().join("new.txt"), "n").unwrap();
        let edits = scratch.edits("r").unwrap();
        let changes: Vec<(&str, &Change)> = edits.iter().map(|edit| (edit.path.as_str(), &edit.change)).collect();
        let replaced = Change::Replace(vec![Replacement { start: 4, end: 7, text: "2".to_owned() }]);
        assert_eq!(
            changes,
            [("a.txt", &replaced), ("dir/b.txt", &Change::Delete), ("new.txt", &Change::Create("n".to_owned()))]
        );
        assert_eq!(edits[0].base.as_deref(), Some(hex(&digest(b"one two three")).as_str()));
        assert_eq!(fs::read_to_string(project.path().join("a.txt")).unwrap(), "one two three");
    }

    #[test]
    fn a_replacement_is_what_lies_between_also_of_texts_that_repeat() {
        for (before, now) in
            [("aaa", "aa"), ("aa", "aaa"), ("", "x"), ("x", ""), ("äöü", "äü"), ("ä", "ö"), ("ab", "ba")]
        {
            let Replacement { start, end, text } = difference(before, now);
            let mut changed = before.to_owned();
            changed.replace_range(start as usize..end as usize, &text);
            assert_eq!(changed, now, "{before} to {now}");
        }
    }

    #[test]
    fn neither_git_nor_what_it_ignores_nor_a_link_is_copied() {
        let project =
            project(&[(".gitignore", "target\n"), (".git/config", "x"), ("target/big", "x"), (".env.example", "x")]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc", project.path().join("link")).unwrap();
        let copy = tempfile::tempdir().unwrap();
        let scratch = Scratch::copy(project.path(), copy.path()).unwrap();
        let names: Vec<&str> = scratch.files.keys().map(String::as_str).collect();
        assert_eq!(names, [".env.example", ".gitignore"]);
    }

    #[test]
    fn a_change_that_is_no_text_is_told() {
        let project = project(&[("a.txt", "a")]);
        let copy = tempfile::tempdir().unwrap();
        let scratch = Scratch::copy(project.path(), copy.path()).unwrap();
        fs::write(copy.path().join("a.txt"), [0xff, 0xfe]).unwrap();
        assert!(matches!(scratch.edits("r"), Err(ScratchError::Binary(name)) if name == "a.txt"));
    }
}
