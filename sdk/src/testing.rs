//! For tests of a command's own functions, without a host: a project in memory, one in a folder, and a way to run what never
//! really waits. What stands here panics where a test would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::{Entry, Error, Kind, Project, Query, Result};

/// Runs a future that never has to wait.
///
/// # Panics
/// When it waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// Whether a path below a folder is in a query's listing: its globs are those of `.gitignore`, as the host's. What `.gitignore`
/// itself says is not looked at.
fn fits(path: &str, query: &Query) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let is_hidden = parts.iter().any(|part| part.starts_with('.'));
    (query.hidden || !is_hidden)
        && !parts.contains(&".git")
        && (query.include.is_empty() || query.include.iter().any(|glob| glob_fits(&parts, glob)))
        && !query.exclude.iter().any(|glob| glob_fits(&parts, glob))
}

/// A glob without a slash fits at any depth, one with a slash from the folder on; what fits a folder fits all that is in it.
fn glob_fits(path: &[&str], glob: &str) -> bool {
    let (glob, folders_only) = match glob.strip_suffix('/') {
        Some(glob) => (glob, true),
        None => (glob, false),
    };
    let mut parts: Vec<&str> = glob.trim_start_matches('/').split('/').collect();
    if !glob.contains('/') {
        parts.insert(0, "**");
    }
    let longest = if folders_only { path.len() - 1 } else { path.len() };
    (1..=longest).any(|length| parts_fit(&path[..length], &parts))
}

fn parts_fit(path: &[&str], glob: &[&str]) -> bool {
    match (path, glob) {
        ([], []) => true,
        // At the end it stands for what is in a folder, not for the folder.
        (path, ["**"]) => !path.is_empty(),
        (_, ["**", rest @ ..]) => (0..=path.len()).any(|skip| parts_fit(&path[skip..], rest)),
        ([part, path @ ..], [first, glob @ ..]) => {
            part_fits(part.as_bytes(), first.as_bytes()) && parts_fit(path, glob)
        }
        _ => false,
    }
}

/// `*`, `?` and classes of characters: `[Cc]argo.*`.
fn part_fits(part: &[u8], glob: &[u8]) -> bool {
    match (part, glob) {
        ([], []) => true,
        (_, [b'*', rest @ ..]) => (0..=part.len()).any(|skip| part_fits(&part[skip..], rest)),
        ([_, part @ ..], [b'?', rest @ ..]) => part_fits(part, rest),
        ([byte, part @ ..], [b'[', rest @ ..]) => {
            let end = rest.iter().position(|byte| *byte == b']').expect("a class that is closed");
            rest[..end].contains(byte) && part_fits(part, &rest[end + 1..])
        }
        ([byte, part @ ..], [same, rest @ ..]) => byte == same && part_fits(part, rest),
        _ => false,
    }
}

fn under<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder.is_empty() {
        Some(path).filter(|path| !path.starts_with("../"))
    } else {
        path.strip_prefix(folder)?.strip_prefix('/')
    }
}

/// A project in memory.
#[derive(Default)]
pub struct Map {
    /// The files by their paths.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Folders outside that were not mounted.
    pub unseen: Vec<String>,
}

impl Map {
    /// Empty files.
    pub fn of(files: &[&str]) -> Self {
        Self::with(&files.iter().map(|path| (*path, "")).collect::<Vec<_>>())
    }

    /// Files and what is in them.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Self { files, unseen: Vec::new() }
    }
}

impl Project for Map {
    async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        if self.unseen.contains(&query.under) {
            return Err(Error::new(format!("{} lies outside of the project", query.under)));
        }
        let fits = |path: &str| under(&query.under, path).is_some_and(|path| fits(path, query));
        let entry = |(path, bytes): (&String, &Vec<u8>)| Entry {
            path: path.clone(),
            kind: Kind::File,
            size: bytes.len() as u64,
        };
        Ok(self.files.iter().filter(|(path, _)| fits(path)).map(entry).collect())
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| Error::new(format!("{path} is not there")))
    }

    async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        let size = self.files.get(path).map_or(0, |bytes| bytes.len() as u64);
        Ok(self.exists(path).await?.map(|kind| Entry { path: path.to_owned(), kind, size }))
    }

    async fn exists(&self, path: &str) -> Result<Option<Kind>> {
        if self.files.contains_key(path) {
            return Ok(Some(Kind::File));
        }
        Ok(self.files.keys().any(|file| under(path, file).is_some()).then_some(Kind::Folder))
    }
}

/// A project in a folder of the disk.
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The project whose folder this is.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn walk(&self, folder: &Path, found: &mut Vec<Entry>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.walk(&path, found);
            } else {
                let size = path.metadata().expect("metadata").len();
                let path = path.strip_prefix(&self.root).expect("below the root").to_str().expect("UTF-8").to_owned();
                found.push(Entry { path, kind: Kind::File, size });
            }
        }
    }
}

impl Project for Disk {
    async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        self.walk(&self.root, &mut found);
        found.retain(|entry| under(&query.under, &entry.path).is_some_and(|path| fits(path, query)));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>> {
        std::fs::read(self.root.join(path)).map_err(|error| Error::new(error.to_string()))
    }

    async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        let size = std::fs::metadata(self.root.join(path)).map_or(0, |metadata| metadata.len());
        Ok(self.exists(path).await?.map(|kind| Entry { path: path.to_owned(), kind, size }))
    }

    async fn exists(&self, path: &str) -> Result<Option<Kind>> {
        let path = self.root.join(path);
        Ok(if path.is_dir() { Some(Kind::Folder) } else { path.is_file().then_some(Kind::File) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(files: &[&str], query: &Query) -> Vec<String> {
        let found = now(Map::of(files).list(query)).expect("a listing");
        found.into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn globs_are_those_of_gitignore() {
        let files = ["Cargo.toml", "a/Cargo.toml", "a/b/cargo.toml", "a/notes.md", "docs/x.md", "x/docs/y.md"];
        for (glob, expected) in [
            ("Cargo.toml", &["Cargo.toml", "a/Cargo.toml"][..]),
            ("/Cargo.toml", &["Cargo.toml"]),
            ("[Cc]argo.t?ml", &["Cargo.toml", "a/Cargo.toml", "a/b/cargo.toml"]),
            ("*o*s*.md", &["a/notes.md"]),
            ("docs", &["docs/x.md", "x/docs/y.md"]),
            ("docs/", &["docs/x.md", "x/docs/y.md"]),
            ("docs/*.md", &["docs/x.md"]),
            ("**/docs/*.md", &["docs/x.md", "x/docs/y.md"]),
            ("a/**", &["a/Cargo.toml", "a/b/cargo.toml", "a/notes.md"]),
            ("a/**/cargo.toml", &["a/b/cargo.toml"]),
        ] {
            assert_eq!(listed(&files, &Query::files(&[glob])), expected, "{glob}");
        }
    }

    #[test]
    fn what_is_hidden_or_excluded_is_left_out() {
        let files = [".a/x.md", ".git/x.md", "b/.x.md", "b/x.md", "c/x.md"];
        assert_eq!(listed(&files, &Query::files(&["*.md"])), ["b/x.md", "c/x.md"]);
        assert_eq!(listed(&files, &Query::files(&[]).hidden()), [".a/x.md", "b/.x.md", "b/x.md", "c/x.md"]);
        assert_eq!(listed(&files, &Query::files(&["*.md"]).except(&["c/"])), ["b/x.md"]);
        assert_eq!(listed(&files, &Query::files(&["*.md"]).under("b")), ["b/x.md"]);
    }
}
