//! What spans come of made events.

use std::collections::BTreeMap;

use convoke_runtime::event::{AttemptEnd, Settled};
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};
use opentelemetry::trace::{SpanId, SpanKind};

use super::*;

const RUN: &str = "0199a7a2-0f3c-7b1e-8a51-8f3a9c01d2e4";

fn seconds(at: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + at)
}

fn begun() -> Fact {
    Fact::RunStarted(Box::new(RunFacts {
        run: RUN.to_owned(),
        command: "agent-audit".to_owned(),
        subcommand: None,
        plugin: "agent-audit".to_owned(),
        version: "0.1.0".to_owned(),
        project: "/home/me/project".to_owned(),
        mode: "balanced".to_owned(),
        backend: "anthropic".to_owned(),
        instances: 5,
        budget: None,
        started: seconds(0).try_into().expect("a time"),
        continued: false,
        pid: 7,
    }))
}

fn worker(worker: usize) -> Fact {
    Fact::WorkerStarted { worker, segment: "agents".to_owned() }
}

fn item(worker: usize, item: usize, attempt: u32) -> Fact {
    Fact::ItemStarted { worker, item, id: String::new(), label: format!("agents/{item}.md"), group: None, attempt }
}

fn item_ends(worker: Option<usize>, item: usize, outcome: Outcome) -> Fact {
    Fact::ItemEnded { worker, item, outcome, took: Duration::from_secs(1) }
}

fn queued(question: u64, item: usize) -> Fact {
    Fact::QuestionQueued { question, item, role: "reviewer".to_owned(), tier: Tier::Speed }
}

fn sent(question: u64, item: usize, attempt: u32) -> Fact {
    Fact::QuestionSent { question, item, model: "a-model".to_owned(), backend: "anthropic".into(), attempt }
}

fn attempt(question: u64, item: usize, attempt: u32, failed: Option<&'static str>) -> Fact {
    let usage = Usage { input_tokens: 10, cache_read_tokens: 5, output_tokens: 7, ..Usage::default() };
    Fact::AttemptEnded(Box::new(AttemptEnd {
        question,
        item,
        attempt,
        model: "a-model-1".to_owned(),
        failed: failed.map(Into::into),
        usage: Usage { usd: Usd::from_dollars(0.5), ..usage },
        uncertain: Usd::ZERO,
    }))
}

fn settled(question: u64, item: usize, by: &str, took: u64) -> Fact {
    Fact::QuestionSettled(Box::new(Settled {
        question,
        item,
        by: by.to_owned(),
        role: "reviewer".to_owned(),
        took: Duration::from_secs(took),
        ..Settled::default()
    }))
}

fn over(census: Census, status: Status) -> Fact {
    Fact::Ended { census, status }
}

/// The spans of a run in which this happened, each at its second.
fn spans(content: bool, facts: impl IntoIterator<Item = (u64, Fact)>) -> Vec<SpanData> {
    let (mut tree, mut ended) = (Tree::new(Trace::alone(), content), Vec::new());
    tree.begins(seconds(0));
    let mut last = 0;
    for (at, fact) in facts {
        tree.hear(&Event { at: Duration::from_secs(at), fact }, &mut ended);
        last = at;
    }
    tree.end(Duration::from_secs(last + 1), &mut ended);
    ended
}

fn value(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|one| one.key.as_str() == key).map(|one| one.value.to_string())
}

/// The tree, a line a span: name, what tells it from others, from and to, error, events, links.
fn drawn(spans: &[SpanData]) -> String {
    let mut below: BTreeMap<[u8; 8], Vec<&SpanData>> = BTreeMap::new();
    for span in spans {
        below.entry(span.parent_span_id.to_bytes()).or_default().push(span);
    }
    for children in below.values_mut() {
        children.sort_by_key(|span| (span.start_time, span.end_time));
    }
    let mut text = String::new();
    draw(&below, SpanId::INVALID, 0, &mut text);
    assert_eq!(text.lines().count(), spans.len(), "each hangs on another: {text}");
    text
}

fn draw(below: &BTreeMap<[u8; 8], Vec<&SpanData>>, parent: SpanId, depth: usize, text: &mut String) {
    for span in below.get(&parent.to_bytes()).into_iter().flatten() {
        let at = |time: SystemTime| time.duration_since(seconds(0)).map_or(-1, |since| since.as_secs().cast_signed());
        let key = ["convoke.attempt", "convoke.question", "convoke.item", "convoke.worker"]
            .iter()
            .find_map(|key| value(span, key))
            .map_or_else(String::new, |key| format!(" {key}"));
        let error = value(span, "error.type").map_or_else(String::new, |error| format!(" !{error}"));
        let events: String = span.events.iter().map(|event| format!(" {}", event.name)).collect();
        let links: String = span.links.iter().map(|link| format!(" <-{}", link.attributes[0].value)).collect();
        let (from, to) = (at(span.start_time), at(span.end_time));
        *text += &format!("{}{}{key} {from}-{to}{error}{events}{links}\n", "  ".repeat(depth), span.name);
        draw(below, span.span_context.span_id(), depth + 1, text);
    }
}

