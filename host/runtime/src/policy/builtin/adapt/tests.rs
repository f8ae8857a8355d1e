use convoke_policy::Load;
use proptest::prelude::*;

use super::*;

/// Sixteen of at most a hundred in performance mode, all used, nothing wrong.
fn facts(cause: AdaptCause) -> AdaptFacts {
    AdaptFacts {
        mode: Mode::Performance,
        cause,
        least: 1,
        most: 100,
        used: 1.0,
        load: Load { limit: 16, in_flight: 16, ended: 100, throughput: 10.0, ..Load::default() },
        demand: 10.0,
        ..AdaptFacts::default()
    }
}

fn with(cause: AdaptCause, change: impl FnOnce(&mut AdaptFacts)) -> AdaptFacts {
    let mut facts = facts(cause);
    change(&mut facts);
    facts
}

fn balanced(facts: &AdaptFacts) -> Adapt {
    adapt(&AdaptProfile::default(), facts)
}

fn fast(facts: &AdaptFacts) -> Adapt {
    adapt(&AdaptProfile::of(Mode::Performance), facts)
}

#[test]
fn it_doubles_a_clean_round_and_then_adds_a_twentieth() {
    let searching = with(AdaptCause::CleanRound, |facts| facts.slow_start = true);
    let doubled = fast(&searching);
    assert_eq!((doubled.limit, doubled.slow_start), (32, true));
    let near = with(AdaptCause::CleanRound, |facts| (facts.slow_start, facts.most) = (true, 20));
    assert_eq!((fast(&near).limit, fast(&near).slow_start), (20, false));
    let found = |limit| fast(&with(AdaptCause::CleanRound, |facts| facts.load.limit = limit)).limit;
    assert_eq!([found(16), found(40), found(99), found(100)], [17, 42, 100, 100]);
}

#[test]
fn a_429_takes_a_fifth_once_a_cool_down_and_the_server_says_how_long_that_is() {
    let limited = |since_cut_ms, cut_wait_ms| {
        let facts = with(AdaptCause::RateLimited, |facts| {
            (facts.since_cut_ms, facts.cut_wait_ms, facts.retry_after_ms) = (since_cut_ms, cut_wait_ms, Some(2_000));
        });
        let decided = balanced(&facts);
        assert_eq!(decided.pause_ms, 2_000);
        decided.limit
    };
    assert_eq!([limited(None, 0), limited(Some(14_999), 0), limited(Some(15_000), 0)], [12, 16, 12]);
    assert_eq!([limited(Some(59_000), 60_000), limited(Some(60_000), 60_000)], [16, 12]);
}

#[test]
fn a_server_that_says_nothing_is_left_alone_for_a_minute() {
    assert_eq!(balanced(&facts(AdaptCause::RateLimited)).pause_ms, 60_000);
}

#[test]
fn failures_over_the_tolerance_take_a_quarter_over_twice_of_it_half_and_safe_mode_begins() {
    let failing = |mode, rate, since_cut| {
        let facts = with(AdaptCause::ServerError, |facts| {
            (facts.load.error_rate, facts.since_cut_ms) = (rate, since_cut);
        });
        let decided = adapt(&AdaptProfile::of(mode), &facts);
        (decided.limit, decided.safe)
    };
    assert_eq!(failing(Mode::Balanced, 0.05, None), (16, false));
    assert_eq!(failing(Mode::Balanced, 0.06, None), (12, false));
    assert_eq!(failing(Mode::Balanced, 0.11, None), (8, true));
    assert_eq!(failing(Mode::Balanced, 0.11, Some(29_000)), (16, false), "the same failures are not counted twice");
    assert_eq!([failing(Mode::Safe, 0.015, None), failing(Mode::Safe, 0.03, None)], [(12, false), (8, true)]);
    assert_eq!(
        [failing(Mode::Performance, 0.1, None), failing(Mode::Performance, 0.21, None)],
        [(16, false), (8, true)]
    );
}

#[test]
fn one_of_three_is_chance() {
    let few = with(AdaptCause::ServerError, |facts| (facts.load.ended, facts.load.error_rate) = (9, 0.34));
    assert_eq!(balanced(&few).limit, 16);
}

