//! Ordered maps, sets and sorting that make little code.
//!
//! Each map of another type of the standard library's adds 4 to 8 kB to a component, each sorting of another type 4 kB. A command
//! with a hundred of them is mostly that. Here what is dear exists once, for numbers of places, and a new type adds some hundred
//! bytes. What stands in a map is in the order of its keys, as in a `BTreeMap`; finding, adding and taking out take about as
//! long.

mod map;
mod places;
mod set;

use std::cmp::Ordering;

pub use map::{Entry, Map};
pub use set::Set;

/// Sorts; what is equal stays in its order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by a key; what has the same one stays in its order.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Sorts by a comparison; what is equal stays in its order.
pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let order = places::sorted(items.len(), &|one, other| compare(&items[one], &items[other]));
    places::arrange(order, &mut |one, other| items.swap(one, other));
}

#[cfg(test)]
mod tests;
