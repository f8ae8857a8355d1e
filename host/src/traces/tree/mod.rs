//! From the events of a run to its spans.

mod question;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use convoke_runtime::event::{Event, Fact, RunFacts};
use convoke_runtime::levels::Level;
use convoke_runtime::work::{Census, Outcome, Status};
use opentelemetry::trace::SpanContext;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::SpanData;

use super::settings::Trace;
use super::span::Open;
use crate::logs::lines::Said;
use crate::observe::words::harmless as text;
use question::Questions;

/// What of a run has not ended.
pub(super) struct Tree {
    trace: Trace,
    /// Whether words of plugins and models may be told.
    content: bool,
    scope: InstrumentationScope,
    began: SystemTime,
    /// The end of the run, once it is told.
    over: Option<SystemTime>,
    run: String,
    root: Option<Open>,
    workers: HashMap<usize, Open>,
    items: HashMap<usize, Item>,
    /// The span that each item had last: what is done again is linked to it.
    before: HashMap<usize, SpanContext>,
    questions: Questions,
}

/// An item in somebody's hands.
struct Item {
    span: Open,
    /// None: it is not in those of a worker.
    worker: Option<usize>,
}

/// Where a span goes when it has ended.
struct Ending<'a> {
    scope: &'a InstrumentationScope,
    ended: &'a mut Vec<SpanData>,
}

impl Ending<'_> {
    fn end(&mut self, span: Open, at: SystemTime) {
        self.ended.push(span.ended(at, self.scope));
    }
}

impl Tree {
    /// `content`: whether reasons are told, which can hold words of a plugin or a model.
    pub(super) fn new(trace: Trace, content: bool) -> Self {
        Self {
            trace,
            content,
            scope: InstrumentationScope::builder("convoke").with_version(env!("CARGO_PKG_VERSION")).build(),
            began: SystemTime::UNIX_EPOCH,
            over: None,
            run: String::new(),
            root: None,
            workers: HashMap::new(),
            items: HashMap::new(),
            before: HashMap::new(),
            questions: Questions::default(),
        }
    }

    /// The moment from which events are counted.
    pub(super) fn begins(&mut self, at: SystemTime) {
        self.began = at;
    }

    /// Adds the spans that end with this event.
    pub(super) fn hear(&mut self, event: &Event, ended: &mut Vec<SpanData>) {
        let at = self.began + event.at;
        if let Fact::RunStarted(facts) = &event.fact {
            self.starts(facts, at);
        }
        // Before the run is known there is nothing to hang anything on.
        let Some(root) = self.root.as_ref().map(|root| root.context().clone()) else { return };
        let scope = self.scope.clone();
        let mut ending = Ending { scope: &scope, ended };
        match &event.fact {
            Fact::WorkerStarted { worker, segment } => {
                let mut span = self.below(&root, "segment", at);
                span.set("convoke.worker", number(*worker));
                span.set("convoke.segment.groups", text(segment));
                self.workers.insert(*worker, span);
            }
            Fact::WorkerReady { worker, .. } => {
                if let Some(span) = self.workers.get_mut(worker) {
                    span.happens("convoke.ready", at, Vec::new());
                }
            }
            Fact::WorkerEnded { worker, died } => {
                if let Some(mut span) = self.workers.remove(worker) {
                    if let Some(why) = died {
                        span.fails("worker-died");
                        span.set_some("convoke.reason", self.content.then(|| text(why)));
                    }
                    ending.end(span, at);
                }
            }
            Fact::ItemStarted { worker, item, label, group, attempt, .. } => {
                // A dead worker may be told to have given it back only after this.
                self.is_returned(*item, None, at, &mut ending);
                let parent = self.workers.get(worker).map_or(&root, Open::context);
                let mut span = self.item(&parent.clone(), *item, at);
                span.set("convoke.item.label", text(label));
                span.set_some("convoke.item.group", group.as_deref().map(text));
                span.set("convoke.item.attempt", i64::from(*attempt));
                self.items.insert(*item, Item { span, worker: Some(*worker) });
            }
            Fact::ItemEnded { worker, item, outcome, took } => {
                self.item_ends((*worker, *item), outcome, (at, *took), &root, &mut ending);
            }
            Fact::ItemReturned { worker, item, reason } => {
                if self.items.get(item).is_some_and(|open| open.worker == Some(*worker)) {
                    self.is_returned(*item, Some(reason), at, &mut ending);
                }
            }
            Fact::QuestionQueued { item, .. } => {
                let parent = self.asking(*item, &root, at);
                self.questions.hear(&event.fact, at, &parent, &self.run, &mut ending);
            }
            Fact::QuestionSettled(settled) => {
                let parent = self.asking(settled.item, &root, at);
                self.questions.hear(&event.fact, at, &parent, &self.run, &mut ending);
            }
            Fact::QuestionSent { .. }
            | Fact::QuestionWaits { .. }
            | Fact::QuestionHedged { .. }
            | Fact::QuestionStarted { .. }
            | Fact::QuestionRetried { .. }
            | Fact::AttemptEnded(_) => {
                self.questions.hear(&event.fact, at, &root, &self.run, &mut ending);
            }
            Fact::Ended { census, status } => {
                self.over = Some(at);
                self.closes(*census, *status);
            }
            fact => self.happens(fact, at),
        }
    }

