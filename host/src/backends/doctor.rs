//! What is there to ask, whether it works, and what is taken of it: the checks behind `convoke doctor`.
//!
//! Checking costs nothing: a program is asked for its version and, only where that is wanted, a service for its list of models,
//! which tries the key. Only [`probe`] asks a real question.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::backend::anthropic::Anthropic;
use convoke_runtime::broker::{Asker, Broker, BrokerConfig};
use convoke_runtime::event::Events;
use convoke_runtime::journal::{Journal, RunId};
use convoke_runtime::money::Usd;
use convoke_runtime::question::{AnsweredBy, Failure, FailureKind, Question};
use convoke_runtime::route::Route;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::claude::{self, ClaudeError, Login};
use super::tiers::{Lanes, names};
use super::{Auto, BackendError, Surroundings};
use crate::config::paths::PROJECT_FILE;
use crate::config::{Backend, Paths, Settings};
use crate::health::{self, Section};
use crate::run::ledger::JournalLedger;

/// So long may the list of models take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a probe may answer, in tokens.
const PROBE_TOKENS: u32 = 16;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It works.
    Ok,
    /// It is there; whether it works is only known when it is used.
    Unsure,
    /// It works, and something about it should be looked at.
    Warn,
    /// It is not there.
    Absent,
    /// It is there and does not work.
    Broken,
}

impl State {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unsure => "unsure",
            Self::Warn => "warn",
            Self::Absent => "absent",
            Self::Broken => "broken",
        }
    }

    /// Whether it can be used, as far as it is known.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Ok | Self::Unsure | Self::Warn)
    }

    /// The same in three words: `ok`, `warn`, `bad`. What is not there is no fault: what needs it says so itself.
    pub const fn level(self) -> &'static str {
        match self {
            Self::Ok | Self::Absent => "ok",
            Self::Unsure | Self::Warn => "warn",
            Self::Broken => "bad",
        }
    }
}

/// One thing that was looked at. Written for programs with the [`level`](State::level) of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `anthropic`, `data`.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A check as programs get it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Check")]
pub(crate) struct CheckLine<'a> {
    /// What: `anthropic`, `data`.
    name: &'a str,
    /// How it stands.
    state: State,
    /// The same in three words: `ok`, `warn`, `bad`.
    level: &'a str,
    /// What was found, for people.
    found: &'a str,
    /// What to do, for people.
    hint: Option<&'a str>,
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (level, hint) = (self.state.level(), self.hint.as_deref());
        CheckLine { name: self.name, state: self.state, level, found: &self.found, hint }.serialize(serializer)
    }
}

impl Check {
    pub(crate) fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { name, state, found: found.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: Option<impl Into<String>>) -> Self {
        Self { hint: hint.map(Into::into), ..self }
    }
}

/// Which backend a run would ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Choice {
    /// What is asked for: `auto`.
    pub asked: &'static str,
    /// What is taken for it.
    pub takes: &'static str,
    /// Why.
    pub why: String,
}

/// Where the questions of a tier go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TierFacts {
    /// `speed` or `comprehensive`.
    pub tier: &'static str,
    /// The backend.
    pub backend: &'static str,
    /// The model.
    pub model: String,
}

/// A real question, asked.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Probe {
    /// Whether it went as it should: a model answered, or nobody was meant to be asked.
    pub answered: bool,
    /// How often a model was asked.
    pub requests: u32,
    /// Which model, or why none.
    pub by: String,
    /// From asking to the end, in milliseconds.
    pub took_ms: u64,
    /// US dollars at list price.
    #[schemars(with = "f64")]
    pub usd: Usd,
    /// All input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// Everything that was found out.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "convoke doctor")]
pub struct Diagnosis {
    /// The version of this form.
    pub schema_version: u32,
    /// Of convoke.
    pub version: &'static str,
    /// Whether a run would get answers, from a model, or from nobody where nobody is meant to be asked; and whether nothing
    /// else that it needs is broken.
    pub works: bool,
    /// The worst of all that was looked at, as far as a run needs it: `ok`, `warn` or `bad`.
    pub level: &'static str,
    /// Each backend.
    #[schemars(with = "Vec<CheckLine<'static>>")]
    pub backends: Vec<Check>,
    /// Which one is taken.
    pub choice: Choice,
    /// Both tiers.
    pub tiers: Vec<TierFacts>,
    /// Files and folders.
    #[schemars(with = "Vec<CheckLine<'static>>")]
    pub files: Vec<Check>,
    /// The machine, its limits and disks, the journal, the service.
    pub health: Vec<Section>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// A real question, if it was wanted.
    pub probe: Option<Probe>,
}

