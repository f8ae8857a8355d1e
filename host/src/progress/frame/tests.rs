use convoke_runtime::event::{AccountSample, BudgetSample, Fact, RunFacts, Sample, Settled, Spent};
use convoke_runtime::work::Outcome;

use super::*;

const UNICODE: Look = Look { width: 80, rows: 24, color: false, unicode: true };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A run in its middle, with something of everything.
fn busy() -> State {
    let mut state = State::default();
    let mut hear = |at: u64, fact: Fact| state.hear(&fact, seconds(at));
    let budget = Some(Usd::from_dollars(1.0));
    hear(0, Fact::RunStarted(Box::new(run(budget))));
    let (assessed_in, allocated_in) = (Duration::ZERO, Duration::ZERO);
    hear(0, Fact::Planned { items: 20, cached: 3, workers: 8, assessed_in, allocated_in, expected: None });
    for item in 20..29 {
        let outcome = if item == 28 { Outcome::Failed("no".to_owned()) } else { Outcome::Done };
        hear(1, Fact::ItemEnded { worker: None, item, outcome, took: Duration::ZERO });
    }
    let groups = ["core", "core", "ops", "04-quality-security", "ops", "data", "data", "data"];
    for (worker, group) in groups.into_iter().enumerate() {
        hear(1, Fact::WorkerStarted { worker, segment: group.to_owned() });
        hear(1, Fact::WorkerReady { worker, after: Duration::ZERO });
        if worker == 7 {
            continue;
        }
        let label =
            ["api-designer", "web", "deploy", "an-agent-with-a-name-that-is-far-too-long", "backup", "etl", "rows"];
        let (label, group) = (label[worker].to_owned(), Some(group.to_owned()));
        hear(1, Fact::ItemStarted { worker, item: worker, id: String::new(), label, group, attempt: 1 });
        let tier = if worker % 2 == 0 { Tier::Speed } else { Tier::Comprehensive };
        let (question, item) = (worker as u64, worker);
        hear(2, Fact::QuestionQueued { question, item, role: String::new(), tier });
    }
    let sent = |question: u64| Fact::QuestionSent {
        question,
        item: question as usize,
        model: String::new(),
        backend: "anthropic".into(),
        attempt: 1,
    };
    let begun = |question: u64| Fact::QuestionStarted { question, item: question as usize, after: Duration::ZERO };
    for question in [0, 1, 2, 3] {
        hear(50, sent(question));
    }
    hear(51, begun(0));
    hear(50, begun(3));
    hear(
        62,
        Fact::QuestionProgress { question: 0, item: 0, tokens_per_second: Some(83), tool: Some("Read".to_owned()) },
    );
    hear(51, Fact::QuestionWaits { question: 4, item: 4, reason: "quota".into(), lasts: None });
    let (kind, wait) = ("rate-limited".into(), seconds(60));
    hear(48, Fact::QuestionRetried { question: 5, item: 5, kind, reason: "429".to_owned(), wait });
    hear(61, sent(6));
    let usage = Usage { requests: 9, usd: Usd::from_dollars(0.0421), ..Usage::default() };
    hear(62, Fact::QuestionSettled(Box::new(Settled { question: 99, item: 99, usage, ..Settled::default() })));
    let account = AccountSample { account: "anthropic".into(), limit: 8, ..AccountSample::default() };
    let budgets = vec![BudgetSample { budget: "usd".into(), spent: 0.0421 }];
    hear(62, Fact::Sampled(Box::new(Sample { accounts: vec![account], budgets, ..Sample::default() })));
    hear(62, Fact::AlertRaised { alert: "errors".into(), reason: "12 %".to_owned() });
    state
}

fn run(budget: Option<Usd>) -> RunFacts {
    RunFacts {
        run: String::new(),
        command: String::new(),
        subcommand: None,
        plugin: String::new(),
        version: String::new(),
        project: String::new(),
        mode: String::new(),
        backend: String::new(),
        instances: 8,
        budget,
        started: jiff::Timestamp::UNIX_EPOCH,
        continued: false,
        pid: 1,
    }
}

fn drawn(look: &Look, names: &[&str], states: &[State]) -> Vec<String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let view = View { names: &names, states, now: seconds(63), stops_in: None, eta: Some("~40 s left".to_owned()) };
    frame(look, &view)
}

/// As it is seen: with a bar where the terminal ends.
fn picture(look: &Look) -> String {
    let lines = drawn(look, &[""], &[busy()]);
    lines.iter().map(|line| format!("{}|\n", pad_str(line, look.width, console::Alignment::Left, None))).collect()
}

#[test]
fn eighty_columns_are_as_expected() {
    insta::assert_snapshot!(picture(&UNICODE));
}

#[test]
fn a_wide_terminal_is_as_expected() {
    insta::assert_snapshot!(picture(&Look { width: 140, ..UNICODE }));
}

#[test]
fn forty_columns_are_as_expected() {
    insta::assert_snapshot!(picture(&Look { width: 40, ..UNICODE }));
}

