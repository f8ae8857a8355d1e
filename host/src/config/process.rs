//! `[process]`: what a program may take that a plugin runs.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::project::Refused;

/// What each program may take that a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// How long it may take, waits for its turn not counted. What takes longer is ended. Default: 60 s, which looking at
    /// a large repository takes, and what hangs does not hold an item for much longer.
    pub timeout: Duration,
    /// How many bytes it may print on its standard output, and as many on stderr. What prints more is ended. Default:
    /// 8 MiB, of which a plugin's memory has room for many.
    pub max_output_bytes: u64,
}

impl Default for Process {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), max_output_bytes: 8 << 20 }
    }
}

/// The table as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessTable {
    timeout_s: Option<Spanned<u64>>,
    max_output_bytes: Option<Spanned<u64>>,
}

/// What a file asks; all in range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedProcess {
    timeout: Option<Duration>,
    max_output_bytes: Option<u64>,
}

impl ProcessTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<AskedProcess, ConfigError> {
        Ok(AskedProcess {
            timeout: document.within("timeout_s", self.timeout_s, 1..=3_600)?.map(Duration::from_secs),
            // More would not fit into a plugin's memory.
            max_output_bytes: document.within("max_output_bytes", self.max_output_bytes, 1..=1 << 30)?,
        })
    }
}

impl AskedProcess {
    /// The user's own word.
    pub(super) fn of_user(self) -> Process {
        let default = Process::default();
        Process {
            timeout: self.timeout.unwrap_or(default.timeout),
            max_output_bytes: self.max_output_bytes.unwrap_or(default.max_output_bytes),
        }
    }

    /// A project's word: it lowers, and what would raise is refused.
    pub(super) fn lower(self, process: &mut Process, refused: &mut Refused<'_>) {
        fn set<T: PartialOrd>(limit: &mut T, asked: Option<T>, key: &str, refused: &mut Refused<'_>) {
            match asked {
                Some(asked) if asked <= *limit => *limit = asked,
                Some(_) => refused.push(
                    &format!("process.{key}"),
                    &format!("a project can only lower process.{key}, so it stays as it is"),
                ),
                None => {}
            }
        }
        set(&mut process.timeout, self.timeout, "timeout_s", refused);
        set(&mut process.max_output_bytes, self.max_output_bytes, "max_output_bytes", refused);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Choices, Settings, project, user};
    use super::*;

    fn settings(own: &str, of_project: &str) -> Settings {
        let user = user::parse(Path::new("config.toml"), own).unwrap();
        let project = project::parse(Path::new("convoke.toml"), of_project).unwrap();
        Settings::put_together(user, project, Choices::default())
    }

    #[test]
    fn a_project_can_only_lower_what_a_program_may_take() {
        let lower = settings("[process]\ntimeout_s = 30\n", "[process]\ntimeout_s = 10\nmax_output_bytes = 1000\n");
        assert_eq!(lower.process, Process { timeout: Duration::from_secs(10), max_output_bytes: 1_000 });
        assert_eq!(lower.warnings, [] as [String; 0]);
        let higher = settings("[process]\ntimeout_s = 30\n", "[process]\ntimeout_s = 31\nmax_output_bytes = 9000000\n");
        assert_eq!(higher.process, Process { timeout: Duration::from_secs(30), ..Process::default() });
        assert_eq!(higher.warnings.len(), 2, "{:?}", higher.warnings);
        assert!(higher.warnings[0].contains("process.timeout_s"), "{:?}", higher.warnings);
    }

    #[test]
    fn what_can_not_be_is_refused_with_its_place() {
        let error = user::parse(Path::new("config.toml"), "[process]\ntimeout_s = 0\n").unwrap_err().to_string();
        assert!(error.contains("config.toml:2:13: timeout_s is 0"), "{error}");
    }
}
