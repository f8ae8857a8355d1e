//! Guards on an answer while it comes: its deadlines, its length, and whether it goes round in circles.
//!
//! They are our own, whatever a backend does about time. A guard that strikes drops the instance's future; the
//! instance is then thrown away. Only what brings an answer further is a sign of life: its text, and
//! [`StreamEvent::Thinking`], which is no part of it. A backend does not tell pings and the like, so a stream of nothing
//! else is a stall like silence.

use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backend::{Answer, Instance, Listener, Request};
use crate::gate::later;
use crate::question::{Failure, FailureKind, StreamEvent};

/// The guards' numbers.
#[derive(Clone, Copy, Debug)]
pub struct WatchConfig {
    /// The same chunk so often in a row is a loop...
    pub repeats: u32,
    /// ...if the repeated chunks have at least so many bytes together: `0, ` ten times may be an answer.
    pub repeated_bytes: usize,
    /// The longest answer, in bytes.
    pub most_bytes: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { repeats: 10, repeated_bytes: 256, most_bytes: 4 * 1024 * 1024 }
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

/// Asks an instance, under guard. Deadlines count from now.
pub async fn watched(
    config: &WatchConfig,
    instance: &mut dyn Instance,
    request: &Request,
    listener: Listener<'_>,
) -> Watched {
    let sent = Instant::now();
    let pulse = Pulse::new(sent);
    let mut guard = Guard::new(config);
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
                return Poll::Ready(Err(fault.failure(config, request)));
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
        let fault = pulse.struck().or((answer.text.len() > config.most_bytes).then_some(Fault::Endless));
        match fault {
            Some(fault) => Err(Failure { usage: Some(answer.usage), ..fault.failure(config, request) }),
            None => Ok(answer),
        }
    });
    Watched { result, first_event: pulse.first() }
}

/// What a guard found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Circle,
    Endless,
}

impl Fault {
    fn failure(self, config: &WatchConfig, request: &Request) -> Failure {
        let message = match self {
            Self::Circle => format!("the answer of {} repeats itself", request.model),
            Self::Endless => format!("the answer of {} has more than {} bytes", request.model, config.most_bytes),
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
    fault: AtomicU8,
}

impl Pulse {
    fn new(start: Instant) -> Self {
        Self { start, first: AtomicU64::new(0), last: AtomicU64::new(0), fault: AtomicU8::new(0) }
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
        self.fault.store(if fault == Fault::Circle { 1 } else { 2 }, Ordering::Relaxed);
    }

    fn struck(&self) -> Option<Fault> {
        match self.fault.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Fault::Circle),
            _ => Some(Fault::Endless),
        }
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

/// Length and circles.
struct Guard<'a> {
    config: &'a WatchConfig,
    bytes: usize,
    last: String,
    times: u32,
}

impl<'a> Guard<'a> {
    fn new(config: &'a WatchConfig) -> Self {
        Self { config, bytes: 0, last: String::new(), times: 0 }
    }

    fn sees(&mut self, event: &StreamEvent) -> Option<Fault> {
        let StreamEvent::Text(text) = event else { return None };
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
        let repeated = self.times as usize * text.len();
        (self.times >= self.config.repeats.max(2) && repeated >= self.config.repeated_bytes).then_some(Fault::Circle)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use tokio::time::sleep;

    use super::*;
    use crate::question::{Question, Usage};
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
        let request = Route::default().request(&Question::default());
        let mut heard = Vec::new();
        let start = Instant::now();
        let mut listener = |event| {
            if let StreamEvent::Text(text) = event {
                heard.push(text);
            }
        };
        let watched = watched(&WatchConfig::default(), &mut Says(says), &request, &mut listener).await;
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

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_is_cut() {
        let mebibyte: &'static str = "0123456789abcdef".repeat(65_536).leak();
        let other: &'static str = "fedcba9876543210".repeat(65_536).leak();
        let (watched, heard, _) = asked((0..6).map(|n| (0, if n % 2 == 0 { mebibyte } else { other })).collect()).await;
        assert_eq!((kind(&watched), heard.len()), (Some(FailureKind::RanAway), 4));
    }
}
