//! `convoke ctl`: a run is looked at and changed while it goes on, through the real binary.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use convoke_runtime::journal::Journal;
use convoke_standin::{Config, Fault, FaultRule, Latency, Standin, When};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::support::{Done, Report, World, agent_path, standin, until};

/// One that takes so many milliseconds for an answer.
async fn slow(ms: u64) -> Standin {
    standin(Config { latency: Latency::of(ms, 0.0), ..Config::default() }).await
}

async fn ctl(world: &World, words: &[&str]) -> Done {
    world.convoke(["ctl"].into_iter().chain(words.iter().copied())).run().await
}

/// How the only run stands.
async fn status(world: &World) -> Value {
    ctl(world, &["status", "--json"]).await.exits(0).json()["runs"][0].clone()
}

/// What becomes of something that is wished, by the socket: a process less to wait for.
async fn wished(world: &World, wish: Value) -> Value {
    let mut stream = BufReader::new(socket(world).await);
    stream.write_all(format!("{wish}\n").as_bytes()).await.expect("it listens");
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("an answer");
    serde_json::from_str(&line).expect("JSON")
}

async fn socket(world: &World) -> UnixStream {
    let entry =
        fs::read_dir(world.path("data/control")).expect("a folder").next().expect("a socket").expect("an entry");
    UnixStream::connect(entry.path()).await.expect("it listens")
}

fn became(answer: &Value) -> &str {
    answer["changed"][0]["became"].as_str().unwrap_or_else(|| panic!("{answer:#}"))
}

/// What was changed, as the report has it.
fn controls(report: &Report) -> Vec<&str> {
    report.list("controls").iter().filter_map(|one| one["what"].as_str()).collect()
}

fn id(number: usize) -> String {
    agent_path(number)
}

#[tokio::test]
async fn a_pause_stops_new_questions_within_100_ms_and_resume_goes_on() {
    let (standin, world) = (slow(120).await, World::with_agents(24));
    let running = world.audit(["--instances", "3", "--no-cache"]).asking(&standin).start().await;
    until("a second round", || standin.stats().requests >= 5).await;
    assert_eq!(became(&wished(&world, json!({"do": "pause"})).await), "paused; what is under way ends");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = standin.stats().requests;
    until("the last answer", || standin.stats().in_flight == 0).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(standin.stats().requests, asked, "100 ms after the pause nothing more is asked");
    assert!(asked < 24);
    let paused = status(&world).await;
    assert!(paused["paused"].as_str().is_some_and(|by| by.contains("process ")), "{paused:#}");
    assert_eq!((&paused["in_flight"], &paused["census"]["done"]), (&json!(0), &json!(asked)));
    let text = ctl(&world, &["status"]).await.exits(0).stdout;
    assert!(text.contains("paused by") && text.contains(&format!("24: {asked} done")), "{text}");
    assert_eq!(ctl(&world, &["resume"]).await.exits(0).stdout, "it goes on\n");
    let report = running.end().await.exits(0).report();
    assert_eq!((report.census().as_str(), standin.stats().requests), ("done 24", 24));
    assert_eq!(controls(&report), ["pause", "resume"]);
    assert!(report.list("controls")[1]["by"].as_str().is_some_and(|by| by.ends_with(", ctl")));
    assert!(!world.path("data/control").read_dir().expect("a folder").any(|entry| entry.is_ok()), "the socket is gone");
}

#[tokio::test]
async fn a_pause_at_once_breaks_off_and_loses_nothing() {
    let (standin, world) = (slow(1_500).await, World::with_agents(6));
    let running = world.audit(["--instances", "3", "--no-cache"]).asking(&standin).start().await;
    until("three questions", || standin.stats().in_flight == 3).await;
    let said = ctl(&world, &["pause", "--now"]).await.exits(0).stdout;
    assert_eq!(said, "paused; what was under way is broken off and asked again later\n");
    until("all are broken off", || standin.stats().abandoned == 3).await;
    let text = ctl(&world, &["status"]).await.exits(0).stdout;
    assert!(text.contains("paused at once by") && text.contains("waiting: paused"), "{text}");
    ctl(&world, &["resume"]).await.exits(0);
    let report = running.end().await.exits(0).report();
    assert_eq!((report.census().as_str(), standin.stats().answered, standin.stats().requests), ("done 6", 6, 9));
    assert_eq!(report.json["usage"]["requests"], 9, "what was broken off counts");
    assert!(report.list("attempts").is_empty() && report.list("failures").is_empty(), "and is no failure");
}

#[tokio::test]
async fn a_signal_stops_a_paused_run() {
    let (standin, world) = (slow(100).await, World::with_agents(12));
    let running = world.audit(["--instances", "2", "--no-cache"]).asking(&standin).start().await;
    until("questions", || standin.stats().requests >= 3).await;
    wished(&world, json!({"do": "pause"})).await;
    until("the last answer", || standin.stats().in_flight == 0).await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert!(report.count("pending") > 0 && report.count("done") == standin.stats().answered, "{}", report.census());
}

