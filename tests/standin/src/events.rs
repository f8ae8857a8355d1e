//! What goes over the wire for an answer, and when.

use std::fmt::Write;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::answer::{Answer, Content};
use crate::fault::Fault;
use crate::tokens::{Input, estimate};

/// The bytes of text in one `content_block_delta`.
const DELTA: usize = 16;

/// One thing that happens to a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    Send { bytes: Bytes, output_tokens: u64 },
    Ping(Duration),
    Hang,
    Abort,
}

/// An answer, and what is said beside it.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) id: String,
    pub(crate) model: &'a str,
    pub(crate) answer: &'a Answer,
    pub(crate) input: Input,
}

/// How an answer is spread over the time after its first token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) rest: Duration,
    pub(crate) pieces: u32,
    pub(crate) pace: Option<Duration>,
}

struct Event {
    bytes: String,
    output_tokens: u64,
}

fn event(name: &str, data: &Value, output_tokens: u64) -> Event {
    Event { bytes: format!("event: {name}\ndata: {data}\n\n"), output_tokens }
}

impl Message<'_> {
    fn usage(&self, output_tokens: u64) -> Value {
        json!({
            "input_tokens": self.input.fresh,
            "cache_creation_input_tokens": self.input.written,
            "cache_read_input_tokens": self.input.read,
            "output_tokens": output_tokens,
        })
    }

    fn whole(&self, content: &Value, stop_reason: Option<&str>, output_tokens: u64) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop_reason, "stop_sequence": null, "usage": self.usage(output_tokens),
        })
    }

    /// The events of the stream in their order, and how many of them come before the first pause: `message_start`, a
    /// block with its deltas, `message_delta` with the whole usage, `message_stop`; and a `ping`.
    fn events(&self, huge: bool) -> (Vec<Event>, usize) {
        let block = match &self.answer.content {
            Content::Text(_) => json!({"type": "text", "text": ""}),
            Content::Tool { name, .. } => json!({"type": "tool_use", "id": "toolu_standin", "name": name, "input": {}}),
        };
        let text = self.answer.content.text();
        let mut events = vec![
            event("message_start", &json!({"type": "message_start", "message": self.whole(&json!([]), None, 1)}), 0),
            event(
                "content_block_start",
                &json!({"type": "content_block_start", "index": 0, "content_block": block}),
                0,
            ),
            event("ping", &json!({"type": "ping"}), 0),
        ];
        let is_text = matches!(self.answer.content, Content::Text(_));
        let mut sent = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let end = if huge { rest.len() } else { rest.ceil_char_boundary(DELTA) };
            let (piece, after) = rest.split_at(end);
            rest = after;
            let delta = if is_text {
                json!({"type": "text_delta", "text": piece})
            } else {
                json!({"type": "input_json_delta", "partial_json": piece})
            };
            // Tokens of the pieces add up to those of the whole.
            let until_here =
                if rest.is_empty() { self.answer.output_tokens } else { estimate(text.len() - rest.len()) };
            let tokens = until_here.saturating_sub(sent);
            sent += tokens;
            let data = json!({"type": "content_block_delta", "index": 0, "delta": delta});
            events.push(event("content_block_delta", &data, tokens));
        }
        let first = events.len().min(4);
        events.push(event("content_block_stop", &json!({"type": "content_block_stop", "index": 0}), 0));
        let end = json!({
            "type": "message_delta", "delta": {"stop_reason": self.answer.stop_reason, "stop_sequence": null},
            "usage": self.usage(self.answer.output_tokens),
        });
        events.push(event("message_delta", &end, self.answer.output_tokens.saturating_sub(sent)));
        events.push(event("message_stop", &json!({"type": "message_stop"}), 0));
        (events, first)
    }

    /// The body of a streamed answer, from its first token on.
    pub(crate) fn stream(&self, rhythm: Rhythm, fault: Option<&Fault>) -> Vec<Step> {
        let (mut events, first) = self.events(matches!(fault, Some(Fault::HugeEvent { .. })));
        let half = (events.len() / 2).max(first);
        let mut ending = None;
        match fault {
            Some(Fault::CutStream { after_events }) => {
                events.truncate(*after_events);
                ending = Some(Step::Abort);
            }
            Some(Fault::MalformedEvent) => {
                let bytes = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\n\n".to_owned();
                events.insert(first, Event { bytes, output_tokens: 0 });
            }
            Some(Fault::Silence { .. }) => {
                events.truncate(half);
                ending = Some(Step::Hang);
            }
            Some(Fault::SlowPing { every }) => {
                events.truncate(half);
                ending = Some(Step::Ping(*every));
            }
            Some(Fault::ErrorEvent { kind }) => {
                events.truncate(half);
                let data = json!({"type": "error", "error": {"type": kind, "message": "on order"}});
                events.push(event("error", &data, 0));
            }
            Some(Fault::EmptyStream) => events.clear(),
            Some(Fault::NoMessageStop) => {
                events.pop();
            }
            _ => {}
        }
        let mut steps = paced(&events, first, rhythm);
        steps.extend(ending);
        steps
    }

    /// The body of an answer that is not streamed. Faults of streams become their nearest relatives.
    pub(crate) fn at_once(&self, fault: Option<&Fault>) -> Vec<Step> {
        let content = match &self.answer.content {
            Content::Text(text) => json!([{"type": "text", "text": text}]),
            Content::Tool { name, input } => {
                let input: Value = serde_json::from_str(input).unwrap_or_default();
                json!([{"type": "tool_use", "id": "toolu_standin", "name": name, "input": input}])
            }
        };
        let mut body = self.whole(&content, Some(self.answer.stop_reason), self.answer.output_tokens).to_string();
        let ending = match fault {
            Some(Fault::CutStream { .. }) => Some(Step::Abort),
            Some(Fault::Silence { .. } | Fault::SlowPing { .. }) => Some(Step::Hang),
            _ => None,
        };
        match fault {
            Some(Fault::EmptyStream) => return Vec::new(),
            Some(Fault::MalformedEvent | Fault::CutStream { .. } | Fault::Silence { .. } | Fault::SlowPing { .. }) => {
                body.truncate(body.floor_char_boundary(body.len() / 2));
            }
            _ => {}
        }
        let mut steps = vec![Step::Send { bytes: body.into(), output_tokens: self.answer.output_tokens }];
        steps.extend(ending);
        steps
    }
}

