//! Ranges of npm, as node-semver defines them (its README, "Ranges" and "Advanced Range Syntax").

use semver::{Prerelease, Version};

use super::any;

/// The longest range that is read, in bytes: node-semver takes no longer one.
const LONGEST: usize = 256;

/// Whether a version lies in a range.
pub(super) fn satisfies(range: &str, version: &str) -> Option<bool> {
    if range.len() > LONGEST {
        return None;
    }
    let version = Version::parse(version.trim_start_matches(['v', '='])).ok()?;
    any(range.split("||").map(|set| Some(fits(&comparators(set)?, &version))))
}

/// An order that a version must have to another one.
struct Comparator {
    operator: Operator,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Whether all comparators hold. A version before a release fits only where one of them names the same release before it.
fn fits(comparators: &[Comparator], version: &Version) -> bool {
    let holds = |comparator: &Comparator| {
        let order = version.cmp_precedence(&comparator.version);
        match comparator.operator {
            Operator::Equal => order.is_eq(),
            Operator::Less => order.is_lt(),
            Operator::LessEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterEqual => order.is_ge(),
        }
    };
    let triple = |version: &Version| (version.major, version.minor, version.patch);
    comparators.iter().all(holds)
        && (version.pre.is_empty()
            || comparators
                .iter()
                .any(|other| !other.version.pre.is_empty() && triple(&other.version) == triple(version)))
}

/// A version of which the end may be left open.
struct Partial {
    major: Option<u64>,
    minor: Option<u64>,
    patch: Option<u64>,
    pre: Prerelease,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['v', '=']).trim();
        let text = text.split('+').next()?;
        let (numbers, pre) = text.split_once('-').map_or((text, ""), |(numbers, pre)| (numbers, pre));
        let mut parts = numbers.split('.').map(|part| match part {
            "x" | "X" | "*" | "" => Some(None),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().map(Some),
            _ => None,
        });
        let major = parts.next().unwrap_or(Some(None))?;
        let minor = parts.next().unwrap_or(Some(None))?.filter(|_| major.is_some());
        let patch = parts.next().unwrap_or(Some(None))?.filter(|_| minor.is_some());
        if parts.next().is_some() {
            return None;
        }
        let pre = Prerelease::new(pre).ok()?;
        Some(Self { major, minor, patch, pre: if patch.is_some() { pre } else { Prerelease::EMPTY } })
    }

    /// The least version that it stands for.
    fn least(&self) -> Version {
        let part = |part: Option<u64>| part.unwrap_or(0);
        Version { pre: self.pre.clone(), ..Version::new(part(self.major), part(self.minor), part(self.patch)) }
    }

    /// The first version after all that it stands for, before its own prereleases; none where it stands for all.
    fn after(&self) -> Option<Version> {
        let major = self.major?;
        Some(match (self.minor, self.patch) {
            (None, _) => before(Version::new(major.checked_add(1)?, 0, 0)),
            (Some(minor), None) => before(Version::new(major, minor.checked_add(1)?, 0)),
            (Some(minor), Some(patch)) => before(Version::new(major, minor, patch.checked_add(1)?)),
        })
    }

    fn is_whole(&self) -> bool {
        self.patch.is_some()
    }
}

/// `1.0.0-0`, before which there is nothing of `1.0.0`.
fn before(version: Version) -> Version {
    Version { pre: Prerelease::new("0").unwrap_or_default(), ..version }
}

fn comparators(set: &str) -> Option<Vec<Comparator>> {
    let set = set.trim();
    let mut all = Vec::new();
    if let Some((from, to)) = set.split_once(" - ") {
        let (from, to) = (Partial::parse(from.trim())?, Partial::parse(to.trim())?);
        push(&mut all, Operator::GreaterEqual, from.least());
        match to.after() {
            _ if to.is_whole() => push(&mut all, Operator::LessEqual, to.least()),
            Some(after) => push(&mut all, Operator::Less, after),
            None => {}
        }
        return Some(all);
    }
    let mut operator = "";
    for word in set.split_whitespace() {
        let (found, rest) = super::split_operator(word, &["~>", "^", "~", ">=", "<=", ">", "<", "="]);
        if !found.is_empty() {
            if !operator.is_empty() {
                return None;
            }
            operator = found;
        }
        if rest.is_empty() {
            // `>= 1.2`: the version is the next word.
            continue;
        }
        one(&mut all, operator, &Partial::parse(rest)?)?;
        operator = "";
    }
    if !operator.is_empty() {
        return None;
    }
    if all.is_empty() {
        push(&mut all, Operator::GreaterEqual, Version::new(0, 0, 0));
    }
    Some(all)
}

fn push(all: &mut Vec<Comparator>, operator: Operator, version: Version) {
    all.push(Comparator { operator, version });
}

fn one(all: &mut Vec<Comparator>, operator: &str, partial: &Partial) -> Option<()> {
    let least = partial.least();
    match operator {
        "^" => {
            push(all, Operator::GreaterEqual, least);
            let first = |major, minor, patch| Some(before(Version::new(major, minor, patch)));
            let end = match (partial.major, partial.minor, partial.patch) {
                (None, ..) => None,
                (Some(0), Some(0), Some(patch)) => first(0, 0, patch.checked_add(1)?),
                (Some(0), Some(minor), _) => first(0, minor.checked_add(1)?, 0),
                (Some(major), ..) => first(major.checked_add(1)?, 0, 0),
            };
            if let Some(end) = end {
                push(all, Operator::Less, end);
            }
        }
        "~" | "~>" => {
            push(all, Operator::GreaterEqual, least);
            let end = Partial { patch: None, pre: Prerelease::EMPTY, ..*partial }.after();
            if let Some(end) = end {
                push(all, Operator::Less, end);
            }
        }
        "" | "=" if partial.is_whole() => push(all, Operator::Equal, least),
        "" | "=" => {
            push(all, Operator::GreaterEqual, least);
            if let Some(after) = partial.after() {
                push(all, Operator::Less, after);
            }
        }
        ">=" => push(all, Operator::GreaterEqual, least),
        "<=" if partial.is_whole() => push(all, Operator::LessEqual, least),
        ">" if partial.is_whole() => push(all, Operator::Greater, least),
        "<" if partial.is_whole() => push(all, Operator::Less, least),
        "<" => push(all, Operator::Less, before(least)),
        "<=" => {
            if let Some(after) = partial.after() {
                push(all, Operator::Less, after);
            }
        }
        // After all that an open version stands for; of `>*` there is none.
        ">" => match partial.after() {
            Some(after) => push(all, Operator::GreaterEqual, Version { pre: Prerelease::EMPTY, ..after }),
            None => push(all, Operator::Less, before(Version::new(0, 0, 0))),
        },
        _ => return None,
    }
    Some(())
}