impl Diagnosis {
    /// Adds a probe: what did not answer does not work.
    #[must_use]
    pub fn with(self, probe: Probe) -> Self {
        let level = if probe.answered { self.level } else { State::Broken.level() };
        Self { works: self.works && probe.answered, level, probe: Some(probe), ..self }
    }
}

/// Looks at everything. `online`: the service may be asked whether it knows the key.
pub async fn examine(settings: &Settings, paths: &Paths, around: Surroundings<'_>, online: bool) -> Diagnosis {
    let auto = Auto::choose(around);
    let kind = |choice: Backend| if choice == Backend::Auto { auto.kind() } else { choice };
    let mut notes = settings.warnings.clone();
    let backends = vec![
        anthropic(around, online).await,
        claude(around, &mut notes),
        Check::new(Backend::Offline.name(), State::Ok, "always there: rules only, nothing is sent"),
    ];
    let choice = Choice {
        asked: settings.backend.name(),
        takes: kind(settings.backend).name(),
        why: if settings.backend == Backend::Auto { auto.why() } else { "it was asked for".to_owned() },
    };
    let defaults = Route::default();
    let tiers: Vec<TierFacts> = settings
        .tiers
        .each()
        .map(|(name, tier)| TierFacts {
            tier: name.name(),
            backend: kind(tier.backend.unwrap_or(settings.backend)).name(),
            model: settings.model.as_ref().or(tier.model.as_ref()).unwrap_or(&defaults.of(name.tier()).model).clone(),
        })
        .into();
    let files = files(settings, paths, around.project);
    let usable = |name: &str| backends.iter().any(|check| check.name == name && check.state.is_usable());
    let health = health::examine(settings, paths, around.project).await;
    let needed = || files.iter().chain(health.iter().flat_map(|section| &section.checks));
    let works = tiers.iter().all(|tier| usable(tier.backend)) && needed().all(|check| check.state != State::Broken);
    let level = match works {
        false => State::Broken.level(),
        true if needed().any(|check| check.state.level() == State::Warn.level()) => State::Warn.level(),
        true => State::Ok.level(),
    };
    Diagnosis {
        schema_version: 1,
        version: env!("CARGO_PKG_VERSION"),
        works,
        level,
        backends,
        choice,
        tiers,
        files,
        health,
        notes,
        probe: None,
    }
}

async fn anthropic(around: Surroundings<'_>, online: bool) -> Check {
    let check = |state, found: String| Check::new(Backend::Anthropic.name(), state, found);
    let Some(name) = around.key() else {
        let words = "neither ANTHROPIC_API_KEY nor ANTHROPIC_AUTH_TOKEN is set";
        return check(State::Absent, words.to_owned()).hint(Some("set ANTHROPIC_API_KEY to ask the Messages API"));
    };
    let api = match Anthropic::from_environment(around.env) {
        Some(Ok(api)) => api,
        Some(Err(error)) => {
            let check = check(State::Broken, format!("{name} is set; {error}"));
            return check.hint(Some("the key is sent only to an https address, or to this machine"));
        }
        None => return check(State::Absent, format!("{name} is empty")),
    };
    if !online {
        let found = format!("{name} is set, for {}; it was not asked", api.host());
        return check(State::Unsure, found).hint(Some("--online asks whether it knows the key, which costs nothing"));
    }
    let began = Instant::now();
    let asked = api.models(PATIENCE).await;
    let took = began.elapsed().as_millis();
    match asked {
        Ok(models) => {
            let found = format!("{name} is set; {} lists {} models in {took} ms", api.host(), models.len());
            check(State::Ok, found)
        }
        Err(failure) => {
            let (state, hint) = meaning(&failure);
            check(state, format!("{name} is set; {}", failure.message)).hint(hint)
        }
    }
}

