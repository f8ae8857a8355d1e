//! The journal as its users see it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::money::Usd;
use crate::work::{Finding, Metric, Outcome, Partial, Reduction, Severity, Source};

mod ledger;

pub(super) const PROJECT: &str = "/home/user/project";

pub(super) fn then() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn run_record() -> RunRecord {
    RunRecord {
        id: RunId::new(),
        command: "agent-audit".to_owned(),
        subcommand: Some("deep".to_owned()),
        plugin_name: "agent-audit".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        plugin_digest: Digest::of(b"component").to_string(),
        arguments: json!({"paths": ["agents"]}),
        project: PROJECT.to_owned(),
        mode: "balanced".to_owned(),
        backend: "anthropic".to_owned(),
        started: then(),
        typed: None,
    }
}

fn key(name: &str) -> ItemKey {
    ItemKey(Digest::of(name.as_bytes()))
}

pub(super) fn item(id: &str, ordinal: usize) -> ItemRecord {
    ItemRecord { id: id.to_owned(), label: id.to_uppercase(), key: key(id), ordinal, parent: None }
}

fn partial(message: &str) -> Partial {
    Partial {
        findings: vec![Finding {
            rule: "name-missing".to_owned(),
            severity: Severity::High,
            message: message.to_owned(),
            path: Some("a.md".to_owned()),
            line: Some(3),
            column: None,
            source: Source::Rule,
            fingerprint: "f".to_owned(),
            help: None,
        }],
        ..Partial::default()
    }
}

pub(super) fn end(id: &str, outcome: Outcome) -> ItemEnd {
    let partial = matches!(outcome, Outcome::Done | Outcome::Fallback(_)).then(|| partial(id));
    ItemEnd {
        item: id.to_owned(),
        outcome,
        partial,
        reads: [Read::File { path: "a.md".to_owned(), sha256: Digest::of(b"a") }].into_iter().collect(),
        reused: None,
        took: Duration::from_millis(12),
        attempts: 1,
        log: String::new(),
        ended: then(),
    }
}

pub(super) fn question(run: RunId, asked: Timestamp, usd: Usd) -> QuestionRow {
    QuestionRow {
        run,
        item: "a".to_owned(),
        role: "code-reviewer".to_owned(),
        tier: "speed".to_owned(),
        answered_tier: Some("speed".to_owned()),
        model: "model".to_owned(),
        backend: "anthropic".to_owned(),
        attempts: 1,
        retries: 0,
        outcome: "model".to_owned(),
        usage: Usage {
            requests: 1,
            input_tokens: 10,
            cache_read_tokens: 20,
            cache_write_tokens: 30,
            output_tokens: 40,
            usd,
        },
        notional: Some(false),
        uncertain: Usd::ZERO,
        shares: Vec::new(),
        asked,
        waited: Duration::from_millis(1),
        first: None,
        took: Duration::from_millis(2),
    }
}

/// A run with these items, begun.
pub(super) async fn begun(journal: &Journal, items: &[&str]) -> RunId {
    let run = run_record();
    let id = run.id;
    journal.begin_run(run).await.unwrap();
    let items = items.iter().enumerate().map(|(ordinal, item_id)| item(item_id, ordinal)).collect();
    journal.record_items(&id, items).await.unwrap();
    id
}

fn on_disk() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    (folder, path)
}

