use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::log::Log;
use super::read::Source;
use super::verify::{Anchor, Verdict, Wrong, verify};
use super::*;

fn record(number: usize) -> Record {
    Record::new(kind::PROJECT_READ, format!("src/{number}.rs"), json!({"item": "a", "bytes": number}))
}

fn records(count: usize) -> Vec<Record> {
    (0..count).map(record).collect()
}

/// A folder with a log of so many records, beside the one that says that it begins.
fn log_of(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(count), false).unwrap();
    folder
}

fn verdict(folder: &Path) -> Verdict {
    verify(&Source::of_folder(folder).unwrap(), &[]).unwrap()
}

fn wrongs(verdict: &Verdict) -> BTreeSet<Wrong> {
    verdict.problems.iter().filter_map(|said| said.wrong).collect()
}

fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("000001.ndjson")).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn write(folder: &Path, lines: &[String]) {
    fs::write(folder.join("000001.ndjson"), lines.concat()).unwrap();
}

#[test]
fn what_was_written_is_whole_and_the_users_alone() {
    let folder = log_of(10);
    let verdict = verdict(folder.path());
    assert!(verdict.is_whole() && verdict.notes.is_empty(), "{verdict:?}");
    assert_eq!((verdict.records, verdict.first, verdict.confirmed), (11, Some(1), 1));
    for name in ["000001.ndjson", "head"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn each_change_is_found_and_has_its_line() {
    type Edit = fn(&mut Vec<String>);
    let edits: [(&str, Edit, Wrong, u64); 7] = [
        ("a word", |lines| lines[5] = lines[5].replace("src/4.rs", "src/9.rs"), Wrong::Changed, 6),
        ("a line less", |lines| drop(lines.remove(5)), Wrong::Missing, 6),
        ("two swapped", |lines| lines.swap(5, 6), Wrong::Moved, 7),
        ("one twice", |lines| lines.insert(6, lines[5].clone()), Wrong::Repeated, 7),
        ("the first one less", |lines| drop(lines.remove(0)), Wrong::Missing, 1),
        ("a line of something else", |lines| lines.insert(3, "hello\n".to_owned()), Wrong::Unreadable, 4),
        ("half a line", |lines| lines[3].truncate(40), Wrong::Unreadable, 4),
    ];
    for (what, edit, wrong, line) in edits {
        let folder = log_of(10);
        let mut lines = lines(folder.path());
        edit(&mut lines);
        write(folder.path(), &lines);
        let verdict = verdict(folder.path());
        let found = verdict.problems.iter().find(|said| said.wrong == Some(wrong));
        assert_eq!(found.and_then(|said| said.line), Some(line), "{what}: {verdict:?}");
    }
}

#[test]
fn a_line_that_was_written_anew_with_its_hash_does_not_fit_to_the_next() {
    let folder = log_of(10);
    let mut lines = lines(folder.path());
    let before = Line::read(lines[4].trim_end().as_bytes()).unwrap();
    (lines[5], _) = record(77).line(6, &before.hash);
    write(folder.path(), &lines);
    let verdict = verdict(folder.path());
    assert_eq!(wrongs(&verdict), BTreeSet::from([Wrong::Foreign]));
    assert_eq!(verdict.problems[0].line, Some(7), "{verdict:?}");
}

#[test]
fn a_piece_of_another_log_does_not_fit() {
    let (folder, other) = (log_of(10), tempfile::tempdir().unwrap());
    let mut foreign = records(10);
    foreign[0].subject = "elsewhere".to_owned();
    Log::new(other.path().to_owned(), AuditKeep::default()).append(&foreign, false).unwrap();
    let (mut mine, theirs) = (lines(folder.path()), lines(other.path()));
    mine.splice(4..7, theirs[4..7].iter().cloned());
    write(folder.path(), &mine);
    let verdict = verdict(folder.path());
    assert_eq!(verdict.problems.len(), 2, "its begin and its end: {verdict:?}");
    assert_eq!(wrongs(&verdict), BTreeSet::from([Wrong::Foreign]));
}

#[test]
fn an_end_that_was_cut_off_is_known_by_the_head() {
    let folder = log_of(10);
    let lines = lines(folder.path());
    write(folder.path(), &lines[..8]);
    let found = verdict(folder.path());
    assert_eq!(wrongs(&found), BTreeSet::from([Wrong::Truncated]));
    assert!(found.problems[0].message.contains("records 9 to 11 are gone"), "{found:?}");
    // In the middle of a line too.
    write(folder.path(), &[lines[..8].concat(), lines[8][..30].to_owned()]);
    assert!(wrongs(&verdict(folder.path())).contains(&Wrong::Truncated));
}

#[test]
fn an_end_that_was_cut_off_with_the_head_is_known_by_a_hash_that_was_kept() {
    let folder = log_of(10);
    let lines = lines(folder.path());
    let last = Line::read(lines[10].trim_end().as_bytes()).unwrap();
    write(folder.path(), &lines[..8]);
    fs::remove_file(folder.path().join("head")).unwrap();
    let without = verdict(folder.path());
    assert!(without.is_whole(), "nothing is there to compare with: {without:?}");
    assert!(without.notes.iter().any(|note| note.message.contains("the head is not there")), "{without:?}");
    let source = Source::of_folder(folder.path()).unwrap();
    for (sequence, wrong) in [(Some(11), Wrong::Truncated), (None, Wrong::Unknown)] {
        let anchor = Anchor { sequence, hash: last.hash.clone(), from: "a letter".to_owned() };
        assert_eq!(wrongs(&verify(&source, &[anchor]).unwrap()), BTreeSet::from([wrong]));
    }
    // Whoever goes on says that nothing is known of what was there.
    Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(1), false).unwrap();
    assert!(verdict(folder.path()).notes.iter().any(|note| note.message.contains("the head was gone")));
}

#[test]
fn a_whole_log_that_was_written_anew_is_known_by_a_hash_that_was_kept() {
    let (folder, forged) = (log_of(10), tempfile::tempdir().unwrap());
    let last = verdict(folder.path()).last.unwrap();
    let mut others = records(10);
    others[3].subject = "src/harmless.rs".to_owned();
    Log::new(forged.path().to_owned(), AuditKeep::default()).append(&others, false).unwrap();
    assert!(verdict(forged.path()).is_whole(), "by itself it is as good as any");
    let source = Source::of_folder(forged.path()).unwrap();
    for sequence in [Some(last.0), None] {
        let anchor = Anchor { sequence, hash: last.1.clone(), from: "a letter".to_owned() };
        assert_eq!(wrongs(&verify(&source, &[anchor]).unwrap()), BTreeSet::from([Wrong::Unknown]));
    }
}

#[test]
fn who_goes_on_after_an_end_was_cut_off_says_so_and_the_gap_stays() {
    let folder = log_of(10);
    write(folder.path(), &lines(folder.path())[..8]);
    Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(2), false).unwrap();
    let verdict = verdict(folder.path());
    assert_eq!(wrongs(&verdict), BTreeSet::from([Wrong::Missing]));
    assert!(verdict.problems[0].message.contains("records 9 to 11 are missing"), "{verdict:?}");
    assert!(verdict.notes.iter().any(|note| note.message.contains("was gone, up to record 11")), "{verdict:?}");
}

