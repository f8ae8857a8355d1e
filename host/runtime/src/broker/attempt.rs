//! One attempt at a question: start, send, watch, settle.

use std::pin::pin;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp, Zoned};
use tokio::time::{Instant, timeout};

use super::decide::{LOOKED_AT_EVERY, Overseer};
use super::pace::Pace;
use super::*;
use crate::admission::{End, Spent};
use crate::breaker::Signal;
use crate::limiter::Seen;
use crate::quota::Told;
use crate::retry::Then;
use crate::watch::{Watched, watched};

/// What became of an attempt.
pub(super) enum Attempt {
    /// There is an answer; whether it fits is not known yet.
    Answered(Answer),
    /// The question is to be asked again after `wait`.
    Again { wait: Duration, kind: &'static str, reason: String },
    /// The run was paused before it was sent, or while it was: it is asked again when the run goes on.
    BrokenOff,
    /// It is not; whether the next model is asked, if that was decided.
    Lost(Failure, Option<bool>),
}

/// How a model was tried so far.
pub(super) struct Tries {
    /// How often it failed.
    pub(super) failures: u32,
    /// The tier that it is asked for.
    pub(super) tier: Tier,
    /// Whether no other is left to be asked.
    pub(super) is_last: bool,
    /// Whether what comes was recorded: then it is final.
    pub(super) replays: bool,
}

/// How long an account is left alone that is rate limited and does not say for how long.
pub(super) const UNKNOWN_PAUSE: Duration = Duration::from_millis(500);

impl Broker {
    /// One attempt: starts an instance where none was idle, sends, watches, and settles.
    pub(super) async fn send(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        mut admitted: Admitted,
        request: &Request,
        tries: &mut Tries,
        listener: Listener<'_>,
    ) -> Attempt {
        let watched = match self.start(lane, &mut admitted, request, (life.id, life.asker.item)).await {
            Err(failure) => Watched { result: Err(failure), first_event: None },
            Ok(()) => {
                if let Some(stopped) = self.failure() {
                    return Attempt::Lost(stopped, Some(false));
                }
                // It may have taken its time. The instance is kept.
                if self.pause().is_paused() {
                    return Attempt::BrokenOff;
                }
                let may_break_off = life.question.repeatable;
                let watching = async {
                    match self.hedges_after(life, lane, request) {
                        None => {
                            let watched = self.watch(life, lane, &mut admitted, request, listener).await;
                            Err((watched, admitted))
                        }
                        Some(late) => self.race(life, lane, admitted, request, late, listener).await,
                    }
                };
                let watched = tokio::select! {
                    biased;
                    watched = watching => watched,
                    () = self.pause().breaks_off(), if may_break_off => {
                        // What it held has gone back with it.
                        self.broken_off(life, request).await;
                        self.books.tell_ends(life.draft.news()).await;
                        self.lanes.tell_changes().await;
                        return Attempt::BrokenOff;
                    }
                };
                match watched {
                    Err((watched, first)) => {
                        admitted = first;
                        watched
                    }
                    Ok(attempt) => {
                        self.books.tell_ends(life.draft.news()).await;
                        self.lanes.tell_changes().await;
                        return attempt;
                    }
                }
            }
        };
        let attempt = match watched.result {
            Ok(answer) => {
                Attempt::Answered(self.settle_answer(life, lane, admitted, request, answer, watched.first_event))
            }
            Err(failure) => {
                tries.failures += 1;
                self.settle_failure(life, lane, admitted, request, failure, tries, watched.first_event).await
            }
        };
        self.books.tell_ends(life.draft.news()).await;
        for (facts, decided) in std::mem::take(&mut life.noted) {
            self.note(Some(life.id), facts, &decided).await;
        }
        self.lanes.tell_changes().await;
        attempt
    }

