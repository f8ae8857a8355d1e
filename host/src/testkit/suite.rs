//! The cases of a plugin's folder, one after the other or side by side.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, stream};
use tokio::runtime::Handle;

use super::case::{self, Case, Expect};
use super::checks;
use super::report::{Reason, Tested};
use super::session::{Bench, CaseError, Left, Ran};
use super::snapshot;
use crate::config::{ConfigError, Limits, Mode};
use crate::plugin::engine::{Engine, EngineError, Loaded};
use crate::plugin::inspect::{InspectError, Inspected, inspect};
use crate::report::clean;

/// So many unexpected questions are shown.
const QUESTIONS: usize = 3;

/// The longest prompt that is shown, in characters.
const PROMPT: usize = 1_000;

/// A plugin, compiled once for all cases.
pub struct Plugin {
    /// What runs it.
    pub engine: Arc<Engine>,
    /// It.
    pub loaded: Loaded,
    /// What it says of itself.
    pub inspected: Inspected,
    /// The memory of a sandbox, in bytes.
    pub memory: usize,
}

/// A component can't be tested.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It is no plugin.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// It does not compile.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Plugin {
    /// Compiles a component. Nothing of it is kept.
    ///
    /// # Errors
    /// It is no plugin of this host.
    pub fn of(bytes: &[u8]) -> Result<Self, PluginError> {
        let inspected = inspect(bytes)?;
        let memory = usize::try_from(Limits::of(Mode::default()).plugin_memory).unwrap_or(usize::MAX);
        let engine = Arc::new(Engine::new(memory)?);
        let loaded = engine.load(&inspected.manifest.name, &inspected.digest, bytes, None)?;
        Ok(Self { engine, loaded, inspected, memory })
    }
}

/// There are no cases to run.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The folder has none.
    #[error("{} has no cases", .0.join(case::FOLDER).display())]
    NoCases(PathBuf),
    /// None has such a name.
    #[error("no case has a name with {}", .filters.join(" or "))]
    NoneFits {
        /// What was looked for.
        filters: Vec<String>,
        /// The names that there are.
        names: Vec<String>,
    },
    /// The folder can't be read.
    #[error("{}: {why}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// The operating system's words.
        why: std::io::Error,
    },
    /// Cases are wrong.
    #[error("{} of the cases can't be read", .0.len())]
    Wrong(Vec<ConfigError>),
}

impl SuiteError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCases(_) => Some(
                "a case is a file tests/NAME.toml: write `fixture = \"fixtures/small\"` into it, and make that folder"
                    .to_owned(),
            ),
            Self::NoneFits { names, .. } => Some(format!("there are {}", names.join(", "))),
            Self::Io { .. } | Self::Wrong(_) => None,
        }
    }
}

/// The cases that are run.
#[derive(Debug)]
pub struct Suite {
    /// By name.
    pub cases: Vec<Case>,
    /// How many were left out by their names.
    pub left_out: usize,
    /// Snapshots that belong to no case.
    pub stale: Vec<PathBuf>,
}

/// How cases are run.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Whether what came of them is kept from now on.
    pub bless: bool,
    /// How many at once.
    pub jobs: usize,
    /// Whether differences are coloured.
    pub color: bool,
}

impl Suite {
    /// The cases whose names contain one of the filters; without filters all.
    ///
    /// # Errors
    /// There are none, or one of them is wrong.
    pub fn find(folder: &Path, filters: &[String]) -> Result<Self, SuiteError> {
        let io = |why| SuiteError::Io { folder: folder.join(case::FOLDER), why };
        let files = case::files(folder).map_err(io)?;
        if files.is_empty() {
            return Err(SuiteError::NoCases(folder.to_owned()));
        }
        let fits = |path: &PathBuf| {
            let name = case::name_of(path);
            filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
        };
        let chosen: Vec<&PathBuf> = files.iter().filter(|path| fits(path)).collect();
        if chosen.is_empty() {
            let names = files.iter().map(|path| clean::line(&case::name_of(path))).collect();
            return Err(SuiteError::NoneFits { filters: filters.to_vec(), names });
        }
        let (mut cases, mut wrong) = (Vec::new(), Vec::new());
        for path in &chosen {
            match case::read(folder, path) {
                Ok(case) => cases.push(case),
                Err(error) => wrong.push(error),
            }
        }
        if !wrong.is_empty() {
            return Err(SuiteError::Wrong(wrong));
        }
        let mut stale = case::stale(folder).map_err(io)?;
        // A case that gives no report has no snapshot.
        let without = cases.iter().filter(|case| case.expect.fails.is_some()).map(Case::snapshot);
        stale.extend(without.filter(|path| path.exists()));
        stale.sort();
        Ok(Self { left_out: files.len() - cases.len(), cases, stale })
    }

