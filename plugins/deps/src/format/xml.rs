//! XML as manifests use it: elements by their local names, each with its line. A document type is refused, because all that
//! it can bring are entities, and those can be bombs; depth and width are bounded.

use roxmltree::{Document, Error, Node, ParsingOptions};

use crate::model::Fault;

/// The most elements inside each other.
const DEEPEST: usize = 200;
/// The most attributes of one element: each is compared with all others of its element.
const MOST_ATTRIBUTES: usize = 250;
/// The most declarations of name spaces: each is compared with those around it.
const MOST_SPACES: usize = 1000;
/// The most nodes of a file; real ones have some thousand.
const MOST_NODES: u32 = 500_000;

/// A file that was read.
pub(crate) struct Tree<'a> {
    document: Document<'a>,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Tree<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no XML, or more than a manifest can be; with the line.
    pub(crate) fn read(text: &'a str) -> Result<Self, Fault> {
        bounded(text)?;
        let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|error| {
            let line = match error {
                Error::NoRootNode | Error::DtdDetected | Error::NodesLimitReached => None,
                Error::UnclosedRootNode | Error::UnexpectedEndOfStream => Some(last_line(text)),
                ref error => Some(error.pos().row),
            };
            Fault::new(line, &format!("this is no XML that can be read: {error}"), true)
        })?;
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Ok(Self { document, lines: std::iter::once(0).chain(ends).collect() })
    }

    /// The outermost element.
    pub(crate) fn root(&self) -> Node<'_, 'a> {
        self.document.root_element()
    }

    /// The line, counted from 1, in which an element begins.
    pub(crate) fn line(&self, node: Node<'_, '_>) -> u32 {
        let start = node.range().start;
        u32::try_from(self.lines.partition_point(|line| *line <= start)).unwrap_or(u32::MAX)
    }
}

fn last_line(text: &str) -> u32 {
    convoke_sdk::text::line_at(text, text.trim_end().len())
}

/// The elements of that name directly below one.
pub(crate) fn children<'d, 'a>(node: Node<'d, 'a>, name: &str) -> impl Iterator<Item = Node<'d, 'a>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The first element of that name directly below one.
pub(crate) fn child<'d, 'a>(node: Node<'d, 'a>, name: &str) -> Option<Node<'d, 'a>> {
    children(node, name).next()
}

/// What stands in an element, without what stands in those below it, trimmed. None: nothing.
pub(crate) fn text(node: Node<'_, '_>) -> Option<String> {
    let text: String = node.children().filter(Node::is_text).filter_map(|part| part.text()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// What stands in the first element of that name below one. None: no such element, or nothing.
pub(crate) fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    child(node, name).and_then(text)
}

/// What a tag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// `<a>`
    Opens,
    /// `</a>`
    Closes,
    /// `<a/>`
    Both,
    /// `<!DOCTYPE`
    Declares,
}

/// A tag, as it stands in the text.
pub(crate) struct Tag<'a> {
    pub(crate) does: Does,
    /// With its prefix.
    pub(crate) name: &'a str,
    /// The byte of its `<`.
    pub(crate) start: usize,
    /// The byte after its `>`.
    pub(crate) end: usize,
    attributes: usize,
    spaces: usize,
}

