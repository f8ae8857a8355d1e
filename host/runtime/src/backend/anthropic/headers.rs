//! What the headers of a response tell, and how a provider's words are made fit to be shown.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};

use crate::question::{ProviderLimit, ProviderLimits};

/// No server's wish is followed for longer than this; what is meant to last longer is a limit, not a wait.
const LONGEST_WAIT: Duration = Duration::from_secs(31 * 24 * 3_600);

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `anthropic-ratelimit-{requests,input-tokens,output-tokens}-{limit,remaining,reset}`; none where there is not one.
pub(super) fn limits(headers: &HeaderMap) -> Option<ProviderLimits> {
    let read = |kind: &str| {
        let part = |part: &str| text(headers, &format!("anthropic-ratelimit-{kind}-{part}"));
        Some(ProviderLimit {
            limit: part("limit")?.parse().ok()?,
            remaining: part("remaining")?.parse().ok()?,
            reset: part("reset").and_then(|reset| reset.parse().ok()),
        })
    };
    let limits = ProviderLimits {
        requests: read("requests"),
        input_tokens: read("input-tokens"),
        output_tokens: read("output-tokens"),
    };
    (limits != ProviderLimits::default()).then_some(limits)
}

/// `retry-after`: seconds, or an HTTP date. A date is meant by the server's own clock, which it shows in `date`; `now` is
/// ours, for one that doesn't. A date that has passed says nothing.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let value = text(headers, RETRY_AFTER.as_str())?;
    let wait = match value.parse::<f64>() {
        Ok(seconds) if seconds.is_nan() || seconds < 0.0 => return None,
        Ok(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT),
        Err(_) => {
            let then = DATES.parse_timestamp(value).ok()?;
            let theirs = text(headers, DATE.as_str()).and_then(|date| DATES.parse_timestamp(date).ok());
            Duration::try_from(then.duration_since(theirs.unwrap_or(now))).ok()?
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// When a subscription's limit that was reached is reset: `anthropic-ratelimit-unified-*`. None: no such limit is
/// reached; `Some(None)`: one is, until an unknown time.
pub(super) fn subscription_limit(headers: &HeaderMap) -> Option<Option<Timestamp>> {
    if text(headers, "anthropic-ratelimit-unified-status") != Some("rejected") {
        return None;
    }
    let reset = text(headers, "anthropic-ratelimit-unified-reset").and_then(|seconds| seconds.parse().ok());
    Some(reset.and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

/// The id by which the provider knows the request.
pub(super) fn request_id(headers: &HeaderMap, key: &str) -> Option<String> {
    text(headers, "request-id").map(|id| clean(id, key, 80)).filter(|id| !id.is_empty())
}

pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream")))
}

/// A stranger's words, to be shown: no control characters, at most so many characters, and never the key, which a
/// server could send back.
pub(super) fn clean(text: &str, key: &str, longest: usize) -> String {
    // A key of a few characters is none, and would make holes in every word.
    let text = if key.len() >= 8 && text.contains(key) { text.replace(key, "[key]") } else { text.to_owned() };
    let mut cleaned: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .take(longest + 1)
        .collect();
    if cleaned.chars().count() > longest {
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned.trim().to_owned()
}

/// Characters that change how the text around them is shown.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).expect("a name"), HeaderValue::try_from(*value).expect("a value"))
        };
        pairs.iter().map(parse).collect()
    }

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date() {
        let cases = [
            ("7", Some(7_000)),
            ("171", Some(171_000)),
            ("1.5", Some(1_500)),
            ("0", Some(0)),
            ("Fri, 20 Nov 2026 12:02:51 GMT", Some(171_000)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", None),
            ("Fri, 20 Nov 2026 12:02:51", None),
            ("Fri, 99 Nov 2026 12:02:51 GMT", None),
            ("", None),
            ("1e300", Some(31 * 24 * 3_600_000)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
        ];
        for (value, ms) in cases {
            let wait = retry_after(&headers(&[("retry-after", value)]), now());
            assert_eq!(wait.map(|wait| wait.as_millis()), ms, "{value}");
        }
        assert_eq!(retry_after(&headers(&[]), now()), None);
    }

    #[test]
    fn a_date_is_meant_by_the_clock_of_the_server() {
        let told = |date: &'static str| {
            let told = headers(&[("retry-after", "Fri, 20 Nov 2026 09:02:51 GMT"), ("date", date)]);
            retry_after(&told, now()).map(|wait| wait.as_secs())
        };
        assert_eq!(told("Fri, 20 Nov 2026 09:00:00 GMT"), Some(171), "it is three hours behind");
        assert_eq!(told("Fri, 20 Nov 2026 10:00:00 GMT"), None, "it has passed there too");
        assert_eq!(told("no date"), None);
    }

    #[test]
    fn limits_are_read_one_by_one_and_broken_ones_are_left_out() {
        let told = headers(&[
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("anthropic-ratelimit-requests-reset", "2026-11-20T12:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "2000000"),
            ("anthropic-ratelimit-input-tokens-remaining", "many"),
            ("anthropic-ratelimit-output-tokens-limit", "400000"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", "tomorrow"),
        ]);
        let reset = "2026-11-20T12:00:01Z".parse().ok();
        let limits = limits(&told).expect("limits");
        assert_eq!(limits.requests, Some(ProviderLimit { limit: 1_000, remaining: 999, reset }));
        assert_eq!(limits.input_tokens, None);
        assert_eq!(limits.output_tokens, Some(ProviderLimit { limit: 400_000, remaining: 0, reset: None }));
        assert_eq!(super::limits(&headers(&[])), None);
    }

    #[test]
    fn a_strangers_words_are_bounded_and_hold_no_escape_no_key_and_no_line() {
        let said = clean("bad\u{1b}[31m\nline \u{202e}key sk-ant-12345678 end", "sk-ant-12345678", 30);
        assert_eq!(said, "bad[31m line key [key] end");
        assert_eq!(clean("abcdef", "", 3), "abc…");
    }

    #[test]
    fn a_subscriptions_limit_has_its_reset_in_seconds_since_1970() {
        let rejected =
            [("anthropic-ratelimit-unified-status", "rejected"), ("anthropic-ratelimit-unified-reset", "60")];
        assert_eq!(subscription_limit(&headers(&rejected)), Some(Timestamp::from_second(60).ok()));
        assert_eq!(subscription_limit(&headers(&rejected[..1])), Some(None));
        assert_eq!(subscription_limit(&headers(&[("anthropic-ratelimit-unified-status", "allowed")])), None);
    }
}
