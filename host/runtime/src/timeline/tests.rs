use std::time::Duration;

use super::*;
use crate::event::{Event, Fact, Settled, Spent};
use crate::journal::Told;
use crate::question::Tier;

fn ms(at: u64) -> Duration {
    Duration::from_millis(at)
}

fn hear(timeline: &mut Timeline, at: u64, fact: Fact) {
    timeline.hear(&Event { at: ms(at), fact });
}

fn planned(items: usize) -> Fact {
    Fact::Planned { items, cached: 0, workers: 1, assessed_in: ms(1), allocated_in: ms(1), expected: None }
}

fn took(worker: usize, item: usize, attempt: u32) -> Fact {
    Fact::ItemStarted { worker, item, id: format!("id {item}"), label: format!("file {item}"), group: None, attempt }
}

fn ended(worker: usize, item: usize, outcome: Outcome) -> Fact {
    Fact::ItemEnded { worker: Some(worker), item, outcome, took: ms(5) }
}

fn worker(worker: usize) -> Fact {
    Fact::WorkerStarted { worker, segment: "all".to_owned() }
}

fn queued(question: u64) -> Fact {
    Fact::QuestionQueued { question, item: 0, role: "reviewer".to_owned(), tier: Tier::Speed }
}

fn waits(question: u64, reason: &'static str) -> Fact {
    Fact::QuestionWaits { question, item: 0, reason: reason.into(), lasts: None }
}

fn sent(question: u64, attempt: u32) -> Fact {
    Fact::QuestionSent { question, item: 0, model: "a-model".to_owned(), backend: "anthropic".into(), attempt }
}

fn started(question: u64) -> Fact {
    Fact::QuestionStarted { question, item: 0, after: ms(1) }
}

fn retried(question: u64) -> Fact {
    let (kind, reason) = ("rate-limited".into(), "429".to_owned());
    Fact::QuestionRetried { question, item: 0, kind, reason, wait: ms(50) }
}

fn settled(question: u64, by: &str) -> Fact {
    let usage = Usage { requests: 1, input_tokens: 10, output_tokens: 2, usd: Usd::from_pico(5), ..Usage::default() };
    Fact::QuestionSettled(Box::new(Settled {
        question,
        by: by.to_owned(),
        role: "reviewer".to_owned(),
        model: "a-model".to_owned(),
        backend: "anthropic".into(),
        attempts: 2,
        usage,
        took: ms(30),
        ..Settled::default()
    }))
}

#[test]
fn a_question_has_its_states_one_after_the_other_without_a_gap() {
    let mut timeline = Timeline::default();
    let told = [
        (0, queued(7)),
        (2, waits(7, "quota")),
        (10, sent(7, 1)),
        (12, waits(7, "limit")),
        (15, retried(7)),
        (65, queued(7)),
        (66, sent(7, 2)),
        (70, started(7)),
        (90, settled(7, "model")),
    ];
    for (at, fact) in told {
        hear(&mut timeline, at, fact);
    }
    let question = &timeline.questions[0];
    let stretches: Vec<_> =
        question.stretches(ms(999)).map(|(state, from, to)| (state.name(), from.as_millis(), to.as_millis())).collect();
    assert_eq!(
        stretches,
        [
            ("queued", 0, 2),
            ("quota", 2, 10),
            ("sent", 10, 15),
            ("retry", 15, 65),
            ("queued", 65, 66),
            ("sent", 66, 70),
            ("streaming", 70, 90)
        ]
    );
    assert_eq!(question.spent_in(State::Sent, ms(999)), ms(9));
    assert_eq!((question.retries.len(), question.attempts, question.state()), (1, 2, None));
    assert_eq!(timeline.place_of_question(7), None, "its number is free again");
}

#[test]
fn a_pause_breaks_a_question_off_and_a_second_try_that_waits_does_not() {
    let mut timeline = Timeline::default();
    for (at, fact) in [(0, queued(1)), (1, sent(1, 1)), (2, started(1)), (5, waits(1, "instance"))] {
        hear(&mut timeline, at, fact);
    }
    assert_eq!((timeline.questions[0].state(), timeline.in_flight()), (Some(State::Streaming), 1));
    hear(&mut timeline, 9, waits(1, "pause"));
    assert_eq!((timeline.questions[0].state(), timeline.in_flight()), (Some(State::Pause), 0));
}

