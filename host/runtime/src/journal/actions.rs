//! Actions: what was carried out outside the files, once each by its key.
//!
//! One row a project and key. It says `started` before the program starts, and how it ended after that; a host that is
//! gone in between leaves `started`, and whoever finds that while no host is at it makes it `unknown`: nobody guesses.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::read::{Reader, Trouble};
use super::write::Fault;
use super::{JournalError, RunId};

/// How much of what an action printed is kept of each stream, in bytes: its end.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// How an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It was to be carried out, and its turn did not come.
    Proposed,
    /// Its program runs, or its host is gone.
    Started,
    /// It was carried out.
    Done,
    /// It came to nothing, by its program's own word.
    Failed,
    /// It was started, and nobody knows how it ended.
    Unknown,
}

impl ActionState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Proposed, Self::Started, Self::Done, Self::Failed, Self::Unknown];

    /// The name in the journal and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// An action as it is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRecord {
    /// The project's folder, as in [`RunRecord::project`](super::RunRecord).
    pub project: String,
    /// In the project, two actions with the same key are the same action.
    pub key: String,
    /// The run that proposes it.
    pub run: RunId,
    /// The item that proposes it.
    pub item: String,
    /// `git-commit`, `pull-request`, `comment`.
    pub kind: String,
    /// What it is, in a line.
    pub title: String,
    /// What it does, as JSON: always written the same way, because it is compared as a text.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionEnd {
    /// Of which project.
    pub project: String,
    /// Which.
    pub key: String,
    /// [`ActionState::Done`], [`ActionState::Failed`] or [`ActionState::Unknown`].
    pub state: ActionState,
    /// What its program said, if it did.
    pub exit_code: Option<i32>,
    /// Why it stands so, where there is something to say.
    pub reason: String,
    /// The end of what it printed: at most [`OUTPUT_LIMIT`] bytes are kept.
    pub output: String,
    /// The end of what it wrote to stderr, as much.
    pub errors: String,
    /// When.
    pub at: Timestamp,
}

/// What is known of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    /// What it is; `at` is when it was proposed.
    pub action: ActionRecord,
    /// How it stands.
    pub state: ActionState,
    /// When its program was started last.
    pub started: Option<Timestamp>,
    /// When that ended.
    pub ended: Option<Timestamp>,
    /// When the user said how it stands.
    pub settled: Option<Timestamp>,
    /// See [`ActionEnd`].
    pub exit_code: Option<i32>,
    /// See [`ActionEnd`].
    pub reason: String,
    /// See [`ActionEnd`].
    pub output: String,
    /// See [`ActionEnd`].
    pub errors: String,
}

/// A change of the table.
#[derive(Debug)]
pub(super) enum Change {
    Propose(Vec<ActionRecord>),
    Start(ActionRecord),
    End(ActionEnd),
    /// Those of a project that were started: their host is gone.
    Lose {
        project: String,
        at: Timestamp,
    },
    Settle {
        project: String,
        key: String,
        state: ActionState,
        at: Timestamp,
    },
    Forget {
        project: String,
        key: String,
    },
}

pub(super) fn change(connection: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::Propose(actions) => actions.iter().try_for_each(|action| propose(connection, action)),
        Change::Start(action) => start(connection, action),
        Change::End(end) => self::end(connection, end),
        Change::Lose { project, at } => lose(connection, project, *at),
        Change::Settle { project, key, state, at } => settle(connection, project, key, *state, *at),
        Change::Forget { project, key } => forget(connection, project, key),
    }
}

/// One that was only proposed is proposed anew; any other stays as it is.
fn propose(connection: &Connection, action: &ActionRecord) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO actions (project, key, run, item, kind, title, body_json, state, proposed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'proposed', ?8)
         ON CONFLICT (project, key) DO UPDATE SET
             run = excluded.run, item = excluded.item, kind = excluded.kind, title = excluded.title,
             body_json = excluded.body_json, proposed = excluded.proposed
         WHERE state = 'proposed'",
        params_of(action),
    )?;
    Ok(())
}

