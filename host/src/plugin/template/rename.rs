//! From an example to a project of another name.

use super::{Language, NewError};
use crate::plugin::manifest::Manifest;

/// Names that cargo or rustc would take for something else: the packages that a command depends on, Rust's own, and its
/// keywords.
const OF_RUST: [&str; 54] = [
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "convoke-sdk",
    "convoke-secrets",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "final",
    "fn",
    "for",
    "futures",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "schemars",
    "serde",
    "serde-json",
    "static",
    "std",
    "struct",
    "super",
    "trait",
    "type",
    "typeof",
    "unsafe",
    "use",
    "where",
    "while",
    "wit-bindgen",
];

/// Whether a package of Rust can be called so.
pub(super) fn check_package(name: &str) -> Result<(), NewError> {
    match OF_RUST.contains(&name) {
        true => Err(NewError::Package { name: name.to_owned(), why: "it is a word of Rust, or a package of the SDK" }),
        false => Ok(()),
    }
}

/// The example's files, with its name and that of its type changed.
pub(super) fn renamed(example: &[(&str, &str)], name: &str, language: Language) -> Vec<(String, String)> {
    let (old_name, old_type) = match language {
        Language::Rust => ("hello", "Hello"),
        Language::Python => ("todo-scan", "TodoScan"),
    };
    let new_type = type_name(name, example, old_type);
    let changed = |text: &str| replace_word(&replace_word(text, old_type, &new_type), old_name, name);
    // The project's own files only: a fixture is a text about something else.
    let is_own = |path: &str| !path.starts_with("fixtures/");
    let change = |path: &str, text: &str| if is_own(path) { changed(text) } else { text.to_owned() };
    example.iter().map(|(path, text)| ((*path).to_owned(), change(path, text))).collect()
}

/// `AgentAudit` for `agent-audit`; with `Command` behind it, where that is the name of something that the example uses.
fn type_name(name: &str, example: &[(&str, &str)], old_type: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    let pascal: String = name.split('-').map(capital).collect();
    let is_used = |word: &str| {
        word != old_type
            && (super::RUST_SDK.iter().chain(super::PYTHON_SDK).chain(example))
                .any(|(_, text)| words(text).any(|(_, one)| one == word))
    };
    if is_used(&pascal) { format!("{pascal}Command") } else { pascal }
}

/// The words of a text, with where they begin. A name in kebab case is one word.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_inside = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let mut at = 0;
    text.split(move |letter| !is_inside(letter)).filter_map(move |word| {
        let begins = at;
        // A separator may have more bytes than one.
        at += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((begins, word))
    })
}

fn replace_word(text: &str, old: &str, new: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut done = 0;
    for (at, word) in words(text).filter(|(_, word)| *word == old) {
        replaced += &text[done..at];
        replaced += new;
        done = at + word.len();
    }
    replaced + &text[done..]
}

/// What the project's manifest says that it does.
pub(super) fn description(files: &[(String, String)]) -> String {
    let manifest = files.iter().find(|(path, _)| path == "plugin.toml");
    let manifest = manifest.and_then(|(path, text)| Manifest::from_toml(path, text.as_bytes()).ok());
    manifest.map(|manifest| manifest.description.to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_replaced() {
        assert_eq!(replace_word("a.wasm, `a` é a-b aa A a", "a", "xy"), "xy.wasm, `xy` é a-b aa A xy");
        assert_eq!(replace_word("", "a", "b"), "");
    }

    #[test]
    fn a_type_does_not_take_the_name_of_another() {
        let example = [("src/lib.rs", "struct Hello; let map = BTreeMap::new();")];
        let named = |name| type_name(name, &example, "Hello");
        assert_eq!(named("agent-audit"), "AgentAudit");
        assert_eq!(named("hello"), "Hello");
        assert_eq!((named("task"), named("command")), ("TaskCommand".to_owned(), "CommandCommand".to_owned()));
        assert_eq!(named("string"), "StringCommand");
    }
}
