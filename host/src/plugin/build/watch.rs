//! Whether the sources of a plugin have changed, for `convoke dev`.
//!
//! It is looked a few times a second, at lengths and times: a plugin has few files, and this works wherever they lie, where
//! not every file system tells of its changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ignore::WalkBuilder;

use super::python;

/// Folders in which builds keep what they make.
const MADE: [&str; 3] = ["target", ".venv", "__pycache__"];

/// More files than a plugin has. Those beyond are not looked at.
const MOST_FILES: usize = 20_000;

/// What changes when a file does.
type Stamps = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// The sources of a plugin, as they were at the last build.
#[derive(Debug)]
pub struct Sources {
    folder: PathBuf,
    built: Stamps,
    /// How it was at the last look, where that differs from the build: it may not be whole yet.
    unsettled: Option<Stamps>,
}

impl Sources {
    /// The sources below a folder, as they are now.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), built: stamps(folder), unsettled: None }
    }

    /// The first file that has changed since the last build, once: from then on this is how it is. What is still being
    /// written counts when it has stayed the same from one look to the next.
    pub fn changed(&mut self) -> Option<PathBuf> {
        let now = stamps(&self.folder);
        if now == self.built {
            self.unsettled = None;
            return None;
        }
        if self.unsettled.as_ref() != Some(&now) {
            self.unsettled = Some(now);
            return None;
        }
        let gone = self.built.keys().find(|path| !now.contains_key(*path));
        let first = now.iter().find(|(path, stamp)| self.built.get(*path) != Some(*stamp)).map(|(path, _)| path);
        let first = first.or(gone).cloned();
        self.built = now;
        self.unsettled = None;
        first
    }
}

/// What is made is no source, nor what git ignores. Of Python only what the component is made of: it is another one with
/// each build, so a build for nothing could not be told from one for something.
fn stamps(folder: &Path) -> Stamps {
    let only_python = python::is_python(folder);
    let is_source = move |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if only_python { matches!(extension, "py" | "toml") } else { extension != "wasm" }
    };
    let is_made = |name: &std::ffi::OsStr| MADE.iter().any(|made| name == *made);
    let mut walk = WalkBuilder::new(folder);
    walk.require_git(false).filter_entry(move |entry| entry.depth() == 0 || !is_made(entry.file_name()));
    let files = walk.build().filter_map(Result::ok).filter(|entry| is_source(entry.path()));
    let stamp = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some((path, (metadata.len(), metadata.modified().ok())))
    };
    files.filter_map(|entry| stamp(entry.into_path())).take(MOST_FILES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What three looks say.
    fn looks(sources: &mut Sources) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        (0..3).filter_map(|_| sources.changed()).map(name).collect()
    }

    #[test]
    fn a_change_is_seen_once_and_what_is_made_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "Cargo.toml", "");
        write(folder, "src/lib.rs", "a");
        write(folder, ".gitignore", "/out\n");
        let mut sources = Sources::new(folder);
        assert_eq!(looks(&mut sources), [""; 0]);
        write(folder, "src/lib.rs", "ab");
        assert_eq!(looks(&mut sources), ["lib.rs"]);
        write(folder, "src/more.rs", "");
        assert_eq!(looks(&mut sources), ["more.rs"]);
        fs::remove_file(folder.join("src/more.rs")).unwrap();
        assert_eq!(looks(&mut sources), ["more.rs"]);
        for made in ["target/x", "x.wasm", "out/x", ".venv/x.py", "src/__pycache__/x"] {
            write(folder, made, "a");
        }
        assert_eq!(looks(&mut sources), [""; 0]);
    }

    #[test]
    fn what_is_being_written_counts_when_it_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "Cargo.toml", "");
        let mut sources = Sources::new(folder.path());
        write(folder.path(), "a.rs", "1");
        assert_eq!(sources.changed(), None);
        write(folder.path(), "a.rs", "12");
        assert_eq!(sources.changed(), None);
        assert_eq!(sources.changed(), Some(folder.path().join("a.rs")));
        // There and back again is no change.
        write(folder.path(), "b.rs", "1");
        assert_eq!(sources.changed(), None);
        fs::remove_file(folder.path().join("b.rs")).unwrap();
        assert_eq!(looks(&mut sources), [""; 0]);
    }

    #[test]
    fn of_python_only_what_the_component_is_made_of_counts() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "app.py", "");
        let mut sources = Sources::new(folder.path());
        write(folder.path(), "report.json", "{}");
        assert_eq!(looks(&mut sources), [""; 0]);
        write(folder.path(), "more.py", "a");
        assert_eq!(looks(&mut sources), ["more.py"]);
    }
}
