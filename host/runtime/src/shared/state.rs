//! What is written down: who holds what, what is left, what was spent. Functions of it and of the time; no file here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SharedLimits;
use crate::admission::Spent;
use crate::budget::{self, Amount, Blocked, Budget, Spend};
use crate::gate::{Wait, later};
use crate::quota::kept::{Held, Kept, Moment};
use crate::quota::lengths::Lengths;
use crate::quota::rate::{Missing, Rate, Size};
use crate::quota::scoped::{KIND_NAMES, KINDS, ScopedQuota, parts};
use crate::quota::{Cost, Quota, QuotaConfig, Reservation, Told};

/// How long what nobody takes from is remembered.
const FORGOTTEN_AFTER: u64 = 86_400 * 1_000_000_000;

/// Who has waited so long, in nanoseconds, is not overtaken by questions of other processes that have waited less.
/// Before, they are: to take turns would cost each of them the time until the other one looks.
const STARVING: u64 = 2_000_000_000;

/// How late one may be that has said when it looks again, in nanoseconds: then it is stopped, or wants something else.
const LATE: u64 = 500_000_000;

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// In which run of the kernel its times are.
    pub(super) boot: String,
    /// When it was last written, in nanoseconds since the machine booted, like all times in it.
    pub(super) at: u64,
    /// The buckets of accounts.
    pub(super) accounts: BTreeMap<String, Kept>,
    /// All other buckets.
    pub(super) rates: BTreeMap<String, Rate>,
    /// None: a budget is each process's own.
    pub(super) spend: Option<Spend>,
    /// What each process holds.
    pub(super) holders: BTreeMap<String, Holder>,
    /// How long the answers of each account are in this process. It is not written down.
    #[serde(skip)]
    pub(super) lengths: BTreeMap<String, Lengths>,
}

/// What a process holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) instances: u64,
    pub(super) accounts: BTreeMap<String, Held>,
    pub(super) rates: BTreeMap<String, u64>,
    /// Picodollars.
    pub(super) usd: u64,
    /// Who waits, by the account that is waited for.
    pub(super) waiting: BTreeMap<String, Waiting>,
}

/// Who waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) command: String,
    pub(super) what: String,
    pub(super) since: u64,
    /// When it looks again: later it is not waited for.
    #[serde(default)]
    pub(super) looks: u64,
}

/// What a question takes.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Whose quota it takes.
    pub(crate) account: &'a Arc<str>,
    /// What is configured of it.
    pub(crate) config: QuotaConfig,
    /// What it takes of it.
    pub(crate) cost: Cost,
    /// What it takes of the budget.
    pub(crate) most: Amount,
    /// See [`Budget::reserve`].
    pub(crate) last: bool,
    /// The user's quotas that it takes from.
    pub(crate) quotas: &'a [Arc<ScopedQuota>],
    /// Who asks.
    pub(crate) command: &'a str,
}

/// What was taken. It must be ended.
#[must_use = "what is not ended is held for ever"]
#[derive(Debug)]
pub(crate) struct Taken {
    account: Arc<str>,
    config: QuotaConfig,
    reservation: Reservation,
    rates: Vec<(String, usize, u64)>,
    reserved: budget::Reservation,
}

