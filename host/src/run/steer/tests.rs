use convoke_runtime::broker::BrokerConfig;
use convoke_runtime::budget::{Amount, BudgetConfig};
use convoke_runtime::event::{Event, Subscription};
use convoke_runtime::money::Usd;

use super::super::orders::Called;
use super::fixture::{begin, beside, broker, shared};
use super::*;

const ALONE: Share = Share { workers: 4, is_alone: true };

/// What was told of changes.
fn told(heard: &mut Subscription) -> Vec<String> {
    let mut events = Vec::new();
    heard.drain(&mut events);
    let line = |event: &Arc<Event>| match &event.fact {
        Fact::Controlled { by, what, became } => Some(format!("{by}: {what}: {became}")),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

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
        steering.change("ann", Change::Limit(4), ALONE).await,
        steering.change("ann", Change::Mode(Mode::Safe), ALONE).await,
        steering.wish("ann", Wish::Cancel, &Called::Number(0)).await,
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

#[tokio::test]
async fn what_is_wished_before_a_run_begins_is_told_and_done_as_in_the_middle() {
    let events = Events::new();
    let mut heard = events.listen();
    let (steering, run) = (Steering::default(), shared(30, &events, broker(&events, BrokerConfig::default())));
    let performance = Share { workers: 10, ..ALONE };
    for (change, share, became) in [
        (Change::Limit(2), Share { workers: 2, ..ALONE }, "it begins with at most 2 workers"),
        (Change::Mode(Mode::Safe), Share { workers: 3, ..ALONE }, "it begins in mode safe"),
        (Change::Mode(Mode::Performance), performance, "it begins in mode performance"),
    ] {
        assert!(!steering.change_of_all("ann", change).await, "nothing is there yet");
        assert_eq!(steering.change("ann", change, share).await.as_deref(), Ok(became));
    }
    assert!(told(&mut heard).is_empty());
    begin(&steering, &run).await;
    let told = told(&mut heard);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "ann: limit 2: at most 2 questions in flight, and 2 workers");
    assert!(
        told[1].starts_with("ann: mode performance: mode performance; at most 10 questions in flight, and 10 work")
    );
    let lanes = run.answers.broker().lanes();
    assert_eq!((lanes.standing()[0].1.limit, run.board().wants_more_workers()), (10, 10));
    assert_eq!(steering.seen().unwrap().mode, "performance");
}

#[tokio::test]
async fn what_came_later_for_all_is_not_undone_by_a_run_that_begins() {
    let events = Events::new();
    let first = broker(&events, BrokerConfig::default());
    let lanes = first.lanes().clone();
    let (one, other) = (Steering::default(), Steering::default());
    other.share(&lanes);
    let several = Share { is_alone: false, ..ALONE };
    assert!(other.change_of_all("ann", Change::Limit(4)).await, "the lanes are there before it");
    other.change("ann", Change::Limit(4), several).await.unwrap();
    let run = shared(30, &events, first);
    begin(&one, &run).await;
    assert!(one.change_of_all("bob", Change::Limit(6)).await);
    let late = shared(30, &events, beside(&lanes, &events));
    begin(&other, &late).await;
    assert_eq!((lanes.standing()[0].1.limit, late.board().wants_more_workers()), (6, 4));
}
