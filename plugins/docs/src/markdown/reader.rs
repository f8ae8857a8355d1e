//! From the events of the parser to a [`Document`].

use std::collections::HashMap;
use std::ops::Range;

use pulldown_cmark::{BrokenLink, CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

use super::html::{self, decoded};
use super::{Code, Document, Fence, Heading, Link, Place};
use crate::slug::Slugs;

/// GitHub's flavour, as far as it matters to what is looked at.
const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_GFM);

/// So many links within each other are given a text.
const DEEPEST_PICTURE: usize = 4;

/// Reads a text of which the first `skipped` bytes are no Markdown.
pub(super) fn read(text: &str, skipped: usize) -> Document {
    let body = text.get(skipped..).unwrap_or_default();
    let mut undefined = |broken: BrokenLink<'_>| match broken.link_type {
        LinkType::Reference | LinkType::Collapsed => {
            Some((CowStr::from(broken.reference.to_string()), CowStr::Borrowed("")))
        }
        // `[x]` in a text is no link.
        _ => None,
    };
    let parser = Parser::new_with_broken_link_callback(body, OPTIONS, Some(&mut undefined));
    let definitions = parser.reference_definitions().iter();
    let definitions = definitions.map(|(label, definition)| (folded(label), definition.span.clone())).collect();
    let mut reader = Reader::new(text, body, skipped, definitions);
    for (event, range) in parser.into_offset_iter() {
        reader.event(event, range);
    }
    reader.end()
}

struct Reader<'a> {
    text: &'a str,
    body: &'a str,
    skipped: usize,
    /// The byte at which each line of the whole text begins.
    lines: Vec<usize>,
    /// Where targets are defined, by their labels.
    definitions: HashMap<String, Range<usize>>,
    document: Document,
    slugs: Slugs,
    heading: Option<Open>,
    /// A heading by HTML's tags.
    tagged: Option<Open>,
    links: Vec<OpenLink>,
    /// How many of them are pictures.
    pictures: usize,
    /// The link of HTML that is open, by its index.
    anchor: Option<usize>,
    fence: Option<OpenFence>,
    html: Option<Range<usize>>,
    /// Where the piece of text that grows ends.
    growing: Option<usize>,
}

struct Open {
    level: u8,
    text: String,
    start: usize,
    end: usize,
}

struct OpenLink {
    index: usize,
    kind: LinkType,
    image: bool,
    target: String,
    /// That of a reference.
    label: String,
    range: Range<usize>,
    /// Where the last of what it shows ends.
    inner: usize,
}

