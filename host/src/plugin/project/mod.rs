//! The `project` capability: what a plugin sees of the user's files.
//!
//! It reads, and nothing else. Every path goes through an open handle of the project's folder, or of a path that the
//! user typed, and can't leave it: not by `..`, not by a link, not by a race. What hard links lead to can't be told from
//! the project's own files, and is readable.
//!
//! All workers of a run share one [`Project`], and **within a run each file has one content**: what was read first. It is
//! kept in memory while there is room; a file that had to be read again and is not the same any more is an error. The
//! same holds for listings and searches. What kind of thing stands at a path is looked up each time.
//!
//! Where a [`Recorder`] is given, what was read is noted in it, failures too, and [`Project::still_holds`] tells in a
//! later run whether it is all the same.

mod error;
mod list;
mod mounts;
mod pins;
mod read;
mod record;
mod search;
pub mod tape;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use convoke_runtime::journal::{Digest, Read};
use sha2::{Digest as _, Sha256};

pub use error::ProjectError;
pub use list::{Entry, Kind, Listing, Query, SkipReason, Skipped};
pub use mounts::{Mount, Typed, editable, resolve_typed_path};
pub use record::{Ask, Change, Changed, Recorder};
pub use search::{Findings, Found, SearchQuery};

use super::operations::{Kind as Doing, Operations};
use super::outside::store::Store;
use mounts::Mounts;
use pins::{Keep, Pinned, Pins, Unpinned};
use record::digest_of_failure;

/// How many different questions one run may ask. Each costs 64 bytes for the rest of it.
const MOST_QUESTIONS: usize = 1 << 20;

/// What operations on the project may cost. The defaults are the design's; configuration changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest file that can be read. Bytes.
    pub read_bytes: u64,
    /// Contents of files that are kept for the next reader. Bytes.
    pub cache_bytes: u64,
    /// Files in one listing.
    pub entries: u64,
    /// Names looked at for one listing, fitting or not.
    pub looked_at: u64,
    /// Folders in folders.
    pub depth: u32,
    /// Matches in one search, whatever it asks for.
    pub matches: u32,
    /// A matching line is cut after so many bytes.
    pub line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_bytes: 16 << 20,
            cache_bytes: 128 << 20,
            entries: 200_000,
            looked_at: 2_000_000,
            depth: 128,
            matches: 10_000,
            line_bytes: 2_000,
        }
    }
}

/// How often what was done, for the audit and `-v`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of [`Project::list`].
    pub lists: u64,
    /// Calls of [`Project::read`].
    pub reads: u64,
    /// Calls of [`Project::stat`] and [`Project::exists`].
    pub stats: u64,
    /// Calls of [`Project::search`].
    pub searches: u64,
    /// Bytes that came from the disk.
    pub bytes_read: u64,
    /// Answers that were at hand.
    pub from_cache: u64,
}

/// So many names are remembered of what was left out.
const MOST_LEFT_OUT: usize = 100;

/// The user's files, for the workers of one run. Clones share everything.
#[derive(Debug, Clone)]
pub struct Project(Arc<Inner>, Operations, Store);

#[derive(Debug)]
struct Inner {
    mounts: Mounts,
    limits: Limits,
    contents: Pins<Arc<[u8]>>,
    listings: Pins<Arc<Listing>>,
    findings: Pins<Arc<Findings>>,
    counts: Counters,
    left_out: Mutex<BTreeSet<Skipped>>,
    tape: tape::Tape,
}

#[derive(Debug, Default)]
struct Counters {
    lists: AtomicU64,
    reads: AtomicU64,
    stats: AtomicU64,
    searches: AtomicU64,
    bytes_read: AtomicU64,
    from_cache: AtomicU64,
}

impl Project {
    /// Opens the project's folder and what is mounted beside it.
    ///
    /// # Errors
    /// When one of them is not there or may not be opened, or two mounts have the same name.
    pub fn open(root: &Path, mounts: Vec<Mount>, limits: Limits) -> Result<Self, ProjectError> {
        Self::with_tape(root, mounts, limits, tape::Tape::Off)
    }

    fn with_tape(root: &Path, mounts: Vec<Mount>, limits: Limits, tape: tape::Tape) -> Result<Self, ProjectError> {
        Ok(Self(
            Arc::new(Inner {
                mounts: Mounts::open(root, mounts)?,
                limits,
                contents: Pins::new(limits.cache_bytes, MOST_QUESTIONS),
                listings: Pins::new(limits.entries * 4, MOST_QUESTIONS),
                findings: Pins::new(u64::from(limits.matches) * 16, MOST_QUESTIONS),
                counts: Counters::default(),
                left_out: Mutex::default(),
                tape,
            }),
            Operations::default(),
            Store::default(),
        ))
    }

