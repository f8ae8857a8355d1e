//! Requests and answers as they stand in a recording.

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::{Request, Response};
use crate::plugin::outside::taped::{Asked, Taped};
use crate::plugin::project::tape::Content;

/// Headers whose values are credentials, or may be. A recording has their names alone.
const SECRET: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];

/// What stands in place of them.
const REDACTED: &str = "redacted";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    status: u16,
    headers: Vec<(String, String)>,
    body: Content,
}

/// A request, as a recording knows it.
pub(super) fn asked<'a>(request: &Request, item: Option<&'a str>) -> Asked<'a> {
    let what = json!({
        "method": request.method,
        "url": request.url,
        "headers": shown(&request.headers),
        "body": Content::of(&request.body),
    });
    let host = Url::parse(&request.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let words = format!("the request {} {}", request.method, host.as_deref().unwrap_or("to no host"));
    Asked { kind: "http", item, what, words }
}

fn shown(headers: &[(String, String)]) -> Vec<(String, String)> {
    let mut shown = headers.to_vec();
    for (name, value) in &mut shown {
        let lower = name.to_ascii_lowercase();
        if SECRET.contains(&lower.as_str()) || lower.contains("key") || lower.contains("token") {
            REDACTED.clone_into(value);
        }
    }
    shown
}

impl Taped for Response {
    fn to_tape(&self) -> Value {
        let Self { status, headers, body } = self;
        // Numbers and texts: they always serialise.
        json!(Written { status: *status, headers: shown(headers), body: Content::of(body) })
    }

    fn of_tape(value: &Value) -> Result<Self, String> {
        let Written { status, headers, body } = Written::deserialize(value).map_err(|error| error.to_string())?;
        Ok(Self { status, headers, body: body.bytes()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written_without_its_cookies() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![header("content-type", "text/plain"), header("set-cookie", "session=mine")];
        for body in [&b"one\ntwo\n"[..], &[0, 159, 146, 150]] {
            let answer = Response { status: 404, headers: headers.clone(), body: body.to_vec() };
            let back = Response::of_tape(&answer.to_tape()).unwrap();
            assert_eq!((back.status, back.body), (404, answer.body));
            assert_eq!(back.headers, [header("content-type", "text/plain"), header("set-cookie", "redacted")]);
        }
        assert!(Response::of_tape(&json!({"status": 200})).is_err());
    }

    #[test]
    fn what_a_request_carries_for_its_host_alone_is_not_written() {
        let header = |name: &str| (name.to_owned(), "mine".to_owned());
        let headers = ["Authorization", "cookie", "X-Api-Key", "PRIVATE-TOKEN"].map(header).to_vec();
        let request =
            Request { method: "GET".into(), url: "https://a.example/?q".into(), headers, ..Request::default() };
        let asked = asked(&request, None);
        assert!(!asked.what.to_string().contains("mine"), "{}", asked.what);
        assert_eq!(asked.words, "the request GET a.example");
    }
}
