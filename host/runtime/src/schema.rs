//! Whether an answer fits its schema.
//!
//! A schema comes from a plugin and an answer from a model, both strangers: references are not followed out of the
//! schema, its patterns run in linear time, and what is said of an answer is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::question::{Failure, FailureKind};

/// The most compiled schemas that are kept; a command has a few.
const MOST: usize = 256;

/// The largest schema, in bytes of JSON.
const LARGEST: usize = 256 * 1024;

/// How many faults of an answer are told to the model.
const MOST_FAULTS: usize = 3;

/// The longest text of a fault, in characters.
const LONGEST_FAULT: usize = 200;

/// Compiled schemas.
#[derive(Default)]
pub struct Schemas {
    compiled: Mutex<HashMap<Value, Checker>>,
}

/// A compiled schema.
#[derive(Clone)]
pub struct Checker {
    validator: Arc<Validator>,
}

impl Schemas {
    /// The compiled form, made at the first use.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`]: it is no JSON Schema, refers to others, or is too large.
    pub fn checker(&self, schema: &Value) -> Result<Checker, Failure> {
        if let Some(checker) = self.lock().get(schema) {
            return Ok(checker.clone());
        }
        let size = schema.to_string().len();
        if size > LARGEST {
            let message = format!("the question's schema has {size} bytes, at most {LARGEST} are allowed");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let validator =
            jsonschema::options().with_pattern_options(PatternOptions::regex()).offline().build(schema).map_err(
                |error| {
                    let fault = shortened(&error.to_string());
                    Failure::new(FailureKind::Invalid, format!("the question's schema can't be used: {fault}"))
                },
            )?;
        let checker = Checker { validator: Arc::new(validator) };
        let mut compiled = self.lock();
        if compiled.len() >= MOST {
            compiled.clear();
        }
        compiled.insert(schema.clone(), checker.clone());
        Ok(checker)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Value, Checker>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checker {
    /// The JSON of an answer that fits. A code fence around it is taken off.
    ///
    /// # Errors
    /// What is wrong with it, for the model and the user.
    pub fn check<'a>(&self, text: &'a str) -> Result<&'a str, String> {
        let text = without_fence(text);
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let faults: Vec<String> = self
            .validator
            .iter_errors(&value)
            .take(MOST_FAULTS)
            .map(|error| shortened(&format!("at `{}`: {}", error.instance_path(), error.masked())))
            .collect();
        if faults.is_empty() { Ok(text) } else { Err(faults.join("; ")) }
    }
}

fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let inside =
        text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).and_then(|text| text.strip_suffix("```"));
    inside.map_or(text, str::trim)
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_FAULT).collect();
    if text.chars().nth(LONGEST_FAULT).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checker() -> Checker {
        let schema = json!({
            "type": "object",
            "properties": {"good": {"type": "boolean"}, "name": {"type": "string", "pattern": "^(a+)+$"}},
            "required": ["good"],
            "additionalProperties": false,
        });
        Schemas::default().checker(&schema).unwrap()
    }

    #[test]
    fn what_fits_is_taken_with_or_without_a_fence() {
        for text in
            ["{\"good\":true}", " {\"good\":true}\n", "```json\n{\"good\":true}\n```", "```\n{\"good\":true}\n```"]
        {
            assert_eq!(checker().check(text), Ok("{\"good\":true}"));
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place_and_in_few_words() {
        assert!(checker().check("Sure! Here it is").unwrap_err().contains("not JSON"));
        let fault = checker().check("{\"good\":\"yes\"}").unwrap_err();
        assert!(fault.contains("`/good`") && fault.contains("boolean"), "{fault}");
        let long = format!("{{\"good\":\"{}\"}}", "\u{1b}x".repeat(10_000).replace('\u{1b}', "\\u001b"));
        let fault = checker().check(&long).unwrap_err();
        assert!(fault.len() < 1_000 && !fault.contains('\u{1b}'), "{fault}");
    }

    #[test]
    fn a_pattern_that_explodes_elsewhere_takes_no_time_here() {
        let text = json!({"good": true, "name": format!("{}b", "a".repeat(50_000))}).to_string();
        assert!(checker().check(&text).is_err());
    }

    #[test]
    fn a_schema_that_is_none_or_points_elsewhere_or_is_huge_is_invalid() {
        let schemas = Schemas::default();
        for schema in [
            json!({"type": "no-such-type"}),
            json!({"$ref": "http://127.0.0.1:9/schema.json"}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"description": "x".repeat(LARGEST)}),
            json!(7),
        ] {
            let kind = schemas.checker(&schema).map(|_| ()).unwrap_err().kind;
            assert_eq!(kind, FailureKind::Invalid, "{schema}");
        }
    }

    #[test]
    fn a_schema_is_compiled_once() {
        let schemas = Schemas::default();
        let (one, two) =
            (schemas.checker(&json!({"type": "null"})).unwrap(), schemas.checker(&json!({"type": "null"})).unwrap());
        assert!(Arc::ptr_eq(&one.validator, &two.validator));
    }

    #[test]
    fn many_schemas_do_not_fill_the_memory() {
        let schemas = Schemas::default();
        for number in 0..2 * MOST {
            schemas.checker(&json!({"const": number})).unwrap();
        }
        assert!(schemas.lock().len() <= MOST);
    }
}
