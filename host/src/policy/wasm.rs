//! A policy that is a component of the world `convoke:policy/policy`.
//!
//! It has an engine of its own, without async and without WASI: all that it can do besides deciding is to write log
//! lines. A decision has so much fuel and memory; what uses up one of them is a [`Fault`], and the next decision begins
//! with a fresh instance. Fuel alone bounds its time: instructions that move much memory at once are paid by the byte, and
//! so is each log line.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use convoke_policy::{Decision, Description, Facts, VERSION};
use convoke_runtime::event::Events;
use convoke_runtime::policy::{Fault, Foreign};
use wasmtime::component::{Component, ComponentType, InstancePre, Lift, Linker, TypedFunc};
use wasmtime::{Config, Engine, Store, StoreContextMut, StoreLimits, StoreLimitsBuilder, Trap};

use super::PolicyError;
use crate::plugin::engine::compiled;
use crate::plugin::inspect::{self, Name};
use crate::plugin::{Log, printable, sha256_hex};

/// The largest component. Bytes. One in Rust has 0.3 MB.
pub const MOST_BYTES: u64 = 4 << 20;

/// What a call may execute, in wasmtime's units of fuel, about one an instruction. A decision of the examples takes some
/// ten thousand; this is some milliseconds.
const FUEL: u64 = 10_000_000;

/// The most memory, in bytes. One in Rust begins with 1.06 MiB.
const MEMORY: usize = 16 << 20;

/// The longest text that a policy can hand over, in bytes: an answer, or a log line.
const TEXT: usize = 64 << 10;

/// What a log line costs of the fuel: so a call writes at most a hundred.
const LOG_FUEL: u64 = FUEL / 100;

/// The package of the contract.
const PACKAGE: &str = "convoke:policy";
/// Its version that this host was made with. A test compares it with `wit/policy`.
const PACKAGE_VERSION: &str = "0.1.0";
const LOG: &str = "log";
const DECISIONS: &str = "decisions";

/// A component that decides. What it logs is kept for its next failure.
///
/// # Errors
/// See [`PolicyError`].
pub fn load(bytes: &[u8], name: &str) -> Result<Box<dyn Foreign>, PolicyError> {
    Ok(Box::new(WasmPolicy::new(bytes, name, None, None)?))
}

/// A component that decides.
pub struct WasmPolicy {
    description: Description,
    instance: InstancePre<State>,
    functions: Functions,
    /// The last instance, unless it failed. One decision at a time: each takes microseconds.
    running: Mutex<Option<Running>>,
    log: Log,
}

/// Where the exports stand.
#[derive(Clone, Copy)]
struct Functions {
    describe: wasmtime::component::ComponentExportIndex,
    decide: wasmtime::component::ComponentExportIndex,
}

struct Running {
    store: Store<State>,
    describe: TypedFunc<(), (String,)>,
    decide: TypedFunc<(String,), (Result<String, String>,)>,
}

struct State {
    limits: StoreLimits,
    log: Log,
}

/// `level` of `wit/policy`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "only a component makes one")]
enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Why there is no instance.
enum NotStarted {
    /// Its functions have other types.
    Misfit(wasmtime::Error),
    Failed(Fault),
}

impl WasmPolicy {
    /// Compiles a component, starts it and asks what it is. `name` is for messages. What was compiled is kept in `cache`,
    /// which is made readable for this user only. Its log lines are told to `events`.
    ///
    /// # Errors
    /// See [`PolicyError`]: it is no component, no policy, imports more than the log, does not fit, or was built for
    /// another version.
    pub fn new(bytes: &[u8], name: &str, cache: Option<&Path>, events: Option<Events>) -> Result<Self, PolicyError> {
        let name = || printable(name, 80);
        if bytes.len() as u64 > MOST_BYTES {
            return Err(PolicyError::TooLarge { name: name(), limit: MOST_BYTES });
        }
        check_names(bytes, &name)?;
        let engine = engine()?;
        let link =
            |error: wasmtime::Error| PolicyError::Link { name: name(), why: printable(&format!("{error:#}"), 500) };
        let component = compiled(&engine.engine, &sha256_hex(bytes), bytes, cache).map_err(link)?;
        let functions = Functions::find(&component).ok_or_else(|| PolicyError::Link {
            name: name(),
            why: format!("`{PACKAGE}/{DECISIONS}` lacks `describe` or `decide`"),
        })?;
        let instance = engine.linker.instantiate_pre(&component).map_err(link)?;
        let log = Log::new(events);
        let mut policy =
            Self { description: Description::default(), instance, functions, running: Mutex::new(None), log };
        let failed = |Fault(why)| PolicyError::Description { name: name(), why };
        let mut running = policy.start().map_err(|not| match not {
            NotStarted::Misfit(error) => link(error),
            NotStarted::Failed(fault) => failed(fault),
        })?;
        let text = running.describe().map_err(|error| failed(policy.fault(&error)))?;
        let description: Description = serde_json::from_str(&text)
            .map_err(|error| failed(Fault(printable(&format!("{error}, in {text}"), 300))))?;
        if description.policy != VERSION {
            return Err(PolicyError::OtherVersion { name: name(), policy: description.policy, host: VERSION });
        }
        policy.description = description;
        policy.running = Mutex::new(Some(running));
        Ok(policy)
    }

