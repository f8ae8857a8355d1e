//! Which agents are nearly the same: the share of five-word stretches that two of them have in common.
//!
//! Exact, and fast for thousands of files: two texts that are 80 % alike must share one of their rarest stretches
//! (prefix filtering, as in Chaudhuri et al. 2006 and Bayardo et al. 2007), so only those that do are compared.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use crate::text::words;

/// Words in a stretch.
const STRETCH: usize = 5;
/// Texts with fewer stretches say too little to be a copy of anything.
const FEWEST: usize = 25;
/// The nearness, in percent, from which two texts are reported.
pub const REPORTED: u8 = 80;
/// Half a percent below, as nearness is rounded to whole percent.
const THRESHOLD: f64 = 0.795;
/// The most others that a text is compared with: those that share the most of its rare stretches. It matters only in
/// crowds of more than so many that are all alike.
const MOST_COMPARED: usize = 64;
/// The most others that are named.
const MOST_NAMED: usize = 3;

/// What spreads a number over all bits: an odd number near 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hasher for numbers, without a random seed: results must not differ between runs. The keys are hashes already, or
/// small numbers in a row; hashing them well would take most of the time of a search.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Fixed = BuildHasherDefault<Spread>;

/// For each text, the nearest others of at least [`REPORTED`] percent, nearest first, by their index.
pub fn nearest(texts: &[&str]) -> Vec<Vec<(usize, u8)>> {
    let sets: Vec<Vec<u64>> = texts.iter().map(|text| stretches(text)).collect();
    let mut frequency: HashMap<u64, u32, Fixed> = HashMap::default();
    for stretch in sets.iter().flatten() {
        *frequency.entry(*stretch).or_default() += 1;
    }
    // The rarest stretches of each text: one of them is in every text that is near enough.
    let prefixes: Vec<Vec<u64>> = sets
        .iter()
        .map(|set| {
            let mut rarest = set.clone();
            rarest.sort_unstable_by_key(|stretch| (frequency.get(stretch).copied().unwrap_or(0), *stretch));
            rarest.truncate(set.len() - (THRESHOLD * set.len() as f64).ceil() as usize + 1);
            rarest
        })
        .collect();
    let mut holders: HashMap<u64, Vec<u32>, Fixed> = HashMap::default();
    for (at, prefix) in (0..).zip(&prefixes) {
        for stretch in prefix {
            holders.entry(*stretch).or_default().push(at);
        }
    }
    prefixes
        .iter()
        .enumerate()
        .map(|(at, prefix)| {
            let mut shared: HashMap<u32, u32, Fixed> = HashMap::default();
            for stretch in prefix {
                for &other in holders.get(stretch).into_iter().flatten().take(MOST_COMPARED * 4) {
                    *shared.entry(other).or_default() += 1;
                }
            }
            let mut candidates: Vec<(u32, u32)> =
                shared.into_iter().filter(|(other, _)| *other as usize != at).collect();
            candidates.sort_unstable_by_key(|(other, count)| (std::cmp::Reverse(*count), *other));
            let mut near: Vec<(usize, u8)> = candidates
                .into_iter()
                .take(MOST_COMPARED)
                .map(|(other, _)| (other as usize, percent(&sets[at], &sets[other as usize])))
                .filter(|(_, percent)| *percent >= REPORTED)
                .collect();
            near.sort_unstable_by_key(|(other, percent)| (std::cmp::Reverse(*percent), *other));
            near.truncate(MOST_NAMED);
            near
        })
        .collect()
}

/// The different stretches of a text, ascending. Empty for a text that is too short.
fn stretches(text: &str) -> Vec<u64> {
    // Each word is hashed well, once; a stretch is made of the hashes of its words.
    let words: Vec<u64> = words(text)
        .map(|word| {
            let mut hasher = DefaultHasher::new();
            word.hash(&mut hasher);
            hasher.finish()
        })
        .collect();
    let mut hashes: Vec<u64> = words
        .windows(STRETCH)
        .map(|stretch| {
            let mut hasher = Spread::default();
            stretch.iter().for_each(|word| hasher.write_u64(*word));
            hasher.finish()
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.len() < FEWEST {
        hashes.clear();
    }
    hashes
}

/// How much of all their stretches two texts have in common, in whole percent. 100 only when they have the same.
fn percent(a: &[u64], b: &[u64]) -> u8 {
    let (mut i, mut j, mut common) = (0, 0, 0usize);
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        match left.cmp(right) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                (i, j, common) = (i + 1, j + 1, common + 1);
            }
        }
    }
    let all = a.len() + b.len() - common;
    if all == 0 {
        return 0;
    }
    let share = (common as f64 / all as f64 * 100.0).round();
    if common == all { 100 } else { share.min(99.0) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of different words, of which each `every`th is another.
    fn text(length: usize, every: usize) -> String {
        (0..length)
            .map(|at| if every > 0 && at % every == 0 { format!("other{at} ") } else { format!("word{at} ") })
            .collect()
    }

    fn near(texts: &[String]) -> Vec<Vec<(usize, u8)>> {
        nearest(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn a_copy_is_100_percent_and_a_changed_one_less() {
        let found = near(&[text(400, 0), text(400, 0), text(400, 100), "nothing alike ".repeat(200)]);
        assert_eq!(found[0], [(1, 100), (2, 92)]);
        assert_eq!(found[2], [(0, 92), (1, 92)]);
        assert_eq!(found[3], []);
    }

    #[test]
    fn less_than_80_percent_is_not_reported() {
        assert_eq!(near(&[text(400, 0), text(400, 30)]), [vec![], vec![]]);
    }

    #[test]
    fn short_texts_are_no_copies() {
        assert_eq!(near(&[text(20, 0), text(20, 0), String::new()]), [vec![], vec![], vec![]]);
    }

    /// The filter must not lose what comparing each with each finds.
    #[test]
    fn it_finds_what_comparing_each_with_each_finds() {
        let texts: Vec<String> = (0..40).map(|at| text(300 + at % 5, 20 + at * 3)).collect();
        let sets: Vec<Vec<u64>> = texts.iter().map(|text| stretches(text)).collect();
        for (at, found) in near(&texts).into_iter().enumerate() {
            let mut expected: Vec<(usize, u8)> = (0..sets.len())
                .filter(|other| *other != at)
                .map(|other| (other, percent(&sets[at], &sets[other])))
                .filter(|(_, percent)| *percent >= REPORTED)
                .collect();
            expected.sort_by_key(|(other, percent)| (std::cmp::Reverse(*percent), *other));
            expected.truncate(MOST_NAMED);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_crowd_of_copies_takes_no_ages() {
        let texts: Vec<String> = (0..400).map(|at| format!("{} {at}", text(200, 0))).collect();
        let found = near(&texts);
        assert!(found.iter().all(|near| near.len() == MOST_NAMED));
    }
}
