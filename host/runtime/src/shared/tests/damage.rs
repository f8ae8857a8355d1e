//! Files that are torn, newer, gone, or can't be written.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_torn_file_is_set_aside_begun_anew_and_said_once() {
    for break_it in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1,
        |bytes: &mut Vec<u8>| *bytes = b"[limits]\nfrom = \"elsewhere\"\n".to_vec(),
        |bytes: &mut Vec<u8>| *bytes = vec![0xff; 4_096],
    ] {
        let machine = Machine::new();
        let (one, other) = (machine.process(1_000), machine.process(1_000));
        let mine = one.take(600).unwrap();
        let mut bytes = fs::read(machine.state()).unwrap();
        break_it(&mut bytes);
        fs::write(machine.state(), &bytes).unwrap();
        let theirs = other.take(300).unwrap();
        let said = other.shared.warnings();
        assert!(said.len() == 1 && said[0].contains("set aside"), "{said:?}");
        assert_eq!(fs::read(machine.state().with_extension("broken")).unwrap(), bytes);
        one.used(mine, 600);
        other.used(theirs, 300);
        assert!(one.shared.warnings().is_empty() && other.shared.warnings().is_empty());
        assert!(one.shared.is_shared() && other.shared.is_shared());
        assert_eq!((one.free(), other.free(), machine.look().unwrap().instances), (100, 100, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_file_is_refused_and_never_written() {
    let machine = Machine::new();
    let process = machine.process(1_000);
    let version = VERSION + 1;
    let newer = format!("{:<79}\n{{\"shape\": \"unknown\"}}", format!("convoke-limits {version} 0 14 0"));
    fs::write(machine.state(), &newer).unwrap();
    let taken = process.take(600).unwrap();
    process.used(taken, 600);
    assert_eq!(process.free(), 400, "it goes on by itself");
    let said = process.shared.warnings();
    assert!(
        said.len() == 1 && said[0].contains(&format!("version {version}")) && said[0].contains("update convoke"),
        "{said:?}"
    );
    assert!(
        matches!(machine.open(&process.budget), Err(SharedError::Newer { version: found, .. }) if found == version)
    );
    assert!(look(&machine.path(), &machine.clock, "this").is_err());
    drop(process);
    assert_eq!(fs::read_to_string(machine.state()).unwrap(), newer);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_goes_away_is_made_again_and_nothing_held_is_lost() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1_000), machine.process(1_000));
    let mine = one.take(600).unwrap();
    fs::remove_file(machine.state()).unwrap();
    let theirs = other.take(300).unwrap();
    one.used(mine, 600);
    other.used(theirs, 300);
    assert_eq!((one.free(), machine.look().unwrap().instances), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_made_it_is_an_error_that_names_the_place() {
    let machine = Machine::new();
    fs::write(machine.path(), "a file").unwrap();
    let error = machine.open(&budget(BudgetConfig::default(), 0.0)).err().unwrap();
    assert!(error.to_string().contains("limits") && error.warning().starts_with("limits are not shared"), "{error}");
    assert!(look(&machine.path(), &machine.clock, "this").unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_files_are_the_users_alone() {
    let machine = Machine::new();
    let _process = machine.process(1_000);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&machine.path()), 0o700);
    for entry in fs::read_dir(machine.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_boot_all_begins_anew_but_what_the_journal_knows_of_the_day() {
    let mut machine = Machine::new();
    let process = machine.process_with(1_000, budget(a_day(5.0), 1.0));
    let taken = process.take_for(600, 1.0).unwrap();
    process.end(taken, Spent::Unknown);
    process.kill();
    machine.boot = "next";
    assert!(machine.look().is_none());
    let process = machine.process_with(1_000, budget(a_day(5.0), 1.5));
    let taken = process.take(1).unwrap();
    assert_eq!(machine.look().unwrap().spent.unwrap().of_day, Usd::from_dollars(1.5));
    process.used(taken, 0);
    assert_eq!(process.free(), 1_000);
    assert!(process.shared.warnings().is_empty(), "that is no fault");
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_lock_and_stops_delays_others_and_then_they_go_alone() {
    let machine = Machine::new();
    let process = machine.process(1_000);
    let taken = process.take(600).unwrap();
    let stopped = fs::File::open(machine.state()).unwrap();
    stopped.lock().unwrap();
    process.used(taken, 100);
    let again = until(process.take(100)) - Instant::now();
    assert!((50..=100).contains(&again.as_millis()), "{again:?}");
    stopped.unlock().unwrap();
    let taken = process.take(100).unwrap();
    assert_eq!(process.free(), 800, "what could not be given back is");
    stopped.lock().unwrap();
    assert!(process.take(100).is_err());
    advance(11 * SECOND).await;
    process.used(taken, 100);
    let said = process.shared.warnings();
    assert!(said.len() == 1 && said[0].contains("locked"), "{said:?}");
    let alone = process.take(100).unwrap();
    process.used(alone, 100);
    assert!(!process.shared.is_shared());
}

#[test]
fn a_full_disk_or_lost_rights_end_the_sharing_not_the_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let machine = Machine::new();
        let process = machine.process(1_000);
        let taken = process.take(600).unwrap();
        // A file that can only be read: as the system answers where a disk is full.
        let readable = StateFile::look(&machine.path()).unwrap().unwrap();
        process.shared.lock().seat.as_mut().unwrap().file = readable;
        process.used(taken, 100);
        assert_eq!(process.free(), 900);
        let said = process.shared.warnings();
        assert!(said.len() == 1 && said[0].starts_with("limits are not shared"), "{said:?}");
        let taken = process.take(900).unwrap();
        process.used(taken, 900);
        assert!(process.shared.warnings().is_empty());
    });
}
