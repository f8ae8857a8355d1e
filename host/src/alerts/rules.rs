//! What is an alert: the thresholds, against what runs tell. The clock is that of the events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convoke_runtime::event::{Fact, Sample};

use super::trouble::{Seen, Trouble, Turn};
use super::window::Window;
use crate::config::AlertSettings;
use crate::report::clean;

/// So few attempts or answers say nothing: one failure of three is no trouble yet.
const ENOUGH: u64 = 10;

/// Kinds of failure that say nothing of errors: the account's limits, which are waited for, and what convoke itself or
/// the user decided.
const NO_ERRORS: [&str; 10] = [
    "rate-limited",
    "limit-reached",
    "budget-spent",
    "no-model",
    "not-recorded",
    "secret",
    "denied",
    "not-admitted",
    "cancelled",
    "dropped",
];

/// An alert is raised or cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) alert: &'static str,
    pub(super) turn: Turn,
    pub(super) reason: String,
}

/// The thresholds, and how things stand against them.
pub(super) struct Rules {
    settings: AlertSettings,
    window: Window,
    troubles: BTreeMap<&'static str, Trouble>,
    /// The backends whose breaker is not closed.
    broken: BTreeSet<String>,
    /// Whether somebody was asked when last looked, and has not answered.
    asking: bool,
    stopped: bool,
    judged: Option<Duration>,
}

impl Rules {
    pub(super) fn new(settings: AlertSettings) -> Self {
        let window = Window::new(settings.window);
        let (troubles, broken) = (BTreeMap::new(), BTreeSet::new());
        Self { settings, window, troubles, broken, asking: false, stopped: false, judged: None }
    }

    /// A fact, and what comes of it. Times must not go back.
    pub(super) fn hear(&mut self, at: Duration, fact: &Fact) -> Vec<Change> {
        let mut changes = Vec::new();
        match fact {
            Fact::QuestionRetried { kind, .. } if !NO_ERRORS.contains(&kind.as_ref()) => self.window.ended(at, true),
            Fact::QuestionSettled(settled) if settled.attempts > 0 && !NO_ERRORS.contains(&settled.by.as_str()) => {
                self.window.ended(at, settled.by != "model" && settled.by != "cache");
            }
            Fact::QuestionStarted { after, .. } => self.window.began(at, *after),
            Fact::Sampled(sample) => {
                self.sampled(at, sample, &mut changes);
                self.judge(at, &mut changes);
            }
            Fact::BreakerChanged { state, reason, .. } if state == "open" => {
                let reason = format!("a breaker is open: {}", clean::line(&clean::bounded(reason, 300)));
                self.look(at, "breaker", Seen::Above, Duration::ZERO, || reason, &mut changes);
            }
            Fact::DispatchStopped { reason } => {
                self.stopped = true;
                let reason = format!("no more questions are sent: {}", clean::line(&clean::bounded(reason, 300)));
                self.look(at, "stopped", Seen::Above, Duration::ZERO, || reason, &mut changes);
            }
            _ => return changes,
        }
        // Between samples too, but not for each of thousands.
        if self.judged.is_none_or(|judged| at.saturating_sub(judged) >= self.settings.window / 60) {
            self.judge(at, &mut changes);
        }
        changes
    }

