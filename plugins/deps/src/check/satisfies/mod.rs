//! Whether a version lies in a range, by the rules of the manager that wrote the range.
//!
//! It is for comparing a lockfile with its manifest: where a manager would have taken another version than the one that is
//! locked. What can't be judged is none, never "no".

mod intervals;
mod npm;
mod python;
mod ruby;

use std::cmp::Ordering;

use crate::model::{Ecosystem, Manager};
use crate::versions::compare;

/// Whether `version` lies in `range`. None: one of them can't be read, or the range names no versions (a tag, a branch).
pub fn satisfies(manager: Manager, range: &str, version: &str) -> Option<bool> {
    let (range, version) = (range.trim(), version.trim());
    match manager {
        Manager::Cargo => {
            let range = semver::VersionReq::parse(range).ok()?;
            Some(range.matches(&semver::Version::parse(version).ok()?))
        }
        Manager::Npm => npm::satisfies(range, version),
        Manager::Python => python::satisfies(range, version),
        Manager::Bundler => ruby::satisfies(range, version),
        // What is asked for is the least that will do.
        Manager::Go => Some(compare(Ecosystem::Go, version, range)? != Ordering::Less),
        Manager::Maven | Manager::Gradle | Manager::NuGet => intervals::satisfies(manager, range, version),
    }
}

