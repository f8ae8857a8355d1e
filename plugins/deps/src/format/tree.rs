//! What JSON, TOML and YAML have in common: values that know their lines.
//!
//! The readers beside this module make such values; the parsers of formats look only at these. The text of a value is
//! borrowed from the file where nothing in it is escaped, so that a lockfile of many megabytes is not held twice.

use convoke_sdk::small::Map;
use std::borrow::Cow;

use crate::model::{Fault, File};

/// The deepest nesting of lists and tables that is read. Real manifests and lockfiles stay below 40.
pub const DEEPEST: usize = 128;

/// So many faults are told of a file; the rest is counted.
pub const MOST_FAULTS: usize = 50;

/// So many faults are counted of a file.
const MOST_COUNTED: usize = 10_000;

/// So many marks that begin or end a value may stand in a text. A real lockfile of 16 MiB has under two million; what has
/// more is made to fill the memory.
const MOST_MARKS: usize = 4_000_000;

/// A value, and the line that it begins in, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'a> {
    /// Counted from 1.
    pub line: u32,
    /// What stands there.
    pub value: Value<'a>,
}

/// What a value can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`, `~`, or nothing after a key of YAML.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number as it is written: `5.10` stays that.
    Number(Cow<'a, str>),
    /// Text; of TOML a date or time too.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// A table, in the order of the file. A key stands in it once.
    Table(Vec<Entry<'a>>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The line of the key, counted from 1.
    pub line: u32,
    /// The value.
    pub value: Node<'a>,
}

/// A text that was read: its value, and what in it was not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'a> {
    /// The outermost value.
    pub root: Node<'a>,
    /// Keys that stand twice, aliases that are not followed.
    pub faults: Vec<Fault>,
}

/// Why a text can't be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Counted from 1.
    pub line: u32,
    /// What is wrong there, for people.
    pub message: String,
}

impl Broken {
    /// The file of which nothing can be read because of it.
    pub fn of(&self, file: File) -> File {
        file.broken(Some(self.line), &self.message)
    }

    /// Why a text is not read: it has more values than any real one.
    pub(super) fn by_size(text: &str) -> Option<Self> {
        let mark = |byte: &u8| matches!(byte, b'\n' | b',' | b'[' | b'{' | b'=');
        let marks = text.as_bytes().iter().filter(|byte| mark(byte)).count();
        let message = format!("it has more values than are read: about {marks}, and {MOST_MARKS} are the most");
        (marks > MOST_MARKS).then_some(Self { line: 1, message })
    }

    /// What is wrong at a line. The mark of an unresolved merge says more than any parser's words, and stands before them.
    pub(super) fn at(text: &str, line: u32, message: String) -> Self {
        let merge = (1..=line).zip(text.lines()).find(|(_, source)| source.starts_with("<<<<<<<"));
        let (line, message) = match merge {
            Some((line, _)) => (line, "an unresolved merge conflict begins here".to_owned()),
            None => (line, message),
        };
        Self { line, message: convoke_sdk::text::shown(&message, 300) }
    }
}

impl<'a> Node<'a> {
    /// The value of a key. None: it is not there, or this is no table.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A key with its value.
    pub fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value at the end of several keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Node<'a>> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The keys and values of a table; none where it is none.
    pub fn entries(&self) -> &[Entry<'a>] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The values of a list; none where it is none.
    pub fn list(&self) -> &[Node<'a>] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// The text, where it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Text or a number, as it is written.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        self.value == Value::Bool(true)
    }

    /// The text of a key, where it is text.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// Whether a key is `true`.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(Node::is_true)
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Says that a value is not what its format has there.
pub fn unfit(what: &str, wanted: &str, node: &Node<'_>) -> Fault {
    Fault::new(Some(node.line), &format!("{what} should be {wanted} and is {}", node.kind()), false)
}

/// The keys and values below a key. Where that is no table, a fault says so.
pub fn table_of<'n, 'a>(node: &'n Node<'a>, key: &str, faults: &mut Vec<Fault>) -> &'n [Entry<'a>] {
    match node.get(key) {
        None => &[],
        Some(Node { value: Value::Null, .. }) => &[],
        Some(Node { value: Value::Table(entries), .. }) => entries,
        Some(other) => {
            push(faults, unfit(&format!("`{key}`"), "a table", other));
            &[]
        }
    }
}

/// The values below a key. Where that is no list, a fault says so.
pub fn list_of<'n, 'a>(node: &'n Node<'a>, key: &str, faults: &mut Vec<Fault>) -> &'n [Node<'a>] {
    match node.get(key) {
        None => &[],
        Some(Node { value: Value::Null, .. }) => &[],
        Some(Node { value: Value::List(nodes), .. }) => nodes,
        Some(other) => {
            push(faults, unfit(&format!("`{key}`"), "a list", other));
            &[]
        }
    }
}

