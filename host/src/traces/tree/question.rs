//! Questions and their attempts. An attempt is a call to a model, and has what the conventions for generative models want;
//! what adds up (tokens, dollars) stands at the attempts alone, so that nobody counts it twice.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use convoke_runtime::event::{AttemptEnd, Fact, Settled};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;

use super::super::names;
use super::super::span::Open;
use super::{Ending, number};
use crate::observe::words::harmless as text;

/// The questions of a run that have not ended.
#[derive(Default)]
pub(super) struct Questions(HashMap<u64, Question>);

struct Question {
    span: Open,
    item: usize,
    /// The backend that was asked last.
    backend: String,
    /// Those that are under way, by their number.
    attempts: BTreeMap<u32, Open>,
    /// The number of the last one.
    last: u32,
    /// For what it was last said to wait.
    waits: Option<String>,
    /// When its item was taken from who had asked it: if nothing more is heard, it ended then.
    left: Option<SystemTime>,
}

impl Question {
    fn new(parent: &SpanContext, run: &str, (id, item): (u64, usize), at: SystemTime) -> Self {
        let mut span = Open::below(parent, "question", at);
        ids(&mut span, run, (id, item));
        Self { span, item, backend: String::new(), attempts: BTreeMap::new(), last: 0, waits: None, left: None }
    }

    fn sent(&mut self, run: &str, ids_of: (u64, usize), (model, attempt): (&str, u32), at: SystemTime) -> &mut Open {
        let model = text(model);
        let mut span = Open::below(self.span.context(), format!("chat {model}"), at).calling();
        ids(&mut span, run, ids_of);
        span.set(names::OPERATION, "chat");
        span.set(names::PROVIDER, provider(&self.backend));
        span.set(names::REQUEST_MODEL, model);
        span.set("convoke.backend", text(&self.backend));
        span.set("convoke.attempt", i64::from(attempt));
        self.last = attempt;
        self.attempts.entry(attempt).insert_entry(span).into_mut()
    }

    /// All attempts that are still under way end with it.
    fn breaks_off(&mut self, why: &'static str, at: SystemTime, ending: &mut Ending<'_>) {
        for mut span in std::mem::take(&mut self.attempts).into_values() {
            span.fails(why);
            ending.end(span, at);
        }
    }
}

impl Questions {
    /// A fact of a question. `parent`: in whose name it is asked, where that is not known yet.
    pub(super) fn hear(
        &mut self,
        fact: &Fact,
        at: SystemTime,
        parent: &SpanContext,
        run: &str,
        ending: &mut Ending<'_>,
    ) {
        match fact {
            Fact::QuestionQueued { question, item, role, tier } => {
                let ids = (*question, *item);
                match self.0.get_mut(question) {
                    Some(open) => open.span.happens("convoke.queued", at, Vec::new()),
                    None => {
                        let mut open = Question::new(parent, run, ids, at);
                        open.span.set("convoke.role", text(role));
                        open.span.set("convoke.tier", tier.name());
                        open.span.happens("convoke.queued", at, Vec::new());
                        self.0.insert(*question, open);
                    }
                }
            }
            Fact::QuestionWaits { question, reason, lasts, .. } => {
                let Some(open) = self.0.get_mut(question) else { return };
                // It is told again and again; that it still waits for the same is no news.
                if open.waits.as_deref() != Some(reason) {
                    open.waits = Some(reason.clone().into_owned());
                    let mut attributes = vec![KeyValue::new("convoke.waits_for", text(reason))];
                    attributes.extend(lasts.map(|lasts| KeyValue::new("convoke.lasts_s", lasts.as_secs_f64())));
                    open.span.happens("convoke.waits", at, attributes);
                }
            }
            Fact::QuestionSent { question, item, model, backend, attempt } => {
                let ids = (*question, *item);
                let open = self.0.entry(*question).or_insert_with(|| Question::new(parent, run, ids, at));
                open.waits = None;
                backend.as_ref().clone_into(&mut open.backend);
                open.sent(run, ids, (model, *attempt), at);
            }
            Fact::QuestionHedged { question, item, model, .. } => {
                let Some(open) = self.0.get_mut(question) else { return };
                let (first, attempt) = (open.last, open.last + 1);
                let beside = open.attempts.get(&first).map(|span| span.context().clone());
                let second = open.sent(run, (*question, *item), (model, attempt), at);
                second.set("convoke.hedge", true);
                if let Some(beside) = beside {
                    second.link(beside, "beside");
                }
            }
            // Of a second try beside the first it is not told.
            Fact::QuestionStarted { question, after, .. } => {
                let Some(open) = self.0.get_mut(question) else { return };
                if let Some(mut first) = open.attempts.first_entry() {
                    first.get_mut().happens("convoke.first_token", at, Vec::new());
                    first.get_mut().set(names::FIRST_CHUNK, after.as_secs_f64());
                }
            }
            Fact::AttemptEnded(end) => {
                let Some(mut span) = self.0.get_mut(&end.question).and_then(|open| open.attempts.remove(&end.attempt))
                else {
                    return;
                };
                took(&mut span, end);
                ending.end(span, at);
            }
            Fact::QuestionRetried { question, kind, wait, .. } => {
                let Some(open) = self.0.get_mut(question) else { return };
                let attributes = vec![
                    KeyValue::new(names::ERROR_TYPE, kind.clone().into_owned()),
                    KeyValue::new("convoke.retry.wait_s", wait.as_secs_f64()),
                ];
                open.span.happens("convoke.retry", at, attributes);
            }
            Fact::QuestionSettled(settled) => {
                let ids = (settled.question, settled.item);
                let open = self.0.remove(&settled.question);
                let open = open.unwrap_or_else(|| {
                    let mut open = Question::new(parent, run, ids, at);
                    open.span.set("convoke.role", text(&settled.role));
                    open
                });
                settle(open, settled, at, ending);
            }
            _ => {}
        }
    }

