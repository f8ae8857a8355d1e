//! From the events of a run to its lines.

use std::collections::HashMap;
use std::time::Duration;

use convoke_runtime::event::{Event, Fact, Subscription};
use convoke_runtime::levels::Level as Standing;
use convoke_runtime::work::{Outcome, Status};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::clock;
use crate::observe::words::harmless;
use crate::observe::{Observer, Run, Runs};
use crate::report::Report;

/// How often what was told is written.
const EVERY: Duration = Duration::from_millis(100);

/// Which part of a run a line is about: a filter can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Run,
    Worker,
    Item,
    Question,
    Plugin,
}

/// What a line says beside its message. What is not there is not written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) worker: Option<u64>,
    pub(crate) item: Option<u64>,
    pub(crate) label: Option<String>,
    pub(crate) question: Option<u64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) role: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) backend: Option<String>,
    /// Which of several: an outcome, a state, a kind of failure, a phase.
    pub(crate) what: Option<String>,
    pub(crate) count: Option<u64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) usd: Option<f64>,
    pub(crate) reason: Option<String>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) part: Part,
    pub(crate) level: Level,
    pub(crate) message: &'static str,
    pub(crate) said: Said,
}

/// A part of what a line says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    /// Words.
    Text(String),
    /// A number of something, or that of one of several.
    Count(u64),
    /// A measure.
    Number(f64),
}

impl Said {
    /// What is there, by its name. `reason`: whether that is wanted, which can hold words of a plugin or a model.
    pub(crate) fn fields(&self, reason: bool) -> impl Iterator<Item = (&'static str, Field)> {
        let text = |name, text: &Option<String>| text.clone().map(|text| (name, Field::Text(text)));
        let count = |name, count: Option<u64>| count.map(|count| (name, Field::Count(count)));
        let number = |name, number: Option<f64>| number.map(|number| (name, Field::Number(number)));
        [
            count("convoke.worker", self.worker),
            count("convoke.item", self.item),
            text("convoke.item.label", &self.label),
            count("convoke.question", self.question),
            count("convoke.attempt", self.attempt.map(u64::from)),
            text("convoke.role", &self.role),
            text("convoke.model", &self.model),
            text("convoke.backend", &self.backend),
            text("convoke.what", &self.what),
            count("convoke.count", self.count),
            number("convoke.seconds", self.seconds),
            count("convoke.input_tokens", self.input_tokens),
            count("convoke.output_tokens", self.output_tokens),
            number("convoke.cost.usd", self.usd),
            text("convoke.reason", &self.reason).filter(|_| reason),
        ]
        .into_iter()
        .flatten()
    }
}

impl Line {
    /// What a filter knows it by.
    pub(crate) fn target(&self) -> &'static str {
        match self.part {
            Part::Run => "convoke::run",
            Part::Worker => "convoke::worker",
            Part::Item => "convoke::item",
            Part::Question => "convoke::question",
            Part::Plugin => "convoke::plugin",
        }
    }
}

/// Writes down what runs tell.
pub(crate) struct Lines {
    over: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Lines {
    /// None: nothing is logged.
    pub(crate) fn begin(runs: &Runs<'_>) -> Option<Self> {
        if !super::is_on() {
            return None;
        }
        let over = CancellationToken::new();
        let hear = |run: &Run<'_>| {
            // It listens from here on, whenever its task comes to run.
            let heard = (run.events.listen(), run.events.started());
            tokio::spawn(write(heard, over.clone()))
        };
        Some(Self { tasks: runs.runs.iter().map(hear).collect(), over })
    }
}

impl Observer for Lines {
    fn ended<'a>(&'a mut self, _reports: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        async move {
            self.over.cancel();
            for task in self.tasks.drain(..) {
                // A task that failed writes no more.
                let _ = task.await;
            }
            super::trouble().into_iter().collect()
        }
        .boxed()
    }
}

/// Writes the lines of a run until it is over.
async fn write((mut heard, began): (Subscription, Timestamp), over: CancellationToken) {
    let (mut told, mut scribe) = (Vec::new(), Scribe::default());
    let mut goes_on = true;
    while goes_on {
        goes_on = heard.look(EVERY, &over, &mut told).await;
        for event in told.drain(..) {
            scribe.write(&event, began);
        }
    }
}