#[tokio::test]
async fn at_rest_the_file_has_all_that_the_log_had() {
    let (folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = begun(&journal, &["a"]).await;
    journal.rest().await.unwrap();
    // What comes next is written after it.
    journal.flush().await.unwrap();
    let alone = folder.path().join("alone.db");
    std::fs::copy(&path, &alone).unwrap();
    let alone = Journal::open(&alone).unwrap();
    assert_eq!(alone.run(&run).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn what_was_typed_and_the_attempts_that_came_to_nothing_are_kept() {
    let journal = Journal::in_memory().unwrap();
    let typed = Typed { words: vec!["agent-audit".to_owned(), "a b/".to_owned()], folder: PROJECT.to_owned() };
    let run = RunRecord { typed: Some(typed), ..run_record() };
    journal.begin_run(run.clone()).await.unwrap();
    journal.record_items(&run.id, vec![item("a", 0), item("b", 1)]).await.unwrap();
    let attempt = |item: &str, number, became| AttemptRow {
        item: item.to_owned(),
        number,
        worker: Some(3),
        became,
        reason: "it trapped".to_owned(),
        log: "last words".to_owned(),
        took: Duration::from_millis(7),
        ended: then(),
    };
    let tried = [attempt("b", 1, Became::Died), attempt("b", 2, Became::Aside), attempt("c", 1, Became::Again)];
    for row in tried.clone() {
        journal.record_attempt(&run.id, row).await.unwrap();
    }
    journal.flush().await.unwrap();
    let read = journal.run(&run.id).await.unwrap();
    assert_eq!((read.row.run, read.row.continued), (run, 0));
    assert_eq!(read.items.iter().map(|row| row.tried.as_slice()).collect::<Vec<_>>(), [&[], &tried[..2]]);
}

#[tokio::test]
async fn a_run_reads_as_it_was_written_also_after_a_restart() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = run_record();
    let id = run.id;
    journal.begin_run(run.clone()).await.unwrap();
    let child = ItemRecord { parent: Some("a".to_owned()), ..item("child", 3) };
    let items = vec![item("a", 0), item("b", 1), item("c", 2), child];
    journal.record_items(&id, items.clone()).await.unwrap();
    let ends = [
        ItemEnd { log: "line\n".to_owned(), attempts: 2, ..end("a", Outcome::Done) },
        end("b", Outcome::Failed("trapped".to_owned())),
        ItemEnd { reused: Some(RunId::new()), ..end("child", Outcome::Cached) },
    ];
    for end in ends.clone() {
        journal.finish_item(&id, end).await.unwrap();
    }
    journal.record_question(question(id, then(), Usd::from_pico(5))).await.unwrap();
    let census = Census { items: 4, done: 1, failed: 1, cached: 1, pending: 1, ..Census::default() };
    journal.end_run(&id, Status::Interrupted, census, then()).await.unwrap();
    drop(journal);

    let detail = Journal::open(&path).unwrap().run(&id).await.unwrap();
    assert_eq!(detail.row.run, run);
    assert_eq!(detail.row.end, Some(RunEnd { status: Status::Interrupted, census, ended: then() }));
    assert_eq!(detail.items.iter().map(|row| row.item.clone()).collect::<Vec<_>>(), items);
    let [first, second, third] = ends;
    let written: Vec<_> = detail.items.iter().map(|row| row.end.clone()).collect();
    assert_eq!(written, [Some(first), Some(second), None, Some(third)]);
    assert_eq!(detail.census(), census);
    assert_eq!((detail.usage.usd, detail.usage.output_tokens), (Usd::from_pico(5), 40));
}

#[tokio::test]
async fn what_is_committed_is_there_when_the_process_is_killed() {
    let (folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = begun(&journal, &["a"]).await;
    journal.record_question(question(run, then(), Usd::from_pico(5))).await.unwrap();
    journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
    // The files as a killed process leaves them: nothing was closed.
    let left = folder.path().join("left");
    std::fs::create_dir(&left).unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(folder.path().join(name), left.join(name)).unwrap();
    }
    let found = Journal::open(&left.join("journal.db")).unwrap();
    assert_eq!(found.reusable(&key("a"), PROJECT).await.unwrap().len(), 1);
    assert_eq!(found.spent(then()).await.unwrap().usd, Usd::from_pico(5), "never after the item's end");
}

#[tokio::test]
async fn an_item_ends_once_a_run() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a"]).await;
    journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
    let again = journal.finish_item(&run, end("a", Outcome::Failed("late".to_owned()))).await;
    assert_eq!(again, Err(JournalError::ItemEnded { run, item: "a".to_owned() }));
    assert_eq!(journal.run(&run).await.unwrap().census().done, 1);
}

#[tokio::test]
async fn what_is_unknown_or_there_already_is_named() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a"]).await;
    let other = RunId::new();
    let unknown = JournalError::UnknownRun { run: other.to_string() };
    assert_eq!(journal.record_items(&other, vec![item("a", 0)]).await, Err(unknown.clone()));
    assert_eq!(journal.finish_item(&other, end("a", Outcome::Done)).await, Err(unknown.clone()));
    assert_eq!(journal.end_run(&other, Status::Failed, Census::default(), then()).await, Err(unknown.clone()));
    assert_eq!(journal.run(&other).await, Err(unknown));
    let no_item = JournalError::UnknownItem { run, item: "b".to_owned() };
    assert_eq!(journal.finish_item(&run, end("b", Outcome::Done)).await, Err(no_item));
    let twice = journal.begin_run(RunRecord { id: run, ..run_record() }).await;
    assert_eq!(twice, Err(JournalError::RunExists { run }));
    let items = vec![item("new", 1), item("a", 2)];
    assert_eq!(journal.record_items(&run, items).await, Err(JournalError::ItemExists { run, item: "a".to_owned() }));
    assert_eq!(journal.run(&run).await.unwrap().items.len(), 1, "all or none");
    journal.end_run(&run, Status::Failed, Census::default(), then()).await.unwrap();
    let ended = journal.end_run(&run, Status::Completed, Census::default(), then()).await;
    assert_eq!(ended, Err(JournalError::RunEnded { run }));
}

