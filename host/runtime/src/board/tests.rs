//! The board's rules by example.

use super::*;

fn item(id: &str) -> Item {
    Item { id: id.to_owned(), label: id.to_owned(), weight: 1, repeatable: true, ..Item::default() }
}

fn after(id: &str, before: &[&str]) -> Item {
    Item { after: before.iter().map(|&id| id.to_owned()).collect(), ..item(id) }
}

fn writing(id: &str, path: &str) -> Item {
    Item { writes: vec![path.to_owned()], ..item(id) }
}

fn segments(dealt: &[&[usize]]) -> Vec<Segment> {
    dealt.iter().map(|items| Segment { label: "segment".to_owned(), items: items.to_vec() }).collect()
}

/// A board with workers 0, 1, ..., one a segment.
fn board(items: Vec<Item>, dealt: &[&[usize]]) -> Board {
    let mut board = Board::new(items, &segments(dealt), &[]).unwrap();
    (0..dealt.len()).for_each(|worker| board.join(worker).unwrap());
    board
}

fn refused(items: Vec<Item>) -> BoardError {
    Board::new(items, &[], &[]).unwrap_err()
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(reason.to_owned())
}

#[test]
fn a_worker_takes_its_own_segment_first_then_of_the_heaviest() {
    let heavy = Item { weight: 9, ..item("e") };
    let mut board = board(vec![item("a"), item("b"), item("c"), item("d"), heavy], &[&[1, 0], &[2, 3], &[4]]);
    let mut takes = Vec::new();
    for _ in 0..4 {
        let Take::Item(number) = board.take(0).unwrap() else { panic!("there is something") };
        takes.push(number);
        board.finish(0, number, Outcome::Done).unwrap();
    }
    assert_eq!(takes, [1, 0, 4, 2]);
    assert_eq!(board.take(1), Ok(Take::Item(3)));
    assert_eq!(board.take(0), Ok(Take::Wait), "the last may come back");
    board.finish(1, 3, Outcome::Done).unwrap();
    assert_eq!(board.take(0), Ok(Take::Nothing));
    assert!(board.is_over());
}

#[test]
fn items_dealt_to_nobody_are_for_everybody_and_cached_ones_for_nobody() {
    let items = vec![item("a"), item("b"), after("c", &["b"])];
    let mut board = Board::new(items, &segments(&[&[0]]), &[1]).unwrap();
    board.join(0).unwrap();
    assert_eq!(board.take(0), Ok(Take::Item(0)));
    board.finish(0, 0, Outcome::Done).unwrap();
    assert_eq!(board.take(0), Ok(Take::Item(2)), "what is cached has ended");
    assert_eq!(board.census(), Census { items: 3, done: 1, cached: 1, pending: 1, ..Census::default() });
}

#[test]
fn no_items_are_over_at_once() {
    let mut board = board(Vec::new(), &[&[]]);
    assert!(board.is_over());
    assert_eq!((board.take(0), board.wants_more_workers()), (Ok(Take::Nothing), 0));
}

#[test]
fn an_item_starts_when_those_before_it_have_ended_however_they_ended() {
    let mut board = board(vec![after("a", &["b", "b"]), item("b")], &[&[0], &[1]]);
    assert_eq!(board.take(0), Ok(Take::Item(1)), "its own is not ready");
    assert_eq!(board.take(1), Ok(Take::Wait));
    board.finish(0, 1, failed("no")).unwrap();
    assert_eq!(board.take(1), Ok(Take::Item(0)));
    assert_eq!(board.await_item(1, "b"), Ok(Awaited::Ended(1)));
}

#[test]
fn items_that_write_the_same_path_never_run_at_once() {
    let items = vec![writing("a", "x/y"), writing("b", "./x//y"), writing("c", "x/z")];
    let mut board = board(items, &[&[0], &[1, 2]]);
    assert_eq!(board.take(0), Ok(Take::Item(0)));
    assert_eq!(board.take(1), Ok(Take::Item(2)));
    board.finish(1, 2, Outcome::Done).unwrap();
    assert_eq!(board.take(1), Ok(Take::Wait));
    assert_eq!(board.give_back(0, "trapped"), Ok(Some(Lost::Again(0))), "a dead worker writes nothing");
    assert_eq!(board.take(1), Ok(Take::Item(0)));
    board.finish(1, 0, Outcome::Done).unwrap();
    assert_eq!(board.take(1), Ok(Take::Item(1)));
}

