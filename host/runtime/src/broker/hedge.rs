//! A slow question is asked a second time, and the first answer wins. Only in the mode `performance`.
//!
//! It is done where it can push nobody out: nobody waits, and quota, budget and limit have room. A question that may not be
//! asked twice, or that has tools, is never asked a second time beside the first. The one whose answer comes too late is
//! dropped; what it took nobody knows, and so all that was reserved for it counts as spent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::attempt::Attempt;
use super::*;
use crate::admission::{End, Spent};
use crate::breaker::Signal;
use crate::event::AttemptEnd;
use crate::policy::builtin::HedgeProfile;
use crate::watch::{Watched, watched};

/// So many of the last answers of a model say how long one takes.
const REMEMBERED: usize = 256;

/// Whether there is room for a second try is not looked for more often.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// How many models are told apart. A policy or a project can name many.
const MOST_MODELS: usize = 64;

/// How long the answers of a run took, and how often it has asked a second time.
#[derive(Debug, Default)]
pub(super) struct Hedges {
    took: Mutex<BTreeMap<String, VecDeque<Duration>>>,
    sent: AtomicU64,
    hedged: AtomicU64,
}

impl Hedges {
    /// A request was sent.
    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// A model answered.
    pub(super) fn answered(&self, model: &str, took: Duration) {
        let mut all = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(model) && all.len() >= MOST_MODELS {
            return;
        }
        let of_model = all.entry(model.to_owned()).or_default();
        of_model.push_back(took);
        if of_model.len() > REMEMBERED {
            of_model.pop_front();
        }
    }

    /// After how long an answer of this model is late; none: too few have come.
    fn late_after(&self, profile: &HedgeProfile, model: &str) -> Option<Duration> {
        let all = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        let mut took: Vec<Duration> = all.get(model)?.iter().copied().collect();
        drop(all);
        if took.len() < (profile.answers.max(1) as usize).min(REMEMBERED) {
            return None;
        }
        let place = (took.len() as f64 * profile.slower_than.clamp(0.0, 1.0)).ceil() as usize;
        let place = place.clamp(1, took.len()) - 1;
        Some(*took.select_nth_unstable(place).1)
    }

    /// Takes one of the second tries that there may be.
    fn take(&self, profile: &HedgeProfile) -> bool {
        let most = (self.sent.load(Ordering::Relaxed) as f64 * profile.share.clamp(0.0, 1.0)) as u64;
        let more = |hedged: u64| (hedged < most).then_some(hedged + 1);
        self.hedged.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// What is known of a second try, whatever becomes of its future.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// What it may cost at most, once it was sent.
    pub(super) reserved: Option<Usd>,
    /// What it took and what it counts as, once it has failed.
    pub(super) ended: Option<(Usage, Option<Usd>)>,
}

/// A second try that brought an answer.
struct Winner {
    admitted: Admitted,
    answer: Answer,
    first_event: Option<Instant>,
}

impl Broker {
    /// After how long this question is asked a second time; none: it is not.
    pub(super) fn hedges_after(&self, life: &Life<'_>, lane: &Lane, request: &Request) -> Option<Duration> {
        let may = self.mode() == crate::policy::Mode::Performance
            && life.question.repeatable
            && request.tools.is_empty()
            && request.mcp.is_none()
            && !lane.backend.replays()
            && !self.lanes.is_safe();
        let policy = self.lanes.policy().in_force();
        may.then(|| self.hedges.late_after(&policy.profile.recover.hedge, &request.model))?
    }

    /// Sends, and sends a second time when that has taken too long. Some: there is an answer of the second one, and all is
    /// settled; none: there is only what came of the first.
    pub(super) async fn race(
        &self,
        life: &mut Life<'_>,
        lane: &Lane,
        mut admitted: Admitted,
        request: &Request,
        late_after: Duration,
        listener: Listener<'_>,
    ) -> Result<Attempt, (Watched, Admitted)> {
        // The first one, which is not sent yet, has the next number, and the second the one after.
        let (beside, asked) = (life.draft.beside(), (life.id, life.asker.item, life.draft.attempts() + 2));
        // It can be left undone, so that a spent budget stops nobody.
        let applicant = self.applicant(life, lane, request, Arc::new(lane.backend.profile(request)), false);
        let winner = {
            let second = self.second(lane, request, late_after, applicant, asked, &beside);
            let first = self.watch(life, lane, &mut admitted, request, listener);
            tokio::select! {
                biased;
                watched = first => Err(watched),
                winner = second => Ok(winner),
            }
        };
        match winner {
            Err(watched) => {
                life.draft.beside_is_over();
                Err((watched, admitted))
            }
            Ok(Winner { admitted: second, answer, first_event }) => {
                *beside.lock().unwrap_or_else(PoisonError::into_inner) = Beside::default();
                // What the first took nobody knows: all that was reserved for it counts.
                life.draft.ended(&request.model, Usage { requests: 1, ..Usage::default() }, None, false, None);
                life.draft.superseded();
                drop(admitted);
                life.draft.sending(lane.backend.as_ref(), &request.model, second.reserved().usd);
                let reason = "it took long, and was asked a second time, which was answered first";
                listener(StreamEvent::Restarted(reason.to_owned()));
                listener(StreamEvent::Started);
                listener(StreamEvent::Text(answer.text.clone()));
                let answer = self.settle_answer(life, lane, second, request, answer, first_event);
                Ok(Attempt::Answered(answer))
            }
        }
    }

