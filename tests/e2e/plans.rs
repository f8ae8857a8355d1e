//! Plans, added items and conclusions of a plugin that means no good.

use crate::support::{Done, Report, World, hostile};

const LIMITS: &str = "version = 1\n[limits]\nplugin_fuel = 500_000_000\nworker_timeout_s = 3\nplugin_memory_mib = 32\n";

async fn run(arguments: &[&str]) -> Report {
    World::new().config(LIMITS).hostile(arguments.iter().copied()).await
}

/// A plan that can't be carried out: said, and nothing else.
async fn planning(planning: &str) -> Done {
    let arguments = [hostile(), "--planning", planning, "fine", "--format", "json"];
    World::new().config(LIMITS).convoke(arguments).run().await.reports_nothing()
}

#[tokio::test]
async fn a_plan_that_breaks_off_is_told() {
    for (misdeed, words) in [
        ("panic", "it panicked"),
        ("loop", "more CPU"),
        ("sleep", "longer than 3 s"),
        ("memory", "more than 32 MiB"),
        ("recursion", "crashed"),
        ("exit", "it ended its process"),
    ] {
        let done = planning(misdeed).await.exits(4).says(words);
        assert!(done.stderr.contains("hostile"), "which plugin is not said: {}", done.stderr);
    }
}

#[tokio::test]
async fn what_a_plugin_wrote_before_its_plan_broke_off_is_shown() {
    planning("panic").await.exits(4).says("on purpose");
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_told() {
    for (nonsense, words) in [
        ("duplicate", "two items have the id \"twin\""),
        ("cycle", "in a circle"),
        ("after-itself", "ego"),
        ("unknown-after", "item \"orphan\" comes after \"nobody\", which is not an item of this run"),
        ("no-id", "an item has no id"),
        ("input", "the input of item \"garbled\" is not JSON"),
        ("distribution", "this host knows no distribution \"by-the-moon\""),
    ] {
        planning(nonsense).await.exits(4).says(words);
    }
}

#[tokio::test]
async fn a_plugin_that_refuses_is_quoted_without_its_escapes() {
    let done = planning("refuse").await.exits(2).says("not today").says("try tomorrow");
    assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
}

#[tokio::test]
async fn a_plugin_that_rants_is_cut_short() {
    let done = planning("rant").await.exits(2).says("on and on");
    assert!(done.stderr.len() < 20_000, "{}", done.stderr.len());
}

#[tokio::test]
async fn a_plan_is_given_no_items() {
    let report = run(&["--planning", "take", "fine"]).await;
    assert_eq!(report.census(), "done 1");
}

#[tokio::test]
async fn very_long_names_are_bounded_where_they_are_shown() {
    let done = World::new().convoke([hostile(), "--planning", "long", "fine"]).run().await;
    assert!(done.stdout.len() + done.stderr.len() < 100_000, "{} {}", done.stdout.len(), done.stderr.len());
}

#[tokio::test]
async fn an_empty_plan_is_done_at_once() {
    let report = run(&[]).await;
    assert_eq!((report.status(), report.count("items")), ("completed", 0));
    assert!(report.list("workers").is_empty());
}

#[tokio::test]
async fn ten_thousand_items_are_done() {
    let report = run(&["--many", "10000"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 10000"));
}

#[tokio::test]
async fn items_after_others_come_after_them() {
    let report = run(&["--planning", "chain", "fine", "await:1-fine", "await:2-await", "fine"]).await;
    assert_eq!(report.census(), "done 4");
    assert_eq!(report.messages("3-await"), ["2-await has 1 findings"]);
}

#[tokio::test]
async fn what_comes_after_a_failure_sees_that_there_is_no_result() {
    let report = run(&["--planning", "chain", "panic", "await:1-panic"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 1, failed 1"));
    assert_eq!(report.messages("2-await"), ["1-panic has no result"]);
}

#[tokio::test]
async fn only_items_that_it_has_to_do_with_can_be_waited_for() {
    let report = run(&["fine", "await:1-fine", "await:3-await", "await:nobody"]).await;
    assert_eq!(report.census(), "done 1, failed 3");
    assert!(report.failure("2-await").0.contains("neither comes after \"1-fine\" nor has added it"));
    assert!(report.failure("4-await").0.contains("there is no item \"nobody\" in this run"));
}

#[tokio::test]
async fn an_item_adds_items_and_sees_their_results() {
    let report = run(&["add:3", "fine"]).await;
    assert_eq!((report.count("items"), report.census().as_str()), (5, "done 5"));
    assert_eq!(report.messages("1-add"), ["3 children with 3 findings"]);
}

#[tokio::test]
async fn every_worker_may_wait_for_what_it_has_added() {
    let report = run(&["add:4", "add:4", "add:4", "add:4", "add:4", "add:4", "add:4", "add:4", "add:4", "add:4"]).await;
    assert_eq!((report.count("items"), report.census().as_str()), (50, "done 50"));
}

#[tokio::test]
async fn thirty_two_items_can_be_added_and_no_more() {
    let report = run(&["add:32", "add:33", "add:0"]).await;
    assert_eq!((report.count("items"), report.census().as_str()), (35, "done 34, failed 1"));
    assert!(report.failure("2-add").0.contains("can't add 33 items: the limit is 32"), "{:?}", report.failure("2-add"));
}

#[tokio::test]
async fn items_are_added_three_deep_and_no_deeper() {
    let report = run(&["add-deep"]).await;
    assert_eq!((report.count("items"), report.count("failed")), (4, 1), "{:#}", report.json["failures"]);
    let (reason, _) = report.failure("1-add-deep/1/1/1");
    assert!(reason.contains("added 3 deep, and that is the limit"), "{reason}");
}

#[tokio::test]
async fn nonsense_is_not_added() {
    let report = run(&["add-twin", "add-cycle", "fine"]).await;
    assert_eq!((report.count("items"), report.census().as_str()), (3, "done 1, failed 2"));
    assert!(report.failure("1-add-twin").0.contains("two items have the id"));
    assert!(report.failure("2-add-cycle").0.contains("in a circle"));
}

#[tokio::test]
async fn a_conclusion_is_an_item_that_sees_the_whole() {
    let report = run(&["fine", "fail", "fine", "--concluding", "fine"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 3, failed 1"));
    let seen = report.messages("conclusion")[0];
    assert!(seen.starts_with("2 findings") && seen.contains("done=2") && seen.contains("failed=1"), "{seen}");
}

#[tokio::test]
async fn a_conclusion_that_fails_takes_nothing_with_it() {
    for (misdeed, words) in [
        ("panic", "it panicked"),
        ("loop", "more CPU"),
        ("sleep", "longer than 3 s"),
        ("memory", "more than 32 MiB"),
        ("unfinished", "its plugin"),
        ("refuse", "no conclusion can be drawn"),
        ("add", "the conclusion adds no items"),
    ] {
        let report = run(&["fine", "fine", "--concluding", misdeed]).await;
        assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 2, failed 1"), "{misdeed}");
        assert!(report.failure("conclusion").0.contains(words), "{misdeed}: {:?}", report.failure("conclusion"));
    }
}

#[tokio::test]
async fn a_conclusion_over_the_same_whole_is_cached() {
    let world = World::new();
    let first = world.hostile(["fine", "fine", "--concluding", "fine"]).await;
    assert_eq!(first.census(), "done 3");
    let again = world.hostile(["fine", "fine", "--concluding", "fine"]).await;
    assert_eq!(again.census(), "cached 3");
    assert_eq!(first.json["findings"], again.json["findings"]);
}
