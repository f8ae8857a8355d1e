//! Traces and logs: what a collector receives of a run, and what stands in its log.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use convoke_standin::{Fault, RetryAfter, When};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Is;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use tokio::io::AsyncBufReadExt;

use crate::support::{KEY, World, agent, agent_path, faulty, holds, quick, repository};

/// What authorises us at the collector. It must not be seen anywhere else.
const TOKEN: &str = "the-collectors-own-token-6d1f";

#[derive(Clone)]
struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    records: Arc<Mutex<Vec<LogRecord>>>,
    services: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<u8>>>,
    headers: Arc<Mutex<Vec<String>>>,
    answers: StatusCode,
}

/// A collector of OTLP over HTTP.
pub(crate) struct Collector {
    received: Received,
    pub(crate) url: String,
}

impl Collector {
    async fn answering(answers: StatusCode) -> Self {
        let received = Received {
            spans: Arc::default(),
            records: Arc::default(),
            services: Arc::default(),
            bodies: Arc::default(),
            headers: Arc::default(),
            answers,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new()
            .route("/v1/traces", post(take))
            .route("/v1/logs", post(take_logs))
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { received, url }
    }

    pub(crate) async fn new() -> Self {
        Self::answering(StatusCode::OK).await
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received.spans.lock().expect("nobody panicked").clone()
    }
}

async fn take(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body.clone()).expect("what the protocol says");
    received.bodies.lock().expect("nobody panicked").extend_from_slice(&body);
    let authorised = headers.get("authorization").map(|value| value.to_str().expect("text").to_owned());
    received.headers.lock().expect("nobody panicked").extend(authorised);
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.expect("a resource").attributes;
        let service = attributes.iter().find(|one| one.key == "service.name").expect("a service");
        let service = service.value.clone().and_then(|value| value.value);
        let Some(Is::StringValue(service)) = service else { panic!("{service:?}") };
        received.services.lock().expect("nobody panicked").push(service);
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.lock().expect("nobody panicked").extend(spans);
    }
    received.answers
}

async fn take_logs(State(received): State<Received>, body: Bytes) -> StatusCode {
    let request = ExportLogsServiceRequest::decode(body.clone()).expect("what the protocol says");
    received.bodies.lock().expect("nobody panicked").extend_from_slice(&body);
    let scopes = request.resource_logs.into_iter().flat_map(|of_resource| of_resource.scope_logs);
    received.records.lock().expect("nobody panicked").extend(scopes.flat_map(|scope| scope.log_records));
    received.answers
}

pub(crate) fn text(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|one| one.key == key)?.value.clone()?.value?;
    Some(match value {
        Is::StringValue(text) => text,
        Is::IntValue(number) => number.to_string(),
        Is::BoolValue(is) => is.to_string(),
        Is::DoubleValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    })
}

pub(crate) fn sum(spans: &[Span], key: &str) -> u64 {
    spans.iter().filter_map(|span| text(span, key)?.parse::<u64>().ok()).sum()
}

/// How many spans of each name there are below which name.
pub(crate) fn shape(spans: &[Span]) -> BTreeMap<(String, String), usize> {
    let named = |span: &Span| span.name.split(' ').next().unwrap_or_default().to_owned();
    let names: HashMap<&[u8], String> = spans.iter().map(|span| (span.span_id.as_slice(), named(span))).collect();
    let mut shape = BTreeMap::new();
    for span in spans {
        let parent = names.get(span.parent_span_id.as_slice()).cloned().unwrap_or_default();
        *shape.entry((parent, named(span))).or_default() += 1;
    }
    shape
}

pub(crate) fn count(shape: &BTreeMap<(String, String), usize>, parent: &str, name: &str) -> usize {
    shape.get(&(parent.to_owned(), name.to_owned())).copied().unwrap_or_default()
}

