//! A plugin that does what no plugin should: each misdeed costs its own item, and says why.

use crate::support::{Report, World, hostile};

/// Small, so that what eats or loops is stopped soon; large enough for all that is well.
const LIMITS: &str = "version = 1\n[limits]\nplugin_fuel = 500_000_000\nworker_timeout_s = 3\nplugin_memory_mib = 32\n";

fn world() -> World {
    World::new().config(LIMITS)
}

/// Runs one bad item between two good ones, and gives the report: the good ones are done.
async fn between_good_ones(behaviour: &str) -> Report {
    let report = world().hostile(["fine", behaviour, "fine"]).await;
    assert_eq!(report.messages("1-fine"), ["1-fine is done"], "{:#}", report.json);
    assert_eq!(report.messages("3-fine"), ["3-fine is done"], "{:#}", report.json);
    report
}

/// The bad item between two good ones fails, with these words, after so many attempts.
async fn fails(behaviour: &str, reason: &str, attempts: u64) -> Report {
    let report = between_good_ones(behaviour).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 2, failed 1"));
    let item = format!("2-{}", behaviour.split(':').next().expect("a name"));
    let (told, tried) = report.failure(&item);
    assert!(told.contains(reason), "{told:?} does not say {reason:?}");
    assert_eq!(tried, attempts, "{told}");
    report
}

