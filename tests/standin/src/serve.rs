//! The endpoints.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer::{Answers, choose};
use crate::config::{Config, Latency};
use crate::events::{Message, Rhythm, Step, ping};
use crate::fault::{Asked, Fault, Faults, RetryAfter};
use crate::locked;
use crate::log::{Log, Outcome, Received, TokenCount};
use crate::quota::Buckets;
use crate::request::{self, Question};
use crate::tokens::{Input, PromptCache};

/// The largest body that is taken, as in the real API.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

const MODELS: [(&str, u64, u64); 3] = [
    ("claude-opus-5-5", 1_000_000, 128_000),
    ("claude-sonnet-5-5", 1_000_000, 128_000),
    ("claude-haiku-5-5", 200_000, 64_000),
];

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    seed: u64,
    key: Option<String>,
    latency: Latency,
    cache_minimum: u64,
    started: Instant,
    closing: watch::Receiver<bool>,
    pub(crate) log: Mutex<Log>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) quotas: Mutex<Buckets>,
    pub(crate) answers: Mutex<Answers>,
    cache: Mutex<PromptCache>,
    seen: Mutex<HashMap<u64, u64>>,
}

impl Shared {
    pub(crate) fn new(config: Config, closing: watch::Receiver<bool>) -> Self {
        let started = Instant::now();
        Self {
            seed: config.seed,
            key: config.key,
            latency: config.latency,
            cache_minimum: config.cache_minimum,
            started,
            closing,
            log: Mutex::new(Log::new(config.keep_requests)),
            faults: Mutex::new(Faults::new(config.faults)),
            quotas: Mutex::new(Buckets::new(config.quotas, started)),
            answers: Mutex::new(config.answers),
            cache: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// The seed of a request: the same content for the n-th time gets the same, whatever else goes on.
    fn seed_of(&self, content: u64) -> u64 {
        let mut seen = locked(&self.seen);
        let times = seen.entry(content).or_default();
        *times += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, content, *times).hash(&mut hasher);
        hasher.finish()
    }
}

/// Returns when the stand-in is to end.
pub(crate) async fn closed(mut closing: watch::Receiver<bool>) {
    // An error means that the stand-in itself is gone.
    let _: Result<_, _> = closing.wait_for(|closing| *closing).await;
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .route("/v1/models", get(models))
        .route("/api/hello", get(async || "hello"))
        .fallback(async |uri: Uri| {
            Refusal::new(404, format!("no such endpoint: {}", uri.path())).respond("none", vec![])
        })
        .with_state(shared)
}

/// An answer other than 200.
#[derive(Debug)]
struct Refusal {
    status: u16,
    kind: &'static str,
    message: String,
    details: Option<Value>,
    retry_after: Option<String>,
}

/// The error type that belongs to a status.
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, kind: kind_of(status), message: message.into(), details: None, retry_after: None }
    }

    fn outcome(&self) -> Outcome {
        Outcome::Rejected { status: self.status, kind: self.kind.to_owned() }
    }

    fn respond(self, request_id: &str, mut headers: Vec<(String, String)>) -> Response {
        let mut error = json!({"type": self.kind, "message": self.message});
        if let Some(details) = self.details {
            error["details"] = details;
        }
        headers.push(("content-type".into(), "application/json".into()));
        headers.extend(self.retry_after.map(|wait| ("retry-after".into(), wait)));
        let body = json!({"type": "error", "error": error, "request_id": request_id});
        respond(self.status, request_id, headers, Body::from(body.to_string()))
    }
}

