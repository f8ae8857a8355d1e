//! One run of a plugin: a store of its own, with its caps, that ends in a result or in a reason.

use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::Events;
use convoke_runtime::work::{Census, Partial, Work};
use wasmtime::component::{Accessor, Instance, ResourceTable};
use wasmtime::{Store, StoreLimitsBuilder, Trap};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use super::bindings::convoke::plugin::types as wit;
use super::clock::OwnTime;
use super::convert;
use super::engine::{Engine, Loaded};
use super::fixed::Fixed;
use super::imports::{Services, State, Task};
use super::log::Log;
use super::outside::Outside;
use super::project::Project;

/// After so many units of fuel, a computing plugin lets others have the thread.
const YIELD_EVERY: u64 = 10_000_000;

/// What one sandbox may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Memory, in bytes.
    pub memory: usize,
    /// CPU for a plan or an item, in wasmtime's fuel: about one unit an instruction.
    pub fuel: u64,
    /// The longest a plan or an item may take without waiting for the host.
    pub own_time: Duration,
}

/// One call of a command, as the plugin gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The subcommand that was typed.
    pub subcommand: Option<String>,
    /// Arguments and options, a JSON object.
    pub arguments: String,
    /// The paths that were typed, as the project knows them.
    pub paths: Vec<String>,
    /// The day of the run, UTC.
    pub today: String,
}

impl Invocation {
    fn to_wit(&self) -> wit::Invocation {
        wit::Invocation {
            subcommand: self.subcommand.clone(),
            arguments: self.arguments.clone(),
            paths: self.paths.clone(),
            today: self.today.clone(),
            extra: Vec::new(),
        }
    }
}

/// Why a sandbox gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Died {
    /// The plugin itself said that it can't go on.
    #[error("{message}")]
    Refused {
        /// What the plugin said.
        message: String,
        /// What the plugin advises.
        hint: Option<String>,
    },
    /// It broke off: a panic, a stack overflow, a bad call.
    #[error("the plugin crashed: {0}")]
    Trapped(String),
    /// It computed for too long.
    #[error("the plugin used more CPU than an item may ({0} units of fuel)")]
    OutOfFuel(u64),
    /// It took too long without waiting for the host.
    #[error("the plugin took longer than {} of its own time", .0.as_secs_f64().to_string() + " s")]
    OutOfTime(Duration),
    /// It wanted more memory than it may have.
    #[error("the plugin wanted more than {} MiB of memory", .0 >> 20)]
    OutOfMemory(usize),
    /// It was ended from outside, because its run stops.
    #[error("{0}")]
    Stopped(String),
    /// What it returned is not what the contract allows.
    #[error("the plugin's answer can't be used: {0}")]
    Nonsense(String),
}

/// Runs plugins of one command on one project.
#[derive(Clone)]
pub struct Sandbox {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The component.
    pub plugin: Loaded,
    /// What the plugin sees of the files.
    pub project: Project,
    /// What the plugin may do outside of it.
    pub outside: Arc<Outside>,
    /// What the user typed.
    pub call: Invocation,
    /// What each run may use.
    pub caps: Caps,
    /// Where log lines are told.
    pub events: Events,
    /// What stands in place of the machine's clocks and random numbers; none: they do.
    pub fixed: Option<Fixed>,
}

impl Sandbox {
    /// A log for one run of the plugin.
    pub fn log(&self) -> Log {
        Log::new(Some(self.events.clone()))
    }

    /// What a replay was asked since the last call and has no record of.
    pub fn take_missed(&self) -> Vec<String> {
        let mut missed = self.project.take_missed();
        missed.extend(self.outside.tape.take_missed());
        missed
    }

    /// Asks the plugin what is to be done.
    ///
    /// # Errors
    /// When it refuses, breaks off, uses more than its caps, or gives a plan that makes no sense.
    pub async fn plan(&self, log: Log) -> Result<Work, Died> {
        let (mut store, instance, own_time) = self.start(None, log).await?;
        let handler = self.plugin.handler.load(&mut store, &instance).map_err(|error| self.died(&error))?;
        let call = self.call.to_wit();
        let planned = self
            .watched(
                &own_time,
                store.run_concurrent(async |accessor: &Accessor<State>| handler.call_plan(accessor, call).await),
            )
            .await?;
        convert::work_from_wit(planned.map_err(refused)?).map_err(|refused| Died::Nonsense(refused.message))
    }

