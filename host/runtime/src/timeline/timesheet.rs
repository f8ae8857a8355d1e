//! Where the time of a run went: a fold of its events.
//!
//! At each moment the time that passes is shared out among the workers that there could be: each is at something, and that
//! is what its share went to. So the parts add up to the time of the run, and none is counted twice. It keeps sums and no
//! history: it takes the same memory however long a run is, but for a sum for each worker and each item that others had
//! to wait for.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::bottleneck::What;
use crate::event::{Event, Fact};
use crate::levels::Level;

/// So many workers have sums of their own; those of the others are in the whole.
const MOST_WORKERS: usize = 10_000;

/// So many items have a sum of what others waited for them; those of the others are in the whole.
const MOST_ITEMS: usize = 10_000;

/// The longest label that is kept, in characters.
const LONGEST_LABEL: usize = 200;

/// Times by what they went to, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times([f64; What::COUNT]);

impl Times {
    fn add(&mut self, what: What, seconds: f64) {
        self.0[what as usize] += seconds;
    }

    /// What was taken for one thing was another.
    fn turn(&mut self, from: What, to: What, seconds: f64) {
        let turned = seconds.min(self.of(from));
        self.add(from, -turned);
        self.add(to, turned);
    }

    /// How long it was.
    pub(super) fn of(&self, what: What) -> f64 {
        self.0[what as usize]
    }

    /// All of them.
    pub(super) fn sum(&self) -> f64 {
        self.0.iter().sum()
    }
}

/// Where the time of a run went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timesheet {
    /// Until when it is shared out.
    now: Duration,
    /// Since the run began.
    wall: f64,
    phase: Phase,
    /// At work now, by their number.
    workers: BTreeMap<usize, AtWork>,
    /// So long workers were at work, in seconds.
    clock: f64,
    /// How many of them are at what.
    at: [u32; What::COUNT],
    /// How many of them have an item in their hands.
    busy: usize,
    /// How many of them are not there yet.
    coming: usize,
    /// The questions that are open, by their number.
    questions: HashMap<u64, Open>,
    /// Which worker has an item in its hands.
    holders: HashMap<usize, usize>,
    /// The most workers that there were at once.
    most: usize,
    is_paused: bool,
    level: Level,
    /// The whole time: its sum is that of the plan and the wall.
    pub(super) shares: Times,
    /// The time of the workers, each for itself.
    pub(super) worked: Times,
    /// For how long at least two had an item in their hands.
    parallel: f64,
    /// In the order in which they began. What passed since a worker came to what it is at is not in it yet.
    of_workers: Vec<OfWorker>,
    /// Which of them is whose, by the number of the worker.
    places: HashMap<usize, usize>,
    /// For how long others had nothing to take while it was in hands: by the item, its label and its worker's segment.
    pub(super) waited_for: HashMap<usize, WaitedFor>,
    /// How often a question was asked again, by the kind of failure.
    pub(super) retries: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Before,
    Execute,
    Aggregate,
    After,
}

/// What a worker's time went to, while it had an item in its hands or was not there yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OfWorker {
    pub(super) segment: String,
    pub(super) times: Times,
}

/// An item that others waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WaitedFor {
    pub(super) label: String,
    pub(super) segment: String,
    /// As a share of the whole time, in seconds.
    pub(super) seconds: f64,
    /// How long it was in hands meanwhile, in seconds.
    pub(super) lasted: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct AtWork {
    /// Its place among the sums of workers; none: it has none of its own.
    place: Option<usize>,
    is_ready: bool,
    item: Option<(usize, String)>,
    /// How many questions of its item are at what.
    open: [u32; What::COUNT],
    /// What it is counted at; none: it is there, and has nothing in its hands.
    at: Option<What>,
    /// Since when, by the clock of workers.
    since: f64,
}

