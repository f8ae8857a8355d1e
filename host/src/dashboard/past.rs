//! Runs that are over, from the journal.

use std::path::PathBuf;

use convoke_runtime::journal::{Journal, JournalError, RunId, RunSummary};
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::page::{Data, Gathered, PageError, gather, of_run};

/// So many runs are listed where nobody says how many.
const LISTED: usize = 200;

/// And at most so many.
const MOST: usize = 1_000;

/// What was run, to look at.
pub(super) struct Past {
    path: PathBuf,
    /// Not open before there is one.
    journal: OnceCell<Journal>,
}

/// Why nothing is shown.
#[derive(Debug, Error)]
pub(super) enum PastError {
    /// It was removed, or there never was one.
    #[error("the journal has no such run")]
    NoSuchRun,
    /// The journal can't be read.
    #[error(transparent)]
    Journal(JournalError),
    /// Too little is kept of it, or what is kept is damaged.
    #[error(transparent)]
    Page(PageError),
    /// What was read can't be told.
    #[error("the run can't be told: {0}")]
    Unwritable(serde_json::Error),
}

impl PastError {
    /// What to do now.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoSuchRun => Some("it may have been removed: `convoke runs --all` shows those that are kept"),
            Self::Journal(error) => error.hint(),
            Self::Page(_) | Self::Unwritable(_) => None,
        }
    }
}

impl From<JournalError> for PastError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::UnknownRun { .. } => Self::NoSuchRun,
            error => Self::Journal(error),
        }
    }
}

impl From<PageError> for PastError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Journal(error) => error.into(),
            error => Self::Page(error),
        }
    }
}

impl Past {
    /// The journal at this path. It need not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, journal: OnceCell::new() }
    }

    async fn journal(&self) -> Result<Option<&Journal>, PastError> {
        if let Some(journal) = self.journal.get() {
            return Ok(Some(journal));
        }
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || Journal::open_to_read(&path)).await;
        match opened {
            Ok(opened) => match opened? {
                Some(journal) => Ok(Some(self.journal.get_or_init(async || journal).await)),
                None => Ok(None),
            },
            // It is not there for whoever ends.
            Err(_) => Ok(None),
        }
    }

    /// The newest runs, of all projects.
    ///
    /// # Errors
    /// The journal can't be read.
    pub(super) async fn list(&self, most: Option<usize>) -> Result<Value, PastError> {
        let most = most.unwrap_or(LISTED).clamp(1, MOST);
        // One more says whether there are more.
        let mut summaries = match self.journal().await? {
            Some(journal) => journal.summaries(None, most + 1).await?,
            None => Vec::new(),
        };
        let more = summaries.len() > most;
        summaries.truncate(most);
        Ok(json!({ "runs": summaries.iter().map(line).collect::<Vec<_>>(), "more": more }))
    }

    /// A run: what the list says of it, and all that its page shows. As JSON.
    ///
    /// # Errors
    /// There is none; the journal can't be read.
    pub(super) async fn run(&self, run: &str) -> Result<String, PastError> {
        let (journal, run) = self.find(run).await?;
        let summary = journal.summary(journal.run_row(&run).await?).await?;
        let gathered = gather(journal, &run, None).await?;
        let Gathered { timeline, report, missing } = &gathered;
        let data = Data { timeline, report: report.as_ref(), missing };
        serde_json::to_string(&Whole { run: line(&summary), data }).map_err(PastError::Unwritable)
    }

    /// The page of a run, in a file of its own.
    ///
    /// # Errors
    /// There is none; the journal can't be read.
    pub(super) async fn page(&self, run: &str) -> Result<String, PastError> {
        let (journal, run) = self.find(run).await?;
        Ok(of_run(journal, &run, None).await?)
    }

    async fn find(&self, run: &str) -> Result<(&Journal, RunId), PastError> {
        self.journal().await?.zip(run.parse().ok()).ok_or(PastError::NoSuchRun)
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    run: Value,
    #[serde(flatten)]
    data: Data<'a>,
}

/// What the list says of a run.
fn line(summary: &RunSummary) -> Value {
    let (run, end) = (&summary.row.run, &summary.row.end);
    let took = end.as_ref().map(|end| end.ended.duration_since(run.started).as_millis());
    json!({
        "run": run.id.to_string(),
        "short": run.id.short(),
        "command": run.command,
        "subcommand": run.subcommand,
        "words": run.typed.as_ref().map(|typed| &typed.words),
        "plugin": run.plugin_name,
        "version": run.plugin_version,
        "project": run.project,
        "mode": run.mode,
        "backend": run.backend,
        "status": summary.standing.name(),
        "started": run.started,
        "took_ms": took.map(|took| u64::try_from(took).unwrap_or_default()),
        "continued": summary.row.continued,
        "census": summary.census,
        "usage": summary.usage,
        "uncertain_usd": summary.uncertain,
    })
}
