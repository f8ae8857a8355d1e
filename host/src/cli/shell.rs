//! `convoke completions` and `convoke man`: what shells and `man` know of the command line.
//!
//! A shell asks the program itself at each completion, so it knows the commands that are there at that moment, with their
//! arguments. No plugin is run for it: all of it stands in manifests.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{EnvCompleter, Shells};
use clap_mangen::Man;

use super::error::CliError;
use super::known::Known;
use super::terminal::put;
use crate::report::ExitCode;

/// With this variable in its environment the program completes the line that it is given, for the shell that it names.
const VARIABLE: &str = "CONVOKE_COMPLETE";

const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

pub(super) fn completions_command() -> Command {
    Command::new("completions")
        .about("Prints the completions for a shell")
        .long_about(
            "Prints the completions for a shell. They ask convoke itself, so they know what is installed later, too:\n\n  \
             bash        source <(convoke completions bash)\n  \
             zsh         source <(convoke completions zsh)\n  \
             fish        convoke completions fish | source\n  \
             powershell  convoke completions powershell | Out-String | Invoke-Expression",
        )
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(PossibleValuesParser::new(SHELLS))
                .help("The shell"),
        )
}

pub(super) fn man_command() -> Command {
    Command::new("man")
        .about("Prints the manual page, of convoke or of a command")
        .arg(Arg::new("command").value_name("COMMAND").num_args(0..=2).help("The command, at will with its subcommand"))
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("command")
                .help("Write all pages into this folder"),
        )
}

/// Prints what a shell has to know to ask.
pub(super) fn completions(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let shells = Shells::builtins();
    let name = matches.get_one::<String>("shell").map(String::as_str).unwrap_or_default();
    let shell =
        shells.completer(name).ok_or_else(|| CliError::usage(format!("there are no completions for {name}")))?;
    let mut text = Vec::new();
    written(shell.write_registration(VARIABLE, "convoke", "convoke", "convoke", &mut text))?;
    put(&String::from_utf8_lossy(&text), None)?;
    Ok(ExitCode::Success)
}

/// Answers a shell, if one asks: `CONVOKE_COMPLETE=bash convoke -- convoke agent-…`. None: none asks.
pub(super) fn answer(cli: &Command, known: &Known, arguments: &[OsString]) -> Option<Result<ExitCode, CliError>> {
    let name = std::env::var(VARIABLE).ok()?;
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&name) else {
        return Some(Err(CliError::usage(format!("{VARIABLE} is {name}, which is not the name of a shell"))));
    };
    let line: Vec<OsString> = arguments.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let here = std::env::current_dir().ok();
    Some(candidates(shell, with_names(cli.clone(), known), line, here.as_deref()))
}

/// What can stand for a plugin: the names that there are, or a file. What can be installed by a name alone is what the
/// project pins; registries have no list.
fn with_names(cli: Command, known: &Known) -> Command {
    let named = |argument: Arg, names: Vec<String>| {
        argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
            let begins = |name: &&String| typed.to_str().is_some_and(|typed| name.starts_with(typed));
            let files =
                PathCompleter::any().filter(|path| path.is_dir() || path.extension().is_some_and(|ext| ext == "wasm"));
            let mut found: Vec<_> = names.iter().filter(begins).map(CompletionCandidate::new).collect();
            found.extend(files.complete(typed));
            found
        }))
    };
    let installed = || known.runnables.iter().filter(|one| one.is_installed()).map(|one| one.name.clone()).collect();
    let all = || known.runnables.iter().map(|one| one.name.clone()).collect();
    let cli = ["uninstall", "update", "outdated"].into_iter().fold(cli, |cli, name| {
        cli.mut_subcommand(name, |command| command.mut_arg("name", |argument| named(argument, installed())))
    });
    let cli = cli.mut_subcommand("install", |command| {
        command.mut_arg("spec", |argument| named(argument, known.installable().map(str::to_owned).collect()))
    });
    let cli = cli.mut_subcommand("info", |command| command.mut_arg("spec", |argument| named(argument, all())));
    cli.mut_subcommand("grants", |command| {
        ["add", "revoke", "explain"].into_iter().fold(command, |command, name| {
            command.mut_subcommand(name, |inner| inner.mut_arg("plugin", |argument| named(argument, all())))
        })
    })
}

fn candidates(
    shell: &dyn EnvCompleter,
    mut cli: Command,
    line: Vec<OsString>,
    here: Option<&Path>,
) -> Result<ExitCode, CliError> {
    let mut text = Vec::new();
    written(shell.write_complete(&mut cli, line, here, &mut text))?;
    put(&String::from_utf8_lossy(&text), None)?;
    Ok(ExitCode::Success)
}

/// Prints one manual page, or writes all of them.
pub(super) fn man(mut cli: Command, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    cli.build();
    if let Some(folder) = matches.get_one::<PathBuf>("dir") {
        let failed = |error: std::io::Error| CliError::usage(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(cli, folder).map_err(failed)?;
        return Ok(ExitCode::Success);
    }
    let mut page = &cli;
    for word in matches.get_many::<String>("command").into_iter().flatten() {
        let inner = page.find_subcommand(word);
        page = inner.ok_or_else(|| CliError::usage(format!("there is no command {word} that a page could be of")))?;
    }
    let mut text = Vec::new();
    let name = page.get_display_name().unwrap_or(page.get_name()).to_owned();
    written(Man::new(page.clone().display_name(name)).render(&mut text))?;
    put(&String::from_utf8_lossy(&text), None)?;
    Ok(ExitCode::Success)
}

fn written(result: std::io::Result<()>) -> Result<(), CliError> {
    result.map_err(|error| CliError::nothing(format!("it can't be written: {error}")))
}