impl AtWork {
    /// What it is at.
    fn now_at(&self, is_paused: bool) -> Option<What> {
        match (&self.item, self.is_ready) {
            (Some(_), _) => Some(match self.best() {
                // While it is paused nobody has a turn.
                What::Turn if is_paused => What::Pause,
                at => at,
            }),
            (None, false) => Some(What::Start),
            (None, true) => None,
        }
    }

    /// The best that any of its questions is at, for while one is answered nothing is lost.
    fn best(&self) -> What {
        const BEST_FIRST: [What; 9] = [
            What::Answers,
            What::Instance,
            What::Turn,
            What::Context,
            What::Limit,
            What::Quota,
            What::Retry,
            What::Breaker,
            What::Pause,
        ];
        BEST_FIRST.into_iter().find(|what| self.open[*what as usize] > 0).unwrap_or(What::Work)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Open {
    item: usize,
    at: What,
}

impl Timesheet {
    /// Takes an event in.
    pub fn hear(&mut self, event: &Event) {
        // What changes nothing of who is at what comes often.
        if matches!(
            event.fact,
            Fact::QuestionProgress { .. } | Fact::ItemProgress { .. } | Fact::Decided { .. } | Fact::Logged { .. }
        ) {
            return;
        }
        self.until(event.at);
        match &event.fact {
            Fact::RunStarted(_) => self.phase = Phase::Execute,
            Fact::Planned { assessed_in, allocated_in, .. } => {
                self.shares.add(What::Plan, (*assessed_in + *allocated_in).as_secs_f64());
            }
            Fact::PhaseStarted { phase } => {
                self.phase = if phase == "aggregate" { Phase::Aggregate } else { Phase::Execute };
            }
            Fact::Ended { .. } => self.phase = Phase::After,
            Fact::WorkerStarted { worker, segment } => {
                self.leave(*worker);
                let place = self.place_for(*worker, segment);
                self.workers.insert(*worker, AtWork { place, ..AtWork::default() });
                self.counted(*worker, |_| ());
                self.most = self.most.max(self.workers.len());
            }
            Fact::WorkerReady { worker, .. } => self.is_ready(*worker),
            Fact::WorkerEnded { worker, .. } => {
                // Another worker may have it already.
                if let Some((item, _)) = self.leave(*worker).and_then(|worker| worker.item)
                    && self.holders.get(&item) == Some(worker)
                {
                    self.holders.remove(&item);
                }
            }
            Fact::ItemStarted { worker, item, label, .. } => {
                self.is_ready(*worker);
                let has_it = |at_work: &mut AtWork| {
                    at_work.item = Some((*item, label.chars().take(LONGEST_LABEL).collect()));
                    at_work.open = Default::default();
                };
                if self.change(*worker, has_it).is_some() {
                    self.holders.insert(*item, *worker);
                    // Those of who had it before, which may still be told to have given it back.
                    self.questions.retain(|_, open| open.item != *item);
                }
            }
            Fact::ItemEnded { item, .. } => self.let_go(*item),
            // Another worker may have it already.
            Fact::ItemReturned { item, worker, .. } if self.holders.get(item) == Some(worker) => self.let_go(*item),
            Fact::QuestionQueued { question, item, .. } => self.is_at(*question, *item, What::Turn),
            Fact::QuestionWaits { question, item, reason, .. } => {
                // A second try beside one that is under way may wait too: only a pause breaks that off.
                let is_under_way = self.questions.get(question).is_some_and(|open| open.at == What::Answers);
                if reason == "pause" || !is_under_way {
                    self.is_at(*question, *item, What::of_wait(reason));
                }
            }
            Fact::QuestionSent { question, item, .. } => self.is_at(*question, *item, What::Answers),
            Fact::QuestionRetried { question, item, kind, .. } => {
                *self.retries.entry(kind.to_string()).or_default() += 1;
                self.is_at(*question, *item, What::Retry);
            }
            // After a tool it may have been at work with it.
            Fact::QuestionStalled { question, lasted, tool: None, .. } => self.stalled(*question, lasted.as_secs_f64()),
            Fact::QuestionSettled(settled) => self.close(settled.question),
            Fact::Degraded { to, .. } => self.level = *to,
            Fact::Paused { .. } => self.pauses(true),
            Fact::Resumed { .. } => self.pauses(false),
            _ => {}
        }
    }

    /// Shares the time out until now, counted as that of events is: the run goes on, or nothing more was told.
    pub fn until(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.now).as_secs_f64();
        self.now = self.now.max(now);
        if seconds <= 0.0 || matches!(self.phase, Phase::Before | Phase::After) {
            return;
        }
        self.wall += seconds;
        if self.phase == Phase::Aggregate {
            self.shares.add(What::Aggregate, seconds);
            return;
        }
        let (busy, coming) = (self.busy, self.coming);
        if busy >= 2 {
            self.parallel += seconds;
        }
        if busy + coming == 0 {
            let what = match () {
                () if self.is_paused => What::Pause,
                // Before the first worker nobody can have waited for anything else.
                () if self.most == 0 => What::Start,
                () => What::Idle,
            };
            self.shares.add(what, seconds);
            return;
        }
        let most = self.most.max(1);
        let one = seconds / most as f64;
        for (what, count) in self.at.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.shares.0[what] += one * f64::from(*count);
            self.worked.0[what] += seconds * f64::from(*count);
        }
        self.clock += seconds;
        self.without_an_item(most.saturating_sub(busy + coming), one, seconds);
    }

