//! No schedule breaks the board's rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::allocate::deal;
use crate::ladder::Recovery;
use crate::work::Distribution;

fn item(id: &str) -> Item {
    Item { id: id.to_owned(), weight: 1, ..Item::default() }
}

/// Files, folders that they are in, and other ways to write them.
fn path(number: u8) -> String {
    ["a", "a/b", "./a//c/", "a/b/d", "e", "e/f", "g", "ab"][usize::from(number) % 8].to_owned()
}

/// A host with bad luck: workers that die, add, wait, fail in passing and finish, in any order.
struct Host {
    board: Board,
    chance: StdRng,
    next_worker: usize,
    idle: BTreeSet<usize>,
    holding: BTreeMap<usize, usize>,
    blocked: BTreeMap<usize, String>,
    ends: BTreeMap<usize, Outcome>,
    /// How often something was changed from outside.
    meddled: usize,
}

impl Host {
    fn new(plan: Vec<Item>, workers: usize, seed: u64) -> Self {
        let dealt = deal(plan.iter().enumerate(), workers, Distribution::ByWeight);
        let board = Board::new(plan, &dealt, &[]).unwrap();
        let chance = StdRng::seed_from_u64(seed);
        let (idle, holding, blocked, ends) = Default::default();
        Self { board, chance, next_worker: 0, idle, holding, blocked, ends, meddled: 0 }
    }

    fn run(&mut self) {
        while !self.board.is_over() {
            let (recovery, tally) = self.board.recover();
            assert!(recovery != Recovery::GoOn || tally.failed == 0, "what was set aside may be taken again");
            for _ in 0..self.board.wants_more_workers() {
                self.board.join(self.next_worker).unwrap();
                self.idle.insert(self.next_worker);
                self.next_worker += 1;
            }
            let acted = self.meddle() | self.step() | self.look_elsewhere();
            assert!(acted || self.board.wants_more_workers() > 0, "everybody waits: {:#?}", self.board);
            self.check();
        }
    }

    /// Somebody may change something from outside. Whether it was tried.
    fn meddle(&mut self) -> bool {
        let all = self.board.outcomes().len();
        if all == 0 || self.meddled > 30 || !self.chance.random_ratio(1, 12) {
            return false;
        }
        self.meddled += 1;
        let number = self.chance.random_range(0..all);
        match self.chance.random_range(0..4) {
            0 => self.board.set_workers(self.chance.random_range(1..6)),
            1 => {
                if self.board.withhold(number).is_ok() {
                    let outcome = Outcome::Skipped("not wanted".to_owned());
                    self.board.settle(number, outcome.clone()).unwrap();
                    self.note(Some(Lost::Ended(number, outcome)));
                }
            }
            2 => {
                if let Some(worker) = self.board.holder(number) {
                    assert_eq!(self.board.take_away(worker), Ok(Some(number)));
                    self.holding.remove(&worker);
                    self.blocked.remove(&worker);
                    self.board.hand_out(number);
                }
            }
            _ => {
                let repeatable = self.board.item(number).unwrap().repeatable || self.board.attempts(number) == 0;
                if repeatable && let Ok(was) = self.board.reopen(number) {
                    assert_eq!(self.ends.remove(&number), Some(was));
                    self.board.hand_out(number);
                }
            }
        }
        true
    }

    /// One worker does something. False: none can.
    fn step(&mut self) -> bool {
        let mut order: Vec<usize> =
            self.idle.iter().chain(self.holding.keys()).chain(self.blocked.keys()).copied().collect();
        if order.is_empty() {
            return false;
        }
        let turn = self.chance.random_range(0..order.len());
        order.rotate_left(turn);
        order.into_iter().any(|worker| self.act(worker))
    }