#[test]
fn over_three_timeouts_open_the_breaker_unless_they_are_few_among_many() {
    let slow = |timeouts, ended| {
        let facts = with(AdaptCause::Timeout, |facts| (facts.load.timeouts, facts.load.ended) = (timeouts, ended));
        balanced(&facts).open_breaker
    };
    assert_eq!([slow(3, 10), slow(4, 10), slow(4, 79), slow(4, 81)], [false, true, true, false]);
}

#[test]
fn safe_mode_does_not_grow_and_ends_after_a_quiet_minute() {
    let safe = |cause, since_cut| with(cause, |facts| (facts.safe, facts.since_cut_ms) = (true, Some(since_cut)));
    assert_eq!(balanced(&safe(AdaptCause::CleanRound, 59_000)).limit, 16);
    assert!(balanced(&safe(AdaptCause::Tick, 59_000)).safe);
    assert!(!balanced(&safe(AdaptCause::Tick, 60_000)).safe);
}

#[test]
fn a_fresh_failure_at_the_server_pauses_growth() {
    let after = |since| fast(&with(AdaptCause::CleanRound, |facts| facts.since_server_error_ms = Some(since))).limit;
    assert_eq!([after(14_999), after(15_000)], [16, 17]);
}

#[test]
fn it_grows_only_where_four_fifths_were_used() {
    let used = |used| fast(&with(AdaptCause::CleanRound, |facts| facts.used = used)).limit;
    assert_eq!([used(0.79), used(0.8)], [16, 17]);
}

#[test]
fn balanced_mode_stops_doubling_at_twelve_or_at_85_percent() {
    let doubling = |limit, most| {
        let facts = with(AdaptCause::CleanRound, |facts| {
            (facts.slow_start, facts.explicit, facts.load.limit, facts.most) = (true, true, limit, most);
        });
        balanced(&facts).limit
    };
    assert_eq!([doubling(4, 100), doubling(8, 100), doubling(12, 100), doubling(6, 10)], [8, 12, 13, 9]);
}

#[test]
fn it_goes_up_when_too_little_is_answered_and_nothing_is_wrong() {
    let up = |waiting, throughput, latency_ms, wrong: fn(&mut AdaptFacts)| {
        fast(&with(AdaptCause::Tick, |facts| {
            (facts.load.waiting, facts.load.throughput, facts.load.latency_ms) = (waiting, throughput, latency_ms);
            facts.since_change_ms = Some(30_000);
            wrong(facts);
        }))
        .limit
    };
    let fine = |_: &mut AdaptFacts| {};
    assert_eq!([up(1, 4.9, None, fine), up(1, 6.9, None, fine), up(1, 7.0, None, fine)], [32, 24, 16]);
    assert_eq!([up(1, 10.0, Some(10_001), fine), up(101, 10.0, None, fine), up(100, 10.0, None, fine)], [32, 24, 16]);
    assert_eq!(up(0, 4.9, Some(20_000), fine), 16, "nobody waits");
    assert_eq!(up(500, 4.9, None, |facts| facts.load.rate_limited = 1), 16);
    assert_eq!(up(500, 4.9, None, |facts| facts.load.error_rate = 0.01), 16);
    assert_eq!(up(500, 4.9, None, |facts| facts.since_change_ms = Some(29_999)), 16);
}

#[test]
fn the_machine_lowers_at_once_and_lets_grow_with_more_room_than_it_lowers_at() {
    let by = |cause, explicit, cpu, memory, limit| {
        let facts = with(cause, |facts| {
            (facts.explicit, facts.load.cpu_free, facts.load.memory_free) = (explicit, Some(cpu), Some(memory));
            facts.load.limit = limit;
        });
        balanced(&facts).limit
    };
    let tick = |explicit, cpu, memory, limit| by(AdaptCause::Tick, explicit, cpu, memory, limit);
    assert_eq!([tick(false, 0.9, 0.9, 8), tick(false, 0.6, 0.9, 8), tick(false, 0.2, 0.9, 8)], [8, 5, 3]);
    assert_eq!([tick(true, 0.2, 0.2, 16), tick(true, 0.9, 0.09, 16)], [16, 12], "what the user named");
    let grows = |cpu| by(AdaptCause::CleanRound, false, cpu, 0.9, 5);
    assert_eq!([grows(0.72), grows(0.76)], [5, 6]);
}

