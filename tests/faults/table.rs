//! The faults and how often each was met.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::drive::Outcome;
use crate::kind::Kind;

/// What all runs together came to.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) runs: u64,
    pub(crate) failed: u64,
    pub(crate) violations: u64,
    pub(crate) starts: u64,
    pub(crate) asked: u64,
    /// How often each was ordered, and met.
    faults: BTreeMap<Kind, (u64, u64)>,
}

impl Table {
    /// Adds a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.failed += u64::from(!outcome.violations.is_empty());
        self.violations += outcome.violations.len() as u64;
        self.starts += outcome.starts;
        self.asked += outcome.asked;
        for (kind, is_met) in &outcome.faults {
            let (ordered, met) = self.faults.entry(*kind).or_default();
            *ordered += 1;
            *met += u64::from(*is_met);
        }
    }

    /// The kinds that were never met.
    pub(crate) fn never(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.faults.get(kind).is_none_or(|(_, met)| *met == 0)).collect()
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:<18} {:>8} {:>6}\n", "fault", "ordered", "met");
        for kind in Kind::ALL {
            let (ordered, met) = self.faults.get(&kind).copied().unwrap_or_default();
            text += &format!("{:<18} {ordered:>8} {met:>6}\n", kind.name());
        }
        let Self { runs, failed, violations, starts, asked, .. } = self;
        text + &format!("{runs} runs, {starts} starts, {asked} questions: {violations} violations in {failed} runs\n")
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let faults: BTreeMap<&str, Value> = Kind::ALL
            .into_iter()
            .map(|kind| {
                let (ordered, met) = self.faults.get(&kind).copied().unwrap_or_default();
                (kind.name(), json!({ "ordered": ordered, "met": met }))
            })
            .collect();
        json!({ "runs": self.runs, "failed": self.failed, "violations": self.violations, "starts": self.starts,
            "questions": self.asked, "faults": faults })
    }
}
