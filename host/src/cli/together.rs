//! `convoke run`: several commands at once, in one process, that share one pool of instances, one quota, one budget and
//! one journal. Each is a run of its own, with its own report; the exit code is the strongest of theirs.

use std::collections::HashMap;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use convoke_runtime::broker::{Broker, InMemory};
use convoke_runtime::event::Events;
use futures::future::{join_all, try_join_all};
use serde_json::json;

use super::carry_out::CarryOut;
use super::command::{announce, detail, how, in_runtime, mend, notice, share_quotas};
use super::delivery::{beside as say_beside, delivered, go_on, handed_out, rendered};
use super::error::CliError;
use super::known::Known;
use super::options::{Format, Options};
use super::prepare::{Prepared, prepare};
use super::report::{no_common_page, paged, timings};
use super::runs::prune;
use super::terminal::{Terminal, put, say};
use super::{load_file, plan, signals, typed, watching};
use crate::audit::watch::Watch;
use crate::config::Budget;
use crate::observe::{Observers, Run, Runs as Watched, Wanted};
use crate::progress::show_together;
use crate::report::together::{Runs, render};
use crate::report::{ExitCode, Report, RuleInfo, clean, sarif};
use crate::run::execute::Stop;
use crate::run::together::{After, Turns, order, shares};
use crate::run::{Planned, Session, beside, money, size};

/// So many commands run at once. Each has its sandboxes; more would only wait for workers.
const MOST: usize = 32;

/// Options that concern one report or one recording.
const OF_ONE: [&str; 4] = ["record", "replay", "baseline", "write_baseline"];

pub(super) fn command() -> Command {
    let commands = Arg::new("commands")
        .value_name("COMMAND")
        .required(true)
        .num_args(1..)
        .help("A command, or in quotes a command with its arguments: 'agent-audit agents/'");
    let mut command = Options::augment_args(Command::new("run").arg(commands))
        .about("Runs several commands at once, which share instances, quotas and budget")
        .long_about(
            "Runs several commands at once, which share instances, quotas and budget.\n\n    convoke run agent-audit deps \
             docs\n    convoke run 'agent-audit agents/' ./todo.wasm\n\nEach COMMAND is one word: the name of a \
             command, or the path of a component, and in quotes its arguments, as a shell would split them. The options \
             of convoke stand outside of the quotes, and hold for all. Commands that write a path in common run one after \
             the other, in the order in which they are named. The exit code is the first of 130, 2, 5, 4, 3, 1, 0 that \
             any of them has.",
        );
    for name in OF_ONE {
        command = command.mut_arg(name, |option| option.hide(true));
    }
    command
}

/// Runs them. What is wrong with one of them is said before any has begun.
pub(super) fn run(known: &mut Known, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let options = Options::from_arg_matches(matches).map_err(|error| CliError::usage(error.to_string()))?;
    for name in OF_ONE {
        if matches.value_source(name).is_some() {
            let option = name.replace('_', "-");
            return Err(CliError::usage(format!("--{option} is for one command"))
                .hint(Some("run that command by itself, without `run`")));
        }
    }
    if options.format == Format::Html {
        return Err(no_common_page());
    }
    let typed: Vec<&String> = matches.get_many::<String>("commands").into_iter().flatten().collect();
    if typed.len() > MOST {
        return Err(CliError::usage(format!("{} commands are too many: at most {MOST} run at once", typed.len())));
    }
    let terminal = Terminal::find(options.color).beside(options.logs.begin()?);
    let carry_out = CarryOut::of(&options)?;
    let mut prepared: Vec<Prepared> = Vec::new();
    let shared = typed::options(matches, &["output", "timings"]);
    for text in &typed {
        let ready = ready(known, text, &options, prepared.first().map(|first| &first.session));
        let mut ready = ready.map_err(|error| error.within(text))?;
        ready.session.typed = shared.as_deref().and_then(|options| typed::alone(text, options));
        prepared.push(ready);
    }
    let names = names(&typed, &prepared);
    in_runtime(go(prepared, names, &options, &terminal, carry_out))
}