#[test]
fn a_question_that_is_asked_again_has_two_attempts_and_says_why() {
    let spans = spans(
        false,
        [
            (0, begun()),
            (1, worker(0)),
            (2, item(0, 0, 1)),
            (3, queued(9, 0)),
            (4, sent(9, 0, 1)),
            (5, attempt(9, 0, 1, Some("rate-limited"))),
            (
                5,
                Fact::QuestionRetried {
                    question: 9,
                    item: 0,
                    kind: "rate-limited".into(),
                    reason: "a stranger's words".to_owned(),
                    wait: Duration::from_secs(2),
                },
            ),
            (7, queued(9, 0)),
            (7, sent(9, 0, 2)),
            (8, Fact::QuestionStarted { question: 9, item: 0, after: Duration::from_secs(1) }),
            (9, attempt(9, 0, 2, None)),
            (9, settled(9, 0, "model", 7)),
            (10, item_ends(Some(0), 0, Outcome::Done)),
            (11, Fact::WorkerEnded { worker: 0, died: None }),
            (12, over(Census { items: 1, done: 1, ..Census::default() }, Status::Completed)),
        ],
    );
    assert_eq!(
        drawn(&spans),
        "convoke agent-audit 0-12\n  segment 0 1-11\n    item 0 2-10\n      question 9 2-9 convoke.queued convoke.retry \
         convoke.queued\n        chat a-model 1 4-5 !rate-limited\n        chat a-model 2 7-9 convoke.first_token\n"
    );
    let answered = spans.iter().find(|span| value(span, "convoke.attempt").as_deref() == Some("2")).unwrap();
    assert_eq!(answered.span_kind, SpanKind::Client);
    for (key, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "a-model"),
        ("gen_ai.response.model", "a-model-1"),
        ("gen_ai.usage.input_tokens", "15"),
        ("gen_ai.usage.cache_read.input_tokens", "5"),
        ("gen_ai.usage.output_tokens", "7"),
        ("gen_ai.response.time_to_first_chunk", "1"),
        ("convoke.cost.usd", "0.5"),
        ("convoke.run.id", RUN),
        ("convoke.item", "0"),
        ("convoke.question", "9"),
    ] {
        assert_eq!(value(answered, key).as_deref(), Some(expected), "{key}");
    }
    assert!(spans.iter().all(|span| span.span_context.trace_id().to_string() == RUN.replace('-', "")));
    assert!(!format!("{spans:?}").contains("stranger"), "reasons are told only where that is wanted");
}

#[test]
fn a_second_try_stands_beside_the_first_and_the_loser_is_superseded() {
    let spans = spans(
        false,
        [
            (0, begun()),
            (0, worker(0)),
            (0, item(0, 0, 1)),
            (1, queued(1, 0)),
            (1, sent(1, 0, 1)),
            (5, Fact::QuestionHedged { question: 1, item: 0, model: "a-model".to_owned(), after: Duration::ZERO }),
            (6, attempt(1, 0, 1, Some("superseded"))),
            (6, attempt(1, 0, 2, None)),
            (6, settled(1, 0, "model", 5)),
            (7, item_ends(Some(0), 0, Outcome::Done)),
            (8, Fact::WorkerEnded { worker: 0, died: None }),
            (8, over(Census { items: 1, done: 1, ..Census::default() }, Status::Completed)),
        ],
    );
    let drawn = drawn(&spans);
    assert!(drawn.contains("        chat a-model 1 1-6 !superseded\n        chat a-model 2 5-6 <-beside\n"), "{drawn}");
}

#[test]
fn an_item_of_a_dead_worker_is_done_again_and_linked_to_what_came_to_nothing() {
    let spans = spans(
        false,
        [
            (0, begun()),
            (0, worker(0)),
            (1, item(0, 3, 1)),
            (2, queued(1, 3)),
            (2, sent(1, 3, 1)),
            (3, Fact::ItemReturned { worker: 0, item: 3, reason: "trapped".to_owned() }),
            (3, Fact::WorkerEnded { worker: 0, died: Some("trapped".to_owned()) }),
            (3, attempt(1, 3, 1, Some("dropped"))),
            (4, settled(1, 3, "dropped", 2)),
            (5, worker(1)),
            (6, item(1, 3, 2)),
            (7, item_ends(Some(1), 3, Outcome::Failed("secret words".to_owned()))),
            (8, Fact::WorkerEnded { worker: 1, died: None }),
            (9, over(Census { items: 1, failed: 1, ..Census::default() }, Status::Failed)),
        ],
    );
    assert_eq!(
        drawn(&spans),
        "convoke agent-audit 0-9 !failed\n  segment 0 0-3 !worker-died\n    item 3 1-3 !returned\n      question 1 2-4 \
         !dropped convoke.queued\n        chat a-model 1 2-3 !dropped\n  segment 1 5-8\n    item 3 6-7 !item-failed \
         <-again\n"
    );
    assert!(!format!("{spans:?}").contains("secret words"));
}

