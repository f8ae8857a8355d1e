//! What a link names after `#`, by GitHub's rules (`html-pipeline`, its filter for tables of contents).

use std::collections::HashMap;

/// The slug of a heading's text, whatever other headings there are: lower case, without punctuation and pictures, with
/// hyphens for spaces.
pub fn slug(text: &str) -> String {
    text.trim().chars().flat_map(char::to_lowercase).filter_map(kept).collect()
}

/// Letters, digits, marks, underscores and hyphens stay.
fn kept(char: char) -> Option<char> {
    match char {
        ' ' => Some('-'),
        '-' | '_' => Some(char),
        _ => (char.is_alphanumeric() || is_mark(char)).then_some(char),
    }
}

/// Marks that belong to the letter before, the variation selectors that follow pictures among them.
fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{203f}' | '\u{2040}')
}

/// The slugs of a document: the second of the same text ends in `-1`.
#[derive(Debug, Default)]
pub struct Slugs {
    seen: HashMap<String, usize>,
}

impl Slugs {
    /// The slug of the next heading.
    pub fn next(&mut self, text: &str) -> String {
        let slug = slug(text);
        let count = self.seen.entry(slug.clone()).or_default();
        *count += 1;
        if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
    }
}

/// The name of a place, made so that two are equal that a browser on GitHub takes for the same: it looks at no case. Marks
/// and the like, in which the rules have changed, don't count either.
pub fn plain(name: &str) -> String {
    let lower = name.chars().flat_map(char::to_lowercase);
    lower.filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_in_lower_case_without_punctuation_and_with_hyphens() {
        for (text, expected) in [
            ("Getting Started", "getting-started"),
            ("What's new?", "whats-new"),
            ("A & B", "a--b"),
            ("v1.2.3 (2026-01-01)", "v123-2026-01-01"),
            ("snake_case and --flag", "snake_case-and---flag"),
            ("Über uns: Größe", "über-uns-größe"),
            ("日本語 の 見出し", "日本語-の-見出し"),
            ("🚀 Start", "-start"),
            (":rocket: Start", "rocket-start"),
            ("C++ / C#", "c--c"),
            ("", ""),
        ] {
            assert_eq!(slug(text), expected, "{text}");
        }
    }

    #[test]
    fn the_second_of_the_same_name_is_numbered() {
        let mut slugs = Slugs::default();
        assert_eq!(
            ["Usage", "Usage", "usage", "Other"].map(|text| slugs.next(text)),
            ["usage", "usage-1", "usage-2", "other"]
        );
    }

    #[test]
    fn names_of_a_place_are_compared_as_a_browser_does() {
        assert_eq!(plain("Install"), plain("install"));
        assert_eq!(plain("⚙\u{fe0f}-settings"), plain("-settings"));
        assert_ne!(plain("install"), plain("installs"));
    }
}
