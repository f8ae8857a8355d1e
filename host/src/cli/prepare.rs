//! What a run of a command is made of, put together before anything runs.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::event::Events;
use convoke_runtime::journal::Journal;
use convoke_runtime::limiter::LimiterConfig;
use convoke_runtime::machine::Meter;
use convoke_runtime::policy::builtin::Profile;
use convoke_runtime::prices::Prices;
use convoke_runtime::route::{PluginTools, Route};
use convoke_runtime::scan::ScanMode;
use convoke_runtime::watch::WatchConfig;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::error::CliError;
use super::options::Options;
use super::taped::{Player, Taped};
use super::terminal::say;
use super::{Runnable, cache, grants};
use crate::actions::process::Machinery;
use crate::audit::{Audit, Trail};
use crate::backends::tiers::{Lanes, names, route_name};
use crate::backends::{Surroundings, variable};
use crate::config::{self, Paths, Scan, Settings, project_root};
use crate::plugin::engine::Engine;
use crate::plugin::grants::words::no_tool;
use crate::plugin::inspect::inspect_unless_compiled;
use crate::plugin::operations::{Exclusive, Kind, Operations};
use crate::plugin::outside::http::{Fetcher, Proxy};
use crate::plugin::outside::process::Processes;
use crate::plugin::outside::{Outside, Quotas};
use crate::plugin::project::{Limits as ProjectLimits, resolve_typed_path};
use crate::plugin::sandbox::{Caps, Invocation, Sandbox};
use crate::policy::{InUse, Policies};
use crate::recording::{About, PluginVersion};
use crate::report::baseline::Baseline;
use crate::report::clean;
use crate::run::Session;
use crate::run::assess::Identity;
use crate::run::since::Since;

/// What is known before anything runs.
pub(super) struct Prepared {
    pub(super) session: Session,
    pub(super) baseline: Option<Baseline>,
    pub(super) today: Date,
    /// Which backend `auto` took, and why.
    pub(super) said: Option<String>,
    pub(super) taped: Taped,
    /// What decides; none: nothing but what was recorded.
    pub(super) policy: Option<InUse>,
    pub(super) paths: Paths,
    /// Where it is written what is done, whatever the run is.
    pub(super) audit: Audit,
}