    /// Waits until the first is late, asks a second time if that can push nobody out, and returns only with an answer.
    async fn second(
        &self,
        lane: &Lane,
        request: &Request,
        late_after: Duration,
        applicant: Applicant,
        (question, item, attempt): (u64, usize, u32),
        beside: &Mutex<Beside>,
    ) -> Winner {
        let never = std::future::pending::<Winner>;
        let Ok(affordable) = self.affordable(request) else { return never().await };
        let mut admitted = loop {
            sleep(late_after.max(LOOKS_EVERY)).await;
            let must_not = self.failure().is_some() || self.lanes.is_safe() || self.pause().is_paused();
            if must_not || lane.admission.standing().breaker != "closed" {
                continue;
            }
            if let Some(admitted) = lane.admission.admit_at_once(&applicant) {
                break admitted;
            }
        };
        let profile = self.lanes.policy().in_force().profile.recover.hedge;
        if !self.hedges.take(&profile) || self.start(lane, &mut admitted, request, (question, item)).await.is_err() {
            drop(admitted);
            return never().await;
        }
        let reserved = admitted.reserved().usd;
        admitted.sending();
        self.hedges.sent();
        beside.lock().unwrap_or_else(PoisonError::into_inner).reserved = Some(reserved);
        self.books.tell(Fact::QuestionHedged { question, item, model: request.model.clone(), after: late_after }).await;
        let watched = match admitted.lease().and_then(|lease| lease.instance.as_mut()) {
            Some(instance) => watched(&self.config.watch, affordable, instance.as_mut(), request, &mut |_| {}).await,
            None => Watched { result: Err(Failure::new(FailureKind::Died, "it is gone")), first_event: None },
        };
        match watched.result {
            Ok(answer) => Winner { admitted, answer, first_event: watched.first_event },
            Err(failure) => {
                let (usage, bill) = self.settle_beside(admitted, request, &failure);
                beside.lock().unwrap_or_else(PoisonError::into_inner).ended = Some((usage, bill));
                let (model, failed) = (request.model.clone(), Some(failure.kind.name().into()));
                let uncertain = bill.unwrap_or(reserved) - usage.usd;
                self.books
                    .tell_ends(vec![AttemptEnd { question, item, attempt, model, failed, usage, uncertain }])
                    .await;
                never().await
            }
        }
    }

    /// A second try has failed. The first one goes on, and whoever fails last is recovered from.
    fn settle_beside(&self, admitted: Admitted, request: &Request, failure: &Failure) -> (Usage, Option<Usd>) {
        let (usage, spent) = match failure.usage {
            Some(usage) => {
                let usage = Usage { requests: usage.requests.max(1), ..usage };
                (self.priced(&request.model, &request.model, usage), Spent::Known(Cost::of(&usage)))
            }
            None => {
                let spent = if failure.reached_model { Spent::Unknown } else { Spent::Nothing };
                (Usage { requests: 1, ..Usage::default() }, spent)
            }
        };
        let bill = self.bill_of_failure(request, failure, &usage, true);
        let pause = match failure.kind {
            FailureKind::RateLimited => Some(failure.retry_after.unwrap_or(attempt::UNKNOWN_PAUSE)),
            _ => None,
        };
        let (signal, seen, words) = (Signal::of(&failure.kind), attempt::seen(&failure.kind), failure.message.clone());
        let first_event = None;
        admitted.settle(End { signal, words, seen, first_event, spent, bill, told: None, pause, reusable: false });
        (usage, bill.map(|bill| bill.usd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_of_twenty_answers_came_earlier_than_the_last_one() {
        let (hedges, profile) = (Hedges::default(), HedgeProfile::default());
        for number in 1..=19 {
            hedges.answered("m", Duration::from_secs(number));
            assert_eq!(hedges.late_after(&profile, "m"), None);
        }
        hedges.answered("m", Duration::from_secs(100));
        assert_eq!(hedges.late_after(&profile, "m"), Some(Duration::from_secs(19)));
        assert_eq!(hedges.late_after(&profile, "another"), None);
    }

    #[test]
    fn five_of_a_hundred_may_be_asked_a_second_time() {
        let (hedges, profile) = (Hedges::default(), HedgeProfile::default());
        let mut taken = 0;
        for _ in 0..100 {
            hedges.sent();
            taken += usize::from(hedges.take(&profile));
        }
        assert_eq!(taken, 5);
    }
}