/// Whoever gets here first carries it out: all others find that it was started.
fn start(connection: &Connection, action: &ActionRecord) -> Result<(), Fault> {
    let started = connection.execute(
        "INSERT INTO actions (project, key, run, item, kind, title, body_json, state, proposed, started)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'started', ?8, ?8)
         ON CONFLICT (project, key) DO UPDATE SET
             run = excluded.run, item = excluded.item, kind = excluded.kind, title = excluded.title,
             body_json = excluded.body_json, state = 'started', started = excluded.started,
             ended = NULL, settled = NULL, exit_code = NULL, reason = '', output = '', errors = ''
         WHERE state = 'proposed' OR (state = 'failed' AND body_json = excluded.body_json)",
        params_of(action),
    )?;
    if started == 1 { Ok(()) } else { Err(held(&action.key)) }
}

fn params_of(action: &ActionRecord) -> impl rusqlite::Params + use<> {
    (
        action.project.clone(),
        action.key.clone(),
        action.run.to_string(),
        action.item.clone(),
        action.kind.clone(),
        action.title.clone(),
        action.body.clone(),
        action.at.as_microsecond(),
    )
}

fn end(connection: &Connection, end: &ActionEnd) -> Result<(), Fault> {
    if !matches!(end.state, ActionState::Done | ActionState::Failed | ActionState::Unknown) {
        let (what, detail) = (format!("the end of action {:?}", end.key), format!("it is {}", end.state.name()));
        return Err(Fault::Record(JournalError::Unwritable { what, detail }));
    }
    let ended = connection.execute(
        "UPDATE actions SET state = ?3, ended = ?4, exit_code = ?5, reason = ?6, output = ?7, errors = ?8
         WHERE project = ?1 AND key = ?2 AND state = 'started'",
        params![
            end.project,
            end.key,
            end.state.name(),
            end.at.as_microsecond(),
            end.exit_code,
            end.reason,
            bounded(&end.output),
            bounded(&end.errors),
        ],
    )?;
    if ended == 1 { Ok(()) } else { missed(connection, &end.project, &end.key) }
}

fn lose(connection: &Connection, project: &str, at: Timestamp) -> Result<(), Fault> {
    connection.execute(
        "UPDATE actions SET state = 'unknown', ended = ?2,
                reason = 'convoke ended before its program did: what the program did until then is not known'
         WHERE project = ?1 AND state = 'started'",
        params![project, at.as_microsecond()],
    )?;
    Ok(())
}

fn settle(connection: &Connection, project: &str, key: &str, state: ActionState, at: Timestamp) -> Result<(), Fault> {
    let settled = connection.execute(
        "UPDATE actions SET state = ?3, settled = ?4 WHERE project = ?1 AND key = ?2 AND state <> 'started'",
        params![project, key, state.name(), at.as_microsecond()],
    )?;
    if settled == 1 { Ok(()) } else { missed(connection, project, key) }
}

fn forget(connection: &Connection, project: &str, key: &str) -> Result<(), Fault> {
    let forgotten = connection.execute(
        "DELETE FROM actions WHERE project = ?1 AND key = ?2 AND state IN ('proposed', 'failed')",
        params![project, key],
    )?;
    if forgotten == 1 { Ok(()) } else { missed(connection, project, key) }
}

/// Why nothing was changed.
fn missed(connection: &Connection, project: &str, key: &str) -> Result<(), Fault> {
    let mut select = connection.prepare("SELECT 1 FROM actions WHERE project = ?1 AND key = ?2")?;
    if select.exists(params![project, key])? {
        Err(held(key))
    } else {
        Err(Fault::Record(JournalError::UnknownAction { key: key.to_owned() }))
    }
}

fn held(key: &str) -> Fault {
    Fault::Record(JournalError::ActionHeld { key: key.to_owned() })
}

