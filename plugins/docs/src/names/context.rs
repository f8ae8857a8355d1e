//! What the text around a name says of it: that it is only an example, that it comes to be, that it holds under a condition.

use crate::markdown::{Code, Document, Place};

/// The text around a place, in lower case: what comes before it and what comes after, on its line and the ones beside it.
fn around(document: &Document, place: Place) -> (String, String) {
    let texts = &document.texts;
    let after = texts.partition_point(|text| text.place.start < place.start);
    let near = |text: &&Code| text.place.line.abs_diff(place.line) <= 1;
    let before: Vec<&str> = texts[..after].iter().rev().take(4).filter(near).map(|text| text.text.as_str()).collect();
    let before: String = before.into_iter().rev().collect::<Vec<_>>().join(" ").to_lowercase();
    let behind: Vec<&str> = texts[after..].iter().take(2).filter(near).map(|text| text.text.as_str()).collect();
    let behind: String = behind.join(" ").to_lowercase();
    let skip = before.chars().count().saturating_sub(60);
    (before.chars().skip(skip).collect(), behind.chars().take(60).collect())
}

/// Whether the text says that it is only an example.
pub(crate) fn is_example(document: &Document, place: Place) -> bool {
    let (before, _) = around(document, place);
    [
        "e.g.",
        "for example",
        "for instance",
        "such as",
        "something like",
        "say,",
        "i.e. not",
        "instead of",
        "rather than",
    ]
    .iter()
    .any(|word| before.contains(word))
        || before.trim_end().ends_with(" like")
}

/// Whether the text says that it comes to be, or is gone.
pub(crate) fn is_made(document: &Document, place: Place) -> bool {
    let (before, after) = around(document, place);
    const BEFORE: &[&str] = &[
        "creat",
        "generat",
        "writ",
        "saved",
        "save ",
        "saves",
        "emit",
        "produc",
        "output",
        "removed",
        "deleted",
        "renamed",
        "moved",
        "used to",
        "formerly",
        "previously",
        "old ",
        "no longer",
        "not ",
        "without",
        "missing",
        "add a",
        "add your",
        "put your",
        "place your",
        "put it",
        "copy",
        "your ",
        "download",
        "cloned",
        "checkout of",
        "ignored",
        "builds ",
        "built to",
        "compil",
        "into ",
        "store",
        "will be",
        "legacy",
        "deprecated",
        "new file",
        "if there is",
        "if you have",
        "optional",
        "no `",
        "neither",
        "never",
        "branch",
        "image",
        "route",
        "endpoint",
        "url",
        "or a",
        "another",
        "other project",
        "upstream",
    ];
    const AFTER: &[&str] = &[
        "will be",
        "is created",
        "are created",
        "is generated",
        "are generated",
        "is written",
        "was removed",
        "was renamed",
        "was deleted",
        "has been",
        "no longer",
        "does not exist",
        "doesn't exist",
        "is gone",
        "if it exists",
        "if present",
        "if any",
        "is ignored",
        "are ignored",
        "is missing",
        "in your",
        "of your",
        "is not there",
        "branch",
        "is produced",
        "is built",
        "appears",
        "in the upstream",
        "was moved",
        "is deprecated",
    ];
    BEFORE.iter().any(|word| before.contains(word)) || AFTER.iter().any(|word| after.contains(word))
}

/// Whether a text says what the whole project needs, and not what a part of it, or something under a condition.
pub(crate) fn asks_for_versions(document: &Document, text: &Code) -> bool {
    const ABOUT: &[&str] = &[
        "requirement",
        "prerequisite",
        "install",
        "minimum",
        "msrv",
        "getting started",
        "setup",
        "set up",
        "develop",
        "build",
        "version",
        "quick",
    ];
    const CONDITIONS: &[&str] =
        &["example", "feature", "features", "for", "if", "on", "only", "since", "when", "where", "with"];
    let count = document.headings.partition_point(|heading| heading.place.start <= text.place.start);
    let above = count.checked_sub(1).and_then(|last| document.headings.get(last));
    let heading = above.map(|heading| (heading.level, heading.text.to_lowercase()));
    let is_about = heading.is_none_or(|(level, title)| level == 1 || ABOUT.iter().any(|word| title.contains(word)));
    let line = text.text.to_lowercase();
    let (before, after) = around(document, text.place);
    let is_conditional = |text: &str| {
        text.contains("due to")
            || text.split(|char: char| !char.is_alphanumeric()).any(|word| CONDITIONS.contains(&word))
    };
    is_about && !is_conditional(&line) && !is_conditional(&before) && !after.contains("due to")
}
