//! Who is next: priority inside a command, first in first out inside a priority, and a fair share for each command.
//!
//! Commands take turns by deficit round robin: at its turn a command earns a quantum of tokens and sends as long as
//! its head costs no more than it has earned. So a command with large questions does not crowd out one with small
//! ones. The queue itself is unbounded; [`admission`](crate::admission) bounds how many may wait in it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How many priorities there are: 0 to 9.
pub const HIGHEST_PRIORITY: u8 = 9;

/// The tokens that a command earns at its turn.
const QUANTUM: u64 = 8_192;

/// Where someone stands in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    command: Arc<str>,
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
    commands: HashMap<Arc<str>, Line<T>>,
    /// The commands with someone waiting; the first has its turn.
    turns: VecDeque<Arc<str>>,
    next_number: u64,
    len: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: BTreeMap<Place, (u64, T)>,
    earned: u64,
}

impl<T> Line<T> {
    fn head_cost(&self) -> u64 {
        self.waiting.first_key_value().map_or(0, |(_, (cost, _))| *cost)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { commands: HashMap::new(), turns: VecDeque::new(), next_number: 0, len: 0 }
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

    /// Lines up. A priority above 9 counts as 9; the cost is in tokens.
    pub fn push(&mut self, command: &Arc<str>, priority: u8, cost: u64, waiter: T) -> Ticket {
        let place = Place { below_highest: HIGHEST_PRIORITY.saturating_sub(priority), number: self.next_number };
        self.next_number += 1;
        self.len += 1;
        let line = self.commands.entry(command.clone()).or_insert_with(|| {
            self.turns.push_back(command.clone());
            Line { waiting: BTreeMap::new(), earned: 0 }
        });
        line.waiting.insert(place, (cost.max(1), waiter));
        Ticket { command: command.clone(), place }
    }

    /// Leaves the queue; none: it had been served.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        let line = self.commands.get_mut(&ticket.command)?;
        let (_, waiter) = line.waiting.remove(&ticket.place)?;
        self.len -= 1;
        if line.waiting.is_empty() {
            self.commands.remove(&ticket.command);
            self.turns.retain(|command| *command != ticket.command);
        }
        Some(waiter)
    }

    /// Who is next. Asking twice gives the same, unless somebody came or left.
    pub fn peek(&mut self) -> Option<&T> {
        self.take_turns();
        let line = self.commands.get(self.turns.front()?)?;
        line.waiting.first_key_value().map(|(_, (_, waiter))| waiter)
    }

    /// Serves who is next.
    pub fn pop(&mut self) -> Option<T> {
        self.take_turns();
        let command = self.turns.front()?;
        let line = self.commands.get_mut(command)?;
        let (_, (cost, waiter)) = line.waiting.pop_first()?;
        line.earned = line.earned.saturating_sub(cost);
        self.len -= 1;
        if line.waiting.is_empty() {
            // Nothing is earned by being away.
            self.commands.remove(command);
            self.turns.pop_front();
        }
        Some(waiter)
    }

    /// All of them, who is next first.
    pub fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    /// Moves on until the command whose turn it is can pay for its head.
    fn take_turns(&mut self) {
        if self.turns.len() <= 1 {
            // Alone, a command need not earn anything.
            if let Some(line) = self.turns.front().and_then(|command| self.commands.get_mut(command)) {
                line.earned = line.earned.max(line.head_cost());
            }
            return;
        }
        let missing = |line: &Line<T>| line.head_cost().saturating_sub(line.earned);
        let Some(front) = self.turns.front().and_then(|command| self.commands.get(command)) else { return };
        if missing(front) == 0 {
            return;
        }
        // Rounds in which nobody could pay are taken all at once.
        let rounds = self.commands.values().map(|line| missing(line).div_ceil(QUANTUM)).min().unwrap_or(0);
        let skipped = rounds.saturating_sub(1).saturating_mul(QUANTUM);
        for line in self.commands.values_mut() {
            line.earned = line.earned.saturating_add(skipped);
        }
        for _ in 0..=self.turns.len() {
            self.turns.rotate_left(1);
            let Some(line) = self.turns.front().and_then(|command| self.commands.get_mut(command)) else { return };
            if missing(line) > 0 {
                line.earned = line.earned.saturating_add(QUANTUM);
            }
            if missing(line) == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drained(queue: &mut Queue<u32>) -> Vec<u32> {
        queue.drain()
    }

    #[test]
    fn higher_priorities_go_first_and_equals_in_the_order_they_came() {
        let command: Arc<str> = "audit".into();
        let mut queue = Queue::default();
        for (number, priority) in [4, 0, 9, 4, 200, 9].into_iter().enumerate() {
            queue.push(&command, priority, 1, number as u32);
        }
        assert_eq!(drained(&mut queue), [2, 4, 5, 0, 3, 1]);
    }

    #[test]
    fn commands_share_by_tokens_not_by_questions() {
        let (large, small): (Arc<str>, Arc<str>) = ("large".into(), "small".into());
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
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
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
    fn who_leaves_is_not_served() {
        let command: Arc<str> = "audit".into();
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..3).map(|number| queue.push(&command, 4, 1, number)).collect();
        assert_eq!(queue.remove(&tickets[1]), Some(1));
        assert_eq!(queue.remove(&tickets[1]), None);
        assert_eq!(drained(&mut queue), [0, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_question_of_any_size_is_served() {
        let (huge, small): (Arc<str>, Arc<str>) = ("huge".into(), "small".into());
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
            let commands: Vec<Arc<str>> = ["a", "b", "c", "d"].map(Arc::from).to_vec();
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
    }
}
