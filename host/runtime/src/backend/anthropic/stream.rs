//! Reading an answer's events.
//!
//! `message_start`, blocks with their deltas, `message_delta` with the usage so far, `message_stop`; `ping` anywhere,
//! and events that are not known yet. Only `message_stop` makes an answer whole: a stream that just ends was cut.

use std::borrow::Cow;
use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::Response;
use serde::Deserialize;
use sse_stream::SseByteStream;
use tokio::time::{Instant, timeout};

use super::error::{self, Told};
use super::patience::{Ended, Patience, Signs};
use super::{headers, seconds};
use crate::backend::{Answer, Listener, Request};
use crate::question::{Failure, FailureKind, StreamEvent, Usage};

/// The largest event, in bytes. Real ones hold a few words.
const LARGEST_EVENT: usize = 1024 * 1024;
/// The largest answer, in bytes: several times what any model writes at once.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Any event, in one flat shape: each kind fills the fields it has.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Counts>,
    error: Option<Told>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// What is known so far.
#[derive(Default)]
struct Partial {
    model: Option<String>,
    text: String,
    usage: Usage,
    started: bool,
    /// The events so far that brought the answer further: its blocks and its end.
    content_events: u64,
    stop_reason: Option<String>,
    stopped: bool,
}

/// Reads an answer to its end. Every failure tells what was used, as far as that is known.
pub(super) async fn read(
    response: Response,
    request: &Request,
    deadline: Instant,
    key: &str,
    listener: Listener<'_>,
) -> Result<Answer, Failure> {
    let signs = Signs::default();
    let source = (response, Patience::new(deadline, request.stall), signs.clone());
    let bytes = futures::stream::try_unfold(source, async |(mut response, mut patience, signs)| {
        let Some(bytes) = patience.wait(signs.last_content(), response.chunk()).await? else { return Ok(None) };
        // The decoder itself would hold any amount.
        if signs.came(bytes.len()) > LARGEST_EVENT {
            return Err(Ended::TooLarge);
        }
        Ok(Some((bytes, (response, patience, signs))))
    });
    let mut events = SseByteStream::new(Box::pin(bytes));
    let mut partial = Partial::default();
    while !partial.stopped {
        let step = match events.next().await {
            Some(Ok(event)) => {
                let before = partial.content_events;
                let taken = event.data.map_or(Ok(()), |data| partial.take(&data, key, listener));
                signs.whole(partial.content_events > before);
                taken
            }
            Some(Err(error)) => Err(ended(&error, request)),
            None => Err(Failure::new(FailureKind::Cut, "the stream ended before the message did")),
        };
        step.map_err(|failure| partial.failed(failure))?;
    }
    give_back(events).await;
    partial.finish(key)
}

/// How long the end of a stream may take after its last event before it is left to a task of its own.
const LAST_WORDS: Duration = Duration::from_millis(10);

/// Reads to the end of the stream, so that its connection can be used again: a question that follows at once would
/// otherwise open another. Mostly the end is here already.
async fn give_back<S>(mut events: S)
where
    S: Stream + Send + Unpin + 'static,
{
    if timeout(LAST_WORDS, async { while events.next().await.is_some() {} }).await.is_err() {
        tokio::spawn(timeout(Duration::from_secs(1), async move { while events.next().await.is_some() {} }));
    }
    // The task of the connection puts it back.
    tokio::task::yield_now().await;
}

fn ended(error: &sse_stream::Error, request: &Request) -> Failure {
    let why = match error {
        sse_stream::Error::Body(inner) => inner.downcast_ref::<Ended>(),
        _ => return Failure::new(FailureKind::Malformed, "the stream is not valid UTF-8"),
    };
    match why {
        Some(Ended::TimedOut) => {
            let message = format!("no complete answer within {} s", seconds(request.timeout));
            Failure::new(FailureKind::TimedOut, message)
        }
        Some(Ended::Stalled) => {
            let message = format!("the answer began, then nothing more of it came for {} s", seconds(request.stall));
            Failure::new(FailureKind::Stalled, message)
        }
        Some(Ended::TooLarge) => {
            let message = format!("an event of the stream is larger than {LARGEST_EVENT} bytes");
            Failure::new(FailureKind::Malformed, message)
        }
        Some(Ended::Broken) | None => Failure::new(FailureKind::Cut, "the connection broke before the message ended"),
    }
}

