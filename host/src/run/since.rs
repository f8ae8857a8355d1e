//! `--since REV`: only what has changed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use convoke_runtime::work::Item;
use serde::{Deserialize, Serialize};

/// The files that have changed since a revision, those that git doesn't track included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// As the user named it.
    pub revision: String,
    changed: BTreeSet<String>,
}

/// Why it can't be told what has changed.
#[derive(Debug, thiserror::Error)]
pub enum SinceError {
    /// Looks like an option.
    #[error("`{0}` is not a revision")]
    NotARevision(String),
    /// There is no git to ask.
    #[error("`--since` needs git: {0}")]
    NoGit(std::io::Error),
    /// Git says no.
    #[error("git can't tell what has changed since `{revision}`: {reason}")]
    Git {
        /// As the user named it.
        revision: String,
        /// What git said.
        reason: String,
    },
}

impl Since {
    /// Asks git.
    ///
    /// # Errors
    /// When there is no git, no repository, or no such revision.
    pub fn new(root: &Path, revision: &str) -> Result<Self, SinceError> {
        if revision.starts_with('-') || revision.is_empty() {
            return Err(SinceError::NotARevision(revision.to_owned()));
        }
        let diff = [
            "diff",
            "--name-only",
            "-z",
            "--relative",
            "--no-ext-diff",
            "--no-textconv",
            "--end-of-options",
            revision,
            "--",
        ];
        let mut changed = git(root, revision, &diff)?;
        changed.extend(git(root, revision, &["ls-files", "--others", "--exclude-standard", "-z"])?);
        Ok(Self { revision: revision.to_owned(), changed })
    }

    /// Keeps the items that are about a changed file: by their id, or by what they write. An item whose id is no path
    /// below the project can't be judged, and stays.
    pub fn keep(&self, items: &mut Vec<Item>) {
        items.retain(|item| {
            let about = std::iter::once(&item.id).chain(&item.writes);
            about.clone().any(|path| self.touches(path)) || !looks_like_a_path(&item.id)
        });
    }

    fn touches(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.changed.contains(path)
            || self.changed.range(folder.clone()..).next().is_some_and(|changed| changed.starts_with(&folder))
    }
}

fn looks_like_a_path(id: &str) -> bool {
    (id.contains('/') || id.contains('.')) && !id.contains(char::is_whitespace)
}

/// A project's own configuration of git must not run programs.
fn git(root: &Path, revision: &str, arguments: &[&str]) -> Result<BTreeSet<String>, SinceError> {
    let output = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"])
        .args(arguments.iter().map(OsStr::new))
        .current_dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(SinceError::NoGit)?;
    if !output.status.success() {
        let reason =
            String::from_utf8_lossy(&output.stderr).trim().lines().next().unwrap_or("no reason given").to_owned();
        return Err(SinceError::Git { revision: revision.to_owned(), reason });
    }
    Ok(output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(ids: &[&str]) -> Vec<Item> {
        ids.iter().map(|id| Item { id: (*id).to_owned(), ..Item::default() }).collect()
    }

    #[test]
    fn what_has_not_changed_is_left_out_and_what_is_no_path_stays() {
        let since = Since { revision: "main".to_owned(), changed: ["a/b.md", "c/d/e.md"].map(str::to_owned).into() };
        let mut kept = items(&["a/b.md", "a/x.md", "c/d", "c/other", "conclusion of it all", "cargo"]);
        since.keep(&mut kept);
        assert_eq!(
            kept.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(),
            ["a/b.md", "c/d", "conclusion of it all", "cargo"]
        );
    }

    #[test]
    fn an_option_is_not_a_revision() {
        assert!(matches!(Since::new(Path::new("."), "--output=/tmp/x"), Err(SinceError::NotARevision(_))));
    }
}