/// Who knows what a line needs beside its event.
#[derive(Debug, Default)]
pub(crate) struct Scribe {
    run: String,
    /// The labels of items that are in somebody's hands.
    labels: HashMap<usize, String>,
}

impl Scribe {
    /// The id of the run.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Logs an event that became one so long after `began`.
    pub(crate) fn write(&mut self, event: &Event, began: Timestamp) {
        let Some(line) = self.line(&event.fact) else { return };
        let at = began.checked_add(event.at).unwrap_or(began);
        clock::at(at, || log(&self.run, &line));
    }

    /// The line of a fact; none: it is no news.
    pub(crate) fn line(&mut self, fact: &Fact) -> Option<Line> {
        match fact {
            Fact::RunStarted(facts) => self.run.clone_from(&facts.run),
            Fact::ItemStarted { item, label, .. } => drop(self.labels.insert(*item, harmless(label))),
            _ => {}
        }
        let line = run(fact).or_else(|| self.item(fact)).or_else(|| self.question(fact));
        if let Fact::ItemEnded { item, .. } | Fact::ItemReturned { item, .. } = fact {
            self.labels.remove(item);
        }
        line
    }

    fn about(&self, item: usize) -> Said {
        Said { item: Some(item as u64), label: self.labels.get(&item).cloned(), ..Said::default() }
    }

    fn asked(&self, question: u64, item: usize) -> Said {
        Said { question: Some(question), ..self.about(item) }
    }

    fn item(&self, fact: &Fact) -> Option<Line> {
        let line = |level, message, said| Some(Line { part: Part::Item, level, message, said });
        match fact {
            Fact::ItemStarted { worker, item, attempt, .. } => {
                let said = Said { worker: Some(*worker as u64), attempt: Some(*attempt), ..self.about(*item) };
                line(Level::DEBUG, "an item begins", said)
            }
            Fact::ItemEnded { worker, item, outcome, took } => {
                let level = match outcome {
                    Outcome::Failed(_) | Outcome::Fallback(_) => Level::WARN,
                    _ => Level::INFO,
                };
                let said = Said {
                    worker: worker.map(|worker| worker as u64),
                    what: Some(outcome.name().to_owned()),
                    seconds: Some(took.as_secs_f64()),
                    reason: outcome.reason().map(harmless),
                    ..self.about(*item)
                };
                line(level, "an item has ended", said)
            }
            Fact::ItemReturned { worker, item, reason } => {
                let said = Said { worker: Some(*worker as u64), reason: Some(harmless(reason)), ..self.about(*item) };
                line(Level::WARN, "an item is given back", said)
            }
            Fact::ItemsAdded { parent, items } => {
                line(Level::INFO, "an item adds others", Said { count: Some(*items as u64), ..self.about(*parent) })
            }
            Fact::Quarantined { item, reason } => {
                let said = Said { reason: Some(harmless(reason)), ..self.about(*item) };
                line(Level::WARN, "an item fails again in the same words", said)
            }
            Fact::Logged { level, item, message } => {
                let mut said = item.map_or_else(Said::default, |item| self.about(item));
                said.what = Some(level.to_string());
                said.reason = Some(harmless(message));
                Some(Line { part: Part::Plugin, level: Level::DEBUG, message: "a plugin says", said })
            }
            _ => None,
        }
    }

