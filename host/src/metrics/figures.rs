//! The numbers of one run, folded from what it tells.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use convoke_runtime::event::{Event, Fact, RunFacts, Settled, Spent};
use convoke_runtime::levels::Level;
use convoke_runtime::money::Usd;
use convoke_runtime::question::Usage;
use convoke_runtime::work::{Census, Outcome, Status};

use super::labels::Labels;
use super::times::Times;

/// The phases of a run, in their order.
pub(super) const PHASES: [&str; 4] = ["assess", "allocate", "execute", "aggregate"];

/// What is going on with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asking {
    /// It waits for admission.
    Queued,
    /// It was sent, and nothing has come.
    Sent,
    /// Its answer comes.
    Answering,
    /// It waits to be asked again.
    Retrying,
}

impl Asking {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::Queued, "queued"), (Self::Sent, "sent"), (Self::Answering, "answering"), (Self::Retrying, "retrying")];
}

/// Who was asked, as labels say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) backend: String,
    /// Whether a subscription pays.
    pub(super) notional: bool,
}

/// What they took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Took {
    pub(super) usage: Usage,
    pub(super) uncertain: Usd,
}

#[derive(Debug)]
struct Underway {
    item: usize,
    doing: Asking,
    /// When it was last sent, and to which backend.
    sent: Option<(Duration, String)>,
}

#[derive(Debug)]
struct Working {
    since: Duration,
    item: Option<(usize, Duration)>,
}

/// The numbers of one run. Times are since its stream began.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) about: Option<RunFacts>,
    pub(super) status: Option<Status>,
    pub(super) paused: bool,
    /// How it goes on: none before it went otherwise than it should.
    pub(super) level: Option<Level>,
    begun: Option<Duration>,
    ended: Option<Duration>,
    planned: [Option<Duration>; 2],
    phases: [Option<Duration>; 2],
    items: u64,
    outcomes: BTreeMap<&'static str, u64>,
    census: Option<Census>,
    pub(super) returned: u64,
    pub(super) quarantined: u64,
    workers: HashMap<usize, Working>,
    pub(super) workers_started: u64,
    pub(super) workers_died: u64,
    lived: Duration,
    work: Duration,
    busy: Busy,
    questions: HashMap<u64, Underway>,
    /// By how they ended and by backend.
    pub(super) settled: BTreeMap<(String, String), u64>,
    pub(super) retries: BTreeMap<String, u64>,
    pub(super) hedges: u64,
    pub(super) spent: BTreeMap<Asked, Took>,
}

/// For how long several workers had something in their hands.
#[derive(Debug, Default)]
struct Busy {
    now: usize,
    since: Duration,
    several: Duration,
}

impl Busy {
    fn several_at(&self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.since);
        self.several + if self.now > 1 { passed } else { Duration::ZERO }
    }

    fn become_of(&mut self, count: usize, at: Duration) {
        self.several = self.several_at(at);
        (self.now, self.since) = (count, at);
    }
}

