//! The Messages API of Anthropic, over HTTP.
//!
//! One question is one `POST /v1/messages`, streamed. Nothing is tried again here, no redirect is followed with the
//! key, and an answer counts only when the stream said `message_stop`. The way of a question: [`wire`] makes the body,
//! [`error`] reads every response that is no stream, [`stream`] reads the stream.

mod error;
mod headers;
mod hint;
mod models;
mod patience;
mod schema;
mod stream;
mod wire;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use self::hint::{Way, root_cause};
use super::{Answer, Backend, Instance, Listener, Profile, Request};
use crate::question::{Failure, FailureKind};

/// The version of the API that is spoken.
const API_VERSION: &str = "2023-06-01";
const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the backend can't be used although a key is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// `ANTHROPIC_BASE_URL` can't be used.
    #[error("ANTHROPIC_BASE_URL {0}")]
    BaseUrl(&'static str),
    /// The key or token can't stand in a header.
    #[error("{0} holds a character that no key has: is it complete, and on one line?")]
    Key(&'static str),
    /// The client can't be made: mostly, no certificate authority is installed.
    #[error("can't prepare an encrypted connection: {0}. Are the system's CA certificates installed?")]
    Client(String),
}

/// The backend `anthropic`.
#[derive(Debug)]
pub struct Anthropic {
    connection: Arc<Connection>,
    account: String,
}

impl Anthropic {
    /// From `ANTHROPIC_API_KEY`, else `ANTHROPIC_AUTH_TOKEN` (sent as a bearer token), and `ANTHROPIC_BASE_URL` where it
    /// is set: `https`, or `http` on this machine. Without a key there is nothing to set up: none.
    ///
    /// Proxies are taken from the environment of the process, but not for a base URL without encryption.
    ///
    /// # Errors
    ///
    /// See [`SetupError`]. None of them tells the key.
    pub fn from_environment(env: impl Fn(&str) -> Option<String>) -> Option<Result<Self, SetupError>> {
        let read = |name: &'static str| {
            let value = env(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        let (name, key) = read("ANTHROPIC_API_KEY").or_else(|| read("ANTHROPIC_AUTH_TOKEN"))?;
        let base_url = read("ANTHROPIC_BASE_URL").map(|(_, url)| url);
        let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let proxy = proxies.into_iter().find_map(read).map(|(name, _)| name);
        Some(Self::new(name, key, base_url.as_deref(), proxy))
    }

    fn new(
        name: &'static str,
        key: String,
        base_url: Option<&str>,
        proxy: Option<&'static str>,
    ) -> Result<Self, SetupError> {
        let base = BaseUrl::parse(base_url.unwrap_or(DEFAULT_BASE_URL))?;
        let way = Way { by_base_url: base_url.is_some(), proxy: proxy.filter(|_| base.encrypted) };
        let mut headers = HeaderMap::new();
        let (header, text) = match name {
            "ANTHROPIC_API_KEY" => (HeaderName::from_static("x-api-key"), key.clone()),
            _ => (AUTHORIZATION, format!("Bearer {key}")),
        };
        let mut credential = HeaderValue::try_from(text).map_err(|_| SetupError::Key(name))?;
        credential.set_sensitive(true);
        headers.insert(header, credential);
        headers.insert("anthropic-version", HeaderValue::from_static(API_VERSION));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("convoke/", env!("CARGO_PKG_VERSION"))));

        let hash = Sha256::new().chain_update(&base.messages).chain_update([0]).chain_update(&key).finalize();
        let account = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let client = client(&base)?;
        let connection = Connection { client, url: base.messages, host: base.host, way, headers, key };
        Ok(Self { connection: Arc::new(connection), account })
    }
}

impl Backend for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn caches_prompts(&self) -> bool {
        true
    }

    fn input_bytes(&self, request: &Request) -> u64 {
        wire::input_bytes(request)
    }

    fn start<'a>(&'a self, _profile: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        let slot: Box<dyn Instance> = Box::new(Slot(Arc::clone(&self.connection)));
        std::future::ready(Ok(slot)).boxed()
    }
}

/// Where the API is.
struct BaseUrl {
    messages: String,
    host: String,
    encrypted: bool,
}

