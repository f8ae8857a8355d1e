//! The backend that answers as a recorded run was answered.
//!
//! It sends nothing and costs nothing. A question finds its answer by all that is sent of it, whatever the order and
//! however many at once; asked several times it gets its recorded answers in turn, then the last one again. A question
//! that was not recorded fails as [`FailureKind::NotRecorded`], and the failure says how the nearest one differs.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Answer, Backend, Instance, Listener, Profile, Request};
use crate::cassette::{Came, Cassette, Sent, SentKey};
use crate::question::{Failure, FailureKind, StreamEvent, Usage};

/// How much of a line is shown, in characters.
const SHOWN: usize = 120;

/// Answers from cassettes.
#[derive(Clone, Debug)]
pub struct Replay(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    has_model: bool,
    tracks: BTreeMap<SentKey, Track>,
    /// What misses are compared with; made when the first one comes.
    features: OnceLock<Vec<Features>>,
}

#[derive(Debug)]
struct Track {
    cassette: Cassette,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Features {
    key: SentKey,
    parts: Vec<(&'static str, String)>,
    lines: HashSet<u64>,
}

impl Replay {
    /// For a run in which a model was asked, or none was to be had. Of two cassettes of the same question, the answers
    /// of the second follow those of the first.
    pub fn new(cassettes: Vec<Cassette>, has_model: bool) -> Self {
        let mut tracks: BTreeMap<SentKey, Track> = BTreeMap::new();
        for cassette in cassettes {
            match tracks.entry(cassette.request.key()) {
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    known.get_mut().cassette.answers.extend(cassette.answers);
                }
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(Track { cassette, next: AtomicUsize::new(0) });
                }
            }
        }
        Self(Arc::new(Shelf { has_model, tracks, features: OnceLock::new() }))
    }

    /// How many of the recorded questions nobody has asked so far.
    pub fn unasked(&self) -> usize {
        self.0.tracks.values().filter(|track| track.next.load(Ordering::Relaxed) == 0).count()
    }

    fn answer(&self, request: &Request) -> Result<Answer, Failure> {
        let sent = Sent::of(request);
        let Some(track) = self.0.tracks.get(&sent.key()) else {
            return Err(Failure::new(FailureKind::NotRecorded, self.0.miss(&sent)));
        };
        let number = track.next.fetch_add(1, Ordering::Relaxed);
        let came = track.cassette.answers.get(number).or(track.cassette.answers.last());
        let broken = |fault: &str| {
            let message = format!("the recording of {} can't be used: {fault}", shown(&track.cassette.item));
            Failure::new(FailureKind::Malformed, message)
        };
        let cached = came.map(Came::result).ok_or_else(|| broken("it has no answers"))?.map_err(broken)??;
        Ok(Answer {
            text: cached.text,
            model: cached.model,
            usage: Usage::default(),
            truncated: false,
            limits: None,
            edits: cached.edits,
        })
    }
}

impl Backend for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn has_model(&self) -> bool {
        self.0.has_model
    }

    fn account(&self) -> &str {
        "replay"
    }

    fn replays(&self) -> bool {
        true
    }

    fn start<'a>(&'a self, _: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        let player: Box<dyn Instance> = Box::new(Player(self.clone()));
        std::future::ready(Ok(player)).boxed()
    }
}

struct Player(Replay);

impl Instance for Player {
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        async move {
            let answer = self.0.answer(request)?;
            listener(StreamEvent::Started);
            listener(StreamEvent::Text(answer.text.clone()));
            Ok(answer)
        }
        .boxed()
    }

    fn survived(&self) -> bool {
        true
    }
}

