//! Opening the file: what it must be, what it is made into, and what of it survives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::JournalError;

/// `Cnvk`: what tells a journal from other programs' SQLite files.
const APPLICATION: i64 = 0x436e_766b;

/// Each brings the schema to the format of its place, counted from 1. Only ever add to the end: files of each format
/// are on users' disks.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
];

/// The newest format known.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// What stands for a path in messages about a journal in memory.
pub(super) const IN_MEMORY: &str = "(in memory)";

/// Opens the journal at this path, makes it where there is none, and brings it to the newest format. Waits for other
/// processes' locks for `patience`. Returns a connection that writes and one that reads.
pub(super) fn open(path: &Path, patience: Duration) -> Result<(Connection, Connection), JournalError> {
    // SQLite takes a path that begins with `file:` for a URI.
    let path = &std::path::absolute(path).map_err(|error| JournalError::io(path, &error))?;
    files::prepare(path)?;
    let mut writer = connect(path, patience)?;
    let sqlite = |error| JournalError::sqlite(path, &error);
    // Until it is known to be ours, closing it again must not change it.
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sqlite)?;
    let snapshot = writer.unchecked_transaction().map_err(sqlite)?;
    check(&snapshot, path)?;
    drop(snapshot);
    if writer.is_readonly("main").map_err(sqlite)? {
        return Err(JournalError::ReadOnly { path: path.clone() });
    }
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(sqlite)?;
    files::restrict(path)?;
    configure(&writer, patience).map_err(sqlite)?;
    migrate(&mut writer, path)?;
    let reader = connect(path, patience)?;
    reader.execute_batch("PRAGMA query_only = ON").map_err(sqlite)?;
    Ok((writer, reader))
}

/// What [`open_to_read`] finds.
pub(super) enum Found {
    /// No file, or an empty one.
    Nothing,
    /// An older format, which is only read when it is brought to the newest.
    Older,
    /// A connection that reads.
    Journal(Connection),
}

/// Opens the journal at this path and changes nothing: no file is made, none is migrated, none is tidied.
pub(super) fn open_to_read(path: &Path, patience: Duration) -> Result<Found, JournalError> {
    Ok(match look(path, patience)? {
        None => Found::Nothing,
        Some((_, format)) if format < NEWEST => Found::Older,
        Some((connection, _)) => Found::Journal(connection),
    })
}

/// A connection that reads the journal at this path, and its format, however old that is. None: there is nothing to look at.
pub(super) fn look(path: &Path, patience: Duration) -> Result<Option<(Connection, i64)>, JournalError> {
    let path = &std::path::absolute(path).map_err(|error| JournalError::io(path, &error))?;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io(path, &error)),
        Ok(metadata) if !metadata.is_file() => return Err(JournalError::NotAJournal { path: path.clone() }),
        Ok(_) => {}
    }
    let sqlite = |error| JournalError::sqlite(path, &error);
    let connection = connect(path, patience)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sqlite)?;
    let snapshot = connection.unchecked_transaction().map_err(sqlite)?;
    let found = check(&snapshot, path)?;
    drop(snapshot);
    connection.execute_batch("PRAGMA query_only = ON").map_err(sqlite)?;
    Ok((found > 0).then_some((connection, found)))
}

