//! The journal's word that an end is written.

use super::RunId;
use crate::work::Outcome;

/// An item's end that is committed. Only the journal makes one, and it can't be copied: who has it may say so, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    run: RunId,
    item: String,
    outcome: Outcome,
}

impl Written {
    pub(super) fn new(run: RunId, item: String, outcome: Outcome) -> Self {
        Self { run, item, outcome }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The item's id.
    pub fn item(&self) -> &str {
        &self.item
    }

    /// How it ended.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The item's id, and how it ended.
    pub fn into_parts(self) -> (String, Outcome) {
        (self.item, self.outcome)
    }
}
