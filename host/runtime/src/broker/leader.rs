//! Leader first: of questions that share a long context, one goes ahead.
//!
//! A provider that caches prompts can be read from once the answer that filled the cache has begun. Eight questions
//! with one context, sent together, would fill it eight times, and each pays for that. So the first leads, and the
//! others wait for its first sign of an answer: before queue and admission, holding nothing. A leader that fails, or is
//! given up, leads no more: one of the waiting takes its place at once. From the first sign on the context counts as
//! warm, for as long as providers keep it after its last use; then there is a leader again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Broker, Lane, Life};
use crate::admission::Admitted;
use crate::backend::{Profile, Request};
use crate::question::Failure;
use crate::route::BYTES_PER_TOKEN;

/// The shortest context that is waited for, in estimated tokens: what most models cache at least.
pub const LEAST_CONTEXT_TOKENS: u64 = 1_024;

/// How long a provider keeps what it has cached, after its last use.
pub const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// What questions have in common, as a provider's prompt cache sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix([u8; 32]);

impl Prefix {
    /// The prefix of a request; none: its context is too short to be worth a wait. Tools and a schema that the provider
    /// enforces stand before the context, so another schema is another prefix.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let context = request.context.as_deref()?;
        if context_tokens(request) < LEAST_CONTEXT_TOKENS {
            return None;
        }
        let mut digest = Sha256::new();
        let mut text = |value: &str| {
            digest.update((value.len() as u64).to_le_bytes());
            digest.update(value.as_bytes());
        };
        let schema = request.schema.as_ref().map(ToString::to_string).unwrap_or_default();
        for value in [&request.model, &request.system, context, &schema, request.mcp.as_deref().unwrap_or_default()] {
            text(value);
        }
        request.tools.iter().for_each(|tool| text(tool));
        Some(Self(digest.finalize().into()))
    }
}

/// How many tokens the context has, estimated.
pub(super) fn context_tokens(request: &Request) -> u64 {
    request.context.as_ref().map_or(0, |context| (context.len() as u64).div_ceil(BYTES_PER_TOKEN))
}

/// Who leads, and what is warm, at one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaders(Arc<Mutex<HashMap<Prefix, State>>>);

#[derive(Debug)]
enum State {
    /// Closed when the leader has begun to be answered, has failed, or is gone.
    Led(watch::Receiver<()>),
    /// Until then.
    Warm(Instant),
}

impl State {
    fn holds(&self, now: Instant) -> bool {
        match self {
            Self::Led(leader) => leader.has_changed().is_ok(),
            Self::Warm(until) => now < *until,
        }
    }
}

impl Leaders {
    /// Waits until the prefix is warm, or nobody leads. Who gets a [`Turn`] may go on.
    pub(super) async fn turn(&self, prefix: Prefix) -> Turn {
        loop {
            let mut leader = {
                let (mut states, now) = (self.lock(), Instant::now());
                match states.get(&prefix) {
                    Some(State::Warm(until)) if now < *until => return self.given(prefix, None),
                    Some(state @ State::Led(leader)) if state.holds(now) => leader.clone(),
                    _ => {
                        states.retain(|_, state| state.holds(now));
                        let (lead, leader) = watch::channel(());
                        states.insert(prefix, State::Led(leader));
                        return self.given(prefix, Some(lead));
                    }
                }
            };
            // Nothing is ever sent: it ends when the leader lets go.
            while leader.changed().await.is_ok() {}
        }
    }