/// One of them, as far as it is known before anything runs.
fn ready(known: &mut Known, text: &str, options: &Options, beside: Option<&Session>) -> Result<Prepared, CliError> {
    let words = shlex::split(text).ok_or_else(|| CliError::usage("a quote in it has no end"))?;
    let Some(name) = words.first() else { return Err(CliError::usage("a command is empty")) };
    let loaded;
    let runnable = if name.ends_with(".wasm") {
        loaded = load_file(name)?;
        &loaded
    } else {
        known.runnable(name)?
    };
    let command = runnable.manifest.to_clap().name(runnable.name.clone());
    let matches = command.try_get_matches_from(&words).map_err(|error| match error.use_stderr() {
        true => {
            let text = error.to_string();
            CliError::usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
                .hint(Some("only the command's own arguments stand in the quotes; options of convoke stand outside"))
        }
        false => CliError::usage("it asks for help").hint(Some(format!("`convoke {name} --help` gives it"))),
    })?;
    prepare(runnable, &matches, options, beside)
}

/// What stands in front of each one's lines: its name, and what was typed where two have the same.
fn names(typed: &[&String], prepared: &[Prepared]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for one in prepared {
        *counts.entry(&one.session.command).or_default() += 1;
    }
    let name = |(typed, one): (&&String, &Prepared)| match counts.get(one.session.command.as_str()) {
        Some(1) => one.session.command.clone(),
        _ => clean::line(&clean::bounded(typed, 60)),
    };
    typed.iter().zip(prepared).map(name).collect()
}

