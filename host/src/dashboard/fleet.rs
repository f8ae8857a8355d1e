//! The runs that go on, as their own events tell of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_runtime::event::Event;
use convoke_runtime::money::Usd;
use convoke_runtime::work::Census;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::picture::Picture;

/// So many runs are followed at once.
pub(super) const MOST_RUNS: usize = 64;

/// So long a run that has ended stays among those that go on: whoever watched it sees how it ended.
const STAYS: Duration = Duration::from_secs(600);

/// All that go on. Clones are the same.
#[derive(Clone)]
pub(super) struct Fleet {
    runs: Arc<Mutex<BTreeMap<String, Followed>>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { runs: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }
}

/// A run that is followed.
pub(super) struct Followed {
    /// Where its process listens.
    pub socket: PathBuf,
    /// Which one of all that were followed under this id: after a break it is told anew.
    pub generation: u64,
    pub picture: Picture,
    /// Whether a part of what it told is missing in the picture.
    pub is_incomplete: bool,
    /// Since when nothing is heard of it any more; none: it is heard.
    silent: Option<Instant>,
}

/// What the list says of a run.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Brief {
    run: String,
    command: String,
    subcommand: Option<String>,
    project: String,
    mode: String,
    backend: String,
    pid: u32,
    started: Option<Timestamp>,
    /// `planning`, `execute`, `aggregate`, `paused`, how it ended, or `lost`.
    state: String,
    census: Census,
    in_flight: usize,
    spent: Usd,
    budget: Option<Usd>,
    alerts: usize,
    /// Whether a part of what it told is missing: the numbers are too small.
    incomplete: bool,
    /// Whether it can be controlled.
    heard: bool,
}

impl Fleet {
    /// Hears of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A run is followed from now on; what was known of it before is told anew. False: there are too many.
    pub(super) fn begin(&self, run: &str, socket: PathBuf) -> bool {
        let mut runs = self.lock();
        let generation = runs.get(run).map_or(0, |known| known.generation + 1);
        if !runs.contains_key(run) && runs.len() >= MOST_RUNS {
            // Those that are over make room, the oldest first.
            let over = runs.iter().filter_map(|(run, followed)| Some((followed.silent?, run.clone())));
            let Some((_, oldest)) = over.min() else { return false };
            runs.remove(&oldest);
        }
        let followed = Followed { socket, generation, picture: Picture::default(), is_incomplete: false, silent: None };
        runs.insert(run.to_owned(), followed);
        drop(runs);
        self.say();
        true
    }

    /// Whether another run can be followed.
    pub(super) fn has_room(&self) -> bool {
        let runs = self.lock();
        runs.len() < MOST_RUNS || runs.values().any(|followed| !followed.is_heard())
    }

    /// A run has told these.
    pub(super) fn hear(&self, run: &str, events: &[Event]) {
        if let Some(followed) = self.lock().get_mut(run) {
            events.iter().for_each(|event| followed.picture.hear(event));
        }
        self.say();
    }

    /// A part of what a run has told is missing.
    pub(super) fn misses(&self, run: &str) {
        if let Some(followed) = self.lock().get_mut(run) {
            followed.is_incomplete = true;
        }
        self.say();
    }

    /// Nothing more is heard of it. Whether it told that it has ended.
    pub(super) fn end(&self, run: &str) -> bool {
        let ended = self.lock().get_mut(run).is_none_or(|followed| {
            followed.silent = Some(Instant::now());
            followed.picture.timeline().ended.is_some()
        });
        self.say();
        ended
    }

    /// Forgets those that ended long ago.
    pub(super) fn tidy(&self) {
        let mut runs = self.lock();
        let before = runs.len();
        runs.retain(|_, run| run.silent.is_none_or(|since| since.elapsed() < STAYS));
        let fewer = runs.len() < before;
        drop(runs);
        if fewer {
            self.say();
        }
    }

    /// All of them, those that go on first, then by when they began.
    pub(super) fn briefs(&self) -> Vec<Brief> {
        let mut briefs: Vec<Brief> = self.lock().iter().map(|(run, followed)| followed.brief(run)).collect();
        briefs.sort_by(|one, other| (other.heard, &other.run).cmp(&(one.heard, &one.run)));
        briefs
    }

    /// Looks at one of them.
    pub(super) fn look<T>(&self, run: &str, look: impl FnOnce(&Followed) -> T) -> Option<T> {
        self.lock().get(run).map(look)
    }

    fn say(&self) {
        self.changed.send_modify(|revision| *revision += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Followed>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    /// Whether its process is heard, and hears.
    pub(super) fn is_heard(&self) -> bool {
        self.silent.is_none()
    }

    fn brief(&self, run: &str) -> Brief {
        let timeline = self.picture.timeline();
        let facts = timeline.run.as_ref();
        let text = |of: fn(&convoke_runtime::event::RunFacts) -> &String| facts.map(of).cloned().unwrap_or_default();
        Brief {
            run: run.to_owned(),
            command: text(|facts| &facts.command),
            subcommand: facts.and_then(|facts| facts.subcommand.clone()),
            project: text(|facts| &facts.project),
            mode: text(|facts| &facts.mode),
            backend: text(|facts| &facts.backend),
            pid: facts.map(|facts| facts.pid).unwrap_or_default(),
            started: facts.map(|facts| facts.started),
            state: self.state(),
            census: timeline.census,
            in_flight: timeline.in_flight(),
            spent: timeline.totals.usage.usd,
            budget: facts.and_then(|facts| facts.budget),
            alerts: timeline.alerts.len(),
            incomplete: self.is_incomplete,
            heard: self.is_heard(),
        }
    }

    fn state(&self) -> String {
        let timeline = self.picture.timeline();
        if let Some(ended) = &timeline.ended {
            return ended.status.name().to_owned();
        }
        if !self.is_heard() {
            return "lost".to_owned();
        }
        if timeline.paused.is_some() {
            return "paused".to_owned();
        }
        timeline.phases.last().map_or_else(|| "planning".to_owned(), |phase| phase.phase.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_over_makes_room_and_goes_after_a_while() {
        let fleet = Fleet::default();
        for run in 0..MOST_RUNS {
            assert!(fleet.begin(&run.to_string(), PathBuf::new()));
        }
        assert!(!fleet.begin("more", PathBuf::new()), "all of them go on");
        assert!(fleet.begin("7", PathBuf::new()), "what is known is told anew");
        fleet.end("7");
        tokio::time::advance(Duration::from_secs(1)).await;
        fleet.end("8");
        assert!(fleet.begin("more", PathBuf::new()));
        assert!(fleet.look("7", |_| ()).is_none() && fleet.look("8", |_| ()).is_some());
        tokio::time::advance(STAYS).await;
        fleet.tidy();
        assert!(fleet.look("8", |_| ()).is_none() && fleet.look("more", |_| ()).is_some());
    }
}