fn respond(status: u16, request_id: &str, headers: Vec<(String, String)>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers.into_iter().chain([("request-id".to_owned(), request_id.to_owned())]) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The header that a credential came in, and the credential.
fn credential(headers: &HeaderMap) -> Option<(&'static str, &str)> {
    let read = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    if let Some(key) = read("x-api-key") {
        return Some(("x-api-key", key));
    }
    read("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(|token| ("authorization", token))
}

fn check_headers(headers: &HeaderMap, key: Option<&str>) -> Result<(), Refusal> {
    let Some((_, given)) = credential(headers) else {
        return Err(Refusal::new(401, "x-api-key header is required"));
    };
    if key.is_some_and(|key| key != given) {
        return Err(Refusal::new(401, "invalid x-api-key"));
    }
    match headers.get("anthropic-version").map(HeaderValue::as_bytes) {
        Some(b"2023-06-01" | b"2023-01-01") => {}
        Some(_) => return Err(Refusal::new(400, "anthropic-version: is not a valid version")),
        None => return Err(Refusal::new(400, "anthropic-version: header is required")),
    }
    if !headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return Err(Refusal::new(400, "content-type: must be application/json"));
    }
    Ok(())
}

fn check_model(model: &str) -> Result<(), Refusal> {
    if model.starts_with("claude-") { Ok(()) } else { Err(Refusal::new(404, format!("model: {model}"))) }
}

async fn models(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if let Some(key) = shared.key.as_deref()
        && credential(request.headers()).is_none_or(|(_, given)| given != key)
    {
        return Refusal::new(401, "invalid x-api-key").respond("req_models", vec![]);
    }
    let data: Vec<Value> = MODELS
        .iter()
        .map(|(id, input, output)| {
            json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-09-01T00:00:00Z",
                "max_input_tokens": input, "max_tokens": output})
        })
        .collect();
    let body = json!({"data": data, "has_more": false, "first_id": MODELS[0].0, "last_id": MODELS[2].0});
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    respond(200, "req_models", headers, Body::from(body.to_string()))
}

async fn count_tokens(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let counted = async {
        check_headers(&parts.headers, shared.key.as_deref())?;
        let mut body = parse(read_body(body).await?)?;
        // This endpoint knows no `max_tokens`, but otherwise the same shape.
        if let Some(body) = body.as_object_mut() {
            body.entry("max_tokens").or_insert(json!(1));
        }
        request::read(&body, "").map_err(|reason| Refusal::new(400, reason))
    };
    match counted.await {
        Ok(question) => {
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            respond(200, "req_count", headers, Body::from(json!({"input_tokens": question.tokens}).to_string()))
        }
        Err(refusal) => refusal.respond("req_count", vec![]),
    }
}

async fn read_body(body: Body) -> Result<Bytes, Refusal> {
    axum::body::to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Refusal::new(413, "Request exceeds the maximum allowed number of bytes"))
}

fn parse(bytes: Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(&bytes).map_err(|_| Refusal::new(400, "The request body is not valid JSON"))
}

/// A request that is in flight. What became of it is written down when it is dropped.
#[derive(Debug)]
struct Flight {
    shared: Arc<Shared>,
    number: u64,
    outcome: Outcome,
}

impl Flight {
    fn sent(&self, output: u64) {
        if output > 0 {
            locked(&self.shared.quotas).sent(output, Instant::now());
            locked(&self.shared.log).add_tokens(self.number, TokenCount { output, ..TokenCount::default() });
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Abandoned);
        locked(&self.shared.log).leave(self.number, outcome);
    }
}