#[tokio::test]
async fn a_limit_takes_effect_up_and_down() {
    let (standin, world) = (slow(400).await, World::with_agents(30));
    let running = world.audit(["--instances", "1", "--no-cache"]).asking(&standin).start().await;
    until("a question", || standin.stats().in_flight == 1).await;
    let said = ctl(&world, &["limit", "set", "6"]).await.exits(0).stdout;
    assert_eq!(said, "at most 6 questions in flight, and 6 workers\n");
    until("six at once", || standin.stats().in_flight == 6).await;
    wished(&world, json!({"do": "limit", "set": 2})).await;
    until("two at once", || standin.stats().in_flight <= 2).await;
    let now = status(&world).await;
    assert_eq!(now["accounts"][0]["limit"], 2, "{now:#}");
    let refused = ctl(&world, &["limit", "set", "101"]).await.exits(2).says("instances can be 1 to 100");
    assert_eq!(refused.stdout, "");
    wished(&world, json!({"do": "limit", "set": 10})).await;
    let report = running.end().await.exits(0).report();
    assert_eq!((report.census().as_str(), standin.stats().requests), ("done 30", 30));
    assert_eq!(controls(&report), ["limit 6", "limit 2", "limit 10"]);
}

#[tokio::test]
async fn items_are_cancelled_and_requeued_and_the_census_stays_true() {
    let (standin, world) = (slow(1_200).await, World::with_agents(5));
    let running = world.audit(["--instances", "1", "--no-cache"]).asking(&standin).start().await;
    until("a question", || standin.stats().in_flight == 1).await;
    let held = status(&world).await["workers"][0]["item"].as_str().expect("an item").to_owned();
    let others: Vec<String> = (1..=5).map(id).filter(|other| *other != held).collect();

    let skipped = wished(&world, json!({"do": "cancel", "item": others[0]})).await;
    assert_eq!(became(&skipped), "it is skipped");
    let twice = ctl(&world, &["cancel", &others[0]]).await.exits(2);
    assert!(twice.stderr.contains("it has ended: skipped"), "{}", twice.stderr);
    // One that a worker has is taken from it; what it had asked is given up.
    assert_eq!(became(&wished(&world, json!({"do": "cancel", "item": held})).await), "it is skipped");
    until("its question is given up", || standin.stats().abandoned == 1).await;
    assert_eq!(status(&world).await["census"]["skipped"], 2);
    // One that was skipped is done all the same, if somebody wants it so.
    let again = wished(&world, json!({"do": "requeue", "item": held})).await;
    assert_eq!(became(&again), "it was skipped, and is done again");
    // And one that a worker has begins anew.
    until("the next question", || standin.stats().in_flight == 1).await;
    let second = status(&world).await["workers"][0]["item"].as_str().expect("an item").to_owned();
    let taken = wished(&world, json!({"do": "requeue", "item": second})).await;
    assert_eq!(became(&taken), "taken back from its worker; it is done again");
    let unknown = ctl(&world, &["cancel", "nothing.md"]).await.exits(2);
    assert!(unknown.stderr.contains("there is no item \"nothing.md\""), "{}", unknown.stderr);

    let report = running.end().await.exits(0).report();
    assert_eq!(report.census(), "done 4, skipped 1");
    let journal = Journal::open(&world.path("data/journal.db")).expect("a journal");
    let run = report.json["run"]["id"].as_str().expect("an id").parse().expect("an id");
    let census = journal.run(&run).await.expect("the run").census();
    assert_eq!((census.done, census.skipped, census.items), (4, 1, 5), "and so says the journal");
    assert!(report.done.stdout.contains("cancelled by "), "{}", report.json["notes"]);
}

