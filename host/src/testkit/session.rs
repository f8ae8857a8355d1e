//! One run of a case: everything that a run is made of, and nothing of it the user's or the machine's.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::allocate::Segment;
use convoke_runtime::backend::Backend;
use convoke_runtime::backend::replay::Replay;
use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::event::{Events, Fact};
use convoke_runtime::journal::{Journal, JournalError};
use convoke_runtime::machine::Meter;
use convoke_runtime::route::Route;
use convoke_runtime::work::Work;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::case::Case;
use super::fixture::{Fixture, FixtureError};
use super::outside::{Called, Stage};
use super::script::{Asked, MadeUp, Script, Unexpected};
use super::suite::Plugin;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, ConfigError, Settings};
use crate::plugin::fixed::Fixed;
use crate::plugin::manifest::Arguments;
use crate::plugin::operations::Operations;
use crate::plugin::outside::Outside;
use crate::plugin::outside::fakes::Fakes;
use crate::plugin::outside::store::Store;
use crate::plugin::outside::taped::{Calls, Tape, TapedCall};
use crate::plugin::project::tape::Reads;
use crate::plugin::project::{Limits as ProjectLimits, Project, ProjectError, resolve_typed_path};
use crate::plugin::sandbox::{Caps, Died, Invocation, Sandbox};
use crate::recording::{self, About, RecordingError};
use crate::report::{Report, clean};
use crate::run::assess::{AssessError, Identity};
use crate::run::execute::Stop;
use crate::run::size::Sized;
use crate::run::{Planned, RunError, Session};

/// How long a plan or an item may take of its own time.
const OWN_TIME: Duration = Duration::from_secs(60);

/// So many lines of a log are kept, the last ones.
const LOG_LINES: usize = 100;

/// Why a case gave no report.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Its project can't be made.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// The configuration of its project is wrong.
    #[error("the fixture's {PROJECT_FILE} is wrong: {0}")]
    Config(#[from] ConfigError),
    /// Its recording can't be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// Its arguments are none that the command takes.
    #[error("the command does not take these arguments: {0}")]
    Arguments(String),
    /// One of them is a path that the project does not have.
    #[error(transparent)]
    Path(#[from] ProjectError),
    /// One of them is a path that leads out of the project.
    #[error("the path {0} leads out of the fixture")]
    Outside(String),
    /// The plugin said that it can't go on.
    #[error("{0}")]
    Refused(String),
    /// The plugin broke off.
    #[error("there is no plan: {0}")]
    Died(String),
    /// The run itself is at fault.
    #[error(transparent)]
    Run(RunError),
    /// The machine is.
    #[error("{0}")]
    Machine(String),
}

impl CaseError {
    /// Whether it may be what a case is about: `expect.fails`.
    pub fn can_be_expected(&self) -> bool {
        matches!(self, Self::Arguments(_) | Self::Path(_) | Self::Outside(_) | Self::Refused(_))
    }
}

impl From<RunError> for CaseError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Assess(AssessError::Plan { died: Died::Refused { message, hint }, .. }) => {
                Self::Refused(hint.map_or_else(|| message.clone(), |hint| format!("{message} ({hint})")))
            }
            RunError::Assess(AssessError::Plan { died, .. }) => Self::Died(died.to_string()),
            error => Self::Run(error),
        }
    }
}

impl From<JournalError> for CaseError {
    fn from(error: JournalError) -> Self {
        Self::Run(error.into())
    }
}

impl From<std::io::Error> for CaseError {
    fn from(error: std::io::Error) -> Self {
        Self::Machine(error.to_string())
    }
}

/// How a case is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// By so many workers, where there are as many items.
    pub workers: usize,
    /// Whether the last item goes first.
    pub reversed: bool,
    /// Whether the clock and chance are others.
    pub other_chance: bool,
}

