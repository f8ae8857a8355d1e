//! From files to work items: a document each, and the parts of a long one after each other.

use std::collections::BTreeMap;

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use convoke_sdk::{Kind as Stands, Project};

use crate::find::{self, Kind};
use crate::history::{History, Older};
use crate::names::{self, Facts};
use crate::public::{self, Package};
use crate::{markdown, question};

/// A larger document is not looked at. Bytes.
pub const LARGEST: u64 = 2 << 20;

/// What is done with documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Rules only.
    Check,
    /// A writer is asked, too.
    Update,
}

/// What an item needs and can't see in its own file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Input {
    /// What the document is for.
    pub kind: Kind,
    /// A writer is asked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ask: bool,
    /// Which part of it is the writer's, from 0, and of how many. The rules look at the whole with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<(usize, usize)>,
    /// Documents whose paths differ in upper and lower case only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clashes: Vec<String>,
    /// It is a link in the file system: it is looked at, and edits would be of another file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub link: bool,
    /// The file's size, where it is too large to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_large: Option<u64>,
    /// The library whose public items are looked at: then it is no document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<Package>,
    /// What the repository has of the names in it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub names: Facts,
    /// It is older than the code that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Older>,
}

impl Input {
    /// That of a document with nothing to say about.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            ask: false,
            part: None,
            clashes: Vec::new(),
            link: false,
            too_large: None,
            library: None,
            names: Facts::default(),
            older: None,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_nothing(names: &Facts) -> bool {
    *names == Facts::default()
}

/// Plans what is to be done.
///
/// # Errors
/// When a typed path is not there, or no documents are found.
pub async fn plan(project: &impl Project, paths: &[String], mode: Mode, history: &History) -> Result<Work> {
    let documents = find::documents(project, paths).await?;
    let mut folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for entry in &documents.found {
        folded.entry(entry.path.to_lowercase()).or_default().push(&entry.path);
    }
    let files = project.list(&names::query()).await?;
    let repository = names::facts(project, &files).await;
    let (mut items, mut links) = (Vec::new(), Vec::new());
    for entry in &documents.found {
        let path = entry.path.as_str();
        let kind = Kind::of(path);
        let mut input = Input { link: entry.kind == Stands::Link, ..Input::of(kind) };
        let mut size = entry.size;
        if input.link {
            // A link is listed without the size of what it leads to.
            size = project.stat(path).await.ok().flatten().map_or(0, |entry| entry.size);
            if is_link_to_another(project, path, size, &documents.found).await {
                links.push(path);
                continue;
            }
        }
        input.too_large = (size > LARGEST).then_some(size);
        let others = folded.get(&path.to_lowercase()).into_iter().flatten();
        input.clashes = others.filter(|other| **other != path).map(|other| (*other).to_owned()).collect();
        let asks = mode == Mode::Update && kind.is_current() && !input.link && input.too_large.is_none();
        input.ask = asks;
        if kind.is_current() && input.too_large.is_none() && is_inside(path) {
            // What can't be read, its item says.
            if let Ok(text) = project.read_text(path).await {
                input.names = repository.about(&markdown::parse(&text), path);
                input.older = history.older(path, &input.names.files);
            }
        }
        let parts = if asks { question::parts(size) } else { 1 };
        items.extend(
            (0..parts)
                .map(|part| item(path, size, Input { part: (parts > 1).then_some((part, parts)), ..input.clone() })),
        );
    }
    // Who typed paths means documents.
    let mut not_covered = None;
    if paths.is_empty() {
        let libraries = public::packages(project, &files).await;
        not_covered = libraries.note();
        items.extend(libraries.packages.into_iter().map(library));
    }
    let mut work = Work::new(items).distribute(Distribution::ByGroup).aggregate(Aggregation::Merge);
    if let Some(note) = not_covered {
        work = work.note(note);
    }
    if let Some(note) = documents.left_out() {
        work = work.note(note);
    }
    for note in repository.notes().iter().cloned().chain(history.note()) {
        work = work.note(note);
    }
    if let Some(first) = links.first() {
        let count = links.len();
        work = work.note(format!(
            "{count} link{} to a document that is looked at where it is: {}{}",
            if count == 1 { "" } else { "s" },
            shown(first, 200),
            if count == 1 { "" } else { " and more" }
        ));
    }
    Ok(work)
}

/// Whether a link in the file system leads to another document.
async fn is_link_to_another(project: &impl Project, path: &str, size: u64, all: &[convoke_sdk::Entry]) -> bool {
    if size > LARGEST {
        return false;
    }
    let Ok(text) = project.read(path).await else { return false };
    for other in all.iter().filter(|other| other.kind == Stands::File && other.size == size) {
        if project.read(&other.path).await.is_ok_and(|other| other == text) {
            return true;
        }
    }
    false
}

fn item(path: &str, size: u64, input: Input) -> Item {
    let group = input.kind.group();
    let (number, parts) = input.part.unwrap_or((0, 1));
    let mut item = Item::new(id(path, number)).label(id(path, number)).group(group);
    item = item.weight((size / parts as u64).max(1)).input(&input);
    if !input.link && is_inside(path) {
        item = item.writes([path]);
    }
    if number > 0 {
        item = item.after((0..number).map(|earlier| id(path, earlier)));
    }
    match input.ask {
        true => item.estimate(1, question::tokens(size / parts as u64), question::ANSWER_TOKENS),
        false => item,
    }
}

/// The item of a library: what its users read in code.
fn library(package: Package) -> Item {
    let item = Item::new(package.id()).group(Kind::Code.group()).weight(package.bytes.max(1));
    item.input(&Input { library: Some(package), ..Input::of(Kind::Code) })
}

/// Whether a path is one of the project's, and not one that the user typed and that lies outside.
pub fn is_inside(path: &str) -> bool {
    !path.starts_with("../") && !path.starts_with('/')
}

/// The id of a part of a document.
pub fn id(path: &str, part: usize) -> String {
    if part == 0 { path.to_owned() } else { format!("{path} (part {})", part + 1) }
}

/// The document that an item is about.
pub fn path_of<'a>(id: &'a str, input: &Input) -> &'a str {
    match input.part {
        Some((part, _)) if part > 0 => id.rsplit_once(" (part ").map_or(id, |(path, _)| path),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoke_sdk::testing::{Map, now};

    fn unknown() -> History {
        History::Unknown("nobody was asked".to_owned())
    }

    #[test]
    fn each_document_is_an_item_in_the_group_of_its_kind() {
        let project = Map::of(&["README.md", "CLAUDE.md", "docs/a.md", "docs/adr/1.md", "CHANGELOG.md", "readme.md"]);
        let work = now(plan(&project, &[], Mode::Check, &unknown())).expect("a plan");
        let items: Vec<_> =
            work.items.iter().map(|item| (item.id.as_str(), item.group.as_deref().unwrap_or_default())).collect();
        assert_eq!(
            items,
            [
                ("CHANGELOG.md", "guides"),
                ("CLAUDE.md", "agent instructions"),
                ("README.md", "readme"),
                ("docs/a.md", "guides"),
                ("docs/adr/1.md", "architecture"),
                ("readme.md", "readme"),
            ]
        );
        let input: Input = serde_json::from_str(&work.items[2].input).expect("an input");
        assert_eq!(input, Input { clashes: vec!["readme.md".to_owned()], ..Input::of(Kind::Readme) });
        assert!(work.items.iter().all(|item| item.writes == [item.id.as_str()] && item.estimate.is_none()));
    }

    #[test]
    fn a_library_is_an_item_and_languages_that_are_not_covered_are_said() {
        let files = [("README.md", ""), ("a/Cargo.toml", "[package]\nname = 'a'"), ("a/src/lib.rs", "x"), ("b.go", "")];
        let project = Map::with(&files);
        let work = now(plan(&project, &[], Mode::Update, &unknown())).expect("a plan");
        let item = &work.items[1];
        assert_eq!((item.id.as_str(), item.group.as_deref()), ("public items of a (Rust)", Some("code")));
        let input: Input = serde_json::from_str(&item.input).expect("an input");
        assert_eq!(input.library.map(|library| library.root).as_deref(), Some("a/src/lib.rs"));
        assert!(item.writes.is_empty() && item.estimate.is_none());
        assert!(work.notes.iter().any(|note| note.ends_with("1 files of Go are not covered")), "{:?}", work.notes);
        let typed = now(plan(&project, &["README.md".to_owned()], Mode::Check, &unknown())).expect("a plan");
        assert_eq!(typed.items.len(), 1);
    }

    #[test]
    fn a_long_document_has_writers_one_after_the_other() {
        let long = "word ".repeat(16 << 10);
        let project = Map::with(&[("README.md", long.as_str()), ("CHANGELOG.md", long.as_str())]);
        let work = now(plan(&project, &[], Mode::Update, &unknown())).expect("a plan");
        let ids: Vec<_> = work.items.iter().map(|item| (item.id.as_str(), item.after.as_slice())).collect();
        assert_eq!(
            ids,
            [
                ("CHANGELOG.md", [].as_slice()),
                ("README.md", [].as_slice()),
                ("README.md (part 2)", ["README.md".to_owned()].as_slice()),
            ]
        );
        let input: Input = serde_json::from_str(&work.items[2].input).expect("an input");
        assert_eq!((path_of(&work.items[2].id, &input), input.ask), ("README.md", true));
        assert_eq!(work.items[2].writes, ["README.md"]);
    }
}
