//! `[traces]` of the user's own `config.toml`: what a collector is told, in traces and logs. Where they go is said by
//! the environment.

use serde::Deserialize;

/// What traces tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// Whether reasons are in them: they can hold words of a plugin, of a model, and so of a prompt. Prompts and answers
    /// themselves never are. Default: no.
    pub content: bool,
}

/// `[traces]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TracesTable {
    content: Option<bool>,
}

impl TracesTable {
    pub(super) fn check(self) -> Traces {
        Traces { content: self.content.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{project, user};
    use super::*;

    #[test]
    fn words_of_plugins_and_models_are_told_only_where_the_user_says_so() {
        let read = |text: &str| user::parse(Path::new("config.toml"), text).map(|user| user.traces);
        assert_eq!(read("").unwrap(), Traces { content: false });
        assert_eq!(read("[traces]\ncontent = true\n").unwrap(), Traces { content: true });
        assert!(read("[traces]\nendpoint = \"http://x\"\n").is_err());
        let error = project::parse(Path::new("convoke.toml"), "[traces]\ncontent = true\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("config.toml"), "{hint}");
    }
}
