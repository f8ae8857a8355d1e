//! The audit log: what is in it, what never is, and that no change of it goes unnoticed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::http::{Server, granted};
use crate::policy::library;
use crate::support::{Call, Done, World, asking, editing, holds, hostile, outside_process, quick, until};

/// Put together here, so that it stands in no file.
fn secret() -> String {
    ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat()
}

/// A project in which an item proposes an edit and an action.
fn world() -> World {
    let world = World::new().config("[actions]\nallow = [\"record\"]\n");
    fs::create_dir(world.path("bin")).expect("a folder");
    let path = world.path("bin/record");
    fs::write(&path, "#!/bin/sh\necho ran >> \"$HOME/ran\"\n").expect("a written file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let edits = json!([{ "change": "replace", "path": "a.txt", "from": "old", "to": "new" }]);
    let body = json!({"program": "record", "arguments": ["x"]});
    let actions = json!([{"kind": "program", "title": "Do it", "key": "first", "body": body}]);
    let items = json!({"items": [{"id": "one", "edits": edits, "actions": actions}]});
    world.write("items.json", items.to_string());
    world.write("a.txt", "an old text\n");
    world
}

fn apply(world: &World) -> Call {
    let path = std::env::var("PATH").unwrap_or_default();
    let call = world.convoke([editing(), "--format", "json", "--apply", "--yes"]);
    call.env("PATH", format!("{}:{path}", world.path("bin").display()))
}

fn log(world: &World) -> PathBuf {
    world.path("data/audit/000001.ndjson")
}

/// The records of some kinds; none: all.
async fn records(world: &World, kinds: &[&str]) -> Vec<Value> {
    let kinds = kinds.iter().flat_map(|kind| ["--kind", kind]);
    let done = world.convoke(["audit", "show", "--json"].into_iter().chain(kinds)).run().await.exits(0);
    done.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().expect("a kind")).collect()
}

async fn verify(world: &World, arguments: &[&str]) -> Done {
    world.convoke(["audit", "verify"].into_iter().chain(arguments.iter().copied())).run().await
}

