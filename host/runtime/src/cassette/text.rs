//! Texts as they stand in a cassette: without credentials, a line a line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credentials;

/// Redacting can bring two halves of something together. So often it is looked again.
const ROUNDS: usize = 4;

/// A text that is readable in JSON, and differs line by line: one line is a string, more are a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// One line.
    Line(String),
    /// Several, without their ends.
    Lines(Vec<String>),
}

impl Text {
    /// A text without its credentials.
    pub fn of(text: &str) -> Self {
        let clean = scrubbed(text);
        if clean.contains('\n') {
            Self::Lines(clean.split('\n').map(str::to_owned).collect())
        } else {
            Self::Line(clean)
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::Lines(lines) => lines.join("\n"),
        }
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Line(line) => line.len(),
            Self::Lines(lines) => lines.iter().map(|line| line.len() + 1).sum(),
        }
    }
}

/// A text with each credential replaced, as a whole and in each of its lines: what is found depends on what stands
/// around it, and a cassette is read both ways. What is clean stays as it is.
pub fn scrubbed(text: &str) -> String {
    let mut clean = text.to_owned();
    for _ in 0..ROUNDS {
        let whole = credentials::redact(&clean);
        let next = whole.split('\n').map(credentials::redact).collect::<Vec<_>>().join("\n");
        if next == clean {
            break;
        }
        clean = next;
    }
    clean
}

/// Replaces the credentials in all strings of a value, names of members included.
pub fn scrub(value: &mut Value) {
    match value {
        Value::String(text) => *text = scrubbed(text),
        Value::Array(values) => values.iter_mut().for_each(scrub),
        Value::Object(members) => {
            if members.keys().any(|name| !credentials::find(name).is_empty()) {
                *members = std::mem::take(members).into_iter().map(|(name, value)| (scrubbed(&name), value)).collect();
            }
            members.values_mut().for_each(scrub);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The same value with the members of all objects in the order of their names.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.iter().map(canonical).collect()),
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Put together here, so that it stands in no file.
    fn secret() -> String {
        ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat()
    }

    #[test]
    fn a_text_is_a_line_or_a_list_of_lines_and_comes_back_as_it_was() {
        for text in ["", "one", "one\ntwo", "one\n", "\n", "one\r\ntwo\r\n"] {
            assert_eq!(Text::of(text).text(), text);
        }
        assert_eq!(serde_json::to_value(Text::of("one")).unwrap(), json!("one"));
        assert_eq!(serde_json::to_value(Text::of("one\ntwo\n")).unwrap(), json!(["one", "two", ""]));
    }

    #[test]
    fn a_credential_is_replaced_and_what_is_clean_stays() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDx7Kf2mQp9Zt4R\n".repeat(3);
        let key = ["-----BEGIN ", "PRIVATE KEY-----\n", &body, "-----END ", "PRIVATE KEY-----"].concat();
        for text in [format!("key: {}", secret()), format!("a = \"{}\"\nb", secret()), key] {
            let once = scrubbed(&text);
            assert!(once.contains("[redacted: ") && !once.contains(&secret()) && !once.contains("MIIEvQ"), "{once}");
            assert_eq!(once.matches('\n').count(), text.matches('\n').count(), "line numbers still hold");
            assert_eq!(scrubbed(&once), once);
        }
        assert_eq!(scrubbed("nothing here"), "nothing here");
        let mut value = json!({"a": [secret()], secret(): 1});
        scrub(&mut value);
        assert!(!value.to_string().contains(&secret()), "{value}");
    }

    proptest! {
        #[test]
        fn scrubbing_twice_is_scrubbing_once(text in "(password|token|api_key|x)?[ :=\"']{0,3}[A-Za-z0-9_/+\\n:@.-]{0,60}") {
            let once = scrubbed(&text);
            prop_assert_eq!(scrubbed(&once), once);
        }
    }
}
