use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::event::{Event, Fact, RunFacts, Settled};
use crate::levels::Level;
use crate::question::Tier;
use crate::work::Outcome;

/// What is told of a made run, with its clock in seconds.
#[derive(Default)]
struct Told {
    sheet: Timesheet,
    at: f64,
}

impl Told {
    /// A run that begins at 0 s with so many workers, each of which has an item with its number.
    fn working(workers: usize) -> Self {
        let mut told = Self::begun(0.0);
        for worker in 0..workers {
            told.worker(worker);
            told.takes(worker, worker);
        }
        told
    }

    /// A run whose plan took so long.
    fn begun(planned: f64) -> Self {
        let mut told = Self::default();
        told.now(Fact::RunStarted(Box::new(RunFacts {
            run: String::new(),
            command: String::new(),
            subcommand: None,
            plugin: String::new(),
            version: String::new(),
            project: String::new(),
            mode: String::new(),
            backend: String::new(),
            instances: 8,
            budget: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            continued: false,
            pid: 1,
        })));
        let (assessed_in, allocated_in) = (Duration::from_secs_f64(planned), Duration::ZERO);
        told.now(Fact::Planned { items: 8, cached: 0, workers: 4, assessed_in, allocated_in, expected: None });
        told.now(Fact::PhaseStarted { phase: "execute".into() });
        told
    }

    fn now(&mut self, fact: Fact) {
        self.sheet.hear(&Event { at: Duration::from_secs_f64(self.at), fact });
    }

    fn pass(&mut self, seconds: f64) {
        self.at += seconds;
        self.sheet.until(Duration::from_secs_f64(self.at));
    }

    fn worker(&mut self, worker: usize) {
        self.now(Fact::WorkerStarted { worker, segment: format!("segment {worker}") });
        self.now(Fact::WorkerReady { worker, after: Duration::ZERO });
    }

    fn takes(&mut self, worker: usize, item: usize) {
        self.now(Fact::ItemStarted {
            worker,
            item,
            id: String::new(),
            label: format!("item {item}"),
            group: None,
            attempt: 1,
        });
    }

    fn ends(&mut self, worker: usize, item: usize) {
        self.now(Fact::ItemEnded { worker: Some(worker), item, outcome: Outcome::Done, took: Duration::ZERO });
    }

    fn queued(&mut self, question: u64, item: usize) {
        self.now(Fact::QuestionQueued { question, item, role: String::new(), tier: Tier::Speed });
    }

    fn waits(&mut self, question: u64, item: usize, reason: &'static str) {
        self.now(Fact::QuestionWaits { question, item, reason: reason.into(), lasts: None });
    }

    fn sent(&mut self, question: u64, item: usize) {
        let (model, backend) = ("m".to_owned(), "anthropic".into());
        self.now(Fact::QuestionSent { question, item, model, backend, attempt: 1 });
    }

    fn retried(&mut self, question: u64, item: usize, kind: &'static str) {
        let wait = Duration::from_secs(1);
        self.now(Fact::QuestionRetried { question, item, kind: kind.into(), reason: String::new(), wait });
    }

    fn stalled(&mut self, question: u64, seconds: f64, tool: Option<&str>) {
        let (lasted, tool) = (Duration::from_secs_f64(seconds), tool.map(str::to_owned));
        self.now(Fact::QuestionStalled { question, item: 0, lasted, tool });
    }

    fn settled(&mut self, question: u64, item: usize) {
        self.now(Fact::QuestionSettled(Box::new(Settled { question, item, ..Settled::default() })));
    }

    #[track_caller]
    fn is(&self, what: What, share: f64, reason: &str) -> Bottleneck {
        let found = self.sheet.bottleneck().expect("a bottleneck");
        assert_eq!(found.what, what, "{found:?}");
        assert!((found.share - share).abs() < 0.001, "{found:?}");
        assert!(found.reason.contains(reason), "{found:?}");
        let (all, parts) = (self.sheet.shares.sum(), self.at);
        let planned = self.sheet.shares.of(What::Plan);
        assert!((all - parts - planned).abs() < 1e-6, "the parts add up to the time: {all}, {parts}");
        found
    }
}