async fn go(
    prepared: Vec<Prepared>,
    names: Vec<String>,
    options: &Options,
    terminal: &Terminal,
    carry_out: Option<CarryOut>,
) -> Result<ExitCode, CliError> {
    let said = prepared.iter().find_map(|one| one.said.clone());
    let today = prepared.first().map(|first| first.today).unwrap_or_default();
    let paths = prepared.first().map(|first| first.paths.clone());
    let audit = prepared.first().map(|first| first.audit.clone()).unwrap_or_default();
    let (mut sessions, policies): (Vec<Session>, Vec<_>) =
        prepared.into_iter().map(|one| (one.session, one.policy)).unzip();
    // They hear of the policy that the runs begin with.
    let watches: Vec<Watch> =
        sessions.iter().map(|one| Watch::begin(&one.sandbox.outside.trail, &one.events)).collect();
    // All of them have chosen the same one: they have the same files and options.
    let _swaps = match policies.into_iter().next().flatten() {
        Some(policy) => Some(policy.start().await),
        None => None,
    };
    let Some(first) = sessions.first() else { return Err(CliError::usage("which commands?")) };
    if let Some(paths) = &paths {
        mend(paths, &first.journal, &audit).await;
    }
    // One budget holds for all of them: the smallest that any of them was granted.
    let limits =
        Budget { usd: sessions.iter().filter_map(|one| one.settings.budget.usd).min(), ..first.settings.budget };
    let budget = money::budget(limits, &first.journal, None).await?;
    if let Some(usd) = limits.usd {
        for one in sessions.iter_mut().filter(|one| one.settings.budget.usd != Some(usd)) {
            let message =
                format!("{usd} a run is what one of these commands was granted: it holds for all of them together");
            one.settings.warnings.push(message);
        }
    }
    sessions.iter_mut().for_each(|session| session.broker.budget = budget.clone());

    if let Some(paths) = paths.as_ref().filter(|_| !options.dry_run) {
        sessions.iter_mut().for_each(|session| beside::join(paths, session));
    }
    // Plans can run programs too.
    let shared = paths.as_ref().and_then(|paths| sessions.iter_mut().find_map(|session| share_quotas(paths, session)));
    let (planned, after) = plan_all(&sessions, &names).await?;
    if options.dry_run {
        put(&plans(&sessions, &names, &planned, &after, options).await?, options.output.as_deref())?;
        return Ok(ExitCode::Success);
    }
    if !options.quiet {
        if let Some(said) = said {
            announce(&said, terminal);
        }
        for (session, planned) in sessions.iter().zip(&planned) {
            say(&clean::line(&plan::headline(session, planned)));
        }
        ordered(&names, &after).iter().for_each(|line| say(line));
    }
    for session in &mut sessions {
        session.broker.plugin = Arc::from(session.plugin.manifest.name.as_str());
    }
    if let (Some(first), Some(paths)) = (sessions.first_mut().filter(|first| first.has_model()), &paths) {
        let open = || money::shared(paths, &first.broker.budget, &mut first.settings.warnings);
        first.broker.shared = Some(shared.unwrap_or_else(open));
    }
    let wanted = match sessions.first() {
        Some(first) => watching::wanted(options, &first.settings)?,
        None => Wanted::default(),
    };
    let common = share_lanes(&mut sessions);
    let streams = names
        .iter()
        .zip(&planned)
        .zip(&sessions)
        .map(|((name, planned), session)| (name.as_str(), planned.items(), &session.events));
    let shown = show_together(&common, streams, how(options, terminal), detail(options, terminal));
    let stop = Stop::default();
    let watched = names.iter().zip(&sessions).map(|(name, session)| Run::of(name, session)).collect();
    let watched = Watched { runs: watched, common: Some(&common), paths: paths.as_ref() };
    let (mut observers, unwatched) = Observers::begin(&watched, wanted);
    notice(&unwatched);
    let streams = sessions.iter().map(|session| &session.events).chain([&common]);
    let under_way = signals::all_under_way(&stop, streams);

    let workers = planned.iter().map(|planned| planned.allocated.segments.len()).collect();
    let turns = Turns::new(instances(&sessions), workers, after);
    let runs = sessions.iter().zip(planned).enumerate().map(|(place, (session, planned))| {
        let (turns, stop) = (&turns, &stop);
        async move {
            let filters = session.settings.filters(None, today);
            turns.take(place, stop, session.run(planned, &filters, stop)).await
        }
    });
    let reports = join_all(runs).await;
    if let Some(lanes) = sessions.first().and_then(|first| first.lanes.as_ref()) {
        lanes.close().await;
    }
    shown.end().await;
    drop(under_way);

    let mut codes = Vec::new();
    let mut done: Vec<(&str, &Session, Report)> = Vec::new();
    for (((name, session), report), audited) in names.iter().zip(&sessions).zip(reports).zip(watches) {
        match report {
            Ok(mut report) => {
                let before = report.status;
                if let (Some(carry_out), Some(paths)) = (carry_out, &paths) {
                    carry_out.after(session, paths, &mut report, terminal).await;
                }
                audited.end(&mut report).await;
                session.amend(&mut report, before).await;
                codes.push(report.exit_code());
                done.push((name, session, report));
            }
            Err(error) => {
                let error = CliError::from(error).within(name);
                codes.push(error.code);
                error.show(terminal.err_color);
            }
        }
    }
    let mut noticed = observers.ended(&done.iter().map(|(.., report)| report).collect::<Vec<_>>()).await;
    let mut pages = Vec::new();
    if let Some(paths) = &paths {
        for (name, session, report) in &done {
            pages.push(timings(paths, &session.journal, (report, None, Some(name)), options).await);
        }
    }
    let code = ExitCode::strongest(codes);
    let worst = done.iter().map(|(.., report)| report).max_by_key(|report| report.exit_code()).cloned();
    // The reports hold no session.
    let tidied = sessions.first().map(|session| (session.journal.clone(), session.settings.clone()));
    let handed_out = handed_out(done.iter().map(|(.., report)| report), options, terminal);
    let reports = together(done, code, options, terminal)?;
    let code = match handed_out {
        Some(text) => {
            let code = delivered(&text, options, terminal, code);
            say_beside(&reports);
            code
        }
        None => delivered(&reports, options, terminal, code),
    };
    let code = ExitCode::strongest([code, paged(pages, options, terminal)]);
    if let Some(report) = worst {
        go_on(&report, options);
    }
    noticed.extend(observers.close().await);
    notice(&noticed);
    if let Some((journal, settings)) = tidied {
        prune::tidy(&journal, &settings).await;
    }
    Ok(code)
}

/// Plans all of them, deals the workers, and finds which come after which.
async fn plan_all(sessions: &[Session], names: &[String]) -> Result<(Vec<Planned>, Vec<Vec<After>>), CliError> {
    let plans = sessions
        .iter()
        .zip(names)
        .map(async |(session, name)| session.plan().await.map_err(|error| CliError::from(error).within(name)));
    let planned = try_join_all(plans).await?;
    let after = order(planned.iter().map(|planned| planned.assessed.work.items.as_slice()));
    let wanted: Vec<usize> = planned.iter().map(|planned| planned.allocated.segments.len()).collect();
    let shares = shares(&wanted, instances(sessions));
    let dealt =
        sessions.iter().zip(planned).zip(wanted.iter().zip(shares)).map(|((session, planned), (wanted, share))| {
            if share == *wanted {
                return Ok::<_, CliError>(planned);
            }
            let (took, history) = (planned.took, planned.history);
            let sized = size::Sized { workers: share, note: None, decided: planned.allocated.decided };
            Ok(Planned { took, history, ..session.deal(planned.assessed, sized)? })
        });
    Ok((dealt.collect::<Result<_, _>>()?, after))
}

