//! What was typed, so that a run can be continued as it was begun.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command};
use convoke_runtime::journal::Typed;

use super::options::Options;

/// All words behind the program's name, and the working folder. None where one of them is no text: then the run can be
/// run again, and not continued.
pub(super) fn all(arguments: &[OsString]) -> Option<Typed> {
    let words = arguments.iter().skip(1).map(|word| word.to_str().map(str::to_owned));
    here(words.collect::<Option<_>>()?)
}

/// One command of several that ran together, as it would be typed by itself: its own words, then the options of all.
pub(super) fn alone(text: &str, options: &[String]) -> Option<Typed> {
    here(one(shlex::split(text)?, options))
}

fn here(words: Vec<String>) -> Option<Typed> {
    let folder = std::env::current_dir().ok()?.to_str()?.to_owned();
    Some(Typed { words, folder })
}

/// Behind `--` everything is an argument: options stand before it.
fn one(mut words: Vec<String>, options: &[String]) -> Vec<String> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.splice(end..end, options.iter().cloned());
    words
}

/// The options of the host that were typed, without these: as `--name` or `--name=value`.
pub(super) fn options(matches: &ArgMatches, without: &[&str]) -> Option<Vec<String>> {
    let command = Options::augment_args(Command::new("options"));
    let mut words = Vec::new();
    for option in command.get_arguments() {
        let (name, id) = (option.get_long()?, option.get_id().as_str());
        if without.contains(&id) || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        match option.get_action() {
            ArgAction::SetTrue => words.push(format!("--{name}")),
            ArgAction::Count => {
                words.extend((0..matches.get_count(id)).map(|_| format!("--{name}")));
            }
            _ => {
                for value in matches.get_raw(id)? {
                    words.push(format!("--{name}={}", value.to_str()?));
                }
            }
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn options_are_the_same_when_they_are_read_again() {
        let command = || Options::augment_args(Command::new("convoke"));
        let typed = ["convoke", "--instances", "4", "--fresh", "-vv", "-C", "some folder", "--format=json", "-o", "x"];
        let matches = command().try_get_matches_from(typed).unwrap();
        let words = options(&matches, &["output"]).unwrap();
        assert!(!words.iter().any(|word| word.starts_with("--output")), "{words:?}");
        let again = command().try_get_matches_from(["convoke".to_owned()].into_iter().chain(words)).unwrap();
        let read = |matches: &ArgMatches| Options::from_arg_matches(matches).unwrap();
        let expected = Options { output: None, ..read(&matches) };
        assert_eq!(format!("{:?}", read(&again)), format!("{expected:?}"));
        assert!(options(&command().try_get_matches_from(["convoke"]).unwrap(), &[]).unwrap().is_empty());
    }

    #[test]
    fn options_stand_before_what_is_only_arguments() {
        let words = |text: &str| one(shlex::split(text).unwrap(), &["--fresh".to_owned()]).join("|");
        assert_eq!(words("audit 'my agents/'"), "audit|my agents/|--fresh");
        assert_eq!(words("audit -- -odd"), "audit|--fresh|--|-odd");
    }
}
