//! Links that lead to nothing, as GitHub resolves them: from the document's folder, with `/` from the repository's root.

mod moved;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use convoke_sdk::{Kind, Project};

use super::target::{Local, Target, line, resolve};
use super::{Found, Repair};
use crate::markdown::{self, Document, Link, Place};
use crate::slug::plain;
use moved::{Moved, near};

/// In a larger file no place is looked for. Bytes.
const LARGEST: u64 = 4 << 20;
/// The most characters of a target that are shown.
const SHOWN: usize = 200;

/// Looks up where the links of a document lead. `text` is the document as it was read.
pub async fn check(project: &impl Project, path: &str, text: &str, document: &Document) -> Found {
    let mut checker = Checker {
        project,
        path,
        text,
        found: Found::default(),
        own: Places::of(text, document),
        others: BTreeMap::new(),
        moved: Moved::new(project, path),
        known: BTreeMap::new(),
        mended: BTreeSet::new(),
    };
    for link in &document.links {
        checker.link(link).await;
    }
    checker.end()
}

/// What can be linked to in a file.
struct Places {
    names: HashSet<String>,
    lines: usize,
    /// The headings, for what nearly fits.
    slugs: Vec<String>,
}

impl Places {
    fn of(text: &str, document: &Document) -> Self {
        let slugs: Vec<String> = document.headings.iter().map(|heading| heading.slug.clone()).collect();
        let names = slugs.iter().chain(&document.anchors).map(|name| plain(name)).collect();
        Self { names, lines: text.lines().count(), slugs }
    }

    fn has(&self, name: &str) -> bool {
        let name = name.strip_prefix("user-content-").unwrap_or(name);
        // What is made of no letter at all, as a heading of pictures has it, can't be told apart.
        let plain = plain(name);
        plain.is_empty() || plain == "top" || self.names.contains(&plain)
    }
}

struct Checker<'a, P> {
    project: &'a P,
    path: &'a str,
    text: &'a str,
    found: Found,
    own: Places,
    /// Other files that were read; none: it can't be said what is in them.
    others: BTreeMap<String, Option<Places>>,
    moved: Moved<'a, P>,
    /// The finding of each rule and target, and where else it stands.
    known: BTreeMap<(&'static str, String), (usize, Vec<u32>)>,
    mended: BTreeSet<usize>,
}

