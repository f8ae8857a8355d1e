//! `[cache]` of the user's own `config.toml`: the answers of earlier runs.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

const MIB: u64 = 1024 * 1024;
const DAY: u64 = 24 * 3_600;

/// What is kept of answers. The defaults: yes, 256 MiB, 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Whether they are kept and used.
    pub responses: bool,
    /// The most that is kept, in bytes on disk.
    pub most_bytes: u64,
    /// How old an answer may become.
    pub max_age: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { responses: true, most_bytes: 256 * MIB, max_age: Duration::from_secs(30 * DAY) }
    }
}

/// `[cache]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CacheTable {
    responses: Option<bool>,
    max_mib: Option<Spanned<u64>>,
    max_age_days: Option<Spanned<u64>>,
}

impl CacheTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<Cache, ConfigError> {
        let default = Cache::default();
        let most_mib = document.within("max_mib", self.max_mib, 1..=1_048_576)?;
        let max_days = document.within("max_age_days", self.max_age_days, 1..=3_650)?;
        Ok(Cache {
            responses: self.responses.unwrap_or(default.responses),
            most_bytes: most_mib.map_or(default.most_bytes, |mib| mib * MIB),
            max_age: max_days.map_or(default.max_age, |days| Duration::from_secs(days * DAY)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::user;
    use super::*;

    fn read(text: &str) -> Result<Cache, ConfigError> {
        user::parse(Path::new("config.toml"), text).map(|user| user.cache)
    }

    #[test]
    fn what_is_not_said_is_as_ever() {
        assert_eq!(read("").unwrap(), Cache::default());
        let small = read("[cache]\nmax_mib = 1\nmax_age_days = 2\n").unwrap();
        assert_eq!((small.responses, small.most_bytes, small.max_age.as_secs()), (true, 1 << 20, 172_800));
        assert!(!read("[cache]\nresponses = false\n").unwrap().responses);
    }

    #[test]
    fn nonsense_has_its_place() {
        for wrong in ["max_mib = 0", "max_age_days = 0", "max_age_days = 4000", "max_mb = 1", "responses = 1"] {
            assert!(read(&format!("[cache]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }
}