    /// Runs them, so many at once, and gives what came of them in their order. Must be used inside of a tokio runtime of
    /// several threads.
    pub fn run(self, plugin: Arc<Plugin>, how: How) -> impl Stream<Item = Tested> {
        stream::iter(self.cases)
            .map(move |case| {
                let (plugin, runtime, name) = (plugin.clone(), Handle::current(), case.name.clone());
                let running = tokio::task::spawn_blocking(move || runtime.block_on(tested(&plugin, &case, how)));
                async move {
                    // A fault of the host's own costs the case, and not the others.
                    running.await.unwrap_or_else(|error| {
                        let reason = Reason::new("fault", format!("the host itself had a fault: {error}"));
                        Tested { reasons: vec![reason], ..Tested::of(&name) }
                    })
                }
            })
            .buffered(how.jobs.max(1))
    }
}

async fn tested(plugin: &Plugin, case: &Case, how: How) -> Tested {
    let began = Instant::now();
    let mut tested = Tested { about: case.about.clone(), ..Tested::of(&case.name) };
    tested.left_out = case.unchecked.iter().map(|(check, why)| (*check, why.clone())).collect();
    match Bench::new(plugin, case) {
        Ok(bench) => {
            let came = bench.run(checks::way(case)).await;
            // Before it is done in other ways too.
            tested.log = bench.log();
            match came {
                Ok((ran, left)) => came_to(&mut tested, &bench, case, &ran, left, how).await,
                Err(error) => tested.reasons.extend(without_report(case, &error)),
            }
        }
        Err(error) => tested.reasons.extend(without_report(case, &error)),
    }
    Tested { took: began.elapsed().max(Duration::from_nanos(1)), ..tested }
}

/// A case that gave no report: that may be what it is about.
fn without_report(case: &Case, error: &CaseError) -> Option<Reason> {
    let said = error.to_string();
    match &case.expect.fails {
        Some(words) if error.can_be_expected() && said.contains(words.as_str()) => None,
        Some(words) => {
            let text = format!("it was to fail with {words:?}, and failed with:\n{said}");
            Some(Reason::new("failed", text))
        }
        None => Some(Reason::new("failed", said)),
    }
}

/// A case that gave a report.
async fn came_to(tested: &mut Tested, bench: &Bench<'_>, case: &Case, ran: &Ran, left: Left, how: How) {
    tested.reasons.extend(unexpected(ran));
    tested.reasons.extend(ran.called.iter().filter(|called| !called.is_expected).map(|called| {
        let who = called.item.as_deref().unwrap_or("the plan");
        let text = format!("{who} makes a call that was not expected: {}", called.call);
        let hint = "write a [[process]] or an [[http]] for it".to_owned();
        Reason { hint: Some(hint), ..Reason::new("call", text) }
    }));
    let deaths: BTreeSet<&str> = ran.report.workers.iter().filter_map(|worker| worker.died.as_deref()).collect();
    let died = |why: &str| Reason::new("died", format!("the plugin broke off: {why}"));
    tested.reasons.extend(deaths.into_iter().map(died));
    // What came of such a run says nothing of the plugin.
    if !tested.reasons.is_empty() {
        return;
    }
    tested.reasons.extend(not_as_expected(&case.expect, ran));
    let text = snapshot::text(ran);
    for broken in checks::check(bench, case, &text, left, how.color).await {
        let name = broken.check.name();
        let reason = Reason::new("check", format!("{name}: {}", broken.check.meaning()));
        let hint = format!("if that must be so, write [unchecked] {name} = \"why\" into the case");
        tested.reasons.push(Reason { detail: Some(broken.how), hint: Some(hint), check: Some(name), ..reason });
    }
    compare(tested, case, &text, how);
}

