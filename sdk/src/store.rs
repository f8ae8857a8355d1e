//! The command's own small store: what it wants to find again in the next run.
//!
//! It is a cache of what can be got again: 16 MiB over all projects of a user, of which each sees its own; where it is
//! full, the oldest entries go. A key has up to 200 bytes, a value up to 1 MiB. It is granted by `store = true` below
//! `[capabilities]` of `plugin.toml`.
//!
//! What an item finds in the store, or leaves there, is remembered with its result: a later run uses the result again while
//! the store still has that.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::convoke::plugin::store;
use crate::bindings::convoke::plugin::worker;
use crate::task::json;
use crate::{Call, Result, Task};

async fn get_value<T: DeserializeOwned>(task: Option<&worker::Task>, key: &str) -> Result<Option<T>> {
    let Some(bytes) = store::get(task, key.to_owned()).await? else { return Ok(None) };
    // What another version of the command has written is as good as nothing.
    // As text: a component that reads other JSON from text has no second reader then, of bytes.
    Ok(std::str::from_utf8(&bytes).ok().and_then(|text| serde_json::from_str(text).ok()))
}

async fn put_value<T: Serialize>(task: Option<&worker::Task>, key: &str, value: &T, lifetime_s: u64) -> Result<()> {
    store::put(task, key.to_owned(), json(value).into_bytes(), lifetime_s).await
}

impl Task {
    /// What the command has kept under a key; none: nothing, or it was too old.
    ///
    /// # Errors
    /// When it has no store, or the key is empty or too long.
    pub async fn store_get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        store::get(Some(self.raw()), key.to_owned()).await
    }

    /// Keeps a value for so many seconds; for none, forgets what was there.
    ///
    /// # Errors
    /// When it has no store, or key or value are too large.
    pub async fn store_put(&self, key: &str, value: impl Into<Vec<u8>>, lifetime_s: u64) -> Result<()> {
        store::put(Some(self.raw()), key.to_owned(), value.into(), lifetime_s).await
    }

    /// As [`store_get`](Self::store_get), of what [`store_put_json`](Self::store_put_json) has kept. What doesn't fit `T` is
    /// as good as nothing.
    ///
    /// # Errors
    /// As [`store_get`](Self::store_get).
    pub async fn store_get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        get_value(Some(self.raw()), key).await
    }

    /// As [`store_put`](Self::store_put), as JSON.
    ///
    /// # Errors
    /// As [`store_put`](Self::store_put).
    pub async fn store_put_json<T: Serialize>(&self, key: &str, value: &T, lifetime_s: u64) -> Result<()> {
        put_value(Some(self.raw()), key, value, lifetime_s).await
    }
}

impl Call {
    /// As [`Task::store_get`], for the plan.
    ///
    /// # Errors
    /// As there.
    pub async fn store_get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        store::get(None, key.to_owned()).await
    }

    /// As [`Task::store_put`], for the plan.
    ///
    /// # Errors
    /// As there.
    pub async fn store_put(&self, key: &str, value: impl Into<Vec<u8>>, lifetime_s: u64) -> Result<()> {
        store::put(None, key.to_owned(), value.into(), lifetime_s).await
    }

    /// As [`Task::store_get_json`], for the plan.
    ///
    /// # Errors
    /// As there.
    pub async fn store_get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        get_value(None, key).await
    }

    /// As [`Task::store_put_json`], for the plan.
    ///
    /// # Errors
    /// As there.
    pub async fn store_put_json<T: Serialize>(&self, key: &str, value: &T, lifetime_s: u64) -> Result<()> {
        put_value(None, key, value, lifetime_s).await
    }
}
