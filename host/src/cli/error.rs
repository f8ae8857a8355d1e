//! Where errors of all modules come to the border: a sentence, a hint, an exit code.

use std::fmt;
use std::io::Write;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::backends::BackendError;
use crate::config::ConfigError;
use crate::plugin::build::BuildError;
use crate::plugin::engine::EngineError;
use crate::plugin::inspect::InspectError;
use crate::plugin::installed::InstallError;
use crate::plugin::manifest::ManifestError;
use crate::plugin::project::ProjectError;
use crate::plugin::sandbox::Died;
use crate::plugin::source::SourceError;
use crate::policy::LoadError;
use crate::report::ExitCode;
use crate::report::build::end_of;
use crate::report::clean;
use crate::run::RunError;
use crate::run::assess::AssessError;
use crate::run::since::SinceError;
use convoke_runtime::journal::JournalError;

/// The longest message, in characters. Plugins and files have their words in it.
const LONGEST: usize = 12_000;

/// Why a call of convoke came to nothing.
#[derive(Debug)]
pub(super) struct CliError {
    /// What happened, to what.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
    /// What the caller is told.
    pub code: ExitCode,
    /// With the place in a file, where it has one.
    diagnostic: Option<Box<dyn Diagnostic + Send + Sync>>,
}

impl CliError {
    /// Wrong use or configuration.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: ExitCode::Usage, diagnostic: None }
    }

    /// Nothing could be done.
    pub(super) fn nothing(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Nothing, ..Self::usage(message) }
    }

    /// All was done but this.
    pub(super) fn degraded(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Degraded, ..Self::usage(message) }
    }

    /// What to do now.
    pub(super) fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    /// Says of which of several commands it is.
    pub(super) fn within(mut self, command: &str) -> Self {
        self.message = format!("{}: {}", clean::bounded(command, 200), self.message);
        self
    }

    /// Shows it on stderr.
    pub(super) fn show(&self, color: bool) {
        let text = match &self.diagnostic {
            Some(diagnostic) => graphical(diagnostic.as_ref(), color),
            None => self.plain(color),
        };
        // Nobody may be reading; the exit code tells all the same.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn plain(&self, color: bool) -> String {
        let paint =
            |text: &str, style: &str| if color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() };
        let mut text =
            format!("{} {}\n", paint("error:", "1;31"), clean::block(&clean::bounded(&self.message, LONGEST)));
        if let Some(hint) = &self.hint {
            text += &format!(" {} {}\n", paint("hint:", "1;36"), clean::block(&clean::bounded(hint, LONGEST)));
        }
        text
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn graphical(diagnostic: &dyn Diagnostic, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
    match handler.render_report(&mut text, diagnostic) {
        Ok(()) => text,
        Err(_) => format!("error: {diagnostic}\n"),
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self { diagnostic: Some(Box::new(error)), ..Self::usage("the configuration is wrong") }
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Numbers(error) => error.into(),
            error => {
                let hint = error.hint();
                Self::usage(error.to_string()).hint(hint)
            }
        }
    }
}

impl From<BackendError> for CliError {
    fn from(error: BackendError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(hint)
    }
}

impl From<ManifestError> for CliError {
    fn from(error: ManifestError) -> Self {
        Self { diagnostic: Some(Box::new(error)), ..Self::usage("the manifest is wrong") }
    }
}

impl From<InspectError> for CliError {
    fn from(error: InspectError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self::usage(error.to_string()).hint(hint)
    }
}

impl From<InstallError> for CliError {
    fn from(error: InstallError) -> Self {
        let (hint, is_wrong_use) = (error.hint(), error.is_wrong_use());
        match error {
            InstallError::Project(error) => error.into(),
            error if is_wrong_use => Self::usage(error.to_string()).hint(hint),
            error => Self::nothing(error.to_string()).hint(hint),
        }
    }
}

impl From<BuildError> for CliError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Manifest(error) => error.into(),
            error => {
                let hint = error.hint().map(str::to_owned);
                Self::nothing(error.to_string()).hint(hint)
            }
        }
    }
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Build(error) => error.into(),
            error => {
                let said = if error.is_usage() { Self::usage } else { Self::nothing };
                said(error.to_string()).hint(error.hint())
            }
        }
    }
}

impl From<ProjectError> for CliError {
    fn from(error: ProjectError) -> Self {
        Self::usage(error.to_string()).hint(error.hint())
    }
}

impl From<SinceError> for CliError {
    fn from(error: SinceError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        Self::nothing(error.to_string())
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self::usage(error.to_string()).hint(hint)
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            // The plugin looked, and says what is wrong with what it was given.
            RunError::Assess(AssessError::Plan { died: Died::Refused { message, hint }, .. }) => {
                Self::usage(message).hint(hint)
            }
            RunError::Assess(AssessError::Plan { plugin, died, log }) => {
                let wrote = if log.is_empty() { String::new() } else { format!("\nIt wrote last:\n{}", end_of(&log)) };
                Self::nothing(format!("`{plugin}` has no plan: {died}{wrote}"))
            }
            RunError::Assess(AssessError::Journal(error)) | RunError::Journal(error) => error.into(),
            RunError::Assess(AssessError::Project(error)) => error.into(),
            error => Self::nothing(error.to_string()),
        }
    }
}