impl Shelf {
    /// Says what the nearest recorded question is, and where it differs first.
    fn miss(&self, asked: &Sent) -> String {
        let features = self.features.get_or_init(|| {
            self.tracks.iter().map(|(key, track)| Features::of(*key, track.cassette.request.parts())).collect()
        });
        let asked = asked.parts();
        let nearest = features.iter().max_by_key(|one| one.likeness(&asked));
        let Some((nearest, track)) = nearest.and_then(|one| Some((one, self.tracks.get(&one.key)?))) else {
            return "this question was not recorded: the recording has no questions".to_owned();
        };
        format!(
            "this question was not recorded; the nearest one is of {} for {}: {}",
            shown(&track.cassette.role),
            shown(&track.cassette.item),
            difference(&nearest.parts, &asked)
        )
    }
}

impl Features {
    fn of(key: SentKey, parts: Vec<(&'static str, String)>) -> Self {
        let lines = lines(&parts).map(|(hash, _)| hash).collect();
        Self { key, parts, lines }
    }

    /// How many bytes of lines they have in common, then how many parts, then how far the prompts go together from
    /// both ends.
    fn likeness(&self, asked: &[(&'static str, String)]) -> (usize, usize, usize) {
        let common = lines(asked).filter(|(hash, _)| self.lines.contains(hash)).map(|(_, bytes)| bytes).sum();
        let equal = asked.iter().filter(|part| self.parts.contains(part)).count();
        let (mine, theirs) = (part(&self.parts, "prompt"), part(asked, "prompt"));
        let (mine, theirs) = (mine.unwrap_or_default().as_bytes(), theirs.unwrap_or_default().as_bytes());
        let head = mine.iter().zip(theirs).take_while(|(one, other)| one == other).count();
        let tail = mine.iter().rev().zip(theirs.iter().rev()).take_while(|(one, other)| one == other).count();
        (common, equal, head + tail)
    }
}

fn lines<'a>(parts: &'a [(&'static str, String)]) -> impl Iterator<Item = (u64, usize)> + 'a {
    parts.iter().flat_map(|(name, text)| {
        text.lines().map(move |line| {
            let mut hasher = DefaultHasher::new();
            (name, line).hash(&mut hasher);
            (hasher.finish(), line.len())
        })
    })
}

fn part<'a>(parts: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    parts.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
}

/// The first part, and in it the first line, in which two questions differ.
fn difference(recorded: &[(&'static str, String)], asked: &[(&'static str, String)]) -> String {
    for name in ["model", "system", "context", "prompt", "schema", "tools", "max_output_tokens"] {
        match (part(recorded, name), part(asked, name)) {
            (one, other) if one == other => {}
            (None, Some(_)) => return format!("it had no {name}, and this one has"),
            (Some(_), None) => return format!("it had a {name}, and this one has none"),
            (one, other) => return in_line(name, one.unwrap_or_default(), other.unwrap_or_default()),
        }
    }
    // Parts that are equal one by one have equal digests.
    "it is the same".to_owned()
}

fn in_line(name: &str, recorded: &str, asked: &str) -> String {
    let (mut one, mut other) = (recorded.split('\n'), asked.split('\n'));
    let mut number = 0;
    loop {
        number += 1;
        match (one.next(), other.next()) {
            (Some(one), Some(other)) if one == other => {}
            (Some(recorded), Some(asked)) => {
                // Where a line is long, what differs in it must be among what is shown.
                let same = recorded.chars().zip(asked.chars()).take_while(|(one, other)| one == other).count();
                let from = if same > SHOWN / 2 { same - SHOWN / 4 } else { 0 };
                let (recorded, asked) = (shown_from(recorded, from), shown_from(asked, from));
                return format!("its {name} differs in line {number}: recorded `{recorded}`, asked `{asked}`");
            }
            (Some(line), None) => return format!("its {name} goes on in line {number}: recorded `{}`", shown(line)),
            (None, Some(line)) => return format!("its {name} ends before line {number}: asked `{}`", shown(line)),
            (None, None) => return format!("its {name} differs"),
        }
    }
}

fn shown(text: &str) -> String {
    shown_from(text, 0)
}

/// A part of a text that does nothing to a terminal.
fn shown_from(text: &str, from: usize) -> String {
    let mut end = String::new();
    let start = if from > 0 { "…" } else { "" };
    let mut characters = text.chars().skip(from);
    let part: String = characters.by_ref().take(SHOWN).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        end.push('…');
    }
    format!("{start}{}{end}", part.replace("\\'", "'").replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cached;
    use crate::question::Question;
    use crate::route::Route;

    fn request(prompt: &str) -> Request {
        Route::default().request(&Question { prompt: prompt.to_owned(), ..Question::default() })
    }

    fn cassette(item: &str, prompt: &str, answers: &[Result<&str, FailureKind>]) -> Cassette {
        let came = |answer: &Result<&str, FailureKind>| match answer {
            Ok(text) => Came::of(
                Ok(&Cached { text: (*text).to_owned(), model: "m".to_owned(), edits: Vec::new() }),
                Usage::default(),
            ),
            Err(kind) => Came::of(Err(&Failure::new(kind.clone(), "as recorded")), Usage::default()),
        };
        Cassette {
            item: item.to_owned(),
            role: "tester".to_owned(),
            request: Sent::of(&request(prompt)),
            answers: answers.iter().map(came).collect(),
        }
    }

    fn texts(replay: &Replay, prompt: &str, times: usize) -> Vec<String> {
        (0..times).map(|_| replay.answer(&request(prompt)).unwrap().text).collect()
    }

    #[test]
    fn a_question_gets_its_answers_in_turn_then_the_last_again() {
        let replay =
            Replay::new(vec![cassette("a", "one", &[Ok("1"), Ok("2")]), cassette("b", "two", &[Ok("3")])], true);
        assert_eq!(replay.unasked(), 2);
        assert_eq!(texts(&replay, "one", 1), ["1"]);
        assert_eq!(texts(&replay, "two", 1), ["3"]);
        assert_eq!(texts(&replay, "one", 3), ["2", "2", "2"]);
        assert_eq!(replay.unasked(), 0);
    }

    #[test]
    fn two_cassettes_of_one_question_follow_each_other() {
        let replay = Replay::new(vec![cassette("a", "one", &[Ok("1")]), cassette("b", "one", &[Ok("2")])], true);
        assert_eq!(texts(&replay, "one", 2), ["1", "2"]);
    }

    #[test]
    fn a_recorded_failure_is_the_same_failure() {
        let replay = Replay::new(vec![cassette("a", "one", &[Err(FailureKind::Overloaded)])], true);
        let failure = replay.answer(&request("one")).unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Overloaded, "as recorded"));
    }

    #[test]
    fn a_miss_names_the_nearest_question_and_the_first_line_that_differs() {
        let body = "the same long body of text\nthat both have\n";
        let recorded = vec![
            cassette("agents/a.md", &format!("Review a.\n{body}of a"), &[Ok("1")]),
            cassette("agents/b.md", "Review b.\nquite another text", &[Ok("2")]),
        ];
        let replay = Replay::new(recorded, true);
        let failure = replay.answer(&request(&format!("Review a.\n{body}of \u{1b}[2Ja"))).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotRecorded);
        assert_eq!(
            failure.message,
            "this question was not recorded; the nearest one is of tester for agents/a.md: its prompt differs in line \
             4: recorded `of a`, asked `of \\u{1b}[2Ja`"
        );
        let model = Request { model: "another".to_owned(), ..request("Review b.\nquite another text") };
        let message = replay.answer(&model).unwrap_err().message;
        assert!(message.contains("for agents/b.md: its model differs in line 1: recorded `claude-"), "{message}");
    }

    #[test]
    fn what_differs_late_in_a_long_line_is_shown_and_not_the_whole_line() {
        let (one, other) = (format!("{}x", "word ".repeat(1_000)), format!("{}y", "word ".repeat(1_000)));
        let told = in_line("prompt", &one, &other);
        assert!(told.contains("word x`") && told.contains("word y`") && told.len() < 400, "{told}");
    }

    #[test]
    fn an_empty_recording_says_so() {
        let failure = Replay::new(Vec::new(), true).answer(&request("one")).unwrap_err();
        assert!(failure.message.contains("has no questions"), "{}", failure.message);
    }
}
