//! Logs: lines of `tracing`, for people or as JSON, in a file or on standard error.
//!
//! What a run tells becomes lines by a consumer of its events ([`lines`]); what no event tells is logged where it happens.
//! Only convoke's own lines are written, whatever the level: those of the crates beneath could hold headers and bodies of
//! requests. Credentials are removed from all text, and prompts and answers are never in it. What plugins log is there
//! from the level `debug` on.

mod clock;
mod file;
pub(crate) mod lines;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

pub(crate) use lines::Lines;

/// The variable that has the level where no option has.
pub const VARIABLE: &str = "CONVOKE_LOG";

/// What all of our lines are of.
const OURS: &str = "convoke";

/// The form of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// The filter of the process.
static FILTER: OnceLock<Targets> = OnceLock::new();

/// What is wanted of logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The form; none: that for people.
    pub format: Option<Format>,
    /// Where to; none: standard error.
    pub file: Option<PathBuf>,
    /// Which lines: a level, or several like `info,convoke::question=debug`.
    pub level: Option<String>,
}

/// Where logs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// There are none.
    Nowhere,
    /// To a file.
    File,
    /// To standard error, where the terminal is: lines and a picture that changes in place don't go together.
    Stderr(Format),
}

/// Logs can't be written as they are wanted.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter can't be read.
    #[error("{from}: {part:?} is no level of logs")]
    Level {
        /// Where it stands.
        from: &'static str,
        /// What of it.
        part: String,
    },
    /// The file can't be opened.
    #[error("can't write logs to {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl LogError {
    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Level { .. } => {
                "the levels are off, error, warn, info, debug and trace; for a part of the lines like \
                 `info,convoke::question=debug`, where the parts are run, worker, item, question, plugin and cli"
            }
            Self::File { .. } => "name another file with --log-file",
        }
    }
}

impl Wish {
    /// Begins to log as it is wanted, for the whole process.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn begin(&self, env: impl Fn(&str) -> Option<String>) -> Result<To, LogError> {
        let Some(filter) = self.filter(env)? else { return Ok(To::Nowhere) };
        // In one process it is begun once; who has begun before keeps it.
        let _ = FILTER.set(filter.clone());
        let format = self.format.unwrap_or_default();
        let (subscriber, to) = match &self.file {
            Some(path) => {
                let file = file::LogFile::open(path)?;
                (subscriber(format, filter, file::keep(file)), To::File)
            }
            None => (subscriber(format, filter, file::Stderr), To::Stderr(format)),
        };
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(to)
    }

    /// Which lines are written; none: no logs are wanted.
    fn filter(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<Targets>, LogError> {
        let variable = env(VARIABLE).filter(|level| !level.trim().is_empty());
        let (level, from) = match (&self.level, variable) {
            (Some(level), _) => (level.clone(), "--log-level"),
            (None, Some(level)) => (level, VARIABLE),
            (None, None) if self.file.is_some() || self.format.is_some() => ("info".to_owned(), "--log-level"),
            (None, None) => return Ok(None),
        };
        let targets = targets(&level).map_err(|part| LogError::Level { from, part })?;
        Ok(targets.iter().any(|(_, level)| level != LevelFilter::OFF).then_some(targets))
    }
}

/// A level for all of our lines, and others for a part of them. The error is the part that can't be read.
fn targets(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let unread = || part.to_owned();
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (target.trim(), level.trim()),
            None => (OURS, part),
        };
        let is_ours = target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        let named =
            ["off", "error", "warn", "info", "debug", "trace"].iter().any(|name| level.eq_ignore_ascii_case(name));
        if !is_ours || !named {
            return Err(unread());
        }
        targets = targets.with_target(target, level.parse::<LevelFilter>().map_err(|_| unread())?);
    }
    Ok(targets)
}

type Boxed = Box<dyn tracing::Subscriber + Send + Sync>;

fn subscriber<W>(format: Format, filter: Targets, to: W) -> Boxed
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        // The writer keeps what went wrong, and it is said once.
        .log_internal_errors(false)
        .with_timer(clock::Clock)
        .with_writer(to);
    match format {
        Format::Text => Box::new(Registry::default().with(layer.with_filter(filter))),
        Format::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(Registry::default().with(layer.with_filter(filter)))
        }
    }
}

/// Whether anything is logged.
pub(crate) fn is_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Whether a line is wanted by a collector: what is wanted in a file, and else those of the level `info`.
pub(crate) fn wants(target: &str, level: Level) -> bool {
    FILTER.get().map_or(level <= Level::INFO, |filter| filter.would_enable(target, &level))
}

/// What went wrong with the file, once.
pub(crate) fn trouble() -> Option<String> {
    file::trouble()
}

/// The path of a log file as an error has it.
fn unopened(path: &Path, source: std::io::Error) -> LogError {
    LogError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
