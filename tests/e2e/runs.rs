//! `convoke runs`: what was run and what came of it is told as it is, exported whole, and goes only as it was said.

use convoke_standin::{Config, Fault, Latency, When};
use serde_json::Value;

use crate::support::{World, faulty, quick, standin, until};

/// The list, for programs.
async fn listed(world: &World) -> Vec<Value> {
    let done = world.convoke(["runs", "--format", "json"]).run().await.exits(0);
    done.json()["runs"].as_array().expect("runs").clone()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn runs_are_listed_newest_first_with_what_came_of_them_and_what_they_cost() {
    let world = World::with_agents(3);
    let none = world.convoke(["runs"]).run().await.exits(0);
    assert!(none.stdout.starts_with("Nothing was run in "), "{}", none.stdout);
    assert!(!world.path("data/journal.db").exists(), "who only looks makes no journal");
    let standin = faulty([(When::contains("agent-2"), Fault::Refusal)]).await;
    world.audit([]).asking(&standin).run().await.exits(3);
    world.audit([]).run().await.exits(0);
    let runs = listed(&world).await;
    assert_eq!(runs.iter().map(|run| text(run, "status")).collect::<Vec<_>>(), ["completed", "degraded"]);
    assert_eq!((&runs[1]["census"]["fallback"], &runs[1]["usage"]["requests"]), (&1.into(), &3.into()));
    assert!(runs[1]["usage"]["usd"].as_f64().is_some_and(|usd| usd > 0.0));
    let table = world.convoke(["runs", "-n", "1"]).run().await.exits(0).stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("agent-audit") && table.contains("completed") && table.contains("3 items: "), "{table}");
    // Another project has runs of its own.
    std::fs::create_dir(world.path("elsewhere")).expect("a folder");
    let elsewhere = world.convoke(["runs"]).within(world.path("elsewhere")).run().await.exits(0).stdout;
    assert!(elsewhere.starts_with("Nothing was run in "), "{elsewhere}");
    let all = world.convoke(["runs", "--all"]).within(world.path("elsewhere")).run().await.exits(0).stdout;
    assert_eq!(all.lines().count(), 3, "{all}");
}

#[tokio::test]
async fn a_run_is_running_while_it_runs_and_interrupted_when_it_was_killed() {
    let standin = standin(Config { latency: Latency::of(150, 0.0), ..Config::default() }).await;
    let world = World::with_agents(12);
    let running = world.audit(["--instances", "2"]).asking(&standin).start().await;
    until("four answers", || standin.stats().answered >= 4).await;
    assert_eq!(text(&listed(&world).await[0], "status"), "running");
    let id = text(&listed(&world).await[0], "id").to_owned();
    world.convoke(["runs", "delete", &id]).run().await.exits(2).says("is under way");
    running.kill();
    running.end().await;
    let run = &listed(&world).await[0];
    assert_eq!((text(run, "status"), &run["ended"]), ("interrupted", &Value::Null));
    let count = |name: &str| run["census"][name].as_u64().expect("a count");
    assert!(count("done") >= 2 && count("pending") >= 2, "{run}");
    assert_eq!((count("items"), count("done") + count("pending")), (12, 12), "as its items are written");
}

#[tokio::test]
async fn a_run_is_shown_with_what_failed_and_what_each_tier_took() {
    let world = World::with_agents(3);
    let standin = faulty([(When::contains("agent-2"), Fault::Refusal)]).await;
    world.audit(["--tier", "speed"]).asking(&standin).run().await.exits(3);
    let page = world.convoke(["runs", "show", "last"]).run().await.exits(0).stdout;
    for part in
        ["Status   degraded", "3 items: 2 done, 1 fallback", "\nFell back\n", "Questions (", "speed", "2 model, 1 "]
    {
        assert!(page.contains(part), "{part:?}: {page}");
    }
    let id = text(&listed(&world).await[0], "id").to_owned();
    for name in [&id, &id[24..], &id[id.len() - 4..]] {
        let shown = world.convoke(["runs", "show", name, "--format", "json"]).run().await.exits(0).json();
        assert_eq!(text(&shown["run"], "id"), id);
        assert_eq!(
            (shown["items"].as_array().map(Vec::len), shown["questions"].as_array().map(Vec::len)),
            (Some(3), Some(3))
        );
        assert!(shown["items"][0]["reads"][0]["sha256"].is_string(), "{}", shown["items"][0]);
    }
    world.convoke(["runs", "show", "ffffffffffff"]).run().await.exits(2).says("knows no run").says("convoke runs");
    world.convoke(["runs", "show", "xyz"]).run().await.exits(2).says("knows no run");
    world.convoke(["runs", "show", "last", "--project", "/"]).run().await.exits(2).says("no last run");
}

#[tokio::test]
async fn an_export_is_whole_fits_its_schema_and_ends_with_its_count() {
    let (world, standin) = (World::with_agents(70), quick().await);
    for _ in 0..2 {
        world.audit([]).asking(&standin).run().await.exits(0);
    }
    let schema = world.convoke(["schema", "export"]).run().await.exits(0).json();
    let known: Vec<String> = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["properties"]["kind"]["const"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(known, ["run", "item", "question", "action", "decision", "end"], "{schema:#}");
    let export = world.convoke(["runs", "export", "--all"]).run().await.exits(0).stdout;
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of("run"), of("item"), of("question")), (2, 140, 70));
    assert!(lines.iter().all(|line| line["schema_version"] == 1 && known.iter().any(|kind| line["kind"] == **kind)));
    let end = lines.last().expect("a last line");
    assert_eq!((text(end, "kind"), &end["runs"], &end["lines"]), ("end", &2.into(), &(lines.len() - 1).into()));
    assert!(!export.contains(crate::support::KEY));
    let one = world.convoke(["runs", "export", "last"]).run().await.exits(0).stdout;
    assert!(one.lines().next().is_some_and(|line| line.contains("\"status\":\"completed\"")), "{one}");
    world.convoke(["runs", "export"]).run().await.exits(2);
}

#[tokio::test]
async fn a_removed_run_is_gone_its_items_are_done_again_and_its_cost_stays() {
    let (world, standin) = (World::with_agents(3), quick().await);
    let budget = ["--budget-usd", "5", "--no-cache"];
    world.audit(budget).asking(&standin).run().await.exits(0);
    let dry = world.convoke(["runs", "prune", "--keep", "0", "--dry-run"]).run().await.exits(0).stdout;
    assert!(dry.contains("1 run would go"), "{dry}");
    assert_eq!(listed(&world).await.len(), 1);
    let gone = world.convoke(["runs", "delete", "last"]).run().await.exits(0).stdout;
    assert!(gone.contains("3 items will be done again"), "{gone}");
    assert_eq!(listed(&world).await.len(), 0);
    assert_eq!(world.audit(budget).asking(&standin).run().await.report().census(), "done 3");
    assert_eq!(standin.stats().requests, 6);
    world.audit([]).run().await.exits(0);
    let kept = world.convoke(["runs", "prune"]).run().await.exits(0).stdout;
    assert!(kept.starts_with("Removed 0 runs"), "{kept}");
    world.convoke(["runs", "prune", "--keep", "1"]).run().await.exits(0);
    assert_eq!(listed(&world).await.len(), 1);
    world.convoke(["runs", "prune", "--older-than", "soon"]).run().await.exits(2);
}
