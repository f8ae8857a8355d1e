//! The warden: a small process that is parent of one program and ends it, with all that it started, when the host goes.
//!
//! The host starts its own binary as `__warden`, and that starts the program. The warden passes the host's input on; when
//! that input ends, because the host closed it or was killed, the warden ends the whole tree: a short grace, SIGTERM,
//! a grace again, SIGKILL. It is the tree's *subreaper*: what leaves its parent, or its process group, becomes the warden's
//! child, and is found. What the program prints goes to the host directly.
//!
//! It watches the tree's memory, bounds its CPU time, and writes a [`Record`] by which the next host can end what a
//! killed warden has left: by process id and start time, never by name. An exit code can't say everything: what else there
//! is to know of the end stands in a file of the slot ([`trouble`]).
//!
//! Only Linux has subreapers and `/proc`. Elsewhere the program's process group is ended, and nothing is reaped later.

mod record;
pub mod tree;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, getppid, setrlimit, wait};

pub use record::{Left, Reaped, Record, SLOT_PREFIX, look, reap};

/// The hidden subcommand.
pub const COMMAND: &str = "__warden";

/// The exit code where the program could not be started.
pub const NOT_STARTED: u8 = 127;

/// The file of a slot in which a warden says what an exit code can't.
const TROUBLE: &str = "trouble";

/// How long a program may take to end by itself once its input has ended.
const QUIET_END: Duration = Duration::from_millis(250);

/// How long it may take after SIGTERM. With [`QUIET_END`]: nothing is left a good second after the host.
const GRACE: Duration = Duration::from_millis(750);

/// How often it looks whether the host is still there.
const LOOK: Duration = Duration::from_millis(500);

/// How often it adds up the memory of the tree: that reads a file of every process of the machine.
const WEIGH: Duration = Duration::from_secs(2);

/// Stands for the input of the host in a command line.
const PASSED_ON: &str = "-";

const MIB: u64 = 1024 * 1024;

/// What a warden starts, and what it lets it have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Where its record is written.
    pub record: PathBuf,
    /// The folder that goes when the program has gone; it is named in the record only.
    pub slot: PathBuf,
    /// The memory of the tree, in MiB. Above it the tree is ended.
    pub memory_mib: u64,
    /// The CPU time of each process, in seconds.
    pub cpu_s: u64,
    /// The file that is the program's input; none: what the host writes is passed on to it.
    pub input: Option<PathBuf>,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Charge {
    /// The arguments that make our binary a warden.
    pub fn command_line(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![
            COMMAND.into(),
            self.record.clone().into(),
            self.slot.clone().into(),
            self.memory_mib.to_string().into(),
            self.cpu_s.to_string().into(),
            self.input.clone().map_or_else(|| PASSED_ON.into(), OsString::from),
            self.program.clone(),
        ];
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// Reads what [`command_line`](Self::command_line) wrote, without the subcommand's name.
    pub fn parse(line: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut line = line.into_iter();
        let number = |text: OsString| text.to_str().and_then(|text| text.parse().ok());
        Some(Self {
            record: line.next()?.into(),
            slot: line.next()?.into(),
            memory_mib: line.next().and_then(number)?,
            cpu_s: line.next().and_then(number)?,
            input: line.next().map(|input| (input != PASSED_ON).then(|| input.into()))?,
            program: line.next()?,
            arguments: line.collect(),
        })
    }
}

/// What a warden hears of.
enum Event {
    /// The host's input has ended.
    HostGone,
    /// The program has ended.
    Ended(ExitStatus),
    /// Nothing of the tree is left.
    Empty,
}

/// Is a warden until its tree is gone; the exit code is the program's, or 128 and its signal.
pub fn run(line: impl IntoIterator<Item = OsString>) -> u8 {
    let Some(charge) = Charge::parse(line) else {
        say("this is for convoke's own use");
        return 2;
    };
    let host = getppid();
    // Without it, a stray process of the tree is not found: then better no tree.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        say(&format!("can't become a subreaper: {error}"));
        return 1;
    }
    // Away from the user's terminal, to which the program could write and from which it could read. Not where the host
    // has made the warden the first of a group of processes: then that terminal has another group in front.
    let _ = rustix::process::setsid();
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Cpu, limit(charge.cpu_s));
    let input = match charge.input.as_ref().map_or(Ok(Stdio::piped()), |file| File::open(file).map(Stdio::from)) {
        Ok(input) => input,
        Err(error) => {
            say(&format!("can't read the input: {error}"));
            return NOT_STARTED;
        }
    };
    let spawned = Command::new(&charge.program).args(&charge.arguments).stdin(input).process_group(0).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let why = format!("can't start {}: {error}", charge.program.to_string_lossy());
            say(&why);
            note(&charge.slot, &why);
            return NOT_STARTED;
        }
    };
    let program = child.id();
    // The host must hear at once when the program closes its output: only the program holds it from here on.
    let _ = std::fs::File::open("/dev/null").map(|null| rustix::stdio::dup2_stdout(&null));
    if let Err(error) = Record::of(program, &charge.slot).write(&charge.record) {
        say(&format!("can't write {}: {error}", charge.record.display()));
    }
    let (events, heard) = channel();
    let (input, told) = (child.stdin.take(), events.clone());
    std::thread::spawn(move || pass_on(input, &told));
    std::thread::spawn(move || wait_for_all(program, &events));
    let code = watch_over(&heard, host, program, &charge);
    let _ = std::fs::remove_file(&charge.record);
    code
}

