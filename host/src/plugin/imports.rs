//! The host's side of the contract: what a sandbox can call.
//!
//! Nothing is decided here. A call is translated, counted out of the worker's own time, and handed to the run
//! ([`Services`]) or to the project.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use convoke_runtime::journal::Read;
use convoke_runtime::question::{AnsweredBy, Failure, FailureKind, Question, Reply, StreamEvent};
use convoke_runtime::work::{Edit, Item, Partial};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::{
    Accessor, Destination, FutureReader, HasSelf, Linker, Resource, ResourceTable, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut, StoreLimits};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::convoke::plugin::{log as wit_log, project as wit_project, types as wit, worker as wit_worker};
use super::clock::OwnTime;
use super::convert::{self, Refused};
use super::log::Log;
use super::outside::{self, Outside};
use super::project::{Project, ProjectError, Recorder};
use crate::audit::kind;

/// What a run does for a worker.
pub trait Services: Send + Sync {
    /// The next item; none when there is nothing left to do.
    fn next(&self) -> BoxFuture<'_, Result<Option<Arc<Task>>, Refused>>;

    /// Answers a question.
    fn ask<'a>(
        &'a self,
        task: &'a Arc<Task>,
        question: Question,
        listener: &'a mut (dyn FnMut(StreamEvent) + Send),
    ) -> BoxFuture<'a, Result<Reply, Failure>>;

    /// The partial of another item, once that has ended.
    fn result_of<'a>(&'a self, task: &'a Arc<Task>, id: &'a str) -> BoxFuture<'a, Result<Option<Partial>, Refused>>;

    /// Adds items to the run.
    fn add<'a>(&'a self, task: &'a Arc<Task>, items: Vec<Item>) -> BoxFuture<'a, Result<(), Refused>>;

    /// Shows how far an item is.
    fn progress(&self, task: &Task, done: f32, note: &str);

    /// Ends an item.
    fn finish<'a>(&'a self, task: &'a Arc<Task>, ending: convert::Ending) -> BoxFuture<'a, Result<(), Refused>>;

    /// The sandbox has let go of an item; if it was not finished it never will be.
    fn dropped(&self, task: &Arc<Task>);
}

/// An item in a worker's hands.
pub struct Task {
    /// Its number in the run.
    pub index: usize,
    /// The item itself.
    pub item: Item,
    /// What it has read so far.
    pub recorder: Recorder,
    /// How it has gone so far.
    pub record: std::sync::Mutex<Record>,
}

/// How an item has gone so far.
#[derive(Debug, Default)]
pub struct Record {
    /// Why a model should have answered one of its questions and did not.
    pub fallback: Option<String>,
    /// In which words a question of it failed in a way that passes by itself.
    pub passing: Option<String>,
    /// Why the run would not answer any more. The item then stays pending, whatever its plugin makes of it.
    pub stopped: Option<String>,
    /// Why the last result that it was to end with was refused.
    pub refused: Option<String>,
    /// What Claude's tools would change, by the answers so far.
    pub edits: Vec<Edit>,
    /// The item has ended.
    pub ended: bool,
}

impl Task {
    /// An item that has just been taken.
    pub fn new(index: usize, item: Item) -> Self {
        Self { index, item, recorder: Recorder::default(), record: Default::default() }
    }

    /// How it has gone so far.
    pub fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What the sandbox holds in place of a task.
pub struct TaskHandle(Arc<Task>);

/// What a store knows.
pub struct State {
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) limits: StoreLimits,
    /// CPU for one item.
    pub(super) fuel: u64,
    pub(super) own_time: Arc<OwnTime>,
    pub(super) project: Project,
    pub(super) outside: Arc<Outside>,
    pub(super) services: Option<Arc<dyn Services>>,
    pub(super) log: Log,
}

impl State {
    pub(super) fn task(&self, handle: &Resource<TaskHandle>) -> wasmtime::Result<Arc<Task>> {
        Ok(self.table.get(handle)?.0.clone())
    }

    pub(super) fn hand_out(&mut self, task: Arc<Task>) -> wasmtime::Result<Resource<TaskHandle>> {
        self.log.set_item(Some(task.index));
        Ok(self.table.push(TaskHandle(task))?)
    }

