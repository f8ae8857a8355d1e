mod damage;
mod random;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use tokio::time::advance;

use super::look::{Overview, look};
use super::*;
use crate::admission::Spent;
use crate::budget::{Amount, BudgetConfig};
use crate::money::Usd;
use crate::question::{ProviderLimit, ProviderLimits};
use crate::quota::named::{NamedQuotas, Use, UsedUp};
use crate::quota::scoped::{Scope, ScopedQuota};
use crate::quota::{Cost, Told};

const SECOND: Duration = Duration::from_secs(1);

/// A folder, and the time that all in it agree on.
struct Machine {
    folder: tempfile::TempDir,
    clock: Clock,
    boot: &'static str,
    limits: SharedLimits,
}

/// One of its processes.
struct Process {
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    account: Arc<str>,
    quota: QuotaConfig,
    quotas: Vec<Arc<ScopedQuota>>,
}

impl Machine {
    fn new() -> Self {
        let booted = Instant::now();
        // An hour ago.
        let clock = Clock::new(move || booted.elapsed() + 3_600 * SECOND);
        Self { folder: tempfile::tempdir().unwrap(), clock, boot: "this", limits: SharedLimits::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("limits")
    }

    fn open(&self, budget: &Budget) -> Result<Arc<Shared>, SharedError> {
        Shared::open(&self.path(), self.limits, self.clock.clone(), self.boot.to_owned(), budget)
    }

    fn process(&self, output_tokens: u64) -> Process {
        self.process_with(output_tokens, budget(BudgetConfig::default(), 0.0))
    }

    fn process_with(&self, output_tokens: u64, budget: Arc<Budget>) -> Process {
        let quota = QuotaConfig { output_tokens: Some(output_tokens), ..QuotaConfig::default() };
        let shared = self.open(&budget).unwrap();
        Process { shared, budget, account: "anthropic a".into(), quota, quotas: Vec::new() }
    }

    fn look(&self) -> Option<Overview> {
        look(&self.path(), &self.clock, self.boot).unwrap()
    }

    fn state(&self) -> PathBuf {
        self.path().join(file::NAME)
    }
}

fn budget(config: BudgetConfig, spent: f64) -> Arc<Budget> {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let spent = Usd::from_dollars(spent);
    Arc::new(Budget::new(config, spent, spent, Arc::new(move || now)))
}

fn a_day(usd: f64) -> BudgetConfig {
    BudgetConfig { usd_per_day: Some(Usd::from_dollars(usd)), ..BudgetConfig::default() }
}

impl Process {
    fn take(&self, output_tokens: u64) -> Result<Taken, Refused> {
        self.take_for(output_tokens, 0.0)
    }

    fn take_for(&self, output_tokens: u64, usd: f64) -> Result<Taken, Refused> {
        let wanted = Wanted {
            account: &self.account,
            config: self.quota,
            cost: Cost { requests: 1, input_tokens: 10, output_tokens },
            most: Amount { usd: Usd::from_dollars(usd), requests: 1, input_tokens: 10, output_tokens },
            last: true,
            quotas: &self.quotas,
            command: "audit",
        };
        self.shared.take(&wanted, &self.budget)
    }

    fn end(&self, taken: Taken, spent: Spent) {
        self.end_told(taken, spent, None);
    }

    fn end_told(&self, taken: Taken, spent: Spent, told: Option<Told>) {
        let bill = match spent {
            Spent::Nothing => Some(Amount::default()),
            Spent::Known(_) | Spent::Unknown => None,
        };
        self.shared.end(taken, Ended { spent, bill, told }, &self.budget);
    }

    fn used(&self, taken: Taken, output_tokens: u64) {
        self.end(taken, Spent::Known(Cost { requests: 1, input_tokens: 10, output_tokens }));
    }

    fn free(&self) -> i64 {
        // What others have done is seen with the next turn.
        let _ = self.shared.take_each(&[]);
        self.shared.free(&self.account, self.quota)[2].unwrap()
    }