impl Partial {
    fn take(&mut self, data: &str, key: &str, listener: &mut (dyn FnMut(StreamEvent) + Send)) -> Result<(), Failure> {
        let event: Event<'_> = match serde_json::from_str(data) {
            Ok(event) => event,
            Err(_) if is_unknown(data) => return Ok(()),
            Err(_) => {
                let message = "an event of the stream is not the JSON it should be";
                return Err(Failure::new(FailureKind::Malformed, message));
            }
        };
        match event.kind.as_ref() {
            "message_start" => {
                let message = event.message.ok_or_else(|| lacks("message_start", "message"))?;
                self.model = message.model.map(|model| headers::clean(&model, key, 100));
                self.usage.requests = 1;
                self.count(message.usage);
            }
            "content_block_start" => {
                self.go_on(listener);
                let block = event.content_block.ok_or_else(|| lacks("content_block_start", "content_block"))?;
                match block.kind.as_ref() {
                    "text" => self.write(block.text, listener)?,
                    kind if kind.ends_with("tool_use") => {
                        let name = headers::clean(&block.name.unwrap_or_default(), key, 60);
                        let message = format!("the model called a tool (`{name}`) that it was not given");
                        return Err(Failure::new(FailureKind::Malformed, message));
                    }
                    // Thinking, and what is not known yet, is no part of the answer.
                    _ => {}
                }
            }
            "content_block_delta" => {
                self.go_on(listener);
                let delta = event.delta.ok_or_else(|| lacks("content_block_delta", "delta"))?;
                match delta.kind.as_deref() {
                    Some("text_delta") => self.write(delta.text, listener)?,
                    // Long thinking is not a stall.
                    _ => listener(StreamEvent::Thinking),
                }
            }
            "content_block_stop" => self.content_events += 1,
            "message_delta" => {
                self.content_events += 1;
                self.count(event.usage);
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    self.stop_reason = Some(headers::clean(&reason, key, 60));
                }
            }
            "message_stop" => self.stopped = true,
            "error" => return Err(error::of_event(&event.error.unwrap_or_default(), key)),
            _ => {}
        }
        Ok(())
    }

    /// A piece of the answer has come.
    fn go_on(&mut self, listener: &mut (dyn FnMut(StreamEvent) + Send)) {
        self.content_events += 1;
        if !self.started {
            self.started = true;
            listener(StreamEvent::Started);
        }
    }

    fn write(
        &mut self,
        text: Option<Cow<'_, str>>,
        listener: &mut (dyn FnMut(StreamEvent) + Send),
    ) -> Result<(), Failure> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
        if self.text.len() + text.len() > LARGEST_ANSWER {
            let message = format!("the answer is larger than {LARGEST_ANSWER} bytes");
            return Err(Failure::new(FailureKind::Malformed, message));
        }
        self.text.push_str(&text);
        listener(StreamEvent::Text(text.into_owned()));
        Ok(())
    }

    /// Counts are cumulative: a later one replaces an earlier one.
    fn count(&mut self, counts: Option<Counts>) {
        let Some(counts) = counts else { return };
        let set = |place: &mut u64, count: Option<u64>| *place = count.unwrap_or(*place);
        set(&mut self.usage.input_tokens, counts.input_tokens);
        set(&mut self.usage.cache_write_tokens, counts.cache_creation_input_tokens);
        set(&mut self.usage.cache_read_tokens, counts.cache_read_input_tokens);
        set(&mut self.usage.output_tokens, counts.output_tokens);
    }

    /// A failure in the middle. The provider counts output only at the end, so until then the text that came stands
    /// for it, at four bytes a token.
    fn failed(&self, mut failure: Failure) -> Failure {
        failure.reached_model = true;
        if self.usage.requests > 0 {
            let came = self.text.len().div_ceil(4) as u64;
            failure.usage = Some(Usage { output_tokens: self.usage.output_tokens.max(came), ..self.usage });
        }
        failure
    }

    fn finish(self, key: &str) -> Result<Answer, Failure> {
        let malformed = |message: String| Err(self.failed(Failure::new(FailureKind::Malformed, message)));
        let Some(model) = self.model.clone() else {
            return malformed("the stream did not say which model answered".to_owned());
        };
        let truncated = match self.stop_reason.as_deref() {
            Some("end_turn" | "stop_sequence") => false,
            Some("max_tokens" | "model_context_window_exceeded") => true,
            Some("refusal") => {
                return Err(self.failed(Failure::new(FailureKind::Refused, format!("{model} would not answer"))));
            }
            Some(other) => {
                let reason = headers::clean(other, key, 60);
                return malformed(format!("the answer ended for a reason that is not known here: {reason}"));
            }
            None => return malformed("the answer ended without saying why".to_owned()),
        };
        Ok(Answer { text: self.text, model, usage: self.usage, truncated, limits: None, edits: Vec::new() })
    }
}