    /// The span of one that has not ended.
    pub(super) fn context(&self, question: u64) -> Option<&SpanContext> {
        self.0.get(&question).map(|open| open.span.context())
    }

    /// Who has asked for this item has it no more.
    pub(super) fn leave(&mut self, item: usize, at: SystemTime) {
        for question in self.0.values_mut().filter(|question| question.item == item) {
            question.left.get_or_insert(at);
        }
    }

    /// Nothing more will be heard of those that are left: nobody waited for their answers any more.
    pub(super) fn end(&mut self, over: SystemTime, ending: &mut Ending<'_>) {
        for (_, mut question) in self.0.drain() {
            let at = question.left.unwrap_or(over);
            question.breaks_off("dropped", at, ending);
            question.span.fails("dropped");
            ending.end(question.span, at);
        }
    }
}

fn ids(span: &mut Open, run: &str, (question, item): (u64, usize)) {
    span.set("convoke.run.id", run.to_owned());
    span.set("convoke.item", number(item));
    span.set("convoke.question", i64::try_from(question).unwrap_or(i64::MAX));
}

/// Who has the model, by the names of the conventions.
fn provider(backend: &str) -> String {
    match backend {
        "anthropic" | "claude-cli" => "anthropic".to_owned(),
        other => text(other),
    }
}

fn took(span: &mut Open, end: &AttemptEnd) {
    let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let usage = &end.usage;
    match &end.failed {
        Some(kind) => span.fails(kind.clone()),
        None => span.set(names::RESPONSE_MODEL, text(&end.model)),
    }
    // The conventions count all of the input; the prompt cache's share of it stands beside.
    let input = usage.input_tokens.saturating_add(usage.cache_read_tokens).saturating_add(usage.cache_write_tokens);
    span.set(names::INPUT_TOKENS, tokens(input));
    span.set(names::OUTPUT_TOKENS, tokens(usage.output_tokens));
    span.set(names::CACHE_READ_TOKENS, tokens(usage.cache_read_tokens));
    span.set(names::CACHE_WRITE_TOKENS, tokens(usage.cache_write_tokens));
    span.set("convoke.cost.usd", usage.usd.dollars());
    span.set("convoke.cost.uncertain_usd", end.uncertain.dollars());
}

fn settle(mut open: Question, settled: &Settled, at: SystemTime, ending: &mut Ending<'_>) {
    let answered = matches!(settled.by.as_str(), "model" | "cache" | "fallback");
    // Each attempt says how it ended; one that did not was not waited for.
    open.breaks_off("dropped", at, ending);
    let mut span = open.span;
    // It was asked before it was queued.
    span.start = span.start.min(at.checked_sub(settled.took).unwrap_or(at));
    span.set("convoke.answered_by", text(&settled.by));
    span.set("convoke.attempts", i64::from(settled.attempts));
    span.set("convoke.queued_s", settled.queued.as_secs_f64());
    if !answered {
        span.fails(text(&settled.by));
    }
    ending.end(span, at);
}
