//! The part of JSON Schema that the API can hold an answer to.
//!
//! It knows types, properties, `enum`, `const`, `anyOf`, `allOf`, references that don't run in a circle, and some
//! formats; objects must be closed. Bounds of numbers, texts and lists it does not know, and refuses. The rule is the
//! one that the official clients follow: what can't be enforced moves into the description, where the model reads it,
//! and the full schema is checked afterwards by who asked.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

const KEPT: [&str; 9] =
    ["type", "enum", "const", "required", "$ref", "description", "title", "default", "additionalProperties"];
/// Says nothing about a value.
const DROPPED: [&str; 6] = ["$schema", "$id", "$comment", "examples", "deprecated", "readOnly"];
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// What the words for a number's width mean is said by its bounds.
const WIDTHS: [&str; 12] =
    ["int8", "int16", "int32", "int64", "int", "uint8", "uint16", "uint32", "uint64", "uint", "float", "double"];

/// The schema in a form that the API takes; none where a value can't be described so: anything goes, an open map, a
/// type that contains itself.
pub(super) fn enforceable(schema: &Value) -> Option<Value> {
    if runs_in_a_circle(schema, schema, &mut HashMap::new()) { None } else { convert(schema) }
}

fn convert(schema: &Value) -> Option<Value> {
    let schema = schema.as_object()?;
    let mut made = Map::new();
    let mut said = Vec::new();
    for (key, value) in schema {
        match key.as_str() {
            "properties" | "$defs" | "definitions" => {
                let inner: Option<Map<_, _>> =
                    value.as_object()?.iter().map(|(name, inner)| Some((name.clone(), convert(inner)?))).collect();
                made.insert(key.clone(), inner?.into());
            }
            "anyOf" | "oneOf" | "allOf" => {
                let inner: Option<Vec<_>> = value.as_array()?.iter().map(convert).collect();
                made.insert(if key == "oneOf" { "anyOf" } else { key }.to_owned(), inner?.into());
            }
            "items" => {
                made.insert(key.clone(), convert(value)?);
            }
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                made.insert(key.clone(), value.clone());
            }
            "format" if value.as_str().is_some_and(|format| WIDTHS.contains(&format)) => {}
            "minItems" if value.as_u64().is_some_and(|least| least <= 1) => {
                made.insert(key.clone(), value.clone());
            }
            key if KEPT.contains(&key) => {
                made.insert(key.to_owned(), value.clone());
            }
            key if DROPPED.contains(&key) => {}
            key => said.push(format!("{key}: {value}")),
        }
    }
    let describes = ["type", "enum", "const", "$ref", "anyOf", "allOf", "properties"];
    if !describes.iter().any(|key| made.contains_key(*key)) {
        return None;
    }
    let is_object = made.contains_key("properties") || mentions(made.get("type"), "object");
    if is_object {
        let is_open = schema.get("additionalProperties").is_some_and(|more| *more != json!(false));
        if is_open || !made.contains_key("properties") {
            return None;
        }
        made.insert("additionalProperties".to_owned(), json!(false));
    }
    if mentions(made.get("type"), "array") && !made.contains_key("items") {
        return None;
    }
    if !said.is_empty() {
        let before = made.get("description").and_then(Value::as_str).map(|text| format!("{text} ")).unwrap_or_default();
        made.insert("description".to_owned(), format!("{before}({})", said.join(", ")).into());
    }
    Some(made.into())
}

/// Whether a `type`, which is one name or a list of them, has that name.
fn mentions(kind: Option<&Value>, name: &str) -> bool {
    match kind {
        Some(Value::Array(names)) => names.iter().any(|one| one == name),
        Some(one) => one == name,
        None => false,
    }
}

/// Whether a reference can be followed back to itself, or leads out of the schema. `seen` holds the references that
/// were entered; true for those that were also left.
fn runs_in_a_circle<'a>(root: &'a Value, at: &'a Value, seen: &mut HashMap<&'a str, bool>) -> bool {
    match at {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                match seen.get(target) {
                    Some(true) => return false,
                    Some(false) => return true,
                    None => {}
                }
                let Some(found) = target.strip_prefix("#/").and_then(|_| root.pointer(&target[1..])) else {
                    return true;
                };
                seen.insert(target, false);
                if runs_in_a_circle(root, found, seen) {
                    return true;
                }
                seen.insert(target, true);
            }
            members.values().any(|inner| runs_in_a_circle(root, inner, seen))
        }
        Value::Array(items) => items.iter().any(|inner| runs_in_a_circle(root, inner, seen)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_move_into_the_description_and_widths_go() {
        let schema = json!({"type": "object", "properties": {
            "line": {"type": "integer", "format": "uint32", "minimum": 0, "description": "Where."},
            "name": {"type": ["string", "null"], "maxLength": 9, "format": "uuid"},
            "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        }, "required": ["line"], "$schema": "x"});
        assert_eq!(
            enforceable(&schema),
            Some(json!({"type": "object", "additionalProperties": false, "required": ["line"], "properties": {
                "line": {"type": "integer", "description": "Where. (minimum: 0)"},
                "name": {"type": ["string", "null"], "format": "uuid", "description": "(maxLength: 9)"},
                "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "(maxItems: 3)"},
            }}))
        );
    }

    #[test]
    fn one_of_becomes_any_of() {
        let schema = json!({"oneOf": [{"const": "low", "description": "Not much."}, {"type": "null"}]});
        let any_of = json!({"anyOf": [{"const": "low", "description": "Not much."}, {"type": "null"}]});
        assert_eq!(enforceable(&schema), Some(any_of));
    }

    #[test]
    fn maps_anything_and_types_that_contain_themselves_can_not_be_enforced() {
        for schema in [
            json!(true),
            json!({}),
            json!({"description": "anything"}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "additionalProperties": true}),
            json!({"type": "array"}),
            json!({"type": "object", "properties": {"any": true}}),
            json!({"type": "object", "properties": {"next": {"$ref": "#"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"$ref": "https://example.com/schema"}),
            json!({"$ref": "#/$defs/missing"}),
        ] {
            assert_eq!(enforceable(&schema), None, "{schema}");
        }
    }

    #[test]
    fn a_reference_used_twice_is_no_circle() {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"$ref": "#/$defs/t"}},
            "$defs": {"t": {"type": "string"}}});
        assert!(enforceable(&schema).is_some());
    }
}
