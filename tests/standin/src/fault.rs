//! What goes wrong, and when.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How a 429 says when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not at all.
    Unsaid,
    /// In seconds.
    Seconds(u64),
    /// As an HTTP date, so many seconds from now.
    Date(u64),
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 `rate_limit_error`.
    RateLimited {
        /// When to come back.
        retry_after: RetryAfter,
    },
    /// 529 `overloaded_error`.
    Overloaded,
    /// 500 `api_error`.
    Server,
    /// 401 `authentication_error`.
    Unauthorized,
    /// 429 without `retry-after`, whose `details.error_code` is `enforced_spend_limit_reached`.
    LimitReached,
    /// Another status, with the error type that belongs to it.
    Status(u16),
    /// 307 to another address.
    Redirect {
        /// The address.
        to: String,
    },
    /// The connection breaks.
    CutStream {
        /// How many events come before that.
        after_events: usize,
    },
    /// One event is not JSON.
    MalformedEvent,
    /// Nothing comes, and the connection stays.
    Silence {
        /// Whether half of the answer comes before that; else not even the headers do.
        mid_stream: bool,
    },
    /// Half of the answer comes, then pings without end.
    SlowPing {
        /// The time between two.
        every: Duration,
    },
    /// Half of the answer comes, then an `error` event.
    ErrorEvent {
        /// The error type: `overloaded_error`.
        kind: String,
    },
    /// 200 and not one event.
    EmptyStream,
    /// Everything but the last event comes, and the stream ends as if that were all.
    NoMessageStop,
    /// An answer that doesn't fit the schema: `{"unexpected":true}`.
    OffSchema,
    /// One event is very large.
    HugeEvent {
        /// The bytes of its text.
        bytes: usize,
    },
    /// The model calls a tool that it was not given.
    ToolUse,
    /// The model refuses: some text, then `stop_reason` `refusal`.
    Refusal,
}

/// When a fault happens: all that is set must hold. The default always holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// The numbers of the requests, from 1.
    pub nth: Option<RangeInclusive<u64>>,
    /// A text that the request's messages contain.
    pub contains: Option<String>,
    /// The share of requests, drawn from the seed.
    pub probability: Option<f64>,
    /// The time since the stand-in started.
    pub window: Option<Range<Duration>>,
    /// How often at most.
    pub times: Option<u32>,
}

impl When {
    /// At one request, counted from 1.
    pub fn nth(number: u64) -> Self {
        Self { nth: Some(number..=number), ..Self::default() }
    }

    /// At requests whose messages contain a text.
    pub fn contains(text: impl Into<String>) -> Self {
        Self { contains: Some(text.into()), ..Self::default() }
    }

    /// At a share of all requests.
    pub fn probability(share: f64) -> Self {
        Self { probability: Some(share), ..Self::default() }
    }

    /// At the next so many requests.
    pub fn next(times: u32) -> Self {
        Self { times: Some(times), ..Self::default() }
    }
}

/// A fault on order.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// When it happens.
    pub when: When,
    /// What happens.
    pub fault: Fault,
}

/// `3=429:7`, `rate:0.1=529`, `text:lockfile,times:2=cut:4`, `time:0-60,rate:0.5=500`, `50-=limit`, `all=ping:20`.
impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (conditions, fault) =
            text.rsplit_once('=').ok_or_else(|| format!("`{text}`: should be WHEN=FAULT, as in 3=429:7"))?;
        let mut when = When::default();
        for condition in conditions.split(',').filter(|condition| *condition != "all") {
            when.add(condition)?;
        }
        Ok(Self { when, fault: fault.parse()? })
    }
}

fn number<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not {what}"))
}

