//! The report of a run again, in any form, and its page: of runs that have ended, that were killed, and that are gone.

use std::fs;
use std::path::Path;

use convoke_standin::{Config, Latency};
use serde_json::Value;

use crate::support::{World, standin};

/// The JSON in a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("a page has data");
    serde_json::from_str(rest.split_once("</script>").expect("an end").0).expect("JSON")
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[tokio::test]
async fn a_report_is_shown_again_in_each_form_as_the_run_showed_it() {
    let world = World::with_example();
    for form in ["human", "json", "markdown", "sarif"] {
        let first =
            world.convoke(["agent-audit", "--fresh", "--backend", "offline", "--format", form]).run().await.exits(0);
        let again = world.convoke(["report", "last", "--format", form]).run().await.exits(0);
        assert_eq!(again.stdout, first.stdout, "{form}");
    }
}

#[tokio::test]
async fn the_page_has_the_run_and_its_report_and_is_the_same_afterwards() {
    let world = World::with_example();
    let file = world.path("out/page.html");
    let option = format!("--timings={}", file.display());
    let arguments = ["--fresh", "--backend", "offline", &option];
    let done = world.audit(arguments).run().await.exits(0).says(&format!("timings: {}", file.display()));
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    let page = read(&file);
    let data = data(&page);
    assert_eq!(data["report"], report);
    assert_eq!(
        (&data["timeline"]["run"]["run"], &data["timeline"]["census"]),
        (&report["run"]["id"], &report["census"])
    );
    assert_eq!(data["timeline"]["ended"]["status"], report["status"]);
    assert_eq!(data["missing"], serde_json::json!([]));
    let again = world.convoke(["report", "last", "--format", "html"]).run().await.exits(0);
    assert_eq!(again.stdout, page);
    let own = world.convoke(["agent-audit", "--backend", "offline", "--format", "html"]).run().await.exits(0);
    assert!(own.stdout.starts_with("<!doctype html>"), "{}", &own.stdout[..80]);
}

#[tokio::test]
async fn without_a_name_the_page_is_in_the_cache_folder_and_not_in_the_project() {
    let world = World::with_example();
    let before = fs::read_dir(world.project()).expect("a folder").count();
    let done = world.audit(["--backend", "offline", "--timings"]).run().await.exits(0);
    let said = done.stderr.lines().find_map(|line| line.strip_prefix("timings: ")).expect("it is said");
    assert!(Path::new(said).starts_with(world.path("cache")), "{said}");
    assert!(read(Path::new(said)).contains("Content-Security-Policy"));
    assert_eq!(fs::read_dir(world.project()).expect("a folder").count(), before);
    let quiet = world.audit(["--backend", "offline", "--timings", "-q"]).run().await.exits(0);
    assert!(!quiet.stderr.contains("timings:"), "{}", quiet.stderr);
}

#[tokio::test]
async fn each_of_several_runs_has_a_page_of_its_own() {
    let world = World::with_example();
    let option = format!("--timings={}", world.path("page.html").display());
    let typed = ["run", "agent-audit", "docs check", "--backend", "offline", &option];
    let done = world.convoke(typed).run().await;
    for name in ["agent-audit", "docs"] {
        let page = read(&world.path(&format!("page-{name}.html")));
        assert_eq!(data(&page)["timeline"]["run"]["command"], name, "{}", done.stderr);
    }
    let html = world.convoke(["run", "agent-audit", "docs check", "--format", "html"]).run().await.exits(2);
    assert!(html.stderr.contains("--timings writes a page for each of them"), "{}", html.stderr);
}

#[tokio::test]
async fn a_page_that_can_not_be_written_is_no_success_and_takes_nothing_from_the_report() {
    let world = World::with_example();
    world.write("file", "no folder");
    let done = world.audit(["--backend", "offline", "--timings=file/page.html"]).run().await.exits(2);
    let report: Value = serde_json::from_str(&done.stdout).expect("a report");
    assert_eq!((&report["status"], &report["exit_code"]), (&Value::from("completed"), &Value::from(0)));
    let plan = world.convoke(["agent-audit", "--dry-run", "--format", "html"]).run().await.exits(2);
    assert!(plan.stderr.contains("a plan has no page"), "{}", plan.stderr);
}

#[tokio::test]
async fn a_run_that_was_killed_has_a_page_that_says_so_and_no_report() {
    let slow = standin(Config { latency: Latency::of(120_000, 0.0), ..Config::default() }).await;
    let world = World::with_agents(6);
    let running = world.audit(["--no-cache"]).asking(&slow).start().await;
    // What a run tells is written while it goes on.
    let page = loop {
        let page = world.convoke(["report", "last", "--format", "html"]).run().await;
        if page.code == Some(0)
            && data(&page.stdout)["timeline"]["workers"].as_array().is_some_and(|all| !all.is_empty())
        {
            break page;
        }
        assert!(
            page.code == Some(0) || page.stderr.contains("nothing") || page.stderr.contains("no runs"),
            "{}",
            page.stderr
        );
    };
    running.kill();
    running.end().await;
    for page in [page, world.convoke(["report", "last", "--format", "html"]).run().await.exits(0)] {
        let data = data(&page.stdout);
        assert_eq!(data["report"], Value::Null);
        assert!(
            data["missing"][0].as_str().is_some_and(|text| text.contains("has not ended, or was killed")),
            "{}",
            data["missing"]
        );
        assert_eq!(data["timeline"]["ended"], Value::Null);
    }
    let report = world.convoke(["report", "last"]).run().await.exits(2);
    assert!(
        report.stderr.contains("there is no report of run") && report.stderr.contains("convoke runs show"),
        "{}",
        report.stderr
    );
}

#[tokio::test]
async fn a_run_that_is_not_known_has_no_report() {
    let world = World::with_example();
    world.convoke(["report", "last"]).run().await.exits(2).says("no runs yet");
    world.audit(["--backend", "offline"]).run().await.exits(0);
    world.convoke(["report", "0123456789ab"]).run().await.exits(2);
}
