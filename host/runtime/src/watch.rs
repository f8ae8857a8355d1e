//! Guards on an answer while it comes: its deadlines, its length and price, and whether it goes round in circles.
//!
//! They are our own, whatever a backend does about time. A guard that strikes drops the instance's future; the
//! instance is then thrown away. Only what brings an answer further is a sign of life: its text, and
//! [`StreamEvent::Thinking`], which is no part of it. A backend does not tell pings and the like, so a stream of nothing
//! else is a stall like silence.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backend::{Answer, Instance, Listener, Request};
use crate::gate::later;
use crate::money::Usd;
use crate::question::{Failure, FailureKind, StreamEvent};
use crate::route::BYTES_PER_TOKEN;

/// The guards' numbers.
#[derive(Clone, Copy, Debug)]
pub struct WatchConfig {
    /// The same chunk so often in a row is a loop...
    pub repeats: u32,
    /// ...if the repeated chunks have at least so many bytes together: `0, ` ten times may be an answer.
    pub repeated_bytes: usize,
    /// The longest answer, in bytes.
    pub most_bytes: usize,
    /// The same tool with the same input so often in one answer is a loop.
    pub tool_repeats: u32,
    /// An answer may seem to have so many times the tokens that it was allowed: they are estimated from its bytes, and
    /// a token of spaces is long...
    pub token_slack: u64,
    /// ...and so many more.
    pub token_margin: u64,
    /// What one question may take, in dollars at list price; none: as much as its answer may be long.
    pub most_usd: Option<Usd>,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            repeats: 10,
            repeated_bytes: 256,
            most_bytes: 4 * 1024 * 1024,
            tool_repeats: 5,
            token_slack: 4,
            token_margin: 1_024,
            most_usd: None,
        }
    }
}

/// How an attempt went.
#[derive(Debug)]
pub struct Watched {
    /// The answer, or why there is none.
    pub result: Result<Answer, Failure>,
    /// When its first event came.
    pub first_event: Option<Instant>,
}

/// Asks an instance, under guard. Deadlines count from now. `affordable`: so many output tokens are what
/// [`WatchConfig::most_usd`] pays for.
pub async fn watched(
    config: &WatchConfig,
    affordable: Option<u64>,
    instance: &mut dyn Instance,
    request: &Request,
    listener: Listener<'_>,
) -> Watched {
    let sent = Instant::now();
    let pulse = Pulse::new(sent);
    let mut guard = Guard::new(config, affordable, request);
    let mut heard = |event: StreamEvent| {
        pulse.beat();
        match guard.sees(&event) {
            Some(fault) => pulse.strike(fault),
            None if event == StreamEvent::Thinking => {}
            None if pulse.struck().is_none() => listener(event),
            None => {}
        }
    };
    let result = {
        let mut answer = pin!(instance.ask(request, &mut heard));
        let mut deadline = pin!(sleep_until(later(sent, request.timeout.min(request.stall))));
        std::future::poll_fn(|context| {
            if let Poll::Ready(result) = answer.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            if let Some(fault) = pulse.struck() {
                return Poll::Ready(Err(fault.clone().failure(config, request)));
            }
            // One timer for both deadlines: it is set anew when it rings, not at each event.
            while deadline.as_mut().poll(context).is_ready() {
                match pulse.next_deadline(request) {
                    Ok(next) => deadline.as_mut().reset(next),
                    Err(failure) => return Poll::Ready(Err(failure)),
                }
            }
            Poll::Pending
        })
        .await
    };
    let result = result.and_then(|answer| {
        let endless = || (answer.text.len() > config.most_bytes).then_some(Fault::Endless);
        let fault = pulse.struck().cloned().or_else(endless);
        match fault {
            Some(fault) => Err(Failure { usage: Some(answer.usage), ..fault.failure(config, request) }),
            None => Ok(answer),
        }
    });
    Watched { result, first_event: pulse.first() }
}

/// What a guard found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Circle,
    Endless,
    /// More tokens than it was allowed, as far as they can be estimated.
    TooLong(u64),
    TooDear(Usd),
    SameTool(String),
}

