//! The project, as the plan and an item see it: the host's in a component, a folder or a map in a test.

use crate::call::utf8;
use crate::{Call, Entry, Kind, Query, Result, Task};

/// The project's files, for functions that a [`Call`] or a [`Task`] is given to, and in tests what
/// [`testing`](crate::testing) makes.
#[allow(async_fn_in_trait)]
pub trait Project {
    /// The files that fit a query, sorted by path.
    async fn list(&self, query: &Query) -> Result<Vec<Entry>>;
    /// A whole file.
    async fn read(&self, path: &str) -> Result<Vec<u8>>;
    /// A whole file as text.
    async fn read_text(&self, path: &str) -> Result<String> {
        utf8(path, self.read(path).await?)
    }
    /// What stands at a path.
    async fn stat(&self, path: &str) -> Result<Option<Entry>>;
    /// What kind of thing stands at a path, whatever its content.
    async fn exists(&self, path: &str) -> Result<Option<Kind>>;
}

impl Project for Call {
    async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        Call::list(self, query).await
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>> {
        Call::read(self, path).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        Call::stat(self, path).await
    }

    async fn exists(&self, path: &str) -> Result<Option<Kind>> {
        Call::exists(self, path).await
    }
}

impl Project for Task {
    async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        Task::list(self, query).await
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>> {
        Task::read(self, path).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        Task::stat(self, path).await
    }

    async fn exists(&self, path: &str) -> Result<Option<Kind>> {
        Task::exists(self, path).await
    }
}