    fn services(&self) -> wasmtime::Result<Arc<dyn Services>> {
        self.services.clone().ok_or_else(|| wasmtime::format_err!("`plan` has no items"))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

pub(super) type Host = HasSelf<State>;

/// Puts the host's side of the contract into a linker.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wit_worker::add_to_linker::<_, Host>(linker, |state| state)?;
    wit_project::add_to_linker::<_, Host>(linker, |state| state)?;
    wit_log::add_to_linker::<_, Host>(linker, |state| state)?;
    outside::add_to_linker(linker)?;
    wit::add_to_linker::<_, Host>(linker, |state| state)
}

impl wit::Host for State {}

// Worker ---------------------------------------------------------------------------------------------------------------

impl wit_worker::Host for State {}

impl wit_worker::HostWithStore<State> for Host {
    async fn next(accessor: &Accessor<State, Self>) -> wasmtime::Result<Option<Resource<TaskHandle>>> {
        let (services, own_time) = accessor.with(|mut view| (view.get().services.clone(), view.get().own_time.clone()));
        let Some(services) = services else { return Ok(None) };
        let waiting = own_time.host_call();
        let task = services.next().await.map_err(|refused| wasmtime::format_err!("{refused}"))?;
        drop(waiting);
        accessor.with(|mut view| {
            let Some(task) = task else { return Ok(None) };
            own_time.restart();
            let fuel = view.get().fuel;
            view.as_context_mut().set_fuel(fuel)?;
            view.get().hand_out(task).map(Some)
        })
    }
}

impl wit_worker::HostTask for State {
    fn item(&mut self, handle: Resource<TaskHandle>) -> wasmtime::Result<wit::Item> {
        Ok(convert::item_to_wit(&self.task(&handle)?.item))
    }

    fn progress(&mut self, handle: Resource<TaskHandle>, done: f32, note: String) -> wasmtime::Result<()> {
        let task = self.task(&handle)?;
        self.services()?.progress(&task, done, &note);
        Ok(())
    }

    fn drop(&mut self, handle: Resource<TaskHandle>) -> wasmtime::Result<()> {
        let task = self.table.delete(handle)?.0;
        if let Some(services) = &self.services {
            services.dropped(&task);
        }
        Ok(())
    }
}

/// What a call in the name of a task needs.
type TaskCall = (Arc<Task>, Arc<dyn Services>, Arc<OwnTime>);

fn in_the_name_of(accessor: &Accessor<State, Host>, handle: &Resource<TaskHandle>) -> wasmtime::Result<TaskCall> {
    accessor.with(|mut view| {
        let state = view.get();
        Ok((state.task(handle)?, state.services()?, state.own_time.clone()))
    })
}

impl wit_worker::HostTaskWithStore<State> for Host {
    async fn ask(
        accessor: &Accessor<State, Self>,
        handle: Resource<TaskHandle>,
        question: wit::Question,
    ) -> wasmtime::Result<Result<wit::Reply, wit::Failure>> {
        let (task, services, own_time) = in_the_name_of(accessor, &handle)?;
        let _waiting = own_time.host_call();
        Ok(answer(&task, &*services, question, &mut |_| {}).await)
    }

    async fn open(
        accessor: &Accessor<State, Self>,
        handle: Resource<TaskHandle>,
        question: wit::Question,
    ) -> wasmtime::Result<(StreamReader<wit::Event>, FutureReader<Result<wit::Reply, wit::Failure>>)> {
        let (task, services, own_time) = in_the_name_of(accessor, &handle)?;
        // The answer is bounded by the broker's cap, and so is what waits here.
        let (sender, receiver) = mpsc::unbounded_channel();
        let running = AbortOnDropHandle::new(tokio::spawn(async move {
            let _waiting = own_time.host_call();
            let mut listener = |event| {
                if let Some(event) = convert::event_to_wit(event) {
                    // The plugin may have stopped reading, and still wants the answer.
                    let _ = sender.send(event);
                }
            };
            answer(&task, &*services, question, &mut listener).await
        }));
        accessor.with(|mut view| {
            let events = StreamReader::new(&mut view, EventStream(receiver))?;
            let reply = FutureReader::new(&mut view, async move {
                running.await.map_err(|error| wasmtime::format_err!("the question was given up: {error}"))
            })?;
            Ok((events, reply))
        })
    }

