//! Which items each worker of a run is dealt. How many workers there are is a decision of the policy:
//! [`size`](crate::policy::builtin::size).
//!
//! Pure functions from facts to numbers: the same plan is always dealt the same way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::work::{Distribution, Item};

/// From so many items an instance, the plan says that there are many.
pub const CROWDED: usize = 15;

/// How many group names or labels the label of a segment shows.
const SHOWN: usize = 3;

/// The items planned for one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// What the terminal shows: its groups, or its first items.
    pub label: String,
    /// The numbers of its items in the run, in the order in which they should be taken.
    pub items: Vec<usize>,
}

/// How many groups these items have, and how many of them have none. Groups count only where items are dealt by group.
/// Pass only what is to be done: what is cached needs nobody.
pub fn counted<'a>(items: impl IntoIterator<Item = &'a Item>, distribute: Distribution) -> (usize, usize) {
    let (mut groups, mut alone) = (BTreeSet::new(), 0);
    for item in items {
        match &item.group {
            Some(group) if distribute == Distribution::ByGroup => {
                groups.insert(group.as_str());
            }
            _ => alone += 1,
        }
    }
    (groups.len(), alone)
}

/// What the plan says when there are more than [`CROWDED`] items an instance.
pub fn crowding_note(items: usize, workers: usize) -> Option<String> {
    let each = items.div_ceil(workers.max(1));
    (each > CROWDED).then(|| {
        let whom = if workers <= 1 { "one instance".to_owned() } else { format!("each of {workers} instances") };
        format!("up to {each} items for {whom}: 5 to 10 are good; more instances are faster")
    })
}

/// Deals items, given with their numbers in the run, to at most `workers` workers (0 counts as 1). Each item lands in
/// exactly one segment; there are no empty segments; the same input gives the same segments.
///
/// - By group: the heaviest group first, each to the worker with the least weight. A group stays together; items
///   without a group are dealt one by one.
/// - Evenly: neighbours in the plan stay together; the numbers of items differ by at most one.
/// - By weight: the heaviest item first, each to the worker with the least weight.
///
/// Inside a segment the heaviest comes first, and the plan's order decides between equals: what takes longest must not
/// begin last, also where another worker comes to help.
pub fn deal<'a>(
    items: impl IntoIterator<Item = (usize, &'a Item)>,
    workers: usize,
    distribute: Distribution,
) -> Vec<Segment> {
    let items: Vec<(usize, &Item)> = items.into_iter().collect();
    let workers = workers.clamp(1, items.len().max(1));
    let hands = match distribute {
        Distribution::ByGroup => longest_first(by_group(&items), workers),
        Distribution::ByWeight => longest_first(items.iter().map(|&item| Bundle::of(item)).collect(), workers),
        Distribution::Evenly => evenly(&items, workers),
    };
    hands.into_iter().filter(|hand| !hand.is_empty()).map(segment).collect()
}

/// What must stay together.
#[derive(Default)]
struct Bundle<'a> {
    name: &'a str,
    weight: u128,
    items: Vec<(usize, &'a Item)>,
}

impl<'a> Bundle<'a> {
    fn of(item: (usize, &'a Item)) -> Self {
        Self { name: &item.1.label, weight: weight(item.1), items: vec![item] }
    }
}

/// Wide enough that no sum of weights overflows.
fn weight(item: &Item) -> u128 {
    u128::from(item.weight.max(1))
}

fn by_group<'a>(items: &[(usize, &'a Item)]) -> Vec<Bundle<'a>> {
    let mut bundles: Vec<Bundle> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for &(number, item) in items {
        let Some(group) = &item.group else {
            bundles.push(Bundle::of((number, item)));
            continue;
        };
        let place = *places.entry(group).or_insert(bundles.len());
        if place == bundles.len() {
            bundles.push(Bundle { name: group, ..Bundle::default() });
        }
        bundles[place].weight += weight(item);
        bundles[place].items.push((number, item));
    }
    bundles
}

/// Longest processing time first: at most 4/3 of the best possible.
fn longest_first(mut bundles: Vec<Bundle<'_>>, workers: usize) -> Vec<Vec<Bundle<'_>>> {
    bundles.sort_by_key(|bundle| Reverse(bundle.weight));
    let mut lightest: BinaryHeap<_> = (0..workers).map(|worker| Reverse((0_u128, 0_usize, worker))).collect();
    let mut hands: Vec<Vec<Bundle>> = (0..workers).map(|_| Vec::new()).collect();
    for bundle in bundles {
        let Some(Reverse((load, count, worker))) = lightest.pop() else { break };
        lightest.push(Reverse((load + bundle.weight, count + bundle.items.len(), worker)));
        hands[worker].push(bundle);
    }
    hands
}

fn evenly<'a>(items: &[(usize, &'a Item)], workers: usize) -> Vec<Vec<Bundle<'a>>> {
    let (each, more) = (items.len() / workers, items.len() % workers);
    let mut rest = items;
    (0..workers)
        .map(|worker| {
            let (mine, others) = rest.split_at((each + usize::from(worker < more)).min(rest.len()));
            rest = others;
            mine.iter().map(|&item| Bundle::of(item)).collect()
        })
        .collect()
}