/// The tags of a text one after the other, whether or not they fit together. It is for what has to be known before a file is
/// read, and for the first lines of files of which no more is needed.
pub(crate) struct Tags<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tags<'a> {
    pub(crate) const fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte after the next occurrence of a pattern. None: there is none, and with that no more tags.
    fn after(&self, from: usize, pattern: &str) -> Option<usize> {
        Some(from + self.text.get(from..)?.find(pattern)? + pattern.len())
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let start = self.after(self.at, "<")? - 1;
            let rest = self.text.get(start..)?;
            let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
            if let Some((opening, closing)) = skipped.into_iter().find(|(opening, _)| rest.starts_with(opening)) {
                self.at = self.after(start + opening.len(), closing)?;
                continue;
            }
            if rest.starts_with("<!") {
                self.at = self.after(start, ">")?;
                return Some(Tag { does: Does::Declares, name: "", start, end: self.at, attributes: 0, spaces: 0 });
            }
            let bytes = self.text.as_bytes();
            let closes = rest.starts_with("</");
            let from = start + 1 + usize::from(closes);
            let (mut end, mut quote, mut attributes, mut spaces) = (from, None, 0, 0);
            loop {
                let byte = *bytes.get(end)?;
                match (quote, byte) {
                    (Some(open), byte) if open == byte => quote = None,
                    (Some(_), _) => {}
                    (None, b'"' | b'\'') => quote = Some(byte),
                    (None, b'>') => break,
                    (None, b'=') => attributes += 1,
                    (None, b'x') if bytes.get(end..end + 5) == Some(b"xmlns") => spaces += 1,
                    (None, _) => {}
                }
                end += 1;
            }
            self.at = end + 1;
            let inside = self.text.get(from..end)?;
            let name = inside.split(|char: char| char.is_ascii_whitespace() || char == '/').next().unwrap_or_default();
            let does = match (closes, inside.ends_with('/')) {
                (true, _) => Does::Closes,
                (false, true) => Does::Both,
                (false, false) => Does::Opens,
            };
            return Some(Tag { does, name, start, end: self.at, attributes, spaces });
        }
    }
}

/// Refuses what would take longer to read than its length tells.
fn bounded(text: &str) -> Result<(), Fault> {
    let refused = |tag: &Tag<'_>, why: &str| {
        Err(Fault::new(Some(convoke_sdk::text::line_at(text, tag.start)), &format!("not read: {why}"), true))
    };
    let (mut depth, mut spaces) = (0_usize, 0);
    for tag in Tags::of(text) {
        match tag.does {
            Does::Opens => depth += 1,
            Does::Closes => depth = depth.saturating_sub(1),
            Does::Both => {}
            Does::Declares => return refused(&tag, "it has a document type, which could define entities without end"),
        }
        spaces += tag.spaces;
        if depth > DEEPEST {
            return refused(&tag, &format!("over {DEEPEST} elements stand inside each other"));
        }
        if tag.attributes > MOST_ATTRIBUTES {
            return refused(&tag, &format!("an element has over {MOST_ATTRIBUTES} attributes"));
        }
        if spaces > MOST_SPACES {
            return refused(&tag, &format!("there are over {MOST_SPACES} declarations of name spaces"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Option<u32>, String) {
        let fault = Tree::read(text).err().expect("a fault");
        assert!(fault.whole);
        (fault.line, fault.message)
    }

    #[test]
    fn an_element_has_its_line_whatever_its_name_space() {
        let tree = Tree::read(
            "\u{feff}<?xml version='1.0'?>\r\n<m:a xmlns:m='urn:x'>\r\n  <m:b> one<!-- x -->two </m:b></m:a>",
        )
        .expect("XML");
        let b = child(tree.root(), "b").expect("b");
        assert_eq!((tree.line(tree.root()), tree.line(b), text(b).as_deref()), (2, 3, Some("onetwo")));
    }

    #[test]
    fn an_entity_bomb_is_refused_with_its_line() {
        let (line, message) = refused("<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY b '&c;&c;'>]>\n<a>&b;</a>");
        assert_eq!(line, Some(2));
        assert!(message.contains("document type"), "{message}");
        assert!(Tree::read("<a><!-- <!DOCTYPE x> --><![CDATA[<!DOCTYPE x>]]></a>").is_ok());
    }

    #[test]
    fn what_is_deep_or_wide_is_refused() {
        assert_eq!(refused(&"<a>\n".repeat(100_000)).0, Some(201));
        let wide = (0..300).map(|at| format!(" a{at}='>'")).collect::<String>();
        assert!(refused(&format!("<a{wide}/>")).1.contains("attributes"));
        let spaces = (0..2000).map(|at| format!("<a xmlns:n{at}='u'/>\n")).collect::<String>();
        assert_eq!(refused(&format!("<r>{spaces}</r>")).0, Some(1001));
    }

    #[test]
    fn broken_text_is_refused_where_it_breaks() {
        assert_eq!(refused("<a>\n<b>\n</c></a>").0, Some(3));
        assert_eq!(refused("<a>\n<b/>\n\n").0, Some(2));
        assert_eq!(refused("<a>\n<b x=").0, Some(2));
        assert_eq!(refused("").0, None);
    }
}
