//! One question of a process, and what has to be between two.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ClaudeConfig;
use super::failure::{self, Retry};
use super::message::{Done, Message};
use super::process::{Process, folders};
use super::scratch::Scratch;
use crate::backend::{Answer, Instance, Listener, Profile, Request};
use crate::question::{Failure, FailureKind, StreamEvent, Usage};
use crate::work::Edit;

/// How long a process may take to forget. It needs some 20 ms.
const FORGETTING: Duration = Duration::from_secs(10);

/// What the tool for structured answers is called.
const STRUCTURED_OUTPUT: &str = "StructuredOutput";

/// What a process remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// Nothing.
    Empty,
    /// It was told to forget, and has not said yet that it did.
    Going,
    /// A question: it may still be answering.
    Full,
}

/// A process that answers questions of one profile.
pub(super) struct Claude {
    process: Process,
    profile: Profile,
    config: Arc<ClaudeConfig>,
    memory: Memory,
    asked: u32,
    born: Instant,
    /// The copy of the project that its tools write in.
    scratch: Option<Arc<Scratch>>,
}

impl Claude {
    /// Starts a process, and waits until it is ready.
    pub(super) async fn start(
        config: Arc<ClaudeConfig>,
        profile: &Profile,
        ending: TaskTracker,
    ) -> Result<Self, Failure> {
        let (slot, scratch) = folders(&config, profile).await?;
        let mut process = Process::start(config.clone(), profile, slot, ending)?;
        let waited = timeout(config.start, initialize(&mut process, profile)).await;
        waited.unwrap_or_else(|_| {
            let message = format!("claude was not ready within {} s", config.start.as_secs());
            Err(Failure::new(FailureKind::TimedOut, message))
        })?;
        let (profile, born) = (profile.clone(), Instant::now());
        Ok(Self { process, profile, config, memory: Memory::Empty, asked: 0, born, scratch })
    }

    async fn question(&mut self, request: &Request, listener: Listener<'_>) -> Result<Answer, Failure> {
        self.memory = Memory::Full;
        self.asked += 1;
        let mut turn = Turn::default();
        self.process.write(&user_line(request)).await?;
        // From here on it may have been sent, whatever becomes of the process.
        let done = self.turn(&mut turn, listener).await;
        let done = done.map_err(|failure| Failure { reached_model: true, ..failure })?;
        self.forget().await;
        let mut answer = turn.ended(*done, request)?;
        answer.edits = self.edits(request, answer.usage).await?;
        Ok(answer)
    }

    /// Hears the messages of a turn until it is done.
    async fn turn(&mut self, turn: &mut Turn, listener: Listener<'_>) -> Result<Box<Done>, Failure> {
        loop {
            match self.process.next().await? {
                Message::Done(done) => return Ok(done),
                Message::Init { tools, servers, mode } => self.check(turn, &tools, &servers, &mode).await?,
                Message::Permission { id, tool, input } => self.permit(&id, &tool, input).await?,
                Message::Request { id, subtype } => {
                    let error = format!("convoke does not know {subtype}");
                    let response = json!({"subtype": "error", "request_id": id, "error": error});
                    self.process.write(&json!({"type": "control_response", "response": response})).await?;
                }
                message => {
                    if turn.hears(message, listener) {
                        self.interrupt().await?;
                    }
                }
            }
        }
    }

    /// What its tools have changed in the copy.
    async fn edits(&self, request: &Request, usage: Usage) -> Result<Vec<Edit>, Failure> {
        let Some(scratch) = self.scratch.clone() else { return Ok(Vec::new()) };
        let reason = format!("{} changed it with its tools", request.model);
        let found = tokio::task::spawn_blocking(move || scratch.edits(&reason)).await;
        let message = match found {
            Ok(Ok(edits)) => return Ok(edits),
            Ok(Err(error)) => error.to_string(),
            Err(error) => format!("what the tools changed was not found out: {error}"),
        };
        Err(Failure { reached_model: true, usage: Some(usage), ..Failure::new(FailureKind::Invalid, message) })
    }

