//! A run that was recorded is done again without a model, a key, a network or the project.

use std::fs;
use std::path::{Path, PathBuf};

use convoke_standin::{Fault, Standin, When};
use serde_json::Value;

use crate::support::{Report, World, agent, agent_path, faulty, holds, hostile, quick};

/// A credential as somebody leaves it in a file. Put together here, so that it stands in no file.
fn secret() -> String {
    ["gh", "p_", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o"].concat()
}

/// Records an audit into `tape`, and takes the stand-in away.
async fn recorded(world: &World, standin: Standin, arguments: &[&str]) -> (Report, PathBuf) {
    let tape = world.path("tape");
    let folder = tape.to_str().expect("UTF-8").to_owned();
    let arguments = ["--record", folder.as_str()].into_iter().chain(arguments.iter().copied());
    let report = world.audit(arguments).asking(&standin).run().await.report();
    drop(standin);
    (report, tape)
}

/// A call that replays, in the empty project of a user without a key.
fn replay<'a>(world: &'a World, tape: &'a Path, arguments: &[&'a str]) -> crate::support::Call {
    let tape = tape.to_str().expect("UTF-8");
    world.audit(["--replay", tape].into_iter().chain(arguments.iter().copied()))
}

/// The report without what belongs to one run: its id, its times, its backend, and what it spent.
fn lasting(report: &Report) -> Value {
    let mut json = report.json.clone();
    // A replay asks once what was asked until it was answered.
    for member in ["timing", "usage", "cost", "attempts", "levels", "audit"] {
        json.as_object_mut().expect("an object").remove(member);
    }
    for member in ["id", "started", "backend"] {
        json["run"].as_object_mut().expect("an object").remove(member);
    }
    for failure in json["failures"].as_array_mut().expect("a list") {
        for member in ["tried", "questions"] {
            failure.as_object_mut().expect("an object").remove(member);
        }
    }
    // Who took which item is chance.
    json["workers"] = Value::from(report.list("workers").len());
    json
}

/// The files of a folder below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// All bytes below a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for path in files(folder) {
        if path.is_dir() { all.extend(bytes(&path)) } else { all.extend(fs::read(&path).expect("a file")) }
    }
    all
}

#[tokio::test]
async fn a_recorded_audit_is_done_again_in_an_empty_folder_without_a_model() {
    let world = World::with_example();
    let (first, tape) = recorded(&world, quick().await, &[]).await;
    assert!(first.json["usage"]["requests"].as_u64() > Some(0), "{}", first.json["usage"]);
    let then = lasting(&first);
    first.done.says("questions were recorded in");

    let elsewhere = World::new();
    for _ in 0..2 {
        let again = replay(&elsewhere, &tape, &[]).run().await.report();
        assert_eq!(lasting(&again), then);
        assert_eq!(again.json["run"]["backend"], "replay");
        assert_eq!(again.json["usage"]["requests"], 0, "{}", again.json["usage"]);
        let paid = &again.json["cost"];
        assert!(paid["usd"] == 0.0 && paid["uncertain_usd"] == 0.0, "{paid}");
        assert_eq!(again.json["usage"]["usd"].as_f64(), Some(0.0));
        assert_eq!(again.count("cached"), 0, "a replay reuses nothing");
        again.done.says("nothing is sent, nothing is paid");
    }
    assert!(!elsewhere.path("data/journal.db").exists(), "a replay leaves nothing behind");
}

#[tokio::test]
async fn the_same_run_is_recorded_the_same_but_for_its_time() {
    let world = World::with_agents(6);
    let (_, tape) = recorded(&world, quick().await, &[]).await;
    let text = |path: &Path| fs::read_to_string(path).expect("a file");
    let without_time = |tape: &Path| {
        let run = text(&tape.join("run.json"));
        let lines: Vec<&str> = run.lines().filter(|line| !line.contains("recorded_at")).collect();
        let questions: Vec<(PathBuf, String)> =
            files(&tape.join("questions")).into_iter().map(|path| (path.clone(), text(&path))).collect();
        (lines.join("\n"), questions, bytes(&tape.join("project")))
    };
    let before = without_time(&tape);
    assert_eq!(before.1.len(), 6);
    // An earlier run has done it all, and it is recorded all the same.
    recorded(&world, quick().await, &[]).await;
    assert_eq!(without_time(&tape), before);
}

