//! Where a run stands, as told by its events. Times are those at which they were heard, counted from the beginning of the
//! run: several runs are shown by one clock.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convoke_runtime::event::{Fact, Settled};
use convoke_runtime::levels::Level;
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};

use super::doing::{Doing, Kind};

/// The line of the conclusion, which no worker holds.
const CONCLUSION: usize = usize::MAX;

/// A worker's line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// What the worker was dealt.
    pub(super) segment: String,
    /// Of the item in its hands.
    pub(super) group: Option<String>,
    pub(super) item: Option<(usize, String)>,
    pub(super) note: String,
    /// Since when it has the item, or has none, or works on it without a question.
    pub(super) since: Duration,
    /// When it took the item.
    pub(super) taken: Duration,
    /// For how long the run was paused since then.
    pub(super) rested: Duration,
    /// Whether it could take an item.
    pub(super) is_ready: bool,
}

/// A question that has not ended.
#[derive(Clone, Debug)]
struct Open {
    item: usize,
    tier: Option<Tier>,
    stage: Stage,
    /// Since when it is at that.
    since: Duration,
}

impl Open {
    fn is_in_flight(&self) -> bool {
        matches!(self.stage, Stage::Sent(_) | Stage::Answered(..))
    }
}

/// What a question is at.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Queued,
    /// For what, and until when at least.
    Waits(Cow<'static, str>, Option<Duration>),
    /// Sent; whether a second time beside the first.
    Sent(bool),
    /// When it was last heard, and how it comes.
    Answered(Duration, Pace),
    /// When it is asked again, and why.
    Retried(Duration, String),
}

impl Stage {
    /// What of several questions of an item is shown: the furthest.
    fn rank(&self) -> u8 {
        match self {
            Self::Answered(..) => 4,
            Self::Sent(_) => 3,
            Self::Retried(..) => 2,
            Self::Waits(..) => 1,
            Self::Queued => 0,
        }
    }
}

/// How an answer comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) tokens_per_second: Option<u32>,
    pub(super) tool: Option<String>,
}

/// The whole picture.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) items: usize,
    pub(super) ended: usize,
    pub(super) failed: usize,
    pub(super) cached: usize,
    pub(super) workers: BTreeMap<usize, Line>,
    pub(super) usage: Usage,
    /// What requests that broke off may have cost beyond that.
    pub(super) uncertain: Usd,
    /// The part of the dollars that a subscription pays: it is not billed.
    pub(super) notional: Usd,
    pub(super) budget: Option<Usd>,
    /// What was left of it a moment ago.
    pub(super) left: Option<Usd>,
    /// How many questions may be in flight, by account.
    pub(super) limits: BTreeMap<String, usize>,
    /// The accounts that were asked.
    pub(super) accounts: BTreeSet<String>,
    /// How the run goes.
    pub(super) level: Level,
    /// When a backend that is left alone is asked again.
    pub(super) tried_again: Option<Duration>,
    /// By whom, and since when.
    pub(super) paused: Option<(String, Duration)>,
    /// For how long it was paused before, since the first worker began.
    pub(super) rested: Duration,
    /// The alerts that are raised.
    pub(super) alerts: BTreeSet<String>,
    /// Whether what is left is not begun any more.
    pub(super) is_stopping: bool,
    pub(super) has_ended: bool,
    /// How long the run will take, as runs before it did.
    pub(super) expected: Option<Duration>,
    /// The widest group and label so far, in columns, so that columns only grow.
    pub(super) widest: (usize, usize),
    /// How many items workers have ended; the others were done before.
    pub(super) worked: usize,
    /// How long those were in their hands, all together.
    pub(super) took: Duration,
    /// When the first worker began.
    pub(super) first_start: Option<Duration>,
    questions: BTreeMap<u64, Open>,
    holders: BTreeMap<usize, usize>,
    concludes: bool,
}

