use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::breaker::Signal;
use crate::limiter::Seen;
use crate::question::{FailureKind, ProviderLimits};
use crate::quota::Told;

mod moving;
mod waits;

const SECOND: Duration = Duration::from_secs(1);

fn applicant(output_tokens: u64) -> Applicant {
    Applicant {
        command: "audit".into(),
        run: "".into(),
        share: 100 + output_tokens,
        priority: 4,
        cost: Cost { requests: 1, input_tokens: 100, output_tokens },
        most: Amount::default(),
        last: true,
        quotas: Arc::default(),
        profile: Arc::default(),
    }
}

fn end() -> End {
    End {
        signal: Signal::Success,
        words: String::new(),
        seen: Seen::Answered,
        first_event: None,
        spent: Spent::Nothing,
        bill: Some(Amount::default()),
        told: None,
        pause: None,
        reusable: true,
    }
}

fn admission(instances: usize, output_tokens: Option<u64>) -> Arc<Admission> {
    let quota = QuotaConfig { output_tokens, ..QuotaConfig::default() };
    Admission::new(AdmissionConfig { instances, quota, ..AdmissionConfig::default() })
}

/// An application that is polled by hand.
struct Asking(BoxFuture<'static, Result<Admitted, Failure>>);

impl Asking {
    fn new(admission: &Arc<Admission>, applicant: Applicant) -> Self {
        let admission = admission.clone();
        Self(async move { admission.admit(applicant).await }.boxed())
    }

    fn poll(&mut self) -> Option<Result<Admitted, Failure>> {
        match Pin::new(&mut self.0).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn admitted(&mut self) -> Option<Admitted> {
        self.poll().map(Result::unwrap)
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_holds_nothing() {
    let admission = admission(1, Some(1_000));
    let inside = admission.admit(applicant(400)).await.unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| Asking::new(&admission, applicant(400))).collect();
    assert!(waiting.iter_mut().all(|asking| asking.admitted().is_none()));
    let standing = admission.standing();
    assert_eq!((standing.waiting, standing.in_flight, standing.free[2]), (5, 1, Some(600)));
    inside.settle(end());
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_wakes_exactly_one() {
    let admission = admission(1, None);
    let inside = admission.admit(applicant(1)).await.unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| Asking::new(&admission, applicant(1))).collect();
    assert!(waiting.iter_mut().all(|asking| asking.admitted().is_none()));
    inside.settle(end());
    let admitted: Vec<_> = waiting.iter_mut().filter_map(Asking::admitted).collect();
    assert_eq!((admitted.len(), admission.standing().waiting), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_lets_the_next_in_when_it_has_refilled() {
    let admission = admission(8, Some(600));
    let first = admission.admit(applicant(600)).await.unwrap();
    first.settle(End { spent: Spent::Unknown, ..end() });
    let start = Instant::now();
    let second = admission.admit(applicant(60)).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 6, "60 of 600 a minute");
    second.settle(end());
}

#[tokio::test(start_paused = true)]
async fn a_large_question_is_not_overtaken_for_ever() {
    let admission = admission(8, Some(600));
    let inside = admission.admit(applicant(300)).await.unwrap();
    let mut large = Asking::new(&admission, applicant(600));
    assert!(large.admitted().is_none());
    let mut small = Asking::new(&admission, applicant(1));
    assert!(small.admitted().is_none(), "it comes after the large one");
    inside.settle(end());
    assert!(large.admitted().is_some());
}

#[tokio::test(start_paused = true)]
async fn when_the_head_leaves_its_successor_goes() {
    let admission = admission(8, Some(600));
    let inside = admission.admit(applicant(300)).await.unwrap();
    let mut large = Asking::new(&admission, applicant(600));
    let mut small = Asking::new(&admission, applicant(1));
    assert!(large.admitted().is_none() && small.admitted().is_none());
    drop(large);
    assert!(small.admitted().is_some());
    drop(inside);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_the_next_wait_outside() {
    let admission = Admission::new(AdmissionConfig { instances: 1, queue: 2, ..AdmissionConfig::default() });
    let mut inside = Some(admission.admit(applicant(1)).await.unwrap());
    let mut waiting: VecDeque<_> = (0..5).map(|_| Asking::new(&admission, applicant(1))).collect();
    for asking in &mut waiting {
        assert!(asking.admitted().is_none());
    }
    assert_eq!(admission.standing().waiting, 2);
    while let Some(mut asking) = waiting.pop_front() {
        drop(inside.take());
        inside = asking.admitted();
        assert!(inside.is_some(), "in the order they came");
        for asking in &mut waiting {
            assert!(asking.admitted().is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everybody_until_it_is_over() {
    let admission = admission(8, None);
    let one = admission.admit(applicant(1)).await.unwrap();
    one.settle(End { pause: Some(171 * SECOND), ..end() });
    let start = Instant::now();
    let all = futures::future::join_all((0..8).map(|_| admission.admit(applicant(1)))).await;
    assert_eq!((all.len(), start.elapsed().as_secs()), (8, 171));
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_all_who_wait_and_all_who_come() {
    let admission = admission(1, None);
    let inside = admission.admit(applicant(1)).await.unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Asking::new(&admission, applicant(1))).collect();
    assert!(waiting.iter_mut().all(|asking| asking.poll().is_none()));
    let failure = Failure::new(FailureKind::Auth, "the key was rejected");
    assert!(admission.stop(failure.clone()));
    assert!(!admission.stop(Failure::new(FailureKind::Auth, "another")), "the first one stays");
    for asking in &mut waiting {
        assert_eq!(asking.poll().unwrap().err(), Some(failure.clone()));
    }
    inside.settle(end());
    assert_eq!(admission.admit(applicant(1)).await.err(), Some(failure));
    assert_eq!(admission.standing().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_more_in_at_once() {
    let admission = admission(1, None);
    let _inside = admission.admit(applicant(1)).await.unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| Asking::new(&admission, applicant(1))).collect();
    assert!(waiting.iter_mut().all(|asking| asking.admitted().is_none()));
    admission.set_instances(4);
    let admitted: Vec<_> = waiting.iter_mut().filter_map(Asking::admitted).collect();
    assert_eq!((admitted.len(), admission.standing().in_flight), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_took_goes_back() {
    let admission = admission(1, None);
    let inside = admission.admit(applicant(1)).await.unwrap();
    let mut given_up = Asking::new(&admission, applicant(1));
    assert!(given_up.admitted().is_none());
    inside.settle(end());
    assert_eq!(admission.standing().in_flight, 1, "it is admitted, but does not know yet");
    drop(given_up);
    assert_eq!(admission.standing().in_flight, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u64, u8),
    Poll(usize),
    Drop(usize),
    Settle(usize, u8),
    Abandon(usize, bool),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..700, 0u8..10).prop_map(|(tokens, priority)| Step::Ask(tokens, priority)),
        3 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => (any::<usize>(), 0u8..6).prop_map(|(index, how)| Step::Settle(index, how)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(index, sent)| Step::Abandon(index, sent)),
        2 => (0u64..40).prop_map(Step::Pass),
    ]
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_budget_does_not_hold_back_other_runs_and_is_not_passed_for_ever() {
    use crate::budget::BudgetConfig;
    let budget = BudgetConfig { output_tokens: Some(1_000), ..BudgetConfig::default() };
    let budget = Arc::new(Budget::new(budget, Default::default(), Default::default(), Arc::new(jiff::Timestamp::now)));
    let config = AdmissionConfig { instances: 64, ..AdmissionConfig::default() };
    let admission = Admission::with_budget(config, budget);
    let of = |run: &str, tokens| Applicant {
        run: run.into(),
        most: Amount { output_tokens: tokens, ..Amount::default() },
        ..applicant(tokens)
    };
    let inside = admission.admit(of("one", 500)).await.unwrap();
    let mut large = Asking::new(&admission, of("one", 800));
    assert!(large.admitted().is_none());
    let mut small = Asking::new(&admission, of("other", 10));
    assert!(small.admitted().is_some(), "of another run, and there is enough for it");
    assert!(Asking::new(&admission, of("one", 10)).admitted().is_none(), "of the same run: its head goes first");
    let mut passed = 1;
    while let Some(admitted) = Asking::new(&admission, of("other", 1)).admitted() {
        admitted.settle(end());
        passed += 1;
    }
    assert_eq!(passed, crate::queue::PASSES);
    inside.settle(end());
    assert!(large.admitted().is_some(), "what it waited for came back");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    /// Whatever is asked, admitted, settled and dropped: never more than the limit are inside, and in the end nothing
    /// is missing.
    #[test]
    fn nothing_leaks_wherever_it_is_dropped(
        steps in prop::collection::vec(step(), 1..120),
        queue in 1usize..6,
        instances in 1usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let quota = QuotaConfig { requests: Some(60), input_tokens: None, output_tokens: Some(600) };
            let config = AdmissionConfig { instances, queue, quota, ..AdmissionConfig::default() };
            let admission = Admission::new(config);
            let (mut asking, mut inside): (Vec<Asking>, Vec<Admitted>) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Ask(tokens, priority) => {
                        let mut one = Asking::new(&admission, Applicant { priority, ..applicant(tokens) });
                        match one.admitted() {
                            Some(admitted) => inside.push(admitted),
                            None => asking.push(one),
                        }
                    }
                    Step::Poll(index) if !asking.is_empty() => {
                        let index = index % asking.len();
                        if let Some(admitted) = asking[index].admitted() {
                            inside.push(admitted);
                            drop(asking.swap_remove(index));
                        }
                    }
                    Step::Drop(index) if !asking.is_empty() => drop(asking.swap_remove(index % asking.len())),
                    Step::Settle(index, how) if !inside.is_empty() => {
                        let admitted = inside.swap_remove(index % inside.len());
                        let limits = ProviderLimits::default();
                        let told = (how == 1).then_some(Told { limits, at: Instant::now() });
                        admitted.settle(End {
                            signal: if how == 2 { Signal::Trip } else { Signal::Success },
                            spent: if how == 3 { Spent::Unknown } else { Spent::Known(Cost::default()) },
                            pause: (how == 4).then_some(3 * SECOND),
                            told,
                            ..end()
                        });
                    }
                    Step::Abandon(index, sent) if !inside.is_empty() => {
                        let mut admitted = inside.swap_remove(index % inside.len());
                        if sent {
                            admitted.sending();
                        }
                        drop(admitted);
                    }
                    Step::Pass(seconds) => advance(Duration::from_secs(seconds)).await,
                    _ => {}
                }
                let standing = admission.standing();
                assert!(standing.in_flight <= instances && standing.waiting <= queue, "{standing:?}");
                assert!(standing.free.iter().flatten().all(|free| *free >= 0), "{standing:?}");
            }
            // Those who still wait get in, one after the other, however long it takes.
            drop(inside);
            for mut one in asking {
                for _ in 0..200 {
                    if one.admitted().is_some() {
                        break;
                    }
                    advance(SECOND).await;
                    tokio::task::yield_now().await;
                }
            }
            advance(600 * SECOND).await;
            let standing = admission.standing();
            assert_eq!((standing.waiting, standing.in_flight), (0, 0));
            assert_eq!((standing.free, admission.places.available_permits()), ([Some(60), None, Some(600)], queue));
            // And there is still room for all.
            admission.lock().breaker = Breaker::new(BreakerConfig::default());
            let all: Vec<_> = (0..instances).filter_map(|_| Asking::new(&admission, applicant(1)).admitted()).collect();
            assert_eq!(all.len(), instances);
        });
    }
}