#[test]
fn a_line_that_a_kill_has_cut_off_is_told_apart() {
    let folder = log_of(3);
    let path = folder.path().join("000001.ndjson");
    let (line, _) = record(9).line(5, &verdict(folder.path()).last.unwrap().1);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&line.as_bytes()[..50]).unwrap();
    let torn = verdict(folder.path());
    assert!(torn.is_whole() && torn.notes[0].message.contains("cut off after 50 bytes"), "{torn:?}");
    Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(2), false).unwrap();
    let mended = verdict(folder.path());
    assert!(mended.is_whole(), "{mended:?}");
    assert!(mended.notes[0].message.contains("as record 5 in line 6 says"), "{mended:?}");
    assert_eq!(mended.records, 7);
    // Another fragment in its place is not excused.
    let mut lines = lines(folder.path());
    lines[4] = format!("{}\n", "x".repeat(50));
    write(folder.path(), &lines);
    assert_eq!(wrongs(&verdict(folder.path())), BTreeSet::from([Wrong::Unreadable]));
}

#[test]
fn what_was_written_after_the_head_counts() {
    let folder = log_of(3);
    let head = fs::read(folder.path().join("head")).unwrap();
    let mut log = Log::new(folder.path().to_owned(), AuditKeep::default());
    log.append(&records(2), false).unwrap();
    fs::write(folder.path().join("head"), head).unwrap();
    let ahead = verdict(folder.path());
    assert!(ahead.is_whole() && ahead.notes.len() == 1, "{ahead:?}");
    assert!(ahead.notes[0].message.contains("records 5 to 6 are not known to the head"), "{ahead:?}");
    log.append(&records(1), false).unwrap();
    let verdict = verdict(folder.path());
    assert!(verdict.is_whole(), "{verdict:?}");
    assert_eq!(verdict.records, 7);
}