impl<P: Project> Checker<'_, P> {
    async fn link(&mut self, link: &Link) {
        if link.undefined {
            return self.undefined(link);
        }
        match resolve(self.path, &link.target) {
            Target::Elsewhere => self.found.skip("other sites"),
            Target::Placeholder => self.found.skip("placeholders"),
            Target::Path(_) if self.is_named_in_brackets(link) => self.found.skip("placeholders"),
            Target::Above | Target::Page => self.found.skip("pages of GitHub"),
            // A template is filled in, and shown on another page.
            _ if is_template(self.path) => self.found.skip("templates"),
            Target::Empty => {
                self.found.judged += 1;
                let what = if link.image { "picture" } else { "link" };
                let message = format!("The {what} “{}” leads nowhere: its target is empty", shown(&link.text, SHOWN));
                self.report("link-empty", Severity::Low, link.place, "", message, None);
            }
            Target::Here(place) => self.here(link, &place),
            Target::Path(local) => self.local(link, &local).await,
        }
    }

    /// `[x](<your page>)`: brackets around a target are taken for syntax, also where they say that it is to be filled in.
    fn is_named_in_brackets(&self, link: &Link) -> bool {
        let before = link.target_place.and_then(|place| self.text.get(..place.start));
        before.is_some_and(|before| before.ends_with('<')) && !link.target.contains(['.', '/'])
    }

    /// A label without a definition.
    fn undefined(&mut self, link: &Link) {
        if !is_reference(self.text, link) {
            return self.found.skip("brackets that may be no links");
        }
        self.found.judged += 1;
        let label = shown(&link.target, SHOWN);
        let message = format!("The link “{}” has no target: [{label}] is not defined", shown(&link.text, SHOWN));
        let help = Some(format!("Define it: [{label}]: the target"));
        self.report("reference-undefined", Severity::Medium, link.place, &link.target, message, help);
    }

    fn here(&mut self, link: &Link, place: &str) {
        self.found.judged += 1;
        let is_line = line(place).is_some_and(|line| line as usize <= self.own.lines);
        if is_line || self.own.has(place) {
            return;
        }
        let near = near(place, &self.own.slugs);
        let message = format!("#{} is no heading or anchor of this document", shown(place, SHOWN));
        let help = near.as_ref().map(|near| format!("The nearest is #{near}"));
        self.report("anchor-broken", Severity::Medium, link.place, &link.target, message, help);
        if let Some(near) = near {
            self.mend(link, format!("#{near}"), format!("#{} is no heading here, #{near} is", shown(place, SHOWN)));
        }
    }

    async fn local(&mut self, link: &Link, local: &Local<'_>) {
        let kind = match local.path.as_str() {
            "" => Ok(Some(Kind::Folder)),
            path => self.project.exists(path).await,
        };
        match kind {
            Err(_) => self.found.skip("files that can't be looked at"),
            Ok(Some(kind)) => {
                self.found.judged += 1;
                if let Some(place) = &local.place {
                    self.place_in(link, local, kind, place).await;
                }
            }
            Ok(None) if self.moved.is_of_a_site(local).await => self.found.skip("links of a website"),
            Ok(None) => {
                self.found.judged += 1;
                self.missing(link, local).await;
            }
        }
    }

    async fn missing(&mut self, link: &Link, local: &Local<'_>) {
        let target = shown(&link.target, SHOWN);
        let candidate = self.moved.candidate(&local.path).await;
        let (rule, what) = if link.image { ("image-broken", "picture") } else { ("link-broken", "link") };
        let message = format!("The {what} to {target} leads to nothing: there is no {}", shown(&local.path, SHOWN));
        let help = candidate.as_ref().map(|(path, why)| format!("{why}: {}", shown(path, SHOWN)));
        self.report(rule, Severity::Medium, link.place, &link.target, message, help);
        let Some((path, why)) = candidate else { return };
        if let Some(place) = &local.place
            && !self.places(&path).await.is_some_and(|places| places.has(place))
        {
            return;
        }
        let new = self.moved.written(local, &path);
        self.mend(link, new, format!("{} is not there. {why}: {}", shown(&local.path, SHOWN), shown(&path, SHOWN)));
    }

    /// A place in a file that is there.
    async fn place_in(&mut self, link: &Link, local: &Local<'_>, kind: Kind, place: &str) {
        let mut file = local.path.clone();
        if kind == Kind::Folder {
            // GitHub shows the README below the files.
            let folder = if file.is_empty() { String::new() } else { format!("{file}/") };
            file = format!("{folder}README.md");
        }
        let is_markdown = file.ends_with(".md") || file.ends_with(".markdown");
        let line = line(place);
        if place.is_empty() || !(is_markdown || line.is_some()) || place.starts_with("gh-") {
            return;
        }
        let Some(places) = self.places(&file).await else { return };
        let fits = match line {
            Some(line) => line as usize <= places.lines || places.has(place),
            None => places.has(place),
        };
        if fits {
            return;
        }
        let near = line.is_none().then(|| near(place, &places.slugs)).flatten();
        let shown_file = shown(&file, SHOWN);
        let message = match line {
            Some(line) => format!("{shown_file} has {} lines, and the link is to line {line}", places.lines),
            None => format!("#{} is no heading or anchor of {shown_file}", shown(place, SHOWN)),
        };
        let help = near.as_ref().map(|near| format!("The nearest is #{near}"));
        self.report("anchor-broken", Severity::Medium, link.place, &link.target, message, help);
        if let Some((near, (before, _))) = near.zip(link.target.rsplit_once('#')) {
            let reason = format!("#{} is no heading of {shown_file}, #{near} is", shown(place, SHOWN));
            self.mend(link, format!("{before}#{near}"), reason);
        }
    }

    async fn places(&mut self, path: &str) -> Option<&Places> {
        if path == self.path {
            return Some(&self.own);
        }
        if !self.others.contains_key(path) {
            let is_small = self.project.stat(path).await.ok().flatten().is_some_and(|entry| entry.size <= LARGEST);
            let text = if is_small { self.project.read_text(path).await.ok() } else { None };
            let places = text.map(|text| {
                let is_markdown = path.ends_with(".md") || path.ends_with(".markdown");
                let document = if is_markdown { markdown::parse(&text) } else { Document::default() };
                Places::of(&text, &document)
            });
            self.others.insert(path.to_owned(), places);
        }
        self.others.get(path).and_then(Option::as_ref)
    }

    fn report(
        &mut self,
        rule: &'static str,
        severity: Severity,
        place: Place,
        target: &str,
        message: String,
        help: Option<String>,
    ) {
        if let Some((_, lines)) = self.known.get_mut(&(rule, target.to_owned())) {
            lines.push(place.line);
            return;
        }
        self.known.insert((rule, target.to_owned()), (self.found.findings.len(), Vec::new()));
        let finding = Finding::new(rule, severity, message).at(self.path, place.line);
        self.found.findings.push(match help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }

    fn mend(&mut self, link: &Link, text: String, reason: String) {
        let Some(place) = link.target_place else { return };
        if text != link.target && self.mended.insert(place.start) {
            self.found.repairs.push(Repair { place, text, reason });
        }
    }

    fn end(mut self) -> Found {
        for (index, lines) in self.known.into_values() {
            let Some(finding) = self.found.findings.get_mut(index).filter(|_| !lines.is_empty()) else { continue };
            let named: Vec<String> = lines.iter().take(8).map(u32::to_string).collect();
            let more = if lines.len() > named.len() { " and more" } else { "" };
            let also = format!("It stands in lines {}{more}, too", named.join(", "));
            finding.help = Some(finding.help.take().map_or(also.clone(), |help| format!("{help}. {also}")));
        }
        self.found
    }
}

/// Issues and pull requests begin with a template's text, and are not shown where it lies.
fn is_template(path: &str) -> bool {
    let path = path.to_lowercase();
    path.contains("issue_template") || path.contains("pull_request_template") || path.contains("discussion_template")
}

/// Whether `[text][label]` is meant as a link, and not as an index, a usage, or a class of characters, or for a generator
/// that knows the name.
fn is_reference(text: &str, link: &Link) -> bool {
    let before = text.get(..link.place.start).and_then(|before| before.chars().next_back());
    let in_words = before.is_some_and(|char| char.is_alphanumeric() || matches!(char, ']' | ')' | '_' | '`' | '}'));
    let label = link.target.trim();
    let is_name = label.contains("::")
        || label.contains(['.', '/', '(', '`', '<', '=', '|', '*', '\\', '$', '{', '"', '\''])
        || label.starts_with(['-', '^', '!', '@', '#', '+', '~']);
    let is_class = |part: &str| {
        let chars: Vec<char> = part.chars().collect();
        matches!(chars.as_slice(), [_, '-', _]) || matches!(chars.as_slice(), [_, '-', _, .., '-', _])
    };
    let shown = link.text.trim();
    !in_words
        && !is_name
        && !label.is_empty()
        && shown.chars().any(char::is_alphabetic)
        && !shown.starts_with(['-', '<', '$'])
        && !is_class(shown)
        && !is_class(label)
}
