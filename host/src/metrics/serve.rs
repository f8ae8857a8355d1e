//! `/metrics` over HTTP, while a command runs.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::task::JoinHandle;

use super::visitors::Visitors;
use super::{Shared, text};

/// Opens the place where it is served. Nothing is answered yet.
///
/// # Errors
/// What the system says.
pub(super) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers from now on, until the handle is aborted.
///
/// # Errors
/// What the system says.
pub(super) fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let visitors = Visitors::at(tokio::net::TcpListener::from_std(listener)?);
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(async || "convoke: the numbers are at /metrics\n"))
        .with_state(shared);
    let router = if is_local { router.layer(from_fn(by_its_own_names)) } else { router };
    Ok(tokio::spawn(async move {
        // It only ends with the process.
        let _ = axum::serve(visitors, router).await;
    }))
}

/// A page in a browser may have its own name lead to this machine: what it asks for then is not given.
async fn by_its_own_names(request: Request, next: Next) -> Response {
    if names_another(request.headers()) {
        return (StatusCode::FORBIDDEN, "this is served under the names of this machine only\n").into_response();
    }
    next.run(request).await
}

/// Whether somebody asks for a host that is not this machine.
fn names_another(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return false };
    let host = host.to_str().unwrap_or_default();
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name != "localhost" && !bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.text() {
        Ok(text) => {
            let kind = HeaderValue::from_static(text::CONTENT_TYPE);
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, HeaderValue::from_static("no-store"))], text).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the numbers can't be written: {error}\n")).into_response()
        }
    }
}
