//! Two hosts at work on one project: neither does what the other does.

use convoke_standin::{Config, Latency};

use crate::support::{Report, World, hostile, standin, until};

fn all_done(report: &Report, items: u64) {
    assert_eq!(report.status(), "completed", "{}", report.warnings());
    assert_eq!((report.count("items"), report.count("done") + report.count("cached")), (items, items));
}

#[tokio::test]
async fn two_runs_at_once_ask_each_question_once() {
    let standin = standin(Config { latency: Latency::of(150, 0.5), ..Config::default() }).await;
    let world = World::with_agents(24);
    let run = || world.audit(["--instances", "3", "--no-cache"]).asking(&standin).run();
    let (one, other) = tokio::join!(run(), run());
    let (one, other) = (one.exits(0).report(), other.exits(0).report());
    all_done(&one, 24);
    all_done(&other, 24);
    assert_eq!(standin.stats().requests, 24, "{} and {}", one.census(), other.census());
    assert_eq!(one.count("done") + other.count("done"), 24, "{} and {}", one.census(), other.census());
}

#[tokio::test]
async fn when_one_is_killed_the_other_does_all_that_is_left() {
    let standin = standin(Config { latency: Latency::of(150, 0.5), ..Config::default() }).await;
    let world = World::with_agents(24);
    let call = || world.audit(["--instances", "3", "--no-cache"]).asking(&standin);
    let (killed, other) = tokio::join!(call().start(), call().start());
    until("six answers", || standin.stats().answered >= 6).await;
    killed.kill();
    assert_eq!(killed.end().await.code, None);
    all_done(&other.end().await.exits(0).report(), 24);
    let requests = standin.stats().requests;
    assert!(requests <= 24 + 3, "{requests} questions for 24 items, 3 in flight at the kill");
}

#[tokio::test]
async fn one_that_is_asked_to_do_all_again_uses_nothing_of_the_other() {
    let standin = standin(Config { latency: Latency::of(60, 0.5), ..Config::default() }).await;
    let world = World::with_agents(8);
    let run = |fresh: &'static [&str]| {
        world.audit(["--instances", "2", "--no-cache"].into_iter().chain(fresh.iter().copied())).asking(&standin).run()
    };
    let (one, other) = tokio::join!(run(&[]), run(&["--fresh"]));
    all_done(&one.exits(0).report(), 8);
    assert_eq!(other.exits(0).report().census(), "done 8");
}

#[tokio::test]
async fn claims_that_can_not_be_used_are_said_once_and_the_run_goes_on() {
    let world = World::with_agents(3);
    std::fs::write(world.path("data/claims"), "in the way").expect("a written file");
    let report = world.audit([]).run().await.exits(0).report();
    assert_eq!(report.census(), "done 3");
    assert_eq!(report.warnings().matches("may do the same items").count(), 1, "{}", report.warnings());
}

#[tokio::test]
async fn two_commands_of_one_call_that_are_the_same_do_each_item_once() {
    let world = World::new();
    let call = world.convoke([
        "run",
        "--format",
        "json",
        &format!("{} fine fine", hostile()),
        &format!("{} fine fine", hostile()),
    ]);
    let done = call.run().await.exits(0);
    let runs = done.json();
    let census = |run: usize, name: &str| runs["runs"][run]["census"][name].as_u64().expect("a count");
    assert_eq!(census(0, "done") + census(1, "done"), 2, "{runs:#}");
    assert_eq!(census(0, "cached") + census(1, "cached"), 2);
}