#[test]
fn a_question_that_was_never_sent_ends_with_its_item_and_lives_on_where_it_is_sent_after_all() {
    let mut timeline = Timeline::default();
    for (at, fact) in [(0, worker(0)), (1, took(0, 0, 1)), (2, sent(1, 1)), (2, queued(2)), (2, queued(3))] {
        hear(&mut timeline, at, fact);
    }
    hear(&mut timeline, 5, ended(0, 0, Outcome::Done));
    assert_eq!(timeline.turned(), [1, 2]);
    hear(&mut timeline, 6, waits(3, "quota"));
    assert!(timeline.turned().is_empty());
    let ends = |timeline: &Timeline| timeline.questions.iter().map(|question| question.to).collect::<Vec<_>>();
    assert_eq!(ends(&timeline), [None, Some(ms(5)), Some(ms(5))], "of one that was sent its end is told");
    assert_eq!((timeline.in_flight(), timeline.place_of_question(2)), (1, None));
    hear(&mut timeline, 7, sent(3, 1));
    assert_eq!((ends(&timeline)[2], timeline.questions[2].state(), timeline.in_flight()), (None, Some(State::Sent), 2));
    hear(&mut timeline, 8, settled(2, "cache"));
    hear(&mut timeline, 9, settled(3, "model"));
    assert_eq!(ends(&timeline), [None, Some(ms(8)), Some(ms(9))]);
    let census = Census::default();
    hear(&mut timeline, 20, Fact::Ended { census, status: Status::Completed });
    assert_eq!((ends(&timeline)[0], timeline.in_flight(), timeline.questions.len()), (Some(ms(20)), 0, 3));
}

#[test]
fn a_question_that_waits_ends_where_its_item_is_given_back() {
    let mut timeline = Timeline::default();
    let returned = Fact::ItemReturned { worker: 0, item: 0, reason: "it trapped".to_owned() };
    for (at, fact) in [(0, worker(0)), (1, took(0, 0, 1)), (2, queued(1)), (4, returned)] {
        hear(&mut timeline, at, fact);
    }
    assert_eq!((timeline.questions[0].to, timeline.questions[0].state()), (Some(ms(4)), None));
}

#[test]
fn what_a_dead_worker_gives_back_late_stays_with_who_has_it_now() {
    let mut timeline = Timeline::default();
    let returned = Fact::ItemReturned { worker: 0, item: 0, reason: "it trapped".to_owned() };
    let progress = Fact::ItemProgress { item: 0, done: 0.5, note: "half".to_owned() };
    let told = [
        (0, worker(0)),
        (0, worker(1)),
        (1, took(0, 0, 1)),
        (2, queued(1)),
        (3, took(1, 0, 2)),
        (4, queued(2)),
        (4, progress),
        (5, returned),
    ];
    for (at, fact) in told {
        hear(&mut timeline, at, fact);
    }
    assert_eq!((timeline.questions[0].to, timeline.questions[1].to), (Some(ms(3)), None));
    assert_eq!((&timeline.items[0].progress, timeline.items[0].returned.len()), (&Some((0.5, "half".to_owned())), 1));
    let holds: Vec<_> = timeline.workers.iter().map(|worker| worker.holds[0].end).collect();
    assert_eq!(holds, [Some("returned"), None]);
}

#[test]
fn an_item_that_is_done_again_is_pending_until_it_ends_once_more() {
    let mut timeline = Timeline::default();
    for (at, fact) in [(0, planned(2)), (0, worker(0)), (1, took(0, 0, 1)), (2, ended(0, 0, Outcome::Done))] {
        hear(&mut timeline, at, fact);
    }
    let reason = "ann wants it".to_owned();
    hear(&mut timeline, 3, Fact::ItemReopened { item: 0, was: Outcome::Done, reason });
    assert_eq!((timeline.census.done, timeline.census.pending, &timeline.items[0].outcome), (0, 2, &None));
    hear(&mut timeline, 4, took(0, 0, 2));
    hear(&mut timeline, 5, ended(0, 0, Outcome::Failed("no".to_owned())));
    assert_eq!((timeline.census.failed, timeline.census.pending, timeline.census.items), (1, 1, 2));
}

