//! Makes text from strangers harmless where it is shown.
//!
//! Messages, paths and logs come from models, repositories and plugins. Shown as they are they could move the cursor,
//! hide or reorder other text, forge lines, mention people or plant links. Each renderer calls the function of its
//! format. The JSON report keeps the text itself, since a reader of JSON needs the truth; see [`json`].

use std::borrow::Cow;
use std::fmt::Write as _;

use convoke_runtime::credentials::sequences;

/// Stands for what was cut off.
const CUT: char = '…';

/// Cuts to at most `max` characters, the last of which then is `…`.
pub fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => Cow::Borrowed(text),
        Some(_) if max == 0 => Cow::Borrowed(""),
        Some(_) => {
            let mut short: String = text.chars().take(max - 1).collect();
            short.push(CUT);
            Cow::Owned(short)
        }
    }
}

/// One line: terminal sequences removed, each run of white space one blank, everything that is invisible or reorders
/// text made visible as `<U+202E>`.
pub fn line(text: &str) -> String {
    // Most is as it should be, and seen to be so at once.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("  ");
    if is_plain { text.trim().to_owned() } else { cleaned(text) }
}

fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in without_sequences(text).chars() {
        if character.is_whitespace() {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else {
            push_visible(&mut clean, character);
        }
    }
    clean.trim().to_owned()
}

/// Several lines, cleaned each; tabs become four blanks, blanks stay. A carriage return ends a line.
pub fn block(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in without_sequences(&text.replace("\r\n", "\n")).chars() {
        match character {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\t' => clean.push_str("    "),
            character => push_visible(&mut clean, character),
        }
    }
    clean
}

