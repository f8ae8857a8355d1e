//! The way of a request: checked, counted, sent, followed where it is redirected, and bounded in all that it can take.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use convoke_runtime::quota::named::Use;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Client, ClientBuilder, Method};
use tokio::time::{Instant, timeout};

use super::error::HttpError;
use super::proxy::Proxy;
use super::redirect::MOST_REDIRECTS;
use super::request::{Checked, Request, Response};
use super::sites::Sites;
use crate::config::Http;
use crate::plugin::operations::{Kind, Operation, Operations};
use crate::plugin::outside::address::{OutOfReach, Reach};
use crate::plugin::outside::quotas::{Quotas, Told};

/// The most bytes of all headers of an answer.
const MOST_HEADER_BYTES: usize = 64 << 10;

/// Who asks, where a plugin does not say so itself.
const AGENT: &str = concat!("convoke/", env!("CARGO_PKG_VERSION"));

/// Clouds of which a change counts as a write in one.
const CLOUDS: [&str; 4] = [".azure.com", ".amazonaws.com", ".googleapis.com", ".cloudflare.com"];

/// Makes a client for a reach; with `false`, one that never speaks TLS.
type Make = dyn Fn(Reach, bool) -> ClientBuilder + Send + Sync;

/// Fetches for a plugin. Clones share their connections.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    limits: Http,
    operations: Operations,
    quotas: Quotas,
    proxy: Result<Option<Proxy>, String>,
    make: Box<Make>,
    public: Ready,
    loopback: Ready,
    plain: Ready,
}

/// A client that is made when it is first needed: looking up the system's certificates takes its time.
type Ready = OnceLock<Result<Client, String>>;

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Fetcher").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Default for Fetcher {
    /// With the default limits, for itself.
    fn default() -> Self {
        Self::new(Http::default(), Operations::default(), Quotas::default(), Ok(None))
    }
}

impl Fetcher {
    /// One with these limits, that counts with all others of these operations and quotas. `proxy`: what the user's
    /// environment names for https, or what is wrong with that: then nothing is fetched.
    pub fn new(limits: Http, operations: Operations, quotas: Quotas, proxy: Result<Option<Proxy>, String>) -> Self {
        let through = proxy.clone().ok().flatten();
        let make = move |reach: Reach, encrypted: bool| {
            let client = match through.as_ref().filter(|_| reach == Reach::Public) {
                Some(proxy) => proxy.client(reach),
                None => reach.client(),
            };
            // Certificates are not needed then, nor perhaps there.
            if encrypted { client } else { client.tls_certs_only([]) }
        };
        let (public, loopback, plain) = Default::default();
        let make = Box::new(make);
        Self(Arc::new(Inner { limits, operations, quotas, proxy, make, public, loopback, plain }))
    }

    /// The same, with other clients.
    #[cfg(test)]
    pub(super) fn made_by(
        limits: Http,
        quotas: Quotas,
        make: impl Fn(Reach, bool) -> ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        let (public, loopback, plain) = Default::default();
        let (operations, proxy, make) = (Operations::default(), Ok(None), Box::new(make));
        Self(Arc::new(Inner { limits, operations, quotas, proxy, make, public, loopback, plain }))
    }

    /// Sends a request, and follows where it is redirected.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub(super) async fn fetch(
        &self,
        sites: &Sites,
        request: Request,
        told: Told<'_>,
        heard: Heard<'_>,
    ) -> Result<Response, HttpError> {
        let inner = &self.0;
        let mut request = Checked::of(request)?;
        let mut came: Option<(Reach, String)> = None;
        let mut left = inner.limits.timeout;
        for _ in 0..=MOST_REDIRECTS {
            let from = came.as_ref().map(|(_, host)| host.as_str());
            let reach = sites.way(&request.url, request.method, from)?;
            let host = request.url.host_str().unwrap_or_default().to_owned();
            if let (Some((Reach::Public, from)), Reach::Loopback) = (&came, reach) {
                return Err(HttpError::Inward { from: from.clone(), to: host });
            }
            // Waiting for others is not the host's slowness.
            inner.quotas.take(Use::Fetch { host: &host, method: request.method }, told).await?;
            let _operation = begin(&inner.operations, &host, request.method).await;
            let began = Instant::now();
            let sent = timeout(left, inner.send(reach, &host, &request)).await;
            let taken = began.elapsed();
            left = left.saturating_sub(taken);
            let sent = sent.unwrap_or(Err(HttpError::Slow { host: host.clone(), limit: inner.limits.timeout }));
            tell((told, heard), &request, &host, &sent, taken);
            match sent? {
                Sent::Answer(answer) => return Ok(answer),
                Sent::Redirect(next, _) => (request, came) = (*next, Some((reach, host))),
            }
        }
        Err(HttpError::Redirects { host: came.map(|(_, host)| host).unwrap_or_default() })
    }
}

