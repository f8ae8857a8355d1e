//! Who may use the dashboard: the browser page that its user opened, and nobody else.
//!
//! The server listens on this machine only, but so does every other program of it, and a page of any site that the user
//! visits can make the browser ask it. So each request must know the token, name the server by an address of this machine
//! (which a name that was rebound to it does not), and, where it changes something, come from the page itself.

use std::net::SocketAddr;

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest, Sha256};

/// What a page may do: load what this server has, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The bytes of a token: 192 bits, written in 32 characters.
const TOKEN_BYTES: usize = 24;

/// What a request must have. Made anew for each start of the server.
pub(super) struct Guard {
    token: String,
    /// The sha-256 of the token: comparing digests tells nothing of how far a guess was right.
    digest: [u8; 32],
    /// The names under which the server is asked, with its port.
    hosts: Vec<String>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It does not know the token: for it there is nothing here.
    NoToken,
    /// It names another server: a name of somebody else leads here.
    Host,
    /// It comes from a page of somebody else.
    Origin,
}

impl Refused {
    /// What is answered. Nothing of it depends on what was sent.
    pub(super) fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken => (StatusCode::NOT_FOUND, "Nothing is here. The dashboard's address ends with its token.\n"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "This is not the server that was meant.\n"),
            Self::Origin => (StatusCode::FORBIDDEN, "Only the dashboard's own page may do this.\n"),
        }
    }
}

impl Guard {
    /// With a new token, for a server at this address.
    pub(super) fn new(at: SocketAddr) -> Self {
        let bytes: [u8; TOKEN_BYTES] = rand::rng().random();
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let port = at.port();
        let mut hosts = vec![format!("{at}"), format!("localhost:{port}")];
        if port == 80 {
            hosts.extend([at.ip().to_string(), "localhost".to_owned()]);
        }
        Self { digest: Sha256::digest(&token).into(), token, hosts }
    }

    /// The token: who has it may do what the user may.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        if !self.is_asked_for(uri, headers) {
            return Err(Refused::Host);
        }
        let token = uri.path().split('/').nth(1).unwrap_or_default();
        if <[u8; 32]>::from(Sha256::digest(token)) != self.digest {
            return Err(Refused::NoToken);
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD);
        match self.is_from_the_page(headers, changes) {
            true => Ok(()),
            // Somebody may link to the page. What they see of it is nothing.
            false if !changes && is_visit(headers) => Ok(()),
            false => Err(Refused::Origin),
        }
    }

    /// Whether the server is named as itself, by all that names it.
    fn is_asked_for(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let ours = |name: &str| self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        let mut named = headers.get_all(HOST).iter();
        let in_header = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().is_ok_and(ours),
            (None, _) => uri.authority().is_some(),
            (Some(_), Some(_)) => false,
        };
        in_header && uri.authority().map(Authority::as_str).is_none_or(ours)
    }

    /// Whether the browser says so. What changes something must say it; other programs have `convoke ctl`.
    fn is_from_the_page(&self, headers: &HeaderMap, changes: bool) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => !changes,
            (Some(origin), None) => origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://"))
                .is_some_and(|origin| self.hosts.iter().any(|host| host.eq_ignore_ascii_case(origin))),
            (Some(_), Some(_)) => false,
        };
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let same = match site {
            None => true,
            Some(b"same-origin") => true,
            // The user typed it.
            Some(b"none") => !changes,
            Some(_) => false,
        };
        origin && same
    }
}

/// Whether the user goes to the page, with a link of somebody else.
fn is_visit(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &[u8]| headers.get(name).is_some_and(|found| found.as_bytes() == value);
    !headers.contains_key(ORIGIN) && is("sec-fetch-mode", b"navigate") && is("sec-fetch-dest", b"document")
}