    /// The same, whose listings, searches and reads count together with all others of these operations.
    #[must_use]
    pub fn sharing(self, operations: Operations) -> Self {
        Self(self.0, operations, self.2)
    }

    /// The same, that looks up in this store what an earlier run found in it.
    #[must_use]
    pub fn beside(self, store: Store) -> Self {
        Self(self.0, self.1, store)
    }

    /// What plugins asked for and did not get, because of what it is: sorted by path, the first hundred.
    pub fn left_out(&self) -> Vec<Skipped> {
        self.0.left_out.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn leave_out(&self, skipped: &[Skipped]) {
        if skipped.is_empty() {
            return;
        }
        let mut left_out = self.0.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.extend(skipped.iter().cloned());
        while left_out.len() > MOST_LEFT_OUT {
            left_out.pop_last();
        }
    }

    /// The files that fit a query: see [`Listing`].
    ///
    /// # Errors
    /// When the folder is not there, a glob doesn't parse, or a limit is reached: never a part of the list.
    pub async fn list(&self, recorder: Option<&Recorder>, query: &Query) -> Result<Arc<Listing>, ProjectError> {
        count(&self.0.counts.lists, 1);
        let query = query.tidy()?;
        let result = missed(recorder, self.listing(&query).await);
        if let Ok(listing) = &result {
            self.leave_out(&listing.value.skipped);
        }
        if let Some(recorder) = recorder {
            match &result {
                Err(ProjectError::Missing { .. }) => recorder.note(Read::Missing { path: query.under })?,
                Err(ProjectError::Stopped) => {}
                result => {
                    let digest = result.as_ref().map_or_else(digest_of_failure, |pinned| pinned.digest);
                    recorder
                        .note(Read::Listing { query: Ask::List(query).text(), sha256: Digest::from_bytes(digest) })?;
                }
            }
        }
        result.map(|pinned| pinned.value)
    }

    /// A whole file.
    ///
    /// # Errors
    /// When it is missing, not a regular file, larger than the limit, outside, git's own, not permitted, or not what
    /// this run has read at that path before.
    pub async fn read(&self, recorder: Option<&Recorder>, path: &str) -> Result<Arc<[u8]>, ProjectError> {
        count(&self.0.counts.reads, 1);
        let path = mounts::normalise(path)?;
        let result = missed(recorder, self.content(&path).await);
        if let Some(recorder) = recorder {
            match &result {
                Ok(content) => recorder.note(Read::File { path, sha256: Digest::from_bytes(content.digest) })?,
                Err(ProjectError::Missing { .. }) => recorder.note(Read::Missing { path })?,
                Err(ProjectError::Stopped) => {}
                Err(error) => {
                    let sha256 = Digest::from_bytes(digest_of_failure(error));
                    recorder.note(Read::Listing { query: Ask::Read(path).text(), sha256 })?;
                }
            }
        }
        result.map(|content| content.value)
    }

    /// What stands at a path, with its size; none for nothing. Links that stay inside are looked through.
    ///
    /// # Errors
    /// When the path is outside or git's own, or a folder above it may not be entered.
    pub async fn stat(&self, recorder: Option<&Recorder>, path: &str) -> Result<Option<Entry>, ProjectError> {
        count(&self.0.counts.stats, 1);
        let path = mounts::normalise(path)?;
        let result = missed(recorder, self.look(&path).await);
        if let Some(recorder) = recorder {
            match &result {
                Ok(None) => recorder.note(Read::Missing { path })?,
                Ok(Some(Entry { kind: kind @ (Kind::Folder | Kind::Link | Kind::Other), .. })) => {
                    recorder.note(Read::Kind { path, kind: kind.name().to_owned() })?;
                }
                Ok(Some(file)) => {
                    let sha256 = Digest::from_bytes(list::digest_of(std::slice::from_ref(file)));
                    recorder.note(Read::Listing { query: Ask::Stat(path).text(), sha256 })?;
                }
                Err(error) => note_stat_failure(recorder, path, error)?,
            }
        }
        result
    }

    /// As [`stat`](Self::stat), without the size: whoever asks this doesn't depend on the content.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn exists(&self, recorder: Option<&Recorder>, path: &str) -> Result<Option<Kind>, ProjectError> {
        count(&self.0.counts.stats, 1);
        let path = mounts::normalise(path)?;
        let result = missed(recorder, self.look(&path).await).map(|entry| entry.map(|entry| entry.kind));
        if let Some(recorder) = recorder {
            match &result {
                Ok(None) => recorder.note(Read::Missing { path })?,
                Ok(Some(kind)) => recorder.note(Read::Kind { path, kind: kind.name().to_owned() })?,
                Err(error) => note_stat_failure(recorder, path, error)?,
            }
        }
        result
    }

