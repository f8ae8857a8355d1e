//! A policy of convoke: how many instances, which tier, when, what after a failure, how much at once, and when to stop
//! an answer.
//!
//! A [`Policy`] is a function from facts to a decision. It has no state of its own: everything that it may depend on, the
//! time and randomness too, is among the facts. So a policy is swapped between two decisions without anything being
//! lost, and what a recorded run decided can be decided again by another one.
//!
//! Each kind of facts holds what the built-in policy would decide, in `built_in`, and each method returns that unless it
//! is written: a policy says only what it wants otherwise.
//!
//! ```
//! use convoke_policy::{Policy, RouteFacts, RouteTo, Tier};
//!
//! /// At night, everything goes to the cheap tier.
//! struct NightShift;
//!
//! impl Policy for NightShift {
//!     fn route(&self, facts: &RouteFacts) -> RouteTo {
//!         match facts.now.hour {
//!             22.. | 0..6 => RouteTo::tier(Tier::Speed, "it is night"),
//!             _ => facts.built_in.clone(),
//!         }
//!     }
//! }
//! ```
//!
//! # Three forms
//!
//! `convoke_policy::export!(NightShift);` makes one source build as a WASM component (`convoke build`) and as a native
//! library (`cargo build --release`). What only sets numbers of the built-in policy needs neither: that is a
//! `policy.toml`.
//!
//! # How types grow
//!
//! Facts and decisions are plain data, as JSON on every border. New facts may come with any version: a policy that does
//! not know one ignores it, and one that knows it reads its default from an older host. A decision is checked by the
//! host ([`Decision::check`]): what is out of its bounds is not carried out, and the policy is replaced by the built-in
//! one.

pub mod abi;
#[cfg(target_family = "wasm")]
pub mod component;
mod decision;
mod describe;
mod export;
mod facts;
mod time;

pub use decision::{
    Adapt, Admit, Decision, Kind, LONGEST_REASON, LONGEST_WAIT_MS, MOST, Nonsense, Recover, RouteTo, Size, Watch,
};
pub use describe::Description;
pub use facts::{
    AdaptCause, AdaptFacts, AdmitFacts, BreakerState, Facts, Load, Mode, RecoverFacts, RouteFacts, SizeFacts, Spending,
    Tier, WatchFacts,
};
pub use time::Now;

use serde::{Deserialize, Serialize};

/// The version of the decisions: what facts there are, and what they mean. A policy of another version is refused.
pub const VERSION: u32 = 1;

/// The six decisions.
///
/// A policy that panics, takes longer than 10 ms or returns what [`Decision::check`] refuses is replaced by the built-in
/// one for the rest of the run, and the user is told once.
pub trait Policy {
    /// How many workers a command gets: once a run, before anything is asked.
    fn size(&self, facts: &SizeFacts) -> Size {
        facts.built_in.clone()
    }

    /// Which tier a question goes to: once a question, before it is looked up anywhere.
    fn route(&self, facts: &RouteFacts) -> RouteTo {
        facts.built_in.clone()
    }

    /// Whether a question may line up now: before each time it is sent, and again when it has waited as long as it was
    /// told. Limits, quotas and budgets of the host hold whatever is decided here.
    fn admit(&self, facts: &AdmitFacts) -> Admit {
        facts.built_in.clone()
    }

    /// What is done after a failure: once for each. The host keeps what it must: it waits at least as long as the server
    /// said, asks nothing twice that may be asked once, and takes every retry from the retry budget.
    fn recover(&self, facts: &RecoverFacts) -> Recover {
        facts.built_in.clone()
    }

    /// How many questions may be in flight at an account: on each tick, and when something happened.
    fn adapt(&self, facts: &AdaptFacts) -> Adapt {
        facts.built_in.clone()
    }

    /// Whether an answer goes on: while it comes, at most five times a second.
    fn watch(&self, facts: &WatchFacts) -> Watch {
        facts.built_in.clone()
    }

    /// Decides on facts of any kind.
    fn decide(&self, facts: &Facts) -> Decision {
        match facts {
            Facts::Size(facts) => Decision::Size(self.size(facts)),
            Facts::Route(facts) => Decision::Route(self.route(facts)),
            Facts::Admit(facts) => Decision::Admit(self.admit(facts)),
            Facts::Recover(facts) => Decision::Recover(self.recover(facts)),
            Facts::Adapt(facts) => Decision::Adapt(self.adapt(facts)),
            Facts::Watch(facts) => Decision::Watch(self.watch(facts)),
        }
    }
}

/// Decides as the built-in policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsBuiltIn;

impl Policy for AsBuiltIn {}

/// One decision with JSON on both sides: what every foreign form of a policy is made of.
///
/// What is decided as built in goes back as it came, with what this version does not know of it: so a policy of an older
/// version takes nothing away from a newer host.
///
/// # Errors
/// The facts can't be read, or the decision can't be written (a number that is not one).
pub fn decide_json(policy: &dyn Policy, text: &str) -> Result<String, String> {
    let facts: Facts = serde_json::from_str(text).map_err(|error| format!("the facts can't be read: {error}"))?;
    let decision = policy.decide(&facts);
    let given = if decision == AsBuiltIn.decide(&facts) { serde_json::from_str::<Given>(text).ok() } else { None };
    let written = match given {
        Some(given) => serde_json::to_string(&Unchanged { kind: facts.kind(), decision: given.facts.built_in }),
        None => serde_json::to_string(&decision),
    };
    written.map_err(|error| format!("the decision can't be written: {error}"))
}

/// The facts, of which only the decision is wanted that came with them.
#[derive(Deserialize)]
struct Given {
    facts: GivenFacts,
}

#[derive(Deserialize)]
struct GivenFacts {
    built_in: serde_json::Value,
}

/// A [`Decision`] as it came.
#[derive(Serialize)]
struct Unchanged {
    kind: Kind,
    decision: serde_json::Value,
}

#[cfg(test)]
mod tests;