#[tokio::test]
async fn done_can_not_be_said_without_a_result() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a"]).await;
    let nan = Metric { name: "n".to_owned(), value: f64::NAN, unit: String::new(), reduce: Reduction::Sum };
    for untrue in [
        ItemEnd { partial: None, ..end("a", Outcome::Done) },
        ItemEnd { partial: None, ..end("a", Outcome::Fallback("offline".to_owned())) },
        end("a", Outcome::Pending),
        ItemEnd { partial: Some(Partial { metrics: vec![nan], ..Partial::default() }), ..end("a", Outcome::Done) },
    ] {
        let refused = journal.finish_item(&run, untrue).await;
        assert!(matches!(refused, Err(JournalError::Unwritable { .. })), "{refused:?}");
    }
    journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
}

#[tokio::test]
async fn only_what_is_done_in_the_same_project_is_reused_newest_first() {
    let journal = Journal::in_memory().unwrap();
    let outcomes = [
        Outcome::Done,
        Outcome::Fallback("no model".to_owned()),
        Outcome::Failed("trapped".to_owned()),
        Outcome::Skipped("empty".to_owned()),
        Outcome::Done,
    ];
    let mut runs = Vec::new();
    for outcome in outcomes {
        let run = begun(&journal, &["a", "pending"]).await;
        journal.finish_item(&run, end("a", outcome)).await.unwrap();
        runs.push(run);
    }
    let cached = begun(&journal, &["a"]).await;
    journal.finish_item(&cached, ItemEnd { reused: Some(runs[0]), ..end("a", Outcome::Cached) }).await.unwrap();

    let found = journal.reusable(&key("a"), PROJECT).await.unwrap();
    assert_eq!(found.iter().map(|result| result.run).collect::<Vec<_>>(), [runs[4], runs[0]]);
    assert_eq!(found[0].partial, partial("a"));
    assert_eq!((&found[0].reads, found[0].finished, found[0].added), (&end("a", Outcome::Done).reads, then(), 0));
    assert_eq!(journal.reusable(&key("a"), "/elsewhere").await, Ok(Vec::new()));
    assert_eq!(journal.reusable(&key("pending"), PROJECT).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_result_says_how_many_items_it_added() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a", "b"]).await;
    let child = |id| ItemRecord { parent: Some("a".to_owned()), ..item(id, 2) };
    journal.record_items(&run, vec![child("c"), child("d")]).await.unwrap();
    for id in ["a", "b", "c"] {
        journal.finish_item(&run, end(id, Outcome::Done)).await.unwrap();
    }
    let found = journal.reusable_all(vec![key("a"), key("none"), key("b")], PROJECT).await.unwrap();
    assert_eq!(
        found.iter().map(|results| results.iter().map(|result| result.added).collect()).collect::<Vec<Vec<_>>>(),
        [vec![2], vec![], vec![0]]
    );
}

#[tokio::test]
async fn many_keys_are_asked_at_once_and_a_few_results_are_kept_of_each() {
    let journal = Journal::in_memory().unwrap();
    let ids: Vec<String> = (0..158).map(|number| format!("agent-{number}")).collect();
    for _ in 0..6 {
        let run = begun(&journal, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let finish = ids.iter().map(|id| journal.finish_item(&run, end(id, Outcome::Done)));
        assert!(futures::future::join_all(finish).await.iter().all(Result::is_ok));
    }
    let found = journal.reusable_all(ids.iter().map(|id| key(id)).collect(), PROJECT).await.unwrap();
    assert_eq!(found.len(), 158);
    assert!(found.iter().all(|results| results.len() == 4));
}

#[tokio::test]
async fn those_who_wait_share_a_commit_and_a_wrong_one_fails_alone() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let ids: Vec<String> = (0..64).map(|number| number.to_string()).collect();
    let run = begun(&journal, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let finish = (0..66).map(|number| journal.finish_item(&run, end(&(number % 65).to_string(), Outcome::Done)));
    let verdicts = futures::future::join_all(finish).await;
    let wrong: Vec<_> = verdicts.into_iter().filter_map(Result::err).collect();
    let item = |id: &str| id.to_owned();
    assert_eq!(
        wrong,
        [JournalError::UnknownItem { run, item: item("64") }, JournalError::ItemEnded { run, item: item("0") }]
    );
    assert_eq!(journal.run(&run).await.unwrap().census().done, 64);
}

#[tokio::test]
async fn the_ledger_adds_up_and_does_not_overflow() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a"]).await;
    let later = then() + SignedDuration::from_secs(60);
    for (asked, pico) in [(then(), 1), (later, 2), (later, 3)] {
        journal.record_question(question(run, asked, Usd::from_pico(pico))).await.unwrap();
    }
    journal.flush().await.unwrap();
    assert_eq!(journal.spent(later).await.unwrap().usd, Usd::from_pico(5));
    let all = journal.spent(then()).await.unwrap();
    assert_eq!((all.usd, all.requests), (Usd::from_pico(6), 3));
    assert_eq!((all.input_tokens, all.cache_read_tokens, all.cache_write_tokens, all.output_tokens), (30, 60, 90, 120));
    for _ in 0..3 {
        journal.record_question(question(run, later, Usd::from_pico(u64::MAX))).await.unwrap();
    }
    journal.flush().await.unwrap();
    assert_eq!(journal.spent(later).await.unwrap().usd, Usd::from_pico(u64::MAX));
}

#[tokio::test]
async fn what_is_paid_counts_when_it_ended_with_what_nobody_knows_of_all_runs() {
    let journal = Journal::in_memory().unwrap();
    let (one, other) = (begun(&journal, &["a"]).await, begun(&journal, &["a"]).await);
    let midnight = then();
    let before = midnight - SignedDuration::from_secs(60);
    let over = QuestionRow { took: Duration::from_secs(60), ..question(one, before, Usd::from_pico(1)) };
    let unknown = QuestionRow { uncertain: Usd::from_pico(20), ..question(other, midnight, Usd::from_pico(300)) };
    for row in [question(one, before, Usd::from_pico(5_000)), over, unknown] {
        journal.record_question(row).await.unwrap();
    }
    journal.flush().await.unwrap();
    assert_eq!(journal.paid(midnight).await.unwrap(), Usd::from_pico(321));
}

#[tokio::test]
async fn dropping_the_journal_writes_what_is_queued() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = begun(&journal, &["a"]).await;
    for _ in 0..100 {
        journal.record_question(question(run, then(), Usd::from_pico(1))).await.unwrap();
    }
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().spent(then()).await.unwrap().usd, Usd::from_pico(100));
}

