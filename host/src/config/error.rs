//! What can be wrong with a configuration.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use super::VERSION;
use crate::report::clean;

/// Why there is no configuration. Shown by `miette`, with the place and a hint.
#[derive(Debug, Error, Diagnostic)]
pub enum ConfigError {
    /// A file is there but can't be read.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in a file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<Invalid>),
    /// A later convoke wrote it.
    #[error("{} has version {version}, and this convoke reads up to {VERSION}", path.display())]
    #[diagnostic(help("update convoke; the file was not changed"))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// An environment variable is wrong.
    #[error("the environment variable {name} is wrong: {hint}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// What is wrong, and what it can be.
        hint: String,
    },
    /// There is no place for the user's own files.
    #[error("no home folder was found for convoke's own files")]
    #[diagnostic(help("set HOME, or CONVOKE_CONFIG_DIR, CONVOKE_DATA_DIR and CONVOKE_CACHE_DIR"))]
    NoHome,
}

/// A place in a file, and what is wrong there.
#[derive(Debug, Error, Diagnostic)]
#[error("{}:{line}:{column}: {message}", path.display())]
pub struct Invalid {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    #[source_code]
    text: NamedSource<String>,
    #[label("here")]
    span: SourceSpan,
    /// What to do.
    #[help]
    pub hint: Option<String>,
}

impl ConfigError {
    /// Something is wrong at a place, in bytes, of a text. The text is a stranger's: what it holds can do nothing to
    /// the terminal that shows it.
    pub(crate) fn at(path: &Path, text: &str, span: Range<usize>, message: &str, hint: Option<String>) -> Self {
        let start = floor(text, span.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let length = floor(text, span.end).saturating_sub(start);
        Self::Invalid(Box::new(Invalid {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: clean::line(&clean::bounded(message, 500)),
            text: NamedSource::new(path.display().to_string(), clean::same_length(text)).with_language("toml"),
            span: (start, length).into(),
            hint: hint.map(|hint| clean::line(&clean::bounded(&hint, 500))),
        }))
    }
}

/// The last border of a character at or before a place.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
