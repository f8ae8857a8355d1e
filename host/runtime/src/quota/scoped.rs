//! Quotas that the user sets: what some of the questions may take in a time.
//!
//! A question takes from all quotas that match it, and from its account's, or waits and takes from none. One quota has
//! one bucket of each kind, whoever takes from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Cost;
use super::rate::Size;
use crate::money::Usd;

/// What a model is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelClass {
    /// The largest.
    Opus,
    /// The middle one.
    Sonnet,
    /// The smallest.
    Haiku,
    /// None of them.
    Other,
}

impl ModelClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Opus, Self::Sonnet, Self::Haiku, Self::Other];

    /// That of a model: `claude-opus-4-1` is an opus.
    pub fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let named = [Self::Opus, Self::Sonnet, Self::Haiku].into_iter().find(|class| model.contains(class.name()));
        named.unwrap_or(Self::Other)
    }

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Sonnet => "sonnet",
            Self::Haiku => "haiku",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ModelClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which questions take from a quota: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The backend's name, or its account.
    pub account: Option<String>,
    /// What the model is.
    pub model: Option<ModelClass>,
    /// The command that asks.
    pub command: Option<String>,
    /// The plugin that asks.
    pub plugin: Option<String>,
}

/// Who asks whom.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// Its account.
    pub account: &'a str,
    /// The model's name.
    pub model: &'a str,
    /// The command that asks.
    pub command: &'a str,
    /// The plugin that asks.
    pub plugin: &'a str,
}

/// What the questions of a scope may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopedQuota {
    /// By which it is told apart from all others of the user.
    pub name: Arc<str>,
    /// Who takes from it.
    pub scope: Scope,
    /// Requests in a period; none here and below: unlimited.
    pub requests: Option<u64>,
    /// Input tokens, those read from the provider's cache not counted.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Dollars at list price.
    pub usd: Option<Usd>,
    /// The period: how long an empty bucket takes to fill.
    pub per: Duration,
}

/// The quotas of a user.
pub type ScopedQuotas = Arc<[Arc<ScopedQuota>]>;

/// How many kinds of buckets there are.
pub(crate) const KINDS: usize = 4;

/// What they are called.
pub(crate) const KIND_NAMES: [&str; KINDS] = ["requests", "input tokens", "output tokens", "usd"];

impl ScopedQuota {
    /// Whether a question takes from it.
    pub fn applies(&self, to: &Asking<'_>) -> bool {
        let Scope { account, model, command, plugin } = &self.scope;
        account.as_deref().is_none_or(|account| account == to.backend || account == to.account)
            && model.is_none_or(|class| class == ModelClass::of(to.model))
            && command.as_deref().is_none_or(|command| command == to.command)
            && plugin.as_deref().is_none_or(|plugin| plugin == to.plugin)
    }

    /// Its buckets, by their kind.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (usize, Size)> + '_ {
        let amounts = [self.requests, self.input_tokens, self.output_tokens, self.usd.map(Usd::pico)];
        let sizes = amounts.into_iter().enumerate();
        sizes.filter_map(|(kind, amount)| Some((kind, Size { amount: amount?, per: self.per })))
    }

    /// Its buckets: what each counts, and its size; dollars in picodollars.
    pub fn buckets(&self) -> impl Iterator<Item = (&'static str, Size)> + '_ {
        self.sizes().map(|(kind, size)| (KIND_NAMES[kind], size))
    }

    /// The name of a bucket, in what is written down.
    pub(crate) fn key(&self, kind: usize) -> String {
        format!("quota/{}/{}", self.name, KIND_NAMES.get(kind).copied().unwrap_or_default())
    }
}

/// What a question takes of each kind.
pub(crate) fn parts(cost: Cost, usd: Usd) -> [u64; KINDS] {
    [cost.requests, cost.input_tokens, cost.output_tokens, usd.pico()]
}

/// Those that a question takes from.
pub fn matching(quotas: &ScopedQuotas, asking: &Asking<'_>) -> Vec<Arc<ScopedQuota>> {
    quotas.iter().filter(|quota| quota.applies(asking)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(scope: Scope) -> ScopedQuota {
        ScopedQuota {
            name: "x".into(),
            scope,
            requests: Some(1),
            input_tokens: None,
            output_tokens: None,
            usd: None,
            per: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_models_class_is_in_its_name() {
        let classes = ["claude-opus-4-1", "claude-3-5-sonnet", "Claude-Haiku-5", "gpt"].map(ModelClass::of);
        assert_eq!(classes, ModelClass::ALL);
    }

    #[test]
    fn a_question_takes_from_all_that_match_it_in_everything() {
        let asking = Asking {
            backend: "anthropic",
            account: "a1b2",
            model: "claude-opus-4-1",
            command: "audit",
            plugin: "agent-audit",
        };
        let text = |text: &str| Some(text.to_owned());
        let opus = Some(ModelClass::Opus);
        for (scope, expected) in [
            (Scope::default(), true),
            (Scope { account: text("anthropic"), ..Scope::default() }, true),
            (Scope { account: text("a1b2"), model: opus, ..Scope::default() }, true),
            (Scope { account: text("claude-cli"), model: opus, ..Scope::default() }, false),
            (Scope { command: text("audit"), plugin: text("agent-audit"), ..Scope::default() }, true),
            (Scope { command: text("docs"), ..Scope::default() }, false),
            (Scope { model: Some(ModelClass::Haiku), ..Scope::default() }, false),
        ] {
            assert_eq!(quota(scope.clone()).applies(&asking), expected, "{scope:?}");
        }
    }
}
