//! Secrets in what would be sent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::backend::Request;
use crate::credentials;
use crate::question::{Failure, FailureKind};

/// What a secret in a question leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScanMode {
    /// The question is not sent, and the run stops. (Mode `safe`.)
    Strict,
    /// It is redacted, and the user told. (Mode `balanced`.)
    #[default]
    Standard,
    /// The user is told. (Mode `performance`.)
    Basic,
}

/// What a scan found: kinds of secrets and where they stood, never the secrets themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    kinds: BTreeSet<&'static str>,
    places: BTreeSet<&'static str>,
    /// Where the first one stands, and in which line of that, counted from 1.
    first: Option<(&'static str, usize)>,
    redacted: bool,
}

impl Found {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The kinds of secrets.
    pub fn kinds(&self) -> Vec<String> {
        self.kinds.iter().map(|&kind| kind.to_owned()).collect()
    }

    /// The parts of the request in which they stood.
    pub fn places(&self) -> Vec<String> {
        self.places.iter().map(|&place| place.to_owned()).collect()
    }

    /// Why it is not sent; none: it is.
    pub fn refusal(&self, mode: ScanMode) -> Option<Failure> {
        if mode != ScanMode::Strict || self.kinds.is_empty() {
            return None;
        }
        let (kinds, places) = (list(&self.kinds), list(&self.places));
        let line =
            self.first.map_or_else(String::new, |(place, line)| format!(", first in line {line} of the {place}"));
        Some(Failure::new(
            FailureKind::Secret,
            format!(
                "not sent: a secret ({kinds}) in the {places}{line}. Remove it, or choose a mode that redacts secrets"
            ),
        ))
    }

    /// A sentence for the user; none: nothing was found.
    pub fn warning(&self) -> Option<String> {
        if self.kinds.is_empty() {
            return None;
        }
        let end = if self.redacted { "was redacted before sending" } else { "was sent as it is" };
        Some(format!("a secret ({}) in the {} {end}", list(&self.kinds), list(&self.places)))
    }
}

fn list(words: &BTreeSet<&'static str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Looks for secrets in all texts of a request, and redacts them where the mode says so.
///
/// # Errors
/// In mode [`ScanMode::Strict`]: [`FailureKind::Secret`], naming kinds and places.
pub fn scan(mode: ScanMode, request: &mut Request) -> Result<Found, Failure> {
    let found = find(mode, request);
    found.refusal(mode).map_or(Ok(found), Err)
}

/// As [`scan`], where it is said first what was found: see [`Found::refusal`].
pub fn find(mode: ScanMode, request: &mut Request) -> Found {
    let mut found = Found { redacted: mode == ScanMode::Standard, ..Found::default() };
    look(&mut request.system, "instructions", &mut found);
    if let Some(context) = &mut request.context {
        look(context, "context", &mut found);
    }
    look(&mut request.prompt, "prompt", &mut found);
    if let Some(schema) = &mut request.schema {
        look_in_value(schema, &mut found);
    }
    found
}

fn look(text: &mut String, place: &'static str, found: &mut Found) {
    let secrets = credentials::find(text);
    if secrets.is_empty() {
        return;
    }
    found.kinds.extend(secrets.iter().map(|secret| secret.kind));
    found.places.insert(place);
    if found.first.is_none() {
        let before = secrets.first().and_then(|secret| text.get(..secret.range.start)).unwrap_or_default();
        found.first = Some((place, before.matches('\n').count() + 1));
    }
    if found.redacted
        && let Cow::Owned(redacted) = credentials::without(text, &secrets)
    {
        *text = redacted;
    }
}

fn look_in_value(value: &mut Value, found: &mut Found) {
    match value {
        Value::String(text) => look(text, "schema", found),
        Value::Array(values) => values.iter_mut().for_each(|value| look_in_value(value, found)),
        Value::Object(members) => {
            *members = std::mem::take(members)
                .into_iter()
                .map(|(mut name, mut value)| {
                    look(&mut name, "schema", found);
                    look_in_value(&mut value, found);
                    (name, value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Question;
    use crate::route::Route;

    /// Put together here, so that it stands in no file.
    fn secret() -> String {
        ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat()
    }

    fn request(prompt: &str) -> Request {
        Route::default().request(&Question { prompt: prompt.to_owned(), ..Question::default() })
    }

    #[test]
    fn strict_sends_nothing_and_names_the_kind_but_not_the_secret() {
        let mut request = request(&format!("one line\nkey {}", secret()));
        let failure = scan(ScanMode::Strict, &mut request).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Secret);
        assert!(failure.message.contains("aws-access-key-id") && failure.message.contains("prompt"), "{failure}");
        assert!(failure.message.contains("first in line 2 of the prompt"), "{failure}");
        assert!(!failure.message.contains(&secret()));
    }

    #[test]
    fn standard_redacts_everywhere_and_says_so() {
        let mut request = request(&format!("key {}", secret()));
        request.context = Some(secret());
        request.system = secret();
        request.schema = Some(serde_json::json!({"properties": {"a": {"enum": ["x", secret()]}, secret(): {}}}));
        let warning = scan(ScanMode::Standard, &mut request).unwrap().warning().unwrap();
        assert!(warning.contains("context, instructions, prompt, schema was redacted"), "{warning}");
        assert!(!format!("{request:?}{warning}").contains(&secret()));
        assert!(request.prompt.starts_with("key "));
    }

    #[test]
    fn what_stands_behind_a_colour_is_found_and_the_colour_is_sent() {
        let text = format!("\u{1b}[1m{}\u{1b}[0m", secret());
        assert!(scan(ScanMode::Strict, &mut request(&text)).is_err());
        let mut request = request(&text);
        scan(ScanMode::Standard, &mut request).unwrap();
        assert_eq!(request.prompt, "\u{1b}[1m[redacted: aws-access-key-id]\u{1b}[0m");
    }

    #[test]
    fn basic_sends_it_and_says_so() {
        let mut request = request(&secret());
        let warning = scan(ScanMode::Basic, &mut request).unwrap().warning().unwrap();
        assert!(warning.contains("was sent as it is"), "{warning}");
        assert_eq!(request.prompt, secret());
    }

    #[test]
    fn where_there_is_nothing_nothing_is_said() {
        for mode in [ScanMode::Strict, ScanMode::Standard, ScanMode::Basic] {
            let mut request = request("nothing to see");
            assert_eq!(scan(mode, &mut request).unwrap().warning(), None);
        }
    }
}
