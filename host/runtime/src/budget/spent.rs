//! How a budget stands, in words.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;

use super::Limit;
use crate::money::Usd;

/// How a budget stands. Sizes are picodollars where it counts dollars, else requests or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub limit: Limit,
    /// What may be spent.
    pub size: u64,
    /// What is spent. What questions under way have reserved is not in it.
    pub spent: u64,
}

impl Standing {
    /// What is left.
    pub fn left(&self) -> u64 {
        self.size.saturating_sub(self.spent)
    }
}

/// A budget that can't pay a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Which.
    pub limit: Limit,
    /// What may be spent.
    pub size: u64,
    /// What is spent.
    pub spent: u64,
    /// What the question would have taken at most.
    pub most: u64,
    /// The day on which it was asked (UTC).
    pub today: Date,
}

impl Spent {
    /// What is left.
    pub fn left(&self) -> u64 {
        self.size.saturating_sub(self.spent)
    }
}

impl Spent {
    /// `$0.5000 are left of usd_per_day, and up to $2.00 may be needed`: before anything is asked.
    pub fn shortage(&self) -> String {
        let amount = |count| amount(self.limit, count);
        let name = self.limit.name();
        format!("{} are left of `{name}`, and up to {} may be needed", amount(self.left()), amount(self.most))
    }
}

/// Which budget, its size, what is spent, what was wanted, and what to do.
impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, what, remedy) = match self.limit {
            Limit::Run => ("this run", "", "raise it with --budget-usd".to_owned()),
            Limit::Day => ("the day", "", renewed(self.today.tomorrow().ok(), self.limit)),
            Limit::Month => {
                let next = self.today.first_of_month().checked_add(1.month()).ok();
                ("the month", "", renewed(next, self.limit))
            }
            Limit::Requests => ("this run", " requests", raise(self.limit)),
            Limit::InputTokens => ("this run", " input tokens", raise(self.limit)),
            Limit::OutputTokens => ("this run", " output tokens", raise(self.limit)),
        };
        let amount = |count: u64| amount(self.limit, count);
        write!(
            f,
            "the budget for {whose} is spent: {} of {}{what} are spent, and the next question may take up to {}; {remedy}",
            amount(self.spent),
            amount(self.size),
            amount(self.most)
        )
    }
}

/// An amount of a budget, without its unit unless that is dollars.
pub(crate) fn amount(limit: Limit, count: u64) -> String {
    if limit.is_dollars() { Usd::from_pico(count).to_string() } else { count.to_string() }
}

fn raise(limit: Limit) -> String {
    format!("raise `{}` under [budget] in config.toml", limit.name())
}

fn renewed(when: Option<Date>, limit: Limit) -> String {
    let raise = raise(limit);
    when.map_or_else(|| raise.clone(), |day| format!("it is new on {day} at 00:00 UTC, or {raise}"))
}
