//! The fold of questions: what is kept of them, and what they add up to.

use std::time::Duration;

use super::hear::bounded;
use super::{End, MOST_MODELS, MOST_QUESTIONS, ModelTotals, Question, State, Timeline, Totals};
use crate::event::{Settled, Spent};
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
        if self.index.left.contains_key(&question) {
            return None;
        }
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
        if !self.index.in_flight.contains(&question) && !self.index.left.contains_key(&question) {
            self.index.waiting.insert(question);
        }
        let Some(asked) = self.asked(at, question, item) else { return };
        if let Some((role, tier)) = about {
            asked.role = bounded(role);
            asked.tier = Some(tier);
            asked.is_in(state, at);
        } else if state == State::Pause || asked.state().is_none_or(State::is_waiting) {
            asked.is_in(state, at);
        }
    }

    /// Who has asked has its item no more. That one which was never sent has ended need not be told; of all others it is.
    pub(super) fn close_unsent(&mut self, at: Duration, item: usize) {
        let Some(place) = self.place_of_item(item) else { return };
        self.close_questions(at, |question| question.item == Some(place) && question.attempts == 0);
    }

    pub(super) fn close_questions(&mut self, at: Duration, is_it: impl Fn(&Question) -> bool) {
        let Self { questions, index, .. } = self;
        index.questions.retain(|number, place| {
            let Some(question) = questions.get_mut(*place).filter(|question| is_it(question)) else { return true };
            question.to = Some(at);
            question.is_heard_no_more();
            index.waiting.remove(number);
            index.left.insert(*number, *place);
            index.turned.push(*place);
            false
        });
        index.turned.sort_unstable();
    }

    /// It is heard of again: somebody waits for it after all.
    pub(super) fn comes_back(&mut self, question: u64) {
        let Some(place) = self.index.left.remove(&question) else { return };
        self.index.questions.insert(question, place);
        self.index.turned.push(place);
        if let Some(question) = self.questions.get_mut(place) {
            question.to = None;
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
        totals.of_model(&settled.model, &settled.backend, |model| model.questions += 1);
        let whole = Spent {
            model: settled.model.clone(),
            backend: settled.backend.clone(),
            notional: settled.notional,
            usage: settled.usage,
            uncertain: settled.uncertain,
        };
        let shares = if settled.by_model.is_empty() { std::slice::from_ref(&whole) } else { &settled.by_model };
        for share in shares {
            totals.of_model(&share.model, &share.backend, |model| {
                model.usage += share.usage;
                model.uncertain += share.uncertain;
            });
        }
        self.index.in_flight.remove(&settled.question);
        self.index.waiting.remove(&settled.question);
        self.comes_back(settled.question);
        let began = at.saturating_sub(settled.took).max(self.index.offset);
        let Some(asked) = self.asked(began, settled.question, settled.item) else {
            self.left_out.questions += 1;
            return;
        };
        asked.to = Some(at);
        asked.is_heard_no_more();
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

impl Totals {
    fn of_model(&mut self, model: &str, backend: &str, change: impl FnOnce(&mut ModelTotals)) {
        let called = |one: &ModelTotals, model: &str| one.model == model && one.backend == backend;
        let mut model = bounded(model);
        if self.models.len() >= MOST_MODELS && !self.models.iter().any(|one| called(one, &model)) {
            OTHERS.clone_into(&mut model);
        }
        if let Some(known) = self.models.iter_mut().find(|one| called(one, &model)) {
            return change(known);
        }
        let mut new = ModelTotals { model, backend: backend.to_owned(), ..ModelTotals::default() };
        change(&mut new);
        self.models.push(new);
    }
}
