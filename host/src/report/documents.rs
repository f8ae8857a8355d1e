//! Whole texts that a command hands out as they are: a list, a bill of materials.
//!
//! They are what the command was asked for. So where the report is for people they take its place on standard output, and
//! the report goes beside them: `convoke deps sbom > sbom.json` gives a file with nothing else in it.

use convoke_runtime::work::Partial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clean;

/// The documents of an item, and those of a run, are together no longer, in bytes.
pub const MOST_BYTES: usize = 16 << 20;

/// A whole text that the command hands out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// The id of the item that it is of.
    pub item: String,
    /// What a file with it would be called: a name without a folder.
    pub name: String,
    /// What it is: `text/plain`, `application/json`.
    pub media_type: String,
    /// All of it.
    pub text: String,
}

impl Document {
    /// Whether it is meant to be read as it is.
    pub fn is_plain(&self) -> bool {
        self.media_type == "text/plain"
    }
}

/// What the items hand out together.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the order of the items. Documents of the same name stay beside each other: nobody but the command knows how to
    /// join them.
    pub documents: Vec<Document>,
    /// What did not fit, for people.
    pub left_out: Vec<String>,
}

/// Collects them, given with the ids of their items in the order of the plan.
pub fn collect<'a>(partials: impl IntoIterator<Item = (&'a str, &'a Partial)>) -> Collected {
    let mut collected = Collected::default();
    let mut bytes = 0;
    for (item, partial) in partials {
        for document in &partial.documents {
            let work = document.clone();
            if bytes + work.text.len() > MOST_BYTES {
                collected.left_out.push(format!(
                    "the document {} of {} is left out: the documents of the run have more than {} MiB together; take a \
                     part of the project",
                    clean::line(&work.name),
                    clean::line(item),
                    MOST_BYTES >> 20
                ));
                continue;
            }
            bytes += work.text.len();
            collected.documents.push(Document {
                item: item.to_owned(),
                name: work.name,
                media_type: work.media_type,
                text: work.text,
            });
        }
    }
    collected
}

/// Their texts, one after the other, each with a line end. For a terminal without what acts on one; a file or a pipe
/// gets them as they are.
pub fn shown(documents: &[Document], is_terminal: bool) -> String {
    let mut text = String::new();
    for document in documents {
        if is_terminal {
            text.push_str(&clean::block(&document.text));
        } else {
            text.push_str(&document.text);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work;

    use super::*;

    fn partial(texts: &[&str]) -> Partial {
        let document = |text: &&str| work::Document {
            name: "list.txt".to_owned(),
            media_type: "text/plain".to_owned(),
            text: (*text).to_owned(),
        };
        Partial { documents: texts.iter().map(document).collect(), ..Partial::default() }
    }

    #[test]
    fn they_come_in_the_order_of_their_items() {
        let (one, two) = (partial(&["a\n", "b"]), partial(&["c"]));
        let collected = collect([("one", &one), ("two", &two)]);
        assert_eq!(shown(&collected.documents, false), "a\nb\nc\n");
        assert_eq!(collected.documents[2].item, "two");
        assert!(collected.left_out.is_empty());
    }

    #[test]
    fn a_terminal_gets_nothing_to_act_on_and_a_pipe_every_byte() {
        let one = partial(&["a\u{1b}[2Jb\u{202e}c\r\n"]);
        let documents = collect([("one", &one)]).documents;
        assert_eq!(shown(&documents, true), "ab<U+202E>c\n");
        assert_eq!(shown(&documents, false), "a\u{1b}[2Jb\u{202e}c\r\n");
    }

    #[test]
    fn what_is_too_much_for_a_run_is_left_out_and_said() {
        let large = "x".repeat(MOST_BYTES - 1);
        let (one, two) = (partial(&[&large]), partial(&["yy", "z"]));
        let collected = collect([("one", &one), ("two", &two)]);
        let items: Vec<_> = collected.documents.iter().map(|document| document.item.as_str()).collect();
        assert_eq!(items, ["one", "two"]);
        assert!(collected.left_out[0].contains("list.txt of two is left out"), "{:?}", collected.left_out);
    }

    #[test]
    fn an_empty_document_is_nothing() {
        let one = partial(&["", ""]);
        assert_eq!(shown(&collect([("one", &one)]).documents, false), "");
    }
}
