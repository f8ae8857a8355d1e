//! What a response that is no answer means: one status, one kind of failure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::headers;
use crate::question::{Failure, FailureKind};

/// As much of an error's body is read.
const LONGEST_BODY: usize = 64 * 1024;
/// As much of an error's text is shown.
const LONGEST_TEXT: usize = 400;

/// The error in a body or an event.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Told {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    error_code: Option<String>,
}

#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    error: Told,
}

/// The start of a response's body.
pub(super) async fn body(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < LONGEST_BODY {
        // What can't be read is not told; the status stands.
        let Ok(Some(chunk)) = response.chunk().await else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_BODY - body.len())]);
    }
    body
}

/// A response other than 200.
pub(super) fn of_status(status: u16, headers: &HeaderMap, body: &[u8], key: &str, now: Timestamp) -> Failure {
    let told = serde_json::from_slice::<Envelope>(body).unwrap_or_default().error;
    let retry_after = headers::retry_after(headers, now);
    let mut kind = kind_of(status, &told);
    if status == 429 {
        if let Some(until) = headers::subscription_limit(headers) {
            kind = FailureKind::LimitReached { until };
        } else if retry_after.is_none() && told.has_code("enforced_spend_limit_reached") {
            kind = FailureKind::LimitReached { until: None };
        }
    }
    Failure {
        retry_after,
        // Anthropic turns away before the model starts; only these may have failed in the middle.
        reached_model: matches!(kind, FailureKind::Server | FailureKind::Malformed),
        message: match status {
            300..=399 => format!(
                "the API answered with status {status}, which leads elsewhere: the key is not sent there. Is \
                 ANTHROPIC_BASE_URL right?"
            ),
            407 => format!("a proxy answered with status {status}: it wants a login. Is HTTPS_PROXY right?"),
            // The API itself says what is wrong.
            401 | 403 | 404 | 405 if told.is_nothing() => {
                format!("status {status}, and not as the Messages API says it: is ANTHROPIC_BASE_URL right?")
            }
            _ => message(&format!("status {status}"), &told, key),
        },
        ..Failure::new(kind, "")
    }
}

/// An `error` event in a stream that began with 200.
pub(super) fn of_event(told: &Told, key: &str) -> Failure {
    let status = match told.kind.as_str() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "overloaded_error" => 529,
        _ => 500,
    };
    Failure { reached_model: true, ..Failure::new(kind_of(status, told), message("an error in the stream", told, key)) }
}

/// The table. Where a status has several meanings, the words of the error decide.
fn kind_of(status: u16, told: &Told) -> FailureKind {
    match status {
        // The limit that an account has set itself, and credit that is used up, come as a 400.
        400 if told.says("usage limits") || told.says("credit balance") => {
            FailureKind::LimitReached { until: regained(&told.message) }
        }
        400 if told.says("prompt is too long") => FailureKind::TooLarge,
        401 | 403 => FailureKind::Auth,
        402 => FailureKind::LimitReached { until: regained(&told.message) },
        408 | 409 => FailureKind::Server,
        413 => FailureKind::TooLarge,
        429 => FailureKind::RateLimited,
        529 => FailureKind::Overloaded,
        500..=599 if told.kind == "overloaded_error" => FailureKind::Overloaded,
        500..=599 => FailureKind::Server,
        300..=499 => FailureKind::Invalid,
        _ => FailureKind::Malformed,
    }
}

impl Told {
    fn is_nothing(&self) -> bool {
        self.kind.is_empty() && self.message.is_empty()
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_lowercase().contains(words)
    }

    fn has_code(&self, code: &str) -> bool {
        self.details.as_ref().and_then(|details| details.error_code.as_deref()) == Some(code)
    }
}

