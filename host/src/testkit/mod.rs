//! `convoke test`: a plugin's own tests, run in the real sandbox with answers that are made up.
//!
//! A case is a file `tests/NAME.toml` in the plugin's folder ([`case`]). It runs like any call of the command, but nothing
//! of it is the user's or the machine's: the project is a copy of a fixture, the journal is in memory, [`script`] answers
//! the questions, [`outside`] stands for programs and hosts, no time passes, and chance repeats itself. What came of it is
//! compared with the kept `tests/NAME.snap.json` ([`snapshot`]); then [`checks`] do the case again in other ways that must
//! make no difference. [`report`] says how the cases ended.

pub mod case;
pub mod checks;
pub mod fixture;
pub mod outside;
pub mod report;
pub mod script;
pub mod session;
pub mod snapshot;
pub mod suite;
mod written;

pub use case::Case;
pub use report::Tested;
pub use suite::{Plugin, Suite};
