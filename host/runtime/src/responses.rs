//! Answers of earlier runs, on disk.
//!
//! Behind the [cache of a run](crate::cache) and under the same key, with the provider's account in it. Only for
//! questions that may be asked twice, only whole answers of the model that was asked first, nothing in which the secret
//! scan found anything. An SQLite file that several processes may use; its entries are encrypted with a key that stands
//! in a file of its own, and their names are digests under that key, so that the file tells neither what was asked nor
//! what was answered, nor whether a guess is right.
//!
//! It can be lost, and never does harm: what is broken, locked, full, of another key or changed by somebody is a miss
//! and one warning, and the question is asked.

mod secret;
mod store;
#[cfg(test)]
mod tests;
mod together;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::cache::{Cached, Key};
use secret::Secret;
use store::{Row, Store};
use together::{Job, Line, Told, enqueue};

/// How long an answer that another process holds the lock for is waited for. The question can be asked instead.
const PATIENCE: Duration = Duration::from_secs(1);

/// When an answer was used last is known to the hour: each hit would otherwise be a write.
const USE_STEP: i64 = 3_600;

/// Where the answers are, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponsesConfig {
    /// The file of the answers: `responses.db`.
    pub file: PathBuf,
    /// The file of the key: `responses.key`. It stands elsewhere than the answers, so that a copy of one is of no use.
    pub key_file: PathBuf,
    /// The most that is kept, in bytes on disk. What was not used for longest goes first.
    pub most_bytes: u64,
    /// The age from which on an answer is none any more.
    pub max_age: Duration,
    /// Whether answers are looked up; else they are only kept, in place of older ones.
    pub read: bool,
}

/// Why the answers of earlier runs can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResponsesError {
    /// A file or folder can't be opened, made or read.
    #[error("can't use {path}: {source}")]
    Unreachable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A newer convoke wrote the file. It is left untouched.
    #[error("{path} has the format {found}, and this convoke knows formats up to {known}")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// The file is something else. It is left untouched.
    #[error("{path} is not what convoke writes there")]
    NotOurs {
        /// Which.
        path: PathBuf,
    },
    /// The answers were written under another key than that of the key file.
    #[error("the answers in {path} were encrypted with another key")]
    OtherKey {
        /// The file of the answers.
        path: PathBuf,
    },
    /// Others than the user can read or write the key file.
    #[error("others can read the key file {path} (mode {mode:03o})")]
    KeyIsOpen {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// SQLite says so: damaged, locked, full.
    #[error("{path}: {source}")]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// An entry is not what was written.
    #[error("an answer in {path} is not as it was written")]
    Tampered {
        /// The file of the answers.
        path: PathBuf,
    },
}

impl ResponsesError {
    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } | Self::Tampered { .. } => None,
            Self::Newer { .. } => Some("use the newer convoke, or remove the file".to_owned()),
            Self::NotOurs { .. } => Some("move it away".to_owned()),
            Self::OtherKey { .. } => Some("put the key file back, or begin anew with `convoke cache clear`".to_owned()),
            Self::KeyIsOpen { path, .. } => {
                let path = path.display();
                Some(format!("if nobody has copied it: chmod 600 {path}; else remove it and run `convoke cache clear`"))
            }
            Self::Storage { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    Some("begin anew with `convoke cache clear`".to_owned())
                }
                Some(rusqlite::ErrorCode::DiskFull) => Some("make room on the disk".to_owned()),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    Some("another process uses it".to_owned())
                }
                _ => None,
            },
        }
    }

    /// What it means for a run, in a sentence or two.
    pub fn warning(&self) -> String {
        let begin = match self {
            Self::Tampered { .. } => "it is asked for again",
            _ => "the response cache is not used",
        };
        match self.hint() {
            Some(hint) => format!("{begin}: {self}. {}", upper(&hint)),
            None => format!("{begin}: {self}"),
        }
    }
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What is known of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Its answer.
    Hit(Cached),
    /// Nothing.
    Miss {
        /// What the user should know of it; said once.
        warning: Option<String>,
    },
}

/// What the cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// How many answers.
    pub answers: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// When the oldest was written.
    pub oldest: Option<Timestamp>,
}

/// The answers of earlier runs. Clones use the same file and connection.
#[derive(Clone, Debug)]
pub struct Responses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ResponsesConfig,
    secret: Secret,
    store: Mutex<Store>,
    line: Line,
    /// Something was wrong with the file: it is left alone for the rest of the process.
    off: AtomicBool,
    told_of_tampering: AtomicBool,
    /// The bytes that were kept since the file's size was looked at.
    unchecked: AtomicU64,
}

/// What is encrypted.
#[derive(Serialize, Deserialize)]
struct Content {
    model: String,
    text: String,
}

impl Responses {
    /// Opens the cache; makes its file, its key and their folders where they are missing, for their owner only. Answers
    /// that are too old are removed.
    ///
    /// # Errors
    /// See [`ResponsesError`]. What is not ours, or newer, was not changed.
    pub fn open(config: ResponsesConfig) -> Result<Self, ResponsesError> {
        Self::open_at(config, PATIENCE, Timestamp::now())
    }