/// Inline Markdown that shows this text, cleaned as by [`line`]. Words in single backticks stay code; nothing else is
/// markup, and nobody is mentioned and nothing is linked by it, also where the site links plain text.
pub fn markdown(text: &str) -> String {
    let text = line(text);
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of parts is an even number of backticks: every second part is code. Anything unusual is no code.
    let coded = parts.len() % 2 == 1 && parts.iter().skip(1).step_by(2).all(|part| !part.trim().is_empty());
    if !coded {
        return markdown_words(&text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (number, part) in parts.iter().enumerate() {
        if number % 2 == 1 {
            // Inside a table a bar ends the cell even in code.
            let _ = write!(out, "`{}`", part.replace('|', "\\|"));
        } else {
            out.push_str(&markdown_words(part));
        }
    }
    out
}

/// Inline code that shows this text.
pub fn markdown_code(text: &str) -> String {
    let text = line(text).replace('|', "\\|");
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

/// A fenced block that shows this text; no content can close it.
pub fn markdown_fence(text: &str, language: &str) -> String {
    let text = block(text);
    let fence = "`".repeat((longest_run(&text, '`') + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// Plain text for a SARIF message, where `[text](target)` would be a link (SARIF 2.1.0, 3.11.6).
pub fn sarif(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in line(text).chars() {
        if matches!(character, '\\' | '[' | ']') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// The same JSON, with the characters that [`line`] makes visible written as `\u202e`. They can only stand in strings,
/// so that a reader gets the same values, and a terminal nothing to act on.
pub fn json(text: String) -> String {
    // Most reports are plain, and of ASCII only controls are unsafe.
    let is_plain = text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~'));
    if is_plain || !text.chars().any(|character| character != '\n' && is_unsafe(character)) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character != '\n' && is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// A text of the same length in bytes, in which unsafe characters are replaced, so that places in it stay right.
pub fn same_length(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if !is_unsafe(character) || matches!(character, '\n' | '\r' | '\t') {
            out.push(character);
            continue;
        }
        match character.len_utf8() {
            bytes @ (1 | 2) => out.push_str(&"??"[..bytes]),
            3 => out.push('\u{fffd}'),
            _ => out.push_str("\u{fffd}?"),
        }
    }
    out
}

fn push_visible(out: &mut String, character: char) {
    if is_unsafe(character) {
        let _ = write!(out, "<U+{:04X}>", u32::from(character));
    } else {
        out.push(character);
    }
}

/// Controls, and what is invisible or changes the order of other text. Joiners (U+200C, U+200D) and variation
/// selectors stay: scripts and emoji need them.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Removes whole escape sequences, so that `ESC [ 31 m` leaves no `[31m`.
fn without_sequences(text: &str) -> Cow<'_, str> {
    let sequences = sequences(text);
    if sequences.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for sequence in sequences {
        out.push_str(&text[from..sequence.start]);
        from = sequence.end;
    }
    out.push_str(&text[from..]);
    Cow::Owned(out)
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn markdown_words(text: &str) -> String {
    /// Parts names that the site would link, and is not seen.
    const PART: char = '\u{200b}';
    let number_at_the_start = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = None;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', character]),
            // A list, a rule, a heading, only where a line begins.
            '-' | '+' | '=' if at == 0 => out.extend(['\\', character]),
            // A mention, an issue's number.
            '@' => out.extend([character, PART]),
            '#' => out.extend(['\\', character, PART]),
            // `https://…` and `mailto:…` are linked as plain text, `www.…` too.
            ':' if rest.peek().is_some_and(|(_, next)| !next.is_whitespace()) => out.extend([character, PART]),
            '.' if matches!(before, Some('w' | 'W')) => out.extend([character, PART]),
            // A numbered list.
            '.' | ')' if at > 0 && at == number_at_the_start && rest.peek().is_none_or(|(_, next)| *next == ' ') => {
                out.extend(['\\', character]);
            }
            other => out.push(other),
        }
        before = Some(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_sequence_leaves_nothing() {
        assert_eq!(line("\u{1b}[31mred\u{1b}[0m and \u{1b}]8;;http://evil\u{7}link\u{1b}]8;;\u{1b}\\"), "red and link");
        assert_eq!(line("\u{9b}2Jcleared"), "cleared");
    }

    #[test]
    fn a_plain_line_is_what_it_would_be_cleaned() {
        for first in 0..=0x7f {
            for text in ["", " ", "a", "a ", " a", "a b"].map(|text| format!("{text}{}", char::from(first))) {
                for text in [format!("{text} c"), format!("{text}  c"), text] {
                    assert_eq!(line(&text), cleaned(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn an_open_sequence_hides_no_more_than_its_line() {
        assert_eq!(block("a \u{1b}]0;title\nnext line"), "a \nnext line");
        assert_eq!(line("end \u{1b}"), "end");
        assert_eq!(line("\u{1b}\u{1b}[1mtwice"), "twice");
    }

    #[test]
    fn controls_and_reordering_characters_are_seen() {
        assert_eq!(line("a\u{202e}b\u{7}c\u{e0041}"), "a<U+202E>b<U+0007>c<U+E0041>");
        assert_eq!(block("one\r\ntwo\rthree\tfour"), "one\ntwo\nthree    four");
        assert_eq!(line("family 👩\u{200d}👩\u{200d}👧 stays"), "family 👩\u{200d}👩\u{200d}👧 stays");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("  error:\n\n  forged\u{2028}line\t "), "error: forged line");
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(bounded("grüße", 5), "grüße");
        assert_eq!(bounded("grüßen", 5), "grüß…");
        assert_eq!(bounded("x", 0), "");
    }

    #[test]
    fn markdown_from_a_stranger_is_text() {
        let hostile = "![x](http://evil/p.png) <img src=x> @everyone #1 **bold** a|b www.evil.example";
        let shown = markdown(hostile);
        for markup in ["![x]", "<img", "**", "http://", "@everyone", "#1", "a|b", "www.evil"] {
            assert!(!shown.contains(markup), "{markup} is still in {shown}");
        }
        assert_eq!(markdown("1. not a list"), "1\\. not a list");
        assert_eq!(markdown("take 1.5 of it"), "take 1.5 of it");
    }

    #[test]
    fn code_in_a_message_stays_code_only_where_backticks_pair() {
        assert_eq!(markdown("`name` is *missing*"), "`name` is \\*missing\\*");
        assert_eq!(markdown("an open ` here"), "an open \\` here");
        assert_eq!(markdown("``x`` is not"), "\\`\\`x\\`\\` is not");
        assert_eq!(markdown("`a|b`"), "`a\\|b`");
    }

    #[test]
    fn no_content_closes_its_fence() {
        assert_eq!(markdown_code("a``b"), "```a``b```");
        assert_eq!(markdown_code("`a"), "`` `a ``");
        let fenced = markdown_fence("```\n# out\n```", "diff");
        assert!(fenced.starts_with("````diff\n") && fenced.ends_with("\n````\n"));
    }

    #[test]
    fn a_sarif_message_has_no_links() {
        assert_eq!(sarif("see [here](file:///etc/passwd) \\"), "see \\[here\\](file:///etc/passwd) \\\\");
    }

    #[test]
    fn json_keeps_its_values_and_hides_nothing() {
        let value = serde_json::json!({"text": "a\u{202e}b\u{9b}c\u{e0041}\u{7f} é"});
        let shown = json(serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|character| character != '\n' && is_unsafe(character)));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn places_stay_right_in_a_cleaned_source() {
        let source = "a\u{1b}[b\u{202e}c\u{85}d\u{e0041}e\tf\n";
        let clean = same_length(source);
        assert_eq!(clean.len(), source.len());
        assert_eq!(clean.find('e'), source.find('e'));
        assert!(!clean.contains(['\u{1b}', '\u{202e}', '\u{85}', '\u{e0041}']));
    }
}
