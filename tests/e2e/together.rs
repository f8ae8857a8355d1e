//! `convoke run`: several commands at once.

use std::sync::LazyLock;

use convoke_standin::{Config, Latency};
use serde_json::Value;

use crate::support::{Done, World, agent, flood, hostile, quick, standin, until};

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_convoke"))
        .args(["schema", "runs"])
        .output()
        .expect("convoke starts");
    jsonschema::validator_for(&serde_json::from_slice(&output.stdout).expect("a schema")).expect("a good schema")
});

/// The reports in one document, and that it is what the schema says.
#[track_caller]
fn runs(done: &Done) -> Vec<Value> {
    let json = done.json();
    assert!(SCHEMA.is_valid(&json), "{json:#}");
    assert_eq!(json["exit_code"].as_i64(), done.code.map(i64::from));
    json["runs"].as_array().expect("a list").clone()
}

fn census(report: &Value) -> (u64, u64, u64) {
    let count = |name: &str| report["census"][name].as_u64().expect("a count");
    (count("items"), count("done"), count("pending"))
}

#[tokio::test]
async fn each_command_has_its_own_report_and_all_share_the_workers() {
    let world = World::with_agents(12);
    let standin = standin(Config { latency: Latency::of(20, 0.0), ..Config::default() }).await;
    let flood = format!("{} --items 30 --groups 6", flood());
    let arguments = ["run", "agent-audit", &flood, "--instances", "4", "--format", "json"];
    let done = world.convoke(arguments).asking(&standin).run().await.exits(0);
    let runs = runs(&done);
    assert_eq!(runs.iter().map(census).collect::<Vec<_>>(), [(12, 12, 0), (30, 30, 0)]);
    assert_eq!((&runs[0]["run"]["command"], &runs[1]["run"]["command"]), (&"agent-audit".into(), &"flood".into()));
    let workers = |run: &Value| run["workers"].as_array().expect("a list").len();
    assert_eq!((workers(&runs[0]), workers(&runs[1])), (2, 2), "of four instances");
    let stats = standin.stats();
    assert_eq!(stats.requests, 42);
    assert!(stats.max_in_flight <= 4, "{stats:?}");
    let done = done.says("agent-audit: 12 items, 0 of them cached, 12 to do by 2 workers");
    done.says("agent-audit: [").says("flood: [");
}

#[tokio::test]
async fn the_same_command_twice_is_two_runs_and_goes_on_where_they_were() {
    let world = World::new();
    for folder in ["one", "two"] {
        for number in 1..=3 {
            world.write(&format!("{folder}/agent-{number}.md"), agent(number));
        }
    }
    let standin = quick().await;
    let arguments = ["run", "agent-audit one/", "agent-audit 'two/'", "--format", "json"];
    let done = world.convoke(arguments).asking(&standin).run().await.exits(0).says("agent-audit one/: [");
    assert_eq!(runs(&done).iter().map(census).collect::<Vec<_>>(), [(3, 3, 0), (3, 3, 0)]);
    let sent = standin.stats().requests;
    let again = world.convoke(arguments).asking(&standin).run().await.exits(0);
    assert!(runs(&again).iter().all(|run| run["census"]["cached"] == 3));
    assert_eq!(standin.stats().requests, sent);
}

#[tokio::test]
async fn what_can_not_start_is_refused_before_any_begins() {
    let world = World::with_agents(2);
    let standin = quick().await;
    let run = async |commands: &[&str]| {
        let arguments = ["run"].iter().chain(commands).copied();
        world.convoke(arguments).asking(&standin).run().await.exits(2).reports_nothing()
    };
    run(&["agent-audit", "agent-adit"])
        .await
        .says("there is no command agent-adit")
        .says("did you mean `agent-audit`?");
    run(&["agent-audit", "agent-audit --no-such"]).await.says("--no-such");
    run(&["agent-audit", "agent-audit nowhere/"]).await.says("agent-audit nowhere/: ");
    run(&["agent-audit", "agent-audit 'a"]).await.says("a quote in it has no end");
    run(&["agent-audit", ""]).await.says("a command is empty");
    run(&["agent-audit", "./missing.wasm"]).await.says("./missing.wasm");
    run(&["agent-audit", "agent-audit", "--record", "x"]).await.says("--record is for one command");
    let refuses = format!("{} --planning refuse", hostile());
    run(&["agent-audit", &refuses]).await.says("not today");
    assert_eq!(standin.stats().requests, 0, "nothing was begun");
}

#[tokio::test]
async fn the_exit_code_is_the_strongest_of_all() {
    let world = World::with_agents(2);
    let fails = format!("{} fine fail", hostile());
    let arguments = ["run", "agent-audit", &fails, "--backend", "offline", "--format", "json"];
    let done = world.convoke(arguments).run().await.exits(3);
    let status = runs(&done).iter().map(|run| run["status"].as_str().expect("a status").to_owned()).collect::<Vec<_>>();
    assert_eq!(status, ["completed", "degraded"]);
}

