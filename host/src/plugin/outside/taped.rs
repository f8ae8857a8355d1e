//! What left the sandbox in a run that is recorded, and is answered from the recording in a replay.
//!
//! A call is known by its kind, by the item in whose name it was made, and by all that it asked. One that was made
//! several times gets its answers in their order, and the last one for ever. Credentials are removed from what is
//! written, and before a call is compared, so that a replay needs none.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_runtime::cassette::scrub;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wit;
use crate::plugin::printable;
use crate::plugin::project::Recorder;

/// The most that is kept of what a run got from outside, in bytes.
pub const MOST_BYTES: usize = 256 << 20;

/// So many misses are remembered.
const MOST_MISSED: usize = 100;

/// Whether calls are written down, or answered from what was.
#[derive(Clone, Debug, Default)]
pub enum Tape {
    /// Neither.
    #[default]
    Off,
    /// They are written down.
    Record(Calls),
    /// They are answered from what was written down, and never made.
    Replay(Calls),
}

/// The calls of a run. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    tracks: BTreeMap<String, Track>,
    bytes: usize,
    overflown: bool,
    missed: Vec<String>,
}

#[derive(Debug)]
struct Track {
    call: TapedCall,
    /// Which answer is next, in a replay.
    next: usize,
}

/// A call, and what came of it each time, as it stands in a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TapedCall {
    /// The interface: `http`, `process`.
    pub kind: String,
    /// In whose name; none: for the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What was asked.
    pub asked: Value,
    /// What came of it, in order; at least one.
    pub answers: Vec<TapedAnswer>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum TapedAnswer {
    /// The answer.
    Found(Value),
    /// Why there is none.
    Error {
        /// What the plugin was told.
        message: String,
        /// What it was advised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// A recording that would lack something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the run got from programs and hosts is more than {} MiB", MOST_BYTES >> 20)]
pub struct TooMuch;

/// What can be written down as JSON and read again.
pub(super) trait Taped: Sized {
    /// As it is written down.
    fn to_tape(&self) -> Value;

    /// As it was written down.
    ///
    /// # Errors
    /// In words: it is not one.
    fn of_tape(value: &Value) -> Result<Self, String>;
}

/// A call that may be on tape.
pub(super) struct Asked<'a> {
    /// The interface: `http`, `process`.
    pub(super) kind: &'static str,
    /// In whose name; none: for the plan.
    pub(super) item: Option<&'a str>,
    /// All that is asked.
    pub(super) what: Value,
    /// The same in a few words, for who is told that it was not recorded.
    pub(super) words: String,
}

impl Tape {
    /// Makes a call and writes it down, or answers it from what was written down. `real` is polled only where the call
    /// is to be made.
    ///
    /// # Errors
    /// What the call gave then; in a replay also that it was not recorded, which the item's recorder notes.
    pub(super) async fn through<T: Taped>(
        &self,
        asked: Asked<'_>,
        recorder: Option<&Recorder>,
        real: impl Future<Output = Result<T, wit::Error>>,
    ) -> Result<T, wit::Error> {
        match self {
            Self::Off => real.await,
            Self::Record(calls) => {
                let result = real.await;
                calls.write(asked, &result);
                result
            }
            Self::Replay(calls) => calls.serve(asked, recorder),
        }
    }

    /// What a replay was asked since the last call and has no record of.
    pub fn take_missed(&self) -> Vec<String> {
        match self {
            Self::Replay(calls) => std::mem::take(&mut calls.lock().missed),
            Self::Off | Self::Record(_) => Vec::new(),
        }
    }
}

impl Calls {
    /// From a recording.
    pub fn of(recorded: Vec<TapedCall>) -> Self {
        let tracks = recorded.into_iter().map(|call| {
            let key = key(&call.kind, call.item.as_deref(), &call.asked);
            (key, Track { call, next: 0 })
        });
        Self(Arc::new(Mutex::new(Seen { tracks: tracks.collect(), ..Seen::default() })))
    }

    /// All that was written down, in order.
    ///
    /// # Errors
    /// It was too much.
    pub fn recorded(&self) -> Result<Vec<TapedCall>, TooMuch> {
        let seen = self.lock();
        if seen.overflown {
            return Err(TooMuch);
        }
        Ok(seen.tracks.values().map(|track| track.call.clone()).collect())
    }

    fn write<T: Taped>(&self, asked: Asked<'_>, result: &Result<T, wit::Error>) {
        let Asked { kind, item, what: mut asked, .. } = asked;
        scrub(&mut asked);
        let mut answer = match result {
            Ok(found) => found.to_tape(),
            Err(error) => serde_json::json!([error.message, error.hint]),
        };
        scrub(&mut answer);
        let key = key(kind, item, &asked);
        let bytes = answer.to_string().len();
        let answer = match result {
            Ok(_) => TapedAnswer::Found(answer),
            Err(_) => TapedAnswer::Error {
                message: answer[0].as_str().unwrap_or_default().to_owned(),
                hint: answer[1].as_str().map(str::to_owned),
            },
        };
        let mut seen = self.lock();
        seen.bytes = seen.bytes.saturating_add(bytes + key.len());
        if seen.bytes > MOST_BYTES {
            seen.overflown = true;
            return;
        }
        let call = || TapedCall { kind: kind.to_owned(), item: item.map(str::to_owned), asked, answers: Vec::new() };
        let track = seen.tracks.entry(key).or_insert_with(|| Track { call: call(), next: 0 });
        track.call.answers.push(answer);
    }

    fn serve<T: Taped>(&self, asked: Asked<'_>, recorder: Option<&Recorder>) -> Result<T, wit::Error> {
        let Asked { kind, item, what: mut asked, words } = asked;
        scrub(&mut asked);
        let mut seen = self.lock();
        if let Some(track) = seen.tracks.get_mut(&key(kind, item, &asked)) {
            let place = track.next.min(track.call.answers.len().saturating_sub(1));
            track.next += 1;
            let broken = |why: String| wit::Error { message: format!("the recording is broken: {why}"), hint: None };
            return match track.call.answers.get(place) {
                Some(TapedAnswer::Found(found)) => T::of_tape(found).map_err(broken),
                Some(TapedAnswer::Error { message, hint }) => {
                    Err(wit::Error { message: printable(message, 1_000), hint: hint.clone() })
                }
                None => Err(broken("a call has no answer".to_owned())),
            };
        }
        let what = printable(&words, 300);
        if seen.missed.len() < MOST_MISSED {
            seen.missed.push(what.clone());
        }
        drop(seen);
        let message = format!("{what} was not recorded");
        if let Some(recorder) = recorder {
            recorder.miss(message.clone());
        }
        Err(wit::Error { message, hint: Some("record it again".to_owned()) })
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes two calls the same.
fn key(kind: &str, item: Option<&str>, asked: &Value) -> String {
    serde_json::json!([item, kind, asked]).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Text(String);

    impl Taped for Text {
        fn to_tape(&self) -> Value {
            json!(self.0)
        }

        fn of_tape(value: &Value) -> Result<Self, String> {
            value.as_str().map(|text| Self(text.to_owned())).ok_or_else(|| "no text".to_owned())
        }
    }

    fn asked<'a>(item: Option<&'a str>, what: &str) -> Asked<'a> {
        Asked { kind: "http", item, what: json!({ "url": what }), words: format!("the request {what}") }
    }

    async fn made(tape: &Tape, item: Option<&str>, what: &str, answer: Result<&str, &str>) -> Result<Text, String> {
        let real = async {
            let error = |message: &str| wit::Error { message: message.to_owned(), hint: Some("do".to_owned()) };
            answer.map(|text| Text(text.to_owned())).map_err(error)
        };
        tape.through(asked(item, what), None, real).await.map_err(|error| error.message)
    }

    fn text(text: &str) -> Result<Text, String> {
        Ok(Text(text.to_owned()))
    }

    #[tokio::test]
    async fn each_item_gets_its_own_answers_again_in_their_order() {
        let calls = Calls::default();
        let tape = Tape::Record(calls.clone());
        for answer in ["one", "two"] {
            made(&tape, Some("a"), "x", Ok(answer)).await.unwrap();
        }
        made(&tape, Some("b"), "x", Ok("other")).await.unwrap();
        made(&tape, None, "x", Err("the host is away")).await.unwrap_err();
        let written = serde_json::to_string(&calls.recorded().unwrap()).unwrap();
        let again = Tape::Replay(Calls::of(serde_json::from_str(&written).unwrap()));
        let real = Ok("never asked");
        assert_eq!(made(&again, Some("b"), "x", real).await, text("other"));
        for expected in ["one", "two", "two"] {
            assert_eq!(made(&again, Some("a"), "x", real).await, text(expected));
        }
        assert_eq!(made(&again, None, "x", real).await, Err("the host is away".to_owned()));
        assert!(again.take_missed().is_empty());
    }

    #[tokio::test]
    async fn what_was_not_recorded_is_not_made_and_is_said() {
        let again = Tape::Replay(Calls::default());
        let recorder = Recorder::new();
        let real = async { Err(wit::Error { message: "it was made".to_owned(), hint: None }) };
        let missed = again.through::<Text>(asked(Some("a"), "x"), Some(&recorder), real).await.unwrap_err();
        assert_eq!(missed.message, "the request x was not recorded");
        assert_eq!(recorder.missed().as_deref(), Some("the request x was not recorded"));
        assert_eq!(again.take_missed(), ["the request x"]);
        assert!(again.take_missed().is_empty());
    }

    #[tokio::test]
    async fn no_credential_is_on_tape_and_none_is_needed_to_replay() {
        // Put together here, so that it stands in no file.
        let secret = ["gh", "p_", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o"].concat();
        let calls = Calls::default();
        let url = format!("https://a.example/?token={secret}");
        made(&Tape::Record(calls.clone()), None, &url, Ok(&format!("it is {secret}"))).await.unwrap();
        made(&Tape::Record(calls.clone()), None, "y", Err(&format!("not {secret}"))).await.unwrap_err();
        let written = serde_json::to_string(&calls.recorded().unwrap()).unwrap();
        assert!(!written.contains(&secret), "{written}");
        let again = Tape::Replay(Calls::of(calls.recorded().unwrap()));
        assert!(made(&again, None, &url, Ok("never asked")).await.unwrap().0.starts_with("it is "));
    }
}
