//! Processors and memory.

use std::sync::Arc;

use convoke_runtime::machine::{KEPT_FREE, Memory, Meter, allowed_processors};

use super::bytes;
use crate::backends::doctor::{Check, State};

/// From which share on processors and memory count as busy: the design's alerts.
const BUSY: f64 = 0.80;
const USED: f64 = 0.75;

/// With less left, in bytes, no sandbox has room.
const LEAST: u64 = 128 << 20;

pub(super) async fn look() -> Vec<Check> {
    let meter = Arc::new(Meter::new());
    tokio::time::sleep(meter.ready_in()).await;
    let (free, _) = meter.before_a_run();
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        processors(count, allowed_processors(), free.map(|free| 1.0 - free)),
        memory(Memory::of_machine(), Memory::of_cgroup()),
    ]
}

fn processors(count: usize, allowed: Option<f64>, busy: Option<f64>) -> Check {
    let mut found = format!("{count} {}", if count == 1 { "processor" } else { "processors" });
    if let Some(allowed) = allowed.filter(|allowed| *allowed < count as f64) {
        found += &format!(", of which the cgroup allows {allowed:.1}");
    }
    if let Some(busy) = busy {
        found += &format!(", {:.0} % busy", busy * 100.0);
    }
    match busy {
        Some(busy) if busy > BUSY => Check::new("processors", State::Warn, found)
            .hint(Some("something else is at work: in balanced mode a run takes fewer instances meanwhile")),
        _ => Check::new("processors", State::Ok, found),
    }
}

fn memory(machine: Option<Memory>, group: Option<Memory>) -> Check {
    let Some(machine) = machine else {
        return Check::new("memory", State::Unsure, "how much there is can't be read here");
    };
    let part = |memory: Memory| format!("{} of {} free", bytes(memory.available), bytes(memory.total));
    let mut found = part(machine);
    if let Some(group) = group {
        found += &format!("; in the cgroup {}", part(group));
    }
    let tighter = group.filter(|group| group.available < machine.available).unwrap_or(machine);
    let check = |state| Check::new("memory", state, found.clone());
    if tighter.available < LEAST {
        check(State::Broken).hint(Some("sandboxes will not start: end something, or raise the cgroup's memory.max"))
    } else if tighter.free() < KEPT_FREE {
        check(State::Warn).hint(Some("less than a tenth is free: no further instances are started until more is"))
    } else if 1.0 - tighter.free() > USED {
        check(State::Warn).hint(Some("in balanced mode a run takes fewer instances while so much is in use"))
    } else {
        check(State::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn busy_processors_are_a_warning() {
        assert_eq!(processors(8, None, Some(0.3)).state, State::Ok);
        let busy = processors(8, Some(1.5), Some(0.93));
        assert_eq!(
            (busy.state, busy.found.as_str()),
            (State::Warn, "8 processors, of which the cgroup allows 1.5, 93 % busy")
        );
        assert!(busy.hint.is_some());
    }

    #[test]
    fn the_tighter_memory_decides() {
        let of = |total, available| Some(Memory { total: total * GIB, available: available * GIB });
        assert_eq!(memory(of(16, 8), None).state, State::Ok);
        assert_eq!(memory(of(16, 3), None).state, State::Warn, "more than three quarters are in use");
        assert_eq!(memory(of(16, 8), of(10, 0)).state, State::Broken);
        assert_eq!(memory(of(64, 6), None).state, State::Warn);
        assert_eq!(memory(None, None).state, State::Unsure);
        let found = memory(of(16, 8), of(4, 3)).found;
        assert_eq!(found, "8.0 GiB of 16.0 GiB free; in the cgroup 3.0 GiB of 4.0 GiB free");
    }
}
