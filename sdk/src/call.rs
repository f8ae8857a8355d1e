//! What the user typed.

use serde::de::DeserializeOwned;

use crate::bindings::convoke::plugin::project::{self, Entry, Kind, Match, Pattern, Query};
use crate::bindings::convoke::plugin::types::Invocation;
use crate::{Error, Fetch, Output, Process, Response, Result};

/// One call of the command: its arguments, and the project as `plan` sees it.
///
/// What an item reads goes through its [`Task`](crate::Task) instead, so that the host knows what its result depends
/// on.
pub struct Call {
    raw: Invocation,
}

impl Call {
    pub(crate) fn new(raw: Invocation) -> Self {
        Self { raw }
    }

    /// The subcommand that was typed, where the manifest declares some.
    pub fn subcommand(&self) -> Option<&str> {
        self.raw.subcommand.as_deref()
    }

    /// The arguments and options, by their names in `plugin.toml`.
    ///
    /// # Errors
    /// When they don't fit `T`: the manifest and the type disagree.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.raw.arguments).map_err(|error| {
            Error::new(format!("the arguments don't fit: {error}")).hint("compare plugin.toml with the type")
        })
    }

    /// The paths that the user typed. Empty: the whole project.
    pub fn paths(&self) -> &[String] {
        &self.raw.paths
    }

    /// The day of the run, UTC, as `2026-11-20`.
    pub fn today(&self) -> &str {
        &self.raw.today
    }

    /// The files that fit a query, sorted by path.
    ///
    /// # Errors
    /// When the folder is not there or a glob doesn't parse.
    pub async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        project::list(None, query.clone()).await
    }

    /// A whole file.
    ///
    /// # Errors
    /// When it is missing, a folder, too large, or outside the project.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        project::read(None, path.to_owned()).await
    }

    /// A whole file as text.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when it is not UTF-8.
    pub async fn read_text(&self, path: &str) -> Result<String> {
        utf8(path, self.read(path).await?)
    }

    /// What stands at a path.
    ///
    /// # Errors
    /// When the path is outside the project.
    pub async fn stat(&self, path: &str) -> Result<Option<Entry>> {
        project::stat(None, path.to_owned()).await
    }

    /// What kind of thing stands at a path.
    ///
    /// # Errors
    /// When the path is outside the project.
    pub async fn exists(&self, path: &str) -> Result<Option<Kind>> {
        project::exists(None, path.to_owned()).await
    }

    /// The lines that match, sorted by path and line.
    ///
    /// # Errors
    /// When the expression or a glob doesn't parse.
    pub async fn search(&self, pattern: &Pattern) -> Result<Vec<Match>> {
        project::search(None, pattern.clone()).await
    }

    /// Sends a request, where the user granted its host.
    ///
    /// # Errors
    /// As [`Task::fetch`](crate::Task::fetch).
    pub async fn fetch(&self, request: &Fetch) -> Result<Response> {
        request.send(None).await
    }

    /// Runs a program to look at something, where the user granted it.
    ///
    /// # Errors
    /// As those of [`Task::run`](crate::Task::run).
    pub async fn run(&self, process: &Process) -> Result<Output> {
        process.run(None).await
    }
}

/// Text, or an error that says where it stops to be text.
pub(crate) fn utf8(path: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::new(format!("{path} is not UTF-8 text: line {line}, byte {at}"))
    })
}
