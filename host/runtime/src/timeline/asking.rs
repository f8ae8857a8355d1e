//! The fold of questions: what is kept of them, and what they add up to.

use std::time::Duration;

use super::hear::bounded;
use super::{End, MOST_MODELS, MOST_QUESTIONS, MOST_STATES, ModelTotals, Question, Since, State, Timeline};
use crate::event::Settled;
use crate::question::Tier;

/// What models are called that are not told apart any more.
const OTHERS: &str = "other models";

impl Timeline {
    /// A question that has not ended, as far as it is kept.
    pub(super) fn open(&mut self, question: u64) -> Option<&mut Question> {
        self.questions.get_mut(*self.index.questions.get(&question)?)
    }

    /// The same, made where it was not told of yet.
    pub(super) fn asked(&mut self, at: Duration, question: u64, item: usize) -> Option<&mut Question> {
        if !self.index.questions.contains_key(&question) {
            if self.questions.len() >= MOST_QUESTIONS {
                return None;
            }
            let item = self.item_place(item);
            self.index.questions.insert(question, self.questions.len());
            self.questions.push(Question { question, item, from: at, ..Question::default() });
        }
        self.open(question)
    }

    pub(super) fn question_waits(
        &mut self,
        at: Duration,
        question: u64,
        item: usize,
        state: State,
        about: Option<(&String, Tier)>,
    ) {
        let Some(asked) = self.asked(at, question, item) else { return };
        if let Some((role, tier)) = about {
            asked.role = bounded(role);
            asked.tier = Some(tier);
            asked.is_in(state, at);
        } else if state == State::Pause || asked.state().is_none_or(State::is_waiting) {
            asked.is_in(state, at);
        }
    }

    pub(super) fn question_settled(&mut self, at: Duration, settled: &Settled) {
        let totals = &mut self.totals;
        totals.questions += 1;
        totals.usage += settled.usage;
        totals.uncertain += settled.uncertain;
        if totals.by.len() < MOST_MODELS || totals.by.contains_key(&settled.by) {
            *totals.by.entry(bounded(&settled.by)).or_default() += 1;
        }
        let called = |one: &ModelTotals, model: &str| one.model == model && one.backend == settled.backend;
        let mut model = bounded(&settled.model);
        if totals.models.len() >= MOST_MODELS && !totals.models.iter().any(|one| called(one, &model)) {
            OTHERS.clone_into(&mut model);
        }
        let place = totals.models.iter().position(|one| called(one, &model)).unwrap_or_else(|| {
            let backend = settled.backend.to_string();
            totals.models.push(ModelTotals { model, backend, ..ModelTotals::default() });
            totals.models.len() - 1
        });
        if let Some(model) = totals.models.get_mut(place) {
            model.questions += 1;
            model.usage += settled.usage;
            model.uncertain += settled.uncertain;
        }
        self.index.in_flight.remove(&settled.question);
        let began = at.saturating_sub(settled.took).max(self.index.offset);
        let Some(asked) = self.asked(began, settled.question, settled.item) else {
            self.left_out.questions += 1;
            return;
        };
        asked.to = Some(at);
        asked.pace = None;
        asked.attempts = settled.attempts;
        asked.role = bounded(&settled.role);
        if !settled.model.is_empty() {
            asked.model = bounded(&settled.model);
        }
        if !settled.backend.is_empty() {
            asked.backend = bounded(&settled.backend);
        }
        let Settled { usage, uncertain, queued, took, .. } = *settled;
        asked.end = Some(End { by: bounded(&settled.by), usage, uncertain, queued, took });
        self.index.questions.remove(&settled.question);
    }
}

impl Question {
    pub(super) fn is_in(&mut self, state: State, at: Duration) {
        self.pace = None;
        if self.states.last().is_some_and(|Since(last, _)| *last == state) {
            return;
        }
        if self.states.len() < MOST_STATES {
            self.states.push(Since(state, at));
        }
    }
}
