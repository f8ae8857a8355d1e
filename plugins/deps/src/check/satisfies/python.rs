//! Specifiers of Python: PEP 440, and the carets and tildes of poetry.

use super::{all, any, holds, split_operator};
use crate::model::Ecosystem;
use crate::versions::compare;

const OPERATORS: &[&str] = &["===", "==", "!=", "~=", "<=", ">=", "<", ">", "^", "~", "="];

/// Whether a version lies in a set of specifiers.
pub(super) fn satisfies(range: &str, version: &str) -> Option<bool> {
    let range = range.strip_prefix('(').and_then(|range| range.strip_suffix(')')).unwrap_or(range);
    let alternatives = range.split('|').filter(|set| !set.trim().is_empty() || range.trim().is_empty());
    any(alternatives.map(|set| all(set.split(',').map(|specifier| one(specifier, version)))))
}

fn one(specifier: &str, version: &str) -> Option<bool> {
    let (operator, wanted) = split_operator(specifier, OPERATORS);
    match (operator, wanted) {
        ("", "" | "*") | ("==", "*") => return Some(release(version).is_some()),
        (_, "") => return None,
        ("===", wanted) => return Some(wanted == version),
        _ => {}
    }
    // A label of one's own builder counts only where it is asked for.
    let public = if wanted.contains('+') { version } else { version.split('+').next()? };
    if let Some(prefix) = wanted.strip_suffix(".*") {
        let begins = begins_with(public, prefix)?;
        return match operator {
            "" | "=" | "==" => Some(begins),
            "!=" => Some(!begins),
            _ => None,
        };
    }
    let order = compare(Ecosystem::PyPI, public, wanted)?;
    match operator {
        "" => holds("==", order),
        "~=" => {
            let (_, numbers) = release(wanted)?;
            let (_, before) = numbers.split_last().filter(|(_, before)| !before.is_empty())?;
            Some(order.is_ge() && starts(&release(public)?, &(release(wanted)?.0, before.to_vec())))
        }
        "^" => Some(order.is_ge() && is_before(public, wanted, caret)?),
        "~" => Some(order.is_ge() && is_before(public, wanted, tilde)?),
        // Later releases of the same version are not after it, and its own candidates not before it (PEP 440, "Exclusive
        // ordered comparison").
        ">" if !wanted.contains("post") && public.contains("post") && same_release(public, wanted)? => Some(false),
        "<" if is_final(wanted) && !is_final(public) && same_release(public, wanted)? && !public.contains("post") => {
            Some(false)
        }
        operator => holds(operator, order),
    }
}

/// The epoch and the numbers of a version.
fn release(version: &str) -> Option<(u64, Vec<u64>)> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let (epoch, rest) = match version.split_once('!') {
        Some((epoch, rest)) => (epoch.parse().ok()?, rest),
        None => (0, version),
    };
    let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
    let numbers = rest[..end].trim_end_matches('.');
    let numbers = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some((epoch, numbers))
}

/// Whether only numbers make the version.
fn is_final(version: &str) -> bool {
    version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'!')
}

fn same_release(one: &str, other: &str) -> Option<bool> {
    let trimmed = |text: &str| {
        let (epoch, mut numbers) = release(text)?;
        while numbers.len() > 1 && numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some((epoch, numbers))
    };
    Some(trimmed(one)? == trimmed(other)?)
}

fn begins_with(version: &str, prefix: &str) -> Option<bool> {
    Some(starts(&release(version)?, &release(prefix)?))
}

/// Whether the first numbers are those; missing ones are 0.
fn starts((epoch, numbers): &(u64, Vec<u64>), (of_prefix, prefix): &(u64, Vec<u64>)) -> bool {
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    epoch == of_prefix && prefix.iter().enumerate().all(|(at, wanted)| number(at) == *wanted)
}

/// Whether a version comes before the end that is made of the numbers of another.
fn is_before(version: &str, wanted: &str, end: fn(&[u64]) -> Option<Vec<u64>>) -> Option<bool> {
    let (epoch, numbers) = release(wanted)?;
    let end = end(&numbers)?;
    let (of_version, numbers) = release(version)?;
    let padded = |numbers: &[u64]| (0..end.len()).map(|at| numbers.get(at).copied().unwrap_or(0)).collect::<Vec<_>>();
    // A candidate of the end is not before it: only the numbers count.
    Some((of_version, padded(&numbers)) < (epoch, end.clone()))
}

/// The first number that is not 0 may not grow.
fn caret(numbers: &[u64]) -> Option<Vec<u64>> {
    let at = numbers.iter().position(|number| *number != 0).unwrap_or(numbers.len().checked_sub(1)?);
    bump(numbers, at)
}

/// Only what comes after the second number may grow; where there is one number, after the first.
fn tilde(numbers: &[u64]) -> Option<Vec<u64>> {
    bump(numbers, usize::from(numbers.len() > 1))
}

fn bump(numbers: &[u64], at: usize) -> Option<Vec<u64>> {
    let mut end = numbers.get(..=at)?.to_vec();
    let last = end.last_mut()?;
    *last = last.checked_add(1)?;
    Some(end)
}
