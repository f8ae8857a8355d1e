//! YAML with lines, as far as manifests and lockfiles use it.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::tree::{Broken, DEEPEST, Document, Entry, Node, Value, bounded, note, once};
use crate::model::Fault;

/// Reads a text that is one YAML document. An empty one is [`Value::Null`].
///
/// # Errors
/// When it is no YAML, has several documents, keys that are not text, or is nested deeper than [`DEEPEST`]; with the line.
pub fn read(text: &str) -> Result<Document<'_>, Broken> {
    let (mut roots, faults) = read_all(text)?;
    let root = roots.pop().unwrap_or(Node { line: 1, value: Value::Null });
    if !roots.is_empty() {
        return Err(Broken::at(text, root.line, format!("it has {} YAML documents, not one", roots.len() + 1)));
    }
    Ok(Document { root, faults })
}

/// Reads all documents of a text, and what in them was not understood.
///
/// Aliases are not followed: what they stand for can grow without bound, and no manager writes them. Each is a fault, and
/// its value [`Value::Null`].
///
/// # Errors
/// As [`read`], but for the number of documents.
pub fn read_all(text: &str) -> Result<(Vec<Node<'_>>, Vec<Fault>), Broken> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(broken) = Broken::by_size(text) {
        return Err(broken);
    }
    let mut reader = Reader { text, open: Vec::new(), roots: Vec::new(), faults: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Broken::at(text, line_of(error.marker().line()), format!("it is not valid YAML: {}", error.info()))
        })?;
        reader.event(event, line_of(span.start.line()))?;
    }
    let Reader { roots, mut faults, .. } = reader;
    bounded(&mut faults);
    Ok((roots, faults))
}

/// The parser counts lines from 1.
fn line_of(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    text: &'a str,
    open: Vec<Open<'a>>,
    roots: Vec<Node<'a>>,
    faults: Vec<Fault>,
}

/// A list or a table that is not closed yet.
struct Open<'a> {
    line: u32,
    what: What<'a>,
}

enum What<'a> {
    List(Vec<Node<'a>>),
    Table { entries: Vec<Entry<'a>>, key: Option<(std::borrow::Cow<'a, str>, u32)> },
}

impl<'a> Reader<'a> {
    fn event(&mut self, event: Event<'a>, line: u32) -> Result<(), Broken> {
        let what = match event {
            Event::SequenceStart(..) => What::List(Vec::new()),
            Event::MappingStart(..) => What::Table { entries: Vec::new(), key: None },
            Event::Scalar(text, style, ..) => {
                let value = if style == ScalarStyle::Plain { plain(text) } else { Value::Text(text) };
                return self.place(Node { line, value });
            }
            Event::Alias(_) => {
                let message = "an alias (`*name`) is not followed: write out what it stands for";
                note(&mut self.faults, line, message);
                return self.place(Node { line, value: Value::Null });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            _ => return Ok(()),
        };
        if self.open.len() >= DEEPEST {
            return Err(Broken::at(self.text, line, format!("it is nested deeper than {DEEPEST} levels")));
        }
        if let Some(Open { what: What::Table { key: None, .. }, .. }) = self.open.last() {
            return Err(Broken::at(self.text, line, "a key in it is not text".to_owned()));
        }
        self.open.push(Open { line, what });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        let Some(Open { line, what }) = self.open.pop() else { return Ok(()) };
        let value = match what {
            What::List(nodes) => Value::List(nodes),
            What::Table { entries, .. } => Value::Table(once(entries, &mut self.faults)),
        };
        self.place(Node { line, value })
    }

    /// Puts a value where it belongs.
    fn place(&mut self, node: Node<'a>) -> Result<(), Broken> {
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.roots.push(node),
            Some(What::List(nodes)) => nodes.push(node),
            Some(What::Table { entries, key }) => match (key.take(), node.value) {
                (Some((name, line)), value) => {
                    entries.push(Entry { key: name, line, value: Node { line: node.line, value } });
                }
                (None, Value::Text(name) | Value::Number(name)) => *key = Some((name, node.line)),
                (None, Value::Bool(truth)) => *key = Some((if truth { "true" } else { "false" }.into(), node.line)),
                (None, Value::Null) => *key = Some(("null".into(), node.line)),
                (None, Value::List(_) | Value::Table(_)) => {
                    return Err(Broken::at(self.text, node.line, "a key in it is not text".to_owned()));
                }
            },
        }
        Ok(())
    }
}

