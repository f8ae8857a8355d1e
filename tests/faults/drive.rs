//! One run: starts with faults, then without, and the checks after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::asked::Answering;
use crate::check::{self, Ended, Sent, Start};
use crate::edits::{self, Edits, Standing};
use crate::journal::{self, Journal, Ledger};
use crate::kind::Kind;
use crate::mounts;
use crate::scenario::{Backend, Command, Planned, Scenario, When};
use crate::world::{self, End, Host, World};
use rustix::process::{Pid, Signal};

/// Longer than any start takes, also on a machine with much else to do: a breaker that opens three times rests for three
/// minutes.
const DEADLINE: Duration = Duration::from_secs(300);

/// How long what a host has left may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What did not hold.
    pub(crate) violations: Vec<String>,
    /// The faults, and whether each was really met.
    pub(crate) faults: Vec<(Kind, bool)>,
    /// How often convoke was started.
    pub(crate) starts: u64,
    /// How many questions were asked.
    pub(crate) asked: u64,
    /// Where it is kept, where something did not hold.
    pub(crate) kept: Option<PathBuf>,
}

/// Does a run.
pub(crate) async fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let mut drive = Drive::new(scenario, seed).await;
    for (number, faults) in scenario.starts.iter().enumerate() {
        if number > 0 {
            drive.change(number);
        }
        drive.start(faults).await;
    }
    drive.finish().await;
    if !drive.outcome.violations.is_empty() {
        drive.outcome.kept = Some(drive.world.keep(&format!("run-{seed}-{}", scenario.number)));
    }
    drive.outcome
}

struct Drive<'a> {
    scenario: &'a Scenario,
    world: World,
    answering: Answering,
    edits: Option<Edits>,
    /// The items that were changed, and how many runs there were before.
    renewed: BTreeMap<String, usize>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    outcome: Outcome,
}

/// A fault that waits for its moment.
struct Waiting {
    kind: Kind,
    when: When,
    /// When its moment came, or its first signal was sent.
    begun: Option<Instant>,
    over: bool,
}