#[test]
fn totals_are_those_of_all_questions_also_of_those_answered_without_asking() {
    let mut timeline = Timeline::default();
    hear(&mut timeline, 0, sent(1, 1));
    hear(&mut timeline, 5, retried(1));
    hear(&mut timeline, 40, settled(1, "model"));
    hear(&mut timeline, 50, settled(2, "cache"));
    let totals = &timeline.totals;
    assert_eq!((totals.questions, totals.sent, totals.retries, totals.cache_hits()), (2, 1, 1, 1));
    assert_eq!((totals.usage.input_tokens, totals.usage.usd), (20, Usd::from_pico(10)));
    assert_eq!((totals.models.len(), totals.models[0].questions), (1, 2));
    let cached = &timeline.questions[1];
    assert_eq!((cached.from, cached.to), (ms(20), Some(ms(50))), "it began as long ago as it says");
    assert_eq!(timeline.in_flight(), 0);
}

#[test]
fn each_model_has_what_it_took_itself_and_the_question_is_that_of_the_last() {
    let mut timeline = Timeline::default();
    let share = |model: &str, pico| Spent {
        model: model.to_owned(),
        backend: "anthropic".into(),
        notional: false,
        usage: Usage { requests: 1, usd: Usd::from_pico(pico), ..Usage::default() },
        uncertain: Usd::from_pico(1),
    };
    let Fact::QuestionSettled(mut whole) = settled(1, "model") else { unreachable!("it is one") };
    whole.by_model = vec![share("big", 40), share("a-model", 1)];
    (whole.usage, whole.uncertain) =
        (Usage { requests: 2, usd: Usd::from_pico(41), ..Usage::default() }, Usd::from_pico(2));
    hear(&mut timeline, 5, Fact::QuestionSettled(whole));
    let mut took: Vec<_> =
        timeline.totals.models.iter().map(|one| (&*one.model, one.questions, one.usage.usd)).collect();
    took.sort_unstable_by_key(|one| one.0);
    assert_eq!(took, [("a-model", 1, Usd::from_pico(1)), ("big", 0, Usd::from_pico(40))]);
    assert!(timeline.totals.models.iter().all(|one| one.uncertain == Usd::from_pico(1)));
    assert_eq!(timeline.totals.usage.usd, Usd::from_pico(41));
}

#[test]
fn a_worker_holds_one_item_after_the_other_and_an_item_knows_its_story() {
    let mut timeline = Timeline::default();
    let returned = Fact::ItemReturned { worker: 0, item: 0, reason: "its worker died".to_owned() };
    let told = [
        (0, planned(2)),
        (0, worker(0)),
        (0, worker(1)),
        (1, took(0, 0, 1)),
        (5, returned),
        (5, Fact::WorkerEnded { worker: 0, died: Some("it trapped".to_owned()) }),
        (6, took(1, 0, 2)),
        (9, ended(1, 0, Outcome::Failed("again".to_owned()))),
        (9, took(1, 1, 1)),
    ];
    for (at, fact) in told {
        hear(&mut timeline, at, fact);
    }
    let holds: Vec<_> = timeline.workers.iter().map(|worker| worker.holds.clone()).collect();
    assert_eq!(holds[0].iter().map(|hold| (hold.item, hold.end)).collect::<Vec<_>>(), [(Some(0), Some("returned"))]);
    assert_eq!(
        holds[1].iter().map(|hold| (hold.item, hold.end)).collect::<Vec<_>>(),
        [(Some(0), Some("failed")), (Some(1), None)]
    );
    assert_eq!((timeline.workers[0].died.as_deref(), timeline.workers[0].to), (Some("it trapped"), Some(ms(5))));
    let item = &timeline.items[0];
    assert_eq!((item.attempts, item.returned.len(), item.from, item.to), (2, 1, Some(ms(1)), Some(ms(9))));
    assert_eq!((timeline.census.items, timeline.census.failed, timeline.census.pending), (2, 1, 1));
}

