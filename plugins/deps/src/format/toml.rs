//! TOML with lines.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Broken, Document, Entry, Lines, Node, Value};

/// Reads a TOML document. Dates and times become text. A key that stands twice breaks it: so says TOML.
///
/// # Errors
/// When it is no TOML, or nested deeper than the parser goes (80 levels); with the line.
pub fn read(text: &str) -> Result<Document<'_>, Broken> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(broken) = Broken::by_size(text) {
        return Err(broken);
    }
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        Broken::at(text, line, format!("it is not valid TOML: {}", error.message()))
    })?;
    let root = Node { line: 1, value: table_of(table.into_inner(), &lines) };
    Ok(Document { root, faults: Vec::new() })
}

fn table_of<'a>(table: DeTable<'a>, lines: &Lines) -> Value<'a> {
    let mut entries: Vec<(usize, Entry<'a>)> = Vec::with_capacity(table.len());
    for (key, value) in table {
        let start = key.span().start;
        let entry = Entry { key: key.into_inner(), line: lines.at(start), value: node(value, lines) };
        entries.push((start, entry));
    }
    // The parser sorts by name; what stands in the file has an order of its own.
    convoke_sdk::small::sort_by_key(&mut entries, |(start, _)| *start);
    Value::Table(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn node<'a>(value: Spanned<DeValue<'a>>, lines: &Lines) -> Node<'a> {
    let line = lines.at(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => Value::Number(number.as_str().to_owned().into()),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned().into()),
        DeValue::Boolean(truth) => Value::Bool(truth),
        DeValue::Datetime(time) => Value::Text(time.to_string().into()),
        DeValue::Array(array) => Value::List(array.into_iter().map(|value| node(value, lines)).collect()),
        DeValue::Table(table) => table_of(table, lines),
    };
    Node { line, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_order_of_the_file_and_know_their_lines() {
        let text = "\u{feff}version = 4\r\n\r\n[[package]]\r\nname = \"b\"\r\n[[package]]\r\nname = \"a\"\r\n[z]\r\n\
                    x.y = { workspace = true }\r\nd = 2026-01-02\r\n[a]\r\n";
        let root = read(text).expect("TOML").root;
        let keys: Vec<(&str, u32)> = root.entries().iter().map(|entry| (&*entry.key, entry.line)).collect();
        assert_eq!(keys, [("version", 1), ("package", 3), ("z", 7), ("a", 10)]);
        let packages = root.get("package").expect("package").list();
        let names: Vec<_> = packages.iter().map(|node| (node.text_of("name"), node.line)).collect();
        assert_eq!(names, [(Some("b"), 3), (Some("a"), 5)]);
        assert!(root.at(&["z", "x", "y", "workspace"]).is_some_and(Node::is_true));
        assert_eq!(root.at(&["z", "d"]).and_then(Node::text), Some("2026-01-02"));
        assert_eq!(root.get("version").and_then(Node::scalar), Some("4"));
    }

    #[test]
    fn what_is_broken_says_its_line() {
        let broken = read("[a]\nb = 1\nb = 2\n").expect_err("twice");
        assert_eq!(broken.line, 3);
        assert!(broken.message.starts_with("it is not valid TOML: "), "{}", broken.message);
        assert_eq!(read("[a]\nb = \n").expect_err("no value").line, 2);
        let merge = read("[a]\n<<<<<<< HEAD\nb = 1\n").expect_err("a merge");
        assert_eq!((merge.line, &*merge.message), (2, "an unresolved merge conflict begins here"));
    }

    #[test]
    fn ten_thousand_brackets_are_a_problem_and_not_an_overflow() {
        for bomb in
            [format!("a = {}", "[".repeat(10_000)), format!("a = {}", "{a=".repeat(10_000)), "[a".repeat(10_000)]
        {
            assert!(read(&bomb).is_err());
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        super::super::testing::pieces(
            &[
                "[",
                "]",
                "[[",
                "=",
                "a",
                ".",
                "\"",
                "'''",
                "\n",
                "{",
                "}",
                ",",
                "1",
                "#",
                "é",
                "\0",
                "\\",
                "2026-01-02",
                " ",
            ],
            |text| {
                let _ = read(text);
            },
        );
    }
}