/// The table once more, in whole numbers: what each row needs, in the order of the rows, and what becomes of
/// limit, safe mode, breaker and doubling.
fn expected(facts: &AdaptFacts) -> (&'static str, u32, bool, bool) {
    let (load, limit) = (&facts.load, facts.load.limit);
    let judged = load.ended - load.rate_limited;
    let failed = (load.error_rate * judged as f64).round() as u64;
    let percent = if facts.safe { 1 } else { 5 };
    let after = |since: Option<u64>, ms: u64| since.unwrap_or(u64::MAX) >= ms;
    let cooled = after(facts.since_cut_ms, 15_000.max(facts.cut_wait_ms));
    let tick = facts.cause == AdaptCause::Tick;
    let band = |points: u64| {
        let (cpu, memory) = (load.cpu_free.unwrap_or(1.0) * 100.0, load.memory_free.unwrap_or(1.0) * 100.0);
        let over =
            |least: [u64; 2]| cpu.round() as u64 > least[0] + points && memory.round() as u64 > least[1] + points;
        if load.cpu_free.is_none() && load.memory_free.is_none() || facts.explicit {
            100
        } else if over([70, 60]) {
            8
        } else if over([50, 40]) {
            5
        } else {
            3
        }
    };
    let short = load.memory_free.is_some_and(|free| (free * 100.0).round() < 10.0);
    let quiet = failed == 0 && load.timeouts == 0 && load.rate_limited == 0;
    let closed = load.breaker == BreakerState::Closed;
    let ceiling = facts.most.min(band(5));
    let grows = facts.used >= 0.8
        && after(facts.since_server_error_ms, 15_000)
        && cooled
        && closed
        && !facts.safe
        && !short
        && limit < ceiling;
    let knee = 12.min((facts.most * 85).div_ceil(100));
    let clean = facts.cause == AdaptCause::CleanRound && grows;
    let up = tick && grows && load.waiting > 0 && quiet && judged >= 10 && limit < knee;
    let up = up && after(facts.since_change_ms, 30_000);
    let (answered, demand) = (load.throughput * 10.0, facts.demand * 10.0);
    let cut = after(facts.since_cut_ms, 30_000) && judged >= 10;
    let limited = facts.cause == AdaptCause::RateLimited;
    let rows = [
        ("429", limited && cooled, (limit * 4 / 5).min(limit - 1), facts.safe, false),
        ("429 again", limited, limit, facts.safe, false),
        ("breaker", closed && load.timeouts > 3 && load.timeouts * 100 > percent * judged, limit, facts.safe, true),
        ("half", cut && failed * 100 > 2 * percent * judged, limit / 2, true, false),
        ("quarter", cut && failed * 100 > percent * judged, (limit * 3 / 4).min(limit - 1), facts.safe, false),
        ("memory", tick && short, (limit * 3 / 4).min(limit - 1), facts.safe, false),
        ("machine", tick && band(0) < limit, band(0), facts.safe, false),
        ("calm", tick && facts.safe && quiet && after(facts.since_cut_ms, 60_000), limit, false, false),
        ("double", clean && facts.slow_start && limit < knee, (limit * 2).min(ceiling).min(knee), false, false),
        ("add", clean, (limit + (limit / 20).max(1)).min(ceiling), false, false),
        (
            "up twice",
            up && (answered < 0.5 * demand || load.latency_ms > Some(10_000)),
            (limit * 2).min(ceiling).min(knee),
            false,
            false,
        ),
        (
            "up",
            up && (answered < 0.7 * demand || load.waiting > 100),
            (limit * 3 / 2).max(limit + 1).min(ceiling).min(knee),
            false,
            false,
        ),
        ("stays", true, limit, facts.safe, false),
    ];
    let (name, _, limit, safe, breaker) = rows.into_iter().find(|row| row.1).unwrap();
    (name, limit.clamp(facts.least, facts.most), safe, breaker)
}

