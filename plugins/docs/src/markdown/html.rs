//! The tags in a piece of HTML: enough to see where it links to and what can be linked to.

/// A tag that begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tag<'a> {
    /// In lower case, with a slash before the name where it ends an element.
    pub(super) name: String,
    /// Names in lower case, values as written, and the byte of the piece at which the value begins.
    pub(super) attributes: Vec<(String, &'a str, usize)>,
    /// The byte of the piece at which the tag begins, and the one after it.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Tag<'a> {
    /// The value of an attribute, and where it begins.
    pub(super) fn attribute(&self, name: &str) -> Option<(&'a str, usize)> {
        let found = self.attributes.iter().find(|(attribute, ..)| attribute == name);
        found.map(|(_, value, at)| (*value, *at))
    }
}

/// The tags of a piece in their order. Comments, and what stands in scripts and styles, are none.
pub(super) fn tags(piece: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = piece.get(at..).and_then(|rest| rest.find('<')).map(|offset| at + offset) {
        let rest = &piece[open..];
        if rest.starts_with("<!--") {
            at = after(piece, open + 4, "-->");
        } else if let Some(tag) = tag(piece, open) {
            at = match tag.name.as_str() {
                "script" | "style" => after(piece, tag.end, "</"),
                _ => tag.end,
            };
            found.push(tag);
        } else {
            at = open + 1;
        }
    }
    found
}

/// The byte after the next occurrence, or the end.
fn after(piece: &str, from: usize, what: &str) -> usize {
    piece.get(from..).and_then(|rest| rest.find(what)).map_or(piece.len(), |offset| from + offset + what.len())
}

fn tag(piece: &str, open: usize) -> Option<Tag<'_>> {
    let bytes = piece.as_bytes();
    let mut at = open + 1;
    if bytes.get(at) == Some(&b'/') {
        at += 1;
    }
    let name_start = at;
    at = skip(bytes, at, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !bytes.get(name_start).is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    let name = piece[open + 1..at].to_ascii_lowercase();
    let mut attributes = Vec::new();
    loop {
        at = skip(bytes, at, |byte| byte.is_ascii_whitespace() || byte == b'/');
        match bytes.get(at)? {
            b'>' => return Some(Tag { name, attributes, start: open, end: at + 1 }),
            b'<' => return None,
            _ => {}
        }
        let start = at;
        at = skip(bytes, at, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b'>' | b'/' | b'<'));
        if at == start {
            at += 1;
            continue;
        }
        let attribute = piece.get(start..at)?.to_ascii_lowercase();
        let equals = skip(bytes, at, |byte| byte.is_ascii_whitespace());
        if bytes.get(equals) != Some(&b'=') {
            attributes.push((attribute, "", at));
            continue;
        }
        at = skip(bytes, equals + 1, |byte| byte.is_ascii_whitespace());
        let (start, end, next) = match bytes.get(at)? {
            quote @ (b'"' | b'\'') => {
                let end = skip(bytes, at + 1, |byte| byte != *quote);
                bytes.get(end)?;
                (at + 1, end, end + 1)
            }
            _ => {
                // Not over the beginning of another tag, or many of them would be looked through to the end.
                let end = skip(bytes, at, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'>' | b'<'));
                (at, end, end)
            }
        };
        attributes.push((attribute, piece.get(start..end)?, start));
        at = next;
    }
}

fn skip(bytes: &[u8], from: usize, while_it: impl Fn(u8) -> bool) -> usize {
    from + bytes.iter().skip(from).take_while(|byte| while_it(**byte)).count()
}

/// A value without the few entities that stand in addresses.
pub(super) fn decoded(value: &str) -> String {
    value
        .trim()
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(piece: &str) -> Vec<String> {
        let one = |tag: Tag| {
            let attributes: Vec<String> =
                tag.attributes.iter().map(|(name, value, at)| format!("{name}={value}@{at}")).collect();
            format!("{} {}", tag.name, attributes.join(" ")).trim_end().to_owned()
        };
        tags(piece).into_iter().map(one).collect()
    }

    #[test]
    fn tags_have_their_attributes_however_they_are_quoted() {
        assert_eq!(shown("<A HREF=\"x y\" id='b'>t</a>"), ["a href=x y@9 id=b@18", "/a"]);
        assert_eq!(shown("<img src=p.png alt hidden/>"), ["img src=p.png@9 alt=@18 hidden=@25"]);
        assert_eq!(shown("a < b, 1<2 and <>"), Vec::<String>::new());
    }

    #[test]
    fn what_is_in_comments_and_scripts_is_no_tag() {
        assert_eq!(shown("<!-- <a href=x> --><b>"), ["b"]);
        assert_eq!(shown("<script>'<a href=x>'</script><i>"), ["script", "i"]);
    }

    #[test]
    fn what_has_no_end_is_no_tag() {
        for piece in ["<a href=\"x", "<a href=", "<a ", "<", "</", "<a href='é", "<!-- <a>", "<a <b>"] {
            assert!(tags(piece).len() <= 1, "{piece}");
        }
        assert_eq!(shown("<a <b>"), ["b"]);
        // Each of these looks for an end that is not there.
        assert!(tags(&"<a href=\"".repeat(20_000)).is_empty());
        assert!(tags(&"<a href=".repeat(100_000)).is_empty());
    }
}
