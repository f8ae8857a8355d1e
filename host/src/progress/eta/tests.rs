use convoke_runtime::event::{Fact, Settled};
use convoke_runtime::work::{Census, Outcome, Status};

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn planned(items: usize, expected: Option<u64>) -> State {
    let mut state = State::default();
    let (assessed_in, allocated_in) = (Duration::ZERO, Duration::ZERO);
    let expected = expected.map(Duration::from_secs);
    state.hear(&Fact::Planned { items, cached: 0, workers: 1, assessed_in, allocated_in, expected }, Duration::ZERO);
    state.hear(&Fact::WorkerStarted { worker: 0, segment: String::new() }, Duration::ZERO);
    state
}

fn ends(state: &mut State, item: usize, at: f64, took: f64) {
    let ended = Fact::ItemEnded { worker: Some(0), item, outcome: Outcome::Done, took: seconds(took) };
    state.hear(&ended, seconds(at));
}

#[test]
fn half_done_in_ten_seconds_leaves_ten_seconds() {
    let mut state = planned(8, None);
    for item in 0..3 {
        assert_eq!(state.left(seconds(10.0)), None, "{item} ended: that says nothing");
        ends(&mut state, item, 10.0, 2.0);
    }
    ends(&mut state, 3, 10.0, 2.0);
    let left = state.left(seconds(10.0)).expect("something");
    assert!((left.seconds - 10.0).abs() < 1e-9 && (left.error - 0.5).abs() < 1e-9, "{left:?}");
}

#[test]
fn what_is_in_hands_is_partly_done() {
    let mut state = planned(4, None);
    for item in 0..3 {
        ends(&mut state, item, 30.0, 10.0);
    }
    let started =
        Fact::ItemStarted { worker: 0, item: 3, id: String::new(), label: String::new(), group: None, attempt: 1 };
    state.hear(&started, seconds(30.0));
    let left: Vec<f64> = [30.0, 35.0, 38.0].map(|at| state.left(seconds(at)).expect("something").seconds).into();
    assert!((left[0] - 10.0).abs() < 1e-6 && left.is_sorted_by(|a, b| a > b), "{left:?}");
}

#[test]
fn before_anything_has_ended_it_is_what_earlier_runs_took_and_later_more_and_more_this_one() {
    let mut state = planned(20, Some(100));
    let at = |state: &State, at: f64| state.left(seconds(at)).map(|left| left.seconds.round());
    assert_eq!(at(&state, 10.0), Some(90.0));
    for item in 0..4 {
        ends(&mut state, item, 10.0, 2.0);
    }
    // Its own pace says 40 s, history 90 s.
    assert_eq!(at(&state, 10.0), Some(65.0));
    for item in 4..16 {
        ends(&mut state, item, 40.0, 2.0);
    }
    // 10 s and 60 s, of which history counts a fifth.
    assert_eq!(at(&state, 40.0), Some(20.0));
    let slow = planned(20, Some(100));
    assert_eq!(at(&slow, 150.0), None, "history was wrong, and there is nothing else");
}

#[test]
fn an_item_that_takes_longer_than_all_others_is_not_about_to_end() {
    let mut state = planned(13, None);
    for item in 0..12 {
        ends(&mut state, item, 12.0, 4.0);
    }
    let started =
        Fact::ItemStarted { worker: 0, item: 12, id: String::new(), label: String::new(), group: None, attempt: 1 };
    state.hear(&started, seconds(12.0));
    let left = state.left(seconds(32.0)).expect("something");
    assert!((left.seconds - 10.0).abs() < 1e-9 && (left.error - 1.0).abs() < 1e-9, "{left:?}");
}

#[test]
fn nothing_is_said_while_it_is_paused_or_being_stopped() {
    for fact in [
        Fact::Paused { by: String::new(), at_once: false },
        Fact::Stopping { at_most: Duration::ZERO },
        Fact::DispatchStopped { reason: String::new() },
    ] {
        let mut state = planned(20, Some(100));
        state.hear(&fact, Duration::ZERO);
        assert_eq!(state.left(seconds(1.0)), None, "{fact:?}");
    }
}

