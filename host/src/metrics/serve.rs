//! `/metrics` over HTTP, while a command runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
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
    let visitors = Visitors::at(tokio::net::TcpListener::from_std(listener)?);
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(async || "convoke: the numbers are at /metrics\n"))
        .with_state(shared);
    Ok(tokio::spawn(async move {
        // It only ends with the process.
        let _ = axum::serve(visitors, router).await;
    }))
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
