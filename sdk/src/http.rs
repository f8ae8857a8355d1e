//! Requests that a command sends: `task.fetch(&Fetch::get("https://api.osv.dev/v1/query"))`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::convoke::plugin::http::{self, Request};
use crate::bindings::convoke::plugin::worker;
use crate::call::utf8;
use crate::task::json;
use crate::{Error, Result};

/// A request, to be sent by [`Task::fetch`](crate::Task::fetch) or [`Call::fetch`](crate::Call::fetch).
///
/// The user grants each host by its exact name, and the methods that may be used there, as `plugin.toml` asks for them:
///
/// ```toml
/// [[capabilities.http]]
/// host = "api.osv.dev"           # with a port, where it is not 443: "localhost:8080"
/// methods = ["GET", "POST"]      # none: GET and HEAD
/// optional = true                # it does without: nobody is asked before a run, and a fetch that was not granted fails
/// ```
///
/// It goes by https, to a host of the public Internet; only a host that names the user's own machine is spoken to by http,
/// too. Redirects are followed, five at most, where the host they lead to is granted; another host gets no credentials.
/// Nothing of the user's goes with a request. An answer comes as it is, and compressed only if the request asked for that.
///
/// ```
/// # use convoke_sdk::prelude::*;
/// #[derive(Deserialize)]
/// struct Advisories {
///     #[serde(default)]
///     vulns: Vec<serde_json::Value>,
/// }
///
/// /// How many advisories there are for a package. They are good for an hour.
/// async fn count(task: &Task, package: &str) -> Result<usize> {
///     let query = serde_json::json!({ "package": { "name": package, "ecosystem": "crates.io" } });
///     let request = Fetch::post("https://api.osv.dev/v1/query").json(&query).lifetime(3_600);
///     Ok(task.fetch(&request).await?.checked()?.json::<Advisories>()?.vulns.len())
/// }
/// ```
#[derive(Clone)]
pub struct Fetch {
    raw: Request,
    lifetime: Option<u64>,
}

/// What a host answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status of HTTP; whatever it is, it is an answer.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    url: String,
}

impl Fetch {
    /// A request with a method, in capitals.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (headers, body, extra) = Default::default();
        Self { raw: Request { method: method.into(), url: url.into(), headers, body, extra }, lifetime: None }
    }

    /// Gets something.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Posts something: see [`body`](Self::body) and [`json`](Self::json).
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// One more header. Those of the connection are the host's: `Host`, `Content-Length`, `Connection` and their like.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.raw.headers.push((name.into(), value.into()));
        self
    }

    /// What is sent.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.raw.body = body.into();
        self
    }

    /// What is sent, as JSON.
    pub fn json<T: Serialize>(self, value: &T) -> Self {
        self.header("content-type", "application/json").body(json(value))
    }

    /// For how many seconds the answer is good: so long a later run may use the item's result instead of doing the item
    /// again. The shortest of an item counts. Without one, an item that fetched is done in each run, unless its partial says
    /// something else by `lifetime_s`.
    pub fn lifetime(mut self, seconds: u64) -> Self {
        self.lifetime = Some(seconds);
        self
    }

    /// For how long the answer is good.
    pub(crate) fn lifetime_s(&self) -> Option<u64> {
        self.lifetime
    }

    pub(crate) async fn send(&self, task: Option<&worker::Task>) -> Result<Response> {
        let http::Response { status, headers, body, extra: _ } = http::fetch(task, self.raw.clone()).await?;
        Ok(Response { status, headers, body, url: self.raw.url.clone() })
    }
}

impl Response {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The same, where the status is one of success.
    ///
    /// # Errors
    /// It is not; with the status, and the URL without its query.
    pub fn checked(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        Err(Error::new(format!("{} answered {}", self.place(), self.status)))
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(self) -> Result<String> {
        let place = self.place().to_owned();
        utf8(&place, self.body)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none that fits `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::new(format!("the answer of {} doesn't fit: {error}", self.place())))
    }

    /// The URL without what may be secret in it.
    fn place(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Response {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Response { status, headers, body: body.into(), url: "https://a.example/x?token=mine".to_owned() }
    }

    #[test]
    fn an_answer_is_checked_and_read() {
        assert_eq!(answered(204, "").checked().unwrap().status, 204);
        let error = answered(404, "").checked().unwrap_err();
        assert_eq!(error.message, "https://a.example/x answered 404");
        assert_eq!(answered(200, "[1, 2]").json::<Vec<u8>>().unwrap(), [1, 2]);
        assert!(answered(200, "{}").json::<Vec<u8>>().unwrap_err().message.contains("a.example/x doesn't fit"));
        assert_eq!(answered(200, "").header("Content-Type"), Some("application/json"));
        assert_eq!(answered(200, "text").text().unwrap(), "text");
    }

    #[test]
    fn a_request_is_put_together() {
        let fetch = Fetch::post("https://a.example/").header("accept", "*/*").json(&[1]).lifetime(60);
        assert_eq!(
            (fetch.raw.method.as_str(), fetch.raw.body.as_slice(), fetch.lifetime_s()),
            ("POST", &b"[1]"[..], Some(60))
        );
        assert_eq!(fetch.raw.headers.len(), 2);
    }
}