#[test]
fn wrong_plans_are_named() {
    let text = |id: &str| id.to_owned();
    assert_eq!(refused(vec![item("a"), item("a")]), BoardError::DuplicateId { id: text("a") });
    let unknown = BoardError::UnknownAfter { item: text("a"), after: text("elsewhere"), near: None };
    assert_eq!(refused(vec![after("a", &["elsewhere"])]), unknown);
    let unknown = refused(vec![item("src/lib.rs"), after("a", &["src/lbi.rs"])]);
    assert!(unknown.to_string().ends_with("not an item of this run; did you mean \"src/lib.rs\"?"), "{unknown}");
    assert_eq!(refused(vec![after("a", &["a"])]), BoardError::Cycle { items: vec![text("a"), text("a")] });
    let circle = vec![after("a", &["b"]), after("b", &["c"]), after("c", &["d", "b"]), item("d"), after("e", &["a"])];
    let circle = refused(circle);
    assert_eq!(circle, BoardError::Cycle { items: vec![text("b"), text("c"), text("b")] });
    assert_eq!(circle.to_string(), "items come after each other in a circle: b after c after b");
    let deal_twice = |dealt: &[&[usize]], cached: &[usize]| {
        Board::new(vec![item("a"), item("b")], &segments(dealt), cached).unwrap_err()
    };
    assert_eq!(deal_twice(&[&[0], &[1, 0]], &[]), BoardError::DealtTwice { id: text("a") });
    assert_eq!(deal_twice(&[&[0, 1]], &[1]), BoardError::DealtTwice { id: text("b") });
    assert_eq!(deal_twice(&[&[2]], &[]), BoardError::UnknownNumber { number: 2 });
}

#[test]
fn an_item_ends_once_and_only_by_its_holder() {
    let mut board = board(vec![item("a"), item("b")], &[&[0], &[1]]);
    let text = |id: &str| id.to_owned();
    let not_holder = |worker| Err(BoardError::NotHolder { worker, item: text("a") });
    assert_eq!(board.finish(0, 0, Outcome::Done), not_holder(0));
    board.take(0).unwrap();
    assert_eq!(board.finish(1, 0, Outcome::Done), not_holder(1));
    assert_eq!(board.finish(0, 0, Outcome::Pending), Err(BoardError::NotAnEnd { item: text("a") }));
    assert_eq!(board.take(0), Err(BoardError::StillHolds { worker: 0, item: text("a") }));
    assert_eq!(board.settle(0, Outcome::Cached), Err(BoardError::Held { item: text("a"), worker: 0 }));
    board.finish(0, 0, Outcome::Done).unwrap();
    let ended = Err(BoardError::Ended { item: text("a") });
    assert_eq!((board.finish(0, 0, Outcome::Done), board.settle(0, Outcome::Done)), (ended.clone(), ended));
    assert_eq!(board.finish(0, 9, Outcome::Done), Err(BoardError::UnknownNumber { number: 9 }));
    assert_eq!(board.take(9), Err(BoardError::UnknownWorker { worker: 9 }));
    assert_eq!(board.join(0), Err(BoardError::WorkerExists { worker: 0 }));
    board.settle(1, Outcome::Skipped(text("late"))).unwrap();
    assert_eq!(board.take(0), Ok(Take::Nothing));
}

#[test]
fn an_item_of_a_dead_worker_goes_to_another_at_once_and_fails_the_second_time() {
    let mut board = board(vec![item("a"), item("b")], &[&[0], &[1]]);
    board.take(0).unwrap();
    assert_eq!(board.give_back(0, "trapped"), Ok(Some(Lost::Again(0))));
    assert_eq!(board.take(1), Ok(Take::Item(0)), "before its own");
    assert_eq!(board.attempts(0), 2);
    let end = failed("2 workers died of it, the last because: out of memory");
    assert_eq!(board.give_back(1, "out of memory"), Ok(Some(Lost::Ended(0, end.clone()))));
    assert_eq!(board.outcome(0), Some(&end));
    assert_eq!(board.wants_more_workers(), 1);
    assert_eq!(board.give_back(1, "again"), Err(BoardError::UnknownWorker { worker: 1 }));
}

#[test]
fn an_item_that_is_not_repeatable_is_not_tried_again() {
    let once = Item { repeatable: false, ..item("a") };
    let mut board = board(vec![once], &[&[0]]);
    board.take(0).unwrap();
    let end = failed("its worker died, and it must not be done twice: trapped");
    assert_eq!(board.give_back(0, "trapped"), Ok(Some(Lost::Ended(0, end))));
    assert!(board.is_over());
}

