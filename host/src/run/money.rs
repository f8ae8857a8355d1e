//! What a run may spend, and what it will probably take.

use std::sync::Arc;

use convoke_runtime::broker::Broker;
use convoke_runtime::budget::{Amount, Budget, BudgetConfig, beginnings};
use convoke_runtime::journal::{Journal, JournalError};
use convoke_runtime::money::Usd;
use convoke_runtime::prices::Prices;
use convoke_runtime::shared::clock::boot;
use convoke_runtime::shared::{Clock, Shared, SharedLimits};
use jiff::Timestamp;

use super::allocate::Estimate;
use crate::config::Paths;
use crate::report::Cost;
use crate::report::cost::CostEstimate;

/// The budget of a run that begins now: what earlier runs of this day and month have spent counts, whatever their project.
/// `spent`: what the run itself has taken, where it goes on.
///
/// # Errors
/// When the journal can't be read.
pub async fn budget(
    config: BudgetConfig,
    journal: &Journal,
    spent: Option<Amount>,
) -> Result<Arc<Budget>, JournalError> {
    let (day, month) = beginnings(Timestamp::now());
    let paid = async |limit: Option<Usd>, since| match limit {
        Some(_) => journal.paid(since).await,
        None => Ok(Usd::ZERO),
    };
    let (day, month) = (paid(config.usd_per_day, day).await?, paid(config.usd_per_month, month).await?);
    let budget = Budget::new(config, day, month, Arc::new(Timestamp::now));
    Ok(Arc::new(budget.of_a_run_that_has_spent(spent.unwrap_or_default())))
}

/// What all processes of the user have in common. Where it can't be had, the run has limits of its own, and what was
/// wrong is said.
pub fn shared(paths: &Paths, budget: &Budget, warnings: &mut Vec<String>) -> Arc<Shared> {
    let limits = SharedLimits::default();
    Shared::open(&paths.limits(), limits, Clock::system(), boot(), budget).unwrap_or_else(|error| {
        warnings.push(error.warning());
        Shared::local(limits)
    })
}

/// What a run has cost, beside what its plan thought.
pub fn cost(broker: &Broker, estimate: &Estimate, prices: &Prices) -> Cost {
    let estimate = CostEstimate {
        questions: estimate.questions,
        input_tokens: estimate.input_tokens,
        output_tokens: estimate.output_tokens,
        usd: estimate.usd.map(Usd::dollars),
        items_without_estimate: estimate.unknown as u64,
    };
    Cost::of(broker.spending(), broker.budget().standing(), estimate, prices.as_of())
}

/// Says that the dollars shown may be too few.
pub fn unmetered_warning(attempts: u64, uncertain: Usd) -> Option<String> {
    let more = match uncertain {
        Usd::ZERO => String::new(),
        most => format!("; up to {most} of it counts as spent"),
    };
    (attempts > 0).then(|| {
        format!(
            "{attempts} requests broke off after they had reached the model: what they cost is not in the dollars \
             shown{more}"
        )
    })
}
