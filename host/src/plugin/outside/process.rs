//! Programs that a plugin runs to look at something.

use wasmtime::component::{Accessor, Resource};

use super::{Call, not_granted, wit, wit_process};
use crate::plugin::imports::{Host, State, TaskHandle};
use crate::plugin::printable;

impl wit_process::Host for State {}

impl wit_process::HostWithStore<State> for Host {
    async fn run(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        command: wit_process::Command,
    ) -> wasmtime::Result<Result<wit_process::Output, wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        if let Err(error) = call.note("process") {
            return Ok(Err(error));
        }
        if let Some(fakes) = &call.outside.fakes {
            return Ok(call.run_fake(&**fakes, &command));
        }
        let program = printable(&command.program, 80);
        Ok(Err(not_granted(format!("{} may not run {program}", call.outside.plugin), "grant it the program")))
    }
}
