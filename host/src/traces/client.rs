//! How spans get to the collector: our own HTTP client under the exporter of OpenTelemetry.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Url;
use reqwest::header::RETRY_AFTER;

/// So much of an answer is read, in bytes. A collector has little to say.
const LONGEST_ANSWER: usize = 64 << 10;

/// What came of a request that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// In words for the user, without the address and without headers.
    pub(super) said: String,
    /// Whether the same may be taken later.
    pub(super) passes: bool,
    /// How long it should be waited until then, where the collector says.
    pub(super) wait: Option<Duration>,
}

/// What came of the last request.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    /// Why it was not taken.
    pub(super) refused: Option<Refused>,
    /// The answer, where it was.
    pub(super) answer: Bytes,
}

/// Posts what the exporter gives it.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    last: Arc<Mutex<Last>>,
}

// Requests have credentials in their headers: nothing of them is shown.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// # Errors
    /// The system's certificates can't be read.
    pub(super) fn new(endpoint: &Url, timeout: Duration) -> Result<Self, String> {
        // Who has chosen another provider for the process keeps it.
        let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = reqwest::Client::builder()
                // Headers with credentials go to the named collector alone.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(concat!("convoke/", env!("CARGO_PKG_VERSION")))
                .timeout(timeout);
            // What is on this machine is not asked for through a proxy.
            let host = endpoint.host_str().unwrap_or_default();
            let local = host == "localhost"
                || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
            if local { builder.no_proxy() } else { builder }
        };
        let built = match endpoint.scheme() {
            // It needs no certificates, and perhaps there are none.
            "http" => builder().tls_certs_only([]).build(),
            _ => builder().build(),
        };
        let http = built.map_err(|error| root_cause(&error))?;
        Ok(Self { http, last: Arc::default() })
    }

    /// What came of the last request; none: there was none since this was asked.
    pub(super) fn last(&self) -> Last {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Refused> {
        let lost = |error: reqwest::Error| Refused { said: root_cause(&error), passes: true, wait: None };
        let request = reqwest::Request::try_from(request).map_err(|error| Refused { passes: false, ..lost(error) })?;
        let mut response = self.http.execute(request).await.map_err(lost)?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if answer.len() + chunk.len() > LONGEST_ANSWER {
                break;
            }
            answer.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            // Those that the protocol calls passing; what the collector says beside could repeat what was sent.
            let passes = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            let hint = match status.as_u16() {
                401 | 403 => "; look at OTEL_EXPORTER_OTLP_HEADERS",
                404 | 405 => "; the path of the endpoint may be wrong",
                _ => "",
            };
            return Err(Refused {
                said: format!("it answers {status}{hint}"),
                passes,
                wait: wait.map(Duration::from_secs),
            });
        }
        let mut taken = Response::new(Bytes::from(answer));
        *taken.status_mut() = status;
        Ok(taken)
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        async move {
            match self.post(request).await {
                Ok(response) => {
                    self.lock().answer = response.body().clone();
                    Ok(response)
                }
                Err(refused) => {
                    let said = refused.said.clone();
                    self.lock().refused = Some(refused);
                    Err(said.into())
                }
            }
        }
        .boxed()
    }
}

/// What is at the bottom of an error: it names no address and no header.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = match error.source() {
        Some(cause) => cause,
        None if error.is_timeout() => return "it does not answer in time".to_owned(),
        None => return "it can't be asked".to_owned(),
    };
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
