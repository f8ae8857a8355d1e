//! HTTP as far as a stranger's server is trusted: bounded in bytes and time, encrypted, and only to addresses that may
//! be connected to, also where the server sends on.
//!
//! Behind a proxy it is the proxy that resolves names and connects: then only what a URL itself says is looked at here.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::address::{is_forbidden, is_loopback, is_loopback_host, is_public, literal};
use super::error::place;
use super::{Access, SourceError};
use crate::plugin::printable;

/// How often a server may send on.
const MOST_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may come.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Which hosts may be connected to.
#[derive(Clone, Debug)]
struct Guard {
    /// Whether this machine is one of them: the user typed it.
    loopback: bool,
    /// Those that the user says may be at private addresses.
    private_hosts: Vec<String>,
    /// The hosts of the user's proxies, wherever they are.
    proxies: Vec<String>,
}

/// An address that may not be connected to, as the client's resolver tells it.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}")]
struct Refused {
    host: String,
    address: IpAddr,
}

impl Guard {
    fn may(&self, host: &str, address: IpAddr) -> bool {
        if is_forbidden(address) {
            return false;
        }
        let listed = self.private_hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        // A name of somebody else that leads here is not this machine's.
        let own = self.loopback && is_loopback(address) && (host == "localhost" || literal(host).is_some());
        is_public(address) || listed || own
    }

    fn check(&self, url: &Url) -> Result<(), SourceError> {
        let wrong = |why| SourceError::Url { url: place(url), why };
        let host = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds a user name or password"));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback_host(url) => {}
            "http" => return Err(SourceError::NotHttps { url: place(url) }),
            _ => return Err(wrong("it is neither https nor http")),
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = literal(host).or_else(|| is_loopback_host(url).then_some(IpAddr::from([127, 0, 0, 1])));
        match address {
            Some(address) if !self.may(bare, address) => Err(refused(host, address)),
            _ => Ok(()),
        }
    }
}

fn refused(host: &str, address: IpAddr) -> SourceError {
    SourceError::PrivateAddress { host: printable(host, 100), address, never: is_forbidden(address) }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            if guard.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(host)) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let (may, not): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| guard.may(host, one.ip()));
            match (may.is_empty(), not.first()) {
                (true, Some(first)) => Err(Refused { host: host.to_owned(), address: first.ip() }.into()),
                _ => Ok(Box::new(may.into_iter()) as Addrs),
            }
        })
    }
}

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    /// The media types that are understood.
    pub(super) accept: Option<&'a str>,
    /// Sent to the host of `url`, and to no other.
    pub(super) credentials: Option<HeaderValue>,
    /// What is sent, with its media type.
    pub(super) body: Option<(&'a str, Vec<u8>)>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, accept: None, credentials: None, body: None }
    }
}

/// A client for what one source needs.
#[derive(Debug)]
pub(super) struct Web {
    client: Client,
    guard: Arc<Guard>,
}