fn signal() -> impl Strategy<Value = AdaptFacts> {
    let causes = [
        AdaptCause::Tick,
        AdaptCause::Tick,
        AdaptCause::CleanRound,
        AdaptCause::RateLimited,
        AdaptCause::ServerError,
        AdaptCause::Timeout,
    ];
    let time = || prop::option::of(0..90_000_u64);
    let rare = |most: u64| prop_oneof![3 => Just(0), 1 => 0..most];
    let share = || prop::option::of((0..=100_u32).prop_map(|percent| f64::from(percent) / 100.0));
    (
        (prop::sample::select(causes.to_vec()), any::<bool>(), prop_oneof![Just(0.5), Just(0.8), Just(1.0)]),
        (time(), time(), prop_oneof![Just(0), Just(40_000_u64)]),
        (0..60_u64, rare(20), rare(8), rare(4)),
        (prop_oneof![Just(0), Just(1), Just(101_u64)], 0..20_u32, 1..20_u32, prop::option::of(1..20_000_u64)),
        (share(), share(), any::<bool>(), prop::bool::weighted(0.1)),
    )
        .prop_map(|(what, times, counts, flow, machine)| {
            let (ended, failed, timeouts, rate_limited) = counts;
            let ended = ended.max(rate_limited);
            let failed = failed.min(ended - rate_limited);
            let judged = ended - rate_limited;
            let load = Load {
                waiting: flow.0,
                breaker: if machine.3 { BreakerState::Open } else { BreakerState::Closed },
                error_rate: if judged == 0 { 0.0 } else { failed as f64 / judged as f64 },
                ended,
                timeouts: timeouts.min(failed),
                rate_limited,
                latency_ms: flow.3,
                throughput: f64::from(flow.1) / 10.0,
                cpu_free: machine.0,
                memory_free: machine.1,
                ..Load::default()
            };
            AdaptFacts {
                cause: what.0,
                explicit: machine.2,
                used: what.2,
                since_rate_limited_ms: times.0,
                since_server_error_ms: times.1,
                retry_after_ms: Some(times.2),
                demand: f64::from(flow.2) / 10.0,
                load,
                ..AdaptFacts::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    /// Walks sequences of signals as the limiter would, and checks every step against the second formulation.
    #[test]
    fn scaling_follows_its_table(
        signals in prop::collection::vec((signal(), 0..40_000_u64), 1..40),
        start in 1_u32..30,
        most in 1_u32..100,
        slow_start in any::<bool>(),
    ) {
        let (mut limit, mut safe, mut slow_start) = (start.min(most), false, slow_start);
        let (mut since_change, mut since_cut, mut cut_wait) = (None, None, 0);
        for (signal, passed) in signals {
            for since in [&mut since_change, &mut since_cut] {
                *since = since.map(|since: u64| since + passed);
            }
            let mut facts = AdaptFacts {
                least: 1,
                most,
                slow_start,
                safe,
                since_change_ms: since_change,
                since_cut_ms: since_cut,
                cut_wait_ms: cut_wait,
                ..signal
            };
            facts.load.limit = limit;
            facts.load.in_flight = limit;
            let decided = balanced(&facts);
            let (row, to, is_safe, opens) = expected(&facts);
            prop_assert_eq!((decided.limit, decided.safe, decided.open_breaker), (to, is_safe, opens), "{}: {:?}", row, facts);
            prop_assert!((1..=most).contains(&decided.limit));
            prop_assert!(convoke_policy::Decision::Adapt(decided.clone()).check().is_ok());
            prop_assert!(decided.limit == limit || !decided.reason.is_empty());
            prop_assert!(decided.limit <= limit || facts.since_server_error_ms.is_none_or(|since| since >= 15_000));
            if decided.limit != limit {
                since_change = Some(0);
            }
            if decided.limit < limit {
                (since_cut, cut_wait) = (Some(0), facts.retry_after_ms.unwrap_or(0));
            }
            (limit, safe, slow_start) = (decided.limit, decided.safe, decided.slow_start);
        }
    }
}