/// A journal that ends with its process.
pub(super) fn in_memory() -> Result<Connection, JournalError> {
    let path = Path::new(IN_MEMORY);
    let mut connection = Connection::open_in_memory().map_err(|error| JournalError::sqlite(path, &error))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn connect(path: &Path, patience: Duration) -> Result<Connection, JournalError> {
    let sqlite = |error| JournalError::sqlite(path, &error);
    // Each connection stands behind a lock of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(patience).map_err(sqlite)?;
    // The file may come from anywhere: what its schema says is not run as code.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON").map_err(sqlite)?;
    // Else a statement is planned anew for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sqlite)?;
    Ok(connection)
}

/// Whether the file is a journal, or empty, and of a known format. Changes nothing. The connection must be within a
/// transaction: another process may make the journal at this moment.
fn check(connection: &Connection, path: &Path) -> Result<i64, JournalError> {
    let ask = |question| connection.query_row(question, [], |row| row.get::<_, i64>(0));
    let facts = (|| {
        let tables = ask("SELECT count(*) FROM sqlite_schema")?;
        Ok((ask("PRAGMA application_id")?, ask("PRAGMA user_version")?, tables))
    })();
    let path = path.to_owned();
    match facts.map_err(|error| JournalError::sqlite(&path, &error))? {
        (APPLICATION, found, _) if found > NEWEST => Err(JournalError::Newer { path, found, known: NEWEST }),
        (APPLICATION, found @ 1.., _) => Ok(found),
        (0, 0, 0) => Ok(0),
        _ => Err(JournalError::NotAJournal { path }),
    }
}

/// What survives: with a write-ahead log and `synchronous = FULL`, all that was committed, when the process is killed
/// as well as when the power fails, as far as the disk keeps what it says it has written. `NORMAL` would lose the last
/// commits with the power, and a result that was paid for would be shown and then gone; the price of `FULL`, one sync
/// a commit, is shared by all that wait for the same commit. On macOS only `fullfsync` reaches the disk.
///
/// When the log is copied into the file, while all writers wait, its thread decides: see [`super::writer`].
///
/// The keys of a run's items are everywhere in their index: so that none of its pages is read or written twice, up to 16 MB
/// of pages stay in memory, and what they were before a change does too.
///
/// Where the file system can't share memory between processes (some network ones), SQLite stays with its rollback
/// journal, which keeps the same promise and is slower.
fn configure(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    // Room that retention frees goes back to the disk bit by bit. Only an empty file takes this.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    write_ahead(connection, patience)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON",
    )
}

/// SQLite doesn't wait by itself when several processes switch a new file at the same moment.
pub(crate) fn write_ahead(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            Err(error) if waited < patience && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                std::thread::sleep(step);
                waited += step;
            }
            ended => return ended,
        }
    }
}

/// All missing steps or none. Another process may do the same at this moment: the second finds nothing to do.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), JournalError> {
    let sqlite = |error| JournalError::sqlite(path, &error);
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let found = check(&change, path)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        change.execute_batch(step).map_err(sqlite)?;
    }
    if found < NEWEST {
        change.pragma_update(None, "application_id", APPLICATION).map_err(sqlite)?;
        change.pragma_update(None, "user_version", NEWEST).map_err(sqlite)?;
    }
    change.commit().map_err(sqlite)
}

/// Prompts and findings of a user's projects are in the journal: nobody else reads it.
mod files {
    use super::{JournalError, Path};

    /// Makes the folder, open to its owner only, and an empty file, where they are missing.
    pub(super) fn prepare(path: &Path) -> Result<(), JournalError> {
        let io = |error| JournalError::io(path, &error);
        let mut file = std::fs::OpenOptions::new();
        file.read(true).write(true).create(true).truncate(false);
        let mut folder = std::fs::DirBuilder::new();
        folder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
            folder.mode(0o700);
            file.mode(0o600);
        }
        if let Some(parent) = path.parent() {
            folder.create(parent).map_err(io)?;
        }
        if path.is_dir() {
            return Err(JournalError::NotAJournal { path: path.to_owned() });
        }
        let file = file.open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_file() {
            Ok(())
        } else {
            Err(JournalError::NotAJournal { path: path.to_owned() })
        }
    }

    /// Takes from group and others what they may do with a file that was made by something else.
    pub(super) fn restrict(path: &Path) -> Result<(), JournalError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let io = |error| JournalError::io(path, &error);
            let mut permissions = std::fs::metadata(path).map_err(io)?.permissions();
            if permissions.mode() & 0o077 != 0 {
                permissions.set_mode(permissions.mode() & 0o700);
                std::fs::set_permissions(path, permissions).map_err(io)?;
            }
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}