/// Whether a request may be sent at all: its shape, and the grant.
pub(super) fn check(sites: &Sites, request: Request) -> Result<(), HttpError> {
    let request = Checked::of(request)?;
    sites.way(&request.url, request.method, None).map(drop)
}

/// One request of a fetch, when it has ended.
pub(super) struct Hop<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    /// In words.
    pub(super) became: &'a str,
}

/// Hears of each.
pub(super) type Heard<'a> = &'a (dyn Fn(Hop<'_>) + Sync);

/// What came of one request.
enum Sent {
    Answer(Response),
    Redirect(Box<Checked>, u16),
}

impl Inner {
    async fn send(&self, reach: Reach, host: &str, request: &Checked) -> Result<Sent, HttpError> {
        if reach == Reach::Public
            && let Some(proxy) = self.proxy.as_ref().map_err(|why| HttpError::Client(why.clone()))?
        {
            proxy.check(host).await?;
        }
        let client = self.client(reach, request.url.scheme() == "https")?;
        // All that `request` allows is a method.
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::BadMethod { method: request.method.to_owned() })?;
        let mut headers = request.headers.clone();
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let mut sending = client.request(method, request.url.clone()).headers(headers);
        if !request.body.is_empty() {
            sending = sending.body(request.body.clone());
        }
        let mut answer = sending.send().await.map_err(|error| failed(host, &error))?;
        let status = answer.status();
        if let Some(next) = request.redirected(status, answer.headers())? {
            return Ok(Sent::Redirect(Box::new(next), status.as_u16()));
        }
        let headers = headers_of(host, answer.headers())?;
        let limit = self.limits.most_response_bytes;
        let endless = || HttpError::Endless { host: host.to_owned(), limit };
        if request.method != "HEAD" && answer.content_length().is_some_and(|length| length > limit) {
            return Err(endless());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(host, &error))? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(endless());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Sent::Answer(Response { status: status.as_u16(), headers, body }))
    }

    fn client(&self, reach: Reach, encrypted: bool) -> Result<&Client, HttpError> {
        let ready = match (reach, encrypted) {
            (Reach::Public, _) => &self.public,
            (Reach::Loopback, true) => &self.loopback,
            (Reach::Loopback, false) => &self.plain,
        };
        let made = ready.get_or_init(|| {
            // `ring` needs no more than a C compiler. Who has chosen another provider for the process keeps it.
            let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
            (self.make)(reach, encrypted).build().map_err(|error| root_cause(&error))
        });
        made.as_ref().map_err(|why| HttpError::Client(why.clone()))
    }
}

/// Waits until one more may be sent.
async fn begin(operations: &Operations, host: &str, method: &str) -> Option<Operation> {
    // Only what is exclusive can fail to begin.
    operations.begin(kind_of(host, method), |_| {}).await.ok()
}

/// What a request counts as.
fn kind_of(host: &str, method: &str) -> Kind {
    let is_write = !matches!(method, "GET" | "HEAD" | "OPTIONS") && CLOUDS.iter().any(|cloud| host.ends_with(cloud));
    if is_write { Kind::CloudWrite } else { Kind::Fetch }
}

fn headers_of(host: &str, headers: &HeaderMap) -> Result<Vec<(String, String)>, HttpError> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MOST_HEADER_BYTES {
        return Err(HttpError::Headers { host: host.to_owned(), limit: MOST_HEADER_BYTES });
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect())
}

fn failed(host: &str, error: &reqwest::Error) -> HttpError {
    match OutOfReach::among(error) {
        Some(found) => HttpError::OutOfReach(found.clone()),
        // Its own words hold the URL, and with it what a plugin sends.
        None => HttpError::Failed { host: host.to_owned(), why: root_cause(error) },
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// One line of each request: nothing of its path, headers or body, which may hold what is secret.
fn tell(
    (told, heard): (Told<'_>, Heard<'_>),
    request: &Checked,
    host: &str,
    sent: &Result<Sent, HttpError>,
    taken: Duration,
) {
    let what = match sent {
        Ok(Sent::Answer(answer)) => format!("{}, {} bytes", answer.status, answer.body.len()),
        Ok(Sent::Redirect(next, status)) => format!("{status}, to {}", next.url.host_str().unwrap_or_default()),
        Err(error) => error.to_string(),
    };
    told("info", format!("{} {host}: {what} ({} ms)", request.method, taken.as_millis()));
    heard(Hop { method: request.method, host, became: &what });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_a_cloud_counts_as_one() {
        for (host, method, kind) in [
            ("management.azure.com", "PUT", Kind::CloudWrite),
            ("management.azure.com", "GET", Kind::Fetch),
            ("s3.amazonaws.com", "DELETE", Kind::CloudWrite),
            ("notazure.com", "PUT", Kind::Fetch),
            ("api.github.com", "POST", Kind::Fetch),
        ] {
            assert_eq!(kind_of(host, method), kind, "{method} {host}");
        }
    }
}
