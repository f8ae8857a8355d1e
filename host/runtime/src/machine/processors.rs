//! How much of the processors was free lately.
//!
//! `/proc/stat` counts what they did since the machine started, the cgroup what this one did: so the share is that of the
//! time between two looks. A cgroup's quota (`cpu.max`) counts where it leaves less.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Memory, cgroup_of_this_process};

/// The shortest time that says something: the kernel counts in hundredths of a second.
const SHORTEST: Duration = Duration::from_millis(100);

/// Microseconds of a tick of `/proc`: a hundred of them are a second on Linux, whatever the kernel's own clock.
const TICK_US: u64 = 10_000;

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    /// Of all processors, in ticks.
    all: u64,
    /// Of that, doing nothing.
    idle: u64,
    /// Of that, this process.
    own: u64,
    /// Of the cgroup, in microseconds.
    cgroup: Option<u64>,
}

/// Measures how much of the machine is free.
#[derive(Debug)]
pub struct Meter(Mutex<State>);

#[derive(Debug)]
struct State {
    at: Instant,
    counted: Option<Counted>,
    /// Free since the look before: with this process counted as free, and without.
    free: Option<(f64, f64)>,
}

impl Default for Meter {
    fn default() -> Self {
        Self(Mutex::new(State { at: Instant::now(), counted: now(), free: None }))
    }
}

impl Meter {
    /// Begins to measure.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long until it can say something for the first time.
    pub fn ready_in(&self) -> Duration {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free.is_some() { Duration::ZERO } else { SHORTEST.saturating_sub(state.at.elapsed()) }
    }

    /// The shares of processors and memory that are free, each if it is known. What this process itself did counts as free:
    /// before a run begins it only got ready for it.
    pub fn before_a_run(&self) -> (Option<f64>, Option<f64>) {
        (self.look().map(|(without_own, _)| without_own), Memory::now().map(|memory| memory.free()))
    }

    /// The same while a run goes on: what it does itself is load.
    pub fn in_a_run(&self) -> (Option<f64>, Option<f64>) {
        (self.look().map(|(_, free)| free), Memory::now().map(|memory| memory.free()))
    }

    fn look(&self) -> Option<(f64, f64)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = state.at.elapsed();
        if passed >= SHORTEST {
            let counted = now();
            if let Some((before, after)) = state.counted.zip(counted) {
                state.free = free(before, after, passed, allowed_processors());
            }
            (state.at, state.counted) = (Instant::now(), counted);
        }
        state.free
    }
}

/// The shares that were free between two looks: with what this process did counted as free, and without.
fn free(before: Counted, after: Counted, passed: Duration, cores: Option<f64>) -> Option<(f64, f64)> {
    let all = after.all.checked_sub(before.all).filter(|all| *all > 0)? as f64;
    let idle = after.idle.saturating_sub(before.idle) as f64;
    let own = after.own.saturating_sub(before.own);
    let machine = ((idle + own as f64) / all, idle / all);
    let within = |used: u64, cores: f64| 1.0 - used as f64 / (passed.as_micros() as f64 * cores).max(1.0);
    let cgroup = before.cgroup.zip(after.cgroup).zip(cores).map(|((before, after), cores)| {
        let used = after.saturating_sub(before);
        (within(used.saturating_sub(own * TICK_US), cores), within(used, cores))
    });
    let (with_own, without) = cgroup.map_or(machine, |tighter| (machine.0.min(tighter.0), machine.1.min(tighter.1)));
    Some((with_own.clamp(0.0, 1.0), without.clamp(0.0, 1.0)))
}

fn now() -> Option<Counted> {
    let (all, idle) = machine(&fs::read_to_string("/proc/stat").ok()?)?;
    let own = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| process(&stat)).unwrap_or(0);
    let cgroup = cgroup_of_this_process().and_then(|folder| cgroup(&folder));
    Some(Counted { all, idle, own, cgroup })
}

/// All ticks and the idle ones, of the first line of `/proc/stat`. Waiting for a disk is idle; what the hypervisor took
/// is not.
fn machine(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // The ninth and tenth, guests, are in the first two already.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
    (ticks.len() >= 4).then(|| (ticks.iter().sum(), ticks[3] + ticks.get(4).unwrap_or(&0)))
}

/// The ticks of a process, of its `/proc/PID/stat`. Its name may hold anything, also brackets and blanks.
fn process(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

/// The microseconds that a cgroup, version 2, has used.
fn cgroup(folder: &Path) -> Option<u64> {
    let stat = fs::read_to_string(folder.join("cpu.stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
}

/// How many processors the cgroup may use, if that is limited.
pub fn allowed_processors() -> Option<f64> {
    quota(&fs::read_to_string(cgroup_of_this_process()?.join("cpu.max")).ok()?)
}

fn quota(max: &str) -> Option<f64> {
    let (quota, period) = max.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counted(all: u64, idle: u64, own: u64, cgroup: Option<u64>) -> Counted {
        Counted { all, idle, own, cgroup }
    }

    #[test]
    fn a_machine_of_two_that_idled_half_a_second_each_was_half_free() {
        let free = free(counted(1_000, 400, 0, None), counted(1_200, 500, 40, None), SECOND, None);
        assert_eq!(free, Some((0.7, 0.5)), "with its own 0.4 s counted as free, and without");
    }

    #[test]
    fn a_cgroups_quota_counts_where_it_leaves_less() {
        let after = counted(6_400, 6_000, 0, Some(1_500_000));
        let free = |cores| free(counted(0, 0, 0, Some(0)), after, SECOND, cores).unwrap().1;
        assert_eq!([free(Some(2.0)), free(None), free(Some(1.0))], [0.25, 0.9375, 0.0]);
    }

    #[test]
    fn no_time_says_nothing_and_a_counter_that_goes_back_is_no_load() {
        let one = counted(100, 50, 0, None);
        assert_eq!(free(one, one, SECOND, None), None);
        assert_eq!(free(counted(100, 90, 9, None), counted(200, 80, 5, None), SECOND, None), Some((0.0, 0.0)));
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(machine("cpu  10 1 5 80 4 0 0 0 7 0\ncpu0 1 2\n"), Some((100, 84)));
        assert_eq!(machine("cpu  many\n"), None);
        assert_eq!(process("7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 30 12 0 0"), Some(42));
        assert_eq!(process("7 (short) R"), None);
        assert_eq!([quota("150000 100000\n"), quota("max 100000"), quota("0 0")], [Some(1.5), None, None]);
    }
}