    /// The lines that match.
    ///
    /// # Errors
    /// As [`list`](Self::list), and when the expression doesn't parse or is too large.
    pub async fn search(
        &self,
        recorder: Option<&Recorder>,
        query: &SearchQuery,
    ) -> Result<Arc<Findings>, ProjectError> {
        count(&self.0.counts.searches, 1);
        let query = SearchQuery { files: query.files.tidy()?, ..query.clone() };
        let result = missed(recorder, self.found(&query).await);
        if let Ok(found) = &result {
            self.leave_out(&found.value.skipped);
        }
        if let Some(recorder) = recorder
            && !matches!(result, Err(ProjectError::Stopped))
        {
            let digest = result.as_ref().map_or_else(digest_of_failure, |pinned| pinned.digest);
            recorder.note(Read::Search { query: Ask::Search(query).text(), sha256: Digest::from_bytes(digest) })?;
        }
        result.map(|pinned| pinned.value)
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counts;
        Counts {
            lists: value(&counters.lists),
            reads: value(&counters.reads),
            stats: value(&counters.stats),
            searches: value(&counters.searches),
            bytes_read: value(&counters.bytes_read),
            from_cache: value(&counters.from_cache),
        }
    }

    async fn content_now(&self, path: &str) -> Result<Pinned<Arc<[u8]>>, ProjectError> {
        if let Some(known) = self.at_hand(&self.0.contents, path) {
            return Ok(known);
        }
        let _lane = self.0.contents.lane(path).await;
        if let Some(known) = self.at_hand(&self.0.contents, path) {
            return Ok(known);
        }
        let (inner, path) = (self.0.clone(), path.to_owned());
        blocking(&self.1, Doing::Read, move |_| inner.load(&path, Keep::Yes)).await
    }

    async fn listing_now(&self, query: &Query) -> Result<Pinned<Arc<Listing>>, ProjectError> {
        let matcher = query.matcher()?;
        let text = Ask::List(query.clone()).text();
        if let Some(known) = self.at_hand(&self.0.listings, &text) {
            return Ok(known);
        }
        let _lane = self.0.listings.lane(&text).await;
        if let Some(known) = self.at_hand(&self.0.listings, &text) {
            return Ok(known);
        }
        let (inner, under) = (self.0.clone(), query.under.clone());
        blocking(&self.1, Doing::List, move |cancel| {
            let listing = list::walk(&inner.mounts.locate(&under)?, &matcher, &inner.limits, cancel)?;
            let (digest, weight) = (list::digest_of(&listing.entries), listing.entries.len() as u64 + 1);
            let pinned = inner.listings.pin(&text, Arc::new(listing), digest, weight, Keep::Yes);
            pinned.map_err(|why| unpinned(why, &under))
        })
        .await
    }

    async fn found_now(&self, query: &SearchQuery) -> Result<Pinned<Arc<Findings>>, ProjectError> {
        let matcher = query.matcher()?;
        let text = Ask::Search(query.clone()).text();
        if let Some(known) = self.at_hand(&self.0.findings, &text) {
            return Ok(known);
        }
        let _lane = self.0.findings.lane(&text).await;
        if let Some(known) = self.at_hand(&self.0.findings, &text) {
            return Ok(known);
        }
        let listing = self.listing_now(&query.files).await?.value;
        let (inner, limit, under) = (self.0.clone(), query.limit, query.files.under.clone());
        blocking(&self.1, Doing::Search, move |cancel| {
            let findings = inner.search(&listing, &matcher, limit, cancel)?;
            let (digest, weight) = (search::digest_of(&findings.matches), findings.matches.len() as u64 + 1);
            let pinned = inner.findings.pin(&text, Arc::new(findings), digest, weight, Keep::Yes);
            pinned.map_err(|why| unpinned(why, &under))
        })
        .await
    }