#[test]
fn a_pause_of_an_hour_leaves_as_much_as_before_it() {
    let mut state = planned(20, None);
    for item in 0..10 {
        ends(&mut state, item, 60.0, 6.0);
    }
    let started =
        Fact::ItemStarted { worker: 0, item: 10, id: String::new(), label: String::new(), group: None, attempt: 1 };
    state.hear(&started, seconds(60.0));
    let before = state.left(seconds(63.0)).expect("something");
    state.hear(&Fact::Paused { by: String::new(), at_once: true }, seconds(63.0));
    state.hear(&Fact::Resumed { by: String::new() }, seconds(3_663.0));
    assert_eq!(state.left(seconds(3_663.0)), Some(before));
    ends(&mut state, 10, 3_666.0, 3_606.0);
    assert_eq!(state.took, seconds(66.0), "nor did the item take that long");
}

#[test]
fn what_a_run_that_goes_on_had_done_before_says_nothing_of_its_pace() {
    let mut state = planned(20, None);
    for item in 0..10 {
        let kept = Fact::ItemEnded { worker: None, item, outcome: Outcome::Done, took: Duration::ZERO };
        state.hear(&kept, Duration::ZERO);
    }
    assert_eq!(state.left(seconds(10.0)), None);
    (10..15).for_each(|item| ends(&mut state, item, 10.0, 2.0));
    assert_eq!(state.left(seconds(10.0)).map(|left| left.seconds.round()), Some(10.0));
}

#[test]
fn while_a_run_waits_for_its_turn_nothing_is_said_of_all() {
    let mut first = planned(8, None);
    (0..4).for_each(|item| ends(&mut first, item, 10.0, 2.0));
    let second = State::planned(40);
    let now = seconds(10.0);
    assert_eq!(Left::of_all(&[first, second], now), None);
    let mut over = State::planned(40);
    over.hear(&Fact::Ended { census: Census::default(), status: Status::Failed }, now);
    let mut first = planned(8, None);
    (0..4).for_each(|item| ends(&mut first, item, 10.0, 2.0));
    assert_eq!(Left::of_all(&[first, over], now).map(|left| left.seconds.round()), Some(10.0), "it does not wait");
}

#[test]
fn while_nobody_may_be_asked_it_takes_at_least_that_long() {
    let mut state = planned(20, Some(30));
    let lasts = Some(Duration::from_secs(60));
    state.hear(&Fact::BreakerChanged { state: "open".into(), reason: String::new(), lasts }, seconds(10.0));
    assert_eq!(state.left(seconds(10.0)).map(|left| left.seconds), Some(60.0));
}

#[test]
fn it_is_shown_no_finer_than_it_is_known() {
    let shown = |seconds, error| Eta::default().next(Some(Left { seconds, error }), Duration::ZERO).expect("a text");
    assert_eq!(shown(43.0, 0.1), "~45 s left");
    assert_eq!(shown(43.0, 0.5), "~30 s left");
    assert_eq!(shown(2.0, 0.1), "under 5 s left");
    assert_eq!(shown(437.0, 0.1), "~7 min left");
    assert_eq!(shown(437.0, 1.0), "~10 min left");
    assert_eq!(shown(4_300.0, 0.1), "~1 h 10 min left");
}

/// Forty items on four workers, each of a length that nobody could guess.
#[test]
fn it_does_not_jump() {
    let mut state = planned(40, None);
    // A generator as good as any for lengths from 1 s to 9 s.
    let mut random = 12_345_u64;
    let mut length = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1.0 + (random >> 33) as f64 / f64::from(1_u32 << 31) * 8.0
    };
    let mut workers: Vec<(f64, f64)> = (0..4).map(|_| (0.0, length())).collect();
    let (mut eta, mut ended, mut shown, mut at) = (Eta::default(), 0, Vec::new(), 0.0);
    while ended < 40 {
        for (from, took) in &mut workers {
            if at >= *from + *took && ended < 40 {
                ends(&mut state, ended, at, *took);
                ended += 1;
                (*from, *took) = (at, length());
            }
        }
        eta.next(state.left(seconds(at)), seconds(at));
        if let Some((value, _)) = eta.shown
            && shown.last() != Some(&value)
        {
            shown.push(value);
        }
        at += 0.2;
    }
    assert!(shown.len() < 20, "it changes seldom: {shown:?}");
    let worse = shown.windows(2).filter(|pair| pair[1] > pair[0]).count();
    assert!(worse <= 2, "it goes down: {shown:?}");
    assert!(shown.windows(2).all(|pair| pair[1].abs_diff(pair[0]) <= (pair[0] / 3).max(10)), "in steps: {shown:?}");
    let first = *shown.first().expect("something") as f64;
    assert!((first - at).abs() < at * 0.5, "it was about right from the beginning: {shown:?}, {at}");
}

