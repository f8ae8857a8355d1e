//! How bad a hole is: vectors of the Common Vulnerability Scoring System, and the words that databases use.

mod v2;
mod v3;
mod v4;

#[cfg(test)]
mod tests;

use convoke_sdk::Severity;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The band.
    pub severity: Severity,
    /// From 0 to 10, where a vector gives it.
    pub score: Option<f64>,
}

/// Longer texts are no vector.
const LONGEST: usize = 500;

/// The most metrics that a version of the system has.
const METRICS: usize = 32;

/// What a vector of CVSS 2.0, 3.0, 3.1 or 4.0 says: the base score of the first three, and of 4.0 that of all metrics that
/// it names. Bands are those of the specifications, for 2.0 those of the National Vulnerability Database, which has no
/// critical. A score of 0 is `info`.
///
/// None: it is no vector, or a metric is missing that must be there, is there twice, or is none of its version.
pub fn rate(vector: &str) -> Option<Rating> {
    let vector = vector.trim();
    let vector = vector.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(vector);
    if vector.len() > LONGEST {
        return None;
    }
    // A vector of 2.0 has no name in front.
    let (version, metrics) = match vector.strip_prefix("CVSS:") {
        Some(named) => named.split_once('/')?,
        None => ("", vector),
    };
    let tenths = match version {
        "" => v2::score(&read(metrics, v2::METRICS, v2::MANDATORY, str::eq)?),
        "3.0" | "3.1" => v3::score(&read(metrics, v3::METRICS, v3::MANDATORY, str::eq_ignore_ascii_case)?, version),
        "4.0" => v4::score(&read(metrics, v4::METRICS, v4::MANDATORY, str::eq_ignore_ascii_case)?),
        _ => return None,
    };
    let severity = match tenths {
        0 if !version.is_empty() => Severity::Info,
        0..40 => Severity::Low,
        40..70 => Severity::Medium,
        70..90 => Severity::High,
        _ if version.is_empty() => Severity::High,
        _ => Severity::Critical,
    };
    Some(Rating { severity, score: Some(f64::from(tenths) / 10.0) })
}

/// Which value each metric has: the index of its word in the metric's line of `known`, 0 where the metric is not named.
///
/// `known` has a line a metric, its name and its values with a space between, those first that must be there: `mandatory`
/// counts them. 2.0 tells small letters from capitals, the others were always read without.
///
/// None: a part is no metric of `known`, or is there twice, or one is missing.
fn read(vector: &str, known: &str, mandatory: u32, same: fn(&str, &str) -> bool) -> Option<[u8; METRICS]> {
    let mut values = [0; METRICS];
    let mut seen = 0_u32;
    for part in vector.split('/') {
        let (name, value) = part.split_once(':')?;
        let (place, mut words) = known.lines().enumerate().find_map(|(place, line)| {
            let mut words = line.split(' ');
            words.next().is_some_and(|word| same(word, name)).then_some((place, words))
        })?;
        *values.get_mut(place)? = words.position(|word| same(word, value))? as u8;
        let bit = 1 << place;
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
    }
    (seen.trailing_ones() >= mandatory).then_some(values)
}

/// What a word says: GitHub's `MODERATE`, Ubuntu's `negligible`, the names of the bands.
pub fn word(text: &str) -> Option<Rating> {
    let severity = match text.trim().to_ascii_lowercase().as_str() {
        "none" | "informational" | "info" => Severity::Info,
        "negligible" | "low" => Severity::Low,
        "moderate" | "medium" => Severity::Medium,
        "high" | "important" => Severity::High,
        "critical" => Severity::Critical,
        _ => return None,
    };
    Some(Rating { severity, score: None })
}

/// The worse of two.
pub fn worse(a: Option<Rating>, b: Option<Rating>) -> Option<Rating> {
    let (Some(first), Some(second)) = (a, b) else { return a.or(b) };
    let key = |rating: &Rating| (rating.severity, rating.score.unwrap_or(-1.0));
    Some(if key(&second) > key(&first) { second } else { first })
}