/// Puts together what a run needs. `beside`: a run of the same process with the same options, of which this one takes the
/// journal, the engine, and those who answer.
pub(super) fn prepare(
    runnable: &Runnable,
    matches: &ArgMatches,
    options: &Options,
    beside: Option<&Session>,
) -> Result<Prepared, CliError> {
    // Begun early, so that there is something to say when workers are counted.
    let meter = beside.map_or_else(|| Arc::new(Meter::new()), |first| first.meter.clone());
    let env = |name: &str| std::env::var(name).ok();
    let cwd =
        std::env::current_dir().map_err(|error| CliError::usage(format!("there is no working folder: {error}")))?;
    let mut taped = Taped::of(options, &runnable.manifest.name)?;
    let root = match taped.player() {
        Some(_) => cwd.clone(),
        None => project_folder(options.project.as_deref())?,
    };
    let paths = Paths::find(env)?;
    let audit = beside.map(|first| first.sandbox.outside.trail.uncounted()).filter(Audit::is_on);
    let audit = audit.unwrap_or_else(|| Audit::of(&paths));
    let mut settings =
        Settings::load(&paths.user_file(), &taped.project_file(&root), env, taped.choices(options.choices())?)?;

    let mut mounts = Vec::new();
    let typed = runnable.manifest.arguments(matches, |typed| Ok::<_, CliError>(typed.to_owned()))?;
    let arguments = match taped.player() {
        Some(player) => player.arguments(&typed)?,
        None => runnable.manifest.arguments(matches, |typed| {
            let typed = resolve_typed_path(&cwd, &root, typed)?;
            mounts.extend(typed.mount);
            Ok::<_, CliError>(typed.name)
        })?,
    };
    mounts.dedup();
    let operations = match beside {
        Some(first) => first.operations.clone(),
        None => Operations::new(&settings.limits.operations, Some(paths.locks())),
    };
    let project = taped.project(&root, mounts, project_limits(&settings.limits))?.sharing(operations.clone());
    let since = match (beside, taped.player()) {
        (Some(first), _) => first.since.clone(),
        (None, Some(player)) => player.since(),
        (None, None) => options.since.as_deref().map(|revision| changed_since(&paths, &root, revision)).transpose()?,
    };
    let baseline = options.baseline.as_deref().map(|file| Baseline::read(file, &runnable.name)).transpose();
    let baseline = baseline.map_err(|error| CliError::usage(error.to_string()))?;

    let component = runnable.bytes()?;
    let caps = Caps {
        memory: usize::try_from(settings.limits.plugin_memory).unwrap_or(usize::MAX),
        fuel: settings.limits.plugin_fuel,
        own_time: settings.limits.worker_timeout,
    };
    // Meanwhile: it waits for the disk. A replay leaves nothing behind that a real run could take for done.
    let opening = (beside.is_none() && taped.player().is_none()).then(|| {
        let path = paths.journal();
        std::thread::spawn(move || Journal::open(&path))
    });
    let engine = match beside {
        Some(first) => first.sandbox.engine.clone(),
        None => Arc::new(Engine::new(caps.memory)?),
    };
    let plugin = inspect_unless_compiled(&component, |digest| engine.is_compiled(digest, &paths.components()))
        .map_err(|error| CliError::usage(format!("{}: {error}", runnable.name)).hint(error.hint()))?;
    let granted = grants::of_a_run(runnable, &plugin, &paths, &audit, taped.player().is_some())?;
    settings.warnings.extend(grants::lower_budget(&mut settings.budget, granted.claude.usd));
    let loaded = engine.load(&runnable.name, &plugin.digest, &component, Some(&paths.components()))?;
    let journal = match (beside, opening) {
        (Some(first), _) => first.journal.clone(),
        (None, Some(opening)) => opening.join().unwrap_or_else(|panic| resume_unwind(panic))?,
        (None, None) => Journal::in_memory()?,
    };
    let records = paths.instances();
    let around = Surroundings {
        env: &variable,
        project: &root,
        cache: Some(&paths.cache),
        records: &records,
        most_usd: settings.limits.most_usd().into_iter().chain(settings.budget.usd).min(),
    };
    let mut lanes = match (beside, taped.player()) {
        (Some(first), _) => Lanes { backends: first.backends.clone(), ..Lanes::default() },
        (None, Some(player)) => Lanes::only(player.backend()),
        (None, None) => Lanes::take(&settings, around)?,
    };
    let events = Events::new();
    let policy = match taped.player() {
        Some(_) => None,
        None => Some(policy_of(&paths, &root, &cwd, &settings, &events, &audit)?),
    };
    let mut broker = match beside {
        Some(first) => first.broker.clone(),
        None => taped.broker(broker(&settings, lanes.route(&settings, &root), policy.as_ref())?),
    };
    // A replay asks what was asked.
    broker.route.plugin_tools = taped
        .player()
        .is_none()
        .then(|| PluginTools { granted: granted.claude.tools.clone(), otherwise: no_tool(&runnable.name) });
    settings.warnings.extend(std::mem::take(&mut lanes.notes));
    let has_model = lanes.backends.iter().any(|backend| backend.has_model());
    // A recording needs all answers, a replay none.
    if has_model && !options.dry_run && !taped.is_fresh() && beside.is_none() {
        broker.responses = cache::of_a_run(&paths, &mut settings, options);
    }
    let today = taped.player().map(Player::today);
    let today = today.unwrap_or_else(|| Timestamp::now().to_zoned(TimeZone::UTC).date());
    taped.is_about(|| {
        let plugin = PluginVersion {
            name: plugin.manifest.name.clone(),
            version: plugin.manifest.version.to_string(),
            digest: plugin.digest.clone(),
        };
        let how = (settings.mode.name(), settings.limits.instances);
        let who = names(&lanes.backends);
        let who = (who.as_str(), has_model);
        About::new(&runnable.manifest.name, plugin, &typed, &arguments, since.clone(), how, who, &broker.route, today)
    });
    broker.policy = policy.as_ref().map(|policy| policy.slot.clone());
    if options.record.is_some() && policy.as_ref().is_some_and(|policy| policy.said().is_some()) {
        let message = "what is recorded goes where it would go without a policy, so that it can be replayed without it";
        settings.warnings.push(message.to_owned());
    }
    let quotas =
        beside.map_or_else(|| Quotas::new(settings.quotas.named.clone()), |first| first.sandbox.outside.quotas.clone());
    let store = taped.store(&paths.stores(), &runnable.owner(), &root.to_string_lossy());
    // A replay runs nothing.
    let runs_programs = taped.player().is_none() && !granted.process.is_empty();
    let processes = runs_programs.then(|| processes(&paths, &root, &settings)).flatten().map(Arc::new);
    // A replay does nothing, and a plan is not carried out.
    let leaves_a_trail = taped.player().is_none() && !options.dry_run;
    let trail = Trail::begin(if leaves_a_trail { audit.clone() } else { Audit::off() }, &plugin.manifest.name);
    let outside = Arc::new(Outside {
        plugin: plugin.manifest.name.clone(),
        typed: runnable.name.clone(),
        asked: plugin.manifest.capabilities.clone(),
        granted,
        root: root.clone(),
        operations: operations.clone(),
        fakes: None,
        quotas: quotas.clone(),
        http: Fetcher::new(settings.http, operations.clone(), quotas, Proxy::of_environment(env)),
        store: store.clone(),
        tape: taped.outside(),
        processes,
        trail,
    });
    let project = project.beside(store);
    let call = Invocation {
        subcommand: arguments.subcommand.clone(),
        arguments: arguments.json.to_string(),
        paths: arguments.paths.clone(),
        today: today.to_string(),
    };
    let session = Session {
        command: runnable.manifest.name.clone(),
        identity: Identity {
            plugin_digest: plugin.digest.clone(),
            subcommand: arguments.subcommand,
            arguments: arguments.json,
            route: route_name(&lanes.backends, &broker.route),
            project: root.to_string_lossy().into_owned(),
        },
        plugin,
        sandbox: Sandbox { engine, plugin: loaded, project, outside, call, caps, events: events.clone(), fixed: None },
        journal,
        backends: lanes.backends,
        broker,
        events,
        meter,
        whole_project: arguments.paths.is_empty() && since.is_none(),
        since,
        fresh: options.fresh || taped.is_fresh(),
        typed: None,
        resume: None,
        explain: options.explain,
        settings,
        operations,
        claims: None,
        lanes: None,
        asks: None,
        steering: Arc::default(),
    };
    Ok(Prepared { session, baseline, today, said: lanes.said, taped, policy, paths, audit })
}