    /// The leased instance, if it is ready; else a new one takes its place.
    pub(super) async fn start(
        &self,
        lane: &Lane,
        admitted: &mut Admitted,
        request: &Request,
        (question, item): (u64, usize),
    ) -> Result<(), Failure> {
        let Some(lease) = admitted.lease() else { return Ok(()) };
        let starting = async {
            if let Some(idle) = &mut lease.instance {
                if idle.ready().await {
                    return Ok(());
                }
                lease.instance = None;
            }
            if lane.backend.is_short_of_memory() {
                lane.admission.close_oldest();
            }
            if lane.backend.starts_processes() {
                self.waits(question, item, "instance", None);
                lane.admission.spawn().await;
            }
            lease.instance = Some(lane.backend.start(lease.profile()).await?);
            lane.admission.began(lease);
            Ok(())
        };
        timeout(request.timeout, starting).await.unwrap_or_else(|_| {
            let message = format!("no instance of {} started within {} s", request.model, request.timeout.as_secs());
            Err(Failure::new(FailureKind::TimedOut, message))
        })
    }

    pub(super) async fn watch(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        admitted: &mut Admitted,
        request: &Request,
        listener: Listener<'_>,
    ) -> Watched {
        let attempt = life.draft.sending(lane.backend.as_ref(), &request.model, admitted.reserved().usd);
        let (question, item) = (life.id, life.asker.item);
        let affordable = match self.affordable(request) {
            Ok(affordable) => affordable,
            Err(failure) => return Watched { result: Err(failure), first_event: None },
        };
        admitted.sending();
        self.hedges.sent();
        self.books
            .tell(Fact::QuestionSent {
                question,
                item,
                model: request.model.clone(),
                backend: lane.backend.name().into(),
                attempt,
            })
            .await;
        let sent = Instant::now();
        let overseer = Overseer::new(self, life.asker, &life.question.role, request, sent);
        let (mut silent, mut pace) = (true, Pace::default());
        let stalled = |(lasted, tool)| {
            self.books.events.mention(Fact::QuestionStalled { question, item, lasted, tool });
        };
        let mut heard = |event| {
            pace.silence(Instant::now()).map(stalled);
            overseer.hears(&event, Instant::now());
            if std::mem::take(&mut silent) {
                self.books.events.mention(Fact::QuestionStarted { question, item, after: sent.elapsed() });
                if let Some(turn) = &mut life.turn {
                    turn.begun(sent);
                }
            }
            if let Some((tokens_per_second, tool)) = pace.hears(&event, Instant::now()) {
                self.books.events.mention(Fact::QuestionProgress { question, item, tokens_per_second, tool });
            }
            listener(event);
        };
        let watched = match admitted.lease().and_then(|lease| lease.instance.as_mut()) {
            Some(instance) => {
                let answer = watched(&self.config.watch, affordable, instance.as_mut(), request, &mut heard);
                overseen(&overseer, answer).await
            }
            None => Watched { result: Err(Failure::new(FailureKind::Died, "the instance is gone")), first_event: None },
        };
        pace.silence(Instant::now()).map(stalled);
        life.noted.extend(overseer.into_noted());
        if watched.result.is_ok() && self.mode() == crate::policy::Mode::Performance {
            self.hedges.answered(&request.model, sent.elapsed());
        }
        watched
    }

    /// How many output tokens one question may pay for; none: there is no ceiling, or no price.
    pub(super) fn affordable(&self, request: &Request) -> Result<Option<u64>, Failure> {
        let Some(most) = self.config.watch.most_usd else { return Ok(None) };
        let price = |input, output| self.config.prices.at_most(&request.model, input, output, false);
        let (Some(input), Some(million)) = (price(estimated_input_tokens(request), 0), price(0, 1_000_000)) else {
            return Ok(None);
        };
        if input >= most {
            let message = format!("its input alone takes about {input}, and one question may take {most}");
            return Err(Failure::new(FailureKind::RanAway, message));
        }
        let left = u128::from(most.saturating_sub(input).pico()) * 1_000_000;
        Ok(left.checked_div(u128::from(million.pico())).map(|tokens| u64::try_from(tokens).unwrap_or(u64::MAX)))
    }

    /// Between the answer and the settling there is no await: what was paid for can't be dropped unaccounted.
    pub(super) fn settle_answer(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        admitted: Admitted,
        request: &Request,
        mut answer: Answer,
        first_event: Option<Instant>,
    ) -> Answer {
        answer.usage.requests = answer.usage.requests.max(u32::from(!lane.backend.replays()));
        let used = Cost::of(&answer.usage);
        answer.usage = self.priced(&answer.model, &request.model, answer.usage);
        let bill = pay::bill(&answer.usage);
        life.draft.ended(&answer.model, answer.usage, Some(bill.usd), true, first_event);
        self.lanes.succeeded();
        admitted.settle(End {
            signal: Signal::Success,
            words: String::new(),
            seen: if lane.backend.replays() { Seen::Neutral } else { Seen::Answered },
            first_event,
            spent: Spent::Known(used),
            bill: Some(bill),
            told: told(answer.limits, first_event),
            pause: None,
            reusable: true,
        });
        answer
    }