#[test]
fn a_worker_that_returns_with_an_item_has_failed_it() {
    let mut board = board(vec![item("a")], &[&[0], &[]]);
    board.take(0).unwrap();
    let end = failed("its plugin returned without finishing it: no more");
    assert_eq!(board.leave(0, Some("no more")), Ok(Some(Lost::Ended(0, end))));
    assert_eq!(board.leave(1, None), Ok(None));
}

#[test]
fn a_stopped_run_gives_nothing_out_and_what_was_not_done_stays_pending() {
    let mut board = board(vec![item("a"), item("b"), item("c")], &[&[0], &[1], &[2]]);
    board.take(0).unwrap();
    board.take(1).unwrap();
    board.drain("session limit reached");
    board.drain("later");
    assert_eq!(board.draining(), Some("session limit reached"));
    assert_eq!(board.take(2), Ok(Take::Nothing));
    let draining = BoardError::Draining { reason: "session limit reached".to_owned() };
    assert_eq!(board.add(0, 0, vec![item("d")]), Err(draining));
    assert!(!board.is_over());
    board.finish(0, 0, Outcome::Done).unwrap();
    assert_eq!(board.give_back(1, "dropped"), Ok(Some(Lost::Again(1))));
    assert!(board.is_over());
    assert_eq!(board.wants_more_workers(), 0);
    assert_eq!(board.census(), Census { items: 3, done: 1, pending: 2, ..Census::default() });
}

#[test]
fn added_items_are_given_out_when_they_are_published() {
    let mut board = board(vec![item("a")], &[&[0], &[]]);
    board.take(0).unwrap();
    let added = board.add(0, 0, vec![item("b"), after("c", &["b"])]).unwrap();
    assert_eq!(added, Added { numbers: vec![1, 2], new: vec![1, 2] });
    assert_eq!(board.take(1), Ok(Take::Wait), "they are not in the journal yet");
    board.publish(&added.new);
    board.publish(&added.new);
    assert_eq!(board.take(1), Ok(Take::Item(1)));
    board.finish(0, 0, Outcome::Done).unwrap();
    assert_eq!(board.take(0), Ok(Take::Wait), "publishing twice does not skip what comes before");
    assert_eq!((board.parent(2), board.number("c")), (Some(0), Some(2)));
}

#[test]
fn an_item_that_is_done_again_adds_the_same_items_again() {
    let mut board = board(vec![item("a")], &[&[0], &[]]);
    board.take(0).unwrap();
    let added = board.add(0, 0, vec![item("b")]).unwrap();
    board.publish(&added.new);
    board.give_back(0, "trapped").unwrap();
    board.take(1).unwrap();
    let again = board.add(1, 0, vec![item("b"), item("c")]).unwrap();
    assert_eq!(again, Added { numbers: vec![1, 2], new: vec![2] });
    let other = Item { input: "other".to_owned(), ..item("b") };
    assert_eq!(board.add(1, 0, vec![other]), Err(BoardError::DuplicateId { id: "b".to_owned() }));
    assert_eq!(board.add(1, 0, vec![item("a")]), Err(BoardError::DuplicateId { id: "a".to_owned() }));
}

#[test]
fn items_are_added_three_deep_and_thirty_two_wide() {
    let mut board = board(vec![item("0")], &[&[0]]);
    for depth in 0..Nesting::default().depth {
        assert_eq!(board.take(0), Ok(Take::Item(depth)));
        let added = board.add(0, depth, vec![item(&(depth + 1).to_string())]).unwrap();
        board.publish(&added.new);
        board.finish(0, depth, Outcome::Done).unwrap();
    }
    board.take(0).unwrap();
    let deep = BoardError::TooDeep { item: "3".to_owned(), depth: 3 };
    assert_eq!(board.add(0, 3, vec![item("4")]), Err(deep));

    let mut board = self::board(vec![item("a")], &[&[0]]);
    board.take(0).unwrap();
    let many = |from: usize, to: usize| (from..to).map(|id| item(&id.to_string())).collect();
    board.add(0, 0, many(0, 20)).unwrap();
    let wide = BoardError::TooMany { item: "a".to_owned(), wanted: 33, limit: 32 };
    assert_eq!(board.add(0, 0, many(20, 33)), Err(wide));
    assert_eq!(board.add(0, 0, many(20, 32)).unwrap().new.len(), 12);
    assert_eq!(board.census().items, 33);
}

