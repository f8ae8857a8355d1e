//! What writes cassettes while a run goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Came, Cassette, Sent, SentKey};
use crate::backend::Request;
use crate::broker::Asker;
use crate::cache::Cached;
use crate::question::{Failure, FailureKind, Usage};

/// The most that is kept of the questions of a run, in bytes.
pub const MOST_BYTES: usize = 256 << 20;

/// More was asked than a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the questions and answers of the run are more than {} MiB", MOST_BYTES >> 20)]
pub struct TooMuch;

/// A question that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its number in the process: of one question asked several times, the order.
    pub id: u64,
    /// In whose name.
    pub asker: &'a Asker,
    /// Who was asked.
    pub role: &'a str,
    /// What was sent first.
    pub request: &'a Request,
    /// What it took.
    pub usage: Usage,
}

/// Remembers the questions of a run, and what came of each.
#[derive(Debug)]
pub struct Tape {
    most_bytes: usize,
    taped: Mutex<Taped>,
}

impl Default for Tape {
    fn default() -> Self {
        Self { most_bytes: MOST_BYTES, taped: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Taped {
    by_key: BTreeMap<SentKey, Track>,
    bytes: usize,
    overflown: bool,
}

#[derive(Debug)]
struct Track {
    item: String,
    role: String,
    request: Sent,
    answers: BTreeMap<u64, Came>,
}

impl Tape {
    /// Notes what came of a question. One that was given up because the run is being stopped has not come to anything.
    pub fn note(&self, asked: &Asked<'_>, result: Result<&Cached, &Failure>) {
        if result.is_err_and(|failure| failure.kind == FailureKind::Cancelled) {
            return;
        }
        let request = Sent::of(asked.request);
        let (key, came) = (request.key(), Came::of(result, asked.usage));
        let item = super::scrubbed(&asked.asker.item_id);
        let mut taped = self.taped.lock().unwrap_or_else(PoisonError::into_inner);
        let more = came.bytes() + if taped.by_key.contains_key(&key) { 0 } else { request.bytes() };
        if taped.bytes.saturating_add(more) > self.most_bytes {
            taped.overflown = true;
            return;
        }
        taped.bytes += more;
        let role = super::scrubbed(asked.role);
        let track = taped.by_key.entry(key).or_insert_with(|| Track {
            item: item.clone(),
            role,
            request,
            answers: BTreeMap::new(),
        });
        if item < track.item {
            track.item = item;
        }
        track.answers.insert(asked.id, came);
    }

    /// The cassettes, in the order of their items and digests.
    ///
    /// # Errors
    /// [`TooMuch`]: they would lack something.
    pub fn cassettes(&self) -> Result<Vec<Cassette>, TooMuch> {
        let taped = self.taped.lock().unwrap_or_else(PoisonError::into_inner);
        if taped.overflown {
            return Err(TooMuch);
        }
        let mut cassettes: Vec<Cassette> = taped
            .by_key
            .values()
            .map(|track| Cassette {
                item: track.item.clone(),
                role: track.role.clone(),
                request: track.request.clone(),
                answers: track.answers.values().cloned().collect(),
            })
            .collect();
        // It is stable: those of one item stay in the order of their digests.
        cassettes.sort_by(|one, other| one.item.cmp(&other.item));
        Ok(cassettes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Question;
    use crate::route::Route;

    fn note(tape: &Tape, id: u64, item: &str, prompt: &str, answer: Result<&str, FailureKind>) {
        let request = Route::default().request(&Question { prompt: prompt.to_owned(), ..Question::default() });
        let asker = Asker { command: "audit".into(), item: 0, item_id: item.into(), again: false };
        let asked = Asked { id, asker: &asker, role: "tester", request: &request, usage: Usage::default() };
        match answer {
            Ok(text) => {
                tape.note(&asked, Ok(&Cached { text: text.to_owned(), model: "m".to_owned(), edits: Vec::new() }))
            }
            Err(kind) => tape.note(&asked, Err(&Failure::new(kind, "no"))),
        }
    }

    #[test]
    fn the_same_question_has_its_answers_in_the_order_of_asking_whoever_ends_first() {
        let tape = Tape::default();
        note(&tape, 2, "b", "again", Ok("second"));
        note(&tape, 1, "a", "again", Ok("first"));
        note(&tape, 3, "c", "other", Err(FailureKind::Refused));
        note(&tape, 4, "c", "given up", Err(FailureKind::Cancelled));
        let cassettes = tape.cassettes().unwrap();
        assert_eq!(cassettes.iter().map(|one| one.item.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        let texts: Vec<String> = cassettes[0].answers.iter().map(|came| came.result().unwrap().unwrap().text).collect();
        assert_eq!(texts, ["first", "second"]);
        assert_eq!(cassettes[1].answers[0].result().unwrap().unwrap_err().kind, FailureKind::Refused);
    }

    #[test]
    fn what_does_not_fit_is_no_recording() {
        let tape = Tape { most_bytes: 3_000, ..Tape::default() };
        note(&tape, 1, "a", &"word ".repeat(400), Ok("yes"));
        assert_eq!(tape.cassettes().map(|all| all.len()), Ok(1));
        note(&tape, 2, "a", &"text ".repeat(400), Ok("yes"));
        assert_eq!(tape.cassettes(), Err(TooMuch));
    }
}
