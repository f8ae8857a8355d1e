use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::question::ProviderLimit;

const SECOND: Duration = Duration::from_secs(1);

fn cost(requests: u64, input_tokens: u64, output_tokens: u64) -> Cost {
    Cost { requests, input_tokens, output_tokens }
}

fn quota(requests: u64, input: u64, output: u64, now: Instant) -> Quota {
    Quota::new(QuotaConfig { requests: Some(requests), input_tokens: Some(input), output_tokens: Some(output) }, now)
}

fn limit(limit: u64, remaining: u64) -> Option<ProviderLimit> {
    Some(ProviderLimit { limit, remaining, reset: None })
}

fn told(requests: Option<ProviderLimit>, at: Instant) -> Option<Told> {
    Some(Told { limits: ProviderLimits { requests, ..ProviderLimits::default() }, at })
}

#[test]
fn a_bucket_that_is_too_low_takes_from_none() {
    let now = Instant::now();
    let mut quota = quota(60, 1_000, 100, now);
    assert_eq!(quota.reserve(cost(1, 100, 100), now).map(drop_it(&mut Vec::new())), Ok(()));
    let before = quota.free(now);
    assert!(quota.reserve(cost(1, 100, 50), now).is_err(), "no output is left");
    assert_eq!(quota.free(now), before);
}

/// Keeps reservations out of `must_use`.
fn drop_it(kept: &mut Vec<Reservation>) -> impl FnMut(Reservation) + '_ {
    |reservation| kept.push(reservation)
}

#[test]
fn what_was_kept_comes_back_at_the_rate_of_the_limit() {
    let now = Instant::now();
    let mut quota = quota(60, 1_000_000, 1_000_000, now);
    for _ in 0..60 {
        let reservation = quota.reserve(cost(1, 1, 1), now).unwrap();
        quota.keep(reservation, None, now);
    }
    assert_eq!(quota.reserve(cost(1, 1, 1), now).err(), Some(Wait::Until(now + SECOND)));
    assert_eq!(quota.reserve(cost(2, 1, 1), now).err(), Some(Wait::Until(now + 2 * SECOND)));
    assert_eq!(quota.free(now + 10 * SECOND)[0], Some(10));
    assert_eq!(quota.free(now + 600 * SECOND)[0], Some(60), "never more than a minute's worth");
}

#[test]
fn settling_gives_back_what_was_reserved_too_much() {
    let now = Instant::now();
    let mut quota = quota(60, 1_000, 4_096, now);
    let reservation = quota.reserve(cost(1, 500, 4_096), now).unwrap();
    assert_eq!(quota.free(now), [Some(59), Some(500), Some(0)]);
    quota.settle(reservation, cost(1, 600, 96), None, now);
    assert_eq!(quota.free(now), [Some(59), Some(400), Some(4_000)]);
}

#[test]
fn a_refund_leaves_the_buckets_as_they_were() {
    let now = Instant::now();
    let mut quota = quota(60, 1_000, 4_096, now);
    let reservation = quota.reserve(cost(1, 500, 4_096), now).unwrap();
    quota.refund(reservation, None, now);
    assert_eq!(quota.free(now), [Some(60), Some(1_000), Some(4_096)]);
}

#[test]
fn a_question_above_the_bucket_waits_for_a_full_one_and_is_not_stuck() {
    let now = Instant::now();
    let mut quota = quota(60, 100, 100, now);
    let first = quota.reserve(cost(1, 5_000, 1), now).unwrap();
    assert_eq!(quota.reserve(cost(1, 5_000, 1), now).err(), Some(Wait::Until(now + 60 * SECOND)));
    quota.settle(first, cost(1, 100, 1), None, now);
    assert_eq!(quota.reserve(cost(1, 5_000, 1), now).err(), Some(Wait::Until(now + 60 * SECOND)));
    let second = quota.reserve(cost(1, 5_000, 1), now + 60 * SECOND).unwrap();
    quota.refund(second, None, now);
    let later = now + 120 * SECOND;
    let long = quota.reserve(cost(1, 1, 5_000), later).unwrap();
    assert_eq!(quota.reserve(cost(1, 1, 5_000), later).err(), Some(Wait::Change), "what is held has to be given back");
    quota.refund(long, None, later);
}

#[test]
fn without_a_limit_everything_goes_until_a_header_tells_one() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    let (one, two) = (quota.reserve(cost(1, 1, 1), now).unwrap(), quota.reserve(cost(1, 1, 1), now).unwrap());
    assert_eq!(quota.free(now), [None, None, None]);
    quota.settle(one, cost(1, 1, 1), told(limit(50, 2), now), now);
    assert_eq!(quota.free(now)[0], Some(1), "the other one may be counted in the two that are left, or not");
    quota.settle(two, cost(1, 1, 1), told(limit(50, 2), now), now);
    assert_eq!(quota.free(now)[0], Some(2), "both are counted");
}

