//! The limit moves while questions are in flight.

use convoke_policy::Adapt;

use super::*;

fn to(limit: u32) -> Adapt {
    Adapt { limit, reason: "it is tried".to_owned(), ..Adapt::default() }
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_lets_those_in_flight_end_and_then_lets_fewer_in() {
    let admission = admission(4, None);
    let mut inside = Vec::new();
    for _ in 0..4 {
        inside.push(admission.admit(applicant(1)).await.unwrap());
    }
    let mut waiting = Asking::new(&admission, applicant(1));
    assert!(waiting.admitted().is_none());
    assert_eq!(admission.adapt(&to(2)).limit, Some((4, 2)));
    for left in [3, 2] {
        inside.pop().unwrap().settle(end());
        assert!(waiting.admitted().is_none(), "{left} are in flight");
    }
    inside.pop().unwrap().settle(end());
    let last = waiting.admitted().unwrap();
    let standing = admission.standing();
    assert_eq!((standing.in_flight, standing.limit, standing.most_in_flight), (2, 2, 4));
    last.settle(end());
    inside.pop().unwrap().settle(end());
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_those_in_who_wait_and_never_above_the_ceiling() {
    let admission = admission(3, None);
    admission.adapt(&to(1));
    let inside = admission.admit(applicant(1)).await.unwrap();
    let mut waiting: Vec<_> = (0..4).map(|_| Asking::new(&admission, applicant(1))).collect();
    assert!(waiting.iter_mut().all(|asking| asking.admitted().is_none()));
    assert_eq!(admission.adapt(&to(100)).limit, Some((1, 3)));
    let admitted: Vec<_> = waiting.iter_mut().filter_map(Asking::admitted).collect();
    assert_eq!((admitted.len(), admission.standing().waiting), (2, 2));
    drop(inside);
    drop(admitted);
}

#[tokio::test(start_paused = true)]
async fn a_decision_can_open_the_breaker_and_pause() {
    let admission = admission(3, None);
    admission.adapt(&Adapt { open_breaker: true, ..to(3) });
    assert_eq!((admission.standing().breaker, admission.changes().len()), ("open", 1));
    let start = Instant::now();
    let first = admission.admit(applicant(1)).await.unwrap();
    assert_eq!(start.elapsed(), 60 * SECOND);
    admission.adapt(&Adapt { pause_ms: 7_000, ..to(3) });
    let second = admission.admit(applicant(1)).await.unwrap();
    assert_eq!(start.elapsed(), 67 * SECOND);
    drop((first, second));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    /// Questions come, end and are given up while the limit and its ceiling move: whoever is let in finds room, nobody
    /// waits while there is some, and in the end everything has come back.
    #[test]
    fn no_permit_is_lost_when_the_limit_moves(
        steps in prop::collection::vec((0u8..8, 0u32..12, 0usize..20), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let admission = admission(8, None);
            let (mut inside, mut waiting): (Vec<Admitted>, Vec<Asking>) = Default::default();
            let mut ceiling = 8;
            for (what, number, which) in steps {
                let before = inside.len();
                match what {
                    0..=2 => waiting.push(Asking::new(&admission, applicant(1))),
                    3 | 4 if !inside.is_empty() => {
                        let mut ended = inside.swap_remove(which % inside.len());
                        ended.sending();
                        let seen = [Seen::Answered, Seen::Failed, Seen::TimedOut, Seen::Neutral][which % 4];
                        ended.settle(End { seen, ..end() });
                    }
                    5 if !inside.is_empty() => drop(inside.swap_remove(which % inside.len())),
                    6 => {
                        admission.adapt(&to(number));
                    }
                    7 => {
                        ceiling = number.max(1) as usize;
                        admission.set_instances(number as usize);
                    }
                    _ => {}
                }
                // What is due is taken as it would be, whoever decides.
                let _ = admission.due();
                let left = inside.len();
                let mut still = Vec::new();
                for mut asking in waiting.drain(..) {
                    match asking.admitted() {
                        Some(admitted) => inside.push(admitted),
                        None => still.push(asking),
                    }
                }
                waiting = still;
                let standing = admission.standing();
                prop_assert_eq!((standing.in_flight, standing.waiting), (inside.len(), waiting.len()));
                prop_assert!((1..=ceiling).contains(&standing.limit));
                prop_assert!(inside.len() == left || inside.len() <= standing.limit, "{before} {standing:?}");
                prop_assert!(waiting.is_empty() || inside.len() >= standing.limit, "{standing:?}");
            }
            while !inside.is_empty() || !waiting.is_empty() {
                for one in inside.drain(..) {
                    one.settle(end());
                }
                inside.extend(waiting.iter_mut().filter_map(Asking::admitted));
                let admitted = inside.len();
                waiting.drain(..admitted);
            }
            let standing = admission.standing();
            prop_assert_eq!((standing.in_flight, standing.waiting), (0, 0));
            Ok(())
        })?;
    }
}
