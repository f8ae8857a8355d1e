//! Edits that are carried out: what is needed to go on or back, whenever the process ends.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::read::{Reader, Trouble, number};
use super::write::Fault;
use super::{Journal, JournalError, RunId, Write};

/// A file's content, and who may do what with it.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The permission bits, the owner's and the group's number; none: as any new file gets them.
    pub rights: Option<Rights>,
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.bytes.len(), self.rights)
    }
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Permission bits, with set-user, set-group and sticky.
    pub mode: u32,
    /// The owner's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
}

/// What is done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyFile {
    /// Relative to the project's folder.
    pub path: String,
    /// What is there before; none: nothing.
    pub old: Option<FileContent>,
    /// What is there after; none: nothing.
    pub new: Option<FileContent>,
    /// Why it was left as it was found, by who mended a crash.
    pub spared: Option<String>,
}

/// Edits that are carried out together, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyRecord {
    /// Its own id.
    pub id: RunId,
    /// Whose edits they are.
    pub run: RunId,
    /// The one that is taken back by it.
    pub undoes: Option<RunId>,
    /// The project's folder, absolute.
    pub project: String,
    /// When it began.
    pub began: Timestamp,
    /// What is done, in this order.
    pub files: Vec<ApplyFile>,
    /// Folders that are made for it, the outer ones first.
    pub folders: Vec<String>,
}

/// How far edits have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyState {
    /// All is known and no file is touched: it can be forgotten.
    Prepared,
    /// Files are being changed: it goes on to its end.
    Committing,
    /// All are carried out.
    Done,
    /// None is carried out.
    Undone,
    /// Some may be: the project's folder went away before the end.
    Abandoned,
}

impl ApplyState {
    /// The name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Committing => "committing",
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Abandoned => "abandoned",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Prepared, Self::Committing, Self::Done, Self::Undone, Self::Abandoned]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether nothing more comes.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Prepared | Self::Committing)
    }
}

/// Edits that were carried out, without their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyRow {
    /// Its own id.
    pub id: RunId,
    /// Whose edits they are.
    pub run: RunId,
    /// The one that is taken back by it.
    pub undoes: Option<RunId>,
    /// The project's folder.
    pub project: String,
    /// How far it has come.
    pub state: ApplyState,
    /// When it began.
    pub began: Timestamp,
    /// How many files it concerns.
    pub files: u64,
}

/// What is written about edits.
#[derive(Debug)]
pub(super) enum ApplyWrite {
    Prepare(ApplyRecord),
    State { id: RunId, state: ApplyState, spared: Vec<(String, String)>, at: Timestamp },
}

impl Journal {
    /// Writes down what is about to be done to files. Nothing may be done before this has returned.
    ///
    /// # Errors
    /// The run is unknown; the storage fails.
    pub async fn prepare_apply(&self, record: ApplyRecord) -> Result<(), JournalError> {
        self.inner.writer.write(Write::Apply(Box::new(ApplyWrite::Prepare(record)))).await
    }

    /// Writes down how far it has come; `spared` names files that were left as they are, and why.
    ///
    /// # Errors
    /// There is no such apply under way; the storage fails.
    pub async fn set_apply_state(
        &self,
        id: &RunId,
        state: ApplyState,
        spared: Vec<(String, String)>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let write = ApplyWrite::State { id: *id, state, spared, at };
        self.inner.writer.write(Write::Apply(Box::new(write))).await
    }

