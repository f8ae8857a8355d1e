//! `[http]`: how long a fetch of a plugin may take, and how much it may bring.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::project::Refused;

/// What one fetch of a plugin may take. The defaults: 30 s, 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// From sending to the last byte, redirects included; waiting for quotas is not.
    pub timeout: Duration,
    /// The most bytes of an answer's body.
    pub most_response_bytes: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), most_response_bytes: 16 << 20 }
    }
}

/// `[http]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTable {
    timeout_s: Option<Spanned<u64>>,
    max_response_bytes: Option<Spanned<u64>>,
}

/// What a file asks; all in range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedHttp {
    timeout: Option<Duration>,
    most_response_bytes: Option<u64>,
}

impl HttpTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<AskedHttp, ConfigError> {
        Ok(AskedHttp {
            timeout: document.within("timeout_s", self.timeout_s, 1..=3_600)?.map(Duration::from_secs),
            // A plugin gets it whole, into its memory.
            most_response_bytes: document.within("max_response_bytes", self.max_response_bytes, 1..=1 << 30)?,
        })
    }
}

impl AskedHttp {
    /// The user's own word: it replaces.
    pub(super) fn replace(&self, http: &mut Http) {
        http.timeout = self.timeout.unwrap_or(http.timeout);
        http.most_response_bytes = self.most_response_bytes.unwrap_or(http.most_response_bytes);
    }

    /// A project's word: it lowers, and what would raise is refused.
    pub(super) fn lower(&self, http: &mut Http, refused: &mut Refused<'_>) {
        fn set<T: PartialOrd>(limit: &mut T, asked: Option<T>, key: &str, refused: &mut Refused<'_>) {
            match asked {
                Some(asked) if asked > *limit => {
                    refused.push(
                        &format!("http.{key}"),
                        &format!("a project can only lower http.{key}, so it stays as it is"),
                    );
                }
                Some(asked) => *limit = asked,
                None => {}
            }
        }
        set(&mut http.timeout, self.timeout, "timeout_s", refused);
        set(&mut http.most_response_bytes, self.most_response_bytes, "max_response_bytes", refused);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Choices, Settings, project, user};
    use super::*;

    fn settings(user: &str, project: &str) -> Settings {
        let user = user::parse(Path::new("config.toml"), user).unwrap();
        let project = project::parse(Path::new("convoke.toml"), project).unwrap();
        Settings::put_together(user, project, Choices::default())
    }

    #[test]
    fn a_project_can_only_lower_it() {
        assert_eq!(settings("", "").http, Http::default());
        let both = settings("[http]\ntimeout_s = 60\n", "[http]\ntimeout_s = 90\nmax_response_bytes = 1000\n");
        assert_eq!(both.http, Http { timeout: Duration::from_secs(60), most_response_bytes: 1_000 });
        assert_eq!(both.warnings, ["convoke.toml:2: a project can only lower http.timeout_s, so it stays as it is"]);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for wrong in ["timeout_s = 0", "timeout_s = 4000", "max_response_bytes = 0", "max_bytes = 1"] {
            assert!(user::parse(Path::new("config.toml"), &format!("[http]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }
}
