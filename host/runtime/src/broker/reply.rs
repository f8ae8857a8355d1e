//! What is told where no model was asked, or is asked again.

use super::*;

/// A kept answer, as a reply.
pub(super) fn from_cache(cached: &Cached, listener: Listener<'_>) -> Reply {
    listener(StreamEvent::Started);
    listener(StreamEvent::Text(cached.text.clone()));
    let by = AnsweredBy::Cache(cached.model.clone());
    Reply {
        text: cached.text.clone(),
        by,
        usage: Usage::default(),
        unasked_fallback: false,
        passing: false,
        edits: cached.edits.clone(),
    }
}

/// The question's own answer in place of a model's, where that may be.
pub(super) fn fallback(
    question: &Question,
    checker: Option<&Checker>,
    failure: Failure,
    unasked: bool,
    usage: Usage,
    listener: Listener<'_>,
) -> Result<Reply, Failure> {
    use FailureKind::{Cancelled, Denied, NotRecorded, Secret};
    let decided_by_others = matches!(failure.kind, Secret | Denied | Cancelled | NotRecorded);
    if decided_by_others || failure.kind.is_terminal() {
        return Err(failure);
    }
    let Some(text) = &question.fallback else { return Err(failure) };
    let text = match checker.map_or(Ok(text.as_str()), |checker| checker.check(text)) {
        Ok(text) => text.to_owned(),
        Err(fault) => {
            let message = format!("the question's fallback does not fit its own schema: {fault}");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
    };
    if unasked {
        listener(StreamEvent::Restarted(failure.message.clone()));
    }
    listener(StreamEvent::Text(text.clone()));
    let passing = unasked && (failure.kind.is_transient() || failure.kind == FailureKind::NoModel);
    let by = AnsweredBy::Fallback(failure.message);
    Ok(Reply { text, by, usage, unasked_fallback: unasked, passing, edits: Vec::new() })
}

/// The prompt that asks again, saying what was wrong.
pub(super) fn corrected_prompt(request: &Request, fault: &str) -> String {
    format!(
        "{}\n\nYou were asked this before, and {fault}. Answer again, with nothing but JSON that fits the schema, in at \
         most {} tokens.",
        request.prompt, request.max_output_tokens
    )
}
