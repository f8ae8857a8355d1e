//! Budgets: what may be spent in all, for the run, the day and the month.
//!
//! A question reserves the most that it can take ([`Amount`]) before it is sent, from all budgets at once or from none;
//! its reservation is *settled* with what it really took, *kept* where nobody knows that, or *refunded* where nothing was
//! sent. What is spent and what is reserved never exceed a limit together, so that what is spent never does, as long as
//! no question takes more than the most it can.
//!
//! One budget is shared by all backends of a run. Days and months are UTC. What earlier processes spent is told when a
//! budget is made; what those spend and reserve that run at the same time, and what one had reserved that was killed, is
//! read and written each time where limits are [shared](crate::shared). **Where they are not, processes don't see each
//! other's spending**: together they may then exceed the budgets of the day and the month.

mod common;
mod spent;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::money::Usd;

pub(crate) use common::Spend;
pub use spent::{Spent, Standing};

/// What may be spent. None: as much as the provider lets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Dollars of a run, at list price.
    pub usd: Option<Usd>,
    /// Dollars of a day (UTC), all runs and projects together.
    pub usd_per_day: Option<Usd>,
    /// Dollars of a month (UTC), all runs and projects together.
    pub usd_per_month: Option<Usd>,
    /// Requests of a run, retries included.
    pub requests: Option<u64>,
    /// Input tokens of a run, those read from and written to the provider's cache included.
    pub input_tokens: Option<u64>,
    /// Output tokens of a run.
    pub output_tokens: Option<u64>,
}

impl BudgetConfig {
    /// Whether dollars are limited. Then a model without a known price can't be asked.
    pub fn limits_dollars(&self) -> bool {
        self.usd.is_some() || self.usd_per_day.is_some() || self.usd_per_month.is_some()
    }

    fn limits(&self) -> [Option<u64>; LIMITS] {
        let dollars = [self.usd, self.usd_per_day, self.usd_per_month].map(|usd| usd.map(Usd::pico));
        [dollars[0], dollars[1], dollars[2], self.requests, self.input_tokens, self.output_tokens]
    }
}

/// How many limits there are.
const LIMITS: usize = 6;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Dollars of the run.
    Run,
    /// Dollars of the day.
    Day,
    /// Dollars of the month.
    Month,
    /// Requests of the run.
    Requests,
    /// Input tokens of the run.
    InputTokens,
    /// Output tokens of the run.
    OutputTokens,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; LIMITS] =
        [Self::Run, Self::Day, Self::Month, Self::Requests, Self::InputTokens, Self::OutputTokens];

    /// The key in `[budget]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "usd",
            Self::Day => "usd_per_day",
            Self::Month => "usd_per_month",
            Self::Requests => "requests",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
        }
    }

    /// Whether it counts dollars.
    pub const fn is_dollars(self) -> bool {
        matches!(self, Self::Run | Self::Day | Self::Month)
    }
}

/// What a question takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Dollars at list price.
    pub usd: Usd,
    /// Requests.
    pub requests: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.usd += other.usd;
        self.requests = self.requests.saturating_add(other.requests);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}

impl Amount {
    fn parts(self) -> [u64; LIMITS] {
        let usd = self.usd.pico();
        [usd, usd, usd, self.requests, self.input_tokens, self.output_tokens]
    }
}

/// What a question under way holds. It must be settled, kept or refunded.
#[must_use = "a reservation that is neither settled, kept nor refunded is held for ever"]
#[derive(Debug)]
pub struct Reservation {
    amount: Amount,
}

impl Reservation {
    /// What is reserved.
    pub fn amount(&self) -> Amount {
        self.amount
    }
}

/// Why nothing is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// What others have reserved may be given back.
    Wait,
    /// It can't be paid.
    Spent(Spent),
}

/// Gives the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The budgets of a run.
pub struct Budget {
    config: BudgetConfig,
    clock: Clock,
    state: Mutex<State>,
    waiting: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>,
}

struct State {
    spent: [u64; LIMITS],
    held: [u64; LIMITS],
    /// How many reservations are open.
    open: usize,
    today: Date,
}

impl Budget {
    /// With what earlier processes have spent in this day and this month.
    pub fn new(config: BudgetConfig, day: Usd, month: Usd, clock: Clock) -> Self {
        let mut spent = [0; LIMITS];
        spent[Limit::Day as usize] = day.pico();
        spent[Limit::Month as usize] = month.pico();
        let today = date(clock());
        let state = State { spent, held: [0; LIMITS], open: 0, today };
        Self { config, clock, state: Mutex::new(state), waiting: Mutex::default() }
    }

    /// Of a run that goes on: with what it has spent already. Of the day and the month that is known.
    #[must_use]
    pub fn of_a_run_that_has_spent(self, amount: Amount) -> Self {
        let parts = amount.parts();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for limit in [Limit::Run, Limit::Requests, Limit::InputTokens, Limit::OutputTokens] {
            state.spent[limit as usize] = parts[limit as usize];
        }
        drop(state);
        self
    }

    /// Counts, and stops nobody.
    pub fn unlimited() -> Self {
        Self::new(BudgetConfig::default(), Usd::ZERO, Usd::ZERO, Arc::new(Timestamp::now))
    }

