//! What a run saw of the project: written down, or served in place of the project.
//!
//! A recording holds answers, not a project: what was asked the same way gets the same answer, failures too, and what
//! was not asked is [`ProjectError::NotRecorded`], never "not there".

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_runtime::cassette::{Text, hex, scrubbed};
use convoke_runtime::credentials;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::pins::{Digest, Pinned};
use super::{
    Ask, Entry, Findings, Found, Kind, Limits, Listing, Mount, Project, ProjectError, Query, SearchQuery, Skipped,
    list, search,
};
use crate::plugin::printable;

/// The most that is kept of what a run read, in bytes.
pub const MOST_BYTES: u64 = 256 << 20;

/// The bytes of a line of hexadecimal digits.
const HEX_LINE: usize = 64;

/// Whether a project is written down or served.
#[derive(Debug, Clone, Default)]
pub(super) enum Tape {
    /// Neither.
    #[default]
    Off,
    /// It is written down.
    Record(Reads),
    /// It is served.
    Replay(Reads),
}

/// What a run saw of the project. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Reads(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<String, Answer<String, Content>>,
    stats: BTreeMap<String, Answer<String, Stat>>,
    listings: BTreeMap<String, Answer<Query, Listing>>,
    searches: BTreeMap<String, Answer<SearchQuery, Findings>>,
    bytes: u64,
    overflown: bool,
    missed: Vec<String>,
}

/// All of it, as it stands in a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Files, by their paths.
    pub files: Vec<Answer<String, Content>>,
    /// What stood at paths.
    pub stats: Vec<Answer<String, Stat>>,
    /// Listings.
    pub listings: Vec<Answer<Query, Listing>>,
    /// Searches.
    pub searches: Vec<Answer<SearchQuery, Findings>>,
}

/// A question to the project, and what was found or why nothing was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer<Q, T> {
    /// What was asked: a path or a query.
    pub asked: Q,
    /// What was found.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub found: Option<T>,
    /// Why there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

/// For members of which the type has no default.
fn none<T>() -> Option<T> {
    None
}

/// Why the project gave no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The kind of the error, see [`ProjectError::code`].
    pub code: String,
    /// What the plugin was told.
    pub message: String,
    /// What it was advised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A file's content: text, or bytes in hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The kinds of credentials that were redacted in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The bytes of what is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<Vec<String>>,
}

/// What stood at a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stat {
    /// None: nothing.
    pub kind: Option<Kind>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "list::is_zero")]
    pub size: u64,
}

/// A recording of a project that would lack something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the run read of the project is more than {} MiB", MOST_BYTES >> 20)]
pub struct TooMuch;

impl Content {
    /// Of bytes, without the credentials in them.
    pub fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut redacted: Vec<String> =
            credentials::find(&text).into_iter().map(|secret| secret.kind.to_owned()).collect();
        redacted.sort();
        redacted.dedup();
        if redacted.is_empty() && std::str::from_utf8(bytes).is_err() {
            let lines = bytes.chunks(HEX_LINE).map(hex).collect();
            return Self { hex: Some(lines), ..Self::default() };
        }
        Self { redacted, text: Some(Text::of(&text)), hex: None }
    }

    /// The bytes.
    ///
    /// # Errors
    /// It holds neither text nor bytes, or both; in words.
    pub fn bytes(&self) -> Result<Vec<u8>, &'static str> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Ok(text.text().into_bytes()),
            (None, Some(lines)) => {
                let digits: Vec<u8> = lines.iter().flat_map(|line| line.bytes()).collect();
                let pairs = digits.chunks_exact(2);
                if !pairs.remainder().is_empty() {
                    return Err("`hex` has an odd number of digits");
                }
                let byte = |pair: &[u8]| {
                    let text = std::str::from_utf8(pair).ok()?;
                    u8::from_str_radix(text, 16).ok()
                };
                pairs.map(byte).collect::<Option<Vec<u8>>>().ok_or("`hex` has something else than digits")
            }
            _ => Err("a file has one of `text` and `hex`"),
        }
    }
}

impl<Q, T> Answer<Q, T> {
    fn of(asked: Q, result: Result<T, &ProjectError>) -> Self {
        match result {
            Ok(found) => Self { asked, found: Some(found), error: None },
            Err(error) => {
                let refusal = Refusal {
                    code: error.code().to_owned(),
                    message: scrubbed(&error.to_string()),
                    hint: error.hint().map(str::to_owned),
                };
                Self { asked, found: None, error: Some(refusal) }
            }
        }
    }

    /// Whether it holds what it must.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.found.is_some() == self.error.is_some() { Err("it has one of `found` and `error`") } else { Ok(()) }
    }

    fn result(&self) -> Result<&T, ProjectError> {
        match (&self.found, &self.error) {
            (Some(found), _) => Ok(found),
            (None, Some(Refusal { message, hint, .. })) => {
                Err(ProjectError::Recorded { message: printable(message, 1_000), hint: hint.clone() })
            }
            (None, None) => Err(ProjectError::Recorded { message: "the recording is broken".to_owned(), hint: None }),
        }
    }
}

