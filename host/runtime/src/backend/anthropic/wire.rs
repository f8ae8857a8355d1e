//! What is sent.

use serde::Serialize;
use serde_json::Value;

use super::schema;
use crate::backend::Request;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: [Message<'a>; 1],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
struct Block<'a> {
    r#type: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct CacheControl {
    r#type: &'static str,
}

#[derive(Serialize)]
struct OutputConfig {
    format: Format,
}

#[derive(Serialize)]
struct Format {
    r#type: &'static str,
    schema: Value,
}

/// An empty text block is an error to the API, so an empty text is no block.
fn block(text: &str, cached: bool) -> Option<Block<'_>> {
    let cache_control = cached.then_some(CacheControl { r#type: "ephemeral" });
    (!text.is_empty()).then_some(Block { r#type: "text", text, cache_control })
}

/// A schema as it is sent: enforced, else told.
fn shown(request: &Request) -> (Option<Value>, String) {
    let enforced = request.schema.as_ref().and_then(schema::enforceable);
    let told = match &request.schema {
        Some(schema) if enforced.is_none() => {
            format!("Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{schema}")
        }
        _ => String::new(),
    };
    (enforced, told)
}

/// The bytes of all texts in [`body`]. An enforced schema counts twice: the API tells the model of it in words of its own.
pub(super) fn input_bytes(request: &Request) -> u64 {
    let (enforced, told) = shown(request);
    let enforced = enforced.map_or(0, |schema| 2 * schema.to_string().len());
    let context = request.context.as_deref().unwrap_or_default();
    (request.system.len() + told.len() + context.len() + request.prompt.len() + enforced) as u64
}

/// The body of a request. What siblings have in common stands first, the instructions and then the context, and ends
/// with a mark for the prompt cache: what differs between them comes after it.
///
/// A schema is enforced by the API where it can be; where it says more than the API can enforce, the rest stands in
/// its descriptions; where the API can't enforce it at all, the model is told it.
pub(super) fn body(request: &Request) -> serde_json::Result<Vec<u8>> {
    let (enforced, told) = shown(request);
    let context = request.context.as_deref().unwrap_or_default();
    serde_json::to_vec(&Body {
        model: &request.model,
        max_tokens: request.max_output_tokens,
        system: block(&request.system, false).into_iter().collect(),
        messages: [Message {
            role: "user",
            content: [block(context, true), block(&told, false), block(&request.prompt, false)]
                .into_iter()
                .flatten()
                .collect(),
        }],
        stream: true,
        output_config: enforced.map(|schema| OutputConfig { format: Format { r#type: "json_schema", schema } }),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn request() -> Request {
        Request {
            model: "claude-haiku-5-5".into(),
            system: "Be brief.".into(),
            context: Some("All files.".into()),
            prompt: "What is wrong?".into(),
            schema: None,
            tools: vec![],
            mcp: None,
            max_output_tokens: 500,
            timeout: Duration::from_secs(1),
            stall: Duration::from_secs(1),
        }
    }

    fn sent(request: &Request) -> Value {
        serde_json::from_slice(&body(request).expect("a body")).expect("JSON")
    }

    #[test]
    fn the_context_stands_before_the_prompt_and_is_marked_for_the_cache() {
        assert_eq!(
            sent(&request()),
            json!({
                "model": "claude-haiku-5-5", "max_tokens": 500, "stream": true,
                "system": [{"type": "text", "text": "Be brief."}],
                "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "All files.", "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": "What is wrong?"},
                ]}],
            })
        );
    }

    #[test]
    fn the_bytes_of_the_input_are_those_of_all_texts_that_are_sent() {
        let closed = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let open = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        for schema in [None, Some(closed), Some(open)] {
            let request = Request { prompt: "Größer?\n\"".repeat(50), schema, ..request() };
            let body = sent(&request);
            let blocks = [body["system"].as_array(), body["messages"][0]["content"].as_array()].into_iter().flatten();
            let texts: usize = blocks.flatten().filter_map(|block| block["text"].as_str()).map(str::len).sum();
            let schema = body["output_config"]["format"].get("schema").map_or(0, |schema| schema.to_string().len());
            assert_eq!(input_bytes(&request), (texts + 2 * schema) as u64);
        }
    }

    #[test]
    fn empty_texts_are_left_out() {
        let body = sent(&Request { system: String::new(), context: Some(String::new()), ..request() });
        assert_eq!(body.get("system"), None);
        assert_eq!(body["messages"][0]["content"], json!([{"type": "text", "text": "What is wrong?"}]));
    }

    #[test]
    fn a_schema_is_enforced_where_it_can_be_and_told_where_not() {
        let closed = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let body = sent(&Request { schema: Some(closed), ..request() });
        assert_eq!(body["output_config"]["format"]["type"], "json_schema");
        assert_eq!(body["output_config"]["format"]["schema"]["additionalProperties"], false);
        assert_eq!(body["system"].as_array().map(Vec::len), Some(1));

        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let body = sent(&Request { schema: Some(map.clone()), ..request() });
        assert_eq!(body.get("output_config"), None);
        let content = &body["messages"][0]["content"];
        assert!(content[1]["text"].as_str().is_some_and(|text| text.contains(&map.to_string())), "{body}");
        assert_eq!(content[2]["text"], "What is wrong?");
        // Siblings with another schema share what stands before it.
        assert_eq!(
            (&body["system"], &content[0]),
            (&sent(&request())["system"], &sent(&request())["messages"][0]["content"][0])
        );
    }
}
