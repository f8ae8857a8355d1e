//! `convoke new`: a project of a command of one's own.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::error::CliError;
use super::terminal::say;
use crate::plugin::template::{Language, create};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("new")
        .about("Makes the project of a new command, which builds and tests at once")
        .arg(Arg::new("name").value_name("NAME").required(true).help("The command's name, in kebab case"))
        .arg(
            Arg::new("lang")
                .long("lang")
                .value_name("LANGUAGE")
                .value_parser(Language::ALL.map(Language::name))
                .default_value(Language::Rust.name())
                .help("What it is written in"),
        )
        .arg(
            Arg::new("path")
                .long("path")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("The project's folder, which must not be there yet. Default: NAME"),
        )
}

pub(super) fn new(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let name = matches.get_one::<String>("name").map(String::as_str).unwrap_or_default();
    let typed = matches.get_one::<String>("lang").map(String::as_str);
    let language = Language::ALL.into_iter().find(|one| Some(one.name()) == typed).unwrap_or(Language::Rust);
    let folder = matches.get_one::<PathBuf>("path").cloned().unwrap_or_else(|| PathBuf::from(name));
    create(&folder, name, language)?;
    let shown = folder.to_string_lossy().into_owned();
    let quoted = shlex::try_quote(&shown).map_or_else(|_| shown.clone(), |quoted| quoted.into_owned());
    say(&clean::line(&format!("made {name} in {shown}; next: cd {quoted} && convoke test")));
    Ok(ExitCode::Success)
}