    /// Nothing but what was granted may be there.
    async fn check(
        &mut self,
        turn: &mut Turn,
        tools: &[String],
        servers: &[String],
        mode: &str,
    ) -> Result<(), Failure> {
        let granted = |tool: &String| {
            self.profile.tools.contains(tool)
                || (tool == STRUCTURED_OUTPUT && self.profile.schema.is_some())
                || (tool.starts_with("mcp__") && self.profile.mcp.is_some())
        };
        let stranger = match tools.iter().find(|tool| !granted(tool)) {
            Some(tool) => Some(format!("the tool {tool}")),
            None if self.profile.mcp.is_none() => servers.first().map(|server| format!("the MCP server {server}")),
            None => None,
        };
        let stranger = stranger.or_else(|| (mode == "bypassPermissions").then(|| format!("the mode {mode}")));
        if let Some(stranger) = stranger {
            let message = format!("claude came with {}, which nobody granted", failure::clean(&stranger));
            turn.failure.get_or_insert(Failure::new(FailureKind::Denied, message));
            self.interrupt().await?;
        }
        Ok(())
    }

    /// What is not simply allowed is asked for: a reading tool that would leave the project, or a server's tool.
    async fn permit(&mut self, id: &str, tool: &str, input: Value) -> Result<(), Failure> {
        let granted = tool.starts_with("mcp__") && self.profile.tools.iter().any(|granted| granted == tool);
        let decision = match granted {
            true => json!({"behavior": "allow", "updatedInput": input}),
            false => json!({"behavior": "deny", "message": "Not granted. Go on without it."}),
        };
        let response = json!({"subtype": "success", "request_id": id, "response": decision});
        self.process.write(&json!({"type": "control_response", "response": response})).await
    }

    async fn interrupt(&mut self) -> Result<(), Failure> {
        let request = json!({"subtype": "interrupt"});
        self.process.write(&json!({"type": "control_request", "request_id": "interrupt", "request": request})).await
    }

    /// Has it forget, without waiting for it.
    async fn forget(&mut self) {
        let line = json!({"type": "user", "message": {"role": "user", "content": "/clear"}});
        if self.process.write(&line).await.is_ok() {
            self.memory = Memory::Going;
        }
    }

    /// Waits until it has said that it forgot.
    async fn forgotten(&mut self) -> bool {
        let mut reset = false;
        loop {
            match self.process.next().await {
                Ok(Message::Reset) => reset = true,
                Ok(Message::Done(_)) => return reset,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    fn is_worn_out(&self) -> bool {
        // A copy that was written in says what the question before did.
        (self.scratch.is_some() && self.asked > 0)
            || self.asked >= self.config.questions
            || self.born.elapsed() >= self.config.age
            || self.process.memory_mib() > self.config.worn_mib
    }
}

impl Instance for Claude {
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        self.question(request, listener).boxed()
    }

    fn survived(&self) -> bool {
        self.memory != Memory::Full
    }

    fn ended(&self) -> Option<CancellationToken> {
        Some(self.process.ended())
    }

    fn ready(&mut self) -> BoxFuture<'_, bool> {
        async {
            if self.memory == Memory::Going && timeout(FORGETTING, self.forgotten()).await == Ok(true) {
                self.memory = Memory::Empty;
            }
            self.memory == Memory::Empty && !self.process.has_ended() && !self.is_worn_out()
        }
        .boxed()
    }
}

/// Gives it what is fixed from now on, and waits for its answer: it is ready then.
async fn initialize(process: &mut Process, profile: &Profile) -> Result<(), Failure> {
    let mut request = json!({"subtype": "initialize", "systemPrompt": profile.system});
    if let Some(schema) = profile.schema.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        request["jsonSchema"] = schema;
    }
    process.write(&json!({"type": "control_request", "request_id": "initialize", "request": request})).await?;
    loop {
        match process.next().await? {
            Message::Response { id, error: None } if id == "initialize" => return Ok(()),
            Message::Response { id, error: Some(error) } if id == "initialize" => {
                let message = format!("claude refused its instructions: {}", failure::clean(&error));
                return Err(Failure::new(FailureKind::Invalid, message));
            }
            Message::Done(done) => return Err(failure::of(&done, None, None)),
            _ => {}
        }
    }
}

/// A question: what siblings share comes first.
fn user_line(request: &Request) -> Value {
    let texts = request.context.iter().chain([&request.prompt]);
    let content: Vec<Value> = texts.map(|text| json!({"type": "text", "text": text})).collect();
    json!({"type": "user", "message": {"role": "user", "content": content}})
}

/// What was heard of an answer so far.
#[derive(Debug, Default)]
struct Turn {
    text: String,
    model: String,
    /// What the model's turns before this one took, and this one so far.
    before: Usage,
    now: Usage,
    requests: u32,
    /// Whether the last of them has begun to answer and not ended.
    open: bool,
    truncated: bool,
    retry: Option<Retry>,
    limit: Option<Option<Timestamp>>,
    /// Why it was interrupted, if not by one of these.
    failure: Option<Failure>,
}