/// Whether an event has a kind that is not known yet, or brings a block or a piece of one, and may so have any shape.
fn is_unknown(data: &str) -> bool {
    const KNOWN: [&str; 8] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ];
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, alias = "delta")]
        content_block: Kind<'a>,
    }
    let Ok(Kind { kind }) = serde_json::from_str(data) else { return false };
    let known_inside: &[&str] = match kind.as_ref() {
        "content_block_start" => &["text", "tool_use"],
        "content_block_delta" => &["text_delta"],
        kind => return !KNOWN.contains(&kind),
    };
    serde_json::from_str(data).is_ok_and(|Inner { content_block }| !known_inside.contains(&content_block.kind.as_ref()))
}

fn lacks(event: &str, member: &str) -> Failure {
    Failure::new(FailureKind::Malformed, format!("an event `{event}` lacks its `{member}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":9,
        "cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":1}}}"#;
    const TEXT: &str = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi \"you\""}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn delta(reason: &str) -> String {
        format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"output_tokens":7}}}}"#)
    }

    /// What comes of these events, and what the listener heard.
    fn taken(events: &[&str]) -> (Result<Answer, Failure>, Vec<StreamEvent>) {
        let mut partial = Partial::default();
        let mut heard = Vec::new();
        for event in events {
            if let Err(failure) = partial.take(event, "", &mut |event| heard.push(event)) {
                return (Err(partial.failed(failure)), heard);
            }
        }
        assert!(partial.stopped, "the events of a test end with message_stop, or fail");
        (partial.finish(""), heard)
    }

    #[test]
    fn an_answer_is_its_text_with_the_last_counts() {
        let block = r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#;
        let (answer, heard) = taken(&[START, block, r#"{"type":"ping"}"#, TEXT, &delta("end_turn"), STOP]);
        let answer = answer.expect("an answer");
        assert_eq!((answer.text.as_str(), answer.model.as_str(), answer.truncated), ("Hi \"you\"", "claude-x", false));
        let usage = Usage {
            requests: 1,
            input_tokens: 9,
            cache_write_tokens: 2,
            cache_read_tokens: 3,
            output_tokens: 7,
            ..Usage::default()
        };
        assert_eq!(answer.usage, usage);
        assert_eq!(heard, [StreamEvent::Started, StreamEvent::Text("Hi \"you\"".into())]);
    }

    #[test]
    fn thinking_unknown_blocks_and_unknown_events_are_no_part_of_the_answer() {
        let thinking = r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":"hm"}}"#;
        let thought = r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}"#;
        let signature = r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}}"#;
        let unknown = r#"{"type":"weather","delta":"sunny","message":7}"#;
        let (answer, heard) = taken(&[START, thinking, thought, signature, unknown, TEXT, &delta("end_turn"), STOP]);
        assert_eq!(answer.expect("an answer").text, "Hi \"you\"");
        let text = StreamEvent::Text("Hi \"you\"".into());
        assert_eq!(heard, [StreamEvent::Started, StreamEvent::Thinking, StreamEvent::Thinking, text]);
    }

    #[test]
    fn how_an_answer_ended_decides_what_it_is() {
        let ended = |reason: &str| taken(&[START, TEXT, &delta(reason), STOP]).0;
        assert!(!ended("stop_sequence").expect("an answer").truncated);
        assert!(ended("max_tokens").expect("an answer").truncated);
        assert!(ended("model_context_window_exceeded").expect("an answer").truncated);
        assert_eq!(ended("refusal").expect_err("a refusal").kind, FailureKind::Refused);
        assert_eq!(ended("pause_turn").expect_err("unknown").kind, FailureKind::Malformed);
        assert_eq!(taken(&[START, TEXT, STOP]).0.expect_err("no reason").kind, FailureKind::Malformed);
        assert_eq!(taken(&[TEXT, &delta("end_turn"), STOP]).0.expect_err("no model").kind, FailureKind::Malformed);
    }

    #[test]
    fn what_was_used_before_a_failure_is_told_with_at_least_the_text_that_came() {
        let long =
            format!(r#"{{"type":"content_block_delta","delta":{{"type":"text_delta","text":"{}"}}}}"#, "x".repeat(41));
        let failure = taken(&[START, &long, "{"]).0.expect_err("a broken event");
        assert_eq!((failure.kind, failure.reached_model), (FailureKind::Malformed, true));
        let usage = failure.usage.expect("usage");
        assert_eq!((usage.input_tokens, usage.output_tokens), (9, 11));
        assert_eq!(taken(&["{"]).0.expect_err("a broken event").usage, None);
    }

    #[test]
    fn a_tool_that_was_not_given_is_named() {
        let tool =
            r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"Ba\u001bsh","input":{}}}"#;
        let failure = taken(&[START, tool]).0.expect_err("a tool");
        assert!(failure.message.contains("`Bash`"), "{}", failure.message);
    }

    #[test]
    fn an_answer_has_a_largest_size() {
        let text = "x".repeat(LARGEST_ANSWER / 2 + 1);
        let half = format!(r#"{{"type":"content_block_delta","delta":{{"type":"text_delta","text":"{text}"}}}}"#);
        assert_eq!(taken(&[START, &half, &half]).0.expect_err("too large").kind, FailureKind::Malformed);
    }

    #[test]
    fn blocks_of_unknown_kinds_may_have_any_shape_and_known_ones_may_not() {
        let odd_block = r#"{"type":"content_block_start","content_block":{"type":"hologram","text":{"x":1},"name":7}}"#;
        let odd_delta =
            r#"{"type":"content_block_delta","delta":{"type":"hologram_delta","text":[1],"stop_reason":{}}}"#;
        let answer = taken(&[START, odd_block, odd_delta, TEXT, &delta("end_turn"), STOP]).0;
        assert_eq!(answer.expect("an answer").text, "Hi \"you\"");
        for wrong in [
            r#"{"type":"content_block_start","content_block":{"type":"text","text":7}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":7}}"#,
            r#"{"type":"content_block_delta","delta":7}"#,
            r#"{"type":"message_start","message":7}"#,
        ] {
            assert_eq!(taken(&[START, wrong]).0.expect_err(wrong).kind, FailureKind::Malformed, "{wrong}");
        }
    }

    #[test]
    fn tools_that_the_provider_runs_are_refused_by_name_too() {
        for kind in ["server_tool_use", "mcp_tool_use"] {
            let tool =
                format!(r#"{{"type":"content_block_start","content_block":{{"type":"{kind}","name":"web_search"}}}}"#);
            let failure = taken(&[START, &tool]).0.expect_err("a tool");
            assert!(failure.message.contains("`web_search`"), "{}", failure.message);
        }
    }

    #[test]
    fn only_content_brings_an_answer_further() {
        let mut partial = Partial::default();
        let mut further = |event: &str| {
            let before = partial.content_events;
            partial.take(event, "", &mut |_| {}).expect("a good event");
            partial.content_events > before
        };
        let thought = r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}"#;
        assert!(!further(START) && !further(r#"{"type":"ping"}"#) && !further(r#"{"type":"weather"}"#));
        assert!(further(thought) && further(TEXT) && further(r#"{"type":"content_block_stop"}"#));
        assert!(further(&delta("end_turn")));
    }
}