#[tokio::test]
async fn what_fell_back_is_done_again_and_what_is_done_is_not() {
    let fault =
        FaultRule { when: When { times: Some(1), ..When::contains("You do task 1,") }, fault: Fault::Status(400) };
    let config = Config { latency: Latency::of(500, 0.0), faults: vec![fault], ..Config::default() };
    let (standin, world) = (standin(config).await, World::with_agents(8));
    let running = world.audit(["--instances", "2", "--no-cache"]).asking(&standin).start().await;
    until("a question", || standin.stats().requests >= 1).await;
    let fell_back = async {
        loop {
            let now = status(&world).await;
            if now["census"]["fallback"] == 1 {
                return now;
            }
        }
    };
    let now = tokio::time::timeout(Duration::from_secs(60), fell_back).await.expect("one falls back");
    assert_eq!(now["census"]["pending"].as_u64().map(|pending| pending > 0), Some(true), "{now:#}");
    let again = wished(&world, json!({"do": "requeue", "item": id(1)})).await;
    assert_eq!(became(&again), "it was fallback, and is done again");
    // It goes before what was not begun.
    until("others are answered", || standin.stats().answered >= 5).await;
    wished(&world, json!({"do": "pause"})).await;
    until("the last answer", || standin.stats().in_flight == 0).await;
    while status(&world).await["workers"].as_array().is_some_and(|all| all.iter().any(|one| one["item"].is_string())) {}
    let done = wished(&world, json!({"do": "requeue", "item": id(1)})).await;
    let said = done["error"].as_str().unwrap_or_default();
    assert!(said.contains("it is done, and what is done stays so"), "{done:#}");
    wished(&world, json!({"do": "resume"})).await;
    let report = running.end().await.exits(0).report();
    assert_eq!(report.census(), "done 8");
    let tried = report.list("attempts").iter().find(|one| one["item"] == id(1).as_str()).expect("it was tried before");
    assert_eq!((&tried["outcome"], &tried["tried"][0]["became"]), (&json!("done"), &json!("again")));
    assert!(tried["tried"][0]["reason"].as_str().is_some_and(|why| why.contains("requeued by")), "{tried:#}");
}

#[tokio::test]
async fn nobody_else_can_come_in_and_garbage_harms_nobody() {
    let (standin, world) = (slow(300).await, World::with_agents(6));
    let running = world.audit(["--instances", "2"]).asking(&standin).start().await;
    until("a question", || standin.stats().requests >= 1).await;
    let folder = world.path("data/control");
    assert_eq!(fs::metadata(&folder).expect("a folder").mode() & 0o777, 0o700);
    for entry in fs::read_dir(&folder).expect("a folder") {
        assert_eq!(entry.expect("an entry").metadata().expect("a socket").mode() & 0o777, 0o600);
    }
    for garbage in [vec![b'x'; 1 << 20], b"\0\0\0\n".to_vec(), b"{\"do\":\"pause\"".to_vec(), vec![b'{'; 60_000]] {
        let mut stream = socket(&world).await;
        // It may hang up before all of it is said.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(!answer.contains("\"ok\":true"), "{answer}");
    }
    let report = running.end().await.exits(0).report();
    assert_eq!(report.census(), "done 6");
    assert!(report.json.get("controls").is_none(), "nothing was changed");
}

#[tokio::test]
async fn without_a_run_there_is_nothing_to_change_and_of_two_one_is_named() {
    let world = World::with_agents(8);
    ctl(&world, &["pause"]).await.exits(2).says("no convoke is running").reports_nothing();
    let standin = slow(400).await;
    let one = world.audit(["--instances", "1", "--fresh", "--no-cache"]).asking(&standin).start().await;
    let other = world.audit(["--instances", "1", "--fresh", "--no-cache"]).asking(&standin).start().await;
    until("both ask", || standin.stats().in_flight == 2).await;
    ctl(&world, &["pause"]).await.exits(2).says("2 convokes are running: which one?").says("--run ");
    let all = ctl(&world, &["status", "--json"]).await.exits(0).json();
    let ids: Vec<&str> = all["runs"].as_array().expect("runs").iter().filter_map(|run| run["run"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{all:#}");
    ctl(&world, &["--run", ids[0], "pause"]).await.exits(0);
    let all = ctl(&world, &["status", "--json"]).await.exits(0).json();
    let paused = |id: &str| {
        let run = all["runs"].as_array().expect("runs").iter().find(|run| run["run"] == id).expect("the run");
        run["paused"].is_string()
    };
    assert!(paused(ids[0]) && !paused(ids[1]), "{all:#}");
    ctl(&world, &["resume", "--run", ids[0]]).await.exits(0);
    for running in [one, other] {
        running.end().await.exits(0);
    }
}

#[tokio::test]
async fn commands_side_by_side_are_paused_together_and_one_by_one() {
    let (standin, world) = (slow(200).await, World::with_agents(12));
    let words = ["run", "agent-audit .claude/agents/team0", "agent-audit .claude/agents/team1", "--format", "json"];
    let running = world.convoke(words).asking(&standin).start().await;
    until("questions", || standin.stats().requests >= 2).await;
    let answer = wished(&world, json!({"do": "pause", "client": "dashboard"})).await;
    assert_eq!(answer["changed"].as_array().map(Vec::len), Some(2), "{answer:#}");
    until("the last answer", || standin.stats().in_flight == 0).await;
    let name = "agent-audit .claude/agents/team0";
    let one = wished(&world, json!({"do": "resume", "run": name})).await;
    assert_eq!(one["changed"].as_array().map(Vec::len), Some(1), "{one:#}");
    wished(&world, json!({"do": "resume"})).await;
    let done = running.end().await.exits(0).json();
    assert_eq!(done["exit_code"], 0);
}