    async fn look_now(&self, path: &str) -> Result<Option<Entry>, ProjectError> {
        let (inner, path) = (self.0.clone(), path.to_owned());
        blocking(&self.1, Doing::Read, move |_| match inner.mounts.locate(&path) {
            Ok(spot) => read::look(&spot),
            // Below a single file.
            Err(ProjectError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    fn at_hand<V: Clone>(&self, pins: &Pins<V>, question: &str) -> Option<Pinned<V>> {
        let known = pins.get(question)?;
        count(&self.0.counts.from_cache, 1);
        Some(known)
    }
}

impl Inner {
    fn load(&self, path: &str, keep: Keep) -> Result<Pinned<Arc<[u8]>>, ProjectError> {
        let spot = self.mounts.locate(path)?;
        let bytes = read::load(spot.dir(), spot.rest(), &spot.name, self.limits.read_bytes)?;
        let size = bytes.len() as u64;
        count(&self.counts.bytes_read, size);
        let digest = Sha256::digest(&bytes).into();
        // The name counts too, so that empty files have a weight.
        let weight = size + path.len() as u64;
        self.contents.pin(path, bytes.into(), digest, weight, keep).map_err(|why| unpinned(why, path))
    }

    fn search(
        &self,
        listing: &Listing,
        matcher: &grep_regex::RegexMatcher,
        limit: u32,
        cancel: &Cancel,
    ) -> Result<Findings, ProjectError> {
        // One more than allowed tells "as many as allowed" from "too many".
        let limit = if limit > self.limits.matches { self.limits.matches.saturating_add(1) } else { limit } as usize;
        let mut lines = search::Lines::new(matcher, self.limits.line_bytes);
        let mut findings = Findings::default();
        for entry in &listing.entries {
            cancel.check()?;
            if findings.matches.len() >= limit {
                break;
            }
            let content = match self.contents.get(&entry.path) {
                Some(known) => Ok(known),
                // A search through everything must not push out what items read again and again.
                None => self.load(&entry.path, Keep::IfThereIsRoom),
            };
            match content {
                Ok(content) => lines.search(&entry.path, &content.value, limit, &mut findings.matches)?,
                Err(error) => {
                    let why = match error {
                        ProjectError::TooLarge { .. } => SkipReason::TooLarge,
                        ProjectError::Denied { .. } => SkipReason::Denied,
                        ProjectError::Missing { .. } | ProjectError::NotAFile { .. } => SkipReason::Gone,
                        error => return Err(error),
                    };
                    findings.skipped_count += 1;
                    if findings.skipped.len() < 100 {
                        findings.skipped.push(Skipped { path: entry.path.clone(), why });
                    }
                }
            }
        }
        if findings.matches.len() as u64 > u64::from(self.limits.matches) {
            return Err(ProjectError::TooMany { what: "matches in one search", limit: u64::from(self.limits.matches) });
        }
        Ok(findings)
    }
}

fn note_stat_failure(recorder: &Recorder, path: String, error: &ProjectError) -> Result<(), ProjectError> {
    if *error == ProjectError::Stopped {
        return Ok(());
    }
    recorder.note(Read::Listing { query: Ask::Stat(path).text(), sha256: Digest::from_bytes(digest_of_failure(error)) })
}

/// An item that needed what was not recorded can't be done, whatever its plugin makes of it.
fn missed<T>(recorder: Option<&Recorder>, result: Result<T, ProjectError>) -> Result<T, ProjectError> {
    if let (Some(recorder), Err(error @ ProjectError::NotRecorded { .. })) = (recorder, &result) {
        recorder.miss(error.to_string());
    }
    result
}

fn unpinned(why: Unpinned, path: &str) -> ProjectError {
    match why {
        Unpinned::Different => ProjectError::Changed { path: crate::plugin::printable(path, 300) },
        Unpinned::Full => {
            ProjectError::TooMany { what: "different questions in one run", limit: MOST_QUESTIONS as u64 }
        }
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Tells blocking work that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
struct Cancel(Arc<AtomicBool>);

impl Cancel {
    fn check(&self) -> Result<(), ProjectError> {
        if self.0.load(Ordering::Relaxed) { Err(ProjectError::Stopped) } else { Ok(()) }
    }
}

/// Cancels when dropped, so when the future that holds it is.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Does blocking work on a thread made for that. It counts until the work ends, even when nobody waits.
async fn blocking<T: Send + 'static>(
    operations: &Operations,
    kind: Doing,
    work: impl FnOnce(&Cancel) -> Result<T, ProjectError> + Send + 'static,
) -> Result<T, ProjectError> {
    let operation = operations.begin(kind, drop).await.map_err(|_| ProjectError::Stopped)?;
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    let task = tokio::task::spawn_blocking(move || {
        let result = work(&cancel);
        drop(operation);
        result
    });
    task.await.map_err(|_| ProjectError::Stopped)?
}