impl When {
    fn add(&mut self, condition: &str) -> Result<(), String> {
        match condition.split_once(':') {
            Some(("rate", share)) => {
                let share: f64 = number(share, "a share between 0 and 1")?;
                if !(0.0..=1.0).contains(&share) {
                    return Err(format!("`{share}` is not a share between 0 and 1"));
                }
                self.probability = Some(share);
            }
            Some(("text", text)) => self.contains = Some(text.to_owned()),
            Some(("times", times)) => self.times = Some(number(times, "a number of times")?),
            Some(("time", window)) => {
                let (from, to) = window.split_once('-').ok_or_else(|| format!("`{window}` is not FROM-TO seconds"))?;
                let from = number(from, "a number of seconds")?;
                let to = if to.is_empty() { u64::MAX } else { number(to, "a number of seconds")? };
                self.window = Some(Duration::from_secs(from)..Duration::from_secs(to));
            }
            Some((other, _)) => return Err(format!("`{other}` is none of: rate, text, time, times, a number")),
            None => {
                let (from, to) = condition.split_once('-').unwrap_or((condition, condition));
                let from = number(from, "a request's number")?;
                self.nth = Some(from..=if to.is_empty() { u64::MAX } else { number(to, "a request's number")? });
            }
        }
        Ok(())
    }

    fn holds(&self, asked: &Asked<'_>, seed: u64) -> bool {
        self.nth.as_ref().is_none_or(|numbers| numbers.contains(&asked.number))
            && self.window.as_ref().is_none_or(|window| window.contains(&asked.at))
            && self.contains.as_ref().is_none_or(|text| asked.text.contains(text.as_str()))
            && self.probability.is_none_or(|share| StdRng::seed_from_u64(seed).random_bool(share.clamp(0.0, 1.0)))
    }
}

/// `429`, `429:7`, `429:date:7`, `529`, `500`, `401`, `limit`, another status, `redirect:URL`, `cut:2`, `malformed`,
/// `silence`, `silence:mid`, `ping:20`, `error:overloaded_error`, `empty`, `no-stop`, `off-schema`, `huge:2000000`,
/// `tool`, `refusal`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        Ok(match (name, rest) {
            ("429", None) => Self::RateLimited { retry_after: RetryAfter::Unsaid },
            ("429", Some(wait)) => Self::RateLimited {
                retry_after: match wait.strip_prefix("date:") {
                    Some(seconds) => RetryAfter::Date(number(seconds, "a number of seconds")?),
                    None => RetryAfter::Seconds(number(wait, "a number of seconds")?),
                },
            },
            ("529", None) => Self::Overloaded,
            ("500", None) => Self::Server,
            ("401", None) => Self::Unauthorized,
            ("limit", None) => Self::LimitReached,
            ("redirect", Some(to)) => Self::Redirect { to: to.to_owned() },
            ("cut", events) => Self::CutStream { after_events: number(events.unwrap_or("2"), "a number of events")? },
            ("malformed", None) => Self::MalformedEvent,
            ("silence", None) => Self::Silence { mid_stream: false },
            ("silence", Some("mid")) => Self::Silence { mid_stream: true },
            ("ping", every) => Self::SlowPing {
                every: Duration::from_millis(number::<u64>(every.unwrap_or("1000"), "a number of ms")?.max(1)),
            },
            ("error", kind) => Self::ErrorEvent { kind: kind.unwrap_or("overloaded_error").to_owned() },
            ("empty", None) => Self::EmptyStream,
            ("no-stop", None) => Self::NoMessageStop,
            ("off-schema", None) => Self::OffSchema,
            ("huge", bytes) => Self::HugeEvent { bytes: number(bytes.unwrap_or("2000000"), "a number of bytes")? },
            ("tool", None) => Self::ToolUse,
            ("refusal", None) => Self::Refusal,
            (status, None) if status.parse().is_ok_and(|status: u16| (400..=599).contains(&status)) => {
                Self::Status(number(status, "a status")?)
            }
            _ => return Err(format!("`{text}` is no fault")),
        })
    }
}

/// What a rule is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) number: u64,
    pub(crate) at: Duration,
    pub(crate) text: &'a str,
}

/// The rules in force, and how often each has happened.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<(FaultRule, u32)>,
}