/// Adds a fault, where a file can have as many as it has entries: so many that they fill the memory are not kept.
pub fn push(faults: &mut Vec<Fault>, fault: Fault) {
    if faults.len() < MOST_COUNTED {
        faults.push(fault);
    }
}

/// Adds a fault of one entry.
pub fn note(faults: &mut Vec<Fault>, line: u32, message: &str) {
    push(faults, Fault::new(Some(line), message, false));
}

/// Keeps at most [`MOST_FAULTS`], and says how many more there are.
pub fn bounded(faults: &mut Vec<Fault>) {
    let more = faults.len().saturating_sub(MOST_FAULTS);
    if more > 0 {
        let least = if faults.len() < MOST_COUNTED { "" } else { "at least " };
        let whole = faults.iter().skip(MOST_FAULTS).any(|fault| fault.whole);
        let line = faults.get(MOST_FAULTS).and_then(|fault| fault.line);
        faults.truncate(MOST_FAULTS);
        faults.push(Fault::new(line, &format!("{least}{more} more from here on"), whole));
    }
}

/// A table in which each key stands once: of two the last counts, as the managers have it, and a fault names the other.
pub(super) fn once<'a>(entries: Vec<Entry<'a>>, faults: &mut Vec<Fault>) -> Vec<Entry<'a>> {
    const FEW: usize = 8;
    let doubled = if entries.len() <= FEW {
        entries.iter().enumerate().any(|(at, entry)| entries.iter().skip(at + 1).any(|other| other.key == entry.key))
    } else {
        let mut keys: Vec<&str> = entries.iter().map(|entry| &*entry.key).collect();
        convoke_sdk::small::sort(&mut keys);
        keys.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
    };
    if !doubled {
        return entries;
    }
    let mut last: Map<Cow<'a, str>, usize> = Map::new();
    let mut kept: Vec<Entry<'a>> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(before) = last.get(&entry.key).and_then(|at| kept.get_mut(*at)) {
            let key = convoke_sdk::text::shown(&entry.key, 80);
            let message = format!("the key `{key}` stands twice, first in line {}; the last one counts", before.line);
            note(faults, entry.line, &message);
            *before = entry;
        } else {
            last.insert(entry.key.clone(), kept.len());
            kept.push(entry);
        }
    }
    kept
}

/// The lines of a text, to be asked often.
pub struct Lines(Vec<usize>);

impl Lines {
    /// Of that text.
    pub fn new(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line in which a byte stands, counted from 1.
    pub fn at(&self, byte: usize) -> u32 {
        u32::try_from(self.0.partition_point(|end| *end < byte) + 1).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one_and_a_line_ends_with_its_break() {
        let lines = Lines::new("a\nb\n\nc");
        assert_eq!([0, 1, 2, 3, 4, 5, 99].map(|byte| lines.at(byte)), [1, 1, 2, 2, 3, 4, 4]);
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_counts_in_the_place_of_the_first() {
        let entry = |key: &'static str, line, text: &'static str| Entry {
            key: key.into(),
            line,
            value: Node { line, value: Value::Text(text.into()) },
        };
        for more in 0..12 {
            let mut entries = vec![entry("a", 1, "one"), entry("b", 2, "two"), entry("a", 3, "three")];
            let names: Vec<String> = (0..more).map(|count| format!("k{count}")).collect();
            entries.extend(names.iter().map(|name| Entry { key: Cow::Borrowed(name), ..entry("", 9, "x") }));
            let mut faults = Vec::new();
            let kept = once(entries, &mut faults);
            assert_eq!(kept.len(), 2 + more);
            assert_eq!((&*kept[0].key, kept[0].value.text()), ("a", Some("three")));
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].line, Some(3));
            assert!(faults[0].message.contains("first in line 1"), "{}", faults[0].message);
        }
    }

    #[test]
    fn what_is_made_to_fill_the_memory_is_not_read() {
        assert_eq!(Broken::by_size(&"[1],".repeat(1_000_000)), None);
        let message = Broken::by_size(&"1,".repeat(4_000_001)).expect("too many").message;
        assert_eq!(message, "it has more values than are read: about 4000001, and 4000000 are the most");
        let mut faults = Vec::new();
        for line in 1..=20_000 {
            note(&mut faults, line, "x");
        }
        bounded(&mut faults);
        assert_eq!(faults.last(), Some(&Fault::new(Some(51), "at least 9950 more from here on", false)));
    }

    #[test]
    fn a_thousand_faults_are_fifty_and_a_count() {
        let mut faults: Vec<Fault> = (1..=1_000).map(|line| Fault::new(Some(line), "x", false)).collect();
        bounded(&mut faults);
        assert_eq!(faults.len(), MOST_FAULTS + 1);
        assert_eq!(faults[MOST_FAULTS], Fault::new(Some(51), "950 more from here on", false));
    }
}