/// What runs the programs of plugins; none where convoke itself can't be found.
fn processes(paths: &Paths, project: &Path, settings: &Settings) -> Option<Processes> {
    let machinery = Machinery { warden: std::env::current_exe().ok()?, records: paths.instances() };
    Some(Processes::new(variable, project, machinery, settings.process))
}

/// The policy that is chosen, loaded.
fn policy_of(
    paths: &Paths,
    project: &Path,
    cwd: &Path,
    settings: &Settings,
    events: &Events,
    audit: &Audit,
) -> Result<InUse, CliError> {
    let (own, kept, audit) = (paths.policies(), paths.components(), audit.clone());
    let place = crate::policy::Place { own, project: Some(project.to_owned()), kept, audit };
    let policies = Policies { place, folder: cwd.to_owned() };
    Ok(InUse::prepare(policies, settings.policy.clone(), settings.mode.for_policies(), events.clone())?)
}

/// The project's folder, with no link in it: the one that was named, else the nearest.
pub(super) fn project_folder(named: Option<&Path>) -> Result<PathBuf, CliError> {
    let cwd =
        std::env::current_dir().map_err(|error| CliError::usage(format!("there is no working folder: {error}")))?;
    let folder = named.map_or_else(|| project_root(&cwd), |folder| cwd.join(folder));
    let real = std::fs::canonicalize(&folder)
        .map_err(|error| CliError::usage(format!("the project's folder {}: {error}", folder.display())))?;
    if real.is_dir() { Ok(real) } else { Err(CliError::usage(format!("{} is not a folder", folder.display()))) }
}

/// Asks git, which no two processes use at once.
fn changed_since(paths: &Paths, root: &Path, revision: &str) -> Result<Since, CliError> {
    let _git = Exclusive::hold(&paths.locks(), Kind::Git, |what| say(&clean::line(&what)))
        .map_err(|error| CliError::usage(error.to_string()))?;
    Ok(Since::new(root, revision)?)
}

fn project_limits(limits: &config::Limits) -> ProjectLimits {
    ProjectLimits { read_bytes: limits.read_bytes, ..ProjectLimits::default() }
}

fn broker(settings: &Settings, route: Route, policy: Option<&InUse>) -> Result<BrokerConfig, CliError> {
    let limits = &settings.limits;
    let mut prices = Prices::built_in();
    for price in &settings.prices {
        prices.set(price).map_err(|error| CliError::usage(error.to_string()))?;
    }
    let mode = settings.mode.for_policies();
    let profile = policy.map_or_else(|| Profile::of(mode), InUse::profile);
    let limiter = LimiterConfig {
        mode,
        start: profile.adapt.begins_with(limits.named.instances) as usize,
        explicit: limits.named.instances,
        ..LimiterConfig::default()
    };
    Ok(BrokerConfig {
        route,
        scan: match limits.scan {
            Scan::Strict => ScanMode::Strict,
            Scan::Standard => ScanMode::Standard,
            Scan::Basic => ScanMode::Basic,
        },
        admission: AdmissionConfig { instances: limits.instances as usize, limiter, ..AdmissionConfig::default() },
        watch: WatchConfig { most_usd: limits.most_usd(), ..WatchConfig::default() },
        mode,
        seed: std::process::id().into(),
        prices,
        quotas: settings.quotas.scoped.clone().into(),
        ..BrokerConfig::default()
    })
}