/// The time in `You will regain access on 2026-12-01 at 00:00 UTC.`
fn regained(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("access on ")?;
    let (date, rest) = rest.split_once(" at ")?;
    let (time, _) = rest.split_once(" UTC")?;
    let then: DateTime = format!("{}T{}", date.trim(), time.trim()).parse().ok()?;
    Some(then.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn message(what: &str, told: &Told, key: &str) -> String {
    let kind = headers::clean(&told.kind, key, 60);
    let text = headers::clean(&told.message, key, LONGEST_TEXT);
    let mut message = format!("the API answered with {what}");
    for (between, part) in [(" ", kind), (": ", text)] {
        if !part.is_empty() {
            message.push_str(between);
            message.push_str(&part);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn failure(status: u16, kind: &str, text: &str, wait: Option<&str>) -> Failure {
        let body = json!({"type": "error", "error": {"type": kind, "message": text}}).to_string();
        let mut headers = HeaderMap::new();
        if let Some(wait) = wait {
            headers.insert("retry-after", HeaderValue::try_from(wait).expect("a value"));
        }
        of_status(status, &headers, body.as_bytes(), "the-key-itself", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_status_has_one_kind() {
        let none = FailureKind::LimitReached { until: None };
        let table = [
            (400, "invalid_request_error", "max_tokens: required", FailureKind::Invalid),
            (400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000", FailureKind::TooLarge),
            (400, "invalid_request_error", "Your credit balance is too low to access the API.", none.clone()),
            (401, "authentication_error", "invalid x-api-key", FailureKind::Auth),
            (402, "billing_error", "payment required", none),
            (403, "permission_error", "not allowed", FailureKind::Auth),
            (404, "not_found_error", "model: x", FailureKind::Invalid),
            (408, "", "", FailureKind::Server),
            (409, "conflict_error", "conflict", FailureKind::Server),
            (413, "request_too_large", "too large", FailureKind::TooLarge),
            (422, "", "", FailureKind::Invalid),
            (429, "rate_limit_error", "slow down", FailureKind::RateLimited),
            (500, "api_error", "oh", FailureKind::Server),
            (502, "", "", FailureKind::Server),
            (503, "overloaded_error", "busy", FailureKind::Overloaded),
            (504, "timeout_error", "late", FailureKind::Server),
            (529, "overloaded_error", "busy", FailureKind::Overloaded),
            (307, "", "", FailureKind::Invalid),
            (204, "", "", FailureKind::Malformed),
        ];
        for (status, kind, text, expected) in table {
            let failure = failure(status, kind, text, None);
            assert_eq!(failure.kind, expected, "{status}");
            assert!(failure.message.contains(&status.to_string()), "{}", failure.message);
            let may_have_reached = matches!(failure.kind, FailureKind::Server | FailureKind::Malformed);
            assert_eq!(failure.reached_model, may_have_reached, "{status}");
        }
    }

    #[test]
    fn a_status_without_a_row_counts_as_its_hundred() {
        for status in 400..600 {
            let kind = failure(status, "", "", None).kind;
            let expected = match status {
                401 | 403 => FailureKind::Auth,
                402 => FailureKind::LimitReached { until: None },
                408 | 409 => FailureKind::Server,
                413 => FailureKind::TooLarge,
                429 => FailureKind::RateLimited,
                529 => FailureKind::Overloaded,
                400..500 => FailureKind::Invalid,
                _ => FailureKind::Server,
            };
            assert_eq!(kind, expected, "{status}");
        }
    }

    #[test]
    fn a_spend_limit_is_a_429_that_names_no_wait_and_says_so() {
        let body = json!({"error": {"type": "rate_limit_error", "message": "m",
            "details": {"error_code": "enforced_spend_limit_reached"}}})
        .to_string();
        let mut headers = HeaderMap::new();
        let read = |headers: &HeaderMap| of_status(429, headers, body.as_bytes(), "", Timestamp::UNIX_EPOCH).kind;
        assert_eq!(read(&headers), FailureKind::LimitReached { until: None });
        headers.insert("retry-after", HeaderValue::from_static("7"));
        assert_eq!(read(&headers), FailureKind::RateLimited);
        headers.insert("anthropic-ratelimit-unified-status", HeaderValue::from_static("rejected"));
        headers.insert("anthropic-ratelimit-unified-reset", HeaderValue::from_static("1000"));
        assert_eq!(read(&headers), FailureKind::LimitReached { until: Timestamp::from_second(1_000).ok() });
    }

    #[test]
    fn a_limit_that_an_account_has_set_itself_tells_when_it_ends() {
        let text =
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
        let until = "2026-12-01T00:00:00Z".parse().ok();
        assert_eq!(failure(400, "invalid_request_error", text, None).kind, FailureKind::LimitReached { until });
    }

    #[test]
    fn the_servers_wait_is_kept_with_any_status() {
        assert_eq!(failure(429, "rate_limit_error", "m", Some("171")).retry_after, Some(Duration::from_secs(171)));
        assert_eq!(failure(529, "overloaded_error", "m", Some("3")).retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_key_that_the_server_sends_back_is_not_shown() {
        let failure = failure(401, "the-key-itself", "invalid key the-key-itself\u{7}", None);
        assert!(!format!("{failure:?}").contains("the-key-itself"), "{failure:?}");
    }

    #[test]
    fn a_body_that_is_no_json_leaves_the_status() {
        let failure = of_status(502, &HeaderMap::new(), b"<html>\xff", "", Timestamp::UNIX_EPOCH);
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Server, "the API answered with status 502"));
    }

    #[test]
    fn a_status_that_the_api_does_not_explain_points_at_what_may_be_wrong() {
        let failure = |status| of_status(status, &HeaderMap::new(), b"<html>", "", Timestamp::UNIX_EPOCH);
        for (status, kind, hint) in [
            (404, FailureKind::Invalid, "ANTHROPIC_BASE_URL"),
            (405, FailureKind::Invalid, "ANTHROPIC_BASE_URL"),
            (403, FailureKind::Auth, "ANTHROPIC_BASE_URL"),
            (302, FailureKind::Invalid, "ANTHROPIC_BASE_URL"),
            (407, FailureKind::Invalid, "HTTPS_PROXY"),
        ] {
            let failure = failure(status);
            assert_eq!(failure.kind, kind, "{status}");
            assert!(
                failure.message.contains(hint) && failure.message.contains(&status.to_string()),
                "{}",
                failure.message
            );
        }
        let told = self::failure(404, "not_found_error", "model: x", None);
        assert!(!told.message.contains("ANTHROPIC_BASE_URL"), "{}", told.message);
    }

    #[test]
    fn error_events_have_the_kinds_of_their_status_and_have_reached_the_model() {
        let table = [
            ("overloaded_error", FailureKind::Overloaded),
            ("rate_limit_error", FailureKind::RateLimited),
            ("api_error", FailureKind::Server),
            ("timeout_error", FailureKind::Server),
            ("authentication_error", FailureKind::Auth),
            ("request_too_large", FailureKind::TooLarge),
            ("invalid_request_error", FailureKind::Invalid),
            ("billing_error", FailureKind::LimitReached { until: None }),
            ("something_new", FailureKind::Server),
        ];
        for (kind, expected) in table {
            let failure = of_event(&Told { kind: kind.to_owned(), ..Told::default() }, "");
            assert_eq!((failure.kind, failure.reached_model), (expected, true), "{kind}");
        }
    }
}
