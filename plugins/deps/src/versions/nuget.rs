//! NuGet's versions: Semantic Versioning 2.0.0 with a fourth number, without regard to case ("Package versioning" of the
//! NuGet documentation).

use std::cmp::Ordering;

use super::number::Number;

/// A version. What stands after `+` plays no part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [Number; 4],
    /// Empty: it is released.
    pre: Vec<Label>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Number(Number),
    Text(String),
}

/// Reads a version.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let (main, pre) = match text.split_once('-') {
        Some((main, pre)) => (main, Some(pre)),
        None => (text, None),
    };
    let mut parts = main.split('.');
    let mut numbers = [Number::zero(), Number::zero(), Number::zero(), Number::zero()];
    for (at, number) in numbers.iter_mut().enumerate() {
        match parts.next() {
            Some(part) => *number = Number::new(part)?,
            None if at > 0 => break,
            None => return None,
        }
    }
    if parts.next().is_some() {
        return None;
    }
    let pre = match pre {
        Some(pre) => pre.split('.').map(label).collect::<Option<Vec<_>>>()?,
        None => Vec::new(),
    };
    Some(Version { numbers, pre })
}

fn label(text: &str) -> Option<Label> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    Some(Number::new(text).map_or_else(|| Label::Text(text.to_ascii_lowercase()), Label::Number))
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
