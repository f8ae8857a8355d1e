use convoke_runtime::work::Outcome;

use super::*;

fn settled(question: u64, item: usize) -> Fact {
    Fact::QuestionSettled(Box::new(Settled { question, item, ..Settled::default() }))
}

fn started(worker: usize, item: usize) -> Fact {
    Fact::ItemStarted { worker, item, id: String::new(), label: "a".to_owned(), group: None, attempt: 1 }
}

fn sent(question: u64, item: usize) -> Fact {
    Fact::QuestionSent { question, item, model: String::new(), backend: "anthropic".into(), attempt: 1 }
}

fn queued(question: u64, item: usize) -> Fact {
    Fact::QuestionQueued { question, item, role: String::new(), tier: Tier::Speed }
}

fn waits(question: u64, item: usize, reason: &'static str) -> Fact {
    Fact::QuestionWaits { question, item, reason: reason.into(), lasts: None }
}

fn hear(state: &mut State, seconds: u64, fact: &Fact) {
    state.hear(fact, Duration::from_secs(seconds));
}

/// One with a worker that has item 7 since 1 s.
fn working() -> State {
    let mut state = State::default();
    hear(&mut state, 0, &Fact::WorkerStarted { worker: 0, segment: "core".to_owned() });
    hear(&mut state, 1, &started(0, 7));
    state
}

fn doing(state: &State, seconds: u64) -> Doing {
    state.doing(&state.workers[&0], Duration::from_secs(seconds))
}

#[test]
fn a_worker_is_followed_from_its_start_to_its_end() {
    let mut state = State::default();
    hear(&mut state, 0, &Fact::WorkerStarted { worker: 0, segment: "core".to_owned() });
    assert_eq!(doing(&state, 1).kind, Kind::Starting);
    hear(&mut state, 1, &Fact::WorkerReady { worker: 0, after: Duration::ZERO });
    assert_eq!(doing(&state, 1).kind, Kind::Idle);
    hear(&mut state, 1, &started(0, 7));
    assert_eq!(doing(&state, 1).kind, Kind::Working(String::new()));
    hear(&mut state, 2, &queued(1, 7));
    assert_eq!((doing(&state, 2).kind, doing(&state, 2).tier), (Kind::Queued, Some(Tier::Speed)));
    hear(&mut state, 3, &waits(1, 7, "quota"));
    hear(&mut state, 9, &waits(1, 7, "quota"));
    assert_eq!(doing(&state, 9).kind, Kind::Waiting("quota".into(), None));
    assert_eq!(doing(&state, 9).since, Duration::from_secs(3), "the same wait goes on");
    hear(&mut state, 10, &sent(1, 7));
    assert_eq!(doing(&state, 10).kind, Kind::Asked(false));
    hear(&mut state, 11, &Fact::QuestionStarted { question: 1, item: 7, after: Duration::ZERO });
    assert_eq!(doing(&state, 13).kind, Kind::Answering(Pace::default(), Duration::from_secs(2)));
    hear(&mut state, 14, &settled(1, 7));
    assert_eq!(
        (doing(&state, 14).kind, doing(&state, 14).since),
        (Kind::Working(String::new()), Duration::from_secs(14))
    );
    let ended = Fact::ItemEnded { worker: Some(0), item: 7, outcome: Outcome::Done, took: Duration::from_secs(13) };
    hear(&mut state, 14, &ended);
    assert_eq!((doing(&state, 14).kind, state.ended), (Kind::Idle, 1));
    hear(&mut state, 15, &Fact::WorkerEnded { worker: 0, died: None });
    assert!(state.workers.is_empty());
}

#[test]
fn a_retry_waits_until_its_time_and_says_the_kind_of_failure() {
    let mut state = working();
    hear(&mut state, 1, &sent(1, 7));
    let (kind, reason, wait) = ("rate-limited".into(), "429".to_owned(), Duration::from_secs(9));
    hear(&mut state, 2, &Fact::QuestionRetried { question: 1, item: 7, kind, reason, wait });
    assert_eq!(doing(&state, 2).kind, Kind::Retrying(Duration::from_secs(11), "rate limited".to_owned()));
    assert_eq!(state.in_flight(), 0);
}

#[test]
fn what_comes_late_belongs_to_no_answer() {
    let mut state = working();
    let progress = Fact::QuestionProgress { question: 1, item: 7, tokens_per_second: Some(90), tool: None };
    hear(&mut state, 2, &sent(1, 7));
    hear(&mut state, 4, &settled(1, 7));
    hear(&mut state, 4, &Fact::QuestionStarted { question: 1, item: 7, after: Duration::ZERO });
    hear(&mut state, 4, &progress);
    assert_eq!(doing(&state, 4).kind, Kind::Working(String::new()));
}

#[test]
fn of_several_questions_the_furthest_is_shown_and_their_tokens_add_up() {
    let mut state = working();
    for question in 1..=3 {
        hear(&mut state, 1, &queued(question, 7));
    }
    hear(&mut state, 2, &waits(2, 7, "limit"));
    assert_eq!(doing(&state, 2).kind, Kind::Waiting("limit".into(), None));
    for question in [1, 3] {
        hear(&mut state, 3, &sent(question, 7));
        hear(&mut state, 4, &Fact::QuestionStarted { question, item: 7, after: Duration::ZERO });
        let progress = Fact::QuestionProgress { question, item: 7, tokens_per_second: Some(40), tool: None };
        hear(&mut state, 5, &progress);
    }
    let doing = doing(&state, 5);
    let pace = Pace { tokens_per_second: Some(80), tool: None };
    assert_eq!((doing.kind, doing.questions), (Kind::Answering(pace, Duration::ZERO), 3));
}

