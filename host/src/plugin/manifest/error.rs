//! What can be wrong with a manifest, and where.

use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use toml::de::{DeTable, DeValue};

use crate::plugin::printable;

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Larger than a manifest may be.
    #[error("the manifest has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// Not text.
    #[error("the manifest is not UTF-8 text: byte {offset}")]
    NotUtf8 {
        /// Counted from 0.
        offset: usize,
    },
    /// The version of the format is not said, or not as a number.
    #[error("the manifest doesn't say `manifest_version = 1`")]
    NoVersion,
    /// A version of the format that this host doesn't know.
    #[error("the manifest is of version {found}, this convoke knows version 1")]
    OtherVersion {
        /// The version it says.
        found: i64,
    },
    /// It doesn't parse, or a value has the wrong type.
    #[error("{message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// A key that is not known.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A value that breaks a rule.
    #[error("{message}")]
    Value {
        /// What is wrong with it.
        message: String,
    },
}

/// One step on the way to a value: `argument`, then `2`, then `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A fault in a manifest, its place, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError(Box<Inside>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inside {
    fault: Fault,
    steps: Vec<Step>,
    hint: Option<String>,
    span: Option<Range<usize>>,
    file: Option<String>,
    source: Option<NamedSource<String>>,
}

impl ManifestError {
    pub(super) fn new(fault: Fault) -> Self {
        let hint = match &fault {
            Fault::OtherVersion { .. } => Some("a newer convoke may read it".to_owned()),
            Fault::NoVersion => Some("begin the file with `manifest_version = 1`".to_owned()),
            _ => None,
        };
        Self(Box::new(Inside { fault, steps: Vec::new(), hint, span: None, file: None, source: None }))
    }

    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new(Fault::Value { message: message.into() })
    }

    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The key it is about, as `argument[0].name`; empty where it is about the whole.
    pub fn key(&self) -> String {
        let mut text = String::new();
        for step in &self.0.steps {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        printable(&text, 200)
    }

    /// Line and column, counted from 1, the column in characters.
    pub fn place(&self) -> Option<(usize, usize)> {
        let (span, source) = (self.0.span.as_ref()?, self.0.source.as_ref()?);
        let before = source.inner().get(..span.start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The error lies further inside: below `step`.
    pub(super) fn below(mut self, step: impl Into<Step>) -> Self {
        self.0.steps.insert(0, step.into());
        self
    }

    pub(super) fn at_span(mut self, span: Range<usize>) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    pub(super) fn in_file(mut self, file: &str) -> Self {
        self.0.file = Some(printable(file, 300));
        self
    }

    pub(super) fn in_source(mut self, file: &str, text: &str) -> Self {
        self.0.source = Some(NamedSource::new(printable(file, 300), text.to_owned()).with_language("toml"));
        self.in_file(file)
    }

    pub(super) fn from_toml(error: &toml::de::Error) -> Self {
        let found = Self::from_message(error.message());
        match error.span() {
            Some(span) => found.at_span(span),
            None => found,
        }
    }

    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        Self::from_message(&error.to_string())
    }

    /// An unknown key is worth more than serde's words: a suggestion.
    fn from_message(message: &str) -> Self {
        let mut quoted = message.split('`').skip(1).step_by(2);
        if !message.starts_with("unknown field") {
            return Self::new(Fault::Syntax { message: printable(message, 300) });
        }
        let key = quoted.next().unwrap_or_default().to_owned();
        let known: Vec<&str> = quoted.collect();
        let hint = match nearest(&key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        Self::new(Fault::UnknownKey { key: printable(&key, 80) }).with_hint(hint)
    }

    /// Where the value stands in a TOML document. The nearest thing around it, where it is not there.
    pub(super) fn span_in(&self, table: &DeTable<'_>) -> Range<usize> {
        let mut span = 0..0;
        let mut here: Option<&DeValue<'_>> = None;
        for step in &self.0.steps {
            let next = match (step, here) {
                (Step::Key(key), None) => table.get(key.as_str()),
                (Step::Key(key), Some(DeValue::Table(table))) => table.get(key.as_str()),
                (Step::Index(index), Some(DeValue::Array(array))) => array.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            span = next.span();
            here = Some(next.get_ref());
        }
        span
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

impl std::fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.0.file {
            write!(formatter, "{file}")?;
            if let Some((line, column)) = self.place() {
                write!(formatter, ":{line}:{column}")?;
            }
            write!(formatter, ": ")?;
        }
        let key = self.key();
        if !key.is_empty() {
            write!(formatter, "{key}: ")?;
        }
        write!(formatter, "{}", self.0.fault)
    }
}

impl std::error::Error for ManifestError {}

impl Diagnostic for ManifestError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.0.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.0.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".to_owned()), span))))
    }
}