    fn open_at(config: ResponsesConfig, patience: Duration, now: Timestamp) -> Result<Self, ResponsesError> {
        let secret = Secret::load(&config.key_file)?;
        let mut store = Store::open(&config.file, &secret.check(), patience)?;
        store.trim(config.most_bytes, now.as_second().saturating_sub(seconds(config.max_age)))?;
        let store = Mutex::new(store);
        Ok(Self(Arc::new(Inner {
            config,
            secret,
            store,
            line: Line::default(),
            off: AtomicBool::new(false),
            told_of_tampering: AtomicBool::new(false),
            unchecked: AtomicU64::new(0),
        })))
    }

    /// Removes all answers, and what is left of a file that is broken or of another key. A file that is newer, or is
    /// not ours, stays.
    ///
    /// # Errors
    /// See [`ResponsesError`].
    pub fn clear(file: &Path) -> Result<(), ResponsesError> {
        store::clear(file, PATIENCE)
    }

    /// What a file holds; nothing, where there is none. Changes nothing.
    ///
    /// # Errors
    /// See [`ResponsesError`].
    pub fn holdings(file: &Path) -> Result<Holdings, ResponsesError> {
        store::holdings(file, PATIENCE)
    }

    /// Looks an answer up. Needs a tokio runtime.
    pub async fn recall(&self, key: Key) -> Recalled {
        if !self.0.config.read {
            return Recalled::Miss { warning: None };
        }
        match self.told(|reply| Job::Recall(key, reply)).await {
            Ok(Some(Some(cached))) => Recalled::Hit(cached),
            Ok(_) => Recalled::Miss { warning: None },
            Err(warning) => Recalled::Miss { warning },
        }
    }

    /// Keeps an answer, in place of an older one; what the user should know if it can't. Needs a tokio runtime.
    pub async fn keep(&self, key: Key, cached: &Cached) -> Option<String> {
        self.told(|reply| Job::Keep(key, cached.clone(), reply)).await.err().flatten()
    }

    async fn told<T>(&self, job: impl FnOnce(oneshot::Sender<Told<T>>) -> Job) -> Told<T> {
        let (reply, told) = oneshot::channel();
        enqueue(&self.0, job(reply));
        // The runtime ends: nobody waits for the answer.
        told.await.unwrap_or(Ok(None))
    }
}

impl Inner {
    fn recall(&self, store: &Store, key: &Key, now: Timestamp) -> Result<Option<Cached>, ResponsesError> {
        let (name, now) = (self.secret.name(key), now.as_second());
        let Some(row) = store.get(&name)? else { return Ok(None) };
        if now.saturating_sub(row.created) >= seconds(self.config.max_age) {
            return Ok(None);
        }
        let content =
            self.secret.open(&name, &row).and_then(|content| serde_json::from_slice::<Content>(&content).ok());
        let Some(Content { model, text }) = content else {
            store.forget(&name)?;
            return Err(ResponsesError::Tampered { path: self.config.file.clone() });
        };
        if row.used.saturating_add(USE_STEP) <= now {
            // That it could not be noted makes the answer no worse.
            let _: Result<(), _> = store.touch(&name, now);
        }
        Ok(Some(Cached { text, model, edits: Vec::new() }))
    }

    /// Writes an answer down; how many bytes that took.
    fn put(&self, store: &Store, key: &Key, cached: Cached, now: Timestamp) -> Result<u64, ResponsesError> {
        let (name, now) = (self.secret.name(key), now.as_second());
        let Cached { text, model, edits: _ } = cached;
        // Two texts are always JSON.
        let Ok(content) = serde_json::to_vec(&Content { model, text }) else { return Ok(0) };
        // One answer is not worth all the others.
        if content.len() as u64 > self.config.most_bytes / 4 {
            return Ok(0);
        }
        let Some((nonce, sealed)) = self.secret.seal(&name, now, &content) else { return Ok(0) };
        let size = sealed.len() as u64;
        store.put(&name, &Row { created: now, used: now, nonce, sealed })?;
        Ok(size)
    }

    /// So many bytes have come. Asking for the size takes longer than keeping an answer: so it is asked only when what
    /// came since could matter, and the answers get that much less room.
    fn make_room(&self, store: &mut Store, size: u64, now: Timestamp) -> Result<(), ResponsesError> {
        let step = self.config.most_bytes / 128;
        let room = self.config.most_bytes - 2 * step;
        if self.unchecked.fetch_add(size, Ordering::Relaxed) + size < step {
            return Ok(());
        }
        self.unchecked.store(0, Ordering::Relaxed);
        if store.bytes()? > room {
            store.trim(room, now.as_second().saturating_sub(seconds(self.config.max_age)))?;
        }
        Ok(())
    }

    /// What to say of an error, if it was not said yet. An error of the file ends its use.
    fn first_warning(&self, error: &ResponsesError) -> Option<String> {
        let flag = match error {
            ResponsesError::Tampered { .. } => &self.told_of_tampering,
            _ => &self.off,
        };
        (!flag.swap(true, Ordering::Relaxed)).then(|| error.warning())
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
