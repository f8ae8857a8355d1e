//! What becomes of a question when something goes wrong.

use jiff::Timestamp;

use super::*;

fn rate_limited(after: u64) -> Act {
    let failure = Failure::new(FailureKind::RateLimited, "429: too many requests");
    Act::failure(Failure { retry_after: Some(seconds(after)), ..failure })
}

fn at(bench: &Bench, number: usize) -> Duration {
    let sent = bench.backend.sent();
    sent[number].0.duration_since(sent[0].0)
}

#[tokio::test(start_paused = true)]
async fn after_a_429_the_question_waits_as_long_as_the_server_said_171_seconds() {
    let mut bench = Bench::new(|number, _| if number == 0 { rate_limited(171) } else { Act::answer("yes") });
    let (reply, heard) = bench.read(question("?")).await;
    assert_eq!(reply.unwrap().text, "yes");
    assert!(at(&bench, 1) >= seconds(171) && at(&bench, 1) < seconds(172), "{:?}", at(&bench, 1));
    assert_eq!(heard[0], StreamEvent::Restarted("429: too many requests".to_owned()));
    assert!(bench.facts().contains(&"question-retried".to_owned()));
    assert_eq!(bench.ledger.records()[0].attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_429_holds_all_other_questions_of_the_account_too() {
    let bench = Bench::with(instances(1), |number, _| if number == 0 { rate_limited(60) } else { Act::answer("yes") });
    futures::future::join_all(["a", "b", "c"].map(|prompt| bench.ask(question(prompt)))).await;
    assert_eq!(bench.backend.sent().len(), 4);
    assert!(at(&bench, 1) >= seconds(60), "{:?}", at(&bench, 1));
}

#[tokio::test(start_paused = true)]
async fn a_429_without_a_time_is_answered_by_backing_off_not_by_the_breaker() {
    let bench = Bench::with(instances(8), |number, _| match number {
        0..8 => Act::fail(FailureKind::RateLimited),
        _ => Act::answer("yes"),
    });
    let prompts: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let replies = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(bench.broker.standing()[0].1.breaker, "closed");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_provider_is_asked_again() {
    let bench =
        Bench::new(|number, _| if number < 2 { Act::fail(FailureKind::Overloaded) } else { Act::answer("yes") });
    let reply = bench.ask(question("?")).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.usage.requests), ("yes", 3));
    assert!(!reply.unasked_fallback);
}

#[tokio::test(start_paused = true)]
async fn what_failed_attempts_took_is_in_the_reply_and_in_the_ledger() {
    let bench = Bench::new(|number, _| match number {
        0 => {
            let usage = Usage { requests: 1, input_tokens: 100, output_tokens: 5, ..Usage::default() };
            let failure = Failure::new(FailureKind::Cut, "the stream ended early");
            Act::failure(Failure { usage: Some(usage), reached_model: true, ..failure })
        }
        _ => Act::answer("yes"),
    });
    let usage = bench.ask(question("?")).await.unwrap().usage;
    assert_eq!((usage.requests, usage.input_tokens, usage.output_tokens), (2, 200, 15));
    assert_eq!(usage.usd, Usd::from_pico(200 * 100_000 + 15 * 500_000));
    let record = bench.ledger.records().remove(0);
    assert_eq!((record.usage, record.retries), (usage, 1));
    assert_eq!(record.shares, [], "its model took it all");
}

#[tokio::test(start_paused = true)]
async fn what_failed_attempts_took_of_a_model_without_a_price_is_said() {
    let route = Route { model: Some("claude-next".to_owned()), ..Route::default() };
    let mut bench = Bench::with(BrokerConfig { route, ..BrokerConfig::default() }, |_, _| {
        let usage = Usage { requests: 1, input_tokens: 100, ..Usage::default() };
        Act::failure(Failure { usage: Some(usage), reached_model: true, ..Failure::new(FailureKind::Cut, "cut") })
    });
    bench.ask(question("?")).await.unwrap_err();
    assert_eq!(bench.facts().iter().filter(|fact| fact.contains("price of claude-next")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_four_attempts_the_fallback_is_taken_and_said_to_be_one() {
    let bench = Bench::new(|_, _| Act::fail(FailureKind::Malformed));
    let (reply, heard) = bench.read(with_fallback("?")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.unasked_fallback, reply.usage.requests), ("by rules", true, 4));
    assert!(matches!(&reply.by, AnsweredBy::Fallback(why) if why == "it failed (asked 4 times)"), "{:?}", reply.by);
    assert_eq!(heard.last(), Some(&StreamEvent::Text("by rules".to_owned())));
    assert_eq!(bench.outcomes(), ["fallback"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_not_asked_again() {
    let bench = Bench::new(|_, _| Act::fail(FailureKind::Invalid));
    assert_eq!(bench.ask(question("?")).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(bench.backend.sent().len(), 1);
    assert_eq!(bench.backend.living(), 0, "what failed is not used again");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_asked_once_and_may_have_been_answered_is_not_asked_again() {
    let failure = Failure { reached_model: true, ..Failure::new(FailureKind::Cut, "cut") };
    let bench = Bench::new(move |_, _| Act::failure(failure.clone()));
    let once = Question { repeatable: false, ..question("?") };
    assert_eq!(bench.ask(once).await.unwrap_err().kind, FailureKind::Cut);
    assert_eq!(bench.backend.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_terminal_failure_stops_dispatch_and_no_fallback_hides_it() {
    let mut bench = Bench::with(instances(2), |number, _| match number {
        3 => Act::fail(FailureKind::LimitReached { until: None }),
        _ => Act::answer("yes"),
    });
    let stopped = bench.broker.stopped();
    let prompts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let replies = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(with_fallback(prompt)))).await;
    let (good, bad): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
    assert!(good.iter().flatten().all(|reply| reply.text == "yes"));
    assert!(bad.iter().all(|reply| reply.as_ref().unwrap_err().kind == FailureKind::LimitReached { until: None }));
    assert_eq!((good.len(), bad.len(), bench.backend.sent().len()), (3, 97, 4), "none was sent after it");
    assert_eq!(bench.ask(with_fallback("later")).await.unwrap_err().kind, FailureKind::LimitReached { until: None });
    assert!(stopped.borrow().is_some());
    assert_eq!(bench.facts().iter().filter(|fact| *fact == "dispatch-stopped").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_halted_broker_lets_what_is_under_way_end_and_sends_no_more() {
    let bench = Bench::with(instances(1), |_, _| Act::answer("yes"));
    let halt = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bench.broker.halt(Failure::new(FailureKind::Server, "enough")).await;
    };
    let (one, two, ()) = tokio::join!(bench.ask(with_fallback("a")), bench.ask(with_fallback("b")), halt);
    assert_eq!(one.unwrap().text, "yes");
    assert_eq!(two.unwrap_err().message, "enough");
    assert_eq!(bench.ask(with_fallback("c")).await.unwrap_err().message, "enough");
    assert_eq!(bench.backend.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_backs_off_hears_of_the_stop_at_once() {
    let bench = Bench::with(instances(2), |number, _| match number {
        0 => Act::fail(FailureKind::Server).after(seconds(0)),
        _ => Act::fail(FailureKind::Auth).after(Duration::from_millis(1)),
    });
    let began = Instant::now();
    let (one, two) = tokio::join!(bench.ask(question("a")), bench.ask(question("b")));
    assert_eq!(one.unwrap_err().kind, FailureKind::Auth);
    assert_eq!(two.unwrap_err().kind, FailureKind::Auth);
    assert!(began.elapsed() < Duration::from_millis(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_hours_parks_the_run_and_says_until_when() {
    let bench = Bench::new(|_, _| rate_limited(5_400));
    let failure = bench.ask(with_fallback("?")).await.unwrap_err();
    let FailureKind::LimitReached { until: Some(until) } = failure.kind else { panic!("{failure:?}") };
    let wait = until.duration_since(Timestamp::now()).as_secs();
    assert!((5_390..=5_400).contains(&wait), "{wait}");
    assert!(bench.broker.stopped().borrow().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_after_five_failures_and_recovers_after_a_minute() {
    let mut bench = Bench::with(instances(5), |number, _| match number {
        0..5 => Act::fail(FailureKind::Overloaded),
        _ => Act::answer("yes"),
    });
    let prompts: Vec<String> = (0..5).map(|number| number.to_string()).collect();
    let replies = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    assert!(replies.iter().all(Result::is_ok));
    assert!(at(&bench, 5) >= seconds(60), "{:?}", at(&bench, 5));
    let sent = bench.backend.sent();
    let probes = sent.iter().filter(|(when, _)| *when == sent[5].0).count();
    assert_eq!(probes, 3, "half open lets three through");
    let changes: Vec<_> = bench.facts().into_iter().filter(|fact| fact.starts_with("breaker")).collect();
    assert_eq!(changes, ["breaker-changed open", "breaker-changed half-open", "breaker-changed closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_stays_dead_is_given_up_after_minutes_and_every_item_gets_its_fallback() {
    let bench = Bench::with(instances(8), |_, _| Act::fail(FailureKind::Network));
    let prompts: Vec<String> = (0..158).map(|number| number.to_string()).collect();
    let began = Instant::now();
    let replies = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(with_fallback(prompt)))).await;
    assert!(replies.iter().flatten().all(|reply| reply.unasked_fallback) && replies.iter().all(Result::is_ok));
    assert!(began.elapsed() < seconds(200), "{:?}", began.elapsed());
    assert!(bench.backend.sent().len() < 30, "{}", bench.backend.sent().len());
    assert!(bench.broker.stopped().borrow().is_none(), "it may come back");
}

#[tokio::test(start_paused = true)]
async fn retries_end_when_the_budget_of_the_process_is_spent() {
    let retry = RetryConfig { reserve: 25, ..RetryConfig::default() };
    let admission = AdmissionConfig {
        breaker: crate::breaker::BreakerConfig { trips: usize::MAX, enough: usize::MAX, ..Default::default() },
        ..AdmissionConfig::default()
    };
    let config = BrokerConfig { retry, admission, ..BrokerConfig::default() };
    let bench = Bench::with(config, |_, _| Act::fail(FailureKind::Server));
    let prompts: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let replies = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
    assert!(replies.iter().all(Result::is_err));
    assert_eq!(bench.backend.sent().len(), 55, "50 questions, and five retries");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_while_a_question_backs_off() {
    let bench = Bench::with(instances(1), |_, request| match request.prompt.as_str() {
        "bad" => Act { after: Duration::ZERO, ..Act::fail(FailureKind::Server) },
        _ => Act::answer("yes"),
    });
    let bad = bench.ask(question("bad"));
    let good = async {
        let prompts: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let began = Instant::now();
        futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt)))).await;
        began.elapsed()
    };
    let (bad, good) = tokio::join!(bad, good);
    assert!(bad.is_err());
    assert_eq!(good, Duration::from_millis(500), "ten answers of 50 ms, and no gap between them");
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_ends_after_its_deadline() {
    let retry = RetryConfig { attempts: 1, ..RetryConfig::default() };
    let config = BrokerConfig { retry, ..BrokerConfig::default() };
    let bench = Bench::with(config, |_, _| Act::answer("late").after(seconds(10_000)));
    let began = Instant::now();
    assert_eq!(bench.ask(question("?")).await.unwrap_err().kind, FailureKind::TimedOut);
    assert_eq!((began.elapsed(), bench.backend.living()), (seconds(120), 0));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_fails_is_said_and_the_paid_answer_is_kept() {
    struct Full;
    impl Ledger for Full {
        fn record(&self, _: QuestionRecord) -> futures::future::BoxFuture<'_, Result<(), String>> {
            Box::pin(async { Err("the disk is full".to_owned()) })
        }
    }
    let events = Events::new();
    let mut heard = events.listen();
    let backend = Arc::new(Scripted::new(|_, _| Act::answer("yes")));
    let broker = Broker::new(vec![backend], Arc::new(Full), events, BrokerConfig::default());
    let reply = broker.ask(&asker("audit"), question("?"), &mut |_| {}).await.unwrap();
    assert_eq!(reply.text, "yes");
    let mut said = false;
    while let Some(event) = heard.try_recv() {
        said |= matches!(&event.fact, Fact::Warned { message } if message.contains("the disk is full"));
    }
    assert!(said);
}

fn opus(prompt: &str) -> Question {
    Question { tier: crate::question::Tier::Comprehensive, ..question(prompt) }
}

#[tokio::test(start_paused = true)]
async fn a_model_with_too_much_to_do_is_asked_twice_then_the_next_in_line_and_last_a_tier_down() {
    let mut route = Route::default();
    route.comprehensive.fallback_models = vec!["claude-sonnet-5-5".to_owned()];
    let mut bench = Bench::with(BrokerConfig { route, ..BrokerConfig::default() }, |_, request| {
        match request.model.starts_with("claude-haiku") {
            true => Act::answer("yes"),
            false => Act::fail(FailureKind::Overloaded),
        }
    });
    let (reply, heard) = bench.read(opus("?")).await;
    let reply = reply.unwrap();
    assert_eq!((&reply.by, reply.unasked_fallback), (&AnsweredBy::Model("claude-haiku-5-5".to_owned()), false));
    let models: Vec<String> = bench.backend.sent().into_iter().map(|(_, request)| request.model).collect();
    let (opus, sonnet) = ("claude-opus-5-5", "claude-sonnet-5-5");
    assert_eq!(models, [opus, opus, sonnet, sonnet, "claude-haiku-5-5"]);
    let told = "it failed; claude-sonnet-5-5 is asked instead";
    assert!(heard.contains(&StreamEvent::Restarted(told.to_owned())), "{heard:?}");
    assert_eq!(bench.facts().iter().filter(|fact| *fact == "question-retried").count(), 4);
    let record = bench.ledger.records().remove(0);
    assert_eq!((record.attempts, record.retries, record.model.as_str()), (5, 4, "claude-haiku-5-5"));
    let shares: Vec<_> = record.shares.iter().map(|share| (share.model.as_str(), share.usage.requests)).collect();
    assert_eq!(shares, [(opus, 2), (sonnet, 2), ("claude-haiku-5-5", 1)]);
    assert_eq!(record.shares.iter().map(|share| share.usage.usd).sum::<Usd>(), record.usage.usd);
}

#[tokio::test(start_paused = true)]
async fn what_the_next_model_would_answer_the_same_is_not_asked_again() {
    let bench = Bench::new(|_, _| Act::fail(FailureKind::Refused));
    assert_eq!(bench.ask(opus("?")).await.unwrap_err().kind, FailureKind::Refused);
    assert_eq!(bench.backend.sent().len(), 1);
    let cut = Bench::new(|_, _| Act::failure(Failure { reached_model: true, ..Failure::new(FailureKind::Cut, "cut") }));
    let once = Question { repeatable: false, ..opus("?") };
    assert_eq!(cut.ask(once).await.unwrap_err().kind, FailureKind::Cut);
    assert_eq!(cut.backend.sent().len(), 1, "it may have been answered");
}

#[tokio::test(start_paused = true)]
async fn a_tier_may_have_a_backend_of_its_own() {
    let (fast, deep) = (Scripted::new(|_, _| Act::answer("fast")), Scripted::new(|_, _| Act::answer("deep")));
    let mut route = Route::default();
    route.comprehensive.backend = 1;
    let config = BrokerConfig { route, ..BrokerConfig::default() };
    let ledger = Arc::new(InMemory::default());
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(fast.clone()), Arc::new(deep.clone())];
    let broker = Broker::new(backends, ledger, Events::new(), config);
    let ask = async |question| broker.ask(&asker("audit"), question, &mut |_| {}).await.unwrap().text;
    assert_eq!((ask(question("?")).await, ask(opus("?")).await), ("fast".to_owned(), "deep".to_owned()));
    assert_eq!((fast.sent().len(), deep.sent().len()), (1, 1));
    let standing = broker.standing();
    assert!(standing.iter().all(|(_, standing)| standing.in_flight == 0) && standing.len() == 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_worn_out_is_replaced_before_the_next_question() {
    let bench = Bench::new(|_, _| Act { wears_out: true, ..Act::answer("yes") });
    for prompt in ["a", "b"] {
        bench.ask(question(prompt)).await.unwrap();
    }
    assert_eq!((bench.backend.started(), bench.backend.living()), (2, 1));
}