    /// Those that have not ended, the oldest first.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn applies_under_way(&self) -> Result<Vec<ApplyRow>, JournalError> {
        self.read(|reader| reader.applies("applies.ended IS NULL ORDER BY applies.seq", &[])).await
    }

    /// Those of a run, the newest first.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn applies_of(&self, run: &RunId) -> Result<Vec<ApplyRow>, JournalError> {
        let run = run.to_string();
        self.read(move |reader| reader.applies("runs.leaving = 0 AND runs.id = ?1 ORDER BY applies.seq DESC", &[&run]))
            .await
    }

    /// Those in a project, the newest first.
    ///
    /// # Errors
    /// The storage fails; a record doesn't make sense.
    pub async fn applies_in(&self, project: &str) -> Result<Vec<ApplyRow>, JournalError> {
        let project = project.to_owned();
        self.read(move |reader| {
            reader.applies("runs.leaving = 0 AND applies.project = ?1 ORDER BY applies.seq DESC", &[&project])
        })
        .await
    }

    /// The one whose id this is, or ends so; none where there is none.
    ///
    /// # Errors
    /// There are several; the storage fails; a record doesn't make sense.
    pub async fn find_apply(&self, name: &str) -> Result<Option<ApplyRow>, JournalError> {
        let name = name.to_ascii_lowercase();
        self.read(move |reader| {
            let which = "runs.leaving = 0 AND length(?1) >= 4 AND substr(applies.id, -length(?1)) = ?1 LIMIT 2";
            let mut found = reader.applies(which, &[&name])?;
            if found.len() > 1 { Err(JournalError::Ambiguous { run: name.clone() }) } else { Ok(found.pop()) }
        })
        .await
    }

    /// All about one.
    ///
    /// # Errors
    /// There is no such one; the storage fails; a record doesn't make sense.
    pub async fn apply(&self, id: &RunId) -> Result<ApplyRecord, JournalError> {
        let id = id.to_string();
        self.read(move |reader| reader.apply(&id)).await
    }
}

/// Writes one of them, within the caller's savepoint.
pub(super) fn write(connection: &Connection, write: &ApplyWrite) -> Result<(), Fault> {
    match write {
        ApplyWrite::Prepare(record) => prepare(connection, record),
        ApplyWrite::State { id, state, spared, at } => set_state(connection, *id, *state, spared, *at),
    }
}

fn prepare(connection: &Connection, record: &ApplyRecord) -> Result<(), Fault> {
    let added = connection.execute(
        "INSERT INTO applies (id, run, undoes, project, state, began)
         SELECT ?1, runs.seq, ?3, ?4, 'prepared', ?5 FROM runs WHERE runs.id = ?2",
        params![
            record.id.to_string(),
            record.run.to_string(),
            record.undoes.map(|id| id.to_string()),
            record.project,
            record.began.as_microsecond(),
        ],
    )?;
    if added == 0 {
        return Err(Fault::Record(JournalError::UnknownRun { run: record.run.to_string() }));
    }
    let apply = connection.last_insert_rowid();
    let mut file = connection.prepare_cached(
        "INSERT INTO applied_files (apply, path, old, old_mode, old_owner, old_group, new, new_mode, new_owner, new_group)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for ApplyFile { path, old, new, .. } in &record.files {
        let bytes = |content: &Option<FileContent>| content.as_ref().map(|content| content.bytes.clone());
        let rights = |content: &Option<FileContent>| content.as_ref().and_then(|content| content.rights);
        let (before, after) = (rights(old), rights(new));
        file.execute(params![
            apply,
            path,
            bytes(old),
            before.map(|rights| rights.mode),
            before.map(|rights| rights.owner),
            before.map(|rights| rights.group),
            bytes(new),
            after.map(|rights| rights.mode),
            after.map(|rights| rights.owner),
            after.map(|rights| rights.group),
        ])?;
    }
    let mut folder = connection.prepare_cached("INSERT INTO applied_folders (apply, path) VALUES (?1, ?2)")?;
    for path in &record.folders {
        folder.execute(params![apply, path])?;
    }
    Ok(())
}

fn set_state(
    connection: &Connection,
    id: RunId,
    state: ApplyState,
    spared: &[(String, String)],
    at: Timestamp,
) -> Result<(), Fault> {
    let ended = state.has_ended().then(|| at.as_microsecond());
    let changed = connection.execute(
        "UPDATE applies SET state = ?2, ended = ?3 WHERE id = ?1 AND ended IS NULL",
        params![id.to_string(), state.name(), ended],
    )?;
    if changed == 0 {
        return Err(Fault::Record(JournalError::UnknownRun { run: id.to_string() }));
    }
    for (path, why) in spared {
        connection.execute(
            "UPDATE applied_files SET spared = ?3 WHERE path = ?2 AND apply = (SELECT seq FROM applies WHERE id = ?1)",
            params![id.to_string(), path, why],
        )?;
    }
    Ok(())
}

