//! A journal that can't be used: the message says which file and what to do, nothing is touched, and nothing is paid for
//! that can't be kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use convoke_standin::{Config, Latency, Standin};
use rusqlite::Connection;

use crate::support::{Report, World, quick, standin, until};

/// A user with a journal of a run over so many agents, and its path.
async fn with_journal(agents: usize) -> (World, PathBuf) {
    let world = World::with_agents(agents);
    world.audit([]).run().await.exits(0);
    let path = world.path("data/journal.db");
    (world, path)
}

/// What lies in a folder: each file's name and content.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        // What processes use to look at a log together; it holds nothing.
        .filter(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "db-shm"))
        .map(|path| (path.clone(), fs::read(&path).expect("a file")))
        .filter(|(path, bytes)| !(bytes.is_empty() && path.extension().is_some_and(|extension| extension == "db-wal")))
        .collect();
    files.sort();
    files
}

/// A command, a list and a removal all refuse, say these words and the journal's path, and leave what there is.
async fn all_refuse(world: &World, words: &str, hint: &str) {
    let standin = quick().await;
    let before = content(&world.path("data"));
    for call in [world.audit(["--fresh"]), world.convoke(["runs"]), world.convoke(["runs", "prune", "--keep", "0"])] {
        let done = call.asking(&standin).run().await.exits(2).reports_nothing();
        done.says(words).says("journal.db").says(hint);
    }
    assert_eq!(standin.stats().requests, 0, "nothing is paid for that can't be kept");
    let after = content(&world.path("data"));
    assert!(after == before, "what was there is left as it was");
}

#[tokio::test]
async fn a_journal_with_a_broken_head_is_left_alone() {
    let (world, path) = with_journal(2).await;
    let mut bytes = fs::read(&path).expect("a journal");
    bytes[..64].fill(b'x');
    fs::write(&path, bytes).expect("written");
    all_refuse(&world, "is not a journal of convoke", "Move it away").await;
}

#[tokio::test]
async fn a_journal_with_broken_pages_is_damaged_and_left_alone() {
    let (world, path) = with_journal(40).await;
    let mut bytes = fs::read(&path).expect("a journal");
    // All but the first page, which says what it is.
    bytes[4_096..].fill(0x5a);
    fs::write(&path, bytes).expect("written");
    all_refuse(&world, "is damaged", "Move the file away, and with it those").await;
}

#[tokio::test]
async fn a_journal_that_was_cut_off_is_damaged_and_left_alone() {
    let (world, path) = with_journal(20).await;
    let bytes = fs::read(&path).expect("a journal");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    all_refuse(&world, "is damaged", "Move the file away, and with it those").await;
}

#[tokio::test]
async fn a_journal_of_a_later_convoke_is_left_alone() {
    let (world, path) = with_journal(2).await;
    Connection::open(&path).and_then(|journal| journal.execute_batch("PRAGMA user_version = 999")).expect("written");
    all_refuse(&world, "has format 999", "Use the convoke that wrote it").await;
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_journal_is_left_alone() {
    let world = World::with_agents(1);
    fs::create_dir(world.path("data/journal.db")).expect("a folder");
    fs::write(world.path("data/journal.db/mine"), "mine").expect("written");
    all_refuse(&world, "is not a journal of convoke", "Move it away").await;
    assert_eq!(fs::read(world.path("data/journal.db/mine")).expect("still there"), b"mine");
}

#[tokio::test]
async fn a_log_with_broken_pages_costs_what_was_behind_them_and_no_more() {
    let standin = standin(Config { latency: Latency::of(60, 0.0), ..Config::default() }).await;
    let world = World::with_agents(16);
    let running = world.audit(["--instances", "2"]).asking(&standin).start().await;
    until("eight answers", || standin.stats().answered >= 8).await;
    running.kill();
    running.end().await;
    let log = world.path("data/journal.db-wal");
    let mut bytes = fs::read(&log).expect("a log");
    let last = bytes.len() * 9 / 10;
    bytes[last..].fill(0x5a);
    fs::write(&log, bytes).expect("written");
    let report = world.audit(["--no-cache"]).asking(&standin).run().await.exits(0).report();
    assert_eq!(report.count("done") + report.count("cached"), 16, "{}", report.census());
    assert!(report.count("cached") >= 1, "what was before them is still there: {}", report.census());
}

#[tokio::test]
async fn a_journal_that_another_process_keeps_locked_can_be_read_and_is_waited_for() {
    let (world, path) = with_journal(2).await;
    let other = Connection::open(&path).expect("a journal");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let listed = world.convoke(["runs"]).run().await.exits(0).stdout;
    assert!(listed.contains("completed"), "{listed}");
    let refused = world.audit([]).run().await.exits(2).reports_nothing();
    refused.says("is locked by another process").says("journal.db").says("wait for it or stop it");
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert_eq!(world.audit([]).run().await.report().census(), "cached 2");
}

/// A folder that nobody can write to, until it is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// None where that can't be had here.
    fn make(folder: &Path) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).expect("permissions");
        let made = Self(folder.to_owned());
        // Whoever may everything is not kept out by permissions.
        if fs::write(folder.join("probe"), "").is_err() {
            return Some(made);
        }
        fs::remove_file(folder.join("probe")).expect("removed");
        let name = folder.to_str().expect("UTF-8");
        let mounted = mount(&["--bind", name, name]) && mount(&["-o", "remount,bind,ro", name]);
        mounted.then_some(made)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        use std::os::unix::fs::PermissionsExt as _;
        unmount(&self.0);
        let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755));
    }
}

