use proptest::prelude::*;

use super::*;

fn breaker() -> Breaker {
    Breaker::new(BreakerConfig::default())
}

/// Sends one that ends at once.
fn answer(breaker: &mut Breaker, now: Instant, signal: Signal) -> Option<Change> {
    breaker.tick(now);
    assert_eq!(breaker.check(), Ok(()));
    let pass = breaker.pass();
    breaker.hand_back(pass, now, signal, "overloaded")
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = breaker();
    for _ in 0..5 {
        answer(&mut breaker, now, Signal::Trip);
    }
    assert_eq!(breaker.state(), "open");
    breaker
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn five_failures_in_a_row_open_it_for_sixty_seconds() {
    let now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..4 {
        assert_eq!(answer(&mut breaker, now, Signal::Trip), None);
    }
    let change = answer(&mut breaker, now, Signal::Trip).unwrap();
    assert_eq!(change.state, "open");
    assert!(change.reason.contains("overloaded"), "{}", change.reason);
    assert_eq!(breaker.check(), Err(Wait::Until(now + 60 * SECOND)));
    assert_eq!(breaker.tick(now + 59 * SECOND), None);
    assert_eq!(breaker.tick(now + 60 * SECOND).unwrap().state, "half-open");
}

#[test]
fn a_success_between_begins_the_row_anew() {
    let now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..4 {
        answer(&mut breaker, now, Signal::Trip);
    }
    answer(&mut breaker, now, Signal::Success);
    for _ in 0..4 {
        answer(&mut breaker, now, Signal::Trip);
    }
    assert_eq!(breaker.state(), "closed");
}

#[test]
fn five_failures_in_a_row_over_more_than_thirty_seconds_do_not_open_it() {
    let start = Instant::now();
    let mut breaker = breaker();
    for number in 0..20 {
        answer(&mut breaker, start + number * 8 * SECOND, Signal::Trip);
    }
    assert_eq!(breaker.state(), "closed");
}

#[test]
fn twenty_three_of_thirty_answered_open_it_and_twenty_four_do_not() {
    let now = Instant::now();
    let share = |trips: usize| {
        let mut breaker = breaker();
        // Every third is a trip, so that no five stand in a row, and the last one is.
        let trip = |number: usize| number % 3 == 1 && number < 3 * (trips - 1);
        (0..30).find_map(|number| {
            let is_trip = trip(number) || number == 29;
            answer(&mut breaker, now, if is_trip { Signal::Trip } else { Signal::Success })
        })
    };
    let change = share(7).unwrap();
    assert!(change.state == "open" && change.reason.contains("77 % answered within 30 s"), "{}", change.reason);
    assert_eq!(change.lasts, Some(60 * SECOND));
    assert_eq!(share(6), None);
}

#[test]
fn what_was_answered_longer_ago_than_the_window_does_not_count() {
    let now = Instant::now();
    let mut breaker = breaker();
    for number in 0..29 {
        answer(&mut breaker, now, if number % 3 == 1 { Signal::Trip } else { Signal::Success });
    }
    assert_eq!(answer(&mut breaker, now + 31 * SECOND, Signal::Trip), None);
}

#[test]
fn half_open_lets_three_through_and_no_fourth() {
    let now = Instant::now();
    let mut breaker = opened(now);
    breaker.tick(now + 60 * SECOND);
    let passes: Vec<_> = (0..3)
        .map(|_| {
            assert_eq!(breaker.check(), Ok(()));
            breaker.pass()
        })
        .collect();
    assert_eq!(breaker.check(), Err(Wait::Change));
    for pass in passes {
        breaker.hand_back(pass, now, Signal::Neutral, "");
    }
    assert_eq!(breaker.check(), Ok(()), "what says nothing gives its place back");
}

#[test]
fn half_open_closes_on_success_and_opens_on_failure() {
    let now = Instant::now();
    let later = now + 60 * SECOND;
    let mut breaker = opened(now);
    assert_eq!(answer(&mut breaker, later, Signal::Trip).unwrap().state, "open");
    assert_eq!(breaker.check(), Err(Wait::Until(later + 60 * SECOND)));
    assert_eq!(answer(&mut breaker, later + 60 * SECOND, Signal::Success).unwrap().state, "closed");
}

#[test]
fn after_three_vain_probes_nobody_waits_until_one_succeeds() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    for _ in 0..3 {
        assert_eq!(breaker.given_up(), None);
        now += 60 * SECOND;
        answer(&mut breaker, now, Signal::Trip);
    }
    assert!(breaker.given_up().unwrap().contains("overloaded"));
    now += 60 * SECOND;
    breaker.tick(now);
    assert_eq!(breaker.given_up(), None, "its time is over: it is probed");
    answer(&mut breaker, now, Signal::Success);
    for _ in 0..5 {
        answer(&mut breaker, now, Signal::Trip);
    }
    assert_eq!(breaker.given_up(), None, "it counts anew");
}

