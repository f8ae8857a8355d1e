//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file so that a reader, a crash or a power loss finds either the old content or the new one: a temporary
/// file beside it, flushed to disk, renamed over it, and the folder flushed.
///
/// `mode` is the permission bits on Unix. Without it a new file has those of the umask, and an old one keeps its own.
/// A symbolic link is followed, so that it stays one. Missing folders are made.
///
/// # Errors
///
/// What the system says, and an error where the path is there but is not a file.
pub fn write_atomic(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let old = match fs::metadata(&target) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there, and is not a file"));
        }
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = new_file(folder, mode)?;
    file.write_all(content)?;
    match (mode, old) {
        (Some(mode), _) => set_mode(file.as_file(), mode)?,
        (None, Some(old)) => file.as_file().set_permissions(old)?,
        (None, None) => {}
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Reads a text file of at most `largest` bytes. A device or a pipe is refused before it is opened.
///
/// # Errors
///
/// What the system says, and an error where it is no file, too large, or not UTF-8.
pub fn read_text(path: &Path, largest: u64) -> io::Result<String> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    if !fs::metadata(path)?.is_file() {
        return Err(invalid("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(invalid(format!("it is larger than {largest} bytes")));
    }
    String::from_utf8(bytes)
        .map_err(|error| invalid(format!("it is not UTF-8 from byte {} on", error.utf8_error().valid_up_to())))
}

#[cfg(unix)]
fn new_file(folder: &Path, mode: Option<u32>) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    // 0666 is what the umask narrows for any new file; a temporary file would otherwise be the user's alone.
    tempfile::Builder::new()
        .prefix(".convoke-")
        .permissions(fs::Permissions::from_mode(mode.unwrap_or(0o666)))
        .tempfile_in(folder)
}

#[cfg(not(unix))]
fn new_file(folder: &Path, _: Option<u32>) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".convoke-").tempfile_in(folder)
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_replaces_the_content_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file.json");
        write_atomic(&path, b"one", None).unwrap();
        write_atomic(&path, b"two", None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_atomic(folder.path(), b"x", None).unwrap_err().to_string().contains("not a file"));
    }

    #[test]
    #[cfg(unix)]
    fn modes_are_as_asked_or_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write_atomic(&path, b"x", Some(0o600)).unwrap();
        assert_eq!(mode(), 0o600);
        write_atomic(&path, b"y", None).unwrap();
        assert_eq!(mode(), 0o600, "an old file keeps its own");
        let plain = folder.path().join("plain");
        write_atomic(&plain, b"x", None).unwrap();
        let ordinary = folder.path().join("ordinary");
        fs::write(&ordinary, "x").unwrap();
        let of = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(of(&plain), of(&ordinary), "a new one is like any other");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_atomic(&link, b"new", None).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn what_is_read_is_bounded_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "four").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "four");
        assert!(read_text(&path, 3).unwrap_err().to_string().contains("larger than 3 bytes"));
        fs::write(&path, [b'a', 0xff]).unwrap();
        assert!(read_text(&path, 4).unwrap_err().to_string().contains("byte 1"));
        assert!(read_text(folder.path(), 4).unwrap_err().to_string().contains("not a file"));
    }
}