impl<'a> Drive<'a> {
    async fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let mut world = World::new();
        let all = || scenario.starts.iter().flatten();
        if mounts::can_mount() && all().any(|fault| fault.kind.takes_the_disk()) {
            world.mount_data();
        }
        configure(&world, all().any(|fault| fault.kind == Kind::SilentStream), scenario.actions > 0);
        let mut arguments = Vec::new();
        let mut edits = None;
        match scenario.command {
            Command::Audit => {
                world::agents(&world, scenario.items);
                arguments.push("agent-audit".to_owned());
            }
            Command::Editing => {
                edits = Some(Edits::make(&world, scenario.items, scenario.actions));
                arguments.push(world::repository().join("tests/prebuilt/editing.wasm").display().to_string());
            }
        }
        if scenario.apply {
            arguments.extend(["--apply", "--yes"].map(str::to_owned));
        }
        let instances = scenario.instances.to_string();
        arguments.extend(["--format", "json", "--instances", &instances].map(str::to_owned));
        let answering = match scenario.backend {
            Backend::Api => Answering::api(scenario.latency_ms, seed ^ scenario.number).await,
            Backend::Claude => {
                arguments.extend(["--backend", "claude-cli"].map(str::to_owned));
                world::claude(&world, scenario.command, scenario.latency_ms);
                Answering::Claude(world.path("claude"))
            }
        };
        let environment = vec![answering.environment()];
        Self {
            scenario,
            world,
            answering,
            edits,
            renewed: BTreeMap::new(),
            arguments,
            environment,
            outcome: Outcome::default(),
        }
    }

    fn journal(&self) -> PathBuf {
        self.world.path("data/journal.db")
    }

    /// Changes half of the items, so that there is something to do again.
    fn change(&mut self, changes: usize) {
        let numbers: Vec<usize> = (0..self.scenario.items).filter(|number| number % 2 == changes % 2).collect();
        let runs = Journal::read(&self.journal()).runs.len();
        self.renewed.extend(numbers.iter().map(|number| (world::mark(*number), runs)));
        match &mut self.edits {
            Some(edits) => edits.change(&self.world, &numbers, changes),
            None => numbers.iter().for_each(|number| world::agent(&self.world, *number, changes)),
        }
    }

    fn wrong(&mut self, what: impl std::fmt::Display) {
        self.outcome.violations.push(format!("start {}: {what}", self.outcome.starts));
    }

    /// Starts convoke, with these faults, and checks what comes of it.
    async fn start(&mut self, faults: &[Planned]) -> Vec<Ended> {
        self.outcome.starts += 1;
        let mut met: Vec<Kind> = Vec::new();
        let data = self.world.path("data");
        for fault in faults.iter().filter(|fault| fault.kind == Kind::ClockJump) {
            const JUMPS: [i64; 6] = [3_600, 86_400, 400 * 86_400, -3_600, -86_400, -9 * 86_400];
            let seconds = JUMPS[fault.amount as usize % JUMPS.len()];
            if journal::shift(&self.journal(), seconds) > 0 {
                met.push(Kind::ClockJump);
            }
        }
        let before = Journal::read(&self.journal());
        let files_before = self.files();
        // An item whose file was changed is another one.
        let stands = |mark: &&String| check::stands(&before, &self.renewed, mark) && !files_before.new.contains(*mark);
        let done_before: BTreeSet<String> = before.done.keys().filter(stands).cloned().collect();
        let project = self.world.path("project");
        self.answering.begin(faults);
        for fault in faults {
            match fault.kind {
                Kind::DiskFull if mounts::can_mount() => mounts::leave(&data, (fault.amount % 100 + 1) * 4_096),
                Kind::DataReadOnly => mounts::set_writable(&data, false),
                Kind::ProjectReadOnly if mounts::can_mount() => mounts::set_read_only(&project, true),
                _ => {}
            }
        }

        let hosts = self.hosts(faults, &files_before, &mut met).await;

        for fault in faults {
            match fault.kind {
                Kind::DiskFull if mounts::can_mount() => mounts::enlarge(&data),
                Kind::DataReadOnly => mounts::set_writable(&data, true),
                Kind::ProjectReadOnly if mounts::can_mount() => mounts::set_read_only(&project, false),
                _ => {}
            }
            let stopped = |host: &Ended| host.end != End::Code(0);
            if (fault.kind.takes_the_disk() || fault.kind == Kind::ProjectReadOnly) && hosts.iter().any(stopped) {
                met.push(fault.kind);
            }
        }
        self.wait_for_quiet().await;

        let asked = self.answering.asked();
        let journal = Journal::read(&self.journal());
        let ledger = Ledger::since(&self.journal(), before.last_question);
        let kinds: Vec<Kind> = faults.iter().map(|fault| fault.kind).collect();
        met.extend(kinds.iter().filter(|kind| asked.iter().any(|asked| asked.fault == Some(**kind))));
        self.outcome.faults.extend(kinds.iter().map(|kind| (*kind, met.contains(kind))));
        self.outcome.asked += asked.len() as u64;
        let wrong = check::start(&Start {
            faults: &kinds,
            instances: self.scenario.instances,
            hosts: &hosts,
            asked: &asked,
            done_before: &done_before,
            renewed: &self.renewed,
            journal: &journal,
            ledger: &ledger,
            is_billed: self.scenario.backend == Backend::Api,
            applies: self.scenario.apply,
        });
        for what in wrong {
            self.wrong(what);
        }
        self.check_files(&files_before, &hosts, &journal).await;
        hosts
    }

    /// Starts the hosts and does to them what is planned.
    async fn hosts(&mut self, faults: &[Planned], files_before: &Standing, met: &mut Vec<Kind>) -> Vec<Ended> {
        let started = Instant::now();
        let number = self.outcome.starts;
        let begun_before = edits::begun(&self.world).len();
        let host = |name: String| self.world.start(&name, &self.arguments, &self.environment);
        let mut hosts: Vec<(Host, Vec<Sent>)> = vec![(host(format!("{number}")), Vec::new())];
        let mut waiting: Vec<Waiting> = faults
            .iter()
            .map(|fault| Waiting { kind: fault.kind, when: fault.when, begun: None, over: false })
            .collect();
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        loop {
            ticks.tick().await;
            for fault in waiting.iter_mut().filter(|fault| !fault.over) {
                let moment = match fault.kind {
                    Kind::HostKilledInApply => {
                        Some(self.edits.as_ref().is_some_and(|edits| edits.has_begun(&self.world, files_before)))
                    }
                    Kind::HostKilledInAction => Some(edits::begun(&self.world).len() > begun_before),
                    _ => None,
                };
                if moment == Some(true) && fault.begun.is_none() {
                    fault.begun = Some(Instant::now());
                }
                let now = match fault.when {
                    When::Millis(wait) if moment.is_some() => {
                        fault.begun.is_some_and(|begun| begun.elapsed() >= Duration::from_millis(wait))
                    }
                    When::Millis(wait) => started.elapsed() >= Duration::from_millis(wait),
                    When::Question(number) => self.answering.answered() >= number,
                };
                if !now {
                    continue;
                }
                let (first, signals) = &mut hosts[0];
                let mut send = |signal: Signal| {
                    let asked = !self.answering.asked().is_empty();
                    let sent = first.signal(signal);
                    signals.extend(sent.then_some(Sent { signal: signal.as_raw(), asked }));
                    sent
                };
                let is_met = match fault.kind {
                    Kind::HostKilled
                    | Kind::HostKilledAtAnswer
                    | Kind::HostKilledInApply
                    | Kind::HostKilledInAction => {
                        fault.over = true;
                        send(Signal::KILL)
                    }
                    Kind::Terminated => {
                        fault.over = true;
                        send(Signal::TERM)
                    }
                    Kind::HungUp => {
                        fault.over = true;
                        send(Signal::HUP)
                    }
                    Kind::Interrupted => {
                        fault.over = true;
                        send(Signal::INT)
                    }
                    Kind::InterruptedTwice => match fault.begun {
                        None => {
                            fault.begun = Some(Instant::now());
                            fault.over = !send(Signal::INT);
                            false
                        }
                        Some(begun) if begun.elapsed() > Duration::from_millis(15) => {
                            fault.over = true;
                            send(Signal::INT)
                        }
                        Some(_) => false,
                    },
                    Kind::InstanceKilled => match self.answering.instances().first() {
                        Some(pid) => {
                            fault.over = true;
                            let pid = Pid::from_raw(i32::try_from(*pid).expect("a pid")).expect("a pid");
                            rustix::process::kill_process(pid, Signal::KILL).is_ok()
                        }
                        None => false,
                    },
                    Kind::TwoHosts => {
                        fault.over = true;
                        let second = self.world.start(&format!("{number}-second"), &self.arguments, &self.environment);
                        let both = hosts[0].0.ended().is_none();
                        hosts.push((second, Vec::new()));
                        both
                    }
                    _ => {
                        fault.over = true;
                        false
                    }
                };
                if is_met {
                    met.push(fault.kind);
                }
            }
            let all_ended = hosts.iter_mut().all(|(host, _)| host.ended().is_some());
            if all_ended
                && !waiting
                    .iter()
                    .any(|fault| fault.kind == Kind::TwoHosts && !fault.over && matches!(fault.when, When::Millis(_)))
            {
                break;
            }
            if started.elapsed() > DEADLINE {
                let said = hosts.iter().map(|(host, _)| check::tail(&host.stderr())).collect::<Vec<_>>().join(" // ");
                for (host, signals) in &mut hosts {
                    if host.signal(Signal::KILL) {
                        signals.push(Sent { signal: Signal::KILL.as_raw(), asked: true });
                    }
                }
                self.wrong(format!("it hangs: {said}"));
                while !hosts.iter_mut().all(|(host, _)| host.ended().is_some()) {
                    ticks.tick().await;
                }
                break;
            }
        }
        let ended = |(mut host, signals): (Host, Vec<Sent>)| Ended {
            end: host.ended().unwrap_or(End::Signal(0)),
            signals,
            stdout: host.stdout(),
            stderr: host.stderr(),
        };
        hosts.into_iter().map(ended).collect()
    }

    /// Waits until what the hosts had begun is over. What stays is an orphan.
    async fn wait_for_quiet(&mut self) {
        let since = Instant::now();
        loop {
            let left = processes(&self.world);
            if left.is_empty() && self.answering.is_quiet() {
                return;
            }
            if since.elapsed() > GRACE {
                match left.is_empty() {
                    true => self.wrong("a request stays open"),
                    false => self.wrong(format!("processes are left: {left:?}")),
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Does what the user does: of actions whose end nobody knows they say that they are done.
    async fn settle_actions(&mut self) {
        let keys = self.edits.as_ref().map(|edits| edits.actions.clone()).unwrap_or_default();
        for key in &keys {
            let arguments = ["actions", "settle", key.as_str(), "done"];
            let mut host = self.world.start("settle", &arguments, &self.environment);
            // Those whose end is known are refused, and stay as they are.
            while host.ended().is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// How the files stand.
    fn files(&self) -> Standing {
        self.edits.as_ref().map(|edits| edits.look(&self.world)).unwrap_or_default()
    }

    /// Edits are made all or none, each whole; actions at most once.
    async fn check_files(&mut self, before: &Standing, hosts: &[Ended], journal: &Journal) {
        let killed = hosts.iter().any(|host| host.end == End::Signal(9));
        let at_once = self.files();
        if killed && self.scenario.apply {
            // What it has left half done, the next run of any command finishes or undoes: one that has nothing to do.
            let nothing = [self.arguments[0].as_str(), "none.json", "--format", "json"];
            let mut next = self.world.start(&format!("{}-next", self.outcome.starts), &nothing, &self.environment);
            while next.ended().is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if next.ended() != Some(End::Code(0)) {
                self.wrong(format!("the next start: {:?}; it says: {}", next.ended(), check::tail(&next.stderr())));
            }
        }
        // Who stops a run twice ends the action that is under way, too.
        let stopped = hosts.iter().any(|host| host.end == End::Code(130));
        if (killed || stopped) && self.scenario.apply {
            self.settle_actions().await;
        }
        let after = self.files();
        for broken in at_once.broken.iter().chain(&after.broken) {
            self.wrong(format!("{broken} is neither as it was nor as it is to be"));
        }
        for left in &after.left {
            self.wrong(format!("{left} is left"));
        }
        for what in check::files(self.scenario.apply, before, &after, hosts, journal) {
            self.wrong(what);
        }
        for (key, times) in edits::begun(&self.world) {
            if times > 1 {
                self.wrong(format!("the action {key} was begun {times} times"));
            }
        }
    }

    /// Without faults it comes to its end at once, and then there is nothing left to do.
    async fn finish(&mut self) {
        let items = self.scenario.items as u64;
        // What was edited is looked at once more, for its files are others.
        let rounds = if self.scenario.apply { &["the rest", "once more", "again"][..] } else { &["the rest", "again"] };
        for round in rounds.iter().copied() {
            let asked = self.outcome.asked;
            let hosts = self.start(&[]).await;
            let report = hosts.first().and_then(Ended::report).unwrap_or_default();
            let (census, status) = (&report["census"], &report["status"]);
            let count = |name: &str| census[name].as_u64().unwrap_or_default();
            if status != "completed" || count("items") != items || count("done") + count("cached") != items {
                let said = hosts.first().map(|host| check::tail(&host.stderr)).unwrap_or_default();
                self.wrong(format!("{round}: of {items} items {census}, {status}; it says: {said}"));
            }
            let files = self.files();
            if self.scenario.apply && files.new.len() as u64 != items {
                self.wrong(format!("{round}: {} of {items} files are edited", files.new.len()));
            }
            let acted = edits::begun(&self.world);
            let actions = self.edits.as_ref().map(|edits| edits.actions.clone()).unwrap_or_default();
            for key in actions.iter().filter(|key| !acted.contains_key(*key)) {
                // Where its host was killed, or stopped twice, nobody knows whether it was begun: the user has said so.
                let ends_it = |kind: Kind| kind.kills_the_host() || kind == Kind::InterruptedTwice;
                if !self.scenario.starts.iter().flatten().any(|fault| ends_it(fault.kind)) {
                    self.wrong(format!("{round}: the action {key} was not carried out"));
                }
            }
            if round == "again" && (count("cached") != items || self.outcome.asked != asked) {
                self.wrong(format!("all was done, and it is done again: {census}"));
            }
        }
    }
}

/// The defaults, but for waits of a minute.
fn configure(world: &World, stalls: bool, acts: bool) {
    let policy = "version = 1\nname = \"quick\"\n[adapt]\npause_s = 1\n[recover]\nbase_ms = 100\n";
    world.write("config/quick.toml", policy);
    let path = world.path("config/quick.toml").display().to_string();
    let limits = if stalls { "[limits]\nstall_timeout_s = 2\n" } else { "" };
    let actions = if acts { "[actions]\nallow = [\"note\"]\n" } else { "" };
    world.write("config/config.toml", format!("version = 1\n{limits}{actions}[policy]\nuse = {path:?}\n"));
}

/// The processes that belong to a world: by what they were started with, or where.
fn processes(world: &World) -> Vec<String> {
    let root = world.root().as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        let holds = |bytes: &[u8]| bytes.windows(root.len()).any(|window| window == root);
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let within = fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder.starts_with(world.root()));
        // One that has ended, and that nobody has waited for yet, has no command line.
        if !line.is_empty() && (holds(&line) || within) {
            found.push(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}