impl BaseUrl {
    fn parse(text: &str) -> Result<Self, SetupError> {
        let url = Url::parse(text).map_err(|_| SetupError::BaseUrl("is not a URL"))?;
        let host = url.host_str().ok_or(SetupError::BaseUrl("names no host"))?.to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SetupError::BaseUrl("holds a user name or password: only the key is sent"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SetupError::BaseUrl(
                "should end after the path: the key would be sent with what follows `?` or `#`",
            ));
        }
        let encrypted = match url.scheme() {
            "https" => true,
            "http" if is_loopback(&host) => false,
            "http" => return Err(SetupError::BaseUrl("must be https: the key would be sent unencrypted")),
            _ => return Err(SetupError::BaseUrl("must be https")),
        };
        let messages = format!("{}/v1/messages", url.as_str().trim_end_matches('/'));
        Ok(Self { messages, host, encrypted })
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn client(base: &BaseUrl) -> Result<Client, SetupError> {
    // `ring` needs no more than a C compiler. Who has chosen another provider for the process keeps it.
    let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(60))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_adaptive_window(true);
    let builder = if base.encrypted {
        builder.https_only(true)
    } else {
        // A proxy would see the key; and certificates are not needed, nor perhaps there.
        builder.no_proxy().tls_certs_only([])
    };
    builder.build().map_err(|error| SetupError::Client(root_cause(&error)))
}

/// What all instances share. The client keeps the connections.
struct Connection {
    client: Client,
    url: String,
    host: String,
    way: Way,
    headers: HeaderMap,
    key: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An instance of this backend: nothing but the right to ask.
struct Slot(Arc<Connection>);

impl Instance for Slot {
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        self.0.ask(request, listener).boxed()
    }
}

impl Connection {
    async fn ask(&self, request: &Request, listener: Listener<'_>) -> Result<Answer, Failure> {
        if let Some(tool) = request.tools.first() {
            let message = format!("the backend `anthropic` has no tools, and the question wants `{tool}`");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let now = Instant::now();
        let deadline = now.checked_add(request.timeout).unwrap_or_else(|| now + Duration::from_secs(86_400));
        let body = wire::body(request).map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))?;
        let sending = self.client.post(&self.url).headers(self.headers.clone()).body(body).send();
        let mut response = match timeout_at(deadline, sending).await {
            Err(_) => return Err(self.timed_out(request)),
            Ok(Err(error)) => return Err(self.not_sent(&error)),
            Ok(Ok(response)) => response,
        };

        let limits = headers::limits(response.headers());
        let request_id = headers::request_id(response.headers(), &self.key);
        let told = |mut failure: Failure| {
            failure.limits = limits;
            if let Some(id) = &request_id {
                failure.message = format!("{} (request {id})", failure.message);
            }
            failure
        };
        let status = response.status();
        if status != StatusCode::OK {
            // A body that never ends does not make the status less true.
            let body = timeout_at(deadline, error::body(&mut response)).await.unwrap_or_default();
            let failure = error::of_status(status.as_u16(), response.headers(), &body, &self.key, Timestamp::now());
            return Err(told(failure));
        }
        if !headers::is_event_stream(response.headers()) {
            let message =
                format!("{} answered, but not as the Messages API does: is ANTHROPIC_BASE_URL right?", self.host);
            return Err(told(Failure { reached_model: true, ..Failure::new(FailureKind::Malformed, message) }));
        }
        let mut answer = stream::read(response, request, deadline, &self.key, listener).await.map_err(told)?;
        answer.limits = limits;
        Ok(answer)
    }

    fn timed_out(&self, request: &Request) -> Failure {
        let message = format!("no answer from {} within {} s", self.host, seconds(request.timeout));
        Failure { reached_model: true, ..Failure::new(FailureKind::TimedOut, message) }
    }

    fn not_sent(&self, error: &reqwest::Error) -> Failure {
        let cause = headers::clean(&root_cause(error), &self.key, 200);
        if let Some(hint) = hint::of_tls(error) {
            let message = format!("no encrypted connection to {}: {cause}. {hint}", self.host);
            return Failure::new(FailureKind::Invalid, message);
        }
        let message = if error.is_connect() {
            format!("can't connect to {}: {cause}. {}", self.host, self.way.hint())
        } else {
            format!("the connection to {} broke before an answer began: {cause}", self.host)
        };
        // Only a connection that was never made rules out that somebody has read the request.
        Failure { reached_model: !error.is_connect(), ..Failure::new(FailureKind::Network, message) }
    }
}

