//! What a plugin does outside the project, where it was granted: [`process`], [`http`], [`store`]. Each call is checked
//! against the grant, counts among the operations, and is noted for the item that it belongs to.

pub mod fakes;
mod http;
mod process;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use convoke_runtime::journal::Read;
use wasmtime::component::{Accessor, Linker, Resource};

use super::bindings::convoke::plugin::{http as wit_http, process as wit_process, store as wit_store, types as wit};
use super::capabilities::Capabilities;
use super::clock::OwnTime;
use super::imports::{Host, State, Task, TaskHandle};
use super::operations::Operations;
use fakes::Fakes;

/// What one plugin may do outside, and where.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The plugin's name, for messages.
    pub plugin: String,
    /// What it was granted. Nothing else is done for it.
    pub granted: Capabilities,
    /// The project's folder, with no link in it.
    pub root: PathBuf,
    /// What may be done at once.
    pub operations: Operations,
    /// What stands in place of programs and hosts; none: they do.
    pub fakes: Option<Arc<dyn Fakes>>,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wit_process::add_to_linker::<_, Host>(linker, |state| state)?;
    wit_http::add_to_linker::<_, Host>(linker, |state| state)?;
    wit_store::add_to_linker::<_, Host>(linker, |state| state)
}

/// What a call needs: what is granted, the task in whose name (none: the plan), and the clock that stands meanwhile.
struct Call {
    outside: Arc<Outside>,
    task: Option<Arc<Task>>,
    own_time: Arc<OwnTime>,
}

impl Call {
    fn of(accessor: &Accessor<State, Host>, handle: Option<&Resource<TaskHandle>>) -> wasmtime::Result<Self> {
        accessor.with(|mut view| {
            let state = view.get();
            let task = handle.map(|handle| state.task(handle)).transpose()?;
            Ok(Self { outside: state.outside.clone(), task, own_time: state.own_time.clone() })
        })
    }

    /// Notes that the item depends on what can't be looked at again: its result is reused only within the lifetime that
    /// its partial gives.
    fn note(&self, kind: &str) -> Result<(), wit::Error> {
        let Some(task) = &self.task else { return Ok(()) };
        task.recorder.note(Read::Outside { kind: kind.to_owned() }).map_err(super::convert::project_error)
    }
}

/// What a plugin is told that has no grant for something.
fn not_granted(what: impl Into<String>, hint: impl Into<String>) -> wit::Error {
    wit::Error { message: what.into(), hint: Some(hint.into()) }
}
