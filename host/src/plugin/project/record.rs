//! What an item read, so that a later run can tell whether its result still holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use convoke_runtime::journal::{Digest, Read, ReadSet};
use serde::{Deserialize, Serialize};

use super::error::ProjectError;
use super::{Project, Query, SearchQuery};
use crate::plugin::outside::store::digest_of;
use crate::plugin::printable;

/// How many different things one item may read. More would make the check before the next run dearer than most items.
const MOST_READS: usize = 100_000;

/// A question to the project whose answer is remembered by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// A listing.
    List(Query),
    /// Kind and size at a path.
    Stat(String),
    /// Why a file can't be read.
    Read(String),
    /// The lines that match.
    Search(SearchQuery),
    /// What the plugin's own store has under a key.
    Store(String),
}

impl Ask {
    /// The question as a text that is the same for the same question.
    pub(super) fn text(&self) -> String {
        // Strings, numbers and booleans in structs always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Notes what one attempt at one item reads.
#[derive(Debug, Default)]
pub struct Recorder {
    reads: Mutex<BTreeSet<Read>>,
    stored: Mutex<BTreeMap<String, Digest>>,
    missed: Mutex<Option<String>>,
}

impl Recorder {
    /// A recorder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read so far.
    pub fn read_set(&self) -> ReadSet {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stored = stored.into_iter().map(|(key, sha256)| Read::Listing { query: Ask::Store(key).text(), sha256 });
        reads.into_iter().chain(stored).collect()
    }

    /// Notes what the item last found under a key of its plugin's store, or left there: while the store still has that,
    /// the item would come to the same.
    ///
    /// # Errors
    /// As [`note`](Self::note).
    pub(crate) fn note_stored(&self, key: &str, digest: Digest) -> Result<(), ProjectError> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() >= MOST_READS && !stored.contains_key(key) {
            return Err(ProjectError::TooMany {
                what: "different keys of the store by one item",
                limit: MOST_READS as u64,
            });
        }
        stored.insert(key.to_owned(), digest);
        Ok(())
    }

    /// Notes that a replay was asked for what was not recorded, and what. The first one is kept.
    pub fn miss(&self, what: String) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// What was needed and not recorded.
    pub fn missed(&self) -> Option<String> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes something that was read.
    ///
    /// # Errors
    /// When the item has read too many different things.
    pub(crate) fn note(&self, read: Read) -> Result<(), ProjectError> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if reads.len() >= MOST_READS && !reads.contains(&read) {
            return Err(ProjectError::TooMany { what: "different reads by one item", limit: MOST_READS as u64 });
        }
        reads.insert(read);
        Ok(())
    }
}

/// A reason why a result no longer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, or for a listing or a search the question.
    pub subject: String,
    /// In which way.
    pub what: Changed,
}

/// In which way something that an item read is different now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Another content, or none that can be read.
    Content,
    /// Something stands where nothing stood.
    Appeared,
    /// Nothing stands there any more.
    Gone,
    /// Another kind of thing stands there.
    Kind,
    /// A listing or a search gives something else.
    Answer,
    /// The note of an earlier run can't be understood by this version.
    Unknown,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = printable(&self.subject, 200);
        match self.what {
            Changed::Content => write!(formatter, "{subject} has changed"),
            Changed::Appeared => write!(formatter, "{subject} is there now"),
            Changed::Gone => write!(formatter, "{subject} is gone"),
            Changed::Kind => write!(formatter, "{subject} is another kind of thing now"),
            Changed::Answer => write!(formatter, "the answer to {subject} has changed"),
            Changed::Unknown => write!(formatter, "what was noted of {subject} is not understood"),
        }
    }
}

impl Project {
    /// Compares what an item read in an earlier run with the project as this run sees it. Empty: its result holds.
    ///
    /// Each file is read at most once for all items together, and the plugin then gets what was compared.
    ///
    /// # Errors
    /// Only when it was stopped: what can't be read any more is a change.
    pub async fn still_holds(&self, reads: &ReadSet) -> Result<Vec<Change>, ProjectError> {
        let mut changes = Vec::new();
        for read in reads.iter() {
            let change = match read {
                Read::File { path, sha256 } => self.file_change(path, sha256).await?.map(|what| (path, what)),
                Read::Missing { path } => self.kind_change(path, None).await?.map(|what| (path, what)),
                Read::Kind { path, kind } => self.kind_change(path, Some(kind)).await?.map(|what| (path, what)),
                Read::Listing { query, sha256 } | Read::Search { query, sha256 } => {
                    self.answer_change(query, sha256).await?.map(|what| (query, what))
                }
                // It can't be looked at again: how long it holds is the lifetime of the result.
                Read::Outside { .. } => None,
                // What is not of the project can't be compared here.
                Read::Partial { item: subject, .. } => Some((subject, Changed::Unknown)),
            };
            changes.extend(change.map(|(subject, what)| Change { subject: subject.clone(), what }));
        }
        Ok(changes)
    }

    async fn file_change(&self, path: &str, sha256: &Digest) -> Result<Option<Changed>, ProjectError> {
        match self.content(path).await {
            Ok(content) if content.digest == *sha256.as_bytes() => Ok(None),
            Err(ProjectError::Missing { .. }) => Ok(Some(Changed::Gone)),
            Err(ProjectError::Stopped) => Err(ProjectError::Stopped),
            Ok(_) | Err(_) => Ok(Some(Changed::Content)),
        }
    }

    async fn kind_change(&self, path: &str, before: Option<&str>) -> Result<Option<Changed>, ProjectError> {
        let now = match self.look(path).await {
            Ok(entry) => entry.map(|entry| entry.kind.name()),
            Err(ProjectError::Stopped) => return Err(ProjectError::Stopped),
            Err(_) => return Ok(Some(Changed::Kind)),
        };
        Ok(match (before, now) {
            (before, now) if before == now => None,
            (None, _) => Some(Changed::Appeared),
            (_, None) => Some(Changed::Gone),
            _ => Some(Changed::Kind),
        })
    }

    async fn answer_change(&self, query: &str, sha256: &Digest) -> Result<Option<Changed>, ProjectError> {
        let Ok(ask) = serde_json::from_str::<Ask>(query) else { return Ok(Some(Changed::Unknown)) };
        let digest = match ask {
            Ask::List(query) => self.listing(&query).await.map(|listing| listing.digest),
            Ask::Stat(path) => self.look(&path).await.map(|entry| super::list::digest_of(entry.as_slice())),
            // A file that can be read now was not readable then.
            Ask::Read(path) => match self.content(&path).await {
                Ok(_) => return Ok(Some(Changed::Content)),
                Err(error) => Err(error),
            },
            Ask::Search(search) => self.found(&search).await.map(|found| found.digest),
            Ask::Store(key) => {
                // Where it can't be looked at, nothing is known of it.
                let Ok(now) = self.2.get(&key).await else { return Ok(Some(Changed::Unknown)) };
                return Ok((digest_of(now.as_deref()) != *sha256).then_some(Changed::Answer));
            }
        };
        let digest = match digest {
            Err(ProjectError::Stopped) => return Err(ProjectError::Stopped),
            Ok(digest) => digest,
            Err(error) => digest_of_failure(&error),
        };
        Ok((digest != *sha256.as_bytes()).then_some(Changed::Answer))
    }
}

/// What is compared of a failure: its kind, not its words.
pub(super) fn digest_of_failure(error: &ProjectError) -> super::pins::Digest {
    use sha2::{Digest, Sha256};
    Sha256::digest(format!("failure: {}", error.code()).as_bytes()).into()
}