/// What every answer says to the browser, also a refusal.
pub(super) fn protect(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new("127.0.0.1:4321".parse().unwrap())
    }

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    const HOME: (&str, &str) = ("host", "127.0.0.1:4321");

    fn get(guard: &Guard, path: &str, all: &[(&'static str, &'static str)]) -> Result<(), Refused> {
        guard.check(&Method::GET, &path.parse().unwrap(), &headers(all))
    }

    fn post(guard: &Guard, all: &[(&'static str, &'static str)]) -> Result<(), Refused> {
        guard.check(&Method::POST, &format!("/{}/api/control", guard.token()).parse().unwrap(), &headers(all))
    }

    #[test]
    fn who_knows_the_token_is_let_in_and_nobody_else() {
        let guard = guard();
        assert_eq!(guard.token().len(), 32);
        assert_ne!(guard.token(), self::guard().token());
        let ours = format!("/{}/", guard.token());
        assert_eq!(get(&guard, &ours, &[HOME]), Ok(()));
        let (short, longer) = (&ours[..32], format!("/{}x/", guard.token()));
        for path in ["/", "//", "/x/", short, &longer, &format!("/x{ours}"), &format!("/?{}", guard.token())] {
            assert_eq!(get(&guard, path, &[HOME]), Err(Refused::NoToken), "{path}");
        }
    }

    #[test]
    fn a_name_that_was_rebound_to_this_machine_leads_nowhere() {
        let guard = guard();
        let ours = format!("/{}/", guard.token());
        assert_eq!(get(&guard, &ours, &[("host", "localhost:4321")]), Ok(()));
        assert_eq!(get(&guard, &ours, &[("host", "LOCALHOST:4321")]), Ok(()));
        for host in ["evil.example:4321", "127.0.0.1", "127.0.0.1:4322", "127.0.0.1:4321.evil.example", "localhost", ""]
        {
            assert_eq!(get(&guard, &ours, &[("host", host)]), Err(Refused::Host), "{host}");
        }
        assert_eq!(get(&guard, &ours, &[]), Err(Refused::Host));
        let mut twice = headers(&[HOME]);
        twice.append(HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(guard.check(&Method::GET, &ours.parse().unwrap(), &twice), Err(Refused::Host));
        let whole: Uri = format!("http://evil.example{ours}").parse().unwrap();
        assert_eq!(guard.check(&Method::GET, &whole, &headers(&[HOME])), Err(Refused::Host));
        let whole: Uri = format!("http://127.0.0.1:4321{ours}").parse().unwrap();
        assert_eq!(guard.check(&Method::GET, &whole, &headers(&[])), Ok(()));
    }

    #[test]
    fn only_the_page_itself_changes_something() {
        let guard = guard();
        let (ours, site) = (("origin", "http://127.0.0.1:4321"), "sec-fetch-site");
        assert_eq!(post(&guard, &[HOME, ours]), Ok(()));
        assert_eq!(post(&guard, &[HOME, ours, (site, "same-origin")]), Ok(()));
        for origin in
            ["https://evil.example", "null", "http://127.0.0.1:8080", "https://127.0.0.1:4321", "127.0.0.1:4321"]
        {
            assert_eq!(post(&guard, &[HOME, ("origin", origin)]), Err(Refused::Origin), "{origin}");
        }
        assert_eq!(post(&guard, &[HOME]), Err(Refused::Origin));
        for from in ["cross-site", "same-site", "none"] {
            assert_eq!(post(&guard, &[HOME, ours, (site, from)]), Err(Refused::Origin), "{from}");
        }
    }

    #[test]
    fn a_page_of_somebody_else_reads_nothing_and_may_link() {
        let guard = guard();
        let ours = format!("/{}/", guard.token());
        let elsewhere = ("sec-fetch-site", "cross-site");
        assert_eq!(get(&guard, &ours, &[HOME, elsewhere]), Err(Refused::Origin));
        assert_eq!(get(&guard, &ours, &[HOME, ("origin", "https://evil.example")]), Err(Refused::Origin));
        let visit = [HOME, elsewhere, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(get(&guard, &ours, &visit), Ok(()));
        let framed = [HOME, elsewhere, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert_eq!(get(&guard, &ours, &framed), Err(Refused::Origin));
    }

    #[test]
    fn every_answer_binds_the_browser() {
        let mut said = HeaderMap::new();
        protect(&mut said);
        let policy = said[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(said[header::CACHE_CONTROL], "no-store");
        assert!(!said.contains_key("access-control-allow-origin"));
    }
}
