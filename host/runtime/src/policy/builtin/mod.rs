//! The built-in policy: a function for each decision, and the numbers that it goes by.

mod admit;
mod during;
mod route;
mod watch;

use convoke_policy::{Facts, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use admit::{AdmitProfile, Outside, admit};
pub use during::{During, Hours, NotHours, Weekday};
pub use route::{RouteProfile, RouteRule, RuleTier, route};
pub use watch::{WatchProfile, watch};

/// The numbers of the built-in policy: those of a mode, changed by a `policy.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Which tier a question goes to.
    pub route: RouteProfile,
    /// When a question may line up.
    pub admit: AdmitProfile,
    /// When an answer is ended.
    pub watch: WatchProfile,
}

/// A number that makes no sense, or not together with another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Wrong {
    /// The number, by its place in a `policy.toml`: `admit.per_minute`, `route.rules.0.hours`.
    pub key: String,
    /// What is wrong, and what it can be.
    pub why: String,
}

impl Wrong {
    /// At this key.
    pub fn new(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into() }
    }
}

impl Profile {
    /// The numbers of a mode, where nothing changes them.
    pub fn of(_mode: Mode) -> Self {
        Self::default()
    }

    /// Whether the numbers make sense, each and together.
    ///
    /// # Errors
    /// The first that doesn't.
    pub fn check(&self) -> Result<(), Wrong> {
        self.route.check()?;
        self.admit.check()?;
        self.watch.check()
    }

    /// What the built-in policy decides by these numbers, put among the facts.
    pub fn decide(&self, facts: &mut Facts) {
        match facts {
            Facts::Route(facts) => facts.built_in = route(&self.route, facts),
            Facts::Admit(facts) => facts.built_in = admit(&self.admit, facts),
            Facts::Watch(facts) => facts.built_in = watch(&self.watch, facts),
            // Not set by numbers: what is among the facts holds.
            Facts::Size(_) | Facts::Recover(_) | Facts::Adapt(_) => {}
        }
    }
}

/// Whether a name is among those that a rule names; no names: any is.
fn is_among(name: &str, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|one| one == name)
}

/// Whether a number can be: a whole one from 1 to the most, if there is one.
fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: Option<T>, least: T, most: T) -> Result<(), Wrong> {
    match value {
        // Written so that what is not a number is refused too.
        Some(value) if !(value >= least && value <= most) => {
            Err(Wrong::new(key, format!("it is {value}; it can be {least} to {most}")))
        }
        _ => Ok(()),
    }
}
