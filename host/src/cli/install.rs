//! `convoke install`: a command from a file, an address or a registry; or all that the project pins.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::CliError;
use super::installer::{Installer, installing_options, options};
use super::settle::{Renew, settle};
use super::terminal::say;
use crate::plugin::installed::spec::Spec;
use crate::plugin::installed::supply::EMBEDDED_SOURCE;
use crate::plugin::installed::transaction::{Became, Purpose, allowed};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("install")
        .about("Installs a command, or what the project pins")
        .long_about(
            "Installs a command, or what the project pins.\n\n    convoke install ./todo.wasm        a component's file\n    \
             convoke install ./todo              a plugin's folder, which is built\n    convoke install deps@^0.2            \
             the newest that fits, of your registry\n    convoke install                      what [plugins] in convoke.toml \
             asks for\n\nYou are shown what a command asks for before it is installed. A crash at any moment leaves what was \
             there, or what is new.",
        )
        .arg(
            Arg::new("spec")
                .value_name("SPEC")
                .num_args(0..)
                .help("A name, with versions at will (deps, deps@^0.2), a file or folder (./x.wasm), or an address"),
        )
        .arg(
            Arg::new("shadow")
                .long("shadow")
                .action(ArgAction::SetTrue)
                .help("It may run in the place of a command of this name that comes with convoke"),
        )
        .args(installing_options())
        .args(options())
}

pub(super) fn install(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let installer = Installer::new(matches)?;
    let specs: Vec<&String> = matches.get_many::<String>("spec").into_iter().flatten().collect();
    if specs.is_empty() {
        return settle(&installer, &Renew::Nothing);
    }
    if installer.how.locked {
        return Err(CliError::usage("--locked is for what a project pins, and you have named a command")
            .hint(Some("`convoke install --locked` installs what convoke.lock names")));
    }
    for spec in specs {
        let spec: Spec = spec.parse().map_err(wrong)?;
        one(&installer, &spec)?;
    }
    Ok(ExitCode::Success)
}

/// Something was typed that names no plugin.
pub(super) fn wrong(error: crate::plugin::installed::spec::SpecError) -> CliError {
    CliError::usage(error.to_string())
        .hint(Some("name a command (deps, deps@^0.2), a file or folder (./x.wasm), or an address"))
}

fn one(installer: &Installer, spec: &Spec) -> Result<(), CliError> {
    let captured = installer.capture(spec)?;
    let index = installer.plugins.read()?;
    let is_embedded = captured.source == EMBEDDED_SOURCE;
    let looked = installer.look(spec, captured, &index)?;
    let (name, version) = (&looked.change.name, &looked.change.version);
    if is_embedded {
        say(&format!("{name} {version} comes with convoke: there is nothing to install"));
        if index.command(name).is_some() {
            say(&format!("another {name} is installed and runs in its place; `convoke uninstall {name}` removes that"));
        }
        return Ok(());
    }
    let how = installer.how;
    let purpose = Purpose::User { shadow: how.shadow, downgrade: how.downgrade, update: false };
    allowed(&looked, &purpose)?;
    if !looked.change.is_none() {
        say(installer.shown(&looked).trim_end());
    }
    if how.dry_run {
        say("nothing was changed: --dry-run");
        return Ok(());
    }
    // Also where the same is there: a file that was damaged is written again.
    let became = installer.install(std::slice::from_ref(&looked), &purpose)?;
    say(&clean::line(&match became {
        Became::Installed => format!("installed {name} {version}: `convoke {name}` runs it"),
        Became::Unchanged => format!("{name} {version} is installed already"),
    }));
    Ok(())
}
