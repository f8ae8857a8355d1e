//! Text from strangers, made fit to be shown, and places in it.

/// The text on one line, without characters that act on a terminal or turn its direction, cut to `most` characters.
pub fn shown(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut chars = text.chars().map(|char| if char.is_whitespace() { ' ' } else { char }).filter(|char| !acts(*char));
    for char in chars.by_ref().take(most) {
        if !(char == ' ' && (line.is_empty() || line.ends_with(' '))) {
            line.push(char);
        }
    }
    let more = chars.next().is_some();
    line.truncate(line.trim_end().len());
    if more {
        line.push('…');
    }
    line
}

fn acts(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The line, counted from 1, in which a byte stands.
pub fn line_at(text: &str, byte: usize) -> u32 {
    let before = text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count();
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_not_act_on_a_terminal() {
        assert_eq!(shown("a\u{1b}[31mred\u{7}\n\tb\u{202e}c", 40), "a[31mred bc");
        assert_eq!(shown("four words are here", 10), "four words…");
        assert_eq!(shown("  plain  ", 10), "plain");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([0, 1, 2, 9].map(|byte| line_at("a\nb\n", byte)), [1, 1, 2, 3]);
    }
}