    /// As `kill -9`: nothing is given back, and the kernel lets go of the lock.
    fn kill(self) {
        let mut inner = self.shared.lock();
        let seat = inner.seat.take().unwrap();
        let (folder, id) = (seat.folder.clone(), inner.id.clone());
        drop(seat);
        // A killed process leaves its file.
        fs::write(folder.join(format!("{id}.alive")), "").unwrap();
    }
}

fn until(refused: Result<Taken, Refused>) -> Instant {
    match refused {
        Err(Refused::Wait { wait: Wait::Until(when), .. }) => when,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_one_quota() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1_000), machine.process(1_000));
    let (mine, theirs) = (one.take(600).unwrap(), other.take(400).unwrap());
    assert_eq!((one.free(), other.free()), (0, 0));
    assert!(one.take(1).is_err() && other.take(1).is_err());
    one.used(mine, 100);
    assert_eq!(other.free(), 500);
    other.end(theirs, Spent::Nothing);
    assert_eq!((one.free(), other.free()), (900, 900));
    advance(60 * SECOND).await;
    assert_eq!((one.free(), other.free()), (1_000, 1_000));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_process_looks_again_soon_and_who_waits_for_time_sleeps() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1_000), machine.process(1_000));
    let theirs = other.take(1_000).unwrap();
    let now = Instant::now();
    let looks: Vec<Duration> = (0..100).map(|_| until(one.take(1_000)) - now).collect();
    assert!(looks.iter().all(|look| *look == looks[0]), "all questions of a process look together");
    assert!((50..=100).contains(&looks[0].as_millis()), "{looks:?}");
    other.used(theirs, 1_000);
    assert_eq!((until(one.take(1_000)) - now).as_secs(), 60, "nobody holds any of it");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_held_is_free_or_spent() {
    let machine = Machine { limits: SharedLimits { instances: 1, ..SharedLimits::default() }, ..Machine::new() };
    let dead = machine.process_with(1_000, budget(a_day(5.0), 1.0));
    let alive = machine.process_with(1_000, budget(a_day(5.0), 1.0));
    let lost = dead.take_for(600, 2.0).unwrap();
    assert!(alive.take(1).is_err(), "there is one instance for all");
    dead.kill();
    drop(lost);
    advance(SECOND).await;
    let taken = alive.take(100).unwrap();
    assert_eq!(alive.free(), 1_000 - 600 - 100);
    let spent = machine.look().unwrap().spent.unwrap();
    assert_eq!((spent.of_day, spent.of_month), (Usd::from_dollars(3.0), Usd::from_dollars(3.0)));
    alive.used(taken, 100);
    assert_eq!(fs::read_dir(machine.path()).unwrap().count(), 2, "the dead one's file is removed");
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_leaves_nothing_but_the_state() {
    let machine = Machine::new();
    let process = machine.process(1_000);
    let held = process.take(600).unwrap();
    drop(process);
    drop(held);
    assert_eq!(fs::read_dir(machine.path()).unwrap().count(), 1);
    let overview = machine.look().unwrap();
    assert_eq!((overview.instances, overview.processes.len(), overview.buckets[0].held), (0, 0, 0));
    assert_eq!(overview.buckets[0].left, 400, "what was still held counts as spent");
}

#[tokio::test(start_paused = true)]
async fn a_day_is_paid_from_one_budget() {
    let machine = Machine::new();
    let (one, other) = (
        machine.process_with(1_000_000, budget(a_day(5.0), 1.0)),
        machine.process_with(1_000_000, budget(a_day(5.0), 1.5)),
    );
    let mine = one.take_for(1, 2.0).unwrap();
    assert!(matches!(other.take_for(1, 2.0), Err(Refused::Wait { wait: Wait::Until(_), .. })), "it may come back");
    one.shared.end(
        mine,
        Ended {
            spent: Spent::Unknown,
            bill: Some(Amount { usd: Usd::from_dollars(1.75), ..Amount::default() }),
            told: None,
        },
        &one.budget,
    );
    let Err(Refused::Spent(spent)) = other.take_for(1, 2.0) else { panic!("3.25 of 5 are spent") };
    assert_eq!(spent.spent, Usd::from_dollars(3.25).pico(), "what the one that came later knew of counts, once");
    let theirs = other.take_for(1, 1.75).unwrap();
    other.end(theirs, Spent::Unknown);
    assert_eq!(machine.look().unwrap().spent.unwrap().of_day, Usd::from_dollars(5.0));
}

#[tokio::test(start_paused = true)]
async fn a_new_day_begins_for_all_and_a_wall_clock_that_jumps_back_begins_none() {
    let machine = Machine::new();
    let wall = Arc::new(Mutex::new("2026-11-21T23:00:00Z".parse::<Timestamp>().unwrap()));
    let clocked = || {
        let wall = wall.clone();
        let clock = Arc::new(move || *wall.lock().unwrap());
        machine.process_with(1_000_000, Arc::new(Budget::new(a_day(1.0), Usd::ZERO, Usd::ZERO, clock)))
    };
    let (one, other) = (clocked(), clocked());
    let pay = |process: &Process| process.take_for(1, 1.0).map(|taken| process.end(taken, Spent::Unknown)).is_ok();
    assert!(pay(&one) && !pay(&other));
    *wall.lock().unwrap() = "2026-11-22T01:00:00Z".parse().unwrap();
    assert!(pay(&other) && !pay(&one));
    for jump in ["2026-11-21T23:00:00Z", "2026-11-22T01:00:00Z", "2020-01-01T00:00:00Z"] {
        *wall.lock().unwrap() = jump.parse().unwrap();
        assert!(!pay(&one) && !pay(&other), "{jump}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_processes_together_have_a_hundred_instances() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1_000_000), machine.process(1_000_000));
    let mut taken: Vec<Taken> = (0..60).map(|_| one.take(1).unwrap()).collect();
    let theirs: Vec<Taken> = (0..40).map(|_| other.take(1).unwrap()).collect();
    assert!(one.take(1).is_err() && other.take(1).is_err());
    one.end(taken.remove(0), Spent::Nothing);
    sleep(2 * COMPANY).await;
    let last = other.take(1).unwrap();
    assert_eq!(machine.look().unwrap().instances, 100);
    for (process, held) in [(&one, taken), (&other, theirs), (&other, vec![last])] {
        held.into_iter().for_each(|taken| process.end(taken, Spent::Nothing));
    }
    assert_eq!(machine.look().unwrap().instances, 0);
}

#[tokio::test(start_paused = true)]
async fn what_ends_while_many_are_under_way_is_found_by_its_own_at_once_and_by_others_a_moment_later() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1_000_000), machine.process(1_000_000));
    let mut taken: Vec<Taken> = (0..100).map(|_| one.take(1).unwrap()).collect();
    let written = || std::fs::read(machine.state()).unwrap();
    let before = written();
    taken.drain(..90).for_each(|taken| one.end(taken, Spent::Nothing));
    assert!(written() == before && other.take(1).is_err(), "they wait for company");
    taken.push(one.take(1).unwrap());
    assert_eq!(machine.look().unwrap().instances, 11);
    taken.drain(..2).for_each(|taken| one.end(taken, Spent::Nothing));
    assert_eq!(machine.look().unwrap().instances, 11);
    sleep(2 * COMPANY).await;
    assert_eq!(machine.look().unwrap().instances, 9);
    // Who tells what was spent need not wait.
    one.end(taken.remove(0), Spent::Nothing);
    assert_eq!(machine.look().unwrap().instances, 9);
    one.shared.settle();
    assert_eq!(machine.look().unwrap().instances, 8);
    // With fewer there is nothing to wait for: who ends all that was under way finds all given back.
    taken.into_iter().for_each(|taken| one.end(taken, Spent::Nothing));
    assert_eq!(machine.look().unwrap().instances, 0);
}