#[test]
fn nine_of_ten_seconds_of_waiting_for_quota_are_named() {
    let mut told = Told::working(1);
    told.queued(1, 0);
    told.waits(1, 0, "quota");
    told.pass(9.0);
    told.sent(1, 0);
    told.pass(1.0);
    told.settled(1, 0);
    let found = told.is(What::Quota, 0.9, "questions waited 9.0 s in all for quota");
    assert_eq!(found.segment.as_deref(), Some("segment 0"));
    assert_eq!(told.sheet.most_of(0).map(|(what, share)| (what, (share * 10.0).round())), Some((What::Quota, 9.0)));
}

#[test]
fn that_nothing_came_of_an_answer_for_long_is_named_and_is_no_answering() {
    let mut told = Told::working(2);
    (0..2).for_each(|item| told.sent(1 + item as u64, item));
    told.pass(10.0);
    told.stalled(1, 8.0, None);
    told.stalled(2, 9.0, Some("Bash"));
    told.pass(2.0);
    let found = told.is(What::Stall, 8.0 / 24.0, "nothing came for 8.0 s in all of answers that had begun");
    assert_eq!(found.segment.as_deref(), Some("segment 0"));
    let most = [0, 1].map(|worker| told.sheet.most_of(worker).map(|(what, _)| what));
    assert_eq!(most, [Some(What::Stall), Some(What::Answers)], "a tool may have been at work");
    // Beside an answer that comes on.
    let mut told = Told::working(1);
    (1..3).for_each(|question| told.sent(question, 0));
    told.pass(10.0);
    told.stalled(1, 8.0, None);
    told.is(What::Answers, 1.0, "the time models took to answer");
}

#[test]
fn each_wait_has_its_name() {
    for (reason, what) in [
        ("quota", What::Quota),
        ("limit", What::Limit),
        ("instance", What::Instance),
        ("breaker", What::Breaker),
        ("pause", What::Pause),
        ("context", What::Context),
        ("turn", What::Turn),
        ("a reason of a later version", What::Turn),
    ] {
        let mut told = Told::working(2);
        for item in 0..2 {
            told.queued(item, item as usize);
            told.waits(item, item as usize, reason);
        }
        told.pass(3.0);
        told.is(what, 1.0, "");
    }
}

#[test]
fn with_half_of_the_workers_behind_the_limit_half_of_the_time_is_lost_to_it() {
    let mut told = Told::working(4);
    for item in 0..4 {
        told.queued(item, item as usize);
        match item {
            0 | 1 => told.sent(item, item as usize),
            _ => told.waits(item, item as usize, "limit"),
        }
    }
    told.pass(10.0);
    let found = told.is(What::Limit, 0.5, "20.0 s in all because as many were in flight");
    assert!(matches!(found.segment.as_deref(), Some("segment 2" | "segment 3")), "{found:?}");
    assert!((told.sheet.parallel_share() - 1.0).abs() < 1e-9);
}

#[test]
fn one_long_item_that_three_workers_wait_for_is_named_with_its_segment() {
    let mut told = Told::working(4);
    told.pass(2.0);
    for worker in [0, 1, 3] {
        told.ends(worker, worker);
    }
    told.queued(9, 2);
    told.sent(9, 2);
    told.pass(8.0);
    told.ends(2, 2);
    let found = told.is(What::Item, 0.6, "nothing to take for 8.0 s while `item 2` was under way");
    assert_eq!(found.segment.as_deref(), Some("segment 2"));
    assert!((told.sheet.parallel_share() - 0.2).abs() < 1e-9, "{}", told.sheet.parallel_share());
}

#[test]
fn workers_that_have_gone_home_wait_for_the_last_item_too() {
    let mut told = Told::working(2);
    told.pass(1.0);
    told.ends(1, 1);
    told.now(Fact::WorkerEnded { worker: 1, died: None });
    told.pass(9.0);
    told.is(What::Item, 0.45, "`item 0`");
}

#[test]
fn what_is_done_one_by_one_after_failures_is_no_long_item() {
    let mut told = Told::working(4);
    let (from, to) = (Level::Full, Level::Sequential);
    told.now(Fact::Degraded { from, to, reason: "failures".to_owned() });
    for worker in 1..4 {
        told.ends(worker, worker);
    }
    told.pass(8.0);
    told.is(What::OneByOne, 0.75, "workers took turns");
}