impl State {
    /// That of a run of which nothing is known but how many items it has.
    pub(super) fn planned(items: usize) -> Self {
        Self { items, ..Self::default() }
    }

    /// Takes a fact in.
    pub(super) fn hear(&mut self, fact: &Fact, at: Duration) {
        match fact {
            Fact::RunStarted(facts) => self.budget = facts.budget,
            Fact::Planned { items, cached, expected, .. } => {
                (self.items, self.cached, self.expected) = (*items, *cached, *expected);
            }
            Fact::PhaseStarted { phase } => self.concludes = *phase == "aggregate",
            Fact::WorkerStarted { worker, segment } => {
                self.first_start.get_or_insert(at);
                self.workers.insert(*worker, Line { segment: segment.clone(), since: at, ..Line::default() });
                self.measure(*worker);
            }
            Fact::WorkerReady { worker, .. } => {
                if let Some(line) = self.workers.get_mut(worker) {
                    (line.is_ready, line.since) = (true, at);
                }
            }
            Fact::WorkerEnded { worker, .. } => {
                self.workers.remove(worker);
            }
            Fact::ItemStarted { worker, item, label, group, .. } => {
                if let Some(line) = self.workers.get_mut(worker) {
                    self.holders.insert(*item, *worker);
                    // Those of who had it before, which may still be told to have given it back.
                    self.questions.retain(|_, open| open.item != *item);
                    line.item = Some((*item, label.clone()));
                    line.group.clone_from(group);
                    line.note.clear();
                    (line.is_ready, line.since, line.taken, line.rested) = (true, at, at, Duration::ZERO);
                    self.measure(*worker);
                }
            }
            Fact::ItemsAdded { items, .. } => self.items += items,
            Fact::ItemProgress { item, note, .. } => {
                if let Some(line) = self.holders.get(item).and_then(|worker| self.workers.get_mut(worker)) {
                    line.note.clone_from(note);
                }
            }
            Fact::ItemEnded { item, outcome, took, worker } => {
                self.ended += 1;
                self.failed += usize::from(outcome.name() == "failed");
                if worker.is_some() {
                    self.worked += 1;
                    let line = self.holders.get(item).and_then(|worker| self.workers.get(worker));
                    self.took += took.saturating_sub(line.map_or(Duration::ZERO, |line| line.rested));
                }
                self.let_go(*item, at);
            }
            Fact::ItemReopened { was, .. } => {
                self.ended = self.ended.saturating_sub(1);
                self.failed = self.failed.saturating_sub(usize::from(was.name() == "failed"));
            }
            // Another worker may have it already.
            Fact::ItemReturned { item, worker, .. } => {
                if self.holders.get(item) == Some(worker) {
                    self.let_go(*item, at);
                }
            }
            Fact::Degraded { to, .. } => self.level = *to,
            Fact::BreakerChanged { state, lasts, .. } => {
                self.tried_again = lasts.filter(|_| *state == "open").map(|lasts| at + lasts);
            }
            Fact::Paused { by, .. } => {
                self.resume(at);
                self.paused = Some((by.clone(), at));
            }
            Fact::Resumed { .. } => self.resume(at),
            Fact::AlertRaised { alert, .. } => drop(self.alerts.insert(alert.to_string())),
            Fact::AlertCleared { alert, .. } => drop(self.alerts.remove(&**alert)),
            Fact::LimitChanged { account, limit, .. } => drop(self.limits.insert(account.clone(), *limit)),
            Fact::Sampled(sample) => {
                self.limits = sample.accounts.iter().map(|one| (one.account.to_string(), one.limit)).collect();
                self.left = self.budget.and_then(|budget| sample.usd_left(budget));
            }
            Fact::DispatchStopped { .. } | Fact::Stopping { .. } => self.is_stopping = true,
            Fact::Ended { .. } => self.has_ended = true,
            fact => self.hear_of_a_question(fact, at),
        }
    }