#[tokio::test(start_paused = true)]
async fn ten_processes_are_started_in_a_second_by_all_together() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1), machine.process(1));
    let began = Instant::now();
    for _ in 0..15 {
        one.shared.spawn().await;
        other.shared.spawn().await;
    }
    assert_eq!(began.elapsed().as_secs(), 2, "ten at once, twenty more at ten a second");
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_told_one_holds_for_all() {
    let machine = Machine::new();
    let (one, other) = (machine.process(u64::MAX), machine.process(u64::MAX));
    let (one, other) =
        (Process { quota: QuotaConfig::default(), ..one }, Process { quota: QuotaConfig::default(), ..other });
    let taken = one.take(10).unwrap();
    let limit = Some(ProviderLimit { limit: 600, remaining: 30, reset: None });
    let limits = ProviderLimits { output_tokens: limit, ..ProviderLimits::default() };
    let used = Spent::Known(Cost { requests: 1, input_tokens: 10, output_tokens: 10 });
    // The head of an answer does not know of the output that comes after it.
    let at = Instant::now() - Duration::from_micros(1);
    one.end_told(taken, used, Some(Told { limits, at }));
    assert_eq!(other.free(), 20);
    let wait = until(other.take(40)) - Instant::now();
    assert_eq!(wait.as_secs_f64().round(), 1.0, "it was never seen to hold more than 30, and ten a second come back");
}

