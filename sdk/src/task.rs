//! One item in this worker's hands.

use std::cell::Cell;

use futures::{StreamExt, stream::LocalBoxStream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::{Answer, Question};
use crate::bindings::convoke::plugin::project::{self, Entry, Kind, Match, Pattern, Query};
use crate::bindings::convoke::plugin::types::{self, Event};
use crate::bindings::convoke::plugin::worker;
use crate::call::utf8;
use crate::{Error, Failure, FailureKind, Fetch, Item, Output, Partial, Process, Response, Result};

/// An item in this worker's hands. Everything is done in its name: what it costs, reads and asks is counted there.
pub struct Task {
    raw: worker::Task,
    item: Item,
    /// The shortest lifetime of what came from outside: none, nothing did; `Some(None)`, something has none.
    outside: Cell<Option<Option<u64>>>,
}

impl Task {
    pub(crate) fn new(raw: worker::Task) -> Self {
        let item = raw.item();
        Self { raw, item, outside: Cell::new(None) }
    }

    /// The item, as it was planned.
    pub fn item(&self) -> &Item {
        &self.item
    }

    /// The item's id.
    pub fn id(&self) -> &str {
        &self.item.id
    }

    /// What `plan` gave the item with [`Item::input`].
    ///
    /// # Errors
    /// When it doesn't fit `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.item.input)
            .map_err(|error| Error::new(format!("the input of {} doesn't fit: {error}", self.item.id)))
    }

    /// Asks for an answer of type `T`; its schema goes with the question. Several may be asked at once, with
    /// `futures::join!`.
    ///
    /// # Errors
    /// The question's failure, when nobody answered and it has no fallback.
    pub async fn ask<T: DeserializeOwned + schemars::JsonSchema>(
        &self,
        question: Question,
    ) -> Result<Answer<T>, Failure> {
        self.ask_typed(question.with_schema::<T>()).await
    }

    /// As [`ask`](Self::ask), with the JSON Schema of `T` as a text that was made before: making it from the type takes 60 kB of a
    /// component. [`schema_text`](crate::schema_text) is that text, for the test that compares them.
    ///
    /// # Errors
    /// As those of [`ask`](Self::ask); the host refuses a schema that is none.
    pub async fn ask_by_schema<T: DeserializeOwned>(
        &self,
        question: Question,
        schema: &str,
    ) -> Result<Answer<T>, Failure> {
        self.ask_typed(question.with_schema_text(schema)).await
    }

    async fn ask_typed<T: DeserializeOwned>(&self, question: types::Question) -> Result<Answer<T>, Failure> {
        let reply = self.raw.ask(self.asked(question)).await?;
        let value = serde_json::from_str(&reply.text).map_err(|error| {
            Failure::new(FailureKind::Refused, format!("the answer does not fit its type: {error}"))
        })?;
        Ok(Answer { value, by: reply.by, usage: reply.usage })
    }

    /// Asks for free text.
    ///
    /// # Errors
    /// The question's failure, when nobody answered and it has no fallback.
    pub async fn ask_text(&self, question: Question) -> Result<Answer<String>, Failure> {
        let reply = self.raw.ask(self.asked(question.free())).await?;
        Ok(Answer { value: reply.text, by: reply.by, usage: reply.usage })
    }

    /// Asks for free text, and shows it while it is written. The stream ends before the answer comes.
    pub async fn open(
        &self,
        question: Question,
    ) -> (LocalBoxStream<'static, Event>, impl Future<Output = Result<Answer<String>, Failure>>) {
        let (events, reply) = self.raw.open(self.asked(question.free())).await;
        let events = futures::stream::unfold(
            (events, Vec::new().into_iter()),
            |(mut events, mut batch): (_, std::vec::IntoIter<Event>)| async move {
                loop {
                    if let Some(event) = batch.next() {
                        return Some((event, (events, batch)));
                    }
                    let (status, read) = events.read(Vec::with_capacity(64)).await;
                    if read.is_empty() && !matches!(status, wit_bindgen::rt::async_support::StreamResult::Complete(_)) {
                        return None;
                    }
                    batch = read.into_iter();
                }
            },
        );
        let answer = async move {
            let reply = reply.await?;
            Ok(Answer { value: reply.text, by: reply.by, usage: reply.usage })
        };
        (events.boxed_local(), answer)
    }

    /// The partial of an item of `after`, or of one that this item [added](Self::add); waits until that one has ended.
    ///
    /// # Errors
    /// When it is neither.
    pub async fn result_of(&self, id: &str) -> Result<Option<Partial>> {
        self.raw.result_of(id.to_owned()).await
    }

    /// Adds items to the run.
    ///
    /// # Errors
    /// When they are too many or too deep, or an id exists already.
    pub async fn add(&self, items: Vec<Item>) -> Result<()> {
        self.raw.add(items).await
    }

    /// For the terminal: from 0.0 to 1.0, and what is going on.
    pub fn progress(&self, done: f32, note: &str) {
        self.raw.progress(done, note);
    }

    /// The files that fit a query, sorted by path.
    ///
    /// # Errors
    /// When the folder is not there or a glob doesn't parse.
    pub async fn list(&self, query: &Query) -> Result<Vec<Entry>> {
        project::list(Some(&self.raw), query.clone()).await
    }

    /// A whole file.
    ///
    /// # Errors
    /// When it is missing, a folder, too large, or outside the project.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        project::read(Some(&self.raw), path.to_owned()).await
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
        project::stat(Some(&self.raw), path.to_owned()).await
    }

    /// What kind of thing stands at a path, without depending on its content.
    ///
    /// # Errors
    /// When the path is outside the project.
    pub async fn exists(&self, path: &str) -> Result<Option<Kind>> {
        project::exists(Some(&self.raw), path.to_owned()).await
    }

    /// The lines that match, sorted by path and line.
    ///
    /// # Errors
    /// When the expression or a glob doesn't parse.
    pub async fn search(&self, pattern: &Pattern) -> Result<Vec<Match>> {
        project::search(Some(&self.raw), pattern.clone()).await
    }

    /// Runs a program to look at something, where the user granted it. What it found can't be looked at again, so a later
    /// run uses the item's result only within the [lifetime](Process::lifetime) that it has.
    ///
    /// # Errors
    /// When it is not granted, not found, was ended because it took too long or printed too much, or by a signal. An exit
    /// code that is not 0 is none: see [`Output::checked`](crate::Output::checked).
    pub async fn run(&self, process: &Process) -> Result<Output> {
        self.went_outside(process.lifetime_s());
        process.run(Some(&self.raw)).await
    }

    /// Sends a request, where the user granted its host.
    ///
    /// # Errors
    /// When it is not granted, can't be sent, or there is no whole answer. A status of HTTP is none: see
    /// [`Response::checked`](crate::Response::checked).
    pub async fn fetch(&self, request: &Fetch) -> Result<Response> {
        self.went_outside(request.lifetime_s());
        request.send(Some(&self.raw)).await
    }

    /// What Claude's tools read is not known: it has no lifetime.
    fn asked(&self, question: types::Question) -> types::Question {
        if !question.tools.is_empty() {
            self.went_outside(None);
        }
        question
    }

    /// Notes that the item's result rests on what can't be looked at again, and for how many seconds that is good.
    pub(crate) fn went_outside(&self, lifetime_s: Option<u64>) {
        self.outside.set(Some(shorter(self.outside.get(), lifetime_s)));
    }

    pub(crate) fn raw(&self) -> &worker::Task {
        &self.raw
    }

    pub(crate) async fn finish(&self, mut partial: Partial) -> Result<()> {
        partial.lifetime_s = partial.lifetime_s.or(self.outside.get().flatten());
        self.raw.finish(partial).await
    }
}

/// For how long a result is good that rests on several fetches: as long as all of them are.
fn shorter(before: Option<Option<u64>>, lifetime: Option<u64>) -> Option<u64> {
    match before {
        None => lifetime,
        Some(before) => before.zip(lifetime).map(|(before, lifetime)| before.min(lifetime)),
    }
}

/// A value as the JSON that travels between plugin and host.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    // Only a map with keys that are not text, or a failing `Serialize`, gets here: an author's mistake, shown by the
    // host as a value that doesn't parse.
    serde_json::to_string(value).unwrap_or_else(|error| format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_as_good_as_the_shortest_of_its_fetches() {
        let of = |all: &[Option<u64>]| all.iter().fold(None, |before, one| Some(shorter(before, *one))).flatten();
        assert_eq!(of(&[Some(60), Some(10), Some(30)]), Some(10));
        assert_eq!(of(&[Some(60), None, Some(30)]), None);
        assert_eq!(of(&[]), None);
    }
}
