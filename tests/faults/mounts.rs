//! Disks that are full or can't be written.
//!
//! As root they are real ones: the suite runs in a mount namespace of its own, which the kernel clears away with it.
//! Where that is not to be had, a data folder is not writable by its mode, and there is no full disk; the table says so.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Whether this process has been started in a namespace of its own.
const MARK: &str = "CONVOKE_FAULTS_MOUNTS";

/// Starts this program again in a mount namespace of its own, where that can be had. Else goes on.
pub(crate) fn enter() {
    if std::env::var_os(MARK).is_some() || !rustix::process::geteuid().is_root() {
        return;
    }
    let able = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"])
        .output();
    if able.is_ok_and(|output| output.status.success()) {
        let program = std::env::current_exe().expect("this program");
        let mut again = Command::new("unshare");
        again.args(["--mount", "--propagation", "private"]).arg(program).args(std::env::args_os().skip(1));
        let error = again.env(MARK, "1").exec();
        panic!("it does not start again: {error}");
    }
}

/// Whether there can be disks.
pub(crate) fn can_mount() -> bool {
    std::env::var_os(MARK).is_some()
}

fn mount(arguments: &[&str], place: &Path) {
    let output = Command::new("mount").args(arguments).arg(place).output().expect("mount");
    assert!(output.status.success(), "mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A disk of memory at this place, with much room.
pub(crate) fn disk(place: &Path) {
    mount(&["-t", "tmpfs", "-o", "size=64m,mode=0700", "none"], place);
}

/// Leaves so many bytes of a disk.
pub(crate) fn leave(place: &Path, bytes: u64) {
    let output = Command::new("df").args(["--block-size=1", "--output=used"]).arg(place).output().expect("df");
    let used = String::from_utf8_lossy(&output.stdout).lines().nth(1).and_then(|line| line.trim().parse::<u64>().ok());
    let size = format!("remount,size={}", used.expect("a number") + bytes);
    mount(&["-o", &size], place);
}

/// Gives a disk its room back.
pub(crate) fn enlarge(place: &Path) {
    mount(&["-o", "remount,size=64m"], place);
}

/// Whether a folder can be written.
pub(crate) fn set_writable(place: &Path, writable: bool) {
    if can_mount() {
        mount(&["-o", if writable { "remount,rw" } else { "remount,ro" }], place);
    } else {
        use std::os::unix::fs::PermissionsExt;
        let mode = if writable { 0o700 } else { 0o500 };
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("a mode");
    }
}

/// Takes a disk away.
pub(crate) fn unmount(place: &Path) {
    drop(Command::new("umount").arg("-l").arg(place).output());
}