    fn act(&mut self, worker: usize) -> bool {
        if self.idle.contains(&worker) {
            return self.take(worker);
        }
        if let Some(id) = self.blocked.get(&worker).cloned() {
            if self.chance.random_ratio(1, 50) {
                self.blocked.remove(&worker);
                self.die(worker);
                return true;
            }
            let unblocked = self.board.await_item(worker, &id) != Ok(Awaited::Waiting);
            if unblocked {
                self.blocked.remove(&worker);
                self.finish(worker);
            }
            return unblocked;
        }
        match self.chance.random_range(0..10) {
            0 => self.die(worker),
            1 => {
                let lost = self.board.leave(worker, None).unwrap();
                self.holding.remove(&worker);
                self.note(lost);
            }
            2..5 => self.add(worker),
            5..7 => self.fail_in_passing(worker),
            _ => self.finish(worker),
        }
        true
    }

    /// Another host has done one of its items, or has not.
    fn look_elsewhere(&mut self) -> bool {
        let Some(&number) = self.board.elsewhere().first() else { return false };
        if self.chance.random() {
            self.board.come_back(number);
        } else {
            self.board.settle(number, Outcome::Cached).unwrap();
            self.note(Some(Lost::Ended(number, Outcome::Cached)));
        }
        true
    }

    fn take(&mut self, worker: usize) -> bool {
        match self.board.take(worker).unwrap() {
            Take::Wait => return false,
            Take::Nothing => {
                self.board.leave(worker, None).unwrap();
            }
            Take::Item(number) => {
                for before in &self.board.item(number).unwrap().after {
                    let before = self.board.number(before).unwrap();
                    assert!(self.ends.contains_key(&before), "{number} came before {before}");
                }
                assert!(!self.board.elsewhere().contains(&number), "{number} is in other hands");
                if self.chance.random_ratio(1, 8) {
                    self.board.leave_to_other(worker, number).unwrap();
                    return true;
                }
                self.holding.insert(worker, number);
            }
        }
        self.idle.remove(&worker);
        true
    }

    fn finish(&mut self, worker: usize) {
        let number = self.holding.remove(&worker).unwrap();
        let outcome = match self.chance.random_range(0..4) {
            0 => Outcome::Failed("bad luck".to_owned()),
            1 => Outcome::Skipped("nothing".to_owned()),
            _ => Outcome::Done,
        };
        self.board.finish(worker, number, outcome.clone()).unwrap();
        self.note(Some(Lost::Ended(number, outcome)));
        self.idle.insert(worker);
    }

    fn fail_in_passing(&mut self, worker: usize) {
        let number = self.holding[&worker];
        let words = ["busy", "slow", "broken"][self.chance.random_range(0..3)];
        let attempts = self.board.attempts(number);
        match self.board.fail_in_passing(worker, number, words).unwrap() {
            Passing::Aside => {
                let few = attempts < 3 || self.meddled > 0;
                assert!(few && self.board.item(number).unwrap().repeatable);
                self.holding.remove(&worker);
                self.idle.insert(worker);
            }
            Passing::Stays | Passing::Quarantined => self.finish(worker),
        }
    }

    fn die(&mut self, worker: usize) {
        let lost = self.board.give_back(worker, "bad luck").unwrap();
        self.holding.remove(&worker);
        self.note(lost);
    }

    /// Adds items that come after any others and write any path, and perhaps waits for one.
    fn add(&mut self, worker: usize) {
        let number = self.holding[&worker];
        let ids: Vec<String> =
            (0..self.board.outcomes().len()).map(|n| self.board.item(n).unwrap().id.clone()).collect();
        let items: Vec<Item> = (0..self.chance.random_range(1..3))
            .map(|place| {
                let before = (0..self.chance.random_range(0..3)).map(|_| self.chance.random_range(0..ids.len()));
                let before: Vec<usize> = before.collect();
                Item {
                    after: before.into_iter().map(|number| ids[number].clone()).collect(),
                    writes: vec![path(self.chance.random_range(0..8))],
                    repeatable: self.chance.random(),
                    ..item(&format!("added-{}-{place}", ids.len()))
                }
            })
            .collect();
        let awaited = items[0].id.clone();
        if let Ok(added) = self.board.add(worker, number, items) {
            self.board.publish(&added.new);
            if self.chance.random() && self.board.await_item(worker, &awaited) == Ok(Awaited::Waiting) {
                self.blocked.insert(worker, awaited);
            }
        }
    }

