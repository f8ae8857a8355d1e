//! Answers of this run to questions that may be asked twice.
//!
//! An item that is tried again on another worker doesn't pay twice, and of several identical questions at the same
//! time one is sent: the others wait for its end. If it fails they fail with it, instead of each repeating its
//! attempts; if it is dropped, one of them takes its place.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::backend::Request;
use crate::question::Failure;
use crate::work::Edit;

/// The version of the key's encoding.
const KEY_VERSION: u64 = 2;

/// What is counted for an entry beside its text, in bytes.
const ENTRY_BYTES: usize = 256;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its text, checked against the schema.
    pub text: String,
    /// The model that gave it.
    pub model: String,
    /// What its tools would change.
    pub edits: Vec<Edit>,
}

type Landed = Result<Arc<Cached>, Failure>;

/// A digest of all that shapes an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a request.
    pub fn of(request: &Request) -> Self {
        let Request { model, system, context, prompt, schema, tools, mcp, max_output_tokens, timeout: _, stall: _ } =
            request;
        let mut digest = Sha256::new();
        let text = |digest: &mut Sha256, value: &str| {
            digest.update((value.len() as u64).to_le_bytes());
            digest.update(value.as_bytes());
        };
        text(&mut digest, model);
        text(&mut digest, system);
        text(&mut digest, prompt);
        let schema = schema.as_ref().map(ToString::to_string);
        for optional in [context.as_deref(), schema.as_deref(), mcp.as_deref()] {
            text(&mut digest, if optional.is_some() { "some" } else { "none" });
            text(&mut digest, optional.unwrap_or_default());
        }
        for tool in tools {
            text(&mut digest, tool);
        }
        for value in [tools.len() as u64, u64::from(*max_output_tokens), KEY_VERSION] {
            digest.update(value.to_le_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// The answers of a run.
pub struct Cache {
    entries: Mutex<Entries>,
    most_bytes: usize,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Key, Entry>,
    /// The answers, the oldest first.
    order: VecDeque<Key>,
    bytes: usize,
}

enum Entry {
    Here(Arc<Cached>),
    Flying(watch::Receiver<Option<Landed>>),
}

/// What the cache has.
pub enum Found<'a> {
    /// The answer, or the failure of the identical question that was under way.
    Landed(Landed),
    /// Nothing: send it, and say how it went.
    Send(Flight<'a>),
}

/// A question under way, for which identical ones wait. Dropped without [`land`](Self::land), another takes its place.
pub struct Flight<'a> {
    cache: &'a Cache,
    key: Key,
    sender: Option<watch::Sender<Option<Landed>>>,
}

impl Cache {
    /// Keeps at most so many bytes of answers, the oldest go. 0: only identical questions at the same time are joined.
    pub fn new(most_bytes: usize) -> Self {
        Self { entries: Mutex::default(), most_bytes }
    }

    /// Looks up an answer; waits for it where an identical question is under way.
    pub async fn look_up(&self, key: Key) -> Found<'_> {
        loop {
            let mut flying = {
                let mut entries = self.lock();
                match entries.by_key.get(&key) {
                    Some(Entry::Here(cached)) => return Found::Landed(Ok(cached.clone())),
                    // A flight whose sender is gone was dropped: its entry is ours.
                    Some(Entry::Flying(receiver)) if receiver.has_changed().is_ok() => receiver.clone(),
                    _ => {
                        let (sender, receiver) = watch::channel(None);
                        entries.by_key.insert(key, Entry::Flying(receiver));
                        return Found::Send(Flight { cache: self, key, sender: Some(sender) });
                    }
                }
            };
            if let Ok(landed) = flying.wait_for(Option::is_some).await
                && let Some(landed) = landed.clone()
            {
                return Found::Landed(landed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// Tells those who wait how it went, and keeps an answer.
    pub fn land(mut self, landed: Landed) {
        let Some(sender) = self.sender.take() else { return };
        {
            let mut entries = self.cache.lock();
            match &landed {
                Ok(cached) => entries.keep(self.key, cached.clone(), self.cache.most_bytes),
                Err(_) => entries.forget(&self.key),
            }
        }
        sender.send_replace(Some(landed));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.cache.lock().forget(&self.key);
        }
    }
}

impl Entries {
    fn forget(&mut self, key: &Key) {
        self.by_key.remove(key);
    }

    fn keep(&mut self, key: Key, cached: Arc<Cached>, most_bytes: usize) {
        let size = cached.text.len() + ENTRY_BYTES;
        if size > most_bytes {
            self.forget(&key);
            return;
        }
        self.bytes += size;
        self.by_key.insert(key, Entry::Here(cached));
        self.order.push_back(key);
        while self.bytes > most_bytes
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(Entry::Here(cached)) = self.by_key.remove(&oldest) {
                self.bytes -= cached.text.len() + ENTRY_BYTES;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use serde_json::json;

    use super::*;
    use crate::question::{FailureKind, Question};
    use crate::route::Route;

    fn request(prompt: &str) -> Request {
        Route::default().request(&Question { prompt: prompt.to_owned(), ..Question::default() })
    }

    fn cached(text: &str) -> Arc<Cached> {
        Arc::new(Cached { text: text.to_owned(), model: "m".to_owned(), edits: Vec::new() })
    }

    async fn flight(cache: &Cache, key: Key) -> Flight<'_> {
        match cache.look_up(key).await {
            Found::Send(flight) => flight,
            Found::Landed(landed) => panic!("{landed:?}"),
        }
    }

    async fn landed(cache: &Cache, key: Key) -> Landed {
        match cache.look_up(key).await {
            Found::Landed(landed) => landed,
            Found::Send(_) => panic!("nothing was there"),
        }
    }

    #[test]
    fn all_that_shapes_an_answer_is_in_the_key_and_nothing_bleeds() {
        let base = request("prompt");
        let variants = [
            base.clone(),
            Request { model: "other".to_owned(), ..base.clone() },
            Request { system: "other".to_owned(), ..base.clone() },
            Request { prompt: "other".to_owned(), ..base.clone() },
            Request { context: Some(String::new()), ..base.clone() },
            Request { context: Some("{}".to_owned()), ..base.clone() },
            Request { schema: Some(json!({})), ..base.clone() },
            Request { tools: vec!["ab".to_owned()], ..base.clone() },
            Request { tools: vec!["a".to_owned(), "b".to_owned()], ..base.clone() },
            Request { max_output_tokens: 1, ..base.clone() },
        ];
        let keys: std::collections::HashSet<Key> = variants.iter().map(Key::of).collect();
        assert_eq!(keys.len(), variants.len());
        assert_eq!(
            Key::of(&base),
            Key::of(&Request { timeout: Duration::ZERO, stall: Duration::ZERO, ..base.clone() })
        );
    }

    #[tokio::test]
    async fn an_answer_is_there_the_second_time() {
        let cache = Cache::new(10_000);
        let key = Key::of(&request("a"));
        flight(&cache, key).await.land(Ok(cached("yes")));
        assert_eq!(landed(&cache, key).await.unwrap().text, "yes");
    }

    #[tokio::test]
    async fn of_identical_questions_one_is_sent_and_all_get_its_answer() {
        let cache = Cache::new(0);
        let key = Key::of(&request("a"));
        let leader = flight(&cache, key).await;
        let followers = join_all((0..10).map(|_| landed(&cache, key)));
        let (answers, ()) = tokio::join!(followers, async { leader.land(Ok(cached("yes"))) });
        assert!(answers.into_iter().all(|answer| answer.unwrap().text == "yes"));
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
        let cache = Cache::new(10_000);
        let key = Key::of(&request("a"));
        let leader = flight(&cache, key).await;
        let failure = Failure::new(FailureKind::Refused, "no");
        let (follower, ()) = tokio::join!(landed(&cache, key), async { leader.land(Err(failure.clone())) });
        assert_eq!(follower, Err(failure));
        drop(flight(&cache, key).await);
    }

    #[tokio::test]
    async fn when_the_sender_is_dropped_one_of_the_waiting_sends() {
        let cache = Cache::new(10_000);
        let key = Key::of(&request("a"));
        let leader = flight(&cache, key).await;
        let follow = async || match cache.look_up(key).await {
            Found::Send(flight) => {
                tokio::task::yield_now().await;
                flight.land(Ok(cached("second")));
                1
            }
            Found::Landed(landed) => {
                assert_eq!(landed.unwrap().text, "second");
                0
            }
        };
        let (sent, ()) = tokio::join!(join_all((0..5).map(|_| follow())), async { drop(leader) });
        assert_eq!(sent.into_iter().sum::<i32>(), 1);
    }

    #[tokio::test]
    async fn the_oldest_answers_go_when_there_are_too_many_bytes() {
        let cache = Cache::new(4 * (ENTRY_BYTES + 100));
        for number in 0..10 {
            let key = Key::of(&request(&number.to_string()));
            flight(&cache, key).await.land(Ok(cached(&"x".repeat(100))));
        }
        assert_eq!(cache.lock().by_key.len(), 4);
        assert!(landed(&cache, Key::of(&request("9"))).await.is_ok());
        flight(&cache, Key::of(&request("0"))).await.land(Ok(cached(&"x".repeat(100_000))));
        assert_eq!(cache.lock().by_key.len(), 4, "an answer larger than the cache is not kept");
    }
}