#[tokio::test]
async fn a_run_is_found_by_the_end_of_its_id() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &[]).await;
    let other = begun(&journal, &[]).await;
    assert_eq!(journal.find_run(&run.short()).await, Ok(run));
    assert_eq!(journal.find_run(&other.to_string()).await, Ok(other));
    assert_eq!(journal.find_run(&run.short()[4..].to_uppercase()).await, Ok(run));
    for unknown in ["", "abc", "%%%%", "000000000000", "../../../etc"] {
        let error = JournalError::UnknownRun { run: unknown.to_owned() };
        assert_eq!(journal.find_run(unknown).await, Err(error));
    }
    let newest: Vec<_> = journal.runs(1).await.unwrap().into_iter().map(|row| (row.run.id, row.end)).collect();
    assert_eq!(newest, [(other, None)]);
}

#[tokio::test]
async fn a_locked_journal_is_named_and_works_again_once_it_is_free() {
    let (_folder, path) = on_disk();
    let journal = Journal::open_with(&path, Duration::ZERO).unwrap();
    let run = begun(&journal, &["a"]).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = journal.finish_item(&run, end("a", Outcome::Done)).await;
    assert_eq!(refused, Err(JournalError::Locked { path: path.clone() }));
    // The ledger doesn't pretend either.
    let refused = journal.record_question(question(run, then(), Usd::from_pico(1))).await;
    assert_eq!(refused, Err(JournalError::Locked { path: path.clone() }));
    assert_eq!(journal.run(&run).await.unwrap().census().pending, 1, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
}

#[tokio::test]
async fn a_ledger_line_that_could_not_be_written_goes_with_the_next_commit() {
    let (_folder, path) = on_disk();
    let journal = Journal::open_with(&path, Duration::ZERO).unwrap();
    let run = begun(&journal, &["a"]).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    journal.record_question(question(run, then(), Usd::from_pico(7))).await.unwrap();
    let locked = Err(JournalError::Locked { path: path.clone() });
    assert_eq!(journal.flush().await, locked);
    // Who writes one meanwhile is told, and it is not lost either.
    assert_eq!(journal.record_question(question(run, then(), Usd::from_pico(30))).await, locked);
    other.execute_batch("ROLLBACK").unwrap();
    journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
    assert_eq!(journal.spent(then()).await.unwrap().usd, Usd::from_pico(37));
}

#[tokio::test]
async fn a_full_disk_is_named_and_costs_only_what_did_not_fit() {
    let (_folder, path) = on_disk();
    let (writing, reading) = schema::open(&path, Duration::ZERO).unwrap();
    let pages: i64 = writing.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    writing.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(())).unwrap();
    let (writing, reading) = (Arc::new(Mutex::new(writing)), Arc::new(Mutex::new(reading)));
    let journal = Journal::start(path.clone(), writing, reading, Living::default()).unwrap();
    let run = begun(&journal, &["a", "b"]).await;
    let long = ItemEnd { log: "x".repeat(100_000), ..end("a", Outcome::Done) };
    assert_eq!(journal.finish_item(&run, long).await, Err(JournalError::Full { path }));
    journal.finish_item(&run, end("b", Outcome::Done)).await.unwrap();
    let written = journal.run(&run).await.unwrap().census();
    assert_eq!((written.done, written.pending), (1, 1));
}

