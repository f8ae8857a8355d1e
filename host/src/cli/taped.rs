//! `--record` and `--replay`: what they change in a call.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use convoke_runtime::backend::Backend;
use convoke_runtime::backend::replay::Replay;
use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::cassette::Tape;
use convoke_runtime::work::Status;
use jiff::civil::Date;

use super::error::CliError;
use super::options::Options;
use super::terminal::say;
use crate::config::files::read_text;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Mode};
use crate::plugin::manifest::Arguments;
use crate::plugin::outside::store::{Owner, Store};
use crate::plugin::outside::taped::{Calls, Tape as OutsideTape};
use crate::plugin::project::tape::Reads;
use crate::plugin::project::{Limits, Mount, Project, ProjectError};
use crate::recording::{self, About, Content, RecordingError};
use crate::report::Report;
use crate::run::since::Since;

/// The largest `convoke.toml` that is recorded, in bytes. The configuration reads no larger one.
const LARGEST_CONFIG: u64 = 1 << 20;

/// How a call stands to recordings.
pub(super) enum Taped {
    /// Not at all.
    No,
    /// It is recorded.
    Record(Recorder),
    /// It is replayed.
    Replay(Box<Player>),
}

/// A recording that is being made.
pub(super) struct Recorder {
    folder: PathBuf,
    tape: Arc<Tape>,
    reads: Reads,
    calls: Calls,
    config: Option<String>,
    about: Option<Box<About>>,
}

/// A recording that is replayed.
pub(super) struct Player {
    folder: PathBuf,
    about: About,
    replay: Replay,
    reads: Reads,
    calls: Calls,
}

impl Taped {
    /// As the options say. What is wrong with the folder is said before anything is done.
    pub(super) fn of(options: &Options, command: &str) -> Result<Self, CliError> {
        if let Some(folder) = &options.record {
            recording::check_place(folder)?;
            let (folder, config, about) = (folder.clone(), None, None);
            let (tape, reads, calls) = Default::default();
            return Ok(Self::Record(Recorder { folder, tape, reads, calls, config, about }));
        }
        let Some(folder) = options.replay.clone() else { return Ok(Self::No) };
        let Content { about, cassettes, project, outside, config: _ } = recording::read(&folder)?;
        if about.command != command {
            let (recorded, typed) = (about.command, command.to_owned());
            return Err(RecordingError::OtherCommand { folder, recorded, typed }.into());
        }
        let replay = Replay::new(cassettes, about.has_model);
        let (reads, calls) = (Reads::of(project), Calls::of(outside));
        Ok(Self::Replay(Box::new(Player { folder, about, replay, reads, calls })))
    }

    /// The recording that is replayed.
    pub(super) fn player(&self) -> Option<&Player> {
        match self {
            Self::Replay(player) => Some(player),
            Self::No | Self::Record(_) => None,
        }
    }