fn segment(hand: Vec<Bundle<'_>>) -> Segment {
    let mut label = hand.iter().take(SHOWN).map(|bundle| bundle.name).collect::<Vec<_>>().join(", ");
    if hand.len() > SHOWN {
        label.push_str(&format!(" + {} more", hand.len() - SHOWN));
    }
    let mut items: Vec<_> = hand.into_iter().flat_map(|bundle| bundle.items).collect();
    items.sort_by_key(|&(number, item)| (Reverse(weight(item)), number));
    Segment { label, items: items.into_iter().map(|(number, _)| number).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(id: usize, group: Option<&str>, weight: u64) -> Item {
        Item {
            id: format!("item-{id}"),
            label: format!("item {id}"),
            group: group.map(str::to_owned),
            weight,
            ..Item::default()
        }
    }

    fn plain(count: usize) -> Vec<Item> {
        (0..count).map(|id| item(id, None, 1)).collect()
    }

    fn grouped(count: usize, groups: usize) -> Vec<Item> {
        (0..count).map(|id| item(id, Some(&format!("group {}", id % groups)), 1)).collect()
    }

    fn numbers(segments: &[Segment]) -> Vec<Vec<usize>> {
        segments.iter().map(|segment| segment.items.clone()).collect()
    }

    fn all(items: &[Item], workers: usize, distribute: Distribution) -> Vec<Segment> {
        deal(items.iter().enumerate(), workers, distribute)
    }

    #[test]
    fn groups_count_only_where_items_are_dealt_by_group() {
        let mut items = grouped(4, 2);
        items.extend(plain(15));
        assert_eq!(counted(&items, Distribution::ByGroup), (2, 15));
        assert_eq!(counted(&items, Distribution::ByWeight), (0, 19));
        assert_eq!(counted(&[], Distribution::ByGroup), (0, 0));
    }

    #[test]
    fn more_than_fifteen_items_an_instance_are_said() {
        assert_eq!(crowding_note(120, 8), None);
        assert!(crowding_note(158, 8).is_some_and(|note| note.contains("20 items")));
        assert_eq!(crowding_note(0, 0), None);
    }

    #[test]
    fn the_heaviest_group_goes_first_to_the_lightest_worker() {
        let weights = [("a", 5), ("b", 4), ("c", 3), ("d", 3), ("e", 3)];
        let items: Vec<_> =
            weights.iter().enumerate().map(|(id, (group, weight))| item(id, Some(group), *weight)).collect();
        let segments = all(&items, 2, Distribution::ByGroup);
        assert_eq!(numbers(&segments), [vec![0, 3], vec![1, 2, 4]]);
        assert_eq!(segments[1].label, "b, c, e");
    }

    #[test]
    fn fewer_groups_than_workers_leave_no_empty_segment() {
        let segments = all(&grouped(6, 2), 5, Distribution::ByGroup);
        assert_eq!(numbers(&segments), [vec![0, 2, 4], vec![1, 3, 5]]);
    }

    #[test]
    fn evenly_keeps_neighbours_together_and_differs_by_at_most_one() {
        let segments = all(&plain(7), 3, Distribution::Evenly);
        assert_eq!(numbers(&segments), [vec![0, 1, 2], vec![3, 4], vec![5, 6]]);
        let segments = all(&plain(5), 1, Distribution::Evenly);
        assert_eq!(segments[0].label, "item 0, item 1, item 2 + 2 more");
    }

    #[test]
    fn by_weight_puts_the_longest_first() {
        let items: Vec<_> = [2, 7, 3, 0, 4].iter().enumerate().map(|(id, weight)| item(id, None, *weight)).collect();
        assert_eq!(numbers(&all(&items, 2, Distribution::ByWeight)), [vec![1, 0], vec![4, 2, 3]]);
    }

    #[test]
    fn only_the_items_passed_are_dealt_and_keep_their_numbers() {
        let items = plain(4);
        let segments = deal(items.iter().enumerate().skip(2), 2, Distribution::ByWeight);
        assert_eq!(numbers(&segments), [vec![2], vec![3]]);
    }

    proptest! {
        #[test]
        fn every_item_is_dealt_exactly_once_and_groups_stay_together(
            shape in prop::collection::vec((prop::option::of(0_u8..6), prop_oneof![0_u64..9, Just(u64::MAX)]), 0..60),
            workers in 0_usize..12,
            way in 0_usize..3,
        ) {
            let distribute = [Distribution::ByGroup, Distribution::Evenly, Distribution::ByWeight][way];
            let items: Vec<_> = shape
                .iter()
                .enumerate()
                .map(|(id, (group, weight))| item(id, group.map(|group| group.to_string()).as_deref(), *weight))
                .collect();
            let segments = all(&items, workers, distribute);
            prop_assert!(segments.len() <= workers.max(1));
            prop_assert!(segments.iter().all(|segment| !segment.items.is_empty() && !segment.label.is_empty()));
            let mut dealt: Vec<_> = numbers(&segments).concat();
            dealt.sort_unstable();
            prop_assert_eq!(dealt, (0..items.len()).collect::<Vec<_>>());
            let holders = |group: u8| {
                let holds = |segment: &&Segment| segment.items.iter().any(|item| shape[*item].0 == Some(group));
                segments.iter().filter(holds).count()
            };
            prop_assert!(distribute != Distribution::ByGroup || (0..6).all(|group| holders(group) <= 1));
            prop_assert_eq!(all(&items, workers, distribute), segments);
        }
    }
}
