//! A part of a run fails: what is tried again, how, and what the report says of it.

use std::collections::BTreeMap;

use convoke_runtime::journal::{AttemptRow, Became, Journal};
use convoke_standin::{Config, Fault, FaultRule, Latency, RetryAfter, Standin, When};

use crate::support::{Report, World, faulty, flood, hostile, standin};

/// Audits, each question to one model.
async fn audited(world: &World, standin: &Standin) -> Report {
    world.audit(["--tier", "speed"]).asking(standin).run().await.report()
}

/// At the next so many requests for that agent.
fn of_agent(number: usize, times: u32) -> When {
    When { times: Some(times), ..When::contains(format!("agent-{number}")) }
}

#[tokio::test]
async fn an_item_that_failed_in_passing_is_done_again_when_the_others_are_done() {
    let (world, standin) = (World::with_agents(4), faulty([(of_agent(2, 4), Fault::Server)]).await);
    let report = audited(&world, &standin).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 4"), "{}", report.done.stderr);
    assert_eq!(standin.stats().requests, 8, "three others, four times this one, and once more");
    let requests = standin.requests();
    assert!(requests[7].body.to_string().contains("agent-2"), "it came last");
    let levels: Vec<&str> = report.list("levels").iter().filter_map(|level| level["to"].as_str()).collect();
    assert_eq!(levels, ["partial", "full"], "{:#}", report.json["levels"]);
    let done = report.done.says("1 of 4 items failed in a way that passes, and are done again, one by one");
    assert!(!done.stderr.contains("quarantined"), "{}", done.stderr);
}

/// The attempts that came to nothing, as the journal has them.
async fn tried(world: &World, report: &Report) -> Vec<AttemptRow> {
    let journal = Journal::open(&world.path("data/journal.db")).expect("a journal");
    let run = report.json["run"]["id"].as_str().expect("an id").parse().expect("a run's id");
    journal.run(&run).await.expect("a run").items.into_iter().flat_map(|item| item.tried).collect()
}

#[tokio::test]
async fn what_was_tried_is_in_the_journal_and_in_the_report_also_of_what_went_well_in_the_end() {
    let (world, standin) = (World::with_agents(4), faulty([(of_agent(2, 4), Fault::Server)]).await);
    let report = audited(&world, &standin).await;
    let [again] = report.list("attempts") else { panic!("one item was tried again: {:#}", report.json["attempts"]) };
    assert!(again["item"].as_str().expect("an id").contains("agent-2"), "{again}");
    assert_eq!((&again["outcome"], &again["attempts"]), (&"done".into(), &2.into()));
    assert_eq!((&again["tried"][0]["number"], &again["tried"][0]["became"]), (&1.into(), &"aside".into()));
    let rows = tried(&world, &report).await;
    assert_eq!(rows.iter().map(|row| (row.number, row.became)).collect::<Vec<_>>(), [(1, Became::Aside)]);
    assert!(rows[0].reason.contains("500") && again["tried"][0]["reason"] == rows[0].reason, "{rows:?}");
}

#[tokio::test]
async fn a_failure_names_each_attempt_with_its_worker_and_what_its_questions_came_to() {
    let world = World::new();
    let report = world.hostile(["fine", "panic"]).await;
    let failure = &report.list("failures")[0];
    let attempts = failure["tried"].as_array().expect("a list");
    let became: Vec<&str> = attempts.iter().filter_map(|attempt| attempt["became"].as_str()).collect();
    assert_eq!(became, ["died", "failed"], "{failure:#}");
    assert_ne!(attempts[0]["worker"], attempts[1]["worker"]);
    let rows = tried(&world, &report).await;
    assert_eq!(rows.iter().map(|row| (row.number, row.became)).collect::<Vec<_>>(), [(1, Became::Died)]);
    assert!(rows[0].log.contains("panicked at"), "{rows:?}");

    let done = World::new().convoke([hostile(), "panic", "--format", "human"]).run().await.exits(4);
    assert!(done.stdout.contains("attempt 1 on worker 0, ") && done.stdout.contains("its worker died: "), "{done:?}");
    assert!(done.stdout.contains("the whole is in `convoke runs show "), "{done:?}");
    let (world, standin) = (World::new(), faulty([(When::default(), Fault::Server)]).await);
    let asked = world.convoke([hostile(), "ask-alone:?", "--format", "human"]).asking(&standin).run().await.exits(4);
    let text = asked.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("1 question, sent 4 times") && text.contains("4 server"), "{text}");
}

