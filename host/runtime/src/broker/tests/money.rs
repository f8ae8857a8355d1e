//! What a budget lets through, and what becomes of a question that it can't pay.

use super::*;
use crate::budget::BudgetConfig;
use crate::quota::QuotaConfig;

/// What [`question`] takes at most, with the model of `speed`.
fn most(bench: &Bench, asked: &Question) -> Usd {
    bench.broker.price_of("audit", asked).usd.unwrap()
}

fn of(config: BudgetConfig) -> BrokerConfig {
    let clock = Arc::new(|| "2026-11-21T12:00:00Z".parse().unwrap());
    let budget = Arc::new(Budget::new(config, Usd::ZERO, Usd::ZERO, clock));
    BrokerConfig { budget, ..instances(4) }
}

fn dollars(usd: Usd) -> BrokerConfig {
    of(BudgetConfig { usd: Some(usd), ..BudgetConfig::default() })
}

/// A bound of all small questions here.
fn one() -> Usd {
    let bench = Bench::new(|_, _| Act::answer("yes"));
    most(&bench, &question("number 99"))
}

fn prompts(count: usize) -> Vec<Question> {
    (10..10 + count).map(|number| question(&format!("number {number}"))).collect()
}

async fn all(bench: &Bench, questions: Vec<Question>) -> Vec<Result<Reply, Failure>> {
    futures::future::join_all(questions.into_iter().map(|one| bench.ask(one))).await
}

