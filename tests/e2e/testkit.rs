//! `convoke test`: how a case passes, and every way in which it fails.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Done, World, hostile, repository};

/// The component of a plugin of the repository.
fn component(name: &str) -> String {
    repository().join(format!("tests/prebuilt/{name}.wasm")).to_str().expect("a path in UTF-8").to_owned()
}

/// Files with something left to do, and a case about them.
fn todo(case: &str) -> World {
    let world = World::new();
    world.write("fixtures/small/src/a.rs", "// TODO: one\n");
    world.write("fixtures/small/b.md", "TODO two\n\nFIXME three\n");
    world.write("tests/first.toml", format!("fixture = \"fixtures/small\"\n{case}"));
    world
}

/// A case of the plugin that does what no plugin should.
fn misbehaving(case: &str) -> World {
    let world = World::new();
    world.write("tests/first.toml", case);
    world
}

async fn run(world: &World, component: &str, more: &[&str]) -> Done {
    let arguments = ["test", "--component", component].into_iter().chain(more.iter().copied());
    world.convoke(arguments).run().await
}

const ANSWERED: &str = "[default]\nanswer = \"from-schema\"\n";

/// The snapshot of the case.
fn snapshot(world: &World) -> Value {
    let text = fs::read_to_string(world.project().join("tests/first.snap.json")).expect("a snapshot");
    serde_json::from_str(&text).expect("JSON")
}

fn has_snapshot(world: &World) -> bool {
    world.project().join("tests/first.snap.json").exists()
}

/// The kinds of the reasons for which a case failed, and the checks among them.
fn reasons(json: &Value) -> Vec<&str> {
    let reasons = json["cases"][0]["reasons"].as_array().expect("a list");
    reasons.iter().map(|reason| reason["check"].as_str().or(reason["kind"].as_str()).expect("a kind")).collect()
}

#[tokio::test]
async fn the_example_passes_all_its_cases() {
    let (world, example) = (World::new(), repository().join("examples/todo"));
    let example = example.to_str().expect("UTF-8");
    let done = run(&world, &component("todo"), &[example]).await.exits(0);
    for line in ["PASS [", "] offline\n", "] unclear\n", "5 cases in ", ": 5 passed\n"] {
        assert!(done.stdout.contains(line), "{line}: {}", done.stdout);
    }
    let done = run(&world, &component("todo"), &[example, "--format", "json", "over", "only"]).await.exits(0);
    let json = done.json();
    assert_eq!((json["passed"].as_u64(), json["left_out"].as_u64()), (Some(2), Some(3)));
    let done = run(&world, &component("todo"), &[example, "--list"]).await.exits(0);
    assert!(done.stdout.contains("overloaded  a model that should have answered"), "{}", done.stdout);
}

#[tokio::test]
async fn the_cases_of_what_comes_with_convoke_pass() {
    let world = World::new();
    for name in ["agent-audit", "deps", "docs"] {
        let plugin = repository().join("plugins").join(name);
        let kept = repository().join(format!("host/prebuilt/{name}.wasm"));
        let plugin = plugin.to_str().expect("UTF-8");
        run(&world, kept.to_str().expect("UTF-8"), &[plugin]).await.exits(0);
    }
}

#[tokio::test]
async fn without_a_snapshot_a_case_fails_until_it_is_blessed_and_then_it_is_compared() {
    let world = todo(ANSWERED);
    let todo = component("todo");
    let done = run(&world, &todo, &[]).await.exits(1);
    for words in ["FAIL [", "there is no ./tests/first.snap.json", "--bless", "1 failed"] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert!(!has_snapshot(&world));

    let done = run(&world, &todo, &["--bless"]).await.exits(0);
    assert!(
        done.stdout.contains("BLESS [") && done.stdout.contains("blessed ./tests/first.snap.json"),
        "{}",
        done.stdout
    );
    let kept = snapshot(&world);
    assert_eq!((kept["status"].as_str(), kept["census"]["done"].as_u64()), (Some("completed"), Some(2)));
    assert_eq!(kept["questions"].as_array().map(Vec::len), Some(2));
    run(&world, &todo, &[]).await.exits(0);
    let done = run(&world, &todo, &["--bless"]).await.exits(0);
    assert!(!done.stdout.contains("blessed"), "{}", done.stdout);

    world.write("fixtures/small/b.md", "TODO two\n");
    let done = run(&world, &todo, &[]).await.exits(1);
    assert!(done.stdout.contains("-      \"message\": \"FIXME three\""), "{}", done.stdout);
    let colored = world.convoke(["test", "--component", &todo]).env("CLICOLOR_FORCE", "1").run().await.exits(1);
    assert!(colored.stdout.contains("\u{1b}[31m-      \"message\": \"FIXME three\""), "{:?}", colored.stdout);
}

