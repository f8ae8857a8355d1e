//! Who is next: priority inside a run, first in first out inside a priority, and a fair share for each run of each
//! command.
//!
//! Runs take turns by deficit round robin: at its turn a run earns a quantum of tokens and sends as long as its head costs
//! no more than it has earned. So a command with large questions does not crowd out one with small ones. What a question
//! costs is at first what it may take, and once it has ended [what it took](Queue::correct): tokens that a provider reads
//! from its cache are neither. The queue itself is unbounded; [`admission`](crate::admission) bounds how many may wait in
//! it.
//!
//! A head that waits for something that not everybody waits for is [set aside](Queue::set_aside), so that it does not hold
//! back the others; it is passed [so often](PASSES) at most, so that others do not hold it back for ever.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How many priorities there are: 0 to 9.
pub const HIGHEST_PRIORITY: u8 = 9;

/// How many of others may go before a head that is set aside. Then all wait with it.
pub const PASSES: u32 = 32;

/// The tokens that a run earns at its turn.
const QUANTUM: i128 = 8_192;

/// Who takes turns: a run of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claimant {
    /// The command.
    pub command: Arc<str>,
    /// Its run; empty where there is only one in the process.
    pub run: Arc<str>,
}

/// Where someone stands in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    claimant: Claimant,
    place: Place,
}

/// Sorted: the highest priority first, then who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    below_highest: u8,
    number: u64,
}

/// The queue.
#[derive(Debug)]
pub struct Queue<T> {
    lines: HashMap<Claimant, Line<T>>,
    /// Those with someone waiting; the first has its turn.
    turns: VecDeque<Claimant>,
    /// Those whose heads are passed, in the order of their turns.
    aside: Vec<Claimant>,
    next_number: u64,
    len: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: BTreeMap<Place, (u64, T)>,
    /// What it may send. Less than nothing where questions took more than they seemed to.
    earned: i128,
    /// How often its head was passed.
    passed: u32,
}

impl<T> Line<T> {
    fn head_cost(&self) -> i128 {
        self.waiting.first_key_value().map_or(0, |(_, (cost, _))| i128::from(*cost))
    }

    /// What it has to earn until it can pay for its head.
    fn missing(&self) -> i128 {
        (self.head_cost() - self.earned).max(0)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), aside: Vec::new(), next_number: 0, len: 0 }
    }
}