/// Passes the host's input on to the program until it ends; where the program has another, that is only waited for.
fn pass_on(mut input: Option<ChildStdin>, events: &Sender<Event>) {
    let mut from = std::io::stdin().lock();
    let mut buffer = vec![0; 64 * 1024];
    let mut open = true;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            // A program that reads no more has ended, or will be; the host's end still has to be seen.
            Ok(count) => {
                let pass = |input: &mut ChildStdin| input.write_all(&buffer[..count]).and_then(|()| input.flush());
                open = open && input.as_mut().is_some_and(|input| pass(input).is_ok());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    drop(input);
    let _ = events.send(Event::HostGone);
}

/// Reaps every child, adopted ones too.
fn wait_for_all(program: u32, events: &Sender<Event>) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == program => {
                let _ = events.send(Event::Ended(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let _ = events.send(Event::Empty);
}

fn watch_over(heard: &Receiver<Event>, host: Option<Pid>, program: u32, charge: &Charge) -> u8 {
    let memory_mib = charge.memory_mib;
    let mut code = 0;
    let mut weighed = Instant::now();
    // What is done next to end the tree, and when.
    let mut next: Option<(Instant, Signal)> = None;
    loop {
        let wake = next.map_or(LOOK, |(when, _)| when.saturating_duration_since(Instant::now()).min(LOOK));
        match heard.recv_timeout(wake) {
            Ok(Event::Empty) | Err(RecvTimeoutError::Disconnected) => return code,
            Ok(Event::HostGone) if next.is_none() => next = Some((Instant::now() + QUIET_END, Signal::TERM)),
            Ok(Event::HostGone) => {}
            Ok(Event::Ended(status)) => {
                code = exit_code(status);
                if let Some(signal) = status.signal() {
                    note(&charge.slot, &format!("it was ended by signal {signal}"));
                }
                next = Some((Instant::now(), Signal::TERM));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        // A program that doesn't read keeps the end of the input from being seen: then the parent tells.
        if next.is_none() && getppid() != host {
            next = Some((Instant::now(), Signal::TERM));
        }
        if weighed.elapsed() >= WEIGH {
            weighed = Instant::now();
            let used = tree::memory(std::process::id()) / MIB;
            if used > memory_mib {
                let why =
                    format!("its processes used {used} MiB of memory, more than {memory_mib} MiB: they were ended");
                say(&why);
                note(&charge.slot, &why);
                end_tree(program, Signal::KILL);
            }
        }
        if let Some((when, signal)) = next
            && Instant::now() >= when
        {
            end_tree(program, signal);
            // New ones may have come meanwhile: again and again, until none is left.
            let wait = if signal == Signal::TERM { GRACE } else { Duration::from_millis(20) };
            next = Some((Instant::now() + wait, Signal::KILL));
        }
    }
}

fn end_tree(program: u32, signal: Signal) {
    let doomed = tree::descendants(std::process::id());
    for pid in &doomed {
        tree::send(*pid, signal);
    }
    // A process that starts the next and ends is gone before its id is used. A group is met as it is at that moment: but
    // only one that is the tree's own, because a process can join any of its session.
    let groups: BTreeSet<u32> = doomed.iter().filter_map(|pid| tree::group(*pid)).collect();
    for group in groups.into_iter().filter(|group| *group == program || doomed.contains(group)) {
        tree::send_group(group, signal);
    }
    if cfg!(not(target_os = "linux")) {
        tree::send_group(program, signal);
    }
}

/// Ends the program of a warden that doesn't do so itself, with all that it started: its id, if it lives, and its record.
pub fn overrule(warden: Option<u32>, record: &Path) {
    let doomed = warden.map_or_else(Vec::new, tree::descendants);
    for pid in Record::program(record).into_iter().chain(doomed) {
        tree::send(pid, Signal::KILL);
    }
    let _ = std::fs::remove_file(record);
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// What an exit code can't say of a program's end: it was not started, or was ended by a signal, or used too much. A part
/// of a sentence; none: there is nothing.
pub fn trouble(slot: &Path) -> Option<String> {
    std::fs::read_to_string(slot.join(TROUBLE)).ok()
}

/// Writes it down. The first is the reason of all others.
fn note(slot: &Path, trouble: &str) {
    if let Ok(mut file) = File::create_new(slot.join(TROUBLE)) {
        let _ = file.write_all(trouble.as_bytes());
    }
}

/// To the host, which keeps the end of what it reads here.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "convoke: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_reads_its_own_command_line() {
        let charge = Charge {
            record: "/a/record.json".into(),
            slot: "/tmp/convoke-x".into(),
            memory_mib: 1_024,
            cpu_s: 600,
            input: None,
            program: "/usr/bin/claude".into(),
            arguments: vec!["-p".into(), "".into()],
        };
        for charge in [Charge { input: Some("/tmp/convoke-x/input".into()), ..charge.clone() }, charge] {
            let line = charge.command_line();
            assert_eq!(line[0], COMMAND);
            assert_eq!(Charge::parse(line.into_iter().skip(1)), Some(charge));
        }
    }

    #[test]
    fn all_is_over_two_seconds_after_the_host() {
        assert!(QUIET_END + GRACE < Duration::from_secs(2), "its input ended");
        assert!(LOOK + GRACE < Duration::from_secs(2), "its parent is another");
    }

    #[test]
    fn a_line_that_is_none_of_ours_is_refused() {
        for line in [vec![], vec!["/a", "/b", "many", "1", "program"], vec!["/a", "/b", "1", "1", "-"]] {
            assert_eq!(Charge::parse(line.iter().map(OsString::from)), None, "{line:?}");
        }
    }
}
