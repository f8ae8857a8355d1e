//! Questions, good and bad.

use convoke_sdk::bindings::convoke::plugin::types::{Event, Question, Reply};
use convoke_sdk::glue::RawTask;
use convoke_sdk::{AnsweredBy, Failure, Tier};

/// What a good answer looks like.
const SCHEMA: &str = r#"{"type":"object","properties":{"verdict":{"type":"string"}},"required":["verdict"],
    "additionalProperties":false}"#;

/// A question for free text, that falls back to `fallback`.
pub(crate) fn plain(prompt: &str) -> Question {
    Question {
        role: "code-reviewer".to_owned(),
        system: Some("You are asked by a test.".to_owned()),
        prompt: prompt.to_owned(),
        context: None,
        schema: None,
        tier: Tier::Auto,
        tools: Vec::new(),
        max_output_tokens: Some(1_000),
        priority: 4,
        repeatable: true,
        fallback: Some("nobody answered".to_owned()),
        extra: Vec::new(),
    }
}

/// The question of a behaviour.
pub(crate) fn of(behaviour: &str, prompt: &str) -> Question {
    let question = plain(prompt);
    let fallback = Some(r#"{"verdict":"nobody answered"}"#.to_owned());
    match behaviour {
        "ask-schema" => Question { schema: Some(SCHEMA.to_owned()), fallback, ..question },
        "ask-schema-alone" => Question { schema: Some(SCHEMA.to_owned()), fallback: None, ..question },
        "ask-not-json" => Question { schema: Some("{".to_owned()), ..question },
        "ask-no-schema" => Question { schema: Some(r#"{"type":"sandwich"}"#.to_owned()), fallback, ..question },
        "ask-remote-schema" => {
            Question { schema: Some(r#"{"$ref":"http://127.0.0.1:9/schema"}"#.to_owned()), fallback, ..question }
        }
        "ask-misfit" => {
            Question { schema: Some(SCHEMA.to_owned()), fallback: Some(r#"{"verdict":7}"#.to_owned()), ..question }
        }
        "ask-alone" => Question { fallback: None, ..question },
        "ask-once" => Question { repeatable: false, ..question },
        "ask-tools" => Question { tools: vec!["Bash".to_owned()], ..question },
        "ask-nothing" => Question { prompt: String::new(), ..question },
        "ask-huge" => Question { prompt: "huge ".repeat(4 << 20), ..question },
        _ => question,
    }
}

/// The reply in words.
pub(crate) fn told(reply: &Reply) -> String {
    let by = match &reply.by {
        AnsweredBy::Model(model) => format!("model {model}"),
        AnsweredBy::Cache(model) => format!("cache {model}"),
        AnsweredBy::Fallback(reason) => format!("fallback ({reason})"),
        AnsweredBy::Other(other) => other.clone(),
    };
    format!("{by}: {}", reply.text)
}

/// Asks and reads the answer while it comes. Says how it came.
pub(crate) async fn read_along(task: &RawTask, prompt: &str) -> Result<String, Failure> {
    let (mut events, reply) = task.open(plain(prompt)).await;
    let (mut pieces, mut text, mut restarts) = (0, String::new(), 0);
    while let Some(event) = events.next().await {
        match event {
            Event::Text(more) => {
                pieces += 1;
                text += &more;
            }
            Event::Restarted(_) => {
                restarts += 1;
                text.clear();
            }
            Event::Tool(_) | Event::Other(_) => {}
        }
    }
    let reply = reply.await?;
    let same = if text == reply.text { "the same" } else { "another" };
    let came = if pieces > 0 { "in pieces" } else { "at once" };
    Ok(format!("{came}, {restarts} restarts, {same} text as the reply: {}", told(&reply)))
}
