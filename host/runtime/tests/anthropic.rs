//! The backend `anthropic` against a stand-in of the Messages API, and against servers that are none.
#![allow(clippy::expect_used, reason = "what a test's helper expects, the test expects")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use convoke_runtime::backend::anthropic::Anthropic;
use convoke_runtime::backend::{Answer, Backend, Request};
use convoke_runtime::question::{Failure, FailureKind, StreamEvent};
use convoke_standin::{Config, Fault, FaultRule, Latency, Outcome, Quota, Quotas, RetryAfter, Standin, TlsFront, When};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "sk-ant-test-key-that-must-not-be-seen";

fn backend(url: &str) -> Anthropic {
    let env = |name: &str| match name {
        "ANTHROPIC_API_KEY" => Some(KEY.to_owned()),
        "ANTHROPIC_BASE_URL" => Some(url.to_owned()),
        _ => None,
    };
    Anthropic::from_environment(env).expect("a key").expect("a good base URL")
}

fn request() -> Request {
    Request {
        model: "claude-haiku-5-5".into(),
        system: "Be brief.".into(),
        context: None,
        prompt: "What is wrong with this agent?".into(),
        schema: None,
        tools: vec![],
        mcp: None,
        max_output_tokens: 1_000,
        timeout: Duration::from_secs(20),
        stall: Duration::from_secs(10),
    }
}

/// Asks, collects what the listener hears, and makes sure that no failure tells the key.
async fn ask_of(backend: &Anthropic, request: &Request) -> (Result<Answer, Failure>, Vec<StreamEvent>) {
    let mut instance = backend.start(&request.profile()).await.expect("an instance");
    let mut heard = Vec::new();
    let answer = instance.ask(request, &mut |event| heard.push(event)).await;
    assert!(!format!("{answer:?} {backend:?}").contains(KEY), "{answer:?}");
    if let Err(failure) = &answer {
        assert!(!failure.message.is_empty());
        assert!(!failure.to_string().contains(KEY), "{failure}");
    }
    (answer, heard)
}

async fn ask(url: &str, request: &Request) -> Result<Answer, Failure> {
    ask_of(&backend(url), request).await.0
}

async fn standin(config: Config) -> Standin {
    Standin::start(config).await.expect("a free port")
}

async fn failing(fault: Fault) -> Standin {
    standin(Config { faults: vec![FaultRule { when: When::default(), fault }], ..Config::default() }).await
}

#[tokio::test]
async fn an_answer_comes_with_its_text_its_model_and_its_usage() {
    let standin = standin(Config { latency: Latency::of(20, 0.0), ..Config::default() }).await;
    standin.answer("this agent", "Its description does not say when to use it.");
    let (answer, heard) = ask_of(&backend(&standin.url()), &request()).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.text, "Its description does not say when to use it.");
    assert_eq!((answer.model.as_str(), answer.truncated, answer.limits), ("claude-haiku-5-5", false, None));
    let counted = standin.stats().tokens;
    assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens), (counted.input, counted.output));
    assert_eq!((answer.usage.requests, answer.usage.output_tokens), (1, 11));

    assert_eq!(heard.first(), Some(&StreamEvent::Started));
    let pieces: Vec<_> =
        heard[1..].iter().map(|e| if let StreamEvent::Text(t) = e { t.as_str() } else { "?" }).collect();
    assert!(pieces.len() > 1);
    assert_eq!(pieces.concat(), answer.text);

    let received = standin.requests().remove(0);
    assert_eq!((received.credential, received.header("anthropic-version")), (Some("x-api-key"), Some("2023-06-01")));
    assert_eq!((received.target.as_str(), received.outcome), ("/v1/messages", Outcome::Answered));
    assert_eq!(received.body["stream"], true);
}

#[tokio::test]
async fn an_answer_with_a_schema_fits_it_whatever_bounds_it_has() {
    let standin = standin(Config::default()).await;
    let schema = json!({"type": "object", "required": ["findings"], "properties": {"findings": {"type": "array",
        "maxItems": 9, "items": {"type": "object", "required": ["line"], "properties":
            {"line": {"type": "integer", "format": "uint32", "minimum": 0}}}}}});
    let answer = ask(&standin.url(), &Request { schema: Some(schema), ..request() }).await.expect("an answer");
    let value: Value = serde_json::from_str(&answer.text).expect("JSON");
    assert!(value["findings"][0]["line"].is_u64(), "{value}");
}

#[tokio::test]
async fn an_answer_that_became_too_long_says_so() {
    let standin = standin(Config::default()).await;
    standin.answer("", "x".repeat(100));
    let answer = ask(&standin.url(), &Request { max_output_tokens: 5, ..request() }).await.expect("an answer");
    assert!(answer.truncated);
    assert_eq!(answer.text.len(), 20);
}