/// Compares with what is kept; or keeps it, where that is wished and nothing else is wrong.
fn compare(tested: &mut Tested, case: &Case, text: &str, how: How) {
    let path = case.snapshot();
    let kept = match snapshot::kept(&path) {
        Ok(kept) => kept,
        Err(error) => {
            tested.reasons.push(Reason::new("snapshot", format!("{} can't be read: {error}", path.display())));
            return;
        }
    };
    if kept.as_deref() == Some(text) {
        return;
    }
    if how.bless && tested.reasons.is_empty() {
        match snapshot::keep(&path, text) {
            Ok(()) => tested.blessed = Some(path),
            Err(error) => {
                tested.reasons.push(Reason::new("snapshot", format!("{} can't be written: {error}", path.display())));
            }
        }
        return;
    }
    let hint = match how.bless {
        true => "nothing was blessed: something else is wrong with the case".to_owned(),
        false => "look at it, then `convoke test --bless` keeps it".to_owned(),
    };
    let reason = match &kept {
        Some(kept) => Reason {
            detail: Some(snapshot::difference(kept, text, how.color)),
            ..Reason::new("snapshot", format!("it is not what {} has", path.display()))
        },
        None => Reason {
            detail: Some(snapshot::difference("", text, how.color)),
            ..Reason::new("snapshot", format!("there is no {}", path.display()))
        },
    };
    tested.reasons.push(Reason { hint: Some(hint), ..reason });
}

/// The questions that no answer was for.
fn unexpected(ran: &Ran) -> Option<Reason> {
    let count = ran.unexpected.len();
    if count == 0 {
        return None;
    }
    let mut detail: Vec<String> = Vec::new();
    for question in ran.unexpected.iter().take(QUESTIONS) {
        let (item, role) = (clean::bounded(&question.item, 200), clean::bounded(&question.role, 100));
        detail.push(format!("{} asks {}: {}", clean::line(&item), clean::line(&role), clean::line(&question.why)));
        let prompt = clean::block(&clean::bounded(question.prompt.trim(), PROMPT));
        detail.extend(prompt.lines().map(|line| format!("  | {line}")));
    }
    if count > QUESTIONS {
        detail.push(format!("and {} more", count - QUESTIONS));
    }
    let text = match count {
        1 => "a question was not expected".to_owned(),
        count => format!("{count} questions were not expected"),
    };
    let hint = "write an [[answer]] for it, or [default] answer = \"from-schema\" or \"fallback\"";
    Some(Reason { detail: Some(detail.join("\n")), hint: Some(hint.to_owned()), ..Reason::new("question", text) })
}

/// Where it did not come to what was expected.
fn not_as_expected(expect: &Expect, ran: &Ran) -> Vec<Reason> {
    let (report, census) = (&ran.report, &ran.report.census);
    let number = |name: &str, wanted: Option<u64>, is: u64| {
        wanted.filter(|wanted| *wanted != is).map(|wanted| format!("{name} is {is}, and {wanted} was expected"))
    };
    let status = report.status.name();
    let wrong = [
        number("exit", expect.exit.map(u64::from), u64::from(report.exit_code().code())),
        expect.status.as_ref().filter(|wanted| *wanted != status).map(|wanted| {
            format!("status is {status}, and {} was expected", clean::line(&clean::bounded(wanted, 100)))
        }),
        number("census.done", expect.census.done, census.done),
        number("census.fallback", expect.census.fallback, census.fallback),
        number("census.failed", expect.census.failed, census.failed),
        number("census.skipped", expect.census.skipped, census.skipped),
        number("census.pending", expect.census.pending, census.pending),
        number("questions", expect.questions, ran.asked.len() as u64),
        number("findings", expect.findings, report.open_findings().count() as u64),
        expect.fails.as_ref().map(|words| format!("it was to fail with {words:?}, and gave a report")),
    ];
    wrong.into_iter().flatten().map(|text| Reason::new("expect", text)).collect()
}