impl Turn {
    /// Hears a message; whether the program is to be interrupted.
    fn hears(&mut self, message: Message, listener: Listener<'_>) -> bool {
        match message {
            Message::Started { model, usage } => {
                if self.requests == 0 {
                    listener(StreamEvent::Started);
                } else if !self.text.is_empty() {
                    self.text.clear();
                    listener(StreamEvent::Restarted("claude went on after it".to_owned()));
                }
                self.requests += 1;
                self.open = true;
                self.before += std::mem::replace(&mut self.now, usage);
                self.model = model;
            }
            Message::Text(text) => {
                self.text.push_str(&text);
                listener(StreamEvent::Text(text));
            }
            Message::Progress if self.requests > 0 => listener(StreamEvent::Thinking),
            Message::Tool { name, input } => listener(StreamEvent::tool(name, &input)),
            Message::Stopped { reason, usage } => {
                self.now = most(self.now, usage);
                self.open = false;
                match reason.as_str() {
                    // It would ask again by itself.
                    "max_tokens" => self.truncated = true,
                    "refusal" => {
                        let message = format!("{} would not answer", self.model);
                        let refused = Failure { reached_model: true, ..Failure::new(FailureKind::Refused, message) };
                        self.failure.get_or_insert(refused);
                    }
                    _ => return false,
                }
                return true;
            }
            Message::Retry { delay_ms, status, error } => {
                self.retry = Some(Retry { delay_ms, status, error });
                return true;
            }
            Message::RateLimit { rejected: true, resets_at } => {
                self.limit = Some(resets_at.and_then(|second| Timestamp::from_second(second).ok()));
            }
            _ => {}
        }
        false
    }

    /// The answer, or why there is none.
    fn ended(self, done: Done, request: &Request) -> Result<Answer, Failure> {
        let mut streamed = self.before;
        streamed += self.now;
        let sent = self.requests + u32::from(self.retry.is_some() && !self.open);
        let usage = Usage { requests: sent.max(u32::from(done.turns > 0)), ..most(streamed, done.usage) };
        if let Some(failure) = self.failure {
            return Err(Failure { usage: Some(usage), ..failure });
        }
        let model = if self.model.is_empty() { request.model.clone() } else { self.model };
        if self.truncated {
            return Ok(Answer { text: self.text, model, usage, truncated: true, limits: None, edits: Vec::new() });
        }
        if done.is_error {
            let failure = failure::of(&Done { usage, ..done }, self.retry.as_ref(), self.limit);
            let cut = self.open && failure.kind == FailureKind::Network;
            return Err(Failure { kind: if cut { FailureKind::Cut } else { failure.kind }, ..failure });
        }
        // Without it the model has answered in prose, and the check of the schema says so.
        let text = done.structured.unwrap_or(done.text);
        Ok(Answer { text, model, usage, truncated: false, limits: None, edits: Vec::new() })
    }
}

