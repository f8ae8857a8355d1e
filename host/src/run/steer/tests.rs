use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::budget::{Amount, BudgetConfig};
use convoke_runtime::money::Usd;

use super::fixture::{broker, shared};
use super::*;

fn usd(usd: f64) -> Amount {
    Amount { usd: Usd::from_dollars(usd), ..Amount::default() }
}

#[tokio::test]
async fn what_a_run_took_before_it_was_continued_and_what_others_take_is_not_left() {
    let limits = BudgetConfig { usd: Some(usd(10.0).usd), ..BudgetConfig::default() };
    let now = Arc::new(jiff::Timestamp::now);
    let budget = convoke_runtime::budget::Budget::new(limits, Usd::ZERO, Usd::ZERO, now);
    let budget = Arc::new(budget.of_a_run_that_has_spent(usd(8.0)));
    let events = Events::new();
    let config = BrokerConfig { budget: budget.clone(), ..BrokerConfig::default() };
    let (steering, run) = (Steering::default(), shared(3, &events, broker(&events, config)));
    steering.attach(&run, &Limits::of(Mode::Balanced), Mode::Balanced).await;
    // Not this run's: one beside it.
    let reservation = budget.reserve(usd(1.0), true).unwrap();
    budget.settle(reservation, usd(0.5));
    let seen = steering.seen().unwrap().budget.unwrap();
    assert_eq!([seen.size, seen.left()].map(Usd::from_pico), [usd(10.0).usd, usd(1.5).usd]);
}