impl Faults {
    pub(crate) fn new(rules: Vec<FaultRule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, 0)).collect() }
    }

    pub(crate) fn replace(&mut self, rules: Vec<FaultRule>) {
        *self = Self::new(rules);
    }

    /// The fault of a request: that of the first rule that holds.
    pub(crate) fn pick(&mut self, asked: &Asked<'_>, seed: u64) -> Option<Fault> {
        for (place, (rule, happened)) in self.rules.iter_mut().enumerate() {
            let drawn_from = seed ^ 0xfa17 ^ ((place as u64) << 32);
            if rule.when.times.is_none_or(|times| *happened < times) && rule.when.holds(asked, drawn_from) {
                *happened += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: u64, seconds: u64, text: &str) -> Asked<'_> {
        Asked { number, at: Duration::from_secs(seconds), text }
    }

    fn rules(texts: &[&str]) -> Faults {
        Faults::new(texts.iter().map(|text| text.parse().expect("a rule")).collect())
    }

    #[test]
    fn the_third_request_is_told_to_wait_seven_seconds() {
        let mut faults = rules(&["3=429:7"]);
        assert_eq!(faults.pick(&asked(2, 0, ""), 1), None);
        let seven = RetryAfter::Seconds(7);
        assert_eq!(faults.pick(&asked(3, 0, ""), 1), Some(Fault::RateLimited { retry_after: seven }));
        assert_eq!(faults.pick(&asked(4, 0, ""), 1), None);
    }

    #[test]
    fn conditions_must_all_hold_and_the_first_rule_goes_first() {
        let mut faults = rules(&["text:lock,times:2=cut:4", "10-,time:5-10=limit", "all=529"]);
        let cut = Fault::CutStream { after_events: 4 };
        assert_eq!(faults.pick(&asked(1, 0, "a lockfile"), 1), Some(cut.clone()));
        assert_eq!(faults.pick(&asked(2, 0, "a file"), 1), Some(Fault::Overloaded));
        assert_eq!(faults.pick(&asked(3, 0, "a lockfile"), 1), Some(cut));
        assert_eq!(faults.pick(&asked(4, 0, "a lockfile"), 1), Some(Fault::Overloaded));
        assert_eq!(faults.pick(&asked(10, 4, ""), 1), Some(Fault::Overloaded));
        assert_eq!(faults.pick(&asked(10, 5, ""), 1), Some(Fault::LimitReached));
        assert_eq!(faults.pick(&asked(99, 10, ""), 1), Some(Fault::Overloaded));
    }

    #[test]
    fn one_in_ten_is_about_one_in_ten_and_the_same_each_time() {
        let mut faults = rules(&["rate:0.1=500"]);
        let hits: Vec<_> = (0..2_000).filter(|seed| faults.pick(&asked(1, 0, ""), *seed).is_some()).collect();
        assert!((140..=260).contains(&hits.len()), "{}", hits.len());
        assert!(faults.pick(&asked(7, 3, "else"), hits[0]).is_some());
    }

    #[test]
    fn every_fault_can_be_ordered_by_name_and_nonsense_is_refused() {
        for text in [
            "429",
            "429:7",
            "429:date:7",
            "529",
            "500",
            "401",
            "limit",
            "402",
            "504",
            "redirect:http://127.0.0.1:1/",
            "cut",
            "cut:5",
            "malformed",
            "silence",
            "silence:mid",
            "ping",
            "ping:20",
            "error",
            "error:api_error",
            "empty",
            "no-stop",
            "off-schema",
            "huge",
            "huge:10",
            "tool",
            "refusal",
        ] {
            assert!(text.parse::<Fault>().is_ok(), "{text}");
        }
        for text in ["3", "3=", "3=99", "x=529", "rate:2=529", "rate:x=529", "time:5=529", "4=429:soon", "5=529:1"] {
            assert!(text.parse::<FaultRule>().is_err(), "{text}");
        }
    }
}
