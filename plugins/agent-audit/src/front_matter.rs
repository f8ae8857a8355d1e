//! The YAML between two `---` lines at the top of an agent, with the lines its values stand in.
//!
//! It comes from a stranger: aliases and anchors are refused, and size, depth and the number of values are limited, so
//! that a YAML bomb is a finding.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// The longest front matter that is parsed, in bytes. Real ones have less than 4 KiB.
const LONGEST: usize = 64 << 10;
/// The deepest nesting, and the most values in all.
const DEEPEST: usize = 12;
const MOST: usize = 2_000;

/// What stands at the top of a file.
#[derive(Debug, Default, PartialEq)]
pub struct FrontMatter {
    /// Why it can't be used as it is.
    pub problem: Option<Problem>,
    /// What it says; of broken YAML, what could be read line by line.
    pub fields: Vec<Field>,
}

/// Why front matter can't be used.
#[derive(Debug, PartialEq)]
pub enum Problem {
    /// There is none. Why it was not taken for one, where something looks like it.
    Missing(Option<&'static str>),
    /// It doesn't parse.
    Broken {
        /// Line of the file, counted from 1.
        line: u32,
        /// What is wrong there.
        what: String,
        /// What to do about it, where that can be told.
        help: Option<&'static str>,
    },
}

/// One `key: value`.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// The key.
    pub key: String,
    /// Line of the key, counted from 1.
    pub line: u32,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// `key:` or `key: null`.
    Nothing,
    /// Text, number or truth value, as it is written.
    Text(String),
    /// A list, with the line of each entry.
    List(Vec<(u32, Value)>),
    /// A mapping. Agents have none that the audit looks into, except that it is not text.
    Mapping,
}

impl FrontMatter {
    /// The field of that name.
    pub fn get(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The text of that name, trimmed. None for nothing, empty text, lists and mappings.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The line of that field; of a missing one, the first.
    pub fn line(&self, key: &str) -> u32 {
        self.get(key).map_or(1, |field| field.line)
    }

    /// Whether it was read without a problem, so that what is not in it is missing.
    pub fn is_whole(&self) -> bool {
        self.problem.is_none()
    }
}

/// Front matter, the text below it, and the line where that text begins.
pub fn split(text: &str) -> (FrontMatter, &str, u32) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or("");
    if !is_fence(first) {
        let why = match text.trim_start() {
            rest if !rest.starts_with("---") => None,
            _ => Some("`---` must be the very first line"),
        };
        return (FrontMatter { problem: Some(Problem::Missing(why)), fields: Vec::new() }, text, 1);
    }
    let (mut end, mut count) = (first.len(), 1);
    for line in lines {
        count += 1;
        if is_fence(line) {
            return (parse(&text[first.len()..end]), &text[end + line.len()..], count + 1);
        }
        end += line.len();
    }
    unclosed(text, first.len())
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

/// Without a second `---`, the front matter is taken to end where lines stop to be `key: value`.
fn unclosed(text: &str, from: usize) -> (FrontMatter, &str, u32) {
    let mut end = from;
    let mut count = 1;
    for line in text[from..].split_inclusive('\n') {
        if line.trim().is_empty() || line.starts_with('#') {
            break;
        }
        end += line.len();
        count += 1;
    }
    let problem = Problem::Broken {
        line: 1,
        what: "it is never closed".to_owned(),
        help: Some("put a line `---` between the front matter and the instructions"),
    };
    (FrontMatter { problem: Some(problem), fields: line_by_line(&text[from..end]) }, &text[end..], count + 1)
}

/// YAML that begins in line 2 of its file.
fn parse(yaml: &str) -> FrontMatter {
    if yaml.len() > LONGEST {
        let what = format!("it has {} bytes, more than the {LONGEST} that are read", yaml.len());
        return FrontMatter { problem: Some(Problem::Broken { line: 1, what, help: None }), fields: Vec::new() };
    }
    match tree(yaml) {
        Ok(fields) => FrontMatter { problem: None, fields },
        Err(problem) => FrontMatter { problem: Some(problem), fields: line_by_line(yaml) },
    }
}

fn broken(line: u32, what: impl Into<String>) -> Problem {
    Problem::Broken { line, what: what.into(), help: None }
}

/// A list or a mapping that is still open.
enum Open {
    List(Vec<(u32, Value)>),
    Mapping { fields: Vec<Field>, key: Option<(u32, String)> },
}

fn tree(yaml: &str) -> Result<Vec<Field>, Problem> {
    let mut open: Vec<(u32, Open)> = Vec::new();
    let (mut count, mut documents) = (0, 0);
    for event in Parser::new_from_str(yaml) {
        let (event, span) = event.map_err(|error| {
            let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX).saturating_add(1);
            not_yaml(yaml, line, error.info())
        })?;
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX).saturating_add(1);
        count += 1;
        if count > MOST {
            return Err(broken(line, format!("it has more than {MOST} values")));
        }
        let value = match event {
            Event::Alias(_) => return Err(broken(line, "aliases (`*name`) are not allowed in it")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                return Err(broken(line, "anchors (`&name`) are not allowed in it"));
            }
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(broken(line, "it has more than one YAML document"));
                }
                continue;
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => {
                return Err(broken(line, format!("it is nested deeper than {DEEPEST} levels")));
            }
            Event::SequenceStart(..) => {
                open.push((line, Open::List(Vec::new())));
                continue;
            }
            Event::MappingStart(..) => {
                open.push((line, Open::Mapping { fields: Vec::new(), key: None }));
                continue;
            }
            Event::Scalar(text, style, ..) => {
                let plain_nothing =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (line, if plain_nothing { Value::Nothing } else { Value::Text(text.into_owned()) })
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some((line, Open::List(entries))) => (line, Value::List(entries)),
                Some((_, Open::Mapping { fields, .. })) if open.is_empty() => return Ok(fields),
                Some((line, Open::Mapping { .. })) => (line, Value::Mapping),
                None => continue,
            },
            _ => continue,
        };
        place(&mut open, value)?;
    }
    Err(broken(2, if documents == 0 { "it is empty" } else { "it is not a list of `key: value` lines" }))
}

