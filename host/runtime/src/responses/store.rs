//! The file: names, dates, and bytes that mean nothing without the key.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::secret::make_private;
use super::{Holdings, ResponsesError};
use crate::journal::write_ahead;

/// `Cnvr`: what tells this file from other programs' SQLite files.
const APPLICATION: i64 = 0x436e_7672;

/// The format that is known.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE responses (
        name    BLOB PRIMARY KEY NOT NULL,
        created INTEGER NOT NULL,
        used    INTEGER NOT NULL,
        nonce   BLOB NOT NULL,
        sealed  BLOB NOT NULL
    ) STRICT;
    CREATE INDEX by_creation ON responses (created);
    CREATE INDEX by_use ON responses (used);
    CREATE TABLE secret (digest BLOB NOT NULL) STRICT;
";

/// An entry.
#[derive(Debug)]
pub(super) struct Row {
    /// Seconds since 1970.
    pub(super) created: i64,
    /// Seconds since 1970, roughly.
    pub(super) used: i64,
    pub(super) nonce: [u8; 24],
    pub(super) sealed: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens the file, or makes it for a key with this check.
    pub(super) fn open(path: &Path, check: &[u8; 32], patience: Duration) -> Result<Self, ResponsesError> {
        // SQLite takes a path that begins with `file:` for a URI.
        let path = std::path::absolute(path).map_err(|source| unreachable(path, source))?;
        prepare(&path)?;
        let mut store = Self { connection: connect(&path, patience)?, path };
        store.make(check, patience)?;
        let known: Option<[u8; 32]> = store
            .connection
            .query_row("SELECT digest FROM secret", [], |row| row.get(0))
            .optional()
            .map_err(|error| store.failed(error))?;
        match known {
            Some(known) if known != *check => return Err(ResponsesError::OtherKey { path: store.path }),
            Some(_) => {}
            // It was cleared.
            None => store.change("INSERT INTO secret (digest) VALUES (?1)", [check])?,
        }
        Ok(store)
    }

    fn make(&mut self, check: &[u8; 32], patience: Duration) -> Result<(), ResponsesError> {
        let path = self.path.clone();
        let sqlite = |source| ResponsesError::Storage { path: path.clone(), source };
        if format(&self.connection, &self.path)? == 0 {
            // Room that is freed goes back to the disk. Only an empty file takes this.
            self.connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").map_err(sqlite)?;
        }
        // What the power takes with it is asked again: nothing is waited for on the disk, and the file stays whole.
        write_ahead(&self.connection, patience)
            .and_then(|()| {
                self.connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304")?;
                // Who opens it next finds all in the log beside it: the end of a run does not wait for the disk.
                self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
            })
            .map_err(sqlite)?;
        if format(&self.connection, &self.path)? == FORMAT {
            return Ok(());
        }
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        // Another process may have made it meanwhile.
        if format(&change, &path)? == 0 {
            change.execute_batch(SCHEMA).map_err(sqlite)?;
            change.execute("INSERT INTO secret (digest) VALUES (?1)", [check]).map_err(sqlite)?;
            change.pragma_update(None, "application_id", APPLICATION).map_err(sqlite)?;
            change.pragma_update(None, "user_version", FORMAT).map_err(sqlite)?;
        }
        change.commit().map_err(sqlite)
    }

    pub(super) fn get(&self, name: &[u8; 32]) -> Result<Option<Row>, ResponsesError> {
        let question = "SELECT created, used, nonce, sealed FROM responses WHERE name = ?1";
        let found = self.connection.prepare_cached(question).and_then(|mut ask| {
            let row = ask.query_row([name], |row| {
                let nonce: Vec<u8> = row.get(2)?;
                Ok(Row {
                    created: row.get(0)?,
                    used: row.get(1)?,
                    // Of another length it was changed, and decrypts to nothing.
                    nonce: nonce.try_into().unwrap_or_default(),
                    sealed: row.get(3)?,
                })
            });
            row.optional()
        });
        found.map_err(|error| self.failed(error))
    }

    pub(super) fn touch(&self, name: &[u8; 32], now: i64) -> Result<(), ResponsesError> {
        self.change("UPDATE responses SET used = ?2 WHERE name = ?1", params![name, now])
    }

    pub(super) fn forget(&self, name: &[u8; 32]) -> Result<(), ResponsesError> {
        self.change("DELETE FROM responses WHERE name = ?1", params![name])
    }

    pub(super) fn put(&self, name: &[u8; 32], row: &Row) -> Result<(), ResponsesError> {
        let insert =
            "INSERT OR REPLACE INTO responses (name, created, used, nonce, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.change(insert, params![name, row.created, row.used, row.nonce, row.sealed])
    }

    /// What is changed from here on is there as a whole, with [`commit`](Self::commit), or not at all.
    pub(super) fn begin(&self) -> Result<(), ResponsesError> {
        self.change("BEGIN IMMEDIATE", [])
    }

    pub(super) fn commit(&self) -> Result<(), ResponsesError> {
        self.change("COMMIT", []).inspect_err(|_| self.roll_back())
    }

    /// As it was before [`begin`](Self::begin).
    pub(super) fn roll_back(&self) {
        // SQLite may have done so already.
        let _ = self.change("ROLLBACK", []);
    }

