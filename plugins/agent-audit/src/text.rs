//! Text from strangers, made fit to be shown.

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

/// Lower case letters, digits and single hyphens, beginning with a letter.
pub fn is_kebab_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit()))
}

/// A text as a kebab-case name of at most 64 characters, for headings and groups. May be empty.
pub fn kebab(text: &str) -> String {
    let mut name = String::new();
    for char in text.chars().take(64) {
        if char.is_ascii_alphanumeric() {
            name.push(char.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

/// The line, counted from 1, in which a byte stands.
pub fn line_at(text: &str, byte: usize) -> u32 {
    let before = text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count();
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

/// The words of a text in lower case: runs of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
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
    fn kebab_case_is_lower_case_with_single_hyphens() {
        for good in ["reviewer", "code-reviewer", "powershell-7-expert", "m365-admin"] {
            assert!(is_kebab_case(good), "{good}");
        }
        for bad in ["", "Code-Reviewer", "code_reviewer", "code--reviewer", "-a", "a-", "code reviewer", "7-zip", "é"]
        {
            assert!(!is_kebab_case(bad), "{bad}");
        }
        assert_eq!(kebab("Data & AI / ML "), "data-ai-ml");
        assert_eq!(kebab("日本"), "");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([0, 1, 2, 9].map(|byte| line_at("a\nb\n", byte)), [1, 1, 2, 3]);
    }
}