    /// What the share of those goes to who have nothing in their hands.
    fn without_an_item(&mut self, idle: usize, one: f64, seconds: f64) {
        if idle == 0 {
            return;
        }
        let lost = one * idle as f64;
        let what = match self.level {
            _ if self.is_paused => What::Pause,
            Level::Sequential => What::OneByOne,
            _ => What::Item,
        };
        self.shares.add(what, lost);
        self.worked.add(what, seconds * idle as f64);
        if what != What::Item {
            return;
        }
        let Self { workers, of_workers, waited_for, .. } = self;
        let held = || workers.values().filter_map(|worker| Some((worker.place, worker.item.as_ref()?)));
        let each = lost / held().count().max(1) as f64;
        for (place, (item, label)) in held() {
            if waited_for.len() >= MOST_ITEMS && !waited_for.contains_key(item) {
                continue;
            }
            let waited = waited_for.entry(*item).or_insert_with(|| WaitedFor {
                label: label.clone(),
                segment: place.map(|place| of_workers[place].segment.clone()).unwrap_or_default(),
                ..WaitedFor::default()
            });
            waited.seconds += each;
            waited.lasted += seconds;
        }
    }

    /// The share of the wall in which at least two workers had an item in their hands, 0.0 to 1.0.
    pub fn parallel_share(&self) -> f64 {
        if self.wall > 0.0 { (self.parallel / self.wall).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The most workers that there were at once.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What each worker's time went to, in the order in which they began.
    pub(super) fn of_workers(&self) -> Vec<OfWorker> {
        let mut all = self.of_workers.clone();
        for worker in self.workers.values() {
            if let (Some(place), Some(at)) = (worker.place, worker.at) {
                all[place].times.add(at, self.clock - worker.since);
            }
        }
        all
    }

    /// What a worker's time went to.
    pub(super) fn of_worker(&self, worker: usize) -> Option<Times> {
        let mut times = self.of_workers.get(*self.places.get(&worker)?)?.times;
        if let Some(worker) = self.workers.get(&worker)
            && let Some(at) = worker.at
        {
            times.add(at, self.clock - worker.since);
        }
        Some(times)
    }

    /// Changes something of a worker: what it was at until now is added up. None: there is no such worker.
    fn change<T>(&mut self, worker: usize, change: impl FnOnce(&mut AtWork) -> T) -> Option<T> {
        self.uncount(worker)?;
        self.counted(worker, change)
    }

    /// Adds up what a worker was at, and no longer counts it.
    fn uncount(&mut self, worker: usize) -> Option<()> {
        let worker = self.workers.get(&worker)?;
        if let Some(at) = worker.at {
            self.at[at as usize] -= 1;
            if let Some(place) = worker.place {
                self.of_workers[place].times.add(at, self.clock - worker.since);
            }
        }
        self.busy -= usize::from(worker.item.is_some());
        self.coming -= usize::from(worker.item.is_none() && !worker.is_ready);
        Some(())
    }

    /// Changes something of a worker that is not counted, and counts it.
    fn counted<T>(&mut self, worker: usize, change: impl FnOnce(&mut AtWork) -> T) -> Option<T> {
        let worker = self.workers.get_mut(&worker)?;
        let changed = change(worker);
        (worker.at, worker.since) = (worker.now_at(self.is_paused), self.clock);
        if let Some(at) = worker.at {
            self.at[at as usize] += 1;
        }
        self.busy += usize::from(worker.item.is_some());
        self.coming += usize::from(worker.item.is_none() && !worker.is_ready);
        Some(changed)
    }

    /// A worker is there no longer.
    fn leave(&mut self, worker: usize) -> Option<AtWork> {
        self.uncount(worker)?;
        self.workers.remove(&worker)
    }

    fn pauses(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        for worker in self.workers.keys().copied().collect::<Vec<_>>() {
            self.change(worker, |_| ());
        }
    }

    /// Where a worker that begins has its sums, which begin too. None: there are too many.
    fn place_for(&mut self, worker: usize, segment: &str) -> Option<usize> {
        let of_worker = OfWorker { segment: segment.to_owned(), times: Times::default() };
        if let Some(place) = self.places.get(&worker) {
            self.of_workers[*place] = of_worker;
            return Some(*place);
        }
        let place = self.of_workers.len();
        (place < MOST_WORKERS).then(|| {
            self.of_workers.push(of_worker);
            self.places.insert(worker, place);
            place
        })
    }

    fn is_ready(&mut self, worker: usize) {
        self.change(worker, |at_work| at_work.is_ready = true);
    }

    fn is_at(&mut self, question: u64, item: usize, at: What) {
        self.close(question);
        let Some(worker) = self.holders.get(&item).copied() else { return };
        if self.change(worker, |worker| worker.open[at as usize] += 1).is_some() {
            self.questions.insert(question, Open { item, at });
        }
    }

    /// What was taken for the time of an answer was one in which nothing of it came.
    fn stalled(&mut self, question: u64, seconds: f64) {
        let Some(Open { item, at: What::Answers }) = self.questions.get(&question).copied() else { return };
        let Some(number) = self.holders.get(&item).copied() else { return };
        // While another one of its questions is answered nothing is lost.
        let is_alone = self.workers.get(&number).is_some_and(|worker| worker.open[What::Answers as usize] == 1);
        if !is_alone || self.phase != Phase::Execute {
            return;
        }
        self.shares.turn(What::Answers, What::Stall, seconds / self.most.max(1) as f64);
        self.worked.turn(What::Answers, What::Stall, seconds);
        self.change(number, |_| ());
        if let Some(place) = self.places.get(&number) {
            self.of_workers[*place].times.turn(What::Answers, What::Stall, seconds);
        }
    }

    fn close(&mut self, question: u64) {
        let Some(Open { item, at }) = self.questions.remove(&question) else { return };
        if let Some(worker) = self.holders.get(&item).copied() {
            let is_over = |worker: &mut AtWork| worker.open[at as usize] = worker.open[at as usize].saturating_sub(1);
            self.change(worker, is_over);
        }
    }

    fn let_go(&mut self, item: usize) {
        if let Some(worker) = self.holders.remove(&item) {
            self.change(worker, |worker| {
                if worker.item.as_ref().is_some_and(|(held, _)| *held == item) {
                    (worker.item, worker.open) = (None, Default::default());
                }
            });
        }
        // What is still told of them belongs to nobody.
        self.questions.retain(|_, open| open.item != item);
    }
}