    /// The alerts that stand.
    pub(super) fn standing(&self) -> Vec<&'static str> {
        self.troubles.iter().filter(|(_, trouble)| trouble.stands()).map(|(alert, _)| *alert).collect()
    }

    fn sampled(&mut self, at: Duration, sample: &Sample, changes: &mut Vec<Change>) {
        let lasting = self.settings.lasting;
        for (alert, value, threshold, what) in [
            ("cpu", sample.cpu, self.settings.cpu, "of the processors are in use"),
            ("memory", sample.memory, self.settings.memory, "of the memory is in use"),
        ] {
            let seen = value.map_or(Seen::Unknown, |value| Seen::of(value, threshold));
            let reason =
                || format!("{} {what}; the threshold is {}", percent(value.unwrap_or(0.0)), percent(threshold));
            self.look(at, alert, seen, lasting, reason, changes);
        }
        let fullest = sample.budgets.iter().max_by(|one, other| one.spent.total_cmp(&other.spent));
        if let Some(budget) = fullest {
            let threshold = self.settings.budget;
            let reason = || {
                format!(
                    "{} of {} is spent; the threshold is {}",
                    percent(budget.spent),
                    budget.budget,
                    percent(threshold)
                )
            };
            // It does not swing.
            self.look(at, "budget", Seen::of(budget.spent, threshold), Duration::ZERO, reason, changes);
        }
        self.asking = sample.accounts.iter().any(|one| one.in_flight + one.waiting > 0);
        let state = |state: &'static str| sample.accounts.iter().filter(move |one| one.breaker == state);
        self.broken = state("open").chain(state("half-open")).map(|one| one.account.to_string()).collect();
        let open: Vec<&str> = state("open").map(|one| one.account.as_ref()).collect();
        let seen = match (open.is_empty(), self.broken.is_empty()) {
            (false, _) => Seen::Above,
            (true, false) => Seen::Between,
            (true, true) => Seen::Well,
        };
        let reason = || match open.is_empty() {
            true => "all breakers are closed again".to_owned(),
            false => format!("the breaker of {} is open: it is not asked", open.join(", ")),
        };
        self.look(at, "breaker", seen, Duration::ZERO, reason, changes);
    }

    fn judge(&mut self, at: Duration, changes: &mut Vec<Change>) {
        self.judged = Some(at);
        let AlertSettings { lasting, window, errors, response, .. } = self.settings;
        let (ended, failed) = self.window.attempts(at);
        let rate = if ended == 0 { 0.0 } else { failed as f64 / ended as f64 };
        let seen = match ended {
            // That nothing fails is no good sign where nobody is asked, or nobody answers.
            0 if self.is_silent() => Seen::Unknown,
            0 => Seen::Well,
            1..ENOUGH if rate > errors => Seen::Between,
            _ => Seen::of(rate, errors),
        };
        let reason = || {
            let of = format!("of {ended} attempts within {} s failed", window.as_secs_f64());
            format!("{} {of}; the threshold is {}", percent(rate), percent(errors))
        };
        self.look(at, "errors", seen, lasting, reason, changes);
        let (answers, middle) = self.window.response(at);
        let seen = match middle {
            None if self.is_silent() => Seen::Unknown,
            None => Seen::Well,
            Some(middle) => match Seen::of(middle.as_secs_f64(), response.as_secs_f64()) {
                Seen::Above if (answers as u64) < ENOUGH => Seen::Between,
                seen => seen,
            },
        };
        let reason = || {
            let after = middle.map_or_else(
                || "no answer has begun".to_owned(),
                |middle| format!("answers begin after {:.1} s", middle.as_secs_f64()),
            );
            let within = format!("the middle one of {answers} within {} s", window.as_secs_f64());
            format!("{after}, {within}; the threshold is {} s", response.as_secs_f64())
        };
        self.look(at, "response", seen, lasting, reason, changes);
    }

    /// Whether it says nothing that nothing comes back.
    fn is_silent(&self) -> bool {
        self.stopped || self.asking || !self.broken.is_empty()
    }

    fn look(
        &mut self,
        at: Duration,
        alert: &'static str,
        seen: Seen,
        raise_after: Duration,
        reason: impl FnOnce() -> String,
        changes: &mut Vec<Change>,
    ) {
        let turn = self.troubles.entry(alert).or_default().look(at, seen, raise_after, self.settings.lasting);
        changes.extend(turn.map(|turn| Change { alert, turn, reason: reason() }));
    }
}

/// `12 %`, `0.4 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    // As many places as tell it from the threshold.
    let text = if percent < 10.0 { format!("{percent:.1}") } else { format!("{percent:.0}") };
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}
