//! Requests that a plugin sends.

use wasmtime::component::{Accessor, Resource};

use super::{Call, not_granted, wit, wit_http};
use crate::plugin::imports::{Host, State, TaskHandle};

impl wit_http::Host for State {}

impl wit_http::HostWithStore<State> for Host {
    async fn fetch(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        request: wit_http::Request,
    ) -> wasmtime::Result<Result<wit_http::Response, wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        if let Err(error) = call.note("http") {
            return Ok(Err(error));
        }
        if let Some(fakes) = &call.outside.fakes {
            return Ok(call.fetch_fake(&**fakes, &request));
        }
        Ok(Err(not_granted(format!("{} may not send requests", call.outside.plugin), "grant it the host")))
    }
}