fn small() -> AuditKeep {
    AuditKeep { most_bytes: 2_000, files: 3, ..AuditKeep::default() }
}

#[test]
fn a_rotation_keeps_the_chain_and_what_goes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new(folder.path().to_owned(), AuditKeep { files: 1_000, ..small() });
    for number in 0..60 {
        log.append(&[record(number)], false).unwrap();
    }
    let all = verdict(folder.path());
    assert!(all.is_whole() && all.files > 5, "{all:?}");
    let files = log::files(folder.path()).unwrap();
    let second = folder.path().join(log::name(files[1]));
    // Files alone can be looked at too.
    let some = verify(&Source::of_files(vec![second.clone()]).unwrap(), &[]).unwrap();
    assert!(some.is_whole() && some.notes[0].message.contains("in none of the files that were named"), "{some:?}");
    // One that is missing is not.
    let kept = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    assert_eq!(wrongs(&verdict(folder.path())), BTreeSet::from([Wrong::Missing]));
    fs::write(&second, kept).unwrap();
    // The oldest neither, unless the log itself has removed it.
    let first = folder.path().join(log::name(files[0]));
    let kept = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    assert_eq!(wrongs(&verdict(folder.path())), BTreeSet::from([Wrong::Missing]));
    fs::write(&first, kept).unwrap();
    let mut log = Log::new(folder.path().to_owned(), small());
    log.append(&records(20), false).unwrap();
    let pruned = verdict(folder.path());
    assert!(pruned.is_whole(), "{pruned:?}");
    assert_eq!(log::files(folder.path()).unwrap().len(), 3);
    assert!(
        pruned.notes.iter().any(|note| note.message.contains("no longer kept, as the log itself says")),
        "{pruned:?}"
    );
}

#[test]
fn what_another_process_removes_meanwhile_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new(folder.path().to_owned(), small());
    log.append(&records(10), false).unwrap();
    let taken = Source::of_folder(folder.path()).unwrap();
    log.append(&records(30), false).unwrap();
    assert!(!taken.files[0].0.exists(), "the oldest has gone");
    let verdict = verify(&taken, &[]).unwrap();
    assert!(verdict.is_whole(), "{verdict:?}");
    assert!(verdict.notes.iter().any(|note| note.message.contains("as the log itself says")), "{verdict:?}");
    // Files that somebody named have to be there.
    let named = Source { is_whole_log: false, ..taken };
    assert!(matches!(verify(&named, &[]), Err(AuditError::Io { .. })));
}

