//! `convoke list`: the commands that can be run.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::error::CliError;
use super::known::Known;
use super::terminal::put;
use super::{Component, Runnable};
use crate::plugin::embedded::EMBEDDED;
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("list").about("Shows the commands that can be run").arg(super::format_argument())
}

pub(super) fn list(known: &mut Known, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    known.check()?;
    let runnables: Vec<&Runnable> = known.runnables.iter().collect();
    let json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    put(&if json { listed(&runnables) } else { rows(&runnables) + &known.lacking() }, None)?;
    Ok(ExitCode::Success)
}

/// For programs.
pub(super) fn listed(runnables: &[&Runnable]) -> String {
    let row = |one: &&Runnable| -> Value {
        let (source, resolved, installed) = match &one.component {
            Component::Kept(kept) => (kept.source.as_ref(), Some(&kept.resolved), Some(kept.installed.to_string())),
            _ => (None, None, None),
        };
        json!({
            "name": one.name,
            "version": one.manifest.version,
            "description": one.manifest.description,
            "digest": one.component.digest(),
            "size": one.component.size(),
            "from": from(one).0,
            "source": source,
            "resolved": resolved,
            "installed": installed,
        })
    };
    let commands: Vec<Value> = runnables.iter().map(row).collect();
    clean::json(format!("{:#}\n", json!({ "schema_version": 1, "commands": commands })))
}

/// For people.
pub(super) fn rows(runnables: &[&Runnable]) -> String {
    let width = runnables.iter().map(|one| one.name.len()).max().unwrap_or_default();
    runnables.iter().fold(String::new(), |text, one| {
        // A name and a version have been checked; a file's path has not.
        let (name, description) = (clean::line(&one.name), clean::line(&one.manifest.description));
        text + &format!("{name:width$}  {:8}  {description}{}\n", one.manifest.version, from(one).1)
    })
}

/// Where a command comes from: in a word, and what is said of it in a list.
fn from(one: &Runnable) -> (&'static str, &'static str) {
    match &one.component {
        Component::Embedded(_) => ("embedded", ""),
        Component::File(_) => ("file", ""),
        Component::Kept(kept) if kept.source.is_none() => ("project", " (pinned by this project)"),
        Component::Kept(_) if EMBEDDED.iter().any(|embedded| embedded.name == one.name) => {
            ("user", " (installed, in place of the one that comes with convoke)")
        }
        Component::Kept(_) => ("user", " (installed)"),
    }
}
