//! Lines of a shell, taken apart into commands: as much of its grammar as documents use.
//!
//! Quotes, comments, line continuations, here-documents, redirections and the operators between commands are known; what a
//! shell would put in place of `$x`, `` `x` `` or `*` is not, and a word that has it says so.

/// A word of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    /// Without its quotes.
    pub(crate) text: String,
    /// It stands there as it will be: nothing in it is put in by a shell or a reader.
    pub(crate) plain: bool,
}

/// A command with its arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Command {
    /// `NAME=value` before it, by their names.
    pub(crate) assigned: Vec<String>,
    /// The program and its arguments.
    pub(crate) words: Vec<Word>,
    /// The files that it writes by `>`.
    pub(crate) written: Vec<String>,
    /// How many lines above it there are in the text.
    pub(crate) line: u32,
}

impl Command {
    /// The program's name; empty where there is none.
    pub(crate) fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// The words after the program.
    pub(crate) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or(&[])
    }
}

/// The commands of a text. Where lines begin with a prompt (`$ `), the others are what the commands printed.
pub(crate) fn commands(text: &str) -> Vec<Command> {
    let prompted = text.lines().any(|line| prompt(line).is_some());
    let mut found = Vec::new();
    let mut lines = (0u32..).zip(text.lines()).peekable();
    while let Some((at, line)) = lines.next() {
        let Some(line) = (if prompted { prompt(line) } else { Some(line) }) else { continue };
        let mut joined = line.trim_end().to_owned();
        while joined.ends_with('\\') && lines.peek().is_some() {
            joined.pop();
            joined.push(' ');
            if let Some((_, more)) = lines.next() {
                joined.push_str(more.strip_prefix("> ").filter(|_| prompted).unwrap_or(more).trim_end());
            }
        }
        let end = split(&joined, at, &mut found);
        if let Some(end) = end {
            while lines.next_if(|(_, line)| line.trim() != end).is_some() {}
            lines.next();
        }
    }
    found
}

fn prompt(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("$ ").or_else(|| line.strip_prefix("% "))
}

/// Takes one line apart. What ends a here-document, where one begins in it.
fn split(line: &str, at: u32, found: &mut Vec<Command>) -> Option<String> {
    let mut command = Command { line: at, ..Command::default() };
    let mut here = None;
    let mut redirected = None;
    let mut chars = line.chars().peekable();
    while let Some(&char) = chars.peek() {
        match char {
            ' ' | '\t' => {
                chars.next();
            }
            '#' => break,
            ';' | '|' | '&' | '(' | ')' => {
                chars.next();
                finish(&mut command, found);
            }
            '>' => {
                chars.next();
                while chars.next_if(|char| matches!(char, '>' | '&' | '|')).is_some() {}
                redirected = Some(true);
            }
            '<' => {
                chars.next();
                let is_here = chars.next_if_eq(&'<').is_some();
                chars.next_if_eq(&'-');
                // A placeholder: `<name>`.
                if !is_here && chars.peek().is_some_and(|char| char.is_alphabetic()) {
                    let inside: String = chars.by_ref().take_while(|char| *char != '>').collect();
                    let more = word(&mut chars);
                    command.words.push(Word { text: format!("<{inside}>{}", more.text), plain: false });
                    continue;
                }
                redirected = Some(false);
                if is_here {
                    while chars.next_if_eq(&' ').is_some() {}
                    here = Some(word(&mut chars).text);
                    redirected = None;
                }
            }
            _ => {
                let next = word(&mut chars);
                match redirected.take() {
                    Some(true) => command.written.push(next.text),
                    Some(false) => {}
                    // `2>` and `2>&1`: the number is part of the redirection.
                    None if next.text.chars().all(|char| char.is_ascii_digit()) && chars.peek() == Some(&'>') => {}
                    None => push(&mut command, next),
                }
            }
        }
    }
    finish(&mut command, found);
    here.filter(|end| !end.is_empty())
}