async fn messages(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let at = Timestamp::now();
    let since_start = shared.started.elapsed();
    let number = locked(&shared.log).enter();
    let request_id = format!("req_standin_{number:06}");
    let mut flight = Flight { shared: Arc::clone(&shared), number, outcome: Outcome::Abandoned };

    let (parts, body) = request.into_parts();
    let body = match read_body(body).await {
        Ok(bytes) => parse(bytes),
        Err(refusal) => Err(refusal),
    };
    let given = credential(&parts.headers);
    let body = body.map(Arc::new);
    if locked(&shared.log).keeps() {
        let received = Received {
            number,
            at,
            since_start,
            target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: without_credential(&parts.headers),
            credential: given.map(|(name, _)| name),
            body: body.as_ref().map_or_else(|_| Arc::new(Value::Null), Arc::clone),
            took: Duration::ZERO,
            outcome: Outcome::Open,
            tokens: TokenCount::default(),
        };
        locked(&shared.log).keep(received);
    }
    let checked = check_headers(&parts.headers, shared.key.as_deref()).and_then(|()| {
        let question = request::read(&*body?, given.map_or("", |(_, key)| key)).map_err(|r| Refusal::new(400, r))?;
        check_model(&question.model)?;
        Ok(question)
    });
    let response = match checked {
        Ok(question) => answer(&shared, &mut flight, &request_id, &question, since_start).await,
        Err(refusal) => Err(refusal),
    };
    match response {
        Ok(Ready { steps, stream }) => {
            let mut headers = locked(&shared.quotas).headers(Instant::now(), Timestamp::now());
            let kind = if stream { "text/event-stream; charset=utf-8" } else { "application/json" };
            headers.push(("content-type".into(), kind.into()));
            headers.push(("cache-control".into(), "no-cache".into()));
            respond(200, &request_id, headers, body_of(steps, flight))
        }
        Err(refusal) => {
            if flight.outcome == Outcome::Abandoned {
                flight.outcome = refusal.outcome();
            }
            let headers = locked(&shared.quotas).headers(Instant::now(), Timestamp::now());
            let redirect = match &flight.outcome {
                Outcome::Faulted(Fault::Redirect { to }) => Some(("location".to_owned(), to.clone())),
                _ => None,
            };
            refusal.respond(&request_id, headers.into_iter().chain(redirect).collect())
        }
    }
}

fn without_credential(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| *name != "x-api-key" && *name != header::AUTHORIZATION)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// An answer whose first token is due.
struct Ready {
    steps: Vec<Step>,
    stream: bool,
}

async fn answer(
    shared: &Shared,
    flight: &mut Flight,
    request_id: &str,
    question: &Question,
    since_start: Duration,
) -> Result<Ready, Refusal> {
    let seed = shared.seed_of(question.hash);
    let asked = Asked { number: flight.number, at: since_start, text: &question.text };
    let fault = locked(&shared.faults).pick(&asked, seed);
    if let Some(fault) = &fault {
        flight.outcome = Outcome::Faulted(fault.clone());
        if let Some(refusal) = refusal_of(fault, question.stream) {
            return Err(refusal);
        }
        if *fault == (Fault::Silence { mid_stream: false }) {
            closed(shared.closing.clone()).await;
            return Err(Refusal::new(503, "the stand-in is shut down"));
        }
    }
    let (first, rest) = shared.latency.draw(seed);
    let input = admit(shared, flight, question, first, fault.as_ref())?;
    let answer = choose(&locked(&shared.answers), question, seed, fault.as_ref());
    let message = Message { id: format!("msg_{request_id}"), model: &question.model, answer: &answer, input };
    if question.stream {
        tokio::time::sleep(first).await;
        let rhythm = Rhythm { rest, pieces: shared.latency.pieces, pace: shared.latency.pace };
        Ok(Ready { steps: message.stream(rhythm, fault.as_ref()), stream: true })
    } else {
        tokio::time::sleep(first + rest).await;
        Ok(Ready { steps: message.at_once(fault.as_ref()), stream: false })
    }
}

