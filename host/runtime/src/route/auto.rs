//! What `auto` means: the rule by which a question that names no tier gets one.
//!
//! The first line that holds decides:
//!
//! | what the question needs | tier |
//! |---|---|
//! | tools | `comprehensive` |
//! | a long context: more than [`LONG_INPUT_TOKENS`] of input, as estimated | `comprehensive` |
//! | several steps: an answer of more than [`LONG_OUTPUT_TOKENS`], or a schema nested more than [`DEEP_SCHEMA`] objects and lists, or with more than [`LARGE_SCHEMA`] members | `comprehensive` |
//! | none of these | `speed` |
//!
//! It looks at the question alone, so that the same question always goes the same way.

use std::fmt;

use serde_json::Value;

use super::BYTES_PER_TOKEN;
use crate::question::{Question, Tier};

/// More input than this is a long context, in estimated tokens: a quarter of the smallest model's 200,000, so that it
/// still fits there where a text has twice as many tokens as its bytes tell.
pub const LONG_INPUT_TOKENS: u64 = 50_000;

/// An answer that may be longer than this is worked out in several steps, in tokens: twice what a question gets that
/// names no length.
pub const LONG_OUTPUT_TOKENS: u32 = 8_192;

/// A schema whose objects and lists nest deeper than this asks for a structure that has to be planned. A list of findings,
/// each an object with a place, has 4.
pub const DEEP_SCHEMA: usize = 6;

/// A schema with more members than this, over all its objects, asks for a form and not for an answer.
pub const LARGE_SCHEMA: usize = 48;

/// Deeper than this nothing is looked at: the schema is deep.
const DEEPEST: usize = 32;

/// What a question needs most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Tools.
    Tools,
    /// A long context, with so many estimated tokens.
    LongContext(u64),
    /// Several steps, because so many tokens of an answer are asked for.
    LongAnswer(u32),
    /// Several steps, because the schema nests so deep.
    DeepSchema(usize),
    /// Several steps, because the schema has so many members.
    LargeSchema(usize),
    /// Nothing of these.
    Simple,
}

impl Need {
    /// The tier that has it.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Simple => Tier::Speed,
            _ => Tier::Comprehensive,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tools => write!(f, "it needs tools"),
            Self::LongContext(tokens) => write!(f, "about {tokens} input tokens are a long context"),
            Self::LongAnswer(tokens) => write!(f, "an answer of {tokens} tokens is several steps"),
            Self::DeepSchema(depth) => write!(f, "an answer that nests {depth} deep is several steps"),
            Self::LargeSchema(members) => write!(f, "an answer with {members} members is several steps"),
            Self::Simple => write!(f, "it is simple"),
        }
    }
}

/// The rule.
pub fn needs(question: &Question) -> Need {
    if !question.tools.is_empty() {
        return Need::Tools;
    }
    let texts = [question.system.as_deref(), question.context.as_deref(), Some(question.prompt.as_str())];
    let bytes: u64 = texts.into_iter().flatten().map(|text| text.len() as u64).sum();
    let tokens = bytes.div_ceil(BYTES_PER_TOKEN);
    if tokens > LONG_INPUT_TOKENS {
        return Need::LongContext(tokens);
    }
    match question.max_output_tokens {
        Some(tokens) if tokens > LONG_OUTPUT_TOKENS => return Need::LongAnswer(tokens),
        _ => {}
    }
    let shape = question.schema.as_ref().map(|schema| Shape::of(schema, 0)).unwrap_or_default();
    if shape.depth > DEEP_SCHEMA {
        Need::DeepSchema(shape.depth)
    } else if shape.members > LARGE_SCHEMA {
        Need::LargeSchema(shape.members)
    } else {
        Need::Simple
    }
}

/// How large the answers are that a schema describes.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    /// Objects and lists within each other.
    depth: usize,
    /// Members of all objects.
    members: usize,
}