#[tokio::test]
async fn good_items_are_done() {
    let report = world().hostile(["fine", "fine", "fine"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 3"));
    assert_eq!(report.json["metrics"][0]["value"], 3.0);
}

#[tokio::test]
async fn a_failed_or_skipped_item_says_why() {
    let report = world().hostile(["fine", "fail", "skip"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 1, failed 1, skipped 1"));
    assert_eq!(report.failure("2-fail"), ("it can't be done", 1));
    assert!(
        report.list("notes").iter().any(|note| note["item"] == "3-skip" && note["text"] == "skipped: nothing to do")
    );
}

#[tokio::test]
async fn a_panic_costs_its_item_and_shows_its_words() {
    let report = fails("panic", "it panicked", 2).await;
    let log = report.list("failures")[0]["log"].as_str().expect("a log");
    assert!(log.contains("panicked at tests/plugins/hostile") || log.contains("panicked at"), "{log}");
    assert!(log.contains("on purpose"), "{log}");
    assert!(report.warnings().contains("2 workers died"), "{}", report.warnings());
}

#[tokio::test]
async fn what_must_not_be_repeated_is_tried_once() {
    fails("once-panic", "it panicked", 1).await;
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_fuel() {
    fails("loop", "more CPU than an item may (500000000 units of fuel)", 2).await;
}

#[tokio::test]
async fn a_long_sleep_runs_out_of_time() {
    fails("sleep", "longer than 3 s of its own time", 2).await;
}

#[tokio::test]
async fn memory_is_bounded() {
    fails("memory", "more than 32 MiB of memory", 2).await;
}

#[tokio::test]
async fn a_deep_recursion_overflows_its_own_stack_only() {
    fails("recursion", "crashed", 2).await;
}

#[tokio::test]
async fn an_exit_ends_the_plugin_not_the_host() {
    fails("exit", "it ended its process", 2).await;
    fails("exit-well", "it ended its process", 2).await;
}

#[tokio::test]
async fn a_flood_of_stderr_is_cut() {
    // It takes its time on a machine that has much else to do.
    let report = World::new().hostile(["fine", "flood", "fine"]).await;
    assert_eq!(report.census(), "done 3");
    assert!(report.done.stderr.len() < 1 << 20, "{}", report.done.stderr.len());
}

#[tokio::test]
async fn the_second_end_of_an_item_is_refused_and_the_first_stands() {
    let report = world().hostile(["fine", "finish-twice", "fine", "-v"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 3"));
    assert_eq!(report.messages("2-finish-twice"), ["2-finish-twice is done"]);
    assert!(report.done.stderr.contains("the second end was refused: item \"2-finish-twice\" has ended already"));
}

#[tokio::test]
async fn an_unknown_item_can_not_be_finished() {
    fails("finish-unknown", "unknown handle index 9999", 2).await;
}

#[tokio::test]
async fn a_worker_that_returns_loses_the_item_in_its_hands() {
    fails("leave", "its plugin returned without finishing it", 1).await;
}

#[tokio::test]
async fn an_item_that_is_let_go_has_failed() {
    fails("drop", "its plugin let it go without finishing it", 1).await;
}

#[tokio::test]
async fn a_worker_that_gives_up_says_why() {
    fails("refuse", "the worker gave up", 1).await;
}

#[tokio::test]
async fn a_worker_has_one_item_at_a_time() {
    fails("greedy", "takes another item before it has finished \"2-greedy\"", 2).await;
}

#[tokio::test]
async fn one_bad_item_among_many_costs_one() {
    let report = world().hostile(["panic", "--many", "60"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 60, failed 1"));
}

#[tokio::test]
async fn many_bad_items_cost_only_themselves() {
    let behaviours = ["panic", "drop", "leave", "refuse", "exit", "recursion", "greedy", "finish-unknown", "fail"];
    let report = world().hostile(behaviours.into_iter().chain(["--many", "9"])).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 9, failed 9"));
}

#[tokio::test]
async fn where_all_fail_nothing_was_done() {
    let report = world().hostile(["panic", "drop", "fail"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("failed", "failed 3"));
}

#[tokio::test]
async fn a_worker_that_never_takes_an_item_is_not_started_for_ever() {
    for (working, reason) in [
        ("return", "nobody took it: the plugin returned and left it"),
        ("panic", "nobody took it: the plugin crashed: it panicked"),
        ("refuse", "nobody took it: I won't work"),
    ] {
        let report = world().hostile(["fine", "fine", "--working", working]).await;
        assert_eq!((report.status(), report.census().as_str()), ("failed", "failed 2"), "{working}");
        assert!(report.failure("1-fine").0.contains(reason), "{:?}", report.failure("1-fine"));
    }
}

#[tokio::test]
async fn a_worker_that_returns_early_leaves_the_rest_to_others() {
    let report = world().hostile(["--many", "12", "--working", "one"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 12"));
}

#[tokio::test]
async fn results_that_can_not_be_are_refused() {
    for (behaviour, reason) in [
        ("nan", "refused: the metric \"nan\" is NaN"),
        ("bad-rule", "refused: a finding has the rule \"No Rule\\n\""),
        ("bad-outcome", "refused: this host knows no outcome \"perhaps\""),
        ("bad-action", "refused: the body of the action \"says something\" is not JSON"),
    ] {
        fails(behaviour, reason, 1).await;
    }
}

#[tokio::test]
async fn an_item_that_is_let_go_after_its_result_was_refused_says_why() {
    let reason = "let it go without finishing it after its result was refused: the metric \"nan\" is NaN";
    fails("nan-drop", reason, 1).await;
}

#[tokio::test]
async fn each_item_that_ends_has_a_line() {
    let report = between_good_ones("panic").await;
    let line = report.done.stderr.lines().find(|line| line.contains("] failed"));
    assert!(
        line.is_some_and(|line| line.contains("2-panic") && line.contains("it panicked")),
        "{}",
        report.done.stderr
    );
}

#[tokio::test]
async fn a_very_long_finding_is_bounded() {
    let report = between_good_ones("long").await;
    assert_eq!(report.census(), "done 3");
    let length = report.messages("2-long")[0].len();
    assert!(length < 100_000, "{length}");
}

#[tokio::test]
async fn edits_are_checked_and_shown() {
    let world = world();
    world.write("a.txt", "abcdefgh\n");
    let report = world.hostile(["edit-good:a.txt", "edit-overlap:a.txt", "edit-unread:a.txt", "edit-outside"]).await;
    assert_eq!(report.failure("2-edit-overlap").0, "refused: the replacements in a.txt are not in order or overlap");
    assert_eq!(report.failure("3-edit-unread").0, "refused: an edit of a.txt, which the item has not read");
    let edits = report.list("edits");
    let of = |path: &str| edits.iter().find(|edit| edit["path"] == path);
    let diff = of("a.txt").expect("an edit")["diff"].as_str().expect("a diff");
    assert!(diff.contains("-abcdefgh") && diff.contains("+Abcdefgh"), "{diff}");
    let outside = of("../outside.txt");
    assert!(outside.is_none_or(|edit| edit["conflict"].is_string()), "{outside:?}");
    assert!(!world.path("outside.txt").exists());
}

#[tokio::test]
async fn edits_of_one_file_that_clash_are_a_conflict() {
    let world = world();
    world.write("a.txt", "abcdefgh\n");
    let report = world.hostile(["edit-clash:a.txt", "edit-clash:a.txt"]).await;
    let edits = report.list("edits");
    assert!(!edits.is_empty() && edits.iter().all(|edit| edit["conflict"].is_string()), "{edits:#?}");
}

#[tokio::test]
async fn terminal_escapes_of_a_plugin_are_shown_and_not_sent() {
    for format in ["human", "json", "markdown", "sarif"] {
        let arguments = [hostile(), "--planning", "escapes", "escapes", "-v", "--format", format];
        let done = world().convoke(arguments).run().await.exits(0);
        for text in [&done.stdout, &done.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{format}: {text}");
            // Notes and diffs have lines, and are indented.
            let forged = text.lines().any(|line| line.starts_with("forged"));
            assert!(!forged, "{format}: {text}");
        }
    }
    let done = world().convoke([hostile(), "--planning", "escapes", "--dry-run"]).run().await.exits(0);
    assert!(!done.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{}", done.stdout);
}

#[tokio::test]
async fn the_project_is_read_and_nothing_else() {
    let world = world();
    world.write("a.txt", "four");
    world.write(".git/config", "[secret]");
    std::fs::write(world.path("outside.txt"), "secret").expect("written");
    #[cfg(unix)]
    std::os::unix::fs::symlink(world.path("outside.txt"), world.project().join("link.txt")).expect("a link");
    let outside = format!("read:{}", world.path("outside.txt").display());
    let report = world
        .hostile([
            "read:a.txt",
            "read:../outside.txt",
            &outside,
            "read:.git/config",
            "read:link.txt",
            "read:",
            "read:none",
        ])
        .await;
    assert_eq!(report.messages("1-read"), ["4 bytes"]);
    assert_eq!(report.census(), "done 1, failed 6", "{:#}", report.json["findings"]);
    for (item, reason) in [("2-read", "outside"), ("3-read", "outside"), ("4-read", ".git"), ("5-read", "outside")] {
        assert!(report.failure(item).0.contains(reason), "{item}: {:?}", report.failure(item));
    }
    let listed = world.hostile(["list:"]).await;
    let seen = listed.messages("1-list")[0];
    assert!(seen.contains("a.txt") && !seen.contains(".git") && !seen.contains("outside"), "{seen}");
}

#[tokio::test]
async fn a_regular_expression_that_does_not_parse_is_told() {
    fails("search:(", "regular expression", 1).await;
}