#[test]
fn the_census_adds_up_at_every_moment_and_in_the_end_is_the_one_that_was_told() {
    let mut timeline = Timeline::default();
    let adds_up = |timeline: &Timeline| {
        let c = timeline.census;
        assert_eq!(c.done + c.cached + c.fallback + c.failed + c.skipped + c.pending, c.items);
    };
    let outcomes = [Outcome::Done, Outcome::Cached, Outcome::Skipped(String::new()), Outcome::Pending, Outcome::Done];
    hear(&mut timeline, 0, planned(3));
    for (item, outcome) in outcomes.into_iter().enumerate() {
        hear(&mut timeline, 1, ended(0, item, outcome));
        adds_up(&timeline);
    }
    assert_eq!((timeline.census.items, timeline.census.done, timeline.census.pending), (4, 2, 0));
    hear(&mut timeline, 2, Fact::ItemsAdded { parent: 0, items: 2 });
    adds_up(&timeline);
    let census = Census { items: 9, pending: 9, ..Census::default() };
    hear(&mut timeline, 3, Fact::Ended { census, status: Status::Interrupted });
    assert_eq!((timeline.census, timeline.ended.map(|ended| ended.status)), (census, Some(Status::Interrupted)));
}

#[test]
fn what_is_heard_of_an_answer_holds_while_it_comes_and_a_stall_is_kept() {
    let mut timeline = Timeline::default();
    let tool = || Some("Read".to_owned());
    hear(&mut timeline, 0, queued(1));
    hear(&mut timeline, 1, Fact::QuestionWaits { question: 1, item: 0, reason: "quota".into(), lasts: Some(ms(9)) });
    assert_eq!(timeline.questions[0].until, Some(ms(10)));
    hear(&mut timeline, 2, sent(1, 1));
    hear(&mut timeline, 3, started(1));
    assert_eq!((timeline.questions[0].until, timeline.questions[0].heard), (None, Some(ms(3))));
    hear(&mut timeline, 4, Fact::QuestionProgress { question: 1, item: 0, tokens_per_second: None, tool: tool() });
    assert_eq!((timeline.questions[0].heard, &timeline.questions[0].tool), (Some(ms(4)), &tool()));
    hear(&mut timeline, 9_004, Fact::QuestionStalled { question: 1, item: 0, lasted: ms(9_000), tool: tool() });
    hear(&mut timeline, 9_005, settled(1, "model"));
    let question = &timeline.questions[0];
    assert_eq!((question.heard, &question.tool), (None, &None));
    assert_eq!(question.stalls, [Stall { at: ms(9_004), lasted: ms(9_000), tool: tool() }]);
}

#[test]
fn a_continued_run_is_one_picture_in_which_nothing_stays_open() {
    let event = |at, fact| Event { at: ms(at), fact };
    let began = |second| jiff::Timestamp::from_second(second).unwrap();
    let first = vec![event(0, planned(2)), event(0, worker(0)), event(1, took(0, 0, 1)), event(2, sent(1, 1))];
    let second = vec![event(0, planned(2)), event(0, worker(0)), event(1, took(0, 0, 1)), event(2, sent(1, 1))];
    let streams = [Told { began: began(100), events: first }, Told { began: began(160), events: second }];
    let timeline = Timeline::of(&streams);
    let continued = Continued { at: Duration::from_mins(1), workers: 1, items: 1, questions: 1 };
    assert_eq!(timeline.continued, [continued]);
    assert_eq!((timeline.workers.len(), timeline.items.len(), timeline.questions.len()), (2, 2, 2));
    assert_eq!((timeline.workers[0].to, timeline.workers[0].holds[0].to), (Some(ms(2)), Some(ms(2))));
    assert_eq!((timeline.questions[0].to, timeline.questions[0].end.as_ref()), (Some(ms(2)), None));
    assert_eq!((timeline.questions[1].from, timeline.questions[1].to), (ms(60_002), None));
    assert_eq!((timeline.census.items, timeline.in_flight()), (2, 1));
}