impl Taken {
    /// What is reserved of the budget.
    pub(crate) fn reserved(&self) -> Amount {
        self.reserved.amount()
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// What was spent of the quotas.
    pub(crate) spent: Spent,
    /// What was spent of the budget; none: all that was reserved.
    pub(crate) bill: Option<Amount>,
    /// What the provider told.
    pub(crate) told: Option<Told>,
}

/// Why nothing is taken.
#[derive(Debug)]
pub(super) enum Closed {
    /// Something is closed.
    Wait {
        wait: Wait,
        /// Whether others hold something of it.
        foreign: bool,
        /// The first that is closed.
        what: String,
        /// Whether it is only the budget or a quota of the user's.
        own: bool,
    },
    /// A budget can't pay it.
    Spent(budget::Spent),
}

/// Looks whether all is open.
#[derive(Default)]
struct Gates {
    wait: Option<Wait>,
    foreign: bool,
    what: Option<String>,
    /// Whether something is closed that all need.
    common: bool,
}

impl Gates {
    fn closed(&mut self, wait: Wait, foreign: bool, what: impl FnOnce() -> String) {
        self.wait = Some(self.wait.map_or(wait, |other| other.and(wait)));
        self.foreign |= foreign;
        self.what.get_or_insert_with(what);
    }
}

impl State {
    /// Takes from all or from none.
    pub(super) fn take(
        &mut self,
        me: &str,
        moment: Moment,
        wanted: &Wanted<'_>,
        limits: &SharedLimits,
        budget: &Budget,
    ) -> Result<Taken, Closed> {
        let mut gates = Gates::default();
        if self.instances() >= limits.instances {
            gates.common = true;
            gates.closed(Wait::Change, self.others(me, |other| other.instances > 0), || "instances".to_owned());
        }
        let mut quota = self.quota(wanted.account, wanted.config, moment);
        if let Err(wait) = quota.check(wanted.cost) {
            let foreign = self.others(me, |other| other.accounts.contains_key(&**wanted.account));
            gates.common = true;
            let name = || format!("{}: {}", wanted.account, quota.closed(wanted.cost).unwrap_or_default());
            gates.closed(wait, foreign, name);
        }
        let amounts = parts(wanted.cost, wanted.most.usd);
        let mut rates = Vec::new();
        for quota in wanted.quotas {
            for (kind, size) in quota.sizes() {
                let key = quota.key(kind);
                if let Err(missing) = self.rate(&key, size, moment.nanos).check(amounts[kind]) {
                    let foreign = self.others(me, |other| other.rates.contains_key(&key));
                    gates.closed(moment.after(missing), foreign, || format!("{}: {}", quota.name, KIND_NAMES[kind]));
                }
                rates.push((key, kind, 0));
            }
        }
        if let Some(first) = self.goes_before(me, moment, wanted) {
            gates.common = true;
            gates.closed(Wait::Change, true, || first.what.clone());
        }
        if let Gates { wait: Some(wait), foreign, what, common } = gates {
            return Err(Closed::Wait { wait, foreign, what: what.unwrap_or_default(), own: !common });
        }
        let reserved = self.with_budget(budget, |budget| budget.reserve(wanted.most, wanted.last));
        let reserved = reserved.map_err(|blocked| match blocked {
            Blocked::Spent(spent) => Closed::Spent(spent),
            Blocked::Wait => Closed::Wait {
                wait: Wait::Change,
                foreign: self.others(me, |other| other.usd > 0),
                what: "budget".to_owned(),
                own: true,
            },
        })?;

        let reservation = quota.take(wanted.cost);
        self.keep(wanted.account, quota, moment);
        for (key, kind, held) in &mut rates {
            if let Some(rate) = self.rates.get_mut(key) {
                *held = rate.hold(amounts[*kind]);
            }
        }
        let holder = self.holders.entry(me.to_owned()).or_default();
        holder.instances += 1;
        holder.usd = holder.usd.saturating_add(wanted.most.usd.pico());
        holder.accounts.entry(wanted.account.to_string()).or_default().add(&reservation);
        for (key, _, held) in &rates {
            let all = holder.rates.entry(key.clone()).or_default();
            *all = all.saturating_add(*held);
        }
        Ok(Taken { account: wanted.account.clone(), config: wanted.config, reservation, rates, reserved })
    }

    /// Gives back what was taken, and takes what was used.
    pub(super) fn end(&mut self, me: &str, moment: Moment, taken: Taken, ended: &Ended, budget: &Budget) {
        let Taken { account, config, mut reservation, rates, reserved } = taken;
        let most = reserved.amount();
        match ended.bill {
            Some(used) => self.with_budget(budget, |budget| budget.settle(reserved, used)),
            None => self.with_budget(budget, |budget| budget.keep(reserved)),
        }
        let holder = self.holders.entry(me.to_owned()).or_default();
        holder.instances = holder.instances.saturating_sub(1);
        holder.usd = holder.usd.saturating_sub(most.usd.pico());
        let of_account = holder.accounts.entry(account.to_string()).or_default();
        of_account.remove(&mut reservation);
        if of_account.is_empty() {
            holder.accounts.remove(&*account);
        }
        for (key, kind, reserved) in rates {
            let all = holder.rates.entry(key.clone()).or_default();
            let held = reserved.min(*all);
            *all -= held;
            if *all == 0 {
                holder.rates.remove(&key);
            }
            let used = used(ended, kind).unwrap_or(reserved);
            if let Some(rate) = self.rates.get_mut(&key) {
                rate.tick(moment.nanos);
                rate.release(held, used);
            }
        }
        let mut quota = self.quota(&account, config, moment);
        match ended.spent {
            Spent::Known(used) => quota.settle(reservation, used, ended.told, moment.now),
            Spent::Unknown => quota.keep(reservation, ended.told, moment.now),
            Spent::Nothing => quota.refund(reservation, ended.told, moment.now),
        }
        self.keep(&account, quota, moment);
    }

    /// The buckets of an account at that time.
    pub(super) fn quota(&self, account: &str, config: QuotaConfig, moment: Moment) -> Quota {
        let lengths = self.lengths.get(account).cloned().unwrap_or_default();
        match self.accounts.get(account) {
            Some(kept) => kept.restore(config, lengths, moment),
            None => Kept::default().restore(config, lengths, moment),
        }
    }

    fn keep(&mut self, account: &str, quota: Quota, moment: Moment) {
        let (kept, lengths) = Kept::of(quota, moment);
        self.accounts.insert(account.to_owned(), kept);
        self.lengths.insert(account.to_owned(), lengths);
    }

