//! Why each item is done again, or is not.

use convoke_standin::{Config, Fault, Latency, When};
use serde_json::Value;

use crate::support::{Report, World, agent, agent_path, faulty, quick, standin, until};

/// The reasons by their kind, as `kind: how many`, sorted.
fn kinds(items: &Value) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for item in items.as_array().expect("the items") {
        *counts.entry(item["why"].as_str().expect("a kind").to_owned()).or_default() += 1;
    }
    counts.into_iter().map(|(kind, count)| format!("{kind}: {count}")).collect()
}

fn of(report: &Report) -> Vec<String> {
    kinds(&report.json["explain"]["items"])
}

fn detail(report: &Report, item: &str) -> String {
    let items = report.json["explain"]["items"].as_array().expect("the items");
    let found = items.iter().find(|one| one["item"].as_str().is_some_and(|id| id.contains(item))).expect("the item");
    found["detail"].as_str().expect("words").to_owned()
}

#[tokio::test]
async fn each_reason_is_named() {
    let (standin, world) = (quick().await, World::with_agents(8));
    let run = |options: &'static [&'static str]| {
        world.audit(["--explain"].into_iter().chain(options.iter().copied())).asking(&standin).run()
    };
    assert_eq!(of(&run(&[]).await.report()), ["new: 8"]);
    assert_eq!(of(&run(&[]).await.report()), ["cached: 8"]);
    assert_eq!(of(&run(&["--fresh"]).await.report()), ["fresh: 8"]);

    world.write(&agent_path(3), agent(3) + "\nIt changes.\n");
    world.write(&agent_path(9), agent(9));
    let report = run(&[]).await.report();
    assert!(
        of(&report).contains(&"new: 1".to_owned()) && of(&report).contains(&"read: 1".to_owned()),
        "{:?}",
        of(&report)
    );
    assert!(detail(&report, "agent-3").contains("agent-3.md has changed"), "{}", detail(&report, "agent-3"));

    let report = run(&["--model", "claude-opus-4-5"]).await.report();
    assert_eq!(of(&report), ["route: 9"]);
    assert!(detail(&report, "agent-3").contains("claude-opus-4-5"), "{}", detail(&report, "agent-3"));
    assert!(report.json["explain"]["changed"] == 9);

    let report = run(&[".claude/agents/team1"]).await.report();
    assert_eq!(of(&report)[0], format!("arguments: {}", report.count("items")));
}

#[tokio::test]
async fn what_earlier_runs_did_not_do_was_left_and_a_plan_says_so_too() {
    let rules = [(When { times: Some(1), ..When::contains("You do task 2, and") }, Fault::Status(400))];
    let (standin, world) = (faulty(rules).await, World::with_agents(4));
    world.audit(["--no-cache"]).asking(&standin).run().await.exits(3);
    world.write(&agent_path(5), agent(5));
    world.write(&agent_path(3), agent(3) + "\nIt changes.\n");

    let plan = world.audit(["--dry-run", "--explain"]).asking(&standin).run().await.exits(0).json();
    assert_eq!(kinds(&plan["explain"]["items"]), ["cached: 2", "left: 1", "new: 1", "read: 1"]);
    let text = world.convoke(["agent-audit", "--dry-run", "--explain"]).asking(&standin).run().await.exits(0).stdout;
    assert!(text.contains("3 to do: 1 changed, 1 new, 1 left; 2 cached"), "{text}");
    assert!(text.contains("agent-3.md: to do, ") && text.contains("has changed"), "{text}");
    let text = world.convoke(["agent-audit", "--dry-run"]).asking(&standin).run().await.exits(0).stdout;
    assert!(text.contains("3 to do: ") && !text.contains("agent-3.md: to do"), "{text}");

    let text = world.convoke(["agent-audit"]).asking(&standin).run().await.exits(0).stdout;
    assert!(text.contains("Planned 3 to do: 1 changed, 1 new, 1 left; 2 cached"), "{text}");
    let text = world.convoke(["agent-audit", "--explain"]).asking(&standin).run().await.exits(0).stdout;
    assert!(text.contains("\nWhy\n") && text.contains("has done it, and what it read is"), "{text}");
}

#[tokio::test]
async fn what_another_run_did_beside_is_said_and_what_stands_of_a_run_that_goes_on_too() {
    let standin = standin(Config { latency: Latency::of(120, 0.5), ..Config::default() }).await;
    let world = World::with_agents(12);
    let run = || world.audit(["--explain", "--instances", "2", "--no-cache"]).asking(&standin).run();
    let (one, other) = tokio::join!(run(), run());
    for report in [one.report(), other.report()] {
        let beside = of(&report).iter().find_map(|kind| kind.strip_prefix("beside: ").map(str::to_owned));
        let counted = beside.map_or(0, |count| count.parse().expect("a count"));
        assert!(counted > 0 && counted == report.count("cached"), "{:?} {}", of(&report), report.census());
    }

    let other = World::with_agents(12);
    let running = other.audit(["--instances", "2", "--no-cache"]).asking(&standin).start().await;
    let before = standin.stats().answered;
    until("three answers", || standin.stats().answered >= before + 3).await;
    running.interrupt();
    let first = running.end().await.exits(130).report();
    let whole = other.convoke(["resume", "last", "--explain"]).asking(&standin).run().await.exits(0).report();
    assert_eq!(whole.json["explain"]["kept"], first.json["census"]["done"], "{:?}", of(&whole));
    assert_eq!(of(&whole).len(), 2, "{:?}", of(&whole));
}