/// The whole path, as messages show it.
pub(super) fn shown(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::StatementStatus;

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data").join("journal.db");
        (folder, path)
    }

    fn setting(connection: &Connection, name: &str) -> String {
        let question = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        connection.query_row(&question, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_new_journal_is_durable_and_its_owners_only() {
        let (_folder, path) = place();
        let (writer, _reader) = open(&path, AT_ONCE).unwrap();
        let settings = ["journal_mode", "synchronous", "user_version", "foreign_keys", "auto_vacuum"];
        assert_eq!(settings.map(|name| setting(&writer, name)), ["wal", "2", &NEWEST.to_string(), "1", "2"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(path.parent().unwrap()), 0o700);
            for file in fs::read_dir(path.parent().unwrap()).unwrap() {
                assert_eq!(mode(&file.unwrap().path()), 0o600);
            }
        }
    }

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let (_folder, path) = place();
        let (writer, reader) = open(&path, AT_ONCE).unwrap();
        for connection in [writer, reader] {
            let find =
                "SELECT items.seq FROM items JOIN runs ON runs.seq = items.run WHERE runs.id = ?1 AND items.id = ?2";
            let mut find = connection.prepare(find).unwrap();
            for item in ["a", "b", "c"] {
                assert!(!find.exists(["run", item]).unwrap());
            }
            assert_eq!(find.get_status(StatementStatus::RePrepare), 0);
        }
    }

    #[test]
    fn results_are_found_by_the_beginning_of_their_key() {
        let connection = in_memory().unwrap();
        let newest = format!("SELECT count(*) {}", crate::journal::retention::NEWEST_RESULTS);
        for question in [crate::journal::read::RESULTS_OF_KEY, &newest] {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {question}")).unwrap();
            let steps = explain.raw_query().mapped(|row| row.get::<_, String>("detail"));
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(steps.iter().any(|step| step.contains("items_by_beginning (<expr>=?")), "{steps:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_journal_open_to_others_is_closed_to_them() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = place();
        drop(open(&path, AT_ONCE).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        drop(open(&path, AT_ONCE).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_reading_connection_can_not_write() {
        let (_folder, path) = place();
        let (_writer, reader) = open(&path, AT_ONCE).unwrap();
        assert!(reader.execute("DELETE FROM runs", []).is_err());
    }

    #[test]
    fn to_look_changes_nothing() {
        let (_folder, path) = place();
        assert!(matches!(open_to_read(&path, AT_ONCE), Ok(Found::Nothing)));
        assert!(!path.parent().unwrap().exists());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(open_to_read(&path, AT_ONCE), Ok(Found::Nothing)));
        assert_eq!(fs::read(&path).unwrap(), b"");
        drop(open(&path, AT_ONCE).unwrap());
        let whole = fs::read(&path).unwrap();
        let Ok(Found::Journal(connection)) = open_to_read(&path, AT_ONCE) else { panic!("it is a journal") };
        assert!(connection.execute("DELETE FROM runs", []).is_err());
        drop(connection);
        assert_eq!(fs::read(&path).unwrap(), whole);
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
        assert!(matches!(open_to_read(&path, AT_ONCE), Ok(Found::Older)));
    }

    #[test]
    fn a_newer_journal_is_refused_and_left_as_it_is() {
        let (folder, path) = place();
        drop(open(&path, AT_ONCE).unwrap());
        let later = Connection::open(&path).unwrap();
        later.execute_batch(&format!("CREATE TABLE later (x); PRAGMA user_version = {}", NEWEST + 1)).unwrap();
        // As a newer convoke leaves it that was killed: the log is not yet in the file.
        let left = folder.path().join("journal.db");
        let log = |path: &Path| path.with_extension("db-wal");
        fs::copy(&path, &left).unwrap();
        fs::copy(log(&path), log(&left)).unwrap();
        let content = |path: &Path| (fs::read(path).unwrap(), fs::read(log(path)).unwrap());
        let before = content(&left);
        let error = open(&left, AT_ONCE).unwrap_err();
        assert_eq!(error, JournalError::Newer { path: left.clone(), found: NEWEST + 1, known: NEWEST });
        assert_eq!(content(&left), before);
    }

    #[test]
    fn another_programs_file_is_refused_and_left_as_it_is() {
        let (_folder, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmarks (url)").unwrap();
        let database = fs::read(&path).unwrap();
        for content in [database, b"Dear diary, this is no database, only a long enough text.".repeat(99)] {
            fs::write(&path, &content).unwrap();
            assert_eq!(open(&path, AT_ONCE).unwrap_err(), JournalError::NotAJournal { path: path.clone() });
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_truncated_journal_is_damaged_and_left_as_it_is() {
        let (_folder, path) = place();
        drop(open(&path, AT_ONCE).unwrap());
        let whole = fs::read(&path).unwrap();
        let half = &whole[..whole.len() / 2];
        fs::write(&path, half).unwrap();
        let error = open(&path, AT_ONCE).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), half);
    }

    #[test]
    fn a_folder_in_its_place_and_a_file_in_its_folders_place_are_named() {
        let (folder, path) = place();
        fs::create_dir_all(&path).unwrap();
        assert_eq!(open(&path, AT_ONCE).unwrap_err(), JournalError::NotAJournal { path: path.clone() });
        assert!(matches!(open_to_read(&path, AT_ONCE), Err(JournalError::NotAJournal { .. })));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = open(&file.join("journal.db"), AT_ONCE).unwrap_err();
        assert!(matches!(error, JournalError::Unreachable { .. }), "{error:?}");
    }

    #[test]
    fn many_processes_may_make_it_at_the_same_moment() {
        let (_folder, path) = place();
        std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path, Duration::from_secs(10)))).collect();
            for opener in openers {
                opener.join().unwrap().unwrap();
            }
        });
    }

    #[test]
    fn a_journal_of_format_1_keeps_its_questions_and_gains_their_tiers() {
        let (_folder, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        let question =
            "INSERT INTO questions VALUES (1, 'r', 'i', 'role', 'm', 'b', 1, 'model', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)";
        old.execute_batch(&format!("{question}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1"))
            .unwrap();
        drop(old);
        let (_writer, reader) = open(&path, AT_ONCE).unwrap();
        let row = "SELECT tier, answered_tier, took FROM questions";
        let kept: (String, Option<String>, i64) =
            reader.query_row(row, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!(kept, (String::new(), None, 10));
    }

    #[test]
    fn an_older_journal_keeps_what_is_in_it_and_gets_what_it_lacks() {
        let (_folder, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let old = Connection::open(&path).unwrap();
        let question =
            "INSERT INTO questions (run, item, role, model, backend, attempts, outcome, requests, input_tokens,
                        cache_read_tokens, cache_write_tokens, output_tokens, usd_pico, asked, waited, took)
                        VALUES ('r', '', '', '', '', 1, '', 1, 2, 3, 4, 5, 6, 7, 8, 9)";
        let mark = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1");
        old.execute_batch(&format!("{}; {question}; {mark}", MIGRATIONS[0])).unwrap();
        drop(old);
        let (_writer, reader) = open(&path, AT_ONCE).unwrap();
        let kept: (i64, i64) = reader
            .query_row("SELECT usd_pico, uncertain_pico FROM questions", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!((kept, setting(&reader, "user_version")), ((6, 0), NEWEST.to_string()));
    }

    #[test]
    fn opening_again_keeps_what_is_written() {
        let (_folder, path) = place();
        let (writer, reader) = open(&path, AT_ONCE).unwrap();
        let row = "INSERT INTO items (run, id, label, key, ordinal) SELECT seq, 'a', 'A', zeroblob(32), 7 FROM runs";
        let run = "INSERT INTO runs (id, command, plugin_name, plugin_version, plugin_digest, arguments_json, project,
                   mode, backend, started) VALUES ('r', '', '', '', '', '{}', '', '', '', 1)";
        writer.execute_batch(&format!("{run}; {row}")).unwrap();
        drop((writer, reader));
        let (_writer, reader) = open(&path, AT_ONCE).unwrap();
        let ordinal: i64 = reader.query_row("SELECT ordinal FROM items", [], |row| row.get(0)).unwrap();
        assert_eq!(ordinal, 7);
    }
}