/// A `ping` event.
pub(crate) fn ping() -> Bytes {
    Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n")
}

/// Sends the first events at once, and the others in as many pieces, or at such a pace, as the rhythm says.
fn paced(events: &[Event], first: usize, rhythm: Rhythm) -> Vec<Step> {
    let (head, tail) = events.split_at(first.min(events.len()));
    let mut steps = Vec::new();
    let mut send = |events: &[Event], wait: Duration| {
        if events.is_empty() {
            return;
        }
        if !wait.is_zero() {
            steps.push(Step::Wait(wait));
        }
        let mut bytes = String::with_capacity(events.iter().map(|event| event.bytes.len()).sum());
        for event in events {
            // Writing to a string can't fail.
            let _: Result<(), _> = bytes.write_str(&event.bytes);
        }
        steps.push(Step::Send {
            bytes: bytes.into(),
            output_tokens: events.iter().map(|event| event.output_tokens).sum(),
        });
    };
    send(head, Duration::ZERO);
    if let Some(pace) = rhythm.pace {
        for event in tail {
            send(std::slice::from_ref(event), pace.mul_f64(event.output_tokens as f64));
        }
    } else if !tail.is_empty() {
        let pieces = (rhythm.pieces.max(1) as usize).min(tail.len());
        for piece in 0..pieces {
            let (from, to) = (piece * tail.len() / pieces, (piece + 1) * tail.len() / pieces);
            send(&tail[from..to], rhythm.rest / pieces as u32);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        let content = Content::Text(text.to_owned());
        Answer { content, stop_reason: "end_turn", output_tokens: estimate(text.len()).max(1) }
    }

    fn steps(text: &str, rhythm: Rhythm, fault: Option<&Fault>) -> Vec<Step> {
        let answer = answer(text);
        let input = Input { fresh: 5, read: 6, written: 7 };
        Message { id: "msg_1".into(), model: "claude-x", answer: &answer, input }.stream(rhythm, fault)
    }

    fn names(steps: &[Step]) -> Vec<String> {
        let mut names = Vec::new();
        for step in steps {
            if let Step::Send { bytes, .. } = step {
                let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
                names.extend(text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned));
            }
        }
        names
    }

    const AT_ONCE: Rhythm = Rhythm { rest: Duration::ZERO, pieces: 1, pace: None };

    #[test]
    fn events_come_in_the_order_of_the_api_and_their_tokens_add_up() {
        let text = "a text of forty bytes, of which 3 deltas";
        let steps = steps(text, Rhythm { rest: Duration::from_millis(30), pieces: 3, pace: None }, None);
        assert_eq!(
            names(&steps),
            [
                "message_start",
                "content_block_start",
                "ping",
                "content_block_delta",
                "content_block_delta",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop"
            ]
        );
        let sent = |step: &Step| if let Step::Send { output_tokens, .. } = step { *output_tokens } else { 0 };
        assert_eq!(steps.iter().map(sent).sum::<u64>(), 10);
        let waits: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Wait(_))).collect();
        assert_eq!(waits, [&Step::Wait(Duration::from_millis(10)); 3]);
    }

    #[test]
    fn at_a_pace_each_token_takes_its_time() {
        let pace = Some(Duration::from_millis(10));
        let steps = steps(&"x".repeat(64), Rhythm { rest: Duration::ZERO, pieces: 1, pace }, None);
        let waited: Duration =
            steps.iter().map(|step| if let Step::Wait(wait) = step { *wait } else { Duration::ZERO }).sum();
        // 16 tokens, of which the first 4 come at once.
        assert_eq!(waited, Duration::from_millis(120));
    }

    #[test]
    fn faults_change_the_end_of_the_stream() {
        let text = "x".repeat(100);
        let cut = steps(&text, AT_ONCE, Some(&Fault::CutStream { after_events: 2 }));
        assert_eq!(names(&cut), ["message_start", "content_block_start"]);
        assert_eq!(cut.last(), Some(&Step::Abort));
        assert!(steps(&text, AT_ONCE, Some(&Fault::EmptyStream)).is_empty());
        let unended = names(&steps(&text, AT_ONCE, Some(&Fault::NoMessageStop)));
        assert_eq!(unended.last().map(String::as_str), Some("message_delta"));
        let error = names(&steps(&text, AT_ONCE, Some(&Fault::ErrorEvent { kind: "api_error".into() })));
        assert_eq!(error.last().map(String::as_str), Some("error"));
        assert_eq!(steps(&text, AT_ONCE, Some(&Fault::Silence { mid_stream: true })).last(), Some(&Step::Hang));
    }
}
