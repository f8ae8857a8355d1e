//! Questions and answers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::bindings::convoke::plugin::types as wit;
use crate::task::json;
use crate::{AnsweredBy, Source, Tier, Usage};

/// What is asked of Claude. Ask it with [`Task::ask`](crate::Task::ask).
#[derive(Clone, Debug)]
pub struct Question {
    raw: wit::Question,
}

impl Question {
    /// A question for a role, in kebab case: `code-reviewer`.
    pub fn new(role: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            raw: wit::Question {
                role: role.into(),
                system: None,
                prompt: prompt.into(),
                context: None,
                schema: None,
                tier: Tier::Auto,
                tools: Vec::new(),
                max_output_tokens: None,
                priority: 4,
                repeatable: true,
                fallback: None,
                extra: Vec::new(),
            },
        }
    }

    /// The instructions. Without them, the host's own for the role.
    pub fn system(mut self, system: impl Into<String>) -> Self {
        self.raw.system = Some(system.into());
        self
    }

    /// A text that many questions have in common. It is paid for once, where the backend can cache it.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.raw.context = Some(context.into());
        self
    }

    /// Which kind of instance answers.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.raw.tier = tier;
        self
    }

    /// Claude's tools that it needs. Each must be granted.
    pub fn tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.raw.tools = tools.into_iter().map(Into::into).collect();
        self
    }

    /// The longest answer, in tokens.
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.raw.max_output_tokens = Some(tokens);
        self
    }

    /// From 0 to 9, 4 is usual. Higher goes first.
    pub fn priority(mut self, priority: u8) -> Self {
        self.raw.priority = priority;
        self
    }

    /// It must not be asked twice, nor answered from the cache.
    pub fn once(mut self) -> Self {
        self.raw.repeatable = false;
        self
    }

    /// The answer to use when no model can be had: what the plugin could find out by itself.
    pub fn fallback<T: Serialize>(mut self, answer: &T) -> Self {
        self.raw.fallback = Some(json(answer));
        self
    }

    /// As [`fallback`](Self::fallback), for [`Task::ask_text`](crate::Task::ask_text).
    pub fn fallback_text(mut self, answer: impl Into<String>) -> Self {
        self.raw.fallback = Some(answer.into());
        self
    }

    pub(crate) fn with_schema<T: JsonSchema>(mut self) -> wit::Question {
        self.raw.schema = Some(json(&answer_schema::<T>()));
        self.raw
    }

    pub(crate) fn with_schema_text(mut self, schema: &str) -> wit::Question {
        self.raw.schema = Some(schema.to_owned());
        self.raw
    }

    pub(crate) fn free(mut self) -> wit::Question {
        self.raw.schema = None;
        self.raw
    }
}

/// The schema of an answer: every object closed, as structured output demands.
fn answer_schema<T: JsonSchema>() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(schemars::transform::RecursiveTransform(|schema: &mut schemars::Schema| {
            if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
                schema.insert("additionalProperties".to_owned(), false.into());
            }
        }))
        .into_generator()
        .into_root_schema_for::<T>()
}

/// The schema that goes with a question whose answer is a `T`, as the text of a file that
/// [`Task::ask_by_schema`](crate::Task::ask_by_schema) is given. For the test that compares the two.
pub fn schema_text<T: JsonSchema>() -> String {
    let mut text = serde_json::to_string_pretty(&answer_schema::<T>()).unwrap_or_default();
    text.push('\n');
    text
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer itself.
    pub value: T,
    /// Who gave it.
    pub by: AnsweredBy,
    /// What it cost.
    pub usage: Usage,
}

impl<T> Answer<T> {
    /// Whether a model gave it, now or earlier; else it is the question's own fallback.
    pub fn is_from_model(&self) -> bool {
        matches!(self.by, AnsweredBy::Model(_) | AnsweredBy::Cache(_))
    }

    /// What a finding made of this answer says about its source.
    pub fn source(&self) -> Source {
        if self.is_from_model() { Source::Model } else { Source::Rule }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Inner {
        line: u32,
    }

    #[derive(Serialize, JsonSchema)]
    struct Outer {
        /// What was found.
        found: Vec<Inner>,
    }

    #[test]
    fn an_answers_schema_is_one_text_with_closed_objects() {
        let schema = serde_json::to_value(answer_schema::<Outer>()).expect("JSON");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["found"]["items"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["found"]["description"], "What was found.");
        assert!(!schema.to_string().contains("$ref"));
        let text = schema_text::<Outer>();
        assert_eq!(
            (serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), text.ends_with("}\n")),
            (schema, true)
        );
    }
}