/// Puts a value where it belongs.
fn place(open: &mut [(u32, Open)], (line, value): (u32, Value)) -> Result<(), Problem> {
    match open.last_mut() {
        None => Err(broken(line, "it is not a list of `key: value` lines")),
        Some((_, Open::List(entries))) => {
            entries.push((line, value));
            Ok(())
        }
        Some((_, Open::Mapping { fields, key })) => {
            let Some((line, name)) = key.take() else {
                let Value::Text(name) = value else { return Err(broken(line, "a key in it is not text")) };
                if let Some(first) = fields.iter().find(|field| field.key == name) {
                    let what = format!(
                        "the key `{}` stands in it twice, first in line {}",
                        convoke_sdk::text::shown(&name, 64),
                        first.line
                    );
                    return Err(broken(line, what));
                }
                *key = Some((line, name));
                return Ok(());
            };
            fields.push(Field { key: name, line, value });
            Ok(())
        }
    }
}

/// The parser's words, and what to do where the usual mistake was made.
fn not_yaml(yaml: &str, line: u32, info: &str) -> Problem {
    let source = yaml.lines().nth((line as usize).saturating_sub(2)).unwrap_or("");
    let value = source.split_once(':').map_or("", |(_, value)| value.trim_start());
    let help = if source.starts_with('\t') {
        Some("YAML is indented with spaces, not with tabs")
    } else if value.contains(": ") && !value.starts_with(['"', '\'', '|', '>']) {
        Some("a value with a colon in it must stand in quotes, or below its key as a block: `description: >`")
    } else if value.starts_with(['@', '`', '%']) || value.starts_with('*') || value.starts_with('&') {
        Some("a value that begins with this character must stand in quotes")
    } else {
        None
    };
    Problem::Broken { line, what: format!("it is not valid YAML: {}", convoke_sdk::text::shown(info, 160)), help }
}

