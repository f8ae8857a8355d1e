//! The folder with the sockets: the user's own, and nobody else can enter it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Makes it, if it is not there, and sees to it that it is private.
///
/// # Errors
/// It can't be made, or is another user's.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    if !metadata.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "it is a link, and must be a folder"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The sockets in it, with the processes that they are of. A folder that is not there has none.
pub fn sockets(folder: &Path) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let socket = |entry: fs::DirEntry| {
        let path = entry.path();
        let pid = path.file_stem()?.to_str()?.parse().ok()?;
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        (is_socket && path.extension().is_some_and(|end| end == "sock")).then_some((pid, path))
    };
    let mut all: Vec<_> = entries.flatten().filter_map(socket).collect();
    all.sort();
    all
}

/// The socket of a process.
pub(super) fn socket_of(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("{pid}.sock"))
}

/// Takes those away that nobody listens on any more: their processes were killed.
pub(super) fn tidy(folder: &Path) {
    for (pid, path) in sockets(folder) {
        let is_refused = UnixStream::connect(&path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        // One that is just beginning has bound it, and does not listen yet.
        if is_refused && (pid == std::process::id() || !is_alive(pid)) {
            // Another one may have been faster.
            let _ = fs::remove_file(path);
        }
    }
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_folder_is_private_also_where_it_was_not() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("deep/control");
        make(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        make(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let link = outer.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(make(&link).is_err(), "what is a link leads elsewhere");
    }

    #[test]
    fn only_what_nobody_listens_on_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let living = UnixListener::bind(socket_of(folder.path(), own)).unwrap();
        // No process has this number: it is beyond the largest.
        drop(UnixListener::bind(socket_of(folder.path(), 2_000_000_000)).unwrap());
        fs::write(folder.path().join("3.sock"), "no socket").unwrap();
        assert_eq!(sockets(folder.path()).len(), 2);
        tidy(folder.path());
        assert_eq!(sockets(folder.path()), [(own, socket_of(folder.path(), own))]);
        drop(living);
        tidy(folder.path());
        assert_eq!(sockets(folder.path()), []);
        assert!(folder.path().join("3.sock").exists(), "what is no socket is left alone");
    }
}