impl Reader<'_> {
    fn applies(&self, which: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<ApplyRow>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare(&format!(
                "SELECT applies.id, runs.id, applies.undoes, applies.project, applies.state, applies.began,
                        (SELECT count(*) FROM applied_files WHERE applied_files.apply = applies.seq)
                 FROM applies JOIN runs ON runs.seq = applies.run WHERE {which}"
            ))?;
            let mut rows = select.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(self.apply_row(row)?);
            }
            Ok::<_, Trouble>(found)
        };
        read().map_err(|trouble| self.named(trouble))
    }

    fn apply_row(&self, row: &Row<'_>) -> Result<ApplyRow, Trouble> {
        let id: String = row.get(0)?;
        let what = format!("apply {id}");
        let state: String = row.get(4)?;
        let undoes: Option<String> = row.get(2)?;
        Ok(ApplyRow {
            id: self.parsed(&id, &what)?,
            run: self.parsed(&row.get::<_, String>(1)?, &what)?,
            undoes: undoes.map(|id| self.parsed(&id, &what)).transpose()?,
            project: row.get(3)?,
            state: ApplyState::named(&state).ok_or_else(|| self.senseless(&what, &state))?,
            began: self.time(row.get(5)?, &what)?,
            files: number(row.get(6)?),
        })
    }

    fn apply(&self, id: &str) -> Result<ApplyRecord, JournalError> {
        let read = || {
            let _snapshot = self.connection.unchecked_transaction()?;
            let mut rows = self.applies("applies.id = ?1", &[&id]).map_err(Trouble::Record)?;
            let Some(row) = rows.pop() else {
                return Err(Trouble::Record(JournalError::UnknownRun { run: id.to_owned() }));
            };
            let seq: i64 =
                self.connection.query_row("SELECT seq FROM applies WHERE id = ?1", [id], |row| row.get(0))?;
            let mut select = self.connection.prepare(
                "SELECT path, old, old_mode, old_owner, old_group, new, new_mode, new_owner, new_group, spared
                 FROM applied_files WHERE apply = ?1 ORDER BY seq",
            )?;
            let files = select.query_map([seq], |row| {
                Ok(ApplyFile { path: row.get(0)?, old: content(row, 1)?, new: content(row, 5)?, spared: row.get(9)? })
            })?;
            let files = files.collect::<rusqlite::Result<Vec<_>>>()?;
            let mut select =
                self.connection.prepare("SELECT path FROM applied_folders WHERE apply = ?1 ORDER BY seq")?;
            let folders = select.query_map([seq], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            let ApplyRow { id, run, undoes, project, began, .. } = row;
            Ok::<_, Trouble>(ApplyRecord { id, run, undoes, project, began, files, folders })
        };
        read().map_err(|trouble| self.named(trouble))
    }
}

