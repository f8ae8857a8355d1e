//! What a crash costs: the work in flight, and no more.

use convoke_standin::{Config, Latency};
use rand::{RngExt as _, SeedableRng as _};

use crate::support::{World, standin, until};

#[tokio::test]
async fn after_a_kill_only_what_was_in_flight_is_asked_again() {
    let standin = standin(Config { latency: Latency::of(120, 0.5), ..Config::default() }).await;
    let world = World::with_agents(24);
    let running = world.audit(["--instances", "4"]).asking(&standin).start().await;
    until("eight answers", || standin.stats().answered >= 8).await;
    running.kill();
    assert_eq!(running.end().await.code, None);

    let report = world.audit(["--instances", "4"]).asking(&standin).run().await.exits(0).report();
    assert_eq!((report.status(), report.count("items")), ("completed", 24));
    assert!(report.count("cached") >= 4, "{}", report.census());
    assert_eq!(report.count("done") + report.count("cached"), 24);
    let requests = standin.stats().requests;
    assert!(requests <= 24 + 4, "{requests} questions for 24 items, 4 at once");
    assert_eq!(world.audit([]).asking(&standin).run().await.report().census(), "cached 24");
}

#[tokio::test]
async fn killed_again_and_again_it_still_comes_to_its_end() {
    let standin = standin(Config { latency: Latency::of(60, 0.5), ..Config::default() }).await;
    let world = World::with_agents(16);
    for goal in [3, 6, 9] {
        let running = world.audit(["--instances", "2"]).asking(&standin).start().await;
        until("some answers", || standin.stats().answered >= goal).await;
        running.kill();
        assert_eq!(running.end().await.code, None);
    }
    let report = world.audit(["--instances", "2"]).asking(&standin).run().await.report();
    assert_eq!((report.status(), report.count("done") + report.count("cached")), ("completed", 16));
    assert!(standin.stats().requests <= 16 + 3 * 2, "{:?}", standin.stats());
}

#[tokio::test]
async fn of_158_items_a_kill_at_any_moment_costs_what_was_in_flight() {
    let seed: u64 = rand::random();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    for _ in 0..3 {
        let standin = standin(Config { latency: Latency::of(25, 0.5), ..Config::default() }).await;
        let world = World::with_agents(158);
        let running = world.audit(["--instances", "8"]).asking(&standin).start().await;
        let moment = random.random_range(1..150);
        until("so many answers", || standin.stats().answered >= moment).await;
        running.kill();
        assert_eq!(running.end().await.code, None, "seed {seed}: it was over before");
        let report = world.audit(["--instances", "8"]).asking(&standin).run().await.exits(0).report();
        assert_eq!(report.count("done") + report.count("cached"), 158, "seed {seed}: {}", report.census());
        let requests = standin.stats().requests;
        assert!(requests <= 158 + 8, "seed {seed}, killed after {moment}: {requests} questions");
    }
}

#[tokio::test]
async fn two_runs_at_once_do_not_disturb_each_other() {
    let standin = standin(Config { latency: Latency::of(30, 0.5), ..Config::default() }).await;
    let world = World::with_agents(12);
    let (one, other) = tokio::join!(world.audit([]).asking(&standin).run(), world.audit([]).asking(&standin).run());
    for report in [one.report(), other.report()] {
        assert_eq!((report.status(), report.count("done") + report.count("cached")), ("completed", 12));
    }
    assert_eq!(world.audit([]).asking(&standin).run().await.report().census(), "cached 12");
}

#[tokio::test]
async fn a_journal_of_a_newer_convoke_is_left_alone() {
    let world = World::with_agents(1);
    assert_eq!(world.audit([]).run().await.report().census(), "done 1");
    let journal = world.path("data/journal.db");
    std::fs::write(&journal, b"this is no database, and somebody may want it back").expect("written");
    world.audit([]).run().await.exits(2).reports_nothing().says("journal.db");
    assert!(std::fs::read(&journal).expect("still there").starts_with(b"this is no database"));
}