#[tokio::test]
async fn a_changed_question_is_a_miss_that_says_what_differs() {
    let world = World::with_agents(3);
    let (_, tape) = recorded(&world, quick().await, &[]).await;
    let cassette = files(&tape.join("questions")).remove(1);
    let text = fs::read_to_string(&cassette).expect("a cassette");
    let changed = text.replace("and say when it is done", "and say that it is done");
    assert_ne!(text, changed);
    fs::write(&cassette, changed).expect("written");

    let elsewhere = World::new();
    let report = replay(&elsewhere, &tape, &[]).run().await.exits(3).report();
    assert_eq!(report.census(), "done 2, failed 1");
    let item = report.list("failures")[0]["item"].as_str().expect("an item").to_owned();
    let (reason, _) = report.failure(&item);
    assert!(reason.contains("this question was not recorded; the nearest one is of "), "{reason}");
    assert!(reason.contains(&item), "the nearest is of the same item: {reason}");
    assert!(reason.contains("say that it is done") && reason.contains("say when it is done"), "{reason}");
    report.done.says("1 recorded questions were not asked");
}

#[tokio::test]
async fn a_credential_is_nowhere_in_a_recording() {
    let world = World::with_agents(2);
    world.write(&agent_path(1), agent(1).replace("You do task 1", &format!("Use {} and do task 1", secret())));
    let (first, tape) = recorded(&world, quick().await, &[]).await;
    let all = bytes(&tape);
    assert!(!holds(&all, &secret()));
    assert!(!holds(&all, crate::support::KEY));
    assert!(holds(&all, "[redacted: github-token]"));
    assert!(holds(&bytes(&tape.join("project/files")), "\"redacted\": ["), "the file is marked");
    first.done.says("Credentials in 1 files were redacted.");
    let again = replay(&World::new(), &tape, &[]).run().await.report();
    assert_eq!(again.count("failed"), 0, "{:#}", again.json["failures"]);
    again.done.says("Credentials in 1 recorded files are redacted");
}

#[tokio::test]
async fn a_question_that_failed_fails_again_in_the_same_words() {
    let world = World::with_agents(3);
    let standin = faulty([(When::nth(2), Fault::Refusal)]).await;
    let (first, tape) = recorded(&world, standin, &[]).await;
    assert_eq!((first.census().as_str(), first.done.code), ("done 2, fallback 1", Some(3)));
    let again = replay(&World::new(), &tape, &[]).run().await.exits(3).report();
    assert_eq!(lasting(&again), lasting(&first));

    // Without a fallback the item fails.
    let tape = world.path("other");
    let tape = tape.to_str().expect("UTF-8");
    let standin = faulty([(When::nth(1), Fault::Refusal)]).await;
    let record = [hostile(), "--format", "json", "--record", tape, "ask-alone:one"];
    let first = world.convoke(record).asking(&standin).run().await.report();
    let replayed = [hostile(), "--format", "json", "--replay", tape, "ask-alone:one"];
    let again = World::new().convoke(replayed).run().await.report();
    assert!(first.done.stdout.contains("would not answer"), "{}", first.done.stdout);
    assert_eq!(lasting(&again), lasting(&first));
}

#[tokio::test]
async fn a_run_that_parked_parks_again() {
    let world = World::with_agents(3);
    let (first, tape) = recorded(&world, faulty([(When::probability(1.0), Fault::Unauthorized)]).await, &[]).await;
    let again = replay(&World::new(), &tape, &[]).run().await.report();
    assert_eq!((again.status(), again.done.code), (first.status(), first.done.code));
}

