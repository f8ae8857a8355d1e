//! A document as a writer sees it, with the edits that others have made before, and the way back to the file as it is.

use std::ops::Range;

use convoke_sdk::prelude::*;
use convoke_sdk::{Change, Replacement};

/// A document with edits in it.
pub struct Seen {
    /// What it says.
    pub text: String,
    /// Ascending, not overlapping: what of the file is replaced, and where that stands now.
    changed: Vec<(Range<usize>, Range<usize>)>,
}

impl Seen {
    /// Carries out the edits of a file. What doesn't fit, or overlaps one before, is left out.
    pub fn new(original: &str, path: &str, edits: &[Edit]) -> Self {
        let mut replacements: Vec<&Replacement> = edits
            .iter()
            .filter(|edit| edit.path == path)
            .filter_map(|edit| match &edit.change {
                Change::Replace(replacements) => Some(replacements),
                _ => None,
            })
            .flatten()
            .collect();
        replacements.sort_by_key(|replacement| (replacement.start, replacement.end));
        let (mut text, mut changed, mut at) = (String::with_capacity(original.len()), Vec::new(), 0);
        for replacement in replacements {
            let range = usize::try_from(replacement.start).ok().zip(usize::try_from(replacement.end).ok());
            let Some((start, end)) = range.filter(|(start, end)| original.get(*start..*end).is_some()) else {
                continue;
            };
            let Some(between) = original.get(at..start) else { continue };
            text.push_str(between);
            let now = text.len();
            text.push_str(&replacement.text);
            changed.push((start..end, now..text.len()));
            at = end;
        }
        text.push_str(original.get(at..).unwrap_or_default());
        Self { text, changed }
    }

    /// Where a byte of the file stands in what is seen; the end of what was changed, where it was.
    pub fn forward(&self, at: usize) -> usize {
        let before = self.changed.partition_point(|(was, _)| was.start < at);
        match before.checked_sub(1).and_then(|index| self.changed.get(index)) {
            Some((was, now)) => now.end + at.saturating_sub(was.end),
            None => at,
        }
    }

    /// Where a stretch of what is seen stands in the file; none: it was changed, in whole or in part.
    pub fn back(&self, range: Range<usize>) -> Option<Range<usize>> {
        let mut grown = 0_isize;
        for (was, now) in &self.changed {
            if now.start >= range.end {
                break;
            }
            if now.end > range.start {
                return None;
            }
            grown = now.end.checked_signed_diff(was.end)?;
        }
        Some(range.start.checked_add_signed(-grown)?..range.end.checked_add_signed(-grown)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: u64, end: u64, text: &str) -> Edit {
        let change = Change::Replace(vec![Replacement { start, end, text: text.to_owned() }]);
        Edit { path: "a.md".to_owned(), base: None, change, reason: String::new(), extra: Vec::new() }
    }

    #[test]
    fn a_writer_sees_the_edits_before_and_writes_into_the_file_as_it_is() {
        let original = "one two three four";
        let seen = Seen::new(original, "a.md", &[edit(8, 13, "3"), edit(0, 3, "the first")]);
        assert_eq!(seen.text, "the first two 3 four");
        for word in ["two", " four", "two "] {
            let at = seen.text.find(word).expect("there");
            let range = seen.back(at..at + word.len()).expect("unchanged");
            assert_eq!(&original[range], word);
        }
        assert_eq!([0, 3, 4, 9, 13, 14].map(|at| seen.forward(at)), [0, 9, 10, 15, 15, 16]);
        for word in ["first", "3", "3 four", "two 3", "the first two"] {
            let at = seen.text.find(word).expect("there");
            assert_eq!(seen.back(at..at + word.len()), None, "{word}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let other = Edit { path: "b.md".to_owned(), ..edit(0, 1, "x") };
        let seen =
            Seen::new("é one", "a.md", &[edit(1, 3, "x"), edit(9, 12, "y"), other, edit(3, 6, "1"), edit(4, 5, "z")]);
        assert_eq!(seen.text, "é 1");
    }
}
