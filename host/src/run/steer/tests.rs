use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::budget::{Amount, BudgetConfig};
use convoke_runtime::money::Usd;

use super::fixture::{begin, broker, shared};
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
    begin(&steering, &run).await;
    // Not this run's: one beside it.
    let reservation = budget.reserve(usd(1.0), true).unwrap();
    budget.settle(reservation, usd(0.5));
    let seen = steering.seen().unwrap().budget.unwrap();
    assert_eq!([seen.size, seen.left()].map(Usd::from_pico), [usd(10.0).usd, usd(1.5).usd]);
}

#[tokio::test]
async fn nothing_is_changed_in_a_run_that_has_ended() {
    let events = Events::new();
    let (steering, run) = (Steering::default(), shared(3, &events, broker(&events, BrokerConfig::default())));
    begin(&steering, &run).await;
    steering.pause("ann", false).await.unwrap();
    steering.detach();
    let said = [
        steering.pause("ann", true).await,
        steering.resume("ann").await,
        steering.limit("ann", 4, Share { workers: 4, is_alone: true }).await,
        steering.mode("ann", Mode::Safe).await,
        steering.wish("ann", Wish::Cancel, "0").await,
    ];
    assert_eq!(said, [(); 5].map(|()| Err(Refused::over())));
    let kept: Vec<String> = steering.controls().into_iter().map(|control| control.what).collect();
    assert_eq!(kept, ["pause"], "and nothing is said to have been done");
}

#[tokio::test]
async fn a_run_of_which_nothing_is_left_has_ended() {
    let events = Events::new();
    let (steering, run) = (Steering::default(), shared(3, &events, broker(&events, BrokerConfig::default())));
    begin(&steering, &run).await;
    drop(run);
    assert!(steering.is_over());
    assert_eq!(steering.pause("ann", false).await, Err(Refused::over()));
}
