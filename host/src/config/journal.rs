//! `[journal]` of the user's own `config.toml`: how long runs are kept.

use std::time::Duration;

use convoke_runtime::journal::Keep;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

const DAY: u64 = 24 * 3_600;

/// A result that was made, or used again, within so many days keeps its run: without it, it would be paid for twice.
const USED_DAYS: u64 = 30;

/// Lines of the money ledger are kept so long: more than a year of months can be added up.
const LEDGER_DAYS: u64 = 400;

/// What is kept of runs. The defaults: 90 days, 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalKeep {
    /// How long, in days.
    pub days: u64,
    /// The oldest go while the journal has more bytes.
    pub most_bytes: u64,
}

impl Default for JournalKeep {
    fn default() -> Self {
        Self { days: 90, most_bytes: 1 << 30 }
    }
}

impl JournalKeep {
    /// What that means at this time.
    pub fn keep(&self, now: Timestamp) -> Keep {
        let ago = |days: u64| {
            let age = SignedDuration::try_from(Duration::from_secs(days * DAY)).unwrap_or(SignedDuration::MAX);
            Some(now.checked_sub(age).unwrap_or(Timestamp::MIN))
        };
        Keep {
            since: ago(self.days),
            newest: None,
            most_bytes: Some(self.most_bytes),
            // Who wants things gone sooner has them gone sooner.
            used_since: ago(self.days.min(USED_DAYS)),
            ledger_since: ago(LEDGER_DAYS),
        }
    }
}

/// `[journal]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalTable {
    keep_days: Option<Spanned<u64>>,
    max_bytes: Option<Spanned<u64>>,
}

impl JournalTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<JournalKeep, ConfigError> {
        let default = JournalKeep::default();
        Ok(JournalKeep {
            days: document.within("keep_days", self.keep_days, 1..=3_650)?.unwrap_or(default.days),
            most_bytes: document.within("max_bytes", self.max_bytes, 1 << 20..=1 << 50)?.unwrap_or(default.most_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{project, user};
    use super::*;

    fn read(text: &str) -> Result<JournalKeep, ConfigError> {
        user::parse(Path::new("config.toml"), text).map(|user| user.journal)
    }

    #[test]
    fn ninety_days_and_a_gibibyte_unless_said_otherwise() {
        assert_eq!(read("").unwrap(), JournalKeep { days: 90, most_bytes: 1_073_741_824 });
        let small = read("[journal]\nkeep_days = 7\nmax_bytes = 5_000_000\n").unwrap();
        assert_eq!(small, JournalKeep { days: 7, most_bytes: 5_000_000 });
        for wrong in ["keep_days = 0", "keep_days = 4000", "max_bytes = 1000", "max_mib = 1"] {
            assert!(read(&format!("[journal]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_used_within_thirty_days_stays_and_the_ledger_for_four_hundred() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let days = |at: Option<Timestamp>| at.map(|at| now.duration_since(at).as_hours() / 24);
        let keep = JournalKeep::default().keep(now);
        assert_eq!((days(keep.since), days(keep.used_since), days(keep.ledger_since)), (Some(90), Some(30), Some(400)));
        let short = JournalKeep { days: 7, ..JournalKeep::default() }.keep(now);
        assert_eq!((days(short.since), days(short.used_since)), (Some(7), Some(7)));
    }

    #[test]
    fn a_project_has_no_say() {
        let error = project::parse(Path::new("convoke.toml"), "[journal]\nkeep_days = 1\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("config.toml"), "{hint}");
    }
}