impl Reads {
    /// From a recording.
    pub fn of(recorded: Recorded) -> Self {
        let seen = Seen {
            files: recorded.files.into_iter().map(|one| (one.asked.clone(), one)).collect(),
            stats: recorded.stats.into_iter().map(|one| (one.asked.clone(), one)).collect(),
            listings: recorded.listings.into_iter().map(|one| (Ask::List(one.asked.clone()).text(), one)).collect(),
            searches: recorded.searches.into_iter().map(|one| (Ask::Search(one.asked.clone()).text(), one)).collect(),
            ..Seen::default()
        };
        Self(Arc::new(Mutex::new(seen)))
    }

    /// All that was seen, in order.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn recorded(&self) -> Result<Recorded, TooMuch> {
        let seen = self.lock();
        if seen.overflown {
            return Err(TooMuch);
        }
        Ok(Recorded {
            files: seen.files.values().cloned().collect(),
            stats: seen.stats.values().cloned().collect(),
            listings: seen.listings.values().cloned().collect(),
            searches: seen.searches.values().cloned().collect(),
        })
    }

    /// The files of which a credential was redacted.
    pub fn redacted(&self) -> Vec<String> {
        let seen = self.lock();
        let redacted =
            seen.files.values().filter(|file| file.found.as_ref().is_some_and(|content| !content.redacted.is_empty()));
        redacted.map(|file| file.asked.clone()).collect()
    }

    /// What was asked since the last call and is not in the recording.
    pub fn take_missed(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().missed)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<Q, T>(
        &self,
        key: &str,
        bytes: u64,
        place: impl Fn(&mut Seen) -> &mut BTreeMap<String, Answer<Q, T>>,
        answer: impl FnOnce() -> Answer<Q, T>,
    ) {
        if place(&mut self.lock()).contains_key(key) {
            return;
        }
        // Looking for credentials takes time; nobody waits for it here.
        let answer = answer();
        let mut seen = self.lock();
        let more = bytes + key.len() as u64;
        if seen.bytes.saturating_add(more) > MOST_BYTES {
            seen.overflown = true;
            return;
        }
        seen.bytes += more;
        place(&mut seen).entry(key.to_owned()).or_insert(answer);
    }

    fn serve<Q, T, V>(
        &self,
        key: &str,
        what: &str,
        place: impl Fn(&Seen) -> &BTreeMap<String, Answer<Q, T>>,
        value: impl FnOnce(&T) -> Result<V, ProjectError>,
    ) -> Result<V, ProjectError> {
        let mut seen = self.lock();
        if let Some(answer) = place(&seen).get(key) {
            return answer.result().and_then(value);
        }
        let what = format!("{what} {}", printable(key, 300));
        if seen.missed.len() < 100 {
            seen.missed.push(what.clone());
        }
        Err(ProjectError::NotRecorded { what })
    }
}

