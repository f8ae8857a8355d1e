//! What something will probably take, by what the same took before.
//!
//! Three ways to look at the past are tried on the past itself: each run is foretold from the others, and the way that is
//! nearest is taken. How far it was off then is the error that is told. Where too little is known nothing is said.

use crate::robust::{median, weighted_median};

/// So many are needed to say anything: with fewer there is no error to tell.
pub const FEWEST: usize = 4;

/// More are not looked at: what was long ago says less, and it takes time.
pub const MOST: usize = 24;

/// Beyond so many times the largest, or below that part of the smallest, nothing is said.
const FARTHEST: f64 = 10.0;

/// What was seen once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// How much there was to do: items, or items for each worker.
    pub size: f64,
    /// What it took.
    pub took: f64,
    /// How much it is like what is foretold: 1 is the same, 0 does not count.
    pub likeness: f64,
}

/// What will probably be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// As likely more as less.
    pub middle: f64,
    /// Seldom less.
    pub low: f64,
    /// Seldom more.
    pub high: f64,
    /// The share of times that it will be between the two, 0.0 to 1.0: as sure as so few runs can make it.
    pub share: f64,
    /// Of how many runs it is made.
    pub runs: usize,
}

/// How what was seen is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// So much for each of the size.
    Each,
    /// So much, and so much for each.
    Line,
    /// Always the same.
    Level,
}

impl Way {
    const ALL: [Self; 3] = [Self::Each, Self::Line, Self::Level];

    /// What it says of a size; none: it can't say.
    fn foretell(self, seen: &[Seen], size: f64) -> Option<f64> {
        let middle = |value: &dyn Fn(&Seen) -> f64| {
            weighted_median(&mut seen.iter().map(|one| (value(one), one.likeness)).collect())
        };
        let foretold = match self {
            Self::Each => middle(&|one| one.took / one.size)? * size,
            Self::Level => middle(&|one| one.took)?,
            Self::Line => {
                // The median of all slopes: a third of what was seen may be wrong.
                let mut slopes = Vec::new();
                for (number, one) in seen.iter().enumerate() {
                    for other in &seen[number + 1..] {
                        let apart = other.size - one.size;
                        if apart.abs() > 0.1 * one.size.max(other.size) {
                            slopes.push(((other.took - one.took) / apart, one.likeness * other.likeness));
                        }
                    }
                }
                let slope = weighted_median(&mut slopes)?.max(0.0);
                let base = middle(&|one| one.took - slope * one.size)?.max(0.0);
                base + slope * size
            }
        };
        foretold.is_finite().then_some(foretold)
    }

    /// By how many times each was off when it was foretold from the others, as a logarithm. None: one can't be.
    fn errors(self, seen: &[Seen], small: f64) -> Option<Vec<f64>> {
        let mut others = Vec::with_capacity(seen.len());
        let errors = (0..seen.len()).map(|left_out| {
            others.clear();
            others.extend(seen.iter().enumerate().filter(|(number, _)| *number != left_out).map(|(_, one)| *one));
            let one = seen.get(left_out)?;
            Some(off(one.took, self.foretell(&others, one.size)?, small))
        });
        errors.collect()
    }
}

/// By how many times it was more than was foretold, as a logarithm. What is small beside the others counts as equal.
fn off(took: f64, foretold: f64, small: f64) -> f64 {
    ((took + small) / (foretold + small)).ln()
}

/// What a size will take, by what was seen. The newest come first: more than [`MOST`] are not looked at.
pub fn expect(seen: &[Seen], size: f64) -> Option<Expected> {
    let counts = |one: &&Seen| one.size > 0.0 && one.took.is_finite() && one.took >= 0.0 && one.likeness > 0.0;
    let seen: Vec<Seen> = seen.iter().filter(counts).take(MOST).copied().collect();
    if seen.len() < FEWEST || !size.is_finite() || size <= 0.0 {
        return None;
    }
    let (smallest, largest) =
        seen.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), one| (low.min(one.size), high.max(one.size)));
    let beyond = (size / largest).max(smallest / size).max(1.0);
    if beyond > FARTHEST {
        return None;
    }
    let takes: Vec<f64> = seen.iter().map(|one| one.took).collect();
    if takes.iter().all(|took| *took == 0.0) {
        let share = share(seen.len());
        return Some(Expected { middle: 0.0, low: 0.0, high: 0.0, share, runs: seen.len() });
    }
    let mean = takes.iter().sum::<f64>() / takes.len() as f64;
    let small = 0.02 * median(&takes).filter(|median| *median > 0.0).unwrap_or(mean);
    let mut best: Option<(f64, Way, Vec<f64>)> = None;
    for way in Way::ALL {
        // Where the size is another one than ever it matters, whatever it did before.
        if way == Way::Level && beyond > 1.5 {
            continue;
        }
        let Some(errors) = way.errors(&seen, small) else { continue };
        let distances = errors.iter().zip(&seen).map(|(error, one)| (error.abs(), one.likeness));
        let Some(distance) = weighted_median(&mut distances.collect()) else { continue };
        if best.as_ref().is_none_or(|(least, ..)| distance < *least * 0.95) {
            best = Some((distance, way, errors));
        }
    }
    let (_, way, mut errors) = best?;
    let middle = way.foretell(&seen, size)?;
    errors.sort_by(f64::total_cmp);
    let cut = cut(errors.len());
    // Nobody has seen how it goes on beyond.
    let doubt = beyond.ln() * 0.5;
    let least = errors.get(cut).copied()?.min(0.0) - doubt;
    let most = errors.get(errors.len() - 1 - cut).copied()?.max(0.0) + doubt;
    let bound = |error: f64| ((middle + small) * error.exp() - small).max(0.0);
    let (low, high) = (bound(least).min(middle), bound(most).max(middle));
    Some(Expected { middle, low, high, share: share(errors.len()), runs: errors.len() })
}

