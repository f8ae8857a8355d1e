//! `convoke resume` and `convoke retry`: the same run goes on.

use convoke_runtime::journal::{Became, Journal, RunDetail};
use convoke_standin::{Config, Fault, FaultRule, Latency, Standin, When};

use crate::support::{Report, World, agent, agent_path, faulty, hostile, quick, standin, until};

/// An audit of all agents that is stopped after some answers, and what it reports.
async fn interrupted(world: &World, standin: &Standin, options: &[&str]) -> Report {
    let arguments = ["--instances", "3", "--no-cache"].into_iter().chain(options.iter().copied());
    let running = world.audit(arguments).asking(standin).start().await;
    until("four answers", || standin.stats().answered >= 4).await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert!(report.count("done") >= 4 && report.count("pending") > 0, "{}", report.census());
    report
}

async fn slow() -> Standin {
    standin(Config { latency: Latency::of(150, 0.3), ..Config::default() }).await
}

fn id(report: &Report) -> &str {
    report.json["run"]["id"].as_str().expect("an id")
}

/// The last digits, as people see them.
fn short(report: &Report) -> &str {
    id(report).rsplit('-').next().expect("digits")
}

async fn detail(world: &World, report: &Report) -> RunDetail {
    let journal = Journal::open(&world.path("data/journal.db")).expect("a journal");
    journal.run(&id(report).parse().expect("an id")).await.expect("the run")
}

#[tokio::test]
async fn an_interrupted_run_goes_on_as_itself() {
    let (standin, world) = (slow().await, World::with_agents(16));
    let first = interrupted(&world, &standin, &[]).await;
    let asked = standin.stats().requests;
    // From anywhere.
    let call = world.convoke(["resume", short(&first)]).within(world.path("home"));
    let whole = call.asking(&standin).run().await.exits(0).report();
    assert_eq!((whole.census().as_str(), id(&whole)), ("done 16", id(&first)));
    assert_eq!((standin.stats().requests, &whole.json["usage"]["requests"]), (16, &16.into()), "{asked} before");
    assert_eq!(
        (&whole.json["run"]["continued"], &whole.json["run"]["started"]),
        (&1.into(), &first.json["run"]["started"])
    );
    assert_eq!(whole.json["cost"]["by_model"].as_array().map(Vec::len), Some(1));
    let in_journal = detail(&world, &first).await;
    assert_eq!((in_journal.census().done, in_journal.row.continued), (16, 1));
    assert_eq!(in_journal.row.end.expect("an end").status.name(), "completed");
    // Nothing is left to do: it says the same again.
    let again = world.convoke(["resume", "last"]).asking(&standin).run().await.exits(0).report();
    assert_eq!((again.census().as_str(), standin.stats().requests), ("done 16", 16));
    assert_eq!(again.findings(), whole.findings());
}

#[tokio::test]
async fn a_killed_run_goes_on_and_what_has_changed_is_done_again() {
    let (standin, world) = (slow().await, World::with_agents(12));
    let running = world.audit(["--instances", "2", "--no-cache"]).asking(&standin).start().await;
    until("five answers", || standin.stats().answered >= 5).await;
    running.kill();
    running.end().await;
    let journal = Journal::open(&world.path("data/journal.db")).expect("a journal");
    let run = journal.runs(1).await.expect("runs").remove(0).run.id;
    let before = journal.run(&run).await.expect("the run");
    let done: Vec<_> = before.items.iter().filter(|row| row.end.is_some()).map(|row| row.item.id.clone()).collect();
    let changed = done.first().expect("one is done").clone();
    let text = std::fs::read_to_string(world.project().join(&changed)).expect("an agent");
    world.write(&changed, text + "\nOne more line, which matters.\n");

    let whole = world.convoke(["resume", "last", "--format", "json"]).asking(&standin).run().await.exits(0).report();
    assert_eq!((whole.status(), id(&whole)), ("completed", run.to_string().as_str()));
    assert!(standin.stats().requests as usize <= 12 + 2 + 1, "{:?}", standin.stats());
    let after = journal.run(&run).await.expect("the run");
    let row = after.items.iter().find(|row| row.item.id == changed).expect("it is there");
    assert_eq!(row.tried.iter().map(|tried| tried.became).collect::<Vec<_>>(), [Became::Again]);
    assert!(row.tried[0].reason.contains(&format!("{changed} has changed")), "{:?}", row.tried);
    let again = after.items.iter().filter(|row| !row.tried.is_empty()).count();
    assert_eq!(again, 1, "all others stand");
}

