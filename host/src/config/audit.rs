//! `[audit]` of the user's own `config.toml`: how large and how long the audit log is.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::document::{self, Document};
use super::{ConfigError, user};

/// What is kept of the audit log. The defaults: files of 64 MiB, 16 of them, 400 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditKeep {
    /// A file that is longer is followed by the next, in bytes.
    pub most_bytes: u64,
    /// So many files, the newest.
    pub files: u32,
    /// So long, in days.
    pub days: u32,
    /// Nothing is removed: what the user has set can't be read.
    pub all: bool,
}

impl Default for AuditKeep {
    fn default() -> Self {
        Self { most_bytes: 64 << 20, files: 16, days: 400, all: false }
    }
}

impl AuditKeep {
    /// What a user has set. Where their file is broken nothing is removed.
    pub fn of_user(file: &Path) -> Self {
        let read = document::read(file).and_then(|text| user::parse(file, &text.unwrap_or_default()));
        read.map_or_else(|_| Self { all: true, ..Self::default() }, |user| user.audit)
    }

    /// How many files and how many days; none: all of it.
    pub fn bounds(&self) -> Option<(usize, u32)> {
        (!self.all).then_some((self.files as usize, self.days))
    }
}

/// `[audit]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditTable {
    max_file_mib: Option<Spanned<u64>>,
    keep_files: Option<Spanned<u64>>,
    keep_days: Option<Spanned<u64>>,
}

impl AuditTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<AuditKeep, ConfigError> {
        let default = AuditKeep::default();
        let count =
            |value: Option<u64>, default: u32| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
        Ok(AuditKeep {
            most_bytes: document
                .within("max_file_mib", self.max_file_mib, 1..=4_096)?
                .map_or(default.most_bytes, |mib| mib << 20),
            files: count(document.within("keep_files", self.keep_files, 2..=100_000)?, default.files),
            days: count(document.within("keep_days", self.keep_days, 1..=36_500)?, default.days),
            all: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::project;
    use super::*;

    #[test]
    fn sixteen_files_of_64_mib_for_400_days_unless_said_otherwise() {
        let read = |text: &str| user::parse(Path::new("config.toml"), text).map(|user| user.audit);
        assert_eq!(read("").unwrap(), AuditKeep { most_bytes: 67_108_864, files: 16, days: 400, all: false });
        let small = read("[audit]\nmax_file_mib = 1\nkeep_files = 3\nkeep_days = 7\n").unwrap();
        assert_eq!(small, AuditKeep { most_bytes: 1 << 20, files: 3, days: 7, all: false });
        for wrong in ["max_file_mib = 0", "keep_files = 1", "keep_days = 0", "keep = 1"] {
            assert!(read(&format!("[audit]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_broken_file_nothing_follows_that_removes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        assert_eq!(AuditKeep::of_user(&file), AuditKeep::default());
        std::fs::write(&file, "[audit]\nkeep_files = \"all\"\n").unwrap();
        assert_eq!(AuditKeep::of_user(&file).bounds(), None);
    }

    #[test]
    fn a_project_has_no_say() {
        let error = project::parse(Path::new("convoke.toml"), "[audit]\nkeep_days = 1\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("config.toml"), "{hint}");
    }
}
