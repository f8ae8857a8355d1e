//! A plugin's own small store.

use wasmtime::component::{Accessor, Resource};

use super::{Call, not_granted, wit, wit_store};
use crate::plugin::imports::{Host, State, TaskHandle};

impl wit_store::Host for State {}

impl wit_store::HostWithStore<State> for Host {
    async fn get(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        _key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        Ok(Err(not_granted(format!("{} has no store", call.outside.plugin), "grant it one")))
    }

    async fn put(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        _key: String,
        _value: Vec<u8>,
        _lifetime_s: u64,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        Ok(Err(not_granted(format!("{} has no store", call.outside.plugin), "grant it one")))
    }
}
