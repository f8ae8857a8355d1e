//! The policy in force: six decisions, swapped without stopping.
//!
//! A decision is made in three steps: whoever needs one takes the policy [in force](Slot::in_force), puts facts together
//! with what the [built-in policy](builtin) decides by that policy's [`Profile`], and has the [`Slot`] decide. Where no
//! foreign policy is in force, that is the decision.
//!
//! A foreign policy that fails or decides nonsense is replaced by the built-in one between two decisions, and this is
//! told once; the decision at hand is the built-in one's.

pub mod builtin;
mod clock;
mod slot;
mod words;

pub use builtin::Profile;
pub use clock::Clock;
pub use convoke_policy::*;
pub use slot::{BUILT_IN, Decided, Fault, Foreign, InForce, Slot};
pub use words::words;
