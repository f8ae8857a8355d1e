//! A backend for tests that answers as it is told to, and remembers what it was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Answer, Backend, Instance, Listener, Profile, Request};
use crate::question::{Failure, FailureKind, ProviderLimits, StreamEvent, Usage};

/// What an instance does with a question.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// How long it takes.
    pub(crate) after: Duration,
    /// How long it takes from the first sign of an answer to its end.
    pub(crate) rest: Duration,
    /// What comes then.
    pub(crate) result: Result<String, Failure>,
    /// What the provider says of its limits.
    pub(crate) limits: Option<ProviderLimits>,
    /// Whether the answer was cut off.
    pub(crate) truncated: bool,
    /// Whether the instance can answer another question after it.
    pub(crate) wears_out: bool,
}

impl Act {
    pub(crate) fn answer(text: &str) -> Self {
        Self {
            after: Duration::from_millis(50),
            rest: Duration::ZERO,
            result: Ok(text.to_owned()),
            limits: None,
            truncated: false,
            wears_out: false,
        }
    }

    pub(crate) fn fail(kind: FailureKind) -> Self {
        Self::failure(Failure::new(kind, "it failed"))
    }

    pub(crate) fn failure(failure: Failure) -> Self {
        Self { result: Err(failure), ..Self::answer("") }
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

type Script = dyn Fn(usize, &Request) -> Act + Send + Sync;

/// The backend. The script gets the number of the request, counted from 0, and the request.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<Script>,
    seen: Arc<Seen>,
    caches_prompts: bool,
    /// Whether its instances can end by themselves.
    mortal: bool,
}

#[derive(Default)]
struct Seen {
    ended: Mutex<Vec<CancellationToken>>,
    last_asked: Mutex<CancellationToken>,
    sent: Mutex<Vec<(Instant, Request)>>,
    started: AtomicUsize,
    living: AtomicUsize,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), seen: Arc::default(), caches_prompts: false, mortal: false }
    }

    /// One whose provider caches prompts.
    pub(crate) fn caching_prompts(self) -> Self {
        Self { caches_prompts: true, ..self }
    }

    /// One whose instances can end by themselves.
    pub(crate) fn mortal(self) -> Self {
        Self { mortal: true, ..self }
    }

    /// Ends an instance, by its number in the order of their starts, from 0.
    pub(crate) fn kill(&self, number: usize) {
        self.seen.ended.lock().unwrap_or_else(PoisonError::into_inner)[number].cancel();
    }

    /// Ends the instance that was asked last.
    pub(crate) fn kill_last_asked(&self) {
        self.seen.last_asked.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }

    /// What was sent, and when.
    pub(crate) fn sent(&self) -> Vec<(Instant, Request)> {
        self.seen.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The prompts that were sent.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.sent().into_iter().map(|(_, request)| request.prompt).collect()
    }

    /// How many instances were ever started.
    pub(crate) fn started(&self) -> usize {
        self.seen.started.load(Ordering::SeqCst)
    }

    /// How many instances there are.
    pub(crate) fn living(&self) -> usize {
        self.seen.living.load(Ordering::SeqCst)
    }

    /// The most questions that were ever asked at once.
    pub(crate) fn most(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }
}

impl Backend for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn account(&self) -> &str {
        "scripted"
    }

    fn profile(&self, request: &Request) -> Profile {
        request.profile()
    }

    fn caches_prompts(&self) -> bool {
        self.caches_prompts
    }

    fn start<'a>(&'a self, profile: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        async move {
            tokio::task::yield_now().await;
            self.seen.started.fetch_add(1, Ordering::SeqCst);
            self.seen.living.fetch_add(1, Ordering::SeqCst);
            let ended = CancellationToken::new();
            self.seen.ended.lock().unwrap_or_else(PoisonError::into_inner).push(ended.clone());
            let one = One { of: self.clone(), profile: profile.clone(), worn_out: false, ended };
            Ok(Box::new(one) as Box<dyn Instance>)
        }
        .boxed()
    }
}

struct One {
    of: Scripted,
    profile: Profile,
    worn_out: bool,
    ended: CancellationToken,
}

impl Drop for One {
    fn drop(&mut self) {
        self.ended.cancel();
        self.of.seen.living.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts a question in flight for as long as its future lives.
struct InFlight<'a>(&'a Seen);

impl<'a> InFlight<'a> {
    fn new(seen: &'a Seen) -> Self {
        let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        Self(seen)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Instance for One {
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        assert_eq!(self.profile, request.profile(), "an instance of another profile was used");
        async move {
            let _in_flight = InFlight::new(&self.of.seen);
            let number = {
                let mut sent = self.of.seen.sent.lock().unwrap_or_else(PoisonError::into_inner);
                sent.push((Instant::now(), request.clone()));
                sent.len() - 1
            };
            *self.of.seen.last_asked.lock().unwrap_or_else(PoisonError::into_inner) = self.ended.clone();
            let act = (self.of.script)(number, request);
            tokio::select! {
                () = sleep(act.after) => {}
                () = self.ended.cancelled() => return Err(Failure::new(FailureKind::Died, "it ended")),
            }
            self.worn_out = act.wears_out;
            let text = act.result?;
            listener(StreamEvent::Started);
            sleep(act.rest).await;
            listener(StreamEvent::Text(text.clone()));
            let usage = Usage { requests: 1, input_tokens: 100, output_tokens: 10, ..Usage::default() };
            let (model, truncated, limits) = (request.model.clone(), act.truncated, act.limits);
            Ok(Answer { text, model, usage, truncated, limits, edits: Vec::new() })
        }
        .boxed()
    }

    fn ready(&mut self) -> BoxFuture<'_, bool> {
        std::future::ready(!self.worn_out && !self.ended.is_cancelled()).boxed()
    }

    fn ended(&self) -> Option<CancellationToken> {
        self.of.mortal.then(|| self.ended.clone())
    }
}
