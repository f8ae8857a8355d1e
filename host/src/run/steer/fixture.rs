//! Runs for tests: with items and a broker, and without a plugin.

use std::sync::{Arc, Mutex};

use convoke_runtime::allocate::Segment;
use convoke_runtime::board::Board;
use convoke_runtime::broker::{Broker, BrokerConfig, InMemory, Lanes};
use convoke_runtime::event::Events;
use convoke_runtime::journal::{Journal, RunId};
use convoke_runtime::work::Item;

use super::*;
use crate::run::answers::Answers;
use crate::run::assess::Identity;
use crate::run::orders::Orders;
pub(crate) use crate::run::shared::Shared;
use crate::testkit::script::MadeUp;

/// A broker that asks nobody.
pub(crate) fn broker(events: &Events, config: BrokerConfig) -> Broker {
    Broker::new(vec![Arc::new(MadeUp)], Arc::new(InMemory::default()), events.clone(), config)
}

/// One that shares its lanes with others.
pub(crate) fn beside(lanes: &Arc<Lanes>, events: &Events) -> Broker {
    Broker::sharing(lanes.clone(), Arc::new(InMemory::default()), events.clone(), BrokerConfig::default())
}

/// A run of so many items, called `0`, `1` and so on, that nobody does.
pub(crate) fn shared(items: usize, events: &Events, broker: Broker) -> Arc<Shared> {
    let named = |number: usize| Item { id: number.to_string(), ..Item::default() };
    let segment = Segment { label: "all".to_owned(), items: (0..items).collect() };
    let identity = Identity {
        plugin_digest: String::new(),
        subcommand: None,
        arguments: serde_json::Value::Null,
        route: String::new(),
        project: String::new(),
    };
    Arc::new(Shared {
        board: Mutex::new(Board::of((0..items).map(named).collect(), &[segment]).unwrap()),
        changed: tokio::sync::Notify::new(),
        stirred: tokio::sync::Notify::new(),
        ended: Mutex::default(),
        aside: Mutex::default(),
        conclusion: Mutex::default(),
        journal: Journal::in_memory().unwrap(),
        run: RunId::new(),
        command: Arc::from("audit"),
        identity,
        answers: Answers::Broker(Box::new(broker)),
        events: events.clone(),
        beside: None,
        tried: Arc::default(),
        orders: Orders::default(),
    })
}

/// It goes on from now on, in mode `balanced`, where the user has named no number of instances.
pub(crate) async fn begin(steering: &Steering, run: &Arc<Shared>) {
    let items = run.board().open();
    steering.planned(&Limits::of(Mode::Balanced), Mode::Balanced, items);
    steering.attach(run, Mode::Balanced).await;
}
