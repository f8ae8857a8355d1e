//! A command of a plugin: from what was typed to its report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::event::Events;
use convoke_runtime::journal::{Journal, Typed};
use convoke_runtime::limiter::LimiterConfig;
use convoke_runtime::machine::Meter;
use convoke_runtime::policy::builtin::Profile;
use convoke_runtime::prices::Prices;
use convoke_runtime::route::{PluginTools, Route};
use convoke_runtime::scan::ScanMode;
use convoke_runtime::shared::Shared;
use convoke_runtime::watch::WatchConfig;
use convoke_runtime::work::Status;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::carry_out::CarryOut;
use super::error::CliError;
use super::options::{Format, Options};
use super::runs::prune;
use super::taped::{Player, Taped};
use super::terminal::{Terminal, deliver, put, say};
use super::{Runnable, cache, grants, plan, report, signals, watching};
use crate::actions::process::Machinery;
use crate::apply::Place;
use crate::apply::recover::recover;
use crate::audit::watch::Watch;
use crate::audit::{Audit, Trail};
use crate::backends::tiers::{Lanes, names, route_name};
use crate::backends::{Surroundings, variable};
use crate::config::{self, Budget, Paths, Scan, Settings, project_root};
use crate::logs::{Format as LogFormat, To};
use crate::observe::{Observers, Runs};
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
use crate::progress::{Detail, Show, show};
use crate::recording::{About, PluginVersion};
use crate::report::baseline::Baseline;
use crate::report::go_on::how_to_go_on;
use crate::report::human::{Style, Verbosity};
use crate::report::{ExitCode, Report, RuleInfo, clean, documents, human, json, markdown, sarif};
use crate::run::assess::Identity;
use crate::run::execute::Stop;
use crate::run::fault::guarded;
use crate::run::resume::Resume;
use crate::run::since::Since;
use crate::run::{Session, beside, money};

/// The longest command line that is shown, in characters.
const LONGEST_LINE: usize = 1_000;

/// Runs it.
pub(super) fn run(
    runnable: &Runnable,
    matches: &ArgMatches,
    options: &Options,
    typed: Option<Typed>,
) -> Result<ExitCode, CliError> {
    if options.dry_run && options.format == Format::Html {
        return Err(CliError::usage("a plan has no page").hint(Some("leave out --format html, or --dry-run")));
    }
    let terminal = Terminal::find(options.color).beside(options.logs.begin()?);
    report::is_readable(options.format, options.output.as_deref(), &terminal)?;
    let carry_out = CarryOut::of(options)?;
    let mut prepared = prepare(runnable, matches, options, None)?;
    // A recording is of one run from its beginning to its end, and a replay is not written down.
    prepared.session.typed = typed.filter(|_| matches!(prepared.taped, Taped::No));
    in_runtime(go(prepared, options, &terminal, carry_out))
}

/// Runs it to its end, on all processors. A fault of convoke's own is an error, after which nothing is drawn any more.
pub(super) fn in_runtime<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::nothing(format!("no threads can be started: {error}")))?;
    let done = runtime.block_on(guarded(work)).unwrap_or_else(|said| {
        let error = CliError::nothing(format!("convoke itself had a fault, and ended there: {said}"));
        Err(error.hint(Some("what was done is in the journal; the same again goes on")))
    });
    // What still runs holds nothing that matters: all that was done is in the journal.
    runtime.shutdown_background();
    done
}

