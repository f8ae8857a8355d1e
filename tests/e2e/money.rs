//! Budgets: what is spent is computed from what the stand-in itself has seen.

use std::ops::RangeInclusive;

use convoke_runtime::money::Usd;
use convoke_runtime::prices::Prices;
use convoke_runtime::question::Usage;
use convoke_standin::{Answers, Config, FaultRule, Latency, Standin};

use crate::support::{Report, World, hostile, quick, standin};

/// The list price of everything that the stand-in took in and gave out.
fn spent_at(standin: &Standin) -> Usd {
    let prices = Prices::built_in();
    let price = |request: &convoke_standin::Received| {
        let model = request.body["model"].as_str().expect("a model");
        let usage = Usage {
            requests: 1,
            input_tokens: request.tokens.input,
            cache_read_tokens: request.tokens.cache_read,
            cache_write_tokens: request.tokens.cache_write,
            output_tokens: request.tokens.output,
            usd: Usd::ZERO,
        };
        prices.usd(model, &usage).expect("a known price")
    };
    standin.requests().iter().map(price).sum()
}

/// Answers of so many tokens or list items, after some time.
async fn slow(prose_tokens: RangeInclusive<u32>, list_items: RangeInclusive<usize>) -> Standin {
    let answers = Answers { prose_tokens, list_items, ..Answers::default() };
    standin(Config { latency: Latency::of(10, 0.5), answers, ..Config::default() }).await
}

/// Audits within a budget of dollars.
async fn audited(world: &World, standin: &Standin, budget: Usd, arguments: &[&str]) -> Report {
    let budget = format!("{:.12}", budget.dollars());
    let all = ["--budget-usd", &budget].into_iter().chain(arguments.iter().copied());
    world.audit(all).asking(standin).run().await.report()
}

fn half(usd: Usd) -> Usd {
    Usd::from_pico(usd.pico() / 2)
}

/// What so many agents cost without a budget, in a world of their own.
async fn cost_of(agents: usize) -> Usd {
    let (world, standin) = (World::with_agents(agents), slow(20..=60, 10..=14).await);
    let report = world.audit([]).asking(&standin).run().await.report();
    assert_eq!(report.count("done"), agents as u64);
    spent_at(&standin)
}

#[tokio::test]
async fn a_run_stays_within_its_budget_parks_and_a_larger_one_does_only_the_rest() {
    let (world, standin) = (World::with_agents(200), slow(20..=60, 10..=14).await);
    let budget = half(cost_of(200).await);
    let parked = audited(&world, &standin, budget, &[]).await;
    let done = parked.count("done");
    assert_eq!((parked.status(), parked.count("pending")), ("parked", 200 - done));
    assert!((60..140).contains(&done), "{}", parked.census());
    let spent = spent_at(&standin);
    assert!(spent <= budget && spent.dollars() >= budget.dollars() * 0.8, "{spent} of {budget}");
    for part in ["the budget for this run is spent", "--budget-usd"] {
        assert!(parked.warnings().contains(part), "{}", parked.warnings());
    }
    assert_eq!(standin.stats().requests, done, "each answer that was paid for is a result");

    let rest = audited(&world, &standin, Usd::from_dollars(5.0), &[]).await;
    assert_eq!((rest.status(), rest.count("cached"), rest.count("done")), ("completed", done, 200 - done));
    assert_eq!(standin.stats().requests, 200);
}

#[tokio::test]
async fn two_hundred_questions_sixteen_at_once_stay_within_the_budget() {
    // So slow that sixteen meet there, also where the machine has much else to do.
    let answers = Answers { prose_tokens: 600..=900, list_items: 1..=2, ..Answers::default() };
    let standin = standin(Config { latency: Latency::of(150, 0.1), answers, ..Config::default() }).await;
    let world = World::new();
    let ask = async |budget: &str| {
        let call = world.convoke([hostile(), "ask-many:200", "--instances", "16", "--format", "json"]);
        call.env("CONVOKE_BUDGET_USD", budget).asking(&standin).run().await.report()
    };
    // 200 answers of 750 tokens, at half a millionth each, are 0.075 dollars.
    let budget = Usd::from_dollars(0.04);
    let parked = ask("0.04").await;
    let (spent, stats) = (spent_at(&standin), standin.stats());
    assert_eq!((parked.status(), parked.census().as_str()), ("parked", "pending 1"));
    assert!(spent <= budget && spent.dollars() >= budget.dollars() * 0.9, "{spent} of {budget}");
    assert_eq!(stats.max_in_flight, 16);
    assert!((80..140).contains(&stats.requests), "{stats:?}");
    assert_eq!(ask("1").await.status(), "completed");
}