#[test]
fn a_pause_is_shown_where_something_would_go_on_and_not_where_something_ends() {
    let mut state = working();
    hear(&mut state, 0, &Fact::WorkerStarted { worker: 1, segment: String::new() });
    hear(&mut state, 0, &Fact::WorkerReady { worker: 1, after: Duration::ZERO });
    hear(&mut state, 2, &sent(1, 7));
    hear(&mut state, 3, &Fact::Paused { by: "you".to_owned(), at_once: false });
    assert_eq!(doing(&state, 4).kind, Kind::Asked(false), "it may end");
    let idle = state.doing(&state.workers[&1], Duration::from_secs(4));
    assert_eq!((idle.kind, idle.since), (Kind::Paused, Duration::from_secs(3)));
    hear(&mut state, 5, &settled(1, 7));
    hear(&mut state, 5, &waits(2, 7, "pause"));
    assert_eq!(doing(&state, 6).kind, Kind::Paused);
    hear(&mut state, 7, &Fact::Resumed { by: "you".to_owned() });
    assert_eq!(state.doing(&state.workers[&1], Duration::from_secs(7)).kind, Kind::Idle);
}

#[test]
fn a_second_try_that_waits_for_an_instance_leaves_the_answer_as_it_is() {
    let mut state = working();
    hear(&mut state, 2, &sent(1, 7));
    hear(&mut state, 3, &waits(1, 7, "instance"));
    hear(&mut state, 4, &Fact::QuestionHedged { question: 1, item: 7, model: String::new(), after: Duration::ZERO });
    assert_eq!((doing(&state, 4).kind, state.in_flight()), (Kind::Asked(true), 1));
    hear(&mut state, 5, &Fact::QuestionStarted { question: 1, item: 7, after: Duration::ZERO });
    hear(&mut state, 6, &waits(1, 7, "instance"));
    assert_eq!(doing(&state, 6).kind, Kind::Answering(Pace::default(), Duration::from_secs(1)));
    hear(&mut state, 7, &waits(1, 7, "pause"));
    assert_eq!((doing(&state, 7).kind, state.in_flight()), (Kind::Paused, 0));
}

#[test]
fn what_a_dead_worker_had_asked_is_not_shown_of_who_has_its_item_now() {
    let mut state = working();
    hear(&mut state, 1, &Fact::WorkerStarted { worker: 1, segment: String::new() });
    hear(&mut state, 2, &queued(1, 7));
    hear(&mut state, 3, &started(1, 7));
    hear(&mut state, 4, &Fact::ItemReturned { worker: 0, item: 7, reason: "it trapped".to_owned() });
    hear(&mut state, 4, &Fact::WorkerEnded { worker: 0, died: None });
    let doing = state.doing(&state.workers[&1], Duration::from_secs(5));
    assert_eq!((doing.kind, doing.since), (Kind::Working(String::new()), Duration::from_secs(3)));
}

#[test]
fn the_conclusion_has_a_line_of_its_own() {
    let mut state = working();
    let ended = Fact::ItemEnded { worker: Some(0), item: 7, outcome: Outcome::Done, took: Duration::ZERO };
    hear(&mut state, 2, &ended);
    hear(&mut state, 2, &Fact::WorkerEnded { worker: 0, died: None });
    hear(&mut state, 2, &Fact::PhaseStarted { phase: "aggregate".into() });
    hear(&mut state, 3, &sent(9, 8));
    let line = state.workers.values().next().expect("a line");
    assert_eq!(line.item.as_ref().map(|(_, label)| label.as_str()), Some("conclusion"));
    assert_eq!(state.doing(line, Duration::from_secs(3)).kind, Kind::Asked(false));
    hear(&mut state, 4, &Fact::ItemEnded { worker: None, item: 8, outcome: Outcome::Done, took: Duration::ZERO });
    assert!(state.workers.is_empty());
}

#[test]
fn what_is_finished_is_counted_and_how_long_it_may_take() {
    let (mut one, mut other) = (working(), working());
    let said = |states: &[State], seconds| State::finishing(states, Duration::from_secs(seconds));
    for question in 0..2 {
        hear(&mut one, 1, &sent(question, 7));
    }
    hear(&mut other, 1, &sent(9, 7));
    let states = [one, other];
    assert_eq!(said(&states, 28), "finishing 3 questions, at most 28 s; Ctrl-C again gives up");
    let [mut one, other] = states;
    hear(&mut one, 2, &settled(1, 7));
    assert!(said(&[one, other], 10).starts_with("finishing 2 questions, at most 10 s"));
    assert!(said(&[State::default()], 1).starts_with("finishing what is under way, at most 1 s"));
    assert!(said(&[], 0).starts_with("Giving up"));
}

#[test]
fn a_clock_reads_like_a_clock() {
    assert_eq!(clock(Duration::from_secs(7)), "0:07");
    assert_eq!(clock(Duration::from_secs(754)), "12:34");
    assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
}