#[tokio::test]
async fn edits_actions_and_rollbacks_are_there_and_a_run_says_where_the_log_ends() {
    let world = world();
    let report = apply(&world).run().await.exits(0).report();
    assert_eq!(fs::read_to_string(world.path("home/ran")).expect("it ran"), "ran\n");
    let all = records(&world, &[]).await;
    let done = kinds(&records(&world, &["edit", "action"]).await).join(" ");
    assert_eq!(done, "edit.begin edit.file edit.ended action.started action.ended");
    let file = &records(&world, &["edit.file"]).await[0];
    assert_eq!(file["subject"], "a.txt");
    assert_ne!(file["details"]["from"], file["details"]["to"]);
    assert_eq!(file["run"], report.json["run"]["id"]);
    assert!(kinds(&all).contains(&"project.read") && kinds(&all).contains(&"run.started"), "{all:#?}");
    // What the report says is the end of the log.
    let last = all.last().expect("a record");
    assert_eq!(
        (&report.json["audit"]["last_hash"], &report.json["audit"]["last_sequence"]),
        (&last["hash"], &last["seq"])
    );
    assert!(report.json["audit"]["records"].as_u64().expect("a number") > 5);
    let hash = last["hash"].as_str().expect("a hash").to_owned();

    world.convoke(["rollback", "last", "--yes"]).run().await.exits(0);
    world.convoke(["actions", "settle", "first", "failed"]).run().await.exits(0);
    let after = kinds(&records(&world, &["rollback", "action.settled"]).await).join(" ");
    assert_eq!(after, "rollback.begin rollback.file rollback.ended action.settled");
    let verified = verify(&world, &["--from-hash", &hash]).await.exits(0).stdout;
    assert!(verified.contains("3 of 3 known hashes") && verified.contains("What this can't show"), "{verified}");
    // By the run, and by the time.
    let run = report.json["run"]["id"].as_str().expect("an id");
    let of_run = world.convoke(["audit", "show", "--run", &run[run.len() - 6..], "--since", "1h"]).run().await.exits(0);
    assert!(of_run.stdout.contains("edit.file") && !of_run.stdout.contains("log.begun"), "{}", of_run.stdout);
    let last = world.convoke(["audit", "show", "--run", "last", "--since", "1h"]).run().await.exits(0);
    assert_eq!(last.stdout, of_run.stdout);
    let shown = world.convoke(["audit", "show", "-n", "1"]).run().await.exits(0).stdout;
    assert!(shown.contains("action.settled") && shown.lines().count() == 1, "{shown}");
    world.convoke(["audit", "show", "--kind", "edits"]).run().await.exits(2).says("did you mean");
    let people = world.convoke([editing(), "-v"]).run().await.exits(0).stdout;
    assert!(people.contains("Audit ") && people.contains("the last of the log has the hash"), "{people}");
    let mode = fs::metadata(log(&world)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_byte_a_line_two_lines_and_the_end_are_missed() {
    let world = world();
    apply(&world).run().await.exits(0);
    verify(&world, &[]).await.exits(0);
    let whole = fs::read(log(&world)).expect("a log");
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let mut flipped = whole.clone();
    let place = lines[..3].concat().len() + 60;
    flipped[place] ^= 1;
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    for (what, bytes, line) in [
        ("a byte", flipped, ":4: "),
        ("a line", [&lines[..3], &lines[4..]].concat().concat(), ":4: record 4 is missing"),
        ("two lines", swapped.concat(), ":5: record 4 stands after record 5"),
        ("the end", lines[..lines.len() - 1].concat(), ": the end is missing"),
    ] {
        fs::write(log(&world), bytes).expect("a written file");
        let done = verify(&world, &[]).await.exits(1);
        assert!(done.stdout.contains(line) && done.stdout.contains("BROKEN"), "{what}: {}", done.stdout);
        let json = verify(&world, &["--json"]).await.exits(1).json();
        assert_eq!((&json["whole"], json["problems"].as_array().is_some_and(Vec::is_empty)), (&json!(false), false));
    }
    // The head is cut off too: the journal still knows.
    fs::write(log(&world), lines[..lines.len() - 1].concat()).expect("a written file");
    fs::remove_file(world.path("data/audit/head")).expect("a removed file");
    let done = verify(&world, &[]).await.exits(1);
    assert!(done.stdout.contains("is known from the report of run"), "{}", done.stdout);
    fs::write(log(&world), &whole).expect("a written file");
    verify(&world, &[]).await.exits(0);
    // As files, from elsewhere.
    let copy = world.path("home/copy.ndjson");
    fs::write(&copy, &whole).expect("a written file");
    verify(&world, &[copy.to_str().expect("UTF-8")]).await.exits(0);
    verify(&world, &[copy.to_str().expect("UTF-8"), "--from-hash", &"ab".repeat(32)]).await.exits(1);
    verify(&world, &["/nowhere/audit.ndjson"]).await.exits(4).says("/nowhere/audit.ndjson");
}

#[tokio::test]
async fn programs_are_there_without_their_credentials_and_grants_with_what_they_allow() {
    let world = World::new();
    let made = Command::new("git").args(["init", "--quiet"]).current_dir(world.project()).status();
    assert!(made.expect("git").success());
    world.convoke(["grants", "add", outside_process(), "--process", "git log"]).run().await.exits(0);
    let calls = json!([
        {"program": "git", "arguments": ["log", format!("--author={}", secret())]},
        {"program": "curl", "arguments": ["https://example.org"]},
    ]);
    world.write("calls.json", json!({"items": [{"id": "one", "calls": calls}]}).to_string());
    world.convoke([outside_process(), "--format", "json"]).run().await.report();
    let ran = records(&world, &["process"]).await;
    // Both go on at the same time, and each is there before it begins.
    for (begin, is_refused) in [("git log", false), ("curl", true)] {
        let is_it = |record: &&Value| record["subject"].as_str().is_some_and(|line| line.starts_with(begin));
        let of_it: Vec<Value> = ran.iter().filter(is_it).cloned().collect();
        assert_eq!(kinds(&of_it), ["process.run", "process.ended"], "{ran:#?}");
        assert_eq!(of_it[1]["details"]["error"].is_string(), is_refused, "{ran:#?}");
        assert_eq!(
            (&of_it[0]["details"]["item"], &of_it[0]["details"]["plugin"]),
            (&json!("one"), &json!("outside-process"))
        );
    }
    world.convoke(["grants", "add", outside_process(), "--process", "git diff"]).run().await.exits(0);
    world.convoke(["grants", "revoke", "outside-process"]).run().await.exits(0);
    world.convoke([asking(), "ask"]).run().await.exits(2);
    let granted = records(&world, &["grant"]).await;
    assert_eq!(kinds(&granted), ["grant.given", "grant.given", "grant.revoked", "grant.refused"]);
    let may = granted[1]["details"]["may"][0].as_str().expect("a text");
    assert!(may.contains("git diff") && may.contains("git log"), "{granted:#?}");
    verify(&world, &[]).await.exits(0);
    assert!(!holds(&fs::read(log(&world)).expect("a log"), &secret()));
}

#[tokio::test]
async fn requests_are_there_by_their_hosts_and_what_is_kept_by_its_key() {
    let (world, server) = (World::new(), Server::kind().await);
    let plugin = granted(&world, "asking", &[&server]).await;
    let (get, other) =
        (format!("get:{}", server.url("/private?token=mine")), "get:https://other.example/private?token=mine");
    world.convoke([&plugin, "--format", "json", &get, other, "put:a=hushed", "find:a"]).run().await.report();
    let address = server.address.to_string();
    let sent = records(&world, &["http"]).await;
    let of = |host: &str| -> Vec<&Value> { sent.iter().filter(|one| one["subject"] == host).collect() };
    let named: Vec<&str> = of(&address).iter().map(|one| one["kind"].as_str().expect("a kind")).collect();
    assert_eq!(named, ["http.fetch", "http.ended"], "{sent:#?}");
    assert_eq!(of(&address)[1]["details"]["status"], 200);
    assert_eq!(of("127.0.0.1")[0]["kind"], "http.sent");
    assert!(of("other.example")[1]["details"]["error"].is_string(), "{sent:#?}");
    let kept = records(&world, &["store"]).await;
    assert!(kept.iter().all(|one| one["subject"] == "a") && kinds(&kept).contains(&"store.put"), "{kept:#?}");
    let bytes = fs::read(log(&world)).expect("a log");
    assert!(!holds(&bytes, "private") && !holds(&bytes, "mine") && !holds(&bytes, "hushed"));
}

#[tokio::test]
async fn a_library_is_there_before_it_is_loaded_and_a_policy_with_its_choice() {
    let (world, standin) = (World::with_agents(1), quick().await);
    let folder = world.path("config/policies");
    fs::create_dir_all(&folder).expect("a folder");
    let native = folder.join("night").with_extension(std::env::consts::DLL_EXTENSION);
    fs::copy(library("night-shift"), &native).expect("a file");
    world.convoke(["policy", "use", "night"]).run().await.exits(0);
    world.audit([]).asking(&standin).run().await.exits(0);
    let policies = records(&world, &["policy"]).await;
    assert_eq!(
        kinds(&policies),
        ["policy.native", "policy.chosen", "policy.native", "policy.swapped"],
        "{policies:#?}"
    );
    assert_eq!(policies[3]["subject"], "night");
    assert_eq!(policies[0]["details"]["sha256"].as_str().map(str::len), Some(64));
    fs::remove_dir_all(world.path("data/audit")).expect("a removed folder");
    fs::write(world.path("data/audit"), "").expect("a written file");
    world.audit([]).asking(&standin).run().await.exits(2).says("it is not loaded: the audit log");
}

#[tokio::test]
async fn on_a_full_disk_a_run_goes_on_and_says_what_is_not_there() {
    let world = World::with_agents(3);
    let full = "x\n".repeat(500_000);
    fs::create_dir(world.path("data/audit")).expect("a folder");
    fs::write(log(&world), &full).expect("a written file");
    let report = world.audit_within(900_000, []).run().await.exits(3).report();
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 3"));
    assert!(report.warnings().contains("not all in the audit log"), "{}", report.warnings());
    assert_eq!(fs::read_to_string(log(&world)).expect("a log"), full, "no half of a record");
}

#[tokio::test]
async fn a_secret_in_a_question_is_there_by_its_kind_and_never_itself() {
    let standin = quick().await;
    let question = format!("ask:the key is {}", secret());
    for (mode, became) in [("balanced", "redacted"), ("safe", "refused"), ("performance", "sent")] {
        let world = World::new();
        world.convoke([hostile(), &question, "--mode", mode, "--format", "json"]).asking(&standin).run().await.report();
        let found = records(&world, &["secret"]).await;
        assert_eq!(found.len(), 1, "{mode}");
        assert_eq!(
            (&found[0]["subject"], &found[0]["details"]["became"]),
            (&json!("aws-access-key-id"), &json!(became))
        );
        assert_eq!(records(&world, &["claude.sent"]).await.len(), usize::from(mode != "safe"));
        assert!(!holds(&fs::read(log(&world)).expect("a log"), &secret()));
    }
}

#[tokio::test]
async fn what_only_seems_to_be_done_is_not_there() {
    let world = World::with_agents(2);
    world.audit(["--dry-run"]).run().await.exits(0);
    world.convoke(["audit", "show"]).run().await.exits(0);
    assert!(!world.path("data/audit").exists());
    let tape = world.path("tape");
    let tape = tape.to_str().expect("UTF-8");
    world.audit(["--record", tape]).run().await.exits(0);
    let before = records(&world, &[]).await.len();
    assert!(before > 4);
    let report = world.audit(["--replay", tape]).run().await.report();
    assert_eq!(report.json.get("audit"), None);
    assert_eq!(records(&world, &[]).await.len(), before);
}

#[tokio::test]
async fn where_nothing_can_be_audited_nothing_is_changed_and_a_run_is_degraded() {
    let world = world();
    // A file in the place of the folder.
    fs::write(world.path("data/audit"), "").expect("a written file");
    let report = apply(&world).run().await.exits(3).report();
    assert_eq!(report.status(), "degraded");
    assert!(report.warnings().contains("audit log"), "{}", report.warnings());
    assert_eq!(fs::read_to_string(world.project().join("a.txt")).expect("a file"), "an old text\n");
    assert!(!world.path("home/ran").exists());
    assert_eq!(report.json["apply"]["outcome"], "failed");
    let refused = world.convoke(["grants", "add", asking(), "--store"]).run().await.exits(2);
    assert!(refused.stderr.contains("nothing was granted or revoked"), "{}", refused.stderr);
    assert!(!world.path("config/grants.toml").exists());
    fs::remove_file(world.path("data/audit")).expect("a removed file");
    apply(&world).run().await.exits(0);
    assert_eq!(fs::read_to_string(world.project().join("a.txt")).expect("a file"), "an new text\n");
    verify(&world, &[]).await.exits(0);
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_run_leaves_a_log_that_is_whole() {
    let world = World::with_agents(60);
    let standin = quick().await;
    for _ in 0..3 {
        let before = fs::metadata(log(&world)).map_or(0, |about| about.len());
        let running = world.audit(["--fresh", "--no-cache"]).asking(&standin).start().await;
        until("something is written", || fs::metadata(log(&world)).map_or(0, |about| about.len()) > before).await;
        running.kill();
        running.end().await;
        verify(&world, &[]).await.exits(0);
    }
    let report = world.audit([]).asking(&standin).run().await.exits(0).report();
    assert_eq!(report.json["audit"]["lost"], Value::Null);
    verify(&world, &[]).await.exits(0);
}

#[tokio::test]
async fn runs_side_by_side_leave_one_log_each_with_its_own_records() {
    let world = world();
    world.write("agents/a.md", crate::support::agent(1));
    let done = world.convoke(["run", editing(), "agent-audit", "--format", "json"]).run().await.exits(0).json();
    let reports = done["runs"].as_array().expect("a list");
    for report in reports {
        let id = report["run"]["id"].as_str().expect("an id");
        let of_run = world.convoke(["audit", "show", "--json", "--run", id]).run().await.exits(0).stdout;
        assert_eq!(report["audit"]["records"], json!(of_run.lines().count()), "{of_run}");
    }
    verify(&world, &[]).await.exits(0);
}
