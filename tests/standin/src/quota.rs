//! Quotas, by a stated algorithm.
//!
//! Each quota is a token bucket: it holds at most `burst`, starts full, and refills continuously at `per_minute / 60` a
//! second. A request is let in when
//!
//! - the bucket of requests holds at least 1,
//! - the bucket of input tokens holds at least the request's input tokens (those read from the prompt cache do not
//!   count), and
//! - the bucket of output tokens holds more than 0.
//!
//! It then takes 1 and its input tokens at once, and its output tokens as they are sent: so the bucket of output tokens
//! can go below 0, and `max_tokens` plays no part. A request that is not let in takes nothing, and is told with
//! `retry-after` (whole seconds, rounded up, at least 1) when all three would hold enough if nobody else came.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// How much may be used a minute, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The refill.
    pub per_minute: u64,
    /// What the bucket holds.
    pub burst: u64,
}

impl Quota {
    /// A quota whose bucket holds a minute's worth.
    pub fn per_minute(per_minute: u64) -> Self {
        Self { per_minute, burst: per_minute }
    }
}

/// The quotas of an account. What is not set is not limited, and has no headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Requests.
    pub requests: Option<Quota>,
    /// Input tokens that don't come from the prompt cache.
    pub input_tokens: Option<Quota>,
    /// Output tokens.
    pub output_tokens: Option<Quota>,
    /// What `remaining` of tokens is rounded to in the headers; the real API rounds to 1,000. 0 and 1: exact.
    pub round_tokens_to: u64,
}

/// One token bucket. It knows no clock: times are told it, so that it can be used in simulated time.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    quota: Quota,
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket, at a time since some beginning.
    pub fn full(quota: Quota, at: Duration) -> Self {
        Self { quota, level: quota.burst as f64, at }
    }

    fn rate(&self) -> f64 {
        self.quota.per_minute as f64 / 60.0
    }

    /// What it holds at a time; below 0 when more was taken than it held.
    pub fn level(&mut self, at: Duration) -> f64 {
        let refill = at.saturating_sub(self.at).as_secs_f64() * self.rate();
        self.level = (self.level + refill).min(self.quota.burst as f64);
        self.at = self.at.max(at);
        self.level
    }

    /// Takes, even more than there is.
    pub fn take(&mut self, amount: u64, at: Duration) {
        self.level(at);
        self.level -= amount as f64;
    }

    /// How long until it holds `amount`; for more than it can hold: until it is full.
    pub fn wait_for(&mut self, amount: f64, at: Duration) -> Duration {
        let missing = amount.min(self.quota.burst as f64) - self.level(at);
        if missing <= 0.0 {
            Duration::ZERO
        } else {
            // A quota of nothing never comes back; an hour says so without overflowing anything.
            Duration::try_from_secs_f64(missing / self.rate()).unwrap_or(Duration::MAX).min(Duration::from_secs(3_600))
        }
    }
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) what: &'static str,
    pub(crate) retry_after: u64,
}

/// The buckets of an account.
#[derive(Debug)]
pub(crate) struct Buckets {
    origin: Instant,
    requests: Option<Bucket>,
    input: Option<Bucket>,
    output: Option<Bucket>,
    round_to: u64,
}

impl Buckets {
    pub(crate) fn new(quotas: Quotas, now: Instant) -> Self {
        let full = |quota: Option<Quota>| quota.map(|quota| Bucket::full(quota, Duration::ZERO));
        Self {
            origin: now,
            requests: full(quotas.requests),
            input: full(quotas.input_tokens),
            output: full(quotas.output_tokens),
            round_to: quotas.round_tokens_to,
        }
    }

