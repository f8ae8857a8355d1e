//! `convoke cache`: the answers of earlier runs, what there is of them, and how they go.

use clap::{ArgMatches, Command};
use convoke_runtime::responses::{Responses, ResponsesConfig, ResponsesError};
use serde_json::json;

use super::error::CliError;
use super::options::Options;
use super::terminal::put;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Paths, Settings};
use crate::report::ExitCode;

const MIB: u64 = 1024 * 1024;

pub(super) fn command() -> Command {
    Command::new("cache")
        .about("Shows or removes the answers that are kept of earlier runs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("info").about("Shows what is kept, and where").arg(super::format_argument()))
        .subcommand(Command::new("clear").about("Removes all answers: the next run asks again"))
}

pub(super) fn cache(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let env = |name: &str| std::env::var(name).ok();
    let paths = Paths::find(env)?;
    match matches.subcommand() {
        Some(("clear", _)) => {
            Responses::clear(&paths.responses())?;
            put("The answers of earlier runs are removed.\n", None)?;
        }
        Some((_, matches)) => {
            // Of all files only the user's own has a say.
            let none = paths.config.join("no-project").join(PROJECT_FILE);
            let settings = Settings::load(&paths.user_file(), &none, env, Choices::default())?;
            put(&info(&paths, &settings, matches)?, None)?;
        }
        None => return Err(CliError::usage("info or clear?")),
    }
    Ok(ExitCode::Success)
}

fn info(paths: &Paths, settings: &Settings, matches: &ArgMatches) -> Result<String, CliError> {
    let (file, cache) = (paths.responses(), settings.cache);
    let held = Responses::holdings(&file)?;
    let days = cache.max_age.as_secs() / 86_400;
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        let info = json!({
            "schema_version": 1,
            "file": file,
            "enabled": cache.responses,
            "answers": held.answers,
            "bytes": held.bytes,
            "oldest": held.oldest.map(|oldest| oldest.to_string()),
            "max_bytes": cache.most_bytes,
            "max_age_days": days,
        });
        return Ok(format!("{info:#}\n"));
    }
    let oldest = held.oldest.map_or_else(|| "none".to_owned(), |oldest| oldest.to_string());
    let used = if cache.responses { "yes" } else { "no ([cache] responses = false)" };
    let size = held.bytes as f64 / MIB as f64;
    Ok(format!(
        "File     {}\nUsed     {used}\nAnswers  {}\nSize     {size:.1} of {} MiB\nOldest   {oldest}, at most {days} days\n",
        file.display(),
        held.answers,
        cache.most_bytes / MIB,
    ))
}

/// The answers that a run may use. Where they can't be used the run goes on, and says so.
pub(super) fn of_a_run(paths: &Paths, settings: &mut Settings, options: &Options) -> Option<Responses> {
    if !settings.cache.responses || options.no_cache {
        return None;
    }
    let opened = Responses::open(ResponsesConfig {
        file: paths.responses(),
        key_file: paths.responses_key(),
        most_bytes: settings.cache.most_bytes,
        max_age: settings.cache.max_age,
        // What is done again is asked again.
        read: !options.refresh && !options.fresh,
    });
    match opened {
        Ok(responses) => Some(responses),
        Err(error) => {
            settings.warnings.push(error.warning());
            None
        }
    }
}

impl From<ResponsesError> for CliError {
    fn from(error: ResponsesError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(hint)
    }
}