#[test]
fn without_unicode_it_is_ascii() {
    let text = picture(&Look { unicode: false, ..UNICODE });
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn without_colour_there_is_no_escape_and_with_it_the_text_is_the_same() {
    let colored = Look { color: true, ..UNICODE };
    let (plain, painted) = (picture(&UNICODE), picture(&colored));
    assert!(!plain.contains('\u{1b}') && painted.contains('\u{1b}'));
    assert_eq!(console::strip_ansi_codes(&painted), plain);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_all_of_them_have_room() {
    for width in [1, 10, 20, 39, 40, 59, 60, 79, 80, 99, 100, 160, 300] {
        for rows in [1, 5, 24, 60] {
            for unicode in [true, false] {
                let look = Look { width, rows, color: true, unicode };
                let lines = drawn(&look, &[""], &[busy()]);
                for line in &lines {
                    assert!(measure_text_width(line) <= width, "{width}: {line:?}");
                }
                assert!(lines.len() <= rows.max(4), "{} lines on {rows}", lines.len());
            }
        }
    }
}

#[test]
fn more_workers_than_rows_are_counted_and_the_busy_ones_are_shown() {
    let lines = drawn(&Look { rows: 9, ..UNICODE }, &[""], &[busy()]);
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert_eq!(lines[3], "  and 5 more: 1 asked, 1 idle, 1 retrying, 1 stalled, 1 waiting");
    assert!(lines[..3].iter().all(|line| !line.contains("idle")), "{lines:#?}");
}

#[test]
fn among_others_a_command_stands_in_front_and_the_whole_is_that_of_all() {
    let lines = drawn(&Look { width: 140, rows: 60, ..UNICODE }, &["audit", "docs"], &[busy(), busy()]);
    assert!(lines[0].starts_with("  ● audit: core"), "{}", lines[0]);
    assert!(lines[8].starts_with("  ● docs: core"), "{}", lines[8]);
    let whole = lines[16..].join("\n");
    assert!(whole.contains("18/40") && whole.contains("$0.0842, ") && whole.contains("10 of 8 in flight"), "{whole}");
}

#[test]
fn what_a_run_took_before_it_was_continued_is_not_left() {
    let mut state = State::default();
    let usage = Usage { requests: 1, usd: Usd::from_dollars(0.5), ..Usage::default() };
    let budgets = vec![BudgetSample { budget: "usd".into(), spent: 0.85 }];
    for fact in [
        Fact::RunStarted(Box::new(run(Some(Usd::from_dollars(10.0))))),
        Fact::Sampled(Box::new(Sample { budgets, ..Sample::default() })),
        Fact::QuestionSettled(Box::new(Settled { usage, ..Settled::default() })),
    ] {
        state.hear(&fact, Duration::ZERO);
    }
    assert_eq!(spent(&[state]).as_deref(), Some("$0.5000, $1.50 left"));
}

#[test]
fn who_stops_it_reads_that_first() {
    let names = [String::new()];
    let states = [busy()];
    let stops_in = Some(seconds(28));
    let view = View { names: &names, states: &states, now: seconds(63), stops_in, eta: Some("~40 s left".to_owned()) };
    let lines = frame(&Look { width: 40, ..UNICODE }, &view);
    let whole = lines[8..].join("\n");
    assert!(whole.starts_with("finishing 5 questions") && !whole.contains("~40 s left"), "{whole}");
}

#[test]
fn what_strangers_named_does_nothing_to_the_terminal() {
    let mut state = State::default();
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}a\nb\u{202e}c";
    let mut hear = |fact: Fact| state.hear(&fact, Duration::ZERO);
    hear(Fact::WorkerStarted { worker: 0, segment: evil.to_owned() });
    let (label, group) = (evil.to_owned(), Some(evil.to_owned()));
    hear(Fact::ItemStarted { worker: 0, item: 0, id: String::new(), label, group, attempt: 1 });
    hear(Fact::ItemProgress { item: 0, done: 0.5, note: evil.to_owned() });
    hear(Fact::Paused { by: evil.to_owned(), at_once: false });
    hear(Fact::AlertRaised { alert: evil.to_owned().into(), reason: String::new() });
    let text = drawn(&UNICODE, &[evil], &[state]).join("|");
    assert!(!text.contains(['\u{1b}', '\u{7}', '\n', '\u{202e}']), "{text:?}");
}

#[test]
fn what_a_subscription_pays_is_not_shown_as_money_spent() {
    let usage = |dollars| Usage { requests: 1, usd: Usd::from_dollars(dollars), ..Usage::default() };
    let settled = |notional, by_model| {
        Fact::QuestionSettled(Box::new(Settled { usage: usage(0.4), notional, by_model, ..Settled::default() }))
    };
    let share = |dollars, notional| Spent { notional, usage: usage(dollars), ..Spent::default() };
    let said = |fact| {
        let mut state = State::default();
        state.hear(&fact, seconds(1));
        spent(&[state])
    };
    assert_eq!(said(settled(false, Vec::new())).as_deref(), Some("$0.4000"));
    assert_eq!(said(settled(true, Vec::new())).as_deref(), Some("$0.4000, not billed"));
    let both = vec![share(0.3, false), share(0.1, true)];
    assert_eq!(said(settled(false, both)).as_deref(), Some("$0.4000, $0.1000 of it not billed"));
}