#[tokio::test]
async fn the_log_is_copied_into_the_file_before_it_gets_long() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let ids: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let run = begun(&journal, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for id in &ids {
        let long = ItemEnd { log: "x".repeat(200_000), ..end(id, Outcome::Done) };
        journal.finish_item(&run, long).await.unwrap();
    }
    // What is written after it is written when it is copied.
    journal.flush().await.unwrap();
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    let (file, log) = (size(&path), size(&path.with_extension("db-wal")));
    assert!(file > 2 << 20 && log < 5 << 20, "{file} bytes in the file, {log} in the log");
}

#[tokio::test]
async fn two_processes_write_one_journal() {
    let (_folder, path) = on_disk();
    let journals = [Journal::open(&path).unwrap(), Journal::open(&path).unwrap()];
    let write = journals.iter().map(|journal| async move {
        let run = begun(journal, &["a", "b"]).await;
        for id in ["a", "b"] {
            journal.finish_item(&run, end(id, Outcome::Done)).await.unwrap();
        }
        run
    });
    let runs: BTreeSet<_> = futures::future::join_all(write).await.into_iter().collect();
    let seen: BTreeSet<_> = journals[0].runs(9).await.unwrap().into_iter().map(|row| row.run.id).collect();
    assert_eq!(seen, runs);
}

#[tokio::test]
async fn a_record_that_makes_no_sense_is_an_error_not_a_result() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let run = begun(&journal, &["a"]).await;
    journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
    Connection::open(&path).unwrap().execute("UPDATE ends SET partial_json = '{'", []).unwrap();
    for read in [journal.reusable(&key("a"), PROJECT).await.err(), journal.run(&run).await.err()] {
        assert!(matches!(read, Some(JournalError::Unreadable { .. })), "{read:?}");
    }
}

