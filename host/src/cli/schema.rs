//! `convoke schema`: for programs.

use clap::{Arg, ArgMatches, Command};

use super::error::CliError;
use super::terminal::put;
use crate::report::ExitCode;

pub(super) fn command() -> Command {
    Command::new("schema").about("Prints the JSON Schema of a format").arg(
        Arg::new("what")
            .value_name("WHAT")
            .required(true)
            .value_parser(["report", "runs", "export", "policy"])
            .help("The format: one run's report, that of several commands, a line of an export, or a policy.toml"),
    )
}

pub(super) fn schema(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let schema = match matches.get_one::<String>("what").map(String::as_str) {
        Some("runs") => crate::report::schema::runs(),
        Some("export") => super::runs::export::schema(),
        Some("policy") => crate::policy::schema::policy(),
        _ => crate::report::schema::report(),
    };
    put(&format!("{schema:#}\n"), None)?;
    Ok(ExitCode::Success)
}
