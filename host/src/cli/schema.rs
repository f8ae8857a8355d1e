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
            .value_parser(["report", "runs", "export", "stats", "doctor", "policy"])
            .help("The format: one run's report, that of several commands, a line of an export, what `stats` or `doctor` say, or a policy.toml"),
    )
}

pub(super) fn schema(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let schema = match matches.get_one::<String>("what").map(String::as_str) {
        Some("runs") => crate::report::schema::runs(),
        Some("export") => super::runs::export::schema(),
        Some("stats") => crate::report::schema::of::<crate::history::stats::Stats>(),
        Some("doctor") => crate::report::schema::of::<crate::backends::doctor::Diagnosis>(),
        Some("policy") => crate::policy::schema::policy(),
        _ => crate::report::schema::report(),
    };
    put(&format!("{schema:#}\n"), None)?;
    Ok(ExitCode::Success)
}