#[tokio::test]
async fn nothing_of_the_user_is_touched() {
    let world = todo(ANSWERED).config("this is no configuration");
    run(&world, &component("todo"), &["--bless"]).await.exits(0);
    for folder in ["data", "home", "cache"] {
        let names: Vec<_> =
            fs::read_dir(world.path(folder)).expect("a folder").map(|one| one.expect("one").file_name()).collect();
        assert!(names.iter().all(|name| name == "components"), "{folder}: {names:?}");
    }
}

#[tokio::test]
async fn ten_runs_with_four_workers_give_the_same_bytes() {
    let world = todo(ANSWERED);
    for number in 0..12 {
        world.write(&format!("fixtures/small/more/{number}.md"), format!("TODO {number}\nFIXME {number}\n"));
    }
    let todo = component("todo");
    run(&world, &todo, &["--bless"]).await.exits(0);
    let kept = fs::read(world.project().join("tests/first.snap.json")).expect("a snapshot");
    for _ in 0..10 {
        fs::remove_file(world.project().join("tests/first.snap.json")).expect("it was there");
        run(&world, &todo, &["--bless"]).await.exits(0);
        assert_eq!(fs::read(world.project().join("tests/first.snap.json")).expect("a snapshot"), kept);
    }
}

#[tokio::test]
async fn a_question_that_nobody_expected_fails_the_case_and_is_shown() {
    let world = todo("[[answer]]\nitem = \"b.md\"\njson = { unclear = [] }\n");
    let done = run(&world, &component("todo"), &["--bless"]).await.exits(1);
    for words in ["a question was not expected", "src/a.rs asks code-reviewer", "TODO: one", "[default] answer"] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert!(!has_snapshot(&world), "it was blessed");
}

#[tokio::test]
async fn what_is_expected_beside_the_snapshot_is_looked_at() {
    let expect = "[expect]\nexit = 1\nstatus = \"degraded\"\ncensus = { done = 9 }\nquestions = 7\nfindings = 8\n";
    let world = todo(&format!("{ANSWERED}{expect}"));
    let done = run(&world, &component("todo"), &["--bless"]).await.exits(1);
    for words in [
        "exit is 0, and 1 was expected",
        "status is completed, and degraded was expected",
        "census.done is 2, and 9 was expected",
        "questions is 2, and 7 was expected",
        "and 8 was expected",
        "nothing was blessed",
    ] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert!(!has_snapshot(&world), "it was blessed");
}

#[tokio::test]
async fn a_fault_is_what_the_plugin_sees_and_the_item_falls_back() {
    let world = todo("[[answer]]\nfault = \"timeout\"\n[expect]\nexit = 3\ncensus = { fallback = 2 }\n");
    run(&world, &component("todo"), &["--bless"]).await.exits(0);
    assert_eq!(snapshot(&world)["questions"][0]["answer"], "timeout");
}

#[tokio::test]
async fn a_plugin_that_breaks_off_fails_its_case_with_its_own_words() {
    let world = misbehaving("arguments = [\"fine\", \"panic\"]\n[unchecked]\nreuse = \"it panics\"\n");
    let done = run(&world, hostile(), &["--bless"]).await.exits(1);
    for words in ["the plugin broke off: the plugin crashed: it panicked", "the plugin wrote:", "on purpose"] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert!(!has_snapshot(&world), "it was blessed");
    let world = misbehaving("arguments = [\"fine\", \"--planning\", \"panic\"]\n[expect]\nfails = \"panic\"\n");
    let done = run(&world, hostile(), &[]).await.exits(1);
    assert!(done.stdout.contains("there is no plan: the plugin crashed"), "{}", done.stdout);
}