    /// What it says about itself: a stranger's words.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// A fresh instance.
    fn start(&self) -> Result<Running, NotStarted> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY)
            .memories(1)
            .tables(8)
            .table_elements(20_000)
            .instances(8)
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(self.instance.engine(), State { limits, log: self.log.clone() });
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(TEXT);
        let failed = |error: wasmtime::Error| NotStarted::Failed(self.fault(&error));
        store.set_fuel(FUEL).map_err(failed)?;
        let instance = self.instance.instantiate(&mut store).map_err(failed)?;
        let describe = instance.get_typed_func(&mut store, self.functions.describe).map_err(NotStarted::Misfit)?;
        let decide = instance.get_typed_func(&mut store, self.functions.decide).map_err(NotStarted::Misfit)?;
        Ok(Running { store, describe, decide })
    }

    /// What went wrong, in words, with the last of what the policy logged.
    fn fault(&self, error: &wasmtime::Error) -> Fault {
        let mut why = match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => format!("it used up its {FUEL} units of fuel"),
            Some(Trap::UnreachableCodeReached) => "it panicked".to_owned(),
            Some(trap) => format!("it trapped: {trap}"),
            None => printable(&error.root_cause().to_string(), 300),
        };
        if let Some(line) = self.log.tail().lines().last() {
            why.push_str("; its last words: ");
            why.push_str(&printable(line, 300));
        }
        Fault(why)
    }
}

impl Foreign for WasmPolicy {
    fn decide(&self, facts: &Facts) -> Result<Decision, Fault> {
        let facts =
            serde_json::to_string(facts).map_err(|error| Fault(format!("the facts can't be written: {error}")))?;
        let mut kept = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = match kept.take() {
            Some(running) => running,
            None => self.start().map_err(|not| match not {
                NotStarted::Failed(fault) => fault,
                NotStarted::Misfit(error) => self.fault(&error),
            })?,
        };
        let answer = running.decide(facts).map_err(|error| self.fault(&error))?;
        *kept = Some(running);
        drop(kept);
        read_decision(answer)
    }
}

/// What a policy answered, as a decision.
pub(super) fn read_decision(answer: Result<String, String>) -> Result<Decision, Fault> {
    let text = answer.map_err(|why| Fault(format!("it says: {}", printable(&why, 300))))?;
    serde_json::from_str(&text)
        .map_err(|error| Fault(printable(&format!("its answer is no decision: {error}, in {text}"), 400)))
}

impl Running {
    fn describe(&mut self) -> wasmtime::Result<String> {
        self.store.set_fuel(FUEL)?;
        Ok(self.describe.call(&mut self.store, ())?.0)
    }

    fn decide(&mut self, facts: String) -> wasmtime::Result<Result<String, String>> {
        self.store.set_fuel(FUEL)?;
        // What an earlier decision logged does not explain this one.
        self.store.data().log.set_item(None);
        Ok(self.decide.call(&mut self.store, (facts,))?.0)
    }
}

impl Functions {
    fn find(component: &Component) -> Option<Self> {
        let decisions = component.get_export_index(None, format!("{PACKAGE}/{DECISIONS}@{PACKAGE_VERSION}"))?;
        let describe = component.get_export_index(Some(&decisions), "describe")?;
        Some(Self { describe, decide: component.get_export_index(Some(&decisions), "decide")? })
    }
}

/// Looks at imports and exports before anything is compiled.
fn check_names(bytes: &[u8], name: &dyn Fn() -> String) -> Result<(), PolicyError> {
    let names = inspect::names(bytes).map_err(|why| PolicyError::NotAComponent { name: name(), why })?;
    let fits = |text: &String, interface| {
        let name = Name::parse(text);
        name.is(PACKAGE, interface) && name.fits(PACKAGE_VERSION)
    };
    let mut decisions = names.exports.iter().filter(|text| Name::parse(text).is(PACKAGE, DECISIONS)).peekable();
    if let Some(other) = decisions.peek().map(|other| Name::parse(other).other_version(PACKAGE_VERSION))
        && !decisions.any(|text| fits(text, DECISIONS))
    {
        return Err(PolicyError::NotAComponent { name: name(), why: other });
    }
    if !names.exports.iter().any(|text| fits(text, DECISIONS)) {
        return Err(PolicyError::OtherWorld { name: name(), exports: names.exports });
    }
    let imports: Vec<String> = names.imports.into_iter().filter(|text| !fits(text, LOG)).collect();
    if imports.is_empty() { Ok(()) } else { Err(PolicyError::Imports { name: name(), imports }) }
}

/// All policies of the process share one.
struct PolicyEngine {
    engine: Engine,
    linker: Linker<State>,
}

fn engine() -> Result<&'static PolicyEngine, PolicyError> {
    static ENGINE: OnceLock<Result<PolicyEngine, String>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| PolicyEngine::start().map_err(|error| printable(&format!("{error:#}"), 300)));
    engine.as_ref().map_err(|why| PolicyError::Engine { why: why.clone() })
}

impl PolicyEngine {
    fn start() -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .concurrency_support(false)
            .consume_fuel(true)
            .max_wasm_stack(256 << 10)
            .memory_reservation(MEMORY as u64)
            .memory_reservation_for_growth(0)
            .memory_guard_size(64 << 10);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        linker.instance(&format!("{PACKAGE}/{LOG}@{PACKAGE_VERSION}"))?.func_wrap(
            "log",
            |mut store: StoreContextMut<'_, State>, (level, message): (Level, String)| {
                let fuel = store.get_fuel()?;
                store.set_fuel(fuel.saturating_sub(LOG_FUEL))?;
                store.data().log.line(level.name(), &message);
                Ok(())
            },
        )?;
        Ok(Self { engine, linker })
    }
}

#[cfg(test)]
mod tests;
