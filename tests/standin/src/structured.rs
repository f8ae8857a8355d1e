//! Structured answers: which schemas are accepted.

use serde_json::{Map, Value};

/// What `output_config.format.schema` may not hold: the grammar that answers are held to doesn't know it.
const UNSUPPORTED: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "prefixItems",
    "patternProperties",
    "oneOf",
];

const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

const DEEPEST: usize = 32;

/// Whether a schema is accepted: each object closed, no keyword of [`UNSUPPORTED`], no unknown `format`.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    check_at(schema, 0)
}

fn check_at(schema: &Value, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("too deep".to_owned());
    }
    let Some(schema) = schema.as_object() else { return Err("every schema must be an object".to_owned()) };
    let kind = schema.get("type").map(Value::to_string).unwrap_or_default();
    if let Some(keyword) = UNSUPPORTED.iter().find(|keyword| schema.contains_key(**keyword)) {
        return Err(format!("For type {kind}, property '{keyword}' is not supported"));
    }
    if schema.get("minItems").is_some_and(|least| least.as_u64().is_none_or(|least| least > 1)) {
        return Err("For 'array' type, 'minItems' values other than 0 or 1 are not supported".to_owned());
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str).filter(|format| !FORMATS.contains(format)) {
        return Err(format!("format '{format}' is not supported"));
    }
    let is_object = schema.contains_key("properties") || kind == "\"object\"";
    if is_object && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err("For 'object' type, 'additionalProperties' must be explicitly set to false".to_owned());
    }
    for key in ["properties", "$defs", "definitions"] {
        for inner in schema.get(key).and_then(Value::as_object).into_iter().flat_map(Map::values) {
            check_at(inner, depth + 1)?;
        }
    }
    for key in ["anyOf", "allOf"] {
        for inner in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            check_at(inner, depth + 1)?;
        }
    }
    schema.get("items").map_or(Ok(()), |items| check_at(items, depth + 1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_with_bounds_open_objects_or_unknown_formats_are_refused() {
        let object =
            |inner: Value| json!({"type": "object", "additionalProperties": false, "properties": {"x": inner}});
        assert_eq!(check(&object(json!({"type": "integer"}))), Ok(()));
        for inner in [
            json!({"type": "integer", "minimum": 0}),
            json!({"type": "integer", "format": "uint32"}),
            json!({"type": "array", "minItems": 2, "items": {"type": "string"}}),
            json!({"oneOf": [{"type": "string"}]}),
            json!({"type": "object", "properties": {}}),
        ] {
            assert!(check(&object(inner.clone())).is_err(), "{inner}");
        }
    }
}