/// What a case has for all its runs.
pub struct Bench<'a> {
    plugin: &'a Plugin,
    case: &'a Case,
    root: PathBuf,
    settings: Settings,
    arguments: Arguments,
    taped: Option<Taped>,
    /// What the plugin logs, of all runs.
    log: Arc<Mutex<Vec<String>>>,
    /// The folder goes with it.
    _fixture: Fixture,
}

struct Taped {
    about: About,
    replay: Vec<convoke_runtime::cassette::Cassette>,
    outside: Vec<TapedCall>,
    project: Option<crate::plugin::project::tape::Recorded>,
}

/// What a run leaves for the next one.
#[derive(Clone)]
pub struct Left {
    journal: Journal,
    store: Store,
}

/// Who hears what a run asks and does.
struct Heard {
    script: Arc<Script>,
    stage: Arc<Stage>,
    store: Store,
}

/// What came of a run.
pub struct Ran {
    /// Its report.
    pub report: Report,
    /// What was asked.
    pub asked: Vec<Asked>,
    /// What was asked of it that no answer was for.
    pub unexpected: Vec<Unexpected>,
    /// What was done outside.
    pub called: Vec<Called>,
}

impl<'a> Bench<'a> {
    /// Makes the project, and reads what was typed.
    ///
    /// # Errors
    /// See [`CaseError`].
    pub fn new(plugin: &'a Plugin, case: &'a Case) -> Result<Self, CaseError> {
        let fixture = Fixture::copy_of(case.fixture.as_deref())?;
        let root = fixture.root()?;
        let taped = case.cassette.as_deref().map(recording::read).transpose()?.map(|content| Taped {
            about: content.about,
            replay: content.cassettes,
            outside: content.outside,
            project: case.fixture.is_none().then_some(content.project),
        });
        let project_file = match (&taped, &case.cassette) {
            (Some(Taped { project: Some(_), .. }), Some(folder)) => recording::config_file(folder),
            _ => root.join(PROJECT_FILE),
        };
        let instances = u32::try_from(case.instances).unwrap_or(1);
        let choices = Choices { instances: Some(instances), ..Choices::default() };
        // There is no user.
        let settings = Settings::load(&root.join("no user's file"), &project_file, |_| None, choices)?;
        let arguments = arguments(plugin, case, &root, taped.as_ref())?;
        Ok(Self { plugin, case, root, settings, arguments, taped, log: Arc::default(), _fixture: fixture })
    }