#[tokio::test]
async fn a_collector_gets_the_whole_tree_of_a_run_and_the_sums_of_its_report() {
    let limited = Fault::RateLimited { retry_after: RetryAfter::Seconds(0) };
    let (world, standin, collector) =
        (World::with_agents(9), faulty([(When::nth(2), limited)]).await, Collector::new().await);
    let call = world.audit(["--instances", "3"]).asking(&standin);
    let call = call.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("OTEL_SERVICE_NAME", "nightly");
    let call = call.env("OTEL_LOGS_EXPORTER", "otlp");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let header = format!("authorization=Bearer {TOKEN}");
    let done = call.env("OTEL_EXPORTER_OTLP_HEADERS", header).env("TRACEPARENT", parent).run().await.exits(0);
    let report = done.json();
    let spans = collector.spans();
    assert!(collector.received.services.lock().unwrap().iter().all(|service| service == "nightly"));
    assert!(collector.received.headers.lock().unwrap().iter().all(|header| *header == format!("Bearer {TOKEN}")));

    let shape = shape(&spans);
    let (requests, workers) = (report["usage"]["requests"].as_u64().unwrap(), count(&shape, "convoke", "segment"));
    assert_eq!(count(&shape, "", "convoke"), 1, "{shape:?}");
    assert_eq!((workers, count(&shape, "segment", "item")), (3, 9), "{shape:?}");
    assert_eq!(count(&shape, "item", "question"), 9, "{shape:?}");
    assert_eq!((count(&shape, "question", "chat") as u64, requests), (10, 10), "{shape:?}");
    assert_eq!(spans.len(), 1 + 3 + 9 + 9 + 10, "{shape:?}");

    let run = report["run"]["id"].as_str().unwrap();
    for span in &spans {
        assert_eq!(span.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
        assert_eq!(text(span, "convoke.run.id").as_deref(), Some(run), "{}", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{}", span.name);
    }
    let root = spans.iter().find(|span| span.name == "convoke agent-audit").unwrap();
    assert_eq!(root.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    let usage = &report["usage"];
    let input = ["input_tokens", "cache_read_tokens", "cache_write_tokens"];
    let input: u64 = input.iter().map(|key| usage[key].as_u64().unwrap()).sum();
    assert_eq!(sum(&spans, "gen_ai.usage.input_tokens"), input);
    assert_eq!(sum(&spans, "gen_ai.usage.output_tokens"), usage["output_tokens"].as_u64().unwrap());
    let usd: f64 = spans.iter().filter_map(|span| text(span, "convoke.cost.usd")?.parse::<f64>().ok()).sum();
    assert!((usd - usage["usd"].as_f64().unwrap()).abs() < 1e-9, "{usd} {usage}");
    let failed: Vec<_> = spans.iter().filter_map(|span| text(span, "error.type")).collect();
    assert_eq!(failed, ["rate-limited"], "{failed:?}");
    for key in ["items", "done", "failed", "cached"] {
        let told = text(root, &format!("convoke.census.{key}"));
        assert_eq!(told, Some(report["census"][key].to_string()), "{key}");
    }

    let records = collector.received.records.lock().unwrap().clone();
    let ended = records.iter().filter(|record| format!("{:?}", record.body).contains("an item has ended")).count();
    assert_eq!(ended, 9, "{records:?}");
    let ids: Vec<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
    assert!(records.iter().all(|record| record.trace_id == root.trace_id), "{records:?}");
    assert!(records.iter().all(|record| ids.contains(&record.span_id.as_slice())), "{records:?}");
}

#[tokio::test]
async fn neither_a_trace_nor_a_log_holds_a_prompt_an_answer_or_a_secret() {
    let (world, standin, collector) = (World::new(), quick().await, Collector::new().await);
    let secret = format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o");
    for number in 1..=3 {
        let spoken = format!("You do task {number}, with the marker PROMPTMARKER and the token {secret}");
        world.write(&agent_path(number), agent(number).replace(&format!("You do task {number}"), &spoken));
    }
    let log = world.path("run.log");
    let arguments = ["--log-level", "trace", "--log-format", "json", "--log-file", log.to_str().unwrap(), "-v"];
    let call = world.audit(arguments).asking(&standin).env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let call = call.env("OTEL_LOGS_EXPORTER", "otlp");
    let done = call.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={TOKEN}")).run().await;
    let asked = standin.requests().iter().any(|request| request.body.to_string().contains("PROMPTMARKER"));
    assert!(asked, "the marker was in what was asked");
    let (log, trace) = (fs::read(&log).unwrap(), collector.received.bodies.lock().unwrap().clone());
    let lines: Vec<Value> = log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line is a JSON object"))
        .collect();
    let run = done.json()["run"]["id"].clone();
    assert!(lines.iter().all(|line| line["run"] == run), "{lines:?}");
    let about = |key: &str| lines.iter().filter(|line| line.get(key).is_some()).count();
    assert!(about("item") > 9 && about("question") > 9, "{lines:?}");
    assert_eq!(collector.spans().iter().filter(|span| span.name == "item").count(), 3);
    for (what, bytes) in [("the log", &log), ("the trace", &trace), ("stderr", &done.stderr.into_bytes())] {
        for hidden in [KEY, TOKEN, &secret, "PROMPTMARKER"] {
            assert!(!holds(bytes, hidden), "{hidden} is in {what}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_refuses_or_is_away_costs_no_run_and_is_said_once() {
    let collector = Collector::answering(StatusCode::UNAUTHORIZED).await;
    let away = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    for (url, why) in [(collector.url.clone(), "401"), (away, "refused")] {
        let world = World::with_agents(2);
        let done = world.audit(["--backend", "offline"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).run().await;
        let said: Vec<&str> = done.stderr.lines().filter(|line| line.contains("spans of traces")).collect();
        assert_eq!(said.len(), 1, "{}", done.stderr);
        assert!(said[0].starts_with("warning: ") && said[0].contains(why) && said[0].contains(&url), "{said:?}");
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
}

#[tokio::test]
async fn what_there_is_not_is_said_and_the_run_goes_on() {
    let world = World::with_agents(1);
    let call = world.audit(["--backend", "offline"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    let done = call.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").run().await.exits(0);
    assert!(done.stderr.contains("OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\""), "{}", done.stderr);
}

#[tokio::test]
async fn logs_are_nowhere_unless_they_are_wanted_and_on_standard_error_without_a_file() {
    let world = World::with_agents(1);
    let audit =
        |arguments: &[&'static str]| world.audit(["--backend", "offline", "--fresh"].iter().chain(arguments).copied());
    let quiet = audit(&[]).run().await.exits(0);
    assert!(!quiet.stderr.contains("convoke::run"), "{}", quiet.stderr);
    let loud = audit(&[]).env("CONVOKE_LOG", "info").run().await.exits(0);
    assert!(loud.stderr.contains(" INFO convoke::run: the run has ended run="), "{}", loud.stderr);
    assert!(loud.stderr.contains("completed: 1 item"), "the plain progress is there too: {}", loud.stderr);
    let json = audit(&["--log-format", "json"]).run().await.exits(0);
    assert!(json.stderr.lines().any(|line| line.starts_with("{\"timestamp\":")), "{}", json.stderr);
    assert!(!json.stderr.contains("completed: 1 item"), "lines say all: {}", json.stderr);
    audit(&["--log-level", "loud"]).run().await.exits(2).says("--log-level: \"loud\" is no level");
    audit(&["--log-file", "."]).run().await.exits(2).says("can't write logs to .");
}

#[tokio::test]
async fn real_otlp_a_receiver_of_others_reads_the_whole_tree() {
    let Some(python) = std::env::var_os("CONVOKE_OTLP_PYTHON").filter(|path| !path.is_empty()) else {
        eprintln!("SKIPPED: CONVOKE_OTLP_PYTHON names no python that has opentelemetry-proto; .ci/full has one");
        return;
    };
    let mut receiver = tokio::process::Command::new(python)
        .arg(repository().join("tests/otlp/receiver.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let mut said = tokio::io::BufReader::new(receiver.stdout.take().expect("piped")).lines();
    let url = said.next_line().await.expect("a readable stream").expect("an address");
    let limited = Fault::RateLimited { retry_after: RetryAfter::Seconds(0) };
    let (world, standin) = (World::with_agents(6), faulty([(When::nth(2), limited)]).await);
    let call = world.audit(["--instances", "2"]).asking(&standin);
    call.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).run().await.exits(0);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tree = reqwest::get(format!("{url}/tree")).await.expect("an answer").text().await.expect("text");
    eprintln!("{tree}");
    let lines = |depth: usize, name: &str| {
        let front = format!("{}{name} ", "  ".repeat(depth));
        tree.lines().filter(|line| line.starts_with(&front)).count()
    };
    let counts = [lines(0, "convoke"), lines(1, "segment"), lines(2, "item"), lines(3, "question"), lines(4, "chat")];
    assert_eq!(counts, [1, 2, 6, 6, 7], "{tree}");
    assert_eq!(tree.lines().count(), 22, "{tree}");
    assert_eq!(tree.matches("error.type=rate-limited").count(), 1, "{tree}");
}
