//! What a question goes through when nothing goes wrong, and what it needs not go through.

use super::*;
use crate::backend::offline::Offline;
use crate::question::Tier;

#[tokio::test(start_paused = true)]
async fn a_question_is_routed_sent_answered_priced_and_written_down() {
    let mut bench = Bench::new(|_, _| Act::answer("all good"));
    let (reply, heard) = bench.read(question("is it good?")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.unasked_fallback), ("all good", false));
    assert_eq!(reply.by, AnsweredBy::Model("claude-haiku-5-5".to_owned()));
    assert_eq!(reply.usage.usd, Usd::from_pico(100 * 100_000 + 10 * 500_000));
    assert_eq!(heard, [StreamEvent::Started, StreamEvent::Text("all good".to_owned())]);
    let facts = ["question-queued", "question-sent", "question-started", "attempt-ended", "question-settled model"];
    assert_eq!(bench.facts(), facts);

    let records = bench.ledger.records();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!((record.attempts, record.outcome.as_str(), record.backend), (1, "model", "scripted"));
    assert_eq!((&*record.item, record.model.as_str(), record.usage), ("agents/a.md", "claude-haiku-5-5", reply.usage));
    assert_eq!((record.queued_ms, record.first_token_ms, record.took_ms), (0, Some(50), 50));
    assert_eq!(bench.broker.spent(), reply.usage);
}

#[tokio::test(start_paused = true)]
async fn offline_the_fallback_is_the_answer_and_nothing_is_lost_by_it() {
    let mut bench = Bench::over(BrokerConfig::default(), Scripted::new(|_, _| Act::answer("")), Arc::new(Offline));
    let reply = bench.ask(with_fallback("is it good?")).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.unasked_fallback), ("by rules", false));
    assert!(matches!(&reply.by, AnsweredBy::Fallback(why) if why.contains("offline")));
    assert_eq!(reply.usage, Usage::default());
    assert_eq!(bench.ask(question("and this?")).await.unwrap_err().kind, FailureKind::NoModel);
    assert_eq!(bench.outcomes(), ["fallback", "no-model"]);
    assert_eq!(bench.facts(), ["question-settled fallback", "question-settled no-model"]);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_does_not_fit_its_own_schema_is_the_plugins_fault() {
    let bench = Bench::over(BrokerConfig::default(), Scripted::new(|_, _| Act::answer("")), Arc::new(Offline));
    let wrong = Question { fallback: Some("{}".to_owned()), ..with_schema("?") };
    assert_eq!(bench.ask(wrong).await.unwrap_err().kind, FailureKind::Invalid);
    let right = Question { fallback: Some("{\"good\":true}".to_owned()), ..with_schema("?") };
    assert_eq!(bench.ask(right).await.unwrap().text, "{\"good\":true}");
}

