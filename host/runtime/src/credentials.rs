//! Credentials in a text, also where terminal sequences stand before or in them.
//!
//! Programs colour what they print. In `ESC [ 1 m ghp_…` the token follows a letter, so for a scanner that sees only
//! characters it begins in the middle of a word, and is none. A reader sees the token. So both are looked through: the
//! text as it stands, and as a terminal would show it.

use std::borrow::Cow;
use std::ops::Range;

pub use convoke_secrets::Secret;

/// The credentials in a text, ascending and not overlapping, as [`convoke_secrets::find`] tells them. Takes time in
/// proportion to the text's length.
pub fn find(text: &str) -> Vec<Secret> {
    let mut found = convoke_secrets::find(text);
    let sequences = sequences(text);
    if sequences.is_empty() {
        return found;
    }
    found.extend(shown(text, &sequences));
    found.sort_by_key(|secret| secret.range.start);
    found.dedup_by(|later, earlier| {
        let overlap = later.range.start < earlier.range.end;
        if overlap {
            earlier.range.end = earlier.range.end.max(later.range.end);
        }
        overlap
    });
    found
}

/// The text with each credential replaced by `[redacted: its kind]`. Line breaks inside one are kept, so that line
/// numbers still hold; all else stays as it is.
pub fn redact(text: &str) -> Cow<'_, str> {
    without(text, &find(text))
}

/// The text without these credentials, which were found in it: see [`redact`].
pub fn without<'a>(text: &'a str, found: &[Secret]) -> Cow<'a, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for Secret { kind, range } in found {
        clean.push_str(&text[from..range.start]);
        clean.push_str("[redacted: ");
        clean.push_str(kind);
        clean.push(']');
        clean.extend(text[range.clone()].chars().filter(|char| *char == '\n'));
        from = range.end;
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

/// The credentials in what a terminal shows of a text, with their places in the text itself.
fn shown(text: &str, sequences: &[Range<usize>]) -> Vec<Secret> {
    let mut visible = String::with_capacity(text.len());
    // Where each piece begins: in what is shown, and in the text.
    let mut pieces = Vec::with_capacity(sequences.len() + 1);
    let mut from = 0;
    let end = text.len()..text.len();
    for sequence in sequences.iter().chain([&end]) {
        if from < sequence.start {
            pieces.push((visible.len(), from));
            visible.push_str(&text[from..sequence.start]);
        }
        from = sequence.end;
    }
    let place = |at: usize| {
        let piece = pieces.partition_point(|(begins, _)| *begins <= at).checked_sub(1);
        piece.and_then(|piece| pieces.get(piece)).map_or(at, |(begins, stands)| stands + (at - begins))
    };
    let found = convoke_secrets::find(&visible).into_iter().filter(|secret| !secret.range.is_empty());
    // The end by the last byte: behind that a sequence may follow which is not of it.
    found.map(|Secret { kind, range }| Secret { kind, range: place(range.start)..place(range.end - 1) + 1 }).collect()
}

/// Where whole terminal sequences stand in a text, in bytes, ascending: `ESC [ 31 m`, and not only its `ESC`.
pub fn sequences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !text.contains(['\u{1b}', '\u{9b}', '\u{9d}']) {
        return found;
    }
    let mut rest = text.char_indices().peekable();
    while let Some((start, character)) = rest.next() {
        let introducer = match character {
            // What can't follow it is for itself: a line's end, or the next one.
            '\u{1b}' => rest.next_if(|(_, next)| matches!(next, ' '..='~')).map(|(_, next)| next),
            '\u{9b}' => Some('['),
            '\u{9d}' => Some(']'),
            _ => continue,
        };
        match introducer {
            // CSI: parameters and intermediates, then one final character.
            Some('[') => {
                while rest.next_if(|(_, next)| matches!(next, ' '..='?')).is_some() {}
                rest.next_if(|(_, next)| matches!(next, '@'..='~'));
            }
            // OSC and other strings: up to BEL or ST, but never over a line's end, so that an open one hides no more.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some((_, next)) = rest.next_if(|(_, next)| *next != '\n') {
                    if matches!(next, '\u{7}' | '\u{9c}') {
                        break;
                    }
                    if next == '\u{1b}' {
                        rest.next_if(|(_, next)| *next == '\\');
                        break;
                    }
                }
            }
            Some(' '..='/') => {
                rest.next_if(|(_, next)| matches!(next, '0'..='~'));
            }
            _ => {}
        }
        found.push(start..rest.peek().map_or(text.len(), |(next, _)| *next));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Put together here, so that it stands in no file.
    fn token() -> String {
        format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o")
    }

    #[test]
    fn a_credential_behind_a_colour_is_found_and_all_else_stays() {
        let token = token();
        let text = format!("ä \u{1b}[1m{token}\u{1b}[0m!\n");
        assert_eq!(redact(&text), "ä \u{1b}[1m[redacted: github-token]\u{1b}[0m!\n");
        for before in
            ["\u{1b}[31;1m", "\u{9b}31m", "\u{1b}c", "\u{1b}(B", "\u{1b}\u{1b}[1m", "\u{1b}]0;title\u{1b}\\", "x = "]
        {
            let text = format!("{before}{token}");
            assert_eq!(redact(&text), format!("{before}[redacted: github-token]"));
        }
    }

    #[test]
    fn one_with_colours_in_it_goes_as_a_whole() {
        let token = token();
        let (begin, end) = token.split_at(10);
        let text = format!("key \u{1b}[1m{begin}\u{1b}[7m{end}\u{1b}[0m and {token}");
        let clean = redact(&text);
        assert_eq!(clean, "key \u{1b}[1m[redacted: github-token]\u{1b}[0m and [redacted: github-token]");
    }

    #[test]
    fn what_a_terminal_would_not_show_is_found_too() {
        let text = format!("\u{1b}]8;;https://x.example/?token={}\u{7}link\u{1b}]8;;\u{7}", token());
        assert!(!redact(&text).contains(&token()));
    }

    proptest! {
        /// Whatever stands there, places are in order and at characters, and none is lost that a plain look finds.
        #[test]
        fn nothing_that_a_plain_look_finds_is_lost(pieces in prop::collection::vec(0..7_usize, 0..12)) {
            let token = token();
            let parts = ["\u{1b}[1m", "\u{1b}", "ä", &token, &token[..9], &token[9..], "\u{9d}0;\n"];
            let text: String = pieces.iter().map(|piece| parts[*piece]).collect();
            let found = find(&text);
            prop_assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
            for plain in convoke_secrets::find(&text) {
                prop_assert!(found.iter().any(|one| one.range.start <= plain.range.start && plain.range.end <= one.range.end));
            }
            let clean = redact(&text);
            prop_assert_eq!(clean.matches('\n').count(), text.matches('\n').count());
        }
    }
}
