//! What the tests have in common: a project in memory, one in a folder, and a way to run what never really waits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use convoke_sdk::{Entry, Error, Kind, Query, Result};

use crate::project::Project;

/// Runs a future that never has to wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// An agent with which not much is wrong.
pub(crate) fn agent(name: &str, body: &str) -> String {
    format!("---\nname: {name}\ndescription: Use when asked.\ntools: Read\n---\n\n{body}\n")
}

/// Whether a path below a folder fits one of the globs that the audit uses.
fn fits(path: &str, globs: &[String]) -> bool {
    fn parts(path: &[&str], glob: &[&str]) -> bool {
        match (path, glob) {
            ([], []) => true,
            (_, ["**", rest @ ..]) => (0..=path.len()).any(|skip| parts(&path[skip..], rest)),
            ([part, path @ ..], [first, glob @ ..]) => {
                let fits = match first.split_once('*') {
                    Some((before, after)) => {
                        part.len() >= before.len() + after.len() && part.starts_with(before) && part.ends_with(after)
                    }
                    None => part == first,
                };
                fits && parts(path, glob)
            }
            _ => false,
        }
    }
    let split = |text: &str| text.trim_start_matches('/').split('/').map(str::to_owned).collect::<Vec<_>>();
    globs.iter().any(|glob| {
        let (path, glob) = (split(path), split(glob));
        parts(
            &path.iter().map(String::as_str).collect::<Vec<_>>(),
            &glob.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    })
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
pub(crate) struct Map {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Folders outside that were not mounted.
    pub(crate) unseen: Vec<String>,
}

impl Map {
    pub(crate) fn of(files: &[&str]) -> Self {
        Self::with(&files.iter().map(|path| (*path, "")).collect::<Vec<_>>())
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Self { files, unseen: Vec::new() }
    }
}

impl Project for Map {
    async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        if self.unseen.contains(&query.under) {
            return Err(Error::new(format!("{} lies outside of the project", query.under)));
        }
        let fits = |path: &str| under(&query.under, path).is_some_and(|path| fits(path, &query.include));
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
pub(crate) struct Disk {
    root: PathBuf,
}

impl Disk {
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
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
        found.retain(|entry| under(&query.under, &entry.path).is_some_and(|path| fits(path, &query.include)));
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
