//! How much of a run goes as it should: one level at a time, made of what its parts say.
//!
//! | level | the items | the backends |
//! |---|---|---|
//! | full | each worker does its own | all answer |
//! | partial | some are set aside, or are done again one by one | one is left alone, or treated as in safe mode |
//! | sequential | all the rest is done one by one | |
//! | fallback | | none answers: questions wait, and get their own fallbacks where that lasts |
//!
//! A run stands as its worst part does. Every change of that is told, and each begins where the last one ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many changes are kept for the report.
const MOST_CHANGES: usize = 1_000;

/// A level; a greater one is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// All goes as it should.
    #[default]
    Full,
    /// A part is left out for now.
    Partial,
    /// One thing after the other.
    Sequential,
    /// No model answers.
    Fallback,
}

impl Level {
    /// The name in events and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Sequential => "sequential",
            Self::Fallback => "fallback",
        }
    }
}

/// Who says how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The board, of the items.
    Items,
    /// The lanes, of those who answer.
    Backends,
}

/// A change of a run's level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// Since the run's events began.
    pub at: Duration,
    /// As it was.
    pub from: Level,
    /// As it is.
    pub to: Level,
    /// Why.
    pub reason: String,
}

/// The level of a run, and how it came to it.
#[derive(Debug, Default)]
pub struct Levels {
    items: Level,
    backends: Level,
    changes: Vec<LevelChange>,
}

impl Levels {
    /// A part says how it stands, and why; what that changes for the run.
    pub fn says(&mut self, part: Part, level: Level, reason: &str, at: Duration) -> Option<LevelChange> {
        let from = self.level();
        match part {
            Part::Items => self.items = level,
            Part::Backends => self.backends = level,
        }
        let to = self.level();
        if from == to {
            return None;
        }
        let change = LevelChange { at, from, to, reason: reason.to_owned() };
        if self.changes.len() < MOST_CHANGES {
            self.changes.push(change.clone());
        }
        Some(change)
    }

    /// That of the worst part.
    pub fn level(&self) -> Level {
        self.items.max(self.backends)
    }

    /// All changes so far, the oldest first.
    pub fn changes(&self) -> &[LevelChange] {
        &self.changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(levels: &mut Levels, part: Part, level: Level) -> Option<(Level, Level)> {
        levels.says(part, level, "so", Duration::ZERO).map(|change| (change.from, change.to))
    }

    #[test]
    fn a_run_stands_as_its_worst_part_and_what_does_not_change_that_is_not_told() {
        use Level::*;
        let mut levels = Levels::default();
        assert_eq!(said(&mut levels, Part::Items, Partial), Some((Full, Partial)));
        assert_eq!(said(&mut levels, Part::Backends, Partial), None);
        assert_eq!(said(&mut levels, Part::Backends, Fallback), Some((Partial, Fallback)));
        assert_eq!(said(&mut levels, Part::Items, Sequential), None);
        assert_eq!(said(&mut levels, Part::Backends, Full), Some((Fallback, Sequential)));
        assert_eq!(said(&mut levels, Part::Items, Full), Some((Sequential, Full)));
    }

    proptest! {
        #[test]
        fn each_change_begins_where_the_last_one_ended(said in prop::collection::vec((any::<bool>(), 0_usize..4), 0..50)) {
            let all = [Level::Full, Level::Partial, Level::Sequential, Level::Fallback];
            let mut levels = Levels::default();
            for (items, level) in said {
                let part = if items { Part::Items } else { Part::Backends };
                levels.says(part, all[level], "so", Duration::ZERO);
            }
            let mut at = Level::Full;
            for change in levels.changes() {
                prop_assert_eq!(change.from, at);
                prop_assert_ne!(change.from, change.to);
                at = change.to;
            }
            prop_assert_eq!(levels.level(), at);
        }
    }
}
