//! Alerts: something is not as it should be, and somebody should know.
//!
//! [`rules`] are the thresholds, over what runs tell; [`trouble`] is the hysteresis that makes one trouble one alert. An
//! alert that is raised or cleared is a fact like any other, told to all runs of the process: the terminal, the report and
//! the numbers have it from there. [`hook`] tells those outside whom the user's own configuration names.

mod hook;
mod message;
mod rules;
#[cfg(test)]
mod tests;
mod trouble;
mod window;

use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::{Event, Events, Fact, Subscription};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::actions::locate::Programs;
use crate::actions::process::Machinery;
use crate::backends::variable;
use crate::config::{AlertSettings, Paths};
use crate::observe::{Observer, Runs};
use crate::report::Report;
use hook::{Hook, Program, Receivers};
use message::{About, Message};
use rules::Rules;
use trouble::Turn;

/// How often it is looked. The thresholds must be crossed for longer.
const EVERY: Duration = Duration::from_millis(200);

/// Watches runs for what is not as it should be.
pub(crate) struct Alerts {
    /// Dropped, it is over.
    going: Option<DropGuard>,
    watching: Option<JoinHandle<Watch>>,
    hook: Option<Hook>,
}

impl Alerts {
    /// From now on. None: nobody wants to know.
    pub(crate) fn begin(runs: &Runs<'_>) -> Option<Self> {
        let first = runs.runs.first()?;
        let settings = first.settings.alerts.clone();
        if !settings.enabled {
            return None;
        }
        let program =
            settings.program.clone().zip(runs.paths).and_then(|(words, paths)| program(words, paths, first.project));
        let hook = Hook::begin(Receivers { webhook: settings.webhook.clone(), program });
        let streams = runs.runs.iter().map(|run| run.events.clone());
        let watch = Watch::new(settings, streams, runs.common.cloned(), hook);
        let over = CancellationToken::new();
        let watching = tokio::spawn(watch.go(over.clone()));
        Some(Self { going: Some(over.drop_guard()), watching: Some(watching), hook: None })
    }
}

/// None: convoke itself can't be found, which watches over programs.
fn program(words: Vec<String>, paths: &Paths, project: &std::path::Path) -> Option<Program> {
    let machinery = Machinery { warden: std::env::current_exe().ok()?, records: paths.instances() };
    Some(Program { words, folder: paths.config.clone(), programs: Programs::of(variable, project), machinery })
}

impl Observer for Alerts {
    fn ended<'a>(&'a mut self, _: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        async move {
            drop(self.going.take());
            if let Some(watching) = self.watching.take()
                && let Ok(watch) = watching.await
            {
                self.hook = watch.end();
            }
            Vec::new()
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Vec<String>> {
        async move {
            match self.hook {
                Some(hook) => hook.end().await,
                None => Vec::new(),
            }
        }
        .boxed()
    }
}

/// One run's stream.
struct Stream {
    events: Events,
    heard: Subscription,
    /// How much later than the first one it began.
    later: Duration,
}

/// The rules over the streams of all runs of the process: what is wrong with the machine or with those who answer is one
/// trouble, however many runs there are.
struct Watch {
    rules: Rules,
    streams: Vec<Stream>,
    common: Option<Events>,
    about: Vec<About>,
    hook: Option<Hook>,
    /// Runs that are about to end, and want all judged.
    ending: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// The time of the last event, of which none goes back.
    now: Duration,
}

impl Watch {
    fn new(
        settings: AlertSettings,
        streams: impl IntoIterator<Item = Events>,
        common: Option<Events>,
        hook: Option<Hook>,
    ) -> Self {
        let mut first = None;
        let (judge, ending) = mpsc::unbounded_channel();
        let stream = |events: Events| {
            events.set_judge(judge.clone());
            let age = events.elapsed();
            let later = first.get_or_insert(age).saturating_sub(age);
            Stream { heard: events.listen(), events, later }
        };
        let streams = streams.into_iter().map(stream).collect();
        Self { rules: Rules::new(settings), streams, common, about: Vec::new(), hook, ending, now: Duration::ZERO }
    }

    async fn go(mut self, over: CancellationToken) -> Self {
        loop {
            let ending = tokio::select! {
                () = over.cancelled() => return self,
                () = tokio::time::sleep(EVERY) => None,
                ending = self.ending.recv() => ending,
            };
            self.look().await;
            if let Some(judged) = ending {
                // Who waited too long has gone.
                let _ = judged.send(());
            }
        }
    }

    /// Hears what was told meanwhile, in the order in which it happened.
    async fn look(&mut self) {
        let mut told: Vec<(Duration, Arc<Event>)> = Vec::new();
        let mut events = Vec::new();
        for stream in &mut self.streams {
            stream.heard.drain(&mut events);
            told.extend(events.drain(..).map(|event| (event.at + stream.later, event)));
        }
        told.sort_by_key(|(at, _)| *at);
        for (at, event) in told {
            if let Fact::RunStarted(facts) = &event.fact {
                self.about.push(About::of(facts));
            }
            self.now = self.now.max(at);
            for change in self.rules.hear(self.now, &event.fact) {
                self.tell(change).await;
            }
        }
    }

    async fn tell(&mut self, change: rules::Change) {
        let rules::Change { alert, turn, reason } = change;
        // A run that has ended hears nothing more, its report is made; and nobody outside hears what no run has heard.
        let mut is_told = false;
        for events in self.streams.iter().map(|stream| &stream.events).chain(&self.common) {
            is_told |= match turn {
                Turn::Raise => events.raise(alert, &reason).await,
                Turn::Clear => events.clear(alert, &reason).await,
            };
        }
        if is_told {
            let state = if turn == Turn::Raise { "raised" } else { "cleared" };
            self.send(alert, state, &reason);
        }
    }

    fn send(&mut self, alert: &str, state: &'static str, reason: &str) {
        if let Some(hook) = &mut self.hook {
            hook.send(Message::new(alert, state, reason, &self.about));
        }
    }

    /// The runs have ended: those outside hear that what stood stands no more, and why.
    fn end(mut self) -> Option<Hook> {
        for alert in self.rules.standing() {
            self.send(alert, "ended", "the runs have ended, and it stood");
        }
        self.hook
    }
}
