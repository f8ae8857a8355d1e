//! Limits that hold for several processes at once: real ones, at one stand-in.

use std::time::Duration;

use convoke_standin::{Answers, Config, Latency, Quota, Quotas, Standin};
use serde_json::Value;

use crate::support::{Call, World, flood, holds, quick, standin, until};

/// A run of so many items, each of which asks one question of at most 1,000 tokens of answer.
fn flooding(world: &World, items: &str, standin: &Standin) -> Call {
    let arguments =
        ["--items", items, "--groups", "8", "--instances", "8", "--fresh", "--no-cache", "--format", "json"];
    world.convoke([flood()].into_iter().chain(arguments)).asking(standin)
}

/// Both at once, to their ends; all is done, and nothing was turned away.
async fn two_at_once(world: &World, items: &str, standin: &Standin) {
    let (one, other) = tokio::join!(flooding(world, items, standin).run(), flooding(world, items, standin).run());
    for run in [one, other] {
        let report = run.report();
        assert_eq!((report.status(), report.census()), ("completed", format!("done {items}")));
        assert!(!report.warnings().contains("not shared"), "{}", report.warnings());
    }
    let stats = standin.stats();
    assert!(stats.rejected.is_empty(), "{stats:?}");
}

/// From the first request to the end of the last one, in seconds.
fn time(standin: &Standin) -> f64 {
    let requests = standin.requests();
    let begin = requests.iter().map(|request| request.since_start).min().expect("a request");
    let end = requests.iter().map(|request| request.since_start + request.took).max().expect("a request");
    (end - begin).as_secs_f64()
}

async fn limits(world: &World) -> Value {
    world.convoke(["limits", "--format", "json"]).run().await.exits(0).json()
}

/// Asks until 95 % of what a quota gave was used, three times at most. A machine that is busy with other things may keep
/// the processes from it for a while; when they leave it each time, it is they.
async fn used_whole(once: impl AsyncFn() -> (f64, f64)) {
    let mut tries = Vec::new();
    while tries.len() < 3 {
        let (used, there) = once().await;
        if used >= 0.95 * there {
            return;
        }
        tries.push(format!("{used} of {there}"));
    }
    panic!("{tries:?}");
}

/// 360 requests a minute, 360 at once: two times 200 requests are the burst, and what comes back in some 7 seconds.
#[tokio::test]
async fn two_processes_use_one_quota_of_requests_whole_and_never_go_over() {
    used_whole(async || {
        let quotas = Quotas { requests: Some(Quota::per_minute(360)), ..Quotas::default() };
        let standin = standin(Config { quotas, latency: Latency::of(60, 0.5), ..Config::default() }).await;
        two_at_once(&World::new(), "200", &standin).await;
        assert!(time(&standin) > 5.0, "the quota was not what bound it");
        (400.0, 360.0 + 6.0 * time(&standin))
    })
    .await;
}

/// 120,000 output tokens a minute, as many at once; the answers have 200 to 600, which nobody knows before: about
/// 140,000 in all, and so some ten seconds.
#[tokio::test]
async fn two_processes_use_one_quota_of_output_whole_and_never_go_over() {
    used_whole(async || {
        let quotas =
            Quotas { output_tokens: Some(Quota::per_minute(120_000)), round_tokens_to: 1, ..Quotas::default() };
        let answers = Answers { prose_tokens: 200..=600, ..Answers::default() };
        let standin = standin(Config { quotas, answers, latency: Latency::of(100, 0.5), ..Config::default() }).await;
        two_at_once(&World::new(), "175", &standin).await;
        assert!(time(&standin) > 5.0, "the quota was not what bound it");
        (standin.stats().tokens.output as f64, 120_000.0 + 2_000.0 * time(&standin))
    })
    .await;
}

