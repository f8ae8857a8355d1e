//! What a run does, drawn from a seed and its number.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::kind::Kind;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `agent-audit` over so many agents.
    Audit,
    /// The editing plugin over so many files.
    Editing,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The stand-in for the Messages API.
    Api,
    /// A program in place of `claude`.
    Claude,
}

/// When a fault happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// So long after the start.
    Millis(u64),
    /// When so many questions of the start have been answered; on the wire: at this one.
    Question(u64),
}

/// A fault of a start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) kind: Kind,
    pub(crate) when: When,
    /// A number that the fault may need: how much room there is, how far the clock jumps.
    pub(crate) amount: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) number: u64,
    pub(crate) command: Command,
    pub(crate) backend: Backend,
    pub(crate) items: usize,
    pub(crate) instances: usize,
    pub(crate) latency_ms: u64,
    /// Whether edits and actions are carried out.
    pub(crate) apply: bool,
    /// How many items have an action too.
    pub(crate) actions: usize,
    /// The faults of each start. After them come starts without.
    pub(crate) starts: Vec<Vec<Planned>>,
}

impl Scenario {
    /// The run with this number. Each kind comes first in turn, so that all of them come.
    pub(crate) fn of(seed: u64, number: u64, kind: Option<Kind>) -> Self {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let place = usize::try_from(number).unwrap_or_default() % Kind::ALL.len();
        let main = kind.unwrap_or(Kind::ALL[place]);
        let backend = match main {
            Kind::InstanceKilled => Backend::Claude,
            kind if kind.on_the_wire().is_some() => Backend::Api,
            _ if random.random_bool(0.2) => Backend::Claude,
            _ => Backend::Api,
        };
        let command = match main {
            // Only its answers have a schema.
            Kind::OffSchema => Command::Audit,
            kind if kind.needs_apply() => Command::Editing,
            _ if random.random_bool(0.5) => Command::Audit,
            _ => Command::Editing,
        };
        let items = match command {
            Command::Audit => random.random_range(8..=40),
            Command::Editing => random.random_range(5..=40),
        };
        let apply = command == Command::Editing && (main.needs_apply() || random.random_bool(0.6));
        let mut scenario = Self {
            number,
            command,
            backend,
            items,
            instances: random.random_range(2..=8),
            latency_ms: random.random_range(5..=50),
            apply,
            actions: if apply { random.random_range(1..=3) } else { 0 },
            starts: Vec::new(),
        };
        let starts = random.random_range(1..=3);
        let first = random.random_range(0..starts);
        for start in 0..starts {
            let kind = if start == first { main } else { scenario.another(&mut random) };
            // Before each further start half of the items are changed; the others may be done.
            let left = if start == 0 { scenario.items } else { scenario.items / 2 }.max(2) as u64;
            let mut faults = vec![scenario.planned(kind, left, &mut random)];
            if random.random_bool(0.4) {
                let more = scenario.another(&mut random);
                if faults.iter().all(|fault| fit(fault.kind, more)) {
                    faults.push(scenario.planned(more, left, &mut random));
                }
            }
            scenario.starts.push(faults);
        }
        scenario
    }

    /// Any fault that can happen here.
    fn another(&self, random: &mut StdRng) -> Kind {
        let able: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| self.can_have(*kind)).collect();
        *able.choose(random).expect("there are some")
    }

    fn can_have(&self, kind: Kind) -> bool {
        match kind {
            Kind::InstanceKilled => self.backend == Backend::Claude,
            Kind::OffSchema => self.backend == Backend::Api && self.command == Command::Audit,
            // It takes seconds of waiting: it comes in its turn.
            Kind::SilentStream => false,
            Kind::HostKilledInAction => self.actions > 0,
            kind if kind.needs_apply() => self.apply,
            kind => kind.on_the_wire().is_none() || self.backend == Backend::Api,
        }
    }

    fn planned(&self, kind: Kind, left: u64, random: &mut StdRng) -> Planned {
        // As long as it all takes where nothing goes wrong, give or take.
        let whole = 100 + self.latency_ms * left / self.instances as u64;
        let when = match kind {
            // In its own moment: so long after that has come.
            Kind::HostKilledInApply => When::Millis(random.random_range(0..=8)),
            Kind::HostKilledInAction => When::Millis(random.random_range(0..=40)),
            Kind::HostKilled => When::Millis(random.random_range(5..=whole)),
            Kind::TwoHosts => When::Millis(random.random_range(0..=whole / 2)),
            kind if kind.stops_the_host() && random.random_bool(0.3) => When::Millis(random.random_range(5..=whole)),
            _ => When::Question(random.random_range(1..=(left * 2 / 3).max(1))),
        };
        Planned { kind, when, amount: random.random_range(0..1_000) }
    }
}

/// Whether two faults can happen in one start, and it can still be said what each may cost.
fn fit(one: Kind, other: Kind) -> bool {
    // A third signal ends the host at once, as a kill does.
    let alike = |is: fn(Kind) -> bool| is(one) && is(other);
    one != other && !alike(Kind::takes_the_disk) && !alike(Kind::kills_the_host) && !alike(Kind::stops_the_host)
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, backend, items, instances, latency_ms, .. } = self;
        if self.apply {
            write!(f, "with {} actions, ", self.actions)?;
        }
        write!(f, "{command:?} of {items} items by {backend:?}, {instances} at once, {latency_ms} ms an answer")?;
        for (number, faults) in self.starts.iter().enumerate() {
            let shown: Vec<String> =
                faults.iter().map(|fault| format!("{} {:?}", fault.kind.name(), fault.when)).collect();
            write!(f, "; start {}: {}", number + 1, shown.join(" + "))?;
        }
        Ok(())
    }
}
