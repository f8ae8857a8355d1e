//! Where a plugin's store is: one SQLite file for each plugin, in which each project has its own entries.
//!
//! A store belongs to a plugin *and to where that comes from*: `deps` of the host, the component of an OCI repository, the
//! file at a path. So it survives updates, whose digest is another one, and a stranger that calls itself `deps` has
//! another store. What a project keeps, no other project sees.
//!
//! It is a cache of what the plugin can get again, so where it is full the oldest entries go.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::plugin::{printable, sha256_hex};

/// The version of the file that is written, and the newest that is read.
const VERSION: i64 = 1;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 200;

/// The largest value, in bytes.
const LARGEST_VALUE: usize = 1 << 20;

/// The most that a plugin keeps, over all projects, in bytes of keys and values.
const MOST_BYTES: u64 = 16 << 20;

/// What an entry counts beside its key and value, so that empty ones are not without end.
const OVERHEAD: u64 = 64;

/// The longest that an entry is kept: a year.
const LONGEST_LIFE: u64 = 366 * 24 * 3_600;

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many digits of a digest tell two owners apart.
const DIGITS: usize = 32;

const SCHEMA: &str = "
    CREATE TABLE entry (
        project TEXT    NOT NULL,
        key     TEXT    NOT NULL,
        value   BLOB    NOT NULL,
        written INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (project, key)
    ) STRICT;
";

/// Whose a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The plugin's name.
    pub name: String,
    /// Where it comes from, without its version: `embedded`, `oci://registry.example/owner/name`, `file:/home/me/x.wasm`.
    pub origin: String,
}

impl Owner {
    /// A plugin of the host's own.
    pub fn embedded(name: &str) -> Self {
        Self { name: name.to_owned(), origin: "embedded".to_owned() }
    }

    /// A component that is run by its path. Links in it are followed, so that a file has one store.
    pub fn file(name: &str, path: &Path) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { name: name.to_owned(), origin: format!("file:{}", path.display()) }
    }

    /// An installed one, by where it came from, without its version: an update finds what the one before has kept.
    pub fn installed(name: &str, resolved: &str) -> Self {
        let place = resolved.split(['#', '@']).next().unwrap_or(resolved);
        let place = match place.rsplit_once('/') {
            Some((folder, file)) if place.starts_with("oci://") => {
                format!("{folder}/{}", file.split(':').next().unwrap_or(file))
            }
            _ => place.to_owned(),
        };
        Self { name: name.to_owned(), origin: format!("installed:{place}") }
    }

    /// The file's name: readable, and different for each owner whatever the name of a plugin is.
    fn file_name(&self) -> String {
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        let name: String = self.name.chars().take(40).map(plain).collect();
        let digest = sha256_hex(format!("{}\0{}", self.origin, self.name).as_bytes());
        format!("{name}-{}.db", digest.get(..DIGITS).unwrap_or(&digest))
    }
}

/// Why a store did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The key can't be one.
    #[error("a key has 1 to {LONGEST_KEY} bytes, and {} has {bytes}", printable(.key, 40))]
    Key {
        /// The key.
        key: String,
        /// Its bytes.
        bytes: usize,
    },
    /// The value is too large.
    #[error("the value of {} has {bytes} bytes; a value has at most {LARGEST_VALUE}", printable(.key, 80))]
    Value {
        /// The key.
        key: String,
        /// Its bytes.
        bytes: usize,
    },
    /// A newer convoke wrote it.
    #[error("the store {} has version {version}, and this convoke reads version {VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// The file can't be used.
    #[error("the store {}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl StoreError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Key { .. } => Some("use a short name, and a digest where it would be long"),
            Self::Value { .. } => Some("keep less, or in several entries"),
            Self::Version { .. } => Some("use the newer convoke, or remove the file: what it holds is made again"),
            Self::File { .. } => Some("the file can be removed: what it holds is made again"),
        }
    }
}

/// A plugin's store, for one project. Clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None: in memory.
    path: Option<PathBuf>,
    project: String,
    /// The time, in seconds since 1970.
    now: fn() -> u64,
    most_bytes: u64,
    open: Mutex<Option<Connection>>,
}

impl Default for Store {
    fn default() -> Self {
        Self::in_memory()
    }
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

impl Store {
    /// That of an owner in a folder, for a project. Nothing is made before something is kept or looked for.
    pub fn of(folder: &Path, owner: &Owner, project: &str) -> Self {
        Self::with(Some(folder.join(owner.file_name())), project, now, MOST_BYTES)
    }

