//! What a range of npm allows, by the grammar of node-semver.

use crate::model::Bound;

/// What a range allows. A tag (`latest`) and no range at all allow anything; what is neither is unknown.
pub fn bound(range: &str) -> Bound {
    let mut all: Option<Bound> = None;
    for part in range.split("||") {
        let Some(part) = alternative(part.trim()) else {
            return if is_tag(range.trim()) { Bound::Open } else { Bound::Unknown };
        };
        all = Some(match (all, part) {
            (None, part) => part,
            (Some(Bound::Open), _) | (_, Bound::Open) => Bound::Open,
            // Two exact versions are a choice.
            _ => Bound::Bounded,
        });
    }
    all.unwrap_or(Bound::Open)
}

/// npm takes for a tag what it would not have to escape in an address.
fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Several comparators, all of which hold. None: it is no range.
fn alternative(text: &str) -> Option<Bound> {
    if let Some((from, to)) = text.split_once(" - ") {
        version(from.trim())?;
        let open = version(to.trim())? == Precision::Any;
        return Some(if open { Bound::Open } else { Bound::Bounded });
    }
    let mut bound = Bound::Open;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let sign = ["^", "~>", "~", ">=", "<=", ">", "<", "="].into_iter().find(|sign| rest.starts_with(sign));
        let sign = sign.unwrap_or("");
        rest = rest.strip_prefix(sign).unwrap_or(rest).trim_start();
        let end = rest.find(|char: char| char.is_whitespace() || char == ',').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after.trim_start_matches(|char: char| char.is_whitespace() || char == ',');
        bound = match (sign, version(word)?, bound) {
            ("" | "=", Precision::Full, _) | (_, _, Bound::Exact) => Bound::Exact,
            (_, Precision::Any, bound) => bound,
            (">" | ">=", _, bound) => bound,
            _ => Bound::Bounded,
        };
    }
    Some(bound)
}

/// How much of a version is fixed.
#[derive(Clone, Copy, PartialEq)]
enum Precision {
    Any,
    Partial,
    Full,
}

/// `1`, `1.x`, `v1.2.3-rc.1+build`, `*`.
fn version(text: &str) -> Option<Precision> {
    let text = text.strip_prefix(['v', 'V', '=']).unwrap_or(text);
    let core = text.split(['-', '+']).next().unwrap_or("");
    let parts: Vec<&str> = core.split('.').collect();
    let more = text.get(core.len()..).unwrap_or("");
    let fits = more.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte));
    if parts.len() > 3 || !fits {
        return None;
    }
    let mut fixed = 0;
    let mut open = false;
    for part in parts {
        match part {
            "*" | "x" | "X" => open = true,
            number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                fixed += usize::from(!open);
            }
            _ => return None,
        }
    }
    Some(match fixed {
        0 => Precision::Any,
        3 => Precision::Full,
        _ => Precision::Partial,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_an_end_is_bounded_in_every_alternative() {
        for (range, allows) in [
            ("1.2.3", Bound::Exact),
            ("=1.2.3", Bound::Exact),
            ("v1.2.3", Bound::Exact),
            ("= v1.2.3-rc.1+b", Bound::Exact),
            ("^1.2.3", Bound::Bounded),
            ("^0", Bound::Bounded),
            ("~1.2", Bound::Bounded),
            ("~> 1.2", Bound::Bounded),
            ("1", Bound::Bounded),
            ("1.x", Bound::Bounded),
            ("1.2.*", Bound::Bounded),
            ("1.0.0 - 2.9", Bound::Bounded),
            (">=1 <2", Bound::Bounded),
            ("> 1, <= 3.1.2", Bound::Bounded),
            ("<3", Bound::Bounded),
            ("1.0.0 || 2.0.0", Bound::Bounded),
            ("^16.8.0 || ^17.0.0 || ^18", Bound::Bounded),
            ("*", Bound::Open),
            ("", Bound::Open),
            ("x", Bound::Open),
            ("^*", Bound::Open),
            (">=1", Bound::Open),
            (">1.2.3", Bound::Open),
            ("^1 || >=2", Bound::Open),
            ("^1 ||", Bound::Open),
            ("1.0.0 - *", Bound::Open),
            ("latest", Bound::Open),
            ("next-15", Bound::Open),
            ("1.2.3.4", Bound::Unknown),
            ("^^1", Bound::Unknown),
            ("what ever", Bound::Unknown),
            ("%", Bound::Unknown),
        ] {
            assert_eq!(bound(range), allows, "{range}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        super::super::super::testing::pieces(
            &["^", "~", ">", "=", "<", "1", ".", "x", "*", " ", "-", " - ", "||", "é", ",", "v", "latest"],
            |text| {
                bound(text);
            },
        );
    }
}