#[test]
fn of_many_samples_those_are_kept_that_show_the_whole_run() {
    let mut timeline = Timeline::default();
    for second in 0..3 * MOST_SAMPLES as u64 {
        hear(&mut timeline, second * 1_000, Fact::Sampled(Box::default()));
    }
    let kept = &timeline.samples;
    assert!(kept.len() <= MOST_SAMPLES && kept.len() >= MOST_SAMPLES / 2, "{}", kept.len());
    assert_eq!(kept[0].at, ms(0));
    assert!(kept.windows(2).all(|pair| pair[1].at - pair[0].at == ms(4_000)), "evenly");
    assert_eq!(timeline.left_out.samples as usize + kept.len(), 3 * MOST_SAMPLES);
}

#[test]
fn what_is_too_much_is_counted_and_the_totals_hold() {
    let mut timeline = Timeline::default();
    for question in 0..MOST_QUESTIONS as u64 + 10 {
        hear(&mut timeline, question, settled(question, "model"));
    }
    assert_eq!((timeline.questions.len(), timeline.left_out.questions), (MOST_QUESTIONS, 10));
    assert_eq!(timeline.totals.questions, MOST_QUESTIONS as u64 + 10);
    let one = MOST_QUESTIONS as u64 + 10;
    let told = [queued(one), waits(one, "quota"), sent(one, 1), waits(one, "limit"), retried(one), sent(one, 2)];
    let stands = told.into_iter().chain([settled(one, "model")]).map(|fact| {
        hear(&mut timeline, one, fact);
        (timeline.waiting(), timeline.in_flight())
    });
    assert_eq!(stands.collect::<Vec<_>>(), [(1, 0), (1, 0), (0, 1), (0, 1), (1, 0), (0, 1), (0, 0)]);
    hear(&mut timeline, 0, Fact::Warned { message: "x".repeat(10_000) });
    assert_eq!(timeline.marks[0].text.chars().count(), LONGEST_TEXT + 1);
}

#[test]
fn a_pause_and_an_alert_last_until_they_are_over() {
    let mut timeline = Timeline::default();
    hear(&mut timeline, 0, Fact::Paused { by: "ann".to_owned(), at_once: false });
    hear(&mut timeline, 0, Fact::AlertRaised { alert: "cpu".into(), reason: "91 % of 80 %".to_owned() });
    assert_eq!((timeline.paused.as_deref(), timeline.alerts.len()), (Some("ann"), 1));
    hear(&mut timeline, 1, Fact::Resumed { by: "ann".to_owned() });
    hear(&mut timeline, 1, Fact::AlertCleared { alert: "cpu".into(), reason: "60 %".to_owned() });
    assert_eq!((timeline.paused.as_deref(), timeline.alerts.len()), (None, 0));
    let kinds: Vec<_> = timeline.marks.iter().map(|mark| mark.kind).collect();
    assert_eq!(kinds, [MarkKind::Paused, MarkKind::Alert, MarkKind::Resumed, MarkKind::AlertCleared]);
}

#[test]
fn ten_thousand_questions_are_heard_at_once() {
    let mut timeline = Timeline::default();
    let began = std::time::Instant::now();
    for question in 0..10_000 {
        for (at, fact) in [queued(question), waits(question, "quota"), sent(question, 1), started(question)]
            .into_iter()
            .chain([settled(question, "model")])
            .enumerate()
        {
            hear(&mut timeline, question * 10 + at as u64, fact);
        }
    }
    assert_eq!(timeline.questions.len(), 10_000);
    let took = began.elapsed();
    // A tenth of this in an optimised build; the bound is for a busy machine.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn its_json_is_short_and_in_microseconds() {
    let mut timeline = Timeline::default();
    hear(&mut timeline, 1, queued(3));
    hear(&mut timeline, 2, sent(3, 1));
    hear(&mut timeline, 4, settled(3, "model"));
    let json = serde_json::to_value(&timeline).unwrap();
    assert_eq!(json["questions"][0]["states"], serde_json::json!([["queued", 1_000], ["sent", 2_000]]));
    assert_eq!(json["questions"][0]["to"], 4_000);
    assert_eq!(json["questions"][0]["end"]["by"], "model");
    assert_eq!(json["now"], 4_000);
}
