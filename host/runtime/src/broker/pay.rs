//! What a question takes of the budget: at most before it is sent, and its bill when it has ended.

use super::*;
use crate::budget::BudgetConfig;

/// Input tokens that a provider adds to what is sent: the frame of the messages, and its own instructions for structured
/// answers and tools. No number is published for all of it: this is a margin, meant to be generous.
const ADDED_TOKENS: u64 = 2_048;

/// What a request takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Most {
    /// Without dollars where the price is not known.
    pub(super) amount: Amount,
    /// Whether it is.
    pub(super) priced: bool,
}

impl Broker {
    /// What a question of a command would take at most: for the plan.
    pub fn price_of(&self, command: &str, question: &Question) -> Estimate {
        let tier = self.route(command, question).tier;
        let Some(candidate) = self.config.route.candidates_from(tier, question).into_iter().next() else {
            return Estimate::default();
        };
        let most = self.most(self.lane(&candidate), &candidate.request);
        Estimate {
            input_tokens: estimated_input_tokens(&candidate.request),
            output_tokens: most.amount.output_tokens,
            usd: most.priced.then_some(most.amount.usd),
            most: most.amount,
            model: candidate.request.model,
        }
    }

    /// The bound: a token has at least one byte, and an answer at most the tokens that it was allowed.
    pub(super) fn most(&self, lane: &Lane, request: &Request) -> Most {
        let input_tokens = lane.backend.input_bytes(request).saturating_add(ADDED_TOKENS);
        let output_tokens = u64::from(request.max_output_tokens);
        let cached = request.context.as_ref().is_some_and(|context| !context.is_empty());
        let usd = self.config.prices.at_most(&request.model, input_tokens, output_tokens, cached);
        let amount = Amount { usd: usd.unwrap_or_default(), requests: 1, input_tokens, output_tokens };
        Most { amount, priced: usd.is_some() }
    }

    /// Whether the budget can pay a request, now or when others have given back what they reserved; else why not.
    pub(super) fn payable(&self, candidate: &Candidate) -> Result<(), String> {
        let budget = self.lanes.budget();
        if budget.config() == BudgetConfig::default() {
            return Ok(());
        }
        let most = self.most(self.lane(candidate), &candidate.request);
        self.can_be_bounded(most, &candidate.request)?;
        budget.can_ever_pay(most.amount).map_err(|spent| spent.to_string())
    }

    /// What has no known price can't be kept within a number of dollars.
    pub(super) fn can_be_bounded(&self, most: Most, request: &Request) -> Result<(), String> {
        if most.priced || !self.lanes.budget().config().limits_dollars() {
            return Ok(());
        }
        let model = &request.model;
        Err(format!(
            "the price of {model} is not known, so that no budget of dollars can be kept with it; give it as \
             [prices.\"{model}\"] in config.toml, or choose another model"
        ))
    }

    /// Says once that a dearer model is not asked any more.
    pub(super) async fn pass_over(&self, dear: &Candidate, why: &str, cheaper: &Candidate) {
        if !self.is_thrifty.swap(true, Ordering::Relaxed) {
            let (dear, cheaper) = (&dear.request.model, &cheaper.request.model);
            self.books.warn(format!("{cheaper} is asked instead of {dear}: {why}")).await;
        }
    }

    /// What a failed attempt counts as; none: all that was reserved. A stream that broke off has told what had come, not
    /// what was made: its answer counts as the longest that it was allowed. Only a refusal ends whole.
    pub(super) fn bill_of_failure(
        &self,
        request: &Request,
        failure: &Failure,
        usage: &Usage,
        sent: bool,
    ) -> Option<Amount> {
        let nothing = Amount { requests: u64::from(usage.requests), ..Amount::default() };
        match (&failure.usage, failure.reached_model) {
            _ if !sent => Some(nothing),
            (Some(_), _) if failure.kind == FailureKind::Refused => Some(bill(usage)),
            (Some(_), _) => {
                let output_tokens = usage.output_tokens.max(u64::from(request.max_output_tokens));
                let most = Usage { output_tokens, ..*usage };
                Some(bill(&self.priced(&request.model, &request.model, most)))
            }
            (None, true) => None,
            (None, false) => Some(nothing),
        }
    }
}

/// What a known usage takes of the budget.
pub(super) fn bill(usage: &Usage) -> Amount {
    let Usage { requests, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, usd } = *usage;
    let input_tokens = input_tokens.saturating_add(cache_read_tokens).saturating_add(cache_write_tokens);
    Amount { usd, requests: u64::from(requests), input_tokens, output_tokens }
}
