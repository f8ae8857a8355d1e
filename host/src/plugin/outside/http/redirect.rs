//! Where a redirect leads, and what of a request goes there.

use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName};

use super::error::HttpError;
use super::request::Checked;

/// So many redirects are followed.
pub(super) const MOST_REDIRECTS: usize = 5;

/// What may go to another host than the one that it was meant for: anything else may be a credential.
const HARMLESS: [&str; 7] =
    ["accept", "accept-language", "content-type", "content-encoding", "user-agent", "range", "if-modified-since"];

/// What describes a body.
const OF_A_BODY: [&str; 4] = ["content-type", "content-encoding", "content-language", "content-location"];

impl Checked {
    /// The request that a response asks for; none: the response is the answer. What is granted is checked as for any
    /// other request, after this.
    pub(super) fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Self>, HttpError> {
        let Some(location) = headers.get(reqwest::header::LOCATION) else { return Ok(None) };
        let method = match status {
            StatusCode::SEE_OTHER if self.method != "HEAD" => "GET",
            // As browsers do it since ever.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if self.method == "POST" => "GET",
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => self.method,
            _ => return Ok(None),
        };
        let to = String::from_utf8_lossy(location.as_bytes());
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let Ok(mut url) = self.url.join(&to) else { return Err(HttpError::BadRedirect { host }) };
        url.set_fragment(None);
        let (mut headers, mut body) = (self.headers.clone(), self.body.clone());
        if method != self.method {
            body.clear();
            retain(&mut headers, |name| !OF_A_BODY.contains(&name.as_str()));
        }
        if !is_same_host(&self.url, &url) {
            retain(&mut headers, |name| HARMLESS.contains(&name.as_str()));
        }
        Ok(Some(Self { method, url, headers, body }))
    }
}

fn is_same_host(one: &Url, other: &Url) -> bool {
    let key = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    key(one) == key(other)
}

fn retain(headers: &mut HeaderMap, stays: impl Fn(&HeaderName) -> bool) {
    let gone: Vec<HeaderName> = headers.keys().filter(|name| !stays(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::*;

    fn redirected(method: &str, status: u16, to: &str) -> Option<Checked> {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = Request {
            method: method.to_owned(),
            url: "https://api.example.com/a/b?q".to_owned(),
            headers: vec![
                header("authorization", "Bearer mine"),
                header("cookie", "a=b"),
                header("x-api-key", "mine"),
                header("accept", "text/plain"),
                header("content-type", "text/plain"),
            ],
            body: b"body".to_vec(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("location", to.parse().unwrap());
        Checked::of(request).unwrap().redirected(StatusCode::from_u16(status).unwrap(), &headers).unwrap()
    }

    fn names(checked: &Checked) -> Vec<&str> {
        let mut names: Vec<&str> = checked.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_redirect_at_the_same_host_keeps_all() {
        let next = redirected("POST", 307, "../c#part").unwrap();
        assert_eq!((next.method, next.url.as_str()), ("POST", "https://api.example.com/c"));
        assert_eq!((next.body.as_slice(), next.headers.len()), (&b"body"[..], 5));
    }

    #[test]
    fn another_host_gets_no_credentials() {
        for to in
            ["https://evil.example/", "https://api.example.com:8443/", "http://api.example.com/", "//evil.example/"]
        {
            let next = redirected("GET", 302, to).unwrap();
            assert_eq!(names(&next), ["accept", "content-type"], "{to}");
        }
    }

    #[test]
    fn who_is_sent_to_see_something_else_only_looks() {
        for (method, status, expected, body) in [
            ("POST", 303, "GET", ""),
            ("PUT", 303, "GET", ""),
            ("HEAD", 303, "HEAD", "body"),
            ("POST", 301, "GET", ""),
            ("POST", 302, "GET", ""),
            ("DELETE", 301, "DELETE", "body"),
            ("PUT", 308, "PUT", "body"),
        ] {
            let next = redirected(method, status, "/c").unwrap();
            assert_eq!((next.method, next.body.as_slice()), (expected, body.as_bytes()), "{method} {status}");
            assert_eq!(names(&next).contains(&"content-type"), !body.is_empty(), "{method} {status}");
        }
    }

    #[test]
    fn what_is_no_redirect_is_an_answer() {
        for status in [200, 201, 300, 304, 305, 404, 500] {
            assert!(redirected("GET", status, "/c").is_none(), "{status}");
        }
    }

    #[test]
    fn a_redirect_to_what_is_no_url_is_an_error() {
        let mut headers = HeaderMap::new();
        headers.insert("location", "https://[".parse().unwrap());
        let request = Request { method: "GET".into(), url: "https://a.example/".into(), ..Request::default() };
        let error = Checked::of(request).unwrap().redirected(StatusCode::FOUND, &headers).unwrap_err();
        assert_eq!(error.to_string(), "a.example redirects to what is not a URL");
    }
}