    /// The span that a line is about: that of the question, else of the item, else of the worker, else of the run.
    pub(super) fn context(&self, about: &Said) -> Option<&SpanContext> {
        let place = |number: u64| usize::try_from(number).ok();
        let question = || self.questions.context(about.question?);
        let item = || {
            let item = place(about.item?)?;
            self.items.get(&item).map(|open| open.span.context()).or_else(|| self.before.get(&item))
        };
        let worker = || self.workers.get(&place(about.worker?)?).map(Open::context);
        question().or_else(item).or_else(worker).or_else(|| self.root.as_ref().map(Open::context))
    }

    /// The run is over: what has not ended by now ends with it, and is marked as unfinished.
    pub(super) fn end(&mut self, at: Duration, ended: &mut Vec<SpanData>) {
        let scope = self.scope.clone();
        let mut ending = Ending { scope: &scope, ended };
        let over = self.over.unwrap_or(self.began + at);
        self.questions.end(over, &mut ending);
        let open = self.items.drain().map(|(_, item)| item.span).chain(self.workers.drain().map(|(_, span)| span));
        for mut span in open {
            span.set("convoke.unfinished", true);
            ending.end(span, over);
        }
        if let Some(mut root) = self.root.take() {
            if self.over.is_none() {
                root.fails("unfinished");
            }
            ending.end(root, over);
        }
    }

    fn starts(&mut self, facts: &RunFacts, at: SystemTime) {
        // One that goes on began long ago; this is what is done of it now.
        let start = if facts.continued { at } else { SystemTime::from(facts.started).min(at) };
        let context = self.trace.root(&facts.run, facts.continued, rand::random());
        let mut root = Open::root(context, format!("convoke {}", text(&facts.command)), start);
        self.run.clone_from(&facts.run);
        root.set("convoke.run.id", facts.run.clone());
        root.set("convoke.command", text(&facts.command));
        root.set_some("convoke.subcommand", facts.subcommand.as_deref().map(text));
        root.set("convoke.plugin.name", text(&facts.plugin));
        root.set("convoke.plugin.version", text(&facts.version));
        root.set("convoke.project", text(&facts.project));
        root.set("convoke.mode", facts.mode.clone());
        root.set("convoke.backend", text(&facts.backend));
        root.set("convoke.instances", number(facts.instances));
        root.set_some("convoke.budget.usd", facts.budget.map(|usd| usd.dollars()));
        root.set("convoke.run.continued", facts.continued);
        root.set("process.pid", i64::from(facts.pid));
        self.root = Some(root);
    }

    fn closes(&mut self, census: Census, status: Status) {
        let Some(root) = &mut self.root else { return };
        root.set("convoke.status", status.name());
        let Census { items, done, cached, fallback, failed, skipped, pending } = census;
        let counts = [
            ("convoke.census.items", items),
            ("convoke.census.done", done),
            ("convoke.census.cached", cached),
            ("convoke.census.fallback", fallback),
            ("convoke.census.failed", failed),
            ("convoke.census.skipped", skipped),
            ("convoke.census.pending", pending),
        ];
        for (key, count) in counts {
            root.set(key, i64::try_from(count).unwrap_or(i64::MAX));
        }
        if status != Status::Completed {
            root.fails(status.name());
        }
    }

    fn below(&self, parent: &SpanContext, name: &'static str, at: SystemTime) -> Open {
        let mut span = Open::below(parent, name, at);
        span.set("convoke.run.id", self.run.clone());
        span
    }

    /// The span of an item that is begun, or begun again.
    fn item(&mut self, parent: &SpanContext, item: usize, at: SystemTime) -> Open {
        let mut span = self.below(parent, "item", at);
        span.set("convoke.item", number(item));
        if let Some(before) = self.before.insert(item, span.context().clone()) {
            span.link(before, "again");
        }
        span
    }

    /// In whose name a question is asked: that of an item in somebody's hands. The conclusion is in those of no worker.
    fn asking(&mut self, item: usize, root: &SpanContext, at: SystemTime) -> SpanContext {
        if let Some(open) = self.items.get(&item) {
            return open.span.context().clone();
        }
        // One that came too late for its item stands below what it was asked for.
        if let Some(before) = self.before.get(&item) {
            return before.clone();
        }
        let span = self.item(root, item, at);
        let context = span.context().clone();
        self.items.insert(item, Item { span, worker: None });
        context
    }

    /// Who had it has it no more, and it has not ended.
    fn is_returned(&mut self, item: usize, reason: Option<&str>, at: SystemTime, ending: &mut Ending<'_>) {
        let Some(Item { mut span, .. }) = self.items.remove(&item) else { return };
        span.fails("returned");
        span.set("convoke.outcome", "returned");
        span.set_some("convoke.reason", reason.filter(|_| self.content).map(text));
        self.questions.leave(item, at);
        ending.end(span, at);
    }

