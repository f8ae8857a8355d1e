//! `convoke runs export`: everything, one JSON object a line. It is written as it is read: never is a whole run in memory.

use std::io::{self, BufWriter, Write};

use clap::ArgMatches;
use convoke_runtime::journal::{Journal, JournalError, RunId};
use serde_json::Value;

use super::lines::{ActionLine, DecisionLine, EndLine, ItemLine, Line, QuestionLine, RunLine, What};
use super::{find, to_read};
use crate::cli::error::CliError;
use crate::config::Paths;
use crate::report::{ExitCode, clean};

/// So many rows are read at once. An item may have a result of some megabytes.
const PAGE: usize = 64;

/// Its JSON Schema.
pub(in crate::cli) fn schema() -> Value {
    crate::report::schema::of::<Line>()
}

pub(super) async fn export(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let mut out = Out { stream: BufWriter::new(io::stdout().lock()), runs: 0, lines: 0 };
    let written = match matches.get_one::<String>("run") {
        Some(name) => {
            let (journal, run) = find(paths, matches, name).await?;
            run_lines(&journal, run, &mut out).await
        }
        None => match to_read(paths)? {
            Some(journal) => all(&journal, &mut out).await,
            None => Ok(()),
        },
    };
    match written.and_then(|()| out.end()) {
        Ok(()) => Ok(ExitCode::Success),
        // Whoever read it has read enough.
        Err(Broken::Stream(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Success),
        Err(Broken::Stream(error)) => Err(CliError::nothing(format!("can't write the export: {error}"))),
        Err(Broken::Journal(error)) => Err(error.into()),
    }
}

/// Why an export ends before its end.
enum Broken {
    Stream(io::Error),
    Journal(JournalError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

impl From<JournalError> for Broken {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

struct Out<W: Write> {
    stream: W,
    runs: u64,
    lines: u64,
}

impl<W: Write> Out<W> {
    fn line(&mut self, what: What) -> Result<(), Broken> {
        let line = serde_json::to_string(&Line::from(what)).map_err(io::Error::from)?;
        // What would move a cursor is escaped: the values stay what they are.
        writeln!(self.stream, "{}", clean::json(line))?;
        self.lines += 1;
        Ok(())
    }

    fn end(mut self) -> Result<(), Broken> {
        self.line(What::End(EndLine { runs: self.runs, lines: self.lines }))?;
        Ok(self.stream.flush()?)
    }
}

/// All runs, the oldest first.
async fn all<W: Write>(journal: &Journal, out: &mut Out<W>) -> Result<(), Broken> {
    let runs: Vec<RunId> = journal.runs(usize::MAX).await?.into_iter().rev().map(|row| row.run.id).collect();
    for run in runs {
        match run_lines(journal, run, out).await {
            // It was removed since.
            Err(Broken::Journal(JournalError::UnknownRun { .. })) => {}
            other => other?,
        }
    }
    Ok(())
}

async fn run_lines<W: Write>(journal: &Journal, run: RunId, out: &mut Out<W>) -> Result<(), Broken> {
    let summary = journal.summary(journal.run_row(&run).await?).await?;
    out.line(What::Run(Box::new(RunLine::from(&summary))))?;
    out.runs += 1;
    let name = run.to_string();
    let mut at = Some(0);
    while let Some(after) = at {
        let page = journal.items(&run, after, PAGE).await?;
        for row in &page.rows {
            out.line(What::Item(Box::new(ItemLine::of(&name, row))))?;
        }
        at = page.next;
    }
    let mut at = Some(0);
    while let Some(after) = at {
        let page = journal.questions(&run, after, PAGE).await?;
        for row in &page.rows {
            out.line(What::Question(Box::new(QuestionLine::from(row))))?;
        }
        at = page.next;
    }
    for row in journal.actions_of(&run).await? {
        out.line(What::Action(Box::new(ActionLine::from(&row))))?;
    }
    let mut at = Some(0);
    while let Some(after) = at {
        let page = journal.decisions_page(&run, after, PAGE).await?;
        for row in &page.rows {
            out.line(What::Decision(Box::new(DecisionLine::from(row))))?;
        }
        at = page.next;
    }
    Ok(())
}
