//! The lines that the program prints, as far as they matter here.
//!
//! One JSON object a line. What is not known is [`Message::Other`]: newer versions say more than this reads.

use serde_json::Value;

use crate::question::Usage;

/// A line.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// A turn begins, with these tools, MCP servers and this permission mode.
    Init { tools: Vec<String>, servers: Vec<String>, mode: String },
    /// A model's answer begins: what it is called, and what its input took.
    Started { model: String, usage: Usage },
    /// The next characters of the answer: of its text, or of the JSON that fits the schema.
    Text(String),
    /// A sign of progress that is no part of the answer.
    Progress,
    /// A tool is used; not the one that takes the structured answer.
    Tool {
        name: String,
        /// What it is given, as JSON.
        input: String,
    },
    /// Why the model stopped, and what its answer took so far.
    Stopped { reason: String, usage: Usage },
    /// A request has failed, and the program would send it again after this time.
    Retry { delay_ms: u64, status: Option<u16>, error: String },
    /// The login's limit: whether it is reached, and when it is reset, in seconds since 1970.
    RateLimit { rejected: bool, resets_at: Option<i64> },
    /// The conversation is forgotten.
    Reset,
    /// The turn has ended.
    Done(Box<Done>),
    /// An answer to a control request of ours.
    Response { id: String, error: Option<String> },
    /// The program wants to use a tool that is not simply allowed.
    Permission { id: String, tool: String, input: Value },
    /// It wants something else of us.
    Request { id: String, subtype: String },
    /// Anything else.
    Other,
}

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Done {
    /// Whether it failed: this decides, not `subtype`.
    pub(super) is_error: bool,
    pub(super) subtype: String,
    pub(super) reason: String,
    pub(super) status: Option<u16>,
    /// The answer's text, or what went wrong.
    pub(super) text: String,
    /// The answer that fits the schema, as JSON.
    pub(super) structured: Option<String>,
    pub(super) usage: Usage,
    /// How many turns of the model it took.
    pub(super) turns: u64,
}

/// The tool by which an answer with a schema is given.
const STRUCTURED_OUTPUT: &str = "StructuredOutput";

/// Which block of the answer is coming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Block {
    /// Text, or nothing yet.
    #[default]
    Text,
    /// The structured answer.
    Structured,
    /// Thinking, or a tool's input.
    Hidden,
}

impl Message {
    /// Reads a line; `block` is what is coming, over the lines. None: it is no JSON object.
    pub(super) fn parse(line: &[u8], block: &mut Block) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        value.as_object()?;
        Some(match text(&value, "type") {
            "system" => system(&value),
            "stream_event" => stream(&value, block),
            "rate_limit_event" => rate_limit(&value["rate_limit_info"]),
            "conversation_reset" => Self::Reset,
            "result" => Self::Done(Box::new(done(&value))),
            "control_response" => response(&value["response"]),
            "control_request" => request(&value),
            "assistant" => assistant(&value),
            "user" => Self::Progress,
            _ => Self::Other,
        })
    }
}

fn system(value: &Value) -> Message {
    match text(value, "subtype") {
        "init" => Message::Init {
            tools: strings(&value["tools"]),
            servers: list(&value["mcp_servers"]).iter().map(|server| text(server, "name").to_owned()).collect(),
            mode: text(value, "permissionMode").to_owned(),
        },
        "api_retry" => Message::Retry {
            delay_ms: number(value, "retry_delay_ms"),
            status: status(&value["error_status"]),
            error: text(value, "error").to_owned(),
        },
        _ => Message::Other,
    }
}

/// A block that has ended. Of a tool it tells the whole input, which no event of the stream does.
fn assistant(value: &Value) -> Message {
    if !value["parent_tool_use_id"].is_null() {
        return Message::Progress;
    }
    let is_tool = |block: &&Value| matches!(text(block, "type"), "tool_use" | "server_tool_use" | "mcp_tool_use");
    match list(&value["message"]["content"]).iter().find(is_tool) {
        Some(block) if text(block, "name") != STRUCTURED_OUTPUT => {
            Message::Tool { name: text(block, "name").to_owned(), input: block["input"].to_string() }
        }
        _ => Message::Progress,
    }
}

fn stream(value: &Value, block: &mut Block) -> Message {
    // What an agent of the answer's own says is not the answer.
    if !value["parent_tool_use_id"].is_null() {
        return Message::Progress;
    }
    let event = &value["event"];
    match text(event, "type") {
        "message_start" => {
            *block = Block::Text;
            let message = &event["message"];
            Message::Started { model: text(message, "model").to_owned(), usage: usage(&message["usage"]) }
        }
        "content_block_start" => {
            let content = &event["content_block"];
            let (kind, name) = (text(content, "type"), text(content, "name"));
            *block = match kind {
                "text" => Block::Text,
                "tool_use" if name == STRUCTURED_OUTPUT => Block::Structured,
                _ => Block::Hidden,
            };
            Message::Progress
        }
        "content_block_delta" => {
            let delta = &event["delta"];
            match (text(delta, "type"), *block) {
                ("text_delta", _) => Message::Text(text(delta, "text").to_owned()),
                ("input_json_delta", Block::Structured) => Message::Text(text(delta, "partial_json").to_owned()),
                _ => Message::Progress,
            }
        }
        "message_delta" => {
            let reason = text(&event["delta"], "stop_reason").to_owned();
            Message::Stopped { reason, usage: usage(&event["usage"]) }
        }
        // It says that the connection lives, not that an answer comes.
        "ping" => Message::Other,
        _ => Message::Progress,
    }
}