#[test]
fn only_a_rotation_may_say_that_old_files_went() {
    let folder = tempfile::tempdir().unwrap();
    let keep = AuditKeep { files: 1_000, ..small() };
    Log::new(folder.path().to_owned(), keep).append(&records(60), false).unwrap();
    let files = log::files(folder.path()).unwrap();
    let (oldest, newest) = (files[..3].iter(), *files.last().unwrap());
    let last = verdict(folder.path()).last.unwrap();
    oldest.for_each(|number| fs::remove_file(folder.path().join(log::name(*number))).unwrap());
    let first = fs::read_to_string(folder.path().join(log::name(files[3]))).unwrap();
    let first = Line::read(first.lines().next().unwrap().as_bytes()).unwrap();
    let details = json!({"first_sequence": 1, "last_sequence": first.seq - 1, "last_hash": first.prev});
    let pruned = Record::new(kind::LOG_PRUNED, log::name(files[2]), details);
    // At the end of the newest file, with all hashes right.
    let path = folder.path().join(log::name(newest));
    let whole = fs::read(&path).unwrap();
    let (line, _) = pruned.line(last.0 + 1, &last.1);
    fs::write(&path, [&whole[..], line.as_bytes()].concat()).unwrap();
    let found = verdict(folder.path());
    assert_eq!(wrongs(&found), BTreeSet::from([Wrong::Foreign, Wrong::Missing]), "{found:?}");
    // As if a rotation had been, of which the head knows nothing.
    fs::write(&path, &whole).unwrap();
    let details = json!({"last_sequence": last.0, "last_hash": last.1});
    let (begin, hash) = Record::new(kind::LOG_ROTATED, log::name(newest), details).line(last.0 + 1, &last.1);
    let (line, _) = pruned.line(last.0 + 2, &hash);
    let next = folder.path().join(log::name(newest + 1));
    fs::write(&next, [begin, line].concat()).unwrap();
    assert_eq!(wrongs(&verdict(folder.path())), BTreeSet::from([Wrong::Missing]));
    // What convoke itself writes afterwards excuses nothing in the middle of a file.
    fs::remove_file(&next).unwrap();
    let mut log = Log::new(folder.path().to_owned(), AuditKeep { most_bytes: 1 << 20, ..keep });
    log.append(&[pruned], false).unwrap();
    assert_eq!(wrongs(&verdict(folder.path())), BTreeSet::from([Wrong::Foreign, Wrong::Missing]));
}

#[test]
fn who_was_killed_between_a_new_file_and_the_head_is_followed() {
    for has_begun in [false, true] {
        let folder = log_of(3);
        let last = verdict(folder.path()).last.unwrap();
        let details = json!({"last_sequence": last.0, "last_hash": last.1});
        let (line, _) = Record::new(kind::LOG_ROTATED, "000001.ndjson", details).line(last.0 + 1, &last.1);
        fs::write(folder.path().join("000002.ndjson"), if has_begun { line.as_str() } else { "" }).unwrap();
        Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(1), false).unwrap();
        let verdict = verdict(folder.path());
        assert!(verdict.is_whole() && verdict.notes.is_empty(), "{verdict:?}");
        assert_eq!((verdict.records, verdict.files), (6, 2));
    }
}