#[test]
fn a_worker_that_waits_makes_room_for_another() {
    let mut board = board(vec![item("a")], &[&[0]]);
    board.take(0).unwrap();
    let added = board.add(0, 0, vec![item("b")]).unwrap();
    board.publish(&added.new);
    assert_eq!(board.wants_more_workers(), 0, "the one that there should be is at work");
    assert_eq!(board.await_item(0, "b"), Ok(Awaited::Waiting));
    assert_eq!(board.wants_more_workers(), 1);
    board.join(1).unwrap();
    assert_eq!(board.wants_more_workers(), 0, "it will take it");
    assert_eq!(board.take(1), Ok(Take::Item(1)));
    board.finish(1, 1, Outcome::Done).unwrap();
    assert_eq!(board.await_item(0, "b"), Ok(Awaited::Ended(1)));
    board.finish(0, 0, Outcome::Done).unwrap();
}

#[test]
fn what_would_wait_for_ever_is_refused() {
    let mut board = board(vec![writing("a", "p"), item("other")], &[&[0], &[1]]);
    board.take(0).unwrap();
    let added = board.add(0, 0, vec![after("later", &["a"]), writing("clash", "p"), after("far", &["clash"])]).unwrap();
    board.publish(&added.new);
    for (id, circle) in [
        ("later", "a waits for later waits for a"),
        ("clash", "a waits for clash waits for a"),
        ("far", "a waits for far waits for clash waits for a"),
    ] {
        let never = board.await_item(0, id).unwrap_err();
        assert_eq!(never.to_string(), format!("item \"a\" can't wait for {id:?}: {circle}"));
    }
    let strange = BoardError::NotRelated { item: "a".to_owned(), id: "other".to_owned() };
    assert_eq!(board.await_item(0, "other"), Err(strange));
    assert_eq!(board.await_item(0, "none"), Err(BoardError::UnknownItem { id: "none".to_owned() }));
    let idle = BoardError::NotHolder { worker: 1, item: "a".to_owned() };
    assert_eq!(board.await_item(1, "a"), Err(idle));
}

#[test]
fn a_circle_by_way_of_another_workers_wait_is_refused() {
    // `a` waits for its `x`, which comes after `b`; `b` must not wait for its `y`, which needs the path that `a` holds.
    let mut board = board(vec![writing("a", "p"), item("b")], &[&[0], &[1]]);
    board.take(0).unwrap();
    board.take(1).unwrap();
    let added =
        [board.add(0, 0, vec![after("x", &["b"])]).unwrap().new, board.add(1, 1, vec![writing("y", "p")]).unwrap().new];
    added.iter().for_each(|new| board.publish(new));
    assert_eq!(board.await_item(0, "x"), Ok(Awaited::Waiting));
    let never = board.await_item(1, "y").unwrap_err();
    assert!(never.to_string().ends_with("b waits for y waits for a waits for x waits for b"), "{never}");
    board.finish(1, 1, Outcome::Done).unwrap();
    assert_eq!(board.take(1), Ok(Take::Item(2)));
}

#[test]
fn a_stopped_run_keeps_nobody_waiting_for_what_will_not_be_begun() {
    let mut board = board(vec![item("a")], &[&[0]]);
    board.take(0).unwrap();
    let added = board.add(0, 0, vec![item("b")]).unwrap();
    board.publish(&added.new);
    assert_eq!(board.await_item(0, "b"), Ok(Awaited::Waiting));
    board.drain("interrupted");
    let draining = BoardError::Draining { reason: "interrupted".to_owned() };
    assert_eq!(board.await_item(0, "b"), Err(draining));
}

#[test]
fn a_path_inside_of_another_is_common_and_each_sees_what_the_other_came_to() {
    let mut board = board(
        vec![writing("folder", "./docs/"), writing("file", "docs/a.md"), writing("like", "docs2")],
        &[&[0], &[1, 2]],
    );
    assert_eq!(board.take(0), Ok(Take::Item(0)));
    assert_eq!(board.take(1), Ok(Take::Item(2)), "the folder is being written, the other only begins alike");
    board.finish(1, 2, Outcome::Done).unwrap();
    assert_eq!(board.take(1), Ok(Take::Wait));
    board.finish(0, 0, Outcome::Done).unwrap();
    assert_eq!(board.take(1), Ok(Take::Item(1)));
    assert_eq!(board.await_item(1, "folder"), Ok(Awaited::Ended(0)));
    assert!(matches!(board.await_item(1, "like"), Err(BoardError::NotRelated { .. })));
    assert_eq!(board.take(0), Ok(Take::Wait));
}