#[test]
fn a_header_that_says_less_lowers_the_level() {
    let now = Instant::now();
    let mut quota = quota(60, 1_000_000, 1_000_000, now);
    let reservation = quota.reserve(cost(1, 1, 1), now).unwrap();
    quota.settle(reservation, cost(1, 1, 1), told(limit(60, 3), now), now);
    assert_eq!(quota.free(now)[0], Some(3));
}

#[test]
fn a_header_of_a_long_answer_counts_from_when_it_came() {
    let now = Instant::now();
    let mut quota = quota(60, 1_000_000, 1_000_000, now);
    for (remaining, took) in [(59, 0), (0, 30)] {
        let reservation = quota.reserve(cost(1, 1, 1), now).unwrap();
        quota.settle(reservation, cost(1, 1, 1), told(limit(60, remaining), now), now + took * SECOND);
    }
    assert_eq!(quota.free(now + 30 * SECOND)[0], Some(30), "the refill of those thirty seconds is not lost");
}

#[test]
fn a_header_raises_the_level_to_what_it_says_and_no_further() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    for remaining in [0, 40] {
        let reservation = quota.reserve(cost(0, 1, 1), now).unwrap();
        quota.settle(reservation, cost(0, 1, 1), told(limit(50, remaining), now), now);
    }
    assert_eq!(quota.free(now)[0], Some(40));
    let (mine, others) = (quota.reserve(cost(1, 1, 1), now).unwrap(), quota.reserve(cost(5, 1, 1), now).unwrap());
    quota.settle(mine, cost(1, 1, 1), told(limit(50, 50), now), now);
    assert_eq!(quota.free(now)[0], Some(45), "50 are said to be left, and five more may be counted or not");
    quota.refund(others, None, now);
    assert_eq!(quota.free(now)[0], Some(50));
}

#[test]
fn the_users_own_limit_stays_below_the_providers() {
    let now = Instant::now();
    let mut quota = quota(10, 1_000, 1_000, now);
    let reservation = quota.reserve(cost(1, 1, 1), now).unwrap();
    quota.settle(reservation, cost(1, 1, 1), told(limit(4_000, 4_000), now), now);
    assert_eq!(quota.free(now)[0], Some(9));
    assert_eq!(quota.free(now + 60 * SECOND)[0], Some(10));
}

#[test]
fn a_limit_that_drops_takes_effect_at_once() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    for (size, remaining) in [(1_000, 990), (100, 90)] {
        let reservation = quota.reserve(cost(1, 1, 1), now).unwrap();
        quota.settle(reservation, cost(1, 1, 1), told(limit(size, remaining), now), now);
    }
    assert_eq!(quota.free(now)[0], Some(90));
    assert_eq!(quota.free(now + 600 * SECOND)[0], Some(91), "more was not seen under this limit");
}

#[test]
fn a_bucket_holds_what_was_seen_in_it_and_not_a_minutes_worth() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    let first = quota.reserve(cost(1, 1, 1), now).unwrap();
    quota.settle(first, cost(1, 1, 1), told(limit(600, 4), now), now);
    assert_eq!(quota.free(now + 60 * SECOND)[0], Some(5));
    let second = quota.reserve(cost(1, 1, 1), now + 60 * SECOND).unwrap();
    quota.settle(second, cost(1, 1, 1), told(limit(600, 900), now + 60 * SECOND), now + 60 * SECOND);
    assert_eq!(quota.free(now + 120 * SECOND)[0], Some(901), "it may also hold more");
}

#[test]
fn what_others_use_lowers_the_level_and_what_was_sent_since_is_counted_once() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    let first = quota.reserve(cost(1, 1, 1), now).unwrap();
    quota.settle(first, cost(1, 1, 1), told(limit(600, 599), now), now);
    let slow = quota.reserve(cost(1, 1, 1), now).unwrap();
    let head = now + SECOND;
    let since: Vec<_> = (0..20).map(|_| quota.reserve(cost(1, 1, 1), now + 2 * SECOND).unwrap()).collect();
    assert_eq!(quota.free(now + 2 * SECOND)[0], Some(580), "the bucket was full: 600 and 20 gone");
    quota.settle(slow, cost(1, 1, 1), told(limit(600, 300), head), now + 3 * SECOND);
    assert_eq!(quota.free(now + 3 * SECOND)[0], Some(300), "300, and two seconds of ten, less the twenty since");
    for reservation in since {
        quota.refund(reservation, None, now + 3 * SECOND);
    }
}