    #[expect(clippy::too_many_arguments, reason = "an attempt is made of them")]
    async fn settle_failure(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        mut admitted: Admitted,
        request: &Request,
        failure: Failure,
        tries: &Tries,
        first_event: Option<Instant>,
    ) -> Attempt {
        let replays = tries.replays;
        let requests = u32::from(admitted.was_sent() && !replays);
        let (usage, spent) = match failure.usage {
            Some(usage) => {
                let usage = Usage { requests: usage.requests.max(requests), ..usage };
                (self.priced(&request.model, &request.model, usage), Spent::Known(Cost::of(&usage)))
            }
            None => {
                let spent = if failure.reached_model && !replays { Spent::Unknown } else { Spent::Nothing };
                (Usage { requests, ..Usage::default() }, spent)
            }
        };
        // What is replayed was paid when it was recorded.
        let bill = self.bill_of_failure(request, &failure, &usage, admitted.was_sent() && !replays);
        life.draft.ended(&request.model, usage, bill.map(|bill| bill.usd), spent != Spent::Unknown, first_event);
        life.draft.failed(failure.kind.name());
        let (then, decided) = match replays && !failure.kind.is_terminal() {
            true => (Then::GiveUp(String::new()), None),
            false => {
                let (then, decided) = self.recover(life, lane, &request.model, &failure, tries);
                (then, Some(decided))
            }
        };
        let end = End {
            signal: if replays { Signal::Neutral } else { Signal::of(&failure.kind) },
            words: failure.message.clone(),
            seen: if replays { Seen::Neutral } else { seen(&failure.kind) },
            first_event,
            spent,
            bill,
            told: told(failure.limits, first_event),
            pause: match failure.kind {
                FailureKind::RateLimited if !replays => failure.retry_after,
                _ => None,
            },
            reusable: admitted.lease().and_then(|lease| lease.instance.as_ref()).is_some_and(|one| one.survived()),
        };
        let because = |failure: Failure, why: String| match why.is_empty() {
            true => failure,
            false => Failure { message: format!("{} ({why})", failure.message), ..failure },
        };
        let attempt = match then {
            Then::Retry(wait) => Attempt::Again { wait, kind: failure.kind.name(), reason: failure.message },
            Then::Next(why) => Attempt::Lost(because(failure, why), Some(true)),
            Then::GiveUp(why) => Attempt::Lost(because(failure, why), Some(false)),
            // Before the permit goes back, so that nobody gets it.
            Then::Stop(why) => Attempt::Lost(self.stop(because(failure, why)).await, Some(false)),
        };
        admitted.settle(end);
        if let Some((facts, decided)) = decided {
            self.note(Some(life.id), facts, &decided).await;
        }
        attempt
    }

    /// Stops dispatch; the failure as everybody gets to know it.
    pub(super) async fn stop(&self, failure: Failure) -> Failure {
        let failure = match failure.retry_after {
            Some(wait) if !failure.kind.is_terminal() => {
                let until =
                    SignedDuration::try_from(wait).ok().and_then(|wait| Timestamp::now().checked_add(wait).ok());
                Failure { kind: FailureKind::LimitReached { until }, ..failure }
            }
            // A policy's own wish: nothing is wrong with the account, and what was not asked stays to be done.
            _ if failure.kind.is_transient() => Failure { kind: FailureKind::Cancelled, ..failure },
            _ => failure,
        };
        let failure = match failure.kind {
            FailureKind::LimitReached { until: Some(until) } => {
                let message = format!("{}; {}", failure.message, reset_in_words(until, &Zoned::now()));
                Failure { message, ..failure }
            }
            _ => failure,
        };
        // The others were not sent: they get kind and words, not what this one took.
        let told = Failure::new(failure.kind.clone(), failure.message.clone());
        self.lanes.stop(&told).await;
        failure
    }