#[tokio::test(start_paused = true)]
async fn what_a_budget_can_pay_is_answered_the_rest_waits_and_then_dispatch_stops() {
    let bench = Bench::with(dollars(one() * 2), |_, _| Act::answer("yes"));
    let replies = all(&bench, prompts(40)).await;
    let (done, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
    assert!(lost.iter().all(|lost| lost.as_ref().unwrap_err().kind == FailureKind::BudgetSpent), "{lost:?}");
    assert!(bench.backend.most() <= 2, "no more are under way than could be paid at most");
    assert_eq!(bench.backend.sent().len(), done.len());
    assert!(done.len() == 40 || bench.broker.spent().usd + one() > one() * 2);
    assert!(bench.broker.spent().usd <= one() * 2);
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_says_which_and_what_to_do_and_no_fallback_hides_it() {
    let bench = Bench::with(dollars(one() - Usd::from_pico(1)), |_, _| Act::answer("yes"));
    let failure = bench.ask(with_fallback("number 99")).await.unwrap_err();
    assert_eq!(failure.kind.name(), "budget-spent");
    for part in ["this run", "$0.00 of", "--budget-usd"] {
        assert!(failure.message.contains(part), "{part}: {failure}");
    }
    assert!(bench.broker.stopped().borrow().is_some() && bench.backend.sent().is_empty());
    assert_eq!(bench.outcomes(), ["budget-spent"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_a_budget_is_spent_ends_and_counts() {
    let bench = Bench::with(dollars(one() + one()), |_, request| {
        let huge = request.prompt.len() > 1_000;
        Act::answer("yes").after(seconds(if huge { 1 } else { 20 }))
    });
    let (small, huge) = (bench.ask(question("number 10")), bench.ask(question(&"x".repeat(1 << 20))));
    let (small, huge) = tokio::join!(small, huge);
    assert_eq!(small.unwrap().text, "yes");
    assert_eq!(huge.unwrap_err().kind, FailureKind::BudgetSpent);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_with_their_retries() {
    let config = of(BudgetConfig { requests: Some(3), ..BudgetConfig::default() });
    let bench = Bench::with(config, |number, _| match number {
        0 | 1 => Act::fail(FailureKind::Overloaded),
        _ => Act::answer("yes"),
    });
    assert!(bench.ask(question("one")).await.is_ok());
    let failure = bench.ask(question("two")).await.unwrap_err();
    assert!(failure.message.contains("3 of 3 requests"), "{failure}");
    assert_eq!(bench.backend.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_which_nobody_knows_what_it_took_counts_as_its_reservation() {
    let bench = Bench::with(dollars(one() * 2), |number, _| {
        let died = Failure { reached_model: true, ..Failure::new(FailureKind::Died, "it died") };
        if number == 0 { Act::failure(died) } else { Act::answer("yes") }
    });
    let asked = question("number 99");
    let most = most(&bench, &asked);
    assert!(bench.ask(asked).await.is_ok());
    let record = &bench.ledger.records()[0];
    assert_eq!((record.unmetered, record.uncertain), (1, most));
    let spending = bench.broker.spending();
    assert_eq!((spending.uncertain, spending.by_model.len()), (most, 1));
    assert_eq!(bench.broker.budget().standing()[0].spent, (most + spending.usage.usd).pico());
    assert_eq!(bench.ask(question("number 98")).await.unwrap_err().kind, FailureKind::BudgetSpent);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_broke_off_counts_as_the_longest_answer() {
    let bench = Bench::with(dollars(one() * 2), |number, _| {
        let usage = Usage { requests: 1, input_tokens: 100, output_tokens: 5, ..Usage::default() };
        let cut = Failure { usage: Some(usage), reached_model: true, ..Failure::new(FailureKind::Cut, "cut") };
        if number == 0 { Act::failure(cut) } else { Act::answer("yes") }
    });
    assert!(bench.ask(question("number 99")).await.is_ok());
    // 4,096 tokens were allowed, and five are known to have come.
    assert_eq!(bench.ledger.records()[0].uncertain, Usd::from_pico(4_091 * 500_000));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_waits_for_any_more_counts_as_its_reservation() {
    let bench = Bench::with(dollars(one() * 2), |_, _| Act::answer("yes").after(seconds(60)));
    let asked = question("number 99");
    let most = most(&bench, &asked);
    drop(tokio::time::timeout(seconds(1), bench.ask(asked)).await);
    tokio::task::yield_now().await;
    assert_eq!(bench.ledger.records()[0].uncertain, most);
    assert_eq!(bench.broker.budget().standing()[0].spent, most.pico());
}

#[tokio::test(start_paused = true)]
async fn when_the_rest_can_not_pay_the_dearer_model_the_cheaper_one_is_asked_and_that_is_said_once() {
    let mut asked = question("number 99");
    asked.tier = crate::question::Tier::Comprehensive;
    let dear = most(&Bench::new(|_, _| Act::answer("yes")), &asked);
    let mut bench = Bench::with(dollars(dear + one()), |_, _| Act::answer("yes"));
    for number in 10..14 {
        let question = Question { prompt: format!("number {number}"), ..asked.clone() };
        assert!(bench.ask(question).await.is_ok(), "{number}");
        if number == 10 {
            // As if others had spent it.
            let budget = bench.broker.budget();
            let reserved = budget.reserve(crate::budget::Amount { usd: dear - one(), ..Default::default() }, true);
            budget.keep(reserved.unwrap());
        }
    }
    let models: Vec<String> = bench.backend.sent().into_iter().map(|(_, request)| request.model).collect();
    assert_eq!(models, ["claude-opus-5-5", "claude-haiku-5-5", "claude-haiku-5-5", "claude-haiku-5-5"]);
    let said = bench.facts().into_iter().filter(|fact| fact.contains("claude-haiku-5-5 is asked instead")).count();
    assert_eq!(said, 1);
    let names: Vec<String> = bench.broker.spending().by_model.into_iter().map(|one| one.model).collect();
    assert_eq!(names, ["claude-haiku-5-5", "claude-opus-5-5"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_not_asked_within_a_budget_of_dollars() {
    let route = Route { model: Some("claude-next".to_owned()), ..Route::default() };
    let bench = Bench::with(BrokerConfig { route: route.clone(), ..dollars(one()) }, |_, _| Act::answer("yes"));
    let failure = bench.ask(question("?")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BudgetSpent);
    assert!(failure.message.contains("claude-next") && failure.message.contains("[prices"), "{failure}");
    assert!(bench.backend.sent().is_empty());
    let config = of(BudgetConfig { requests: Some(9), ..BudgetConfig::default() });
    let bench = Bench::with(BrokerConfig { route, ..config }, |_, _| Act::answer("yes"));
    assert!(bench.ask(question("?")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn two_backends_share_a_budget_and_wake_each_other() {
    let slow = Scripted::new(|_, _| Act::fail(FailureKind::Overloaded).after(seconds(30)));
    let fast = Scripted::new(|_, _| Act::answer("yes"));
    let mut route = Route::default();
    route.comprehensive = crate::route::TierRoute { backend: 1, ..route.speed.clone() };
    let quota = QuotaConfig::default();
    let admission = AdmissionConfig { quota, ..AdmissionConfig::default() };
    let config = BrokerConfig { route, admission, ..dollars(one() + Usd::from_pico(1)) };
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(slow.clone()), Arc::new(fast.clone())];
    let broker = Broker::new(backends, Arc::new(InMemory::default()), Events::new(), config);
    let ask = |number, tier| {
        let question = Question { tier, repeatable: false, ..question(&format!("number {number}")) };
        let broker = &broker;
        async move { broker.ask(&asker("audit"), question, &mut |_| {}).await }
    };
    let first = tokio::time::timeout(seconds(40), ask(10, crate::question::Tier::Speed));
    let second = async {
        tokio::time::sleep(seconds(1)).await;
        let asked = ask(11, crate::question::Tier::Comprehensive);
        tokio::time::timeout(seconds(600), asked).await.expect("it was never woken")
    };
    let (_, second) = tokio::join!(first, second);
    assert_eq!(second.unwrap().text, "yes", "what the other gave back is its own now");
    assert_eq!(fast.sent().len(), 1);
}

/// What a request costs at worst, for what became of it.
fn worst(bench: &Bench, number: usize, fate: Fate) -> Usd {
    let prices = Prices::built_in();
    let (_, request) = &bench.backend.sent()[number];
    let usage = |output_tokens| Usage { input_tokens: 100, output_tokens, ..Usage::default() };
    let price = |output_tokens| prices.usd(&request.model, &usage(output_tokens)).unwrap();
    match fate {
        Fate::Answered => price(10),
        Fate::TurnedAway => Usd::ZERO,
        // All that it was allowed to say, and a token for every byte that it was sent.
        Fate::Cut => price(request.max_output_tokens.into()),
        Fate::Lost => {
            let (input, output) = (request.text_bytes(), request.max_output_tokens.into());
            prices.at_most(&request.model, input, output, false).unwrap()
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    TurnedAway,
    Cut,
    Lost,
}

impl Fate {
    fn of(seed: usize, number: usize) -> Self {
        match (seed * 7 + number * 11 + number * number * seed) % 10 {
            0 | 1 => Self::TurnedAway,
            2 => Self::Cut,
            3 => Self::Lost,
            _ => Self::Answered,
        }
    }

    fn act(self) -> Act {
        let failed = |kind| Failure::new(kind, "it failed");
        let usage = Usage { requests: 1, input_tokens: 100, output_tokens: 5, ..Usage::default() };
        match self {
            Self::Answered => Act::answer("yes"),
            Self::TurnedAway => Act::failure(failed(FailureKind::Overloaded)),
            Self::Cut => Act::failure(Failure { usage: Some(usage), ..failed(FailureKind::Cut) }),
            Self::Lost => Act::failure(Failure { reached_model: true, ..failed(FailureKind::Network) }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_in_whatever_order_the_worst_stays_within_the_budget_and_the_ledger_knows_it() {
    let mut spent_out = 0;
    for seed in 0..60 {
        let budget = Usd::from_pico(one().pico() * (3 + seed as u64) / 3);
        let bench = Bench::with(dollars(budget), move |number, _| Fate::of(seed, number).act());
        let asked = (0..24).map(|number: usize| {
            let tier = if number.is_multiple_of(5) { crate::question::Tier::Comprehensive } else { Default::default() };
            let asked = Question { tier, ..question(&format!("number {}", 10 + number)) };
            // Some give up in the middle of an answer, which is then lost.
            let patience = if (number + seed).is_multiple_of(7) { Duration::from_millis(30) } else { seconds(86_400) };
            tokio::time::timeout(patience, bench.ask(asked))
        });
        futures::future::join_all(asked.collect::<Vec<_>>()).await;
        spent_out += usize::from(bench.broker.stopped().borrow().is_some());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let records = bench.ledger.records();
        let counted: Usd = records.iter().map(|record| record.usage.usd + record.uncertain).sum();
        assert_eq!(bench.broker.budget().standing()[0].spent, counted.pico(), "seed {seed}");
        assert!(counted <= budget, "seed {seed}");
        let mut worst_of_all = Usd::ZERO;
        for number in 0..bench.backend.sent().len() {
            // One that was given up counts as its reservation, whatever would have become of it.
            worst_of_all += worst(&bench, number, Fate::of(seed, number));
        }
        assert!(worst_of_all <= counted, "seed {seed}: {worst_of_all} of {counted}");
    }
    assert!((5..55).contains(&spent_out), "{spent_out} of 60 were stopped");
}