    /// What the plugin has written to its log and to stderr.
    pub fn log(&self) -> Vec<String> {
        self.lines().clone()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The day of the runs.
    fn today(&self) -> Date {
        self.case.day.or(self.taped.as_ref().map(|taped| taped.about.today)).unwrap_or_else(|| self.case.today())
    }

    fn route(&self) -> Route {
        match &self.taped {
            Some(taped) => taped.about.route.restored(&Route::default()),
            None => Route::default(),
        }
    }

    fn project(&self) -> Result<Project, CaseError> {
        let operations = Operations::new(&self.settings.limits.operations, None);
        let limits = ProjectLimits { read_bytes: self.settings.limits.read_bytes, ..ProjectLimits::default() };
        let project = match self.taped.as_ref().and_then(|taped| taped.project.clone()) {
            Some(recorded) => Project::replaying(&self.root, limits, Reads::of(recorded))?,
            None => Project::open(&self.root, Vec::new(), limits)?,
        };
        Ok(project.sharing(operations))
    }

    /// All that a run is made of; `left`: by a run before, and what that has done counts.
    fn session(&self, way: Way, left: Option<Left>) -> Result<(Session, Heard), CaseError> {
        let (events, script) = (Events::new(), Arc::new(Script::new(self.case)));
        let settings = self.settings.clone();
        let fresh = left.is_none();
        let Left { journal, store } = match left {
            Some(left) => left,
            None => Left { journal: Journal::in_memory()?, store: Store::in_memory() },
        };
        let project = self.project()?.beside(store.clone());
        let caps = Caps {
            memory: self.plugin.memory,
            fuel: settings.limits.plugin_fuel,
            own_time: settings.limits.worker_timeout.min(OWN_TIME),
        };
        let call = Invocation {
            subcommand: self.arguments.subcommand.clone(),
            arguments: self.arguments.json.to_string(),
            paths: self.arguments.paths.clone(),
            today: self.today().to_string(),
        };
        let fixed = Fixed {
            now: clock(self.today(), way.other_chance),
            seed: self.case.seed.wrapping_add(u64::from(way.other_chance)),
        };
        let backend: Arc<dyn Backend> = match &self.taped {
            Some(taped) => Arc::new(Replay::new(taped.replay.clone(), taped.about.has_model)),
            None => Arc::new(MadeUp),
        };
        let Plugin { engine, loaded, inspected, .. } = self.plugin;
        let granted = self.case.grants.clone().unwrap_or_else(|| inspected.manifest.capabilities.clone());
        let stage = Arc::new(Stage::new(self.case.processes.clone(), self.case.sites.clone()));
        let mut route = self.route();
        for tier in [&mut route.speed, &mut route.comprehensive] {
            tier.tools.extend(granted.claude.tools.iter().cloned());
        }
        let outside = Outside {
            plugin: inspected.manifest.name.clone(),
            typed: inspected.manifest.name.clone(),
            asked: inspected.manifest.capabilities.clone(),
            granted,
            root: self.root.clone(),
            // What was recorded needs nothing in its place.
            fakes: self.taped.is_none().then(|| stage.clone() as Arc<dyn Fakes>),
            tape: match &self.taped {
                Some(taped) => Tape::Replay(Calls::of(taped.outside.clone())),
                None => Tape::Off,
            },
            store: store.clone(),
            ..Outside::default()
        };
        let session = Session {
            command: inspected.manifest.name.clone(),
            plugin: inspected.clone(),
            sandbox: Sandbox {
                engine: engine.clone(),
                plugin: loaded.clone(),
                project,
                outside: Arc::new(outside),
                call,
                caps,
                events: events.clone(),
                fixed: Some(fixed),
            },
            identity: Identity {
                plugin_digest: inspected.digest.clone(),
                subcommand: self.arguments.subcommand.clone(),
                arguments: self.arguments.json.clone(),
                route: "test".to_owned(),
                project: self.root.to_string_lossy().into_owned(),
            },
            journal,
            operations: Operations::new(&settings.limits.operations, None),
            backends: vec![backend],
            broker: BrokerConfig {
                route,
                admission: AdmissionConfig { instances: way.workers.max(1), ..AdmissionConfig::default() },
                ..BrokerConfig::default()
            },
            meter: Arc::new(Meter::new()),
            whole_project: self.arguments.paths.is_empty(),
            since: self.taped.as_ref().and_then(|taped| taped.about.since.clone()),
            fresh,
            typed: None,
            resume: None,
            explain: false,
            claims: None,
            lanes: None,
            asks: Some(script.clone()),
            steering: Arc::default(),
            settings,
            events,
        };
        Ok((session, Heard { script, stage, store }))
    }

    /// Does the case in a way, and gives what that leaves.
    ///
    /// # Errors
    /// There is no report.
    pub async fn run(&self, way: Way) -> Result<(Ran, Left), CaseError> {
        let (session, heard) = self.session(way, None)?;
        let listening = self.listen(&session.events);
        let planned = session.plan().await.inspect_err(|error| {
            if let RunError::Assess(AssessError::Plan { log, .. }) = error {
                *self.lines() = log.lines().map(shown).collect();
            }
        })?;
        let planned = deal(&session, planned, way)?;
        let filters = session.settings.filters(None, self.today());
        let report = session.run(planned, &filters, &Stop::default()).await?;
        // It ends with the run's last event; what it has kept is worth no error.
        let _ = listening.await;
        let Heard { script, stage, store } = heard;
        let (asked, unexpected, called) = (script.asked(), script.unexpected(), stage.called());
        Ok((Ran { report, asked, unexpected, called }, Left { journal: session.journal, store }))
    }

    /// Asks for the plan, and does nothing of it.
    ///
    /// # Errors
    /// There is none.
    pub async fn plan(&self, way: Way) -> Result<Work, CaseError> {
        let (session, _) = self.session(way, None)?;
        Ok(session.plan().await?.assessed.work)
    }

    /// Plans as if it were done once more, and gives each item that is to be done with the reason.
    ///
    /// # Errors
    /// There is no plan.
    pub async fn to_do_again(&self, way: Way, left: Left) -> Result<Vec<crate::report::explain::ItemWhy>, CaseError> {
        let (session, _) = self.session(way, Some(left))?;
        let planned = session.plan().await?;
        Ok(planned.assessed.explained.into_iter().filter(|item| item.why.is_to_do()).collect())
    }

    /// Keeps what the plugin logs.
    fn listen(&self, events: &Events) -> tokio::task::JoinHandle<()> {
        let (mut heard, log) = (events.listen(), self.log.clone());
        tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                match &event.fact {
                    Fact::Logged { level, message, .. } => {
                        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                        if log.len() == LOG_LINES {
                            log.remove(0);
                        }
                        log.push(shown(&format!("{level}: {message}")));
                    }
                    Fact::Ended { .. } => return,
                    _ => {}
                }
            }
        })
    }
}

