//! `convoke update` and `convoke outdated`: newer versions of what is installed, or of what the project pins.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::command::in_runtime;
use super::error::CliError;
use super::install::wrong;
use super::installer::{Installer, installing_options, options};
use super::settle::{Renew, find, settle};
use super::terminal::{put, say};
use crate::plugin::installed::pins::Pinned;
use crate::plugin::installed::spec::Spec;
use crate::plugin::installed::transaction::{Looked, Purpose, allowed, not_installed};
use crate::plugin::installed::{Index, Installed};
use crate::report::{ExitCode, clean};

fn names() -> Arg {
    Arg::new("name").value_name("NAME").num_args(0..).help("The commands; none: all")
}

fn own() -> Arg {
    Arg::new("user").long("user").action(ArgAction::SetTrue).help("Your own, not those that the project pins")
}

pub(super) fn command() -> Command {
    Command::new("update")
        .about("Brings what is installed, or what the project pins, to the newest version that fits")
        .long_about(
            "Brings what is installed, or what the project pins, to the newest version that fits. In a project with [plugins] \
             in its convoke.toml it is about those, and writes convoke.lock. Versions, sizes, and what a command asks for \
             more or no more are shown before anything happens.",
        )
        .arg(names())
        .arg(own())
        .args(installing_options())
        .args(options())
}

pub(super) fn outdated_command() -> Command {
    Command::new("outdated")
        .about("Shows of what there is a newer version; changes nothing")
        .arg(names())
        .arg(own())
        .arg(super::format_argument())
        .args(options())
}

/// What was named: those of the project, and the user's own.
struct Named {
    pins: Option<(Pinned, Renew)>,
    own: Option<BTreeSet<String>>,
}

fn named(installer: &Installer, matches: &ArgMatches) -> Result<Named, CliError> {
    let names: BTreeSet<String> = matches.get_many::<String>("name").into_iter().flatten().cloned().collect();
    let pinned = installer.pinned()?.filter(|pinned| !pinned.pins.is_empty() && !matches.get_flag("user"));
    let Some(pinned) = pinned else { return Ok(Named { pins: None, own: Some(names) }) };
    if names.is_empty() {
        return Ok(Named { pins: Some((pinned, Renew::All)), own: None });
    }
    let (pins, own): (BTreeSet<String>, BTreeSet<String>) =
        names.into_iter().partition(|name| pinned.pins.contains_key(name));
    let pins = (!pins.is_empty()).then_some((pinned, Renew::Named(pins)));
    Ok(Named { pins, own: (!own.is_empty()).then_some(own) })
}

pub(super) fn update(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let installer = Installer::new(matches)?;
    let Named { pins, own } = named(&installer, matches)?;
    let mut code = ExitCode::Success;
    if let Some((_, renew)) = pins {
        code = settle(&installer, &renew)?;
    }
    match own {
        Some(names) => Ok(ExitCode::strongest([code, update_own(&installer, &names)?])),
        None => Ok(code),
    }
}

/// The user's own. One that can't be updated does not hold up the others.
fn update_own(installer: &Installer, names: &BTreeSet<String>) -> Result<ExitCode, CliError> {
    let index = installer.plugins.read()?;
    let chosen = chosen(&index, names)?;
    if chosen.is_empty() {
        say("nothing is installed beside what comes with convoke");
    }
    let mut codes = vec![ExitCode::Success];
    for one in chosen {
        if let Err(error) = update_one(installer, &one, &index) {
            let error = error.within(one.name);
            codes.push(error.code);
            error.show(installer.terminal.err_color);
        }
    }
    Ok(ExitCode::strongest(codes))
}

fn chosen<'a>(index: &'a Index, names: &BTreeSet<String>) -> Result<Vec<Installed<'a>>, CliError> {
    if names.is_empty() {
        return Ok(index.commands().collect());
    }
    let one = |name: &String| index.command(name).ok_or_else(|| not_installed(index, name).into());
    names.iter().map(one).collect()
}

