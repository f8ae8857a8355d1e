//! Cassettes: questions with what came of them, so that a run can be done again without a model.
//!
//! [`Tape`] writes them down while a [`broker`](crate::broker) asks; the backend [`replay`](crate::backend::replay)
//! answers from them. A cassette is found by all that was sent. Credentials are never in one: what is compared is
//! compared without them.

mod tape;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::backend::Request;
use crate::cache::Cached;
use crate::question::{Failure, FailureKind, Usage};
use crate::work::Edit;

pub use tape::{Asked, MOST_BYTES, Tape, TooMuch};
pub use text::{Text, scrub, scrubbed};

/// What was sent. MCP servers are not in it: their configuration may hold what is nobody's business, and belongs to the
/// tier rather than to the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The model that it went to first.
    pub model: String,
    /// The instructions.
    pub system: Text,
    /// What siblings have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Text>,
    /// What is asked.
    pub prompt: Text,
    /// The JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Claude's tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
}

/// A digest of what was sent: equal for equal questions, whatever the order of members in their schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SentKey([u8; 32]);

impl SentKey {
    /// In hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sent {
    /// What a request sends, without its credentials.
    pub fn of(request: &Request) -> Self {
        let schema = request.schema.clone().map(|mut schema| {
            scrub(&mut schema);
            schema
        });
        Self {
            model: scrubbed(&request.model),
            system: Text::of(&request.system),
            context: request.context.as_deref().map(Text::of),
            prompt: Text::of(&request.prompt),
            schema,
            tools: request.tools.iter().map(|tool| scrubbed(tool)).collect(),
            max_output_tokens: request.max_output_tokens,
        }
    }

    /// Its digest.
    pub fn key(&self) -> SentKey {
        let mut digest = Sha256::new();
        for (name, part) in self.parts() {
            for text in [name, part.as_str()] {
                digest.update((text.len() as u64).to_le_bytes());
                digest.update(text.as_bytes());
            }
        }
        SentKey(digest.finalize().into())
    }

    /// Its parts as texts, by their names. An absent one is not among them.
    pub(crate) fn parts(&self) -> Vec<(&'static str, String)> {
        let mut parts = vec![("model", self.model.clone()), ("system", self.system.text())];
        parts.extend(self.context.as_ref().map(|context| ("context", context.text())));
        parts.push(("prompt", self.prompt.text()));
        // A value of JSON always serialises.
        let pretty = |schema: &Value| serde_json::to_string_pretty(&text::canonical(schema)).unwrap_or_default();
        parts.extend(self.schema.as_ref().map(|schema| ("schema", pretty(schema))));
        if !self.tools.is_empty() {
            parts.push(("tools", self.tools.join("\n")));
        }
        parts.push(("max_output_tokens", self.max_output_tokens.to_string()));
        parts
    }

    fn bytes(&self) -> usize {
        self.parts().iter().map(|(_, part)| part.len()).sum()
    }
}

/// What came back: a text, JSON, or a failure; one of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Came {
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Its answer, where it is JSON that is written the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// What it changed in its copy of the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Edit>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failed>,
    /// What it took then. A replay takes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Why there was no answer, when all attempts were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// The kind.
    pub kind: FailureKind,
    /// The words.
    pub message: Text,
    /// How long the server wanted to be left alone, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// Whether the model may have got it.
    #[serde(default)]
    pub reached_model: bool,
}

impl Came {
    /// From what became of a question.
    pub fn of(result: Result<&Cached, &Failure>, usage: Usage) -> Self {
        let usage = (usage != Usage::default()).then_some(usage);
        match result {
            Ok(Cached { text, model, edits }) => {
                let text = scrubbed(text);
                let json = serde_json::from_str::<Value>(&text).ok();
                let json = json.filter(|json| !json.is_null() && format!("{json}") == text);
                let text = json.is_none().then(|| Text::of(&text));
                let edits = edits.iter().filter_map(clean_edit).collect();
                Self { model: Some(scrubbed(model)), text, json, edits, failure: None, usage }
            }
            Err(failure) => {
                let failed = Failed {
                    kind: failure.kind.clone(),
                    message: Text::of(&failure.message),
                    retry_after_s: failure.retry_after.map(|wait| wait.as_secs()),
                    reached_model: failure.reached_model,
                };
                Self { failure: Some(failed), usage, ..Self::default() }
            }
        }
    }