#[tokio::test]
async fn a_common_context_is_written_once_and_read_after_that() {
    let standin = standin(Config::default()).await;
    let backend = backend(&standin.url());
    let first = Request { context: Some("word ".repeat(2_000)), ..request() };
    let second = Request { prompt: "And now?".into(), ..first.clone() };
    let written = ask_of(&backend, &first).await.0.expect("an answer").usage;
    let read = ask_of(&backend, &second).await.0.expect("an answer").usage;
    assert!(written.cache_write_tokens > 2_000 && written.cache_read_tokens == 0, "{written:?}");
    assert_eq!((read.cache_read_tokens, read.cache_write_tokens), (written.cache_write_tokens, 0));
    assert!(read.input_tokens < 20, "{read:?}");
}

#[tokio::test]
async fn the_providers_limits_come_with_answers_and_with_failures() {
    let quotas = Quotas {
        requests: Some(Quota { per_minute: 60, burst: 1 }),
        input_tokens: Some(Quota::per_minute(10_000)),
        round_tokens_to: 1_000,
        ..Quotas::default()
    };
    let standin = standin(Config { quotas, ..Config::default() }).await;
    let limits = ask(&standin.url(), &request()).await.expect("an answer").limits.expect("limits");
    let requests = limits.requests.expect("a limit of requests");
    assert_eq!((requests.limit, requests.remaining), (60, 0));
    assert!(requests.reset.is_some());
    assert_eq!(limits.input_tokens.map(|limit| limit.remaining), Some(10_000));
    assert_eq!(limits.output_tokens, None);

    let failure = ask(&standin.url(), &request()).await.expect_err("a rate limit");
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::RateLimited, Some(Duration::from_secs(1))));
    assert_eq!(failure.limits.and_then(|limits| limits.requests).map(|limit| limit.limit), Some(60));
    assert!(!failure.reached_model);
}

#[tokio::test]
async fn each_thing_that_a_server_can_say_instead_of_an_answer_is_one_kind_of_failure() {
    let limit = FailureKind::LimitReached { until: None };
    let table = [
        (Fault::RateLimited { retry_after: RetryAfter::Unsaid }, FailureKind::RateLimited, false),
        (Fault::LimitReached, limit.clone(), false),
        (Fault::Unauthorized, FailureKind::Auth, false),
        (Fault::Overloaded, FailureKind::Overloaded, false),
        (Fault::Server, FailureKind::Server, true),
        (Fault::Status(400), FailureKind::Invalid, false),
        (Fault::Status(402), limit, false),
        (Fault::Status(403), FailureKind::Auth, false),
        (Fault::Status(404), FailureKind::Invalid, false),
        (Fault::Status(409), FailureKind::Server, true),
        (Fault::Status(413), FailureKind::TooLarge, false),
        (Fault::Status(504), FailureKind::Server, true),
        (Fault::CutStream { after_events: 0 }, FailureKind::Cut, true),
        (Fault::CutStream { after_events: 4 }, FailureKind::Cut, true),
        (Fault::EmptyStream, FailureKind::Cut, true),
        (Fault::NoMessageStop, FailureKind::Cut, true),
        (Fault::MalformedEvent, FailureKind::Malformed, true),
        (Fault::HugeEvent { bytes: 3_000_000 }, FailureKind::Malformed, true),
        (Fault::ToolUse, FailureKind::Malformed, true),
        (Fault::Refusal, FailureKind::Refused, true),
        (Fault::ErrorEvent { kind: "overloaded_error".into() }, FailureKind::Overloaded, true),
        (Fault::ErrorEvent { kind: "api_error".into() }, FailureKind::Server, true),
    ];
    for (fault, kind, reached_model) in table {
        let standin = failing(fault.clone()).await;
        let failure = ask(&standin.url(), &request()).await.expect_err("a failure");
        assert_eq!((&failure.kind, failure.reached_model), (&kind, reached_model), "{fault:?}: {failure}");
        assert!(failure.message.contains("req_standin_000001"), "{fault:?}: {failure}");
        // Nothing is tried again here.
        assert_eq!(standin.stats().requests, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn the_servers_wait_is_told_in_seconds_and_as_a_date() {
    for (retry_after, longest) in [(RetryAfter::Seconds(171), 171), (RetryAfter::Date(171), 171)] {
        let standin = failing(Fault::RateLimited { retry_after }).await;
        let failure = ask(&standin.url(), &request()).await.expect_err("a rate limit");
        let wait = failure.retry_after.expect("a wait").as_secs_f64();
        // A date has whole seconds, and some of them may have passed.
        assert!((f64::from(longest) - 20.0..=f64::from(longest)).contains(&wait), "{retry_after:?}: {wait}");
    }
}

#[tokio::test]
async fn what_was_used_before_a_stream_broke_is_told() {
    let standin = failing(Fault::CutStream { after_events: 6 }).await;
    let failure = ask(&standin.url(), &request()).await.expect_err("a cut stream");
    let usage = failure.usage.expect("usage");
    assert_eq!((usage.requests, usage.input_tokens), (1, standin.stats().tokens.input));
    assert!(usage.output_tokens > 1);
}

#[tokio::test]
async fn silence_before_an_answer_ends_with_the_questions_time() {
    let standin = failing(Fault::Silence { mid_stream: false }).await;
    let failure = ask(&standin.url(), &Request { timeout: Duration::from_millis(80), ..request() }).await;
    let failure = failure.expect_err("a timeout");
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::TimedOut, true));
    assert!(failure.message.contains("0.08 s"), "{}", failure.message);
}

#[tokio::test]
async fn silence_in_an_answer_is_a_stall() {
    let standin = failing(Fault::Silence { mid_stream: true }).await;
    let failure = ask(&standin.url(), &Request { stall: Duration::from_millis(80), ..request() }).await;
    let failure = failure.expect_err("a stall");
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::Stalled, true));
    assert!(failure.usage.is_some());
}

