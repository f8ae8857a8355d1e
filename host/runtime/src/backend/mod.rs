//! The kinds of instances that answer questions.
//!
//! A backend starts instances; an instance answers one question at a time. Neither waits for quota nor tries again:
//! retries, limits and fallbacks have one owner, the [`broker`](crate::broker).

pub mod anthropic;
#[cfg(unix)]
pub mod claude_cli;
pub mod offline;
pub mod replay;
#[cfg(test)]
pub(crate) mod scripted;

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::question::{Failure, ProviderLimits, StreamEvent, Usage};
use crate::work::Edit;

/// A request as it is sent: the question after [`route`](crate::route) and [`scan`](crate::scan).
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The model's id.
    pub model: String,
    /// The instructions.
    pub system: String,
    /// What siblings have in common; goes before the prompt.
    pub context: Option<String>,
    /// What is asked.
    pub prompt: String,
    /// The JSON Schema of the answer.
    pub schema: Option<Value>,
    /// Claude's tools it may use.
    pub tools: Vec<String>,
    /// The tier's MCP servers, as the text of an `.mcp.json`.
    pub mcp: Option<String>,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
    /// The longest time from sending to the end of the answer.
    pub timeout: Duration,
    /// The longest time without a sign of life, once an answer has begun.
    pub stall: Duration,
}

impl Request {
    /// The bytes of its texts. A schema counts twice: it is sent, and the provider tells the model of it in words of its
    /// own.
    pub fn text_bytes(&self) -> u64 {
        let schema = self.schema.as_ref().map_or(0, |schema| schema.to_string().len());
        let texts = [self.system.len(), self.prompt.len(), 2 * schema];
        let optional = [&self.context, &self.mcp].into_iter().flatten().map(String::len);
        let tools = self.tools.iter().map(String::len);
        texts.into_iter().chain(optional).chain(tools).map(|bytes| bytes as u64).sum()
    }

    /// All that an instance may have to be started with.
    pub fn profile(&self) -> Profile {
        Profile {
            model: self.model.clone(),
            system: self.system.clone(),
            schema: self.schema.as_ref().map(Value::to_string),
            tools: self.tools.clone(),
            mcp: self.mcp.clone(),
            max_output_tokens: self.max_output_tokens,
        }
    }
}

/// What is fixed when an instance starts: only requests of equal profiles use the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The model's id.
    pub model: String,
    /// The instructions.
    pub system: String,
    /// The JSON Schema of the answers, as text.
    pub schema: Option<String>,
    /// Claude's tools.
    pub tools: Vec<String>,
    /// MCP servers.
    pub mcp: Option<String>,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
}

/// What an instance answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The text; with a schema: what should be JSON that fits it.
    pub text: String,
    /// The model that answered, as it calls itself.
    pub model: String,
    /// What it took. `usd` is left zero: the broker prices it.
    pub usage: Usage,
    /// Whether the answer ended because it had become too long.
    pub truncated: bool,
    /// The provider's limits.
    pub limits: Option<ProviderLimits>,
    /// What its tools would change in the project, which they have not touched.
    pub edits: Vec<Edit>,
}

/// Hears the pieces of an answer while they come.
pub type Listener<'a> = &'a mut (dyn FnMut(StreamEvent) + Send);

/// One Claude that answers questions, one at a time.
pub trait Instance: Send {
    /// Answers. Dropping the future gives the question up; the instance is then not reused.
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Whether it may answer another question although the last one failed: it has told the failure itself, and will
    /// show that it has forgotten the question when it is asked whether it is [`ready`](Self::ready).
    fn survived(&self) -> bool {
        false
    }

    /// Cancelled as soon as it has ended by itself, idle or not; none: it can't end by itself.
    fn ended(&self) -> Option<CancellationToken> {
        None
    }

    /// Waits until it can answer another question, with nothing left of the last one. False: it can't any more, or
    /// should not, because it is worn out; another is started in its place.
    fn ready(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// A kind of instance.
pub trait Backend: Send + Sync {
    /// The name in reports and options: `anthropic`.
    fn name(&self) -> &'static str;

    /// Whether a model answers. The offline backend has none: a question's fallback is what was asked for then.
    fn has_model(&self) -> bool {
        true
    }

    /// Whether it gives recorded answers: nothing is sent, nothing is paid, and what it fails with is how a question
    /// ended, so that nobody is asked again.
    fn replays(&self) -> bool {
        false
    }

    /// Whose quota is used, without telling a credential: limits are kept by it.
    fn account(&self) -> &str;

    /// What must be equal for two requests to be able to use the same instance. By default nothing: any instance
    /// answers any request.
    fn profile(&self, request: &Request) -> Profile {
        let _ = request;
        Profile::default()
    }

    /// Whether the provider caches what requests begin with, and one should go ahead to fill that cache.
    fn caches_prompts(&self) -> bool {
        false
    }

    /// The bytes of all that a request sends as input: no input has more tokens than bytes, so that with what the provider
    /// adds by itself this bounds what it can cost. A backend that sends texts of its own counts them too.
    fn input_bytes(&self, request: &Request) -> u64 {
        request.text_bytes()
    }

    /// Whether questions are paid by a subscription: dollars are then what they would cost at list price, and not billed.
    /// They count for budgets all the same.
    fn is_subscription(&self) -> bool {
        false
    }

    /// Whether an instance is a process of its own: so many are started in a second, by all processes of the user.
    fn starts_processes(&self) -> bool {
        false
    }

    /// Starts an instance.
    fn start<'a>(&'a self, profile: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>>;

    /// Whether one more instance would leave too little memory: an idle one should go first.
    fn is_short_of_memory(&self) -> bool {
        false
    }

    /// Waits until the instances that were dropped have ended.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