/// The four columns from this one on.
fn content(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<FileContent>> {
    let Some(bytes) = row.get::<_, Option<Vec<u8>>>(column)? else { return Ok(None) };
    let part = |place: usize| row.get::<_, Option<u32>>(column + place);
    let rights = match (part(1)?, part(2)?, part(3)?) {
        (Some(mode), Some(owner), Some(group)) => Some(Rights { mode, owner, group }),
        _ => None,
    };
    Ok(Some(FileContent { bytes, rights }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Keep, RunRecord};
    use crate::work::{Census, Status};

    fn run() -> RunRecord {
        RunRecord {
            id: RunId::new(),
            command: "editing".to_owned(),
            subcommand: None,
            plugin_name: "editing".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            plugin_digest: "0".repeat(64),
            arguments: serde_json::Value::Null,
            project: "/project".to_owned(),
            mode: "safe".to_owned(),
            backend: "offline".to_owned(),
            started: Timestamp::from_second(1_800_000_000).unwrap(),
            typed: None,
        }
    }

    fn content(bytes: &[u8], mode: Option<u32>) -> Option<FileContent> {
        let rights = mode.map(|mode| Rights { mode, owner: 1000, group: u32::MAX - 1 });
        Some(FileContent { bytes: bytes.to_vec(), rights })
    }

    fn record(run: RunId) -> ApplyRecord {
        let file = |path: &str, old, new| ApplyFile { path: path.to_owned(), old, new, spared: None };
        ApplyRecord {
            id: RunId::new(),
            run,
            undoes: None,
            project: "/project".to_owned(),
            began: Timestamp::from_second(1_800_000_001).unwrap(),
            files: vec![
                file("a.md", content(b"old\0\xff", Some(0o4755)), content(b"", Some(0o600))),
                file("b.md", None, content(b"new", None)),
                file("c.md", content(b"gone", Some(0o644)), None),
            ],
            folders: vec!["x".to_owned(), "x/y".to_owned()],
        }
    }

    #[tokio::test]
    async fn what_was_written_for_the_way_back_reads_the_same() {
        let journal = Journal::in_memory().unwrap();
        let run = run();
        let (id, at) = (run.id, run.started);
        journal.begin_run(run).await.unwrap();
        let mut one = record(id);
        journal.prepare_apply(one.clone()).await.unwrap();
        assert_eq!(journal.apply(&one.id).await.unwrap(), one);
        assert_eq!(journal.applies_under_way().await.unwrap()[0].state, ApplyState::Prepared);
        journal.set_apply_state(&one.id, ApplyState::Committing, Vec::new(), at).await.unwrap();
        assert_eq!(journal.applies_under_way().await.unwrap()[0].state, ApplyState::Committing);
        let spared = vec![("b.md".to_owned(), "changed since".to_owned())];
        journal.set_apply_state(&one.id, ApplyState::Done, spared, at).await.unwrap();
        assert_eq!(journal.applies_under_way().await.unwrap(), []);
        one.files[1].spared = Some("changed since".to_owned());
        assert_eq!(journal.apply(&one.id).await.unwrap(), one);
        let again = journal.set_apply_state(&one.id, ApplyState::Undone, Vec::new(), at).await;
        assert!(matches!(again, Err(JournalError::UnknownRun { .. })), "it ends once");

        let mut two = ApplyRecord { id: RunId::new(), undoes: Some(one.id), ..record(id) };
        two.project = "/other".to_owned();
        journal.prepare_apply(two.clone()).await.unwrap();
        let ids = |rows: Vec<ApplyRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(journal.applies_of(&id).await.unwrap()), [two.id, one.id]);
        assert_eq!(ids(journal.applies_in("/project").await.unwrap()), [one.id]);
        let found = journal.find_apply(&two.id.short()).await.unwrap().unwrap();
        assert_eq!((found.id, found.undoes, found.files), (two.id, Some(one.id), 3));
        assert_eq!(journal.find_apply("%").await.unwrap(), None);
    }

    #[tokio::test]
    async fn edits_need_a_run_and_go_with_it_but_not_before_they_have_ended() {
        let journal = Journal::in_memory().unwrap();
        let nobody = record(RunId::new());
        assert!(matches!(journal.prepare_apply(nobody).await, Err(JournalError::UnknownRun { .. })));
        let run = run();
        let (id, at) = (run.id, run.started);
        journal.begin_run(run).await.unwrap();
        journal.end_run(&id, Status::Completed, Census::default(), at).await.unwrap();
        let one = record(id);
        journal.prepare_apply(one.clone()).await.unwrap();
        let keep = Keep { since: Some(Timestamp::MAX), ..Keep::default() };
        assert_eq!(journal.leavers(&keep).await.unwrap().len(), 0);
        assert!(journal.remove_run(&id).await.is_err());
        journal.set_apply_state(&one.id, ApplyState::Done, Vec::new(), at).await.unwrap();
        assert_eq!(journal.leavers(&keep).await.unwrap().len(), 1);
        journal.remove_run(&id).await.unwrap();
        assert!(journal.apply(&one.id).await.is_err(), "the way back goes too");
    }
}
