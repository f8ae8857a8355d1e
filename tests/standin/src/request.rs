//! What a request must look like, and what of it matters here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::structured;
use crate::tokens::{Prefix, estimate};

/// A request that has the right shape.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) model: String,
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
    /// The text of all messages of the user.
    pub(crate) text: String,
    /// The schema that the answer must fit.
    pub(crate) schema: Option<Value>,
    /// Whether the schema is that of a tool called `StructuredOutput`, as the `claude` program sends it.
    pub(crate) by_tool: bool,
    /// All input tokens.
    pub(crate) tokens: u64,
    pub(crate) prefixes: Vec<Prefix>,
    /// What identifies the content.
    pub(crate) hash: u64,
}

/// The name of the tool that the `claude` program asks for structured answers with.
pub(crate) const STRUCTURED_OUTPUT: &str = "StructuredOutput";

/// Reads a body. An error is the text of a 400.
pub(crate) fn read(body: &Value, account: &str) -> Result<Question, String> {
    let body = body.as_object().ok_or("the body is not a JSON object")?;
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let model = model.ok_or("model: Field required")?;
    let max_tokens = match body.get("max_tokens") {
        None => return Err("max_tokens: Field required".to_owned()),
        Some(max) => max.as_u64().filter(|max| *max > 0).ok_or("max_tokens: must be a whole number above 0")?,
    };
    let stream = match body.get("stream") {
        None => false,
        Some(stream) => stream.as_bool().ok_or("stream: must be true or false")?,
    };

    let mut reader = Reader::new(model, account);
    let by_tool = reader.tools(body)?;
    reader.system(body)?;
    reader.messages(body)?;
    let schema = match format_schema(body)? {
        Some(schema) => Some(schema.clone()),
        // After the tool was used, the answer is prose again.
        None if reader.has_tool_result => None,
        None => by_tool.cloned(),
    };
    let by_tool = schema.is_some() && body.get("output_config").and_then(|config| config.get("format")).is_none();
    if reader.cached_blocks > 4 {
        return Err(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {}.",
            reader.cached_blocks
        ));
    }
    if let Some(schema) = &schema {
        reader.count(&schema.to_string());
    }
    Ok(Question {
        model: model.to_owned(),
        max_tokens,
        stream,
        text: reader.text,
        schema,
        by_tool,
        tokens: estimate(reader.bytes).max(1),
        prefixes: reader.prefixes,
        hash: reader.hasher.finish(),
    })
}

fn format_schema(body: &Map<String, Value>) -> Result<Option<&Value>, String> {
    let Some(format) = body.get("output_config").and_then(|config| config.get("format")).filter(|f| !f.is_null())
    else {
        return Ok(None);
    };
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Err("output_config.format.type: must be `json_schema`".to_owned());
    }
    let schema = format.get("schema").filter(|schema| schema.is_object());
    let schema = schema.ok_or("output_config.format.schema: must be an object")?;
    structured::check(schema).map_err(|reason| format!("output_config.format.schema: {reason}"))?;
    Ok(Some(schema))
}

/// Goes over a request in the order in which the prompt cache sees it: tools, system, messages.
struct Reader {
    bytes: usize,
    hasher: DefaultHasher,
    text: String,
    prefixes: Vec<Prefix>,
    cached_blocks: usize,
    has_tool_result: bool,
}

impl Reader {
    fn new(model: &str, account: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (model, account).hash(&mut hasher);
        Self { bytes: 0, hasher, text: String::new(), prefixes: Vec::new(), cached_blocks: 0, has_tool_result: false }
    }

    fn count(&mut self, text: &str) {
        self.bytes += text.len();
        text.hash(&mut self.hasher);
    }

    fn cache_control(&mut self, block: &Value, at: &str) -> Result<(), String> {
        let Some(control) = block.get("cache_control").filter(|control| !control.is_null()) else { return Ok(()) };
        if control.get("type").and_then(Value::as_str) != Some("ephemeral") {
            return Err(format!("{at}.cache_control.type: must be `ephemeral`"));
        }
        let ttl = match control.get("ttl").and_then(Value::as_str) {
            None | Some("5m") => Duration::from_secs(300),
            Some("1h") => Duration::from_secs(3_600),
            Some(_) => return Err(format!("{at}.cache_control.ttl: must be `5m` or `1h`")),
        };
        self.cached_blocks += 1;
        self.prefixes.push(Prefix { key: self.hasher.finish(), tokens: estimate(self.bytes), ttl });
        Ok(())
    }

