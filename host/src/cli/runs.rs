//! `convoke runs`: what was run, what came of it, what it cost, and how it goes.

mod compare;
pub(super) mod export;
mod lines;
mod list;
pub(super) mod prune;
mod show;

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use convoke_runtime::journal::{Journal, RunId, RunRecord, RunSummary};
use jiff::tz::TimeZone;

use super::error::CliError;
use super::prepare::project_folder;
use crate::config::Paths;
use crate::report::{ExitCode, clean};

/// So many runs are listed where nobody says how many.
const LISTED: &str = "20";

pub(super) fn command() -> Command {
    let run =
        || Arg::new("run").value_name("RUN").required(true).help("Its id, the id's last digits (at least 4), or last");
    Command::new("runs")
        .about("Shows the runs of this project: what came of them, and what they cost")
        .args_conflicts_with_subcommands(true)
        .arg(
            Arg::new("most")
                .short('n')
                .long("most")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..))
                .default_value(LISTED)
                .help("At most so many, the newest"),
        )
        .arg(all("The runs of all projects"))
        .arg(project())
        .arg(super::format_argument())
        .subcommand(
            Command::new("show")
                .about("Shows a run: its items, its questions, and what failed why")
                .arg(run())
                .arg(project())
                .arg(
                    Arg::new("verbose")
                        .short('v')
                        .long("verbose")
                        .action(ArgAction::SetTrue)
                        .help("Every item, and whole logs"),
                )
                .arg(super::format_argument()),
        )
        .subcommand(
            Command::new("compare")
                .about("Shows two runs side by side: what ended otherwise, which findings came and went, what took longer")
                .arg(run().id("a").value_name("A"))
                .arg(run().id("b").value_name("B"))
                .arg(project())
                .arg(super::format_argument()),
        )
        .subcommand(
            Command::new("export")
                .about("Writes all that is known of runs, one JSON object a line; `convoke schema export` says what is in it")
                .arg(run().required(false).required_unless_present("all"))
                .arg(all("All runs of all projects").conflicts_with("run"))
                .arg(project()),
        )
        .subcommand(
            Command::new("delete")
                .about("Removes runs and their results; what they cost stays in the ledger")
                .arg(run().num_args(1..))
                .arg(project()),
        )
        .subcommand(prune::command())
}

pub(super) fn all(help: &'static str) -> Arg {
    Arg::new("all").long("all").action(ArgAction::SetTrue).help(help)
}

pub(super) fn project() -> Arg {
    Arg::new("project")
        .long("project")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .help("The project's folder, instead of the one around the working folder")
}

pub(super) fn runs(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    let work = async {
        match matches.subcommand() {
            Some(("show", matches)) => show::show(&paths, matches).await,
            Some(("compare", matches)) => compare::compare(&paths, matches).await,
            Some(("export", matches)) => export::export(&paths, matches).await,
            Some(("delete", matches)) => prune::delete(&paths, matches).await,
            Some(("prune", matches)) => prune::prune(&paths, matches).await,
            _ => list::list(&paths, matches).await,
        }
    };
    alone(work)
}

/// Looks something up, on this thread.
pub(super) fn alone<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::nothing(format!("no threads can be started: {error}")))?;
    runtime.block_on(work)
}

/// The journal, to look at. None: nothing was ever run.
pub(super) fn to_read(paths: &Paths) -> Result<Option<Journal>, CliError> {
    Ok(Journal::open_to_read(&paths.journal())?)
}

/// The journal with the run that a user means.
async fn find(paths: &Paths, matches: &ArgMatches, name: &str) -> Result<(Journal, RunId), CliError> {
    let Some(journal) = to_read(paths)? else { return Err(no_runs()) };
    let run = named(&journal, name, named_project(matches)).await?;
    Ok((journal, run))
}

/// The run that a user means: `last`, an id, or the end of one.
pub(super) async fn named(journal: &Journal, name: &str, project: Option<&Path>) -> Result<RunId, CliError> {
    if name != "last" {
        return Ok(journal.find_run(name).await?);
    }
    let project = project_folder(project)?;
    let newest = journal.summaries(Some(&project.to_string_lossy()), 1).await?;
    match newest.first() {
        Some(summary) => Ok(summary.row.run.id),
        None => {
            let project = clean::line(&project.to_string_lossy());
            let message = format!("nothing was run in {project}, so there is no last run of it");
            Err(CliError::usage(message).hint(Some("`convoke runs --all` shows the runs of all projects.")))
        }
    }
}

pub(super) fn named_project(matches: &ArgMatches) -> Option<&Path> {
    matches.get_one::<PathBuf>("project").map(PathBuf::as_path)
}

pub(super) fn no_runs() -> CliError {
    CliError::usage("there are no runs yet").hint(Some("`convoke list` shows the commands that can be run."))
}

pub(super) fn is_json(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_some_and(|format| format == "json")
}

/// As it was typed; where that is not known, the command.
fn command_line(run: &RunRecord) -> String {
    let text = match &run.typed {
        Some(typed) => typed.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        None => run.subcommand.iter().fold(run.command.clone(), |line, sub| format!("{line} {sub}")),
    };
    clean::line(&text)
}

/// As a shell would read it again.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What it cost, and what more it may have.
fn cost(summary: &RunSummary) -> String {
    let (known, uncertain) = (summary.usage.usd, summary.uncertain);
    if uncertain.pico() == 0 { known.to_string() } else { format!("{known}, at most {}", known + uncertain) }
}

/// From its beginning to its end, in milliseconds; none for a run without an end.
fn took_ms(summary: &RunSummary) -> Option<u64> {
    let end = summary.row.end.as_ref()?;
    u64::try_from(end.ended.duration_since(summary.row.run.started).as_millis()).ok()
}

fn local_time(at: jiff::Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Rows of texts in columns, two blanks between them.
fn columns(rows: &[Vec<String>]) -> String {
    aligned(rows, |_| false)
}

/// The same, with some columns set to the right: those of numbers.
pub(super) fn aligned(rows: &[Vec<String>], is_right: impl Fn(usize) -> bool) -> String {
    use textwrap::core::display_width;
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| display_width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    rows.iter().fold(String::new(), |text, row| {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(|(at, (cell, width))| {
                let gap = " ".repeat(width.saturating_sub(display_width(cell)));
                if is_right(at) { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
            })
            .collect();
        text + line.join("  ").trim_end() + "\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_shown_as_a_shell_reads_it() {
        assert_eq!(quoted("--mode=safe"), "--mode=safe");
        assert_eq!(quoted("my agents"), "'my agents'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let row = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(columns(&[row(&["a", "b"]), row(&["läng", ""]), row(&["x"])]), "a     b\nläng\nx\n");
        assert_eq!(aligned(&[row(&["Name", "Count"]), row(&["a", "7"])], |at| at == 1), "Name  Count\na         7\n");
    }
}
