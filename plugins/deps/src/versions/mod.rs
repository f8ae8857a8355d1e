//! Versions, and which of two comes first, by the rules of each ecosystem.

mod gem;
mod maven;
mod nuget;
mod number;
mod pep440;
mod semantic;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use crate::model::Ecosystem;

/// What is longer is no version.
const LONGEST: usize = 1000;

/// Which of two versions comes first. Versions that are written differently may be equal: `1.0` and `1.0.0` in Python, and
/// wherever semantic versions rule, two that differ after the `+`.
///
/// None: one of them is no version there.
pub fn compare(ecosystem: Ecosystem, a: &str, b: &str) -> Option<Ordering> {
    Version::parse(ecosystem, a)?.order(&Version::parse(ecosystem, b)?)
}

/// A version that was read.
#[derive(Clone, Debug)]
pub struct Version(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Semantic(semver::Version),
    Python(pep440::Version),
    Maven(maven::Version),
    NuGet(nuget::Version),
    Gem(gem::Version),
}

impl Version {
    /// Reads a version by the rules of an ecosystem. None: it is no version there.
    pub fn parse(ecosystem: Ecosystem, text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        Some(Self(match ecosystem {
            Ecosystem::CratesIo | Ecosystem::Npm | Ecosystem::Go => Kind::Semantic(semantic::parse(text)?),
            Ecosystem::PyPI => Kind::Python(pep440::parse(text)?),
            Ecosystem::Maven => Kind::Maven(maven::parse(text)?),
            Ecosystem::NuGet => Kind::NuGet(nuget::parse(text)?),
            Ecosystem::RubyGems => Kind::Gem(gem::parse(text)?),
        }))
    }

    /// Reads a semantic version, whatever the ecosystem.
    pub fn semantic(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        semantic::parse(text).map(|version| Self(Kind::Semantic(version)))
    }

    /// Which of the two comes first. None: they follow different rules.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (&self.0, &other.0) {
            (Kind::Semantic(a), Kind::Semantic(b)) => a.cmp_precedence(b),
            (Kind::Python(a), Kind::Python(b)) => a.cmp(b),
            (Kind::Maven(a), Kind::Maven(b)) => a.cmp(b),
            (Kind::NuGet(a), Kind::NuGet(b)) => a.cmp(b),
            (Kind::Gem(a), Kind::Gem(b)) => a.cmp(b),
            _ => return None,
        })
    }

    /// How it stands to the bound of a range. As [`order`](Self::order), but a local label of Python's is passed over where
    /// the bound has none: `2.0.1+cpu` is a build of `2.0.1` ("Version specifiers", "Inclusive ordered comparison").
    pub fn order_to(&self, bound: &Self) -> Option<Ordering> {
        match (&self.0, &bound.0) {
            (Kind::Python(version), Kind::Python(bound)) if version.is_local() && !bound.is_local() => {
                Some(version.public().cmp(bound))
            }
            _ => self.order(bound),
        }
    }
}