/// What is known before anything runs.
pub(super) struct Prepared {
    pub(super) session: Session,
    baseline: Option<Baseline>,
    pub(super) today: Date,
    /// Which backend `auto` took, and why.
    pub(super) said: Option<String>,
    taped: Taped,
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
    let engine = match beside {
        Some(first) => first.sandbox.engine.clone(),
        None => Arc::new(Engine::new(caps.memory)?),
    };
    let plugin = inspect_unless_compiled(&component, |digest| engine.is_compiled(digest, &paths.components()))
        .map_err(|error| CliError::usage(format!("{}: {error}", runnable.name)).hint(error.hint()))?;
    let granted = grants::of_a_run(runnable, &plugin, &paths, &audit, taped.player().is_some())?;
    settings.warnings.extend(grants::lower_budget(&mut settings.budget, granted.claude.usd));
    let loaded = engine.load(&runnable.name, &plugin.digest, &component, Some(&paths.components()))?;
    // A replay leaves nothing behind that a real run could take for done.
    let journal = match beside {
        Some(first) => first.journal.clone(),
        None if taped.player().is_some() => Journal::in_memory()?,
        None => Journal::open(&paths.journal())?,
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
    let today = today.unwrap_or_else(|| Zoned::now().with_time_zone(TimeZone::UTC).date());
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

/// Runs it to its report.
pub(super) async fn go(
    prepared: Prepared,
    options: &Options,
    terminal: &Terminal,
    carry_out: Option<CarryOut>,
) -> Result<ExitCode, CliError> {
    let Prepared { mut session, baseline, today, said, taped, policy, paths, audit } = prepared;
    let trail = session.sandbox.outside.trail.clone();
    if let Some(resume) = &session.resume {
        trail.goes_on(resume.detail.row.run.id);
    }
    // It hears of the policy that the run begins with.
    let audited = Watch::begin(&trail, &session.events);
    // What a replay answers was paid when it was recorded.
    if taped.player().is_none() {
        let spent = session.resume.as_ref().map(Resume::spent);
        session.broker.budget = money::budget(session.settings.budget, &session.journal, spent).await?;
    }
    let chosen = policy.as_ref().and_then(InUse::said);
    let _swaps = match policy {
        Some(policy) => Some(policy.start().await),
        None => None,
    };
    mend(&paths, &session.journal, &audit).await;
    // A replay does nothing that another one could do.
    if taped.player().is_none() && !options.dry_run {
        beside::join(&paths, &mut session);
    }
    // A plan can run programs too.
    let shared = match taped.player() {
        None => share_quotas(&paths, &mut session),
        Some(_) => None,
    };
    let planned = session.plan().await?;
    if options.dry_run {
        let is_limited = session.settings.budget != Budget::default();
        let rehearsed = if options.show_prompts || is_limited { Some(session.rehearse(&planned).await?) } else { None };
        put(&plan::render(&session, &planned, rehearsed.as_deref(), options), options.output.as_deref())?;
        return Ok(ExitCode::Success);
    }
    let wanted = watching::wanted(options, &session.settings)?;
    // A replay tells nobody outside.
    session.settings.alerts.enabled &= taped.player().is_none();
    session.broker.plugin = Arc::from(session.plugin.manifest.name.as_str());
    // Without a model nothing is taken of any limit.
    if taped.player().is_none() && session.has_model() {
        let open = || money::shared(&paths, &session.broker.budget, &mut session.settings.warnings);
        session.broker.shared = Some(shared.unwrap_or_else(open));
    }
    if let Some(chosen) = chosen.filter(|_| !options.quiet) {
        announce(&chosen, terminal);
    }
    match (taped.player(), said) {
        _ if options.quiet => {}
        (Some(player), _) => player.announce(),
        (None, Some(said)) => announce(&said, terminal),
        (None, None) => {}
    }
    let shown = show(&session.events, how(options, terminal), detail(options, terminal));
    let stop = Stop::default();
    let runs = Runs { runs: vec![(&session.command, &session)], common: None, paths: Some(&paths) };
    let (mut observers, unwatched) = Observers::begin(&runs, wanted);
    notice(&unwatched);
    let under_way = signals::under_way(&stop, &session.events);
    let filters = session.settings.filters(baseline.clone(), today);
    let report = session.run(planned, &filters, &stop).await;
    shown.end().await;
    drop(under_way);
    let mut report = report?;
    let before = report.status;
    if let Some(carry_out) = carry_out {
        carry_out.after(&session, &paths, &mut report, terminal).await;
    }
    audited.end(&mut report).await;
    session.amend(&mut report, before).await;
    let mut noticed = observers.ended(&[&report]).await;
    // Before the report, which nobody may be reading; what is wrong with it is said after.
    let recorded = taped.end(&report, options.quiet);
    let rendered = match options.format {
        Format::Html => report::page_of(&session.journal, &report).await?,
        _ => rendered(&report, &session, options, terminal)?,
    };
    let page = report::timings(&paths, &session.journal, (&report, None), options).await;
    let code = match handed_out([&report], options, terminal) {
        Some(text) => {
            let code = delivered(&text, options, terminal, report.exit_code());
            beside(&rendered);
            code
        }
        None => delivered(&rendered, options, terminal, report.exit_code()),
    };
    let code = ExitCode::strongest([code, report::paged([page], options, terminal)]);
    go_on(&report, options);
    noticed.extend(observers.close().await);
    notice(&noticed);
    if let Some(file) = &options.write_baseline {
        let written = Baseline::of(&report, baseline.as_ref()).write(file);
        written.map_err(|error| CliError::usage(error.to_string()))?;
    }
    recorded?;
    prune::tidy(&session.journal, &session.settings).await;
    close(session);
    Ok(code)
}

/// What those who watched have to say of themselves.
pub(super) fn notice(said: &[String]) {
    said.iter().for_each(|line| say(&format!("warning: {}", clean::line(line))));
}

/// What the plugin does outside is counted together with what others do. None: it may do nothing there.
pub(super) fn share_quotas(paths: &Paths, session: &mut Session) -> Option<Arc<Shared>> {
    let outside = &session.sandbox.outside;
    if outside.granted.is_empty() {
        return None;
    }
    let shared = money::shared(paths, &session.broker.budget, &mut session.settings.warnings);
    outside.quotas.share(shared.clone());
    Some(shared)
}

/// The journal and the kept answers are closed at the same time: each waits for the disk.
fn close(session: Session) {
    let Session { sandbox, broker, journal, .. } = session;
    // The memory of all sandboxes goes with the process, faster than piece by piece.
    std::mem::forget(sandbox.engine);
    std::thread::scope(|scope| {
        scope.spawn(|| drop(broker));
        drop(journal);
    });
}

/// Mends what a crash left of earlier edits, before anything looks at the project.
pub(super) async fn mend(paths: &Paths, journal: &Journal, audit: &Audit) {
    recover(&Place::of(paths, journal, audit)).await.iter().for_each(|line| say(&clean::line(line)));
}

/// Which backend `auto` took, and why: on standard error, whatever the form of the report.
pub(super) fn announce(said: &str, terminal: &Terminal) {
    say(&clean::line(said));
    if terminal.live {
        // The report comes next.
        say("");
    }
}

/// How much is told while it runs.
pub(super) fn detail(options: &Options, terminal: &Terminal) -> Detail {
    Detail { logs: options.verbose > 0, color: terminal.err_color, unicode: terminal.unicode }
}

pub(super) fn how(options: &Options, terminal: &Terminal) -> Show {
    // Lines of JSON say all that lines for people would.
    match (options.quiet || terminal.logs == To::Stderr(LogFormat::Json), terminal.live) {
        (true, _) => Show::Quiet,
        (false, true) => Show::Live,
        (false, false) => Show::Plain,
    }
}

pub(super) fn rendered(
    report: &Report,
    session: &Session,
    options: &Options,
    terminal: &Terminal,
) -> Result<String, CliError> {
    let (quiet, verbose, to_file) = (options.quiet, options.verbose, options.output.is_some());
    rendered_as(report, &session.rules(), Shown { format: options.format, quiet, verbose, to_file }, terminal)
}

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) format: Format,
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    /// It does not go to the terminal.
    pub(super) to_file: bool,
}

