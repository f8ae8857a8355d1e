//! `convoke report RUN`: the report of a run of the journal again, in any form.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches};
use convoke_runtime::journal::{Journal, RunId};

use super::delivery::Shown;
use super::error::CliError;
use super::known::Known;
use super::options::{Color, Format, Options};
use super::runs::{alone, named, no_runs, to_read};
use super::terminal::{Terminal, put, say};
use crate::config::Paths;
use crate::page::{self, PageError, Picture};
use crate::report::kept::{self, KeptError};
use crate::report::{ExitCode, Report, RuleInfo, clean};
use crate::run::Session;

/// How it is shown.
#[derive(Args, Clone, Debug)]
struct Choices {
    /// The run's id, its last digits (at least four), or last: the newest one in this project
    #[arg(value_name = "RUN")]
    run: String,

    /// The form of the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,

    /// Write the report to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The project's folder, instead of the one around the working folder
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,

    /// Tell more: all findings
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

pub(super) fn command() -> Command {
    Choices::augment_args(Command::new("report"))
        .about("Shows the report of a run again, in any form")
        .long_about(
            "Shows the report of a run again, in any form.\n\n    convoke report last --format html -o run.html\n\nThe HTML \
             form is one file with the timeline of the run, its curves and its findings, for a browser. It asks nothing of \
             the network. Of a run that was killed, or still goes on, it shows what was told so far. The exit code says \
             whether the report was shown, and not how the run ended.",
        )
}

pub(super) fn report(known: &mut Known, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let choices = Choices::from_arg_matches(matches).map_err(|error| CliError::usage(error.to_string()))?;
    is_readable(choices.format, choices.output.as_deref(), &Terminal::find(choices.color))?;
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    alone(async {
        let Some(journal) = to_read(&paths)? else { return Err(no_runs()) };
        let run = named(&journal, &choices.run, choices.project.as_deref()).await?;
        let text = match choices.format {
            Format::Html => page(&journal, &run).await?,
            format => again(known, &journal, &run, format, &choices).await?,
        };
        put(&text, choices.output.as_deref())?;
        if let (Format::Html, Some(file)) = (choices.format, &choices.output) {
            say(&format!("page: {}", clean::line(&file.display().to_string())));
        }
        Ok(ExitCode::Success)
    })
}

/// A page is for a browser, and nothing to read on a terminal.
pub(super) fn is_readable(format: Format, output: Option<&Path>, terminal: &Terminal) -> Result<(), CliError> {
    if format == Format::Html && output.is_none() && terminal.out_is_terminal {
        let error = CliError::usage("a page is for a browser, and can't be read here");
        return Err(error.hint(Some("--output FILE writes it to a file")));
    }
    Ok(())
}

/// The forms that are made of the report alone.
async fn again(
    known: &mut Known,
    journal: &Journal,
    run: &RunId,
    format: Format,
    choices: &Choices,
) -> Result<String, CliError> {
    let Some(kept) = journal.report(run).await? else {
        let short = run.short();
        let error = CliError::usage(format!(
            "there is no report of run {short}: it has not ended, was killed, or ran before reports were kept"
        ));
        return Err(error.hint(Some(format!("`convoke runs show {short}` shows what is known of it"))));
    };
    let report = match (kept::read(&kept), format) {
        (Ok(report), _) => report,
        // What another version has written is at least JSON.
        (Err(KeptError::Other(_) | KeptError::Newer(_)), Format::Json) => {
            let value = kept::published(&kept).map_err(|error| unreadable(run, &error))?;
            return Ok(clean::json(format!("{value:#}\n")));
        }
        (Err(error), _) => return Err(unreadable(run, &error)),
    };
    let terminal = Terminal::find(choices.color);
    let rules = rules(known, &report);
    let how = Shown { format, quiet: false, verbose: choices.verbose, to_file: choices.output.is_some() };
    super::delivery::rendered_as(&report, &rules, how, &terminal)
}

fn unreadable(run: &RunId, error: &KeptError) -> CliError {
    let hint = match error {
        KeptError::Damaged(_) => format!("`convoke runs show {}` shows what else is known of it", run.short()),
        KeptError::Newer(_) | KeptError::Other(_) => "--format json and --format html show it".to_owned(),
    };
    CliError::usage(format!("run {}: {error}", run.short())).hint(Some(hint))
}

/// What is known of the rules of its command; none where that is gone, or is another version now.
fn rules(known: &mut Known, report: &Report) -> Vec<RuleInfo> {
    let plugin = &report.run.plugin;
    let same = |runnable: &&super::Runnable| {
        runnable.manifest.name == plugin.name && runnable.manifest.version == plugin.version
    };
    let manifest = known.runnables.iter().find(same).map(|runnable| &runnable.manifest);
    manifest.map(crate::run::rules_of).unwrap_or_default()
}

/// The page of a run.
async fn page(journal: &Journal, run: &RunId) -> Result<String, CliError> {
    page::of_run(journal, run, None).await.map_err(|error| no_page(run, error))
}

/// The page of a run that has just ended so.
/// `made`: the one that was made while the run went on; none: the journal tells what is on it.
pub(super) async fn page_of(journal: &Journal, report: &Report, made: Option<&str>) -> Result<String, CliError> {
    if let Some(page) = made {
        return Ok(page.to_owned());
    }
    let run: RunId = report.run.id.parse().map_err(|_| CliError::nothing("the run has no id"))?;
    let value = serde_json::to_value(report).map_err(|error| CliError::nothing(error.to_string()))?;
    journal.flush().await?;
    page::of_run(journal, &run, Some(&value)).await.map_err(|error| no_page(&run, error))
}

/// The picture for the page of a run that is about to begin, if a page is wanted. One that goes on has a part in the
/// journal, and its page is made of that.
pub(super) fn picture(session: &Session, options: &Options) -> Option<Picture> {
    let is_wanted = options.timings.is_some() || options.format == Format::Html;
    (is_wanted && session.resume.is_none()).then(|| Picture::begin(&session.events))
}

fn short(report: &Report) -> String {
    report.run.id.parse::<RunId>().map_or_else(|_| "run".to_owned(), |run| run.short().to_string())
}

/// Why there is no page of a run.
fn no_page(run: &RunId, error: PageError) -> CliError {
    let short = run.short();
    match error {
        PageError::Journal(error) => error.into(),
        PageError::Nothing(_) => CliError::usage(format!("nothing is kept of run {short} that a page could show"))
            .hint(Some(format!("`convoke runs show {short}` shows what is known of it"))),
        error @ (PageError::Kept(_) | PageError::Unwritten(_)) => CliError::usage(format!("run {short}: {error}")),
    }
}

/// A page is of one run.
pub(super) fn no_common_page() -> CliError {
    CliError::usage("--format html is for one command").hint(Some("--timings writes a page for each of them"))
}

/// `--timings`: writes the page of a run. What comes back is said after the report: where the page is, or why there is
/// none, which is never a success.
pub(super) async fn timings(
    paths: &Paths,
    journal: &Journal,
    of: (&Report, Option<&str>, Option<&str>),
    options: &Options,
) -> Result<Option<PathBuf>, CliError> {
    match &options.timings {
        Some(file) => write_page(paths, journal, of, file.as_deref()).await.map(Some),
        None => Ok(None),
    }
}

/// Says where pages are, or why there are none.
pub(super) fn paged(
    pages: impl IntoIterator<Item = Result<Option<PathBuf>, CliError>>,
    options: &Options,
    terminal: &Terminal,
) -> ExitCode {
    let said = pages.into_iter().map(|page| match page {
        Ok(Some(file)) if !options.quiet => {
            say(&format!("timings: {}", clean::line(&file.display().to_string())));
            ExitCode::Success
        }
        Ok(_) => ExitCode::Success,
        Err(error) => {
            error.show(terminal.err_color);
            error.code
        }
    });
    ExitCode::strongest(said.collect::<Vec<_>>())
}

/// Writes the page of a run; where it is. `name` stands in the names of several.
async fn write_page(
    paths: &Paths,
    journal: &Journal,
    (report, made, name): (&Report, Option<&str>, Option<&str>),
    file: Option<&Path>,
) -> Result<PathBuf, CliError> {
    let (text, short) = (page_of(journal, report, made).await?, short(report));
    let file = match file {
        Some(file) => named_for(file, name),
        None => paths.timings().join(format!("convoke-timings-{short}.html")),
    };
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        std::fs::create_dir_all(parent)
            .map_err(|error| CliError::usage(format!("can't make the folder {}: {error}", parent.display())))?;
    }
    put(&text, Some(&file))?;
    Ok(std::path::absolute(&file).unwrap_or(file))
}

