//! What earlier runs say: all of them together, two side by side, and what the next one will take.

use convoke_standin::{Config, Fault, Latency, When};
use serde_json::{Value, json};

use crate::support::{World, agent, agent_path, faulty, quick, standin};

async fn json(world: &World, arguments: &[&str]) -> Value {
    world.convoke(arguments.iter().copied().chain(["--format", "json"])).run().await.exits(0).json()
}

async fn json_schema(world: &World, what: &str) -> Value {
    world.convoke(["schema", what]).run().await.exits(0).json()
}

#[tokio::test]
async fn what_was_run_is_added_up_as_the_list_of_runs_has_it() {
    let (world, standin) = (World::with_agents(4), faulty([(When::contains("agent-2"), Fault::Refusal)]).await);
    let none = world.convoke(["stats"]).run().await.exits(0).stdout;
    assert!(none.starts_with("No such runs of "), "{none}");
    assert!(!world.path("data/journal.db").exists(), "who only looks makes no journal");
    world.audit(["--no-cache"]).asking(&standin).run().await.exits(3);
    world.audit(["--no-cache", "--fresh"]).asking(&standin).run().await.exits(3);
    world.audit([]).run().await.exits(0);
    let runs = json(&world, &["runs"]).await;
    let sum = |member: &str| -> f64 {
        runs["runs"].as_array().into_iter().flatten().filter_map(|run| run["usage"][member].as_f64()).sum()
    };
    let stats = json(&world, &["stats"]).await;
    let audit = &stats["commands"][0];
    assert_eq!((&audit["command"], &audit["runs"]), (&json!("agent-audit"), &json!(3)));
    assert_eq!((&audit["statuses"]["completed"], &audit["statuses"]["degraded"]), (&json!(1), &json!(2)));
    assert_eq!((&audit["items"]["items"], &audit["wall_ms"]["runs"]), (&json!(12), &json!(3)));
    assert!((audit["usage"]["usd"].as_f64().unwrap() - sum("usd")).abs() < 1e-12, "{stats:#}");
    assert_eq!(audit["usage"]["requests"].as_f64(), Some(sum("requests")));
    assert!(audit["speedup"]["median"].as_f64().is_some_and(|speedup| speedup > 0.0), "{audit:#}");
    let schema = json_schema(&world, "stats").await;
    assert!(jsonschema::is_valid(&schema, &stats), "{stats:#}");
    let table = world.convoke(["stats", "agent-audit", "--since", "1h"]).run().await.exits(0).stdout;
    for part in ["3 runs of ", "\nCommand ", "33 %", "claude-haiku", "\nNot completed\n  agent-audit  2 degraded"] {
        assert!(table.contains(part), "{part:?}\n{table}");
    }
    let other = json(&world, &["stats", "deps"]).await;
    assert_eq!(other["commands"], json!([]));
    let elsewhere = world.convoke(["stats", "--format", "json"]).within(world.path("home")).run().await.exits(0).json();
    assert_eq!(elsewhere["commands"], json!([]), "another project has runs of its own");
    let all =
        world.convoke(["stats", "--all", "--format", "json"]).within(world.path("home")).run().await.exits(0).json();
    assert_eq!(all["commands"][0]["runs"], 3);
    world.convoke(["stats", "--since", "soon"]).run().await.exits(2);
}