impl Project {
    /// A project of which everything that is asked of it is written down.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn recording(
        root: &std::path::Path,
        mounts: Vec<Mount>,
        limits: Limits,
        reads: Reads,
    ) -> Result<Self, ProjectError> {
        Self::with_tape(root, mounts, limits, Tape::Record(reads))
    }

    /// A project that is served from a recording. Nothing of the folder is looked at.
    ///
    /// # Errors
    /// When the folder is not there.
    pub fn replaying(folder: &std::path::Path, limits: Limits, reads: Reads) -> Result<Self, ProjectError> {
        Self::with_tape(folder, Vec::new(), limits, Tape::Replay(reads))
    }

    /// What a replay was asked since the last call and has no record of.
    pub fn take_missed(&self) -> Vec<String> {
        match &self.0.tape {
            Tape::Replay(reads) => reads.take_missed(),
            Tape::Off | Tape::Record(_) => Vec::new(),
        }
    }

    /// A file's content, the same for the whole run.
    pub(super) async fn content(&self, path: &str) -> Result<Pinned<Arc<[u8]>>, ProjectError> {
        if let Tape::Replay(reads) = &self.0.tape {
            return reads.serve(
                path,
                "the file",
                |seen| &seen.files,
                |content| {
                    let broken =
                        |fault: &str| ProjectError::Recorded { message: format!("{path}: {fault}"), hint: None };
                    let bytes = content.bytes().map_err(broken)?;
                    let digest: Digest = Sha256::digest(&bytes).into();
                    Ok(Pinned { value: bytes.into(), digest })
                },
            );
        }
        let result = self.content_now(path).await;
        if let Some(reads) = self.writes_down(&result) {
            let bytes = result.as_ref().map_or(0, |content| content.value.len() as u64);
            let answer = || Answer::of(clean(path), result.as_ref().map(|content| Content::of(&content.value)));
            reads.note(&clean(path), bytes, |seen| &mut seen.files, answer);
        }
        result
    }

    /// A listing, the same for the whole run. The query is tidy.
    pub(super) async fn listing(&self, query: &Query) -> Result<Pinned<Arc<Listing>>, ProjectError> {
        let key = Ask::List(query.clone()).text();
        if let Tape::Replay(reads) = &self.0.tape {
            return reads.serve(
                &key,
                "the listing",
                |seen| &seen.listings,
                |listing| {
                    let digest = list::digest_of(&listing.entries);
                    Ok(Pinned { value: Arc::new(listing.clone()), digest })
                },
            );
        }
        let result = self.listing_now(query).await;
        if let Some(reads) = self.writes_down(&result) {
            let bytes = |listing: &Listing| listing.entries.iter().map(|entry| entry.path.len() as u64 + 32).sum();
            let bytes = result.as_ref().map_or(0, |listing| bytes(&listing.value));
            let answer = || Answer::of(query.clone(), result.as_ref().map(|listing| clean_listing(&listing.value)));
            reads.note(&key, bytes, |seen| &mut seen.listings, answer);
        }
        result
    }

    /// The result of a search, the same for the whole run. The query is tidy.
    pub(super) async fn found(&self, query: &SearchQuery) -> Result<Pinned<Arc<Findings>>, ProjectError> {
        let key = Ask::Search(query.clone()).text();
        if let Tape::Replay(reads) = &self.0.tape {
            return reads.serve(
                &key,
                "the search",
                |seen| &seen.searches,
                |findings| {
                    let digest = search::digest_of(&findings.matches);
                    Ok(Pinned { value: Arc::new(findings.clone()), digest })
                },
            );
        }
        let result = self.found_now(query).await;
        if let Some(reads) = self.writes_down(&result) {
            let found = match &result {
                Ok(found) => Ok(self.clean_findings(&found.value).await),
                Err(error) => Err(error),
            };
            let bytes = |found: &Findings| found.matches.iter().map(|one| one.text.len() as u64 + 64).sum();
            let bytes = found.as_ref().map_or(0, bytes);
            reads.note(&key, bytes, |seen| &mut seen.searches, || Answer::of(query.clone(), found));
        }
        result
    }

    /// What stands at a path now.
    pub(super) async fn look(&self, path: &str) -> Result<Option<Entry>, ProjectError> {
        if let Tape::Replay(reads) = &self.0.tape {
            return reads.serve(
                path,
                "what stands at",
                |seen| &seen.stats,
                |stat| Ok(stat.kind.map(|kind| Entry { path: path.to_owned(), kind, size: stat.size })),
            );
        }
        let result = self.look_now(path).await;
        if let Some(reads) = self.writes_down(&result) {
            let stat = |entry: &Option<Entry>| {
                entry.as_ref().map_or(Stat::default(), |entry| Stat { kind: Some(entry.kind), size: entry.size })
            };
            let answer = || Answer::of(clean(path), result.as_ref().map(stat));
            reads.note(&clean(path), 32, |seen| &mut seen.stats, answer);
        }
        result
    }

    /// Where an answer is written down: that a run was stopped says nothing of the project.
    fn writes_down<T>(&self, result: &Result<T, ProjectError>) -> Option<&Reads> {
        match &self.0.tape {
            Tape::Record(reads) if !matches!(result, Err(ProjectError::Stopped)) => Some(reads),
            Tape::Off | Tape::Record(_) | Tape::Replay(_) => None,
        }
    }

    /// Findings without credentials. A line of a private key is not known as one by itself: each is taken from its
    /// redacted file.
    async fn clean_findings(&self, findings: &Findings) -> Findings {
        let mut files: HashMap<&str, Option<Vec<String>>> = HashMap::new();
        let mut matches = Vec::with_capacity(findings.matches.len());
        for found in &findings.matches {
            if !files.contains_key(found.path.as_str()) {
                let content = self.content_now(&found.path).await.ok();
                let lines = content.and_then(|content| {
                    let text = String::from_utf8_lossy(&content.value);
                    let clean = scrubbed(&text);
                    (clean != text).then(|| clean.split('\n').map(str::to_owned).collect())
                });
                files.insert(&found.path, lines);
            }
            let line = match files.get(found.path.as_str()) {
                Some(Some(lines)) => {
                    let place = (found.line as usize).checked_sub(1);
                    place.and_then(|place| lines.get(place)).map(|line| line.trim_end_matches('\r').to_owned())
                }
                Some(None) | None => Some(scrubbed(&found.text)),
            };
            let text = super::search::cut(&line.unwrap_or_default(), self.0.limits.line_bytes);
            matches.push(Found { path: clean(&found.path), line: found.line, text });
        }
        let skipped = clean_skipped(&findings.skipped);
        Findings { matches, skipped, skipped_count: findings.skipped_count }
    }
}

fn clean(path: &str) -> String {
    scrubbed(path)
}

fn clean_listing(listing: &Listing) -> Listing {
    let entries = listing.entries.iter().map(|entry| Entry { path: clean(&entry.path), ..*entry }).collect();
    Listing { entries, skipped: clean_skipped(&listing.skipped), skipped_count: listing.skipped_count }
}

fn clean_skipped(skipped: &[Skipped]) -> Vec<Skipped> {
    skipped.iter().map(|one| Skipped { path: clean(&one.path), why: one.why }).collect()
}