#[tokio::test]
async fn pings_without_end_end_with_the_questions_time() {
    let standin = failing(Fault::SlowPing { every: Duration::from_millis(10) }).await;
    let failure = ask(&standin.url(), &Request { timeout: Duration::from_millis(300), ..request() }).await;
    assert_eq!(failure.expect_err("a timeout").kind, FailureKind::TimedOut);
}

#[tokio::test]
async fn an_answer_of_which_only_pings_come_any_more_has_stalled() {
    let standin = failing(Fault::SlowPing { every: Duration::from_millis(10) }).await;
    let failure = ask(&standin.url(), &Request { stall: Duration::from_millis(150), ..request() }).await;
    let failure = failure.expect_err("a stall");
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::Stalled, true));
}

#[tokio::test]
async fn a_context_is_shared_by_questions_with_other_rules_for_the_answer() {
    let standin = standin(Config::default()).await;
    let backend = backend(&standin.url());
    // Neither can be enforced by the API, so the model is told them.
    let map = |of: &str| Some(json!({"type": "object", "additionalProperties": {"type": of}}));
    let first = Request { context: Some("word ".repeat(2_000)), schema: map("integer"), ..request() };
    let second = Request { schema: map("string"), ..first.clone() };
    ask_of(&backend, &first).await.0.expect("an answer");
    let read = ask_of(&backend, &second).await.0.expect("an answer").usage;
    assert!(read.cache_read_tokens > 2_000 && read.cache_write_tokens == 0, "{read:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_trusted_and_says_what_to_do() {
    let standin = standin(Config::default()).await;
    let front = TlsFront::before(&standin).await.expect("a free port");
    let failure = ask(&front.url(), &request()).await.expect_err("no trust");
    assert_eq!((&failure.kind, failure.reached_model), (&FailureKind::Invalid, false), "{failure}");
    assert!(failure.message.contains("certificate"), "{failure}");
    assert!(failure.message.contains("SSL_CERT_FILE"), "{failure}");
    assert_eq!(standin.stats().requests, 0);
}

#[tokio::test]
async fn a_server_without_encryption_is_told_from_one_with_a_bad_certificate() {
    let standin = standin(Config::default()).await;
    let failure = ask(&standin.url().replace("http:", "https:"), &request()).await.expect_err("no TLS");
    assert_eq!((&failure.kind, failure.reached_model), (&FailureKind::Invalid, false), "{failure}");
    assert!(failure.message.contains("does not speak TLS there: is ANTHROPIC_BASE_URL right?"), "{failure}");
    assert_eq!(standin.stats().requests, 0);
}

#[tokio::test]
async fn the_key_does_not_follow_a_redirect() {
    let elsewhere = standin(Config::default()).await;
    let standin = failing(Fault::Redirect { to: format!("{}/v1/messages", elsewhere.url()) }).await;
    let failure = ask(&standin.url(), &request()).await.expect_err("a redirect");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("307"), "{}", failure.message);
    assert_eq!(elsewhere.stats().requests, 0);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_schema_is_handed_on_as_it_is() {
    let standin = failing(Fault::OffSchema).await;
    let answer = ask(&standin.url(), &request()).await.expect("an answer");
    assert_eq!(answer.text, r#"{"unexpected":true}"#);
}

#[tokio::test]
async fn a_question_that_wants_tools_is_not_sent() {
    let standin = standin(Config::default()).await;
    let failure =
        ask(&standin.url(), &Request { tools: vec!["Read".into()], ..request() }).await.expect_err("no tools");
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::Invalid, false));
    assert_eq!(standin.stats().requests, 0);
}