#[test]
fn an_item_that_has_failed_and_is_done_again_is_linked_to_its_failure() {
    let spans = spans(
        false,
        [
            (0, begun()),
            (0, worker(0)),
            (1, item(0, 0, 1)),
            (2, item_ends(Some(0), 0, Outcome::Failed("busy".to_owned()))),
            (3, Fact::DoneAgain { items: 1, reason: "those that failed".to_owned() }),
            (3, item(0, 0, 2)),
            (4, item_ends(Some(0), 0, Outcome::Done)),
            (5, Fact::WorkerEnded { worker: 0, died: None }),
            (5, over(Census { items: 1, done: 1, ..Census::default() }, Status::Completed)),
        ],
    );
    assert_eq!(
        drawn(&spans),
        "convoke agent-audit 0-5 convoke.done_again\n  segment 0 0-5\n    item 0 1-2 !item-failed\n    item 0 3-4 <-again\n"
    );
    let (first, again) = (&spans[0], &spans[1]);
    assert_eq!(again.links[0].span_context, first.span_context);
}

#[test]
fn an_item_that_another_worker_has_already_is_not_given_back_by_the_dead_one() {
    let returned = Fact::ItemReturned { worker: 0, item: 0, reason: "it trapped".to_owned() };
    let spans = spans(
        false,
        [
            (0, begun()),
            (0, worker(0)),
            (0, worker(1)),
            (1, item(0, 0, 1)),
            (2, queued(1, 0)),
            (3, item(1, 0, 2)),
            (4, queued(2, 0)),
            (5, returned),
            (5, Fact::WorkerEnded { worker: 0, died: None }),
            (6, settled(2, 0, "model", 2)),
            (7, item_ends(Some(1), 0, Outcome::Done)),
            (8, Fact::WorkerEnded { worker: 1, died: None }),
            (9, over(Census { items: 1, done: 1, ..Census::default() }, Status::Completed)),
        ],
    );
    assert_eq!(
        drawn(&spans),
        "convoke agent-audit 0-9\n  segment 0 0-5\n    item 0 1-3 !returned\n      question 1 2-3 !dropped \
         convoke.queued\n  segment 1 0-8\n    item 0 3-7 <-again\n      question 2 4-6 convoke.queued\n"
    );
}

#[test]
fn a_cached_item_has_no_length_and_hangs_on_the_run_and_a_conclusion_has_its_own() {
    let spans = spans(
        false,
        [
            (0, begun()),
            (2, item_ends(None, 0, Outcome::Cached)),
            (4, settled(5, 1, "cache", 1)),
            (6, item_ends(None, 1, Outcome::Done)),
            (7, over(Census { items: 2, done: 1, cached: 1, ..Census::default() }, Status::Completed)),
        ],
    );
    assert_eq!(drawn(&spans), "convoke agent-audit 0-7\n  item 0 2-2\n  item 1 4-6\n    question 5 3-4\n");
}

#[test]
fn what_never_ended_is_marked_and_a_question_ends_when_its_item_was_taken_away() {
    let spans = spans(
        false,
        [
            (0, begun()),
            (0, worker(0)),
            (1, item(0, 0, 1)),
            (2, queued(1, 0)),
            (3, Fact::ItemReturned { worker: 0, item: 0, reason: "stopped".to_owned() }),
            (4, item(0, 1, 1)),
            (9, Fact::Warned { message: "no more".to_owned() }),
        ],
    );
    assert_eq!(
        drawn(&spans),
        "convoke agent-audit 0-10 !unfinished\n  segment 0 0-10\n    item 0 1-3 !returned\n      question 1 2-3 !dropped \
         convoke.queued\n    item 1 4-10\n"
    );
}

#[test]
fn reasons_are_told_where_that_is_wanted_and_without_credentials() {
    let key = format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o");
    let facts = || {
        [
            (0, begun()),
            (0, worker(0)),
            (1, item(0, 0, 1)),
            (2, item_ends(Some(0), 0, Outcome::Failed(format!("it said\n\u{1b}[2J{key}")))),
        ]
    };
    let told = format!("{:?}", spans(true, facts()));
    assert!(told.contains("it said") && !told.contains(&key) && !told.contains("\\u{1b}"), "{told}");
    assert!(!format!("{:?}", spans(false, facts())).contains("it said"));
}

#[test]
fn a_breaker_is_an_event_of_the_run_and_there_are_not_too_many() {
    let breaker =
        |state: &'static str| Fact::BreakerChanged { state: state.into(), reason: String::new(), lasts: None };
    let mut facts = vec![(0, begun())];
    facts.extend((0..200).map(|_| (1, breaker("open"))));
    let spans = spans(false, facts);
    assert_eq!((spans[0].events.len(), spans[0].events.dropped_count), (128, 72));
    assert_eq!(spans[0].events[0].name, "convoke.breaker");
}
