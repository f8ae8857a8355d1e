//! Numbers of a few values, some of which may be far off: medians, and what is made of them.

/// The value in the middle; of two, what is between them. None: there are no values. What is not finite is left out.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => sorted.get(middle).copied(),
        _ => Some((sorted.get(middle - 1)? + sorted.get(middle)?) / 2.0),
    }
}

/// The smallest value that this share (0.0 to 1.0) of all is not above.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// How far values lie from their median, as a normal distribution's standard deviation: 1.4826 times the median of the
/// distances.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let distances: Vec<f64> =
        values.iter().filter(|value| value.is_finite()).map(|value| (value - middle).abs()).collect();
    median(&distances).map(|distance| distance * 1.4826)
}

/// The value at which half of the weight is reached. None: nothing has weight.
pub fn weighted_median(values: &mut Vec<(f64, f64)>) -> Option<f64> {
    values.retain(|(value, weight)| value.is_finite() && *weight > 0.0);
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for (number, (value, weight)) in values.iter().enumerate() {
        sum += weight;
        if (sum - half).abs() < half * 1e-9 {
            // Exactly between two.
            return Some(values.get(number + 1).map_or(*value, |next| (value + next.0) / 2.0));
        }
        if sum > half {
            return Some(*value);
        }
    }
    None
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// A value that is far above those before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unusual {
    /// The median of those before.
    pub median: f64,
    /// How many times that it is; none: those before are mostly nothing.
    pub times: Option<f64>,
}

/// So many values before are needed to call one unusual.
pub const FEWEST: usize = 5;

/// Whether a value is far above those before: at least twice their median, four of their deviations and `floor` above it.
/// The deviation counts as a tenth of the median at least, so that values that were all alike make no noise. None: it is
/// not, or too few are known.
pub fn unusual(before: &[f64], value: f64, floor: f64) -> Option<Unusual> {
    if before.iter().filter(|value| value.is_finite()).count() < FEWEST || !value.is_finite() {
        return None;
    }
    let median = median(before)?;
    let spread = deviation(before)?.max(median.abs() * 0.1);
    let above = value - median;
    let is_far = value >= 2.0 * median && above > 4.0 * spread && above > floor;
    let times = (median > 0.0).then(|| value / median);
    is_far.then_some(Unusual { median, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_far_off_moves_no_median() {
        assert_eq!(median(&[3.0, 1.0, 2.0, 1e9, f64::NAN]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 1e9]), Some(3.0));
        assert_eq!(median(&[]), None);
        assert_eq!(deviation(&[10.0, 11.0, 9.0, 10.0, 1e9]), Some(1.4826));
    }

    #[test]
    fn nine_of_ten_are_not_above_the_ninth() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.9), quantile(&values, 0.5), quantile(&[], 0.9)), (Some(9.0), Some(5.0), None));
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
    }

    #[test]
    fn half_of_the_weight_decides() {
        let of = |values: &[(f64, f64)]| weighted_median(&mut values.to_vec());
        assert_eq!(of(&[(1.0, 1.0), (2.0, 1.0), (9.0, 1.0)]), Some(2.0));
        assert_eq!(of(&[(1.0, 1.0), (9.0, 3.0)]), Some(9.0));
        assert_eq!(of(&[(1.0, 1.0), (9.0, 1.0)]), Some(5.0));
        assert_eq!(of(&[(1.0, 0.0), (f64::NAN, 1.0)]), None);
    }

    #[test]
    fn three_times_as_long_as_ever_is_unusual_and_a_little_longer_is_not() {
        let before = [60.0, 62.0, 61.0, 64.0, 62.0, 58.0, 63.0, 65.0, 62.0, 61.0];
        let found = unusual(&before, 192.2, 2.0).unwrap();
        assert_eq!((found.median, (found.times.unwrap() * 10.0).round()), (62.0, 31.0));
        for usual in [62.0, 90.0, 123.0, 10.0] {
            assert_eq!(unusual(&before, usual, 2.0), None, "{usual}");
        }
    }

    #[test]
    fn what_goes_up_and_down_anyway_is_not_unusual_where_it_is_up() {
        let before = [10.0, 80.0, 15.0, 70.0, 20.0, 90.0, 12.0, 60.0, 40.0, 30.0];
        assert_eq!(unusual(&before, 100.0, 2.0), None);
        assert!(unusual(&before, 400.0, 2.0).is_some());
    }

    #[test]
    fn with_few_runs_or_little_at_stake_nothing_is_said() {
        assert_eq!(unusual(&[1.0, 1.0, 1.0, 1.0], 900.0, 2.0), None, "four are too few");
        assert_eq!(unusual(&[0.1, 0.1, 0.1, 0.1, 0.1], 1.0, 2.0), None, "less than the floor");
        assert!(unusual(&[0.0; 5], 0.5, 0.1).is_some_and(|found| found.times.is_none()));
    }
}
