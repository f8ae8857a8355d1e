//! Configuration: what a user can change, where it stands, and who may change what.
//!
//! The layers, each over the one before: the defaults of the mode ([`limits`]), the user's own `config.toml` ([`user`]),
//! the project's `convoke.toml` ([`project`]), the environment, the command line. **A project's file can only ask and
//! tighten**: it may be anybody's. What it asks for beyond the user's own settings is not done, and said.

pub mod actions;
pub mod alerts;
pub mod audit;
pub mod cache;
pub(crate) mod document;
pub mod error;
pub mod files;
pub mod http;
pub mod install;
pub mod journal;
pub mod limits;
pub mod metrics;
mod operations;
pub mod origin;
pub mod paths;
pub mod plugins;
pub mod policy;
mod prices;
pub mod process;
pub mod project;
pub mod quotas;
pub mod tiers;
pub mod traces;
pub mod user;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use convoke_runtime::money::Usd;
use convoke_runtime::prices::ListPrice;
use convoke_runtime::work::Severity;
use jiff::civil::Date;
use serde::Deserialize;

use crate::report::baseline::Baseline;
use crate::report::suppress::{Filters, Override, Suppression};

pub use actions::Allow;
pub use alerts::AlertSettings;
pub use audit::AuditKeep;
pub use cache::Cache;
pub use error::ConfigError;
pub use http::Http;
pub use install::Install;
pub use journal::JournalKeep;
pub use limits::{Budget, Limits, Mode, Scan};
pub use metrics::MetricsSettings;
pub use paths::{Paths, project_root};
pub use plugins::{Pin, Pins};
pub use policy::{By, PolicyChoice};
pub use process::Process;
pub use quotas::Quotas;
pub use tiers::{Ab, ClaudeMd, TierName, TierSettings, Tiers};
pub use traces::Traces;

/// The version of `config.toml` and `convoke.toml` that is read. A file without a version has it.
pub const VERSION: u32 = 1;

/// Who answers questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The first that is there; without any, `offline`, and it is said.
    #[default]
    Auto,
    /// Anthropic's Messages API.
    Anthropic,
    /// The user's own `claude` program, with its login.
    ClaudeCli,
    /// Nobody: questions are answered by their own fallback.
    Offline,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Anthropic, Self::ClaudeCli, Self::Offline];

    /// The name in files and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Anthropic => "anthropic",
            Self::ClaudeCli => "claude-cli",
            Self::Offline => "offline",
        }
    }
}

/// From which severity on findings make the exit code 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailOn {
    /// From none.
    #[default]
    Never,
    /// See [`Severity::Critical`].
    Critical,
    /// See [`Severity::High`].
    High,
    /// See [`Severity::Medium`].
    Medium,
    /// See [`Severity::Low`].
    Low,
    /// See [`Severity::Info`].
    Info,
}

impl FailOn {
    /// All of them, each stricter than the one before.
    pub const ALL: [Self; 6] = [Self::Never, Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// The severity, if any.
    pub const fn severity(self) -> Option<Severity> {
        match self {
            Self::Never => None,
            Self::Critical => Some(Severity::Critical),
            Self::High => Some(Severity::High),
            Self::Medium => Some(Severity::Medium),
            Self::Low => Some(Severity::Low),
            Self::Info => Some(Severity::Info),
        }
    }

    /// The name in files and options.
    pub fn name(self) -> &'static str {
        self.severity().map_or("never", Severity::name)
    }
}

/// A name that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wrong} is none of {}{}", known.join(", "), near.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
pub struct UnknownName {
    wrong: String,
    known: Vec<&'static str>,
    near: Option<&'static str>,
}

fn named<T: Copy>(name: &str, all: &[T], name_of: impl Fn(T) -> &'static str) -> Result<T, UnknownName> {
    all.iter().copied().find(|one| name_of(*one) == name).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| name_of(*one)).collect();
        let wrong = crate::report::clean::line(&crate::report::clean::bounded(name, 64));
        UnknownName { wrong, near: nearest(name, known.iter().copied()), known }
    })
}

impl FromStr for Mode {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named(name, &Self::ALL, Self::name)
    }
}

impl FromStr for Backend {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named(name, &Self::ALL, Self::name)
    }
}

impl FromStr for FailOn {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named(name, &Self::ALL, Self::name)
    }
}

