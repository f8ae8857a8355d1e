//! What the machine has left. From `/proc` and the cgroup; unknown elsewhere, and then nothing is made of it.

mod processors;

use std::fs;
use std::path::{Path, PathBuf};

pub use processors::{Meter, allowed_processors};

/// The share of the memory that is kept free. The design's.
pub const KEPT_FREE: f64 = 0.10;

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All that may be used: the machine's, or less where the cgroup has a limit.
    pub total: u64,
    /// What is left of it.
    pub available: u64,
}

impl Memory {
    /// As it is now.
    pub fn now() -> Option<Self> {
        let machine = Self::of_machine()?;
        Some(Self::of_cgroup().map_or(machine, |cgroup| cgroup.min(machine)))
    }

    /// That of the whole machine.
    pub fn of_machine() -> Option<Self> {
        machine(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    /// What the cgroup allows; none: it has no limit.
    pub fn of_cgroup() -> Option<Self> {
        cgroup(&cgroup_of_this_process()?)
    }

    /// Whether that much more would leave less than [`KEPT_FREE`].
    pub fn is_short_for(&self, bytes: u64) -> bool {
        (self.available.saturating_sub(bytes) as f64) < self.total as f64 * KEPT_FREE
    }

    /// The share of it that is left.
    pub fn free(&self) -> f64 {
        self.available as f64 / self.total.max(1) as f64
    }

    /// The tighter one.
    fn min(self, other: Self) -> Self {
        if self.available <= other.available { self } else { other }
    }
}

fn machine(meminfo: &str) -> Option<Memory> {
    let kibibytes = |name: &str| {
        let line = meminfo.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some(Memory { total: kibibytes("MemTotal")? << 10, available: kibibytes("MemAvailable")? << 10 })
}

fn cgroup_of_this_process() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')))
}

/// The limit of a cgroup, version 2. What its files take in the cache can be given up, so it counts as left.
fn cgroup(folder: &Path) -> Option<Memory> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let total = number("memory.max")?;
    let files = fs::read_to_string(folder.join("memory.stat")).ok().and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?;
        line.trim().parse::<u64>().ok()
    });
    let used = number("memory.current")?.saturating_sub(files.unwrap_or(0));
    Some(Memory { total, available: total.saturating_sub(used) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read_from_its_own_words() {
        let memory = machine("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n").unwrap();
        assert_eq!(memory, Memory { total: 1_024_000, available: 409_600 });
        assert_eq!(machine("MemTotal: many kB"), None);
    }

    #[test]
    fn a_cgroups_limit_counts_where_it_is_tighter_and_what_can_be_given_up_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(cgroup(folder.path()), None, "no limit");
        write("memory.max", "1000\n");
        write("memory.stat", "anon 1\ninactive_file 200\n");
        let limited = cgroup(folder.path()).unwrap();
        assert_eq!(limited, Memory { total: 1_000, available: 500 });
        assert_eq!(limited.min(Memory { total: 9_000, available: 400 }).total, 9_000);
    }

    #[test]
    fn a_tenth_is_kept_free() {
        let memory = Memory { total: 1_000, available: 300 };
        assert!(!memory.is_short_for(200) && memory.is_short_for(201));
        assert!(memory.is_short_for(u64::MAX));
    }
}
