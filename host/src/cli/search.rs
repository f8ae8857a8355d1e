//! `convoke search`: commands by a word.

use clap::{Arg, ArgMatches, Command};

use super::error::CliError;
use super::known::Known;
use super::list::{listed, rows};
use super::terminal::{put, say};
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Paths, Settings};
use crate::report::ExitCode;

pub(super) fn command() -> Command {
    Command::new("search")
        .about("Finds commands by a word, among those that can be run here")
        .arg(Arg::new("word").value_name("WORD").required(true).help("A part of the name or of the description"))
        .arg(super::format_argument())
}

pub(super) fn search(known: &mut Known, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    known.check()?;
    let word = matches.get_one::<String>("word").map_or(String::new(), |word| word.to_lowercase());
    let found: Vec<_> = known
        .runnables
        .iter()
        .filter(|one| one.name.contains(&word) || one.manifest.description.to_lowercase().contains(&word))
        .collect();
    let json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    let text = match (json, found.is_empty()) {
        (true, _) => listed(&found),
        (false, true) => "No command here has that in its name or description.\n".to_owned(),
        (false, false) => rows(&found),
    };
    put(&text, None)?;
    let env = |name: &str| std::env::var(name).ok();
    let paths = Paths::find(env)?;
    let none = paths.config.join("no-project").join(PROJECT_FILE);
    let install = Settings::load(&paths.user_file(), &none, env, Choices::default())?.install;
    if install.namespace.is_some() || !install.namespaces.is_empty() {
        say("registries can't be searched by a word; `convoke info NAME` looks for a name in yours");
    }
    Ok(ExitCode::Success)
}
