//! `convoke resume RUN` and `convoke retry RUN --failed`: a run goes on, as it was begun.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use convoke_runtime::journal::{Journal, JournalError, ModelRow, RunDetail, RunId, Typed};
use convoke_runtime::money::Usd;

use super::carry_out::CarryOut;
use super::command::{go, in_runtime};
use super::error::CliError;
use super::known::Known;
use super::options::{Format, LogOptions, Options};
use super::prepare::prepare;
use super::terminal::Terminal;
use super::{command_line, runs};
use crate::config::{Paths, limits};
use crate::report::{ExitCode, clean};
use crate::run::Session;
use crate::run::resume::Resume;

/// What may differ from how the run was begun: how it is shown, and what it may spend.
#[derive(Args, Clone, Debug, Default)]
struct Changes {
    /// Show what would be done, and what it would cost; change nothing
    #[arg(long)]
    dry_run: bool,

    /// Say of each item why it is done, or need not be
    #[arg(long)]
    explain: bool,

    /// Spend at most this many dollars in all parts of the run together, instead of what was set when it began
    #[arg(long, value_name = "USD", value_parser = limits::dollars)]
    budget_usd: Option<Usd>,

    /// The form of the report. Default: as when the run began
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Also write a page with the timeline of the run: to this file, or to the cache folder, and say where
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "dry_run")]
    timings: Option<Option<PathBuf>>,

    /// Write the report to this file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Tell more
    #[arg(long, short, action = ArgAction::Count)]
    verbose: u8,

    /// Tell less
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,

    #[command(flatten)]
    logs: LogOptions,
}

impl Changes {
    /// `here`: the folder in which this was typed.
    fn apply(self, options: &mut Options, here: &Path) {
        options.dry_run |= self.dry_run;
        options.explain |= self.explain;
        options.budget_usd = self.budget_usd.or(options.budget_usd);
        options.format = self.format.unwrap_or(options.format);
        options.output = self.output.map(|file| here.join(file)).or_else(|| options.output.take());
        if let Some(file) = self.timings {
            options.timings = Some(file.map(|file| here.join(file)));
        }
        let log_file = self.logs.log_file.map(|file| here.join(file));
        options.logs = options.logs.under(LogOptions { log_file, ..self.logs });
        if self.verbose > 0 || self.quiet {
            (options.verbose, options.quiet) = (self.verbose, self.quiet);
        }
    }
}

fn command(name: &'static str) -> Command {
    let run = Arg::new("run")
        .value_name("RUN")
        .required(true)
        .help("The run's id, its last digits (at least four), or `last`: the newest one in this project");
    let failed = Arg::new("failed")
        .long("failed")
        .action(ArgAction::SetTrue)
        .help("Do again also what failed, or fell back to an answer without a model");
    Changes::augment_args(Command::new(name).arg(run).arg(failed))
}

pub(super) fn resume_command() -> Command {
    command("resume").about("Goes on with a run that was interrupted, parked or killed").long_about(
        "Goes on with a run that was interrupted, parked or killed: the same run, in its own folder, with the arguments \
         and options with which it began. What is done and still holds stays; what has changed since and what is pending \
         is done. What failed or fell back stays so, unless --failed is given.",
    )
}

pub(super) fn retry_command() -> Command {
    command("retry").about("Does again what failed in a run")
}

pub(super) fn resume(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    go_on(matches)
}

pub(super) fn retry(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let name = clean::line(named(matches));
    if !matches.get_flag("failed") {
        return Err(CliError::usage("retry what?").hint(Some(format!(
            "`convoke retry {name} --failed` does again what failed or fell back; `convoke resume {name}` goes on with \
             what is pending"
        ))));
    }
    go_on(matches)
}

fn named(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("run").map_or("", String::as_str)
}