    pub(crate) fn replace(&mut self, quotas: Quotas, now: Instant) {
        *self = Self::new(quotas, now);
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin)
    }

    /// Lets a request in and takes what it takes, or takes nothing.
    pub(crate) fn admit(&mut self, input_tokens: u64, now: Instant) -> Result<(), Exceeded> {
        let at = self.at(now);
        // Above 0 is what output needs: the smallest step that a wait can aim for is one token.
        let needs = [
            ("requests", &mut self.requests, 1.0, 1.0),
            ("input tokens", &mut self.input, input_tokens as f64, input_tokens as f64),
            ("output tokens", &mut self.output, f64::MIN_POSITIVE, 1.0),
        ];
        let mut exceeded: Option<(&'static str, Duration)> = None;
        for (what, bucket, least, aim) in needs {
            let Some(bucket) = bucket else { continue };
            if bucket.level(at) < least {
                let wait = bucket.wait_for(aim, at);
                if exceeded.is_none_or(|(_, longest)| wait > longest) {
                    exceeded = Some((what, wait));
                }
            }
        }
        if let Some((what, wait)) = exceeded {
            return Err(Exceeded { what, retry_after: (wait.as_secs_f64().ceil() as u64).max(1) });
        }
        for (bucket, amount) in [(&mut self.requests, 1), (&mut self.input, input_tokens)] {
            if let Some(bucket) = bucket {
                bucket.take(amount, at);
            }
        }
        Ok(())
    }

    /// Takes output tokens that were just sent.
    pub(crate) fn sent(&mut self, output_tokens: u64, now: Instant) {
        let at = self.at(now);
        if let Some(output) = &mut self.output {
            output.take(output_tokens, at);
        }
    }

    /// `anthropic-ratelimit-{requests,input-tokens,output-tokens}-{limit,remaining,reset}`: the limit is what comes
    /// back in a minute, the reset is when the bucket will be full.
    pub(crate) fn headers(&mut self, now: Instant, wall: Timestamp) -> Vec<(String, String)> {
        let at = self.at(now);
        let kinds = [
            ("requests", &mut self.requests, 1),
            ("input-tokens", &mut self.input, self.round_to.max(1)),
            ("output-tokens", &mut self.output, self.round_to.max(1)),
        ];
        let mut headers = Vec::new();
        for (name, bucket, round_to) in kinds {
            let Some(bucket) = bucket else { continue };
            let level = bucket.level(at).max(0.0);
            let remaining =
                if round_to == 1 { level.floor() as u64 } else { (level / round_to as f64).round() as u64 * round_to };
            let until_full = SignedDuration::try_from(bucket.wait_for(f64::MAX, at)).unwrap_or(SignedDuration::ZERO);
            let reset = wall.checked_add(until_full).unwrap_or(wall);
            headers.push((format!("anthropic-ratelimit-{name}-limit"), bucket.quota.per_minute.to_string()));
            headers.push((format!("anthropic-ratelimit-{name}-remaining"), remaining.to_string()));
            headers.push((format!("anthropic-ratelimit-{name}-reset"), format!("{reset:.3}")));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn sixty_a_minute_come_back_one_a_second_and_never_above_the_burst() {
        let mut bucket = Bucket::full(Quota { per_minute: 60, burst: 10 }, START);
        bucket.take(10, START);
        assert_eq!(bucket.level(START), 0.0);
        assert_eq!(bucket.level(seconds(4)), 4.0);
        assert_eq!(bucket.wait_for(6.0, seconds(4)), seconds(2));
        assert_eq!(bucket.level(seconds(100)), 10.0);
        // A clock that goes back gives nothing and takes nothing.
        assert_eq!(bucket.level(seconds(50)), 10.0);
    }

    #[test]
    fn over_any_time_no_more_than_burst_plus_rate_times_time_gets_in() {
        let now = Instant::now();
        let quotas = Quotas { requests: Some(Quota { per_minute: 600, burst: 20 }), ..Quotas::default() };
        let mut buckets = Buckets::new(quotas, now);
        let admitted = (0..30_000_u64).filter(|ms| buckets.admit(1, now + Duration::from_millis(*ms)).is_ok()).count();
        assert!((319..=320).contains(&admitted), "{admitted}");
    }

    #[test]
    fn a_request_that_lacks_one_thing_takes_nothing_of_the_others() {
        let now = Instant::now();
        let quotas = Quotas {
            requests: Some(Quota::per_minute(60)),
            input_tokens: Some(Quota { per_minute: 600, burst: 100 }),
            ..Quotas::default()
        };
        let mut buckets = Buckets::new(quotas, now);
        assert_eq!(buckets.admit(80, now), Ok(()));
        assert_eq!(buckets.admit(80, now), Err(Exceeded { what: "input tokens", retry_after: 6 }));
        let headers = buckets.headers(now, Timestamp::UNIX_EPOCH);
        assert!(headers.contains(&("anthropic-ratelimit-requests-remaining".into(), "59".into())), "{headers:?}");
        assert!(headers.contains(&("anthropic-ratelimit-input-tokens-remaining".into(), "20".into())));
        assert!(
            headers.contains(&("anthropic-ratelimit-input-tokens-reset".into(), "1970-01-01T00:00:08.000Z".into())),
            "{headers:?}"
        );
        assert_eq!(buckets.admit(80, now + seconds(6)), Ok(()));
    }

    #[test]
    fn output_is_taken_as_it_is_sent_and_may_go_below_nothing() {
        let now = Instant::now();
        let quotas = Quotas { output_tokens: Some(Quota { per_minute: 600, burst: 100 }), ..Quotas::default() };
        let mut buckets = Buckets::new(quotas, now);
        assert_eq!(buckets.admit(1, now), Ok(()));
        buckets.sent(149, now);
        assert_eq!(buckets.admit(1, now), Err(Exceeded { what: "output tokens", retry_after: 5 }));
        assert_eq!(buckets.admit(1, now + seconds(5)), Ok(()));
    }
}
