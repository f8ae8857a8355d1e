//! `convoke rollback`: takes back the edits of a run.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use convoke_runtime::journal::{ActionState, FileContent, Journal, RunId};

use super::carry_out::{Answer, ask, can_ask};
use super::command::in_runtime;
use super::error::CliError;
use super::options::Color;
use super::prepare::project_folder;
use super::terminal::{Terminal, put, say};
use crate::apply::back::{BackError, Which, back};
use crate::apply::recover::recover;
use crate::apply::{self, ApplyError, Place, Problem, Request, Undisturbed, What, Wish};
use crate::audit::Audit;
use crate::config::Paths;
use crate::report::edits::unified;
use crate::report::human::{self, Style};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("rollback")
        .about("Takes back the edits that a run has carried out")
        .long_about(
            "Takes back the edits that a run has carried out with --apply: bytes, permissions, removed and new files.\n\n\
             All or none: where a file was changed since, nothing is done, and what has changed is shown. A rollback can \
             itself be rolled back.",
        )
        .arg(Arg::new("run").value_name("RUN").required(true).help("The run's id or its end; or last, the newest here"))
        .arg(Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help("Don't ask"))
        .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Only show what would be done"))
        .arg(
            Arg::new("project")
                .long("project")
                .short('C')
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("With last: the project's folder"),
        )
}

pub(super) fn rollback(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let (yes, dry_run) = (matches.get_flag("yes"), matches.get_flag("dry-run"));
    if !yes && !dry_run && !can_ask() {
        return Err(CliError::usage("rollback asks before it changes anything, and here is no terminal to ask on")
            .hint(Some("--yes doesn't ask, --dry-run only shows")));
    }
    let name = matches.get_one::<String>("run").map(String::as_str).unwrap_or_default();
    let project = match name {
        "last" => Some(project_folder(matches.get_one::<PathBuf>("project").map(PathBuf::as_path))?),
        _ => None,
    };
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    in_runtime(async move {
        let journal = Journal::open(&paths.journal())?;
        let place = Place::of(&paths, &journal, &Audit::of(&paths));
        recover(&place).await.iter().for_each(|line| say(&clean::line(line)));
        let which = project.as_deref().map_or(Which::Named(name), Which::Last);
        let (row, request) = back(&journal, which).await?;
        if let Err(error) = apply::look(&place, &request) {
            return Err(refused(&error));
        }
        let terminal = Terminal::find(Color::Auto);
        let files = apply::files(request.wishes.len());
        let what = if row.undoes.is_some() { "brings again" } else { "takes back" };
        if !yes {
            put(&shown(&request, &terminal), None)?;
        }
        if dry_run {
            put(&format!("This {what} the edits of run {} in {files}. Nothing was changed.\n", row.run.short()), None)?;
            return Ok(ExitCode::Success);
        }
        if !yes {
            match ask(&format!("Roll back {files} in {}?", row.project)).await {
                Answer::Yes => {}
                Answer::No => {
                    put("Nothing was changed.\n", None)?;
                    return Ok(ExitCode::Success);
                }
                Answer::Stopped => return Ok(ExitCode::Interrupted),
            }
        }
        let applied = apply::carry_out(&place, request, &Undisturbed).await.map_err(|error| refused(&error))?;
        applied.notes.iter().for_each(|line| say(&clean::line(line)));
        let again = format!("`convoke rollback {}` undoes that", applied.id.short());
        let again = if applied.files > 0 { format!("; {again}") } else { String::new() };
        let changed = apply::files(applied.files);
        put(&format!("Rolled back: {changed} as before the edits of run {}{again}.\n", row.run.short()), None)?;
        if let Some(kept) = actions_of(&journal, &row.run).await? {
            put(&kept, None)?;
        }
        Ok(ExitCode::Success)
    })
}

/// What the run did outside the files stays: nobody knows how to take that back.
async fn actions_of(journal: &Journal, run: &RunId) -> Result<Option<String>, CliError> {
    let rows = journal.actions_of(run).await?;
    let done = rows.iter().filter(|row| matches!(row.state, ActionState::Done | ActionState::Unknown));
    let keys: Vec<String> = done.map(|row| clean::line(&row.action.key)).collect();
    let text = format!("Its actions are not taken back: {}. `convoke actions` shows them.\n", keys.join(", "));
    Ok((!keys.is_empty()).then_some(text))
}

/// All files as they are and as they would be.
fn shown(request: &Request, terminal: &Terminal) -> String {
    let style =
        Style { color: terminal.out_color, width: terminal.width, unicode: terminal.unicode, ..Style::default() };
    let bytes = |content: &Option<FileContent>| content.as_ref().map(|content| content.bytes.clone());
    let diffs = request.wishes.iter().filter_map(|Wish { path, what }| match what {
        What::Restore { from, to, .. } => {
            Some((path.as_str(), unified(path, bytes(from).as_deref(), bytes(to).as_deref())))
        }
        What::Edit { .. } => None,
    });
    human::diffs(diffs, &style)
}

/// Nothing was changed, and why.
fn refused(error: &ApplyError) -> CliError {
    let ApplyError::Hindered(problems) = error else { return CliError::nothing(error.to_string()) };
    let mut text = "nothing was rolled back, because of what was done since:".to_owned();
    for (path, problem) in problems {
        text += &format!("\n{}: {}", clean::line(path), problem.text());
        if let Problem::Changed(_, Some(diff)) = problem {
            text += &format!("\n{}", diff.trim_end());
        }
    }
    CliError::nothing(text).hint(Some("take back what was changed since (+ in the diff), then try again"))
}

impl From<BackError> for CliError {
    fn from(error: BackError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(hint)
    }
}