#[tokio::test]
async fn the_days_budget_counts_what_an_earlier_process_spent() {
    let budget = half(cost_of(40).await);
    let config = format!("[budget]\nusd_per_day = {:.12}\n", budget.dollars());
    let (world, standin) = (World::with_agents(40).config(&config), slow(20..=60, 10..=14).await);
    let run = async || world.audit([]).asking(&standin).run().await.report();
    let first = run().await;
    assert_eq!(first.status(), "parked");
    let spent = spent_at(&standin);
    assert!(spent <= budget && spent.dollars() > 0.0, "{spent} of {budget}");
    let again = run().await;
    assert_eq!((again.status(), again.count("cached")), ("parked", first.count("done")));
    assert!(again.warnings().contains("the budget for the day is spent"), "{}", again.warnings());
    assert!(spent_at(&standin) <= budget, "{} of {budget}", spent_at(&standin));
}

#[tokio::test]
async fn whatever_goes_wrong_the_budget_is_not_exceeded() {
    let budget = half(cost_of(60).await);
    for fault in ["cut:3", "500", "529", "error:api_error", "no-stop", "off-schema", "malformed", "refusal"] {
        let rule: FaultRule = format!("rate:0.15={fault}").parse().expect("a rule");
        let (world, standin) = (World::with_agents(60), slow(20..=60, 10..=14).await);
        standin.set_faults(vec![rule]);
        let report = audited(&world, &standin, budget, &[]).await;
        let spent = spent_at(&standin);
        assert!(spent <= budget, "{fault}: {spent} of {budget}");
        assert!(report.status() == "parked" || spent < budget, "{fault}: {}", report.status());
    }
}

#[tokio::test]
async fn a_limit_of_requests_parks_too() {
    let (world, standin) = (World::with_agents(12).config("[budget]\nrequests = 5\n"), quick().await);
    let report = world.audit([]).asking(&standin).run().await.report();
    assert_eq!((report.status(), report.census().as_str()), ("parked", "done 5, pending 7"));
    assert_eq!(standin.stats().requests, 5);
    assert!(report.warnings().contains("5 of 5 requests"), "{}", report.warnings());
}

#[tokio::test]
async fn a_model_without_a_known_price_needs_one_where_dollars_are_limited() {
    let (world, standin) = (World::with_agents(2), quick().await);
    let asked = async |world: &World, arguments: &[&str]| {
        let all = ["--model", "claude-next"].into_iter().chain(arguments.iter().copied());
        world.audit(all).asking(&standin).run().await
    };
    let parked = asked(&world, &["--budget-usd", "1"]).await.report();
    assert_eq!((parked.status(), standin.stats().requests), ("parked", 0));
    assert!(parked.warnings().contains("the price of claude-next is not known"), "{}", parked.warnings());
    let world = world.config("[prices.\"claude-next\"]\ninput = 1.0\noutput = 2.0\n");
    let report = asked(&world, &["--budget-usd", "1"]).await.report();
    assert_eq!((report.status(), report.count("done")), ("completed", 2));
    let tokens = standin.stats().tokens;
    let usd = tokens.input as f64 * 1e-6 + tokens.output as f64 * 2e-6;
    assert!((report.json["usage"]["usd"].as_f64().expect("dollars") - usd).abs() < 1e-9);
}

#[tokio::test]
async fn a_budget_that_makes_no_sense_is_refused() {
    let world = World::with_agents(1);
    world.audit(["--budget-usd", "much"]).run().await.exits(2).reports_nothing().says("like 2.50");
    world.audit([]).env("CONVOKE_BUDGET_USD", "-1").run().await.exits(2).says("CONVOKE_BUDGET_USD");
    world.write("convoke.toml", "[prices.\"m\"]\ninput = 0.0\noutput = 0.0\n");
    world.audit([]).run().await.exits(2).says("your own config.toml");
}

