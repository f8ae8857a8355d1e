//! How a program with its arguments is shown to who has to agree to it: nothing of it is hidden, and a shell would read
//! it as it will be run.

use std::fmt::Write as _;

use crate::report::clean;

use super::program::Program;

/// So much of an input is shown, in lines and characters.
const INPUT_LINES: usize = 40;
const INPUT_CHARACTERS: usize = 4_000;

impl Program {
    /// The program and its arguments in one line, quoted.
    pub fn quoted(&self) -> String {
        let mut line = quote(&self.program);
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(&quote(argument));
        }
        line
    }

    /// All there is to know of it, in lines: the quoted line, the folder, the time, and the input with its beginning.
    pub fn described(&self) -> String {
        let mut text = self.quoted();
        if let Some(folder) = self.folder.as_deref() {
            let _ = write!(text, "\nin the folder {}", quote(folder));
        }
        if self.timeout_s.is_some() {
            let _ = write!(text, "\nfor at most {} s", self.timeout().as_secs());
        }
        if let Some(input) = self.input.as_deref() {
            let _ = write!(text, "\nwith this input of {} bytes:", input.len());
            let shown = clean::bounded(input, INPUT_CHARACTERS);
            let lines: Vec<&str> = shown.split('\n').collect();
            for line in lines.iter().take(INPUT_LINES) {
                let _ = write!(text, "\n  | {}", visible(line));
            }
            if lines.len() > INPUT_LINES || shown.len() < input.len() {
                text.push_str("\n  (this is only its beginning)");
            }
        }
        text
    }
}

/// A word for a shell. One that a terminal would not show as it is is written with escapes: `$'a\nb'`.
pub fn quote(word: &str) -> String {
    if word.chars().any(clean::is_unsafe) {
        let mut quoted = String::from("$'");
        for character in word.chars() {
            if matches!(character, '\'' | '\\') {
                quoted.push('\\');
            }
            quoted.push_str(&escaped(character));
        }
        quoted.push('\'');
        return quoted;
    }
    // What it refuses has a character of code 0, and was handled above.
    shlex::try_quote(word).map_or_else(|_| format!("{word:?}"), Into::into)
}

/// A line in which nothing is hidden.
fn visible(line: &str) -> String {
    line.chars().map(escaped).collect()
}

fn escaped(character: char) -> String {
    match character {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        character if clean::is_unsafe(character) => match u32::from(character) {
            code @ ..=0x7f => format!("\\x{code:02x}"),
            code @ ..=0xffff => format!("\\u{code:04x}"),
            code => format!("\\U{code:08x}"),
        },
        character => character.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_is_what_a_shell_would_run() {
        let arguments = ["commit", "-m", "It's $(rm -rf ~); `x` \"y\"", "", "a b", "*"];
        let program = Program::of(&json!({"program": "git", "arguments": arguments})).unwrap();
        let mut read = shlex::split(&program.quoted()).unwrap();
        assert_eq!(read.remove(0), "git");
        assert_eq!(read, arguments);
    }

    #[test]
    fn what_a_terminal_would_not_show_is_escaped() {
        assert_eq!(quote("a\nb"), "$'a\\nb'");
        assert_eq!(quote("\u{1b}[2J'\\"), "$'\\x1b[2J\\'\\\\'");
        assert_eq!(quote("safe\u{202e}gpj"), "$'safe\\u202egpj'");
        assert_eq!(quote("\u{e0041}"), "$'\\U000e0041'");
        assert_eq!(quote("grüße"), "grüße".to_owned().replace("grüße", &shlex::try_quote("grüße").unwrap()));
    }

    #[test]
    fn of_a_long_input_the_beginning_is_shown_and_that_it_is_only_that() {
        let program = |input: &str| Program::of(&json!({"program": "cat", "input": input})).unwrap().described();
        assert_eq!(program("one\ntwo\u{7}"), "cat\nwith this input of 8 bytes:\n  | one\n  | two\\x07");
        for long in ["x\n".repeat(100), "x".repeat(10_000)] {
            let shown = program(&long);
            assert!(shown.len() < 6_000 && shown.ends_with("only its beginning)"), "{shown}");
        }
    }
}
