//! Each test says the time itself.

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::journal::{Digest, ItemEnd, ItemKey, ItemRecord, QuestionRow, ReadSet, RunRecord};
use crate::money::Usd;
use crate::question::Usage;
use crate::work::{Census, Outcome, Partial, Status};

const PROJECT: &str = "/home/user/project";

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * day)
}

/// A journal on disk, for room is something that only a file has.
struct Place {
    _folder: tempfile::TempDir,
    journal: Journal,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal.db")).unwrap();
    Place { _folder: folder, journal }
}

impl Place {
    async fn begun(&self, on: i64, project: &str) -> RunId {
        let id = RunId::new();
        let run = RunRecord {
            id,
            command: "agent-audit".to_owned(),
            subcommand: None,
            plugin_name: "agent-audit".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            plugin_digest: Digest::of(b"component").to_string(),
            arguments: json!({}),
            project: project.to_owned(),
            mode: "balanced".to_owned(),
            backend: "anthropic".to_owned(),
            started: day(on),
            typed: None,
        };
        self.journal.begin_run(run).await.unwrap();
        id
    }

    async fn end(&self, run: &RunId, on: i64) {
        self.journal.end_run(run, Status::Completed, Census::default(), day(on)).await.unwrap();
    }

    /// An item of that name that ends so, with a result of so many bytes.
    async fn item(&self, run: &RunId, on: i64, name: &str, outcome: Outcome, reused: Option<RunId>, bytes: usize) {
        let key = ItemKey(Digest::of(name.as_bytes()));
        let item = ItemRecord { id: name.to_owned(), label: name.to_owned(), key, ordinal: 0, parent: None };
        self.journal.record_items(run, vec![item]).await.unwrap();
        let end = ItemEnd {
            item: name.to_owned(),
            outcome,
            partial: Some(Partial { notes: Some("n".repeat(bytes)), ..Partial::default() }),
            reads: ReadSet::default(),
            reused,
            took: Duration::ZERO,
            attempts: 1,
            log: String::new(),
            ended: day(on),
        };
        self.journal.finish_item(run, end).await.unwrap();
    }

    /// A run of one item that is done.
    async fn done(&self, on: i64, name: &str, bytes: usize) -> RunId {
        let run = self.begun(on, PROJECT).await;
        self.item(&run, on, name, Outcome::Done, None, bytes).await;
        self.end(&run, on).await;
        run
    }

    async fn question(&self, run: RunId, on: i64) {
        let row = QuestionRow {
            run,
            item: "a".to_owned(),
            role: String::new(),
            tier: "speed".to_owned(),
            answered_tier: None,
            model: "m".to_owned(),
            backend: "anthropic".to_owned(),
            attempts: 1,
            retries: 0,
            outcome: "model".to_owned(),
            usage: Usage { requests: 1, usd: Usd::from_dollars(1.0), ..Usage::default() },
            notional: Some(false),
            uncertain: Usd::ZERO,
            shares: Vec::new(),
            asked: day(on),
            waited: Duration::ZERO,
            first: None,
            took: Duration::ZERO,
        };
        self.journal.record_question(row).await.unwrap();
        self.journal.flush().await.unwrap();
    }

    async fn left(&self) -> Vec<RunId> {
        self.journal.runs(100).await.unwrap().into_iter().rev().map(|row| row.run.id).collect()
    }

