//! A plugin's own small store: see [`keep`].

pub mod keep;

use convoke_runtime::journal::Digest;
use serde_json::json;
use wasmtime::component::{Accessor, Resource};

use super::{Call, Wish, wit, wit_store};
use crate::audit::kind;
use crate::plugin::imports::{Host, State, TaskHandle};

pub use keep::{Owner, Store, StoreError};

impl wit_store::Host for State {}

impl wit_store::HostWithStore<State> for Host {
    async fn get(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let found = get(&call, &key).await;
        call.leave(kind::STORE_GET, &key, || match &found {
            Ok(found) => json!({"bytes": found.as_ref().map(Vec::len)}),
            Err(error) => json!({"error": error.message}),
        });
        Ok(found)
    }

    async fn put(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        key: String,
        value: Vec<u8>,
        lifetime_s: u64,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let bytes = value.len();
        let became = put(&call, &key, value, lifetime_s).await;
        call.leave(kind::STORE_PUT, &key, || match &became {
            Ok(()) => json!({"bytes": bytes, "lifetime_s": lifetime_s}),
            Err(error) => json!({"error": error.message}),
        });
        Ok(became)
    }
}

async fn get(call: &Call, key: &str) -> Result<Option<Vec<u8>>, wit::Error> {
    let found = granted(call)?.get(key).await.map_err(to_wit)?;
    note(call, key, digest_of(found.as_deref()))?;
    Ok(found)
}

async fn put(call: &Call, key: &str, value: Vec<u8>, lifetime_s: u64) -> Result<(), wit::Error> {
    let left = digest_of(Some(value.as_slice()).filter(|_| lifetime_s > 0));
    granted(call)?.put(key, value, lifetime_s).await.map_err(to_wit)?;
    note(call, key, left)
}

fn granted(call: &Call) -> Result<&Store, wit::Error> {
    if call.outside.granted.store {
        return Ok(&call.outside.store);
    }
    Err(call.outside.refused(&Wish::Store))
}

/// An item depends on what it found, or on what it left there itself: while the store still has that, the item would
/// come to the same.
fn note(call: &Call, key: &str, digest: Digest) -> Result<(), wit::Error> {
    let Some(task) = &call.task else { return Ok(()) };
    task.recorder.note_stored(key, digest).map_err(crate::plugin::convert::project_error)
}

/// The digest of what stands under a key; nothing differs from an empty value.
pub(crate) fn digest_of(value: Option<&[u8]>) -> Digest {
    let mut bytes = vec![u8::from(value.is_some())];
    bytes.extend_from_slice(value.unwrap_or_default());
    Digest::of(&bytes)
}

fn to_wit(error: StoreError) -> wit::Error {
    wit::Error { message: error.to_string(), hint: error.hint().map(str::to_owned) }
}