    /// One that is empty, and gone with the process: for a run that must not depend on what another one kept.
    pub fn in_memory() -> Self {
        Self::with(None, "", now, MOST_BYTES)
    }

    fn with(path: Option<PathBuf>, project: &str, now: fn() -> u64, most_bytes: u64) -> Self {
        Self(Arc::new(Inner { path, project: project.to_owned(), now, most_bytes, open: Mutex::default() }))
    }

    /// What was kept under a key, and is not too old.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key)?;
        let key = key.to_owned();
        self.blocking(move |inner, connection| {
            let sql = "SELECT value FROM entry WHERE project = ?1 AND key = ?2 AND expires > ?3";
            connection.query_row(sql, params![inner.project, key, inner.seconds()], |row| row.get(0)).optional()
        })
        .await
    }

    /// Keeps a value under a key, for so many seconds; for none, forgets what was there. Where there is no room, the
    /// oldest entries go.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put(&self, key: &str, value: Vec<u8>, lifetime_s: u64) -> Result<(), StoreError> {
        check_key(key)?;
        if value.len() > LARGEST_VALUE {
            return Err(StoreError::Value { key: key.to_owned(), bytes: value.len() });
        }
        let key = key.to_owned();
        self.blocking(move |inner, connection| {
            let (project, now) = (&inner.project, inner.seconds());
            // Before anything is read, so that two processes at once don't both think there is room.
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute("DELETE FROM entry WHERE expires <= ?1", [now])?;
            change.execute("DELETE FROM entry WHERE project = ?1 AND key = ?2", params![project, key])?;
            if lifetime_s > 0 {
                make_room(&change, inner.most_bytes, (key.len() + value.len()) as u64 + OVERHEAD)?;
                let expires = now.saturating_add_unsigned(lifetime_s.min(LONGEST_LIFE));
                let sql = "INSERT INTO entry (project, key, value, written, expires) VALUES (?1, ?2, ?3, ?4, ?5)";
                change.execute(sql, params![project, key, value, now, expires])?;
            }
            change.commit()
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || inner.within(work)).await;
        done.unwrap_or_else(|error| Err(self.0.failed(&error)))
    }
}

/// Lets the oldest entries go until there is room for so many bytes.
fn make_room(change: &Connection, most: u64, bytes: u64) -> rusqlite::Result<()> {
    let size = format!("SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value) + {OVERHEAD}), 0) FROM entry");
    loop {
        let taken: u64 = change.query_row(&size, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)?;
        if taken.saturating_add(bytes) <= most {
            return Ok(());
        }
        // A tenth at once, so that each put doesn't count all of it.
        let sql = "DELETE FROM entry WHERE rowid IN (SELECT rowid FROM entry ORDER BY written, rowid
                   LIMIT (SELECT max(1, count(*) / 10) FROM entry))";
        if change.execute(sql, [])? == 0 {
            return Ok(());
        }
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    match key.len() {
        1..=LONGEST_KEY => Ok(()),
        bytes => Err(StoreError::Key { key: key.to_owned(), bytes }),
    }
}

impl Inner {
    fn seconds(&self) -> i64 {
        i64::try_from((self.now)()).unwrap_or(i64::MAX)
    }

    fn within<T>(&self, work: impl FnOnce(&Self, &mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match open.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let connection = open.insert(connection);
        work(self, connection).map_err(|error| self.failed(&error))
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let mut connection = match &self.path {
            None => Connection::open_in_memory().map_err(failed)?,
            Some(path) => {
                if let Some(folder) = path.parent() {
                    make_folder(folder).map_err(|error| self.failed(&error))?;
                }
                Connection::open(path).map_err(failed)?
            }
        };
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        if version_of(&connection).map_err(failed)? == 0 {
            connection.pragma_update(None, "auto_vacuum", "FULL").map_err(failed)?;
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            // Another process may have been quicker.
            if version_of(&change).map_err(failed)? == 0 {
                change.execute_batch(SCHEMA).map_err(failed)?;
                change.pragma_update(None, "user_version", VERSION).map_err(failed)?;
            }
            change.commit().map_err(failed)?;
        }
        match version_of(&connection).map_err(failed)? {
            VERSION => Ok(connection),
            version => Err(StoreError::Version { path: self.path.clone().unwrap_or_default(), version }),
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> StoreError {
        let path = self.path.clone().unwrap_or_else(|| PathBuf::from("in memory"));
        StoreError::File { path, why: error.to_string() }
    }
}

fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// For the user alone: what a plugin keeps may come from a private project.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
