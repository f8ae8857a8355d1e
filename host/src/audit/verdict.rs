//! What comes of looking through a log.

use std::path::PathBuf;

use serde::Serialize;

/// A hash that is known from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The number of the record that has it, if that is known.
    pub sequence: Option<u64>,
    /// The hash.
    pub hash: String,
    /// From where it is known, for messages.
    pub from: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// A line is not what its hash says.
    Changed,
    /// Records are not there.
    Missing,
    /// A record stands in another place than its own.
    Moved,
    /// A record stands there twice, or another one has its number.
    Repeated,
    /// A line doesn't follow from the one before it: it was put in, or that one was replaced.
    Foreign,
    /// A line is no record.
    Unreadable,
    /// The end is missing.
    Truncated,
    /// A hash that is known from elsewhere is not there.
    Unknown,
}

/// Something about a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// What is wrong; none: it is only to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<Wrong>,
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; none: it is about the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// In words.
    pub message: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many files were read.
    pub files: usize,
    /// How many records stand there.
    pub records: u64,
    /// The number of the first one.
    pub first: Option<u64>,
    /// The number and the hash of the last one.
    pub last: Option<(u64, String)>,
    /// What is wrong, in the order of the lines.
    pub problems: Vec<Said>,
    /// What else there is to know.
    pub notes: Vec<Said>,
    /// How many problems are not among these, because there are too many.
    pub more: u64,
    /// How many of the hashes that are known from elsewhere stand where they should.
    pub confirmed: usize,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}