/// The lines `key: value` of text that is not YAML, so that one mistake doesn't hide all others.
fn line_by_line(yaml: &str) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (line, source) in (2..).zip(yaml.lines()).take(MOST) {
        let Some((key, value)) = source.split_once(':') else { continue };
        let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_');
        if !is_key || fields.iter().any(|field| field.key == key) {
            continue;
        }
        let value = value.trim();
        let value = value.strip_prefix(['"', '\'']).and_then(|value| value.strip_suffix(['"', '\''])).unwrap_or(value);
        let unread = value.starts_with(['|', '>', '&', '*', '{']);
        let value = if value.is_empty() || unread { Value::Nothing } else { Value::Text(value.to_owned()) };
        fields.push(Field { key: key.to_owned(), line, value });
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<(u32, String)> {
        match split(text).0.problem {
            Some(Problem::Broken { line, what, .. }) => Some((line, what)),
            Some(Problem::Missing(_)) => Some((0, "missing".to_owned())),
            None => None,
        }
    }

    #[test]
    fn values_know_their_lines() {
        let (front, body, line) = split("---\nname: a\ntools:\n  - Read\n  - Bash(git:*)\nx: ~\n---\n\nBody\n");
        assert_eq!(front.problem, None);
        assert_eq!((front.text("name"), front.line("name")), (Some("a"), 2));
        let tools = front.get("tools").expect("tools");
        assert_eq!(tools.line, 3);
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(tools.value, Value::List(vec![(4, text("Read")), (5, text("Bash(git:*)"))]));
        assert_eq!(front.get("x").map(|field| &field.value), Some(&Value::Nothing));
        assert_eq!((body, line), ("\nBody\n", 8));
    }

    #[test]
    fn windows_lines_and_a_byte_order_mark_are_fine() {
        let (front, body, line) = split("\u{feff}---\r\nname: a\r\ndescription: >\r\n  two\r\n  lines\r\n---\r\nBody");
        assert_eq!((front.text("name"), front.text("description")), (Some("a"), Some("two lines")));
        assert_eq!((body, line), ("Body", 7));
    }

    #[test]
    fn a_colon_in_an_unquoted_value_is_broken_with_its_line_and_help() {
        let (front, ..) =
            split("---\nname: ab-test\ndescription: Use when asked. Triggers on: 'p-value'\ntools: Read\n---\nBody");
        let Some(Problem::Broken { line, help, .. }) = &front.problem else { panic!("{:?}", front.problem) };
        assert_eq!(*line, 3);
        assert!(help.is_some_and(|help| help.contains("quotes")));
        assert_eq!(front.text("name"), Some("ab-test"));
        assert_eq!(front.text("tools"), Some("Read"));
    }

    #[test]
    fn what_is_not_front_matter_is_missing() {
        assert_eq!(split("# Title\n").0.problem, Some(Problem::Missing(None)));
        assert_eq!(split("").0.problem, Some(Problem::Missing(None)));
        assert!(matches!(split("\n---\nname: a\n---\n").0.problem, Some(Problem::Missing(Some(_)))));
    }

    #[test]
    fn front_matter_that_is_never_closed_is_broken_and_still_read() {
        let (front, body, line) = split("---\nname: a\n\nYou are\n");
        assert!(matches!(front.problem, Some(Problem::Broken { line: 1, .. })));
        assert_eq!((front.text("name"), body, line), (Some("a"), "\nYou are\n", 3));
    }

    #[test]
    fn what_is_not_key_and_value_is_broken() {
        assert_eq!(problem("---\n- a\n---\n").expect("a problem").0, 2);
        assert_eq!(problem("---\njust text\n---\n").expect("a problem").0, 2);
        assert!(problem("---\n---\n").expect("a problem").1.contains("empty"));
        assert!(problem("---\nname: a\nname: b\n---\n").expect("a problem").1.contains("twice, first in line 2"));
        assert!(problem("---\n? [a]\n: b\n---\n").is_some());
    }

    #[test]
    fn a_yaml_bomb_is_a_problem_not_a_hang() {
        let aliases = "---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\n";
        assert!(problem(aliases).expect("a problem").1.contains("anchors"));
        for bomb in [
            format!("---\na: {}{}\n---\n", "[".repeat(5_000), "]".repeat(5_000)),
            format!("---\na: {}\n---\n", "{a: ".repeat(5_000)),
            format!("---\n{}\n---\n", "- ".repeat(5_000)),
            format!("---\na: [{}]\n---\n", "x,".repeat(5_000)),
            format!("---\na: \"{}\n---\n", "\\".repeat(60_000)),
            format!("---\nname: {}\n---\n", "x".repeat(1 << 20)),
            format!("---\n{}\n---\n", "? ".repeat(5_000)),
        ] {
            assert!(problem(&bomb).is_some(), "{}", &bomb[..20]);
        }
    }

    /// The YAML parser has places that it takes for unreachable: no text may reach them.
    #[test]
    fn no_text_makes_the_parser_panic() {
        let pieces = [
            "name", ": ", ":", "- ", "\n", "  ", "\t", "[", "]", "{", "}", "'", "\"", "|", ">", "&a", "*a", "!!str ",
            "%YAML", "#", "...", "? ", ",", "é", "\0", "\\", "x", "\r", "--- ", "\u{2028}",
        ];
        let mut seed = 11u64;
        for _ in 0..10_000 {
            let mut text = String::from("---\n");
            for _ in 0..14 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            text.push_str("\n---\nBody");
            split(&text);
        }
    }
}
