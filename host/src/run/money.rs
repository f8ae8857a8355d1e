//! What a run may spend, and what it will probably take.

use std::sync::Arc;

use convoke_runtime::budget::{Budget, BudgetConfig, beginnings};
use convoke_runtime::journal::{Journal, JournalError};
use convoke_runtime::money::Usd;
use jiff::Timestamp;

/// The budget of a run that begins now: what earlier runs of this day and month have spent counts, whatever their project.
///
/// # Errors
/// When the journal can't be read.
pub async fn budget(config: BudgetConfig, journal: &Journal) -> Result<Arc<Budget>, JournalError> {
    let (day, month) = beginnings(Timestamp::now());
    let paid = async |limit: Option<Usd>, since| match limit {
        Some(_) => journal.paid(since).await,
        None => Ok(Usd::ZERO),
    };
    let (day, month) = (paid(config.usd_per_day, day).await?, paid(config.usd_per_month, month).await?);
    Ok(Arc::new(Budget::new(config, day, month, Arc::new(Timestamp::now))))
}