impl Shape {
    /// Looks at everything that can hold a schema; what is described elsewhere (`$defs`) counts as if it stood here.
    fn of(schema: &Value, level: usize) -> Self {
        let Value::Object(keys) = schema else { return Self::default() };
        let mut shape = Self { depth: level, members: 0 };
        if level > DEEPEST {
            return shape;
        }
        for (key, value) in keys {
            let (inner, below): (Vec<&Value>, usize) = match (key.as_str(), value) {
                ("properties" | "patternProperties", Value::Object(members)) => {
                    shape.members += members.len();
                    (members.values().collect(), level + 1)
                }
                ("items" | "additionalProperties" | "contains", Value::Object(_)) => (vec![value], level + 1),
                ("prefixItems", Value::Array(all)) => (all.iter().collect(), level + 1),
                ("anyOf" | "oneOf" | "allOf", Value::Array(all)) => (all.iter().collect(), level),
                ("$defs" | "definitions", Value::Object(all)) => (all.values().collect(), level),
                _ => continue,
            };
            for one in inner {
                let one = Self::of(one, below);
                shape.depth = shape.depth.max(one.depth).max(below);
                shape.members += one.members;
            }
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}))
    }

    fn wide(members: usize) -> Value {
        let members: serde_json::Map<String, Value> =
            (0..members).map(|number| (format!("m{number}"), json!({"type": "string"}))).collect();
        json!({"type": "object", "properties": members})
    }

    #[test]
    fn a_question_without_a_tier_gets_the_one_that_it_needs() {
        let plain = || Question { prompt: "Is it good?".to_owned(), ..Question::default() };
        let bytes = |count: u64| "x".repeat(usize::try_from(count).unwrap());
        let longest = LONG_INPUT_TOKENS * BYTES_PER_TOKEN;
        let findings = json!({"type": "object", "properties": {"findings": {"type": "array", "items":
            {"type": "object", "properties": {"line": {"type": "integer"}}}}}});
        let rows: [(Question, Need); 13] = [
            (plain(), Need::Simple),
            (Question { schema: Some(findings), ..plain() }, Need::Simple),
            (Question { tools: vec!["Read".to_owned()], ..plain() }, Need::Tools),
            (Question { prompt: bytes(longest), ..plain() }, Need::Simple),
            (Question { prompt: bytes(longest + 1), ..plain() }, Need::LongContext(LONG_INPUT_TOKENS + 1)),
            (Question { context: Some(bytes(longest)), ..plain() }, Need::LongContext(LONG_INPUT_TOKENS + 3)),
            (Question { max_output_tokens: Some(8_192), ..plain() }, Need::Simple),
            (Question { max_output_tokens: Some(8_193), ..plain() }, Need::LongAnswer(8_193)),
            (Question { schema: Some(nested(6)), ..plain() }, Need::Simple),
            (Question { schema: Some(nested(7)), ..plain() }, Need::DeepSchema(7)),
            (Question { schema: Some(wide(48)), ..plain() }, Need::Simple),
            (Question { schema: Some(wide(49)), ..plain() }, Need::LargeSchema(49)),
            // What is no schema is not looked at: it fails elsewhere.
            (Question { schema: Some(json!([{"properties": 7}])), ..plain() }, Need::Simple),
        ];
        for (question, need) in rows {
            assert_eq!(needs(&question), need, "{need}");
        }
    }

    #[test]
    fn what_is_not_simple_is_comprehensive() {
        assert_eq!(Need::Simple.tier(), Tier::Speed);
        for need in [Need::Tools, Need::LongContext(1), Need::LongAnswer(1), Need::DeepSchema(1), Need::LargeSchema(1)]
        {
            assert_eq!(need.tier(), Tier::Comprehensive, "{need}");
        }
    }

    #[test]
    fn a_schema_without_end_is_deep_and_costs_nothing() {
        assert_eq!(needs(&Question { schema: Some(nested(100)), ..Question::default() }), Need::DeepSchema(33));
        let choices = json!({"anyOf": [nested(7), {"type": "null"}]});
        assert_eq!(needs(&Question { schema: Some(choices), ..Question::default() }), Need::DeepSchema(7));
        let elsewhere = json!({"$ref": "#/$defs/a", "$defs": {"a": wide(49)}});
        assert_eq!(needs(&Question { schema: Some(elsewhere), ..Question::default() }), Need::LargeSchema(49));
    }
}
