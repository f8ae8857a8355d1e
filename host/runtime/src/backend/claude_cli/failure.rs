//! What a failed turn means.

use std::time::Duration;

use jiff::Timestamp;

use super::message::Done;
use crate::question::{Failure, FailureKind};

/// The longest part of a program's own words that is shown, in characters.
const WORDS: usize = 300;

/// A request that the program would have sent again, had it not been told to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) delay_ms: u64,
    pub(super) status: Option<u16>,
    pub(super) error: String,
}

/// The failure of a turn that ended with an error, after what was seen of its requests before.
pub(super) fn of(done: &Done, retry: Option<&Retry>, limit: Option<Option<Timestamp>>) -> Failure {
    let (kind, message) = match (retry, limit) {
        (_, Some(until)) => (FailureKind::LimitReached { until }, "the limit of this login is reached".to_owned()),
        (Some(retry), None) => {
            (of_status(retry.status).unwrap_or_else(|| of_retry(retry)), told(retry.status, &retry.error))
        }
        (None, None) => of_done(done),
    };
    let waits = matches!(kind, FailureKind::RateLimited | FailureKind::Overloaded | FailureKind::Server);
    let retry_after = retry.filter(|_| waits).map(|retry| Duration::from_millis(retry.delay_ms));
    Failure {
        retry_after,
        usage: Some(done.usage),
        // The first request was sent, and a status other than these came from where the model is.
        reached_model: !matches!(kind, FailureKind::Auth | FailureKind::Invalid | FailureKind::TooLarge),
        ..Failure::new(kind, message)
    }
}

fn of_done(done: &Done) -> (FailureKind, String) {
    let words = clean(&done.text);
    let lower = words.to_ascii_lowercase();
    let says = |part: &str| lower.contains(part);
    let kind = match done.reason.as_str() {
        _ if done.status == Some(413) => FailureKind::TooLarge,
        "prompt_too_long" => FailureKind::TooLarge,
        "image_error" => FailureKind::Invalid,
        "budget_exhausted" | "max_turns" => FailureKind::RanAway,
        _ if done.subtype == "error_max_structured_output_retries" => FailureKind::OffSchema,
        _ if says("not logged in") || says("please run /login") || says("invalid api key") => FailureKind::Auth,
        _ if says("usage limit reached") || says("credit balance") => FailureKind::LimitReached { until: None },
        _ => of_status(done.status).unwrap_or(match done.reason.as_str() {
            "api_error" => FailureKind::Network,
            _ => FailureKind::Malformed,
        }),
    };
    let words = if words.is_empty() { format!("it ended with {} {}", done.subtype, done.reason) } else { words };
    let hint = match kind {
        FailureKind::Auth => " Log in with `claude`, or set ANTHROPIC_API_KEY; `convoke doctor` tells what is there.",
        _ => "",
    };
    (kind, format!("claude: {words}{hint}"))
}

fn of_status(status: Option<u16>) -> Option<FailureKind> {
    Some(match status? {
        400 | 404 | 409 | 422 => FailureKind::Invalid,
        401 | 403 => FailureKind::Auth,
        402 => FailureKind::LimitReached { until: None },
        413 => FailureKind::TooLarge,
        429 => FailureKind::RateLimited,
        529 => FailureKind::Overloaded,
        500..=599 => FailureKind::Server,
        _ => return None,
    })
}

fn of_retry(retry: &Retry) -> FailureKind {
    match retry.error.as_str() {
        "rate_limit" => FailureKind::RateLimited,
        "overloaded" => FailureKind::Overloaded,
        "server_error" => FailureKind::Server,
        "authentication_failed" => FailureKind::Auth,
        _ => FailureKind::Network,
    }
}

fn told(status: Option<u16>, error: &str) -> String {
    let error = clean(error);
    match status {
        Some(status) => format!("claude: the API answered {status} ({error})"),
        None => format!("claude: the connection to the API failed ({error})"),
    }
}

/// A program's words on one line, without what a terminal would obey, and not too long.
pub(super) fn clean(text: &str) -> String {
    let words = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: Option<u16>, reason: &str, text: &str) -> Done {
        Done { is_error: true, status, reason: reason.to_owned(), text: text.to_owned(), ..Done::default() }
    }

    #[test]
    fn each_way_to_fail_has_its_kind() {
        use FailureKind::*;
        let limit = LimitReached { until: None };
        for (status, reason, text, kind) in [
            (Some(400), "api_error", "API Error: 400", Invalid),
            (Some(401), "api_error", "Invalid API key", Auth),
            (None, "api_error", "Not logged in · Please run /login", Auth),
            (Some(402), "api_error", "billing", limit.clone()),
            (Some(404), "api_error", "model_not_found", Invalid),
            (Some(413), "api_error", "too large", TooLarge),
            (Some(413), "image_error", "too large", TooLarge),
            (None, "prompt_too_long", "Prompt is too long", TooLarge),
            (Some(429), "api_error", "rate", RateLimited),
            (Some(429), "api_error", "Claude usage limit reached", limit),
            (Some(500), "api_error", "oops", Server),
            (Some(503), "api_error", "oops", Server),
            (Some(529), "api_error", "Repeated 529", Overloaded),
            (None, "api_error", "Connection error", Network),
            (None, "budget_exhausted", "", RanAway),
            (None, "", "", Malformed),
        ] {
            assert_eq!(of(&ended(status, reason, text), None, None).kind, kind, "{status:?} {reason} {text}");
        }
    }

    #[test]
    fn the_delay_of_a_retry_is_the_servers_wait() {
        let retry = Retry { delay_ms: 120_153, status: Some(429), error: "rate_limit".to_owned() };
        let failure = of(&ended(None, "aborted_streaming", ""), Some(&retry), None);
        assert_eq!(failure.kind, FailureKind::RateLimited);
        assert_eq!(failure.retry_after, Some(Duration::from_millis(120_153)));
        let dropped = Retry { delay_ms: 600, status: None, error: "unknown".to_owned() };
        let failure = of(&ended(None, "aborted_streaming", ""), Some(&dropped), None);
        assert_eq!((failure.kind, failure.retry_after), (FailureKind::Network, None));
    }

    #[test]
    fn the_limit_of_a_login_goes_before_all_and_has_its_reset() {
        let until = Timestamp::from_second(1_700_000_000).ok();
        let failure = of(&ended(Some(429), "api_error", "rate"), None, Some(until));
        assert_eq!(failure.kind, FailureKind::LimitReached { until });
    }

    #[test]
    fn words_of_the_program_are_one_bounded_line_without_escapes() {
        assert_eq!(clean("a\u{1b}[2J\n b\r\n"), "a [2J b");
        assert_eq!(clean(&"x".repeat(1_000)).chars().count(), WORDS + 1);
    }
}