    fn hear_of_a_question(&mut self, fact: &Fact, at: Duration) {
        match fact {
            Fact::QuestionQueued { question, item, tier, .. } => {
                self.is_at(*question, *item, Stage::Queued, at);
                if let Some(open) = self.questions.get_mut(question) {
                    open.tier = Some(*tier);
                }
            }
            // A second try beside one that is under way may wait too: only a pause breaks that off.
            Fact::QuestionWaits { question, item, reason, lasts }
                if reason == "pause" || !self.questions.get(question).is_some_and(Open::is_in_flight) =>
            {
                self.is_at(*question, *item, Stage::Waits(reason.clone(), lasts.map(|lasts| at + lasts)), at);
            }
            Fact::QuestionSent { question, item, backend, .. } => {
                self.accounts.insert(backend.to_string());
                self.is_at(*question, *item, Stage::Sent(false), at);
            }
            Fact::QuestionHedged { question, .. } => {
                if let Some(Open { stage: Stage::Sent(twice), .. }) = self.questions.get_mut(question) {
                    *twice = true;
                }
            }
            // One that was settled meanwhile does not come back.
            Fact::QuestionStarted { question, item, .. } if self.questions.contains_key(question) => {
                self.is_at(*question, *item, Stage::Answered(at, Pace::default()), at);
            }
            Fact::QuestionProgress { question, tokens_per_second, tool, .. } => {
                if let Some(Open { stage: Stage::Answered(heard, pace), .. }) = self.questions.get_mut(question) {
                    *heard = at;
                    *pace = Pace { tokens_per_second: *tokens_per_second, tool: tool.clone() };
                }
            }
            Fact::QuestionRetried { question, item, wait, kind, reason } => {
                let why = if kind.is_empty() { reason.clone() } else { kind.replace('-', " ") };
                self.is_at(*question, *item, Stage::Retried(at + *wait, why), at);
            }
            Fact::QuestionSettled(settled) => {
                let Settled { question, item, usage, uncertain, notional, by_model, .. } = &**settled;
                self.usage += *usage;
                self.uncertain += *uncertain;
                self.notional += match &by_model[..] {
                    [] if *notional => usage.usd,
                    shares => shares.iter().filter(|one| one.notional).map(|one| one.usage.usd).sum(),
                };
                self.questions.remove(question);
                let is_last = !self.questions.values().any(|open| open.item == *item);
                if let Some(line) = self.holders.get(item).and_then(|worker| self.workers.get_mut(worker))
                    && is_last
                {
                    line.since = at;
                }
            }
            _ => {}
        }
    }