impl Web {
    /// `first` is the address that was typed, or that a project named.
    pub(super) fn new(first: &Url, access: &Access) -> Result<Self, SourceError> {
        let guard = Arc::new(Guard {
            loopback: access.typed && is_loopback_host(first),
            private_hosts: access.private_hosts.clone(),
            proxies: proxies(|name| std::env::var(name).ok()),
        });
        guard.check(first)?;
        // Who has chosen another provider for the process keeps it.
        let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(concat!("convoke/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(STALL_TIMEOUT)
                .dns_resolver(Arc::clone(&guard));
            // What is on this machine is not asked for through a proxy.
            if guard.loopback { builder.no_proxy() } else { builder }
        };
        let built = match builder().build() {
            // A registry on this machine needs no certificates, and perhaps there are none.
            Err(_) if guard.loopback => builder().tls_certs_only([]).build(),
            built => built,
        };
        let client = built.map_err(|error| SourceError::Client(root_cause(&error)))?;
        Ok(Self { client, guard })
    }

    /// Whether a URL may be asked for.
    pub(super) fn check(&self, url: &Url) -> Result<(), SourceError> {
        self.guard.check(url)
    }

    /// Asks. Where the server sends on, that is followed, for what changes nothing; what was asked with credentials is
    /// asked without them at another host, and stays so.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Response, SourceError> {
        let Ask { method, mut url, accept, mut credentials, body } = ask;
        let first = url.clone();
        self.guard.check(&url)?;
        let sent_on = |why| SourceError::SentOn { from: place(&first), why: Box::new(why) };
        for hop in 0..=MOST_REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(accept) = accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some(credentials) = &credentials {
                request = request.header(AUTHORIZATION, credentials.clone());
            }
            if let Some((kind, bytes)) = &body {
                request = request.header(CONTENT_TYPE, *kind).body(bytes.clone());
            }
            let response = request.send().await.map_err(|error| {
                let error = not_sent(&url, &error);
                if hop == 0 { error } else { sent_on(error) }
            })?;
            let changes_nothing = method == Method::GET || method == Method::HEAD;
            if !changes_nothing || !is_redirect(response.status()) {
                return Ok(response);
            }
            let next = location(response.headers(), &url);
            let next = next
                .ok_or_else(|| SourceError::Redirects { url: place(&url), why: "sends on without saying where to" })?;
            self.guard.check(&next).map_err(sent_on)?;
            if next.origin() != url.origin() {
                credentials = None;
            }
            url = next;
        }
        Err(SourceError::Redirects { url: place(&first), why: "sends on and on" })
    }
}

/// Where a response points to.
pub(super) fn location(headers: &HeaderMap, url: &Url) -> Option<Url> {
    url.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Reads what comes, and no more than so many bytes of it.
pub(super) async fn body(mut response: Response, what: &str, most: u64) -> Result<Vec<u8>, SourceError> {
    let said = response.content_length();
    if said.is_some_and(|size| size > most) {
        return Err(SourceError::TooLarge { what: what.to_owned(), size: said, limit: most });
    }
    let mut bytes = Vec::new();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(bytes),
            Err(error) if error.is_timeout() => {
                return Err(SourceError::TimedOut { what: what.to_owned(), seconds: STALL_TIMEOUT.as_secs() });
            }
            Err(_) => return Err(SourceError::CutShort { what: what.to_owned(), got: bytes.len() as u64, of: said }),
        };
        if bytes.len() as u64 + chunk.len() as u64 > most {
            return Err(SourceError::TooLarge { what: what.to_owned(), size: None, limit: most });
        }
        bytes.extend_from_slice(&chunk);
    }
}

fn not_sent(url: &Url, error: &reqwest::Error) -> SourceError {
    let host = || printable(url.host_str().unwrap_or_default(), 100);
    if let Some(Refused { host, address }) = cause::<Refused>(error) {
        return refused(host, *address);
    }
    let why = printable(&root_cause(error), 200);
    if error.is_connect() {
        SourceError::Connect { host: host(), why }
    } else if error.is_timeout() {
        SourceError::TimedOut { what: format!("an answer from {}", host()), seconds: STALL_TIMEOUT.as_secs() }
    } else {
        SourceError::Broken { host: host(), why }
    }
}

