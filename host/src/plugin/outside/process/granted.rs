//! Whether a program may be run with these arguments, by what was granted.

use super::Refused;
use crate::actions::quote::quote;
use crate::plugin::capabilities::Program;
use crate::plugin::grants::Wish;
use crate::plugin::outside::Outside;
use crate::plugin::printable;

/// So much of a stranger's word is shown, in characters.
const SHOWN: usize = 200;

/// Checks a program and the words that it begins with: they must be exactly those of one subcommand that was granted.
///
/// # Errors
/// What is not granted, and what would grant it.
pub(super) fn check(outside: &Outside, program: &str, arguments: &[String]) -> Result<(), Refused> {
    if wish(&outside.granted.process, program, arguments).is_some() {
        return Ok(());
    }
    let of_program = |one: &&Program| one.program == program;
    let longest = outside.asked.process.iter().filter(of_program).flat_map(|one| &one.subcommands);
    let longest = longest.map(|words| words.split(' ').count()).max().unwrap_or(0);
    if let Some(option) = arguments.iter().take(longest).find(|argument| argument.starts_with('-')) {
        let (option, program) = (printable(&quote(option), SHOWN), printable(&quote(program), SHOWN));
        let message =
            format!("{option} looks like an option, and stands where the subcommand of {program} has to stand");
        return Err(Refused::new(message));
    }
    let first = arguments.first().map_or("", String::as_str);
    // Nothing could grant that: a subcommand has no blanks but between its words.
    if longest > 0 && (first.is_empty() && !arguments.is_empty() || first.contains(char::is_whitespace)) {
        let (first, program) = (printable(&quote(first), SHOWN), printable(&quote(program), SHOWN));
        return Err(Refused::new(format!(
            "{first} is no subcommand of {program}: each word is an argument of its own"
        )));
    }
    let wish = wish(&outside.asked.process, program, arguments).unwrap_or_else(|| Wish::run(program, first));
    let refused = outside.refused(&wish);
    Err(Refused { message: refused.message, hint: refused.hint })
}

/// Which of these a program with its arguments is.
fn wish(programs: &[Program], program: &str, arguments: &[String]) -> Option<Wish> {
    programs.iter().filter(|one| one.program == program).find_map(|one| {
        if one.subcommands.is_empty() {
            return Some(Wish::run(program, ""));
        }
        let begins = |words: &&String| {
            let words: Vec<&str> = words.split_whitespace().collect();
            let first = arguments.get(..words.len()).unwrap_or_default();
            !words.is_empty() && first.iter().map(String::as_str).eq(words)
        };
        one.subcommands.iter().find(begins).map(|words| Wish::run(program, words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::capabilities::Capabilities;

    fn outside() -> Outside {
        let program = |program: &str, subcommands: &[&str]| Program {
            program: program.to_owned(),
            subcommands: subcommands.iter().map(|subcommand| (*subcommand).to_owned()).collect(),
            optional: false,
        };
        let process = vec![program("git", &["diff", "log", ""]), program("gh", &["pr view"]), program("count", &[])];
        let granted = Capabilities { process, ..Capabilities::default() };
        let mut asked = granted.clone();
        asked.process.push(program("git", &["push"]));
        Outside { typed: "./p.wasm".to_owned(), asked, granted, ..Outside::default() }
    }

    fn asked(line: &[&str]) -> Result<(), String> {
        let arguments: Vec<String> = line[1..].iter().map(|word| (*word).to_owned()).collect();
        check(&outside(), line[0], &arguments)
            .map_err(|refused| format!("{} ({})", refused.message, refused.hint.unwrap_or_default()))
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
    fn whatever_else_is_refused() {
        for (line, said) in [
            (["git", "push"].as_slice(), "you have not granted that"),
            (&["git"], "does not ask for that"),
            (&["git", "-c", "alias.diff=!id", "diff"], "-c looks like an option"),
            (&["git", "-C", "/etc", "diff"], "-C looks like an option"),
            (&["git", "--exec-path=/tmp", "diff"], "looks like an option"),
            (&["git", "diff --stat"], "is no subcommand of git"),
            (&["git", "Diff"], "does not ask for that"),
            (&["git", " diff"], "is no subcommand of git"),
            (&["git", ""], "is no subcommand of git"),
            (&["gh", "pr"], "does not ask for that"),
            (&["gh", "pr", "--web"], "--web looks like an option"),
            (&["gh", "pr", "merge"], "does not ask for that"),
            (&["GIT", "diff"], "does not ask for that"),
            (&["sh", "-c", "id"], "does not ask for that"),
            (&["", "diff"], "does not ask for that"),
        ] {
            let refused = asked(line).unwrap_err();
            assert!(refused.contains(said), "{line:?}: {refused}");
        }
        let refused = asked(&["git", "push", "origin"]).unwrap_err();
        assert!(refused.contains("convoke grants add ./p.wasm") && refused.contains("git push"), "{refused}");
    }

    #[test]
    fn what_a_plugin_says_does_nothing_to_a_terminal() {
        for line in [["git", "\u{1b}[2J\u{202e}"], ["git", "-\u{1b}[2J\u{202e}"], ["\u{1b}", "x"]] {
            let refused = asked(&line).unwrap_err();
            assert!(!refused.contains(['\u{1b}', '\u{202e}']), "{refused:?}");
        }
    }
}