pub(crate) fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).output().is_ok_and(|output| output.status.success())
}

pub(crate) fn unmount(folder: &Path) {
    let _ = Command::new("umount").arg("-l").arg(folder).output();
}

#[tokio::test]
async fn a_journal_in_a_folder_that_can_not_be_written_is_named() {
    let (world, _) = with_journal(2).await;
    let data = world.path("data");
    let before = content(&data);
    let Some(kept) = ReadOnly::make(&data) else {
        eprintln!("no folder can be made read-only here: what then happens was not tried");
        return;
    };
    let refused = world.audit([]).run().await.exits(2).reports_nothing();
    refused.says("journal.db").says("Check that the file and its folder belong to you and can be written");
    drop(kept);
    assert!(content(&data) == before, "what was there is left as it was");
    assert_eq!(world.audit([]).run().await.report().census(), "cached 2");
}

/// The disk gets full while items are done. What fits is kept, no more is asked than was in flight, and the exit code and
/// the census are true; with room again, only the rest is done.
async fn stops_when_full(world: &World, standin: &Standin, report: Report) {
    let asked = standin.stats().requests;
    assert_eq!(report.status(), "degraded", "{}", report.done.stderr);
    let census = report.census();
    assert!(report.count("pending") >= 1 && report.count("done") >= 1, "{census}");
    assert!(report.warnings().contains("dispatch has stopped"), "{}", report.warnings());
    assert!(report.warnings().contains("journal.db"), "{}", report.warnings());
    let done = report.count("done");
    assert!(asked <= done + 2 * 2, "{asked} were asked, {done} could be kept, 2 at once");
    let listed = world.convoke(["runs", "--format", "json"]).run().await.exits(0).json();
    let of = |name: &str| listed["runs"][0]["census"][name].as_u64();
    assert_eq!((of("items"), of("done")), (Some(40), Some(done)), "{census}: {}", listed["runs"][0]);
    // Its end may find room yet, where the log was begun anew meanwhile: then, and only then, the journal knows of it.
    let is_known = !report.warnings().contains("the end of the run could not be written down");
    assert_eq!(listed["runs"][0]["status"], if is_known { "degraded" } else { "interrupted" }, "{}", report.warnings());
}

/// So many are done at once, each with a wait.
async fn slow() -> Standin {
    standin(Config { latency: Latency::of(20, 0.0), ..Config::default() }).await
}

const TWO: [&str; 3] = ["--instances", "2", "--no-cache"];

#[tokio::test]
async fn where_the_journal_can_not_grow_no_more_is_asked_and_the_rest_is_done_later() {
    let (world, standin) = (World::with_agents(40), slow().await);
    let report = world.audit_within(450_000, TWO).asking(&standin).run().await.exits(3).report();
    let done = report.count("done");
    stops_when_full(&world, &standin, report).await;
    let rest = world.audit(TWO).asking(&standin).run().await.exits(0).report();
    assert_eq!((rest.count("cached"), rest.count("done")), (done, 40 - done));
}

#[tokio::test]
async fn where_the_disk_is_full_no_more_is_asked_and_the_rest_is_done_later() {
    let (world, standin) = (World::with_agents(40), slow().await);
    let data = world.path("data");
    let name = data.to_str().expect("UTF-8");
    if !mount(&["-t", "tmpfs", "-o", "size=700k", "tmpfs", name]) {
        eprintln!("no file system can be mounted here: only a limit on the size of files was tried");
        return;
    }
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            unmount(&self.0);
        }
    }
    let _mounted = Mounted(data.clone());
    let report = world.audit(TWO).asking(&standin).run().await.exits(3).report();
    assert!(report.warnings().contains("Make room, then run the same again"), "{}", report.warnings());
    let done = report.count("done");
    stops_when_full(&world, &standin, report).await;
    assert!(mount(&["-o", "remount,size=64m", name]), "room is made");
    let rest = world.audit(TWO).asking(&standin).run().await.exits(0).report();
    assert_eq!((rest.count("cached"), rest.count("done")), (done, 40 - done));
}