    fn question(&self, fact: &Fact) -> Option<Line> {
        let line = |level, message, said| Some(Line { part: Part::Question, level, message, said });
        match fact {
            Fact::QuestionQueued { question, item, role, tier } => {
                let said = Said {
                    role: Some(harmless(role)),
                    what: Some(tier.name().to_owned()),
                    ..self.asked(*question, *item)
                };
                line(Level::DEBUG, "a question waits", said)
            }
            Fact::QuestionWaits { question, item, reason, lasts } => {
                let said = Said {
                    what: Some(reason.to_string()),
                    seconds: lasts.map(|lasts| lasts.as_secs_f64()),
                    ..self.asked(*question, *item)
                };
                line(Level::TRACE, "a question still waits", said)
            }
            Fact::QuestionSent { question, item, model, backend, attempt } => {
                let said = Said {
                    model: Some(harmless(model)),
                    backend: Some(backend.to_string()),
                    attempt: Some(*attempt),
                    ..self.asked(*question, *item)
                };
                line(Level::DEBUG, "a question is sent", said)
            }
            Fact::QuestionHedged { question, item, model, after } => {
                let said = Said {
                    model: Some(harmless(model)),
                    seconds: Some(after.as_secs_f64()),
                    ..self.asked(*question, *item)
                };
                line(Level::INFO, "a question takes long, and is asked a second time", said)
            }
            Fact::QuestionStarted { question, item, after } => {
                let said = Said { seconds: Some(after.as_secs_f64()), ..self.asked(*question, *item) };
                line(Level::DEBUG, "an answer begins", said)
            }
            Fact::AttemptEnded(end) => {
                let said = Said {
                    attempt: Some(end.attempt),
                    model: Some(harmless(&end.model)),
                    what: Some(end.failed.as_ref().map_or("answered", AsRef::as_ref).to_owned()),
                    input_tokens: Some(end.usage.input_tokens),
                    output_tokens: Some(end.usage.output_tokens),
                    usd: Some(end.usage.usd.dollars()),
                    ..self.asked(end.question, end.item)
                };
                line(Level::DEBUG, "an attempt has ended", said)
            }
            Fact::QuestionRetried { question, item, kind, reason, wait } => {
                let said = Said {
                    what: Some(kind.to_string()),
                    seconds: Some(wait.as_secs_f64()),
                    reason: Some(harmless(reason)),
                    ..self.asked(*question, *item)
                };
                line(Level::WARN, "a question will be asked again", said)
            }
            Fact::QuestionSettled(settled) => {
                let answered = matches!(settled.by.as_str(), "model" | "cache" | "fallback");
                let said = Said {
                    role: Some(harmless(&settled.role)),
                    model: Some(harmless(&settled.model)),
                    backend: Some(settled.backend.to_string()),
                    what: Some(settled.by.clone()),
                    count: Some(settled.attempts.into()),
                    seconds: Some(settled.took.as_secs_f64()),
                    input_tokens: Some(settled.usage.input_tokens),
                    output_tokens: Some(settled.usage.output_tokens),
                    usd: Some(settled.usage.usd.dollars()),
                    ..self.asked(settled.question, settled.item)
                };
                line(if answered { Level::INFO } else { Level::WARN }, "a question has ended", said)
            }
            _ => None,
        }
    }
}

