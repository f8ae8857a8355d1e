//! What lies ready, and which of it goes next.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Board;

/// The items of a segment that nobody took yet.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Those that are ready, by place.
    pub(super) ready: BTreeSet<(usize, usize)>,
    /// Of all of them.
    pub(super) weight: u128,
}

impl Board {
    /// What was given back, else what others wait for, else what is done again, else the worker's own, else of the segment
    /// with the most weight left.
    pub(super) fn next(&self, worker: usize) -> Option<usize> {
        if self.must_wait() {
            return None;
        }
        let free_in = |line: &Line| line.ready.iter().map(|&(_, number)| number).find(|&number| self.is_free(number));
        if let Some(&number) = self.returned.iter().find(|&&number| self.is_free(number)) {
            return Some(number);
        }
        if let Some(number) = self.waited_for().or_else(|| self.next_again()) {
            return Some(number);
        }
        if let Some(number) = self.lines[..self.lines.len() - 1].get(worker).and_then(free_in) {
            return Some(number);
        }
        let mut lines: Vec<&Line> = self.lines.iter().filter(|line| !line.ready.is_empty()).collect();
        lines.sort_by_key(|line| Reverse(line.weight));
        lines.into_iter().find_map(free_in)
    }

    /// Whether none of its paths is being written.
    pub(super) fn is_free(&self, number: usize) -> bool {
        self.entries[number].paths.iter().all(|&path| self.paths.is_free(path))
    }

    /// If it is.
    pub(super) fn make_ready(&mut self, number: usize) {
        let entry = &self.entries[number];
        if self.withheld.contains(&number) {
            return;
        }
        if entry.missing == 0 && self.reopened.remove(&number) {
            self.queue_again(number);
            return;
        }
        let untaken = entry.attempts == 0 && !entry.standing.has_ended();
        if untaken && entry.published && entry.missing == 0 {
            self.lines[entry.line].ready.insert((entry.place, number));
        }
    }

    /// One that was begun, or was elsewhere, can be taken again: when those before it have ended.
    pub(super) fn queue_again(&mut self, number: usize) {
        let is_again = self.is_again(number);
        let place = match self.entries[number].missing {
            0 if is_again => &mut self.again,
            0 => &mut self.returned,
            _ => &mut self.reopened,
        };
        place.insert(number);
    }

    /// Puts a new item into its line.
    pub(super) fn line_up(&mut self, number: usize) {
        let before = self.entries[number].before.iter();
        let missing = before.filter(|before| !self.entries[**before].standing.has_ended()).count();
        let entry = &mut self.entries[number];
        entry.missing = missing;
        if entry.standing.has_ended() {
            return;
        }
        let weight = entry.weight();
        self.lines[entry.line].weight += weight;
        self.make_ready(number);
    }

    /// Takes an item out of its line, or from among those that were given back.
    pub(super) fn unline(&mut self, number: usize) {
        let lies_apart = [
            &mut self.returned,
            &mut self.again,
            &mut self.aside,
            &mut self.elsewhere,
            &mut self.withheld,
            &mut self.reopened,
        ];
        if !lies_apart.into_iter().any(|set| set.remove(&number)) {
            let entry = &self.entries[number];
            let line = &mut self.lines[entry.line];
            line.ready.remove(&(entry.place, number));
            line.weight = line.weight.saturating_sub(entry.weight());
        }
    }
}