#[test]
fn backing_off_is_named_with_the_failure_that_came_most() {
    let mut told = Told::working(2);
    told.retried(1, 0, "rate-limited");
    told.retried(1, 0, "rate-limited");
    told.retried(2, 1, "overloaded");
    told.pass(4.0);
    told.is(What::Retry, 1.0, "8.0 s in all to be asked again (2 of 3 × rate limited)");
}

#[test]
fn the_plan_is_part_of_the_time() {
    let mut told = Told::begun(6.0);
    told.worker(0);
    told.takes(0, 0);
    told.pass(4.0);
    let found = told.is(What::Plan, 0.6, "the plan took 6.0 s");
    assert_eq!(found.segment, None);
}

#[test]
fn workers_that_are_not_there_yet_are_a_slow_start() {
    let mut told = Told::begun(0.0);
    told.pass(1.0);
    for worker in 0..2 {
        told.now(Fact::WorkerStarted { worker, segment: String::new() });
    }
    told.pass(2.0);
    told.now(Fact::WorkerReady { worker: 0, after: Duration::from_secs(2) });
    told.takes(0, 0);
    told.pass(1.0);
    // The first alone, then both of them, then the second.
    told.is(What::Start, 3.5 / 4.0, "workers took 5.0 s in all to begin");
}

#[test]
fn what_is_put_together_for_long_is_named() {
    let mut told = Told::working(2);
    told.pass(1.0);
    told.ends(0, 0);
    told.ends(1, 1);
    told.now(Fact::PhaseStarted { phase: "aggregate".into() });
    told.pass(3.0);
    told.is(What::Aggregate, 0.75, "took 3.0 s");
}

#[test]
fn a_pause_is_a_pause_whatever_else_waits() {
    let mut told = Told::working(2);
    told.ends(0, 0);
    told.ends(1, 1);
    told.now(Fact::Paused { by: "you".to_owned(), at_once: false });
    told.pass(5.0);
    told.now(Fact::Resumed { by: "you".to_owned() });
    told.takes(0, 2);
    told.takes(1, 3);
    told.pass(5.0);
    told.is(What::Pause, 0.5, "paused for about 5.0 s");
}

#[test]
fn what_other_hosts_do_leaves_nothing_to_take() {
    let mut told = Told::working(1);
    told.ends(0, 0);
    told.pass(5.0);
    told.is(What::Idle, 1.0, "nothing to take for 5.0 s");
}

#[test]
fn where_nothing_holds_it_up_it_is_the_answers_or_the_work() {
    let mut told = Told::working(2);
    for item in 0..2 {
        told.queued(item, item as usize);
        told.waits(item, item as usize, "limit");
    }
    told.pass(1.0);
    for item in 0..2 {
        told.sent(item, item as usize);
    }
    told.pass(9.0);
    told.is(What::Answers, 0.9, "models took to answer");
    let mut told = Told::working(2);
    told.pass(9.0);
    told.is(What::Work, 1.0, "the plugin's own work");
}

#[test]
fn while_one_of_its_questions_is_answered_a_worker_waits_for_nothing() {
    let mut told = Told::working(1);
    for question in 0..3 {
        told.queued(question, 0);
        told.waits(question, 0, "quota");
    }
    told.sent(0, 0);
    told.pass(4.0);
    told.is(What::Answers, 1.0, "");
    told.settled(0, 0);
    told.pass(6.0);
    told.is(What::Quota, 0.6, "");
}

#[test]
fn what_is_told_late_or_of_nobody_is_no_one_s_time() {
    let mut told = Told::working(1);
    told.queued(7, 0);
    told.ends(0, 0);
    told.waits(7, 0, "quota");
    told.settled(8, 99);
    told.takes(0, 1);
    told.pass(2.0);
    told.is(What::Work, 1.0, "");
}

#[test]
fn after_its_end_no_time_passes_and_without_work_there_is_no_bottleneck() {
    let mut told = Told::working(1);
    told.pass(1.0);
    told.now(Fact::Ended { census: crate::work::Census::default(), status: crate::work::Status::Completed });
    let before = told.sheet.bottleneck();
    told.sheet.until(Duration::from_secs(100));
    assert_eq!(told.sheet.bottleneck(), before);
    assert_eq!(Timesheet::default().bottleneck(), None);
    let mut cached = Told::begun(1.0);
    cached.pass(1.0);
    assert_eq!((cached.sheet.bottleneck(), cached.sheet.parallel_share()), (None, 0.0));
}

