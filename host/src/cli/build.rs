//! `convoke build`: from a plugin's folder to its component.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::error::CliError;
use super::terminal::say;
use crate::plugin::build::{BuildOptions, build as build_plugin, build_policy, is_policy};
use crate::report::ExitCode;

pub(super) fn command() -> Command {
    Command::new("build")
        .about("Makes the component of a plugin or a policy")
        .arg(
            Arg::new("folder")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .default_value(".")
                .help("The plugin's folder, with plugin.toml and Cargo.toml or app.py, or a policy's"),
        )
        .arg(
            Arg::new("output")
                .long("output")
                .short('o')
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where the component goes. Default: NAME.wasm in that folder"),
        )
        .arg(Arg::new("offline").long("offline").action(ArgAction::SetTrue).help("Nothing is fetched"))
        .arg(Arg::new("locked").long("locked").action(ArgAction::SetTrue).help("Cargo.lock must be up to date"))
        .arg(Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).help("Only errors are told"))
}

pub(super) fn build(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let folder = matches.get_one::<PathBuf>("folder").cloned().unwrap_or_else(|| PathBuf::from("."));
    let options = BuildOptions {
        out: matches.get_one("output").cloned(),
        locked: matches.get_flag("locked"),
        quiet: matches.get_flag("quiet"),
        offline: matches.get_flag("offline"),
    };
    if is_policy(&folder) {
        let built = build_policy(&folder, &options)?;
        if !options.quiet {
            let (state, what) = (state(built.unchanged), &built.description);
            say(&format!(
                "{state} policy {} {} {} ({} kB)",
                what.name,
                what.version,
                built.path.display(),
                built.size.div_ceil(1000)
            ));
        }
        return Ok(ExitCode::Success);
    }
    let built = build_plugin(&folder, &options)?;
    if !options.quiet {
        let manifest = &built.inspected.manifest;
        let state = state(built.unchanged);
        say(&format!(
            "{state} {} {} {} ({} kB, sha-256 {})",
            manifest.name,
            manifest.version,
            built.path.display(),
            built.inspected.size.div_ceil(1000),
            &built.inspected.digest[..16],
        ));
    }
    Ok(ExitCode::Success)
}

fn state(unchanged: bool) -> &'static str {
    if unchanged { "unchanged" } else { "built" }
}