    /// Lets the plugin do items until there are none.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn run(&self, services: Arc<dyn Services>, log: Log) -> Result<(), Died> {
        let (mut store, instance, own_time) = self.start(Some(services), log).await?;
        let handler = self.plugin.handler.load(&mut store, &instance).map_err(|error| self.died(&error))?;
        let call = self.call.to_wit();
        self.watched(
            &own_time,
            store.run_concurrent(async |accessor: &Accessor<State>| handler.call_run(accessor, call).await),
        )
        .await?
        .map_err(refused)
    }

    /// Lets the plugin conclude, in the name of `task`.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and when the plugin has no conclusion.
    pub async fn conclude(
        &self,
        services: Arc<dyn Services>,
        log: Log,
        task: Arc<Task>,
        census: &Census,
        whole: &Partial,
        notes: &[(String, String)],
    ) -> Result<(), Died> {
        let Some(conclusion) = &self.plugin.conclusion else {
            return Err(Died::Nonsense("it planned a conclusion, and exports none".to_owned()));
        };
        let (mut store, instance, own_time) = self.start(Some(services), log).await?;
        let conclusion = conclusion.load(&mut store, &instance).map_err(|error| self.died(&error))?;
        let handle = store.data_mut().hand_out(task).map_err(|error| self.died(&error))?;
        let (call, whole) = (self.call.to_wit(), convert::aggregate_to_wit(census, whole, notes));
        self.watched(
            &own_time,
            store.run_concurrent(async |accessor: &Accessor<State>| {
                conclusion.call_conclude(accessor, call, handle, whole).await
            }),
        )
        .await?
        .map_err(refused)
    }

    async fn start(
        &self,
        services: Option<Arc<dyn Services>>,
        log: Log,
    ) -> Result<(Store<State>, Instance, Arc<OwnTime>), Died> {
        let own_time = Arc::new(OwnTime::default());
        // Clocks and random numbers; no environment, arguments, files, sockets or input.
        let mut wasi = WasiCtxBuilder::new();
        wasi.stderr(log.clone()).stdout(log.clone());
        if let Some(fixed) = self.fixed {
            fixed.put_into(&mut wasi);
        }
        let state = State {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new().memory_size(self.caps.memory).trap_on_grow_failure(true).build(),
            fuel: self.caps.fuel,
            own_time: own_time.clone(),
            project: self.project.clone(),
            outside: self.outside.clone(),
            services,
            log,
        };
        let mut store = Store::new(self.engine.raw(), state);
        store.limiter(|state| &mut state.limits);
        store.set_fuel(self.caps.fuel).map_err(|error| self.died(&error))?;
        store.fuel_async_yield_interval(Some(YIELD_EVERY)).map_err(|error| self.died(&error))?;
        let instance = self.plugin.instance.instantiate_async(&mut store).await.map_err(|error| self.died(&error))?;
        Ok((store, instance, own_time))
    }

    /// A call, with its deadline. The deadline stands outside: inside `run_concurrent` it would not fire while the
    /// guest computes.
    async fn watched<T>(
        &self,
        own_time: &OwnTime,
        call: impl Future<Output = wasmtime::Result<wasmtime::Result<T>>>,
    ) -> Result<T, Died> {
        tokio::select! {
            result = call => result.and_then(|result| result).map_err(|error| self.died(&error)),
            () = own_time.exceeds(self.caps.own_time) => Err(Died::OutOfTime(self.caps.own_time)),
        }
    }

    fn died(&self, error: &wasmtime::Error) -> Died {
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Died::OutOfFuel(self.caps.fuel),
            Some(Trap::UnreachableCodeReached) => Died::Trapped("it panicked".to_owned()),
            Some(Trap::StackOverflow) => Died::Trapped("its stack overflowed".to_owned()),
            Some(trap) => Died::Trapped(trap.to_string()),
            // The code is not the plugin's own: WASI passes on only whether it was 0.
            None if error.is::<I32Exit>() => Died::Trapped("it ended its process".to_owned()),
            None if format!("{error:#}").contains("growing memory") => Died::OutOfMemory(self.caps.memory),
            // What the host refused it; where in its code that was, says nothing to a user.
            None => Died::Trapped(error.root_cause().to_string()),
        }
    }
}

fn refused(error: wit::Error) -> Died {
    Died::Refused { message: error.message, hint: error.hint }
}