#[test]
fn times_have_the_unit_that_fits() {
    let said = [0.0, 0.312, 1.25, 59.0, 125.0, 11_220.0].map(words);
    assert_eq!(said, ["0 ms", "312 ms", "1.2 s", "59.0 s", "2 min 05 s", "3 h 07 min"]);
}

#[test]
fn while_a_second_try_waits_for_an_instance_the_first_is_answered() {
    let mut told = Told::working(1);
    told.sent(1, 0);
    told.waits(1, 0, "instance");
    told.pass(6.0);
    told.waits(1, 0, "pause");
    told.pass(4.0);
    told.is(What::Pause, 0.4, "");
    assert!((told.sheet.shares.of(What::Answers) - 6.0).abs() < 1e-6 && told.sheet.shares.of(What::Instance) < 1e-6);
}

#[test]
fn an_item_of_a_dead_worker_stays_with_who_has_it_now() {
    let mut told = Told::working(1);
    told.queued(1, 0);
    told.worker(1);
    told.takes(1, 0);
    told.now(Fact::ItemReturned { worker: 0, item: 0, reason: String::new() });
    told.now(Fact::WorkerEnded { worker: 0, died: None });
    told.queued(2, 0);
    told.waits(2, 0, "quota");
    told.settled(1, 0);
    told.pass(10.0);
    // Half of the time: there were two workers, and one of them is gone.
    assert!((told.sheet.shares.of(What::Quota) - 5.0).abs() < 1e-6, "{:?}", told.sheet.shares);
}

#[test]
fn whatever_is_told_the_times_of_the_workers_are_the_time_that_was_worked() {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..50 {
        let mut told = Told::begun(0.0);
        for _ in 0..200 {
            let (worker, item, question) = (rng.random_range(0..5), rng.random_range(0..6), rng.random_range(0..8));
            match rng.random_range(0..13) {
                0 => told.worker(worker),
                1 => told.now(Fact::WorkerStarted { worker, segment: String::new() }),
                2 => told.now(Fact::WorkerEnded { worker, died: None }),
                3 => told.takes(worker, item),
                4 => told.ends(worker, item),
                5 => told.now(Fact::ItemReturned { worker, item, reason: String::new() }),
                6 => told.queued(question, item),
                7 => told.waits(question, item, "quota"),
                8 => told.sent(question, item),
                9 => told.retried(question, item, "overloaded"),
                10 => told.settled(question, item),
                _ => told.pass(rng.random_range(0.0..2.0)),
            }
            let sheet = &told.sheet;
            let all: f64 = sheet.shares.sum();
            assert!((all - told.at).abs() < 1e-6, "the parts add up to the time: {all}, {}", told.at);
        }
        // None has begun twice with the same number: what the first one did is not added up any more.
        let mut told = Told::begun(0.0);
        (0..5).for_each(|worker| told.worker(worker));
        for _ in 0..200 {
            let (worker, item, question) = (rng.random_range(0..5), rng.random_range(0..6), rng.random_range(0..8));
            match rng.random_range(0..9) {
                0 => told.takes(worker, item),
                1 => told.ends(worker, item),
                2 => told.queued(question, item),
                3 => told.waits(question, item, "limit"),
                4 => told.sent(question, item),
                5 => told.settled(question, item),
                6 if rng.random_bool(0.05) => told.now(Fact::WorkerEnded { worker, died: None }),
                _ => told.pass(rng.random_range(0.0..2.0)),
            }
            let sheet = &told.sheet;
            let each = (0..5).map(|worker| sheet.of_worker(worker).unwrap());
            let (of_each, of_all) = (each.map(|times| times.sum()).sum::<f64>(), sheet.worked.sum());
            assert!((of_each + sheet.worked.of(What::Item) - of_all).abs() < 1e-6, "{of_each} of {of_all}");
            let listed = sheet.of_workers().iter().map(|worker| worker.times.sum()).sum::<f64>();
            assert!((listed - of_each).abs() < 1e-6, "{listed} of {of_each}");
        }
    }
}