impl Fault {
    fn failure(self, config: &WatchConfig, request: &Request) -> Failure {
        let message = match self {
            Self::Circle => format!("the answer of {} repeats itself", request.model),
            Self::Endless => format!("the answer of {} has more than {} bytes", request.model, config.most_bytes),
            Self::TooLong(tokens) => format!(
                "the answer of {} has about {tokens} tokens and goes on; it was allowed {}",
                request.model, request.max_output_tokens
            ),
            Self::TooDear(most) => format!("the answer of {} takes more than {most}", request.model),
            Self::SameTool(tool) => {
                format!("{} used the tool {tool} {} times with the same input", request.model, config.tool_repeats)
            }
        };
        Failure { reached_model: true, ..Failure::new(FailureKind::RanAway, message) }
    }
}

/// The signs of life, written by the listener and read by the deadline. Times are nanoseconds since the start, 0 is
/// none.
struct Pulse {
    start: Instant,
    first: AtomicU64,
    last: AtomicU64,
    fault: OnceLock<Fault>,
}

impl Pulse {
    fn new(start: Instant) -> Self {
        Self { start, first: AtomicU64::new(0), last: AtomicU64::new(0), fault: OnceLock::new() }
    }

    fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        if self.first.load(Ordering::Relaxed) == 0 {
            self.first.store(now, Ordering::Relaxed);
        }
        self.last.store(now, Ordering::Relaxed);
    }

    fn time(&self, of: &AtomicU64) -> Option<Instant> {
        match of.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(self.start + Duration::from_nanos(nanos)),
        }
    }

    fn first(&self) -> Option<Instant> {
        self.time(&self.first)
    }

    fn strike(&self, fault: Fault) {
        // The first one is told.
        let _ = self.fault.set(fault);
    }

    fn struck(&self) -> Option<&Fault> {
        self.fault.get()
    }

    /// When to look again, or which deadline has passed.
    fn next_deadline(&self, request: &Request) -> Result<Instant, Failure> {
        let now = Instant::now();
        let reached = |kind, message| Failure { reached_model: true, ..Failure::new(kind, message) };
        let end = later(self.start, request.timeout);
        if now >= end {
            let message = format!("{} gave no full answer within {} s", request.model, request.timeout.as_secs());
            return Err(reached(FailureKind::TimedOut, message));
        }
        let Some(last) = self.time(&self.last) else { return Ok(end) };
        let stalled = later(last, request.stall);
        if now >= stalled {
            let message = format!("the answer of {} stopped for {} s", request.model, request.stall.as_secs());
            return Err(reached(FailureKind::Stalled, message));
        }
        Ok(end.min(stalled))
    }
}

/// So many different calls of tools are told apart.
const MOST_CALLS: usize = 10_000;

/// The longest name of a tool in a message, in characters. A model may make one up.
const LONGEST_TOOL: usize = 40;

/// Length, price and circles.
struct Guard<'a> {
    config: &'a WatchConfig,
    /// From here on it has more tokens than it was allowed.
    most_tokens: u64,
    affordable: Option<u64>,
    calls: HashMap<(String, u64), u32>,
    bytes: usize,
    last: String,
    times: u32,
}

impl<'a> Guard<'a> {
    fn new(config: &'a WatchConfig, affordable: Option<u64>, request: &Request) -> Self {
        let allowed = u64::from(request.max_output_tokens);
        let most_tokens = allowed.saturating_mul(config.token_slack.max(1)).saturating_add(config.token_margin);
        let calls = HashMap::new();
        Self { config, most_tokens, affordable, calls, bytes: 0, last: String::new(), times: 0 }
    }

    fn sees(&mut self, event: &StreamEvent) -> Option<Fault> {
        let text = match event {
            StreamEvent::Text(text) => text,
            StreamEvent::Tool { name, input } => return self.calls(name, *input),
            StreamEvent::Started | StreamEvent::Thinking | StreamEvent::Restarted(_) => return None,
        };
        self.bytes = self.bytes.saturating_add(text.len());
        if *text == self.last {
            self.times = self.times.saturating_add(1);
        } else {
            self.last.clone_from(text);
            self.times = 1;
        }
        if self.bytes > self.config.most_bytes {
            return Some(Fault::Endless);
        }
        let tokens = self.bytes as u64 / BYTES_PER_TOKEN;
        if tokens > self.most_tokens {
            return Some(Fault::TooLong(tokens));
        }
        if let (Some(affordable), Some(most)) = (self.affordable, self.config.most_usd)
            && tokens > affordable
        {
            return Some(Fault::TooDear(most));
        }
        let repeated = self.times as usize * text.len();
        (self.times >= self.config.repeats.max(2) && repeated >= self.config.repeated_bytes).then_some(Fault::Circle)
    }

