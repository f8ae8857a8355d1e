//! What the system lets a process have: open files, processes, memory maps, address space.

use std::fs;

use rustix::process::{Resource, geteuid, getrlimit};

use crate::backends::doctor::{Check, State};
use crate::config::Settings;
use crate::plugin::engine::{Engine, SANDBOXES};
use crate::report::words::thousands;

/// Files that a process has open whatever it does: its journal with log and lock, kept answers, sockets of the runtime.
const FILES: u64 = 64;

/// Files of the project that may be open at once, as the design says.
const PROJECT_FILES: u64 = 100;

/// What an instance takes: pipes to a program and its warden, or a connection.
const FILES_EACH: u64 = 8;

/// With fewer open files nothing goes.
const FEWEST_FILES: u64 = 128;

/// `claude` with its warden: threads count as processes.
const PROCESSES_EACH: u64 = 32;

/// With fewer not one instance starts.
const FEWEST_PROCESSES: u64 = 64;

/// Maps that a sandbox takes at most while it works, beyond what the pool takes when it is made.
const MAPS_EACH: u64 = 16;

/// Maps for threads and libraries that come later.
const MAPS_MORE: u64 = 256;

pub(super) fn look(settings: &Settings) -> Vec<Check> {
    let instances = u64::from(settings.limits.instances);
    let soft = |resource| getrlimit(resource).current;
    let before = maps_now();
    let engine = Engine::new(usize::try_from(settings.limits.plugin_memory).unwrap_or(usize::MAX));
    let after = maps_now();
    let most = fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    let pooled = engine.map(|engine| engine.is_pooled()).map_err(|error| error.to_string());
    let files = getrlimit(Resource::Nofile);
    vec![
        open_files(files.current, files.maximum, instances),
        processes(soft(Resource::Nproc), geteuid().is_root(), instances),
        sandboxes(&pooled),
        maps(most, before.zip(after)),
    ]
}

/// The maps of this process.
fn maps_now() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/maps").ok()?;
    u64::try_from(text.lines().count()).ok()
}

fn limited(limit: Option<u64>) -> String {
    limit.map_or_else(|| "no limit".to_owned(), thousands)
}

fn open_files(soft: Option<u64>, hard: Option<u64>, instances: u64) -> Check {
    let needed = FILES + PROJECT_FILES + FILES_EACH * instances;
    let found = format!("{} of at most {}; {instances} instances need about {needed}", limited(soft), limited(hard));
    let soft = soft.unwrap_or(u64::MAX);
    let (state, hint) = match soft {
        _ if soft >= needed => return Check::new("open files", State::Ok, found),
        _ if soft < FEWEST_FILES => (State::Broken, "nothing runs with so few"),
        _ => (State::Warn, "operations on files will fail when many run at once"),
    };
    let how = match hard {
        Some(hard) if hard < needed => {
            "raise LimitNOFILE of the service, or nofile in /etc/security/limits.conf".to_owned()
        }
        _ => format!("`ulimit -n {}` raises it", needed.next_power_of_two().max(1_024)),
    };
    Check::new("open files", state, found).hint(Some(format!("{hint}: {how}")))
}

fn processes(soft: Option<u64>, is_root: bool, instances: u64) -> Check {
    let needed = FEWEST_PROCESSES + PROCESSES_EACH * instances;
    let found = format!("{} for this user; {instances} instances of `claude` need about {needed}", limited(soft));
    let soft = soft.unwrap_or(u64::MAX);
    let how = format!("`ulimit -u {needed}` raises it; the backend `anthropic` starts none");
    match soft {
        // It does not hold for the superuser.
        _ if is_root || soft >= needed => Check::new("processes", State::Ok, found),
        _ if soft < FEWEST_PROCESSES => Check::new("processes", State::Broken, found)
            .hint(Some(format!("no instance of `claude` will start: {how}"))),
        _ => Check::new("processes", State::Warn, found).hint(Some(format!("not all instances will start: {how}"))),
    }
}

fn sandboxes(pooled: &Result<bool, String>) -> Check {
    match pooled {
        Ok(true) => Check::new("sandboxes", State::Ok, format!("a pool of {SANDBOXES}")),
        Ok(false) => Check::new("sandboxes", State::Warn, "the address space for a pool is refused: each is made anew")
            .hint(Some("`ulimit -v unlimited`, or more memory for the container, makes starts faster")),
        Err(error) => Check::new("sandboxes", State::Broken, error.clone())
            .hint(Some("no command can run: does the system forbid memory that is executed?")),
    }
}

/// `used`: before the pool was made, and after.
fn maps(most: Option<u64>, used: Option<(u64, u64)>) -> Check {
    let (Some(most), Some((before, after))) = (most, used) else {
        return Check::new("memory maps", State::Unsure, "their limit can't be read here");
    };
    let needed = after + MAPS_EACH * u64::from(SANDBOXES);
    let pool = thousands(after.saturating_sub(before));
    let found = format!("{} at most, of which the pool of sandboxes takes {pool}", thousands(most));
    let hint = format!("`sysctl vm.max_map_count={}` raises it", needed.next_power_of_two().max(65_536));
    match most {
        _ if most >= needed => Check::new("memory maps", State::Ok, found),
        _ if most < after + MAPS_MORE => Check::new("memory maps", State::Broken, found).hint(Some(hint)),
        _ => {
            Check::new("memory maps", State::Warn, found).hint(Some(format!("many sandboxes at once may fail: {hint}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_open_files_are_a_warning_and_a_handful_is_the_end() {
        assert_eq!(open_files(Some(1_024), Some(4_096), 8).state, State::Ok);
        assert_eq!(open_files(None, None, 100).state, State::Ok);
        let few = open_files(Some(256), Some(4_096), 100);
        assert_eq!(few.state, State::Warn);
        assert!(few.hint.unwrap().contains("`ulimit -n 1024` raises it"));
        let tiny = open_files(Some(64), Some(64), 8);
        assert_eq!((tiny.state, tiny.hint.unwrap().contains("limits.conf")), (State::Broken, true));
    }

    #[test]
    fn threads_of_instances_count_as_processes_but_for_the_superuser() {
        let states = [(Some(4_096), false), (Some(100), false), (Some(10), false), (Some(10), true), (None, false)];
        let states = states.map(|(soft, is_root)| processes(soft, is_root, 8).state);
        assert_eq!(states, [State::Ok, State::Warn, State::Broken, State::Ok, State::Ok]);
    }

    #[test]
    fn the_maps_of_the_pool_have_to_fit() {
        assert_eq!(maps(Some(65_530), Some((100, 3_000))).state, State::Ok);
        let tight = maps(Some(4_000), Some((100, 3_000)));
        assert_eq!(
            (tight.state, tight.found.as_str()),
            (State::Warn, "4,000 at most, of which the pool of sandboxes takes 2,900")
        );
        assert_eq!(maps(Some(3_000), Some((100, 3_000))).state, State::Broken);
        assert_eq!(maps(None, None).state, State::Unsure);
    }

    #[test]
    fn without_a_pool_it_goes_on_slower() {
        let states = [Ok(true), Ok(false), Err("forbidden".to_owned())].map(|pooled| sandboxes(&pooled).state);
        assert_eq!(states, [State::Ok, State::Warn, State::Broken]);
    }
}