    async fn result_of(
        accessor: &Accessor<State, Self>,
        handle: Resource<TaskHandle>,
        id: String,
    ) -> wasmtime::Result<Result<Option<wit::Partial>, wit::Error>> {
        let (task, services, own_time) = in_the_name_of(accessor, &handle)?;
        let _waiting = own_time.host_call();
        Ok(match services.result_of(&task, &id).await {
            Ok(partial) => Ok(partial.as_ref().map(convert::partial_to_wit)),
            Err(refused) => Err(refused.into()),
        })
    }

    async fn add(
        accessor: &Accessor<State, Self>,
        handle: Resource<TaskHandle>,
        items: Vec<wit::Item>,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        let (task, services, own_time) = in_the_name_of(accessor, &handle)?;
        let _waiting = own_time.host_call();
        let items = match items.into_iter().map(convert::item_from_wit).collect::<Result<Vec<_>, _>>() {
            Ok(items) => items,
            Err(refused) => return Ok(Err(refused.into())),
        };
        Ok(services.add(&task, items).await.map_err(Into::into))
    }

    async fn finish(
        accessor: &Accessor<State, Self>,
        handle: Resource<TaskHandle>,
        partial: wit::Partial,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        let (task, services, own_time) = in_the_name_of(accessor, &handle)?;
        let _waiting = own_time.host_call();
        let ending = match convert::ending_from_wit(partial, &task) {
            Ok(ending) => ending,
            Err(refused) => {
                task.record().refused = Some(refused.message.clone());
                return Ok(Err(refused.into()));
            }
        };
        Ok(services.finish(&task, ending).await.map_err(Into::into))
    }
}

async fn answer(
    task: &Arc<Task>,
    services: &dyn Services,
    question: wit::Question,
    listener: &mut (dyn FnMut(StreamEvent) + Send),
) -> Result<wit::Reply, wit::Failure> {
    if task.record().ended {
        let failure = Failure::new(FailureKind::Invalid, format!("{} has ended and asks no more", task.item.id));
        return Err(convert::failure_to_wit(&failure));
    }
    let question = convert::question_from_wit(question).map_err(|failure| convert::failure_to_wit(&failure))?;
    let has_tools = !question.tools.is_empty();
    match services.ask(task, question, listener).await {
        Ok(mut reply) => {
            task.record().edits.append(&mut reply.edits);
            if has_tools && !matches!(reply.by, AnsweredBy::Fallback(_)) {
                // What tools have read is not known: a later run can't see whether it has changed.
                let noted = task.recorder.note(Read::Outside { kind: "tools".to_owned() });
                noted.map_err(|error| {
                    convert::failure_to_wit(&Failure::new(FailureKind::TooLarge, error.to_string()))
                })?;
            }
            if let (true, AnsweredBy::Fallback(reason)) = (reply.unasked_fallback, &reply.by) {
                task.record().fallback.get_or_insert_with(|| reason.clone());
            }
            Ok(convert::reply_to_wit(reply))
        }
        Err(failure) => {
            if failure.kind == FailureKind::NotRecorded {
                task.recorder.miss(failure.message.clone());
            }
            if failure.kind.is_terminal() || failure.kind == FailureKind::Cancelled {
                task.record().stopped.get_or_insert_with(|| failure.message.clone());
            }
            Err(convert::failure_to_wit(&failure))
        }
    }
}

struct EventStream(mpsc::UnboundedReceiver<wit::Event>);

impl<D> StreamProducer<D> for EventStream {
    type Item = wit::Event;
    type Buffer = VecBuffer<wit::Event>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, wit::Event, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A reader that takes none only asks whether it would have to wait.
        let room = destination.remaining(&mut store).unwrap_or(1);
        if room == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut batch = Vec::new();
        match self.get_mut().0.poll_recv_many(context, &mut batch, room) {
            Poll::Ready(0) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(_) => {
                destination.set_buffer(batch.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

// Project --------------------------------------------------------------------------------------------------------------

impl wit_project::Host for State {}

/// What a call of the project needs: the project, the task in whose name, the clock, and where it is left that it was made.
struct ProjectCall {
    project: Project,
    task: Option<Arc<Task>>,
    own_time: Arc<OwnTime>,
    outside: Arc<Outside>,
}

impl ProjectCall {
    fn of(accessor: &Accessor<State, Host>, handle: Option<&Resource<TaskHandle>>) -> wasmtime::Result<Self> {
        accessor.with(|mut view| {
            let state = view.get();
            let task = handle.map(|handle| state.task(handle)).transpose()?;
            let (project, own_time, outside) = (state.project.clone(), state.own_time.clone(), state.outside.clone());
            Ok(Self { project, task, own_time, outside })
        })
    }

    fn recorder(&self) -> Option<&Recorder> {
        self.task.as_ref().map(|task| &task.recorder)
    }

    /// Leaves it in the audit log with what came of it: a number of bytes or files, or why not. Never a content.
    fn leave<T>(
        &self,
        kind: &'static str,
        path: &str,
        became: &Result<T, ProjectError>,
        count: impl FnOnce(&T) -> (&'static str, usize),
    ) {
        self.outside.trail.note(kind, path, || {
            let item = self.task.as_ref().map(|task| task.item.id.as_str());
            match became {
                Ok(found) => {
                    let (name, count) = count(found);
                    json!({"item": item, name: count})
                }
                Err(error) => json!({"item": item, "error": error.to_string()}),
            }
        });
    }
}

impl wit_project::HostWithStore<State> for Host {
    async fn list(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        query: wit_project::Query,
    ) -> wasmtime::Result<Result<Vec<wit_project::Entry>, wit::Error>> {
        let call = ProjectCall::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let query = convert::query_from_wit(query);
        let listing = call.project.list(call.recorder(), &query).await;
        call.leave(kind::PROJECT_LIST, &query.under, &listing, |listing| ("files", listing.entries.len()));
        Ok(listing
            .map(|listing| listing.entries.iter().map(convert::entry_to_wit).collect())
            .map_err(convert::project_error))
    }

    async fn read(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        path: String,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::Error>> {
        let call = ProjectCall::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let bytes = call.project.read(call.recorder(), &path).await;
        call.leave(kind::PROJECT_READ, &path, &bytes, |bytes| ("bytes", bytes.len()));
        Ok(bytes.map(|bytes| bytes.to_vec()).map_err(convert::project_error))
    }

    async fn stat(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        path: String,
    ) -> wasmtime::Result<Result<Option<wit_project::Entry>, wit::Error>> {
        let call = ProjectCall::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let entry = call.project.stat(call.recorder(), &path).await;
        call.leave(kind::PROJECT_STAT, &path, &entry, |entry| ("found", usize::from(entry.is_some())));
        Ok(entry.map(|entry| entry.as_ref().map(convert::entry_to_wit)).map_err(convert::project_error))
    }

    async fn exists(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        path: String,
    ) -> wasmtime::Result<Result<Option<wit_project::Kind>, wit::Error>> {
        let call = ProjectCall::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let found = call.project.exists(call.recorder(), &path).await;
        call.leave(kind::PROJECT_EXISTS, &path, &found, |found| ("found", usize::from(found.is_some())));
        Ok(found.map(|kind| kind.map(convert::kind_to_wit)).map_err(convert::project_error))
    }

    async fn search(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        pattern: wit_project::Pattern,
    ) -> wasmtime::Result<Result<Vec<wit_project::Match>, wit::Error>> {
        let call = ProjectCall::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let pattern = convert::pattern_from_wit(pattern);
        let found = call.project.search(call.recorder(), &pattern).await;
        call.leave(kind::PROJECT_SEARCH, &pattern.files.under, &found, |found| ("matches", found.matches.len()));
        Ok(found.map(|found| found.matches.iter().map(convert::match_to_wit).collect()).map_err(convert::project_error))
    }
}

// Log ------------------------------------------------------------------------------------------------------------------

impl wit_log::Host for State {
    fn log(&mut self, level: wit_log::Level, message: String) -> wasmtime::Result<()> {
        self.log.line(convert::level_name(level), &message);
        Ok(())
    }
}
