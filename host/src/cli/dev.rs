//! `convoke dev`: builds a plugin and runs it, again after each change of its sources.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::error::CliError;
use super::options::Color;
use super::terminal::{Terminal, say};
use crate::plugin::build::{BuildOptions, Built, Sources, build};
use crate::report::{ExitCode, clean};

/// How often it is looked for changes.
const EVERY: Duration = Duration::from_millis(200);

pub(super) fn command() -> Command {
    Command::new("dev")
        .about("Builds a plugin and runs it, again after each change, until Ctrl-C")
        .after_help("Nobody is asked, and nothing is spent, unless --backend stands among ARGS.")
        .arg(
            Arg::new("folder")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .default_value(".")
                .help("The plugin's folder"),
        )
        .arg(Arg::new("offline").long("offline").action(ArgAction::SetTrue).help("Nothing is fetched for the build"))
        .arg(
            Arg::new("args")
                .value_name("ARGS")
                .num_args(0..)
                .last(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(String))
                .help("What the command is run with"),
        )
}

pub(super) fn dev(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let folder = matches.get_one::<PathBuf>("folder").cloned().unwrap_or_else(|| PathBuf::from("."));
    let arguments: Vec<String> = matches.get_many("args").into_iter().flatten().cloned().collect();
    let options = BuildOptions { quiet: true, offline: matches.get_flag("offline"), ..BuildOptions::default() };
    let mut ran = None;
    // A folder that is no plugin's will not become one.
    let mut sources = Sources::new(&folder);
    let first = build(&folder, &options);
    if let Err(error) = &first
        && error.is_of_the_folder()
    {
        return first.map(|_| ExitCode::Success).map_err(CliError::from);
    }
    after(first, &mut ran, &arguments)?;
    loop {
        // A signal ends the process: nothing is under way here that was paid for.
        std::thread::sleep(EVERY);
        if let Some(path) = sources.changed() {
            let path = path.strip_prefix(&folder).map_or(path.clone(), Path::to_owned);
            say(&clean::line(&format!("{} has changed", path.display())));
            after(build(&folder, &options), &mut ran, &arguments)?;
        }
    }
}

/// Says what came of a build, and runs what is new. A failure is the author's, who goes on writing.
fn after(
    built: Result<Built, crate::plugin::build::BuildError>,
    ran: &mut Option<String>,
    arguments: &[String],
) -> Result<(), CliError> {
    match built {
        Err(error) => CliError::from(error).show(Terminal::find(Color::Auto).err_color),
        Ok(built) if ran.as_ref() == Some(&built.inspected.digest) => say("the component is the same"),
        Ok(built) => {
            let status = run(&built.path, arguments)?;
            *ran = Some(built.inspected.digest);
            say(&match status.code() {
                Some(code) => format!("exit code {code}"),
                None => "it was ended by a signal".to_owned(),
            });
        }
    }
    say("waiting for a change; Ctrl-C ends");
    Ok(())
}

/// A process of its own: a fault of the run is none of ours. It is asked of nobody unless that is typed.
fn run(component: &Path, arguments: &[String]) -> Result<ExitStatus, CliError> {
    let started = |error: std::io::Error| CliError::nothing(format!("convoke itself can't be started: {error}"));
    // A path without a separator would be taken for the name of an installed command.
    let component = std::path::absolute(component).map_err(started)?;
    let mut process = Process::new(std::env::current_exe().map_err(started)?);
    process.arg(component).args(arguments).env("CONVOKE_BACKEND", "offline");
    process.status().map_err(started)
}
