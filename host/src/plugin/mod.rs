//! Plugins: what they are made of ([`manifest`], [`build`]), what they ask for ([`inspect`]), and what they get
//! ([`project`], and where it was granted [`outside`]).

pub mod bindings;
pub mod build;
pub mod capabilities;
mod clock;
mod convert;
pub mod embedded;
pub mod engine;
pub mod fixed;
pub mod grants;
pub mod imports;
pub mod inspect;
pub mod installed;
mod log;
pub mod manifest;
pub mod operations;
pub mod outside;
pub mod project;
pub mod sandbox;
pub mod source;
pub mod template;

pub use convert::{Ending, Refused};
pub use log::Log;

/// A text from a stranger, fit for one line of a message: control characters escaped, at most `limit` characters.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            shown.push('…');
            break;
        }
        if is_unsafe_to_show(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, and those that change the direction of text or hide in it: they can make a message show
/// something else than it says.
pub(crate) fn is_unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The sha-256 of bytes, in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_terminal_and_of_direction_are_shown_not_sent() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c", 80), "a\\u{1b}[31mb\\u{202e}c");
        assert_eq!(printable("abcdef", 3), "abc…");
    }

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