/// A scalar without quotes, by YAML's core schema.
fn plain(text: std::borrow::Cow<'_, str>) -> Value<'_> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number if is_number(number) => Value::Number(text),
        _ => Value::Text(text),
    }
}

/// Digits, at will with a sign, a point and an exponent.
fn is_number(text: &str) -> bool {
    let unsigned = |text: &str| text.strip_prefix(['-', '+']).unwrap_or(text).to_owned();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (mantissa, exponent) = (unsigned(mantissa), unsigned(exponent));
    let (whole, part) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()) && !exponent.is_empty() && digits(&exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_form_of_a_number_is_one() {
        for number in ["0", "5.10", "-1", "+1.5e3", ".5", "1.", "2E-3"] {
            assert!(is_number(number), "{number}");
        }
        for text in ["", "-", ".", "1.2.3", "e5", "1e", "v1", "0x10", "1_000", "-inf", "1e5.0"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn values_and_keys_know_their_lines() {
        let text = "\u{feff}lockfileVersion: 5.10\r\n\r\n'@a/b':\r\n  resolution: {integrity: sha512-x==}\r\n  dev: true\r\n\
                    list:\r\n- x\r\n- 'true'\r\nempty:\r\n";
        let root = read(text).expect("YAML").root;
        assert_eq!(root.get("lockfileVersion").and_then(Node::scalar), Some("5.10"));
        let entry = root.entry("@a/b").expect("a key in quotes");
        assert_eq!((entry.line, entry.value.line), (3, 4));
        assert_eq!(entry.value.at(&["resolution", "integrity"]).and_then(Node::text), Some("sha512-x=="));
        assert!(entry.value.flag("dev"));
        let list = root.get("list").expect("list").list();
        assert_eq!(list[1], Node { line: 8, value: Value::Text("true".into()) });
        assert_eq!(root.get("empty").map(|node| &node.value), Some(&Value::Null));
    }

    #[test]
    fn several_documents_are_read_where_they_are_asked_for() {
        let text = "---\na: 1\n---\nb: 2\n";
        let (roots, faults) = read_all(text).expect("YAML");
        assert_eq!((roots.len(), faults.len()), (2, 0));
        assert!(roots[1].get("b").is_some());
        assert_eq!(read(text).expect_err("two").message, "it has 2 YAML documents, not one");
        assert_eq!(read("# nothing\n").expect("nothing").root.value, Value::Null);
        assert_eq!(read("").expect("nothing").root.value, Value::Null);
    }

    #[test]
    fn what_is_broken_says_its_line() {
        let line = |text: &str| read(text).expect_err(text).line;
        assert_eq!(line("a: 1\nb: [1,\n"), 3);
        assert_eq!(line("a: b: c\n"), 1);
        assert_eq!(line("a: 1\n? [x]\n: y\n"), 2);
        let merge = read("a: 1\n<<<<<<< HEAD\nb: 1\n").expect_err("a merge");
        assert_eq!((merge.line, &*merge.message), (2, "an unresolved merge conflict begins here"));
    }

    #[test]
    fn an_alias_is_said_and_not_followed() {
        let document = read("a: &a [x]\nb: *a\nc: 1\n").expect("YAML");
        assert_eq!(document.faults.len(), 1);
        assert_eq!(document.faults[0].line, Some(2));
        assert_eq!(document.root.get("b").map(|node| &node.value), Some(&Value::Null));
        assert_eq!(document.root.get("c").and_then(Node::scalar), Some("1"));
    }

    #[test]
    fn ten_thousand_brackets_are_a_problem_and_not_an_overflow() {
        for bomb in [
            format!("a: {}", "[".repeat(10_000)),
            format!("a: {}", "{a: ".repeat(10_000)),
            "- ".repeat(10_000),
            "? ".repeat(10_000),
        ] {
            assert!(read(&bomb).is_err());
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        super::super::testing::pieces(
            &[
                "name", ": ", ":", "- ", "\n", "  ", "\t", "[", "]", "{", "}", "'", "\"", "|", ">", "&a", "*a",
                "!!str ", "%YAML", "#", "...", "? ", ",", "é", "\0", "\\", "\r", "--- ", "\u{2028}",
            ],
            |text| {
                let _ = read_all(text);
            },
        );
    }
}