/// 42 items of 3 s to 9 s on eight workers: every third waits 5 s for quota first, and one stalls for 20 s more.
#[test]
fn where_items_wait_and_one_stalls_it_is_not_half_as_long_as_it_takes() {
    const ITEMS: usize = 42;
    let mut state = planned(ITEMS, None);
    (1..8).for_each(|worker| state.hear(&Fact::WorkerStarted { worker, segment: String::new() }, Duration::ZERO));
    let waits = |item: usize| if item.is_multiple_of(3) { 5.0 } else { 0.0 };
    let takes = |item: usize| waits(item) + 3.0 + (item * 5 % 7) as f64 + if item == 20 { 20.0 } else { 0.0 };
    // When each worker is free, and its item with the time at which it ends.
    let mut free = [0.0_f64; 8];
    let plan: Vec<(usize, f64, f64)> = (0..ITEMS)
        .map(|item| {
            let worker = (0..8).min_by(|one, other| free[*one].total_cmp(&free[*other])).expect("a worker");
            let began = free[worker];
            free[worker] += takes(item);
            (worker, began, free[worker])
        })
        .collect();
    let end = free.into_iter().fold(0.0, f64::max);
    let (mut eta, mut shown): (Eta, Vec<u64>) = (Eta::default(), Vec::new());
    let passes = |from: f64, at: f64, to: f64| from < to && to <= at;
    let (mut before, mut ended) = (-0.1, 0);
    for at in (0..).map(|tick| f64::from(tick) * 0.1).take_while(|at| *at < end - 3.0) {
        for (item, (worker, began, ends)) in plan.iter().copied().enumerate() {
            let question = item as u64;
            if passes(before, at, ends) {
                let settled = Settled { question, item, ..Settled::default() };
                state.hear(&Fact::QuestionSettled(Box::new(settled)), seconds(at));
                let (worker, took) = (Some(worker), seconds(takes(item)));
                state.hear(&Fact::ItemEnded { worker, item, outcome: Outcome::Done, took }, seconds(at));
                ended += 1;
            }
            if passes(before, at, began) {
                let started = Fact::ItemStarted {
                    worker,
                    item,
                    id: String::new(),
                    label: String::new(),
                    group: None,
                    attempt: 1,
                };
                state.hear(&started, seconds(at));
                let lasts = Some(seconds(waits(item)));
                if waits(item) > 0.0 {
                    state.hear(&Fact::QuestionWaits { question, item, reason: "quota".into(), lasts }, seconds(at));
                }
            }
            if passes(before, at, began + waits(item)) {
                let (model, backend) = (String::new(), "scripted".into());
                state.hear(&Fact::QuestionSent { question, item, model, backend, attempt: 1 }, seconds(at));
            }
        }
        before = at;
        eta.next(state.left(seconds(at)), seconds(at));
        let Some((value, step)) = eta.shown else { continue };
        if shown.last() != Some(&value) {
            shown.push(value);
        }
        if ended * 3 >= ITEMS {
            let (said, left) = (if value == 0 { step } else { value } as f64, end - at);
            assert!(said >= left * 0.6, "at {at:.1} s, {ended} ended: {said} s, and it takes {left:.1} s: {shown:?}");
            assert!(said <= left * 1.5 + 10.0, "at {at:.1} s: {said} s, and it takes {left:.1} s: {shown:?}");
        }
    }
    assert!(shown.windows(2).all(|pair| pair[1].abs_diff(pair[0]) <= (pair[0] / 3).max(10)), "in steps: {shown:?}");
    assert!(shown.windows(2).filter(|pair| pair[1] > pair[0]).count() <= 2, "it goes down: {shown:?}");
}