#[tokio::test]
async fn a_killed_process_holds_nothing_any_more() {
    let slow = standin(Config { latency: Latency::of(120_000, 0.0), ..Config::default() }).await;
    let world = World::new().config("[budget]\nusd_per_day = 5.0\n[quotas.few]\nrequests = 8\nper_s = 86_400\n");
    let killed = flooding(&world, "20", &slow).start().await;
    until("eight questions under way", || slow.stats().in_flight == 8).await;
    let before = limits(&world).await;
    assert_eq!((&before["processes"], &before["instances"]["in_use"]), (&1.into(), &8.into()), "{before:#}");
    let reserved = before["budgets"][0]["reserved_usd"].as_f64().expect("dollars");
    assert!(reserved > 0.0, "{before:#}");
    killed.kill();
    assert_eq!(killed.end().await.code, None);
    let after = limits(&world).await;
    assert_eq!((&after["processes"], &after["instances"]["in_use"]), (&0.into(), &0.into()), "{after:#}");
    let spent = after["budgets"][0]["spent_usd"].as_f64().expect("dollars");
    assert!((spent - reserved).abs() < 1e-9, "nobody knows what it cost: {after:#}");
    let few = |limits: &Value| {
        let buckets = limits["buckets"].as_array().expect("a list").clone();
        buckets.into_iter().find(|bucket| bucket["name"] == "quota few").expect("a bucket")
    };
    let (held, spent) = (few(&before), few(&after));
    assert_eq!(
        (&held["held"], &held["left"], &spent["held"], &spent["left"]),
        (&8.into(), &0.into(), &0.into(), &0.into())
    );

    // What reads has changed nothing; the next that runs finds it and clears up.
    let quick = quick().await;
    let world = world.config("[budget]\nusd_per_day = 5.0\n");
    flooding(&world, "20", &quick).run().await.report();
    let end = limits(&world).await;
    let spent_then = end["budgets"][0]["spent_usd"].as_f64().expect("dollars");
    assert!(spent_then > spent["spent_usd"].as_f64().unwrap_or_default() && end["processes"] == 0, "{end:#}");
    let files: Vec<_> = std::fs::read_dir(world.path("data/limits")).expect("a folder").collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

#[tokio::test]
async fn who_waits_for_what_another_holds_is_shown() {
    let slow = standin(Config { latency: Latency::of(120_000, 0.0), ..Config::default() }).await;
    let world = World::new().config("[quotas.few]\nrequests = 8\nper_s = 86_400\ncommand = \"flood\"\n");
    let holder = flooding(&world, "8", &slow).start().await;
    until("eight questions under way", || slow.stats().in_flight == 8).await;
    // With another number: the same items would be left to the holder.
    let waiter = flooding(&world, "9", &slow).start().await;
    let mut shown = limits(&world).await;
    for _ in 0..500 {
        if shown["waiting"].as_array().is_some_and(|waiting| !waiting.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        shown = limits(&world).await;
    }
    assert_eq!(
        (&shown["waiting"][0]["command"], &shown["waiting"][0]["for"]),
        (&"flood".into(), &"few: requests".into())
    );
    let text = world.convoke(["limits"]).run().await.exits(0).stdout;
    for part in ["Instances  8 of 100 in use", "quota few", "Waiting\n  flood (process ", "github_api", "50 in 10 min"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(slow.stats().in_flight, 8, "the other one sends nothing");
    for process in [holder, waiter] {
        process.kill();
        process.end().await;
    }
}

#[tokio::test]
async fn looking_makes_nothing_and_a_dry_run_neither() {
    let world = World::with_agents(1);
    world.convoke(["limits"]).run().await.exits(0);
    let shown = limits(&world).await;
    assert_eq!((&shown["instances"]["in_use"], &shown["budgets"][0]["spent_usd"]), (&0.into(), &Value::Null));
    assert!(shown["buckets"].as_array().is_some_and(|buckets| buckets.len() >= 4), "{shown:#}");
    assert_eq!(std::fs::read_dir(world.path("data")).expect("a folder").count(), 0);
    world.audit(["--dry-run"]).asking(&quick().await).run().await.exits(0);
    assert!(!world.path("data/limits").exists());
}

#[tokio::test]
async fn a_folder_that_can_not_be_used_is_said_and_the_run_goes_on() {
    let (world, standin) = (World::with_agents(3), quick().await);
    std::fs::write(world.path("data/limits"), "not a folder").expect("a written file");
    let report = world.audit([]).asking(&standin).run().await.report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 3"));
    assert!(report.warnings().contains("limits are not shared"), "{}", report.warnings());
    assert!(!holds(&world.kept(), crate::support::KEY));
}

#[tokio::test]
async fn a_newer_file_is_left_alone_and_limits_says_so() {
    let (world, standin) = (World::with_agents(1), quick().await);
    let newer = format!("{:<79}\n", "convoke-limits 9 0 0 0");
    std::fs::create_dir(world.path("data/limits")).expect("a folder");
    std::fs::write(world.path("data/limits/state"), &newer).expect("a written file");
    let report = world.audit([]).asking(&standin).run().await.report();
    assert!(report.warnings().contains("has version 9"), "{}", report.warnings());
    world.convoke(["limits"]).run().await.exits(2).says("update convoke").reports_nothing();
    assert_eq!(std::fs::read_to_string(world.path("data/limits/state")).expect("a file"), newer);
}

#[tokio::test]
async fn a_quota_of_the_users_slows_a_run_and_a_project_can_only_tighten() {
    let (world, standin) = (World::with_agents(12), quick().await);
    let world = world.config(
        "[quotas.slow]\nrequests = 8\nper_s = 2\nmodel = \"haiku\"\n[quotas.slower]\nrequests = 8\nper_s = 2\n",
    );
    world.write("convoke.toml", "[quotas.slow]\nrequests = 100\nper_s = 1\nmodel = \"haiku\"\n");
    let report = world.audit([]).asking(&standin).run().await.report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 12"));
    assert!(report.warnings().contains("[quotas.slow] is looser than your own"), "{}", report.warnings());
    let times: Vec<Duration> = standin.requests().iter().map(|request| request.since_start).collect();
    let span = *times.iter().max().expect("a request") - *times.iter().min().expect("a request");
    assert!(span >= Duration::from_millis(950), "four more come back in a second: {span:?}");
}