    /// The questions that are on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.questions.values().filter(|open| open.is_in_flight()).count()
    }

    /// What is going on in a worker's line.
    pub(super) fn doing(&self, line: &Line, now: Duration) -> Doing {
        let plain = |kind| Doing { kind, since: line.since, tier: None, questions: 0 };
        let Some((item, _)) = &line.item else {
            return plain(match (&self.paused, line.is_ready) {
                (Some((_, since)), true) => return Doing { since: *since, ..plain(Kind::Paused) },
                (_, true) => Kind::Idle,
                (_, false) => Kind::Starting,
            });
        };
        let open: Vec<&Open> = self.questions.values().filter(|open| open.item == *item).collect();
        // Of those that are as far as each other that which was there first.
        let Some(first) = open.iter().rev().max_by_key(|open| open.stage.rank()) else {
            return plain(Kind::Working(line.note.clone()));
        };
        let kind = match &first.stage {
            Stage::Queued | Stage::Waits(..) if self.paused.is_some() => Kind::Paused,
            Stage::Queued => Kind::Queued,
            Stage::Waits(reason, _) if reason == "pause" => Kind::Paused,
            Stage::Waits(reason, until) => Kind::Waiting(reason.clone(), *until),
            Stage::Sent(twice) => Kind::Asked(*twice),
            Stage::Retried(at, why) => Kind::Retrying(*at, why.clone()),
            Stage::Answered(..) => answering(&open, now),
        };
        Doing { kind, since: first.since, tier: first.tier, questions: open.len() }
    }

    /// A pause is over: it was no time of work.
    fn resume(&mut self, at: Duration) {
        let Some((_, paused)) = self.paused.take() else { return };
        let since = |from: Duration| at.saturating_sub(paused.max(from));
        self.rested += since(self.first_start.unwrap_or(at));
        for line in self.workers.values_mut().filter(|line| line.item.is_some()) {
            line.rested += since(line.taken);
        }
    }

    /// Whether it has items and none of its workers has begun yet.
    pub(super) fn waits_for_its_turn(&self) -> bool {
        !self.has_ended && self.first_start.is_none() && self.ended < self.items
    }

    /// What is said when the user stops it.
    pub(super) fn finishing(states: &[Self], left: Duration) -> String {
        let asked: usize = states.iter().map(Self::in_flight).sum();
        if left.is_zero() {
            return "Giving up what is under way; what is done is kept. Ctrl-C again ends at once.".to_owned();
        }
        let what = match asked {
            0 => "what is under way".to_owned(),
            1 => "1 question".to_owned(),
            asked => format!("{asked} questions"),
        };
        format!("finishing {what}, at most {} s; Ctrl-C again gives up", left.as_millis().div_ceil(1_000))
    }

    fn is_at(&mut self, question: u64, item: usize, stage: Stage, at: Duration) {
        self.show_conclusion(item, at);
        let open = self.questions.entry(question).or_insert(Open { item, tier: None, stage: Stage::Queued, since: at });
        // A wait that is told again goes on.
        if !matches!((&open.stage, &stage), (Stage::Waits(before, _), Stage::Waits(now, _)) if before == now) {
            open.since = at;
        }
        open.stage = stage;
    }

    /// The conclusion asks in the name of an item that no worker holds.
    fn show_conclusion(&mut self, item: usize, at: Duration) {
        if self.concludes && !self.holders.contains_key(&item) {
            self.holders.insert(item, CONCLUSION);
            let line = Line {
                segment: "the whole".to_owned(),
                item: Some((item, "conclusion".to_owned())),
                since: at,
                taken: at,
                is_ready: true,
                ..Line::default()
            };
            self.workers.insert(CONCLUSION, line);
            self.measure(CONCLUSION);
        }
    }

    fn let_go(&mut self, item: usize, at: Duration) {
        let holder = self.holders.remove(&item);
        // What is still told of them belongs to nobody.
        self.questions.retain(|_, open| open.item != item);
        let Some(worker) = holder else { return };
        if worker == CONCLUSION {
            self.workers.remove(&worker);
        } else if let Some(line) = self.workers.get_mut(&worker)
            && line.item.as_ref().is_some_and(|(held, _)| *held == item)
        {
            (line.item, line.group, line.since) = (None, None, at);
        }
    }

    fn measure(&mut self, worker: usize) {
        let Some(line) = self.workers.get(&worker) else { return };
        let width = |text: &str| console::measure_text_width(text);
        let label = line.item.as_ref().map_or(0, |(_, label)| width(label));
        let group = width(line.group.as_deref().unwrap_or(&line.segment));
        self.widest = (self.widest.0.max(group), self.widest.1.max(label));
    }
}

/// Of the answers that come: all their tokens together, the last tool, and since when nothing was heard of any.
fn answering(open: &[&Open], now: Duration) -> Kind {
    let (mut rate, mut tool, mut heard) = (None, None, Duration::ZERO);
    for open in open {
        if let Stage::Answered(last, pace) = &open.stage {
            rate = pace.tokens_per_second.map(|one| rate.unwrap_or(0) + one).or(rate);
            tool = pace.tool.clone().or(tool);
            heard = heard.max(*last);
        }
    }
    Kind::Answering(Pace { tokens_per_second: rate, tool }, now.saturating_sub(heard))
}

/// `0:07`, `12:34`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests;