fn rate_limit(info: &Value) -> Message {
    Message::RateLimit { rejected: text(info, "status") == "rejected", resets_at: info["resetsAt"].as_i64() }
}

fn done(value: &Value) -> Done {
    let errors = strings(&value["errors"]).join("; ");
    let text_of = match text(value, "result") {
        "" => errors,
        result => result.to_owned(),
    };
    let structured = &value["structured_output"];
    Done {
        is_error: value["is_error"].as_bool().unwrap_or(true),
        subtype: text(value, "subtype").to_owned(),
        reason: text(value, "terminal_reason").to_owned(),
        status: status(&value["api_error_status"]),
        text: text_of,
        structured: (!structured.is_null()).then(|| structured.to_string()),
        usage: usage(&value["usage"]),
        turns: number(value, "num_turns"),
    }
}

fn usage(value: &Value) -> Usage {
    Usage {
        input_tokens: number(value, "input_tokens"),
        cache_read_tokens: number(value, "cache_read_input_tokens"),
        cache_write_tokens: number(value, "cache_creation_input_tokens"),
        output_tokens: number(value, "output_tokens"),
        ..Usage::default()
    }
}

fn response(value: &Value) -> Message {
    let error = (text(value, "subtype") != "success").then(|| text(value, "error").to_owned());
    Message::Response { id: text(value, "request_id").to_owned(), error }
}

fn request(value: &Value) -> Message {
    let (id, request) = (text(value, "request_id").to_owned(), &value["request"]);
    match text(request, "subtype") {
        "can_use_tool" => {
            Message::Permission { id, tool: text(request, "tool_name").to_owned(), input: request["input"].clone() }
        }
        subtype => Message::Request { id, subtype: subtype.to_owned() },
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    // Milliseconds may have a fraction.
    value[key].as_u64().or_else(|| value[key].as_f64().map(|number| number.max(0.0) as u64)).unwrap_or(0)
}

fn status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| u16::try_from(status).ok())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Message {
        Message::parse(value.to_string().as_bytes(), &mut Block::default()).unwrap()
    }

    fn event(event: Value) -> Value {
        json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
    }

    #[test]
    fn a_failed_request_comes_as_a_success_that_is_an_error() {
        let Message::Done(done) = read(json!({
            "type": "result", "subtype": "success", "is_error": true, "terminal_reason": "api_error",
            "api_error_status": 429, "result": "API Error: 429", "num_turns": 1, "usage": {"input_tokens": 3},
        })) else {
            panic!("no result")
        };
        assert!(done.is_error && done.status == Some(429) && done.usage.input_tokens == 3);
    }

    #[test]
    fn the_structured_answer_is_told_from_a_text_and_from_a_tools_input() {
        let mut block = Block::default();
        let mut read = |value: Value| Message::parse(event(value).to_string().as_bytes(), &mut block).unwrap();
        let start = |kind: &str, name: &str| json!({"type": "content_block_start", "content_block": {"type": kind, "name": name}});
        let json_delta =
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{}"}});
        assert_eq!(read(start("tool_use", "StructuredOutput")), Message::Progress);
        assert_eq!(read(json_delta.clone()), Message::Text("{}".to_owned()));
        assert_eq!(read(start("tool_use", "Read")), Message::Progress);
        assert_eq!(read(json_delta), Message::Progress);
        assert_eq!(read(start("thinking", "")), Message::Progress);
    }

    #[test]
    fn a_tool_is_told_with_its_whole_input_and_an_inner_agents_tool_is_not() {
        let block = |name: &str| json!([{"type": "tool_use", "name": name, "input": {"path": "a.md"}}]);
        let line = |name: &str, parent: Value| {
            read(json!({"type": "assistant", "message": {"content": block(name)}, "parent_tool_use_id": parent}))
        };
        let told = Message::Tool { name: "Read".to_owned(), input: r#"{"path":"a.md"}"#.to_owned() };
        assert_eq!(line("Read", Value::Null), told);
        assert_eq!(line("StructuredOutput", Value::Null), Message::Progress);
        assert_eq!(line("Read", json!("toolu_1")), Message::Progress);
    }

    #[test]
    fn a_ping_is_no_progress_and_an_inner_agents_words_are_no_answer() {
        assert_eq!(read(event(json!({"type": "ping"}))), Message::Other);
        let delta = json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "inner"}});
        assert_eq!(
            read(json!({"type": "stream_event", "event": delta, "parent_tool_use_id": "toolu_1"})),
            Message::Progress
        );
    }

    #[test]
    fn a_retry_has_its_delay_and_a_limit_its_reset() {
        assert_eq!(
            read(json!({"type": "system", "subtype": "api_retry", "retry_delay_ms": 7_511.4, "error_status": 529,
                "error": "overloaded"})),
            Message::Retry { delay_ms: 7_511, status: Some(529), error: "overloaded".to_owned() }
        );
        assert_eq!(
            read(json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1_700}})),
            Message::RateLimit { rejected: true, resets_at: Some(1_700) }
        );
    }

    #[test]
    fn what_is_not_known_is_other_and_what_is_no_object_is_nothing() {
        assert_eq!(read(json!({"type": "news"})), Message::Other);
        for line in ["", "garbage", "[1]", "\"text\"", "{\"type\":"] {
            assert_eq!(Message::parse(line.as_bytes(), &mut Block::default()), None, "{line}");
        }
    }
}