#[tokio::test]
async fn giving_a_question_up_ends_its_request() {
    let standin = failing(Fault::Silence { mid_stream: false }).await;
    let backend = backend(&standin.url());
    let request = request();
    tokio::select! {
        _ = ask_of(&backend, &request) => panic!("the stand-in does not answer"),
        () = until(|| standin.stats().in_flight == 1) => {}
    }
    until(|| standin.stats().in_flight == 0).await;
}

/// Returns when something holds. A test that waits in vain is ended by its runner.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

/// Reads one request, with its body, and gives its head.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(head.to_owned());
            }
        }
    }
}

/// A server that answers each request with the same bytes, or by hanging up. Gives its URL and a count of connections.
async fn server(answer: impl Fn(String) -> Option<String> + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let (counted, answer) = (Arc::clone(&connections), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                while let Some(head) = read_request(&mut stream).await {
                    let Some(bytes) = answer(head) else { return };
                    if stream.write_all(bytes.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

fn response(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn without_a_server_nothing_has_reached_a_model() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let failure = ask(&url, &request()).await.expect_err("no connection");
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::Network, false));
    assert!(failure.message.starts_with("can't connect to 127.0.0.1"), "{}", failure.message);
    assert!(failure.message.ends_with("Is ANTHROPIC_BASE_URL right?"), "{}", failure.message);
}

#[tokio::test]
async fn a_server_that_hangs_up_may_have_read_the_question() {
    let (url, _) = server(|_| None).await;
    let failure = ask(&url, &request()).await.expect_err("no answer");
    assert_eq!((failure.kind, failure.reached_model), (FailureKind::Network, true));
}

#[tokio::test]
async fn a_page_is_no_answer() {
    let (url, _) = server(|_| Some(response("200 OK", "text/html", "<html>Please log in</html>"))).await;
    let failure = ask(&url, &request()).await.expect_err("no stream");
    assert_eq!(failure.kind, FailureKind::Malformed);
    assert!(failure.message.contains("ANTHROPIC_BASE_URL"), "{}", failure.message);
}

#[tokio::test]
async fn a_server_that_sends_the_key_back_does_not_get_it_shown() {
    let echo = |head: String| {
        let body =
            json!({"error": {"type": "authentication_error", "message": format!("{head}\u{1b}[2J")}}).to_string();
        Some(response("401 Unauthorized", "application/json", &body))
    };
    let (url, _) = server(echo).await;
    let failure = ask(&url, &request()).await.expect_err("an error");
    assert_eq!(failure.kind, FailureKind::Auth);
    assert!(failure.message.contains("[key]") && !failure.message.contains('\u{1b}'), "{}", failure.message);
}

#[tokio::test]
async fn of_an_error_without_end_only_the_start_is_read() {
    let endless = |_| {
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 999999999999\r\n\r\n";
        Some(format!("{head}{{\"error\":{{\"type\":\"invalid_request_error\",\"message\":\"{}", "x".repeat(1 << 20)))
    };
    let (url, _) = server(endless).await;
    let failure = ask(&url, &request()).await.expect_err("an error");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.len() < 1_000, "{}", failure.message.len());
    let long = json!({"error": {"type": "t".repeat(9_000), "message": "m".repeat(40_000)}}).to_string();
    let (url, _) = server(move |_| Some(response("400 Bad Request", "application/json", &long))).await;
    let failure = ask(&url, &request()).await.expect_err("an error");
    assert!(failure.message.contains("mmm…") && failure.message.chars().count() < 600, "{}", failure.message);
}

#[tokio::test]
async fn a_connection_is_left_to_the_next_question() {
    let events = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
        "\"usage\":{\"output_tokens\":1}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = format!("{chunked}{:x}\r\n{events}\r\n0\r\n\r\n", events.len());
    let (url, connections) = server(move |_| Some(answer.clone())).await;
    let backend = backend(&url);
    for _ in 0..5 {
        ask_of(&backend, &request()).await.0.expect("an answer");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_models_show_that_address_and_key_are_right() {
    let patience = Duration::from_secs(20);
    let open = standin(Config::default()).await;
    let models = backend(&open.url()).models(patience).await.expect("models");
    assert!(models.contains(&"claude-haiku-5-5".to_owned()), "{models:?}");
    let locked = standin(Config { key: Some("another key".to_owned()), ..Config::default() }).await;
    let rejected = backend(&locked.url()).models(patience).await.expect_err("a wrong key");
    assert_eq!(rejected.kind, FailureKind::Auth);
    assert!(!rejected.to_string().contains(KEY), "{rejected}");
    // A port that was free a moment ago: nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let gone = backend(&format!("http://{nobody}")).models(patience).await.expect_err("nobody");
    assert_eq!(gone.kind, FailureKind::Network);
    let elsewhere = backend(&format!("{}/nowhere", open.url())).models(patience).await.expect_err("another path");
    assert_eq!(elsewhere.kind, FailureKind::Invalid);
}
