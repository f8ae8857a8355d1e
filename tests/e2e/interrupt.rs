//! Ctrl-C: once lets what was paid for end, twice gives it up; the same again goes on.

use convoke_standin::{Config, Fault, Latency, When};

use crate::support::{World, faulty, standin, until};

#[tokio::test]
async fn the_first_lets_what_is_under_way_end() {
    let standin = standin(Config { latency: Latency::of(300, 0.0), ..Config::default() }).await;
    let world = World::with_agents(12);
    let running = world.audit(["--instances", "3"]).asking(&standin).start().await;
    until("a second round", || standin.stats().requests >= 5).await;
    running.interrupt();
    let report = running.end().await.exits(130).says("Stopping").report();
    assert_eq!(report.status(), "interrupted");
    let stats = standin.stats();
    assert_eq!((report.count("done"), stats.abandoned), (stats.answered, 0), "{} {stats:?}", report.census());
    assert!(report.count("pending") > 0);

    let rest = world.audit([]).asking(&standin).run().await.exits(0).report();
    assert_eq!((rest.count("cached"), rest.count("done")), (report.count("done"), report.count("pending")));
    assert_eq!(standin.stats().requests, 12);
}

#[tokio::test]
async fn the_second_gives_up_what_is_under_way() {
    let standin =
        faulty([(When { nth: Some(4..=u64::MAX), ..When::default() }, Fault::Silence { mid_stream: true })]).await;
    let world = World::with_agents(12);
    let running = world.audit(["--instances", "2"]).asking(&standin).start().await;
    until("silence", || standin.stats().answered >= 3 && standin.stats().in_flight >= 1).await;
    running.interrupt();
    running.has_said("Stopping").await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert_eq!((report.status(), report.count("done"), report.count("pending")), ("interrupted", 3, 9));
}

#[tokio::test]
async fn offline_it_is_heard_too() {
    let world = World::new().config("version = 1\n[limits]\nworker_timeout_s = 120\n");
    let component = crate::support::hostile();
    let running = world.convoke([component.as_str(), "sleep", "fine", "-v", "--format", "json"]).start().await;
    running.has_said("doing 1-sleep").await;
    running.interrupt();
    running.has_said("Stopping").await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert!(report.count("pending") >= 1, "{}", report.census());
}

#[tokio::test]
async fn a_loop_does_not_keep_the_signal_from_being_heard() {
    // Fuel for minutes.
    let world = World::new().config("version = 1\n[limits]\nplugin_fuel = 10_000_000_000_000\n");
    let component = crate::support::hostile();
    let arguments = [component.as_str(), "loop", "loop", "loop", "loop", "-v", "--format", "json"];
    let running = world.convoke(arguments).start().await;
    running.has_said("doing 1-loop").await;
    running.interrupt();
    running.has_said("Stopping").await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert_eq!(report.census(), "pending 4");
}
