//! Whether a program may be run with these arguments, by what was granted.

use super::Refused;
use crate::actions::quote::quote;
use crate::plugin::capabilities::Program;
use crate::plugin::printable;

/// So much of a stranger's word is shown, in characters.
const SHOWN: usize = 200;

/// Checks a program and the words that it begins with: they must be exactly those of one subcommand that was granted.
///
/// # Errors
/// What is not granted, and what is.
pub(super) fn check(granted: &[Program], program: &str, arguments: &[String]) -> Result<(), Refused> {
    let mut longest = 0;
    for one in granted.iter().filter(|one| one.program == program) {
        if one.subcommands.is_empty() {
            return Ok(());
        }
        for subcommand in &one.subcommands {
            let words: Vec<&str> = subcommand.split_whitespace().collect();
            longest = longest.max(words.len());
            let begins =
                words.len() <= arguments.len() && words.iter().zip(arguments).all(|(word, argument)| word == argument);
            if begins && !words.is_empty() {
                return Ok(());
            }
        }
    }
    let shown = printable(&quote(program), SHOWN);
    let option = arguments.iter().take(longest).find(|argument| argument.starts_with('-'));
    let what = match (longest, option, arguments.first()) {
        (0, ..) => format!("the program {shown} is not granted"),
        (_, Some(option), _) => {
            let option = printable(&quote(option), SHOWN);
            format!("{option} looks like an option, and stands where the subcommand of {shown} has to stand")
        }
        (_, None, Some(first)) => format!("{shown} {} is not granted", printable(&quote(first), SHOWN)),
        (_, None, None) => format!("{shown} without a subcommand is not granted"),
    };
    Err(Refused { message: format!("{what}: {}", may_run(granted)), hint: Some(HINT.to_owned()) })
}

const HINT: &str = "a plugin asks for programs in its plugin.toml, under [[capabilities.process]], and its user grants them: \
                    see `convoke grants`";

/// What was granted, in words.
fn may_run(granted: &[Program]) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in granted {
        match one.subcommands.as_slice() {
            [] => all.push(one.program.clone()),
            some => all.extend(some.iter().map(|subcommand| format!("{} {subcommand}", one.program))),
        }
    }
    match all.as_slice() {
        [] => "this plugin may run no program".to_owned(),
        some => format!("this plugin may run {}", printable(&some.join(", "), 500)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted() -> Vec<Program> {
        let program = |program: &str, subcommands: &[&str]| Program {
            program: program.to_owned(),
            subcommands: subcommands.iter().map(|subcommand| (*subcommand).to_owned()).collect(),
        };
        vec![program("git", &["diff", "log", ""]), program("gh", &["pr view"]), program("count", &[])]
    }

    fn asked(line: &[&str]) -> Result<(), String> {
        let arguments: Vec<String> = line[1..].iter().map(|word| (*word).to_owned()).collect();
        check(&granted(), line[0], &arguments).map_err(|refused| refused.message)
    }

    #[test]
    fn a_program_begins_with_exactly_the_words_of_a_subcommand() {
        for line in [
            ["git", "diff"].as_slice(),
            &["git", "log", "--oneline"],
            &["gh", "pr", "view", "3"],
            &["count"],
            &["count", "-x"],
        ] {
            assert_eq!(asked(line), Ok(()), "{line:?}");
        }
    }

    #[test]
    fn whatever_else_is_refused_with_what_may_be_run() {
        for (line, said) in [
            (["git", "push"].as_slice(), "git push is not granted: this plugin may run git diff, git log"),
            (&["git"], "git without a subcommand is not granted"),
            (&["git", "-c", "alias.diff=!id", "diff"], "-c looks like an option"),
            (&["git", "-C", "/etc", "diff"], "-C looks like an option"),
            (&["git", "--exec-path=/tmp", "diff"], "looks like an option"),
            (&["git", "diff --stat"], "'diff --stat' is not granted"),
            (&["git", "Diff"], "git Diff is not granted"),
            (&["git", " diff"], "git ' diff' is not granted"),
            (&["git", ""], "git '' is not granted"),
            (&["gh", "pr"], "gh pr is not granted"),
            (&["gh", "pr", "--web"], "--web looks like an option"),
            (&["gh", "pr", "merge"], "gh pr is not granted"),
            (&["GIT", "diff"], "the program GIT is not granted"),
            (&["sh", "-c", "id"], "the program sh is not granted"),
            (&["", "diff"], "the program '' is not granted"),
        ] {
            let refused = asked(line).unwrap_err();
            assert!(refused.contains(said), "{line:?}: {refused}");
        }
        let nothing = check(&[], "git", &["diff".to_owned()]).unwrap_err().message;
        assert!(nothing.contains("this plugin may run no program"), "{nothing}");
    }

    #[test]
    fn what_a_plugin_says_does_nothing_to_a_terminal() {
        let refused = asked(&["git", "\u{1b}[2J\u{202e}"]).unwrap_err();
        assert!(!refused.contains(['\u{1b}', '\u{202e}']), "{refused:?}");
    }
}
