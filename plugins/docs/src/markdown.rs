//! A document of Markdown, taken apart: what rules look at, with places.

mod html;
mod reader;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::slug::plain;

/// So many lists and quotes within each other are understood; markers of more on one line are read as blanks. What a line
/// takes to read grows with the number that is open.
const DEEPEST: usize = 100;

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Counted from 1.
    pub line: u32,
}

/// A document taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Headings in their order.
    pub headings: Vec<Heading>,
    /// Places that can be linked to beside the headings: `<a name>`, `id` attributes, footnotes.
    pub anchors: Vec<String>,
    /// Links and images, whatever their syntax: inline, by reference, autolinks, HTML.
    pub links: Vec<Link>,
    /// Code in lines of their own.
    pub fences: Vec<Fence>,
    /// Code within text.
    pub codes: Vec<Code>,
    /// Text outside of code, without markup, a piece each.
    pub texts: Vec<Code>,
}

/// A heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Without markup.
    pub text: String,
    /// What a link names after `#`, by GitHub's rules; the second of the same name ends in `-1`.
    pub slug: String,
    /// Where it stands.
    pub place: Place,
}

/// A link or an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The target as written, unescaped.
    pub target: String,
    /// What is shown for it.
    pub text: String,
    /// It shows a picture.
    pub image: bool,
    /// A reference whose definition is missing: `target` is its label.
    pub undefined: bool,
    /// Where it stands.
    pub place: Place,
    /// Where the target itself stands in the source, where it can be told: what a repair replaces.
    pub target_place: Option<Place>,
}

/// Code in lines of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Fence {
    /// The first word after the fence, in lower case; empty for none, and for code by indentation.
    pub language: String,
    /// The rest of that line.
    pub info: String,
    /// What stands in it.
    pub text: String,
    /// Where the text begins and ends; the line is that of its first line.
    pub place: Place,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    /// What stands there.
    pub text: String,
    /// Where.
    pub place: Place,
}

/// Takes a document apart: CommonMark with GitHub's tables, footnotes, task lists and alerts, and the tags of HTML in it.
/// Front matter is skipped. Never fails: all text is Markdown.
pub fn parse(text: &str) -> Document {
    let skipped = front_matter(text);
    reader::read(&bounded(text), skipped)
}

impl Document {
    /// Whether a link can lead to this place of the document: the part after `#`, decoded.
    pub fn has_place(&self, name: &str) -> bool {
        let name = name.strip_prefix("user-content-").unwrap_or(name);
        let name = plain(name);
        let headings = self.headings.iter().map(|heading| heading.slug.as_str());
        headings.chain(self.anchors.iter().map(String::as_str)).any(|place| plain(place) == name)
    }
}

/// The bytes of a byte order mark and of the YAML between `---` and `---` at the beginning.
fn front_matter(text: &str) -> usize {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mark = text.len() - body.len();
    let mut end = 0;
    let mut keys = false;
    for (number, line) in body.split_inclusive('\n').enumerate() {
        end += line.len();
        match (number, line.trim_end()) {
            (0, "---") => {}
            (0, _) => return mark,
            // Between two rulers there may be Markdown, too.
            (_, "---" | "...") => return if keys { mark + end } else { mark },
            (_, line) => keys |= line.split_once(':').is_some_and(|(key, _)| is_key(key)),
        }
    }
    mark
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.'))
}

/// The text with as many bytes, in which no line opens more than [`DEEPEST`] lists and quotes.
fn bounded(text: &str) -> Cow<'_, str> {
    let mut changed: Option<Vec<u8>> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for (offset, length) in markers(line).skip(DEEPEST) {
            let bytes = changed.get_or_insert_with(|| text.as_bytes().to_vec());
            if let Some(marker) = bytes.get_mut(start + offset..start + offset + length) {
                marker.fill(b' ');
            }
        }
        start += line.len();
    }
    // Only characters of one byte were replaced.
    changed.and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The markers of lists and quotes with which a line begins: where, and how long.
fn markers(line: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let bytes = line.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while matches!(bytes.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let start = at;
        let blank = |at: usize| bytes.get(at).is_none_or(u8::is_ascii_whitespace);
        let digits = bytes.iter().skip(at).take(9).take_while(|byte| byte.is_ascii_digit()).count();
        at += match bytes.get(at)? {
            b'>' => 1,
            b'-' | b'+' | b'*' if blank(at + 1) => 1,
            b'0'..=b'9' if matches!(bytes.get(at + digits), Some(b'.' | b')')) && blank(at + digits + 1) => digits + 1,
            _ => return None,
        };
        Some((start, at - start))
    })
}
