//! Names and words.

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

/// The words of a text in lower case: runs of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
