//! The lines and options of requirements files, as pip takes them apart.

use crate::format::reading::numbered;

/// What pip reads as one: lines joined by `\`, without comments.
pub(super) struct Line {
    /// That of its first line, counted from 1.
    pub(super) number: u32,
    /// What is no comment.
    pub(super) text: String,
    /// Without their `#`.
    pub(super) comments: Vec<String>,
}

/// The lines joined as pip joins them: a `\` at the end goes on, a line that is only a comment ends what went on.
pub(super) fn logical_lines(text: &str) -> impl Iterator<Item = Line> {
    let mut lines = numbered(text).peekable();
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let mut line = Line { number, text: String::new(), comments: Vec::new() };
        let mut next = Some(first);
        while let Some(text) = next.take() {
            let (code, comment) = split_comment(text);
            let goes_on = comment.is_none() && code.ends_with('\\');
            line.text.push_str(if goes_on { code.strip_suffix('\\').unwrap_or(code) } else { code });
            line.comments.extend(comment.map(str::to_owned));
            if goes_on {
                next = lines.next().map(|(_, text)| text);
            }
        }
        Some(line)
    })
}

/// A comment begins with a `#` at the beginning or after a blank; that of an address (`#egg=`) is none.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut before = None;
    for (at, char) in line.char_indices() {
        if char == '#' && before.is_none_or(char::is_whitespace) {
            let (code, comment) = line.split_at(at);
            return (code, comment.get(1..));
        }
        before = Some(char);
    }
    (line, None)
}

/// Where the options of a requirement begin: a word that starts with `-`.
pub(super) fn options_at(text: &str) -> usize {
    let mut before = ' ';
    for (at, char) in text.char_indices() {
        if char == '-' && before.is_whitespace() {
            return at;
        }
        before = char;
    }
    text.len()
}

/// `--name=value`, `-rvalue`, or a name alone.
pub(super) fn split_option(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    }
    let end = word.char_indices().nth(2).map_or(word.len(), |(at, _)| at);
    let (name, value) = word.split_at(end);
    (name, Some(value).filter(|value| !value.is_empty()))
}

/// pip's options that take a value, of those that a file may hold.
pub(super) const VALUED: [&str; 20] = [
    "-r",
    "--requirement",
    "-c",
    "--constraint",
    "-e",
    "--editable",
    "-i",
    "--index-url",
    "--pypi-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--no-binary",
    "--only-binary",
    "--trusted-host",
    "--use-feature",
    "--global-option",
    "--install-option",
    "--config-settings",
    "-C",
];

/// pip's options without one.
pub(super) const FLAGS: [&str; 9] = [
    "--no-index",
    "--pre",
    "--prefer-binary",
    "--require-hashes",
    "--use-pep517",
    "--no-use-pep517",
    "--always-unzip",
    "--unzip",
    "-Z",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_after_a_backslash_until_a_comment() {
        let lines: Vec<_> = logical_lines("a \\\r\n  b\\\nc # d\ne \\\n# f\ng \\").collect();
        let shown: Vec<_> =
            lines.iter().map(|line| (line.number, line.text.trim(), line.comments.as_slice())).collect();
        assert_eq!(
            shown,
            [
                (1, "a   bc", [" d".to_owned()].as_slice()),
                (4, "e", [" f".to_owned()].as_slice()),
                (6, "g", [].as_slice())
            ]
        );
    }

    #[test]
    fn a_fragment_of_an_address_is_no_comment() {
        let line = logical_lines("git+https://git.example/x#egg=x #y").next().expect("a line");
        assert_eq!(
            (line.text.trim(), line.comments.as_slice()),
            ("git+https://git.example/x#egg=x", ["y".to_owned()].as_slice())
        );
    }

    #[test]
    fn options_have_values_behind_a_sign_or_none() {
        assert_eq!(split_option("--hash=sha256:a=b"), ("--hash", Some("sha256:a=b")));
        assert_eq!(split_option("-rbase.txt"), ("-r", Some("base.txt")));
        assert_eq!(split_option("-e"), ("-e", None));
        assert_eq!(split_option("-é"), ("-é", None));
        assert_eq!(options_at("a-b ; x --hash=1"), 8);
    }
}
