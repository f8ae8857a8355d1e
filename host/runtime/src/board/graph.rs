//! Which item comes after which, and which waits for which.

use std::collections::{HashMap, VecDeque};

use super::{Board, BoardError, Entry};
use crate::near::nearest;
use crate::outcome::Standing;
use crate::work::Item;

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
                known.ok_or_else(|| {
                    let known = self.numbers.keys().map(String::as_str).chain(fresh.keys().copied());
                    let near = nearest(after, known).map(str::to_owned);
                    BoardError::UnknownAfter { item: item.id.clone(), after: after.clone(), near }
                })
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
            let paths = self.paths.numbers(&item.writes);
            self.numbers.insert(item.id.clone(), number);
            self.entries.push(Entry {
                item,
                standing: Standing::default(),
                holder: None,
                attempts: 0,
                deaths: 0,
                forgiven: 0,
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

    /// Whether the two have a common path.
    pub(super) fn write_the_same(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.entries[one].paths, &self.entries[other].paths);
        one.iter().any(|&path| other.iter().any(|&also| self.paths.overlap(path, also)))
    }

    /// Why `item` can't end before `other` does: the items from the one to the other, each of which waits for the next,
    /// because it comes after it, asks for its result, or writes what it is writing. None: it can.
    ///
    /// It is enough to ask when a worker begins to wait. What is taken later waits for nothing yet, and nothing that
    /// is added later is waited for yet, so neither closes a circle.
    pub(super) fn way(&self, item: usize, other: usize) -> Option<Vec<usize>> {
        self.way_with(item, other, None)
    }

    /// The same if one that has ended had not.
    pub(super) fn way_with(&self, item: usize, other: usize, reopened: Option<usize>) -> Option<Vec<usize>> {
        // Who was come by to each.
        let mut from: Vec<Option<usize>> = vec![None; self.entries.len()];
        let mut look = VecDeque::from([item]);
        while let Some(number) = look.pop_front() {
            if number == other {
                let mut way: Vec<usize> =
                    std::iter::successors(Some(other), |&number| if number == item { None } else { from[number] })
                        .collect();
                way.reverse();
                return Some(way);
            }
            for next in self.waits_for(number, reopened) {
                if next != item && from[next].is_none() {
                    from[next] = Some(number);
                    look.push_back(next);
                }
            }
        }
        None
    }

    /// An item that can be taken now, and that a worker waits for: for its result, or for what it comes after or needs the
    /// paths of.
    pub(super) fn waited_for(&self) -> Option<usize> {
        let awaited = self.workers.values().filter_map(|worker| worker.awaits);
        let mut look: Vec<usize> = awaited.filter(|&number| !self.entries[number].standing.has_ended()).collect();
        if look.is_empty() {
            return None;
        }
        let mut seen = vec![false; self.entries.len()];
        while let Some(number) = look.pop() {
            if std::mem::replace(&mut seen[number], true) {
                continue;
            }
            let entry = &self.entries[number];
            if self.lines[entry.line].ready.contains(&(entry.place, number)) && self.is_free(number) {
                return Some(number);
            }
            look.extend(self.waits_for(number, None));
        }
        None
    }

    /// What an item waits for itself, at this moment; `reopened` as if it had not ended.
    fn waits_for(&self, number: usize, reopened: Option<usize>) -> Vec<usize> {
        let entry = &self.entries[number];
        if entry.standing.has_ended() && reopened != Some(number) {
            return Vec::new();
        }
        match entry.holder {
            Some(worker) => self.workers.get(&worker).and_then(|worker| worker.awaits).into_iter().collect(),
            None => {
                let held = self.workers.values().filter_map(|worker| worker.holds);
                let writers = held.filter(|&held| self.write_the_same(number, held));
                entry.before.iter().copied().chain(writers).collect()
            }
        }
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