/// Takes what the request takes from the quotas, and counts its input.
fn admit(
    shared: &Shared,
    flight: &Flight,
    question: &Question,
    first: Duration,
    fault: Option<&Fault>,
) -> Result<Input, Refusal> {
    let now = Instant::now();
    let input = {
        let mut cache = locked(&shared.cache);
        let input = cache.look(question.tokens, &question.prefixes, shared.cache_minimum, now);
        locked(&shared.quotas).admit(input.fresh + input.written, now).map_err(|exceeded| {
            let message = format!("This request would exceed the rate limit for {}", exceeded.what);
            Refusal { retry_after: Some(exceeded.retry_after.to_string()), ..Refusal::new(429, message) }
        })?;
        // What an answer writes can be read once it has begun. One that never does leaves nothing.
        if !matches!(fault, Some(Fault::EmptyStream | Fault::CutStream { after_events: 0 | 1 })) {
            cache.keep(&question.prefixes, shared.cache_minimum, now, now + first);
        }
        input
    };
    let tokens = TokenCount { input: input.fresh, cache_read: input.read, cache_write: input.written, output: 0 };
    locked(&shared.log).add_tokens(flight.number, tokens);
    Ok(input)
}

/// The answer to a fault that is told by a status.
fn refusal_of(fault: &Fault, stream: bool) -> Option<Refusal> {
    let status = |status: u16| Some(Refusal::new(status, "on order"));
    match fault {
        Fault::RateLimited { retry_after } => Some(Refusal {
            retry_after: match retry_after {
                RetryAfter::Unsaid => None,
                RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
                RetryAfter::Date(seconds) => {
                    let wait = SignedDuration::from_secs(i64::try_from(*seconds).unwrap_or(i64::MAX));
                    let then = Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX);
                    Some(then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
                }
            },
            ..Refusal::new(429, "on order")
        }),
        Fault::Overloaded => status(529),
        Fault::Server => status(500),
        Fault::Unauthorized => status(401),
        Fault::LimitReached => Some(Refusal {
            details: Some(json!({"error_code": "enforced_spend_limit_reached"})),
            ..Refusal::new(429, "You have reached your spend limit")
        }),
        Fault::Status(code) => status(*code),
        Fault::Redirect { .. } => status(307),
        Fault::ErrorEvent { kind } if !stream => status(if kind == "overloaded_error" { 529 } else { 500 }),
        _ => None,
    }
}

struct Sending {
    steps: std::vec::IntoIter<Step>,
    pinging: Option<Duration>,
    flight: Flight,
    closing: watch::Receiver<bool>,
}

/// A body that does the steps one after the other.
fn body_of(steps: Vec<Step>, flight: Flight) -> Body {
    let closing = flight.shared.closing.clone();
    let sending = Sending { steps: steps.into_iter(), pinging: None, flight, closing };
    Body::from_stream(futures::stream::try_unfold(sending, next_bytes))
}

async fn next_bytes(mut sending: Sending) -> io::Result<Option<(Bytes, Sending)>> {
    let shut_down = || Err(io::Error::other("the stand-in is shut down"));
    loop {
        if let Some(every) = sending.pinging {
            return tokio::select! {
                () = tokio::time::sleep(every) => Ok(Some((ping(), sending))),
                () = closed(sending.closing.clone()) => shut_down(),
            };
        }
        match sending.steps.next() {
            Some(Step::Wait(wait)) => tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = closed(sending.closing.clone()) => return shut_down(),
            },
            Some(Step::Send { bytes, output_tokens }) => {
                sending.flight.sent(output_tokens);
                if sending.steps.len() == 0 {
                    finish(&mut sending.flight);
                }
                return Ok(Some((bytes, sending)));
            }
            Some(Step::Ping(every)) => sending.pinging = Some(every),
            Some(Step::Hang) => {
                closed(sending.closing.clone()).await;
                return shut_down();
            }
            Some(Step::Abort) => {
                // What was sent so far goes out first.
                tokio::task::yield_now().await;
                return Err(io::Error::other("cut on order"));
            }
            None => {
                finish(&mut sending.flight);
                return Ok(None);
            }
        }
    }
}

fn finish(flight: &mut Flight) {
    if flight.outcome == Outcome::Abandoned {
        flight.outcome = Outcome::Answered;
        locked(&flight.shared.log).answered(flight.number, flight.shared.started.elapsed());
    }
}
