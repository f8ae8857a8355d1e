//! Documents: whole texts that a run hands out.

use serde::{Deserialize, Serialize};

/// A whole text that a run hands out as it is: [`Partial::document`](crate::Partial::document).
///
/// The documents of a run have 16 MiB at most, all together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What a file with it would be called: a plain name, without a folder.
    pub name: String,
    /// What it is, without parameters: `text/plain`, `application/json`.
    pub media_type: String,
    /// All of it.
    pub text: String,
}

impl Document {
    /// By this name it travels in a partial's `extra`.
    pub(crate) const NAME: &str = "document";

    /// A document.
    pub fn new(name: impl Into<String>, media_type: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), media_type: media_type.into(), text: text.into() }
    }

    /// One that is meant to be read as it is.
    pub fn plain(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, "text/plain", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partial;

    #[test]
    fn a_partial_hands_out_what_was_given_to_it() {
        let (one, two) =
            (Document::plain("a.txt", "a\n"), Document::new("b.json", "application/json", "{\"b\":\"é\"}"));
        let mut partial = Partial::done().document(&one).document(&two);
        partial.extra.push(("later".to_owned(), "1".to_owned()));
        assert_eq!(partial.documents().collect::<Vec<_>>(), [one, two]);
    }
}