#[tokio::test]
async fn escapes_of_a_plugin_do_nothing_to_the_terminal() {
    let world = misbehaving("arguments = [\"escapes\", \"--planning\", \"escapes\"]\n");
    let done = run(&world, hostile(), &[]).await.exits(1);
    assert!(!done.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", done.stdout);
    let done = run(&world, hostile(), &["--format", "json"]).await.exits(1);
    assert!(!done.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", done.stdout);
}

#[tokio::test]
async fn that_there_is_no_plan_can_be_what_a_case_is_about() {
    let refusing = "arguments = [\"--planning\", \"refuse\"]\n[expect]\nfails = ";
    let world = misbehaving(&format!("{refusing}\"not today\"\n"));
    run(&world, hostile(), &[]).await.exits(0);
    let world = misbehaving(&format!("{refusing}\"never\"\n"));
    let done = run(&world, hostile(), &[]).await.exits(1);
    assert!(done.stdout.contains("it was to fail with \"never\", and failed with:"), "{}", done.stdout);
    let world = misbehaving("arguments = [\"fine\"]\n[expect]\nfails = \"not today\"\n");
    let done = run(&world, hostile(), &[]).await.exits(1);
    assert!(done.stdout.contains("and gave a report"), "{}", done.stdout);
}

#[tokio::test]
async fn arguments_that_the_command_does_not_take_fail_the_case() {
    let world = todo("arguments = [\"--onyl\", \"TODO\"]\n");
    let done = run(&world, &component("todo"), &[]).await.exits(1);
    assert!(done.stdout.contains("unexpected argument '--onyl'"), "{}", done.stdout);
    for path in ["..", "/etc", "../b.md"] {
        let world = todo(&format!("arguments = [\"{path}\"]\n{ANSWERED}"));
        let done = run(&world, &component("todo"), &[]).await.exits(1);
        let said = done.stdout.contains("leads out of the fixture") || done.stdout.contains("b.md");
        assert!(said, "{path}: {}", done.stdout);
    }
}

#[tokio::test]
async fn a_case_that_can_not_be_read_is_said_with_its_place_and_nothing_is_run() {
    let world = todo("");
    world.write("tests/first.toml", "fixtur = \"fixtures/small\"\n");
    world.write("tests/second.toml", "fixture = \"../..\"\n");
    let done = run(&world, &component("todo"), &[]).await.exits(2).reports_nothing();
    for words in ["tests/first.toml:1:1", "did you mean `fixture`?", "tests/second.toml:1:11", "leads out"] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    World::new().convoke(["test"]).run().await.exits(2).says("has no cases");
    let done = run(&todo(""), &component("todo"), &["nothing-like-it"]).await.exits(2);
    assert!(done.stderr.contains("there are first"), "{}", done.stderr);
    run(&todo(""), "/nowhere.wasm", &[]).await.exits(2);
}

#[tokio::test]
async fn a_snapshot_without_a_case_is_named() {
    let world = todo(ANSWERED);
    world.write("tests/gone.snap.json", "{}");
    let done = run(&world, &component("todo"), &["--bless"]).await.exits(0);
    assert!(done.stdout.contains("gone.snap.json belongs to no case"), "{}", done.stdout);
    assert!(world.project().join("tests/gone.snap.json").exists());
}

#[tokio::test]
async fn what_should_make_no_difference_is_checked() {
    let moody = component("moody");
    for (arguments, expected) in [
        ("\"steady\", \"steady\", \"steady\"", &[][..]),
        ("\"chance\", \"steady\"", &["chance"]),
        ("\"clock\", \"steady\"", &["chance"]),
        ("\"steady\", \"--plan\", \"chance\"", &["plan", "reuse"]),
        ("\"steady\", \"--plan\", \"clock\"", &["plan", "reuse"]),
    ] {
        let world = misbehaving(&format!("arguments = [{arguments}]\n"));
        let code = i32::from(!expected.is_empty());
        let json = run(&world, &moody, &["--bless", "--format", "json"]).await.exits(code).json();
        let found: Vec<&str> = reasons(&json).into_iter().filter(|reason| *reason != "snapshot").collect();
        assert_eq!(found, expected, "{arguments}");
        assert_eq!(has_snapshot(&world), expected.is_empty(), "{arguments}");
    }
    let world = misbehaving("arguments = [\"worker\", \"worker\", \"worker\"]\n[limits]\ninstances = 1\n");
    let json = run(&world, &moody, &["--format", "json"]).await.exits(1).json();
    assert!(reasons(&json).starts_with(&["workers", "order"]), "{json:#}");
}

#[tokio::test]
async fn a_check_is_left_out_with_a_reason_and_that_is_shown() {
    let unchecked = "[unchecked]\nchance = \"it throws dice\"\n";
    let world = misbehaving(&format!("arguments = [\"chance\"]\n{unchecked}"));
    let done = run(&world, &component("moody"), &["--bless"]).await.exits(0);
    assert!(done.stdout.contains("first (unchecked: chance)"), "{}", done.stdout);
    let world = misbehaving("[unchecked]\nchance = \"\"\n");
    run(&world, &component("moody"), &[]).await.exits(2).says("without a reason");
}

#[tokio::test]
async fn a_recording_answers_in_place_of_a_model() {
    let world = World::new();
    world.write("shop/src/a.rs", "// TODO: one\n");
    let todo = component("todo");
    let record = ["--record", "tests/run", "--backend", "offline", "-C", "shop"];
    world.convoke([todo.as_str()].into_iter().chain(record)).run().await.exits(0);
    assert!(Path::new(&world.project().join("tests/run/run.json")).exists());
    world.write("tests/first.toml", "cassette = \"tests/run\"\n[expect]\ncensus = { done = 1 }\n");
    run(&world, &todo, &["--bless"]).await.exits(0);
    assert_eq!(snapshot(&world)["questions"][0]["answer"], "cassette");
    // With other files, other questions are asked.
    world.write("other/src/a.rs", "// TODO: two\n");
    world.write("tests/first.toml", "cassette = \"tests/run\"\nfixture = \"other\"\n");
    run(&world, &todo, &[]).await.exits(1);
}

#[tokio::test]
async fn programs_hosts_and_the_store_are_made_up() {
    let world = misbehaving(
        r#"arguments = ["get:https://api.example.org/a", "post:https://api.example.org/a", "get:https://other.example/",
                     "put:key=value", "find:key", "get-once:https://api.example.org/down", "hour:https://api.example.org/a"]

[grants]
http = ["GET api.example.org"]
store = true

[limits]
instances = 1

[unchecked]
order = "it looks for what an earlier item has put there"
workers = "the same"

[[http]]
url = "https://api.example.org/a"
json = { found = true }

[[http]]
url = "https://api.example.org/*"
fails = "the line is dead"
"#,
    );
    let plugin = component("outside-http");
    run(&world, &plugin, &["--bless"]).await.exits(0);
    let notes = snapshot(&world)["notes"].clone();
    let said = |item: &str| {
        let note = notes.as_array().expect("notes").iter().find(|note| note["item"] == item);
        note.and_then(|note| note["text"].as_str()).unwrap_or_else(|| panic!("{item}: {notes:#}")).to_owned()
    };
    assert_eq!((said("1-get"), said("7-hour")), ("200 {\"found\":true}".into(), "200 {\"found\":true}".into()));
    // A method that the manifest asks for and the case does not grant: that is what is said of it.
    assert!(said("2-post").starts_with("refused: "), "{}", said("2-post"));
    assert!(said("3-get").starts_with("refused: "), "{}", said("3-get"));
    assert_eq!((said("4-put"), said("5-find")), ("kept".into(), "found value".into()));
    let failures = snapshot(&world)["failures"].to_string();
    assert!(failures.contains("the line is dead"), "{failures}");
    run(&world, &plugin, &[]).await.exits(0);

    let text = fs::read_to_string(world.project().join("tests/first.toml")).expect("the case");
    world.write("tests/first.toml", text.replace("api.example.org/*", "api.example.org/b*"));
    let done = run(&world, &plugin, &[]).await.exits(1);
    assert!(
        done.stdout.contains("makes a call that was not expected: GET https://api.example.org/down"),
        "{}",
        done.stdout
    );
}

#[tokio::test]
async fn a_program_that_the_case_does_not_grant_is_refused_in_words_that_are_true() {
    let calls = r#"{ "items": [ { "id": "one", "calls": [
        { "program": "git", "arguments": ["diff", "--stat"] }, { "program": "git", "arguments": ["log"] },
        { "program": "peek" }, { "program": "git", "arguments": ["push"] } ] } ] }"#;
    let world = misbehaving(
        r#"fixture = "fixtures/calls"

[grants]
process = ["git diff", "git log"]

[[process]]
program = "git"
arguments = ["diff"]
stdout = "+ a line"

[[process]]
program = "git"
status = 128
stderr = "no repository"
"#,
    );
    world.write("fixtures/calls/calls.json", calls);
    let plugin = component("outside-process");
    run(&world, &plugin, &["--bless"]).await.exits(0);
    let findings = snapshot(&world)["findings"].to_string().replace("\\\"", "'").replace("\\", "");
    for words in
        ["'+ a line'", "'status':128", "run `peek`: you have not granted that", "its manifest does not ask for that"]
    {
        assert!(findings.contains(words), "{words}: {findings}");
    }
    // What was refused may be granted the next time: that it isn't used again is right.
    run(&world, &plugin, &[]).await.exits(0);
}