    fn note(&mut self, lost: Option<Lost>) {
        if let Some(Lost::Ended(number, outcome)) = lost {
            assert_eq!(self.ends.insert(number, outcome), None, "{number} ended twice");
        }
    }

    fn check(&self) {
        let held: Vec<usize> = self.holding.values().copied().collect();
        let mut paths: Vec<&String> = Vec::new();
        for &number in &held {
            let own = &self.board.item(number).unwrap().writes;
            let clash = |path: &&String| paths.iter().any(|other| overlap(&normalised(path), &normalised(other)));
            assert!(!own.iter().any(|path| clash(&path)), "two write the same path");
            paths.extend(own);
            let most = (ATTEMPTS + 3) as usize * (self.meddled + 1);
            assert!(
                self.board.attempts(number) as usize <= most,
                "two workers died of it, and it was tried three times"
            );
            let once = self.board.attempts(number) == 1 || self.board.item(number).unwrap().repeatable;
            assert!(once || self.meddled > 0);
        }
        assert!(self.board.elsewhere().iter().all(|number| !held.contains(number)));
        let census = self.board.census();
        assert_eq!(census.pending as usize, self.board.outcomes().len() - self.ends.len());
    }
}

fn plan() -> impl Strategy<Value = Vec<Item>> {
    let one = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        prop::collection::vec(0_u8..8, 0..3),
        0_u64..9,
        any::<bool>(),
    );
    prop::collection::vec(one, 0..25).prop_map(|plan| {
        // Each comes after others with a higher number, so that there is no circle.
        let all = plan.len();
        let make =
            |(number, (before, writes, weight, repeatable)): (usize, (Vec<prop::sample::Index>, Vec<u8>, _, _))| {
                let later = all - number - 1;
                let before = before.iter().filter(|_| later > 0).map(|index| number + 1 + index.index(later));
                Item {
                    after: before.map(|number| number.to_string()).collect(),
                    writes: writes.into_iter().map(path).collect(),
                    weight,
                    repeatable,
                    ..item(&number.to_string())
                }
            };
        plan.into_iter().enumerate().map(make).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_every_item_ends_once_and_the_census_adds_up(plan in plan(), workers in 1_usize..6, seed: u64) {
        let mut host = Host::new(plan, workers, seed);
        host.run();
        let census = host.board.census();
        prop_assert_eq!(census.pending, 0);
        prop_assert_eq!(census.items as usize, host.ends.len());
        prop_assert_eq!(census, Census::of(host.ends.values()));
        for (number, outcome) in host.board.outcomes().enumerate() {
            prop_assert_eq!(Some(outcome), host.ends.get(&number));
        }
    }

    #[test]
    fn a_stop_at_any_moment_ends_with_a_census_that_adds_up(plan in plan(), seed: u64, steps in 0_usize..40) {
        let mut host = Host::new(plan, 3, seed);
        host.board.set_partial_failure(PartialProfile { workers: 1.0, ..PartialProfile::default() });
        (0..3).for_each(|worker| {
            host.board.join(worker).unwrap();
            host.idle.insert(worker);
        });
        host.next_worker = 3;
        for _ in 0..steps {
            host.step();
        }
        host.board.drain("interrupted");
        while !host.board.is_over() {
            prop_assert!(host.step() || host.look_elsewhere());
        }
        let census = host.board.census();
        let ended = host.ends.len() as u64;
        prop_assert_eq!(census.items, ended + census.pending);
    }
}
