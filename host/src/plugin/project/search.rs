//! Which lines match.

use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::sinks::Lossy;
use grep_searcher::{Searcher, SearcherBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::ProjectError;
use super::list::{Query, Skipped, is_zero};
use super::pins::Digest;
use crate::plugin::printable;

/// The bytes of a regular expression as typed, and compiled.
const REGEX_BYTES: usize = 4096;
const COMPILED_BYTES: usize = 4 << 20;

/// What to search for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// A regular expression in the syntax of Rust's `regex`. It matches within a line.
    pub regex: String,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
    /// Where.
    pub files: Query,
    /// At most so many matches: the first ones by path and line. More than [`Limits::matches`](super::Limits::matches)
    /// are an error.
    pub limit: u32,
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// As plugins see it.
    pub path: String,
    /// Counted from 1.
    pub line: u32,
    /// Without its end. What is not UTF-8 is replaced; a long one is cut, and ends in `…`.
    pub text: String,
}

/// The lines that match. Binary files, those with a NUL in them, are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// Sorted by path and line.
    pub matches: Vec<Found>,
    /// Files that could not be searched: the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// How many could not be searched in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_count: u64,
}

impl SearchQuery {
    /// Parses the expression. Its memory is bounded, and matching takes time linear in the text.
    pub(super) fn matcher(&self) -> Result<RegexMatcher, ProjectError> {
        if self.regex.len() > REGEX_BYTES {
            return Err(ProjectError::BadRegex { why: format!("it is longer than {REGEX_BYTES} bytes") });
        }
        RegexMatcherBuilder::new()
            .case_insensitive(self.ignore_case)
            .multi_line(true)
            .crlf(true)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(COMPILED_BYTES)
            .nest_limit(100)
            .build(&self.regex)
            .map_err(|error| ProjectError::BadRegex { why: printable(&error.to_string(), 400) })
    }
}

/// What searches one text after the other.
pub(super) struct Lines<'a> {
    matcher: &'a RegexMatcher,
    searcher: Searcher,
    line_bytes: usize,
}

impl<'a> Lines<'a> {
    /// Cuts matching lines after `line_bytes`.
    pub(super) fn new(matcher: &'a RegexMatcher, line_bytes: usize) -> Self {
        Self {
            matcher,
            searcher: SearcherBuilder::new().line_number(true).line_terminator(LineTerminator::crlf()).build(),
            line_bytes,
        }
    }

    /// Adds the matches in one file, until there are `limit` in all.
    pub(super) fn search(
        &mut self,
        path: &str,
        bytes: &[u8],
        limit: usize,
        matches: &mut Vec<Found>,
    ) -> Result<(), ProjectError> {
        if bytes.contains(&0) || matches.len() >= limit {
            return Ok(());
        }
        let line_bytes = self.line_bytes;
        let sink = Lossy(|line, text: &str| {
            let text = cut(text.trim_end_matches(['\n', '\r']), line_bytes);
            matches.push(Found { path: path.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), text });
            Ok(matches.len() < limit)
        });
        self.searcher.search_slice(self.matcher, bytes, sink).map_err(|error| ProjectError::from_io(path, &error))
    }
}

/// A text of at most so many bytes, whole characters.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes { text.to_owned() } else { format!("{}…", &text[..text.floor_char_boundary(bytes)]) }
}

/// What is compared of matches: all of each.
pub(super) fn digest_of(matches: &[Found]) -> Digest {
    let mut hash = Sha256::new();
    for found in matches {
        // Neither a path nor a line of a file that is searched contains a NUL.
        hash.update(format!("{}\0{}\0{}\0", found.path, found.line, found.text));
    }
    hash.finalize().into()
}