#[tokio::test(start_paused = true)]
async fn the_same_question_again_costs_nothing() {
    let mut bench = Bench::new(|_, _| Act::answer("yes"));
    bench.ask(question("is it good?")).await.unwrap();
    let (reply, heard) = bench.read(question("is it good?")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.usage), ("yes", Usage::default()));
    assert_eq!(reply.by, AnsweredBy::Cache("claude-haiku-5-5".to_owned()));
    assert_eq!(heard, [StreamEvent::Started, StreamEvent::Text("yes".to_owned())]);
    assert_eq!(bench.backend.sent().len(), 1);
    assert_eq!(bench.outcomes(), ["model", "cache"]);
    assert_eq!(bench.facts().last().unwrap(), "question-settled cache");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_repeated_is_not_answered_from_the_cache() {
    let bench = Bench::new(|_, _| Act::answer("yes"));
    for _ in 0..2 {
        bench.ask(Question { repeatable: false, ..question("once") }).await.unwrap();
    }
    assert_eq!(bench.backend.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_identical_questions_at_the_same_time_one_is_sent() {
    let bench = Bench::with(instances(8), |_, _| Act::answer("yes"));
    let replies = futures::future::join_all((0..8).map(|_| bench.ask(question("is it good?")))).await;
    assert!(replies.iter().all(|reply| reply.as_ref().unwrap().text == "yes"));
    assert_eq!(bench.backend.sent().len(), 1);
    let paid = replies.iter().filter(|reply| reply.as_ref().unwrap().usage.requests > 0).count();
    assert_eq!(paid, 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_started_once_and_used_again() {
    let bench = Bench::new(|_, _| Act::answer("yes"));
    for number in 0..10 {
        bench.ask(question(&number.to_string())).await.unwrap();
    }
    assert_eq!((bench.backend.started(), bench.backend.living()), (1, 1));
    bench.broker.close().await;
    assert_eq!(bench.backend.living(), 0);
}

#[tokio::test(start_paused = true)]
async fn higher_priorities_are_sent_first() {
    let bench = Bench::with(instances(1), |_, _| Act::answer("yes"));
    let asked = [(4, "first"), (1, "low"), (9, "high"), (4, "middle")];
    let asked = asked.map(|(priority, prompt)| bench.ask(Question { priority, ..question(prompt) }));
    futures::future::join_all(asked).await;
    assert_eq!(bench.backend.prompts(), ["first", "high", "middle", "low"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_with_many_questions_does_not_make_another_wait_for_all_of_them() {
    let bench = Bench::with(instances(1), |_, _| Act::answer("yes"));
    let (many, few) = (asker("many"), asker("few"));
    let ask = async |asker: &Asker, prompt: String| bench.broker.ask(asker, question(&prompt), &mut |_| {}).await;
    let mut all: Vec<futures::future::BoxFuture<'_, _>> = Vec::new();
    for number in 0..50 {
        all.push(Box::pin(ask(&many, format!("many {number}"))));
    }
    all.push(Box::pin(ask(&few, "few".to_owned())));
    futures::future::join_all(all).await;
    let place = bench.backend.prompts().iter().position(|prompt| prompt == "few").unwrap();
    assert!(place < 8, "it was number {place}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_off_its_schema_is_asked_again_once_saying_what_was_wrong() {
    let bench = Bench::new(|number, _| Act::answer(["{\"good\":\"yes\"}", "{\"good\":true}"][number]));
    let (reply, heard) = bench.read(with_schema("is it good?")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.usage.requests, reply.usage.input_tokens), ("{\"good\":true}", 2, 200));
    let prompts = bench.backend.prompts();
    assert!(prompts[1].starts_with("is it good?") && prompts[1].contains("`/good`"), "{}", prompts[1]);
    assert!(matches!(&heard[2], StreamEvent::Restarted(why) if why.contains("schema")), "{heard:?}");
    assert_eq!(bench.backend.living(), 1, "the instance is well");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_fits_is_a_failure_not_a_result() {
    let bench = Bench::new(|_, _| Act::answer("good!"));
    let failure = bench.ask(with_schema("is it good?")).await.unwrap_err();
    assert_eq!((failure.kind, bench.backend.sent().len()), (FailureKind::OffSchema, 2));
    assert_eq!(failure.usage.unwrap().requests, 2);
    let once = Question { repeatable: false, ..with_schema("only once") };
    assert_eq!(bench.ask(once).await.unwrap_err().kind, FailureKind::OffSchema);
    assert_eq!(bench.backend.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_answer_says_which_limit_cut_it() {
    let mut bench = Bench::new(|_, _| Act { truncated: true, ..Act::answer("{\"good\": tr") });
    let failure = bench.ask(with_schema("is it good?")).await.unwrap_err();
    assert!(failure.message.contains("max_output_tokens"), "{failure}");
    assert_eq!(bench.ask(question("as text")).await.unwrap().text, "{\"good\": tr");
    assert!(
        bench.facts().iter().any(|fact| fact.contains("max_output_tokens")),
        "a cut text is not passed off as whole"
    );
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_is_none_is_never_sent() {
    let bench = Bench::new(|_, _| Act::answer("yes"));
    let wrong = Question { schema: Some(json!({"type": "nonsense"})), ..question("?") };
    assert_eq!(bench.ask(wrong).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!((bench.backend.sent().len(), bench.outcomes()), (0, vec!["invalid".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_redacted_before_it_is_sent_and_stops_the_run_in_strict_mode() {
    let secret = ["AK", "IA", "Q7ZK3M5N2P4R6T5V"].concat();
    let asked = with_fallback(&format!("key {secret}"));
    let mut bench = Bench::new(|_, _| Act::answer("yes"));
    bench.ask(asked.clone()).await.unwrap();
    assert!(!bench.backend.prompts()[0].contains(&secret));
    assert!(bench.facts().iter().any(|fact| fact.contains("aws-access-key-id") && !fact.contains(&secret)));

    let strict =
        Bench::with(BrokerConfig { scan: ScanMode::Strict, ..BrokerConfig::default() }, |_, _| Act::answer("yes"));
    let tools = Question { tools: vec!["Read".to_owned()], ..question("?") };
    assert_eq!(strict.ask(tools).await.unwrap_err().kind, FailureKind::Denied);
    assert_eq!(strict.ask(asked).await.unwrap_err().kind, FailureKind::Secret);
    assert_eq!(strict.ask(with_fallback("clean")).await.unwrap_err().kind, FailureKind::Secret, "the run has stopped");
    assert_eq!(strict.backend.sent().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_known_price_is_said_once() {
    let route = Route { model: Some("claude-next".to_owned()), ..Route::default() };
    let mut bench = Bench::with(BrokerConfig { route, ..BrokerConfig::default() }, |_, _| Act::answer("yes"));
    for number in 0..3 {
        assert_eq!(bench.ask(question(&number.to_string())).await.unwrap().usage.usd, Usd::ZERO);
    }
    assert_eq!(bench.facts().iter().filter(|fact| fact.contains("price of claude-next")).count(), 1);
    assert_eq!(bench.broker.price_of("audit", &question("?")).usd, None);
}

#[tokio::test(start_paused = true)]
async fn the_plan_knows_the_most_that_a_question_can_take() {
    let bench = Bench::new(|_, _| Act::answer("yes"));
    let asked = Question { system: Some("1234".to_owned()), tier: Tier::Comprehensive, ..question("12345") };
    let estimate = bench.broker.price_of("audit", &asked);
    assert_eq!((estimate.model.as_str(), estimate.input_tokens, estimate.output_tokens), ("claude-opus-5-5", 3, 4_096));
    // Nine bytes are nine tokens at most, and the provider adds up to 2,048.
    assert_eq!(estimate.usd, Some(Usd::from_pico((9 + 2_048) * 4_000_000 + 4_096 * 20_000_000)));
    assert_eq!(bench.backend.sent().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_granted_is_denied_before_anything_is_sent() {
    let mut route = Route::default();
    route.comprehensive.tools = vec!["Read".to_owned()];
    let bench = Bench::with(BrokerConfig { route, ..BrokerConfig::default() }, |_, _| Act::answer("yes"));
    let wants = |tool: &str| Question { tools: vec![tool.to_owned()], ..with_fallback("?") };
    let denied = bench.ask(wants("Bash")).await.unwrap_err();
    assert_eq!(denied.kind, FailureKind::Denied);
    assert!(denied.message.contains("`Bash`") && denied.message.contains("[tiers.comprehensive]"), "{denied}");
    assert!(bench.backend.prompts().is_empty());
    assert!(bench.ask(wants("Read")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_question_is_written_down_with_the_tier_it_was_meant_for_and_the_one_that_answered() {
    let bench = Bench::new(|_, request| match request.model.as_str() {
        "claude-opus-5-5" => Act::fail(FailureKind::Overloaded),
        _ => Act::answer("yes"),
    });
    bench.ask(Question { tier: Tier::Comprehensive, ..question("?") }).await.unwrap();
    bench.ask(question("??")).await.unwrap();
    let tiers: Vec<_> = bench.ledger.records().iter().map(|record| (record.tier, record.answered_tier)).collect();
    assert_eq!(tiers, [(Tier::Comprehensive, Some(Tier::Speed)), (Tier::Speed, Some(Tier::Speed))]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_comes_later_does_not_wait_for_all_of_an_earlier_one() {
    let bench = Bench::with(BrokerConfig { run: "first".into(), ..instances(2) }, |_, _| Act::answer("yes"));
    let config = BrokerConfig { run: "second".into(), ..instances(2) };
    let second = Broker::sharing(bench.broker.lanes().clone(), Arc::new(InMemory::default()), Events::new(), config);
    let prompts: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let began = Instant::now();
    // The same command, with questions of the same size.
    let first = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt))));
    let later = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let asker = asker("audit");
        let all = prompts[..20].iter().map(|prompt| async { second.ask(&asker, question(prompt), &mut |_| {}).await });
        let replies = futures::future::join_all(all).await;
        assert!(replies.iter().all(Result::is_ok));
        began.elapsed()
    };
    let (_, later) = tokio::join!(first, later);
    // 40 of both, two at a time, 50 ms each; the first had a turn's start.
    assert!(later <= Duration::from_millis(1_200), "{later:?} of {:?}", began.elapsed());
    assert_eq!(bench.backend.most(), 2);
}
