//! The part of a budget that all processes of a user have in common: what the day and the month have cost.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Budget, Limit, date};

/// What all processes have spent in a day and in its month (UTC), in picodollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spend {
    /// The day.
    pub(crate) today: Date,
    pub(crate) day: u64,
    pub(crate) month: u64,
    /// Whether it began with what the journal knew of the day, and of the month.
    #[serde(default)]
    pub(crate) whole: bool,
}

impl Spend {
    /// Of that day, as far as a process knows that begins.
    pub(crate) fn new(today: Date, day: u64, month: u64, whole: bool) -> Self {
        Self { today, day, month, whole }
    }

    /// A process begins that knows of that much. A day that is later than its own was a clock that went wrong, and is
    /// put back; what was spent stays.
    pub(crate) fn joined_by(&mut self, other: &Self) {
        if self.today > other.today {
            self.today = other.today;
        }
        self.turn(other.today);
        self.day = self.day.max(other.day);
        self.month = self.month.max(other.month);
        self.whole |= other.whole;
    }

    /// With a new day's and month's where one has begun. A clock that is set back changes nothing.
    fn turn(&mut self, today: Date) {
        if today <= self.today {
            return;
        }
        self.day = 0;
        if today.first_of_month() > self.today.first_of_month() {
            self.month = 0;
            self.whole = true;
        }
        self.today = today;
    }
}

impl Budget {
    /// Does something with this budget as the first that all processes share: with what all of them have spent of the
    /// day and the month, and hold.
    pub(crate) fn with<T>(&self, spend: &mut Spend, held: u64, act: impl FnOnce(&Self) -> T) -> T {
        spend.turn(date((self.clock)()));
        let (day, month) = (Limit::Day as usize, Limit::Month as usize);
        let mut state = self.state();
        // It must not begin the day again that the others have begun.
        state.today = spend.today;
        (state.spent[day], state.spent[month]) = (spend.day, spend.month);
        (state.held[day], state.held[month]) = (held, held);
        drop(state);
        let done = act(self);
        let state = self.state();
        (spend.day, spend.month) = (state.spent[day], state.spent[month]);
        spend.today = state.today;
        done
    }

    /// What it was told that the day and the month have cost, for all processes.
    pub(crate) fn known(&self) -> Spend {
        let state = self.state();
        let whole = self.config.usd_per_day.is_some() && self.config.usd_per_month.is_some();
        Spend::new(state.today, state.spent[Limit::Day as usize], state.spent[Limit::Month as usize], whole)
    }
}
