//! Numbers for Prometheus: the same as in the report, served while a command runs, and read by the real thing.
//!
//! What needs `promtool` or `prometheus` runs where `CONVOKE_PROMTOOL` and `CONVOKE_PROMETHEUS` name them, and says aloud
//! when it is skipped.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use convoke_standin::{Config, Fault, FaultRule, Latency, When};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::support::{Report, Running, World, flood, standin};

/// Where a program is; none: skipped, and said.
fn program(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if found.is_none() {
        let line = format!("SKIPPED: {variable} names no program, so no real Prometheus is tested");
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    found
}

/// Series by name and labels, as they are written.
pub(crate) fn series(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("a number"))
        .map(|(name, number)| (name, number.parse().expect("a number")))
        .collect()
}

/// The sum of all series of a name that have these labels.
pub(crate) fn sum(series: &BTreeMap<&str, f64>, name: &str, labels: &[&str]) -> f64 {
    let is_it = |full: &str| full.split('{').next() == Some(name) && labels.iter().all(|label| full.contains(label));
    series.iter().filter(|(full, _)| is_it(full)).map(|(_, number)| number).sum()
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.split(' ').nth(1) == Some("200"), "{head}");
    body.to_owned()
}

/// Where a call listens, as it says.
async fn listens(running: &Running) -> String {
    running.has_said("/metrics\n").await;
    let said = running.stderr_so_far();
    let address = said.split("metrics: http://").nth(1).and_then(|rest| rest.split("/metrics").next());
    address.expect("an address").to_owned()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// All that stands in both is the same in both.
fn is_the_same(text: &str, report: &Report) {
    let series = series(text);
    let command = format!("command={:?}", report.json["run"]["command"].as_str().expect("a name"));
    for outcome in ["done", "cached", "fallback", "failed", "skipped", "pending"] {
        let labels = [command.as_str(), &format!("outcome=\"{outcome}\"")];
        assert_eq!(sum(&series, "convoke_items", &labels), number(&report.json["census"][outcome]), "{outcome}");
    }
    let usage = &report.json["usage"];
    assert_eq!(sum(&series, "convoke_requests_total", &[&command]), number(&usage["requests"]));
    for (kind, member) in [
        ("input", "input_tokens"),
        ("output", "output_tokens"),
        ("cache_read", "cache_read_tokens"),
        ("cache_write", "cache_write_tokens"),
    ] {
        let labels = [command.as_str(), &format!("kind=\"{kind}\"")];
        assert_eq!(sum(&series, "convoke_tokens_total", &labels), number(&usage[member]), "{member}");
    }
    let models = report.json["cost"]["by_model"].as_array().expect("a list");
    for model in models {
        let name = format!("model={:?}", model["model"].as_str().expect("a name"));
        let backend = format!("backend={:?}", model["backend"].as_str().expect("a name"));
        let of = |metric: &str| sum(&series, metric, &[&command, &name, &backend]);
        assert_eq!(of("convoke_cost_dollars_total"), number(&model["usage"]["usd"]), "exactly");
        assert_eq!(of("convoke_cost_uncertain_dollars_total"), number(&model["uncertain_usd"]), "exactly");
        assert_eq!(of("convoke_requests_total"), number(&model["usage"]["requests"]));
    }
    let status = format!("status=\"{}\"", report.status());
    assert_eq!(sum(&series, "convoke_run_status", &[&command, &status]), 1.0);
    // Each worker's time is cut to milliseconds in the report.
    let work = sum(&series, "convoke_worker_work_seconds_total", &[&command]) * 1_000.0;
    let reported = number(&report.json["timing"]["work_ms"]);
    assert!((work - reported).abs() <= 10.0 + reported / 50.0, "{work} and {reported}");
    assert_eq!(sum(&series, "convoke_events_lost_total", &[]), 0.0);
}

fn overloaded() -> Fault {
    "529".parse().expect("a fault")
}

#[tokio::test]
async fn the_numbers_are_those_of_the_report() {
    let world = World::with_agents(8);
    let faults = vec![FaultRule { when: When::next(3), fault: overloaded() }];
    let standin = standin(Config { latency: Latency::of(20, 0.5), faults, ..Config::default() }).await;
    let file = world.path("home/convoke.prom");
    let arguments = ["--metrics-file", file.to_str().expect("UTF-8"), "--no-cache"];
    let report = world.audit(arguments).asking(&standin).run().await.exits(0).report();
    let text = fs::read_to_string(&file).expect("written");
    is_the_same(&text, &report);
    let numbers = series(&text);
    assert_eq!(sum(&numbers, "convoke_question_retries_total", &["kind=\"overloaded\""]), 3.0);
    assert_eq!(sum(&numbers, "convoke_questions_settled_total", &["outcome=\"model\""]), 8.0);
    assert_eq!(sum(&numbers, "convoke_question_first_token_seconds_count", &[]), 8.0);
    let phases = numbers.keys().filter(|name| name.starts_with("convoke_run_phase_duration_seconds")).count();
    assert_eq!(phases, 4, "{text}");
    // The next run finds all done, and the file has only its numbers.
    let report = world.audit(arguments).asking(&standin).run().await.exits(0).report();
    let text = fs::read_to_string(&file).expect("written");
    is_the_same(&text, &report);
    assert_eq!(sum(&series(&text), "convoke_item_cache_hits_total", &[]), 8.0);
}

#[tokio::test]
async fn what_fails_is_counted_as_it_is_reported() {
    let world = World::new();
    let standin = standin(Config {
        faults: vec![FaultRule { when: When::default(), fault: "refusal".parse().expect("a fault") }],
        ..Config::default()
    })
    .await;
    let file = world.path("home/convoke.prom");
    let name = file.to_str().expect("UTF-8");
    let arguments = [flood(), "--items", "3", "--format", "json", "--metrics-file", name];
    let report = world.convoke(arguments).asking(&standin).run().await.report();
    is_the_same(&fs::read_to_string(&file).expect("written"), &report);
}

#[tokio::test]
async fn they_are_served_while_it_runs_and_no_longer() {
    let world = World::new().config("[metrics]\naddr = \"127.0.0.1:0\"\n");
    let standin = standin(Config { latency: Latency::of(600_000, 0.0), ..Config::default() }).await;
    let running = world.convoke([flood(), "--items", "4", "--instances", "2"]).asking(&standin).start().await;
    let address = listens(&running).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = get(&address, "/metrics").await;
        let numbers = series(&text);
        let asked = sum(&numbers, "convoke_questions", &["state=\"sent\""]);
        if asked == 2.0 && sum(&numbers, "convoke_permits_in_use", &[]) == 2.0 {
            assert_eq!(sum(&numbers, "convoke_items", &["outcome=\"pending\""]), 4.0);
            assert_eq!(sum(&numbers, "convoke_workers", &["state=\"busy\""]), 2.0);
            assert_eq!(sum(&numbers, "convoke_run_status", &["status=\"running\""]), 1.0);
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
        sleep(Duration::from_millis(50)).await;
    }
    running.interrupt();
    running.interrupt();
    running.end().await.exits(130);
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn an_address_that_is_taken_stops_who_typed_it_and_only_warns_who_configured_it() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let world = World::with_agents(1).config(&format!("[metrics]\naddr = {address:?}\n"));
    world.audit(["--backend", "offline"]).run().await.exits(0).says("metrics are not served at");
    let typed = world.audit(["--backend", "offline", "--metrics-addr", &address]).run().await;
    typed.exits(2).reports_nothing().says("port 0 takes a free one");
    world.audit(["--metrics-addr", "example.com:80"]).run().await.exits(2).reports_nothing();
}

#[tokio::test]
async fn of_several_commands_each_has_its_numbers() {
    let world = World::with_agents(3);
    let standin = standin(Config::default()).await;
    let file = world.path("home/convoke.prom");
    let flood = format!("{} --items 5", flood());
    let name = file.to_str().expect("UTF-8");
    let call = world.convoke(["run", "agent-audit", &flood, "--format", "json", "--metrics-file", name]);
    let done = call.asking(&standin).run().await.exits(0);
    let text = fs::read_to_string(&file).expect("written");
    let numbers = series(&text);
    for run in done.json()["runs"].as_array().expect("a list") {
        let command = format!("command={:?}", run["run"]["command"].as_str().expect("a name"));
        let labels = [command.as_str(), "outcome=\"done\""];
        assert_eq!(sum(&numbers, "convoke_items", &labels), number(&run["census"]["done"]), "{command}");
        assert_eq!(
            sum(&numbers, "convoke_requests_total", &[&command]),
            number(&run["usage"]["requests"]),
            "{command}"
        );
    }
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_them() {
    let Some(promtool) = program("CONVOKE_PROMTOOL") else { return };
    let world = World::with_agents(4);
    let faults = vec![FaultRule { when: When::next(2), fault: overloaded() }];
    let standin = standin(Config { faults, ..Config::default() }).await;
    let file = world.path("home/convoke.prom");
    let arguments = ["--metrics-file", file.to_str().expect("UTF-8")];
    world.audit(arguments).asking(&standin).run().await.exits(0);
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(fs::File::open(&file).expect("written"));
    let output = check.output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// What a real Prometheus says to a query: the number, if it has one.
async fn asked(address: &str, query: &str) -> Option<f64> {
    let answer = get(address, &format!("/api/v1/query?query={query}")).await;
    let answer: Value = serde_json::from_str(answer.lines().find(|line| line.starts_with('{'))?).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[tokio::test]
async fn a_real_prometheus_scrapes_a_run() {
    let Some(prometheus) = program("CONVOKE_PROMETHEUS") else { return };
    let world = World::new();
    let standin = standin(Config { latency: Latency::of(600_000, 0.0), ..Config::default() }).await;
    let call = world.convoke([flood(), "--items", "5", "--instances", "2", "--metrics-addr", "0"]);
    let running = call.asking(&standin).start().await;
    let target = listens(&running).await;
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: convoke\n  static_configs: [{{ targets: ['{target}'] }}]\n"
    );
    fs::write(world.path("home/prometheus.yml"), config).expect("written");
    // It takes no free port by itself.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port");
    let mut server = Command::new(prometheus);
    server
        .arg(format!("--config.file={}", world.path("home/prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", world.path("home/tsdb").display()))
        .arg(format!("--web.listen-address={free}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut server = server.spawn().expect("it starts");
    let address = free.to_string();
    let deadline = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(&address).await.is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        sleep(Duration::from_millis(100)).await;
    }
    for (query, expected) in [
        ("up%7Bjob=%22convoke%22%7D", 1.0),
        ("sum(convoke_items)", 5.0),
        ("sum(convoke_items%7Boutcome=%22pending%22%7D)", 5.0),
        ("sum(convoke_permits_in_use)", 2.0),
        ("sum(convoke_questions%7Bstate=%22sent%22%7D)", 2.0),
        ("sum(convoke_worker_spawn_seconds_count)", 2.0),
    ] {
        while asked(&address, query).await != Some(expected) {
            assert!(Instant::now() < deadline, "{query}: {:?}", asked(&address, query).await);
            sleep(Duration::from_millis(200)).await;
        }
    }
    server.kill().await.expect("ended");
    running.interrupt();
    running.interrupt();
    running.end().await.exits(130);
}