#[tokio::test]
async fn what_fails_again_in_the_same_words_is_not_tried_a_third_time() {
    let (world, standin) = (World::with_agents(4), faulty([(When::contains("agent-2"), Fault::Server)]).await);
    let report = audited(&world, &standin).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 3, fallback 1"));
    assert_eq!(standin.stats().requests, 8);
    assert!(
        report.warnings().contains("tried 2 times, the last two failed in the same words"),
        "{}",
        report.warnings()
    );
    // It was not done: the next run tries it again.
    standin.set_faults(Vec::new());
    assert_eq!(audited(&world, &standin).await.census(), "done 1, cached 3");
}

#[tokio::test]
async fn where_a_third_has_failed_all_the_rest_is_done_one_by_one() {
    let (world, standin) = (World::with_agents(3), faulty([(of_agent(2, 4), Fault::Server)]).await);
    let report = audited(&world, &standin).await;
    assert_eq!(report.census(), "done 3");
    let levels: Vec<&str> = report.list("levels").iter().filter_map(|level| level["to"].as_str()).collect();
    assert_eq!(levels, ["partial", "sequential"], "{:#}", report.json["levels"]);
    report.done.says("1 of 3 items failed in a way that passes; all the rest is done one by one");
}

#[tokio::test]
async fn what_fails_by_itself_is_final() {
    let (world, standin) = (World::with_agents(4), faulty([(When::contains("agent-2"), Fault::Refusal)]).await);
    assert_eq!(audited(&world, &standin).await.census(), "done 3, fallback 1");
    assert_eq!(standin.stats().requests, 4);
}

#[tokio::test]
async fn when_most_workers_died_the_rest_is_done_one_by_one_and_who_waits_for_others_still_gets_them() {
    let behaviours = ["panic", "panic", "panic", "add:3", "add:2", "fine", "fine", "fine"];
    let arguments = [hostile(), "--format", "json", "--instances", "3"].into_iter().chain(behaviours);
    let report = World::new().convoke(arguments).run().await.report();
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "done 10, failed 3"));
    assert!(report.done.stderr.contains("workers died; all the rest is done one by one"), "{}", report.done.stderr);
    assert!(report.warnings().contains("3 of 13 items failed or fell back"), "{}", report.warnings());
}

/// How often each item of `flood` was asked.
fn asked(standin: &Standin) -> BTreeMap<u64, u32> {
    let mut asked = BTreeMap::new();
    for request in standin.requests() {
        let text = request.body["messages"].to_string();
        let (_, rest) = text.split_once("Review agent ").expect("a question of flood");
        let number = rest.split('.').next().and_then(|number| number.parse().ok()).expect("a number");
        *asked.entry(number).or_default() += 1;
    }
    asked
}

#[tokio::test]
async fn a_quota_that_ends_at_question_50_of_400_stops_what_is_not_in_flight_and_the_same_again_sends_the_rest() {
    const INSTANCES: u64 = 8;
    for until in [RetryAfter::Seconds(7_200), RetryAfter::Date(7_200)] {
        let from_50_on = When { nth: Some(50..=u64::MAX), ..When::default() };
        let fault = Fault::RateLimited { retry_after: until };
        let faults = vec![FaultRule { when: from_50_on, fault }];
        let standin = standin(Config { faults, latency: Latency::of(20, 0.5), ..Config::default() }).await;
        let world = World::new();
        let run = async || {
            let arguments = [flood(), "--items", "400", "--groups", "8", "--format", "json"];
            world.convoke(arguments).asking(&standin).run().await.report()
        };
        let parked = run().await;
        assert_eq!((parked.status(), parked.done.code), ("parked", Some(5)));
        let sent = standin.stats().requests;
        assert!((50..50 + INSTANCES).contains(&sent), "{sent}: those in flight at the 50th, and no other");
        let done = parked.count("done");
        assert!((50 - INSTANCES..50).contains(&done), "{}", parked.census());
        assert_eq!(parked.count("pending"), 400 - done);
        assert!(parked.warnings().contains("it is reset at 20"), "{}", parked.warnings());
        assert!(parked.warnings().contains("(in 2 h 0 min)"), "{}", parked.warnings());

        standin.set_faults(Vec::new());
        let rest = run().await;
        assert_eq!((rest.status(), rest.count("cached"), rest.count("done")), ("completed", done, 400 - done));
        let again = standin.stats().requests - sent;
        assert!(again <= 400 - done, "{again} of {}", 400 - done);
        let asked = asked(&standin);
        assert_eq!(asked.len(), 400, "each was asked");
        let twice = asked.values().filter(|times| **times > 1).count() as u64;
        assert!(
            twice < 2 * INSTANCES,
            "{twice} were asked again: those that the limit met, and those given up with it"
        );
        assert!(asked.values().all(|times| *times <= 2));
    }
}
