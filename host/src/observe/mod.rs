//! What watches runs beside the terminal: each is a consumer of the one stream of events, and decides nothing.
//!
//! All of them hear the same facts, so that what they show is the same. None may hold up a run: who can't go on says so
//! once, and hears on.

mod recorder;
pub(crate) mod words;

pub(crate) use recorder::is_kept;

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use convoke_runtime::event::Events;
use convoke_runtime::journal::Journal;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use crate::alerts::Alerts;
use crate::config::{Paths, Settings};
use crate::logs::Lines;
use crate::metrics::{self, Metrics};
use crate::report::Report;
use crate::run::Session;
use crate::run::steer::Steering;
use crate::traces::Traces;

/// The runs of a process that are watched.
pub struct Runs<'a> {
    /// In their order.
    pub runs: Vec<Run<'a>>,
    /// Where it is told what happens to all of them; none: there is only one, which tells it itself.
    pub common: Option<&'a Events>,
    /// The user's own folders.
    pub paths: Option<&'a Paths>,
}

/// What is to know of a run for who watches it.
pub struct Run<'a> {
    /// Its name among the others.
    pub name: &'a str,
    /// What the user typed: `agent-audit`.
    pub command: &'a str,
    /// The folder of the project.
    pub project: &'a Path,
    /// Where everything is told.
    pub events: &'a Events,
    /// Where what was told is kept.
    pub journal: &'a Journal,
    /// By which it can be changed while it goes on.
    pub steering: &'a Arc<Steering>,
    /// What the user set.
    pub settings: &'a Settings,
}

impl<'a> Run<'a> {
    /// Of a run that is about to begin.
    pub fn of(name: &'a str, session: &'a Session) -> Self {
        let Session { command, identity, events, journal, steering, settings, .. } = session;
        Self { name, command, project: Path::new(&identity.project), events, journal, steering, settings }
    }
}

/// What the user wants beside the report.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Numbers for Prometheus.
    pub metrics: metrics::Wanted,
}

/// Something that watches runs.
pub trait Observer: Send {
    /// The runs have ended, and these are their reports as they will be shown: in the order of the runs, without those that
    /// could not be made. What it returns is said to the user. Must be quick: the report waits for it.
    fn ended<'a>(&'a mut self, _reports: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        ready(Vec::new()).boxed()
    }

    /// The reports were shown, and the process is about to end.
    fn close(self: Box<Self>) -> BoxFuture<'static, Vec<String>> {
        ready(Vec::new()).boxed()
    }
}

/// All that watch.
#[derive(Default)]
#[must_use = "they are ended with the runs"]
pub struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    /// They watch from now on: before the runs begin. What can't be had is said; the runs go on.
    pub fn begin(runs: &Runs<'_>, wanted: Wanted) -> (Self, Vec<String>) {
        let mut said = Vec::new();
        let mut all: Vec<Box<dyn Observer>> = vec![Box::new(recorder::Recorder::begin(runs))];
        match Metrics::begin(runs, wanted.metrics) {
            Ok(metrics) => all.extend(metrics.map(|metrics| Box::new(metrics) as Box<dyn Observer>)),
            Err(why) => said.push(why),
        }
        all.extend(Alerts::begin(runs).map(|alerts| Box::new(alerts) as Box<dyn Observer>));
        if let Some(traces) = Traces::begin(runs, |name| std::env::var(name).ok()) {
            all.push(Box::new(traces));
        }
        if let Some(lines) = Lines::begin(runs) {
            all.push(Box::new(lines));
        }
        #[cfg(unix)]
        if let Some(paths) = runs.paths {
            all.push(Box::new(crate::control::Control::begin(runs, &paths.control())));
        }
        (Self(all), said)
    }

    /// The runs have ended. See [`Observer::ended`].
    pub async fn ended(&mut self, reports: &[&Report]) -> Vec<String> {
        // Each has something left to do, and none needs the others.
        let said = join_all(self.0.iter_mut().map(|observer| observer.ended(reports))).await;
        said.into_iter().flatten().collect()
    }

    /// The process is about to end. See [`Observer::close`].
    pub async fn close(self) -> Vec<String> {
        let closed = join_all(self.0.into_iter().map(Observer::close)).await;
        closed.into_iter().flatten().collect()
    }
}
