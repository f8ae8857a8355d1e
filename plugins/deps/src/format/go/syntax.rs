//! The lines of `go.mod` and `go.work`, after `golang.org/x/mod/modfile`.

use std::borrow::Cow;

use crate::format::reading::{Faults, MOST_ENTRIES, numbered};

/// A directive, wherever it stood: a line of its own, or one of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    /// Counted from 1.
    pub(super) line: u32,
    /// `require`, `replace` and so on.
    pub(super) verb: Cow<'a, str>,
    /// The words after it, without quotes.
    pub(super) words: Vec<Cow<'a, str>>,
    /// What the comment at the end of its line says, without `//`.
    pub(super) comment: Option<&'a str>,
}

/// The directives of a file, in its order. None: there are too many.
pub(super) fn statements<'a>(text: &'a str, faults: &mut Faults) -> Option<Vec<Statement<'a>>> {
    let mut found = Vec::new();
    let mut block: Option<(Cow<'a, str>, u32)> = None;
    for (line, text) in numbered(text) {
        let (mut words, comment) = match words(text) {
            Ok(read) => read,
            Err(message) => {
                faults.add(line, message);
                continue;
            }
        };
        if words.is_empty() {
            continue;
        }
        if found.len() >= MOST_ENTRIES {
            return None;
        }
        if let Some((verb, _)) = &block {
            if words.first().is_some_and(|word| word == ")") {
                if words.len() > 1 {
                    faults.add(line, "something stands after the bracket that closes a block");
                }
                block = None;
            } else {
                found.push(Statement { line, verb: verb.clone(), words, comment });
            }
            continue;
        }
        let verb = words.remove(0);
        if matches!(words.as_slice(), [open] if open == "(") {
            block = Some((verb, line));
        } else if !matches!(words.as_slice(), [open, close] if open == "(" && close == ")") {
            found.push(Statement { line, verb, words, comment });
        }
    }
    if let Some((verb, line)) = block {
        faults.add(line, &format!("the block of {verb} that begins here is never closed"));
    }
    Some(found)
}

/// The most words of a line; the longest directive has five.
const MOST_WORDS: usize = 64;

type Words<'a> = (Vec<Cow<'a, str>>, Option<&'a str>);

/// The words of a line, and its comment. Brackets and commas are words of their own.
fn words(line: &str) -> Result<Words<'_>, &'static str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if words.len() > MOST_WORDS {
            return Err("this line has more words than any directive");
        }
        if let Some(comment) = rest.strip_prefix("//") {
            return Ok((words, Some(comment)));
        }
        if rest.starts_with("/*") {
            return Err("only // begins a comment here");
        }
        let length = match first {
            '(' | ')' | '[' | ']' | '{' | '}' | ',' => 1,
            '"' => {
                let (word, length) = quoted(rest)?;
                words.push(Cow::Owned(word));
                rest = rest.get(length..).unwrap_or_default().trim_start();
                continue;
            }
            '`' => {
                let end = rest.get(1..).and_then(|rest| rest.find('`')).ok_or("a quoted word is not closed")?;
                words.push(Cow::Borrowed(rest.get(1..end + 1).unwrap_or_default()));
                rest = rest.get(end + 2..).unwrap_or_default().trim_start();
                continue;
            }
            _ => {
                let end =
                    rest.find(|char: char| char.is_whitespace() || "()[]{},".contains(char)).unwrap_or(rest.len());
                let comment = rest.find("//").unwrap_or(rest.len());
                end.min(comment)
            }
        };
        let (word, after) = rest.split_at(length);
        words.push(Cow::Borrowed(word));
        rest = after.trim_start();
    }
    Ok((words, None))
}

/// A word in double quotes at the beginning of a text, and its length there. Of the escapes of Go only those are read that a
/// path can need.
fn quoted(text: &str) -> Result<(String, usize), &'static str> {
    let mut word = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((word, at + 1)),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                _ => return Err("a quoted word has an escape that no path needs"),
            },
            char => word.push(char),
        }
    }
    Err("a quoted word is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Manager};

    fn read(text: &str) -> (Vec<String>, Vec<u32>) {
        let mut faults = Faults::default();
        let statements = statements(text, &mut faults).expect("not too many");
        let shown = statements.iter().map(|one| format!("{} {}|{}", one.line, one.verb, one.words.join("|"))).collect();
        let file = faults.into(File::new("go.mod", Manager::Go, "go.mod"));
        (shown, file.faults.iter().filter_map(|fault| fault.line).collect())
    }

    #[test]
    fn a_block_is_many_directives() {
        let text = "module a.example/b // the module\r\n\r\nrequire (\r\n\tx v1 // indirect\r\n\r\n\t\"y\" `v2`\r\n)\r\nexclude ()\r\n";
        assert_eq!(
            read(text),
            (vec!["1 module|a.example/b".into(), "4 require|x|v1".into(), "6 require|y|v2".into()], vec![])
        );
    }

    #[test]
    fn brackets_and_commas_are_words() {
        assert_eq!(read("retract [v1.0.0, v1.2.0] // bad").0, ["1 retract|[|v1.0.0|,|v1.2.0|]"]);
        assert_eq!(read("replace a => ./b//c").0, ["1 replace|a|=>|./b"]);
    }

    #[test]
    fn what_is_not_closed_says_where_it_began() {
        assert_eq!(read("require (\n a v1\n").1, [1]);
        assert_eq!(read(&"a ".repeat(1_000)).1, [1]);
        assert_eq!(read("module \"a\nrequire `b v1\n/* no */\nmodule \"a\\n\"\n").1, [1, 2, 3, 4]);
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let pieces = ["(", ")", "\"", "`", "\\", "//", "/*", "é", "\n", " ", "require", "=>", "\u{feff}", "[", ","];
        crate::format::testing::pieces(&pieces, |text| drop(read(text)));
    }
}