/// What concerns the run, or a worker, as a whole.
fn run(fact: &Fact) -> Option<Line> {
    let of = |part, level, message, said| Some(Line { part, level, message, said });
    let line = |level, message, said| of(Part::Run, level, message, said);
    let because = |reason: &str| Said { reason: Some(harmless(reason)), ..Said::default() };
    let what = |what: &str| Said { what: Some(harmless(what)), ..Said::default() };
    let (info, warn) = (Level::INFO, Level::WARN);
    match fact {
        Fact::RunStarted(facts) => {
            let backend = Some(harmless(&facts.backend));
            line(info, "the run begins", Said { backend, count: Some(facts.instances as u64), ..what(&facts.command) })
        }
        Fact::Planned { items, .. } => {
            line(info, "the plan stands", Said { count: Some(*items as u64), ..Said::default() })
        }
        Fact::PhaseStarted { phase } => line(info, "the next phase begins", what(phase)),
        Fact::WorkerStarted { worker, segment } => {
            of(Part::Worker, info, "a worker begins", Said { worker: Some(*worker as u64), ..what(segment) })
        }
        Fact::WorkerReady { worker, after } => {
            let said = Said { seconds: Some(after.as_secs_f64()), worker: Some(*worker as u64), ..Said::default() };
            of(Part::Worker, Level::DEBUG, "a worker is ready", said)
        }
        Fact::WorkerEnded { worker, died } => {
            let said = Said { worker: Some(*worker as u64), reason: died.as_deref().map(harmless), ..Said::default() };
            match died {
                Some(_) => of(Part::Worker, warn, "a worker has died", said),
                None => of(Part::Worker, info, "a worker has ended", said),
            }
        }
        Fact::Degraded { to, reason, .. } => {
            let level = if *to == Standing::Full { info } else { warn };
            line(level, "the run goes on otherwise", Said { what: Some(to.name().to_owned()), ..because(reason) })
        }
        Fact::DoneAgain { items, reason } => {
            line(info, "items are done again", Said { count: Some(*items as u64), ..because(reason) })
        }
        Fact::BreakerChanged { state, reason, lasts } => {
            let seconds = lasts.map(|lasts| lasts.as_secs_f64());
            let level = if *state == "open" { warn } else { info };
            line(level, "the breaker changes", Said { what: Some(state.to_string()), seconds, ..because(reason) })
        }
        Fact::LimitChanged { account, limit, reason, .. } => {
            let said = Said { backend: Some(harmless(account)), count: Some(*limit as u64), ..because(reason) };
            line(info, "another number of questions may be in flight", said)
        }
        Fact::SafeModeChanged { account, safe, reason } => {
            let said = Said { backend: Some(harmless(account)), ..because(reason) };
            match safe {
                true => line(warn, "an account is treated as in safe mode", said),
                false => line(info, "an account is no longer treated as in safe mode", said),
            }
        }
        Fact::PolicyChanged { policy, reason, .. } => {
            line(info, "another policy is in force", Said { what: Some(harmless(policy)), ..because(reason) })
        }
        Fact::Decided { question, kind, decision, reason, .. } => {
            let said =
                Said { question: *question, what: Some(format!("{kind}: {}", harmless(decision))), ..because(reason) };
            line(Level::DEBUG, "a policy has decided", said)
        }
        Fact::Paused { by, .. } => line(info, "the run is paused", what(by)),
        Fact::Resumed { by } => line(info, "the run goes on", what(by)),
        Fact::Controlled { what: asked, became, .. } => {
            line(info, "the run is changed from outside", Said { what: Some(harmless(asked)), ..because(became) })
        }
        Fact::AlertRaised { alert, reason } => {
            line(warn, "an alert", Said { what: Some(alert.to_string()), ..because(reason) })
        }
        Fact::AlertCleared { alert, reason } => {
            line(info, "an alert is over", Said { what: Some(alert.to_string()), ..because(reason) })
        }
        Fact::DispatchStopped { reason } => line(Level::ERROR, "no more questions are sent", because(reason)),
        Fact::Warned { message } => line(warn, "a warning", because(message)),
        Fact::Stopping { at_most } => {
            let said = Said { seconds: Some(at_most.as_secs_f64()), ..Said::default() };
            line(warn, "the user stops the run", said)
        }
        Fact::Ended { census, status } => {
            let level = match status {
                Status::Completed => info,
                Status::Failed => Level::ERROR,
                _ => warn,
            };
            let reason = crate::report::words::census(census);
            line(level, "the run has ended", Said { what: Some(status.name().to_owned()), ..because(&reason) })
        }
        _ => None,
    }
}

/// Gives a line to `tracing`, whose targets and levels stand in the code.
fn log(run: &str, line: &Line) {
    macro_rules! of {
        ($target:literal, $level:ident) => {
            tracing::event!(
                target: $target,
                Level::$level,
                run,
                worker = line.said.worker,
                item = line.said.item,
                label = line.said.label.as_deref(),
                question = line.said.question,
                attempt = line.said.attempt,
                role = line.said.role.as_deref(),
                model = line.said.model.as_deref(),
                backend = line.said.backend.as_deref(),
                what = line.said.what.as_deref(),
                count = line.said.count,
                seconds = line.said.seconds,
                input_tokens = line.said.input_tokens,
                output_tokens = line.said.output_tokens,
                usd = line.said.usd,
                reason = line.said.reason.as_deref(),
                "{}",
                line.message
            )
        };
    }
    macro_rules! at {
        ($target:literal) => {
            match line.level {
                Level::ERROR => of!($target, ERROR),
                Level::WARN => of!($target, WARN),
                Level::INFO => of!($target, INFO),
                Level::DEBUG => of!($target, DEBUG),
                Level::TRACE => of!($target, TRACE),
            }
        };
    }
    match line.part {
        Part::Run => at!("convoke::run"),
        Part::Worker => at!("convoke::worker"),
        Part::Item => at!("convoke::item"),
        Part::Question => at!("convoke::question"),
        Part::Plugin => at!("convoke::plugin"),
    }
}