struct OpenFence {
    language: String,
    info: String,
    text: String,
    range: Range<usize>,
    inner: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, body: &'a str, skipped: usize, definitions: HashMap<String, Range<usize>>) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self {
            text,
            body,
            skipped,
            lines,
            definitions,
            document: Document::default(),
            slugs: Slugs::default(),
            heading: None,
            tagged: None,
            links: Vec::new(),
            pictures: 0,
            anchor: None,
            fence: None,
            html: None,
            growing: None,
        }
    }

    /// A place of the body, in the whole text.
    fn place(&self, range: Range<usize>) -> Place {
        let (start, end) = (range.start + self.skipped, range.end + self.skipped);
        let line = self.lines.partition_point(|begin| *begin <= start).max(1);
        Place { start, end, line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        if !matches!(event, Event::Text(_)) {
            self.growing = None;
        }
        // A bracket follows all that a link shows: what ends where the link does is the link.
        if let Some(open) = self.links.last_mut().filter(|open| range.end < open.range.end) {
            open.inner = open.inner.max(range.end);
        }
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(end) => self.finish(end, range),
            Event::Text(text) => self.words(&text, range),
            Event::Code(code) => {
                self.document.codes.push(Code { text: code.to_string(), place: self.place(range) });
                self.grow_open(&code);
            }
            Event::InlineHtml(_) => self.tags(range),
            // A block comes a line at a time, and a tag may go over several.
            Event::Html(_) => match &mut self.html {
                Some(block) => block.end = block.end.max(range.end),
                None => self.tags(range),
            },
            Event::SoftBreak | Event::HardBreak => self.grow_open(" "),
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading { level, .. } => {
                let level = match level {
                    HeadingLevel::H1 => 1,
                    HeadingLevel::H2 => 2,
                    HeadingLevel::H3 => 3,
                    HeadingLevel::H4 => 4,
                    HeadingLevel::H5 => 5,
                    HeadingLevel::H6 => 6,
                };
                self.heading = Some(Open { level, text: String::new(), start: range.start, end: range.end });
            }
            Tag::Link { link_type, dest_url, id, .. } => self.open_link(false, link_type, (&dest_url, &id), range),
            Tag::Image { link_type, dest_url, id, .. } => self.open_link(true, link_type, (&dest_url, &id), range),
            Tag::CodeBlock(kind) => {
                let (language, info) = match &kind {
                    CodeBlockKind::Fenced(info) => language(info),
                    CodeBlockKind::Indented => Default::default(),
                };
                self.fence = Some(OpenFence { language, info, text: String::new(), range, inner: None });
            }
            Tag::HtmlBlock => self.html = Some(range.start..range.start),
            Tag::FootnoteDefinition(label) => {
                self.document.anchors.extend([format!("fn-{label}"), format!("fnref-{label}")]);
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: TagEnd, range: Range<usize>) {
        match end {
            TagEnd::Heading(_) => {
                if let Some(open) = self.heading.take() {
                    self.close_heading(open);
                }
            }
            TagEnd::Link | TagEnd::Image => self.close_link(),
            TagEnd::CodeBlock => self.close_fence(),
            TagEnd::HtmlBlock => {
                if let Some(block) = self.html.take() {
                    self.tags(block.start..block.end.max(range.end));
                }
            }
            _ => {}
        }
    }

    fn words(&mut self, text: &str, range: Range<usize>) {
        if let Some(fence) = &mut self.fence {
            fence.text.push_str(text);
            let inner = fence.inner.get_or_insert(range.clone());
            inner.end = range.end;
            return;
        }
        self.grow_open(text);
        // What a picture is called is no part of the text.
        if self.pictures > 0 {
            return;
        }
        // An escaped character begins an event of its own, one byte after its backslash.
        let goes_on = self.growing.is_some_and(|end| range.start == end || range.start == end + 1);
        let place = self.place(range.clone());
        match self.document.texts.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.text.push_str(text);
                last.place.end = place.end;
            }
            None => self.document.texts.push(Code { text: text.to_owned(), place }),
        }
        self.growing = Some(range.end);
    }

    /// Adds to what shows a link and names a heading.
    fn grow_open(&mut self, text: &str) {
        // A picture in a picture in a picture would hold what the innermost shows once for each of them.
        for open in self.links.iter().rev().take(DEEPEST_PICTURE) {
            if let Some(link) = self.document.links.get_mut(open.index) {
                link.text.push_str(text);
            }
        }
        if let Some(link) = self.anchor.and_then(|index| self.document.links.get_mut(index)) {
            link.text.push_str(text);
        }
        if self.pictures > 0 {
            return;
        }
        for heading in [&mut self.heading, &mut self.tagged].into_iter().flatten() {
            heading.text.push_str(text);
        }
    }

    fn close_heading(&mut self, open: Open) {
        let text = open.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let slug = self.slugs.next(open.text.trim());
        let place = self.place(open.start..open.end);
        self.document.headings.push(Heading { level: open.level, text, slug, place });
    }

    fn open_link(&mut self, image: bool, kind: LinkType, (target, label): (&str, &str), range: Range<usize>) {
        let index = self.document.links.len();
        self.document.links.push(Link {
            target: target.to_owned(),
            text: String::new(),
            image,
            undefined: matches!(kind, LinkType::ReferenceUnknown | LinkType::CollapsedUnknown),
            place: self.place(range.clone()),
            target_place: None,
        });
        self.pictures += usize::from(image);
        let (target, label) = (target.to_owned(), label.to_owned());
        self.links.push(OpenLink { index, kind, image, target, label, inner: range.start + 1, range });
    }

    fn close_link(&mut self) {
        let Some(open) = self.links.pop() else { return };
        self.pictures -= usize::from(open.image);
        let found = match open.kind {
            LinkType::Inline => self.inline_target(&open),
            LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut => self.defined_target(&open),
            _ => None,
        };
        let place = found.map(|range| self.place(range));
        if let Some(link) = self.document.links.get_mut(open.index) {
            link.target_place = place;
        }
        if let Some(outer) = self.links.last_mut() {
            outer.inner = outer.inner.max(open.range.end);
        }
    }

    /// Where `target` stands in `[text](target "title")`.
    fn inline_target(&self, open: &OpenLink) -> Option<Range<usize>> {
        let source = self.body.get(open.inner..open.range.end)?;
        let after = source.find("](")? + 2;
        let rest = source.get(after..)?;
        let blank = rest.len() - rest.trim_start().len();
        let angle = usize::from(rest.trim_start().starts_with('<'));
        let start = open.inner + after + blank + angle;
        self.stands_at(&open.target, start)
    }

    /// Where it stands in its definition.
    fn defined_target(&self, open: &OpenLink) -> Option<Range<usize>> {
        let span = self.definitions.get(&folded(&open.label))?;
        let source = self.body.get(span.clone())?;
        let after = source.find("]:")? + 2;
        let rest = source.get(after..)?;
        let blank = rest.len() - rest.trim_start().len();
        let angle = usize::from(rest.trim_start().starts_with('<'));
        self.stands_at(&open.target, span.start + after + blank + angle)
    }

    /// A target that is written as it is meant, without escapes.
    fn stands_at(&self, target: &str, start: usize) -> Option<Range<usize>> {
        let range = start..start + target.len();
        (!target.is_empty() && self.body.get(range.clone()) == Some(target)).then_some(range)
    }

    fn close_fence(&mut self) {
        let Some(fence) = self.fence.take() else { return };
        let place = match fence.inner {
            Some(inner) => self.place(inner),
            // Nothing stands in it: the line after its beginning.
            None => {
                let block = self.body.get(fence.range.clone()).unwrap_or_default();
                let first = block.find('\n').map_or(fence.range.end, |end| fence.range.start + end + 1);
                self.place(first..first)
            }
        };
        self.document.fences.push(Fence { language: fence.language, info: fence.info, text: fence.text, place });
    }

    /// What stands in a piece of HTML: links, pictures, names of places, headings.
    fn tags(&mut self, range: Range<usize>) {
        let body = self.body;
        let Some(piece) = body.get(range.clone()) else { return };
        let mut shown = 0;
        for tag in html::tags(piece) {
            self.grow_open(&decoded_text(piece.get(shown..tag.start).unwrap_or_default()));
            shown = tag.end;
            for name in ["id", "name"] {
                self.document.anchors.extend(tag.attribute(name).map(|(value, _)| decoded(value)));
            }
            self.tag(&tag, range.start);
        }
    }

    fn tag(&mut self, tag: &html::Tag<'_>, offset: usize) {
        let range = tag.start + offset..tag.end + offset;
        match tag.name.as_str() {
            "a" => {
                self.anchor = None;
                if let Some(value) = tag.attribute("href") {
                    self.anchor = Some(self.document.links.len());
                    self.push_tagged(false, String::new(), value, range, offset);
                }
            }
            "/a" => self.anchor = None,
            "img" | "source" | "video" | "audio" | "embed" => {
                let alt = tag.attribute("alt").map(|(value, _)| decoded(value)).unwrap_or_default();
                if let Some(value) = tag.attribute("src") {
                    self.push_tagged(true, alt.clone(), value, range.clone(), offset);
                }
                let (sets, at) = tag.attribute("srcset").unwrap_or_default();
                let mut begin = 0;
                for part in sets.split(',') {
                    let blank = part.len() - part.trim_start().len();
                    let url = part.split_whitespace().next().unwrap_or_default();
                    if !url.is_empty() {
                        self.push_tagged(true, alt.clone(), (url, at + begin + blank), range.clone(), offset);
                    }
                    begin += part.len() + 1;
                }
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = tag.name.as_bytes().get(1).map_or(1, |digit| digit - b'0');
                self.tagged = Some(Open { level, text: String::new(), start: range.start, end: range.end });
            }
            "/h1" | "/h2" | "/h3" | "/h4" | "/h5" | "/h6" => {
                if let Some(open) = self.tagged.take() {
                    self.close_heading(Open { end: range.end, ..open });
                }
            }
            _ => {}
        }
    }

    /// `offset` is where the piece begins in which the value has its place.
    fn push_tagged(
        &mut self,
        image: bool,
        text: String,
        (value, at): (&str, usize),
        range: Range<usize>,
        offset: usize,
    ) {
        let target = decoded(value);
        let target_place = self.stands_at(&target, at + offset).map(|range| self.place(range));
        let place = self.place(range);
        self.document.links.push(Link { target, text, image, undefined: false, place, target_place });
    }

    fn end(mut self) -> Document {
        self.document.links.sort_by_key(|link| link.place);
        self.document.headings.sort_by_key(|heading| heading.place);
        debug_assert!(self.document.headings.iter().all(|heading| heading.place.end <= self.text.len()));
        self.document
    }
}

/// Labels are compared without case, and white space is one space: CommonMark, "matches".
fn folded(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The text between tags: what it shows.
fn decoded_text(text: &str) -> String {
    let blank = |edge: Option<char>| if edge.is_some_and(char::is_whitespace) { " " } else { "" };
    let words = decoded(text);
    format!("{}{words}{}", blank(text.chars().next()), blank(text.chars().next_back().filter(|_| !words.is_empty())))
}

/// The language of a fence, and what else its line says.
fn language(info: &str) -> (String, String) {
    let info = info.trim();
    let end = info.find(|char: char| char.is_whitespace() || matches!(char, ',' | '{' | ':')).unwrap_or(info.len());
    let (first, rest) = info.split_at(end);
    (first.to_lowercase(), rest.trim_start_matches(',').trim().to_owned())
}
