//! Processes by their ids: who descends from whom, since when one lives, and what they take. From `/proc`, so empty
//! where there is none.

use std::collections::HashMap;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// All that descend from a process, itself not included, the nearest first.
pub fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in all() {
        if let Some(parent) = stat(pid, 1).and_then(|parent| u32::try_from(parent).ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// The memory that all descendants of a process hold together, in bytes: their resident sets, so that what they share
/// counts more than once.
pub fn memory(root: u32) -> u64 {
    descendants(root).into_iter().map(resident).sum()
}

/// The resident memory of a process, in bytes.
pub fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

/// When a process was started, in the kernel's ticks since it booted: with the id, it names one process. None: there is
/// no such process, or it has ended and only waits to be reaped.
pub fn started(pid: u32) -> Option<u64> {
    if state(pid)? == 'Z' {
        return None;
    }
    stat(pid, 19)
}

/// Whether a process was stopped by a signal, and goes on only by another one.
pub fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// Names the kernel's present run: process ids and start times mean nothing after it.
pub fn boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// Sends a signal; a process that is gone needs none.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Sends a signal to all of a group of processes at the same moment.
pub fn send_group(group: u32, signal: Signal) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

/// The group that a process belongs to. None: it is gone.
pub fn group(pid: u32) -> Option<u32> {
    u32::try_from(stat(pid, 2)?).ok()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A number of `/proc/PID/stat`, counted from the one after the state. The program's name before it may hold anything.
fn stat(pid: u32, index: usize) -> Option<u64> {
    after_name(pid)?.split_whitespace().nth(index)?.parse().ok()
}

fn state(pid: u32) -> Option<char> {
    after_name(pid)?.trim_start().chars().next()
}

fn after_name(pid: u32) -> Option<String> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    Some(text.rsplit_once(')')?.1.to_owned())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_is_a_descendant_with_a_start_and_memory_until_it_has_ended() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        assert!(descendants(std::process::id()).contains(&pid));
        assert!(started(pid).is_some() && memory(std::process::id()) > 0);
        assert_eq!(started(pid), started(pid));
        assert!(!is_stopped(pid));
        send(pid, Signal::STOP);
        while !is_stopped(pid) {
            std::thread::yield_now();
        }
        send(pid, Signal::KILL);
        child.wait().unwrap();
        assert_eq!(started(pid), None);
        assert!(!descendants(std::process::id()).contains(&pid));
    }

    #[test]
    fn the_kernel_names_its_run() {
        assert!(boot().is_some_and(|boot| boot.len() > 8));
    }
}