    fn item_ends(
        &mut self,
        (worker, item): (Option<usize>, usize),
        outcome: &Outcome,
        (at, took): (SystemTime, Duration),
        root: &SpanContext,
        ending: &mut Ending<'_>,
    ) {
        let open = self.items.remove(&item);
        let mut span = match open {
            Some(Item { mut span, worker }) => {
                // It was in nobody's hands that were told: it began as long ago as it took.
                if worker.is_none() {
                    span.start = span.start.min(at.checked_sub(took).unwrap_or(at));
                }
                span
            }
            None => {
                let parent = worker.and_then(|worker| self.workers.get(&worker)).map_or(root, Open::context).clone();
                // What an earlier run has done took its time then.
                let took = if *outcome == Outcome::Cached { Duration::ZERO } else { took };
                self.item(&parent, item, at.checked_sub(took).unwrap_or(at))
            }
        };
        span.set("convoke.outcome", outcome.name());
        if matches!(outcome, Outcome::Failed(_)) {
            span.fails("item-failed");
        }
        let reason = outcome.reason().filter(|_| self.content);
        span.set_some("convoke.reason", reason.map(text));
        self.questions.leave(item, at);
        ending.end(span, at);
    }

    /// Something that concerns the run as a whole.
    fn happens(&mut self, fact: &Fact, at: SystemTime) {
        let Some((name, mut attributes, reason)) = of_the_run(fact) else { return };
        if let Some(reason) = reason.filter(|_| self.content) {
            attributes.push(KeyValue::new("convoke.reason", text(reason)));
        }
        if let Some(root) = &mut self.root {
            root.happens(name, at, attributes);
        }
    }
}

/// A count, as attributes have it.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The name of an event of the run's span, its attributes, and its reason; none: it is told elsewhere, or not at all.
fn of_the_run(fact: &Fact) -> Option<(&'static str, Vec<KeyValue>, Option<&str>)> {
    let named = |key: &'static str, value: &str| vec![KeyValue::new(key, text(value))];
    Some(match fact {
        Fact::Planned { items, cached, workers, assessed_in, allocated_in, .. } => {
            let attributes = vec![
                KeyValue::new("convoke.items", number(*items)),
                KeyValue::new("convoke.cached", number(*cached)),
                KeyValue::new("convoke.workers", number(*workers)),
                KeyValue::new("convoke.assessed_s", assessed_in.as_secs_f64()),
                KeyValue::new("convoke.allocated_s", allocated_in.as_secs_f64()),
            ];
            ("convoke.planned", attributes, None)
        }
        Fact::PhaseStarted { phase } => ("convoke.phase", named("convoke.phase", phase), None),
        Fact::ItemsAdded { parent, items } => {
            let attributes =
                vec![KeyValue::new("convoke.item", number(*parent)), KeyValue::new("convoke.items", number(*items))];
            ("convoke.items_added", attributes, None)
        }
        Fact::Degraded { from, to, reason } => {
            let level = |key: &'static str, level: Level| KeyValue::new(key, level.name());
            ("convoke.level", vec![level("convoke.level.from", *from), level("convoke.level", *to)], Some(reason))
        }
        Fact::DoneAgain { items, reason } => {
            ("convoke.done_again", vec![KeyValue::new("convoke.items", number(*items))], Some(reason))
        }
        Fact::Quarantined { item, reason } => {
            ("convoke.quarantined", vec![KeyValue::new("convoke.item", number(*item))], Some(reason))
        }
        Fact::BreakerChanged { state, reason, .. } => {
            ("convoke.breaker", named("convoke.breaker.state", state), Some(reason))
        }
        Fact::LimitChanged { account, limit, before, reason } => {
            let mut attributes = named("convoke.account", account);
            attributes.push(KeyValue::new("convoke.limit", number(*limit)));
            attributes.push(KeyValue::new("convoke.limit.before", number(*before)));
            ("convoke.limit", attributes, Some(reason))
        }
        Fact::SafeModeChanged { account, safe, reason } => {
            let mut attributes = named("convoke.account", account);
            attributes.push(KeyValue::new("convoke.safe", *safe));
            ("convoke.safe_mode", attributes, Some(reason))
        }
        Fact::PolicyChanged { policy, reason, .. } => ("convoke.policy", named("convoke.policy", policy), Some(reason)),
        Fact::Paused { at_once, .. } => ("convoke.paused", vec![KeyValue::new("convoke.at_once", *at_once)], None),
        Fact::Resumed { .. } => ("convoke.resumed", Vec::new(), None),
        Fact::Controlled { what, .. } => ("convoke.controlled", named("convoke.asked", what), None),
        Fact::AlertRaised { alert, reason } => ("convoke.alert", named("convoke.alert", alert), Some(reason)),
        Fact::AlertCleared { alert, reason } => ("convoke.alert_cleared", named("convoke.alert", alert), Some(reason)),
        Fact::DispatchStopped { reason } => ("convoke.dispatch_stopped", Vec::new(), Some(reason)),
        Fact::Stopping { at_most } => {
            ("convoke.stopping", vec![KeyValue::new("convoke.at_most_s", at_most.as_secs_f64())], None)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