/// What an order means for an operator; none for one that is no order.
fn holds(operator: &str, order: Ordering) -> Option<bool> {
    Some(match operator {
        "=" | "==" => order.is_eq(),
        "!=" => order.is_ne(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        _ => return None,
    })
}

/// All of them hold; none where one can't be judged and no other says no.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

/// One of them holds; none where one can't be judged and no other says yes.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

/// Splits an operator off its version: `>= 1.2` is `>=` and `1.2`; without one the first part is empty.
fn split_operator<'a>(text: &'a str, operators: &[&'a str]) -> (&'a str, &'a str) {
    let text = text.trim();
    // The longest first, as they are given.
    let operator = operators.iter().find(|operator| text.starts_with(**operator)).copied().unwrap_or_default();
    (operator, text[operator.len()..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line a case: the range, what fits, what does not.
    fn table(manager: Manager, cases: &[(&str, &[&str], &[&str])]) {
        for (range, fits, not) in cases {
            for version in *fits {
                assert_eq!(satisfies(manager, range, version), Some(true), "{manager:?} {range} {version}");
            }
            for version in *not {
                assert_eq!(satisfies(manager, range, version), Some(false), "{manager:?} {range} {version}");
            }
        }
    }

    #[test]
    fn cargo_as_its_book_says() {
        table(
            Manager::Cargo,
            &[
                ("1.2", &["1.2.0", "1.9.9"], &["2.0.0", "1.1.9", "1.3.0-rc.1"]),
                ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]),
                ("=1.0.0", &["1.0.0"], &["1.0.1"]),
                ("*", &["0.0.1", "9.0.0"], &[]),
                (">=1, <2", &["1.5.0"], &["2.0.0"]),
            ],
        );
        assert_eq!(satisfies(Manager::Cargo, "nonsense", "1.0.0"), None);
    }

    #[test]
    fn npm_as_its_documentation_says() {
        table(
            Manager::Npm,
            &[
                ("1.2.3", &["1.2.3"], &["1.2.4"]),
                ("^1.2.3", &["1.2.3", "1.9.0"], &["1.2.2", "2.0.0", "2.0.0-alpha"]),
                ("^0.2.3", &["0.2.9"], &["0.3.0"]),
                ("^0.0.3", &["0.0.3"], &["0.0.4"]),
                ("^1.x", &["1.0.0", "1.9.0"], &["2.0.0"]),
                ("^0.0", &["0.0.9"], &["0.1.0"]),
                ("^0", &["0.9.0"], &["1.0.0"]),
                ("~1.2.3", &["1.2.9"], &["1.3.0"]),
                ("~1", &["1.9.0"], &["2.0.0"]),
                ("1.x", &["1.0.0"], &["2.0.0"]),
                ("1.2.X", &["1.2.7"], &["1.3.0"]),
                ("*", &["0.0.1"], &["1.0.0-rc.1"]),
                ("", &["1.0.0"], &[]),
                (">1.2", &["1.3.0"], &["1.2.9"]),
                ("<=1.2", &["1.2.9"], &["1.3.0"]),
                ("<1.2", &["1.1.9"], &["1.2.0", "1.2.0-rc.1"]),
                (">= 1.2.0 < 2", &["1.2.0"], &["2.0.0", "1.1.0"]),
                ("1.2.3 - 2.3", &["1.2.3", "2.3.9"], &["2.4.0", "1.2.2"]),
                ("^1.0.0 || ^2.0.0", &["1.5.0", "2.5.0"], &["3.0.0"]),
                (">1.2.3-alpha.3", &["1.2.3-alpha.7", "3.4.5"], &["3.4.5-alpha.9"]),
                ("v1.2.3", &["1.2.3"], &[]),
                ("=1.2.3+build", &["1.2.3"], &[]),
            ],
        );
        for range in ["latest", "next", "github:a/b", "^a.b", "1.2.3.4"] {
            assert_eq!(satisfies(Manager::Npm, range, "1.0.0"), None, "{range}");
        }
    }

    #[test]
    fn python_by_pep_440_and_as_poetry_writes_it() {
        table(
            Manager::Python,
            &[
                ("==1.2", &["1.2", "1.2.0", "1.2+local"], &["1.2.1"]),
                ("==1.2+local", &["1.2+local"], &["1.2"]),
                ("===1.2", &["1.2"], &["1.2.0"]),
                ("==1.2.*", &["1.2", "1.2.9", "1.2rc1"], &["1.3", "1.20"]),
                ("!=1.2.*", &["1.3"], &["1.2.1"]),
                ("~=2.2", &["2.2", "2.9"], &["3.0", "2.1"]),
                ("~=1.4.5", &["1.4.9"], &["1.5.0"]),
                (">=1.0,<2.0", &["1.5"], &["2.0", "0.9", "2.0rc1"]),
                (">1.7", &["1.8"], &["1.7", "1.7.post1"]),
                ("^1.2.3", &["1.9"], &["2.0"]),
                ("^0.2.3", &["0.2.9"], &["0.3"]),
                ("^0.0.3", &["0.0.3"], &["0.0.4"]),
                ("^0", &["0.9"], &["1.0"]),
                ("~1.2.3", &["1.2.9"], &["1.3"]),
                ("~1", &["1.9"], &["2.0"]),
                ("1.2.3", &["1.2.3"], &["1.2.4"]),
                ("*", &["0.1"], &[]),
                ("^1.0 || ^2.0", &["2.5"], &["3.0"]),
                ("(>=1.0)", &["1.0"], &["0.9"]),
            ],
        );
        assert_eq!(satisfies(Manager::Python, "latest", "1.0"), None);
    }

    #[test]
    fn bundler_as_rubygems_says() {
        table(
            Manager::Bundler,
            &[
                ("~> 1.2.3", &["1.2.3", "1.2.9"], &["1.3.0", "1.2.2"]),
                ("~> 1.2", &["1.9"], &["2.0", "2.0.0.pre"]),
                ("~> 1", &["1.9"], &["2.0"]),
                (">= 1.0, < 3", &["2.9"], &["3.0"]),
                ("!= 1.2", &["1.3"], &["1.2"]),
                ("1.2.3", &["1.2.3"], &["1.2.4"]),
            ],
        );
        assert_eq!(satisfies(Manager::Bundler, "somewhere", "1.0"), None);
    }

    #[test]
    fn intervals_of_maven_and_nuget() {
        table(
            Manager::Maven,
            &[
                ("[1.0,2.0)", &["1.0", "1.9"], &["2.0", "0.9"]),
                ("(1.0,2.0]", &["2.0"], &["1.0"]),
                ("[1.2]", &["1.2"], &["1.3"]),
                ("(,1.0],[1.2,)", &["0.9", "1.5"], &["1.1"]),
                ("1.2", &["1.2"], &[]),
            ],
        );
        // It is a wish, which another dependency may override.
        assert_eq!(satisfies(Manager::Maven, "1.2", "1.3"), None);
        table(
            Manager::NuGet,
            &[
                ("1.2.3", &["1.2.3", "2.0.0"], &["1.2.2"]),
                ("[1.2.3]", &["1.2.3"], &["1.2.4"]),
                ("[1.0, 2.0)", &["1.5.0"], &["2.0.0"]),
                ("1.2.*", &["1.2.7"], &["1.1.0"]),
                ("*", &["0.1.0"], &[]),
            ],
        );
        table(Manager::Gradle, &[("1.+", &["1.7"], &["2.0", "10.0"]), ("[1.0,2.0[", &["1.5"], &["2.0"])]);
        for range in ["latest.release", "[1.0", "[2,1,0]", ""] {
            assert_eq!(satisfies(Manager::Gradle, range, "1.0"), None, "{range}");
        }
    }

    #[test]
    fn go_takes_at_least_what_is_asked_for() {
        table(Manager::Go, &[("v1.2.0", &["v1.2.0", "v1.3.0"], &["v1.1.0"])]);
    }

    #[test]
    fn nothing_makes_it_panic() {
        for manager in [Manager::Cargo, Manager::Npm, Manager::Python, Manager::Bundler, Manager::Maven, Manager::NuGet]
        {
            for text in [
                "é",
                "~>é",
                "^",
                ">=",
                ",",
                "[",
                "[,",
                "(é,]",
                "||",
                " - ",
                "1.é",
                "==.*",
                "~=",
                "~=1",
                "99999999999999999999",
            ] {
                let _ = satisfies(manager, text, "1.0.0");
                let _ = satisfies(manager, "^1", text);
            }
        }
    }
}