/// How many workers there are for all of them.
fn instances(sessions: &[Session]) -> usize {
    sessions.iter().map(|session| session.settings.limits.instances as usize).min().unwrap_or(1)
}

/// Gives all of them the same backends with their queue, quotas, instances and retries. What happens to these is told
/// to the stream that comes back, and to each of theirs.
fn share_lanes(sessions: &mut [Session]) -> Events {
    let common = Events::new();
    let Some(first) = sessions.first() else { return common };
    // Nobody asks this one: it brings the lanes into being as it would for a run of its own.
    let founder =
        Broker::new(first.backends.clone(), Arc::new(InMemory::default()), common.clone(), first.broker.clone());
    for session in sessions {
        session.steering.share(founder.lanes());
        session.lanes = Some(founder.lanes().clone());
    }
    common
}

/// Which waits for which, in words.
fn ordered(names: &[String], after: &[Vec<After>]) -> Vec<String> {
    let line = |later: usize, after: &After| {
        let path = if after.path.is_empty() { "the whole project".to_owned() } else { clean::line(&after.path) };
        format!("{} comes after {}: both write {path}", names[later], names[after.earlier])
    };
    after.iter().enumerate().flat_map(|(later, after)| after.iter().map(move |after| line(later, after))).collect()
}

/// `--dry-run`.
async fn plans(
    sessions: &[Session],
    names: &[String],
    planned: &[Planned],
    after: &[Vec<After>],
    options: &Options,
) -> Result<String, CliError> {
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for (session, planned) in sessions.iter().zip(planned) {
        let is_limited = session.settings.budget != Budget::default();
        let rehearsed = if options.show_prompts || is_limited { Some(session.rehearse(planned).await?) } else { None };
        match options.format {
            Format::Json => values.push(plan::value(session, planned, rehearsed.as_deref(), options)),
            _ => texts.push(plan::render(session, planned, rehearsed.as_deref(), options)),
        }
    }
    if options.format == Format::Json {
        let order: Vec<_> = after
            .iter()
            .enumerate()
            .flat_map(|(later, after)| {
                after.iter().map(move |after| json!({ "plan": later, "after": after.earlier, "path": after.path }))
            })
            .collect();
        let whole = json!({ "schema_version": 1, "instances": instances(sessions), "plans": values, "order": order });
        return Ok(clean::json(format!("{whole:#}\n")));
    }
    let order = ordered(names, after).iter().map(|line| format!("\n{line}\n")).collect::<String>();
    let sum: usize = planned.iter().map(|planned| planned.allocated.segments.len()).sum();
    let shared = format!("\nAll of them share {} instances for {sum} workers.\n", instances(sessions));
    Ok(texts.join("\n") + &order + &shared)
}

/// All reports in one text.
fn together(
    done: Vec<(&str, &Session, Report)>,
    code: ExitCode,
    options: &Options,
    terminal: &Terminal,
) -> Result<String, CliError> {
    let broken = |error: serde_json::Error| CliError::nothing(format!("the reports can't be written as JSON: {error}"));
    match options.format {
        Format::Json => {
            render(&Runs::of(done.into_iter().map(|(_, _, report)| report).collect(), code)).map_err(broken)
        }
        Format::Sarif => {
            let rules: Vec<Vec<RuleInfo>> = done.iter().map(|(_, session, _)| session.rules()).collect();
            let reports = done.iter().map(|(_, _, report)| report).zip(rules.iter().map(Vec::as_slice));
            sarif::render_all(reports).map_err(broken)
        }
        Format::Markdown | Format::Human => {
            let texts = done.iter().map(|(name, session, report)| {
                let text = rendered(report, session, options, terminal)?;
                let line = if terminal.unicode { "──" } else { "--" };
                Ok(match options.format {
                    Format::Human => format!("{line} {name} {line}\n{text}"),
                    _ => text,
                })
            });
            Ok(texts.collect::<Result<Vec<_>, CliError>>()?.join("\n"))
        }
        Format::Html => Err(no_common_page()),
    }
}