impl<T> Queue<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lines up. A priority above 9 counts as 9; the cost is in tokens, and at least 1.
    pub fn push(&mut self, claimant: &Claimant, priority: u8, cost: u64, waiter: T) -> Ticket {
        let place = Place { below_highest: HIGHEST_PRIORITY.saturating_sub(priority), number: self.next_number };
        self.next_number += 1;
        self.len += 1;
        let line = self.lines.entry(claimant.clone()).or_insert_with(|| {
            self.turns.push_back(claimant.clone());
            Line { waiting: BTreeMap::new(), earned: 0, passed: 0 }
        });
        line.waiting.insert(place, (cost.max(1), waiter));
        Ticket { claimant: claimant.clone(), place }
    }

    /// Leaves the queue; none: it had been served.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        let line = self.lines.get_mut(&ticket.claimant)?;
        let was_head = line.waiting.first_key_value().is_some_and(|(place, _)| *place == ticket.place);
        let (_, waiter) = line.waiting.remove(&ticket.place)?;
        self.len -= 1;
        if was_head {
            line.passed = 0;
        }
        if line.waiting.is_empty() {
            self.lines.remove(&ticket.claimant);
            self.turns.retain(|claimant| *claimant != ticket.claimant);
            self.aside.retain(|claimant| *claimant != ticket.claimant);
        }
        Some(waiter)
    }

    /// Who is next, of those that are not set aside. Asking twice gives the same, unless somebody came or left.
    pub fn peek(&mut self) -> Option<&T> {
        self.take_turns();
        let line = self.lines.get(self.turns.front()?)?;
        line.waiting.first_key_value().map(|(_, (_, waiter))| waiter)
    }

    /// Serves who is next, of those that are not set aside.
    pub fn pop(&mut self) -> Option<T> {
        self.take_turns();
        let claimant = self.turns.front()?;
        let line = self.lines.get_mut(claimant)?;
        let (_, (cost, waiter)) = line.waiting.pop_first()?;
        line.earned -= i128::from(cost);
        line.passed = 0;
        self.len -= 1;
        if line.waiting.is_empty() {
            // Nothing is earned by being away.
            self.lines.remove(claimant);
            self.turns.pop_front();
        }
        for claimant in &self.aside {
            if let Some(line) = self.lines.get_mut(claimant) {
                line.passed += 1;
            }
        }
        Some(waiter)
    }

    /// Lets others pass the head that is next: it can't be served now, and they perhaps can. False: it was passed so
    /// often that all must wait for it.
    pub fn set_aside(&mut self) -> bool {
        let passed = self.turns.front().and_then(|claimant| self.lines.get(claimant)).map(|line| line.passed);
        if passed.is_none_or(|passed| passed >= PASSES) {
            return false;
        }
        self.aside.extend(self.turns.pop_front());
        true
    }

    /// Those who were set aside have their turns again, before all others.
    pub fn bring_back(&mut self) {
        while let Some(claimant) = self.aside.pop() {
            self.turns.push_front(claimant);
        }
    }

    /// What was `charged` as the cost of a question took `used` tokens really: the difference is given back to its run, or
    /// taken. Where it is alone, or nobody of it waits, there is nothing to be fair about.
    pub fn correct(&mut self, claimant: &Claimant, charged: u64, used: u64) {
        if self.lines.len() > 1
            && let Some(line) = self.lines.get_mut(claimant)
        {
            line.earned += i128::from(charged.max(1)) - i128::from(used.max(1));
        }
    }

    /// All of them, who is next first.
    pub fn drain(&mut self) -> Vec<T> {
        self.bring_back();
        std::iter::from_fn(|| self.pop()).collect()
    }

    /// Moves on until the run whose turn it is can pay for its head.
    fn take_turns(&mut self) {
        if self.lines.len() <= 1 {
            // Alone, a run need not earn anything, and nothing is kept for when it is not.
            if let Some(line) = self.turns.front().and_then(|claimant| self.lines.get_mut(claimant)) {
                line.earned = line.head_cost();
            }
            return;
        }
        let Some(front) = self.turns.front().and_then(|claimant| self.lines.get(claimant)) else { return };
        if front.missing() == 0 {
            return;
        }
        // Rounds in which nobody could pay are taken all at once.
        let rounds = |missing: i128| (missing + QUANTUM - 1) / QUANTUM;
        let waiting = self.turns.iter().filter_map(|claimant| self.lines.get(claimant));
        let rounds = waiting.map(|line| rounds(line.missing())).min().unwrap_or(0);
        let skipped = (rounds - 1).max(0) * QUANTUM;
        for claimant in &self.turns {
            if let Some(line) = self.lines.get_mut(claimant) {
                line.earned += skipped;
            }
        }
        for _ in 0..=self.turns.len() {
            self.turns.rotate_left(1);
            let Some(line) = self.turns.front().and_then(|claimant| self.lines.get_mut(claimant)) else { return };
            if line.missing() > 0 {
                line.earned += QUANTUM;
            }
            if line.missing() == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claimant(run: &str) -> Claimant {
        Claimant { command: "any".into(), run: run.into() }
    }

    fn drained(queue: &mut Queue<u32>) -> Vec<u32> {
        queue.drain()
    }

    #[test]
    fn higher_priorities_go_first_and_equals_in_the_order_they_came() {
        let command = claimant("audit");
        let mut queue = Queue::default();
        for (number, priority) in [4, 0, 9, 4, 200, 9].into_iter().enumerate() {
            queue.push(&command, priority, 1, number as u32);
        }
        assert_eq!(drained(&mut queue), [2, 4, 5, 0, 3, 1]);
    }

    #[test]
    fn commands_share_by_tokens_not_by_questions() {
        let (large, small) = (claimant("large"), claimant("small"));
        let mut queue = Queue::default();
        for number in 0..40 {
            queue.push(&large, 4, 40_000, number);
            for part in 0..10 {
                queue.push(&small, 4, 4_000, 1_000 + number * 10 + part);
            }
        }
        let served: Vec<u32> = (0..220).filter_map(|_| queue.pop()).collect();
        let large = served.iter().filter(|number| **number < 1_000).count();
        assert!((18..=22).contains(&large), "{large} large ones for 200 small ones");
    }

    #[test]
    fn a_command_that_was_alone_has_no_debt_and_no_credit() {
        let (one, two) = (claimant("one"), claimant("two"));
        let mut queue = Queue::default();
        for number in 0..100 {
            queue.push(&one, 4, 5_000, number);
        }
        for _ in 0..50 {
            queue.pop();
        }
        for number in 100..150 {
            queue.push(&two, 4, 5_000, number);
        }
        let served: Vec<u32> = (0..40).filter_map(|_| queue.pop()).collect();
        let of_two = served.iter().filter(|number| **number >= 100).count();
        assert!((18..=22).contains(&of_two), "{of_two} of 40");
    }

    #[test]
    fn what_a_question_took_counts_and_not_what_it_might_have_taken() {
        let (short, long) = (claimant("short"), claimant("long"));
        let mut queue = Queue::default();
        for number in 0..1_000 {
            queue.push(&short, 4, 8_000, number);
            queue.push(&long, 4, 8_000, 1_000 + number);
        }
        let mut served = [0_u32, 0];
        for _ in 0..600 {
            let is_long = queue.pop().is_some_and(|number| number >= 1_000);
            served[usize::from(is_long)] += 1;
            // Both may take 8,000 tokens; the one takes 1,000, the other 5,000.
            if is_long { queue.correct(&long, 8_000, 5_000) } else { queue.correct(&short, 8_000, 1_000) }
        }
        let ratio = f64::from(served[0]) / f64::from(served[1]);
        assert!((4.0..6.0).contains(&ratio), "{served:?}");
    }

    #[test]
    fn a_head_that_is_set_aside_holds_nobody_back_and_is_passed_so_often_at_most() {
        let (stuck, other) = (claimant("stuck"), claimant("other"));
        let mut queue = Queue::default();
        queue.push(&stuck, 4, 1, 0);
        for number in 1..=PASSES + 10 {
            queue.push(&other, 4, 10_000, number);
        }
        let mut passed = 0;
        // Each time somebody comes or goes it is tried again.
        for _ in 0..PASSES + 10 {
            while queue.peek() == Some(&0) && queue.set_aside() {}
            if queue.peek() == Some(&0) {
                break;
            }
            passed += u32::from(queue.pop().is_some());
            queue.bring_back();
        }
        assert_eq!(passed, PASSES);
        assert_eq!(queue.pop(), Some(0), "it has its turn yet");
        assert!(queue.set_aside(), "who comes after it begins anew");
        assert_eq!(queue.peek(), None, "there is nobody else");
        assert_eq!(queue.len(), 10);
        queue.bring_back();
        assert_eq!(queue.drain().len(), 10);
    }

    #[test]
    fn who_leaves_is_not_served() {
        let command = claimant("audit");
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..3).map(|number| queue.push(&command, 4, 1, number)).collect();
        assert_eq!(queue.remove(&tickets[1]), Some(1));
        assert_eq!(queue.remove(&tickets[1]), None);
        assert_eq!(drained(&mut queue), [0, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_question_of_any_size_is_served() {
        let (huge, small) = (claimant("huge"), claimant("small"));
        let mut queue = Queue::default();
        queue.push(&huge, 4, u64::MAX, 1);
        queue.push(&small, 4, 1, 2);
        let mut served = drained(&mut queue);
        served.sort_unstable();
        assert_eq!(served, [1, 2]);
    }

    proptest! {
        #[test]
        fn all_who_come_are_served_once_or_leave_and_peek_tells_who_is_next(
            steps in prop::collection::vec((0u8..5, 0u8..4, 0u8..12, 0u64..100_000), 1..300)
        ) {
            let commands = ["a", "b", "c", "d"].map(claimant);
            let mut queue = Queue::default();
            let (mut tickets, mut out, mut pushed) = (Vec::new(), Vec::new(), Vec::new());
            for (number, (step, command, priority, cost)) in steps.iter().enumerate() {
                match step {
                    0 => {
                        let next = queue.peek().copied();
                        prop_assert_eq!(queue.pop(), next);
                        out.extend(next);
                    }
                    1 if !tickets.is_empty() => {
                        let ticket: Ticket = tickets.swap_remove(*cost as usize % tickets.len());
                        out.extend(queue.remove(&ticket));
                    }
                    _ => {
                        tickets.push(queue.push(&commands[usize::from(*command)], *priority, *cost, number));
                        pushed.push(number);
                    }
                }
                prop_assert_eq!(queue.len(), pushed.len() - out.len());
            }
            out.extend(queue.drain());
            out.sort_unstable();
            prop_assert_eq!(out, pushed);
        }

        /// Whoever always has something waiting gets its share of what is served: at no time is one behind another by
        /// more than a quantum and its largest question, and a head waits for no more than a round of the others.
        #[test]
        fn shares_stay_within_a_quantum_and_a_question(
            costs in prop::collection::vec(prop::collection::vec(1u64..30_000, 40), 2..5)
        ) {
            let claimants: Vec<Claimant> = (0..costs.len()).map(|run| claimant(&run.to_string())).collect();
            let mut queue = Queue::default();
            for place in 0..40 {
                for (run, costs) in costs.iter().enumerate() {
                    queue.push(&claimants[run], 4, costs[place], (run, costs[place]));
                }
            }
            let mut served = vec![0_u64; costs.len()];
            let mut left = vec![40; costs.len()];
            while left.iter().all(|left| *left > 0) {
                let (run, cost) = queue.pop().unwrap();
                served[run] += cost;
                left[run] -= 1;
                let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
                let bound = 2 * (QUANTUM as u64 + 30_000);
                prop_assert!(most - least <= bound, "{served:?}");
            }
        }
    }
}