/// A line of a log, whatever a plugin made of it.
fn shown(line: &str) -> String {
    clean::line(&clean::bounded(line, 500))
}

/// Noon, or another time of the day.
fn clock(today: Date, other: bool) -> Timestamp {
    let hour = if other { 17 } else { 12 };
    let noon = today.at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).map(|time| time.timestamp());
    let noon = noon.unwrap_or(Timestamp::UNIX_EPOCH);
    if other { noon.saturating_add(SignedDuration::from_millis(1_234_567)).unwrap_or(noon) } else { noon }
}

/// Deals the items to as many workers as the way says, and in its order.
fn deal(session: &Session, planned: Planned, way: Way) -> Result<Planned, RunError> {
    let sized = Sized { workers: way.workers, ..Sized::default() };
    let mut planned = session.deal(planned.assessed, sized)?;
    // They tell of the number of workers, which makes no difference.
    planned.allocated.notes.clear();
    if way.reversed {
        let segments: &mut Vec<Segment> = &mut planned.allocated.segments;
        segments.reverse();
        segments.iter_mut().for_each(|segment| segment.items.reverse());
    }
    Ok(planned)
}

/// What was typed, as the plugin gets it.
fn arguments(plugin: &Plugin, case: &Case, root: &Path, taped: Option<&Taped>) -> Result<Arguments, CaseError> {
    if let Some(Taped { about, .. }) = taped.filter(|_| case.arguments.is_empty()) {
        return Ok(Arguments {
            subcommand: about.subcommand.clone(),
            json: about.arguments.clone(),
            paths: about.paths.clone(),
        });
    }
    let manifest = &plugin.inspected.manifest;
    let words = std::iter::once(&manifest.name).chain(&case.arguments);
    let matches = manifest.to_clap().try_get_matches_from(words).map_err(|error| {
        let text = error.to_string();
        let first = text.strip_prefix("error: ").unwrap_or(&text);
        CaseError::Arguments(clean::block(&clean::bounded(first.trim_end(), 2_000)))
    })?;
    manifest.arguments(&matches, |typed| {
        let found = resolve_typed_path(root, root, typed)?;
        match found.mount {
            Some(_) => Err(CaseError::Outside(clean::line(typed))),
            None => Ok(found.name),
        }
    })
}
