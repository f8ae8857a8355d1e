//! What the tests of formats share.

/// Gives texts made of pieces to a reader: thousands, the same ones each time. None may end the component.
pub(crate) fn pieces(pieces: &[&str], mut read: impl FnMut(&str)) {
    let mut seed = 11u64;
    for _ in 0..4_000 {
        let mut text = String::new();
        for _ in 0..16 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        read(&text);
    }
}

/// Gives a text to a reader whole, and cut off or changed at many places.
pub(crate) fn mangled(text: &str, mut read: impl FnMut(&str)) {
    read(text);
    for (at, char) in text.char_indices() {
        read(&text[..at]);
        let rest = &text[at + char.len_utf8()..];
        read(&format!("{}{rest}", &text[..at]));
        for instead in ["\"", "{", "[", ":", "\n", "@", "é", "\0"] {
            read(&format!("{}{instead}{rest}", &text[..at]));
        }
    }
}

/// The text as an editor of Windows writes it: a byte order mark, and lines that end with two characters.
pub(crate) fn windows(text: &str) -> String {
    format!("\u{feff}{}", text.replace("\r\n", "\n").replace('\n', "\r\n"))
}
