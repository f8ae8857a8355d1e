//! What makes a finding the same finding in the next run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::Finding;

/// The longest fingerprint that is taken from a plugin as it is, in bytes; a longer one is hashed.
const LONGEST: usize = 128;

/// Gives a fingerprint to each finding that has none, and hashes those that are too long to be carried around.
///
/// The default is made of rule, path (the item's id where there is none) and message, not of the line, so that it
/// survives when lines are added above. Numbers in the message don't count, so that it survives when a measured size
/// or a line quoted in it changes. Findings that are then still equal are told apart by their order in the file; two
/// at the very same place are the same.
pub fn assign(findings: &mut [Finding]) {
    type Location = (Option<u32>, Option<u32>);
    let mut places: BTreeMap<[u8; 32], BTreeSet<Location>> = BTreeMap::new();
    let keys: Vec<Option<[u8; 32]>> = findings
        .iter()
        .map(|finding| {
            let key = finding.fingerprint.is_empty().then(|| key_of(finding))?;
            places.entry(key).or_default().insert((finding.line, finding.column));
            Some(key)
        })
        .collect();
    for (finding, key) in findings.iter_mut().zip(keys) {
        if let Some(key) = key {
            let here = (finding.line, finding.column);
            let occurrence = places.get(&key).map_or(0, |places| places.range(..here).count());
            finding.fingerprint = digest(&[&key, &occurrence.to_be_bytes()]);
        } else if finding.fingerprint.len() > LONGEST {
            finding.fingerprint = digest(&[finding.fingerprint.as_bytes()]);
        }
    }
}

fn key_of(finding: &Finding) -> [u8; 32] {
    let (kind, place) = match &finding.path {
        Some(path) => ("path", path),
        None => ("item", &finding.item),
    };
    hash(&[
        b"convoke finding 1",
        finding.rule.as_bytes(),
        kind.as_bytes(),
        place.as_bytes(),
        without_numbers(&finding.message).as_bytes(),
    ])
    .into()
}

/// The message with each number that stands alone as `#`. What is quoted in backticks stays: `gpt-4` is not `gpt-5`,
/// and `v1` not `v2`.
fn without_numbers(message: &str) -> String {
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    let mut out = String::with_capacity(message.len());
    let mut quoted = false;
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let after_word = out.chars().next_back().is_some_and(is_word);
        if !quoted && !after_word && first.is_ascii_digit() {
            let end =
                rest.find(|next: char| !next.is_ascii_digit() && !matches!(next, '.' | ',')).unwrap_or(rest.len());
            let number = rest[..end].trim_end_matches(['.', ',']);
            let tail = &rest[number.len()..];
            out.push_str(if tail.starts_with(is_word) { number } else { "#" });
            rest = tail;
            continue;
        }
        quoted ^= first == '`';
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// The sha-256 of the parts, each preceded by its length so that they can't run into each other.
fn hash(parts: &[&[u8]]) -> sha2::digest::Output<Sha256> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

/// 128 bits are enough to tell findings apart, and half as long to look at.
fn digest(parts: &[&[u8]]) -> String {
    hex(&hash(parts)[..16])
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Severity;

    use super::*;
    use crate::report::samples::finding;

    fn assigned(mut findings: Vec<Finding>) -> Vec<String> {
        assign(&mut findings);
        findings.into_iter().map(|finding| finding.fingerprint).collect()
    }

    fn saying(message: &str, line: u32) -> Finding {
        Finding { message: message.to_owned(), ..finding("a-rule", Severity::Low, "a.md", line) }
    }

    #[test]
    fn it_survives_a_moved_line_and_a_changed_number() {
        let before = assigned(vec![saying("1,134 characters, at most 1,024", 3)]);
        let after = assigned(vec![saying("1,250 characters, at most 1,024.", 90)]);
        assert_ne!(before, after, "the full stop is part of the message");
        assert_eq!(before, assigned(vec![saying("1,250 characters, at most 1,024", 90)]));
    }

    #[test]
    fn numbers_in_names_count() {
        assert_eq!(
            without_numbers("`gpt 4` in 3 of v2, gpt-4 and 12kB: 1.5."),
            "`gpt 4` in # of v2, gpt-4 and 12kB: #."
        );
        assert_ne!(assigned(vec![saying("unknown model gpt-4", 1)]), assigned(vec![saying("unknown model gpt-5", 1)]));
    }

    #[test]
    fn equal_ones_are_told_apart_by_their_order() {
        let two = assigned(vec![saying("twice", 9), saying("twice", 4)]);
        let moved = assigned(vec![saying("twice", 19), saying("twice", 14)]);
        assert_ne!(two[0], two[1]);
        assert_eq!(two, moved);
        assert_eq!(assigned(vec![saying("twice", 4)])[0], two[1], "the first stays the first");
    }

    #[test]
    fn the_same_place_is_the_same_finding_whoever_found_it() {
        let one = saying("shared", 4);
        let other = Finding { item: "another".to_owned(), ..one.clone() };
        let both = assigned(vec![one, other]);
        assert_eq!(both[0], both[1]);
    }

    #[test]
    fn without_a_path_the_item_counts() {
        let one = Finding { path: None, line: None, ..saying("no tests", 1) };
        let other = Finding { item: "another".to_owned(), ..one.clone() };
        let both = assigned(vec![one, other]);
        assert_ne!(both[0], both[1]);
    }

    #[test]
    fn rule_and_path_count() {
        let base = assigned(vec![saying("text", 1)]);
        assert_ne!(base, assigned(vec![Finding { rule: "other-rule".to_owned(), ..saying("text", 1) }]));
        assert_ne!(base, assigned(vec![Finding { path: Some("b.md".to_owned()), ..saying("text", 1) }]));
    }

    #[test]
    fn a_plugins_own_is_kept_unless_it_is_huge() {
        let own = Finding { fingerprint: "mine".to_owned(), ..saying("text", 1) };
        let huge = Finding { fingerprint: "x".repeat(100_000), ..saying("text", 1) };
        let both = assigned(vec![own, huge]);
        assert_eq!(both[0], "mine");
        assert_eq!(both[1].len(), 32);
    }
}