/// The end of a text, cut at a character.
fn bounded(text: &str) -> &str {
    let start = text.len().saturating_sub(OUTPUT_LIMIT);
    &text[text.ceil_char_boundary(start)..]
}

const COLUMNS: &str = "project, key, run, item, kind, title, body_json, proposed, state, started, ended, settled,
                       exit_code, reason, output, errors";

impl Reader<'_> {
    /// Those of a project, the newest first.
    pub(super) fn actions(&self, project: &str) -> Result<Vec<ActionRow>, JournalError> {
        let which = format!("SELECT {COLUMNS} FROM actions WHERE project = ?1 ORDER BY seq DESC");
        self.action_rows(&which, project).map_err(|trouble| self.named(trouble))
    }

    /// Those that a run proposed last or had carried out, in their order.
    pub(super) fn actions_of(&self, run: RunId) -> Result<Vec<ActionRow>, JournalError> {
        let which = format!("SELECT {COLUMNS} FROM actions WHERE run = ?1 ORDER BY started, seq");
        self.action_rows(&which, &run.to_string()).map_err(|trouble| self.named(trouble))
    }

    fn action_rows(&self, question: &str, which: &str) -> Result<Vec<ActionRow>, Trouble> {
        let mut select = self.connection.prepare(question)?;
        let mut rows = select.query([which])?;
        let mut actions = Vec::new();
        while let Some(row) = rows.next()? {
            actions.push(self.action_row(row)?);
        }
        Ok(actions)
    }

    fn action_row(&self, row: &Row<'_>) -> Result<ActionRow, Trouble> {
        let key: String = row.get(1)?;
        let what = format!("action {key:?}");
        let state: String = row.get(8)?;
        let time = |column| -> Result<Option<Timestamp>, Trouble> {
            row.get::<_, Option<i64>>(column)?.map(|time| self.time(time, &what)).transpose()
        };
        Ok(ActionRow {
            state: ActionState::ALL
                .into_iter()
                .find(|known| known.name() == state)
                .ok_or_else(|| self.senseless(&what, &state))?,
            started: time(9)?,
            ended: time(10)?,
            settled: time(11)?,
            exit_code: row.get(12)?,
            reason: row.get(13)?,
            output: row.get(14)?,
            errors: row.get(15)?,
            action: ActionRecord {
                project: row.get(0)?,
                run: self.parsed(&row.get::<_, String>(2)?, &what)?,
                item: row.get(3)?,
                kind: row.get(4)?,
                title: row.get(5)?,
                body: row.get(6)?,
                at: self.time(row.get(7)?, &what)?,
                key,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;

    const PROJECT: &str = "/project";

    fn now(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn action(key: &str, body: &str) -> ActionRecord {
        ActionRecord {
            project: PROJECT.to_owned(),
            key: key.to_owned(),
            run: RunId::new(),
            item: "a".to_owned(),
            kind: "git-commit".to_owned(),
            title: "Commit".to_owned(),
            body: body.to_owned(),
            at: now(0),
        }
    }

    fn end(key: &str, state: ActionState) -> ActionEnd {
        ActionEnd {
            project: PROJECT.to_owned(),
            key: key.to_owned(),
            state,
            exit_code: Some(0),
            reason: String::new(),
            output: "out".to_owned(),
            errors: String::new(),
            at: now(1),
        }
    }

    async fn state(journal: &Journal, key: &str) -> ActionState {
        let rows = journal.actions(PROJECT).await.unwrap();
        rows.into_iter().find(|row| row.action.key == key).unwrap().state
    }

    fn is_held(result: Result<(), JournalError>) -> bool {
        matches!(result, Err(JournalError::ActionHeld { .. }))
    }

    #[tokio::test]
    async fn what_was_started_is_started_by_nobody_else() {
        let journal = Journal::in_memory().unwrap();
        journal.start_action(action("k", "1")).await.unwrap();
        assert!(is_held(journal.start_action(action("k", "1")).await));
        journal.end_action(end("k", ActionState::Done)).await.unwrap();
        assert!(is_held(journal.start_action(action("k", "1")).await), "done is done");
        let other = ActionRecord { project: "/other".to_owned(), ..action("k", "1") };
        journal.start_action(other).await.unwrap();
        assert_eq!(journal.actions(PROJECT).await.unwrap().len(), 1, "another project is another action");
    }

    #[tokio::test]
    async fn of_many_at_the_same_moment_one_starts_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        // Each its own connections, as several processes have.
        let journals: Vec<Journal> = (0..6).map(|_| Journal::open(&path).unwrap()).collect();
        let started = futures::future::join_all(journals.iter().map(|journal| journal.start_action(action("k", "1"))));
        assert_eq!(started.await.iter().filter(|result| result.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn a_failed_one_may_be_started_again_as_it_was_and_not_changed() {
        let journal = Journal::in_memory().unwrap();
        journal.start_action(action("k", "1")).await.unwrap();
        journal.end_action(end("k", ActionState::Failed)).await.unwrap();
        assert!(is_held(journal.start_action(action("k", "2")).await));
        journal.start_action(action("k", "1")).await.unwrap();
        let row = journal.actions(PROJECT).await.unwrap().remove(0);
        assert_eq!((row.state, row.exit_code, row.output.as_str()), (ActionState::Started, None, ""));
    }

    #[tokio::test]
    async fn what_a_host_left_started_is_unknown_until_the_user_settles_it() {
        let journal = Journal::in_memory().unwrap();
        journal.start_action(action("k", "1")).await.unwrap();
        let settle = |state| journal.settle_action(PROJECT, "k", state, now(9));
        assert!(is_held(settle(ActionState::Done).await), "it may be under way");
        journal.lose_actions(PROJECT, now(5)).await.unwrap();
        assert_eq!(state(&journal, "k").await, ActionState::Unknown);
        assert!(is_held(journal.start_action(action("k", "1")).await), "it is not repeated");
        assert!(is_held(journal.end_action(end("k", ActionState::Done)).await), "nor ended by one that comes late");
        assert!(is_held(journal.forget_action(PROJECT, "k").await));
        settle(ActionState::Failed).await.unwrap();
        journal.start_action(action("k", "1")).await.unwrap();
        let unknown = journal.settle_action(PROJECT, "other", ActionState::Done, now(9)).await;
        assert_eq!(unknown, Err(JournalError::UnknownAction { key: "other".to_owned() }));
    }

    #[tokio::test]
    async fn what_was_only_proposed_is_proposed_anew_and_the_rest_stays() {
        let journal = Journal::in_memory().unwrap();
        journal.propose_actions(vec![action("a", "1"), action("b", "1")]).await.unwrap();
        journal.start_action(action("b", "1")).await.unwrap();
        journal.end_action(end("b", ActionState::Done)).await.unwrap();
        let run = action("a", "2");
        journal.propose_actions(vec![run.clone(), action("b", "2")]).await.unwrap();
        let rows = journal.actions(PROJECT).await.unwrap();
        let shown: Vec<_> =
            rows.iter().map(|row| (row.action.key.as_str(), row.action.body.as_str(), row.state)).collect();
        assert_eq!(shown, [("b", "1", ActionState::Done), ("a", "2", ActionState::Proposed)]);
        assert_eq!(journal.actions_of(&run.run).await.unwrap().len(), 1);
        journal.forget_action(PROJECT, "a").await.unwrap();
        assert_eq!(journal.actions(PROJECT).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn of_its_output_the_end_is_kept_whole_characters() {
        let journal = Journal::in_memory().unwrap();
        journal.start_action(action("k", "1")).await.unwrap();
        let flood = ActionEnd { output: format!("{}end", "é".repeat(OUTPUT_LIMIT)), ..end("k", ActionState::Done) };
        journal.end_action(flood).await.unwrap();
        let output = journal.actions(PROJECT).await.unwrap().remove(0).output;
        assert!(output.len() <= OUTPUT_LIMIT && output.ends_with("éend"), "{}", output.len());
    }
}