#[test]
fn answers_from_before_it_opened_tell_nothing() {
    let now = Instant::now();
    let mut breaker = breaker();
    let (early, late) = (breaker.pass(), breaker.pass());
    for _ in 0..5 {
        answer(&mut breaker, now, Signal::Trip);
    }
    assert_eq!(breaker.hand_back(early, now, Signal::Success, ""), None);
    breaker.tick(now + 60 * SECOND);
    assert_eq!(breaker.hand_back(late, now, Signal::Success, ""), None);
    assert_eq!(breaker.state(), "half-open");
}

#[test]
fn a_rate_limit_is_no_trip_and_a_refusal_is_a_sign_of_health() {
    assert_eq!(Signal::of(&FailureKind::RateLimited), Signal::Neutral);
    assert_eq!(Signal::of(&FailureKind::Auth), Signal::Neutral);
    assert_eq!(Signal::of(&FailureKind::Cancelled), Signal::Neutral);
    assert_eq!(Signal::of(&FailureKind::Refused), Signal::Success);
    assert_eq!(Signal::of(&FailureKind::Invalid), Signal::Success);
    for kind in [FailureKind::Overloaded, FailureKind::Server, FailureKind::TimedOut, FailureKind::Cut] {
        assert_eq!(Signal::of(&kind), Signal::Trip);
    }
}

/// The table at the head of this module, written a second time and as simply as can be.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    /// The trips in a row, and all answers with whether they were trips.
    Closed(Vec<u64>, Vec<(u64, bool)>),
    Open(u64),
    HalfOpen,
}

proptest! {
    #[test]
    fn it_follows_its_table(
        steps in prop::collection::vec((prop_oneof![4 => Just(0u64), 4 => 0u64..3, 1 => 0u64..40], 0u8..6), 1..400),
    ) {
        let start = Instant::now();
        let mut breaker = breaker();
        let mut model = Model::Closed(Vec::new(), Vec::new());
        let mut at = 0;
        for (passed, signal) in steps {
            at += passed;
            let now = start + Duration::from_secs(at);
            breaker.tick(now);
            if let Model::Open(until) = model && at >= until {
                model = Model::HalfOpen;
            }
            if breaker.check().is_err() {
                prop_assert!(matches!(model, Model::Open(_)));
                continue;
            }
            use Signal::{Neutral, Success, Trip};
            let signal = [Success, Trip, Neutral, Success, Success, Success][usize::from(signal)];
            let pass = breaker.pass();
            breaker.hand_back(pass, now, signal, "");
            model = match (model, signal) {
                (Model::HalfOpen, Signal::Success) => Model::Closed(Vec::new(), Vec::new()),
                (Model::Closed(_, mut all), Signal::Success) => {
                    all.push((at, false));
                    Model::Closed(Vec::new(), all)
                }
                (Model::HalfOpen, Signal::Trip) => Model::Open(at + 60),
                (Model::Closed(mut row, mut all), Signal::Trip) => {
                    row.push(at);
                    row.retain(|trip| at - trip <= 30);
                    all.push((at, true));
                    all.retain(|(when, _)| at - when <= 30);
                    let well = all.iter().filter(|(_, is_trip)| !is_trip).count();
                    let is_unwell = all.len() >= 30 && 10 * well < 8 * all.len();
                    if row.len() >= 5 || is_unwell { Model::Open(at + 60) } else { Model::Closed(row, all) }
                }
                (model, _) => model,
            };
            let expected = match model { Model::Closed(..) => "closed", Model::Open(_) => "open", Model::HalfOpen => "half-open" };
            prop_assert_eq!(breaker.state(), expected);
        }
    }
}