    /// The bytes in use.
    pub(super) fn bytes(&self) -> Result<u64, ResponsesError> {
        bytes(&self.connection).map_err(|error| self.failed(error))
    }

    /// Removes what was written before `oldest`; and if there are too many bytes, what was not used for longest, until
    /// there is some room again.
    pub(super) fn trim(&mut self, most_bytes: u64, oldest: i64) -> Result<(), ResponsesError> {
        let path = self.path.clone();
        let sqlite = |source| ResponsesError::Storage { path: path.clone(), source };
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let mut removed = change.execute("DELETE FROM responses WHERE created <= ?1", [oldest]).map_err(sqlite)?;
        if bytes(&change).map_err(sqlite)? > most_bytes {
            let room = most_bytes / 10 * 9;
            while bytes(&change).map_err(sqlite)? > room {
                let least_used =
                    "DELETE FROM responses WHERE rowid IN (SELECT rowid FROM responses ORDER BY used, rowid
                     LIMIT (SELECT max(1, count(*) / 20) FROM responses))";
                let gone = change.execute(least_used, []).map_err(sqlite)?;
                if gone == 0 {
                    break;
                }
                removed += gone;
            }
        }
        change.commit().map_err(sqlite)?;
        if removed > 0 { give_back(&self.connection).map_err(sqlite) } else { Ok(()) }
    }

    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), ResponsesError> {
        let changed = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        changed.map(|_| ()).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: rusqlite::Error) -> ResponsesError {
        ResponsesError::Storage { path: self.path.clone(), source }
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Removes all entries and the key's check; a file that SQLite can't read is removed itself.
pub(super) fn clear(path: &Path, patience: Duration) -> Result<(), ResponsesError> {
    if !path.exists() {
        return Ok(());
    }
    let emptied = connect(path, patience).and_then(|connection| {
        if format(&connection, path)? == 0 {
            return Ok(());
        }
        let all = "BEGIN IMMEDIATE; DELETE FROM responses; DELETE FROM secret; COMMIT";
        connection
            .execute_batch(all)
            .and_then(|()| give_back(&connection))
            .map_err(|source| ResponsesError::Storage { path: path.to_owned(), source })
    });
    match emptied {
        Err(ResponsesError::Storage { source, .. })
            if matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) =>
        {
            remove(path)
        }
        emptied => emptied,
    }
}

fn remove(path: &Path) -> Result<(), ResponsesError> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unreachable(path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// What the file holds.
pub(super) fn holdings(path: &Path, patience: Duration) -> Result<Holdings, ResponsesError> {
    if !path.exists() {
        return Ok(Holdings::default());
    }
    let connection = connect(path, patience)?;
    if format(&connection, path)? == 0 {
        return Ok(Holdings::default());
    }
    let ask = || {
        let (answers, oldest) = connection.query_row("SELECT count(*), min(created) FROM responses", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        Ok(Holdings {
            answers: u64::try_from(answers).unwrap_or(0),
            bytes: bytes(&connection)?,
            oldest: oldest.and_then(|oldest| Timestamp::from_second(oldest).ok()),
        })
    };
    ask().map_err(|source| ResponsesError::Storage { path: path.to_owned(), source })
}

fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let ask = |question| connection.query_row(question, [], |row| row.get::<_, i64>(0));
    let pages = ask("PRAGMA page_count")?.saturating_sub(ask("PRAGMA freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(ask("PRAGMA page_size")?)).unwrap_or(0))
}

/// Gives freed room back to the disk.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut pages = vacuum.query([])?;
    // Each step gives back one page.
    while pages.next()?.is_some() {}
    Ok(())
}

/// The file's format; 0: it is empty.
fn format(connection: &Connection, path: &Path) -> Result<i64, ResponsesError> {
    let facts = connection.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                (SELECT count(*) FROM sqlite_schema)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)),
    );
    let path = path.to_owned();
    match facts {
        Ok((APPLICATION, found, _)) if found > FORMAT => Err(ResponsesError::Newer { path, found, known: FORMAT }),
        Ok((APPLICATION, FORMAT, _)) => Ok(FORMAT),
        Ok((0, 0, 0)) => Ok(0),
        Ok(_) => Err(ResponsesError::NotOurs { path }),
        Err(source) => Err(ResponsesError::Storage { path, source }),
    }
}

fn connect(path: &Path, patience: Duration) -> Result<Connection, ResponsesError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(patience)?;
            // The file may come from anywhere: what its schema says is not run as code.
            connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")?;
            // Else a statement is planned anew for each value that is bound to it.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            Ok(connection)
        })
        .map_err(|source| ResponsesError::Storage { path: path.to_owned(), source })
}

/// Makes the folder and an empty file, for their owner only, where they are missing.
fn prepare(path: &Path) -> Result<(), ResponsesError> {
    let io = |source| unreachable(path, source);
    if let Some(folder) = path.parent() {
        make_private(folder).map_err(io)?;
    }
    let mut file = fs::OpenOptions::new();
    file.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        file.mode(0o600);
    }
    let file = file.open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_file() { Ok(()) } else { Err(ResponsesError::NotOurs { path: path.to_owned() }) }
}

fn unreachable(path: &Path, source: std::io::Error) -> ResponsesError {
    ResponsesError::Unreachable { path: path.to_owned(), source }
}