    /// Gives the schema of the tool for structured answers, where there is one.
    fn tools<'a>(&mut self, body: &'a Map<String, Value>) -> Result<Option<&'a Value>, String> {
        let Some(tools) = body.get("tools").filter(|tools| !tools.is_null()) else { return Ok(None) };
        let tools = tools.as_array().ok_or("tools: must be a list")?;
        let mut structured = None;
        for (place, tool) in tools.iter().enumerate() {
            let name = tool.get("name").and_then(Value::as_str).ok_or(format!("tools.{place}.name: Field required"))?;
            if name == STRUCTURED_OUTPUT {
                structured = tool.get("input_schema");
            }
            self.count(&tool.to_string());
            self.cache_control(tool, &format!("tools.{place}"))?;
        }
        Ok(structured)
    }

    fn system(&mut self, body: &Map<String, Value>) -> Result<(), String> {
        match body.get("system") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(text)) => {
                self.count(text);
                Ok(())
            }
            Some(Value::Array(blocks)) => {
                for (place, block) in blocks.iter().enumerate() {
                    let at = format!("system.{place}");
                    self.count(text_of(block, &at)?);
                    self.cache_control(block, &at)?;
                }
                Ok(())
            }
            Some(_) => Err("system: must be a text or a list of text blocks".to_owned()),
        }
    }

    fn messages(&mut self, body: &Map<String, Value>) -> Result<(), String> {
        let messages = body.get("messages").ok_or("messages: Field required")?;
        let messages = messages.as_array().filter(|messages| !messages.is_empty());
        let messages = messages.ok_or("messages: at least one message is required")?;
        for (place, message) in messages.iter().enumerate() {
            let at = format!("messages.{place}");
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            if !["user", "assistant", "system"].contains(&role) {
                return Err(format!("{at}.role: must be `user` or `assistant`"));
            }
            if place == 0 && role == "assistant" {
                return Err("messages: first message must use the \"user\" role".to_owned());
            }
            role.hash(&mut self.hasher);
            match message.get("content") {
                Some(Value::String(text)) if !text.is_empty() => self.said(role, text),
                Some(Value::Array(blocks)) if !blocks.is_empty() => {
                    for (index, block) in blocks.iter().enumerate() {
                        self.block(role, block, &format!("{at}.content.{index}"))?;
                    }
                }
                _ => return Err(format!("{at}: user messages must have non-empty content")),
            }
        }
        Ok(())
    }

    fn said(&mut self, role: &str, text: &str) {
        self.count(text);
        if role == "user" {
            self.text.push_str(text);
            self.text.push('\n');
        }
    }

    fn block(&mut self, role: &str, block: &Value, at: &str) -> Result<(), String> {
        match block.get("type").and_then(Value::as_str) {
            Some("text") => {
                let text = text_of(block, at)?;
                self.said(role, text);
            }
            Some(kind) => {
                self.has_tool_result |= kind == "tool_result";
                self.count(&block.to_string());
            }
            None => return Err(format!("{at}.type: Field required")),
        }
        self.cache_control(block, at)
    }
}

fn text_of<'a>(block: &'a Value, at: &str) -> Result<&'a str, String> {
    if block.get("type").and_then(Value::as_str) != Some("text") {
        return Err(format!("{at}.type: must be `text`"));
    }
    match block.get("text").and_then(Value::as_str) {
        Some("") => Err(format!("{at}: text content blocks must be non-empty")),
        Some(text) => Ok(text),
        None => Err(format!("{at}.text: Field required")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "eight by"}]})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut body = good();
        body[key] = value;
        body
    }

    #[test]
    fn a_plain_question_is_read_and_counted_by_its_bytes() {
        let question = read(&good(), "a").expect("a good question");
        assert_eq!((question.tokens, question.max_tokens, question.stream), (2, 100, false));
        assert_eq!(question.text, "eight by\n");
        assert_eq!(question.hash, read(&good(), "a").expect("the same").hash);
        assert_ne!(question.hash, read(&good(), "b").expect("another account").hash);
    }

    #[test]
    fn wrong_shapes_are_told_by_their_place() {
        let cases = [
            (json!([]), "JSON object"),
            (with("model", json!("")), "model"),
            (with("max_tokens", json!(0)), "max_tokens"),
            (with("stream", json!("yes")), "stream"),
            (with("messages", json!([])), "messages"),
            (with("messages", json!([{"role": "user", "content": ""}])), "messages.0"),
            (with("messages", json!([{"role": "robot", "content": "x"}])), "messages.0.role"),
            (with("messages", json!([{"role": "user", "content": [{"type": "text", "text": ""}]}])), "content.0"),
            (with("system", json!([{"type": "text"}])), "system.0.text"),
            (with("system", json!([{"type": "text", "text": "x", "cache_control": {"type": "x"}}])), "cache_control"),
            (with("output_config", json!({"format": {"type": "xml"}})), "json_schema"),
            (
                with("output_config", json!({"format": {"type": "json_schema", "schema": {"type": "object"}}})),
                "additional",
            ),
        ];
        for (body, place) in cases {
            let error = read(&body, "a").expect_err(place);
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn a_cached_block_makes_a_prefix_that_does_not_depend_on_what_follows() {
        let ask = |prompt: &str| {
            let body = with(
                "messages",
                json!([{"role": "user", "content": [
                    {"type": "text", "text": "x".repeat(400), "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": prompt},
                ]}]),
            );
            read(&body, "a").expect("a good question")
        };
        let (one, two) = (ask("one"), ask("another"));
        assert_eq!(one.prefixes, two.prefixes);
        assert_eq!(one.prefixes[0].tokens, 100);
        assert_ne!(one.hash, two.hash);
    }

    #[test]
    fn the_programs_tool_asks_for_a_structured_answer_until_it_was_used() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let mut body = with("tools", json!([{"name": STRUCTURED_OUTPUT, "input_schema": schema}]));
        let question = read(&body, "a").expect("a good question");
        assert!(question.by_tool && question.schema.is_some());
        body["messages"] = json!([
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": STRUCTURED_OUTPUT, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
        ]);
        let question = read(&body, "a").expect("a good question");
        assert!(!question.by_tool && question.schema.is_none());
    }
}