/// 100 items of which two fail: whatever the order, the second run asks those two.
#[tokio::test]
async fn of_a_hundred_of_which_two_failed_two_are_asked_again() {
    for (instances, way) in [("2", "again"), ("7", "again"), ("5", "retry")] {
        let rules = [17, 64].map(|number| FaultRule {
            when: When { times: Some(1), ..When::contains(format!("You do task {number}, and")) },
            fault: Fault::Status(400),
        });
        let standin = standin(Config { faults: rules.into(), ..Config::default() }).await;
        let world = World::with_agents(100);
        let arguments = ["--instances", instances, "--no-cache"];
        let first = world.audit(arguments).asking(&standin).run().await.exits(3).report();
        assert_eq!(
            (first.count("done"), first.count("failed") + first.count("fallback")),
            (98, 2),
            "{}",
            first.census()
        );
        let asked = standin.stats().requests;
        let second = match way {
            // In another order: by other workers, and with others before.
            "again" => world.audit(["--instances", "3", "--no-cache"]).asking(&standin).run().await,
            _ => world.convoke(["retry", short(&first), "--failed"]).asking(&standin).run().await,
        };
        let second = second.exits(0).report();
        assert_eq!(standin.stats().requests - asked, 2, "{way} with {instances}");
        let expected = if way == "again" { "done 2, cached 98" } else { "done 100" };
        assert_eq!(second.census(), expected);
    }
}

#[tokio::test]
async fn what_failed_stays_so_until_it_is_asked_for() {
    let rules = [(When { times: Some(1), ..When::contains("You do task 2, and") }, Fault::Status(400))];
    let (standin, world) = (faulty(rules).await, World::with_agents(4));
    let first = world.audit(["--no-cache"]).asking(&standin).run().await.exits(3).report();
    let asked = standin.stats().requests;
    let same = world.convoke(["resume", short(&first)]).asking(&standin).run().await.exits(3).report();
    assert_eq!((same.census(), standin.stats().requests), (first.census(), asked));
    world.convoke(["retry", short(&first)]).run().await.exits(2).reports_nothing().says("--failed");
    let call = world.convoke(["retry", short(&first), "--failed", "--format", "human"]);
    let text = call.asking(&standin).run().await.exits(0).stdout;
    assert!(text.contains("Completed 4 items"), "{text}");
    assert_eq!(standin.stats().requests, asked + 1);
}

#[tokio::test]
async fn people_are_told_the_command_that_goes_on() {
    let (standin, world) = (slow().await, World::with_agents(12));
    let running = world.convoke(["agent-audit", "--instances", "2"]).asking(&standin).start().await;
    until("three answers", || standin.stats().answered >= 3).await;
    running.interrupt();
    let text = running.end().await.exits(130).stdout;
    let (_, behind) = text.split_once("`convoke resume ").expect("the command");
    let id = behind.split('`').next().expect("its end");
    assert_eq!(
        world.convoke(["resume", id, "--format", "json"]).asking(&standin).run().await.report().census(),
        "done 12"
    );
}

#[tokio::test]
async fn each_command_of_several_goes_on_by_itself() {
    let (standin, world) = (slow().await, World::with_agents(16));
    let audit = format!("agent-audit {}", ".claude/agents/team1");
    let arguments = ["run", "agent-audit", &audit, "--instances", "2", "--format", "json", "--no-cache"];
    let running = world.convoke(arguments).asking(&standin).start().await;
    until("four answers", || standin.stats().answered >= 4).await;
    running.interrupt();
    let runs = running.end().await.exits(130).json();
    for run in runs["runs"].as_array().expect("runs") {
        let id = run["run"]["id"].as_str().expect("an id");
        let report = world.convoke(["resume", id]).asking(&standin).run().await.exits(0).report();
        assert_eq!(
            (&report.json["run"]["id"], report.count("items")),
            (&run["run"]["id"], run["census"]["items"].as_u64().expect("a count"))
        );
        assert_eq!(report.count("done") + report.count("cached"), report.count("items"));
    }
}

#[tokio::test]
async fn a_budget_is_that_of_the_whole_run() {
    let (standin, world) = (quick().await, World::with_agents(12));
    let arguments = ["--budget-usd", "0.0008", "--instances", "1", "--no-cache"];
    let first = world.audit(arguments).asking(&standin).run().await.exits(5).report();
    let asked = standin.stats().requests;
    let same = world.convoke(["resume", "last"]).asking(&standin).run().await.exits(5).report();
    assert_eq!((same.census(), standin.stats().requests), (first.census(), asked), "it is spent");
    let more = world.convoke(["resume", "last", "--budget-usd", "5"]).asking(&standin).run().await.exits(0).report();
    assert_eq!(more.census(), "done 12");
}

