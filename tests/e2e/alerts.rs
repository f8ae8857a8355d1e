//! Alerts: one trouble is one alert, on the terminal, in the report, and at a webhook or a program of the user's own.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use convoke_standin::{Config, FaultRule, Latency, When};
use serde_json::Value;

use crate::support::{World, flood, standin};

/// So that a short trouble counts, and nothing but errors does, whatever this machine has to do.
const QUICK: &str = "lasting_s = 0\nwindow_s = 3\ncpu = 1.0\nmemory = 1.0\nresponse_s = 3600\n";

/// Three requests fail, too few for the breaker, and then all goes well for some time.
async fn troubled() -> convoke_standin::Standin {
    let faults = vec![FaultRule { when: When::next(3), fault: "502".parse().expect("a fault") }];
    standin(Config { latency: Latency::of(100, 0.0), faults, ..Config::default() }).await
}

/// Long enough for a trouble and its end.
fn arguments() -> [&'static str; 9] {
    [flood(), "--items", "300", "--groups", "300", "--instances", "8", "--format", "json"]
}

/// What alerts are sent to, and what it got.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    let got: Arc<Mutex<Vec<Value>>> = Arc::default();
    let messages = got.clone();
    let router = axum::Router::new().route(
        "/very-secret",
        axum::routing::post(async move |body: String| {
            let message = serde_json::from_str(&body).expect("JSON");
            messages.lock().expect("nobody panicked").push(message);
        }),
    );
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/very-secret"), got)
}

#[tokio::test]
async fn a_trouble_reaches_a_webhook_once_raised_and_once_cleared() {
    let (url, got) = receiver().await;
    let world = World::new().config(&format!("[alerts]\n{QUICK}webhook = {url:?}\n"));
    let standin = troubled().await;
    let report = world.convoke(arguments()).asking(&standin).run().await.exits(0).report();
    let alerts = report.json["alerts"].as_array().expect("a list").clone();
    let errors: Vec<&Value> = alerts.iter().filter(|alert| alert["alert"] == "errors").collect();
    assert_eq!(errors.len(), 1, "{alerts:#?}");
    assert!(errors[0]["cleared_ms"].as_u64() > errors[0]["raised_ms"].as_u64(), "{alerts:#?}");
    let got = got.lock().expect("nobody panicked").clone();
    let states: Vec<&str> = got
        .iter()
        .filter(|message| message["alert"] == "errors")
        .filter_map(|message| message["state"].as_str())
        .collect();
    assert_eq!(states, ["raised", "cleared"], "{got:#?}");
    assert_eq!(got[0]["runs"][0]["command"], "flood");
    let said = &report.done.stderr;
    assert_eq!(
        (said.matches("alert errors: ").count(), said.matches("well again, errors: ").count()),
        (1, 1),
        "{said}"
    );
    assert!(!said.contains("very-secret"), "{said}");
    // What is written down of the run has it too, and nobody's address.
    assert!(!crate::support::holds(&fs::read(world.path("data/journal.db")).expect("a journal"), "very-secret"));
}

#[tokio::test]
async fn a_program_gets_it_as_json_and_its_failure_is_said() {
    let world = World::new();
    let script = world.path("home/page");
    let got = world.path("home/got");
    fs::write(&script, format!("#!/bin/sh\ncat >> {}\necho noise; echo noise >&2\n", got.display())).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a program");
    let config = format!("[alerts]\n{QUICK}program = [{:?}, \"an argument\"]\n", script.display().to_string());
    let world = world.config(&config);
    let standin = troubled().await;
    let done = world.convoke(arguments()).asking(&standin).run().await.exits(0);
    assert!(!done.stderr.contains("noise") && !done.stderr.contains("did not get to"), "{}", done.stderr);
    let lines = fs::read_to_string(&got).expect("it was told");
    let messages: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(messages.iter().any(|message| message["alert"] == "errors" && message["state"] == "raised"), "{lines}");
    fs::write(&script, "#!/bin/sh\nexit 3\n").expect("written");
    let standin = troubled().await;
    let done = world.convoke(arguments().into_iter().chain(["--fresh", "--no-cache"])).asking(&standin).run().await;
    done.exits(0).says("alerts did not get to the program").says("it ended with code 3");
}

#[tokio::test]
async fn a_project_can_send_nothing_anywhere() {
    let world = World::new();
    world.write("convoke.toml", "[alerts]\nwebhook = \"https://evil.example/\"\n");
    let done = world.convoke([flood(), "--items", "1", "--backend", "offline"]).run().await;
    done.exits(2).reports_nothing().says("a project can't choose where alerts are sent");
}