/// Whole seconds where they are whole: `120`, `0.05`.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ant-a-key-that-must-not-be-seen";

    fn from(variables: &[(&str, &str)]) -> Option<Result<Anthropic, SetupError>> {
        let variables: Vec<(String, String)> = variables.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Anthropic::from_environment(|name| variables.iter().find(|(k, _)| k == name).map(|(_, value)| value.clone()))
    }

    const LOCAL: (&str, &str) = ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9/");

    #[test]
    fn without_a_key_there_is_no_backend() {
        assert!(from(&[]).is_none());
        assert!(from(&[LOCAL, ("ANTHROPIC_API_KEY", "  ")]).is_none());
    }

    #[test]
    fn the_key_goes_before_the_token_and_each_into_its_header() {
        let by_key =
            from(&[LOCAL, ("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_AUTH_TOKEN", "t")]).expect("a key").expect("set up");
        assert_eq!(by_key.connection.headers["x-api-key"], KEY);
        assert!(!by_key.connection.headers.contains_key(AUTHORIZATION));
        let by_token = from(&[LOCAL, ("ANTHROPIC_AUTH_TOKEN", "t0k\n")]).expect("a token").expect("set up");
        assert_eq!(by_token.connection.headers[AUTHORIZATION], "Bearer t0k");
        assert!(!by_token.connection.headers.contains_key("x-api-key"));
    }

    #[test]
    fn neither_debug_nor_account_tell_the_key_and_the_account_depends_on_key_and_place() {
        let one = from(&[LOCAL, ("ANTHROPIC_API_KEY", KEY)]).expect("a key").expect("set up");
        let other = from(&[LOCAL, ("ANTHROPIC_API_KEY", "another")]).expect("a key").expect("set up");
        let elsewhere = ("ANTHROPIC_BASE_URL", "http://127.0.0.1:10");
        let elsewhere = from(&[elsewhere, ("ANTHROPIC_API_KEY", KEY)]).expect("a key").expect("set up");
        assert!(!format!("{one:?} {:?}", one.connection.headers).contains(KEY));
        assert_eq!(one.account().len(), 16);
        assert_ne!(one.account(), other.account());
        assert_ne!(one.account(), elsewhere.account());
    }

    #[test]
    fn a_base_url_that_would_give_the_key_away_is_refused_by_what_is_wrong_with_it() {
        let cases = [
            ("http://example.com", "must be https"),
            ("http://127.0.0.1.example.com", "must be https"),
            ("ftp://example.com", "must be https"),
            ("example.com", "is not a URL"),
            ("https://user:pass@example.com", "user name"),
            ("https://example.com/?to=x", "after the path"),
        ];
        for (url, reason) in cases {
            let error =
                from(&[("ANTHROPIC_BASE_URL", url), ("ANTHROPIC_API_KEY", KEY)]).expect("a key").expect_err(url);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(!format!("{error:?} {error}").contains(KEY));
        }
        for url in ["http://localhost:1", "http://[::1]:1", "http://127.0.0.1:1/prefix/"] {
            assert!(BaseUrl::parse(url).is_ok(), "{url}");
        }
        let base = BaseUrl::parse("https://example.com/prefix/").ok().map(|base| base.messages);
        assert_eq!(base.as_deref(), Some("https://example.com/prefix/v1/messages"));
    }

    #[test]
    fn a_key_with_a_line_break_inside_is_refused_without_being_shown() {
        let error = from(&[LOCAL, ("ANTHROPIC_API_KEY", "sk-ant\n-secret")]).expect("a key").expect_err("a broken key");
        assert_eq!(error, SetupError::Key("ANTHROPIC_API_KEY"));
        assert!(!error.to_string().contains("secret"));
    }
}