/// What there is now of an installed command.
fn newest(installer: &Installer, one: &Installed<'_>, index: &Index) -> Result<Looked, CliError> {
    let spec: Spec = one.source.parse().map_err(wrong)?;
    let captured = installer.capture(&spec)?;
    let looked = installer.look(&spec, captured, index)?;
    if looked.change.name != one.name {
        let message = format!("what is there now is another command, `{}`", looked.change.name);
        return Err(
            CliError::usage(message).hint(Some(format!("`convoke uninstall {}` removes the one you have", one.name)))
        );
    }
    Ok(looked)
}

fn update_one(installer: &Installer, one: &Installed<'_>, index: &Index) -> Result<(), CliError> {
    let looked = newest(installer, one, index)?;
    let (name, version) = (&looked.change.name, &looked.change.version);
    if looked.change.is_none() {
        say(&format!("{name} {version} is the newest that fits"));
        return Ok(());
    }
    let purpose = Purpose::User { shadow: true, downgrade: installer.how.downgrade, update: true };
    allowed(&looked, &purpose)?;
    say(installer.shown(&looked).trim_end());
    if installer.how.dry_run {
        say("nothing was changed: --dry-run");
        return Ok(());
    }
    installer.install(std::slice::from_ref(&looked), &purpose)?;
    say(&format!("updated {name} to {version}"));
    Ok(())
}

/// A command of which there is something newer, or about which nothing could be found out.
struct Row {
    name: String,
    whose: &'static str,
    version: String,
    newest: Result<String, String>,
    digest: Option<String>,
}

pub(super) fn outdated(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let installer = Installer::new(matches)?;
    let Named { pins, own } = named(&installer, matches)?;
    let index = installer.plugins.read()?;
    let mut rows = Vec::new();
    let mut code = ExitCode::Success;
    if let Some((pinned, renew)) = pins {
        rows.extend(of_pins(&installer, &pinned, &index, &renew)?);
    }
    for one in own.map(|names| chosen(&index, &names)).transpose()?.unwrap_or_default() {
        let newest = newest(&installer, &one, &index);
        if newest.as_ref().is_ok_and(|looked| looked.change.is_none()) {
            continue;
        }
        let digest = newest.as_ref().ok().map(|looked| looked.change.digest.clone());
        let newest = newest.map(|looked| looked.change.version.to_string()).map_err(|error| {
            // What could not be found out is not up to date.
            code = ExitCode::strongest([code, error.code]);
            error.to_string()
        });
        rows.push(Row {
            name: one.name.to_owned(),
            whose: "user",
            version: one.held.version().to_string(),
            newest,
            digest,
        });
    }
    put(&rendered(&rows, matches), None)?;
    Ok(code)
}

fn of_pins(installer: &Installer, pinned: &Pinned, index: &Index, renew: &Renew) -> Result<Vec<Row>, CliError> {
    let settled = in_runtime(async { Ok(find(installer, pinned, index, renew).await?) })?;
    let rows = settled.lockfile.plugins.into_iter().filter_map(|(name, now)| {
        let before = pinned.lockfile.plugins.get(&name);
        if before.is_some_and(|before| before.digest == now.digest) {
            return None;
        }
        let version = before.map_or_else(|| "not locked".to_owned(), |before| before.version.to_string());
        Some(Row { name, whose: "project", version, newest: Ok(now.version.to_string()), digest: Some(now.digest) })
    });
    Ok(rows.collect())
}

fn rendered(rows: &[Row], matches: &ArgMatches) -> String {
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        let row = |row: &Row| -> Value {
            json!({
                "name": row.name,
                "of": row.whose,
                "version": row.version,
                "newest": row.newest.as_ref().ok(),
                "digest": row.digest,
                "problem": row.newest.as_ref().err(),
            })
        };
        let outdated: Vec<Value> = rows.iter().map(row).collect();
        return clean::json(format!("{:#}\n", json!({ "schema_version": 1, "outdated": outdated })));
    }
    if rows.is_empty() {
        return "All is as new as it can be.\n".to_owned();
    }
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let (names, versions) = (width(|row| row.name.len()), width(|row| row.version.len()));
    rows.iter().fold(String::new(), |text, row| {
        let newest = match &row.newest {
            Ok(newest) if *newest == row.version => "changed, with the same version".to_owned(),
            Ok(newest) => newest.clone(),
            Err(problem) => clean::line(&clean::bounded(problem, 300)),
        };
        text + &format!("{:names$}  {:versions$}  {newest}\n", row.name, row.version)
    })
}