/// How many of the errors at either end are left out: as many as leave four of five within.
fn cut(errors: usize) -> usize {
    (((errors + 1) as f64 * 0.1).floor() as usize).saturating_sub(1)
}

/// How often the next one is between the two that are left at the ends, as each place among the others is as likely.
fn share(errors: usize) -> f64 {
    (errors as f64 - 1.0 - 2.0 * cut(errors) as f64) / (errors as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn seen(size: f64, took: f64) -> Seen {
        Seen { size, took, likeness: 1.0 }
    }

    #[test]
    fn without_a_history_nothing_is_said() {
        let three = [seen(10.0, 60.0), seen(10.0, 61.0), seen(10.0, 62.0)];
        assert_eq!(expect(&three, 10.0), None);
        assert_eq!(expect(&[], 10.0), None);
        let four = [three[0], three[1], three[2], seen(12.0, 70.0)];
        assert!(expect(&four, 10.0).is_some());
        assert_eq!((expect(&four, 0.0), expect(&four, 130.0), expect(&four, 0.9)), (None, None, None), "too far away");
    }

    #[test]
    fn twice_the_items_take_twice_the_tokens() {
        let history: Vec<Seen> = [5.0, 8.0, 12.0, 20.0, 9.0].map(|size| seen(size, size * 1_000.0)).to_vec();
        let expected = expect(&history, 40.0).unwrap();
        assert_eq!((expected.middle.round(), expected.runs), (40_000.0, 5));
        assert!(expected.low < 40_000.0 && expected.high > 40_000.0, "beyond what was seen it is less sure");
    }

    #[test]
    fn what_is_there_before_the_first_item_is_no_part_of_each() {
        let history: Vec<Seen> = [2.0, 4.0, 8.0, 16.0, 30.0, 6.0].map(|size| seen(size, 20.0 + size)).to_vec();
        let expected = expect(&history, 20.0).unwrap();
        assert!((expected.middle - 40.0).abs() < 0.5, "{expected:?}");
    }

    #[test]
    fn one_run_that_stood_still_for_a_day_does_not_count() {
        let mut history: Vec<Seen> = (0..9).map(|number| seen(10.0, 60.0 + f64::from(number))).collect();
        history.push(seen(10.0, 86_400.0));
        let expected = expect(&history, 10.0).unwrap();
        assert!((60.0..70.0).contains(&expected.middle), "{expected:?}");
    }

    #[test]
    fn what_is_alike_counts_more() {
        let mut history: Vec<Seen> = (0..6).map(|_| seen(10.0, 100.0)).collect();
        history.extend((0..6).map(|_| Seen { likeness: 0.2, ..seen(10.0, 900.0) }));
        assert_eq!(expect(&history, 10.0).unwrap().middle, 100.0);
    }

    #[test]
    fn nothing_was_asked_and_nothing_will_be() {
        let history = [seen(10.0, 0.0); 5];
        let expected = expect(&history, 10.0).unwrap();
        assert_eq!((expected.middle, expected.high), (0.0, 0.0));
    }

    #[test]
    fn the_fewer_runs_the_less_sure() {
        assert_eq!((share(4), cut(4)), (0.6, 0));
        assert_eq!((share(9), cut(9)), (0.8, 0));
        assert_eq!((share(19), cut(19)), (0.8, 1));
        assert!((share(40) - 0.8).abs() < 0.05, "{}", share(40));
    }

    /// Histories of a made command: each further run is foretold from those before it, which did not know it.
    #[test]
    fn on_a_history_that_it_has_not_seen_the_error_is_as_it_is_told() {
        let mut chance = StdRng::seed_from_u64(7);
        let (mut within, mut told, mut all, mut distances) = (0.0, 0.0, 0.0, Vec::new());
        for base in [0.0, 5.0, 30.0] {
            let mut history: Vec<Seen> = Vec::new();
            for _ in 0..200 {
                let size = f64::from(chance.random_range(4..60_u32));
                // A fifth up or down, and one of twenty runs far off.
                let noise: f64 = chance.random_range(0.8..1.25);
                let noise = if chance.random_range(0..20_u32) == 0 { noise * 6.0 } else { noise };
                let took = (base + size * 2.0) * noise;
                let newest: Vec<Seen> = history.iter().rev().copied().collect();
                if let Some(expected) = expect(&newest, size) {
                    all += 1.0;
                    told += expected.share;
                    within += f64::from(u8::from((expected.low..=expected.high).contains(&took)));
                    distances.push((took / expected.middle).ln().abs());
                }
                history.push(seen(size, took));
            }
        }
        assert!(all > 580.0, "{all}");
        let (within, told) = (within / all, told / all);
        assert!((within - told).abs() < 0.06, "told {told:.2}, and it was {within:.2}");
        let typical = median(&distances).unwrap().exp();
        assert!(typical < 1.18, "typically off by {typical:.2} times");
    }
}