    fn given(&self, prefix: Prefix, lead: Option<watch::Sender<()>>) -> Turn {
        Turn { leaders: self.clone(), prefix, lead }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Prefix, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be sent. A leader that drops it without [`begun`](Self::begun) makes place for the next.
#[derive(Debug)]
pub(super) struct Turn {
    leaders: Leaders,
    prefix: Prefix,
    /// Held by a leader until its answer begins.
    lead: Option<watch::Sender<()>>,
}

impl Turn {
    /// The answer to what was sent then has begun: the prefix is warm.
    pub(super) fn begun(&mut self, sent: Instant) {
        {
            let mut states = self.leaders.lock();
            let until = match states.get(&self.prefix) {
                Some(State::Warm(until)) => (*until).max(sent + KEPT_FOR),
                _ => sent + KEPT_FOR,
            };
            states.insert(self.prefix, State::Warm(until));
        }
        self.lead = None;
    }

    /// Whether it leads: nothing of its context is cached yet.
    pub(super) fn leads(&self) -> bool {
        self.lead.is_some()
    }

    /// Whether it still may be sent: it leads, or what it waited for is warm yet. The wait for admission may be long.
    pub(super) fn holds(&self) -> bool {
        let is_warm = |state: &State| matches!(state, State::Warm(_)) && state.holds(Instant::now());
        self.lead.is_some() || self.leaders.lock().get(&self.prefix).is_some_and(is_warm)
    }
}

impl Broker {
    /// Admission, when it is the question's turn among those that share its context.
    pub(super) async fn admit_in_turn(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        request: &Request,
        profile: &Arc<Profile>,
        is_cheapest: bool,
    ) -> Result<Admitted, Failure> {
        let prefix = if lane.backend.caches_prompts() { Prefix::of(request) } else { None };
        loop {
            // Who is paused leads nobody: others may go on.
            life.turn = None;
            self.until_it_goes_on(life).await?;
            if let Some(prefix) = prefix {
                life.turn = Some(self.turn_of(life, lane, prefix).await?);
            }
            let Some(admitted) = self.admit(life, lane, request, profile, is_cheapest).await? else { continue };
            // It may have waited for so long that the provider has forgotten the context.
            if prefix.is_none() || life.turn.as_ref().is_some_and(Turn::holds) {
                return Ok(admitted);
            }
        }
    }

    /// The question's turn among those that share its context.
    async fn turn_of(&self, life: &Life<'_>, lane: &Lane, prefix: Prefix) -> Result<Turn, Failure> {
        let turn = lane.leaders.turn(prefix);
        tokio::pin!(turn);
        if let Some(turn) = futures::FutureExt::now_or_never(turn.as_mut()) {
            return Ok(turn);
        }
        self.waits(life.id, life.asker.item, "context", None);
        tokio::select! {
            biased;
            failure = self.stopping() => Err(failure),
            turn = turn => Ok(turn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Question;
    use crate::route::Route;

    fn request(context: &str) -> Request {
        let question = Question { context: Some(context.to_owned()), ..Question::default() };
        Route::default().request(&question)
    }

    fn long(text: &str) -> String {
        text.repeat(4 * 1_024 / text.len())
    }

    #[test]
    fn a_context_is_waited_for_from_1024_tokens_on() {
        assert!(Prefix::of(&request(&long("abcd"))).is_some());
        assert_eq!(Prefix::of(&request(&"x".repeat(4 * 1_023))), None);
        assert_eq!(Prefix::of(&Request { context: None, prompt: long("abcd"), ..request("") }), None);
    }

    #[test]
    fn all_that_stands_before_the_context_is_part_of_the_prefix_and_the_prompt_is_not() {
        let one = request(&long("abcd"));
        let prefix = Prefix::of(&one);
        assert_eq!(Prefix::of(&Request { prompt: "other".to_owned(), max_output_tokens: 7, ..one.clone() }), prefix);
        for other in [
            Request { model: "other".to_owned(), ..one.clone() },
            Request { system: "other".to_owned(), ..one.clone() },
            Request { context: Some(long("abce")), ..one.clone() },
            Request { schema: Some(serde_json::json!({})), ..one.clone() },
            Request { tools: vec!["Read".to_owned()], ..one.clone() },
        ] {
            assert_ne!(Prefix::of(&other), prefix, "{other:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cold_again_needs_a_leader_and_is_forgotten() {
        let leaders = Leaders::default();
        let (one, other) = (Prefix([1; 32]), Prefix([2; 32]));
        leaders.turn(one).await.begun(Instant::now());
        tokio::time::advance(KEPT_FOR - Duration::from_secs(1)).await;
        let mut follower = leaders.turn(one).await;
        assert!(follower.lead.is_none() && follower.holds());
        follower.begun(Instant::now());
        tokio::time::advance(KEPT_FOR - Duration::from_secs(1)).await;
        assert!(leaders.turn(one).await.lead.is_none(), "each use keeps it for another five minutes");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!follower.holds());
        drop(leaders.turn(other).await);
        assert_eq!(leaders.lock().len(), 1, "the cold one is forgotten");
        assert!(leaders.turn(one).await.lead.is_some());
    }
}
