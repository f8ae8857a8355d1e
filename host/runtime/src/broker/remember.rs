//! What earlier runs know: looking an answer up before asking, and keeping it after.
//!
//! The [cache on disk](crate::responses) can only help: whatever is wrong with it, the question is asked.

use super::*;
use crate::responses::Recalled;

impl Broker {
    /// Under which key the answer of the first candidate is kept; none: it is not.
    ///
    /// What a tool or an MCP server tells is no part of the key, so such answers are not kept.
    pub(super) fn lasting_key(&self, first: &Candidate) -> Option<Key> {
        self.config.responses.as_ref()?;
        if !first.request.tools.is_empty() || first.request.mcp.is_some() {
            return None;
        }
        let backend = &self.lane(first).backend;
        Some(Key::of(&first.request).at(backend.name(), backend.account()))
    }

    /// The answer of an earlier run, checked against the schema again.
    pub(super) async fn recall(&self, key: Option<Key>, checker: Option<&Checker>) -> Option<Cached> {
        let (responses, key) = (self.config.responses.as_ref()?, key?);
        match responses.recall(key).await {
            Recalled::Hit(cached) => match checker
                .map_or(Ok(cached.text.as_str()), |checker| checker.check(&cached.text))
            {
                Ok(text) => Some(Cached { text: text.to_owned(), model: cached.model, edits: Vec::new() }),
                Err(fault) => {
                    let message = "an answer in the response cache does not fit its question and is asked for again";
                    self.books.warn(format!("{message}: {fault}")).await;
                    None
                }
            },
            Recalled::Miss { warning } => {
                if let Some(warning) = warning {
                    self.books.warn(warning).await;
                }
                None
            }
        }
    }

    /// Keeps an answer for later runs, if it is what anybody who asks the same should get. Who asked need not wait for
    /// that: see [`remembered`](Self::remembered).
    pub(super) fn remember(&self, life: &Life<'_>, key: Option<Key>, cached: &Arc<Cached>) {
        let (Some(responses), Some(key), true) = (&self.config.responses, key, life.memorable) else { return };
        let (responses, cached, books) = (responses.clone(), Arc::clone(cached), Arc::clone(&self.books));
        self.keeping.spawn(async move {
            if let Some(warning) = responses.keep(key, &cached).await {
                books.warn(warning).await;
            }
        });
    }

    /// Returns when the answers so far are kept for later runs, or it was said that they can't be.
    pub async fn remembered(&self) {
        self.keeping.wait().await;
    }
}
