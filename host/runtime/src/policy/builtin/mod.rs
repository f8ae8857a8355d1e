//! The built-in policy: a function for each decision, and the numbers that it goes by.

mod recover;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use recover::{HedgeProfile, PartialProfile, RecoverProfile, recover};

/// The numbers of the built-in policy: those of a mode, changed by a `policy.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// What is done after a failure.
    pub recover: RecoverProfile,
}