impl Figures {
    /// Counts an event. Times go to the histograms under this command.
    pub(super) fn hear(&mut self, event: &Event, command: &str, times: &Times, labels: &mut Labels) {
        let at = event.at;
        match &event.fact {
            Fact::RunStarted(facts) => {
                (self.about, self.begun) = (Some((**facts).clone()), Some(at));
            }
            Fact::Planned { items, assessed_in, allocated_in, .. } => {
                self.items = *items as u64;
                self.planned = [Some(*assessed_in), Some(*allocated_in)];
            }
            Fact::PhaseStarted { phase } => match phase.as_ref() {
                "execute" => self.phases[0] = Some(at),
                "aggregate" => self.phases[1] = Some(at),
                _ => {}
            },
            Fact::WorkerStarted { worker, .. } => {
                self.workers_started += 1;
                self.workers.insert(*worker, Working { since: at, item: None });
            }
            Fact::WorkerReady { after, .. } => times.spawned(command, *after),
            Fact::WorkerEnded { worker, died } => {
                self.workers_died += u64::from(died.is_some());
                self.put_down(*worker, None, at);
                if let Some(gone) = self.workers.remove(worker) {
                    self.lived += at.saturating_sub(gone.since);
                }
            }
            Fact::ItemStarted { worker, item, .. } => {
                self.forget_unsent(*item);
                if let Some(working) = self.workers.get_mut(worker) {
                    working.item = Some((*item, at));
                }
                self.busy.become_of(self.busy(), at);
            }
            Fact::ItemEnded { worker, item, outcome, took } => {
                self.forget_unsent(*item);
                *self.outcomes.entry(outcome.name()).or_default() += 1;
                if let Some(worker) = worker {
                    times.item(command, outcome.name(), *took);
                    self.put_down(*worker, Some((*item, *took)), at);
                }
            }
            Fact::ItemReopened { was, .. } => {
                if let Some(count) = self.outcomes.get_mut(was.name()) {
                    *count = count.saturating_sub(1);
                }
            }
            Fact::ItemReturned { worker, item, .. } => {
                self.returned += 1;
                self.put_down(*worker, None, at);
                // Another worker may have it already.
                let is_it = |working: &Working| working.item.is_some_and(|(held, _)| held == *item);
                if !self.workers.values().any(is_it) {
                    self.forget_unsent(*item);
                }
            }
            Fact::ItemsAdded { items, .. } => self.items += *items as u64,
            Fact::Quarantined { .. } => self.quarantined += 1,
            Fact::Paused { .. } => self.paused = true,
            Fact::Resumed { .. } => self.paused = false,
            Fact::Degraded { to, .. } => self.level = Some(*to),
            Fact::QuestionQueued { question, item, .. } => self.is_doing(*question, *item, Asking::Queued),
            // It is broken off, and asked again when the run goes on.
            Fact::QuestionWaits { question, reason, .. } if reason == "pause" => {
                if let Some(underway) = self.questions.get_mut(question) {
                    underway.doing = Asking::Queued;
                }
            }
            Fact::QuestionSent { question, item, backend, .. } => {
                let sent = Some((at, labels.backend(backend)));
                self.questions.insert(*question, Underway { item: *item, doing: Asking::Sent, sent });
            }
            Fact::QuestionStarted { question, item, after } => {
                self.is_doing(*question, *item, Asking::Answering);
                let sent = self.questions.get(question).and_then(|underway| underway.sent.as_ref());
                times.began(command, sent.map_or("", |(_, backend)| backend), *after);
            }
            Fact::QuestionRetried { question, item, kind, .. } => {
                self.is_doing(*question, *item, Asking::Retrying);
                *self.retries.entry(labels.kind(kind)).or_default() += 1;
            }
            Fact::QuestionHedged { .. } => self.hedges += 1,
            Fact::QuestionSettled(settled) => self.settle(settled, at, command, times, labels),
            Fact::Ended { census, status } => {
                (self.census, self.status, self.ended) = (Some(*census), Some(*status), Some(at));
                self.questions.clear();
            }
            _ => {}
        }
    }

    fn settle(&mut self, settled: &Settled, at: Duration, command: &str, times: &Times, labels: &mut Labels) {
        let sent = self.questions.remove(&settled.question).and_then(|underway| underway.sent);
        let (by, backend) = (labels.kind(&settled.by), labels.backend(&settled.backend));
        if let (Some((sent, backend)), "model") = (sent, by.as_str()) {
            times.answered(command, &backend, at.saturating_sub(sent));
        }
        times.queued(command, settled.queued);
        *self.settled.entry((by, backend)).or_default() += 1;
        let whole = Spent {
            model: settled.model.clone(),
            backend: settled.backend.clone(),
            notional: settled.notional,
            usage: settled.usage,
            uncertain: settled.uncertain,
        };
        let shares = if settled.by_model.is_empty() { std::slice::from_ref(&whole) } else { &settled.by_model };
        for share in shares.iter().filter(|share| share.usage != Usage::default() || share.uncertain != Usd::ZERO) {
            let (model, backend) = (labels.model(&share.model), labels.backend(&share.backend));
            let took = self.spent.entry(Asked { model, backend, notional: share.notional }).or_default();
            took.usage += share.usage;
            took.uncertain += share.uncertain;
        }
    }