    /// Whether results of earlier runs are left aside: a recording needs all questions.
    pub(super) fn is_fresh(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// Where the project's configuration is; a recorder keeps it.
    pub(super) fn project_file(&mut self, root: &Path) -> PathBuf {
        let file = root.join(PROJECT_FILE);
        match self {
            Self::No => file,
            Self::Record(recorder) => {
                // What is wrong with it, loading it says.
                recorder.config = read_text(&file, LARGEST_CONFIG).ok();
                file
            }
            Self::Replay(player) => recording::config_file(&player.folder),
        }
    }

    /// The choices, with those of the recording below them.
    pub(super) fn choices(&self, typed: Choices) -> Result<Choices, CliError> {
        let Some(player) = self.player() else { return Ok(typed) };
        let mode: Mode =
            player.about.mode.parse().map_err(|error| {
                CliError::usage(format!("{}: mode: {error}", player.folder.join("run.json").display()))
            })?;
        let recorded =
            Choices { mode: Some(mode), instances: Some(player.about.instances.clamp(1, 100)), ..Choices::default() };
        Ok(typed.or(recorded))
    }

    /// The project, or what was recorded of it.
    pub(super) fn project(&self, root: &Path, mounts: Vec<Mount>, limits: Limits) -> Result<Project, ProjectError> {
        match self {
            Self::No => Project::open(root, mounts, limits),
            Self::Record(recorder) => Project::recording(root, mounts, limits, recorder.reads.clone()),
            Self::Replay(player) => Project::replaying(root, limits, player.reads.clone()),
        }
    }

    /// What becomes of what a plugin does outside the project.
    pub(super) fn outside(&self) -> OutsideTape {
        match self {
            Self::No => OutsideTape::Off,
            Self::Record(recorder) => OutsideTape::Record(recorder.calls.clone()),
            Self::Replay(player) => OutsideTape::Replay(player.calls.clone()),
        }
    }

    /// The plugin's store: an empty one where a run is to be the same another time.
    pub(super) fn store(&self, folder: &Path, owner: &Owner, project: &str) -> Store {
        match self {
            Self::No => Store::of(folder, owner, project),
            Self::Record(_) | Self::Replay(_) => Store::in_memory(),
        }
    }

    /// The broker's settings, with the tape or the recorded route.
    pub(super) fn broker(&self, broker: BrokerConfig) -> BrokerConfig {
        match self {
            Self::No => broker,
            Self::Record(recorder) => BrokerConfig { tape: Some(recorder.tape.clone()), ..broker },
            Self::Replay(player) => BrokerConfig { route: player.about.route.restored(&broker.route), ..broker },
        }
    }

    /// What the recording will say of the call.
    pub(super) fn is_about(&mut self, about: impl FnOnce() -> About) {
        if let Self::Record(recorder) = self {
            recorder.about = Some(Box::new(about()));
        }
    }

    /// Writes the recording; or says what a replay did not need.
    pub(super) fn end(&self, report: &Report, quiet: bool) -> Result<(), CliError> {
        match self {
            Self::No => Ok(()),
            Self::Record(recorder) if report.status == Status::Interrupted => {
                say(&format!("The run was interrupted: the recording {} was not written.", recorder.folder.display()));
                Ok(())
            }
            Self::Record(recorder) => recorder.write(quiet),
            Self::Replay(player) => {
                if !quiet {
                    player.say_what_is_left();
                }
                Ok(())
            }
        }
    }
}

impl Recorder {
    fn write(&self, quiet: bool) -> Result<(), CliError> {
        let Some(about) = self.about.as_deref().cloned() else { return Ok(()) };
        let cassettes = self.tape.cassettes().map_err(RecordingError::from)?;
        let project = self.reads.recorded().map_err(RecordingError::from)?;
        let outside = self.calls.recorded().map_err(RecordingError::from)?;
        let questions = cassettes.len();
        recording::write(&self.folder, &Content { about, cassettes, project, outside, config: self.config.clone() })?;
        if !quiet {
            let redacted = match self.reads.redacted().len() {
                0 => String::new(),
                files => format!(" Credentials in {files} files were redacted."),
            };
            say(&format!("{questions} questions were recorded in {}.{redacted}", self.folder.display()));
        }
        Ok(())
    }
}

impl Player {
    /// Who answers.
    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.replay.clone())
    }

    /// The day of the recorded run.
    pub(super) fn today(&self) -> Date {
        self.about.today
    }

    /// What had changed then.
    pub(super) fn since(&self) -> Option<Since> {
        self.about.since.clone()
    }

    /// The recorded arguments, where the same ones were typed.
    pub(super) fn arguments(&self, typed: &Arguments) -> Result<Arguments, CliError> {
        let now = recording::typed_value(typed);
        if now != self.about.typed {
            return Err(RecordingError::OtherArguments {
                folder: self.folder.clone(),
                recorded: self.about.typed.to_string(),
                typed: now.to_string(),
            }
            .into());
        }
        Ok(Arguments {
            subcommand: self.about.subcommand.clone(),
            json: self.about.arguments.clone(),
            paths: self.about.paths.clone(),
        })
    }

    /// What is said before it runs.
    pub(super) fn announce(&self) {
        say(&format!("Replaying {}: nothing is sent, nothing is paid.", self.folder.display()));
    }

    fn say_what_is_left(&self) {
        let redacted = self.reads.redacted().len();
        if redacted > 0 {
            say(&format!("Credentials in {redacted} recorded files are redacted: what rests on them may differ."));
        }
        let unasked = self.replay.unasked();
        if unasked > 0 {
            say(&format!("{unasked} recorded questions were not asked."));
        }
    }
}

impl From<RecordingError> for CliError {
    fn from(error: RecordingError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(hint)
    }
}
