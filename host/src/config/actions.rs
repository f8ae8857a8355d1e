//! `[actions]` of the user's own `config.toml`: which programs run without asking, where `--yes` says that nobody is asked.

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

/// Programs with the arguments that they begin with. None: with `--yes`, no action is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Vec<Vec<String>>);

impl Allow {
    /// Whether a program is listed, alone or with arguments that these begin with.
    pub fn allows(&self, program: &str, arguments: &[String]) -> bool {
        self.0.iter().any(|listed| match listed.split_first() {
            Some((name, first)) => name == program && arguments.starts_with(first),
            None => false,
        })
    }

    /// Each as it can be written in a file.
    pub fn shown(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|words| words.iter().map(|word| crate::actions::quote::quote(word)).collect::<Vec<_>>().join(" "))
            .collect()
    }
}

/// `[actions]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionsTable {
    #[serde(default)]
    allow: Vec<Spanned<String>>,
}

impl ActionsTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<Allow, ConfigError> {
        let words = |line: Spanned<String>| match shlex::split(line.get_ref()) {
            Some(words) if words.first().is_some_and(|name| !name.is_empty() && !name.contains(['/', '\\'])) => {
                Ok(words)
            }
            _ => {
                let hint = "write a program's name and the arguments that it may begin with, like \"git commit\"";
                Err(document.at(line.span(), "this is no program with arguments", hint))
            }
        };
        Ok(Allow(self.allow.into_iter().map(words).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{project, user};
    use super::*;

    fn read(text: &str) -> Result<Allow, ConfigError> {
        user::parse(Path::new("config.toml"), text).map(|user| user.actions)
    }

    #[test]
    fn what_is_listed_is_allowed_with_more_arguments_and_nothing_else() {
        let allow = read("[actions]\nallow = [\"git commit\", \"gh pr 'create it'\", \"true\"]\n").unwrap();
        let allows = |line: &str| {
            let mut words = shlex::split(line).unwrap();
            allow.allows(&words.remove(0), &words)
        };
        for line in ["git commit", "git commit -m x", "gh pr 'create it' now", "true", "true x"] {
            assert!(allows(line), "{line}");
        }
        for line in ["git", "git push", "git -c a=b commit", "gh pr create it", "truex", "commit"] {
            assert!(!allows(line), "{line}");
        }
        assert_eq!(allow.shown(), ["git commit", "gh pr 'create it'", "true"]);
        assert!(!Allow::default().allows("true", &[]), "nothing is allowed that is not listed");
    }

    #[test]
    fn what_names_no_program_is_refused_with_its_place() {
        for wrong in
            ["[actions]\nallow = [\"\"]\n", "[actions]\nallow = [\"'git\"]\n", "[actions]\nallow = [\"/bin/git\"]\n"]
        {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("config.toml:2:"), "{error}");
        }
        assert!(read("[actions]\nallowed = []\n").is_err());
    }

    #[test]
    fn a_project_allows_nothing() {
        let error = project::parse(Path::new("convoke.toml"), "[actions]\nallow = [\"rm\"]\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("your own config.toml"), "{hint}");
    }
}