/// A report in a form that is made of it alone.
pub(super) fn rendered_as(
    report: &Report,
    rules: &[RuleInfo],
    how: Shown,
    terminal: &Terminal,
) -> Result<String, CliError> {
    let broken = |error: serde_json::Error| CliError::nothing(format!("the report can't be written as JSON: {error}"));
    match how.format {
        Format::Json => json::render(report).map_err(broken),
        Format::Sarif => sarif::render(report, rules).map_err(broken),
        Format::Markdown => Ok(markdown::render(report)),
        Format::Html => Err(report::no_common_page()),
        Format::Human => {
            let verbosity = match (how.quiet, how.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, 0) => Verbosity::Normal,
                (false, _) => Verbosity::Verbose,
            };
            let color = match (report.documents.is_empty(), !how.to_file) {
                (false, _) => terminal.err_color,
                (true, to_terminal) => terminal.out_color && to_terminal,
            };
            Ok(human::render(report, &Style { color, width: terminal.width, unicode: terminal.unicode, verbosity }))
        }
    }
}

/// The documents of the runs, where they take the place of the report: in the form for people. None: there are none, or
/// the report has them in it.
pub(super) fn handed_out<'a>(
    reports: impl IntoIterator<Item = &'a Report>,
    options: &Options,
    terminal: &Terminal,
) -> Option<String> {
    let is_terminal = terminal.out_is_terminal && options.output.is_none();
    let mut text = String::new();
    let mut has_some = false;
    for report in reports {
        has_some |= !report.documents.is_empty();
        if options.format == Format::Human {
            text += &documents::shown(&report.documents, is_terminal);
        }
    }
    if has_some && options.format == Format::Sarif && !options.quiet {
        say("SARIF has no place for the documents of this run: without `--format sarif` they are shown");
    }
    (has_some && options.format == Format::Human).then_some(text)
}