/// What the environment and the command line can choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// `CONVOKE_MODE`, `--mode`.
    pub mode: Option<Mode>,
    /// `CONVOKE_BACKEND`, `--backend`.
    pub backend: Option<Backend>,
    /// `CONVOKE_MODEL`, `--model`.
    pub model: Option<String>,
    /// `CONVOKE_TIER`, `--tier`.
    pub tier: Option<TierName>,
    /// `--ab`.
    pub ab: Option<Ab>,
    /// `CONVOKE_INSTANCES`, `--instances`.
    pub instances: Option<u32>,
    /// `CONVOKE_FAIL_ON`, `--fail-on`.
    pub fail_on: Option<FailOn>,
    /// `CONVOKE_BUDGET_USD`, `--budget-usd`: for this run.
    pub budget_usd: Option<Usd>,
    /// `CONVOKE_POLICY`, `--policy`: a name or a path, and which of them said so.
    pub policy: Option<(String, By)>,
}

impl Choices {
    /// What the environment says; an empty variable says nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Environment`].
    pub fn from_environment(env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        fn read<T: FromStr<Err: ToString>>(
            env: impl Fn(&str) -> Option<String>,
            name: &'static str,
        ) -> Result<Option<T>, ConfigError> {
            let Some(value) = env(name).filter(|value| !value.trim().is_empty()) else { return Ok(None) };
            let wrong = |error: T::Err| ConfigError::Environment { name, hint: error.to_string() };
            value.trim().parse().map(Some).map_err(wrong)
        }
        let budget = env("CONVOKE_BUDGET_USD").filter(|value| !value.trim().is_empty());
        let budget_usd = budget.as_deref().map(limits::dollars).transpose();
        let instances: Option<u32> = read(&env, "CONVOKE_INSTANCES")?;
        if let Some(instances) = instances {
            limits::check_instances(instances)
                .map_err(|hint| ConfigError::Environment { name: "CONVOKE_INSTANCES", hint })?;
        }
        Ok(Self {
            mode: read(&env, "CONVOKE_MODE")?,
            backend: read(&env, "CONVOKE_BACKEND")?,
            model: read(&env, "CONVOKE_MODEL")?,
            tier: read(&env, "CONVOKE_TIER")?,
            ab: None,
            instances,
            fail_on: read(&env, "CONVOKE_FAIL_ON")?,
            policy: env("CONVOKE_POLICY")
                .filter(|name| !name.trim().is_empty())
                .map(|name| (name.trim().to_owned(), By::Environment)),
            budget_usd: budget_usd.map_err(|hint| ConfigError::Environment { name: "CONVOKE_BUDGET_USD", hint })?,
        })
    }

    /// These, and those of the other where these choose nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            backend: self.backend.or(other.backend),
            model: self.model.or(other.model),
            tier: self.tier.or(other.tier),
            ab: self.ab.or(other.ab),
            instances: self.instances.or(other.instances),
            fail_on: self.fail_on.or(other.fail_on),
            budget_usd: self.budget_usd.or(other.budget_usd),
            policy: self.policy.or(other.policy),
        }
    }
}

