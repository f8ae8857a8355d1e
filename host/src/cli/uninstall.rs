//! `convoke uninstall`: a command goes.

use clap::{Arg, ArgMatches, Command};

use super::error::CliError;
use super::terminal::say;
use crate::config::Paths;
use crate::plugin::embedded::EMBEDDED;
use crate::plugin::installed::transaction::uninstall as remove;
use crate::plugin::installed::{Plugins, Undisturbed};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("uninstall")
        .about("Removes commands that you have installed")
        .arg(Arg::new("name").value_name("NAME").required(true).num_args(1..).help("The command's name"))
}

pub(super) fn uninstall(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let plugins = Plugins::of(&Paths::find(|name: &str| std::env::var(name).ok())?);
    for name in matches.get_many::<String>("name").into_iter().flatten() {
        let is_embedded = EMBEDDED.iter().any(|one| one.name == name);
        if is_embedded && plugins.read()?.command(name).is_none() {
            return Err(CliError::usage(format!("`{name}` comes with convoke, and can't be uninstalled")));
        }
        let told = |line: String| say(&clean::line(&line));
        let gone = remove(&plugins, name, told, &Undisturbed)?;
        say(&format!("uninstalled {name} {}", gone.version));
        if gone.stays {
            say("its component stays: the convoke.lock of a project names it");
        }
        if is_embedded {
            say(&format!("`convoke {name}` runs the one that comes with convoke again"));
        }
    }
    Ok(ExitCode::Success)
}
