//! What is answered.

use std::ops::RangeInclusive;

use convoke_made::{Chance, Maker, prose};
use serde_json::Value;

use crate::fault::Fault;
use crate::request::{Question, STRUCTURED_OUTPUT};
use crate::tokens::estimate;

/// An answer written beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    /// A text that the request's messages contain.
    pub contains: String,
    /// The answer.
    pub text: String,
}

/// What is answered: a written answer if one matches; else, where a schema is given, JSON that fits it; else prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Written answers; the first that matches is given.
    pub scripted: Vec<Scripted>,
    /// How long prose is, in tokens.
    pub prose_tokens: RangeInclusive<u32>,
    /// How many items lists have. From 0: lists may be empty.
    pub list_items: RangeInclusive<usize>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { scripted: Vec::new(), prose_tokens: 20..=60, list_items: 1..=2 }
    }
}

/// The one block of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    /// A tool is called; the input is JSON.
    Tool {
        name: String,
        input: String,
    },
}

impl Content {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Tool { input: text, .. } => text,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) content: Content,
    pub(crate) stop_reason: &'static str,
    pub(crate) output_tokens: u64,
}

/// Chooses the answer to a question.
pub(crate) fn choose(answers: &Answers, question: &Question, seed: u64, fault: Option<&Fault>) -> Answer {
    let mut chance = Chance::new(seed ^ 0xa25_3e12);
    let scripted = answers.scripted.iter().find(|one| question.text.contains(&one.contains));
    let (text, structured) = match (fault, scripted, &question.schema) {
        (Some(Fault::OffSchema), ..) => (r#"{"unexpected":true}"#.to_owned(), question.by_tool),
        (Some(Fault::HugeEvent { bytes }), ..) => ("x".repeat(*bytes), false),
        (_, Some(scripted), schema) => {
            let is_object = || serde_json::from_str::<Value>(&scripted.text).is_ok_and(|value| value.is_object());
            (scripted.text.clone(), schema.is_some() && question.by_tool && is_object())
        }
        (_, None, Some(schema)) => {
            let value = Maker::new(schema, answers.list_items.clone(), &mut chance).make();
            (value.to_string(), question.by_tool)
        }
        (_, None, None) => {
            let (least, most) = (*answers.prose_tokens.start() as usize, *answers.prose_tokens.end() as usize);
            let tokens = chance.count(&(least..=most));
            // A word and the blank after it are about a token and a half.
            let mut text = prose(tokens, &mut chance);
            text.truncate(tokens.max(1) * 4);
            (text.trim_end().to_owned(), false)
        }
    };
    let mut text = text;
    let mut stop_reason = "end_turn";
    let most = usize::try_from(question.max_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
    if text.len() > most && !matches!(fault, Some(Fault::HugeEvent { .. })) {
        text.truncate(text.floor_char_boundary(most));
        stop_reason = "max_tokens";
    }
    let output_tokens = estimate(text.len()).max(1);
    let content = match fault {
        Some(Fault::ToolUse) => Content::Tool { name: "Bash".to_owned(), input: r#"{"command":"ls"}"#.to_owned() },
        _ if structured => Content::Tool { name: STRUCTURED_OUTPUT.to_owned(), input: text },
        _ => Content::Text(text),
    };
    if matches!(fault, Some(Fault::Refusal)) {
        stop_reason = "refusal";
    } else if matches!(content, Content::Tool { .. }) {
        stop_reason = "tool_use";
    }
    Answer { content, stop_reason, output_tokens }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request;

    fn question(max_tokens: u64, schema: bool) -> Question {
        let mut body =
            json!({"model": "claude-x", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "Hi"}]});
        if schema {
            let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
                "additionalProperties": false});
            body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
        }
        request::read(&body, "").expect("a good question")
    }

    #[test]
    fn a_written_answer_goes_first_then_the_schema_then_prose() {
        let mut answers = Answers::default();
        let prose = choose(&answers, &question(100, false), 3, None);
        assert_eq!(prose, choose(&answers, &question(100, false), 3, None));
        assert!((10..=60).contains(&prose.output_tokens), "{prose:?}");
        let fitting = choose(&answers, &question(100, true), 3, None);
        let value: Value = serde_json::from_str(fitting.content.text()).expect("JSON");
        assert!(value["n"].is_i64());
        answers.scripted.push(Scripted { contains: "Hi".into(), text: "Hello".into() });
        assert_eq!(choose(&answers, &question(100, true), 3, None).content, Content::Text("Hello".into()));
    }

    #[test]
    fn an_answer_longer_than_max_tokens_is_cut_and_says_so() {
        let mut answers = Answers::default();
        answers.scripted.push(Scripted { contains: String::new(), text: "é".repeat(40) });
        let answer = choose(&answers, &question(3, false), 0, None);
        assert_eq!((answer.stop_reason, answer.output_tokens), ("max_tokens", 3));
        assert_eq!(answer.content.text(), "é".repeat(6));
    }
}
