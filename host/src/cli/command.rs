//! A command of a plugin: from what was typed to its report.

use std::sync::Arc;

use clap::ArgMatches;
use convoke_runtime::journal::{Journal, Typed};
use convoke_runtime::shared::Shared;
use futures::future::OptionFuture;

use super::carry_out::CarryOut;
use super::delivery::{beside as say_beside, delivered, go_on, handed_out, rendered};
use super::error::CliError;
use super::options::{Format, Options};
use super::prepare::{Prepared, prepare};
use super::report::picture;
use super::runs::prune;
use super::taped::Taped;
use super::terminal::{Terminal, put, say};
use super::{Runnable, plan, report, signals, watching};
use crate::apply::Place;
use crate::apply::recover::recover;
use crate::audit::Audit;
use crate::audit::watch::Watch;
use crate::config::{Budget, Paths};
use crate::logs::{Format as LogFormat, To};
use crate::observe::{Observers, Run, Runs};
use crate::policy::InUse;
use crate::progress::{Detail, Show, show};
use crate::report::baseline::Baseline;
use crate::report::{ExitCode, clean};
use crate::run::execute::Stop;
use crate::run::fault::guarded;
use crate::run::resume::Resume;
use crate::run::{Session, beside, money};

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
    let runs = Runs { runs: vec![Run::of(&session.command, &session)], common: None, paths: Some(&paths) };
    let picture = picture(&session, options);
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
    // Those who watch have to write the rest of what they heard: the page is put together meanwhile.
    let made = OptionFuture::from(picture.map(|picture| picture.page(&report)));
    let reports = [&report];
    let (mut noticed, made) = tokio::join!(observers.ended(&reports), made);
    let made = made.flatten();
    // Before the report, which nobody may be reading; what is wrong with it is said after.
    let recorded = taped.end(&report, options.quiet);
    let rendered = match options.format {
        Format::Html => report::page_of(&session.journal, &report, made.as_deref()).await?,
        _ => rendered(&report, &session, options, terminal)?,
    };
    let page = report::timings(&paths, &session.journal, (&report, made.as_deref(), None), options).await;
    let code = match handed_out([&report], options, terminal) {
        Some(text) => {
            let code = delivered(&text, options, terminal, report.exit_code());
            say_beside(&rendered);
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
    std::mem::forget((sandbox.engine, sandbox.plugin));
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
