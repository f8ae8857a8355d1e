//! A component that is on this machine: a file, or a folder that is built first.

use std::fs;
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::{Access, SourceError};
use crate::plugin::build::{BuildOptions, build};

/// Reads or builds it. A folder is built beside, not in its own folder: what is installed is what its sources are now.
pub(super) async fn read(path: &Path, access: &Access) -> Result<Vec<u8>, SourceError> {
    let (path, most, options) = (path.to_owned(), access.most_bytes, access.build.clone());
    let working = tokio::task::spawn_blocking(move || blocking(&path, most, options));
    working.await.unwrap_or_else(|error| {
        Err(SourceError::Io { path: PathBuf::new(), why: Error::other(format!("reading it ended early: {error}")) })
    })
}

fn blocking(path: &Path, most: u64, options: BuildOptions) -> Result<Vec<u8>, SourceError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |why| SourceError::Io { path, why }
    };
    if !fs::metadata(path).map_err(io(path))?.is_dir() {
        return file(path, most);
    }
    let beside = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
    let built = build(path, &BuildOptions { out: Some(beside.path().to_owned()), ..options })?;
    file(&built.path, most)
}

fn file(path: &Path, most: u64) -> Result<Vec<u8>, SourceError> {
    let io = |why| SourceError::Io { path: path.to_owned(), why };
    let large = |size| SourceError::TooLarge { what: path.display().to_string(), size, limit: most };
    let metadata = fs::metadata(path).map_err(io)?;
    // Looked at before it is opened: a pipe would be waited for.
    if !metadata.is_file() {
        return Err(io(Error::new(ErrorKind::InvalidInput, "it is not a file")));
    }
    if metadata.len() > most {
        return Err(large(Some(metadata.len())));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io)?;
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most { Err(large(None)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        fs::write(&path, b"12345").unwrap();
        let read = |most| blocking(&path, most, BuildOptions::default());
        assert_eq!(read(5).unwrap(), b"12345");
        assert!(matches!(read(4), Err(SourceError::TooLarge { size: Some(5), limit: 4, .. })));
    }

    #[test]
    fn what_is_no_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path| blocking(path, 5, BuildOptions::default()).unwrap_err().to_string();
        assert!(read(&folder.path().join("x.wasm")).contains("No such file"));
        assert!(read(folder.path()).contains("has no Cargo.toml"), "{}", read(folder.path()));
        assert!(read(Path::new("/dev/zero")).contains("it is not a file"));
    }
}