#[tokio::test]
async fn one_budget_parks_all_of_them() {
    let world = World::with_agents(6).config("version = 1\n[budget]\nrequests = 5\n");
    let standin = quick().await;
    let flood = format!("{} --items 20 --groups 4", flood());
    let arguments = ["run", "agent-audit", &flood, "--format", "json"];
    let done = world.convoke(arguments).asking(&standin).run().await.exits(5);
    assert!(standin.stats().requests <= 5, "{:?}", standin.stats());
    let runs = runs(&done);
    assert!(runs.iter().any(|run| run["status"] == "parked"), "{runs:#?}");
    assert!(runs.iter().all(|run| run["status"] == "parked" || run["status"] == "completed"));
    let said = done.stderr.lines().filter(|line| line.starts_with("stopped: ")).count();
    assert_eq!(said, 1, "it is said once: {}", done.stderr);
}

#[tokio::test]
async fn an_interrupt_stops_all_of_them() {
    let world = World::with_agents(12);
    let standin = standin(Config { latency: Latency::of(300, 0.0), ..Config::default() }).await;
    let flood = format!("{} --items 40 --groups 4", flood());
    let arguments = ["run", "agent-audit", &flood, "--instances", "4", "--format", "json"];
    let running = world.convoke(arguments).asking(&standin).start().await;
    until("a second round", || standin.stats().requests >= 6).await;
    running.interrupt();
    let done = running.end().await.exits(130);
    let runs = runs(&done);
    assert!(runs.iter().all(|run| run["status"] == "interrupted" && census(run).2 > 0), "{runs:#?}");
}

#[tokio::test]
async fn a_dry_run_shows_all_plans_and_asks_nobody() {
    let world = World::with_agents(12);
    let standin = quick().await;
    let flood = format!("{} --items 30 --groups 6", flood());
    let call = |format: &'static str| {
        world.convoke(["run", "agent-audit", &flood, "--dry-run", "--instances", "4", "--format", format])
    };
    let plan = call("json").asking(&standin).run().await.exits(0).json();
    let workers = |place: usize| plan["plans"][place]["workers"].as_array().expect("a list").len();
    assert_eq!((plan["plans"].as_array().expect("a list").len(), workers(0), workers(1)), (2, 2, 2));
    let text = call("human").asking(&standin).run().await.exits(0).stdout;
    assert!(text.contains("agent-audit: 12 items") && text.contains("flood: 30 items"), "{text}");
    assert_eq!(standin.stats().requests, 0);
}

#[tokio::test]
async fn people_and_code_scanning_get_all_reports_too() {
    let world = World::with_example();
    let fine = format!("{} fine", hostile());
    let call = |format: &'static str| {
        world.convoke(["run", "agent-audit", &fine, "--backend", "offline", "--format", format, "--fresh"])
    };
    let sarif = call("sarif").run().await.exits(0).json();
    assert_eq!(sarif["runs"].as_array().expect("a list").len(), 2);
    let text = call("human").run().await.exits(0).stdout;
    assert!(text.contains("── agent-audit ──") && text.contains("── hostile ──"), "{text}");
}

#[tokio::test]
async fn with_fewer_instances_than_commands_the_last_wait_and_begin_nothing_once_it_is_over() {
    let world = World::with_agents(4);
    let standin = standin(Config { latency: Latency::of(100, 0.0), ..Config::default() }).await;
    let flood = format!("{} --items 6 --groups 2", flood());
    let arguments = ["run", "agent-audit", &flood, "--instances", "1", "--format", "json", "--fresh"];
    let running = world.convoke(arguments).asking(&standin).start().await;
    until("the first has begun", || standin.stats().requests >= 1).await;
    running.interrupt();
    let done = running.end().await.exits(130);
    let interrupted = runs(&done);
    assert_eq!(census(&interrupted[1]), (6, 0, 6), "{interrupted:#?}");
    assert!(interrupted.iter().all(|run| run["status"] == "interrupted"));

    let done = world.convoke(arguments).asking(&standin).run().await.exits(0);
    assert_eq!(runs(&done).iter().map(census).collect::<Vec<_>>(), [(4, 4, 0), (6, 6, 0)]);
    assert_eq!(standin.stats().max_in_flight, 1);

    let spent = World::with_agents(4).config("version = 1\n[budget]\nrequests = 2\n");
    let done = spent.convoke(arguments).asking(&standin).run().await.exits(5);
    assert_eq!(census(&runs(&done)[1]), (6, 0, 6), "it never began");
    assert_eq!(runs(&done)[1]["status"], "parked");
}
