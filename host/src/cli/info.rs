//! `convoke info`: what a command is, where it comes from, and what it asks for.

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::error::CliError;
use super::install::wrong;
use super::installer::{Installer, options};
use super::known::Known;
use super::terminal::put;
use super::{Component, Runnable};
use crate::plugin::inspect::{Inspected, inspect};
use crate::plugin::installed::asks::asks;
use crate::plugin::installed::spec::Spec;
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("info")
        .about("Shows what a command is, where it comes from, and what it asks for, without running it")
        .arg(
            Arg::new("spec")
                .value_name("NAME|SPEC")
                .required(true)
                .help("A command that can be run here, or anything that can be installed"),
        )
        .arg(super::format_argument())
        .args(options())
}

/// Where a command stands.
struct Standing {
    /// In a word, for programs.
    kind: &'static str,
    /// In words.
    words: String,
    source: Option<String>,
    resolved: Option<String>,
}

pub(super) fn info(known: &mut Known, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let text = matches.get_one::<String>("spec").map_or("", String::as_str);
    let spec: Spec = text.parse().map_err(wrong)?;
    let named = known.runnables.iter().any(|one| one.name == text && !matches!(one.component, Component::File(_)));
    let (inspected, standing) = if named {
        let runnable = known.runnable(text)?;
        let bytes = runnable.bytes()?;
        let inspected = inspect(&bytes).map_err(|error| CliError::from(error).within(text))?;
        (inspected, of_runnable(runnable))
    } else {
        if let (Spec::Named { name, .. }, Err(error)) = (&spec, known.check()) {
            return Err(error.within(name));
        }
        let captured = Installer::new(matches)?.capture(&spec)?;
        let inspected = inspect(&captured.bytes).map_err(|error| CliError::from(error).within(text))?;
        let (source, resolved) = (Some(captured.source), Some(captured.resolved));
        (inspected, Standing { kind: "none", words: "not installed".to_owned(), source, resolved })
    };
    let json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    put(&if json { for_programs(&inspected, &standing) } else { for_people(&inspected, &standing) }, None)?;
    Ok(ExitCode::Success)
}

fn of_runnable(runnable: &Runnable) -> Standing {
    match &runnable.component {
        Component::Kept(kept) => {
            let day = kept.installed.strftime("%Y-%m-%d");
            let (kind, words) = match &kept.source {
                Some(_) => ("user", format!("installed by you on {day}")),
                None => ("project", format!("pinned by this project, installed on {day}")),
            };
            Standing { kind, words, source: kept.source.clone(), resolved: Some(kept.resolved.clone()) }
        }
        _ => Standing { kind: "embedded", words: "comes with convoke".to_owned(), source: None, resolved: None },
    }
}

fn for_programs(inspected: &Inspected, standing: &Standing) -> String {
    let Inspected { digest, manifest, imports, concludes, size, .. } = inspected;
    let info = json!({
        "schema_version": 1,
        "name": manifest.name,
        "version": manifest.version,
        "installed": standing.kind,
        "source": standing.source,
        "resolved": standing.resolved,
        "digest": digest,
        "size": size,
        "asks": asks(manifest),
        "imports": imports,
        "concludes": concludes,
        "manifest": manifest,
    });
    clean::json(format!("{info:#}\n"))
}

fn for_people(inspected: &Inspected, standing: &Standing) -> String {
    let manifest = &inspected.manifest;
    let asks = asks(manifest);
    let mut rows = vec![
        ("Command", format!("{} {}", manifest.name, manifest.version)),
        ("", manifest.description.clone()),
        ("Licence", manifest.license.clone()),
        ("Installed", standing.words.clone()),
    ];
    let updates = standing.source.iter().filter(|source| Some(*source) != standing.resolved.as_ref());
    rows.extend(standing.resolved.iter().map(|resolved| ("From", resolved.clone())));
    rows.extend(updates.map(|source| ("Updates", source.clone())));
    rows.push(("SHA-256", inspected.digest.clone()));
    rows.push(("Size", format!("{} kB", inspected.size.div_ceil(1_000))));
    let nothing = asks.is_empty().then(|| "nothing".to_owned());
    for (place, ask) in asks.into_iter().chain(nothing).enumerate() {
        rows.push((if place == 0 { "Asks to" } else { "" }, ask));
    }
    if !manifest.rules.is_empty() {
        rows.push(("Rules", format!("{} that it can find", manifest.rules.len())));
    }
    rows.iter().fold(String::new(), |text, (title, value)| {
        text + format!("{title:10} {}", clean::line(value)).trim_end() + "\n"
    })
}