/// What a failed look at the models says of the backend.
fn meaning(failure: &Failure) -> (State, Option<String>) {
    let (state, hint) = match failure.kind {
        FailureKind::Auth => (State::Broken, "the key was rejected: set a valid one"),
        FailureKind::Network | FailureKind::TimedOut => {
            (State::Broken, "is ANTHROPIC_BASE_URL right, the network there, and HTTPS_PROXY as it should be?")
        }
        FailureKind::Malformed => (State::Broken, "another server answers there: look at ANTHROPIC_BASE_URL"),
        FailureKind::LimitReached { .. } => (State::Broken, "a limit of the account is reached"),
        // A gateway need not list its models.
        _ => (State::Unsure, "--probe asks a real question and finds out"),
    };
    (state, Some(hint.to_owned()))
}

fn claude(around: Surroundings<'_>, notes: &mut Vec<String>) -> Check {
    let check = |state, found: String| Check::new(Backend::ClaudeCli.name(), state, found);
    match claude::find(around) {
        Ok(found) => {
            notes.extend(found.notes.clone());
            let words = format!("{} {} {}", found.program.display(), found.version, found.login);
            match found.login {
                Login::Token | Login::File(_) => check(State::Ok, words),
                Login::Keychain => check(State::Unsure, words).hint(Some("--probe asks a real question and finds out")),
                Login::None => {
                    check(State::Absent, words).hint(ClaudeError::NotLoggedIn { path: found.program }.hint())
                }
            }
        }
        Err(error @ ClaudeError::Nowhere { .. }) => check(State::Absent, error.to_string()).hint(error.hint()),
        Err(error) => check(State::Broken, error.to_string()).hint(error.hint()),
    }
}

fn files(settings: &Settings, paths: &Paths, project: &Path) -> Vec<Check> {
    let settings_file = |name: &'static str, path: &Path| {
        let read = settings.read.iter().any(|read| read == path);
        let state = if read { State::Ok } else { State::Absent };
        Check::new(name, state, path.display().to_string())
    };
    let cache = folder("cache", &paths.cache);
    let cache = match cache.state {
        // Without it, components are compiled for every run.
        State::Broken => Check { state: State::Unsure, ..cache },
        _ => cache,
    };
    vec![
        settings_file("settings", &paths.user_file()),
        settings_file("project", &project.join(PROJECT_FILE)),
        folder("data", &paths.data),
        cache,
    ]
}

/// A folder that must be writable, or one in which it can be made. Nothing is left there.
fn folder(name: &'static str, path: &Path) -> Check {
    let shown = path.display().to_string();
    let there = path.ancestors().find(|folder| folder.exists());
    let tried = match there {
        Some(there) if !there.is_dir() => Err(io::Error::other(format!("{} is not a folder", there.display()))),
        Some(there) => tempfile::tempfile_in(there).map(|_| there == path),
        None => Err(io::Error::other("there is no such place")),
    };
    match tried {
        Ok(true) => Check::new(name, State::Ok, shown),
        Ok(false) => Check::new(name, State::Ok, format!("{shown} (made when it is needed)")),
        Err(error) => {
            let check = Check::new(name, State::Broken, format!("{shown}: {error}"));
            check.hint(Some(format!("make it writable, or set CONVOKE_{}_DIR", name.to_ascii_uppercase())))
        }
    }
}

