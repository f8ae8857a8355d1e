//! Limits, nesting, order and leaders together: nothing waits for ever, whatever the graph.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::allocate::deal;
use crate::board::{Awaited, Board, Take};
use crate::budget::BudgetConfig;
use crate::quota::QuotaConfig;
use crate::work::{Distribution, Item, Outcome};

/// So many items a run has at most, so that a test ends.
const ITEMS: usize = 150;

/// One run: the real board and a broker that shares its lanes, and workers that do what chance says.
struct Run {
    board: Mutex<Board>,
    changed: Notify,
    stirred: Notify,
    broker: Broker,
    seed: u64,
    /// The most workers at once.
    most: AtomicUsize,
}

impl Run {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }

    /// As the host's supervisor: as many workers as find something to do.
    async fn execute(self: Arc<Self>, segments: usize) {
        let mut running: JoinSet<(usize, bool)> = JoinSet::new();
        let mut next = 0;
        loop {
            let wanted = if next < segments { segments } else { self.board().wants_more_workers() };
            for _ in 0..wanted {
                self.board().join(next).unwrap();
                let (run, worker) = (self.clone(), next);
                running.spawn(async move { (worker, run.work(worker).await) });
                next += 1;
            }
            self.most.fetch_max(running.len(), Ordering::Relaxed);
            if running.is_empty() {
                return;
            }
            tokio::select! {
                Some(ended) = running.join_next() => {
                    let (worker, died) = ended.unwrap();
                    let lost = match died {
                        true => self.board().give_back(worker, "bad luck"),
                        false => self.board().leave(worker, None),
                    };
                    assert!(lost.is_ok(), "{lost:?}");
                    self.changed.notify_waiters();
                }
                () = self.stirred.notified() => {}
            }
        }
    }

    /// Takes items until there are none. True: it died.
    async fn work(&self, worker: usize) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let taken = self.board().take(worker).unwrap();
            match taken {
                Take::Nothing => return false,
                Take::Wait => changed.await,
                Take::Item(number) => {
                    let (item, attempt) = {
                        let board = self.board();
                        (board.item(number).unwrap().clone(), board.attempts(number))
                    };
                    let mut hash = DefaultHasher::new();
                    (self.seed, &item.id, attempt).hash(&mut hash);
                    let mut chance = StdRng::seed_from_u64(hash.finish());
                    if chance.random_ratio(1, 12) {
                        return true;
                    }
                    let outcome = self.item(worker, number, &item, &mut chance).await;
                    self.board().finish(worker, number, outcome).unwrap();
                    self.changed.notify_waiters();
                }
            }
        }
    }

    async fn item(&self, worker: usize, number: usize, item: &Item, chance: &mut StdRng) -> Outcome {
        self.ask(item, chance).await;
        let mut ids = item.after.clone();
        if chance.random_ratio(1, 3) {
            ids.extend(self.add(worker, number, item, chance));
        }
        for id in ids {
            if chance.random() {
                self.result_of(worker, &id).await;
            }
        }
        self.ask(item, chance).await;
        if chance.random_ratio(1, 5) { Outcome::Failed("bad luck".to_owned()) } else { Outcome::Done }
    }

    /// Up to three questions at once, some of which share a context, or are the same as others'.
    async fn ask(&self, item: &Item, chance: &mut StdRng) {
        let asked: Vec<Question> = (0..chance.random_range(0..4))
            .map(|_| Question {
                context: chance.random::<bool>().then(|| "all ".repeat(1_024 + chance.random_range(0..2))),
                priority: chance.random_range(0..10),
                repeatable: chance.random_ratio(4, 5),
                ..question(&chance.random_range(0..40).to_string())
            })
            .collect();
        let who = Asker { item_id: item.id.as_str().into(), ..asker("audit") };
        futures::future::join_all(asked.into_iter().map(|question| async {
            // Also a question that fails ends.
            let _ = self.broker.ask(&who, question, &mut |_| {}).await;
        }))
        .await;
    }

    fn add(&self, worker: usize, number: usize, item: &Item, chance: &mut StdRng) -> Vec<String> {
        let mut board = self.board();
        let there = board.outcomes().len();
        let known: Vec<String> = (0..there).filter_map(|number| Some(board.item(number)?.id.clone())).collect();
        let wide = if chance.random_ratio(1, 8) { 32 } else { chance.random_range(1..4) };
        let items: Vec<Item> = (0..wide.min(ITEMS.saturating_sub(there)))
            .map(|place| Item {
                id: format!("{}/{place}", item.id),
                after: (0..chance.random_range(0..3))
                    .map(|_| known[chance.random_range(0..known.len())].clone())
                    .collect(),
                ..some(chance)
            })
            .collect();
        let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
        // What is too deep is refused, and the item goes on.
        let Ok(added) = board.add(worker, number, items) else { return Vec::new() };
        board.publish(&added.new);
        drop(board);
        self.changed.notify_waiters();
        self.stirred.notify_one();
        ids
    }

    async fn result_of(&self, worker: usize, id: &str) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let awaited = self.board().await_item(worker, id);
            match awaited {
                Ok(Awaited::Waiting) => {
                    self.stirred.notify_one();
                    changed.await;
                }
                // What would never end is refused.
                Ok(Awaited::Ended(_)) | Err(_) => return,
            }
        }
    }
}