    /// The answer's text, if it fits the question's schema.
    pub(super) async fn fits(
        &self,
        life: &mut Life<'_>,
        answer: Answer,
        checker: Option<&Checker>,
    ) -> Result<Cached, Failure> {
        life.draft.answered_by(&answer.model);
        let cut = "the answer was cut off at max_output_tokens";
        // Whoever asks again should see the rest.
        life.memorable &= !answer.truncated;
        let Some(checker) = checker else {
            if answer.truncated {
                self.books.warn(format!("{}: {cut}", life.asker.item_id)).await;
            }
            return Ok(Cached { text: answer.text, model: answer.model, edits: answer.edits });
        };
        match checker.check(&answer.text) {
            Ok(text) => Ok(Cached { text: text.to_owned(), model: answer.model, edits: answer.edits }),
            Err(fault) => {
                let message = match answer.truncated {
                    true => format!("{cut}: {fault}"),
                    false => format!("the answer does not fit the question's schema: {fault}"),
                };
                Err(Failure { reached_model: true, ..Failure::new(FailureKind::OffSchema, message) })
            }
        }
    }

    /// A usage with its price; the answering model's, or that of the one that was asked for.
    pub(super) fn priced(&self, answered: &str, asked: &str, usage: Usage) -> Usage {
        let prices = &self.config.prices;
        let usd = prices.usd(answered, &usage).or_else(|| prices.usd(asked, &usage));
        if usd.is_none() {
            self.books.has_no_price(answered);
        }
        Usage { usd: usd.unwrap_or(Usd::ZERO), ..usage }
    }
}

/// An answer, until the policy ends it.
async fn overseen(overseer: &Overseer<'_>, answer: impl Future<Output = Watched>) -> Watched {
    let ended = |usage, first_event| {
        let message = overseer.killed()?;
        let failure = Failure { usage, reached_model: true, ..Failure::new(FailureKind::RanAway, message) };
        Some(Watched { result: Err(failure), first_event })
    };
    let mut answer = pin!(answer);
    let mut look = pin!(sleep(LOOKED_AT_EVERY));
    std::future::poll_fn(|context| {
        if let Poll::Ready(watched) = answer.as_mut().poll(context) {
            let usage = watched.result.as_ref().map_or_else(|failure| failure.usage, |answer| Some(answer.usage));
            return Poll::Ready(ended(usage, watched.first_event).unwrap_or(watched));
        }
        while look.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            overseer.looks(now);
            look.as_mut().reset(now + LOOKED_AT_EVERY);
        }
        ended(None, overseer.first()).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// What a failure says of how much may be in flight.
pub(super) fn seen(kind: &FailureKind) -> Seen {
    match kind {
        FailureKind::RateLimited => Seen::RateLimited,
        FailureKind::TimedOut | FailureKind::Stalled => Seen::TimedOut,
        kind if kind.trips_breaker() => Seen::Failed,
        _ => Seen::Neutral,
    }
}

/// When a limit is reset, by the user's clock, and in how long.
fn reset_in_words(until: Timestamp, now: &Zoned) -> String {
    let at = until.to_zoned(now.time_zone().clone());
    let minutes = (until.duration_since(now.timestamp()).as_secs().max(0) + 59) / 60;
    let in_words = match (minutes / 60 / 24, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    format!("it is reset at {} (in {in_words})", at.strftime("%Y-%m-%d %H:%M %Z"))
}

/// The head of an answer, with the limits, came about when its first event did.
fn told(limits: Option<crate::question::ProviderLimits>, first_event: Option<Instant>) -> Option<Told> {
    limits.map(|limits| Told { limits, at: first_event.unwrap_or_else(Instant::now) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_told_by_the_users_clock_and_in_how_long() {
        let now: Zoned = "2026-11-21T07:00:00+01:00[+01:00]".parse().unwrap();
        let told = |seconds| reset_in_words(now.timestamp() + SignedDuration::from_secs(seconds), &now);
        assert_eq!(told(7_200), "it is reset at 2026-11-21 09:00 +01 (in 2 h 0 min)");
        assert_eq!(told(30), "it is reset at 2026-11-21 07:00 +01 (in 1 min)");
        assert_eq!(told(3 * 86_400 + 7_300), "it is reset at 2026-11-24 09:01 +01 (in 3 d 2 h)");
        assert!(told(-5).ends_with("(in 0 min)"));
    }
}
