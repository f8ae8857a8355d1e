//! What is going on in a worker's line, in words.

use std::borrow::Cow;
use std::time::Duration;

use console::Style;
use convoke_runtime::question::Tier;

use super::state::{Pace, clock};
use crate::report::clean::line as clean;

/// Waits from here on are counted: below, a number would only flicker.
const WORTH_SAYING: Duration = Duration::from_secs(2);

/// A question that was sent so long ago and has no answer yet is slow to begin.
const SLOW: Duration = Duration::from_secs(15);

/// An answer that had begun, and of which so long nothing was heard, has stalled.
const STALLED: Duration = convoke_runtime::timeline::STALLED;

/// The longest reason, in characters.
const REASON: usize = 40;

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doing {
    pub(super) kind: Kind,
    /// Since when.
    pub(super) since: Duration,
    /// Where its question goes.
    pub(super) tier: Option<Tier>,
    /// How many questions its item has asked that have not ended.
    pub(super) questions: usize,
}

/// The kinds of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// It is not there yet.
    Starting,
    /// It waits for an item.
    Idle,
    /// It would go on, and may not.
    Paused,
    /// Computing, reading; what its plugin says of it.
    Working(String),
    /// Its question waits to be let in.
    Queued,
    /// The same, and it is known for what, and until when at least.
    Waiting(Cow<'static, str>, Option<Duration>),
    /// Its question was sent, and there is no answer yet; whether it was sent twice.
    Asked(bool),
    /// The answer is coming, and was last heard so long ago.
    Answering(Pace, Duration),
    /// Its question will be asked again at that time, and why.
    Retrying(Duration, String),
}

/// It, as it is shown.
pub(super) struct Words {
    /// One column: tells the kinds apart at a glance, and is never the only thing that does.
    pub(super) sign: &'static str,
    pub(super) text: String,
    pub(super) style: Style,
}

impl Doing {
    /// One word for its kind, for a count of many.
    pub(super) fn word(&self) -> &'static str {
        match &self.kind {
            Kind::Starting => "starting",
            Kind::Idle => "idle",
            Kind::Paused => "paused",
            Kind::Working(_) => "working",
            Kind::Queued | Kind::Waiting(..) => "waiting",
            Kind::Asked(_) => "asked",
            Kind::Answering(_, quiet) if *quiet >= STALLED => "stalled",
            Kind::Answering(..) => "answering",
            Kind::Retrying(..) => "retrying",
        }
    }

    /// In words; `short`: for a narrow terminal.
    pub(super) fn words(&self, now: Duration, short: bool, unicode: bool) -> Words {
        let (dim, wait) = (Style::new().dim(), Style::new().yellow());
        let waited = now.saturating_sub(self.since);
        let since = |text: &str| {
            if waited < WORTH_SAYING { text.to_owned() } else { format!("{text} {}", clock(waited)) }
        };
        let ([drawn, plain], text, style) = match &self.kind {
            Kind::Starting => (["◌", "."], since("starting"), dim),
            Kind::Idle => (["·", "."], "idle".to_owned(), dim),
            Kind::Paused => (["‖", "="], since("paused"), wait),
            Kind::Working(note) if note.is_empty() => (["▸", ">"], since("working"), Style::new()),
            Kind::Working(note) => (["▸", ">"], clean(note), Style::new()),
            Kind::Queued => (["○", "o"], since("queued"), wait),
            Kind::Waiting(reason, until) => (["○", "o"], waiting(reason, *until, now, &since, short), wait),
            Kind::Asked(true) => (["◐", "-"], since("asked twice"), Style::new().cyan()),
            Kind::Asked(false) if waited >= SLOW => (["◐", "-"], since("no token yet"), wait),
            Kind::Asked(false) => (["◐", "-"], since("asked"), Style::new().cyan()),
            Kind::Answering(pace, quiet) if *quiet >= STALLED => match &pace.tool {
                // It may be at work with it.
                Some(tool) => {
                    let text = format!("silent {} after {}", clock(*quiet), clean(tool));
                    (["◐", "-"], text, wait)
                }
                None => (["!", "!"], format!("stalled {}", clock(*quiet)), Style::new().red()),
            },
            Kind::Answering(pace, _) => {
                (["●", "*"], self.answering(pace, since("answering"), short), Style::new().green())
            }
            Kind::Retrying(at, why) => {
                let (left, why) = (clock(at.saturating_sub(now)), clean(&crate::report::clean::bounded(why, REASON)));
                let text = if short { format!("retry in {left}") } else { format!("retrying in {left} ({why})") };
                (["↻", "~"], text, wait)
            }
        };
        Words { sign: if unicode { drawn } else { plain }, text, style }
    }

    /// How long, how fast, with which tool. The end is what a narrow terminal cuts.
    fn answering(&self, pace: &Pace, since: String, short: bool) -> String {
        let (first, unit) = if short { ("answering".to_owned(), "/s") } else { (since, " tok/s") };
        let rate = pace.tokens_per_second.map(|rate| format!("  ~{rate}{unit}"));
        let tool = pace.tool.as_deref().map(|tool| format!("  {}", clean(tool)));
        let many = (self.questions > 1 && !short).then(|| format!("  {} questions", self.questions));
        [Some(first), rate, tool, many].into_iter().flatten().collect()
    }
}