#[test]
fn output_that_only_the_provider_limits_is_held_as_it_was_seen() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    let output = |remaining| {
        let output_tokens = limit(9_000, remaining);
        Some(Told { limits: ProviderLimits { output_tokens, ..ProviderLimits::default() }, at: now })
    };
    for _ in 0..8 {
        let reservation = quota.reserve(cost(1, 1, 4_096), now).unwrap();
        quota.settle(reservation, cost(1, 1, 100), output(9_000), now);
    }
    let before = quota.free(now)[2].unwrap();
    let reservation = quota.reserve(cost(1, 1, 4_096), now).unwrap();
    assert_eq!(quota.free(now)[2], Some(before - 100));
    quota.settle(reservation, cost(1, 1, 300), None, now);
    assert_eq!(quota.free(now)[2], Some(before - 300));
}

#[test]
fn a_header_that_is_read_late_does_not_give_back_what_was_sent_before_it_was_read() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    let output = |remaining, at| {
        let output_tokens = limit(60, remaining);
        Some(Told { limits: ProviderLimits { output_tokens, ..ProviderLimits::default() }, at })
    };
    let first = quota.reserve(cost(1, 1, 100), now).unwrap();
    quota.settle(first, cost(1, 1, 100), output(1_000, now), now);
    let level = quota.free(now)[2].unwrap();
    let (one, other) = (quota.reserve(cost(1, 1, 100), now).unwrap(), quota.reserve(cost(1, 1, 100), now).unwrap());
    // At once the one's head is sent, and then the other's whole answer; the head is read last.
    quota.settle(other, cost(1, 1, 300), None, now + SECOND);
    let read = now + 2 * SECOND;
    quota.settle(one, cost(1, 1, 10), output(1_000, read), read);
    let left = quota.free(read)[2].unwrap();
    assert!(left <= level - 300 - 10 + 2, "{left} of {level}");
}

#[test]
fn a_header_that_may_lack_more_than_is_remembered_gives_nothing_back() {
    let now = Instant::now();
    let mut quota = Quota::new(QuotaConfig::default(), now);
    let first = quota.reserve(cost(1, 1, 1), now).unwrap();
    quota.settle(first, cost(1, 1, 1), told(limit(600, 999), now), now);
    let slow = quota.reserve(cost(1, 1, 1), now).unwrap();
    let since: Vec<_> = (0..300).map(|_| quota.reserve(cost(1, 1, 1), now).unwrap()).collect();
    let left = quota.free(now)[0];
    quota.settle(slow, cost(1, 1, 1), told(limit(600, 998), now), now);
    assert_eq!(quota.free(now)[0], left, "which was counted before any of them came");
    for reservation in since {
        quota.refund(reservation, None, now);
    }
}

proptest! {
    /// What is spent, with no more used than reserved, never goes over burst + rate × time; and what was not spent is
    /// there.
    #[test]
    fn buckets_never_go_over_and_never_lose_tokens(
        size in 1u64..10_000,
        steps in prop::collection::vec((0u64..20_000_000_000, 1u64..3_000, 0u8..4, 0u64..3_000), 1..200),
    ) {
        let start = Instant::now();
        let mut quota = Quota::new(QuotaConfig { input_tokens: Some(size), ..QuotaConfig::default() }, start);
        let mut open: Vec<(Reservation, u64)> = Vec::new();
        let (mut at, mut spent) = (0u64, 0u128);
        // The bucket once more, as an exact fraction: level × 60e9.
        let mut level = u128::from(size) * 60_000_000_000;
        for (passed, amount, end, used) in steps {
            at += passed;
            let now = start + Duration::from_nanos(at);
            level = (level + u128::from(passed) * u128::from(size)).min(u128::from(size) * 60_000_000_000);
            match quota.reserve(cost(0, amount, 0), now) {
                Ok(reservation) => {
                    open.push((reservation, amount.min(size)));
                    level -= u128::from(amount.min(size)) * 60_000_000_000;
                }
                Err(Wait::Until(when)) => prop_assert!(when > now),
                Err(Wait::Change) => prop_assert!(!open.is_empty()),
            }
            if end > 0 && !open.is_empty() {
                let (reservation, held) = open.remove(0);
                let used = match end {
                    1 => { quota.refund(reservation, None, now); 0 }
                    2 => { quota.keep(reservation, None, now); held }
                    _ => { let used = used.min(held); quota.settle(reservation, cost(0, used, 0), None, now); used }
                };
                spent += u128::from(used);
                level = (level + u128::from(held - used) * 60_000_000_000).min(u128::from(size) * 60_000_000_000);
            }
            let free = i128::try_from(level).unwrap() / 60_000_000_000;
            let told = quota.free(now)[1].unwrap();
            prop_assert!((i128::from(told) - free).abs() <= 1, "{told} {free}");
            prop_assert!(told >= 0);
            prop_assert!(spent * 60_000_000_000 <= u128::from(size) * (60_000_000_000 + u128::from(at)));
        }
    }
}
