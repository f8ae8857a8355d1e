//! `[policy]` of the user's own `config.toml`: what decides, and whether its decisions are kept.

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

/// Who chose a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `--policy`.
    Option,
    /// `CONVOKE_POLICY`.
    Environment,
    /// `convoke policy use`.
    Use,
    /// `config.toml`.
    Config,
    /// Nobody: it is the built-in one.
    Nobody,
}

impl By {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Option => "--policy",
            Self::Environment => "CONVOKE_POLICY",
            Self::Use => "convoke policy use",
            Self::Config => "config.toml",
            Self::Nobody => "default",
        }
    }
}

/// Which policy decides, as far as files, environment and options say. What was chosen with `convoke policy use` is
/// over `config.toml`, and under the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChoice {
    /// The name or path in `config.toml`.
    pub configured: Option<String>,
    /// What the environment or the command line chose, for this run.
    pub chosen: Option<(String, By)>,
    /// Whether decisions are kept in the journal.
    pub record: bool,
}

impl Default for PolicyChoice {
    fn default() -> Self {
        Self { configured: None, chosen: None, record: true }
    }
}

impl PolicyChoice {
    /// With what stands over the files.
    pub(super) fn under(self, chosen: Option<(String, By)>) -> Self {
        Self { chosen, ..self }
    }
}

/// `[policy]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyTable {
    r#use: Option<Spanned<String>>,
    record: Option<bool>,
}

impl PolicyTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<PolicyChoice, ConfigError> {
        let configured = match self.r#use {
            Some(name) if name.get_ref().trim().is_empty() => {
                let hint = "write the name of a policy, a path, or \"built-in\"";
                return Err(document.at(name.span(), "use is empty", hint));
            }
            name => name.map(|name| name.into_inner().trim().to_owned()),
        };
        Ok(PolicyChoice { configured, chosen: None, record: self.record.unwrap_or(true) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Choices, Settings, project, user};
    use super::*;

    fn read(text: &str) -> Result<PolicyChoice, ConfigError> {
        user::parse(Path::new("config.toml"), text).map(|user| user.policy)
    }

    #[test]
    fn the_users_file_names_a_policy_and_what_is_not_said_is_as_ever() {
        assert_eq!(read("").unwrap(), PolicyChoice::default());
        let choice = read("[policy]\nuse = \" night \"\nrecord = false\n").unwrap();
        assert_eq!((choice.configured.as_deref(), choice.record), (Some("night"), false));
        for wrong in ["[policy]\nuse = \"\"\n", "[policy]\nuser = \"x\"\n", "[policy]\nrecord = 1\n"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_projects_policy_is_not_used_and_that_is_said() {
        let text = "[policy]\nuse = \"./evil.so\"\nlibrary = 3\n";
        let project = project::parse(Path::new("convoke.toml"), text).unwrap();
        let settings = Settings::put_together(user::User::default(), project, Choices::default());
        assert_eq!(settings.policy, PolicyChoice::default());
        assert!(settings.warnings.iter().any(|warning| warning.contains("load a library")), "{:?}", settings.warnings);
    }
}
