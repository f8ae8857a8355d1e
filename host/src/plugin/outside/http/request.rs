//! What a plugin may send, and what it gets.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::HttpError;

/// The longest URL, in bytes.
const LONGEST_URL: usize = 8 << 10;

/// The most headers of a request.
const MOST_HEADERS: usize = 100;

/// The most bytes of all headers of a request.
const MOST_HEADER_BYTES: usize = 32 << 10;

/// The most bytes of a request's body.
const MOST_BODY_BYTES: usize = 16 << 20;

/// The methods that a plugin can use. CONNECT and TRACE would make of a host something else than a host.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Headers that belong to the connection, which is the host's: who sets them can make of one request two, or have the
/// answer come from another host than the one that was checked.
const OURS: [&str; 11] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
    "forwarded",
];

/// A request, as a plugin makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, in any case.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body; empty: none.
    pub body: Vec<u8>,
}

/// What a host answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers; their names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as it came: what was compressed is compressed.
    pub body: Vec<u8>,
}

/// A request that can be sent, if it is granted.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// In capitals.
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Checked {
    /// Checks all of a request that can be checked without a grant.
    pub(super) fn of(request: Request) -> Result<Self, HttpError> {
        let Request { method, url, headers, body } = request;
        let known = METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(&method));
        let method = known.ok_or(HttpError::BadMethod { method })?;
        if url.len() > LONGEST_URL {
            return Err(HttpError::Large { what: "its URL has more bytes", limit: LONGEST_URL as u64 });
        }
        if body.len() > MOST_BODY_BYTES {
            return Err(HttpError::Large { what: "its body has more bytes", limit: MOST_BODY_BYTES as u64 });
        }
        let mut parsed = Url::parse(&url).map_err(|error| HttpError::Url { url, why: error.to_string() })?;
        parsed.set_fragment(None);
        Ok(Self { method, url: parsed, headers: checked_headers(headers)?, body })
    }
}

fn checked_headers(headers: Vec<(String, String)>) -> Result<HeaderMap, HttpError> {
    if headers.len() > MOST_HEADERS {
        return Err(HttpError::Large { what: "it has more headers", limit: MOST_HEADERS as u64 });
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MOST_HEADER_BYTES {
        return Err(HttpError::Large { what: "its headers have more bytes", limit: MOST_HEADER_BYTES as u64 });
    }
    let mut checked = HeaderMap::new();
    for (name, value) in headers {
        let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(HttpError::Header { name, why: "this is not a header's name" });
        };
        if OURS.contains(&known.as_str()) || known.as_str().starts_with("proxy-") {
            return Err(HttpError::Header { name, why: "it belongs to the connection, which is the host's" });
        }
        // It takes no control characters, so no header can hide in another one.
        let Ok(value) = HeaderValue::from_str(&value) else {
            return Err(HttpError::Header { name, why: "its value has control characters, or others than ASCII" });
        };
        checked.append(known, value);
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(name: &str, value: &str) -> Result<Checked, HttpError> {
        Checked::of(Request {
            method: "get".to_owned(),
            url: "https://example.com/a#part".to_owned(),
            headers: vec![(name.to_owned(), value.to_owned())],
            body: Vec::new(),
        })
    }

    #[test]
    fn a_request_is_taken_as_it_is_meant() {
        let checked = with_header("Authorization", "Bearer mine").unwrap();
        assert_eq!((checked.method, checked.url.as_str()), ("GET", "https://example.com/a"));
        assert_eq!(checked.headers["authorization"], "Bearer mine");
    }

    #[test]
    fn headers_of_the_connection_are_refused() {
        for name in
            ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "Proxy-Authorization", "TE"]
        {
            let error = with_header(name, "x").unwrap_err().to_string();
            assert!(error.contains("belongs to the connection"), "{name}: {error}");
        }
    }

    #[test]
    fn no_header_hides_in_another_one() {
        for (name, value) in [
            ("x", "a\r\nHost: evil"),
            ("x", "a\nb"),
            ("x", "a\0b"),
            ("x", "a\u{7f}"),
            ("x\r\nHost", "evil"),
            ("x: y", "z"),
            ("", "z"),
            ("x y", "z"),
        ] {
            assert!(matches!(with_header(name, value), Err(HttpError::Header { .. })), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn what_is_too_large_or_no_method_is_refused() {
        let plain = Request { method: "GET".to_owned(), url: "https://example.com/".to_owned(), ..Request::default() };
        for method in ["CONNECT", "TRACE", "GET /x HTTP/1.1\r\nHost: evil\r\n\r\nGET", "", "PURGE"] {
            let request = Request { method: method.to_owned(), ..plain.clone() };
            assert!(matches!(Checked::of(request), Err(HttpError::BadMethod { .. })), "{method:?}");
        }
        let long = Request { url: format!("https://example.com/{}", "x".repeat(LONGEST_URL)), ..plain.clone() };
        let large = Request { body: vec![0; MOST_BODY_BYTES + 1], ..plain.clone() };
        let header = |size| ("x".to_owned(), "y".repeat(size));
        let many = Request { headers: vec![header(1); MOST_HEADERS + 1], ..plain.clone() };
        let wide = Request { headers: vec![header(MOST_HEADER_BYTES)], ..plain };
        for request in [long, large, many, wide] {
            assert!(matches!(Checked::of(request), Err(HttpError::Large { .. })));
        }
    }
}
