//! `[limits.operations]`: how many of a kind may run at once.

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::limits::Operations;

/// The table as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationsTable {
    list: Option<Spanned<u32>>,
    search: Option<Spanned<u32>>,
    read: Option<Spanned<u32>>,
    write: Option<Spanned<u32>>,
    fetch: Option<Spanned<u32>>,
    process: Option<Spanned<u32>>,
    cloud_write: Option<Spanned<u32>>,
    open_files: Option<Spanned<u32>>,
}

/// What a file asks; all in range.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AskedOperations {
    list: Option<u32>,
    search: Option<u32>,
    read: Option<u32>,
    write: Option<u32>,
    fetch: Option<u32>,
    process: Option<u32>,
    cloud_write: Option<u32>,
    open_files: Option<u32>,
}

impl OperationsTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<AskedOperations, ConfigError> {
        let count = |key, value| document.within(key, value, 1..=1_000);
        Ok(AskedOperations {
            list: count("list", self.list)?,
            search: count("search", self.search)?,
            read: count("read", self.read)?,
            write: count("write", self.write)?,
            fetch: count("fetch", self.fetch)?,
            process: count("process", self.process)?,
            cloud_write: count("cloud_write", self.cloud_write)?,
            // One listing has two open.
            open_files: document.within("open_files", self.open_files, 2..=100_000)?,
        })
    }
}

impl AskedOperations {
    /// Each limit, what is asked of it, and its key.
    pub(super) fn each<'a>(&self, limits: &'a mut Operations) -> [(&'a mut u32, Option<u32>, &'static str); 8] {
        [
            (&mut limits.list, self.list, "operations.list"),
            (&mut limits.search, self.search, "operations.search"),
            (&mut limits.read, self.read, "operations.read"),
            (&mut limits.write, self.write, "operations.write"),
            (&mut limits.fetch, self.fetch, "operations.fetch"),
            (&mut limits.process, self.process, "operations.process"),
            (&mut limits.cloud_write, self.cloud_write, "operations.cloud_write"),
            (&mut limits.open_files, self.open_files, "operations.open_files"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Choices, Settings, project, user};

    #[test]
    fn a_project_can_only_lower_them() {
        let user = user::parse(Path::new("config.toml"), "[limits.operations]\nread = 20\nlist = 2\n").unwrap();
        let project = project::parse(Path::new("convoke.toml"), "[limits.operations]\nread = 5\nlist = 9\n").unwrap();
        let settings = Settings::put_together(user, project, Choices::default());
        let operations = settings.limits.operations;
        assert_eq!((operations.read, operations.list, operations.search), (5, 2, 24));
        assert_eq!(settings.warnings.len(), 1);
        assert!(settings.warnings[0].contains("operations.list"), "{:?}", settings.warnings);
    }

    #[test]
    fn an_unknown_kind_is_an_error_with_a_suggestion() {
        let error = user::parse(Path::new("config.toml"), "[limits.operations]\nserch = 20\n").unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.contains("search"), "{shown}");
    }
}