#[tokio::test]
async fn a_report_has_the_cost_by_model_beside_the_estimate_and_what_is_left() {
    let (world, standin) = (World::with_agents(4).config("[budget]\nrequests = 10\n"), quick().await);
    let report = audited(&world, &standin, Usd::from_dollars(1.0), &[]).await;
    let cost = &report.json["cost"];
    let number = |pointer: &str| cost.pointer(pointer).and_then(serde_json::Value::as_f64).expect(pointer);
    assert!((number("/usd") - spent_at(&standin).dollars()).abs() < 1e-12, "{cost:#}");
    assert_eq!((number("/uncertain_usd"), number("/notional_usd")), (0.0, 0.0));
    assert!(number("/estimate/usd") > 0.0 && number("/estimate/questions") == 4.0);
    assert_eq!(cost["by_model"].as_array().map(Vec::len), Some(1));
    assert_eq!((&cost["by_model"][0]["backend"], number("/by_model/0/usage/requests")), (&"anthropic".into(), 4.0));
    assert_eq!((&cost["budgets"][0]["limit"], &cost["budgets"][1]["limit"]), (&"usd".into(), &"requests".into()));
    assert!((number("/budgets/0/left") - (1.0 - number("/usd"))).abs() < 1e-9);
    assert_eq!(number("/budgets/1/left"), 6.0);
    for format in ["human", "markdown"] {
        let call = world.convoke(["agent-audit", "--fresh", "--budget-usd", "1", "--format", format]);
        let done = call.asking(&standin).run().await.exits(0);
        for part in ["at list price", "was expected", "spent in this run", "4 of 10 requests"] {
            assert!(done.stdout.contains(part), "{format}: {part}: {}", done.stdout);
        }
        assert!(!done.stdout.contains("$0.0000 "), "{format}: {}", done.stdout);
    }
}

#[tokio::test]
async fn a_dry_run_says_whether_the_budget_will_do() {
    let (world, standin) = (World::with_agents(6), quick().await);
    let plan = async |budget: &str| {
        let done = world.audit(["--dry-run", "--budget-usd", budget]).asking(&standin).run().await.exits(0);
        let json = done.json();
        let text = world.convoke(["agent-audit", "--dry-run", "--budget-usd", budget]).asking(&standin).run().await;
        (json, text.exits(0).stdout)
    };
    let (json, text) = plan("1").await;
    assert_eq!((&json["budget_will_do"], &json["prompts"]), (&true.into(), &serde_json::Value::Null));
    assert!(text.contains("The budget will do") && text.contains("at most $"), "{text}");
    let most = json["estimate"]["max_usd"].as_f64().expect("dollars");
    let (json, text) = plan(&format!("{:.12}", most - 1e-9)).await;
    assert_eq!(json["budget_will_do"], false);
    assert!(text.contains("The budget may not do") && text.contains("may be needed"), "{text}");
    assert_eq!(standin.stats().requests, 0);
    let report = world.audit([]).asking(&standin).run().await.report();
    assert!(report.json["usage"]["usd"].as_f64().expect("dollars") <= most);
    let without = world.audit(["--dry-run"]).asking(&standin).run().await.exits(0).json();
    assert_eq!(without["budget_will_do"], serde_json::Value::Null);
}

#[tokio::test]
async fn two_runs_at_once_pay_from_one_day() {
    let (world, standin) = (World::with_agents(100), slow(20..=60, 10..=14).await);
    let budget = half(cost_of(100).await);
    let world = world.config(&format!("[budget]\nusd_per_day = {:.12}\n", budget.dollars()));
    // Each would spend it alone.
    let run = || world.audit(["--fresh", "--no-cache"]).asking(&standin).run();
    let (one, other) = tokio::join!(run(), run());
    for report in [one.report(), other.report()] {
        assert_eq!(report.status(), "parked", "{}", report.warnings());
        assert!(report.warnings().contains("the budget for the day is spent"), "{}", report.warnings());
    }
    let spent = spent_at(&standin);
    assert!(spent <= budget && spent.dollars() >= budget.dollars() * 0.6, "{spent} of {budget}");
}