#[tokio::test]
async fn a_plugin_that_takes_a_miss_lightly_has_not_done_its_item() {
    let world = World::new();
    let tape = world.path("tape");
    let tape = tape.to_str().expect("UTF-8");
    let standin = quick().await;
    let record = [hostile(), "--format", "json", "--record", tape, "ask:one"];
    world.convoke(record).asking(&standin).run().await.report();
    let question = files(&Path::new(tape).join("questions")).remove(0);
    let text = fs::read_to_string(&question).expect("a cassette");
    fs::write(&question, text.replace("\"prompt\": \"one\"", "\"prompt\": \"two\"")).expect("written");
    let replayed = [hostile(), "--format", "json", "--replay", tape, "ask:one"];
    let report = world.convoke(replayed).run().await.report();
    assert_eq!(report.census(), "failed 1");
    assert!(report.failure("1-ask").0.contains("recorded `two`, asked `one`"), "{:#}", report.json["failures"]);
}

#[tokio::test]
async fn what_can_not_be_replayed_is_a_clear_error() {
    let world = World::with_agents(2);
    let (_, tape) = recorded(&world, quick().await, &[".claude/agents"]).await;
    let elsewhere = World::new();
    let same = [".claude/agents"];
    replay(&elsewhere, &tape, &same).run().await.exits(0);

    let other = replay(&elsewhere, &tape, &["elsewhere"]).run().await.exits(2).reports_nothing();
    let other = other.says("other arguments").says(".claude/agents");
    other.says("elsewhere");
    let twice = replay(&elsewhere, &tape, &["--record", "other"]).run().await.exits(2).reports_nothing();
    twice.says("cannot be used with");
    let command = [hostile(), "--replay", tape.to_str().expect("UTF-8"), "ask:one"];
    elsewhere.convoke(command).run().await.exits(2).reports_nothing().says("is a recording of agent-audit");
    replay(&elsewhere, &elsewhere.path("home"), &same).run().await.exits(2).says("no run.json");

    let question = files(&tape.join("questions")).remove(0);
    fs::write(&question, "{ \"item\": garbage").expect("written");
    let name = question.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    replay(&elsewhere, &tape, &same).run().await.exits(2).reports_nothing().says(&name).says("line 1 column");
}

#[tokio::test]
async fn what_was_not_read_then_is_not_there_to_be_read() {
    let world = World::with_agents(2);
    let (_, tape) = recorded(&world, quick().await, &[]).await;
    let gone = files(&tape.join("project/files")).into_iter().find(|path| path.to_string_lossy().contains("agent-1"));
    fs::remove_file(gone.expect("its file")).expect("removed");
    // The plan reads all agents.
    let done = replay(&World::new(), &tape, &[]).run().await;
    assert_ne!(done.code, Some(0), "{}", done.stdout);
    assert!(done.stderr.contains("was not recorded"), "{}", done.stderr);
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_not_recorded_into() {
    let (world, standin) = (World::with_agents(1), quick().await);
    let done = world.audit(["--record", "."]).asking(&standin).run().await.exits(2).reports_nothing();
    done.says("is not replaced");
    assert_eq!(standin.stats().requests, 0, "it is said before anything is paid");
    assert!(world.project().join(agent_path(1)).exists());
}

#[tokio::test]
async fn a_run_without_a_model_and_the_projects_configuration_are_recorded_too() {
    let world = World::with_example();
    world.write("convoke.toml", "version = 1\n[[suppress]]\nrule = \"*\"\nreason = \"a test\"\n");
    let tape = world.path("tape");
    let tape = tape.to_str().expect("UTF-8");
    let first = world.audit(["--backend", "offline", "--record", tape]).run().await.report();
    assert!(!first.list("findings").is_empty() && first.findings().is_empty(), "all are suppressed");
    let again = replay(&World::new(), Path::new(tape), &[]).run().await.report();
    assert_eq!(lasting(&again), lasting(&first));
}
