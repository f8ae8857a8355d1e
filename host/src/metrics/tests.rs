use convoke_runtime::event::{AccountSample, BudgetSample, RunFacts, Settled, Spent};
use convoke_runtime::levels::Level;
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};
use convoke_runtime::work::{Census, Outcome, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn facts(command: &str) -> Fact {
    Fact::RunStarted(Box::new(RunFacts {
        run: "0198".to_owned(),
        command: command.to_owned(),
        subcommand: None,
        plugin: command.to_owned(),
        version: "1.2.3".to_owned(),
        project: "/home/me/secret-project".to_owned(),
        mode: "balanced".to_owned(),
        backend: "anthropic".to_owned(),
        instances: 8,
        budget: None,
        started: jiff::Timestamp::from_second(1_800_000_000).unwrap(),
        continued: false,
        pid: 1,
    }))
}

fn usage(requests: u32, pico: u64) -> Usage {
    Usage { requests, input_tokens: 100, output_tokens: 10, usd: Usd::from_pico(pico), ..Usage::default() }
}

fn settled(question: u64, by: &str) -> Settled {
    let (model, backend) = ("claude-x".to_owned(), "anthropic".into());
    Settled { question, by: by.to_owned(), model, backend, attempts: 1, ..Settled::default() }
}

/// One run, with two workers that have an item each for a while.
async fn told(events: &Events) {
    let tell = async |fact| events.tell(fact).await;
    tell(facts("audit")).await;
    let took = Duration::from_millis(250);
    tell(Fact::Planned { items: 4, cached: 1, workers: 2, assessed_in: took, allocated_in: SECOND, expected: None })
        .await;
    tell(Fact::PhaseStarted { phase: "execute".into() }).await;
    tell(Fact::ItemEnded { worker: None, item: 3, outcome: Outcome::Cached, took: Duration::ZERO }).await;
    for worker in 0..2 {
        tell(Fact::WorkerStarted { worker, segment: "all".to_owned() }).await;
        tell(Fact::WorkerReady { worker, after: took }).await;
        let label = "secret-item".to_owned();
        tell(Fact::ItemStarted { worker, item: worker, id: String::new(), label, group: None, attempt: 1 }).await;
    }
    for question in 0..2 {
        tell(Fact::QuestionQueued { question, item: 0, role: "r".to_owned(), tier: Tier::Speed }).await;
        let (model, backend) = ("claude-x".to_owned(), "anthropic".into());
        tell(Fact::QuestionSent { question, item: 0, model, backend, attempt: 1 }).await;
    }
    advance(SECOND).await;
    tell(Fact::QuestionStarted { question: 0, item: 0, after: SECOND }).await;
    let (kind, reason) = ("overloaded".into(), "secret-reason".to_owned());
    tell(Fact::QuestionRetried { question: 1, item: 1, kind, reason, wait: SECOND }).await;
    advance(SECOND).await;
    let usage = usage(1, 1_234_567_890);
    tell(Fact::QuestionSettled(Box::new(Settled { usage, ..settled(0, "model") }))).await;
    tell(Fact::ItemEnded { worker: Some(0), item: 0, outcome: Outcome::Done, took: 2 * SECOND }).await;
    advance(2 * SECOND).await;
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
fn has(text: &str, series: &str, expected: f64) {
    assert_eq!(value(text, series), Some(expected), "{series}\n{text}");
}

fn watched(events: &Events) -> Shared {
    Shared(Mutex::new(Watched::new([("audit", events)].into_iter(), None).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn the_numbers_are_what_was_told() {
    let events = Events::new();
    let shared = watched(&events);
    told(&events).await;
    events.tell(Fact::Paused { by: "me".to_owned(), at_once: false }).await;
    let (from, to, reason) = (Level::Full, Level::Partial, "secret-reason".to_owned());
    events.tell(Fact::Degraded { from, to, reason }).await;
    let text = shared.text().unwrap();
    for (series, expected) in [
        ("convoke_run_paused{command=\"audit\"}", 1.0),
        ("convoke_run_level{command=\"audit\",level=\"partial\"}", 1.0),
        ("convoke_run_status{command=\"audit\",status=\"running\"}", 1.0),
        ("convoke_run_start_time_seconds{command=\"audit\"}", 1_800_000_000.0),
        ("convoke_run_duration_seconds{command=\"audit\"}", 4.0),
        ("convoke_run_phase_duration_seconds{command=\"audit\",phase=\"assess\"}", 0.25),
        ("convoke_run_phase_duration_seconds{command=\"audit\",phase=\"allocate\"}", 1.0),
        ("convoke_run_phase_duration_seconds{command=\"audit\",phase=\"execute\"}", 4.0),
        ("convoke_items{command=\"audit\",outcome=\"done\"}", 1.0),
        ("convoke_items{command=\"audit\",outcome=\"cached\"}", 1.0),
        ("convoke_items{command=\"audit\",outcome=\"pending\"}", 2.0),
        ("convoke_item_cache_hits_total{command=\"audit\"}", 1.0),
        ("convoke_workers{command=\"audit\",state=\"busy\"}", 1.0),
        ("convoke_workers{command=\"audit\",state=\"idle\"}", 1.0),
        ("convoke_worker_work_seconds_total{command=\"audit\"}", 2.0),
        ("convoke_worker_utilisation_ratio{command=\"audit\"}", 0.75),
        ("convoke_parallel_share_ratio{command=\"audit\"}", 0.5),
        ("convoke_speedup_ratio{command=\"audit\"}", 0.5),
        ("convoke_worker_spawn_seconds_count{command=\"audit\"}", 2.0),
        ("convoke_worker_spawn_seconds_sum{command=\"audit\"}", 0.5),
        ("convoke_questions{command=\"audit\",state=\"retrying\"}", 1.0),
        ("convoke_questions_settled_total{backend=\"anthropic\",command=\"audit\",outcome=\"model\"}", 1.0),
        ("convoke_question_retries_total{command=\"audit\",kind=\"overloaded\"}", 1.0),
        ("convoke_question_first_token_seconds_sum{backend=\"anthropic\",command=\"audit\"}", 1.0),
        ("convoke_question_answer_seconds_sum{backend=\"anthropic\",command=\"audit\"}", 2.0),
        ("convoke_requests_total{backend=\"anthropic\",command=\"audit\",model=\"claude-x\"}", 1.0),
        ("convoke_tokens_total{backend=\"anthropic\",command=\"audit\",kind=\"input\",model=\"claude-x\"}", 100.0),
        (
            "convoke_cost_dollars_total{backend=\"anthropic\",billing=\"billed\",command=\"audit\",model=\"claude-x\"}",
            Usd::from_pico(1_234_567_890).dollars(),
        ),
        ("convoke_events_lost_total", 0.0),
    ] {
        has(&text, series, expected);
    }
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn what_was_never_sent_is_gone_with_its_item_and_what_a_pause_broke_off_is_queued() {
    let events = Events::new();
    let shared = watched(&events);
    let queued = |question, item| Fact::QuestionQueued { question, item, role: String::new(), tier: Tier::Speed };
    let sent = |question, item| {
        let (model, backend) = ("claude-x".to_owned(), "anthropic".into());
        Fact::QuestionSent { question, item, model, backend, attempt: 1 }
    };
    let are = |states: [f64; 2]| {
        let text = shared.text().unwrap();
        for (state, expected) in ["queued", "sent"].into_iter().zip(states) {
            has(&text, &format!("convoke_questions{{command=\"audit\",state=\"{state}\"}}"), expected);
        }
    };
    for fact in [queued(1, 0), queued(2, 0), queued(3, 1), queued(4, 1), sent(2, 0), sent(4, 1)] {
        events.tell(fact).await;
    }
    are([2.0, 2.0]);
    events.tell(Fact::ItemReturned { worker: 0, item: 0, reason: "it trapped".to_owned() }).await;
    are([1.0, 2.0]);
    events.tell(Fact::QuestionSettled(Box::new(settled(2, "dropped")))).await;
    let (reason, lasts) = ("pause".into(), None);
    events.tell(Fact::QuestionWaits { question: 4, item: 1, reason, lasts }).await;
    are([2.0, 0.0]);
    events.tell(sent(4, 1)).await;
    events.tell(Fact::ItemEnded { worker: None, item: 1, outcome: Outcome::Done, took: SECOND }).await;
    are([0.0, 1.0]);
}

#[tokio::test]
async fn what_waits_for_an_item_is_not_forgotten_when_a_dead_worker_gives_it_back_late() {
    let events = Events::new();
    let shared = watched(&events);
    let queued = |question| Fact::QuestionQueued { question, item: 0, role: String::new(), tier: Tier::Speed };
    for worker in 0..2 {
        events.tell(Fact::WorkerStarted { worker, segment: String::new() }).await;
        let (label, attempt) = (String::new(), 1);
        events.tell(Fact::ItemStarted { worker, item: 0, id: label.clone(), label, group: None, attempt }).await;
        events.tell(queued(worker as u64)).await;
    }
    events.tell(Fact::ItemReturned { worker: 0, item: 0, reason: "it trapped".to_owned() }).await;
    has(&shared.text().unwrap(), "convoke_questions{command=\"audit\",state=\"queued\"}", 1.0);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_the_census_is_that_of_the_report() {
    let events = Events::new();
    let shared = watched(&events);
    told(&events).await;
    let census = Census { items: 4, done: 1, cached: 1, failed: 1, pending: 1, ..Census::default() };
    events.tell(Fact::WorkerEnded { worker: 1, died: Some("trap".to_owned()) }).await;
    events.tell(Fact::Ended { census, status: Status::Degraded }).await;
    advance(100 * SECOND).await;
    let text = shared.text().unwrap();
    has(&text, "convoke_items{command=\"audit\",outcome=\"failed\"}", 1.0);
    has(&text, "convoke_items{command=\"audit\",outcome=\"pending\"}", 1.0);
    has(&text, "convoke_run_status{command=\"audit\",status=\"degraded\"}", 1.0);
    has(&text, "convoke_run_duration_seconds{command=\"audit\"}", 4.0);
    has(&text, "convoke_workers_died_total{command=\"audit\"}", 1.0);
    has(&text, "convoke_questions{command=\"audit\",state=\"retrying\"}", 0.0);
    has(&text, "convoke_worker_work_seconds_total{command=\"audit\"}", 6.0);
}

#[tokio::test]
async fn dollars_are_counted_exactly_and_where_they_were_spent() {
    let events = Events::new();
    let shared = watched(&events);
    // Sums of floating numbers would drift.
    for question in 0..1_000 {
        let usage = usage(1, 100_000_000_001);
        events.tell(Fact::QuestionSettled(Box::new(Settled { usage, ..settled(question, "model") }))).await;
    }
    let share = |model: &str, notional, pico| Spent {
        model: model.to_owned(),
        backend: "claude-cli".into(),
        notional,
        usage: usage(1, pico),
        uncertain: Usd::from_pico(7),
    };
    let by_model = vec![share("big", true, 5), share("small", false, 3)];
    events.tell(Fact::QuestionSettled(Box::new(Settled { by_model, usage: usage(2, 8), ..settled(0, "model") }))).await;
    let text = shared.text().unwrap();
    let dollars = |what: &str, backend: &str, billing: &str, model: &str| {
        let labels = format!("backend=\"{backend}\",billing=\"{billing}\",command=\"audit\",model=\"{model}\"");
        value(&text, &format!("convoke_{what}_dollars_total{{{labels}}}"))
    };
    let exact = Usd::from_pico(100_000_000_001_000).dollars();
    assert_eq!(dollars("cost", "anthropic", "billed", "claude-x"), Some(exact));
    assert_eq!(dollars("cost", "claude-cli", "notional", "big"), Some(5e-12));
    assert_eq!(dollars("cost_uncertain", "claude-cli", "billed", "small"), Some(7e-12));
}

#[tokio::test]
async fn how_things_stand_is_that_of_the_last_sample() {
    let events = Events::new();
    let shared = watched(&events);
    let account = AccountSample {
        account: "anthropic".into(),
        waiting: 7,
        in_flight: 3,
        limit: 4,
        idle: 1,
        breaker: "half-open".into(),
        free: [Some(50), None, Some(-20)],
    };
    let budgets = vec![BudgetSample { budget: "usd_per_day".into(), spent: 0.5 }];
    let (cpu, memory) = (Some(0.25), None);
    let sample = Sample { cpu, memory, accounts: vec![account], retries_left: 9, budgets };
    events.tell(Fact::Sampled(Box::default())).await;
    events.tell(Fact::Sampled(Box::new(sample))).await;
    let text = shared.text().unwrap();
    for (series, expected) in [
        ("convoke_queue_length{backend=\"anthropic\"}", 7.0),
        ("convoke_permits_in_use{backend=\"anthropic\"}", 3.0),
        ("convoke_permits_limit{backend=\"anthropic\"}", 4.0),
        ("convoke_instances_idle{backend=\"anthropic\"}", 1.0),
        ("convoke_breaker_state{backend=\"anthropic\",state=\"half-open\"}", 1.0),
        ("convoke_breaker_state{backend=\"anthropic\",state=\"open\"}", 0.0),
        ("convoke_quota_left{backend=\"anthropic\",kind=\"requests\"}", 50.0),
        ("convoke_quota_left{backend=\"anthropic\",kind=\"output_tokens\"}", -20.0),
        ("convoke_budget_spent_ratio{budget=\"usd_per_day\"}", 0.5),
        ("convoke_machine_cpu_ratio", 0.25),
        ("convoke_retries_left", 9.0),
    ] {
        has(&text, series, expected);
    }
    assert!(!text.contains("convoke_machine_memory_ratio"), "nobody knows it");
    assert!(!text.contains("kind=\"input_tokens\""), "there is no such quota");
}

#[tokio::test]
async fn runs_of_one_command_are_told_apart_and_what_happens_to_all_is_counted_once() {
    let (common, one, other) = (Events::new(), Events::new(), Events::new());
    let runs = [("audit", &one), ("audit", &other)].into_iter();
    let shared = Shared(Mutex::new(Watched::new(runs, Some(&common)).unwrap()));
    for events in [&one, &other, &common] {
        assert!(events.raise("cpu", "hot").await);
        let reason = "five failures".to_owned();
        events.tell(Fact::BreakerChanged { state: "open".into(), reason, lasts: None }).await;
    }
    one.tell(facts("audit")).await;
    let text = shared.text().unwrap();
    has(&text, "convoke_alerts_total{alert=\"cpu\"}", 1.0);
    has(&text, "convoke_alert_active{alert=\"cpu\"}", 1.0);
    has(&text, "convoke_breaker_opened_total", 1.0);
    has(&text, "convoke_run_status{command=\"audit\",status=\"running\"}", 1.0);
    has(&text, "convoke_run_status{command=\"audit#2\",status=\"waiting\"}", 1.0);
    common.clear("cpu", "cool").await;
    let text = shared.text().unwrap();
    has(&text, "convoke_alert_active{alert=\"cpu\"}", 0.0);
    has(&text, "convoke_alerts_total{alert=\"cpu\"}", 1.0);
}

/// What `promtool check metrics` asks, as far as it can be asked without it; and that a stranger's words break no line.
#[tokio::test(start_paused = true)]
async fn every_series_has_its_help_and_type_and_a_name_by_convention() {
    let events = Events::new();
    let shared = watched(&events);
    told(&events).await;
    for model in ["evil\"} 1\nconvoke_evil 1", "\u{1b}[2J\\", "{a=\"b\"}"] {
        let question = Settled { model: model.to_owned(), usage: usage(1, 1), ..settled(9, "model") };
        events.tell(Fact::QuestionSettled(Box::new(question))).await;
    }
    let text = shared.text().unwrap();
    assert!(text.ends_with('\n') && !text.contains('\u{1b}'));
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut helped = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            assert!(help.ends_with('.'), "{line}");
            helped.push(name);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            types.insert(name, kind);
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = family.filter(|family| types.get(family) == Some(&"histogram")).unwrap_or(name);
            assert!(types.contains_key(family) && helped.contains(&family), "{line}");
            assert!(family.starts_with("convoke_") && family != "convoke_evil", "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[tokio::test]
async fn they_are_served_at_a_free_port() {
    let events = Events::new();
    let wanted = Wanted::open(Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let address = wanted.address().unwrap();
    let server = serve::serve(wanted.listener.unwrap(), Arc::new(watched(&events))).unwrap();
    let ask = async |path: &str, host: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = ask("/metrics", "localhost:9464").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("convoke_build_info{version="), "{answer}");
    assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
    assert!(ask("/etc/passwd", "127.0.0.1").await.starts_with("HTTP/1.1 404"));
    for own in ["[::1]", "[::1]:80", "127.0.0.1:9464", "localhost"] {
        assert!(ask("/metrics", own).await.starts_with("HTTP/1.1 200"), "{own}");
    }
    for other in ["evil.example", "evil.example:9464", "10.0.0.1", "localhost.evil.example"] {
        assert!(ask("/metrics", other).await.starts_with("HTTP/1.1 403"), "{other}");
    }
    server.abort();
}