#[test]
fn how_deep_and_wide_items_add_items_can_be_set() {
    let mut board = board(vec![item("a")], &[&[0]]).nesting(Nesting { depth: 1, width: 2 });
    board.take(0).unwrap();
    let three = vec![item("x"), item("y"), item("z")];
    assert!(matches!(board.add(0, 0, three), Err(BoardError::TooMany { wanted: 3, limit: 2, .. })));
    let added = board.add(0, 0, vec![item("x")]).unwrap();
    board.publish(&added.new);
    board.finish(0, 0, Outcome::Done).unwrap();
    assert_eq!(board.take(0), Ok(Take::Item(1)));
    assert!(matches!(board.add(0, 1, vec![item("deeper")]), Err(BoardError::TooDeep { depth: 1, .. })));
}

#[test]
fn what_is_waited_for_goes_first_so_that_few_wait() {
    let items: Vec<Item> = (0..50).map(|number| item(&number.to_string())).collect();
    let mut board = board(items, &[&(0..50).collect::<Vec<_>>()]);
    let (mut waiting, mut most, mut next) = (Vec::<(usize, usize, String)>::new(), 0, 1);
    let mut idle = vec![0];
    while !board.is_over() {
        for _ in 0..board.wants_more_workers() {
            board.join(next).unwrap();
            idle.push(next);
            next += 1;
        }
        while let Some(worker) = idle.pop() {
            let Take::Item(number) = board.take(worker).unwrap() else { break };
            if board.parent(number).is_some() {
                board.finish(worker, number, Outcome::Done).unwrap();
                idle.push(worker);
                break;
            }
            let id = format!("of {number}");
            let added = board.add(worker, number, vec![item(&id)]).unwrap();
            board.publish(&added.new);
            assert_eq!(board.await_item(worker, &id), Ok(Awaited::Waiting));
            waiting.push((worker, number, id));
        }
        most = most.max(waiting.len());
        waiting.retain(|(worker, number, id)| {
            let waits = board.await_item(*worker, id) == Ok(Awaited::Waiting);
            if !waits {
                board.finish(*worker, *number, Outcome::Done).unwrap();
                idle.push(*worker);
            }
            waits
        });
    }
    assert!(most <= 2, "{most} wait at once");
}

#[tokio::test]
async fn an_item_ends_by_the_word_of_the_journal_for_itself_and_for_no_other() {
    use crate::journal::{Digest, ItemEnd, ItemKey, ItemRecord, Journal, ReadSet, RunId, RunRecord};
    use crate::work::Partial;

    let journal = Journal::in_memory().unwrap();
    let run = RunRecord {
        id: RunId::new(),
        command: String::new(),
        subcommand: None,
        plugin_name: String::new(),
        plugin_version: String::new(),
        plugin_digest: String::new(),
        arguments: serde_json::Value::Null,
        project: String::new(),
        mode: String::new(),
        backend: String::new(),
        started: jiff::Timestamp::UNIX_EPOCH,
        typed: None,
    };
    let id = run.id;
    journal.begin_run(run).await.unwrap();
    let record = |name: &str, ordinal| ItemRecord {
        id: name.to_owned(),
        label: String::new(),
        key: ItemKey(Digest::of(name.as_bytes())),
        ordinal,
        parent: None,
    };
    journal.record_items(&id, vec![record("a", 0), record("b", 1)]).await.unwrap();
    let end = ItemEnd {
        item: "a".to_owned(),
        outcome: Outcome::Done,
        partial: Some(Partial::default()),
        reads: ReadSet::default(),
        reused: None,
        took: std::time::Duration::ZERO,
        attempts: 1,
        log: String::new(),
        ended: jiff::Timestamp::UNIX_EPOCH,
    };
    let mut board = Board::of(vec![item("a"), item("b")], &[]).unwrap();
    let of_a = journal.finish_item(&id, end.clone()).await.unwrap();
    let refused = board.settle(1, of_a);
    assert_eq!(refused, Err(BoardError::EndOfAnother { item: "b".to_owned() }));
    assert_eq!(board.outcome(1), Some(&Outcome::Pending));
    // The word was used up, and the journal gives it once.
    assert!(journal.finish_item(&id, end.clone()).await.is_err());
    let of_b = journal.finish_item(&id, ItemEnd { item: "b".to_owned(), ..end }).await.unwrap();
    board.settle(1, of_b).unwrap();
    assert_eq!(board.outcome(1), Some(&Outcome::Done));
}