fn push(command: &mut Command, word: Word) {
    if command.words.is_empty()
        && let Some((name, _)) = word.text.split_once('=')
        && is_variable(name)
    {
        command.assigned.push(name.to_owned());
        return;
    }
    // What only runs the rest.
    if command.words.is_empty() && matches!(word.text.as_str(), "sudo" | "time" | "exec" | "env" | "then" | "do" | "!")
    {
        return;
    }
    command.words.push(word);
}

fn finish(command: &mut Command, found: &mut Vec<Command>) {
    let next = Command { line: command.line, ..Command::default() };
    let done = std::mem::replace(command, next);
    if !(done.words.is_empty() && done.assigned.is_empty() && done.written.is_empty()) {
        found.push(done);
    }
}

/// Whether it can be the name of a variable.
pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

fn word(chars: &mut std::iter::Peekable<std::str::Chars>) -> Word {
    let mut word = Word { text: String::new(), plain: true };
    while let Some(&char) = chars.peek() {
        match char {
            ' ' | '\t' | ';' | '|' | '&' | '(' | ')' | '>' => break,
            // A placeholder inside of a word: `service=<name>`.
            '<' => {
                word.plain = false;
                word.text.extend(chars.by_ref().take_while(|char| *char != '>'));
                continue;
            }
            '\'' => {
                chars.next();
                word.text.extend(chars.by_ref().take_while(|char| *char != '\''));
                continue;
            }
            '"' => {
                chars.next();
                while let Some(char) = chars.next() {
                    match char {
                        '"' => break,
                        '\\' => word.text.extend(chars.next()),
                        _ => {
                            word.plain &= !matches!(char, '$' | '`');
                            word.text.push(char);
                        }
                    }
                }
                continue;
            }
            '\\' => {
                chars.next();
                word.text.extend(chars.next());
                continue;
            }
            '$' | '`' | '*' | '?' | '[' | '{' | '~' => word.plain = false,
            _ => {}
        }
        word.text.push(char);
        chars.next();
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        commands(text)
            .iter()
            .map(|command| {
                let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
                format!("{}:{}", command.line, words.join("·"))
            })
            .collect()
    }

    #[test]
    fn commands_stand_between_operators() {
        assert_eq!(
            words("cd a && npm run 'b c' | tee x; make # not this"),
            ["0:cd·a", "0:npm·run·b c", "0:tee·x", "0:make"]
        );
        assert_eq!(words("a \\\n  b\nc"), ["0:a·b", "2:c"]);
        assert_eq!(words("sudo apt install x\n(cd y)"), ["0:apt·install·x", "1:cd·y"]);
    }

    #[test]
    fn what_a_command_printed_is_no_command() {
        assert_eq!(words("$ make build\nmake: nothing to do\n$ make x"), ["0:make·build", "2:make·x"]);
    }

    #[test]
    fn the_text_of_a_here_document_is_no_command() {
        let found = commands("cat <<'EOF' > a.yml\nmake it\nEOF\nmake that");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].written.as_slice(), found[1].line), (&["a.yml".to_owned()][..], 3));
    }

    #[test]
    fn variables_before_a_command_are_its_own() {
        let found = commands("A_B=1 C=\"x y\" run > out 2>&1");
        assert_eq!(found[0].assigned, ["A_B", "C"]);
        assert_eq!(found[0].program(), "run");
        assert_eq!(found[0].written, ["out", "1"]);
        assert_eq!(commands("export A=1")[0].arguments()[0].text, "A=1");
    }

    #[test]
    fn a_word_says_whether_it_stands_as_it_is() {
        for (text, plain) in [("a", true), ("'$a'", true), ("$a", false), ("\"$a\"", false), ("*.rs", false)] {
            assert_eq!(commands(&format!("x {text}"))[0].words[1].plain, plain, "{text}");
        }
        assert!(!commands("make s=<name>")[0].words[1].plain);
        assert_eq!(commands("run <name> --x")[0].words[1], Word { text: "<name>".to_owned(), plain: false });
    }

    #[test]
    fn broken_text_ends_somewhere() {
        for text in ["'", "\"", "\\", "<<", "<", "a <<X", "$(", "`", "a >", "é'ü\"\\"] {
            commands(text);
        }
    }
}
