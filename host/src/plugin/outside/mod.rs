//! What a plugin does outside the project, where it was granted: [`process`], [`http`], [`store`]. Each call is checked
//! against the grant, counts among the operations, and is noted for the item that it belongs to.

pub mod address;
pub mod fakes;
pub mod http;
pub mod process;
mod quotas;
pub mod store;
pub mod taped;

use std::path::PathBuf;
use std::sync::Arc;

use convoke_runtime::journal::Read;
use serde_json::{Value, json};
use wasmtime::component::{Accessor, Linker, Resource};

use super::bindings::convoke::plugin::{http as wit_http, process as wit_process, store as wit_store, types as wit};
use super::capabilities::Capabilities;
use super::clock::OwnTime;
use super::grants::{Refusal, Wish, refusal};
use super::imports::{Host, State, Task, TaskHandle};
use super::log::Log;
use super::operations::Operations;
use super::project::Recorder;
use crate::audit::Trail;
use fakes::Fakes;
use http::Fetcher;
use process::Processes;
pub use quotas::Quotas;
use store::Store;
use taped::Tape;

/// What one plugin may do outside, and where.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The plugin's name, for messages.
    pub plugin: String,
    /// What the user calls it: its name, or the path of its file. For the command that grants it more.
    pub typed: String,
    /// What its manifest asks for.
    pub asked: Capabilities,
    /// What it was granted of that. Nothing else is done for it.
    pub granted: Capabilities,
    /// The project's folder, with no link in it.
    pub root: PathBuf,
    /// What may be done at once.
    pub operations: Operations,
    /// What stands in place of programs and hosts; none: they do.
    pub fakes: Option<Arc<dyn Fakes>>,
    /// From what its programs and requests take.
    pub quotas: Quotas,
    /// Sends its requests.
    pub http: Fetcher,
    /// Its own store.
    pub store: Store,
    /// Whether what it does is written down, or answered from what was.
    pub tape: Tape,
    /// What runs its programs; none: nothing does.
    pub processes: Option<Arc<Processes>>,
    /// What it leaves in the audit log, with what it does in the project.
    pub trail: Trail,
}

impl Outside {
    /// What the plugin is told whose call is beyond what it was granted: the missing grant, and the command that gives it.
    fn refused(&self, wish: &Wish) -> wit::Error {
        let Refusal { message, hint } = refusal(&self.typed, &self.asked, wish);
        wit::Error { message, hint: Some(hint) }
    }
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
    log: Log,
}

impl Call {
    fn of(accessor: &Accessor<State, Host>, handle: Option<&Resource<TaskHandle>>) -> wasmtime::Result<Self> {
        accessor.with(|mut view| {
            let state = view.get();
            let task = handle.map(|handle| state.task(handle)).transpose()?;
            let (outside, own_time, log) = (state.outside.clone(), state.own_time.clone(), state.log.clone());
            Ok(Self { outside, task, own_time, log })
        })
    }

    /// The item in whose name; none: the plan.
    fn item(&self) -> Option<&str> {
        self.task.as_ref().map(|task| task.item.id.as_str())
    }

    /// Leaves it in the audit log that something was called, before it is done.
    async fn leave_ahead(&self, kind: &'static str, subject: &str, details: Value) {
        self.outside.trail.ahead(kind, subject, || self.with_item(details)).await;
    }

    /// Leaves it there what came of it.
    fn leave(&self, kind: &'static str, subject: &str, details: impl FnOnce() -> Value) {
        self.outside.trail.note(kind, subject, || self.with_item(details()));
    }

    fn with_item(&self, mut details: Value) -> Value {
        if let Value::Object(members) = &mut details {
            members.insert("item".to_owned(), json!(self.item()));
        }
        details
    }

    /// Where what the item depends on is noted.
    fn recorder(&self) -> Option<&Recorder> {
        self.task.as_ref().map(|task| &task.recorder)
    }

    /// A line in the plugin's log; of a `warn` the user is told too.
    fn tell(&self, level: &'static str, words: String) {
        self.log.line(level, &words);
        if level == "warn" {
            self.log.warn(format!("{}: {words}", self.outside.plugin));
        }
    }

    /// Notes that the item depends on what can't be looked at again: its result is reused only within the lifetime that
    /// its partial gives.
    fn note(&self, kind: &str) -> Result<(), wit::Error> {
        let Some(task) = &self.task else { return Ok(()) };
        task.recorder.note(Read::Outside { kind: kind.to_owned() }).map_err(super::convert::project_error)
    }
}
