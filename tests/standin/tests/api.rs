//! What a client sees of the stand-in, over HTTP.
#![allow(clippy::expect_used, reason = "what a test's helper expects, the test expects")]

use std::time::Duration;

use convoke_standin::{Config, Fault, FaultRule, Latency, Outcome, Quota, Quotas, Standin, When};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

fn client() -> Client {
    // Only the first test of the process can install it.
    let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tls_certs_only([]).build().expect("a client")
}

async fn standin(config: Config) -> Standin {
    Standin::start(config).await.expect("a free port")
}

fn post(standin: &Standin, path: &str, body: &Value) -> RequestBuilder {
    client()
        .post(format!("{}{path}", standin.url()))
        .header("x-api-key", "k")
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn question(stream: bool) -> Value {
    json!({"model": "claude-haiku-5-5", "max_tokens": 200, "stream": stream,
        "messages": [{"role": "user", "content": "What is wrong with this agent?"}]})
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
}

#[tokio::test]
async fn an_answer_comes_streamed_or_whole_and_a_fresh_stand_in_repeats_it() {
    let standin = standin(Config::default()).await;
    let whole = json_of(post(&standin, "/v1/messages", &question(false)).send().await.expect("an answer")).await;
    assert_eq!((whole["type"].as_str(), whole["stop_reason"].as_str()), (Some("message"), Some("end_turn")));
    let streamed = post(&standin, "/v1/messages?beta=true", &question(true)).send().await.expect("an answer");
    assert_eq!(streamed.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = streamed.text().await.expect("a body");
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let pieces: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(events.last().map(|event| event["type"].clone()), Some(json!("message_stop")));
    assert!(pieces.len() > 20);
    // The second time is another draw; a fresh stand-in repeats the first.
    let again = Standin::start(Config::default()).await.expect("a free port");
    let repeated = json_of(post(&again, "/v1/messages", &question(false)).send().await.expect("an answer")).await;
    assert_eq!(repeated["content"], whole["content"]);
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let standin = standin(Config { key: Some("the-key".into()), ..Config::default() }).await;
    let url = format!("{}/v1/messages", standin.url());
    let with_key = |request: RequestBuilder| request.header("x-api-key", "the-key");
    let cases = [
        (post(&standin, "/v1/messages", &question(false)), 401, "authentication_error"),
        (client().post(&url).body("{}"), 401, "authentication_error"),
        (with_key(client().post(&url)).body("{}"), 400, "invalid_request_error"),
        (
            with_key(client().post(&url)).header("anthropic-version", "1999-01-01").body("{}"),
            400,
            "invalid_request_error",
        ),
    ];
    for (request, status, kind) in cases {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status);
        let id = response.headers()["request-id"].to_str().expect("text").to_owned();
        let body = json_of(response).await;
        assert_eq!((body["error"]["type"].as_str(), body["request_id"].as_str()), (Some(kind), Some(id.as_str())));
    }
    let request = client().post(&url).bearer_auth("the-key").header("anthropic-version", "2023-06-01");
    let request = request.header("content-type", "application/json").body(question(false).to_string());
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 200);
    assert_eq!(standin.stats().rejected.values().sum::<u64>(), 4);
    let unknown = json!({"model": "gpt", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
    let open = Standin::start(Config::default()).await.expect("a free port");
    assert_eq!(post(&open, "/v1/messages", &unknown).send().await.expect("an answer").status().as_u16(), 404);
    assert_eq!(post(&open, "/v1/nothing", &unknown).send().await.expect("an answer").status().as_u16(), 404);
}

#[tokio::test]
async fn what_was_received_is_kept_without_the_credential() {
    let standin = standin(Config::default()).await;
    post(&standin, "/v1/messages?beta=true", &question(false)).header("x-note", "n").send().await.expect("an answer");
    let received = standin.requests().remove(0);
    assert_eq!((received.number, received.target.as_str()), (1, "/v1/messages?beta=true"));
    assert_eq!((received.credential, received.header("X-Note")), (Some("x-api-key"), Some("n")));
    assert_eq!(received.header("x-api-key"), None);
    assert_eq!(*received.body, question(false));
    assert!(received.tokens.input > 0 && received.tokens.output > 0);
}

#[tokio::test]
async fn tokens_can_be_counted_and_models_listed() {
    let standin = standin(Config::default()).await;
    let mut body = question(false);
    body.as_object_mut().expect("an object").remove("max_tokens");
    let counted = json_of(post(&standin, "/v1/messages/count_tokens", &body).send().await.expect("an answer")).await;
    let asked = json_of(post(&standin, "/v1/messages", &question(false)).send().await.expect("an answer")).await;
    assert_eq!(counted["input_tokens"], asked["usage"]["input_tokens"]);
    let models = client().get(format!("{}/v1/models", standin.url())).send().await.expect("an answer");
    assert_eq!(json_of(models).await["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(standin.stats().requests, 1);
}

#[tokio::test]
async fn a_spent_quota_says_when_to_come_back_and_can_be_changed() {
    let quotas = Quotas { requests: Some(Quota { per_minute: 6, burst: 2 }), ..Quotas::default() };
    let standin = standin(Config { quotas, ..Config::default() }).await;
    for remaining in ["1", "0"] {
        let response = post(&standin, "/v1/messages", &question(true)).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["anthropic-ratelimit-requests-remaining"], remaining);
    }
    let response = post(&standin, "/v1/messages", &question(true)).send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(response.headers()["anthropic-ratelimit-requests-limit"], "6");
    standin.set_quotas(Quotas::default());
    let response = post(&standin, "/v1/messages", &question(true)).send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    assert!(!response.headers().contains_key("anthropic-ratelimit-requests-limit"));
}

#[tokio::test]
async fn the_most_in_flight_at_once_is_known() {
    let standin = standin(Config { latency: Latency::of(150, 0.0), ..Config::default() }).await;
    let all = (0..8).map(|_| async { post(&standin, "/v1/messages", &question(false)).send().await });
    for response in futures::future::join_all(all).await {
        assert_eq!(response.expect("an answer").bytes().await.map(|body| body.is_empty()).ok(), Some(false));
    }
    let stats = standin.stats();
    assert_eq!((stats.answered, stats.in_flight), (8, 0));
    assert!(
        standin.requests().iter().all(|request| request.took >= Duration::from_millis(150)),
        "what it took is known"
    );
    assert!((2..=8).contains(&stats.max_in_flight), "{stats:?}");
}

#[tokio::test]
async fn shutting_down_ends_what_hangs() {
    let standin = standin(Config::default()).await;
    let fault = Fault::Silence { mid_stream: true };
    standin.set_faults(vec![FaultRule { when: When::next(1), fault: fault.clone() }]);
    let response = post(&standin, "/v1/messages", &question(true)).send().await.expect("headers");
    assert_eq!(standin.requests()[0].outcome, Outcome::Open);
    let body = tokio::spawn(response.bytes());
    tokio::time::timeout(Duration::from_secs(20), standin.shutdown()).await.expect("it is down");
    assert!(body.await.expect("no panic").is_err());
}
