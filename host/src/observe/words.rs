//! Words from outside, where they leave a run: for its log, and for a collector of traces.

use convoke_runtime::cassette::scrubbed;

use crate::report::clean;

/// The longest text, in characters.
pub(crate) const LONGEST: usize = 300;

/// The text on one line, with nothing that acts on a terminal, not long, and without credentials.
pub(crate) fn harmless(text: &str) -> String {
    // Cut first, so that a long one costs little; far behind the end of what is shown, where half a credential can stand.
    let short = clean::bounded(text, 4 * LONGEST);
    // Cleaned before it is looked through: a terminal sequence in front of a credential hides it.
    clean::bounded(&scrubbed(&clean::line(&short)), LONGEST).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_short_line_without_credentials() {
        let key = format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o");
        let text = harmless(&format!("the key\n\u{1b}[2J{key} is wrong"));
        assert!(text.starts_with("the key ") && text.ends_with(" is wrong"), "{text}");
        assert!(!text.contains(&key) && !text.contains('\u{1b}'), "{text}");
        assert_eq!(harmless(&"ä".repeat(5_000)).chars().count(), LONGEST);
    }
}
