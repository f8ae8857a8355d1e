//! The built-in policy: a function for each decision, and the numbers that it goes by.

/// The numbers of the built-in policy: those of a mode, changed by a `policy.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {}