#[test]
fn a_log_of_a_newer_convoke_is_left_alone() {
    let folder = log_of(1);
    let head = fs::read_to_string(folder.path().join("head")).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(folder.path().join("head"), head).unwrap();
    let before = fs::read(folder.path().join("000001.ndjson")).unwrap();
    let refused = Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(1), false);
    assert_eq!(refused, Err(AuditError::Newer { version: 2 }));
    assert_eq!(fs::read(folder.path().join("000001.ndjson")).unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    /// One edit of any kind at any place is found, or leaves the log as it was.
    #[test]
    fn any_edit_of_a_log_is_found(what in 0..6_u8, place in 0..10_000_usize, other in 0..10_000_usize, bit in 0..8_u8) {
        let folder = log_of(8);
        let path = folder.path().join("000001.ndjson");
        let whole = fs::read(&path).unwrap();
        let mut lines: Vec<Vec<u8>> = whole.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let (at, to) = (place % lines.len(), other % lines.len());
        let mut bytes = whole.clone();
        match what {
            0 => bytes[place % whole.len()] ^= 1 << bit,
            1 => {
                lines.remove(at);
                bytes = lines.concat();
            }
            2 => {
                lines.swap(at, to);
                bytes = lines.concat();
            }
            3 => bytes.truncate(place % whole.len()),
            4 => {
                let line = lines[at].clone();
                lines.insert(to, line);
                bytes = lines.concat();
            }
            _ => {
                let (from, end) = (place % whole.len(), other % whole.len());
                bytes.drain(from.min(end)..from.max(end));
            }
        }
        fs::write(&path, &bytes).unwrap();
        let verdict = verdict(folder.path());
        prop_assert_eq!(verdict.is_whole(), bytes == whole, "{:?}", verdict);
    }

    /// Whatever stands there, it is looked through to its end, and written on.
    #[test]
    fn nothing_that_stands_there_stops_a_log(text in prop::collection::vec(any::<u8>(), 0..2_000), head in prop::option::of(prop::collection::vec(any::<u8>(), 0..300))) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("000001.ndjson"), &text).unwrap();
        if let Some(head) = head {
            fs::write(folder.path().join("head"), head).unwrap();
        }
        verdict(folder.path());
        Log::new(folder.path().to_owned(), AuditKeep::default()).append(&records(2), false).unwrap();
        let last = verdict(folder.path());
        prop_assert!(last.records >= 2);
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn what_changes_something_is_there_when_it_returns_and_the_rest_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::at(folder.path(), AuditKeep::default());
    assert!(!folder.path().join("head").exists(), "nothing is made before there is something to write");
    let trail = Trail::begin(audit.clone(), "plugin");
    for number in 0..50 {
        trail.note(kind::PROJECT_READ, &number.to_string(), || json!({}));
    }
    trail.ahead(kind::PROCESS_RUN, "git log", || json!({})).await;
    let mut subjects = Vec::new();
    let source = Source::of_folder(folder.path()).unwrap();
    source
        .each(|line, _| {
            subjects.push(line.subject.clone());
            true
        })
        .unwrap();
    assert_eq!(subjects.len(), 52, "{subjects:?}");
    assert_eq!((subjects[1].as_str(), subjects[50].as_str(), subjects[51].as_str()), ("0", "49", "git log"));
    trail.audit().before(vec![record(1)]).await.unwrap();
    let left = trail.end().await.unwrap();
    assert_eq!((left.records, left.lost, left.head.unwrap().sequence), (52, 0, 53));
    audit.note(record(2));
    drop((audit, trail));
    assert_eq!(verdict(folder.path()).records, 54, "the last of them has written all");
}

#[tokio::test]
async fn what_can_not_be_audited_is_refused_and_what_is_lost_is_counted_and_told() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("audit");
    // In the place of the folder stands a file.
    fs::write(&folder, "").unwrap();
    let audit = Audit::at(&folder, AuditKeep::default());
    let trail = Trail::begin(audit.clone(), "plugin");
    trail.note(kind::PROJECT_READ, "a", || json!({}));
    trail.ahead(kind::PROCESS_RUN, "git", || json!({})).await;
    assert!(matches!(trail.audit().before(vec![record(1)]).await, Err(AuditError::Io { .. })));
    let blocking = tokio::task::spawn_blocking(move || audit.before_blocking(vec![record(1)])).await.unwrap();
    assert!(matches!(blocking, Err(AuditError::Io { .. })));
    let left = trail.end().await.unwrap();
    assert_eq!((left.records, left.lost), (0, 2));
    assert!(left.head.is_err());
    fs::remove_file(&folder).unwrap();
    trail.audit().before(vec![record(1)]).await.unwrap();
    let verdict = verdict(&folder);
    assert!(verdict.notes[0].message.contains("up to 2 records before this one could not be written"), "{verdict:?}");
}

