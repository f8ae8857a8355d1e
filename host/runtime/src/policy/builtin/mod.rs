//! The built-in policy: a function for each decision, and the numbers that it goes by.

mod adapt;
mod admit;
mod during;
mod recover;
mod route;
mod size;
mod watch;

use convoke_policy::{Facts, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adapt::{AdaptProfile, adapt};
pub use admit::{AdmitProfile, Outside, admit};
pub use during::{During, Hours, NotHours, Weekday};
pub use recover::{HedgeProfile, PartialProfile, RecoverProfile, recover};
pub use route::{RouteProfile, RouteRule, RuleTier, route};
pub use size::{SizeProfile, cap_by_machine, size};
pub use watch::{WatchProfile, watch};

/// The numbers of the built-in policy: those of a mode, changed by a `policy.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// How many workers a command gets.
    pub size: SizeProfile,
    /// Which tier a question goes to.
    pub route: RouteProfile,
    /// When a question may line up.
    pub admit: AdmitProfile,
    /// What is done after a failure.
    pub recover: RecoverProfile,
    /// How many questions may be in flight.
    pub adapt: AdaptProfile,
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
    pub fn of(mode: Mode) -> Self {
        Self { size: SizeProfile::of(mode), adapt: AdaptProfile::of(mode), ..Self::default() }
    }

    /// Whether the numbers make sense, each and together.
    ///
    /// # Errors
    /// The first that doesn't.
    pub fn check(&self) -> Result<(), Wrong> {
        self.size.check("size")?;
        self.route.check()?;
        self.admit.check()?;
        self.recover.check()?;
        self.adapt.check()?;
        self.watch.check()
    }

    /// What the built-in policy decides by these numbers, put among the facts.
    pub fn decide(&self, facts: &mut Facts) {
        match facts {
            Facts::Route(facts) => facts.built_in = route(&self.route, facts),
            Facts::Admit(facts) => facts.built_in = admit(&self.admit, facts),
            Facts::Watch(facts) => facts.built_in = watch(&self.watch, facts),
            Facts::Size(facts) => facts.built_in = size(&self.size, facts),
            Facts::Recover(facts) => facts.built_in = recover(&self.recover, facts),
            Facts::Adapt(facts) => facts.built_in = adapt(&self.adapt, facts),
        }
    }
}

/// Whether a name is among those that a rule names; no names: any is.
fn is_among(name: &str, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|one| one == name)
}

/// Whether a number is not above another one that it must not exceed.
fn not_above<T: PartialOrd + std::fmt::Display>(key: &str, value: T, other: &str, most: T) -> Result<(), Wrong> {
    if value > most {
        return Err(Wrong::new(key, format!("it is {value}, which is more than `{other}`, {most}")));
    }
    Ok(())
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
