//! Edits on disk: `--apply`, what hinders it, and `convoke rollback`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Call, World, editing, faulty, quick, until};

/// A project in which items propose these edits.
fn world(items: Value) -> World {
    let world = World::new();
    world.write("items.json", json!({ "items": items }).to_string());
    world
}

fn item(id: &str, edits: Value) -> Value {
    json!({ "id": id, "edits": edits })
}

/// Three edits by two items.
fn usual() -> World {
    let world = world(json!([
        item(
            "one",
            json!([{ "change": "replace", "path": "a.txt", "from": "old", "to": "new" },
                           { "change": "create", "path": "sub/made.txt", "text": "made\n" }])
        ),
        item("two", json!([{ "change": "delete", "path": "gone.txt" }])),
    ]));
    world.write("a.txt", "an old text\n");
    world.write("gone.txt", "gone\n");
    world
}

fn call<'a>(world: &World, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    world.convoke([editing(), "--format", "json"].into_iter().chain(arguments))
}

fn read(world: &World, path: &str) -> String {
    fs::read_to_string(world.project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn is_applied(world: &World) -> bool {
    let applied = read(world, "a.txt") == "an new text\n";
    assert_eq!(applied, world.project().join("sub/made.txt").exists());
    assert_eq!(applied, !world.project().join("gone.txt").exists());
    applied
}

fn states(report: &Value) -> Vec<&str> {
    report["edits"].as_array().expect("a list").iter().filter_map(|edit| edit["state"].as_str()).collect()
}

#[tokio::test]
async fn what_was_proposed_is_applied_without_a_question_and_rolled_back() {
    let standin = quick().await;
    let mut items = json!([item("one", json!([{ "change": "rewrite", "path": "a.txt", "text": "new" }]))]);
    items[0]["ask"] = json!("Is it well?");
    let world = world(items);
    world.write("a.txt", "old");
    let proposed = call(&world, []).asking(&standin).run().await.exits(0).report();
    assert_eq!(states(&proposed.json), ["proposed"]);
    assert_eq!(read(&world, "a.txt"), "old", "without --apply nothing is changed");
    let asked = standin.requests().len();
    let applied = call(&world, ["--apply", "--yes"]).asking(&standin).run().await.exits(0).report();
    assert_eq!((states(&applied.json), applied.census()), (vec!["applied"], "cached 1".to_owned()));
    assert_eq!(standin.requests().len(), asked, "nothing is asked twice");
    assert_eq!(read(&world, "a.txt"), "new");
    let id = applied.json["apply"]["rollback"].as_str().expect("an id").to_owned();
    let back = world.convoke(["rollback", &id, "--yes"]).run().await.exits(0);
    assert!(back.stdout.starts_with("Rolled back: 1 file as before the edits of run "), "{}", back.stdout);
    assert_eq!(read(&world, "a.txt"), "old");
    world.convoke(["rollback", &id, "--yes"]).run().await.exits(2).says("are rolled back already");
}

#[tokio::test]
async fn the_report_for_people_says_what_was_applied_and_how_to_undo_it() {
    let world = usual();
    fs::set_permissions(world.project().join("gone.txt"), fs::Permissions::from_mode(0o640)).expect("a mode");
    let done = world.convoke([editing(), "--apply", "-y"]).run().await.exits(0);
    assert!(done.stdout.contains("Applied edits: 3 files"), "{}", done.stdout);
    assert!(done.stdout.contains("+an new text") && done.stdout.contains("`convoke rollback "), "{}", done.stdout);
    assert!(is_applied(&world));
    let shown = world.convoke(["rollback", "last", "--dry-run"]).run().await.exits(0);
    assert!(shown.stdout.contains("+an old text") && shown.stdout.contains("Nothing was changed."), "{}", shown.stdout);
    assert!(is_applied(&world));
    world.convoke(["rollback", "last", "--yes"]).run().await.exits(0);
    assert!(!is_applied(&world));
    let mode = fs::metadata(world.project().join("gone.txt")).expect("it is back").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(!world.project().join("sub").exists());
    world.convoke(["rollback", "last", "--yes"]).run().await.exits(2).says("no edits are carried out that could be");
    assert!(!is_applied(&world));
}

#[tokio::test]
async fn nobody_to_ask_is_said_before_anything_runs() {
    let standin = quick().await;
    let world = usual();
    let done = call(&world, ["--apply"]).asking(&standin).run().await.exits(2);
    done.says("no terminal").says("--apply --yes").reports_nothing();
    assert!(standin.requests().is_empty() && !is_applied(&world));
    world.convoke(["rollback", "last"]).run().await.exits(2).says("no terminal");
    for other in [["--dry-run", "--apply"], ["--yes", "--fresh"]] {
        call(&world, other).run().await.exits(2);
    }
    call(&world, ["--apply", "--yes", "--replay", "nowhere"]).run().await.exits(2).says("cannot be used with");
}

#[tokio::test]
async fn one_edit_in_the_way_hinders_all_and_is_named() {
    let edits = json!([{ "change": "create", "path": "out/x.txt", "text": "gotcha" },
                       { "change": "create", "path": "fine.txt", "text": "fine" }]);
    let world = world(json!([item("one", edits)]));
    world.write("inside/a.txt", "a");
    std::os::unix::fs::symlink("inside", world.project().join("out")).expect("a link");
    let report = call(&world, ["--apply", "--yes"]).run().await.exits(3).report();
    assert_eq!((report.status(), states(&report.json)), ("degraded", vec!["proposed", "refused"]));
    assert_eq!(report.json["edits"][1]["problem"], "out is a link, and edits go through none");
    assert_eq!(report.json["apply"]["outcome"], "hindered");
    assert!(!world.project().join("fine.txt").exists() && !world.project().join("inside/x.txt").exists());
    let done = world.convoke([editing(), "--apply", "--yes"]).run().await.exits(3);
    assert!(done.stdout.contains("Nothing was changed: out/x.txt can't be edited"), "{}", done.stdout);
    assert!(done.stdout.contains("not done: out is a link"), "{}", done.stdout);
    fs::remove_file(world.project().join("out")).expect("it was there");
    call(&world, ["--apply", "--yes"]).run().await.exits(0);
    assert_eq!(read(&world, "out/x.txt"), "gotcha");
}

#[tokio::test]
async fn edits_that_clash_are_shown_with_both_sides_and_nothing_is_done() {
    let edit = |to: &str| json!([{ "change": "replace", "path": "a.txt", "from": "old", "to": to }]);
    let other = json!([{ "change": "create", "path": "b.txt", "text": "b" }]);
    let world = world(json!([item("one", edit("this")), item("two", edit("that")), item("three", other)]));
    world.write("a.txt", "old\n");
    let done = world.convoke([editing(), "--apply", "--yes"]).run().await.exits(3);
    for text in
        ["conflict: one and two change the same part", "what one would do:", "+this", "what two would do:", "+that"]
    {
        assert!(done.stdout.contains(text), "{text}: {}", done.stdout);
    }
    assert!(!world.project().join("b.txt").exists());
    let report = call(&world, ["--apply", "--yes"]).run().await.exits(3).report();
    assert_eq!(states(&report.json), ["conflict", "conflict", "proposed"]);
}

#[tokio::test]
async fn what_was_changed_since_is_not_rolled_back_and_shown() {
    let world = usual();
    call(&world, ["--apply", "--yes"]).run().await.exits(0);
    world.write("a.txt", "an new text\nand more\n");
    let done = world.convoke(["rollback", "last", "--yes"]).run().await.exits(4);
    done.says("a.txt: it was changed since").says("+and more").says("nothing was rolled back");
    assert_eq!(read(&world, "a.txt"), "an new text\nand more\n");
    assert!(!world.project().join("gone.txt").exists());
    world.convoke(["rollback", "0123456789ab", "--yes"]).run().await.exits(2).says("knows no run 0123456789ab");
    let run = call(&world, []).run().await.report().json["run"]["id"].as_str().expect("an id").to_owned();
    world.convoke(["rollback", &run, "--yes"]).run().await.exits(2).says("were carried out").says("--apply");
}

#[tokio::test]
async fn edits_of_an_item_that_failed_are_none_and_the_others_are_applied() {
    let standin = faulty([]).await;
    let mut items = json!([
        item("well", json!([{ "change": "create", "path": "well.txt", "text": "well" }])),
        item("ill", json!([{ "change": "create", "path": "ill.txt", "text": "ill" }])),
    ]);
    items[1]["fail"] = json!("it was told to");
    let world = world(items);
    let report = call(&world, ["--apply", "--yes"]).asking(&standin).run().await.exits(3).report();
    assert_eq!((report.status(), states(&report.json)), ("degraded", vec!["applied"]));
    assert!(world.project().join("well.txt").exists() && !world.project().join("ill.txt").exists());
}

#[tokio::test]
async fn several_commands_apply_one_after_the_other_and_the_later_one_sees_what_the_earlier_wrote() {
    let world = usual();
    let second = json!([
        item("three", json!([{ "change": "create", "path": "sub/made.txt", "text": "other" }])),
        item("four", json!([{ "change": "create", "path": "four.txt", "text": "4" }]))
    ]);
    world.write("second.json", json!({ "items": second }).to_string());
    let commands = [editing().to_owned(), format!("{} second.json", editing())];
    let call = world.convoke(["run", &commands[0], &commands[1], "--apply", "--yes", "--format", "json"]);
    let done = call.run().await.exits(3);
    let reports = done.json();
    let outcomes: Vec<&str> =
        (0..2).filter_map(|number| reports["runs"][number]["apply"]["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["applied", "hindered"], "{reports:#}");
    assert!(is_applied(&world) && read(&world, "sub/made.txt") == "made\n");
    assert!(!world.project().join("four.txt").exists());
}

#[tokio::test]
async fn where_the_way_back_finds_no_room_nothing_is_touched() {
    let large = "x".repeat(3 << 20);
    let edit = json!([{ "change": "replace", "path": "a.txt", "from": "xx", "to": "y" }]);
    let world = world(json!([item("one", edit)]));
    world.write("a.txt", &large);
    // No file may grow beyond 4 MB, and the way back has 6.
    let limited = world.convoke([editing(), "--apply", "--yes"]).through("trap '' XFSZ; ulimit -f 8192; exec \"$@\"");
    let done = limited.run().await.exits(3);
    assert!(done.stdout.contains("Nothing was changed: the journal"), "{}", done.stdout);
    assert_eq!(read(&world, "a.txt"), large);
    call(&world, ["--apply", "--yes"]).run().await.exits(0);
    assert_eq!(read(&world, "a.txt").len(), large.len() - 1);
}

/// How far 40 new files in 8 folders are: 40 when all are written beside, 80 when all have their place.
fn progress(made: &Path) -> usize {
    let folders = fs::read_dir(made).into_iter().flatten().flatten();
    let names = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    names.map(|entry| if entry.path().extension().is_some_and(|end| end == "txt") { 2 } else { 1 }).sum()
}

#[tokio::test]
async fn killed_at_any_moment_all_edits_are_there_after_the_next_start_or_none() {
    let edits: Vec<Value> = (0..40)
        .map(|number| json!({ "change": "create", "path": format!("made/{}/{number}.txt", number % 8), "text": "x" }))
        .collect();
    let mut cut_off = 0;
    for round in 0..12 {
        let world = world(json!([item("one", Value::Array(edits.clone()))]));
        let running = call(&world, ["--apply", "--yes"]).start().await;
        let made = world.project().join("made");
        until("it applies", || progress(&made) >= round * 7).await;
        running.kill();
        running.end().await;
        let next = world.convoke(["rollback", "last", "--dry-run"]).run().await;
        cut_off += u64::from(next.stderr.contains("cut off by a crash"));
        let files = (0..40).filter(|number| made.join(format!("{}/{number}.txt", number % 8)).exists()).count();
        assert!(files == 0 || files == 40, "round {round}: {files}: {}", next.stderr);
        assert_eq!(made.exists(), files == 40, "round {round}: and no folder is left");
        let left = world.convoke(["rollback", "last", "--dry-run"]).run().await;
        assert!(!left.stderr.contains("crash"), "it is mended once: {}", left.stderr);
    }
    assert!(cut_off > 0, "of 12 none was cut off in the middle");
}