    fn is_doing(&mut self, question: u64, item: usize, doing: Asking) {
        self.questions.entry(question).or_insert(Underway { item, doing, sent: None }).doing = doing;
    }

    /// Who has asked has its item no more. That one which was never sent has ended need not be told; of all others it is.
    fn forget_unsent(&mut self, item: usize) {
        self.questions.retain(|_, underway| underway.item != item || underway.sent.is_some());
    }

    /// A worker has nothing in its hands any more. `ended`: an item that has ended, and how long it was there.
    fn put_down(&mut self, worker: usize, ended: Option<(usize, Duration)>, at: Duration) {
        let held = self.workers.get_mut(&worker).and_then(|working| working.item.take());
        self.work += match (held, ended) {
            (_, Some((_, took))) => took,
            (Some((_, since)), None) => at.saturating_sub(since),
            (None, None) => Duration::ZERO,
        };
        self.busy.become_of(self.busy(), at);
    }

    fn busy(&self) -> usize {
        self.workers.values().filter(|working| working.item.is_some()).count()
    }

    /// From its beginning to its end, or to now.
    pub(super) fn lasted(&self, now: Duration) -> Option<Duration> {
        Some(self.ended.unwrap_or(now).saturating_sub(self.begun?))
    }

    /// How long each of [`PHASES`] took, or takes so far.
    pub(super) fn phases(&self, now: Duration) -> [Option<Duration>; 4] {
        let (now, [execute, aggregate]) = (self.ended.unwrap_or(now), self.phases);
        let until = |from: Option<Duration>, to: Option<Duration>| Some(to.unwrap_or(now).saturating_sub(from?));
        [self.planned[0], self.planned[1], until(execute, aggregate), until(aggregate, None)]
    }

    /// The items by how they stand.
    pub(super) fn census(&self) -> Vec<(&'static str, u64)> {
        let names = ["done", "cached", "fallback", "failed", "skipped"];
        if let Some(all) = &self.census {
            let counts = [all.done, all.cached, all.fallback, all.failed, all.skipped];
            return names.into_iter().zip(counts).chain([("pending", all.pending)]).collect();
        }
        let count = |name| self.outcomes.get(name).copied().unwrap_or_default();
        let ended: u64 = names.iter().map(|name| count(*name)).sum();
        let pending = (Outcome::Pending.name(), self.items.saturating_sub(ended));
        names.into_iter().map(|name| (name, count(name))).chain([pending]).collect()
    }

    /// How many workers have an item, and how many have none.
    pub(super) fn workers(&self) -> (u64, u64) {
        let busy = self.busy();
        (busy as u64, (self.workers.len() - busy) as u64)
    }

    /// How long workers had items in their hands, all together, those of now left out.
    pub(super) fn work(&self) -> Duration {
        self.work
    }

    /// The share of the workers' time in which they had an item; none before there are any.
    pub(super) fn utilisation(&self, now: Duration) -> Option<f64> {
        let now = self.ended.unwrap_or(now);
        let lived = self.workers.values().map(|working| now.saturating_sub(working.since)).sum::<Duration>();
        let held = self.workers.values().filter_map(|working| Some(now.saturating_sub(working.item?.1)));
        share(self.work + held.sum::<Duration>(), self.lived + lived)
    }

    /// The share of the run's duration in which two workers or more had an item.
    pub(super) fn parallel(&self, now: Duration) -> Option<f64> {
        share(self.busy.several_at(self.ended.unwrap_or(now)), self.lasted(now)?)
    }

    /// How many times as long one worker alone would have been at it.
    pub(super) fn speedup(&self, now: Duration) -> Option<f64> {
        let lasted = self.lasted(now)?;
        (!lasted.is_zero()).then(|| self.work.as_secs_f64() / lasted.as_secs_f64())
    }

    /// How many questions are in each state of [`Asking::ALL`].
    pub(super) fn questions(&self) -> [u64; 4] {
        Asking::ALL.map(|(state, _)| self.questions.values().filter(|underway| underway.doing == state).count() as u64)
    }
}

fn share(part: Duration, whole: Duration) -> Option<f64> {
    (!whole.is_zero()).then(|| (part.as_secs_f64() / whole.as_secs_f64()).clamp(0.0, 1.0))
}