/// All layers together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// It sets the limits that nothing else sets.
    pub mode: Mode,
    /// Who answers.
    pub backend: Backend,
    /// The model that is asked, whatever the tier; none: the tiers'.
    pub model: Option<String>,
    /// Where the questions of each tier go. What goes before them is taken out of them.
    pub tiers: Tiers,
    /// The tier of every question; none: the question's, or what it needs.
    pub tier: Option<TierName>,
    /// Two tiers that are compared.
    pub ab: Option<Ab>,
    /// From which severity on findings fail the run.
    pub fail_on: FailOn,
    /// Whether the user says so; else a command may be stricter by itself.
    pub fail_on_is_named: bool,
    /// What may be used at once, and how long it may take.
    pub limits: Limits,
    /// What each program may take that a plugin runs.
    pub process: Process,
    /// What a run may spend.
    pub budget: Budget,
    /// What may be spent in a time.
    pub quotas: Quotas,
    /// What one fetch of a plugin may take.
    pub http: Http,
    /// What is kept of answers.
    pub cache: Cache,
    /// Which actions run without asking, with `--yes`.
    pub actions: Allow,
    /// Where plugins come from.
    pub install: Install,
    /// What is kept of runs.
    pub journal: JournalKeep,
    /// How large and how long the audit log is.
    pub audit: AuditKeep,
    /// Where the numbers of runs can be had.
    pub metrics: MetricsSettings,
    /// From where on there is an alert, and who is told.
    pub alerts: AlertSettings,
    /// What traces tell.
    pub traces: Traces,
    /// Which policy decides.
    pub policy: PolicyChoice,
    /// What models cost, where the user says so.
    pub prices: Vec<ListPrice>,
    /// The commands that the project pins.
    pub plugins: Pins,
    /// The project's severities.
    pub severity: BTreeMap<String, Override>,
    /// The project's suppressions.
    pub suppressions: Vec<Suppression>,
    /// Whether comments in files may suppress findings in them.
    pub suppress_comments: bool,
    /// The files that were read.
    pub read: Vec<PathBuf>,
    /// What the project asked for and did not get.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads the user's and the project's file, where they are, and puts all layers together. `env` gives the value of
    /// an environment variable; `flags` are the command line's.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn load(
        user_file: &Path,
        project_file: &Path,
        env: impl Fn(&str) -> Option<String>,
        flags: Choices,
    ) -> Result<Self, ConfigError> {
        let mut read = Vec::new();
        let mut text_of = |path: &Path| -> Result<Option<String>, ConfigError> {
            let text = document::read(path)?;
            read.extend(text.as_ref().map(|_| path.to_owned()));
            Ok(text)
        };
        let user = text_of(user_file)?.map_or(Ok(user::User::default()), |text| user::parse(user_file, &text))?;
        let project = text_of(project_file)?
            .map_or(Ok(project::Project::default()), |text| project::parse(project_file, &text))?;
        let chosen = flags.or(Choices::from_environment(env)?);
        let mut settings = Self::put_together(user, project, chosen);
        settings.read = read;
        Ok(settings)
    }

    /// The layers, in their order.
    pub fn put_together(user: user::User, project: project::Project, chosen: Choices) -> Self {
        let mut refused = project::Refused::new(&project.lines);
        let mut mode = user.mode.unwrap_or_default();
        project.tighten_mode(&mut mode, &mut refused);
        let mode = chosen.mode.unwrap_or(mode);

        let mut limits = Limits::of(mode);
        user.limits.replace(&mut limits);
        let users = limits.clone();
        project.limits.lower(&mut limits, &mut refused);
        if let Some(instances) = chosen.instances {
            limits.instances = instances;
            limits.named.instances = true;
        }
        let mut process = user.process.of_user();
        project.process.lower(&mut process, &mut refused);
        let mut budget = user.budget;
        limits::lower_budget(&mut budget, &project.budget, &mut refused);
        budget.usd = chosen.budget_usd.or(budget.usd);

        let mut http = Http::default();
        user.http.replace(&mut http);
        project.http.lower(&mut http, &mut refused);

        let mut quotas = Quotas::of(user.quotas);
        quotas.tighten(project.quotas.clone(), &mut refused);

        let mut backend = user.backend.unwrap_or_default();
        project.tighten_backend(&mut backend, &mut refused);
        project.refuse_tiers(&mut refused);
        project.refuse_policy(&mut refused);
        let mut tiers = user.tiers;
        for tier in tiers.each_mut() {
            if chosen.backend.is_some() || project.backend == Some(Backend::Offline) {
                tier.backend = None;
            }
            // What a project has lowered is lower for every tier.
            let lower = |own: &mut Option<Duration>, now: Duration, before: Duration| {
                *own = own.map(|own| if now < before { own.min(now) } else { own });
            };
            lower(&mut tier.question_timeout, limits.question_timeout, users.question_timeout);
            lower(&mut tier.stall_timeout, limits.stall_timeout, users.stall_timeout);
        }
        let model = chosen.model.or_else(|| tiers::model_of_all(user.model, &mut tiers));
        let fail_on_is_named = user.fail_on.or(chosen.fail_on).is_some();
        let mut fail_on = user.fail_on.unwrap_or_default();
        project.tighten_fail_on(&mut fail_on, &mut refused);

        let warnings = refused.all;
        Self {
            mode,
            backend: chosen.backend.unwrap_or(backend),
            model,
            tiers,
            tier: chosen.tier,
            ab: chosen.ab,
            fail_on: chosen.fail_on.unwrap_or(fail_on),
            fail_on_is_named,
            limits,
            process,
            budget,
            quotas,
            http,
            cache: user.cache,
            actions: user.actions,
            install: user.install,
            journal: user.journal,
            audit: user.audit,
            metrics: user.metrics,
            alerts: user.alerts,
            traces: user.traces,
            policy: user.policy.under(chosen.policy),
            prices: user.prices,
            plugins: project.plugins,
            severity: project.severity,
            suppressions: project.suppressions,
            suppress_comments: user.suppress_comments.unwrap_or(true) && project.suppress_comments.unwrap_or(true),
            read: Vec::new(),
            warnings,
        }
    }

    /// What filters the findings of a run on that day.
    pub fn filters(&self, baseline: Option<Baseline>, today: Date) -> Filters {
        Filters {
            severity: self.severity.clone(),
            suppressions: self.suppressions.clone(),
            comments: self.suppress_comments,
            baseline,
            today,
        }
    }
}

pub use convoke_runtime::near::nearest;

#[cfg(test)]
mod tests;