/// For what, and how long: since when it does, or what is known of its end.
fn waiting(
    reason: &str,
    until: Option<Duration>,
    now: Duration,
    since: &dyn Fn(&str) -> String,
    short: bool,
) -> String {
    let (long, brief) = match reason {
        "quota" => ("waiting for quota", "quota"),
        "limit" => ("waiting for the limit", "limit"),
        "instance" => ("waiting for an instance", "instance"),
        "breaker" => ("waiting for the breaker", "breaker"),
        "context" => ("waiting for a shared context", "context"),
        "turn" => ("waiting for its turn", "turn"),
        _ => ("waiting", "waiting"),
    };
    let text = if short { brief } else { long };
    match until.map(|until| until.saturating_sub(now)).filter(|left| *left >= WORTH_SAYING) {
        Some(left) if short => format!("{text} {}+", clock(left)),
        Some(left) => format!("{text}, {} or more", clock(left)),
        None => since(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Kind, seconds: u64, short: bool) -> String {
        let doing = Doing { kind, since: Duration::from_secs(10), tier: None, questions: 1 };
        doing.words(Duration::from_secs(10 + seconds), short, true).text
    }

    #[test]
    fn a_short_wait_is_not_counted_and_a_long_one_is() {
        assert_eq!([said(Kind::Queued, 1, false), said(Kind::Queued, 63, false)], ["queued", "queued 1:03"]);
        assert_eq!([said(Kind::Asked(false), 0, false), said(Kind::Asked(false), 7, false)], ["asked", "asked 0:07"]);
    }

    #[test]
    fn a_retry_counts_down_and_says_why() {
        let retry = || Kind::Retrying(Duration::from_secs(60), "rate limited".to_owned());
        assert_eq!(said(retry(), 5, false), "retrying in 0:45 (rate limited)");
        assert_eq!(said(retry(), 5, true), "retry in 0:45");
    }

    #[test]
    fn each_wait_says_for_what_and_how_long() {
        let wait = |reason: &'static str| said(Kind::Waiting(reason.into(), None), 12, false);
        assert_eq!(wait("quota"), "waiting for quota 0:12");
        assert_eq!(wait("limit"), "waiting for the limit 0:12");
        assert_eq!(wait("instance"), "waiting for an instance 0:12");
        assert_eq!(wait("breaker"), "waiting for the breaker 0:12");
        assert_eq!(wait("turn"), "waiting for its turn 0:12");
        assert_eq!(wait("context"), "waiting for a shared context 0:12");
        assert_eq!(wait("of a later version"), "waiting 0:12");
        let until = Some(Duration::from_secs(60));
        assert_eq!(said(Kind::Waiting("quota".into(), until), 5, false), "waiting for quota, 0:45 or more");
        assert_eq!(said(Kind::Waiting("quota".into(), until), 5, true), "quota 0:45+");
        assert_eq!(said(Kind::Waiting("quota".into(), until), 60, true), "quota 1:00", "longer than was known");
    }

    #[test]
    fn a_slow_beginning_a_stall_and_a_tool_at_work_are_told_apart() {
        let tool = |tool: Option<&str>| Pace { tokens_per_second: Some(80), tool: tool.map(str::to_owned) };
        let answering = |tool, quiet| said(Kind::Answering(tool, Duration::from_secs(quiet)), 30, false);
        assert_eq!(said(Kind::Asked(false), 40, false), "no token yet 0:40");
        assert_eq!(answering(tool(None), 1), "answering 0:30  ~80 tok/s");
        assert_eq!(answering(tool(None), 8), "stalled 0:08");
        assert_eq!(answering(tool(Some("Read")), 8), "silent 0:08 after Read");
    }

    #[test]
    fn no_two_kinds_look_the_same() {
        let quiet = Duration::ZERO;
        let kinds = [
            Kind::Starting,
            Kind::Idle,
            Kind::Paused,
            Kind::Working(String::new()),
            Kind::Queued,
            Kind::Waiting("quota".into(), None),
            Kind::Asked(false),
            Kind::Asked(true),
            Kind::Answering(Pace::default(), quiet),
            Kind::Answering(Pace::default(), STALLED),
            Kind::Retrying(Duration::ZERO, "overloaded".to_owned()),
        ];
        for short in [false, true] {
            let said: std::collections::BTreeSet<String> =
                kinds.iter().map(|kind| said(kind.clone(), 0, short)).collect();
            assert_eq!(said.len(), kinds.len(), "{said:?}");
        }
    }

    #[test]
    fn what_a_plugin_or_a_model_named_does_nothing_to_the_terminal() {
        let tool = Some("mcp\u{1b}[2J__tool".to_owned());
        for kind in [
            Kind::Working("a\u{1b}]0;title\u{7}b\nc".to_owned()),
            Kind::Answering(Pace { tokens_per_second: None, tool }, Duration::from_secs(9)),
            Kind::Retrying(Duration::from_secs(60), "\u{1b}[31mred\r\n".to_owned()),
        ] {
            let text = said(kind, 1, false);
            assert!(!text.contains(['\u{1b}', '\u{7}', '\n', '\r']), "{text:?}");
        }
    }
}
