//! Python's versions: "Version specifiers" of the Python Packaging User Guide, which was PEP 440. The grammar is that of
//! its "Parsing version strings with regular expressions", the order that of its "Summary of permitted suffixes and
//! relative ordering".

use super::number::Number;

/// A version. The fields stand in the order in which they are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    epoch: Number,
    /// Without zeros at its end: `1.0` is `1`.
    release: Vec<Number>,
    pre: Pre,
    post: Option<Number>,
    dev: Dev,
    local: Option<Vec<Label>>,
}

/// Where it stands before the release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    /// Only a developmental release, which comes before `a`.
    DevOnly,
    /// `a` is 0, `b` is 1, `rc` is 2.
    Marked(u8, Number),
    Released,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Marked(Number),
    Not,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Text(String),
    Number(Number),
}

impl Version {
    /// Without its local label, which names somebody's own build of the same release.
    pub(super) fn public(&self) -> Self {
        Self { local: None, ..self.clone() }
    }

    pub(super) fn is_local(&self) -> bool {
        self.local.is_some()
    }
}

/// The longer spelling of two that begin alike comes first.
const PRE: [(&str, u8); 8] =
    [("alpha", 0), ("a", 0), ("beta", 1), ("b", 1), ("preview", 2), ("pre", 2), ("rc", 2), ("c", 2)];
const POST: [(&str, u8); 3] = [("post", 0), ("rev", 0), ("r", 0)];
const DEV: [(&str, u8); 1] = [("dev", 0)];

/// Reads a version.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.trim().to_ascii_lowercase();
    let mut rest = text.strip_prefix('v').unwrap_or(&text);
    let mut epoch = Number::zero();
    let mut first = digits(&mut rest)?;
    if let Some(after) = rest.strip_prefix('!') {
        rest = after;
        epoch = first;
        first = digits(&mut rest)?;
    }
    let mut release = vec![first];
    while let Some(mut after) = rest.strip_prefix('.') {
        let Some(number) = digits(&mut after) else { break };
        rest = after;
        release.push(number);
    }
    while release.last().is_some_and(Number::is_zero) {
        release.pop();
    }
    let pre = marked(&mut rest, &PRE);
    let post = match rest.strip_prefix('-').and_then(|mut after| Some((digits(&mut after)?, after))) {
        Some((number, after)) => {
            rest = after;
            Some(number)
        }
        None => marked(&mut rest, &POST).map(|(_, number)| number),
    };
    let dev = marked(&mut rest, &DEV).map(|(_, number)| number);
    let local = match rest.strip_prefix('+') {
        Some(labels) => Some(labels.split(['-', '_', '.']).map(label).collect::<Option<Vec<_>>>()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    let pre = match (pre, &post, &dev) {
        (Some((mark, number)), ..) => Pre::Marked(mark, number),
        (None, None, Some(_)) => Pre::DevOnly,
        (None, ..) => Pre::Released,
    };
    Some(Version { epoch, release, pre, post, dev: dev.map_or(Dev::Not, Dev::Marked), local })
}

fn digits(rest: &mut &str) -> Option<Number> {
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    let number = Number::new(number)?;
    *rest = after;
    Some(number)
}

/// One of the words, with a separator before and after it that may be missing, and a number that is 0 where it is missing.
fn marked(rest: &mut &str, words: &[(&str, u8)]) -> Option<(u8, Number)> {
    let separators = ['-', '_', '.'];
    let bare = rest.strip_prefix(separators).unwrap_or(rest);
    let (mut after, mark) = words.iter().find_map(|(word, mark)| Some((bare.strip_prefix(word)?, *mark)))?;
    after = after.strip_prefix(separators).unwrap_or(after);
    let number = digits(&mut after).unwrap_or_else(Number::zero);
    *rest = after;
    Some((mark, number))
}

fn label(text: &str) -> Option<Label> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    Some(Number::new(text).map_or_else(|| Label::Text(text.to_owned()), Label::Number))
}
