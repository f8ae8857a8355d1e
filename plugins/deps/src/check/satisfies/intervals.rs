//! Intervals, as Maven, Gradle and NuGet write them: `[1.0,2.0)`, `(,1.0]`, `[1.2]`.

use super::any;
use crate::model::Manager;
use crate::versions::compare;

/// Whether a version lies in a range.
pub(super) fn satisfies(manager: Manager, range: &str, version: &str) -> Option<bool> {
    if range.starts_with(['[', '(', ']']) {
        return any(split(range)?.into_iter().map(|interval| lies_in(manager, interval, version)));
    }
    let order = |wanted: &str| compare(manager.ecosystem(), version, wanted);
    match manager {
        Manager::NuGet if range.contains('*') => match range.split(['*', '-']).next()?.trim_end_matches('.') {
            "" => Some(true),
            // The least that a floating version takes.
            least => Some(order(least)?.is_ge()),
        },
        Manager::NuGet => Some(order(range)?.is_ge()),
        Manager::Gradle if range.ends_with('+') => Some(version.starts_with(range.trim_end_matches('+'))),
        // A wish, which another dependency may override.
        _ => order(range)?.is_eq().then_some(true),
    }
}

/// The intervals of a union: `(,1.0],[1.2,)`. None: it is not one.
fn split(range: &str) -> Option<Vec<&str>> {
    let mut intervals = Vec::new();
    let mut rest = range.trim();
    while !rest.is_empty() {
        // Gradle also opens with `]` and closes with `[`, so an end is what follows the beginning.
        let end = rest.char_indices().skip(1).find(|(_, char)| matches!(char, ']' | ')' | '['))?.0 + 1;
        intervals.push(&rest[..end]);
        rest = rest[end..].trim_start().trim_start_matches(',').trim_start();
    }
    Some(intervals)
}

fn lies_in(manager: Manager, interval: &str, version: &str) -> Option<bool> {
    let opens = interval.chars().next()?;
    let closes = interval.chars().next_back()?;
    let inner = interval.get(opens.len_utf8()..interval.len() - closes.len_utf8())?;
    let order = |end: &str| compare(manager.ecosystem(), version, end);
    let mut ends = inner.split(',').map(str::trim);
    match (ends.next()?, ends.next(), ends.next()) {
        ("", None, _) | (_, _, Some(_)) => None,
        (one, None, None) => Some(order(one)?.is_eq()),
        (from, Some(to), None) => {
            let after = from.is_empty() || {
                let order = order(from)?;
                order.is_gt() || (opens == '[' && order.is_eq())
            };
            let before = to.is_empty() || {
                let order = order(to)?;
                order.is_lt() || (closes == ']' && order.is_eq())
            };
            Some(after && before)
        }
    }
}
