//! Slow questions that are asked a second time.

use super::*;
use crate::policy::Mode;

fn performance(instances: usize) -> BrokerConfig {
    let admission = AdmissionConfig { instances, ..AdmissionConfig::default() };
    BrokerConfig { mode: Mode::Performance, admission, ..BrokerConfig::default() }
}

/// A run of which twenty answers have come; then `slow` takes 10 s the first time, and 50 ms the second.
async fn warm(config: BrokerConfig) -> Bench {
    let bench = Bench::with(config, |number, request| match request.prompt.as_str() {
        "slow" if number == 20 => Act::answer("late").after(seconds(10)),
        _ => Act::answer("yes"),
    });
    for number in 0..20 {
        bench.ask(question(&number.to_string())).await.unwrap();
    }
    bench
}

async fn slow(bench: &Bench, asked: Question) -> (Reply, Duration) {
    let began = Instant::now();
    (bench.ask(asked).await.unwrap(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_slow_question_is_asked_a_second_time_and_the_first_answer_wins() {
    let mut bench = warm(performance(2)).await;
    let began = Instant::now();
    let (reply, heard) = bench.read(question("slow")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.usage.requests), ("yes", 2));
    assert_eq!(began.elapsed(), Duration::from_millis(100), "50 ms are what the others took");
    assert_eq!(heard.last(), Some(&StreamEvent::Text("yes".to_owned())));
    assert!(matches!(heard[0], StreamEvent::Restarted(_)), "{heard:?}");
    let record = bench.ledger.records().pop().unwrap();
    assert_eq!((record.attempts, record.unmetered, record.outcome.as_str()), (2, 1, "model"));
    assert_eq!((record.retries, record.shares.len()), (0, 0), "it did not fail");
    assert!(record.uncertain > Usd::ZERO, "what the slower one took nobody knows");
    assert_eq!(bench.broker.spending().uncertain, record.uncertain);
    assert_eq!(bench.facts().iter().filter(|fact| *fact == "question-hedged").count(), 1);
    let standing = bench.broker.standing()[0].1;
    assert_eq!((standing.in_flight, bench.backend.living()), (0, standing.idle), "nothing is held, and nobody is lost");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_with_what_it_took() {
    let mut bench = warm(performance(2)).await;
    bench.ask(question("slow")).await.unwrap();
    assert_eq!(bench.attempts(), [(1, "superseded".to_owned()), (2, "answered".to_owned())]);
    let mut bench =
        Bench::new(|number, _| if number == 0 { Act::fail(FailureKind::Overloaded) } else { Act::answer("x") });
    bench.ask(question("?")).await.unwrap();
    assert_eq!(bench.attempts(), [(1, "overloaded".to_owned()), (2, "answered".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn where_the_first_answers_after_all_the_second_is_dropped_and_its_cost_is_not_hidden() {
    let mut bench = Bench::with(performance(2), |number, _| match number {
        20 => Act::answer("first").after(seconds(1)),
        21 => Act::answer("second").after(seconds(10)),
        _ => Act::answer("yes"),
    });
    for number in 0..20 {
        bench.ask(question(&number.to_string())).await.unwrap();
    }
    let (reply, took) = slow(&bench, question("slow")).await;
    assert_eq!((reply.text.as_str(), took), ("first", seconds(1)));
    let record = bench.ledger.records().pop().unwrap();
    assert_eq!((record.attempts, record.unmetered, record.usage.requests), (2, 1, 2));
    assert!(record.uncertain > Usd::ZERO);
    assert_eq!(bench.broker.standing()[0].1.in_flight, 0);
    assert_eq!(bench.attempts(), [(2, "superseded".to_owned()), (1, "answered".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_second_try_that_fails_changes_nothing_for_the_first() {
    let mut bench = Bench::with(performance(2), |number, _| match number {
        20 => Act::answer("first").after(seconds(1)),
        21 => Act::fail(FailureKind::Overloaded),
        _ => Act::answer("yes"),
    });
    for number in 0..20 {
        bench.ask(question(&number.to_string())).await.unwrap();
    }
    let (reply, took) = slow(&bench, question("slow")).await;
    assert_eq!((reply.text.as_str(), took, reply.usage.requests), ("first", seconds(1), 2));
    assert_eq!(bench.ledger.records().pop().unwrap().uncertain, Usd::ZERO, "it never reached the model");
    assert_eq!(bench.attempts(), [(2, "overloaded".to_owned()), (1, "answered".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_a_second_time_where_that_is_not_allowed() {
    let balanced = BrokerConfig { mode: Mode::Balanced, ..performance(2) };
    let safe = BrokerConfig { mode: Mode::Safe, ..performance(2) };
    let once = Question { repeatable: false, ..question("slow") };
    let mut granted = performance(2);
    granted.route.tier = Some(Tier::Comprehensive);
    granted.route.comprehensive.tools = vec!["Read".to_owned()];
    let tools = Question { tools: vec!["Read".to_owned()], ..question("slow") };
    let cases = [
        ("balanced", balanced, question("slow")),
        ("safe", safe, question("slow")),
        ("not repeatable", performance(2), once),
        ("with tools", granted, tools),
        ("no free instance", performance(1), question("slow")),
    ];
    for (case, config, asked) in cases {
        let bench = warm(config).await;
        let (reply, took) = slow(&bench, asked).await;
        assert_eq!((reply.text.as_str(), took, bench.backend.sent().len()), ("late", seconds(10), 21), "{case}");
    }
    let bench = warm(performance(2)).await;
    bench.broker.lanes().set_safe(true);
    assert_eq!(slow(&bench, question("slow")).await.1, seconds(10), "safe for now");
    bench.broker.lanes().set_safe(false);
    assert!(!bench.broker.lanes().is_safe());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_pushed_out_by_a_second_try_and_no_budget_or_quota_either() {
    // Two instances: as long as others use the second one, it is theirs.
    let bench = warm(performance(2)).await;
    let (slow, others) = tokio::join!(slow(&bench, question("slow")), async {
        let began = Instant::now();
        for number in 100..200 {
            bench.ask(question(&number.to_string())).await.unwrap();
        }
        (began.elapsed(), bench.backend.sent().len())
    });
    assert_eq!(others, (seconds(5), 121), "a hundred answers of 50 ms, and nothing between them");
    assert!(slow.1 > seconds(5) && slow.1 < seconds(6), "{slow:?}");
    let budget = crate::budget::BudgetConfig { requests: Some(21), ..Default::default() };
    let budget = Arc::new(Budget::new(budget, Usd::ZERO, Usd::ZERO, Arc::new(jiff::Timestamp::now)));
    let bench = warm(BrokerConfig { budget, ..performance(2) }).await;
    assert_eq!(super::hedge::slow(&bench, question("slow")).await.1, seconds(10));
    assert!(bench.broker.stopped().borrow().is_none(), "a second try that can't be paid stops nothing");
}

#[tokio::test(start_paused = true)]
async fn at_most_five_in_a_hundred_requests_are_second_tries() {
    let bench = Bench::with(performance(64), |number, _| {
        // A hundred at once, and then all are slow.
        Act::answer("yes").after(if number >= 100 { seconds(5) } else { Duration::from_millis(50) })
    });
    for number in 0..100 {
        bench.ask(question(&number.to_string())).await.unwrap();
    }
    let prompts: Vec<String> = (100..130).map(|number| number.to_string()).collect();
    futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    assert_eq!(bench.backend.sent().len(), 100 + 30 + 6, "a twentieth of 130");
}