fn go_on(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let changes = Changes::from_arg_matches(matches).map_err(|error| CliError::usage(error.to_string()))?;
    let failed = matches.get_flag("failed");
    let here = std::env::current_dir();
    let here = here.map_err(|error| CliError::usage(format!("there is no working folder: {error}")))?;
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    let (detail, by_model) = find(&paths, named(matches))?;
    let run = detail.row.run.id;
    let typed = typed_of(&detail)?;
    enter(&run, &typed)?;

    let arguments: Vec<std::ffi::OsString> =
        std::iter::once("convoke".to_owned()).chain(typed.words.iter().cloned()).map(Into::into).collect();
    let again = || Some(format!("run it again: `{}`; what still holds is not done again", shown(&typed)));
    // In the folder where it was typed, other commands may be installed for the project than here.
    let mut known = Known::find(&arguments).map_err(|error| error.within(&about(&run)).hint(again()))?;
    let parsed = command_line(&known.runnables).try_get_matches_from(&arguments).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        CliError::usage(format!("{} can't be continued: `{}`: {first}", about(&run), shown(&typed))).hint(again())
    })?;
    let Some((name, matches)) = parsed.subcommand() else {
        return Err(CliError::usage(format!("{} can't be continued: its command is gone", about(&run))).hint(again()));
    };
    let runnable = known.runnable(name).map_err(|error| error.within(&about(&run)))?;
    let innermost = matches.subcommand().map_or(matches, |(_, inner)| inner);
    let mut options = Options::from_arg_matches(innermost).map_err(|error| CliError::usage(error.to_string()))?;
    changes.apply(&mut options, &here);
    let terminal = Terminal::find(options.color).beside(options.logs.begin()?);
    let carry_out = CarryOut::of(&options)?;
    let mut prepared = prepare(runnable, matches, &options, None)?;
    check(&detail, &prepared.session, again)?;
    prepared.session.typed = Some(typed);
    prepared.session.resume = Some(Resume { detail, by_model, failed });
    in_runtime(go(prepared, &options, &terminal, carry_out))
}

/// The run with that name, and what each model took in it. Nothing is written for a look.
fn find(paths: &Paths, name: &str) -> Result<(RunDetail, Vec<ModelRow>), CliError> {
    let Some(journal) = Journal::open_to_read(&paths.journal())? else {
        return Err(JournalError::UnknownRun { run: name.to_owned() }.into());
    };
    in_runtime(async {
        let id = runs::named(&journal, name, None).await?;
        if journal.is_under_way(&id) {
            return Err(JournalError::UnderWay { run: id }.into());
        }
        Ok((journal.run(&id).await?, journal.by_model(&id).await?))
    })
}

fn about(run: &RunId) -> String {
    format!("run {}", run.short())
}

/// What was typed for it.
fn typed_of(detail: &RunDetail) -> Result<Typed, CliError> {
    let row = &detail.row.run;
    row.typed.clone().ok_or_else(|| {
        CliError::usage(format!(
            "{} can't be continued: it was recorded, or an older convoke began it, and what was typed is not known",
            about(&row.id)
        ))
        .hint(Some(format!("run `convoke {}` again; what still holds is not done again", clean::line(&row.command))))
    })
}

/// As it would be typed.
fn shown(typed: &Typed) -> String {
    let words = typed.words.iter().map(String::as_str);
    let words = shlex::try_join(words).unwrap_or_else(|_| typed.words.join(" "));
    clean::line(&clean::bounded(&format!("convoke {words}"), 400))
}

/// Goes to the folder in which it was typed.
fn enter(run: &RunId, typed: &Typed) -> Result<(), CliError> {
    std::env::set_current_dir(&typed.folder).map_err(|error| {
        CliError::usage(format!(
            "{} can't be continued: the folder {} in which it was begun: {error}",
            about(run),
            clean::line(&typed.folder)
        ))
        .hint(Some("move it back, or run the command again in the folder where the project is now"))
    })
}

/// Whether it is still the same that ran. Files and settings may have changed: what depends on them is done again.
fn check(detail: &RunDetail, session: &Session, again: impl Fn() -> Option<String>) -> Result<(), CliError> {
    let run = &detail.row.run;
    let refuse = |why: String| {
        Err(CliError::usage(format!("{} can't be continued: {}", about(&run.id), clean::line(&why))).hint(again()))
    };
    let project = &session.identity.project;
    if run.project != *project {
        return refuse(format!("it was of the project {}, and its folder belongs to {project} now", run.project));
    }
    let digest = &session.plugin.digest;
    if run.plugin_digest != *digest {
        let start = |digest: &str| digest.chars().take(12).collect::<String>();
        let (name, then, now) = (&run.plugin_name, start(&run.plugin_digest), start(digest));
        return refuse(format!("{name} {} has changed since, from {then} to {now}", run.plugin_version));
    }
    // Else all of it would be done again by somebody else, or by nobody: that is another run.
    let backend = session.backend_names();
    if run.backend != backend {
        return refuse(format!("{} answered it, and {backend} would answer now", run.backend));
    }
    Ok(())
}