/// `page.html` becomes `page-docs.html`.
fn named_for(file: &Path, name: Option<&str>) -> PathBuf {
    let Some(name) = name else { return file.to_owned() };
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = name.chars().map(|letter| if is_plain(&letter) { letter } else { '-' }).collect();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let end = file.extension().map_or_else(String::new, |end| format!(".{}", end.to_string_lossy()));
    file.with_file_name(format!("{stem}-{name}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_does_not_flood_a_terminal() {
        let terminal = |out_is_terminal| Terminal { out_is_terminal, ..Terminal::find(Color::Never) };
        let told = is_readable(Format::Html, None, &terminal(true)).unwrap_err();
        assert!(told.to_string().contains("for a browser"), "{told}");
        assert!(is_readable(Format::Html, Some(Path::new("a.html")), &terminal(true)).is_ok());
        assert!(is_readable(Format::Html, None, &terminal(false)).is_ok());
        assert!(is_readable(Format::Json, None, &terminal(true)).is_ok());
    }

    #[test]
    fn the_pages_of_several_runs_have_names_of_their_own() {
        let named = |name| named_for(Path::new("out/page.html"), name).to_string_lossy().into_owned();
        assert_eq!(named(None), "out/page.html");
        assert_eq!(named(Some("docs")), "out/page-docs.html");
        assert_eq!(named(Some("agent-audit ../a")), "out/page-agent-audit-..-a.html");
    }
}