    async fn retain(&self, keep: Keep) -> Retained {
        self.journal.retain(&keep, None).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_older_goes_with_all_that_is_its_and_the_money_stays() {
    let place = place();
    let (old, new) = (place.done(0, "a", 10).await, place.done(80, "b", 10).await);
    for run in [old, new] {
        place.question(run, 0).await;
    }
    let keep = Keep { since: Some(day(10)), used_since: Some(day(60)), ..Keep::default() };
    assert_eq!(place.retain(keep).await, Retained { runs: 1, unfinished: false });
    assert_eq!(place.left().await, [new]);
    assert!(matches!(place.journal.run(&old).await, Err(JournalError::UnknownRun { .. })));
    assert_eq!(place.journal.items(&old, 0, 10).await.unwrap().rows, []);
    assert_eq!(place.journal.spent(day(0)).await.unwrap().usd, Usd::from_dollars(2.0));
    let page = place.journal.questions(&old, 0, 10).await.unwrap();
    assert_eq!(page.rows.len(), 1, "its line of the ledger names it");
}

#[tokio::test]
async fn a_run_that_is_under_way_stays_and_one_that_was_killed_counts_from_its_beginning() {
    let place = place();
    let under_way = place.begun(0, PROJECT).await;
    let killed = place.begun(0, PROJECT).await;
    place.journal.release(&killed);
    let keep = Keep { since: Some(day(10)), newest: Some(0), most_bytes: Some(0), ..Keep::default() };
    place.retain(keep).await;
    assert_eq!(place.left().await, [under_way]);
    assert_eq!(place.journal.remove_run(&under_way).await, Err(JournalError::UnderWay { run: under_way }));
}

#[tokio::test]
async fn a_result_that_was_used_of_late_keeps_its_run_however_old_it_is() {
    let place = place();
    let (used, unused) = (place.done(0, "a", 10).await, place.done(0, "b", 10).await);
    let later = place.begun(95, PROJECT).await;
    place.item(&later, 95, "a", Outcome::Cached, Some(used), 10).await;
    place.end(&later, 95).await;
    let keep = |used_since| Keep { since: Some(day(10)), used_since, ..Keep::default() };
    let leavers = place.journal.leavers(&keep(Some(day(70)))).await.unwrap();
    assert_eq!(leavers.iter().map(|one| (one.run, one.stays)).collect::<Vec<_>>(), [(used, true), (unused, false)]);
    place.retain(keep(Some(day(70)))).await;
    assert_eq!(place.left().await, [used, later]);
    place.retain(keep(Some(day(96)))).await;
    assert_eq!(place.left().await, [later], "it was used before that");
}

#[tokio::test]
async fn the_newest_result_of_an_item_stays_though_the_journal_is_too_large() {
    let place = place();
    let first = place.done(0, "a", 1_000).await;
    let newest = place.done(1, "a", 1_000).await;
    let keep = Keep { most_bytes: Some(1), used_since: Some(day(-10)), ..Keep::default() };
    assert_eq!(place.retain(keep).await.runs, 1);
    assert_eq!(place.left().await, [newest], "{first} had an older one of the same item");
    assert_eq!(place.journal.newest_results(&newest).await, Ok(1));
}

#[tokio::test]
async fn the_oldest_go_until_it_fits_and_no_more_and_the_file_shrinks() {
    let place = place();
    let mut runs = Vec::new();
    for number in 0..10 {
        runs.push(place.done(number, &number.to_string(), 200_000).await);
    }
    let before = place.journal.room().await.unwrap();
    let keep = Keep { most_bytes: Some(before.used - 500_000), ..Keep::default() };
    assert_eq!(place.retain(keep).await.runs, 3);
    assert_eq!(place.left().await, runs[3..]);
    let after = place.journal.room().await.unwrap();
    assert!(after.used <= before.used - 500_000 && after.free <= after.used / 8, "{after:?}");
}

#[tokio::test]
async fn of_each_project_the_newest_stay() {
    let place = place();
    let mut runs = Vec::new();
    for (number, project) in ["/one", "/two", "/one", "/one"].into_iter().enumerate() {
        let run = place.begun(number as i64, project).await;
        place.end(&run, number as i64).await;
        runs.push(run);
    }
    place.retain(Keep { newest: Some(2), ..Keep::default() }).await;
    assert_eq!(place.left().await, runs[1..]);
}

#[tokio::test]
async fn what_time_was_not_enough_for_is_hidden_at_once_and_removed_the_next_time() {
    let place = place();
    let run = place.begun(0, PROJECT).await;
    for number in 0..100 {
        place.item(&run, 0, &number.to_string(), Outcome::Done, None, 10).await;
    }
    place.end(&run, 0).await;
    place.journal.leave(&run).await.unwrap();
    let key = ItemKey(Digest::of(b"7"));
    assert_eq!(place.journal.reusable(&key, PROJECT).await.unwrap(), [], "nor is its result used");
    assert_eq!(place.left().await, []);
    assert!(matches!(place.journal.find_run(&run.short()).await, Err(JournalError::UnknownRun { .. })));
    let in_no_time = place.journal.retain(&Keep::default(), Some(Duration::ZERO)).await.unwrap();
    assert!(in_no_time.unfinished);
    assert!(!place.retain(Keep::default()).await.unfinished);
    let (items, runs) = place
        .journal
        .read(|reader| {
            let count = |table: &str| {
                let question = format!("SELECT count(*) FROM {table}");
                reader.connection.query_row(&question, [], |row| row.get::<_, i64>(0)).unwrap()
            };
            Ok((count("items") + count("ends"), count("runs")))
        })
        .await
        .unwrap();
    assert_eq!((items, runs), (0, 0));
}

#[tokio::test]
async fn lines_of_the_ledger_go_by_their_own_age() {
    let place = place();
    let run = place.done(0, "a", 10).await;
    for on in [0, 1, 2] {
        place.question(run, on).await;
    }
    place.retain(Keep { ledger_since: Some(day(2)), ..Keep::default() }).await;
    assert_eq!(place.journal.spent(day(0)).await.unwrap().requests, 1);
    assert_eq!(place.left().await, [run]);
}
