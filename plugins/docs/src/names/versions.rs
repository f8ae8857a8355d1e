//! The least versions of tools: what a document asks for, and what manifests ask for.

use super::mention::{Name, What};

/// The tools, as documents write them and as they are called here.
const TOOLS: &[(&str, &str)] = &[
    ("node.js", "Node"),
    ("nodejs", "Node"),
    ("node", "Node"),
    ("rust", "Rust"),
    ("golang", "Go"),
    ("go", "Go"),
    ("python", "Python"),
];

/// The least versions that a piece of text asks for: `Node.js 18+`, `requires Python 3.9`, `Rust 1.70 or later`.
pub(crate) fn claimed(text: &str) -> Vec<Name> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let as_written: Vec<&str> = text.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let word = word.trim_start_matches(['(', '"', '\'']);
        let Some((_, tool)) = TOOLS.iter().find(|(written, _)| word == *written) else { continue };
        // Go and rust are words, too.
        let written = as_written.get(at).copied().unwrap_or("").trim_start_matches(['(', '"', '\'']);
        if !written.starts_with(|char: char| char.is_ascii_uppercase()) {
            continue;
        }
        let mut rest = words.get(at + 1..).unwrap_or(&[]);
        let mut least = words.get(at.saturating_sub(4)..at).unwrap_or(&[]).iter().any(|word| {
            matches!(*word, "requires" | "require" | "required" | "least" | "minimum" | "needs" | "need" | "≥" | ">=")
        });
        while let Some((first, more)) = rest.split_first() {
            match *first {
                "version" | "v" => {}
                ">=" | "≥" => least = true,
                _ => break,
            }
            rest = more;
        }
        let Some(first) = rest.first() else { continue };
        let number = first.trim_start_matches([')', '(']);
        least |= number.starts_with(['≥', '>']);
        let number = number.trim_start_matches(['≥', '>', '=', 'v']);
        let digits: String = number.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
        let after = number.get(digits.len()..).unwrap_or("");
        least |= after.starts_with('+');
        let next: Vec<&str> = rest.iter().skip(1).take(2).copied().collect();
        least |= matches!(next.first(), Some(&"+"))
            || matches!(next.as_slice(), ["or" | "and", word] if ["later", "newer", "higher", "above", "greater", "up"].iter().any(|end| word.starts_with(end)));
        let digits = digits.trim_end_matches('.');
        let ends = after.is_empty() || after.starts_with(['+', ',', ')', ';', '.', ':']);
        if least && ends && !digits.is_empty() && parts(digits).is_some() {
            found.push(Name::new(What::Version, digits).of(*tool));
        }
    }
    found
}

/// The numbers of a version.
fn parts(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// Whether a version that a document asks for is less than what a manifest asks for, as exactly as the document says it.
pub(crate) fn is_less(claimed: &str, least: &str) -> bool {
    let (Some(claimed), Some(least)) = (parts(claimed), parts(least)) else { return false };
    claimed.iter().zip(&least).find(|(a, b)| a != b).is_some_and(|(a, b)| a < b)
}

/// The least version that a requirement allows: of `>=18 || ^16.3` 16.3. None: that can't be told.
pub(crate) fn least(requirement: &str) -> Option<String> {
    let mut least: Option<String> = None;
    for alternative in requirement.split("||") {
        // The first of several bounds that is one from below.
        let bounds = alternative.split([',', ' ']).filter(|part| !part.is_empty());
        let mut below = None;
        let mut pending = "";
        for bound in bounds {
            let operator =
                bound.trim_end_matches(|char: char| char.is_ascii_digit() || matches!(char, '.' | 'x' | '*'));
            let operator = if operator.is_empty() { pending } else { operator };
            let digits = bound.trim_start_matches(|char: char| !char.is_ascii_digit());
            if digits.is_empty() {
                pending = operator;
                continue;
            }
            pending = "";
            if matches!(operator.trim_end_matches('v'), "" | ">=" | "^" | "~" | "=" | "==" | "~=" | "~>") {
                let digits: String = digits.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
                below = below.or(Some(digits.trim_end_matches('.').to_owned()));
            }
        }
        let below = below.filter(|below| parts(below).is_some())?;
        if least.as_ref().is_none_or(|least| is_less(&below, least)) {
            least = Some(below);
        }
    }
    least
}

/// The version in the `go` line of a `go.mod`.
pub(crate) fn go(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim().strip_prefix("go ")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_least_version_is_asked_for_in_words_or_signs() {
        for (text, expected) in [
            ("You need Node.js 18 and npm", "Node 18"),
            ("Python 3.9+ is used", "Python 3.9"),
            ("Rust 1.70 or later", "Rust 1.70"),
            ("Go >= 1.21.", "Go 1.21"),
            ("at least Rust version 1.80.1", "Rust 1.80.1"),
            ("(Node ≥18)", "Node 18"),
            ("Runtime: Python 3.14", ""),
            ("go 18 or later", ""),
            ("requires Node", ""),
            ("requires Python 3.x", ""),
            ("since Rust 2021 edition", ""),
        ] {
            let found: Vec<String> =
                claimed(text).into_iter().map(|name| format!("{} {}", name.of, name.text)).collect();
            assert_eq!(found.join(", "), expected, "{text}");
        }
    }

    #[test]
    fn the_least_of_a_requirement_is_its_lowest_bound() {
        for (text, expected) in [
            (">=18", Some("18")),
            ("^20.1.0 || >=16.3", Some("16.3")),
            ("18.x", Some("18")),
            (">=3.9,<4", Some("3.9")),
            ("< 4, >= 3.9", Some("3.9")),
            ("<5", None),
            ("*", None),
            ("lts", None),
        ] {
            assert_eq!(least(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_document_is_as_exact_as_it_says() {
        for (claimed, least, less) in [
            ("16", "18.2", true),
            ("18", "18.2", false),
            ("20", "18", false),
            ("3.8", "3.10", true),
            ("1.9", "1.10.1", true),
        ] {
            assert_eq!(is_less(claimed, least), less, "{claimed} {least}");
        }
    }
}
