//! `convoke test`: the cases of a plugin, in the real sandbox, with answers that are made up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures::StreamExt;
use serde_json::json;

use super::command::in_runtime;
use super::error::CliError;
use super::options::Color;
use super::terminal::{Terminal, put};
use crate::plugin::build::{BuildOptions, build};
use crate::report::{ExitCode, clean};
use crate::testkit::report::{json, summary};
use crate::testkit::suite::{How, PluginError, SuiteError};
use crate::testkit::{Plugin, Suite};

/// The most cases at once: each has up to five sandboxes, of which an engine holds 128.
const MOST_JOBS: usize = 16;

pub(super) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("test")
        .about("Tests a plugin: its cases, in the real sandbox, with answers that are made up")
        .long_about(
            "Tests a plugin: its cases, in the real sandbox, with answers that are made up.\n\nBuilds the plugin and runs each \
             case of tests/*.toml: without a model, a key or a network, on a copy of a fixture, with a clock and random \
             numbers that are always the same. What comes of it is compared with the kept tests/NAME.snap.json, and must \
             not depend on the number of workers, the order of items, the clock or chance. Exits with 1 where a case \
             fails, and with 2 where one can't be read.",
        )
        .arg(Arg::new("words").value_name("FOLDER|FILTER").num_args(0..).help(
            "The plugin's folder, if the first word is one, else this one; then parts of the names of cases. Default: all",
        ))
        .arg(
            Arg::new("component")
                .long("component")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Test this component; nothing is built"),
        )
        .arg(flag("bless").help("Keep what came of cases with which nothing else is wrong, and say which"))
        .arg(flag("list").help("Only show the cases"))
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .short('j')
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=MOST_JOBS as u64))
                .help("So many cases at once. Default: as many as there are processors"),
        )
        .arg(super::format_argument().help("The form of the report"))
}

pub(super) fn test(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let began = Instant::now();
    let terminal = Terminal::find(Color::Auto);
    let is_json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    let words: Vec<String> = matches.get_many("words").into_iter().flatten().cloned().collect();
    let (folder, filters) = folder_and_filters(words);
    let suite = match Suite::find(&folder, &filters) {
        Err(SuiteError::Wrong(wrong)) => return Err(all_but_last(wrong, terminal.err_color)),
        suite => suite?,
    };
    if matches.get_flag("list") {
        put(&list(&suite, is_json), None)?;
        return Ok(ExitCode::Success);
    }
    let bytes = component(&folder, matches.get_one::<PathBuf>("component"), is_json)?;
    let plugin = Arc::new(Plugin::of(&bytes)?);
    let jobs = matches.get_one::<u64>("jobs").map(|jobs| usize::try_from(*jobs).unwrap_or(1));
    let processors = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_JOBS);
    let how = How {
        bless: matches.get_flag("bless"),
        jobs: jobs.unwrap_or_else(processors),
        color: terminal.out_color && !is_json,
    };
    let (left_out, stale) = (suite.left_out, suite.stale.clone());
    let all = in_runtime(async {
        let mut all = Vec::new();
        let mut running = std::pin::pin!(suite.run(plugin, how));
        while let Some(tested) = running.next().await {
            if !is_json {
                put(&format!("{}\n", tested.line(how.color)), None)?;
            }
            all.push(tested);
        }
        Ok(all)
    })?;
    let took = began.elapsed();
    let text = if is_json {
        json(&all, left_out, &stale, took)
    } else {
        let failed = all.iter().filter(|tested| !tested.has_passed());
        let reasons: String = failed.map(|tested| tested.reasons(how.color)).collect();
        format!("{reasons}\n{}", summary(&all, left_out, &stale, took, how.color))
    };
    put(&text, None)?;
    let has_failed = all.iter().any(|tested| !tested.has_passed());
    Ok(if has_failed { ExitCode::Findings } else { ExitCode::Success })
}

/// The first word is the folder, if there is one of that name.
fn folder_and_filters(mut words: Vec<String>) -> (PathBuf, Vec<String>) {
    match words.first() {
        Some(first) if Path::new(first).is_dir() => {
            let folder = PathBuf::from(words.remove(0));
            (folder, words)
        }
        _ => (PathBuf::from("."), words),
    }
}

/// The component: the one that is named, or what the folder builds.
fn component(folder: &Path, named: Option<&PathBuf>, quiet: bool) -> Result<Vec<u8>, CliError> {
    let read = |path: &Path| {
        super::read_component(path).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))
    };
    if let Some(file) = named {
        return read(file);
    }
    // The folder's own component stays as it is: somebody may be running it.
    let built =
        tempfile::tempdir().map_err(|error| CliError::nothing(format!("there is no temporary folder: {error}")))?;
    let options = BuildOptions { out: Some(built.path().join("tested.wasm")), locked: false, offline: false, quiet };
    read(&build(folder, &options)?.path)
}

fn list(suite: &Suite, is_json: bool) -> String {
    let names = || suite.cases.iter().map(|case| (clean::line(&case.name), case.about.as_deref().map(clean::line)));
    if is_json {
        let cases: Vec<_> = names().map(|(name, about)| json!({ "name": name, "about": about })).collect();
        return format!("{:#}\n", json!({ "schema_version": 1, "cases": cases, "stale": suite.stale }));
    }
    let width = names().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, about): (String, Option<String>)| match about {
        Some(about) => format!("{name:width$}  {about}\n"),
        None => format!("{name}\n"),
    };
    names().map(line).collect()
}

/// Shows what is wrong with each case; the last one is left to whoever ends the process.
fn all_but_last(wrong: Vec<crate::config::ConfigError>, color: bool) -> CliError {
    let mut errors: Vec<CliError> = wrong.into_iter().map(CliError::from).collect();
    let last = errors.pop();
    errors.iter().for_each(|error| error.show(color));
    last.unwrap_or_else(|| CliError::usage("a case can't be read"))
}

impl From<SuiteError> for CliError {
    fn from(error: SuiteError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(hint)
    }
}

impl From<PluginError> for CliError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Inspect(error) => error.into(),
            PluginError::Engine(error) => error.into(),
        }
    }
}
