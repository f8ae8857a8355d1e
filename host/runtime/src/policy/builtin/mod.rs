//! The built-in policy: a function for each decision, and the numbers that it goes by.

mod adapt;
mod size;

use convoke_policy::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adapt::{AdaptProfile, adapt};
pub use size::{SizeProfile, cap_by_machine, size};

/// The numbers of the built-in policy: those of a mode, changed by a `policy.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// How many workers a command gets.
    pub size: SizeProfile,
    /// How many questions may be in flight.
    pub adapt: AdaptProfile,
}

impl Profile {
    /// Those of a mode.
    pub fn of(mode: Mode) -> Self {
        Self { size: SizeProfile::of(mode), adapt: AdaptProfile::of(mode) }
    }
}
