//! The published shape of `policy.toml`.

use convoke_runtime::policy::Profile;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::toml::MODES;
use crate::config::VERSION;

/// The JSON Schema (draft 2020-12) of a `policy.toml`, for editors. `convoke schema policy` prints it. That numbers fit
/// together is for `convoke policy check`.
pub fn policy() -> Value {
    let schema = SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<Profile>();
    let mut whole = schema.to_value();
    let tables = whole.get("properties").cloned().unwrap_or_else(|| Map::new().into());
    let mut properties = Map::new();
    properties.insert("version".to_owned(), json!({"description": "The version of the file.", "const": VERSION}));
    for (key, longest, what) in [("name", 64, "What it is called."), ("description", 500, "What it is for.")] {
        properties.insert(key.to_owned(), json!({"description": what, "type": "string", "maxLength": longest}));
    }
    properties.extend(tables.as_object().cloned().unwrap_or_default());
    for (mode, _) in MODES {
        let what = format!("Numbers in the mode {mode}, over those of all modes.");
        let table = json!({
            "description": what, "type": "object", "properties": tables, "additionalProperties": false,
        });
        properties.insert(mode.to_owned(), table);
    }
    if let Some(members) = whole.as_object_mut() {
        members.insert("title".to_owned(), "A policy.toml of convoke".into());
        members.insert("description".to_owned(), "The numbers of the built-in policy.".into());
        members.insert("properties".to_owned(), properties.into());
        members.insert("additionalProperties".to_owned(), false.into());
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::documented_example;

    #[test]
    fn the_documented_example_fits_and_a_mistyped_key_does_not() {
        let schema = policy();
        assert!(jsonschema::meta::is_valid(&schema), "{schema:#}");
        let validator = jsonschema::validator_for(&schema).unwrap();
        let fits = |text: &str| {
            let value: toml::Table = toml::from_str(text).unwrap();
            validator.is_valid(&serde_json::to_value(value).unwrap())
        };
        assert!(fits(&documented_example(include_str!("toml.rs"))));
        for wrong in ["[admt]\n", "[admit]\nper_minuet = 1\n", "[safe.admit]\nper_minuet = 1\n", "version = 2\n"] {
            assert!(!fits(wrong), "{wrong}");
        }
    }
}
