use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Numbers that look like chance, the same in each run.
fn numbers(count: usize, below: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    })
    .take(count)
}

#[test]
fn a_map_is_what_the_standard_library_s_is_whatever_is_done() {
    for below in [3, 40, 2_000, 100_000] {
        let (mut small, mut standard) = (Map::new(), BTreeMap::new());
        for (step, number) in numbers(20_000, below).enumerate() {
            match step % 5 {
                0 => assert_eq!(small.remove(&number), standard.remove(&number)),
                1 => assert_eq!(small.get(&number), standard.get(&number)),
                2 => *small.entry(number).or_default() += 1,
                _ => assert_eq!(small.insert(number, step), standard.insert(number, step)),
            }
            if step % 5 == 2 {
                *standard.entry(number).or_default() += 1;
            }
        }
        assert_eq!(small.len(), standard.len());
        assert!(small.iter().eq(&standard) && small.iter().rev().eq(standard.iter().rev()));
        assert_eq!(small.first_key_value(), standard.first_key_value());
        assert_eq!(small.last_key_value(), standard.last_key_value());
        assert!(small.into_iter().eq(standard));
    }
}

#[test]
fn what_is_borrowed_finds_what_is_owned() {
    let mut map = Map::from([("b".to_owned(), 2), ("a".to_owned(), 1)]);
    assert_eq!((map.get("a"), map.contains_key("c"), map["b"]), (Some(&1), false, 2));
    map.entry("a".to_owned()).and_modify(|one| *one += 10).or_insert(0);
    map.values_mut().for_each(|value| *value += 50);
    map.iter_mut().for_each(|(_, value)| *value += 50);
    map.insert("c".to_owned(), 0);
    map.retain(|_, value| *value > 0);
    assert_eq!(map.get_key_value("b").map(|(key, value)| (key.as_str(), *value)), Some(("b", 102)));
    assert_eq!(format!("{map:?}"), r#"{"a": 111, "b": 102}"#);
    assert_eq!(map, Map::from([("a".to_owned(), 111), ("b".to_owned(), 102)]));
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(
        (json.as_str(), serde_json::from_str::<Map<String, i32>>(&json).unwrap()),
        (r#"{"a":111,"b":102}"#, map)
    );
}

#[test]
fn a_set_has_each_once_and_in_order() {
    let numbers: Vec<u64> = numbers(5_000, 1_000).collect();
    let (small, standard): (Set<u64>, BTreeSet<u64>) =
        (numbers.iter().copied().collect(), numbers.iter().copied().collect());
    assert!(small.iter().eq(&standard) && (&small).into_iter().eq(&standard));
    assert_eq!((small.len(), small.first(), small.last()), (standard.len(), standard.first(), standard.last()));
    let mut few = Set::from(["b", "a", "b"]);
    assert!(!few.insert("a") && few.insert("c") && few.remove("b") && !few.contains("b"));
    assert_eq!(format!("{few:?}"), r#"{"a", "c"}"#);
    assert!(few < Set::from(["b"]) && Set::<&str>::new().is_empty());
}

#[test]
fn sorting_keeps_the_order_of_what_is_equal() {
    let mut small: Vec<(u64, usize)> = numbers(3_000, 50).zip(0..).collect();
    let mut standard = small.clone();
    sort_by_key(&mut small, |(number, _)| *number);
    standard.sort_by_key(|(number, _)| *number);
    assert_eq!(small, standard);
    sort_by(&mut small, |one, other| other.cmp(one));
    standard.sort_by(|one, other| other.cmp(one));
    assert_eq!(small, standard);
    let mut words = ["c", "", "b", "a"].map(str::to_owned);
    sort(&mut words);
    assert_eq!(words, ["", "a", "b", "c"]);
    sort::<String>(&mut []);
}
