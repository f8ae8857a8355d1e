//! The numbers of runs for Prometheus: served at `/metrics` while they run, and written to a file at their end.
//!
//! [`figures`] folds what runs tell into numbers, [`times`] has the histograms, [`text`] shows them all, [`serve`] answers
//! scrapes. They are counted when somebody asks, and from time to time so that nobody waits for them.
//!
//! A label names a command, a model, a backend or one of convoke's own words, never an item or a path: see [`labels`].

mod figures;
mod labels;
mod serve;
#[cfg(test)]
mod tests;
mod text;
mod times;
mod visitors;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use convoke_runtime::event::{Event, Events, Fact, Sample, Subscription};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::config::files::write_atomic;
use crate::observe::{Observer, Runs};
use crate::report::Report;
use figures::Figures;
use labels::Labels;
use times::Times;

/// How often is counted what was told: far oftener than a listener's buffer could fill.
const EVERY: Duration = Duration::from_millis(100);

/// Where numbers are wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    listener: Option<TcpListener>,
    file: Option<PathBuf>,
}

impl Wanted {
    /// At this address, of which the port may be 0, and in this file. What is wanted nowhere is not counted.
    ///
    /// # Errors
    /// Where the address can't be had: what the system says.
    pub fn open(addr: Option<SocketAddr>, file: Option<PathBuf>) -> io::Result<Self> {
        Ok(Self { listener: addr.map(serve::bind).transpose()?, file })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

/// A run that is counted.
struct Run {
    /// What its label says.
    name: String,
    events: Events,
    heard: Subscription,
    figures: Figures,
}

/// An alert, as it was told.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    stands: bool,
    raised: u64,
}

/// All that is counted.
struct Watched {
    runs: Vec<Run>,
    /// What happens to all runs; none: there is only one, which tells it itself.
    common: Option<Subscription>,
    times: Times,
    labels: Labels,
    /// How things stood last.
    sample: Option<Box<Sample>>,
    alerts: BTreeMap<String, Seen>,
    breaker_opened: u64,
    heard: u64,
    behind: usize,
}

impl Watched {
    /// The runs, each with its command, and where it is told what happens to all of them.
    fn new<'a>(runs: impl Iterator<Item = (&'a str, &'a Events)>, common: Option<&Events>) -> prometheus::Result<Self> {
        let (commands, events): (Vec<_>, Vec<_>) = runs.unzip();
        let run = |(name, events): (String, &Events)| Run {
            name,
            events: events.clone(),
            heard: events.listen(),
            figures: Figures::default(),
        };
        Ok(Self {
            runs: names(commands.into_iter()).into_iter().zip(events).map(run).collect(),
            common: common.map(Events::listen),
            times: Times::new()?,
            labels: Labels::default(),
            sample: None,
            alerts: BTreeMap::new(),
            breaker_opened: 0,
            heard: 0,
            behind: 0,
        })
    }

    /// Counts what was told meanwhile.
    fn catch_up(&mut self) {
        self.behind = self.runs.iter().map(|run| run.heard.behind()).sum();
        let mut told = Vec::new();
        for place in 0..self.runs.len() {
            self.runs[place].heard.drain(&mut told);
            for event in told.drain(..) {
                self.hear(place, &event);
            }
        }
        if let Some(common) = &mut self.common {
            common.drain(&mut told);
            told.drain(..).for_each(|event| self.hear_of_all(&event.fact));
        }
    }

    fn hear(&mut self, place: usize, event: &Event) {
        self.heard += 1;
        match &event.fact {
            // The backends are the same for all runs.
            Fact::Sampled(sample) => self.sample = Some(sample.clone()),
            fact if self.common.is_none() => self.hear_of_all(fact),
            _ => {}
        }
        let run = &mut self.runs[place];
        run.figures.hear(event, &run.name, &self.times, &mut self.labels);
    }

    /// What happens to all runs, and is counted once.
    fn hear_of_all(&mut self, fact: &Fact) {
        match fact {
            Fact::AlertRaised { alert, .. } => {
                let seen = self.alerts.entry(self.labels.alert(alert)).or_default();
                (seen.stands, seen.raised) = (true, seen.raised + 1);
            }
            Fact::AlertCleared { alert, .. } => self.alerts.entry(self.labels.alert(alert)).or_default().stands = false,
            Fact::BreakerChanged { state, .. } if state == "open" => self.breaker_opened += 1,
            _ => {}
        }
    }
}

/// The commands, each with a number behind it where it is not the first of its name.
fn names<'a>(commands: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    commands
        .map(|command| {
            let name = labels::value(command);
            let count = counts.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}#{count}") }
        })
        .collect()
}

/// All that is counted, for those who ask.
struct Shared(Mutex<Watched>);

impl Shared {
    fn catch_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).catch_up();
    }

    fn text(&self) -> prometheus::Result<String> {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.catch_up();
        text::text(&watched)
    }
}

/// Counts what runs tell.
pub(crate) struct Metrics {
    shared: Arc<Shared>,
    file: Option<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

impl Metrics {
    /// From now on. None: nobody wants to know. What went wrong is said to the user; the runs go on.
    pub(crate) fn begin(runs: &Runs<'_>, wanted: Wanted) -> Result<Option<Self>, String> {
        let Wanted { listener, file } = wanted;
        if listener.is_none() && file.is_none() {
            return Ok(None);
        }
        let failed = |error: &dyn std::fmt::Display| format!("there are no metrics: {error}");
        let streams = runs.runs.iter().map(|run| (run.command, run.events));
        let shared = Watched::new(streams, runs.common).map_err(|error| failed(&error))?;
        let shared = Arc::new(Shared(Mutex::new(shared)));
        let mut tasks = vec![tokio::spawn(keep_up(shared.clone()))];
        if let Some(listener) = listener {
            tasks.push(serve::serve(listener, shared.clone()).map_err(|error| failed(&error))?);
        }
        Ok(Some(Self { shared, file, tasks }))
    }
}

async fn keep_up(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(EVERY).await;
        shared.catch_up();
    }
}

impl Observer for Metrics {
    fn ended<'a>(&'a mut self, _: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        async move {
            let Some(file) = &self.file else { return Vec::new() };
            let written = match self.shared.text() {
                Ok(text) => write_atomic(file, text.as_bytes(), None).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            written
                .err()
                .map(|error| format!("the metrics are not in {}: {error}", file.display()))
                .into_iter()
                .collect()
        }
        .boxed()
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
