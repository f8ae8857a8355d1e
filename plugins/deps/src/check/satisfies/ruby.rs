//! Requirements of RubyGems (`Gem::Requirement`).

use super::{all, holds, split_operator};
use crate::model::Ecosystem;
use crate::versions::compare;

/// Whether a version fits all of the requirements.
pub(super) fn satisfies(range: &str, version: &str) -> Option<bool> {
    let range = range.strip_prefix('(').and_then(|range| range.strip_suffix(')')).unwrap_or(range);
    all(range.split(',').map(|requirement| one(requirement.trim().trim_matches(['"', '\'']), version)))
}

fn one(requirement: &str, version: &str) -> Option<bool> {
    let (operator, wanted) = split_operator(requirement, &["~>", ">=", "<=", "!=", ">", "<", "="]);
    let order = compare(Ecosystem::RubyGems, version, wanted)?;
    match operator {
        "" => holds("=", order),
        "~>" => Some(order.is_ge() && compare(Ecosystem::RubyGems, &release(version), &bumped(wanted)?)?.is_lt()),
        operator => holds(operator, order),
    }
}

/// The numbers before the first letter (`Gem::Version#release`).
fn release(version: &str) -> String {
    let numbers = version.split('.').take_while(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.collect::<Vec<_>>().join(".")
}

/// The last number goes, and the one before it grows (`Gem::Version#bump`).
fn bumped(version: &str) -> Option<String> {
    let release = release(version);
    let mut numbers = release.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    if numbers.len() > 1 {
        numbers.pop();
    }
    let last = numbers.last_mut()?;
    *last = last.checked_add(1)?;
    Some(numbers.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}
