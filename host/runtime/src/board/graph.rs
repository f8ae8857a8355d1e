//! Which item comes after which, and which waits for which.

use std::collections::HashMap;

use super::{Board, BoardError, Entry};
use crate::work::{Item, Outcome};

impl Board {
    /// Numbers new items and ties them to those they come after; all or none. They stand in no line yet.
    pub(super) fn append(&mut self, items: Vec<Item>, parent: Option<usize>) -> Result<(), BoardError> {
        let first = self.entries.len();
        let mut fresh: HashMap<&str, usize> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            if self.numbers.contains_key(&item.id) || fresh.insert(&item.id, first + place).is_some() {
                return Err(BoardError::DuplicateId { id: item.id.clone() });
            }
        }
        let before = items.iter().map(|item| {
            let number = |after: &String| {
                let known = self.numbers.get(after).or_else(|| fresh.get(after.as_str())).copied();
                known.ok_or_else(|| BoardError::UnknownAfter { item: item.id.clone(), after: after.clone() })
            };
            let mut numbers = item.after.iter().map(number).collect::<Result<Vec<_>, _>>()?;
            numbers.sort_unstable();
            numbers.dedup();
            Ok(numbers)
        });
        let before = before.collect::<Result<Vec<_>, _>>()?;
        if let Some(circle) = circle(first, &before) {
            let items = circle.into_iter().map(|number| items[number - first].id.clone()).collect();
            return Err(BoardError::Cycle { items });
        }
        let depth = parent.map_or(0, |parent| self.entries[parent].depth + 1);
        for (number, (item, before)) in (first..).zip(items.into_iter().zip(before)) {
            let paths = self.path_numbers(&item);
            self.numbers.insert(item.id.clone(), number);
            self.entries.push(Entry {
                item,
                outcome: Outcome::Pending,
                holder: None,
                attempts: 0,
                deaths: 0,
                failures: Vec::new(),
                parent,
                depth,
                added: 0,
                line: self.lines.len() - 1,
                place: number,
                missing: 0,
                published: true,
                before,
                next: Vec::new(),
                paths,
            });
        }
        for number in first..self.entries.len() {
            for before in self.entries[number].before.clone() {
                self.entries[before].next.push(number);
            }
        }
        Ok(())
    }

    /// Paths as numbers. `./a//b` is `a/b`: whether two are the same is decided without looking at the disk.
    fn path_numbers(&mut self, item: &Item) -> Vec<usize> {
        let mut numbers = Vec::with_capacity(item.writes.len());
        for path in &item.writes {
            let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            let next = self.writers.len();
            let number = *self.paths.entry(parts.join("/")).or_insert(next);
            if number == next {
                self.writers.push(None);
            }
            numbers.push(number);
        }
        numbers
    }

    /// Whether `item` can't end before `other` does: it waits for it, or for something that does.
    ///
    /// It is enough to ask when a worker begins to wait. What is taken later waits for nothing yet, and nothing that
    /// is added later is waited for yet, so neither closes a circle.
    pub(super) fn waits_for(&self, item: usize, other: usize) -> bool {
        let mut seen = vec![false; self.entries.len()];
        let mut look = vec![item];
        while let Some(number) = look.pop() {
            let entry = &self.entries[number];
            if number == other {
                return true;
            }
            if entry.outcome.has_ended() || std::mem::replace(&mut seen[number], true) {
                continue;
            }
            match entry.holder {
                Some(worker) => look.extend(self.workers.get(&worker).and_then(|worker| worker.awaits)),
                None => {
                    look.extend(&entry.before);
                    look.extend(entry.paths.iter().filter_map(|&path| self.writers[path]));
                }
            }
        }
        false
    }
}

/// A circle among new items, as numbers, the last one the first again. Those that were there before come after none
/// of them, so they are in no circle.
fn circle(first: usize, before: &[Vec<usize>]) -> Option<Vec<usize>> {
    let among = |number: usize| before[number - first].iter().copied().filter(move |&other| other >= first);
    let mut missing: Vec<usize> = (first..first + before.len()).map(|number| among(number).count()).collect();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); before.len()];
    for number in first..first + before.len() {
        among(number).for_each(|other| next[other - first].push(number));
    }
    let mut ready: Vec<usize> = (first..first + before.len()).filter(|number| missing[number - first] == 0).collect();
    while let Some(number) = ready.pop() {
        for &other in &next[number - first] {
            missing[other - first] -= 1;
            if missing[other - first] == 0 {
                ready.push(other);
            }
        }
    }
    // Each that is left comes after another that is left: going back must come by the same one twice.
    let mut way = vec![first + missing.iter().position(|&missing| missing > 0)?];
    loop {
        let last = *way.last()?;
        let back = among(last).find(|other| missing[other - first] > 0)?;
        if let Some(start) = way.iter().position(|&number| number == back) {
            way.drain(..start);
            way.push(back);
            return Some(way);
        }
        way.push(back);
    }
}