#[test]
fn a_trail_that_is_off_leaves_nothing() {
    let trail = Trail::default();
    trail.note(kind::PROJECT_READ, "a", || unreachable!("nothing is made of it"));
    assert_eq!(trail.run(), None);
}

/// A kernel takes the lock from a process that ends, so threads with files of their own are as good as processes; the
/// test below has processes.
#[test]
fn many_at_once_keep_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let keep = AuditKeep { most_bytes: 40_000, files: 1_000, ..AuditKeep::default() };
                let mut log = Log::new(folder.path().to_owned(), keep);
                for number in 0..250 {
                    log.append(&[record(number)], false).unwrap();
                }
            });
        }
    });
    let verdict = verdict(folder.path());
    assert!(verdict.is_whole() && verdict.notes.is_empty(), "{verdict:?}");
    assert_eq!(verdict.records, 1_000 + verdict.files as u64);
}

const FOLDER: &str = "CONVOKE_TEST_AUDIT_FOLDER";
const COUNT: &str = "CONVOKE_TEST_AUDIT_COUNT";

/// Not a test by itself: what the processes of the tests below do.
#[test]
fn as_a_process() {
    let (Ok(folder), Ok(count)) = (std::env::var(FOLDER), std::env::var(COUNT)) else { return };
    let keep = AuditKeep { most_bytes: 100_000, files: 10_000, ..AuditKeep::default() };
    let mut log = Log::new(PathBuf::from(folder), keep);
    for number in 0..count.parse().unwrap() {
        log.append(&[record(number)], false).unwrap();
    }
}

fn process(folder: &Path, count: usize) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "audit::tests::as_a_process"])
        .env(FOLDER, folder)
        .env(COUNT, count.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn two_processes_that_append_a_thousand_each_keep_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = [process(folder.path(), 1_000), process(folder.path(), 1_000)];
    for one in &mut both {
        assert!(one.wait().unwrap().success());
    }
    let verdict = verdict(folder.path());
    assert!(verdict.is_whole() && verdict.notes.is_empty(), "{verdict:?}");
    assert_eq!(verdict.records, 2_000 + verdict.files as u64);
}

#[test]
fn a_kill_in_the_middle_leaves_a_log_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let has = |count: u64| {
        Source::of_folder(folder.path()).is_ok_and(|source| source.head.is_some_and(|head| head.sequence > count))
    };
    let mut before = 0;
    for _ in 0..10 {
        let mut one = process(folder.path(), 1_000_000);
        until(|| has(before + 20));
        one.kill().unwrap();
        one.wait().unwrap();
        before = verdict(folder.path()).last.unwrap().0;
    }
    Log::new(folder.path().to_owned(), AuditKeep { all: true, ..AuditKeep::default() })
        .append(&records(1), true)
        .unwrap();
    let verdict = verdict(folder.path());
    assert!(verdict.is_whole(), "{verdict:?}");
}

/// A plugin that reads ten thousand files is not held up by it, and the log of that stays small.
#[test]
fn ten_thousand_reads_take_little_time_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let trail = Trail::begin(Audit::at(folder.path(), AuditKeep::default()), "agent-audit");
    let began = Instant::now();
    for number in 0..10_000 {
        let path = format!("agents/category/agent-{number}.md");
        trail.note(kind::PROJECT_READ, &path, || json!({"item": path, "bytes": 4_096}));
    }
    let told = began.elapsed();
    drop(trail);
    let bytes = fs::metadata(folder.path().join("000001.ndjson")).unwrap().len();
    eprintln!("10,000 reads: {told:?} for those who read, {:?} until all was written, {bytes} bytes", began.elapsed());
    assert!(bytes < 6_000_000, "{bytes}");
    // Without optimisation, on a busy machine.
    assert!(told < Duration::from_secs(2), "{told:?}");
}