/// An item that may write a file, a folder, or both.
fn some(chance: &mut StdRng) -> Item {
    let paths = ["a", "a/b", "./a/b/c", "d", "d/e", "f"];
    let writes = (0..chance.random_range(0..3)).map(|_| paths[chance.random_range(0..paths.len())].to_owned());
    Item { writes: writes.collect(), repeatable: chance.random(), weight: chance.random_range(0..5), ..Item::default() }
}

fn plan(seed: u64, items: usize) -> Vec<Item> {
    let mut chance = StdRng::seed_from_u64(seed);
    (0..items)
        .map(|number| Item {
            id: number.to_string(),
            after: (0..chance.random_range(0..3))
                .filter(|_| number > 0)
                .map(|_| chance.random_range(0..number.max(1)).to_string())
                .collect(),
            ..some(&mut chance)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_graph_every_item_ends_and_everything_is_given_back(
        seed: u64,
        sizes in prop::collection::vec((1usize..20, 1usize..4), 1..4),
        permits in 1usize..5,
        queue in 1usize..4,
        is_limited: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let quota = QuotaConfig { requests: Some(120), output_tokens: Some(200_000), ..QuotaConfig::default() };
            let quota = if is_limited { quota } else { QuotaConfig::default() };
            let config = BrokerConfig {
                admission: AdmissionConfig { instances: permits, queue, quota, ..AdmissionConfig::default() },
                budget: Arc::new(Budget::new(
                    BudgetConfig { requests: Some(1_000_000), ..BudgetConfig::default() },
                    Usd::ZERO,
                    Usd::ZERO,
                    Arc::new(jiff::Timestamp::now),
                )),
                ..BrokerConfig::default()
            };
            let backend = Scripted::new(move |number, _| match (number as u64 ^ seed) % 11 {
                0 => Act::fail(FailureKind::Server),
                1 => Act::failure(Failure {
                    retry_after: Some(seconds(2)),
                    ..Failure::new(FailureKind::RateLimited, "429")
                }),
                2 => Act::fail(FailureKind::Refused),
                _ => Act::answer("yes"),
            })
            .caching_prompts();
            let broker = |lanes: Option<&Arc<Lanes>>, run: usize| {
                let config = BrokerConfig { run: run.to_string().into(), ..config.clone() };
                let (ledger, events) = (Arc::new(InMemory::default()), Events::new());
                match lanes {
                    Some(lanes) => Broker::sharing(lanes.clone(), ledger, events, config),
                    None => Broker::new(vec![Arc::new(backend.clone())], ledger, events, config),
                }
            };
            let lanes = broker(None, 0).lanes().clone();
            let runs: Vec<(Arc<Run>, usize)> = sizes
                .iter()
                .enumerate()
                .map(|(number, (items, workers))| {
                    let (seed, plan) = (seed ^ number as u64, plan(seed ^ number as u64, *items));
                    let segments = deal(plan.iter().enumerate(), *workers, Distribution::ByWeight);
                    let board = Board::new(plan, &segments, &[]).unwrap();
                    let run = Run {
                        board: Mutex::new(board),
                        changed: Notify::new(),
                        stirred: Notify::new(),
                        broker: broker(Some(&lanes), number + 1),
                        seed,
                        most: AtomicUsize::new(0),
                    };
                    (Arc::new(run), segments.len())
                })
                .collect();
            let all = runs.iter().map(|(run, segments)| run.clone().execute(*segments));
            // Nothing here takes so long; where all wait for each other, the clock runs on to it.
            let ended = timeout(seconds(10_000_000), futures::future::join_all(all)).await;
            for (run, _) in &runs {
                let board = run.board();
                assert!(ended.is_ok() && board.census().pending == 0, "{:#?}", *board);
            }
            let standing = lanes.standing()[0].1;
            assert_eq!((standing.waiting, standing.in_flight), (0, 0), "{standing:?}");
            assert!(standing.most_in_flight <= permits && backend.most() <= permits);
            assert_eq!(backend.living(), standing.idle);
            let next = timeout(seconds(1_000), runs[0].0.broker.ask(&asker("audit"), question("next"), &mut |_| {})).await;
            assert!(next.is_ok(), "nothing is left held");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_asking_wait_and_is_served_in_the_end() {
    let admission = AdmissionConfig { instances: 1, queue: 2, ..AdmissionConfig::default() };
    let bench = Bench::with(BrokerConfig { admission, ..BrokerConfig::default() }, |_, _| Act::answer("yes"));
    let prompts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let all = futures::future::join_all(prompts.iter().map(|prompt| bench.ask(question(prompt))));
    let watching = async {
        let mut most = 0;
        for _ in 0..90 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            most = most.max(bench.broker.standing()[0].1.waiting);
        }
        most
    };
    let (replies, most) = tokio::join!(all, watching);
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(most, 2, "the others wait for a place in it");
}
