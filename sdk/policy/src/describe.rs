//! What a policy says about itself.

use serde::{Deserialize, Serialize};

use crate::VERSION;

/// What a foreign policy is, in its own words. As JSON on the border.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// How it is called: the name of its package.
    pub name: String,
    /// Its own version.
    #[serde(default)]
    pub version: String,
    /// The version of the decisions that it was made for: the [`VERSION`] that it was built with.
    pub policy: u32,
}

impl Description {
    /// A policy that was built with this crate.
    pub fn new(name: &str, version: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_owned(), policy: VERSION }
    }

    /// As it crosses the border.
    pub fn to_json(&self) -> String {
        // Two strings and a number always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
