//! `convoke list`: the commands that can be run.

use clap::{ArgMatches, Command};
use serde_json::json;

use super::Runnable;
use super::error::CliError;
use super::terminal::put;
use crate::plugin::sha256_hex;
use crate::report::ExitCode;

pub(super) fn command() -> Command {
    Command::new("list").about("Shows the commands that can be run").arg(super::format_argument())
}

pub(super) fn list(runnables: &[Runnable], matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let text = if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        let commands: Vec<_> = runnables
            .iter()
            .map(|one| {
                json!({
                    "name": one.name,
                    "version": one.manifest.version.to_string(),
                    "description": one.manifest.description,
                    "digest": sha256_hex(one.component.bytes()),
                    "size": one.component.bytes().len(),
                })
            })
            .collect();
        format!("{:#}\n", json!({ "schema_version": 1, "commands": commands }))
    } else {
        let width = runnables.iter().map(|one| one.name.len()).max().unwrap_or_default();
        runnables.iter().fold(String::new(), |text, one| {
            text + &format!(
                "{:width$}  {:8}  {}\n",
                one.name,
                one.manifest.version.to_string(),
                one.manifest.description
            )
        })
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}