/// The report of a run whose documents have its place.
pub(super) fn beside(rendered: &str) {
    say(rendered.trim_end_matches('\n'));
}

/// Gives the report to whom it is for. One that could not be given is said, and is never a success; the run has ended in
/// the journal by then.
pub(super) fn delivered(text: &str, options: &Options, terminal: &Terminal, code: ExitCode) -> ExitCode {
    signals::delivering();
    match deliver(text, options.output.as_deref()) {
        Ok(()) => code,
        Err(error) => {
            error.show(terminal.err_color);
            ExitCode::strongest([code, error.code])
        }
    }
}

/// How to go on with a run that has lost something, as the last line. A report for people that goes to the terminal ends
/// with it itself.
pub(super) fn go_on(report: &Report, options: &Options) {
    let is_beside = !report.documents.is_empty();
    let is_said = options.format == Format::Human && (options.output.is_none() || is_beside);
    let lost = matches!(report.status, Status::Interrupted | Status::Parked | Status::Degraded | Status::Failed);
    if lost && !is_said && !options.quiet {
        let (status, same) = (report.status.name(), typed(std::env::args()));
        say(&match how_to_go_on(report) {
            Some(command) => format!("{status}: `{command}` goes on; so does the same again: {same}"),
            None => format!("{status}: the same again goes on: {same}"),
        });
    }
}

/// The command line, quoted as a shell reads it, on one line.
pub(super) fn typed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.skip(1).collect();
    let quoted = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
    clean::line(&clean::bounded(&format!("convoke {quoted}"), LONGEST_LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_can_be_typed_again() {
        let words = ["/usr/bin/convoke", "run", "agent-audit a b/", "-q"].map(str::to_owned);
        assert_eq!(typed(words.into_iter()), "convoke run 'agent-audit a b/' -q");
        assert!(!typed(["convoke", "a\u{1b}[2Jb"].map(str::to_owned).into_iter()).contains('\u{1b}'));
    }
}
