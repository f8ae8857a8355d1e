//! What is asked over HTTP, and what is answered.
//!
//! | asked | answered |
//! |---|---|
//! | `GET /TOKEN/` | the page |
//! | `GET /TOKEN/assets/NAME` | a file of it |
//! | `GET /TOKEN/api/live?run=ID` | the runs that go on, and one of them, as server-sent events |
//! | `GET /TOKEN/api/state` | the runs that go on, once |
//! | `POST /TOKEN/api/control` | `{"run": "ID", "do": …}`: what `convoke ctl` does |
//! | `GET /TOKEN/api/runs` | the newest runs of the journal |
//! | `GET /TOKEN/api/runs/ID` | one of them: its timeline and its report |
//! | `GET /TOKEN/api/runs/ID/page` | the same as a file to keep |

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::assets;
use super::fleet::Fleet;
use super::guard::{Guard, protect};
use super::past::{Past, PastError};
use super::request::{Control, Failed};
use super::stream::Watching;
use crate::page::{Asset, PageError};

/// So many pages are told what is live at once.
const MOST_WATCHING: usize = 32;

/// The most bytes of what is posted.
const MOST_BYTES: usize = 16 * 1024;

/// What all requests share.
pub(super) struct App {
    guard: Guard,
    fleet: Fleet,
    past: Past,
    until: CancellationToken,
    watching: Arc<Semaphore>,
    /// By which pages know that another server answers.
    server: u32,
}

impl App {
    pub(super) fn new(guard: Guard, fleet: Fleet, past: Past, until: CancellationToken) -> Self {
        let watching = Arc::new(Semaphore::new(MOST_WATCHING));
        Self { guard, fleet, past, until, watching, server: rand::rng().random() }
    }
}

type Shared = State<Arc<App>>;

/// All that is answered, behind the guard.
pub(super) fn router(app: App) -> Router {
    let app = Arc::new(app);
    Router::new()
        .route("/{token}/", get(async || file(&assets::INDEX)))
        .route("/{token}/assets/{name}", get(asset))
        .route("/{token}/api/live", get(live))
        .route("/{token}/api/state", get(state))
        .route("/{token}/api/control", post(control))
        .route("/{token}/api/runs", get(runs))
        .route("/{token}/api/runs/{run}", get(run))
        .route("/{token}/api/runs/{run}/page", get(page))
        .fallback(async || not_found("nothing is here"))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(from_fn_with_state(Arc::clone(&app), guarded))
        .with_state(app)
}

/// Answers those who may ask, and binds the browser.
async fn guarded(State(app): Shared, request: Request, next: Next) -> Response {
    let mut response = match app.guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.status().into_response(),
    };
    protect(response.headers_mut());
    response
}

fn file(asset: &'static Asset) -> Response {
    ([(header::CONTENT_TYPE, asset.media_type)], asset.text).into_response()
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// As the sockets of runs say it.
fn failed(status: StatusCode, error: &str, hint: Option<&str>) -> Response {
    json(status, &json!({ "ok": false, "error": error, "hint": hint }))
}

fn not_found(what: &str) -> Response {
    failed(StatusCode::NOT_FOUND, what, None)
}

async fn asset(Path((_, name)): Path<(String, String)>) -> Response {
    assets::find(&name).map_or_else(|| not_found("there is no such file"), file)
}

async fn state(State(app): Shared) -> Response {
    json(StatusCode::OK, &json!({ "runs": app.fleet.briefs() }))
}

/// A value of the query. Ids and numbers are all that is asked for, so nothing in one is written otherwise than it is.
fn asked<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

async fn live(State(app): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&app.watching).try_acquire_owned() else {
        let hint = "close some of the pages that show it";
        return failed(StatusCode::SERVICE_UNAVAILABLE, "too many pages watch at once", Some(hint));
    };
    // A page can't set the header the first time.
    let (run, seen) = (asked(&uri, "run").map(str::to_owned), asked(&uri, "seen").map(str::to_owned));
    let last = headers.get("last-event-id").and_then(|seen| seen.to_str().ok()).map(str::to_owned);
    let (fleet, until) = (app.fleet.clone(), app.until.clone());
    Watching { fleet, run, until, server: app.server, seen: last.or(seen), _place: place }.answer().into_response()
}

/// A page of somebody else can't send JSON without being asked whether it may, and it may not.
fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok());
    said.and_then(|said| said.split(';').next())
        .is_some_and(|said| said.trim().eq_ignore_ascii_case("application/json"))
}

async fn control(State(app): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if !is_json(&headers) {
        return failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a control is a JSON object", None);
    }
    let control = match Control::read(&body) {
        Ok(control) => control,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &format!("this is no control: {error}"), None),
    };
    let socket = app.fleet.look(&control.run, |run| run.is_heard().then(|| run.socket.clone())).flatten();
    let Some(socket) = socket else {
        return failed(StatusCode::NOT_FOUND, "this run does not go on, so nothing of it can be changed", None);
    };
    match control.send(&socket).await {
        Ok(answer) => {
            let status = if answer["ok"] == true { StatusCode::OK } else { StatusCode::CONFLICT };
            json(status, &answer)
        }
        Err(error @ Failed::Silent) => failed(StatusCode::GATEWAY_TIMEOUT, &error.to_string(), None),
        Err(error @ Failed::Unreachable(_)) => failed(StatusCode::BAD_GATEWAY, &error.to_string(), None),
    }
}

async fn runs(State(app): Shared, uri: Uri) -> Response {
    let most = asked(&uri, "most").and_then(|most| most.parse().ok());
    match app.past.list(most).await {
        Ok(list) => json(StatusCode::OK, &list),
        Err(error) => failed_past(&error),
    }
}

async fn run(State(app): Shared, Path((_, run)): Path<(String, String)>) -> Response {
    match app.past.run(&run).await {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => failed_past(&error),
    }
}

async fn page(State(app): Shared, Path((_, run)): Path<(String, String)>) -> Response {
    match app.past.page(&run).await {
        // It is kept, and not shown here: its scripts are inside of it, which no page of this server may have.
        Ok(text) => {
            let name = format!("attachment; filename=\"convoke-{run}.html\"");
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_DISPOSITION, &name)], text)
                .into_response()
        }
        Err(error) => failed_past(&error),
    }
}

fn failed_past(error: &PastError) -> Response {
    let status = match error {
        PastError::NoSuchRun => StatusCode::NOT_FOUND,
        PastError::Page(PageError::Nothing(_)) => StatusCode::GONE,
        PastError::Journal(_) | PastError::Page(_) | PastError::Unwritable(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    failed(status, &error.to_string(), error.hint())
}
