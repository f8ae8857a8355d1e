//! `convoke schema` and `convoke completions`: for programs and shells.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

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

pub(super) fn completions_command() -> Command {
    Command::new("completions")
        .about("Prints the completions for a shell")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("The shell"))
}

pub(super) fn completions(mut cli: Command, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let Some(shell) = matches.get_one::<Shell>("shell") else { return Err(CliError::usage("which shell?")) };
    let mut text = Vec::new();
    clap_complete::generate(*shell, &mut cli, "convoke", &mut text);
    put(&String::from_utf8_lossy(&text), None)?;
    Ok(ExitCode::Success)
}
