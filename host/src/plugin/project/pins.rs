//! What this run has seen, so that all of it sees the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

/// A sha-256.
pub(super) type Digest = [u8; 32];

/// Answers by question: file contents by path, listings by query.
///
/// The digest of each answer stays for the whole run, the answer itself while there is room; the one that was unused
/// longest goes first. An answer that had to be fetched again and is not the same is refused, so two workers never see
/// two versions of a file within one run.
#[derive(Debug)]
pub(super) struct Pins<V> {
    state: Mutex<State<V>>,
    /// Sum of the weights that are kept.
    room: u64,
    /// How many digests are kept.
    most: usize,
}

#[derive(Debug)]
struct State<V> {
    seen: HashMap<Digest, Digest>,
    kept: HashMap<Digest, Kept<V>>,
    by_age: BTreeMap<u64, Digest>,
    clock: u64,
    used: u64,
    lanes: HashMap<Digest, Arc<tokio::sync::Mutex<()>>>,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    weight: u64,
    age: u64,
}

/// An answer and its digest.
#[derive(Debug, Clone)]
pub(super) struct Pinned<V> {
    pub(super) value: V,
    pub(super) digest: Digest,
}

/// Whether an answer is worth pushing out older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    IfThereIsRoom,
}

/// Why an answer can't be pinned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unpinned {
    /// Another answer was seen before, and is no longer at hand.
    Different,
    /// There are too many questions.
    Full,
}

impl<V: Clone> Pins<V> {
    /// Keeps answers up to `room`, and the digests of `most` questions.
    pub(super) fn new(room: u64, most: usize) -> Self {
        let state = State {
            seen: HashMap::new(),
            kept: HashMap::new(),
            by_age: BTreeMap::new(),
            clock: 0,
            used: 0,
            lanes: HashMap::new(),
        };
        Self { state: Mutex::new(state), room, most }
    }

    /// The answer, if it is at hand.
    pub(super) fn get(&self, question: &str) -> Option<Pinned<V>> {
        self.lock().fetch(key(question))
    }

    /// Remembers an answer. If another one was given before, that one is returned.
    pub(super) fn pin(
        &self,
        question: &str,
        value: V,
        digest: Digest,
        weight: u64,
        keep: Keep,
    ) -> Result<Pinned<V>, Unpinned> {
        let key = key(question);
        let mut state = self.lock();
        match state.seen.get(&key) {
            Some(before) if *before != digest => return state.fetch(key).ok_or(Unpinned::Different),
            Some(_) => {}
            None if state.seen.len() >= self.most => return Err(Unpinned::Full),
            None => {
                state.seen.insert(key, digest);
            }
        }
        let fits = if keep == Keep::Yes { weight <= self.room } else { state.used + weight <= self.room };
        if fits && !state.kept.contains_key(&key) {
            state.clock += 1;
            let age = state.clock;
            state.kept.insert(key, Kept { value: value.clone(), weight, age });
            state.by_age.insert(age, key);
            state.used += weight;
            while state.used > self.room {
                let Some((_, oldest)) = state.by_age.pop_first() else { break };
                if let Some(gone) = state.kept.remove(&oldest) {
                    state.used -= gone.weight;
                }
            }
        }
        Ok(Pinned { value, digest })
    }

    /// Waits until nobody else is fetching the same answer.
    pub(super) async fn lane(&self, question: &str) -> Lane<'_, V> {
        let key = key(question);
        let lane = self.lock().lanes.entry(key).or_default().clone();
        Lane { _turn: lane.lock_owned().await, pins: self, key }
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        // Each change is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> State<V> {
    fn fetch(&mut self, key: Digest) -> Option<Pinned<V>> {
        let digest = *self.seen.get(&key)?;
        let kept = self.kept.get_mut(&key)?;
        self.by_age.remove(&kept.age);
        self.clock += 1;
        kept.age = self.clock;
        self.by_age.insert(kept.age, key);
        Some(Pinned { value: kept.value.clone(), digest })
    }
}

/// The right to fetch an answer alone. Given back when dropped.
#[derive(Debug)]
pub(super) struct Lane<'a, V: Clone> {
    _turn: tokio::sync::OwnedMutexGuard<()>,
    pins: &'a Pins<V>,
    key: Digest,
}

impl<V: Clone> Drop for Lane<'_, V> {
    fn drop(&mut self) {
        let mut state = self.pins.lock();
        // This one and the map's own: nobody waits.
        if state.lanes.get(&self.key).is_some_and(|lane| Arc::strong_count(lane) <= 2) {
            state.lanes.remove(&self.key);
        }
    }
}

fn key(question: &str) -> Digest {
    Sha256::digest(question.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(
        pins: &Pins<&'static str>,
        question: &str,
        value: &'static str,
        keep: Keep,
    ) -> Result<&'static str, Unpinned> {
        pins.pin(question, value, key(value), 4, keep).map(|pinned| pinned.value)
    }

    #[test]
    fn the_first_answer_stays_the_answer() {
        let pins = Pins::new(100, 100);
        assert_eq!(pin(&pins, "a", "one", Keep::Yes), Ok("one"));
        assert_eq!(pin(&pins, "a", "two", Keep::Yes), Ok("one"));
        assert_eq!(pins.get("a").unwrap().value, "one");
    }

    #[test]
    fn an_answer_that_went_and_came_back_different_is_refused() {
        let pins = Pins::new(8, 100);
        for question in ["a", "b", "c"] {
            assert_eq!(pin(&pins, question, "same", Keep::Yes), Ok("same"));
        }
        assert!(pins.get("a").is_none(), "the oldest went");
        assert_eq!(pin(&pins, "a", "two", Keep::Yes), Err(Unpinned::Different));
        assert_eq!(pin(&pins, "a", "same", Keep::Yes), Ok("same"));
    }

    #[test]
    fn what_was_used_last_stays_longest() {
        let pins = Pins::new(8, 100);
        pin(&pins, "a", "x", Keep::Yes).unwrap();
        pin(&pins, "b", "x", Keep::Yes).unwrap();
        assert!(pins.get("a").is_some());
        pin(&pins, "c", "x", Keep::Yes).unwrap();
        assert!(pins.get("a").is_some() && pins.get("b").is_none() && pins.get("c").is_some());
    }

    #[test]
    fn what_is_not_worth_it_pushes_nothing_out() {
        let pins = Pins::new(8, 100);
        pin(&pins, "a", "x", Keep::Yes).unwrap();
        pin(&pins, "b", "x", Keep::IfThereIsRoom).unwrap();
        pin(&pins, "c", "x", Keep::IfThereIsRoom).unwrap();
        assert!(pins.get("a").is_some() && pins.get("b").is_some() && pins.get("c").is_none());
    }

    #[test]
    fn the_number_of_questions_is_bounded() {
        let pins = Pins::new(8, 1);
        pin(&pins, "a", "x", Keep::Yes).unwrap();
        assert_eq!(pin(&pins, "b", "x", Keep::Yes), Err(Unpinned::Full));
        assert_eq!(pin(&pins, "a", "x", Keep::Yes), Ok("x"));
    }

    #[tokio::test]
    async fn lanes_are_given_back_and_leave_nothing_behind() {
        let pins: Pins<()> = Pins::new(1, 1);
        let first = pins.lane("a").await;
        let mut second = Box::pin(pins.lane("a"));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        assert!(pins.lock().lanes.is_empty());
    }
}