/// An error of that kind inside another.
fn cause<T: Error + 'static>(error: &dyn Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost reason; the outer ones only say that it happened while sending.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The hosts of the proxies that the environment names.
fn proxies(env: impl Fn(&str) -> Option<String>) -> Vec<String> {
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .filter_map(env)
        .filter_map(|proxy| {
            let url = Url::parse(&proxy).ok().filter(Url::has_host);
            url.or_else(|| Url::parse(&format!("http://{proxy}")).ok())?.host_str().map(str::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(loopback: bool, private_hosts: &[&str]) -> Guard {
        let private_hosts = private_hosts.iter().map(|host| (*host).to_owned()).collect();
        Guard { loopback, private_hosts, proxies: Vec::new() }
    }

    fn passes(guard: &Guard, url: &str) -> bool {
        guard.check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn without_encryption_only_this_machine_is_asked_and_only_where_it_was_typed() {
        let typed = guard(true, &[]);
        for url in ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:2/", "https://example.org/x"] {
            assert!(passes(&typed, url), "{url}");
        }
        for url in ["http://example.org/", "http://10.0.0.1/", "ftp://example.org/", "https://user:key@example.org/"] {
            assert!(!passes(&typed, url), "{url}");
        }
        for url in ["http://127.0.0.1:1/x", "https://127.0.0.1/", "https://localhost/", "http://[::ffff:127.0.0.1]/"] {
            assert!(!passes(&guard(false, &[]), url), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_refused_unless_the_user_names_the_host() {
        for url in ["https://10.0.0.1/", "https://192.168.0.1/", "https://[fd12::1]/", "https://0xa000001/"] {
            assert!(!passes(&guard(true, &[]), url), "{url}");
        }
        assert!(passes(&guard(false, &["10.0.0.1"]), "https://10.0.0.1/"));
        assert!(passes(&guard(false, &["127.0.0.1"]), "http://127.0.0.1:5000/"));
        for url in ["https://169.254.169.254/", "https://[fe80::1]/", "https://[::ffff:a9fe:a9fe]/"] {
            let host = Url::parse(url).unwrap().host_str().unwrap().to_owned();
            assert!(!passes(&guard(true, &[&host]), url), "{url}");
        }
    }

    #[test]
    fn a_name_is_judged_by_where_it_leads_to() {
        let local = IpAddr::from([127, 0, 0, 1]);
        assert!(guard(true, &[]).may("localhost", local));
        assert!(!guard(true, &[]).may("evil.example", local), "a name of somebody else");
        assert!(!guard(false, &[]).may("registry.corp", IpAddr::from([10, 0, 0, 1])));
        assert!(guard(false, &["Registry.corp"]).may("registry.corp", IpAddr::from([10, 0, 0, 1])));
        assert!(!guard(false, &["registry.corp"]).may("registry.corp", IpAddr::from([169, 254, 169, 254])));
    }

    #[tokio::test]
    async fn the_resolver_gives_no_address_that_was_not_looked_at() {
        let resolve = |guard: Guard| async move { guard.resolve("localhost".parse().unwrap()).await };
        let refused = resolve(guard(false, &[])).await.err().unwrap();
        assert!(refused.downcast_ref::<Refused>().is_some_and(|refused| refused.host == "localhost"), "{refused}");
        let mut found = resolve(guard(true, &[])).await.ok().unwrap();
        assert!(found.all(|address| is_loopback(address.ip())));
        let proxy = Guard { proxies: vec!["localhost".to_owned()], ..guard(false, &[]) };
        assert!(resolve(proxy).await.is_ok(), "where the user's proxy is, is the user's affair");
    }

    #[test]
    fn what_the_resolver_refused_is_told_apart() {
        let inner = Refused { host: "h".to_owned(), address: IpAddr::from([10, 0, 0, 1]) };
        let outer = std::io::Error::other(Outer(inner));
        assert!(cause::<Refused>(&outer).is_some());
        assert!(cause::<Refused>(&std::io::Error::other("x")).is_none());
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Refused);

    #[test]
    fn proxies_are_known_with_and_without_a_scheme() {
        let of = |value: &str| {
            let value = value.to_owned();
            proxies(move |name| (name == "HTTPS_PROXY").then(|| value.clone()))
        };
        assert_eq!(of("http://user:key@proxy.corp:3128"), ["proxy.corp"]);
        assert_eq!(of("proxy.corp:3128"), ["proxy.corp"]);
        assert!(of("").is_empty());
    }
}
