//! JSON with lines, strict as RFC 8259 has it.

use nojson::{JsonParseError, JsonValueKind, RawJson, RawJsonValue};

use super::tree::{Broken, DEEPEST, Document, Entry, Lines, Node, Value, bounded, once};
use crate::model::Fault;

/// Reads a text that is one JSON value.
///
/// # Errors
/// When it is no JSON, or nested deeper than [`DEEPEST`]; with the line.
pub fn read(text: &str) -> Result<Document<'_>, Broken> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(broken) = Broken::by_size(text) {
        return Err(broken);
    }
    let json = RawJson::parse(text).map_err(|error| broken(text, &error))?;
    let mut reader = Reader { lines: Lines::new(text), faults: Vec::new() };
    let root = reader.node(json.value()).map_err(|error| broken(text, &error))?;
    let mut faults = reader.faults;
    bounded(&mut faults);
    Ok(Document { root, faults })
}

struct Reader {
    lines: Lines,
    faults: Vec<Fault>,
}

impl Reader {
    /// The depth is bounded by the parser, at [`DEEPEST`].
    fn node<'a>(&mut self, json: RawJsonValue<'a, '_>) -> Result<Node<'a>, JsonParseError> {
        let line = self.lines.at(json.position());
        let value = match json.kind() {
            JsonValueKind::Null => Value::Null,
            JsonValueKind::Boolean => Value::Bool(json.as_raw_str() == "true"),
            JsonValueKind::Integer | JsonValueKind::Float => Value::Number(json.as_raw_str().into()),
            JsonValueKind::String => Value::Text(json.to_unquoted_string_str()?),
            JsonValueKind::Array => {
                Value::List(json.to_array()?.map(|json| self.node(json)).collect::<Result<_, _>>()?)
            }
            JsonValueKind::Object => {
                let mut entries = Vec::new();
                for (key, json) in json.to_object()? {
                    let line = self.lines.at(key.position());
                    entries.push(Entry { key: key.to_unquoted_string_str()?, line, value: self.node(json)? });
                }
                Value::Table(once(entries, &mut self.faults))
            }
        };
        Ok(Node { line, value })
    }
}

const _: () = assert!(nojson::MAX_NESTING_DEPTH == DEEPEST);

fn broken(text: &str, error: &JsonParseError) -> Broken {
    let position = error.position().min(text.len());
    let line = convoke_sdk::text::line_at(text, position);
    let message = match error {
        JsonParseError::UnexpectedEos { .. } if text.trim().is_empty() => "it is empty".to_owned(),
        JsonParseError::UnexpectedEos { .. } => "it is not valid JSON: it ends too early".to_owned(),
        JsonParseError::InvalidValue { .. } => format!("it is nested deeper than {DEEPEST} levels"),
        JsonParseError::UnexpectedTrailingChar { .. } => "it is not valid JSON: something stands after its end".into(),
        JsonParseError::UnexpectedValueChar { .. } => match text.get(position..).and_then(|rest| rest.chars().next()) {
            Some(char) => format!("it is not valid JSON: `{char}` should not stand here"),
            None => "it is not valid JSON".to_owned(),
        },
    };
    Broken::at(text, line, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_keys_know_their_lines() {
        let text = "\u{feff}{\r\n  \"a\": \"x\\ny\",\r\n  \"b\": [1.50,\r\n null, true],\r\n  \"c\":\r\n  {}\r\n}\r\n";
        let document = read(text).expect("JSON");
        assert_eq!(document.faults, []);
        let root = document.root;
        assert_eq!(root.text_of("a"), Some("x\ny"));
        let list = root.get("b").expect("b").list();
        assert_eq!(list[0], Node { line: 3, value: Value::Number("1.50".into()) });
        assert_eq!(list[1], Node { line: 4, value: Value::Null });
        assert!(list[2].is_true());
        let c = root.entry("c").expect("c");
        assert_eq!((c.line, c.value.line, c.value.entries().len()), (5, 6, 0));
        assert_eq!(root.at(&["c", "d"]), None);
    }

    #[test]
    fn what_is_broken_says_its_line() {
        let says = |text: &str| read(text).map_err(|broken| (broken.line, broken.message)).expect_err(text);
        assert_eq!(says(""), (1, "it is empty".to_owned()));
        assert_eq!(says("{\n\"a\": 1,\n}"), (3, "it is not valid JSON: `}` should not stand here".to_owned()));
        assert_eq!(says("{\n\"a\": [1,\n"), (3, "it is not valid JSON: it ends too early".to_owned()));
        assert_eq!(says("{}\n\nx").0, 3);
        assert_eq!(says("{\n// no comments\n}").0, 2);
        let merge = "{\n<<<<<<< HEAD\n\"a\": 1\n=======\n\"a\": 2\n>>>>>>> b\n}";
        assert_eq!(says(merge), (2, "an unresolved merge conflict begins here".to_owned()));
        assert!(says("{\"a\": \"\\ud800\"}").1.starts_with("it is not valid JSON"));
    }

    #[test]
    fn ten_thousand_brackets_are_a_problem_and_not_an_overflow() {
        for open in ["[", "{\"a\":"] {
            let message = read(&open.repeat(10_000)).expect_err("too deep").message;
            assert_eq!(message, "it is nested deeper than 128 levels");
        }
        let fits = format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST));
        assert!(read(&fits).is_ok());
    }

    #[test]
    fn a_key_that_stands_twice_is_said() {
        let document = read("{\"a\": 1,\n\"a\": 2}").expect("JSON");
        assert_eq!(document.root.get("a").and_then(Node::scalar), Some("2"));
        assert_eq!(document.faults.len(), 1);
        assert_eq!(document.faults[0].line, Some(2));
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        super::super::testing::pieces(
            &[
                "{", "}", "[", "]", "\"", "\\", "\\u", "d800", "a", ":", ",", "1", "-", ".", "e9", "é", "\n", "\0",
                "true", " ",
            ],
            |text| {
                let _ = read(text);
            },
        );
    }
}