    /// What it says: the answer's text and model, or the failure.
    ///
    /// # Errors
    /// It holds none of the three, or more than one; in words.
    pub fn result(&self) -> Result<Result<Cached, Failure>, &'static str> {
        match (&self.text, &self.json, &self.failure) {
            (Some(text), None, None) => Ok(Ok(self.cached(text.text()))),
            (None, Some(json), None) => Ok(Ok(self.cached(json.to_string()))),
            (None, None, Some(failed)) => Ok(Err(Failure {
                retry_after: failed.retry_after_s.map(Duration::from_secs),
                reached_model: failed.reached_model,
                ..Failure::new(failed.kind.clone(), failed.message.text())
            })),
            _ => Err("an answer has one of `text`, `json` and `failure`"),
        }
    }

    fn cached(&self, text: String) -> Cached {
        Cached { text, model: self.model.clone().unwrap_or_default(), edits: self.edits.clone() }
    }

    fn bytes(&self) -> usize {
        let json = self.json.as_ref().map_or(0, |json| json.to_string().len());
        let failure = self.failure.as_ref().map_or(0, |failed| failed.message.bytes());
        let edits: usize = self.edits.iter().map(|edit| format!("{edit:?}").len()).sum();
        self.text.as_ref().map_or(0, Text::bytes) + json + failure + edits
    }
}

/// An edit without credentials. Only its strings change, so it is always an edit again.
fn clean_edit(edit: &Edit) -> Option<Edit> {
    let mut value = serde_json::to_value(edit).ok()?;
    scrub(&mut value);
    serde_json::from_value(value).ok()
}

/// A question, and what came of it each time that it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cassette {
    /// For which item; of several, the first by name.
    pub item: String,
    /// Who was asked.
    pub role: String,
    /// What was sent.
    pub request: Sent,
    /// What came back, in the order of asking.
    pub answers: Vec<Came>,
}

impl Cassette {
    /// Checks what reading it as JSON can't.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        if self.answers.is_empty() {
            return Err("it has no answers".to_owned());
        }
        for (number, answer) in self.answers.iter().enumerate() {
            let _ = answer.result().map_err(|fault| format!("answers[{number}]: {fault}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::question::Question;
    use crate::route::Route;

    fn request(prompt: &str) -> Request {
        Route::default().request(&Question { prompt: prompt.to_owned(), ..Question::default() })
    }

    #[test]
    fn each_part_of_a_question_counts_and_the_order_of_members_does_not() {
        let base = request("a");
        let schema = |text: &str| Some(serde_json::from_str(text).unwrap());
        let variants = [
            base.clone(),
            request("b"),
            Request { model: "other".to_owned(), ..base.clone() },
            Request { system: "other".to_owned(), ..base.clone() },
            Request { context: Some(String::new()), ..base.clone() },
            Request { schema: schema(r#"{"a":1,"b":2}"#), ..base.clone() },
            Request { tools: vec!["Read".to_owned()], ..base.clone() },
            Request { max_output_tokens: 7, ..base.clone() },
        ];
        let keys: std::collections::BTreeSet<SentKey> = variants.iter().map(|one| Sent::of(one).key()).collect();
        assert_eq!(keys.len(), variants.len());
        let turned = Request { schema: schema(r#"{"b":2,"a":1}"#), ..base.clone() };
        assert_eq!(Sent::of(&turned).key(), Sent::of(&variants[5]).key());
        let slower = Request { timeout: Duration::ZERO, mcp: Some("{}".to_owned()), ..base.clone() };
        assert_eq!(Sent::of(&slower).key(), Sent::of(&base).key());
    }

    #[test]
    fn an_answer_and_a_failure_come_back_as_they_were() {
        for text in ["plain\ntext", r#"{"verdict":"good"}"#, "{ \"spaced\": 1 }", "null", "7"] {
            let cached = Cached { text: text.to_owned(), model: "m".to_owned(), edits: Vec::new() };
            let came = Came::of(Ok(&cached), Usage::default());
            let written = serde_json::to_string(&came).unwrap();
            assert_eq!(serde_json::from_str::<Came>(&written).unwrap().result(), Ok(Ok(cached)), "{written}");
        }
        let failure = Failure {
            reached_model: true,
            retry_after: Some(Duration::from_secs(9)),
            ..Failure::new(FailureKind::LimitReached { until: None }, "spent")
        };
        let written = serde_json::to_string(&Came::of(Err(&failure), Usage::default())).unwrap();
        assert_eq!(serde_json::from_str::<Came>(&written).unwrap().result(), Ok(Err(failure)));
    }

    #[test]
    fn an_answer_without_content_is_told_with_its_place() {
        let cassette = Cassette {
            item: "a".to_owned(),
            role: "r".to_owned(),
            request: Sent::of(&request("a")),
            answers: vec![Came { json: Some(json!(1)), ..Came::default() }, Came::default()],
        };
        assert!(cassette.check().unwrap_err().starts_with("answers[1]: "));
    }
}