    fn calls(&mut self, name: &str, input: u64) -> Option<Fault> {
        let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_TOOL).collect();
        let call = (name, input);
        if self.calls.len() >= MOST_CALLS && !self.calls.contains_key(&call) {
            return None;
        }
        let times = self.calls.entry(call.clone()).or_default();
        *times += 1;
        (*times >= self.config.tool_repeats.max(2)).then_some(Fault::SameTool(call.0))
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use tokio::time::sleep;

    use super::*;
    use crate::question::{Question, Tier, Usage};
    use crate::route::Route;

    /// Says each text after its pause, then ends.
    struct Says(Vec<(u64, &'static str)>);

    impl Instance for Says {
        fn ask<'a>(&'a mut self, _: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
            Box::pin(async move {
                let mut text = String::new();
                for (seconds, chunk) in &self.0 {
                    sleep(Duration::from_secs(*seconds)).await;
                    listener(match *chunk {
                        "" => StreamEvent::Thinking,
                        tool if tool.starts_with("tool ") => StreamEvent::tool("Read", tool),
                        text => StreamEvent::Text(text.to_owned()),
                    });
                    text.push_str(chunk);
                }
                Ok(Answer {
                    text,
                    model: "m".to_owned(),
                    usage: Usage::default(),
                    truncated: false,
                    limits: None,
                    edits: Vec::new(),
                })
            })
        }
    }

    async fn asked(says: Vec<(u64, &'static str)>) -> (Watched, Vec<String>, Duration) {
        guarded(&WatchConfig::default(), None, None, says).await
    }

    async fn guarded(
        config: &WatchConfig,
        affordable: Option<u64>,
        max_output_tokens: Option<u32>,
        says: Vec<(u64, &'static str)>,
    ) -> (Watched, Vec<String>, Duration) {
        // As much as there is, so that bytes are what ends it where nothing else is said.
        let max_output_tokens = max_output_tokens.or(Some(u32::MAX));
        let mut route = Route::default();
        route.comprehensive.most_output_tokens = u32::MAX;
        route.auto = Tier::Comprehensive;
        let request = route.request(&Question { max_output_tokens, ..Question::default() });
        let mut heard = Vec::new();
        let start = Instant::now();
        let mut listener = |event| {
            if let StreamEvent::Text(text) = event {
                heard.push(text);
            }
        };
        let watched = watched(config, affordable, &mut Says(says), &request, &mut listener).await;
        (watched, heard, start.elapsed())
    }

    fn kind(watched: &Watched) -> Option<FailureKind> {
        watched.result.as_ref().err().map(|failure| failure.kind.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_long_to_begin() {
        let (watched, heard, took) = asked(vec![(100, "yes")]).await;
        assert_eq!((watched.result.unwrap().text.as_str(), heard.len()), ("yes", 1));
        assert_eq!(took.as_secs(), 100);
        assert!(watched.first_event.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_it_ends_after_a_hundred_and_twenty_seconds() {
        let (watched, _, took) = asked(vec![(1_000, "late")]).await;
        assert_eq!((kind(&watched), took.as_secs()), (Some(FailureKind::TimedOut), 120));
        assert!(watched.result.unwrap_err().reached_model);
    }

    #[tokio::test(start_paused = true)]
    async fn a_begun_answer_that_stops_for_thirty_seconds_has_stalled() {
        let (watched, _, took) = asked(vec![(20, "a"), (29, "b"), (1_000, "c")]).await;
        assert_eq!((kind(&watched), took.as_secs()), (Some(FailureKind::Stalled), 20 + 29 + 30));
    }

    #[tokio::test(start_paused = true)]
    async fn drops_of_text_do_not_outlive_the_deadline() {
        let (watched, _, took) = asked(vec![(20, "x"); 20]).await;
        assert_eq!((kind(&watched), took.as_secs()), (Some(FailureKind::TimedOut), 120));
    }

    #[tokio::test(start_paused = true)]
    async fn thinking_keeps_an_answer_alive_and_is_not_passed_on() {
        let (watched, heard, _) = asked(vec![(1, "a"), (25, ""), (25, ""), (25, "b")]).await;
        assert!(watched.result.is_ok());
        assert_eq!(heard, ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_chunk_ten_times_is_a_loop() {
        let mut says = vec![(0, "the same long chunk of an answer, again and again"); 9];
        assert!(asked(says.clone()).await.0.result.is_ok());
        says.extend([(0, "the same long chunk of an answer, again and again"), (1, "more")]);
        let (watched, heard, took) = asked(says).await;
        assert_eq!((kind(&watched), heard.len(), took.as_secs()), (Some(FailureKind::RanAway), 9, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn ten_zeros_are_no_loop_but_a_hundred_and_twenty_eight_are() {
        assert!(asked(vec![(0, "0,"); 127]).await.0.result.is_ok());
        assert_eq!(kind(&asked(vec![(0, "0,"); 128]).await.0), Some(FailureKind::RanAway));
    }

    fn message(watched: &Watched) -> String {
        watched.result.as_ref().err().map(|failure| failure.message.clone()).unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_call_of_a_tool_five_times_is_a_loop_whatever_comes_between() {
        let four = ["tool a", "tool b", "tool a", "x", "tool a", "tool c", "tool a"].map(|says| (1, says)).to_vec();
        assert!(asked(four.clone()).await.0.result.is_ok());
        let five = [four, vec![(1, "tool b"), (1, "tool a"), (1, "more")]].concat();
        let (watched, _, took) = asked(five).await;
        assert_eq!((kind(&watched), took.as_secs()), (Some(FailureKind::RanAway), 9));
        assert_eq!(message(&watched), "claude-opus-5-5 used the tool Read 5 times with the same input");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_far_beyond_its_tokens_is_ended_and_one_a_little_beyond_is_not() {
        let kibibyte: &'static str = (0..256).map(|n| format!("{n:04}")).collect::<String>().leak();
        let other: &'static str = (256..512).map(|n| format!("{n:04}")).collect::<String>().leak();
        let says =
            |count: usize| (0..count).map(|n| (0, if n % 2 == 0 { kibibyte } else { other })).collect::<Vec<_>>();
        // 100 tokens allowed: 4 times as many, and 1,024 more, are 5,696 bytes.
        let config = WatchConfig::default();
        assert!(guarded(&config, None, Some(100), says(5)).await.0.result.is_ok());
        let (watched, heard, _) = guarded(&config, None, Some(100), says(9)).await;
        assert_eq!((kind(&watched), heard.len()), (Some(FailureKind::RanAway), 5));
        assert!(message(&watched).contains("about 1536 tokens and goes on; it was allowed 100"), "{watched:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_more_dollars_than_a_question_may_is_ended() {
        let config = WatchConfig { most_usd: Some(Usd::from_dollars(0.5)), ..WatchConfig::default() };
        let says = vec![(1, "0123456789"), (1, "9876543210"), (1, "0123456789"), (1, "9876543210")];
        assert!(guarded(&config, Some(10), None, says.clone()).await.0.result.is_ok());
        let (watched, heard, _) = guarded(&config, Some(5), None, says).await;
        assert_eq!((kind(&watched), heard.len()), (Some(FailureKind::RanAway), 2));
        assert!(message(&watched).contains("takes more than $0.5"), "{watched:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_is_cut() {
        let mebibyte: &'static str = "0123456789abcdef".repeat(65_536).leak();
        let other: &'static str = "fedcba9876543210".repeat(65_536).leak();
        let (watched, heard, _) = asked((0..6).map(|n| (0, if n % 2 == 0 { mebibyte } else { other })).collect()).await;
        assert_eq!((kind(&watched), heard.len()), (Some(FailureKind::RanAway), 4));
    }
}