#[tokio::test]
async fn what_can_not_be_continued_is_refused_and_nothing_is_touched() {
    let world = World::with_agents(2);
    let runs = async || {
        let file = world.path("data/journal.db");
        if !file.exists() {
            return Vec::new();
        }
        let journal = Journal::open(&file).expect("a journal");
        let mut details = Vec::new();
        for row in journal.runs(10).await.expect("runs") {
            details.push(journal.run(&row.run.id).await.expect("the run"));
        }
        details
    };
    let refused = async |arguments: &[&str], said: &str| {
        let before = runs().await;
        world.convoke(arguments.iter().copied()).run().await.exits(2).reports_nothing().says(said);
        assert_eq!(runs().await, before, "{arguments:?}");
    };
    refused(&["resume", "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4"], "knows no run").await;
    assert!(!world.path("data/journal.db").exists(), "looking makes none");
    let report = world.audit([]).run().await.report();
    for name in ["abc", "0123456789ab", "../../etc", "", "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4", "\u{1b}[2J"] {
        refused(&["resume", name], "knows no run").await;
    }
    refused(&["resume"], "RUN").await;
    let elsewhere = world.path("home");
    world.convoke(["resume", "last"]).within(&elsewhere).run().await.exits(2).says("there is no last run");

    let recorded = world.audit(["--record", "../tape"]).run().await.report();
    refused(&["resume", short(&recorded)], "can't be continued").await;

    // The project moves, and is gone.
    let (project, moved) = (world.project(), world.path("moved"));
    std::fs::rename(&project, &moved).expect("renamed");
    let call = || world.convoke(["resume", short(&report)]).within(&elsewhere);
    call().run().await.exits(2).reports_nothing().says("in which it was begun").says("hint");
    let before = runs().await;
    std::fs::create_dir(&project).expect("a folder");
    call().run().await.exits(2).reports_nothing().says("no agents found");
    assert_eq!(runs().await, before, "a folder without the project changes nothing");
}

#[tokio::test]
async fn a_run_of_a_component_that_has_changed_since_is_refused() {
    let world = World::new();
    std::fs::copy(hostile(), world.project().join("own.wasm")).expect("a copy");
    let run = world.convoke(["./own.wasm", "fine", "failed", "--format", "json"]).run().await.report();
    std::fs::copy(crate::support::flood(), world.project().join("own.wasm")).expect("a copy");
    let refused = world.convoke(["retry", short(&run), "--failed"]).run().await.exits(2).reports_nothing();
    refused.says("can't be continued").says("run it again");
    std::fs::remove_file(world.project().join("own.wasm")).expect("removed");
    world.convoke(["resume", short(&run)]).run().await.exits(2).reports_nothing().says("own.wasm");
}

#[tokio::test]
async fn a_run_that_somebody_else_would_answer_now_is_refused_and_keeps_what_it_has() {
    let (standin, world) = (slow().await, World::with_agents(12));
    let first = interrupted(&world, &standin, &[]).await;
    let before = detail(&world, &first).await;
    // Without the key.
    let refused = world.convoke(["resume", "last"]).run().await.exits(2).reports_nothing();
    refused.says("anthropic answered it, and offline would answer now");
    assert_eq!(detail(&world, &first).await, before);
}

#[tokio::test]
async fn a_run_that_is_under_way_is_left_alone() {
    let (standin, world) = (slow().await, World::with_agents(8));
    let running = world.audit(["--instances", "1"]).asking(&standin).start().await;
    until("an answer", || standin.stats().answered >= 1).await;
    world.convoke(["resume", "last"]).asking(&standin).run().await.exits(2).reports_nothing().says("under way");
    assert_eq!(running.end().await.exits(0).report().census(), "done 8");
}

#[tokio::test]
async fn an_agent_that_is_gone_or_new_since_is_gone_or_new_in_the_run() {
    let (standin, world) = (slow().await, World::with_agents(10));
    let first = interrupted(&world, &standin, &[]).await;
    std::fs::remove_file(world.project().join(agent_path(1))).expect("removed");
    for number in [11, 12] {
        world.write(&agent_path(number), agent(number));
    }
    let whole = world.convoke(["resume", short(&first)]).asking(&standin).run().await.exits(0).report();
    assert_eq!((whole.count("items"), whole.count("pending")), (11, 0), "{}", whole.census());
    let in_journal = detail(&world, &first).await;
    assert_eq!(in_journal.items.len(), 11);
    assert_eq!(in_journal.census().items, in_journal.row.end.expect("an end").census.items);
}
