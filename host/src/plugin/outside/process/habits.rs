//! What programs do by habit that a look at a project must not do: which variables and options keep them from it.
//!
//! This is a small table and no sandbox: **a program that is granted is as safe as the program.** What is here closes the
//! ways that are known in which a project, or a plugin's arguments, make a program that only looks run another one or write.

use std::ffi::OsString;

/// Variables of a program, beside those that all get.
const VARIABLES: &[(&str, &[(&str, &str)])] = &[
    // What a project's `.cargo/config.toml` names as compiler is not run: a variable goes before it.
    (
        "cargo",
        &[("RUSTC", "rustc"), ("RUSTC_WRAPPER", ""), ("RUSTC_WORKSPACE_WRAPPER", ""), ("CARGO_TERM_COLOR", "never")],
    ),
    (
        "gh",
        &[
            ("GH_PAGER", "cat"),
            ("GH_PROMPT_DISABLED", "1"),
            ("GH_NO_UPDATE_NOTIFIER", "1"),
            ("GH_SPINNER_DISABLED", "1"),
        ],
    ),
    (
        "git",
        &[
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_PAGER", "cat"),
            ("GIT_EDITOR", "false"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ],
    ),
];

/// The variables that a program gets beside those that all get.
pub(super) fn variables(program: &str) -> impl Iterator<Item = (OsString, OsString)> {
    let found = VARIABLES.iter().filter(move |(name, _)| *name == program);
    found.flat_map(|(_, variables)| variables.iter()).map(|(name, value)| (name.into(), value.into()))
}

/// An option that is not taken, whatever was granted: a part of a sentence.
pub(super) fn refused_option(program: &str, arguments: &[String]) -> Option<String> {
    // It can name programs, and settings of all others.
    let is_refused =
        |argument: &&String| program == "cargo" && (*argument == "--config" || argument.starts_with("--config="));
    arguments.iter().find(is_refused).map(|_| "cargo --config can name other programs".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_does_by_habit_is_set_by_its_name() {
        assert!(variables("git").any(|(name, value)| name == "GIT_PAGER" && value == "cat"));
        assert_eq!(variables("gitk").count(), 0);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for refused in [["metadata", "--config=build.rustc='x'"].as_slice(), &["metadata", "--config", "x"]] {
            assert!(refused_option("cargo", &words(refused)).is_some(), "{refused:?}");
        }
        assert_eq!(refused_option("cargo", &words(&["metadata", "--no-deps"])), None);
        assert_eq!(refused_option("other", &words(&["--config"])), None);
    }
}