    /// Takes one from each of these buckets, or from none.
    pub(super) fn take_each(&mut self, buckets: &[(String, Size)], moment: Moment) -> Result<(), (Duration, String)> {
        let mut missing: Option<(Duration, String)> = None;
        for (key, size) in buckets {
            let wait = match self.rate(key, *size, moment.nanos).check(1) {
                Ok(()) => continue,
                Err(Missing::Time(time)) => time,
                // Nothing is held of such a bucket for longer than its turn.
                Err(Missing::Change) => size.per,
            };
            if missing.as_ref().is_none_or(|(longest, _)| wait > *longest) {
                missing = Some((wait, key.clone()));
            }
        }
        if let Some(missing) = missing {
            return Err(missing);
        }
        for (key, _) in buckets {
            if let Some(rate) = self.rates.get_mut(key) {
                rate.release(0, 1);
            }
        }
        Ok(())
    }

    /// A bucket at that time, of that size; a full one where there is none.
    pub(super) fn rate(&mut self, key: &str, size: Size, nanos: u64) -> &mut Rate {
        let rate = self.rates.entry(key.to_owned()).or_insert_with(|| Rate::full(size, nanos));
        rate.tick(nanos);
        rate.resize(size);
        rate
    }

    /// The instances that all have in use.
    pub(super) fn instances(&self) -> u64 {
        self.holders.values().map(|holder| holder.instances).sum()
    }

    /// A process is gone: its permits are free, and what it reserved counts as spent, because nobody knows.
    pub(super) fn bury(&mut self, id: &str, nanos: u64) {
        let Some(gone) = self.holders.remove(id) else { return };
        for (account, held) in gone.accounts {
            if let Some(kept) = self.accounts.get_mut(&account) {
                kept.forfeit(&held, nanos);
            }
        }
        for (key, held) in gone.rates {
            if let Some(rate) = self.rates.get_mut(&key) {
                rate.tick(nanos);
                rate.release(held, held);
            }
        }
        if let Some(spend) = &mut self.spend {
            spend.day = spend.day.saturating_add(gone.usd);
            spend.month = spend.month.saturating_add(gone.usd);
        }
    }

    /// Forgets what nobody has taken from for a day.
    pub(super) fn forget(&mut self, nanos: u64) {
        let fresh = |at: u64| at.saturating_add(FORGOTTEN_AFTER) > nanos;
        self.rates
            .retain(|_, rate| rate.held() > 0 || fresh(rate.seen().saturating_add(rate.full_in().as_nanos() as u64)));
        self.accounts.retain(|_, kept| kept.buckets.iter().any(|bucket| bucket.held > 0 || fresh(bucket.at)));
    }

    fn with_budget<T>(&mut self, budget: &Budget, act: impl FnOnce(&Budget) -> T) -> T {
        let held = self.holders.values().fold(0u64, |sum, holder| sum.saturating_add(holder.usd));
        match &mut self.spend {
            Some(spend) => budget.with(spend, held, act),
            None => act(budget),
        }
    }

    /// One of another process that starves for something that this one would take.
    fn goes_before(&self, me: &str, moment: Moment, wanted: &Wanted<'_>) -> Option<&Waiting> {
        let mine = self.holders.get(me).and_then(|holder| holder.waiting.get(&**wanted.account));
        let mine = mine.map_or(moment.nanos, |waiting| waiting.since);
        let would_take = |what: &str| {
            let of = |name: &str| what.strip_prefix(name).is_some_and(|rest| rest.starts_with(": "));
            what == "instances" || of(wanted.account) || wanted.quotas.iter().any(|quota| of(&quota.name))
        };
        let others = self.holders.iter().filter(|(id, _)| *id != me).flat_map(|(_, other)| other.waiting.values());
        others.into_iter().find(|other| {
            other.since < mine
                && other.since.saturating_add(STARVING) <= moment.nanos
                && other.looks.saturating_add(LATE) >= moment.nanos
                && would_take(&other.what)
        })
    }

    /// Whether another process holds something.
    fn others(&self, me: &str, holds: impl Fn(&Holder) -> bool) -> bool {
        self.holders.iter().any(|(id, holder)| id != me && holds(holder))
    }
}

/// What was used of a kind; none: nobody knows.
fn used(ended: &Ended, kind: usize) -> Option<u64> {
    if kind == KINDS - 1 {
        return ended.bill.map(|bill| bill.usd.pico());
    }
    match ended.spent {
        Spent::Known(cost) => Some(parts(cost, Default::default())[kind]),
        Spent::Unknown => None,
        Spent::Nothing => Some(0),
    }
}

impl Moment {
    fn after(&self, missing: Missing) -> Wait {
        match missing {
            Missing::Time(time) => Wait::Until(later(self.now, time)),
            Missing::Change => Wait::Change,
        }
    }
}
