//! Ruby's versions: `Gem::Version` of RubyGems.

use std::cmp::Ordering;

use super::number::Number;

/// A version, by its canonical segments: without zeros at the end, and before the first letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version(Vec<Segment>);

/// Letters make it a pre-release: they come before any number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Text(String),
    Number(Number),
}

impl Segment {
    fn is_zero(&self) -> bool {
        matches!(self, Self::Number(number) if number.is_zero())
    }
}

/// Reads a version.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.trim();
    if !correct(text) {
        return None;
    }
    let text = text.replace('-', ".pre.");
    let mut segments: Vec<Segment> = Vec::new();
    let mut lettered = false;
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let same = |char: char| if digit { char.is_ascii_digit() } else { char.is_ascii_alphabetic() };
        let end = rest.find(|char| !same(char)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = if part.is_empty() { after.get(first.len_utf8()..).unwrap_or_default() } else { after };
        if part.is_empty() {
            continue;
        }
        if !digit && !lettered {
            lettered = true;
            trim(&mut segments);
        }
        segments.push(Number::new(part).map_or_else(|| Segment::Text(part.to_owned()), Segment::Number));
    }
    trim(&mut segments);
    Some(Version(segments))
}

fn trim(segments: &mut Vec<Segment>) {
    while segments.last().is_some_and(Segment::is_zero) {
        segments.pop();
    }
}

/// `[0-9]+(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?`
fn correct(text: &str) -> bool {
    let (main, suffix) = match text.split_once('-') {
        Some((main, suffix)) => (main, Some(suffix)),
        None => (text, None),
    };
    let all = |part: &str, may: fn(u8) -> bool| !part.is_empty() && part.bytes().all(may);
    let mut parts = main.split('.');
    parts.next().is_some_and(|first| all(first, |byte| byte.is_ascii_digit()) || starts_numbered(first))
        && parts.all(|part| all(part, |byte| byte.is_ascii_alphanumeric()))
        && suffix.is_none_or(|suffix| {
            suffix.split('.').all(|part| all(part, |byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        })
}

/// `1beta` is taken too: advisories write it, and the tokens are clear.
fn starts_numbered(first: &str) -> bool {
    first.starts_with(|char: char| char.is_ascii_digit()) && first.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let zero = Segment::Number(Number::zero());
        for at in 0..self.0.len().max(other.0.len()) {
            let order = self.0.get(at).unwrap_or(&zero).cmp(other.0.get(at).unwrap_or(&zero));
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