#[tokio::test]
async fn two_runs_are_compared_by_what_became_of_their_items_and_findings() {
    let (world, standin) = (World::with_agents(3), faulty([(When::contains("agent-2"), Fault::Refusal)]).await);
    world.audit([]).asking(&standin).run().await.exits(3);
    let quick = quick().await;
    world.write(&agent_path(1), agent(1).replace("name: agent-1", "name: Agent One"));
    world.write(&agent_path(9), agent(9));
    world.audit([]).asking(&quick).run().await;
    let list = json(&world, &["runs"]).await;
    let [b, a] = [0, 1].map(|at| list["runs"][at]["id"].as_str().expect("an id").to_owned());
    let compared = json(&world, &["runs", "compare", &a[30..], "last"]).await;
    assert_eq!((&compared["a"]["id"], &compared["b"]["id"]), (&json!(a), &json!(b)));
    let changed = compared["items"]["changed"].as_array().expect("items");
    let mended = changed.iter().find(|item| item["id"] == json!(agent_path(2))).expect("the one that fell back");
    assert_eq!((&mended["a"], &mended["b"]), (&json!("fallback"), &json!("done")));
    assert_eq!(compared["items"]["only_b"], json!([agent_path(9)]));
    let new = compared["findings"]["new"].as_array().expect("findings");
    assert!(new.iter().any(|found| found["path"] == json!(agent_path(1))), "{compared:#}");
    assert_eq!(compared["findings"]["from"], json!({ "a": "report", "b": "report" }));
    let page = world.convoke(["runs", "compare", &a, &b]).run().await.exits(0).stdout;
    for part in ["\nStatus ", "\nEnded otherwise (", "fallback -> done", "\nOnly in B (1)\n", "\nNew findings ("] {
        assert!(page.contains(part), "{part:?}\n{page}");
    }
    let same = json(&world, &["runs", "compare", &a, &a]).await;
    assert_eq!((&same["findings"]["new"], &same["items"]["changed"]), (&json!([]), &json!([])));
    world.convoke(["runs", "compare", &a, "ffffffffffff"]).run().await.exits(2).says("knows no run");
    world.convoke(["runs", "compare", &a]).run().await.exits(2);
}

#[tokio::test]
async fn a_plan_says_what_the_same_took_before_and_nothing_before_there_is_a_history() {
    let (world, standin) = (World::with_agents(6), quick().await);
    let plan = async || {
        let plan = ["agent-audit", "--dry-run", "--fresh"];
        let text = world.convoke(plan).asking(&standin).run().await.exits(0).stdout;
        let json =
            world.convoke(plan.into_iter().chain(["--format", "json"])).asking(&standin).run().await.exits(0).json();
        (text, json["forecast"].clone())
    };
    for _ in 0..3 {
        world.audit(["--fresh", "--no-cache"]).asking(&standin).run().await.exits(0);
    }
    let (text, forecast) = plan().await;
    assert!(forecast.is_null() && !text.contains("By its last"), "{text}");
    world.audit(["--fresh", "--no-cache"]).asking(&standin).run().await.exits(0);
    let spent = json(&world, &["runs"]).await["runs"][0]["usage"].clone();
    let (text, forecast) = plan().await;
    assert!(text.contains("\nBy its last 4 runs: ") && text.contains(" questions"), "{text}");
    assert_eq!((&forecast["runs"], &forecast["same_project"]), (&json!(4), &json!(true)));
    assert_eq!(forecast["questions"]["expected"], json!(6.0));
    let off = (forecast["usd"]["expected"].as_f64().unwrap() / spent["usd"].as_f64().unwrap() - 1.0).abs();
    assert!(off < 0.05, "{forecast:#} {spent:#}");
    let offline = world.convoke(["agent-audit", "--dry-run", "--fresh"]).run().await.exits(0).stdout;
    assert!(!offline.contains("By its last"), "what asked a model says nothing of what asks none: {offline}");
}

#[tokio::test]
async fn a_run_that_takes_far_longer_than_the_last_ones_like_it_says_so() {
    let (world, quick) = (World::with_agents(3), quick().await);
    for _ in 0..5 {
        let report = world.audit(["--fresh", "--no-cache"]).asking(&quick).run().await.report();
        assert!(!report.warnings().contains("times as long"), "{}", report.warnings());
    }
    let slow = standin(Config { latency: Latency::of(12_000, 0.0), ..Config::default() }).await;
    let done = world.audit(["--fresh", "--no-cache"]).asking(&slow).run().await.exits(0);
    let json = done.json();
    assert_eq!(json["anomalies"][0]["what"], "wall_ms", "{json:#}");
    assert_eq!(json["anomalies"][0]["runs"], 5);
    assert!(json["anomalies"][0]["times"].as_f64().is_some_and(|times| times > 2.0));
    done.says("times as long as the last 5 runs like it (median ");
}