#[tokio::test]
async fn a_run_is_running_while_its_process_lives_and_else_how_it_ended_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (mine, theirs) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
    let (ended, killed) = (run_record(), run_record());
    for run in [&ended, &killed] {
        mine.begin_run(run.clone()).await.unwrap();
        assert_eq!(mine.begin_run(run.clone()).await, Err(JournalError::RunExists { run: run.id }));
    }
    let mut rows = theirs.runs(2).await.unwrap();
    for row in &mut rows {
        assert_eq!(theirs.standing(row).await, Ok(Standing::Running));
        assert_eq!(theirs.hold(&row.run.id), Err(JournalError::UnderWay { run: row.run.id }));
    }
    mine.end_run(&ended.id, Status::Completed, Census::default(), then()).await.unwrap();
    drop(mine);
    // What was read before they came to their end.
    for row in &mut rows {
        let expected = if row.run.id == ended.id { Standing::Ended(Status::Completed) } else { Standing::Gone };
        assert_eq!(theirs.standing(row).await, Ok(expected));
    }
    assert_eq!(rows[1].end.as_ref().map(|end| end.status), Some(Status::Completed), "the row has it too");
    theirs.hold(&killed.id).unwrap();
    assert!(theirs.is_under_way(&killed.id));
}

#[tokio::test]
async fn the_word_of_the_journal_names_the_item_and_its_end() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a", "b"]).await;
    let written = journal.finish_item(&run, end("a", Outcome::Done)).await.unwrap();
    assert_eq!((written.run(), written.item(), written.outcome()), (run, "a", &Outcome::Done));
    assert_eq!(
        journal.outcomes(&run).await.unwrap(),
        [("a".to_owned(), Outcome::Done), ("b".to_owned(), Outcome::Pending)]
    );
}

#[tokio::test]
async fn a_run_that_has_ended_may_turn_out_worse_and_no_other() {
    let journal = Journal::in_memory().unwrap();
    let run = begun(&journal, &["a"]).await;
    let early = journal.amend_end(&run, Status::Degraded).await;
    assert!(matches!(early, Err(JournalError::Unwritable { .. })), "{early:?}");
    journal.end_run(&run, Status::Completed, Census::default(), then()).await.unwrap();
    journal.amend_end(&run, Status::Degraded).await.unwrap();
    let read = journal.run(&run).await.unwrap().row.end.unwrap();
    assert_eq!((read.status, read.ended), (Status::Degraded, then()));
    let other = RunId::new();
    let unknown = journal.amend_end(&other, Status::Failed).await;
    assert_eq!(unknown, Err(JournalError::UnknownRun { run: other.to_string() }));
}

/// Whoever reads at any moment finds no result whose cost is missing.
#[tokio::test(flavor = "multi_thread")]
async fn no_item_has_ended_whose_questions_are_not_in_the_ledger() {
    let (_folder, path) = on_disk();
    let journal = Journal::open(&path).unwrap();
    let ids: Vec<String> = (0..200).map(|number| format!("item-{number}")).collect();
    let run = begun(&journal, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let tasks = ids.into_iter().map(|id| {
        let journal = journal.clone();
        async move {
            journal
                .record_question(QuestionRow { item: id.clone(), ..question(run, then(), Usd::ZERO) })
                .await
                .unwrap();
            journal.finish_item(&run, end(&id, Outcome::Done)).await.unwrap();
        }
    });
    let writing = tokio::spawn(futures::future::join_all(tasks));
    // As another process sees it, and as this one would find it after a kill.
    let other = Connection::open(&path).unwrap();
    let lacking = "SELECT count(*) FROM ends JOIN items ON items.seq = ends.item
                   WHERE NOT EXISTS (SELECT 1 FROM questions WHERE questions.item = items.id)";
    let ended = "SELECT count(*) FROM ends";
    let count = |question: &str| other.query_row(question, [], |row| row.get::<_, i64>(0)).unwrap();
    while count(ended) < 200 {
        assert_eq!(count(lacking), 0);
    }
    assert_eq!(count(lacking), 0);
    writing.await.unwrap();
}