/// Asks one real question of a few tokens, as a run would, and writes down what it took.
///
/// # Errors
///
/// When the backend can't be used, or what it takes can't be written down.
pub async fn probe(settings: &Settings, journal: Journal, around: Surroundings<'_>) -> Result<Probe, BackendError> {
    let mut lanes = Lanes::take(settings, around)?;
    let route = lanes.route(settings, around.project);
    let run = RunId::new();
    let ledger = JournalLedger {
        journal,
        run,
        unmetered: Arc::default(),
        arms: Arc::default(),
        tried: Arc::default(),
        keeps_decisions: false,
    };
    let config = BrokerConfig { run: Arc::from(run.to_string()), route, ..BrokerConfig::default() };
    let broker = Broker::new(lanes.backends.clone(), Arc::new(ledger), Events::new(), config);
    let asker = Asker { command: Arc::from("doctor"), item: 0, item_id: Arc::from("probe"), again: false };
    let question = Question {
        role: "probe".to_owned(),
        system: Some("You answer with one word.".to_owned()),
        prompt: "Say: ready".to_owned(),
        max_output_tokens: Some(PROBE_TOKENS),
        // Where nobody is meant to be asked, this is the answer.
        fallback: Some("ready, by rules".to_owned()),
        ..Question::default()
    };
    let began = Instant::now();
    let asked = broker.ask(&asker, question, &mut |_| {}).await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    broker.close().await;
    let usage = broker.spent();
    let (answered, by) = match asked.map(|reply| (reply.by, reply.unasked_fallback)) {
        Ok((AnsweredBy::Model(model) | AnsweredBy::Cache(model), _)) => (true, model),
        Ok((AnsweredBy::Fallback(why), unasked)) => (!unasked, why),
        Err(failure) => (false, failure.message),
    };
    let input_tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    Ok(Probe {
        answered,
        requests: usage.requests,
        by: format!("{by} ({})", names(&lanes.backends)),
        took_ms,
        usd: usage.usd,
        input_tokens,
        output_tokens: usage.output_tokens,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Choices;

    fn settings(backend: Backend) -> Settings {
        let chosen = Choices { backend: Some(backend), ..Choices::default() };
        Settings::put_together(Default::default(), Default::default(), chosen)
    }

    async fn examined(backend: Backend, variables: &[(&str, &str)]) -> (Diagnosis, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: folder.path().join("config"),
            data: folder.path().join("data"),
            cache: folder.path().join("cache"),
        };
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let around = Surroundings {
            env: &env,
            project: folder.path(),
            cache: None,
            records: Path::new("/nowhere"),
            most_usd: None,
        };
        (examine(&settings(backend), &paths, around, true).await, folder)
    }

    fn states(diagnosis: &Diagnosis) -> Vec<(&str, State)> {
        diagnosis.backends.iter().map(|check| (check.name, check.state)).collect()
    }

    #[tokio::test]
    async fn with_nothing_rules_alone_work() {
        let (nothing, folder) = examined(Backend::Auto, &[("CLAUDE_CONFIG_DIR", "/nowhere"), ("PATH", "")]).await;
        let expected = [("anthropic", State::Absent), ("claude-cli", State::Absent), ("offline", State::Ok)];
        assert_eq!(states(&nothing), expected);
        assert!(nothing.works && nothing.choice.takes == "offline", "{:?}", nothing.choice);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "looking leaves nothing");
    }

    #[tokio::test]
    async fn what_programs_get_fits_its_schema() {
        let (diagnosis, _folder) = examined(Backend::Auto, &[("CLAUDE_CONFIG_DIR", "/nowhere"), ("PATH", "")]).await;
        let json = serde_json::to_value(&diagnosis).unwrap();
        let schema = crate::report::schema::of::<Diagnosis>();
        assert!(jsonschema::is_valid(&schema, &json), "{json:#}");
        let sections: Vec<_> = diagnosis.health.iter().map(|section| section.name).collect();
        assert_eq!(sections, ["machine", "limits", "disk", "private", "journal", "service"]);
        assert_eq!(json["health"][1]["checks"][0]["name"], "open files");
    }

    #[tokio::test]
    async fn a_backend_that_was_asked_for_and_is_not_there_does_not_work() {
        let (missing, _folder) = examined(Backend::Anthropic, &[("PATH", "")]).await;
        assert!(!missing.works);
        let base = ("ANTHROPIC_BASE_URL", "http://example.com");
        let (broken, _folder) = examined(Backend::Auto, &[("ANTHROPIC_API_KEY", "k"), base]).await;
        assert_eq!((broken.works, broken.backends[0].state), (false, State::Broken));
        assert!(broken.backends[0].found.contains("must be https"), "{:?}", broken.backends[0]);
    }

    #[test]
    fn a_folder_that_is_a_file_can_not_be_used() {
        let folder_of_test = tempfile::tempdir().unwrap();
        let file = folder_of_test.path().join("file");
        std::fs::write(&file, "").unwrap();
        let check = folder("data", &file.join("deeper"));
        assert_eq!(check.state, State::Broken);
        assert!(check.found.contains("is not a folder") && check.hint.unwrap().contains("CONVOKE_DATA_DIR"));
        assert_eq!(folder("data", folder_of_test.path()).state, State::Ok);
    }

    #[test]
    fn only_what_may_yet_answer_is_unsure() {
        let state = |kind| meaning(&Failure::new(kind, "")).0;
        for kind in [FailureKind::Auth, FailureKind::Network, FailureKind::TimedOut, FailureKind::Malformed] {
            assert_eq!(state(kind), State::Broken);
        }
        assert_eq!([state(FailureKind::Invalid), state(FailureKind::Overloaded)], [State::Unsure; 2]);
    }
}