#[tokio::test(start_paused = true)]
async fn a_users_quota_holds_in_all_processes_and_takes_from_all_or_none() {
    let machine = Machine::new();
    let quota = |name: &str, requests, usd: Option<f64>| {
        Arc::new(ScopedQuota {
            name: name.into(),
            scope: Scope::default(),
            requests,
            input_tokens: None,
            output_tokens: None,
            usd: usd.map(Usd::from_dollars),
            per: 10 * SECOND,
        })
    };
    let quotas = vec![quota("few", Some(2), None), quota("cheap", None, Some(1.0))];
    let process = || Process { quotas: quotas.clone(), ..machine.process(1_000_000) };
    let (one, other) = (process(), process());
    let first = one.take_for(1, 0.25).unwrap();
    let second = other.take_for(1, 0.5).unwrap();
    assert!(one.take_for(1, 0.01).is_err(), "two requests are held");
    one.end(first, Spent::Unknown);
    other.end(second, Spent::Nothing);
    assert!(one.take_for(1, 0.8).is_err(), "0.75 dollars are left");
    let third = one.take_for(1, 0.75).unwrap();
    one.end(third, Spent::Nothing);
    let overview = machine.look().unwrap();
    let left: Vec<_> = overview.buckets.iter().map(|bucket| (bucket.of.as_str(), bucket.left)).collect();
    let quarter = i128::from(Usd::from_dollars(0.75).pico());
    assert_eq!(left[left.len() - 2..], [("quota cheap", quarter), ("quota few", 1)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_seen_and_leaves() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1_000), machine.process(1_000));
    let held = one.take(1_000).unwrap();
    assert!(other.take(500).is_err());
    advance(3 * SECOND).await;
    assert!(other.take(500).is_err());
    let overview = machine.look().unwrap();
    let waiting = &overview.buckets[0].waiting;
    assert_eq!((waiting.len(), waiting[0].command.as_str(), waiting[0].since), (1, "audit", 3 * SECOND));
    assert_eq!(overview.processes.iter().filter(|process| !process.waiting.is_empty()).count(), 1);
    other.shared.leave("anthropic a");
    assert!(machine.look().unwrap().buckets[0].waiting.is_empty());
    one.used(held, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_starves_is_not_overtaken_by_another_process() {
    let machine = Machine::new();
    let (small, large) = (machine.process(600), machine.process(600));
    let take = |process: &Process, amount| process.take(amount).map(|taken| process.used(taken, amount)).is_ok();
    assert!(take(&small, 600) && !take(&large, 100));
    advance(SECOND).await;
    assert!(take(&small, 10) && !take(&large, 100), "it has not waited for long");
    advance(SECOND).await;
    let mut got = Vec::new();
    for second in 0..11 {
        if take(&large, 100) {
            got.push(second);
        }
        assert_eq!(take(&small, 10), got.contains(&(second - 1)), "{second}");
        advance(SECOND).await;
    }
    assert_eq!(got, [9]);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_look_when_it_has_said_is_not_waited_for() {
    let machine = Machine::new();
    let (one, stopped) = (machine.process(600), machine.process(600));
    let all = one.take(600).unwrap();
    one.used(all, 600);
    assert_eq!((until(stopped.take(100)) - Instant::now()).as_secs(), 10);
    advance(10 * SECOND).await;
    assert!(one.take(10).is_err(), "now it would have its hundred");
    advance(SECOND).await;
    let taken = one.take(10).unwrap();
    one.used(taken, 10);
}

#[tokio::test(start_paused = true)]
async fn a_named_quota_is_one_for_all_processes() {
    let machine = Machine::new();
    let (one, other) = (machine.process(1), machine.process(1));
    let (quotas, to) = (NamedQuotas::default(), Use::Run { program: "gh" });
    for _ in 0..25 {
        quotas.take_now(&one.shared, to).unwrap();
        quotas.take_now(&other.shared, to).unwrap();
    }
    let wait = 12 * SECOND;
    for process in [&one, &other] {
        assert_eq!(quotas.take_now(&process.shared, to), Err(UsedUp { quota: "github_api".into(), wait }));
    }
    advance(wait).await;
    assert!(quotas.take_now(&other.shared, to).is_ok() && quotas.take_now(&one.shared, to).is_err());
}