    /// The limits.
    pub fn config(&self) -> BudgetConfig {
        self.config
    }

    /// Reserves from all budgets or from none. `last`: the question can't be asked in a cheaper way, so that it waits
    /// as long as others may give something back; else it is told as soon as it can never be paid.
    ///
    /// # Errors
    /// Where it can't be paid now.
    pub fn reserve(&self, most: Amount, last: bool) -> Result<Reservation, Blocked> {
        let mut state = self.state();
        let parts = most.parts();
        let lacks = |limit: &Limit, held: &[u64; LIMITS]| {
            let at = *limit as usize;
            let all = state.spent[at].saturating_add(held[at]).saturating_add(parts[at]);
            self.config.limits()[at].is_some_and(|limit| all > limit)
        };
        if Limit::ALL.iter().any(|limit| lacks(limit, &state.held)) {
            return match Limit::ALL.iter().find(|limit| lacks(limit, &[0; LIMITS])) {
                Some(limit) if !last || state.open == 0 => Err(Blocked::Spent(self.spent(&state, *limit, most))),
                _ => Err(Blocked::Wait),
            };
        }
        for (held, part) in state.held.iter_mut().zip(parts) {
            *held = held.saturating_add(part);
        }
        state.open += 1;
        Ok(Reservation { amount: most })
    }

    /// Dollars that are left of the tightest budget, what is reserved taken off; none: no dollars are limited.
    pub fn usd_left(&self) -> Option<Usd> {
        if !self.config.limits_dollars() {
            return None;
        }
        let (state, limits) = (self.state(), self.config.limits());
        let left = |limit: Limit| {
            let at = limit as usize;
            limits[at].map(|size| size.saturating_sub(state.spent[at]).saturating_sub(state.held[at]))
        };
        Limit::ALL.into_iter().filter(|limit| limit.is_dollars()).filter_map(left).min().map(Usd::from_pico)
    }

    /// Whether so much can be paid, now or when others have given back what they reserved.
    ///
    /// # Errors
    /// Which budget can't.
    pub fn can_ever_pay(&self, most: Amount) -> Result<(), Spent> {
        let state = self.state();
        let parts = most.parts();
        let lacking = Limit::ALL.into_iter().find(|limit| {
            let at = *limit as usize;
            self.config.limits()[at].is_some_and(|limit| state.spent[at].saturating_add(parts[at]) > limit)
        });
        lacking.map_or(Ok(()), |limit| Err(self.spent(&state, limit, most)))
    }

    /// Puts what was really used in place of the reservation.
    pub fn settle(&self, reservation: Reservation, used: Amount) {
        let mut state = self.state();
        let held = reservation.amount.parts();
        for (at, used) in used.parts().into_iter().enumerate() {
            state.held[at] = state.held[at].saturating_sub(held[at]);
            state.spent[at] = state.spent[at].saturating_add(used);
        }
        state.open = state.open.saturating_sub(1);
    }

    /// What was used is not known: the reservation counts.
    pub fn keep(&self, reservation: Reservation) {
        let used = reservation.amount;
        self.settle(reservation, used);
    }

    /// Nothing was used.
    pub fn refund(&self, reservation: Reservation) {
        self.settle(reservation, Amount::default());
    }

    /// How each limited budget stands.
    pub fn standing(&self) -> Vec<Standing> {
        let state = self.state();
        let limits = self.config.limits();
        let limited = Limit::ALL.into_iter().filter_map(|limit| Some((limit, limits[limit as usize]?)));
        limited.map(|(limit, size)| Standing { limit, size, spent: state.spent[limit as usize] }).collect()
    }

    /// Has this called whenever something was given back, by [`freed`](Self::freed).
    pub(crate) fn when_freed(&self, call: impl Fn() + Send + Sync + 'static) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(call));
    }

    /// Something was given back: all who wait at other backends look again. Must not be called under their locks.
    pub(crate) fn freed(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The one who gave it back has looked already.
        if waiting.len() > 1 {
            for look in waiting {
                look();
            }
        }
    }

    fn spent(&self, state: &State, limit: Limit, most: Amount) -> Spent {
        let at = limit as usize;
        Spent {
            limit,
            size: self.config.limits()[at].unwrap_or(u64::MAX),
            spent: state.spent[at],
            most: most.parts()[at],
            today: state.today,
        }
    }

    /// With a new day's and month's budget where one has begun. A clock that is set back changes nothing.
    fn state(&self) -> MutexGuard<'_, State> {
        let today = date((self.clock)());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if today > state.today {
            state.spent[Limit::Day as usize] = 0;
            if today.first_of_month() > state.today.first_of_month() {
                state.spent[Limit::Month as usize] = 0;
            }
            state.today = today;
        }
        state
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("config", &self.config).field("standing", &self.standing()).finish()
    }
}

/// When the day and the month began in which a time lies.
pub fn beginnings(now: Timestamp) -> (Timestamp, Timestamp) {
    let today = date(now);
    let begin = |day: Date| day.to_zoned(TimeZone::UTC).map_or(now, |zoned| zoned.timestamp());
    (begin(today), begin(today.first_of_month()))
}

fn date(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}
