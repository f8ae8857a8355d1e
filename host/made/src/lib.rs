//! Values that fit a JSON Schema, made by chance that repeats itself. What stands in for a model in tests answers with them.

mod chance;

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

pub use chance::Chance;

/// Deeper in a schema nothing is made.
const DEEPEST: usize = 32;

/// Makes values that fit a schema.
pub struct Maker<'a> {
    root: &'a Value,
    items: RangeInclusive<usize>,
    chance: &'a mut Chance,
}

impl<'a> Maker<'a> {
    /// For a schema, with lists so long; it draws from `chance`.
    pub fn new(root: &'a Value, items: RangeInclusive<usize>, chance: &'a mut Chance) -> Self {
        Self { root, items, chance }
    }

    /// The value. What the schema does not say is null.
    pub fn make(&mut self) -> Value {
        self.value(self.root, 0)
    }

    fn value(&mut self, schema: &'a Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array).filter(|choices| !choices.is_empty()) {
            return choices[self.chance.below(choices.len())].clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Value::Null, |found| self.value(found, depth + 1));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(key).and_then(Value::as_array).filter(|choices| !choices.is_empty()) {
                // Deep down the last is taken: in a schema that contains itself, that is where `null` stands.
                let last = choices.len() - 1;
                let place = if depth > 6 { last } else { self.chance.below(choices.len()) };
                return self.value(&choices[place], depth + 1);
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            let mut whole = Map::new();
            for part in parts {
                if let Value::Object(part) = self.value(part, depth + 1) {
                    whole.extend(part);
                }
            }
            return Value::Object(whole);
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
            Some(kind) => kind.as_str(),
            None if schema.get("properties").is_some() => Some("object"),
            None => None,
        };
        match kind {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("integer") => json!(self.integer(schema)),
            Some("number") => self.number(schema),
            Some("boolean") => json!(self.chance.coin()),
            Some("string") => self.string(schema),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let required: Vec<&str> = match schema.get("required").and_then(Value::as_array) {
            Some(names) => names.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        let mut made = Map::new();
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if required.contains(&name.as_str()) || (depth <= 6 && self.chance.coin()) {
                made.insert(name.clone(), self.value(inner, depth + 1));
            }
        }
        Value::Object(made)
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|bound| bound as usize);
        let least = bound("minItems").unwrap_or(0);
        let most = bound("maxItems").unwrap_or(usize::MAX).max(least);
        let wanted = if depth > 6 { 0 } else { self.chance.count(&self.items) };
        let items = schema.get("items");
        let made = (0..wanted.clamp(least, most)).map(|_| items.map_or(Value::Null, |one| self.value(one, depth + 1)));
        Value::Array(made.collect())
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        let least = bound("minimum").or(bound("exclusiveMinimum").map(|least| least.saturating_add(1)));
        let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most.saturating_sub(1)));
        let (least, most) = match (least, most) {
            (Some(least), Some(most)) => (least, most.max(least)),
            (Some(least), None) => (least, least.saturating_add(100)),
            (None, Some(most)) => (most.saturating_sub(100), most),
            (None, None) => (1, 100),
        };
        self.chance.integer(&(least..=most))
    }

    fn number(&mut self, schema: &Value) -> Value {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let least = bound("minimum").unwrap_or(0.0);
        let most = bound("maximum").unwrap_or(least + 1.0).max(least);
        let made = least + self.chance.share() * (most - least);
        json!((made * 100.0).round().clamp(least * 100.0, most * 100.0) / 100.0)
    }

    fn string(&mut self, schema: &Value) -> Value {
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-11-20T12:00:00Z".to_owned(),
            Some("date") => "2026-11-20".to_owned(),
            Some("time") => "12:00:00Z".to_owned(),
            Some("duration") => "PT5M".to_owned(),
            Some("email") => "someone@example.com".to_owned(),
            Some("hostname") => "example.com".to_owned(),
            Some("uri") => "https://example.com/".to_owned(),
            Some("ipv4") => "192.0.2.1".to_owned(),
            Some("ipv6") => "2001:db8::1".to_owned(),
            Some("uuid") => "0193484e-0000-7000-8000-000000000000".to_owned(),
            _ => {
                let words = self.chance.count(&(3..=10));
                prose(words, self.chance)
            }
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|bound| bound as usize);
        let mut text: String = text.chars().take(bound("maxLength").unwrap_or(usize::MAX)).collect();
        while text.chars().count() < bound("minLength").unwrap_or(0).min(10_000) {
            text.push('x');
        }
        json!(text)
    }
}

const WORDS: [&str; 24] = [
    "the",
    "description",
    "says",
    "when",
    "to",
    "use",
    "this",
    "agent",
    "but",
    "its",
    "tools",
    "are",
    "wider",
    "than",
    "its",
    "role",
    "needs",
    "consider",
    "a",
    "narrower",
    "list",
    "and",
    "one",
    "example",
];

/// So many words.
pub fn prose(words: usize, chance: &mut Chance) -> String {
    let mut text = String::with_capacity(words * 7);
    for place in 0..words {
        if place > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[chance.below(WORDS.len())]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(schema: &Value, seed: u64, items: RangeInclusive<usize>) -> Value {
        Maker::new(schema, items, &mut Chance::new(seed)).make()
    }

    #[test]
    fn an_answer_fits_its_schema_and_is_the_same_for_the_same_seed() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["found", "level", "line"],
            "properties": {
                "found": {"type": "array", "items": {"$ref": "#/$defs/text"}},
                "level": {"enum": ["low", "high"]},
                "line": {"type": "integer", "minimum": 7, "maximum": 9},
                "maybe": {"type": ["string", "null"]},
            },
            "$defs": {"text": {"type": "string", "maxLength": 5}},
        });
        for seed in 0..50 {
            let answer = made(&schema, seed, 1..=2);
            assert!((1..=2).contains(&answer["found"].as_array().unwrap().len()), "{answer}");
            assert!(answer["found"][0].as_str().is_some_and(|text| text.len() <= 5), "{answer}");
            assert!(["low", "high"].contains(&answer["level"].as_str().unwrap()), "{answer}");
            assert!((7..=9).contains(&answer["line"].as_i64().unwrap()), "{answer}");
            assert_eq!(answer, made(&schema, seed, 1..=2));
        }
        assert_eq!(made(&schema, 1, 0..=0)["found"], json!([]));
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({
            "type": "object", "required": ["next"], "additionalProperties": false,
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        });
        for seed in 0..20 {
            assert!(made(&schema, seed, 1..=2).is_object());
        }
    }
}