/// The larger of each: the stream lacks what failed, the result of an interrupted turn lacks what was streamed.
fn most(one: Usage, other: Usage) -> Usage {
    Usage {
        requests: one.requests.max(other.requests),
        input_tokens: one.input_tokens.max(other.input_tokens),
        cache_read_tokens: one.cache_read_tokens.max(other.cache_read_tokens),
        cache_write_tokens: one.cache_write_tokens.max(other.cache_write_tokens),
        output_tokens: one.output_tokens.max(other.output_tokens),
        usd: one.usd.max(other.usd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Question;
    use crate::route::Route;

    fn request() -> Request {
        Route::default().request(&Question { prompt: "?".to_owned(), ..Question::default() })
    }

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input_tokens: input, output_tokens: output, ..Usage::default() }
    }

    fn started(input: u64) -> Message {
        Message::Started { model: "m".to_owned(), usage: usage(input, 1) }
    }

    fn stopped(reason: &str, output: u64) -> Message {
        Message::Stopped { reason: reason.to_owned(), usage: usage(0, output) }
    }

    /// The turn after these messages, what was heard, and whether it was interrupted.
    fn heard(messages: impl IntoIterator<Item = Message>) -> (Turn, Vec<StreamEvent>, bool) {
        let (mut turn, mut events, mut interrupted) = (Turn::default(), Vec::new(), false);
        for message in messages {
            interrupted |= turn.hears(message, &mut |event| events.push(event));
        }
        (turn, events, interrupted)
    }

    #[test]
    fn an_answer_has_its_text_its_model_and_what_it_took() {
        let (turn, events, interrupted) =
            heard([started(100), Message::Text("yes".to_owned()), stopped("end_turn", 7)]);
        let done = Done { text: "yes".to_owned(), usage: usage(100, 7), turns: 1, ..Done::default() };
        let answer = turn.ended(done, &request()).unwrap();
        assert_eq!((answer.text.as_str(), answer.model.as_str(), interrupted), ("yes", "m", false));
        assert_eq!(answer.usage, Usage { requests: 1, ..usage(100, 7) });
        assert_eq!(events, [StreamEvent::Started, StreamEvent::Text("yes".to_owned())]);
    }

    #[test]
    fn an_answer_that_became_too_long_is_not_continued_at_our_cost() {
        let (turn, _, interrupted) = heard([started(100), Message::Text("half".to_owned()), stopped("max_tokens", 50)]);
        assert!(interrupted);
        let done = Done { is_error: true, reason: "aborted_streaming".to_owned(), ..Done::default() };
        let answer = turn.ended(done, &request()).unwrap();
        assert!(answer.truncated && answer.text == "half" && answer.usage.output_tokens == 50);
    }

    #[test]
    fn a_refusal_is_one_and_what_it_took_is_known() {
        let (turn, _, interrupted) = heard([started(100), stopped("refusal", 3)]);
        let done = Done { is_error: true, ..Done::default() };
        let failure = turn.ended(done, &request()).unwrap_err();
        assert_eq!((failure.kind, interrupted), (FailureKind::Refused, true));
        assert_eq!(failure.usage, Some(Usage { requests: 1, ..usage(100, 3) }));
    }

    #[test]
    fn the_first_failed_request_interrupts_and_its_delay_is_the_servers_wait() {
        let retry = Message::Retry { delay_ms: 7_511, status: Some(429), error: "rate_limit".to_owned() };
        let (turn, _, interrupted) = heard([retry]);
        let done = Done { is_error: true, ..Done::default() };
        let failure = turn.ended(done, &request()).unwrap_err();
        assert_eq!((failure.kind, interrupted), (FailureKind::RateLimited, true));
        assert_eq!(failure.retry_after, Some(Duration::from_millis(7_511)));
        assert_eq!(failure.usage.map(|usage| usage.requests), Some(1));
    }

    #[test]
    fn a_connection_that_breaks_in_an_answer_cuts_it_and_was_one_request() {
        let broken = || Message::Retry { delay_ms: 520, status: None, error: "unknown".to_owned() };
        let ended = |messages: Vec<Message>| {
            let done = Done { is_error: true, ..Done::default() };
            let failure = heard(messages).0.ended(done, &request()).unwrap_err();
            (failure.kind, failure.usage.map(|usage| usage.requests))
        };
        assert_eq!(ended(vec![started(100), broken()]), (FailureKind::Cut, Some(1)));
        assert_eq!(ended(vec![broken()]), (FailureKind::Network, Some(1)));
        assert_eq!(ended(vec![started(100), stopped("tool_use", 5), broken()]), (FailureKind::Network, Some(2)));
    }

    #[test]
    fn turns_of_the_model_add_up_and_a_reader_hears_that_the_first_is_void() {
        let text = || Message::Text("I look.".to_owned());
        let (turn, events, _) =
            heard([started(100), text(), stopped("tool_use", 5), started(200), text(), stopped("end_turn", 6)]);
        let done = Done { text: "I look.".to_owned(), turns: 2, ..Done::default() };
        let answer = turn.ended(done, &request()).unwrap();
        assert_eq!(answer.usage, Usage { requests: 2, ..usage(300, 11) });
        assert_eq!(events.iter().filter(|event| matches!(event, StreamEvent::Restarted(_))).count(), 1);
    }

    #[test]
    fn a_structured_answer_is_its_json_and_prose_in_its_place_stays_prose() {
        let done = |structured: Option<&str>| Done {
            text: "prose".to_owned(),
            structured: structured.map(str::to_owned),
            ..Done::default()
        };
        let text = |done| Turn::default().ended(done, &request()).unwrap().text;
        assert_eq!((text(done(Some("{}"))).as_str(), text(done(None)).as_str()), ("{}", "prose"));
    }

    #[test]
    fn what_siblings_share_comes_before_the_prompt() {
        let shared = Request { context: Some("shared".to_owned()), ..request() };
        let content = &user_line(&shared)["message"]["content"];
        assert_eq!((&content[0]["text"], &content[1]["text"]), (&json!("shared"), &json!("?")));
    }
}
